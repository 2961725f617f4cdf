//! Feeds the lease book: takes heads as they come, reads what they say of the machine, and tells it. Nobody waits for this task.
//!
//! A head is handed over with what was read at it. What cannot be read in time is handed over as a number alone, which is
//! enough to end what is over, and read again a moment later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use ledger::Op;
use session::lease::{BootTime, LeaseAction, LeaseEvent, LeaseNotice, MachineView};
use session::reason::StoppedBy;
use session::rental::{At, ChainError, Head, HeadEvent, Heads, Order, RentId, RentalChain};
use tokio_util::sync::CancellationToken;

use super::{Books, Connect, Rented, kept, paid};

/// How often deadlines are looked at: the clock that counts runs on while the machine sleeps, and timers do not.
const LOOK: Duration = Duration::from_millis(250);
/// The longest that a read may take before a head counts as a number.
const READ: Duration = Duration::from_secs(2);
/// What could not be read is read again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// Reads of machine and orders that may come from different blocks until they are given up for this head.
const TRIES: usize = 3;
/// Pause between two connections that fail, at first and at the most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// What the chain said is kept so often.
const KEEP: Duration = Duration::from_secs(5);

/// Runs until `stop`.
pub(super) async fn run(rented: Arc<Rented>, connect: Connect, stop: CancellationToken) {
    let look = async {
        let mut every = tokio::time::interval(LOOK);
        loop {
            every.tick().await;
            rented.tell(LeaseEvent::Timeout);
        }
    };
    tokio::select! {
        () = follow_always(&rented, &connect) => {}
        () = look => {}
        () = stop.cancelled() => {}
    }
}

async fn follow_always(rented: &Rented, connect: &Connect) {
    let mut pause = PAUSE.0;
    loop {
        match connect().await {
            Ok(chain) => {
                {
                    let mut books = rented.books();
                    books.chain = Some(chain.clone());
                    books.unfit = None;
                }
                let (finals, seen) = tokio::sync::watch::channel(None);
                let followed = tokio::select! {
                    followed = follow(rented, chain.as_ref(), &finals) => followed,
                    () = paid::keep(rented, chain.as_ref(), seen) => Ok(()),
                };
                match followed {
                    Ok(()) => tracing::warn!("the chain's client has ended"),
                    Err(error) => tracing::warn!(%error, "the chain cannot be followed"),
                }
                pause = PAUSE.0;
            }
            Err(error) => {
                match &error {
                    ChainError::WrongGenesis { found, .. } => rented.foreign(*found),
                    ChainError::Missing(_) => rented.books().unfit = Some(error.to_string()),
                    _ => {}
                }
                tracing::warn!(%error, again_in = ?pause, "no connection to the chain");
            }
        }
        rented.lost();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Heads that came since the last look; of each kind the newest.
#[derive(Default)]
struct News {
    best: Option<Head>,
    finalized: Option<Head>,
    lost: Option<String>,
}

impl News {
    fn take(&mut self, event: HeadEvent) {
        match event {
            HeadEvent::Best(head) => {
                self.best = Some(head);
                self.lost = None;
            }
            HeadEvent::Finalized(head) => self.finalized = Some(head),
            HeadEvent::Lost(reason) => self.lost = Some(reason),
        }
    }

    /// The next; none once there will be none.
    async fn next(heads: &mut Heads) -> Option<Self> {
        let mut news = Self::default();
        news.take(heads.next().await?);
        while let Some(Some(event)) = heads.next().now_or_never() {
            news.take(event);
        }
        Some(news)
    }
}

/// What a final block says, for whoever looks at what was paid; the newest.
type Finals = tokio::sync::watch::Sender<Option<(Head, MachineView)>>;

async fn follow(
    rented: &Rented,
    chain: &dyn RentalChain,
    finals: &Finals,
) -> Result<(), ChainError> {
    let limits = chain.limits(At::Finalized).await?.value;
    rented.connected(chain.identity().genesis, limits);
    let mut heads = chain.heads();
    let mut kept = Kept::default();
    let mut unread = false;
    loop {
        let news = if unread {
            tokio::time::timeout(AGAIN, News::next(&mut heads))
                .await
                .unwrap_or(Some(News::default()))
        } else {
            News::next(&mut heads).await
        };
        let Some(News { best, finalized, lost }) = news else { return Ok(()) };
        if let Some(head) = finalized {
            let seen = read(rented, chain, At::Finalized).await;
            if let Some(seen) = &seen {
                finals.send_replace(Some(seen.clone()));
            }
            let (head, view) = seen.map_or((head, None), |(seen, view)| (seen, Some(view)));
            rented.tell(LeaseEvent::Finalized(head, view));
            money(rented, chain).await;
        }
        if best.is_some() || unread {
            let seen = read(rented, chain, At::Best).await;
            unread = seen.is_none();
            let number = seen.as_ref().map(|(seen, _)| seen.number);
            if let Some((head, view)) = seen {
                keep(rented, &mut kept, &head, &view);
                rented.tell(LeaseEvent::Best(head, Some(view)));
            }
            // A node that has the block but not yet what it says, or does not answer.
            if let Some(head) = best.filter(|head| number.is_none_or(|number| number < head.number))
            {
                rented.tell(LeaseEvent::Best(head, None));
            }
        }
        if let Some(reason) = lost {
            tracing::warn!(reason, "no heads of the chain come any more: blocks are estimated");
            rented.lost();
        }
    }
}

/// Machine and orders at one block.
async fn read(rented: &Rented, chain: &dyn RentalChain, at: At) -> Option<(Head, MachineView)> {
    let both = async {
        for _ in 0..TRIES {
            let machine = chain.machine(at, &rented.machine).await?;
            let orders = chain.orders_of_machine(at, &rented.machine).await?;
            if machine.head.hash == orders.head.hash {
                let view = MachineView { machine: machine.value, orders: orders.value };
                return Ok(Some((machine.head, view)));
            }
        }
        Ok::<_, ChainError>(None)
    };
    match tokio::time::timeout(READ, both).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the chain's machine could not be read");
            None
        }
        Err(_) => {
            tracing::warn!("the chain's node takes too long to be read");
            None
        }
    }
}

