//! A rented node, its chain and the renter's commands as processes that can be killed, and what they leave on the disk.

#![allow(unreachable_pub, dead_code, reason = "shared by tests, each of which uses a part")]

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chain::{Chain, Options};
use keys::{Kind, Pair, from_hex, ss58, to_hex};
use ledger::Ledger;
use model_chain::{Came, Devchain, Joined, Renter, RenterError, development_seed};

use serde_json::{Value, json};
use session::receipts::{Audit, ChainId, Finding, Signed};
use session::rental::{
    AccountId, At, BlockHash, MachineId, Order, OrderStatus, Planck, PriceInputs, RentalChain,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A slice of the node's receipts. The disk has two seconds more.
pub const SLICE: Duration = Duration::from_millis(100);
/// What is lost of a session at most.
const UNCOVERED: Duration = Duration::from_millis(2_100);
pub const FPS: u32 = 30;
/// Cards of an order, and so its sessions.
pub const CARDS: u32 = 2;
/// How long real parts may take before the test fails: only a hang is that slow.
const PATIENCE: Duration = Duration::from_secs(120);
const NEARLIGHT: &str = env!("CARGO_BIN_EXE_nearlight");

/// What finalized blocks say of the renter.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub order: Option<Order>,
    /// All that he has, held or not.
    pub money: Planck,
    /// Transactions that he made.
    pub nonce: u64,
}

pub struct World {
    pub dev: Devchain,
    pub renter: Renter,
    pub machine: MachineId,
    pub price: PriceInputs,
    account: AccountId,
    reader: Arc<dyn RentalChain>,
    node: Option<Node>,
    starts: u32,
    settings: Vec<String>,
    folder: TempDir,
}

struct Node {
    child: Child,
}

impl World {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With these settings of the node beside the usual ones.
    pub async fn with(settings: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("chain").to_string_lossy().into_owned();
        let dev = tokio::task::block_in_place(|| Devchain::start(&["--data", &data]));
        let genesis = Some(BlockHash(dev.genesis));
        let chain = Chain::connect(Options {
            genesis,
            development: genesis,
            probe: Duration::from_millis(100),
            pause: Duration::from_millis(50),
            ..Options::new([dev.url.clone()])
        });
        let reader: Arc<dyn RentalChain> = Arc::new(chain.await.unwrap().reader());
        let machine = MachineId::of_public_key(&dev.machine);
        let price = reader.price_inputs(At::Finalized, &machine).await.unwrap().value.unwrap();
        let pair = Pair::of_seed(Kind::Sr25519, &development_seed("//Alice")).unwrap();
        let account = pair.account();
        let renter = Renter::new(dev.address(), Arc::new(pair));
        let (node, starts, settings) = (None, 0, settings.to_vec());
        let mut world =
            Self { dev, renter, machine, price, account, reader, node, starts, settings, folder };
        world.start_node().await;
        world
    }

