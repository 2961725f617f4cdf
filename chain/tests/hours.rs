//! The hours that a machine's owner keeps, on the development chain over its socket.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::sync::Arc;

use common::{PLENTY, Subject, outbox, pair};
use model_chain::{RentalSubject as _, Wallet};
use serde_json::{Value, json};
use session::rental::schedule::{BLOCK_MS, Hours, Table};
use session::rental::{At, CallError, Futile, RentalChain as _, Schedule};

const HOUR_MS: u64 = 3_600_000;
const TWO_HOURS: u32 = 1_200;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_out_of_hours_is_not_signed_and_one_within_them_lives_no_longer_than_they_allow() {
    let subject = Subject::start(&[]).await;
    let (machine, alice) = (subject.machine(), pair("//Alice"));
    let folder = tempfile::tempdir().unwrap();
    let book = outbox(&folder, "own");
    let renter = subject.chain.wallet(Arc::new(alice), book.clone()).await.unwrap();
    let account = subject.account(Wallet::Renter);
    let head = async || renter.limits(At::Best).await.unwrap().head;
    // Orders can begin within an hour that is not the next one, so that it is not reached by itself, and that has room behind.
    let of_day = head().await.time.0 % (24 * HOUR_MS);
    let hour = if of_day / HOUR_MS < 19 { of_day / HOUR_MS + 2 } else { 26 };
    let from = (hour % 24) as u8;
    let mut table = Table::default();
    table.week.iter_mut().for_each(|day| day.push(Hours { from, to: from + 2 }));
    assert!(subject.keep_hours(&Schedule::Hours(table)).await);

    let nonce = || -> Value {
        let address = keys::ss58::encode(&account, 42);
        subject.dev.ask("system_accountNextIndex", &json!([address]))
    };
    let refused = async || {
        let before = (nonce(), renter.balance(At::Best, &account).await.unwrap());
        let refused = renter.rent(&machine, 1, TWO_HOURS, PLENTY).await;
        let Err(CallError::Futile(Futile::Closed(closed))) = refused else { panic!("{refused:?}") };
        assert_eq!(closed.hours, [Hours { from, to: from + 2 }], "{closed}");
        assert_eq!((nonce(), renter.balance(At::Best, &account).await.unwrap()), before);
    };
    refused().await;
    assert_eq!(book.outgoing().await.unwrap(), [], "nothing was signed");

    // Half a minute before no order can begin any more: five blocks, of which the next is the first.
    let now = head().await.time.0;
    let last = now - now % (24 * HOUR_MS) + (hour + 1) * HOUR_MS;
    subject.advance(((last - 30_000 - now) / BLOCK_MS) as u32).await;
    let before = head().await;
    let blocks = (last - 1 - before.time.0) / BLOCK_MS;
    assert!((1..=5).contains(&blocks), "{before:?}");
    let rented = renter.rent(&machine, 1, TWO_HOURS, PLENTY).await.unwrap();
    assert_eq!(rented.event.blocks, TWO_HOURS);
    let signed = book.outgoing().await.unwrap();
    assert_eq!(signed.len(), 1);
    assert_eq!(signed[0].dies, before.number.after(blocks as u32 + 1), "the block after them");

    // The order lapses; what begins by then is out of hours again.
    subject.advance(150).await;
    assert_eq!(renter.order(At::Best, rented.event.rent_id).await.unwrap().value, None);
    refused().await;
    assert_eq!(book.outgoing().await.unwrap().len(), 1);
}
