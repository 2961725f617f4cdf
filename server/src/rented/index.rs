//! What there are of receipts, by order: kept in memory, so that a list reads no disk.

use std::collections::BTreeMap;

use session::receipts::{Body, ChainId, Record, Totals};
use session::rental::RentId;

use super::Reader;
use crate::wire;

/// A chain of receipts.
#[derive(Clone, Copy)]
struct Entry {
    rent_id: RentId,
    records: u32,
    trial: bool,
    closed: Option<&'static str>,
    opened: u64,
    totals: Totals,
}

/// See the module.
#[derive(Default)]
pub(super) struct Index {
    chains: BTreeMap<ChainId, Entry>,
}

impl Index {
    /// A record is durable.
    pub(super) fn add(&mut self, record: &Record) {
        if let Body::Open(open) = &record.body {
            let entry = Entry {
                rent_id: open.rent_id,
                records: 0,
                trial: open.tariff.trial,
                closed: None,
                opened: open.opened.0,
                totals: Totals::default(),
            };
            self.chains.insert(record.chain, entry);
        }
        let Some(entry) = self.chains.get_mut(&record.chain) else { return };
        entry.records = record.sequence.saturating_add(1);
        match &record.body {
            Body::Open(_) => {}
            Body::Slice(_, slice) => {
                entry.totals = entry.totals.with(slice).unwrap_or(entry.totals);
            }
            Body::Close(_, close) => {
                entry.closed = Some(close.cause.name());
                // The same as of its slices, which are not read again once it is closed.
                entry.totals = close.totals;
            }
        }
    }

    /// The order of a chain.
    pub(super) fn order_of(&self, chain: &ChainId) -> Option<RentId> {
        self.chains.get(chain).map(|entry| entry.rent_id)
    }

    /// Chains that somebody reads, the oldest first.
    pub(super) fn of(&self, reader: &Reader) -> Vec<wire::Receipts> {
        let of = self.chains.iter().filter(|(chain, it)| reader.may(chain, it.rent_id));
        let mut of: Vec<_> = of.collect();
        of.sort_by_key(|(_, entry)| entry.opened);
        let shown = |(chain, entry): (&ChainId, &Entry)| wire::Receipts {
            receipts: chain.to_string(),
            order: entry.rent_id.to_string(),
            trial: entry.trial,
            opened_unix_ms: entry.opened,
            records: entry.records,
            closed: entry.closed.map(ToOwned::to_owned),
            metered_ms: entry.totals.wall_ms,
            unpaid_ms: entry.totals.unpaid_ms,
            charged_planck: entry.totals.charge.to_string(),
        };
        of.into_iter().map(shown).collect()
    }
}
