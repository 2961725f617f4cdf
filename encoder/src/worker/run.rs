//! What happens on the thread: encoders are opened and replaced, and commands are obeyed. What becomes
//! of a frame is in [`pass`](super::pass).

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use media::{
    Bitrate, Clock, Damage, EncodeError, Encoder, EncoderCapabilities, FrameId, MediaTime,
    PictureKind, RateChange, Recovery, RecoveryMeans, Regions, Size, UnitSink,
};

use super::gate::KeyframeGate;
use super::pass::InFlight;
use super::refine::Refinement;
use super::shared::{Shared, Work};
use super::size::{Listed, Refusal, RefusedSize};
use super::window::Window;
use super::{Command, EventFn, WorkerConfig, WorkerEvent};
use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::convert::Nv12Converter;
use crate::wake::Wake;

/// Least time between two new rates that each cost a keyframe.
const RATE_INTERVAL: Duration = Duration::from_secs(1);

/// The state of the thread.
pub(super) struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) sink: Box<dyn UnitSink>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: EventFn,
    pub(super) config: WorkerConfig,
    /// As last told; a replacement is opened with them.
    pub(super) settings: EncoderSettings,
    /// In the order of use. Those before the one in use do not take the size of now, those after it are
    /// untried.
    pub(super) listed: Vec<Listed>,
    /// The place of the one in use.
    pub(super) in_use: usize,
    pub(super) encoder: Option<Box<dyn Encoder>>,
    pub(super) wake: Wake,
    /// A size that none of them takes, told.
    pub(super) refused_size: Option<RefusedSize>,
    /// Since when pictures are of the kind in the settings, where they were of another before.
    pub(super) kind_since: Option<MediaTime>,
    /// When the encoder was told a rate, and which; rates since then may be owed to it.
    told_rate: Option<(MediaTime, Bitrate)>,
    rate_owed: bool,
    /// Pictures in the encoder, oldest first.
    pub(super) in_flight: VecDeque<InFlight>,
    /// Pictures that may be in the encoder at once.
    depth: usize,
    /// The encoder takes pictures where they lie, as far as is known.
    pub(super) shares: bool,
    /// Why encoders were given up.
    reasons: Vec<String>,
    pub(super) gate: KeyframeGate,
    pub(super) window: Window,
    /// The newest picture that was to be a keyframe: it makes good what was lost before.
    pub(super) newest_key: Option<FrameId>,
    /// The newest picture that made a unit.
    pub(super) newest_unit: Option<FrameId>,
    /// What the next picture is coded from, where that is not the one before.
    pub(super) base: Option<FrameId>,
    /// Parts of pictures of this size that matter more or less to the viewer.
    pub(super) regions: (Size, Regions),
    pub(super) converter: Nv12Converter,
    pub(super) refinement: Refinement,
    /// The newest frame never reached the viewer.
    pub(super) stale: bool,
    /// What changed in the coded picture since the newest one that the encoder took.
    pub(super) missed: Damage,
    /// A failure was told and no picture passed since.
    pub(super) failing: bool,
}

/// No encoder is left.
pub(super) struct Exhausted;

/// Why an encoder is not used.
pub(super) enum Gone {
    /// It cannot be, or broke.
    Broken(String),
    /// It works and has no session to give, of so many that are open.
    NoSession { reason: String, open: u32 },
}

impl Runner {
    pub(super) fn new(
        mut config: WorkerConfig,
        shared: Arc<Shared>,
        sink: Box<dyn UnitSink>,
        clock: Arc<dyn Clock>,
        events: EventFn,
    ) -> Self {
        let woken = Arc::clone(&shared);
        Self {
            shared,
            sink,
            clock,
            events,
            settings: config.settings,
            listed: std::mem::take(&mut config.encoders).into_iter().map(Listed::new).collect(),
            in_use: 0,
            encoder: None,
            wake: Wake::new(move || woken.finish()),
            refused_size: None,
            kind_since: None,
            told_rate: None,
            rate_owed: false,
            in_flight: VecDeque::new(),
            depth: 1,
            shares: false,
            reasons: Vec::new(),
            gate: KeyframeGate::new(config.keyframe_interval),
            window: Window::new(RecoveryMeans::Keyframe),
            newest_key: None,
            newest_unit: None,
            base: None,
            regions: (config.settings.size, Regions::NONE),
            converter: Nv12Converter::new(),
            refinement: Refinement::default(),
            stale: true,
            missed: Damage::Unknown,
            failing: false,
            config,
        }
    }

