use super::*;

use proptest::prelude::*;

/// What Chromium 156 offers for `recvonly` video and a data channel, shortened.
pub(super) const CHROMIUM: &str = include_str!("../../tests/offers/chromium.sdp");

fn read(offer: &str) -> Result<OfferPlan, OfferError> {
    read_as(offer, &[Codec::H264])
}

fn read_as(offer: &str, codecs: &[Codec]) -> Result<OfferPlan, OfferError> {
    super::read(offer, codecs, BitDepth::Eight)
}

/// What of 8 bits the client decodes.
fn eight(offer: &str) -> Result<CodecSet, OfferError> {
    decodes(offer).map(|decodes| decodes.eight)
}

fn without(offer: &str, part: &str) -> String {
    offer
        .lines()
        .filter(|line| !line.contains(part))
        .fold(String::new(), |all, line| all + line + "\r\n")
}

#[test]
fn takes_constrained_baseline_and_its_retransmissions() {
    let plan = read(CHROMIUM).unwrap();
    assert_eq!(plan.video.payload_type, 108);
    assert_eq!(plan.video.rtx, Some(109));
    assert!(plan.video.fmtp.contains("42e01f"));
    assert_eq!((plan.video_sections, plan.data), (1, true));
    assert!(!plan.sdp.contains("VP8") && !plan.sdp.contains("64001f"), "{}", plan.sdp);
    assert_eq!(plan.sdp.matches("a=extmap:").count(), 2);
    assert_eq!(plan.credentials.ufrag, "Q4bF");
}

#[test]
fn what_stands_within_a_line_does_not_become_one() {
    let origin = CHROMIUM.lines().find(|line| line.starts_with("o=")).unwrap();
    let with = format!("{origin}a=candidate:1 1 udp 1 192.0.2.1 9 typ host");
    let plan = read(&CHROMIUM.replace(origin, &with)).unwrap();
    let lines: Vec<_> = plan.sdp.lines().take(5).collect();
    assert_eq!(lines, ["v=0", &with, "s=-", "t=0 0", "a=group:BUNDLE 0 1"]);
    assert!(!plan.sdp.contains("\na=candidate"), "{}", plan.sdp);
}

#[test]
fn repair_packets_are_sent_to_whom_takes_them() {
    let lines = "a=rtpmap:118 flexfec-03/90000\r\na=fmtp:118 repair-window=10000000\r\n";
    let video = CHROMIUM.find("m=video").unwrap();
    let formats = video + CHROMIUM[video..].find(" UDP/TLS/RTP/SAVPF ").unwrap() + 19;
    let first = video + CHROMIUM[video..].find("a=rtpmap:").unwrap();
    let with = |number: &str| {
        let lines = lines.replace("118", number);
        let (head, rest) = (&CHROMIUM[..formats], &CHROMIUM[formats..first]);
        format!("{head}{number} {rest}{lines}{}", &CHROMIUM[first..])
    };
    assert_eq!(read(CHROMIUM).unwrap().video.fec, None);
    let plan = read(&with("118")).unwrap();
    assert_eq!(
        (plan.video.payload_type, plan.video.rtx, plan.video.fec),
        (108, Some(109), Some(118))
    );
    assert!(plan.sdp.contains(lines) && plan.sdp.contains(" 108 109 118\r\n"), "{}", plan.sdp);
    assert_eq!(read(&plan.sdp).unwrap(), plan);
    // A number that RTP may not have here.
    assert_eq!(read(&with("70")).unwrap().video.fec, None);
}

#[test]
fn reading_what_it_wrote_changes_nothing() {
    let plan = read(CHROMIUM).unwrap();
    assert_eq!(read(&plan.sdp).unwrap(), plan);
}

