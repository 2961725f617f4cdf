//! An access unit: one coded picture, with everything that its frame carried.

use bytes::Bytes;

use crate::{
    ColorDescription, Damage, DepthImage, FrameId, InputSeq, MediaTime, StageTimes, TrackId, Views,
};

/// A video codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
    /// AOMedia AV1.
    Av1,
    /// VP8 (RFC 6386).
    Vp8,
    /// VP9.
    Vp9,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 5] = [Self::H264, Self::H265, Self::Av1, Self::Vp8, Self::Vp9];

    /// The encoding name of RTP and SDP.
    pub const fn rtp_name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Av1 => "AV1",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
        }
    }

    /// Its name in the configuration of a node.
    pub const fn config_name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Av1 => "av1",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
        }
    }
}

/// A set of codecs: what a client decodes, for one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CodecSet(u8);

impl CodecSet {
    /// The set of these.
    pub fn of(codecs: &[Codec]) -> Self {
        let mut set = Self::default();
        for codec in codecs {
            set.insert(*codec);
        }
        set
    }

    /// Adds one.
    pub fn insert(&mut self, codec: Codec) {
        self.0 |= Self::bit(codec);
    }

    /// Whether it is among them.
    pub fn contains(self, codec: Codec) -> bool {
        self.0 & Self::bit(codec) != 0
    }

    const fn bit(codec: Codec) -> u8 {
        1 << codec as u8
    }
}

impl std::fmt::Debug for CodecSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(Codec::ALL.iter().filter(|codec| self.contains(**codec))).finish()
    }
}

/// How a unit can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// On its own; it carries the parameter sets.
    Key,
    /// From the units before it.
    Delta,
    /// From units before a loss that the encoder was told of; nothing lost is referenced.
    Recovery,
}

/// Which part of a coded picture a unit is. Encoders that hand slices on while they code the rest make
/// several of one picture, in order; each ends where a NAL unit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// It begins the picture.
    pub first: bool,
    /// It ends the picture.
    pub last: bool,
}

impl Part {
    /// All of the picture.
    pub const WHOLE: Self = Self { first: true, last: true };

    /// Whether it is all of the picture.
    pub const fn is_whole(self) -> bool {
        self.first && self.last
    }
}

/// One coded picture, or a part of it: Annex B for H.264 and H.265, a temporal unit for AV1, a frame for VP8
/// and VP9. Parts of a picture are alike in all but their data and marks.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// The track that it is sent on.
    pub track: TrackId,
    /// The frame that it codes.
    pub frame: FrameId,
    /// The frame's time on the media clock.
    pub captured_at: MediaTime,
    /// How it can be decoded.
    pub kind: UnitKind,
    /// The newest unit of this track that a decoder must have to take this one, which implies all that
    /// it may be coded from; none of a keyframe. It is the unit before, but after a loss that the encoder
    /// was told of.
    pub refers_to: Option<FrameId>,
    /// The codec.
    pub codec: Codec,
    /// The bitstream.
    pub data: Bytes,
    /// Which part of the picture it is.
    pub part: Part,
    /// The frame's views, in pixels of the coded picture.
    pub views: Views,
    /// What changed since the unit before it on this track, in pixels of the coded picture: that of
    /// frames which were dropped in between is in it. [`Damage::Unknown`] for a viewer's first unit,
    /// after a loss and after a change of size.
    pub damage: Damage,
    /// The frame's depth, not coded: the values are shared with the frame, a clone copies none.
    pub depth: Option<DepthImage>,
    /// The colours that the bitstream declares, which are the frame's or what it was converted to.
    pub color: ColorDescription,
    /// The newest input that the picture shows.
    pub last_input: Option<InputSeq>,
    /// Marks so far.
    pub stages: StageTimes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        for codec in Codec::ALL {
            let mut set = CodecSet::default();
            assert!(!set.contains(codec));
            set.insert(codec);
            assert_eq!(set, CodecSet::of(&[codec, codec]));
            let held: Vec<_> = Codec::ALL.into_iter().filter(|each| set.contains(*each)).collect();
            assert_eq!(held, [codec]);
        }
        let all = CodecSet::of(&Codec::ALL);
        assert!(Codec::ALL.iter().all(|codec| all.contains(*codec)));
        assert_eq!(format!("{:?}", CodecSet::of(&[Codec::Vp8, Codec::H264])), "{H264, Vp8}");
    }
}
