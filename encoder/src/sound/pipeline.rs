//! From a source's blocks to packets at those who listen, told the time.
//!
//! Blocks follow one another without a gap on a grid of their own, which begins when somebody listens, and
//! anew after a pause.
//!
//! Each layout that somebody hears is coded once, and none other: two channels, and all that the source has for those who can
//! play them. One that hears two where more are played has the source's own mix.
//!
//! A block is made as it begins, as a sound card asks for one: what it holds is heard from then on, and does not wait for its
//! end. What happens meanwhile is heard with the next one, so blocks are short. They are longer where somebody listens whose
//! client makes up for losses by what Opus says of the packet before, which no short packet says, and where the path has no room
//! for as many headers; such a path has two channels. A packet's time is that of the sound which is decoded from it: the coder
//! delays it.

use std::time::Duration;

use media::audio::{CHANNELS, samples_in};
use media::{AudioPacket, AudioSink, AudioSource, Layout, MediaTime, SendRefused, Sound};

use super::coder::Coder;
use super::{Listener, SoundConfig, SoundStats};
use crate::opus::Aim;

/// The shortest block with error correction (RFC 6716 §2.1.4), and where headers are to be few.
const LONGER: Duration = Duration::from_millis(10);
/// Blocks that lie further back than this are not made any more: they would come in a burst, late.
const LATEST: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Pipeline {
    source: Box<dyn AudioSource>,
    /// Of two channels, and of more; none while nobody hears it.
    stereo: Option<Coder>,
    surround: Option<Coder>,
    config: SoundConfig,
    /// Headers are to be few.
    sparing: bool,
    expected_loss: f64,
    length: Duration,
    block: Vec<f32>,
    sinks: Vec<(Listener, Box<dyn AudioSink>)>,
    /// What the source was told that it may have, and those of the listeners who play all of it.
    layout: Option<Layout>,
    wide: Vec<Listener>,
    paused: bool,
    /// Where the next block begins: the last one's end, or later.
    next: MediaTime,
    stats: SoundStats,
}

impl Pipeline {
    pub(super) fn open(config: &SoundConfig, source: Box<dyn AudioSource>) -> Result<Self, String> {
        Ok(Self {
            source,
            // Where that cannot be had, it is known before anybody listens.
            stereo: Some(Coder::open(Layout::Stereo, config.bitrate, Aim::Prompt)?),
            surround: None,
            config: config.clone(),
            sparing: false,
            expected_loss: 0.0,
            length: config.block,
            block: Vec::new(),
            sinks: Vec::new(),
            layout: None,
            wide: Vec::new(),
            paused: false,
            next: MediaTime::ZERO,
            stats: SoundStats::default(),
        })
    }

    /// Somebody listens by this sink from now on, or no more.
    pub(super) fn listen(
        &mut self,
        listener: Listener,
        sink: Option<Box<dyn AudioSink>>,
        now: MediaTime,
    ) {
        let was_idle = self.due().is_none();
        self.sinks.retain(|(of, _)| *of != listener);
        self.sinks.extend(sink.map(|sink| (listener, sink)));
        self.choose_length();
        if was_idle {
            self.next = self.next.max(now);
        }
        self.tell_silence();
    }

    /// The source may have these channels, and these listeners hear all of them.
    pub(super) fn set_surround(&mut self, layout: Layout, wide: Vec<Listener>) {
        if self.layout != Some(layout) {
            self.layout = Some(layout);
            self.source.set_layout(layout);
        }
        self.wide = wide;
        self.tell_silence();
    }

    /// Who comes into silence is to know of it.
    fn tell_silence(&mut self) {
        self.stereo.iter_mut().chain(&mut self.surround).for_each(Coder::tell_silence);
    }

    /// Nothing is made from now on, or again from `now` on.
    pub(super) fn set_paused(&mut self, paused: bool, now: MediaTime) {
        if self.paused && !paused {
            self.next = self.next.max(now);
            self.tell_silence();
        }
        self.paused = paused;
    }

