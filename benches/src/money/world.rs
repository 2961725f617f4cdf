//! A chain of development, a node in this process whose machine is rented on it, and its renter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chain::{Chain, Options, Wallet};
use keys::{Kind, Pair, to_hex};
use ledger::Ledger;
use media::FrameId;
use model_chain::{Came, Devchain, Joined, Player, Renter, development_seed};
use serde_json::{Value, json};
use server::apps::App;
use server::encoders::Probing;
use server::node::Node;
use server::serve::Server;
use session::rental::{BlockHash, MachineId, Planck, RentId, RentalChain as _};
use tempfile::TempDir;

use super::apps::Pattern;
use super::{Args, folder};

/// More than anything costs here.
pub(crate) const PLENTY: Planck = Planck::dbc(900_000);
/// How long a node may take to hear of what is on the chain.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is played.
const APP: &str = "synthetic";
const SIZE: (u32, u32) = (1_280, 720);
/// Frames a second of it.
pub(crate) const FPS: u32 = 60;

/// A client of the chain, signing for an account of development.
pub(crate) async fn wallet(
    dev: &Devchain,
    path: &str,
    folder: &TempDir,
) -> Result<(Chain, Wallet)> {
    let options = Options {
        genesis: Some(BlockHash(dev.genesis)),
        development: Some(BlockHash(dev.genesis)),
        ..Options::new([dev.url.clone()])
    };
    let chain = Chain::connect(options).await?;
    let file = folder.path().join(format!("{}.sqlite", path.trim_start_matches('/')));
    let outbox = Ledger::open(&file, ledger::Options::default())?;
    let signer = Arc::new(Pair::of_seed(Kind::Sr25519, &development_seed(path))?);
    let wallet = chain.wallet(signer, outbox).await?;
    Ok((chain, wallet))
}

pub(crate) struct World {
    pub(crate) dev: Devchain,
    pub(crate) renter: Renter,
    pub(crate) machine: MachineId,
    pub(crate) order: RentId,
    server: Server,
    _folder: TempDir,
}

impl World {
    /// An order of two hours, confirmed, of a chain that seals its blocks so.
    pub(crate) async fn start(args: &Args, seal: &str) -> Result<Self> {
        let folder = folder(args)?;
        let data = folder.path().join("chain").to_string_lossy().into_owned();
        let dev =
            tokio::task::block_in_place(|| Devchain::start(&["--seal", seal, "--data", &data]));
        let server = serve(&dev, &folder).await?;
        let pair = Arc::new(Pair::of_seed(Kind::Sr25519, &development_seed("//Alice"))?);
        let renter = Renter::new(server.address, pair);
        let machine = MachineId::of_public_key(&dev.machine);
        let (_chain, wallet) = wallet(&dev, "//Alice", &folder).await?;
        let order = wallet.rent(&machine, 1, 1_200, PLENTY).await?.event.rent_id;
        wallet.confirm(order, PLENTY).await?;
        let world = Self { dev, renter, machine, order, server, _folder: folder };
        world.until("the order", |lease| lease["orders"][0]["confirmed"] == true).await?;
        Ok(world)
    }

