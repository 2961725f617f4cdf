//! The meter of one session, wired: what its driver sees goes in, records are signed and made durable beside the session, and
//! what is to be said and done comes out. Nothing here waits.
//!
//! ```text
//!  driver ──frame, missed, latency──▶ Meter ──record──▶ signature ──▶ ledger (a task) ──▶ durable ─┐
//!     ▲                                 ▲──────────────────────────────────────────────────────────┤
//!     └── Deed::Say, Stop ◀─────────────┴── lease: until, warned, end          a slice: to be acknowledged
//! ```
//!
//! Receipts are charged from when a final block has the order confirmed, and begin a second chain then: the tariff of the
//! first is that of the trial. From the best block that has it confirmed to the final one a session goes on as if it were rented, for
//! nothing; where a branch takes the confirmation back, what was tried goes on with what is left to try, and what was
//! not ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use keys::{from_hex, to_hex};
use ledger::{Batch, Keys, LedgerError, Op, Receipt};
use media::{Clock, MediaTime, SessionId, Size, Stage, StageTimes};
use session::lease::Standing;
use session::machine::Phase;
use session::meter::{FrameUse, Funding, Meter, MeterAction, MeterEvent, Terms};
use session::reason::StoppedBy;
use session::receipts::{Body, ChainId, CloseCause, Open, Record, Signed, Tariff};
use session::rental::UnixMillis;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::Rented;
use super::reader::chains_of;
use super::tenancy::Tenancy;
use crate::wire;

/// Slices that wait for the player's acknowledgement; older ones can be acknowledged by HTTP.
const UNACKNOWLEDGED: usize = 32;

/// What the driver is to do.
#[derive(Debug)]
pub(crate) enum Deed {
    /// Tell the client.
    Say(Box<wire::ServerMessage>),
    /// End the session.
    Stop(StoppedBy),
}

/// What happened beside the session.
pub(crate) enum News {
    /// A record is durable, or will never be.
    Written(u32, Result<(), LedgerError>),
    /// The lease changed.
    Lease,
}

/// What became of the record of a number.
type Answer = (u32, Result<(), LedgerError>);

/// A chain of receipts that is being written.
struct Chain {
    id: ChainId,
    meter: Meter,
    rented: Arc<Rented>,
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
    /// Of time that is not charged, since no final block has the order confirmed.
    trial: bool,
    /// The record that is being written.
    writing: Option<Signed>,
    stop: Option<CloseCause>,
    settled: bool,
}

/// See the module.
pub(crate) struct Metered {
    tenancy: Tenancy,
    session: SessionId,
    chain: Chain,
    tasks: TaskTracker,
    deeds: VecDeque<Deed>,
    /// How far the order was when that was last looked at.
    standing: Standing,
    fps: u32,
    /// Pictures are drawn by a graphics device of this machine.
    draws: bool,
    coded: Size,
    not_coded: Option<u64>,
    live_since: Option<MediaTime>,
    warned: u32,
    unacknowledged: VecDeque<(ChainId, u32, Signed)>,
}

impl Metered {
    pub(crate) fn new(
        tenancy: Tenancy,
        session: SessionId,
        (fps, coded, draws): (u32, Size, bool),
        tasks: TaskTracker,
        now: MediaTime,
    ) -> Self {
        let lease = *tenancy.lease.borrow();
        let funding = match tenancy.trial {
            Some(left) if lease.standing == Standing::Waiting => Funding::Trial(left),
            _ => Funding::Lease(lease.until),
        };
        let [id, _] = chains_of(session.as_str());
        let trial = lease.standing != Standing::Paid;
        let chain = Chain::new(&tenancy, id, (trial, funding), fps, now);
        Self {
            tenancy,
            session,
            chain,
            tasks,
            deeds: VecDeque::new(),
            standing: lease.standing,
            fps,
            draws,
            coded,
            not_coded: None,
            live_since: None,
            warned: 0,
            unacknowledged: VecDeque::new(),
        }
    }

    /// Whether the player of now may end the session.
    pub(crate) fn may_stop(&self) -> bool {
        self.tenancy.may_stop()
    }

    /// The session is in this phase.
    pub(crate) fn follow(&mut self, now: MediaTime, phase: Phase) {
        let live = phase == Phase::Live;
        match (self.live_since, live) {
            (None, true) => {
                self.live_since = Some(now);
                let time = self.tenancy.rented.unix();
                self.chain.handle(now, MeterEvent::Live(time));
            }
            (Some(since), false) => {
                self.live_since = None;
                self.tenancy.tried += now.since(since);
                self.chain.handle(now, MeterEvent::Paused);
            }
            _ => {}
        }
        if matches!(phase, Phase::Ending | Phase::Ended) {
            self.chain.handle(now, MeterEvent::End);
        }
        self.take_stop();
    }

