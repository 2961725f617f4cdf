//! Receipts: what a session used, in records that are chained by hash, signed by the machine and acknowledged by the
//! player. `docs/receipts.md` lays them out byte by byte.
//!
//! ```text
//!   Open ◀── Slice 1 ◀── Slice 2 ◀── … ◀── Close        each record holds the SHA-256 of the one before
//!              ▲ acknowledged by the player's session key
//! ```
//!
//! Every kind of record has one length, all numbers are big-endian and every byte is given, so that there is one encoding
//! of a record and any other is refused. There is no account, address, input or title in a record: the order's number
//! and digests of the session's id are all that names anybody.

mod audit;
mod interrupted;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::rental::{BlockHash, MachineId, Planck, RentId, UnixMillis};

pub use audit::{Acknowledgement, Audit, Finding, Findings, Promise, Signed, Verdicts};
pub use interrupted::close_interrupted;

/// What signatures of records begin with; the version is in it.
pub const DOMAIN: &[u8; 20] = b"nearlight-receipt/1\n";
/// What signatures of acknowledgements begin with.
pub const ACK_DOMAIN: &[u8; 16] = b"nearlight-ack/1\n";
/// A slice is never longer.
pub const MAX_SLICE_MS: u32 = 10_000;
/// In place of a latency that was not measured.
pub const UNKNOWN: u32 = u32::MAX;

const HEAD: usize = 20 + 1 + 32 + 4 + 32;
const OPEN: usize = HEAD + 32 + 32 + 8 + 16 + 8 + 1 + 34 + 8 + 4 + 4;
const SLICE: usize = HEAD + 8 + 8 + 4 + 4 + 8 + 8 + 8 + 4 + 4 * 3 + 4 + 16 + 1;
const CLOSE: usize = HEAD + 8 + 1 + 4 + 8 + 8 + 8 + 8 + 8 + 8 + 16;
/// The longest record.
pub const MOST_BYTES: usize = OPEN;

/// SHA-256 of a record.
pub type RecordHash = [u8; 32];

/// Names a session's receipts: a digest of its id, which is itself nobody's to know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub [u8; 32]);

impl ChainId {
    /// Of a session's id.
    pub fn of_session(id: &str) -> Self {
        Self(
            Sha256::new().chain_update(b"nearlight-session/1\n").chain_update(id).finalize().into(),
        )
    }
}

impl std::fmt::Display for ChainId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ChainId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "chain {:02x}{:02x}{:02x}..", self.0[0], self.0[1], self.0[2])
    }
}

/// The public half of the key that a player's browser made for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayerKey {
    /// 32 bytes.
    Ed25519([u8; 32]),
    /// ECDSA over P-256 with SHA-256: the compressed point.
    P256([u8; 33]),
}

/// What time in the session costs: `fee` for `span_ms`, in whole planck, rounded down over all paid time together so that slices
/// sum exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tariff {
    /// What the span costs.
    pub fee: Planck,
    /// Milliseconds; zero where nothing is charged.
    pub span_ms: u64,
    /// Whether the order is being tried before it is paid.
    pub trial: bool,
}

impl Tariff {
    /// Nothing.
    pub const FREE: Self = Self { fee: Planck::ZERO, span_ms: 0, trial: false };

    /// What `paid_ms` cost in all; where that does not fit, as much as fits.
    pub fn charge(&self, paid_ms: u64) -> Planck {
        if self.span_ms == 0 {
            return Planck::ZERO;
        }
        self.fee.scaled(paid_ms, self.span_ms).unwrap_or(Planck(u128::MAX))
    }
}

/// The first record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The chain that the order is on.
    pub genesis: BlockHash,
    /// Which machine.
    pub machine: MachineId,
    /// Which order.
    pub rent_id: RentId,
    /// What time costs.
    pub tariff: Tariff,
    /// Who acknowledges, if anybody.
    pub player: Option<PlayerKey>,
    /// When the session became live, by the chain's clock.
    pub opened: UnixMillis,
    /// Frames that are promised in a thousand seconds.
    pub promised_fps_milli: u32,
    /// The promised 95th percentile of latency in microseconds.
    pub promised_latency_us: u32,
}

