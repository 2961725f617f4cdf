//! What differs from one of libvpx's codecs to the other.

use std::ffi::c_int;
use std::num::NonZeroUsize;

use media::Codec;

use super::fall::Steps;

/// Tiles beside one another, of which each has a thread, are 256 pixels wide at the least.
const MOST_THREADS: u32 = 4;

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

    /// What rate control may have saved, in what it may overdraw.
    pub(super) const fn saves(self) -> u32 {
        match self {
            Self::Vp8 => 1,
            Self::Vp9 => 2,
        }
    }

    /// How coarse its quantisers are.
    pub(super) const fn steps(self) -> &'static Steps {
        match self {
            Self::Vp8 => &Steps::VP8,
            Self::Vp9 => &Steps::VP9,
        }
    }

    /// A keyframe may take two frames' worth. It would take up to fourteen, and with one it is so coarse that the
    /// pictures after it are too.
    pub(super) fn tuning(self) -> Tuning {
        let keyframe_percent = 200;
        match self {
            // 4.3 ms a picture of 1280x720 on one core, a quarter more than its fastest, 16. That searches so little
            // that moving textures never take less than 5.1 Mbit/s, for 27.6 dB, where this makes 3.7 Mbit/s of 4
            // for 35.3 dB. Negative: it must not follow the clock. One thread codes a picture: several wait for one
            // another by spinning, and where the cores are busy with sessions a picture then takes tens of
            // milliseconds.
            Self::Vp8 => Tuning { speed: -8, threads: 1, keyframe_percent },
            // Threads of VP9 sleep where they wait for one another: two take 5 % more than one does alone.
            Self::Vp9 => Tuning { speed: 8, threads: cores().min(MOST_THREADS), keyframe_percent },
        }
    }
}

fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    u32::try_from(cores).unwrap_or(MOST_THREADS)
}
