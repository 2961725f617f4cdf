//! Input messages from a client: any bytes are an event or an error, and an event says the same bytes
//! again when it is written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media::SequencedInput;

fuzz_target!(|message: &[u8]| {
    if let Ok(input) = SequencedInput::decode(message) {
        let mut again = Vec::new();
        input.encode(&mut again);
        assert_eq!(again, message, "{input:?}");
    }
});
