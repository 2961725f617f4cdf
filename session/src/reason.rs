//! Why a session ended: a stable code for programs, a sentence for people, a detail for the log.

use std::fmt;

use media::{ByteSize, Exit, Exited};

use crate::admission::Refusal;
use crate::lease::LeaseEnd;

/// Who asked a session to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppedBy {
    /// The player, by the page or the API.
    Client,
    /// The operator of the node.
    Operator,
    /// Its owner, who took back what let it in.
    Owner,
    /// The node, because it shuts down.
    Shutdown,
    /// The chain: what the machine was rented by is over.
    Lease(LeaseEnd),
    /// The node: the order was tried as long as it may be before it is confirmed.
    TrialOver,
    /// The chain: a branch took back that the order is confirmed.
    Unconfirmed,
    /// The node: what the session uses could not be written down.
    NotDurable,
}

/// Why a session ended. Sentences never hold text from below (a panic's message, a driver's error):
/// that is [`detail`](Self::detail), for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// It was never let in.
    Refused(Refusal),
    /// The scene, its device or its encoder did not start.
    StartFailed(String),
    /// They did not start in time.
    StartTimeout,
    /// Nobody connected in time.
    NeverConnected,
    /// The client closed the connection.
    ClientLeft,
    /// The connection broke, and nobody came back in time.
    ConnectionLost,
    /// The client sent far more than it has a use for.
    Flood,
    /// The graphics device was lost, and did not come back in time.
    DeviceLost,
    /// No input for too long.
    Idle,
    /// It was as long as a session may be.
    TimeLimit,
    /// Somebody asked for it.
    Stopped(StoppedBy),
    /// The game was left or the replay was over.
    SourceEnded,
    /// The game ended by itself, and not well, or before it had drawn anything.
    GameExited(Exited),
    /// The source broke while it ran.
    SourceFailed(String),
    /// No encoder could code the picture any more.
    EncoderFailed(String),
    /// A bug: the session's code panicked.
    Panicked(String),
}

impl EndReason {
    /// A code that never changes, in snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::StartFailed(_) => "start_failed",
            Self::StartTimeout => "start_timeout",
            Self::NeverConnected => "never_connected",
            Self::ClientLeft => "client_left",
            Self::ConnectionLost => "connection_lost",
            Self::Flood => "flood",
            Self::DeviceLost => "device_lost",
            Self::Idle => "idle",
            Self::TimeLimit => "time_limit",
            Self::Stopped(StoppedBy::Client) => "stopped_by_client",
            Self::Stopped(StoppedBy::Operator) => "stopped_by_operator",
            Self::Stopped(StoppedBy::Owner) => "stopped_by_owner",
            Self::Stopped(StoppedBy::Shutdown) => "node_shutdown",
            Self::Stopped(StoppedBy::Lease(end)) => end.code(),
            Self::Stopped(StoppedBy::TrialOver) => "trial_over",
            Self::Stopped(StoppedBy::Unconfirmed) => "order_unconfirmed",
            Self::Stopped(StoppedBy::NotDurable) => "receipts_not_durable",
            Self::SourceEnded => "source_ended",
            Self::GameExited(Exited { exit: Exit::Status(_), .. }) => "game_exited",
            Self::GameExited(Exited { exit: Exit::Signal(_) | Exit::OutOfMemory(_), .. }) => {
                "game_crashed"
            }
            Self::SourceFailed(_) => "source_failed",
            Self::EncoderFailed(_) => "encoder_failed",
            Self::Panicked(_) => "internal_fault",
        }
    }

    /// What lies behind it, for the log and never for the client.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::StartFailed(text)
            | Self::SourceFailed(text)
            | Self::EncoderFailed(text)
            | Self::Panicked(text) => Some(text),
            Self::GameExited(exited) => Some(&exited.said),
            _ => None,
        }
    }

    /// Whether something broke, as against somebody having had enough.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::StartFailed(_)
                | Self::StartTimeout
                | Self::DeviceLost
                | Self::GameExited(_)
                | Self::SourceFailed(_)
                | Self::EncoderFailed(_)
                | Self::Panicked(_)
                | Self::Stopped(StoppedBy::NotDurable)
        )
    }
}

/// The sentence for people.
impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::Refused(refusal) => return refusal.fmt(f),
            Self::StartFailed(_) => "The game or scene could not be started.",
            Self::StartTimeout => "The game or scene took too long to start.",
            Self::NeverConnected => "Nobody connected to the session.",
            Self::ClientLeft => "The player left.",
            Self::ConnectionLost => "The connection broke and was not restored in time.",
            Self::Flood => "The player's client sent far more than a session takes.",
            Self::DeviceLost => "The graphics device failed and did not recover in time.",
            Self::Idle => "Nobody touched the session for too long.",
            Self::TimeLimit => "The session reached the longest time that this node allows.",
            Self::Stopped(by) => return by.fmt(f),
            Self::SourceEnded => "The programme came to its end.",
            Self::GameExited(exited) => return how_it_ended(exited, f),
            Self::SourceFailed(_) => "The programme failed.",
            Self::EncoderFailed(_) => "The picture could not be encoded any more.",
            Self::Panicked(_) => "An internal fault ended the session. The others go on.",
        };
        f.write_str(sentence)
    }
}

