//! `make bench`: every figure that README quotes, measured end to end in a real browser.
//!
//! ```text
//!  this process                                         node client-web/bench/drive.mjs
//!  ┌───────────────────────────────────────────┐  JSON  ┌──────────────────────────────┐
//!  │ sections ── commands ─────────────────────┼───────▶│ headless Chromium, real page │
//!  │ server (nearlight as a library) ◀─────────┼── HTTP, WebRTC over loopback ────────┤
//!  │ recorder ◀─ trace events, one a frame     │        └──────────────────────────────┘
//!  └───────────────────────────────────────────┘
//! ```
//!
//! Sections (`--only a,b` runs some of them):
//!
//! | section | what is measured |
//! |---|---|
//! | `demo` | the demo scene at 30 frames a second: stages, send → decoded, frame interval, internal size, processor time |
//! | `synthetic` (`overhead`) | `testkit::PushedPattern`, pushed by a thread of its own at 60 frames a second: the same, and the server's own overhead |
//! | `encoder` | the encoder in use alone, paced at 60 frames a second on the same pictures |
//! | `encoders` | every software encoder that works here: overhead of its adapter, rate and quality; libx264 against commands of others; probing |
//! | `input` | input → changed pixel, on both sources |
//! | `memory` | what an extra session of the demo takes, in a server process of its own |
//! | `sound` | by how much the sound of the sync test is later than its picture, over each transport |
//! | `start` | click → first decoded frame of the demo, warm |
//! | `weight` | the page, each file packed by gzip |
//! | `still` | frames encoded while a picture stands still |
//!
//! How it is measured:
//! - *Stages* are the marks of `media::StageTimes` of each frame, taken in this process from the trace
//!   events of `server::drive`. `network` is last packet sent → decoded (network, jitter buffer and
//!   decoder in one), `present` decoded → drawn; the browser told both times of each frame by its RTP
//!   timestamp.
//! - *Clocks*: server and browser run on one machine. The media clock is paired with the system's clock
//!   (the tightest of many readings), the page's clock with the same clock at its millisecond steps. The
//!   error of both is printed; Chromium rounds the page's clock to 100 µs.
//! - *Server overhead* of a frame is queue + packetise + seal + send. The pacer's wait is not in it.
//! - *Input → changed pixel* is from the moment at which the page hands an event to its data channel to
//!   the decoding of the first picture whose strip says that it shows this event. Both times are of the
//!   page's clock, so no clocks are compared. Its bound is 1.5 frame intervals, plus the medians of encode
//!   and of last packet sent → decoded: a browser tells no decoding time of a single frame, so network and
//!   jitter buffer are in the bound too, on loopback.
//! - *Sound after picture* is what the page's statistics say: when a sample is played and a picture is shown, each by
//!   its time on the node's media clock. The device's own delay is as the browser tells it.
//! - *Decoded* is when the page's worker has the frame in its hands, out of the decoder and the track
//!   processor.
//! - *Processor time* is user + system time of the process (`/proc`), per frame sent. It includes this
//!   harness, which sleeps meanwhile. Chromium's is that of its process tree.
//! - *Memory* is resident memory of a server process that does nothing else, before and after opening
//!   sessions in browser tabs, divided by their number. Frame buffers are computed from their sizes
//!   (see `sections::memory`); what the encoder takes is measured by opening as many of it alone.
//! - *Frames encoded* while nothing changes are counted at the encoder, not where they are sent.
//! - A target whose figures are of too few frames is not met, whatever they say: overhead, and send →
//!   decoded, of the synthetic source count only where it held its 60 frames a second.
//!
//! With `--runs n` each section is run n times and each figure is the median of the runs. Nothing is
//! estimated: what could not be measured is printed as "not measured" with the reason, and then the
//! exit status is 1. Missed targets are printed; with `--strict` they too fail the run (`ended.rs`).
//! Figures mean something only on a machine that does nothing else: the load before the run is printed.

mod apps;
mod args;
mod browser;
mod clock;
mod codec;
mod coded;
mod ended;
mod figures;
mod host;
mod machine;
mod print;
mod process;
mod quality;
mod record;
mod report;
mod sections;
mod system;
mod targets;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use serde_json::json;
use testkit::allocations::Counting;

