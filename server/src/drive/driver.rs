//! The driver task: events in, decisions of the state machine out. What comes in by clients, their transports and the
//! session's threads is taken in the modules below.

use std::sync::Arc;
use std::time::Duration;

use encoder::Candidate;
use media::{Bitrate, InputSeq, InputSink, MediaTime, PictureKind, TransportEvent};
use session::admission::Permit;
use session::follow::KeyframeWishes;
use session::hands::{Hands, PLAYER};
use session::invitations::Role;
use session::machine::{Action, Decision, Drain, Event, Limits, Machine, Notice, Phase, Record};
use session::rate::RateConfig;
use session::reason::StoppedBy;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Instrument as _;

use super::Plan;
use super::answer::{ForClient, Taken};
use super::audience::{Audience, Deed};
use super::client::{ClientSide, Heard};
use super::connection::{Connection, Pending, at, next_event};
use super::log_limit::LogLimit;
use super::media_side::{MediaPlan, MediaSide, REPORTS, Report, Stop};
use super::rates::Rates;
use super::source::Opening;
use super::voice::Voice;
use crate::apps::{Told, VideoMode};
use crate::booking::{Booking, Refusals};
use crate::encoders::{Broken, EncoderSession};
use crate::node::Node;
use crate::registry::{Command, ConnectError, Over, Status};
use crate::rented::metered::{self, Deed as MeterDeed, Metered};
use crate::saves::Keep;
use crate::wire;

mod connect;
mod events;
mod report;
pub(super) mod rumble;

/// How often statistics go to a client.
pub(super) const STATS_EVERY: Duration = Duration::from_millis(250);

