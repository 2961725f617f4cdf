//! Where the machine's key comes from.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use keys::{Keystore, Kind, MachineKey, Pair};
use session::rental::MachineId;

use crate::config::Chain;

/// The machine's key. Blocks while a keystore is opened.
///
/// # Errors
/// When it is not there, cannot be opened, is of another scheme or of another machine than is configured.
pub(super) fn open(config: &Chain) -> Result<MachineKey> {
    let pair = if config.machine_key_file.as_os_str().is_empty() {
        let seed = config.machine_key.reveal();
        Pair::of_text(Kind::Sr25519, seed).context("chain.machine_key")?
    } else {
        let path = &config.machine_key_file;
        let keystore = Keystore::read(path).context("chain.machine_key_file")?;
        keystore.open(&password(config)?).context("chain.machine_key_file")?
    };
    let key = MachineKey::new(pair).context("chain.machine_key")?;
    if config.development().is_none() || config.development() != config.genesis() {
        key.pair().refuse_development().context("chain.machine_key")?;
    }
    let configured = MachineId::parse(&config.machine);
    if let Some(other) = configured.filter(|machine| *machine != key.machine()) {
        bail!("chain.machine is {other}, and the key is that of {}", key.machine());
    }
    Ok(key)
}

fn password(config: &Chain) -> Result<String> {
    let file = &config.machine_key_password_file;
    if file.as_os_str().is_empty() {
        return Ok(config.machine_key_password.reveal().to_owned());
    }
    let name = || format!("chain.machine_key_password_file: {}", file.display());
    let text = fs::read_to_string(file).with_context(name)?;
    let password = text.lines().next().unwrap_or_default().to_owned();
    ensure!(!password.is_empty(), "{} is empty", name());
    Ok(password)
}
