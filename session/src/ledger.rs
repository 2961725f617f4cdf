//! Where the time of every frame went: the server's marks joined with what the client saw.
//!
//! The server tells of a frame when its last packet has left ([`LatencyLedger::on_sent`]), the client
//! by the frame's wire timestamp ([`LatencyLedger::on_report`]). Beyond the server's stages there are
//! `network` (last packet sent → whole at the client), `decode` (→ decoded) and `present` (→ presented).
//! Of WebRTC a browser does not tell when a single frame was whole: `network` then goes up to the decoded
//! picture, jitter buffer and decoder included, and there is no `decode`. Stages of a frame add up to its
//! total, always. A frame's `network` is no better than the clock estimate at the time; the other stages
//! are each measured on one clock.
//!
//! One ledger belongs to one track. It holds a bounded number of frames; the oldest leaves first, and
//! counts as unreported when the client never spoke of it (lost, late, or a player without our data
//! channels). What a client says can fill counters and its own figures, nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use media::{FrameId, Mark, MediaTime, Stage, StageTimes};
use thiserror::Error;

use crate::clock_offset::ClockEstimate;

/// A stage of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LedgerStage {
    /// On the server.
    Server(Stage),
    /// From the last packet sent to the whole frame, or to the decoded picture where it is not known when
    /// the frame was whole.
    Network,
    /// From the whole frame to the decoded picture.
    Decode,
    /// From the decoded to the presented picture.
    Present,
}

impl LedgerStage {
    /// All stages in order.
    pub fn all() -> impl Iterator<Item = Self> {
        Stage::ALL.into_iter().map(Self::Server).chain([Self::Network, Self::Decode, Self::Present])
    }

    /// The name used in metrics, the API and the page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server(stage) => stage.name(),
            Self::Network => "network",
            Self::Decode => "decode",
            Self::Present => "present",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Server(stage) => stage as usize,
            Self::Network => Stage::ALL.len(),
            Self::Decode => Stage::ALL.len() + 1,
            Self::Present => Stage::ALL.len() + 2,
        }
    }
}

/// Settings of a [`LatencyLedger`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Frames that are held; eight seconds at 60 a second by default.
    pub frames: usize,
    /// Figures are of the frames sent in the last so long.
    pub window: Duration,
    /// A report about a frame that was sent longer ago is too late to count.
    pub patience: Duration,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self { frames: 512, window: Duration::from_secs(5), patience: Duration::from_secs(4) }
    }
}

/// What a client says of a frame. Times are of the client's clock, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientReport {
    /// The frame's RTP timestamp, or what stands for it.
    pub wire_timestamp: u32,
    /// When it was whole, where the client knows.
    pub received_us: Option<u64>,
    /// When the decoder returned it.
    pub decoded_us: u64,
    /// When it was drawn.
    pub presented_us: u64,
}

/// A frame whose whole way is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The frame.
    pub frame: FrameId,
    /// See [`LedgerStage::Network`].
    pub network: Duration,
    /// From the whole frame to the decoded picture, where that is known.
    pub decode: Option<Duration>,
    /// From the decoded to the presented picture.
    pub present: Duration,
    /// From capture to presentation: the sum of all stages.
    pub total: Duration,
}

/// Why a report was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// No frame of this timestamp is held.
    #[error("no such frame is known")]
    Unknown,
    /// The frame was reported before.
    #[error("the frame was reported before")]
    Duplicate,
    /// It was sent too long ago.
    #[error("the report came too late")]
    Late,
    /// Times that cannot be: presented before decoded, decoded before received, received before sent, or in
    /// the future.
    #[error("the report's times are impossible")]
    Impossible,
    /// The offset of the client's clock is not known yet.
    #[error("the client's clock is not known yet")]
    NoClock,
}

/// What was counted since the session began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames sent.
    pub sent: u64,
    /// Frames whose whole way is known.
    pub joined: u64,
    /// Frames that left the ledger or grew too old without a report.
    pub unreported: u64,
    /// Reports about timestamps that are not known.
    pub unknown: u64,
    /// Second reports about a frame.
    pub duplicate: u64,
    /// Reports that came too late.
    pub late: u64,
    /// Reports with impossible times.
    pub impossible: u64,
    /// Reports before the client's clock was known.
    pub no_clock: u64,
    /// Reports whose time was moved, within the error of the clocks, to where it can be.
    pub clamped: u64,
}

/// Figures of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Median.
    pub p50: Duration,
    /// 95 of 100 are at most so long.
    pub p95: Duration,
    /// 99 of 100 are at most so long.
    pub p99: Duration,
    /// How many values it is made from.
    pub count: usize,
}

