use proptest::prelude::*;

use super::*;
use crate::rental::{Perbill, Planck};

const RENTER: AccountId = AccountId([7; 32]);
const GENESIS: BlockHash = BlockHash([1; 32]);

fn machine_id() -> MachineId {
    MachineId::of_public_key(&[2; 32])
}

fn limits() -> ChainLimits {
    ChainLimits {
        confirm_window: 150,
        rent_step: 300,
        shortest_relet: 100,
        longest: 60 * 14_400,
        fixed_fee: Planck::dbc(10),
        burn: Perbill(50_000_000),
        slot: Some(Duration::from_secs(6)),
    }
}

fn order(id: u64, start: u32, end: u32) -> Order {
    Order {
        rent_id: RentId(id),
        machine: machine_id(),
        renter: RENTER,
        start: BlockNumber(start),
        confirmed: BlockNumber(start + 1),
        end: BlockNumber(end),
        status: OrderStatus::Renting,
        slots: GpuSlots::new(vec![1, 3]),
        receiver: None,
    }
}

fn waiting(id: u64, start: u32) -> Order {
    let order = order(id, start, start + 300);
    Order { confirmed: BlockNumber(0), status: OrderStatus::Waiting, ..order }
}

fn view(orders: &[Order]) -> MachineView {
    let machine = Machine {
        id: machine_id(),
        owner: AccountId([8; 32]),
        controller: AccountId([9; 32]),
        status: MachineStatus::Rented,
        gpus: 4,
        rented_gpus: 2,
        calc_point: 1,
    };
    MachineView { machine: Some(machine), orders: orders.to_vec() }
}

/// The block of this number on a branch.
fn head(number: u32, branch: u8) -> Head {
    let hash = |number: u32, branch: u8| {
        let mut hash = [branch; 32];
        hash[..4].copy_from_slice(&number.to_le_bytes());
        BlockHash(hash)
    };
    Head {
        number: BlockNumber(number),
        hash: hash(number, branch),
        parent: hash(number.saturating_sub(1), branch),
        time: UnixMillis(1_000_000 + u64::from(number) * 6_000),
    }
}

/// What was known of block 900, told at this time of the system's clock.
fn restored(wall: UnixMillis) -> LeaseEvent {
    let view = view(&[order(1, 10, 1_000)]);
    let (paid, limits) = (BTreeSet::new(), limits());
    LeaseEvent::Restored(Restored { head: head(900, 0), view, paid, limits, wall })
}

/// A book in virtual time: block `n` comes at `n` times six seconds.
struct Bench {
    book: LeaseBook,
    actions: Vec<LeaseAction>,
}

fn secs(seconds: u64) -> BootTime {
    BootTime::from_millis(seconds * 1_000)
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self::unconnected();
        bench.tell(0, LeaseEvent::Connected(GENESIS, limits()));
        bench
    }

    fn unconnected() -> Self {
        let config = LeaseConfig {
            genesis: GENESIS,
            machine: machine_id(),
            trial: Duration::from_secs(120),
            trials_a_day: 3,
        };
        Self { book: LeaseBook::new(config, secs(0)), actions: vec![] }
    }

    fn tell(&mut self, seconds: u64, event: LeaseEvent) {
        self.book.handle(secs(seconds), event);
        while let Some(action) = self.book.poll_action() {
            self.actions.push(action);
        }
    }

    fn block(&mut self, number: u32, orders: &[Order]) {
        self.tell(u64::from(number) * 6, LeaseEvent::Best(head(number, 0), Some(view(orders))));
    }

    /// Serves every timeout up to a time; yields when what came.
    fn run(&mut self, until: u64) -> Vec<(u64, LeaseAction)> {
        let mut came = Vec::new();
        while let Some(due) = self.book.poll_timeout().filter(|due| *due <= secs(until)) {
            let seconds = due.0.div_ceil(1_000_000_000);
            self.actions.clear();
            self.tell(seconds, LeaseEvent::Timeout);
            came.extend(self.actions.drain(..).map(|action| (seconds, action)));
        }
        came
    }

    fn check(&self, seconds: u64) -> Result<Grant, Denied> {
        self.book.check(secs(seconds), RentId(1), Claimant::Renter(RENTER))
    }

    fn ends(&mut self) -> Vec<(u64, LeaseEnd)> {
        let ends = self.actions.drain(..).filter_map(|action| match action {
            LeaseAction::End(id, end) => Some((id.0, end)),
            _ => None,
        });
        ends.collect()
    }
}

