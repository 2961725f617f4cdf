//! What of SCTP the stack is let have: any packets of a client, and any of the stack's own, are let in, refused, or end the
//! connection, and of associations and streams no more than there may be get in.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;

#[path = "../../transport/src/webrtc/association.rs"]
#[allow(dead_code, reason = "the window is the stack's to keep")]
mod association;

/// Associations and streams, as the module says.
const MOST_ASKED: usize = 16;
const MOST_STREAMS: usize = 64;

fuzz_target!(|input: &[u8]| {
    let mut bounds = association::Bounds::default();
    let (mut asked, mut streams, mut rest) = (0, BTreeSet::new(), input);
    // Packets, each behind whose it is and its length.
    while let Some(([whose, length], more)) = rest.split_first_chunk() {
        let (packet, later) = more.split_at(more.len().min((*length).into()));
        rest = later;
        if whose % 2 == 1 {
            if bounds.sent(packet).is_err() {
                return;
            }
            continue;
        }
        let Ok(passes) = bounds.came(packet) else { return };
        // The first chunk is where it is, however the rest is read.
        let Some(chunk) = packet.get(12..).filter(|chunk| passes && chunk.len() >= 4) else { continue };
        asked += usize::from(chunk[0] == 1);
        if chunk[0] == 0 {
            streams.insert(chunk[8..10].to_vec());
        }
        assert!(asked <= MOST_ASKED && streams.len() <= MOST_STREAMS);
    }
});
