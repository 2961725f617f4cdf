//! One link at a time, and the heads that it tells of.
//!
//! | queue | bound | when it is full | recovery |
//! |---|---|---|---|
//! | heads to a listener | the newest of each kind | the older one is replaced | none needed: a head stands for all before it |
//! | heads from the node | [`HEADS`] | `jsonrpsee` ends the subscription | the link is opened anew |
//! | reports of a dead link | [`REPORTS`] | dropped | one that waits says the same |

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use session::rental::{BlockHash, BlockNumber, ChainError, ChainIdentity, Head, HeadEvent, Heads};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::block::Block;
use crate::link::{Common, Fail, Link, hash_of, newest};
use crate::options::Options;

/// Heads of a node that may wait for us.
pub(crate) const HEADS: usize = 4_096;
/// Reports that may wait.
pub(crate) const REPORTS: usize = 8;
/// How often the pause between two rounds of all nodes doubles.
const DOUBLINGS: u32 = 4;

/// What is known of the chain now.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) best: Option<Head>,
    pub(crate) finalized: Option<Head>,
    /// Why no node answers.
    pub(crate) lost: Option<String>,
}

/// What watcher, readers and wallets share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) view: watch::Sender<View>,
    common: Arc<Common>,
    reports: mpsc::Sender<(u64, String)>,
    genesis: OnceLock<BlockHash>,
    identity: Mutex<Option<ChainIdentity>>,
    links: std::sync::atomic::AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        common: Common,
        reports: mpsc::Sender<(u64, String)>,
    ) -> Self {
        let genesis = options.genesis.map_or_else(OnceLock::new, OnceLock::from);
        Self {
            options,
            view: watch::Sender::new(View::default()),
            common: Arc::new(common),
            reports,
            genesis,
            identity: Mutex::default(),
            links: std::sync::atomic::AtomicU64::default(),
        }
    }

    fn best(&self) -> Option<BlockHash> {
        self.view.borrow().best.map(|best| best.hash)
    }

    /// The chain as it was last seen; none before the first link.
    pub(crate) fn identity(&self) -> Option<ChainIdentity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connects to the nodes in turn from one on, until one is of this chain, has what is needed and is not behind what was
    /// seen. Yields its place in the list.
    ///
    /// # Errors
    /// What the chain of one of them lacks, else what all of them said.
    pub(crate) async fn any(&self, from: usize) -> Result<(usize, Arc<Link>), ChainError> {
        let addresses = &self.options.addresses;
        let mut told = Vec::new();
        let mut worse = None;
        for place in (from..from + addresses.len()).map(|place| place % addresses.len()) {
            let address = &addresses[place];
            match self.open(address).await {
                Ok(link) => return Ok((place, link)),
                Err(fail) => {
                    let why = match fail {
                        Fail::Link(why) => why,
                        Fail::Chain(error) => {
                            let why = error.to_string();
                            worse.get_or_insert(error);
                            why
                        }
                    };
                    tracing::warn!(node = shown(address), why, "a node of the chain is not used");
                    told.push(format!("{}: {why}", shown(address)));
                }
            }
        }
        Err(worse.unwrap_or_else(|| ChainError::Unreachable(told.join("; "))))
    }

    async fn open(&self, address: &str) -> Result<Arc<Link>, Fail> {
        let id = self.links.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let link = Link::open(id, address.to_owned(), Arc::clone(&self.common)).await?;
        let found = link.genesis();
        let expected = self.genesis.get().copied().unwrap_or(found);
        if found != expected {
            return Err(ChainError::WrongGenesis { expected, found }.into());
        }
        let link = Arc::new(link);
        newest(|| self.refresh(&link)).await?;
        let _ = self.genesis.set(found);
        Ok(link)
    }

    /// Asks for the newest heads and publishes them, unless they are older than what was seen or of another branch.
    async fn refresh(&self, link: &Arc<Link>) -> Result<(), Fail> {
        let finalized = link.finalized().await?;
        let best = link.best().await?;
        let (seen, known) = {
            let view = self.view.borrow();
            (view.finalized, view.link.as_ref().is_some_and(|known| known.id == link.id))
        };
        if let Some(seen) = seen {
            let now = finalized.head;
            if now.number < seen.number {
                let (now, seen) = (now.number, seen.number);
                let why = format!("its newest final block is {now}, and {seen} was seen");
                return Err(Fail::Link(why));
            }
            let there = if now.number == seen.number {
                Some(now.hash)
            } else if known {
                Some(seen.hash)
            } else {
                link.hash_at(seen.number).await?.map(hash_of)
            };
            if there != Some(seen.hash) {
                let why = format!("its block {} is not the one that is final", seen.number);
                return Err(Fail::Link(why));
            }
        }
        // Finalized was asked first; a best head that is behind it would be of another branch.
        let best = if best.number() < finalized.number() { Arc::clone(&finalized) } else { best };
        self.remember(link, &best);
        self.view.send_modify(|view| {
            view.link = Some(Arc::clone(link));
            view.best = Some(best.head);
            view.finalized = Some(finalized.head);
            view.lost = None;
        });
        Ok(())
    }

    fn remember(&self, link: &Link, best: &Block) {
        let identity = ChainIdentity {
            genesis: link.genesis(),
            spec_version: best.at.spec_version(),
            defaults: best.shape.defaults.clone(),
        };
        let mut known = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(&identity) {
            let ChainIdentity { genesis, spec_version, defaults } = &identity;
            tracing::info!(%genesis, spec_version, ?defaults, "the chain's runtime");
            *known = Some(identity);
        }
    }

    /// The link, but not this one, which failed.
    pub(crate) async fn link(&self, but: Option<u64>) -> Result<Arc<Link>, ChainError> {
        let mut view = self.view.subscribe();
        let is_other = |view: &View| {
            let other = view.link.as_ref().is_some_and(|link| Some(link.id) != but);
            other || view.lost.is_some()
        };
        // Every node may use its bound twice: to connect and to answer.
        let bound = self.options.patience.saturating_mul(2 * self.options.addresses.len() as u32);
        let found = tokio::time::timeout(bound, view.wait_for(is_other)).await;
        let late = || ChainError::Unreachable(format!("no node answered within {bound:?}"));
        let found = found.map_err(|_| late())?.map_err(|_| late())?;
        let lost = || ChainError::Unreachable(found.lost.clone().unwrap_or_default());
        found.link.clone().ok_or_else(lost)
    }

    /// Says that a link does not do what it should.
    pub(crate) fn broken(&self, link: &Link, why: String) {
        // Full: one that waits says it already.
        let _ = self.reports.try_send((link.id, why));
    }

    /// Works on the link, and again on the next where that one fails.
    pub(crate) async fn on_link<T, W>(&self, work: impl Fn(Arc<Link>) -> W) -> Result<T, ChainError>
    where
        W: Future<Output = Result<T, Fail>>,
    {
        let mut failed = None;
        let mut why = String::new();
        for _ in 0..=self.options.addresses.len() {
            let link = self.link(failed).await?;
            match work(Arc::clone(&link)).await {
                Ok(done) => return Ok(done),
                Err(Fail::Chain(error)) => return Err(error),
                Err(Fail::Link(reason)) => {
                    failed = Some(link.id);
                    why = reason.clone();
                    self.broken(&link, reason);
                }
            }
        }
        Err(ChainError::Unreachable(why))
    }

    /// Heads from now on, the newest first of all.
    pub(crate) fn heads(&self) -> Heads {
        let listener = Listener { view: self.view.subscribe(), told: None, waiting: Vec::new() };
        Box::pin(stream::unfold(listener, |mut listener| async move {
            let event = listener.next().await?;
            Some((event, listener))
        }))
    }
}

