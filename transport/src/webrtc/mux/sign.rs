//! Signs, checks and writes binding messages (RFC 8489 §14.5, RFC 8445 §7).
//!
//! Pure; what it is given was read by `stun` before.

use std::net::{IpAddr, SocketAddr};

use rtc::crypto::{HmacAlgorithm, RTCCrypto};
use rtc::stun::fingerprint::fingerprint_value;

use super::stun::{
    Attribute, BINDING_REQUEST, BINDING_SUCCESS, COOKIE, HEADER, MESSAGE_INTEGRITY, Transaction,
    USE_CANDIDATE, USERNAME, attributes,
};

const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

/// HMAC-SHA1.
const TAG: usize = 20;

/// Whether the message is signed with `password`.
pub(super) fn is_signed(datagram: &[u8], password: &str, crypto: &dyn RTCCrypto) -> bool {
    let mark = attributes(datagram).find(|attribute| attribute.kind == MESSAGE_INTEGRITY);
    let Some(Attribute { value, at, .. }) = mark else { return false };
    // The signature counts as the last attribute, whatever follows it.
    let Ok(length) = u16::try_from(at + 4 + TAG - HEADER) else { return false };
    let parts = [&datagram[..2], &length.to_be_bytes(), &datagram[4..at]];
    let mac = crypto.new_hmac(HmacAlgorithm::Sha1, password.as_bytes());
    value.len() == TAG && mac.is_ok_and(|mut mac| mac.verify(&parts, value).is_ok())
}

/// What a check that we write says.
pub(super) struct Check<'a> {
    pub(super) asked: &'a str,
    pub(super) asking: &'a str,
    /// Of who is asked.
    pub(super) password: &'a str,
    /// Of who asks; the other role is the controlled one.
    pub(super) controlling: bool,
    pub(super) nominates: bool,
}

/// Writes a connectivity check; `None` when the cryptographic provider fails.
pub(super) fn request(
    check: &Check<'_>,
    transaction: &Transaction,
    crypto: &dyn RTCCrypto,
) -> Option<Vec<u8>> {
    let mut out = begin(BINDING_REQUEST, transaction);
    let name = format!("{}:{}", check.asked, check.asking);
    push(&mut out, USERNAME, name.as_bytes());
    // A peer-reflexive candidate's (RFC 8445 §5.1.2).
    push(&mut out, PRIORITY, &(110_u32 << 24 | 0xff).to_be_bytes());
    let role = if check.controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
    push(&mut out, role, &transaction[..8]);
    if check.nominates {
        push(&mut out, USE_CANDIDATE, &[]);
    }
    finish(out, check.password, crypto)
}

/// Writes the answer to a check that came from `from`, signed with the password of who answers.
pub(super) fn success(
    transaction: &Transaction,
    from: SocketAddr,
    password: &str,
    crypto: &dyn RTCCrypto,
) -> Option<Vec<u8>> {
    let mut out = begin(BINDING_SUCCESS, transaction);
    let mut value = vec![0, if from.is_ipv4() { 1 } else { 2 }];
    value.extend((from.port() ^ (COOKIE >> 16) as u16).to_be_bytes());
    let key = COOKIE.to_be_bytes().into_iter().chain(*transaction);
    match from.ip() {
        IpAddr::V4(ip) => value.extend(ip.octets().iter().zip(key).map(|(a, b)| a ^ b)),
        IpAddr::V6(ip) => value.extend(ip.octets().iter().zip(key).map(|(a, b)| a ^ b)),
    }
    push(&mut out, XOR_MAPPED_ADDRESS, &value);
    finish(out, password, crypto)
}

fn begin(kind: u16, transaction: &Transaction) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    out.extend(kind.to_be_bytes());
    out.extend([0, 0]);
    out.extend(COOKIE.to_be_bytes());
    out.extend(transaction);
    out
}

