//! Where a packet of a voice belongs, by its number alone.

/// Packets that are made up for: after more of them than this nobody knows what was said.
const MOST_MADE_UP: u16 = 5;
/// A number that is further away than this, either way, is not of the same sequence.
const FAR: u16 = 1_000;
/// After so many packets in a row that are late, it is the sequence that changed.
const MOST_LATE: u8 = 8;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It follows, after so many that did not come.
    Next { lost: u16 },
    /// Sound begins anew with it, after so many that did not come.
    Anew { lost: u16 },
    /// What comes after it was heard already, or the same.
    Late,
}

/// What was heard last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    newest: Option<u16>,
    late: u8,
}

impl Order {
    /// Where the packet of this number belongs that came now.
    pub(super) fn place(&mut self, sequence: u16) -> Place {
        let ahead = self.newest.map(|newest| sequence.wrapping_sub(newest));
        let place = match ahead {
            Some(ahead @ 1..=FAR) if ahead <= MOST_MADE_UP + 1 => Place::Next { lost: ahead - 1 },
            Some(ahead @ 1..=FAR) => Place::Anew { lost: ahead - 1 },
            Some(0) if self.late < MOST_LATE => Place::Late,
            Some(ahead) if ahead > u16::MAX - FAR && self.late < MOST_LATE => Place::Late,
            _ => Place::Anew { lost: 0 },
        };
        if place == Place::Late {
            self.late += 1;
        } else {
            (self.newest, self.late) = (Some(sequence), 0);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_what_is_lost_late_and_new() {
        let mut order = Order::default();
        for (sequence, place) in [
            (0xfffe, Place::Anew { lost: 0 }),
            (0xffff, Place::Next { lost: 0 }),
            (1, Place::Next { lost: 1 }),
            (0, Place::Late),
            (1, Place::Late),
            (7, Place::Next { lost: 5 }),
            (14, Place::Anew { lost: 6 }),
            (15, Place::Next { lost: 0 }),
            (40_000, Place::Anew { lost: 0 }),
            (39_999, Place::Late),
        ] {
            assert_eq!(order.place(sequence), place, "{sequence}");
        }
    }

    #[test]
    fn a_sequence_that_goes_back_is_taken_up_soon() {
        let mut order = Order::default();
        order.place(500);
        let places: Vec<_> = (0..10).map(|n| order.place(n)).collect();
        assert_eq!(places[..8], [Place::Late; 8]);
        assert_eq!(places[8..], [Place::Anew { lost: 0 }, Place::Next { lost: 0 }]);
    }
}
