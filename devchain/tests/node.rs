//! The node around the runtime: panics, branches, finality, the pool, and accounts that several hold.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod support;

use nearlight_devchain::{Action, Refusal, Seal, Status};
use runtime::types::DBC;
use runtime::{Runtime, RuntimeCall, RuntimeEvent, genesis};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};
use sp_runtime::{AccountId32, MultiAddress};
use support::{Chain, confirm, id, rent};
use tokio::sync::mpsc::Receiver;

fn give(to: &AccountId32, value: u128) -> RuntimeCall {
    let dest = MultiAddress::Id(to.clone());
    pallet_balances::Call::transfer_keep_alive { dest, value }.into()
}

fn to_ferdie() -> RuntimeCall {
    give(&genesis::account("//Ferdie"), DBC)
}

fn told(statuses: &mut Receiver<Status>) -> Vec<Status> {
    std::iter::from_fn(|| statuses.try_recv().ok()).collect()
}

#[test]
fn a_panic_rejects_one_transaction_and_nothing_else() {
    let chain = Chain::open(None, 411, Seal::Manual);
    let panic = runtime::pallets::development::Call::<Runtime>::panic {};
    let before = chain.money("//Bob");
    let panics = chain.sign("//Bob", panic, None);
    let mut of_panic = chain.node.submit_and_watch(panics.clone()).unwrap();
    let good = chain.sign("//Alice", to_ferdie(), None);
    let mut of_good = chain.node.submit_and_watch(good.clone()).unwrap();
    let (_, hash) = chain.node.new_blocks(1).unwrap();
    assert_eq!(told(&mut of_panic), [Status::Ready, Status::Invalid]);
    let expected = [Status::Ready, Status::InBlock(hash), Status::Finalized(hash)];
    assert_eq!(told(&mut of_good), expected);
    let body = chain.node.body();
    assert!(body.contains(&good) && !body.contains(&panics));
    assert_eq!(chain.money("//Bob"), before, "not even its fee");
    chain.node.new_blocks(3).unwrap();
    chain.rent("//Bob", 1, 300).unwrap();
}

#[test]
fn storage_that_no_block_can_be_made_on_is_refused_and_the_chain_goes_on() {
    let chain = Chain::new();
    let [before, _] = chain.node.heads();
    // Of pallet-timestamp: the last block's time, the greatest there is.
    let key = pallet_timestamp::Now::<Runtime>::hashed_key().to_vec();
    let end = vec![(key, Some(vec![0xff; 8]))];
    assert!(chain.node.act(Action::SetStorage(end)).is_err());
    assert_eq!(chain.node.heads()[0], before);
    chain.rent("//Bob", 1, 300).unwrap();
}

#[test]
fn a_branch_takes_the_place_of_blocks_that_are_not_final() {
    let chain = Chain::new();
    chain.node.hold_finality(true).unwrap();
    let [_, finalized] = chain.node.heads();
    let bytes = chain.sign("//Bob", rent(1, 300), None);
    let mut statuses = chain.node.submit_and_watch(bytes).unwrap();
    let [rented, still] = chain.node.heads();
    assert_eq!(still, finalized);
    assert!(chain.order(0).is_some());
    chain.node.new_blocks(2).unwrap();
    let [old, _] = chain.node.heads();
    let new = chain.node.reorganise(3).unwrap();
    assert_eq!(new.0, old.0 + 1);
    assert_eq!(chain.order(0), None, "its block is gone");
    let expected =
        [Status::Ready, Status::InBlock(rented.1), Status::Retracted(rented.1), Status::Dropped];
    assert_eq!(told(&mut statuses), expected);
    assert!(chain.node.reorganise(chain.number() - finalized.0 + 1).is_err(), "final blocks stay");
    chain.node.hold_finality(false).unwrap();
    let [best, finalized] = chain.node.heads();
    assert_eq!((best, finalized), (new, new));
    // As many cards are free as before.
    chain.rent("//Bob", 4, 300).unwrap();
}

#[test]
fn a_transaction_is_final_when_its_block_is() {
    let chain = Chain::new();
    chain.node.hold_finality(true).unwrap();
    let bytes = chain.sign("//Bob", to_ferdie(), None);
    let mut statuses = chain.node.submit_and_watch(bytes).unwrap();
    let [(_, hash), _] = chain.node.heads();
    assert_eq!(told(&mut statuses), [Status::Ready, Status::InBlock(hash)]);
    // Longer than states are kept.
    chain.node.new_blocks(300).unwrap();
    chain.node.hold_finality(false).unwrap();
    assert_eq!(told(&mut statuses), [Status::Finalized(hash)]);
}

#[test]
fn a_stalled_chain_makes_no_block_and_its_transactions_wait() {
    let chain = Chain::new();
    chain.node.stall(true);
    let [best, _] = chain.node.heads();
    let bytes = chain.sign("//Bob", to_ferdie(), None);
    let mut statuses = chain.node.submit_and_watch(bytes).unwrap();
    assert_eq!((chain.node.heads()[0], told(&mut statuses)), (best, vec![Status::Ready]));
    chain.node.stall(false);
    let [(number, hash), _] = chain.node.heads();
    assert_eq!(number, best.0 + 1);
    assert_eq!(told(&mut statuses), [Status::InBlock(hash), Status::Finalized(hash)]);
}