#[test]
fn an_order_is_over_in_its_end_block_and_not_before() {
    let mut bench = Bench::new();
    bench.block(998, &[order(1, 10, 1_000)]);
    bench.block(999, &[order(1, 10, 1_000)]);
    assert!(bench.check(999 * 6 + 5).is_ok());
    assert_eq!(bench.ends(), []);
    // Whether the end block says that the order is gone, or could not be read, or its hook failed.
    for seen in [Some(view(&[])), None, Some(view(&[order(1, 10, 1_000)]))] {
        let mut bench = Bench::new();
        bench.block(999, &[order(1, 10, 1_000)]);
        bench.tell(6_000, LeaseEvent::Best(head(1_000, 0), seen.clone()));
        assert_eq!(bench.ends(), [(1, LeaseEnd::Over)]);
        assert_eq!(bench.check(6_000), Err(Denied::Over));
        bench.tell(6_006, LeaseEvent::Best(head(1_001, 0), seen));
        assert_eq!(bench.ends(), [], "once");
        assert_eq!(bench.check(6_006), Err(Denied::Over));
    }
}

#[test]
fn an_order_that_is_prolonged_in_its_end_block_goes_on() {
    let mut bench = Bench::new();
    bench.block(999, &[order(1, 10, 1_000)]);
    bench.actions.clear();
    bench.block(1_000, &[order(1, 10, 1_100)]);
    assert_eq!(bench.actions, [LeaseAction::Changed(RentId(1))]);
    assert!(bench.check(6_001).is_ok());
}

#[test]
fn missed_heads_end_what_ended_meanwhile() {
    let mut bench = Bench::new();
    bench.block(10, &[order(1, 10, 1_000), order(2, 10, 2_000)]);
    bench.tell(9_000, LeaseEvent::Best(head(1_500, 0), None));
    assert_eq!(bench.ends(), [(1, LeaseEnd::Over)]);
}

#[test]
fn a_trial_ends_with_the_window_and_not_a_block_before() {
    let mut bench = Bench::new();
    bench.block(149, &[waiting(1, 0)]);
    assert_eq!(bench.check(149 * 6).unwrap().trial, Some(Duration::from_secs(120)));
    // In the last block of the window the order is either confirmed or deleted.
    bench.block(150, &[]);
    assert_eq!(bench.ends(), [(1, LeaseEnd::Lapsed)]);
    assert_eq!(bench.check(900), Err(Denied::Lapsed));

    let mut bench = Bench::new();
    bench.block(149, &[waiting(1, 0)]);
    bench.block(150, &[order(1, 0, 300)]);
    assert_eq!(bench.ends(), []);
    assert_eq!(bench.check(900).unwrap().trial, None);
}

#[test]
fn the_player_is_warned_three_times_to_the_second() {
    let mut bench = Bench::new();
    bench.block(900, &[order(1, 10, 1_000)]);
    assert_eq!(bench.actions, [LeaseAction::Changed(RentId(1))]);
    let mut warned = Vec::new();
    for number in 901..1_000 {
        warned.extend(bench.run(u64::from(number) * 6 - 1));
        bench.actions.clear();
        bench.block(number, &[order(1, 10, 1_000)]);
        warned.extend(bench.actions.drain(..).map(|action| (u64::from(number) * 6, action)));
    }
    warned.extend(bench.run(5_999));
    let expected = [(5_700, 300), (5_940, 60), (5_990, 10)];
    let expected =
        expected.map(|(at, left)| (at, LeaseAction::Warn(RentId(1), Duration::from_secs(left))));
    assert_eq!(warned, expected);
}

