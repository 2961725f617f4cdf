//! Repair packets of FlexFEC as browsers take them (draft-ietf-payload-flexible-fec-scheme-03 §4.2): the exclusive or
//! of any packets of one stream that lie within [`MOST`] numbers, whether others lie between them or not.

use rtc::rtp;
use rtc::shared::marshal::Marshal as _;

/// Numbers that the masks of a repair packet span; more take a larger header.
pub(super) const MOST: usize = 15 + 31;
/// What a repair packet says of the packets that it protects, with both masks.
pub(super) const DESCRIPTION: usize = 24;
/// Bytes of an RTP header without extensions, of which numbers are not recovered.
const FIXED: usize = 12;

/// Numbers that are left out to have clients forget what came before. They do where one is 0x3fff or more from it: the fourth to the
/// ninth time. Of all in between SRTP may lose no half of the range, or the client never opens another one (RFC 3711 §3.3.1):
/// five in a row may be lost.
const LEAP: u16 = 0x1400;

/// A stream of repair packets.
pub(super) struct Repairs {
    ssrc: u32,
    payload_type: u8,
    next: u16,
    is_used: bool,
}

impl Repairs {
    pub(super) const fn new(ssrc: u32, payload_type: u8) -> Self {
        Self { ssrc, payload_type, next: 0, is_used: false }
    }

    /// One of a packet alone, numbered so that the client forgets those long before it; none where there were none.
    pub(super) fn anew(&mut self, packet: &rtp::Packet) -> Option<rtp::Packet> {
        if !self.is_used {
            return None;
        }
        self.next = self.next.wrapping_add(LEAP);
        self.of(&[packet])
    }

    /// One that recovers any one of `packets`, in the order of their numbers, where all others came; none of none, and
    /// of packets that are too far apart.
    pub(super) fn of(&mut self, packets: &[&rtp::Packet]) -> Option<rtp::Packet> {
        let first = packets.first()?;
        let base = first.header.sequence_number;
        let mut fields = [0; 8];
        let mut repair = Vec::new();
        let (mut near, mut far) = (0_u16, 0_u32);
        for packet in packets {
            match usize::from(packet.header.sequence_number.wrapping_sub(base)) {
                place @ 0..15 => near |= 1 << (14 - place),
                place @ 15..MOST => far |= 1 << (MOST - 1 - place),
                _ => return None,
            }
            let bytes = packet.marshal().ok()?;
            let (header, rest) = bytes.split_at_checked(FIXED)?;
            let length = u16::try_from(rest.len()).ok()?.to_be_bytes();
            let [l0, l1] = length;
            let of_header =
                [header[0], header[1], l0, l1, header[4], header[5], header[6], header[7]];
            xor(&mut fields, &of_header);
            if repair.len() < rest.len() {
                repair.resize(rest.len(), 0);
            }
            xor(&mut repair, rest);
        }
        // The version is not recovered.
        fields[0] &= 0b0011_1111;
        let mut payload = Vec::with_capacity(DESCRIPTION + repair.len());
        payload.extend(fields);
        // One stream.
        payload.extend([1, 0, 0, 0]);
        payload.extend(first.header.ssrc.to_be_bytes());
        payload.extend(base.to_be_bytes());
        // The highest bit says that no mask follows.
        if far == 0 {
            payload.extend((near | 1 << 15).to_be_bytes());
        } else {
            payload.extend(near.to_be_bytes());
            payload.extend((far | 1 << 31).to_be_bytes());
        }
        payload.extend(repair);
        let header = rtp::Header {
            version: 2,
            ssrc: self.ssrc,
            payload_type: self.payload_type,
            sequence_number: self.next,
            timestamp: first.header.timestamp,
            ..Default::default()
        };
        self.next = self.next.wrapping_add(1);
        self.is_used = true;
        Some(rtp::Packet { header, payload: payload.into() })
    }
}

fn xor(sum: &mut [u8], bytes: &[u8]) {
    sum.iter_mut().zip(bytes).for_each(|(sum, byte)| *sum ^= byte);
}

#[cfg(test)]
mod tests {
    use rtc::interceptor::FlexFec03Decoder;
    use rtc::shared::marshal::{MarshalSize as _, Unmarshal as _};

    use super::*;

    fn packets(first: u16, count: u16) -> Vec<rtp::Packet> {
        let packet = |n: u16| {
            let mut header = rtp::Header {
                version: 2,
                ssrc: 7,
                payload_type: 96,
                sequence_number: first.wrapping_add(n),
                timestamp: 90_000 + u32::from(n / 3),
                marker: n % 3 == 2,
                ..Default::default()
            };
            header.set_extension(4, n.to_be_bytes().to_vec().into()).unwrap();
            rtp::Packet { header, payload: vec![n as u8; 100 + usize::from(n) * 7].into() }
        };
        (0..count).map(packet).collect()
    }

    #[test]
    fn any_one_of_those_that_it_protects_comes_back_as_it_was() {
        let all = packets(65_520, MOST as u16);
        for step in [1, 3, 15, 44] {
            let protected: Vec<_> = all.iter().step_by(step).collect();
            let repair = Repairs::new(9, 118).of(&protected).unwrap();
            assert!(
                repair.payload.len()
                    <= DESCRIPTION + protected.last().unwrap().marshal_size() - FIXED
            );
            for lost in &protected {
                let mut decoder = FlexFec03Decoder::new(9, 7);
                // What lies between is missing as well.
                for packet in protected.iter().filter(|packet| **packet != *lost) {
                    assert!(decoder.decode((*packet).clone()).is_empty());
                }
                let sent = repair.marshal().unwrap();
                let repair = rtp::Packet::unmarshal(&mut &sent[..]).unwrap();
                let recovered = decoder.decode(repair);
                assert_eq!(recovered.len(), 1);
                assert_eq!(recovered[0].marshal().unwrap(), lost.marshal().unwrap());
            }
        }
    }

    #[test]
    fn it_spans_what_its_masks_do_and_is_numbered() {
        let all = packets(10, MOST as u16 + 1);
        let mut repairs = Repairs::new(9, 118);
        assert_eq!(repairs.of(&[]), None);
        assert_eq!(repairs.of(&[&all[0], &all[MOST]]), None);
        let numbers: Vec<_> = (0..2)
            .map(|n| repairs.of(&[&all[n], &all[MOST - 1]]).unwrap().header.sequence_number)
            .collect();
        assert_eq!(numbers, [0, 1]);
    }
}
