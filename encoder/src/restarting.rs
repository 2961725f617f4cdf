//! An encoder that is started anew for what it does not do while it runs.
//!
//! Drivers ignore a new bit rate or a request for a keyframe without a word, which is found when their
//! candidates are tried. Started anew they do it: the rate is the one that they are opened with, and their
//! first picture is a keyframe. That takes as long as a start and costs a keyframe, and so
//! [`crate::choice`] takes such an encoder after the others of its codec.

use std::ops::RangeInclusive;
use std::sync::Arc;

use media::{
    Bitrate, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId, FrameRate,
    Picture, RateChange, Recovery, Restarts, Size, Submitted,
};

use crate::candidates::{Candidate, EncoderSettings, Open, OpenError};
use crate::wake::Wake;

impl Candidate {
    /// The same, whose encoders are started anew for this; for what they are by themselves they are left
    /// to it.
    #[must_use]
    pub fn restarting(&self, restarts: Restarts) -> Self {
        if restarts == Restarts::NONE {
            return self.clone();
        }
        let open = Arc::clone(&self.open);
        let open = Arc::new(move |settings: &EncoderSettings, wake: &Wake| {
            Restarting::open(&open, restarts, settings, wake)
        });
        Self { open, ..self.clone() }
    }
}

struct Restarting {
    open: Arc<Open>,
    restarts: Restarts,
    settings: EncoderSettings,
    /// Whether pictures of another size move by whole pixels.
    integer_motion: bool,
    wake: Wake,
    capabilities: EncoderCapabilities,
    /// None once it could not be started anew.
    encoder: Option<Box<dyn Encoder>>,
    /// Pictures that are in it.
    inside: usize,
    /// It was started and has coded nothing: its next unit is a keyframe.
    fresh: bool,
    /// It was opened with another rate than it has to make.
    outdated: bool,
}

impl Restarting {
    fn open(
        open: &Arc<Open>,
        restarts: Restarts,
        settings: &EncoderSettings,
        wake: &Wake,
    ) -> Result<Box<dyn Encoder>, OpenError> {
        let encoder = open(settings, wake)?;
        let own = encoder.capabilities().restarts;
        let restarts = restarts.without(own);
        if restarts == Restarts::NONE {
            return Ok(encoder);
        }
        Ok(Box::new(Self {
            open: Arc::clone(open),
            restarts,
            settings: *settings,
            integer_motion: settings.integer_motion,
            wake: wake.clone(),
            capabilities: told(encoder.as_ref(), restarts),
            encoder: Some(encoder),
            inside: 0,
            fresh: true,
            outdated: false,
        }))
    }

    fn encoder(&mut self) -> Result<&mut dyn Encoder, EncodeError> {
        match &mut self.encoder {
            Some(encoder) => Ok(encoder.as_mut()),
            None => Err(EncodeError::Fatal("it could not be started anew".into())),
        }
    }

    fn start_anew(&mut self) -> Result<(), EncodeError> {
        if self.inside > 0 {
            return Err(EncodeError::Busy("it has a picture, and is to be started anew".into()));
        }
        // Its hardware may have one session alone.
        self.encoder = None;
        let encoder =
            (self.open)(&self.settings, &self.wake).map_err(|error| error.of_another("started"))?;
        self.capabilities = told(encoder.as_ref(), self.restarts);
        self.encoder = Some(encoder);
        (self.fresh, self.outdated) = (true, false);
        Ok(())
    }
}

/// What such an encoder can do. It is empty when it is started anew, and so takes one picture at once.
fn told(encoder: &dyn Encoder, restarts: Restarts) -> EncoderCapabilities {
    let capabilities = encoder.capabilities();
    EncoderCapabilities {
        depth: 1,
        rate_change: if restarts.rate { RateChange::Keyframe } else { capabilities.rate_change },
        restarts: restarts.and(capabilities.restarts),
        ..capabilities.clone()
    }
}

