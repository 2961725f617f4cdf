//! What is done before a session starts in rented mode.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use keys::{Pair, verify_bytes};
use ledger::{Ledger, Op, Options};
use session::access::{
    Binding, Challenges, Ticket, TicketId, TicketScope, TicketScopes, Tickets, UnixSeconds,
};
use session::lease::{BootTime, Claimant, LeaseBook, LeaseConfig, LeaseEvent, MachineView};
use session::rental::{
    AccountId, BlockHash, BlockNumber, ChainLimits, GpuSlots, Head, Machine, MachineId,
    MachineStatus, Order, OrderStatus, Perbill, Planck, RentId, UnixMillis,
};

use super::figures::Findings;
use super::{Args, folder, millis};

const GENESIS: BlockHash = BlockHash([1; 32]);
const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
const BOOT: BootTime = BootTime(0);
/// Checks of each kind.
const CHECKS: u32 = 2_000;
/// Orders of the machine.
const ORDERS: u64 = 16;

pub(crate) fn run(args: &Args, findings: &mut Findings) -> Result<()> {
    let renter = Pair::sr25519(&[9; 32])?;
    let machine = MachineId::of_public_key(&[2; 32]);
    let mut book = book(machine, renter.account());
    let mut took = Vec::new();
    for number in 0..CHECKS {
        let (asked, order) = (Instant::now(), RentId(u64::from(number) % ORDERS));
        book.check(BOOT, order, Claimant::Renter(renter.account()))?;
        took.push(millis(asked));
    }
    findings.spread("lease.check", "ms", took);
    findings.spread("lease.renter", "ms", renters(&mut book, &renter, machine)?);
    findings.spread("lease.ticket", "ms", tickets(&book, &renter, machine, args)?);
    Ok(())
}

/// A renter's signature is checked, and a card of his order taken.
fn renters(book: &mut LeaseBook, renter: &Pair, machine: MachineId) -> Result<Vec<f64>> {
    let mut challenges = Challenges::new(&[9; 32], CHECKS as usize, 60);
    let mut took = Vec::new();
    for number in 0..CHECKS {
        let mut nonce = [0; 16];
        nonce[..4].copy_from_slice(&number.to_be_bytes());
        let request = binding(machine, RentId(u64::from(number) % ORDERS));
        let text = challenges.issue(NOW, nonce, request.clone())?.text();
        let signature = renter.sign(text.as_bytes())?.tagged();
        let account = renter.account();
        let asked = Instant::now();
        challenges.redeem(NOW, &text, &request, &account, |account, text| {
            verify_bytes(account, &signature, text).is_ok()
        })?;
        let card = book.occupy(BOOT, request.rent_id, Claimant::Renter(account), None)?;
        took.push(millis(asked));
        book.release(card);
    }
    Ok(took)
}

/// A ticket is exchanged, its use on the disk before anybody is let in.
fn tickets(book: &LeaseBook, renter: &Pair, machine: MachineId, args: &Args) -> Result<Vec<f64>> {
    let folder = folder(args)?;
    let ledger = Ledger::open(&folder.path().join("ledger.db"), Options::default())?;
    let mut known = Tickets::default();
    let mut took = Vec::new();
    for number in 0..CHECKS / 10 {
        let request = binding(machine, RentId(1));
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let ticket = Ticket {
            binding: request.clone(),
            id: TicketId(id),
            scopes: TicketScopes::new([TicketScope::Play]).context("a scope")?,
            not_before: NOW,
            not_after: UnixSeconds(NOW.0 + 60),
            uses: 1,
            slot: None,
        };
        let text = ticket.text();
        let signature = renter.sign(text.as_bytes())?.tagged();
        let asked = Instant::now();
        let grant = book.check(BOOT, request.rent_id, Claimant::Bearer)?;
        let record = known.present(NOW, &text, &request, &grant.renter, |account, text| {
            verify_bytes(account, &signature, text).is_ok()
        })?;
        ledger.commit_blocking(Op::Ticket(record))?;
        known.persisted(&record)?;
        took.push(millis(asked));
    }
    Ok(took)
}

fn binding(machine: MachineId, rent_id: RentId) -> Binding {
    Binding {
        genesis: GENESIS,
        machine,
        rent_id,
        origin: "https://node.example".to_owned(),
        method: "POST".to_owned(),
        path: "/api/v1/sessions".to_owned(),
        body: Binding::body_of(b"{}"),
    }
}

/// A book that has seen a block with orders.
fn book(machine: MachineId, renter: AccountId) -> LeaseBook {
    let config =
        LeaseConfig { genesis: GENESIS, machine, trial: Duration::from_secs(120), trials_a_day: 3 };
    let limits = ChainLimits {
        confirm_window: 150,
        rent_step: 300,
        shortest_relet: 100,
        longest: 864_000,
        fixed_fee: Planck::dbc(10),
        burn: Perbill(50_000_000),
        slot: Some(Duration::from_secs(6)),
    };
    let order = |number: u64| Order {
        rent_id: RentId(number),
        machine,
        renter,
        start: BlockNumber(1),
        confirmed: BlockNumber(2),
        end: BlockNumber(301),
        status: OrderStatus::Renting,
        slots: GpuSlots::new(vec![number as u32]),
        receiver: None,
    };
    let rented = Machine {
        id: machine,
        owner: AccountId([3; 32]),
        controller: AccountId([4; 32]),
        status: MachineStatus::Rented,
        gpus: ORDERS as u32,
        rented_gpus: ORDERS as u32,
        calc_point: 1,
    };
    let view = MachineView { machine: Some(rented), orders: (0..ORDERS).map(order).collect() };
    let head = Head {
        number: BlockNumber(10),
        hash: BlockHash([2; 32]),
        parent: BlockHash([3; 32]),
        time: UnixMillis(NOW.0 * 1_000),
    };
    let mut book = LeaseBook::new(config, BOOT);
    book.handle(BOOT, LeaseEvent::Connected(GENESIS, limits));
    book.handle(BOOT, LeaseEvent::Best(head, Some(view)));
    while book.poll_action().is_some() {}
    book
}