impl Percentiles {
    /// By nearest rank; none without values. Reorders the values.
    pub fn of(values: &mut [Duration]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        values.sort_unstable();
        let rank = |percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
        Some(Self { p50: rank(50), p95: rank(95), p99: rank(99), count: values.len() })
    }
}

/// Figures of the last seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencySummary {
    /// Stages that were seen, in order. Those of the server come from all frames sent, `network` and
    /// `present` from those that were reported.
    pub stages: Vec<(LedgerStage, Percentiles)>,
    /// Means over the frames whose whole way is known, where a stage that a frame does not have is nothing:
    /// they add up to `mean_total`, which percentiles do not.
    pub means: Vec<(LedgerStage, Duration)>,
    /// Mean from capture to presentation.
    pub mean_total: Option<Duration>,
    /// From capture to presentation.
    pub total: Option<Percentiles>,
    /// From capture to the last packet sent.
    pub server: Option<Percentiles>,
    /// Frames sent in the window.
    pub sent: usize,
    /// Frames of the window whose whole way is known.
    pub joined: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Waiting,
    Joined { network: Duration, decode: Option<Duration>, present: Duration },
    Overdue,
}

#[derive(Clone, Debug)]
struct Entry {
    frame: FrameId,
    wire_timestamp: u32,
    sent_at: MediaTime,
    stages: StageTimes,
    seen: Seen,
}

/// The ledger of one track.
#[derive(Clone, Debug)]
pub struct LatencyLedger {
    config: LedgerConfig,
    entries: VecDeque<Entry>,
    counters: Counters,
    scratch: Vec<Duration>,
}

impl LatencyLedger {
    /// An empty ledger.
    pub fn new(config: LedgerConfig) -> Self {
        let config = LedgerConfig { frames: config.frames.max(1), ..config };
        Self {
            config,
            entries: VecDeque::with_capacity(config.frames),
            counters: Counters::default(),
            scratch: Vec::with_capacity(config.frames),
        }
    }

    /// A frame has left, with all its marks. `now` is taken for a missing last mark.
    pub fn on_sent(
        &mut self,
        now: MediaTime,
        frame: FrameId,
        wire_timestamp: u32,
        stages: StageTimes,
    ) {
        self.counters.sent += 1;
        self.expire(now);
        if self.entries.len() == self.config.frames
            && let Some(oldest) = self.entries.pop_front()
            && oldest.seen == Seen::Waiting
        {
            self.counters.unreported += 1;
        }
        let sent_at = end_of(&stages).unwrap_or(now);
        self.entries.push_back(Entry {
            frame,
            wire_timestamp,
            sent_at,
            stages,
            seen: Seen::Waiting,
        });
    }

    /// The frame that was sent with this timestamp, as long as it is remembered.
    pub fn frame_of(&self, wire_timestamp: u32) -> Option<FrameId> {
        let mut newest_first = self.entries.iter().rev();
        newest_first.find(|entry| entry.wire_timestamp == wire_timestamp).map(|entry| entry.frame)
    }

    /// A client's report on a frame, with the estimate of its clock at `now`.
    ///
    /// # Errors
    /// See [`ReportError`]; each is counted, and nothing else changes.
    pub fn on_report(
        &mut self,
        now: MediaTime,
        report: &ClientReport,
        clock: Option<&ClockEstimate>,
    ) -> Result<Joined, ReportError> {
        self.expire(now);
        let result = self.join(now, report, clock);
        let counter = match &result {
            Ok(_) => &mut self.counters.joined,
            Err(ReportError::Unknown) => &mut self.counters.unknown,
            Err(ReportError::Duplicate) => &mut self.counters.duplicate,
            Err(ReportError::Late) => &mut self.counters.late,
            Err(ReportError::Impossible) => &mut self.counters.impossible,
            Err(ReportError::NoClock) => &mut self.counters.no_clock,
        };
        *counter += 1;
        result
    }

