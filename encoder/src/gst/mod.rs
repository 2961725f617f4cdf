//! Encoders that GStreamer has elements for, in software and on hardware, behind one adapter.
//!
//! What is needed is loaded at run time where the system has it, and never linked: libx264 and libx265
//! are GPL. The table says how an element is set up and what it cannot do, the adapter runs it as a
//! function call. There is no queue in it and nothing is coded ahead.
//!
//! Lost frames are answered by a keyframe, and by `x264enc` with waves of intra blocks where these are asked
//! for. Its element then begins a wave where it is asked for a keyframe, and has no other way to make one:
//! for that it is started anew. A wave begins with parameter sets and a recovery point, in a picture that
//! is no keyframe.

mod adapter;
mod input;
mod properties;
mod rate;
mod table;

use std::ops::RangeInclusive;
use std::sync::Arc;

use gstreamer as gst;
use media::{
    BitDepth, Bitrate, Codec, ColorDescription, EncodeError, EncodeOptions, Encoded, Encoder,
    EncoderCapabilities, FrameId, FrameRate, Picture, PictureKind, PixelFormat, RateChange,
    Recovery, RecoveryMeans, Restarts, Size, Submitted, UnitKind,
};

use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::h264::{FrameNumbers, NalKind};
use crate::libx264::Means;
use crate::nv12::{TwoPlanes, check_taken};
use crate::unit_pool::UnitPool;
use crate::vbv_fill::VbvFill;
use crate::waves::Waves;
use crate::{av1, h264, h265, headers};
use adapter::Adapter;
use input::{Input, Layout};
use rate::{RateControl, one_frame_in_millis};
use table::{Change, Keyframes, ROWS, Row, Setting, Value};

/// VP8 has no such pictures, and no browser decodes those of H.264.
const NO_TEN_BITS: &str = "the codec is not sent in 10 bits";
/// More than four slices make some Chromium builds glitch, and cost bits for little time.
const MAX_THREADS: usize = 4;

/// The elements on hardware, or those in software, best first. Which of them the machine has is found
/// when they are opened.
pub fn candidates(hardware: bool) -> impl Iterator<Item = Candidate> {
    ROWS.iter().filter(move |row| row.hardware == hardware).map(move |row| Candidate {
        name: row.name,
        codec: row.codec,
        hardware,
        library: row.plugin,
        open: Arc::new(|settings, _| {
            Ok(Box::new(GstEncoder::open(row, settings)?) as Box<dyn Encoder>)
        }),
    })
}

/// Whether a candidate of this name is an element.
pub(crate) fn is_element(name: &str) -> bool {
    ROWS.iter().any(|row| row.name == name)
}

/// Initialises GStreamer, where that is not done: it looks into every plugin that it does not know yet, in a
/// process of its own, and one that hangs there is waited for without end.
///
/// # Errors
/// [`OpenError::Missing`].
pub(crate) fn initialise() -> Result<(), OpenError> {
    gst::init().map_err(|error| OpenError::Missing(format!("GStreamer: {error}")))
}

/// An element as an [`Encoder`].
struct GstEncoder {
    row: &'static Row,
    capabilities: EncoderCapabilities,
    adapter: Adapter,
    rate_control: RateControl,
    /// What it was opened with, but for what has changed since.
    settings: EncoderSettings,
    /// Where its units are bounded.
    fill: Option<VbvFill>,
    /// Where it was opened for waves.
    waves: Option<Waves>,
    /// Where it was, the numbers of its pictures.
    numbers: FrameNumbers,
    /// The next unit must be a keyframe, whoever asks for it.
    key_due: bool,
    units: UnitPool,
    /// Keyframes with the parameter sets as they are sent.
    rewritten: Vec<u8>,
}

