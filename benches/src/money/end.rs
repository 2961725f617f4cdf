//! The end of a lease: from the block that ends it until the player is told that his session is over.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::figures::Findings;
use super::world::{Counter, World};
use super::{Args, millis};

pub(crate) fn run(args: &Args, findings: &mut Findings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(args, findings))
}

async fn play(args: &Args, findings: &mut Findings) -> Result<()> {
    let world = World::start(args, "instant").await?;
    let bearer = world.renter.bearer(world.order).await?;
    let session = world.session(&bearer).await?;
    let mut counter = Counter::new(world.renter.play(&session).await?);
    counter.first().await?;
    let lease = world.lease().await?;
    let number = |of: &serde_json::Value| of.as_u64().context("no number of a block");
    let (over, now) = (number(&lease["orders"][0]["over_block"])?, number(&lease["block"])?);
    let before = u32::try_from(over - now - 1)?;
    tokio::task::block_in_place(|| world.dev.blocks(before));
    world.until("the block before", |lease| lease["block"] == over - 1).await?;
    let frames = counter.run(Duration::from_secs(1)).await?.frames;
    ensure!(frames > 0, "no picture in the block before the last");
    let asked = Instant::now();
    tokio::task::block_in_place(|| world.dev.blocks(1));
    counter.ended().await?;
    findings.put("end.late", "ms", millis(asked));
    ensure!(world.audit(&bearer).await?.totals.unpaid_ms == 0, "a part of it is unpaid");
    world.stop().await;
    Ok(())
}
