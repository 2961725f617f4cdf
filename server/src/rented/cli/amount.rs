//! Amounts as people write them.

use session::rental::Planck;

/// Planck, or DBC with the unit.
pub(super) fn amount(text: &str) -> Result<Planck, String> {
    const WRONG: &str = "an amount is whole planck, or like \"12.5 DBC\" with at most 15 decimals";
    let lower = text.trim().to_ascii_lowercase();
    let Some(dbc) = lower.strip_suffix("dbc") else {
        return lower.parse().map_err(|_| WRONG.to_owned());
    };
    let (whole, rest) = dbc.trim().split_once('.').unwrap_or((dbc.trim(), ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || rest.len() > 15 || !plain(whole) || !plain(rest) {
        return Err(WRONG.to_owned());
    }
    let planck = format!("{whole}{rest:0<15}");
    planck.parse().map_err(|_| WRONG.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_or_are_planck() {
        assert_eq!(amount("15"), Ok(Planck(15)));
        assert_eq!(amount("12.5 DBC"), Ok(Planck(12_500_000_000_000_000)));
        assert_eq!(amount("0.000000000000001dbc"), Ok(Planck(1)));
        assert_eq!(
            amount("340282366920938463463374 DBC").unwrap().in_dbc(),
            "340282366920938463463374 DBC"
        );
        for bad in ["", "1.5", "-1", "DBC", "1e3 DBC", "1.0000000000000001 DBC", "1.2.3 DBC"] {
            assert!(amount(bad).is_err(), "{bad}");
        }
    }
}
