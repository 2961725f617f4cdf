//! `make bench-games`: what hosting games takes, measured on real parts, and in a real browser where a section says so.
//!
//! ```text
//!  sandbox                      this process
//!  ┌───────────────────────┐    ┌─────────────────────────────────────────────┐
//!  │ game ──▶ X server ────┼───▶│ display ─▶ NV12 ─▶ x264 ─▶ WebRTC ══▶ player │
//!  │   ▲          ▲        │    │               ▲ looked at                 │  │
//!  │   └──────────┴────────┼◀───┼── XTEST ◀── input ◀═══════════════════════┘  │
//!  └───────────────────────┘    └─────────────────────────────────────────────┘
//! ```
//!
//! Sections (`--only a,b` runs some of them); one whose game is not installed says so, and its targets count as missed:
//!
//! | section | what is measured |
//! |---|---|
//! | `capture` | 1280x720 at 60 frames a second: painted → last packet, stages, processor time, and x264 alone on the same pictures |
//! | `input` | a key from the player → in the node → given to the X server → in the game → in a picture that came whole |
//! | `browser` | the same key in Chromium: from the browser's own event → in the node → given to the X server → in the game → in a decoded picture |
//! | `start` | the request for a session → the first picture of the game, with nothing started ahead, and with the game |
//! | `density` | as many players of one game as the node lets in, at 640x360 and 30 frames a second |
//! | `selkies` | processor time and memory of a process of this node and of one of Selkies with the same picture, and with the same game, and how many players of that Selkies has |
//! | `footprint` | memory of one more session, and processor time of one that stands still, in a node of its own |
//!
//! How it is measured:
//! - *Painted* is when our own X client (`painter.rs`) began to send a picture to its X server. It says so in the
//!   picture (`stamp.rs`), which is read after capture and conversion, before anything is lost.
//! - *Last packet* is the system call that sent it, from the trace events of `server::drive`.
//! - The *player* is a WebRTC peer in this process that takes packets and decodes nothing, on a runtime of its own,
//!   whose threads have other names and count for nothing.
//! - *Processor time* is that of the threads that capture and convert (`src-…`), code (`enc-…`) and send (`net`).
//!   The X server's part in capturing is in `display_and_painter`, which the painter is in, too.
//! - A *key* is sent by the player's data channel; the painter says in its next picture when it had it. All processes
//!   are of one machine, whose monotonic clock is theirs.
//! - *In Chromium* (`client-web/bench/drive.mjs`, as `make bench` drives it) a key begins with the time that the browser
//!   gives its event (`Event.timeStamp`). Which picture shows it is read on the node, as above; when the page had that
//!   one decoded is what the page reports of it, by its RTP timestamp, or of the next that it had. Clocks are related
//!   as in `make bench`, and their error is printed. The section is left out, and says so, where there is no Chromium.
//! - Targets of the sections that ran are judged. Missed ones are printed, also those that were not measured; with `--strict` they
//!   fail the run (`ended.rs`).
//! - Figures mean something only on a machine that does nothing else: the load before the run is printed.

#![allow(clippy::unwrap_used, reason = "the client is shared with the transport's tests")]

extern crate transport as nearlight_transport;

mod args;
#[path = "../browser.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod browser;
mod capture;
#[path = "../../../transport/tests/client/mod.rs"]
mod client;
#[path = "../clock.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod clock;
#[path = "../codec.rs"]
mod codec;
mod density;
#[path = "../ended.rs"]
mod ended;
#[path = "../figures.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod figures;
mod footprint;
mod in_browser;
mod input;
mod node;
mod peer;
#[path = "../print.rs"]
mod print;
#[path = "../process.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod process;
#[path = "../record.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod record;
mod selkies;
mod stamp;
mod start;
#[path = "../system.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod system;
mod targets;
#[path = "../net/threads.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod threads;
mod watch;

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use serde_json::json;
use server::config::PresetName;
use tokio::runtime::Runtime;

use args::{Args, Child, Section};
use ended::Ended;
use figures::{Findings, Summary};
use node::{Hosting, Purpose, serve_until_stdin_ends};
use record::Recorder;

/// Name of the players' threads.
const PLAYERS: &str = "players";
/// Load of the last minute above which the machine does something else.
const QUIET: f64 = 0.5;

/// What sections measure with.
struct Bench {
    args: Args,
    hosting: Option<Hosting>,
    players: Runtime,
    recorder: Recorder,
}

impl Bench {
    /// The same once it is started.
    fn hosted(&self) -> Result<&Hosting> {
        self.hosting.as_ref().context("no node was started")
    }

