//! What the chain said last, as the ledger keeps it for a start without the chain.

use std::collections::BTreeSet;
use std::time::Duration;

use keys::{from_hex, to_hex};
use serde::{Deserialize, Serialize};
use session::lease::{MachineView, Restored};
use session::rental::{
    AccountId, BlockHash, BlockNumber, ChainLimits, GpuSlots, Head, Machine, MachineId,
    MachineStatus, Order, OrderStatus, Perbill, Planck, RentId, UnixMillis,
};

/// The name of it in the ledger.
pub(super) const KEY: &str = "lease/1";

#[derive(Serialize, Deserialize)]
struct Kept {
    genesis: String,
    machine: String,
    head: KeptHead,
    limits: KeptLimits,
    view: Option<KeptMachine>,
    orders: Vec<KeptOrder>,
}

#[derive(Serialize, Deserialize)]
struct KeptHead {
    number: u32,
    hash: String,
    parent: String,
    time: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptLimits {
    confirm_window: u32,
    rent_step: u32,
    shortest_relet: u32,
    longest: u32,
    fixed_fee: String,
    burn: u32,
    slot_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct KeptMachine {
    owner: String,
    controller: String,
    status: u8,
    gpus: u32,
    rented_gpus: u32,
    calc_point: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptOrder {
    rent_id: u64,
    renter: String,
    start: u32,
    confirmed: u32,
    end: u32,
    renting: bool,
    /// A final block has it so.
    #[serde(default)]
    paid: bool,
    slots: Vec<u32>,
    receiver: Option<String>,
}

const STATUSES: [MachineStatus; 5] = [
    MachineStatus::Online,
    MachineStatus::Rented,
    MachineStatus::Offline,
    MachineStatus::Exit,
    MachineStatus::Preparing,
];

/// What is to be kept.
pub(super) fn write(
    genesis: &BlockHash,
    machine: &MachineId,
    head: &Head,
    limits: &ChainLimits,
    (view, paid): (&MachineView, &BTreeSet<RentId>),
) -> Vec<u8> {
    let kept = Kept {
        genesis: to_hex(&genesis.0),
        machine: machine.to_string(),
        head: KeptHead {
            number: head.number.0,
            hash: to_hex(&head.hash.0),
            parent: to_hex(&head.parent.0),
            time: head.time.0,
        },
        limits: KeptLimits {
            confirm_window: limits.confirm_window,
            rent_step: limits.rent_step,
            shortest_relet: limits.shortest_relet,
            longest: limits.longest,
            fixed_fee: limits.fixed_fee.to_string(),
            burn: limits.burn.0,
            slot_ms: limits.slot.map(|slot| u64::try_from(slot.as_millis()).unwrap_or(u64::MAX)),
        },
        view: view.machine.as_ref().map(|machine| KeptMachine {
            owner: to_hex(&machine.owner.0),
            controller: to_hex(&machine.controller.0),
            status: STATUSES.iter().position(|each| *each == machine.status).unwrap_or(4) as u8,
            gpus: machine.gpus,
            rented_gpus: machine.rented_gpus,
            calc_point: machine.calc_point,
        }),
        orders: view.orders.iter().map(|order| KeptOrder::of(order, paid)).collect(),
    };
    serde_json::to_vec(&kept).unwrap_or_default()
}

/// What was kept of this chain and machine; none where it is of another, or cannot be read.
pub(super) fn read(
    bytes: &[u8],
    genesis: &BlockHash,
    id: &MachineId,
    wall: UnixMillis,
) -> Option<Restored> {
    let kept: Kept = serde_json::from_slice(bytes).ok()?;
    if hash(&kept.genesis)? != *genesis || MachineId::parse(&kept.machine)? != *id {
        return None;
    }
    let head = Head {
        number: BlockNumber(kept.head.number),
        hash: hash(&kept.head.hash)?,
        parent: hash(&kept.head.parent)?,
        time: UnixMillis(kept.head.time),
    };
    let limits = ChainLimits {
        confirm_window: kept.limits.confirm_window,
        rent_step: kept.limits.rent_step,
        shortest_relet: kept.limits.shortest_relet,
        longest: kept.limits.longest,
        fixed_fee: kept.limits.fixed_fee.parse::<Planck>().ok()?,
        burn: Perbill(kept.limits.burn),
        slot: kept.limits.slot_ms.map(Duration::from_millis),
    };
    let machine = match kept.view {
        None => None,
        Some(machine) => Some(Machine {
            id: *id,
            owner: account(&machine.owner)?,
            controller: account(&machine.controller)?,
            status: *STATUSES.get(usize::from(machine.status))?,
            gpus: machine.gpus,
            rented_gpus: machine.rented_gpus,
            calc_point: machine.calc_point,
        }),
    };
    let paid = kept.orders.iter().filter(|order| order.paid);
    let paid = paid.map(|order| RentId(order.rent_id)).collect();
    let orders =
        kept.orders.into_iter().map(|order| order.order(id)).collect::<Option<Vec<_>>>()?;
    Some(Restored { head, view: MachineView { machine, orders }, paid, limits, wall })
}

impl KeptOrder {
    fn of(order: &Order, paid: &BTreeSet<RentId>) -> Self {
        Self {
            rent_id: order.rent_id.0,
            renter: to_hex(&order.renter.0),
            start: order.start.0,
            confirmed: order.confirmed.0,
            end: order.end.0,
            renting: order.status == OrderStatus::Renting,
            paid: paid.contains(&order.rent_id),
            slots: order.slots.as_slice().to_vec(),
            receiver: order.receiver.map(|receiver| to_hex(&receiver.0)),
        }
    }

    fn order(self, machine: &MachineId) -> Option<Order> {
        Some(Order {
            rent_id: RentId(self.rent_id),
            machine: *machine,
            renter: account(&self.renter)?,
            start: BlockNumber(self.start),
            confirmed: BlockNumber(self.confirmed),
            end: BlockNumber(self.end),
            status: if self.renting { OrderStatus::Renting } else { OrderStatus::Waiting },
            slots: GpuSlots::new(self.slots),
            receiver: match self.receiver {
                Some(receiver) => Some(account(&receiver)?),
                None => None,
            },
        })
    }
}

fn bytes(digits: &str) -> Option<[u8; 32]> {
    from_hex(digits)?.try_into().ok()
}

fn hash(digits: &str) -> Option<BlockHash> {
    bytes(digits).map(BlockHash)
}

fn account(digits: &str) -> Option<AccountId> {
    bytes(digits).map(AccountId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_for_the_same_machine_alone() {
        let (genesis, machine) = (BlockHash([1; 32]), MachineId::of_public_key(&[2; 32]));
        let number = BlockNumber(9);
        let (hash, parent) = (BlockHash([3; 32]), BlockHash([4; 32]));
        let head = Head { number, hash, parent, time: UnixMillis(54_000) };
        let limits = ChainLimits {
            confirm_window: 150,
            rent_step: 300,
            shortest_relet: 100,
            longest: 864_000,
            fixed_fee: Planck(u128::MAX),
            burn: Perbill(50_000_000),
            slot: Some(Duration::from_secs(6)),
        };
        let order = Order {
            rent_id: RentId(u64::MAX),
            machine,
            renter: AccountId([5; 32]),
            start: BlockNumber(1),
            confirmed: BlockNumber(2),
            end: BlockNumber(301),
            status: OrderStatus::Renting,
            slots: GpuSlots::new(vec![1, 3]),
            receiver: Some(AccountId([6; 32])),
        };
        let machine_view = Machine {
            id: machine,
            owner: AccountId([7; 32]),
            controller: AccountId([8; 32]),
            status: MachineStatus::Rented,
            gpus: 4,
            rented_gpus: 2,
            calc_point: 6_825,
        };
        let rent_id = RentId(7);
        let waiting =
            Order { rent_id, status: OrderStatus::Waiting, receiver: None, ..order.clone() };
        let paid = BTreeSet::from([order.rent_id]);
        let view = MachineView { machine: Some(machine_view), orders: vec![order, waiting] };
        let kept = write(&genesis, &machine, &head, &limits, (&view, &paid));
        let wall = UnixMillis(60_000);
        let restored = read(&kept, &genesis, &machine, wall);
        assert_eq!(restored, Some(Restored { head, view, paid, limits, wall }));
        assert_eq!(read(&kept, &BlockHash([2; 32]), &machine, wall), None);
        assert_eq!(read(&kept, &genesis, &MachineId::of_public_key(&[1; 32]), wall), None);
        assert_eq!(read(&kept[1..], &genesis, &machine, wall), None);
    }
}
