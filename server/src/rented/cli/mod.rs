//! The commands of renters and owners: `quote`, `rent`, `confirm`, `relet`, `orders`, `machine`, `ticket`, `receipts`.
//!
//! What they do goes through [`RentalChain`]; here are their words, their keys and how they answer. Amounts are read as whole
//! planck or as `12.5 DBC`, and written with unit and all digits.

mod acts;
mod amount;
mod answer;
mod node;
mod receipts;
mod ticket;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use keys::{CommandSigner, Keystore, Kind, Pair, Signer};
use session::rental::{AccountId, MachineId, Planck, RentId, RentalChain};

pub use acts::{
    confirm, machine, orders_of_machine, orders_of_renter, quote, relet, rent, report_machine,
};
use amount::amount;
pub use answer::Answer;
pub use node::Node;
pub use receipts::verify;
pub use ticket::{Wish, make};

use super::connect::Connection;
use crate::cli::Source;
use crate::config::Chain;

/// How long an external signer may take: as long as a person does.
const SIGNER_PATIENCE: Duration = Duration::from_secs(120);

/// A command of a renter or an owner.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What an order of the machine would cost.
    Quote {
        /// Graphics cards.
        #[arg(long, default_value_t = 1)]
        cards: u32,
        /// Blocks of 6 s, a multiple of 300 (half an hour).
        #[arg(long)]
        blocks: u32,
        /// Where, and by whom.
        #[command(flatten)]
        context: Context,
    },
    /// Rent the machine; what leaves the wallet or is held is at most the ceiling.
    Rent {
        /// Graphics cards.
        #[arg(long, default_value_t = 1)]
        cards: u32,
        /// Blocks of 6 s, a multiple of 300 (half an hour).
        #[arg(long)]
        blocks: u32,
        /// Such as "20 DBC", or planck.
        #[arg(long, value_parser = amount)]
        ceiling: Planck,
        /// Where, and by whom.
        #[command(flatten)]
        context: Context,
    },
    /// Confirm an order, which pays it, within 150 blocks of renting.
    Confirm {
        /// The order.
        order: u64,
        /// For the network's fee.
        #[arg(long, value_parser = amount, default_value = "1 DBC")]
        ceiling: Planck,
        /// Where, and by whom.
        #[command(flatten)]
        context: Context,
    },
    /// Prolong an order.
    Relet {
        /// The order.
        order: u64,
        /// Blocks of 6 s, at least 100.
        #[arg(long)]
        blocks: u32,
        /// Rent and the network's fee are at most this.
        #[arg(long, value_parser = amount)]
        ceiling: Planck,
        /// Where, and by whom.
        #[command(flatten)]
        context: Context,
    },
    /// The orders of the machine, or of a renter.
    Orders {
        /// An address; without it the machine's orders are listed.
        #[arg(long)]
        renter: Option<String>,
        /// Where, and by whom.
        #[command(flatten)]
        context: Context,
    },
    /// The machine as the chain has it; and for its controller: say that it is there, or away.
    Machine {
        /// Report it as this.
        #[arg(long)]
        report: Option<Presence>,
        /// For the network's fee of a report.
        #[arg(long, value_parser = amount, default_value = "1 DBC")]
        ceiling: Planck,
        /// Where, and by whom.
        #[command(flatten)]
        context: Context,
    },
    /// Make a link that lets somebody else use an order.
    Ticket {
        /// The order.
        order: u64,
        /// The node as it is reached: scheme, host and port.
        #[arg(long)]
        node: String,
        /// What for: of view, play, start, stop, files.
        #[arg(long, value_delimiter = ',', default_value = "view,play,start,stop")]
        allow: Vec<String>,
        /// How often it may be taken.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// Seconds from now until it is good.
        #[arg(long, default_value_t = 0)]
        starts_in: u64,
        /// Seconds that it is good for from then on.
        #[arg(long, default_value_t = 86_400)]
        lasts: u64,
        /// For this card alone.
        #[arg(long)]
        card: Option<u32>,
        /// Where, and by whom.
        #[command(flatten)]
        context: Context,
    },
    /// Receipts: list and export them from a node, verify files of them.
    Receipts {
        /// Which.
        #[command(subcommand)]
        what: Receipts,
        /// Where.
        #[command(flatten)]
        context: Context,
    },
}

