//! Offers and trickle fragments of strangers: any text is read or refused, what the stack below is given of an offer is
//! an offer that means the same, and no line of a stranger that is not known gets into it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media::{BitDepth, Codec};

#[path = "../../transport/src/webrtc/formats.rs"]
mod formats;
#[path = "../../transport/src/webrtc/offer.rs"]
#[allow(dead_code, reason = "errors of the stack below are not made here")]
mod offer;
#[path = "../../transport/src/webrtc/trickle.rs"]
#[allow(dead_code, reason = "what a fragment says is not used here")]
mod trickle;

/// Header extensions that are taken from an offer.
const EXTENSIONS: [&str; 1] = ["urn:ietf:params:rtp-hdrext:sdes:mid"];

/// Reading an address is the stack's.
mod candidate {
    pub(super) fn is_usable(value: &str) -> bool {
        !value.is_empty()
    }
}

fuzz_target!(|text: &str| {
    let decodes = offer::decodes(text);
    for depth in [BitDepth::Eight, BitDepth::Ten] {
        let Ok(plan) = offer::read(text, &Codec::ALL, depth) else { continue };
        assert!(decodes.as_ref().is_ok_and(|decodes| match depth {
            BitDepth::Eight => decodes.eight.contains(plan.video.codec),
            BitDepth::Ten => decodes.ten.contains(plan.video.codec),
        }));
        // Sections that are turned off are not in it.
        let again = offer::read(&plan.sdp, &[plan.video.codec], depth).map(|again| {
            assert!(again.disabled.is_empty());
            offer::OfferPlan { disabled: plan.disabled.clone(), ..again }
        });
        assert_eq!(again.as_ref(), Ok(&plan));
        assert!(!plan.sdp.contains("\na=candidate") && plan.sdp.len() <= text.len() + 1_024);
        let _ = trickle::read(text, &plan.credentials);
    }
    if let Some(rest) = text.strip_prefix("a=ice-ufrag:test\n") {
        let offered = offer::IceCredentials { ufrag: "test".into(), password: "password".into() };
        if let Ok(fragment) = trickle::read(text, &offered) {
            assert!(fragment.candidates <= rest.matches("a=candidate:").count());
        }
    }
});
