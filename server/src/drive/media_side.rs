//! The two threads of a session that touch pictures: source and encoder, wired to each other.

use std::sync::Arc;

use encoder::{Command, EncoderSettings, EncoderWorker, WorkerConfig, WorkerEvent};
use media::{
    AccessUnit, Bitrate, Clock, CursorUpdate, Frame, FrameRate, PictureKind, SendRefused, Size,
    TrackId, UnitSink,
};
use session::rate::Part;
use tokio::sync::{mpsc, watch};

use super::audience::Audience;
use super::source::{Opening, SourceCounts, SourceOutput, SourceReport, SourceThread};
use crate::apps::VideoMode;
use crate::wire;

/// Least time between two keyframes that a client asks for.
const KEYFRAME_INTERVAL: std::time::Duration = std::time::Duration::from_millis(250);

/// What the threads tell the driver. The channel holds [`REPORTS`]; reports are few (changes, not
/// frames), so one that does not fit is a bug of ours and logged as one.
pub(super) enum Report {
    /// Of the source thread.
    Source(SourceReport),
    /// Of the encoder thread.
    Encoder(WorkerEvent),
    /// Of the stop: both threads have let go.
    Stopped,
}

/// Bound of the report channel.
pub(super) const REPORTS: usize = 64;

fn tell(reports: &mpsc::Sender<Report>, report: Report) {
    if let Err(mpsc::error::TrySendError::Full(_)) = reports.try_send(report) {
        tracing::error!("report channel full: a report was lost");
    }
}

/// Source and encoder of one session. Dropping it stops and joins both threads, which blocks for as long as a picture
/// takes, and some seconds where one hangs.
pub(super) struct MediaSide {
    // The source goes first: it submits to the encoder.
    source: SourceThread,
    encoder: Arc<EncoderWorker>,
    rate: FrameRate,
}

/// What came of a stop. A thread that hangs is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Both threads have let go.
    Complete,
    /// The source hangs; the encoder is told to stop and not waited for.
    SourceHangs,
    /// The encoder hangs.
    EncoderHangs,
}

/// What [`MediaSide::start`] needs.
pub(super) struct MediaPlan {
    pub(super) label: String,
    pub(super) opening: Opening,
    pub(super) video: VideoMode,
    pub(super) settings: EncoderSettings,
    pub(super) barcode: bool,
    pub(super) encoders: Vec<encoder::Candidate>,
    /// What pictures they begin with.
    pub(super) kind: PictureKind,
    /// Those who are told of the pointer.
    pub(super) audience: Arc<Audience>,
}

struct ToEncoder {
    encoder: Arc<EncoderWorker>,
    audience: Arc<Audience>,
    reports: mpsc::Sender<Report>,
}

impl SourceOutput for ToEncoder {
    fn frame(&mut self, frame: Frame) {
        self.encoder.submit(frame);
    }
    fn wants_refresh(&self) -> bool {
        self.encoder.wants_refresh()
    }
    fn wants_shared(&self) -> bool {
        self.encoder.wants_shared()
    }
    fn wants_kind(&self) -> PictureKind {
        self.encoder.wants_kind()
    }
    fn cursor(&mut self, update: CursorUpdate) {
        self.audience.pointed(update);
    }
    fn report(&mut self, report: SourceReport) {
        tell(&self.reports, Report::Source(report));
    }
}

/// The sink while no client is connected: frames are dropped before the encoder.
struct NoClient;

impl UnitSink for NoClient {
    fn is_ready(&self) -> bool {
        false
    }
    fn send(&mut self, _: AccessUnit) -> Result<(), SendRefused> {
        Err(SendRefused::NotConnected)
    }
}