#[test]
fn refusals_say_what_is_wrong() {
    let refused = |offer: &str| read(offer).unwrap_err();
    assert_eq!(refused(""), OfferError::Empty);
    assert_eq!(refused(" \r\n"), OfferError::Empty);
    assert_eq!(refused(&"v=0\r\n".repeat(20_000)), OfferError::TooLarge(100_000));
    assert!(matches!(refused("GET / HTTP/1.1"), OfferError::Malformed(_)));
    assert!(matches!(refused("v=0\r\nm=video\r\n"), OfferError::Malformed(_)));
    assert_eq!(refused(&CHROMIUM[..CHROMIUM.find("m=video").unwrap()]), {
        OfferError::Malformed("it has no ICE credentials".to_owned())
    });
    let audio_only = CHROMIUM.replace("m=video", "m=audio");
    assert_eq!(refused(&audio_only), OfferError::NoVideo);
    let OfferError::NoUsableCodec(offered) = refused(&CHROMIUM.replace("H264/90000", "H266/90000"))
    else {
        panic!("a codec was found")
    };
    assert_eq!(offered, "VP8, rtx, H266");
    let unsupported = [
        CHROMIUM.replace("a=recvonly", "a=sendonly"),
        CHROMIUM.replace("a=recvonly", "a=inactive"),
        without(CHROMIUM, "a=group"),
        without(CHROMIUM, "a=rtcp-mux"),
        CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        CHROMIUM.replace("m=application", "m=text"),
    ];
    assert_eq!(refused(&CHROMIUM.replace("m=video 9", "m=video 0")), OfferError::NoVideo);
    for offer in unsupported {
        assert!(matches!(read(&offer), Err(OfferError::Unsupported(_))), "{:?}", read(&offer));
    }
    let malformed = [
        without(CHROMIUM, "a=mid:0"),
        CHROMIUM.replace("a=mid:1", "a=mid:0"),
        without(CHROMIUM, "a=ice-ufrag"),
        CHROMIUM.replace("a=ice-ufrag:Q4bF", "a=ice-ufrag:Q"),
        CHROMIUM.replace("a=mid:0", "a=mid:0\u{0}"),
        format!("{CHROMIUM}{}", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(20)),
    ];
    for offer in malformed {
        assert!(matches!(read(&offer), Err(OfferError::Malformed(_))), "{:?}", read(&offer));
    }
}

#[test]
fn packets_are_repeated_for_those_who_make_nothing_of_error_correction() {
    let with = |map: &str, says: &str, red: &str| {
        let data = CHROMIUM.find("m=application").unwrap();
        let audio = format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=mid:s\r\na=rtcp-mux\r\na=recvonly\r\n\
             a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;{says}\r\n\
             a=rtpmap:63 {map}\r\na=fmtp:63 {red}\r\n"
        );
        let offer = [&CHROMIUM[..data], &audio, &CHROMIUM[data..]].concat();
        read(&offer.replacen("BUNDLE 0 1", "BUNDLE 0 1 s", 1)).unwrap()
    };
    let red = "red/48000/2";
    for says in ["useinbandfec=0", "stereo=1"] {
        let plan = with(red, says, "111/111");
        assert_eq!((plan.opus, plan.red), (Some(111), Some(63)), "{says}");
        assert!(plan.sdp.contains("SAVPF 111 63\r\n"), "{}", plan.sdp);
        assert!(plan.sdp.contains("a=fmtp:63 111/111\r\n"), "{}", plan.sdp);
        assert_eq!(read(&plan.sdp).unwrap(), plan);
    }
    for (map, says, of) in [
        (red, "useinbandfec=1", "111/111"),
        (red, "useinbandfec=0", "111/0"),
        (red, "useinbandfec=0", ""),
        ("red/8000", "useinbandfec=0", "111/111"),
    ] {
        assert_eq!(with(map, says, of).red, None, "{map} {says} {of}");
    }
}