    /// When the next block begins; none while nobody listens.
    pub(super) fn due(&self) -> Option<MediaTime> {
        (!self.paused && !self.sinks.is_empty()).then_some(self.next)
    }

    /// The path has room for headers, or little.
    pub(super) fn set_sparing(&mut self, sparing: bool) {
        self.sparing = sparing;
        self.choose_length();
    }

    /// What those who listen make use of.
    fn aim(&self) -> Aim {
        let corrected = self.sinks.iter().any(|(_, sink)| sink.wants_fec());
        if corrected { Aim::Corrected } else { Aim::Prompt }
    }

    /// Of the blocks from the next on.
    fn choose_length(&mut self) {
        let longer = self.sparing || self.aim() == Aim::Corrected;
        let block = self.config.block;
        self.length = if longer { block.max(LONGER) } else { block };
    }

    pub(super) fn expect_loss(&mut self, part: f64) -> Result<(), String> {
        self.expected_loss = part;
        if let Some(stereo) = &mut self.stereo {
            self.stats.expected_loss = stereo.expect_loss(part)?;
        }
        Ok(())
    }

    pub(super) fn stats(&self) -> &SoundStats {
        &self.stats
    }

    /// Makes the block that begins by `now`.
    pub(super) fn step(&mut self, now: MediaTime) -> Result<(), String> {
        self.block.resize(samples_in(self.length) * CHANNELS, 0.0);
        let late = now.since(self.next);
        if late > LATEST {
            let blocks = late.as_nanos() / self.length.as_nanos().max(1);
            let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
            self.next = self.next + self.length * blocks;
            self.stats.skipped += u64::from(blocks);
        }
        let at = self.next;
        self.next = at + self.length;
        let sound = self.source.fill(at, &mut self.block).map_err(|error| error.to_string())?;
        self.send(at, sound)
    }

    /// Codes the block for those who hear it.
    fn send(&mut self, at: MediaTime, sound: Sound) -> Result<(), String> {
        let aim = self.aim();
        let all = self.source.surround().filter(|_| !self.sparing);
        self.stats.layout = all.map_or(Layout::Stereo, |(layout, _)| layout);
        let hears_all = |(who, sink): &(Listener, Box<dyn AudioSink>)| {
            all.is_some() && self.wide.contains(who) && !sink.wants_fec()
        };
        let mixed = (Layout::Stereo, &self.block[..], sound);
        let all = all.map(|(layout, block)| (layout, block, Sound::of(block)));
        for (is_all, what, coder, counted) in [
            (false, Some(mixed), &mut self.stereo, &mut self.stats.stereo),
            (true, all, &mut self.surround, &mut self.stats.surround),
        ] {
            let is_heard = self.sinks.iter().any(|each| hears_all(each) == is_all);
            let Some((layout, block, sound)) = what.filter(|_| is_heard) else {
                *coder = None;
                continue;
            };
            let aim = if is_all { Aim::Prompt } else { aim };
            let (coder, is_new) = match coder {
                Some(coder) if coder.layout() == layout => {
                    let is_new = coder.set_aim(aim)?;
                    (coder, is_new)
                }
                none => {
                    let bitrate = self.config.rate(layout);
                    (none.insert(Coder::open(layout, bitrate, aim)?), true)
                }
            };
            if is_new && !is_all {
                self.stats.expected_loss = coder.expect_loss(self.expected_loss)?;
            }
            let coded = coder.code(block, sound, at, self.length)?;
            counted.silent = coder.is_silent();
            let Some(data) = coded else { continue };
            counted.packets += 1;
            counted.bytes += data.len() as u64;
            let packet = AudioPacket {
                track: self.config.track,
                captured_at: at - coder.delay(),
                duration: self.length,
                layout,
                data,
            };
            for each in &mut self.sinks {
                if hears_all(each) == is_all && each.1.send(&packet) == Err(SendRefused::Full) {
                    self.stats.refused += 1;
                }
            }
        }
        Ok(())
    }
}
