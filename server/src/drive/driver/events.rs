//! What the client and its transport say, what co-players do, and what the rate controller makes of it.

use std::time::Duration;

use media::{
    Acks, Bitrate, CloseReason, DataChannel, InputEvent, InputSeq, Mark, MediaTime, SequencedInput,
    TransportEvent,
};
use session::hands::{PLAYER, Who};
use session::machine::{Event, Phase};
use session::rate::{Part, RateAction};
use session::reason::StoppedBy;
use tokio::sync::watch;

use super::Driver;
use crate::booking::Refusals;
use crate::drive::audience::Deed;
use crate::drive::client::Said;
use crate::drive::media_side::MediaSide;
use crate::drive::screen;
use crate::drive::trace;
use crate::wire;

/// A larger screen that was not carried is asked for again after so long: somebody may have left.
const ASK_AGAIN: Duration = Duration::from_secs(5);

impl Driver {
    pub(super) fn transport_event(&mut self, event: TransportEvent) {
        let now = self.node.clock.now();
        match event {
            TransportEvent::Connected { .. } => {
                let drawing = self.machine.is_drawing();
                if !drawing {
                    self.send_units();
                }
                if let Some(connection) = &mut self.connection {
                    self.audience.sound().listen(PLAYER, connection.audio_sink());
                }
                // The channel may open a moment before the connection counts as up, and what is said then is lost.
                if self.greeted {
                    self.greet();
                    self.ping(now);
                }
                let visible = self.connection.as_ref().is_none_or(|it| it.visible);
                self.tell(Event::TransportConnected { visible });
                // Who takes over begins with a keyframe, and the machine's wish for one is met by it: after the first
                // picture that wish would cost another.
                if drawing {
                    self.send_units();
                }
            }
            TransportEvent::ChannelOpen(DataChannel::Control) => {
                self.greeted = true;
                self.greet();
                self.ping(now);
            }
            TransportEvent::ChannelOpen(_) => {}
            TransportEvent::Interrupted => self.tell(Event::TransportInterrupted),
            // A browser that gets no frames for some seconds asks for one to be sure. It lacks nothing
            // when it has shown the newest there is.
            TransportEvent::KeyframeNeeded(_) if self.client.lacks_nothing(now) => {}
            TransportEvent::KeyframeNeeded(_) => self.wants_keyframe(now),
            TransportEvent::FramesLost(_, lost) => {
                let frames = lost.end().0.saturating_sub(lost.start().0).saturating_add(1);
                self.metered.iter_mut().for_each(|it| it.lost(now, frames));
                if let Some(media) = self.seen_media() {
                    media.forget(lost);
                }
            }
            TransportEvent::FrameSent { frame, wire_timestamp, bytes, stages, .. } => {
                trace::sent(frame, wire_timestamp, bytes, &stages);
                self.node.metrics.frame_sent(bytes, &stages);
                let left = stages.get(Mark::LastSent).unwrap_or(now);
                self.rates.on_sent(left, wire_timestamp, bytes);
                self.follow_rates(now);
                self.metered.iter_mut().for_each(|it| it.frame(now, bytes, &stages));
                self.client.frame_sent(now, frame, wire_timestamp, bytes, &stages);
            }
            TransportEvent::Path(report) => {
                self.audience.sound().on_report(&report);
                self.rates.on_report(&report);
                self.follow_rates(now);
            }
            TransportEvent::Data(channel, message) => self.message(now, channel, &message),
            TransportEvent::Voice(packet) => self.voice.packet(now, packet, &self.node.metrics),
            TransportEvent::Closed(reason) => {
                tracing::info!(%reason, "connection closed");
                self.audience.sound().silence(PLAYER);
                self.voice.off();
                let floods = matches!(reason, CloseReason::Flood(_));
                self.node.metrics.floods.inc_by(floods.into());
                if let Some(connection) = &self.connection {
                    self.node.metrics.connection_closed(connection.by(), &reason);
                }
                let leaving = self.connection.take().is_none_or(|it| it.closing_is_leaving());
                // Whoever comes by another way has not left.
                if !floods && self.change_over() {
                    return;
                }
                // Those that talk to us say goodbye where they mean it: a page may be loading again.
                let event = match reason {
                    CloseReason::Remote if self.greeted || !leaving => Event::ClientAway,
                    reason => Event::TransportClosed(reason),
                };
                if let Some(media) = &self.media {
                    media.send_to(None);
                }
                self.past_client = None;
                self.tell(event);
            }
            _ => {}
        }
    }

