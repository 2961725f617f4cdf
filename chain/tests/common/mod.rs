//! A client of a development chain, and its wallets.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by tests, which fail by panics"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use keys::{Kind, Pair, Signature, Signer, SignerError};
use ledger::Ledger;
use model_chain::{Devchain, Line, RentalSubject, Wallet, development_seed};
use nearlight_chain::{Chain, Options};
use serde_json::json;
use session::rental::schedule::{Day, Hours, Table};
use session::rental::{AccountId, At, BlockHash, MachineId, Planck, RentalChain, Schedule};
use subxt::backend::LegacyBackend;
use subxt::config::substrate::SubstrateExtrinsicParamsBuilder;
use subxt::dynamic::{Value, transaction};
use subxt::ext::frame_decode::storage::encode_storage_key_prefix;
use subxt::ext::scale_value::Composite;
use subxt::rpcs::RpcClient;
use subxt::utils::{AccountId32, MultiSignature};
use subxt::{OnlineClient, SubstrateConfig};

/// More than anything costs here.
pub const PLENTY: Planck = Planck::dbc(900_000);

/// The path of a wallet's key.
pub fn path(wallet: Wallet) -> &'static str {
    match wallet {
        Wallet::Renter => "//Alice",
        Wallet::Other => "//Bob",
        Wallet::Poor => "//Poor",
        Wallet::Controller => "//Charlie",
        Wallet::Nobody => "//Nobody",
    }
}

pub fn pair(path: &str) -> Pair {
    Pair::of_seed(Kind::Sr25519, &development_seed(path)).unwrap()
}

/// Options for these addresses; times are short, and long enough for a busy machine.
pub fn options<A: AsRef<str>>(chain: &Devchain, addresses: &[A]) -> Options {
    Options {
        genesis: Some(BlockHash(chain.genesis)),
        development: Some(BlockHash(chain.genesis)),
        probe: Duration::from_millis(100),
        resend: Duration::from_millis(200),
        pause: Duration::from_millis(50),
        patience: Duration::from_secs(60),
        ..Options::new(addresses.iter().map(|address| address.as_ref().to_owned()))
    }
}

/// An outbox in memory's stead: a file that goes with the folder.
pub fn outbox(folder: &tempfile::TempDir, name: &str) -> Ledger {
    Ledger::open(&folder.path().join(name), ledger::Options::default()).unwrap()
}

/// A development chain that is a subject of the contract.
pub struct Subject {
    pub dev: Devchain,
    pub chain: Chain,
    wallets: Mutex<HashMap<&'static str, Arc<dyn RentalChain>>>,
    folder: tempfile::TempDir,
}

impl Subject {
    pub async fn start(arguments: &[&str]) -> Self {
        let dev = Devchain::start(arguments);
        let chain = Chain::connect(options(&dev, &[&dev.url])).await.unwrap();
        let subject =
            Self { dev, chain, wallets: Mutex::default(), folder: tempfile::tempdir().unwrap() };
        for wallet in [Wallet::Renter, Wallet::Other, Wallet::Poor, Wallet::Controller] {
            let path = path(wallet);
            let outbox = outbox(&subject.folder, &path[2..]);
            let opened = subject.chain.wallet(Arc::new(pair(path)), outbox).await.unwrap();
            subject.wallets.lock().unwrap().insert(path, Arc::new(opened));
        }
        subject
            .wallets
            .lock()
            .unwrap()
            .insert(path(Wallet::Nobody), Arc::new(subject.chain.reader()));
        subject
    }
}

#[async_trait]
impl RentalSubject for Subject {
    fn of(&self, wallet: Wallet) -> Arc<dyn RentalChain> {
        Arc::clone(&self.wallets.lock().unwrap()[path(wallet)])
    }

    fn account(&self, wallet: Wallet) -> AccountId {
        pair(path(wallet)).account()
    }

    fn machine(&self) -> MachineId {
        MachineId::of_public_key(&self.dev.machine)
    }

    async fn advance(&self, blocks: u32) {
        if blocks > 0 {
            tokio::task::block_in_place(|| self.dev.blocks(blocks));
        }
    }

