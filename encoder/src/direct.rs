//! A GStreamer encoder element run as a function call.
//!
//! The element hangs between two pads of ours, without a pipeline and without `appsrc`: a buffer
//! pushed into the first pad runs the element on the calling thread and comes out of the second pad
//! before the push returns. So there is no queue and no hand-over between threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use media::barcode::Strip;
use media::{EncodeError, FrameRate, Size};

use crate::candidates::OpenError;
use crate::nv12::{Nv12, copy_rows};

/// Frame buffers in the pool: one is filled while the element may still hold the one before.
const POOLED_BUFFERS: u32 = 2;

/// What came out of the element, and what went wrong in it.
#[derive(Default)]
struct Output {
    unit: Option<gst::Buffer>,
    /// Units that came while one was still there: the element reorders or splits.
    surplus: u32,
    error: Option<String>,
}

/// An element between two pads.
pub(crate) struct DirectElement {
    element: gst::Element,
    input: gst::Pad,
    output: gst::Pad,
    bus: gst::Bus,
    collected: Arc<Mutex<Output>>,
    format: Option<Format>,
    frames: u64,
}

/// What the input was last declared as.
struct Format {
    info: gst_video::VideoInfo,
    pool: gst::BufferPool,
    interval: gst::ClockTime,
}

impl DirectElement {
    /// Links and starts `element`, whose output is held to `output_caps`.
    pub(crate) fn start(element: gst::Element, output_caps: &gst::Caps) -> Result<Self, OpenError> {
        let refused = |what: &str| OpenError::Refused(what.to_owned());
        let collected = Arc::new(Mutex::new(Output::default()));
        let input = gst::Pad::builder(gst::PadDirection::Src).name("input").build();
        let template = gst::PadTemplate::new(
            "output",
            gst::PadDirection::Sink,
            gst::PadPresence::Always,
            output_caps,
        )
        .map_err(|error| OpenError::Refused(error.to_string()))?;
        let into = Arc::clone(&collected);
        let output = gst::Pad::builder_from_template(&template)
            .chain_function(move |_, _, buffer| {
                let mut output = lock(&into);
                if output.unit.is_some() {
                    output.surplus += 1;
                }
                output.unit = Some(buffer);
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        let bus = gst::Bus::new();
        let into = Arc::clone(&collected);
        // Nobody polls the bus, so messages are looked at and dropped where they are posted.
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Error(error) = message.view() {
                lock(&into).error = Some(error.error().to_string());
            }
            gst::BusSyncReply::Drop
        });
        element.set_bus(Some(&bus));
        let direct = Self { element, input, output, bus, collected, format: None, frames: 0 };
        let pads =
            |name| direct.element.static_pad(name).ok_or_else(|| refused("a pad is missing"));
        direct.input.link(&pads("sink")?).map_err(|error| OpenError::Refused(error.to_string()))?;
        pads("src")?.link(&direct.output).map_err(|error| OpenError::Refused(error.to_string()))?;
        direct.output.set_active(true).map_err(|_| refused("the output pad"))?;
        direct.input.set_active(true).map_err(|_| refused("the input pad"))?;
        direct
            .element
            .set_state(gst::State::Playing)
            .map_err(|_| refused(&direct.reason("the element does not start")))?;
        Ok(direct)
    }

    /// Declares the input from the next frame on: NV12, BT.709 in limited range, chroma sited left.
    pub(crate) fn set_format(&mut self, size: Size, rate: FrameRate) -> Result<(), String> {
        let (numerator, denominator) = rate.fraction();
        let fraction = i32::try_from(numerator)
            .ok()
            .zip(i32::try_from(denominator).ok())
            .ok_or_else(|| "the frame rate is out of range".to_owned())?;
        let info =
            gst_video::VideoInfo::builder(gst_video::VideoFormat::Nv12, size.width, size.height)
                .fps(gst::Fraction::from(fraction))
                .colorimetry(&gst_video::VideoColorimetry::new(
                    gst_video::VideoColorRange::Range16_235,
                    gst_video::VideoColorMatrix::Bt709,
                    gst_video::VideoTransferFunction::Bt709,
                    gst_video::VideoColorPrimaries::Bt709,
                ))
                .chroma_site(gst_video::VideoChromaSite::H_COSITED)
                .build()
                .map_err(|error| error.to_string())?;
        let caps = info.to_caps().map_err(|error| error.to_string())?;
        let pool = start_pool(&caps, &info)?;
        if self.format.is_none() {
            self.send(gst::event::StreamStart::new("frames"))?;
        }
        self.send(gst::event::Caps::new(&caps))?;
        if self.format.is_none() {
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            self.send(gst::event::Segment::new(&segment))?;
        }
        let interval = gst::ClockTime::from_nseconds(rate.interval().as_nanos() as u64);
        if let Some(old) = self.format.replace(Format { info, pool, interval }) {
            stop_pool(&old.pool);
        }
        Ok(())
    }

