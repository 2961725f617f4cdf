//! A viewer's task: somebody who joined a session that somebody else plays. It has its own connection,
//! controller and clock. The session never waits for it, nor it for the session, but with what its client did.
//!
//! ```text
//!  awaited until(connect) ──▶ connected ⇄ away until(reconnect) ──▶ gone(reason)
//!                                 └ left, invitation revoked, session over ──▲
//! ```

mod connect;
mod events;

use std::sync::Arc;

use media::{Bitrate, Codec, InputSeq, MOST_PADS, MediaTime, PictureKind, TransportEvent};
use session::admission::ViewerPermit;
use session::hands::Who;
use session::invitations::Role;
use session::rate::RateConfig;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::audience::{Audience, Shake, Stream, ViewerCounts};
use super::client::{ClientSide, Heard};
use super::connection::{Connection, Pending, at, next_event};
use super::driver::{STATS_EVERY, ended, rumble};
use super::rates::Rates;
use crate::apps::{PadWishes, VideoMode};
use crate::node::Node;
use crate::registry::{Command, Over, Status};
use crate::wire;

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

/// What a session is coded in.
type Coded = (Codec, PictureKind);

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
    cursor: watch::Receiver<Option<wire::Cursor>>,
    pointer: watch::Receiver<Option<wire::Pointer>>,
    shakes: watch::Receiver<[Shake; MOST_PADS]>,
    /// Which of them it was told.
    shaken: PadWishes,
    counts: Arc<ViewerCounts>,
    mailbox: mpsc::Receiver<Command>,
    show: watch::Sender<Status>,
    connection: Option<Connection>,
    /// The one that is to take its place, which shows meanwhile: where none does, one takes over at once.
    pending: Option<Pending<Coded>>,
    connections: u32,
    /// What the connection was answered with.
    told: Option<Coded>,
    connected: bool,
    visible: bool,
    greeted: bool,
    /// What its client has done last.
    newest_input: InputSeq,
    /// It is given up then, while nobody is connected.
    deadline: Option<MediaTime>,
    rates: Rates,
    client: ClientSide,
    over: Option<Over>,
}