impl GstEncoder {
    /// Opens it on the calling thread.
    ///
    /// # Errors
    /// [`OpenError::Missing`] without GStreamer or the element; [`OpenError::Refused`] for settings
    /// that it does not take, and for an element that cannot be set up; [`OpenError::Failed`] for one of
    /// hardware that does not start.
    fn open(row: &'static Row, settings: &EncoderSettings) -> Result<Self, OpenError> {
        let factory = factory(row)?;
        let mut capabilities = describe(row, &factory).map_err(OpenError::Refused)?;
        check_taken(&capabilities, settings.size).map_err(OpenError::Refused)?;
        if !capabilities.formats.contains(&settings.format) {
            let EncoderCapabilities { name, formats, .. } = &capabilities;
            let text = format!("{name} takes {formats:?}, not {:?}", settings.format);
            return Err(OpenError::Refused(text));
        }
        let waves = waves(row, settings).map_err(OpenError::Refused)?;
        if let Some(waves) = &waves {
            capabilities.recovery = RecoveryMeans::Wave { units: waves.length() };
            capabilities.restarts.keyframe = true;
        }
        let fill = row.libx264.then(|| VbvFill::new(threads() as u16));
        let (adapter, rate_control) = start(row, &factory, settings, fill)?;
        Ok(Self {
            row,
            capabilities,
            adapter,
            rate_control,
            settings: *settings,
            fill,
            waves,
            numbers: FrameNumbers::default(),
            key_due: true,
            units: UnitPool::new(settings.bitrate, settings.rate),
            rewritten: Vec::new(),
        })
    }

    /// Starts the element anew, with what it has to code now.
    fn reopen(&mut self) -> Result<(), EncodeError> {
        let started = factory(self.row)
            .and_then(|factory| start(self.row, &factory, &self.settings, self.fill))
            .map_err(|error| EncodeError::Fatal(error.to_string()))?;
        (self.adapter, self.rate_control) = started;
        self.key_due = true;
        Ok(())
    }

    /// Tells the element the rate that it shall make, where that is another.
    fn tell_rate(&mut self) -> Result<RateChange, EncodeError> {
        let (bitrate, rate) = (told(self.settings.bitrate, self.fill), self.settings.rate);
        if !self.rate_control.differs(bitrate, rate) {
            return Ok(RateChange::Seamless);
        }
        match self.row.rate.change {
            Change::Reopen => self.reopen()?,
            Change::Seamless | Change::Keyframe => self
                .rate_control
                .set(self.adapter.element(), bitrate, rate)
                .map_err(EncodeError::Fatal)?,
        }
        Ok(self.capabilities.rate_change)
    }

    /// A unit as it is sent: one that begins a stream or a wave says of itself what it must, `color` included,
    /// and that there may be gaps.
    fn checked<'a>(
        codec: Codec,
        (color, gaps): (ColorDescription, bool),
        unit: &'a [u8],
        rewritten: &'a mut Vec<u8>,
    ) -> Result<(&'a [u8], UnitKind), String> {
        let unit = if codec == Codec::H265 { from_its_parameter_sets(unit) } else { unit };
        let kind = headers::kind(codec, unit).map_err(|error| error.to_string())?;
        // Elements on hardware may say nothing of colours, or what they take them to be.
        let prepared = match (codec, kind) {
            (Codec::H264, kind) if kind == UnitKind::Key || has_parameter_sets(unit) => {
                let declare = h264::Declarations { gaps, color: Some(color) };
                h264::prepare_with(unit, declare, rewritten)
                    .map_err(|error| format!("its SPS cannot be read: {error}"))?
            }
            (Codec::H265, UnitKind::Key) => h265::prepare(unit, color, rewritten)
                .map_err(|error| format!("its SPS cannot be read: {error}"))?,
            // The element of GStreamer 1.22 does not pass on what it is told of colours.
            (Codec::Av1, UnitKind::Key) => av1::prepare(unit, color, rewritten)
                .map_err(|error| format!("its sequence header cannot be read: {error}"))?,
            _ => unit,
        };
        Ok((prepared, kind))
    }
}

