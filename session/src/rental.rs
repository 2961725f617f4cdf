//! What a rental is: machines, orders, blocks and amounts, the chain's price in its own integers, and the seam
//! [`RentalChain`] to whatever reads and calls the chain.
//!
//! The rules are those of DBC's pallets `rent-machine` and `online-profile` (runtime 400 to 411). An order:
//!
//! ```text
//!           rent                       confirm, ≤ 150 blocks                   relet, until the end block
//!  nothing ──────▶ WaitingVerifying ─────────────────────────▶ Renting ──────────────────────────────────▶ Renting
//!                        │ block start+150: deleted, no event     │ block end: deleted, no event
//!                        ▼                                        ▼
//!                     nothing                                  nothing
//! ```

mod amount;
mod chain;
pub mod futile;
mod price;
pub mod schedule;

use std::fmt;

pub use amount::{Perbill, Planck, PlanckError};
pub use chain::{
    At, Balance, CallError, ChainError, ChainIdentity, ChainLimits, Confirmed, Head, HeadEvent,
    Heads, Payment, PaymentPage, Proven, Rejection, Relet, RentalChain, Rented, Reported, Seen,
    Transferred,
};
pub use futile::Futile;
pub use price::{PriceError, PriceInputs, Quote};
pub use schedule::Schedule;

/// Blocks of 6 s in a day: what the chain prices by.
pub const BLOCKS_PER_DAY: u32 = 14_400;

/// An account: 32 bytes, which is how accounts compare. Addresses are for people.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub [u8; 32]);

/// Enough to tell two apart in a log, too little to find the account by.
impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {:02x}{:02x}{:02x}..", self.0[0], self.0[1], self.0[2])
    }
}

/// A block's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNumber(pub u32);

impl BlockNumber {
    /// The block `blocks` later; the last one of all where there is none.
    pub fn after(self, blocks: u32) -> Self {
        Self(self.0.saturating_add(blocks))
    }

    /// Blocks from `earlier` to this one; zero if this one is earlier.
    pub fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for BlockNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A block's hash; of block 0 it names the chain.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash(pub [u8; 32]);

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Milliseconds since 1970 by the chain's clock: its timestamps, or what is estimated from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

/// An order's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RentId(pub u64);

impl fmt::Display for RentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A machine: its sr25519 public key, on the chain 64 lower-case hexadecimal digits in ASCII.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId([u8; 32]);

impl MachineId {
    /// Of a public key.
    pub fn of_public_key(key: &[u8; 32]) -> Self {
        Self(*key)
    }

    /// Of what the chain stores; none unless it is 64 lower-case digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(Self(key))
    }

    /// The key.
    pub fn public_key(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Graphics cards of a machine that an order has, by index: sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GpuSlots(Vec<u32>);

impl GpuSlots {
    /// Of indices in any order.
    pub fn new(mut indices: Vec<u32>) -> Self {
        indices.sort_unstable();
        indices.dedup();
        Self(indices)
    }

    /// The indices.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether the order has this one.
    pub fn has(&self, slot: u32) -> bool {
        self.0.binary_search(&slot).is_ok()
    }
}

/// How far an order is. One that has ended is not on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Paid into reserve, not confirmed.
    Waiting,
    /// Confirmed.
    Renting,
}

/// An order as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub rent_id: RentId,
    /// What is rented.
    pub machine: MachineId,
    /// By whom; it may be a multisig account.
    pub renter: AccountId,
    /// The block that it was made in.
    pub start: BlockNumber,
    /// The block that it was confirmed in, zero before that.
    pub confirmed: BlockNumber,
    /// The block that deletes it.
    pub end: BlockNumber,
    /// How far it is.
    pub status: OrderStatus,
    /// What of the machine it has. An order of none exists, and grants nothing.
    pub slots: GpuSlots,
    /// Who gets the rent, where the owner named another account.
    pub receiver: Option<AccountId>,
}

/// What of an order stays as it was when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its number.
    pub rent_id: RentId,
    /// By whom.
    pub renter: AccountId,
    /// In which block.
    pub start: BlockNumber,
}

impl Order {
    /// How it was made.
    pub fn made(&self) -> Made {
        let Self { rent_id, renter, start, .. } = *self;
        Made { rent_id, renter, start }
    }

    /// The first block in which it is over for us: its end, or where it waits, the block after the last in which it
    /// can be confirmed.
    pub fn over(&self, limits: &ChainLimits) -> BlockNumber {
        match self.status {
            OrderStatus::Renting => self.end,
            OrderStatus::Waiting => {
                // The hook of the window's last block deletes it, after that block's confirmations.
                self.start.after(limits.confirm_window).min(self.end)
            }
        }
    }
}

/// What the chain says of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineStatus {
    /// Can be rented.
    Online,
    /// Has an order; others may rent what is free.
    Rented,
    /// Reported offline by its owner or by somebody else.
    Offline,
    /// Has left.
    Exit,
    /// Not there yet: being registered or audited.
    Preparing,
}

impl MachineStatus {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Rented => "rented",
            Self::Offline => "offline",
            Self::Exit => "gone",
            Self::Preparing => "not there yet",
        }
    }
}

/// A machine as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Which one.
    pub id: MachineId,
    /// The stash that owns it.
    pub owner: AccountId,
    /// Who acts for it.
    pub controller: AccountId,
    /// Whether it can be rented.
    pub status: MachineStatus,
    /// Its graphics cards.
    pub gpus: u32,
    /// How many of them orders have.
    pub rented_gpus: u32,
    /// What the audit found it to be worth, all cards together.
    pub calc_point: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_64_lower_case_digits_and_nothing_else() {
        let text = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
        assert_eq!(MachineId::parse(text).unwrap().to_string(), text);
        let upper = text.to_uppercase();
        for bad in ["", &text[1..], &upper, &format!("0x{}", &text[2..]), &format!("{text}0")] {
            assert_eq!(MachineId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn slots_are_sorted_and_distinct() {
        let slots = GpuSlots::new(vec![3, 1, 3]);
        assert_eq!((slots.as_slice(), slots.count()), (&[1, 3][..], 2));
        assert!(slots.has(3) && !slots.has(2));
    }

    #[test]
    fn an_account_is_not_shown_whole() {
        assert_eq!(format!("{:?}", AccountId([0xab; 32])), "account ababab..");
    }
}
