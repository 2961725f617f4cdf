//! Checked NV12 pictures: what every encoder here takes.

use media::barcode::Strip;
use media::{EncodeError, EncoderCapabilities, Picture, PixelFormat, Plane, Size};

/// An NV12 picture whose planes are known to be long enough.
#[derive(Clone, Copy)]
pub(crate) struct Nv12<'a> {
    pub(crate) size: Size,
    pub(crate) luma: Plane<'a>,
    pub(crate) chroma: Plane<'a>,
}

/// A picture of luma and interleaved chroma, whose planes are known to be long enough.
#[derive(Clone, Copy)]
pub(crate) struct TwoPlanes<'a> {
    pub(crate) size: Size,
    /// NV12 or P010.
    pub(crate) format: PixelFormat,
    pub(crate) luma: Plane<'a>,
    pub(crate) chroma: Plane<'a>,
}

impl<'a> TwoPlanes<'a> {
    /// Checks place, layout, size and plane lengths, so that what follows may index and pass
    /// pointers on.
    pub(crate) fn check(
        picture: &Picture<'a>,
        format: PixelFormat,
        size: Size,
    ) -> Result<Self, EncodeError> {
        let refuse = |why: String| Err(EncodeError::Refused(why));
        let image = match picture {
            Picture::Cpu(image) => image,
            Picture::Shared(_) => return refuse("it lies in shared memory, not on the CPU".into()),
        };
        if image.format != format {
            return refuse(format!("the layout is {:?}, not {format:?}", image.format));
        }
        if image.size != size {
            return refuse(format!("its size is {}, not {size}", image.size));
        }
        let &[luma, chroma] = image.planes.as_slice() else {
            return refuse(format!("{format:?} has 2 planes, not {}", image.planes.len()));
        };
        let mut shapes = image.planes.iter().zip(format.planes(size));
        if !shapes.all(|(plane, (row, rows))| plane_holds(plane, row, rows)) {
            return refuse(format!("a plane is too short for {size}"));
        }
        Ok(Self { size, format, luma, chroma })
    }

    /// Bytes of a row of either plane.
    pub(crate) fn row(&self) -> usize {
        self.format.plane(0, self.size).map_or(0, |(row, _)| row)
    }
}

impl<'a> Nv12<'a> {
    /// As [`TwoPlanes::check`].
    pub(crate) fn check(picture: &Picture<'a>, size: Size) -> Result<Self, EncodeError> {
        let TwoPlanes { luma, chroma, .. } = TwoPlanes::check(picture, PixelFormat::Nv12, size)?;
        Ok(Self { size, luma, chroma })
    }

    pub(crate) fn width(&self) -> usize {
        self.size.width as usize
    }

    pub(crate) fn height(&self) -> usize {
        self.size.height as usize
    }
}

/// Memory of an encoder's own for pictures that a strip is drawn into, which must not be drawn into
/// the source's.
#[derive(Default)]
pub(crate) struct Drawn {
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Drawn {
    /// The picture as it is, or a copy with the strip.
    pub(crate) fn with_strip<'a>(
        &'a mut self,
        picture: Nv12<'a>,
        strip: Option<Strip>,
    ) -> Nv12<'a> {
        let Some(strip) = strip else {
            return picture;
        };
        let (width, height) = (picture.width(), picture.height());
        self.luma.resize(width * height, 0);
        self.chroma.resize(width * height / 2, 0);
        copy_rows(&picture.luma, &mut self.luma, width, width, height);
        copy_rows(&picture.chroma, &mut self.chroma, width, width, height / 2);
        strip.draw_nv12(&mut self.luma, width, &mut self.chroma, width);
        Nv12 {
            size: picture.size,
            luma: Plane { data: &self.luma, stride: width },
            chroma: Plane { data: &self.chroma, stride: width },
        }
    }
}

/// Whether `rows` rows of `row` bytes lie within the plane.
pub(crate) fn plane_holds(plane: &Plane<'_>, row: usize, rows: usize) -> bool {
    rows > 0
        && plane.stride >= row
        && plane
            .stride
            .checked_mul(rows - 1)
            .and_then(|start| start.checked_add(row))
            .is_some_and(|needed| plane.data.len() >= needed)
}

/// Checks that a size can be coded as 4:2:0.
pub(crate) fn check_size(size: Size) -> Result<(), String> {
    if size.width == 0
        || size.height == 0
        || !size.width.is_multiple_of(2)
        || !size.height.is_multiple_of(2)
    {
        return Err(format!("4:2:0 needs an even size, not {size}"));
    }
    if size.width > MAX_EDGE || size.height > MAX_EDGE {
        return Err(format!("{size} is larger than any H.264 level allows"));
    }
    Ok(())
}

/// Checks that an encoder takes pictures of a size.
pub(crate) fn check_taken(capabilities: &EncoderCapabilities, size: Size) -> Result<(), String> {
    check_size(size)?;
    if capabilities.takes_size(size) {
        return Ok(());
    }
    let EncoderCapabilities { name, smallest, largest, .. } = capabilities;
    Err(format!("{name} takes {smallest} to {largest}, not {size}"))
}

/// Longest edge of any H.264 level: `Sqrt(8 * MaxFS)` macroblocks of level 6.2 (A.3.1).
const MAX_EDGE: u32 = 16_880;

/// Copies `rows` rows of `row` bytes.
pub(crate) fn copy_rows(
    from: &Plane<'_>,
    to: &mut [u8],
    to_stride: usize,
    row: usize,
    rows: usize,
) {
    if from.stride == to_stride {
        let length = from.stride * (rows - 1) + row;
        to[..length].copy_from_slice(&from.data[..length]);
        return;
    }
    for (from, to) in from.data.chunks(from.stride).zip(to.chunks_mut(to_stride)).take(rows) {
        to[..row].copy_from_slice(&from[..row]);
    }
}

/// Splits the chroma of NV12 into its two planes, each given with its stride.
pub(crate) fn split_chroma(
    chroma: &Plane<'_>,
    size: Size,
    (cb, cb_stride): (&mut [u8], usize),
    (cr, cr_stride): (&mut [u8], usize),
) {
    let (pairs, rows) = (size.width as usize / 2, size.height as usize / 2);
    let from = chroma.data.chunks(chroma.stride).take(rows);
    let to = cb.chunks_mut(cb_stride).zip(cr.chunks_mut(cr_stride));
    for (row, (cb, cr)) in from.zip(to) {
        let (row, cb, cr) = (&row[..2 * pairs], &mut cb[..pairs], &mut cr[..pairs]);
        for ((pair, cb), cr) in row.as_chunks::<2>().0.iter().zip(cb).zip(cr) {
            (*cb, *cr) = (pair[0], pair[1]);
        }
    }
}
