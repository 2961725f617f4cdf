use super::*;
use encoder::choice::{Accepts, Cost};
use encoder::{Demand, Outcome, Preference};
use media::{CodecSet, EncoderCapabilities, FrameRate, Mark, PixelFormat};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use session::rate::RateConfig;

use crate::drive::rates::Rates;
use crate::wire::{LONGEST, LONGEST_REASON};

fn side() -> ClientSide {
    let video = wire::Video { width: 1280, height: 720, fps: 30, max_kbps: 8000, hdr: true };
    ClientSide::new(Role::Player, video, choice(), MediaTime::ZERO)
}

/// A card that is missing, and two encoders of which neither keeps up.
fn choice() -> Choice {
    let missing = Outcome::Declined { reason: "missing: its driver".into() };
    let slow = |millis: u32| Outcome::Works {
        cost: Cost { micros_per_megapixel: millis * 1_000, ten_bits: None },
        accepts: Accepts::of(&EncoderCapabilities::plain("", Codec::H264)),
    };
    let verdict = |name, hardware, outcome| encoder::Verdict {
        name,
        codec: Codec::H264,
        hardware,
        outcome,
        full: None,
    };
    let table = [
        verdict("card", true, missing),
        verdict("slower", false, slow(90)),
        verdict("slow", false, slow(80)),
    ];
    let demand = Demand {
        size: Size::new(1_000, 1_000),
        rate: FrameRate::fps(50),
        format: PixelFormat::Nv12,
        waves: false,
        decodes: CodecSet::of(&[Codec::H264]),
        holds: None,
    };
    encoder::choose(&table, &demand, &Preference::default())
}

#[test]
fn the_client_is_told_what_is_in_use_and_why_nothing_better() {
    let hello = |side: &ClientSide| match side.hello(
        "session",
        "device",
        None,
        None,
        wire::MicrophoneAccess::NotByGame,
    ) {
        ServerMessage::Hello { encoder, encoder_caveat, declined, .. } => {
            (encoder, encoder_caveat.expect("neither keeps up"), declined)
        }
        other => panic!("{other:?}"),
    };
    let mut side = side();
    side.encoder_opened("slow", Codec::H264);
    let (encoder, caveat, declined) = hello(&side);
    assert_eq!(encoder, "slow");
    assert!(caveat.starts_with("used although it takes 80.0 ms"), "{caveat}");
    let slower = "slower: takes 90.0 ms for a picture of 1000x1000, more than 60% of the 20.0 ms between two";
    assert_eq!(declined, ["card: missing: its driver", slower]);
    side.encoder_given_up("slow", "it hung");
    side.encoder_given_up("slow", "its device is lost");
    side.encoder_opened("slower", Codec::H264);
    let (encoder, caveat, declined) = hello(&side);
    assert_eq!(encoder, "slower");
    assert!(caveat.contains("90.0 ms"), "{caveat}");
    assert_eq!(declined, ["card: missing: its driver", "slow: its device is lost"]);
    // One that works again has no reason against it.
    side.encoder_opened("slow", Codec::H264);
    assert_eq!(hello(&side).2, ["card: missing: its driver", slower]);
    let slow = hello(&side).1;
    side.size_refused(Some((Size::new(3, 1), "slow: 3x1 is odd".into())));
    assert_eq!(hello(&side).1, "pictures of 3x1 are left out (slow: 3x1 is odd)");
    side.size_refused(None);
    assert_eq!(hello(&side).1, slow);
}

#[test]
fn the_client_is_told_whether_it_has_hdr_and_why_not() {
    let mut side = side();
    let hello = |side: &ClientSide| match side.hello(
        "session",
        "device",
        None,
        None,
        wire::MicrophoneAccess::NotByGame,
    ) {
        ServerMessage::Hello { video, hdr_declined, .. } => (video.hdr, hdr_declined),
        other => panic!("{other:?}"),
    };
    assert_eq!(hello(&side), (true, None));
    side.encoders_chosen(choice(), Some("it decodes none".into()));
    assert_eq!(hello(&side), (false, Some("it decodes none".into())));
    // Another client, which has it.
    side.encoders_chosen(choice(), None);
    assert_eq!(hello(&side), (true, None));
}