    /// Runs until told to stop. A panic ends this thread with an event, and nothing else.
    pub(super) fn run_caught(mut self) {
        let event = match catch_unwind(AssertUnwindSafe(|| self.run())) {
            Ok(Ok(())) => None,
            Ok(Err(Exhausted)) => Some(WorkerEvent::Failed(self.reasons.join("; "))),
            Err(panic) => Some(WorkerEvent::Panicked(crate::panic_text(&*panic))),
        };
        // Told after the encoder is gone: the listener may start another one at once. Pictures go after
        // it, since it may still read them.
        self.encoder = None;
        self.in_flight.clear();
        if let Some(event) = event {
            (self.events)(event);
        }
    }

    fn run(&mut self) -> Result<(), Exhausted> {
        self.open_next()?;
        loop {
            let refresh = self.stale || !self.gate.is_intact() || self.refinement.is_wanted();
            self.shared.set_wants(refresh, self.shares);
            let overdue = self
                .in_flight
                .front()
                .and_then(|oldest| oldest.since.checked_add(self.config.patience));
            match self.shared.next(self.in_flight.len() < self.depth, overdue) {
                Work::Stop => return Ok(()),
                Work::Command(command) => self.obey(command)?,
                Work::Frame(frame) => self.pass_on(frame)?,
                Work::Finished => self.collect()?,
                Work::Overdue => {
                    let patience = self.config.patience;
                    let reason = format!("it did not finish a picture within {patience:?}");
                    self.replace(Gone::Broken(reason))?;
                }
            }
        }
    }

    /// Opens the next candidate that can be opened.
    fn open_next(&mut self) -> Result<(), Exhausted> {
        self.encoder = None;
        // They were chosen for the size that the session began with.
        let resized = self.settings.size != self.config.settings.size;
        while let Some(Listed { candidate, .. }) = self.listed.get(self.in_use) {
            match candidate.start(&self.settings, &self.wake) {
                Ok(encoder) => {
                    self.opened(self.in_use, encoder);
                    return Ok(());
                }
                Err(OpenError::Refused(reason)) if resized => {
                    self.pass_over(self.in_use, Refusal::of_size(reason));
                    self.in_use += 1;
                }
                Err(error) => {
                    let (name, reason) = (candidate.name, error.to_string());
                    self.give_up(
                        name,
                        match error {
                            OpenError::Busy { open, .. } => Gone::NoSession { reason, open },
                            _ => Gone::Broken(reason),
                        },
                    );
                }
            }
        }
        let passed_over = self.listed.iter();
        let passed_over = passed_over.map(|it| format!("{}: {}", it.candidate.name, it.refusal));
        self.reasons.extend(passed_over);
        if self.reasons.is_empty() {
            self.reasons.push("no encoder was given".into());
        }
        Err(Exhausted)
    }

    /// This encoder is in use from now on.
    pub(super) fn opened(&mut self, rank: usize, encoder: Box<dyn Encoder>) {
        let capabilities = encoder.capabilities().clone();
        self.in_use = rank;
        self.know(&capabilities);
        self.encoder = Some(encoder);
        self.depth = usize::from(capabilities.depth).max(1);
        self.in_flight.reserve(self.depth);
        self.shares = capabilities.shares.is_some();
        self.gate.restart();
        self.window = Window::new(capabilities.recovery);
        (self.newest_key, self.newest_unit, self.base) = (None, None, None);
        self.told_rate = Some((self.clock.now(), self.settings.bitrate));
        self.rate_owed = false;
        (self.events)(WorkerEvent::Opened(capabilities));
    }

    /// What the encoder in use can do.
    fn know(&mut self, capabilities: &EncoderCapabilities) {
        if let Some(listed) = self.listed.get_mut(self.in_use) {
            let name = listed.candidate.name;
            self.shared.record(|stats| stats.encoder = Some(name));
            listed.capabilities = Some(capabilities.clone());
        }
    }

    /// Replaces the encoder in use.
    pub(super) fn replace(&mut self, why: Gone) -> Result<(), Exhausted> {
        if let Some(name) = self.drop_encoder() {
            self.give_up(name, why);
        }
        self.open_next()
    }

    /// The encoder of the place in use is not asked again.
    fn give_up(&mut self, name: &'static str, why: Gone) {
        self.listed.remove(self.in_use);
        let (Gone::Broken(reason) | Gone::NoSession { reason, .. }) = &why;
        self.reasons.push(format!("{name}: {reason}"));
        (self.events)(match why {
            Gone::Broken(reason) => WorkerEvent::FellBack { name, reason },
            Gone::NoSession { reason, open } => WorkerEvent::NoSession { name, reason, open },
        });
    }

