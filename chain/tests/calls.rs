//! Calls whose branch is replaced, whose process ends, whose nonce or era is gone, and whose price rises.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Meddling, PLENTY, Subject, options, outbox, pair, prefix, until, url};
use keys::CommandSigner;
use ledger::{Ledger, Op, Outgoing, OutgoingState};
use model_chain::{Devchain, Line, RentalSubject as _, Wallet};
use nearlight_chain::{Chain, Resumed};
use serde_json::json;
use session::rental::{
    At, BlockNumber, CallError, MachineId, OrderStatus, Planck, PriceError, RentId,
    RentalChain as _,
};
use tokio::task::JoinHandle;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_branch_is_replaced_is_sent_again_and_done_once() {
    let subject = Subject::start(&[]).await;
    let renter = subject.of(Wallet::Renter);
    let before = renter.limits(At::Best).await.unwrap().head;
    let number = async |at| renter.limits(at).await.unwrap().head.number;
    subject.dev.hold_finality(true);
    let (caller, machine) = (Arc::clone(&renter), subject.machine());
    let call = tokio::spawn(async move { caller.rent(&machine, 1, 300, PLENTY).await });
    until(async || number(At::Best).await > before.number).await;
    subject.dev.reorganise(1);
    // The branch is one longer, and the same bytes make one block more.
    until(async || number(At::Best).await >= before.number.after(3)).await;
    assert_eq!(number(At::Finalized).await, before.number);
    assert!(!call.is_finished(), "nothing is final");
    subject.dev.hold_finality(false);
    let rented = call.await.unwrap().unwrap();
    assert_eq!(rented.block, before.number.after(3));
    let orders = renter.orders_of_renter(At::Finalized, &subject.account(Wallet::Renter)).await;
    assert_eq!(orders.unwrap().value.len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_a_chain_that_stands_still() {
    let subject = Subject::start(&[]).await;
    let renter = subject.of(Wallet::Renter);
    subject.dev.stall(true);
    let (caller, machine) = (Arc::clone(&renter), subject.machine());
    let call = tokio::spawn(async move { caller.rent(&machine, 1, 300, PLENTY).await });
    let pending = || subject.dev.ask("author_pendingExtrinsics", &json!([]));
    until(async || pending().as_array().is_some_and(|calls| calls.len() == 1)).await;
    assert!(!call.is_finished());
    subject.dev.stall(false);
    subject.advance(1).await;
    assert!(call.await.unwrap().is_ok());
}

/// A chain by a line that is cut as soon as a call is signed, so that it is written down and not sent.
struct Cut {
    dev: Devchain,
    line: Arc<Line>,
    folder: tempfile::TempDir,
    chain: Chain,
}

impl Cut {
    async fn start() -> Self {
        let dev = Devchain::start(&[]);
        let line = Arc::new(Line::to(dev.address()).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let chain = Chain::connect(options(&dev, &[url(&line)])).await.unwrap();
        Self { dev, line, folder, chain }
    }

    /// Ends the process that called, and yields what it had written down, once its file is free.
    async fn ended(
        self,
        call: JoinHandle<Result<u64, CallError>>,
    ) -> (Devchain, Ledger, tempfile::TempDir) {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        drop(self.chain);
        let path = self.folder.path().join("outbox");
        let mut left = None;
        until(async || {
            left = Ledger::open(&path, ledger::Options::default()).ok();
            left.is_some()
        })
        .await;
        (self.dev, left.unwrap(), self.folder)
    }

    async fn direct(&self) -> Chain {
        Chain::connect(options(&self.dev, &[&self.dev.url])).await.unwrap()
    }

    async fn rent(&self) -> JoinHandle<Result<u64, CallError>> {
        let machine = MachineId::of_public_key(&self.dev.machine);
        let rent = |wallet: nearlight_chain::Wallet| async move {
            wallet.rent(&machine, 1, 300, PLENTY).await.map(|rented| rented.event.rent_id.0)
        };
        self.signed(rent).await
    }

    /// Calls; the call ends when the line is mended.
    async fn signed<W>(
        &self,
        call: impl FnOnce(nearlight_chain::Wallet) -> W,
    ) -> JoinHandle<Result<u64, CallError>>
    where
        W: Future<Output = Result<u64, CallError>> + Send + 'static,
    {
        let line = Arc::clone(&self.line);
        let signer = Meddling { pair: pair("//Alice"), then: move || line.cut() };
        let outbox = outbox(&self.folder, "outbox");
        let wallet = self.chain.wallet(Arc::new(signer), outbox.clone()).await.unwrap();
        let call = tokio::spawn(call(wallet));
        until(async || !outbox.outgoing().await.unwrap().is_empty()).await;
        assert_eq!(outbox.outgoing().await.unwrap()[0].state, OutgoingState::Signed);
        call
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_signed_and_not_sent_is_sent_by_the_next_process() {
    let cut = Cut::start().await;
    let call = cut.rent().await;
    let (dev, left, _folder) = cut.ended(call).await;
    let chain = Chain::connect(options(&dev, &[&dev.url])).await.unwrap();
    let signed = left.outgoing().await.unwrap();
    assert_eq!((signed.len(), signed[0].state), (1, OutgoingState::Signed));
    let wallet = chain.wallet(Arc::new(pair("//Alice")), left.clone()).await.unwrap();
    let resumed = wallet.resumed().await;
    let [Resumed { purpose, outcome: Ok(block) }] = &resumed[..] else { panic!("{resumed:?}") };
    assert_eq!(*purpose, format!("rent/{}/1/300", MachineId::of_public_key(&dev.machine)));
    let orders = wallet.orders_of_renter(At::Finalized, &pair("//Alice").account()).await;
    let orders = orders.unwrap().value;
    assert_eq!((orders.len(), orders[0].start), (1, *block));
    assert_eq!(orders[0].status, OrderStatus::Waiting);
    assert!(wallet.resumed().await.is_empty(), "once");
    assert_ne!(
        left.outgoing().await.unwrap()[0].state,
        OutgoingState::Included,
        "nobody told of it"
    );
    wallet.told().await.unwrap();
    let kept = left.outgoing().await.unwrap();
    assert_eq!((kept[0].state, &kept[0].bytes), (OutgoingState::Included, &signed[0].bytes));
}

/// Where a process that calls is ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Signed,
    InThePool,
    Included,
    /// It has the answer, and has told nobody.
    Answered,
    Told,
}

/// Calls, ends the process there, and calls the same again in the next one.
async fn repeated(ended: Ended) {
    let dev = Devchain::start(&[]);
    let line = Arc::new(Line::to(dev.address()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (machine, alice) = (MachineId::of_public_key(&dev.machine), pair("//Alice").account());
    let chain = Chain::connect(options(&dev, &[url(&line)])).await.unwrap();
    let cut = Arc::clone(&line);
    let then = move || {
        if let Ended::Signed = ended {
            cut.cut();
        }
    };
    let book = outbox(&folder, "outbox");
    let signer = Arc::new(Meddling { pair: pair("//Alice"), then });
    let wallet = chain.wallet(signer, book.clone()).await.unwrap();
    match ended {
        Ended::InThePool => dev.stall(true),
        Ended::Included => dev.hold_finality(true),
        _ => {}
    }
    let caller = wallet.clone();
    let call = tokio::spawn(async move { caller.rent(&machine, 1, 300, PLENTY).await });
    let waits = async || !book.outgoing().await.unwrap().is_empty();
    match ended {
        Ended::Signed => until(waits).await,
        Ended::InThePool => {
            let pending = || dev.ask("author_pendingExtrinsics", &json!([]));
            until(async || pending().as_array().is_some_and(|calls| calls.len() == 1)).await;
        }
        Ended::Included => {
            let made = async || wallet.orders_of_renter(At::Best, &alice).await.unwrap().value;
            until(async || !made().await.is_empty()).await;
        }
        Ended::Answered | Ended::Told => until(async || call.is_finished()).await,
    }
    if let Ended::Told = ended {
        wallet.told().await.unwrap();
    }
    call.abort();
    let _ = call.await;
    drop((wallet, chain, book));
    let path = folder.path().join("outbox");
    let mut left = None;
    until(async || {
        left = Ledger::open(&path, ledger::Options::default()).ok();
        left.is_some()
    })
    .await;
    dev.stall(false);
    dev.hold_finality(false);
    if let Ended::InThePool = ended {
        dev.blocks(1);
    }
    let chain = Chain::connect(options(&dev, &[&dev.url])).await.unwrap();
    let signer = Arc::new(pair("//Alice"));
    let wallet = chain.wallet(signer, left.clone().unwrap()).await.unwrap();
    let nonce = || dev.ask("system_accountNextIndex", &json!([keys::ss58::encode(&alice, 42)]));
    let again = wallet.rent(&machine, 1, 300, PLENTY).await.unwrap();
    let is_told = matches!(ended, Ended::Told);
    let orders = wallet.orders_of_renter(At::Finalized, &alice).await.unwrap().value;
    assert_eq!((again.earlier, orders.len()), (!is_told, 1 + usize::from(is_told)), "{ended:?}");
    assert_eq!(nonce(), json!(orders.len()), "{ended:?}");
    assert!(orders.iter().any(|order| order.rent_id == again.event.rent_id));
    // Whoever calls once more means it.
    let more = wallet.rent(&machine, 1, 300, PLENTY).await.unwrap();
    assert!(!more.earlier && more.event.rent_id > again.event.rent_id);
    // Another call is another.
    assert!(!wallet.confirm(again.event.rent_id, PLENTY).await.unwrap().earlier);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_repeats_a_call_whose_end_nobody_told_pays_once() {
    for ended in [Ended::Signed, Ended::InThePool, Ended::Included, Ended::Answered, Ended::Told] {
        repeated(ended).await;
    }
}

/// Sends what an outbox has, as its process did before it ended.
async fn send(dev: &Devchain, left: &Ledger) {
    let bytes = left.outgoing().await.unwrap()[0].bytes.clone();
    let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    dev.ask("author_submitExtrinsic", &json!([format!("0x{bytes}")]));
}

/// A call that was included while its process was away, and 300 blocks since; nodes keep 256 states.
async fn away(confirmed: bool) -> (Vec<Resumed>, OutgoingState, CallError) {
    let cut = Cut::start().await;
    let call = cut.rent().await;
    let (dev, left, folder) = cut.ended(call).await;
    send(&dev, &left).await;
    let chain = Chain::connect(options(&dev, &[&dev.url])).await.unwrap();
    if confirmed {
        let elsewhere = outbox(&folder, "elsewhere");
        let wallet = chain.wallet(Arc::new(pair("//Alice")), elsewhere).await.unwrap();
        let renter = pair("//Alice").account();
        let order = wallet.orders_of_renter(At::Best, &renter).await.unwrap().value[0].rent_id;
        wallet.confirm(order, PLENTY).await.unwrap();
        // For longer than the others wait.
        wallet.relet(order, 300, PLENTY).await.unwrap();
    }
    dev.blocks(300);
    let wallet = chain.wallet(Arc::new(pair("//Alice")), left.clone()).await.unwrap();
    let resumed = wallet.resumed().await;
    let machine = MachineId::of_public_key(&dev.machine);
    let again = wallet.rent(&machine, 1, 300, PLENTY).await.unwrap_err();
    wallet.told().await.unwrap();
    (resumed, left.outgoing().await.unwrap()[0].state, again)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_long_away_an_order_that_is_there_shows_what_made_it() {
    let (resumed, state, again) = away(true).await;
    let [Resumed { outcome: Ok(block), .. }] = resumed[..] else { panic!("{resumed:?}") };
    let order = Some(RentId(0));
    assert_eq!(again, CallError::DoneBefore { block, order }, "it is not made anew");
    assert_eq!(state, OutgoingState::Included);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_long_away_what_nothing_shows_any_more_is_unproven() {
    let (resumed, state, again) = away(false).await;
    assert_eq!(resumed[0].outcome, Err(CallError::Unproven));
    assert_eq!(again, CallError::PerhapsDone, "it is not made anew");
    assert_eq!(state, OutgoingState::Included, "that it was in a block is known");
}

/// An order that was prolonged by 100 blocks, and the same signed again, not sent before its process ended.
async fn signed_relet() -> (Devchain, Ledger, tempfile::TempDir, RentId) {
    let cut = Cut::start().await;
    let book = outbox(&cut.folder, "elsewhere");
    let elsewhere = cut.direct().await.wallet(Arc::new(pair("//Alice")), book).await.unwrap();
    let machine = MachineId::of_public_key(&cut.dev.machine);
    let order = elsewhere.rent(&machine, 1, 1_200, PLENTY).await.unwrap().event.rent_id;
    elsewhere.confirm(order, PLENTY).await.unwrap();
    elsewhere.relet(order, 100, PLENTY).await.unwrap();
    let relet = |wallet: nearlight_chain::Wallet| async move {
        wallet.relet(order, 100, PLENTY).await.map(|relet| u64::from(relet.event.added))
    };
    let call = cut.signed(relet).await;
    let (dev, left, folder) = cut.ended(call).await;
    (dev, left, folder, order)
}

/// The next process, once nodes have forgotten the newest block; what that is told of the call, and what the same call
/// again answers.
async fn long_after(
    dev: &Devchain,
    left: Ledger,
    order: RentId,
) -> (nearlight_chain::Wallet, Result<BlockNumber, CallError>, CallError) {
    dev.blocks(300);
    let chain = Chain::connect(options(dev, &[&dev.url])).await.unwrap();
    let wallet = chain.wallet(Arc::new(pair("//Alice")), left).await.unwrap();
    let mut resumed = wallet.resumed().await;
    assert_eq!(resumed.len(), 1, "{resumed:?}");
    let again = wallet.relet(order, 100, PLENTY).await.unwrap_err();
    (wallet, resumed.remove(0).outcome, again)
}

async fn lasts(wallet: &nearlight_chain::Wallet, order: RentId) -> u32 {
    let order = wallet.order(At::Finalized, order).await.unwrap().value.unwrap();
    order.end.since(order.start)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_long_away_the_history_of_an_order_shows_what_prolonged_it() {
    let (dev, left, _folder, order) = signed_relet().await;
    send(&dev, &left).await;
    let (wallet, resumed, again) = long_after(&dev, left, order).await;
    let block = resumed.unwrap();
    assert_eq!(again, CallError::ProlongedSince { block, order });
    assert_eq!(lasts(&wallet, order).await, 1_400, "it is not made anew");
    // Whoever calls once more means it.
    wallet.relet(order, 100, PLENTY).await.unwrap();
    assert_eq!(lasts(&wallet, order).await, 1_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_long_away_a_prolonging_that_failed_in_its_block_is_not_told_as_done() {
    let (dev, left, _folder, order) = signed_relet().await;
    dev.dbc_price(None);
    send(&dev, &left).await;
    let (wallet, resumed, again) = long_after(&dev, left, order).await;
    assert_eq!((resumed, again), (Err(CallError::Unproven), CallError::PerhapsDone));
    assert_eq!(lasts(&wallet, order).await, 1_300);
    // Whoever has looked at the order and calls once more means it.
    dev.dbc_price(Some(1_000));
    wallet.relet(order, 100, PLENTY).await.unwrap();
    assert_eq!(lasts(&wallet, order).await, 1_400);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_long_away_what_another_renter_did_is_not_told_as_done() {
    let (dev, left, folder, order) = signed_relet().await;
    // The order is another renter's, as where another branch has its number.
    let of_order = prefix("RentMachine", "RentInfo");
    let key = dev.ask("state_getKeysPaged", &json!([of_order, 1]))[0].clone();
    let detail = dev.ask("state_getStorage", &json!([key]));
    let [alice, bob] = ["//Alice", "//Bob"].map(|path| keys::to_hex(&pair(path).account().0));
    let detail = detail.as_str().unwrap().replace(&alice, &bob);
    dev.ask("dev_setStorage", &json!([[[key, detail]]]));
    send(&dev, &left).await;
    let chain = Chain::connect(options(&dev, &[&dev.url])).await.unwrap();
    let other = chain.wallet(Arc::new(pair("//Bob")), outbox(&folder, "bob")).await.unwrap();
    for _ in 0..2 {
        other.relet(order, 100, PLENTY).await.unwrap();
    }
    let (_, resumed, again) = long_after(&dev, left, order).await;
    assert_eq!((resumed, again), (Err(CallError::Unproven), CallError::PerhapsDone));
    assert_eq!(lasts(&other, order).await, 1_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_have_a_nonce_each() {
    let subject = Subject::start(&[]).await;
    let renter = subject.of(Wallet::Renter);
    let machine = subject.machine();
    let rent = || renter.rent(&machine, 1, 300, PLENTY);
    let (one, two, three) = tokio::join!(rent(), rent(), rent());
    let mut ids = [one, two, three].map(|rented| rented.unwrap().event.rent_id.0);
    ids.sort_unstable();
    assert!(ids[0] < ids[1] && ids[1] < ids[2], "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_or_not_written_down_is_not_sent() {
    let dev = Devchain::start(&[]);
    let chain = Chain::connect(options(&dev, &[&dev.url])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (alice, bob) = (pair("//Alice").account(), pair("//Bob").account());
    let refuses = vec!["-c".to_owned(), "exit 3".to_owned()];
    let patience = Duration::from_secs(60);
    let signer = CommandSigner::new(alice, "sh".to_owned(), refuses, patience);
    let book = outbox(&folder, "outbox");
    let wallet = chain.wallet(Arc::new(signer), book.clone()).await.unwrap();
    let before = wallet.limits(At::Best).await.unwrap().head;
    let refused = wallet.transfer_keep_alive(&bob, Planck(1), PLENTY).await;
    assert!(matches!(refused, Err(CallError::Unsigned(_))), "{refused:?}");
    assert_eq!(book.outgoing().await.unwrap(), []);
    drop(wallet);
    // A call of another chain's in this book has the nonce: it is not for this chain.
    let foreign = Outgoing {
        id: [1; 32],
        account: alice,
        nonce: 0,
        born: BlockNumber(0),
        dies: BlockNumber(64),
        purpose: "transfer".to_owned(),
        bytes: vec![1],
        state: OutgoingState::Signed,
    };
    book.commit(Op::Sign(foreign)).await.unwrap();
    book.commit(Op::Advance([1; 32], OutgoingState::Included)).await.unwrap();
    let wallet = chain.wallet(Arc::new(pair("//Alice")), book.clone()).await.unwrap();
    let refused = wallet.transfer_keep_alive(&bob, Planck(1), PLENTY).await;
    assert!(matches!(refused, Err(CallError::Unkept(_))), "{refused:?}");
    assert_eq!(wallet.limits(At::Best).await.unwrap().head, before, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_that_another_client_took_ends_a_call_when_that_is_final() {
    let cut = Cut::start().await;
    let call = cut.rent().await;
    let other = cut.direct().await;
    let other =
        other.wallet(Arc::new(pair("//Alice")), outbox(&cut.folder, "other")).await.unwrap();
    let to = pair("//Bob").account();
    other.transfer_keep_alive(&to, Planck(1), PLENTY).await.unwrap();
    assert!(!call.is_finished());
    cut.line.mend();
    let ended = call.await.unwrap();
    assert_eq!(ended, Err(CallError::NotIncluded("another call took its nonce")));
    let orders = other.orders_of_renter(At::Finalized, &pair("//Alice").account()).await.unwrap();
    assert_eq!(orders.value, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_era_that_passed_ends_a_call_when_that_is_final() {
    let cut = Cut::start().await;
    let call = cut.rent().await;
    cut.dev.blocks(100);
    cut.line.mend();
    assert_eq!(call.await.unwrap(), Err(CallError::NotIncluded("its era passed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_rises_while_it_is_signed_is_told_and_nothing_is_confirmed() {
    let dev = Arc::new(Devchain::start(&[]));
    let chain = Chain::connect(options(&dev, &[&dev.url])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let oracle = Arc::clone(&dev);
    let dearer = move || {
        oracle.dbc_price(Some(1_000));
    };
    let signer = Meddling { pair: pair("//Alice"), then: dearer };
    let wallet = chain.wallet(Arc::new(signer), outbox(&folder, "outbox")).await.unwrap();
    let machine = MachineId::of_public_key(&dev.machine);
    let price = wallet.price_inputs(At::Best, &machine).await.unwrap().value.unwrap();
    let quote = price.quote(1, 300).unwrap();
    let limit = Planck(quote.total.0 + Planck::dbc(1).0);
    let came = wallet.rent(&machine, 1, 300, limit).await;
    let Err(CallError::CameAboveCeiling { rent_id, fee, ceiling }) = came else {
        panic!("{came:?} is above the ceiling")
    };
    assert!(fee > quote.rent && ceiling == limit);
    let order = wallet.order(At::Finalized, rent_id).await.unwrap().value.unwrap();
    assert_eq!(order.status, OrderStatus::Waiting);
    dev.dbc_price(None);
    let refused = wallet.rent(&machine, 1, 300, PLENTY).await;
    assert_eq!(refused, Err(CallError::Price(PriceError::NoOracle)));
}