    /// Sends units to the client and all viewers from now on, or past a client that hides the picture while others
    /// watch. Either begins with a keyframe.
    fn send_units(&mut self) {
        let (Some(media), Some(connection)) = (&self.media, &mut self.connection) else { return };
        let past = !connection.visible && self.audience.is_watched();
        let sink =
            (!past).then(|| self.rates.gated(connection.video_sink(), self.node.clock.clone()));
        media.send_to(Some(self.audience.fan(sink)));
        self.past_client = Some(past);
    }

    /// The client shows the picture again or no more, or others begin to watch or cease to.
    pub(super) fn send_past_hidden(&mut self) {
        let hidden = self.connection.as_ref().is_some_and(|connection| !connection.visible);
        let past = hidden && self.audience.is_watched();
        if self.past_client.is_some_and(|before| before != past) {
            self.send_units();
        }
    }

    /// The session's threads, where what they code goes to the client: else what it says of pictures is of old ones.
    fn seen_media(&self) -> Option<&MediaSide> {
        self.media.as_ref().filter(|_| self.past_client != Some(true))
    }

    /// Carries out what the rate controller asks for.
    pub(super) fn follow_rates(&mut self, now: MediaTime) {
        while let Some(action) = self.rates.poll(now) {
            match action {
                RateAction::Target { .. } => self.set_rates(now),
                RateAction::FrameRate(_) => {
                    let part = self.rates.frame_rate(now);
                    if let Some(left_out) = self.log.passes(now) {
                        tracing::info!(part = part.as_f64(), left_out, "frame rate");
                    }
                    if let Some(media) = &self.media {
                        media.set_frame_rate(part);
                    }
                    self.set_rates(now);
                }
                RateAction::Size(part) => {
                    if let Some(left_out) = self.log.passes(now) {
                        tracing::info!(part = part.as_f64(), left_out, "size of pictures");
                    }
                    if let Some(media) = &self.media {
                        media.set_size(part);
                    }
                }
                RateAction::Probe { rate, length } => {
                    if let Some(connection) = &mut self.connection {
                        connection.probe(rate, length);
                    }
                }
            }
        }
    }

    /// Tells encoder and pacer the rate of now.
    pub(super) fn set_rates(&mut self, now: MediaTime) {
        self.audience.set_rate(self.rates.encoder_target());
        if let Some(media) = &self.media {
            media.set_bitrate(self.rates.told_encoder(now));
        }
        if let Some(connection) = &mut self.connection {
            connection.set_pacing(self.rates.target());
        }
        self.audience.sound().on_rate(self.rates.target());
    }

    fn message(&mut self, now: MediaTime, channel: DataChannel, message: &[u8]) {
        match channel {
            DataChannel::Control => self.control_message(now, message),
            DataChannel::Input | DataChannel::Motion => self.input_message(now, message),
            DataChannel::Acks => self.acks(now, message),
        }
    }

    /// The client shows nothing. On a full path it asks before it can have what the encoder made of its loss; if that is
    /// lost too, it asks again.
    fn wants_keyframe(&mut self, now: MediaTime) {
        if self.rates.is_answered(now) {
            return;
        }
        if let Some(media) = self.seen_media() {
            media.keyframe();
        }
    }

    fn acks(&mut self, now: MediaTime, message: &[u8]) {
        match Acks::decode(message) {
            Ok(acks) => {
                self.rates.on_acks(now, &acks);
                self.follow_rates(now);
                if let (Some(frame), Some(media)) = (self.client.acked(&acks), self.seen_media()) {
                    media.acknowledge(frame);
                }
            }
            Err(error) => {
                self.node.metrics.bad_messages.inc();
                tracing::debug!(%error, "acknowledgements refused");
            }
        }
    }

