//! Calls that the chain would refuse, or take a fee for and do nothing: told from what was read, before anything is signed. The
//! rules are those of the pallets `rent-machine` and `online-profile`, check by check.

use thiserror::Error;

use super::schedule::{BLOCK_MS, Closed};
use super::{
    AccountId, BLOCKS_PER_DAY, BlockNumber, ChainLimits, Head, Machine, MachineId, MachineStatus,
    Order, OrderStatus, Planck, RentId, Schedule, UnixMillis,
};

/// From the block that prolongs an order to its end there are so many blocks at the most; a constant of the pallet's code, whatever
/// governance makes of the longest order.
pub const RELET_HORIZON: u32 = 60 * BLOCKS_PER_DAY;

/// Why a call is of no use. Nothing was signed, and nothing is paid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Futile {
    /// There is no such machine.
    #[error("the chain has no machine {0}")]
    NoMachine(MachineId),
    /// Not even one card. The chain takes it, with the fixed fee.
    #[error("an order of no graphics cards grants nothing, and costs {}", fixed.in_dbc())]
    NoCards {
        /// What it would cost.
        fixed: Planck,
    },
    /// More cards than are free.
    #[error("{asked} graphics cards are asked for, and {free} of the machine's {all} are free")]
    Cards {
        /// So many are asked for.
        asked: u32,
        /// So many are free.
        free: u32,
        /// So many there are.
        all: u32,
    },
    /// The chain rents by steps.
    #[error("{asked} blocks are asked for, and an order lasts {step} blocks or a multiple of that")]
    Step {
        /// Blocks that are asked for.
        asked: u32,
        /// Blocks of a step.
        step: u32,
    },
    /// The chain would cut it without a word.
    #[error("{asked} blocks are asked for, and an order lasts {longest} blocks at the most")]
    TooLong {
        /// Blocks that are asked for.
        asked: u32,
        /// Blocks of the longest order.
        longest: u32,
    },
    /// Neither online nor rented.
    #[error("the machine is {}, and only one that is online can be rented", .0.words())]
    NotRentable(MachineStatus),
    /// Out of the hours that the machine's owner keeps.
    #[error("{0}")]
    Closed(Box<Closed>),
    /// Another account rents it.
    #[error("order {0} is another account's, and not this wallet's")]
    Foreign(RentId),
    /// It is paid.
    #[error("order {order} is confirmed already, since block {since}")]
    Confirmed {
        /// The order.
        order: RentId,
        /// The block that confirmed it.
        since: BlockNumber,
    },
    /// No block is left to confirm it in.
    #[error("order {order} could be confirmed up to block {last}, and the best block is {best}")]
    Late {
        /// The order.
        order: RentId,
        /// The last block of its window.
        last: BlockNumber,
        /// The best block.
        best: BlockNumber,
    },
    /// Its machine must be rented. One that is online had an order that ended while this one waited.
    #[error("order {order} cannot be confirmed while its machine is {}{}", status.words(), ended(*status))]
    Away {
        /// The order.
        order: RentId,
        /// How its machine is.
        status: MachineStatus,
    },
    /// Only what is paid can be prolonged.
    #[error("order {0} waits to be confirmed, and can be prolonged only then")]
    Unconfirmed(RentId),
    /// Less than the chain prolongs by.
    #[error("{asked} blocks are asked for, and an order is prolonged by {least} at the least")]
    TooShort {
        /// Blocks that are asked for.
        asked: u32,
        /// The fewest.
        least: u32,
    },
    /// The chain would cut it without a word, or do nothing.
    #[error("{asked} blocks are asked for, and order {order} can be prolonged by {most} now")]
    TooFar {
        /// The order.
        order: RentId,
        /// Blocks that are asked for.
        asked: u32,
        /// The most.
        most: u32,
    },
    /// Another account acts for the machine.
    #[error("the machine's controller is another account, and not this wallet's")]
    NotController,
    /// It is not in the state for this report.
    #[error("the machine is {}, and cannot be reported {}", status.words(), if *online { "online" } else { "offline" })]
    Report {
        /// How it is.
        status: MachineStatus,
        /// As what it was to be reported.
        online: bool,
    },
}