    /// Waits until what the node says of its lease is so; yields how long that took.
    pub(crate) async fn until(
        &self,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Duration> {
        let asked = Instant::now();
        while !is_so(&self.lease().await?) {
            ensure!(asked.elapsed() < PATIENCE, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(asked.elapsed())
    }

    pub(crate) async fn lease(&self) -> Result<Value> {
        Ok(self.renter.ask("GET /api/v1/lease", &[], "").await?)
    }

    /// Starts a session.
    pub(crate) async fn session(&self, bearer: &str) -> Result<Joined> {
        let (width, height) = SIZE;
        let video = json!({ "width": width, "height": height, "fps": FPS });
        Ok(self.renter.start(bearer, &json!({ "app": APP, "video": video })).await?)
    }

    /// What the receipts of the one session say, once they are closed.
    pub(crate) async fn audit(&self, bearer: &str) -> Result<session::receipts::Audit> {
        let asked = Instant::now();
        let name = loop {
            let all = self.renter.receipts(bearer).await?;
            // Not that of the moment until the confirmation was final.
            let paid = all.iter().find(|it| it["closed"].is_string() && it["trial"] == false);
            if let Some(closed) = paid {
                break closed["receipts"].as_str().unwrap_or_default().to_owned();
            }
            ensure!(asked.elapsed() < PATIENCE, "receipts are not closed: {all:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let file = self.renter.export(bearer, &name).await?;
        let audit = ledger::verify(&self.machine, &file.records().context("no receipts")?);
        ensure!(audit.is_sound(), "the receipts are not sound: {:?}", audit.findings);
        Ok(audit)
    }

    pub(crate) async fn stop(self) {
        self.server.shut_down().await;
    }
}

async fn serve(dev: &Devchain, folder: &TempDir) -> Result<Server> {
    let genesis = BlockHash(dev.genesis);
    let at = |name: &str| folder.path().join(name);
    let overrides = [
        "server.listen=127.0.0.1:0".to_owned(),
        "ops.listen=127.0.0.1:0".to_owned(),
        "webrtc.udp_port=0".to_owned(),
        "server.public_url=http://node.bench".to_owned(),
        format!("server.state_dir={:?}", at("state")),
        // Nobody touches it.
        "sessions.idle=\"2h\"".to_owned(),
        "chain.enabled=true".to_owned(),
        format!("chain.rpc=[\"{}\"]", dev.url),
        format!("chain.genesis=\"{genesis}\""),
        format!("chain.development=\"{genesis}\""),
        format!("chain.machine_key=\"{}\"", to_hex(&development_seed("//Machine"))),
        format!("chain.ledger={:?}", at("ledger")),
    ];
    let config = server::config::load(None, [], &overrides)?;
    let open = |config| {
        let app = Pattern { id: APP, title: "Synthetic", moves: true };
        let mut probing = Probing::in_process();
        // What the figures are about.
        probing.candidates.retain(|candidate| candidate.name == "x264");
        Node::with_apps(config, None, [Arc::new(app) as Arc<dyn App>], probing)
    };
    Server::bind_with(config, open).await
}

/// What a player counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Frames that came.
    pub(crate) frames: u64,
    /// Frames that were captured between two that came: each has a number.
    pub(crate) dropped: u64,
    /// The longest time between two that came, in milliseconds.
    pub(crate) gap_ms: f64,
}

/// A player who counts.
pub(crate) struct Counter {
    player: Player,
    last: Option<(FrameId, Instant)>,
    count: Count,
}

impl Counter {
    pub(crate) fn new(player: Player) -> Self {
        Self { player, last: None, count: Count::default() }
    }

    /// Waits for the first frame.
    pub(crate) async fn first(&mut self) -> Result<()> {
        while self.last.is_none() {
            if let Came::Frame(header) = self.player.next().await.context("the session ended")? {
                self.frame(header.frame);
            }
        }
        Ok(())
    }

    /// Counts for so long.
    pub(crate) async fn run(&mut self, length: Duration) -> Result<Count> {
        self.count = Count::default();
        let until = tokio::time::Instant::now() + length;
        while let Ok(came) = tokio::time::timeout_at(until, self.player.next()).await {
            match came.context("the session ended")? {
                Came::Frame(header) => self.frame(header.frame),
                Came::Said(said) => ensure!(said["type"] != "ended", "it ended: {said}"),
            }
        }
        Ok(self.count)
    }

    /// Waits until the session is over.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        while let Some(came) = self.player.next().await {
            if matches!(&came, Came::Said(said) if said["type"] == "ended") {
                return Ok(());
            }
        }
        anyhow::bail!("the connection ended without a word")
    }

    fn frame(&mut self, frame: FrameId) {
        let now = Instant::now();
        self.count.frames += 1;
        if let Some((last, at)) = self.last.replace((frame, now)) {
            self.count.dropped += (frame.0 - last.0).saturating_sub(1);
            let gap = now.duration_since(at).as_secs_f64() * 1_000.0;
            self.count.gap_ms = self.count.gap_ms.max(gap);
        }
    }
}
