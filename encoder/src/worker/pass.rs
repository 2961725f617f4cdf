//! What becomes of a frame: it is dropped before the encoder, fails there, or its unit is sent.

use std::time::Instant;

use media::barcode::Strip;
use media::{
    AccessUnit, ColorDescription, Damage, EncodeError, EncodeOptions, Encoded, EncoderCapabilities,
    Frame, FrameId, ImageError, Mark, MatrixCoefficients, MediaTime, Picture, PictureKind,
    PixelFormat, Primaries, Regions, Submitted, UnitKind,
};

use super::WorkerEvent;
use super::gate::Decision;
use super::run::{Exhausted, Gone, Runner};
use super::window::Room;

/// A picture in the encoder. Its memory is kept until its unit is out.
pub(super) struct InFlight {
    frame: Frame,
    /// It was to be a keyframe.
    keyframe: bool,
    /// It was given before it was known to be complete.
    early: bool,
    /// What it is coded from, where that is not the one before.
    base: Option<FrameId>,
    /// The viewer whom it was coded for is gone.
    pub(super) void: bool,
    /// When the encoder took it, on the media clock.
    started: MediaTime,
    /// The same by the system's clock, which is what the thread waits by.
    pub(super) since: Instant,
}

/// Why a frame yielded no unit.
pub(super) enum FrameFailure {
    Lost(String),
    Refused(String),
    /// Why was told before.
    Told,
    Busy,
    EncoderGone(Gone),
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
            EncodeError::Fatal(reason) | EncodeError::NoKeyframe(reason) => {
                Self::EncoderGone(Gone::Broken(reason))
            }
            EncodeError::NoSession { reason, open } => {
                Self::EncoderGone(Gone::NoSession { reason, open })
            }
            EncodeError::Busy(_) => Self::Busy,
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Runner {
    pub(super) fn pass_on(&mut self, mut frame: Frame) -> Result<(), Exhausted> {
        self.tell_rate()?;
        if self.is_outdated(&frame) {
            self.shared.record(|stats| stats.skipped += 1);
            self.miss(&frame);
            return Ok(());
        }
        let Some(mut keyframe) = self.admit() else {
            self.miss(&frame);
            return Ok(());
        };
        let fitted = self.fit(frame.image.size()).and_then(|goes_over| {
            keyframe |= goes_over;
            self.submit(&mut frame, keyframe)
        });
        let (submitted, early) = match fitted {
            Ok(submitted) => submitted,
            Err(failure) => return self.fail(&frame, failure),
        };
        let started = self.clock.now();
        if keyframe {
            self.gate.coded_key(started);
            self.newest_key = Some(frame.id);
        }
        frame.damage.merge(&std::mem::replace(&mut self.missed, Damage::none()));
        self.stale = false;
        let started = frame.stages.get(Mark::EncodeStarted).unwrap_or(started);
        let base = self.base.take();
        let flight =
            InFlight { frame, keyframe, early, base, void: false, started, since: Instant::now() };
        match submitted {
            Submitted::Now(encoded) => self.complete(flight, Ok(encoded)),
            Submitted::Later => {
                self.in_flight.push_back(flight);
                Ok(())
            }
        }
    }

    /// Whether a frame was drawn before pictures were to be of another kind.
    fn is_outdated(&self, frame: &Frame) -> bool {
        let kind = PictureKind { format: frame.image.format(), color: frame.color };
        self.kind_since.is_some_and(|since| frame.captured_at <= since)
            && kind != self.settings.kind()
    }

    /// Whether the next frame is to be coded, and as a keyframe.
    fn admit(&mut self) -> Option<bool> {
        let now = self.clock.now();
        let mut decision = self.gate.decide(now);
        if decision == Decision::Delta {
            match self.window.room(self.in_flight.len(), now) {
                Room::Open => {}
                Room::Full => {
                    self.shared.record(|stats| stats.throttled += 1);
                    return None;
                }
                Room::Silent => {
                    self.gate.break_chain();
                    decision = self.gate.decide(now);
                }
            }
        }
        if decision == Decision::Skip || !self.sink.is_ready() {
            self.shared.record(|stats| stats.skipped += 1);
            return None;
        }
        Some(decision == Decision::Key)
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

    fn fail(&mut self, frame: &Frame, failure: FrameFailure) -> Result<(), Exhausted> {
        self.miss(frame);
        let event = match failure {
            FrameFailure::Busy => {
                self.shared.record(|stats| stats.skipped += 1);
                return Ok(());
            }
            FrameFailure::Told => {
                self.shared.record(|stats| stats.failed += 1);
                return Ok(());
            }
            FrameFailure::EncoderGone(why) => {
                self.shared.record(|stats| stats.failed += 1);
                return self.replace(why);
            }
            FrameFailure::Lost(reason) => WorkerEvent::ImageLost(reason),
            FrameFailure::Refused(reason) => {
                WorkerEvent::PictureRefused { frame: frame.id, reason }
            }
        };
        self.shared.record(|stats| stats.failed += 1);
        if !std::mem::replace(&mut self.failing, true) {
            (self.events)(event);
        }
        Ok(())
    }

    /// The encoder is gone, and with it the pictures that it had.
    pub(super) fn abandon_pictures(&mut self) {
        while let Some(InFlight { frame, .. }) = self.in_flight.pop_front() {
            self.miss(&frame);
            self.shared.record(|stats| stats.failed += 1);
        }
    }

    /// Gives the picture to the encoder, where it lies or on the CPU; tells too whether it was given before
    /// it was known to be complete.
    fn submit(
        &mut self,
        frame: &mut Frame,
        keyframe: bool,
    ) -> Result<(Submitted, bool), FrameFailure> {
        let Some(encoder) = &self.encoder else {
            return Err(FrameFailure::EncoderGone(Gone::Broken("there is none".into())));
        };
        let capabilities = encoder.capabilities();
        check_format(frame.image.format(), capabilities)
            .and_then(|()| check_color(frame, &self.settings.color))
            .map_err(FrameFailure::Refused)?;
        let (of_size, regions) = self.regions;
        let lie_in_it = of_size == frame.image.size();
        let regions =
            if lie_in_it && capabilities.regions.is_some() { regions } else { Regions::NONE };
        let device = capabilities.shares.filter(|_| self.shares);
        // A strip is drawn by the CPU, into what is complete.
        let waits = capabilities.waits_on_device && !self.config.barcode;
        let image = frame.image.shared();
        let lies_on = image.as_ref().map(|image| image.memory.device);
        let shared = lies_on.is_some() && lies_on == device;
        // The device waits; what became of the picture is asked when its unit is there.
        let early = waits && shared && image.is_some_and(|image| image.ready.is_some());
        if self.shares && lies_on.is_some() && !shared {
            // Copying each out of shared memory would cost more than drawing them for the CPU.
            self.stop_sharing("they lie on another device".into());
        }
        if !early {
            frame.image.finish(&*self.clock, &mut frame.stages)?;
        }
        let options = EncodeOptions {
            keyframe,
            strip: self.config.barcode.then(|| Strip::new(frame.id, frame.last_input)),
            regions,
        };
        if shared {
            match self.submit_shared(frame, options, early) {
                Err(FrameFailure::Refused(reason)) => self.stop_sharing(reason),
                result => return Ok((result?, early)),
            }
            frame.image.finish(&*self.clock, &mut frame.stages)?;
        }
        Ok((self.submit_mapped(frame, options)?, false))
    }

    /// `early`: it is not known to be complete.
    fn submit_shared(
        &mut self,
        frame: &mut Frame,
        options: EncodeOptions,
        early: bool,
    ) -> Result<Submitted, FrameFailure> {
        let (Some(encoder), Some(mut image)) = (&mut self.encoder, frame.image.shared()) else {
            return Err(FrameFailure::Refused("it is not in shared memory any more".into()));
        };
        if !early {
            image.ready = None;
            frame.stages.mark(Mark::Converted, self.clock.now());
        }
        frame.stages.mark(Mark::EncodeStarted, self.clock.now());
        Ok(encoder.encode(frame.id, &Picture::Shared(image), options)?)
    }

    fn submit_mapped(
        &mut self,
        frame: &mut Frame,
        options: EncodeOptions,
    ) -> Result<Submitted, FrameFailure> {
        let Some(encoder) = &mut self.encoder else {
            return Err(FrameFailure::EncoderGone(Gone::Broken("there is none".into())));
        };
        let mapped = frame.image.map()?;
        let image = match mapped.format.chroma() {
            Some(_) => mapped,
            None => {
                self.shared.record(|stats| stats.converted += 1);
                self.converter.convert(&mapped)?
            }
        };
        // Kept as it is where nothing was converted here.
        frame.stages.mark(Mark::Converted, self.clock.now());
        frame.stages.mark(Mark::EncodeStarted, self.clock.now());
        Ok(encoder.encode(frame.id, &Picture::Cpu(image), options)?)
    }

    fn stop_sharing(&mut self, reason: String) {
        self.shares = false;
        if let Some(encoder) = &self.encoder {
            let name = encoder.capabilities().name;
            (self.events)(WorkerEvent::NotShared { name, reason });
        }
    }

    /// Takes the units that the encoder has.
    pub(super) fn collect(&mut self) -> Result<(), Exhausted> {
        while let Some(result) = self.encoder.as_mut().and_then(|encoder| encoder.poll()) {
            let Some(flight) = self.in_flight.pop_front() else {
                return self.replace(Gone::Broken("it made a unit of no picture".into()));
            };
            self.complete(flight, result)?;
        }
        Ok(())
    }

    /// The encoder is done with a picture.
    fn complete(
        &mut self,
        flight: InFlight,
        result: Result<Encoded, EncodeError>,
    ) -> Result<(), Exhausted> {
        let InFlight { mut frame, keyframe, early, base, void, started, .. } = flight;
        let coded = match result {
            Ok(coded) if keyframe && coded.kind != UnitKind::Key => {
                let reason = "it made no keyframe when told to".into();
                return self.fail(&frame, FrameFailure::EncoderGone(Gone::Broken(reason)));
            }
            Ok(coded) => coded,
            Err(error) => {
                if keyframe {
                    self.gate.break_chain();
                }
                return self.fail(&frame, error.into());
            }
        };
        let ended = self.clock.now();
        // When it was complete, or that it never was.
        if early && let Err(error) = frame.image.finish(&*self.clock, &mut frame.stages) {
            self.gate.break_chain();
            return self.fail(&frame, error.into());
        }
        frame.stages.mark(Mark::Encoded, ended);
        self.failing = false;
        let key = coded.kind == UnitKind::Key;
        let refers_to = base.or(self.newest_unit).filter(|_| !key);
        self.newest_unit = Some(frame.id);
        self.shared.record(|stats| stats.times.record(ended.since(started)));
        if void {
            self.shared.record(|stats| stats.skipped += 1);
            return Ok(());
        }
        if !key {
            self.gate.coded_delta();
        } else if !keyframe {
            self.gate.coded_key(ended);
            self.newest_key = Some(frame.id);
        }
        if let Some(encoder) = &self.encoder {
            self.window.follow(encoder.capabilities().recovery);
        }
        self.window.coded(frame.id, key, ended);
        self.send(frame, coded, refers_to);
        Ok(())
    }

    fn send(&mut self, frame: Frame, coded: Encoded, refers_to: Option<FrameId>) {
        let Some(encoder) = &self.encoder else { return };
        let codec = encoder.capabilities().codec;
        let Encoded { data, kind, quantiser, .. } = coded;
        let (id, bytes) = (frame.id, data.len() as u64);
        let Frame { captured_at, views, damage, depth, last_input, stages, image, .. } = frame;
        // The slot is free for the next picture while this one is sent.
        drop(image);
        let budget = self.settings.bitrate.bps() as f64 / self.settings.rate.as_f64() / 8.0;
        self.refinement.coded(&damage, bytes, budget as u64, quantiser);
        let unit = AccessUnit {
            track: self.config.track,
            frame: id,
            captured_at,
            kind,
            refers_to,
            codec,
            data,
            views,
            damage,
            depth,
            color: self.settings.color,
            last_input,
            stages,
        };
        if self.sink.send(unit).is_err() {
            self.shared.record(|stats| stats.refused += 1);
            self.forget(id..=id);
            return;
        }
        self.shared.record(|stats| {
            stats.encoded += 1;
            stats.keyframes += u64::from(kind == UnitKind::Key);
            stats.bytes += bytes;
        });
    }
}

/// RGB is converted to NV12; anything else goes to the encoder as it is.
fn check_format(format: PixelFormat, encoder: &EncoderCapabilities) -> Result<(), String> {
    let needed = format.chroma().map_or(PixelFormat::Nv12, |_| format);
    if encoder.formats.contains(&needed) {
        return Ok(());
    }
    Err(format!("{} takes {:?}, not {needed:?}", encoder.name, encoder.formats))
}

/// Pictures that are not what the stream declares are refused, not mislabelled. RGB is converted to
/// BT.709.
fn check_color(frame: &Frame, declared: &ColorDescription) -> Result<(), String> {
    let (format, color) = (frame.image.format(), &frame.color);
    let ok = match format.chroma() {
        Some(_) => color == declared,
        None => {
            *declared == ColorDescription::BT709_LIMITED
                && color.primaries == Primaries::Bt709
                && color.matrix == MatrixCoefficients::Identity
                && color.full_range
        }
    };
    if ok { Ok(()) } else { Err(format!("{format:?} with colours {color:?} cannot be coded")) }
}
