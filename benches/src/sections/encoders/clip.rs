//! The moving pattern as a clip: the same pictures in the same order, in memory and in files.

use std::io::{Result as IoResult, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use media::{
    CpuImage, FrameId, FrameRequest, FrameSource as _, MediaTime, PixelFormat, SourceEvent,
};
use server::clock::MonotonicClock;
use testkit::PulledPattern;

use super::{RATE, SIZE};
use crate::apps::SLOTS;
use crate::host::{HEIGHT, WIDTH};

/// Bytes of a picture, as NV12 and as I420.
pub(super) const PICTURE: usize = (WIDTH * HEIGHT) as usize * 3 / 2;
/// Bytes of its luma.
pub(super) const LUMA: usize = (WIDTH * HEIGHT) as usize;

/// Yields the pictures one by one.
pub(super) struct Clip {
    source: PulledPattern,
    clock: MonotonicClock,
    number: u32,
}

impl Clip {
    /// From the first picture on.
    pub(super) fn new() -> Self {
        let clock = MonotonicClock::new();
        let source = PulledPattern::new(SIZE, SLOTS, Arc::new(MonotonicClock::new()));
        Self { source, clock, number: 0 }
    }

    /// Shows the next picture, NV12.
    pub(super) fn next<T>(&mut self, see: impl FnOnce(CpuImage<'_>) -> T) -> Result<T> {
        let at = MediaTime::ZERO + RATE.interval() * self.number;
        let request = FrameRequest {
            id: FrameId(self.number.into()),
            at,
            within: Duration::ZERO,
            views: &[],
            refresh: true,
            share: false,
            kind: media::PictureKind::NV12,
        };
        self.number += 1;
        let SourceEvent::Frame(mut frame) = self.source.next(&request)? else {
            bail!("the pattern made no picture");
        };
        frame.image.finish(&self.clock, &mut frame.stages)?;
        let image = frame.image.map()?;
        debug_assert_eq!(image.format, PixelFormat::Nv12);
        Ok(see(image))
    }
}

/// The samples of an NV12 picture without padding.
pub(super) fn nv12(image: &CpuImage<'_>) -> Vec<u8> {
    let mut samples = Vec::with_capacity(PICTURE);
    for (plane, (row, rows)) in image.planes.iter().zip(image.format.planes(image.size)) {
        for line in plane.data.chunks(plane.stride).take(rows) {
            samples.extend_from_slice(&line[..row]);
        }
    }
    samples
}

/// The same as I420.
pub(super) fn i420(nv12: &[u8]) -> Vec<u8> {
    let (luma, chroma) = nv12.split_at(LUMA);
    let mut samples = luma.to_vec();
    for component in [0, 1] {
        samples.extend(chroma.iter().skip(component).step_by(2));
    }
    samples
}

/// Begins a YUV4MPEG2 file of the clip.
pub(super) fn y4m_header(file: &mut impl Write) -> IoResult<()> {
    let (numerator, denominator) = RATE.fraction();
    writeln!(file, "YUV4MPEG2 W{WIDTH} H{HEIGHT} F{numerator}:{denominator} Ip A1:1 C420mpeg2")
}

/// Adds a picture to it.
pub(super) fn y4m_picture(file: &mut impl Write, i420: &[u8]) -> IoResult<()> {
    file.write_all(b"FRAME\n")?;
    file.write_all(i420)
}
