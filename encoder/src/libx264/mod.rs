//! H.264 by libx264, called directly: what `x264enc` cannot do, since it keeps its encoder to itself.
//!
//! libx264 is GPL: it is opened at run time where the system has it, and never linked. Set up for the
//! least delay: no B-frames, no look-ahead, a VBV of one frame unless told (see `vbv_fill`), slices coded in
//! parallel, keyframes only on request, Constrained Baseline (what Chromium takes over RTP without
//! negotiation of more).
//!
//! Lost frames are answered by references to pictures before them, or where that is asked for by a
//! wave of intra-coded blocks ([`losses`]).
//!
//! Regions are offsets that the library's adaptive quantisation adds to its own. Of damage it is told which blocks
//! stand still ([`still`]). Pictures that are as fine as anybody sees are coded with less ([`effort`]).

mod effort;
mod losses;
mod still;
mod sys;

use std::ffi::CString;
use std::ops::RangeInclusive;

use media::{
    Bitrate, Codec, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId,
    FrameRate, Picture, RateChange, Recovery, RecoveryMeans, Size, Submitted,
};

use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::h264;
use crate::nv12::{Drawn, Nv12, check_taken};
use crate::references::Forget;
use crate::regions::{BlockMap, Blocks};
use crate::slices;
use crate::unit_pool::UnitPool;
use crate::vbv_fill::VbvFill;
use effort::Effort;
use losses::Losses;
pub(crate) use losses::Means;
use still::StillBlocks;
use sys::{Budget, Coded, OfBlocks, RawEncoder, Settings};

/// The candidate's name.
pub const NAME: &str = "x264";

/// Longest edges that libx264 opens with, as tried with build 164.
const MAX_SIZE: Size = Size::new(16_384, 16_384);
/// Range of its bit rate, in kbit/s: it cuts what is above.
const KBPS: RangeInclusive<u64> = 1..=2_000_000;

/// The row of the table of candidates.
pub fn candidate() -> Candidate {
    Candidate {
        name: NAME,
        codec: Codec::H264,
        hardware: false,
        library: "libx264",
        open: std::sync::Arc::new(|settings, _| {
            Ok(Box::new(LibX264Encoder::open(settings)?) as Box<dyn Encoder>)
        }),
    }
}

/// libx264 as an [`Encoder`].
pub struct LibX264Encoder {
    capabilities: EncoderCapabilities,
    raw: RawEncoder,
    /// What it was opened with, but for the size and what is said of motion, which are those of now.
    settings: EncoderSettings,
    /// Whether pictures of another size move by whole pixels.
    integer_motion: bool,
    /// The rate at the frame rate that the library was told.
    bitrate: Bitrate,
    /// For the next picture.
    effort: Effort,
    /// What the library was told of rate and effort.
    told: (Budget, Effort),
    fill: VbvFill,
    drawn: Drawn,
    units: UnitPool,
    /// Keyframes with the parameter sets as they are sent.
    rewritten: Vec<u8>,
    losses: Losses,
    numbers: h264::FrameNumbers,
    /// Offsets of quantisers, where regions were asked for.
    map: Option<BlockMap<f32>>,
    still: StillBlocks,
}

impl LibX264Encoder {
    /// Opens it on the calling thread.
    ///
    /// # Errors
    /// [`OpenError::Missing`] without a library of a known build; [`OpenError::Refused`] for one that
    /// is not as known, and for settings that it does not take.
    pub fn open(settings: &EncoderSettings) -> Result<Self, OpenError> {
        let means = means(settings).map_err(OpenError::Refused)?;
        let capabilities = EncoderCapabilities {
            largest: MAX_SIZE,
            rate_change: RateChange::Seamless,
            bounded_frames: settings.vbv_percent <= 100,
            recovery: means.recovery(),
            waves: true,
            regions: settings.regions.then_some(Blocks::H264.edge),
            ..EncoderCapabilities::plain(NAME, Codec::H264)
        };
        check_taken(&capabilities, settings.size).map_err(OpenError::Refused)?;
        sys::system()?;
        let fill = VbvFill::new(slices::count());
        let budget = budget(settings.bitrate, settings, fill);
        let raw = open_raw(settings, budget, means).map_err(OpenError::Refused)?;
        Ok(Self {
            capabilities,
            raw,
            settings: *settings,
            integer_motion: settings.integer_motion,
            bitrate: settings.bitrate,
            effort: Effort::Full,
            told: (budget, Effort::Full),
            fill,
            drawn: Drawn::default(),
            units: UnitPool::new(settings.bitrate, settings.rate),
            rewritten: Vec::new(),
            losses: Losses::new(means),
            numbers: h264::FrameNumbers::default(),
            map: settings.regions.then(|| map(settings.size)),
            still: StillBlocks::new(settings.size),
        })
    }

