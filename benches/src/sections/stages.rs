//! A recording as figures: stages of frames, joined with what the browser told of them. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use media::{Mark, MediaTime, Stage, StageTimes};

use crate::clock::Relation;
use crate::figures::{Findings, rank};
use crate::record::{Recording, Reported, Sent};

/// Frames that were captured within a window, with what the browser told of each.
pub(crate) struct Window<'a> {
    frames: Vec<(&'a Sent, Option<Reported>)>,
    relation: Relation,
}

impl<'a> Window<'a> {
    /// The frames of a recording that were captured from `start` to `end`.
    pub(crate) fn new(
        recording: &'a Recording,
        relation: Relation,
        start: MediaTime,
        end: MediaTime,
    ) -> Self {
        let reports: BTreeMap<u32, Reported> =
            recording.reports.iter().map(|report| (report.wire_timestamp, *report)).collect();
        let within = |sent: &&Sent| {
            let captured = sent.stages.get(Mark::Captured);
            captured.is_some_and(|at| at >= start && at < end)
        };
        let joined = |sent: &'a Sent| (sent, reports.get(&sent.wire_timestamp).copied());
        Self { frames: recording.sent.iter().filter(within).map(joined).collect(), relation }
    }

    /// Frames sent.
    pub(crate) fn sent(&self) -> usize {
        self.frames.len()
    }

    /// Frames that the browser told of.
    pub(crate) fn reported(&self) -> usize {
        self.frames.iter().filter(|(_, report)| report.is_some()).count()
    }

    /// Bytes of all frames.
    pub(crate) fn bytes(&self) -> u64 {
        self.frames.iter().map(|(sent, _)| sent.bytes).sum()
    }

    /// Lengths of a stage in milliseconds, of the frames that have it.
    pub(crate) fn stage(&self, stage: Stage) -> Vec<f64> {
        let of = |(sent, _): &(&Sent, _)| {
            sent.stages.spans().find(|(of, _)| *of == stage).map(|(_, length)| millis(length))
        };
        self.frames.iter().filter_map(of).collect()
    }

    /// Last packet sent → decoded, in milliseconds. Within the clocks' error a value may be below zero;
    /// it is kept as it is, since a cut would shift the median.
    pub(crate) fn network(&self) -> Vec<f64> {
        self.joined(|sent, report| {
            let left = sent.stages.get(Mark::LastSent)?;
            Some((self.relation.media_us(report.decoded_us) - micros(left)) / 1e3)
        })
    }

    /// Decoded → drawn.
    pub(crate) fn present(&self) -> Vec<f64> {
        self.joined(|_, report| {
            Some(report.presented_us.saturating_sub(report.decoded_us) as f64 / 1e3)
        })
    }

    /// Captured → drawn.
    pub(crate) fn total(&self) -> Vec<f64> {
        self.joined(|sent, report| {
            let captured = sent.stages.get(Mark::Captured)?;
            Some((self.relation.media_us(report.presented_us) - micros(captured)) / 1e3)
        })
    }

    /// Captured → last packet sent.
    pub(crate) fn server(&self) -> Vec<f64> {
        self.frames.iter().filter_map(|(sent, _)| sent.stages.total().map(millis)).collect()
    }

    /// Queue + packetise + seal + send of the frames that have all these marks.
    pub(crate) fn overhead(&self) -> Vec<f64> {
        self.frames.iter().filter_map(|(sent, _)| overhead(&sent.stages).map(millis)).collect()
    }

