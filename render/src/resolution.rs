//! Dynamic resolution: which internal size holds the frame rate. The coded size never changes.
//!
//! Pure: told what a picture cost, says how large the next one is. Down fast, since a late picture is
//! felt at once; up slowly, since nobody misses a pixel for half a second; and with a gap between
//! the two thresholds, so that a constant load never makes it swing.

use std::time::Duration;

use media::Size;

/// The picture never gets smaller than this, unless the coded size is.
pub const LEAST: Size = Size::new(640, 360);
/// Steps are this part of the coded width, so that the renderer's targets change rarely.
const STEPS: u32 = 16;
/// A picture that takes more than this part of the budget is too dear.
const TOO_DEAR: f64 = 0.90;
/// What the size is brought to, and what the next larger size may take.
const AIM: f64 = 0.78;
/// Pictures in a row that must be too dear before the size goes down: one alone is noise.
const DOWN_AFTER: u32 = 2;
/// Pictures in a row that must leave room before the size goes up; doubled for each climb that
/// failed, up to [`UP_AFTER_MOST`].
const UP_AFTER: u32 = 30;
const UP_AFTER_MOST: u32 = 960;
/// A climb has failed when the size goes down again within this many pictures.
const PROBATION: u32 = 120;

/// Chooses the internal size, see the module.
#[derive(Clone, Debug)]
pub struct Resolution {
    coded: Size,
    /// Sizes in sixteenths of the coded one, from least to 16.
    least: f64,
    /// Index of the present size, 0 the smallest.
    level: u32,
    levels: u32,
    dear: u32,
    /// The cheapest of the pictures that were too dear in a row.
    cheapest_dear: Duration,
    roomy: u32,
    /// The level that a climb failed at, and how many roomy pictures the next try takes.
    failed: Option<(u32, u32)>,
    /// Pictures since the newest climb; `u32::MAX` when there was none since the size went down.
    since_climb: u32,
}

impl Resolution {
    /// Begins at the coded size.
    pub fn new(coded: Size) -> Self {
        let ratio = |least: u32, side: u32| f64::from(least) / f64::from(side.max(1));
        let least = ratio(LEAST.width, coded.width).max(ratio(LEAST.height, coded.height)).min(1.0);
        let levels = ((1.0 - least) * f64::from(STEPS)).ceil() as u32 + 1;
        Self {
            coded,
            least,
            level: levels - 1,
            levels,
            dear: 0,
            cheapest_dear: Duration::MAX,
            roomy: 0,
            failed: None,
            since_climb: u32::MAX,
        }
    }

    /// Begins at the smallest size: for a device that is known to be slow, so that the first
    /// pictures are in time.
    pub fn from_least(coded: Size) -> Self {
        Self { level: 0, ..Self::new(coded) }
    }

    /// For pictures of another coded size: begins at the size nearest to the one of now that is not larger, or at the
    /// least.
    #[must_use]
    pub fn of(&self, coded: Size) -> Self {
        let pixels = self.internal().pixels();
        let mut other = Self::new(coded);
        while other.level > 0 && other.internal().pixels() > pixels {
            other.level -= 1;
        }
        other
    }

    /// The size to draw at.
    pub fn internal(&self) -> Size {
        self.size_at(self.level)
    }

    /// Takes in that a picture drawn at `internal` took `cost` (drawing and conversion) where
    /// `budget` is to be had, and yields the size for the next one. Costs of another size than the
    /// present one are old news and say nothing.
    pub fn observe(&mut self, internal: Size, cost: Duration, budget: Duration) -> Size {
        if internal != self.internal() || budget.is_zero() {
            return self.internal();
        }
        self.since_climb = self.since_climb.saturating_add(1);
        if cost > budget.mul_f64(TOO_DEAR) {
            self.roomy = 0;
            self.dear += 1;
            self.cheapest_dear = self.cheapest_dear.min(cost);
            if self.dear >= DOWN_AFTER && self.level > 0 {
                self.go_down(self.cheapest_dear, budget);
            }
        } else {
            self.dear = 0;
            self.cheapest_dear = Duration::MAX;
            self.roomy = if self.next_has_room(cost, budget) { self.roomy + 1 } else { 0 };
            if self.roomy >= self.patience() {
                self.go_to(self.level + 1);
                self.since_climb = 0;
            }
        }
        if self.since_climb >= PROBATION && self.failed.is_some_and(|(at, _)| self.level >= at) {
            self.failed = None;
        }
        self.internal()
    }

