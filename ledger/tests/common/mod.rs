//! Receipts of a machine that exists, and an entry for each.

#![allow(dead_code, reason = "each test uses a part")]

use keys::{MachineKey, Pair};
use nearlight_ledger::{Batch, Entry, Op, Receipt};
use session::receipts::{
    Body, ChainId, Close, CloseCause, Open, PlayerKey, Record, RecordHash, Slice, Tariff, Totals,
    hash,
};
use session::rental::{BlockHash, Planck, RentId, UnixMillis};

pub(crate) const TARIFF: Tariff =
    Tariff { fee: Planck(7_000_000_000_003), span_ms: 1_800_000, trial: false };
pub(crate) const RENT: RentId = RentId(77);

pub(crate) fn machine() -> MachineKey {
    MachineKey::new(Pair::sr25519(&[3; 32]).unwrap()).unwrap()
}

/// A chain of receipts that grows.
pub(crate) struct Chain {
    pub(crate) id: ChainId,
    pub(crate) next: u32,
    pub(crate) previous: RecordHash,
    pub(crate) totals: Totals,
    key: MachineKey,
}

impl Chain {
    pub(crate) fn new(session: &str) -> Self {
        let id = ChainId::of_session(session);
        Self { id, next: 0, previous: [0; 32], totals: Totals::default(), key: machine() }
    }

    /// As it is in the ledger after records of which these are the bytes.
    pub(crate) fn resumed<'a>(session: &str, records: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut chain = Self::new(session);
        for bytes in records {
            if let Body::Slice(_, slice) = Record::decode(bytes).unwrap().body {
                chain.totals = chain.totals.with(&slice).unwrap();
            }
            chain.next += 1;
            chain.previous = hash(bytes);
        }
        chain
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

    /// The next slice, and what it costs.
    pub(crate) fn slice(&mut self) -> (Receipt, Planck) {
        let paid = self.totals.paid_ms();
        let before = TARIFF.charge(paid);
        let charge = TARIFF.charge(paid + 8_000).checked_sub(before).unwrap();
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
        self.totals = self.totals.with(&slice).unwrap();
        (self.sign(Body::Slice(RENT, slice)), charge)
    }

    pub(crate) fn close(&mut self) -> Receipt {
        let slices = self.next - 1;
        let close = Close { cause: CloseCause::Ended, slices, totals: self.totals };
        self.sign(Body::Close(RENT, close))
    }

    /// The next record and, for a slice, the entry that moves what it costs, to be written together.
    pub(crate) fn batch(&mut self) -> Batch {
        if self.next == 0 {
            return Op::Receipt(self.open(None)).into();
        }
        let key = format!("slice/{}/{}", self.id, self.next);
        let (receipt, charge) = self.slice();
        let time = UnixMillis(1_790_000_000_000 + u64::from(self.next) * 8_000);
        let entry = Entry::transfer(&key, "slice", time, "prepaid/77", "earned/77", charge);
        Batch::new([Op::Receipt(receipt), Op::Post(entry.unwrap())])
    }
}
