//! What was paid on the chain for the machine's orders, as the ledger's accounts have it.
//!
//! ```text
//!  watcher ──final block, orders (newest only)──▶ keep ──▶ PaidBook ──▶ chain: last end, payments
//!       chain: who was here while nobody looked? ──▲                       │
//!            chain/N ──paid──▶ prepaid/N ──usage──▶ used/N  ◀──one batch───┘ and what is known of the order
//! ```
//!
//! An entry is known by order, block and place in that block, so that it is written once. It takes what only final blocks
//! say. What can no longer be read, after a node was away for longer than others keep their states, is *unproven*: no
//! amount is made up for it. Nobody waits for this task.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use keys::{from_hex, to_hex};
use ledger::{AccountBalance, Batch, Entry, Ledger, LedgerError, Op};
use serde::{Deserialize, Serialize};
use session::lease::{Look, MachineView, Paid, PaidBook, Search};
use session::rental::{
    AccountId, BlockNumber, Head, Made, Order, Payment, Planck, RentId, RentalChain,
};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Rented;
use super::missed::Missed;
use crate::wire;

/// Names in the ledger begin so: of what is known of an order, and of what is prepaid for it.
const STATES: &str = "paid/";
const ACCOUNTS: &str = "prepaid/";
/// From which block on orders have accounts that nobody saw: the first final one that this ledger was told of.
const SINCE: &str = "accounts/since";
/// What could not be read or written is tried again after so long.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// Why what a node says is not taken.
const LAGS: &str = "the node lags behind";

/// A final block, and what it says; the newest.
pub(super) type Finals = watch::Receiver<Option<(Head, MachineView)>>;

/// See the module.
pub(super) struct Payments {
    book: Mutex<PaidBook>,
    missed: Mutex<Missed>,
    /// In which block the newest order was made that the ledger had when it was opened.
    newest: Option<BlockNumber>,
}

/// What is known of an order, under its number.
#[derive(Serialize, Deserialize)]
struct Kept {
    renter: String,
    start: u32,
    end: u32,
    blocks: u32,
    over: bool,
}

impl Payments {
    /// What the ledger knows.
    ///
    /// # Errors
    /// When it cannot be read, or has something else there.
    pub(super) async fn open(ledger: &Ledger) -> Result<Self> {
        let known = known(ledger).await?;
        let newest = known.iter().map(|paid| paid.start).max();
        let book = Mutex::new(PaidBook::restore(known));
        Ok(Self { book, missed: Mutex::default(), newest })
    }

    /// The same again: what was written last may not have been noted, where the connection broke meanwhile. What is seen
    /// while it is read stays.
    async fn read_again(&self, ledger: &Ledger) -> Result<()> {
        let before = self.book().clone();
        let known = known(ledger).await?;
        let mut book = self.book();
        known.into_iter().for_each(|paid| book.replace(before.get(paid.rent_id), paid));
        Ok(())
    }

    /// What a block says: orders that are new are kept, so that what is paid for them is looked for also where they are over
    /// before anybody looks again.
    ///
    /// # Errors
    /// When nothing can be written; the next block has them again.
    pub(super) fn see(&self, ledger: &Ledger, view: &MachineView) -> Result<(), LedgerError> {
        self.know(ledger, view.orders.iter().map(Order::made))
    }

    fn know(
        &self,
        ledger: &Ledger,
        orders: impl IntoIterator<Item = Made>,
    ) -> Result<(), LedgerError> {
        let mut book = self.book();
        let new = book.unknown(orders);
        if !new.is_empty() {
            // Written in the order of the calls, so before anything that is found of them.
            _ = ledger.try_commit(Batch::new(new.iter().map(state)))?;
            new.into_iter().for_each(|paid| book.put(paid));
        }
        Ok(())
    }

    /// Has what was found written, and what is known then; nothing where something else is known of the order by now, which
    /// is for the next look.
    async fn write(&self, ledger: &Ledger, search: &Search) -> Result<()> {
        let (after, before, payments) = (search.after(), &search.look().before, search.payments());
        let order = after.rent_id;
        let entries = payments.iter().filter(|payment| payment.fee > Planck::ZERO);
        let entries = entries.map(|payment| entry(order, payment)).collect::<Result<Vec<_>>>()?;
        let batch = Batch::new(entries.into_iter().map(Op::Post).chain([state(&after)]));
        let written = {
            let book = self.book();
            if book.get(order) != Some(before) {
                return Ok(());
            }
            // Before anything that is seen of the order from now on.
            ledger.try_commit(batch)?
        };
        if let Err(error) = written.await.unwrap_or(Err(LedgerError::Closed)) {
            let LedgerError::Entry(conflict) = error else { return Err(error.into()) };
            // A chain of development that was begun anew, with the orders' numbers of the one before.
            tracing::error!(%order, %conflict, "what was paid is not in the ledger, which has another order's there");
            self.book().replace(Some(before), search.in_vain());
            return Ok(());
        }
        if after.end > after.start {
            let paid = payments.iter().map(|payment| payment.fee);
            let paid = paid.fold(Planck::ZERO, |sum, fee| sum.checked_add(fee).unwrap_or(sum));
            tracing::info!(%order, paid_planck = %paid, blocks = after.blocks, "paid on the chain");
            let unproven = after.unproven();
            if unproven > before.unproven() {
                tracing::warn!(%order, blocks = unproven, "what these cost can no longer be read: it is unproven");
            }
        }
        self.book().replace(Some(before), after);
        Ok(())
    }

