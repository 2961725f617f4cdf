//! A plugin of GStreamer's that goes wrong, with an encoder in it that has the name of x264's.
//!
//! `FAKE_GST` says what happens: `hang` or `crash` when a program loads it for the encoder, or
//! `hang-scan` when GStreamer looks what is in it, which it does in a process of its own making. Where
//! `FAKE_GST_MARK` names a file, it is written before a hang. It must never be installed where a
//! program looks for real plugins.
#![allow(missing_docs, reason = "what GStreamer's macro makes has none")]

use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

glib::wrapper! {
    /// The element.
    pub struct Broken(ObjectSubclass<imp::Broken>) @extends gst::Element, gst::Object;
}

mod imp {
    use std::sync::LazyLock;

    use gstreamer::subclass::prelude::*;

    use super::{glib, gst};

    /// Its state: none.
    #[derive(Default)]
    pub struct Broken;

    #[glib::object_subclass]
    impl ObjectSubclass for Broken {
        const NAME: &'static str = "NearlightBrokenEncoder";
        type Type = super::Broken;
        type ParentType = gst::Element;
    }

    impl ObjectImpl for Broken {}
    impl GstObjectImpl for Broken {}
    impl ElementImpl for Broken {
        // Without these GStreamer does not take the element.
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Broken encoder",
                    "Codec/Encoder/Video",
                    "Goes wrong, for tests",
                    "Nearlight",
                )
            });
            Some(&METADATA)
        }

        // What an encoder takes and gives; nothing comes so far.
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let raw = gst::Caps::builder("video/x-raw").field("format", "NV12").build();
                let coded = gst::Caps::builder("video/x-h264").build();
                let pad = |name, direction, caps| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
                };
                [
                    pad("sink", gst::PadDirection::Sink, &raw),
                    pad("src", gst::PadDirection::Src, &coded),
                ]
                .into_iter()
                .flatten()
                .collect()
            });
            TEMPLATES.as_slice()
        }
    }
}

/// Called when the plugin is opened: first by GStreamer's scanner, then by who wants the element.
fn init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    let program = std::env::current_exe().unwrap_or_default();
    let scanned = program.file_name().is_some_and(|name| name == "gst-plugin-scanner");
    match (std::env::var("FAKE_GST").as_deref(), scanned) {
        (Ok("hang-scan"), true) | (Ok("hang"), false) => {
            mark();
            loop {
                std::thread::sleep(Duration::from_secs(1_000));
            }
        }
        (Ok("crash"), false) => std::process::abort(),
        _ => {}
    }
    gst::Element::register(Some(plugin), "x264enc", gst::Rank::PRIMARY, Broken::static_type())
}

/// Tells a test that it came so far.
fn mark() {
    if let Some(file) = std::env::var_os("FAKE_GST_MARK") {
        // Without the file the test goes on waiting for it.
        let _ = std::fs::write(file, "");
    }
}

gst::plugin_define!(
    nearlightfake,
    "An encoder that goes wrong, for tests",
    init,
    env!("CARGO_PKG_VERSION"),
    "MIT/X11",
    "nearlight",
    "nearlight",
    "https://example.org"
);
