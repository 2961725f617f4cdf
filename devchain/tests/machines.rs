//! Machines: the hours that they keep, extra prices, who gets the rent, being away; and runtime 400, which has less of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod support;

use std::sync::atomic::Ordering;

use nearlight_devchain::{Action, Seal};
use runtime::pallets::online_profile::Registration;
use runtime::pallets::{development, generic_func, online_profile, rent_machine};
use runtime::types::{DBC, MachineRentalMode, MachineStatus, ONE_DAY, TimeRange};
use runtime::{Runtime, RuntimeEvent, genesis};
use sp_runtime::Perbill;
use support::{
    Chain, MONDAY, MachineCall, MachineError, RentError, confirm, id, named, offline, online, rent,
};

const HOUR: u64 = 3_600_000;
const TWO_HOURS: u32 = 1_200;

fn mode(mode: MachineRentalMode) -> MachineCall {
    MachineCall::set_machine_rental_mode { machine_id: id(), mode }
}

fn hours(ranges: &[(u8, u8)]) -> Vec<TimeRange> {
    let range = |(start_hour, end_hour): &(u8, u8)| TimeRange {
        start_hour: *start_hour,
        end_hour: *end_hour,
    };
    ranges.iter().map(range).collect()
}

fn week(weekday: u8, ranges: &[(u8, u8)]) -> MachineCall {
    MachineCall::set_weekly_schedule { machine_id: id(), weekday, ranges: hours(ranges) }
}

fn date(date_days: u32, ranges: &[(u8, u8)]) -> MachineCall {
    MachineCall::set_specific_date_schedule { machine_id: id(), date_days, ranges: hours(ranges) }
}

/// A chain whose next block is at this time, and a machine that is open from 10 to 14 o'clock on Mondays and until midnight
/// from 20 o'clock on.
fn slotted() -> Chain {
    let chain = Chain::new();
    chain.send("//Charlie", week(1, &[(10, 14), (20, 24)])).unwrap();
    chain.send("//Charlie", mode(MachineRentalMode::TimeSlot)).unwrap();
    chain
}

fn at(chain: &Chain, time: u64) {
    chain.clock.store(time, Ordering::Relaxed);
}

#[test]
fn a_machine_is_rented_in_its_hours_only() {
    for (from, blocks, open) in [
        (10 * HOUR, TWO_HOURS, true),
        (10 * HOUR - 1, TWO_HOURS, false),
        (10 * HOUR, 900, false),                 // less than two hours
        (12 * HOUR, TWO_HOURS, true),            // to the end of the range
        (12 * HOUR + HOUR - 1, TWO_HOURS, true), // the hour of the end counts, not the minute
        (13 * HOUR, TWO_HOURS, false),
        (11 * HOUR, 3_000, false),          // out of one range
        (22 * HOUR, TWO_HOURS, true),       // to midnight
        (22 * HOUR + 999, TWO_HOURS, true), // to the second
        (22 * HOUR + 1_000, TWO_HOURS, false),
        (24 * HOUR + 10 * HOUR, TWO_HOURS, false), // Tuesday
        (7 * 24 * HOUR + 10 * HOUR, TWO_HOURS, true), // Monday again
    ] {
        let chain = slotted();
        at(&chain, MONDAY + from);
        let rented = chain.send("//Bob", rent(1, blocks));
        match open {
            true => assert!(rented.is_ok(), "{from} {blocks}: {rented:?}"),
            false => {
                assert_eq!(rented, named(RentError::OutOfRentalSchedule), "{from} {blocks}");
            }
        }
    }
}

#[test]
fn a_day_of_its_own_goes_before_the_week_and_prolonging_asks_nobody() {
    let chain = slotted();
    let monday = (MONDAY / (24 * HOUR)) as u32;
    chain.send("//Alice//stash", date(monday, &[(3, 6)])).unwrap();
    at(&chain, MONDAY + 10 * HOUR);
    assert_eq!(chain.send("//Bob", rent(1, TWO_HOURS)), named(RentError::OutOfRentalSchedule));
    let clear = MachineCall::clear_specific_date { machine_id: id(), date_days: monday };
    chain.send("//Charlie", clear).unwrap();
    let rent_id = chain.confirmed("//Bob", 1, TWO_HOURS);
    chain.send("//Bob", support::relet(rent_id, ONE_DAY)).unwrap();
}

