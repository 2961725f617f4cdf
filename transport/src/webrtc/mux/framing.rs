//! Datagrams over TCP: each behind its length, of two bytes (RFC 4571 §2).

use bytes::{Buf as _, BytesMut};

use super::MAX_DATAGRAM;

/// A frame that is longer than any datagram of a client.
pub(super) struct Oversized;

/// The next whole datagram, which is taken out of the buffer.
///
/// # Errors
/// When a length is beyond any datagram; the rest cannot be read then.
pub(super) fn datagram(buffer: &mut BytesMut) -> Result<Option<BytesMut>, Oversized> {
    let Some(head) = buffer.first_chunk::<2>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*head));
    if length > MAX_DATAGRAM {
        return Err(Oversized);
    }
    if buffer.len() < 2 + length {
        return Ok(None);
    }
    buffer.advance(2);
    Ok(Some(buffer.split_to(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of `bytes` when they come in pieces of `size`.
    fn read(bytes: &[u8], size: usize) -> Result<Vec<Vec<u8>>, Oversized> {
        let (mut buffer, mut out) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(size) {
            buffer.extend_from_slice(piece);
            while let Some(datagram) = datagram(&mut buffer)? {
                out.push(datagram.to_vec());
            }
        }
        Ok(out)
    }

    #[test]
    fn datagrams_come_out_as_they_went_in_however_they_are_cut() {
        let sent: Vec<Vec<u8>> = vec![vec![1; 300], vec![], vec![2], vec![3; MAX_DATAGRAM]];
        let mut bytes = Vec::new();
        for datagram in &sent {
            bytes.extend((datagram.len() as u16).to_be_bytes());
            bytes.extend(datagram);
        }
        for size in [1, 2, 3, 299, bytes.len()] {
            assert!(read(&bytes, size).is_ok_and(|got| got == sent), "in pieces of {size}");
        }
        assert!(read(&bytes[..bytes.len() - 1], 7).is_ok_and(|got| got == sent[..3]));
    }

    #[test]
    fn a_length_beyond_any_datagram_is_refused_before_it_is_waited_for() {
        let length = (MAX_DATAGRAM as u16 + 1).to_be_bytes();
        assert!(read(&length, 2).is_err());
    }
}
