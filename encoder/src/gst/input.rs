//! How an element is given pictures: where their samples lie in its memory, and how they get there.

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use media::barcode::Strip;
use media::{
    Codec, ColorDescription, EncodeError, MatrixCoefficients, PixelFormat, Primaries, Transfer,
};

use crate::nv12::{TwoPlanes, copy_rows, split_chroma};
use crate::planar::lower;

/// What an element's input is declared as.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) layout: Layout,
    pub(super) colorimetry: gst_video::VideoColorimetry,
}

impl Input {
    /// Colours as GStreamer names them, for the element to write into the stream.
    ///
    /// VP9's header has the matrix alone (bitstream specification, 7.2.2), which the element finds only
    /// where all colours together are one of the standards that it knows: those of BT.2020 are for PQ
    /// too. What is lost with that is told beside the stream.
    pub(super) fn colorimetry(
        codec: Codec,
        color: ColorDescription,
    ) -> gst_video::VideoColorimetry {
        use gst_video::{
            VideoColorMatrix as To, VideoColorPrimaries, VideoColorRange, VideoTransferFunction,
        };
        let ColorDescription { primaries, transfer, matrix, full_range } = color;
        gst_video::VideoColorimetry::new(
            if full_range { VideoColorRange::Range0_255 } else { VideoColorRange::Range16_235 },
            match matrix {
                MatrixCoefficients::Identity => To::Rgb,
                MatrixCoefficients::Bt709 => To::Bt709,
                MatrixCoefficients::Bt2020 => To::Bt2020,
            },
            match transfer {
                Transfer::Bt709 => VideoTransferFunction::Bt709,
                Transfer::Srgb => VideoTransferFunction::Srgb,
                Transfer::Pq if codec == Codec::Vp9 => VideoTransferFunction::Bt202012,
                Transfer::Pq => VideoTransferFunction::Smpte2084,
            },
            match primaries {
                Primaries::Bt709 => VideoColorPrimaries::Bt709,
                Primaries::Bt2020 => VideoColorPrimaries::Bt2020,
            },
        )
    }
}

/// How a picture lies in the element's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As it comes.
    Nv12,
    /// Chroma in two planes.
    I420,
    /// As it comes, in 10 bits.
    P010,
    /// Chroma in two planes, and the value in the lower 10 bits of 16.
    I420TenBit,
}

impl Layout {
    /// Those that hold pictures of a format, what costs least first; none for formats that are not
    /// coded by elements.
    pub(super) const fn of(format: PixelFormat) -> &'static [Self] {
        match format {
            PixelFormat::Nv12 => &[Self::Nv12, Self::I420],
            PixelFormat::P010 => &[Self::P010, Self::I420TenBit],
            PixelFormat::Yuv444
            | PixelFormat::Yuv444P16
            | PixelFormat::Bgrx8
            | PixelFormat::Rgba8 => &[],
        }
    }

    pub(super) fn format(self) -> gst_video::VideoFormat {
        match self {
            Self::Nv12 => gst_video::VideoFormat::Nv12,
            Self::I420 => gst_video::VideoFormat::I420,
            Self::P010 => gst_video::VideoFormat::P01010le,
            Self::I420TenBit => gst_video::VideoFormat::I42010le,
        }
    }

    /// Copies a picture into a buffer of the element and draws the strip there.
    pub(super) fn fill(
        self,
        buffer: &mut gst::BufferRef,
        info: &gst_video::VideoInfo,
        picture: &TwoPlanes<'_>,
        strip: Option<Strip>,
    ) -> Result<(), EncodeError> {
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, info)
            .map_err(|error| EncodeError::Fatal(error.to_string()))?;
        let strides = frame.plane_stride();
        let stride = |plane: usize| strides[plane].unsigned_abs() as usize;
        let luma_stride = stride(0);
        let (row, height) = (picture.row(), picture.size.height as usize);
        match self {
            Self::Nv12 | Self::P010 => {
                let chroma_stride = stride(1);
                let [luma, chroma, ..] = frame.planes_data_mut();
                copy_rows(&picture.luma, luma, luma_stride, row, height);
                copy_rows(&picture.chroma, chroma, chroma_stride, row, height / 2);
                match (strip, self) {
                    (None, _) => {}
                    (Some(strip), Self::Nv12) => {
                        strip.draw_nv12(luma, luma_stride, chroma, chroma_stride);
                    }
                    (Some(strip), _) => {
                        strip.draw_ten_bit(luma, luma_stride, [(chroma, chroma_stride)], 6);
                    }
                }
            }
            Self::I420 => {
                let (cb_stride, cr_stride) = (stride(1), stride(2));
                let [luma, cb, cr, ..] = frame.planes_data_mut();
                copy_rows(&picture.luma, luma, luma_stride, row, height);
                split_chroma(&picture.chroma, picture.size, (cb, cb_stride), (cr, cr_stride));
                if let Some(strip) = strip {
                    strip.draw_i420(luma, luma_stride, [(cb, cb_stride), (cr, cr_stride)]);
                }
            }
            Self::I420TenBit => {
                let (cb_stride, cr_stride) = (stride(1), stride(2));
                let [luma, cb, cr, ..] = frame.planes_data_mut();
                let chroma = [(cb, cb_stride), (cr, cr_stride)];
                lower(picture, strip, (luma, luma_stride), chroma);
            }
        }
        Ok(())
    }
}
