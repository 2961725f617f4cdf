//! Which format of an offer's video section a codec can be sent as.
//!
//! Levels are not looked at: browsers write one that says nothing of what they decode, and a decoder
//! that cannot follow shows it in its reports.

use media::{BitDepth, Codec};

use super::offer::{Format, Section, payload_type};

/// How long a client is to keep packets for repair, in microseconds: what browsers say.
pub(super) const REPAIR_WINDOW: &str = "repair-window=10000000";

/// A codec as a client takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VideoFormat {
    pub(super) codec: Codec,
    pub(super) payload_type: u8,
    /// Format parameters; empty where there are none.
    pub(super) fmtp: String,
    /// Payload type of its retransmission format (RFC 4588).
    pub(super) rtx: Option<u8>,
    /// Payload type of its repair format (FlexFEC-03).
    pub(super) fec: Option<u8>,
}

impl VideoFormat {
    /// Whether RTP cannot tell the two apart.
    pub(super) fn is_numbered_as(&self, other: &Self) -> bool {
        let numbers = |format: &Self| (format.codec, format.payload_type, format.rtx, format.fec);
        numbers(self) == numbers(other)
    }
}

/// The best format of a section for pictures of `depth` by `codec`; none where it has none that we can
/// send.
pub(super) fn find(section: &Section<'_>, codec: Codec, depth: BitDepth) -> Option<VideoFormat> {
    let ranked = section.formats.iter().filter_map(|format| {
        let (name, clock) = format.map?.split_once('/')?;
        let is_it = name.eq_ignore_ascii_case(codec.rtp_name()) && clock == "90000";
        if !is_it || !is_free(format.payload_type) {
            return None;
        }
        let fmtp = format.fmtp.unwrap_or_default();
        Some((rank(codec, depth, fmtp)?, format.payload_type, fmtp))
    });
    // The first of the best.
    let (_, chosen, fmtp) = ranked.min_by_key(|(rank, ..)| *rank)?;
    let repairs = |format: &&Format<'_>| {
        let apt = format.fmtp.and_then(|fmtp| fmtp.split(';').next()?.trim().strip_prefix("apt="));
        format.map.is_some_and(|map| map.eq_ignore_ascii_case("rtx/90000"))
            && apt.and_then(payload_type) == Some(chosen)
    };
    let rtx = section.formats.iter().find(repairs).map(|format| format.payload_type);
    let rtx = rtx.filter(|&rtx| rtx != chosen && is_free(rtx));
    let fec = section
        .formats
        .iter()
        .find(|format| format.map.is_some_and(|map| map.eq_ignore_ascii_case("flexfec-03/90000")));
    let fec = fec.map(|format| format.payload_type);
    let fec = fec.filter(|&fec| fec != chosen && Some(fec) != rtx && is_free(fec));
    let fmtp = complete_fmtp(codec, fmtp);
    Some(VideoFormat { codec, payload_type: chosen, fmtp, rtx, fec })
}

/// Names of the formats of a section, for people; eight at most.
pub(super) fn names(section: &Section<'_>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for map in section.formats.iter().filter_map(|format| format.map) {
        let name = map.split('/').next().unwrap_or_default();
        if !names.contains(&name) && names.len() < 8 {
            names.push(name);
        }
    }
    names.join(", ")
}

/// The payload type of Opus.
pub(super) fn opus(section: &Section<'_>) -> Option<u8> {
    let is_opus = |format: &&Format<'_>| {
        is_free(format.payload_type)
            && format.map.is_some_and(|map| map.eq_ignore_ascii_case("opus/48000/2"))
    };
    section.formats.iter().find(is_opus).map(|format| format.payload_type)
}

/// The payload type of repeated packets (RFC 2198) for a section whose client makes nothing of what Opus says of the packet
/// before (RFC 7587 §6.1: that is so where it does not say otherwise).
pub(super) fn repeats(section: &Section<'_>) -> Option<u8> {
    let opus = opus(section)?;
    let coded = section.formats.iter().find(|format| format.payload_type == opus)?;
    if fmtp_value(coded.fmtp.unwrap_or_default(), "useinbandfec") == Some("1") {
        return None;
    }
    let is_red = |format: &&Format<'_>| {
        let mut of = format.fmtp.unwrap_or_default().split('/').map(payload_type);
        is_free(format.payload_type)
            && format.payload_type != opus
            && format.map.is_some_and(|map| map.eq_ignore_ascii_case("red/48000/2"))
            && of.all(|of| of == Some(opus))
    };
    section.formats.iter().find(is_red).map(|format| format.payload_type)
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