/// What prices and limits: by what is final, anew with each such block, since governance changes both.
async fn money(rented: &Rented, chain: &dyn RentalChain) {
    let both = async {
        let limits = chain.limits(At::Finalized).await?.value;
        let price = chain.price_inputs(At::Finalized, &rented.machine).await?.value;
        Ok::<_, ChainError>((limits, price))
    };
    match tokio::time::timeout(READ, both).await {
        Ok(Ok((limits, price))) => {
            rented.tell(LeaseEvent::Limits(limits));
            let mut books = rented.books();
            books.limits = Some(limits);
            books.price = price.or(books.price);
        }
        Ok(Err(error)) => tracing::warn!(%error, "the chain's prices could not be read"),
        Err(_) => tracing::warn!("the chain's node takes too long to be read"),
    }
}

/// What was kept last, and when.
#[derive(Default)]
struct Kept {
    at: BootTime,
    orders: Vec<Order>,
    paid: BTreeSet<RentId>,
}

/// Keeps what the chain said, for a start without it.
fn keep(rented: &Rented, kept: &mut Kept, head: &Head, view: &MachineView) {
    let now = rented.boot.now();
    let (limits, paid) = {
        let books = rented.books();
        (books.limits, books.lease.paid().clone())
    };
    let Some(limits) = limits else { return };
    let is_same = kept.orders == view.orders && kept.paid == paid;
    if is_same && now.since(kept.at) < KEEP {
        return;
    }
    if let Err(error) = rented.paid.see(&rented.ledger, view) {
        tracing::warn!(%error, "new orders are not kept");
    }
    let state = kept::write(&rented.genesis, &rented.machine, head, &limits, (view, &paid));
    match rented.ledger.try_commit(Op::State(kept::KEY.to_owned(), state)) {
        Ok(_) => *kept = Kept { at: now, orders: view.orders.clone(), paid },
        Err(error) => tracing::warn!(%error, "what the chain said is not kept"),
    }
}

impl Rented {
    fn connected(&self, genesis: session::rental::BlockHash, limits: session::rental::ChainLimits) {
        {
            let mut books = self.books();
            books.limits = Some(limits);
            books.connected = genesis == self.genesis;
        }
        tracing::info!(%genesis, "connected to the chain");
        self.tell(LeaseEvent::Connected(genesis, limits));
    }

    fn foreign(&self, found: session::rental::BlockHash) {
        self.tell(LeaseEvent::Foreign(found));
    }

    fn lost(&self) {
        self.books().connected = false;
        self.tell(LeaseEvent::Lost);
    }

    /// Tells the book, and carries out what it decides.
    pub(super) fn tell(&self, event: LeaseEvent) {
        let (boot, now) = (self.boot.now(), self.clock.now());
        let mut books = self.books();
        if matches!(event, LeaseEvent::Best(..)) {
            books.connected = true;
        }
        books.lease.handle(boot, event);
        while let Some(action) = books.lease.poll_action() {
            books.act(&action);
        }
        books.refresh(now, boot);
    }
}

impl Books {
    fn act(&mut self, action: &LeaseAction) {
        match action {
            LeaseAction::Warn(rent, left) => {
                let seats = self.seats.values().filter(|seat| seat.rent_id == *rent);
                seats.for_each(|seat| seat.warn(*left));
            }
            LeaseAction::End(rent, end) => {
                tracing::info!(order = %rent, why = end.code(), "order over");
                let seats = self.seats.values().filter(|seat| seat.rent_id == *rent);
                seats.for_each(|seat| seat.end(StoppedBy::Lease(*end)));
                self.bearers.order_is(*rent, None);
                self.tickets.order_ended(*rent);
            }
            LeaseAction::Changed(rent) => {
                tracing::info!(order = %rent, "order new or changed");
                let order = self.lease.orders().find(|order| order.rent_id == *rent);
                self.bearers.order_is(*rent, order.map(|order| &order.renter));
            }
            LeaseAction::Notice(notice) => log(notice),
        }
    }
}

fn log(notice: &LeaseNotice) {
    match notice {
        LeaseNotice::Reorganised { from, to } => {
            tracing::info!(%from, %to, "another branch of the chain is the best");
        }
        LeaseNotice::OlderHead { told, seen } => {
            tracing::debug!(%told, %seen, "a node lags behind");
        }
        LeaseNotice::WrongGenesis(found) => tracing::error!(%found, "a node of another chain"),
        LeaseNotice::FinalityBroken(block) => {
            tracing::error!(%block, "a node calls final what contradicts what was final");
        }
        LeaseNotice::ClockBehind => {
            tracing::warn!("the system's clock is behind the chain's: time since counts as none");
        }
    }
}
