//! What the handle and the thread share: the mailbox, the commands and the counters, under one lock,
//! so that the thread waits for either and takes commands before frames.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use media::{Damage, Frame};

use super::{Command, CommandRefused, WorkerStats};

/// Commands that wait. A driver sends a few per second and the thread takes them once a frame.
const MAX_COMMANDS: usize = 16;

/// What the thread does next.
#[expect(clippy::large_enum_variant, reason = "moved once a frame; a box would allocate each time")]
pub(super) enum Work {
    Command(Command),
    Frame(Frame),
    Stop,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// Work came, for the thread.
    work: Condvar,
    /// The thread has ended, for the handle.
    end: Condvar,
}

struct State {
    frame: Option<Frame>,
    commands: VecDeque<Command>,
    stopping: bool,
    ended: bool,
    wants_refresh: bool,
    stats: WorkerStats,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new() -> Self {
        let state = State {
            frame: None,
            commands: VecDeque::with_capacity(MAX_COMMANDS),
            stopping: false,
            ended: false,
            wants_refresh: true,
            stats: WorkerStats::default(),
        };
        Self { state: Mutex::new(state), work: Condvar::new(), end: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; were it so, the counters would be off by one at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(&self, mut frame: Frame) {
        let mut state = self.lock();
        // Dropping a frame gives its slot back and may take the source's lock: not under ours.
        let unused = if state.stopping || state.ended {
            Some(frame)
        } else {
            if let Some(waiting) = &state.frame {
                inherit(&mut frame, waiting);
            }
            let replaced = state.frame.replace(frame);
            state.stats.dropped += u64::from(replaced.is_some());
            replaced
        };
        drop(state);
        drop(unused);
        self.work.notify_one();
    }

    pub(super) fn command(&self, command: Command) -> Result<(), CommandRefused> {
        let mut state = self.lock();
        let result = if matches!(command, Command::Stop) {
            state.stopping = true;
            Ok(None)
        } else if state.stopping || state.ended {
            Err(CommandRefused::Ended)
        } else {
            push(&mut state.commands, command)
        };
        drop(state);
        self.work.notify_one();
        // What was replaced (a sink) is dropped here, without the lock.
        result.map(drop)
    }

    /// Waits for work.
    pub(super) fn next(&self) -> Work {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return Work::Stop;
            }
            if let Some(command) = state.commands.pop_front() {
                return Work::Command(command);
            }
            if let Some(frame) = state.frame.take() {
                return Work::Frame(frame);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn record(&self, change: impl FnOnce(&mut WorkerStats)) {
        change(&mut self.lock().stats);
    }

    pub(super) fn set_wants_refresh(&self, wants: bool) {
        self.lock().wants_refresh = wants;
    }

    pub(super) fn stats(&self) -> WorkerStats {
        self.lock().stats.clone()
    }

    pub(super) fn wants_refresh(&self) -> bool {
        self.lock().wants_refresh
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Whether the thread ended within `deadline`.
    pub(super) fn wait_for_end(&self, deadline: Duration) -> bool {
        let until = Instant::now().checked_add(deadline);
        let mut state = self.lock();
        while !state.ended {
            let left =
                until.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            state = self.end.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// What changed in a frame that is dropped changed for the one after it too.
fn inherit(frame: &mut Frame, dropped: &Frame) {
    if frame.image.size() == dropped.image.size() {
        frame.damage.merge(&dropped.damage);
    } else {
        frame.damage = Damage::Unknown;
    }
}

/// Queues a command, merged with the newest where that is of its kind. Returns what it replaced.
fn push(
    queue: &mut VecDeque<Command>,
    command: Command,
) -> Result<Option<Command>, CommandRefused> {
    let full = queue.len() >= MAX_COMMANDS;
    match (queue.back_mut(), command) {
        (Some(last @ Command::SetRate { .. }), command @ Command::SetRate { .. })
        | (Some(last @ Command::SetSink(_)), command @ Command::SetSink(_))
        | (Some(last @ Command::Keyframe), command @ Command::Keyframe) => {
            Ok(Some(std::mem::replace(last, command)))
        }
        (Some(Command::Forget(last)), Command::Forget(lost)) => {
            // Frames between the two are forgotten as well: they refer to the lost ones.
            *last = *last.start().min(lost.start())..=*last.end().max(lost.end());
            Ok(None)
        }
        (_, command) if !full => {
            queue.push_back(command);
            Ok(None)
        }
        _ => Err(CommandRefused::Full),
    }
}

/// Marks the end of the thread when dropped, and lets go of what still waits.
pub(super) struct Ended(pub(super) Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        state.stats.encoder = None;
        let left = (state.frame.take(), std::mem::take(&mut state.commands));
        drop(state);
        drop(left);
        self.0.end.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{Bitrate, FrameId, FrameRate};

    fn rate(kbps: u64) -> Command {
        Command::SetRate { bitrate: Bitrate::from_kbps(kbps), rate: FrameRate::fps(30) }
    }

    #[test]
    fn neighbours_of_one_kind_merge_and_order_stays() {
        let mut queue = VecDeque::new();
        for command in [
            rate(1),
            rate(2),
            Command::Keyframe,
            Command::Keyframe,
            Command::Forget(FrameId(7)..=FrameId(7)),
            Command::Forget(FrameId(3)..=FrameId(4)),
            rate(3),
        ] {
            assert!(push(&mut queue, command).is_ok());
        }
        let names: Vec<_> = queue.iter().map(|command| format!("{command:?}")).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(names[0].contains("2000"), "{names:?}");
        assert_eq!(names[1], "Keyframe");
        assert_eq!(names[2], "Forget(FrameId(3)..=FrameId(7))");
    }

    #[test]
    fn a_full_queue_refuses() {
        let shared = Shared::new();
        for index in 0..MAX_COMMANDS as u64 / 2 {
            assert_eq!(shared.command(rate(index)), Ok(()));
            assert_eq!(shared.command(Command::Keyframe), Ok(()));
        }
        assert_eq!(shared.command(rate(0)), Err(CommandRefused::Full));
        assert_eq!(shared.command(Command::Stop), Ok(()));
        assert_eq!(shared.command(rate(0)), Err(CommandRefused::Ended));
        assert!(matches!(shared.next(), Work::Stop));
    }
}
