//! Reads a client's offer, refuses what cannot be served, and rewrites the rest to the least that
//! the WebRTC stack has to understand.
//!
//! SDP comes from strangers. Only lines that are known and needed get past this file: the chosen
//! codec, its retransmission format, header extensions, transport credentials. So the stack below
//! never sees the offer's other codecs, simulcast, source attributes, or a flood of candidates.
//! It must never open a socket or keep state.

use std::fmt::Write as _;

use media::Codec;
use thiserror::Error;

/// What video is sent as, best first.
pub const CODECS: [Codec; 1] = [Codec::H264];
/// Longest offer or trickle fragment, in bytes.
pub const MAX_SDP: usize = 64 * 1024;
/// Most media sections in an offer.
const MAX_SECTIONS: usize = 16;
/// RTP payload types have 7 bits (RFC 3550 §5.1); a section with more formats is none of RTP.
const MAX_FORMATS: usize = 128;
/// Most candidates that a connection takes, from its offer and from all fragments after it: each one
/// makes this node send checks.
pub(super) const MAX_CANDIDATES: usize = 32;

/// Why an offer was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Nothing was sent.
    #[error("the offer is empty")]
    Empty,
    /// Longer than [`MAX_SDP`].
    #[error("the offer has {0} bytes, more than {MAX_SDP}")]
    TooLarge(usize),
    /// Not SDP, or SDP that contradicts itself.
    #[error("the offer is not valid: {0}")]
    Malformed(String),
    /// No video section.
    #[error("the offer asks for no video")]
    NoVideo,
    /// No video format that this node can send.
    #[error(
        "the offer has no usable video codec; H.264 baseline or main profile with \
         packetization-mode=1 is needed, offered: {0}"
    )]
    NoUsableCodec(String),
    /// Something that is legal but not served.
    #[error("the offer is not supported: {0}")]
    Unsupported(String),
    /// This node could not open its side; not the client's fault.
    #[error("the transport could not be opened: {0}")]
    Transport(String),
}

/// What the client wants and how it can have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OfferPlan {
    /// The rewritten offer.
    pub(super) sdp: String,
    /// Payload type of the chosen H.264 format.
    pub(super) payload_type: u8,
    /// Its format parameters.
    pub(super) fmtp: String,
    /// Payload type of its retransmission format (RFC 4588).
    pub(super) rtx: Option<u8>,
    /// Payload type of Opus in the first audio section that has it.
    pub(super) opus: Option<u8>,
    /// Video sections, in order: section *n* is `TrackId(n)`.
    pub(super) video_sections: u8,
    /// Whether there is a data channel section.
    pub(super) data: bool,
    /// Candidates in the rewritten offer.
    pub(super) candidates: usize,
    /// The client's ICE user name fragment and password.
    pub(super) credentials: IceCredentials,
}

impl OfferPlan {
    /// The codec of every track.
    pub(super) const fn codec(&self) -> Codec {
        CODECS[0]
    }
}

/// ICE user name fragment and password (RFC 8839 §5.4).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct IceCredentials {
    pub(super) ufrag: String,
    pub(super) password: String,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IceCredentials({})", self.ufrag)
    }
}

/// One `m=` line with its attributes.
struct Section<'a> {
    kind: &'a str,
    port: &'a str,
    proto: &'a str,
    /// In the order of the line, which is that of preference.
    formats: Vec<Format<'a>>,
    lines: Vec<&'a str>,
}

/// A format with what its lines say of it. Gathered in one pass over the lines: looking them up for
/// each format would take a time that grows with the square of a stranger's offer.
struct Format<'a> {
    payload_type: u8,
    /// `a=rtpmap:`, the first one.
    map: Option<&'a str>,
    /// `a=fmtp:`, the first one.
    fmtp: Option<&'a str>,
}