    /// The chain, for whoever only looks.
    pub fn reader(&self) -> &dyn RentalChain {
        &*self.reader
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the node on what it left behind.
    pub async fn start_node(&mut self) {
        self.starts += 1;
        let genesis = BlockHash(self.dev.genesis);
        let settings = [
            "server.listen=127.0.0.1:0".to_owned(),
            "ops.listen=127.0.0.1:0".to_owned(),
            "webrtc.udp_port=0".to_owned(),
            // Longer than players need on any machine.
            "sessions.connect=10m".to_owned(),
            "log.format=json".to_owned(),
            "catalogue.demo=false".to_owned(),
            // A busy machine takes its time for an encoder; none of these hangs.
            "video.probe_limit=60s".to_owned(),
            format!("server.state_dir={:?}", self.path("state")),
            "chain.enabled=true".to_owned(),
            format!("chain.rpc=[\"{}\"]", self.dev.url),
            format!("chain.genesis=\"{genesis}\""),
            format!("chain.development=\"{genesis}\""),
            format!("chain.ledger={:?}", self.path("ledger")),
            format!("chain.slice={}ms", SLICE.as_millis()),
            "chain.trials_a_day=1000000".to_owned(),
        ];
        let log = self.path(&format!("node-{}.log", self.starts));
        let mut child = Command::new(NEARLIGHT)
            .arg("serve")
            .args(settings.iter().chain(&self.settings).flat_map(|setting| ["--set", setting]))
            .env("NEARLIGHT_CHAIN__MACHINE_KEY", to_hex(&development_seed("//Machine")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let address: SocketAddr = until("the node", async || {
            let told = std::fs::read_to_string(&log).unwrap();
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the node ended: {told}");
            let lines = told.lines().filter_map(|it| serde_json::from_str::<Value>(it).ok());
            let serving = lines.map(|mut it| it["fields"].take());
            let mut serving = serving.filter(|it| it["message"] == "serving");
            let url = serving.next()?["url"].as_str()?.to_owned();
            let (_, address) = url.split_once("://")?;
            address.trim_end_matches('/').parse().ok()
        })
        .await;
        self.renter.node = address;
        self.node = Some(Node { child });
    }

    /// SIGKILL.
    pub fn kill_node(&mut self) {
        let mut node = self.node.take().expect("it runs");
        node.child.kill().unwrap();
        node.child.wait().unwrap();
    }

    /// SIGTERM, and everything that follows from it.
    pub fn stop_node(&mut self) {
        let mut node = self.node.take().expect("it runs");
        let id = rustix::process::Pid::from_child(&node.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(node.child.wait().unwrap().success());
    }

    /// Starts a command of the renter's.
    pub fn command(&self, words: &[String]) -> Child {
        self.command_of("//Alice", words)
    }

    /// Starts a command of another account's.
    pub fn command_of(&self, path: &str, words: &[String]) -> Child {
        let genesis = BlockHash(self.dev.genesis).to_string();
        Command::new(NEARLIGHT)
            .args(words)
            .args(["--rpc", &self.dev.url, "--genesis", &genesis, "--json"])
            .args(["--on", &self.machine.to_string()])
            .args(["--set", &format!("chain.development={genesis}")])
            .env("NEARLIGHT_WALLET_SEED", to_hex(&development_seed(path)))
            .env("XDG_STATE_HOME", self.path("wallets"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Waits for what an earlier command left behind, by one that may cost nothing and so does nothing else.
    pub async fn resume(&self) {
        let nothing =
            ["rent", "--cards", "1", "--blocks", "300", "--ceiling", "0"].map(str::to_owned);
        let output = finish(self.command(&nothing)).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("the ceiling is 0 DBC"), "{said}");
    }

    /// What is final of the renter's account. One order at a time.
    pub async fn account(&self) -> Account {
        let address = ss58::encode(&self.account, ss58::PREFIX);
        until("the chain", async || {
            let orders = self.reader.orders_of_machine(At::Finalized, &self.machine).await.ok()?;
            let balance = self.reader.balance(At::Finalized, &self.account).await.ok()?.value;
            let params = json!([address]);
            let nonce = tokio::task::block_in_place(|| {
                Devchain::ask_at(self.dev.address(), "system_accountNextIndex", &params)
            });
            assert!(orders.value.len() <= 1, "{:?}", orders.value);
            Some(Account {
                order: orders.value.into_iter().next(),
                money: balance.free.checked_add(balance.reserved).unwrap(),
                nonce: nonce?.as_u64()?,
            })
        })
        .await
    }

    /// What the node says of its lease.
    pub async fn lease(&self) -> Option<Value> {
        self.renter.ask("GET /api/v1/lease", &[], "").await.ok()
    }

    /// Waits until the node knows what is final.
    pub async fn known(&self, order: Option<&Order>) {
        until("the node's view of the order", async || {
            let lease = self.lease().await?;
            let known = lease["orders"].as_array()?;
            let is_so = match order {
                None => known.is_empty(),
                Some(order) => known.iter().any(|it| {
                    it["order"] == order.rent_id.to_string()
                        && it["confirmed"] == (order.status == OrderStatus::Renting)
                        && (order.status == OrderStatus::Waiting || it["over_block"] == order.end.0)
                }),
            };
            (is_so && lease["connected"] == true).then_some(())
        })
        .await;
    }

    /// Begins to play an order with all its cards, or in its trial.
    pub async fn play(&self, order: &Order) -> Vec<Playing> {
        let bearer = match self.renter.bearer(order.rent_id).await {
            Ok(bearer) => bearer,
            // By a session that was cut off while it was tried.
            Err(RenterError::Refused(403, why)) if why["type"] == "/problems/trial-used" => {
                assert_eq!(order.status, OrderStatus::Waiting);
                return Vec::new();
            }
            Err(other) => panic!("{other}"),
        };
        let video = json!({"width": 128, "height": 96, "fps": FPS});
        let wish = json!({"app": "sync-test", "video": video});
        let sessions = if order.status == OrderStatus::Renting { CARDS } else { 1 };
        let mut playing = Vec::new();
        for _ in 0..sessions {
            let session = self.renter.start(&bearer, &wish).await.unwrap();
            let (progress, seen) = watch::channel(Progress::default());
            let (renter, of) = (self.renter.clone(), session.clone());
            let played = tokio::spawn(async move { play(&renter, of, progress).await });
            playing.push(Playing { session, seen, played });
        }
        playing
    }

    /// Checks what the killed or stopped node's disk has of what was played, against what its players were told.
    pub async fn reconcile(&self, played: &[Played]) {
        let ledger = Ledger::open(&self.ledger(), ledger::Options::default()).unwrap();
        for Played { session, frames, told, .. } in played {
            let mut metered = 0;
            for chain in chains_of(session) {
                let records = records(&ledger, chain).await;
                let told: Vec<_> = told.iter().filter(|it| it.chain == chain).collect();
                for slice in told {
                    let kept = records.get(slice.sequence as usize);
                    let same = kept.is_some_and(|kept| {
                        (&kept.bytes, kept.signature) == (&slice.bytes, slice.signature)
                    });
                    assert!(same, "slice {} of {chain} was durable and is lost", slice.sequence);
                }
                metered += sound(&self.machine, &records).totals.frames;
            }
            let most = UNCOVERED.as_secs_f64() * f64::from(FPS) + 1.0;
            let lost = frames.saturating_sub(metered);
            assert!(lost as f64 <= most, "{lost} frames of {} are in no receipt", session.id);
        }
    }

    /// Checks everything that is on the stopped node's disk; yields the number of chains of receipts.
    pub async fn settle(&self) -> usize {
        let ledger = Ledger::open(&self.ledger(), ledger::Options::default()).unwrap();
        let entries = ledger.entries(0, u32::MAX).await.unwrap();
        let entries = entries.into_iter().map(|it| it.entry);
        let mut entries: BTreeMap<_, _> = entries.map(|it| (it.key().to_owned(), it)).collect();
        let (mut used, mut count, mut after) = (BTreeMap::<_, Planck>::new(), 0, None);
        loop {
            let some = ledger.chains(after, 100).await.unwrap();
            let Some(last) = some.last() else { break };
            after = Some(last.chain);
            for summary in some {
                count += 1;
                let audit = sound(&self.machine, &records(&ledger, summary.chain).await);
                assert!(audit.close.is_some(), "{} is not closed", summary.chain);
                let entry = entries.remove(&format!("usage/{}", summary.chain));
                let charge = audit.totals.charge;
                assert_eq!(entry.is_some(), charge > Planck::ZERO, "{}", summary.chain);
                let of = used.entry(audit.open.unwrap().rent_id).or_default();
                *of = of.checked_add(charge).unwrap();
                if let Some(entry) = entry {
                    assert!(entry.lines().iter().all(|line| line.amount == charge));
                }
            }
        }
        let mut paid = BTreeMap::<_, Planck>::new();
        entries.retain(|key, entry| {
            let Some((order, _)) = key.strip_prefix("paid/").and_then(|it| it.split_once('/'))
            else {
                return true;
            };
            let of = paid.entry(order.to_owned()).or_default();
            *of = of.checked_add(entry.lines()[0].amount).unwrap();
            false
        });
        assert!(entries.is_empty(), "entries of nothing: {entries:?}");
        for (order, amount) in paid {
            let account = ledger.balance(format!("prepaid/{order}")).await.unwrap().unwrap();
            assert_eq!(account.debits, amount, "order {order}");
        }
        for (order, charge) in used {
            let account = ledger.balance(format!("used/{order}")).await.unwrap();
            assert_eq!(account.map_or(Planck::ZERO, |it| it.debits), charge, "order {order}");
        }
        count
    }

    fn ledger(&self) -> PathBuf {
        self.path("ledger").join("ledger.sqlite")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(node) = &mut self.node {
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
    }
}

/// How far a player is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub frames: u64,
    /// Slices that he was told are durable.
    pub slices: u64,
    /// His session is over.
    pub over: bool,
}

/// A session that is played.
pub struct Playing {
    pub session: Joined,
    pub seen: watch::Receiver<Progress>,
    pub played: JoinHandle<Played>,
}

/// A slice that a player was told is durable.
#[derive(Debug)]
pub struct Told {
    chain: ChainId,
    sequence: u32,
    bytes: Vec<u8>,
    signature: [u8; 64],
}

/// What came to a player.
#[derive(Debug)]
pub struct Played {
    session: Joined,
    frames: u64,
    told: Vec<Told>,
}

/// Plays until the session or the node is over.
async fn play(renter: &Renter, session: Joined, progress: watch::Sender<Progress>) -> Played {
    let mut played = Played { session, frames: 0, told: Vec::new() };
    // The node may be gone before he is there.
    if let Ok(mut player) = renter.play(&played.session).await {
        while let Some(came) = player.next().await {
            match came {
                Came::Frame(_) => {
                    played.frames += 1;
                    progress.send_modify(|progress| progress.frames += 1);
                }
                Came::Said(said) if said["type"] == "receipt" => {
                    played.told.push(Told::of(&said));
                    progress.send_modify(|progress| progress.slices += 1);
                }
                Came::Said(_) => {}
            }
        }
    }
    progress.send_modify(|progress| progress.over = true);
    played
}

impl Told {
    fn of(said: &Value) -> Self {
        let bytes = |name: &str| from_hex(said[name].as_str().unwrap()).unwrap();
        Self {
            chain: ChainId(bytes("chain").try_into().unwrap()),
            sequence: said["sequence"].as_u64().unwrap() as u32,
            bytes: bytes("record"),
            signature: bytes("signature").try_into().unwrap(),
        }
    }
}

/// The receipts of a session: of its trial, or from its start on, and of the order that was confirmed meanwhile.
fn chains_of(session: &Joined) -> [ChainId; 2] {
    let id = &session.id;
    [ChainId::of_session(id), ChainId::of_session(&format!("{id}/lease"))]
}

async fn records(ledger: &Ledger, chain: ChainId) -> Vec<Signed> {
    let mut all = Vec::new();
    loop {
        let some = ledger.receipts(chain, all.len() as u32, 1_000).await.unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// Checks the receipts of a chain, which may have no end yet.
fn sound(machine: &MachineId, records: &[Signed]) -> Audit {
    let audit = ledger::verify(machine, records);
    assert!(records.is_empty() || audit.is_sound(), "{:?}", audit.findings);
    let unpaid = |finding: &&Finding| matches!(finding, Finding::Unpaid { .. });
    let unpaid = audit.findings.iter().filter(unpaid).count();
    assert!(unpaid <= 1, "{unpaid} slices are unpaid");
    audit
}

/// Waits for a command's end.
pub async fn finish(command: Child) -> Output {
    let waited = tokio::task::spawn_blocking(|| command.wait_with_output());
    tokio::time::timeout(PATIENCE, waited).await.expect("a command that ends").unwrap().unwrap()
}

/// Waits until `look` yields something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    seen.await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
