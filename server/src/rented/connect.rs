//! The one place where the chain's client is named.

use std::sync::Arc;

use anyhow::{Result, bail};
use keys::Signer;
use session::rental::RentalChain;

use crate::config::Chain;

/// The chain as a wallet sees it, or somebody who signs nothing.
///
/// # Errors
/// When no node answers, or the key must not be used there.
pub(super) async fn wallet(
    _config: &Chain,
    _signer: Option<Arc<dyn Signer>>,
) -> Result<Arc<dyn RentalChain>> {
    bail!("this build has no client of the chain yet")
}
