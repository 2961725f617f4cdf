//! An encoder that loses pictures on the way, and what becomes of its units.

use bytes::Bytes;
use media::{
    BitDepth, Codec, Damage, EncodeOptions, EncoderCapabilities, FrameId, PixelFormat, Recovery,
    RecoveryMeans, Regions, Size, UnitKind,
};
use nearlight_encoder::BlockingEncoder;
use nearlight_encoder::h264::{NalKind, Sps, nals};

use crate::common::Picture;
use crate::{ACKNOWLEDGED_AFTER, AFTER, SIZE};

/// What became of a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It arrived, and is decoded to what the encoder meant.
    Clean,
    Lost,
    /// It arrived, and refers to what is lost: the encoder did not know.
    Tainted,
    /// It arrived, and a wave is on its way: not clean yet, but what is clean later needs it.
    Healing,
}

/// What the next unit has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Delta,
    Key,
    /// The last of so many units is clean.
    Recovery(u16),
}

pub(crate) struct Unit {
    pub(crate) data: Bytes,
    pub(crate) kind: UnitKind,
    pub(crate) fate: Fate,
}

/// A loss that the encoder is told of.
pub(crate) struct Loss {
    /// Pictures coded before it, since the encoder was told of the one before.
    pub(crate) after: u64,
    pub(crate) lost: u64,
    /// Pictures coded and received before the encoder is told.
    pub(crate) told: u64,
}

/// An encoder and its viewer.
pub(crate) struct Run {
    pub(crate) encoder: BlockingEncoder,
    format: PixelFormat,
    /// What its pictures show.
    pub(crate) scene: fn(Size, usize) -> Picture,
    /// And the regions that they have.
    pub(crate) regions: fn(usize) -> Regions,
    /// And what has changed in them.
    pub(crate) damage: fn(usize) -> Damage,
    due: Due,
    /// Units by the number of their frame.
    units: Vec<Unit>,
}

impl Run {
    pub(crate) fn new(encoder: BlockingEncoder, format: PixelFormat) -> Self {
        Self {
            encoder,
            format,
            scene: Picture::scene,
            regions: |_| Regions::NONE,
            damage: |_| Damage::Unknown,
            due: Due::Key,
            units: Vec::new(),
        }
    }

    pub(crate) fn code(&mut self, pictures: u64, fate: Fate) {
        for _ in 0..pictures {
            let number = self.units.len();
            let picture = (self.scene)(SIZE, number);
            let given = picture.given(self.format);
            let (due, image) = (self.due, media::Picture::Cpu(given.image()));
            let options = EncodeOptions {
                regions: (self.regions)(number),
                damage: (self.damage)(number).known(),
                ..EncodeOptions::keyframe(due == Due::Key)
            };
            let encoded = self.encoder.encode(FrameId(number as u64), &image, options).unwrap();
            let (expected, then) = match due {
                Due::Delta => (UnitKind::Delta, Due::Delta),
                Due::Key => (UnitKind::Key, Due::Delta),
                Due::Recovery(1) => (UnitKind::Recovery, Due::Delta),
                Due::Recovery(units) => (UnitKind::Delta, Due::Recovery(units - 1)),
            };
            let heals = fate == Fate::Clean && matches!(then, Due::Recovery(_));
            assert_eq!(encoded.kind, expected, "unit {number}");
            if self.encoder.capabilities().codec == Codec::H264 {
                let idr = nals(&encoded.data).any(|nal| nal.kind() == NalKind::IdrSlice);
                assert_eq!(idr, due == Due::Key, "unit {number} is what its kind says");
            }
            self.due = then;
            let fate = if heals { Fate::Healing } else { fate };
            self.units.push(Unit { data: encoded.data, kind: encoded.kind, fate });
            if let Some(earlier) = number.checked_sub(ACKNOWLEDGED_AFTER)
                && self.units[earlier].fate == Fate::Clean
            {
                self.encoder.acknowledge(FrameId(earlier as u64));
            }
        }
    }

    pub(crate) fn lose(&mut self, loss: &Loss) {
        self.code(loss.after, Fate::Clean);
        let first = self.units.len() as u64;
        self.code(loss.lost, Fate::Lost);
        self.code(loss.told, Fate::Tainted);
        self.tell(first, loss.lost);
    }