    /// A frame left.
    pub(crate) fn frame(&mut self, now: MediaTime, bytes: u64, stages: &StageTimes) {
        let drawn = |stage: &(Stage, Duration)| matches!(stage.0, Stage::Draw | Stage::Convert);
        let drawn: Duration = match self.draws {
            true => stages.spans().filter(drawn).map(|(_, took)| took).sum(),
            false => Duration::ZERO,
        };
        let gpu_us = u32::try_from(drawn.as_micros()).unwrap_or(u32::MAX);
        self.chain.meter.frame(now, FrameUse { pixels: self.coded.pixels(), bytes, gpu_us });
        self.chain.act();
        self.take_stop();
    }

    /// So many frames were sent and lost.
    pub(crate) fn lost(&mut self, now: MediaTime, frames: u64) {
        (0..frames.min(1_000)).for_each(|_| self.chain.meter.missed(now));
        self.chain.act();
    }

    /// Pictures are coded at this size now, and so many were not coded in all.
    pub(crate) fn counted(&mut self, now: MediaTime, coded: Size, not_coded: u64) {
        self.coded = coded;
        let before = self.not_coded.replace(not_coded).unwrap_or(not_coded);
        self.lost(now, not_coded.saturating_sub(before));
    }

    /// The client saw a frame so long after its capture.
    pub(crate) fn latency(&mut self, now: MediaTime, took: Duration) {
        self.chain.meter.latency(now, took);
        self.chain.act();
    }