    /// Ends the encoder in use, and yields its name.
    pub(super) fn drop_encoder(&mut self) -> Option<&'static str> {
        self.stale = true;
        let name = self.encoder.take()?.capabilities().name;
        self.abandon_pictures();
        self.shared.record(|stats| stats.encoder = None);
        Some(name)
    }

    /// Goes over to these encoders, unless the first of them is in use with pictures of this kind.
    fn use_encoders(
        &mut self,
        encoders: Vec<Candidate>,
        kind: PictureKind,
    ) -> Result<(), Exhausted> {
        self.end_size_refusal();
        self.listed = encoders.into_iter().map(Listed::new).collect();
        self.in_use = 0;
        self.reasons.clear();
        let in_use = self.encoder.as_ref().map(|encoder| encoder.capabilities().clone());
        if self.settings.kind() != kind {
            self.settings = self.settings.with_kind(kind);
            self.shared.set_kind(kind);
            self.kind_since = Some(self.clock.now());
        } else if let (Some(in_use), Some(first)) = (in_use, self.listed.first())
            && first.candidate.name == in_use.name
        {
            self.know(&in_use);
            return Ok(());
        }
        self.drop_encoder();
        self.open_next()
    }

    fn obey(&mut self, command: Command) -> Result<(), Exhausted> {
        match command {
            Command::SetRate { bitrate, rate } => {
                (self.settings.bitrate, self.settings.rate) = (bitrate, rate);
                self.rate_owed = true;
                self.tell_rate()
            }
            Command::Keyframe => {
                self.gate.request();
                Ok(())
            }
            Command::Acknowledge(frame) => {
                self.window.acknowledge(frame, self.clock.now());
                if let Some(encoder) = &mut self.encoder {
                    encoder.acknowledge(frame);
                }
                Ok(())
            }
            Command::Forget(lost) => {
                self.forget(lost);
                Ok(())
            }
            Command::SetRegions { size, regions } => {
                self.regions = (size, regions);
                Ok(())
            }
            Command::SetSink(sink) => {
                self.sink = sink;
                self.gate.restart();
                self.window.forget_viewer();
                self.refinement = Refinement::default();
                self.regions.1 = Regions::NONE;
                self.missed = Damage::Unknown;
                // The new viewer begins with a keyframe, and these come before it.
                self.in_flight.iter_mut().for_each(|flight| flight.void = true);
                Ok(())
            }
            Command::UseEncoders { encoders, kind } => self.use_encoders(encoders, kind),
            // Comes as `Work::Stop`.
            Command::Stop => Ok(()),
        }
    }

    /// Tells the encoder the rate that it is owed. One that pays with a keyframe is told at intervals, and
    /// at once what is lower by a fifth: a keyframe for each step of a controller would cost more than the
    /// step.
    pub(super) fn tell_rate(&mut self) -> Result<(), Exhausted> {
        let Some(encoder) = self.encoder.as_mut().filter(|_| self.rate_owed) else { return Ok(()) };
        let EncoderSettings { bitrate, rate, .. } = self.settings;
        let now = self.clock.now();
        let soon = self
            .told_rate
            .is_some_and(|(at, told)| now.since(at) < RATE_INTERVAL && bitrate >= told.scaled(0.8));
        if soon && encoder.capabilities().rate_change == RateChange::Keyframe {
            return Ok(());
        }
        (self.told_rate, self.rate_owed) = (Some((now, bitrate)), false);
        match encoder.set_rate(bitrate, rate) {
            // Whether a keyframe comes of it is seen in the next unit.
            Ok(_) => Ok(()),
            Err(EncodeError::Fatal(reason) | EncodeError::NoKeyframe(reason)) => {
                self.replace(Gone::Broken(reason))
            }
            Err(EncodeError::NoSession { reason, open }) => {
                self.replace(Gone::NoSession { reason, open })
            }
            Err(error) => self.replace(Gone::Broken(format!("{bitrate} was refused: {error}"))),
        }
    }

    pub(super) fn forget(&mut self, lost: RangeInclusive<FrameId>) {
        if self.newest_key.is_some_and(|key| *lost.end() < key) {
            return;
        }
        match self.encoder.as_mut().map(|encoder| encoder.forget(lost)) {
            Some(Recovery::Nothing) => return,
            Some(Recovery::Invalidated { base }) => self.base = Some(base),
            // Pictures that are in the encoder were taken before the wave.
            Some(Recovery::Wave { units, base }) => {
                self.base = Some(base);
                self.gate.heal(units.saturating_add(self.in_flight.len() as u16));
            }
            Some(Recovery::KeyframeNeeded) | None => self.gate.break_chain(),
        }
        // The lost picture may have been the newest one, and what changed in it is not kept.
        self.stale = true;
        self.missed = Damage::Unknown;
    }
}