/// One session's driver.
pub(super) struct Driver {
    node: Arc<Node>,
    id: media::SessionId,
    plan: Option<MediaPlan>,
    permit: Option<Permit>,
    machine: Machine,
    mailbox: mpsc::Receiver<Command>,
    show: watch::Sender<Status>,
    reports_in: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    media: Option<MediaSide>,
    /// What is kept of the session.
    keep: Option<Arc<Keep>>,
    /// How it began, and whether something was started ahead for it.
    told: Arc<Told>,
    ahead: bool,
    input: Option<Box<dyn InputSink>>,
    /// When it goes on with what it could not do at once.
    input_due: Option<MediaTime>,
    rumble: Option<rumble::Wishes>,
    /// What the player says.
    voice: Voice,
    encoder_up: bool,
    /// The encoder in use.
    encoder_session: Option<EncoderSession>,
    video: VideoMode,
    /// What its screen is booked for; none where its size is fixed.
    booking: Option<Arc<Booking>>,
    /// The screen that is not carried.
    refused: Option<watch::Receiver<Refusals>>,
    /// When it is asked for again.
    ask_again: Option<MediaTime>,
    /// HDR10 is shown to clients that decode it.
    hdr: bool,
    /// What the encoder's thread was given: the kind of pictures, and names of encoders.
    encoders: (PictureKind, Vec<&'static str>),
    /// Those that broke in this session.
    broke: Broken,
    connection: Option<Connection>,
    /// The one that is to take its place, which plays meanwhile: where none plays, one takes over at once.
    pending: Option<Pending<ForClient>>,
    /// That of a client who was told why the session ends, until it has that.
    closing: Option<JoinHandle<()>>,
    connections: u32,
    /// The client of WebTransport that is being accepted, which takes as long as it likes. The newest wins.
    accepting: JoinSet<Result<(Taken, ForClient), ConnectError>>,
    /// The client's control channel is open and was greeted on it.
    greeted: bool,
    /// Units go past the client, who hides the picture, to those who watch; none before it is connected.
    past_client: Option<bool>,
    rates: Rates,
    /// The strip is drawn, which pictures must have room for.
    barcode: bool,
    client: ClientSide,
    /// For what the client can have logged as often as it likes.
    log: LogLimit,
    /// Those who watch.
    audience: Arc<Audience>,
    /// What the start waits for, while it does.
    step: Option<watch::Receiver<Option<wire::StartStep>>>,
    /// The pointer, which the client draws.
    cursor: watch::Receiver<Option<wire::Cursor>>,
    /// Where it is, which the client is told while it follows it.
    pointer: watch::Receiver<Option<wire::Pointer>>,
    follows: bool,
    /// How often something was copied in what is played, where the session shares that.
    copies: Option<watch::Receiver<u64>>,
    /// What co-players do.
    deeds: mpsc::Receiver<Deed>,
    /// All who play.
    hands: Hands,
    keyframes: KeyframeWishes,
    /// What the session uses, on a rented node.
    metered: Option<Metered>,
    /// The newest input of the player, which stands for all that shows in a picture.
    newest_input: InputSeq,
}

/// What others see of a session.
pub(super) struct Shown {
    pub(super) status: watch::Sender<Status>,
    pub(super) told: Arc<Told>,
}

/// What the driver's task wakes up for.
enum Wake {
    Command(Option<Command>),
    Report(Option<Report>),
    Transport(TransportEvent),
    Pending(TransportEvent),
    Accepted(Result<(Taken, ForClient), ConnectError>),
    Timeout,
    Rates,
    Stats,
    /// A viewer wants a keyframe, at another time than was known, or the first one watches, or the last one no more.
    Viewers,
    /// That keyframe is due.
    ViewerKeyframe,
    Deed(Deed),
    /// What takes input was busy.
    Input,
    /// Gamepads are to do something.
    Rumble,
    /// The pointer moved.
    Pointer,
    /// The pointer changed.
    Cursor,
    /// Something was copied.
    Copied,
    /// A larger screen is not carried, or is now.
    Refused,
    /// The start waits for something else.
    Step,
    /// Of the meter.
    Metered(metered::News),
    MeterDue,
    Shutdown,
}

impl Driver {
    pub(super) fn new(
        node: Arc<Node>,
        plan: Plan,
        mailbox: mpsc::Receiver<Command>,
        Shown { status: show, told }: Shown,
        (audience, deeds): (Arc<Audience>, mpsc::Receiver<Deed>),
    ) -> Self {
        let config = &node.config;
        let limits = Limits {
            connect: config.sessions.connect.get(),
            reconnect: config.sessions.reconnect.get(),
            away: config.sessions.away.get(),
            idle: config.sessions.idle.get(),
            longest: config.sessions.longest.get(),
            ..Limits::default()
        };
        let now = node.clock.now();
        let ceiling = Bitrate::from_kbps(plan.granted.max_kbps.into());
        let rates = Rates::new(
            now,
            RateConfig {
                start: config.video.start_rate.rate().min(ceiling),
                floor: config.video.min_rate.rate(),
                ceiling,
                audio: audience.sound().rate(),
                frame: plan.video.rate.interval(),
                size: plan.video.size,
                // The source says so once it is open.
                resizes: false,
            },
        );
        let (reports_in, reports) = mpsc::channel(REPORTS);
        let label = plan.id.as_str()[..8.min(plan.id.as_str().len())].to_owned();
        let (video, hdr) = (plan.video, plan.granted.hdr);
        let kind = if hdr { PictureKind::HDR10 } else { PictureKind::NV12 };
        let encoders = (kind, names(&plan.encoders));
        let barcode = plan.barcode;
        let voice = Voice::new(plan.id.as_str(), node.microphone(plan.app.as_ref()));
        let ahead = plan.prepared.is_some();
        let draws = plan.app.info().kind == wire::EntryKind::Scene;
        let metered = plan.tenancy.map(|tenancy| {
            let fps = plan.granted.fps;
            let tasks = node.lifecycle().0.clone();
            Metered::new(tenancy, plan.id.clone(), (fps, plan.video.size, draws), tasks, now)
        });
        let media_plan = MediaPlan {
            label,
            opening: Opening {
                app: plan.app,
                prepared: plan.prepared,
                keep: plan.keep.clone(),
                share: plan.share.clone(),
                booking: plan.booking.clone(),
                layout: audience.sound().layout(),
                told: told.clone(),
            },
            video: plan.video,
            settings: config.video.encoder_settings(plan.video, rates.encoder_target()),
            barcode,
            encoders: plan.encoders,
            kind,
            audience: audience.clone(),
        };
        Self {
            machine: Machine::new(now, limits),
            id: plan.id,
            client: ClientSide::new(Role::Player, plan.granted, plan.choice, now),
            log: LogLimit::default(),
            permit: Some(plan.permit),
            plan: Some(media_plan),
            mailbox,
            show,
            reports_in,
            reports,
            media: None,
            keep: plan.keep,
            told,
            ahead,
            input: None,
            input_due: None,
            rumble: None,
            voice,
            encoder_up: false,
            encoder_session: None,
            video,
            refused: plan.booking.as_ref().map(|booking| booking.refused()),
            booking: plan.booking,
            ask_again: None,
            hdr,
            encoders,
            broke: Broken::default(),
            connection: None,
            pending: None,
            closing: None,
            connections: 0,
            accepting: JoinSet::new(),
            greeted: false,
            past_client: None,
            rates,
            step: None,
            cursor: audience.cursor(),
            pointer: audience.pointer(),
            follows: false,
            copies: plan.share.as_ref().map(|share| share.copies()),
            audience,
            deeds,
            hands: Hands::default(),
            keyframes: KeyframeWishes::default(),
            metered,
            newest_input: InputSeq::default(),
            barcode,
            node,
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self) {
        self.tell(Event::Admit(Decision::Granted));
        self.tell(Event::Start);
        let mut stats = tokio::time::interval(STATS_EVERY);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.node.lifecycle().1.clone();
        while self.machine.phase() != Phase::Ended {
            self.follow_meter();
            match self.wake(&mut stats, &shutdown).await {
                Wake::Command(Some(command)) => self.command(command).await,
                // The registry holds a handle for as long as the session lives.
                Wake::Command(None) => tracing::error!("session without a handle"),
                Wake::Report(Some(report)) => self.report(report),
                Wake::Report(None) => {}
                Wake::Transport(event) => self.transport_event(event),
                Wake::Pending(event) => self.pending_event(event),
                Wake::Accepted(result) => self.accepted(result),
                Wake::Timeout => self.tell(Event::Timeout),
                Wake::Rates => self.follow_rates(self.node.clock.now()),
                Wake::Stats => {
                    self.follow_rates(self.node.clock.now());
                    self.ask_for_screen(self.node.clock.now());
                    self.send_stats();
                }
                // The wish is looked at before each wait.
                Wake::Viewers => {
                    self.send_past_hidden();
                    self.tell(Event::Watched(self.audience.is_watched()));
                }
                Wake::ViewerKeyframe => self.viewer_keyframe(),
                Wake::Deed(deed) => self.deed(deed),
                Wake::Input => self.catch_up(),
                Wake::Rumble => self.rumble(),
                Wake::Cursor => self.show_cursor(),
                Wake::Pointer => self.show_pointer(),
                Wake::Copied => self.tell_copied(),
                Wake::Refused => self.show_refused(),
                Wake::Step => {
                    self.show_step();
                    self.show_status();
                }
                Wake::Metered(news) => {
                    let now = self.node.clock.now();
                    if let Some(metered) = &mut self.metered {
                        metered.heard(now, news);
                    }
                }
                Wake::MeterDue => {
                    let now = self.node.clock.now();
                    self.metered.iter_mut().for_each(|it| it.timeout(now));
                }
                Wake::Shutdown => self.tell(Event::StopRequested(StoppedBy::Shutdown)),
            }
        }
        // Whoever asked for something meanwhile is told so.
        while let Ok(command) = self.mailbox.try_recv() {
            self.command(command).await;
        }
        // The session is over for everybody, and all of it is free, while its client still takes the last words.
        let closing = self.closing.take();
        drop(self);
        if let Some(closing) = closing {
            let _ = closing.await;
        }
    }

    async fn wake(
        &mut self,
        stats: &mut tokio::time::Interval,
        shutdown: &tokio_util::sync::CancellationToken,
    ) -> Wake {
        let now = self.node.clock.now();
        let from_now = |at: MediaTime| Instant::now() + at.since(now);
        let deadline = self.machine.poll_timeout().map(from_now);
        // Nothing is to be followed while nobody is connected.
        let rates = self.connection.as_ref().and(self.rates.poll_timeout(now)).map(from_now);
        // No picture is coded for viewers alone.
        let wish = self.audience.wish().filter(|_| self.machine.phase() == Phase::Live);
        let keyframe = wish.map(|wish| from_now(self.keyframes.due(wish)));
        let ending = matches!(self.machine.phase(), Phase::Ending | Phase::Ended);
        let metered = self.metered.as_ref().and_then(Metered::poll_timeout).map(from_now);
        let input = self.input_due.map(from_now);
        let (connection, pending) = (self.connection.as_mut(), self.pending.as_mut());
        tokio::select! {
            event = next_event(connection) => Wake::Transport(event),
            event = next_event(pending.map(|it| &mut it.connection)) => Wake::Pending(event),
            command = self.mailbox.recv() => Wake::Command(command),
            report = self.reports.recv() => Wake::Report(report),
            Some(Ok(result)) = self.accepting.join_next() => Wake::Accepted(result),
            () = at(deadline) => Wake::Timeout,
            () = at(rates) => Wake::Rates,
            () = self.audience.news() => Wake::Viewers,
            () = at(keyframe) => Wake::ViewerKeyframe,
            Some(deed) = self.deeds.recv() => Wake::Deed(deed),
            () = rumble::Wishes::news(&mut self.rumble) => Wake::Rumble,
            Ok(()) = self.cursor.changed() => Wake::Cursor,
            Ok(()) = self.pointer.changed(), if self.follows => Wake::Pointer,
            () = changed(&mut self.copies) => Wake::Copied,
            () = changed(&mut self.refused) => Wake::Refused,
            () = changed(&mut self.step) => Wake::Step,
            news = Metered::news(&mut self.metered) => Wake::Metered(news),
            () = at(metered) => Wake::MeterDue,
            () = at(input) => Wake::Input,
            _ = stats.tick() => Wake::Stats,
            () = shutdown.cancelled(), if !ending => Wake::Shutdown,
        }
    }

    /// Tells the machine an event and carries out everything that it decides.
    fn tell(&mut self, event: Event) {
        let now = self.node.clock.now();
        self.machine.handle(now, event);
        while let Some(action) = self.machine.poll_action() {
            // Stopping is the only action that brings an event of its own at once.
            if let Some(event) = self.act(action) {
                self.machine.handle(self.node.clock.now(), event);
            }
        }
        let (now, phase) = (self.node.clock.now(), self.machine.phase());
        self.metered.iter_mut().for_each(|it| it.follow(now, phase));
        self.show_status();
    }

    /// Carries out what the meter wants.
    fn follow_meter(&mut self) {
        while let Some(deed) = self.metered.as_mut().and_then(Metered::poll) {
            match deed {
                MeterDeed::Say(message) if self.greeted => self.say(&message),
                // It is told when it is greeted.
                MeterDeed::Say(_) => {}
                MeterDeed::Stop(by) => self.tell(Event::StopRequested(by)),
            }
        }
    }

    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            // Both threads are started together: they are wired to each other.
            Action::StartSource => return self.start_media(),
            Action::StartEncoder => {}
            Action::Resume => {
                if let Some(media) = &self.media {
                    media.set_paused(false);
                }
                self.audience.sound().set_paused(false);
                self.voice.set_paused(false);
            }
            Action::Suspend => {
                if let Some(media) = &self.media {
                    media.set_paused(true);
                }
                self.audience.sound().set_paused(true);
                self.voice.set_paused(true);
                self.release_input();
            }
            Action::Keyframe => {
                if let Some(media) = &self.media {
                    media.keyframe();
                }
            }
            Action::NotifyClient(notice) => self.notify(&notice),
            Action::CloseTransport => self.close_transport(),
            Action::StopAll => return self.stop_media(),
            Action::Release => {
                self.encoder_session = None;
                if let Some(permit) = self.permit.take() {
                    self.node.release(&self.id, permit);
                }
            }
            Action::Record(record) => self.record(&record),
            _ => tracing::error!(?action, "unknown action"),
        }
        None
    }

