//! `make bench-money`: what receipts, their verification, the lease's local view and the chain of development take.
//!
//! Sections (`--only a,b` runs some of them):
//!
//! | section | what is measured |
//! |---|---|
//! | `ledger` | sessions that each write a signed slice with its entry and wait until both are on the disk; the disk alone beside it |
//! | `verify` | receipts of one session verified by one thread, with and without the player's acknowledgements |
//! | `lease` | the check before a session starts: a renter's challenge, and a ticket whose use is made durable |
//! | `end` | from the block that ends a lease until its player is told |
//! | `devchain` | the chain's program from its start until it answers; transfers by our client until their event is final |
//! | `outage` | frames of a rented session (1280x720 at 60) before, while and after the chain is gone for `--outage` seconds; once |
//! | `metered` | what receipts say that a session lasted, against the player's clock, for `--minutes`; once |
//!
//! `--minutes` is one where it is not given, and ten where `metered` is named in `--only`. `make devchain` builds the chain's
//! program.
//!
//! The ledger is a file in `--folder`, by default in the folder of the build, since temporary folders may lie in memory, where nothing
//! waits for a disk. Missed targets are printed; with `--strict` they fail the run (`ended.rs`). Figures mean something only on a
//! machine that does nothing else: the load before the run is printed.

#[path = "../apps.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod apps;
mod devchain;
mod end;
#[path = "../ended.rs"]
mod ended;
#[path = "../figures.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod figures;
mod lease;
mod ledger;
mod metered;
mod outage;
#[path = "../print.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod print;
mod receipts;
#[path = "../system.rs"]
#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod system;
mod verify;
mod world;

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::json;

use ended::Ended;
use figures::{Findings, Summary};

/// Measures metering and money; see the top of benches/src/money/main.rs.
#[derive(Debug, Clone, Parser, Serialize)]
struct Args {
    /// Run only these sections, with commas between.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Section>,
    /// Runs of each section; figures are medians of them.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Length of each measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Sessions of the section `ledger`.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    sessions: u32,
    /// Seconds for which the chain is gone in the section `outage`.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    outage: u64,
    /// Minutes of the section `metered`: 1, or 10 where it is named in `--only`.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100))]
    minutes: Option<u64>,
    /// Where the ledger lies.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Write everything, each run by itself, to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fail with status 3 when a target is missed.
    #[arg(long)]
    strict: bool,
}

impl Args {
    /// Minutes of the section `metered`.
    fn minutes(&self) -> u64 {
        let usual = if self.only.contains(&Section::Metered) { 10 } else { 1 };
        self.minutes.unwrap_or(usual)
    }
}

/// A part of the bench that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Section {
    Ledger,
    Verify,
    Lease,
    End,
    Devchain,
    Outage,
    Metered,
}

impl Section {
    const ALL: [Self; 7] = [
        Self::Ledger,
        Self::Verify,
        Self::Lease,
        Self::End,
        Self::Devchain,
        Self::Outage,
        Self::Metered,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Verify => "verify",
            Self::Lease => "lease",
            Self::End => "end",
            Self::Devchain => "devchain",
            Self::Outage => "outage",
            Self::Metered => "metered",
        }
    }

    /// How often it runs: what takes minutes once.
    const fn runs(self, wanted: u32) -> u32 {
        match self {
            Self::Outage | Self::Metered => 1,
            _ => wanted,
        }
    }
}

