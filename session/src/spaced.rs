//! Wishes that cost something each time they are followed: the first is followed at once, those after it no oftener than
//! so often, and of those that come in between the newest. Pure: it is told the time.

use std::time::Duration;

use media::MediaTime;

/// See the module.
#[derive(Clone, Debug)]
pub struct Spaced<T> {
    every: Duration,
    /// The newest that is not followed yet.
    wish: Option<T>,
    /// What was followed last, if it came of it, and when.
    followed: Option<(Option<T>, MediaTime)>,
}

impl<T: Clone + PartialEq> Spaced<T> {
    /// Between two that are followed there is at least `every`.
    pub fn new(every: Duration) -> Self {
        Self { every, wish: None, followed: None }
    }

    /// This is wished for from now on, and nothing of before. What is so already needs nothing.
    pub fn wish(&mut self, wish: T) {
        let is_so = self.followed.as_ref().is_some_and(|(so, _)| so.as_ref() == Some(&wish));
        self.wish = (!is_so).then_some(wish);
    }

    /// What is to be followed now, once.
    pub fn take(&mut self, now: MediaTime) -> Option<T> {
        let waits = self.followed.as_ref().is_some_and(|(_, at)| now.since(*at) < self.every);
        let wish = self.wish.take_if(|_| !waits)?;
        self.followed = Some((Some(wish.clone()), now));
        Some(wish)
    }

    /// Nothing came of what was followed last: it may be wished for again.
    pub fn in_vain(&mut self) {
        self.followed.iter_mut().for_each(|(so, _)| *so = None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERY: Duration = Duration::from_millis(250);

    fn at(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    #[test]
    fn what_was_followed_in_vain_can_be_wished_for_again_as_late_as_any_other() {
        let mut spaced = Spaced::new(EVERY);
        spaced.wish(1);
        assert_eq!(spaced.take(at(0)), Some(1));
        spaced.wish(1);
        assert_eq!(spaced.take(at(900)), None, "it is so");
        spaced.in_vain();
        spaced.wish(1);
        assert_eq!((spaced.take(at(100)), spaced.take(at(250))), (None, Some(1)));
    }

    #[test]
    fn the_first_is_followed_at_once_and_the_last_after_a_while() {
        let mut spaced = Spaced::new(EVERY);
        assert_eq!(spaced.take(at(0)), None);
        spaced.wish(1);
        assert_eq!(spaced.take(at(5)), Some(1));
        assert_eq!(spaced.take(at(500)), None, "once");
        spaced.wish(2);
        assert_eq!(spaced.take(at(500)), Some(2), "the last one was long ago");
        for (wish, millis) in (3..10).zip((510..).step_by(20)) {
            spaced.wish(wish);
            assert_eq!(spaced.take(at(millis)), None);
        }
        assert_eq!(spaced.take(at(749)), None);
        assert_eq!(spaced.take(at(750)), Some(9));
    }

    #[test]
    fn what_comes_back_to_how_it_is_needs_nothing() {
        let mut spaced = Spaced::new(EVERY);
        spaced.wish(1);
        assert_eq!(spaced.take(at(0)), Some(1));
        spaced.wish(2);
        spaced.wish(1);
        assert_eq!(spaced.take(at(300)), None);
        spaced.wish(2);
        assert_eq!(spaced.take(at(300)), Some(2));
    }

    proptest! {
        #[test]
        fn however_wishes_come_they_are_spaced_and_the_last_one_counts(
            wishes in proptest::collection::vec((0_u64..100, 0_u8..4), 1..200),
        ) {
            let mut spaced = Spaced::new(EVERY);
            let (mut now, mut followed) = (0, Vec::new());
            for (passed, wish) in &wishes {
                now += passed;
                spaced.wish(*wish);
                followed.extend(spaced.take(at(now)).map(|wish| (wish, now)));
            }
            prop_assert_eq!(followed[0], (wishes[0].1, wishes[0].0));
            now += 250;
            followed.extend(spaced.take(at(now)).map(|wish| (wish, now)));
            prop_assert!(followed.windows(2).all(|pair| pair[1].1 - pair[0].1 >= 250));
            prop_assert!(followed.windows(2).all(|pair| pair[1].0 != pair[0].0));
            prop_assert_eq!(followed.last().map(|(wish, _)| *wish), wishes.last().map(|it| it.1));
            prop_assert_eq!(spaced.take(at(now + 1_000)), None);
        }
    }
}
