//! Orders by the real chain's rules: each deadline a block before and after, each error by name, and the quirks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod support;

use runtime::pallets::{dbc_price, generic_func, online_profile, rent_machine};
use runtime::types::{DBC, MachineStatus, ONE_DAY, RentStatus};
use runtime::{Runtime, RuntimeEvent, genesis};
use sp_core::H160;
use sp_runtime::Perbill;
use support::{
    Chain, MachineCall, RentCall, RentError, RentEvent, confirm, id, named, offline, online, relet,
    rent,
};

/// What one card costs for 300 blocks: what the real runtime was seen to hold.
const FEE: u128 = 5_017 * DBC / 1_000;

#[test]
fn an_order_costs_what_the_real_runtime_held() {
    let chain = Chain::new();
    let (free, _) = chain.money("//Bob");
    let treasury = || {
        let account = generic_func::Pallet::<Runtime>::treasury();
        chain.read(|| runtime::Balances::free_balance(&account))
    };
    let rent_id = chain.rent("//Bob", 1, 300).unwrap();
    let (left, held) = chain.money("//Bob");
    let order = chain.order(rent_id).unwrap();
    assert_eq!((held, order.stake_amount, treasury()), (FEE, FEE, 10 * DBC));
    let network = free - left - FEE - 10 * DBC;
    assert!((DBC / 10_000..DBC / 2_000).contains(&network), "{network}");
    assert_eq!((order.rent_start, order.rent_end), (chain.number(), chain.number() + 300));
    assert_eq!((order.gpu_num, order.gpu_index), (1, vec![0]));
    assert_eq!(order.rent_status, RentStatus::WaitingVerifying);
    assert_eq!(chain.machine().machine_status, MachineStatus::Rented);
}

#[test]
fn rent_is_paid_at_confirmation_less_what_is_burnt() {
    let chain = Chain::new();
    let total = |who| {
        let (free, held) = chain.money(who);
        free + held
    };
    let (owner, pot) = (total("//Alice//stash"), total("//Burn"));
    let rent_id = chain.rent("//Bob", 1, 300).unwrap();
    assert_eq!(total("//Alice//stash"), owner);
    let events = chain.send("//Bob", confirm(rent_id)).unwrap();
    let bob = genesis::account("//Bob");
    let told = RentEvent::ConfirmRent(rent_id, bob.clone(), id(), 1, 300, FEE);
    assert!(events.contains(&RuntimeEvent::RentMachine(told)));
    let burnt = Perbill::from_percent(5) * FEE;
    assert_eq!(total("//Alice//stash") - owner, FEE - burnt);
    assert_eq!(total("//Burn") - pot, burnt);
    let machine = chain.machine();
    assert_eq!((machine.total_rent_fee, machine.total_burn_fee), (FEE - burnt, burnt));
    assert_eq!((machine.renters, machine.total_rented_times), (vec![bob], 1));
    let order = chain.order(rent_id).unwrap();
    assert_eq!((order.rent_status, order.stake_amount), (RentStatus::Renting, 0));
    assert_eq!(order.confirm_rent, chain.number());
}

#[test]
fn governance_changes_prices_fees_and_what_is_burnt_at_once() {
    let chain = Chain::new();
    let percent = Perbill::from_percent(30);
    chain.sudo(MachineCall::set_rentfee_destroy_percent { percent });
    chain.sudo(generic_func::Call::<Runtime>::set_fixed_tx_fee { tx_fee: DBC });
    let (before, pot) = (chain.money("//Bob"), chain.money("//Burn").0);
    let rent_id = chain.rent("//Bob", 1, 300).unwrap();
    let spent = before.0 - chain.money("//Bob").0 - FEE;
    assert!((DBC..DBC + DBC / 1_000).contains(&spent), "{spent}");
    chain.send("//Bob", confirm(rent_id)).unwrap();
    assert_eq!(chain.money("//Burn").0 - pot, percent * FEE);
}

#[test]
fn an_order_is_confirmed_in_the_last_block_of_its_window_and_not_after() {
    for (blocks, expected) in [(150, true), (151, false)] {
        let chain = Chain::new();
        let rent_id = chain.rent("//Bob", 1, 300).unwrap();
        let start = chain.number();
        chain.advance_to(start + blocks - 1);
        assert_eq!(chain.order(rent_id).is_some(), expected);
        let confirmed = chain.send("//Bob", confirm(rent_id));
        assert_eq!(chain.number(), start + blocks);
        match expected {
            true => assert!(confirmed.is_ok(), "{confirmed:?}"),
            false => assert_eq!(confirmed, named(RentError::Unknown)),
        }
    }
}

