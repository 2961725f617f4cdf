//! What was paid on the chain, as the ledger's accounts have it beside what was used.

use axum::http::Method;
use model_chain::{RentalSubject as _, Wallet};
use serde_json::{Value, json};
use session::rental::{Planck, RentId};

use super::branches::CHARGED;
use crate::PLENTY;
use crate::common::{OPERATOR, ask, until};
use crate::player::join;
use crate::tenant::{World, wish};

async fn accounts(world: &World) -> Vec<Value> {
    let all = ask(Method::GET, "/api/v1/lease/accounts").bearer(OPERATOR).of(&world.node).await;
    assert_eq!(all.status, 200, "{}", all.text());
    all.json().as_array().unwrap().clone()
}

/// Waits until so much is paid for an order, and so many blocks of it are unproven.
pub(super) async fn paid(world: &World, order: RentId, amount: u128, unproven: u32) -> Value {
    account(world, order, |it| is_paid(it, amount, unproven)).await
}

/// The same, and until the order is over.
async fn paid_and_over(world: &World, order: RentId, amount: u128, unproven: u32) {
    account(world, order, |it| is_paid(it, amount, unproven) && it["over"] == true).await;
}

fn is_paid(account: &Value, amount: u128, unproven: u32) -> bool {
    account["paid_planck"] == amount.to_string() && account["unproven_blocks"] == unproven
}

async fn account(world: &World, order: RentId, is_so: impl Fn(&Value) -> bool) -> Value {
    until("the account of an order", async || {
        let all = accounts(world).await;
        all.into_iter().find(|it| it["order"] == order.to_string()).filter(&is_so)
    })
    .await
}

/// The keys of entries of a kind.
async fn entries(world: &World, kind: &str) -> Vec<String> {
    let all = ask(Method::GET, "/api/v1/lease/entries").bearer(OPERATOR).of(&world.node).await;
    let all = all.json();
    let of_kind = all.as_array().unwrap().iter().filter(|it| it["kind"] == kind);
    of_kind.map(|it| it["key"].as_str().unwrap().to_owned()).collect()
}

async fn relet(world: &World, order: RentId, blocks: u32) -> u128 {
    let renter = world.chain(Wallet::Renter);
    renter.relet(order, blocks, PLENTY).await.unwrap().event.fee.0
}

