//! What travels over WebTransport: frame headers, the messages of streams however they are cut, datagrams
//! of both sides, and the path that a client asks for. Any bytes are read or refused, and what is read says the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media::webtransport::{
    AudioDatagram, ConnectPath, FrameHeader, Messages, StreamKind, datagram, datagram_byte,
};

fuzz_target!(|input: &[u8]| {
    let Some((what, bytes)) = input.split_first() else { return };
    match what % 6 {
        0 => {
            if let Some(bytes) = bytes.first_chunk()
                && let Ok(header) = FrameHeader::decode(bytes)
            {
                assert_eq!(header.encode(), *bytes, "{header:?}");
            }
        }
        1 => read(StreamKind::Control, bytes),
        2 => read(StreamKind::Input, bytes),
        3 => {
            if let Some((channel, message)) = datagram(bytes) {
                assert_eq!(datagram_byte(channel), bytes.first().copied());
                assert_eq!(message, &bytes[1..]);
            }
        }
        4 => {
            if let Ok(sound) = AudioDatagram::decode(bytes) {
                let mut again = Vec::new();
                sound.encode(&mut again);
                assert_eq!(again, bytes, "{sound:?}");
            }
        }
        _ => {
            if let Ok(path) = std::str::from_utf8(bytes)
                && let Ok(read) = ConnectPath::parse(path)
            {
                let again = ConnectPath::parse(&ConnectPath::text(&read.session, &read.ticket));
                let again = again.expect("it was read before");
                assert_eq!((again.session, again.ticket), (read.session, read.ticket));
            }
        }
    }
});

/// The first byte says how the rest is cut; however it is, the same messages come out.
fn read(kind: StreamKind, bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let pieces = |cut: usize| {
        let (mut reader, mut read) = (Messages::new(kind), Vec::new());
        for piece in stream.chunks(cut) {
            reader.push(piece);
            loop {
                match reader.pop() {
                    Ok(Some(message)) => read.push(message),
                    Ok(None) => break,
                    Err(error) => return (read, Some(error)),
                }
            }
        }
        (read, None)
    };
    let (messages, error) = pieces(usize::from(*cut) + 1);
    assert_eq!(pieces(usize::MAX), (messages.clone(), error));
    let mut again = Vec::new();
    for message in &messages {
        assert!(Messages::write(kind, message, &mut again));
    }
    assert_eq!(again, stream[..again.len()]);
}
