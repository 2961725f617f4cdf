//! Decoders of every codec, to judge what an encoder made: one unit in, one picture out.

use std::sync::{Arc, Mutex};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use media::{Codec, Size, UnitKind};
use nearlight_encoder::headers;
use openh264::decoder::Decoder;

use super::{Decoded, decode};

/// A decoder.
pub enum Viewer {
    H264(Decoder),
    /// libde265 yields a picture only when the next unit comes or none does. So every picture is
    /// decoded by a decoder of its own, from the keyframe on: these are its units.
    H265(Vec<Vec<u8>>),
    Other(Element),
}

impl Viewer {
    /// A missing decoder is a failure: `scripts/setup test` installs all of them.
    pub fn new(codec: Codec) -> Self {
        let (element, caps) = match codec {
            Codec::H264 => return Self::H264(Decoder::new().expect("a decoder")),
            Codec::H265 => return Self::H265(Vec::new()),
            Codec::Av1 => ("av1dec", "video/x-av1,stream-format=obu-stream,alignment=tu"),
            Codec::Vp8 => ("vp8dec", "video/x-vp8"),
            Codec::Vp9 => ("vp9dec", "video/x-vp9"),
        };
        Self::Other(Element::start(element, caps))
    }

    /// Decodes one unit, which must yield one picture: at once, but for H.265.
    pub fn decode(&mut self, unit: &[u8]) -> Decoded {
        match self {
            Self::H264(decoder) => decode(decoder, unit),
            Self::H265(units) => {
                if headers::kind(Codec::H265, unit) == Ok(UnitKind::Key) {
                    units.clear();
                }
                units.push(unit.to_vec());
                let caps = "video/x-h265,stream-format=byte-stream,alignment=au";
                let mut element = Element::start("libde265dec", caps);
                units.iter().for_each(|unit| element.push(unit));
                assert!(element.input.push_event(gst::event::Eos::new()));
                element.newest(units.len())
            }
            Self::Other(element) => {
                element.push(unit);
                element.newest(1)
            }
        }
    }
}

/// A GStreamer decoder between two pads.
pub struct Element {
    element: gst::Element,
    input: gst::Pad,
    output: gst::Pad,
    pictures: Arc<Mutex<Vec<gst::Buffer>>>,
    units: u64,
}

impl Element {
    fn start(name: &str, caps: &str) -> Self {
        gst::init().unwrap();
        let element = gst::ElementFactory::make(name).build().unwrap();
        let pictures = Arc::new(Mutex::new(Vec::new()));
        let input = gst::Pad::builder(gst::PadDirection::Src).name("input").build();
        let into = Arc::clone(&pictures);
        // A pad without a template takes no other size than the first.
        let (direction, presence) = (gst::PadDirection::Sink, gst::PadPresence::Always);
        let any = gst::Caps::new_any();
        let template = gst::PadTemplate::new("output", direction, presence, &any).unwrap();
        let output = gst::Pad::builder_from_template(&template)
            .chain_function(move |_, _, buffer| {
                into.lock().unwrap().push(buffer);
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        input.link(&element.static_pad("sink").unwrap()).unwrap();
        element.static_pad("src").unwrap().link(&output).unwrap();
        output.set_active(true).unwrap();
        input.set_active(true).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        let caps: gst::Caps = caps.parse().unwrap();
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        for event in [
            gst::event::StreamStart::new("units"),
            gst::event::Caps::new(&caps),
            gst::event::Segment::new(&segment),
        ] {
            assert!(input.push_event(event), "{name} takes {caps}");
        }
        Self { element, input, output, pictures, units: 0 }
    }

    fn push(&mut self, unit: &[u8]) {
        let mut buffer = gst::Buffer::from_slice(unit.to_vec());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(self.units * 16));
        self.units += 1;
        self.input.push(buffer).unwrap();
    }

    /// The last of the pictures that came, of which there must be as many as units.
    fn newest(&mut self, units: usize) -> Decoded {
        let pictures = std::mem::take(&mut *self.pictures.lock().unwrap());
        assert_eq!(pictures.len(), units, "a picture for every unit");
        let info = gst_video::VideoInfo::from_caps(&self.output.current_caps().unwrap()).unwrap();
        let wide = info.format() == gst_video::VideoFormat::I42010le;
        assert!(wide || info.format() == gst_video::VideoFormat::I420, "{:?}", info.format());
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&pictures[units - 1], &info)
            .unwrap();
        let stride = |plane: usize| frame.plane_stride()[plane] as usize / if wide { 2 } else { 1 };
        assert_eq!(stride(1), stride(2));
        let plane = |plane| {
            let bytes = frame.plane_data(plane).unwrap();
            if !wide {
                return bytes.to_vec();
            }
            let samples = bytes.as_chunks::<2>().0.iter();
            samples.map(|sample| (u16::from_le_bytes(*sample) >> 2) as u8).collect()
        };
        Decoded {
            size: Size::new(frame.width(), frame.height()),
            luma: plane(0),
            stride: stride(0),
            cb: plane(1),
            cr: plane(2),
            chroma_stride: stride(1),
        }
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        self.element.set_state(gst::State::Null).unwrap();
    }
}
