//! A GStreamer encoder element run as a function call.
//!
//! The element hangs between two pads of ours: what `appsrc ! element ! appsink` does, without their
//! queues and threads. A buffer pushed into the first pad runs the element on the calling thread, and
//! its unit comes out of the second pad before the push returns. An element with a thread of its own
//! is waited for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use media::barcode::Strip;
use media::{EncodeError, FrameRate, Size};

use super::input::Input;
use super::table::Units;
use crate::nv12::TwoPlanes;

/// Frame buffers in the pool: one is filled while the element may still hold the one before.
const POOLED_BUFFERS: u32 = 2;
/// How long an element may take for a unit on its own thread: hundreds of times a frame at any rate,
/// so what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// What came out of the element, and what went wrong in it.
#[derive(Default)]
struct Output {
    unit: Option<gst::Buffer>,
    /// Units that came while one was still there: the element reorders or splits.
    surplus: u32,
    error: Option<String>,
}

/// The output, and the signal that there is something in it.
#[derive(Default)]
struct Collected {
    output: Mutex<Output>,
    changed: Condvar,
}

impl Collected {
    fn lock(&self) -> MutexGuard<'_, Output> {
        // A panic while it was held leaves at worst a stale unit, which ends the encoder.
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a unit or an error, at most for [`PATIENCE`].
    fn wait(&self) -> MutexGuard<'_, Output> {
        let empty = |output: &mut Output| output.unit.is_none() && output.error.is_none();
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, empty);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// An element between two pads.
pub(super) struct Adapter {
    element: gst::Element,
    input: gst::Pad,
    output: gst::Pad,
    bus: gst::Bus,
    collected: Arc<Collected>,
    taken: Input,
    units: Units,
    format: Option<Format>,
    frames: u64,
}

/// What the input was last declared as.
struct Format {
    info: gst_video::VideoInfo,
    pool: gst::BufferPool,
    interval: gst::ClockTime,
}

impl Adapter {
    /// Links and starts `element`, which takes pictures as `taken` and whose output is held to `output_caps`.
    pub(super) fn start(
        element: gst::Element,
        output_caps: &gst::Caps,
        taken: Input,
        units: Units,
    ) -> Result<Self, String> {
        let collected = Arc::new(Collected::default());
        let input = gst::Pad::builder(gst::PadDirection::Src)
            .name("input")
            .query_function(|pad, parent, query| match query.view_mut() {
                // Elements that gather pictures for throughput do not do so for a live source.
                gst::QueryViewMut::Latency(latency) => {
                    latency.set(true, gst::ClockTime::ZERO, None);
                    true
                }
                _ => gst::Pad::query_default(pad, parent, query),
            })
            .build();
        let template = gst::PadTemplate::new(
            "output",
            gst::PadDirection::Sink,
            gst::PadPresence::Always,
            output_caps,
        )
        .map_err(|error| error.to_string())?;
        let into = Arc::clone(&collected);
        let output = gst::Pad::builder_from_template(&template)
            .chain_function(move |_, _, buffer| {
                let mut output = into.lock();
                if output.unit.is_some() {
                    output.surplus += 1;
                }
                output.unit = Some(buffer);
                into.changed.notify_one();
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        let bus = gst::Bus::new();
        let into = Arc::clone(&collected);
        // Nobody polls the bus, so messages are looked at and dropped where they are posted.
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Error(error) = message.view() {
                into.lock().error = Some(error.error().to_string());
                into.changed.notify_one();
            }
            gst::BusSyncReply::Drop
        });
        element.set_bus(Some(&bus));
        let adapter =
            Self { element, input, output, bus, collected, taken, units, format: None, frames: 0 };
        let pads = |name| adapter.element.static_pad(name).ok_or("a pad is missing");
        adapter.input.link(&pads("sink")?).map_err(|error| error.to_string())?;
        pads("src")?.link(&adapter.output).map_err(|error| error.to_string())?;
        adapter.output.set_active(true).map_err(|_| "the output pad")?;
        adapter.input.set_active(true).map_err(|_| "the input pad")?;
        adapter
            .element
            .set_state(gst::State::Playing)
            .map_err(|_| adapter.reason("the element does not start"))?;
        Ok(adapter)
    }

    /// The element, for its properties.
    pub(super) fn element(&self) -> &gst::Element {
        &self.element
    }

