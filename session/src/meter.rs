//! Measures what a session uses, and says when it must stop because nobody pays or nothing can be written down.
//!
//! ```text
//!               Live             Paused
//!   Idle ──────────────▶ Live ◀────────▶ Paused        a slice runs in Live alone, for at most `slice`
//!     │                   │  lease or trial over,  │
//!     │ End               │  not durable in time   │ End
//!     ▼                   ▼                        ▼
//!   Settled ◀───────── Closing ◀───────────────────┘   last slice, then the closing record, then Settled once
//! ```
//!
//! Each record must be durable before the next is handed out: [`MeterAction::Persist`] is answered with
//! [`MeterEvent::Persisted`] or [`MeterEvent::PersistFailed`]. Time goes on meanwhile and belongs to the next slice, so that
//! metered time is live time. A slice that is not durable `patience` after its end stops the session; slice and
//! patience are at most ten seconds together, so no more than one slice's worth of use is ever not in a durable record.
//!
//! The meter is told the time. Where a time lies before one that it was told already, the later one counts. Where it was
//! not called for longer than `patience` after a slice's end (the machine slept, its clock jumped), the
//! time in between is in no slice and is not charged ([`Meter::gaps`]).

mod latency;

use std::collections::VecDeque;
use std::time::Duration;

use media::MediaTime;
use thiserror::Error;

use crate::receipts::{
    Body, ChainId, Close, CloseCause, MAX_SLICE_MS, Open, Record, RecordHash, Slice, Tariff,
    Totals, hash,
};
use crate::rental::UnixMillis;
use latency::Latencies;

/// Records that wait to be made durable, the one that was handed out among them: a slice, the rest behind it.
const MOST_WAITING: usize = 2;

/// How slices are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterConfig {
    slice: Duration,
    patience: Duration,
}

/// Slices would be too long, or have no length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("slice and patience are whole milliseconds, each at least one, and at most 10 s together")]
pub struct MeterConfigError;

impl MeterConfig {
    /// Slices of `slice`, of which each may take `patience` to become durable.
    ///
    /// # Errors
    /// [`MeterConfigError`].
    pub fn new(slice: Duration, patience: Duration) -> Result<Self, MeterConfigError> {
        let whole =
            |each: Duration| each.subsec_nanos().is_multiple_of(1_000_000) && !each.is_zero();
        let most = Duration::from_millis(MAX_SLICE_MS.into());
        if !whole(slice) || !whole(patience) || slice.saturating_add(patience) > most {
            return Err(MeterConfigError);
        }
        Ok(Self { slice, patience })
    }
}

/// Eight seconds, of which each may take two to become durable.
impl Default for MeterConfig {
    fn default() -> Self {
        Self { slice: Duration::from_secs(8), patience: Duration::from_secs(2) }
    }
}

/// Until when somebody pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funding {
    /// A lease that ends then.
    Lease(MediaTime),
    /// So much live time, to try the machine.
    Trial(Duration),
}

/// A frame that was encoded and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameUse {
    /// Pixels of the coded picture.
    pub pixels: u64,
    /// Bytes that left, headers and repair included.
    pub bytes: u64,
    /// Microseconds that the graphics card worked for it.
    pub gpu_us: u32,
}

/// What the meter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterEvent {
    /// [`Meter::poll_timeout`] has come.
    Timeout,
    /// The session is live from now on; the chain's time is for the first record.
    Live(UnixMillis),
    /// It is not, for the time being.
    Paused,
    /// Who pays, and until when: prolonged, shortened, or over at a time that has passed.
    Funded(Funding),
    /// The record of this number is durable.
    Persisted(u32),
    /// It is not and will not be; the disk is full, say.
    PersistFailed(u32),
    /// The session ends.
    End,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeterAction {
    /// Sign these bytes of the record with this number, and make both durable.
    Persist(u32, Vec<u8>),
    /// End the session for this reason; told once at most. The meter is to be told `End` or `Paused` when it has.
    Stop(CloseCause),
    /// Nothing comes any more; told once.
    Settled(Settlement),
}

/// What came of it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The last record, durable; none where nothing was ever metered or records could not be made durable.
    pub close: Option<Close>,
    /// What durable slices sum to.
    pub totals: Totals,
}

/// What the first record says that the meter does not know by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// All but the time, which is filled in.
    pub open: Open,
    /// Who pays at first.
    pub funding: Funding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Live,
    Paused,
    Closing(CloseCause),
    Settled,
}