/// Commands of receipts.
#[derive(Debug, Subcommand)]
pub enum Receipts {
    /// Check a file of receipts; nothing is needed but the machine's public key, which is its id.
    Verify {
        /// What `export` wrote.
        file: PathBuf,
        /// The machine's id, 64 digits; without it that of the configuration.
        #[arg(long)]
        machine: Option<String>,
    },
    /// What receipts a node has.
    List {
        /// Where, and by whom.
        #[command(flatten)]
        at: Node,
    },
    /// Write receipts to the standard output.
    Export {
        /// Their name, as `list` tells it.
        receipts: String,
        /// Where, and by whom.
        #[command(flatten)]
        at: Node,
        /// As a table, instead of JSON that can be verified.
        #[arg(long)]
        csv: bool,
    },
    /// Write what was paid for each order of a node, used of it, and is left.
    Accounts {
        /// Where, and by whom.
        #[command(flatten)]
        at: Node,
        /// As a table, instead of JSON.
        #[arg(long)]
        csv: bool,
    },
    /// Write a node's accounts in double entry to the standard output.
    Entries {
        /// Where, and by whom.
        #[command(flatten)]
        at: Node,
        /// As a table, instead of JSON.
        #[arg(long)]
        csv: bool,
    },
}

/// What a controller reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Presence {
    /// It is there again.
    Online,
    /// It is away.
    Offline,
}

