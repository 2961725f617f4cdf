//! One stream that a client plays.
//!
//! ```text
//!            enough queued, or told to               all was played
//!  Filling ───────────────────────────▶ Playing ───────────────────▶ Filling, or Starved where nothing
//!     ▲                                    │  ▲                      is to be queued before it plays
//!     └──────── flush, prebuf ◀────────────┘  └── anything queued ── Starved
//! ```
//! While it is corked time stands still for it, whatever its state.

use std::time::Duration;

use media::Layout;
use media::audio::CHANNELS;
use pulseaudio::protocol::stream::BufferAttr;
use pulseaudio::protocol::{ChannelMap, Props, SampleSpec};

use super::format::{decode, frame_bytes};
use super::frame::Seek;
use super::gain::Gain;
use super::mix::{Mix, Places, add};
use super::queue::{Buffering, Queue, time_of};

/// Answers to drains that may wait.
const MOST_DRAINS: usize = 16;

/// What the client is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It is heard from now on.
    Started,
    /// All was played up to this byte.
    Underflow(i64),
    /// It wrote more than is kept.
    Overflow,
    /// It is to write so many bytes.
    Request(u32),
    /// The answer to a drain of this number.
    Drained(u32),
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Filling,
    /// `short`: the last step had less than it wanted.
    Playing {
        short: bool,
    },
    Starved,
}

/// See the module.
pub(super) struct Playback {
    /// Of all streams, and its channel.
    pub(super) index: u32,
    /// Whose it is.
    pub(super) client: u32,
    pub(super) spec: SampleSpec,
    pub(super) map: ChannelMap,
    pub(super) props: Props,
    pub(super) gain: Gain,
    pub(super) buffering: Buffering,
    pub(super) corked: bool,
    /// Times that it ran out of samples.
    pub(super) underruns: u64,
    /// Bytes that were dropped.
    pub(super) dropped: u64,
    /// Bytes that were played in a row, and that were missing.
    pub(super) played: u64,
    pub(super) missed: u64,
    flow: Flow,
    queue: Queue,
    requested: usize,
    drains: Vec<u32>,
    events: Vec<Event>,
    remaps: bool,
    front: Mix,
    /// In all channels of the sink, where the stream has any that two do not hold.
    all: Option<Mix>,
    bytes: Vec<u8>,
    samples: Vec<f32>,
}

/// What a stream is made with.
pub(super) struct Made {
    pub(super) index: u32,
    pub(super) client: u32,
    pub(super) spec: SampleSpec,
    pub(super) map: ChannelMap,
    pub(super) props: Props,
    pub(super) gain: Gain,
    pub(super) corked: bool,
}

