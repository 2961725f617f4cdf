use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Waker};
use std::time::Duration;

use media::{
    ColorDescription, InputEvent, InputSeq, KeyCode, Part, Size, StageTimes, TrackId, UnitKind,
    Views,
};
use testkit::FakeClock;

use super::*;

/// The audience of a session that nobody watches.
pub(crate) fn nobody(size: Size) -> Arc<Audience> {
    with_clock(Arc::new(FakeClock::default()), size)
}

fn with_clock(clock: Arc<dyn Clock>, size: Size) -> Arc<Audience> {
    with_deeds(clock, size).0
}

fn with_deeds(clock: Arc<dyn Clock>, size: Size) -> (Arc<Audience>, mpsc::Receiver<Deed>) {
    let demand = encoder::Demand {
        size,
        rate: media::FrameRate::fps(30),
        format: media::PixelFormat::Nv12,
        waves: false,
        decodes: media::CodecSet::of(&[Codec::H264]),
        holds: None,
    };
    let choice = encoder::choose(&[], &demand, &encoder::Preference::default());
    let stream =
        Stream { codec: None, kind: PictureKind::NV12, encoder: "", size, choice, ended: None };
    Audience::new(clock, stream, size, None, &Metrics::new())
}

/// A sink that keeps what it is given, and has room or not.
#[derive(Clone, Default)]
struct Kept {
    units: Arc<Mutex<Vec<AccessUnit>>>,
    full: Arc<AtomicBool>,
    /// It wants nothing new, and takes what it is given.
    shut: Arc<AtomicBool>,
}

impl Kept {
    fn frames(&self) -> Vec<u64> {
        self.units.lock().unwrap().iter().map(|unit| unit.frame.0).collect()
    }
    /// Those of which the last part came.
    fn whole(&self) -> Vec<u64> {
        let units = self.units.lock().unwrap();
        units.iter().filter(|unit| unit.part.last).map(|unit| unit.frame.0).collect()
    }
    fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }
}

impl UnitSink for Kept {
    fn is_ready(&self) -> bool {
        !self.full.load(Ordering::Relaxed) && !self.shut.load(Ordering::Relaxed)
    }
    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        if self.full.load(Ordering::Relaxed) {
            return Err(SendRefused::Full);
        }
        self.units.lock().unwrap().push(unit);
        Ok(())
    }
}

fn unit(frame: u64, kind: UnitKind) -> AccessUnit {
    AccessUnit {
        track: TrackId(0),
        frame: FrameId(frame),
        captured_at: MediaTime::from_millis(frame),
        kind,
        refers_to: (kind != UnitKind::Key).then(|| FrameId(frame - 1)),
        codec: Codec::H264,
        data: bytes::Bytes::from(vec![0; 1_000]),
        part: Part::WHOLE,
        views: Views::new(),
        damage: Damage::none(),
        depth: None,
        color: ColorDescription::BT709_LIMITED,
        last_input: None::<InputSeq>,
        stages: StageTimes::captured(MediaTime::from_millis(frame)),
    }
}

struct Scene {
    clock: Arc<FakeClock>,
    audience: Arc<Audience>,
    player: Kept,
    fan: Box<dyn UnitSink>,
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        let audience = with_clock(clock.clone(), Size::new(64, 64));
        let player = Kept::default();
        let fan = audience.fan(Some(Box::new(player.clone())));
        Self { clock, audience, player, fan }
    }

    fn seat(&self, who: Who) -> (Kept, Arc<ViewerCounts>) {
        let (kept, counts) = (Kept::default(), Arc::<ViewerCounts>::default());
        let told = (Codec::H264, PictureKind::NV12);
        self.audience.seat(who, Box::new(kept.clone()), told, counts.clone());
        (kept, counts)
    }

    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        self.clock.advance(Duration::from_millis(16));
        self.fan.send(unit)
    }

    /// The same of some of three parts.
    fn send_parts(&mut self, unit: &AccessUnit, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let part = Part { first: number == 0, last: number == 2 };
            self.send(AccessUnit { part, ..unit.clone() }).unwrap();
        }
    }
}

/// Units that were given to a viewer and that were not.
fn counted(counts: &ViewerCounts) -> (u64, u64) {
    (counts.sent.load(Ordering::Relaxed), counts.skipped.load(Ordering::Relaxed))
}

#[tokio::test]
async fn the_driver_hears_of_the_first_who_watches_and_of_the_last_who_goes() {
    let scene = Scene::new();
    assert!(!scene.audience.is_watched());
    scene.seat(1);
    scene.audience.news().await;
    assert!(scene.audience.is_watched());
    scene.seat(2);
    scene.audience.unseat(1);
    assert!(scene.audience.is_watched());
    scene.audience.unseat(2);
    scene.audience.news().await;
    assert!(!scene.audience.is_watched());
}