    /// When [`Self::timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<MediaTime> {
        self.chain.meter.poll_timeout()
    }

    /// It is.
    pub(crate) fn timeout(&mut self, now: MediaTime) {
        self.chain.handle(now, MeterEvent::Timeout);
        self.take_stop();
    }

    /// Waits for news; for ever where there is no meter.
    pub(crate) async fn news(metered: &mut Option<Self>) -> News {
        let Some(metered) = metered else { return std::future::pending().await };
        tokio::select! {
            Some((number, result)) = metered.chain.answers.1.recv() => News::Written(number, result),
            Ok(()) = metered.tenancy.lease.changed() => News::Lease,
        }
    }

    /// Takes news.
    pub(crate) fn heard(&mut self, now: MediaTime, news: News) {
        match news {
            News::Written(number, result) => {
                if let Some(slice) = self.chain.written(now, number, &result) {
                    self.ask(number, slice);
                    self.tell(now);
                }
            }
            News::Lease => self.lease(now),
        }
        self.take_stop();
    }

    fn lease(&mut self, now: MediaTime) {
        let lease = *self.tenancy.lease.borrow_and_update();
        if let Some(by) = lease.end {
            if matches!(by, StoppedBy::Lease(_)) && self.standing != Standing::Waiting {
                // What is not yet in a slice is paid for up to now.
                self.chain.handle(now, MeterEvent::Funded(Funding::Lease(now)));
            }
            self.deeds.push_back(Deed::Stop(by));
            return;
        }
        match (std::mem::replace(&mut self.standing, lease.standing), lease.standing) {
            (_, Standing::Paid) if self.chain.trial => self.begin_lease(now),
            (_, Standing::Paid | Standing::Confirmed) => {
                self.chain.handle(now, MeterEvent::Funded(Funding::Lease(lease.until)));
            }
            (Standing::Waiting, Standing::Waiting) => {}
            (_, Standing::Waiting) => self.taken_back(now),
        }
        let (times, left) = lease.warned;
        if times != self.warned {
            self.warned = times;
            let reason = "The time that the machine was rented for is almost over.".to_owned();
            let in_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            self.say(wire::ServerMessage::Warning { reason, in_ms });
        }
        self.tell(now);
    }

    /// A branch of the chain has the order as not confirmed. What was played meanwhile counts as tried.
    fn taken_back(&mut self, now: MediaTime) {
        let funding = match self.tenancy.trial {
            Some(left) => Funding::Trial(left.max(self.chain.meter.live_time(now))),
            None => {
                self.deeds.push_back(Deed::Stop(StoppedBy::Unconfirmed));
                Funding::Lease(now)
            }
        };
        self.chain.handle(now, MeterEvent::Funded(funding));
    }

    /// A final block has the order confirmed: receipts begin anew, at the lease's tariff.
    fn begin_lease(&mut self, now: MediaTime) {
        if let Some(since) = self.live_since.replace(now) {
            self.tenancy.tried += now.since(since);
        }
        self.tenancy.end_trial();
        let until = self.tenancy.lease.borrow().until;
        let [_, id] = chains_of(self.session.as_str());
        let next = Chain::new(&self.tenancy, id, (false, Funding::Lease(until)), self.fps, now);
        let mut before = std::mem::replace(&mut self.chain, next);
        before.handle(now, MeterEvent::End);
        self.tasks.spawn(before.settle());
        if self.live_since.is_some() {
            let time = self.tenancy.rented.unix();
            self.chain.handle(now, MeterEvent::Live(time));
        }
    }

    /// Asks the player to acknowledge a slice.
    fn ask(&mut self, sequence: u32, slice: Signed) {
        let chain = self.chain.id;
        self.say(receipt(&chain, sequence, &slice));
        self.unacknowledged.push_back((chain, sequence, slice));
        if self.unacknowledged.len() > UNACKNOWLEDGED {
            self.unacknowledged.pop_front();
        }
    }

    /// The player acknowledges a slice.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub(crate) fn acknowledged(
        &mut self,
        chain: &str,
        sequence: u32,
        signature: &str,
    ) -> Result<(), &'static str> {
        let key = self.tenancy.player.ok_or("the session has no player's key")?;
        let is_it = |(id, number, _): &(ChainId, u32, Signed)| {
            *number == sequence && id.to_string() == chain
        };
        let place = self.unacknowledged.iter().position(is_it).ok_or("no such slice waits")?;
        let signature = from_hex(signature).and_then(|bytes| bytes.try_into().ok());
        let signature: [u8; 64] = signature.ok_or("the signature is not 128 digits")?;
        let (id, _, slice) = &self.unacknowledged[place];
        if !Keys::acknowledges(&key, id, sequence, slice, &signature) {
            return Err("the signature is not the player's");
        }
        let op = Op::Acknowledge(*id, sequence, signature);
        // One that is lost is told again.
        self.tenancy.rented.ledger.try_commit(op).map_err(|_| "the ledger has too much to do")?;
        self.unacknowledged.remove(place);
        Ok(())
    }

    /// A client that was greeted: what its lease is, and what it is to acknowledge.
    pub(crate) fn greet(&mut self, now: MediaTime) {
        self.tell(now);
        let again = self.unacknowledged.iter();
        let again: Vec<_> = again.map(|(id, number, slice)| receipt(id, *number, slice)).collect();
        again.into_iter().for_each(|message| self.say(message));
    }

    /// Tells the client of the lease and the meter.
    fn tell(&mut self, now: MediaTime) {
        let lease = *self.tenancy.lease.borrow();
        let live = self.live_since.map_or(Duration::ZERO, |since| now.since(since));
        let trial = self.tenancy.trial.filter(|_| self.standing == Standing::Waiting);
        let left = match trial {
            Some(left) => left.saturating_sub(self.tenancy.tried + live),
            None => lease.until.since(now),
        };
        let totals = self.chain.meter.durable();
        self.say(wire::ServerMessage::Lease(wire::LeaseStatus {
            order: self.tenancy.rent_id.to_string(),
            trial: trial.is_some(),
            left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            over_block: lease.over.0,
            metered_ms: totals.wall_ms,
            charged_planck: totals.charge.to_string(),
            receipts: self.chain.id.to_string(),
        }));
    }

    fn say(&mut self, message: wire::ServerMessage) {
        self.deeds.push_back(Deed::Say(Box::new(message)));
    }

    fn take_stop(&mut self) {
        if let Some(cause) = self.chain.stop.take() {
            let end = self.tenancy.lease.borrow().end;
            self.deeds.push_back(Deed::Stop(end.unwrap_or(match cause {
                CloseCause::TrialOver => StoppedBy::TrialOver,
                CloseCause::NotDurable => StoppedBy::NotDurable,
                _ => StoppedBy::Lease(session::lease::LeaseEnd::Over),
            })));
        }
    }

    /// What is to be done next.
    pub(crate) fn poll(&mut self) -> Option<Deed> {
        self.deeds.pop_front()
    }

    /// The session is over: gives card and trial back, and sees to it that the last records are written.
    pub(crate) fn end(mut self, clock: &dyn Clock) {
        let now = clock.now();
        self.follow(now, Phase::Ended);
        let Self { tenancy, chain, tasks, .. } = self;
        drop(tenancy);
        if !chain.settled {
            tasks.spawn(chain.settle());
        }
    }
}