/// Of an address what may be logged: no path, in which some providers have keys.
pub(crate) fn shown(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + 3);
    let end = address[host..].find('/').map_or(address.len(), |at| host + at);
    &address[..end]
}

/// What a stream of heads has told.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    best: Option<Head>,
    finalized: Option<Head>,
    lost: bool,
}

struct Listener {
    view: watch::Receiver<View>,
    told: Option<Told>,
    /// Last first.
    waiting: Vec<HeadEvent>,
}

impl Listener {
    async fn next(&mut self) -> Option<HeadEvent> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some(event);
            }
            if self.told.is_some() {
                self.view.changed().await.ok()?;
            }
            let view = self.view.borrow_and_update();
            let mut told = self.told.take().unwrap_or_default();
            if let Some(why) = &view.lost {
                if !told.lost {
                    self.waiting.push(HeadEvent::Lost(why.clone()));
                }
                // Whatever comes next is told again, which ends the loss.
                told = Told { lost: true, ..Told::default() };
            } else if view.best.is_some() {
                told.lost = false;
                if told.finalized != view.finalized {
                    self.waiting.extend(view.finalized.map(HeadEvent::Finalized));
                }
                if told.best != view.best {
                    self.waiting.extend(view.best.map(HeadEvent::Best));
                }
                (told.best, told.finalized) = (view.best, view.finalized);
            }
            self.told = Some(told);
        }
    }
}

/// Keeps a link for as long as there is a client.
pub(crate) async fn watch(
    shared: Arc<Shared>,
    mut reports: mpsc::Receiver<(u64, String)>,
    first: (usize, Arc<Link>),
) {
    let options = &shared.options;
    let (mut place, mut link) = (first.0, Some(first.1));
    let mut rounds = 0;
    loop {
        let serving = match link.take() {
            Some(link) => link,
            None => match shared.any(place).await {
                Ok((found, link)) => {
                    place = found;
                    link
                }
                Err(error) => {
                    let why = error.to_string();
                    shared.view.send_modify(|view| (view.link, view.lost) = (None, Some(why)));
                    sleep(options.pause.saturating_mul(1 << rounds.min(DOUBLINGS))).await;
                    rounds += 1;
                    continue;
                }
            },
        };
        rounds = 0;
        let since = Instant::now();
        let why = serve(&shared, &serving, &mut reports).await;
        tracing::warn!(node = shown(&serving.address), why, "a link to the chain is given up");
        shared.view.send_modify(|view| view.link = None);
        place = (place + 1) % options.addresses.len();
        if since.elapsed() < options.pause {
            sleep(options.pause).await;
        }
    }
}

