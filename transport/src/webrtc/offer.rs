//! Reads a client's offer, refuses what cannot be served, and rewrites the rest to the least that
//! the WebRTC stack has to understand.
//!
//! SDP comes from strangers. Only lines that are known and needed get past this file: the chosen
//! codec, its retransmission format, header extensions, transport credentials. So the stack below
//! never sees the offer's other codecs, simulcast, source attributes, or a flood of candidates.
//! It must never open a socket or keep state.

use std::fmt::Write as _;

use media::{BitDepth, Codec, CodecSet};
use thiserror::Error;

use super::formats::{self, REPAIR_WINDOW, VideoFormat, opus, repeats};

/// Longest offer or trickle fragment, in bytes.
pub const MAX_SDP: usize = 64 * 1024;
/// Most media sections in an offer.
const MAX_SECTIONS: usize = 16;
/// RTP payload types have 7 bits (RFC 3550 §5.1); a section with more formats is none of RTP.
const MAX_FORMATS: usize = 128;
/// Most candidates that are counted in a fragment.
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
    /// No video format that may be sent.
    #[error(
        "the offer has no usable video codec; one that this node sends of H.264 baseline or main \
         profile with packetization-mode=1, H.265 main, AV1 main, VP9 profile 0 and VP8 is needed, \
         offered: {0}"
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
    /// What every track is sent as.
    pub(super) video: VideoFormat,
    /// Payload type of Opus in the first audio section that has it.
    pub(super) opus: Option<u8>,
    /// Payload type of repeated packets of that, where the first audio section wants those.
    pub(super) red: Option<u8>,
    /// The first audio section has it and takes sound.
    pub(super) listens: bool,
    /// The same section has it and may send some.
    pub(super) speaks: bool,
    /// Video sections, in order: section *n* is `TrackId(n)`.
    pub(super) video_sections: u8,
    /// Whether there is a data channel section.
    pub(super) data: bool,
    /// Sections that the client has turned off, which the stack is not shown.
    pub(super) disabled: Vec<Disabled>,
    /// The client's ICE user name fragment and password.
    pub(super) credentials: IceCredentials,
}

/// A section of port 0, which is answered alike in its place (RFC 3264 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disabled {
    /// Sections before it.
    pub(super) place: usize,
    /// Its line and what names it, each with its end.
    pub(super) lines: String,
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
pub(super) struct Section<'a> {
    kind: &'a str,
    port: &'a str,
    proto: &'a str,
    /// In the order of the line, which is that of preference.
    pub(super) formats: Vec<Format<'a>>,
    lines: Vec<&'a str>,
}

/// A format with what its lines say of it. Gathered in one pass over the lines: looking them up for
/// each format would take a time that grows with the square of a stranger's offer.
pub(super) struct Format<'a> {
    pub(super) payload_type: u8,
    /// `a=rtpmap:`, the first one.
    pub(super) map: Option<&'a str>,
    /// `a=fmtp:`, the first one.
    pub(super) fmtp: Option<&'a str>,
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

    /// Whether it is turned off.
    fn is_disabled(&self) -> bool {
        self.port == "0" && !self.has("bundle-only")
    }

    /// The same turned off. Its formats are ignored, but there must be one, and some clients look up what it stands for.
    fn turned_off(&self) -> String {
        let format = match self.formats.first() {
            Some(format) => format.payload_type.to_string(),
            None => "webrtc-datachannel".to_owned(),
        };
        let mut out = format!("m={} 0 {} {format}\r\nc=IN IP4 0.0.0.0\r\n", self.kind, self.proto);
        if let Some(mid) = self.attribute("mid") {
            let _ = write!(out, "a=mid:{mid}\r\n");
        }
        if let Some(map) = self.formats.first().and_then(|format| format.map) {
            let _ = write!(out, "a=rtpmap:{format} {map}\r\n");
        }
        out + "a=inactive\r\n"
    }

    /// Whether it takes no media.
    fn is_deaf(&self) -> bool {
        matches!(self.direction(), Some("sendonly" | "inactive"))
    }

    /// Whether it sends no media.
    fn is_mute(&self) -> bool {
        self.is_disabled() || matches!(self.direction(), Some("recvonly" | "inactive"))
    }

    fn direction(&self) -> Option<&'static str> {
        ["sendrecv", "recvonly", "sendonly", "inactive"].into_iter().find(|word| self.has(word))
    }
}

/// A payload type as written by clients.
pub(super) fn payload_type(word: &str) -> Option<u8> {
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

/// An offer that is whole, whatever its codecs.
struct Checked<'a> {
    head: Vec<&'a str>,
    sections: Vec<Section<'a>>,
    disabled: Vec<Disabled>,
    credentials: IceCredentials,
}

