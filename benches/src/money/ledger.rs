//! Sessions that write slices, each waiting for its own.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use ledger::{Ledger, Op, Options};

use super::figures::Findings;
use super::receipts::Chain;
use super::{Args, folder};

/// Writes that the disk alone is measured by.
const PLAIN: usize = 200;

pub(crate) fn run(args: &Args, findings: &mut Findings) -> Result<()> {
    let folder = folder(args)?;
    findings.spread("ledger.disk", "ms", disk(&folder.path().join("plain"))?);
    let ledger = Ledger::open(&folder.path().join("ledger.db"), Options::default())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let began = Instant::now();
    let until = began + Duration::from_secs(args.seconds);
    let took = runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..args.sessions {
            let ledger = ledger.clone();
            writers.spawn(async move { write(&ledger, number, until).await });
        }
        let mut took = Vec::new();
        while let Some(each) = writers.join_next().await {
            took.extend(each??);
        }
        anyhow::Ok(took)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    drop(ledger);
    let opening = Instant::now();
    let whole = Options { whole: u64::MAX, ..Options::default() };
    drop(Ledger::open(&folder.path().join("ledger.db"), whole)?);
    findings.put("ledger.looked_at", "1/s", took.len() as f64 / opening.elapsed().as_secs_f64());
    findings.put("ledger.slices", "1/s", took.len() as f64 / seconds);
    findings.spread("ledger.durable", "ms", took);
    Ok(())
}

/// One session: signs a slice, and waits until it and its entry are on the disk. Milliseconds of each wait.
async fn write(ledger: &Ledger, number: u32, until: Instant) -> Result<Vec<f64>> {
    let mut chain = Chain::new(&format!("session-{number}"))?;
    ledger.commit(Op::Receipt(chain.open(None))).await?;
    let mut took = Vec::new();
    while Instant::now() < until {
        let batch = chain.batch()?;
        let asked = Instant::now();
        ledger.commit(batch).await?;
        took.push(asked.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(took)
}

/// What an append of one page and its synchronisation take without a database.
fn disk(path: &std::path::Path) -> Result<Vec<f64>> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut took = Vec::with_capacity(PLAIN);
    for _ in 0..PLAIN {
        let asked = Instant::now();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        took.push(asked.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(took)
}