impl Encoder for GstEncoder {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        let picture = TwoPlanes::check(picture, self.settings.format, self.settings.size)?;
        // The first one is a keyframe by itself.
        if options.keyframe && !self.key_due {
            match self.row.keyframes {
                _ if self.waves.is_some() => self.reopen()?,
                Keyframes::OnRequest if self.adapter.force_keyframe() => self.key_due = true,
                Keyframes::OnRequest => {
                    let reason = "it takes no request for a keyframe";
                    return Err(EncodeError::NoKeyframe(reason.into()));
                }
                Keyframes::Reopen => self.reopen()?,
            }
        }
        if self.fill.is_some() {
            self.tell_rate()?;
        }
        let unit = self.adapter.run(&picture, options.strip)?;
        // Copied out, so that the element's memory goes back at once and nothing is allocated.
        let mapped = unit
            .map_readable()
            .map_err(|_| EncodeError::Fatal("its unit cannot be read".into()))?;
        let declare = (self.settings.color, self.waves.is_some());
        let (data, kind) = Self::checked(self.row.codec, declare, &mapped, &mut self.rewritten)
            .map_err(|reason| EncodeError::Fatal(format!("its unit cannot be sent: {reason}")))?;
        if std::mem::take(&mut self.key_due) && kind != UnitKind::Key {
            return Err(EncodeError::NoKeyframe("it made no keyframe where it had to".into()));
        }
        if let Some(fill) = &mut self.fill {
            let EncoderSettings { bitrate, rate, .. } = self.settings;
            fill.coded(data.len(), bitrate.bps() as f64 / 8.0 / rate.as_f64());
        }
        let Some(waves) = &mut self.waves else {
            return Ok(Submitted::Now(Encoded::new(self.units.unit(data), kind)));
        };
        let kind = waves.coded(frame, kind == UnitKind::Key, has_parameter_sets(data));
        let sent = self.numbers.widen(data);
        let sent = sent
            .map_err(|error| EncodeError::Fatal(format!("its slices cannot be read: {error}")))?;
        Ok(Submitted::Now(Encoded::new(self.units.unit(sent), kind)))
    }

    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        // Each unit is out before `encode` returns.
        None
    }

    fn acknowledge(&mut self, _frame: FrameId) {
        // A keyframe or a wave helps it, whatever the client has.
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        (self.settings.bitrate, self.settings.rate) = (bitrate, rate);
        self.tell_rate()
    }

    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        let Some(waves) = &mut self.waves else { return Recovery::KeyframeNeeded };
        let recovery = waves.forget(&lost);
        if waves.is_wanted() && !self.adapter.force_keyframe() {
            return Recovery::KeyframeNeeded;
        }
        recovery
    }

    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        if size == self.settings.size {
            return Ok(());
        }
        check_taken(&self.capabilities, size).map_err(EncodeError::Refused)?;
        let settings = EncoderSettings { size, ..self.settings };
        if let Some(waves) = waves(self.row, &settings).map_err(EncodeError::Refused)? {
            // How long waves are at this size is no property of an element that runs.
            self.settings = settings;
            self.capabilities.recovery = RecoveryMeans::Wave { units: waves.length() };
            self.waves = Some(waves);
            return self.reopen();
        }
        let declared = self.rate_control.declared();
        self.adapter.set_format(size, declared).map_err(EncodeError::Fatal)?;
        self.settings.size = size;
        self.key_due = true;
        Ok(())
    }
}

/// The waves that an element makes with these settings, where it does.
fn waves(row: &Row, settings: &EncoderSettings) -> Result<Option<Waves>, String> {
    if !row.libx264 {
        return Ok(None);
    }
    Ok(Means::of_one_picture(settings)?.waves())
}

/// Whether parameter sets come before the slices of an H.264 unit: with a keyframe, or where a wave begins.
fn has_parameter_sets(unit: &[u8]) -> bool {
    let kinds = h264::heads(unit).map(|head| NalKind::of(head[0]));
    kinds.take_while(|kind| !kind.is_slice()).any(|kind| kind == NalKind::Sps)
}

/// An H.265 unit from its own parameter sets on: x265enc's first one has a copy of them before, and now
/// and then between the two bytes that are of nothing.
fn from_its_parameter_sets(unit: &[u8]) -> &[u8] {
    let is_vps = |nal: &h264::Nal<'_>| nal.bytes()[0] >> 1 & 0x3f == 32;
    // Others begin with a slice, and are not searched.
    if !h264::nals(unit).next().is_some_and(|first| is_vps(&first)) {
        return unit;
    }
    let own = h264::nals(unit).filter(is_vps).last();
    own.map_or(unit, |own| &unit[own.start..])
}

