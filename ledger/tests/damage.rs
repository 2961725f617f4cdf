//! A file whose bytes were changed, that another process has, or that is something else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::Chain;
use nearlight_ledger::{Ledger, LedgerError, Op, Options, Outgoing, OutgoingState};
use rusqlite::Connection;
use session::access::{TicketId, TicketRecord};
use session::lease::TrialUse;
use session::rental::{AccountId, BlockNumber, RentId};
use testkit::Rng;

fn open(path: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open(path, Options::default())
}

/// A file with something in every table.
fn filled(path: &Path) {
    let ledger = open(path).unwrap();
    for session in ["a", "b"] {
        let mut chain = Chain::new(session);
        (0..20).for_each(|_| ledger.commit_blocking(chain.batch()).unwrap());
    }
    for id in 0..5 {
        let rent_id = RentId(77);
        let ticket = TicketRecord { id: TicketId([id; 16]), rent_id, uses: 3, revoked: id == 2 };
        ledger.commit_blocking(Op::Ticket(ticket)).unwrap();
        let used = std::time::Duration::from_secs(20);
        let renter = AccountId([id; 32]);
        let trial = TrialUse { rent_id: RentId(id.into()), renter, day: 3, used };
        ledger.commit_blocking(Op::Trial(trial)).unwrap();
        let call = Outgoing {
            id: [id; 32],
            account: renter,
            nonce: 1,
            born: BlockNumber(5),
            dies: BlockNumber(69),
            purpose: "rent".to_owned(),
            bytes: vec![id; 180],
            state: OutgoingState::Signed,
        };
        ledger.commit_blocking(Op::Sign(call)).unwrap();
        ledger.commit_blocking(Op::State(format!("state-{id}"), vec![id; 300])).unwrap();
    }
}

/// All that a ledger says.
fn dump(ledger: &Ledger) -> Result<String, LedgerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut all = String::new();
        for session in ["a", "b"] {
            let chain = Chain::new(session).id;
            all += &format!("{:?}\n", ledger.receipts(chain, 0, 1_000).await?);
        }
        all += &format!("{:?}\n", ledger.chains(None, 1_000).await?);
        all += &format!("{:?}\n", ledger.tickets().await?);
        all += &format!("{:?}\n", ledger.trials().await?);
        all += &format!("{:?}\n", ledger.outgoing().await?);
        all += &format!("{:?}\n", ledger.entries(0, 1_000).await?);
        all += &format!("{:?}\n", ledger.balances().await?);
        for id in 0..5 {
            all += &format!("{:?}\n", ledger.state(format!("state-{id}")).await?);
        }
        Ok(all)
    })
}

#[test]
fn a_changed_byte_is_an_error_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    filled(&path);
    let good = fs::read(&path).unwrap();
    let said = dump(&open(&path).unwrap()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), good, "looking changes nothing");
    let mut rng = Rng::new(1);
    // All of the file's head, and places throughout.
    let places = (0..100).chain((0..400).map(|_| rng.below(good.len() as u64) as usize));
    let (mut refused, mut same) = (0, 0);
    for place in places.collect::<Vec<_>>() {
        let mut bytes = good.clone();
        bytes[place] ^= 1 << (place % 8);
        let path = folder.path().join("damaged.db");
        for name in ["damaged.db", "damaged.db-wal", "damaged.db-shm"] {
            let _ = fs::remove_file(folder.path().join(name));
        }
        fs::write(&path, &bytes).unwrap();
        match open(&path).and_then(|ledger| dump(&ledger)) {
            Ok(now) => {
                assert_eq!(now, said, "byte {place} changed what the ledger says");
                same += 1;
            }
            Err(_) => refused += 1,
        }
    }
    // Most of a page is content; the rest is room that nobody reads.
    assert!(refused > 200 && same > 10, "{refused} refused, {same} the same");
}

#[test]
fn a_file_that_was_cut_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    filled(&path);
    let good = fs::read(&path).unwrap();
    for length in [100, 4_096, good.len() / 2, good.len() - 4_096, good.len() - 1] {
        fs::write(&path, &good[..length]).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, LedgerError::Damaged(_)), "{length}: {error}");
    }
}