/// Publishes the heads of a link until it fails; yields why it did.
async fn serve(
    shared: &Shared,
    link: &Arc<Link>,
    reports: &mut mpsc::Receiver<(u64, String)>,
) -> String {
    let text = |fail: Fail| match fail {
        Fail::Link(why) => why,
        Fail::Chain(error) => error.to_string(),
    };
    let (none, options) = (BlockNumber(0), &shared.options);
    let best = link.ask(none, link.rpc.chain_subscribe_new_heads()).await;
    let finalized = link.ask(none, link.rpc.chain_subscribe_finalized_heads()).await;
    let (mut best, mut finalized) = match (best, finalized) {
        (Ok(best), Ok(finalized)) => (best, finalized),
        (Err(fail), _) | (_, Err(fail)) => return text(fail),
    };
    let mut newest_best = (shared.best(), Instant::now());
    loop {
        match shared.refresh(link).await {
            // So many blocks came while it was asked that the head's state is gone: the next one is on its way.
            Ok(()) | Err(Fail::Chain(ChainError::Pruned(_))) => {}
            Err(fail) => return text(fail),
        }
        if newest_best.0 != shared.best() {
            newest_best = (shared.best(), Instant::now());
        } else if options.addresses.len() > 1 && newest_best.1.elapsed() > options.stale {
            return format!("it has shown no new block for {:?}", options.stale);
        }
        let ended = tokio::select! {
            head = best.next() => end(head),
            head = finalized.next() => end(head),
            report = reports.recv() => match report {
                Some((id, why)) => (id == link.id).then_some(why),
                None => Some("there is no client any more".to_owned()),
            },
            () = sleep(options.probe) => None,
        };
        if let Some(why) = ended.or_else(|| pass(&mut best)).or_else(|| pass(&mut finalized)) {
            return why;
        }
    }
}

/// Why a subscription ended, if this is its end. Heads themselves are asked for: what was sent may be old.
fn end<T, E: std::fmt::Display>(item: Option<Result<T, E>>) -> Option<String> {
    match item {
        Some(Ok(_)) => None,
        Some(Err(error)) => Some(error.to_string()),
        None => Some("the node ended the subscription".to_owned()),
    }
}

/// Passes over all that wait.
fn pass<T, E: std::fmt::Display>(
    heads: &mut (impl Stream<Item = Result<T, E>> + Unpin),
) -> Option<String> {
    while let Some(item) = heads.next().now_or_never() {
        if let Some(why) = end(item) {
            return Some(why);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use session::rental::UnixMillis;

    use super::*;

    fn head(number: u32) -> Head {
        let hash = BlockHash([number as u8; 32]);
        Head { number: BlockNumber(number), hash, parent: hash, time: UnixMillis(0) }
    }

    #[test]
    fn keys_in_addresses_are_not_shown() {
        assert_eq!(shown("wss://node.example/SECRET?x=1"), "wss://node.example");
        assert_eq!(shown("ws://127.0.0.1:9944"), "ws://127.0.0.1:9944");
        assert_eq!(shown("node/SECRET"), "node");
    }

    #[test]
    fn a_listener_hears_the_newest_of_each_kind_and_the_end_of_a_loss() {
        let view = watch::Sender::new(View::default());
        let mut listener = Listener { view: view.subscribe(), told: None, waiting: Vec::new() };
        let mut hear = || listener.next().now_or_never();
        assert_eq!(hear(), None);
        for number in 1..=3 {
            view.send_modify(|view| {
                (view.best, view.finalized) = (Some(head(number)), Some(head(1)));
            });
        }
        assert_eq!(hear(), Some(Some(HeadEvent::Best(head(3)))));
        assert_eq!(hear(), Some(Some(HeadEvent::Finalized(head(1)))));
        assert_eq!(hear(), None);
        view.send_modify(|view| view.lost = Some("gone".to_owned()));
        assert_eq!(hear(), Some(Some(HeadEvent::Lost("gone".to_owned()))));
        view.send_modify(|view| view.lost = Some("still gone".to_owned()));
        assert_eq!(hear(), None);
        view.send_modify(|view| view.lost = None);
        assert_eq!(hear(), Some(Some(HeadEvent::Best(head(3)))));
        assert_eq!(hear(), Some(Some(HeadEvent::Finalized(head(1)))));
        drop(view);
        assert_eq!(hear(), Some(None));
    }
}
