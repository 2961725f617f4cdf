//! What is read of a client's reports before they are known to be its own: any bytes are noted or passed over, and a gap is
//! told once, of a sender that has sent reports.

#![no_main]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;

#[path = "../../transport/src/webrtc/unheard.rs"]
mod unheard;

fuzz_target!(|input: &[u8]| {
    let (unheard, start) = (unheard::Unheard::default(), Instant::now());
    let (mut senders, mut now, mut rest) = (BTreeSet::new(), start, input);
    // Datagrams, each behind its length.
    while let Some((&length, more)) = rest.split_first() {
        let (datagram, later) = more.split_at(more.len().min(length.into()));
        rest = later;
        now += Duration::from_millis(1);
        unheard.came(datagram, now);
        let Some(&[first, kind, _, _, s0, s1, s2, s3]) = datagram.first_chunk() else { continue };
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        if first >> 6 == 2 && (192..=223).contains(&kind) {
            senders.insert(ssrc);
        }
        assert!(!unheard.before(ssrc, start), "nothing had come by then");
        if unheard.before(ssrc, now) {
            assert!(senders.contains(&ssrc), "it has sent no report");
            assert!(!unheard.before(ssrc, now), "it is told once");
        }
    }
});