    fn start_media(&mut self) -> Option<Event> {
        let plan = self.plan.take()?;
        match MediaSide::start(plan, self.node.clock.clone(), self.reports_in.clone()) {
            Ok(media) => {
                self.step = Some(media.step());
                self.media = Some(media);
                None
            }
            Err(error) => Some(Event::StartFailed(format!("no thread: {error}"))),
        }
    }

    /// Stops the threads beside this task, which joining would block. A thread that hangs is left behind, and the
    /// machine's drain deadline ends the session without it.
    fn stop_media(&mut self) -> Option<Event> {
        (self.input, self.input_due) = (None, None);
        self.voice.close();
        let sound = self.audience.sound().take();
        let Some(media) = self.media.take() else { return Some(Event::Drained) };
        let (reports, node) = (self.reports_in.clone(), self.node.clone());
        let encoders = self.encoders.1.clone();
        tokio::task::spawn_blocking(move || {
            drop(sound);
            match media.stop() {
                // The driver is gone only if it panicked.
                Stop::Complete => _ = reports.blocking_send(Report::Stopped),
                // In one of them, which may be about to do the same to others.
                Stop::EncoderHangs => node.try_encoders_again(&encoders),
                Stop::SourceHangs => {}
            }
        });
        None
    }

    fn close_transport(&mut self) {
        self.audience.sound().silence(PLAYER);
        self.voice.off();
        // One whose client was told why closes by itself.
        (self.connection, self.pending) = (None, None);
    }