#[test]
fn sound_is_for_offers_whose_first_section_of_it_takes_opus() {
    let video = CHROMIUM.find("m=video").unwrap();
    let data = video + CHROMIUM[video..].find("m=application").unwrap();
    let with = |sections: &[(&str, &str)]| {
        let (mut offer, mut mids) = (CHROMIUM[..data].to_owned(), String::new());
        for (n, (codec, direction)) in sections.iter().enumerate() {
            offer += &format!(
                "m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\na=mid:s{n}\r\na=rtcp-mux\r\na={direction}\r\n\
                 a=rtpmap:63 red/48000/2\r\na=rtpmap:111 {codec}\r\na=rtcp-fb:111 transport-cc\r\n"
            );
            mids += &format!(" s{n}");
        }
        offer += &CHROMIUM[data..];
        read(&offer.replacen("BUNDLE 0 1", &format!("BUNDLE 0 1{mids}"), 1)).unwrap()
    };
    let opus = "opus/48000/2";
    let plan = with(&[(opus, "recvonly")]);
    assert_eq!((plan.listens, plan.opus), (true, Some(111)));
    assert!(plan.sdp.contains("a=rtcp-fb:111 transport-cc\r\n"), "{}", plan.sdp);
    assert!(!plan.sdp.contains("red/48000"), "{}", plan.sdp);
    assert_eq!(read(&plan.sdp).unwrap(), plan);
    assert!(with(&[(opus, "sendrecv")]).listens && with(&[(opus, "sendrecv")]).speaks);
    assert!(with(&[(opus, "sendonly")]).speaks);
    for sections in [
        &[(opus, "recvonly")][..],
        &[(opus, "inactive")],
        &[("PCMU/8000", "sendrecv"), (opus, "sendrecv")],
        &[],
    ] {
        assert!(!with(sections).speaks, "{sections:?}");
    }
    for sections in [
        &[(opus, "sendonly")][..],
        &[(opus, "inactive")],
        &[("PCMU/8000", "recvonly")],
        &[("PCMU/8000", "recvonly"), (opus, "recvonly")],
        &[],
    ] {
        assert!(!with(sections).listens, "{sections:?}");
    }
}

#[test]
fn sections_that_are_turned_off_are_answered_so_in_their_place() {
    let video = CHROMIUM.find("m=video").unwrap();
    // Outside the bundle, and without most of what others must have.
    let off = "m=audio 0 UDP/TLS/RTP/SAVPF 0 8\r\na=mid:off\r\na=rtpmap:0 PCMU/8000\r\n";
    let text = "m=text 0 RTP/AVP 98\r\n";
    let plan = read(&format!("{}{off}{}{text}", &CHROMIUM[..video], &CHROMIUM[video..])).unwrap();
    assert_eq!(plan.sdp, read(CHROMIUM).unwrap().sdp, "the stack sees none of it");
    let places: Vec<_> = plan.disabled.iter().map(|off| (off.place, off.lines.as_str())).collect();
    assert_eq!(
        places,
        [
            (
                0,
                "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:off\r\na=rtpmap:0 PCMU/8000\r\na=inactive\r\n"
            ),
            (3, "m=text 0 RTP/AVP 98\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n"),
        ]
    );
    assert!(!plan.listens && plan.data);
    let bundled = CHROMIUM.replacen("m=application 9", "m=application 0", 1);
    let plan = read(&bundled).unwrap();
    assert!(!plan.data && !plan.sdp.contains("BUNDLE 0 1"), "{}", plan.sdp);
}

#[test]
fn a_missing_direction_means_both() {
    let plan = read(&without(CHROMIUM, "a=recvonly")).unwrap();
    assert!(plan.sdp.contains("a=sendrecv"));
}

#[test]
fn no_candidate_reaches_the_stack() {
    let line = "a=candidate:1 1 udp 2113937151 192.0.2.1 50000 typ host\r\n";
    let bad =
        "a=candidate:1 1 udp what\r\na=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\n";
    let plan = read(&format!("{CHROMIUM}{bad}{}", line.repeat(500))).unwrap();
    assert!(!plan.sdp.contains("candidate"), "{}", plan.sdp);
    assert!(matches!(
        read(&CHROMIUM.replacen("a=group:", "a=ice-lite\r\na=group:", 1)),
        Err(OfferError::Unsupported(_))
    ));
}

