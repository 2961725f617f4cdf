//! Parts of pictures that are coded finer or coarser: maps of blocks for encoders that take such, and a
//! refusal of pictures with regions for all others.

use std::ops::RangeInclusive;

use media::{
    Bitrate, Codec, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId,
    FrameRate, Picture, RateChange, Recovery, Rect, Regions, Size, Submitted,
};

/// What a map of quantiser steps is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// Edge of a block in pixels.
    pub(crate) edge: u16,
    /// What a step counts on the codec's own scale of quantisers.
    pub(crate) scale: i8,
}

impl Blocks {
    /// Macroblocks of H.264, whose quantisers are the scale that steps are told in.
    pub(crate) const H264: Self = Self { edge: 16, scale: 1 };

    /// Those of NVENC, which codes H.265 in coding tree blocks of 32 pixels and AV1 in superblocks of 64.
    /// AV1 counts quantisers to 255, where the others count to 51. `None` for what it does not code.
    pub(crate) const fn nvenc(codec: Codec) -> Option<Self> {
        match codec {
            Codec::H264 => Some(Self::H264),
            Codec::H265 => Some(Self { edge: 32, scale: 1 }),
            Codec::Av1 => Some(Self { edge: 64, scale: 5 }),
            Codec::Vp8 | Codec::Vp9 => None,
        }
    }
}

/// How a picture is cut into square blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    size: Size,
    edge: u32,
    columns: usize,
}

impl Grid {
    pub(crate) fn new(size: Size, blocks: Blocks) -> Self {
        let edge = u32::from(blocks.edge);
        Self { size, edge, columns: size.width.div_ceil(edge) as usize }
    }

    /// Blocks of the picture.
    pub(crate) fn count(&self) -> usize {
        self.columns * self.size.height.div_ceil(self.edge) as usize
    }

    /// Gives this value to every block, of a list of them row by row, that has any pixel of `rect`.
    pub(crate) fn fill<T: Copy>(&self, list: &mut [T], rect: Rect, value: T) {
        let blocks = |start: u32, length: u32, all: u32| {
            let end = start.saturating_add(length).min(all).div_ceil(self.edge) as usize;
            if length > 0 && start < all { (start / self.edge) as usize..end } else { 0..0 }
        };
        let columns = blocks(rect.x, rect.width, self.size.width);
        let rows = blocks(rect.y, rect.height, self.size.height);
        for row in list.chunks_mut(self.columns).take(rows.end).skip(rows.start) {
            if let Some(part) = row.get_mut(columns.clone()) {
                part.fill(value);
            }
        }
    }
}

/// The steps of each block of a picture, row by row, in memory that is used again.
#[derive(Debug)]
pub(crate) struct BlockMap<T> {
    grid: Grid,
    blocks: Blocks,
    drawn: Regions,
    steps: Vec<T>,
}

impl<T: Copy + From<i8>> BlockMap<T> {
    /// One for pictures of `size`, without any regions. It allocates here only.
    pub(crate) fn new(size: Size, blocks: Blocks) -> Self {
        let grid = Grid::new(size, blocks);
        Self { grid, blocks, drawn: Regions::NONE, steps: vec![T::from(0); grid.count()] }
    }

    /// Makes it that of `regions`.
    pub(crate) fn draw(&mut self, regions: &Regions) -> &[T] {
        if *regions == self.drawn {
            return &self.steps;
        }
        self.drawn = *regions;
        self.steps.fill(T::from(0));
        for region in regions.as_slice() {
            // Within the range of `i8`: steps were checked, and scales are small.
            let value = T::from(region.steps.saturating_mul(self.blocks.scale));
            self.grid.fill(&mut self.steps, region.rect, value);
        }
        &self.steps
    }
}

/// The encoder as it is where it has regions; else one that refuses pictures with them, so that no
/// adapter ignores them.
pub(crate) fn refusing_regions(encoder: Box<dyn Encoder>) -> Box<dyn Encoder> {
    if encoder.capabilities().regions.is_some() { encoder } else { Box::new(Uniform(encoder)) }
}

/// An encoder that codes all of a picture alike.
struct Uniform(Box<dyn Encoder>);

