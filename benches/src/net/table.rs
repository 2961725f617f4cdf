//! What is printed.

use std::collections::BTreeMap;
use std::io::{Result, Write as _, stderr, stdout};

use super::args::Args;
use super::figures::median;
use super::run::Outcome;
use super::targets::Verdict;

/// Name of the figure, head of its column, digits after the point.
const COLUMNS: [(&str, &str, usize); 21] = [
    ("mbps", "Mbit/s", 1),
    ("use", "use %", 0),
    ("queue95", "queue95", 0),
    ("p50", "p50", 0),
    ("p95", "p95", 0),
    ("p99", "p99", 0),
    ("max", "max", 0),
    ("shown", "shown %", 1),
    ("due", "of due", 1),
    ("fps", "fps", 1),
    ("gap95", "gap95", 0),
    ("freezes", "freezes", 0),
    ("freeze95", "frozen95", 0),
    ("longest", "longest", 0),
    ("keys", "keys", 0),
    ("resizes", "sizes", 0),
    ("recoveries", "recov.", 0),
    ("skipped", "skip %", 1),
    ("overhead", "over %", 1),
    ("sum", "all Mb/s", 1),
    ("jain", "Jain", 2),
];

/// What the columns are.
const LEGEND: &str = "\
Mbit/s, use: what went through to the client, headers included; of what the link carries up to the ceiling
queue95: wait before the bottleneck; p50 to max: capture until it or a newer frame is decodable; gap95, longest: between two frames;
frozen95: of the gaps in which frames were missed, how much longer than due, 0 where none were; all in ms
shown: of the frames encoded; of due: of those due at the full rate, whatever left out the others; freezes: gaps beyond a round trip and two frames, and the one that is due; keys: keyframes after the first; sizes: planned ones
skip: of the frames due, those not coded because too much waited; over: what left the server beyond the video, in percent of it
anew: in runs in which the bench's client lost too much of a handshake, how often connections were begun anew; named where there were any";

/// Load of the last minute above which the machine does something else.
const QUIET: f64 = 0.5;

/// Says what goes on.
pub(crate) fn progress(what: &str) {
    // Nobody may be reading.
    let _ = writeln!(stderr(), "… {what}");
}

/// Says what went wrong.
pub(crate) fn complain(what: &str) {
    let _ = writeln!(stderr(), "error: {what}");
}

/// What the figures are taken on and how, and the head of the table.
pub(crate) fn head(machine: &[(&str, String)], args: &Args) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "Nearlight over emulated networks")?;
    for (name, value) in machine {
        writeln!(out, "  {name:<10} {value}")?;
    }
    if machine.iter().any(|(name, load)| *name == "load" && is_busy(load)) {
        writeln!(out, "  {:<10} BUSY: other work was running, which looks like a queue", "")?;
    }
    let Args { runs, seconds, ceiling, .. } = args;
    writeln!(out, "  {:<10} {runs} of {seconds} s, medians; at most {ceiling} Mbit/s", "runs")?;
    writeln!(out, "\n{LEGEND}\n")?;
    write!(out, "{:<12} {:<8}", "scenario", "over")?;
    for (_, head, _) in COLUMNS {
        write!(out, " {head:>7}")?;
    }
    writeln!(out)
}

fn is_busy(load: &str) -> bool {
    load.parse::<f64>().is_ok_and(|load| load > QUIET)
}

/// The row of a scenario over a transport.
pub(crate) fn row(
    scenario: &str,
    transport: &str,
    medians: &BTreeMap<&'static str, f64>,
) -> Result<()> {
    let mut out = stdout().lock();
    write!(out, "{scenario:<12} {transport:<8}")?;
    for (name, _, digits) in COLUMNS {
        match medians.get(name) {
            Some(value) if value.is_finite() => write!(out, " {value:>7.digits$}")?,
            Some(_) => write!(out, " {:>7}", "never")?,
            None => write!(out, " {:>7}", "")?,
        }
    }
    writeln!(out)?;
    let others =
        medians.iter().filter(|(name, _)| !COLUMNS.iter().any(|(known, ..)| known == *name));
    let others: Vec<_> = others.map(|(name, value)| format!("{name} {value:.1}")).collect();
    if !others.is_empty() {
        writeln!(out, "{:<21} {}", "", others.join(", "))?;
    }
    Ok(())
}

/// Which targets were met.
pub(crate) fn targets(verdicts: &[Verdict]) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "\nmust reach")?;
    for verdict in verdicts {
        writeln!(out, "  {}", line(verdict))?;
    }
    Ok(())
}

/// A target and what came of it.
pub(crate) fn line(verdict: &Verdict) -> String {
    let Verdict { what, at_least, bound, measured } = verdict;
    let sign = if *at_least { '≥' } else { '≤' };
    let outcome = if verdict.is_met() { "met" } else { "MISSED" };
    format!("{what:<40} {measured:>9.2}  {sign} {bound:<8.2} {outcome}")
}

/// The median of each figure.
pub(crate) fn medians(outcomes: &[Outcome]) -> BTreeMap<&'static str, f64> {
    let mut values: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for (name, value) in outcomes.iter().flat_map(|outcome| &outcome.0) {
        values.entry(*name).or_default().push(*value);
    }
    values.into_iter().filter_map(|(name, values)| Some((name, median(&values)?))).collect()
}
