//! What a viewer gets of a stream that is coded for somebody else.
//!
//! The player alone decides what is coded. A viewer takes the units that it can decode; after one that it
//! could not have (it came too late, its path was full, packets were lost) it waits for a unit that refers to
//! nothing it lacks: a keyframe, or what the encoder made of the player's own losses. Keyframes for viewers
//! are asked for at most every [`KEYFRAMES_EVERY`], one for all who wait, and the oftener a viewer needs one
//! the longer it waits.
//!
//! A unit that leaves in parts is one unit: what is decided with its first part holds for all of them. Who comes
//! within it waits for the next one, and one whose last part never comes is lost.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use media::{FrameId, MediaTime, Part, UnitKind};

/// Least time between two keyframes that viewers ask for.
pub const KEYFRAMES_EVERY: Duration = Duration::from_secs(2);
/// A viewer whose path was full waits at least this long, so that its queue may drain; one that breaks again
/// soon waits twice as long, up to [`MOST_PATIENCE`].
const PATIENCE: Duration = Duration::from_secs(2);
/// See [`PATIENCE`].
const MOST_PATIENCE: Duration = Duration::from_secs(8);
/// What held for this long is forgiven.
const CALM: Duration = Duration::from_secs(30);
/// Stretches of frames that are remembered: as many recoveries between two keyframes.
const STRETCHES: usize = 8;

/// Why a viewer does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broke {
    /// Frames were lost on its way.
    Lost,
    /// Its path, or its client, takes less than the stream has.
    Slow,
}

/// Frames that a viewer has, each from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    /// What the first one was coded from; nothing where it is a keyframe.
    base: Option<FrameId>,
    first: FrameId,
    last: FrameId,
}

/// What one viewer has and can decode. Pure: it is told the time.
#[derive(Clone, Debug)]
pub struct Follow {
    held: VecDeque<Stretch>,
    /// The newest unit of the stream, whether it was taken or not.
    newest: Option<FrameId>,
    /// A unit that it takes, of which parts are to come.
    open: Option<FrameId>,
    /// When it wants a keyframe; none while it follows.
    wish: Option<MediaTime>,
    /// When it broke last, and how long it waits the next time.
    broke: Option<MediaTime>,
    patience: Duration,
}

impl Follow {
    /// A viewer that has just come: it wants a keyframe at once.
    pub fn new(now: MediaTime) -> Self {
        Self {
            held: VecDeque::new(),
            newest: None,
            open: None,
            wish: Some(now),
            broke: None,
            patience: PATIENCE,
        }
    }

    /// The next unit of the stream, or a part of it, which refers to `base`: whether the viewer is to have it. It
    /// is not given what it cannot decode, nor anything while there is no `room`, which counts with the first part
    /// alone. All units are to be offered, in order.
    pub fn offer(
        &mut self,
        now: MediaTime,
        (frame, part): (FrameId, Part),
        kind: UnitKind,
        base: Option<FrameId>,
        room: bool,
    ) -> bool {
        if !part.first {
            let taken = self.open == Some(frame);
            if taken && part.last {
                self.open = None;
            }
            return taken;
        }
        if let Some(open) = self.open.take() {
            // No more of it comes.
            self.lost(now, &(open..=open));
        }
        let taken = self.begins(now, frame, kind, base, room);
        self.open = (taken && !part.last).then_some(frame);
        taken
    }

    /// The same of all of a unit, or of its first part.
    fn begins(
        &mut self,
        now: MediaTime,
        frame: FrameId,
        kind: UnitKind,
        base: Option<FrameId>,
        room: bool,
    ) -> bool {
        let before = self.newest.replace(frame);
        let key = kind == UnitKind::Key;
        if !key && !base.is_some_and(|base| self.has(base)) {
            return false;
        }
        if !room {
            if key {
                // It had its keyframe, and not the room for it.
                self.wish = None;
            }
            self.breaks(now, Broke::Slow);
            return false;
        }
        self.wish = None;
        if key {
            self.held.clear();
        } else if let Some(last) = self.held.back_mut().filter(|last| base == Some(last.last))
            // Else it lacks what lies in between.
            && before == base
        {
            last.last = frame;
            return true;
        }
        if self.held.len() == STRETCHES {
            self.held.pop_front();
        }
        let base = base.filter(|_| !key);
        self.held.push_back(Stretch { base, first: frame, last: frame });
        true
    }

