//! What a ledger takes, refuses and tells.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use common::{Chain, RENT, TARIFF, machine};
use nearlight_ledger::{
    Batch, Entry, EntryError, Export, Keys, Ledger, LedgerError, Line, Op, Options, Outgoing,
    OutgoingState, Receipt, Side, entries_csv, entries_json, receipts_csv, verify,
};
use proptest::prelude::*;
use session::access::{TicketId, TicketRecord};
use session::receipts::{Finding, PlayerKey, acknowledgement, hash};
use session::rental::{AccountId, BlockNumber, Planck, RentId, UnixMillis};

struct Bench {
    _folder: tempfile::TempDir,
    ledger: Ledger,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger.db"), Options::default()).unwrap();
    Bench { _folder: folder, ledger }
}

fn transfer(key: &str, amount: u128) -> Entry {
    Entry::transfer(key, "test", UnixMillis(5), "a", "b", Planck(amount)).unwrap()
}

#[tokio::test]
async fn a_session_is_written_acknowledged_exported_and_verified() {
    let Bench { ledger, .. } = bench();
    let player = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    let key = PlayerKey::Ed25519(player.verifying_key().to_bytes());
    let mut chain = Chain::new("s");
    ledger.commit(Op::Receipt(chain.open(Some(key)))).await.unwrap();
    for _ in 0..3 {
        ledger.commit(Op::Receipt(chain.slice().0)).await.unwrap();
    }
    ledger.commit(Op::Receipt(chain.close())).await.unwrap();
    let records = ledger.receipts(chain.id, 0, 100).await.unwrap();
    for sequence in 1..=2 {
        use ed25519_dalek::Signer as _;
        let record = &records[sequence as usize];
        let text = acknowledgement(&chain.id, sequence, &hash(&record.bytes));
        let signature = player.sign(&text).to_bytes();
        assert!(Keys::acknowledges(&key, &chain.id, sequence, record, &signature));
        assert!(!Keys::acknowledges(&key, &chain.id, sequence + 1, record, &signature));
        ledger.commit(Op::Acknowledge(chain.id, sequence, signature)).await.unwrap();
    }
    let records = ledger.receipts(chain.id, 0, 100).await.unwrap();
    let audit = verify(&machine().machine(), &records);
    assert_eq!(audit.findings, [Finding::Unacknowledged(3)]);
    assert_eq!(audit.totals.charge, TARIFF.charge(24_000));

    let json = serde_json::to_string_pretty(&Export::of(&records)).unwrap();
    let read: Export = serde_json::from_str(&json).unwrap();
    assert_eq!(read.records().unwrap(), records);
    assert!(json.contains(&format!("\"charge_planck\": \"{}\"", audit.totals.charge)));
    let mut csv = Vec::new();
    receipts_csv(&mut csv, &records).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(
        lines[3]
            .starts_with("77,3,16000,8000,0,900,480,442368000,10000000,60000,20000,30000,40000,")
    );
    assert!(lines[3].ends_with(",false") && lines[2].ends_with(",true"));
    let chains = ledger.chains(None, 10).await.unwrap();
    assert_eq!((chains.len(), chains[0].last, chains[0].is_closed), (1, 4, true));
}

