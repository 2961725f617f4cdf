//! Receipts of a session as the meter makes them, signed by a key of the bench.

use anyhow::Result;
use keys::{MachineKey, Pair};
use ledger::{Batch, Entry, Op, Receipt};
use session::receipts::{
    Body, ChainId, Open, PlayerKey, Record, RecordHash, Slice, Tariff, Totals, hash,
};
use session::rental::{BlockHash, Planck, RentId, UnixMillis};

const RENT: RentId = RentId(77);
const TARIFF: Tariff =
    Tariff { fee: Planck(5_017_000_000_000_000), span_ms: 1_800_000, trial: false };

/// The machine of the bench.
pub(crate) fn machine() -> Result<MachineKey> {
    Ok(MachineKey::new(Pair::sr25519(&[42; 32])?)?)
}

/// A chain of receipts that grows.
pub(crate) struct Chain {
    pub(crate) id: ChainId,
    key: MachineKey,
    next: u32,
    previous: RecordHash,
    totals: Totals,
}

impl Chain {
    pub(crate) fn new(session: &str) -> Result<Self> {
        let (id, key) = (ChainId::of_session(session), machine()?);
        Ok(Self { id, key, next: 0, previous: [0; 32], totals: Totals::default() })
    }

    fn sign(&mut self, body: Body) -> Receipt {
        let record = Record { chain: self.id, sequence: self.next, previous: self.previous, body };
        let bytes = record.encode();
        self.previous = hash(&bytes);
        self.next += 1;
        Receipt { signature: self.key.sign(&bytes), bytes }
    }

    pub(crate) fn open(&mut self, player: Option<PlayerKey>) -> Receipt {
        let open = Open {
            genesis: BlockHash([1; 32]),
            machine: self.key.machine(),
            rent_id: RENT,
            tariff: TARIFF,
            player,
            opened: UnixMillis(1_790_000_000_000),
            promised_fps_milli: 60_000,
            promised_latency_us: 50_000,
        };
        self.sign(Body::Open(open))
    }

    /// The next slice of eight seconds, and what it costs.
    pub(crate) fn slice(&mut self) -> (Receipt, Planck) {
        let paid = self.totals.paid_ms();
        let charge = Planck(TARIFF.charge(paid + 8_000).0 - TARIFF.charge(paid).0);
        let slice = Slice {
            start_ms: self.totals.wall_ms,
            wall_ms: 8_000,
            gpu_ms: 900,
            frames: 480,
            pixels: 442_368_000,
            bytes: 10_000_000,
            fps_milli: 60_000,
            latency_us: [20_000, 30_000, 40_000],
            unpaid_ms: 0,
            charge,
        };
        self.totals = self.totals.with(&slice).unwrap_or(self.totals);
        (self.sign(Body::Slice(RENT, slice)), charge)
    }

    /// The next slice and the entry that moves what it costs.
    pub(crate) fn batch(&mut self) -> Result<Batch> {
        let key = format!("slice/{}/{}", self.id, self.next);
        let (receipt, charge) = self.slice();
        let time = UnixMillis(1_790_000_000_000);
        let entry = Entry::transfer(&key, "slice", time, "prepaid/77", "earned/77", charge)?;
        Ok(Batch::new([Op::Receipt(receipt), Op::Post(entry)]))
    }
}