impl<'a> Section<'a> {
    fn parse(m_line: &'a str) -> Result<Self, OfferError> {
        let mut words = m_line.split_ascii_whitespace();
        let (Some(kind), Some(port), Some(proto)) = (words.next(), words.next(), words.next())
        else {
            return Err(malformed("a media line is too short"));
        };
        let mut formats: Vec<Format<'a>> = Vec::new();
        for (n, word) in words.enumerate() {
            if n == MAX_FORMATS {
                return Err(malformed(format!("more than {MAX_FORMATS} formats in a section")));
            }
            // What is no payload type (`webrtc-datachannel`) has no lines to look up either.
            let Some(payload_type) = payload_type(word) else { continue };
            if formats.iter().all(|format| format.payload_type != payload_type) {
                formats.push(Format { payload_type, map: None, fmtp: None });
            }
        }
        Ok(Self { kind, port, proto, formats, lines: Vec::new() })
    }

    /// Sorts what the lines say of formats to these.
    fn index_formats(&mut self) {
        let mut places = [None; MAX_FORMATS];
        for (place, format) in self.formats.iter().enumerate() {
            places[usize::from(format.payload_type)] = Some(place);
        }
        for line in &self.lines {
            let Some((key, rest)) = line.strip_prefix("a=").and_then(|line| line.split_once(':'))
            else {
                continue;
            };
            let Some((number, value)) = rest.split_once(' ') else { continue };
            let place = payload_type(number).and_then(|number| places[usize::from(number)]);
            let Some(format) = place.and_then(|place| self.formats.get_mut(place)) else {
                continue;
            };
            match key {
                "rtpmap" => _ = format.map.get_or_insert(value.trim()),
                "fmtp" => _ = format.fmtp.get_or_insert(value.trim()),
                _ => {}
            }
        }
    }

    fn attribute(&self, key: &str) -> Option<&'a str> {
        attribute(&self.lines, key)
    }

    fn has(&self, flag: &str) -> bool {
        self.lines.iter().any(|line| line.strip_prefix("a=") == Some(flag))
    }

    fn direction(&self) -> Option<&'static str> {
        ["sendrecv", "recvonly", "sendonly", "inactive"].into_iter().find(|word| self.has(word))
    }
}

/// A payload type as written by clients.
fn payload_type(word: &str) -> Option<u8> {
    word.parse().ok().filter(|&number: &u8| usize::from(number) < MAX_FORMATS)
}

fn attribute<'a>(lines: &[&'a str], key: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix("a=")?.strip_prefix(key)?.strip_prefix(':'))
}

fn malformed(what: impl Into<String>) -> OfferError {
    OfferError::Malformed(what.into())
}

fn unsupported(what: impl Into<String>) -> OfferError {
    OfferError::Unsupported(what.into())
}

/// Reads `offer`.
pub(super) fn read(offer: &str) -> Result<OfferPlan, OfferError> {
    if offer.trim().is_empty() {
        return Err(OfferError::Empty);
    }
    if offer.len() > MAX_SDP {
        return Err(OfferError::TooLarge(offer.len()));
    }
    let (head, sections) = split(offer)?;
    check_sections(&head, &sections)?;
    let credentials = credentials(&head, &sections)?;

    let mut chosen: Option<(u8, String, Option<u8>)> = None;
    for section in sections.iter().filter(|section| section.kind == "video") {
        let format = choose_h264(section)?;
        match &chosen {
            None => chosen = Some(format),
            Some(first) if first.0 == format.0 && first.2 == format.2 => {}
            Some(_) => return Err(unsupported("video sections that number their formats apart")),
        }
    }
    let (payload_type, fmtp, rtx) = chosen.ok_or(OfferError::NoVideo)?;

    let (sdp, candidates) = rewrite(&head, &sections, payload_type, &fmtp, rtx);
    let count = |kind| sections.iter().filter(|section| section.kind == kind).count();
    Ok(OfferPlan {
        sdp,
        payload_type,
        fmtp,
        rtx,
        opus: sections.iter().find_map(opus),
        video_sections: u8::try_from(count("video")).unwrap_or(u8::MAX),
        data: count("application") > 0,
        candidates,
        credentials,
    })
}