#[tokio::test]
async fn receipts_follow_each_other_or_are_refused() {
    let Bench { ledger, .. } = bench();
    let mut chain = Chain::new("s");
    let open = chain.open(None);
    let (one, _) = chain.slice();
    let (two, _) = chain.slice();
    let put = async |receipt: &Receipt| ledger.commit(Op::Receipt(receipt.clone())).await;
    assert!(matches!(put(&one).await, Err(LedgerError::Receipt(_))), "before the first");
    put(&open).await.unwrap();
    assert!(matches!(put(&two).await, Err(LedgerError::Receipt(_))), "a gap");
    put(&one).await.unwrap();
    put(&one).await.unwrap();
    let mut fork = Chain::new("s");
    fork.open(None);
    fork.totals.wall_ms = 1;
    let (fork, _) = fork.slice();
    assert!(matches!(put(&fork).await, Err(LedgerError::Receipt(_))), "another of that number");
    put(&two).await.unwrap();
    put(&chain.close()).await.unwrap();
    let after = chain.slice().0;
    assert_eq!(put(&after).await, Err(LedgerError::Receipt("its chain is closed")));
    let nonsense = Receipt { bytes: vec![1, 2, 3], signature: [0; 64] };
    assert!(matches!(put(&nonsense).await, Err(LedgerError::Receipt(_))));
    assert_eq!(ledger.receipts(chain.id, 0, 100).await.unwrap().len(), 4);
    assert_eq!(RENT, RentId(77));
}

