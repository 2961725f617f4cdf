//! An order from renting to its end, and what it bounds.

use std::time::Duration;

use axum::http::Method;
use model_chain::Wallet;
use serde_json::json;
use session::rental::{MachineId, Planck};

use crate::PLENTY;
use crate::common::{OPERATOR, ask, until};
use crate::player::{ended, join, lives, said, state};
use crate::tenant::{World, wish};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_tried_confirmed_played_prolonged_and_ends_by_its_block() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 300).await;
    let bearer = world.bearer(order, &world.renter).await;
    assert_eq!(
        (bearer["role"].as_str(), bearer["confirmed"].as_bool()),
        (Some("renter"), Some(false))
    );
    assert_eq!(bearer["trial_ms"], 120_000);
    let token = bearer["token"].as_str().unwrap().to_owned();
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let session = world.start(&token, &wish(Some(&key))).await.session();
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    let lease = said(&mut client, "lease").await;
    assert_eq!((lease["order"].as_str(), lease["trial"].as_bool()), (Some("1"), Some(true)));
    world.start(&token, &wish(None)).await.problem(409, "cards-taken");

    let renter = world.chain(Wallet::Renter);
    renter.confirm(order, PLENTY).await.unwrap();
    let confirmed = async || (!said(&mut client, "lease").await["trial"].as_bool()?).then_some(());
    until("the lease", confirmed).await;
    let lease = world.order(order).await.unwrap();
    let over = lease["over_block"].as_u64().unwrap();
    renter.relet(order, 100, PLENTY).await.unwrap();
    until("the prolonged order", async || {
        let lease = world.order(order).await?;
        (lease["over_block"].as_u64() == Some(over + 100)).then_some(())
    })
    .await;
    // A second of the 90 kHz clock: more than anything that was queued, so that the lease has frames of its own.
    let (_, before, _) = client.frame().await;
    while client.frame().await.1.wrapping_sub(before) <= 90_000 {}
    lives(&world.node, &session).await;

    // The block before the last one, then the last one.
    let left = over + 100 - world.block().await;
    world.model.advance(u32::try_from(left).unwrap() - 1);
    let warning = said(&mut client, "warning").await;
    assert!(warning["in_ms"].as_u64().unwrap() <= 10_000, "{warning}");
    lives(&world.node, &session).await;
    world.model.advance(1);
    let sentence = "The time that the machine was rented for is over.";
    assert_eq!(said(&mut client, "ended").await["reason"], sentence);
    assert_eq!(ended(&world.node, &session).await, sentence);
    world.start(&token, &wish(None)).await.problem(410, "order-over");

    // The receipts of the trial and of the lease: whole, and the renter may read them still.
    let chains = until("closed receipts", async || {
        let chains = world.receipts(&token).await;
        let closed = chains.iter().all(|chain| chain["closed"].is_string());
        (chains.len() == 2 && closed).then_some(chains)
    })
    .await;
    assert_eq!((&chains[0]["trial"], &chains[1]["trial"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&chains[0]["closed"], &chains[0]["charged_planck"]),
        (&json!("ended"), &json!("0"))
    );
    assert_eq!(chains[1]["closed"], "lease_ended");
    let mut charged = Planck::ZERO;
    for chain in &chains {
        let file = world.export(&token, chain).await;
        let records = file.records().unwrap();
        let audit = ledger::verify(&world.machine, &records);
        assert!(audit.is_sound() && audit.close.is_some(), "{:?}", audit.findings);
        assert_eq!(audit.totals.unpaid_ms, 0);
        assert_eq!(chain["charged_planck"], audit.totals.charge.to_string());
        assert!(audit.totals.frames > 0 && audit.totals.bytes > 0, "{:?}", audit.totals);
        assert_eq!(audit.totals.pixels, audit.totals.frames * 128 * 96);
        charged = charged.checked_add(audit.totals.charge).unwrap();
        // What another machine is asked of it is not true.
        let other = ledger::verify(&MachineId::of_public_key(&[1; 32]), &records);
        assert!(!other.is_sound());
        let sequence = records.len() as u32 - 2;
        world.acknowledge(chain, &records, sequence, &key).await;
    }
    let again = world.export(&token, &chains[1]).await.records().unwrap();
    let audit = ledger::verify(&world.machine, &again);
    assert!(again.iter().any(|record| record.acknowledged.is_some()), "{:?}", audit.findings);
    assert!(charged > Planck::ZERO);
    let entries = ask(Method::GET, "/api/v1/lease/entries");
    entries.bearer(&token).of(&world.node).await.problem(401, "unauthorized");
    // Paid are the confirmation and a prolonging; what was tried is used for nothing.
    let entries = until("the entries", async || {
        let all = ask(Method::GET, "/api/v1/lease/entries").bearer(OPERATOR);
        let all = all.of(&world.node).await.json().as_array().unwrap().clone();
        (all.len() == 3).then_some(all)
    })
    .await;
    let used: Vec<_> = entries.iter().filter(|entry| entry["kind"] == "usage").collect();
    assert_eq!(used.len(), 1, "{entries:?}");
    let charge = charged.to_string();
    assert_eq!(
        used[0]["lines"],
        json!([
            {"account": "used/1", "side": "debit", "planck": charge},
            {"account": "prepaid/1", "side": "credit", "planck": charge},
        ])
    );
    let table = ask(Method::GET, "/api/v1/lease/entries?format=csv").bearer(OPERATOR);
    let table = table.of(&world.node).await;
    let lines: Vec<_> = table.text().lines().map(ToOwned::to_owned).collect();
    for line in [format!(",used/1,{charge},"), format!(",prepaid/1,,{charge}")] {
        assert!(lines.iter().any(|it| it.ends_with(&line)), "{lines:?}");
    }
    let later = ask(Method::GET, "/api/v1/lease/entries?after=3").bearer(OPERATOR);
    assert_eq!(later.of(&world.node).await.json(), json!([]));
    let csv = ask(
        Method::GET,
        &format!("/api/v1/lease/receipts/{}?format=csv", chains[1]["receipts"].as_str().unwrap()),
    );
    let csv = csv.bearer(OPERATOR).of(&world.node).await;
    assert!(csv.text().starts_with("order,sequence") && csv.text().lines().count() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_bound_sessions_and_trials_are_short_and_few() {
    let world = World::new(&["chain.trials_a_day=1"]).await;
    let order = world.rent(2, 300).await;
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    // A second order cannot be tried on this day, and the first goes on where it was.
    let second = world.rent(1, 300).await;
    let problem = world.challenge(second, &world.renter).await;
    problem.problem(429, "too-many-trials");
    let end = session.ask(Method::DELETE, "").bearer(&session.token).of(&world.node).await;
    assert_eq!(end.status, 204);
    let left = world.bearer(order, &world.renter).await["trial_ms"].as_u64().unwrap();
    assert!((1..120_000).contains(&left), "{left}");

    world.confirm(order).await;
    let first = world.start(&token, &wish(None)).await.session();
    world.start(&token, &wish(None)).await.session();
    world.start(&token, &wish(None)).await.problem(409, "cards-taken");
    let end = first.ask(Method::DELETE, "").bearer(&first.token).of(&world.node).await;
    assert_eq!(end.status, 204);
    // Its card is free as soon as that is answered.
    world.start(&token, &wish(None)).await.session();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_ends_when_it_is_used_up() {
    let world = World::new(&["chain.trial=10s"]).await;
    let order = world.rent(1, 300).await;
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    let mut client = join(&world.node, &session).await;
    let sentence = "The order was tried as long as it may be: confirm it to go on.";
    assert_eq!(said(&mut client, "ended").await["reason"], sentence);
    assert_eq!(ended(&world.node, &session).await, sentence);
    world.start(&token, &wish(None)).await.problem(403, "trial-used");
    // Nor after a restart.
    let world = world.again().await;
    world.challenge(order, &world.renter).await.problem(403, "trial-used");
    world.confirm(order).await;
    let token = world.token(order).await;
    world.start(&token, &wish(None)).await.session();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_lapses_or_vanishes_ends_its_sessions() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 300).await;
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    world.model.advance(150);
    assert_eq!(ended(&world.node, &session).await, "The order was not confirmed in time.");
    world.start(&token, &wish(None)).await.problem(410, "order-lapsed");
    let renter = world.chain(Wallet::Renter);
    renter.confirm(order, PLENTY).await.unwrap_err();

    let order = world.rent(1, 300).await;
    world.confirm(order).await;
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    // Offline: who plays goes on, others do not begin.
    let controller = world.chain(Wallet::Controller);
    controller.report_offline(&world.machine, PLENTY).await.unwrap();
    until("the report", async || {
        let reply = world.challenge(order, &world.renter).await;
        (reply.status == 503).then(|| reply.problem(503, "machine-offline"))
    })
    .await;
    let goes_on = state(&world.node, &session).await;
    assert!(!goes_on.starts_with("ended"), "{goes_on}");
    controller.report_online(&world.machine, PLENTY).await.unwrap();
    world.model.force_machine_exit();
    assert_eq!(ended(&world.node, &session).await, "The machine is gone from the chain.");
    world.challenge(order, &world.renter).await.problem(410, "machine-gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_sees_what_an_order_costs_and_whether_there_is_room() {
    let world = World::new(&[]).await;
    world.model.govern(|limits| limits.slot = Some(Duration::from_secs(6)));
    let priced = async || world.lease().await["price"].is_object().then_some(());
    until("the price", priced).await;
    let lease = world.lease().await;
    let price = json!({
        "blocks": 300, "lasts_ms": 1_800_000, "rent_planck": "5017000000000000",
        "fixed_planck": "10000000000000000",
    });
    until("the slot", async || (world.lease().await["price"] == price).then_some(())).await;
    assert_eq!(lease["cards"], json!({"all": 4, "free": 4}));
    world.rent(3, 300).await;
    assert_eq!(world.lease().await["cards"], json!({"all": 4, "free": 1}));
    world.chain(Wallet::Controller).report_offline(&world.machine, PLENTY).await.unwrap();
    let offline = json!({"all": 4, "free": 0});
    until("the report", async || (world.lease().await["cards"] == offline).then_some(())).await;
    // Young oracles name no price.
    world.model.set_dbc_price(None);
    until("no price", async || world.lease().await["price"].is_null().then_some(())).await;
    let node = ask(Method::GET, "/api/v1/node").of(&world.node).await.json();
    assert_eq!(node["rented"], true);
}
