//! A renter, his machine and the chain that both are on, for tests of a rented node.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::Method;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use encoder::{Candidate, InProcess, Prober, Verdict};
use futures::FutureExt as _;
use keys::{Kind, MachineKey, Pair, from_hex, to_hex};
use ledger::{Export, Ledger};
use model_chain::{Devchain, ModelChain, RentalSubject as _, Wallet, development_seed};
use nearlight::config::Config;
use nearlight::encoders::Probing;
use nearlight::node::Node;
use nearlight::rented::{BootClock, Outside};
use serde_json::{Value, json};
use session::access::{Binding, Ticket, TicketId, TicketScope, TicketScopes, UnixSeconds};
use session::lease::BootTime;
use session::receipts::{ChainId, Signed, acknowledgement as text_of, hash};
use session::rental::{
    AccountId, BlockHash, ChainError, MachineId, RentId, RentalChain, UnixMillis,
};
use tempfile::TempDir;

use crate::common::{self, Ask, Reply, ask, config, open, until};

pub const GENESIS_OF_OTHERS: &str =
    "0x1111111111111111111111111111111111111111111111111111111111111111";

/// A clock that is set by hand.
#[derive(Debug, Default)]
pub struct Boot {
    nanos: AtomicU64,
    wall: AtomicU64,
}

impl Boot {
    pub fn forward(&self, by: Duration) {
        self.nanos.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }
    pub fn back(&self, by: Duration) {
        let before = self.nanos.load(Ordering::SeqCst);
        self.nanos.store(before.saturating_sub(by.as_nanos() as u64), Ordering::SeqCst);
    }
}

impl BootClock for Boot {
    fn now(&self) -> BootTime {
        BootTime(self.nanos.load(Ordering::SeqCst))
    }
    fn wall(&self) -> UnixMillis {
        UnixMillis(self.wall.load(Ordering::SeqCst))
    }
}

/// Tries encoders as usual, and counts how many it tries.
#[derive(Default)]
struct Counted(AtomicU64);

impl Prober for Counted {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        self.0.fetch_add(candidates.len() as u64, Ordering::SeqCst);
        InProcess.probe(candidates)
    }
}

pub struct World {
    pub model: ModelChain,
    pub node: Arc<Node>,
    pub boot: Arc<Boot>,
    pub renter: Arc<Pair>,
    pub other: Arc<Pair>,
    pub account: AccountId,
    pub machine: MachineId,
    pub genesis: String,
    /// Seconds of the chain's clock when it began.
    since: u64,
    overrides: Vec<String>,
    ledger: TempDir,
}

/// What makes a node of a configuration.
pub type Opened = fn(Config) -> anyhow::Result<Arc<Node>>;

fn machine_key() -> MachineKey {
    MachineKey::new(Pair::sr25519(&[7; 32]).unwrap()).unwrap()
}

/// Of a rented node, with `overrides` over them.
fn settings(genesis: &str, ledger: &Path, overrides: &[String]) -> Config {
    let ours = [
        "access.open=false".to_owned(),
        "server.public_url=http://node.test".to_owned(),
        "chain.enabled=true".to_owned(),
        "chain.rpc=[\"ws://127.0.0.1:1\"]".to_owned(),
        format!("chain.genesis=\"{genesis}\""),
        format!("chain.machine_key=\"{}\"", "07".repeat(32)),
        format!("chain.ledger={ledger:?}"),
        // Many a session is started and played later, or not at all.
        "sessions.connect=5m".to_owned(),
    ];
    let all: Vec<&str> = ours.iter().chain(overrides).map(String::as_str).collect();
    config(&all)
}

/// What is said of a node of the chain that does not answer.
fn down() -> ChainError {
    ChainError::Unreachable("the test's node is down".to_owned())
}

fn renter() -> Pair {
    Pair::sr25519(&[3; 32]).unwrap()
}

impl World {
    pub async fn new(overrides: &[&str]) -> Self {
        Self::rented_by(renter().account(), overrides).await
    }