    /// See [`SINCE`]. It is this block where the ledger is new, or has a later one, which is of a chain of development that was
    /// begun anew; and where an earlier version wrote it, the one that the newest order was made in which that saw.
    async fn since(&self, ledger: &Ledger, head: BlockNumber) -> Result<BlockNumber> {
        let since = match ledger.state(SINCE.to_owned()).await? {
            None => self.newest.map_or(head, |newest| newest.min(head)),
            Some(bytes) => {
                let number = String::from_utf8(bytes).ok();
                let number = number.and_then(|number| number.parse::<u32>().ok());
                let number = number
                    .with_context(|| format!("the ledger's {SINCE:?} is of no known form"))?;
                let since = BlockNumber(number);
                if since <= head {
                    return Ok(since);
                }
                head
            }
        };
        ledger.commit(Op::State(SINCE.to_owned(), since.0.to_string().into_bytes())).await?;
        Ok(since)
    }

    fn book(&self) -> MutexGuard<'_, PaidBook> {
        // Each change is made in one step at the end of a call, so a panic elsewhere leaves it whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missed(&self) -> MutexGuard<'_, Missed> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn known(ledger: &Ledger) -> Result<Vec<Paid>> {
    let states = ledger.states(STATES.to_owned()).await?;
    let read = |(name, bytes): (String, Vec<u8>)| {
        read(&name, &bytes).with_context(|| format!("the ledger's {name:?} is of no known form"))
    };
    states.into_iter().map(read).collect()
}

fn read(name: &str, bytes: &[u8]) -> Option<Paid> {
    let kept: Kept = serde_json::from_slice(bytes).ok()?;
    Some(Paid {
        rent_id: RentId(name.strip_prefix(STATES)?.parse().ok()?),
        renter: AccountId(from_hex(&kept.renter)?.try_into().ok()?),
        start: BlockNumber(kept.start),
        end: BlockNumber(kept.end),
        blocks: kept.blocks,
        over: kept.over,
    })
}

fn state(paid: &Paid) -> Op {
    let kept = Kept {
        renter: to_hex(&paid.renter.0),
        start: paid.start.0,
        end: paid.end.0,
        blocks: paid.blocks,
        over: paid.over,
    };
    let bytes = serde_json::to_vec(&kept).unwrap_or_default();
    Op::State(format!("{STATES}{}", paid.rent_id), bytes)
}

/// Runs for as long as the connection does.
pub(super) async fn keep(rented: &Rented, chain: &dyn RentalChain, mut finals: Finals) {
    while let Err(error) = rented.paid.read_again(&rented.ledger).await {
        tracing::warn!(error = format!("{error:#}"), "what orders paid cannot be read");
        tokio::time::sleep(AGAIN).await;
    }
    // What failed on its way, to go on where it stopped.
    let mut searches = BTreeMap::new();
    // When what failed is tried again with the same final block.
    let mut wake = None;
    loop {
        let changed = finals.changed();
        let ended = match wake {
            Some(wake) => timeout_at(wake, changed).await.unwrap_or(Ok(())).is_err(),
            None => changed.await.is_err(),
        };
        if ended {
            // Nothing comes any more; whoever follows the chain ends this, too.
            return std::future::pending().await;
        }
        let Some((head, view)) = finals.borrow_and_update().clone() else { continue };
        let mut again = false;
        if let Err(error) = rented.paid.see(&rented.ledger, &view) {
            again = true;
            tracing::warn!(%error, "new orders are not kept");
        }
        catch_up(rented, chain, head.number).await;
        let looks = rented.paid.book().look(head.number, &view);
        // The newest first: the nodes forget what is paid while others are looked at, and may have forgotten old ones.
        for look in looks.into_iter().rev() {
            let order = look.before.rent_id;
            // One of an earlier head is ended first; what came after that is for the next look.
            again |= searches.get(&order).is_some_and(|search| goes_on(search, &look));
            if let Err(error) = settle(rented, chain, look, &mut searches).await {
                again = true;
                tracing::warn!(%order, error = format!("{error:#}"), "what an order paid is not in the ledger yet");
            }
        }
        let again = again.then(|| Instant::now() + AGAIN);
        let missed = rented.paid.missed().again();
        wake = again.into_iter().chain(missed).min();
    }
}

