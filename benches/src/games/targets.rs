//! What hosted games must reach on two cores without a graphics device, and whether they did.

use std::collections::BTreeMap;
use std::io::{Result, Write as _, stdout};

use serde::Serialize;

use super::print::number;

/// What a figure is held against.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Most(f64),
    Least(f64),
}

use Bound::{Least, Most};

/// Frames that never were do not count as fast: the source's rate must be held, but for what a window cuts.
const GIVEN: (&str, f64) = ("capture.pictures_sent", 59.0);

/// What, figure, unit, bound, and whether it is void where [`GIVEN`] does not hold.
const TARGETS: [(&str, &str, &str, Bound, bool); 16] = [
    ("on the X server → last packet, p50", "capture.latency.p50", "ms", Most(4.0), true),
    ("on the X server → last packet, p95", "capture.latency.p95", "ms", Most(7.0), true),
    ("processor time, of x264 alone", "capture.cpu_of_alone", "×", Most(1.5), true),
    ("processor time, of Selkies'", "selkies.cpu_of", "×", Most(0.75), false),
    ("the same, by its preset of x264", "selkies.quick.cpu_of", "×", Most(0.75), false),
    ("key → XTEST, p99", "input.to_xtest.p99", "ms", Most(2.0), false),
    ("key → picture, p50", "input.to_picture.intervals", "intervals", Most(2.5), false),
    ("key in a browser → XTEST, p99", "browser.to_xtest.p99", "ms", Most(2.0), false),
    ("the same → decoded, p50", "browser.intervals.p50", "intervals", Most(2.5), false),
    ("request → first picture, p50", "start.game.p50", "ms", Most(1_500.0), false),
    ("the same, started ahead, p50", "start.warm.p50", "ms", Most(500.0), false),
    ("interval of the worst player, p95", "density.worst_p95_of_nominal", "×", Most(1.25), false),
    ("players", "density.sessions", "sessions", Least(1.0), false),
    ("one more is refused", "density.refused", "", Least(1.0), false),
    ("memory beyond codec and buffers", "footprint.beyond", "MB/session", Most(25.0), false),
    ("processor time of one that is idle", "footprint.idle", "% of a core", Most(1.0), false),
];

/// The outcome of a target that was reached.
const MET: &str = "met";

/// A target and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    what: &'static str,
    unit: &'static str,
    at_least: bool,
    bound: f64,
    /// Nothing where the section that has it gave no such figure.
    measured: Option<f64>,
    void: bool,
}

impl Verdict {
    /// Whether it is not reached, or by frames that are too few, or nobody knows.
    pub(crate) fn is_missed(&self) -> bool {
        self.outcome() != MET
    }

    fn outcome(&self) -> &'static str {
        let Some(measured) = self.measured else { return "NOT MEASURED" };
        let met = if self.at_least { measured >= self.bound } else { measured <= self.bound };
        match (met, self.void) {
            (false, _) => "MISSED",
            (true, true) => "VOID: frames are missing",
            (true, false) => MET,
        }
    }
}

/// Holds every target of these sections against the figures that they gave.
pub(crate) fn judge(figures: &BTreeMap<String, f64>, sections: &[&str]) -> Vec<Verdict> {
    let held = figures.get(GIVEN.0).is_some_and(|measured| *measured >= GIVEN.1);
    let ours = |(_, figure, ..): &&(_, &str, _, _, bool)| {
        figure.split('.').next().is_some_and(|section| sections.contains(&section))
    };
    let judge = |&(what, figure, unit, bound, given): &(_, &str, _, _, bool)| {
        let (at_least, bound) = match bound {
            Least(bound) => (true, bound),
            Most(bound) => (false, bound),
        };
        let measured = figures.get(figure).copied();
        Verdict { what, unit, at_least, bound, measured, void: given && !held }
    };
    TARGETS.iter().filter(ours).map(judge).collect()
}

/// Prints which were met.
pub(crate) fn print(verdicts: &[Verdict]) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "\nmust reach")?;
    for verdict in verdicts {
        writeln!(out, "  {}", line(verdict))?;
    }
    Ok(())
}

/// A target and what came of it.
pub(crate) fn line(verdict: &Verdict) -> String {
    let Verdict { what, unit, at_least, bound, measured, .. } = verdict;
    let sign = if *at_least { '≥' } else { '≤' };
    let (measured, outcome) = (number(*measured), verdict.outcome());
    format!("{what:<38} {measured:>12}  {sign} {bound:<7} {unit:<12} {outcome}")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::super::args::Section;
    use super::*;

    /// What comes of the targets of these sections, and whether they are missed.
    fn outcomes(figures: &[(&str, f64)], sections: &[&str]) -> Vec<(&'static str, bool)> {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let verdicts = judge(&figures, sections);
        verdicts.iter().map(|it| (it.outcome(), it.is_missed())).collect()
    }

    #[test]
    fn latency_counts_only_where_no_frames_are_missing() {
        let outcome = |fps: f64, p50: f64| {
            let figures = [("capture.pictures_sent", fps), ("capture.latency.p50", p50)];
            outcomes(&figures, &["capture"])[0]
        };
        assert_eq!(outcome(60.0, 3.9), ("met", false));
        assert_eq!(outcome(60.0, 4.1), ("MISSED", true));
        assert_eq!(outcome(30.0, 3.9), ("VOID: frames are missing", true));
    }

    #[test]
    fn what_a_section_that_ran_did_not_measure_is_missed() {
        let figures = [("start.game.p50", 400.0)];
        assert_eq!(outcomes(&figures, &["start"]), [("met", false), ("NOT MEASURED", true)]);
        // It ran, and gave nothing at all.
        assert_eq!(outcomes(&figures, &["selkies"]), [("NOT MEASURED", true); 2]);
        let verdicts = judge(&BTreeMap::new(), &["input"]);
        assert!(line(&verdicts[0]).ends_with("NOT MEASURED"), "{}", line(&verdicts[0]));
    }

    #[test]
    fn targets_of_sections_that_were_not_asked_for_are_not_judged() {
        let figures = [("start.game.p50", 9_000.0)];
        assert_eq!(outcomes(&figures, &["start"])[0], ("MISSED", true));
        assert_eq!(outcomes(&figures, &["input"]), [("NOT MEASURED", true); 2]);
        assert!(outcomes(&figures, &[]).is_empty());
        // Each target is of a section that there is.
        let all: Vec<_> = Section::value_variants().iter().map(|section| section.name()).collect();
        assert_eq!(judge(&BTreeMap::new(), &all).len(), TARGETS.len());
    }
}