/// A slice that runs.
#[derive(Debug)]
struct Running {
    start: MediaTime,
    frames: u64,
    missed: u64,
    pixels: u64,
    bytes: u64,
    gpu_us: u64,
    latencies: Latencies,
}

/// A record that is handed out, or waits for the one that is.
#[derive(Debug)]
struct Waiting {
    sequence: u32,
    bytes: Vec<u8>,
    slice: Option<Slice>,
    close: Option<Close>,
    /// When the session stops if it is not durable.
    deadline: MediaTime,
    handed_out: bool,
}

/// The meter of one session. See the module's documentation.
#[derive(Debug)]
pub struct Meter {
    config: MeterConfig,
    chain: ChainId,
    terms: Terms,
    phase: Phase,
    now: MediaTime,
    /// When the session first became live.
    opened: MediaTime,
    running: Running,
    /// Live time that a trial has used, up to the running slice's start.
    tried: Duration,
    next: u32,
    previous: RecordHash,
    slices: u32,
    /// Of all slices cut, and of those that are durable.
    totals: Totals,
    durable: Totals,
    waiting: VecDeque<Waiting>,
    actions: VecDeque<MeterAction>,
    stopped: bool,
    gaps: Duration,
}

impl Meter {
    /// A meter of a session that is not live yet.
    pub fn new(config: MeterConfig, chain: ChainId, terms: Terms, now: MediaTime) -> Self {
        Self {
            config,
            chain,
            terms,
            phase: Phase::Idle,
            now,
            opened: now,
            running: Running::from(now),
            tried: Duration::ZERO,
            next: 0,
            previous: [0; 32],
            slices: 0,
            totals: Totals::default(),
            durable: Totals::default(),
            waiting: VecDeque::with_capacity(MOST_WAITING + 1),
            actions: VecDeque::new(),
            stopped: false,
            gaps: Duration::ZERO,
        }
    }

    /// A frame was sent. Not counted unless the session is live. Like [`Self::missed`] and [`Self::latency`] this may have
    /// actions taken, as [`Self::handle`] does: none of the three allocates unless a slice ends.
    pub fn frame(&mut self, now: MediaTime, frame: FrameUse) {
        self.advance(now);
        if self.phase == Phase::Live {
            let running = &mut self.running;
            running.frames += 1;
            running.pixels = running.pixels.saturating_add(frame.pixels);
            running.bytes = running.bytes.saturating_add(frame.bytes);
            running.gpu_us = running.gpu_us.saturating_add(frame.gpu_us.into());
        }
    }

    /// A frame was due and did not come.
    pub fn missed(&mut self, now: MediaTime) {
        self.advance(now);
        if self.phase == Phase::Live {
            self.running.missed += 1;
        }
    }

    /// How long a frame took from capture to the client's screen.
    pub fn latency(&mut self, now: MediaTime, took: Duration) {
        self.advance(now);
        if self.phase == Phase::Live {
            self.running.latencies.add(took);
        }
    }