#[test]
fn schedules_that_are_none_are_refused() {
    let chain = Chain::new();
    let today = (MONDAY / (24 * HOUR)) as u32;
    let many: Vec<(u8, u8)> = (0..11).map(|hour| (hour, hour + 1)).collect();
    for call in [
        week(7, &[(1, 2)]),
        week(0, &[(2, 2)]),
        week(0, &[(3, 2)]),
        week(0, &[(1, 25)]),
        week(0, &[(1, 5), (4, 6)]),
        week(0, &many),
        date(today + 366, &[(1, 2)]),
        date(today - 31, &[(1, 2)]),
    ] {
        let refused = chain.send("//Charlie", call.clone());
        assert_eq!(refused, named(MachineError::InvalidScheduleArgs), "{call:?}");
    }
    for call in [date(today + 365, &[(1, 2)]), date(today - 30, &[(1, 2)]), week(0, &many[1..])] {
        chain.send("//Charlie", call).unwrap();
    }
    let refused = chain.send("//Bob", week(0, &[]));
    assert_eq!(refused, named(MachineError::NotMachineController));
    chain.rent("//Bob", 1, 300).unwrap();
    let refused = chain.send("//Charlie", mode(MachineRentalMode::TimeSlot));
    assert_eq!(refused, named(MachineError::MachineStatusNotAllowed));
}

#[test]
fn an_extra_price_counts_for_each_card_and_day() {
    let chain = Chain::new();
    let set = |extra_price| MachineCall::set_machine_extra_price { machine_id: id(), extra_price };
    let refused = chain.send("//Charlie", set(10_000_000_001));
    assert_eq!(refused, named(MachineError::ExtraPriceTooHigh));
    chain.send("//Alice//stash", set(1_000_000)).unwrap();
    let rent_id = chain.rent("//Bob", 2, ONE_DAY).unwrap();
    // Two cards' share of 28,229,999 * 6,825 / 100,000, and a dollar each, at 0.002 dollars.
    let usd: u128 = 28_229_999 * 6_825 * 10_000 / 100_000 * 2 / 4 / 10_000 + 2_000_000;
    assert_eq!(chain.order(rent_id).unwrap().stake_amount, usd * DBC / 2_000);
}

#[test]
fn rent_goes_to_whom_the_owner_named_when_the_order_was_made() {
    let chain = Chain::new();
    let name =
        |who: Option<&str>| MachineCall::set_rent_receiver { receiver: who.map(genesis::account) };
    let nobody = MachineCall::set_rent_receiver { receiver: Some([0; 32].into()) };
    assert_eq!(chain.send("//Alice//stash", nobody), named(MachineError::InvalidRentReceiver));
    chain.send("//Alice//stash", name(Some("//Dave"))).unwrap();
    let rent_id = chain.rent("//Bob", 1, 300).unwrap();
    // Too late for that order.
    chain.send("//Alice//stash", name(Some("//Eve"))).unwrap();
    let (dave, eve) = (chain.money("//Dave").0, chain.money("//Eve").0);
    let fee = chain.order(rent_id).unwrap().stake_amount;
    chain.send("//Bob", confirm(rent_id)).unwrap();
    let earned = fee - Perbill::from_percent(5) * fee;
    assert_eq!((chain.money("//Dave").0 - dave, chain.money("//Eve").0 - eve), (earned, 0));
    let kept = chain.read(|| rent_machine::RentOrderReceiver::<Runtime>::get(rent_id));
    assert_eq!(kept, Some(genesis::account("//Dave")));
    // An order without such a name goes to whom the owner names when it is paid.
    chain.send("//Alice//stash", name(None)).unwrap();
    let rent_id = chain.rent("//Bob", 1, 300).unwrap();
    chain.send("//Alice//stash", name(Some("//Eve"))).unwrap();
    chain.send("//Bob", confirm(rent_id)).unwrap();
    assert_eq!(chain.money("//Eve").0 - eve, earned);
}

#[test]
fn being_away_costs_the_owner_two_days_later() {
    for (away, rented, percent) in [(69, false, 2), (70, false, 4), (70, true, 4)] {
        let chain = Chain::new();
        if rented {
            chain.confirmed("//Bob", 1, 600);
        }
        let stake = chain.machine().stake_amount;
        assert_eq!(stake, 400_000 * DBC);
        chain.send("//Charlie", offline()).unwrap();
        let before = if rented { MachineStatus::Rented } else { MachineStatus::Online };
        let since = chain.number();
        let status = MachineStatus::StakerReportOffline(since, Box::new(before.clone()));
        assert_eq!(chain.machine().machine_status, status);
        chain.advance_to(since + away - 1);
        chain.send("//Charlie", online()).unwrap();
        let slash = stake * percent / 100;
        assert_eq!(chain.money("//Alice//stash").1, stake + slash, "{away} {rented}");
        assert_eq!(chain.machine().machine_status, before);
        if !rented {
            continue;
        }
        let back = chain.number();
        chain.advance_to(back + 2 * ONE_DAY - 1);
        assert_eq!(chain.money("//Alice//stash").1, stake + slash);
        let (renter, treasury) = (chain.money("//Bob").0, treasury(&chain));
        chain.advance_to(back + 2 * ONE_DAY);
        assert_eq!(chain.money("//Alice//stash").1, stake);
        assert_eq!(chain.money("//Bob").0 - renter, slash / 10);
        assert_eq!(self::treasury(&chain) - treasury, slash - slash / 10);
    }
}

