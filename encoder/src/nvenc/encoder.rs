//! NVENC as an [`Encoder`]: what is done about what the driver answers.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use media::{
    Bitrate, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId, FrameRate,
    Picture, PixelFormat, RateChange, Recovery, RecoveryMeans, Restarts, Size, Submitted,
};
use smallvec::SmallVec;

use super::calls::Failure;
use super::loader::Nvenc;
use super::losses::{Answer, LongTerm, Losses};
use super::output::ReadError;
use super::plan::{Caps, Plan, Refusal, Settings, check, within};
use super::recover::{BUSY, Phase, Remedy, remedy};
use super::ring::PICTURES;
use super::session::{OpenFailure, Order, Session, SubmitError};
use crate::candidates::OpenError;
use crate::cuda::Context;
use crate::settings::Resilience;
use crate::wake::Wake;
use crate::waves::{UnderWay, Waves};

/// Shared pictures in a row that CUDA fails for in passing: with so many it counts as lasting.
const PASSING: u32 = 3;
/// Layouts in the order of preference.
const FORMATS: [PixelFormat; 4] =
    [PixelFormat::Nv12, PixelFormat::P010, PixelFormat::Yuv444, PixelFormat::Yuv444P16];

/// What sessions are opened with, again and again.
struct Opener {
    nvenc: Arc<Nvenc>,
    context: Arc<Context>,
    label: String,
    wake: Wake,
}

/// An encoder on one device.
pub(super) struct NvencEncoder {
    opener: Opener,
    capabilities: EncoderCapabilities,
    settings: Settings,
    format: PixelFormat,
    /// None where it could not be opened anew.
    session: Option<Session>,
    /// Why it must be replaced, where that came up between pictures.
    broken: Option<String>,
    /// Of a session that was closed.
    carried: VecDeque<Result<Encoded, EncodeError>>,
    losses: Losses,
    /// A session was opened anew because of a failure, which is done once.
    reopened: bool,
    /// Shared pictures in a row that CUDA failed for.
    unshared: u32,
    /// The next picture is a keyframe: the session is new, or of another size.
    keyframe: bool,
    /// The next picture is clean after a loss.
    recovery: bool,
    /// Where losses are made good by them.
    waves: Option<Waves>,
    last: Option<FrameId>,
}

impl Opener {
    fn open(&self, settings: &Settings, format: PixelFormat) -> Result<Session, OpenError> {
        let Self { nvenc, context, label, wake } = self;
        Session::open(nvenc, context, settings, format, label, wake).map_err(|failure| {
            let reason = failure.to_string();
            match failure {
                OpenFailure::Refused(_) => OpenError::Refused(reason),
                OpenFailure::Lacking(_) => OpenError::Missing(reason),
                OpenFailure::Thread(_) => OpenError::Failed(reason),
                OpenFailure::Driver(failure) => match remedy(failure, Phase::Open, 0) {
                    Remedy::NoSession => OpenError::Busy { reason, open: nvenc.sessions() },
                    Remedy::Later => OpenError::Failed(reason),
                    _ => OpenError::Missing(reason),
                },
            }
        })
    }
}

impl NvencEncoder {
    /// Opens a session on the device of `context`; its second thread is named after `label`.
    pub(super) fn open(
        name: &'static str,
        (nvenc, context): (&Arc<Nvenc>, &Arc<Context>),
        (mut settings, format): (Settings, PixelFormat),
        label: String,
        wake: Wake,
    ) -> Result<Self, OpenError> {
        let (nvenc, context) = (Arc::clone(nvenc), Arc::clone(context));
        let opener = Opener { nvenc, context, label, wake };
        let session = opener.open(&settings, format)?;
        settings.resilience = session.resilience();
        let capabilities = EncoderCapabilities {
            hardware: true,
            formats: formats(&settings, session.caps()),
            smallest: even(session.caps().smallest),
            largest: session.caps().largest,
            shares: Some(opener.context.device()),
            waits_on_device: session.waits(),
            depth: PICTURES as u8,
            rate_change: if session.caps().new_bitrate {
                RateChange::Seamless
            } else {
                RateChange::Keyframe
            },
            restarts: Restarts { rate: !session.caps().new_bitrate, ..Restarts::NONE },
            bounded_frames: session.caps().custom_vbv && settings.vbv_percent <= 100,
            recovery: means(&session),
            waves: session.caps().intra_refresh,
            regions: session.plan().map.map(|blocks| blocks.edge),
            ..EncoderCapabilities::plain(name, settings.codec)
        };
        let (losses, waves) = (losses(&session), waves(&session));
        Ok(Self {
            opener,
            capabilities,
            settings,
            format,
            session: Some(session),
            broken: None,
            carried: VecDeque::with_capacity(PICTURES),
            losses,
            reopened: false,
            unshared: 0,
            keyframe: true,
            recovery: false,
            waves,
            last: None,
        })
    }