    fn send(&self, event: gst::Event) -> Result<(), String> {
        let kind = event.type_();
        if self.input.push_event(event) {
            Ok(())
        } else {
            Err(self.reason(&format!("the element refused the event {kind}")))
        }
    }

    /// Makes the next frame a keyframe with parameter sets.
    pub(crate) fn force_keyframe(&self) -> bool {
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        self.output.push_event(event)
    }

    /// Sets a property that the element lets change while it runs.
    pub(crate) fn set_property(&self, name: &str, value: u32) {
        self.element.set_property(name, value);
    }

    /// Copies a picture in, runs the element on this thread and returns its unit.
    pub(crate) fn run(
        &mut self,
        picture: &Nv12<'_>,
        strip: Option<Strip>,
    ) -> Result<gst::Buffer, EncodeError> {
        let fatal = |what: &str| EncodeError::Fatal(what.to_owned());
        let format = self.format.as_ref().ok_or_else(|| fatal("no input format was declared"))?;
        let mut buffer =
            format.pool.acquire_buffer(None).map_err(|_| fatal("no frame buffer is free"))?;
        let writable = buffer.get_mut().ok_or_else(|| fatal("a pooled buffer is shared"))?;
        // Time counts coded frames, not the clock: rate control budgets frame by frame, and frames
        // that show nothing new never come.
        let pts = format.interval * self.frames;
        writable.set_pts(pts);
        writable.set_duration(format.interval);
        fill(writable, &format.info, picture, strip)?;
        self.frames += 1;
        *lock(&self.collected) = Output::default();
        let flow = self.input.push(buffer);
        let output = std::mem::take(&mut *lock(&self.collected));
        if let Err(error) = flow {
            return Err(EncodeError::Fatal(output.error.unwrap_or_else(|| error.to_string())));
        }
        match output {
            Output { unit: Some(unit), surplus: 0, .. } => Ok(unit),
            Output { error: Some(error), .. } => Err(EncodeError::Fatal(error)),
            Output { unit: None, .. } => Err(fatal("no unit came out for a frame")),
            _ => Err(fatal("more than one unit came out for a frame")),
        }
    }

    /// The element's own error where it posted one, else `fallback`.
    fn reason(&self, fallback: &str) -> String {
        lock(&self.collected).error.take().unwrap_or_else(|| fallback.to_owned())
    }
}

impl Drop for DirectElement {
    fn drop(&mut self) {
        // Only an element that is stuck refuses to stop, and then there is nothing left to do.
        let _ = self.element.set_state(gst::State::Null);
        let _ = self.input.set_active(false);
        let _ = self.output.set_active(false);
        self.element.set_bus(None);
        self.bus.set_flushing(true);
        if let Some(format) = self.format.take() {
            stop_pool(&format.pool);
        }
    }
}

fn start_pool(caps: &gst::Caps, info: &gst_video::VideoInfo) -> Result<gst::BufferPool, String> {
    let pool: gst::BufferPool = gst_video::VideoBufferPool::new().upcast();
    let size = u32::try_from(info.size()).map_err(|_| "the picture is too large".to_owned())?;
    let mut config = pool.config();
    // At most twice that: the element gives every buffer back before the next frame comes.
    config.set_params(Some(caps), size, POOLED_BUFFERS, POOLED_BUFFERS * 2);
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_ref());
    pool.set_config(config).map_err(|error| error.to_string())?;
    pool.set_active(true).map_err(|error| error.to_string())?;
    Ok(pool)
}

fn stop_pool(pool: &gst::BufferPool) {
    // Fails only when it was not active.
    let _ = pool.set_active(false);
}

fn fill(
    buffer: &mut gst::BufferRef,
    info: &gst_video::VideoInfo,
    picture: &Nv12<'_>,
    strip: Option<Strip>,
) -> Result<(), EncodeError> {
    let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, info)
        .map_err(|error| EncodeError::Fatal(error.to_string()))?;
    let stride = |plane: usize| frame.plane_stride()[plane].unsigned_abs() as usize;
    let (luma_stride, chroma_stride) = (stride(0), stride(1));
    let [luma, chroma, ..] = frame.planes_data_mut();
    copy_rows(&picture.luma, luma, luma_stride, picture.width(), picture.height());
    copy_rows(&picture.chroma, chroma, chroma_stride, picture.width(), picture.height() / 2);
    if let Some(strip) = strip {
        strip.draw_nv12(luma, luma_stride, chroma, chroma_stride);
    }
    Ok(())
}

fn lock(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    // A panic while it was held leaves at worst a stale unit, which the next frame clears.
    output.lock().unwrap_or_else(PoisonError::into_inner)
}