impl Encoder for Restarting {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        let wanted = options.keyframe && self.restarts.keyframe && !self.fresh;
        if self.outdated || wanted {
            self.start_anew()?;
        }
        let options = EncodeOptions { keyframe: options.keyframe || self.fresh, ..options };
        let submitted = self.encoder()?.encode(frame, picture, options)?;
        self.fresh = false;
        self.inside += usize::from(matches!(submitted, Submitted::Later));
        Ok(submitted)
    }

    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        let unit = self.encoder.as_mut()?.poll()?;
        if unit.as_ref().map_or(true, |unit| unit.part.last) {
            self.inside = self.inside.saturating_sub(1);
        }
        Some(unit)
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        let same = (bitrate, rate) == (self.settings.bitrate, self.settings.rate);
        (self.settings.bitrate, self.settings.rate) = (bitrate, rate);
        if !self.restarts.rate {
            return self.encoder()?.set_rate(bitrate, rate);
        }
        self.outdated |= !same;
        Ok(if self.outdated { RateChange::Keyframe } else { RateChange::Seamless })
    }

    fn acknowledge(&mut self, frame: FrameId) {
        if let Some(encoder) = &mut self.encoder {
            encoder.acknowledge(frame);
        }
    }

    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        self.encoder.as_mut().map_or(Recovery::KeyframeNeeded, |encoder| encoder.forget(lost))
    }

    fn set_integer_motion(&mut self, whole: bool) {
        self.integer_motion = whole;
        if let Some(encoder) = &mut self.encoder {
            encoder.set_integer_motion(whole);
        }
    }

    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        self.encoder()?.resize(size)?;
        let EncoderSettings { largest, .. } = self.settings;
        let (width, height) = (size.width.max(largest.width), size.height.max(largest.height));
        let (largest, integer_motion) = (Size::new(width, height), self.integer_motion);
        self.settings = EncoderSettings { size, largest, integer_motion, ..self.settings };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use media::{Codec, CpuImage, PixelFormat, UnitKind};
    use smallvec::SmallVec;
    use testkit::Inert;

    use super::*;
    use crate::wake::Wake;

    /// What a candidate was opened with, in kbit/s, and what its encoders coded.
    type Notes = Arc<Mutex<Vec<String>>>;

    const SIZE: Size = Size::new(64, 48);
    const ASKED: EncodeOptions = EncodeOptions::keyframe(true);
    const PLAIN: EncodeOptions = EncodeOptions::keyframe(false);

    /// A candidate that does at its start alone what it is told, and opens so many times.
    fn deaf(times: usize, change: fn(&mut EncoderCapabilities)) -> (Candidate, Notes) {
        deaf_and_then(times, || OpenError::Failed("no memory".into()), change)
    }

    /// The same, which says this afterwards.
    fn deaf_and_then(
        times: usize,
        refusal: fn() -> OpenError,
        change: fn(&mut EncoderCapabilities),
    ) -> (Candidate, Notes) {
        let notes = Notes::default();
        let noted = Arc::clone(&notes);
        let opened = Mutex::new(0);
        let open = Arc::new(move |settings: &EncoderSettings, _: &Wake| {
            let mut opened = opened.lock().unwrap();
            *opened += 1;
            if *opened > times {
                return Err(refusal());
            }
            let EncoderSettings { size, bitrate, integer_motion, .. } = *settings;
            let moving = if integer_motion { " by whole pixels" } else { "" };
            noted.lock().unwrap().push(format!("open {size} {}{moving}", bitrate.kbps()));
            let mut capabilities = EncoderCapabilities {
                depth: 3,
                rate_change: RateChange::Seamless,
                ..EncoderCapabilities::plain("deaf", Codec::H264)
            };
            change(&mut capabilities);
            let (noted, mut fresh) = (Arc::clone(&noted), true);
            Ok(Box::new(Inert::new(capabilities, move |asked| {
                let kind = if std::mem::take(&mut fresh) { UnitKind::Key } else { UnitKind::Delta };
                noted.lock().unwrap().push(format!("{} {kind:?}", asked.frame.0));
                Ok(Encoded::new(Default::default(), kind))
            })) as Box<dyn Encoder>)
        });
        let (name, library) = ("deaf", "a double");
        (Candidate { name, codec: Codec::H264, hardware: true, library, open }, notes)
    }

    fn start(candidate: &Candidate, restarts: Restarts) -> Box<dyn Encoder> {
        let settings = EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_kbps(900));
        candidate.restarting(restarts).start(&settings, &Wake::new(|| {})).unwrap()
    }

    fn code(encoder: &mut dyn Encoder, frame: u64, options: EncodeOptions) -> Result<(), String> {
        let image = CpuImage { format: PixelFormat::Nv12, size: SIZE, planes: SmallVec::default() };
        let coded = encoder.encode(FrameId(frame), &Picture::Cpu(image), options);
        coded.map(|_| ()).map_err(|error| error.to_string())
    }

    const RATE: Restarts = Restarts { rate: true, keyframe: false };
    const KEYFRAME: Restarts = Restarts { rate: false, keyframe: true };

    #[test]
    fn a_new_rate_and_size_is_what_it_is_started_anew_with() {
        let (candidate, notes) = deaf(9, |_| {});
        let mut encoder = start(&candidate, RATE);
        let said = encoder.capabilities();
        assert_eq!((said.restarts, said.depth, said.rate_change), (RATE, 1, RateChange::Keyframe));
        let rate = |kbps| (Bitrate::from_kbps(kbps), FrameRate::fps(60));
        let tell = |encoder: &mut dyn Encoder, kbps| {
            let (bitrate, rate) = rate(kbps);
            encoder.set_rate(bitrate, rate).unwrap()
        };
        assert_eq!(tell(&mut *encoder, 900), RateChange::Seamless);
        code(&mut *encoder, 0, ASKED).unwrap();
        // Not for each of those that no picture was coded at.
        assert_eq!(tell(&mut *encoder, 800), RateChange::Keyframe);
        assert_eq!(tell(&mut *encoder, 700), RateChange::Keyframe);
        assert_eq!(tell(&mut *encoder, 700), RateChange::Keyframe, "it still has to be");
        code(&mut *encoder, 1, PLAIN).unwrap();
        code(&mut *encoder, 2, ASKED).unwrap();
        encoder.set_integer_motion(true);
        encoder.resize(Size::new(32, 96)).unwrap();
        tell(&mut *encoder, 600);
        code(&mut *encoder, 3, PLAIN).unwrap();
        let expected = ["open 64x48 900", "0 Key", "open 64x48 700", "1 Key", "2 Delta"];
        let notes = notes.lock().unwrap();
        assert_eq!(notes[..5], expected, "a request is for the encoder itself");
        assert_eq!(notes[5..], ["open 32x96 600 by whole pixels", "3 Key"]);
    }

    #[test]
    fn a_keyframe_is_made_by_a_start_unless_there_was_one_just_now() {
        let (candidate, notes) = deaf(9, |_| {});
        let mut encoder = start(&candidate, KEYFRAME);
        let said = encoder.capabilities();
        assert_eq!((said.restarts, said.rate_change), (KEYFRAME, RateChange::Seamless));
        for (frame, options) in [ASKED, PLAIN, ASKED, ASKED, PLAIN].into_iter().enumerate() {
            code(&mut *encoder, frame as u64, options).unwrap();
        }
        let (open, notes) = ("open 64x48 900", notes.lock().unwrap());
        assert_eq!(notes[..5], [open, "0 Key", "1 Delta", open, "2 Key"]);
        assert_eq!(notes[5..], [open, "3 Key", "4 Delta"]);
        // A rate is told to the encoder itself.
        let change = encoder.set_rate(Bitrate::from_kbps(100), FrameRate::fps(60)).unwrap();
        assert_eq!(change, RateChange::Seamless);
    }

    #[test]
    fn one_that_cannot_be_started_anew_is_broken() {
        let (candidate, _) = deaf(1, |_| {});
        let mut encoder = start(&candidate, KEYFRAME);
        code(&mut *encoder, 0, ASKED).unwrap();
        let reason = "the encoder failed: it cannot be started anew: failed: no memory";
        assert_eq!(code(&mut *encoder, 1, ASKED), Err(reason.into()));
        let reason = "the encoder failed: it could not be started anew";
        assert_eq!(code(&mut *encoder, 2, PLAIN), Err(reason.into()));
        assert!(encoder.poll().is_none() && encoder.resize(SIZE).is_err());
        assert_eq!(encoder.forget(FrameId(0)..=FrameId(0)), Recovery::KeyframeNeeded);
    }

    /// Another session took its place in between.
    #[test]
    fn one_whose_device_is_full_by_then_has_no_session_and_is_not_broken() {
        let full = || OpenError::Busy { reason: "all are taken".into(), open: 2 };
        let (candidate, _) = deaf_and_then(1, full, |_| {});
        let mut encoder = start(&candidate, KEYFRAME);
        code(&mut *encoder, 0, ASKED).unwrap();
        let image = CpuImage { format: PixelFormat::Nv12, size: SIZE, planes: SmallVec::default() };
        match encoder.encode(FrameId(1), &Picture::Cpu(image), ASKED) {
            Err(EncodeError::NoSession { reason, open }) => {
                assert_eq!((reason.as_str(), open), ("all are taken", 2));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_is_not_started_anew_around_a_picture_that_is_in_it() {
        let later = Arc::new(move |_: &EncoderSettings, _: &Wake| {
            let capabilities = EncoderCapabilities::plain("later", Codec::H264);
            let unit =
                |_: &testkit::inert::Asked| Ok(Encoded::new(Default::default(), UnitKind::Delta));
            Ok(Box::new(Inert::later(capabilities, unit)) as Box<dyn Encoder>)
        });
        let (candidate, _) = deaf(1, |_| {});
        let mut encoder = start(&Candidate { open: later, ..candidate }, KEYFRAME);
        code(&mut *encoder, 0, ASKED).unwrap();
        let busy = "the encoder is busy: it has a picture, and is to be started anew";
        assert_eq!(code(&mut *encoder, 1, ASKED), Err(busy.into()));
        assert!(encoder.poll().unwrap().is_ok() && encoder.poll().is_none());
        assert_eq!(code(&mut *encoder, 1, ASKED), Ok(()));
    }

    #[test]
    fn what_an_encoder_restarts_for_by_itself_is_left_to_it() {
        let (candidate, notes) = deaf(9, |capabilities| capabilities.restarts = RATE);
        let mut encoder = start(&candidate, RATE);
        assert_eq!((encoder.capabilities().depth, encoder.capabilities().restarts), (3, RATE));
        code(&mut *encoder, 0, ASKED).unwrap();
        encoder.set_rate(Bitrate::from_kbps(100), FrameRate::fps(60)).unwrap();
        code(&mut *encoder, 1, PLAIN).unwrap();
        assert_eq!(notes.lock().unwrap()[..], ["open 64x48 900", "0 Key", "1 Delta"]);
        let both = start(&candidate, RATE.and(KEYFRAME));
        assert_eq!(both.capabilities().restarts, RATE.and(KEYFRAME));
    }
}
