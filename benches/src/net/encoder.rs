//! An encoder that is none: units of the size that its rate asks for, and what refers to what.
//!
//! It does as the encoders here do that keep long-term references: a loss that it is told of is answered
//! by a unit from the newest frame that the client acknowledged, and by a keyframe only where there is
//! none. Each unit says in its first bytes which frame it is, what it refers to and when it was captured.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use media::{
    AccessUnit, Bitrate, Codec, ColorDescription, Damage, FrameId, MediaTime, Part, StageTimes,
    TrackId, UnitKind, Views,
};
use testkit::Rng;

/// A frame at most this much larger or smaller than the mean: what a tight rate control leaves.
const SPREAD: f64 = 0.2;
/// A keyframe's size in frames, paid back over the next ones.
const KEY: f64 = 4.0;
/// Part of what was overdrawn that each frame pays back.
const PAYBACK: f64 = 0.1;
const LEAST: f64 = 200.0;

/// What a unit says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) frame: u64,
    /// The frame that it needs; `None` for a keyframe.
    pub(crate) refers_to: Option<u64>,
    pub(crate) captured: MediaTime,
}

/// Bytes that a label takes: three numbers, four bits a byte, so that no start code comes to be.
const LABEL: usize = 3 * 16;

const START: [u8; 4] = [0, 0, 0, 1];
/// A slice begins within so many bytes: two sets of parameters come before it at most.
const HEAD: usize = 32;

impl Label {
    fn write(&self, out: &mut Vec<u8>) {
        let numbers = [self.frame, self.refers_to.unwrap_or(u64::MAX), self.captured.as_nanos()];
        for number in numbers {
            out.extend((0..16).map(|digit| (number >> (60 - 4 * digit) & 15) as u8 | 0x10));
        }
    }

    /// Reads the label of a whole unit.
    pub(crate) fn of_unit(unit: &[u8]) -> Option<Self> {
        let slice = unit.windows(4).take(HEAD).rposition(|bytes| *bytes == START)?;
        Self::read(unit.get(slice + 5..)?)
    }

    /// Reads a label from the body of a slice.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (numbers, _) = body.get(..LABEL)?.as_chunks::<16>();
        let number = |digits: &[u8; 16]| {
            digits.iter().fold(0_u64, |sum, digit| sum << 4 | u64::from(digit & 15))
        };
        let [frame, refers_to, captured] = numbers else { return None };
        Some(Self {
            frame: number(frame),
            refers_to: Some(number(refers_to)).filter(|frame| *frame != u64::MAX),
            captured: MediaTime::from_nanos(number(captured)),
        })
    }
}

/// What was encoded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) units: u64,
    pub(crate) keyframes: u64,
    /// Keyframes that a change of size took; they are among the keyframes.
    pub(crate) resizes: u64,
    pub(crate) recoveries: u64,
    pub(crate) bytes: u64,
}

/// See the module.
pub(crate) struct Encoder {
    interval: Duration,
    rate: Bitrate,
    rng: Rng,
    /// Bytes beyond what the rate gave.
    overdrawn: f64,
    next: u64,
    wants_key: bool,
    /// A loss that no unit has answered yet.
    is_lost: bool,
    /// The last unit that did not refer to the one before it.
    restarted: u64,
    acknowledged: Option<u64>,
    counts: Encoded,
}

impl Encoder {
    pub(crate) fn new(interval: Duration, rate: Bitrate, seed: u64) -> Self {
        Self {
            interval,
            rate,
            rng: Rng::new(seed),
            overdrawn: 0.0,
            next: 0,
            wants_key: true,
            is_lost: false,
            restarted: 0,
            acknowledged: None,
            counts: Encoded::default(),
        }
    }

    pub(crate) fn counts(&self) -> Encoded {
        self.counts
    }

    pub(crate) fn set_rate(&mut self, rate: Bitrate) {
        self.rate = rate;
    }

    /// From now on so much time lies between two frames; each gets more of the rate.
    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Codes another size, from a keyframe on.
    pub(crate) fn resize(&mut self) {
        self.counts.resizes += u64::from(!self.wants_key);
        self.wants_key = true;
    }

    pub(crate) fn keyframe(&mut self) {
        self.wants_key = true;
    }

    /// These frames will not arrive: what refers to them, directly or not, is of no use.
    pub(crate) fn forget(&mut self, lost: &RangeInclusive<FrameId>) {
        // A loss from before the last restart was answered by it.
        self.is_lost |= lost.end().0 >= self.restarted;
    }

    /// The client decoded this frame.
    pub(crate) fn acknowledge(&mut self, frame: u64) {
        if frame < self.next {
            self.acknowledged = self.acknowledged.max(Some(frame));
        }
    }

