//! Sessions with a client on them: a WebRTC peer in this process, made by the transport's own tests.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate transport as nearlight_transport;

mod common;
mod player;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::Method;
use bytes::{Bytes, BytesMut};
use common::{config, create, create_with, node, serve, until, with_probing};
use encoder::choice::{Accepts, Cost};
use encoder::h264::{NalKind, Sps, nals};
use encoder::{Candidate, EncoderSettings, Outcome, Prober, Verdict, Wake};
use media::{Codec, DataChannel, EncodeError, Encoded, Encoder, EncoderCapabilities, Size};
use nearlight::encoders::Probing;
use nearlight::node::Node;
use player::frames::{first_unit, next_unit};
use player::{ended, first_size, join, join_as, lives, next_size, said, state, touch};
use rtc::rtp::codec::vp8::Vp8Packet;
use rtc::rtp::packetizer::Depacketizer as _;
use serde_json::json;
use testkit::Inert;

fn metric(node: &Node, line: &str) -> bool {
    node.observe();
    node.metrics.encode().unwrap().lines().any(|each| each == line)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_sends_frames_and_tells_how_it_goes() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let mut client = join(&node, &session).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        let (_, time, unit) = client.frame().await;
        assert!(unit.starts_with(&[0, 0, 0, 1]), "Annex B");
        times.push(time);
    }
    assert!(times.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) < 1 << 31), "{times:?}");
    let stats = said(&mut client, "stats").await;
    assert_eq!(stats["coded"], json!([128, 96]));
    lives(&node, &session).await;
    client.send(DataChannel::Control, br#"{"type":"bye"}"#).await;
    assert_eq!(ended(&node, &session).await, "The player ended the session.");
}

