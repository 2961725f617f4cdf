//! Receipts of a rented node: lists, files, and acknowledgements that come after a session.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keys::from_hex;
use ledger::{Export, Keys, Op, entries_csv, entries_json, receipts_csv};
use serde::Deserialize;
use session::access::Operation;
use session::receipts::{Body, ChainId, Record};
use session::rental::MachineId;

use super::answers::{OfReceipts, OnRented};
use super::lease::rented;
use super::path::Path;
use super::sessions::json;
use super::{Problem, Shared, auth};
use crate::node::Node;
use crate::rented::refusal::not_written;
use crate::rented::{Reader, Rented};
use crate::wire::{self, ReceiptsFormat as Form};

/// Whose receipts somebody may read: an operator all, a renter those of his order, a player those of his session; the
/// last two also when it is over.
fn reader(node: &Node, rented: &Rented, headers: &HeaderMap) -> Result<Reader, Problem> {
    if auth::is_operator(node, headers) {
        return Ok(Reader::All);
    }
    let token = auth::bearer(headers).ok_or(Problem::UNAUTHORIZED)?;
    if let Some(reader) = rented.reader(token) {
        return Ok(reader);
    }
    let (claim, _) = rented.claim_even_ended(token)?;
    claim.allows(Operation::Spend)?;
    Ok(Reader::Order(claim.rent_id))
}

/// The receipts of the bearer's order, one entry for each session and trial; of all orders for an operator, of one session
/// for who has its `receipts_token`.
#[utoipa::path(
    get, path = "/api/v1/lease/receipts", tag = "lease", operation_id = "list_receipts",
    responses((status = 200, body = Vec<wire::Receipts>), OfReceipts)
)]
pub(super) async fn list(
    State(node): Shared,
    headers: HeaderMap,
) -> Result<Json<Vec<wire::Receipts>>, Problem> {
    let rented = rented(&node)?;
    let reader = reader(&node, rented, &headers)?;
    Ok(Json(rented.receipts(&reader)))
}

/// What may be asked of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wish {
    format: Form,
}

/// The receipts of one session as a file: JSON to be verified, or CSV.
#[utoipa::path(
    get, path = "/api/v1/lease/receipts/{receipts}", tag = "lease", operation_id = "export_receipts",
    params(
        ("receipts" = String, Path),
        ("format" = Option<String>, Query, description = "`json`, which can be verified, or `csv`; JSON unless said otherwise."),
    ),
    responses(
        (status = 200, body = wire::ReceiptsFile), OfReceipts,
        (status = 400, body = wire::Problem),
    )
)]
pub(super) async fn export(
    State(node): Shared,
    Path(receipts): Path<String>,
    wish: Result<Query<Wish>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let rented = rented(&node)?;
    let wish = wish.map_err(|error| Problem::BAD_REQUEST.because(error.body_text()))?;
    let reader = reader(&node, rented, &headers)?;
    let chain = find(rented, &receipts, &reader)?;
    let records = rented.records(chain).await.map_err(|error| unread(&error))?;
    let body = match wish.format {
        Form::Json => serde_json::to_vec(&Export::of(&records)).map_err(|_| Problem::INTERNAL)?,
        Form::Csv => {
            let mut body = Vec::new();
            receipts_csv(&mut body, &records).map_err(|_| Problem::INTERNAL)?;
            body
        }
    };
    kept(wish.format, &format!("receipts-{}", &receipts[..8]), body)
}

/// Entries of an answer at most.
const ENTRIES: u32 = 1_000;

/// Which entries.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EntriesWish {
    after: u64,
    format: Form,
}

/// The ledger's accounts in double entry, the oldest first: at most 1,000 entries, and none once all were told. For operators.
#[utoipa::path(
    get, path = "/api/v1/lease/entries", tag = "lease", operation_id = "list_entries",
    params(
        ("after" = Option<u64>, Query, description = "The number of the last entry that is known; 0 unless said otherwise."),
        ("format" = Option<String>, Query, description = "`json` or `csv`; JSON unless said otherwise."),
    ),
    responses(
        (status = 200, body = Vec<wire::LedgerEntry>), OnRented, (status = 400, body = wire::Problem),
        (status = 401, body = wire::Problem),
    )
)]
pub(super) async fn entries(
    State(node): Shared,
    wish: Result<Query<EntriesWish>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let rented = operators(&node, &headers)?;
    let Query(EntriesWish { after, format }) =
        wish.map_err(|error| Problem::BAD_REQUEST.because(error.body_text()))?;
    let entries = rented.ledger().entries(after, ENTRIES).await.map_err(|error| unread(&error))?;
    let body = match format {
        Form::Json => entries_json(&entries).to_string().into_bytes(),
        Form::Csv => {
            let mut body = Vec::new();
            entries_csv(&mut body, &entries).map_err(|_| Problem::INTERNAL)?;
            body
        }
    };
    kept(format, "entries", body)
}

