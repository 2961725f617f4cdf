//! A chain of which a branch takes away what another had.

use axum::http::Method;
use model_chain::Wallet;
use serde_json::{Value, json};
use session::rental::{Planck, RentId};

use crate::PLENTY;
use crate::common::{OPERATOR, Session, ask, until};
use crate::player::client::Client;
use crate::player::{ended, join, lives, said};
use crate::tenant::{Guest, World, wish};

/// Waits until a session is told that its order is being tried, or is not.
async fn told(client: &mut Client, trial: bool) -> Value {
    let told = async || {
        let lease = said(client, "lease").await;
        (lease["trial"].as_bool() == Some(trial)).then_some(lease)
    };
    until("the lease", told).await
}

/// The chains of receipts of a kind, once something is in each.
pub(super) async fn receipts(world: &World, trial: bool, count: usize) -> Vec<Value> {
    until("receipts", async || {
        let all = world.receipts(OPERATOR).await;
        let of: Vec<_> = all.into_iter().filter(|it| it["trial"] == trial).collect();
        let used = of.iter().all(|it| it["metered_ms"].as_u64().unwrap() > 0);
        (of.len() == count && used).then_some(of)
    })
    .await
}

pub(super) async fn guest(world: &World, order: RentId) -> String {
    let reply = world.redeem(&Guest::of(world, order, |_| {})).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["token"].as_str().unwrap().to_owned()
}

