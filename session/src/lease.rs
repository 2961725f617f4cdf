//! Who may use this machine now, and until when: decided from what the chain was last seen to say, without asking it.
//!
//! ```text
//!            Best, Finalized (head, and what it says of the machine)
//!  chain ────────────────────────────────────────────────────────────▶ LeaseBook ──▶ check: Grant or Denied
//!          Lost: blocks are estimated on CLOCK_BOOTTIME from then on        │
//!                                                                            └──▶ Warn, End, Notice
//! ```
//!
//! An order is over in the block that deletes it: its end, or where nobody confirmed it the last block of its window. Numbers
//! of blocks are compared, never counted: heads may be missed. The highest number that was ever seen decides, so that a
//! reorganisation or a node that lags prolongs nothing. Who is let in and until when is said by the best block; whether he pays for it by
//! the final one ([`Standing`]). Without heads the number is estimated from the last block and the length of a
//! slot; what was estimated is forgotten when a head comes. While heads may come, a chain that stands still keeps its leases.
//!
//! The driver hands in heads with what was read at them in one event, and calls with [`LeaseEvent::Timeout`] at
//! [`LeaseBook::poll_timeout`].

mod paid;
mod slots;
mod trials;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Add;
use std::time::Duration;

use thiserror::Error;

use crate::rental::{
    AccountId, BlockHash, BlockNumber, ChainLimits, GpuSlots, Head, Machine, MachineId,
    MachineStatus, Order, OrderStatus, RentId, UnixMillis,
};

pub use paid::{Look, Paid, PaidBook, Search};
pub use slots::SlotPermit;
pub use trials::TrialUse;
use trials::Trials;

/// The player is told when so much is left.
pub const MARKS: [Duration; 3] =
    [Duration::from_secs(300), Duration::from_secs(60), Duration::from_secs(10)];
/// Time of a block where blocks come with transactions only, for warnings.
const NOMINAL_SLOT: Duration = Duration::from_secs(6);
/// Hashes that are remembered to tell an older head from another branch; nodes keep as many states.
const REMEMBERED: usize = 256;
/// Ended orders that are remembered, so that who comes late learns why.
const ENDED: usize = 64;

/// Time of CLOCK_BOOTTIME in nanoseconds: runs on while the machine sleeps, and nobody sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// What a machine's operator settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// The chain.
    pub genesis: BlockHash,
    /// The machine that this node is.
    pub machine: MachineId,
    /// How long an order may be tried in all before it is confirmed.
    pub trial: Duration,
    /// How many orders a renter may try in a day of the chain.
    pub trials_a_day: u32,
}

/// What a block says of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineView {
    /// The machine, if the chain has it.
    pub machine: Option<Machine>,
    /// Its orders.
    pub orders: Vec<Order>,
}

/// What the book is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseEvent {
    /// A node answers, of the chain with this block 0 and these limits.
    Connected(BlockHash, ChainLimits),
    /// A node answers that is of the chain with this block 0, which is another one.
    Foreign(BlockHash),
    /// The limits changed.
    Limits(ChainLimits),
    /// The newest block, and what it says, where that could be read.
    Best(Head, Option<MachineView>),
    /// The newest final block, and what it says, where that could be read.
    Finalized(Head, Option<MachineView>),
    /// No heads come any more.
    Lost,
    /// What was known before the program was started anew.
    Restored(Restored),
    /// [`LeaseBook::poll_timeout`] has come.
    Timeout,
}

/// What a node that starts without a chain goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The last block.
    pub head: Head,
    /// What it said.
    pub view: MachineView,
    /// The orders that a final block had as confirmed.
    pub paid: BTreeSet<RentId>,
    /// What the chain limited.
    pub limits: ChainLimits,
    /// The system's clock now; only the time since the block's timestamp is taken from it.
    pub wall: UnixMillis,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// Tell the order's players that so much is left: one of [`MARKS`], or less for an order that is seen late.
    Warn(RentId, Duration),
    /// End the order's sessions, saving their state.
    End(RentId, LeaseEnd),
    /// The order is new, confirmed, prolonged or back.
    Changed(RentId),
    /// For the log and the operator.
    Notice(LeaseNotice),
}