    /// Roomy pictures that the next climb takes.
    fn patience(&self) -> u32 {
        self.failed.filter(|&(at, _)| self.level + 1 >= at).map_or(UP_AFTER, |(_, after)| after)
    }

    /// To the largest smaller size that would meet the aim if cost went with the pixels. It does
    /// not quite (part of it is constant), so this may take a second step, never too large a one.
    fn go_down(&mut self, cost: Duration, budget: Duration) {
        if self.since_climb < PROBATION {
            let before = self.failed.map_or(UP_AFTER, |(_, after)| after);
            self.failed = Some((self.level, (before * 2).min(UP_AFTER_MOST)));
        }
        self.since_climb = u32::MAX;
        let affordable = self.internal().pixels() as f64 * budget.as_secs_f64() * AIM
            / cost.as_secs_f64().max(f64::MIN_POSITIVE);
        let fits = |&level: &u32| self.size_at(level).pixels() as f64 <= affordable;
        self.go_to((0..self.level).rev().find(fits).unwrap_or(0));
    }

    /// Whether the next larger size would meet the aim, were all of the cost in the pixels: an
    /// estimate from above, so a climb is not taken back while the load stays.
    fn next_has_room(&self, cost: Duration, budget: Duration) -> bool {
        if self.level + 1 >= self.levels {
            return false;
        }
        let growth =
            self.size_at(self.level + 1).pixels() as f64 / self.internal().pixels().max(1) as f64;
        cost.as_secs_f64() * growth < budget.as_secs_f64() * AIM
    }

    fn go_to(&mut self, level: u32) {
        self.level = level;
        self.dear = 0;
        self.cheapest_dear = Duration::MAX;
        self.roomy = 0;
    }

