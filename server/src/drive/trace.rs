//! Each frame's way as trace events of plain numbers, for benches and profilers.
//!
//! `nearlight::frame` says when a frame was where (nanoseconds of the media clock; a mark that was not
//! set has no field), `nearlight::report` what the client saw of it (microseconds of the client's
//! clock). The two are joined by `wire_timestamp`. `nearlight::input` says when a player's input was taken from the
//! transport, and when it had been handed on. Nothing is evaluated unless the target is enabled at
//! trace level.

use media::{Clock, FrameId, InputSeq, Mark, MediaTime, StageTimes};

use crate::wire::FrameReport;

/// A frame has left.
pub(super) fn sent(frame: FrameId, wire_timestamp: u32, bytes: u64, stages: &StageTimes) {
    let at = |mark| stages.get(mark).map(MediaTime::as_nanos);
    tracing::trace!(
        target: "nearlight::frame",
        frame = frame.0,
        wire_timestamp,
        bytes,
        captured_ns = at(Mark::Captured),
        draw_started_ns = at(Mark::DrawStarted),
        drawn_ns = at(Mark::Drawn),
        converted_ns = at(Mark::Converted),
        encode_started_ns = at(Mark::EncodeStarted),
        encoded_ns = at(Mark::Encoded),
        dequeued_ns = at(Mark::Dequeued),
        packetised_ns = at(Mark::Packetised),
        paced_ns = at(Mark::Paced),
        first_sent_ns = at(Mark::FirstSent),
        last_sent_ns = at(Mark::LastSent),
    );
}

/// The client has told of a frame.
pub(super) fn reported(report: &FrameReport) {
    tracing::trace!(
        target: "nearlight::report",
        wire_timestamp = report.rtp,
        received_us = report.received_us,
        decoded_us = report.decoded_us,
        presented_us = report.presented_us,
    );
}

/// A player's input has been given to what is played.
pub(super) fn input(seq: InputSeq, came: MediaTime, clock: &dyn Clock) {
    tracing::trace!(
        target: "nearlight::input",
        seq = seq.0,
        came_ns = came.as_nanos(),
        given_ns = clock.now().as_nanos(),
    );
}
