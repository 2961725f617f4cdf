//! A rented node: how its orders stand, and how renters and their guests prove that they may use them.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use keys::{MultisigProof, from_hex};
use session::access::{Operation, TicketId, TicketScope};
use session::receipts::PlayerKey;
use session::rental::RentId;
use sha2::{Digest as _, Sha256};

use super::answers::{OfOrder, OfProof, OnRented, SignedText};
use super::path::Path;
use super::sessions::{address, describe, find, json};
use super::{Problem, Shared, auth, viewers};
use crate::http::hex;
use crate::node::{Keys, Node};
use crate::registry::Entry;
use crate::rented::access::{Made, Signed, account};
use crate::rented::{Claim, Proof, Rented};
use crate::wire;

/// The header of a text that was signed, in base64.
pub(super) const PROOF: &str = "nearlight-proof";
/// The header of its signature.
pub(super) const SIGNATURE: &str = "nearlight-signature";
/// The header of several signatures.
pub(super) const MULTISIG: &str = "nearlight-multisig";
/// Under what a renter's saves are kept who names none of his own.
const SAVES: &str = "renter";

pub(super) fn rented(node: &Node) -> Result<&Arc<Rented>, Problem> {
    node.rented()?.ok_or_else(|| Problem::NOT_FOUND.because("this node is not rented out"))
}

/// How the machine's orders stand, as the chain was last seen to say.
#[utoipa::path(
    get, path = "/api/v1/lease", tag = "lease", operation_id = "show_lease",
    responses((status = 200, body = wire::Lease), OnRented)
)]
pub(super) async fn show(State(node): Shared) -> Result<Json<wire::Lease>, Problem> {
    Ok(Json(rented(&node)?.describe()))
}

/// Asks for a text that an order's renter signs, to be believed once.
#[utoipa::path(
    post, path = "/api/v1/lease/challenges", tag = "lease", operation_id = "challenge_renter", request_body = wire::NewChallenge,
    responses(
        (status = 200, body = wire::Challenge), OfProof, (status = 415, body = wire::Problem),
    )
)]
pub(super) async fn challenge(
    State(node): Shared,
    body: Result<Json<wire::NewChallenge>, JsonRejection>,
) -> Result<Json<wire::Challenge>, Problem> {
    let wish = json(body)?;
    let (rent_id, account) = (order(&wish.order)?, account(&wish.account)?);
    let body = wire::BearerRequest {
        order: rent_id.to_string(),
        account: keys::ss58::encode(&account, keys::ss58::PREFIX),
    };
    let body = serde_json::to_string(&body).map_err(|_| Problem::INTERNAL)?;
    let challenge = rented(&node)?.challenge(rent_id, account, body.as_bytes()).await?;
    Ok(Json(wire::Challenge { text: challenge.text(), body, expires_at: challenge.expires.0 }))
}

/// Takes a challenge that the renter signed for a bearer of the order.
#[utoipa::path(
    post, path = "/api/v1/lease/bearers", tag = "lease", operation_id = "prove_renter", request_body = wire::BearerRequest,
    params(SignedText),
    responses((status = 201, body = wire::Bearer), OfProof)
)]
pub(super) async fn bearer(
    State(node): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<wire::Bearer>), Problem> {
    let body = bytes(body)?;
    let wish: wire::BearerRequest = serde_json::from_slice(&body)
        .map_err(|error| Problem::BAD_REQUEST.because(error.to_string()))?;
    let (rent_id, account) = (order(&wish.order)?, account(&wish.account)?);
    let proof = proof(&headers)?;
    let rented = rented(&node)?;
    let made = rented.renter(rent_id, account, &proof, &body).await?;
    Ok((StatusCode::CREATED, Json(made_known(rented, made))))
}

/// Takes a ticket for a bearer of its order. The body is the ticket's secret; the use counts once it is durable.
#[utoipa::path(
    post, path = "/api/v1/lease/tickets/redeem", tag = "lease", operation_id = "redeem_ticket",
    request_body(content = String, content_type = "text/plain"),
    params(SignedText),
    responses((status = 201, body = wire::Bearer), OfProof, (status = 507, body = wire::Problem))
)]
pub(super) async fn redeem(
    State(node): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<wire::Bearer>), Problem> {
    let secret = bytes(body)?;
    let proof = proof(&headers)?;
    let rented = rented(&node)?;
    let made = rented.guest(&proof, &secret).await?;
    Ok((StatusCode::CREATED, Json(made_known(rented, made))))
}