/// Splits the text into the session part and the media sections.
fn split(offer: &str) -> Result<(Vec<&str>, Vec<Section<'_>>), OfferError> {
    let mut head = Vec::new();
    let mut sections: Vec<Section<'_>> = Vec::new();
    for line in offer.lines().map(|line| line.trim_end_matches('\r')) {
        if line.is_empty() {
            continue;
        }
        if line.as_bytes().get(1) != Some(&b'=') || !line.as_bytes()[0].is_ascii_lowercase() {
            return Err(malformed("a line has no type"));
        }
        if line.chars().any(char::is_control) {
            return Err(malformed("a line holds control characters"));
        }
        if let Some(m_line) = line.strip_prefix("m=") {
            if sections.len() == MAX_SECTIONS {
                return Err(malformed(format!("more than {MAX_SECTIONS} media sections")));
            }
            sections.push(Section::parse(m_line)?);
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        } else {
            head.push(line);
        }
    }
    if head.first() != Some(&"v=0") {
        return Err(malformed("it does not begin with v=0"));
    }
    sections.iter_mut().for_each(Section::index_formats);
    Ok((head, sections))
}

fn check_sections(head: &[&str], sections: &[Section<'_>]) -> Result<(), OfferError> {
    let bundle: Vec<&str> = attribute(head, "group")
        .and_then(|group| group.strip_prefix("BUNDLE"))
        .map(|mids| mids.split_ascii_whitespace().collect())
        .unwrap_or_default();
    let mut mids: Vec<&str> = Vec::new();
    for section in sections {
        let mid = section.attribute("mid").unwrap_or_default();
        let token = |c: char| c.is_ascii_alphanumeric() || "-_.+!#$%&'*^`{|}~".contains(c);
        if mid.is_empty() || mid.len() > 64 || !mid.chars().all(token) {
            return Err(malformed("a media section has no usable mid"));
        }
        if mids.contains(&mid) {
            return Err(malformed("two media sections share a mid"));
        }
        mids.push(mid);
        if sections.len() > 1 && !bundle.contains(&mid) {
            return Err(unsupported("media sections outside one BUNDLE group"));
        }
        check_section(section)?;
    }
    if sections.iter().filter(|section| section.kind == "application").count() > 1 {
        return Err(unsupported("two data channel sections"));
    }
    Ok(())
}

fn check_section(section: &Section<'_>) -> Result<(), OfferError> {
    let disabled = section.port == "0" && !section.has("bundle-only");
    match section.kind {
        "video" => {
            if disabled || matches!(section.direction(), Some("sendonly" | "inactive")) {
                return Err(unsupported("a video section that does not receive"));
            }
        }
        "audio" => {}
        "application" => {
            if !section.proto.ends_with("/SCTP") || disabled {
                return Err(unsupported("an application section without data channels"));
            }
            return Ok(());
        }
        other => return Err(unsupported(format!("a media section of type {:?}", clip(other)))),
    }
    if !section.proto.ends_with("/SAVPF") {
        return Err(unsupported("media without DTLS-SRTP and feedback (SAVPF)"));
    }
    if !section.has("rtcp-mux") {
        return Err(unsupported("RTCP on a port of its own"));
    }
    Ok(())
}

fn credentials(head: &[&str], sections: &[Section<'_>]) -> Result<IceCredentials, OfferError> {
    let find = |key| {
        attribute(head, key)
            .or_else(|| sections.iter().find_map(|section| section.attribute(key)))
            .map(str::trim)
    };
    let (Some(ufrag), Some(password)) = (find("ice-ufrag"), find("ice-pwd")) else {
        return Err(malformed("it has no ICE credentials"));
    };
    let ice_chars =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+/".contains(c));
    // RFC 8839 §5.4: 4 to 256 and 22 to 256 ice-chars.
    if !(4..=256).contains(&ufrag.len()) || !(22..=256).contains(&password.len()) {
        return Err(malformed("its ICE credentials have a wrong length"));
    }
    // Some clients use characters beyond the RFC's ("-", "_"); the password travels in no header.
    if !ice_chars(&ufrag.replace(['-', '_'], "")) {
        return Err(malformed("its ICE user name has illegal characters"));
    }
    Ok(IceCredentials { ufrag: ufrag.to_owned(), password: password.to_owned() })
}

/// The best H.264 format of a video section: payload type, parameters, retransmission format.
fn choose_h264(section: &Section<'_>) -> Result<(u8, String, Option<u8>), OfferError> {
    let mut best: Option<(u8, u8, &str)> = None;
    let mut offered: Vec<&str> = Vec::new();
    for format in &section.formats {
        let Some(map) = format.map else { continue };
        let name = map.split('/').next().unwrap_or_default();
        if !offered.contains(&name) && offered.len() < 8 {
            offered.push(name);
        }
        if !map.eq_ignore_ascii_case("H264/90000") || !is_free(format.payload_type) {
            continue;
        }
        let fmtp = format.fmtp.unwrap_or_default();
        let Some(rank) = rank_h264(fmtp) else { continue };
        if best.is_none_or(|(least, ..)| rank < least) {
            best = Some((rank, format.payload_type, fmtp));
        }
    }
    let Some((_, chosen, fmtp)) = best else {
        return Err(OfferError::NoUsableCodec(clip(&offered.join(", ")).to_owned()));
    };
    let repairs = |format: &&Format<'_>| {
        let apt = format.fmtp.and_then(|fmtp| fmtp.split(';').next()?.trim().strip_prefix("apt="));
        format.map.is_some_and(|map| map.eq_ignore_ascii_case("rtx/90000"))
            && apt.and_then(payload_type) == Some(chosen)
    };
    let rtx = section.formats.iter().find(repairs).map(|format| format.payload_type);
    let rtx = rtx.filter(|&rtx| rtx != chosen && is_free(rtx));
    Ok((chosen, complete_fmtp(fmtp), rtx))
}

/// Whether RTP may have this payload type: RFC 5761 §4: 64 to 95 would be taken for RTCP; 35 to 63 and
/// 96 to 127 are free.
fn is_free(payload_type: u8) -> bool {
    (35..64).contains(&payload_type) || (96..128).contains(&payload_type)
}

fn fmtp_value<'a>(fmtp: &'a str, key: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case(key).then(|| value.trim())
    })
}