    pub(crate) fn encode(&mut self, now: MediaTime) -> AccessUnit {
        let frame = self.next;
        self.next += 1;
        let (kind, refers_to) = match (self.wants_key, self.is_lost, self.acknowledged) {
            (true, ..) | (_, true, None) => (UnitKind::Key, None),
            (_, true, Some(known)) => (UnitKind::Recovery, Some(known)),
            _ => (UnitKind::Delta, Some(frame - 1)),
        };
        if kind != UnitKind::Delta {
            self.restarted = frame;
            (self.wants_key, self.is_lost) = (false, false);
        }
        self.counts.units += 1;
        self.counts.keyframes += u64::from(kind == UnitKind::Key);
        self.counts.recoveries += u64::from(kind == UnitKind::Recovery);
        let data = self.data(kind == UnitKind::Key, Label { frame, refers_to, captured: now });
        self.counts.bytes += data.len() as u64;
        AccessUnit {
            track: TrackId(0),
            frame: FrameId(frame),
            captured_at: now,
            kind,
            refers_to: refers_to.map(FrameId),
            codec: Codec::H264,
            data,
            part: Part::WHOLE,
            views: Views::default(),
            damage: Damage::Unknown,
            depth: None,
            color: ColorDescription::BT709_LIMITED,
            last_input: None,
            stages: StageTimes::captured(now),
        }
    }

    /// Annex B: parameter sets with a keyframe, then one slice.
    fn data(&mut self, is_key: bool, label: Label) -> Bytes {
        let mean = self.rate.bytes_in(self.interval) as f64;
        let size =
            if is_key { mean * KEY } else { mean * (1.0 + SPREAD * (2.0 * self.rng.unit() - 1.0)) };
        let size = (size - self.overdrawn * PAYBACK).max(mean / 2.0).max(LEAST);
        self.overdrawn = (self.overdrawn + size - mean).max(0.0);
        let size = size as usize;
        let mut out = Vec::with_capacity(size + 64);
        if is_key {
            out.extend(START.into_iter().chain([0x67, 0x42, 0xe0, 0x1f]));
            out.extend(START.into_iter().chain([0x68, 0xce, 0x3c, 0x80]));
        }
        out.extend(START);
        out.push(if is_key { 0x65 } else { 0x41 });
        label.write(&mut out);
        let mut word = self.rng.next_u64();
        while out.len() < size {
            // Never zero, so that no start code comes to be.
            out.extend(word.to_ne_bytes().map(|byte| byte | 4));
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        Bytes::from(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_micros(16_667);

    fn encoder() -> Encoder {
        Encoder::new(INTERVAL, Bitrate::from_mbps(10), 1)
    }

    fn label(unit: &AccessUnit) -> Label {
        Label::of_unit(&unit.data).unwrap()
    }

    #[test]
    fn units_say_what_they_are_and_keep_the_rate() {
        let mut encoder = encoder();
        let mut bytes = 0;
        for n in 0..600 {
            let unit = encoder.encode(MediaTime::from_millis(n));
            bytes += unit.data.len() as u64;
            let refers_to = n.checked_sub(1);
            let captured = MediaTime::from_millis(n);
            assert_eq!(label(&unit), Label { frame: n, refers_to, captured });
        }
        let rate = Bitrate::of(bytes, INTERVAL * 600).bps() as f64 / 10e6;
        assert!((0.97..1.03).contains(&rate), "{rate}");
        assert_eq!(Label::read(&[0x11; LABEL - 1]), None);
    }

    #[test]
    fn a_loss_costs_a_keyframe_only_without_an_acknowledged_frame() {
        let mut encoder = encoder();
        let kind = |encoder: &mut Encoder| encoder.encode(MediaTime::ZERO).kind;
        let lost = |first, last| FrameId(first)..=FrameId(last);
        assert_eq!(kind(&mut encoder), UnitKind::Key);
        assert_eq!(kind(&mut encoder), UnitKind::Delta);
        encoder.forget(&lost(1, 1));
        assert_eq!(kind(&mut encoder), UnitKind::Key);
        encoder.forget(&lost(0, 1));
        assert_eq!(kind(&mut encoder), UnitKind::Delta, "answered before");
        encoder.acknowledge(2);
        encoder.acknowledge(900);
        encoder.forget(&lost(3, 3));
        let unit = encoder.encode(MediaTime::ZERO);
        assert_eq!((unit.kind, label(&unit).refers_to), (UnitKind::Recovery, Some(2)));
        encoder.keyframe();
        encoder.resize();
        assert_eq!(kind(&mut encoder), UnitKind::Key);
        encoder.resize();
        assert_eq!(kind(&mut encoder), UnitKind::Key);
        let counts = encoder.counts();
        assert_eq!((counts.units, counts.keyframes, counts.resizes), (7, 4, 1));
        assert_eq!(counts.recoveries, 1);
    }
}
