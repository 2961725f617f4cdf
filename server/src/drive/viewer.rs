//! A viewer's task: somebody who joined a session that somebody else plays. It has its own connection,
//! controller and clock, and never waits for the session, nor the session for it.
//!
//! ```text
//!  awaited until(connect) ──▶ connected ⇄ away until(reconnect) ──▶ gone(reason)
//!                                 └ left, invitation revoked, session over ──▲
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use media::{
    Acks, Bitrate, CloseReason, Codec, DataChannel, InputEvent, MediaTime, SequencedInput,
    TransportEvent,
};
use session::admission::ViewerPermit;
use session::hands::Who;
use session::invitations::Role;
use session::rate::{RateAction, RateConfig};
use session::reason::StoppedBy;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use transport::Decodes;

use super::answer::{self, Taken};
use super::audience::{Audience, Stream, ViewerCounts};
use super::client::{ClientSide, Said};
use super::connection::{Connection, at, next_event};
use super::driver::STATS_EVERY;
use super::rates::Rates;
use crate::apps::VideoMode;
use crate::caller::{Caller, Refused};
use crate::node::Node;
use crate::registry::{Answer, Command, ConnectError, Status};
use crate::wire;

/// Longest that a viewer who comes early waits for the session's encoder.
const ENCODER_WAIT: Duration = Duration::from_secs(5);

/// Who joins what.
pub struct ViewerPlan {
    /// Its id.
    pub id: media::ViewerId,
    /// Its number within the node.
    pub who: Who,
    /// What it may do.
    pub role: Role,
    /// The session's picture.
    pub video: VideoMode,
    /// The same as the client sees it.
    pub granted: wire::Video,
    /// Its place, to be given back at the end.
    pub permit: ViewerPermit,
}

/// See the module.
pub(super) struct Viewer {
    node: Arc<Node>,
    id: media::ViewerId,
    who: Who,
    role: Role,
    video: VideoMode,
    permit: Option<ViewerPermit>,
    audience: Arc<Audience>,
    stream: watch::Receiver<Stream>,
    counts: Arc<ViewerCounts>,
    mailbox: mpsc::Receiver<Command>,
    show: watch::Sender<Status>,
    connection: Option<Connection>,
    connections: u32,
    /// What the connection was answered with.
    told: Option<(Codec, media::PictureKind)>,
    connected: bool,
    visible: bool,
    greeted: bool,
    /// It is given up then, while nobody is connected.
    deadline: Option<MediaTime>,
    rates: Rates,
    client: ClientSide,
    over: Option<String>,
}

enum Wake {
    Command(Option<Command>),
    Transport(TransportEvent),
    Stream(bool),
    Rates,
    Stats,
    Deadline,
    Shutdown,
}

impl Viewer {
    pub(super) fn new(
        node: Arc<Node>,
        plan: ViewerPlan,
        audience: Arc<Audience>,
        counts: Arc<ViewerCounts>,
        mailbox: mpsc::Receiver<Command>,
        show: watch::Sender<Status>,
    ) -> Self {
        let now = node.clock.now();
        let mut stream = audience.stream();
        let config = &node.config;
        let ceiling = Bitrate::from_kbps(plan.granted.max_kbps.into());
        let rates = Rates::new(
            now,
            RateConfig {
                // What the stream has is what it is to carry; it is told at once when it does not.
                start: audience.rate().max(config.video.start_rate.rate()).min(ceiling),
                floor: config.video.min_rate.rate(),
                ceiling,
                audio: audience.sound().rate(),
                frame: plan.video.rate.interval(),
                size: plan.video.size,
                resizes: false,
            },
        );
        let choice = stream.borrow_and_update().choice.clone();
        Self {
            client: ClientSide::new(plan.role, plan.granted, choice, now),
            deadline: Some(now + config.sessions.connect.get()),
            id: plan.id,
            who: plan.who,
            role: plan.role,
            video: plan.video,
            permit: Some(plan.permit),
            audience,
            stream,
            counts,
            mailbox,
            show,
            connection: None,
            connections: 0,
            told: None,
            connected: false,
            visible: true,
            greeted: false,
            rates,
            over: None,
            node,
        }
    }