    async fn keep_hours(&self, schedule: &Schedule) -> bool {
        let knows = |default: &&str| default.contains("MachineRentalModeStorage");
        if self.chain.identity().defaults.iter().any(knows) {
            return false;
        }
        let before = self.of(Wallet::Nobody).schedule(At::Best, &self.machine()).await.unwrap();
        let (always, table) = match schedule {
            Schedule::Always => (true, Table::default()),
            Schedule::Hours(table) => (false, table.clone()),
        };
        for (weekday, hours) in table.week.iter().enumerate() {
            let day = ("weekday", Value::u128(weekday as u128));
            self.of_owner("set_weekly_schedule", [day, ("ranges", ranges(hours))]).await;
        }
        // Of no hours: the week's again.
        let mut days = table.days.clone();
        if let Schedule::Hours(before) = before.value {
            for day in before.days.keys() {
                days.entry(*day).or_default();
            }
        }
        for (Day(day), hours) in &days {
            let day = ("date_days", Value::u128((*day).into()));
            self.of_owner("set_specific_date_schedule", [day, ("ranges", ranges(hours))]).await;
        }
        let mode = if always { "FullTime" } else { "TimeSlot" };
        let mode = Value::unnamed_variant(mode, []);
        self.of_owner("set_machine_rental_mode", [("mode", mode)]).await;
        true
    }
}

fn ranges(hours: &[Hours]) -> Value {
    let range = |hours: &Hours| {
        let (from, to) = (Value::u128(hours.from.into()), Value::u128(hours.to.into()));
        Value::named_composite([("start_hour", from), ("end_hour", to)])
    };
    Value::unnamed_composite(hours.iter().map(range))
}

impl Subject {
    /// Makes a call of the machine's owner that no wallet of ours makes.
    pub async fn of_owner(
        &self,
        call: &str,
        arguments: impl IntoIterator<Item = (&'static str, Value)>,
    ) {
        let owner = pair("//Alice//stash");
        let machine = Value::from_bytes(self.machine().to_string());
        let arguments = [("machine_id", machine)].into_iter().chain(arguments);
        let call = transaction("OnlineProfile", call, Composite::named(arguments));
        let socket = RpcClient::from_insecure_url(&self.dev.url).await.unwrap();
        let backend = Arc::new(LegacyBackend::builder().build(socket));
        let client =
            OnlineClient::from_backend_with_config(SubstrateConfig::new(), backend).await.unwrap();
        let at = client.at_current_block().await.unwrap();
        let address = keys::ss58::encode(&owner.account(), 42);
        let nonce = self.dev.ask("system_accountNextIndex", &json!([address]));
        let params = SubstrateExtrinsicParamsBuilder::new().immortal();
        let params = params.nonce(nonce.as_u64().unwrap()).build();
        let mut call = at.tx().create_v4_signable_offline(&call, params).unwrap();
        let Signature::Sr25519(signature) = owner.sign(&call.signer_payload().unwrap()).unwrap()
        else {
            panic!("a key of another kind")
        };
        let account = AccountId32(owner.account().0);
        let signature = MultiSignature::Sr25519(signature);
        let signed = call.sign_with_account_and_signature(&account, &signature).unwrap();
        let bytes = format!("0x{}", keys::to_hex(signed.encoded()));
        self.dev.ask("author_submitExtrinsic", &json!([bytes]));
    }
}

/// Signs, and then does something else before anybody gets the signature.
pub struct Meddling<F> {
    pub pair: Pair,
    pub then: F,
}

impl<F: Fn() + Send + Sync> Signer for Meddling<F> {
    fn account(&self) -> AccountId {
        self.pair.account()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        let signature = self.pair.sign(message)?;
        (self.then)();
        Ok(signature)
    }
}

/// What keys of a part of the storage begin with.
pub fn prefix(pallet: &str, entry: &str) -> String {
    format!("0x{}", keys::to_hex(&encode_storage_key_prefix(pallet, entry)))
}

/// The address of a line.
pub fn url(line: &Line) -> String {
    format!("ws://{}", line.address())
}

/// Waits for something that will be; a test that waits in vain is ended from outside.
pub async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    while !is_so().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
