//! An encoder that codes nothing: its units are what a test makes of what it was asked for.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use media::{
    Bitrate, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId, FrameRate,
    Picture, PixelFormat, RateChange, Recovery, Size, Submitted,
};

/// What an [`Inert`] encoder is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The picture's number.
    pub frame: FrameId,
    /// The picture's layout.
    pub format: PixelFormat,
    /// A keyframe was asked for.
    pub keyframe: bool,
    /// The rates that it was told last; none as long as it was told none.
    pub rates: Option<(Bitrate, FrameRate)>,
}

/// See the module. Only a keyframe helps it, and each new rate is taken without a word.
pub struct Inert<F> {
    capabilities: EncoderCapabilities,
    code: F,
    rates: Option<(Bitrate, FrameRate)>,
    /// Units that come later, where they do.
    later: Option<VecDeque<Encoded>>,
}

impl<F: FnMut(&Asked) -> Result<Encoded, EncodeError>> Inert<F> {
    /// One that can do this, whose units `code` makes at once.
    pub const fn new(capabilities: EncoderCapabilities, code: F) -> Self {
        Self { capabilities, code, rates: None, later: None }
    }

    /// The same, whose units are fetched.
    pub const fn later(capabilities: EncoderCapabilities, code: F) -> Self {
        Self { capabilities, code, rates: None, later: Some(VecDeque::new()) }
    }
}

impl<F: FnMut(&Asked) -> Result<Encoded, EncodeError>> Encoder for Inert<F> {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        let format = match picture {
            Picture::Cpu(image) => image.format,
            Picture::Shared(image) => image.format,
        };
        let EncodeOptions { keyframe, .. } = options;
        let unit = (self.code)(&Asked { frame, format, keyframe, rates: self.rates })?;
        Ok(match &mut self.later {
            Some(later) => {
                later.push_back(unit);
                Submitted::Later
            }
            None => Submitted::Now(unit),
        })
    }

    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        self.later.as_mut()?.pop_front().map(Ok)
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        self.rates = Some((bitrate, rate));
        Ok(self.capabilities.rate_change)
    }

    fn acknowledge(&mut self, _: FrameId) {}

    fn forget(&mut self, _: RangeInclusive<FrameId>) -> Recovery {
        Recovery::KeyframeNeeded
    }

    fn resize(&mut self, _: Size) -> Result<(), EncodeError> {
        Ok(())
    }
}
