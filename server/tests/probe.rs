//! Encoders are tried by the real program in a process apart, with a driver in it that is none and does
//! what it is told; what came of it is seen where people look.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use common::{ask, config, create_with, until};
use encoder::choice::{Accepts, Cost};
use encoder::probe::{Limits, Places};
use encoder::{Cache, Candidate, ChildProber, OpenError, Outcome, Prober, Speed, Verdict};
use media::{Codec, EncoderCapabilities, Restarts};
use nearlight::encoders::Probing;
use nearlight::node::Node;
use nearlight::serve::Server;
use serde_json::{Value, json};
use testkit::FakeGpu;

/// The program under test.
const NEARLIGHT: &str = env!("CARGO_BIN_EXE_nearlight");
/// The first row of the table, which the double of the driver is behind.
const CARD: &str = "nvenc-h264";
/// Far more than a sound encoder needs, on any machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Less than a hang, which never ends.
const SHORT: Duration = Duration::from_millis(200);

/// A machine with the double of NVIDIA's driver.
struct Machine {
    gpu: FakeGpu,
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { gpu: FakeGpu::fresh().unwrap(), folder: tempfile::tempdir().unwrap() };
        std::fs::write(machine.path("version"), "550.54").unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folders that the dynamic linker looks into.
    fn libraries(&self) -> String {
        let others = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
        format!("{}:{others}", self.gpu.folder().display())
    }

    /// Runs the program with the driver in a state that `plan` describes; `first` is shell that comes
    /// before. Each process leaves a line.
    fn prober(&self, plan: &str, first: &str, hardware: Duration) -> ChildProber {
        let script = format!(
            "echo \"$@\" >> {log}; {first}
            LD_LIBRARY_PATH={libraries} FAKE_CUDA_PLAN='{plan}' exec {NEARLIGHT} probe-encoders \"$@\"",
            log = self.path("log").display(),
            libraries = self.libraries(),
        );
        ChildProber {
            program: "/bin/sh".into(),
            arguments: ["-c", &script, "sh"].map(Into::into).into(),
            limits: Limits { software: PATIENCE, hardware },
            speed: Speed::Auto,
        }
    }

    /// A node that tries encoders so and remembers what came of it.
    fn start(&self, prober: ChildProber) -> Arc<Node> {
        let places = Places {
            program: NEARLIGHT.into(),
            nvidia_version: self.path("version"),
            libraries: vec![self.gpu.folder().into()],
            ..Places::default()
        };
        let cache = Some(Cache::new(self.path("state/encoders.json"), &places));
        let probing = Probing { prober: Arc::new(prober), cache, ..Probing::in_process() };
        Node::with_apps(config(&[]), None, [], probing).unwrap()
    }

    /// What each process that was started so far was asked for.
    fn asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Processes that were started so far.
    fn started(&self) -> usize {
        self.asked().len()
    }
}

/// What the interface says of the encoders.
async fn encoders(node: &Arc<Node>) -> Vec<Value> {
    let reply = ask(Method::GET, "/api/v1/node").of(node).await;
    reply.json()["encoders"].as_array().unwrap().clone()
}

fn row<'a>(encoders: &'a [Value], name: &str) -> &'a Value {
    encoders.iter().find(|row| row["name"] == name).unwrap()
}