#[test]
fn who_is_seen_late_is_warned_once_and_a_prolonged_order_anew() {
    let mut bench = Bench::new();
    bench.block(995, &[order(1, 10, 1_000)]);
    let warning = LeaseAction::Warn(RentId(1), Duration::from_secs(30));
    assert_eq!(bench.actions, [LeaseAction::Changed(RentId(1)), warning]);
    bench.actions.clear();
    bench.block(996, &[order(1, 10, 1_100)]);
    assert_eq!(bench.actions, [LeaseAction::Changed(RentId(1))]);
    bench.actions.clear();
    bench.block(1_050, &[order(1, 10, 1_100)]);
    assert_eq!(bench.actions, [LeaseAction::Warn(RentId(1), Duration::from_secs(300))]);
}

#[test]
fn without_heads_the_end_is_estimated_to_the_second() {
    let mut bench = Bench::new();
    bench.block(900, &[order(1, 10, 1_000)]);
    bench.tell(5_410, LeaseEvent::Lost);
    let came = bench.run(10_000);
    let warned = |at, left| (at, LeaseAction::Warn(RentId(1), Duration::from_secs(left)));
    let end = (6_000, LeaseAction::End(RentId(1), LeaseEnd::Over));
    assert_eq!(came, [warned(5_700, 300), warned(5_940, 60), warned(5_990, 10), end]);
    assert_eq!(bench.check(6_000), Err(Denied::Over));
}

#[test]
fn a_check_without_heads_knows_the_time_by_itself() {
    let mut bench = Bench::new();
    bench.block(900, &[order(1, 10, 1_000)]);
    bench.tell(5_410, LeaseEvent::Lost);
    assert!(bench.check(5_999).is_ok());
    assert_eq!(bench.check(6_000), Err(Denied::Over));
}

#[test]
fn a_chain_that_stands_still_keeps_its_leases_while_heads_may_come() {
    let mut bench = Bench::new();
    bench.block(900, &[order(1, 10, 1_000)]);
    bench.run(100_000);
    assert!(bench.check(100_000).is_ok());
    assert_eq!(bench.book.block(), BlockNumber(900));
    // Estimates are forgotten when a head comes, for what has not ended.
    bench.tell(100_000, LeaseEvent::Best(head(901, 0), Some(view(&[order(1, 10, 1_000)]))));
    assert!(bench.check(100_000).is_ok());
}

#[test]
fn nothing_is_estimated_where_blocks_come_with_transactions_only() {
    let mut bench = Bench::new();
    bench.tell(0, LeaseEvent::Limits(ChainLimits { slot: None, ..limits() }));
    bench.block(900, &[order(1, 10, 1_000)]);
    bench.tell(5_410, LeaseEvent::Lost);
    bench.run(100_000);
    assert!(bench.check(100_000).is_ok());
}

#[test]
fn a_restart_without_a_chain_goes_on_from_what_was_known() {
    for (since, is_over) in [(599_999, false), (600_000, true)] {
        let mut bench = Bench::unconnected();
        let last = head(900, 0);
        bench.tell(50, restored(UnixMillis(last.time.0 + since)));
        assert_eq!(bench.check(50).is_err(), is_over, "{since}");
        if !is_over {
            assert_eq!(bench.check(51), Err(Denied::Over));
        }
    }
}

#[test]
fn the_systems_clock_prolongs_nothing() {
    // Set back before a restart: time since the last block counts as none, and that is said.
    let mut bench = Bench::new();
    bench.tell(50, restored(UnixMillis(5)));
    assert_eq!(bench.actions[0], LeaseAction::Notice(LeaseNotice::ClockBehind));
    assert_eq!(bench.check(50 + 600), Err(Denied::Over));
    // A time of the boot clock that goes back is no news.
    let mut bench = Bench::new();
    bench.block(900, &[order(1, 10, 1_000)]);
    bench.tell(5_410, LeaseEvent::Lost);
    bench.tell(5_990, LeaseEvent::Timeout);
    bench.tell(5_000, LeaseEvent::Timeout);
    assert_eq!(bench.book.block(), BlockNumber(998));
    let time = bench.book.time(secs(5_990)).unwrap();
    bench.tell(5_990, LeaseEvent::Best(head(899, 0), None));
    assert!(bench.book.time(secs(5_990)).unwrap() >= time, "the chain's time never goes back");
}

