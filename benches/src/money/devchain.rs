//! The chain of development: its start, and transactions by our client until they are final.

use std::time::Instant;

use anyhow::Result;
use keys::{Kind, Pair};
use model_chain::{Devchain, development_seed};
use serde_json::json;
use session::rental::{Planck, RentalChain as _};

use super::figures::Findings;
use super::world::{PLENTY, wallet};
use super::{Args, folder, millis};

/// Starts that are timed, and transfers.
const STARTS: u32 = 10;
const TRANSFERS: u32 = 300;

pub(crate) fn run(args: &Args, findings: &mut Findings) -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let asked = Instant::now();
        let dev = Devchain::start(&[]);
        dev.ask("chain_getHeader", &json!([]));
        took.push(millis(asked));
    }
    findings.put("devchain.start.longest", "ms", took.iter().copied().fold(0.0, f64::max));
    findings.spread("devchain.start", "ms", took);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    findings.spread("devchain.transfer", "ms", runtime.block_on(transfers(args))?);
    Ok(())
}

/// From the call to its event in a final block, one after the other: signed, durable in the outbox, sent and proven.
async fn transfers(args: &Args) -> Result<Vec<f64>> {
    let (dev, folder) = (Devchain::start(&["--seal", "instant"]), folder(args)?);
    let (_chain, wallet) = wallet(&dev, "//Alice", &folder).await?;
    let to = Pair::of_seed(Kind::Sr25519, &development_seed("//Bob"))?.account();
    let mut took = Vec::new();
    for amount in 1..=TRANSFERS {
        let asked = Instant::now();
        wallet.transfer_keep_alive(&to, Planck(amount.into()), PLENTY).await?;
        took.push(millis(asked));
    }
    Ok(took)
}