async fn verdict(node: &Arc<Node>, name: &str) -> String {
    row(&encoders(node).await, name)["verdict"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_driver_is_found_in_the_child_and_what_works_is_measured() {
    let machine = Machine::new();
    let node = machine.start(machine.prober("", "", PATIENCE));
    let encoders = encoders(&node).await;
    let card = row(&encoders, CARD);
    assert_eq!((card["hardware"].as_bool(), card["codec"].as_str()), (Some(true), Some("H264")));
    let said = card["verdict"].as_str().unwrap();
    assert!(said == "ok" || said.contains("Nearlight fake GPU"), "{said}");
    let sound = row(&encoders, "openh264");
    assert!(sound["us_per_megapixel"].as_u64().unwrap() > 0, "{sound}");
    assert_eq!(sound["us_per_megapixel_hdr"], Value::Null, "H.264 has eight bits here");
    let wide = row(&encoders, "nvenc-h265");
    assert!(wide["us_per_megapixel_hdr"].as_u64().is_some(), "{wide}");
    let chosen: Vec<_> = encoders.iter().filter(|row| row["chosen"] == true).collect();
    assert_eq!(chosen.len(), 1, "{encoders:?}");
    assert_eq!(chosen[0]["name"], node.encoder().0);
    assert_eq!(machine.started(), 2, "one for hardware and one for software");
}

#[tokio::test]
async fn a_driver_that_crashes_hangs_or_lies_costs_its_encoder_and_nothing_else() {
    let machine = Machine::new();
    for (plan, first, limit, expected) in [
        ("cuInit 1 1 crash", "", PATIENCE, "crashed (signal 6)"),
        ("cuInit 1 1 hang", "", SHORT, "did not answer within 0.2 s"),
        ("cuInit 1 1 100", "", PATIENCE, "the NVIDIA driver has no device"),
        ("", "case $1 in nvenc*) echo '{}'; exit;; esac", PATIENCE, "its answer makes no sense"),
        ("", "case $1 in nvenc*) exit 7;; esac", PATIENCE, "(exit status 7)"),
    ] {
        std::fs::write(machine.path("version"), format!("{plan}{first}")).unwrap();
        let node = machine.start(machine.prober(plan, first, limit));
        let said = verdict(&node, CARD).await;
        assert!(said.contains(expected), "{plan}: {said}");
        assert_eq!(row(&encoders(&node).await, CARD)["us_per_megapixel"], Value::Null);
        let (used, declined) = node.encoder();
        assert_ne!(used, CARD);
        assert!(declined.iter().any(|line| *line == format!("{CARD}: {said}")), "{declined:?}");
    }
}

#[tokio::test]
async fn a_driver_that_hangs_is_waited_for_once() {
    let machine = Machine::new();
    let node = machine.start(machine.prober("cuInit 1 1 hang", "", SHORT));
    let hung = "did not answer within 0.2 s";
    assert_eq!(verdict(&node, CARD).await, hung);
    let expected = format!("not tried: {CARD}, by the same libnvidia-encode.so.1, {hung}");
    for name in ["nvenc-h265", "nvenc-av1"] {
        assert_eq!(verdict(&node, name).await, expected);
        // No process but the one that hung was asked for it.
        let others = machine.asked().into_iter().filter(|names| !names.starts_with(CARD));
        let asked: Vec<_> = others.filter(|names| names.contains(name)).collect();
        assert_eq!(asked, [""; 0]);
    }
}

#[tokio::test]
async fn a_second_start_starts_no_process_until_the_driver_is_another() {
    let machine = Machine::new();
    let cold = machine.start(machine.prober("", "", PATIENCE));
    let started = machine.started();
    // It would be noticed if the driver was so much as opened.
    let warm = machine.start(machine.prober("cuInit 1 1 crash", "exit 9;", PATIENCE));
    assert_eq!(machine.started(), started);
    assert_eq!(encoders(&warm).await, encoders(&cold).await);
    std::fs::write(machine.path("version"), "570.86").unwrap();
    let updated = machine.start(machine.prober("cuInit 1 1 crash", "", PATIENCE));
    assert!(machine.started() > started, "another driver is another machine");
    assert_eq!(verdict(&updated, CARD).await, "crashed (signal 6)");
}

#[test]
fn the_doctor_says_what_a_broken_driver_did() {
    let machine = Machine::new();
    let doctor = Command::new(NEARLIGHT)
        .args(["doctor", "--set", "video.probe_limit=60s"])
        .env("LD_LIBRARY_PATH", machine.libraries())
        .env("FAKE_CUDA_PLAN", "cuInit 1 1 crash")
        .current_dir(machine.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.status.success(), "{said}{}", String::from_utf8_lossy(&doctor.stderr));
    let line = |name: &str| said.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    assert!(line(CARD).ends_with("crashed (signal 6)"), "{said}");
    assert!(!line("in use").contains(CARD) && !line("in use").contains("none"), "{said}");
    assert!(!machine.path("state").exists(), "the doctor leaves nothing behind");
}

#[test]
fn the_command_that_tries_encoders_is_not_for_people() {
    let help = Command::new(NEARLIGHT).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("doctor") && !help.contains("probe-encoders"), "{help}");
    let asked = Command::new(NEARLIGHT).args(["probe-encoders", "nonesuch"]).output().unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();
    assert!(said.contains("no such encoder") && said.lines().count() == 1, "{said}");
}

/// A folder of GStreamer's with one plugin in it, whose encoder goes wrong under the name of x264's.
struct Plugins(tempfile::TempDir);

impl Plugins {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tests = std::env::current_exe().unwrap();
        let built = tests.with_file_name("libnearlight_fake_gst.so");
        // The name of the file is that of the plugin.
        std::fs::copy(&built, folder.path().join("libgstnearlightfake.so")).unwrap();
        Self(folder)
    }

    /// Is written when the plugin has come to where it goes wrong.
    fn mark(&self) -> PathBuf {
        self.0.path().join("mark")
    }

    /// What each process of the last start was asked for.
    fn asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.0.path().join("log")).unwrap();
        let mut asked: Vec<_> = log.lines().map(str::to_owned).collect();
        asked.sort();
        asked
    }

    /// A node with x264, x265 and OpenH264, of which the first goes wrong so, and the second is said to go
    /// through the same plugin. They count as hardware, since the limit that they meet is not to be that of
    /// the third. `others` are in software.
    fn start(&self, what: &str, limit: Duration, others: &[&str]) -> Arc<Node> {
        let folder = self.0.path().display();
        std::fs::write(self.0.path().join("log"), "").unwrap();
        let script = format!(
            "echo \"$@\" >> {folder}/log; GST_PLUGIN_SYSTEM_PATH_1_0= GST_PLUGIN_PATH_1_0={folder} FAKE_GST={what} \
            GST_REGISTRY_1_0={folder}/registry FAKE_GST_MARK={} exec {NEARLIGHT} probe-encoders \"$@\"",
            self.mark().display()
        );
        let prober = ChildProber {
            program: "/bin/sh".into(),
            arguments: ["-c", &script, "sh"].map(Into::into).into(),
            limits: Limits { software: PATIENCE, hardware: limit },
            speed: Speed::Auto,
        };
        let mut candidates = encoder::candidates();
        let ours = ["gst-x264enc", "gst-x265enc", "openh264"];
        candidates.retain(|each| ours.contains(&each.name) || others.contains(&each.name));
        candidates[..2].iter_mut().for_each(|each| {
            (each.hardware, each.library) = (true, "nearlightfake");
        });
        let probing = Probing { candidates, prober: Arc::new(prober), ..Probing::in_process() };
        Node::with_apps(config(&[]), None, [], probing).unwrap()
    }
}