    /// Rented by another account than the usual renter's.
    pub async fn rented_by(account: AccountId, overrides: &[&str]) -> Self {
        let other = Pair::ed25519(&[4; 32]).unwrap().account();
        let model = ModelChain::with(machine_key().machine(), [account, other]);
        Self::on(model, overrides).await
    }

    pub async fn on(model: ModelChain, overrides: &[&str]) -> Self {
        let overrides = overrides.iter().map(|&it| it.to_owned()).collect();
        Self::open(model, overrides, TempDir::new().unwrap(), Arc::default(), None).await
    }

    /// Another node than the tests' usual one.
    pub async fn of_node(overrides: Vec<String>, opened: Opened) -> Self {
        let other = Pair::ed25519(&[4; 32]).unwrap().account();
        let model = ModelChain::with(machine_key().machine(), [renter().account(), other]);
        let ledger = TempDir::new().unwrap();
        Self::open_as(opened, model, overrides, ledger, Arc::default(), None).await
    }

    /// On a development chain, over its socket; the model stands by for nothing. `//Alice` rents.
    pub async fn on_devchain(dev: &Devchain, overrides: &[&str]) -> Self {
        let genesis = BlockHash(dev.genesis).to_string();
        let theirs = [
            format!("chain.rpc=[\"{}\"]", dev.url),
            format!("chain.development=\"{genesis}\""),
            format!("chain.machine_key=\"{}\"", to_hex(&development_seed("//Machine"))),
        ];
        let overrides: Vec<_> =
            theirs.into_iter().chain(overrides.iter().map(|&it| it.to_owned())).collect();
        let ledger = TempDir::new().unwrap();
        let settings = settings(&genesis, ledger.path(), &overrides);
        let outside = Outside::of(&settings.chain);
        let node = open(settings).expect("a node");
        node.rent_out(outside).await.expect("a ledger");
        let alice = |path| Pair::of_seed(Kind::Sr25519, &development_seed(path)).unwrap();
        let renter = Arc::new(alice("//Alice"));
        let mut world = Self {
            model: ModelChain::new(),
            node,
            boot: Arc::default(),
            account: renter.account(),
            renter,
            other: Arc::new(alice("//Bob")),
            machine: MachineId::of_public_key(&dev.machine),
            genesis,
            since: 0,
            overrides,
            ledger,
        };
        let there = async || world.lease().await["unix_ms"].as_u64();
        world.since = until("the chain", there).await / 1_000;
        world
    }

    /// With its ledger below a folder.
    pub async fn below(folder: &Path) -> Self {
        let other = Pair::ed25519(&[4; 32]).unwrap().account();
        let model = ModelChain::with(machine_key().machine(), [renter().account(), other]);
        let ledger = TempDir::new_in(folder).unwrap();
        Self::open(model, Vec::new(), ledger, Arc::default(), None).await
    }

    /// A node that never reached its chain.
    pub async fn alone() -> Self {
        Self::without_chain(down()).await
    }

    /// A node that is told this whenever it connects.
    pub async fn without_chain(why: ChainError) -> Self {
        let account = renter().account();
        let model = ModelChain::with(machine_key().machine(), [account, AccountId([4; 32])]);
        Self::open(model, Vec::new(), TempDir::new().unwrap(), Arc::default(), Some(why)).await
    }

    /// Why a node with these settings and this ledger does not start, which it says before it tries any encoder.
    pub fn refusal(ledger: &Path, overrides: &[&str]) -> String {
        let model = ModelChain::with(machine_key().machine(), [AccountId([4; 32]); 2]);
        let genesis = model.of(Wallet::Nobody).identity().genesis.to_string();
        let overrides: Vec<_> = overrides.iter().map(|&it| it.to_owned()).collect();
        let counted = Arc::new(Counted::default());
        let probing = Probing { prober: counted.clone(), ..Probing::in_process() };
        let refused = common::with_probing(settings(&genesis, ledger, &overrides), probing);
        assert_eq!(counted.0.load(Ordering::SeqCst), 0, "encoders were tried");
        format!("{:#}", refused.err().expect("it does not start"))
    }