    /// These frames did not reach it. It is given nothing more of one of which parts are to come.
    pub fn lost(&mut self, now: MediaTime, lost: &RangeInclusive<FrameId>) {
        self.open = self.open.filter(|open| !lost.contains(open));
        let newest = self.held.back().map(|stretch| stretch.last);
        let mut kept: VecDeque<Stretch> = VecDeque::with_capacity(STRETCHES);
        for mut stretch in std::mem::take(&mut self.held) {
            let stands = stretch
                .base
                .is_none_or(|base| kept.iter().any(|each| each.first <= base && base <= each.last));
            let hit = *lost.start() <= stretch.last && stretch.first <= *lost.end();
            if hit && stretch.first < *lost.start() {
                stretch.last = FrameId(lost.start().0.saturating_sub(1));
            }
            if stands && (!hit || stretch.first < *lost.start()) {
                kept.push_back(stretch);
            }
        }
        self.held = kept;
        if newest.is_some() && self.held.back().map(|stretch| stretch.last) != newest {
            self.breaks(now, Broke::Lost);
        }
    }

    /// Its decoder can go on with nothing that it has.
    pub fn starts_over(&mut self, now: MediaTime) {
        self.held.clear();
        self.breaks(now, Broke::Lost);
    }

    /// From when on it wants a keyframe; none while it can go on.
    pub fn wish(&self) -> Option<MediaTime> {
        self.wish
    }

    fn breaks(&mut self, now: MediaTime, why: Broke) {
        if self.wish.is_some() {
            return;
        }
        let before = self.broke.replace(now);
        let again = before.is_some_and(|before| now.since(before) < CALM);
        self.patience = if again { (self.patience * 2).min(MOST_PATIENCE) } else { PATIENCE };
        let earliest = match why {
            Broke::Slow => now + self.patience,
            // The first loss is mended at once.
            Broke::Lost => before.filter(|_| again).map_or(now, |before| before + self.patience),
        };
        self.wish = Some(earliest.max(now));
    }

    fn has(&self, frame: FrameId) -> bool {
        self.held.iter().any(|stretch| stretch.first <= frame && frame <= stretch.last)
    }
}

/// When a keyframe is asked for on behalf of all viewers that wait. Pure: it is told the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyframeWishes {
    asked: Option<MediaTime>,
}

impl KeyframeWishes {
    /// When one is due for whoever wants one from `wish` on.
    pub fn due(&self, wish: MediaTime) -> MediaTime {
        self.asked.map_or(wish, |asked| wish.max(asked + KEYFRAMES_EVERY))
    }

