//! An app that notes what its input is told.

#![allow(unreachable_pub, reason = "test files share it")]

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use media::{Clock, DeviceId, InputEvent, InputSink, InputSupport, MediaTime, SequencedInput};
use nearlight::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use nearlight::saves::GameSaves;
use testkit::PulledPattern;

use crate::common;

/// What the session's input was told, in order.
pub type Told = Arc<Mutex<Vec<InputEvent>>>;

/// The moving pattern, which notes what it is told, and is there once the gate's other end is gone.
#[derive(Default)]
pub struct Noting {
    pub told: Told,
    pub gate: Mutex<Option<Receiver<()>>>,
}

impl App for Noting {
    fn info(&self) -> AppInfo {
        common::info("noting", None)
    }
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        if let Some(gate) = self.gate.lock().unwrap().take() {
            gate.recv().unwrap_err();
        }
        let source = Box::new(PulledPattern::new(video.size, 3, clock));
        let input = Box::new(Notes(self.told.clone()));
        Ok(Running { source, input, sound: None, rumble: None, voice: None })
    }
    fn device(&self) -> Option<DeviceId> {
        None
    }
    fn has_sound(&self) -> bool {
        false
    }
    fn draws_hdr(&self) -> bool {
        false
    }
    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }
    fn draw_poster(&self) -> Option<Vec<u8>> {
        None
    }
}

struct Notes(Told);

impl InputSink for Notes {
    fn inject(&mut self, input: &SequencedInput, _: MediaTime) {
        self.0.lock().unwrap().push(input.event.clone());
    }
    fn release_all(&mut self, _: MediaTime) {
        self.0.lock().unwrap().push(InputEvent::ReleaseAll);
    }
    fn support(&self) -> InputSupport {
        InputSupport::default()
    }
    fn idle_for(&self, _: MediaTime) -> Duration {
        Duration::ZERO
    }
}