#[test]
fn every_viewer_is_given_the_same_bytes_from_a_keyframe_on() {
    let mut scene = Scene::new();
    let (first, counts) = scene.seat(1);
    scene.send(unit(1, UnitKind::Delta)).unwrap();
    let at = scene.clock.now();
    let (second, _) = scene.seat(2);
    assert!(scene.audience.wish().unwrap() < at, "the first one waits longest");
    scene.send(unit(2, UnitKind::Key)).unwrap();
    scene.send(unit(3, UnitKind::Delta)).unwrap();
    assert_eq!(scene.audience.wish(), None);
    assert_eq!(scene.player.frames(), [1, 2, 3]);
    for viewer in [&first, &second] {
        assert_eq!(viewer.frames(), [2, 3]);
        let (theirs, players) = (viewer.units.lock().unwrap(), scene.player.units.lock().unwrap());
        assert_eq!(theirs[0].data.as_ptr(), players[1].data.as_ptr(), "nothing is copied");
        assert_eq!((&theirs[0].damage, &theirs[1].damage), (&Damage::Unknown, &Damage::none()));
    }
    assert_eq!(counted(&counts), (2, 1));
}

#[test]
fn parts_are_one_unit_of_which_a_viewer_has_all_or_none() {
    let mut scene = Scene::new();
    let (first, counts) = scene.seat(1);
    let key = unit(1, UnitKind::Key);
    scene.send_parts(&key, 0..1);
    let (late, later) = scene.seat(2);
    scene.send_parts(&key, 1..3);
    assert_eq!((first.frames(), first.whole()), (vec![1; 3], vec![1]));
    let units = |kept: &Kept| kept.units.lock().unwrap().clone();
    assert!(units(&first).iter().all(|unit| unit.damage == Damage::Unknown), "alike in all parts");
    assert_eq!((late.frames(), counted(&later)), (vec![], (0, 0)), "it came within this one");
    assert!(scene.audience.wish().is_some(), "and still waits");
    // Whatever room there is decides over all of the next unit, and with its first part alone.
    scene.send_parts(&unit(2, UnitKind::Delta), 0..1);
    first.shut.store(true, Ordering::Relaxed);
    scene.send_parts(&unit(2, UnitKind::Delta), 1..3);
    assert_eq!(first.whole(), [1, 2]);
    assert_eq!(units(&first)[5].damage, Damage::none());
    scene.send_parts(&unit(3, UnitKind::Key), 0..1);
    first.shut.store(false, Ordering::Relaxed);
    scene.send_parts(&unit(3, UnitKind::Key), 1..3);
    assert_eq!((first.whole(), late.whole()), (vec![1, 2], vec![3]));
    assert_eq!((counted(&counts), counted(&later)), ((2, 1), (1, 1)));
    assert_eq!(scene.player.whole(), [1, 2, 3]);
}

#[test]
fn a_viewer_that_takes_no_more_of_a_unit_has_lost_it() {
    let mut scene = Scene::new();
    let (viewer, counts) = scene.seat(1);
    scene.send(unit(1, UnitKind::Key)).unwrap();
    scene.send_parts(&unit(2, UnitKind::Delta), 0..1);
    viewer.set_full(true);
    scene.send_parts(&unit(2, UnitKind::Delta), 1..2);
    viewer.set_full(false);
    assert!(scene.audience.wish().is_some(), "at once");
    scene.send_parts(&unit(2, UnitKind::Delta), 2..3);
    assert_eq!((viewer.frames(), counted(&counts)), (vec![1, 2], (1, 1)), "nothing more of it");
    scene.send(unit(3, UnitKind::Delta)).unwrap();
    scene.send(unit(4, UnitKind::Key)).unwrap();
    assert_eq!((viewer.whole(), counted(&counts)), (vec![1, 4], (2, 2)));
    // One that its transport gave up meanwhile.
    scene.send_parts(&unit(5, UnitKind::Delta), 0..1);
    scene.audience.lost(1, &(FrameId(5)..=FrameId(5)));
    scene.send_parts(&unit(5, UnitKind::Delta), 1..3);
    scene.send(unit(6, UnitKind::Key)).unwrap();
    assert_eq!((viewer.frames(), viewer.whole()), (vec![1, 2, 4, 5, 6], vec![1, 4, 6]));
    assert_eq!(counted(&counts), (3, 3));
}

#[test]
fn what_the_player_takes_no_more_of_nobody_has() {
    let mut scene = Scene::new();
    let (viewer, counts) = scene.seat(1);
    scene.send(unit(1, UnitKind::Key)).unwrap();
    scene.send_parts(&unit(2, UnitKind::Delta), 0..1);
    scene.player.set_full(true);
    let part = Part { first: false, last: false };
    let more = AccessUnit { part, ..unit(2, UnitKind::Delta) };
    assert_eq!(scene.send(more), Err(SendRefused::Full));
    scene.player.set_full(false);
    // The encoder sends no more of it, forgets 2 and goes on from 1.
    let recovery = AccessUnit { refers_to: Some(FrameId(1)), ..unit(3, UnitKind::Recovery) };
    scene.send_parts(&recovery, 0..3);
    assert_eq!((scene.player.whole(), viewer.whole()), (vec![1, 3], vec![1, 3]));
    assert_eq!(scene.audience.wish(), None, "which costs no keyframe");
    assert_eq!(counted(&counts), (2, 1));
}

