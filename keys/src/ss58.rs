//! Account ids as people read them: base58 with a network's prefix and a checksum (the "SS58 Address Format" of
//! Substrate's documentation). For display and input only: accounts compare as 32 bytes.

use blake2::{Blake2b512, Digest as _};
use session::rental::AccountId;
use thiserror::Error;

/// Of the chain that machines are rented on.
pub const PREFIX: u16 = 42;

/// Prefixes have 14 bits.
const MOST_PREFIX: u16 = 16_383;
/// Of an account of 32 bytes.
const CHECKSUM: usize = 2;
/// The longest text of 36 bytes.
const MOST_TEXT: usize = 50;

/// Why a text is no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Ss58Error {
    /// Other letters than those of base58, or far too many.
    #[error("the address holds letters that addresses do not have, or is too long")]
    NotBase58,
    /// Bytes are missing or too many.
    #[error("the address has {0} bytes and is not of an account of 32")]
    Length(usize),
    /// A prefix that no network may have.
    #[error("the address names a network in a reserved way")]
    Prefix,
    /// A letter is wrong.
    #[error("the address has a wrong checksum: a letter is mistyped")]
    Checksum,
}

/// The text of an account on the network with this prefix; prefixes above 16,383 lose their upper bits.
pub fn encode(account: &AccountId, prefix: u16) -> String {
    let prefix = prefix & MOST_PREFIX;
    let mut bytes = Vec::with_capacity(2 + 32 + CHECKSUM);
    if prefix < 64 {
        bytes.push(prefix as u8);
    } else {
        // Upper six bits of the lower byte behind the marker 01, then the rest.
        bytes.push(((prefix & 0b1111_1100) >> 2) as u8 | 0b0100_0000);
        bytes.push((prefix >> 8) as u8 | ((prefix & 0b11) << 6) as u8);
    }
    bytes.extend(account.0);
    let sum = checksum(&bytes);
    bytes.extend(&sum[..CHECKSUM]);
    bs58::encode(bytes).into_string()
}

/// The account, and the prefix of the network that the text is for.
///
/// # Errors
/// See [`Ss58Error`].
pub fn decode(text: &str) -> Result<(AccountId, u16), Ss58Error> {
    if text.len() > MOST_TEXT {
        return Err(Ss58Error::NotBase58);
    }
    let bytes = bs58::decode(text).into_vec().map_err(|_| Ss58Error::NotBase58)?;
    let (prefix, rest) = match *bytes.as_slice() {
        [one @ 0..=63, ..] => (u16::from(one), &bytes[1..]),
        [one @ 64..=127, two, ..] => {
            let lower = (one << 2) | (two >> 6);
            (u16::from(lower) | u16::from(two & 0b11_1111) << 8, &bytes[2..])
        }
        [] | [64..=127] => return Err(Ss58Error::Length(bytes.len())),
        _ => return Err(Ss58Error::Prefix),
    };
    let account = rest.split_first_chunk::<32>().filter(|(_, sum)| sum.len() == CHECKSUM);
    let (account, sum) = account.ok_or(Ss58Error::Length(bytes.len()))?;
    if checksum(&bytes[..bytes.len() - CHECKSUM])[..CHECKSUM] != *sum {
        return Err(Ss58Error::Checksum);
    }
    Ok((AccountId(*account), prefix))
}

fn checksum(bytes: &[u8]) -> [u8; 64] {
    Blake2b512::new().chain_update(b"SS58PRE").chain_update(bytes).finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mistakes_are_told_apart() {
        let good = encode(&AccountId([7; 32]), PREFIX);
        assert_eq!(decode(&good), Ok((AccountId([7; 32]), 42)));
        let mut typo = good.clone().into_bytes();
        typo[10] = if typo[10] == b'a' { b'b' } else { b'a' };
        assert_eq!(decode(&String::from_utf8(typo).unwrap()), Err(Ss58Error::Checksum));
        assert_eq!(decode("0OIl"), Err(Ss58Error::NotBase58));
        assert_eq!(decode(&"1".repeat(60)), Err(Ss58Error::NotBase58));
        assert!(matches!(decode(""), Err(Ss58Error::Length(0))));
        assert!(matches!(decode(&good[..40]), Err(Ss58Error::Length(_))));
        assert_eq!(decode(&bs58::encode([255; 35]).into_string()), Err(Ss58Error::Prefix));
    }

    proptest! {
        #[test]
        fn every_account_comes_back(account: [u8; 32], prefix in 0_u16..=MOST_PREFIX) {
            let text = encode(&AccountId(account), prefix);
            prop_assert_eq!(decode(&text), Ok((AccountId(account), prefix)));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,60}") {
            let _ = decode(&text);
        }
    }
}
