//! The life of a hosted game, without input or output. It is told the time.
//!
//! ```text
//!            Start           Opened                   DisplayReady           Launch
//!  Created ───────▶ Opening ───────▶ Starting(display) ─────────▶ Waiting ─────────▶ Starting(game)
//!     │              │   │              │      └─ Launch came before ┼────────────────▲ │    │    │
//!     │ Stop,        │   │ too late,    │ failed,                    │          failed, │    │    │ GameStarted
//!     │ Kill         │   │ Stop         │ too late,                  │ Stop    too late │    │    ▼
//!     │              │   ▼              │ Stop                       │                  │    │  Running ⇄ Suspended
//!     │       failed │ Stopping(kill) ◀─┴────────────────────────────┴──────────────────┘    │     │      │
//!     │              │     │     ▲                                                      Stop │     │ Stop │ Stop
//!     │              │     │     │                                                           ▼     ▼      ▼
//!     │              │     │     └──── game ended, game failed, grace over ───────────────── Stopping(term)
//!     │              │     │ Gone, too late
//!     └──────────────┴─────┴───▶ Ended(how)
//! ```
//!
//! In each state between Created and Stopping(kill): Kill, or the end of the display or of the game, leads to
//! Stopping(kill); Gone to Ended(the sandbox is lost). Suspend is remembered where it comes before the game runs:
//! GameStarted leads to Suspended then. What could not be frozen is Running again.
//!
//! A driver hands every event to [`Machine::handle`], carries out what [`Machine::poll_action`] yields
//! until it yields nothing, and calls again with [`Event::Timeout`] at [`Machine::poll_timeout`].
//!
//! What holds whatever the events are (and is tested so): a display and a game are started at most
//! once; a game that is asked to end is not frozen while it is asked; whatever was opened is killed
//! once before the end; what was told first about an end stays; after the end nothing happens. Where
//! nothing answers, a stop still ends with the time limits.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use media::{ByteSize, MediaTime};
use serde::{Deserialize, Serialize};

/// How long each step may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the start until the sandbox answers.
    pub open: Duration,
    /// Until the X server takes connections.
    pub display: Duration,
    /// Until the game's program runs.
    pub game: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// From SIGKILL until every process is gone.
    pub kill: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            open: seconds(10),
            display: seconds(15),
            game: seconds(10),
            grace: seconds(5),
            kill: seconds(10),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself, with this status; 0 is success.
    Code(i32),
    /// By this signal (`signal(7)`).
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "status {code}"),
            // The filter kills nothing else: what it does not let through otherwise fails.
            Self::Signal(libc::SIGSYS) => {
                f.write_str("the signal for a 32-bit program, none of which runs here")
            }
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// A step that has a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The sandbox itself.
    Sandbox,
    /// The X server.
    Display,
    /// The game's program.
    Game,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sandbox => "sandbox",
            Self::Display => "display",
            Self::Game => "game",
        })
    }
}

/// Why a hosted game ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// The game ended by itself.
    Exited(Exit),
    /// It was asked to end and did so.
    Stopped,
    /// It was to end and was killed: it did not heed SIGTERM, did not run yet, or there was no time.
    Killed,
    /// The X server ended before the game did.
    DisplayEnded(Exit),
    /// A step failed.
    Failed(Step, String),
    /// A step took too long.
    TooLate(Step),
    /// The sandbox ended though nobody had asked it to.
    SandboxLost,
    /// It was killed by the kernel because it took more memory than this limit. The driver alone can tell, once it is over.
    OutOfMemory(ByteSize),
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(exit) => write!(f, "the game ended with {exit}"),
            Self::Stopped => f.write_str("the game ended when it was asked to"),
            Self::Killed => f.write_str("the game was killed"),
            Self::DisplayEnded(exit) => write!(f, "the display ended with {exit}"),
            Self::Failed(step, reason) => write!(f, "the {step} could not be started: {reason}"),
            Self::TooLate(step) => write!(f, "the {step} did not start in time"),
            Self::SandboxLost => f.write_str("the sandbox ended by itself"),
            Self::OutOfMemory(limit) => {
                write!(f, "the game took more memory than its limit of {} MiB", limit.0 >> 20)
            }
        }
    }
}

/// The end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub how: How,
    /// Whether every process is known to be gone. If not, the kernel holds one (in a call that cannot be
    /// interrupted), and what it holds stays until then.
    pub gone: bool,
}

