//! What clients say as JSON: messages of the control channel, and bodies of requests. Any bytes are read or refused, what is
//! read holds no more than it may, and says the same again when it is written.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[path = "../../server/src/wire/lease.rs"]
#[allow(dead_code, reason = "what the server says is not read here")]
mod lease;
#[path = "../../server/src/wire/said.rs"]
mod said;
#[path = "../../server/src/wire/wishes.rs"]
mod wishes;

use lease::PlayerKey;
use said::{ClientMessage, LONGEST, LONGEST_REASON, MOST_REPORTS, View};

/// Bytes that what is absent may take when it is written: 64 reports without the time of receipt have the most.
const ABSENT: usize = 1_300;

/// Reads a body as the server does, and again what it says.
fn body<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else { return };
    let again = serde_json::to_vec(&read).expect("what was read can be written");
    assert!(again.len() <= bytes.len() + ABSENT, "{read:?}");
    assert_eq!(serde_json::from_slice::<T>(&again).ok(), Some(read));
}

fuzz_target!(|input: &[u8]| {
    let Some((what, bytes)) = input.split_first() else { return };
    match what % 9 {
        0 => {
            let Ok(message) = ClientMessage::read(bytes) else { return };
            assert!(bytes.len() <= LONGEST);
            match &message {
                ClientMessage::Frames { frames } => assert!(frames.len() <= MOST_REPORTS),
                ClientMessage::Transport { reason, .. } => {
                    assert!(!reason.contains(char::is_control), "{reason:?}");
                    assert!(reason.chars().count() <= LONGEST_REASON);
                }
                _ => {}
            }
            let again = serde_json::to_vec(&message).expect("what was read can be written");
            assert!(again.len() <= bytes.len() + ABSENT, "{message:?}");
            assert_eq!(ClientMessage::read(&again).ok(), Some(message));
        }
        1 => body::<wishes::NewSession>(bytes),
        2 => body::<wishes::Ticket>(bytes),
        3 => body::<wishes::NewInvitation>(bytes),
        4 => body::<wishes::Join>(bytes),
        5 => body::<lease::NewChallenge>(bytes),
        6 => body::<lease::BearerRequest>(bytes),
        7 => body::<lease::Multisig>(bytes),
        _ => body::<lease::Acknowledgement>(bytes),
    }
});