/// Has orders kept that were made and over since a final block was looked at last, where that is due. What fails is tried
/// again after a pause of its own: orders that are known do not wait for it.
async fn catch_up(rented: &Rented, chain: &dyn RentalChain, head: BlockNumber) {
    let shortest = rented.books().limits.map_or(0, |limits| limits.rent_step);
    if !rented.paid.missed().is_due(Instant::now(), head, shortest) {
        return;
    }
    let known = know_missed(rented, chain, head).await;
    let mut missed = rented.paid.missed();
    match known {
        Ok(()) => missed.found(head),
        Err(error) => {
            missed.failed(Instant::now());
            let error = format!("{error:#}");
            tracing::warn!(error, "orders that nobody saw are not known yet");
        }
    }
}

/// Reads the histories of the machine's renters.
async fn know_missed(rented: &Rented, chain: &dyn RentalChain, head: BlockNumber) -> Result<()> {
    let since = rented.paid.since(&rented.ledger, head).await?;
    let made = chain.confirmed_since(&rented.machine, since).await?;
    ensure!(made.head.number >= head, LAGS);
    Ok(rented.paid.know(&rented.ledger, made.value)?)
}

/// Whether a search looks for the same, also where that began at an earlier head.
fn goes_on(search: &Search, look: &Look) -> bool {
    search.look().before == look.before
}

/// Looks for what was paid, and has it written. A search that fails is kept.
async fn settle(
    rented: &Rented,
    chain: &dyn RentalChain,
    look: Look,
    searches: &mut BTreeMap<RentId, Search>,
) -> Result<()> {
    let (order, renter) = (look.before.rent_id, look.before.renter);
    let search = match searches.remove(&order).filter(|search| goes_on(search, &look)) {
        Some(search) => search,
        None => {
            let end = match look.end {
                Some(end) => Some(end),
                None => {
                    let end = chain.last_end(&rented.machine, &renter, order).await?;
                    ensure!(end.head.number >= look.head, LAGS);
                    end.value
                }
            };
            Search::new(look, end)
        }
    };
    let search = searches.entry(order).or_insert(search);
    while let Some((until, blocks)) = search.wants() {
        search.take(chain.payments(&rented.machine, order, until, blocks).await?);
    }
    rented.paid.write(&rented.ledger, search).await?;
    searches.remove(&order);
    Ok(())
}

fn entry(order: RentId, payment: &Payment) -> Result<Entry> {
    let key = format!("paid/{order}/{}.{}", payment.block, payment.number);
    let (from, to) = (format!("chain/{order}"), format!("{ACCOUNTS}{order}"));
    Ok(Entry::transfer(&key, "paid", payment.time, &from, &to, payment.fee)?)
}

impl Rented {
    /// What was paid for each order, used of it and is left, by number; also of orders that are over.
    pub(crate) async fn accounts(&self) -> Result<Vec<wire::OrderAccount>, ledger::LedgerError> {
        let balances = self.ledger.balances().await?;
        let number =
            |balance: &AccountBalance| balance.account.strip_prefix(ACCOUNTS)?.parse().ok();
        let mut orders: BTreeMap<u64, wire::OrderAccount> = balances
            .iter()
            .filter_map(|balance| Some((number(balance)?, account(balance))))
            .collect();
        let book = self.paid.book();
        for paid in book.orders().filter(|paid| paid.end > paid.start) {
            let none = || AccountBalance {
                account: format!("{ACCOUNTS}{}", paid.rent_id),
                debits: Planck::ZERO,
                credits: Planck::ZERO,
            };
            let order = orders.entry(paid.rent_id.0).or_insert_with(|| account(&none()));
            order.unproven_blocks = paid.unproven();
            order.over = paid.over;
        }
        Ok(orders.into_values().collect())
    }
}

