//! Receipts and entries as files: JSON, from which receipts are verified elsewhere, and CSV for a table. Amounts are decimal
//! strings of planck in both.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use session::receipts::{Body, Record, Signed};

use crate::accounts::{Side, StoredEntry};

/// What is in an exported file of receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// `nearlight-receipts/1`.
    pub format: String,
    /// The records of a session.
    pub records: Vec<Exported>,
}

/// A record: what counts is in hexadecimal digits, the rest is for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The bytes that were signed.
    pub record: String,
    /// The machine's signature.
    pub signature: String,
    /// The player's, if he acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<String>,
    /// What the bytes say, not looked at when they are verified.
    #[serde(default)]
    pub says: serde_json::Value,
}

const FORMAT: &str = "nearlight-receipts/1";

impl Export {
    /// Of records.
    pub fn of(records: &[Signed]) -> Self {
        let exported = |signed: &Signed| Exported {
            record: keys::to_hex(&signed.bytes),
            signature: keys::to_hex(&signed.signature),
            acknowledged: signed.acknowledged.as_ref().map(|bytes| keys::to_hex(bytes)),
            says: Record::decode(&signed.bytes).map_or(serde_json::Value::Null, |it| says(&it)),
        };
        Self { format: FORMAT.to_owned(), records: records.iter().map(exported).collect() }
    }

    /// The records of a file; none if it is no such file.
    pub fn records(&self) -> Option<Vec<Signed>> {
        let signature = |text: &str| <[u8; 64]>::try_from(keys::from_hex(text)?).ok();
        let record = |exported: &Exported| {
            Some(Signed {
                bytes: keys::from_hex(&exported.record)?,
                signature: signature(&exported.signature)?,
                acknowledged: match &exported.acknowledged {
                    Some(text) => Some(signature(text)?),
                    None => None,
                },
            })
        };
        if self.format != FORMAT { None } else { self.records.iter().map(record).collect() }
    }
}

fn says(record: &Record) -> serde_json::Value {
    let body = match &record.body {
        Body::Open(open) => serde_json::json!({
            "kind": "open",
            "genesis": open.genesis.to_string(),
            "machine": open.machine.to_string(),
            "tariff_planck": open.tariff.fee.to_string(),
            "tariff_ms": open.tariff.span_ms,
            "trial": open.tariff.trial,
            "opened_unix_ms": open.opened.0,
            "promised_fps_milli": open.promised_fps_milli,
            "promised_latency_us": open.promised_latency_us,
        }),
        Body::Slice(_, slice) => serde_json::json!({
            "kind": "slice",
            "start_ms": slice.start_ms,
            "wall_ms": slice.wall_ms,
            "gpu_ms": slice.gpu_ms,
            "frames": slice.frames,
            "pixels": slice.pixels.to_string(),
            "bytes": slice.bytes.to_string(),
            "fps_milli": slice.fps_milli,
            "latency_us": slice.latency_us,
            "unpaid_ms": slice.unpaid_ms,
            "charge_planck": slice.charge.to_string(),
        }),
        Body::Close(_, close) => serde_json::json!({
            "kind": "close",
            "cause": close.cause.name(),
            "slices": close.slices,
            "wall_ms": close.totals.wall_ms,
            "unpaid_ms": close.totals.unpaid_ms,
            "charge_planck": close.totals.charge.to_string(),
        }),
    };
    serde_json::json!({
        "order": record.rent_id().to_string(), "sequence": record.sequence, "is": body,
    })
}

/// Writes the slices of records as CSV (RFC 4180), with a head.
///
/// # Errors
/// What the writer says.
pub fn receipts_csv(out: &mut dyn Write, records: &[Signed]) -> io::Result<()> {
    out.write_all(b"order,sequence,start_ms,wall_ms,unpaid_ms,gpu_ms,frames,pixels,bytes,fps_milli,latency_p50_us,latency_p95_us,latency_p99_us,charge_planck,acknowledged\r\n")?;
    for signed in records {
        let Ok(record) = Record::decode(&signed.bytes) else { continue };
        let Body::Slice(rent, slice) = &record.body else { continue };
        let [p50, p95, p99] = slice.latency_us;
        write!(
            out,
            "{rent},{},{},{},{},{},{},{},{},{},{p50},{p95},{p99},{},{}\r\n",
            record.sequence,
            slice.start_ms,
            slice.wall_ms,
            slice.unpaid_ms,
            slice.gpu_ms,
            slice.frames,
            slice.pixels,
            slice.bytes,
            slice.fps_milli,
            slice.charge,
            signed.acknowledged.is_some()
        )?;
    }
    Ok(())
}

/// Entries as JSON, amounts as decimal strings.
pub fn entries_json(entries: &[StoredEntry]) -> serde_json::Value {
    let line = |line: &crate::accounts::Line| {
        serde_json::json!({
            "account": line.account, "side": line.side, "planck": line.amount.to_string(),
        })
    };
    let entry = |stored: &StoredEntry| {
        let entry = &stored.entry;
        serde_json::json!({
            "number": stored.number,
            "key": entry.key(),
            "kind": entry.kind(),
            "unix_ms": entry.time().0,
            "lines": entry.lines().iter().map(line).collect::<Vec<_>>(),
        })
    };
    entries.iter().map(entry).collect()
}

/// Writes entries as CSV, a line for each of their lines, with a head. Names hold nothing that CSV would quote.
///
/// # Errors
/// What the writer says.
pub fn entries_csv(out: &mut dyn Write, entries: &[StoredEntry]) -> io::Result<()> {
    out.write_all(b"number,key,kind,unix_ms,account,debit_planck,credit_planck\r\n")?;
    for stored in entries {
        for line in stored.entry.lines() {
            let (debit, credit) = match line.side {
                Side::Debit => (line.amount.to_string(), String::new()),
                Side::Credit => (String::new(), line.amount.to_string()),
            };
            let (entry, account) = (&stored.entry, &line.account);
            write!(
                out,
                "{},{},{},{},{account},{debit},{credit}\r\n",
                stored.number,
                entry.key(),
                entry.kind(),
                entry.time().0
            )?;
        }
    }
    Ok(())
}