#[test]
fn an_order_that_nobody_confirms_goes_with_its_window_without_a_word() {
    let chain = Chain::new();
    let before = chain.money("//Bob");
    let rent_id = chain.rent("//Bob", 3, 300).unwrap();
    let start = chain.number();
    chain.advance_to(start + 149);
    assert!(chain.order(rent_id).is_some());
    chain.advance_to(start + 150);
    assert_eq!(chain.order(rent_id), None);
    let ours = |event: &RuntimeEvent| {
        matches!(event, RuntimeEvent::RentMachine(_) | RuntimeEvent::OnlineProfile(_))
    };
    assert!(!chain.events().iter().any(ours));
    let after = chain.money("//Bob");
    assert_eq!(after.1, 0);
    assert!(before.0 - after.0 >= 10 * DBC && before.0 - after.0 < 11 * DBC);
    assert_eq!((chain.machine().machine_status, chain.rented()), (MachineStatus::Online, 0));
    let left = chain.read(|| {
        (
            rent_machine::UserOrder::<Runtime>::get(genesis::account("//Bob")),
            rent_machine::MachineRentOrder::<Runtime>::get(id()),
            rent_machine::RentEnding::<Runtime>::contains_key(start + 300),
            rent_machine::ConfirmingOrder::<Runtime>::contains_key(start + 150),
        )
    });
    assert_eq!(left, (Vec::new(), Default::default(), false, false));
}

#[test]
fn a_confirmation_after_the_window_is_told_so_where_the_order_is_still_there() {
    let chain = Chain::new();
    let first = chain.rent("//Bob", 1, 300).unwrap();
    let start = chain.number();
    // An order of the same block that is gone keeps the hook from the rest of its block's.
    let key = rent_machine::ConfirmingOrder::<Runtime>::hashed_key_for(start + 150);
    let list = codec::Encode::encode(&vec![u64::MAX, first]);
    let action = nearlight_devchain::Action::SetStorage(vec![(key, Some(list))]);
    chain.node.act(action).unwrap();
    chain.advance_to(start + 151);
    assert!(chain.order(first).is_some(), "it stays for ever");
    assert_eq!(chain.send("//Bob", confirm(first)), named(RentError::ExpiredConfirm));
}

#[test]
fn an_order_ends_with_its_last_block_and_can_be_prolonged_in_it() {
    let chain = Chain::new();
    let kept = chain.confirmed("//Bob", 1, 300);
    let end = chain.order(kept).unwrap().rent_end;
    chain.advance_to(end - 1);
    let events = chain.send("//Bob", relet(kept, 100)).unwrap();
    assert_eq!((chain.number(), chain.order(kept).unwrap().rent_end), (end, end + 100));
    let fee = 1_672 * DBC / 1_000;
    let told = RentEvent::Relet(kept, genesis::account("//Bob"), id(), 1, 100, fee);
    assert!(events.contains(&RuntimeEvent::RentMachine(told)), "{events:?}");
    chain.advance_to(end + 99);
    assert!(chain.order(kept).is_some());
    chain.advance_to(end + 100);
    assert_eq!(chain.order(kept), None);
    assert_eq!(chain.send("//Bob", relet(kept, 100)), named(RentError::Unknown));
    let machine = chain.machine();
    assert_eq!((machine.machine_status, machine.renters), (MachineStatus::Online, Vec::new()));
    let history = chain.read(|| {
        rent_machine::MachineRenterRentedOrders::<Runtime>::get(id(), genesis::account("//Bob"))
    });
    let ends: Vec<u32> = history.iter().map(|entry| entry.rent_end).collect();
    assert_eq!(ends, [end, end + 100], "written at confirmation and each time after");
}

