//! What the handle and the thread share: the mailbox, the commands and the counters, under one lock,
//! so that the thread waits for either and takes commands before frames.

use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use media::{Bitrate, Damage, Frame, FrameId, FrameRate, PictureKind, Regions, Size, UnitSink};

use super::{Command, CommandRefused, WorkerStats};
use crate::candidates::Candidate;

/// What the thread does next.
#[expect(clippy::large_enum_variant, reason = "moved once a frame; a box would allocate each time")]
pub(super) enum Work {
    Command(Command),
    Frame(Frame),
    /// The encoder may have units.
    Finished,
    /// The encoder keeps a picture for too long.
    Overdue,
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
    commands: Pending,
    /// The encoder woke the thread.
    finished: bool,
    stopping: bool,
    ended: bool,
    wants_refresh: bool,
    wants_shared: bool,
    wants_kind: PictureKind,
    stats: WorkerStats,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(kind: PictureKind) -> Self {
        let state = State {
            frame: None,
            commands: Pending::default(),
            finished: false,
            stopping: false,
            ended: false,
            wants_refresh: true,
            wants_shared: false,
            wants_kind: kind,
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
        if matches!(command, Command::Stop) {
            state.stopping = true;
        } else if state.stopping || state.ended {
            return Err(CommandRefused::Ended);
        }
        let replaced = state.commands.put(command);
        drop(state);
        self.work.notify_one();
        // A sink may take locks of its own when it goes: not under ours.
        drop(replaced);
        Ok(())
    }

    /// The encoder may have units.
    pub(super) fn finish(&self) {
        self.lock().finished = true;
        self.work.notify_one();
    }

    /// Waits for work. A frame is taken only where the encoder has `room`; `overdue` is when it will
    /// have kept a picture for too long.
    pub(super) fn next(&self, room: bool, overdue: Option<Instant>) -> Work {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return Work::Stop;
            }
            // Before all else: what is coded is the oldest that the viewer waits for.
            if std::mem::take(&mut state.finished) {
                return Work::Finished;
            }
            if let Some(command) = state.commands.take() {
                return Work::Command(command);
            }
            if room && let Some(frame) = state.frame.take() {
                return Work::Frame(frame);
            }
            let Some(overdue) = overdue else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = overdue.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Work::Overdue;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn record(&self, change: impl FnOnce(&mut WorkerStats)) {
        change(&mut self.lock().stats);
    }

    pub(super) fn set_wants(&self, refresh: bool, shared: bool) {
        let mut state = self.lock();
        (state.wants_refresh, state.wants_shared) = (refresh, shared);
    }

    pub(super) fn set_kind(&self, kind: PictureKind) {
        self.lock().wants_kind = kind;
    }

    pub(super) fn wants_kind(&self) -> PictureKind {
        self.lock().wants_kind
    }

    pub(super) fn stats(&self) -> WorkerStats {
        self.lock().stats.clone()
    }

    pub(super) fn wants_refresh(&self) -> bool {
        self.lock().wants_refresh
    }

    pub(super) fn wants_shared(&self) -> bool {
        self.lock().wants_shared
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

/// Commands that wait: a place for each kind, so that none is ever refused and nothing grows.
///
/// They are taken in the order of the fields. That is the order in which they mean the same as in the
/// order in which they came: other encoders are for the sink that comes with them, a sink makes void
/// what the viewer before it asked for, looked at and lost, rates touch neither, and a keyframe is one whether or not frames were forgotten before it.
#[derive(Default)]
struct Pending {
    /// The newest counts.
    encoders: Option<(Vec<Candidate>, PictureKind)>,
    /// The newest counts.
    sink: Option<Box<dyn UnitSink>>,
    /// The newest counts.
    rate: Option<(Bitrate, FrameRate)>,
    /// The newest count.
    regions: Option<(Size, Regions)>,
    /// The newest counts: it stands for all before it.
    acknowledged: Option<FrameId>,
    /// From the least to the greatest: frames in between refer to lost ones.
    lost: Option<RangeInclusive<FrameId>>,
    /// One answers all requests.
    keyframe: bool,
}

impl Pending {
    /// Takes a command in. Returns the sink that it replaced, which is not to be dropped under a lock.
    fn put(&mut self, command: Command) -> Option<Box<dyn UnitSink>> {
        match command {
            Command::SetSink(sink) => {
                (self.lost, self.keyframe, self.acknowledged) = (None, false, None);
                self.regions = None;
                return self.sink.replace(sink);
            }
            Command::UseEncoders { encoders, kind } => self.encoders = Some((encoders, kind)),
            Command::SetRate { bitrate, rate } => self.rate = Some((bitrate, rate)),
            Command::SetRegions { size, regions } => self.regions = Some((size, regions)),
            Command::Forget(lost) => {
                self.lost = Some(match self.lost.take() {
                    Some(older) => *older.start().min(lost.start())..=*older.end().max(lost.end()),
                    None => lost,
                });
            }
            Command::Keyframe => self.keyframe = true,
            Command::Acknowledge(frame) => self.acknowledged = self.acknowledged.max(Some(frame)),
            // A state of its own: it comes before everything.
            Command::Stop => {}
        }
        None
    }

    fn take(&mut self) -> Option<Command> {
        if let Some((encoders, kind)) = self.encoders.take() {
            return Some(Command::UseEncoders { encoders, kind });
        }
        if let Some(sink) = self.sink.take() {
            return Some(Command::SetSink(sink));
        }
        if let Some((bitrate, rate)) = self.rate.take() {
            return Some(Command::SetRate { bitrate, rate });
        }
        if let Some((size, regions)) = self.regions.take() {
            return Some(Command::SetRegions { size, regions });
        }
        // Before losses: an encoder may go back to what was acknowledged.
        if let Some(frame) = self.acknowledged.take() {
            return Some(Command::Acknowledge(frame));
        }
        if let Some(lost) = self.lost.take() {
            return Some(Command::Forget(lost));
        }
        std::mem::take(&mut self.keyframe).then_some(Command::Keyframe)
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
    use media::{AccessUnit, Rect, RegionQuality, SendRefused};

    struct NoSink;

    impl UnitSink for NoSink {
        fn is_ready(&self) -> bool {
            false
        }
        fn send(&mut self, _: AccessUnit) -> Result<(), SendRefused> {
            Err(SendRefused::NotConnected)
        }
    }

    fn rate(kbps: u64) -> Command {
        Command::SetRate { bitrate: Bitrate::from_kbps(kbps), rate: FrameRate::fps(30) }
    }

    fn forget(first: u64, last: u64) -> Command {
        Command::Forget(FrameId(first)..=FrameId(last))
    }

    fn acknowledge(frame: u64) -> Command {
        Command::Acknowledge(FrameId(frame))
    }

    fn sink() -> Command {
        Command::SetSink(Box::new(NoSink))
    }

    /// What the thread is told when these came while it was at a frame.
    fn told(commands: impl IntoIterator<Item = Command>) -> Vec<String> {
        let mut pending = Pending::default();
        for command in commands {
            pending.put(command);
        }
        std::iter::from_fn(|| pending.take()).map(|command| format!("{command:?}")).collect()
    }

    #[test]
    fn each_kind_has_one_place() {
        let commands = [rate(1), Command::Keyframe, forget(7, 7), rate(2), forget(3, 4)];
        let told = told(commands.into_iter().chain([Command::Keyframe, rate(3)]));
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("3000"), "the newest rate: {told:?}");
        assert_eq!(told[1..], ["Forget(FrameId(3)..=FrameId(7))", "Keyframe"]);
    }

    #[test]
    fn the_newest_encoders_come_before_the_sink_that_they_are_for() {
        let encoders = |name| {
            let missing = || crate::OpenError::Missing("it is a double".into());
            let open = std::sync::Arc::new(move |_: &_, _: &_| Err(missing()));
            let codec = media::Codec::Vp8;
            let (library, hardware) = ("a double", false);
            let encoders = vec![Candidate { name, codec, hardware, library, open }];
            Command::UseEncoders { encoders, kind: PictureKind::NV12 }
        };
        let told = told([encoders("a"), sink(), rate(1), encoders("b")]);
        assert_eq!((told[0].as_str(), told[1].as_str()), (r#"UseEncoders["b"]"#, "SetSink"));
        assert_eq!(told.len(), 3, "{told:?}");
    }

    #[test]
    fn the_newest_regions_count_and_are_those_of_the_viewer() {
        let size = Size::new(64, 48);
        let regions = |steps| {
            let region = RegionQuality { rect: Rect::whole(size), steps };
            Command::SetRegions { size, regions: Regions::new(&[region]).unwrap() }
        };
        let told = told([regions(1), sink(), regions(2), rate(1), regions(3)]);
        assert_eq!((told.len(), told[0].as_str()), (3, "SetSink"), "{told:?}");
        assert!(told[1].starts_with("SetRate") && told[2].contains("steps: 3"), "{told:?}");
        let told = super::tests::told([regions(1), sink()]);
        assert_eq!(told, ["SetSink"]);
    }

    #[test]
    fn the_newest_acknowledgement_comes_before_losses() {
        let told = told([forget(7, 7), acknowledge(5), acknowledge(3)]);
        assert_eq!(told, ["Acknowledge(FrameId(5))", "Forget(FrameId(7)..=FrameId(7))"]);
    }

    #[test]
    fn a_full_encoder_is_given_no_frame_and_its_units_come_first() {
        let shared = Shared::new(PictureKind::NV12);
        assert_eq!(shared.command(rate(1)), Ok(()));
        shared.finish();
        assert!(matches!(shared.next(false, None), Work::Finished));
        assert!(matches!(shared.next(false, None), Work::Command(_)));
        assert!(matches!(shared.next(false, Some(Instant::now())), Work::Overdue));
    }

    #[test]
    fn a_sink_makes_void_what_the_viewer_before_it_wanted() {
        let before = [forget(3, 4), acknowledge(2), Command::Keyframe, rate(1)];
        let told = told(before.into_iter().chain([sink(), sink(), forget(9, 9)]));
        assert_eq!((told.len(), told[0].as_str()), (3, "SetSink"), "{told:?}");
        assert!(told[1].starts_with("SetRate"), "{told:?}");
        assert_eq!(told[2], "Forget(FrameId(9)..=FrameId(9))");
    }

    #[test]
    fn a_stop_comes_before_everything_and_ends_the_taking() {
        let shared = Shared::new(PictureKind::NV12);
        assert_eq!(shared.command(rate(1)), Ok(()));
        assert_eq!(shared.command(Command::Stop), Ok(()));
        assert_eq!(shared.command(sink()), Err(CommandRefused::Ended));
        assert!(matches!(shared.next(true, None), Work::Stop));
    }
}
