//! What must be reached, and whether it was.

use std::collections::BTreeMap;

use serde::Serialize;

/// A bound on one figure.
#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

use Bound::{AtLeast, AtMost};

/// A round trip of 30 ms and two frames.
const FREEZE: f64 = 30.0 + 2.0 * 1_000.0 / 60.0;

/// Scenario, figure, bound. Times in ms, parts in percent. How much of a link is used is judged where the rate is what
/// is looked at, and nothing is lost: what loss costs of it is in the table.
const TARGETS: [(&str, &str, Bound); 23] = [
    ("step", "calm after drop", AtMost(1_000.0)),
    ("step", "90 % after rise", AtMost(5_000.0)),
    ("step", "p99", AtMost(200.0)),
    ("step", "use", AtLeast(85.0)),
    ("steady", "use", AtLeast(85.0)),
    ("two", "jain", AtLeast(0.9)),
    // Of 20 Mbit/s, 85 %.
    ("two", "sum", AtLeast(17.0)),
    ("loss-1", "keys", AtMost(0.0)),
    ("loss-1", "freeze95", AtMost(FREEZE)),
    ("loss-1", "overhead", AtMost(20.0)),
    ("loss-3", "keys", AtMost(0.0)),
    ("loss-3", "shown", AtLeast(99.0)),
    ("loss-3", "due", AtLeast(99.0)),
    ("loss-3", "freeze95", AtMost(FREEZE)),
    ("loss-3", "overhead", AtMost(20.0)),
    ("loss-5", "keys", AtMost(0.0)),
    ("loss-5", "freeze95", AtMost(FREEZE)),
    ("loss-5", "overhead", AtMost(20.0)),
    ("mixed", "keys", AtMost(0.0)),
    ("mixed", "use", AtLeast(85.0)),
    ("mtu-1280", "keys", AtMost(0.0)),
    ("mtu-1280", "use", AtLeast(85.0)),
    ("outage-200", "keys", AtMost(0.0)),
];

/// A target and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) at_least: bool,
    pub(crate) bound: f64,
    pub(crate) measured: f64,
}

impl Verdict {
    pub(crate) fn is_met(&self) -> bool {
        if self.at_least { self.measured >= self.bound } else { self.measured <= self.bound }
    }
}

/// Judges the figures of a scenario over a transport.
pub(crate) fn judge(
    scenario: &str,
    transport: &str,
    figures: &BTreeMap<&'static str, f64>,
) -> Vec<Verdict> {
    let of = TARGETS.iter().filter(|(of, ..)| *of == scenario);
    of.filter_map(|(_, figure, bound)| {
        let (at_least, bound) = match bound {
            AtLeast(bound) => (true, *bound),
            AtMost(bound) => (false, *bound),
        };
        let measured = *figures.get(figure)?;
        let what = format!("{scenario} over {transport}: {figure}");
        Some(Verdict { what, at_least, bound, measured })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_by_the_bound_of_its_scenario() {
        let figures = [("p99", 250.0), ("use", 85.0), ("jain", 0.5)].into();
        let verdicts = judge("step", "webrtc", &figures);
        let met: Vec<_> = verdicts.iter().map(|v| (v.what.as_str(), v.is_met())).collect();
        assert_eq!(met, [("step over webrtc: p99", false), ("step over webrtc: use", true)]);
        assert!(judge("wifi", "webrtc", &figures).is_empty());
        // What is left out before the encoder is no way to show all that is coded.
        let halved = [("shown", 100.0), ("due", 50.0)].into();
        let met: Vec<_> = judge("loss-3", "quic", &halved).iter().map(Verdict::is_met).collect();
        assert_eq!(met, [true, false]);
        let never = [("calm after drop", f64::INFINITY)].into();
        assert!(!judge("step", "webrtc", &never)[0].is_met());
    }
}