/// What was used in at most ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Where it begins: milliseconds after the session became live, pauses included.
    pub start_ms: u64,
    /// Its length.
    pub wall_ms: u32,
    /// Time that the graphics card worked for it.
    pub gpu_ms: u32,
    /// Frames encoded.
    pub frames: u64,
    /// Their pixels.
    pub pixels: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Frames in a thousand seconds that were shown of those that were due.
    pub fps_milli: u32,
    /// The 50th, 95th and 99th percentile of latency in microseconds, or [`UNKNOWN`].
    pub latency_us: [u32; 3],
    /// Of its length, what lay outside of lease or credit; not charged.
    pub unpaid_ms: u32,
    /// What it costs.
    pub charge: Planck,
}

/// Why a chain of receipts was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The session ended.
    Ended,
    /// The lease was over.
    LeaseEnded,
    /// The trial was used up.
    TrialOver,
    /// Receipts could not be made durable.
    NotDurable,
    /// The node went down; closed when it came back.
    Interrupted,
}

impl CloseCause {
    const ALL: [Self; 5] =
        [Self::Ended, Self::LeaseEnded, Self::TrialOver, Self::NotDurable, Self::Interrupted];

    /// A name that never changes, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::LeaseEnded => "lease_ended",
            Self::TrialOver => "trial_over",
            Self::NotDurable => "not_durable",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The last record: the sums of all slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub cause: CloseCause,
    /// How many there were.
    pub slices: u32,
    /// Of all slices.
    pub totals: Totals,
}

/// Sums of slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of [`Slice::wall_ms`].
    pub wall_ms: u64,
    /// Of [`Slice::unpaid_ms`].
    pub unpaid_ms: u64,
    /// Of [`Slice::gpu_ms`].
    pub gpu_ms: u64,
    /// Of [`Slice::frames`].
    pub frames: u64,
    /// Of [`Slice::pixels`].
    pub pixels: u64,
    /// Of [`Slice::bytes`].
    pub bytes: u64,
    /// Of [`Slice::charge`].
    pub charge: Planck,
}

impl Totals {
    /// With one slice more; none if a sum does not fit.
    pub fn with(&self, slice: &Slice) -> Option<Self> {
        Some(Self {
            wall_ms: self.wall_ms.checked_add(slice.wall_ms.into())?,
            unpaid_ms: self.unpaid_ms.checked_add(slice.unpaid_ms.into())?,
            gpu_ms: self.gpu_ms.checked_add(slice.gpu_ms.into())?,
            frames: self.frames.checked_add(slice.frames)?,
            pixels: self.pixels.checked_add(slice.pixels)?,
            bytes: self.bytes.checked_add(slice.bytes)?,
            charge: self.charge.checked_add(slice.charge)?,
        })
    }

