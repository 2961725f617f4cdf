//! The state of the model, block by block.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures::stream;
use session::rental::{
    AccountId, BLOCKS_PER_DAY, Balance, BlockHash, BlockNumber, ChainLimits, GpuSlots, Head,
    HeadEvent, Heads, Machine, MachineId, MachineStatus, Order, OrderStatus, Payment, Perbill,
    Planck, PriceInputs, Rejection, RentId, Schedule, UnixMillis, futile,
};

use crate::contract::Wallet;

/// What the network takes for any call.
pub(crate) const NETWORK_FEE: Planck = Planck(150_000_000_000);
const CONFIRM_WINDOW: u32 = 150;
const RENT_STEP: u32 = 300;
const SHORTEST_RELET: u32 = 100;
const SLOT_MS: u64 = 6_000;
/// States that are kept, as nodes do by default.
const KEPT: usize = 256;
/// Head events that wait for a listener at most; older ones are dropped.
const HEADS: usize = 64;

/// The account of a wallet of the model.
pub fn account_of(wallet: Wallet) -> AccountId {
    AccountId([wallet as u8 + 1; 32])
}

/// What changes from block to block.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) head: Head,
    pub(crate) machine: Option<Machine>,
    pub(crate) orders: BTreeMap<RentId, (Order, Planck)>,
    pub(crate) balances: BTreeMap<AccountId, Balance>,
    pub(crate) limits: ChainLimits,
    pub(crate) price: PriceInputs,
    pub(crate) schedule: Schedule,
    /// What was paid in this block.
    pub(crate) paid: Vec<(RentId, Payment)>,
    /// Every order that was ever confirmed, with its last end.
    pub(crate) history: BTreeMap<RentId, Order>,
    next_rent: u64,
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// Newest last; the first is the oldest that is kept.
    pub(crate) states: Vec<State>,
    pub(crate) finalized: BlockNumber,
    pub(crate) hold_finality: bool,
    pub(crate) genesis: BlockHash,
    /// Who looks for payments reads no block before this one.
    pub(crate) unread: Option<BlockNumber>,
    /// How many blocks were looked into for payments, and how often that failed.
    pub(crate) read: u32,
    pub(crate) failed: u32,
    /// Whether nobody can read renters' histories, and how often they were asked for.
    pub(crate) no_histories: bool,
    pub(crate) histories: u32,
    listeners: Vec<Arc<Mutex<Listener>>>,
}

/// A chain in memory. Clones are the same chain.
#[derive(Clone, Debug)]
pub struct ModelChain {
    inner: Arc<Mutex<Inner>>,
    machine: MachineId,
    renters: [AccountId; 2],
}

impl ModelChain {
    /// A chain at block 1 with one machine of four cards, and money for all wallets but the poor one.
    pub fn new() -> Self {
        let renters = [Wallet::Renter, Wallet::Other].map(account_of);
        Self::with(MachineId::of_public_key(&[0xaa; 32]), renters)
    }