    fn control_message(&mut self, now: MediaTime, message: &[u8]) {
        match self.client.said(now, message) {
            Ok(Said::Nothing) => {}
            Ok(Said::Decoded(frame)) => {
                let seen = self.client.seen();
                self.metered.iter_mut().for_each(|it| {
                    seen.iter().for_each(|took| it.latency(now, *took));
                });
                if let Some(media) = self.seen_media() {
                    media.acknowledge(frame);
                }
            }
            Ok(Said::KeyframeNeeded) => self.wants_keyframe(now),
            Ok(Said::Transport) => {
                let taken = self.client.transport();
                if let Some(left_out) = self.log.passes(now) {
                    let kind = taken.map(|it| it.kind);
                    let reason = taken.map(|it| &*it.reason);
                    tracing::info!(?kind, reason, left_out, "transport");
                }
                self.show_status();
            }
            Ok(Said::Quality(quality)) => self.limit(now, quality),
            Ok(Said::View(view)) => self.follow_view(now, &view),
            Ok(Said::Follow(pointer)) => {
                self.follows = pointer;
                self.show_pointer();
            }
            Ok(Said::Channels(channels)) => self.audience.sound().plays(PLAYER, channels),
            Ok(Said::Visible(visible)) => {
                if let Some(connection) = &mut self.connection {
                    connection.visible = visible;
                }
                self.send_past_hidden();
                self.tell(Event::Visibility(visible));
                if !visible && self.machine.is_drawing() {
                    // Others watch, so that the session goes on. The same client may come back, and older motion is late.
                    self.player_lets_go(self.newest_input);
                }
            }
            Ok(Said::Acknowledged { chain, sequence, signature }) => {
                let Some(metered) = &mut self.metered else { return };
                if let Err(why) = metered.acknowledged(&chain, sequence, &signature) {
                    self.node.metrics.bad_messages.inc();
                    tracing::debug!(why, sequence, "acknowledgement refused");
                }
            }
            // Whoever plays by a ticket that does not end sessions leaves this one to others of the order.
            Ok(Said::Bye) if self.metered.as_ref().is_some_and(|it| !it.may_stop()) => {
                self.pending = None;
                self.tell(Event::ClientAway);
            }
            Ok(Said::Bye) => self.tell(Event::StopRequested(StoppedBy::Client)),
            Err(error) => {
                self.node.metrics.bad_messages.inc();
                tracing::debug!(%error, "control message refused");
            }
        }
    }

    /// The user wants no more than this.
    fn limit(&mut self, now: MediaTime, quality: wire::Quality) {
        let (kbps, fps) = self.client.granted();
        let wanted = quality.max_kbps.unwrap_or(kbps).min(kbps);
        let most = quality.fps.and_then(|wanted| Part::new(wanted, fps)).unwrap_or(Part::WHOLE);
        if !self.rates.limit(Bitrate::from_kbps(wanted.into()), most) {
            return;
        }
        if let Some(left_out) = self.log.passes(now) {
            let fps = most.as_f64() * f64::from(fps);
            tracing::info!(kbps = wanted, fps, left_out, "quality");
        }
        if let Some(media) = &self.media {
            media.set_frame_rate(self.rates.frame_rate(now));
        }
        self.follow_rates(now);
        self.set_rates(now);
    }

    /// The client shows the picture in a place of another size: what is played gets such a screen, if it may.
    fn follow_view(&mut self, now: MediaTime, view: &wire::View) {
        let Some(booking) = &self.booking else { return };
        let video = screen::for_view(view, booking.bounds(), self.video);
        if video == self.video {
            return;
        }
        if let Some(left_out) = self.log.passes(now) {
            tracing::info!(size = %video.size, dpi = video.dpi, left_out, "screen");
        }
        self.video = video;
        if let Some(media) = &self.media {
            media.set_screen(video.size, video.dpi);
        }
    }

    /// A larger screen is not carried, or is now.
    pub(super) fn show_refused(&mut self) {
        let Some(refused) = &mut self.refused else { return };
        let refusals = refused.borrow_and_update().clone();
        let (now, refused) = (self.node.clock.now(), refusals.told());
        if let Some(refused) = refused
            && let Some(left_out) = self.log.passes(now)
        {
            tracing::info!(size = %refused.size, why = %refused.why, left_out, "no larger screen");
        }
        self.ask_again = refusals.window.as_ref().map(|_| now + ASK_AGAIN);
        self.client.screen_refused(refused.map(ToString::to_string));
        self.greet_again();
    }

