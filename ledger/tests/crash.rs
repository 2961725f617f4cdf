//! Ends a writing process by SIGKILL again and again: what it said was durable is there, whole and once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Chain, TARIFF, machine};
use nearlight_ledger::{Ledger, Options, verify};
use session::receipts::Finding;
use session::rental::Planck;
use testkit::Rng;

const SESSION: &str = "crash";
const FILE: &str = "NEARLIGHT_LEDGER_FILE";

async fn records(ledger: &Ledger) -> Vec<session::receipts::Signed> {
    let (chain, mut all) = (Chain::new(SESSION).id, Vec::new());
    loop {
        let more = ledger.receipts(chain, all.len() as u32, 1_000).await.unwrap();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

/// Not a test of its own: what the other one starts and kills. Writes records and says after each that it is durable.
#[tokio::test]
async fn child() {
    let Ok(path) = std::env::var(FILE) else { return };
    let ledger = Ledger::open(Path::new(&path), Options::default()).unwrap();
    let there = records(&ledger).await;
    let mut chain = Chain::resumed(SESSION, there.iter().map(|signed| &signed.bytes[..]));
    loop {
        let number = chain.next;
        ledger.commit(chain.batch()).await.unwrap();
        println!("durable {number}");
    }
}

#[tokio::test]
async fn what_was_durable_survives_kills_at_random_points() {
    let kills = std::env::var("NEARLIGHT_KILLS").map_or(50, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut rng = Rng::new(6);
    let mut durable = None;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let number =
            |line: String| line.strip_prefix("durable ").map(|it| it.parse::<u32>().unwrap());
        let wanted = 1 + rng.below(12) as usize;
        let mut told = lines.map_while(Result::ok).filter_map(number);
        durable = told.by_ref().take(wanted).last().or(durable);
        // Anywhere within the next commits.
        std::thread::sleep(std::time::Duration::from_micros(rng.below(3_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        durable = told.last().or(durable);

        let ledger = Ledger::open(&path, Options::default()).unwrap();
        let there = records(&ledger).await;
        let last = there.len() as u32 - 1;
        assert!(Some(last) >= durable, "kill {kill}: {durable:?} was durable, {last} is the last");
        assert!(last <= durable.unwrap() + 1, "one is on its way at a time");
        let audit = verify(&machine().machine(), &there);
        assert!(audit.findings.iter().all(|finding| {
            matches!(finding, Finding::MissingTail { .. } | Finding::Unacknowledged(_))
        }));
        // Nothing was charged twice, and nothing forgotten.
        let earned = ledger.balance("earned/77".to_owned()).await.unwrap();
        let charged = earned.map_or(Planck::ZERO, |account| account.debits);
        assert_eq!(charged, TARIFF.charge(u64::from(last) * 8_000), "kill {kill}");
        let entries = ledger.entries(0, u32::MAX).await.unwrap();
        assert_eq!(entries.len() as u32, last);
    }
}