#[test]
fn a_viewer_without_room_is_passed_over_and_nobody_else_is() {
    let mut scene = Scene::new();
    let (slow, counts) = scene.seat(1);
    let (quick, _) = scene.seat(2);
    scene.send(unit(1, UnitKind::Key)).unwrap();
    slow.set_full(true);
    assert!(scene.fan.is_ready(), "only the player decides whether a frame is coded");
    for frame in 2..60 {
        scene.send(unit(frame, UnitKind::Delta)).unwrap();
    }
    assert_eq!((scene.player.frames().len(), quick.frames().len()), (59, 59));
    assert_eq!(slow.frames(), [1]);
    assert_eq!(counts.skipped.load(Ordering::Relaxed), 58);
    // Asked for once its queue has had time to drain, not for every frame that it lacks.
    let first_skipped = MediaTime::from_millis(32);
    assert_eq!(scene.audience.wish(), Some(first_skipped + session::follow::KEYFRAMES_EVERY));
    slow.set_full(false);
    scene.send(unit(60, UnitKind::Delta)).unwrap();
    scene.send(unit(61, UnitKind::Key)).unwrap();
    assert_eq!(slow.frames(), [1, 61]);
    assert_eq!(scene.audience.wish(), None);
}

#[test]
fn what_the_player_is_not_given_nobody_is() {
    let mut scene = Scene::new();
    let (viewer, _) = scene.seat(1);
    scene.send(unit(1, UnitKind::Key)).unwrap();
    scene.player.set_full(true);
    assert!(!scene.fan.is_ready());
    assert_eq!(scene.send(unit(2, UnitKind::Delta)), Err(SendRefused::Full));
    scene.player.set_full(false);
    // The encoder forgets 2 and goes on from 1.
    let recovery = AccessUnit { refers_to: Some(FrameId(1)), ..unit(3, UnitKind::Recovery) };
    scene.send(recovery).unwrap();
    assert_eq!((scene.player.frames(), viewer.frames()), (vec![1, 3], vec![1, 3]));
    assert_eq!(scene.audience.wish(), None);
}

#[test]
fn another_codec_and_another_range_are_not_for_those_who_were_told_this_one() {
    let mut scene = Scene::new();
    let (viewer, _) = scene.seat(1);
    scene.send(AccessUnit { codec: Codec::Vp8, ..unit(1, UnitKind::Key) }).unwrap();
    scene.send(AccessUnit { color: PictureKind::HDR10.color, ..unit(2, UnitKind::Key) }).unwrap();
    assert!(viewer.frames().is_empty());
    scene.send(unit(3, UnitKind::Key)).unwrap();
    assert_eq!(viewer.frames(), [3]);
}

#[test]
fn who_leaves_wants_nothing_any_more() {
    let mut scene = Scene::new();
    let (one, _) = scene.seat(1);
    assert!(scene.audience.wish().is_some());
    scene.audience.unseat(1);
    assert_eq!(scene.audience.wish(), None);
    scene.send(unit(1, UnitKind::Key)).unwrap();
    assert!(one.frames().is_empty());
    // One who comes back sits once.
    scene.seat(2);
    let (again, _) = scene.seat(2);
    scene.send(unit(2, UnitKind::Key)).unwrap();
    assert_eq!(again.frames(), [2]);
    scene.audience.starts_over(2);
    assert!(scene.audience.wish().is_some());
    scene.audience.set_present(2, Some(Role::Spectator));
    scene.audience.set_present(2, Some(Role::CoPlayer));
    let present = wire::Viewers { co_players: 1, spectators: 0 };
    assert_eq!(scene.audience.present(), present);
    scene.audience.set_present(2, None);
    assert_eq!(scene.audience.present(), wire::Viewers::default());
}

#[tokio::test]
async fn what_a_co_player_says_reliably_waits_for_a_busy_driver_and_motion_does_not() {
    let (audience, mut deeds) = with_deeds(Arc::new(FakeClock::default()), Size::new(64, 64));
    let key = |pressed| SequencedInput {
        seq: InputSeq(1),
        event: InputEvent::Key { code: KeyCode::W, pressed },
    };
    for _ in 0..INPUTS {
        assert!(audience.does(1, key(true), DataChannel::Motion).await);
    }
    assert!(!audience.does(1, key(true), DataChannel::Motion).await);
    let mut goes_up = pin!(audience.does(1, key(false), DataChannel::Input));
    assert!(goes_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    for _ in 0..INPUTS {
        assert!(matches!(deeds.recv().await, Some(Deed::Does(1, input)) if input == key(true)));
    }
    assert!(goes_up.await);
    assert!(matches!(deeds.recv().await, Some(Deed::Does(1, input)) if input == key(false)));
    // The driver is gone, and holds nothing any more.
    drop(deeds);
    assert!(audience.does(1, key(false), DataChannel::Input).await);
}