/// The encoder follows what the client of now decodes.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_other_codecs_takes_a_session_over() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let mut first = join(&node, &session).await;
    first.frame().await;
    let only_vp8 = |offer: String| offer.replace("H264", "H262");
    let mut second = join_as(&node, &session, Codec::Vp8, only_vp8).await;
    // A keyframe, and others that follow it without a gap. A machine that stood still costs another keyframe, and packets where
    // a socket was full: it begins anew then.
    let five = async {
        let (mut pictures, mut passed) = (Vec::<(u16, Bytes)>::new(), 0_u32);
        while pictures.len() < 5 {
            let packet = second.packet().await;
            assert_eq!(packet.header.payload_type, 96, "VP8 in this client's offer");
            let mut read = Vp8Packet::default();
            let piece = read.depacketize(&packet.payload).unwrap();
            let last = pictures.last().map(|(number, _)| *number);
            let steps = last.map(|last| read.picture_id.wrapping_sub(last));
            // RFC 6386 §9.1: a keyframe's first bit is 0, and its start code follows the tag.
            if read.s == 1 && piece[0] & 1 == 0 {
                pictures = vec![(read.picture_id, piece)];
            } else if read.s == 1 && steps == Some(1) {
                pictures.push((read.picture_id, piece));
            } else if steps != Some(0) {
                pictures.clear();
                // What was sent before this end was ready is lost, too, and asked for as players do, now and then.
                if passed.is_multiple_of(30) {
                    second.picture_loss(packet.header.ssrc).await;
                }
                passed += 1;
            }
        }
        pictures
    };
    let pictures = tokio::time::timeout(common::PATIENCE, five).await.expect("five in a row");
    assert_eq!(pictures[0].1[3..6], [0x9d, 0x01, 0x2a]);
    // And back.
    join(&node, &session).await.frame().await;
    lives(&node, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_its_session_and_no_other() {
    let node = node(&[]);
    let sound = create().of(&node).await.session();
    let mut witness = join(&node, &sound).await;
    witness.frame().await;
    let doomed = create_with(&json!({"app": "panics"})).of(&node).await.session();
    let mut client = join(&node, &doomed).await;
    touch(&mut client).await;
    let last = said(&mut client, "ended").await;
    let sentence = "An internal fault ended the session. The others go on.";
    assert_eq!(last["reason"], sentence);
    assert_eq!(ended(&node, &doomed).await, sentence);
    assert!(metric(&node, "nearlight_sessions_ended_total{reason=\"internal_fault\"} 1"));
    for _ in 0..10 {
        witness.frame().await;
    }
    lives(&node, &sound).await;
    let again = create().of(&node).await.session();
    join(&node, &again).await.frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_panics_ends_its_session_and_no_other() {
    let node = node(&["sessions.max=2"]);
    let sound = create().of(&node).await.session();
    let mut witness = join(&node, &sound).await;
    let doomed = create_with(&json!({"app": "panics-at-input"})).of(&node).await.session();
    let mut client = join(&node, &doomed).await;
    touch(&mut client).await;
    assert_eq!(ended(&node, &doomed).await, "the session failed");
    // Counted when all that it had is dropped.
    let ended = "nearlight_sessions_ended_total{reason=\"internal_fault\"} 1";
    until("the count", async || metric(&node, ended).then_some(())).await;
    witness.frame().await;
    // Its place is free.
    let again = create().of(&node).await.session();
    join(&node, &again).await.frame().await;
    lives(&node, &sound).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_who_floods_loses_the_session_and_nobody_else_does() {
    let (clock, open) = common::bent();
    let node = open(config(&[])).unwrap();
    let sound = create().of(&node).await.session();
    let mut witness = join(&node, &sound).await;
    witness.frame().await;
    let floods_of: [common::Flood; 2] =
        [(DataChannel::Input, common::press), (DataChannel::Control, common::wish)];
    let mut flooded = Vec::new();
    for (channel, message) in floods_of {
        let session = create().of(&node).await.session();
        let mut client = join(&node, &session).await;
        client.opened(channel).await;
        let (on, of) = (node.clone(), session.clone());
        flooded.push((session, async move {
            let sender = client.channels[&(channel as u16)].clone();
            let floods = async {
                for n in 0.. {
                    if sender.send(BytesMut::from(&message(n)[..])).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            };
            // This stack goes on for as long as its own end is open.
            tokio::select! {
                () = floods => {}
                _ = ended(&on, &of) => {}
            }
        }));
    }
    let sees = async || {
        witness.frame().await;
    };
    common::assert_floods_end_alone(&node, &clock, flooded, sees).await;
    lives(&node, &sound).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_device_suspends_the_session_until_another_is_there() {
    let node = node(&[]);
    let session = create_with(&json!({"app": "loses-device"})).of(&node).await.session();
    let mut client = join(&node, &session).await;
    client.frame().await;
    touch(&mut client).await;
    until("the suspension", async || (state(&node, &session).await == "suspended").then_some(()))
        .await;
    client.send(DataChannel::Input, &common::press(0)).await;
    until("the return", async || (state(&node, &session).await == "live").then_some(())).await;
    // What was on its way before the loss has long arrived when these are captured.
    let (_, before, _) = client.frame().await;
    let after = async {
        loop {
            let (_, time, _) = client.frame().await;
            // A second of the 90 kHz clock: more than anything that was queued.
            if time.wrapping_sub(before) > 90_000 {
                return;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, after).await.expect("it plays on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_display_is_followed_to_its_new_size_and_to_its_end() {
    let node = node(&[]);
    let wish = json!({"app": "display", "video": {"width": 128, "height": 96, "fps": 30}});
    let session = create_with(&wish).of(&node).await.session();
    let mut client = join(&node, &session).await;
    assert_eq!(first_size(&mut client).await, Size::new(128, 96));
    touch(&mut client).await;
    // A picture of before may still be on its way.
    until("a picture of the new size", async || {
        (next_size(&mut client).await == common::RESIZED).then_some(())
    })
    .await;
    lives(&node, &session).await;
    touch(&mut client).await;
    assert_eq!(said(&mut client, "ended").await["reason"], "The programme came to its end.");
    assert_eq!(ended(&node, &session).await, "The programme came to its end.");
}

#[tokio::test(flavor = "multi_thread")]
async fn bits_that_are_too_few_make_pictures_smaller_at_the_price_of_a_keyframe_that_is_counted() {
    // 0.02 bits a pixel at the full size, 0.035 at three quarters of its edges.
    let node = node(&["video.min_rate=160 kbit/s", "video.start_rate=160 kbit/s"]);
    let video = json!({"width": 640, "height": 416, "fps": 30, "max_kbps": 160});
    let session = create_with(&json!({"app": "pattern", "video": video})).of(&node).await.session();
    let mut client = join(&node, &session).await;
    let size = |unit: &[u8]| {
        let sps = nals(unit).find(|nal| nal.kind() == NalKind::Sps);
        sps.map(|nal| Sps::parse(nal.bytes()).unwrap().size())
    };
    let smaller = async {
        let mut sizes = vec![Size::new(640, 416)];
        while sizes.last() != Some(&Size::new(480, 312)) {
            let (unit, _) = next_unit(&mut client).await;
            sizes.extend(size(&unit).filter(|size| sizes.last() != Some(size)));
        }
        sizes
    };
    let sizes = tokio::time::timeout(common::PATIENCE, smaller).await.expect("smaller pictures");
    assert_eq!(sizes.len(), 2, "one step after the other: {sizes:?}");
    // A machine that is busy makes too few pictures to fill the link, now and then.
    let by_link = async {
        loop {
            let stats = said(&mut client, "stats").await;
            let is_smaller = stats["coded"] == json!([480, 312]);
            if is_smaller && stats["rate"]["limited_by"] == "link" {
                break stats;
            }
        }
    };
    let stats = tokio::time::timeout(common::PATIENCE, by_link).await.expect("the link's limit");
    let rate = &stats["rate"];
    assert_eq!(rate["size"], json!(0.75));
    assert_eq!(rate["size_changes"], 1);
    lives(&node, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_hangs_holds_up_nobody() {
    let node = node(&["sessions.max=1"]);
    let session = create_with(&json!({"app": "hangs"})).of(&node).await.session();
    let mut client = join(&node, &session).await;
    client.frame().await;
    touch(&mut client).await;
    let deleted = session.ask(Method::DELETE, "").bearer(&session.token).of(&node).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    // Its place is free, though its thread is left behind.
    let again = create().of(&node).await.session();
    join(&node, &again).await.frame().await;
}

/// Finds that all of them work, and the second time that none of the first row comes back.
#[derive(Default)]
struct Trusting(AtomicU32);

impl Prober for Trusting {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        let again = self.0.fetch_add(1, Ordering::Relaxed) > 0;
        let accepts = Accepts::of(&EncoderCapabilities::plain("", Codec::H264));
        let cost = Cost { micros_per_megapixel: 1, ten_bits: None };
        let works = Outcome::Works { cost, accepts };
        let hangs = Outcome::Unanswered { reason: "did not answer".into() };
        let outcome = |name| if again && name == "hangs" { &hangs } else { &works };
        candidates.iter().map(|each| Verdict::of(each, outcome(each.name).clone())).collect()
    }
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

/// One that never comes back the first time, from its opening or from a picture, and then is `sound`. Counts
/// that.
fn hanging(sound: &Candidate, in_opening: bool, hung: &Arc<AtomicU32>) -> Candidate {
    let (opened, hung, other) = (AtomicU32::new(0), hung.clone(), sound.open.clone());
    let open = Arc::new(move |settings: &EncoderSettings, wake: &Wake| {
        if opened.fetch_add(1, Ordering::Relaxed) > 0 {
            return other(settings, wake);
        }
        if in_opening {
            hung.fetch_add(1, Ordering::Relaxed);
            hang();
        }
        let hung = hung.clone();
        let capabilities = EncoderCapabilities::plain("hangs", Codec::H264);
        Ok(Box::new(Inert::new(capabilities, move |_| -> Result<Encoded, EncodeError> {
            hung.fetch_add(1, Ordering::Relaxed);
            hang()
        })) as Box<dyn Encoder>)
    });
    Candidate { name: "hangs", open, ..sound.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn encoders_are_told_of_apps_whose_pictures_move_by_whole_pixels() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut candidates = encoder::candidates();
    candidates.retain(|each| each.name == "openh264");
    let (open, noted) = (candidates[0].open.clone(), told.clone());
    candidates[0].open = Arc::new(move |settings: &EncoderSettings, wake: &Wake| {
        noted.lock().unwrap().push(settings.integer_motion);
        open(settings, wake)
    });
    let prober = Arc::new(Trusting::default());
    let probing = Probing { candidates, prober, ..Probing::in_process() };
    let node = with_probing(config(&["sessions.max=2"]), probing).unwrap();
    for (app, whole) in [("pattern", false), ("display", true)] {
        let session = create_with(&json!({"app": app})).of(&node).await.session();
        join(&node, &session).await.frame().await;
        assert_eq!(told.lock().unwrap().pop(), Some(whole), "{app}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_hangs_holds_up_its_own_session_alone_and_not_its_end() {
    for in_opening in [true, false] {
        let hung = Arc::new(AtomicU32::new(0));
        let mut candidates = encoder::candidates();
        candidates.retain(|each| each.name == "openh264");
        candidates.insert(0, hanging(&candidates[0], in_opening, &hung));
        let prober = Arc::new(Trusting::default());
        let probing = Probing { candidates, prober, ..Probing::in_process() };
        let node = with_probing(config(&["sessions.max=2"]), probing).unwrap();
        let session = create().of(&node).await.session();
        let client = if in_opening { None } else { Some(join(&node, &session).await) };
        until("the hang", async || (hung.load(Ordering::Relaxed) == 1).then_some(())).await;
        let other = create().of(&node).await.session();
        let mut player = join(&node, &other).await;
        player.frame().await;
        assert_eq!(node.encoder().0, "hangs");
        let deleted = session.ask(Method::DELETE, "").bearer(&session.token).of(&node).await;
        assert_eq!(deleted.status, 204, "{}", deleted.text());
        assert_eq!(ended(&node, &session).await, "The player ended the session.");
        drop(client);
        // Its place is free, though its thread is left behind; the other one plays on.
        let again = create().of(&node).await.session();
        join(&node, &again).await.frame().await;
        player.frame().await;
        lives(&node, &other).await;
        // Later sessions do without it where a try hangs, too.
        let declined = ("openh264", vec!["hangs: did not answer".to_owned()]);
        until("the try", async || (node.encoder() == declined).then_some(())).await;
        node.shut_down(common::PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_offer_takes_the_place_of_the_old_connection() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let mut first = join(&node, &session).await;
    first.frame().await;
    let mut second = join(&node, &session).await;
    let keyframe = tokio::time::timeout(common::PATIENCE, first_unit(&mut second));
    keyframe.await.expect("a keyframe for the newcomer");
    assert_eq!(node.registry.live().len(), 1);
    lives(&node, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_ends_its_session() {
    let node = node(&["sessions.away=200ms"]);
    let session = create().of(&node).await.session();
    let mut client = join(&node, &session).await;
    client.frame().await;
    client.peer.close().await.unwrap();
    assert_eq!(ended(&node, &session).await, "The player left.");
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_on_the_channels_is_counted_and_changes_nothing() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let mut client = join(&node, &session).await;
    client.opened(DataChannel::Control).await;
    client.opened(DataChannel::Input).await;
    for nonsense in [&b"{"[..], b"null", br#"{"type":"launch"}"#, &[0xff; 100]] {
        client.send(DataChannel::Control, nonsense).await;
    }
    for nonsense in [&[1_u8][..], &[9, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0xff, 0xff, 1], &[7; 200]] {
        client.send(DataChannel::Input, nonsense).await;
    }
    until("eight refusals", async || metric(&node, "nearlight_bad_messages_total 8").then_some(()))
        .await;
    for _ in 0..5 {
        client.frame().await;
    }
    lives(&node, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_ticket_is_refused_while_its_session_lives() {
    let (clock, open) = common::bent();
    let node = open(config(&["sessions.connect=60s"])).unwrap();
    let session = create().of(&node).await.session();
    let mut client = join(&node, &session).await;
    // What is still to start when a minute passes would be late.
    client.frame().await;
    let redeem = || {
        let ticket = json!({"ticket": session.ticket}).to_string();
        session.ask(Method::POST, "/redeem").json(ticket)
    };
    clock.leap(Duration::from_secs(61));
    redeem().of(&node).await.problem(401, "unauthorized");
    client.frame().await;
    lives(&node, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_time_ends_a_session_and_its_token() {
    let (clock, open) = common::bent();
    let node = open(config(&["access.open=false", "sessions.longest=10m"])).unwrap();
    let session = create().bearer(common::OPERATOR).of(&node).await.session();
    let mut client = join(&node, &session).await;
    said(&mut client, "stats").await;
    clock.leap(Duration::from_secs(601));
    assert_eq!(
        said(&mut client, "ended").await["reason"],
        "The session reached the longest time that this node allows."
    );
    // The token is as old as the session: an operator's is asked with until all is freed.
    let operator = || session.ask(Method::GET, "").bearer(common::OPERATOR);
    until("the end of the session", async || {
        operator().of(&node).await.status.as_u16().eq(&410).then_some(())
    })
    .await;
    let two = create().bearer(common::OPERATOR).of(&node).await.session();
    two.ask(Method::GET, "").bearer(&session.token).of(&node).await.problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_ends_live_sessions_within_the_grace() {
    let grace = Duration::from_secs(50);
    let server = serve(&["server.shutdown_grace=50s"]).await;
    let node = server.node().clone();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let session = create().of(&node).await.session();
        let mut client = join(&node, &session).await;
        said(&mut client, "stats").await;
        clients.push((session, client));
    }
    // One that nobody joined ends with them.
    let lonely = create().of(&node).await.session();
    let began = Instant::now();
    server.shut_down().await;
    assert!(began.elapsed() < grace, "the grace ran out");
    assert!(node.registry.live().is_empty());
    for (session, client) in &mut clients {
        assert_eq!(said(client, "ended").await["reason"], "The node is shutting down.");
        assert_eq!(ended(&node, session).await, "The node is shutting down.");
    }
    assert_eq!(ended(&node, &lonely).await, "The node is shutting down.");
    assert!(metric(&node, "nearlight_sessions_ended_total{reason=\"node_shutdown\"} 3"));
}
