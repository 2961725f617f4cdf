//! The life of a session, without input or output.
//!
//! ```text
//!               Admit                Start                    media up and client there
//!  Requested ────────────▶ Admitted ───────▶ Starting ───────────────────────────────▶ Live
//!      │                       │                │                                     │   ▲
//!      │ refused,              │ stop,          │ start or connect timeout,    client │   │ both
//!      │ stop                  │ timeout        │ start failed           or device    │   │ there
//!      │                       │                ▼                        gone         ▼   │ again
//!      │                       │           Ending(reason) ◀──── grace over ──────── Suspended
//!      │                       │                │    ▲
//!      │                       │                │    └── from each of the three: stop, limits,
//!      │                       │      drained,  │        client left, source ended, encoder
//!      ▼                       ▼      deadline  ▼        failed, panic
//!  Ended(reason) ◀───────── Ended(reason) ◀─────┘
//! ```
//!
//! A driver hands every event to [`Machine::handle`], carries out what [`Machine::poll_action`] yields
//! until it yields nothing, and calls again with [`Event::Timeout`] at [`Machine::poll_timeout`].
//! Between two events at most [`MAX_ACTIONS`] actions are waiting.
//!
//! What holds whatever the events are (and is tested so): drawing runs only between a `Resume` and the
//! `Suspend` after it; capacity is released once if it was granted and never otherwise; a session that
//! was told to stop ends, at the latest with its drain deadline; after the end nothing happens.

use std::collections::VecDeque;
use std::time::Duration;

use media::{CloseReason, Exited, MediaTime};

use crate::admission::Refusal;
use crate::reason::{EndReason, StoppedBy};

/// Actions that one event can cause at most.
pub const MAX_ACTIONS: usize = 10;

/// How long a session may be in which condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From admission until the scene and the encoder are up.
    pub start: Duration,
    /// From admission until somebody connects.
    pub connect: Duration,
    /// From a lost client or device until the session is given up.
    pub reconnect: Duration,
    /// The same after a client that went without a goodbye: its page may be loading again. At most `reconnect`.
    pub away: Duration,
    /// Without input.
    pub idle: Duration,
    /// How long before the idle limit the player is warned.
    pub idle_warning: Duration,
    /// From admission, whatever happens.
    pub longest: Duration,
    /// How long before the longest time the player is warned.
    pub longest_warning: Duration,
    /// From the decision to end until every thread has let go.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            start: Duration::from_secs(15),
            connect: Duration::from_secs(20),
            reconnect: Duration::from_secs(30),
            away: Duration::from_secs(10),
            idle: minutes(15),
            idle_warning: minutes(1),
            longest: minutes(12 * 60),
            longest_warning: minutes(5),
            drain: Duration::from_secs(5),
        }
    }
}

/// What admission said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A place is held for the session; the driver keeps the permit until [`Action::Release`].
    Granted,
    /// There is none.
    Refused(Refusal),
}

/// What happens to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Time has passed; nothing else has happened.
    Timeout,
    /// Admission has decided.
    Admit(Decision),
    /// The driver is ready to begin (where a lease is needed: it is confirmed).
    Start,
    /// The source and the encoder are up.
    Started,
    /// They will not come up.
    StartFailed(String),
    /// Media can flow to the client. A second time without a loss between: another client took over, or the
    /// path was silent for so short that nobody was told.
    TransportConnected {
        /// Whether the client shows the picture, as far as it has said so on this connection.
        visible: bool,
    },
    /// The path went silent; it may come back.
    TransportInterrupted,
    /// The connection is over. Not to be told of a connection that another one replaced.
    TransportClosed(CloseReason),
    /// The client closed the connection and did not say goodbye: its page is gone, and may come back.
    ClientAway,
    /// The player did something.
    InputActivity,
    /// Whether the client shows the picture.
    Visibility(bool),
    /// Whether viewers show the picture.
    Watched(bool),
    /// The graphics device is gone.
    DeviceLost,
    /// A graphics device is there again.
    DeviceBack,
    /// Somebody wants the session to end.
    StopRequested(StoppedBy),
    /// The session's code panicked.
    Panicked(String),
    /// No encoder of the table can code any more.
    EncoderFailed(String),
    /// The source came to its end.
    SourceEnded,
    /// The program that the source shows is over, and did not end well.
    SourceExited(Exited),
    /// The source broke while it ran.
    SourceFailed(String),
    /// All that [`Action::StopAll`] stopped has let go of everything.
    Drained,
}