    fn join(
        &mut self,
        now: MediaTime,
        report: &ClientReport,
        clock: Option<&ClockEstimate>,
    ) -> Result<Joined, ReportError> {
        // From the newest: that is what reports are about, and a timestamp that has come round again
        // means the newer frame.
        let entry = self
            .entries
            .iter_mut()
            .rev()
            .find(|entry| entry.wire_timestamp == report.wire_timestamp)
            .ok_or(ReportError::Unknown)?;
        match entry.seen {
            Seen::Waiting => {}
            Seen::Joined { .. } => return Err(ReportError::Duplicate),
            Seen::Overdue => return Err(ReportError::Late),
        }
        let clock = clock.ok_or(ReportError::NoClock)?;
        let length = |from: u64, to: u64| {
            to.checked_sub(from).map(Duration::from_micros).ok_or(ReportError::Impossible)
        };
        let present = length(report.decoded_us, report.presented_us)?;
        let decode = report.received_us.map(|at| length(at, report.decoded_us)).transpose()?;
        let error = Duration::from_micros(clock.error_us);
        let arrived = clock.to_media(report.received_us.unwrap_or(report.decoded_us));
        let presented = arrived + decode.unwrap_or_default() + present;
        if arrived + error < entry.sent_at || presented > now + error {
            return Err(ReportError::Impossible);
        }
        // Within the error of the clocks a frame may seem to be there before it was sent.
        if arrived < entry.sent_at {
            self.counters.clamped += 1;
        }
        let network = arrived.since(entry.sent_at);
        entry.seen = Seen::Joined { network, decode, present };
        let total = entry.total().unwrap_or(network + decode.unwrap_or_default() + present);
        Ok(Joined { frame: entry.frame, network, decode, present, total })
    }

    /// Counts frames that waited too long for a report.
    fn expire(&mut self, now: MediaTime) {
        for entry in &mut self.entries {
            // In order of sending: nothing behind the first young one is old.
            if now.since(entry.sent_at) <= self.config.patience {
                break;
            }
            if entry.seen == Seen::Waiting {
                entry.seen = Seen::Overdue;
                self.counters.unreported += 1;
            }
        }
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Figures of the frames that were sent in the window before `now`.
    pub fn summary(&mut self, now: MediaTime) -> LatencySummary {
        self.expire(now);
        let window = self.config.window;
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut percentiles = |values: &mut dyn Iterator<Item = Duration>| {
            scratch.clear();
            scratch.extend(values);
            Percentiles::of(&mut scratch)
        };
        let recent = || self.entries.iter().filter(|entry| now.since(entry.sent_at) <= window);
        let stages = LedgerStage::all()
            .filter_map(|stage| {
                let mut values = recent().flat_map(Entry::spans);
                let mut values = std::iter::from_fn(|| {
                    values.find(|(of, _)| of.index() == stage.index()).map(|(_, length)| length)
                });
                Some((stage, percentiles(&mut values)?))
            })
            .collect();
        let total = percentiles(&mut recent().filter_map(Entry::total));
        let server = percentiles(&mut recent().filter_map(|entry| entry.stages.total()));
        let whole = || recent().filter(|entry| entry.total().is_some());
        let joined = whole().count();
        let mean = |sum: Duration| sum.checked_div(u32::try_from(joined).unwrap_or(u32::MAX));
        let means = LedgerStage::all().filter_map(|stage| {
            let of_stage = whole().flat_map(Entry::spans).filter(|(of, _)| *of == stage);
            let (sum, count) = of_stage
                .fold((Duration::ZERO, 0), |(sum, count), (_, length)| (sum + length, count + 1));
            (count > 0).then_some((stage, mean(sum)?))
        });
        let means = means.collect();
        let mean_total = mean(whole().filter_map(Entry::total).sum());
        let sent = recent().count();
        self.scratch = scratch;
        LatencySummary { stages, means, mean_total, total, server, sent, joined }
    }
}

impl Entry {
    /// Stages whose length is known, in order.
    fn spans(&self) -> impl Iterator<Item = (LedgerStage, Duration)> + '_ {
        let client = match self.seen {
            Seen::Joined { network, decode, present } => [
                Some((LedgerStage::Network, network)),
                decode.map(|decode| (LedgerStage::Decode, decode)),
                Some((LedgerStage::Present, present)),
            ],
            Seen::Waiting | Seen::Overdue => [None; 3],
        };
        let server =
            self.stages.spans().map(|(stage, length)| (LedgerStage::Server(stage), length));
        server.chain(client.into_iter().flatten())
    }

    /// From capture to presentation.
    fn total(&self) -> Option<Duration> {
        match self.seen {
            Seen::Joined { network, decode, present } => {
                Some(self.stages.total()? + network + decode.unwrap_or_default() + present)
            }
            Seen::Waiting | Seen::Overdue => None,
        }
    }
}

/// The moment up to which the server's stages reach.
fn end_of(stages: &StageTimes) -> Option<MediaTime> {
    Some(stages.get(Mark::Captured)? + stages.total()?)
}

#[cfg(test)]
mod tests;
