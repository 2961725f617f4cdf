//! What is printed: figures to standard output, progress and complaints to standard error.

use std::collections::BTreeMap;
use std::io::{Result, Write as _, stderr, stdout};

use crate::Outcome;
use crate::args::Args;
use crate::figures::{Row, SPREAD};
use crate::machine::Machine;
use crate::targets::Verdict;

/// What, its unit, the figure in the server, the figure alone.
const COMPARED: [(&str, &str, &str, &str); 4] = [
    ("encode, p50", "ms", "synthetic.stage.encode.p50", "encoder.encode.p50"),
    ("encode, p95", "ms", "synthetic.stage.encode.p95", "encoder.encode.p95"),
    ("encode, p99", "ms", "synthetic.stage.encode.p99", "encoder.encode.p99"),
    ("processor time", "ms/frame", "synthetic.cpu.server", "encoder.cpu"),
];
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

/// What the figures were taken on and how.
pub(crate) fn head(machine: &Machine, args: &Args) -> Result<()> {
    let mut out = stdout().lock();
    let memory = machine.memory_mb.map_or_else(|| "?".into(), |mb| mb.to_string());
    writeln!(out, "Nearlight bench, 1280x720")?;
    let mut line = |name: &str, value: &str| writeln!(out, "  {name:<10} {value}");
    line("commit", &format!("{} ({})", machine.commit, machine.build))?;
    line("machine", &format!("{}, {} cores, {memory} MB", machine.processor, machine.cores))?;
    line("system", &format!("Linux {}, load before the run {}", machine.kernel, machine.load))?;
    if machine.load.parse::<f64>().is_ok_and(|load| load > QUIET) {
        line("", "BUSY: other work was running, these figures are too high")?;
    }
    line("graphics", &machine.graphics)?;
    line("encoder", &machine.encoder)?;
    for declined in &machine.declined {
        line("", &format!("not {declined}"))?;
    }
    line("browser", &format!("Chromium {}", machine.chromium))?;
    line(
        "runs",
        &format!(
            "{} of {} s after {} s, medians; at most {} kbit/s",
            args.runs, args.seconds, args.warmup, args.kbps
        ),
    )
}

/// The figures of a section: distributions as a table, the rest line by line.
pub(crate) fn section(outcome: &Outcome) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "\n{}", outcome.section.name())?;
    let rows = &outcome.summary.rows;
    let stem = |row: &Row| {
        let (stem, suffix) = row.name.rsplit_once('.')?;
        SPREAD.contains(&suffix).then(|| stem.to_owned())
    };
    let mut headed = false;
    for row in rows {
        let Some(stem) = stem(row).filter(|_| row.name.ends_with(SPREAD[0])) else { continue };
        if !headed {
            let [p50, p95, p99] = SPREAD;
            writeln!(out, "  {:<38} {p50:>9} {p95:>9} {p99:>9} {:>7}", "", "n")?;
            headed = true;
        }
        let of = |suffix: &str| {
            let name = format!("{stem}.{suffix}");
            rows.iter().find(|row| row.name == name).and_then(|row| row.median)
        };
        write!(out, "  {:<38}", format!("{stem}, {}", row.unit))?;
        for suffix in SPREAD {
            write!(out, " {:>9}", number(of(suffix)))?;
        }
        writeln!(out, " {:>7}", of("n").map_or_else(String::new, |n| format!("{n:.0}")))?;
    }
    let counts = |row: &Row| row.name.ends_with(".n");
    for row in rows.iter().filter(|row| stem(row).is_none() && !counts(row)) {
        let unit = if row.median.is_some() { row.unit } else { "" };
        writeln!(out, "  {:<38} {:>9} {unit}", row.name, number(row.median))?;
    }
    for note in &outcome.summary.notes {
        writeln!(out, "  note: {note}")?;
    }
    for failure in &outcome.failures {
        writeln!(out, "  FAILED: {failure}")?;
    }
    Ok(())
}

/// The encoder in the server against the encoder alone.
pub(crate) fn comparison(figures: &BTreeMap<String, f64>) -> Result<()> {
    let mut out = stdout().lock();
    let mut headed = false;
    for (what, unit, inside, alone) in COMPARED {
        let (Some(inside), Some(alone)) = (figures.get(inside), figures.get(alone)) else {
            continue;
        };
        if !headed {
            writeln!(out, "\nsynthetic source in the server against its encoder alone")?;
            headed = true;
        }
        let more = inside - alone;
        writeln!(out, "  {what:<38} {inside:>9.2} - {alone:.2} = {more:.2} {unit}")?;
    }
    Ok(())
}

/// The table of targets.
pub(crate) fn targets(verdicts: &[Verdict]) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "\nmust reach")?;
    for verdict in verdicts {
        let Verdict { what, unit, .. } = verdict;
        let sign = if verdict.at_least { '≥' } else { '≤' };
        let bound = verdict.bound.map_or_else(|| "?".into(), |bound| format!("{bound:.2}"));
        let measured = number(verdict.measured);
        let outcome = match verdict.missed_by {
            None => "not measured".into(),
            Some(by) if by > 0.0 => format!("MISSED by {by:.2} {unit}"),
            Some(_) if !verdict.void.is_empty() => format!("VOID: {}", verdict.void.join(", ")),
            Some(_) => "met".into(),
        };
        let bound = format!("{sign} {bound} {unit}");
        writeln!(out, "  {what:<40} {measured:>12}  {bound:<14} {outcome}")?;
    }
    Ok(())
}

/// What did not run.
pub(crate) fn failures(failures: &[&String]) -> Result<()> {
    let mut out = stdout().lock();
    if !failures.is_empty() {
        writeln!(out, "\ndid not run to the end")?;
    }
    for failure in failures {
        writeln!(out, "  {failure}")?;
    }
    Ok(())
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "not measured".into(),
        Some(value) if value.fract() == 0.0 && value.abs() < 1e9 => format!("{value:.0}"),
        Some(value) if value.abs() >= 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