    /// Tells what happened; then take all that [`Self::poll_action`] yields.
    pub fn handle(&mut self, now: MediaTime, event: MeterEvent) {
        self.advance(now);
        match event {
            MeterEvent::Timeout => {}
            MeterEvent::Live(at) => self.live(at),
            MeterEvent::Paused => self.pause(),
            MeterEvent::Funded(funding) => self.funded(funding),
            MeterEvent::Persisted(sequence) => self.persisted(sequence),
            MeterEvent::PersistFailed(sequence) => self.persist_failed(sequence),
            MeterEvent::End => self.close(CloseCause::Ended),
        }
        self.advance(now);
        self.hand_out();
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<MeterAction> {
        self.actions.pop_front()
    }

    /// When [`MeterEvent::Timeout`] is due, if nothing else comes before.
    pub fn poll_timeout(&self) -> Option<MediaTime> {
        let slice = (self.phase == Phase::Live).then(|| self.running.start + self.config.slice);
        let paid = (self.phase == Phase::Live).then(|| self.paid_until());
        [slice, paid, self.patience_over()].into_iter().flatten().min()
    }

    /// Sums of the slices that are durable.
    pub fn durable(&self) -> &Totals {
        &self.durable
    }

    /// Live time that is in no slice, because the meter was not called.
    pub fn gaps(&self) -> Duration {
        self.gaps
    }

    /// Live time in all, of slices and of the one that runs.
    pub fn live_time(&self, now: MediaTime) -> Duration {
        let running = self.now.max(now).since(self.running.start);
        self.tried + if self.phase == Phase::Live { running } else { Duration::ZERO }
    }

    /// Live time that is in no durable record.
    pub fn uncovered(&self) -> Duration {
        let waiting = self.waiting.iter().filter_map(|each| each.slice);
        let waiting: u64 = waiting.map(|slice| u64::from(slice.wall_ms)).sum();
        let running = match self.phase {
            Phase::Live => self.now.since(self.running.start),
            _ => Duration::ZERO,
        };
        Duration::from_millis(waiting) + running
    }

    /// Does what was due up to `now`.
    fn advance(&mut self, now: MediaTime) {
        self.now = self.now.max(now);
        while self.phase == Phase::Live {
            let slice_end = self.running.start + self.config.slice;
            let paid_until = self.paid_until();
            if paid_until <= self.now && paid_until < slice_end {
                let end = slice_end.min(self.now);
                self.cut(end, end.since(paid_until.max(self.running.start)));
                let cause = match self.terms.funding {
                    Funding::Lease(_) => CloseCause::LeaseEnded,
                    Funding::Trial(_) => CloseCause::TrialOver,
                };
                // What comes after that slice is in none.
                self.phase = Phase::Closing(cause);
                self.stop(cause);
            } else if slice_end <= self.now {
                self.cut(slice_end, Duration::ZERO);
                self.begin(slice_end);
            } else {
                break;
            }
        }
        if self.patience_over().is_some_and(|deadline| deadline <= self.now) {
            self.stop(CloseCause::NotDurable);
        }
        self.hand_out();
    }

    /// Begins a slice where the one before ended, or now where that is too long ago.
    fn begin(&mut self, end: MediaTime) {
        let late = self.now.since(end);
        if late <= self.config.patience {
            self.running.start = end;
        } else {
            self.gaps += late;
            self.running.start = self.now;
        }
        if let Some(last) = self.waiting.back_mut() {
            last.deadline = self.running.start + self.config.patience;
        }
    }

    fn paid_until(&self) -> MediaTime {
        match self.terms.funding {
            Funding::Lease(until) => until,
            Funding::Trial(all) => self.running.start + all.saturating_sub(self.tried),
        }
    }

    fn patience_over(&self) -> Option<MediaTime> {
        let first = self.waiting.front().filter(|_| !self.stopped)?;
        matches!(self.phase, Phase::Live | Phase::Paused).then_some(first.deadline)
    }

    fn live(&mut self, at: UnixMillis) {
        match self.phase {
            Phase::Idle => {
                self.opened = self.now;
                let open = Open { opened: at, ..self.terms.open.clone() };
                self.enqueue(Body::Open(open));
            }
            Phase::Paused => {}
            _ => return,
        }
        self.phase = Phase::Live;
        self.running.start = self.now;
    }

    fn pause(&mut self) {
        if self.phase == Phase::Live {
            self.cut(self.now, Duration::ZERO);
            self.phase = Phase::Paused;
        }
    }

    fn funded(&mut self, funding: Funding) {
        // Over in the past: the rest of the running slice is unpaid, no more.
        self.terms.funding = funding;
    }

    fn stop(&mut self, cause: CloseCause) {
        if !self.stopped {
            self.stopped = true;
            self.actions.push_back(MeterAction::Stop(cause));
        }
        self.close(cause);
    }

    fn close(&mut self, cause: CloseCause) {
        match self.phase {
            Phase::Idle => self.settle(None),
            Phase::Live => {
                self.cut(self.now, Duration::ZERO);
                self.phase = Phase::Closing(cause);
            }
            Phase::Paused => self.phase = Phase::Closing(cause),
            Phase::Closing(_) | Phase::Settled => {}
        }
        self.hand_out();
    }

    fn settle(&mut self, close: Option<Close>) {
        self.phase = Phase::Settled;
        self.waiting.clear();
        let settlement = Settlement { close, totals: self.durable };
        self.actions.push_back(MeterAction::Settled(settlement));
    }

    /// Ends the running slice; the next one begins at the same time, unless something else is decided.
    fn cut(&mut self, end: MediaTime, unpaid: Duration) {
        let start = self.running.start;
        if end <= start {
            return;
        }
        self.tried += end.since(start);
        let millis = |at: MediaTime| at.since(self.opened).as_millis() as u64;
        let (start_ms, wall_ms) = (millis(start), millis(end) - millis(start));
        if wall_ms == 0 || self.waiting.len() > MOST_WAITING {
            // Too short to tell; what was used goes into the next one.
            self.running.start = end;
            return;
        }
        let slice = self.slice(start_ms, wall_ms as u32, unpaid.as_millis() as u32);
        if let Some(totals) = self.totals.with(&slice) {
            self.totals = totals;
            self.slices += 1;
            self.enqueue(Body::Slice(self.terms.open.rent_id, slice));
        }
        self.running = Running::from(end);
    }

    fn slice(&self, start_ms: u64, wall_ms: u32, unpaid_ms: u32) -> Slice {
        let (running, totals) = (&self.running, &self.totals);
        let unpaid_ms = unpaid_ms.min(wall_ms);
        let paid = totals.paid_ms();
        let tariff: Tariff = self.terms.open.tariff;
        let charge = tariff.charge(paid + u64::from(wall_ms - unpaid_ms));
        Slice {
            start_ms,
            wall_ms,
            gpu_ms: u32::try_from(running.gpu_us / 1_000).unwrap_or(u32::MAX),
            frames: running.frames,
            // Sums stay within 64 bits, whatever a driver counts.
            pixels: running.pixels.min(u64::MAX - totals.pixels),
            bytes: running.bytes.min(u64::MAX - totals.bytes),
            fps_milli: self.achieved(),
            latency_us: running.latencies.percentiles(),
            unpaid_ms,
            charge: charge.checked_sub(tariff.charge(paid)).unwrap_or_default(),
        }
    }

    /// Of the frames that were due those that came; all of them where none was due, since the picture stood still.
    fn achieved(&self) -> u32 {
        let promised = u128::from(self.terms.open.promised_fps_milli);
        let (came, due) =
            (self.running.frames, self.running.frames.saturating_add(self.running.missed));
        if due == 0 {
            return self.terms.open.promised_fps_milli;
        }
        (promised * u128::from(came) / u128::from(due)) as u32
    }

    fn enqueue(&mut self, body: Body) {
        let (slice, close) = match &body {
            Body::Open(_) => (None, None),
            Body::Slice(_, slice) => (Some(*slice), None),
            Body::Close(_, close) => (None, Some(*close)),
        };
        let sequence = self.next;
        let record = Record { chain: self.chain, sequence, previous: self.previous, body };
        let bytes = record.encode();
        self.previous = hash(&bytes);
        self.next += 1;
        let deadline = self.now + self.config.patience;
        self.waiting.push_back(Waiting {
            sequence,
            bytes,
            slice,
            close,
            deadline,
            handed_out: false,
        });
    }

    /// Hands out the first record that waits, and the closing one behind the last slice.
    fn hand_out(&mut self) {
        if let Phase::Closing(cause) = self.phase
            && self.waiting.is_empty()
        {
            let close = Close { cause, slices: self.slices, totals: self.totals };
            self.enqueue(Body::Close(self.terms.open.rent_id, close));
        }
        let patience = self.now + self.config.patience;
        if let Some(first) = self.waiting.front_mut().filter(|first| !first.handed_out) {
            first.handed_out = true;
            // One that waited for another has its time from now on, but not more than was left to the slice behind.
            first.deadline = first.deadline.min(patience);
            let action = MeterAction::Persist(first.sequence, first.bytes.clone());
            self.actions.push_back(action);
        }
    }

    fn persisted(&mut self, sequence: u32) {
        let is_it = |first: &Waiting| first.handed_out && first.sequence == sequence;
        if !self.waiting.front().is_some_and(is_it) {
            return;
        }
        let Some(done) = self.waiting.pop_front() else { return };
        if let Some(slice) = done.slice {
            self.durable = self.durable.with(&slice).unwrap_or(self.durable);
        }
        if done.close.is_some() {
            self.settle(done.close);
        }
    }

    fn persist_failed(&mut self, sequence: u32) {
        let first = self.waiting.front();
        if !first.is_some_and(|first| first.handed_out && first.sequence == sequence) {
            return;
        }
        if !self.stopped && matches!(self.phase, Phase::Live | Phase::Paused) {
            self.stopped = true;
            self.actions.push_back(MeterAction::Stop(CloseCause::NotDurable));
        }
        self.settle(None);
    }
}

impl Running {
    fn from(start: MediaTime) -> Self {
        Self {
            start,
            frames: 0,
            missed: 0,
            pixels: 0,
            bytes: 0,
            gpu_us: 0,
            latencies: Latencies::default(),
        }
    }
}

#[cfg(test)]
mod tests;
