//! Which parts of the frame rate and of the size a bit rate is worth. Of many frames a second the rate gives way first, which
//! costs nothing, then the size, whose every change costs a keyframe. Of few (30 a second, `SLOW_FROM`) it is the other
//! way round: fewer still are seen as jerks and felt as lag, which a coarser picture is not, and that is worth the keyframe.
//!
//! Steps down come after the picture was too coarse for a while, steps up when it has long had bits to spare; a client
//! that does not keep up lowers the frame rate alone, and the longer it took to find that out again, the less often
//! more is tried.

use std::time::Duration;

use media::{Bitrate, FrameRate, MediaTime, Size};

/// A part of a whole, not zero and at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    numerator: u32,
    denominator: u32,
}

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self::of(1, 1);

    /// So many of so many; none where that is nothing, or more than all.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        (0 < numerator && numerator <= denominator).then_some(Self::of(numerator, denominator))
    }

    const fn of(numerator: u32, denominator: u32) -> Self {
        Self { numerator, denominator }
    }

    /// As a number: above 0.0, at most 1.0.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// This part of a frame rate.
    pub fn of_rate(self, rate: FrameRate) -> FrameRate {
        let (numerator, denominator) = rate.fraction();
        let numerator = numerator.checked_mul(self.numerator);
        let denominator = denominator.checked_mul(self.denominator);
        numerator.zip(denominator).and_then(|(n, d)| FrameRate::new(n, d)).unwrap_or(rate)
    }

    /// This part of both edges of a size, even both ways.
    pub fn of_size(self, size: Size) -> Size {
        let edge = |pixels: u32| {
            let part = u64::from(pixels) * u64::from(self.numerator) / u64::from(self.denominator);
            u32::try_from(part).unwrap_or(pixels).max(2) & !1
        };
        if self == Self::WHOLE { size } else { Size::new(edge(size.width), edge(size.height)) }
    }

    /// The smaller of two.
    pub fn least(self, other: Self) -> Self {
        if other.as_f64() < self.as_f64() { other } else { self }
    }
}

/// Frame rate and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rung {
    rate: Part,
    size: Part,
}

const fn rung(rate: Part, size: Part) -> Rung {
    Rung { rate, size }
}

const HALF: Part = Part::of(1, 2);
const THIRD: Part = Part::of(1, 3);
const TWO_THIRDS: Part = Part::of(2, 3);
const THREE_QUARTERS: Part = Part::of(3, 4);

/// Of 60 frames a second and the like.
const QUICK: [Rung; 6] = [
    rung(Part::WHOLE, Part::WHOLE),
    rung(TWO_THIRDS, Part::WHOLE),
    rung(HALF, Part::WHOLE),
    rung(HALF, THREE_QUARTERS),
    rung(HALF, HALF),
    rung(THIRD, HALF),
];
/// Of 30 and fewer: fewer still look worse than a coarser picture, and each waits longer for the next.
const SLOW: [Rung; 4] = [
    rung(Part::WHOLE, Part::WHOLE),
    rung(Part::WHOLE, THREE_QUARTERS),
    rung(Part::WHOLE, HALF),
    rung(TWO_THIRDS, HALF),
];
/// Where only frames can be left out.
const QUICK_WHOLE: [Rung; 4] = [
    rung(Part::WHOLE, Part::WHOLE),
    rung(TWO_THIRDS, Part::WHOLE),
    rung(HALF, Part::WHOLE),
    rung(THIRD, Part::WHOLE),
];
const SLOW_WHOLE: [Rung; 2] = [rung(Part::WHOLE, Part::WHOLE), rung(TWO_THIRDS, Part::WHOLE)];
/// Frames at least so far apart are few.
const SLOW_FROM: Duration = Duration::from_millis(30);
/// What a client that does not keep up is sent.
const FOR_CLIENT: [Part; 4] = [Part::WHOLE, TWO_THIRDS, HALF, THIRD];

/// Fewer bits a pixel than this look worse than fewer frames or pixels.
const COARSE: f64 = 0.03;
/// A step up must leave this many times as many.
const SPARE: f64 = 1.4;
/// So long the picture is too coarse before a step of the frame rate or of the size...
const DOWN_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// ...and has bits to spare.
const UP_AFTER: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(10)];
/// Least time between two changes of the size: each is a keyframe.
const SIZE_EVERY: Duration = Duration::from_secs(5);
/// So long the client is behind before a step down.
const CLIENT_DOWN_AFTER: Duration = Duration::from_millis(500);
/// It has kept up for so long before the first step up; twice as long after one that was too much, half as long after
/// each such time in which one was not.
const CLIENT_UP_AFTER: Duration = Duration::from_secs(5);
const CLIENT_UP_LATEST: Duration = Duration::from_secs(80);

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    frame: Duration,
    size: Size,
    rungs: &'static [Rung],
    at: usize,
    /// Since when the rung is too high, or the one above it is not.
    coarse: Option<MediaTime>,
    spare: Option<MediaTime>,
    last_size: Option<MediaTime>,
    client: ClientSteps,
}