#[test]
fn a_row_that_was_written_by_another_hand_is_damaged() {
    for statement in [
        "UPDATE tickets SET uses = 0",
        "UPDATE tickets SET revoked = 0",
        "DELETE FROM tickets WHERE uses = 3",
        "DELETE FROM trials",
        "UPDATE trials SET used_ms = 1",
        "UPDATE outbox SET nonce = 2",
        "DELETE FROM outbox",
        "UPDATE accounts SET debits = credits",
        "DELETE FROM accounts",
        "DELETE FROM entries WHERE number = 3",
        "DELETE FROM entries WHERE number = (SELECT max(number) FROM entries)",
        "UPDATE entries SET time = 1 WHERE number = 1",
        "DELETE FROM receipts WHERE sequence = 19",
        "DELETE FROM receipts WHERE sequence = 3",
        "UPDATE receipts SET acknowledged = signature",
        "UPDATE states SET value = x'00'",
        "DELETE FROM states",
        "UPDATE counts SET rows = rows - 1",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        filled(&path);
        Connection::open(&path).unwrap().execute(statement, []).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, LedgerError::Damaged(_)), "{statement}: {error}");
    }
}

#[test]
fn a_file_is_one_process_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let first = open(&path).unwrap();
    first.commit_blocking(Op::State("x".to_owned(), vec![1])).unwrap();
    assert_eq!(open(&path).unwrap_err(), LedgerError::Locked);
    drop(first);
    assert!(open(&path).is_ok());
}

#[test]
fn other_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(open(&path).unwrap_err(), LedgerError::Foreign);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    fs::write(&path, b"not a database at all, but long enough to be read as one").unwrap();
    assert!(matches!(open(&path).unwrap_err(), LedgerError::Damaged(_)));
    let missing = folder.path().join("no").join("such").join("folder");
    assert!(matches!(open(&missing).unwrap_err(), LedgerError::Unopened { .. }));
    // Of a later version.
    let path = folder.path().join("ledger.db");
    drop(open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(open(&path).unwrap_err(), LedgerError::TooNew { found: 99, .. }));
}

#[test]
fn a_file_is_its_owners_alone_and_one_that_was_not_becomes_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let log = folder.path().join("ledger.db-wal");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let ledger = open(&path).unwrap();
    ledger.commit_blocking(Chain::new("a").batch()).unwrap();
    assert_eq!([mode(&path), mode(&log)], [0o600; 2]);
    drop(ledger);
    // As an earlier version left it, with a log that a crash left.
    fs::write(&log, []).unwrap();
    for path in [&path, &log] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let ledger = open(&path).unwrap();
    ledger.commit_blocking(Chain::new("b").batch()).unwrap();
    assert_eq!([mode(&path), mode(&log)], [0o600; 2]);
    // What is no ledger is left as it is.
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(open(&other).unwrap_err(), LedgerError::Foreign);
    assert_eq!(mode(&other), 0o644);
}

#[test]
fn of_many_receipts_the_ends_and_what_is_open_are_looked_at_when_a_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let few = |path: &Path| Ledger::open(path, Options { whole: 10, ..Options::default() });
    let ledger = open(&path).unwrap();
    let mut closed = Chain::new("closed");
    (0..20).for_each(|_| ledger.commit_blocking(closed.batch()).unwrap());
    ledger.commit_blocking(Op::Receipt(closed.close())).unwrap();
    let mut running = Chain::new("open");
    (0..20).for_each(|_| ledger.commit_blocking(running.batch()).unwrap());
    drop(ledger);
    let change = |chain: &Chain, sequence: u32, sql: &str| {
        let copy = folder.path().join("changed.db");
        fs::copy(&path, &copy).unwrap();
        let connection = Connection::open(&copy).unwrap();
        let changed = connection.execute(
            &format!("{sql} WHERE chain = ?1 AND sequence = ?2"),
            rusqlite::params![chain.id.0, sequence],
        );
        assert_eq!(changed.unwrap(), 1);
        drop(connection);
        copy
    };
    let other = "UPDATE receipts SET signature = zeroblob(64)";
    drop(few(&path).unwrap());
    for (chain, sequence) in [(&closed, 0), (&closed, closed.next - 1), (&running, 7)] {
        let damaged = few(&change(chain, sequence, other));
        assert!(matches!(damaged, Err(LedgerError::Damaged(_))), "{sequence}: {damaged:?}");
    }
    // Between the ends of what is closed: when it is read, or when all is looked at.
    let copy = change(&closed, 7, other);
    assert!(matches!(open(&copy), Err(LedgerError::Damaged(_))));
    let ledger = few(&copy).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let read = |chain: &Chain| runtime.block_on(ledger.receipts(chain.id, 0, 100));
    assert!(matches!(read(&closed), Err(LedgerError::Damaged(_))));
    assert_eq!(read(&running).unwrap().len(), running.next as usize);
    drop(ledger);
    // One that is gone from the end of a chain is missed.
    let copy = change(&running, running.next - 1, "DELETE FROM receipts");
    assert!(matches!(few(&copy), Err(LedgerError::Damaged(_))));
}
