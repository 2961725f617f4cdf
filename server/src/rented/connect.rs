//! The one place where the chain's client is named.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use chain::{Chain, Options, Resumed, Wallet};
use keys::{Signer, ss58, to_hex};
use ledger::Ledger;
use session::rental::{AccountId, BlockHash, CallError, ChainError, RentalChain};

use super::Connect;
use crate::config;

/// Connects to the chain for a node, which signs nothing.
pub(super) fn reader(config: &config::Chain) -> Connect {
    let options = options(config);
    Box::new(move || {
        let options = options.clone();
        Box::pin(async move {
            let chain = Chain::connect(options).await?;
            Ok::<Arc<dyn RentalChain>, ChainError>(Arc::new(chain.reader()))
        })
    })
}

/// The chain for one command.
pub(super) struct Connection(Wallet);

impl Connection {
    /// The chain as a wallet sees it, or somebody who signs nothing. What a wallet has signed is kept in its outbox before it is
    /// sent. What an earlier command left there is waited for first, and told; the same command again is answered with it.
    ///
    /// # Errors
    /// When no node answers, the outbox is another command's, or the key must not be used there.
    pub(super) async fn open(
        config: &config::Chain,
        signer: Option<Arc<dyn Signer>>,
    ) -> Result<Self> {
        let chain = Chain::connect(options(config)).await?;
        let Some(signer) = signer else { return Ok(Self(chain.reader())) };
        let folder = outbox(&signer.account(), &chain.identity().genesis)?;
        let opened = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            let path = folder.join("outbox.sqlite");
            Ledger::open(&path, ledger::Options::default())
                .with_context(|| path.display().to_string())
        });
        let wallet = chain.wallet(signer, opened.await??).await?;
        for Resumed { purpose, outcome } in wallet.resumed().await {
            let came = match outcome {
                Ok(block) => format!("an earlier call ({purpose}) is in the final block {block}"),
                Err(CallError::Unproven) => {
                    format!(
                        "an earlier call ({purpose}) may have done its work: {}",
                        CallError::Unproven
                    )
                }
                Err(error) => format!("an earlier call ({purpose}) did nothing: {error}"),
            };
            writeln!(std::io::stderr(), "nearlight: {came}")?;
        }
        Ok(Self(wallet))
    }

    pub(super) fn chain(&self) -> &dyn RentalChain {
        &self.0
    }

    /// To be called when whoever gave the command knows what came of it: the same command again is then a new one.
    ///
    /// # Errors
    /// When that cannot be written down; the same command again is then answered once more with what was done.
    pub(super) async fn told(&self) -> Result<()> {
        Ok(self.0.told().await?)
    }
}

fn options(config: &config::Chain) -> Options {
    Options {
        genesis: config.genesis(),
        development: config.development(),
        ..Options::new(config.rpc.iter().cloned())
    }
}

/// Where an account's calls on a chain are kept: below `$XDG_STATE_HOME/nearlight/wallets`, or below the home.
fn outbox(account: &AccountId, genesis: &BlockHash) -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let state = state.or_else(home);
    let state = state.context("neither XDG_STATE_HOME nor HOME says where to keep calls")?;
    let chain = &to_hex(&genesis.0)[..16];
    Ok(state.join("nearlight/wallets").join(ss58::encode(account, ss58::PREFIX)).join(chain))
}