#[test]
fn an_order_that_vanishes_or_whose_machine_is_forced_out_ends_at_once() {
    let mut bench = Bench::new();
    bench.block(10, &[order(1, 5, 1_000)]);
    bench.block(11, &[]);
    assert_eq!(bench.ends(), [(1, LeaseEnd::Vanished)]);
    assert_eq!(bench.check(66), Err(Denied::Vanished));

    // The machine is gone and its order still on the chain.
    for status in [None, Some(MachineStatus::Exit)] {
        let mut bench = Bench::new();
        bench.block(10, &[order(1, 5, 1_000)]);
        let mut gone = view(&[order(1, 5, 1_000)]);
        gone.machine = status
            .and_then(|status| gone.machine.take().map(|machine| Machine { status, ..machine }));
        bench.tell(66, LeaseEvent::Best(head(11, 0), Some(gone)));
        assert_eq!(bench.ends(), [(1, LeaseEnd::MachineGone)]);
        assert_eq!(bench.check(66), Err(Denied::MachineGone));
    }
}

#[test]
fn a_machine_that_is_offline_takes_no_new_sessions_and_ends_none() {
    let mut bench = Bench::new();
    bench.block(10, &[order(1, 5, 1_000)]);
    let mut offline = view(&[order(1, 5, 1_000)]);
    let machine = offline.machine.take();
    offline.machine = machine.map(|it| Machine { status: MachineStatus::Offline, ..it });
    bench.tell(66, LeaseEvent::Best(head(11, 0), Some(offline)));
    assert_eq!(bench.ends(), []);
    assert_eq!(bench.check(66), Err(Denied::MachineOffline));
}

#[test]
fn reorganisations_are_noticed_and_prolong_nothing() {
    let mut bench = Bench::new();
    bench.block(998, &[order(1, 10, 1_000)]);
    bench.block(999, &[order(1, 10, 1_000)]);
    bench.actions.clear();
    bench.tell(5_995, LeaseEvent::Best(head(998, 1), Some(view(&[order(1, 10, 1_000)]))));
    let (from, to) = (BlockNumber(999), BlockNumber(998));
    assert_eq!(bench.actions, [LeaseAction::Notice(LeaseNotice::Reorganised { from, to })]);
    assert_eq!(bench.book.block(), BlockNumber(999));
    // A block on top of another branch than the best.
    bench.block(1_000, &[]);
    let expected = LeaseNotice::Reorganised { from: BlockNumber(998), to: BlockNumber(1_000) };
    assert!(!bench.actions.contains(&LeaseAction::Notice(expected)), "a gap may be missed heads");
    assert_eq!(bench.ends(), [(1, LeaseEnd::Over)]);
    // The order that a reorganisation takes away is gone.
    let mut bench = Bench::new();
    bench.block(20, &[order(1, 20, 1_000)]);
    bench.tell(121, LeaseEvent::Best(head(20, 1), Some(view(&[]))));
    assert_eq!(bench.ends(), [(1, LeaseEnd::Vanished)]);
}

#[test]
fn older_heads_and_broken_finality_are_not_used() {
    let mut bench = Bench::new();
    bench.block(998, &[order(1, 10, 1_000)]);
    bench.block(999, &[]);
    bench.actions.clear();
    // A node that lags tells of a block that was seen, in which the order still was.
    bench.block(998, &[order(1, 10, 1_000)]);
    let (told, seen) = (BlockNumber(998), BlockNumber(999));
    let notice = LeaseAction::Notice(LeaseNotice::OlderHead { told, seen });
    assert_eq!(bench.actions, [notice]);
    assert!(bench.check(6_000).is_err());
    // One that was not seen, and is older than what is final.
    bench.tell(6_000, LeaseEvent::Finalized(head(997, 0), None));
    bench.actions.clear();
    bench.tell(6_000, LeaseEvent::Best(head(990, 0), Some(view(&[order(1, 10, 1_000)]))));
    let notice = LeaseNotice::OlderHead { told: BlockNumber(990), seen };
    assert_eq!(bench.actions, [LeaseAction::Notice(notice)]);
    bench.actions.clear();
    bench.tell(6_000, LeaseEvent::Finalized(head(997, 1), None));
    let notice = LeaseNotice::FinalityBroken(BlockNumber(997));
    assert_eq!(bench.actions, [LeaseAction::Notice(notice)]);
}

