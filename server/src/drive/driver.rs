//! The driver task: events in, decisions of the state machine out.

use std::sync::Arc;
use std::time::Duration;

use encoder::{Candidate, WorkerEvent};
use media::{
    Acks, Bitrate, CloseReason, DataChannel, InputEvent, InputSeq, InputSink, Mark, MediaTime,
    PictureKind, SequencedInput, TransportEvent,
};
use session::admission::Permit;
use session::follow::KeyframeWishes;
use session::hands::{Hands, PLAYER, Who};
use session::invitations::Role;
use session::machine::{Action, Decision, Drain, Event, Limits, Machine, Notice, Phase, Record};
use session::rate::{Part, RateAction, RateConfig};
use session::reason::StoppedBy;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Instrument as _;
use transport::Decodes;

use super::Plan;
use super::answer::{self, ForClient, Taken, Used};
use super::audience::{Audience, Deed};
use super::client::{ClientSide, Said};
use super::connection::{Connection, at, next_event};
use super::media_side::{MediaPlan, MediaSide, REPORTS, Report, Stop};
use super::rates::Rates;
use super::source::SourceReport;
use super::trace;
use crate::apps::VideoMode;
use crate::caller::{Caller, Refused};
use crate::encoders::{Broken, EncoderSession};
use crate::node::Node;
use crate::registry::{Answer, Command, ConnectError, Status};
use crate::wire;

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
    input: Option<Box<dyn InputSink>>,
    encoder_up: bool,
    /// The encoder in use.
    encoder_session: Option<EncoderSession>,
    video: VideoMode,
    /// HDR10 is shown to clients that decode it.
    hdr: bool,
    /// What the encoder's thread was given: the kind of pictures, and names of encoders.
    encoders: (PictureKind, Vec<&'static str>),
    /// Those that broke in this session.
    broke: Broken,
    connection: Option<Connection>,
    connections: u32,
    /// The client of WebTransport that is being accepted, which takes as long as it likes. The newest wins.
    accepting: JoinSet<Result<(Taken, ForClient), ConnectError>>,
    /// The client's control channel is open and was greeted on it.
    greeted: bool,
    rates: Rates,
    /// The strip is drawn, which pictures must have room for.
    barcode: bool,
    client: ClientSide,
    /// Those who watch.
    audience: Arc<Audience>,
    /// What co-players do.
    deeds: mpsc::Receiver<Deed>,
    /// All who play.
    hands: Hands,
    keyframes: KeyframeWishes,
    /// The newest input of the player, which stands for all that shows in a picture.
    newest_input: InputSeq,
}

/// What the driver's task wakes up for.
enum Wake {
    Command(Option<Command>),
    Report(Option<Report>),
    Transport(TransportEvent),
    Accepted(Result<(Taken, ForClient), ConnectError>),
    Timeout,
    Rates,
    Stats,
    /// A viewer wants a keyframe, at another time than was known, or the first one watches, or the last one no more.
    Viewers,
    /// That keyframe is due.
    ViewerKeyframe,
    Deed(Deed),
    Shutdown,
}