#[test]
fn transactions_wait_for_those_before_them() {
    let chain = Chain::new();
    let of = |nonce| chain.sign("//Bob", to_ferdie(), Some(nonce));
    let [best, _] = chain.node.heads();
    let mut second = chain.node.submit_and_watch(of(1)).unwrap();
    assert_eq!(told(&mut second), [Status::Future]);
    assert_eq!(chain.node.heads()[0], best, "no block for what cannot be in it");
    let before = chain.money("//Ferdie").0;
    chain.node.submit(of(0)).unwrap();
    let [(_, hash), _] = chain.node.heads();
    assert_eq!(chain.money("//Ferdie").0 - before, 2 * DBC, "both are in one block");
    assert_eq!(told(&mut second), [Status::InBlock(hash), Status::Finalized(hash)]);
    let stale = chain.node.submit(of(0));
    let expected = TransactionValidityError::Invalid(InvalidTransaction::Stale);
    assert!(matches!(stale, Err(Refusal::Invalid(error)) if error == expected), "{stale:?}");
}

#[test]
fn what_the_pool_does_not_take_it_says_why() {
    let chain = Chain::open(None, 411, Seal::Manual);
    let first = chain.sign("//Bob", to_ferdie(), None);
    let mut usurped = chain.node.submit_and_watch(first.clone()).unwrap();
    assert!(matches!(chain.node.submit(first.clone()), Err(Refusal::Known)));
    // A call that is lighter for its length has the higher priority.
    let same_nonce = chain.sign("//Bob", rent(1, 300), Some(0));
    let by = chain.node.submit(same_nonce).unwrap();
    assert_eq!(told(&mut usurped), [Status::Ready, Status::Usurped(by)]);
    assert!(matches!(chain.node.submit(first.clone()), Err(Refusal::Priority { .. })));
    assert!(matches!(chain.node.submit(vec![1, 2, 3]), Err(Refusal::Form(_))));
    assert!(matches!(chain.node.submit([first, vec![0]].concat()), Err(Refusal::Form(_))));
    let mut forged = chain.sign("//Dave", to_ferdie(), None);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let refused = chain.node.submit(forged);
    let bad = TransactionValidityError::Invalid(InvalidTransaction::BadProof);
    assert!(matches!(refused, Err(Refusal::Invalid(error)) if error == bad), "{refused:?}");
    let nobody = chain.sign("//Nobody", to_ferdie(), None);
    let poor = TransactionValidityError::Invalid(InvalidTransaction::Payment);
    let refused = chain.node.submit(nobody);
    assert!(matches!(refused, Err(Refusal::Invalid(error)) if error == poor), "{refused:?}");
}

#[test]
fn a_multisig_account_rents_and_its_outer_call_succeeds_whatever_the_inner_does() {
    let chain = Chain::new();
    let mut signers = ["//Bob", "//Dave", "//Eve"].map(genesis::account);
    signers.sort();
    let account = pallet_multisig::Pallet::<Runtime>::multi_account_id(&signers, 2);
    chain.send("//Alice", give(&account, 1_000 * DBC)).unwrap();
    let both = |call: RuntimeCall| {
        let mut timepoint = None;
        let mut result = None;
        for who in ["//Bob", "//Dave"] {
            let others = signers.iter().filter(|other| **other != genesis::account(who));
            let multi = pallet_multisig::Call::as_multi {
                threshold: 2,
                other_signatories: others.cloned().collect(),
                maybe_timepoint: timepoint,
                call: Box::new(call.clone()),
                max_weight: enough(),
            };
            let events = chain.send(who, multi).unwrap();
            timepoint = Some(pallet_multisig::Timepoint { height: chain.number(), index: 1 });
            result = events.into_iter().find_map(|event| match event {
                RuntimeEvent::Multisig(pallet_multisig::Event::MultisigExecuted {
                    result, ..
                }) => Some(result),
                _ => None,
            });
        }
        result.unwrap()
    };
    assert!(both(rent(9, 300).into()).is_err());
    both(rent(1, 300).into()).unwrap();
    assert_eq!(chain.order(0).unwrap().renter, account);
    both(confirm(0).into()).unwrap();
    assert!(chain.machine().renters.contains(&account));
}

fn enough() -> frame_support::weights::Weight {
    frame_support::weights::Weight::from_parts(1_000_000_000, 1_000_000)
}

#[test]
fn a_proxy_rents_for_another_and_may_be_kept_from_the_money() {
    let chain = Chain::new();
    let (bob, dave) = (genesis::account("//Bob"), genesis::account("//Dave"));
    let add = pallet_proxy::Call::add_proxy {
        delegate: MultiAddress::Id(dave),
        proxy_type: runtime::ProxyType::NonTransfer,
        delay: 0,
    };
    chain.send("//Bob", add).unwrap();
    let act = |call: RuntimeCall| {
        let call = pallet_proxy::Call::proxy {
            real: MultiAddress::Id(bob.clone()),
            force_proxy_type: None,
            call: Box::new(call),
        };
        let events = chain.send("//Dave", call).unwrap();
        events.into_iter().find_map(|event| match event {
            RuntimeEvent::Proxy(pallet_proxy::Event::ProxyExecuted { result }) => Some(result),
            _ => None,
        })
    };
    assert_eq!(act(rent(1, 300).into()), Some(Ok(())));
    assert_eq!(chain.order(0).unwrap().renter, bob);
    assert!(act(to_ferdie()).unwrap().is_err());
    assert_eq!(id(), chain.order(0).unwrap().machine_id);
}