/// What was paid for each order on the chain, used of it by receipts, and is left; also of orders that are over. For operators.
#[utoipa::path(
    get, path = "/api/v1/lease/accounts", tag = "lease", operation_id = "list_accounts",
    params(
        ("format" = Option<String>, Query, description = "`json` or `csv`; JSON unless said otherwise."),
    ),
    responses(
        (status = 200, body = Vec<wire::OrderAccount>), OnRented, (status = 400, body = wire::Problem),
        (status = 401, body = wire::Problem),
    )
)]
pub(super) async fn accounts(
    State(node): Shared,
    wish: Result<Query<Wish>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let rented = operators(&node, &headers)?;
    let Query(wish) = wish.map_err(|error| Problem::BAD_REQUEST.because(error.body_text()))?;
    let accounts = rented.accounts().await.map_err(|error| unread(&error))?;
    let body = match wish.format {
        Form::Json => serde_json::to_vec(&accounts).map_err(|_| Problem::INTERNAL)?,
        Form::Csv => {
            let head = "order,paid_planck,used_planck,left_planck,unproven_blocks,over\r\n";
            let line = |it: &wire::OrderAccount| {
                let amounts = format!("{},{},{}", it.paid_planck, it.used_planck, it.left_planck);
                format!("{},{amounts},{},{}\r\n", it.order, it.unproven_blocks, it.over)
            };
            let lines: String = accounts.iter().map(line).collect();
            format!("{head}{lines}").into_bytes()
        }
    };
    kept(wish.format, "accounts", body)
}

/// What an operator reads, and nobody else.
fn operators<'a>(node: &'a Node, headers: &HeaderMap) -> Result<&'a Arc<Rented>, Problem> {
    let rented = rented(node)?;
    if auth::is_operator(node, headers) { Ok(rented) } else { Err(Problem::UNAUTHORIZED) }
}

/// A file of this form that browsers keep under this name, and nobody on the way.
fn kept(format: Form, name: &str, body: Vec<u8>) -> Result<Response, Problem> {
    let (kind, ending) = match format {
        Form::Json => ("application/json", "json"),
        Form::Csv => ("text/csv; charset=utf-8", "csv"),
    };
    let name = format!("attachment; filename=\"{name}.{ending}\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(|_| Problem::INTERNAL)?),
    ];
    Ok((headers, body).into_response())
}

/// Acknowledges a slice: for the last one, which is durable after its session's connection is gone. The signature says
/// who asks.
#[utoipa::path(
    post, path = "/api/v1/lease/receipts/{receipts}/acknowledgements", tag = "lease", operation_id = "acknowledge_receipt",
    params(("receipts" = String, Path)), request_body = wire::Acknowledgement,
    responses(
        (status = 204), OnRented, (status = 400, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 413, body = wire::Problem),
        (status = 415, body = wire::Problem), (status = 507, body = wire::Problem),
    )
)]
pub(super) async fn acknowledge(
    State(node): Shared,
    Path(receipts): Path<String>,
    body: Result<Json<wire::Acknowledgement>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let rented = rented(&node)?;
    let wire::Acknowledgement { sequence, signature } = json(body)?;
    let chain = find(rented, &receipts, &Reader::All)?;
    let signature: [u8; 64] = from_hex(&signature)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Problem::BAD_REQUEST.because("signature: it has not 128 digits"))?;
    let read = async |number| {
        let read = rented.ledger().receipts(chain, number, 1).await;
        let record = read.map_err(|error| unread(&error))?.into_iter().next();
        record.ok_or_else(|| Problem::NOT_FOUND.because("there is no such slice"))
    };
    let (first, slice) = (read(0).await?, read(sequence).await?);
    let key = Record::decode(&first.bytes).ok().and_then(|record| match record.body {
        Body::Open(open) => open.player,
        _ => None,
    });
    let acknowledges =
        key.is_some_and(|key| Keys::acknowledges(&key, &chain, sequence, &slice, &signature));
    if !acknowledges {
        return Err(session::access::AccessError::BadSignature.into());
    }
    let written = rented.ledger().commit(Op::Acknowledge(chain, sequence, signature)).await;
    written.map_err(|error| not_written("the acknowledgement", &error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The chain of this name, if somebody reads it.
fn find(rented: &Rented, name: &str, reader: &Reader) -> Result<ChainId, Problem> {
    // A machine's id has the same form.
    let chain = MachineId::parse(name).map(|id| ChainId(id.public_key()));
    let found =
        chain.filter(|chain| rented.order_of(chain).is_some_and(|order| reader.may(chain, order)));
    found.ok_or_else(|| Problem::NOT_FOUND.because("there are no such receipts"))
}

fn unread(error: &ledger::LedgerError) -> Problem {
    tracing::error!(%error, "the ledger cannot be read");
    Problem::INTERNAL
}