    /// Tells the library what it may use and is to do, where that has changed.
    fn tell(&mut self) -> Result<(), EncodeError> {
        let next = (budget(self.bitrate, &self.settings, self.fill), self.effort);
        if next != self.told {
            let (budget, effort) = next;
            let options = effort.options(self.settings.libx264());
            self.raw.reconfigure(budget, &options).map_err(EncodeError::Fatal)?;
            self.told = next;
        }
        Ok(())
    }
}

impl Encoder for LibX264Encoder {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        let picture = Nv12::check(picture, self.settings.size)?;
        if options.keyframe {
            self.effort = Effort::Full;
        }
        self.tell()?;
        let picture = self.drawn.with_strip(picture, options.strip);
        let map = self.map.as_mut().filter(|_| !options.regions.is_empty());
        let offsets = map.map(|map| map.draw(&options.regions));
        let flags = self.still.draw(options.damage.as_ref(), options.strip.is_some());
        let Coded { data, key, refresh, quantiser, took } = self
            .raw
            .encode(&picture, time(frame), options.keyframe, OfBlocks { offsets, flags })
            .map_err(EncodeError::Fatal)?;
        let budget = frame_bytes(self.bitrate, self.settings.rate);
        self.fill.coded(data.len(), budget);
        let kind = self.losses.coded(frame, key, refresh);
        if let Some(quantiser) = quantiser
            && may_do_less(&self.settings)
        {
            let taken = data.len() as f64 / budget;
            self.effort = self.effort.after(quantiser, self.settings.min_qp, taken);
        }
        let gaps = self.capabilities.recovery != RecoveryMeans::Keyframe;
        let declare = h264::Declarations { gaps, color: None };
        let prepared = h264::prepare_with(data, declare, &mut self.rewritten)
            .map_err(|error| EncodeError::Fatal(format!("its SPS cannot be read: {error}")))?;
        let sent = if gaps { self.numbers.widen(prepared) } else { Ok(prepared) };
        let sent = sent
            .map_err(|error| EncodeError::Fatal(format!("its slices cannot be read: {error}")))?;
        let unit = Encoded::new(self.units.unit(sent), kind);
        Ok(Submitted::Now(Encoded { library: took, ..unit }))
    }

    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        // Each unit is out before `encode` returns.
        None
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        // A new frame rate would need a new encoder, and so a keyframe: frames of the declared rate get
        // what they have at these.
        self.bitrate = bitrate.scaled(self.settings.rate.as_f64() / rate.as_f64());
        self.tell()?;
        Ok(RateChange::Seamless)
    }

    fn acknowledge(&mut self, _frame: FrameId) {
        // Whatever is in its buffer it refers to, until it is told to forget it.
    }

    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        let references = match &mut self.losses {
            Losses::References(references) => references,
            Losses::Waves(waves) => {
                let recovery = waves.forget(&lost);
                if waves.is_wanted() {
                    self.raw.refresh();
                }
                return recovery;
            }
        };
        match references.forget(&lost) {
            Forget::From { first, base } if self.raw.invalidate(time(first)).is_ok() => {
                Recovery::Invalidated { base }
            }
            Forget::Nothing => Recovery::Nothing,
            Forget::From { .. } | Forget::Beyond => Recovery::KeyframeNeeded,
        }
    }

    fn set_integer_motion(&mut self, whole: bool) {
        self.integer_motion = whole;
    }

    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        let integer_motion = self.integer_motion;
        let settings = EncoderSettings { size, integer_motion, ..self.settings };
        if settings == self.settings {
            return Ok(());
        }
        check_taken(&self.capabilities, size).map_err(EncodeError::Refused)?;
        let means = means(&settings).map_err(EncodeError::Refused)?;
        // A new one starts with exactly one keyframe and holds no picture of the old size.
        let (budget, _) = self.told;
        self.raw = open_raw(&settings, budget, means).map_err(EncodeError::Fatal)?;
        self.settings = settings;
        (self.effort, self.told) = (Effort::Full, (budget, Effort::Full));
        self.map = settings.regions.then(|| map(size));
        self.still = StillBlocks::new(size);
        self.losses = Losses::new(means);
        self.capabilities.recovery = means.recovery();
        Ok(())
    }
}