    /// One is asked for.
    pub fn ask(&mut self, now: MediaTime) {
        self.asked = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    /// A unit as the encoder makes it: number, kind, what it refers to.
    type Unit = (u64, UnitKind, Option<u64>);

    /// What becomes of a unit at a viewer that has room for it.
    fn give(follow: &mut Follow, (frame, kind, base): Unit) -> bool {
        give_part(follow, (frame, kind, base), Part::WHOLE)
    }

    fn give_part(follow: &mut Follow, (frame, kind, base): Unit, part: Part) -> bool {
        follow.offer(ms(0), (FrameId(frame), part), kind, base.map(FrameId), true)
    }

    fn delta(frame: u64) -> Unit {
        (frame, UnitKind::Delta, frame.checked_sub(1))
    }

    /// Follows from a keyframe, 10, to frame 20.
    fn following() -> Follow {
        let mut follow = Follow::new(ms(0));
        assert!(give(&mut follow, (10, UnitKind::Key, None)));
        assert!((11..=20).all(|frame| give(&mut follow, delta(frame))));
        follow
    }

    fn lose(follow: &mut Follow, now: u64, lost: RangeInclusive<u64>) {
        follow.lost(ms(now), &(FrameId(*lost.start())..=FrameId(*lost.end())));
    }

    #[test]
    fn who_joins_wants_a_keyframe_at_once_and_takes_nothing_before_it() {
        let mut follow = Follow::new(ms(7));
        assert_eq!(follow.wish(), Some(ms(7)));
        assert!(!give(&mut follow, delta(9)));
        assert!(give(&mut follow, (10, UnitKind::Key, None)) && give(&mut follow, delta(11)));
        assert_eq!(follow.wish(), None);
    }

    #[test]
    fn after_a_loss_it_takes_what_refers_to_nothing_that_it_lacks() {
        let mut follow = following();
        lose(&mut follow, 100, 18..=18);
        assert_eq!(follow.wish(), Some(ms(100)), "at once, the first time");
        assert!(!give(&mut follow, delta(21)), "20 was of no use without 18");
        // What the encoder made of a loss of the player's.
        assert!(!give(&mut follow, (22, UnitKind::Recovery, Some(19))));
        assert!(give(&mut follow, (23, UnitKind::Recovery, Some(17))));
        assert_eq!(follow.wish(), None, "it needs no keyframe any more");
        assert!(give(&mut follow, delta(24)));
        // Told late, of frames that nothing needs any more.
        lose(&mut follow, 200, 19..=20);
        assert_eq!(follow.wish(), None);
        assert!(give(&mut follow, delta(25)));
        // The recovery stood on 17.
        lose(&mut follow, 300, 16..=16);
        assert!(follow.wish().is_some() && !give(&mut follow, delta(26)));
        assert!(give(&mut follow, (27, UnitKind::Key, None)));
        lose(&mut follow, 400, 11..=26);
        assert_eq!(follow.wish(), None, "before the keyframe");
    }

    #[test]
    fn the_players_recovery_is_taken_in_passing() {
        let mut follow = following();
        assert!(give(&mut follow, (23, UnitKind::Recovery, Some(15))));
        assert!(give(&mut follow, delta(24)));
        assert_eq!(follow.wish(), None);
    }

    #[test]
    fn what_lies_between_a_recovery_and_its_base_is_lacking() {
        let mut follow = following();
        let unit = (FrameId(21), Part::WHOLE);
        assert!(!follow.offer(ms(1), unit, UnitKind::Delta, Some(FrameId(20)), false));
        assert!(!give(&mut follow, delta(22)));
        assert!(give(&mut follow, (23, UnitKind::Recovery, Some(20))));
        // The player has 22, and the encoder goes back to it.
        assert!(!give(&mut follow, (24, UnitKind::Recovery, Some(22))));
    }

    #[test]
    fn a_slow_viewer_waits_longer_each_time_and_a_calm_one_is_forgiven() {
        let mut follow = following();
        let mut frame = 20;
        let mut skip = |follow: &mut Follow, now: u64| {
            let offer = |follow: &mut Follow, now, kind, frame: u64, room| {
                let unit = (FrameId(frame), Part::WHOLE);
                follow.offer(ms(now), unit, kind, Some(FrameId(frame - 1)), room)
            };
            assert!(!offer(follow, now, UnitKind::Delta, frame + 1, false));
            let wish = follow.wish().unwrap();
            // More of the same changes nothing.
            assert!(!offer(follow, now + 1, UnitKind::Delta, frame + 2, false));
            assert_eq!(follow.wish(), Some(wish));
            frame += 3;
            assert!(offer(follow, now + 2, UnitKind::Key, frame, true));
            wish
        };
        assert_eq!(skip(&mut follow, 1_000), ms(3_000));
        assert_eq!(skip(&mut follow, 4_000), ms(8_000));
        assert_eq!(skip(&mut follow, 9_000), ms(17_000));
        assert_eq!(skip(&mut follow, 18_000), ms(26_000));
        assert_eq!(skip(&mut follow, 60_000), ms(62_000));
    }

    #[test]
    fn a_keyframe_that_finds_no_room_is_not_asked_for_again_soon() {
        let mut follow = Follow::new(ms(0));
        let unit = |frame| (FrameId(frame), Part::WHOLE);
        assert!(!follow.offer(ms(100), unit(1), UnitKind::Key, None, false));
        assert_eq!(follow.wish(), Some(ms(2_100)));
        assert!(!follow.offer(ms(2_200), unit(2), UnitKind::Key, None, false));
        assert_eq!(follow.wish(), Some(ms(6_200)));
    }

    #[test]
    fn who_loses_again_and_again_is_not_mended_at_once() {
        let mut follow = following();
        follow.starts_over(ms(1_000));
        assert_eq!(follow.wish(), Some(ms(1_000)));
        assert!(give(&mut follow, (40, UnitKind::Key, None)));
        follow.starts_over(ms(1_100));
        assert_eq!(follow.wish(), Some(ms(5_000)));
    }

    const FIRST: Part = Part { first: true, last: false };
    const MORE: Part = Part { first: false, last: false };
    const LAST: Part = Part { first: false, last: true };

    #[test]
    fn of_a_unit_in_parts_it_takes_all_or_none() {
        let mut follow = Follow::new(ms(0));
        let key = (10, UnitKind::Key, None);
        assert!(!give_part(&mut follow, key, MORE), "it came within this one");
        assert!(!give_part(&mut follow, key, LAST));
        assert_eq!(follow.wish(), Some(ms(0)), "of which it has nothing");
        let key = (11, UnitKind::Key, None);
        assert!([FIRST, MORE, MORE, LAST].into_iter().all(|part| give_part(
            &mut follow,
            key,
            part
        )));
        assert!(!give_part(&mut follow, key, LAST), "it is over");
        assert_eq!(follow.wish(), None);
        // What there is no room for with the first part is passed over, whatever room there is for the others.
        let offer = |follow: &mut Follow, part, room| {
            let unit = (FrameId(12), part);
            follow.offer(ms(0), unit, UnitKind::Delta, Some(FrameId(11)), room)
        };
        assert!(
            ![(FIRST, false), (MORE, true), (LAST, true)].into_iter().any(|(part, room)| offer(
                &mut follow,
                part,
                room
            ))
        );
        // And what there was room for goes on without.
        assert!(give_part(&mut follow, (13, UnitKind::Recovery, Some(11)), FIRST));
        let more = (FrameId(13), LAST);
        assert!(follow.offer(ms(0), more, UnitKind::Recovery, Some(FrameId(11)), false));
        assert!(give(&mut follow, delta(14)));
    }

    #[test]
    fn a_unit_whose_last_part_never_comes_is_lost() {
        let mut follow = following();
        assert!(
            give_part(&mut follow, delta(21), FIRST) && give_part(&mut follow, delta(21), MORE)
        );
        assert!(!give_part(&mut follow, delta(22), FIRST), "21 is not whole");
        assert!(!give_part(&mut follow, delta(21), LAST), "it is too late for that");
        assert!(!give_part(&mut follow, delta(22), LAST));
        assert_eq!(follow.wish(), Some(ms(0)), "as after any loss");
        // The encoder went back behind it, which costs no keyframe.
        assert!(give_part(&mut follow, (23, UnitKind::Recovery, Some(20)), FIRST));
        assert_eq!(follow.wish(), None);
        // Its way lost this one: the rest is of no use.
        lose(&mut follow, 9, 23..=23);
        assert!(!give_part(&mut follow, (23, UnitKind::Recovery, Some(20)), LAST));
        assert!(give(&mut follow, (24, UnitKind::Recovery, Some(20))));
        // One that goes back behind what is lost at once wants nothing.
        assert!(give_part(&mut follow, delta(25), FIRST));
        assert!(give(&mut follow, (26, UnitKind::Recovery, Some(24))));
        assert_eq!(follow.wish(), None);
    }

    #[test]
    fn fifty_who_join_within_two_seconds_cost_two_keyframes() {
        let mut wishes = KeyframeWishes::default();
        let mut waiting: Vec<Follow> = Vec::new();
        let (mut asked, mut frame) = (Vec::new(), 0);
        for now in 0..4_000 {
            if now % 40 == 0 && now < 2_000 {
                waiting.push(Follow::new(ms(now)));
            }
            let wish = waiting.iter().filter_map(Follow::wish).min();
            if wish.is_some_and(|wish| wishes.due(wish) <= ms(now)) {
                wishes.ask(ms(now));
                asked.push(now);
                frame += 1;
                waiting.iter_mut().for_each(|each| {
                    give(each, (frame, UnitKind::Key, None));
                });
            }
        }
        assert_eq!(asked, [0, 2_000]);
        assert_eq!(waiting.len(), 50);
        assert!(waiting.iter().all(|each| each.wish().is_none()), "everybody sees something");
    }

    proptest! {
        /// Whatever is lost and refused, what is taken can be decoded: all that it needs arrived.
        #[test]
        fn nothing_is_taken_that_lacks_something(
            steps in proptest::collection::vec(
                (0_u8..12, 1_u64..30, any::<bool>(), 0_u8..5),
                1..300,
            ),
        ) {
            let mut follow = Follow::new(ms(0));
            // Frames that arrived whole with everything that they need.
            let mut whole = std::collections::BTreeSet::new();
            let mut needs = std::collections::BTreeMap::new();
            for (now, (step, back, room, parts)) in (0_u64..).zip(steps) {
                let frame = now + 100;
                let (kind, base) = match step {
                    0 => (UnitKind::Key, None),
                    1 => (UnitKind::Recovery, Some(frame - back)),
                    2 => {
                        let lost = frame - back;
                        lose(&mut follow, now, lost..=lost + 1);
                        // So are those that stand on them.
                        let mut gone = vec![lost, lost + 1];
                        while let Some(each) = gone.pop() {
                            if whole.remove(&each) {
                                let on = needs.iter().filter(|(_, base)| **base == Some(each));
                                gone.extend(on.map(|(frame, _)| *frame));
                            }
                        }
                        continue;
                    }
                    _ => (UnitKind::Delta, Some(frame - 1)),
                };
                let mut offer = |part, room| {
                    follow.offer(ms(now), (FrameId(frame), part), kind, base.map(FrameId), room)
                };
                // The last of so many parts never comes of one in five.
                let taken = match parts {
                    0 | 1 => offer(Part::WHOLE, room),
                    _ => offer(FIRST, room),
                };
                let ends = match parts {
                    0 | 1 => true,
                    2 => offer(LAST, back % 2 == 0),
                    3 => offer(MORE, false) & offer(LAST, true),
                    _ => false,
                };
                prop_assert!(taken || parts < 2 || !ends, "all or none");
                prop_assert!(!taken || parts == 4 || ends, "all or none");
                if taken {
                    prop_assert!(base.is_none_or(|base| whole.contains(&base)), "{frame} on {base:?}");
                    if ends {
                        whole.insert(frame);
                        needs.insert(frame, base);
                    }
                } else if room {
                    prop_assert!(kind != UnitKind::Key, "a keyframe can always be decoded");
                }
            }
        }
    }
}
