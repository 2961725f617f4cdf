//! A client of the chain: its links, and whoever reads or signs by them.

use std::sync::Arc;

use keys::Signer;
use ledger::Ledger;
use session::rental::{At, ChainError, ChainIdentity, Seen};
use subxt::SubstrateConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::block::Block;
use crate::link::{Common, Fail, Link, Shapes, newest};
use crate::options::Options;
use crate::wallet::{Wallet, WalletError};
use crate::watch::{self, Shared};

/// A client. Clones are one client; the links end with the last of them and its wallets.
#[derive(Clone, Debug)]
pub struct Chain(Arc<Client>);

#[derive(Debug)]
struct Client {
    shared: Arc<Shared>,
    watcher: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl Chain {
    /// Connects to the first node that answers, and checks that it is of the chain and that its runtime has what is needed.
    /// To be called within a runtime of tokio.
    ///
    /// # Errors
    /// See [`ChainError`]: that of a node which answered, before those of nodes that did not.
    pub async fn connect(options: Options) -> Result<Self, ChainError> {
        if options.addresses.is_empty() {
            return Err(ChainError::Unreachable("no node is configured".to_owned()));
        }
        let (report, reports) = mpsc::channel(watch::REPORTS);
        let common = Common {
            config: SubstrateConfig::new(),
            shapes: Shapes::default(),
            patience: options.patience,
        };
        let shared = Arc::new(Shared::new(options, common, report));
        let first = shared.any(0).await?;
        let watcher = tokio::spawn(watch::watch(Arc::clone(&shared), reports, first));
        Ok(Self(Arc::new(Client { shared, watcher })))
    }

    /// Which chain it is; its version may change when its runtime is upgraded.
    pub fn identity(&self) -> ChainIdentity {
        let none =
            || ChainIdentity { genesis: Default::default(), spec_version: 0, defaults: Vec::new() };
        self.0.shared.identity().unwrap_or_else(none)
    }

    /// The chain for somebody who signs nothing.
    pub fn reader(&self) -> Wallet {
        Wallet::reader(self.clone())
    }

    /// The chain for an account: `outbox` holds what it has signed, durably before it is sent, and goes on with what an
    /// earlier process left there. One account has one outbox.
    ///
    /// # Errors
    /// See [`WalletError`].
    pub async fn wallet(
        &self,
        signer: Arc<dyn Signer>,
        outbox: Ledger,
    ) -> Result<Wallet, WalletError> {
        Wallet::open(self.clone(), signer, outbox).await
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Reads at the newest block of a kind.
    pub(crate) async fn read<T, W>(
        &self,
        at: At,
        read: impl Fn(Arc<Block>) -> W,
    ) -> Result<Seen<T>, ChainError>
    where
        W: Future<Output = Result<T, Fail>>,
    {
        let read = &read;
        let once = |link: Arc<Link>| async move {
            let block = match at {
                At::Best => link.best().await?,
                At::Finalized => link.finalized().await?,
            };
            let head = block.head;
            Ok(Seen { head, value: read(block).await? })
        };
        let work = |link: Arc<Link>| async move { newest(|| once(Arc::clone(&link))).await };
        self.0.shared.on_link(work).await
    }
}
