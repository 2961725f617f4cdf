//! Hardware that has fewer sessions to give than the node has: who gets none takes another encoder, those
//! after it do so at once, and the operator can see it. The hardware is a double of NVIDIA's driver.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate encoder as nearlight_encoder;

#[path = "../../encoder/tests/common/mod.rs"]
mod coding;
mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use coding::gpu::Rig;
use common::{CHROMIUM, Session, ask, config, create_with, until, with_probing};
use encoder::{Candidate, InProcess, Prober, Verdict};
use nearlight::config::Config;
use nearlight::encoders::Probing;
use nearlight::node::Node;
use nearlight::serve::Server;
use serde_json::json;
use testkit::Effect;

const HARDWARE: &str = "nvenc-h264";
const WIDE_HARDWARE: &str = "nvenc-h265";
/// The other one that codes 10 bits.
const WIDE_SOFTWARE: &str = "gst-vp9enc";
/// Never, as far as these tests are concerned.
const RETRY: Duration = Duration::from_secs(3_600);

/// That hardware, and the encoder that works everywhere.
fn probing(rig: &Rig, retry: Duration) -> Probing {
    let name = encoder::openh264::NAME;
    let software = encoder::candidates().into_iter().filter(|candidate| candidate.name == name);
    let candidates = [rig.candidate(HARDWARE).clone()].into_iter().chain(software).collect();
    Probing { candidates, prober: Arc::new(InProcess), cache: None, retry }
}

/// Room for more sessions than the hardware has.
fn roomy(overrides: &[&str]) -> Config {
    config(&[&["sessions.max=8", "sessions.max_pixel_rate=1000000000"], overrides].concat())
}

fn node(rig: &Rig, retry: Duration, overrides: &[&str]) -> Arc<Node> {
    with_probing(roomy(overrides), probing(rig, retry)).unwrap()
}

async fn create(node: &Arc<Node>) -> common::Reply {
    let wish = json!({"app": "pattern", "video": {"width": 320, "height": 192}});
    create_with(&wish).of(node).await
}

async fn end(node: &Arc<Node>, session: &Session) {
    let gone = session.ask(Method::DELETE, "").bearer(&session.token).of(node).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
}

/// Waits until the node's metrics have this line.
async fn counted(node: &Arc<Node>, metric: &str, encoder: &str, value: u32) {
    let line = format!("nearlight_{metric}{{encoder=\"{encoder}\"}} {value}");
    let seen =
        async || node.metrics.encode().unwrap().lines().any(|each| each == line).then_some(());
    until(&line, seen).await;
}

