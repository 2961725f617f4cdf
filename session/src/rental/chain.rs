//! The seam to the chain. Whatever implements it names no runtime and no encoding here; the contract that all
//! implementations keep is `model_chain::rental_contract`.
//!
//! Reads say at which block they were made. *Finalized* blocks decide money, the *best* head decides deadlines. A call
//! succeeds with the event that proves it in a finalized block, and with nothing less: the chain reports
//! success for calls that did nothing.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use thiserror::Error;

use super::{
    AccountId, BlockHash, BlockNumber, Futile, Machine, MachineId, Made, Order, Perbill, Planck,
    PriceError, PriceInputs, RentId, Schedule, UnixMillis,
};

/// Which chain somebody talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainIdentity {
    /// The hash of block 0.
    pub genesis: BlockHash,
    /// The runtime's version, for people.
    pub spec_version: u32,
    /// Items that this runtime does not have and whose documented defaults are used instead.
    pub defaults: Vec<&'static str>,
}

/// At which head something is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// The newest block, which may yet be replaced.
    Best,
    /// The newest block that is final.
    Finalized,
}

/// A block as its header and its timestamp tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: BlockHash,
    /// The hash of the block before.
    pub parent: BlockHash,
    /// Its timestamp; zero for block 0.
    pub time: UnixMillis,
}

/// What was read, and at which block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// The block.
    pub head: Head,
    /// What it says.
    pub value: T,
}

/// What comes from the chain by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadEvent {
    /// The newest block; also when another one takes its place.
    Best(Head),
    /// A block is final, with all before it.
    Finalized(Head),
    /// No heads come any more, for this reason, until the next event of another kind.
    Lost(String),
}

/// Heads as they come. Bounded: one that is not taken in time is replaced by a newer one, never queued; ends when
/// the chain's client does.
pub type Heads = Pin<Box<dyn Stream<Item = HeadEvent> + Send>>;

/// What the chain limits, read from it at a block where it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLimits {
    /// Blocks after an order's start in which it can be confirmed; a constant of the pallet's code: 150.
    pub confirm_window: u32,
    /// Orders last a multiple of so many blocks; a constant of the pallet's code: 300.
    pub rent_step: u32,
    /// The fewest blocks that an order is prolonged by; a constant of the pallet's code: 100.
    pub shortest_relet: u32,
    /// `MaximumRentalDuration` in blocks: longer orders are cut without a word.
    pub longest: u32,
    /// `GenericFunc.FixedTxFee`.
    pub fixed_fee: Planck,
    /// `RentFeeDestroyPercent`: what of the rent is burnt.
    pub burn: Perbill,
    /// Time from block to block; none where blocks come with transactions only (a chain of development).
    pub slot: Option<Duration>,
}

/// An account's money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Can be spent, but for what is frozen.
    pub free: Planck,
    /// Held by pallets.
    pub reserved: Planck,
    /// Of `free`, what must not be transferred.
    pub frozen: Planck,
}

/// What was paid for an order, as the event of its confirmation or prolonging tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The block.
    pub block: BlockNumber,
    /// Counts the order's payments in that block, from zero.
    pub number: u32,
    /// The block's timestamp.
    pub time: UnixMillis,
    /// Blocks that it is for.
    pub blocks: u32,
    /// How much.
    pub fee: Planck,
}

/// What some blocks say of payments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentPage {
    /// Those of an order, the newest first.
    pub payments: Vec<Payment>,
    /// The block before these blocks; none where there is none, or its state is gone.
    pub earlier: Option<BlockNumber>,
}

/// Why nothing could be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// No node answers.
    #[error("no node of the chain answers: {0}")]
    Unreachable(String),
    /// The node is of another chain.
    #[error("the node is of the chain {found}, not of {expected}")]
    WrongGenesis {
        /// What was configured.
        expected: BlockHash,
        /// What the node says.
        found: BlockHash,
    },
    /// The chain lacks what is needed.
    #[error("the chain has no {0}: it is not a chain that machines are rented on, or too new")]
    Missing(String),
    /// The node does not hold the state of that block any more.
    #[error("the node holds no state of block {0} any more")]
    Pruned(BlockNumber),
    /// There is more of something than anybody would read.
    #[error("the chain's {item} has more than {most} entries, and is not read")]
    TooMany {
        /// Of what.
        item: String,
        /// So many would be read.
        most: usize,
    },
    /// An answer does not have the form that the chain's metadata promises.
    #[error("the chain's {0} has a form that is not known")]
    Malformed(String),
}