impl<'a> Checked<'a> {
    fn read(offer: &'a str) -> Result<Self, OfferError> {
        if offer.trim().is_empty() {
            return Err(OfferError::Empty);
        }
        if offer.len() > MAX_SDP {
            return Err(OfferError::TooLarge(offer.len()));
        }
        let (head, mut sections) = split(offer)?;
        let mut disabled = Vec::new();
        let mut place = 0;
        sections.retain(|section| {
            if section.is_disabled() {
                disabled.push(Disabled { place, lines: section.turned_off() });
            }
            place += 1;
            !section.is_disabled()
        });
        check_sections(&head, &sections)?;
        let credentials = credentials(&head, &sections)?;
        if head.contains(&"a=ice-lite") {
            return Err(unsupported(
                "a client that only answers ICE checks (ice-lite), as this node does",
            ));
        }
        if sections.iter().all(|section| section.kind != "video") {
            return Err(OfferError::NoVideo);
        }
        Ok(Self { head, sections, disabled, credentials })
    }

    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &Section<'a>> {
        self.sections.iter().filter(move |section| section.kind == kind)
    }

    /// The formats of `codec`, one for each video section; none where a section has none.
    fn formats(&self, codec: Codec, depth: BitDepth) -> Option<Vec<VideoFormat>> {
        self.of_kind("video").map(|section| formats::find(section, codec, depth)).collect()
    }

    /// What can be sent in pictures of `depth`.
    fn codecs(&self, depth: BitDepth) -> Vec<Codec> {
        let usable = |codec: &Codec| self.formats(*codec, depth).is_some();
        Codec::ALL.into_iter().filter(usable).collect()
    }

    /// For an offer that has none of `codecs`.
    fn no_usable_codec(&self, codecs: &[Codec]) -> OfferError {
        let lacks = |section: &&Section<'_>| {
            codecs.iter().all(|codec| formats::find(section, *codec, BitDepth::Eight).is_none())
        };
        let lacking = self.of_kind("video").find(lacks).or(self.of_kind("video").next());
        let offered = lacking.map(formats::names).unwrap_or_default();
        OfferError::NoUsableCodec(clip(&offered).to_owned())
    }
}

/// What a client decodes, of all that can be sent. One of the two may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decodes {
    /// Of pictures with 8 bits a sample.
    pub eight: CodecSet,
    /// Of pictures with 10. Never AV1, whose formats do not say so.
    pub ten: CodecSet,
}

/// What the client that makes this offer decodes.
///
/// # Errors
/// See [`OfferError`].
pub fn decodes(offer: &str) -> Result<Decodes, OfferError> {
    let offer = Checked::read(offer)?;
    let (eight, ten) = (offer.codecs(BitDepth::Eight), offer.codecs(BitDepth::Ten));
    if eight.is_empty() && ten.is_empty() {
        return Err(offer.no_usable_codec(&Codec::ALL));
    }
    Ok(Decodes { eight: CodecSet::of(&eight), ten: CodecSet::of(&ten) })
}