/// Whether an order can last so long.
///
/// # Errors
/// What is allowed instead.
pub fn length(limits: &ChainLimits, blocks: u32) -> Result<(), Futile> {
    let ChainLimits { rent_step: step, longest, .. } = *limits;
    if blocks == 0 || !blocks.is_multiple_of(step) {
        return Err(Futile::Step { asked: blocks, step });
    }
    if blocks > longest {
        return Err(Futile::TooLong { asked: blocks, longest });
    }
    Ok(())
}

/// Whether such an order can be made now. One of no cards can.
///
/// # Errors
/// Why it cannot.
pub fn rent(
    machine: &Machine,
    limits: &ChainLimits,
    cards: u32,
    blocks: u32,
) -> Result<(), Futile> {
    length(limits, blocks)?;
    let free = machine.gpus.saturating_sub(machine.rented_gpus);
    if cards > free || machine.gpus == 0 {
        return Err(Futile::Cards { asked: cards, free, all: machine.gpus });
    }
    match machine.status {
        MachineStatus::Online | MachineStatus::Rented => Ok(()),
        status => Err(Futile::NotRentable(status)),
    }
}

/// Whether the hours that a machine's owner keeps allow such an order in the block after the best; yields the last block that may have
/// it, if blocks come in time, and none where that is always. Of a chain whose blocks come with transactions only the next one may come
/// much later.
///
/// # Errors
/// When the machine is let.
pub fn hours(schedule: &Schedule, best: &Head, blocks: u32) -> Result<Option<BlockNumber>, Futile> {
    let next = UnixMillis(best.time.0.saturating_add(BLOCK_MS));
    let latest = schedule.open(next, blocks).map_err(|closed| Futile::Closed(Box::new(closed)))?;
    Ok(latest.map(|latest| {
        let later = latest.0.saturating_sub(next.0) / BLOCK_MS;
        best.number.after(1).after(u32::try_from(later).unwrap_or(u32::MAX))
    }))
}

/// Whether this account can confirm an order in the block after the best.
///
/// # Errors
/// Why it cannot.
pub fn confirm(
    order: &Order,
    machine: Option<&Machine>,
    limits: &ChainLimits,
    account: &AccountId,
    best: BlockNumber,
) -> Result<(), Futile> {
    let id = order.rent_id;
    if order.renter != *account {
        return Err(Futile::Foreign(id));
    }
    if order.status != OrderStatus::Waiting {
        return Err(Futile::Confirmed { order: id, since: order.confirmed });
    }
    let last = order.start.after(limits.confirm_window);
    if best >= last {
        return Err(Futile::Late { order: id, last, best });
    }
    match machine.map(|machine| machine.status) {
        // Made by the order itself.
        Some(MachineStatus::Rented) => Ok(()),
        Some(status) => Err(Futile::Away { order: id, status }),
        None => Err(Futile::NoMachine(order.machine)),
    }
}

/// Whether this account can prolong an order by so much in the block after the best.
///
/// # Errors
/// Why it cannot.
pub fn relet(
    order: &Order,
    limits: &ChainLimits,
    account: &AccountId,
    blocks: u32,
    best: BlockNumber,
) -> Result<(), Futile> {
    let id = order.rent_id;
    if order.renter != *account {
        return Err(Futile::Foreign(id));
    }
    if order.status != OrderStatus::Renting {
        return Err(Futile::Unconfirmed(id));
    }
    let least = limits.shortest_relet;
    if blocks < least {
        return Err(Futile::TooShort { asked: blocks, least });
    }
    // Later blocks allow more.
    let most = best.after(1).after(RELET_HORIZON).since(order.end);
    if blocks > most {
        return Err(Futile::TooFar { order: id, asked: blocks, most });
    }
    Ok(())
}

/// Whether this account can report the machine.
///
/// # Errors
/// Why it cannot.
pub fn report(machine: &Machine, account: &AccountId, online: bool) -> Result<(), Futile> {
    if machine.controller != *account {
        return Err(Futile::NotController);
    }
    let fits = match machine.status {
        MachineStatus::Offline => online,
        MachineStatus::Online | MachineStatus::Rented => !online,
        MachineStatus::Exit | MachineStatus::Preparing => false,
    };
    if fits { Ok(()) } else { Err(Futile::Report { status: machine.status, online }) }
}

fn ended(status: MachineStatus) -> &'static str {
    match status {
        MachineStatus::Online => ": the chain counts it as free since another order ended",
        _ => "",
    }
}