impl Playback {
    /// A new one for a sink of this layout, whose client is to write as much as its target is. Its channels go by their
    /// places where it `remaps`.
    pub(super) fn new(made: Made, asked: &BufferAttr, remaps: bool, layout: Layout) -> Self {
        let buffering = Buffering::new(asked, &made.spec);
        let places = Places { map: made.map, remaps };
        Self {
            flow: Flow::Filling,
            queue: Queue::new(&made.spec),
            requested: buffering.target,
            buffering,
            remaps,
            front: Mix::new(&made.spec, &places, Layout::Stereo),
            all: of_all(&made.spec, &places, layout),
            index: made.index,
            client: made.client,
            spec: made.spec,
            map: made.map,
            props: made.props,
            gain: made.gain,
            corked: made.corked,
            underruns: 0,
            dropped: 0,
            played: 0,
            missed: 0,
            drains: Vec::new(),
            events: Vec::new(),
            bytes: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Bytes read and written.
    pub(super) fn indices(&self) -> (i64, i64) {
        (self.queue.read_index(), self.queue.write_index())
    }

    /// Bytes that are queued.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How long what is queued plays.
    pub(super) fn buffered(&self) -> Duration {
        time_of(&self.spec, self.queue.len())
    }

    /// What was read and is not heard yet.
    pub(super) fn delay(&self) -> Duration {
        let samples = self.front.delay();
        Duration::from_secs_f64(samples.max(0.0) / f64::from(self.spec.sample_rate.max(1)))
    }

    /// Whether time changes anything.
    pub(super) fn is_playing(&self) -> bool {
        !self.corked && matches!(self.flow, Flow::Playing { .. })
    }

    /// Whether it is to end when all was played.
    pub(super) fn is_draining(&self) -> bool {
        !self.drains.is_empty()
    }

    /// The client wrote. Answers whether it may be heard.
    pub(super) fn write(&mut self, offset: i64, seek: Seek, data: &[u8]) {
        let dropped = self.queue.put(offset, seek, data, self.buffering.most);
        self.requested = self.requested.saturating_sub(data.len());
        if dropped > 0 {
            self.dropped += dropped as u64;
            self.tell(Event::Overflow);
        }
        self.settle();
    }

    fn settle(&mut self) {
        let enough = match self.flow {
            Flow::Filling => self.queue.len() >= self.buffering.before.max(1),
            Flow::Starved => self.queue.len() > 0,
            Flow::Playing { .. } => false,
        };
        if enough {
            self.start();
        }
    }

    fn start(&mut self) {
        self.flow = Flow::Playing { short: false };
        self.played = 0;
        self.tell(Event::Started);
    }

    fn tell(&mut self, event: Event) {
        // Who writes too much block by block is told once.
        if self.events.last() != Some(&event) {
            self.events.push(event);
        }
    }

    /// Plays what is queued, however little.
    pub(super) fn trigger(&mut self) {
        if self.flow == Flow::Filling && self.queue.len() > 0 {
            self.start();
        }
    }

    /// Waits until enough is queued again.
    pub(super) fn prebuf(&mut self) {
        if self.buffering.before > 0 {
            self.flow = Flow::Filling;
            self.settle();
        }
    }

    /// Forgets what is queued. Drains end with it.
    pub(super) fn flush(&mut self) {
        self.queue.clear();
        self.answer_drains();
        self.flow = self.empty();
    }

    fn empty(&self) -> Flow {
        if self.buffering.before > 0 { Flow::Filling } else { Flow::Starved }
    }

    /// To be answered when all was played; whether it will be.
    pub(super) fn drain(&mut self, number: u32) -> bool {
        if self.drains.len() >= MOST_DRAINS {
            return false;
        }
        self.drains.push(number);
        self.trigger();
        if self.queue.len() == 0 && !matches!(self.flow, Flow::Playing { .. }) {
            self.answer_drains();
        }
        true
    }

    fn answer_drains(&mut self) {
        self.events.extend(self.drains.drain(..).map(Event::Drained));
    }

    /// Other lengths.
    pub(super) fn set_buffering(&mut self, asked: &BufferAttr) {
        self.buffering = Buffering::new(asked, &self.spec);
        self.settle();
    }

    /// Another rate, without a break where it is near to the one before.
    pub(super) fn set_rate(&mut self, rate: u32) {
        self.spec.sample_rate = rate;
        self.front.set_rate(rate);
        self.all.iter_mut().for_each(|all| all.set_rate(rate));
    }

    /// The sink has another layout. What is in front alone goes on without a break.
    pub(super) fn set_layout(&mut self, layout: Layout) {
        let places = Places { map: self.map, remaps: self.remaps };
        self.all = of_all(&self.spec, &places, layout);
        if self.all.is_some() {
            // Both take the same samples, from the same place on.
            self.front = Mix::new(&self.spec, &places, Layout::Stereo);
        }
    }

    /// More than two channels of the sink play it.
    pub(super) fn is_wide(&self) -> bool {
        self.all.is_some()
    }

    /// Adds what is heard in a step: in two channels, and in all of the sink's, of which there may be none.
    pub(super) fn render(&mut self, front: &mut [f32], (all, of): (&mut [f32], usize)) {
        let wanted = self.front.wanted();
        let Flow::Playing { short } = self.flow else {
            if !self.corked && self.flow == Flow::Starved {
                self.missed += (wanted * frame_bytes(&self.spec)) as u64;
            }
            return;
        };
        if self.corked {
            return;
        }
        self.queue.take(wanted, &mut self.bytes);
        let channels = usize::from(self.spec.channels);
        let frames = self.bytes.len() / frame_bytes(&self.spec);
        self.samples.resize(frames * channels, 0.0);
        decode(self.spec.format, &self.bytes, &mut self.samples);
        self.gain.apply(&mut self.samples);
        let heard = self.front.step(&self.samples, frames);
        add(heard, CHANNELS, front, CHANNELS);
        match &mut self.all {
            Some(mix) => add(mix.step(&self.samples, frames), of, all, of),
            None => add(heard, CHANNELS, all, of),
        }
        self.played += self.bytes.len() as u64;
        let is_short = frames < wanted;
        if is_short && !short && self.drains.is_empty() {
            self.underruns += 1;
        }
        self.flow = Flow::Playing { short: is_short };
        // The step after the last samples brought out what the resampler still had.
        if frames == 0 {
            if self.drains.is_empty() {
                self.missed = 0;
                self.tell(Event::Underflow(self.queue.read_index()));
            }
            self.answer_drains();
            self.flow = self.empty();
        }
    }

    /// What the client is to be told by now, and what it is to write.
    pub(super) fn events(&mut self) -> std::vec::Drain<'_, Event> {
        let missing = self.buffering.target.saturating_sub(self.queue.len() + self.requested);
        if missing >= self.buffering.request && self.drains.is_empty() {
            self.requested += missing;
            self.events.push(Event::Request(missing as u32));
        }
        self.events.drain(..)
    }
}

fn of_all(spec: &SampleSpec, places: &Places, layout: Layout) -> Option<Mix> {
    let more = layout != Layout::Stereo && !places.are_in_front();
    more.then(|| Mix::new(spec, places, layout))
}