    async fn open(
        model: ModelChain,
        overrides: Vec<String>,
        ledger: TempDir,
        boot: Arc<Boot>,
        fails: Option<ChainError>,
    ) -> Self {
        Self::open_as(open, model, overrides, ledger, boot, fails).await
    }

    async fn open_as(
        opened: Opened,
        model: ModelChain,
        overrides: Vec<String>,
        ledger: TempDir,
        boot: Arc<Boot>,
        fails: Option<ChainError>,
    ) -> Self {
        let chain = model.of(Wallet::Nobody);
        let genesis = chain.identity().genesis.to_string();
        let node = opened(settings(&genesis, ledger.path(), &overrides)).expect("a node");
        let reachable = fails.is_none();
        let connect = Box::new(move || {
            let answer = fails.clone().map_or_else(|| Ok(chain.clone()), Err);
            async move { answer }.boxed()
        });
        node.rent_out(Outside { boot: boot.clone(), connect }).await.expect("a ledger");
        let account = model.account(Wallet::Renter);
        let world = Self {
            node,
            boot,
            renter: Arc::new(renter()),
            other: Arc::new(Pair::ed25519(&[4; 32]).unwrap()),
            account,
            machine: machine_key().machine(),
            genesis,
            since: 0,
            overrides,
            ledger,
            model,
        };
        if reachable {
            let there = async || {
                let lease = world.lease().await;
                let foreign = world.overrides.iter().any(|it| it.starts_with("chain.genesis"));
                (foreign || lease["block"].is_u64()).then_some(())
            };
            until("the chain", there).await;
        }
        world
    }

    /// The node is stopped; yields the folder of its ledger.
    pub async fn stop(self) -> TempDir {
        self.close().await.2
    }

    async fn close(self) -> (ModelChain, Vec<String>, TempDir, Arc<Boot>) {
        let Self { model, node, boot, overrides, ledger, .. } = self;
        node.shut_down(common::PATIENCE).await;
        let gone = Arc::downgrade(&node);
        drop(node);
        until("the node's end", async || gone.upgrade().is_none().then_some(())).await;
        // A task that ends by itself may have it for a moment longer.
        let path = ledger.path().join("ledger.sqlite");
        until("the ledger", async || Ledger::open(&path, ledger::Options::default()).ok()).await;
        (model, overrides, ledger, boot)
    }

    /// The node is stopped and started anew.
    pub async fn again(self) -> Self {
        self.again_after(async |_| ()).await
    }

    /// The same, and this happens on the chain in between.
    pub async fn again_after(self, meanwhile: impl AsyncFnOnce(&ModelChain)) -> Self {
        let (model, overrides, ledger, boot) = self.close().await;
        meanwhile(&model).await;
        Self::open(model, overrides, ledger, boot, None).await
    }

    /// The same, so much later, and no chain is there.
    pub async fn again_alone(self, later: Duration) -> Self {
        let (model, overrides, ledger, boot) = self.close().await;
        let head = model.of(Wallet::Nobody).limits(session::rental::At::Best).await.unwrap().head;
        boot.wall.store(head.time.0 + later.as_millis() as u64, Ordering::SeqCst);
        Self::open(model, overrides, ledger, boot, Some(down())).await
    }

    pub fn chain(&self, wallet: Wallet) -> Arc<dyn RentalChain> {
        self.model.of(wallet)
    }

    /// Rents; the node knows of it.
    pub async fn rent(&self, cards: u32, blocks: u32) -> RentId {
        let renter = self.chain(Wallet::Renter);
        let rented = renter.rent(&self.machine, cards, blocks, super::PLENTY).await.unwrap();
        let id = rented.event.rent_id;
        until("the order", async || self.order(id).await.map(drop)).await;
        id
    }

