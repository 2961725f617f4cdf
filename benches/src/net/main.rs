//! `make bench-net`: the transports over emulated networks, as one table of scenario by transport.
//!
//! ```text
//!  emulated encoder ─▶ Transport ══▶ ┌───────┐ ══▶ client ─▶ emulated decoder
//!        ▲ rate            │         │ Relay │         │
//!  RateController ◀─ PathReport ◀══  └───────┘ ◀══ feedback, acknowledgements
//! ```
//!
//! Everything between the two ends is real: the node's transport, sockets, encryption, feedback and rate
//! control. What is emulated is the network ([`testkit::net::Relay`]), the encoder (units of the size that
//! its rate asks for, with long-term references) and the client's decoder. Server, client and relay share
//! one process and its clock, so that latencies need no clocks to be compared; a busy machine shows in
//! them.
//!
//! Three sections need no emulated network: what each transport takes (`wires.rs`), `viewers` of one session, and
//! `streams` of one process (`many.rs`).
//!
//! A run lasts a minute: `--seconds 10 --only step,loss-3` is a quick look, `--runs 5` what README quotes. Missed targets are
//! printed; with `--strict` they fail the bench (`ended.rs`).

#![allow(clippy::unwrap_used, reason = "the client is shared with the transport's tests")]

extern crate transport as nearlight_transport;

#[path = "../apps.rs"]
#[allow(dead_code, reason = "shared with the other bench, which uses all of it")]
mod apps;
mod args;
mod assemble;
#[path = "../../../transport/tests/client/mod.rs"]
mod client;
mod column;
mod encoder;
#[path = "../ended.rs"]
mod ended;
#[path = "../figures.rs"]
#[allow(dead_code, reason = "shared with the other bench, which uses all of it")]
mod figures;
mod many;
#[path = "../../../transport/tests/quic_client/mod.rs"]
mod quic_client;
mod run;
mod session;
#[path = "../system.rs"]
mod system;
mod table;
mod targets;
mod threads;
mod viewer;
mod webrtc;
mod websocket;
mod webtransport;
mod wires;

use std::process::ExitCode;

use anyhow::{Context, Result};
use args::Args;
use clap::Parser;
use ended::Ended;
use serde_json::json;

fn main() -> ExitCode {
    match bench(&Args::parse()) {
        Ok(ended) => ended.into(),
        Err(error) => {
            table::complain(&format!("the bench could not run: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<Ended> {
    let cases = args.cases()?;
    let columns = column::all(&args.over)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let machine = machine();
    table::head(&machine, args)?;
    let mut all = Vec::new();
    let mut failures = Vec::new();
    let mut verdicts = Vec::new();
    for case in &cases {
        for column in columns.iter().filter(|column| column.carries(case)) {
            let mut outcomes = Vec::new();
            for run in 1..=args.runs {
                let what = format!("{} over {}, run {run}", case.name, column.name());
                table::progress(&format!("{what}: {}", case.scenario.about));
                let ran = run::run(case, column.as_ref(), args.ceiling(), run);
                match runtime.block_on(ran) {
                    Ok(outcome) => outcomes.push(outcome),
                    Err(error) => failures.push(format!("{what}: {error:#}")),
                }
            }
            let medians = table::medians(&outcomes);
            table::row(case.name, column.name(), &medians)?;
            verdicts.extend(targets::judge(case.name, column.name(), &medians));
            all.push(json!({
                "scenario": case.name, "transport": column.name(), "runs": &outcomes,
            }));
        }
    }
    // These bring runtimes of their own, which one that blocks here must not be in the way of.
    drop(runtime);
    for name in args::SECTIONS.into_iter().filter(|name| args.wants(name)) {
        let ran = match name {
            "wires" => wires::wires(args),
            "viewers" => many::viewers(args),
            _ => many::streams(args),
        };
        match ran {
            Ok(reached) => verdicts.extend(reached),
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
    }
    table::targets(&verdicts)?;
    for failure in &failures {
        table::complain(failure);
    }
    let missed: Vec<_> = verdicts.iter().filter(|it| !it.is_met()).map(table::line).collect();
    ended::missed(&missed, verdicts.len())?;
    if let Some(file) = &args.json {
        let all = json!({ "machine": machine, "arguments": args, "results": all, "failures": &failures, "targets": &verdicts });
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let (is_whole, is_missed) = (failures.is_empty(), !missed.is_empty());
    Ok(Ended { is_whole, is_missed, strict: args.strict })
}

/// What the figures are taken on.
fn machine() -> [(&'static str, String); 4] {
    let processor = format!("{}, {} cores", system::processor(), system::cores());
    [
        ("commit", format!("{} ({})", system::commit(), system::BUILD)),
        ("machine", processor),
        ("system", format!("Linux {}", system::kernel())),
        ("load", system::load()),
    ]
}
