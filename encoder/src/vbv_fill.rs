//! How much of its rate libx264 leaves with a VBV of one frame, and what it is told to make up for it.
//!
//! It plans each row so that a picture stays a tenth below such a VBV, takes off a twentieth for errors,
//! and each slice leaves room for what the others may turn out to take. So it stays under its rate, by 12 %
//! with one slice, 14 to 28 % with two, 33 to 42 % with four (1280x720 and 640x384, noise and moving
//! pictures, 1 to 16 Mbit/s); more of a VBV makes pictures longer and the rate no better. Therefore it is
//! told a rate and a VBV that are more, by as much as it left of late. It then produces its rate within
//! 4 % from the first second on, in pictures of at most 1.2 budgets with two slices, 1.3 with four. After
//! pictures that are good with just less than their budget a few may be longer by a fifth.
//!
//! Pure: it is told lengths, and tells a factor.

/// The most that a factor is of the one that is begun with.
const MOST: f64 = 1.2;
/// Pictures that take less of their budget were not held back by the rate: the more they are offered, the
/// less of it they seem to fill.
const HELD_BACK: f64 = 0.85;
/// Part of a new picture in the mean: what the last 16 or so took.
const WEIGHT: f64 = 1.0 / 16.0;
/// Parts by which the factor must be wrong before another is told.
const STEP: f64 = 0.02;

/// What pictures took of what they were offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VbvFill {
    mean: f64,
    factor: f64,
    most: f64,
}

impl VbvFill {
    /// Before anything was coded, with pictures of so many slices.
    pub(crate) fn new(slices: u16) -> Self {
        let mean = match slices {
            0 | 1 => 0.85,
            2 => 0.8,
            _ => 0.65,
        };
        Self { mean, factor: 1.0 / mean, most: MOST / mean }
    }

    /// What rate and VBV are to be multiplied with.
    pub(crate) fn factor(&self) -> f64 {
        self.factor
    }

    /// A picture was coded whose budget was so much, both in bytes.
    pub(crate) fn coded(&mut self, bytes: usize, budget: f64) {
        let taken = bytes as f64 / budget;
        if taken < HELD_BACK || !taken.is_finite() {
            return;
        }
        self.mean += (taken / self.factor - self.mean) * WEIGHT;
        let right = (1.0 / self.mean).clamp(1.0, self.most);
        if (right / self.factor - 1.0).abs() > STEP {
            self.factor = right;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: f64 = 10_000.0;

    /// Lengths of pictures, in budgets, of an encoder that fills this part of what it is told.
    fn lengths(fill: &mut VbvFill, part: f64, pictures: usize) -> Vec<f64> {
        let coded = (0..pictures).map(|_| {
            let bytes = BUDGET * fill.factor() * part;
            fill.coded(bytes as usize, BUDGET);
            bytes / BUDGET
        });
        coded.collect()
    }

    #[test]
    fn pictures_come_to_their_budget_whatever_part_is_filled() {
        for (slices, part) in [(1, 0.88), (2, 0.72), (2, 0.8), (2, 0.86), (4, 0.58), (4, 0.67)] {
            let mut fill = VbvFill::new(slices);
            let lengths = lengths(&mut fill, part, 120);
            let second = lengths[..60].iter().sum::<f64>() / 60.0;
            assert!((0.95..1.05).contains(&second), "{slices} slices, {part}: {second}");
            assert!((lengths[59] - 1.0).abs() < 0.03, "{slices} slices, {part}");
            // It is told nothing new once that is settled.
            assert!(lengths[90..].iter().all(|length| *length == lengths[90]));
        }
    }

    #[test]
    fn pictures_that_cost_nothing_say_nothing() {
        let mut fill = VbvFill::new(2);
        let before = fill.factor();
        assert_eq!(lengths(&mut fill, 0.1, 100), vec![before * 0.1; 100]);
        for _ in 0..100 {
            fill.coded(8_000, BUDGET);
        }
        fill.coded(500, 0.0);
        fill.coded(0, 0.0);
        assert_eq!(fill.factor(), before);
    }

    #[test]
    fn the_factor_has_bounds() {
        let near = |factor: f64, bound: f64| (factor / bound - 1.0).abs() <= STEP;
        let mut fill = VbvFill::new(2);
        // Pictures that are good with nearly all of their budget, however much they are offered.
        for _ in 0..1_000 {
            fill.coded(9_000, BUDGET);
        }
        assert!(near(fill.factor(), MOST / 0.8), "{fill:?}");
        lengths(&mut fill, 1.5, 1_000);
        assert!(near(fill.factor(), 1.0), "{fill:?}");
    }
}