    fn release_input(&mut self) {
        let now = self.node.clock.now();
        self.hands.all_up();
        if let Some(input) = &mut self.input {
            input.release_all(now);
        }
        self.catch_up();
    }

    /// Whatever takes input goes on with what it could not do at once.
    fn catch_up(&mut self) {
        let now = self.node.clock.now();
        self.input_due = self.input.as_mut().and_then(|input| input.catch_up(now));
    }

    fn notify(&mut self, notice: &Notice) {
        let message = match notice {
            Notice::Warning { reason, left } => wire::ServerMessage::Warning {
                reason: reason.to_string(),
                in_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            },
            Notice::Ended(reason) => return self.say_last(&ended(reason.into())),
        };
        self.say(&message);
    }

    /// Says why it ends: the connection closes once the client has that, and the rest ends meanwhile.
    fn say_last(&mut self, message: &wire::ServerMessage) {
        if let Some(mut connection) = self.connection.take() {
            connection.say(message);
            self.closing = Some(tokio::spawn(connection.close().in_current_span()));
        }
    }

    fn send_stats(&mut self) {
        let now = self.node.clock.now();
        self.connection.iter_mut().for_each(Connection::count_dropped);
        let Some(media) = &self.media else { return };
        let (source, encoder) = media.counts();
        self.client.count(&self.node.metrics, &source, &encoder);
        let audio = self.audience.sound().look(now, &self.node.metrics);
        let microphone = self.voice.look(now, &self.node.metrics);
        let not_coded = encoder.dropped + encoder.skipped + encoder.throttled;
        self.metered.iter_mut().for_each(|it| it.counted(now, source.coded, not_coded));
        self.audience.counted(source, encoder.clone());
        if self.connection.is_none() || self.machine.phase() != Phase::Live {
            return;
        }
        let rate = (self.rates.encoder_target(), self.rates.stats(now));
        let viewers = self.audience.present();
        let heard = Heard { audio, microphone };
        let stats = self.client.stats(now, rate, heard, &source, &encoder, viewers);
        self.say(&stats);
        self.ping(now);
    }