/// What the driver has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Open the source; answer with [`Event::Started`] or [`Event::StartFailed`] once both are up.
    StartSource,
    /// Open the encoder.
    StartEncoder,
    /// Draw and encode from now on. If the device was lost, the source is opened on the new one.
    Resume,
    /// Draw and encode nothing until `Resume`; keep the scene as it is.
    Suspend,
    /// Code the next picture on its own.
    Keyframe,
    /// Tell the client.
    NotifyClient(Notice),
    /// Close the connection once the client has what it was told.
    CloseTransport,
    /// Stop every thread and task; answer with [`Event::Drained`].
    StopAll,
    /// Give the permit back to admission.
    Release,
    /// Write it into the log.
    Record(Record),
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The session ends for this reason unless something is done about it.
    Warning {
        /// Why it would end.
        reason: EndReason,
        /// Time until then.
        left: Duration,
    },
    /// The session is over.
    Ended(EndReason),
}

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The session is in another phase.
    Entered(Phase),
    /// The session is over; the last action of all.
    Ended(Summary),
}

/// A session that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Why it ended.
    pub reason: EndReason,
    /// When it was asked for.
    pub requested: MediaTime,
    /// When it was over.
    pub ended: MediaTime,
    /// How long it was live in all.
    pub live: Duration,
    /// Whether its threads let go.
    pub drain: Drain,
}

/// How the end went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// There was nothing to stop.
    NotNeeded,
    /// Everything let go.
    Complete,
    /// Something still held on when the deadline passed.
    TimedOut,
}

/// Where a session is, for the API and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Admission has not decided.
    Requested,
    /// A place is held.
    Admitted,
    /// The scene is loading or the client has not connected.
    Starting,
    /// It plays.
    Live,
    /// The client or the device is gone for the moment.
    Suspended,
    /// It is being taken down.
    Ending,
    /// It is over.
    Ended,
}

impl Phase {
    /// The name used in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Admitted => "admitted",
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Suspended => "suspended",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }
}

/// Whether an event meant anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It did.
    Taken,
    /// It does not belong to this phase and changed nothing. An ignored [`Decision::Granted`] leaves
    /// the permit with the driver, who must release it.
    Ignored,
}

/// The source and the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Starting,
    Up,
    Lost,
}

/// The client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Absent,
    /// Absent because it went.
    Away,
    Watching,
    Hidden,
}

impl Client {
    fn is_there(self) -> bool {
        matches!(self, Self::Watching | Self::Hidden)
    }
}

impl Limits {
    /// How long a session waits for this client.
    fn grace(&self, client: Client) -> Duration {
        match client {
            Client::Away => self.away.min(self.reconnect),
            Client::Absent | Client::Watching | Client::Hidden => self.reconnect,
        }
    }
}

/// What must be there for a session to be live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    media: Media,
    client: Client,
}

impl Parts {
    fn complete(self) -> bool {
        self.media == Media::Up && self.client.is_there()
    }
}

/// A limit that the player is warned of.
#[derive(Clone, Copy, Debug)]
struct Limit {
    ends: MediaTime,
    /// None once the warning was given.
    warns: Option<MediaTime>,
}

impl Limit {
    fn new(from: MediaTime, length: Duration, warning: Duration) -> Self {
        let ends = from + length;
        // A warning at or before the start says nothing: such a limit has none.
        Self { ends, warns: (warning < length).then(|| ends - warning) }
    }
}