/// How good a format is, 0 best; `None` when it cannot be used.
fn rank_h264(fmtp: &str) -> Option<u8> {
    if fmtp_value(fmtp, "packetization-mode")? != "1" {
        return None;
    }
    let Some(profile) = fmtp_value(fmtp, "profile-level-id") else {
        // RFC 6184 §8.1: no parameter means baseline.
        return Some(3);
    };
    if profile.len() != 6 || !profile.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let profile = profile.to_ascii_lowercase();
    match &profile[..4] {
        // Constrained baseline, by constraint_set1 or by both set0 and set1.
        "42e0" | "42c0" | "4240" => Some(0),
        "4200" => Some(1),
        "4d00" | "4d40" | "4d80" => Some(2),
        _ => None,
    }
}

/// The stack below matches formats only when both parameters are spelt out.
fn complete_fmtp(fmtp: &str) -> String {
    if fmtp_value(fmtp, "profile-level-id").is_some() {
        fmtp.to_owned()
    } else {
        format!("{fmtp};profile-level-id=42001f")
    }
}

/// Writes the offer anew with only what is served; how many candidates are in it.
fn rewrite(
    head: &[&str],
    sections: &[Section<'_>],
    payload_type: u8,
    fmtp: &str,
    rtx: Option<u8>,
) -> (String, usize) {
    const HEAD: [&str; 7] =
        ["group:", "ice-ufrag:", "ice-pwd:", "ice-options:", "ice-lite", "fingerprint:", "setup:"];
    let mut out = String::with_capacity(4096);
    for line in head {
        let keep = match line.strip_prefix("a=") {
            Some(attribute) => HEAD.iter().any(|key| attribute.starts_with(key)),
            None => line.starts_with("v=") || line.starts_with("o="),
        };
        if keep {
            push(&mut out, line);
        }
    }
    push_before_attributes(&mut out);
    let mut candidates = 0;
    for section in sections {
        let formats = match section.kind {
            "video" => {
                let rtx = rtx.map(|rtx| format!(" {rtx}")).unwrap_or_default();
                format!("{payload_type}{rtx}")
            }
            "audio" => opus(section).unwrap_or(0).to_string(),
            _ => "webrtc-datachannel".to_owned(),
        };
        let _ =
            write!(out, "m={} 9 {} {formats}\r\nc=IN IP4 0.0.0.0\r\n", section.kind, section.proto);
        rewrite_transport(&mut out, section, &mut candidates);
        match section.kind {
            "video" => rewrite_video(&mut out, section, payload_type, fmtp, rtx),
            "audio" => rewrite_audio(&mut out, section),
            _ => {}
        }
    }
    (out, candidates)
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

/// `s=` and `t=` belong between `o=` and the attributes (RFC 8866 §5); the client's are not needed.
fn push_before_attributes(out: &mut String) {
    let at = out.find("a=").unwrap_or(out.len());
    out.insert_str(at, "s=-\r\nt=0 0\r\n");
}

fn rewrite_transport(out: &mut String, section: &Section<'_>, candidates: &mut usize) {
    const KEEP: [&str; 9] = [
        "mid:",
        "ice-ufrag:",
        "ice-pwd:",
        "ice-options:",
        "fingerprint:",
        "setup:",
        "rtcp-mux",
        "sctp-port:",
        "max-message-size:",
    ];
    for line in &section.lines {
        let Some(attribute) = line.strip_prefix("a=") else { continue };
        if attribute.strip_prefix("candidate:").is_some_and(usable_candidate) {
            if *candidates < MAX_CANDIDATES {
                *candidates += 1;
                push(out, line);
            }
        } else if KEEP.iter().any(|key| attribute.starts_with(key)) {
            push(out, line);
        }
    }
}

/// Whether the stack can read this candidate; one that it cannot would refuse the whole offer.
/// TCP candidates are of no use, since none are offered back.
pub(super) fn usable_candidate(value: &str) -> bool {
    let transport = value.split_ascii_whitespace().nth(2).unwrap_or_default();
    transport.eq_ignore_ascii_case("udp") && rtc::ice::candidate::unmarshal_candidate(value).is_ok()
}

fn rewrite_video(
    out: &mut String,
    section: &Section<'_>,
    payload_type: u8,
    fmtp: &str,
    rtx: Option<u8>,
) {
    let _ = write!(out, "a=rtpmap:{payload_type} H264/90000\r\na=fmtp:{payload_type} {fmtp}\r\n");
    if let Some(rtx) = rtx {
        let _ = write!(out, "a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={payload_type}\r\n");
    }
    let ours = payload_type.to_string();
    for line in &section.lines {
        let Some(feedback) = line.strip_prefix("a=rtcp-fb:") else { continue };
        if let Some((format, kind)) = feedback.split_once(' ')
            && (format == ours || format == "*")
        {
            let _ = write!(out, "a=rtcp-fb:{payload_type} {kind}\r\n");
        }
    }
    rewrite_extensions(out, section);
    push(out, &format!("a={}", section.direction().unwrap_or("sendrecv")));
}

/// Sound is not sent yet: the section stays in place so that BUNDLE and numbering hold.
fn rewrite_audio(out: &mut String, section: &Section<'_>) {
    if let Some(format) = opus(section) {
        let _ = write!(out, "a=rtpmap:{format} opus/48000/2\r\n");
        rewrite_extensions(out, section);
    }
    push(out, &format!("a={}", section.direction().unwrap_or("sendrecv")));
}

fn opus(section: &Section<'_>) -> Option<u8> {
    let is_opus = |format: &&Format<'_>| {
        is_free(format.payload_type)
            && format.map.is_some_and(|map| map.eq_ignore_ascii_case("opus/48000/2"))
    };
    section.formats.iter().find(is_opus).map(|format| format.payload_type)
}

fn rewrite_extensions(out: &mut String, section: &Section<'_>) {
    for line in &section.lines {
        let Some(extension) = line.strip_prefix("a=extmap:") else { continue };
        let Some((id, uri)) = extension.split_once(' ') else { continue };
        let id = id.split('/').next().unwrap_or_default();
        // One-byte header extensions only (RFC 8285 §4.2): ids 1 to 14.
        if matches!(id.parse::<u8>(), Ok(1..=14)) && super::EXTENSIONS.contains(&uri.trim()) {
            push(out, line);
        }
    }
}

/// Keeps hostile text short in messages.
fn clip(text: &str) -> &str {
    let end = text.char_indices().nth(80).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
