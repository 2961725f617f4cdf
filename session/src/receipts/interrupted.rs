//! What a node does when it comes back: a chain that a crash cut off gets its closing record.

use super::{Body, Close, CloseCause, Record, Totals, hash};

/// The closing record of a session's durable records, which are in order; none where there is no first one, or a closing one.
pub fn close_interrupted(records: &[Record]) -> Option<Record> {
    let (first, last) = (records.first()?, records.last()?);
    if matches!(last.body, Body::Close(..)) || !matches!(first.body, Body::Open(_)) {
        return None;
    }
    let mut totals = Totals::default();
    let mut slices = 0;
    for record in records {
        if let Body::Slice(_, slice) = &record.body {
            totals = totals.with(slice)?;
            slices += 1;
        }
    }
    let close = Close { cause: CloseCause::Interrupted, slices, totals };
    Some(Record {
        chain: last.chain,
        sequence: last.sequence.checked_add(1)?,
        previous: hash(&last.encode()),
        body: Body::Close(last.rent_id(), close),
    })
}
