//! What is asked of the chain, and what it answers.

use anyhow::{Context as _, Result};
use keys::ss58;
use serde_json::json;
use session::rental::schedule::{self, Day, Hours};
use session::rental::{
    AccountId, At, ChainLimits, Futile, MachineId, Order, OrderStatus, Planck, Proven, RentId,
    RentalChain, Schedule, Seen, futile,
};

use super::Presence;
use super::answer::Answer;

/// What an order would cost.
///
/// # Errors
/// When the chain cannot be read or names no price.
pub async fn quote(
    chain: &dyn RentalChain,
    machine: &MachineId,
    cards: u32,
    blocks: u32,
) -> Result<Answer> {
    let seen = chain.price_inputs(At::Finalized, machine).await?;
    let inputs = seen.value.ok_or(Futile::NoMachine(*machine))?;
    let limits = chain.limits(At::Finalized).await?.value;
    some(cards, &limits)?;
    futile::length(&limits, blocks)?;
    let now = chain.machine(At::Best, machine).await?.value.ok_or(Futile::NoMachine(*machine))?;
    let hours = chain.schedule(At::Best, machine).await?;
    let refused = futile::rent(&now, &limits, cards, blocks).err();
    let refused = refused.or_else(|| futile::hours(&hours.value, &hours.head, blocks).err());
    let quote = inputs.quote(cards, blocks)?;
    let answer = Answer::default()
        .field("machine", "machine", machine.to_string())
        .field("block", "at final block", seen.head.number.0)
        .field("cards", "cards", cards)
        .field("blocks", "blocks", blocks)
        .field("usd_millionths", "price in millionths of a dollar", quote.usd_millionths)
        .amount("rent", "rent, held until the order is confirmed", quote.rent)
        .amount("fixed", "fixed fee, never given back", quote.fixed)
        .amount("total", "total, and the network's fee beside it", quote.total)
        .amount("burnt", "of the rent is burnt", limits.burn.of(quote.rent))
        .field("confirm_within", "to be confirmed within blocks", limits.confirm_window);
    let answer = kept(answer, &hours);
    Ok(match refused {
        Some(why) => answer.field("refused", "now it would be refused", why.to_string()),
        None => answer,
    })
}

/// The hours that the machine's owner keeps from the day of the block on.
fn kept(answer: Answer, seen: &Seen<Schedule>) -> Answer {
    let Schedule::Hours(table) = &seen.value else {
        return answer.flag("keeps_hours", "", false).list("hours", Vec::new());
    };
    let days = Day::of(seen.head.time).and_after().map(|day| (day, table.on(day)));
    let shown = |(day, hours): (Day, &[Hours])| {
        let line = format!("{}, {day}: {}", day.name(), schedule::words(hours));
        let range = |hours: &Hours| json!({ "from": hours.from, "to": hours.to });
        let ranges: Vec<_> = hours.iter().map(range).collect();
        (line, json!({ "day": day.to_string(), "ranges": ranges }))
    };
    let days: Vec<_> = days.filter(|(_, hours)| !hours.is_empty()).map(shown).collect();
    let words =
        "can be rented in these hours alone (UTC), for two hours at least and within one day:";
    let none = days.is_empty();
    let answer = answer.flag("keeps_hours", words, true).list("hours", days);
    if none { answer.note("none on the day of the block or within the week after") } else { answer }
}

/// The chain takes an order of no cards, and the fixed fee for it.
fn some(cards: u32, limits: &ChainLimits) -> Result<(), Futile> {
    if cards == 0 { Err(Futile::NoCards { fixed: limits.fixed_fee }) } else { Ok(()) }
}

/// Rents.
///
/// # Errors
/// See [`session::rental::CallError`].
pub async fn rent(
    chain: &dyn RentalChain,
    machine: &MachineId,
    cards: u32,
    blocks: u32,
    ceiling: Planck,
) -> Result<Answer> {
    let limits = chain.limits(At::Best).await?.value;
    some(cards, &limits)?;
    let proven = chain.rent(machine, cards, blocks, ceiling).await?;
    let event = proven.event;
    Ok(proof(&proven)
        .field("order", "order", event.rent_id.to_string())
        .field("cards", "cards", event.gpus)
        .field("blocks", "blocks", event.blocks)
        .amount("rent", "rent, held", event.fee)
        .amount("fixed", "fixed fee, paid", event.fixed)
        .field(
            "confirm_by",
            "to be confirmed by block",
            proven.block.after(limits.confirm_window).0,
        ))
}