/// Limits that run from admission on.
#[derive(Clone, Copy, Debug)]
struct Course {
    idle: Limit,
    longest: Limit,
    /// Time that was spent live, up to the last change of phase.
    live: Duration,
}

#[derive(Clone, Debug)]
enum State {
    Requested,
    Admitted { media_by: MediaTime, client_by: MediaTime, course: Course },
    Starting { media_by: MediaTime, client_by: MediaTime, parts: Parts, course: Course },
    Live { since: MediaTime, parts: Parts, course: Course },
    Suspended { grace: MediaTime, parts: Parts, course: Course },
    Ending { reason: EndReason, deadline: MediaTime, live: Duration },
    Ended { reason: EndReason },
}

/// The state machine of one session.
#[derive(Debug)]
pub struct Machine {
    limits: Limits,
    requested: MediaTime,
    /// The latest time told; a time that goes back is taken as this one.
    now: MediaTime,
    state: State,
    /// Viewers show the picture.
    watched: bool,
    actions: VecDeque<Action>,
}

impl Machine {
    /// A session that somebody asks for at `now`.
    pub fn new(now: MediaTime, limits: Limits) -> Self {
        let actions = VecDeque::with_capacity(MAX_ACTIONS);
        Self { limits, requested: now, now, state: State::Requested, watched: false, actions }
    }

    /// Takes an event. Limits that ran out by `now` come first.
    pub fn handle(&mut self, now: MediaTime, event: Event) -> Handled {
        self.now = self.now.max(now);
        let before = (self.phase(), self.is_drawing(), self.actions.len());
        self.expire();
        let handled = self.apply(event);
        // A limit of no length runs out as it begins.
        self.expire();
        self.warn();
        self.follow(before);
        handled
    }

    /// The next thing to do. To be emptied after every event.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call again with [`Event::Timeout`] at the latest; always later than the last event,
    /// and none once the session has ended.
    pub fn poll_timeout(&self) -> Option<MediaTime> {
        let next = |limit: &Limit| limit.warns.unwrap_or(limit.ends);
        match &self.state {
            State::Requested => Some(self.requested + self.limits.start),
            State::Admitted { media_by, client_by, course } => {
                Some((*media_by).min(*client_by).min(course.longest.ends))
            }
            State::Starting { course, .. } => {
                self.missing().map(|(at, _)| at).chain([course.longest.ends]).min()
            }
            State::Live { course, .. } => Some(next(&course.idle).min(next(&course.longest))),
            State::Suspended { grace, course, .. } => {
                Some((*grace).min(course.idle.ends).min(course.longest.ends))
            }
            State::Ending { deadline, .. } => Some(*deadline),
            State::Ended { .. } => None,
        }
    }