#[test]
fn what_cannot_be_rented_is_refused_by_name() {
    let chain = Chain::new();
    let unknown =
        RentCall::rent_machine { machine_id: vec![b'0'; 64], rent_gpu_num: 1, duration: 300 };
    assert_eq!(chain.send("//Bob", unknown), named(RentError::Unknown));
    for (cards, blocks, error) in [
        (5, 300, RentError::GPUNotEnough),
        (u32::MAX, 300, RentError::GPUNotEnough),
        (1, 299, RentError::OnlyHalfHourAllowed),
        (1, 301, RentError::OnlyHalfHourAllowed),
        // The first check that fails names the error.
        (5, 299, RentError::GPUNotEnough),
    ] {
        assert_eq!(chain.send("//Bob", rent(cards, blocks)), named(error));
    }
    assert_eq!(chain.send("//Poor", rent(1, 300)), named(RentError::PayTxFeeFailed));
    let (free, held) = chain.money("//Poor");
    assert!(free > DBC - DBC / 1_000 && held == 0, "the network's fee is all it cost");
    let call = generic_func::Call::<Runtime>::set_fixed_tx_fee { tx_fee: DBC / 10 };
    chain.sudo(call);
    assert_eq!(chain.send("//Poor", rent(1, 300)), named(RentError::InsufficientValue));
    assert!(chain.money("//Poor").0 > DBC - DBC / 500, "the fixed fee came back");
    chain.send("//Charlie", offline()).unwrap();
    assert_eq!(chain.send("//Bob", rent(1, 300)), named(RentError::MachineNotRentable));
}

#[test]
fn confirming_and_prolonging_are_refused_by_name() {
    let chain = Chain::new();
    assert_eq!(chain.send("//Bob", confirm(77)), named(RentError::Unknown));
    let rent_id = chain.rent("//Bob", 1, 300).unwrap();
    assert_eq!(chain.send("//Dave", confirm(rent_id)), named(RentError::NoOrderExist));
    assert_eq!(chain.send("//Bob", relet(rent_id, 100)), named(RentError::NoOrderExist));
    chain.send("//Bob", confirm(rent_id)).unwrap();
    assert_eq!(chain.send("//Bob", confirm(rent_id)), named(RentError::NoOrderExist));
    assert_eq!(chain.send("//Bob", relet(rent_id, 99)), named(RentError::ReletTooShort));
    assert_eq!(chain.send("//Dave", relet(rent_id, 100)), named(RentError::NotMachineRenter));
    assert_eq!(chain.send("//Dave", relet(rent_id, 99)), named(RentError::ReletTooShort));
    let pot = rent_machine::RentFeePot::<Runtime>::hashed_key().to_vec();
    chain.node.act(nearlight_devchain::Action::SetStorage(vec![(pot, None)])).unwrap();
    assert_eq!(chain.send("//Bob", relet(rent_id, 100)), named(RentError::UndefinedRentPot));
    let other = chain.rent("//Bob", 1, 300).unwrap();
    assert_eq!(chain.send("//Bob", confirm(other)), named(RentError::UndefinedRentPot));
}

#[test]
fn an_address_is_bound_by_the_machines_owner_only() {
    let chain = Chain::new();
    let bind = |machine_id| RentCall::bond_evm_address { machine_id, evm_address: H160([7; 20]) };
    assert_eq!(chain.send("//Bob", bind(id())), named(RentError::NotMachineOwner));
    let unknown = bind(vec![b'1'; 64]);
    assert_eq!(chain.send("//Charlie", unknown), named(RentError::MachineNotFound));
    let events = chain.send("//Charlie", bind(id())).unwrap();
    let told = RentEvent::SetEvmAddress(H160([7; 20]), genesis::account("//Charlie"));
    assert!(events.contains(&RuntimeEvent::RentMachine(told)));
}

#[test]
fn an_order_of_no_cards_is_one_and_an_order_of_no_blocks_is_none() {
    let chain = Chain::new();
    let events = chain.send("//Bob", rent(1, 0)).unwrap();
    assert!(!events.iter().any(|event| matches!(event, RuntimeEvent::RentMachine(_))));
    assert_eq!(chain.machine().machine_status, MachineStatus::Online);
    let rent_id = chain.rent("//Bob", 0, 300).unwrap();
    let order = chain.order(rent_id).unwrap();
    assert_eq!((order.stake_amount, order.gpu_index), (0, Vec::new()));
    assert_eq!((chain.machine().machine_status, chain.rented()), (MachineStatus::Rented, 0));
}

#[test]
fn orders_are_cut_to_sixty_days_without_a_word() {
    let chain = Chain::new();
    let rent_id = chain.rent("//Bob", 1, 60 * ONE_DAY + 300).unwrap();
    let order = chain.order(rent_id).unwrap();
    assert_eq!(order.rent_end - order.rent_start, 60 * ONE_DAY);
    chain.send("//Bob", confirm(rent_id)).unwrap();
    // One block has passed since, so one block is left to be had, and then none.
    chain.send("//Bob", relet(rent_id, 100)).unwrap();
    let end = chain.order(rent_id).unwrap().rent_end;
    assert_eq!(end, chain.number() + 60 * ONE_DAY);
}