    /// The node in this process, which the first who asks starts.
    fn hosting(&mut self) -> Result<&Hosting> {
        match &mut self.hosting {
            Some(hosting) => Ok(hosting),
            none => Ok(none.insert(Hosting::start(Purpose::Watched, self.args.xorg)?)),
        }
    }
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(ended) => ended.into(),
        Err(error) => {
            print::complain(&format!("the bench could not run: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<Ended> {
    match args.child {
        Some(Child::Node) => {
            return serve_until_stdin_ends(PresetName::Auto).map(|()| Ended::FINE);
        }
        Some(Child::QuickNode) => {
            return serve_until_stdin_ends(PresetName::P1).map(|()| Ended::FINE);
        }
        Some(Child::SearchingNode) => {
            return serve_until_stdin_ends(PresetName::P2).map(|()| Ended::FINE);
        }
        Some(Child::Codec) => {
            let x264 = encoder::candidates().into_iter().find(|each| each.name == "x264");
            let x264 = x264.context("there is no x264")?;
            codec::hold(&x264, capture::settings(args.kbps), args.extra)?;
            return Ok(Ended::FINE);
        }
        None => {}
    }
    let recorder = Recorder::default();
    record::subscribe(&recorder);
    head(&args)?;
    let sections = args.sections();
    let mut bench = Bench { args, hosting: None, players: node::runtime(PLAYERS)?, recorder };
    let mut all = Vec::new();
    for section in sections {
        let (mut runs, mut failures) = (Vec::new(), Vec::new());
        for run in 1..=bench.args.runs {
            print::progress(&format!("{} {run}/{}", section.name(), bench.args.runs));
            let mut findings = Findings::default();
            if let Err(error) = measure(section, &mut bench, &mut findings) {
                failures.push(format!("{}, run {run}: {error:#}", section.name()));
            }
            // What was measured before a failure was measured.
            runs.push(findings);
        }
        let summary = Summary::of(&runs);
        print::section(section.name(), &summary, &failures)?;
        all.push((section, summary, failures));
    }
    let figures: BTreeMap<_, _> =
        all.iter().flat_map(|(_, summary, _)| summary.medians()).collect();
    let ran: Vec<_> = all.iter().map(|(section, ..)| section.name()).collect();
    let verdicts = targets::judge(&figures, &ran);
    targets::print(&verdicts)?;
    let failures: Vec<_> = all.iter().flat_map(|(.., failures)| failures).collect();
    print::failures(&failures)?;
    let missed: Vec<_> = verdicts.iter().filter(|it| it.is_missed()).map(targets::line).collect();
    ended::missed(&missed, verdicts.len())?;
    if let Some(file) = &bench.args.json {
        let sections: BTreeMap<_, _> = all
            .iter()
            .map(|(section, summary, failures)| {
                (section.name(), json!({ "figures": summary, "failures": failures }))
            })
            .collect();
        let all = json!({ "arguments": &bench.args, "sections": sections, "targets": &verdicts });
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let (is_whole, strict) = (failures.is_empty(), bench.args.strict);
    Ok(Ended { is_whole, is_missed: !missed.is_empty(), strict })
}

fn measure(section: Section, bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    match section {
        Section::Capture => capture::run(bench, findings),
        Section::Input => input::run(bench, findings),
        Section::Browser => in_browser::run(bench, findings),
        Section::Start => start::run(bench, findings),
        Section::Density => density::run(bench, findings),
        Section::Footprint => footprint::run(bench, findings),
        Section::Selkies => selkies::run(bench, findings),
    }
}

/// What the figures are taken on and how.
fn head(args: &Args) -> Result<()> {
    let mut out = stdout().lock();
    let load = system::load();
    writeln!(out, "Nearlight hosting games")?;
    let mut line = |name: &str, value: &str| writeln!(out, "  {name:<10} {value}");
    line("commit", &format!("{} ({})", system::commit(), system::BUILD))?;
    line("machine", &format!("{}, {} cores", system::processor(), system::cores()))?;
    line("system", &format!("Linux {}, load before the run {load}", system::kernel()))?;
    if load.parse::<f64>().is_ok_and(|load| load > QUIET) {
        line("", "BUSY: other work was running, these figures are too high")?;
    }
    let Args { runs, seconds, warmup, kbps, .. } = args;
    let how = format!("{runs} of {seconds} s after {warmup} s, medians; at most {kbps} kbit/s");
    line("runs", &how)?;
    Ok(())
}