/// Why an order's sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseEnd {
    /// Its end block has come.
    Over,
    /// Nobody confirmed it in time.
    Lapsed,
    /// It is gone from the chain before its end.
    Vanished,
    /// The machine is.
    MachineGone,
}

impl LeaseEnd {
    /// A code that never changes, in snake case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Over => "lease_ended",
            Self::Lapsed => "order_lapsed",
            Self::Vanished => "order_vanished",
            Self::MachineGone => "machine_gone",
        }
    }
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseNotice {
    /// Another branch is the best now.
    Reorganised {
        /// The best block before.
        from: BlockNumber,
        /// The best block now.
        to: BlockNumber,
    },
    /// A node told of a block that is older than one that was seen before; not used.
    OlderHead {
        /// What it told.
        told: BlockNumber,
        /// What was seen.
        seen: BlockNumber,
    },
    /// A node is of another chain; nothing of it is used.
    WrongGenesis(BlockHash),
    /// A node calls final what contradicts what was final; not used.
    FinalityBroken(BlockNumber),
    /// The system's clock shows a time before the last block's: time since then counts as none.
    ClockBehind,
}

/// How far an order is.
///
/// ```text
///  Waiting ──confirmed in the best block──▶ Confirmed ──and in a final one──▶ Paid
///     ▲                                         │
///     └──────── a branch takes it back ─────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for confirmation: its renter may try it.
    Waiting,
    /// The best block has it confirmed, and no final one: whoever rents is let in, and nothing is charged yet.
    Confirmed,
    /// A final block has it confirmed.
    Paid,
}

/// What somebody may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// By which order.
    pub rent_id: RentId,
    /// Whose order.
    pub renter: AccountId,
    /// Its cards.
    pub slots: GpuSlots,
    /// The block that ends it.
    pub over: BlockNumber,
    /// When that is expected.
    pub until: BootTime,
    /// How much may be tried, where the order is not confirmed.
    pub trial: Option<Duration>,
    /// How far the order is.
    pub standing: Standing,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimant {
    /// The account that proved itself.
    Renter(AccountId),
    /// Whoever has a ticket of the order.
    Bearer,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Denied {
    /// Nothing was heard of the chain since the start.
    #[error("the node has not heard of the chain yet")]
    NoHead,
    /// The chain is not the one that is configured.
    #[error("the node is connected to another chain than its machine is on")]
    WrongGenesis,
    /// The machine has no such order.
    #[error("this machine has no such order")]
    UnknownOrder,
    /// It is of another machine.
    #[error("the order is of another machine")]
    OtherMachine,
    /// It is somebody else's.
    #[error("the order is another renter's")]
    ForeignRenter,
    /// It ended.
    #[error("the order has ended")]
    Over,
    /// It was not confirmed in time.
    #[error("the order was not confirmed in time")]
    Lapsed,
    /// It is gone from the chain.
    #[error("the order is gone from the chain")]
    Vanished,
    /// It has no graphics card.
    #[error("the order has no graphics card")]
    NothingRented,
    /// It waits for confirmation, so its renter alone may try it.
    #[error("the order is not confirmed: only its renter may try it")]
    NotConfirmed,
    /// It was tried as long as it may be.
    #[error("the order was tried as long as it may be: confirm it")]
    TrialUsed,
    /// The renter tried as many orders today as he may.
    #[error("this renter tried as many orders today as a renter may")]
    TooManyTrials,
    /// Every card of it has a session.
    #[error("every graphics card of the order has a session already")]
    SlotsTaken,
    /// The ticket is for a card that the order does not have.
    #[error("the order does not have that graphics card")]
    SlotNotRented,
    /// The owner reported it offline.
    #[error("the machine is reported offline")]
    MachineOffline,
    /// The chain has no such machine any more.
    #[error("the machine is gone from the chain")]
    MachineGone,
}

impl From<LeaseEnd> for Denied {
    fn from(end: LeaseEnd) -> Self {
        match end {
            LeaseEnd::Over => Self::Over,
            LeaseEnd::Lapsed => Self::Lapsed,
            LeaseEnd::Vanished => Self::Vanished,
            LeaseEnd::MachineGone => Self::MachineGone,
        }
    }
}

/// Where block numbers and the chain's time are estimated from.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    head: Head,
    boot: BootTime,
    /// How old the block was then, where that is known.
    age: Duration,
}

