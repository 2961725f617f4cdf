//! What travels of rentals. Amounts are decimal strings of planck (10^-15 DBC), orders decimal strings: neither fits into a
//! number of JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the chain says of a rented node, as it was last seen.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Lease {
    /// Hash of the chain's block 0.
    pub genesis: String,
    /// The machine: its public key.
    pub machine: String,
    /// The node as it stands in challenges and tickets.
    pub origin: String,
    /// Whether the chain is one of development, where keys are taken that everybody knows.
    pub development: bool,
    /// Whether heads come; else blocks are estimated.
    pub connected: bool,
    /// The newest block; absent before anything was heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<u32>,
    /// The chain's time in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix_ms: Option<u64>,
    /// The machine's graphics cards, and how many of them nobody rents; absent while the chain does not have the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cards: Option<LeaseCards>,
    /// What an order costs now; absent where the chain names no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<LeasePrice>,
    /// Its orders.
    pub orders: Vec<LeaseOrder>,
}

/// Graphics cards of a machine.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LeaseCards {
    /// All.
    pub all: u32,
    /// Those that can be rented now; none while the machine is offline.
    pub free: u32,
}

/// What the smallest order costs: one card.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LeasePrice {
    /// Its length in blocks; longer orders are multiples of it.
    pub blocks: u32,
    /// The same in milliseconds; absent where blocks come with transactions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lasts_ms: Option<u64>,
    /// Its rent, in planck.
    pub rent_planck: String,
    /// What each order costs beside its rent and is never given back, in planck.
    pub fixed_planck: String,
}

/// An order of the machine.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LeaseOrder {
    /// Its number.
    pub order: String,
    /// Whether it is confirmed.
    pub confirmed: bool,
    /// The block that ends it, or in which it lapses where it is not confirmed.
    pub over_block: u32,
    /// When that is expected, in milliseconds from now.
    pub left_ms: u64,
    /// Its cards, by index.
    pub cards: Vec<u32>,
    /// How many of them have a session.
    pub sessions: u32,
}

/// Asks for a text that the renter signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChallenge {
    /// The order.
    pub order: String,
    /// The renter: an address (ss58) or 64 hexadecimal digits.
    pub account: String,
}

/// A text to be signed, and the request that it is good for, once.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Challenge {
    /// What the wallet shows and signs.
    pub text: String,
    /// Post exactly these bytes to `/api/v1/lease/bearers`, with the headers `nearlight-proof` (the text in base64) and
    /// `nearlight-signature` (hexadecimal digits), or `nearlight-multisig`.
    pub body: String,
    /// It is good until then, in seconds since 1970 by the chain's clock.
    pub expires_at: u64,
}

/// What is posted with a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BearerRequest {
    /// The order.
    pub order: String,
    /// The renter.
    pub account: String,
}

/// Signatures of several wallets that rent as one, in the header `nearlight-multisig`, as JSON in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Multisig {
    /// All of them.
    pub members: Vec<String>,
    /// How many have to sign.
    pub threshold: u16,
    /// Who signed.
    pub signatures: Vec<MultisigSignature>,
}

/// A signature of one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MultisigSignature {
    /// Who.
    pub account: String,
    /// Hexadecimal digits.
    pub signature: String,
}

/// Who may use an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BearerRole {
    /// Its renter, who may do everything.
    Renter,
    /// Whoever has a ticket of it.
    Guest,
}

/// A token for an order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Bearer {
    /// Bearer token of the addresses below `/api/v1/lease`, and to start sessions with.
    pub token: String,
    /// The order.
    pub order: String,
    /// Who holds it.
    pub role: BearerRole,
    /// What it is for: `view`, `play`, `start`, `stop` and `files`.
    pub scopes: Vec<String>,
    /// It is good until then, in seconds since 1970 by the chain's clock; and as long as the order.
    pub expires_at: u64,
    /// Whether the order is confirmed.
    pub confirmed: bool,
    /// How long it may be tried before, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial_ms: Option<u64>,
    /// The block that ends the order.
    pub over_block: u32,
    /// When that is expected, in milliseconds from now.
    pub left_ms: u64,
}

