//! What must be reached, and whether it was. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Most(f64),
    Least(f64),
    /// At most another figure of the same run.
    MostOf(&'static str),
}

/// A figure with its bound.
struct Target {
    what: &'static str,
    figure: &'static str,
    unit: &'static str,
    bound: Bound,
}

const fn at_most(
    what: &'static str,
    figure: &'static str,
    unit: &'static str,
    bound: f64,
) -> Target {
    Target { what, figure, unit, bound: Bound::Most(bound) }
}

/// Frames a second that count as 30 held: a window of seconds cuts a frame at each end.
const THIRTY_HELD: f64 = 29.7;

const TARGETS: [Target; 14] = [
    at_most("server overhead, p50", "synthetic.overhead.p50", "ms", 1.0),
    at_most("server overhead, p95", "synthetic.overhead.p95", "ms", 3.0),
    at_most("send → decoded, synthetic, p50", "synthetic.stage.network.p50", "ms", 4.0),
    at_most("send → decoded, synthetic, p95", "synthetic.stage.network.p95", "ms", 10.0),
    at_most("send → decoded, demo, p50", "demo.stage.network.p50", "ms", 4.0),
    at_most("send → decoded, demo, p95", "demo.stage.network.p95", "ms", 10.0),
    Target {
        what: "input → changed pixel, synthetic, p50",
        figure: "input.synthetic.latency.p50",
        unit: "ms",
        bound: Bound::MostOf("input.synthetic.bound"),
    },
    Target {
        what: "input → changed pixel, demo, p50",
        figure: "input.demo.latency.p50",
        unit: "ms",
        bound: Bound::MostOf("input.demo.bound"),
    },
    at_most("click → first decoded frame, p95", "start.click_to_decoded.p95", "ms", 500.0),
    at_most("page weight, gzip", "weight.gzip", "kB", 150.0),
    Target {
        what: "demo frame rate",
        figure: "demo.fps_presented",
        unit: "/s",
        bound: Bound::Least(THIRTY_HELD),
    },
    at_most("demo frame interval, p95 of nominal", "demo.interval.p95_of_nominal", "×", 1.25),
    // Frame buffers are not even subtracted here: what is subtracted is measured, not computed.
    at_most("memory of a session beyond its encoder", "memory.beyond_codec", "MB", 25.0),
    at_most("frames encoded while nothing changes", "still.encoded", "frames", 0.0),
];

/// A target and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: &'static str,
    pub(crate) figure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) measured: Option<f64>,
    /// `≤ 4.00`, or why there is none.
    pub(crate) bound: Option<f64>,
    pub(crate) at_least: bool,
    /// By how much the bound is missed, in the figure's unit; zero when it is met.
    pub(crate) missed_by: Option<f64>,
}

impl Verdict {
    /// Whether it was measured and is not reached.
    pub(crate) fn is_missed(&self) -> bool {
        self.missed_by.is_some_and(|by| by > 0.0)
    }
}

/// Holds every target of these sections against the figures.
pub(crate) fn judge(figures: &BTreeMap<String, f64>, sections: &[&str]) -> Vec<Verdict> {
    let ours = |target: &&Target| {
        target.figure.split('.').next().is_some_and(|section| sections.contains(&section))
    };
    TARGETS.iter().filter(ours).map(|target| verdict(target, figures)).collect()
}

fn verdict(target: &Target, figures: &BTreeMap<String, f64>) -> Verdict {
    let measured = figures.get(target.figure).copied();
    let (bound, at_least) = match target.bound {
        Bound::Most(bound) => (Some(bound), false),
        Bound::Least(bound) => (Some(bound), true),
        Bound::MostOf(name) => (figures.get(name).copied(), false),
    };
    let missed_by = measured.zip(bound).map(|(measured, bound)| {
        let over = if at_least { bound - measured } else { measured - bound };
        over.max(0.0)
    });
    Verdict {
        what: target.what,
        figure: target.figure,
        unit: target.unit,
        measured,
        bound,
        at_least,
        missed_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTIONS: [&str; 3] = ["synthetic", "demo", "input"];

    fn judged(figures: &[(&str, f64)], what: &str) -> Verdict {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        judge(&figures, &SECTIONS).into_iter().find(|verdict| verdict.what == what).unwrap()
    }

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let overhead =
            |value| judged(&[("synthetic.overhead.p50", value)], "server overhead, p50").missed_by;
        assert_eq!(overhead(1.0), Some(0.0));
        assert_eq!(overhead(1.5), Some(0.5));
        assert_eq!(judged(&[], "server overhead, p50").missed_by, None);
        let rate = |value| judged(&[("demo.fps_presented", value)], "demo frame rate").is_missed();
        assert!(rate(20.0) && !rate(30.0));
    }

    #[test]
    fn only_targets_of_sections_that_ran_are_judged() {
        assert!(judge(&BTreeMap::new(), &[]).is_empty());
        assert_eq!(judge(&BTreeMap::new(), &["weight"]).len(), 1);
    }

    #[test]
    fn a_bound_that_is_measured_must_have_been_measured() {
        let what = "input → changed pixel, demo, p50";
        let latency = ("input.demo.latency.p50", 70.0);
        assert_eq!(judged(&[latency], what).missed_by, None);
        assert_eq!(judged(&[latency, ("input.demo.bound", 60.0)], what).missed_by, Some(10.0));
    }
}
