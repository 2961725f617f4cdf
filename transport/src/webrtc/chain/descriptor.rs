//! The dependency descriptor in the header of every packet: which frame it belongs to, and which frames
//! that one needs (AV1 RTP specification 1.0, appendix A; libwebrtc takes it for every codec).
//!
//! Without it a receiver has to suppose that each frame needs the one before, so that after a frame which
//! never came it decodes nothing but a keyframe. With it the frame that the encoder coded from one before
//! the loss is decoded as soon as it comes.
//!
//! Keyframes bring the templates that all packets up to the next keyframe refer to. They are always the
//! same two, so that a packet before a keyframe and one after it are read alike. There are no chains:
//! those tell of losses, which sequence numbers do better.

use bytes::Bytes;

/// Template of a frame that needs none.
const ALONE: u64 = 0;
/// Template of a frame that needs the one before.
const ONE_BEFORE: u64 = 1;
/// Farthest frame that a descriptor can name, counted back (`fdiff_minus_one` has 12 bits at the most).
pub(in crate::webrtc) const FARTHEST: u64 = 1 << 12;
/// Most bytes of a descriptor, that with the templates.
pub(super) const LONGEST: usize = 8;

/// What a frame needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::webrtc) enum Needs {
    /// Nothing: it is a keyframe.
    Nothing,
    /// The frame so many before it, 1 to [`FARTHEST`].
    Before(u16),
    /// One from longer ago, which the receiver has or will never have.
    Old,
}

impl Needs {
    /// The frame so many before it.
    pub(in crate::webrtc) fn before(frames: u64) -> Self {
        match u16::try_from(frames) {
            Ok(frames @ 1..) if u64::from(frames) <= FARTHEST => Self::Before(frames),
            _ => Self::Old,
        }
    }
}

/// The descriptor of one packet of a frame: the `first` one, the `last` one, both or none.
pub(super) fn descriptor(number: u16, needs: Needs, first: bool, last: bool) -> Bytes {
    let template = if needs == Needs::Nothing { ALONE } else { ONE_BEFORE };
    let mut bits = Bits::default();
    // mandatory_descriptor_fields
    bits.put(first.into(), 1);
    bits.put(last.into(), 1);
    bits.put(template, 6);
    bits.put(number.into(), 16);
    let templates = needs == Needs::Nothing && first;
    let differs = !matches!(needs, Needs::Nothing | Needs::Before(1));
    if templates || differs {
        // extended_descriptor_fields: no decode targets, indications or chains of its own.
        bits.put(templates.into(), 1);
        bits.put(0, 2);
        bits.put(differs.into(), 1);
        bits.put(0, 1);
    }
    if templates {
        bits.templates();
    }
    if differs {
        // frame_fdiffs: none or one.
        if let Needs::Before(frames) = needs {
            let minus_one = u64::from(frames).saturating_sub(1);
            let nibbles = (u64::BITS - minus_one.leading_zeros()).div_ceil(4).max(1);
            bits.put(nibbles.into(), 2);
            bits.put(minus_one, 4 * nibbles);
        }
        bits.put(0, 2);
    }
    bits.bytes()
}

/// At most 64 of them, the first one highest.
#[derive(Default)]
struct Bits {
    value: u64,
    len: u32,
}

impl Bits {
    fn put(&mut self, value: u64, len: u32) {
        self.value = self.value << len | value;
        self.len += len;
    }

    /// `template_dependency_structure`.
    fn templates(&mut self) {
        // template_id_offset; dt_cnt_minus_one: a single decode target.
        self.put(0, 6);
        self.put(0, 5);
        // template_layers: the second one is of the same layer, and there is no third.
        self.put(0, 2);
        self.put(3, 2);
        // template_dtis: both are what a receiver may switch to the target at.
        self.put(2, 2);
        self.put(2, 2);
        // template_fdiffs: of the first none, of the second one, by 1.
        self.put(0, 1);
        self.put(1, 1);
        self.put(0, 4);
        self.put(0, 1);
        // template_chains: chain_cnt; resolutions_present_flag.
        self.put(0, 1);
        self.put(0, 1);
    }

    fn bytes(self) -> Bytes {
        let len = self.len.div_ceil(8);
        let bytes = (self.value << (8 * len - self.len)).to_be_bytes();
        let from = bytes.len().saturating_sub(len as usize);
        Bytes::copy_from_slice(&bytes[from..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(needs: Needs, first: bool, last: bool) -> Vec<u8> {
        descriptor(0x1234, needs, first, last).to_vec()
    }

    #[test]
    fn most_packets_have_three_bytes() {
        let before = Needs::before(1);
        assert_eq!(of(before, true, false), [0b1000_0001, 0x12, 0x34]);
        assert_eq!(of(before, false, false), [0b0000_0001, 0x12, 0x34]);
        assert_eq!(of(before, false, true), [0b0100_0001, 0x12, 0x34]);
        assert_eq!(of(Needs::Nothing, false, true), [0b0100_0000, 0x12, 0x34]);
    }

    #[test]
    fn the_first_packet_of_a_keyframe_brings_the_templates() {
        let expected = [0b1100_0000, 0x12, 0x34, 0b1000_0000, 0, 0b0011_1010, 0b0100_0000, 0];
        assert_eq!(of(Needs::Nothing, true, true), expected);
        assert_eq!(expected.len(), LONGEST);
    }

    #[test]
    fn a_frame_from_before_a_loss_names_what_it_needs() {
        // Flags, size, difference less one, size 0, padding.
        assert_eq!(of(Needs::before(2), true, false)[3..], [0b0001_0010, 0b0010_0000]);
        assert_eq!(of(Needs::before(17), true, false)[3..], [0b0001_0100, 0b0010_0000, 0]);
        assert_eq!(of(Needs::before(4_096), false, false)[3..], [0b0001_0111, 0xff, 0b1110_0000]);
        assert_eq!(of(Needs::before(16), true, false)[3..], [0b0001_0011, 0b1110_0000]);
        assert_eq!(of(Needs::before(16), true, false)[..3], [0b1000_0001, 0x12, 0x34]);
        for far in [0, FARTHEST + 1, u64::MAX] {
            assert_eq!(Needs::before(far), Needs::Old);
        }
        assert_eq!(of(Needs::Old, false, true), [0b0100_0001, 0x12, 0x34, 0b0001_0000]);
        for frames in 2..=FARTHEST {
            assert!(of(Needs::before(frames), true, true).len() <= LONGEST);
        }
    }
}