    /// Declares the input from the next frame on, chroma sited left.
    pub(super) fn set_format(&mut self, size: Size, rate: FrameRate) -> Result<(), String> {
        let (numerator, denominator) = rate.fraction();
        let fraction = i32::try_from(numerator)
            .ok()
            .zip(i32::try_from(denominator).ok())
            .ok_or_else(|| "the frame rate is out of range".to_owned())?;
        let Input { layout, colorimetry } = &self.taken;
        let info = gst_video::VideoInfo::builder(layout.format(), size.width, size.height)
            .fps(gst::Fraction::from(fraction))
            .colorimetry(colorimetry)
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
    pub(super) fn force_keyframe(&self) -> bool {
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        self.output.push_event(event)
    }

    /// Copies a picture in, runs the element and returns its unit.
    pub(super) fn run(
        &mut self,
        picture: &TwoPlanes<'_>,
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
        self.taken.layout.fill(writable, &format.info, picture, strip)?;
        self.frames += 1;
        let flow = self.input.push(buffer);
        let mut output = match self.units {
            Units::OwnThread if flow.is_ok() => self.collected.wait(),
            _ => self.collected.lock(),
        };
        // What came between two pictures is in it too: it belongs to none.
        match (std::mem::take(&mut *output), flow) {
            (Output { error: Some(error), .. }, _) => Err(EncodeError::Fatal(error)),
            (_, Err(error)) => Err(EncodeError::Fatal(error.to_string())),
            (Output { unit: Some(unit), surplus: 0, .. }, _) => Ok(unit),
            (Output { unit: Some(_), .. }, _) => {
                Err(fatal("more than one unit came out for a frame"))
            }
            (Output { unit: None, .. }, _) => Err(match self.units {
                Units::Caller => fatal("no unit came out for a frame"),
                Units::OwnThread => fatal(&format!("no unit came out within {PATIENCE:?}")),
            }),
        }
    }

    /// The element's own error where it posted one, else `fallback`.
    fn reason(&self, fallback: &str) -> String {
        self.collected.lock().error.take().unwrap_or_else(|| fallback.to_owned())
    }
}

impl Drop for Adapter {
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

#[cfg(test)]
mod tests {
    use media::{Codec, PictureKind, PixelFormat, Plane};

    use super::super::input::Layout;
    use super::*;

    const SIZE: Size = Size::new(64, 48);

    /// Elements that every GStreamer has and that change nothing: what comes out is what went in.
    fn adapter(name: &str, layout: Layout, units: Units) -> Adapter {
        gst::init().unwrap();
        let element = gst::ElementFactory::make(name).build().unwrap();
        if name == "valve" {
            element.set_property("drop", true);
        }
        let caps = gst::Caps::builder("video/x-raw").build();
        let colorimetry = Input::colorimetry(Codec::H264, PictureKind::NV12.color);
        let taken = Input { layout, colorimetry };
        let mut adapter = Adapter::start(element, &caps, taken, units).unwrap();
        adapter.set_format(SIZE, FrameRate::fps(30)).unwrap();
        adapter
    }

    fn run(adapter: &mut Adapter, value: u8) -> Result<Vec<u8>, String> {
        let luma = vec![value; 64 * 48];
        let chroma: Vec<u8> = [1, 2].repeat(64 * 48 / 4);
        let plane = |data| Plane { data, stride: 64 };
        let picture = TwoPlanes {
            size: SIZE,
            format: PixelFormat::Nv12,
            luma: plane(&luma),
            chroma: plane(&chroma),
        };
        let unit = adapter.run(&picture, None).map_err(|error| error.to_string())?;
        Ok(unit.map_readable().unwrap().to_vec())
    }

    #[test]
    fn an_element_with_its_own_thread_is_waited_for() {
        let mut queue = adapter("queue", Layout::Nv12, Units::OwnThread);
        for value in 10..40 {
            let unit = run(&mut queue, value).unwrap();
            assert_eq!((unit[0], &unit[64 * 48..][..4]), (value, &[1, 2, 1, 2][..]));
        }
    }

    #[test]
    fn chroma_is_split_where_the_element_wants_that() {
        let unit = run(&mut adapter("identity", Layout::I420, Units::Caller), 7).unwrap();
        let (luma, chroma) = unit.split_at(64 * 48);
        assert!(luma.iter().all(|&y| y == 7));
        assert_eq!(chroma, [[1; 32 * 24], [2; 32 * 24]].concat());
    }

    #[test]
    fn an_element_that_keeps_a_picture_is_given_up() {
        let kept = run(&mut adapter("valve", Layout::Nv12, Units::Caller), 7).unwrap_err();
        assert!(kept.contains("no unit came out for a frame"), "{kept}");
        let hung = run(&mut adapter("valve", Layout::Nv12, Units::OwnThread), 7).unwrap_err();
        assert!(hung.contains("no unit came out within 2s"), "{hung}");
    }
}