    fn session(&mut self) -> Result<&mut Session, EncodeError> {
        self.session.as_mut().ok_or_else(|| EncodeError::Fatal("it has no session".to_owned()))
    }

    /// Closes the session and opens another one with what is set by now. Units of the old one come
    /// first.
    fn reopen(&mut self) -> Result<(), EncodeError> {
        if let Some(mut old) = self.session.take() {
            if !old.drain() {
                return Err(fatal("it did not finish its pictures".to_owned()));
            }
            while let Some(unit) = old.poll() {
                let unit = unit.map_err(|error| EncodeError::Busy(error.to_string()));
                self.carried.push_back(unit);
            }
        }
        self.keyframe = true;
        let session = self.opener.open(&self.settings, self.format);
        let session = session.map_err(|error| error.of_another("opened"))?;
        self.capabilities.waits_on_device = session.waits();
        self.capabilities.recovery = means(&session);
        self.settings.resilience = session.resilience();
        (self.losses, self.waves) = (losses(&session), waves(&session));
        self.session = Some(session);
        Ok(())
    }

    /// Opens another session because of a failure, the first time.
    fn reopen_once(&mut self, reason: &str) -> Result<(), EncodeError> {
        if std::mem::replace(&mut self.reopened, true) {
            return Err(fatal(reason.to_owned()));
        }
        tracing::warn!(reason, "a session of NVENC is opened anew");
        self.reopen()
    }

    /// What was promised cannot be kept: the client gets a keyframe, and from now on what is known to work.
    fn without_long_term(&mut self, reason: &str) -> Result<(), EncodeError> {
        tracing::warn!(reason, "long-term references of NVENC are not used any more");
        self.settings.long_term = false;
        self.reopen()
    }

