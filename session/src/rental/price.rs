//! What an order costs, in the chain's integers and in its order of division, so that a prediction is the fee.

use thiserror::Error;

use super::{BLOCKS_PER_DAY, Planck};

/// 10^15 planck for a price in millionths of a dollar.
const ONE_DBC: u128 = 1_000_000_000_000_000;

/// What the chain prices a machine by, all read at one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceInputs {
    /// `StandardGPUPointPrice.gpu_price`: millionths of a dollar a day for `gpu_point` points.
    pub gpu_price: u64,
    /// `StandardGPUPointPrice.gpu_point`.
    pub gpu_point: u64,
    /// The machine's points, all cards together.
    pub calc_point: u64,
    /// The machine's cards.
    pub gpus: u32,
    /// `MachineExtraPrice`: millionths of a dollar a day and card; zero on runtimes that do not have it.
    pub extra_price: u64,
    /// `DBCPriceOCW.AvgPrice`: millionths of a dollar for one DBC; none until 64 prices were submitted.
    pub dbc_price: Option<u64>,
    /// `GenericFunc.FixedTxFee`, which every order costs beside its rent and which is never given back.
    pub fixed_fee: Planck,
}

/// What an order would cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Millionths of a dollar.
    pub usd_millionths: u64,
    /// Held until the order is confirmed, then paid.
    pub rent: Planck,
    /// Paid at once, whatever becomes of the order.
    pub fixed: Planck,
    /// Both.
    pub total: Planck,
}

/// Why the chain names no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The machine has no card or the chain no standard to price it by.
    #[error("the chain cannot price this machine")]
    NoPrice,
    /// Nobody has told the chain yet what DBC is worth.
    #[error("the chain does not know the price of DBC yet: its oracle needs 64 samples")]
    NoOracle,
    /// A number does not fit where the chain computes it.
    #[error("the price is beyond what the chain can compute")]
    Overflow,
}

impl PriceInputs {
    /// The price of `cards` for `blocks`.
    ///
    /// # Errors
    /// See [`PriceError`].
    pub fn quote(&self, cards: u32, blocks: u32) -> Result<Quote, PriceError> {
        let quote = self.relet(cards, blocks)?;
        let total = quote.rent.checked_add(self.fixed_fee).ok_or(PriceError::Overflow)?;
        Ok(Quote { fixed: self.fixed_fee, total, ..quote })
    }

    /// The price of `blocks` more for an order of `cards`; no fixed fee.
    ///
    /// # Errors
    /// See [`PriceError`].
    pub fn relet(&self, cards: u32, blocks: u32) -> Result<Quote, PriceError> {
        if self.gpu_point == 0 || self.gpus == 0 {
            return Err(PriceError::NoPrice);
        }
        let daily = self.daily(cards).ok_or(PriceError::Overflow)?;
        let usd = daily.checked_mul(u64::from(blocks)).ok_or(PriceError::Overflow)?;
        let usd_millionths = usd / u64::from(BLOCKS_PER_DAY);
        let price = self.dbc_price.filter(|price| *price > 0).ok_or(PriceError::NoOracle)?;
        // Below 2^64 times 10^15: fits.
        let rent = Planck(u128::from(usd_millionths) * ONE_DBC / u128::from(price));
        Ok(Quote { usd_millionths, rent, fixed: Planck::ZERO, total: rent })
    }

    /// Millionths of a dollar a day. The factor of 10,000 keeps digits through the divisions, in the chain as here.
    fn daily(&self, cards: u32) -> Option<u64> {
        let system = self
            .gpu_price
            .checked_mul(self.calc_point)?
            .checked_mul(10_000)?
            .checked_div(self.gpu_point)?
            .checked_mul(u64::from(cards))?
            .checked_div(u64::from(self.gpus))?
            / 10_000;
        system.checked_add(self.extra_price.checked_mul(u64::from(cards))?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the real runtime was seen to reserve for (research notes, §1.3).
    const SEEN: PriceInputs = PriceInputs {
        gpu_price: 28_229_999,
        gpu_point: 100_000,
        calc_point: 6_825,
        gpus: 4,
        extra_price: 0,
        dbc_price: Some(2_000),
        fixed_fee: Planck::dbc(10),
    };

    #[test]
    fn the_price_is_what_the_runtime_reserved() {
        let quote = SEEN.quote(1, 300).unwrap();
        assert_eq!(quote.usd_millionths, 10_034);
        assert_eq!(quote.rent, Planck(5_017_000_000_000_000));
        assert_eq!(quote.total.in_dbc(), "15.017 DBC");
        assert_eq!(SEEN.relet(1, 300).unwrap().total, quote.rent);
    }

    #[test]
    fn extra_price_counts_for_each_card() {
        let dearer = PriceInputs { extra_price: 1_000_000, ..SEEN };
        let of = |cards| dearer.quote(cards, 14_400).unwrap().usd_millionths;
        let without = |cards| SEEN.quote(cards, 14_400).unwrap().usd_millionths;
        for cards in [1, 2, 4] {
            assert_eq!(of(cards) - without(cards), 1_000_000 * u64::from(cards));
        }
    }

    #[test]
    fn an_order_of_nothing_costs_the_fixed_fee() {
        assert_eq!(SEEN.quote(0, 300).unwrap().total, Planck::dbc(10));
    }

    #[test]
    fn what_cannot_be_priced_says_why() {
        let none = |inputs: PriceInputs| inputs.quote(1, 300).unwrap_err();
        assert_eq!(none(PriceInputs { dbc_price: None, ..SEEN }), PriceError::NoOracle);
        assert_eq!(none(PriceInputs { dbc_price: Some(0), ..SEEN }), PriceError::NoOracle);
        assert_eq!(none(PriceInputs { gpu_point: 0, ..SEEN }), PriceError::NoPrice);
        assert_eq!(none(PriceInputs { gpus: 0, ..SEEN }), PriceError::NoPrice);
        assert_eq!(none(PriceInputs { gpu_price: u64::MAX, ..SEEN }), PriceError::Overflow);
        assert_eq!(none(PriceInputs { extra_price: u64::MAX, ..SEEN }), PriceError::Overflow);
    }

    proptest! {
        #[test]
        fn any_inputs_are_answered_and_more_costs_no_less(
            numbers: [u64; 5], gpus: u32, fee: u128, cards: u32, blocks in 0..u32::MAX,
        ) {
            let [gpu_price, gpu_point, calc_point, extra_price, price] = numbers;
            let inputs = PriceInputs {
                gpu_price, gpu_point, calc_point, gpus, extra_price, dbc_price: Some(price),
                fixed_fee: Planck(fee),
            };
            if let (Ok(less), Ok(more)) = (inputs.quote(cards, blocks), inputs.quote(cards, blocks + 1)) {
                prop_assert!(less.total <= more.total);
            }
        }
    }
}