    fn greet(&mut self) {
        let saves = self.keep.as_ref().and_then(|keep| keep.told());
        let (device, input) = (self.node.device_name(), self.audience.takes());
        let microphone = self.voice.access();
        let hello = self.client.hello(self.id.as_str(), &device, saves, input, microphone);
        self.say(&hello);
        let now = self.node.clock.now();
        self.metered.iter_mut().for_each(|it| it.greet(now));
        self.show_cursor();
        self.tell_copied();
        self.show_step();
    }

    /// What the start waits for, until there is a picture.
    fn step(&self) -> Option<wire::StartStep> {
        self.step.as_ref().and_then(|step| *step.borrow())
    }

    /// Tells a client that was greeted of it.
    fn show_step(&mut self) {
        if let Some(step) = self.step().filter(|_| self.greeted) {
            self.say(&wire::ServerMessage::Starting { step });
        }
    }

    /// Tells a client that was greeted of the pointer, once there is one.
    fn show_cursor(&mut self) {
        let cursor = self.cursor.borrow_and_update().clone();
        if let Some(cursor) = cursor.filter(|_| self.greeted) {
            self.say(&wire::ServerMessage::Cursor(cursor));
            self.show_pointer();
        }
    }

    /// Tells a client that follows it where the pointer is, while it shows.
    fn show_pointer(&mut self) {
        let shows = self.cursor.borrow().as_ref().is_some_and(|cursor| cursor.look.is_some());
        let place = *self.pointer.borrow_and_update();
        if let Some(place) = place.filter(|_| shows && self.follows && self.greeted) {
            self.say(&wire::ServerMessage::Pointer(place));
        }
    }