#[derive(Clone, Debug)]
struct ClientSteps {
    at: usize,
    behind: Option<MediaTime>,
    kept_up: Option<MediaTime>,
    last_up: Option<MediaTime>,
    patience: Duration,
}

fn rungs(frame: Duration, resizes: bool) -> &'static [Rung] {
    match (frame >= SLOW_FROM, resizes) {
        (false, true) => &QUICK,
        (false, false) => &QUICK_WHOLE,
        (true, true) => &SLOW,
        (true, false) => &SLOW_WHOLE,
    }
}

impl Ladder {
    /// For pictures of `size` every `frame`, which can be coded smaller or not.
    pub(super) fn new(frame: Duration, size: Size, resizes: bool) -> Self {
        Self {
            frame,
            size,
            rungs: rungs(frame, resizes),
            at: 0,
            coarse: None,
            spare: None,
            last_size: None,
            client: ClientSteps {
                at: 0,
                behind: None,
                kept_up: None,
                last_up: None,
                patience: CLIENT_UP_AFTER,
            },
        }
    }

    /// Pictures can be coded smaller, or not, as it turned out.
    pub(super) fn set_resizes(&mut self, resizes: bool) {
        self.rungs = rungs(self.frame, resizes);
        self.at = 0;
        (self.coarse, self.spare) = (None, None);
    }

    /// Pictures have this size at their full size from now on.
    pub(super) fn resized(&mut self, size: Size) {
        self.size = size;
    }

    /// Part of the frame rate that pictures are made at.
    pub(super) fn rate(&self) -> Part {
        self.rungs[self.at].rate.least(FOR_CLIENT[self.client.at])
    }

    /// Part of both edges of the size.
    pub(super) fn of_size(&self) -> Part {
        self.rungs[self.at].size
    }

    /// Whether the client is why there are fewer frames.
    pub(super) fn client_limits(&self) -> bool {
        self.client.at > 0
    }

    /// Whether there are fewer frames or pixels because there are too few bits.
    pub(super) fn link_limits(&self) -> bool {
        self.at > 0
    }

    /// Time between two frames.
    pub(super) fn interval(&self) -> Duration {
        self.frame.div_f64(self.rate().as_f64())
    }

    /// Steps if it is time to, for an encoder that has `bits` a second.
    pub(super) fn step(&mut self, now: MediaTime, bits: Bitrate, client_is_behind: bool) {
        self.client.step(now, client_is_behind);
        let down = self.at + 1 < self.rungs.len() && self.density(self.at, bits) < COARSE;
        let up = self.at > 0 && self.density(self.at - 1, bits) >= COARSE * SPARE;
        since(&mut self.coarse, down, now);
        since(&mut self.spare, up, now);
        if let Some(began) = self.coarse {
            self.go(now, self.at + 1, now.since(began), DOWN_AFTER);
        } else if let Some(began) = self.spare {
            self.go(now, self.at - 1, now.since(began), UP_AFTER);
        }
    }

    fn go(&mut self, now: MediaTime, to: usize, for_long: Duration, after: [Duration; 2]) {
        let resizes = self.rungs[to].size != self.rungs[self.at].size;
        if for_long < after[usize::from(resizes)] {
            return;
        }
        if resizes {
            if self.last_size.is_some_and(|last| now.since(last) < SIZE_EVERY) {
                return;
            }
            self.last_size = Some(now);
        }
        self.at = to;
        (self.coarse, self.spare) = (None, None);
    }

    /// Bits a pixel on a rung.
    fn density(&self, rung: usize, bits: Bitrate) -> f64 {
        let Rung { rate, size } = self.rungs[rung];
        let pixels = size.of_size(self.size).pixels() as f64 * rate.as_f64();
        bits.bps() as f64 * self.frame.as_secs_f64() / pixels.max(1.0)
    }
}

