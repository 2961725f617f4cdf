//! What was paid on the chain for a machine's orders, as final blocks show it: what is to be looked for, and what was not found.
//!
//! ```text
//!  Best, Finalized (orders), renters' histories ──▶ PaidBook::unknown ──▶ durable ──▶ PaidBook::put
//!  Finalized (head, orders) ──▶ PaidBook::look ──Look──▶ driver: last end? ──▶ Search ──▶ durable ──▶ PaidBook::put
//!                                                       payments, page by page ──▶ ▲
//! ```
//!
//! An order is paid for from its start to its end: its confirmation pays for what it was made for, each prolonging for
//! what that adds. So its end says how many blocks were paid for, and payments are looked for until they are for as many,
//! from the newest block backwards, or from the end of an order that is gone. The blocks of an order whose payments
//! nobody can read any more are *unproven*: what they cost is in no account. After a failure a search goes on where it
//! stopped. Nothing is counted twice where a look is repeated, as after a restart, since what is known changes only once
//! it is durable with what was found. An order is kept as soon as it is seen, paid or not, so that what is paid for it is
//! looked for also where it is over before anybody looks again; one that nobody saw is known by its renter's history once
//! that is read.

use std::collections::BTreeMap;

use super::MachineView;
use crate::rental::{
    AccountId, BLOCKS_PER_DAY, BlockNumber, Made, OrderStatus, Payment, PaymentPage, RentId,
};

/// What is known of the payments for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The order.
    pub rent_id: RentId,
    /// Whose it is.
    pub renter: AccountId,
    /// The block that it was made in.
    pub start: BlockNumber,
    /// The end that it is paid up to, as a final block had it that was looked at; its start before it is confirmed.
    pub end: BlockNumber,
    /// Blocks of it whose payments were found.
    pub blocks: u32,
    /// It is gone from the chain, and nothing more is paid for it.
    pub over: bool,
}

impl Paid {
    fn of(order: Made) -> Self {
        let Made { rent_id, renter, start } = order;
        Self { rent_id, renter, start, end: start, blocks: 0, over: false }
    }

    /// Blocks of it that are paid and whose payment can no longer be read.
    pub fn unproven(&self) -> u32 {
        self.end.since(self.start).saturating_sub(self.blocks)
    }
}

/// A final block has an order otherwise than it is known: confirmed, prolonged or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What was known.
    pub before: Paid,
    /// The block: later payments are the next look's.
    pub head: BlockNumber,
    /// The order's end there; none where it is gone, and the chain is to be asked for its last one.
    pub end: Option<BlockNumber>,
}

/// What was found so far of what a look is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    look: Look,
    /// The order's last end, as far as a look knows it or the chain says.
    end: Option<BlockNumber>,
    payments: Vec<Payment>,
    /// The block to go on at.
    next: Option<BlockNumber>,
}

impl Search {
    /// At its beginning. `end` is the last end that the chain gave an order that is gone; none where it is not known
    /// whether that had another than was known.
    pub fn new(look: Look, end: Option<BlockNumber>) -> Self {
        let next = match look.end {
            Some(_) => look.head,
            // Nothing is paid for an order after its end.
            None => end.map_or(look.head, |end| end.min(look.head)),
        };
        let end = look.end.or(end);
        Self { look, end, payments: Vec::new(), next: Some(next) }
    }

    /// What it is for.
    pub fn look(&self) -> &Look {
        &self.look
    }

    /// Up to which block payments are to be read next, and for how many blocks of the order; none once nothing more is to be
    /// found, or it is more than a day of blocks before, or before the order.
    pub fn wants(&self) -> Option<(BlockNumber, u32)> {
        let missing = self.end.map_or(0, |end| end.since(self.look.before.end));
        let found = self.payments.iter().map(|payment| payment.blocks);
        let missing = found.fold(missing, u32::saturating_sub);
        let day = BlockNumber(self.look.head.0.saturating_sub(BLOCKS_PER_DAY));
        let oldest = day.max(self.look.before.start);
        let next = self.next.filter(|next| missing > 0 && *next >= oldest);
        next.map(|next| (next, missing))
    }