#[derive(Debug)]
struct Held {
    order: Order,
    /// The lowest mark that was told.
    warned: Option<Duration>,
}

/// What is known of a machine's orders. See the module's documentation.
#[derive(Debug)]
pub struct LeaseBook {
    config: LeaseConfig,
    limits: Option<ChainLimits>,
    boot: BootTime,
    anchor: Option<Anchor>,
    /// The highest number of a block that was seen.
    reached: BlockNumber,
    finalized: Option<Head>,
    recent: VecDeque<Head>,
    foreign: bool,
    lost: bool,
    machine: Option<Machine>,
    time: UnixMillis,
    held: BTreeMap<RentId, Held>,
    /// Of the last final block the orders that were confirmed.
    paid: BTreeSet<RentId>,
    ended: VecDeque<(RentId, LeaseEnd)>,
    trials: Trials,
    slots: slots::Slots,
    actions: VecDeque<LeaseAction>,
}

impl LeaseBook {
    /// A book that knows nothing of the chain.
    pub fn new(config: LeaseConfig, boot: BootTime) -> Self {
        Self {
            config,
            limits: None,
            boot,
            anchor: None,
            reached: BlockNumber(0),
            finalized: None,
            recent: VecDeque::new(),
            foreign: false,
            lost: true,
            machine: None,
            time: UnixMillis(0),
            held: BTreeMap::new(),
            paid: BTreeSet::new(),
            ended: VecDeque::new(),
            trials: Trials::default(),
            slots: slots::Slots::default(),
            actions: VecDeque::new(),
        }
    }

    /// Tells what happened; then take all that [`Self::poll_action`] yields.
    pub fn handle(&mut self, boot: BootTime, event: LeaseEvent) {
        self.boot = self.boot.max(boot);
        match event {
            LeaseEvent::Connected(genesis, limits) => self.connected(genesis, limits),
            LeaseEvent::Foreign(genesis) => self.foreign(genesis),
            LeaseEvent::Limits(limits) => self.limits = Some(limits),
            LeaseEvent::Best(head, view) if !self.foreign => self.best(head, view),
            LeaseEvent::Finalized(head, view) if !self.foreign => self.final_head(head, view),
            LeaseEvent::Best(..) | LeaseEvent::Finalized(..) | LeaseEvent::Timeout => {}
            LeaseEvent::Lost => self.lost = true,
            LeaseEvent::Restored(restored) => self.restored(restored),
        }
        self.time = self.time.max(self.estimated_time());
        self.enforce();
        self.warn();
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<LeaseAction> {
        self.actions.pop_front()
    }

    /// When [`LeaseEvent::Timeout`] is due: the next warning, and without heads the next end.
    pub fn poll_timeout(&self) -> Option<BootTime> {
        let slot = self.slot();
        let due = self.held.values().filter_map(|held| {
            let over = self.expected(self.over(&held.order)?)?;
            let end = self.estimates().then_some(over);
            let mark = MARKS.into_iter().find(|mark| held.warned.is_none_or(|told| *mark < told));
            let mark = mark.filter(|_| held.order.status == OrderStatus::Renting).map(|mark| {
                let mark = u64::try_from(mark.as_nanos()).unwrap_or(u64::MAX);
                BootTime(over.0.saturating_sub(mark))
            });
            end.into_iter().chain(mark).min()
        });
        // A block that is late moves its warnings; they are looked at again a slot later, not at once.
        due.min().map(|due| if due <= self.boot { self.boot + slot } else { due })
    }

    /// Whether somebody may use an order now; from what is known, at once.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn check(
        &self,
        boot: BootTime,
        rent_id: RentId,
        claimant: Claimant,
    ) -> Result<Grant, Denied> {
        if self.foreign {
            return Err(Denied::WrongGenesis);
        }
        let (Some(_), Some(limits)) = (self.anchor, &self.limits) else {
            return Err(Denied::NoHead);
        };
        let Some(held) = self.held.get(&rent_id) else { return Err(self.why_not(rent_id)) };
        let order = &held.order;
        if order.machine != self.config.machine {
            return Err(Denied::OtherMachine);
        }
        if matches!(claimant, Claimant::Renter(account) if account != order.renter) {
            return Err(Denied::ForeignRenter);
        }
        self.machine_is_there()?;
        let over = order.over(limits);
        if self.block_at(boot) >= over {
            return Err(Denied::from(end_of(order)));
        }
        if order.slots.count() == 0 {
            return Err(Denied::NothingRented);
        }
        let standing = self.standing(order);
        let trial = match (standing, claimant) {
            (Standing::Confirmed | Standing::Paid, _) => None,
            (Standing::Waiting, Claimant::Bearer) => return Err(Denied::NotConfirmed),
            (Standing::Waiting, Claimant::Renter(_)) => Some(self.trial_left(order)?),
        };
        Ok(Grant {
            rent_id,
            renter: order.renter,
            slots: order.slots.clone(),
            over,
            until: self.expected(over).unwrap_or(boot),
            trial,
            standing,
        })
    }

