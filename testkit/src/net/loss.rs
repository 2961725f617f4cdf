//! Which packets chance takes.

use crate::Rng;

/// How a link loses packets besides those that do not fit into its queue. Parts are 0.0 to 1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each packet with this chance.
    Random(f64),
    /// In bursts (Gilbert 1960, Elliott 1963): the link is good or bad, and each packet may change that.
    Bursts {
        /// Chance to turn bad with a packet.
        enter: f64,
        /// Chance to turn good again with a packet: a burst is `1 / leave` packets long on average.
        leave: f64,
        /// Part of the packets that is lost while the link is bad; none is while it is good.
        lost: f64,
    },
}

impl Loss {
    /// Bursts of `length` packets on average that take `part` of all packets.
    pub fn bursts(part: f64, length: f64) -> Self {
        let leave = 1.0 / length.max(1.0);
        // In balance `enter` of the good packets and `leave` of the bad ones change sides.
        Self::Bursts { enter: leave * part / (1.0 - part).max(1e-9), leave, lost: 1.0 }
    }

    /// The part of all packets that is lost in the long run.
    pub fn part(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Random(part) => part,
            Self::Bursts { enter, leave, lost } => lost * enter / (enter + leave).max(1e-9),
        }
    }

    /// Whether the next packet is lost. `is_bad` is the state of the link, which a model of bursts keeps.
    pub(super) fn takes(self, is_bad: &mut bool, rng: &mut Rng) -> bool {
        match self {
            Self::None => false,
            Self::Random(part) => rng.unit() < part,
            Self::Bursts { enter, leave, lost } => {
                let change = if *is_bad { leave } else { enter };
                *is_bad ^= rng.unit() < change;
                *is_bad && rng.unit() < lost
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Part lost, and mean length of the gaps.
    fn measured(loss: Loss) -> (f64, f64) {
        let (mut rng, mut is_bad) = (Rng::new(3), false);
        let (mut lost, mut gaps, mut before) = (0, 0, false);
        let packets = 400_000;
        for _ in 0..packets {
            let takes = loss.takes(&mut is_bad, &mut rng);
            lost += i32::from(takes);
            gaps += i32::from(takes && !before);
            before = takes;
        }
        (f64::from(lost) / f64::from(packets), f64::from(lost) / f64::from(gaps.max(1)))
    }

    #[test]
    fn chance_takes_the_part_that_it_should() {
        assert_eq!(measured(Loss::None).0, 0.0);
        let (part, gap) = measured(Loss::Random(0.05));
        assert!((0.048..0.052).contains(&part) && gap < 1.1, "{part} {gap}");
    }

    #[test]
    fn bursts_are_as_long_and_as_many_as_they_should_be() {
        let loss = Loss::bursts(0.02, 8.0);
        assert!((loss.part() - 0.02).abs() < 1e-9);
        let (part, gap) = measured(loss);
        assert!((0.017..0.023).contains(&part), "{part}");
        assert!((7.0..9.0).contains(&gap), "{gap}");
    }
}