#[test]
fn a_node_of_another_chain_is_not_used() {
    let mut bench = Bench::new();
    bench.block(10, &[order(1, 5, 1_000)]);
    bench.actions.clear();
    let other = BlockHash([9; 32]);
    bench.tell(66, LeaseEvent::Connected(other, limits()));
    assert_eq!(bench.actions, [LeaseAction::Notice(LeaseNotice::WrongGenesis(other))]);
    bench.tell(66, LeaseEvent::Best(head(999_999, 0), Some(view(&[]))));
    assert_eq!(bench.check(66), Err(Denied::WrongGenesis));
    assert_eq!(bench.ends(), [], "what runs goes on by estimate");
    bench.tell(67, LeaseEvent::Connected(GENESIS, limits()));
    assert!(bench.check(67).is_ok());
}

#[test]
fn each_claim_has_its_own_refusal() {
    let mut bench = Bench::new();
    assert_eq!(bench.check(0), Err(Denied::NoHead));
    let mut other = order(3, 5, 1_000);
    other.machine = MachineId::of_public_key(&[5; 32]);
    let mut nothing = order(4, 5, 1_000);
    nothing.slots = GpuSlots::default();
    bench.block(10, &[order(1, 5, 1_000), waiting(2, 5), other, nothing]);
    let check = |id, claimant| bench.book.check(secs(60), RentId(id), claimant).unwrap_err();
    let renter = Claimant::Renter(RENTER);
    assert_eq!(check(1, Claimant::Renter(AccountId([6; 32]))), Denied::ForeignRenter);
    assert_eq!(check(2, Claimant::Bearer), Denied::NotConfirmed);
    assert_eq!(check(3, renter), Denied::OtherMachine);
    assert_eq!(check(4, renter), Denied::NothingRented);
    assert_eq!(check(5, renter), Denied::UnknownOrder);
    assert!(bench.book.check(secs(60), RentId(1), Claimant::Bearer).is_ok());
}

#[test]
fn an_order_is_paid_once_a_final_block_has_it_confirmed() {
    let mut bench = Bench::new();
    let finally =
        |number, orders: &[Order]| LeaseEvent::Finalized(head(number, 0), Some(view(orders)));
    let standing = |bench: &Bench, at| bench.check(at).unwrap().standing;
    bench.block(10, &[waiting(1, 5)]);
    bench.tell(61, finally(10, &[waiting(1, 5)]));
    assert_eq!(standing(&bench, 61), Standing::Waiting);
    bench.block(11, &[order(1, 5, 1_000)]);
    assert_eq!(standing(&bench, 66), Standing::Confirmed);
    assert!(bench.book.check(secs(66), RentId(1), Claimant::Bearer).is_ok(), "guests come in");
    // Taken back, and confirmed by another branch.
    bench.tell(67, LeaseEvent::Best(head(12, 1), Some(view(&[waiting(1, 5)]))));
    assert_eq!(standing(&bench, 67), Standing::Waiting);
    bench.tell(73, LeaseEvent::Best(head(13, 1), Some(view(&[order(1, 5, 1_000)]))));
    bench.tell(74, LeaseEvent::Finalized(head(12, 1), Some(view(&[waiting(1, 5)]))));
    assert_eq!(standing(&bench, 74), Standing::Confirmed, "the final block is the one before");
    bench.tell(79, LeaseEvent::Finalized(head(13, 1), None));
    assert_eq!(standing(&bench, 79), Standing::Confirmed, "what it says could not be read");
    bench.tell(80, LeaseEvent::Finalized(head(13, 1), Some(view(&[order(1, 5, 1_000)]))));
    assert_eq!(standing(&bench, 80), Standing::Paid);
    bench.block(15, &[order(1, 5, 1_100)]);
    assert_eq!(
        standing(&bench, 90),
        Standing::Paid,
        "that it is prolonged is not final, what was paid is"
    );
}