    fn size_at(&self, level: u32) -> Size {
        let scale = if self.levels < 2 {
            1.0
        } else {
            let part = f64::from(level) / f64::from(self.levels - 1);
            self.least + (1.0 - self.least) * part
        };
        // Rounding up keeps the smallest size within the bound.
        let side =
            |coded: u32| ((f64::from(coded) * scale - 1e-6).ceil() as u32).clamp(1, coded.max(1));
        Size::new(side(self.coded.width), side(self.coded.height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BUDGET: Duration = Duration::from_millis(33);

    /// Pixels at `nanos` each, on top of a constant.
    fn cost(size: Size, constant: f64, nanos: f64) -> Duration {
        Duration::from_secs_f64(constant + size.pixels() as f64 * nanos * 1e-9)
    }

    fn coded_sizes() -> impl Strategy<Value = Size> {
        (1_u32..2_000, 1_u32..1_200).prop_map(|(w, h)| Size::new(w * 2, h * 2))
    }

    #[test]
    fn a_usual_picture_has_even_steps_of_one_shape() {
        let policy = Resolution::new(Size::new(1280, 720));
        let sizes: Vec<_> = (0..policy.levels).map(|level| policy.size_at(level)).collect();
        assert_eq!(sizes[0], LEAST);
        assert_eq!(sizes[1], Size::new(720, 405));
        assert_eq!(*sizes.last().unwrap(), Size::new(1280, 720));
        assert_eq!(sizes.len(), 9);
    }

    #[test]
    fn one_late_picture_is_noise_and_two_are_a_load() {
        let full = Size::new(1280, 720);
        let mut policy = Resolution::new(full);
        assert_eq!(policy.observe(full, BUDGET * 3, BUDGET), full);
        assert_eq!(policy.observe(full, BUDGET / 2, BUDGET), full);
        assert_eq!(policy.observe(full, BUDGET * 2, BUDGET), full);
        let down = policy.observe(full, BUDGET * 3, BUDGET);
        assert!(down.pixels() as f64 <= full.pixels() as f64 * AIM / 2.0, "{down}");
    }

    #[test]
    fn costs_of_another_size_say_nothing() {
        let full = Size::new(1280, 720);
        let mut policy = Resolution::new(full);
        for _ in 0..100 {
            assert_eq!(policy.observe(LEAST, BUDGET * 9, BUDGET), full);
        }
    }

    #[test]
    fn a_climb_that_fails_makes_the_next_one_rarer() {
        // Cheap at the smaller size, dear at the larger one: no model predicts that.
        let full = Size::new(1280, 720);
        let mut policy = Resolution::new(full);
        let mut climbs = 0;
        for _ in 0..10_000 {
            let before = policy.internal();
            let took = if before == full { BUDGET * 2 } else { BUDGET / 10 };
            let after = policy.observe(before, took, BUDGET);
            climbs += u32::from(after == full && before != full);
        }
        assert!((2..20).contains(&climbs), "{climbs} climbs");
    }

    proptest! {
        #[test]
        fn sizes_stay_within_bounds(
            coded in coded_sizes(),
            costs in proptest::collection::vec(0_u64..200, 1..400),
        ) {
            let mut policy = Resolution::new(coded);
            for millis in costs {
                let internal = policy.internal();
                let next = policy.observe(internal, Duration::from_millis(millis), BUDGET);
                prop_assert!(next.width <= coded.width && next.height <= coded.height);
                prop_assert!(next.width >= LEAST.width.min(coded.width));
                prop_assert!(next.height >= LEAST.height.min(coded.height));
                // The same shape to within a pixel each way.
                let skew = i64::from(next.width) * i64::from(coded.height)
                    - i64::from(next.height) * i64::from(coded.width);
                prop_assert!(skew.unsigned_abs() <= u64::from(coded.width.max(coded.height)));
            }
        }

        #[test]
        fn a_constant_load_is_settled_on_and_met(
            coded in coded_sizes(),
            constant in 0.0_f64..0.02,
            nanos in 0.0_f64..200.0,
            small_first: bool,
        ) {
            let mut policy =
                if small_first { Resolution::from_least(coded) } else { Resolution::new(coded) };
            let mut turns = 0;
            let mut grew = small_first;
            let mut settled_for = 0;
            for _ in 0..(UP_AFTER * 64) {
                let before = policy.internal();
                let after = policy.observe(before, cost(before, constant, nanos), BUDGET);
                if after == before {
                    settled_for += 1;
                    continue;
                }
                settled_for = 0;
                let grows = after.pixels() > before.pixels();
                turns += u32::from(grows != grew);
                grew = grows;
            }
            // Down, then up again where it overshot; never back and forth.
            prop_assert!(turns <= 1, "{turns} turns");
            prop_assert!(settled_for > UP_AFTER, "still changing");
            let took = cost(policy.internal(), constant, nanos);
            prop_assert!(took <= BUDGET.mul_f64(TOO_DEAR) || policy.level == 0);
            prop_assert!(!policy.next_has_room(took, BUDGET));
        }

        #[test]
        fn noise_below_the_threshold_never_makes_it_smaller(
            noise in proptest::collection::vec(0.0_f64..TOO_DEAR, 1..500),
        ) {
            let mut policy = Resolution::from_least(Size::new(1920, 1080));
            let mut before = policy.internal();
            for part in noise {
                let after = policy.observe(before, BUDGET.mul_f64(part), BUDGET);
                prop_assert!(after.pixels() >= before.pixels());
                before = after;
            }
        }
    }
}