    /// The same with a machine and two renters ([`Wallet::Renter`] and [`Wallet::Other`]) whose keys somebody has.
    pub fn with(id: MachineId, renters: [AccountId; 2]) -> Self {
        let hash = |number: u32| hash_of(number, 0);
        let rich = Balance { free: Planck::dbc(1_000_000), ..Balance::default() };
        let wallets = renters.into_iter().chain([account_of(Wallet::Controller)]);
        let mut balances: BTreeMap<_, _> = wallets.map(|account| (account, rich)).collect();
        let poor = Balance { free: Planck::dbc(1), ..Balance::default() };
        balances.insert(account_of(Wallet::Poor), poor);
        let machine = Machine {
            id,
            owner: AccountId([0xbb; 32]),
            controller: account_of(Wallet::Controller),
            status: MachineStatus::Online,
            gpus: 4,
            rented_gpus: 0,
            calc_point: 6_825,
        };
        let limits = ChainLimits {
            confirm_window: CONFIRM_WINDOW,
            rent_step: RENT_STEP,
            shortest_relet: SHORTEST_RELET,
            longest: 60 * BLOCKS_PER_DAY,
            fixed_fee: Planck::dbc(10),
            burn: Perbill(50_000_000),
            slot: None,
        };
        let price = PriceInputs {
            gpu_price: 28_229_999,
            gpu_point: 100_000,
            calc_point: machine.calc_point,
            gpus: machine.gpus,
            extra_price: 0,
            dbc_price: Some(2_000),
            fixed_fee: limits.fixed_fee,
        };
        let number = BlockNumber(1);
        let head = Head { number, hash: hash(1), parent: hash(0), time: UnixMillis(SLOT_MS) };
        let machine = Some(machine);
        let orders = BTreeMap::new();
        let state = State {
            head,
            machine,
            orders,
            balances,
            limits,
            price,
            schedule: Schedule::Always,
            paid: Vec::new(),
            history: BTreeMap::new(),
            next_rent: 0,
        };
        let inner = Inner {
            states: vec![state],
            finalized: number,
            hold_finality: false,
            genesis: hash(0),
            unread: None,
            read: 0,
            failed: 0,
            no_histories: false,
            histories: 0,
            listeners: Vec::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)), machine: id, renters }
    }

    /// The account of a wallet here.
    pub(crate) fn wallet(&self, wallet: Wallet) -> AccountId {
        match wallet {
            Wallet::Renter => self.renters[0],
            Wallet::Other => self.renters[1],
            wallet => account_of(wallet),
        }
    }

    /// The machine here.
    pub(crate) fn id(&self) -> MachineId {
        self.machine
    }

    /// Changes what the chain limits, as governance does.
    pub fn govern(&self, change: impl FnOnce(&mut ChainLimits)) {
        self.lock().block(|state| change(&mut state.limits));
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes so many empty blocks.
    pub fn advance(&self, blocks: u32) {
        let mut inner = self.lock();
        for _ in 0..blocks {
            inner.block(|_| ());
        }
    }

    /// Whether blocks become final from now on. When they do again, all of them are.
    pub fn hold_finality(&self, hold: bool) {
        let mut inner = self.lock();
        inner.hold_finality = hold;
        inner.finalize();
    }

    /// Whoever looks for payments fails at blocks before the newest so many; none: no more.
    pub fn fail_before(&self, newest: Option<u32>) {
        let mut inner = self.lock();
        let best = inner.best().head.number.0;
        inner.unread = newest.map(|newest| BlockNumber(best.saturating_sub(newest)));
    }

    /// How many blocks were looked into for payments so far, and how often that failed.
    pub fn looked(&self) -> (u32, u32) {
        let inner = self.lock();
        (inner.read, inner.failed)
    }

    /// Whether renters' histories cannot be read from now on.
    pub fn fail_histories(&self, fail: bool) {
        self.lock().no_histories = fail;
    }

    /// How often renters' histories were asked for so far.
    pub fn histories(&self) -> u32 {
        self.lock().histories
    }

    /// Takes the machine off the chain and leaves its orders, as authorised accounts can.
    pub fn force_machine_exit(&self) {
        self.lock().block(|state| state.machine = None);
    }

    /// An order of [`Wallet::Renter`]'s of another machine, which this chain has, too.
    pub fn order_elsewhere(&self) -> RentId {
        let renter = self.wallet(Wallet::Renter);
        self.lock().block(|state| {
            state.next_rent += 1;
            let (rent_id, start) = (RentId(state.next_rent), state.head.number);
            let order = Order {
                rent_id,
                machine: MachineId::of_public_key(&[0x77; 32]),
                renter,
                start,
                confirmed: start,
                end: start.after(RENT_STEP),
                status: OrderStatus::Renting,
                slots: GpuSlots::new(vec![0]),
                receiver: None,
            };
            state.orders.insert(rent_id, (order, Planck::ZERO));
            rent_id
        })
    }

    /// Sets what a DBC is worth, in millionths of a dollar; as anybody can who tells the oracle.
    pub fn set_dbc_price(&self, price: Option<u64>) {
        self.lock().block(|state| state.price.dbc_price = price);
    }

    /// Has the machine's owner keep these hours.
    pub fn keep_hours(&self, schedule: &Schedule) {
        self.lock().block(|state| state.schedule = schedule.clone());
    }

    /// Another branch becomes the best: blocks from `depth` before the best on are replaced by as many empty ones and one more.
    /// None of them is final.
    ///
    /// # Panics
    /// Where one of them is final.
    pub fn reorganise(&self, depth: u32) {
        let mut inner = self.lock();
        let best = inner.best().head.number;
        assert!(best.0 - depth >= inner.finalized.0, "final blocks stay");
        // Blocks of another branch than any before it have other hashes.
        let branch = inner.best().head.hash.0[31].saturating_add(1);
        let keep = inner.states.len() - depth as usize;
        inner.states.truncate(keep);
        for _ in 0..=depth {
            inner.next(branch, |_| ());
        }
    }

    /// Says that no heads come any more, as a client does whose node is gone.
    pub fn lose(&self, reason: &str) {
        self.lock().tell(&HeadEvent::Lost(reason.to_owned()));
    }

    pub(crate) fn listen(&self) -> Heads {
        let mut inner = self.lock();
        let listener = Arc::new(Mutex::new(Listener::default()));
        inner.listeners.push(Arc::clone(&listener));
        let (best, finalized) = (inner.best().head, inner.finalized().head);
        hear(&listener, HeadEvent::Finalized(finalized));
        hear(&listener, HeadEvent::Best(best));
        Box::pin(stream::poll_fn(move |context| {
            let mut listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(event) = listener.waiting.pop_front() else {
                listener.waker = Some(context.waker().clone());
                return Poll::Pending;
            };
            Poll::Ready(Some(event))
        }))
    }
}

