//! Figures as text: to standard output, progress and complaints to standard error.

use std::io::{Result, Write as _, stderr, stdout};

use crate::figures::{Row, SPREAD, Summary};

/// Says what goes on.
pub(crate) fn progress(what: &str) {
    // Nobody may be reading.
    let _ = writeln!(stderr(), "… {what}");
}

/// Says what went wrong.
pub(crate) fn complain(what: &str) {
    let _ = writeln!(stderr(), "error: {what}");
}

/// The figures of a section: distributions as a table, the rest line by line.
pub(crate) fn section(name: &str, summary: &Summary, failures: &[String]) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "\n{name}")?;
    let rows = &summary.rows;
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
    for note in &summary.notes {
        writeln!(out, "  note: {note}")?;
    }
    for failure in failures {
        writeln!(out, "  FAILED: {failure}")?;
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

/// A figure, or that there is none.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => "not measured".into(),
        Some(value) if value.fract() == 0.0 && value.abs() < 1e9 => format!("{value:.0}"),
        Some(value) if value.abs() >= 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
