//! What of a rented node outlives its process: the machine's key and the ledger. Both are opened before anything of the node that
//! takes time (graphics devices, encoders), so that one which cannot have them says so at once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use keys::MachineKey;
use ledger::{Ledger, Options};

use super::key;
use crate::config::Config;

/// See the module.
pub(crate) struct Durable {
    pub(super) key: MachineKey,
    pub(super) ledger: Ledger,
}

impl Durable {
    /// Opens both; none where the machine is not rented out. Blocks.
    ///
    /// # Errors
    /// When one of them cannot be opened; the ledger is made only where the key could be.
    pub(crate) fn open(config: &Config) -> Result<Option<Self>> {
        if !config.chain.enabled {
            return Ok(None);
        }
        let key = key::open(&config.chain)?;
        let path = path(config);
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .with_context(|| format!("chain.ledger: {}", folder.display()))?;
        let ledger = Ledger::open(&path, Options::default())
            .with_context(|| format!("chain.ledger: {}", path.display()))?;
        Ok(Some(Self { key, ledger }))
    }
}

/// The file of the ledger.
fn path(config: &Config) -> PathBuf {
    let folder = match config.chain.ledger.as_os_str().is_empty() {
        true => config.server.state_dir.join("ledger"),
        false => config.chain.ledger.clone(),
    };
    folder.join("ledger.sqlite")
}
