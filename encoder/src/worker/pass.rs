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
use crate::convert::Nv12Converter;

/// A picture in the encoder. Its memory is kept until its unit is out.
pub(super) struct InFlight {
    frame: Frame,
    /// It was to be a keyframe.
    keyframe: bool,
    /// It was given before it was known to be complete.
    early: bool,
    /// What it is coded from, where that is not the one before.
    base: Option<FrameId>,
    /// Parts of it were coded.
    begun: Option<Begun>,
    /// The viewer whom it was coded for is gone.
    pub(super) void: bool,
    /// When the encoder took it, on the media clock.
    started: MediaTime,
    /// The same by the system's clock, which is what the thread waits by.
    pub(super) since: Instant,
}

/// A picture of which the last part is to come.
#[derive(Clone, Copy)]
struct Begun {
    refers_to: Option<FrameId>,
    /// Bytes that were sent of it; none where the sink refused a part.
    sent: Option<u64>,
}

impl InFlight {
    /// Why a unit, or a part of one, is not what was asked for.
    fn is_not_met_by(&self, coded: &Encoded) -> Option<FrameFailure> {
        let unmet = self.keyframe && coded.kind != UnitKind::Key;
        let reason = || Gone::Broken("it made no keyframe when told to".into());
        unmet.then(|| FrameFailure::EncoderGone(reason()))
    }
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
        let fitted = self.fit(frame.image.size(), frame.scaled).and_then(|goes_over| {
            keyframe |= goes_over;
            frame.damage.merge(&std::mem::replace(&mut self.missed, Damage::none()));
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
        self.stale = false;
        let started = frame.stages.get(Mark::EncodeStarted).unwrap_or(started);
        let base = self.base.take();
        let flight = InFlight {
            frame,
            keyframe,
            early,
            base,
            begun: None,
            void: false,
            started,
            since: Instant::now(),
        };
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
            // Of those that have begun to come the window knows.
            let ahead = self.in_flight.iter().filter(|flight| flight.begun.is_none()).count();
            match self.window.room(ahead, now) {
                Room::Open => {}
                Room::Full => {
                    self.shared.record(|stats| stats.throttled += 1);
                    return None;
                }
                Room::Silent { owed } => {
                    let newest = self.in_flight.back().map(|flight| flight.frame.id);
                    self.forget(owed..=newest.or(self.newest_unit).unwrap_or(owed));
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
            damage: frame.damage.known(),
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
        mut options: EncodeOptions,
    ) -> Result<Submitted, FrameFailure> {
        let Some(encoder) = &mut self.encoder else {
            return Err(FrameFailure::EncoderGone(Gone::Broken("there is none".into())));
        };
        let mapped = frame.image.map()?;
        let image = match mapped.format.chroma() {
            Some(_) => mapped,
            None => {
                self.shared.record(|stats| stats.converted += 1);
                let widened = options.damage.map(|damage| damage.widened(Nv12Converter::REACH));
                options.damage = widened;
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
            match result {
                Ok(coded) if !coded.part.last => self.pass_part(flight, coded)?,
                result => self.complete(flight, result)?,
            }
        }
        Ok(())
    }

    /// The encoder goes on with a picture of which this part is coded.
    fn pass_part(&mut self, mut flight: InFlight, coded: Encoded) -> Result<(), Exhausted> {
        if let Some(failure) = flight.is_not_met_by(&coded) {
            return self.fail(&flight.frame, failure);
        }
        let now = self.clock.now();
        let mut begun = match flight.begun {
            Some(begun) => begun,
            None => Begun { refers_to: self.note(&flight, coded.kind, now), sent: Some(0) },
        };
        if let Some(sent) = begun.sent.filter(|_| !flight.void) {
            let bytes = sent + coded.data.len() as u64;
            let unit = self.unit(&flight.frame, coded, begun.refers_to);
            let taken = unit.is_some_and(|unit| self.send(unit));
            begun.sent = taken.then_some(bytes);
        }
        flight.begun = Some(begun);
        self.in_flight.push_front(flight);
        Ok(())
    }

    /// The encoder is done with a picture.
    fn complete(
        &mut self,
        mut flight: InFlight,
        result: Result<Encoded, EncodeError>,
    ) -> Result<(), Exhausted> {
        let begun = flight.begun;
        let coded = match result {
            Ok(coded) => match flight.is_not_met_by(&coded) {
                Some(failure) => return self.fail(&flight.frame, failure),
                None => coded,
            },
            Err(error) => {
                if flight.keyframe {
                    self.gate.break_chain();
                } else if begun.is_some() {
                    // Nobody will decode what was sent of it.
                    self.forget(flight.frame.id..=flight.frame.id);
                }
                return self.fail(&flight.frame, error.into());
            }
        };
        let ended = self.clock.now();
        let frame = &mut flight.frame;
        // When it was complete, or that it never was.
        if flight.early
            && let Err(error) = frame.image.finish(&*self.clock, &mut frame.stages)
        {
            self.gate.break_chain();
            return self.fail(&flight.frame, error.into());
        }
        frame.stages.mark(Mark::Encoded, ended);
        self.failing = false;
        let spent = ended.since(flight.started);
        let begun = match begun {
            Some(begun) => begun,
            None => Begun { refers_to: self.note(&flight, coded.kind, ended), sent: Some(0) },
        };
        self.shared.record(|stats| stats.times.record(spent));
        if flight.void {
            self.shared.record(|stats| stats.skipped += 1);
            return Ok(());
        }
        // Of one that was refused before, nothing more is sent.
        let Some(sent) = begun.sent else { return Ok(()) };
        let (kind, bytes) = (coded.kind, sent + coded.data.len() as u64);
        let budget = self.settings.bitrate.bps() as f64 / self.settings.rate.as_f64() / 8.0;
        self.refinement.coded(&flight.frame.damage, bytes, budget as u64, coded.quantiser);
        let unit = self.unit(&flight.frame, coded, begun.refers_to);
        // The slot is free for the next picture while this one is sent.
        drop(flight);
        if unit.is_some_and(|unit| self.send(unit)) {
            self.shared.record(|stats| {
                stats.encoded += 1;
                stats.keyframes += u64::from(kind == UnitKind::Key);
                stats.bytes += bytes;
            });
        }
        Ok(())
    }

    /// Takes down that a picture is coded, or has begun to come; yields what it refers to.
    fn note(&mut self, flight: &InFlight, kind: UnitKind, now: MediaTime) -> Option<FrameId> {
        let key = kind == UnitKind::Key;
        let frame = flight.frame.id;
        let refers_to = flight.base.or(self.newest_unit).filter(|_| !key);
        self.newest_unit = Some(frame);
        if flight.void {
            return refers_to;
        }
        if !key {
            self.gate.coded_delta();
        } else if !flight.keyframe {
            self.gate.coded_key(now);
            self.newest_key = Some(frame);
        }
        if let Some(encoder) = &self.encoder {
            self.window.follow(encoder.capabilities().recovery);
        }
        self.window.coded(frame, key, now);
        refers_to
    }

    /// What is sent of a frame.
    fn unit(
        &self,
        frame: &Frame,
        coded: Encoded,
        refers_to: Option<FrameId>,
    ) -> Option<AccessUnit> {
        let Encoded { data, kind, part, .. } = coded;
        Some(AccessUnit {
            track: self.config.track,
            frame: frame.id,
            captured_at: frame.captured_at,
            kind,
            refers_to,
            codec: self.encoder.as_ref()?.capabilities().codec,
            data,
            part,
            views: frame.views.clone(),
            damage: frame.damage.clone(),
            depth: frame.depth.clone(),
            color: self.settings.color,
            last_input: frame.last_input,
            stages: frame.stages,
        })
    }

    /// Whether the sink took it.
    fn send(&mut self, unit: AccessUnit) -> bool {
        let frame = unit.frame;
        if self.sink.send(unit).is_ok() {
            return true;
        }
        self.shared.record(|stats| stats.refused += 1);
        self.forget(frame..=frame);
        false
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
