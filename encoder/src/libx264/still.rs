//! Blocks that the library need not look at, since they show what they showed in the picture before.
//!
//! It codes such a block as skipped where the picture before is the one that is referred to, and was coded as
//! fine there as it would be now; where either is otherwise, or a filter over its edges has changed it, it is
//! coded as any other. So a picture that stands still still becomes finer, and what was lost is made good.

use media::barcode::Strip;
use media::{DamagedRects, Size};

use crate::regions::{Blocks, Grid};

/// `X264_MBINFO_CONSTANT`.
const CONSTANT: u8 = 1;

/// Flags of the macroblocks of one picture after the other, row by row.
pub(super) struct StillBlocks {
    grid: Grid,
    flags: Vec<u8>,
    /// A strip lies over the newest picture.
    strip: bool,
}

impl StillBlocks {
    /// For pictures of `size`. It allocates here only.
    pub(super) fn new(size: Size) -> Self {
        let grid = Grid::new(size, Blocks::H264);
        Self { grid, flags: vec![CONSTANT; grid.count()], strip: false }
    }

    /// Those of the next picture, which differs from the one before in the damage, and where either has a
    /// strip; none where no block stands still, as far as is known.
    pub(super) fn draw(&mut self, damage: Option<&DamagedRects>, strip: bool) -> Option<&[u8]> {
        let covered = std::mem::replace(&mut self.strip, strip) || strip;
        let damage = damage?;
        self.flags.fill(CONSTANT);
        let strip = covered.then_some(Strip::AREA);
        for rect in damage.as_slice().iter().copied().chain(strip) {
            self.grid.fill(&mut self.flags, rect, 0);
        }
        self.flags.contains(&CONSTANT).then_some(&self.flags)
    }
}

#[cfg(test)]
mod tests {
    use media::{Damage, Rect};

    use super::*;

    #[test]
    fn what_changed_is_looked_at_and_so_is_what_a_strip_covers_or_covered() {
        let size = Size::new(576, 34);
        let (columns, rows) = (36, 3);
        let mut blocks = StillBlocks::new(size);
        // The columns and rows of the blocks that are looked at; none for all of them.
        let mut looked = |rects: &[Rect], strip| {
            let damage = Damage::Rects(rects.iter().copied().collect()).known().unwrap();
            let flags = blocks.draw(Some(&damage), strip)?.iter().enumerate();
            let moving = flags.filter(|(_, flag)| **flag == 0);
            Some(moving.map(|(at, _)| (at % columns, at / columns)).collect::<Vec<_>>())
        };
        let under_strip: Vec<_> = (0..33).map(|column| (column, 0)).collect();
        let part = Rect { x: 31, y: 16, width: 2, height: 16 };
        assert_eq!(looked(&[], false), Some(Vec::new()));
        assert_eq!(looked(&[part], false), Some(vec![(1, 1), (2, 1)]));
        assert_eq!(looked(&[], true), Some(under_strip.clone()));
        assert_eq!(looked(&[], true), Some(under_strip.clone()));
        assert_eq!(looked(&[], false), Some(under_strip), "it has gone");
        assert_eq!(looked(&[], false), Some(Vec::new()));
        assert_eq!(looked(&[Rect::whole(size)], false), None);
        assert_eq!(blocks.flags.len(), columns * rows);
        assert_eq!(blocks.draw(None, true), None);
        assert!(blocks.draw(Damage::none().known().as_ref(), false).is_some());
        assert_eq!(blocks.flags[32..34], [0, CONSTANT], "a strip of a picture of unknown damage");
    }
}