#[test]
fn cards_are_the_lowest_that_are_free_and_renters_share_a_machine() {
    let chain = Chain::new();
    let first = chain.confirmed("//Bob", 2, 300);
    let second = chain.confirmed("//Dave", 1, 600);
    let cards = |rent_id| chain.order(rent_id).unwrap().gpu_index;
    assert_eq!((cards(first), cards(second), chain.rented()), (vec![0, 1], vec![2], 3));
    assert_eq!(chain.send("//Eve", rent(2, 300)), named(RentError::GPUNotEnough));
    chain.advance_to(chain.order(first).unwrap().rent_end);
    assert_eq!(chain.machine().machine_status, MachineStatus::Rented, "one is left");
    assert_eq!(chain.machine().renters, [genesis::account("//Dave")]);
    let third = chain.rent("//Eve", 3, 300).unwrap();
    assert_eq!(cards(third), [0, 1, 3]);
    // A waiting order keeps no machine rented: where the last confirmed one ends, it is online.
    let end = chain.order(second).unwrap().rent_end;
    chain.advance_to(end - 100);
    let waiting = chain.rent("//Bob", 1, 300).unwrap();
    chain.advance_to(end);
    assert!(chain.order(waiting).is_some());
    assert_eq!(chain.machine().machine_status, MachineStatus::Online);
}

#[test]
fn the_oracle_needs_64_prices_and_takes_them_from_anybody() {
    let chain = Chain::new();
    chain.node.act(nearlight_devchain::Action::SetDbcPrice(None)).unwrap();
    assert_eq!(chain.send("//Bob", rent(1, 300)), named(RentError::Overflow));
    let mean = || chain.read(dbc_price::AvgPrice::<Runtime>::get);
    let tell = |price| {
        let call = dbc_price::Call::<Runtime>::submit_price_unsigned { price };
        let extrinsic = runtime::UncheckedExtrinsic::new_bare(call.into());
        chain.node.submit(codec::Encode::encode(&extrinsic)).unwrap();
    };
    for price in 1..=63 {
        tell(price * 1_000);
        assert_eq!(mean(), None);
    }
    tell(64_000);
    assert_eq!(mean(), Some(32_500));
    tell(65_000);
    assert_eq!(mean(), Some(33_500), "of the newest 64");
}

#[test]
fn a_machine_that_was_forced_out_leaves_its_orders() {
    let chain = Chain::new();
    let confirmed = chain.confirmed("//Bob", 1, 300);
    let waiting = chain.rent("//Dave", 1, 300).unwrap();
    let started = chain.number();
    let exit = MachineCall::force_machine_exit { machine_ids: vec![id()] };
    let refused = chain.send("//Eve", exit.clone());
    assert_eq!(refused, named(online_profile::Error::<Runtime>::NotAuthorized));
    let accounts = vec![genesis::account("//Eve")];
    chain.sudo(MachineCall::update_authorized_force_exit_accounts { accounts });
    chain.send("//Eve", exit).unwrap();
    assert_eq!(chain.read(|| online_profile::MachinesInfo::<Runtime>::get(id())), None);
    assert!(chain.order(confirmed).is_some() && chain.order(waiting).is_some());
    assert_eq!(chain.money("//Alice//stash").1, 0, "the stake is free");
    assert_eq!(chain.send("//Dave", confirm(waiting)), named(RentError::Unknown));
    assert_eq!(chain.send("//Bob", relet(confirmed, 100)), named(RentError::Unknown));
    chain.advance_to(started + 150);
    assert_eq!(chain.order(waiting), None);
    let end = chain.order(confirmed).unwrap().rent_end;
    chain.advance_to(end);
    assert_eq!(chain.order(confirmed), None, "it ends all the same");
}

#[test]
fn an_offline_machine_keeps_its_leases_clock_running() {
    let chain = Chain::new();
    let rent_id = chain.confirmed("//Bob", 1, 300);
    let waiting = chain.rent("//Dave", 1, 300).unwrap();
    chain.send("//Charlie", offline()).unwrap();
    assert_eq!(chain.send("//Dave", confirm(waiting)), named(RentError::StatusNotAllowed));
    chain.send("//Bob", relet(rent_id, 100)).unwrap();
    chain.advance_to(chain.order(rent_id).unwrap().rent_end);
    assert_eq!(chain.order(rent_id), None);
    chain.send("//Charlie", online()).unwrap();
    // Its order ended meanwhile: it is online, not rented.
    assert_eq!(chain.machine().machine_status, MachineStatus::Online);
}