/// Which chain, machine and wallet, and how to answer. The configuration's `[chain]` fills in what is not given.
#[derive(Debug, clap::Args)]
pub struct Context {
    #[command(flatten)]
    source: Source,
    /// Address of a node of the chain, `ws://` or `wss://`; several times for several.
    #[arg(long)]
    rpc: Vec<String>,
    /// Hash of the chain's block 0.
    #[arg(long)]
    genesis: Option<String>,
    /// The machine's id, 64 digits.
    #[arg(long = "on", value_name = "MACHINE")]
    on: Option<String>,
    /// The wallet: a keystore as wallets export it. Its password is in NEARLIGHT_WALLET_PASSWORD. Without it the seed is
    /// in NEARLIGHT_WALLET_SEED, 64 hexadecimal digits of sr25519.
    #[arg(long)]
    wallet: Option<PathBuf>,
    /// The wallet: a command that signs, with its arguments after spaces.
    #[arg(long, requires = "account")]
    signer: Option<String>,
    /// The account that the command signs for.
    #[arg(long)]
    account: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Context {
    /// The configuration with what was said on the command line.
    fn over(&self, mut chain: Chain) -> Chain {
        if !self.rpc.is_empty() {
            chain.rpc.clone_from(&self.rpc);
        }
        if let Some(genesis) = &self.genesis {
            chain.genesis.clone_from(genesis);
        }
        if let Some(machine) = &self.on {
            chain.machine.clone_from(machine);
        }
        chain
    }

    /// Who signs; none where nothing says so. Blocks while a keystore is opened.
    ///
    /// # Errors
    /// When a key is there and cannot be used.
    fn signer(&self) -> Result<Option<Arc<dyn Signer>>> {
        if let (Some(command), Some(account)) = (&self.signer, &self.account) {
            let account = account_of(account)?;
            let mut words = command.split_whitespace().map(ToOwned::to_owned);
            let program = words.next().context("--signer names no command")?;
            let signer = CommandSigner::new(account, program, words.collect(), SIGNER_PATIENCE);
            return Ok(Some(Arc::new(signer)));
        }
        if let Some(path) = &self.wallet {
            let password = std::env::var("NEARLIGHT_WALLET_PASSWORD")
                .context("NEARLIGHT_WALLET_PASSWORD is not set")?;
            return Ok(Some(Arc::new(Keystore::read(path)?.open(&password)?)));
        }
        match std::env::var("NEARLIGHT_WALLET_SEED") {
            Ok(seed) => Ok(Some(Arc::new(Pair::of_text(Kind::Sr25519, &seed)?))),
            Err(_) => Ok(None),
        }
    }
}

/// Why a command failed, where that is written already.
#[derive(Debug, thiserror::Error)]
#[error("what went wrong is said above")]
pub struct Said;

/// Runs a command and writes its answer.
///
/// # Errors
/// Why it did nothing; also where receipts cannot be believed.
pub fn run(command: &Command) -> Result<()> {
    let context = command.context();
    let chain = context.over(context.source.load()?.chain);
    if let Command::Receipts { what, .. } = command {
        let answer = read(what, &chain)?;
        write(&answer, context.json)?;
        ensure!(!answer.is_failure(), "the receipts cannot be believed");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let told = runtime.block_on(on_chain(command, context, &chain));
    // Whoever hears of an end by a signal takes it for one without an answer: nothing is waited for after it.
    runtime.shutdown_background();
    told
}

fn write(answer: &Answer, as_json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(&answer.written(as_json))?;
    Ok(out.flush()?)
}

fn machine_of(text: &str) -> Result<MachineId> {
    MachineId::parse(text)
        .with_context(|| format!("{text:?} is no machine: 64 hexadecimal digits are"))
}

async fn on_chain(command: &Command, context: &Context, config: &Chain) -> Result<()> {
    let machine = match config.machine.as_str() {
        "" => None,
        text => Some(machine_of(text)?),
    };
    let signer = context.signer()?;
    // Who only looks needs no key, and nobody's outbox.
    let calls = signer.clone().filter(|_| command.calls());
    let connection = Connection::open(config, calls).await?;
    // Only what was written is told: a command that ends before is answered with what was done when it is repeated.
    let told = match act(command, connection.chain(), machine, signer).await {
        Ok(answer) => {
            write(&answer, context.json)?;
            Ok(())
        }
        Err(error) => {
            writeln!(std::io::stderr(), "nearlight: {error:#}")?;
            Err(Said.into())
        }
    };
    if let Err(error) = connection.told().await {
        let what =
            "that you know of it could not be kept, so the same command again is answered with it";
        writeln!(std::io::stderr(), "nearlight: {what}: {error:#}")?;
    }
    told
}

impl Command {
    /// Whether it calls the chain.
    fn calls(&self) -> bool {
        match self {
            Self::Rent { .. } | Self::Confirm { .. } | Self::Relet { .. } => true,
            Self::Machine { report, .. } => report.is_some(),
            _ => false,
        }
    }

    fn context(&self) -> &Context {
        match self {
            Self::Quote { context, .. }
            | Self::Rent { context, .. }
            | Self::Confirm { context, .. }
            | Self::Relet { context, .. }
            | Self::Orders { context, .. }
            | Self::Machine { context, .. }
            | Self::Ticket { context, .. }
            | Self::Receipts { context, .. } => context,
        }
    }
}

/// Carries out what needs the chain.
///
/// # Errors
/// What the chain, a key or the words say.
pub async fn act(
    command: &Command,
    chain: &dyn RentalChain,
    machine: Option<MachineId>,
    signer: Option<Arc<dyn Signer>>,
) -> Result<Answer> {
    let there = || machine.context("which machine? Set chain.machine or give --on");
    match command {
        Command::Quote { cards, blocks, .. } => quote(chain, &there()?, *cards, *blocks).await,
        Command::Rent { cards, blocks, ceiling, .. } => {
            rent(chain, &there()?, *cards, *blocks, *ceiling).await
        }
        Command::Confirm { order, ceiling, .. } => confirm(chain, RentId(*order), *ceiling).await,
        Command::Relet { order, blocks, ceiling, .. } => {
            relet(chain, RentId(*order), *blocks, *ceiling).await
        }
        Command::Orders { renter: Some(renter), .. } => {
            orders_of_renter(chain, &account_of(renter)?).await
        }
        Command::Orders { renter: None, .. } => orders_of_machine(chain, &there()?).await,
        Command::Machine { report: None, .. } => acts::machine(chain, &there()?).await,
        Command::Machine { report: Some(presence), ceiling, .. } => {
            report_machine(chain, &there()?, *presence, *ceiling).await
        }
        Command::Ticket { order, node, allow, uses, starts_in, lasts, card, .. } => {
            let signer = signer.context("whose ticket? Give --wallet or --signer")?;
            let wish = Wish {
                rent_id: RentId(*order),
                node: node.trim_end_matches('/').to_owned(),
                allow: allow.clone(),
                uses: *uses,
                starts_in: *starts_in,
                lasts: *lasts,
                card: *card,
            };
            make(chain, &there()?, &wish, signer).await
        }
        Command::Receipts { .. } => bail!("receipts need no chain"),
    }
}

/// Carries out what needs no chain.
///
/// # Errors
/// What is wrong with a file, or a node says; receipts that cannot be believed.
pub fn read(command: &Receipts, configured: &Chain) -> Result<Answer> {
    match command {
        Receipts::Verify { file, machine } => {
            let machine = machine.as_deref().unwrap_or(&configured.machine);
            ensure!(!machine.is_empty(), "whose receipts? Give --machine");
            let machine = machine_of(machine)?;
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            verify(&machine, &text)
        }
        Receipts::List { at } => receipts::list(&at.open()?),
        Receipts::Export { receipts, at, csv } => receipts::export(&at.open()?, receipts, *csv),
        Receipts::Accounts { at, csv } => receipts::accounts(&at.open()?, *csv),
        Receipts::Entries { at, csv } => receipts::entries(&at.open()?, *csv),
    }
}

/// An account as people write it.
fn account_of(text: &str) -> Result<AccountId> {
    let (account, prefix) = keys::ss58::decode(text)?;
    if prefix != keys::ss58::PREFIX {
        tracing::warn!(
            prefix,
            "the address is written for another network; the account is the same"
        );
    }
    Ok(account)
}
