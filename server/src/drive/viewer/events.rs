//! What a viewer and its transport say, and what the rate controller makes of it.

use std::sync::atomic::Ordering;

use media::{
    Acks, CloseReason, DataChannel, InputEvent, MediaTime, SequencedInput, TransportEvent,
};
use session::rate::RateAction;

use super::Viewer;
use crate::drive::client::Said;

impl Viewer {
    pub(super) async fn transport_event(&mut self, event: TransportEvent) {
        let now = self.node.clock.now();
        match event {
            TransportEvent::Connected { .. } => {
                self.deadline = None;
                // A path that was silent and came back goes on where it was.
                if !std::mem::replace(&mut self.connected, true) {
                    self.sit_down();
                    self.audience.set_present(self.who, Some(self.role));
                }
                // The channel may open a moment before, and what is said then is lost.
                self.greet();
                self.show_status();
            }
            TransportEvent::ChannelOpen(DataChannel::Control) => {
                self.greeted = true;
                self.greet();
            }
            TransportEvent::KeyframeNeeded(_) if self.client.lacks_nothing(now) => {}
            TransportEvent::KeyframeNeeded(_) => self.audience.starts_over(self.who),
            TransportEvent::FramesLost(_, lost) => self.audience.lost(self.who, &lost),
            TransportEvent::FrameSent { frame, wire_timestamp, bytes, stages, .. } => {
                self.node.metrics.viewer_bytes_sent.inc_by(bytes);
                self.rates.on_sent(now, wire_timestamp, bytes);
                self.follow_rates(now);
                self.client.frame_sent(now, frame, wire_timestamp, bytes, &stages);
            }
            TransportEvent::Path(report) => {
                self.rates.on_report(&report);
                self.follow_rates(now);
            }
            TransportEvent::Data(channel, message) => match channel {
                DataChannel::Control => self.control_message(now, &message).await,
                DataChannel::Input | DataChannel::Motion => {
                    self.input_message(now, channel, &message).await;
                }
                DataChannel::Acks => self.acks(now, &message),
            },
            TransportEvent::Closed(reason) => {
                if let Some(connection) = &self.connection {
                    self.node.metrics.connection_closed(connection.by(), &reason);
                }
                // Those that talk to us say goodbye where they mean it: a page may be loading again.
                let left = self.connection.take().is_none_or(|it| it.closing_is_leaving())
                    && !self.greeted;
                tracing::info!(%reason, "viewer's connection closed");
                // Whoever comes by another way has not left.
                if !matches!(reason, CloseReason::Flood(_)) && self.change_over().await {
                    return;
                }
                self.stand_up();
                let limits = &self.node.config.sessions;
                match reason {
                    CloseReason::Remote if left => self.end("You left."),
                    CloseReason::Remote => self.away(limits.away.get()).await,
                    CloseReason::Flood(_) => {
                        self.node.metrics.floods.inc();
                        self.end("Your browser sent far more than a session takes.");
                    }
                    _ => self.away(limits.reconnect.get()).await,
                }
            }
            // The microphone is the player's.
            TransportEvent::Voice(_) => _ = self.node.metrics.voice_refused.inc(),
            // A path that is silent closes its gate; nobody knows what is held behind it.
            TransportEvent::Interrupted => self.lets_go().await,
            _ => {}
        }
    }

    /// Paces, and opens and closes the gate. The encoder's rate is the player's: a viewer that takes less is
    /// passed over until its queue has drained. Nor is it probed for more than the stream has.
    pub(super) fn follow_rates(&mut self, now: MediaTime) {
        while let Some(action) = self.rates.poll(now) {
            if matches!(action, RateAction::Target { .. }) {
                self.set_pacing();
            }
        }
    }

    pub(super) fn set_pacing(&mut self) {
        let target = self.rates.target();
        if let Some(connection) = &mut self.connection {
            connection.set_pacing(target);
        }
    }

    fn acks(&mut self, now: MediaTime, message: &[u8]) {
        match Acks::decode(message) {
            Ok(acks) => {
                self.rates.on_acks(now, &acks);
                self.follow_rates(now);
            }
            Err(error) => self.bad_message(&error),
        }
    }

    async fn control_message(&mut self, now: MediaTime, message: &[u8]) {
        match self.client.said(now, message) {
            // What it has decoded is of no use to the encoder.
            Ok(Said::Nothing | Said::Decoded(_)) => {}
            Ok(Said::KeyframeNeeded) => self.audience.starts_over(self.who),
            Ok(Said::Transport) => self.show_status(),
            Ok(Said::Visible(visible)) if visible != self.visible => {
                self.visible = visible;
                if visible {
                    self.sit_down();
                } else {
                    self.stand_up();
                    self.lets_go().await;
                }
            }
            Ok(Said::Channels(channels)) => self.audience.sound().plays(self.who, channels),
            // Screen and stream are the player's; of the pointer it is told anyway.
            Ok(
                Said::Visible(_)
                | Said::View(_)
                | Said::Quality(_)
                | Said::Follow(_)
                | Said::Acknowledged { .. },
            ) => {}
            Ok(Said::Bye) => self.end("You left."),
            Err(error) => self.bad_message(&error),
        }
    }

    async fn input_message(&mut self, now: MediaTime, channel: DataChannel, message: &[u8]) {
        let input = match SequencedInput::decode(message) {
            Ok(input) => input,
            Err(error) => return self.bad_message(&error),
        };
        if input.seq.is_after(self.newest_input) {
            self.newest_input = input.seq;
        }
        let lets_go = input.event == InputEvent::ReleaseAll;
        // A page lets go when it loses the focus, whether it may hold anything or not.
        if lets_go && !self.role.plays() {
            return;
        }
        let may = self.role.plays() && (lets_go || self.client.may_input(now));
        if self.role.plays() && !may && self.client.begins_to_refuse() {
            let release = SequencedInput { seq: input.seq, event: InputEvent::ReleaseAll };
            self.audience.does(self.who, release, DataChannel::Input).await;
        }
        let taken = may && self.audience.does(self.who, input, channel).await;
        if !taken {
            self.node.metrics.viewer_input_refused.inc();
            // Last: whoever sees what one viewer was refused finds it in the sum.
            self.counts.input_refused.fetch_add(1, Ordering::Release);
        }
    }

    fn bad_message(&self, error: &dyn std::fmt::Display) {
        self.node.metrics.bad_messages.inc();
        tracing::debug!(%error, "viewer's message refused");
    }
}
