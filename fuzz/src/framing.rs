//! Datagrams over TCP: what comes out does not depend on how the bytes were cut, and is what went in.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

#[path = "../../transport/src/webrtc/mux/framing.rs"]
mod framing;

/// Longest datagram that is taken, in bytes.
const MAX_DATAGRAM: usize = 60;

/// What comes out of `bytes` that come in such pieces; whether the end was refused.
fn read(bytes: &[u8], size: usize) -> (Vec<u8>, bool) {
    let (mut buffer, mut out) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(size) {
        buffer.extend_from_slice(piece);
        loop {
            match framing::datagram(&mut buffer) {
                Ok(Some(datagram)) => {
                    assert!(datagram.len() <= MAX_DATAGRAM);
                    out.extend((datagram.len() as u16).to_be_bytes());
                    out.extend(datagram);
                }
                Ok(None) => break,
                Err(_) => return (out, true),
            }
        }
    }
    (out, false)
}

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = read(bytes, bytes.len().max(1));
    assert!(bytes.starts_with(&whole.0));
    assert_eq!(read(bytes, usize::from(*size).max(1)), whole);
});
