//! Acknowledgements from a client: any bytes are a message or an error, and a message says the same bytes
//! again when it is written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media::Acks;

fuzz_target!(|message: &[u8]| {
    if let Ok(acks) = Acks::decode(message) {
        assert!(!acks.frames.is_empty() && acks.frames.iter().all(|ack| ack.first_us <= ack.last_us));
        let mut again = Vec::new();
        acks.encode(&mut again);
        assert_eq!(again, message, "{acks:?}");
    }
});
