//! What happens on the thread.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use media::barcode::Strip;
use media::{
    AccessUnit, Clock, ColorDescription, CpuImage, Damage, EncodeError, EncodeOptions, Encoded,
    Encoder, EncoderCapabilities, Frame, FrameId, ImageError, Mark, MatrixCoefficients, Picture,
    PixelFormat, Primaries, Recovery, UnitKind, UnitSink,
};

use super::gate::{Decision, KeyframeGate};
use super::shared::{Shared, Work};
use super::{Command, EventFn, WorkerConfig, WorkerEvent};
use crate::candidates::{Candidate, EncoderSettings};
use crate::convert::Nv12Converter;

/// The state of the thread.
pub(super) struct Runner {
    shared: Arc<Shared>,
    sink: Box<dyn UnitSink>,
    clock: Arc<dyn Clock>,
    events: EventFn,
    config: WorkerConfig,
    /// As last told; a replacement is opened with them.
    settings: EncoderSettings,
    untried: VecDeque<Candidate>,
    encoder: Option<Box<dyn Encoder>>,
    /// Why encoders were given up.
    reasons: Vec<String>,
    gate: KeyframeGate,
    converter: Nv12Converter,
    /// The newest frame never reached the viewer.
    stale: bool,
    /// What changed in the coded picture since the last unit, in frames that yielded none.
    missed: Damage,
    /// A failure was told and no picture passed since.
    failing: bool,
}

/// No encoder is left.
struct Exhausted;

/// Why a frame yielded no unit.
enum FrameFailure {
    Lost(String),
    Refused(String),
    EncoderBroken(String),
}