#[tokio::test]
async fn a_plugin_that_hangs_or_crashes_while_it_is_tried_costs_its_encoders_and_nothing_else() {
    let broken = Plugins::new();
    let node = broken.start("crash", PATIENCE, &[]);
    assert_eq!(node.encoder(), ("openh264", vec!["gst-x264enc: crashed (signal 6)".to_owned()]));
    assert_eq!(broken.asked(), ["gst-x264enc gst-x265enc", "gst-x265enc", "openh264"]);
    let (broken, node, hung) = hanging("hang", &[]);
    let (used, declined) = node.encoder();
    assert_eq!(used, "openh264");
    assert_eq!(declined, [format!("gst-x264enc: {hung}")]);
    // It is waited for once.
    let expected = format!("not tried: gst-x264enc, by the same nearlightfake, {hung}");
    assert_eq!(verdict(&node, "gst-x265enc").await, expected);
    assert_eq!(broken.asked(), ["gst-x264enc gst-x265enc", "openh264"]);
}

/// A node whose plugin hangs so, and what is said of that.
fn hanging(what: &str, others: &[&str]) -> (Plugins, Arc<Node>, String) {
    let broken = Plugins::new();
    let mut limit = SHORT;
    // However long the process takes to come there, it is cut short after that.
    loop {
        let node = broken.start(what, limit, others);
        if broken.mark().exists() {
            return (broken, node, format!("did not answer within {} s", limit.as_secs_f64()));
        }
        limit *= 2;
    }
}

