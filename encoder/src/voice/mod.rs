//! The thread that a player's voice is decoded on.
//!
//! ```text
//!  driver ─[16 packets]─▶ thread: order → decode, or make up for what is lost ─▶ VoiceSink
//! ```
//!
//! It lives while somebody speaks. A packet that finds its queue full is dropped and counted: the gap is made up for like
//! any other. Nothing waits here for packets that are late; how much is held is the sink's matter.
//!
//! The thread must never be given a sink that blocks.

mod order;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use media::audio::CHANNELS;
use media::{VoicePacket, VoiceSink};

use self::order::{Order, Place};
use crate::opus::{OpusDecoder, OpusError, Wanted};

/// Packets that wait for the thread: a third of a second of those of 20 ms.
const WAITING: usize = 16;
/// The longest packet that is decoded: one of the longest frame (RFC 6716 §3.4).
const LONGEST: usize = 1_275;
/// Samples of one channel that a packet has at most: 120 ms.
const MOST: usize = 5_760;
/// What a packet holds until one was decoded: 20 ms, as browsers send.
const USUAL: usize = 960;
/// A packet of so few bytes has no sound in it (RFC 6716 §3.2.1, and §3.1 for its second byte).
const SILENT: usize = 2;

/// What a worker has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoiceStats {
    /// Packets that came.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that did not come, or not in time.
    pub lost: u64,
    /// Of them, those right before a packet that came, which may say something of them.
    pub recovered: u64,
    /// Packets that came when the one after them had been decoded.
    pub late: u64,
    /// Packets that are none of Opus, or too long.
    pub malformed: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
    /// Why nothing is decoded any more.
    pub failed: Option<String>,
}

/// A handle on the thread. Dropping it ends the thread, and the sink is off then.
pub struct VoiceWorker {
    packets: Option<SyncSender<VoicePacket>>,
    stats: Arc<Mutex<VoiceStats>>,
    thread: Option<JoinHandle<()>>,
}

impl VoiceWorker {
    /// Starts the thread, whose name has 15 bytes at most; `sink` is on from now on.
    ///
    /// # Errors
    /// When the system gives no thread. What goes wrong on it is in [`stats`](Self::stats).
    pub fn spawn(name: String, sink: Arc<dyn VoiceSink>) -> io::Result<Self> {
        let (packets, waiting) = sync_channel(WAITING);
        let stats = Arc::new(Mutex::new(VoiceStats::default()));
        let theirs = stats.clone();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let _span = span.entered();
            sink.set_enabled(true);
            let run = AssertUnwindSafe(|| run(&waiting, sink.as_ref(), &theirs));
            let failed = catch_unwind(run)
                .unwrap_or_else(|panic| Err(crate::panic_text(panic.as_ref())))
                .err();
            sink.set_enabled(false);
            if let Some(reason) = &failed {
                tracing::warn!(reason, "the player's voice is not heard");
            }
            lock(&theirs).failed = failed;
        })?;
        Ok(Self { packets: Some(packets), stats, thread: Some(thread) })
    }

    /// Takes a packet without blocking.
    pub fn take(&self, packet: VoicePacket) {
        let taken = self.packets.as_ref().is_some_and(|packets| packets.try_send(packet).is_ok());
        if !taken {
            lock(&self.stats).dropped += 1;
        }
    }

    /// What it has done.
    pub fn stats(&self) -> VoiceStats {
        lock(&self.stats).clone()
    }
}

impl Drop for VoiceWorker {
    fn drop(&mut self) {
        drop(self.packets.take());
        if let Some(thread) = self.thread.take() {
            // It waits for nothing else; what is in its queue takes about a millisecond. A panic was told already.
            let _ = thread.join();
        }
    }
}

fn lock(stats: &Mutex<VoiceStats>) -> MutexGuard<'_, VoiceStats> {
    // Every change is an addition or an assignment.
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(
    packets: &Receiver<VoicePacket>,
    sink: &dyn VoiceSink,
    stats: &Mutex<VoiceStats>,
) -> Result<(), String> {
    let mut voice = Voice::open().map_err(|error| error.to_string())?;
    while let Ok(packet) = packets.recv() {
        voice.take(&packet, sink).map_err(|error| error.to_string())?;
        let mut told = lock(stats);
        *told = VoiceStats { dropped: told.dropped, ..voice.stats.clone() };
    }
    Ok(())
}

/// Packets in, samples out.
struct Voice {
    decoder: OpusDecoder,
    order: Order,
    /// Samples of one channel that the packet before had.
    length: usize,
    decoded: Vec<f32>,
    mono: Vec<f32>,
    stats: VoiceStats,
}

impl Voice {
    fn open() -> Result<Self, OpusError> {
        Ok(Self {
            decoder: OpusDecoder::open()?,
            order: Order::default(),
            length: USUAL,
            decoded: vec![0.0; MOST * CHANNELS],
            mono: Vec::with_capacity(MOST),
            stats: VoiceStats::default(),
        })
    }

    /// Takes a packet of a client, which may hold anything.
    ///
    /// # Errors
    /// When there is no decoder any more.
    fn take(&mut self, packet: &VoicePacket, sink: &dyn VoiceSink) -> Result<(), OpusError> {
        self.stats.packets += 1;
        self.stats.bytes += packet.data.len() as u64;
        if packet.data.len() > LONGEST {
            self.stats.malformed += 1;
            return Ok(());
        }
        match self.order.place(packet.sequence) {
            Place::Late => {
                self.stats.late += 1;
                return Ok(());
            }
            Place::Next { lost } => self.make_up(usize::from(lost), &packet.data, sink),
            Place::Anew { lost } => {
                self.stats.lost += u64::from(lost);
                self.decoder = OpusDecoder::open()?;
            }
        }
        // A number without a packet is padding.
        if packet.data.is_empty() {
            return Ok(());
        }
        match self.decoder.decode(Wanted::Packet(&packet.data), &mut self.decoded) {
            Ok(length) => {
                self.length = length;
                // Silence is what is recorded when nothing is put in.
                if packet.data.len() > SILENT {
                    self.put(length, sink);
                }
            }
            Err(error) => {
                self.stats.malformed += 1;
                tracing::debug!(%error, "a packet of the player's voice");
            }
        }
        Ok(())
    }

    /// Goes on over packets that did not come, of which the one that did may tell the last.
    fn make_up(&mut self, lost: usize, next: &[u8], sink: &dyn VoiceSink) {
        self.stats.lost += lost as u64;
        for left in (0..lost).rev() {
            let wanted = match left {
                0 if next.len() > SILENT => Wanted::Before(next),
                _ => Wanted::Nothing,
            };
            let room = self.length * CHANNELS;
            // What cannot be made up for is a gap.
            let Ok(length) = self.decoder.decode(wanted, &mut self.decoded[..room]) else {
                continue;
            };
            self.stats.recovered += u64::from(matches!(wanted, Wanted::Before(_)));
            self.put(length, sink);
        }
    }

    fn put(&mut self, length: usize, sink: &dyn VoiceSink) {
        let samples = self.decoded[..length * CHANNELS].as_chunks::<CHANNELS>().0;
        self.mono.clear();
        self.mono.extend(samples.iter().map(|both| both.iter().sum::<f32>() / CHANNELS as f32));
        sink.put(&self.mono);
    }
}

#[cfg(test)]
mod tests;