/// What became of a ticket.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TicketUse {
    /// Which.
    pub ticket: String,
    /// How often it was used.
    pub uses: u32,
    /// Whether it was taken back.
    pub revoked: bool,
}

/// The public half of a key that a page makes for its session (WebCrypto), to acknowledge receipts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayerKey {
    /// What kind.
    pub kind: PlayerKeyKind,
    /// Hexadecimal digits: 64 of Ed25519, 66 of the compressed point of P-256.
    pub key: String,
}

/// Kinds of such keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlayerKeyKind {
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256 with SHA-256.
    P256,
}

/// How a session's order stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LeaseStatus {
    /// The order.
    pub order: String,
    /// It is being tried before it is confirmed.
    pub trial: bool,
    /// Milliseconds until it is expected to end; of a trial, live time that is left.
    pub left_ms: u64,
    /// The block that ends it.
    pub over_block: u32,
    /// Milliseconds that durable receipts are of.
    pub metered_ms: u64,
    /// What they charge, in planck.
    pub charged_planck: String,
    /// The name of the session's receipts.
    pub receipts: String,
}

/// A slice of what the session used, durable, to be acknowledged (`acknowledge`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SliceReceipt {
    /// The name of the session's receipts.
    pub chain: String,
    /// Its number.
    pub sequence: u32,
    /// Its bytes in hexadecimal digits (`docs/receipts.md`).
    pub record: String,
    /// The machine's signature of them.
    pub signature: String,
}

/// What there is of one session's receipts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Receipts {
    /// Their name.
    pub receipts: String,
    /// The order.
    pub order: String,
    /// They are of a trial.
    pub trial: bool,
    /// When the session became live, in milliseconds since 1970 by the chain's clock.
    pub opened_unix_ms: u64,
    /// How many records there are.
    pub records: u32,
    /// Why there come no more; absent while some do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// Milliseconds that they are of.
    pub metered_ms: u64,
    /// Of them, outside of lease or credit.
    pub unpaid_ms: u64,
    /// What they charge, in planck.
    pub charged_planck: String,
}

/// A file of receipts, from which `nearlight receipts verify` needs nothing else but the machine's id.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReceiptsFile {
    /// `nearlight-receipts/1`.
    pub format: String,
    /// The records in order.
    pub records: Vec<ReceiptRecord>,
}

/// A record of receipts: what counts is in hexadecimal digits.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReceiptRecord {
    /// The bytes that were signed (`docs/receipts.md`).
    pub record: String,
    /// The machine's signature.
    pub signature: String,
    /// The player's, if he acknowledged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<String>,
    /// What the bytes say, for people.
    #[schema(value_type = Object)]
    pub says: serde_json::Value,
}

/// Acknowledges a slice after its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// The slice's number.
    pub sequence: u32,
    /// Of the session key; 128 hexadecimal digits.
    pub signature: String,
}

/// Amounts that moved together between accounts: what is debited is what is credited.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LedgerEntry {
    /// Counts from one.
    pub number: u64,
    /// What it is known by: it was written once.
    pub key: String,
    /// What sort it is.
    pub kind: String,
    /// When, in milliseconds since 1970 by the chain's clock.
    pub unix_ms: u64,
    /// What moved.
    pub lines: Vec<LedgerLine>,
}

/// An amount of one account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LedgerLine {
    /// Such as `used/77`, of order 77.
    pub account: String,
    /// `debit` or `credit`.
    pub side: String,
    /// How much, in planck.
    pub planck: String,
}

/// What was paid for an order on the chain, and what of it is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrderAccount {
    /// The order.
    pub order: String,
    /// What final blocks show to be paid for it, in planck.
    pub paid_planck: String,
    /// What its receipts charge, in planck.
    pub used_planck: String,
    /// The first without the second, in planck; below nothing where more was used, or what was paid is not proven.
    pub left_planck: String,
    /// Blocks of it that were paid for at a price that could no longer be read: that is in no amount.
    pub unproven_blocks: u32,
    /// It is gone from the chain.
    pub over: bool,
}

/// How receipts are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptsFormat {
    /// Everything, to be verified.
    #[default]
    Json,
    /// Slices as a table.
    Csv,
}