/// How a game ended, in words for who played it.
fn how_it_ended(exited: &Exited, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let when = if exited.drew { "" } else { " at once" };
    match exited.exit {
        Exit::Status(status) if exited.drew => {
            write!(f, "The game ended by itself (exit status {status}).")
        }
        Exit::Status(status) => write!(f, "The game ended{when} (exit status {status})."),
        Exit::Signal(signal) => {
            let what = signal_in_words(signal);
            write!(f, "The game crashed{when} (signal {signal}{what}).")
        }
        Exit::OutOfMemory(ByteSize(limit)) => {
            let most = limit >> 20;
            write!(f, "The game crashed{when}: it took more memory than its limit of {most} MiB.")
        }
    }
}

/// What the kernel means by a signal (`signal(7)`; numbers as on x86-64 and aarch64).
fn signal_in_words(signal: i32) -> &'static str {
    match signal {
        4 => ": an instruction that the processor does not have",
        6 => ": it gave up by itself",
        7 => ": memory that is not there",
        8 => ": arithmetic that has no result",
        9 => ": it was killed",
        11 => ": memory that is not its own",
        15 => ": it was asked to end",
        31 => ": a system call that no game may make",
        _ => "",
    }
}

/// The same of who asked.
impl fmt::Display for StoppedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "The player ended the session.",
            Self::Operator => "The node's operator ended the session.",
            Self::Owner => "What let you in was taken back.",
            Self::Shutdown => "The node is shutting down.",
            Self::Lease(LeaseEnd::Over) => "The time that the machine was rented for is over.",
            Self::Lease(LeaseEnd::Lapsed) => "The order was not confirmed in time.",
            Self::Lease(LeaseEnd::Vanished) => "The order is gone from the chain.",
            Self::Lease(LeaseEnd::MachineGone) => "The machine is gone from the chain.",
            Self::TrialOver => "The order was tried as long as it may be: confirm it to go on.",
            Self::Unconfirmed => "The chain took back that the order is confirmed.",
            Self::NotDurable => "What the session uses could not be written down.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<EndReason> {
        let text = || "secret detail".to_owned();
        vec![
            EndReason::Refused(Refusal::TooLarge { what: "memory" }),
            EndReason::StartFailed(text()),
            EndReason::StartTimeout,
            EndReason::NeverConnected,
            EndReason::ClientLeft,
            EndReason::ConnectionLost,
            EndReason::Flood,
            EndReason::DeviceLost,
            EndReason::Idle,
            EndReason::TimeLimit,
            EndReason::Stopped(StoppedBy::Client),
            EndReason::Stopped(StoppedBy::Operator),
            EndReason::Stopped(StoppedBy::Owner),
            EndReason::Stopped(StoppedBy::Shutdown),
            EndReason::Stopped(StoppedBy::Lease(LeaseEnd::Over)),
            EndReason::Stopped(StoppedBy::Lease(LeaseEnd::Lapsed)),
            EndReason::Stopped(StoppedBy::Lease(LeaseEnd::Vanished)),
            EndReason::Stopped(StoppedBy::Lease(LeaseEnd::MachineGone)),
            EndReason::Stopped(StoppedBy::Unconfirmed),
            EndReason::Stopped(StoppedBy::TrialOver),
            EndReason::Stopped(StoppedBy::NotDurable),
            EndReason::SourceEnded,
            exited(Exit::Status(3), true),
            exited(Exit::Signal(11), true),
            EndReason::SourceFailed(text()),
            EndReason::EncoderFailed(text()),
            EndReason::Panicked(text()),
        ]
    }

    fn exited(exit: Exit, drew: bool) -> EndReason {
        EndReason::GameExited(Exited { exit, drew, said: "secret words".into() })
    }

    #[test]
    fn a_game_that_ended_badly_is_told_in_plain_words() {
        for (exit, drew, told) in [
            (Exit::Status(3), false, "The game ended at once (exit status 3)."),
            (Exit::Status(0), false, "The game ended at once (exit status 0)."),
            (Exit::Status(1), true, "The game ended by itself (exit status 1)."),
            (Exit::Signal(11), true, "The game crashed (signal 11: memory that is not its own)."),
            (Exit::Signal(6), false, "The game crashed at once (signal 6: it gave up by itself)."),
            (Exit::Signal(40), true, "The game crashed (signal 40)."),
            (
                Exit::OutOfMemory(ByteSize(192 << 20)),
                true,
                "The game crashed: it took more memory than its limit of 192 MiB.",
            ),
        ] {
            let reason = exited(exit, drew);
            assert_eq!(reason.to_string(), told);
            assert!(reason.is_failure() && reason.detail() == Some("secret words"));
        }
    }

    #[test]
    fn codes_differ_and_sentences_are_sentences() {
        let mut codes: Vec<_> = all().iter().map(EndReason::code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all().len());
        for reason in all() {
            let sentence = reason.to_string();
            assert!(sentence.ends_with('.') && sentence.starts_with(char::is_uppercase));
            assert!(!sentence.contains("secret"), "{sentence}");
            let code = reason.code();
            assert!(code.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
        }
    }
}
