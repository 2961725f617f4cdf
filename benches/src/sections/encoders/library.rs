//! Time that a thread spends within elements of GStreamer, taken by its own hooks around pushes into
//! pads. Our pad pushes a picture into the element; the element's pad pushes the unit out to us, within
//! that: what lies between the two is the element's.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Result;
use gstreamer as gst;
use gstreamer::glib;

thread_local! {
    /// Pushes that this thread is in, one within another, and when the newest began or ended.
    static DEPTH: Cell<(u32, Option<Instant>)> = const { Cell::new((0, None)) };
    /// Within one push and no other, since it was asked for.
    static INSIDE: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Installs the hooks, for the whole process and for good.
pub(super) fn watch() -> Result<()> {
    static HOOKS: OnceLock<Hooks> = OnceLock::new();
    gst::init()?;
    HOOKS.get_or_init(glib::Object::new);
    Ok(())
}

/// Time within elements on this thread since the last call; none where nothing was pushed.
pub(super) fn take() -> Option<Duration> {
    INSIDE.take()
}

fn passed(change: i32) {
    let now = Instant::now();
    let (depth, since) = DEPTH.get();
    if let (1, Some(since)) = (depth, since) {
        INSIDE.set(Some(INSIDE.get().unwrap_or_default() + (now - since)));
    }
    DEPTH.set((depth.saturating_add_signed(change), Some(now)));
}

glib::wrapper! {
    struct Hooks(ObjectSubclass<imp::Hooks>) @extends gst::Tracer, gst::Object;
}

mod imp {
    use gst::subclass::prelude::*;
    use gstreamer as gst;
    use gstreamer::glib;

    #[derive(Default)]
    pub(super) struct Hooks;

    #[glib::object_subclass]
    impl ObjectSubclass for Hooks {
        const NAME: &'static str = "NearlightPushHooks";
        type Type = super::Hooks;
        type ParentType = gst::Tracer;
    }

    impl ObjectImpl for Hooks {
        fn constructed(&self) {
            self.parent_constructed();
            self.register_hook(TracerHook::PadPushPre);
            self.register_hook(TracerHook::PadPushPost);
        }
    }

    impl GstObjectImpl for Hooks {}

    impl TracerImpl for Hooks {
        fn pad_push_pre(&self, _: u64, _: &gst::Pad, _: &gst::Buffer) {
            super::passed(1);
        }

        fn pad_push_post(&self, _: u64, _: &gst::Pad, _: Result<gst::FlowSuccess, gst::FlowError>) {
            super::passed(-1);
        }
    }
}