impl Driver {
    pub(super) fn new(
        node: Arc<Node>,
        plan: Plan,
        mailbox: mpsc::Receiver<Command>,
        show: watch::Sender<Status>,
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
        let media_plan = MediaPlan {
            label,
            app: plan.app,
            video: plan.video,
            settings: config.video.encoder_settings(plan.video, rates.encoder_target()),
            barcode,
            encoders: plan.encoders,
            kind,
        };
        Self {
            machine: Machine::new(now, limits),
            id: plan.id,
            client: ClientSide::new(Role::Player, plan.granted, plan.choice, now),
            permit: Some(plan.permit),
            plan: Some(media_plan),
            mailbox,
            show,
            reports_in,
            reports,
            media: None,
            input: None,
            encoder_up: false,
            encoder_session: None,
            video,
            hdr,
            encoders,
            broke: Broken::default(),
            connection: None,
            connections: 0,
            accepting: JoinSet::new(),
            greeted: false,
            rates,
            audience,
            deeds,
            hands: Hands::default(),
            keyframes: KeyframeWishes::default(),
            newest_input: InputSeq::default(),
            barcode,
            node,
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self) {
        self.tell(Event::Admit(Decision::Granted)).await;
        self.tell(Event::Start).await;
        let mut stats = tokio::time::interval(STATS_EVERY);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.node.lifecycle().1.clone();
        while self.machine.phase() != Phase::Ended {
            match self.wake(&mut stats, &shutdown).await {
                Wake::Command(Some(command)) => self.command(command).await,
                // The registry holds a handle for as long as the session lives.
                Wake::Command(None) => tracing::error!("session without a handle"),
                Wake::Report(Some(report)) => self.report(report).await,
                Wake::Report(None) => {}
                Wake::Transport(event) => self.transport_event(event).await,
                Wake::Accepted(result) => self.accepted(result),
                Wake::Timeout => self.tell(Event::Timeout).await,
                Wake::Rates => self.follow_rates(self.node.clock.now()),
                Wake::Stats => {
                    self.follow_rates(self.node.clock.now());
                    self.send_stats();
                }
                // The wish is looked at before each wait.
                Wake::Viewers => self.tell(Event::Watched(self.audience.is_watched())).await,
                Wake::ViewerKeyframe => self.viewer_keyframe(),
                Wake::Deed(deed) => self.deed(deed).await,
                Wake::Shutdown => self.tell(Event::StopRequested(StoppedBy::Shutdown)).await,
            }
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
        let connection = &mut self.connection;
        tokio::select! {
            event = next_event(connection) => Wake::Transport(event),
            command = self.mailbox.recv() => Wake::Command(command),
            report = self.reports.recv() => Wake::Report(report),
            Some(Ok(result)) = self.accepting.join_next() => Wake::Accepted(result),
            () = at(deadline) => Wake::Timeout,
            () = at(rates) => Wake::Rates,
            () = self.audience.news() => Wake::Viewers,
            () = at(keyframe) => Wake::ViewerKeyframe,
            Some(deed) = self.deeds.recv() => Wake::Deed(deed),
            _ = stats.tick() => Wake::Stats,
            () = shutdown.cancelled(), if !ending => Wake::Shutdown,
        }
    }

    /// Tells the machine an event and carries out everything that it decides.
    async fn tell(&mut self, event: Event) {
        let now = self.node.clock.now();
        self.machine.handle(now, event);
        while let Some(action) = self.machine.poll_action() {
            // Stopping is the only action that brings an event of its own at once.
            if let Some(event) = self.act(action).await {
                self.machine.handle(self.node.clock.now(), event);
            }
        }
        self.show_status();
    }

    async fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            // Both threads are started together: they are wired to each other.
            Action::StartSource => return self.start_media(),
            Action::StartEncoder => {}
            Action::Resume => {
                if let Some(media) = &self.media {
                    media.set_paused(false);
                }
                self.audience.sound().set_paused(false);
            }
            Action::Suspend => {
                if let Some(media) = &self.media {
                    media.set_paused(true);
                }
                self.audience.sound().set_paused(true);
                self.release_input();
            }
            Action::Keyframe => {
                if let Some(media) = &self.media {
                    media.keyframe();
                }
            }
            Action::NotifyClient(notice) => self.notify(&notice),
            Action::CloseTransport => self.close_transport().await,
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
                self.media = Some(media);
                None
            }
            Err(error) => Some(Event::StartFailed(format!("no thread: {error}"))),
        }
    }

    /// Stops the threads beside this task, which joining would block. A thread that hangs is left behind, and the
    /// machine's drain deadline ends the session without it.
    fn stop_media(&mut self) -> Option<Event> {
        self.input = None;
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

    async fn close_transport(&mut self) {
        self.audience.sound().silence(PLAYER);
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Connect(offer, reply) => self.connect(&offer, reply).await,
            Command::Accept(caller, decodes) => self.accept(caller, decodes),
            Command::Trickle(name, fragment, reply) => {
                let _ = reply.send(Connection::trickle(self.connection.as_ref(), &name, &fragment));
            }
            Command::Stop(by) => self.tell(Event::StopRequested(by)).await,
        }
    }

    async fn connect(&mut self, offer: &str, reply: oneshot::Sender<Result<Answer, ConnectError>>) {
        if matches!(self.machine.phase(), Phase::Ending | Phase::Ended) {
            let _ = reply.send(Err(ConnectError::Ended));
            return;
        }
        let chosen = answer::decodes(offer).and_then(|decodes| self.choose(decodes));
        let answered = match chosen {
            Ok(media) => {
                let (codec, depth) = media.coded();
                let sound = self.audience.sound().is_offered();
                let answered = answer::answer(&self.node, codec, depth, sound, offer).await;
                answered.map(|(taken, answer)| (taken, media, answer))
            }
            Err(error) => Err(error),
        };
        let reply_with = match answered {
            Ok((taken, media, answer)) => {
                Ok(Answer { connection: self.take_over(taken, media), sdp: answer.sdp })
            }
            Err(error) => {
                tracing::info!(%error, "offer refused");
                Err(error)
            }
        };
        let _ = reply.send(reply_with);
    }

    /// The client learns the outcome by its connection.
    fn accept(&mut self, caller: Caller, decodes: Decodes) {
        if matches!(self.machine.phase(), Phase::Ending | Phase::Ended) {
            tokio::spawn(caller.refuse(Refused::Over, "the session is over".into()));
            return;
        }
        match self.choose(decodes) {
            Ok(media) => match media.coded() {
                (Some(codec), depth) => {
                    let (node, video) = (self.node.clone(), self.video);
                    let accept = async move {
                        let taken = answer::accept(&node, video, codec, depth, caller).await;
                        taken.map(|taken| (taken, media))
                    };
                    self.accepting.abort_all();
                    self.accepting.spawn(accept.in_current_span());
                }
                (None, _) => tracing::error!("client refused: no encoder was chosen"),
            },
            Err(error) => {
                tracing::info!(%error, by = caller.by(), "client refused");
                tokio::spawn(caller.refuse(Refused::Forbidden, error.to_string()));
            }
        }
    }

    fn accepted(&mut self, accepted: Result<(Taken, ForClient), ConnectError>) {
        match accepted {
            // The session may have begun to end meanwhile; the connection closes with its drop.
            Ok(_) if matches!(self.machine.phase(), Phase::Ending | Phase::Ended) => {}
            Ok((taken, media)) => drop(self.take_over(taken, media)),
            Err(error) => tracing::info!(%error, "client refused"),
        }
    }

    fn choose(&self, decodes: Decodes) -> Result<ForClient, ConnectError> {
        let used = Used { holds: self.holds(), broke: &self.broke };
        answer::choose(&self.node, self.video, self.hdr, decodes, used)
    }

    /// Serves a client from now on, whatever it came by; yields the connection's name.
    fn take_over(&mut self, taken: Taken, media: ForClient) -> String {
        self.audience.sound().silence(PLAYER);
        self.connections += 1;
        let connection = Connection::new(self.connections, taken, &self.node.metrics);
        let name = connection.name().to_owned();
        // A client that comes back takes the place of its old self.
        if let Some(media) = &self.media {
            media.send_to(None);
        }
        self.use_encoders(media);
        self.release_input();
        let now = self.node.clock.now();
        self.client.reset(now);
        self.greeted = false;
        self.rates.renew(now);
        self.connection = Some(connection);
        if let Some(media) = &self.media {
            media.set_frame_rate(Part::WHOLE);
            media.set_size(self.rates.full_size());
        }
        self.set_rates(now);
        self.show_status();
        name
    }

    /// The encoder in use.
    fn holds(&self) -> Option<&'static str> {
        self.encoder_session.as_ref().map(EncoderSession::name)
    }

    /// Codes for another client, or for one that comes back: its picture begins anew in any case. What is
    /// in use and is the best for it stays; else a better one works again, or has a session again.
    fn use_encoders(&mut self, chosen: ForClient) {
        let ForClient { kind, choice, encoders, hdr_declined } = chosen;
        self.client.encoders_chosen(choice, hdr_declined);
        let given = (kind, names(&encoders));
        let fell_back = self.holds().is_some_and(|used| given.1.first() != Some(&used));
        if (given != self.encoders || fell_back)
            && let Some(media) = &self.media
        {
            media.use_encoders(encoders, kind);
            self.encoders = given;
        }
    }

    async fn report(&mut self, report: Report) {
        let event = match report {
            Report::Source(SourceReport::Opened { input, sound, resizes }) => {
                self.audience.sound().opened(sound, self.node.clock.clone());
                self.input = Some(input);
                self.rates.set_resizes(resizes && !self.barcode);
                self.started()
            }
            Report::Source(SourceReport::OpenFailed(error)) => {
                Some(Event::StartFailed(error.to_string()))
            }
            Report::Source(SourceReport::DeviceLost(why)) => {
                tracing::warn!(why, "graphics device lost");
                Some(Event::DeviceLost)
            }
            Report::Source(SourceReport::DeviceBack) => Some(Event::DeviceBack),
            Report::Source(SourceReport::Resized(size)) => {
                // The encoder follows the picture that it is given.
                tracing::info!(%size, "source resized");
                self.rates.on_resized(size);
                None
            }
            Report::Source(SourceReport::Ended) => Some(Event::SourceEnded),
            Report::Source(SourceReport::Failed(why)) => Some(match self.machine.phase() {
                Phase::Starting => Event::StartFailed(why),
                _ => Event::SourceFailed(why),
            }),
            Report::Source(SourceReport::Panicked(why)) => Some(Event::Panicked(why)),
            Report::Stopped => Some(Event::Drained),
            Report::Encoder(WorkerEvent::Opened(capabilities)) => {
                self.encoder_up = true;
                self.encoder_session = Some(self.node.encoder_session(capabilities.name));
                self.client.encoder_opened(capabilities.name, capabilities.codec);
                let kind = self.encoders.0;
                self.audience.change_stream(|stream| {
                    stream.codec = Some(capabilities.codec);
                    (stream.kind, stream.encoder) = (kind, capabilities.name);
                });
                // Said before the encoder was up, or another encoder took its place.
                self.greet_again();
                self.started()
            }
            Report::Encoder(WorkerEvent::FellBack { name, reason }) => {
                tracing::warn!(encoder = name, reason, "encoder given up, the next one is tried");
                self.client.encoder_given_up(name, &reason);
                self.encoder_session = None;
                self.node.encoders.broke(name, &mut self.broke);
                self.node.try_encoders_again(&[name]);
                None
            }
            Report::Encoder(WorkerEvent::NoSession { name, reason, open }) => {
                tracing::warn!(
                    encoder = name,
                    open,
                    reason,
                    "no session left, the next one is tried"
                );
                self.client.encoder_given_up(name, &reason);
                // What it had before is gone since before it asked: said later, that would count as room.
                self.encoder_session = None;
                self.node.encoder_session_refused(name, open);
                None
            }
            Report::Encoder(WorkerEvent::PassedOver { name, reason, open }) => {
                tracing::info!(encoder = name, reason, "encoder passed over at this size");
                self.client.encoder_given_up(name, &reason);
                // The one that is in use may still be another.
                self.encoder_session.take_if(|session| session.name() == name);
                if let Some(open) = open {
                    self.node.encoder_session_refused(name, open);
                }
                None
            }
            Report::Encoder(WorkerEvent::SizeRefused { size, reason }) => {
                tracing::warn!(%size, reason, "no encoder takes pictures of this size");
                self.client.size_refused(Some((size, reason)));
                self.greet_again();
                None
            }
            Report::Encoder(WorkerEvent::SizeRefusalEnded) => {
                self.client.size_refused(None);
                self.greet_again();
                None
            }
            Report::Encoder(WorkerEvent::Failed(why)) => Some(Event::EncoderFailed(why)),
            Report::Encoder(WorkerEvent::Panicked(why)) => Some(Event::Panicked(why)),
            Report::Encoder(event) => {
                tracing::warn!(?event, "encoder");
                None
            }
        };
        if let Some(event) = event {
            self.tell(event).await;
        }
    }

    fn started(&self) -> Option<Event> {
        (self.encoder_up && self.input.is_some()).then_some(Event::Started)
    }

    async fn transport_event(&mut self, event: TransportEvent) {
        let now = self.node.clock.now();
        match event {
            TransportEvent::Connected { .. } => {
                if let (Some(media), Some(connection)) = (&self.media, &mut self.connection) {
                    let sink = connection.video_sink();
                    let sink = self.rates.gated(sink, self.node.clock.clone());
                    media.send_to(Some(self.audience.fan(sink)));
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
                self.tell(Event::TransportConnected { visible }).await;
            }
            TransportEvent::ChannelOpen(DataChannel::Control) => {
                self.greeted = true;
                self.greet();
                self.ping(now);
            }
            TransportEvent::ChannelOpen(_) => {}
            TransportEvent::Interrupted => self.tell(Event::TransportInterrupted).await,
            // A browser that gets no frames for some seconds asks for one to be sure. It lacks nothing
            // when it has shown the newest there is.
            TransportEvent::KeyframeNeeded(_) if self.client.lacks_nothing(now) => {}
            TransportEvent::KeyframeNeeded(_) => {
                if let Some(media) = &self.media {
                    media.keyframe();
                }
            }
            TransportEvent::FramesLost(_, lost) => {
                if let Some(media) = &self.media {
                    media.forget(lost);
                }
            }
            TransportEvent::FrameSent { frame, wire_timestamp, bytes, stages, .. } => {
                trace::sent(frame, wire_timestamp, bytes, &stages);
                self.node.metrics.frame_sent(bytes, &stages);
                let left = stages.get(Mark::LastSent).unwrap_or(now);
                self.rates.on_sent(left, wire_timestamp, bytes);
                self.follow_rates(now);
                self.client.frame_sent(now, frame, wire_timestamp, bytes, &stages);
            }
            TransportEvent::Path(report) => {
                self.audience.sound().on_report(&report);
                self.rates.on_report(&report);
                self.follow_rates(now);
            }
            TransportEvent::Data(channel, message) => self.message(now, channel, &message).await,
            TransportEvent::Closed(reason) => {
                tracing::info!(%reason, "connection closed");
                self.audience.sound().silence(PLAYER);
                self.node.metrics.floods.inc_by(u64::from(matches!(reason, CloseReason::Flood(_))));
                if let Some(connection) = &self.connection {
                    self.node.metrics.connection_closed(connection.by(), &reason);
                }
                let leaving = self.connection.take().is_none_or(|it| it.closing_is_leaving());
                // Those that talk to us say goodbye where they mean it: a page may be loading again.
                let event = match reason {
                    CloseReason::Remote if self.greeted || !leaving => Event::ClientAway,
                    reason => Event::TransportClosed(reason),
                };
                if let Some(media) = &self.media {
                    media.send_to(None);
                }
                self.tell(event).await;
            }
            // Sound from clients comes with hosted games.
            _ => {}
        }
    }

    /// Carries out what the rate controller asks for.
    fn follow_rates(&mut self, now: MediaTime) {
        while let Some(action) = self.rates.poll(now) {
            match action {
                RateAction::Target { .. } => self.set_rates(now),
                RateAction::FrameRate(part) => {
                    tracing::info!(part = part.as_f64(), "frame rate");
                    if let Some(media) = &self.media {
                        media.set_frame_rate(part);
                    }
                    self.set_rates(now);
                }
                RateAction::Size(part) => {
                    let size = part.of_size(self.rates.full_size());
                    tracing::info!(%size, "size of pictures");
                    if let Some(media) = &self.media {
                        media.set_size(size);
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
    fn set_rates(&mut self, now: MediaTime) {
        self.audience.set_rate(self.rates.encoder_target());
        if let Some(media) = &self.media {
            media.set_bitrate(self.rates.told_encoder(now));
        }
        if let Some(connection) = &mut self.connection {
            connection.set_pacing(self.rates.target());
        }
    }

    async fn message(&mut self, now: MediaTime, channel: DataChannel, message: &[u8]) {
        match channel {
            DataChannel::Control => self.control_message(now, message).await,
            DataChannel::Input | DataChannel::Motion => self.input_message(now, message).await,
            DataChannel::Acks => self.acks(now, message),
        }
    }

    fn acks(&mut self, now: MediaTime, message: &[u8]) {
        match Acks::decode(message) {
            Ok(acks) => {
                self.rates.on_acks(now, &acks);
                self.follow_rates(now);
                if let (Some(frame), Some(media)) = (self.client.acked(&acks), &self.media) {
                    media.acknowledge(frame);
                }
            }
            Err(error) => {
                self.node.metrics.bad_messages.inc();
                tracing::debug!(%error, "acknowledgements refused");
            }
        }
    }

    async fn control_message(&mut self, now: MediaTime, message: &[u8]) {
        match self.client.said(now, message) {
            Ok(Said::Nothing) => {}
            Ok(Said::Decoded(frame)) => {
                if let Some(media) = &self.media {
                    media.acknowledge(frame);
                }
            }
            Ok(Said::KeyframeNeeded) => {
                if let Some(media) = &self.media {
                    media.keyframe();
                }
            }
            Ok(Said::Transport) => {
                let taken = self.client.transport();
                tracing::info!(kind = ?taken.map(|it| it.kind), reason = taken.map(|it| &*it.reason), "transport");
                self.show_status();
            }
            Ok(Said::Visible(visible)) => {
                if let Some(connection) = &mut self.connection {
                    connection.visible = visible;
                }
                self.tell(Event::Visibility(visible)).await;
            }
            Ok(Said::Bye) => self.tell(Event::StopRequested(StoppedBy::Client)).await,
            Err(error) => {
                self.node.metrics.bad_messages.inc();
                tracing::debug!(%error, "control message refused");
            }
        }
    }

    async fn input_message(&mut self, now: MediaTime, message: &[u8]) {
        let input = match SequencedInput::decode(message) {
            Ok(input) if self.client.may_input(now) => input,
            Ok(_) => {
                self.node.metrics.input_dropped.inc();
                return;
            }
            Err(error) => {
                self.node.metrics.bad_messages.inc();
                tracing::debug!(%error, "input refused");
                return;
            }
        };
        self.newest_input = input.seq;
        self.inject(now, PLAYER, input.event).await;
    }

    /// Somebody plays.
    async fn inject(&mut self, now: MediaTime, who: Who, event: InputEvent) {
        let seq = self.newest_input;
        if let Some(sink) = &mut self.input {
            self.hands.does(who, event, |event| sink.inject(&SequencedInput { seq, event }, now));
        }
        if let Some(media) = &self.media {
            media.input_came(now);
        }
        self.tell(Event::InputActivity).await;
    }

    async fn deed(&mut self, deed: Deed) {
        let now = self.node.clock.now();
        let live = self.machine.phase() == Phase::Live;
        match deed {
            Deed::Does(who, event) if live => self.inject(now, who, event).await,
            // While the player is away nobody plays.
            Deed::Does(..) => {}
            Deed::LetsGo(who) => {
                let seq = self.newest_input;
                if let Some(sink) = &mut self.input {
                    self.hands
                        .let_go(who, |event| sink.inject(&SequencedInput { seq, event }, now));
                }
            }
        }
    }

    /// One keyframe for all viewers that wait for one.
    fn viewer_keyframe(&mut self) {
        self.keyframes.ask(self.node.clock.now());
        self.node.metrics.viewer_keyframes.inc();
        if let Some(media) = &self.media {
            media.keyframe();
        }
    }

    fn release_input(&mut self) {
        let now = self.node.clock.now();
        self.hands.all_up();
        if let Some(input) = &mut self.input {
            input.release_all(now);
        }
    }

    fn notify(&mut self, notice: &Notice) {
        let message = match notice {
            Notice::Warning { reason, left } => wire::ServerMessage::Warning {
                reason: reason.to_string(),
                in_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            },
            Notice::Ended(reason) => wire::ServerMessage::Ended { reason: reason.to_string() },
        };
        self.say(&message);
    }

    fn send_stats(&mut self) {
        let now = self.node.clock.now();
        let Some(media) = &self.media else { return };
        let (source, encoder) = media.counts();
        self.client.count(&self.node.metrics, &source, &encoder);
        let audio = self.audience.sound().look(now, &self.node.metrics);
        self.audience.counted(source, encoder.clone());
        if self.connection.is_none() || self.machine.phase() != Phase::Live {
            return;
        }
        let rate = (self.rates.encoder_target(), self.rates.stats(now));
        let viewers = self.audience.present();
        let stats = self.client.stats(now, rate, audio, &source, &encoder, viewers);
        self.say(&stats);
        self.ping(now);
    }

    fn greet(&mut self) {
        let hello = self.client.hello(self.id.as_str(), &self.node.device_name());
        self.say(&hello);
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
        let reason = self.machine.reason().map(ToString::to_string);
        if let Some(reason) = &reason {
            self.audience.end(reason);
        }
        let connection = self.connection.as_ref().map(|connection| connection.name().to_owned());
        let transport = connection.as_ref().and(self.client.transport()).cloned();
        self.show.send_replace(Status { state, reason, connection, transport });
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
        if let Some(permit) = self.permit.take() {
            self.node.release(&self.id, permit);
        }
    }
}

fn names(encoders: &[Candidate]) -> Vec<&'static str> {
    encoders.iter().map(|candidate| candidate.name).collect()
}
