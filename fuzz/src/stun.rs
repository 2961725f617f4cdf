//! STUN of strangers: any bytes are a message or none, and what is read of one lies in it.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../transport/src/webrtc/mux/stun.rs"]
#[allow(dead_code, reason = "what writes messages is not fuzzed")]
mod stun;

use stun::Message;

fuzz_target!(|datagram: &[u8]| {
    let read = stun::read(datagram);
    assert!(read.is_none() || stun::is_stun(datagram));
    if let Some(Message::Request(request)) = read {
        let name = [request.asked, b":", request.asking].concat();
        assert!(datagram.windows(name.len()).any(|window| window == name));
        assert_eq!(datagram[8..20], request.transaction);
    }
});
