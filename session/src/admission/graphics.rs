//! Memory of graphics devices: what sessions may be booked for of it.
//!
//! It is not the node's alone. Other programs take of it, and what a game has taken cannot be told from what they have: a
//! driver says what is free, no more. So two things bound who comes:
//!
//! ```text
//!  left = min( free now,  free when nothing was booked - booked )
//! ```
//!
//! The first sees what others took since, and games that take more than they are booked for. The second keeps for those who
//! are in what they have not taken yet. The room is never less than what is booked, whatever devices tell, so that what
//! gave its place back for a moment finds it again.

use media::{ByteSize, GraphicsMemory};

/// See the module. By default nothing is known, and nothing bounds anybody.
#[derive(Debug)]
pub(super) struct Graphics {
    total: ByteSize,
    /// What was free when nothing was booked, or more that was free since.
    alone: ByteSize,
    /// What may be booked in all.
    room: ByteSize,
}

impl Default for Graphics {
    fn default() -> Self {
        let boundless = ByteSize(u64::MAX);
        Self { total: boundless, alone: boundless, room: boundless }
    }
}

impl Graphics {
    /// This is what there is now, while so much is booked.
    pub(super) fn remeasure(&mut self, now: Option<GraphicsMemory>, booked: ByteSize) {
        let Some(GraphicsMemory { total, free }) = now else {
            *self = Self::default();
            return;
        };
        self.total = total;
        let nothing = booked == ByteSize::default();
        // Of what is free nobody else holds anything.
        self.alone = if nothing { free } else { self.alone.max(free) };
        self.room = self.alone.min(ByteSize(free.0.saturating_add(booked.0)));
    }

    /// All that there is.
    pub(super) fn total(&self) -> ByteSize {
        self.total
    }