#[test]
fn a_branch_that_gives_an_orders_number_to_another_renter_ends_it() {
    let mut bench = Bench::new();
    bench.block(10, &[order(1, 5, 1_000)]);
    bench.actions.clear();
    let other = Order { renter: AccountId([6; 32]), ..order(1, 6, 1_000) };
    bench.tell(66, LeaseEvent::Best(head(11, 1), Some(view(&[other]))));
    let place = |wanted| bench.actions.iter().position(|action| *action == wanted).unwrap();
    let end = place(LeaseAction::End(RentId(1), LeaseEnd::Vanished));
    assert!(end < place(LeaseAction::Changed(RentId(1))), "{:?}", bench.actions);
    assert_eq!(bench.check(66), Err(Denied::ForeignRenter));
}

#[test]
fn cards_bound_how_many_sessions_run() {
    let mut bench = Bench::new();
    bench.block(10, &[order(1, 5, 1_000), waiting(2, 5)]);
    let renter = Claimant::Renter(RENTER);
    let mut take = |id, wanted| bench.book.occupy(secs(60), RentId(id), renter, wanted);
    assert_eq!(take(1, Some(2)), Err(Denied::SlotNotRented));
    let three = take(1, Some(3)).unwrap();
    assert_eq!(take(1, Some(3)), Err(Denied::SlotsTaken));
    let one = take(1, None).unwrap();
    assert_eq!((one.slot(), three.slot()), (1, 3));
    assert_eq!(take(1, None), Err(Denied::SlotsTaken));
    let tried = take(2, None).unwrap();
    assert_eq!(take(2, None), Err(Denied::SlotsTaken), "one card in a trial");
    bench.book.release(three);
    bench.book.release(tried);
    let again = bench.book.occupy(secs(60), RentId(1), renter, None).unwrap();
    assert_eq!(again.slot(), 3);
    // Cards of an order that ended are free; a late permit takes nothing from whoever has them then.
    bench.block(11, &[]);
    bench.block(12, &[order(1, 5, 1_000)]);
    let new = bench.book.occupy(secs(72), RentId(1), renter, Some(1)).unwrap();
    bench.book.release(one);
    let refused = bench.book.occupy(secs(72), RentId(1), renter, Some(1));
    assert_eq!(refused, Err(Denied::SlotsTaken));
    bench.book.release(new);
}

#[test]
fn a_trial_is_two_minutes_in_all_and_few_a_day() {
    let mut bench = Bench::new();
    let orders: Vec<_> = (1..=4).map(|id| waiting(id, 5)).collect();
    bench.block(10, &orders);
    let begin = |bench: &mut Bench, id| bench.book.trial_begin(secs(60), RentId(id), RENTER);
    let (left, written) = begin(&mut bench, 1).unwrap();
    assert_eq!((left, written.used), (Duration::from_secs(120), Duration::from_secs(120)));
    assert_eq!(begin(&mut bench, 1), Err(Denied::TrialUsed), "while it runs");
    let ended = bench.book.trial_end(RentId(1), left, Duration::from_secs(50)).unwrap();
    assert_eq!(ended.used, Duration::from_secs(50));
    let (left, _) = begin(&mut bench, 1).unwrap();
    assert_eq!(left, Duration::from_secs(70));
    bench.book.trial_end(RentId(1), left, Duration::from_secs(70));
    assert_eq!(begin(&mut bench, 1), Err(Denied::TrialUsed));
    assert!(begin(&mut bench, 2).is_ok());
    assert!(begin(&mut bench, 3).is_ok());
    assert_eq!(begin(&mut bench, 4), Err(Denied::TooManyTrials));
    // Another renter, and the next day.
    let mut other = waiting(5, 5);
    other.renter = AccountId([6; 32]);
    bench.block(11, &[other]);
    assert!(bench.book.trial_begin(secs(66), RentId(5), AccountId([6; 32])).is_ok());
    for (number, allowed) in [(14_399, false), (14_400, true)] {
        bench.block(number, &[waiting(6, 14_390)]);
        let begun = bench.book.check(secs(0), RentId(6), Claimant::Renter(RENTER));
        assert_eq!(begun.is_ok(), allowed, "{number}");
    }
}

#[test]
fn a_trial_that_a_crash_cut_off_counts_as_used() {
    let mut bench = Bench::new();
    bench.block(10, &[waiting(1, 5)]);
    let (_, written) = bench.book.trial_begin(secs(60), RentId(1), RENTER).unwrap();
    let mut again = Bench::new();
    again.book.restore_trials([written]);
    again.block(11, &[waiting(1, 5)]);
    assert_eq!(again.check(66), Err(Denied::TrialUsed));
}