impl Chain {
    fn new(
        tenancy: &Tenancy,
        id: ChainId,
        (trial, funding): (bool, Funding),
        fps: u32,
        now: MediaTime,
    ) -> Self {
        let rented = tenancy.rented.clone();
        let tariff = match trial {
            true => Tariff { trial: true, ..Tariff::FREE },
            false => rented.tariff(),
        };
        let promised = if rented.promised_fps == 0 { fps } else { rented.promised_fps.min(fps) };
        let latency = rented.promised_latency.as_micros();
        let open = Open {
            genesis: rented.genesis,
            machine: rented.machine,
            rent_id: tenancy.rent_id,
            tariff,
            player: tenancy.player,
            opened: UnixMillis(0),
            promised_fps_milli: promised.saturating_mul(1_000),
            promised_latency_us: u32::try_from(latency).unwrap_or(u32::MAX),
        };
        let terms = Terms { open, funding };
        Self {
            id,
            meter: Meter::new(rented.meter, id, terms, now),
            rented,
            // The meter hands out one record at a time.
            answers: mpsc::channel(2),
            trial,
            writing: None,
            stop: None,
            settled: false,
        }
    }

    fn handle(&mut self, now: MediaTime, event: MeterEvent) {
        self.meter.handle(now, event);
        self.act();
    }

    fn act(&mut self) {
        while let Some(action) = self.meter.poll_action() {
            match action {
                MeterAction::Persist(number, bytes) => self.write(number, bytes),
                MeterAction::Stop(cause) => self.stop = Some(cause),
                MeterAction::Settled(settlement) => {
                    self.settled = true;
                    let cause = settlement.close.map(|close| close.cause.name());
                    let totals = settlement.totals;
                    tracing::info!(
                        chain = ?self.id, cause, slices = settlement.close.map(|close| close.slices),
                        wall_ms = totals.wall_ms, unpaid_ms = totals.unpaid_ms, charge_planck = %totals.charge,
                        "receipts settled"
                    );
                }
            }
        }
    }

    /// Signs a record and has it written, with the entry that goes with the last one.
    fn write(&mut self, number: u32, bytes: Vec<u8>) {
        let signature = self.rented.key.sign(&bytes);
        let entry = Record::decode(&bytes).ok().and_then(|record| self.rented.closing(&record));
        self.writing = Some(Signed { bytes: bytes.clone(), signature, acknowledged: None });
        let receipt = Op::Receipt(Receipt { bytes, signature });
        let batch = Batch::new([receipt].into_iter().chain(entry));
        let (ledger, answers) = (self.rented.ledger.clone(), self.answers.0.clone());
        tokio::spawn(async move {
            let result = ledger.commit(batch).await;
            // The session may have failed meanwhile: its receipts are closed at the next start.
            let _ = answers.send((number, result)).await;
        });
    }

    /// A record is durable or will never be; yields it where it is a slice that is.
    fn written(
        &mut self,
        now: MediaTime,
        number: u32,
        result: &Result<(), LedgerError>,
    ) -> Option<Signed> {
        let record = self.writing.take();
        let event = match result {
            Ok(()) => MeterEvent::Persisted(number),
            Err(error) => {
                tracing::error!(%error, chain = ?self.id, number, "a receipt is not durable");
                MeterEvent::PersistFailed(number)
            }
        };
        self.handle(now, event);
        let record = record.filter(|_| result.is_ok())?;
        let said = Record::decode(&record.bytes).ok()?;
        self.rented.books().receipts.add(&said);
        matches!(said.body, Body::Slice(..)).then_some(record)
    }

    /// Waits until the last record is durable, or will never be.
    async fn settle(mut self) {
        while !self.settled {
            let Some((number, result)) = self.answers.1.recv().await else { return };
            let now = self.rented.clock.now();
            self.written(now, number, &result);
        }
    }
}

impl Rented {
    /// The chain's time, for records.
    fn unix(&self) -> UnixMillis {
        self.books().lease.time(self.boot.now()).unwrap_or_default()
    }
}

fn receipt(chain: &ChainId, sequence: u32, slice: &Signed) -> wire::ServerMessage {
    wire::ServerMessage::Receipt(wire::SliceReceipt {
        chain: chain.to_string(),
        sequence,
        record: to_hex(&slice.bytes),
        signature: to_hex(&slice.signature),
    })
}

#[cfg(test)]
mod tests;
