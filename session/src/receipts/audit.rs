//! Checking receipts: what somebody can find out who has the records and the machine's public key, and nothing else.
//!
//! Signatures are checked by [`Verdicts`], so that this crate needs no cryptography but a hash.

use std::collections::BTreeMap;

use super::{
    Body, ChainId, Close, MachineId, Open, PlayerKey, Record, RecordError, RecordHash, Slice,
    Totals, UNKNOWN, acknowledgement, hash,
};

/// A record's bytes and what was signed of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// [`Record::encode`].
    pub bytes: Vec<u8>,
    /// The machine's, sr25519.
    pub signature: [u8; 64],
    /// The player's, if he acknowledged it.
    pub acknowledged: Option<Acknowledgement>,
}

/// A player's signature of [`acknowledgement`].
pub type Acknowledgement = [u8; 64];

/// Whether signatures are right.
pub trait Verdicts {
    /// Whether the machine signed the bytes.
    fn machine(&self, machine: &MachineId, signature: &[u8; 64], bytes: &[u8]) -> bool;
    /// Whether the player signed the bytes.
    fn player(&self, key: &PlayerKey, signature: &[u8; 64], bytes: &[u8]) -> bool;
}

/// What was promised and not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Frames in a thousand seconds: fewer than promised by more than 5 %.
    FrameRate,
    /// The 95th percentile of latency in microseconds: above what was promised.
    Latency,
}

/// What is wrong, or worth saying, about a chain of receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A record cannot be read.
    Unreadable(RecordError),
    /// The machine did not sign the record of this number.
    BadSignature(u32),
    /// A record is of another machine than the key that was given.
    OtherMachine,
    /// A record is of another order than the first one says.
    OtherOrder(u32),
    /// Records from the first to the second number are missing.
    Gap(u32, u32),
    /// There are two records of this number, both signed: the machine told two stories.
    Fork(u32),
    /// The record does not hold the hash of the one before.
    Broken(u32),
    /// The last record is not there: the session still runs, or what came after was kept back.
    MissingTail {
        /// The last number that is there.
        last: u32,
    },
    /// There are records after the last one.
    AfterClose(u32),
    /// Slices overlap or go back in time.
    Overlap(u32),
    /// A slice costs something else than the tariff says.
    WrongCharge(u32),
    /// The last record's sums are not those of the slices.
    WrongTotals,
    /// The player did not acknowledge the slice, or nobody was to.
    Unacknowledged(u32),
    /// An acknowledgement is not the player's.
    BadAcknowledgement(u32),
    /// A promise was not kept.
    Missed {
        /// Which slice.
        sequence: u32,
        /// Which promise.
        promise: Promise,
        /// What was promised.
        promised: u32,
        /// What there was.
        achieved: u32,
    },
    /// So much of a slice lay outside of lease or credit, and was not charged.
    Unpaid {
        /// Which slice.
        sequence: u32,
        /// How long.
        ms: u32,
    },
}

impl Finding {
    /// Whether the receipts cannot be believed, as against telling of a service that was not good.
    pub fn is_fault(&self) -> bool {
        !matches!(
            self,
            Self::Unacknowledged(_)
                | Self::Missed { .. }
                | Self::Unpaid { .. }
                | Self::MissingTail { .. }
        )
    }
}

/// All that was found of a chain.
pub type Findings = Vec<Finding>;

/// A chain of receipts, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Whose.
    pub chain: Option<ChainId>,
    /// The first record, if there is one that the machine signed.
    pub open: Option<Open>,
    /// How many slices the sums are of.
    pub slices: u32,
    /// Sums of the slices that the machine signed, each once.
    pub totals: Totals,
    /// The last record.
    pub close: Option<Close>,
    /// What was found, by record.
    pub findings: Findings,
}

impl Audit {
    /// Checks records of one chain, in any order, twice the same ones counting once.
    pub fn of(machine: &MachineId, records: &[Signed], verdicts: &dyn Verdicts) -> Self {
        let mut audit = Self {
            chain: None,
            open: None,
            slices: 0,
            totals: Totals::default(),
            close: None,
            findings: Vec::new(),
        };
        let by_number = audit.sort(machine, records, verdicts);
        let mut before: Option<(u32, RecordHash)> = None;
        let mut end_ms = 0;
        for (sequence, (record, signed)) in &by_number {
            audit.link(before, *sequence, record);
            if audit.close.is_some() {
                audit.findings.push(Finding::AfterClose(*sequence));
            }
            match &record.body {
                Body::Open(open) => audit.opened(machine, record.chain, open),
                Body::Slice(_, slice) => {
                    audit.slice(*sequence, slice, &mut end_ms);
                    audit.acknowledgement(record, signed, verdicts);
                }
                Body::Close(_, close) => audit.closed(*sequence, close),
            }
            if audit.open.as_ref().is_some_and(|open| open.rent_id != record.rent_id()) {
                audit.findings.push(Finding::OtherOrder(*sequence));
            }
            before = Some((*sequence, hash(&signed.bytes)));
        }
        if audit.close.is_none() {
            let last = before.map_or(0, |(sequence, _)| sequence);
            audit.findings.push(Finding::MissingTail { last });
        }
        audit
    }