    /// Hands a picture in, whatever it takes.
    fn submit(&mut self, picture: &Picture<'_>, order: Order) -> Result<(), EncodeError> {
        let mut tries = 0;
        loop {
            let keyframe = order.keyframe || self.keyframe;
            // A keyframe makes good what the wave was for.
            let wave = if keyframe { 0 } else { order.wave };
            let order = Order { keyframe, wave, long_term: self.losses.plan(keyframe), ..order };
            let error = match self.session()?.submit(picture, order) {
                Ok(()) => {
                    if let Picture::Shared(_) = picture {
                        self.unshared = 0;
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            let reason = error.to_string();
            let may_pass = error.may_pass();
            let Some(failure) = error.failed_call() else {
                return Err(match error {
                    SubmitError::Full | SubmitError::InUse => EncodeError::Busy(reason),
                    _ if may_pass => self.leave_out(reason),
                    _ => EncodeError::Refused(reason),
                });
            };
            let phase = match order.long_term.from {
                Some(_) => Phase::GoBack,
                None => Phase::Frame,
            };
            match remedy(failure, phase, tries) {
                Remedy::Retry => std::thread::sleep(BUSY),
                Remedy::Skip => return Err(EncodeError::Busy(reason)),
                Remedy::Refuse if may_pass => return Err(self.leave_out(reason)),
                Remedy::Refuse => return Err(EncodeError::Refused(reason)),
                Remedy::Register => {
                    if let Picture::Shared(image) = picture {
                        self.session()?.forget_memory(image.memory.id);
                    }
                }
                Remedy::Reopen => self.reopen_once(&reason)?,
                Remedy::Keyframe => self.without_long_term(&reason)?,
                Remedy::NoSession | Remedy::Missing | Remedy::Later | Remedy::GiveUp => {
                    return Err(fatal(reason));
                }
            }
            tries += 1;
        }
    }

    /// A shared picture is left out that CUDA failed for in passing; one of many is refused, so that the next
    /// ones come through the CPU.
    fn leave_out(&mut self, reason: String) -> EncodeError {
        self.unshared += 1;
        if self.unshared < PASSING {
            return EncodeError::Busy(reason);
        }
        self.unshared = 0;
        EncodeError::Refused(format!("{reason}, for {PASSING} pictures in a row"))
    }

    /// Changes what a session can change while it lives, else opens another one.
    fn change(
        &mut self,
        possible: bool,
        change: impl Fn(&mut Session) -> Result<(), Failure>,
    ) -> Result<RateChange, EncodeError> {
        let mut tries = 0;
        let mut possible = possible;
        while possible {
            let Err(failure) = change(self.session()?) else { return Ok(RateChange::Seamless) };
            match remedy(failure, Phase::Change, tries) {
                Remedy::Retry => std::thread::sleep(BUSY),
                Remedy::Reopen => possible = false,
                _ => return Err(fatal(failure.to_string())),
            }
            tries += 1;
        }
        self.reopen()?;
        Ok(RateChange::Keyframe)
    }

    /// What the settings come to in the session that is open; a refusal leaves all as it was.
    fn plan(&mut self, settings: &Settings) -> Result<(Plan, Caps), EncodeError> {
        let session = self.session()?;
        let plan = Plan::new(settings, session.caps());
        let plan = plan.map_err(|refusal| EncodeError::Refused(refusal.to_string()))?;
        Ok((plan.within(session.plan().largest), *session.caps()))
    }

    /// Pictures of another layout take a session of their own.
    fn follow_format(&mut self, format: PixelFormat) -> Result<(), EncodeError> {
        if format == self.format || !self.capabilities.formats.contains(&format) {
            // What is not taken is refused by its name where it goes in.
            return Ok(());
        }
        let Some(settings) = self.settings.with_format(format) else { return Ok(()) };
        self.plan(&settings)?;
        (self.settings, self.format) = (settings, format);
        self.reopen()
    }
}

impl Encoder for NvencEncoder {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        if let Some(reason) = self.broken.take() {
            return Err(fatal(reason));
        }
        if self.last.is_some_and(|last| frame <= last) {
            return Err(EncodeError::Refused(format!("frame {} comes again", frame.0)));
        }
        self.follow_format(match picture {
            Picture::Cpu(image) => image.format,
            Picture::Shared(image) => image.format,
        })?;
        let wave = self.waves.as_ref().filter(|waves| waves.is_wanted()).map_or(0, Waves::length);
        let healed = self.waves.as_ref().is_some_and(Waves::next_is_clean);
        let order = Order {
            time_stamp: frame.0,
            keyframe: options.keyframe,
            wave,
            long_term: LongTerm::default(),
            recovery: self.recovery || healed,
            strip: options.strip,
            regions: options.regions,
        };
        self.submit(picture, order)?;
        let keyframe = options.keyframe || self.keyframe;
        self.last = Some(frame);
        self.losses.coded(frame, keyframe);
        if let Some(waves) = &mut self.waves {
            waves.coded(frame, keyframe, wave != 0);
        }
        (self.keyframe, self.recovery) = (false, false);
        Ok(Submitted::Later)
    }

    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        if let Some(unit) = self.carried.pop_front() {
            return Some(unit);
        }
        let error = match self.session.as_mut()?.poll()? {
            Ok(unit) => return Some(Ok(unit)),
            Err(error) => error,
        };
        let reason = error.to_string();
        Some(Err(match error {
            ReadError::LongTermReference => match self.without_long_term(&reason) {
                Ok(()) => EncodeError::Busy(reason),
                Err(error) => error,
            },
            ReadError::Driver(failure)
                if remedy(failure, Phase::Read, u32::MAX) == Remedy::Reopen =>
            {
                match self.reopen_once(&reason) {
                    Ok(()) => EncodeError::Busy(reason),
                    Err(error) => error,
                }
            }
            _ => fatal(reason),
        }))
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        if (bitrate, rate) == (self.settings.bitrate, self.settings.rate) {
            return Ok(RateChange::Seamless);
        }
        let settings = Settings { bitrate, rate, ..self.settings };
        let (plan, caps) = self.plan(&settings)?;
        self.settings = settings;
        self.change(caps.new_bitrate, |session| session.change_rate(plan))
    }

    fn acknowledge(&mut self, frame: FrameId) {
        self.losses.acknowledge(frame);
    }

    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        if let Some(waves) = &mut self.waves {
            return waves.forget(&lost);
        }
        let (first, base) = match self.losses.forget(&lost) {
            Answer::Nothing => return Recovery::Nothing,
            Answer::Keyframe => return Recovery::KeyframeNeeded,
            Answer::Invalidate { first, base } => (Some(first), base),
            Answer::GoBack { base } => (None, base),
        };
        let Some(session) = &mut self.session else { return Recovery::KeyframeNeeded };
        for frame in first.into_iter().flat_map(|first| self.losses.since(first)) {
            let Err(failure) = session.invalidate(frame.0) else { continue };
            if remedy(failure, Phase::Forget, 0) != Remedy::Keyframe {
                self.broken = Some(failure.to_string());
            }
            return Recovery::KeyframeNeeded;
        }
        self.recovery = true;
        Recovery::Invalidated { base }
    }

    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        if size == self.settings.size {
            return Ok(());
        }
        let room = self.session()?.plan().largest;
        let largest = self.settings.largest;
        let largest = if within(size, largest) {
            largest
        } else {
            Size::new(size.width.max(largest.width), size.height.max(largest.height))
        };
        let settings = Settings { size, largest, ..self.settings };
        let (plan, _) = self.plan(&settings)?;
        if !self.session()?.drain() {
            return Err(fatal("it did not finish its pictures before a new size".to_owned()));
        }
        self.settings = settings;
        self.change(within(size, room), |session| session.change_size(plan))?;
        self.keyframe = true;
        Ok(())
    }
}