    /// Tells a client that was greeted that something was copied, once something was.
    fn tell_copied(&mut self) {
        let number = self.copies.as_mut().map_or(0, |copies| *copies.borrow_and_update());
        if number > 0 && self.greeted {
            self.say(&wire::ServerMessage::Clipboard { number });
        }
    }

    /// The same to a client that was greeted, and is to know what changed.
    fn greet_again(&mut self) {
        if self.greeted {
            self.greet();
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

    fn record(&self, record: &Record) {
        match record {
            Record::Entered(phase) => tracing::info!(phase = phase.name(), "session"),
            Record::Ended(summary) => {
                self.node.metrics.session_ended(summary.reason.code());
                let length = summary.ended.since(summary.requested);
                let (code, detail) = (summary.reason.code(), summary.reason.detail());
                if summary.reason.is_failure() || summary.drain == Drain::TimedOut {
                    tracing::error!(reason = code, detail, ?length, live = ?summary.live, drain = ?summary.drain, "session ended");
                } else {
                    tracing::info!(reason = code, ?length, live = ?summary.live, "session ended");
                }
            }
        }
    }

    fn show_status(&self) {
        let state = match self.machine.phase() {
            Phase::Requested => wire::SessionState::Requested,
            Phase::Admitted => wire::SessionState::Admitted,
            Phase::Starting => wire::SessionState::Starting,
            Phase::Live => wire::SessionState::Live,
            Phase::Suspended => wire::SessionState::Suspended,
            Phase::Ending => wire::SessionState::Ending,
            Phase::Ended => wire::SessionState::Ended,
        };
        let over = self.machine.reason().map(Over::from);
        if let Some(over) = &over {
            self.audience.end(over.clone());
        }
        let newest = self.pending.as_ref().map(|it| &it.connection).or(self.connection.as_ref());
        let connection = newest.map(|it| it.name().to_owned());
        let transport = connection.as_ref().and(self.client.transport()).cloned();
        let starting = self.step();
        self.show.send_replace(Status { state, starting, over, connection, transport });
    }
}

impl Drop for Driver {
    /// A driver that panics must not keep its place, nor stop the runtime's thread while it joins its own.
    fn drop(&mut self) {
        self.audience.end("The session failed.");
        let sound = self.audience.sound().take();
        if let Some(sound) = sound {
            tokio::task::spawn_blocking(move || drop(sound));
        }
        if let Some(media) = self.media.take() {
            tokio::task::spawn_blocking(move || media.stop());
        }
        // Before the session's handle says that it is over: its card is free then.
        if let Some(metered) = self.metered.take() {
            metered.end(self.node.clock.as_ref());
        }
        if let Some(permit) = self.permit.take() {
            self.node.release(&self.id, permit);
        }
    }
}

/// Waits until it changes, or for ever where there is none.
async fn changed<T>(receiver: &mut Option<watch::Receiver<T>>) {
    let changed = match receiver {
        Some(receiver) => receiver.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending::<()>().await;
    }
}

/// What clients are told last.
pub(super) fn ended(Over { reason, code }: Over) -> wire::ServerMessage {
    wire::ServerMessage::Ended { reason, code: code.map(ToOwned::to_owned) }
}

fn names(encoders: &[Candidate]) -> Vec<&'static str> {
    encoders.iter().map(|candidate| candidate.name).collect()
}
