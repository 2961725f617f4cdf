//! What differs from one of libvpx's codecs to the other.

use std::ffi::c_int;

use media::{BitDepth, Codec};

use crate::buffers::{Manner, Steps, cores};

/// Tiles beside one another, of which each has a thread, are 256 pixels wide at the least.
pub(super) const MOST_THREADS: u32 = 4;

/// A codec of libvpx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standard {
    Vp8,
    Vp9,
}

/// How it is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    /// That of `VP8E_SET_CPUUSED`.
    pub(super) speed: c_int,
    /// Cores that code one picture.
    pub(super) threads: u32,
    /// What a keyframe is meant to take at the most, in percent of a frame.
    pub(super) keyframe_percent: c_int,
}

impl Standard {
    /// The candidate's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "vpx-vp8",
            Self::Vp9 => "vpx-vp9",
        }
    }

    pub(super) const fn codec(self) -> Codec {
        match self {
            Self::Vp8 => Codec::Vp8,
            Self::Vp9 => Codec::Vp9,
        }
    }

    /// How its rate control is met. Left free, VP9's quantiser goes by lengths that are inverse to its step: the first
    /// picture after a keyframe, or after a fall of the rate, would take several budgets.
    pub(super) const fn manner(self, depth: BitDepth) -> Manner {
        let steps = match depth {
            BitDepth::Eight => &Steps::VP9,
            BitDepth::Ten => &Steps::VP9_TEN_BITS,
        };
        match self {
            Self::Vp8 => Manner { steps: &Steps::VP8, saves: 1, leap: None },
            Self::Vp9 => Manner { steps, saves: 2, leap: Some(1.25) },
        }
    }

    /// A keyframe may take two frames' worth. It would take many, and with one it is so coarse that the
    /// pictures after it are too.
    pub(super) fn tuning(self) -> Tuning {
        let keyframe_percent = 200;
        match self {
            // Its fastest, 16, searches so little that moving textures take more than they are given. Negative: it must
            // not follow the clock. One thread codes a picture: several wait for one
            // another by spinning, and where the cores are busy with sessions a picture then takes tens of
            // milliseconds.
            Self::Vp8 => Tuning { speed: -8, threads: 1, keyframe_percent },
            // Threads of VP9 sleep where they wait for one another.
            Self::Vp9 => Tuning { speed: 8, threads: cores().min(MOST_THREADS), keyframe_percent },
        }
    }
}