    /// Whether the receipts can be believed.
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(Finding::is_fault)
    }

    fn sort<'a>(
        &mut self,
        machine: &MachineId,
        records: &'a [Signed],
        verdicts: &dyn Verdicts,
    ) -> BTreeMap<u32, (Record, &'a Signed)> {
        let mut by_number: BTreeMap<u32, (Record, &Signed)> = BTreeMap::new();
        for signed in records {
            let record = match Record::decode(&signed.bytes) {
                Ok(record) => record,
                Err(error) => {
                    self.findings.push(Finding::Unreadable(error));
                    continue;
                }
            };
            let sequence = record.sequence;
            if !verdicts.machine(machine, &signed.signature, &signed.bytes) {
                self.findings.push(Finding::BadSignature(sequence));
                continue;
            }
            // Another session's record is no part of this chain.
            if *self.chain.get_or_insert(record.chain) != record.chain {
                self.findings.push(Finding::Broken(sequence));
                continue;
            }
            match by_number.get(&sequence) {
                Some((_, other)) if other.bytes != signed.bytes => {
                    self.findings.push(Finding::Fork(sequence));
                }
                // Of two copies the one that was acknowledged says more.
                Some((_, other)) if other.acknowledged.is_some() => {}
                _ => {
                    by_number.insert(sequence, (record, signed));
                }
            }
        }
        by_number
    }

    fn link(&mut self, before: Option<(u32, RecordHash)>, sequence: u32, record: &Record) {
        let expected = before.map_or(0, |(number, _)| number.saturating_add(1));
        if sequence > expected {
            self.findings.push(Finding::Gap(expected, sequence - 1));
        } else if before.is_some_and(|(_, hash)| hash != record.previous) {
            self.findings.push(Finding::Broken(sequence));
        }
    }

    fn opened(&mut self, machine: &MachineId, chain: ChainId, open: &Open) {
        if open.machine != *machine {
            self.findings.push(Finding::OtherMachine);
        }
        self.chain = Some(chain);
        self.open = Some(open.clone());
    }

    fn slice(&mut self, sequence: u32, slice: &Slice, end_ms: &mut u64) {
        if slice.start_ms < *end_ms {
            self.findings.push(Finding::Overlap(sequence));
        }
        *end_ms = slice.start_ms.saturating_add(slice.wall_ms.into());
        let Some(totals) = self.totals.with(slice) else {
            self.findings.push(Finding::WrongCharge(sequence));
            return;
        };
        if let Some(open) = &self.open {
            let charge = |paid| open.tariff.charge(paid);
            let due = charge(totals.paid_ms()).0 - charge(self.totals.paid_ms()).0;
            // After a gap it cannot be known how much was paid before.
            let whole = self.slices + 1 == sequence;
            if whole && slice.charge.0 != due {
                self.findings.push(Finding::WrongCharge(sequence));
            }
            self.promises(sequence, slice);
        }
        if slice.unpaid_ms > 0 {
            self.findings.push(Finding::Unpaid { sequence, ms: slice.unpaid_ms });
        }
        self.slices += 1;
        self.totals = totals;
    }

    fn promises(&mut self, sequence: u32, slice: &Slice) {
        let Some(open) = &self.open else { return };
        let (promised, achieved) = (open.promised_fps_milli, slice.fps_milli);
        if u64::from(achieved) * 100 < u64::from(promised) * 95 {
            let promise = Promise::FrameRate;
            self.findings.push(Finding::Missed { sequence, promise, promised, achieved });
        }
        let (promised, achieved) = (open.promised_latency_us, slice.latency_us[1]);
        if achieved != UNKNOWN && achieved > promised {
            let promise = Promise::Latency;
            self.findings.push(Finding::Missed { sequence, promise, promised, achieved });
        }
    }

    fn acknowledgement(&mut self, record: &Record, signed: &Signed, verdicts: &dyn Verdicts) {
        let sequence = record.sequence;
        let key = self.open.as_ref().and_then(|open| open.player);
        let (Some(signature), Some(key)) = (&signed.acknowledged, key) else {
            self.findings.push(Finding::Unacknowledged(sequence));
            return;
        };
        let text = acknowledgement(&record.chain, sequence, &hash(&signed.bytes));
        if !verdicts.player(&key, signature, &text) {
            self.findings.push(Finding::BadAcknowledgement(sequence));
        }
    }

    fn closed(&mut self, sequence: u32, close: &Close) {
        // With a gap the sums cannot agree, and the gap was told.
        let whole = sequence == self.slices.saturating_add(1);
        if whole && (close.slices != self.slices || close.totals != self.totals) {
            self.findings.push(Finding::WrongTotals);
        }
        self.close = Some(*close);
    }
}