/// Confirms.
///
/// # Errors
/// See [`session::rental::CallError`].
pub async fn confirm(chain: &dyn RentalChain, order: RentId, ceiling: Planck) -> Result<Answer> {
    let proven = chain.confirm(order, ceiling).await?;
    Ok(proof(&proven).field("order", "order", proven.event.rent_id.to_string()).amount(
        "paid",
        "rent, paid",
        proven.event.fee,
    ))
}

/// Prolongs.
///
/// # Errors
/// See [`session::rental::CallError`].
pub async fn relet(
    chain: &dyn RentalChain,
    order: RentId,
    blocks: u32,
    ceiling: Planck,
) -> Result<Answer> {
    let proven = chain.relet(order, blocks, ceiling).await?;
    Ok(proof(&proven)
        .field("order", "order", proven.event.rent_id.to_string())
        .field("added", "blocks added", proven.event.added)
        .amount("paid", "rent, paid", proven.event.fee))
}

/// The block that proves a call.
fn proof<T>(proven: &Proven<T>) -> Answer {
    Answer::default()
        .flag(
            "earlier",
            "done by an earlier run of this command, and not once more",
            proven.earlier,
        )
        .field("block", "in final block", proven.block.0)
        .field("hash", "hash", proven.hash.to_string())
        .amount("network_fee", "network's fee", proven.network_fee)
}

/// The orders of a machine.
///
/// # Errors
/// When the chain cannot be read.
pub async fn orders_of_machine(chain: &dyn RentalChain, machine: &MachineId) -> Result<Answer> {
    let seen = chain.orders_of_machine(At::Finalized, machine).await?;
    Ok(listed(seen.head.number.0, &seen.value))
}

/// The orders of a renter.
///
/// # Errors
/// When the chain cannot be read.
pub async fn orders_of_renter(chain: &dyn RentalChain, renter: &AccountId) -> Result<Answer> {
    let seen = chain.orders_of_renter(At::Finalized, renter).await?;
    Ok(listed(seen.head.number.0, &seen.value))
}

fn listed(block: u32, orders: &[Order]) -> Answer {
    let shown = |order: &Order| {
        let state = match order.status {
            OrderStatus::Waiting => "waiting for confirmation",
            OrderStatus::Renting => "renting",
        };
        let (renter, cards) = (ss58::encode(&order.renter, ss58::PREFIX), order.slots.as_slice());
        let line = format!(
            "order {}: {state}, cards {cards:?}, blocks {} to {}, renter {renter}",
            order.rent_id, order.start, order.end
        );
        let value = json!({
            "order": order.rent_id.to_string(), "machine": order.machine.to_string(),
            "renter": renter, "state": state, "cards": cards, "start": order.start.0,
            "confirmed": order.confirmed.0, "end": order.end.0,
        });
        (line, value)
    };
    let answer = Answer::default().field("block", "at final block", block);
    let answer = if orders.is_empty() { answer.note("no orders") } else { answer };
    answer.list("orders", orders.iter().map(shown).collect())
}

/// The machine.
///
/// # Errors
/// When the chain cannot be read or has no such machine.
pub async fn machine(chain: &dyn RentalChain, id: &MachineId) -> Result<Answer> {
    let seen = chain.machine(At::Finalized, id).await?;
    let machine = seen.value.context("the chain has no such machine")?;
    let hours = chain.schedule(At::Finalized, id).await?;
    let answer = Answer::default()
        .field("machine", "machine", machine.id.to_string())
        .field("block", "at final block", seen.head.number.0)
        .field("status", "status", machine.status.words())
        .field("cards", "cards", machine.gpus)
        .field("rented", "of them rented", machine.rented_gpus)
        .field("points", "points", machine.calc_point)
        .field("owner", "owner", ss58::encode(&machine.owner, ss58::PREFIX))
        .field("controller", "controller", ss58::encode(&machine.controller, ss58::PREFIX));
    Ok(kept(answer, &hours))
}

/// Reports a machine.
///
/// # Errors
/// See [`session::rental::CallError`].
pub async fn report_machine(
    chain: &dyn RentalChain,
    id: &MachineId,
    presence: Presence,
    ceiling: Planck,
) -> Result<Answer> {
    let proven = match presence {
        Presence::Online => chain.report_online(id, ceiling).await?,
        Presence::Offline => chain.report_offline(id, ceiling).await?,
    };
    Ok(proof(&proven).field("machine", "machine", proven.event.machine.to_string()))
}