/// The least even size that is not below this one.
fn even(size: Size) -> Size {
    Size::new(size.width.next_multiple_of(2), size.height.next_multiple_of(2))
}

/// The layouts that the device takes for this codec.
fn formats(settings: &Settings, caps: &Caps) -> SmallVec<[PixelFormat; 4]> {
    let takes = |format: &PixelFormat| {
        settings.with_format(*format).is_some_and(|settings| {
            !matches!(
                check(&settings, caps),
                Err(Refusal::TenBit
                    | Refusal::FullChroma
                    | Refusal::H264TenBit
                    | Refusal::Av1FullChroma)
            )
        })
    };
    FORMATS.into_iter().filter(takes).collect()
}

/// What is known of a new session's references.
fn losses(session: &Session) -> Losses {
    let plan = session.plan();
    Losses::new(plan.reach(), session.caps().invalidation, plan.long_term > 0)
}

/// Waves of a new session, where losses are made good by them.
fn waves(session: &Session) -> Option<Waves> {
    match session.resilience() {
        Resilience::IntraRefresh { units } => Some(Waves::new(units, UnderWay::GivesWay)),
        Resilience::References => None,
    }
}

/// What losses in a session are answered with.
fn means(session: &Session) -> RecoveryMeans {
    match session.resilience() {
        Resilience::IntraRefresh { units } => RecoveryMeans::Wave { units },
        Resilience::References if session.plan().long_term > 0 => RecoveryMeans::LongTerm,
        Resilience::References if session.caps().invalidation => {
            RecoveryMeans::References { reach: session.plan().reach() }
        }
        Resilience::References => RecoveryMeans::Keyframe,
    }
}

fn fatal(reason: String) -> EncodeError {
    EncodeError::Fatal(reason)
}
