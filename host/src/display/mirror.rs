//! Two pictures in shared memory: the one that was captured last, and the one that the server copies the next into. What
//! it copied is compared with the former, so that a game that draws the same again has drawn nothing.

use std::ops::Range;

use media::{Damage, Size};
use smallvec::SmallVec;

use super::convert::{PIXEL, rows};
use super::link::{DisplayError, Link};
use super::segment::Segment;

/// See the module. Both are BGRX, rows without padding.
pub(super) struct Mirror {
    shown: Segment,
    next: Segment,
    /// What `next` lacks of what `shown` shows.
    lacks: Damage,
}

/// Rows, or columns, from the first to the one before the second.
pub(super) type Rows = (u32, u32);

impl Mirror {
    /// Room for pictures of this size, of which nothing is known.
    pub(super) fn attach(link: &Link, size: Size) -> Result<Self, DisplayError> {
        let bytes = bytes(size.width, (0, size.height)).end;
        let (shown, next) = (Segment::attach(link, bytes)?, Segment::attach(link, bytes)?);
        Ok(Self { shown, next, lacks: Damage::Unknown })
    }

    pub(super) fn detach(self, link: &Link) -> Result<(), DisplayError> {
        self.shown.detach(link)?;
        self.next.detach(link)
    }

    /// Whether there is room for pictures of this size, and no more: what larger ones took is for others.
    pub(super) fn suits(&self, size: Size) -> bool {
        let needed = bytes(size.width, (0, size.height)).end;
        [&self.shown, &self.next].iter().all(|segment| segment.len() == needed)
    }

    /// The rows of the captured picture above `below`.
    pub(super) fn shown(&self, width: u32, below: u32) -> Result<&[u8], DisplayError> {
        self.shown.read(bytes(width, (0, below)))
    }

    /// The same of the next one, for which the server's replies have come.
    pub(super) fn next(&self, width: u32, below: u32) -> Result<&[u8], DisplayError> {
        self.next.read(bytes(width, (0, below)))
    }

    /// Where the server is to copy to: nothing is known of it until [`complete`](Self::complete). Yields what it lacked.
    pub(super) fn begin(&mut self) -> Damage {
        std::mem::replace(&mut self.lacks, Damage::Unknown)
    }

    /// Where the server copies to.
    pub(super) fn target(&self) -> &Segment {
        &self.next
    }

    /// Has the next picture show, outside of the rows `but`, what the captured one shows in those of `lacks`. The server
    /// copies nothing meanwhile.
    pub(super) fn catch_up(
        &mut self,
        lacks: &Damage,
        but: &[Rows],
        size: Size,
    ) -> Result<(), DisplayError> {
        for part in rows(lacks, size) {
            for gap in without(part, but) {
                self.next.copy(&self.shown, bytes(size.width, gap))?;
            }
        }
        Ok(())
    }

    /// The first of the rows, from `from` to before `to`, that the next picture shows otherwise than the captured one;
    /// an even one.
    pub(super) fn differs(
        &self,
        width: u32,
        (from, to): Rows,
    ) -> Result<Option<u32>, DisplayError> {
        let (was, is) = (bytes(width, (from, to)), bytes(width, (from, to)));
        let (was, is) = (self.shown.read(was)?, self.next.read(is)?);
        if was == is {
            return Ok(None);
        }
        let row = width as usize * PIXEL;
        let pairs = was.chunks(row).zip(is.chunks(row));
        let first = pairs.take_while(|(was, is)| was == is).count();
        Ok(Some((from + first as u32) & !1))
    }

    /// Has the rows of the next picture that this damage touches show, beside it, what the captured one shows: rows are
    /// copied whole, and what is newer beside the damage comes with damage of its own.
    pub(super) fn keep_beside(&mut self, damage: &Damage, size: Size) -> Result<(), DisplayError> {
        let Damage::Rects(rects) = damage else { return Ok(()) };
        if rects.iter().all(|rect| rect.width == size.width) {
            return Ok(());
        }
        for row in rows(damage, size).into_iter().flat_map(|(from, to)| from..to) {
            let here = rects.iter().filter(|rect| (rect.y..rect.y + rect.height).contains(&row));
            let mut taken: SmallVec<[Rows; Damage::MAX_RECTS]> =
                here.map(|rect| (rect.x, rect.x + rect.width)).collect();
            taken.sort_unstable();
            for (left, right) in without((0, size.width), &taken) {
                let at =
                    |column: u32| (row as usize * size.width as usize + column as usize) * PIXEL;
                self.next.copy(&self.shown, at(left)..at(right))?;
            }
        }
        Ok(())
    }

    /// The next picture is whole, and the captured one from now on; between both this changed.
    pub(super) fn complete(&mut self, damage: Damage) {
        std::mem::swap(&mut self.shown, &mut self.next);
        self.lacks = damage;
    }
}

/// Where these rows lie.
fn bytes(width: u32, (from, to): Rows) -> Range<usize> {
    let row = width as usize * PIXEL;
    row * from as usize..row * to as usize
}

/// What is left of `part` without `but`, which is sorted.
fn without((from, to): Rows, but: &[Rows]) -> impl Iterator<Item = Rows> {
    let ends = but.iter().copied().chain([(to, to)]);
    ends.scan(from, move |at, (start, end)| {
        let gap = (*at, start.min(to));
        *at = (*at).max(end);
        Some(gap)
    })
    .filter(|(start, end)| start < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_left_out_of_rows() {
        let left = |part, but: &[Rows]| without(part, but).collect::<Vec<_>>();
        assert_eq!(left((4, 20), &[]), [(4, 20)]);
        assert_eq!(left((4, 20), &[(0, 2), (8, 10), (30, 40)]), [(4, 8), (10, 20)]);
        assert_eq!(left((4, 20), &[(0, 6), (18, 22)]), [(6, 18)]);
        assert_eq!(left((4, 20), &[(4, 20)]), []);
        assert_eq!(left((4, 20), &[(0, 100)]), []);
    }
}