    /// Where the session is.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Requested => Phase::Requested,
            State::Admitted { .. } => Phase::Admitted,
            State::Starting { .. } => Phase::Starting,
            State::Live { .. } => Phase::Live,
            State::Suspended { .. } => Phase::Suspended,
            State::Ending { .. } => Phase::Ending,
            State::Ended { .. } => Phase::Ended,
        }
    }

    /// Why the session ends or has ended.
    pub fn reason(&self) -> Option<&EndReason> {
        match &self.state {
            State::Ending { reason, .. } | State::Ended { reason } => Some(reason),
            _ => None,
        }
    }

    /// Whether pictures are wanted now: the player shows them, or is there and others do.
    pub fn is_drawing(&self) -> bool {
        let State::Live { parts, .. } = &self.state else { return false };
        parts.client == Client::Watching || self.watched
    }

    /// Until when what a starting session still misses must be there, and what it means if not.
    fn missing(&self) -> impl Iterator<Item = (MediaTime, EndReason)> + use<> {
        let [media, client] = match self.state {
            State::Starting { media_by, client_by, parts, .. } => [
                match parts.media {
                    Media::Starting => Some((media_by, EndReason::StartTimeout)),
                    Media::Lost => Some((media_by, EndReason::DeviceLost)),
                    Media::Up => None,
                },
                match parts.client {
                    Client::Absent => Some((client_by, EndReason::NeverConnected)),
                    Client::Away => Some((client_by, EndReason::ClientLeft)),
                    Client::Watching | Client::Hidden => None,
                },
            ],
            _ => [None, None],
        };
        media.into_iter().chain(client)
    }

    /// Ends what has run out of time.
    fn expire(&mut self) {
        let now = self.now;
        let reason = match &self.state {
            State::Requested if now >= self.requested + self.limits.start => {
                Some(EndReason::StartTimeout)
            }
            State::Admitted { media_by, client_by, course } => {
                let start = (*media_by, EndReason::StartTimeout);
                let connect = (*client_by, EndReason::NeverConnected);
                earliest([start, connect, (course.longest.ends, EndReason::TimeLimit)], now)
            }
            State::Starting { course, .. } => {
                let longest = (course.longest.ends, EndReason::TimeLimit);
                earliest(self.missing().chain([longest]), now)
            }
            State::Live { course, .. } => earliest(course.limits(), now),
            State::Suspended { grace, parts, course } => {
                let lost = match parts.client {
                    Client::Absent => EndReason::ConnectionLost,
                    Client::Away => EndReason::ClientLeft,
                    Client::Watching | Client::Hidden => EndReason::DeviceLost,
                };
                earliest(course.limits().into_iter().chain([(*grace, lost)]), now)
            }
            _ => None,
        };
        if let Some(reason) = reason {
            self.end(reason);
        }
        if let State::Ending { deadline, .. } = &self.state
            && now >= *deadline
        {
            self.finish(Drain::TimedOut);
        }
    }

    fn apply(&mut self, event: Event) -> Handled {
        if matches!(self.state, State::Ended { .. }) {
            return Handled::Ignored;
        }
        match event {
            Event::Timeout => return Handled::Taken,
            Event::Drained => return self.drained(),
            Event::Admit(decision) => return self.admit(decision),
            Event::Start => return self.start(),
            Event::Watched(watched) => {
                self.watched = watched;
                return Handled::Taken;
            }
            _ => {}
        }
        if matches!(self.state, State::Ending { .. }) {
            return Handled::Ignored;
        }
        let reason = match event {
            Event::StopRequested(by) => EndReason::Stopped(by),
            Event::Panicked(text) => EndReason::Panicked(text),
            Event::StartFailed(text) => EndReason::StartFailed(text),
            Event::EncoderFailed(text) => EndReason::EncoderFailed(text),
            Event::SourceEnded => EndReason::SourceEnded,
            Event::SourceExited(exited) => EndReason::GameExited(exited),
            Event::SourceFailed(text) => EndReason::SourceFailed(text),
            Event::TransportClosed(CloseReason::Remote) => EndReason::ClientLeft,
            Event::TransportClosed(CloseReason::Flood(_)) => EndReason::Flood,
            other => return self.apply_to_parts(&other),
        };
        // Before the start there is nothing that could fail, end or be left.
        let premature = matches!(self.state, State::Requested | State::Admitted { .. })
            && !matches!(reason, EndReason::Stopped(_) | EndReason::Panicked(_));
        if premature {
            return Handled::Ignored;
        }
        self.end(reason);
        Handled::Taken
    }

    fn admit(&mut self, decision: Decision) -> Handled {
        if !matches!(self.state, State::Requested) {
            return Handled::Ignored;
        }
        match decision {
            Decision::Granted => {
                let limits = &self.limits;
                let course = Course {
                    idle: Limit::new(self.now, limits.idle, limits.idle_warning),
                    longest: Limit::new(self.now, limits.longest, limits.longest_warning),
                    live: Duration::ZERO,
                };
                let media_by = self.now + limits.start;
                let client_by = self.now + limits.connect;
                self.state = State::Admitted { media_by, client_by, course };
            }
            Decision::Refused(refusal) => self.end(EndReason::Refused(refusal)),
        }
        Handled::Taken
    }

    fn start(&mut self) -> Handled {
        let State::Admitted { media_by, client_by, course } = self.state else {
            return Handled::Ignored;
        };
        let parts = Parts { media: Media::Starting, client: Client::Absent };
        self.state = State::Starting { media_by, client_by, parts, course };
        self.actions.extend([Action::StartSource, Action::StartEncoder]);
        Handled::Taken
    }

    /// Events that only change what is there.
    fn apply_to_parts(&mut self, event: &Event) -> Handled {
        let drew = self.is_drawing();
        let (State::Starting { parts, course, .. }
        | State::Live { parts, course, .. }
        | State::Suspended { parts, course, .. }) = &mut self.state
        else {
            return Handled::Ignored;
        };
        let before = *parts;
        match event {
            Event::Started if parts.media == Media::Starting => parts.media = Media::Up,
            Event::DeviceLost if parts.media == Media::Up => parts.media = Media::Lost,
            Event::DeviceBack if parts.media == Media::Lost => parts.media = Media::Up,
            Event::TransportConnected { visible: true } => parts.client = Client::Watching,
            Event::TransportConnected { visible: false } => parts.client = Client::Hidden,
            Event::TransportInterrupted | Event::TransportClosed(_) if parts.client.is_there() => {
                parts.client = Client::Absent;
            }
            Event::ClientAway if parts.client != Client::Away => parts.client = Client::Away,
            Event::Visibility(true) if parts.client == Client::Hidden => {
                parts.client = Client::Watching;
            }
            Event::Visibility(false) if parts.client == Client::Watching => {
                parts.client = Client::Hidden;
            }
            Event::InputActivity if parts.client.is_there() => {
                course.idle = Limit::new(self.now, self.limits.idle, self.limits.idle_warning);
            }
            _ => return Handled::Ignored,
        }
        // Somebody else took over a running session: their decoder has nothing to begin with.
        let taken_over =
            matches!(event, Event::TransportConnected { .. }) && before.client.is_there();
        self.settle(before);
        if taken_over && drew && self.is_drawing() {
            self.actions.push_back(Action::Keyframe);
        }
        Handled::Taken
    }

    /// Moves between starting, live and suspended as the parts demand.
    fn settle(&mut self, before: Parts) {
        let now = self.now;
        match self.state {
            State::Starting { parts, mut course, .. } if parts.complete() => {
                // Loading a scene is not idleness.
                course.idle = Limit::new(now, self.limits.idle, self.limits.idle_warning);
                self.state = State::Live { since: now, parts, course };
            }
            State::Starting { ref mut media_by, ref mut client_by, parts, .. } => {
                // What was there and went away gets as long to come back as in a live session.
                if before.media == Media::Up && parts.media == Media::Lost {
                    *media_by = now + self.limits.reconnect;
                }
                if before.client != parts.client && !parts.client.is_there() {
                    *client_by = now + self.limits.grace(parts.client);
                }
            }
            State::Suspended { parts, course, .. } if parts.complete() => {
                self.state = State::Live { since: now, parts, course };
            }
            State::Live { since, parts, mut course } if !parts.complete() => {
                course.live += now.since(since);
                let grace = now + self.limits.grace(parts.client);
                self.state = State::Suspended { grace, parts, course };
            }
            State::Suspended { ref mut grace, parts, .. }
                if parts.client == Client::Away && before.client != Client::Away =>
            {
                *grace = now + self.limits.grace(parts.client);
            }
            _ => {}
        }
    }

    /// Begins the end. The first reason counts.
    fn end(&mut self, reason: EndReason) {
        let (live, client) = match &self.state {
            State::Requested => {
                // Nothing was granted and nothing runs.
                self.conclude(reason, Duration::ZERO, Drain::NotNeeded);
                return;
            }
            State::Admitted { course, .. } => (course.live, Client::Absent),
            State::Starting { parts, course, .. } | State::Suspended { parts, course, .. } => {
                (course.live, parts.client)
            }
            State::Live { since, parts, course } => {
                (course.live + self.now.since(*since), parts.client)
            }
            State::Ending { .. } | State::Ended { .. } => return,
        };
        if client.is_there() && reason != EndReason::ClientLeft {
            self.actions.push_back(Action::NotifyClient(Notice::Ended(reason.clone())));
        }
        if matches!(self.state, State::Admitted { .. }) {
            // The driver has not begun: only the place is to be given back.
            self.actions.push_back(Action::Release);
            self.conclude(reason, live, Drain::NotNeeded);
            return;
        }
        self.actions.extend([Action::CloseTransport, Action::StopAll]);
        let deadline = self.now + self.limits.drain;
        self.state = State::Ending { reason, deadline, live };
    }

    fn drained(&mut self) -> Handled {
        if matches!(self.state, State::Ending { .. }) {
            self.finish(Drain::Complete);
            return Handled::Taken;
        }
        Handled::Ignored
    }

    fn finish(&mut self, drain: Drain) {
        let State::Ending { reason, live, .. } = &self.state else { return };
        let (reason, live) = (reason.clone(), *live);
        self.actions.push_back(Action::Release);
        self.conclude(reason, live, drain);
    }

    fn conclude(&mut self, reason: EndReason, live: Duration, drain: Drain) {
        let summary = Summary {
            reason: reason.clone(),
            requested: self.requested,
            ended: self.now,
            live,
            drain,
        };
        self.actions.push_back(Action::Record(Record::Ended(summary)));
        self.state = State::Ended { reason };
    }

    /// Warns a client that is there of limits that are near.
    fn warn(&mut self) {
        let State::Live { course, .. } = &mut self.state else { return };
        let limits =
            [(&mut course.idle, EndReason::Idle), (&mut course.longest, EndReason::TimeLimit)];
        for (limit, reason) in limits {
            if limit.warns.is_some_and(|at| self.now >= at) {
                limit.warns = None;
                let left = limit.ends.since(self.now);
                self.actions.push_back(Action::NotifyClient(Notice::Warning { reason, left }));
            }
        }
    }

    /// Adds what follows from a change of phase or of drawing since `before`.
    fn follow(&mut self, (phase, drawing, queued): (Phase, bool, usize)) {
        let (next, draws) = (self.phase(), self.is_drawing());
        if draws && !drawing {
            // In this order: a wish that came after the first picture, which is a keyframe anyway, would cost another.
            self.actions.extend([Action::Keyframe, Action::Resume]);
        }
        if drawing && !draws {
            // Ahead of the rest: nothing is drawn for a client that is being told goodbye.
            self.actions.insert(queued, Action::Suspend);
        }
        if next != phase && next != Phase::Ended {
            self.actions.insert(queued, Action::Record(Record::Entered(next)));
        }
        debug_assert!(self.actions.len() <= MAX_ACTIONS, "the driver does not carry out actions");
    }
}

impl Course {
    fn limits(&self) -> [(MediaTime, EndReason); 2] {
        [(self.idle.ends, EndReason::Idle), (self.longest.ends, EndReason::TimeLimit)]
    }
}

/// The reason of the earliest deadline, if it has passed.
fn earliest(
    deadlines: impl IntoIterator<Item = (MediaTime, EndReason)>,
    now: MediaTime,
) -> Option<EndReason> {
    let (at, reason) = deadlines.into_iter().min_by_key(|(at, _)| *at)?;
    (now >= at).then_some(reason)
}

#[cfg(test)]
mod tests;
