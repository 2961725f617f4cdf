//! What libx264 does about lost frames: one of two things, which it excludes from each other.
//!
//! By references it searches one picture, but holds as many as level 5.1 allows, so that one from
//! before a loss is there. Lost pictures keep their places in the buffer, so all but one of it may be
//! lost, by one loss or by many: also a picture that was to make another loss good.
//!
//! Beyond that only a keyframe helps, since nothing stays in the buffer for longer (encoder.c of build 164).
//! `x264_encoder_invalidate_reference` marks pictures, and `reference_build_list` passes those over; but
//! `reference_update` takes the oldest out for each that is coded, marked or not. Commands that give places
//! back are written for B-pyramids and open GOPs alone (`reference_hierarchy_reset`), long-term references
//! there are none, and every P picture is kept. Where all are marked `x264_encoder_encode` makes an IDR.
//!
//! By waves a bar of intra blocks goes from left to right. It moves by a column of macroblocks a
//! picture at the least, so that no wave takes longer than the picture has columns; a slow one runs
//! when it is asked for and at no other time. The library makes a faster one of the interval between
//! two, so that fast ones follow one another all the time. What was lost is behind a wave that began
//! after it; one that is under way goes on to its end first.
//!
//! Blocks behind the bar refer to nothing before it, but for the library's early choice of skipped
//! blocks, which heeds no bound: that is off with waves.

use std::ffi::{CStr, CString};

use media::{FrameId, RecoveryMeans, Size, UnitKind};

use crate::references::References;
use crate::settings::{EncoderSettings, Resilience};
use crate::waves::{UnderWay, Waves};

/// Macroblocks in the decoded picture buffer (`MaxDpbMbs` of level 5.1, H.264 table A-1).
const MAX_DPB_MBS: u64 = 184_320;
/// `X264_KEYINT_MAX_INFINITE` of x264.h.
const INFINITE: u32 = 1 << 30;
/// Pictures in it at the most (A.3.1).
const MAX_DPB_FRAMES: u64 = 16;

/// What an encoder of one size is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// So many pictures are held beside the newest one.
    References { reach: u16 },
    /// Waves of so many pictures.
    Waves {
        length: u16,
        /// They follow one another.
        always: bool,
    },
}

impl Means {
    /// Fails for waves that the library does not have.
    /// By references at most `most` pictures are held beside the newest one.
    pub(super) fn new(resilience: Resilience, size: Size, most: u16) -> Result<Self, String> {
        let Resilience::IntraRefresh { units } = resilience else {
            return Ok(Self::References { reach: reach(size, most) });
        };
        // The first picture of a wave refreshes two columns, each later one another one.
        let longest = size.width.div_ceil(16).saturating_sub(1).max(1) as u16;
        if units >= longest {
            return Ok(Self::Waves { length: longest, always: false });
        }
        match units {
            // A keyframe interval of one turns intra refresh off.
            0 | 1 => Err(format!("libx264 has no wave of {units} frames")),
            length => Ok(Self::Waves { length, always: true }),
        }
    }

    /// As settings ask for it, of an encoder that holds one picture: without waves only a keyframe helps.
    pub(crate) fn of_one_picture(settings: &EncoderSettings) -> Result<Self, String> {
        Self::new(settings.resilience, settings.size, 0)
    }

    pub(super) fn recovery(self) -> RecoveryMeans {
        match self {
            Self::References { reach: 0 } => RecoveryMeans::Keyframe,
            Self::References { reach } => RecoveryMeans::References { reach },
            Self::Waves { length, .. } => RecoveryMeans::Wave { units: length },
        }
    }

    /// Names and values of the library's command line.
    pub(super) fn options(self) -> [(&'static CStr, CString); 4] {
        let text = |number: u32| CString::new(number.to_string()).unwrap_or_default();
        let (intra_refresh, pictures) = match self {
            Self::References { reach } => (0_u32, reach + 1),
            Self::Waves { .. } => (1, 1),
        };
        [
            (c"intra-refresh", text(intra_refresh)),
            (c"keyint", text(self.interval())),
            (c"dpb-size", text(pictures.into())),
            (c"fast-pskip", text(self.skips_early().into())),
        ]
    }

    /// Pictures from one keyframe or wave that nobody asked for to the next.
    pub(crate) fn interval(self) -> u32 {
        match self {
            Self::Waves { length, always: true } => length.into(),
            Self::Waves { always: false, .. } | Self::References { .. } => INFINITE,
        }
    }

    /// Whether the library may choose skipped blocks early.
    pub(crate) fn skips_early(self) -> bool {
        matches!(self, Self::References { .. })
    }

    /// Where waves are, with none under way.
    pub(crate) fn waves(self) -> Option<Waves> {
        match Losses::new(self) {
            Losses::Waves(waves) => Some(waves),
            Losses::References(_) => None,
        }
    }
}

/// What was lost of the pictures of one encoder.
#[derive(Debug)]
pub(super) enum Losses {
    References(References),
    Waves(Waves),
}

impl Losses {
    pub(super) fn new(means: Means) -> Self {
        match means {
            Means::References { reach } => Self::References(References::new(reach)),
            Means::Waves { length, .. } => Self::Waves(Waves::new(length, UnderWay::GoesOn)),
        }
    }

    /// A picture was coded, with which a wave began or not. Says how it can be decoded.
    pub(super) fn coded(&mut self, frame: FrameId, key: bool, refresh: bool) -> UnitKind {
        match self {
            Self::References(references) => references.coded(frame, key),
            Self::Waves(waves) => waves.coded(frame, key, refresh),
        }
    }
}

/// Pictures beside the newest one for which a decoder of level 5.1 has room, and `most` at the most.
pub(super) fn reach(size: Size, most: u16) -> u16 {
    let blocks = |edge: u32| u64::from(edge.div_ceil(16)).max(1);
    let frames = MAX_DPB_MBS / (blocks(size.width) * blocks(size.height));
    (frames.clamp(1, MAX_DPB_FRAMES) as u16 - 1).min(most)
}
