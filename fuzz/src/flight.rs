//! What of a DTLS handshake is repeated: of any datagrams, only what was sent comes again, no more than a flight holds, and not
//! more often than there may be.

#![no_main]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;

#[path = "../../transport/src/webrtc/flight.rs"]
mod flight;

/// Datagrams and bytes of a flight, and repeats of one, as the module says.
const MOST_DATAGRAMS: usize = 8;
const MOST_BYTES: usize = 8 * 1_500;
const MOST_REPEATS: usize = 32;

fuzz_target!(|input: &[u8]| {
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let (mut flight, mut now) = (flight::Flight::default(), Instant::now());
    let (mut sent, mut repeats, mut rest) = (BTreeSet::new(), 0, input);
    // Datagrams, each behind whose it is with the milliseconds before it, and its length.
    while let Some(([whose, length], more)) = rest.split_first_chunk() {
        let (datagram, later) = more.split_at(more.len().min((*length).into()));
        rest = later;
        now += Duration::from_millis(u64::from(whose >> 1));
        if !flight::is_handshake(datagram) {
            continue;
        }
        if whose % 2 == 1 {
            flight.sent(datagram, client, now);
            sent.insert(datagram.to_vec());
            // Another flight may have begun.
            repeats = 0;
            continue;
        }
        let again: Vec<_> = flight.came(datagram, now).map(|(it, to)| (it.to_vec(), to)).collect();
        repeats += usize::from(!again.is_empty());
        assert!(repeats <= MOST_REPEATS && again.len() <= MOST_DATAGRAMS);
        assert!(again.iter().map(|(it, _)| it.len()).sum::<usize>() <= MOST_BYTES);
        assert!(again.iter().all(|(it, to)| sent.contains(it) && *to == client));
    }
});
