//! A node whose machine is rented on the chain: who may use it, until when, and what they use.
//!
//! ```text
//!  chain ──heads, orders──▶ watcher ──▶ LeaseBook ──▶ seats' leases ──▶ session drivers: warn, end
//!  renter ──challenge, signature─▶ ┐                      ▲
//!  guest ──ticket, secret────────▶ ┴─▶ bearer ──▶ admit ──┘ Tenancy (card, trial) ──▶ Metered ──▶ ledger
//!  chain ──final orders, payments─▶ paid ────────────────────────────────────────────────────────▶ ledger
//! ```
//!
//! Everything is decided from what the chain was last seen to say ([`session::lease`]); nobody who plays waits for the chain
//! or the disk. What lets somebody in (a ticket's use, a trial) is durable before it does. Tickets and trials outlive the
//! process; challenges and bearers do not: renters sign again after a restart.

pub(crate) mod access;
mod bearers;
pub mod cli;
mod clock;
mod connect;
mod durable;
mod index;
mod kept;
mod key;
pub(crate) mod metered;
mod missed;
mod paid;
mod reader;
pub(crate) mod refusal;
mod tenancy;
mod watcher;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use keys::MachineKey;
use ledger::{ChainSummary, Ledger, Op, Receipt};
use media::{Clock, SessionId};
use session::access::{Challenges, Tickets, UnixSeconds};
use session::lease::{BootTime, LeaseBook, LeaseConfig, LeaseEvent};
use session::meter::MeterConfig;
use session::receipts::{Body, ChainId, Record, Tariff, close_interrupted};
use session::rental::{
    BLOCKS_PER_DAY, BlockHash, ChainError, ChainLimits, MachineId, MachineStatus, OrderStatus,
    Planck, PriceInputs, RentId, RentalChain,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::http::Problem;
use crate::wire;

pub(crate) use access::{Claim, Proof};
pub use clock::{BootClock, SystemBootClock};
pub(crate) use durable::Durable;
pub(crate) use reader::Reader;
pub(crate) use tenancy::Tenancy;

/// Challenges that an order's renter may use within the time that each is good for, in seconds.
const CHALLENGES: usize = 256;
const CHALLENGE_LIFE: u64 = 120;
/// How long the disk may take for a slice.
const PATIENCE: Duration = Duration::from_secs(2);
/// Length of a block where the chain says nothing of it.
const USUAL_SLOT: Duration = Duration::from_secs(6);
/// Chains of receipts that are looked at together.
const PAGE: u32 = 256;

/// Makes the connection to the chain; called again, with pauses, until it succeeds.
pub type Connect =
    Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn RentalChain>, ChainError>> + Send + Sync>;

/// What a rented node has from outside.
pub struct Outside {
    /// Its clocks.
    pub boot: Arc<dyn BootClock>,
    /// The chain.
    pub connect: Connect,
}

impl Outside {
    /// The machine's own clocks, and the chain that is configured.
    pub fn of(chain: &crate::config::Chain) -> Self {
        Self { boot: Arc::new(SystemBootClock), connect: connect::reader(chain) }
    }
}

/// See the module.
pub struct Rented {
    genesis: BlockHash,
    machine: MachineId,
    /// The node as renters reach it.
    origin: String,
    development: bool,
    key: MachineKey,
    readers: reader::ReaderKey,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    boot: Arc<dyn BootClock>,
    /// What an hour of a card costs, where the operator says so.
    tariff: Option<Planck>,
    promised_fps: u32,
    promised_latency: Duration,
    /// How long slices are.
    meter: MeterConfig,
    /// The longest that a session lasts, and a bearer.
    longest: Duration,
    books: Mutex<Books>,
    /// What was paid on the chain.
    paid: paid::Payments,
}

/// What changes.
struct Books {
    lease: LeaseBook,
    challenges: Challenges,
    tickets: Tickets,
    bearers: bearers::Bearers,
    seats: BTreeMap<u64, tenancy::Seat>,
    next_seat: u64,
    guests: Vec<access::Guest>,
    receipts: index::Index,
    limits: Option<ChainLimits>,
    price: Option<PriceInputs>,
    /// The connection of now, once there was one.
    chain: Option<Arc<dyn RentalChain>>,
    connected: bool,
    /// What the chain lacks that renting needs.
    unfit: Option<String>,
}

impl Rented {
    /// Takes what the ledger knows, and closes what a crash cut off.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) async fn open(
        config: &Config,
        durable: Durable,
        clock: Arc<dyn Clock>,
        boot: Arc<dyn BootClock>,
    ) -> Result<Arc<Self>> {
        let chain = &config.chain;
        let genesis = chain.genesis().context("chain.genesis")?;
        let Durable { key, ledger } = durable;
        let machine = key.machine();
        let meter = MeterConfig::new(chain.slice.get(), PATIENCE).context("chain.slice")?;
        let mut lease = LeaseBook::new(
            LeaseConfig {
                genesis,
                machine,
                trial: chain.trial.get(),
                trials_a_day: chain.trials_a_day,
            },
            boot.now(),
        );
        lease.restore_trials(ledger.trials().await?);
        let kept = ledger.state(kept::KEY.to_owned()).await?;
        let restored = kept.and_then(|bytes| kept::read(&bytes, &genesis, &machine, boot.wall()));
        let limits = restored.as_ref().map(|restored| restored.limits);
        if let Some(restored) = restored {
            tracing::info!(block = %restored.head.number, "going on from what the chain said last");
            lease.handle(boot.now(), LeaseEvent::Restored(restored));
        }
        let paid = paid::Payments::open(&ledger).await?;
        let tickets = Tickets::restore(ledger.tickets().await?);
        let mut seal = [0; 32];
        getrandom::fill(&mut seal)?;
        let books = Books {
            lease,
            challenges: Challenges::new(&seal, CHALLENGES, CHALLENGE_LIFE),
            tickets,
            bearers: bearers::Bearers::default(),
            seats: BTreeMap::new(),
            next_seat: 0,
            guests: Vec::new(),
            receipts: index::Index::default(),
            limits,
            price: None,
            chain: None,
            connected: false,
            unfit: None,
        };
        let rented = Arc::new(Self {
            genesis,
            machine,
            origin: origin(config),
            development: chain.development() == Some(genesis),
            key,
            readers: reader::ReaderKey::new()?,
            ledger,
            clock,
            boot,
            tariff: chain.tariff(),
            promised_fps: chain.promised_fps,
            promised_latency: chain.promised_latency.get(),
            meter,
            longest: config.sessions.longest.get(),
            books: Mutex::new(books),
            paid,
        });
        rented.look_at_receipts().await?;
        Ok(rented)
    }

    /// Follows the chain until `stop`.
    pub fn follow(
        self: &Arc<Self>,
        connect: Connect,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) {
        tasks.spawn(watcher::run(self.clone(), connect, stop));
    }

    /// Looks at the first and the last record of each chain of receipts, and at all of those of sessions that were cut off, which get
    /// their last one. What lies between was looked at when the ledger was opened, or is when it is read.
    async fn look_at_receipts(&self) -> Result<()> {
        let mut after = None;
        loop {
            let chains = self.ledger.chains(after, PAGE).await?;
            let Some(last) = chains.last() else { return Ok(()) };
            after = Some(last.chain);
            for open in chains {
                let records = match open.is_closed {
                    true => self.ends(&open).await?,
                    false => self.records(open.chain).await?,
                };
                let records: Vec<_> =
                    records.iter().filter_map(|it| Record::decode(&it.bytes).ok()).collect();
                records.iter().for_each(|record| self.books().receipts.add(record));
                if open.is_closed {
                    continue;
                }
                let Some(close) = close_interrupted(&records) else { continue };
                tracing::warn!(chain = ?open.chain, "a session was cut off: its receipts are closed");
                let bytes = close.encode();
                let signature = self.key.sign(&bytes);
                let ops = self.closing(&close).into_iter();
                let receipt = Op::Receipt(Receipt { bytes, signature });
                self.ledger.commit(ledger::Batch::new([receipt].into_iter().chain(ops))).await?;
                self.books().receipts.add(&close);
            }
        }
    }

    /// The first record of a chain and its last.
    async fn ends(
        &self,
        chain: &ChainSummary,
    ) -> Result<Vec<session::receipts::Signed>, ledger::LedgerError> {
        let mut ends = self.ledger.receipts(chain.chain, 0, 1).await?;
        ends.extend(self.ledger.receipts(chain.chain, chain.last, 1).await?);
        Ok(ends)
    }

    /// All records of a chain.
    pub(crate) async fn records(
        &self,
        chain: ChainId,
    ) -> Result<Vec<session::receipts::Signed>, ledger::LedgerError> {
        let mut all = Vec::new();
        loop {
            let from = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let some = self.ledger.receipts(chain, from, PAGE).await?;
            if some.is_empty() {
                return Ok(all);
            }
            all.extend(some);
        }
    }

    /// What there are of receipts that somebody reads.
    pub(crate) fn receipts(&self, reader: &Reader) -> Vec<wire::Receipts> {
        self.books().receipts.of(reader)
    }

    /// A token for the receipts of a session.
    pub(crate) fn receipts_token(&self, session: &SessionId) -> String {
        self.readers.token(session)
    }

    /// Who shows such a token; none where it is none.
    pub(crate) fn reader(&self, token: &str) -> Option<Reader> {
        self.readers.reader(token)
    }

    /// The order that receipts are of.
    pub(crate) fn order_of(&self, chain: &ChainId) -> Option<RentId> {
        self.books().receipts.order_of(chain)
    }

    /// What is written together with a closing record: that what was prepaid is used by so much. Settled once, since it
    /// has the chain's name.
    fn closing(&self, record: &Record) -> Option<Op> {
        let Body::Close(rent, close) = &record.body else { return None };
        if close.totals.charge == Planck::ZERO {
            return None;
        }
        let time = self.books().lease.time(self.boot.now()).unwrap_or_default();
        let key = format!("usage/{}", record.chain);
        let (from, to) = (format!("prepaid/{rent}"), format!("used/{rent}"));
        let entry = ledger::Entry::transfer(&key, "usage", time, &from, &to, close.totals.charge);
        entry.map(Op::Post).inspect_err(|error| tracing::error!(%error, "no entry")).ok()
    }

    /// What receipts charge from now on.
    fn tariff(&self) -> Tariff {
        let hour = |fee| Tariff { fee, span_ms: 3_600_000, trial: false };
        if let Some(fee) = self.tariff {
            return if fee == Planck::ZERO { Tariff::FREE } else { hour(fee) };
        }
        let books = self.books();
        let slot = books.limits.and_then(|limits| limits.slot).unwrap_or(USUAL_SLOT);
        let day = slot.as_millis().saturating_mul(BLOCKS_PER_DAY.into());
        let asked = books.price.as_ref().and_then(|price| price.relet(1, BLOCKS_PER_DAY).ok());
        match (asked, u64::try_from(day)) {
            (Some(quote), Ok(span_ms)) => Tariff { fee: quote.rent, span_ms, trial: false },
            // The order is paid for in any case.
            _ => Tariff::FREE,
        }
    }

    /// The chain's time.
    ///
    /// # Errors
    /// A problem before anything was heard of it.
    fn time(&self, books: &Books) -> Result<UnixSeconds, Problem> {
        let time = books.lease.time(self.boot.now()).ok_or(session::lease::Denied::NoHead)?;
        Ok(UnixSeconds(time.0 / 1_000))
    }

    /// How the orders stand.
    pub(crate) fn describe(&self) -> wire::Lease {
        let boot = self.boot.now();
        let books = self.books();
        let order = |order: &session::rental::Order| {
            let outlook = books.lease.outlook(order.rent_id);
            let seats = books.seats.values().filter(|seat| seat.rent_id == order.rent_id);
            wire::LeaseOrder {
                order: order.rent_id.to_string(),
                confirmed: order.status == OrderStatus::Renting,
                over_block: outlook.map_or(order.end.0, |(_, over, _)| over.0),
                left_ms: outlook.map_or(0, |(_, _, until)| millis(until.since(boot))),
                cards: order.slots.as_slice().to_vec(),
                sessions: u32::try_from(seats.count()).unwrap_or(u32::MAX),
            }
        };
        let time = books.lease.time(boot);
        wire::Lease {
            genesis: self.genesis.to_string(),
            machine: self.machine.to_string(),
            origin: self.origin.clone(),
            development: self.development,
            connected: books.connected,
            block: time.map(|_| books.lease.block().0),
            unix_ms: time.map(|time| time.0),
            cards: books.lease.machine().map(|machine| wire::LeaseCards {
                all: machine.gpus,
                free: match machine.status {
                    MachineStatus::Online | MachineStatus::Rented => {
                        machine.gpus.saturating_sub(machine.rented_gpus)
                    }
                    _ => 0,
                },
            }),
            price: books.price(),
            orders: books.lease.orders().map(order).collect(),
        }
    }

    /// Milliseconds from now on.
    pub(crate) fn millis_until(&self, at: BootTime) -> u64 {
        millis(at.since(self.boot.now()))
    }

    /// What is durable.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Each change is made in one step at the end of a call, so a panic elsewhere leaves them whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// What the smallest order costs.
    fn price(&self) -> Option<wire::LeasePrice> {
        let (limits, price) = (self.limits?, self.price.as_ref()?);
        let quote = price.quote(1, limits.rent_step).ok()?;
        Some(wire::LeasePrice {
            blocks: limits.rent_step,
            lasts_ms: limits.slot.map(|slot| millis(slot.saturating_mul(limits.rent_step))),
            rent_planck: quote.rent.to_string(),
            fixed_planck: quote.fixed.to_string(),
        })
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// What renters sign for: never what a request says of itself.
fn origin(config: &Config) -> String {
    match config.server.public_url.trim_end_matches('/') {
        "" => {
            let scheme = if config.secure() { "https" } else { "http" };
            format!("{scheme}://{}", config.server.listen)
        }
        url => url.to_owned(),
    }
}