/// What the chain answers a call with that it refuses, by its pallets' names.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// `Unknown`: there is no such machine or order.
    #[error("the chain knows no such machine or order")]
    Unknown,
    /// `GPUNotEnough`.
    #[error("the machine has not so many free graphics cards")]
    GpuNotEnough,
    /// `OnlyHalfHourAllowed`.
    #[error("the chain rents by another step than this")]
    OnlyHalfHourAllowed,
    /// `MachineNotRentable`: neither online nor rented.
    #[error("the machine is offline or not to be rented")]
    MachineNotRentable,
    /// `OutOfRentalSchedule`.
    #[error("the machine is not to be rented at that time of day")]
    OutOfRentalSchedule,
    /// `PayTxFeeFailed`.
    #[error("the wallet cannot pay the fixed fee")]
    PayTxFeeFailed,
    /// `InsufficientValue`.
    #[error("the wallet does not hold the rent")]
    InsufficientValue,
    /// `ExpiredConfirm`.
    #[error("the order can no longer be confirmed: its window is over")]
    ExpiredConfirm,
    /// `NoOrderExist`: not this account's, or not in the state that the call needs. What was so before is refused as [`Futile`].
    #[error("the order has changed since it was looked at: it is no longer in the state for this")]
    NoOrderExist,
    /// `NotMachineRenter`.
    #[error("the order is another renter's")]
    NotMachineRenter,
    /// `StatusNotAllowed`: the machine went offline meanwhile.
    #[error("the machine went offline: the order cannot be confirmed")]
    StatusNotAllowed,
    /// `ReletTooShort`.
    #[error("the order was to be prolonged by less than the chain allows")]
    ReletTooShort,
    /// `GetMachinePriceFailed`.
    #[error("the chain could not price the machine")]
    GetMachinePriceFailed,
    /// Any other, `Pallet.Error`.
    #[error("the chain refused: {0}")]
    Other(String),
}

/// Why a call did not do what it was for. Unless said otherwise nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The chain could not be read.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The price cannot be predicted, so no ceiling can be kept.
    #[error(transparent)]
    Price(#[from] PriceError),
    /// The predicted cost is above the ceiling; nothing was sent.
    #[error("this would cost {} and the ceiling is {}", predicted.in_dbc(), ceiling.in_dbc())]
    AboveCeiling {
        /// What it would cost, network fee included.
        predicted: Planck,
        /// What was allowed.
        ceiling: Planck,
    },
    /// The price rose between prediction and inclusion. The order exists and must not be confirmed: what was held comes
    /// back when its window is over, the fixed fee does not.
    #[error("order {rent_id} came to {} and the ceiling is {}: do not confirm it", fee.in_dbc(), ceiling.in_dbc())]
    CameAboveCeiling {
        /// The order.
        rent_id: RentId,
        /// What was held for it.
        fee: Planck,
        /// What was allowed.
        ceiling: Planck,
    },
    /// The wallet cannot pay for it; nothing was sent.
    #[error("the wallet holds {} and needs {}", has.in_dbc(), needs.in_dbc())]
    EmptyWallet {
        /// What can be spent.
        has: Planck,
        /// What it takes.
        needs: Planck,
    },
    /// The chain has no such order; nothing was sent. Orders that lapsed or ended are not kept, so nobody can say which it was.
    #[error(
        "the chain has no order {0} now: it was not confirmed within its window, has ended, or never was"
    )]
    NoOrder(RentId),
    /// The chain would refuse the call, or take a fee and do nothing; nothing was sent.
    #[error(transparent)]
    Futile(#[from] Futile),
    /// An earlier process had signed the same call, and it is done; nothing was sent. What it cost can no longer be read.
    #[error("an earlier run of this did it in block {block}{}: what it cost can no longer be read", of(order.as_ref()))]
    DoneBefore {
        /// The block.
        block: BlockNumber,
        /// The order that it made or confirmed.
        order: Option<RentId>,
    },
    /// An earlier process had signed the same prolonging, it is in a block, and the order was prolonged by as much since it
    /// was signed; nothing was sent. What it cost can no longer be read.
    #[error(
        "an earlier run of this is in block {block}, and order {order} was prolonged by as much since it was signed: what it cost can no longer be read"
    )]
    ProlongedSince {
        /// The block.
        block: BlockNumber,
        /// The order.
        order: RentId,
    },
    /// An earlier process had signed the same call, and nothing can show any more whether it is done; nothing was sent.
    #[error(
        "an earlier run of this was signed, and it cannot be shown any more whether it was done: look at the orders, then repeat it"
    )]
    PerhapsDone,
    /// The chain refused the call. The network's fee is paid, and the fixed fee where the chain had taken it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The call was included and reported success, but the event that would prove it is not there.
    #[error("the chain reported success, but no event shows that anything was done")]
    NoEvent,
    /// Another call took the nonce, or the era passed without inclusion; finalized state shows it.
    #[error("the call was not included: {0}")]
    NotIncluded(&'static str),
    /// It is not known whether the call was included: the state that would show it is gone.
    #[error("it cannot be shown any more whether the call was included")]
    Unproven,
    /// There is no key to sign with, or it did not sign.
    #[error("the call could not be signed: {0}")]
    Unsigned(String),
    /// It was not sent, since it could not be written down before.
    #[error("the call could not be written down before it is sent: {0}")]
    Unkept(String),
}