#[tokio::test]
async fn a_batch_is_written_whole_or_not_at_all_and_takes_nothing_of_others() {
    let Bench { ledger, .. } = bench();
    ledger.commit(Op::Post(transfer("first", 5))).await.unwrap();
    let bad = Batch::new([Op::Post(transfer("second", 7)), Op::Post(transfer("first", 6))]);
    // Both wait for one transaction, or come in two: it makes no difference.
    let (good, bad) =
        tokio::join!(ledger.commit(Op::Post(transfer("third", 1))), ledger.commit(bad));
    assert_eq!(good, Ok(()));
    assert_eq!(bad, Err(EntryError::Conflict("first".to_owned()).into()));
    let account = ledger.balance("b".to_owned()).await.unwrap().unwrap();
    assert_eq!(account.balance(), (Side::Debit, Planck(6)));
    let numbers: Vec<_> =
        ledger.entries(0, 10).await.unwrap().iter().map(|stored| stored.number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test]
async fn an_entry_is_settled_once_however_often_it_comes() {
    let Bench { ledger, .. } = bench();
    for _ in 0..3 {
        ledger.commit(Op::Post(transfer("once", 9))).await.unwrap();
    }
    let account = ledger.balance("a".to_owned()).await.unwrap().unwrap();
    assert_eq!(account.balance(), (Side::Credit, Planck(9)));
    let mut csv = Vec::new();
    entries_csv(&mut csv, &ledger.entries(0, 10).await.unwrap()).unwrap();
    let lines = "1,once,test,5,b,9,\r\n1,once,test,5,a,,9\r\n";
    assert!(String::from_utf8(csv).unwrap().ends_with(lines));
    let json = entries_json(&ledger.entries(0, 10).await.unwrap());
    assert_eq!(
        (&json[0]["lines"][1]["planck"], &json[0]["lines"][1]["side"]),
        (&"9".into(), &"credit".into())
    );
}

#[tokio::test]
async fn accounts_go_far_beyond_what_sql_sums_and_end_at_128_bits() {
    let Bench { ledger, .. } = bench();
    let most = u128::MAX - 1;
    ledger.commit(Op::Post(transfer("most", most))).await.unwrap();
    ledger.commit(Op::Post(transfer("one", 1))).await.unwrap();
    let over = ledger.commit(Op::Post(transfer("over", 1))).await;
    assert_eq!(over, Err(EntryError::Overflow.into()));
    let account = ledger.balance("b".to_owned()).await.unwrap().unwrap();
    assert_eq!(account.debits, Planck(u128::MAX));
    assert_eq!(ledger.balances().await.unwrap().len(), 2);
}

#[tokio::test]
async fn uses_go_up_and_revocations_stay() {
    let Bench { ledger, .. } = bench();
    let ticket =
        TicketRecord { id: TicketId([1; 16]), rent_id: RentId(5), uses: 2, revoked: false };
    let put = async |ticket: TicketRecord| ledger.commit(Op::Ticket(ticket)).await;
    put(ticket).await.unwrap();
    assert!(matches!(put(ticket).await, Err(LedgerError::Use(_))), "each use is another one");
    assert!(matches!(put(TicketRecord { uses: 1, ..ticket }).await, Err(LedgerError::Use(_))));
    let other = TicketRecord { rent_id: RentId(6), uses: 3, ..ticket };
    assert!(matches!(put(other).await, Err(LedgerError::Use(_))));
    let revoked = TicketRecord { revoked: true, ..ticket };
    put(revoked).await.unwrap();
    let again = TicketRecord { uses: 9, ..ticket };
    assert!(matches!(put(again).await, Err(LedgerError::Use(_))));
    assert_eq!(ledger.tickets().await.unwrap(), [revoked]);
}

#[tokio::test]
async fn calls_to_the_chain_go_forward_and_share_no_nonce() {
    let Bench { ledger, .. } = bench();
    let call = |id: u8, nonce| Outgoing {
        id: [id; 32],
        account: AccountId([1; 32]),
        nonce,
        born: BlockNumber(10),
        dies: BlockNumber(74),
        purpose: "rent".to_owned(),
        bytes: vec![id; 150],
        state: OutgoingState::Signed,
    };
    let sign = async |call: Outgoing| ledger.commit(Op::Sign(call)).await;
    let advance = async |id: u8, state| ledger.commit(Op::Advance([id; 32], state)).await;
    sign(call(1, 7)).await.unwrap();
    sign(call(1, 7)).await.unwrap();
    let refused = |result| matches!(result, Err(LedgerError::Outgoing(_)));
    assert!(refused(sign(Outgoing { bytes: vec![9], ..call(1, 7) }).await), "other bytes");
    assert!(refused(sign(call(2, 7)).await), "the nonce is taken");
    sign(call(2, 8)).await.unwrap();
    assert!(refused(advance(3, OutgoingState::Sent).await), "unknown");
    advance(1, OutgoingState::Sent).await.unwrap();
    sign(call(1, 7)).await.unwrap();
    advance(1, OutgoingState::Dropped).await.unwrap();
    assert!(refused(advance(1, OutgoingState::Included).await), "it was dropped");
    sign(call(3, 7)).await.unwrap();
    sign(call(4, 9)).await.unwrap();
    advance(4, OutgoingState::Unproven).await.unwrap();
    assert!(refused(advance(4, OutgoingState::Included).await), "nobody can tell any more");
    let states: Vec<_> =
        ledger.outgoing().await.unwrap().iter().map(|call| (call.id[0], call.state)).collect();
    let expected = [
        (1, OutgoingState::Dropped),
        (3, OutgoingState::Signed),
        (2, OutgoingState::Signed),
        (4, OutgoingState::Unproven),
    ];
    assert_eq!(states, expected);
}

#[test]
fn what_waits_is_written_before_the_file_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open(&path, Options::default()).unwrap();
    let mut answers = Vec::new();
    for number in 0..100 {
        let op = Op::Post(transfer(&format!("entry-{number}"), 1));
        answers.push(ledger.try_commit(op).unwrap());
    }
    drop(ledger);
    assert!(answers.into_iter().all(|answer| answer.blocking_recv() == Ok(Ok(()))));
    let ledger = Ledger::open(&path, Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(ledger.entries(0, 1_000)).unwrap().len(), 100);
}

#[test]
fn the_queue_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { queue: 2, group: 1, ..Options::default() };
    let ledger = Ledger::open(&folder.path().join("ledger.db"), options).unwrap();
    let mut entries = (0..).map(|number| Op::Post(transfer(&format!("entry-{number}"), 1)));
    let refused = entries.by_ref().take(10_000).find_map(|op| ledger.try_commit(op).err());
    assert_eq!(refused, Some(LedgerError::Busy));
    ledger.commit_blocking(entries.next().unwrap()).unwrap();
}

