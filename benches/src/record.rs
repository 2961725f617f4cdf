//! Keeps what the server's trace events say of each frame (`nearlight::frame`, `nearlight::report`) and of input
//! (`nearlight::input`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::{Mark, MediaTime, StageTimes};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

const FRAME: &str = "nearlight::frame";
const REPORT: &str = "nearlight::report";
const INPUT: &str = "nearlight::input";
/// Fields of the marks, in the order of [`Mark::ALL`].
const MARKS: [&str; Mark::ALL.len()] = [
    "captured_ns",
    "draw_started_ns",
    "drawn_ns",
    "converted_ns",
    "encode_started_ns",
    "encoded_ns",
    "dequeued_ns",
    "packetised_ns",
    "paced_ns",
    "first_sent_ns",
    "last_sent_ns",
];
/// Room made beforehand: ten minutes at 60 frames a second, so that nothing grows while it is measured.
const ROOM: usize = 36_000;

/// A frame that was sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) frame: u64,
    pub(crate) wire_timestamp: u32,
    pub(crate) bytes: u64,
    pub(crate) stages: StageTimes,
}

/// What the browser told of a frame, in microseconds of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) wire_timestamp: u32,
    pub(crate) decoded_us: u64,
    pub(crate) presented_us: u64,
}

/// Input that the server had, in nanoseconds of its media clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) seq: u32,
    /// When its transport had it.
    pub(crate) came: MediaTime,
    /// When what is played had been given it.
    pub(crate) given: MediaTime,
}

/// Everything since [`Recorder::begin`].
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) sent: Vec<Sent>,
    pub(crate) reports: Vec<Reported>,
    pub(crate) inputs: Vec<Given>,
}

#[derive(Debug, Default)]
struct State {
    on: bool,
    kept: Recording,
}

/// A layer that records while it is told to. Clones share the recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<State>>);

impl Recorder {
    /// Forgets what was recorded and records from now on.
    pub(crate) fn begin(&self) {
        let mut state = self.lock();
        state.on = true;
        state.kept = Recording {
            sent: Vec::with_capacity(ROOM),
            reports: Vec::with_capacity(ROOM),
            inputs: Vec::with_capacity(ROOM),
        };
    }

    /// Stops and yields what was recorded.
    pub(crate) fn end(&self) -> Recording {
        let mut state = self.lock();
        state.on = false;
        std::mem::take(&mut state.kept)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut state = self.lock();
        if !state.on {
            return;
        }
        match event.metadata().target() {
            FRAME => state.kept.sent.push(Sent {
                frame: fields.frame,
                wire_timestamp: fields.wire_timestamp,
                bytes: fields.bytes,
                stages: fields.stages,
            }),
            REPORT => state.kept.reports.push(Reported {
                wire_timestamp: fields.wire_timestamp,
                decoded_us: fields.decoded_us,
                presented_us: fields.presented_us,
            }),
            INPUT => state.kept.inputs.push(fields.input),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Fields {
    input: Given,
    frame: u64,
    wire_timestamp: u32,
    bytes: u64,
    decoded_us: u64,
    presented_us: u64,
    stages: StageTimes,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "frame" => self.frame = value,
            "wire_timestamp" => self.wire_timestamp = value as u32,
            "bytes" => self.bytes = value,
            "decoded_us" => self.decoded_us = value,
            "presented_us" => self.presented_us = value,
            "seq" => self.input.seq = value as u32,
            "came_ns" => self.input.came = MediaTime::from_nanos(value),
            "given_ns" => self.input.given = MediaTime::from_nanos(value),
            name => {
                if let Some(index) = MARKS.iter().position(|mark| *mark == name) {
                    self.stages.mark(Mark::ALL[index], MediaTime::from_nanos(value));
                }
            }
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Records frames, and writes warnings of the server to standard error.
pub(crate) fn subscribe(recorder: &Recorder) {
    let frames = Targets::new()
        .with_target(FRAME, LevelFilter::TRACE)
        .with_target(REPORT, LevelFilter::TRACE)
        .with_target(INPUT, LevelFilter::TRACE);
    let warnings = server::config::Config::default().log.filter.replacen("info", "warn", 1);
    let warnings = warnings.parse::<Targets>().unwrap_or_default();
    tracing_subscriber::registry()
        .with(recorder.clone().with_filter(frames))
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(warnings))
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_reports_are_kept_with_the_marks_that_were_set() {
        let recorder = Recorder::default();
        let subscriber = tracing_subscriber::registry().with(recorder.clone());
        tracing::subscriber::with_default(subscriber, || {
            let frame = |number: u64| {
                tracing::trace!(
                    target: "nearlight::frame", frame = number, wire_timestamp = 90_u32, bytes = 5_u64,
                    captured_ns = Some(1_u64), drawn_ns = None::<u64>, last_sent_ns = Some(7_u64)
                );
            };
            frame(1);
            recorder.begin();
            frame(2);
            tracing::trace!(
                target: "nearlight::report", wire_timestamp = 90_u32, decoded_us = 10_u64, presented_us = 11_u64
            );
            tracing::trace!(target: "nearlight::input", seq = 4_u32, came_ns = 5_u64, given_ns = 6_u64);
            tracing::trace!(target: "nearlight::other", frame = 3_u64);
        });
        let recording = recorder.end();
        let mut stages = StageTimes::captured(MediaTime::from_nanos(1));
        stages.mark(Mark::LastSent, MediaTime::from_nanos(7));
        assert_eq!(recording.sent, [Sent { frame: 2, wire_timestamp: 90, bytes: 5, stages }]);
        let report = Reported { wire_timestamp: 90, decoded_us: 10, presented_us: 11 };
        assert_eq!(recording.reports, [report]);
        let (came, given) = (MediaTime::from_nanos(5), MediaTime::from_nanos(6));
        assert_eq!(recording.inputs, [Given { seq: 4, came, given }]);
    }
}