/// Events that wait for whoever reads them; of more than [`HEADS`] the oldest go.
#[derive(Debug, Default)]
struct Listener {
    waiting: VecDeque<HeadEvent>,
    waker: Option<Waker>,
}

fn hear(listener: &Mutex<Listener>, event: HeadEvent) {
    let mut listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
    if listener.waiting.len() == HEADS {
        listener.waiting.pop_front();
    }
    listener.waiting.push_back(event);
    if let Some(waker) = listener.waker.take() {
        waker.wake();
    }
}

impl Default for ModelChain {
    fn default() -> Self {
        Self::new()
    }
}

fn hash_of(number: u32, branch: u8) -> BlockHash {
    let mut hash = [branch; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    BlockHash(hash)
}

impl Inner {
    pub(crate) fn best(&self) -> &State {
        self.states.last().expect("there is always a state")
    }

    pub(crate) fn finalized(&self) -> &State {
        let found = self.states.iter().find(|state| state.head.number == self.finalized);
        found.expect("the final state is kept")
    }

    /// Executes a block with this in it.
    pub(crate) fn block<T>(&mut self, call: impl FnOnce(&mut State) -> T) -> T {
        self.next(0, call)
    }

    fn next<T>(&mut self, branch: u8, call: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.best().clone();
        let number = state.head.number.after(1);
        let branch = branch.max(state.head.hash.0[31]);
        state.head = Head {
            number,
            hash: hash_of(number.0, branch),
            parent: state.head.hash,
            time: UnixMillis(u64::from(number.0) * SLOT_MS),
        };
        state.paid.clear();
        let result = call(&mut state);
        state.on_finalize();
        let head = state.head;
        self.states.push(state);
        self.tell(&HeadEvent::Best(head));
        self.finalize();
        result
    }

    fn finalize(&mut self) {
        if self.hold_finality {
            return;
        }
        let head = self.best().head;
        if head.number > self.finalized {
            self.finalized = head.number;
            self.tell(&HeadEvent::Finalized(head));
        }
        let old = self.states.len().saturating_sub(KEPT);
        self.states.drain(..old);
    }

    fn tell(&mut self, event: &HeadEvent) {
        // One whose stream was dropped is forgotten.
        self.listeners.retain(|listener| Arc::strong_count(listener) > 1);
        self.listeners.iter().for_each(|listener| hear(listener, event.clone()));
    }
}

impl State {
    pub(crate) fn machine(&self, id: &MachineId) -> Option<&Machine> {
        self.machine.as_ref().filter(|machine| machine.id == *id)
    }

    pub(crate) fn balance(&mut self, account: AccountId) -> &mut Balance {
        self.balances.entry(account).or_default()
    }

    /// Moves free money; whether there was enough.
    pub(crate) fn pay(&mut self, from: AccountId, to: Option<AccountId>, amount: Planck) -> bool {
        let Some(left) = self.balance(from).free.checked_sub(amount) else { return false };
        self.balance(from).free = left;
        if let Some(to) = to {
            let free = &mut self.balance(to).free;
            *free = free.checked_add(amount).unwrap_or(*free);
        }
        true
    }

    /// `rent_machine`, check by check in the pallet's order. A card count of nothing is taken.
    pub(crate) fn rent(
        &mut self,
        renter: AccountId,
        id: &MachineId,
        gpus: u32,
        blocks: u32,
    ) -> Result<Option<(RentId, u32, Planck)>, Rejection> {
        let now = self.head.number;
        let machine = self.machine(id).cloned().ok_or(Rejection::Unknown)?;
        if machine.gpus == 0 || blocks == 0 {
            return Ok(None);
        }
        if u64::from(gpus) + u64::from(machine.rented_gpus) > u64::from(machine.gpus) {
            return Err(Rejection::GpuNotEnough);
        }
        if !blocks.is_multiple_of(RENT_STEP) {
            return Err(Rejection::OnlyHalfHourAllowed);
        }
        if !matches!(machine.status, MachineStatus::Online | MachineStatus::Rented) {
            return Err(Rejection::MachineNotRentable);
        }
        let blocks = blocks.min(self.limits.longest);
        if self.schedule.open(self.head.time, blocks).is_err() {
            return Err(Rejection::OutOfRentalSchedule);
        }
        let before = self.balances.clone();
        if !self.pay(renter, None, self.limits.fixed_fee) {
            return Err(Rejection::PayTxFeeFailed);
        }
        let rent = self.price.relet(gpus, blocks);
        let rent = rent.map_err(|_| Rejection::GetMachinePriceFailed)?.rent;
        if !self.pay(renter, None, rent) {
            // The pallet's calls are transactional: the fixed fee comes back with them.
            self.balances = before;
            return Err(Rejection::InsufficientValue);
        }
        let reserved = &mut self.balance(renter).reserved;
        *reserved = reserved.checked_add(rent).unwrap_or(*reserved);
        self.next_rent += 1;
        let rent_id = RentId(self.next_rent);
        let here = self.orders.values().filter(|(order, _)| order.machine == *id);
        let taken: Vec<u32> = here.flat_map(|(order, _)| order.slots.as_slice().to_vec()).collect();
        let free = (0..machine.gpus).filter(|slot| !taken.contains(slot)).take(gpus as usize);
        let order = Order {
            rent_id,
            machine: *id,
            renter,
            start: now,
            confirmed: BlockNumber(0),
            end: now.after(blocks),
            status: OrderStatus::Waiting,
            slots: GpuSlots::new(free.collect()),
            receiver: None,
        };
        self.orders.insert(rent_id, (order, rent));
        if let Some(machine) = &mut self.machine {
            machine.status = MachineStatus::Rented;
            machine.rented_gpus += gpus;
        }
        Ok(Some((rent_id, blocks, rent)))
    }

    /// `confirm_rent`.
    pub(crate) fn confirm(&mut self, renter: AccountId, id: RentId) -> Result<Planck, Rejection> {
        let now = self.head.number;
        let (order, rent) = self.orders.get(&id).cloned().ok_or(Rejection::Unknown)?;
        if order.renter != renter || order.status != OrderStatus::Waiting {
            return Err(Rejection::NoOrderExist);
        }
        if now.since(order.start) > CONFIRM_WINDOW {
            return Err(Rejection::ExpiredConfirm);
        }
        let machine = self.machine.clone().ok_or(Rejection::Unknown)?;
        if machine.status != MachineStatus::Rented {
            return Err(Rejection::StatusNotAllowed);
        }
        let reserved = &mut self.balance(renter).reserved;
        *reserved = reserved.checked_sub(rent).unwrap_or_default();
        self.share(machine.owner, rent);
        self.paid_for(&order, order.end.since(order.start), rent, order.end);
        let confirmed = Order { status: OrderStatus::Renting, confirmed: now, ..order };
        self.orders.insert(id, (confirmed, Planck::ZERO));
        Ok(rent)
    }

    /// `relet_machine`.
    pub(crate) fn relet(
        &mut self,
        renter: AccountId,
        id: RentId,
        blocks: u32,
    ) -> Result<Option<(u32, Planck)>, Rejection> {
        let now = self.head.number;
        let (order, held) = self.orders.get(&id).cloned().ok_or(Rejection::Unknown)?;
        if blocks < SHORTEST_RELET {
            return Err(Rejection::ReletTooShort);
        }
        if order.renter != renter {
            return Err(Rejection::NotMachineRenter);
        }
        if order.status != OrderStatus::Renting {
            return Err(Rejection::NoOrderExist);
        }
        let end = order.end.after(blocks).min(now.after(futile::RELET_HORIZON));
        let added = end.since(order.end);
        if added == 0 {
            return Ok(None);
        }
        let gpus = order.slots.count() as u32;
        let rent = self.price.relet(gpus, added);
        let rent = rent.map_err(|_| Rejection::GetMachinePriceFailed)?.rent;
        if rent >= self.balance(renter).free || !self.pay(renter, None, rent) {
            return Err(Rejection::InsufficientValue);
        }
        let owner = self.machine.as_ref().map(|machine| machine.owner);
        self.share(owner.ok_or(Rejection::Unknown)?, rent);
        self.paid_for(&order, added, rent, end);
        self.orders.insert(id, (Order { end, ..order }, held));
        Ok(Some((added, rent)))
    }

    /// The event of a payment, and the order's history.
    fn paid_for(&mut self, order: &Order, blocks: u32, fee: Planck, end: BlockNumber) {
        let Head { number: block, time, .. } = self.head;
        let number = self.paid.iter().filter(|(of, _)| *of == order.rent_id).count() as u32;
        self.paid.push((order.rent_id, Payment { block, number, time, blocks, fee }));
        self.history.insert(order.rent_id, Order { end, ..order.clone() });
    }

    /// Gives rent to the owner, less what is burnt.
    fn share(&mut self, owner: AccountId, rent: Planck) {
        let burnt = self.limits.burn.of(rent);
        let free = &mut self.balance(owner).free;
        *free = free.checked_add(Planck(rent.0 - burnt.0)).unwrap_or(*free);
    }

    /// `controller_report_offline` and `controller_report_online`.
    pub(crate) fn report(
        &mut self,
        who: AccountId,
        id: &MachineId,
        online: bool,
    ) -> Result<(), Rejection> {
        let rented = !self.orders.is_empty();
        let machine = self.machine.as_mut().filter(|machine| machine.id == *id);
        let machine = machine.ok_or(Rejection::Unknown)?;
        if machine.controller != who {
            return Err(Rejection::Other("OnlineProfile.NotMachineController".to_owned()));
        }
        let is_offline = machine.status == MachineStatus::Offline;
        if online != is_offline {
            return Err(Rejection::Other("OnlineProfile.MachineStateNotAllowed".to_owned()));
        }
        machine.status = match (online, rented) {
            (false, _) => MachineStatus::Offline,
            (true, true) => MachineStatus::Rented,
            (true, false) => MachineStatus::Online,
        };
        Ok(())
    }

    /// The hooks of a block: orders that nobody confirmed, and orders that end.
    fn on_finalize(&mut self) {
        let now = self.head.number;
        let is_over = |order: &Order| {
            let lapsed =
                order.status == OrderStatus::Waiting && order.start.after(CONFIRM_WINDOW) == now;
            lapsed || order.end == now
        };
        let over: Vec<_> = self
            .orders
            .iter()
            .filter(|(_, (order, _))| is_over(order))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            let Some((order, held)) = self.orders.remove(&id) else { continue };
            let balance = self.balance(order.renter);
            balance.reserved = balance.reserved.checked_sub(held).unwrap_or_default();
            balance.free = balance.free.checked_add(held).unwrap_or(balance.free);
            let of_it = |(other, _): &(Order, Planck)| other.machine == order.machine;
            let is_empty = !self.orders.values().any(of_it);
            if let Some(machine) = self.machine.as_mut().filter(|it| it.id == order.machine) {
                machine.rented_gpus -= order.slots.count() as u32;
                if is_empty && machine.status == MachineStatus::Rented {
                    machine.status = MachineStatus::Online;
                }
            }
        }
    }
}