#[tokio::test]
async fn a_plugin_that_hangs_while_gstreamer_looks_into_it_is_waited_for_once() {
    let (broken, node, hung) = hanging("hang-scan", &["gst-vp9enc", "gst-vp8enc"]);
    let (used, declined) = node.encoder();
    assert_eq!(used, "openh264");
    let expected = format!("GStreamer cannot be initialised: it {hung}");
    assert_eq!(declined, [format!("gst-x264enc: {expected}")]);
    for name in ["gst-x265enc", "gst-vp8enc", "gst-vp9enc"] {
        assert_eq!(verdict(&node, name).await, expected, "{name}");
    }
    let asked = ["gst-vp9enc gst-vp8enc openh264", "gst-x264enc gst-x265enc", "openh264"];
    assert_eq!(
        broken.asked(),
        asked,
        "a process for hardware, one for software, and one for the rest"
    );
}

/// Answers what it is told, when it is told: a try lasts until then.
struct Told(Mutex<Receiver<Outcome>>);

impl Prober for Told {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        let told = self.0.lock().unwrap();
        candidates.iter().map(|each| Verdict::of(each, told.recv().unwrap())).collect()
    }
}

fn works() -> Outcome {
    let accepts = Accepts::of(&EncoderCapabilities::plain("", Codec::H264));
    Outcome::Works { cost: Cost { micros_per_megapixel: 1, ten_bits: None }, accepts }
}

/// One candidate that worked when it was tried and breaks in a session, and a sound one; and what tells
/// their prober.
fn breaking(cache: Option<Cache>) -> (Probing, Sender<Outcome>) {
    let gone: Arc<encoder::candidates::Open> =
        Arc::new(|_, _| Err(OpenError::Refused("its device is gone".into())));
    let (name, library, codec) = ("breaks", "a double", Codec::H264);
    let breaks = Candidate { name, codec, hardware: true, library, open: gone };
    let mut candidates = vec![breaks];
    candidates.extend(encoder::candidates().into_iter().filter(|each| each.name == "openh264"));
    let (tell, told) = channel();
    let prober = Arc::new(Told(Mutex::new(told)));
    (Probing { candidates, prober, cache, retry: Duration::from_millis(1) }, tell)
}