fn line(side: bool, account: u8, amount: u128) -> Line {
    let side = if side { Side::Debit } else { Side::Credit };
    Line { account: format!("account-{}", account % 4), side, amount: Planck(amount) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_posted_debits_are_credits(
        entries in proptest::collection::vec(
            (0..12_u8, proptest::collection::vec((any::<bool>(), any::<u8>(), any::<u128>()), 0..6)), 1..12,
        ),
    ) {
        let Bench { ledger, .. } = bench();
        let mut sums = std::collections::BTreeMap::<String, (Planck, Planck)>::new();
        let mut keys = std::collections::BTreeMap::<u8, Entry>::new();
        for (key, lines) in entries {
            let mut lines: Vec<_> = lines.into_iter().map(|(side, account, amount)| line(side, account, amount >> (account % 120))).collect();
            // A last line balances it, where that can be.
            let sum = |side| lines.iter().filter(|line| line.side == side).try_fold(0_u128, |sum, line| sum.checked_add(line.amount.0));
            if let (Some(debits), Some(credits)) = (sum(Side::Debit), sum(Side::Credit)) && debits != credits {
                lines.push(line(credits > debits, 3, debits.abs_diff(credits)));
            }
            let Ok(entry) = Entry::new(&format!("key-{key}"), "test", UnixMillis(1), lines) else { continue };
            let fits = entry.lines().iter().try_fold(sums.clone(), |mut sums, line| {
                let (debits, credits) = sums.entry(line.account.clone()).or_default();
                let side = if line.side == Side::Debit { debits } else { credits };
                *side = side.checked_add(line.amount)?;
                Some(sums)
            });
            let result = ledger.commit_blocking(Op::Post(entry.clone()));
            match (keys.get(&key), fits) {
                (Some(there), _) if *there == entry => prop_assert_eq!(result, Ok(())),
                (Some(_), _) => prop_assert_eq!(result, Err(EntryError::Conflict(format!("key-{key}")).into())),
                (None, None) => prop_assert_eq!(result, Err(EntryError::Overflow.into())),
                (None, Some(after)) => {
                    prop_assert_eq!(result, Ok(()));
                    sums = after;
                    keys.insert(key, entry);
                }
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let balances = runtime.block_on(ledger.balances()).unwrap();
        let there: Vec<_> = balances.iter().map(|it| (it.account.clone(), (it.debits, it.credits))).collect();
        prop_assert_eq!(there, sums.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn entries_that_do_not_balance_are_none(amounts in proptest::collection::vec((any::<bool>(), 0..5_u128), 0..6)) {
        let lines: Vec<_> = amounts.iter().map(|(side, amount)| line(*side, 0, *amount)).collect();
        let sum = |wanted| amounts.iter().filter(|(side, _)| *side == wanted).map(|(_, amount)| amount).sum::<u128>();
        let entry = Entry::new("key", "test", UnixMillis(1), lines);
        let is_sound = amounts.len() >= 2 && amounts.iter().all(|(_, amount)| *amount > 0);
        match entry {
            Ok(_) => prop_assert!(is_sound && sum(true) == sum(false)),
            Err(EntryError::Malformed) => prop_assert!(!is_sound),
            Err(error) => prop_assert!(error == EntryError::Unbalanced && sum(true) != sum(false)),
        }
    }
}

#[tokio::test]
async fn states_are_found_by_how_their_names_begin() {
    let Bench { ledger, .. } = bench();
    for (name, value) in [("paid/10", "ten"), ("paid/9", "nine"), ("paid", "no"), ("paid0", "no")] {
        ledger.commit(Op::State(name.to_owned(), value.into())).await.unwrap();
    }
    ledger.commit(Op::State("paid/9".to_owned(), "9".into())).await.unwrap();
    let found = ledger.states("paid/".to_owned()).await.unwrap();
    let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
    assert_eq!(found, [("paid/10", &b"ten"[..]), ("paid/9", b"9")]);
    assert_eq!(ledger.states("%".to_owned()).await.unwrap(), []);
}