    /// What is left where so much is booked.
    pub(super) fn left(&self, booked: ByteSize) -> ByteSize {
        ByteSize(self.room.0.saturating_sub(booked.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Admission, Capacity, Demand, Refusal, Room};
    use super::*;
    use proptest::prelude::*;

    /// A node that nothing else bounds.
    fn node() -> Admission {
        Admission::new(Capacity {
            render: std::time::Duration::MAX,
            cpu: std::time::Duration::MAX,
            pixel_rate: u64::MAX,
            memory: ByteSize(u64::MAX),
            sessions: usize::MAX,
            viewers: 0,
            egress: media::Bitrate::from_bps(u64::MAX),
        })
    }

    fn mb(many: u64) -> ByteSize {
        ByteSize(many * 1_000_000)
    }

    fn needs(megabytes: u64) -> Demand {
        Demand { graphics_memory: mb(megabytes), ..Demand::default() }
    }

    /// A device of 8 GB of which so much is free.
    fn free(megabytes: u64) -> Option<GraphicsMemory> {
        Some(GraphicsMemory { total: mb(8_000), free: mb(megabytes) })
    }

    #[test]
    fn what_others_hold_is_not_there_for_games() {
        let mut node = node();
        node.remeasure_graphics(free(512));
        let refused = node.admit(&needs(2_048)).unwrap_err();
        assert_eq!(refused, Refusal::GraphicsMemory { asked: mb(2_048), left: mb(512) });
        let sentence = refused.to_string();
        assert!(
            sentence.contains("graphics device is short: this needs 2048 MB, and 512 are free")
        );
        assert_eq!((refused.code(), refused.may_pass()), ("refused_graphics_memory", true));
        let (sum, unit, asked, left) = ("graphics_memory", "bytes", 2_048_000_000, 512_000_000);
        assert_eq!(refused.room(), Some(Room { sum, unit, asked, left }));
        // They have gone, or have come while nobody played: neither is kept in mind.
        node.remeasure_graphics(free(3_000));
        let permit = node.admit(&needs(2_048)).unwrap();
        node.release(permit);
        node.remeasure_graphics(free(1_000));
        assert!(matches!(node.admit(&needs(1_001)), Err(Refusal::GraphicsMemory { .. })));
        let large = node.admit(&needs(8_001)).unwrap_err();
        assert_eq!(large, Refusal::TooLarge { what: "graphics memory" });
    }

    #[test]
    fn what_is_booked_is_kept_until_it_is_taken_and_counted_once() {
        let mut node = node();
        node.remeasure_graphics(free(6_000));
        let first = node.admit(&needs(3_000)).unwrap();
        // It has only begun, and has then taken all that it may.
        for now in [6_000, 5_000, 3_000] {
            node.remeasure_graphics(free(now));
            assert_eq!(node.left().graphics_memory, mb(3_000), "{now}");
        }
        // It takes more than it said, or somebody else does.
        node.remeasure_graphics(free(1_000));
        assert_eq!(node.left().graphics_memory, mb(1_000));
        // That was for a moment, and others left.
        node.remeasure_graphics(free(3_000));
        assert_eq!(node.left().graphics_memory, mb(3_000));
        node.remeasure_graphics(free(7_000));
        assert_eq!(node.left().graphics_memory, mb(4_000));
        node.release(first);
    }

    #[test]
    fn a_device_that_does_not_tell_bounds_nobody() {
        let mut node = node();
        let all = node.admit(&needs(u64::MAX / 1_000_000)).unwrap();
        node.release(all);
        node.remeasure_graphics(free(10));
        assert!(node.admit(&needs(11)).is_err());
        node.remeasure_graphics(None);
        let first = node.admit(&needs(1_000)).unwrap();
        // Of who came meanwhile nobody knows what it has taken: what is free is there.
        node.remeasure_graphics(free(500));
        assert_eq!(node.left().graphics_memory, mb(500));
        // It keeps what it is booked for, and needs no room for it.
        assert_eq!(node.change(first.number(), &needs(1_000)), Ok(()));
        node.release(first);
    }

    #[test]
    fn who_was_started_ahead_gives_its_memory_to_who_plays() {
        let mut node = node();
        node.remeasure_graphics(free(3_000));
        let ahead = node.reserve(&needs(2_000)).unwrap();
        node.remeasure_graphics(free(1_000));
        assert!(matches!(node.admit(&needs(2_000)), Err(Refusal::GraphicsMemory { .. })));
        assert_eq!(node.gives_way(&needs(2_000), [&ahead]), Ok(1));
        node.give_back(ahead);
        let permit = node.admit(&needs(2_000)).unwrap();
        node.release(permit);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask(Option<u64>),
        Admit(u64),
        Release(usize),
    }

    proptest! {
        /// Whatever devices say, who is in has room, so that what was given back can be had again.
        #[test]
        fn nobody_who_is_in_is_without_room_and_nobody_comes_to_more_than_is_free(
            steps in proptest::collection::vec(
                prop_oneof![
                    proptest::option::weighted(0.9, 0_u64..10_000).prop_map(Step::Ask),
                    (1_u64..9_000).prop_map(Step::Admit),
                    (0_usize..8).prop_map(Step::Release),
                ],
                0..100,
            ),
        ) {
            let (mut node, mut now, mut held) = (node(), None, Vec::new());
            for step in steps {
                match step {
                    Step::Ask(megabytes) => now = megabytes.and_then(free),
                    Step::Admit(megabytes) => {
                        node.remeasure_graphics(now);
                        let booked = node.used().graphics_memory;
                        prop_assert!(node.graphics.room >= booked);
                        match node.admit(&needs(megabytes)) {
                            Ok(permit) => {
                                held.push(permit);
                                let fits = now.is_none_or(|now| mb(megabytes) <= now.free);
                                prop_assert!(fits);
                                prop_assert!(node.graphics.room >= node.used().graphics_memory);
                            }
                            Err(_) => prop_assert_eq!(node.used().graphics_memory, booked),
                        }
                    }
                    Step::Release(index) if index < held.len() => {
                        node.release(held.swap_remove(index));
                    }
                    Step::Release(_) => {}
                }
            }
            held.into_iter().for_each(|permit| node.release(permit));
            prop_assert_eq!(node.used(), Demand::default());
        }
    }
}
