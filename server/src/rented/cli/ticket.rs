//! Tickets: made and signed by the renter, for somebody else.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use keys::{Signer, to_hex};
use serde_json::json;
use session::access::{Binding, Ticket, TicketId, TicketScope, TicketScopes, UnixSeconds};
use session::rental::{At, MachineId, RentId, RentalChain};

use super::answer::Answer;
use crate::rented::access::REDEEM;

/// What a ticket is to be.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Of which order.
    pub rent_id: RentId,
    /// The node as it is reached: scheme, host and port, without a slash at the end.
    pub node: String,
    /// Names of scopes.
    pub allow: Vec<String>,
    /// How often it may be taken.
    pub uses: u32,
    /// Seconds from now until it is good.
    pub starts_in: u64,
    /// Seconds that it is good for.
    pub lasts: u64,
    /// For one card.
    pub card: Option<u32>,
}

/// Makes a ticket and signs it; the link carries it in its fragment, which never travels.
///
/// # Errors
/// When the order is not the signer's, or nothing is signed.
pub async fn make(
    chain: &dyn RentalChain,
    machine: &MachineId,
    wish: &Wish,
    signer: Arc<dyn Signer>,
) -> Result<Answer> {
    let scope = |name: &String| {
        let found = TicketScope::ALL.into_iter().find(|scope| scope.name() == name);
        found
            .with_context(|| format!("--allow: {name:?} is none of view, play, start, stop, files"))
    };
    let scopes = wish.allow.iter().map(scope).collect::<Result<Vec<_>>>()?;
    let seen = chain.order(At::Best, wish.rent_id).await?;
    let order = seen.value.context("the chain has no such order")?;
    ensure!(order.machine == *machine, "the order is of the machine {}", order.machine);
    ensure!(order.renter == signer.account(), "the order is another renter's");
    if let Some(card) = wish.card {
        ensure!(order.slots.has(card), "--card: the order has not rented the card {card}");
    }
    let (mut id, mut secret) = ([0; 16], [0; 32]);
    getrandom::fill(&mut id).and_then(|()| getrandom::fill(&mut secret))?;
    let secret = to_hex(&secret);
    let from = (seen.head.time.0 / 1_000).saturating_add(wish.starts_in);
    let ticket = Ticket {
        binding: Binding {
            genesis: chain.identity().genesis,
            machine: *machine,
            rent_id: wish.rent_id,
            origin: wish.node.clone(),
            method: "POST".to_owned(),
            path: REDEEM.to_owned(),
            body: Binding::body_of(secret.as_bytes()),
        },
        id: TicketId(id),
        scopes: TicketScopes::new(scopes).context("--allow is empty")?,
        not_before: UnixSeconds(from),
        not_after: UnixSeconds(from.saturating_add(wish.lasts)),
        uses: wish.uses,
        slot: wish.card,
    };
    let text = ticket.text();
    match Ticket::parse(&text) {
        Ok(parsed) if parsed == ticket => {}
        _ => bail!("such a ticket cannot be: --uses, --starts-in, --lasts or --node is odd"),
    }
    let message = text.clone();
    let signature = tokio::task::spawn_blocking(move || signer.sign(message.as_bytes())).await??;
    let link = json!({"ticket": text, "signature": to_hex(&signature.tagged()), "secret": secret});
    let link = BASE64_URL_SAFE_NO_PAD.encode(link.to_string());
    Ok(Answer::default()
        .field("ticket", "ticket", ticket.id.to_string())
        .field("order", "order", wish.rent_id.to_string())
        .field("allows", "allows", ticket.scopes.to_string())
        .field("uses", "uses", ticket.uses)
        .field("not_before", "good from, in seconds since 1970", ticket.not_before.0)
        .field("not_after", "good until, in seconds since 1970", ticket.not_after.0)
        .field("link", "link", format!("{}/#lease={link}", wish.node)))
}