/// How good a format is, 0 best; `None` when it cannot be used: our pictures are 4:2:0.
fn rank(codec: Codec, depth: BitDepth, fmtp: &str) -> Option<u8> {
    let is = |key: &str, wanted: &str| {
        fmtp_value(fmtp, key).is_none_or(|value| value.eq_ignore_ascii_case(wanted))
    };
    let is_profile =
        |unsaid: &str, wanted: &str| fmtp_value(fmtp, "profile-id").unwrap_or(unsaid) == wanted;
    let ten = depth == BitDepth::Ten;
    let usable = match codec {
        Codec::H264 if !ten => return rank_h264(fmtp),
        // RFC 7798 §7.1: the main profile (1, that of 10 bits is 2) and one stream are what is meant where
        // nothing is said.
        Codec::H265 => {
            let profile = is_profile("1", if ten { "2" } else { "1" });
            is("profile-space", "0") && profile && is("tx-mode", "SRST")
        }
        // AV1 RTP payload §7.2.1: the main profile where nothing is said. It has both depths, and no
        // parameter says which a decoder takes: those of libwebrtc and WebKit refuse pictures of 10 bits
        // (`dav1d_decoder.cc`), so that a browser would show nothing.
        Codec::Av1 => !ten && is("profile", "0"),
        // RFC 9628 §6.1.
        Codec::Vp9 => is_profile("0", if ten { "2" } else { "0" }),
        // RFC 7741 §6.1: bounds of size and rate, which browsers leave out.
        Codec::Vp8 => !ten,
        Codec::H264 => false,
    };
    usable.then_some(0)
}

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

/// The stack below matches formats of H.264 only when both parameters are spelt out.
fn complete_fmtp(codec: Codec, fmtp: &str) -> String {
    if codec != Codec::H264 || fmtp_value(fmtp, "profile-level-id").is_some() {
        fmtp.to_owned()
    } else {
        format!("{fmtp};profile-level-id=42001f")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_profiles_and_refuses_the_rest() {
        let rank = |id: &str| rank_h264(&format!("packetization-mode=1;profile-level-id={id}"));
        assert!(rank("42e01f") < rank("42001f"));
        assert!(rank("42001f") < rank("4d001f"));
        assert_eq!(rank("42E01F"), rank("42e01f"));
        assert_eq!(rank("64001f"), None);
        assert_eq!(rank("42e0"), None);
        assert_eq!(rank("zzzzzz"), None);
        assert_eq!(rank_h264("profile-level-id=42e01f;packetization-mode=0"), None);
        assert_eq!(rank_h264("profile-level-id=42e01f"), None, "mode 0 is the default");
        assert_eq!(rank_h264("packetization-mode=1"), Some(3));
    }

    #[test]
    fn other_codecs_are_taken_in_their_first_profile() {
        for (codec, fmtp) in [
            (Codec::H265, ""),
            (Codec::H265, "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST"),
            (Codec::Av1, ""),
            (Codec::Av1, "level-idx=5;profile=0;tier=0"),
            (Codec::Vp9, ""),
            (Codec::Vp9, "profile-id=0"),
            (Codec::Vp8, "max-fr=30; max-fs=3600"),
        ] {
            assert_eq!(rank(codec, BitDepth::Eight, fmtp), Some(0), "{codec:?} {fmtp}");
        }
        for (codec, fmtp) in [
            (Codec::H265, "level-id=93;profile-id=2;tier-flag=0;tx-mode=SRST"),
            (Codec::H265, "profile-id=1;tx-mode=MRST"),
            (Codec::Av1, "level-idx=5;profile=1;tier=0"),
            (Codec::Vp9, "profile-id=2"),
            (Codec::Vp9, "profile-id=x"),
        ] {
            assert_eq!(rank(codec, BitDepth::Eight, fmtp), None, "{codec:?} {fmtp}");
        }
    }

    #[test]
    fn ten_bits_need_a_profile_that_has_them() {
        for (codec, fmtp, taken) in [
            (Codec::H265, "level-id=93;profile-id=2;tier-flag=0;tx-mode=SRST", true),
            (Codec::H265, "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST", false),
            (Codec::H265, "", false),
            (Codec::Vp9, "profile-id=2", true),
            (Codec::Vp9, "profile-id=0", false),
            (Codec::Vp9, "profile-id=3", false),
            (Codec::Vp9, "", false),
            (Codec::Av1, "level-idx=5;profile=0;tier=0", false),
            (Codec::Av1, "", false),
            (Codec::Vp8, "", false),
            (Codec::H264, "packetization-mode=1;profile-level-id=42e01f", false),
            (Codec::H264, "packetization-mode=1;profile-level-id=6e001f", false),
        ] {
            assert_eq!(rank(codec, BitDepth::Ten, fmtp).is_some(), taken, "{codec:?} {fmtp}");
        }
    }
}
