//! Reads the part of STUN that a lite ICE agent needs (RFC 8489, RFC 8445 §7): binding requests and
//! responses.
//!
//! The first reader of every stranger's datagram: it must never panic, allocate or keep state. Of its
//! own: the fuzzer compiles this file alone.

/// RFC 8489 §5.
pub(super) const COOKIE: u32 = 0x2112_a442;
pub(super) const HEADER: usize = 20;
/// Most attributes of a message; browsers send about eight.
const MAX_ATTRIBUTES: usize = 32;

pub(super) const BINDING_REQUEST: u16 = 0x0001;
pub(super) const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

pub(super) const USERNAME: u16 = 0x0006;
pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(super) const USE_CANDIDATE: u16 = 0x0025;

/// What a response repeats of its request.
pub(super) type Transaction = [u8; 12];

/// A binding message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    Request(Request<'a>),
    Response { transaction: Transaction, success: bool },
}

/// A connectivity check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) transaction: Transaction,
    /// User name fragment of who is asked, which it made.
    pub(super) asked: &'a [u8],
    /// User name fragment of who asks.
    pub(super) asking: &'a [u8],
    /// Whether media shall take this path (USE-CANDIDATE).
    pub(super) nominates: bool,
}

/// Whether a datagram is STUN rather than DTLS, RTP or RTCP (RFC 7983 §7).
pub(super) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 4 && word(datagram, 4) == Some(COOKIE)
}

/// Reads a binding message; `None` for everything else, and for what breaks the rules.
pub(super) fn read(datagram: &[u8]) -> Option<Message<'_>> {
    if !is_stun(datagram) || usize::from(half(datagram, 2)?) != datagram.len() - HEADER {
        return None;
    }
    let transaction = *datagram.get(8..)?.first_chunk::<12>()?;
    let success = match half(datagram, 0)? {
        BINDING_REQUEST => return read_request(datagram, transaction).map(Message::Request),
        BINDING_SUCCESS => true,
        BINDING_ERROR => false,
        _ => return None,
    };
    Some(Message::Response { transaction, success })
}

fn read_request(datagram: &[u8], transaction: Transaction) -> Option<Request<'_>> {
    let (mut name, mut nominates) = (None, false);
    for attribute in signed(datagram) {
        match attribute.kind {
            USERNAME => name = Some(attribute.value),
            USE_CANDIDATE => nominates = true,
            _ => {}
        }
    }
    let name = name?;
    let colon = name.iter().position(|&byte| byte == b':')?;
    Some(Request { transaction, asked: &name[..colon], asking: &name[colon + 1..], nominates })
}

pub(super) struct Attribute<'a> {
    pub(super) kind: u16,
    pub(super) value: &'a [u8],
    /// Of its header.
    pub(super) at: usize,
}

pub(super) fn attributes(datagram: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let (kind, length) = (half(datagram, at)?, usize::from(half(datagram, at + 2)?));
        let value = datagram.get(at + 4..at + 4 + length)?;
        let attribute = Attribute { kind, value, at };
        at += 4 + length.next_multiple_of(4);
        Some(attribute)
    })
    .take(MAX_ATTRIBUTES)
}

/// Only what the signature covers: what stands behind it anybody may have added.
fn signed(datagram: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    attributes(datagram).take_while(|attribute| attribute.kind != MESSAGE_INTEGRITY)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