/// Reads `offer`; video is sent in pictures of `depth` as the first of `codecs` that it has for them.
pub(super) fn read(
    offer: &str,
    codecs: &[Codec],
    depth: BitDepth,
) -> Result<OfferPlan, OfferError> {
    let offer = Checked::read(offer)?;
    let formats = codecs.iter().find_map(|codec| offer.formats(*codec, depth)).unwrap_or_default();
    let Some((video, others)) = formats.split_first() else {
        return Err(offer.no_usable_codec(codecs));
    };
    if !others.iter().all(|other| other.is_numbered_as(video)) {
        return Err(unsupported("video sections that number their formats apart"));
    }
    let sdp = rewrite(&offer.head, &offer.sections, video);
    let first = offer.of_kind("audio").next().filter(|section| opus(section).is_some());
    let listens = first.is_some_and(|section| !section.is_deaf());
    let speaks = first.is_some_and(|section| !section.is_mute());
    let red = first.and_then(repeats);
    let opus = offer.of_kind("audio").find_map(opus);
    let data = offer.of_kind("application").next().is_some();
    Ok(OfferPlan {
        sdp,
        video: video.clone(),
        opus,
        red,
        listens,
        speaks,
        video_sections: u8::try_from(formats.len()).unwrap_or(u8::MAX),
        data,
        disabled: offer.disabled,
        credentials: offer.credentials,
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
    match section.kind {
        "video" => {
            if section.is_deaf() {
                return Err(unsupported("a video section that does not receive"));
            }
        }
        "audio" => {}
        "application" => {
            if !section.proto.ends_with("/SCTP") {
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

/// Writes the offer anew with only what is served. Candidates are left out: this side is lite and is found by the
/// client, and the stack must not send checks to addresses of a stranger's choice.
fn rewrite(head: &[&str], sections: &[Section<'_>], video: &VideoFormat) -> String {
    const HEAD: [&str; 5] = ["ice-ufrag:", "ice-pwd:", "ice-options:", "fingerprint:", "setup:"];
    let mut out = String::with_capacity(4096);
    let is_first = |line: &&&str| line.starts_with("v=") || line.starts_with("o=");
    head.iter().filter(is_first).for_each(|line| push(&mut out, line));
    // Between `o=` and the attributes (RFC 8866 §5); the client's are not needed.
    out.push_str("s=-\r\nt=0 0\r\n");
    for line in head {
        let attribute = line.strip_prefix("a=").unwrap_or_default();
        if let Some(mids) = attribute.strip_prefix("group:BUNDLE") {
            let has = |mid: &&str| sections.iter().any(|it| it.attribute("mid") == Some(*mid));
            let mids: Vec<_> = mids.split_ascii_whitespace().filter(has).collect();
            let _ = write!(out, "a=group:BUNDLE {}\r\n", mids.join(" "));
        } else if HEAD.iter().any(|key| attribute.starts_with(key)) {
            push(&mut out, line);
        }
    }
    for section in sections {
        let formats = match section.kind {
            "video" => {
                let others = [video.rtx, video.fec].into_iter().flatten();
                others.fold(video.payload_type.to_string(), |all, other| format!("{all} {other}"))
            }
            "audio" => {
                let refused = || foreign(section).map(|(format, _)| format);
                let coded = opus(section).or_else(refused).unwrap_or(0).to_string();
                repeats(section).into_iter().fold(coded, |all, red| format!("{all} {red}"))
            }
            _ => "webrtc-datachannel".to_owned(),
        };
        let _ =
            write!(out, "m={} 9 {} {formats}\r\nc=IN IP4 0.0.0.0\r\n", section.kind, section.proto);
        rewrite_transport(&mut out, section);
        match section.kind {
            "video" => rewrite_video(&mut out, section, video),
            "audio" => rewrite_audio(&mut out, section),
            _ => {}
        }
    }
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

fn rewrite_transport(out: &mut String, section: &Section<'_>) {
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
        if KEEP.iter().any(|key| attribute.starts_with(key)) {
            push(out, line);
        }
    }
}

fn rewrite_video(out: &mut String, section: &Section<'_>, video: &VideoFormat) {
    let VideoFormat { codec, payload_type, fmtp, rtx, fec } = video;
    let _ = write!(out, "a=rtpmap:{payload_type} {}/90000\r\n", codec.rtp_name());
    if !fmtp.is_empty() {
        let _ = write!(out, "a=fmtp:{payload_type} {fmtp}\r\n");
    }
    if let Some(rtx) = rtx {
        let _ = write!(out, "a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={payload_type}\r\n");
    }
    if let Some(fec) = fec {
        let _ = write!(out, "a=rtpmap:{fec} flexfec-03/90000\r\na=fmtp:{fec} {REPAIR_WINDOW}\r\n");
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

/// A section without Opus stays in place, so that BUNDLE and numbering hold.
fn rewrite_audio(out: &mut String, section: &Section<'_>) {
    if let Some(format) = opus(section) {
        let _ = write!(out, "a=rtpmap:{format} opus/48000/2\r\n");
        if let Some(red) = repeats(section) {
            let of = format!("{format}/{format}");
            let _ = write!(out, "a=rtpmap:{red} red/48000/2\r\na=fmtp:{red} {of}\r\n");
        }
        let acknowledged = [format.to_string().as_str(), "*"]
            .iter()
            .any(|of| section.has(&format!("rtcp-fb:{of} transport-cc")));
        if acknowledged {
            let _ = write!(out, "a=rtcp-fb:{format} transport-cc\r\n");
        }
        rewrite_extensions(out, section);
    } else if let Some((format, map)) = foreign(section) {
        let _ = write!(out, "a=rtpmap:{format} {map}\r\n");
    }
    push(out, &format!("a={}", section.direction().unwrap_or("sendrecv")));
}

/// A format of a section that is refused, whose answer has to name one (RFC 3264 §6), and what it stands for.
fn foreign<'a>(section: &Section<'a>) -> Option<(u8, &'a str)> {
    let plain = |map: &str| map.chars().all(|c| c.is_ascii_alphanumeric() || "-./_".contains(c));
    let named = |format: &Format<'a>| Some((format.payload_type, format.map?));
    section.formats.iter().filter_map(named).find(|(_, map)| plain(map))
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