    /// Time that was paid for.
    pub fn paid_ms(&self) -> u64 {
        self.wall_ms.saturating_sub(self.unpaid_ms)
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The first.
    Open(Open),
    /// One between, of this order.
    Slice(RentId, Slice),
    /// The last, of this order.
    Close(RentId, Close),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub chain: ChainId,
    /// Counts from zero.
    pub sequence: u32,
    /// The hash of the one before; zeros in the first.
    pub previous: RecordHash,
    /// What it says.
    pub body: Body,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Another domain or version.
    #[error("these bytes are no receipt of a version that is known")]
    Domain,
    /// A kind that there is not.
    #[error("there is no receipt of kind {0}")]
    Kind(u8),
    /// Too short or too long for its kind.
    #[error("a receipt of this kind has {expected} bytes, not {found}")]
    Length {
        /// What its kind has.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// A field that cannot be so.
    #[error("the receipt's {0} cannot be so")]
    Field(&'static str),
}

impl Record {
    /// The bytes that are hashed and signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MOST_BYTES);
        out.extend(DOMAIN);
        out.push(match self.body {
            Body::Open(_) => 1,
            Body::Slice(..) => 2,
            Body::Close(..) => 3,
        });
        out.extend(self.chain.0);
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.previous);
        match &self.body {
            Body::Open(open) => encode_open(&mut out, open),
            Body::Slice(rent, slice) => encode_slice(&mut out, *rent, slice),
            Body::Close(rent, close) => encode_close(&mut out, *rent, close),
        }
        out
    }

    /// Of such bytes; encoding it gives them again.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let rest = bytes.strip_prefix(DOMAIN).ok_or(RecordError::Domain)?;
        let kind = *rest.first().ok_or(RecordError::Domain)?;
        let expected = match kind {
            1 => OPEN,
            2 => SLICE,
            3 => CLOSE,
            other => return Err(RecordError::Kind(other)),
        };
        if bytes.len() != expected {
            return Err(RecordError::Length { expected, found: bytes.len() });
        }
        let mut from = Reader(&rest[1..]);
        let (chain, sequence, previous) = (ChainId(from.take()), from.u32(), from.take());
        let body = match kind {
            1 => Body::Open(decode_open(&mut from)?),
            2 => {
                let (rent, slice) = decode_slice(&mut from)?;
                Body::Slice(rent, slice)
            }
            _ => {
                let (rent, close) = decode_close(&mut from)?;
                Body::Close(rent, close)
            }
        };
        if (sequence == 0) != matches!(body, Body::Open(_)) {
            return Err(RecordError::Field("sequence"));
        }
        if sequence == 0 && previous != [0; 32] {
            return Err(RecordError::Field("previous hash"));
        }
        Ok(Self { chain, sequence, previous, body })
    }

    /// Which order it is of.
    pub fn rent_id(&self) -> RentId {
        match &self.body {
            Body::Open(open) => open.rent_id,
            Body::Slice(rent, _) | Body::Close(rent, _) => *rent,
        }
    }
}

/// Of a record's bytes.
pub fn hash(bytes: &[u8]) -> RecordHash {
    Sha256::digest(bytes).into()
}

/// What a player signs to acknowledge a record.
pub fn acknowledgement(chain: &ChainId, sequence: u32, record: &RecordHash) -> Vec<u8> {
    [&ACK_DOMAIN[..], &chain.0, &sequence.to_be_bytes(), record].concat()
}

fn encode_open(out: &mut Vec<u8>, open: &Open) {
    out.extend(open.genesis.0);
    out.extend(open.machine.public_key());
    out.extend(open.rent_id.0.to_be_bytes());
    out.extend(open.tariff.fee.to_bytes());
    out.extend(open.tariff.span_ms.to_be_bytes());
    out.push(open.tariff.trial.into());
    match &open.player {
        None => out.extend([0; 34]),
        Some(PlayerKey::Ed25519(key)) => {
            out.push(1);
            out.extend(key);
            out.push(0);
        }
        Some(PlayerKey::P256(key)) => {
            out.push(2);
            out.extend(key);
        }
    }
    out.extend(open.opened.0.to_be_bytes());
    out.extend(open.promised_fps_milli.to_be_bytes());
    out.extend(open.promised_latency_us.to_be_bytes());
}