proptest! {
    /// Heads come with gaps; then none, where `lost` says so.
    #[test]
    fn deadlines_are_kept_to_the_block_and_to_the_second(
        start in 1..500_u32, length in 151..400_u32, confirmed: bool,
        gaps in proptest::collection::vec(1..40_u32, 1..40), lost in proptest::option::of(0..40_usize),
    ) {
        let mut order = order(1, start, start + length);
        if !confirmed {
            order = waiting(1, start);
        }
        let over = if confirmed { start + length } else { start + 150 };
        let (mut bench, mut number, mut warned) = (Bench::new(), start, Vec::new());
        bench.block(number, &[order.clone()]);
        bench.actions.clear();
        for (place, gap) in gaps.into_iter().enumerate() {
            if lost == Some(place) {
                break;
            }
            let until = u64::from(number + gap) * 6 - 1;
            for (at, action) in bench.run(until) {
                let LeaseAction::Warn(_, left) = action else { return Err(TestCaseError::fail("ended early")) };
                prop_assert_eq!(at, (u64::from(over) * 6).saturating_sub(left.as_secs()));
                warned.push(left);
            }
            number += gap;
            bench.actions.clear();
            bench.block(number, &[order.clone()]);
            prop_assert_eq!(bench.check(u64::from(number) * 6).is_ok(), number < over, "{} of {}", number, over);
            for action in bench.actions.drain(..) {
                match action {
                    LeaseAction::End(_, end) => {
                        prop_assert!(number >= over, "{} is before {}", number, over);
                        prop_assert_eq!(end == LeaseEnd::Over, confirmed);
                    }
                    LeaseAction::Warn(_, left) => warned.push(left),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            if number >= over {
                break;
            }
        }
        if number < over {
            let now = u64::from(number) * 6;
            bench.tell(now, LeaseEvent::Lost);
            let came = bench.run(u64::from(over) * 6 + 100);
            let ends: Vec<_> = came.iter().filter(|(_, action)| matches!(action, LeaseAction::End(..))).map(|(at, _)| *at).collect();
            prop_assert_eq!(ends, [u64::from(over) * 6]);
            warned.extend(came.into_iter().filter_map(|(_, action)| match action {
                LeaseAction::Warn(_, left) => Some(left),
                _ => None,
            }));
        }
        // Each once, the shorter ones later; nobody is warned of the end of a trial by blocks.
        prop_assert!(warned.is_sorted_by(|a, b| a > b), "{:?}", warned);
        prop_assert!(warned.len() <= if confirmed { 3 } else { 0 }, "{:?}", warned);
    }

    #[test]
    fn whatever_heads_come_nothing_is_granted_at_or_after_its_end(
        steps in proptest::collection::vec(
            (0..40_u32, 0..3_u8, 0..20_u64, proptest::option::weighted(0.8, 12..40_u32), any::<bool>()), 1..60,
        ),
    ) {
        let mut bench = Bench::new();
        let (mut seconds, mut is_live) = (0, false);
        for (number, branch, later, end, lost) in steps {
            seconds += later;
            let orders: Vec<_> = end.filter(|end| *end > number).map(|end| order(1, 5, end)).into_iter().collect();
            let view = end.is_some_and(|end| end % 5 > 0).then(|| view(&orders));
            bench.actions.clear();
            if lost {
                bench.tell(seconds, LeaseEvent::Lost);
            }
            bench.tell(seconds, LeaseEvent::Best(head(number, branch), view));
            for action in &bench.actions {
                match action {
                    LeaseAction::Changed(_) => is_live = true,
                    LeaseAction::End(..) => {
                        prop_assert!(is_live, "ended twice");
                        is_live = false;
                    }
                    LeaseAction::Warn(..) | LeaseAction::Notice(_) => {}
                }
            }
            let held: Vec<_> = bench.book.orders().collect();
            prop_assert_eq!(held.len(), usize::from(is_live));
            prop_assert!(held.iter().all(|order| order.end > bench.book.block()));
            if let Ok(grant) = bench.check(seconds) {
                prop_assert!(is_live && grant.over > bench.book.block());
            }
        }
    }
}