/// A session that a guest starts, who is given no address to hand on.
pub(super) async fn guests(world: &World, token: &str) -> Session {
    let made = world.start(token, &wish(None)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    Session { id: text("id"), token: text("token"), ticket: text("resume_ticket") }
}

/// A planck a millisecond, in slices of a second.
pub(super) const CHARGED: [&str; 2] = ["chain.tariff=\"3600000\"", "chain.slice=1s"];

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_opens_at_once_and_is_charged_once_it_is_final() {
    let world = World::new(&CHARGED).await;
    let order = world.rent(2, 300).await;
    world.model.hold_finality(true);
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    world.confirm(order).await;
    let lease = told(&mut client, false).await;
    assert!(lease["left_ms"].as_u64().unwrap() > 120_000, "{lease}");
    // Guests come in, and who plays goes on; nothing of it is charged.
    let other = guests(&world, &guest(&world, order).await).await;
    let mut seen = join(&world.node, &other).await;
    seen.frame().await;
    for free in receipts(&world, true, 2).await {
        assert_eq!(free["charged_planck"], "0");
    }
    assert_eq!(receipts(&world, false, 0).await.len(), 0);
    world.model.hold_finality(false);
    world.model.advance(1);
    // What both use from now on is, in chains of their own, to the planck.
    for paid in receipts(&world, false, 2).await {
        assert_eq!(paid["charged_planck"], paid["metered_ms"].to_string());
    }
    for free in receipts(&world, true, 2).await {
        assert_eq!((&free["closed"], &free["charged_planck"]), (&json!("ended"), &json!("0")));
    }
    for session in [&session, &other] {
        lives(&world.node, session).await;
    }
    // What is charged is what is known as paid after a restart without the chain, too.
    world.kept(order).await;
    let world = world.again_alone(std::time::Duration::ZERO).await;
    let session = world.start(&world.token(order).await, &wish(None)).await.session();
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    receipts(&world, false, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_a_branch_takes_back_charges_nothing() {
    let world = World::new(&CHARGED).await;
    let order = world.rent(2, 300).await;
    world.model.hold_finality(true);
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    world.confirm(order).await;
    told(&mut client, false).await;
    let token_of_guest = guest(&world, order).await;
    let other = guests(&world, &token_of_guest).await;
    let mut seen = join(&world.node, &other).await;
    seen.frame().await;
    world.model.reorganise(1);
    // The renter goes on with what is left to try; who came by a ticket may not try.
    let lease = told(&mut client, true).await;
    assert!((1..120_000).contains(&lease["left_ms"].as_u64().unwrap()), "{lease}");
    let sentence = "The chain took back that the order is confirmed.";
    assert_eq!(ended(&world.node, &other).await, sentence);
    world.start(&token_of_guest, &wish(None)).await.problem(403, "not-confirmed");
    lives(&world.node, &session).await;
    client.frame().await;

    // Confirmed on the other branch, which becomes final.
    world.confirm(order).await;
    told(&mut client, false).await;
    world.model.hold_finality(false);
    world.model.advance(1);
    receipts(&world, false, 1).await;
    world.model.advance(300);
    assert_eq!(
        ended(&world.node, &session).await,
        "The time that the machine was rented for is over."
    );
    let closed = until("closed receipts", async || {
        let all = world.receipts(OPERATOR).await;
        all.iter().all(|each| each["closed"].is_string()).then_some(all)
    })
    .await;
    let charged = |trial: bool| {
        let of = closed.iter().filter(move |it| it["trial"] == trial);
        of.map(|it| it["charged_planck"].as_str().unwrap().parse::<Planck>().unwrap().0)
            .sum::<u128>()
    };
    assert_eq!((closed.len(), charged(true)), (3, 0));
    assert!(charged(false) > 0);
    let entries = ask(Method::GET, "/api/v1/lease/entries").bearer(OPERATOR).of(&world.node).await;
    let entries = entries.json();
    let used = entries.as_array().unwrap().iter().filter(|it| it["kind"] == "usage");
    let used: Vec<_> = used.collect();
    assert_eq!(used.len(), 1, "{entries}");
    assert_eq!(used[0]["lines"][0]["planck"], charged(false).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_played_until_a_branch_takes_the_confirmation_back_counts_as_tried() {
    let world = World::new(&["chain.trial=1s", "chain.slice=1s"]).await;
    let order = world.rent(1, 300).await;
    world.model.hold_finality(true);
    let token = world.token(order).await;
    // Nothing is tried until somebody connects.
    let session = world.start(&token, &wish(None)).await.session();
    world.confirm(order).await;
    let mut client = join(&world.node, &session).await;
    let (_, from, _) = client.frame().await;
    while client.frame().await.1.wrapping_sub(from) <= 3 * 90_000 {}
    lives(&world.node, &session).await;
    world.model.reorganise(1);
    let sentence = "The order was tried as long as it may be: confirm it to go on.";
    assert_eq!(ended(&world.node, &session).await, sentence);
    let closed = until("closed receipts", async || {
        let all = world.receipts(OPERATOR).await;
        all[0]["closed"].is_string().then(|| all[0].clone())
    })
    .await;
    assert_eq!((&closed["closed"], &closed["charged_planck"]), (&json!("trial_over"), &json!("0")));
    world.start(&token, &wish(None)).await.problem(403, "trial-used");
    world.confirm(order).await;
    world.start(&token, &wish(None)).await.session();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_and_taken_back_stays_so_when_an_order_comes_back_with_its_branch() {
    let world = World::new(&[]).await;
    world.model.hold_finality(true);
    let order = world.rent(2, 300).await;
    world.confirm(order).await;
    let token = world.token(order).await;
    let used = Guest::of(&world, order, |_| {});
    let bearer = world.redeem(&used).await.json();
    let played = guests(&world, bearer["token"].as_str().unwrap()).await;
    let taken = Guest::of(&world, order, |_| {});
    let revoke = ask(Method::DELETE, &format!("/api/v1/lease/tickets/{}", taken.ticket.id));
    assert_eq!(revoke.bearer(&token).of(&world.node).await.status, 204);

    world.model.reorganise(2);
    assert_eq!(ended(&world.node, &played).await, "The order is gone from the chain.");
    world.start(&token, &wish(None)).await.problem(410, "order-vanished");
    world.redeem(&used).await.problem(410, "order-vanished");

    // The other branch takes both calls, too, so it is the same order.
    assert_eq!(world.rent(2, 300).await, order);
    world.confirm(order).await;
    world.redeem(&used).await.problem(403, "ticket-used-up");
    world.redeem(&taken).await.problem(403, "ticket-revoked");
    world.start(&token, &wish(None)).await.session();
    guest(&world, order).await;
    // And after a restart.
    let world = world.again().await;
    world.redeem(&used).await.problem(403, "ticket-used-up");
    world.redeem(&taken).await.problem(403, "ticket-revoked");
    let token = world.token(order).await;
    world.start(&token, &wish(None)).await.session();

    // A branch that gives the number to somebody else shuts this renter out, and shows him nothing.
    world.model.reorganise(2);
    until("the branch", async || world.order(order).await.is_none().then_some(())).await;
    let other = world.chain(Wallet::Other);
    let rented = other.rent(&world.machine, 1, 300, PLENTY).await.unwrap();
    assert_eq!(rented.event.rent_id, order);
    until("the order", async || world.order(order).await.map(drop)).await;
    world.start(&token, &wish(None)).await.problem(401, "rented");
    let tickets = ask(Method::GET, "/api/v1/lease/tickets").bearer(&token).of(&world.node).await;
    tickets.problem(401, "rented");
    let receipts = ask(Method::GET, "/api/v1/lease/receipts").bearer(&token).of(&world.node).await;
    receipts.problem(401, "rented");
    world.challenge(order, &world.renter).await.problem(403, "foreign-renter");
}