/// The tickets of the bearer's order that were used or revoked. For the renter.
#[utoipa::path(
    get, path = "/api/v1/lease/tickets", tag = "lease", operation_id = "list_tickets",
    responses(
        (status = 200, body = Vec<wire::TicketUse>), OfOrder, (status = 403, body = wire::Problem),
    )
)]
pub(super) async fn tickets(
    State(node): Shared,
    headers: HeaderMap,
) -> Result<Json<Vec<wire::TicketUse>>, Problem> {
    let rented = rented(&node)?;
    let claim = claim(rented, &headers)?;
    claim.allows(Operation::Delegate)?;
    let shown = |record: &session::access::TicketRecord| wire::TicketUse {
        ticket: record.id.to_string(),
        uses: record.uses,
        revoked: record.revoked,
    };
    Ok(Json(rented.tickets(claim.rent_id).iter().map(shown).collect()))
}

/// Takes a ticket of the bearer's order back, whether or not it was used: durable when the answer comes, and whoever came
/// by it is sent away. For the renter.
#[utoipa::path(
    delete, path = "/api/v1/lease/tickets/{ticket}", tag = "lease", operation_id = "revoke_ticket", params(("ticket" = String, Path)),
    responses(
        (status = 204), OfOrder, (status = 400, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 507, body = wire::Problem),
    )
)]
pub(super) async fn revoke(
    State(node): Shared,
    Path(ticket): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let rented = rented(&node)?;
    let claim = claim(rented, &headers)?;
    claim.allows(Operation::Delegate)?;
    let id = TicketId::parse(&ticket)
        .ok_or_else(|| Problem::BAD_REQUEST.because("a ticket's name has 32 digits"))?;
    let forget = || node.forget_ticket(id);
    for (session, invitation) in rented.revoke(claim.rent_id, id, forget).await? {
        // One whose session has ended is gone.
        let _ = node.revoke_invitation(&session, invitation).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The sessions of the bearer's order that have not ended.
#[utoipa::path(
    get, path = "/api/v1/lease/sessions", tag = "lease", operation_id = "list_leased_sessions",
    responses((status = 200, body = Vec<wire::Session>), OfOrder)
)]
pub(super) async fn sessions(
    State(node): Shared,
    headers: HeaderMap,
) -> Result<Json<Vec<wire::Session>>, Problem> {
    let rented = rented(&node)?;
    let claim = claim(rented, &headers)?;
    let ids = rented.sessions_of(claim.rent_id);
    let entries = ids.iter().filter_map(|id| node.registry.find(id.as_str()));
    let entries = entries.filter(|entry| !entry.handle.is_over());
    Ok(Json(entries.map(|entry| describe(&node, &entry, &headers)).collect()))
}

/// Enters a session of the bearer's order: as its player where the bearer is for playing, else as a spectator.
#[utoipa::path(
    post, path = "/api/v1/lease/sessions/{id}/enter", tag = "lease", operation_id = "enter_leased_session", params(("id" = String, Path)),
    responses(
        (status = 201, body = wire::Session), OfOrder, (status = 403, body = wire::Problem),
        (status = 409, body = wire::Problem),
    )
)]
pub(super) async fn enter(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<wire::Session>), Problem> {
    let rented = rented(&node)?;
    let claim = claim(rented, &headers)?;
    let entry = find(&node, &id)?;
    if !rented.sessions_of(claim.rent_id).contains(&entry.id) {
        return Err(Problem::UNKNOWN_SESSION);
    }
    rented.check(claim.rent_id, claim.claimant())?;
    if claim.allows(Operation::Scoped(TicketScope::Play)).is_ok() {
        let (token, resume) = node.issue_entered(&entry.id, &claim)?;
        let webtransport = address(&node, &entry, &headers)?;
        rented.plays(&entry.id, &claim)?;
        let mut session = describe(&node, &entry, &headers);
        session.token = Some(token);
        session.resume_ticket = Some(resume);
        session.receipts_token = Some(rented.receipts_token(&entry.id));
        session.webtransport = webtransport;
        return Ok((StatusCode::CREATED, Json(session)));
    }
    claim.allows(Operation::Scoped(TicketScope::View))?;
    let wish =
        wire::NewInvitation { role: wire::InvitedRole::Spectator, expires_in: None, uses: Some(1) };
    let (invitation, text) = node.invite(&entry.id, &wish)?;
    let (viewer, token) = node.join(&text)?;
    let watches = rented.watches(&claim, entry.id.clone(), invitation.id, || {
        let viewers = node.registry.viewers_of(&entry.id);
        viewers.iter().map(|viewer| viewer.invitation).collect()
    });
    if let Err(why) = watches {
        // One whose session has ended is gone.
        let _ = node.revoke_invitation(&entry.id, invitation.id).await;
        return Err(why.into());
    }
    let mut session = viewers::describe(&node, &viewer, &headers)?;
    session.token = Some(token);
    session.webtransport = viewers::address(&node, &viewer, &headers)?;
    Ok((StatusCode::CREATED, Json(session)))
}