#[test]
fn formats_are_no_more_than_payload_types_and_their_lines_are_found_in_one_pass() {
    let m_line = CHROMIUM.lines().find(|line| line.starts_with("m=video")).unwrap();
    let more = |words: &str, times| {
        CHROMIUM.replace(m_line, &format!("{m_line}{}", format!(" {words}").repeat(times)))
    };
    let OfferError::Malformed(why) = read(&more("96", 10_000)).unwrap_err() else {
        panic!("taken for malformed")
    };
    assert_eq!(why, "more than 128 formats in a section");
    // The same one again, numbers beyond 7 bits and words are no formats; lines of none are nobody's.
    let strange = more("108 200 -1 x", 20).replace(
        "a=rtcp-mux",
        "a=rtcp-mux\r\na=rtpmap:200 H264/90000\r\na=fmtp:300 x\r\na=rtpmap:108\r\na=fmtp",
    );
    let (strange, plain) = (read(&strange).unwrap(), read(CHROMIUM).unwrap());
    assert_eq!((strange.video.payload_type, strange.video.rtx), (108, Some(109)));
    assert_eq!(strange.video.fmtp, plain.video.fmtp);

    let mut section = Section::parse("video 9 UDP/TLS/RTP/SAVPF 97 96 97").unwrap();
    section.lines = vec!["a=fmtp:96 a=1", "a=rtpmap:97 first/1", "a=rtpmap:97 second/1"];
    section.index_formats();
    let found: Vec<_> =
        section.formats.iter().map(|of| (of.payload_type, of.map, of.fmtp)).collect();
    assert_eq!(found, [(97, Some("first/1"), None), (96, None, Some("a=1"))]);
}

/// What Chromium offers beyond [`CHROMIUM`]'s.
fn with_more(offer: &str) -> String {
    let more = "a=rtpmap:45 AV1/90000\r\na=fmtp:45 level-idx=5;profile=0;tier=0\r\n\
        a=rtpmap:46 rtx/90000\r\na=fmtp:46 apt=45\r\na=rtcp-fb:45 nack pli\r\n\
        a=rtpmap:100 VP9/90000\r\na=fmtp:100 profile-id=2\r\n\
        a=rtpmap:102 VP9/90000\r\na=fmtp:102 profile-id=0\r\n\
        a=rtpmap:49 H265/90000\r\na=fmtp:49 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST\r\n";
    offer
        .replace("96 97 98 99 108 109 35", "96 97 98 99 108 109 35 45 46 100 102 49")
        .replace("a=rtcp-rsize\r\n", &format!("a=rtcp-rsize\r\n{more}"))
}

#[test]
fn every_codec_that_is_offered_is_found_and_the_first_wish_is_taken() {
    let offer = with_more(CHROMIUM);
    assert_eq!(eight(&offer), Ok(CodecSet::of(&Codec::ALL)));
    assert_eq!(eight(CHROMIUM), Ok(CodecSet::of(&[Codec::H264, Codec::Vp8])));
    for (codec, number, rtx, line) in [
        (Codec::H264, 108, Some(109), "a=rtpmap:108 H264/90000"),
        (Codec::Av1, 45, Some(46), "a=fmtp:45 level-idx=5;profile=0;tier=0"),
        (Codec::Vp9, 102, None, "a=fmtp:102 profile-id=0"),
        (Codec::Vp8, 96, Some(97), "a=rtpmap:96 VP8/90000"),
        (Codec::H265, 49, None, "a=rtpmap:49 H265/90000"),
    ] {
        let plan = read_as(&offer, &[codec, Codec::H264]).unwrap();
        assert_eq!((plan.video.codec, plan.video.payload_type), (codec, number));
        assert_eq!(plan.video.rtx, rtx);
        assert!(plan.sdp.lines().any(|found| found == line), "no {line} in\n{}", plan.sdp);
        assert_eq!(plan.sdp.matches("a=rtpmap:").count(), 1 + usize::from(rtx.is_some()));
        assert_eq!(read_as(&plan.sdp, &[codec]).unwrap(), plan, "reading it again");
    }
    let vp8 = read_as(CHROMIUM, &[Codec::Av1, Codec::Vp8]).unwrap();
    assert_eq!((vp8.video.codec, vp8.video.fmtp.as_str()), (Codec::Vp8, ""));
    let none = read_as(CHROMIUM, &[Codec::Av1]);
    assert_eq!(none, Err(OfferError::NoUsableCodec("VP8, rtx, H264".to_owned())));
}

