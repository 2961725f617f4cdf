//! What is printed beside the figures of sections.

use std::collections::BTreeMap;
use std::io::{Result, Write as _, stdout};

use crate::args::Args;
use crate::machine::Machine;
use crate::print::number;
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
        writeln!(out, "  {}", line(verdict))?;
    }
    Ok(())
}

/// A target and what came of it.
pub(crate) fn line(verdict: &Verdict) -> String {
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
    format!("{what:<40} {measured:>12}  {bound:<14} {outcome}")
}