    /// What was read of what it wanted.
    pub fn take(&mut self, page: PaymentPage) {
        self.payments.extend(page.payments);
        self.next = page.earlier.filter(|earlier| Some(*earlier) < self.next);
    }

    /// What was found, the newest first.
    pub fn payments(&self) -> &[Payment] {
        &self.payments
    }

    /// What is known with it.
    pub fn after(&self) -> Paid {
        self.with(&self.payments)
    }

    /// What is known where what was found is not to be had: all of it is unproven.
    pub fn in_vain(&self) -> Paid {
        self.with(&[])
    }

    fn with(&self, payments: &[Payment]) -> Paid {
        let before = &self.look.before;
        let found = payments.iter().map(|payment| payment.blocks);
        Paid {
            end: self.end.map_or(before.end, |end| end.max(before.end)),
            blocks: found.fold(before.blocks, u32::saturating_add),
            over: self.look.end.is_none(),
            ..before.clone()
        }
    }
}

/// What is known of the payments for all orders of a machine.
#[derive(Clone, Debug, Default)]
pub struct PaidBook {
    orders: BTreeMap<RentId, Paid>,
}

impl PaidBook {
    /// With what was durable.
    pub fn restore(orders: impl IntoIterator<Item = Paid>) -> Self {
        let mut book = Self::default();
        orders.into_iter().for_each(|paid| book.put(paid));
        book
    }

    /// Those of these orders that are not known yet, nothing being paid for them.
    pub fn unknown(&self, orders: impl IntoIterator<Item = Made>) -> Vec<Paid> {
        let is_unknown = |order: &Made| {
            let is_it = |known: &Paid| known.start == order.start && known.renter == order.renter;
            // Another one has its number on another branch, or where a chain of development was begun anew.
            !self.orders.get(&order.rent_id).is_some_and(is_it)
        };
        orders.into_iter().filter(is_unknown).map(Paid::of).collect()
    }

    /// A final block, and what it says of orders that are known: what is to be looked for, by the orders' numbers.
    pub fn look(&self, head: BlockNumber, view: &MachineView) -> Vec<Look> {
        let of = |known: &Paid| view.orders.iter().find(|order| order.rent_id == known.rent_id);
        let look = |known: &Paid| {
            let end = match of(known) {
                Some(order) if order.status == OrderStatus::Renting => Some(order.end),
                Some(_) => return None,
                // It is made in a block that is not final yet.
                None if head < known.start => return None,
                None => None,
            };
            let is_new = end.map_or(!known.over, |end| end > known.end);
            is_new.then(|| Look { before: known.clone(), head, end })
        };
        self.orders.values().filter_map(look).collect()
    }

    /// What is durable. An order that is over and for which nothing was ever paid is forgotten.
    pub fn put(&mut self, paid: Paid) {
        if paid.over && paid.end == paid.start {
            self.orders.remove(&paid.rent_id);
        } else {
            self.orders.insert(paid.rent_id, paid);
        }
    }

    /// The same, unless something else is known of the order by now than was `before`, as where another branch has made it anew.
    pub fn replace(&mut self, before: Option<&Paid>, paid: Paid) {
        if self.get(paid.rent_id) == before {
            self.put(paid);
        }
    }

    /// What is known of an order.
    pub fn get(&self, rent_id: RentId) -> Option<&Paid> {
        self.orders.get(&rent_id)
    }