fn factory(row: &Row) -> Result<gst::ElementFactory, OpenError> {
    initialise()?;
    gst::ElementFactory::find(row.element).ok_or_else(|| {
        let Row { element, package, hardware, .. } = row;
        // Plugins have elements only for devices that they find.
        let device = if *hardware { ", with its device" } else { "" };
        OpenError::Missing(format!("GStreamer's element {element} (Debian: {package}{device})"))
    })
}

/// The rate that an element is told so that it makes this one.
fn told(bitrate: Bitrate, fill: Option<VbvFill>) -> Bitrate {
    fill.map_or(bitrate, |fill| bitrate.scaled(fill.factor()))
}

/// Makes, sets up and starts the element.
fn start(
    row: &'static Row,
    factory: &gst::ElementFactory,
    settings: &EncoderSettings,
    fill: Option<VbvFill>,
) -> Result<(Adapter, RateControl), OpenError> {
    let refused = OpenError::Refused;
    let PictureKind { format, color } = settings.kind();
    let layout = layout(factory, format).map_err(refused)?;
    let colorimetry = Input::colorimetry(row.codec, color);
    let element = factory.create().build().map_err(|error| refused(error.to_string()))?;
    for setting in row.settings {
        apply(&element, setting, settings).map_err(refused)?;
    }
    let mut rate_control =
        RateControl::find(&row.rate.knob, &element, settings.rate).map_err(refused)?;
    let bitrate = told(settings.bitrate, fill);
    rate_control.set(&element, bitrate, settings.rate).map_err(refused)?;
    let output = output_caps(row.codec, format, factory).map_err(refused)?;
    let input = Input { layout, colorimetry };
    // Hardware has an element only where its plugin found a device. One that does not start then has no
    // memory left, or others use it: that may pass.
    let idle = if row.hardware { OpenError::Failed } else { OpenError::Refused };
    let mut adapter = Adapter::start(element, &output, input, row.units).map_err(idle)?;
    adapter.set_format(settings.size, settings.rate).map_err(idle)?;
    Ok((adapter, rate_control))
}

/// Sets the first alternative that the element takes.
fn apply(
    element: &gst::Element,
    setting: &Setting,
    settings: &EncoderSettings,
) -> Result<(), String> {
    // An element keeps its preset where pictures are scaled, which then move by parts of a pixel.
    let preset = EncoderSettings { integer_motion: false, ..*settings }.libx264();
    let means = Means::of_one_picture(settings)?;
    let (Setting::Needed(alternatives) | Setting::Wished(alternatives)) = setting;
    let mut failures = Vec::new();
    for (name, value) in *alternatives {
        let text = match value {
            Value::Text(text) => (*text).to_owned(),
            Value::Threads => threads().to_string(),
            Value::FrameMillis => one_frame_in_millis(settings.rate).to_string(),
            Value::LibX264Preset => preset.name.to_string_lossy().into_owned(),
            Value::LibX264Interval => means.interval().to_string(),
            Value::LibX264Waves => (means.waves().is_some()).to_string(),
            Value::LibX264Options => format!(
                "keyint=infinite:min-keyint=1:scenecut=0:ref=1:open-gop=0:qpmin={}:fast-pskip={}:partitions={}",
                settings.min_qp,
                u8::from(means.skips_early()),
                preset.partitions.to_string_lossy()
            ),
        };
        match properties::set(element, name, &text) {
            Ok(()) => return Ok(()),
            Err(reason) => failures.push(reason),
        }
    }
    match setting {
        Setting::Needed(_) => Err(failures.join(", and ")),
        Setting::Wished(_) => Ok(()),
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get).min(MAX_THREADS)
}

