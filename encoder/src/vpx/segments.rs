//! Regions as VP8 has them: every macroblock belongs to one of four segments, and each segment has an offset
//! of the quantiser (RFC 6386, 9.3 and 9.6). Pure.
//!
//! The first segment is the rest of the picture. Where regions have more than three other steps, the three
//! are kept with which macroblocks are least far, in sum, from what was asked for; those of the other steps
//! take the nearest that is there, and of two as near the finer one.
//!
//! A step is five of VP8's 128 quantiser indices. Six steps, which double H.264's step size, make VP8's 1.8 to
//! 2.1 times as large from index 25 on: its table (RFC 6386, 14.1) takes 29 to 35 indices to double there.
//! Below they do more: the table grows by one an index there, from 4. What would be beyond the table ends with
//! it.

use media::{Regions, Size};

use crate::regions::{BlockMap, Blocks};

/// Segments of a picture.
pub(super) const COUNT: usize = 4;
/// Steps that there are.
const STEPS: usize = (*Regions::STEPS.end() - *Regions::STEPS.start()) as usize + 1;
/// Offsets for 0 to 12 steps as libvpx takes them, on a scale of 63, which it maps to the 127 of the stream
/// (`q_trans` of `onyx_if.c`): nearest to 5, 10, 15 and so on of those, and the lesser of two.
const OFFSETS: [i32; 13] = [0, 5, 9, 12, 16, 20, 25, 28, 30, 33, 35, 38, 40];

/// Which macroblock belongs to which segment.
#[derive(Debug)]
pub(super) struct Segments {
    map: BlockMap<i8>,
    drawn: Regions,
    numbers: Vec<u8>,
    offsets: [i32; COUNT],
}

impl Segments {
    /// Those of pictures of `size`, all of it the rest. It allocates here only.
    pub(super) fn new(size: Size) -> Self {
        let mut map = BlockMap::new(size, Blocks::H264);
        let numbers = vec![0; map.draw(&Regions::NONE).len()];
        Self { map, drawn: Regions::NONE, numbers, offsets: [0; COUNT] }
    }

    /// The segment of each macroblock, row by row, and the offset of each segment; none where all of the picture
    /// is coded alike.
    pub(super) fn draw(&mut self, regions: &Regions) -> Option<(&[u8], [i32; COUNT])> {
        if *regions != self.drawn {
            self.drawn = *regions;
            let steps = self.map.draw(regions);
            let mut counts = [0; STEPS];
            steps.iter().for_each(|step| counts[place(*step)] += 1);
            let kept = choose(&counts);
            for (number, step) in self.numbers.iter_mut().zip(steps) {
                *number = nearest(&kept, *step) as u8;
            }
            self.offsets = kept.map(offset);
        }
        // Others would be as long to write, and change nothing.
        (self.offsets != [0; COUNT]).then_some((&self.numbers, self.offsets))
    }
}

fn place(step: i8) -> usize {
    step.abs_diff(*Regions::STEPS.start()).into()
}

/// As libvpx takes it.
fn offset(step: i8) -> i32 {
    OFFSETS[usize::from(step.unsigned_abs())] * i32::from(step.signum())
}

/// The steps of segments, given how many macroblocks have each step: none, and the three that matter most.
fn choose(counts: &[u32; STEPS]) -> [i8; COUNT] {
    let mut asked = [0; Regions::MOST];
    let mut len = 0;
    for step in Regions::STEPS.filter(|step| *step != 0 && counts[place(*step)] > 0) {
        // Each region has one.
        if let Some(free) = asked.get_mut(len) {
            *free = step;
            len += 1;
        }
    }
    let asked = &asked[..len];
    let error = |kept: &[i8; COUNT]| -> u64 {
        let of = |step: &i8| {
            let count = u64::from(counts[place(*step)]);
            count * u64::from(step.abs_diff(kept[nearest(kept, *step)]))
        };
        asked.iter().map(of).sum()
    };
    let (mut best, mut least) = ([0; COUNT], u64::MAX);
    let at = |index: usize| asked.get(index).copied().unwrap_or_default();
    for first in 0..len.max(1) {
        for second in first + 1..len.max(first + 2) {
            for third in second + 1..len.max(second + 2) {
                let kept = [0, at(first), at(second), at(third)];
                let error = error(&kept);
                if error < least {
                    (best, least) = (kept, error);
                }
            }
        }
    }
    best
}