fn stats(side: &mut ClientSide, now: MediaTime) -> wire::Stats {
    let counts = SourceCounts {
        frames: 0,
        unchanged: 0,
        starved: 0,
        drawn: Size::new(640, 360),
        coded: Size::new(1280, 720),
    };
    let encoder = encoder::WorkerStats::default();
    let rates = Rates::new(now, RateConfig::default());
    let rate = (rates.encoder_target(), rates.stats(now));
    match side.stats(now, rate, Heard::default(), &counts, &encoder, wire::Viewers::default()) {
        ServerMessage::Stats(stats) => stats,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_frame_is_followed_from_capture_to_presentation() {
    let mut side = side();
    let ms = MediaTime::from_millis;
    let Some(ServerMessage::Ping { id }) = side.ping(ms(0)) else { panic!("no ping") };
    // The client's clock is a second ahead; the answer took 2 ms in all.
    let pong = format!(r#"{{"type":"pong","id":{id},"client_us":1001000}}"#);
    assert_eq!(side.said(ms(2), pong.as_bytes()).unwrap(), Said::Nothing);
    let mut stages = StageTimes::captured(ms(10));
    stages.mark(Mark::Encoded, ms(16));
    stages.mark(Mark::LastSent, ms(17));
    side.frame_sent(ms(17), FrameId(1), 900, 5_000, &stages);
    let report =
        r#"{"type":"frames","frames":[{"rtp":900,"decoded_us":1021000,"presented_us":1023000}]}"#;
    assert_eq!(side.said(ms(30), report.as_bytes()).unwrap(), Said::Decoded(FrameId(1)));
    // Told twice, it is no news.
    assert_eq!(side.said(ms(30), report.as_bytes()).unwrap(), Said::Nothing);
    let stats = stats(&mut side, ms(31));
    let total = stats.total.unwrap();
    assert!((total.p50 - 13.0).abs() <= 1.0, "{total:?}");
    let named: Vec<_> = stats.stages.iter().map(|stage| stage.stage.as_str()).collect();
    assert_eq!(named, ["encode", "send", "network", "present"]);
    assert_eq!((stats.rtt_ms, stats.kbps), (Some(2.0), 40));
}

#[test]
fn a_client_that_has_shown_the_newest_frame_lacks_nothing() {
    let mut side = side();
    let ms = MediaTime::from_millis;
    side.frame_sent(ms(10), FrameId(1), 900, 5_000, &StageTimes::captured(ms(1)));
    assert!(!side.lacks_nothing(ms(9_000)), "it has not said that it saw the frame");
    let report = |rtp| {
        format!(r#"{{"type":"frames","frames":[{{"rtp":{rtp},"decoded_us":1,"presented_us":1}}]}}"#)
    };
    side.said(ms(20), report(899).as_bytes()).unwrap();
    assert!(!side.lacks_nothing(ms(9_000)), "that was another frame");
    side.said(ms(30), report(900).as_bytes()).unwrap();
    assert!(!side.lacks_nothing(ms(500)), "a request so soon is a loss");
    assert!(side.lacks_nothing(ms(9_000)));
    side.frame_sent(ms(9_100), FrameId(2), 999, 5_000, &StageTimes::captured(ms(9_090)));
    assert!(!side.lacks_nothing(ms(19_000)));
}

#[test]
fn an_acknowledgement_names_the_newest_decoded_frame_that_was_sent() {
    let mut side = side();
    let ms = MediaTime::from_millis;
    for n in 1..4 {
        let stages = StageTimes::captured(ms(n));
        side.frame_sent(ms(n), FrameId(n), 900 * n as u32, 5_000, &stages);
    }
    let ack =
        |wire_timestamp, state| media::FrameAck { wire_timestamp, state, first_us: 1, last_us: 2 };
    let acked = |frames: &[(u32, FrameState)]| {
        let frames = frames.iter().map(|&(rtp, state)| ack(rtp, state)).collect();
        side.acked(&Acks { decode_queue: None, frames })
    };
    use FrameState::{Decoded, Dropped, Received};
    assert_eq!(acked(&[(1_800, Decoded), (900, Decoded)]), Some(FrameId(2)));
    assert_eq!(acked(&[(900, Decoded), (1_800, Received), (2_700, Dropped)]), Some(FrameId(1)));
    assert_eq!(acked(&[(901, Decoded), (3_600, Decoded)]), None, "never sent");
}

#[test]
fn a_client_says_which_transport_it_took_and_when_it_needs_a_keyframe() {
    let (mut side, ms) = (side(), MediaTime::from_millis);
    let words = format!("udp is\nblocked {}", "x".repeat(300));
    let message = serde_json::json!({"type": "transport", "kind": "webrtc", "reason": words});
    let said = side.said(ms(1), message.to_string().as_bytes()).unwrap();
    assert_eq!(
        (said, side.transport().unwrap().kind),
        (Said::Transport, wire::TransportKind::WebRtc)
    );
    let reason = &side.transport().unwrap().reason;
    assert!(reason.starts_with("udp isblocked x") && reason.len() == LONGEST_REASON, "{reason}");
    let again = side.said(ms(1), message.to_string().as_bytes()).unwrap();
    assert_eq!(again, Said::Nothing, "that is known");
    side.reset(ms(2));
    assert_eq!(side.transport(), None, "the next client has its own");
    let other = br#"{"type":"transport","kind":"webtransport","reason":""}"#;
    assert_eq!(side.said(ms(3), other).unwrap(), Said::Transport);
    assert_eq!(side.transport().unwrap().kind, wire::TransportKind::WebTransport);
    assert_eq!(side.said(ms(4), br#"{"type":"keyframe"}"#).unwrap(), Said::KeyframeNeeded);
}

#[test]
fn a_client_says_where_it_shows_the_picture_and_what_it_wants_at_most() {
    let (mut side, now) = (side(), MediaTime::from_millis(1));
    let view = br#"{"type":"view","width":1280,"height":720,"dpi":144}"#;
    let place = wire::View { width: 1_280, height: 720, dpi: 144 };
    assert_eq!(side.said(now, view).unwrap(), Said::View(place));
    let quality = |max_kbps, fps| Said::Quality(wire::Quality { max_kbps, fps });
    let said = side.said(now, br#"{"type":"quality","max_kbps":2000}"#).unwrap();
    assert_eq!(said, quality(Some(2_000), None));
    assert_eq!(side.said(now, br#"{"type":"quality"}"#).unwrap(), quality(None, None));
    // Its pictures become larger; what it was granted stays.
    side.resized(Size::new(1_920, 1_080));
    let ServerMessage::Hello { video, .. } =
        side.hello("session", "device", None, None, wire::MicrophoneAccess::NotByGame)
    else {
        panic!("no greeting")
    };
    assert_eq!((video.width, video.height), (1_920, 1_080));
    assert_eq!(side.granted(), (8_000, 30));
}

#[test]
fn wrong_messages_are_refused_and_change_nothing() {
    let mut side = side();
    let now = MediaTime::from_millis(5);
    let before = format!("{:?}", stats(&mut side, now));
    let many = format!(
        r#"{{"type":"frames","frames":[{}]}}"#,
        [r#"{"rtp":1,"decoded_us":1,"presented_us":1}"#; MOST_REPORTS + 1].join(",")
    );
    let long = format!("{{\"type\":\"bye\"{}}}", " ".repeat(LONGEST));
    for message in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"type":"ping"}"#,
        r#"{"type":"pong","id":-1,"client_us":0}"#,
        r#"{"type":"visibility","visible":true,"more":1}"#,
        r#"{"type":"view","width":640,"height":360}"#,
        r#"{"type":"view","width":-640,"height":360,"dpi":96}"#,
        r#"{"type":"view","width":640,"height":360,"dpi":96,"more":1}"#,
        r#"{"type":"quality","max_kbps":"2000"}"#,
        r#"{"type":"quality","kbps":2000}"#,
        "\u{0}",
        &many,
        &long,
    ] {
        assert!(side.said(now, message.as_bytes()).is_err(), "{message:.60}");
    }
    assert_eq!(format!("{:?}", stats(&mut side, now)), before);
}

#[test]
fn input_beyond_the_cap_is_dropped_until_the_next_second() {
    let mut side = side();
    let now = MediaTime::from_millis(1);
    let passed = (0..MOST_INPUT * 2).filter(|_| side.may_input(now)).count();
    assert_eq!(passed, MOST_INPUT as usize);
    assert!(side.may_input(MediaTime::from_millis(1_001)));
    let dropped = stats(&mut side, MediaTime::from_millis(1_002)).input_dropped;
    assert_eq!(dropped, u64::from(MOST_INPUT));
    // Once in each second in which it is.
    let begins = |side: &mut ClientSide, at: u64| {
        let now = MediaTime::from_millis(at);
        (0..MOST_INPUT * 2).filter(|_| !side.may_input(now) && side.begins_to_refuse()).count()
    };
    assert_eq!([begins(&mut side, 5_000), begins(&mut side, 5_999)], [1, 0]);
    assert_eq!(begins(&mut side, 6_000), 1);
}

/// Frames that [`played`] has sent.
const SENT: u32 = 3;

/// One side of a session that has sent frames and a ping.
fn played() -> ClientSide {
    let mut side = side();
    side.ping(MediaTime::ZERO);
    for n in 0..SENT {
        let at = MediaTime::from_millis(n.into());
        side.frame_sent(at, FrameId(n.into()), n * 900, 100, &StageTimes::captured(at));
    }
    side
}

/// A message of a client, as it says it.
fn message() -> impl Strategy<Value = Value> {
    let time = || 0..=1_u64 << 53;
    let report = (0..=SENT, proptest::option::of(time()), time(), time()).prop_map(
        |(frame, received, decoded, presented)| {
            json!({
                "rtp": frame * 900, "received_us": received, "decoded_us": decoded,
                "presented_us": presented,
            })
        },
    );
    let frames = proptest::collection::vec(report, 0..=MOST_REPORTS);
    let most = || proptest::option::of(any::<u32>());
    let kind = select(vec!["webrtc", "webtransport", "websocket"]);
    prop_oneof![
        (0..2_u32, time()).prop_map(|(id, us)| json!({"type": "pong", "id": id, "client_us": us})),
        frames.prop_map(|frames| json!({"type": "frames", "frames": frames})),
        any::<bool>().prop_map(|it| json!({"type": "visibility", "visible": it})),
        any::<[u32; 3]>().prop_map(|[width, height, dpi]| {
            json!({"type": "view", "width": width, "height": height, "dpi": dpi})
        }),
        (most(), most())
            .prop_map(|(kbps, fps)| { json!({"type": "quality", "max_kbps": kbps, "fps": fps}) }),
        any::<bool>().prop_map(|it| json!({"type": "follow", "pointer": it})),
        Just(json!({"type": "keyframe"})),
        (kind, any::<String>()).prop_map(|(kind, reason)| {
            json!({"type": "transport", "kind": kind, "reason": reason})
        }),
        (any::<String>(), any::<u32>(), "[0-9a-f]{128}").prop_map(
            |(chain, sequence, signature)| {
                json!({
                    "type": "acknowledge", "chain": chain, "sequence": sequence,
                    "signature": signature,
                })
            }
        ),
        Just(json!({"type": "bye"})),
    ]
}

/// The same with something wrong about it.
fn almost(message: &Value, field: Index, how: u32, wrong: &Value) -> Vec<u8> {
    let whole = message.to_string();
    let mut changed = message.as_object().unwrap().clone();
    let name = changed.keys().nth(field.index(changed.len())).unwrap().clone();
    match how {
        // No beginning of an object is one.
        0 => whole.as_bytes()[..field.index(whole.len())].to_vec(),
        // Said twice.
        1 => format!("{},\"{name}\":{}}}", &whole[..whole.len() - 1], changed[&name]).into(),
        // A field that is unknown.
        2 => {
            changed.insert("more".to_owned(), wrong.clone());
            Value::from(changed).to_string().into()
        }
        _ => {
            changed.insert(name, wrong.clone());
            Value::from(changed).to_string().into()
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = side().said(MediaTime::from_millis(1), &bytes);
    }

    #[test]
    fn what_a_client_has_to_say_is_taken(messages in proptest::collection::vec(message(), 1..20)) {
        let mut side = played();
        for (message, at) in messages.iter().zip(5..) {
            let said = side.said(MediaTime::from_millis(at), message.to_string().as_bytes());
            let Ok(said) = said else { panic!("{message}: {said:?}") };
            if let Said::Decoded(frame) = said {
                prop_assert!(frame.0 < u64::from(SENT), "{frame:?} was never sent");
            }
            prop_assert!(side.seen().len() <= MOST_REPORTS);
            let reason = side.transport().map_or("", |told| &told.reason);
            prop_assert!(reason.chars().count() <= LONGEST_REASON);
            prop_assert!(!reason.contains(char::is_control), "{reason:?}");
        }
    }

    #[test]
    fn what_is_almost_a_message_is_refused_and_changes_nothing(
        message in message(),
        (field, how) in (any::<Index>(), 0..4_u32),
        wrong in select(vec![json!([null]), json!(-1), json!(1e300), json!({"type": "bye"})]),
    ) {
        let bytes = almost(&message, field, how, &wrong);
        let (mut side, now) = (played(), MediaTime::from_millis(5));
        let before = format!("{:?}", stats(&mut side, now));
        let said = side.said(now, &bytes);
        prop_assert!(said.is_err(), "{}: {said:?}", String::from_utf8_lossy(&bytes));
        prop_assert_eq!(format!("{:?}", stats(&mut side, now)), before);
        prop_assert_eq!((side.transport(), side.seen().len()), (None, 0));
    }
}
