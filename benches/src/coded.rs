//! Counts pictures where they are coded, by whichever encoder a session has.
//!
//! The server counts frames that left and units that were taken; a picture that was coded and then
//! refused is neither, and costs as much.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoder::Candidate;
use media::{
    Bitrate, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId, FrameRate,
    Picture, RateChange, Recovery, Size, Submitted,
};

/// Pictures coded by all encoders that were opened through it. Clones are one count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coded(Arc<AtomicU64>);

impl Coded {
    /// The same encoders, of which it is counted what they code; also when they are tried.
    pub(crate) fn watch(&self, candidates: &[Candidate]) -> Vec<Candidate> {
        candidates.iter().map(|candidate| self.wrap(candidate)).collect()
    }

    /// So far.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn wrap(&self, candidate: &Candidate) -> Candidate {
        let (open, coded) = (candidate.open.clone(), self.clone());
        Candidate {
            open: Arc::new(move |settings, wake| {
                Ok(Box::new(Watched { encoder: open(settings, wake)?, coded: coded.clone() })
                    as Box<dyn Encoder>)
            }),
            ..candidate.clone()
        }
    }
}

/// An encoder that is counted.
struct Watched {
    encoder: Box<dyn Encoder>,
    coded: Coded,
}

impl Encoder for Watched {
    fn capabilities(&self) -> &EncoderCapabilities {
        self.encoder.capabilities()
    }

    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        self.coded.0.fetch_add(1, Ordering::Relaxed);
        self.encoder.encode(frame, picture, options)
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        self.encoder.set_rate(bitrate, rate)
    }

    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        self.encoder.poll()
    }

    fn acknowledge(&mut self, frame: FrameId) {
        self.encoder.acknowledge(frame);
    }

    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        self.encoder.forget(lost)
    }

    fn set_integer_motion(&mut self, whole: bool) {
        self.encoder.set_integer_motion(whole);
    }

    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        self.encoder.resize(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoder::{
        BlockingEncoder, ENCODE_PATIENCE, EncoderSettings, Preference, candidates, select,
    };
    use media::{CpuImage, PixelFormat, Plane};

    #[test]
    fn a_coded_picture_counts_whatever_becomes_of_it() {
        let coded = Coded::default();
        let watched = coded.watch(&candidates());
        let selection = select(watched, &Preference::default()).unwrap();
        let (size, rate) = (Size::new(64, 64), FrameRate::fps(60));
        let settings = EncoderSettings::new(size, rate, Bitrate::from_mbps(1));
        let mut encoder =
            BlockingEncoder::open(selection.chosen(), &settings, ENCODE_PATIENCE).unwrap();
        assert_eq!(encoder.capabilities().name, selection.chosen().name);
        let plane = |data| Plane { data, stride: 64 };
        let planes = [plane(&[90; 64 * 64][..]), plane(&[128; 64 * 32][..])].into_iter().collect();
        let picture = Picture::Cpu(CpuImage { format: PixelFormat::Nv12, size, planes });
        let tried = coded.count();
        assert!(tried > 0, "the encoders were tried");
        for number in 0..3 {
            encoder.encode(FrameId(number), &picture, EncodeOptions::default()).unwrap();
        }
        assert_eq!(coded.count() - tried, 3);
    }
}