    /// Serves the viewer until it is gone.
    pub(super) async fn run(mut self) {
        let mut stats = tokio::time::interval(STATS_EVERY);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.node.lifecycle().1.clone();
        self.follow_stream();
        while self.over.is_none() {
            match self.wake(&mut stats, &shutdown).await {
                Wake::Command(Some(command)) => self.command(command).await,
                Wake::Command(None) => self.end("The viewer's place is gone."),
                Wake::Transport(event) => self.transport_event(event).await,
                Wake::Stream(true) => self.follow_stream(),
                Wake::Stream(false) => self.end("The session failed."),
                Wake::Rates => self.follow_rates(self.node.clock.now()),
                Wake::Stats => {
                    self.follow_rates(self.node.clock.now());
                    self.send_stats();
                }
                Wake::Deadline => self.end("Nobody connected in time."),
                Wake::Shutdown => self.end("The node is shutting down."),
            }
        }
        self.leave().await;
    }

    async fn wake(
        &mut self,
        stats: &mut tokio::time::Interval,
        shutdown: &tokio_util::sync::CancellationToken,
    ) -> Wake {
        let now = self.node.clock.now();
        let from_now = |at: MediaTime| Instant::now() + at.since(now);
        let rates = self.connection.as_ref().and(self.rates.poll_timeout(now)).map(from_now);
        let deadline = self.deadline.map(from_now);
        tokio::select! {
            event = next_event(&mut self.connection) => Wake::Transport(event),
            command = self.mailbox.recv() => Wake::Command(command),
            changed = self.stream.changed() => Wake::Stream(changed.is_ok()),
            () = at(deadline) => Wake::Deadline,
            () = at(rates) => Wake::Rates,
            _ = stats.tick() => Wake::Stats,
            () = shutdown.cancelled() => Wake::Shutdown,
        }
    }

    fn end(&mut self, reason: impl Into<String>) {
        self.over.get_or_insert_with(|| reason.into());
    }

