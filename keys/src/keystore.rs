//! A key in a file, encrypted with a password: the JSON of polkadot-js, which wallets write and read (version 3:
//! PKCS#8 in XSalsa20-Poly1305, the key by scrypt), so that a user's own export works as it is.
//!
//! The file is written whole beside its place and renamed, readable by its owner alone. A file that ends early, is
//! of another version or scheme, or does not open with the password is each its own error. scrypt is taken with those
//! parameters alone that wallets write, since others could take all of a machine's memory.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use session::rental::AccountId;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hex::{from_hex, to_hex};
use crate::pair::{KeyError, Pair};
use crate::signature::{Kind, account_of};
use crate::ss58;

/// Far more than any keystore has.
const MOST_BYTES: u64 = 64 * 1024;
const HEADER: [u8; 16] = [48, 83, 2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
const DIVIDER: [u8; 5] = [161, 35, 3, 33, 0];
/// Salt, then N, p and r as 32 bits each, lower byte first.
const SCRYPT: usize = 32 + 3 * 4;
const NONCE: usize = 24;
/// What wallets write, as (log2 N, p, r).
const ALLOWED: [(u8, u32, u32); 6] =
    [(13, 10, 8), (14, 5, 8), (15, 3, 8), (15, 1, 8), (16, 2, 8), (17, 1, 8)];
/// What new keystores get; takes 128 MiB and half a second.
const DEFAULT: (u8, u32, u32) = (17, 1, 8);

/// Why a keystore does not give its key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file or what it holds ends before it should.
    #[error("the keystore is truncated: {0}")]
    Truncated(&'static str),
    /// It is no keystore.
    #[error("this is no keystore: {0}")]
    Malformed(&'static str),
    /// Of a version or scheme that this program does not know.
    #[error("the keystore's {what} is {found:?}, which is not known here")]
    Foreign {
        /// Of what.
        what: &'static str,
        /// What it is.
        found: String,
    },
    /// It holds its key in the open.
    #[error("the keystore is not encrypted: export it again with a password")]
    NotEncrypted,
    /// The password opens nothing, or the encrypted bytes were changed.
    #[error("the password is wrong, or the keystore was damaged")]
    WrongPassword,
    /// The key within is of another account than the file says.
    #[error("the keystore says that it is of another account than its key")]
    OtherAccount,
    /// What was decrypted is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The system gave no random bytes.
    #[error("the system has no random bytes")]
    NoRandom,
}

/// The file's contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keystore {
    encoded: String,
    encoding: Encoding,
    address: String,
    #[serde(default)]
    meta: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Encoding {
    content: Vec<String>,
    #[serde(rename = "type")]
    kind: OneOrMany,
    version: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Keystore {
    /// Reads a file; decrypts nothing.
    ///
    /// # Errors
    /// [`KeystoreError::Io`], `Truncated` and `Malformed`.
    pub fn read(path: &Path) -> Result<Self, KeystoreError> {
        let io = |source| KeystoreError::Io { path: path.to_owned(), source };
        if fs::metadata(path).map_err(io)?.len() > MOST_BYTES {
            return Err(KeystoreError::Malformed("it is far too long"));
        }
        Self::parse(&fs::read_to_string(path).map_err(io)?)
    }

    /// Of a file's text.
    ///
    /// # Errors
    /// [`KeystoreError::Truncated`] and `Malformed`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => KeystoreError::Truncated("the file ends within it"),
            serde_json::error::Category::Data => {
                KeystoreError::Malformed("a field is missing or odd")
            }
            _ => KeystoreError::Malformed("it is not JSON"),
        })
    }

    /// The account that it says it is of, on the prefix that it was written for.
    ///
    /// # Errors
    /// [`KeystoreError::Malformed`].
    pub fn account(&self) -> Result<AccountId, KeystoreError> {
        let malformed = || KeystoreError::Malformed("its address");
        // Of ecdsa wallets write the public key instead.
        if let Some(public) = self.address.strip_prefix("0x") {
            let public = from_hex(public).ok_or_else(malformed)?;
            return account_of(Kind::Ecdsa, &public).ok_or_else(malformed);
        }
        let decoded = ss58::decode(&self.address);
        decoded.map(|(account, _)| account).map_err(|_| malformed())
    }

    /// Decrypts the key. Takes half a second and 128 MiB: not for a thread that others wait for.
    ///
    /// # Errors
    /// Every [`KeystoreError`] but `Io` and `NoRandom`.
    pub fn open(&self, password: &str) -> Result<Pair, KeystoreError> {
        let kind = self.kind()?;
        let bytes = STANDARD.decode(&self.encoded);
        let bytes = bytes.map_err(|_| KeystoreError::Malformed("its bytes are not base64"))?;
        let (head, rest) = bytes.split_at_checked(SCRYPT).ok_or(SHORT)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or(SHORT)?;
        // The tag, and the shortest key.
        if sealed.len() < 16 + HEADER.len() + 32 + DIVIDER.len() + 32 {
            return Err(SHORT);
        }
        let key = derive(password, head)?;
        let cipher = XSalsa20Poly1305::new((&*key).into());
        let plain = cipher.decrypt(nonce.into(), sealed).map(Zeroizing::new);
        let pair = pair_of(kind, &plain.map_err(|_| KeystoreError::WrongPassword)?)?;
        if pair.account() != self.account()? {
            return Err(KeystoreError::OtherAccount);
        }
        Ok(pair)
    }

    fn kind(&self) -> Result<Kind, KeystoreError> {
        let foreign = |what, found: &str| KeystoreError::Foreign { what, found: found.to_owned() };
        if self.encoding.version != "3" {
            return Err(foreign("version", &self.encoding.version));
        }
        let ways = match &self.encoding.kind {
            OneOrMany::One(way) => std::slice::from_ref(way),
            OneOrMany::Many(ways) => ways,
        };
        match ways.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["scrypt", "xsalsa20-poly1305"] => {}
            ["none"] => return Err(KeystoreError::NotEncrypted),
            _ => return Err(foreign("encryption", &ways.join("+"))),
        }
        match self.encoding.content.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["pkcs8", "sr25519"] => Ok(Kind::Sr25519),
            ["pkcs8", "ed25519"] => Ok(Kind::Ed25519),
            ["pkcs8", "ecdsa"] => Ok(Kind::Ecdsa),
            _ => Err(foreign("content", &self.encoding.content.join("+"))),
        }
    }

    /// Encrypts a key. Takes as long as [`Self::open`].
    ///
    /// # Errors
    /// [`KeystoreError::NoRandom`].
    pub fn seal(pair: &Pair, password: &str, name: &str) -> Result<Self, KeystoreError> {
        let mut random = [0; 32 + NONCE];
        getrandom::fill(&mut random).map_err(|_| KeystoreError::NoRandom)?;
        let (salt, nonce) = random.split_at(32);
        let (log_n, p, r) = DEFAULT;
        let mut head = salt.to_vec();
        for number in [1 << log_n, p, r] {
            head.extend(u32::to_le_bytes(number));
        }
        let key = derive(password, &head)?;
        let mut plain = Zeroizing::new(HEADER.to_vec());
        plain.extend_from_slice(&pair.stored());
        plain.extend_from_slice(&DIVIDER);
        plain.extend_from_slice(&pair.public());
        let cipher = XSalsa20Poly1305::new((&*key).into());
        let sealed = cipher.encrypt(nonce.into(), plain.as_slice());
        let sealed = sealed.map_err(|_| KeystoreError::Malformed("the key is too long"))?;
        Ok(Self {
            encoded: STANDARD.encode([&head, nonce, &sealed].concat()),
            encoding: Encoding {
                content: vec!["pkcs8".to_owned(), pair.kind().name().to_owned()],
                kind: OneOrMany::Many(vec!["scrypt".to_owned(), "xsalsa20-poly1305".to_owned()]),
                version: "3".to_owned(),
            },
            address: match pair.kind() {
                Kind::Ecdsa => format!("0x{}", to_hex(&pair.public())),
                _ => ss58::encode(&pair.account(), ss58::PREFIX),
            },
            meta: serde_json::json!({ "name": name }),
        })
    }

    /// Writes the file, whole or not at all; one that is there already is left alone.
    ///
    /// # Errors
    /// [`KeystoreError::Io`], also if the file is there.
    pub fn write(&self, path: &Path) -> Result<(), KeystoreError> {
        let io = |source| KeystoreError::Io { path: path.to_owned(), source };
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|_| KeystoreError::Malformed("it cannot be written as JSON"))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let written = write_new(&beside, &text).and_then(|()| {
            // A link fails where a rename would replace somebody's key.
            fs::hard_link(&beside, path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
        let _ = fs::remove_file(&beside);
        written.map_err(io)
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

const SHORT: KeystoreError = KeystoreError::Truncated("its encrypted key ends early");

fn derive(password: &str, head: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let (salt, numbers) = head.split_at_checked(32).ok_or(SHORT)?;
    let number = |index: usize| {
        let bytes = numbers.get(index * 4..index * 4 + 4)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    };
    let (n, p, r) =
        number(0).zip(number(1)).zip(number(2)).map(|((n, p), r)| (n, p, r)).ok_or(SHORT)?;
    let foreign = || KeystoreError::Foreign { what: "scrypt", found: format!("N={n} p={p} r={r}") };
    let log_n = if n.is_power_of_two() { n.trailing_zeros() as u8 } else { 0 };
    if !ALLOWED.contains(&(log_n, p, r)) {
        return Err(foreign());
    }
    let params = scrypt::Params::new(log_n, r, p, 32).map_err(|_| foreign())?;
    // Wallets derive 64 bytes and use the first half, which is what a derivation of 32 gives.
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password.as_bytes(), salt, &params, &mut *key).map_err(|_| foreign())?;
    Ok(key)
}

/// Of the decrypted bytes: header, secret of 64 or 32 bytes, divider, public key.
fn pair_of(kind: Kind, plain: &[u8]) -> Result<Pair, KeystoreError> {
    let odd = KeystoreError::Malformed("what it holds is not laid out like a key");
    let Some(rest) = plain.strip_prefix(&HEADER) else { return Err(odd) };
    let secret = [64, 32].into_iter().find_map(|length| {
        let (secret, rest) = rest.split_at_checked(length)?;
        rest.starts_with(&DIVIDER).then_some(secret)
    });
    match (kind, secret) {
        (_, None) => Err(odd),
        (Kind::Sr25519, Some(secret)) if secret.len() == 64 => Ok(Pair::sr25519_expanded(secret)?),
        (Kind::Ed25519 | Kind::Ecdsa, Some(secret)) => Ok(Pair::of_seed(kind, &secret[..32])?),
        (Kind::Sr25519, Some(seed)) => Ok(Pair::sr25519(seed)?),
    }
}