/// What, figure, unit, bound, and whether more is better.
const TARGETS: [(&str, &str, &str, f64, bool); 12] = [
    ("durable slices", "ledger.slices", "1/s", 2_000.0, true),
    ("slice → durable, p99", "ledger.durable.p99", "ms", 20.0, false),
    ("receipts verified", "verify.receipts", "1/s and core", 12_000.0, true),
    ("renter let in, p99", "lease.renter.p99", "ms", 5.0, false),
    ("lease checked, p99", "lease.check.p99", "ms", 5.0, false),
    ("end after its block", "end.late", "ms", 6_000.0, false),
    ("ticket's use durable, p99", "lease.ticket.p99", "ms", 20.0, false),
    ("devchain answers, longest", "devchain.start.longest", "ms", 1_000.0, false),
    ("transaction → final, p99", "devchain.transfer.p99", "ms", 100.0, false),
    ("dropped without the chain", "outage.during.dropped", "frames", 0.0, false),
    ("unpaid without the chain", "outage.unpaid", "ms", 0.0, false),
    ("metered against wall time", "metered.apart", "%", 0.1, false),
];

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(ended) => ended.into(),
        Err(error) => {
            print::complain(&format!("the bench could not run: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<Ended> {
    head(args)?;
    let wanted = |section: &Section| args.only.is_empty() || args.only.contains(section);
    let mut all = Vec::new();
    for section in Section::ALL.into_iter().filter(wanted) {
        let (mut runs, mut failures) = (Vec::new(), Vec::new());
        let wanted = section.runs(args.runs);
        for run in 1..=wanted {
            print::progress(&format!("{} {run}/{wanted}", section.name()));
            let mut findings = Findings::default();
            if let Err(error) = measure(section, args, &mut findings) {
                failures.push(format!("{}, run {run}: {error:#}", section.name()));
            }
            runs.push(findings);
        }
        let summary = Summary::of(&runs);
        print::section(section.name(), &summary, &failures)?;
        all.push((section, summary, failures));
    }
    let figures: BTreeMap<_, _> =
        all.iter().flat_map(|(_, summary, _)| summary.medians()).collect();
    let (judged, missed) = judge(&figures)?;
    let failures: Vec<_> = all.iter().flat_map(|(.., failures)| failures).collect();
    print::failures(&failures)?;
    ended::missed(&missed, judged)?;
    if let Some(file) = &args.json {
        let sections: BTreeMap<_, _> = all
            .iter()
            .map(|(section, summary, failures)| {
                (section.name(), json!({ "figures": summary, "failures": failures }))
            })
            .collect();
        let all = json!({ "arguments": args, "sections": sections });
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let (is_whole, strict) = (failures.is_empty(), args.strict);
    Ok(Ended { is_whole, is_missed: !missed.is_empty(), strict })
}

fn measure(section: Section, args: &Args, findings: &mut Findings) -> Result<()> {
    match section {
        Section::Ledger => ledger::run(args, findings),
        Section::Verify => verify::run(args, findings),
        Section::Lease => lease::run(args, findings),
        Section::End => end::run(args, findings),
        Section::Devchain => devchain::run(args, findings),
        Section::Outage => outage::run(args, findings),
        Section::Metered => metered::run(args, findings),
    }
}

/// A folder for a ledger that goes when it is dropped.
fn folder(args: &Args) -> Result<tempfile::TempDir> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
    let folder = args.folder.clone().or_else(beside).context("no folder for the ledger")?;
    Ok(tempfile::Builder::new().prefix("bench-money").tempdir_in(folder)?)
}

/// Milliseconds since then.
fn millis(asked: Instant) -> f64 {
    asked.elapsed().as_secs_f64() * 1_000.0
}

/// Prints what came of the targets; yields how many there are for these figures, and those that were missed.
fn judge(figures: &BTreeMap<String, f64>) -> Result<(usize, Vec<String>)> {
    let mut out = stdout().lock();
    let (mut judged, mut missed) = (0, Vec::new());
    writeln!(out, "\ntargets")?;
    for (what, figure, unit, bound, more) in TARGETS {
        let Some(measured) = figures.get(figure) else { continue };
        let met = if more { *measured >= bound } else { *measured <= bound };
        let (sign, outcome) = (if more { "≥" } else { "≤" }, if met { "met" } else { "MISSED" });
        let measured = print::number(Some(*measured));
        let line = format!("{what:<28} {measured:>10} {unit:<13} {sign} {bound:<7} {outcome}");
        writeln!(out, "  {line}")?;
        judged += 1;
        missed.extend((!met).then_some(line));
    }
    Ok((judged, missed))
}

/// What the figures are taken on and how.
fn head(args: &Args) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "Nearlight metering and money")?;
    let mut line = |name: &str, value: &str| writeln!(out, "  {name:<10} {value}");
    line("commit", &format!("{} ({})", system::commit(), system::BUILD))?;
    line("machine", &format!("{}, {} cores", system::processor(), system::cores()))?;
    let load = system::load();
    line("system", &format!("Linux {}, load before the run {load}", system::kernel()))?;
    let Args { runs, seconds, sessions, outage, .. } = args;
    line("runs", &format!("{runs} of {seconds} s, medians; {sessions} sessions write"))?;
    line("once", &format!("{outage} s without the chain, {} min metered", args.minutes()))?;
    Ok(())
}