/// What the API says of the hardware, and whether a session gets it.
async fn report(node: &Arc<Node>) -> (String, bool) {
    let reply = ask(Method::GET, "/api/v1/node").of(node).await.json();
    let rows = reply["encoders"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == HARDWARE).unwrap();
    (row["verdict"].as_str().unwrap().to_owned(), row["chosen"].as_bool().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_beyond_those_of_the_hardware_take_the_next_encoder() {
    let rig = Rig::new();
    rig.gpu.encode_sessions(2).unwrap();
    let node = node(&rig, RETRY, &[]);
    assert_eq!(report(&node).await, ("ok".to_owned(), true));
    let first = create(&node).await.session();
    create(&node).await.session();
    counted(&node, "encoder_sessions", HARDWARE, 2).await;

    // Found out by the session that gets none, which is played all the same.
    create(&node).await.session();
    counted(&node, "encoder_sessions", encoder::openh264::NAME, 1).await;
    counted(&node, "encoder_sessions_refused_total", HARDWARE, 1).await;
    let full = "has no session to give while 2 of this node's are open";
    assert_eq!(report(&node).await, (full.to_owned(), false));

    // Known to the one after it.
    create(&node).await.session();
    counted(&node, "encoder_sessions", encoder::openh264::NAME, 2).await;
    counted(&node, "encoder_sessions_refused_total", HARDWARE, 1).await;

    // What is given back is given again.
    end(&node, &first).await;
    counted(&node, "encoder_sessions", HARDWARE, 1).await;
    assert_eq!(report(&node).await, ("ok".to_owned(), true));
    create(&node).await.session();
    counted(&node, "encoder_sessions", HARDWARE, 2).await;

    node.shut_down(common::PATIENCE).await;
    for encoder in [HARDWARE, encoder::openh264::NAME] {
        counted(&node, "encoder_sessions", encoder, 0).await;
    }
    rig.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_could_have_no_other_encoder_is_refused_for_now() {
    let rig = Rig::new();
    rig.gpu.encode_sessions(1).unwrap();
    let node = node(&rig, RETRY, &["video.encoder=nvenc-h264"]);
    let first = create(&node).await.session();
    counted(&node, "encoder_sessions", HARDWARE, 1).await;
    let second = create(&node).await.session();
    let reason = until("its end", async || {
        let reply = second.ask(Method::GET, "").bearer(&second.token).of(&node).await;
        (reply.status == 410).then(|| reply.problem(410, "ended-session"))
    })
    .await;
    assert_eq!(reason, "The picture could not be encoded any more.");
    let third = create(&node).await;
    let detail = third.problem(503, "refused");
    assert!(detail.contains("while 1 of this node's are open"), "{detail}");
    assert!(third.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    end(&node, &first).await;
    counted(&node, "encoder_sessions", HARDWARE, 0).await;
    create(&node).await.session();
    node.shut_down(common::PATIENCE).await;
    rig.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_other_processes_give_back_are_found() {
    let rig = Rig::new();
    let node = node(&rig, Duration::from_millis(1), &[]);
    // Another process takes them all.
    rig.gpu.encode_sessions(0).unwrap();
    create(&node).await.session();
    counted(&node, "encoder_sessions_refused_total", HARDWARE, 1).await;
    let others = "has no session to give: others hold all of them";
    assert_eq!(report(&node).await, (others.to_owned(), false));
    rig.gpu.encode_sessions(8).unwrap();
    until("it has one again", async || report(&node).await.1.then_some(())).await;
    create(&node).await.session();
    counted(&node, "encoder_sessions", HARDWARE, 1).await;
    node.shut_down(common::PATIENCE).await;
    rig.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn hardware_without_a_session_at_the_start_is_tried_again() {
    let rig = Rig::new();
    rig.gpu.encode_sessions(0).unwrap();
    let probing = probing(&rig, Duration::from_millis(1));
    let open = |config| with_probing(config, probing);
    let server = Server::bind_with(roomy(&[]), open).await.unwrap();
    let node = server.node();
    let (verdict, chosen) = report(node).await;
    assert!(verdict.starts_with("busy: ") && !chosen, "{verdict}");
    rig.gpu.encode_sessions(8).unwrap();
    until("it has one", async || report(node).await.1.then_some(())).await;
    create(node).await.session();
    counted(node, "encoder_sessions", HARDWARE, 1).await;
    server.shut_down().await;
    rig.assert_clean();
}

/// A client offers a connection: to the server that is a client that came back.
async fn reconnect(node: &Arc<Node>, session: &Session) {
    let offer = session.ask(Method::POST, "/whep").bearer(&session.token).sdp(CHROMIUM);
    let reply = offer.of(node).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_gets_hardware_that_has_a_session_again() {
    let rig = Rig::new();
    rig.gpu.encode_sessions(1).unwrap();
    let node = node(&rig, RETRY, &[]);
    let first = create(&node).await.session();
    counted(&node, "encoder_sessions", HARDWARE, 1).await;
    let second = create(&node).await.session();
    counted(&node, "encoder_sessions", encoder::openh264::NAME, 1).await;
    end(&node, &first).await;
    until("it has one again", async || report(&node).await.1.then_some(())).await;
    // Nothing changes for a client that is there, and it does for the next one.
    counted(&node, "encoder_sessions", encoder::openh264::NAME, 1).await;
    reconnect(&node, &second).await;
    counted(&node, "encoder_sessions", HARDWARE, 1).await;
    counted(&node, "encoder_sessions", encoder::openh264::NAME, 0).await;
    reconnect(&node, &second).await;
    node.shut_down(common::PATIENCE).await;
    // At the start, by the first session, in vain by the second one, and by that again.
    let asked = rig.calls("nvEncOpenEncodeSessionEx").len();
    assert_eq!(asked, 4, "what is in use is not opened anew for another client");
    rig.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn hardware_that_refuses_a_session_after_another_codec_is_still_full() {
    let rig = Rig::new();
    let mut probing = probing(&rig, RETRY);
    probing.candidates.insert(0, rig.candidate(WIDE_HARDWARE).clone());
    let codecs = "video.codecs=[\"h265\", \"h264\"]";
    let node = with_probing(roomy(&[codecs]), probing).unwrap();
    let session = create(&node).await.session();
    counted(&node, "encoder_sessions", WIDE_HARDWARE, 1).await;
    // Another process takes the rest, and the one that is given up for a client without H.265.
    rig.gpu.encode_sessions(0).unwrap();
    reconnect(&node, &session).await;
    counted(&node, "encoder_sessions_refused_total", HARDWARE, 1).await;
    counted(&node, "encoder_sessions", encoder::openh264::NAME, 1).await;
    counted(&node, "encoder_sessions", WIDE_HARDWARE, 0).await;
    let others = "has no session to give: others hold all of them";
    assert_eq!(report(&node).await, (others.to_owned(), false));
    node.shut_down(common::PATIENCE).await;
    rig.assert_clean();
}

/// Tries in this process, each when it is told to.
struct Gate(Mutex<Receiver<()>>);

impl Prober for Gate {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        self.0.lock().unwrap().recv().unwrap();
        InProcess.probe(candidates)
    }
}

fn gated(rig: &Rig) -> (Probing, Sender<()>) {
    let (open, wait) = channel();
    let prober = Arc::new(Gate(Mutex::new(wait)));
    (Probing { prober, ..probing(rig, RETRY) }, open)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_gets_an_encoder_that_broke_once_it_works_again() {
    let rig = Rig::new();
    let (probing, open) = gated(&rig);
    open.send(()).unwrap();
    let node = with_probing(roomy(&[]), probing).unwrap();
    // The driver lost its device when the session began, and has it again.
    rig.gpu.plan_encode("nvEncOpenEncodeSessionEx", 1, 1, Effect::Status(5)).unwrap();
    let session = create(&node).await.session();
    counted(&node, "encoder_sessions", encoder::openh264::NAME, 1).await;
    open.send(()).unwrap();
    let line = format!("nearlight_encoder_sessions{{encoder=\"{HARDWARE}\"}} 1");
    until("the better one to be used", async || {
        reconnect(&node, &session).await;
        node.metrics.encode().unwrap().lines().any(|each| each == line).then_some(())
    })
    .await;
    counted(&node, "encoder_sessions", encoder::openh264::NAME, 0).await;
    node.shut_down(common::PATIENCE).await;
    rig.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_not_shown_high_range_by_an_encoder_that_broke_and_is_alone_in_its_codec() {
    let rig = Rig::new();
    let mut probing = probing(&rig, RETRY);
    let wide = encoder::candidates().into_iter().find(|each| each.name == WIDE_SOFTWARE);
    probing.candidates.splice(0..1, [rig.candidate(WIDE_HARDWARE).clone(), wide.unwrap()]);
    let codecs = "video.codecs=[\"h265\", \"vp9\", \"h264\"]";
    let node = with_probing(roomy(&[codecs]), probing).unwrap();
    let wish = json!({"app": "wide", "video": {"width": 320, "height": 192, "hdr": true}});
    // It decodes 10 bits of H.265 and of nothing else.
    let main_10 = "a=rtpmap:49 H265/90000\r\na=fmtp:49 profile-id=2\r\n";
    let offer = CHROMIUM
        .replace("96 97 98 99 108 109 35", "96 97 98 99 108 109 35 49")
        .replace("a=rtcp-rsize\r\n", &format!("a=rtcp-rsize\r\n{main_10}"));
    for (first, answer) in [(WIDE_HARDWARE, "49 H265"), (WIDE_SOFTWARE, "108 H264")] {
        if first != WIDE_HARDWARE {
            let lost = Effect::Status(5);
            rig.gpu.plan_encode("nvEncOpenEncodeSessionEx", 1, 1, lost).unwrap();
        }
        let session = create_with(&wish).of(&node).await.session();
        counted(&node, "encoder_sessions", first, 1).await;
        let offer = session.ask(Method::POST, "/whep").bearer(&session.token).sdp(offer.clone());
        let reply = offer.of(&node).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let text = reply.text();
        assert!(text.contains(&format!("a=rtpmap:{answer}/90000")), "{text}");
        end(&node, &session).await;
        counted(&node, "encoder_sessions", WIDE_HARDWARE, 0).await;
    }
    node.shut_down(common::PATIENCE).await;
    rig.assert_rules();
}
