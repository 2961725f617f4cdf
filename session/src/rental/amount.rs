//! Amounts of money: integers of the smallest unit, added and divided without loss or an error that says so.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Planck in one DBC: 15 decimal places.
const DBC: u128 = 1_000_000_000_000_000;

/// 10^-15 DBC. Arithmetic is checked; text is the decimal number, which is what JSON carries, since numbers there
/// end at 2^53.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Planck(pub u128);

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an amount is a decimal number of planck below 2^128, without a sign or a point")]
pub struct PlanckError;

impl Planck {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole DBC; none beyond 2^128 planck.
    pub const fn dbc(whole: u64) -> Self {
        Self(whole as u128 * DBC)
    }

    /// The sum, unless it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, unless it is below nothing.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `self * times / parts`, rounded down; none where `parts` is zero or the result does not fit.
    pub fn scaled(self, times: u64, parts: u64) -> Option<Self> {
        let (times, parts) = (u128::from(times), u128::from(parts));
        let whole = self.0.checked_div(parts)?.checked_mul(times)?;
        // The remainder is below 2^64, so its product fits.
        whole.checked_add(self.0 % parts * times / parts).map(Self)
    }

    /// For people: DBC with all digits that are not zero, and the unit.
    pub fn in_dbc(self) -> String {
        let (whole, rest) = (self.0 / DBC, self.0 % DBC);
        if rest == 0 {
            return format!("{whole} DBC");
        }
        let digits = format!("{rest:015}");
        format!("{whole}.{} DBC", digits.trim_end_matches('0'))
    }

    /// As SQLite keeps it: 16 bytes, the highest first, so that bytes sort like amounts.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From those 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for Planck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Planck {
    type Err = PlanckError;

    fn from_str(text: &str) -> Result<Self, PlanckError> {
        // `u128` would take a plus sign.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PlanckError);
        }
        text.parse().map(Self).map_err(|_| PlanckError)
    }
}

/// Parts of 10^9, as the runtime keeps shares (`sp_arithmetic::Perbill`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Perbill(pub u32);

impl Perbill {
    /// The whole.
    pub const ONE: u32 = 1_000_000_000;

    /// This share of an amount as the runtime's multiplication rounds it: to the nearest, halves down. A share
    /// above the whole counts as the whole.
    pub fn of(self, amount: Planck) -> Planck {
        let (share, one) = (u128::from(self.0.min(Self::ONE)), u128::from(Self::ONE));
        let rest = amount.0 % one * share;
        let up = u128::from(rest % one > one / 2);
        Planck(amount.0 / one * share + rest / one + up)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_and_written_whole() {
        let most = Planck(u128::MAX);
        assert_eq!(most.to_string(), "340282366920938463463374607431768211455");
        assert_eq!(most.to_string().parse(), Ok(most));
        assert_eq!(Planck(5_017_000_000_000_000).in_dbc(), "5.017 DBC");
        assert_eq!(Planck(1).in_dbc(), "0.000000000000001 DBC");
        assert_eq!(Planck::dbc(9_224).in_dbc(), "9224 DBC");
        for bad in ["", "-1", "+1", "1.5", "0x1", " 1", "340282366920938463463374607431768211456"] {
            assert_eq!(bad.parse::<Planck>(), Err(PlanckError), "{bad}");
        }
    }

    #[test]
    fn shares_round_like_the_runtime() {
        // sp_arithmetic: Perbill::from_percent(50) * 3 = 1, * 1 = 0; from_percent(51) * 1 = 1.
        assert_eq!(Perbill(500_000_000).of(Planck(3)), Planck(1));
        assert_eq!(Perbill(500_000_000).of(Planck(1)), Planck(0));
        assert_eq!(Perbill(510_000_000).of(Planck(1)), Planck(1));
        assert_eq!(Perbill(Perbill::ONE).of(Planck(u128::MAX)), Planck(u128::MAX));
    }

    proptest! {
        #[test]
        fn bytes_sort_like_amounts(a: u128, b: u128) {
            let (a, b) = (Planck(a), Planck(b));
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
            prop_assert_eq!(Planck::from_bytes(a.to_bytes()), a);
        }

        #[test]
        fn scaling_is_exact_or_says_no(amount in 0..u128::from(u64::MAX), times: u64, parts: u64) {
            let exact = (parts != 0).then(|| amount * u128::from(times) / u128::from(parts.max(1)));
            prop_assert_eq!(Planck(amount).scaled(times, parts), exact.map(Planck));
        }

        #[test]
        fn scaling_never_wraps(amount: u128, times: u64, parts: u64) {
            if let Some(scaled) = Planck(amount).scaled(times, parts) {
                prop_assert!(times > parts || scaled <= Planck(amount));
                prop_assert!(times < parts || scaled >= Planck(amount));
            }
        }

        #[test]
        fn a_share_and_the_rest_are_the_whole(amount: u128, share in 0..=Perbill::ONE) {
            let part = Perbill(share).of(Planck(amount));
            prop_assert!(Planck(amount).checked_sub(part).is_some());
        }
    }
}