impl From<ImageError> for FrameFailure {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Lost(_) => Self::Lost(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<EncodeError> for FrameFailure {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Fatal(reason) => Self::EncoderBroken(reason),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Runner {
    pub(super) fn new(
        mut config: WorkerConfig,
        shared: Arc<Shared>,
        sink: Box<dyn UnitSink>,
        clock: Arc<dyn Clock>,
        events: EventFn,
    ) -> Self {
        Self {
            shared,
            sink,
            clock,
            events,
            settings: config.settings,
            untried: std::mem::take(&mut config.encoders).into(),
            encoder: None,
            reasons: Vec::new(),
            gate: KeyframeGate::new(config.keyframe_interval),
            converter: Nv12Converter::new(),
            stale: true,
            missed: Damage::Unknown,
            failing: false,
            config,
        }
    }

    /// Runs until told to stop. A panic ends this thread with an event, and nothing else.
    pub(super) fn run_caught(mut self) {
        let event = match catch_unwind(AssertUnwindSafe(|| self.run())) {
            Ok(Ok(())) => return,
            Ok(Err(Exhausted)) => WorkerEvent::Failed(self.reasons.join("; ")),
            Err(panic) => WorkerEvent::Panicked(crate::panic_text(&*panic)),
        };
        // Told after the encoder is gone: the listener may start another one at once.
        self.encoder = None;
        (self.events)(event);
    }

    fn run(&mut self) -> Result<(), Exhausted> {
        self.open_next()?;
        loop {
            match self.shared.next() {
                Work::Stop => return Ok(()),
                Work::Command(command) => self.obey(command)?,
                Work::Frame(frame) => self.pass_on(frame)?,
            }
            self.shared.set_wants_refresh(self.stale || !self.gate.is_intact());
        }
    }

    /// Opens the next candidate that can be opened.
    fn open_next(&mut self) -> Result<(), Exhausted> {
        self.encoder = None;
        while let Some(candidate) = self.untried.pop_front() {
            match (candidate.open)(&self.settings) {
                Ok(encoder) => {
                    let capabilities = encoder.capabilities().clone();
                    self.shared.record(|stats| stats.encoder = Some(candidate.name));
                    self.encoder = Some(encoder);
                    self.gate.restart();
                    (self.events)(WorkerEvent::Opened(capabilities));
                    return Ok(());
                }
                Err(error) => self.give_up(candidate.name, error.to_string()),
            }
        }
        if self.reasons.is_empty() {
            self.reasons.push("no encoder was given".into());
        }
        Err(Exhausted)
    }

    fn give_up(&mut self, name: &'static str, reason: String) {
        self.reasons.push(format!("{name}: {reason}"));
        (self.events)(WorkerEvent::FellBack { name, reason });
    }

    /// Replaces an encoder that broke.
    fn replace(&mut self, reason: String) -> Result<(), Exhausted> {
        self.stale = true;
        if let Some(broken) = self.encoder.take() {
            let name = broken.capabilities().name;
            drop(broken);
            self.shared.record(|stats| stats.encoder = None);
            self.give_up(name, reason);
        }
        self.open_next()
    }

    fn obey(&mut self, command: Command) -> Result<(), Exhausted> {
        match command {
            Command::SetRate { bitrate, rate } => {
                (self.settings.bitrate, self.settings.rate) = (bitrate, rate);
                let Some(encoder) = &mut self.encoder else { return Ok(()) };
                match encoder.set_rate(bitrate, rate) {
                    // Whether a keyframe comes of it is seen in the next unit.
                    Ok(_) => Ok(()),
                    Err(EncodeError::Fatal(reason)) => self.replace(reason),
                    Err(error) => self.replace(format!("{bitrate} was refused: {error}")),
                }
            }
            Command::Keyframe => {
                self.gate.request();
                Ok(())
            }
            Command::Forget(lost) => {
                self.forget(lost);
                Ok(())
            }
            Command::SetSink(sink) => {
                self.sink = sink;
                self.gate.restart();
                self.missed = Damage::Unknown;
                Ok(())
            }
            // Comes as `Work::Stop`.
            Command::Stop => Ok(()),
        }
    }

    fn forget(&mut self, lost: std::ops::RangeInclusive<FrameId>) {
        let recovery = self.encoder.as_mut().map(|encoder| encoder.forget(lost));
        if recovery != Some(Recovery::Invalidated) {
            self.gate.break_chain();
        }
        // The lost picture may have been the newest one, and what changed in it is not kept.
        self.stale = true;
        self.missed = Damage::Unknown;
    }

    /// A frame yields no unit.
    fn miss(&mut self, frame: &Frame) {
        self.stale = true;
        if frame.image.size() == self.settings.size {
            self.missed.merge(&frame.damage);
        } else {
            self.missed = Damage::Unknown;
        }
    }

    fn pass_on(&mut self, mut frame: Frame) -> Result<(), Exhausted> {
        let decision = self.gate.decide(self.clock.now());
        if decision == Decision::Skip || !self.sink.is_ready() {
            self.miss(&frame);
            self.shared.record(|stats| stats.skipped += 1);
            return Ok(());
        }
        let failure = match self.encode(&mut frame, decision == Decision::Key) {
            Ok(coded) => {
                self.failing = false;
                self.send(frame, coded);
                return Ok(());
            }
            Err(failure) => failure,
        };
        self.miss(&frame);
        self.shared.record(|stats| stats.failed += 1);
        let event = match failure {
            FrameFailure::EncoderBroken(reason) => return self.replace(reason),
            FrameFailure::Lost(reason) => WorkerEvent::ImageLost(reason),
            FrameFailure::Refused(reason) => {
                WorkerEvent::PictureRefused { frame: frame.id, reason }
            }
        };
        if !std::mem::replace(&mut self.failing, true) {
            (self.events)(event);
        }
        Ok(())
    }

    fn encode(&mut self, frame: &mut Frame, keyframe: bool) -> Result<Coded, FrameFailure> {
        let Some(encoder) = &mut self.encoder else {
            return Err(FrameFailure::EncoderBroken("there is none".into()));
        };
        check_format(frame.image.format(), encoder.capabilities())
            .and_then(|()| check_color(frame.image.format(), &frame.color))
            .map_err(FrameFailure::Refused)?;
        frame.image.finish(&*self.clock, &mut frame.stages)?;
        let mapped = frame.image.map()?;
        let image: CpuImage<'_> = match mapped.format.chroma() {
            Some(_) => mapped,
            None => self.converter.convert(&mapped)?,
        };
        // Kept as it is where nothing was converted here.
        frame.stages.mark(Mark::Converted, self.clock.now());
        if image.size != self.settings.size {
            encoder.resize(image.size)?;
            self.settings.size = image.size;
            self.missed = Damage::Unknown;
        }
        let strip = self.config.barcode.then(|| Strip::new(frame.id, frame.last_input));
        let started = self.clock.now();
        frame.stages.mark(Mark::EncodeStarted, started);
        let picture = Picture::Cpu(image);
        let encoded = encoder.encode(frame.id, &picture, EncodeOptions { keyframe, strip })?;
        let ended = self.clock.now();
        frame.stages.mark(Mark::Encoded, ended);
        self.shared.record(|stats| stats.times.record(ended.since(started)));
        let Encoded { data, kind } = encoded;
        if kind == UnitKind::Key {
            self.gate.coded_key(ended);
        } else if keyframe {
            return Err(FrameFailure::EncoderBroken("it made no keyframe when told to".into()));
        }
        Ok(Coded { data, kind, codec: encoder.capabilities().codec })
    }

    fn send(&mut self, frame: Frame, coded: Coded) {
        let (id, bytes) = (frame.id, coded.data.len() as u64);
        let Frame { captured_at, views, mut damage, depth, last_input, stages, image, .. } = frame;
        damage.merge(&self.missed);
        // The slot is free for the next picture while this one is sent.
        drop(image);
        let unit = AccessUnit {
            track: self.config.track,
            frame: id,
            captured_at,
            kind: coded.kind,
            codec: coded.codec,
            data: coded.data,
            views,
            damage,
            depth,
            color: ColorDescription::BT709_LIMITED,
            last_input,
            stages,
        };
        if self.sink.send(unit).is_err() {
            self.shared.record(|stats| stats.refused += 1);
            self.forget(id..=id);
            return;
        }
        self.stale = false;
        self.missed = Damage::none();
        self.shared.record(|stats| {
            stats.encoded += 1;
            stats.keyframes += u64::from(coded.kind == UnitKind::Key);
            stats.bytes += bytes;
        });
    }
}

/// A coded picture.
struct Coded {
    data: Bytes,
    kind: UnitKind,
    codec: media::Codec,
}

/// RGB is converted to NV12; anything else goes to the encoder as it is.
fn check_format(format: PixelFormat, encoder: &EncoderCapabilities) -> Result<(), String> {
    let needed = format.chroma().map_or(PixelFormat::Nv12, |_| format);
    if encoder.formats.contains(&needed) {
        return Ok(());
    }
    Err(format!("{} takes {:?}, not {needed:?}", encoder.name, encoder.formats))
}

/// Streams say BT.709 in limited range, so pictures that are something else are refused, not
/// mislabelled.
fn check_color(format: PixelFormat, color: &ColorDescription) -> Result<(), String> {
    let ok = match format.chroma() {
        Some(_) => *color == ColorDescription::BT709_LIMITED,
        None => {
            color.primaries == Primaries::Bt709
                && color.matrix == MatrixCoefficients::Identity
                && color.full_range
        }
    };
    if ok { Ok(()) } else { Err(format!("{format:?} with colours {color:?} cannot be coded")) }
}