    pub async fn confirm(&self, order: RentId) {
        self.chain(Wallet::Renter).confirm(order, super::PLENTY).await.unwrap();
        let confirmed = async || self.order(order).await?["confirmed"].as_bool()?.then_some(());
        until("the confirmation", confirmed).await;
    }

    pub async fn lease(&self) -> Value {
        let reply = ask(Method::GET, "/api/v1/lease").of(&self.node).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    pub async fn block(&self) -> u64 {
        self.lease().await["block"].as_u64().unwrap()
    }

    pub async fn order(&self, order: RentId) -> Option<Value> {
        let lease = self.lease().await;
        let orders = lease["orders"].as_array().unwrap();
        orders.iter().find(|it| it["order"] == order.to_string()).cloned()
    }

    /// Waits until what the chain says of an order is kept for the next start.
    pub async fn kept(&self, order: RentId) {
        assert_eq!(self.order(order).await.unwrap()["confirmed"], true);
        // With the next head, since so much time has passed.
        self.boot.forward(Duration::from_secs(5));
        let before = self.block().await;
        self.model.advance(1);
        until("the block", async || (self.block().await > before).then_some(())).await;
    }

    pub async fn challenge(&self, order: RentId, who: &Pair) -> Reply {
        self.challenge_of(order, &who.account()).await
    }

    pub async fn challenge_of(&self, order: RentId, account: &AccountId) -> Reply {
        let wish = json!({"order": order.to_string(), "account": to_hex(&account.0)});
        ask(Method::POST, "/api/v1/lease/challenges").json(wish.to_string()).of(&self.node).await
    }

    pub async fn prove(&self, proof: &(String, String), body: &str) -> Reply {
        let ask = ask(Method::POST, "/api/v1/lease/bearers").json(body.to_owned());
        proven(ask, proof).of(&self.node).await
    }

    pub async fn prove_together(&self, text: &str, multisig: &Value, body: &str) -> Reply {
        let ask = ask(Method::POST, "/api/v1/lease/bearers").json(body.to_owned());
        ask.header("nearlight-proof", &BASE64_STANDARD.encode(text))
            .header("nearlight-multisig", &BASE64_STANDARD.encode(multisig.to_string()))
            .of(&self.node)
            .await
    }

    pub async fn bearer(&self, order: RentId, who: &Pair) -> Value {
        let reply = self.challenge(order, who).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let given = reply.json();
        let text = given["text"].as_str().unwrap();
        let reply = self.prove(&proof(text, who), given["body"].as_str().unwrap()).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    pub async fn token(&self, order: RentId) -> String {
        self.bearer(order, &self.renter).await["token"].as_str().unwrap().to_owned()
    }

    pub async fn start(&self, token: &str, wish: &Value) -> Reply {
        let ask = ask(Method::POST, "/api/v1/sessions").bearer(token).json(wish.to_string());
        ask.of(&self.node).await
    }

    pub async fn redeem(&self, guest: &Guest) -> Reply {
        let text = guest.ticket.text();
        let ask = ask(Method::POST, "/api/v1/lease/tickets/redeem").body(guest.secret.clone());
        proven(ask, &proof(&text, &guest.signer)).of(&self.node).await
    }

    /// Takes a link as the page does.
    pub async fn follow(&self, link: &str) -> Reply {
        let (_, fragment) = link.split_once("#lease=").unwrap();
        let carried = BASE64_URL_SAFE_NO_PAD.decode(fragment).unwrap();
        let carried: Value = serde_json::from_slice(&carried).unwrap();
        let text = |key: &str| carried[key].as_str().unwrap().to_owned();
        let ask = ask(Method::POST, "/api/v1/lease/tickets/redeem").body(text("secret"));
        proven(ask, &(BASE64_STANDARD.encode(text("ticket")), text("signature")))
            .of(&self.node)
            .await
    }

    pub async fn receipts(&self, token: &str) -> Vec<Value> {
        let reply = ask(Method::GET, "/api/v1/lease/receipts").bearer(token).of(&self.node).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json().as_array().unwrap().clone()
    }

    pub async fn export(&self, token: &str, chain: &Value) -> Export {
        let path = format!("/api/v1/lease/receipts/{}", chain["receipts"].as_str().unwrap());
        let reply = ask(Method::GET, &path).bearer(token).of(&self.node).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// Acknowledges a slice by HTTP, after somebody else tried.
    pub async fn acknowledge(
        &self,
        chain: &Value,
        records: &[Signed],
        sequence: u32,
        key: &SigningKey,
    ) {
        let name = chain["receipts"].as_str().unwrap();
        let id = ChainId(from_hex(name).unwrap().try_into().unwrap());
        let text = text_of(&id, sequence, &hash(&records[sequence as usize].bytes));
        let path = format!("/api/v1/lease/receipts/{name}/acknowledgements");
        for (key, status) in [(&SigningKey::from_bytes(&[1; 32]), 403), (key, 204)] {
            let signature = to_hex(&key.sign(&text).to_bytes());
            let body = json!({"sequence": sequence, "signature": signature});
            let reply = ask(Method::POST, &path).json(body.to_string()).of(&self.node).await;
            assert_eq!(reply.status, status, "{}", reply.text());
        }
    }
}

fn digits(text: &str) -> [u8; 32] {
    from_hex(text.trim_start_matches("0x")).unwrap().try_into().unwrap()
}

/// A text in base64, and its signature.
pub fn proof(text: &str, signer: &Pair) -> (String, String) {
    let signature = signer.sign(text.as_bytes()).unwrap();
    (BASE64_STANDARD.encode(text), to_hex(&signature.tagged()))
}

fn proven(ask: Ask, (text, signature): &(String, String)) -> Ask {
    ask.header("nearlight-proof", text).header("nearlight-signature", signature)
}

/// Asks for the small pattern, with a key to acknowledge by.
pub fn wish(key: Option<&SigningKey>) -> Value {
    let mut wish = json!({"app": "pattern", "video": {"width": 128, "height": 96, "fps": 30}});
    if let Some(key) = key {
        let public = to_hex(key.verifying_key().as_bytes());
        wish["player_key"] = json!({"kind": "ed25519", "key": public});
    }
    wish
}

/// What a page answers to a slice.
pub fn acknowledgement(slice: &Value, key: &SigningKey) -> Value {
    let chain = slice["chain"].as_str().unwrap();
    let id = ChainId(from_hex(chain).unwrap().try_into().unwrap());
    let sequence = slice["sequence"].as_u64().unwrap() as u32;
    let record = from_hex(slice["record"].as_str().unwrap()).unwrap();
    let signature = key.sign(&text_of(&id, sequence, &hash(&record)));
    json!({
        "type": "acknowledge", "chain": chain, "sequence": sequence,
        "signature": to_hex(&signature.to_bytes()),
    })
}

/// A ticket, and what its link carries.
pub struct Guest {
    pub ticket: Ticket,
    pub secret: String,
    pub signer: Arc<Pair>,
}

impl Guest {
    /// For seeing, playing and starting, once, for a day of blocks; or as it is changed.
    pub fn of(world: &World, order: RentId, change: impl Fn(&mut Ticket)) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let secret = format!("secret {number}");
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let mut ticket = Ticket {
            binding: Binding {
                genesis: BlockHash(digits(&world.genesis)),
                machine: world.machine,
                rent_id: order,
                origin: "http://node.test".to_owned(),
                method: "POST".to_owned(),
                path: "/api/v1/lease/tickets/redeem".to_owned(),
                body: Binding::body_of(secret.as_bytes()),
            },
            id: TicketId(id),
            scopes: TicketScopes::new([TicketScope::View, TicketScope::Play, TicketScope::Start])
                .unwrap(),
            not_before: UnixSeconds(world.since),
            not_after: UnixSeconds(world.since + 86_400),
            uses: 1,
            slot: None,
        };
        change(&mut ticket);
        Self { ticket, secret, signer: world.renter.clone() }
    }
}
