//! A disk that is full and a file that may not grow: an error of their own, nothing half written, and going on when there is
//! room again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use common::Chain;
use nearlight_ledger::{Ledger, LedgerError, Options};

const FOLDER: &str = "NEARLIGHT_LEDGER_FOLDER";

/// Writes until it is refused; yields how many records are durable and why there are no more.
fn fill(ledger: &Ledger, chain: &mut Chain) -> (u32, LedgerError) {
    loop {
        let before = (chain.next, chain.previous, chain.totals);
        if let Err(error) = ledger.commit_blocking(chain.batch()) {
            (chain.next, chain.previous, chain.totals) = before;
            return (chain.next, error);
        }
        assert!(chain.next < 100_000, "never full");
    }
}

/// Not a test of its own: runs where there is little room, or none for a file above some size.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (path, filler) = (Path::new(&folder).join("ledger.db"), Path::new(&folder).join("filler"));
    fs::write(&filler, vec![1; 200_000]).unwrap();
    let ledger = Ledger::open(&path, Options::default()).unwrap();
    let mut chain = Chain::new("full");
    let (written, error) = fill(&ledger, &mut chain);
    let again = ledger.commit_blocking(chain.batch()).unwrap_err();
    assert_eq!(again, error, "it stays full");
    drop(ledger);
    println!("error {error:?}");
    if matches!(error, LedgerError::DiskFull) {
        fs::remove_file(&filler).unwrap();
    }
    // What was durable is there, and nothing else.
    let ledger = Ledger::open(&path, Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let there = runtime.block_on(ledger.receipts(chain.id, 0, u32::MAX)).unwrap();
    assert_eq!(there.len() as u32, written);
    let entries = runtime.block_on(ledger.entries(0, u32::MAX)).unwrap();
    assert_eq!(entries.len() as u32, written - 1);
    if matches!(error, LedgerError::DiskFull) {
        let mut chain = Chain::resumed("full", there.iter().map(|signed| &signed.bytes[..]));
        ledger.commit_blocking(chain.batch()).unwrap();
    }
    println!("whole {written}");
}

fn check(command: &mut Command, folder: &Path, expected: &str) {
    let child = std::env::current_exe().unwrap();
    let output = command
        .arg(child)
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains(expected) && said.contains("whole"), "{said}");
}

#[test]
fn a_full_disk_is_said_and_leaves_what_was_durable() {
    let folder = tempfile::tempdir().unwrap();
    // A disk of its own takes a bubblewrap that works here.
    let works = Command::new("bwrap").args(["--dev-bind", "/", "/", "true"]).status();
    if !works.as_ref().is_ok_and(ExitStatus::success) {
        let must = std::env::var_os("NEARLIGHT_HOST").is_some_and(|value| value == "1");
        assert!(!must, "NEARLIGHT_HOST is set, and bubblewrap does not work: {works:?}");
        println!("left out: bubblewrap does not work: {works:?}");
        return;
    }
    let mut bubblewrap = Command::new("bwrap");
    bubblewrap.args(["--dev-bind", "/", "/", "--size", "1000000", "--tmpfs"]).arg(folder.path());
    check(&mut bubblewrap, folder.path(), "error DiskFull");
}

#[test]
fn a_file_that_may_not_grow_is_said_and_leaves_what_was_durable() {
    let folder = tempfile::tempdir().unwrap();
    // Blocks of 512 bytes. The signal that comes with the limit is ignored, so that writing fails instead.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 800; exec \"$0\" \"$@\""]);
    check(&mut shell, folder.path(), "error Disk");
}