    /// The number of the newest block, estimated where no heads come.
    pub fn block(&self) -> BlockNumber {
        self.block_at(self.boot)
    }

    /// The chain's time, which never goes back and does not follow the system's clock; none before the first head.
    pub fn time(&self, boot: BootTime) -> Option<UnixMillis> {
        self.anchor.map(|_| {
            let since = boot.since(self.boot).as_millis() as u64;
            UnixMillis(self.time.0.saturating_add(since))
        })
    }

    /// The orders that are known, by number.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.held.values().map(|held| &held.order)
    }

    /// How far an order is, the block that ends it, and when that is expected; none once it has ended.
    pub fn outlook(&self, rent_id: RentId) -> Option<(Standing, BlockNumber, BootTime)> {
        let order = &self.held.get(&rent_id)?.order;
        let over = self.over(order)?;
        Some((self.standing(order), over, self.expected(over)?))
    }

    /// The orders that the last final block had as confirmed.
    pub fn paid(&self) -> &BTreeSet<RentId> {
        &self.paid
    }

    fn standing(&self, order: &Order) -> Standing {
        match order.status {
            OrderStatus::Waiting => Standing::Waiting,
            OrderStatus::Renting if self.paid.contains(&order.rent_id) => Standing::Paid,
            OrderStatus::Renting => Standing::Confirmed,
        }
    }

    /// The machine as it was last seen.
    pub fn machine(&self) -> Option<&Machine> {
        self.machine.as_ref()
    }

    fn connected(&mut self, genesis: BlockHash, limits: ChainLimits) {
        if genesis != self.config.genesis {
            return self.foreign(genesis);
        }
        self.foreign = false;
        self.limits = Some(limits);
    }

    fn foreign(&mut self, genesis: BlockHash) {
        self.foreign = true;
        self.lost = true;
        self.notice(LeaseNotice::WrongGenesis(genesis));
    }

    fn best(&mut self, head: Head, view: Option<MachineView>) {
        if let Some(best) =
            self.anchor.map(|anchor| anchor.head).filter(|best| best.hash != head.hash)
        {
            let is_known = self.recent.iter().any(|known| known.hash == head.hash);
            let is_old = self.finalized.is_some_and(|last| head.number < last.number);
            if is_known || is_old {
                let (told, seen) = (head.number, best.number);
                return self.notice(LeaseNotice::OlderHead { told, seen });
            }
            let follows = head.number.since(best.number) > 1
                || head.number > best.number && head.parent == best.hash;
            if !follows {
                self.notice(LeaseNotice::Reorganised { from: best.number, to: head.number });
            }
        }
        self.lost = false;
        let is_new = self.anchor.is_none_or(|anchor| anchor.head.hash != head.hash);
        if is_new {
            self.anchor = Some(Anchor { head, boot: self.boot, age: Duration::ZERO });
            self.recent.push_back(head);
            self.recent.truncate_front_to(REMEMBERED);
        }
        self.reached = self.reached.max(head.number);
        self.time = self.time.max(head.time);
        if let Some(view) = view {
            self.look(view);
        }
    }

    fn final_head(&mut self, head: Head, view: Option<MachineView>) {
        if let Some(last) = self.finalized {
            if head.number < last.number {
                let (told, seen) = (head.number, last.number);
                return self.notice(LeaseNotice::OlderHead { told, seen });
            }
            if head.number == last.number && head.hash != last.hash {
                return self.notice(LeaseNotice::FinalityBroken(head.number));
            }
        }
        self.finalized = Some(head);
        self.trials.forget_before(head.number);
        let Some(view) = view else { return };
        let paid = view.orders.iter().filter(|order| order.status == OrderStatus::Renting);
        self.paid = paid.map(|order| order.rent_id).collect();
    }

    fn restored(&mut self, restored: Restored) {
        let Restored { head, view, paid, limits, wall } = restored;
        if self.anchor.is_some() {
            return;
        }
        self.limits.get_or_insert(limits);
        if wall < head.time {
            self.notice(LeaseNotice::ClockBehind);
        }
        let age = Duration::from_millis(wall.0.saturating_sub(head.time.0));
        self.anchor = Some(Anchor { head, boot: self.boot, age });
        self.reached = self.reached.max(head.number);
        self.recent.push_back(head);
        self.paid = paid;
        self.look(view);
    }

    /// Takes what the best block says.
    fn look(&mut self, view: MachineView) {
        let is_gone =
            view.machine.as_ref().is_none_or(|machine| machine.status == MachineStatus::Exit);
        self.machine = view.machine;
        let mut before = std::mem::take(&mut self.held);
        // A machine that was forced out leaves its orders on the chain.
        for order in view.orders.into_iter().filter(|_| !is_gone) {
            let id = order.rent_id;
            // The chain's hook leaves orders behind when another one of the same block fails.
            let is_over = self.over(&order).is_some_and(|over| self.reached >= over);
            if is_over && self.ended.iter().any(|(ended, _)| *ended == id) {
                continue;
            }
            let held = match before.remove(&id) {
                Some(held) if held.order == order => held,
                other => {
                    // Another branch gave its number to somebody else.
                    if other.as_ref().is_some_and(|held| held.order.renter != order.renter) {
                        self.end(id, LeaseEnd::Vanished);
                    }
                    self.actions.push_back(LeaseAction::Changed(id));
                    let warned = other.filter(|held| held.order.end >= order.end);
                    Held { warned: warned.and_then(|held| held.warned), order }
                }
            };
            self.held.insert(id, held);
        }
        for (id, held) in before {
            let is_over = self.over(&held.order).is_some_and(|over| self.reached >= over);
            let end = match (is_gone, is_over) {
                (_, true) => end_of(&held.order),
                (true, false) => LeaseEnd::MachineGone,
                (false, false) => LeaseEnd::Vanished,
            };
            self.end(id, end);
        }
    }

    /// Ends what is over by the number of the block, seen or estimated.
    fn enforce(&mut self) {
        let block = self.block_at(self.boot);
        let is_over = |held: &Held| self.over(&held.order).is_some_and(|over| block >= over);
        let over: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| is_over(held))
            .map(|(id, held)| (*id, end_of(&held.order)))
            .collect();
        for (id, end) in over {
            self.held.remove(&id);
            self.end(id, end);
        }
    }

    fn end(&mut self, id: RentId, end: LeaseEnd) {
        self.actions.push_back(LeaseAction::End(id, end));
        self.slots.forget(id);
        self.ended.retain(|(ended, _)| *ended != id);
        self.ended.push_back((id, end));
        self.ended.truncate_front_to(ENDED);
    }

    fn warn(&mut self) {
        let boot = self.boot;
        let left: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| held.order.status == OrderStatus::Renting)
            .filter_map(|(id, held)| {
                Some((*id, self.expected(self.over(&held.order)?)?.since(boot)))
            })
            .collect();
        for (id, left) in left {
            let Some(held) = self.held.get_mut(&id) else { continue };
            let mark = MARKS.into_iter().rev().find(|mark| left <= *mark);
            let Some(mark) = mark.filter(|mark| held.warned.is_none_or(|told| *mark < told)) else {
                continue;
            };
            held.warned = Some(mark);
            self.actions.push_back(LeaseAction::Warn(id, mark.min(left)));
        }
    }

    fn machine_is_there(&self) -> Result<(), Denied> {
        match self.machine.as_ref().map(|machine| machine.status) {
            None | Some(MachineStatus::Exit) => Err(Denied::MachineGone),
            Some(MachineStatus::Offline) => Err(Denied::MachineOffline),
            Some(_) => Ok(()),
        }
    }

    fn why_not(&self, id: RentId) -> Denied {
        let ended = self.ended.iter().find(|(ended, _)| *ended == id);
        match ended {
            Some((_, end)) => Denied::from(*end),
            None => self.machine_is_there().err().unwrap_or(Denied::UnknownOrder),
        }
    }

    fn over(&self, order: &Order) -> Option<BlockNumber> {
        self.limits.as_ref().map(|limits| order.over(limits))
    }

    /// Whether numbers are estimated: no heads come, and blocks come by themselves.
    fn estimates(&self) -> bool {
        self.lost && self.limits.is_some_and(|limits| limits.slot.is_some())
    }

    fn slot(&self) -> Duration {
        let slot = self.limits.and_then(|limits| limits.slot);
        slot.filter(|slot| !slot.is_zero()).unwrap_or(NOMINAL_SLOT)
    }

    fn block_at(&self, boot: BootTime) -> BlockNumber {
        let Some(anchor) = self.anchor.filter(|_| self.estimates()) else { return self.reached };
        let passed = (boot.since(anchor.boot) + anchor.age).as_nanos() / self.slot().as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.reached.max(anchor.head.number.after(passed))
    }

    /// When a block is expected. One that is late is expected at once.
    fn expected(&self, block: BlockNumber) -> Option<BootTime> {
        let anchor = self.anchor?;
        let slot = self.slot();
        let whole = slot.saturating_mul(block.since(anchor.head.number));
        let passed = self.boot.since(anchor.boot) + anchor.age;
        let passed = if self.estimates() { passed } else { passed.min(slot) };
        Some(self.boot + whole.saturating_sub(passed))
    }

    fn estimated_time(&self) -> UnixMillis {
        let Some(anchor) = self.anchor else { return UnixMillis(0) };
        let passed = self.boot.since(anchor.boot) + anchor.age;
        UnixMillis(anchor.head.time.0.saturating_add(passed.as_millis() as u64))
    }

    fn notice(&mut self, notice: LeaseNotice) {
        self.actions.push_back(LeaseAction::Notice(notice));
    }
}

fn end_of(order: &Order) -> LeaseEnd {
    match order.status {
        OrderStatus::Renting => LeaseEnd::Over,
        OrderStatus::Waiting => LeaseEnd::Lapsed,
    }
}

/// Drops the oldest of what is more than there is room for.
trait TruncateFront {
    fn truncate_front_to(&mut self, most: usize);
}

impl<T> TruncateFront for VecDeque<T> {
    fn truncate_front_to(&mut self, most: usize) {
        while self.len() > most {
            self.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
