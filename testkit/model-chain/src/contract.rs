//! The contract of [`RentalChain`] as a test: whatever rents machines passes it unchanged.

#![allow(clippy::panic, reason = "a broken contract ends its test")]

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use session::rental::schedule::{BLOCK_MS, Day, Hours, Table};
use session::rental::{
    AccountId, At, Balance, BlockNumber, CallError, Futile, HeadEvent, Machine, MachineId,
    MachineStatus, Order, OrderStatus, Payment, Planck, PriceError, Proven, RentId, RentalChain,
    Schedule, UnixMillis,
};

use crate::model::ModelChain;
use crate::wallet::ModelWallet;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wallet {
    /// Rents, and can pay for all of it.
    Renter,
    /// Rents, too.
    Other,
    /// Has one DBC.
    Poor,
    /// Acts for the machine's owner.
    Controller,
    /// Has no key.
    Nobody,
}

/// A chain under test, fresh, with one machine of four cards that is online and priced, and no orders. A call is in
/// the next block, and that is final at once.
#[async_trait]
pub trait RentalSubject: Send + Sync {
    /// The chain as this wallet sees it.
    fn of(&self, wallet: Wallet) -> Arc<dyn RentalChain>;

    /// The account of a wallet.
    fn account(&self, wallet: Wallet) -> AccountId;

    /// The machine.
    fn machine(&self) -> MachineId;

    /// Executes so many empty blocks; they are final when it returns.
    async fn advance(&self, blocks: u32);

    /// Has the machine's owner keep these hours, while nobody rents it; false where the chain knows of none.
    async fn keep_hours(&self, schedule: &Schedule) -> bool;
}

#[async_trait]
impl RentalSubject for ModelChain {
    fn of(&self, wallet: Wallet) -> Arc<dyn RentalChain> {
        Arc::new(ModelWallet::new(self.clone(), wallet))
    }

    fn account(&self, wallet: Wallet) -> AccountId {
        self.wallet(wallet)
    }

    fn machine(&self) -> MachineId {
        self.id()
    }

    async fn advance(&self, blocks: u32) {
        Self::advance(self, blocks);
    }

    async fn keep_hours(&self, schedule: &Schedule) -> bool {
        Self::keep_hours(self, schedule);
        true
    }
}

/// More than anything costs here.
const PLENTY: Planck = Planck::dbc(900_000);

/// Checks that a chain keeps the contract.
///
/// # Panics
/// When it does not, saying which clause was broken.
pub async fn rental_contract(subject: &dyn RentalSubject) {
    let suite = Suite {
        renter: subject.of(Wallet::Renter),
        other: subject.of(Wallet::Other),
        machine: subject.machine(),
        subject,
    };
    suite.what_is_there_is_read().await;
    suite.the_price_is_predicted_to_the_planck().await;
    suite.what_cannot_be_rented_is_refused_and_costs_nothing().await;
    suite.ceilings_and_empty_wallets_send_nothing().await;
    suite.orders_get_the_lowest_free_cards().await;
    suite.an_order_is_confirmed_by_its_renter_until_its_last_block().await;
    suite.an_order_that_nobody_confirms_lapses().await;
    suite.an_order_is_prolonged_and_ends_in_its_block().await;
    suite.a_machine_that_is_offline_is_not_rented_and_not_confirmed().await;
    suite.a_machine_is_rented_in_the_hours_that_its_owner_keeps().await;
    suite.what_was_paid_is_read_for_as_long_as_its_blocks_are_there().await;
    suite.money_is_sent_exactly().await;
    suite.heads_come_in_order().await;
}

struct Suite<'a> {
    subject: &'a dyn RentalSubject,
    renter: Arc<dyn RentalChain>,
    other: Arc<dyn RentalChain>,
    machine: MachineId,
}