/// What the row and the element's own template say that it can do.
fn describe(row: &Row, factory: &gst::ElementFactory) -> Result<EncoderCapabilities, String> {
    layout(factory, PixelFormat::Nv12)?;
    let ten =
        |format| layout(factory, format).is_ok() && output_caps(row.codec, format, factory).is_ok();
    let (smallest, largest) = size_range(factory, row.largest);
    let mut capabilities = EncoderCapabilities {
        hardware: row.hardware,
        smallest,
        largest,
        rate_change: match row.rate.change {
            Change::Seamless => RateChange::Seamless,
            Change::Keyframe | Change::Reopen => RateChange::Keyframe,
        },
        restarts: Restarts {
            rate: row.rate.change == Change::Reopen,
            keyframe: row.keyframes == Keyframes::Reopen,
        },
        bounded_frames: row.libx264,
        waves: row.libx264,
        ..EncoderCapabilities::plain(row.name, row.codec)
    };
    capabilities.formats.extend(Some(PixelFormat::P010).filter(|&format| ten(format)));
    Ok(capabilities)
}

/// The layout that costs least in which an element takes pictures of a format.
fn layout(factory: &gst::ElementFactory, format: PixelFormat) -> Result<Layout, String> {
    let takes = |layout: &&Layout| {
        let caps = gst::Caps::builder("video/x-raw").field("format", layout.format().to_str());
        factory.can_sink_any_caps(&caps.build())
    };
    let layouts = Layout::of(format);
    layouts.iter().find(takes).copied().ok_or_else(|| {
        let names: Vec<_> = layouts.iter().map(|layout| layout.format().to_str()).collect();
        format!("it takes none of {names:?} in the processor's memory")
    })
}

/// Least and largest even size of the element's template, within `largest`.
fn size_range(factory: &gst::ElementFactory, largest: Size) -> (Size, Size) {
    let sink = |template: &&gst::StaticPadTemplate| template.direction() == gst::PadDirection::Sink;
    let caps = factory.static_pad_templates().iter().find(sink).map(gst::StaticPadTemplate::caps);
    let range = |field: &str, limit: u32| {
        let range = caps.as_ref()?.structure(0)?.get::<gst::IntRange<i32>>(field).ok()?;
        let least = u32::try_from(range.min()).unwrap_or(0).max(2).next_multiple_of(2);
        let most = u32::try_from(range.max()).unwrap_or(0).min(limit) / 2 * 2;
        Some((least, most))
    };
    let (width, height) = (range("width", largest.width), range("height", largest.height));
    let (least_width, width) = width.unwrap_or((2, largest.width));
    let (least_height, height) = height.unwrap_or((2, largest.height));
    (Size::new(least_width, least_height), Size::new(width, height))
}

/// What the output is held to: the form in which units are sent, and the profile that every decoder
/// of the codec has.
fn output_caps(
    codec: Codec,
    format: PixelFormat,
    factory: &gst::ElementFactory,
) -> Result<gst::Caps, String> {
    let bytes = |name: &str| {
        let caps = gst::Caps::builder(name);
        caps.field("stream-format", "byte-stream").field("alignment", "au")
    };
    let h265 = |profile: &str| vec![bytes("video/x-h265").field("profile", profile).build()];
    let vp9 =
        |profile: &str| vec![gst::Caps::builder("video/x-vp9").field("profile", profile).build()];
    let ten = format.depth() == BitDepth::Ten;
    let choices = match codec {
        Codec::H264 | Codec::Vp8 if ten => return Err(NO_TEN_BITS.into()),
        // Plain Baseline, where the other is not named: no encoder here uses what they differ by.
        Codec::H264 => ["constrained-baseline", "baseline"]
            .map(|profile| bytes("video/x-h264").field("profile", profile).build())
            .to_vec(),
        Codec::H265 => h265(if ten { "main-10" } else { "main" }),
        Codec::Vp8 => vec![gst::Caps::builder("video/x-vp8").build()],
        Codec::Vp9 => vp9(if ten { "2" } else { "0" }),
        // The main profile has both depths.
        Codec::Av1 => vec![gst::Caps::builder("video/x-av1").field("alignment", "tu").build()],
    };
    let wanted = choices[0].to_string();
    choices
        .into_iter()
        .find(|caps| factory.can_src_any_caps(caps))
        .ok_or_else(|| format!("it does not offer {wanted}"))
}

#[cfg(test)]
mod tests {
    use gstreamer::prelude::PluginFeatureExt as _;

    use super::*;