impl Encoder for Uniform {
    fn capabilities(&self) -> &EncoderCapabilities {
        self.0.capabilities()
    }

    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        if options.regions.is_empty() {
            return self.0.encode(frame, picture, options);
        }
        let name = self.0.capabilities().name;
        Err(EncodeError::Refused(format!("{name}, as it was opened, has no regions")))
    }

    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        self.0.poll()
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        self.0.set_rate(bitrate, rate)
    }

    fn acknowledge(&mut self, frame: FrameId) {
        self.0.acknowledge(frame);
    }

    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        self.0.forget(lost)
    }

    fn set_integer_motion(&mut self, whole: bool) {
        self.0.set_integer_motion(whole);
    }

    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        self.0.resize(size)
    }
}

#[cfg(test)]
mod tests {
    use media::{Rect, RegionQuality};
    use proptest::prelude::*;

    use super::*;

    fn region(x: u32, y: u32, width: u32, height: u32, steps: i8) -> RegionQuality {
        RegionQuality { rect: Rect { x, y, width, height }, steps }
    }

    #[test]
    fn blocks_that_a_region_touches_are_its_own_and_the_later_one_counts() {
        let mut map = BlockMap::<i8>::new(Size::new(70, 34), Blocks::H264);
        assert_eq!(map.draw(&Regions::NONE), [0; 15]);
        let regions = Regions::new(&[
            region(0, 0, 32, 100, 6),
            // One pixel of a block.
            region(31, 15, 1, 1, -4),
            region(64, 33, u32::MAX, u32::MAX, -12),
            region(32, 0, 0, 34, 1),
            region(32, 3, 5, 0, 1),
            // Within the last block, and beyond the picture.
            region(70, 0, 5, 5, 1),
            region(0, 34, 5, 5, 1),
            region(u32::MAX, u32::MAX, 5, 5, 1),
        ]);
        let regions = regions.unwrap();
        let expected = [6, -4, 0, 0, 0, 6, 6, 0, 0, 0, 6, 6, 0, 0, -12];
        assert_eq!(map.draw(&regions), expected);
        assert_eq!(map.draw(&regions), expected, "the same again");
        assert_eq!(map.draw(&Regions::NONE), [0; 15], "nothing is left of it");
    }

    #[test]
    fn steps_are_scaled_and_take_other_types() {
        let blocks = Blocks::nvenc(Codec::Av1).unwrap();
        let regions = Regions::new(&[region(0, 0, 1, 1, -12), region(64, 0, 1, 1, 12)]).unwrap();
        let size = Size::new(130, 64);
        assert_eq!(BlockMap::<i8>::new(size, blocks).draw(&regions), [-60, 60, 0]);
        assert_eq!(BlockMap::<f32>::new(size, blocks).draw(&regions), [-60.0, 60.0, 0.0]);
    }

    proptest! {
        /// Block by block as the rule says it, for any rectangles.
        #[test]
        fn every_block_has_the_steps_of_the_last_region_that_touches_it(
            (width, height) in (1_u32..200, 1_u32..200),
            edge in prop::sample::select(vec![16_u16, 32, 64]),
            parts in prop::collection::vec(
                (0_u32..240, 0_u32..240, 0_u32..240, 0_u32..240, -12_i8..=12),
                0..=Regions::MOST,
            ),
        ) {
            let parts: Vec<_> =
                parts.into_iter().map(|(x, y, w, h, steps)| region(x, y, w, h, steps)).collect();
            let mut map = BlockMap::<i8>::new(Size::new(width, height), Blocks { edge, scale: 1 });
            let regions = Regions::new(&parts).unwrap();
            let map = map.draw(&regions);
            let edge = u32::from(edge);
            let (columns, rows) = (width.div_ceil(edge), height.div_ceil(edge));
            prop_assert_eq!(map.len() as u32, columns * rows);
            for (at, steps) in (0..).zip(map) {
                let (left, top) = (at % columns * edge, at / columns * edge);
                let meets = |start: u32, length: u32, from: u32, all: u32| {
                    length > 0 && start < all.min(from + edge) && start + length > from
                };
                let last = parts.iter().rev().find(|part| {
                    meets(part.rect.x, part.rect.width, left, width)
                        && meets(part.rect.y, part.rect.height, top, height)
                });
                prop_assert_eq!(*steps, last.map_or(0, |part| part.steps));
            }
        }
    }
}
