//! Which datagrams of a client the stack below is shown: any bytes are taken or left out, media that is no voice never
//! gets through, and of senders no more than there are, which stay known.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;

#[path = "../../transport/src/webrtc/mux/wanted.rs"]
mod wanted;

/// Senders of feedback and streams of voice that are taken at most, as the module says.
const MOST: usize = 64;
const MOST_VOICES: usize = 4;

/// Payload type of the voice.
const VOICE: u8 = 111;

fuzz_target!(|input: &[u8]| {
    let Some((&speaks, mut rest)) = input.split_first() else { return };
    let speaks = speaks % 2 == 1;
    let mut wanted = wanted::Wanted::default();
    if speaks {
        wanted.take_voice(VOICE);
    }
    let (mut senders, mut voices) = (BTreeSet::new(), BTreeSet::new());
    // Datagrams, each behind its length.
    while let Some((&length, more)) = rest.split_first() {
        let (datagram, later) = more.split_at(more.len().min(length.into()));
        rest = later;
        let takes = wanted.takes(datagram);
        assert_eq!(wanted.takes(datagram), takes, "it is as it was");
        if !datagram.first().is_some_and(|first| (128..192).contains(first)) {
            assert!(takes, "no RTP and no RTCP");
        } else if takes && (192..=223).contains(&datagram[1]) {
            senders.insert(datagram[4..8].to_vec());
        } else if takes {
            assert!(speaks && datagram[1] & 0x7f == VOICE);
            voices.insert(datagram[8..12].to_vec());
        }
        assert!(senders.len() <= MOST && voices.len() <= MOST_VOICES);
    }
});
