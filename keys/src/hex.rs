//! Hexadecimal digits, as chains and wallets write bytes.

/// Lower-case digits without a prefix.
pub fn to_hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
}

/// Digits of either case, with or without `0x`; none if there is anything else, or a digit too few.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_nonsense_does_not() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = to_hex(&bytes);
        assert_eq!(from_hex(&text).as_deref(), Some(&bytes[..]));
        assert_eq!(from_hex(&format!("0x{}", text.to_uppercase())).as_deref(), Some(&bytes[..]));
        assert_eq!(from_hex(""), Some(Vec::new()));
        for bad in ["0", "0x0", "gg", "0xé", "0X00", " 00"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
