//! What others signed, or say that a machine did: any text is a challenge or a ticket in its one form or is refused, any bytes
//! are a receipt's record or are refused, and what is taken says the same again when it is written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use session::access::{Challenge, Ticket};
use session::receipts::Record;

fuzz_target!(|input: &[u8]| {
    if let Ok(record) = Record::decode(input) {
        assert_eq!(record.encode(), input, "{record:?}");
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(challenge) = Challenge::parse(text) {
        assert_eq!(challenge.text(), text);
    }
    if let Ok(ticket) = Ticket::parse(text) {
        assert_eq!(ticket.text(), text);
    }
});
