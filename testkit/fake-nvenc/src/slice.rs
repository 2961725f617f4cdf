//! Headers of H.264, as far as they tell what was coded (H.264, 7.3.2 and 7.3.3).
//!
//! Only what OpenH264 writes is understood: frames, one or no reference list of P slices, no weights, no FMO.

/// Reads bits of a NAL unit, past its emulation prevention bytes.
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// Zero bytes just before `bytes`.
    zeros: u32,
    byte: u8,
    left: u32,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, zeros: 0, byte: 0, left: 0 }
    }

    pub(crate) fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            let mut next = *self.bytes.split_off_first()?;
            if self.zeros == 2 && next == 3 {
                self.zeros = 0;
                next = *self.bytes.split_off_first()?;
            }
            self.zeros = if next == 0 { self.zeros + 1 } else { 0 };
            (self.byte, self.left) = (next, 8);
        }
        self.left -= 1;
        Some(u32::from(self.byte) >> self.left & 1)
    }

    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// The bit that was read last: its byte, of so many, and its place in it.
    fn place(&self, bytes: usize) -> (usize, u8) {
        (bytes - self.bytes.len() - 1, 1 << self.left)
    }

    /// ue(v).
    pub(crate) fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }

    /// se(v).
    fn signed(&mut self) -> Option<i32> {
        let number = i64::from(self.number()?);
        let half = (number + 1) / 2;
        i32::try_from(if number % 2 == 0 { -half } else { half }).ok()
    }
}

/// NAL units of a byte stream whose start codes have four bytes, with the place of each start code.
pub(crate) fn units(stream: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    const START: [u8; 4] = [0, 0, 0, 1];
    let find = move |from: usize| {
        let found = stream.get(from..)?.windows(START.len()).position(|bytes| bytes == START);
        found.map(|at| from + at)
    };
    let mut next = find(0);
    std::iter::from_fn(move || {
        let at = next?;
        next = find(at + START.len());
        Some((at, &stream[at + START.len()..next.unwrap_or(stream.len())]))
    })
}

/// What slice headers depend on.
#[derive(Default)]
pub(crate) struct ParameterSets {
    pub(crate) frame_num_bits: u32,
    /// None where the order is that of decoding.
    order_bits: Option<u32>,
    cabac: bool,
    first_qp: i32,
    /// Where `gaps_in_frame_num_value_allowed_flag` lies in its NAL unit: the byte, and the bit in it.
    pub(crate) gaps: Option<(usize, u8)>,
}

impl ParameterSets {
    /// Takes a parameter set in. Whether it was one.
    pub(crate) fn take(&mut self, nal: &[u8]) -> bool {
        let Some((header, payload)) = nal.split_first() else { return false };
        match header & 0x1f {
            7 => self.sequence(payload).is_some(),
            8 => self.picture(payload).is_some(),
            _ => false,
        }
    }

    fn sequence(&mut self, payload: &[u8]) -> Option<()> {
        let mut bits = Bits::new(payload);
        let profile = bits.bits(8)?;
        // Constraint flags and level.
        bits.bits(16)?;
        bits.number()?;
        if profile >= 100 {
            let (chroma, luma_depth, chroma_depth) =
                (bits.number()?, bits.number()?, bits.number()?);
            // No transform bypass, no scaling lists.
            if (chroma, luma_depth, chroma_depth, bits.bits(2)?) != (1, 0, 0, 0) {
                return None;
            }
        }
        self.frame_num_bits = bits.number()? + 4;
        self.order_bits = match bits.number()? {
            0 => Some(bits.number()? + 4),
            2 => None,
            _ => return None,
        };
        // max_num_ref_frames.
        bits.number()?;
        bits.bit()?;
        let (byte, bit) = bits.place(payload.len());
        // Behind the header.
        self.gaps = Some((byte + 1, bit));
        Some(())
    }

    fn picture(&mut self, payload: &[u8]) -> Option<()> {
        let mut bits = Bits::new(payload);
        bits.number()?;
        bits.number()?;
        self.cabac = bits.bit()? == 1;
        bits.bit()?;
        // One slice group.
        (bits.number()? == 0).then_some(())?;
        bits.number()?;
        bits.number()?;
        // No weights.
        (bits.bits(3)? == 0).then_some(())?;
        self.first_qp = 26 + bits.signed()?;
        Some(())
    }
}

/// What a slice tells of its picture.
pub(crate) struct SliceHeader {
    /// SliceQPY.
    pub(crate) qp: u32,
    /// `idr_pic_id` of a keyframe.
    pub(crate) idr: Option<u32>,
    /// `frame_num` of the picture that becomes a long-term reference.
    pub(crate) marked: Option<u32>,
}

impl SliceHeader {
    /// Parses the header of a slice; none for other NAL units.
    pub(crate) fn parse(nal: &[u8], sets: &ParameterSets) -> Option<Self> {
        let (&header, payload) = nal.split_first()?;
        let idr = match header & 0x1f {
            1 => false,
            5 => true,
            _ => return None,
        };
        let mut bits = Bits::new(payload);
        bits.number()?;
        let p = match bits.number()? % 5 {
            0 => true,
            2 => false,
            _ => return None,
        };
        bits.number()?;
        let number = bits.bits(sets.frame_num_bits)?;
        let idr = if idr { Some(bits.number()?) } else { None };
        bits.bits(sets.order_bits.unwrap_or(0))?;
        if p {
            // num_ref_idx_active_override_flag.
            if bits.bit()? == 1 {
                bits.number()?;
            }
            // ref_pic_list_modification.
            if bits.bit()? == 1 {
                while bits.number()? != 3 {
                    bits.number()?;
                }
            }
        }
        let back = if header >> 5 != 0 { Self::marking(&mut bits, idr.is_some())? } else { None };
        let marked = back.map(|back| number.wrapping_sub(back) & ((1 << sets.frame_num_bits) - 1));
        if sets.cabac && p {
            bits.number()?;
        }
        let qp = sets.first_qp + bits.signed()?;
        Some(Self { qp: u32::try_from(qp).ok()?, idr, marked })
    }

    /// dec_ref_pic_marking: how many pictures back the one lies that becomes a long-term reference.
    fn marking(bits: &mut Bits<'_>, idr: bool) -> Option<Option<u32>> {
        if idr {
            bits.bits(2)?;
            return Some(None);
        }
        let mut marked = None;
        if bits.bit()? == 0 {
            return Some(marked);
        }
        loop {
            match bits.number()? {
                0 => return Some(marked),
                5 => {}
                1 | 2 | 4 => {
                    bits.number()?;
                }
                3 => {
                    marked = Some(bits.number()? + 1);
                    bits.number()?;
                }
                6 => {
                    marked = Some(0);
                    bits.number()?;
                }
                _ => return None,
            }
        }
    }
}