/// A server with these encoders.
async fn serve(probing: Probing) -> Server {
    let apps = |config| common::with_probing(config, probing);
    Server::bind_with(config(&[]), apps).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_breaks_in_a_session_is_tried_until_it_works_again() {
    let (probing, tell) = breaking(None);
    tell.send(works()).unwrap();
    tell.send(works()).unwrap();
    let server = serve(probing).await;
    let node = server.node();
    assert_eq!(verdict(node, "breaks").await, "ok");
    let wish = json!({"app": "pattern", "video": {"width": 128, "height": 96, "fps": 30}});
    create_with(&wish).of(node).await.session();
    tell.send(Outcome::Declined { reason: "its device is gone".into() }).unwrap();
    until("the verdict to change", async || {
        (verdict(node, "breaks").await == "its device is gone").then_some(())
    })
    .await;
    assert_eq!(node.encoder(), ("openh264", vec!["breaks: its device is gone".to_owned()]));
    // Sessions from now on do not begin with it: nothing breaks, and nothing more is tried for them.
    create_with(&wish).of(node).await.session();
    tell.send(works()).unwrap();
    until("it to work again", async || (verdict(node, "breaks").await == "ok").then_some(())).await;
    assert_eq!(node.encoder().0, "breaks");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_answer_at_the_last_start_is_tried_again_beside_the_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::default();
    let cache = |folder: &Path| Some(Cache::new(folder.join("encoders.json"), &places));
    let crashed = "crashed (signal 11)";
    let (probing, tell) = breaking(cache(folder.path()));
    tell.send(Outcome::Unanswered { reason: crashed.into() }).unwrap();
    tell.send(works()).unwrap();
    drop(common::with_probing(config(&[]), probing).unwrap());
    let (probing, tell) = breaking(cache(folder.path()));
    let server = serve(probing).await;
    let node = server.node();
    assert_eq!(verdict(node, "breaks").await, crashed, "the start did not wait for it");
    tell.send(works()).unwrap();
    until("it to be tried", async || (verdict(node, "breaks").await == "ok").then_some(())).await;
    let remembered = cache(folder.path()).unwrap();
    until("it to be remembered", async || {
        (remembered.load().get("breaks") == Some(&works())).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hardware_that_hung_at_the_first_start_is_tried_again_beside_the_sessions() {
    let (probing, tell) = breaking(None);
    let hung = "did not answer within 5 s";
    tell.send(Outcome::Unanswered { reason: hung.into() }).unwrap();
    tell.send(works()).unwrap();
    let server = serve(probing).await;
    let node = server.node();
    assert_eq!(node.encoder(), ("openh264", vec![format!("breaks: {hung}")]));
    tell.send(works()).unwrap();
    until("it to be tried", async || (verdict(node, "breaks").await == "ok").then_some(())).await;
    assert_eq!(node.encoder().0, "breaks");
}

#[tokio::test]
async fn where_waves_are_asked_for_encoders_without_them_are_declined() {
    let config = || config(&["video.resilience=intra-refresh"]);
    let (probing, tell) = breaking(None);
    let Outcome::Works { cost, accepts } = works() else { unreachable!("it works") };
    tell.send(Outcome::Works { cost, accepts: Accepts { waves: true, ..accepts } }).unwrap();
    tell.send(works()).unwrap();
    let node = common::with_probing(config(), probing).unwrap();
    assert_eq!(verdict(&node, "openh264").await, "has no intra refresh");
    assert_eq!(node.encoder().0, "breaks");
    let (probing, tell) = breaking(None);
    tell.send(works()).unwrap();
    tell.send(works()).unwrap();
    let Err(refused) = common::with_probing(config(), probing) else { panic!("it starts") };
    let refused = format!("{refused:#}");
    for name in ["breaks", "openh264"] {
        assert!(refused.contains(&format!("{name}: has no intra refresh")), "{refused}");
    }
}

#[tokio::test]
async fn hardware_that_ignores_what_it_is_told_comes_after_software_and_that_is_said() {
    let (probing, tell) = breaking(None);
    let Outcome::Works { cost, accepts } = works() else { unreachable!("it works") };
    let restarts = Restarts { rate: true, keyframe: false };
    tell.send(Outcome::Works { cost, accepts: Accepts { restarts, ..accepts } }).unwrap();
    tell.send(works()).unwrap();
    let node = common::with_probing(config(&[]), probing).unwrap();
    let reason = "is started anew for each new bit rate, which it does not take while it runs";
    assert_eq!(verdict(&node, "breaks").await, reason);
    assert_eq!(node.encoder(), ("openh264", vec![format!("breaks: {reason}")]));
}

#[tokio::test]
async fn a_session_that_no_encoder_is_good_for_is_refused_with_each_reason() {
    let (mut probing, tell) = breaking(None);
    probing.candidates.truncate(1);
    let accepts = Accepts::of(&EncoderCapabilities {
        largest: media::Size::new(1_920, 1_080),
        ..EncoderCapabilities::plain("", Codec::H264)
    });
    let cost = Cost { micros_per_megapixel: 1, ten_bits: None };
    tell.send(Outcome::Works { cost, accepts }).unwrap();
    let node = common::with_probing(config(&[]), probing).unwrap();
    let wish = json!({"app": "pattern", "video": {"width": 4096, "height": 2160, "fps": 30}});
    let detail = create_with(&wish).of(&node).await.problem(503, "refused");
    assert!(detail.contains("breaks: takes pictures of 2x2 to 1920x1080"), "{detail}");
    assert!(node.registry.live().is_empty());
}
