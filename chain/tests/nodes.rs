//! Nodes that die, lie, lag and stand still, and chains that change while they are read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{PLENTY, Subject, options, outbox, pair, prefix, until, url};
use futures::StreamExt as _;
use model_chain::{Devchain, Line, RentalSubject as _, Wallet};
use nearlight_chain::{Chain, WalletError};
use serde_json::json;
use session::rental::{
    At, BlockHash, BlockNumber, CallError, ChainError, Futile, HeadEvent, MachineId, MachineStatus,
    Made, Planck, RentalChain as _,
};

/// Sets a value of the chain's storage, as governance or an upgrade does.
fn set(dev: &Devchain, pallet: &str, entry: &str, value: &str) {
    dev.ask("dev_setStorage", &json!([[[prefix(pallet, entry), value]]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_chain_is_refused_by_name_and_the_next_is_taken() {
    let right = Devchain::start(&["--shape", "411"]);
    let other = Devchain::start(&["--shape", "400"]);
    assert_ne!(right.genesis, other.genesis);
    let wrong = Chain::connect(options(&right, &[&other.url])).await.unwrap_err();
    let (expected, found) = (BlockHash(right.genesis), BlockHash(other.genesis));
    assert_eq!(wrong, ChainError::WrongGenesis { expected, found });
    let both = options(&right, &[&other.url, &right.url]);
    let chain = Chain::connect(both).await.unwrap();
    assert_eq!(chain.identity().genesis, expected);
    assert_eq!(chain.identity().spec_version, 411);
    let nobody = Chain::connect(options(&right, &["ws://127.0.0.1:1"])).await;
    assert!(matches!(nobody, Err(ChainError::Unreachable(_))), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_everybody_knows_sign_on_a_chain_of_development_only() {
    let dev = Devchain::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = options(&dev, &[&dev.url]);
    elsewhere.development = Some(BlockHash([7; 32]));
    for development in [None, elsewhere.development] {
        elsewhere.development = development;
        let chain = Chain::connect(elsewhere.clone()).await.unwrap();
        let refused = chain.wallet(Arc::new(pair("//Alice")), outbox(&folder, "a")).await;
        assert_eq!(refused.unwrap_err(), WalletError::Development("//Alice"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_is_lost_until_it_comes_back() {
    let dev = Devchain::start(&[]);
    let line = Line::to(dev.address()).unwrap();
    let chain = Chain::connect(options(&dev, &[url(&line)])).await.unwrap();
    let reader = chain.reader();
    let mut heads = reader.heads();
    let before = reader.limits(At::Best).await.unwrap().head;
    line.cut();
    while !matches!(heads.next().await.unwrap(), HeadEvent::Lost(_)) {}
    let refused = reader.limits(At::Best).await;
    assert!(matches!(refused, Err(ChainError::Unreachable(_))), "{refused:?}");
    dev.blocks(3);
    line.mend();
    let HeadEvent::Best(head) = heads.next().await.unwrap() else { panic!("the newest head") };
    assert_eq!(head.number, before.number.after(3));
    assert_eq!(reader.limits(At::Finalized).await.unwrap().head, head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_answer_is_left_for_the_next() {
    let dev = Devchain::start(&[]);
    let line = Line::to(dev.address()).unwrap();
    let mut both = options(&dev, &[&url(&line), &dev.url]);
    // How long a silent node is waited for; the other one has as long again.
    both.patience = Duration::from_secs(10);
    let chain = Chain::connect(both).await.unwrap();
    let reader = chain.reader();
    let mut heads = reader.heads();
    let before = reader.limits(At::Best).await.unwrap().head;
    line.mute(true);
    dev.blocks(1);
    let after = reader.limits(At::Best).await.unwrap().head;
    assert_eq!(after.number, before.number.after(1));
    loop {
        match heads.next().await.unwrap() {
            HeadEvent::Best(head) if head == after => break,
            HeadEvent::Lost(why) => panic!("a node answered: {why}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_is_not_believed() {
    let (ahead, behind) = (Devchain::start(&[]), Devchain::start(&[]));
    assert_eq!(ahead.genesis, behind.genesis, "one chain");
    ahead.blocks(10);
    let line = Line::to(ahead.address()).unwrap();
    let both = options(&ahead, &[&url(&line), &behind.url]);
    let chain = Chain::connect(both).await.unwrap();
    let mut heads = chain.reader().heads();
    line.cut();
    let why = loop {
        if let HeadEvent::Lost(why) = heads.next().await.unwrap() {
            break why;
        }
    };
    assert!(why.contains("was seen"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_stuck_is_left_for_one_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let start = |data: &Path| Devchain::start(&["--data", data.to_str().unwrap()]);
    // Two nodes that have the first block in common.
    drop(start(&one));
    std::fs::create_dir(&two).unwrap();
    for file in std::fs::read_dir(&one).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), two.join(file.file_name())).unwrap();
    }
    let (stuck, alive) = (start(&one), start(&two));
    let mut both = options(&stuck, &[&stuck.url, &alive.url]);
    // Longer than one that goes on takes from the newest block to the finalised one, on any machine.
    both.stale = Duration::from_secs(2);
    let chain = Chain::connect(both).await.unwrap();
    let mut heads = chain.reader().heads();
    alive.blocks(5);
    loop {
        match heads.next().await.unwrap() {
            // Block 1 is there at the start.
            HeadEvent::Finalized(head) if head.number.0 == 6 => break,
            HeadEvent::Lost(why) => panic!("both answer: {why}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_is_upgraded_is_read_by_its_new_metadata() {
    let dev = Devchain::start(&["--shape", "400"]);
    let chain = Chain::connect(options(&dev, &[&dev.url])).await.unwrap();
    let reader = chain.reader();
    let machine = MachineId::of_public_key(&dev.machine);
    let extra = async || {
        let inputs = reader.price_inputs(At::Best, &machine).await.unwrap();
        inputs.value.unwrap().extra_price
    };
    assert_eq!(extra().await, 0);
    assert!(!reader.identity().defaults.is_empty());
    set(&dev, "Development", "SpecVersion", "0x9b010000");
    until(async || reader.identity().spec_version == 411).await;
    assert_eq!(reader.identity().defaults, Vec::<&str>::new());
    let folder = tempfile::tempdir().unwrap();
    let owner = chain.wallet(Arc::new(pair("//Alice")), outbox(&folder, "o")).await.unwrap();
    owner.rent(&machine, 1, 300, PLENTY).await.unwrap();
    assert_eq!(extra().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_governance_sets_is_read_without_a_restart() {
    let dev = Devchain::start(&[]);
    let chain = Chain::connect(options(&dev, &[&dev.url])).await.unwrap();
    let reader = chain.reader();
    let before = reader.limits(At::Best).await.unwrap().value;
    set(&dev, "OnlineProfile", "RentFeeDestroyPercent", "0x00a3e111");
    set(&dev, "RentMachine", "MaximumRentalDuration", "0x1e000000");
    let fee = u128::to_le_bytes(Planck::dbc(11).0).map(|byte| format!("{byte:02x}")).concat();
    set(&dev, "GenericFunc", "FixedTxFee", &format!("0x{fee}"));
    let after = reader.limits(At::Best).await.unwrap().value;
    assert_eq!((after.burn.0, after.longest), (300_000_000, 30 * 14_400));
    assert_eq!(after.fixed_fee, Planck::dbc(11));
    assert!(before.burn != after.burn && before.longest != after.longest);
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_of_many_renters_are_read_to_the_last_but_for_unknown_ones() {
    let subject = Subject::start(&[]).await;
    let (renter, machine) = (subject.of(Wallet::Renter), subject.machine());
    let order = renter.rent(&machine, 1, 300, PLENTY).await.unwrap().event.rent_id;
    renter.confirm(order, PLENTY).await.unwrap();
    let histories = prefix("RentMachine", "MachineRenterRentedOrders");
    let keys = subject.dev.ask("state_getKeysPaged", &json!([histories, 2]));
    assert_eq!(keys.as_array().unwrap().len(), 1);
    // It ends in the renter's account, behind its hash.
    let own = keys[0].as_str().unwrap();
    let of_machine = &own[..own.len() - 2 * (16 + 32)];
    // Each had an order of his number from block 5 to block 305.
    let others = 1..=200_u64;
    let history = |n: u64| {
        let number: String = n.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        (format!("{of_machine}{n:032x}{n:064x}"), format!("0x04{number}0500000031010000"))
    };
    // And one before them of a form that is not known.
    let unknown = (history(0).0, "0x04".to_owned());
    let pairs: Vec<_> = [unknown].into_iter().chain(others.clone().map(history)).collect();
    subject.dev.ask("dev_setStorage", &json!([pairs]));
    let made = async |since: u32| {
        let seen = renter.confirmed_since(&machine, BlockNumber(since)).await.unwrap();
        let number = |it: &Made| (it.rent_id.0, u64::from(it.renter.0[31]), it.start.0);
        seen.value.iter().filter(|it| it.rent_id != order).map(number).collect::<Vec<_>>()
    };
    assert_eq!(made(5).await, others.map(|n| (n, n, 5)).collect::<Vec<_>>());
    assert_eq!(made(6).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_forced_out_is_gone() {
    let subject = Subject::start(&[]).await;
    let renter = subject.of(Wallet::Renter);
    let machine = subject.machine();
    renter.rent(&machine, 1, 300, PLENTY).await.unwrap();
    subject.dev.ask("dev_machineExit", &json!([machine.to_string()]));
    let seen = renter.machine(At::Best, &machine).await.unwrap().value;
    let is_gone = |status| status == MachineStatus::Exit;
    assert!(seen.is_none_or(|machine| is_gone(machine.status)));
    let refused = renter.rent(&machine, 1, 300, PLENTY).await;
    let why = Futile::NoMachine(machine);
    assert_eq!(refused, Err(CallError::Futile(why)));
}