fn decode_open(from: &mut Reader<'_>) -> Result<Open, RecordError> {
    let (genesis, machine) = (BlockHash(from.take()), MachineId::of_public_key(&from.take()));
    let rent_id = RentId(from.u64());
    let (fee, span_ms) = (Planck::from_bytes(from.take()), from.u64());
    let trial = match from.take::<1>() {
        [0] => false,
        [1] => true,
        _ => return Err(RecordError::Field("trial")),
    };
    let ([kind], key): ([u8; 1], [u8; 33]) = (from.take(), from.take());
    let player = match (kind, key) {
        (0, zeros) if zeros == [0; 33] => None,
        (1, [short @ .., 0]) => Some(PlayerKey::Ed25519(short)),
        (2, key) => Some(PlayerKey::P256(key)),
        _ => return Err(RecordError::Field("player's key")),
    };
    Ok(Open {
        genesis,
        machine,
        rent_id,
        tariff: Tariff { fee, span_ms, trial },
        player,
        opened: UnixMillis(from.u64()),
        promised_fps_milli: from.u32(),
        promised_latency_us: from.u32(),
    })
}

fn encode_slice(out: &mut Vec<u8>, rent: RentId, slice: &Slice) {
    out.extend(rent.0.to_be_bytes());
    out.extend(slice.start_ms.to_be_bytes());
    out.extend(slice.wall_ms.to_be_bytes());
    out.extend(slice.gpu_ms.to_be_bytes());
    out.extend(slice.frames.to_be_bytes());
    out.extend(slice.pixels.to_be_bytes());
    out.extend(slice.bytes.to_be_bytes());
    out.extend(slice.fps_milli.to_be_bytes());
    slice.latency_us.iter().for_each(|each| out.extend(each.to_be_bytes()));
    out.extend(slice.unpaid_ms.to_be_bytes());
    out.extend(slice.charge.to_bytes());
    // For a later version; there is no flag yet.
    out.push(0);
}

fn decode_slice(from: &mut Reader<'_>) -> Result<(RentId, Slice), RecordError> {
    let rent = RentId(from.u64());
    let slice = Slice {
        start_ms: from.u64(),
        wall_ms: from.u32(),
        gpu_ms: from.u32(),
        frames: from.u64(),
        pixels: from.u64(),
        bytes: from.u64(),
        fps_milli: from.u32(),
        latency_us: [from.u32(), from.u32(), from.u32()],
        unpaid_ms: from.u32(),
        charge: Planck::from_bytes(from.take()),
    };
    if from.take::<1>() != [0] {
        return Err(RecordError::Field("flags"));
    }
    if !(1..=MAX_SLICE_MS).contains(&slice.wall_ms) {
        return Err(RecordError::Field("length in time"));
    }
    if slice.unpaid_ms > slice.wall_ms {
        return Err(RecordError::Field("unpaid time"));
    }
    Ok((rent, slice))
}

fn encode_close(out: &mut Vec<u8>, rent: RentId, close: &Close) {
    out.extend(rent.0.to_be_bytes());
    let cause = CloseCause::ALL.iter().position(|each| *each == close.cause);
    out.push(cause.unwrap_or_default() as u8);
    out.extend(close.slices.to_be_bytes());
    let Totals { wall_ms, unpaid_ms, gpu_ms, frames, pixels, bytes, charge } = close.totals;
    for number in [wall_ms, unpaid_ms, gpu_ms, frames, pixels, bytes] {
        out.extend(number.to_be_bytes());
    }
    out.extend(charge.to_bytes());
}

fn decode_close(from: &mut Reader<'_>) -> Result<(RentId, Close), RecordError> {
    let rent = RentId(from.u64());
    let [cause] = from.take();
    let cause = CloseCause::ALL.get(usize::from(cause)).ok_or(RecordError::Field("cause"))?;
    let slices = from.u32();
    let totals = Totals {
        wall_ms: from.u64(),
        unpaid_ms: from.u64(),
        gpu_ms: from.u64(),
        frames: from.u64(),
        pixels: from.u64(),
        bytes: from.u64(),
        charge: Planck::from_bytes(from.take()),
    };
    Ok((rent, Close { cause: *cause, slices, totals }))
}

/// Takes fields from bytes whose number was checked; what is missing reads as zero.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }
}

#[cfg(test)]
mod tests;