    /// Says why, and lets go of everything.
    async fn leave(mut self) {
        let reason = self.over.clone().unwrap_or_default();
        self.stand_up();
        self.audience.set_present(self.who, None);
        self.show_status();
        if let Some(mut connection) = self.connection.take() {
            connection.say(&wire::ServerMessage::Ended { reason: reason.clone() });
            connection.close().await;
        }
        if self.role.plays() {
            self.audience.leaves(self.who).await;
        }
        tracing::info!(reason, "viewer gone");
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Connect(offer, reply) => self.connect(&offer, reply).await,
            Command::Accept(caller, decodes) => self.accept(caller, decodes).await,
            Command::Trickle(name, fragment, reply) => {
                let _ = reply.send(Connection::trickle(self.connection.as_ref(), &name, &fragment));
            }
            Command::Stop(by) => self.end(match by {
                StoppedBy::Client => "You left.",
                StoppedBy::Owner => "The player took the invitation back.",
                StoppedBy::Operator => "The node's operator ended it.",
                StoppedBy::Shutdown => "The node is shutting down.",
            }),
        }
    }

    async fn connect(&mut self, offer: &str, reply: oneshot::Sender<Result<Answer, ConnectError>>) {
        let decodes = answer::decodes(offer);
        let answered = match decodes {
            Ok(decodes) => match self.coded_for(decodes).await {
                Ok((codec, kind)) => {
                    let depth = kind.format.depth();
                    let sound = self.audience.sound().is_offered();
                    let answered =
                        answer::answer(&self.node, Some(codec), depth, sound, offer).await;
                    answered.map(|(taken, answer)| Answer {
                        connection: self.take_over(taken, (codec, kind)),
                        sdp: answer.sdp,
                    })
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = &answered {
            tracing::info!(%error, "viewer's offer refused");
        }
        let _ = reply.send(answered);
    }

    /// The client learns the outcome by its connection.
    async fn accept(&mut self, caller: Caller, decodes: Decodes) {
        let accepted = match self.coded_for(decodes).await {
            Ok((codec, kind)) => {
                let depth = kind.format.depth();
                let taken = answer::accept(&self.node, self.video, codec, depth, caller).await;
                taken.map(|taken| drop(self.take_over(taken, (codec, kind))))
            }
            Err(error) => {
                tokio::spawn(caller.refuse(Refused::Forbidden, error.to_string()));
                Err(error)
            }
        };
        if let Err(error) = accepted {
            tracing::info!(%error, "viewer refused");
        }
    }

    /// What the session is coded in, if this client decodes that. Nobody is coded for but the player.
    async fn coded_for(
        &mut self,
        decodes: Decodes,
    ) -> Result<(Codec, media::PictureKind), ConnectError> {
        let known = |stream: &Stream| stream.codec.is_some() || stream.ended.is_some();
        let waited = tokio::time::timeout(ENCODER_WAIT, self.stream.wait_for(known)).await;
        let Ok(Ok(stream)) = waited else {
            return Err(ConnectError::Failed("the session has no picture yet".into()));
        };
        let kind = stream.kind;
        let Some(codec) = stream.codec.filter(|_| stream.ended.is_none()) else {
            return Err(ConnectError::Ended);
        };
        let (set, bits) = match kind.format.depth() {
            media::BitDepth::Eight => (decodes.eight, 8),
            media::BitDepth::Ten => (decodes.ten, 10),
        };
        if set.contains(codec) {
            return Ok((codec, kind));
        }
        Err(ConnectError::Unusable(format!(
            "the session is coded in {} with {bits} bits a sample for its player, which this client does not \
             decode",
            codec.rtp_name(),
        )))
    }

    /// Serves this connection from now on; yields its name.
    fn take_over(&mut self, taken: Taken, told: (Codec, media::PictureKind)) -> String {
        self.stand_up();
        self.connections += 1;
        let now = self.node.clock.now();
        let connection = Connection::new(self.connections, taken, &self.node.metrics);
        let name = connection.name().to_owned();
        self.connection = Some(connection);
        (self.told, self.connected, self.greeted, self.visible) = (Some(told), false, false, true);
        self.client.reset(now);
        self.client.encoder_opened(self.stream.borrow().encoder, told.0);
        self.rates.renew(now);
        self.set_pacing();
        // Nobody may connect and say nothing for ever; the transport's own limits are shorter.
        self.deadline = Some(now + self.node.config.sessions.connect.get());
        self.show_status();
        name
    }

    /// Units and sound come from now on.
    fn sit_down(&mut self) {
        let (Some(connection), Some(told)) = (&mut self.connection, self.told) else { return };
        if self.connected && self.visible {
            let sink = self.rates.gated(connection.video_sink(), self.node.clock.clone());
            self.audience.seat(self.who, sink, told, self.counts.clone());
            self.audience.sound().listen(self.who, connection.audio_sink());
        }
    }

    /// And no more.
    fn stand_up(&mut self) {
        self.audience.unseat(self.who);
        self.audience.sound().silence(self.who);
    }

    fn follow_stream(&mut self) {
        let stream = self.stream.borrow_and_update();
        if let Some(reason) = stream.ended.clone() {
            drop(stream);
            self.end(reason);
            return;
        }
        let now = stream.codec.map(|codec| (codec, stream.kind));
        if self.told.is_some() && now.is_some() && now != self.told && self.connection.is_some() {
            // A connection has one codec: the client comes again, and is told the new one.
            tracing::info!("the session is coded otherwise: the viewer is to connect anew");
            drop(stream);
            self.stand_up();
            if let Some(connection) = self.connection.take() {
                tokio::spawn(connection.close());
            }
            self.away();
            return;
        }
        if let Some((codec, _)) = now {
            self.client.encoder_opened(stream.encoder, codec);
        }
        drop(stream);
        self.greet();
    }

    /// Nobody is connected: the place is kept for a while.
    fn away(&mut self) {
        self.connected = false;
        self.told = None;
        self.audience.set_present(self.who, None);
        self.deadline = Some(self.node.clock.now() + self.node.config.sessions.reconnect.get());
        self.show_status();
    }

    async fn transport_event(&mut self, event: TransportEvent) {
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
                DataChannel::Control => self.control_message(now, &message),
                DataChannel::Input | DataChannel::Motion => {
                    self.input_message(now, &message).await;
                }
                DataChannel::Acks => self.acks(now, &message),
            },
            TransportEvent::Closed(reason) => {
                if let Some(connection) = &self.connection {
                    self.node.metrics.connection_closed(connection.by(), &reason);
                }
                let leaving = self.connection.take().is_none_or(|it| it.closing_is_leaving());
                tracing::info!(%reason, "viewer's connection closed");
                self.stand_up();
                if self.role.plays() {
                    self.audience.leaves(self.who).await;
                }
                match reason {
                    CloseReason::Remote if leaving => self.end("You left."),
                    CloseReason::Flood(_) => {
                        self.node.metrics.floods.inc();
                        self.end("Your browser sent far more than a session takes.");
                    }
                    _ => self.away(),
                }
            }
            // A path that is silent closes its gate; sound from clients comes with hosted games.
            _ => {}
        }
    }

    /// Paces, and opens and closes the gate. The encoder's rate is the player's: a viewer that takes less is
    /// passed over until its queue has drained. Nor is it probed for more than the stream has.
    fn follow_rates(&mut self, now: MediaTime) {
        while let Some(action) = self.rates.poll(now) {
            if matches!(action, RateAction::Target { .. }) {
                self.set_pacing();
            }
        }
    }

    fn set_pacing(&mut self) {
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

    fn control_message(&mut self, now: MediaTime, message: &[u8]) {
        match self.client.said(now, message) {
            // What it has decoded is of no use to the encoder.
            Ok(Said::Nothing | Said::Decoded(_)) => {}
            Ok(Said::KeyframeNeeded) => self.audience.starts_over(self.who),
            Ok(Said::Transport) => self.show_status(),
            Ok(Said::Visible(visible)) if visible != self.visible => {
                self.visible = visible;
                if visible { self.sit_down() } else { self.stand_up() }
            }
            Ok(Said::Visible(_)) => {}
            Ok(Said::Bye) => self.end("You left."),
            Err(error) => self.bad_message(&error),
        }
    }

    async fn input_message(&mut self, now: MediaTime, message: &[u8]) {
        let input = match SequencedInput::decode(message) {
            Ok(input) => input,
            Err(error) => return self.bad_message(&error),
        };
        let taken = match input.event {
            // A page lets go when it loses the focus, whether it may hold anything or not.
            InputEvent::ReleaseAll if !self.role.plays() => return,
            InputEvent::ReleaseAll => {
                self.audience.surely_does(self.who, input).await;
                true
            }
            _ if !self.role.plays() || !self.client.may_input(now) => false,
            InputEvent::GamepadPlugged { .. } => {
                self.audience.surely_does(self.who, input).await;
                true
            }
            _ => self.audience.does(self.who, input),
        };
        if !taken {
            self.counts.input_refused.fetch_add(1, Ordering::Relaxed);
            self.node.metrics.viewer_input_refused.inc();
        }
    }

    fn bad_message(&self, error: &dyn std::fmt::Display) {
        self.node.metrics.bad_messages.inc();
        tracing::debug!(%error, "viewer's message refused");
    }

    fn send_stats(&mut self) {
        let now = self.node.clock.now();
        if !self.connected {
            return;
        }
        let (source, encoder) = self.audience.counts();
        let rate = (self.audience.rate(), self.rates.stats(now));
        let (audio, viewers) = (self.audience.sound().told(), self.audience.present());
        let stats = self.client.stats(now, rate, audio, &source, &encoder, viewers);
        self.say(&stats);
        self.ping(now);
    }

    fn greet(&mut self) {
        if self.greeted {
            let hello = self.client.hello(self.id.as_str(), &self.node.device_name(), None);
            self.say(&hello);
            self.ping(self.node.clock.now());
        }
    }

    fn ping(&mut self, now: MediaTime) {
        if let Some(ping) = self.client.ping(now) {
            self.say(&ping);
        }
    }

    fn say(&mut self, message: &wire::ServerMessage) {
        if let Some(connection) = &mut self.connection {
            connection.say(message);
        }
    }

    fn show_status(&self) {
        let state = match &self.over {
            Some(_) => wire::SessionState::Ended,
            None if self.connected => wire::SessionState::Live,
            None if self.connections == 0 || self.connection.is_some() => {
                wire::SessionState::Starting
            }
            None => wire::SessionState::Suspended,
        };
        let connection = self.connection.as_ref().map(|connection| connection.name().to_owned());
        let transport = connection.as_ref().and(self.client.transport()).cloned();
        self.show.send_replace(Status { state, reason: self.over.clone(), connection, transport });
    }
}

impl Drop for Viewer {
    /// A viewer's task that panics must not keep its place, nor stay in the session's way.
    fn drop(&mut self) {
        self.stand_up();
        self.audience.set_present(self.who, None);
        if let Some(permit) = self.permit.take() {
            self.node.release_viewer(&self.id, permit);
        }
    }
}
