//! What an encoder is opened with.

use std::ffi::CStr;

use media::{
    Bitrate, ColorDescription, DeviceId, EncoderCapabilities, FrameRate, PictureKind, PixelFormat,
    RecoveryMeans, Size,
};

/// What an encoder is opened with.
///
/// Encoders that cannot do what is asked refuse it by name; what only some of them have (presets,
/// slices) says what the others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderSettings {
    /// Coded size, even both ways.
    pub size: Size,
    /// Frames per second: the rate control's budget of a frame is `bitrate / rate`.
    pub rate: FrameRate,
    /// Target, and also the most.
    pub bitrate: Bitrate,
    /// Layout of the pictures; depth and chroma of the stream are those of it.
    pub format: PixelFormat,
    /// Colours of the pictures, which the stream declares.
    pub color: ColorDescription,
    /// The largest size that it is changed to, for encoders that make room for it.
    pub largest: Size,
    /// What lost frames are answered with.
    pub resilience: Resilience,
    /// Whether long-term references may be among it, for encoders that can be without (NVENC): a loss of any
    /// length is then made good without a keyframe.
    pub long_term: bool,
    /// Pictures to hold for recovery beside the newest one, at the most, for libx264: others hold what they
    /// have. None of them leaves every loss to a keyframe, and saves libx264's `ultrafast` 5 to 11% of
    /// its time at 1280x720: pictures are then written to memory that caches hold.
    pub reach: u16,
    /// Be ready for pictures with [`media::Regions`], for encoders that can: it costs them time on every
    /// picture. Whether one is, its capabilities say.
    pub regions: bool,
    /// Slices of a picture (tiles of AV1), for encoders that are told: others follow the processor.
    pub slices: u8,
    /// The preset, for NVENC and libx264: others run at their fastest.
    pub speed: Speed,
    /// Pictures move by whole pixels, as desktops do and games that draw without a graphics device: libx264 at
    /// [`Speed::Auto`] then looks for no other motion, where it is called directly. Others are not told. The term is that of
    /// H.265 and AV1 (integer motion vectors).
    pub integer_motion: bool,
    /// The finest quantiser (QP of H.264, 0 to 51) for libx264: a picture that is good with less than the bit
    /// rate takes no more of it, nor of the processor. Others keep to bounds of their own.
    pub min_qp: u8,
    /// Size of the VBV in hundredths of one frame's budget, for encoders that are told.
    pub vbv_percent: u16,
    /// The profile where the codec is H.264 and the chroma 4:2:0.
    pub profile: H264Profile,
    /// The device that makes the pictures: hardware of the same device is used before any other, since
    /// it alone reads them in place. None takes the first.
    pub device: Option<DeviceId>,
}

impl EncoderSettings {
    /// The quantiser that libx264 is kept to: finer is not seen (the simple pictures of `tests/finest.rs` have 50 dB). Without
    /// a bound the library goes down to 0 there, for eight times the bits and more time.
    pub const MIN_QP: u8 = 18;

    /// What every caller has to say. The rest: NV12 in BT.709, a size that stays, one slice, one quality,
    /// the encoder's own preset, motion of any kind, none finer than [`Self::MIN_QP`], a VBV of one frame, Constrained Baseline,
    /// recovery by references, as many as it has, long-term ones too.
    pub const fn new(size: Size, rate: FrameRate, bitrate: Bitrate) -> Self {
        Self {
            size,
            rate,
            bitrate,
            format: PixelFormat::Nv12,
            color: ColorDescription::BT709_LIMITED,
            largest: size,
            resilience: Resilience::References,
            long_term: true,
            reach: u16::MAX,
            regions: false,
            slices: 1,
            speed: Speed::Auto,
            integer_motion: false,
            min_qp: Self::MIN_QP,
            vbv_percent: 100,
            profile: H264Profile::Baseline,
            device: None,
        }
    }

    /// What pictures it takes.
    pub const fn kind(&self) -> PictureKind {
        PictureKind { format: self.format, color: self.color }
    }

    /// The same for other pictures.
    #[must_use]
    pub const fn with_kind(self, kind: PictureKind) -> Self {
        let PictureKind { format, color } = kind;
        Self { format, color, ..self }
    }

