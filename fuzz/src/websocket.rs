//! What travels over a WebSocket: messages of a client, pieces of frames, and what a client asks for. Any bytes are read
//! or refused, and what is read says the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media::webtransport::{AudioDatagram, ConnectPath, VOICE_LIMIT};
use media::websocket::{Message, Piece, first_byte, limit, message};

fuzz_target!(|input: &[u8]| {
    let Some((what, bytes)) = input.split_first() else { return };
    match what % 3 {
        0 => match message(bytes.to_vec().into()) {
            Ok(Message::Data(channel, body)) => {
                assert!(body.len() <= limit(channel));
                assert_eq!([&[first_byte(channel)][..], &body].concat(), bytes);
            }
            Ok(Message::Voice(voice)) => {
                assert!(voice.len() <= VOICE_LIMIT && voice == bytes);
                assert!(AudioDatagram::decode(&voice).is_ok());
            }
            Err(_) => {}
        },
        1 => {
            if let Some((piece, rest)) = Piece::decode(bytes) {
                let mut again = Vec::new();
                piece.encode(&mut again);
                again.extend(rest);
                assert_eq!(again, bytes);
            }
        }
        _ => {
            if let Ok(query) = std::str::from_utf8(bytes)
                && let Ok(read) = ConnectPath::with_query("a", query)
            {
                assert!(read.ticket.bytes().all(|byte| byte.is_ascii_alphanumeric()));
                let path = format!("/wt/a?{query}");
                assert!(path.len() > 1_024 || ConnectPath::parse(&path) == Ok(read));
            }
        }
    }
});
