//! AV1: the stack's payloader, given only units whose OBUs are whole.

use bytes::Bytes;
use rtc::rtp::codec::av1::Av1Payloader;
use rtc::rtp::packetizer::Payloader;
use rtc::shared::error::{Error, Result};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct CheckedAv1(Av1Payloader);

impl Payloader for CheckedAv1 {
    fn payload(&mut self, most: usize, unit: &Bytes) -> Result<Vec<Bytes>> {
        check(unit).ok_or_else(|| Error::Other("an OBU is cut short".to_owned()))?;
        self.0.payload(most, unit)
    }

    fn clone_to(&self) -> Box<dyn Payloader> {
        Box::new(self.clone())
    }
}

/// Walks the OBUs of a unit (AV1 specification, 5.3): none where one reaches beyond it.
fn check(mut unit: &[u8]) -> Option<()> {
    while let Some((&header, rest)) = unit.split_first() {
        let (has_extension, has_size) = (header & 0b100 != 0, header & 0b10 != 0);
        let rest = if has_extension { rest.split_first()?.1 } else { rest };
        if !has_size {
            return Some(());
        }
        let (size, rest) = leb128(rest)?;
        unit = rest.get(size..)?;
    }
    Some(())
}

/// A number of at most 32 bits (AV1 specification, 4.10.5), and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (n, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, &bytes[n + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::rtp::codec::av1::Av1Depacketizer;
    use rtc::rtp::packetizer::Depacketizer as _;

    fn obu(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind << 3 | 0b10];
        let mut size = body.len();
        while size >= 0x80 {
            out.push(size as u8 | 0x80);
            size >>= 7;
        }
        out.push(size as u8);
        out.extend_from_slice(body);
        out
    }

    /// A delimiter, a sequence header where it is a key, and a picture.
    fn unit(key: bool, len: usize) -> Vec<u8> {
        let picture: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let sequence = if key { obu(1, &[0; 11]) } else { Vec::new() };
        [obu(2, &[]), sequence, obu(6, &picture)].concat()
    }

    #[test]
    fn units_come_back_without_their_delimiter() {
        for len in [1, 20, 979, 985, 990, 1_000, 5_000] {
            for key in [true, false] {
                let unit = unit(key, len);
                let payloads = CheckedAv1::default().payload(1_000, &unit.clone().into()).unwrap();
                let mut depacketizer = Av1Depacketizer::default();
                let mut back = Vec::new();
                for (n, payload) in payloads.iter().enumerate() {
                    assert!(payload.len() <= 1_000);
                    // N: the first packet of a coded video sequence (AV1 RTP payload §4.4).
                    assert_eq!(payload[0] & 0x08 != 0, key && n == 0);
                    back.extend_from_slice(&depacketizer.depacketize(payload).unwrap());
                }
                let delimiter = back.strip_prefix(&obu(2, &[])[..]).unwrap_or(&back);
                assert_eq!(delimiter, &unit[2..], "{key} {len}");
            }
        }
    }

    #[test]
    fn a_unit_that_is_cut_anywhere_is_refused_or_ends_with_an_obu() {
        let unit = unit(true, 300);
        let whole = [0, 2, 15, unit.len()];
        for length in 0..=unit.len() {
            let cut = Bytes::copy_from_slice(&unit[..length]);
            let taken = CheckedAv1::default().payload(1_000, &cut).is_ok();
            assert_eq!(taken, whole.contains(&length), "{length}");
        }
        // A size beyond 32 bits.
        assert_eq!(check(&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), None);
    }
}
