//! A rented session whose chain is away: its process is killed while somebody plays, and comes back.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Args;
use super::figures::Findings;
use super::world::{Count, Counter, World};

pub(crate) fn run(args: &Args, findings: &mut Findings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(args, findings))
}

async fn play(args: &Args, findings: &mut Findings) -> Result<()> {
    let mut world = World::start(args, "6s").await?;
    let bearer = world.renter.bearer(world.order).await?;
    let session = world.session(&bearer).await?;
    let mut counter = Counter::new(world.renter.play(&session).await?);
    let part = Duration::from_secs(args.seconds);
    // What a session's first pictures cost is not what is asked.
    counter.run(Duration::from_secs(2)).await?;
    let before = counter.run(part).await?;
    world.dev.kill();
    let outage = Duration::from_secs(args.outage);
    let during = counter.run(outage).await?;
    ensure!(world.lease().await?["connected"] == false, "the node did not notice");
    tokio::task::block_in_place(|| world.dev.again());
    let after = counter.run(part).await?;
    // Its client pauses longer and longer while nobody answers.
    let mut waited = part;
    while world.lease().await?["connected"] != true {
        ensure!(waited < Duration::from_secs(120), "the node did not come back to the chain");
        waited += part;
        counter.run(part).await?;
    }
    let sets = [("before", before, part), ("during", during, outage), ("after", after, part)];
    for (name, Count { frames, dropped, gap_ms }, length) in sets {
        findings.put(format!("outage.{name}.frames"), "", frames as f64);
        let rate = frames as f64 / length.as_secs_f64();
        findings.put(format!("outage.{name}.rate"), "1/s", rate);
        findings.put(format!("outage.{name}.dropped"), "", dropped as f64);
        findings.put(format!("outage.{name}.longest_gap"), "ms", gap_ms);
    }
    findings.put("outage.length", "s", outage.as_secs_f64());
    drop(counter);
    world.renter.end(&session).await?;
    let audit = world.audit(&bearer).await?;
    findings.put("outage.unpaid", "ms", audit.totals.unpaid_ms as f64);
    world.stop().await;
    Ok(())
}