    /// All orders by number, those that wait for confirmation among them.
    pub fn orders(&self) -> impl Iterator<Item = &Paid> {
        self.orders.values()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rental::{GpuSlots, MachineId, Order, Planck, UnixMillis};

    const RENT: RentId = RentId(7);
    const RENTER: AccountId = AccountId([5; 32]);
    const START: u32 = 10;

    /// An order that ends at a block, or waits.
    fn order(end: u32, status: OrderStatus) -> Order {
        Order {
            rent_id: RENT,
            machine: MachineId::of_public_key(&[1; 32]),
            renter: RENTER,
            start: BlockNumber(START),
            confirmed: BlockNumber(START),
            end: BlockNumber(end),
            status,
            slots: GpuSlots::new(vec![0]),
            receiver: None,
        }
    }

    fn payment(block: u32, number: u32, blocks: u32, fee: u128) -> Payment {
        let time = UnixMillis(u64::from(block) * 6_000);
        Payment { block: BlockNumber(block), number, time, blocks, fee: Planck(fee) }
    }

    /// What blocks say of one order: payments by block, and when it is gone.
    struct Chain {
        payments: Vec<Payment>,
        gone: u32,
    }

    impl Chain {
        fn end(&self, head: u32) -> Option<BlockNumber> {
            let until = self.payments.iter().filter(|it| it.block.0 <= head);
            let blocks: u32 = until.map(|it| it.blocks).sum();
            (blocks > 0).then(|| BlockNumber(START + blocks))
        }

        fn view(&self, head: u32) -> MachineView {
            let order = match self.end(head) {
                _ if head >= self.gone => None,
                Some(end) => Some(order(end.0, OrderStatus::Renting)),
                None => Some(order(START + 300, OrderStatus::Waiting)),
            };
            MachineView { machine: None, orders: order.into_iter().collect() }
        }

        /// As `RentalChain::payments` has them, of pages of 50 blocks, where nodes keep no block before the oldest.
        fn read(&self, oldest: u32, (until, blocks): (BlockNumber, u32)) -> PaymentPage {
            let mut page = PaymentPage { payments: Vec::new(), earlier: Some(until) };
            let mut covered = 0;
            let first = until.0.saturating_sub(49);
            while let Some(block) = page.earlier.filter(|it| it.0 >= first && covered < blocks) {
                page.earlier = None;
                if block.0 < oldest {
                    break;
                }
                let here = self.payments.iter().filter(|it| it.block == block);
                page.payments.extend(here);
                covered = page.payments.iter().map(|it| it.blocks).sum();
                page.earlier = block.0.checked_sub(1).map(BlockNumber);
            }
            page
        }

        /// Reads until all is found, or `fails` says that a page is not read; whether all of it was.
        fn search(
            &self,
            search: &mut Search,
            oldest: u32,
            mut fails: impl FnMut() -> bool,
        ) -> bool {
            while let Some(wanted) = search.wants() {
                if fails() {
                    return false;
                }
                search.take(self.read(oldest, wanted));
            }
            true
        }
    }

    fn see(book: &mut PaidBook, view: &MachineView) {
        let new = book.unknown(view.orders.iter().map(Order::made));
        new.into_iter().for_each(|paid| book.put(paid));
    }

    /// What a block says is seen, and looked at where it is final.
    fn look(book: &mut PaidBook, head: u32, chain: &Chain) -> Vec<Look> {
        let view = chain.view(head);
        see(book, &view);
        book.look(BlockNumber(head), &view)
    }

    #[test]
    fn an_order_that_lapses_is_forgotten() {
        let chain = Chain { payments: Vec::new(), gone: 160 };
        let mut book = PaidBook::default();
        assert_eq!(look(&mut book, 11, &chain), []);
        let looks = look(&mut book, 160, &chain);
        assert_eq!(looks.len(), 1);
        let lapsed = Search::new(looks[0].clone(), None).after();
        book.put(lapsed.clone());
        assert_eq!(book.orders().count(), 0);
        assert_eq!(PaidBook::restore([lapsed]).orders().count(), 0);
    }

    #[test]
    fn an_order_of_a_block_that_is_not_final_yet_is_not_gone() {
        let chain = Chain { payments: Vec::new(), gone: 160 };
        let mut book = PaidBook::default();
        see(&mut book, &chain.view(START));
        let before = MachineView { machine: None, orders: Vec::new() };
        assert_eq!(book.look(BlockNumber(START - 1), &before), []);
        assert_eq!(book.look(BlockNumber(START), &before).len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_unproven_and_what_comes_after_is_not() {
        let mut chain = Chain { payments: vec![payment(12, 0, 300, 5)], gone: 9_999 };
        let mut book = PaidBook::default();
        let mut search = Search::new(look(&mut book, 290, &chain).remove(0), None);
        assert_eq!(search.wants(), Some((BlockNumber(290), 300)));
        assert!(chain.search(&mut search, 34, || false));
        book.put(search.after());
        assert_eq!(book.orders().next().unwrap().unproven(), 300);
        assert_eq!(look(&mut book, 291, &chain), []);
        chain.payments.push(payment(300, 0, 100, 2));
        let mut search = Search::new(look(&mut book, 301, &chain).remove(0), None);
        assert_eq!(search.wants(), Some((BlockNumber(301), 100)), "not what is known to be lost");
        assert!(chain.search(&mut search, 45, || false));
        book.put(search.after());
        let known = book.orders().next().unwrap();
        assert_eq!((known.unproven(), known.blocks), (300, 100));
    }

    #[test]
    fn a_number_that_another_chain_gave_before_is_another_order() {
        let paid = Paid { over: true, ..Paid::of(order(310, OrderStatus::Renting).made()) };
        let earlier = Paid { start: BlockNumber(3), end: BlockNumber(303), blocks: 300, ..paid };
        let mut book = PaidBook::restore([earlier]);
        let chain = Chain { payments: vec![payment(12, 0, 300, 5)], gone: 9_999 };
        let search = Search::new(look(&mut book, 12, &chain).remove(0), None);
        assert_eq!(search.wants(), Some((BlockNumber(12), 300)));
    }

    #[test]
    fn a_search_goes_on_where_it_stopped_and_reads_no_more_than_a_day() {
        let chain = Chain { payments: vec![payment(12, 0, 30_000, 5)], gone: 99_999 };
        let mut book = PaidBook::default();
        let looks = look(&mut book, START + BLOCKS_PER_DAY, &chain);
        let mut search = Search::new(looks[0].clone(), None);
        let (mut pages, mut tries) = (0, 0);
        // Every third page is not read at first.
        while !chain.search(&mut search, 0, || {
            pages += 1;
            pages % 3 == 0
        }) {
            tries += 1;
        }
        let of_a_day = BLOCKS_PER_DAY.div_ceil(50);
        assert_eq!((pages, search.payments()), (of_a_day + tries, &chain.payments[..]));
        assert_eq!(search.after().unproven(), 0);
        // Longer ago.
        let looks = look(&mut book, START + BLOCKS_PER_DAY + 100, &chain);
        let mut search = Search::new(looks[0].clone(), None);
        assert!(chain.search(&mut search, 0, || false));
        assert_eq!((search.payments(), search.after().unproven()), (&[][..], 30_000));
    }

    #[test]
    fn payments_of_an_order_that_is_gone_are_read_from_its_end_to_its_start() {
        let [start, end] = [BlockNumber(5_000), BlockNumber(5_300)];
        let made = Made { rent_id: RENT, renter: RENTER, start };
        let gone = |head| Look { before: Paid::of(made), head: BlockNumber(head), end: None };
        let mut search = Search::new(gone(9_000), Some(end));
        assert_eq!(search.wants(), Some((end, 300)));
        let earlier =
            |block| PaymentPage { earlier: Some(BlockNumber(block)), ..Default::default() };
        search.take(earlier(5_000));
        assert_eq!(search.wants(), Some((start, 300)));
        search.take(earlier(4_999));
        assert_eq!(search.wants(), None, "it was not made yet");
        assert_eq!(search.after().unproven(), 300);
        // One that was taken off the chain before its end, and one that goes on.
        let forced = Search::new(gone(5_100), Some(end));
        assert_eq!(forced.wants(), Some((BlockNumber(5_100), 300)));
        let look = Look { end: Some(end), ..gone(5_200) };
        assert_eq!(Search::new(look, None).wants(), Some((BlockNumber(5_200), 300)));
    }

    proptest! {
        /// Whatever heads are seen, however often reading or writing fails, and whenever the process is begun anew: each payment
        /// that can be read is posted once, and the rest is unproven, to the block.
        #[test]
        fn each_payment_is_posted_once_or_unproven(
            confirmed in 0..150_u32,
            more in proptest::collection::vec((0..400_u32, 100..500_u32, 0..u64::MAX), 0..6),
            heads in proptest::collection::vec((1..500_u32, 0..6_u8), 1..40),
            kept in prop_oneof![0..400_u32, Just(u32::MAX)],
            fee in 0..u64::MAX,
        ) {
            let mut payments = vec![payment(START + confirmed, 0, 300, fee.into())];
            let (mut block, mut end) = (START + confirmed, START + 300);
            for (after, blocks, fee) in more {
                // At the latest in the block that would end it.
                let next = (block + after).min(end);
                let number = payments.iter().filter(|it| it.block.0 == next).count() as u32;
                payments.push(payment(next, number, blocks, fee.into()));
                (block, end) = (next, end + blocks);
            }
            let chain = Chain { payments, gone: end };
            let mut posted: BTreeMap<(BlockNumber, u32), Planck> = BTreeMap::new();
            let mut durable: BTreeMap<RentId, Paid> = BTreeMap::new();
            let mut book = PaidBook::default();
            let (mut head, mut seen) = (START, false);
            let mut cut_off: Option<Search> = None;
            for (step, luck) in heads {
                head += step;
                if luck == 0 {
                    book = PaidBook::restore(durable.values().cloned());
                    cut_off = None;
                }
                let view = chain.view(head);
                seen |= !view.orders.is_empty();
                for paid in book.unknown(view.orders.iter().map(Order::made)) {
                    durable.insert(paid.rent_id, paid.clone());
                    book.put(paid);
                }
                for look in book.look(BlockNumber(head), &view) {
                    let of_it = cut_off.take().filter(|search| search.look().before == look.before);
                    let mut search = of_it.unwrap_or_else(|| Search::new(look, chain.end(head)));
                    let oldest = (head + u32::from(luck) * 7).saturating_sub(kept);
                    let mut pages = 0;
                    let is_read = chain.search(&mut search, oldest, || {
                        pages += 1;
                        luck == 1 && pages > 2
                    });
                    // Not read, or not written: the next head has it again.
                    if !is_read || luck == 2 {
                        cut_off = Some(search);
                        continue;
                    }
                    for payment in search.payments() {
                        let key = (payment.block, payment.number);
                        prop_assert!(posted.insert(key, payment.fee).is_none(), "{:?} twice", key);
                    }
                    let after = search.after();
                    durable.insert(after.rent_id, after.clone());
                    // Cut off between the disk and what is in memory.
                    if luck == 3 {
                        book = PaidBook::restore(durable.values().cloned());
                    } else {
                        book.put(after);
                    }
                }
                if let Some(paid) = durable.get(&RENT) {
                    let of = |key: &(BlockNumber, u32)| {
                        chain.payments.iter().find(|it| (it.block, it.number) == *key).unwrap()
                    };
                    let blocks: u32 = posted.keys().map(|key| of(key).blocks).sum();
                    prop_assert_eq!(paid.blocks, blocks);
                    prop_assert_eq!(paid.unproven(), paid.end.since(paid.start) - blocks);
                    for (key, fee) in &posted {
                        prop_assert_eq!(of(key).fee, *fee);
                    }
                }
            }
            // Once it was seen it is known, and once it is over and was looked at, everything is accounted for.
            prop_assert_eq!(durable.contains_key(&RENT), seen);
            if let Some(paid) = durable.get(&RENT).filter(|paid| paid.over) {
                prop_assert_eq!(paid.end, BlockNumber(end));
                prop_assert!(kept < u32::MAX || posted.len() == chain.payments.len());
            }
        }
    }
}