    /// A row of an element that every GStreamer has and that codes nothing.
    fn row(element: &'static str, settings: &'static [Setting]) -> &'static Row {
        Box::leak(Box::new(Row {
            name: "gst-test",
            element,
            package: "none",
            plugin: "none",
            codec: Codec::Vp8,
            hardware: false,
            largest: Size::new(640, 480),
            settings,
            rate: table::Rate { knob: table::Knob::Kilobits("bitrate"), change: Change::Seamless },
            keyframes: Keyframes::OnRequest,
            libx264: false,
            units: table::Units::Caller,
        }))
    }

    fn refusal(row: &'static Row) -> OpenError {
        let settings =
            EncoderSettings::new(Size::new(320, 240), FrameRate::fps(30), Bitrate::from_mbps(1));
        GstEncoder::open(row, &settings).err().unwrap()
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = refusal(row("nosuchenc", &[]));
        let text = "GStreamer's element nosuchenc (Debian: none)".to_owned();
        assert_eq!(missing, OpenError::Missing(text));
        let text = "it has no property bitrate".to_owned();
        assert_eq!(refusal(row("identity", &[])), OpenError::Refused(text));
        let needed = &[Setting::Needed(&[("speed", Value::Text("1")), ("sync", Value::Text("x"))])];
        let text = "it has no property speed, and its property sync does not take x".to_owned();
        assert_eq!(refusal(row("identity", needed)), OpenError::Refused(text));
        // What is only wished for is left out.
        let wished = &[Setting::Wished(&[("speed", Value::Text("1"))])];
        let text = "it has no property bitrate".to_owned();
        assert_eq!(refusal(row("identity", wished)), OpenError::Refused(text));
    }

    /// Where one of a plugin hangs, the others of the same are not tried.
    #[test]
    fn plugins_are_called_as_their_elements_say() {
        gst::init().unwrap();
        for row in ROWS {
            // Those that are not installed cannot say.
            let Some(factory) = gst::ElementFactory::find(row.element) else { continue };
            let plugin = factory.plugin().map(|plugin| plugin.plugin_name());
            assert_eq!(plugin.as_deref(), Some(row.plugin), "{}", row.name);
        }
    }

    #[test]
    fn what_comes_before_the_parameter_sets_of_an_h265_unit_is_left_out() {
        let nal = |kind: u8, rest: &[u8]| [&[0, 0, 0, 1, kind << 1, 1], rest].concat();
        // libx265's, in BT.709.
        let sps = [
            0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
            0x00, 0x5a, 0xa0, 0x05, 0x12, 0x01, 0x89, 0xc9, 0x26, 0x59, 0x59, 0xa4, 0x93, 0x95,
            0xcd, 0x40, 0x40, 0x40, 0x40, 0x20,
        ];
        let sets = [nal(32, &[7]), nal(33, &sps), nal(34, &[9])].concat();
        let own = [&sets[..], &nal(20, &[1, 2, 3])].concat();
        let checked = |unit: &[u8]| {
            let mut unused = Vec::new();
            let (sent, kind) = GstEncoder::checked(
                Codec::H265,
                (ColorDescription::BT709_LIMITED, false),
                unit,
                &mut unused,
            )?;
            Ok::<_, String>((sent.to_vec(), kind))
        };
        // As x265enc sent it once: a second time, with what looks like a slice before it.
        let sent = [&sets[..], &[5; 61], &nal(0, &[6; 26]), &own].concat();
        for unit in [&own, &[&sets[..], &own].concat(), &sent] {
            assert_eq!(checked(unit), Ok((own.clone(), UnitKind::Key)));
        }
        let delta = [nal(1, &[1, 2]), nal(32, &[7])].concat();
        assert_eq!(checked(&delta), Ok((delta.clone(), UnitKind::Delta)));
        assert!(checked(&[]).is_err() && checked(&sets).is_err());
    }

    #[test]
    fn an_element_that_takes_no_pictures_is_refused() {
        let text = r#"it takes none of ["NV12", "I420"] in the processor's memory"#.to_owned();
        assert_eq!(refusal(row("fakesrc", &[])), OpenError::Refused(text));
    }
}