#[test]
fn ten_bits_are_sent_as_what_the_offer_names_for_them() {
    let offer = with_more(CHROMIUM);
    let ten = |offer: &str| decodes(offer).unwrap().ten;
    assert_eq!(ten(CHROMIUM), CodecSet::of(&[]));
    assert_eq!(ten(&offer), CodecSet::of(&[Codec::Vp9]), "AV1 may mean 8 bits alone");
    let hevc = offer.replace("93;profile-id=1", "93;profile-id=2");
    assert_eq!(ten(&hevc), CodecSet::of(&[Codec::H265, Codec::Vp9]));
    let av1 = offer.replace("a=fmtp:100 profile-id=2", "a=fmtp:100 profile-id=1");
    assert_eq!(ten(&av1), CodecSet::of(&[]), "nor is it taken where nothing else is left");
    for (offer, codec, number, fmtp) in [
        (&offer, Codec::Vp9, 100, "profile-id=2"),
        (&hevc, Codec::H265, 49, "level-id=93;profile-id=2;tier-flag=0;tx-mode=SRST"),
    ] {
        let plan = super::read(offer, &[codec], BitDepth::Ten).unwrap();
        assert_eq!((plan.video.codec, plan.video.payload_type), (codec, number));
        assert_eq!(plan.video.fmtp, fmtp);
        assert_eq!(super::read(&plan.sdp, &[codec], BitDepth::Ten).unwrap(), plan);
    }
    for none in [CHROMIUM, &av1] {
        let none = super::read(none, &Codec::ALL, BitDepth::Ten);
        assert!(matches!(none, Err(OfferError::NoUsableCodec(_))), "{none:?}");
    }
}

#[test]
fn an_offer_of_ten_bits_alone_is_one_too() {
    let others = ["H264/", "VP8/", "AV1/", "H265/"].map(|name| (name, name.replace('/', "X/")));
    let offer = others.iter().fold(with_more(CHROMIUM), |sdp, (name, to)| sdp.replace(name, to));
    let offer = offer.replace("profile-id=0", "profile-id=1");
    let alone = Decodes { eight: CodecSet::of(&[]), ten: CodecSet::of(&[Codec::Vp9]) };
    assert_eq!(decodes(&offer), Ok(alone));
    assert!(super::read(&offer, &[Codec::Vp9], BitDepth::Ten).is_ok());
    let neither = offer.replace("profile-id=2", "profile-id=3");
    let named = "VP8X, rtx, H264X, AV1X, VP9, H265X".to_owned();
    assert_eq!(decodes(&neither), Err(OfferError::NoUsableCodec(named)));
}

#[test]
fn a_codec_counts_where_every_video_section_has_it() {
    let (head, rest) = CHROMIUM.split_at(CHROMIUM.find("m=video").unwrap());
    let (video, data) = rest.split_at(rest.find("m=application").unwrap());
    let second = video.replace("a=mid:0", "a=mid:2");
    let both = |second: &str| {
        format!("{}{video}{second}{data}", head.replace("BUNDLE 0 1", "BUNDLE 0 2 1"))
    };
    let plan = read_as(&both(&second), &[Codec::Vp8, Codec::H264]).unwrap();
    assert_eq!((plan.video.codec, plan.video_sections), (Codec::Vp8, 2));
    let without_vp8 = both(&second.replace("VP8", "VP7"));
    assert_eq!(eight(&without_vp8), Ok(CodecSet::of(&[Codec::H264])));
    let plan = read_as(&without_vp8, &[Codec::Vp8, Codec::H264]).unwrap();
    assert_eq!(plan.video.codec, Codec::H264);
    let apart = both(&second.replace("108", "120"));
    assert!(matches!(read(&apart), Err(OfferError::Unsupported(_))), "{:?}", read(&apart));
    let nothing = both(&second.replace("VP8", "VP7").replace("H264", "H263"));
    assert_eq!(eight(&nothing), Err(OfferError::NoUsableCodec("VP7, rtx, H263".to_owned())));
}

proptest! {
    #[test]
    fn mutated_offers_never_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..12),
    ) {
        let mut bytes = CHROMIUM.as_bytes().to_vec();
        for (at, byte, what) in cuts {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                _ => bytes.truncate(at),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let read = read_as(&text, &Codec::ALL);
        // Whoever chooses by the first is answered by the second.
        let some = eight(&text).is_ok_and(|eight| eight != CodecSet::default());
        prop_assert_eq!(some, read.is_ok(), "{:?}", read);
    }

    #[test]
    fn any_text_is_refused_or_read(text in "[ -~\r\n]{0,400}") {
        let _ = (decodes(&text), read(&text));
    }
}
