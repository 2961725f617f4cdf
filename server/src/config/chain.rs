//! `[chain]`: a node whose machine is rented on the chain.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use session::rental::{BlockHash, MachineId, Planck};

use super::check::wrong;
use super::{Config, ConfigError, HumanDuration, Secret};

/// The longest that an order may be tried before it is confirmed.
const LONGEST_TRIAL: u64 = 120;
/// Milliseconds of a slice of receipts: enough of them for a disk, and no more than a slice and the patience for it.
const SHORTEST_SLICE: u64 = 50;
const LONGEST_SLICE: u64 = 8_000;

/// `[chain]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chain {
    /// Whether sessions are for those who rent the machine, and for nobody else.
    pub enabled: bool,
    /// WebSocket addresses of nodes of the chain; the next is taken where one does not answer.
    pub rpc: Vec<String>,
    /// Hash of the chain's block 0, `0x` and 64 digits: another chain is refused.
    pub genesis: String,
    /// The same of a chain of development: keys that everybody knows are taken there and nowhere else.
    pub development: String,
    /// The machine's id; empty: what its key says.
    pub machine: String,
    /// The seed of the machine's key, 64 hexadecimal digits; better given by the environment.
    pub machine_key: Secret,
    /// A keystore of a wallet that holds the key instead.
    pub machine_key_file: PathBuf,
    /// What opens the keystore.
    pub machine_key_password: Secret,
    /// A file that holds that instead.
    pub machine_key_password_file: PathBuf,
    /// Folder of the ledger; empty: `ledger` below `server.state_dir`.
    pub ledger: PathBuf,
    /// What receipts charge for an hour of a card, in planck; empty: what the chain asks.
    pub tariff: String,
    /// Frames a second that receipts promise; 0: those that a session asks for.
    pub promised_fps: u32,
    /// The 95th percentile of latency that receipts promise.
    pub promised_latency: HumanDuration,
    /// Length of a slice of receipts, which is what a crash may lose: at most 8 s, since two more are left to the disk.
    pub slice: HumanDuration,
    /// How long an order may be tried in all before it is confirmed.
    pub trial: HumanDuration,
    /// How many orders a renter may try in a day of the chain.
    pub trials_a_day: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            enabled: false,
            rpc: Vec::new(),
            genesis: String::new(),
            development: String::new(),
            machine: String::new(),
            machine_key: Secret::default(),
            machine_key_file: PathBuf::new(),
            machine_key_password: Secret::default(),
            machine_key_password_file: PathBuf::new(),
            ledger: PathBuf::new(),
            tariff: String::new(),
            promised_fps: 0,
            promised_latency: HumanDuration::from_millis(150),
            slice: HumanDuration::from_millis(LONGEST_SLICE),
            trial: HumanDuration::from_secs(LONGEST_TRIAL),
            trials_a_day: 3,
        }
    }
}

impl Chain {
    /// The hash of block 0; none unless it is one.
    pub fn genesis(&self) -> Option<BlockHash> {
        hash(&self.genesis)
    }

    /// The same of a chain of development.
    pub fn development(&self) -> Option<BlockHash> {
        hash(&self.development)
    }

    /// What an hour of a card costs, where the operator says so.
    pub fn tariff(&self) -> Option<Planck> {
        self.tariff.parse().ok()
    }
}

fn hash(text: &str) -> Option<BlockHash> {
    let digits = text.strip_prefix("0x")?.to_ascii_lowercase();
    // A machine's id has the same form.
    MachineId::parse(&digits).map(|hash| BlockHash(hash.public_key()))
}

/// What goes with what.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let chain = &config.chain;
    let (seed, file) =
        (!chain.machine_key.reveal().is_empty(), !chain.machine_key_file.as_os_str().is_empty());
    if !chain.genesis.is_empty() && chain.genesis().is_none() {
        return wrong("chain.genesis", "is not 0x and 64 hexadecimal digits".into());
    }
    if !chain.development.is_empty() && chain.development().is_none() {
        return wrong("chain.development", "is not 0x and 64 hexadecimal digits".into());
    }
    if !chain.machine.is_empty() && MachineId::parse(&chain.machine).is_none() {
        return wrong("chain.machine", "is not 64 lower-case hexadecimal digits".into());
    }
    for url in &chain.rpc {
        if !["ws://", "wss://"].iter().any(|scheme| url.starts_with(scheme)) {
            return wrong("chain.rpc", format!("{url:?} does not begin with ws:// or wss://"));
        }
    }
    if !chain.tariff.is_empty() && chain.tariff().is_none() {
        return wrong("chain.tariff", "is not a whole number of planck".into());
    }
    let trial = chain.trial.get().as_secs();
    if trial > LONGEST_TRIAL {
        return wrong("chain.trial", format!("is above {LONGEST_TRIAL} seconds"));
    }
    let slice = u64::try_from(chain.slice.get().as_millis()).unwrap_or(u64::MAX);
    if !(SHORTEST_SLICE..=LONGEST_SLICE).contains(&slice) {
        return wrong("chain.slice", format!("is not from {SHORTEST_SLICE} ms to 8 s"));
    }
    if !(1..=60_000).contains(&chain.promised_latency.get().as_millis()) {
        return wrong("chain.promised_latency", "is not from 1 ms to 60 s".into());
    }
    if !chain.enabled {
        return Ok(());
    }
    if config.access.open {
        return wrong("access.open", "and chain.enabled exclude each other".into());
    }
    if chain.genesis.is_empty() {
        return wrong("chain.genesis", "is missing: which chain is the machine on?".into());
    }
    if chain.rpc.is_empty() {
        return wrong("chain.rpc", "names no node of the chain".into());
    }
    if seed == file {
        return wrong(
            "chain.machine_key",
            "the key is in exactly one of chain.machine_key and chain.machine_key_file".into(),
        );
    }
    if config.server.public_url.is_empty() && !config.server.listen.ip().is_loopback() {
        return wrong(
            "server.public_url",
            "is missing: renters sign for the node that they reach by it".into(),
        );
    }
    Ok(())
}
