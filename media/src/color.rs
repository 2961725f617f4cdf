//! Colours of a picture, and with its layout what kind of picture it is.

use crate::PixelFormat;

/// Primaries by the code points of ITU-T H.273 table 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Primaries {
    /// BT.709, sRGB.
    Bt709 = 1,
    /// BT.2020.
    Bt2020 = 9,
}

/// Transfer characteristics by the code points of ITU-T H.273 table 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Transfer {
    /// BT.709.
    Bt709 = 1,
    /// sRGB (IEC 61966-2-1).
    Srgb = 13,
    /// SMPTE ST 2084 (PQ).
    Pq = 16,
}

/// Matrix coefficients by the code points of ITU-T H.273 table 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MatrixCoefficients {
    /// Pixels are R, G and B.
    Identity = 0,
    /// BT.709.
    Bt709 = 1,
    /// BT.2020, non-constant luminance.
    Bt2020 = 9,
}

/// How to read the numbers in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColorDescription {
    /// Primaries.
    pub primaries: Primaries,
    /// Transfer characteristics.
    pub transfer: Transfer,
    /// Matrix coefficients.
    pub matrix: MatrixCoefficients,
    /// Full range (0..=255) instead of limited (16..=235 luma, 16..=240 chroma), in 10 bit times 4.
    pub full_range: bool,
}

impl ColorDescription {
    /// What every 8 bit video stream of Nearlight uses: BT.709 in limited range.
    pub const BT709_LIMITED: Self = Self {
        primaries: Primaries::Bt709,
        transfer: Transfer::Bt709,
        matrix: MatrixCoefficients::Bt709,
        full_range: false,
    };
    /// HDR10 in 10 bit: BT.2020 with PQ (ITU-R BT.2100) in limited range.
    pub const BT2020_PQ_LIMITED: Self = Self {
        primaries: Primaries::Bt2020,
        transfer: Transfer::Pq,
        matrix: MatrixCoefficients::Bt2020,
        full_range: false,
    };
    /// What a desktop surface holds: sRGB.
    pub const SRGB: Self = Self {
        primaries: Primaries::Bt709,
        transfer: Transfer::Srgb,
        matrix: MatrixCoefficients::Identity,
        full_range: true,
    };
}

/// What a picture is made as: where its samples lie, and how they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureKind {
    /// Layout in memory.
    pub format: PixelFormat,
    /// What the numbers mean.
    pub color: ColorDescription,
}

impl PictureKind {
    /// What every encoder takes and every client shows.
    pub const NV12: Self =
        Self { format: PixelFormat::Nv12, color: ColorDescription::BT709_LIMITED };
    /// HDR10: ten bits of BT.2020 with PQ.
    pub const HDR10: Self =
        Self { format: PixelFormat::P010, color: ColorDescription::BT2020_PQ_LIMITED };
}
