//! What sessions of one kind were measured to take, for those that come after them.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples that are remembered, the newest: two minutes of one session at one a second.
const MOST: usize = 120;
/// Samples below which nothing is known.
const LEAST: usize = 5;
/// Hundredths of the samples that what is told is not below.
const PERCENT: usize = 95;

/// Samples of processor time per second.
#[derive(Clone, Debug, Default)]
pub struct Shares(VecDeque<Duration>);

impl Shares {
    /// Adds a sample; forgets the oldest beyond two minutes of them.
    pub fn add(&mut self, share: Duration) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(share);
    }

    /// Adds one of a time in which the machine had nothing to spare: the session may have wanted more than it got. It is
    /// remembered where it says that more is needed than was known.
    pub fn add_strained(&mut self, share: Duration) {
        if self.usual().is_some_and(|usual| share > usual) {
            self.add(share);
        }
    }

    /// How many are remembered.
    pub fn samples(&self) -> usize {
        self.0.len()
    }

    /// What is enough for 95 of 100 samples; `None` while there are too few.
    pub fn usual(&self) -> Option<Duration> {
        if self.0.len() < LEAST {
            return None;
        }
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let at = (sorted.len() * PERCENT).div_ceil(100) - 1;
        sorted.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_samples_say_nothing_and_old_ones_nothing_any_more() {
        let ms = Duration::from_millis;
        let mut shares = Shares::default();
        for sample in 1..LEAST as u64 {
            shares.add(ms(sample));
        }
        assert_eq!(shares.usual(), None);
        shares.add(ms(900));
        assert_eq!(shares.usual(), Some(ms(900)));
        (0..MOST).for_each(|_| shares.add(ms(400)));
        assert_eq!(shares.usual(), Some(ms(400)));
    }

    #[test]
    fn what_a_busy_machine_left_over_makes_nothing_look_cheap() {
        let ms = Duration::from_millis;
        let mut shares = Shares::default();
        (0..MOST).for_each(|_| shares.add_strained(ms(100)));
        assert_eq!(shares.usual(), None);
        (0..LEAST).for_each(|_| shares.add(ms(500)));
        (0..MOST).for_each(|_| shares.add_strained(ms(100)));
        assert_eq!(shares.usual(), Some(ms(500)));
        shares.add_strained(ms(700));
        assert_eq!(shares.usual(), Some(ms(700)));
    }

    #[test]
    fn one_sample_in_twenty_may_be_above() {
        let mut shares = Shares::default();
        (1..=100).for_each(|sample| shares.add(Duration::from_millis(sample)));
        assert_eq!(shares.usual(), Some(Duration::from_millis(95)));
    }
}