enum Wake {
    Command(Option<Command>),
    Transport(TransportEvent),
    Pending(TransportEvent),
    Stream(bool),
    /// The pointer changed.
    Cursor,
    /// It moved.
    Pointer,
    /// Gamepads are to do something.
    Shakes,
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
        let (mut stream, cursor) = (audience.stream(), audience.cursor());
        let (pointer, shakes) = (audience.pointer(), audience.shakes());
        let shaken = shakes.borrow().map(|shake| shake.wish);
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
            cursor,
            pointer,
            shakes,
            shaken,
            counts,
            mailbox,
            show,
            connection: None,
            pending: None,
            connections: 0,
            told: None,
            connected: false,
            visible: true,
            greeted: false,
            newest_input: InputSeq::default(),
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
        self.follow_stream().await;
        while self.over.is_none() {
            match self.wake(&mut stats, &shutdown).await {
                Wake::Command(Some(command)) => self.command(command).await,
                Wake::Command(None) => self.end("The viewer's place is gone."),
                Wake::Transport(event) => self.transport_event(event).await,
                Wake::Pending(event) => self.pending_event(event).await,
                Wake::Stream(true) => self.follow_stream().await,
                Wake::Stream(false) => self.end("The session failed."),
                Wake::Cursor => self.show_cursor(),
                Wake::Pointer => self.show_pointer(),
                Wake::Shakes => self.shake(),
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
        let (connection, pending) = (self.connection.as_mut(), self.pending.as_mut());
        tokio::select! {
            event = next_event(connection) => Wake::Transport(event),
            event = next_event(pending.map(|it| &mut it.connection)) => Wake::Pending(event),
            command = self.mailbox.recv() => Wake::Command(command),
            changed = self.stream.changed() => Wake::Stream(changed.is_ok()),
            Ok(()) = self.cursor.changed() => Wake::Cursor,
            Ok(()) = self.pointer.changed() => Wake::Pointer,
            Ok(()) = self.shakes.changed() => Wake::Shakes,
            () = at(deadline) => Wake::Deadline,
            () = at(rates) => Wake::Rates,
            _ = stats.tick() => Wake::Stats,
            () = shutdown.cancelled() => Wake::Shutdown,
        }
    }

    fn end(&mut self, why: impl Into<Over>) {
        self.over.get_or_insert_with(|| why.into());
    }

    /// Says why, and lets go of everything.
    async fn leave(mut self) {
        let over = self.over.clone().unwrap_or_else(|| String::new().into());
        self.stand_up();
        self.audience.set_present(self.who, None);
        self.show_status();
        self.say(&ended(over.clone()));
        if self.role.plays() {
            self.audience.leaves(self.who).await;
        }
        tracing::info!(reason = over.reason, "viewer gone");
        // Its place is free while its client takes the last words.
        let connection = self.connection.take();
        drop(self);
        if let Some(connection) = connection {
            connection.close().await;
        }
    }

    fn send_stats(&mut self) {
        let now = self.node.clock.now();
        self.connection.iter_mut().for_each(Connection::count_dropped);
        if !self.connected {
            return;
        }
        let (source, encoder) = self.audience.counts();
        let rate = (self.audience.rate(), self.rates.stats(now));
        let heard = Heard { audio: self.audience.sound().told(self.who), microphone: None };
        let viewers = self.audience.present();
        let stats = self.client.stats(now, rate, heard, &source, &encoder, viewers);
        self.say(&stats);
        self.ping(now);
    }

    fn greet(&mut self) {
        if self.greeted {
            let (device, input) = (self.node.device_name(), self.audience.takes());
            let microphone = wire::MicrophoneAccess::NotByRole;
            let hello = self.client.hello(self.id.as_str(), &device, None, input, microphone);
            self.say(&hello);
            self.show_cursor();
            self.ping(self.node.clock.now());
        }
    }

    fn show_cursor(&mut self) {
        let cursor = self.cursor.borrow_and_update().clone();
        if let Some(cursor) = cursor.filter(|_| self.greeted) {
            self.say(&wire::ServerMessage::Cursor(cursor));
            self.show_pointer();
        }
    }

    /// What its gamepads are to do, where it was not told yet.
    fn shake(&mut self) {
        let shakes = *self.shakes.borrow_and_update();
        for (Shake { whose, wish }, told) in shakes.into_iter().zip(self.shaken) {
            let Some((_, pad)) = whose.filter(|(who, _)| *who == self.who) else { continue };
            rumble::messages(pad, &wish, &told).for_each(|message| self.say(&message));
        }
        self.shaken = shakes.map(|shake| shake.wish);
    }

    /// Where the pointer is, while it shows.
    fn show_pointer(&mut self) {
        let shows = self.cursor.borrow().as_ref().is_some_and(|cursor| cursor.look.is_some());
        let place = *self.pointer.borrow_and_update();
        if let Some(place) = place.filter(|_| shows && self.greeted) {
            self.say(&wire::ServerMessage::Pointer(place));
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
        let newest = self.pending.as_ref().map(|it| &it.connection).or(self.connection.as_ref());
        let connection = newest.map(|it| it.name().to_owned());
        let transport = connection.as_ref().and(self.client.transport()).cloned();
        let (starting, over) = (None, self.over.clone());
        self.show.send_replace(Status { state, starting, over, connection, transport });
    }
}

impl Drop for Viewer {
    /// A viewer's task that panics must not keep its place, nor stay in the session's way.
    fn drop(&mut self) {
        self.stand_up();
        self.audience.sound().renew(self.who);
        self.audience.set_present(self.who, None);
        if let Some(permit) = self.permit.take() {
            self.node.release_viewer(&self.id, permit);
        }
    }
}