impl MediaSide {
    /// Starts both threads, paused.
    pub(super) fn start(
        plan: MediaPlan,
        clock: Arc<dyn Clock>,
        reports: mpsc::Sender<Report>,
    ) -> std::io::Result<Self> {
        // Room is made for the granted size: a source that becomes smaller is followed in place.
        let settings = EncoderSettings {
            device: plan.opening.app.device(),
            integer_motion: plan.opening.app.integer_motion(),
            ..plan.settings.with_kind(plan.kind)
        };
        let config = WorkerConfig {
            label: plan.label.clone(),
            track: TrackId(0),
            settings,
            encoders: plan.encoders,
            keyframe_interval: KEYFRAME_INTERVAL,
            barcode: plan.barcode,
            patience: encoder::ENCODE_PATIENCE,
        };
        let to_driver = reports.clone();
        let events = Box::new(move |event| tell(&to_driver, Report::Encoder(event)));
        let encoder =
            Arc::new(EncoderWorker::spawn(config, Box::new(NoClient), clock.clone(), events)?);
        let output = ToEncoder { encoder: encoder.clone(), audience: plan.audience, reports };
        let source = SourceThread::start(
            format!("src-{}", plan.label),
            plan.opening,
            plan.video,
            clock,
            output,
        )?;
        Ok(Self { source, encoder, rate: plan.video.rate })
    }

    /// Stops both threads; blocks as a drop does.
    pub(super) fn stop(self) -> Stop {
        let Self { source, encoder, .. } = self;
        let complete = source.stop();
        // The source held the other handle, unless its thread is left behind with it.
        let encoder_ended = match Arc::try_unwrap(encoder) {
            Ok(encoder) => encoder.stop(),
            Err(shared) => {
                // Stopping is always taken; nobody waits for it.
                let _ = shared.command(Command::Stop);
                return Stop::SourceHangs;
            }
        };
        match (encoder_ended, complete) {
            (false, _) => Stop::EncoderHangs,
            (true, false) => Stop::SourceHangs,
            (true, true) => Stop::Complete,
        }
    }

    /// What the start waits for.
    pub(super) fn step(&self) -> watch::Receiver<Option<wire::StartStep>> {
        self.source.step()
    }

    /// Makes pictures, or none.
    pub(super) fn set_paused(&self, paused: bool) {
        self.source.set_paused(paused);
    }

    /// Sends units to another client from now on, beginning with a keyframe.
    pub(super) fn send_to(&self, sink: Option<Box<dyn UnitSink>>) {
        self.command(Command::SetSink(sink.unwrap_or_else(|| Box::new(NoClient))));
        self.source.refresh();
    }

    /// Codes pictures of this kind with these from now on.
    pub(super) fn use_encoders(&self, encoders: Vec<encoder::Candidate>, kind: PictureKind) {
        self.command(Command::UseEncoders { encoders, kind });
        self.source.refresh();
    }

    /// Codes the next picture on its own.
    pub(super) fn keyframe(&self) {
        self.command(Command::Keyframe);
        self.source.refresh();
    }

    /// These frames will never arrive whole.
    pub(super) fn forget(&self, lost: std::ops::RangeInclusive<media::FrameId>) {
        self.command(Command::Forget(lost));
        self.source.refresh();
    }

    /// The client has decoded this frame.
    pub(super) fn acknowledge(&self, frame: media::FrameId) {
        self.command(Command::Acknowledge(frame));
    }

    /// Codes at this rate.
    pub(super) fn set_bitrate(&self, bitrate: Bitrate) {
        self.command(Command::SetRate { bitrate, rate: self.rate });
    }

    /// Makes pictures at this part of their rate. The encoder goes on counting on the whole.
    pub(super) fn set_frame_rate(&self, part: Part) {
        self.source.set_rate(part.of_rate(self.rate), part != Part::WHOLE);
    }

    /// Makes pictures of this part of both edges of their size, which begins with a keyframe where it is another one.
    pub(super) fn set_size(&self, part: Part) {
        self.source.set_size(part);
    }

    /// Gives what is shown a screen of this size, where it has one.
    pub(super) fn set_screen(&self, size: Size, dpi: u32) {
        self.source.set_screen(size, dpi);
    }

    /// Pulls the next picture forward.
    pub(super) fn input_came(&self, now: media::MediaTime) {
        self.source.input_came(now);
    }

    /// Counters of both threads.
    pub(super) fn counts(&self) -> (SourceCounts, encoder::WorkerStats) {
        (self.source.counts(), self.encoder.stats())
    }

    fn command(&self, command: Command) {
        if let Err(refused) = self.encoder.command(command) {
            // An ended encoder has told why.
            tracing::debug!(%refused, "encoder command not taken");
        }
    }
}