/// Starts a session of an order.
pub(super) async fn create(
    node: &Arc<Node>,
    mut wish: wire::NewSession,
    claim: &Claim,
) -> Result<(Arc<Entry>, Keys), Problem> {
    // Saves are the renter's: nobody names another's.
    let owner = hex(&Sha256::digest(claim.renter().0)[..16]);
    wish.player = Some(format!("{owner}.{}", wish.player.as_deref().unwrap_or(SAVES)));
    let player = wish.player_key.as_ref().map(player_key).transpose()?;
    let mut wished = node.wished(wish)?;
    let begins = super::saves::check(&wished).await?;
    wished.ask_devices().await;
    let mut tenancy = rented(node)?.admit(claim).await?;
    tenancy.player = player;
    node.create_rented(wished, begins, claim, tenancy)
}

fn player_key(key: &wire::PlayerKey) -> Result<PlayerKey, Problem> {
    let bytes = from_hex(&key.key);
    let key = bytes.and_then(|bytes| match key.kind {
        wire::PlayerKeyKind::Ed25519 => bytes.try_into().ok().map(PlayerKey::Ed25519),
        wire::PlayerKeyKind::P256 => bytes.try_into().ok().map(PlayerKey::P256),
    });
    key.ok_or_else(|| Problem::BAD_REQUEST.because("player_key: it is no key of its kind"))
}

/// Who asks.
pub(super) fn claim(rented: &Rented, headers: &HeaderMap) -> Result<Claim, Problem> {
    rented.claim(auth::bearer(headers).ok_or(Problem::RENTED)?)
}

fn made_known(rented: &Rented, made: Made) -> wire::Bearer {
    let Made { token, claim, grant, expires } = made;
    wire::Bearer {
        token,
        order: claim.rent_id.to_string(),
        role: match claim.scopes() {
            None => wire::BearerRole::Renter,
            Some(_) => wire::BearerRole::Guest,
        },
        scopes: claim.scope_names().into_iter().map(ToOwned::to_owned).collect(),
        expires_at: expires.0,
        confirmed: grant.trial.is_none(),
        trial_ms: grant.trial.map(|trial| u64::try_from(trial.as_millis()).unwrap_or(u64::MAX)),
        over_block: grant.over.0,
        left_ms: rented.millis_until(grant.until),
    }
}

/// An order's number.
pub(super) fn order(text: &str) -> Result<RentId, Problem> {
    let number = text.parse().ok().filter(|number: &u64| number.to_string() == text);
    number.map(RentId).ok_or_else(|| Problem::BAD_REQUEST.because("order: it is no number"))
}

fn bytes(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TOO_LARGE,
        _ => Problem::BAD_REQUEST.because(rejection.body_text()),
    })
}

/// The text that was signed and its signatures.
fn proof(headers: &HeaderMap) -> Result<Proof, Problem> {
    let wrong = |name: &str| Problem::BAD_REQUEST.because(format!("{name}: missing or odd"));
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let base64 = |name: &str| {
        header(name).and_then(|text| BASE64_STANDARD.decode(text).ok()).ok_or_else(|| wrong(name))
    };
    let text = String::from_utf8(base64(PROOF)?).map_err(|_| wrong(PROOF))?;
    if header(MULTISIG).is_none() {
        let signature = header(SIGNATURE).and_then(from_hex).ok_or_else(|| wrong(SIGNATURE))?;
        return Ok(Proof { text, by: Signed::One(signature) });
    }
    let several: wire::Multisig =
        serde_json::from_slice(&base64(MULTISIG)?).map_err(|_| wrong(MULTISIG))?;
    let members = several.members.iter().map(|member| account(member));
    let signatures = several.signatures.iter().map(|each| {
        let signature = from_hex(&each.signature).ok_or_else(|| wrong(MULTISIG))?;
        Ok((account(&each.account)?, signature))
    });
    Ok(Proof {
        text,
        by: Signed::Several(MultisigProof {
            members: members.collect::<Result<_, Problem>>()?,
            threshold: several.threshold,
            signatures: signatures.collect::<Result<_, Problem>>()?,
        }),
    })
}
