//! Pictures as they are handed in: planes one after the other, in rows of one pitch.

use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENC_BUFFER_FORMAT as Number;

/// Formats of pictures that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Nv12,
    P010,
    Yuv444,
    Yuv444TenBit,
}

impl Format {
    pub(crate) const ALL: [Self; 4] = [Self::Nv12, Self::P010, Self::Yuv444, Self::Yuv444TenBit];

    /// `NV_ENC_BUFFER_FORMAT`.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Nv12 => Number::NV_ENC_BUFFER_FORMAT_NV12 as u32,
            Self::P010 => Number::NV_ENC_BUFFER_FORMAT_YUV420_10BIT as u32,
            Self::Yuv444 => Number::NV_ENC_BUFFER_FORMAT_YUV444 as u32,
            Self::Yuv444TenBit => Number::NV_ENC_BUFFER_FORMAT_YUV444_10BIT as u32,
        }
    }

    pub(crate) fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.number() == number)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nv12 => "nv12",
            Self::P010 => "p010",
            Self::Yuv444 => "yuv444",
            Self::Yuv444TenBit => "yuv444-10",
        }
    }

    pub(crate) const fn ten_bit(self) -> bool {
        matches!(self, Self::P010 | Self::Yuv444TenBit)
    }

    pub(crate) const fn full_chroma(self) -> bool {
        matches!(self, Self::Yuv444 | Self::Yuv444TenBit)
    }

    /// Bytes of a row of luma; those of chroma are as long.
    pub(crate) const fn row_bytes(self, width: u32) -> usize {
        width as usize * if self.ten_bit() { 2 } else { 1 }
    }
}

/// How a picture lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) format: Format,
    /// In pixels; even where chroma is halved.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bytes from a row to the next.
    pub(crate) pitch: u32,
}

impl Layout {
    /// Rows of all planes, which are equally long.
    pub(crate) fn rows(&self) -> usize {
        let height = self.height as usize;
        if self.format.full_chroma() { height * 3 } else { height + height / 2 }
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.format.row_bytes(self.width)
    }

    /// Bytes from the first pixel to the last.
    pub(crate) fn extent(&self) -> usize {
        (self.rows() - 1) * self.pitch as usize + self.row_bytes()
    }

    /// Row by row what is picture and no padding, in the order of memory. `bytes` are the extent.
    pub(crate) fn visible<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let row_bytes = self.row_bytes();
        bytes.chunks(self.pitch as usize).map(move |row| &row[..row_bytes])
    }
}