fn account(balance: &AccountBalance) -> wire::OrderAccount {
    let left = match balance.balance() {
        (ledger::Side::Debit, left) => left.to_string(),
        (ledger::Side::Credit, over) => format!("-{over}"),
    };
    wire::OrderAccount {
        order: balance.account.trim_start_matches(ACCOUNTS).to_owned(),
        paid_planck: balance.debits.to_string(),
        used_planck: balance.credits.to_string(),
        left_planck: left,
        unproven_blocks: 0,
        over: false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::pin::pin;

    use futures::FutureExt as _;
    use session::rental::{GpuSlots, MachineId, OrderStatus};

    use super::*;

    const RENT: RentId = RentId(7);

    /// What a block says of an order that waits and was made in this one.
    fn view(start: u32) -> MachineView {
        let order = Order {
            rent_id: RENT,
            machine: MachineId::of_public_key(&[1; 32]),
            renter: AccountId([5; 32]),
            start: BlockNumber(start),
            confirmed: BlockNumber(0),
            end: BlockNumber(start + 300),
            status: OrderStatus::Waiting,
            slots: GpuSlots::new(vec![0]),
            receiver: None,
        };
        MachineView { machine: None, orders: vec![order] }
    }

    async fn opened(folder: &Path) -> (Payments, Ledger) {
        let ledger = Ledger::open(&folder.join("ledger"), ledger::Options::default()).unwrap();
        (Payments::open(&ledger).await.unwrap(), ledger)
    }

    /// The order as it is known, and as it is durable.
    async fn order(payments: &Payments, ledger: &Ledger) -> [Option<Paid>; 2] {
        let known = payments.book().clone();
        let durable = Payments::open(ledger).await.unwrap().book().clone();
        [known, durable].map(|book| book.get(RENT).cloned())
    }

    fn starts(order: [Option<Paid>; 2]) -> [Option<u32>; 2] {
        order.map(|paid| paid.map(|paid| paid.start.0))
    }

    #[tokio::test]
    async fn a_ledger_of_an_earlier_version_goes_on_from_the_newest_order_that_it_saw() {
        let of = |number: u64, start: u32| {
            let (rent_id, renter) = (RentId(number), AccountId([5; 32]));
            let (start, end) = (BlockNumber(start), BlockNumber(start));
            state(&Paid { rent_id, renter, start, end, blocks: 0, over: number == 2 })
        };
        let head = BlockNumber(500);
        // None, as in a new one; two of which one lapsed; and those of a chain of development that was begun anew.
        let kept = [vec![], vec![of(1, 10), of(2, 20)], vec![of(1, 700)]];
        for (kept, expected) in kept.into_iter().zip([500, 20, 500]) {
            let folder = tempfile::tempdir().unwrap();
            let (_, ledger) = opened(folder.path()).await;
            ledger.commit(Batch::new(kept)).await.unwrap();
            let payments = Payments::open(&ledger).await.unwrap();
            // What is seen before the first final block is looked at is none of an earlier version's.
            payments.see(&ledger, &view(400)).unwrap();
            let since = payments.since(&ledger, head).await.unwrap();
            assert_eq!(since, BlockNumber(expected));
            let again = Payments::open(&ledger).await.unwrap();
            assert_eq!(again.since(&ledger, head.after(100)).await.unwrap(), since, "it stays");
        }
    }

    #[tokio::test]
    async fn a_chain_that_is_begun_anew_has_accounts_from_its_own_first_block_on() {
        let folder = tempfile::tempdir().unwrap();
        let (payments, ledger) = opened(folder.path()).await;
        for (head, expected) in [(500, 500), (600, 500), (40, 40), (600, 40)] {
            let since = payments.since(&ledger, BlockNumber(head)).await.unwrap();
            assert_eq!(since, BlockNumber(expected), "at {head}");
        }
    }

    #[tokio::test]
    async fn an_order_that_another_branch_makes_anew_outlasts_what_was_found_before() {
        // Before that is written, and while it is.
        for is_written in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let (payments, ledger) = opened(folder.path()).await;
            payments.see(&ledger, &view(10)).unwrap();
            let gone = payments.book().look(BlockNumber(200), &MachineView::default()).remove(0);
            let search = Search::new(gone, None);
            let see = || payments.see(&ledger, &view(12)).unwrap();
            if !is_written {
                see();
            }
            let mut write = pin!(payments.write(&ledger, &search));
            let written = write.as_mut().now_or_never();
            if is_written {
                see();
            }
            match written {
                Some(written) => written.unwrap(),
                None => write.await.unwrap(),
            }
            assert_eq!(starts(order(&payments, &ledger).await), [Some(12); 2]);
        }
    }

    #[tokio::test]
    async fn an_order_that_is_seen_while_the_ledger_is_read_again_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (payments, ledger) = opened(folder.path()).await;
        let mut read = pin!(payments.read_again(&ledger));
        let before = read.as_mut().now_or_never();
        payments.see(&ledger, &view(10)).unwrap();
        match before {
            Some(read) => read.unwrap(),
            None => read.await.unwrap(),
        }
        let both = order(&payments, &ledger).await;
        assert_eq!(starts(both.clone()), [Some(10); 2]);
        // What was written and not noted is noted then.
        let [known, _] = both;
        let paid = Paid { end: BlockNumber(310), blocks: 300, ..known.unwrap() };
        ledger.commit(state(&paid)).await.unwrap();
        payments.read_again(&ledger).await.unwrap();
        assert_eq!(order(&payments, &ledger).await[0].as_ref(), Some(&paid));
    }
}