/// What happens to a hosted game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed; nothing else has happened.
    Timeout,
    /// Somebody wants it.
    Start,
    /// The sandbox answers.
    Opened,
    /// There will be no sandbox; no process is left of the attempt.
    OpenFailed(String),
    /// The X server takes connections.
    DisplayReady,
    /// It could not be started.
    DisplayFailed(String),
    /// It ended.
    DisplayEnded(Exit),
    /// The game is to be started as soon as there is a display.
    Launch,
    /// Its program runs.
    GameStarted,
    /// Its program could not be run.
    GameFailed(String),
    /// It ended.
    GameEnded(Exit),
    /// No process of the sandbox shall run, from the moment that the game does.
    Suspend,
    /// They shall run again.
    Resume,
    /// They could not be halted.
    FreezeFailed,
    /// The game is to end, in order.
    Stop,
    /// Everything is to end at once.
    Kill,
    /// No process of the sandbox is left.
    Gone,
}

/// What the driver has to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the sandbox; answer with [`Event::Opened`] or [`Event::OpenFailed`].
    Open,
    /// Start the X server; answer with [`Event::DisplayReady`] or [`Event::DisplayFailed`].
    StartDisplay,
    /// Start the game; answer with [`Event::GameStarted`] or [`Event::GameFailed`].
    StartGame,
    /// Halt every process; answer with [`Event::FreezeFailed`] where that is not possible.
    Freeze,
    /// Let them run again.
    Thaw,
    /// Ask the game to end (SIGTERM).
    Terminate,
    /// Kill every process, also halted ones; answer with [`Event::Gone`].
    Kill,
}

/// Where in its life a hosted game is, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has begun.
    Created,
    /// This step is under way.
    Starting(Step),
    /// There is a display, and no game yet.
    Waiting,
    /// The game runs.
    Running,
    /// All of its processes are halted.
    Suspended,
    /// It is ending.
    Stopping,
    /// It is over.
    Ended(End),
}

/// What was asked for before it could be done.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    launch: bool,
    suspend: bool,
}

#[derive(Debug)]
enum State {
    Created { ahead: Ahead },
    Opening { ahead: Ahead, until: MediaTime },
    Displaying { ahead: Ahead, until: MediaTime },
    Waiting { ahead: Ahead },
    Launching { ahead: Ahead, until: MediaTime },
    Running,
    Suspended,
    Terminating { until: MediaTime },
    Killing { how: How, until: MediaTime },
    Ended(End),
}

/// See the module.
#[derive(Debug)]
pub struct Machine {
    state: State,
    patience: Patience,
    actions: VecDeque<Action>,
}

impl Machine {
    /// One that nothing has happened to.
    pub fn new(patience: Patience) -> Self {
        Self {
            state: State::Created { ahead: Ahead::default() },
            patience,
            actions: VecDeque::new(),
        }
    }

    /// Takes an event. Those that mean nothing in the state it is in are left out.
    pub fn handle(&mut self, now: MediaTime, event: Event) {
        match event {
            Event::Timeout => self.expire(now),
            Event::Start
            | Event::Opened
            | Event::DisplayReady
            | Event::Launch
            | Event::GameStarted => self.advance(now, &event),
            Event::OpenFailed(reason) => {
                if matches!(self.state, State::Opening { .. }) {
                    let how = How::Failed(Step::Sandbox, reason);
                    self.state = State::Ended(End { how, gone: true });
                }
            }
            Event::DisplayFailed(reason) => self.fail(now, Step::Display, reason),
            Event::GameFailed(reason) => self.fail(now, Step::Game, reason),
            Event::DisplayEnded(exit) => self.kill(now, How::DisplayEnded(exit)),
            Event::GameEnded(exit) => {
                let asked = matches!(self.state, State::Terminating { .. });
                self.kill(now, if asked { How::Stopped } else { How::Exited(exit) });
            }
            Event::Suspend => self.suspend(true),
            Event::Resume => self.suspend(false),
            // A half frozen game is let go whole.
            Event::FreezeFailed => {
                if matches!(self.state, State::Suspended) {
                    self.enter(State::Running, Action::Thaw);
                }
            }
            Event::Stop => self.stop(now),
            Event::Kill => {
                if matches!(self.state, State::Created { .. }) {
                    self.state = State::Ended(End { how: How::Killed, gone: true });
                }
                self.kill(now, How::Killed);
            }
            Event::Gone => {
                if let State::Killing { how, .. } = &self.state {
                    self.state = State::Ended(End { how: how.clone(), gone: true });
                } else if self.is_open() {
                    self.state = State::Ended(End { how: How::SandboxLost, gone: true });
                }
            }
        }
    }