fn of(order: Option<&RentId>) -> String {
    order.map(|order| format!(", order {order}")).unwrap_or_default()
}

/// A call's event in a finalized block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven<T> {
    /// The block.
    pub block: BlockNumber,
    /// Its hash.
    pub hash: BlockHash,
    /// What the network took for the transaction.
    pub network_fee: Planck,
    /// An earlier process had made the call, and was not there to tell of it: nothing was signed or paid anew.
    pub earlier: bool,
    /// What the event says.
    pub event: T,
}

/// `Rent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rented {
    /// The new order.
    pub rent_id: RentId,
    /// Its cards.
    pub gpus: u32,
    /// Blocks from its start to its end; the chain may have cut what was asked for.
    pub blocks: u32,
    /// What is held for it.
    pub fee: Planck,
    /// What was paid beside it, whatever becomes of the order.
    pub fixed: Planck,
}

/// `ConfirmRent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The order.
    pub rent_id: RentId,
    /// What was paid.
    pub fee: Planck,
}

/// `Relet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relet {
    /// The order.
    pub rent_id: RentId,
    /// Blocks added; the chain may have cut what was asked for.
    pub added: u32,
    /// What was paid.
    pub fee: Planck,
}

/// `Transfer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// To whom.
    pub to: AccountId,
    /// How much.
    pub amount: Planck,
}

/// The machine's owner's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Of which machine.
    pub machine: MachineId,
}

/// A chain on which machines are rented, as this account of ours sees it.
///
/// A call that would be of no use is refused by what is read before ([`Futile`]), and costs nothing. One that an earlier process had
/// signed and not told the end of is not made twice: whoever makes the same call again is told of the earlier one.
#[async_trait]
pub trait RentalChain: Send + Sync {
    /// Which chain it is, as checked when the connection was made.
    fn identity(&self) -> ChainIdentity;

    /// Whose calls these are; none where nothing can be signed.
    fn account(&self) -> Option<AccountId>;

    /// What the chain limits.
    ///
    /// # Errors
    /// See [`ChainError`]; so of every read.
    async fn limits(&self, at: At) -> Result<Seen<ChainLimits>, ChainError>;

    /// A machine, if the chain has it.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn machine(&self, at: At, id: &MachineId) -> Result<Seen<Option<Machine>>, ChainError>;