fn treasury(chain: &Chain) -> u128 {
    let account = generic_func::Pallet::<Runtime>::treasury();
    chain.read(|| runtime::Balances::free_balance(&account))
}

#[test]
fn only_its_controller_takes_a_machine_away_and_brings_it_back() {
    let chain = Chain::new();
    assert_eq!(chain.send("//Bob", offline()), named(MachineError::NotMachineController));
    assert_eq!(chain.send("//Charlie", online()), named(MachineError::MachineStatusNotAllowed));
    let events = chain.send("//Charlie", offline()).unwrap();
    let told = online_profile::Event::<Runtime>::ControllerReportOffline(id());
    assert!(events.contains(&RuntimeEvent::OnlineProfile(told)));
    assert_eq!(chain.send("//Charlie", offline()), named(MachineError::MachineStatusNotAllowed));
    let unknown = MachineCall::controller_report_online { machine_id: vec![b'2'; 64] };
    assert_eq!(chain.send("//Charlie", unknown), named(MachineError::Unknown));
}

#[test]
fn an_order_that_lapses_brings_a_machine_online_whatever_it_was() {
    let chain = Chain::new();
    chain.rent("//Bob", 1, 300).unwrap();
    let start = chain.number();
    chain.send("//Charlie", offline()).unwrap();
    chain.advance_to(start + 150);
    assert_eq!(chain.machine().machine_status, MachineStatus::Online);
}

#[test]
fn a_registered_machine_fills_its_stake_from_its_rent() {
    let chain = Chain::new();
    let machine = Registration {
        id: vec![b'7'; 64],
        owner: genesis::account("//Poor"),
        controller: genesis::account("//Eve"),
        gpus: 2,
        calc_point: 6_825,
    };
    let register = |machine| chain.node.act(Action::Register(machine));
    register(machine.clone()).unwrap();
    let refused = register(machine.clone()).unwrap_err().to_string();
    assert_eq!(refused, "the machine is registered already");
    let other = Registration { id: vec![b'8'; 64], owner: genesis::account("//Bob"), ..machine };
    let refused = register(other).unwrap_err().to_string();
    assert_eq!(refused, "the controller acts for another owner");
    assert_eq!(chain.money("//Poor"), (0, DBC));
    let call = support::RentCall::rent_machine {
        machine_id: vec![b'7'; 64],
        rent_gpu_num: 1,
        duration: 300,
    };
    chain.send("//Bob", call).unwrap();
    chain.send("//Bob", confirm(0)).unwrap();
    let (free, held) = chain.money("//Poor");
    assert!(free == 0 && held > 5 * DBC, "rent is held: {free} {held}");
}

#[test]
fn runtime_400_lacks_what_came_later_and_becomes_411_without_a_restart() {
    let chain = Chain::open(None, 400, Seal::Instant);
    let version = || chain.read(runtime::System::runtime_version);
    assert_eq!((version().spec_version, version().transaction_version), (400, 1));
    let percent = chain.read(online_profile::RentFeeDestroyPercent::<Runtime>::get);
    assert_eq!(percent, Perbill::from_percent(30));
    let set = MachineCall::set_machine_extra_price { machine_id: id(), extra_price: 1 };
    let refused = chain.send("//Charlie", set.clone());
    assert_eq!(refused, named(frame_system::Error::<Runtime>::CallFiltered));
    let shown = || {
        let metadata = chain.read(runtime::shape::metadata);
        let text = String::from_utf8_lossy(&metadata).into_owned();
        ["MachineExtraPrice", "RentOrderReceiver", "set_rent_receiver", "OutOfRentalSchedule"]
            .map(|item| text.contains(item))
    };
    assert_eq!(shown(), [false; 4]);
    let key = development::SpecVersion::<Runtime>::hashed_key().to_vec();
    let upgrade = vec![(key, Some(codec::Encode::encode(&411_u32)))];
    chain.node.act(Action::SetStorage(upgrade)).unwrap();
    assert_eq!((version().spec_version, version().transaction_version), (411, 2));
    assert_eq!(shown(), [true; 4]);
    chain.send("//Charlie", set).unwrap();
    chain.rent("//Bob", 1, 300).unwrap();
}