    /// Whether an encoder does what it must not leave out; the reason where it does not.
    pub(crate) fn check(&self, encoder: &EncoderCapabilities) -> Result<(), String> {
        let EncoderCapabilities { name, formats, recovery, .. } = encoder;
        if !formats.contains(&self.format) {
            return Err(format!("{name} takes {formats:?}, not {:?}", self.format));
        }
        let waves = matches!(recovery, RecoveryMeans::Wave { .. });
        if matches!(self.resilience, Resilience::IntraRefresh { .. }) && !waves {
            return Err(format!("{name} has no intra refresh"));
        }
        Ok(())
    }
}

/// Presets from the fastest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// The one with which an encoder does best here: NVENC the fastest, libx264 the second, which searches as little as the
    /// fastest where pictures move by whole pixels ([`EncoderSettings::integer_motion`]).
    Auto,
    /// `NV_ENC_PRESET_P1_GUID`; libx264's `ultrafast`.
    P1,
    /// `NV_ENC_PRESET_P2_GUID`; libx264's `superfast`, with blocks cut into four where that shows.
    P2,
    /// `NV_ENC_PRESET_P3_GUID`; libx264's `veryfast`.
    P3,
    /// `NV_ENC_PRESET_P4_GUID`, the best pictures that still suit one frame of delay; libx264's `faster`.
    P4,
}

/// As the configuration writes it, and the command line of what tries encoders.
impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::P1 => "p1",
            Self::P2 => "p2",
            Self::P3 => "p3",
            Self::P4 => "p4",
        })
    }
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Auto, Self::P1, Self::P2, Self::P3, Self::P4];
        let named = all.into_iter().find(|speed| speed.to_string() == text);
        named.ok_or_else(|| format!("there is no preset {text:?}"))
    }
}

/// A preset of libx264.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LibX264Preset {
    /// As `--preset` takes it.
    pub(crate) name: &'static CStr,
    /// As `--partitions` takes it.
    pub(crate) partitions: &'static CStr,
    /// Other options of its command line.
    pub(crate) options: &'static [(&'static CStr, &'static CStr)],
    /// It has no adaptive quantisation.
    pub(crate) uniform: bool,
    /// It smooths the edges of blocks.
    pub(crate) filters: bool,
}

impl LibX264Preset {
    const SUPERFAST: Self = Self {
        name: c"superfast",
        partitions: c"p8x8,i4x4",
        options: &[],
        uniform: false,
        filters: true,
    };
}

impl EncoderSettings {
    /// libx264's preset.
    ///
    /// With two slices, at 4 Mbit/s and 60 pictures of 1280x720 a second (textures that move by parts
    /// of a pixel, with its rate made up for): `ultrafast` takes 2.6 ms of processor time a picture for a
    /// PSNR of 31.0 dB, since it searches whole pixels alone; `superfast` 3.6 ms for 35.8 dB, and with
    /// 8x8 partitions 4.1 ms for 36.6 dB; `veryfast`, which has those, 5.8 ms for 36.4 dB.
    /// Where pictures move by whole pixels the search for parts finds nothing, and adaptive quantisation makes them no better.
    pub(crate) const fn libx264(&self) -> LibX264Preset {
        let usual = LibX264Preset::SUPERFAST;
        match self.speed {
            Speed::P1 => LibX264Preset {
                name: c"ultrafast",
                partitions: c"none",
                uniform: true,
                filters: false,
                ..usual
            },
            Speed::Auto if self.integer_motion => LibX264Preset {
                partitions: c"i4x4",
                options: &[(c"subme", c"0"), (c"aq-mode", c"0")],
                uniform: true,
                ..usual
            },
            Speed::Auto | Speed::P2 => usual,
            Speed::P3 => LibX264Preset { name: c"veryfast", ..usual },
            Speed::P4 => LibX264Preset { name: c"faster", ..usual },
        }
    }
}

/// Profiles of H.264 in 4:2:0; 4:4:4 has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum H264Profile {
    /// What every browser decodes.
    Baseline,
    /// With CABAC and the 8x8 transform.
    High,
}

/// What lost frames are answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resilience {
    /// Older references, where the encoder has them; else a keyframe.
    References,
    /// A wave of intra blocks that crosses the picture in `units` frames, after a loss. Where an
    /// encoder ties the length of waves to the time between them, as libx264 does, short ones follow
    /// one another all the time.
    IntraRefresh {
        /// Frames of one wave, at the most.
        units: u16,
    },
}