    /// The next thing to do, or nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Timeout`] is due, if it is.
    pub fn poll_timeout(&self) -> Option<MediaTime> {
        match self.state {
            State::Opening { until, .. }
            | State::Displaying { until, .. }
            | State::Launching { until, .. }
            | State::Terminating { until }
            | State::Killing { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Created { .. } => Phase::Created,
            State::Opening { .. } => Phase::Starting(Step::Sandbox),
            State::Displaying { .. } => Phase::Starting(Step::Display),
            State::Waiting { .. } => Phase::Waiting,
            State::Launching { .. } => Phase::Starting(Step::Game),
            State::Running => Phase::Running,
            State::Suspended => Phase::Suspended,
            State::Terminating { .. } | State::Killing { .. } => Phase::Stopping,
            State::Ended(end) => Phase::Ended(end.clone()),
        }
    }

    fn advance(&mut self, now: MediaTime, event: &Event) {
        match (&mut self.state, event) {
            (State::Created { ahead }, Event::Start) => {
                let (ahead, until) = (*ahead, now + self.patience.open);
                self.enter(State::Opening { ahead, until }, Action::Open);
            }
            (State::Opening { ahead, .. }, Event::Opened) => {
                let (ahead, until) = (*ahead, now + self.patience.display);
                self.enter(State::Displaying { ahead, until }, Action::StartDisplay);
            }
            (State::Displaying { ahead, .. }, Event::DisplayReady) if !ahead.launch => {
                self.state = State::Waiting { ahead: *ahead };
            }
            (State::Displaying { ahead, .. }, Event::DisplayReady)
            | (State::Waiting { ahead }, Event::Launch) => {
                let (ahead, until) = (*ahead, now + self.patience.game);
                self.enter(State::Launching { ahead, until }, Action::StartGame);
            }
            (State::Launching { ahead, .. }, Event::GameStarted) => {
                if ahead.suspend {
                    self.enter(State::Suspended, Action::Freeze);
                } else {
                    self.state = State::Running;
                }
            }
            (
                State::Created { ahead }
                | State::Opening { ahead, .. }
                | State::Displaying { ahead, .. },
                Event::Launch,
            ) => ahead.launch = true,
            _ => {}
        }
    }

    fn suspend(&mut self, wanted: bool) {
        match &mut self.state {
            State::Created { ahead }
            | State::Opening { ahead, .. }
            | State::Displaying { ahead, .. }
            | State::Waiting { ahead }
            | State::Launching { ahead, .. } => ahead.suspend = wanted,
            State::Running if wanted => self.enter(State::Suspended, Action::Freeze),
            State::Suspended if !wanted => self.enter(State::Running, Action::Thaw),
            _ => {}
        }
    }

    fn enter(&mut self, state: State, action: Action) {
        self.state = state;
        self.actions.push_back(action);
    }

    fn expire(&mut self, now: MediaTime) {
        if self.poll_timeout().is_none_or(|until| now < until) {
            return;
        }
        match &self.state {
            State::Opening { .. } => self.kill(now, How::TooLate(Step::Sandbox)),
            State::Displaying { .. } => self.kill(now, How::TooLate(Step::Display)),
            State::Launching { .. } => self.kill(now, How::TooLate(Step::Game)),
            State::Killing { how, .. } => {
                self.state = State::Ended(End { how: how.clone(), gone: false });
            }
            _ => self.kill(now, How::Killed),
        }
    }

    fn fail(&mut self, now: MediaTime, step: Step, reason: String) {
        let is_awaited = match step {
            Step::Sandbox => false,
            Step::Display => matches!(self.state, State::Displaying { .. }),
            // It may have been told to end meanwhile.
            Step::Game => {
                matches!(self.state, State::Launching { .. } | State::Terminating { .. })
            }
        };
        if is_awaited {
            self.kill(now, How::Failed(step, reason));
        }
    }

    fn stop(&mut self, now: MediaTime) {
        match self.state {
            State::Created { .. } => {
                self.state = State::Ended(End { how: How::Killed, gone: true });
            }
            // One that is being started may run already, though nobody has said so yet.
            State::Launching { .. } | State::Running | State::Suspended => {
                // A halted process would take the signal when it runs again: it is to be given its grace.
                if matches!(self.state, State::Suspended) {
                    self.actions.push_back(Action::Thaw);
                }
                let until = now + self.patience.grace;
                self.enter(State::Terminating { until }, Action::Terminate);
            }
            // Nothing of the player's is there yet that could be put in order.
            State::Opening { .. } | State::Displaying { .. } | State::Waiting { .. } => {
                self.kill(now, How::Killed);
            }
            State::Terminating { .. } | State::Killing { .. } | State::Ended(_) => {}
        }
    }

    fn kill(&mut self, now: MediaTime, how: How) {
        if self.is_open() {
            let until = now + self.patience.kill;
            self.enter(State::Killing { how, until }, Action::Kill);
        }
    }

    /// Whether there is a sandbox that nobody has killed.
    fn is_open(&self) -> bool {
        !matches!(self.state, State::Created { .. } | State::Killing { .. } | State::Ended(_))
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