/// The library compares times only, to find what was coded at a lost frame or after it.
fn time(frame: FrameId) -> i64 {
    frame.0.cast_signed()
}

fn means(settings: &EncoderSettings) -> Result<Means, String> {
    Means::new(settings.resilience, settings.size, settings.reach)
}

fn open_raw(
    settings: &EncoderSettings,
    budget: Budget,
    means: Means,
) -> Result<RawEncoder, String> {
    let library = sys::system().map_err(|error| error.to_string())?;
    let text = |number: u16| CString::new(number.to_string()).unwrap_or_default();
    let (threads, finest) = (text(slices::count()), text(settings.min_qp.into()));
    let (preset, means) = (settings.libx264(), means.options());
    let mut options = vec![
        (c"threads", &*threads),
        (c"sliced-threads", c"1"),
        (c"qpmin", &*finest),
        (c"min-keyint", c"1"),
        (c"scenecut", c"0"),
        (c"open-gop", c"0"),
        (c"ref", c"1"),
        (c"aud", c"0"),
        // BT.709 in limited range, which is its default for YUV (ITU-T H.273).
        (c"colorprim", c"bt709"),
        (c"transfer", c"bt709"),
        (c"colormatrix", c"bt709"),
    ];
    options.extend_from_slice(preset.options);
    options.extend(Effort::Full.options(preset));
    options.extend(means.iter().map(|(name, value)| (*name, &**value)));
    if settings.regions && preset.uniform {
        // It adds offsets of ours where its own are on, and takes a strength of 0 for off. With one that
        // rounds to nothing ours are all there are.
        options.extend([(c"aq-mode", c"1"), (c"aq-strength", c"1e-9")]);
    }
    let EncoderSettings { size, rate, .. } = *settings;
    let settings =
        Settings { size, rate: rate.fraction(), budget, preset: preset.name, options: &options };
    RawEncoder::open(library, &settings)
}

/// Whether nobody asks for parts of pictures that are coarser than the rest, and the preset has something to leave.
fn may_do_less(settings: &EncoderSettings) -> bool {
    !settings.regions && settings.libx264().filters
}

fn map(size: Size) -> BlockMap<f32> {
    BlockMap::new(size, Blocks::H264)
}

/// What the library is told, so that it makes this rate. A VBV of less than a frame is widened to one by
/// the library, so it is rounded down.
fn budget(bitrate: Bitrate, settings: &EncoderSettings, fill: VbvFill) -> Budget {
    let EncoderSettings { rate, vbv_percent, .. } = *settings;
    let kbps = bitrate.scaled(fill.factor()).kbps();
    let kilobits = kbps.clamp(*KBPS.start(), *KBPS.end()) as u32;
    let frame_kilobits = f64::from(kilobits) / rate.as_f64();
    let vbv_kilobits = (frame_kilobits * f64::from(vbv_percent) / 100.0) as u32;
    Budget { kilobits, vbv_kilobits: vbv_kilobits.max(1) }
}

/// Bytes of a frame at this rate.
fn frame_bytes(bitrate: Bitrate, rate: FrameRate) -> f64 {
    bitrate.bps() as f64 / 8.0 / rate.as_f64()
}

#[cfg(test)]
mod tests;