    /// Times between neighbouring pictures as drawn, in milliseconds.
    pub(crate) fn intervals(&self) -> Vec<f64> {
        let mut drawn: Vec<_> =
            self.frames.iter().filter_map(|(_, report)| Some((*report)?.presented_us)).collect();
        drawn.sort_unstable();
        drawn.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e3).collect()
    }

    fn joined(&self, value: impl Fn(&Sent, &Reported) -> Option<f64>) -> Vec<f64> {
        let of = |(sent, report): &(&Sent, Option<Reported>)| value(sent, report.as_ref()?);
        self.frames.iter().filter_map(of).collect()
    }

    /// Every stage, then the wholes.
    pub(crate) fn put_stages(&self, name: &str, findings: &mut Findings) {
        for stage in Stage::ALL {
            let lengths = self.stage(stage);
            // A mark that this source does not set merges its stage into the next.
            if !lengths.is_empty() {
                findings.spread(&format!("{name}.stage.{}", stage.name()), "ms", lengths);
            }
        }
        findings.spread(&format!("{name}.stage.network"), "ms", self.network());
        findings.spread(&format!("{name}.stage.present"), "ms", self.present());
        findings.spread(&format!("{name}.total"), "ms", self.total());
        findings.spread(&format!("{name}.server"), "ms", self.server());
        let overhead = self.overhead();
        if !self.frames.is_empty() {
            let part = overhead.len() as f64 / self.frames.len() as f64;
            findings.put(format!("{name}.overhead_known"), "of frames", part);
        }
        findings.spread(&format!("{name}.overhead"), "ms", overhead);
    }

    /// The median of values, where there are any.
    pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
        values.sort_unstable_by(f64::total_cmp);
        rank(&values, 50)
    }
}

fn overhead(stages: &StageTimes) -> Option<Duration> {
    let needed = [
        Mark::Encoded,
        Mark::Dequeued,
        Mark::Packetised,
        Mark::Paced,
        Mark::FirstSent,
        Mark::LastSent,
    ];
    if needed.iter().any(|mark| stages.get(*mark).is_none()) {
        return None;
    }
    let ours = |stage: &Stage| {
        matches!(stage, Stage::Queue | Stage::Packetise | Stage::Seal | Stage::Send)
    };
    Some(stages.spans().filter(|(stage, _)| ours(stage)).map(|(_, length)| length).sum())
}

fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1e3
}

fn micros(at: MediaTime) -> f64 {
    at.as_nanos() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Relation;

    /// Marks a millisecond apart from `start`, each stage one longer than the one before.
    fn frame(start: u64, wire_timestamp: u32) -> Sent {
        let mut stages = StageTimes::default();
        let mut at = start;
        for (index, mark) in Mark::ALL.into_iter().enumerate() {
            at += index as u64;
            stages.mark(mark, MediaTime::from_millis(at));
        }
        Sent { frame: start, wire_timestamp, bytes: 100, stages }
    }

    fn recording() -> Recording {
        let report = |wire_timestamp, decoded_us| Reported {
            wire_timestamp,
            decoded_us,
            presented_us: decoded_us + 500,
        };
        Recording {
            sent: vec![frame(100, 1), frame(200, 2), frame(300, 3), frame(900, 4)],
            reports: vec![report(1, 157_000), report(2, 259_000), report(9, 1)],
            inputs: Vec::new(),
        }
    }

    #[test]
    fn stages_of_a_window_join_with_reports_and_sum_to_the_whole() {
        let recording = recording();
        let window = Window::new(
            &recording,
            Relation::exact(),
            MediaTime::from_millis(50),
            MediaTime::from_millis(800),
        );
        assert_eq!((window.sent(), window.reported(), window.bytes()), (3, 2, 300));
        assert_eq!(window.stage(Stage::Encode), [5.0; 3]);
        // 55 ms from the first mark to the last.
        assert_eq!(window.server(), [55.0; 3]);
        assert_eq!(window.network(), [2.0, 4.0]);
        assert_eq!(window.present(), [0.5, 0.5]);
        assert_eq!(window.total(), [57.5, 59.5]);
        assert_eq!(window.intervals(), [102.0]);
        // Queue 6, packetise 7, seal 9, send 10; the pacer's 8 are not ours.
        assert_eq!(window.overhead(), [32.0; 3]);
    }

    #[test]
    fn a_frame_without_all_marks_has_no_overhead() {
        let mut stages = StageTimes::captured(MediaTime::ZERO);
        stages.mark(Mark::LastSent, MediaTime::from_millis(3));
        assert_eq!(overhead(&stages), None);
    }
}