    /// Asks again for the screen that the client's view wants, and that was not carried.
    pub(super) fn ask_for_screen(&mut self, now: MediaTime) {
        if self.ask_again.is_none_or(|at| now < at) {
            return;
        }
        self.ask_again = Some(now + ASK_AGAIN);
        // What a game made of its screen by itself its source asks for.
        let is_refused = |refused: &watch::Receiver<Refusals>| refused.borrow().window.is_some();
        let is_wanted = self.refused.as_ref().is_some_and(is_refused);
        if let Some(media) = self.media.as_ref().filter(|_| is_wanted) {
            media.set_screen(self.video.size, self.video.dpi);
        }
    }

    fn input_message(&mut self, now: MediaTime, message: &[u8]) {
        let input = match SequencedInput::decode(message) {
            Ok(input) if self.client.may_input(now) => input,
            Ok(SequencedInput { seq, .. }) => {
                self.node.metrics.input_dropped.inc();
                if self.client.begins_to_refuse() {
                    let event = InputEvent::ReleaseAll;
                    self.does(now, PLAYER, SequencedInput { seq, event });
                }
                return;
            }
            Err(error) => {
                self.node.metrics.bad_messages.inc();
                tracing::debug!(%error, "input refused");
                return;
            }
        };
        self.newest_input = input.seq;
        self.inject(now, PLAYER, input);
    }

    /// Somebody plays.
    fn inject(&mut self, now: MediaTime, who: Who, input: SequencedInput) {
        let seq = input.seq;
        self.does(now, who, input);
        trace::input(seq, now, self.node.clock.as_ref());
        if let Some(media) = &self.media {
            media.input_came(now);
        }
        self.tell(Event::InputActivity);
    }

    pub(super) fn deed(&mut self, deed: Deed) {
        let now = self.node.clock.now();
        let live = self.machine.phase() == Phase::Live;
        match deed {
            // Nobody did that who is away by now.
            Deed::Does(who, input @ SequencedInput { event: InputEvent::ReleaseAll, .. })
                if live =>
            {
                self.does(now, who, input);
            }
            Deed::Does(who, input) if live => self.inject(now, who, input),
            // While the player is away nobody plays, but gamepads come and go.
            Deed::Does(
                who,
                input @ SequencedInput { event: InputEvent::GamepadPlugged { .. }, .. },
            ) => {
                self.does(now, who, input);
            }
            // Nothing is held meanwhile, but whoever comes anew counts from one.
            Deed::Does(who, input @ SequencedInput { event: InputEvent::ReleaseAll, .. }) => {
                self.hands.does(who, input, |_| {});
            }
            Deed::Does(..) => {}
            Deed::Leaves(who) => {
                let (seq, sink) = (self.newest_input, &mut self.input);
                // Also while the app opens: it would be told of a gamepad that has left.
                self.hands.leave(who, |event| {
                    if let Some(sink) = sink {
                        sink.inject(&SequencedInput { seq, event }, now);
                    }
                });
                self.catch_up();
            }
        }
    }

    fn does(&mut self, now: MediaTime, who: Who, input: SequencedInput) {
        let seq = self.newest_input;
        let sink = &mut self.input;
        self.hands.does(who, input, |event| {
            // None while the app opens; what is held then is not made up for.
            if let Some(sink) = sink {
                sink.inject(&SequencedInput { seq, event }, now);
            }
        });
        self.catch_up();
    }

    /// The player holds nothing any more, and nothing of his counts that is not newer than `seq`; whoever plays beside him
    /// holds on to what he has.
    pub(super) fn player_lets_go(&mut self, seq: InputSeq) {
        let (now, newest, sink) = (self.node.clock.now(), self.newest_input, &mut self.input);
        let input = SequencedInput { seq, event: InputEvent::ReleaseAll };
        self.hands.does(PLAYER, input, |event| {
            let Some(sink) = sink else { return };
            match event {
                // Nobody did that.
                InputEvent::ReleaseAll => sink.release_all(now),
                event => sink.inject(&SequencedInput { seq: newest, event }, now),
            }
        });
        self.catch_up();
    }

    /// One keyframe for all viewers that wait for one.
    pub(super) fn viewer_keyframe(&mut self) {
        self.keyframes.ask(self.node.clock.now());
        self.node.metrics.viewer_keyframes.inc();
        if let Some(media) = &self.media {
            media.keyframe();
        }
    }
}