impl ClientSteps {
    fn step(&mut self, now: MediaTime, is_behind: bool) {
        since(&mut self.behind, is_behind, now);
        since(&mut self.kept_up, !is_behind, now);
        if self.last_up.is_some_and(|up| !is_behind && now.since(up) >= self.patience) {
            self.patience = (self.patience / 2).max(CLIENT_UP_AFTER);
            self.last_up = (self.patience > CLIENT_UP_AFTER).then_some(now);
        }
        let for_long = |since: Option<MediaTime>| since.map_or(Duration::ZERO, |at| now.since(at));
        if for_long(self.behind) >= CLIENT_DOWN_AFTER && self.at + 1 < FOR_CLIENT.len() {
            self.at += 1;
            self.behind = Some(now);
            if self.last_up.take().is_some_and(|up| now.since(up) < self.patience) {
                self.patience = (self.patience * 2).min(CLIENT_UP_LATEST);
            }
        } else if self.at > 0 && for_long(self.kept_up) >= self.patience {
            self.at -= 1;
            self.kept_up = Some(now);
            self.last_up = Some(now);
        }
    }
}

/// Notes since when something is so.
fn since(at: &mut Option<MediaTime>, is_so: bool, now: MediaTime) {
    if is_so {
        at.get_or_insert(now);
    } else {
        *at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HD: Size = Size::new(1920, 1080);

    fn ladder() -> Ladder {
        Ladder::new(FrameRate::fps(60).interval(), HD, true)
    }

    fn run(ladder: &mut Ladder, from: u64, seconds: u64, kbps: u64, behind: bool) -> (Part, Part) {
        for millis in (from * 1_000..(from + seconds) * 1_000).step_by(50) {
            let bits = Bitrate::from_kbps(kbps);
            ladder.step(MediaTime::from_millis(millis), bits, behind);
        }
        (ladder.rate(), ladder.of_size())
    }

    #[test]
    fn the_frame_rate_gives_way_before_the_size_and_comes_back_after_it() {
        let mut ladder = ladder();
        assert_eq!(run(&mut ladder, 0, 20, 4_000, false), (Part::WHOLE, Part::WHOLE));
        assert_eq!(run(&mut ladder, 20, 2, 3_000, false), (TWO_THIRDS, Part::WHOLE));
        assert_eq!(run(&mut ladder, 22, 20, 3_000, false), (TWO_THIRDS, Part::WHOLE));
        assert_eq!(run(&mut ladder, 42, 4, 1_500, false), (HALF, THREE_QUARTERS));
        assert_eq!(run(&mut ladder, 46, 9, 4_000, false), (HALF, THREE_QUARTERS), "not at once");
        assert_eq!(run(&mut ladder, 55, 2, 4_000, false), (HALF, Part::WHOLE));
        assert_eq!(run(&mut ladder, 57, 12, 6_000, false), (Part::WHOLE, Part::WHOLE));
    }

    #[test]
    fn of_few_frames_the_size_gives_way_before_the_rate_and_comes_back_after_it() {
        let mut ladder = Ladder::new(FrameRate::fps(30).interval(), HD, true);
        assert_eq!(run(&mut ladder, 0, 20, 2_000, false), (Part::WHOLE, Part::WHOLE));
        assert_eq!(run(&mut ladder, 20, 20, 1_500, false), (Part::WHOLE, THREE_QUARTERS));
        assert_eq!(run(&mut ladder, 40, 20, 600, false), (Part::WHOLE, HALF));
        assert_eq!(run(&mut ladder, 60, 20, 300, false), (TWO_THIRDS, HALF));
        assert_eq!(run(&mut ladder, 80, 6, 1_200, false), (Part::WHOLE, HALF));
        assert_eq!(run(&mut ladder, 86, 60, 4_000, false), (Part::WHOLE, Part::WHOLE));
    }

    #[test]
    fn what_cannot_be_coded_smaller_keeps_its_size() {
        for fps in [60, 30] {
            let mut ladder = Ladder::new(FrameRate::fps(fps).interval(), HD, false);
            let (rate, size) = run(&mut ladder, 0, 60, 500, false);
            assert!(rate != Part::WHOLE && size == Part::WHOLE, "{fps}: {rate:?}, {size:?}");
        }
    }

    #[test]
    fn a_rate_that_wavers_about_a_step_changes_nothing_again_and_again() {
        let mut ladder = ladder();
        run(&mut ladder, 0, 5, 3_000, false);
        let mut changes = 0;
        for second in 5..200 {
            let before = (ladder.rate(), ladder.of_size());
            let kbps = if second % 2 == 0 { 3_400 } else { 4_200 };
            changes += usize::from(run(&mut ladder, second, 1, kbps, false) != before);
        }
        assert_eq!(changes, 0);
    }

    #[test]
    fn a_client_that_does_not_keep_up_gets_fewer_frames_and_is_tried_ever_more_rarely() {
        let mut ladder = ladder();
        assert_eq!(run(&mut ladder, 0, 1, 20_000, true), (TWO_THIRDS, Part::WHOLE));
        assert!(ladder.client_limits() && !ladder.link_limits());
        // It keeps up with two thirds and never with the whole.
        let mut tries = Vec::new();
        for second in 1..200 {
            let before = ladder.rate();
            let behind = before == Part::WHOLE;
            let (after, _) = run(&mut ladder, second, 1, 20_000, behind);
            if before != Part::WHOLE && after == Part::WHOLE {
                tries.push(second);
            }
        }
        let gaps: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.is_sorted() && gaps.last() > Some(&40), "{tries:?}");
    }

    #[test]
    fn a_client_that_was_busy_once_is_not_mistrusted_for_ever() {
        let tries_again_after = |ladder: &mut Ladder, from: u64| {
            run(ladder, from, 1, 20_000, true);
            let up = (1..200).find(|second| {
                run(ladder, from + second, 1, 20_000, false) == (Part::WHOLE, Part::WHOLE)
            });
            up.unwrap()
        };
        let mut ladder = ladder();
        // Busy again as soon as it is tried: the waits grow.
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..4 {
            waits.push(tries_again_after(&mut ladder, now));
            now += waits.last().unwrap() + 1;
        }
        assert!(waits.is_sorted() && waits[3] >= 8 * waits[0] - 8, "{waits:?}");
        // Long at rest: as at the beginning.
        run(&mut ladder, now, 120, 20_000, false);
        assert!(tries_again_after(&mut ladder, now + 120) <= waits[0] + 1);
    }

    #[test]
    fn bits_are_compared_with_the_pixels_of_the_size_of_now() {
        let mut ladder = ladder();
        assert_eq!(run(&mut ladder, 0, 5, 3_000, false), (TWO_THIRDS, Part::WHOLE));
        ladder.resized(Size::new(1280, 720));
        assert_eq!(run(&mut ladder, 5, 6, 3_000, false), (Part::WHOLE, Part::WHOLE));
        ladder.resized(Size::new(3840, 2160));
        let (_, size) = run(&mut ladder, 11, 20, 3_000, false);
        assert_ne!(size, Part::WHOLE);
    }

    #[test]
    fn a_part_is_neither_nothing_nor_more_than_all() {
        assert_eq!(Part::new(1, 2), Some(HALF));
        assert_eq!(Part::new(3, 3).map(Part::as_f64), Some(1.0));
        for (numerator, denominator) in [(0, 3), (4, 3), (0, 0), (1, 0)] {
            assert_eq!(Part::new(numerator, denominator), None);
        }
        assert_eq!(HALF.least(THIRD), THIRD);
    }

    #[test]
    fn parts_are_exact_and_even() {
        assert_eq!(TWO_THIRDS.of_rate(FrameRate::fps(60)).interval(), Duration::from_millis(25));
        assert_eq!(THREE_QUARTERS.of_size(HD), Size::new(1440, 810));
        assert_eq!(HALF.of_size(Size::new(1366, 770)), Size::new(682, 384));
        assert_eq!(Part::WHOLE.of_size(Size::new(3, 3)), Size::new(3, 3));
        let most = FrameRate::new(u32::MAX, 7).unwrap();
        assert_eq!(TWO_THIRDS.of_rate(most), most);
    }

    proptest! {
        #[test]
        fn two_changes_of_size_are_five_seconds_apart(
            fps in prop_oneof![Just(60), Just(30)],
            rates in proptest::collection::vec((100_u64..30_000, 1_u64..4_000), 1..120),
        ) {
            let mut ladder = Ladder::new(FrameRate::fps(fps).interval(), HD, true);
            let (mut now, mut last) = (MediaTime::ZERO, None::<MediaTime>);
            for (kbps, millis) in rates {
                for _ in 0..millis.div_ceil(50) {
                    now = now + Duration::from_millis(50);
                    let before = ladder.of_size();
                    ladder.step(now, Bitrate::from_kbps(kbps), false);
                    if ladder.of_size() != before {
                        prop_assert!(last.is_none_or(|last| now.since(last) >= SIZE_EVERY));
                        last = Some(now);
                    }
                }
            }
        }
    }
}