    /// The orders of a machine by number, waiting and confirmed. Those whose detail is gone are left out.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn orders_of_machine(
        &self,
        at: At,
        id: &MachineId,
    ) -> Result<Seen<Vec<Order>>, ChainError>;

    /// The orders of a renter by number.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn orders_of_renter(
        &self,
        at: At,
        renter: &AccountId,
    ) -> Result<Seen<Vec<Order>>, ChainError>;

    /// An order, unless it has ended, lapsed or never was.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn order(&self, at: At, id: RentId) -> Result<Seen<Option<Order>>, ChainError>;

    /// What a machine is priced by; none if the chain has no such machine.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn price_inputs(
        &self,
        at: At,
        id: &MachineId,
    ) -> Result<Seen<Option<PriceInputs>>, ChainError>;

    /// When a machine can be rented, by the hours that its owner keeps on the day of the block and in the week after; always
    /// where the chain knows of no hours, or of no such machine.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn schedule(&self, at: At, id: &MachineId) -> Result<Seen<Schedule>, ChainError>;

    /// What was paid for an order in some final blocks, the newest of which is `until`. None of them is before the one that has
    /// it for so many blocks of the order. Whoever wants more goes on with what is earlier.
    ///
    /// # Errors
    /// See [`ChainError`]; never `Pruned`.
    async fn payments(
        &self,
        machine: &MachineId,
        order: RentId,
        until: BlockNumber,
        blocks: u32,
    ) -> Result<PaymentPage, ChainError>;

    /// The last end that the chain gave an order which was confirmed, also one that is over; none where it was not, or the chain
    /// keeps no record of that.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn last_end(
        &self,
        machine: &MachineId,
        renter: &AccountId,
        order: RentId,
    ) -> Result<Seen<Option<BlockNumber>>, ChainError>;

    /// The orders of a machine that were made in a block or later and confirmed, by number, also those that are over; none where
    /// the chain keeps no record of them, or one of a form that is not known.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn confirmed_since(
        &self,
        machine: &MachineId,
        since: BlockNumber,
    ) -> Result<Seen<Vec<Made>>, ChainError>;

    /// An account's money.
    ///
    /// # Errors
    /// See [`ChainError`].
    async fn balance(&self, at: At, account: &AccountId) -> Result<Seen<Balance>, ChainError>;

    /// The newest heads at once, then heads as they come.
    fn heads(&self) -> Heads;

    /// Rents `gpus` cards for `blocks`; everything that leaves the wallet or is held there is at most `ceiling`.
    ///
    /// # Errors
    /// See [`CallError`]; so of every call.
    async fn rent(
        &self,
        machine: &MachineId,
        gpus: u32,
        blocks: u32,
        ceiling: Planck,
    ) -> Result<Proven<Rented>, CallError>;

    /// Confirms an order; the network's fee is at most `ceiling`.
    ///
    /// # Errors
    /// See [`CallError`].
    async fn confirm(&self, order: RentId, ceiling: Planck)
    -> Result<Proven<Confirmed>, CallError>;

    /// Prolongs an order; rent and the network's fee are at most `ceiling`.
    ///
    /// # Errors
    /// See [`CallError`].
    async fn relet(
        &self,
        order: RentId,
        blocks: u32,
        ceiling: Planck,
    ) -> Result<Proven<Relet>, CallError>;

    /// Sends money, unless that would end the account; the network's fee is at most `ceiling`.
    ///
    /// # Errors
    /// See [`CallError`].
    async fn transfer_keep_alive(
        &self,
        to: &AccountId,
        amount: Planck,
        ceiling: Planck,
    ) -> Result<Proven<Transferred>, CallError>;

    /// The owner's controller says that the machine is there again; what the chain slashes for the time away is not in
    /// the ceiling, which is for the network's fee.
    ///
    /// # Errors
    /// See [`CallError`].
    async fn report_online(
        &self,
        machine: &MachineId,
        ceiling: Planck,
    ) -> Result<Proven<Reported>, CallError>;

    /// The owner's controller says that the machine is away.
    ///
    /// # Errors
    /// See [`CallError`].
    async fn report_offline(
        &self,
        machine: &MachineId,
        ceiling: Planck,
    ) -> Result<Proven<Reported>, CallError>;
}