async fn confirm(world: &World, order: RentId) -> u128 {
    world.chain(Wallet::Renter).confirm(order, PLENTY).await.unwrap().event.fee.0
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_say_what_was_paid_used_and_is_left_to_the_planck() {
    let world = World::new(&CHARGED).await;
    let order = world.rent(1, 300).await;
    assert_eq!(accounts(&world).await, [] as [Value; 0], "nothing is paid for what waits");
    let mut sum = confirm(&world, order).await;
    paid(&world, order, sum, 0).await;
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    let mut client = join(&world.node, &session).await;
    let (_, from, _) = client.frame().await;
    while client.frame().await.1.wrapping_sub(from) <= 9_000 {}
    // The price rises between two of the same length.
    sum += relet(&world, order, 100).await;
    world.model.set_dbc_price(Some(1_000));
    sum += relet(&world, order, 100).await;
    let before = paid(&world, order, sum, 0).await;
    assert_eq!(before["over"], false);
    assert_eq!(entries(&world, "paid").await.len(), 3);
    // A node that is begun anew reads them again, and writes none twice.
    let world = world.again().await;
    world.model.advance(1);
    sum += relet(&world, order, 101).await;
    paid(&world, order, sum, 0).await;
    let keys = entries(&world, "paid").await;
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| key.starts_with(&format!("paid/{order}/"))), "{keys:?}");

    let closed = until("closed receipts", async || {
        let all = world.receipts(OPERATOR).await;
        all.iter().all(|it| it["closed"].is_string()).then_some(all)
    })
    .await;
    let charged = |it: &Value| it["charged_planck"].as_str().unwrap().parse::<Planck>().unwrap().0;
    let used: u128 = closed.iter().map(charged).sum();
    assert!(used > 0 && used < sum);
    world.model.advance(700);
    let over = until("the end", async || {
        let all = accounts(&world).await;
        (all[0]["over"] == true).then(|| all[0].clone())
    })
    .await;
    let told = json!({
        "order": order.to_string(), "paid_planck": sum.to_string(), "used_planck": used.to_string(),
        "left_planck": (sum - used).to_string(), "unproven_blocks": 0, "over": true,
    });
    assert_eq!(over, told);
    let table = ask(Method::GET, "/api/v1/lease/accounts?format=csv").bearer(OPERATOR);
    let table = table.of(&world.node).await;
    let row = format!("\r\n{order},{sum},{used},{},0,true\r\n", sum - used);
    assert!(table.text().ends_with(&row), "{}", table.text());
    ask(Method::GET, "/api/v1/lease/accounts").of(&world.node).await.problem(401, "unauthorized");
    let world = world.again().await;
    assert_eq!(accounts(&world).await, [told], "and after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_branch_takes_back_was_never_paid() {
    let world = World::new(&CHARGED).await;
    let order = world.rent(1, 300).await;
    world.model.hold_finality(true);
    world.confirm(order).await;
    relet(&world, order, 100).await;
    world.model.reorganise(2);
    let taken = async || {
        let order = world.order(order).await?;
        (order["confirmed"] == false).then_some(())
    };
    until("the branch", taken).await;
    assert_eq!(accounts(&world).await, [] as [Value; 0], "no final block has it");
    world.model.set_dbc_price(Some(1_000));
    let sum = confirm(&world, order).await + relet(&world, order, 250).await;
    world.model.hold_finality(false);
    paid(&world, order, sum, 0).await;
    assert_eq!(entries(&world, "paid").await.len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_fails_goes_on_where_it_stopped() {
    let world = World::new(&CHARGED).await;
    let order = world.rent(1, 300).await;
    // All of it becomes final at once, so that there is one look.
    world.model.hold_finality(true);
    let sum = confirm(&world, order).await;
    world.model.advance(200);
    world.model.fail_before(Some(100));
    let (read, _) = world.model.looked();
    world.model.hold_finality(false);
    for failures in 1..6 {
        until("the next failure", async || (world.model.looked().1 >= failures).then_some(()))
            .await;
        world.model.advance(1);
    }
    world.model.fail_before(None);
    world.model.advance(1);
    paid(&world, order, sum, 0).await;
    let (all, failed) = world.model.looked();
    let read = all - read;
    // Each block once, and up to a page again where it failed.
    assert!((200..=201 + failed * 16).contains(&read), "{read} blocks were read, {failed} in vain");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_over_when_the_node_is_back_has_an_account() {
    let world = World::new(&CHARGED).await;
    let waits = world.rent(1, 300).await;
    // No final block has these before the node goes down.
    world.model.hold_finality(true);
    let (newest, lapses) = (world.rent(1, 300).await, world.rent(1, 300).await);
    let mut fees = Vec::new();
    let world = world
        .again_after(async |model| {
            model.hold_finality(false);
            model.advance(140);
            for order in [waits, newest] {
                let confirmed = model.of(Wallet::Renter).confirm(order, PLENTY).await.unwrap();
                fees.push(confirmed.event.fee.0);
            }
            model.advance(200);
        })
        .await;
    for (order, fee) in [waits, newest].into_iter().zip(fees) {
        paid_and_over(&world, order, fee, 0).await;
    }
    // The nodes have forgotten the block that this one is paid in.
    let late = world.rent(1, 300).await;
    let world = world
        .again_after(async |model| {
            model.of(Wallet::Renter).confirm(late, PLENTY).await.unwrap();
            model.advance(600);
        })
        .await;
    paid_and_over(&world, late, 0, 300).await;
    let orders: Vec<_> = accounts(&world).await.iter().map(|it| it["order"].clone()).collect();
    assert_eq!(
        orders,
        [waits, newest, late].map(|it| json!(it.to_string())),
        "{lapses} is in none"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_made_and_over_while_the_node_was_away_has_an_account() {
    let world = World::new(&CHARGED).await;
    let seen = world.rent(1, 300).await;
    let fee = confirm(&world, seen).await;
    paid(&world, seen, fee, 0).await;
    let (machine, mut made) = (world.machine, Vec::new());
    let world = world
        .again_after(async |model| {
            let renter = model.of(Wallet::Renter);
            // Of the first the nodes have forgotten what it cost, and the second lapses.
            for (waits, confirms, lasts) in [(0, true, 300), (0, false, 300), (140, true, 200)] {
                let rented = renter.rent(&machine, 1, 300, PLENTY).await.unwrap();
                let order = rented.event.rent_id;
                model.advance(waits);
                let mut fee = 0;
                if confirms {
                    fee = renter.confirm(order, PLENTY).await.unwrap().event.fee.0;
                }
                model.advance(lasts);
                made.push((order, fee));
            }
        })
        .await;
    let [(forgotten, _), _, (last, fee_of_last)] = made[..] else { panic!("three orders") };
    paid_and_over(&world, last, fee_of_last, 0).await;
    paid_and_over(&world, forgotten, 0, 300).await;
    let numbers = async |world: &World| -> Vec<_> {
        accounts(world).await.iter().map(|it| it["order"].clone()).collect()
    };
    let all = [seen, forgotten, last].map(|it| json!(it.to_string()));
    assert_eq!(numbers(&world).await, all, "and none that was never paid");
    // And after a restart, once.
    let world = world.again().await;
    let next = world.rent(1, 300).await;
    let fee = confirm(&world, next).await;
    paid(&world, next, fee, 0).await;
    assert_eq!(entries(&world, "paid").await.len(), 3);
    assert_eq!(numbers(&world).await[..3], all);
    // What was over before a node was there at all is none of its.
    let new = World::on(world.model.clone(), &CHARGED).await;
    paid(&new, next, fee, 0).await;
    assert_eq!(numbers(&new).await, [json!(next.to_string())]);
    new.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_whose_payments_are_forgotten_are_not_searched_while_others_wait() {
    let world = World::new(&CHARGED).await;
    let seen = world.rent(1, 300).await;
    let fee = confirm(&world, seen).await;
    paid(&world, seen, fee, 0).await;
    let (machine, mut made, mut before) = (world.machine, Vec::new(), 0);
    let world = world
        .again_after(async |model| {
            let renter = model.of(Wallet::Renter);
            for (waits, lasts) in [(0, 300), (0, 300), (0, 300), (140, 200)] {
                let rented = renter.rent(&machine, 1, 300, PLENTY).await.unwrap();
                model.advance(waits);
                let order = rented.event.rent_id;
                let confirmed = renter.confirm(order, PLENTY).await.unwrap();
                model.advance(lasts);
                let blocks = rented.block.after(300).since(confirmed.block) + 1;
                made.push((order, confirmed.event.fee.0, blocks));
            }
            before = model.looked().0;
        })
        .await;
    let (last, fee, blocks) = made.pop().unwrap();
    paid(&world, last, fee, 0).await;
    for (forgotten, _, _) in made {
        paid(&world, forgotten, 0, 300).await;
    }
    // From the end of the last to its confirmation, and none for the others.
    assert_eq!(world.model.looked().0 - before, blocks);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_that_cannot_be_read_keep_no_other_order_from_its_account() {
    let world = World::new(&CHARGED).await;
    let lives = world.rent(1, 1_200).await;
    let mut sum = confirm(&world, lives).await;
    paid(&world, lives, sum, 0).await;
    let machine = world.machine;
    let (mut missed, mut asked) = (None, 0);
    let world = world
        .again_after(async |model| {
            let renter = model.of(Wallet::Renter);
            let order = renter.rent(&machine, 1, 300, PLENTY).await.unwrap().event.rent_id;
            model.advance(140);
            let confirmed = renter.confirm(order, PLENTY).await.unwrap();
            model.advance(200);
            missed = Some((order, confirmed.event.fee.0));
            asked = model.histories();
            model.fail_histories(true);
        })
        .await;
    until("a failure", async || (world.model.histories() > asked).then_some(())).await;
    for _ in 0..3 {
        sum += relet(&world, lives, 100).await;
        paid(&world, lives, sum, 0).await;
    }
    assert_eq!(accounts(&world).await.len(), 1, "nobody knows of the other one");
    // No block comes any more.
    world.model.fail_histories(false);
    let (order, fee) = missed.unwrap();
    paid_and_over(&world, order, fee, 0).await;
    paid(&world, lives, sum, 0).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_node_remembers_is_unproven_and_what_is_paid_later_is_not() {
    let world = World::new(&CHARGED).await;
    let order = world.rent(1, 1_200).await;
    // The confirmation is final once its state is gone.
    world.model.hold_finality(true);
    world.confirm(order).await;
    world.model.advance(300);
    world.model.hold_finality(false);
    paid(&world, order, 0, 1_200).await;
    let fee = relet(&world, order, 100).await;
    paid(&world, order, fee, 1_200).await;
    let world = world.again().await;
    paid(&world, order, fee, 1_200).await;
    // The last prolonging and the end, both while nobody looked: the chain yet says that there was one.
    world.model.hold_finality(true);
    relet(&world, order, 300).await;
    world.model.advance(1_400);
    world.model.hold_finality(false);
    let over = paid(&world, order, fee, 1_500).await;
    assert_eq!((&over["over"], &over["left_planck"]), (&json!(true), &json!(fee.to_string())));
}