use args::{Args, Child, Section};
use browser::Browser;
use ended::Ended;
use figures::{Findings, Summary};
use host::Host;
use machine::Machine;
use record::Recorder;

/// Counts only while a section asks for it, and only what threads of encoders allocate.
#[global_allocator]
static ALLOCATOR: Counting = Counting::on(&["enc-", "nvo-"]);

/// What sections measure with.
struct Bench {
    args: Args,
    /// The run of the section, from 1.
    run: u32,
    host: Host,
    browser: Result<Browser>,
    recorder: Recorder,
}

impl Bench {
    /// The browser, or why there is none.
    fn browser(&mut self) -> Result<&mut Browser> {
        self.browser.as_mut().map_err(|error| anyhow::anyhow!("no browser: {error:#}"))
    }
}

/// What came of a section in all its runs.
struct Ran {
    section: Section,
    summary: Summary,
    failures: Vec<String>,
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
        Some(Child::Host) => return host::serve_until_stdin_ends().map(|()| Ended::FINE),
        Some(Child::Codec) => {
            return sections::memory::hold_encoders(&args).map(|()| Ended::FINE);
        }
        Some(Child::Encode) => {
            return sections::encoders::encode_clip(&args).map(|()| Ended::FINE);
        }
        Some(Child::Probe) => {
            return sections::encoders::answer(&args).map(|()| Ended::FINE);
        }
        None => {}
    }
    let recorder = Recorder::default();
    record::subscribe(&recorder);
    let sections = args.sections();
    let load = system::load();
    let host = Host::start(sections.iter().any(|section| section.needs_demo()))
        .context("the server does not start")?;
    let browser = Browser::launch();
    let chromium = browser.as_ref().ok().map(|browser| browser.version.clone());
    let machine = Machine::describe(&host, chromium, load);
    report::head(&machine, &args)?;
    let mut bench = Bench { args, run: 0, host, browser, recorder };
    let mut outcomes = Vec::new();
    for section in sections {
        let outcome = run_section(&mut bench, section);
        print::section(outcome.section.name(), &outcome.summary, &outcome.failures)?;
        outcomes.push(outcome);
    }
    let figures: BTreeMap<_, _> =
        outcomes.iter().flat_map(|outcome| outcome.summary.medians()).collect();
    let ran: Vec<_> = outcomes.iter().map(|outcome| outcome.section.name()).collect();
    let verdicts = targets::judge(&figures, &ran, bench.args.window());
    report::comparison(&figures)?;
    report::targets(&verdicts)?;
    let failures: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.failures).collect();
    print::failures(&failures)?;
    let missed: Vec<_> = verdicts.iter().filter(|it| it.is_missed()).map(report::line).collect();
    ended::missed(&missed, verdicts.len())?;
    if let Some(file) = &bench.args.json {
        let sections: BTreeMap<_, _> = outcomes
            .iter()
            .map(|outcome| {
                let body = json!({ "figures": &outcome.summary, "failures": &outcome.failures });
                (outcome.section.name(), body)
            })
            .collect();
        let all = json!({
            "machine": &machine, "arguments": &bench.args, "sections": sections,
            "targets": &verdicts,
        });
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let strict = bench.args.strict;
    drop(bench.browser);
    bench.host.stop();
    Ok(Ended { is_whole: failures.is_empty(), is_missed: !missed.is_empty(), strict })
}

fn run_section(bench: &mut Bench, section: Section) -> Ran {
    let mut runs = Vec::new();
    let mut failures = Vec::new();
    for run in 1..=bench.args.runs {
        bench.run = run;
        print::progress(&format!("{} {run}/{}", section.name(), bench.args.runs));
        let mut findings = Findings::default();
        if let Err(error) = sections::run(section, bench, &mut findings) {
            failures.push(format!("{}, run {run}: {error:#}", section.name()));
        }
        if let Ok(browser) = bench.browser()
            && let Err(error) = browser.reset()
        {
            failures.push(format!("{}, after run {run}: {error:#}", section.name()));
        }
        // What was measured before a failure was measured.
        runs.push(findings);
    }
    Ran { section, summary: Summary::of(&runs), failures }
}