    /// The encoder is told that so many pictures from `first` on were lost, of which it did not know.
    pub(crate) fn tell(&mut self, first: u64, lost: u64) {
        let recovery = self.encoder.forget(FrameId(first)..=FrameId(first + lost - 1));
        let dirty: Vec<_> =
            self.units.iter().rev().take_while(|unit| unit.fate != Fate::Clean).collect();
        // A keyframe ends what can be referred to: without it nothing is left.
        let key = dirty.iter().any(|unit| unit.kind == UnitKind::Key);
        let means =
            if key { RecoveryMeans::Keyframe } else { self.encoder.capabilities().recovery };
        self.due = due(means, dirty.len(), recovery);
    }

    pub(crate) fn finish(mut self) -> Stream {
        while matches!(self.due, Due::Recovery(_)) {
            self.code(1, Fate::Clean);
        }
        self.code(AFTER, Fate::Clean);
        let EncoderCapabilities { codec, recovery, .. } = *self.encoder.capabilities();
        Stream { codec, format: self.format, recovery, units: self.units }
    }
}

/// What is due after an answer, which must be what the encoder said of itself. `pictures` were coded
/// since the last one that is clean.
pub(crate) fn due(means: RecoveryMeans, pictures: usize, recovery: Recovery) -> Due {
    match (means, recovery) {
        (RecoveryMeans::References { reach }, Recovery::Invalidated { .. })
            if pictures <= usize::from(reach) =>
        {
            Due::Recovery(1)
        }
        (RecoveryMeans::References { reach }, Recovery::KeyframeNeeded)
            if pictures > usize::from(reach) =>
        {
            Due::Key
        }
        (RecoveryMeans::LongTerm, Recovery::Invalidated { .. }) => Due::Recovery(1),
        // One that is under way may go on to its end first.
        (RecoveryMeans::Wave { units }, Recovery::Wave { units: takes, .. })
            if (units..2 * units).contains(&takes) =>
        {
            Due::Recovery(takes)
        }
        (RecoveryMeans::Keyframe, Recovery::KeyframeNeeded) => Due::Key,
        _ => panic!("{means:?} answers {recovery:?}, {pictures} pictures later"),
    }
}

/// What was coded, and what arrived.
pub(crate) struct Stream {
    pub(crate) codec: Codec,
    pub(crate) format: PixelFormat,
    pub(crate) recovery: RecoveryMeans,
    pub(crate) units: Vec<Unit>,
}

impl Stream {
    /// Units that pass, with the numbers of their frames.
    pub(crate) fn pick(&self, passes: impl Fn(Fate) -> bool) -> Vec<(u64, &[u8])> {
        let numbered = (0..).zip(&self.units);
        let picked = numbered.filter(|(_, unit)| passes(unit.fate));
        picked.map(|(number, unit)| (number, &unit.data[..])).collect()
    }

    pub(crate) fn is_clean(&self, number: u64) -> bool {
        self.units[number as usize].fate == Fate::Clean
    }

    pub(crate) fn is_healing(&self, number: u64) -> bool {
        self.units[number as usize].fate == Fate::Healing
    }

    /// Whether every unit that arrived can be decoded, though not to what was meant. Those of codecs
    /// with arithmetic coding cannot where probabilities are left from unit to unit, which encoders
    /// do that know nothing but keyframes; a browser's decoder ends at the first of them.
    pub(crate) fn can_be_handed_on(&self) -> bool {
        let by_keyframes = self.recovery == RecoveryMeans::Keyframe && self.codec != Codec::H264;
        !by_keyframes || self.units.iter().all(|unit| unit.fate != Fate::Tainted)
    }

    /// What a browser calls the codec (RFC 6381).
    pub(crate) fn web_name(&self) -> String {
        let ten = self.format.depth() == BitDepth::Ten;
        match self.codec {
            Codec::H264 => {
                let sps = nals(&self.units[0].data).find(|nal| nal.kind() == NalKind::Sps);
                let sps = Sps::parse(sps.unwrap().bytes()).unwrap();
                format!(
                    "avc1.{:02x}{:02x}{:02x}",
                    sps.profile_idc, sps.constraint_flags, sps.level_idc
                )
            }
            Codec::H265 if ten => "hev1.2.4.L93.B0".into(),
            Codec::H265 => "hev1.1.6.L93.B0".into(),
            Codec::Av1 => "av01.0.04M.08".into(),
            Codec::Vp8 => "vp8".into(),
            Codec::Vp9 if ten => "vp09.02.10.10".into(),
            Codec::Vp9 => "vp09.00.10.08".into(),
        }
    }
}