impl Suite<'_> {
    async fn what_is_there_is_read(&self) {
        let identity = self.renter.identity();
        assert_eq!(identity, self.other.identity(), "one chain");
        assert_eq!(self.renter.account(), Some(self.subject.account(Wallet::Renter)));
        assert_eq!(self.subject.of(Wallet::Nobody).account(), None);
        for at in [At::Best, At::Finalized] {
            let limits = self.renter.limits(at).await.expect("limits").value;
            let constants = (limits.confirm_window, limits.rent_step, limits.shortest_relet);
            assert_eq!(constants, (150, 300, 100));
            assert!(limits.fixed_fee > Planck::ZERO && limits.burn.0 < 1_000_000_000);
            let machine = self.renter.machine(at, &self.machine).await.expect("a machine");
            let machine = machine.value.expect("the machine is there");
            assert_eq!((machine.status, machine.gpus), (MachineStatus::Online, 4));
            assert_eq!((machine.id, machine.rented_gpus), (self.machine, 0));
            assert_eq!(machine.controller, self.subject.account(Wallet::Controller));
        }
        let unknown = MachineId::of_public_key(&[0x55; 32]);
        let best = At::Best;
        assert_eq!(self.renter.machine(best, &unknown).await.expect("read").value, None);
        assert_eq!(self.renter.price_inputs(best, &unknown).await.expect("read").value, None);
        assert_eq!(self.renter.orders_of_machine(best, &unknown).await.expect("read").value, []);
        assert_eq!(self.renter.order(best, RentId(u64::MAX)).await.expect("read").value, None);
        let nobody = self.renter.balance(best, &AccountId([0x55; 32])).await.expect("read");
        assert_eq!(nobody.value, Balance::default());
    }

    async fn the_price_is_predicted_to_the_planck(&self) {
        for (cards, blocks) in [(1, 300), (3, 1_200), (2, 14_400)] {
            let quote = self.quote(cards, blocks).await.expect("a price");
            let before = self.balance(Wallet::Renter).await;
            let rented = self.renter.rent(&self.machine, cards, blocks, PLENTY).await;
            let rented = rented.expect("rented");
            assert_eq!(rented.event.fee, quote.rent, "the fee is what was predicted");
            assert_eq!((rented.event.gpus, rented.event.blocks), (cards, blocks));
            assert_eq!((rented.event.fixed, rented.earlier), (quote.fixed, false));
            let held = self.balance(Wallet::Renter).await;
            let gone = before.free.0 - held.free.0;
            assert_eq!(gone, quote.total.0 + rented.network_fee.0, "nothing else is taken");
            assert_eq!(held.reserved.0 - before.reserved.0, quote.rent.0);
            let order = self.order(rented.event.rent_id).await.expect("the order is there");
            assert_eq!((order.status, order.start), (OrderStatus::Waiting, rented.block));
            assert_eq!(order.end, rented.block.after(blocks));
            let renter = self.subject.account(Wallet::Renter);
            assert_eq!((order.renter, order.machine), (renter, self.machine));
            self.lists(rented.event.rent_id, true).await;

            let owner = self.machine().await.owner;
            let earned = self.renter.balance(At::Best, &owner).await.expect("read").value;
            let confirmed = self.renter.confirm(rented.event.rent_id, PLENTY).await;
            let confirmed = confirmed.expect("confirmed");
            assert_eq!(confirmed.event.fee, quote.rent);
            let after = self.balance(Wallet::Renter).await;
            assert_eq!(after.reserved, before.reserved, "nothing is held any more");
            assert_eq!(held.free.0 - after.free.0, confirmed.network_fee.0);
            let limits = self.renter.limits(At::Best).await.expect("limits").value;
            let now = self.renter.balance(At::Best, &owner).await.expect("read").value;
            let total = |balance: Balance| balance.free.0 + balance.reserved.0;
            let burnt = limits.burn.of(quote.rent).0;
            assert_eq!(total(now) - total(earned), quote.rent.0 - burnt, "less what is burnt");
            self.end(rented.event.rent_id).await;
        }
    }

    async fn what_cannot_be_rented_is_refused_and_costs_nothing(&self) {
        let unknown = MachineId::of_public_key(&[0x55; 32]);
        let longest = self.renter.limits(At::Best).await.expect("limits").value.longest;
        let beyond = longest + 300;
        for (machine, cards, blocks, why) in [
            (unknown, 1, 300, Futile::NoMachine(unknown)),
            (self.machine, 5, 300, Futile::Cards { asked: 5, free: 4, all: 4 }),
            (self.machine, u32::MAX, 300, Futile::Cards { asked: u32::MAX, free: 4, all: 4 }),
            (self.machine, 1, 0, Futile::Step { asked: 0, step: 300 }),
            (self.machine, 1, 299, Futile::Step { asked: 299, step: 300 }),
            (self.machine, 1, 301, Futile::Step { asked: 301, step: 300 }),
            (self.machine, 1, beyond, Futile::TooLong { asked: beyond, longest }),
        ] {
            self.futile(why, Wallet::Renter, self.renter.rent(&machine, cards, blocks, PLENTY))
                .await;
        }
        let no = RentId(u64::MAX);
        let before = self.balance(Wallet::Renter).await;
        let confirm = self.renter.confirm(no, PLENTY).await.map(|_| ());
        let relet = self.renter.relet(no, 100, PLENTY).await.map(|_| ());
        let none = Err(CallError::NoOrder(no));
        assert_eq!((confirm, relet), (none.clone(), none));
        assert_eq!(self.balance(Wallet::Renter).await, before, "nothing was sent");
        let nobody = self.subject.of(Wallet::Nobody);
        let refused = nobody.rent(&self.machine, 1, 300, PLENTY).await;
        assert!(matches!(refused, Err(CallError::Unsigned(_))), "{refused:?}");
    }

    async fn ceilings_and_empty_wallets_send_nothing(&self) {
        let id = self.rent(&*self.renter, 1).await;
        let quote = self.quote(1, 300).await.expect("a price");
        let best = self.renter.limits(At::Best).await.expect("read").head.number;
        let before = self.balance(Wallet::Renter).await;
        // Rent and fixed fee alone leave nothing for the network.
        let refused = self.renter.rent(&self.machine, 1, 300, quote.total).await;
        let Err(CallError::AboveCeiling { predicted, ceiling }) = refused else {
            panic!("{refused:?} is above the ceiling")
        };
        assert!(predicted > ceiling && ceiling == quote.total);
        let refused = self.renter.confirm(id, Planck(1)).await;
        assert!(matches!(refused, Err(CallError::AboveCeiling { .. })), "{refused:?}");
        let poor = self.subject.of(Wallet::Poor);
        let refused = poor.rent(&self.machine, 1, 300, PLENTY).await;
        let Err(CallError::EmptyWallet { has, needs }) = refused else {
            panic!("{refused:?} is an empty wallet")
        };
        assert!(has < needs && needs > quote.total);
        assert_eq!(self.balance(Wallet::Renter).await, before);
        let now = self.renter.limits(At::Best).await.expect("read").head.number;
        assert_eq!(now, best, "nothing was sent");
        self.end(id).await;
    }

    async fn orders_get_the_lowest_free_cards(&self) {
        let one = self.rent(&*self.renter, 2).await;
        let two = self.rent(&*self.other, 1).await;
        let cards = async |id| self.order(id).await.expect("there").slots.as_slice().to_vec();
        assert_eq!((cards(one).await, cards(two).await), (vec![0, 1], vec![2]));
        assert_eq!(self.machine().await.rented_gpus, 3);
        let why = Futile::Cards { asked: 2, free: 1, all: 4 };
        self.futile(why, Wallet::Other, self.other.rent(&self.machine, 2, 300, PLENTY)).await;
        self.end(one).await;
        self.end(two).await;
        // Nothing is rented, for the fixed fee: the chain allows it.
        let nothing = self.rent(&*self.renter, 0).await;
        assert_eq!(cards(nothing).await, Vec::<u32>::new());
        assert_eq!(self.machine().await.status, MachineStatus::Rented);
        self.end(nothing).await;
    }

    async fn an_order_is_confirmed_by_its_renter_until_its_last_block(&self) {
        let id = self.rent(&*self.renter, 1).await;
        let foreign = Futile::Foreign(id);
        self.futile(foreign, Wallet::Other, self.other.confirm(id, PLENTY)).await;
        let start = self.order(id).await.expect("there").start;
        // The call is in the block after the one that is best when it is made.
        self.advance_to(start.after(149)).await;
        let confirmed =
            self.renter.confirm(id, PLENTY).await.expect("the last block of the window");
        assert_eq!(confirmed.block, start.after(150));
        let order = self.order(id).await.expect("there");
        assert_eq!((order.status, order.confirmed), (OrderStatus::Renting, confirmed.block));
        let again = Futile::Confirmed { order: id, since: confirmed.block };
        self.futile(again, Wallet::Renter, self.renter.confirm(id, PLENTY)).await;
        self.end(id).await;
    }

    async fn an_order_that_nobody_confirms_lapses(&self) {
        let before = self.balance(Wallet::Renter).await;
        let id = self.rent(&*self.renter, 1).await;
        let start = self.order(id).await.expect("there").start;
        self.advance_to(start.after(149)).await;
        assert!(self.order(id).await.is_some());
        self.advance_to(start.after(150)).await;
        assert_eq!(self.order(id).await, None);
        self.lists(id, false).await;
        let lapsed = self.balance(Wallet::Renter).await;
        let refused = self.renter.confirm(id, PLENTY).await;
        assert_eq!(refused, Err(CallError::NoOrder(id)));
        let after = self.balance(Wallet::Renter).await;
        assert_eq!(after, lapsed, "it is too late, and nothing was sent");
        assert_eq!(after.reserved, before.reserved, "what was held is free again");
        let fixed = self.renter.limits(At::Best).await.expect("limits").value.fixed_fee;
        let gone = before.free.0 - after.free.0;
        assert!(gone >= fixed.0 && gone < fixed.0 + Planck::dbc(1).0, "the fixed fee is gone");
        let machine = self.machine().await;
        assert_eq!((machine.status, machine.rented_gpus), (MachineStatus::Online, 0));
    }

    async fn an_order_is_prolonged_and_ends_in_its_block(&self) {
        let id = self.rent(&*self.renter, 2).await;
        let waiting = self.renter.relet(id, 100, PLENTY);
        self.futile(Futile::Unconfirmed(id), Wallet::Renter, waiting).await;
        self.renter.confirm(id, PLENTY).await.expect("confirmed");
        for asked in [0, 99] {
            let short = Futile::TooShort { asked, least: 100 };
            self.futile(short, Wallet::Renter, self.renter.relet(id, asked, PLENTY)).await;
        }
        let foreign = self.other.relet(id, 100, PLENTY);
        self.futile(Futile::Foreign(id), Wallet::Other, foreign).await;
        let end = self.order(id).await.expect("there").end;
        let best = self.renter.limits(At::Best).await.expect("read").head.number;
        // Its end is sixty days after the block that prolongs it, at the most.
        let most = best.after(1 + 864_000).since(end);
        let far = Futile::TooFar { order: id, asked: most + 1, most };
        self.futile(far, Wallet::Renter, self.renter.relet(id, most + 1, PLENTY)).await;
        let inputs = self.renter.price_inputs(At::Best, &self.machine).await.expect("read");
        let quote = inputs.value.expect("priced").relet(2, 101).expect("a price");
        let before = self.balance(Wallet::Renter).await;
        // In the very block that would end it.
        self.advance_to(BlockNumber(end.0 - 1)).await;
        let relet = self.renter.relet(id, 101, PLENTY).await.expect("prolonged");
        assert_eq!((relet.block, relet.event.added, relet.event.fee), (end, 101, quote.rent));
        let gone = before.free.0 - self.balance(Wallet::Renter).await.free.0;
        assert_eq!(gone, quote.rent.0 + relet.network_fee.0, "paid at once, and no fixed fee");
        assert_eq!(self.order(id).await.expect("there").end, end.after(101));
        self.advance_to(end.after(100)).await;
        assert!(self.order(id).await.is_some());
        self.advance_to(end.after(101)).await;
        assert_eq!(self.order(id).await, None);
        let before = self.balance(Wallet::Renter).await;
        let over = self.renter.relet(id, 100, PLENTY).await;
        assert_eq!(over, Err(CallError::NoOrder(id)));
        assert_eq!(self.balance(Wallet::Renter).await, before, "nothing was sent");
    }

    async fn a_machine_that_is_offline_is_not_rented_and_not_confirmed(&self) {
        let id = self.rent(&*self.renter, 1).await;
        let controller = self.subject.of(Wallet::Controller);
        let foreign = self.renter.report_offline(&self.machine, PLENTY);
        self.futile(Futile::NotController, Wallet::Renter, foreign).await;
        let (rented, there) =
            (MachineStatus::Rented, controller.report_online(&self.machine, PLENTY));
        let why = Futile::Report { status: rented, online: true };
        self.futile(why, Wallet::Controller, there).await;
        let told = controller.report_offline(&self.machine, PLENTY).await.expect("reported");
        assert_eq!(told.event.machine, self.machine);
        let status = MachineStatus::Offline;
        assert_eq!(self.machine().await.status, status);
        let why = Futile::NotRentable(status);
        self.futile(why, Wallet::Other, self.other.rent(&self.machine, 1, 300, PLENTY)).await;
        let why = Futile::Away { order: id, status };
        self.futile(why, Wallet::Renter, self.renter.confirm(id, PLENTY)).await;
        controller.report_online(&self.machine, PLENTY).await.expect("reported");
        self.renter.confirm(id, PLENTY).await.expect("confirmed");
        self.end(id).await;
        assert_eq!(self.machine().await.status, MachineStatus::Online);
    }

    async fn a_machine_is_rented_in_the_hours_that_its_owner_keeps(&self) {
        const TWO_HOURS: u32 = 1_200;
        let hour = self.room_in_the_day().await;
        let mut table = Table::default();
        table.week.iter_mut().for_each(|day| day.push(Hours { from: hour, to: hour + 3 }));
        let schedule = Schedule::Hours(table.clone());
        if !self.subject.keep_hours(&schedule).await {
            assert_eq!(self.schedule().await, Schedule::Always, "the chain knows of no hours");
            return;
        }
        assert_eq!(self.schedule().await, schedule);
        for blocks in [300, 2 * TWO_HOURS] {
            let why = self.closed(&schedule, blocks).await;
            self.futile(why, Wallet::Renter, self.rented(blocks)).await;
        }
        let rented = self.rented(TWO_HOURS).await.expect("within the hours");
        let id = rented.event.rent_id;
        self.renter.confirm(id, PLENTY).await.expect("confirmed");
        self.renter.relet(id, TWO_HOURS, PLENTY).await.expect("prolonging asks nobody");
        self.end(id).await;

        // A day of its own goes before the week.
        let hour = self.room_in_the_day().await;
        let day = Day::of(self.now().await);
        table.week.iter_mut().for_each(|day| *day = vec![Hours { from: 0, to: 24 }]);
        let later = vec![Hours { from: hour + 2, to: 24 }];
        table.days.insert(day, later);
        let schedule = Schedule::Hours(table);
        assert!(self.subject.keep_hours(&schedule).await);
        assert_eq!(self.schedule().await, schedule);
        let why = self.closed(&schedule, TWO_HOURS).await;
        self.futile(why, Wallet::Renter, self.rented(TWO_HOURS)).await;
        let Schedule::Hours(mut table) = schedule else { return };
        table.days.clear();
        assert!(self.subject.keep_hours(&Schedule::Hours(table)).await);
        let id = self.rented(TWO_HOURS).await.expect("within the week's hours").event.rent_id;
        self.end(id).await;
        assert!(self.subject.keep_hours(&Schedule::Always).await);
        let id = self.rented(300).await.expect("at all times").event.rent_id;
        self.end(id).await;
    }

    /// Waits until an order of two hours has room in a UTC day; yields the hour that it is.
    async fn room_in_the_day(&self) -> u8 {
        const HOUR_MS: u64 = 3_600_000;
        let of_day = self.now().await.0 % (24 * HOUR_MS);
        if of_day < 20 * HOUR_MS {
            return (of_day / HOUR_MS) as u8;
        }
        let left = (24 * HOUR_MS - of_day).div_ceil(BLOCK_MS);
        self.subject.advance(left as u32).await;
        0
    }

    async fn now(&self) -> UnixMillis {
        self.renter.limits(At::Best).await.expect("read").head.time
    }

    async fn schedule(&self) -> Schedule {
        let best = self.renter.schedule(At::Best, &self.machine).await.expect("read").value;
        let finalized = self.renter.schedule(At::Finalized, &self.machine).await.expect("read");
        assert_eq!(best, finalized.value, "what is best is final here");
        best
    }

    /// Why an order of so many blocks is refused in the next block.
    async fn closed(&self, schedule: &Schedule, blocks: u32) -> Futile {
        let next = UnixMillis(self.now().await.0 + BLOCK_MS);
        Futile::Closed(Box::new(schedule.open(next, blocks).expect_err("it is out of the hours")))
    }

    async fn rented(&self, blocks: u32) -> Result<Proven<session::rental::Rented>, CallError> {
        self.renter.rent(&self.machine, 1, blocks, PLENTY).await
    }

    async fn what_was_paid_is_read_for_as_long_as_its_blocks_are_there(&self) {
        let renter = self.subject.account(Wallet::Renter);
        let nobody = self.subject.of(Wallet::Nobody);
        let paid = async |id, until, blocks| {
            let (mut all, mut next, mut left) = (Vec::new(), Some(until), blocks);
            while let Some(until) = next.filter(|_| left > 0) {
                let page = nobody.payments(&self.machine, id, until, left).await.expect("read");
                assert!(page.earlier < next, "it goes on");
                let blocks = page.payments.iter().map(|payment| payment.blocks);
                left = blocks.fold(left, u32::saturating_sub);
                (all, next) = ([all, page.payments].concat(), page.earlier);
            }
            all
        };
        let end = async |id| nobody.last_end(&self.machine, &renter, id).await.expect("read").value;
        let made_since =
            async |since| nobody.confirmed_since(&self.machine, since).await.expect("read").value;
        // Two orders at once, so that one's payments are told from the other's.
        let other = self.rent(&*self.other, 1).await;
        let id = self.rent(&*self.renter, 1).await;
        let order = self.order(id).await.expect("there");
        assert_eq!((paid(id, order.start, 1).await, end(id).await), (vec![], None), "it waits");
        assert_eq!(made_since(order.start).await, []);
        let confirmed = self.renter.confirm(id, PLENTY).await.expect("confirmed");
        let theirs = self.other.confirm(other, PLENTY).await.expect("confirmed");
        let relet = self.renter.relet(id, 100, PLENTY).await.expect("prolonged");
        let of = |block, blocks, fee| (block, 0, blocks, fee);
        let told = |payments: Vec<Payment>| -> Vec<_> {
            let told = payments.iter().map(|it| (it.block, it.number, it.blocks, it.fee));
            told.collect()
        };
        let first = of(confirmed.block, 300, confirmed.event.fee);
        let second = of(relet.block, 100, relet.event.fee);
        let head = self.renter.limits(At::Finalized).await.expect("read").head;
        assert_eq!(told(paid(id, head.number, 400).await), [second, first], "the newest first");
        assert_eq!(told(paid(id, head.number, 100).await), [second], "no more than is asked for");
        assert_eq!(told(paid(id, theirs.block, 400).await), [first], "up to a block");
        let time = paid(id, head.number, 100).await[0].time;
        assert_eq!(time, head.time, "it was paid in the newest block");
        let ends = order.end.after(100);
        assert_eq!(end(id).await, Some(ends));
        let stranger = nobody.last_end(&self.machine, &AccountId([0x55; 32]), RentId(u64::MAX));
        assert_eq!(stranger.await.expect("read").value, None);
        // Nodes keep 256 states: what was paid before is gone, and the end that it was for is not.
        self.subject.advance(260).await;
        let head = self.renter.limits(At::Finalized).await.expect("read").head.number;
        assert_eq!(paid(id, head, 400).await, []);
        self.end(id).await;
        assert_eq!(end(id).await, Some(ends));
        // The chain remembers who made which order, and when.
        assert_eq!(made_since(order.start).await, [order.made()], "no order from before");
        let both = made_since(BlockNumber(order.start.0 - 1)).await;
        let both: Vec<_> = both.iter().map(|made| (made.rent_id, made.renter)).collect();
        assert_eq!(both, [(other, self.subject.account(Wallet::Other)), (id, renter)]);
        assert_eq!(made_since(order.start.after(1)).await, []);
    }

    async fn money_is_sent_exactly(&self) {
        let to = self.subject.account(Wallet::Other);
        let amount = Planck(1_234_567_890_123_456_789);
        let (from, before) =
            (self.balance(Wallet::Renter).await, self.balance(Wallet::Other).await);
        let sent = self.renter.transfer_keep_alive(&to, amount, Planck::dbc(1)).await;
        let sent = sent.expect("sent");
        assert_eq!((sent.event.to, sent.event.amount), (to, amount));
        assert_eq!(self.balance(Wallet::Other).await.free.0 - before.free.0, amount.0);
        let gone = from.free.0 - self.balance(Wallet::Renter).await.free.0;
        assert_eq!(gone, amount.0 + sent.network_fee.0);
        let poor = self.subject.of(Wallet::Poor);
        let refused = poor.transfer_keep_alive(&to, Planck::dbc(2), Planck::dbc(1)).await;
        assert!(matches!(refused, Err(CallError::EmptyWallet { .. })), "{refused:?}");
    }

    async fn heads_come_in_order(&self) {
        let mut heads = self.renter.heads();
        let best = self.renter.limits(At::Best).await.expect("read").head;
        self.subject.advance(3).await;
        let (mut last, mut last_final, mut before) = (None, None, None);
        while last != Some(best.number.after(3)) || last_final != last {
            match heads.next().await.expect("heads go on") {
                HeadEvent::Best(head) => {
                    assert!(last.is_none_or(|last| head.number > last), "best heads go up");
                    if let Some((number, hash)) = before
                        && head.number == BlockNumber::after(number, 1)
                    {
                        assert_eq!(head.parent, hash, "each is on the one before");
                    }
                    before = Some((head.number, head.hash));
                    last = Some(head.number);
                }
                HeadEvent::Finalized(head) => {
                    assert!(last_final.is_none_or(|last| head.number > last), "so do final ones");
                    last_final = Some(head.number);
                }
                HeadEvent::Lost(why) => panic!("nothing was lost: {why}"),
            }
        }
        let now = self.renter.limits(At::Finalized).await.expect("read").head;
        assert_eq!(Some((now.number, now.hash)), before);
        assert!(now.time >= best.time);
    }

    /// A call that is refused for this reason before anything is signed: no block comes, and nothing is paid.
    async fn futile<T: std::fmt::Debug + PartialEq>(
        &self,
        why: Futile,
        who: Wallet,
        call: impl Future<Output = Result<Proven<T>, CallError>>,
    ) {
        let before = (self.balance(who).await, self.best().await);
        assert_eq!(call.await, Err(CallError::Futile(why.clone())));
        assert_eq!((self.balance(who).await, self.best().await), before, "{why}: nothing was sent");
    }

    async fn best(&self) -> BlockNumber {
        self.renter.limits(At::Best).await.expect("read").head.number
    }

    async fn quote(&self, cards: u32, blocks: u32) -> Result<session::rental::Quote, PriceError> {
        let inputs = self.renter.price_inputs(At::Best, &self.machine).await.expect("read");
        inputs.value.expect("the machine is priced").quote(cards, blocks)
    }

    async fn rent(&self, wallet: &dyn RentalChain, cards: u32) -> RentId {
        let rented = wallet.rent(&self.machine, cards, 300, PLENTY).await;
        rented.expect("rented").event.rent_id
    }

    async fn order(&self, id: RentId) -> Option<Order> {
        let best = self.renter.order(At::Best, id).await.expect("read");
        let finalized = self.renter.order(At::Finalized, id).await.expect("read");
        assert_eq!(best, finalized, "what is best is final here");
        best.value
    }

    async fn machine(&self) -> Machine {
        let machine = self.renter.machine(At::Best, &self.machine).await.expect("read");
        machine.value.expect("the machine is there")
    }

    async fn balance(&self, wallet: Wallet) -> Balance {
        let account = self.subject.account(wallet);
        self.renter.balance(At::Best, &account).await.expect("read").value
    }

    /// Whether an order is in the lists of machine and renter.
    async fn lists(&self, id: RentId, expected: bool) {
        let renter = self.subject.account(Wallet::Renter);
        let of_machine =
            self.renter.orders_of_machine(At::Best, &self.machine).await.expect("read");
        let of_renter = self.renter.orders_of_renter(At::Best, &renter).await.expect("read");
        for orders in [of_machine.value, of_renter.value] {
            assert_eq!(orders.iter().any(|order| order.rent_id == id), expected);
            assert!(orders.is_sorted_by_key(|order| order.rent_id), "by number");
        }
    }

    async fn advance_to(&self, block: BlockNumber) {
        let now = self.renter.limits(At::Best).await.expect("read").head.number;
        self.subject.advance(block.since(now)).await;
    }

    /// Lets an order end.
    async fn end(&self, id: RentId) {
        let Some(order) = self.order(id).await else { return };
        let over = match order.status {
            OrderStatus::Renting => order.end,
            OrderStatus::Waiting => order.start.after(150),
        };
        self.advance_to(over).await;
        assert_eq!(self.order(id).await, None, "it has ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_model_keeps_the_contract() {
        rental_contract(&ModelChain::new()).await;
    }

    #[tokio::test]
    async fn a_price_that_rises_is_known_before_anything_is_confirmed() {
        let chain = ModelChain::new();
        let renter = chain.of(Wallet::Renter);
        let quote = {
            let inputs = renter.price_inputs(At::Best, &chain.machine()).await.unwrap();
            inputs.value.unwrap().quote(1, 300).unwrap()
        };
        chain.set_dbc_price(Some(1_000));
        let ceiling = Planck(quote.total.0 + Planck::dbc(1).0);
        let refused = renter.rent(&chain.machine(), 1, 300, ceiling).await;
        assert!(matches!(refused, Err(CallError::AboveCeiling { .. })), "{refused:?}");
        chain.set_dbc_price(None);
        let refused = renter.rent(&chain.machine(), 1, 300, ceiling).await;
        assert_eq!(refused, Err(CallError::Price(PriceError::NoOracle)));
    }

    #[tokio::test]
    async fn finality_can_be_held_and_branches_replaced() {
        let chain = ModelChain::new();
        let renter = chain.of(Wallet::Renter);
        chain.hold_finality(true);
        let mut heads = renter.heads();
        chain.advance(3);
        let number = async |at| renter.limits(at).await.unwrap().head.number.0;
        assert_eq!((number(At::Best).await, number(At::Finalized).await), (4, 1));
        chain.reorganise(2);
        assert_eq!((number(At::Best).await, number(At::Finalized).await), (5, 1));
        chain.lose("gone");
        let mut best = Vec::new();
        loop {
            match heads.next().await.unwrap() {
                HeadEvent::Best(head) => best.push(head.number.0),
                HeadEvent::Finalized(head) => assert_eq!(head.number.0, 1),
                HeadEvent::Lost(why) => break assert_eq!(why, "gone"),
            }
        }
        assert_eq!(best, [1, 2, 3, 4, 3, 4, 5]);
        chain.hold_finality(false);
        assert_eq!(number(At::Finalized).await, 5);
    }

    #[tokio::test]
    async fn a_machine_can_be_forced_out_and_leaves_its_orders() {
        let chain = ModelChain::new();
        let renter = chain.of(Wallet::Renter);
        let rented = renter.rent(&chain.machine(), 1, 300, PLENTY).await.unwrap();
        chain.force_machine_exit();
        let machine = renter.machine(At::Best, &chain.machine()).await.unwrap().value;
        let order = renter.order(At::Best, rented.event.rent_id).await.unwrap().value;
        assert!(machine.is_none() && order.is_some());
    }
}
