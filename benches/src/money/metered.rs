//! What is metered of a session that is played for minutes, against the player's own clock: its connection breaks now and
//! then, and comes back a little later.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Args;
use super::figures::Findings;
use super::world::{Counter, World};

/// Times that it is played, with breaks between.
const PARTS: u32 = 5;
/// Length of a break; a session is kept for its player longer than that.
const BREAK: Duration = Duration::from_secs(3);

pub(crate) fn run(args: &Args, findings: &mut Findings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(args, findings))
}

async fn play(args: &Args, findings: &mut Findings) -> Result<()> {
    let world = World::start(args, "6s").await?;
    let part = Duration::from_secs(args.minutes() * 60) / PARTS;
    let bearer = world.renter.bearer(world.order).await?;
    let session = world.session(&bearer).await?;
    let (mut wall, mut frames) = (Duration::ZERO, 0);
    for number in 0..PARTS {
        if number > 0 {
            tokio::time::sleep(BREAK).await;
        }
        let mut counter = Counter::new(world.renter.play(&session).await?);
        counter.first().await?;
        let began = Instant::now();
        frames += counter.run(part).await?.frames;
        drop(counter);
        wall += began.elapsed();
    }
    world.renter.end(&session).await?;
    let totals = world.audit(&bearer).await?.totals;
    let (wall_ms, metered_ms) = (wall.as_secs_f64() * 1_000.0, totals.wall_ms as f64);
    findings.put("metered.wall", "ms", wall_ms);
    findings.put("metered.metered", "ms", metered_ms);
    findings.put("metered.apart", "%", 100.0 * (metered_ms - wall_ms).abs() / wall_ms);
    findings.put("metered.frames.played", "", frames as f64);
    findings.put("metered.frames.metered", "", totals.frames as f64);
    world.stop().await;
    Ok(())
}