/// The segment whose step is nearest, and of two as near the finer one.
fn nearest(kept: &[i8; COUNT], step: i8) -> usize {
    let far = |segment: &usize| (kept[*segment].abs_diff(step), kept[*segment]);
    (0..COUNT).min_by_key(far).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use media::{Rect, RegionQuality};
    use proptest::prelude::*;

    use super::*;

    /// Regions of one row of macroblocks, each of one macroblock for every `(count, step)`.
    fn row(parts: &[(u32, i8)]) -> (Size, Regions) {
        let mut x = 0;
        let regions: Vec<_> = parts
            .iter()
            .map(|&(count, steps)| {
                let rect = Rect { x: x * 16, y: 0, width: count * 16, height: 16 };
                x += count;
                RegionQuality { rect, steps }
            })
            .collect();
        (Size::new(x * 16, 16), Regions::new(&regions).unwrap())
    }

    /// The offset of every macroblock.
    fn offsets(parts: &[(u32, i8)]) -> Option<Vec<i32>> {
        let (size, regions) = row(parts);
        let mut segments = Segments::new(size);
        let drawn = segments.draw(&regions).map(|(numbers, offsets)| {
            numbers.iter().map(|number| offsets[usize::from(*number)]).collect::<Vec<_>>()
        });
        let numbers = |drawn: Option<(&[u8], _)>| drawn.map(|(numbers, _)| numbers.to_vec());
        let first = numbers(segments.draw(&regions));
        assert_eq!(numbers(segments.draw(&regions)), first, "the same again");
        assert_eq!(segments.draw(&Regions::NONE), None, "nothing is left of it");
        drawn
    }

    #[test]
    fn three_steps_beside_the_rest_are_kept_as_they_are() {
        assert_eq!(offsets(&[(2, 0)]), None);
        assert_eq!(offsets(&[(2, -12)]), Some(vec![-40; 2]));
        let parts = [(1, 6), (2, 0), (1, -3), (1, 1)];
        assert_eq!(offsets(&parts), Some(vec![25, 0, 0, -12, 5]));
    }

    #[test]
    fn of_more_steps_those_are_kept_that_are_missed_most() {
        // One of 12 is nearer to 10 than the many of -6 are to anything.
        let parts = [(5, 10), (1, 12), (9, -6), (2, -12), (1, 0)];
        let expected = [vec![35; 6], vec![-25; 9], vec![-40; 2], vec![0]].concat();
        assert_eq!(offsets(&parts), Some(expected));
        // Two lie halfway: they become finer.
        let parts = [(5, 6), (1, 4), (5, 2), (5, -9)];
        let expected = [vec![25; 5], vec![9; 1], vec![9; 5], vec![-33; 5]].concat();
        assert_eq!(offsets(&parts), Some(expected));
    }

    proptest! {
        #[test]
        fn no_three_steps_come_nearer(
            parts in prop::collection::vec((1_u32..30, -12_i8..=12), 0..=Regions::MOST),
        ) {
            let mut counts = [0; STEPS];
            parts.iter().for_each(|(count, step)| counts[place(*step)] += count);
            let error = |kept: &[i8; COUNT]| -> u32 {
                let of = |(count, step): &(u32, i8)| {
                    count * kept.iter().map(|kept| u32::from(kept.abs_diff(*step))).min().unwrap()
                };
                parts.iter().map(of).sum()
            };
            let kept = choose(&counts);
            prop_assert_eq!(kept[0], 0);
            for (_, a) in &parts {
                for (_, b) in &parts {
                    for (_, c) in &parts {
                        prop_assert!(error(&kept) <= error(&[0, *a, *b, *c]));
                    }
                }
            }
        }
    }
}