/// Appends an attribute; values are far shorter than 64 KiB.
fn push(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(kind.to_be_bytes());
    out.extend((value.len() as u16).to_be_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn set_length(out: &mut [u8], length: usize) {
    out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
}

/// Signs and closes a message. Each of the two marks is made over a length that includes it.
fn finish(mut out: Vec<u8>, password: &str, crypto: &dyn RTCCrypto) -> Option<Vec<u8>> {
    let mut tag = [0; TAG];
    let length = out.len() + 4 + TAG - HEADER;
    set_length(&mut out, length);
    let mut mac = crypto.new_hmac(HmacAlgorithm::Sha1, password.as_bytes()).ok()?;
    mac.sign(&[&out], &mut tag).ok()?;
    push(&mut out, MESSAGE_INTEGRITY, &tag);
    let length = out.len() + 8 - HEADER;
    set_length(&mut out, length);
    let checksum = fingerprint_value(&out);
    push(&mut out, FINGERPRINT, &checksum.to_be_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::stun::{Message, read};
    use super::*;
    use rtc::crypto::default_provider;
    use rtc::stun::message::{Getter as _, Message as Theirs};
    use rtc::stun::xoraddr::XorMappedAddress;

    const NONE: Transaction = [7; 12];
    const CHECK: Check<'_> = Check {
        asked: "ours",
        asking: "theirs",
        password: "secret of ours",
        controlling: true,
        nominates: true,
    };

    fn theirs(bytes: &[u8]) -> Theirs {
        let mut message = Theirs::new();
        message.unmarshal_binary(bytes).unwrap();
        message
    }

    /// RFC 5769 §2.1, the request of the test vectors.
    const VECTOR: &[u8] = &[
        0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6,
        0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74,
        0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e,
        0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36,
        0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20,
        0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e,
        0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5,
        0x7a, 0x3b, 0xcf,
    ];

    #[test]
    fn reads_the_test_vector_of_the_standard() {
        let provider = default_provider().unwrap();
        let Some(Message::Request(request)) = read(VECTOR) else { panic!("{:?}", read(VECTOR)) };
        assert_eq!((request.asked, request.asking), (&b"evtj"[..], &b"h6vY"[..]));
        assert!(!request.nominates);
        assert!(is_signed(VECTOR, "VOkJxbRl1RmTxUk/WvJxBt", provider.crypto()));
        assert!(!is_signed(VECTOR, "VOkJxbRl1RmTxUk/WvJxBu", provider.crypto()));
    }

    #[test]
    fn another_implementation_reads_what_is_written() {
        let provider = default_provider().unwrap();
        let crypto = provider.crypto();
        for from in ["192.0.2.7:40000", "[2001:db8::7]:40001"] {
            let from: SocketAddr = from.parse().unwrap();
            let written = success(&NONE, from, "secret", crypto).unwrap();
            let mut message = theirs(&written);
            let mut mapped = XorMappedAddress::default();
            mapped.get_from(&message).unwrap();
            assert_eq!(SocketAddr::new(mapped.ip, mapped.port), from);
            rtc::stun::fingerprint::FINGERPRINT.check(&message).unwrap();
            use rtc::stun::integrity::MessageIntegrity;
            MessageIntegrity::check(&mut message, b"secret", crypto).unwrap();
            let read = read(&written);
            assert_eq!(read, Some(Message::Response { transaction: NONE, success: true }));
        }
        let written = request(&CHECK, &NONE, crypto).unwrap();
        rtc::stun::fingerprint::FINGERPRINT.check(&theirs(&written)).unwrap();
        let Some(Message::Request(found)) = read(&written) else { panic!("{written:?}") };
        assert_eq!((found.asked, found.asking), (&b"ours"[..], &b"theirs"[..]));
        assert!(found.nominates && is_signed(&written, CHECK.password, crypto));
    }

    #[test]
    fn one_changed_byte_breaks_the_signature_or_the_message() {
        let provider = default_provider().unwrap();
        // Behind the signature stands only the fingerprint.
        for at in 0..VECTOR.len() - 8 {
            let mut bitten = VECTOR.to_vec();
            bitten[at] ^= 1;
            // The length is made anew for the check, and is checked against the datagram instead.
            let sound = read(&bitten).is_some()
                && is_signed(&bitten, "VOkJxbRl1RmTxUk/WvJxBt", provider.crypto());
            assert!(!sound, "byte {at}");
        }
    }

    #[test]
    fn nomination_behind_the_signature_does_not_count() {
        let provider = default_provider().unwrap();
        let plain = Check { nominates: false, ..CHECK };
        let mut written = request(&plain, &NONE, provider.crypto()).unwrap();
        push(&mut written, USE_CANDIDATE, &[]);
        let length = written.len() - HEADER;
        set_length(&mut written, length);
        let Some(Message::Request(found)) = read(&written) else { panic!("{written:?}") };
        assert!(is_signed(&written, CHECK.password, provider.crypto()));
        assert!(!found.nominates);
    }

    #[test]
    fn nonsense_is_none_and_never_a_panic() {
        for end in 0..VECTOR.len() {
            assert_eq!(read(&VECTOR[..end]), None, "cut at {end}");
            let provider = default_provider().unwrap();
            assert!(!is_signed(&VECTOR[..end.min(80)], "x", provider.crypto()));
        }
        let mut endless = VECTOR.to_vec();
        endless[22..24].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(read(&endless), None, "an attribute beyond the end hides the name");
        assert_eq!(read(&[0x80; 40]), None);
        let mut other = VECTOR.to_vec();
        other[1] = 3;
        assert_eq!(read(&other), None, "an allocation, which is TURN's");
    }
}
