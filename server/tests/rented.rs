//! A rented node on a chain in memory: from renting to the end of an order, and everybody who is not let in.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate transport as nearlight_transport;

mod common;
mod player;
mod tenant;

use std::time::Duration;

use axum::http::Method;
use common::{OPERATOR, ask, until};
use keys::{Pair, multisig_account, to_hex};
use media::DataChannel;
use model_chain::Wallet;
use nearlight::rented::cli;
use player::{ended, join, said, state};
use serde_json::{Value, json};
use session::access::{TicketScope, UnixSeconds};
use session::rental::{ChainError, MachineId, Planck};
use tenant::{GENESIS_OF_OTHERS, Guest, World, proof, wish};

const PLENTY: Planck = Planck::dbc(1_000);

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
    assert_eq!(state(&world.node, &session).await, "live");

    // The block before the last one, then the last one.
    let left = over + 100 - world.block().await;
    world.model.advance(u32::try_from(left).unwrap() - 1);
    let warning = said(&mut client, "warning").await;
    assert!(warning["in_ms"].as_u64().unwrap() <= 10_000, "{warning}");
    assert_eq!(state(&world.node, &session).await, "live");
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
    let entries = ask(Method::GET, "/api/v1/lease/entries").bearer(OPERATOR).of(&world.node).await;
    // What was tried is used for nothing.
    let entries = entries.json();
    assert_eq!(entries.as_array().unwrap().len(), 1, "{entries}");
    let charge = charged.to_string();
    assert_eq!(
        entries[0]["lines"],
        json!([
            {"account": "used/1", "side": "debit", "planck": charge},
            {"account": "prepaid/1", "side": "credit", "planck": charge},
        ])
    );
    let table = ask(Method::GET, "/api/v1/lease/entries?format=csv").bearer(OPERATOR);
    let table = table.of(&world.node).await;
    let lines: Vec<_> = table.text().lines().map(ToOwned::to_owned).collect();
    assert!(lines[1].ends_with(&format!("used/1,{charge},")), "{lines:?}");
    assert!(lines[2].ends_with(&format!("prepaid/1,,{charge}")), "{lines:?}");
    let later = ask(Method::GET, "/api/v1/lease/entries?after=1").bearer(OPERATOR);
    assert_eq!(later.of(&world.node).await.json(), json!([]));
    let csv = ask(
        Method::GET,
        &format!("/api/v1/lease/receipts/{}?format=csv", chains[1]["receipts"].as_str().unwrap()),
    );
    let csv = csv.bearer(OPERATOR).of(&world.node).await;
    assert!(csv.text().starts_with("order,sequence") && csv.text().lines().count() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_rent_is_not_let_in_and_told_why() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 300).await;
    // Without proof, with an operator's token, and with one that nobody gave out.
    ask(Method::POST, "/api/v1/sessions")
        .json(wish(None).to_string())
        .of(&world.node)
        .await
        .problem(401, "rented");
    world.start(OPERATOR, &wish(None)).await.problem(401, "rented");
    world.start(&"ab".repeat(32), &wish(None)).await.problem(401, "rented");
    // A foreign renter, and an order that is not there.
    world.challenge(order, &world.other).await.problem(403, "foreign-renter");
    world.challenge(session::rental::RentId(77), &world.renter).await.problem(404, "unknown-order");
    // An order of nothing.
    let nothing = world.rent(0, 300).await;
    world.challenge(nothing, &world.renter).await.problem(403, "nothing-rented");

    let given = world.challenge(order, &world.renter).await.json();
    let (text, body) = (given["text"].as_str().unwrap(), given["body"].as_str().unwrap());
    // Signed by somebody else, changed, for another chain, for another body; then right, then again.
    world.prove(&proof(text, &world.other), body).await.problem(403, "bad-signature");
    let other = text.replace(&world.genesis, GENESIS_OF_OTHERS);
    world.prove(&proof(&other, &world.renter), body).await.problem(403, "other-chain");
    let bound = text.replace("node: http://node.test", "node: http://evil.test");
    world.prove(&proof(&bound, &world.renter), body).await.problem(403, "other-node");
    let bound = text.replace("/api/v1/lease/bearers", "/api/v1/lease/elsewhere");
    world.prove(&proof(&bound, &world.renter), body).await.problem(403, "other-request");
    let more = format!("{body} ");
    world.prove(&proof(text, &world.renter), &more).await.problem(403, "other-body");
    let (head, nonce) = text.split_at(text.rfind(": ").unwrap() + 2);
    let made_up = format!("{head}{}\n", "0".repeat(nonce.trim().len()));
    world.prove(&proof(&made_up, &world.renter), body).await.problem(403, "unknown-challenge");
    world.prove(&proof("hello", &world.renter), body).await.problem(400, "malformed-proof");
    let newer = text.replace("nearlight-challenge/1", "nearlight-challenge/2");
    world.prove(&proof(&newer, &world.renter), body).await.problem(400, "proof-version");
    let good = proof(text, &world.renter);
    assert_eq!(world.prove(&good, body).await.status, 201);
    world.prove(&good, body).await.problem(403, "proof-replayed");
    // Its time is over, by the chain's clock.
    let late = world.challenge(order, &world.renter).await.json();
    world.model.advance(21);
    until("the block", async || (world.block().await >= 23).then_some(())).await;
    let (text, body) = (late["text"].as_str().unwrap(), late["body"].as_str().unwrap());
    world.prove(&proof(text, &world.renter), body).await.problem(403, "proof-expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_another_machine_opens_nothing() {
    let world = World::new(&[]).await;
    let order = world.model.order_elsewhere();
    until("the block", async || (world.block().await >= 2).then_some(())).await;
    let refused = world.challenge(order, &world.renter).await;
    assert!(refused.text().contains("the order is of another machine"), "{}", refused.text());
    refused.problem(403, "other-machine");
    // Nor by a ticket that its renter signed for this one.
    let guest = Guest::of(&world, order, |_| {});
    world.redeem(&guest).await.problem(403, "other-machine");
    let wish = ticket_of(order);
    let renter = world.chain(Wallet::Renter);
    let made = cli::make(renter.as_ref(), &world.machine, &wish, world.renter.clone()).await;
    let refused = made.unwrap_err().to_string();
    assert!(refused.contains(&format!("of the machine {}", "77".repeat(32))), "{refused}");
    assert_eq!(world.lease().await["orders"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_without_what_renting_needs_is_named() {
    let missing = ChainError::Missing("RentMachine.RentInfo".to_owned());
    let world = World::without_chain(missing).await;
    let order = session::rental::RentId(1);
    let refused = until("the chain's answer", async || {
        let reply = world.challenge(order, &world.renter).await;
        reply.text().contains("unfit-chain").then_some(reply)
    })
    .await;
    assert!(refused.text().contains("the chain has no RentMachine.RentInfo"), "{}", refused.text());
    refused.problem(503, "unfit-chain");
    world.start(&"ab".repeat(32), &wish(None)).await.problem(503, "no-head");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_is_said_and_left_as_it_is() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 300).await;
    world.confirm(order).await;
    let used = Guest::of(&world, order, |_| {});
    assert_eq!(world.redeem(&used).await.status, 201);
    let folder = world.stop().await;
    let path = folder.path().join("ledger.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    // Every page but that of the file's head.
    bytes[4_096..].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let refused = World::refusal(folder.path(), &[]).await;
    assert!(refused.contains("the ledger is damaged"), "{refused}");
    assert!(std::fs::read(&path).unwrap() == bytes, "it may yet be looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_keystore_is_said_and_makes_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("machine.json");
    let pair = Pair::sr25519(&[7; 32]).unwrap();
    let whole = serde_json::to_string(&keys::Keystore::seal(&pair, "pw", "machine").unwrap());
    let whole = whole.unwrap();
    let settings = [
        "chain.machine_key=\"\"".to_owned(),
        "chain.machine_key_password=\"pw\"".to_owned(),
        format!("chain.machine_key_file={path:?}"),
    ];
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let ledger = folder.path().join("ledger");
    let refused = World::refusal(&ledger, &settings).await;
    assert!(refused.contains("chain.machine_key_file"), "{refused}");
    assert!(refused.contains("the keystore is truncated"), "{refused}");
    assert!(!ledger.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machines_key_that_everybody_knows_is_refused_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    // The development chain's `//Machine`.
    let seed = "dbd09ff39ede06a413c76a3c55eb445e352bfee6739ace67403a2951a476e6e4";
    let settings = [format!("chain.machine_key=\"{seed}\"")];
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let refused = World::refusal(folder.path(), &settings).await;
    assert!(refused.contains("//Machine"), "{refused}");
    assert!(!refused.contains(seed), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wallets_that_rent_as_one_sign_together() {
    let members: Vec<_> = (1..=3).map(|n| Pair::sr25519(&[n + 40; 32]).unwrap()).collect();
    let accounts: Vec<_> = members.iter().map(Pair::account).collect();
    let together = multisig_account(&accounts, 2).unwrap();
    let world = World::rented_by(together, &[]).await;
    let order = world.rent(1, 300).await;
    let given = world.challenge_of(order, &together).await.json();
    let (text, body) = (given["text"].as_str().unwrap(), given["body"].as_str().unwrap());
    let signed = |who: &[usize]| {
        let signature = |n: &usize| {
            let signature = members[*n].sign(text.as_bytes()).unwrap();
            json!({"account": to_hex(&accounts[*n].0), "signature": to_hex(&signature.tagged())})
        };
        let accounts: Vec<_> = accounts.iter().map(|it| to_hex(&it.0)).collect();
        json!({"members": accounts, "threshold": 2, "signatures": who.iter().map(signature).collect::<Vec<_>>()})
    };
    let twice = world.prove_together(text, &signed(&[0, 0]), body).await;
    twice.problem(403, "bad-signature");
    assert_eq!(world.prove_together(text, &signed(&[2, 0]), body).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_let_in_as_far_and_as_often_as_they_say() {
    let world = World::new(&[]).await;
    let order = world.rent(2, 600).await;
    let early = Guest::of(&world, order, |_| {});
    world.redeem(&early).await.problem(403, "not-confirmed");
    world.confirm(order).await;
    let renter = world.bearer(order, &world.renter).await["token"].as_str().unwrap().to_owned();

    // What is not for here, not now, or not signed by the renter.
    let odd = |change: &dyn Fn(&mut session::access::Ticket)| Guest::of(&world, order, change);
    let later = odd(&|it| it.not_before = UnixSeconds(it.not_after.0 - 1));
    world.redeem(&later).await.problem(403, "not-yet");
    let over = odd(&|it| {
        it.not_before = UnixSeconds(1);
        it.not_after = UnixSeconds(2);
    });
    world.redeem(&over).await.problem(403, "proof-expired");
    let foreign = odd(&|it| it.binding.machine = MachineId::of_public_key(&[1; 32]));
    world.redeem(&foreign).await.problem(403, "other-machine");
    let forged = Guest { signer: world.other.clone(), ..odd(&|_| {}) };
    world.redeem(&forged).await.problem(403, "bad-signature");
    let mut guessed = odd(&|_| {});
    guessed.secret = "another secret".into();
    world.redeem(&guessed).await.problem(403, "other-body");

    // Twice, and no third time.
    let twice = odd(&|it| it.uses = 2);
    let bearer = world.redeem(&twice).await;
    assert_eq!(bearer.status, 201, "{}", bearer.text());
    let bearer = bearer.json();
    assert_eq!(
        (&bearer["role"], &bearer["scopes"]),
        (&json!("guest"), &json!(["view", "play", "start"]))
    );
    assert_eq!(world.redeem(&twice).await.status, 201);
    world.redeem(&twice).await.problem(403, "ticket-used-up");

    // For a card that the order lacks.
    let other = world.redeem(&odd(&|it| it.slot = Some(3))).await.json();
    let other = other["token"].as_str().unwrap();
    world.start(other, &wish(None)).await.problem(403, "card-not-rented");

    // A guest plays, and neither ends, invites nor delegates.
    let token = bearer["token"].as_str().unwrap();
    let reply = world.start(token, &wish(None)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let made = reply.json();
    assert!(made["play_url"].is_null(), "a guest hands nothing on");
    let (id, own) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let at = |below: &str| format!("/api/v1/sessions/{id}{below}");
    let show = ask(Method::GET, &at("")).bearer(own).of(&world.node).await;
    assert_eq!(show.status, 200);
    ask(Method::DELETE, &at("")).bearer(own).of(&world.node).await.problem(403, "out-of-scope");
    ask(Method::GET, &at("/files")).bearer(own).of(&world.node).await.problem(403, "out-of-scope");
    let invite = ask(Method::POST, &at("/invitations"))
        .bearer(own)
        .json(json!({"role": "spectator"}).to_string());
    invite.of(&world.node).await.problem(403, "renter-only");
    let tickets = ask(Method::GET, "/api/v1/lease/tickets").bearer(token).of(&world.node).await;
    tickets.problem(403, "renter-only");
    let receipts = ask(Method::GET, "/api/v1/lease/receipts").bearer(token).of(&world.node).await;
    receipts.problem(403, "renter-only");
    // A page of his that loads again is no renter's either.
    let resume = json!({"ticket": made["resume_ticket"]}).to_string();
    let again = ask(Method::POST, &at("/redeem")).json(resume).of(&world.node).await.json();
    let own = again["token"].as_str().unwrap();
    ask(Method::DELETE, &at("")).bearer(own).of(&world.node).await.problem(403, "out-of-scope");
    // Nor does an operator look into it.
    let offer = ask(Method::POST, &at("/whep")).bearer(OPERATOR).sdp(common::CHROMIUM);
    offer.of(&world.node).await.problem(403, "renter-only");

    // One who may watch watches, and no more.
    let watcher = odd(&|it| {
        it.scopes = session::access::TicketScopes::new([TicketScope::View]).unwrap();
    });
    let watching = world.redeem(&watcher).await.json();
    let watching = watching["token"].as_str().unwrap();
    world.start(watching, &wish(None)).await.problem(403, "out-of-scope");
    let seen = ask(Method::GET, "/api/v1/lease/sessions").bearer(watching).of(&world.node).await;
    assert_eq!(seen.json()[0]["id"], id);
    let enter = ask(Method::POST, &format!("/api/v1/lease/sessions/{id}/enter"));
    let entered = enter.bearer(watching).of(&world.node).await;
    assert_eq!((entered.status.as_u16(), &entered.json()["role"]), (201, &json!("spectator")));

    // The renter takes the first back: its bearers are gone and its session ends.
    let revoke = |guest: &Guest| {
        ask(Method::DELETE, &format!("/api/v1/lease/tickets/{}", guest.ticket.id)).bearer(&renter)
    };
    assert_eq!(revoke(&twice).of(&world.node).await.status, 204);
    world.start(token, &wish(None)).await.problem(401, "rented");
    let session = common::Session { id: id.into(), token: own.into(), ticket: String::new() };
    assert_eq!(ended(&world.node, &session).await, "What let you in was taken back.");
    let unused = odd(&|_| {});
    assert_eq!(revoke(&unused).of(&world.node).await.status, 204);
    world.redeem(&unused).await.problem(403, "ticket-revoked");
    let known =
        ask(Method::GET, "/api/v1/lease/tickets").bearer(&renter).of(&world.node).await.json();
    let of = |guest: &Guest| {
        let id = guest.ticket.id.to_string();
        known.as_array().unwrap().iter().find(|it| it["ticket"] == *id).cloned().unwrap()
    };
    assert_eq!((&of(&twice)["uses"], &of(&twice)["revoked"]), (&json!(2), &json!(true)));
    assert_eq!(of(&watcher)["revoked"], false);

    // All of that outlives the node, and the order does not outlive its end.
    let world = world.again().await;
    world.redeem(&twice).await.problem(403, "ticket-revoked");
    world.model.advance(600);
    until("the end", async || world.order(order).await.is_none().then_some(())).await;
    let late = Guest::of(&world, order, |_| {});
    world.redeem(&late).await.problem(410, "order-over");
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
    let world = World::new(&["chain.trial=1s"]).await;
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
    assert_ne!(state(&world.node, &session).await, "ended");
    controller.report_online(&world.machine, PLENTY).await.unwrap();
    world.model.force_machine_exit();
    assert_eq!(ended(&world.node, &session).await, "The machine is gone from the chain.");
    world.challenge(order, &world.renter).await.problem(410, "machine-gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_chain_blocks_are_estimated_and_clocks_may_jump() {
    let world = World::new(&[]).await;
    world.model.govern(|limits| limits.slot = Some(Duration::from_secs(6)));
    let order = world.rent(1, 300).await;
    world.confirm(order).await;
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    world.model.lose("the cable");
    until("the loss", async || (!world.lease().await["connected"].as_bool()?).then_some(())).await;
    // A minute without the chain: no frame waits for it, and others may begin.
    let before = world.block().await;
    for _ in 0..6 {
        world.boot.forward(Duration::from_secs(10));
        client.frame().await;
    }
    until("estimated blocks", async || (world.block().await == before + 10).then_some(())).await;
    // Back: time that was told is not taken back.
    world.boot.back(Duration::from_secs(600));
    client.frame().await;
    assert!(world.block().await >= before);
    assert_eq!(state(&world.node, &session).await, "live");
    // Forward, as when the machine slept: the order is over.
    world.boot.forward(Duration::from_secs(600 + 1_800));
    let sentence = "The time that the machine was rented for is over.";
    assert_eq!(ended(&world.node, &session).await, sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_down_goes_on_from_what_it_knew() {
    let world = World::new(&[]).await;
    world.model.govern(|limits| limits.slot = Some(Duration::from_secs(6)));
    let order = world.rent(1, 300).await;
    world.confirm(order).await;
    world.kept(order).await;
    let block = world.block().await;
    // Without the chain, and a minute later by the system's clock.
    let world = world.again_alone(Duration::from_secs(60)).await;
    let lease = world.lease().await;
    assert_eq!((&lease["connected"], lease["block"].as_u64()), (&json!(false), Some(block + 10)));
    let token = world.token(order).await;
    world.start(&token, &wish(None)).await.session();
    // One that has heard nothing says so.
    let fresh = World::alone().await;
    fresh.challenge(order, &fresh.renter).await.problem(503, "no-head");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_another_grants_nothing() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 300).await;
    let elsewhere = format!("chain.genesis=\"{GENESIS_OF_OTHERS}\"");
    let world = World::on(world.model.clone(), &[&elsewhere]).await;
    until("the chain", async || {
        let reply = world.challenge(order, &world.renter).await;
        reply.json()["type"].as_str()?.ends_with("wrong-genesis").then_some(())
    })
    .await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_player_reads_what_his_session_used_when_it_is_over_and_no_other() {
    let world = World::new(&[]).await;
    let order = world.rent(2, 300).await;
    world.confirm(order).await;
    let renter = world.token(order).await;
    let guest = world.redeem(&Guest::of(&world, order, |_| {})).await.json();
    let guest = guest["token"].as_str().unwrap();
    let mut started = Vec::new();
    for token in [&*renter, guest] {
        let made = world.start(token, &wish(None)).await.json();
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        let (id, token, ticket) = (text("id"), text("token"), text("resume_ticket"));
        let (reader, session) = (text("receipts_token"), common::Session { id, token, ticket });
        let mut client = join(&world.node, &session).await;
        client.frame().await;
        started.push((reader, session, client));
    }
    let (reader, session, _) = &started[1];
    let resume = json!({"ticket": session.ticket}).to_string();
    let again = session.ask(Method::POST, "/redeem").json(resume).of(&world.node).await.json();
    assert_eq!(again["receipts_token"], **reader, "a page that loads again has it, too");
    world.model.advance(300);
    for (_, session, _) in &started {
        ended(&world.node, session).await;
    }
    let all = until("closed receipts", async || {
        let all = world.receipts(OPERATOR).await;
        (all.len() == 2 && all.iter().all(|each| each["closed"].is_string())).then_some(all)
    })
    .await;
    let own = world.receipts(reader).await;
    assert_eq!(own.len(), 1);
    let file = world.export(reader, &own[0]).await;
    assert!(ledger::verify(&world.machine, &file.records().unwrap()).close.is_some());
    let other = all.iter().find(|each| each["receipts"] != own[0]["receipts"]).unwrap();
    let path = format!("/api/v1/lease/receipts/{}", other["receipts"].as_str().unwrap());
    ask(Method::GET, &path).bearer(reader).of(&world.node).await.problem(404, "not-found");
    // It opens nothing else.
    world.start(reader, &wish(None)).await.problem(401, "rented");
    let tickets = ask(Method::GET, "/api/v1/lease/tickets").bearer(reader).of(&world.node).await;
    tickets.problem(401, "rented");
    let forged = format!("{}0", &reader[..reader.len() - 1]);
    let forged =
        if forged == *reader { format!("{}1", &reader[..reader.len() - 1]) } else { forged };
    let list = ask(Method::GET, "/api/v1/lease/receipts").bearer(&forged).of(&world.node).await;
    list.problem(401, "rented");
    // A guest's bearer still reads nothing.
    let list = ask(Method::GET, "/api/v1/lease/receipts").bearer(guest).of(&world.node).await;
    assert_ne!(list.status, 200);
}

/// The page's part of receipts: slices come while the session lives.
#[tokio::test(flavor = "multi_thread")]
async fn slices_are_acknowledged_while_they_come() {
    let world = World::new(&["chain.tariff=\"3600000\""]).await;
    let order = world.rent(1, 300).await;
    world.confirm(order).await;
    let token = world.token(order).await;
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let session = world.start(&token, &wish(Some(&key))).await.session();
    let mut client = join(&world.node, &session).await;
    let slice = said(&mut client, "receipt").await;
    let forged = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    for key in [&forged, &key] {
        let message = tenant::acknowledgement(&slice, key);
        client.send(DataChannel::Control, message.to_string().as_bytes()).await;
    }
    let chain = json!({"receipts": slice["chain"]});
    let acknowledged = until("the acknowledgement", async || {
        let records = world.export(&token, &chain).await.records().unwrap();
        records[1].acknowledged.is_some().then_some(records)
    })
    .await;
    let audit = ledger::verify(&world.machine, &acknowledged);
    assert!(audit.is_sound(), "{:?}", audit.findings);
    // A planck a millisecond.
    assert_eq!(audit.totals.charge, Planck(audit.totals.wall_ms.into()));
    let of_session = said(&mut client, "lease").await;
    assert_eq!(of_session["receipts"], slice["chain"]);
    let _: Value = of_session;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_rents_makes_tickets_and_verifies() {
    let world = World::new(&[]).await;
    let chain = world.chain(Wallet::Renter);
    let chain = chain.as_ref();
    let quoted = cli::quote(chain, &world.machine, 1, 300).await.unwrap();
    assert_eq!(quoted.json()["rent_planck"], "5017000000000000");
    let words = String::from_utf8(quoted.written(false)).unwrap();
    assert!(words.contains("5.017 DBC (5017000000000000 planck)"), "{words}");
    let odd = cli::quote(chain, &world.machine, 1, 299).await.unwrap_err();
    assert!(odd.to_string().contains("a multiple of 300"), "{odd}");
    let dear = cli::rent(chain, &world.machine, 1, 300, Planck(1)).await.unwrap_err();
    assert!(dear.to_string().contains("the ceiling is 0.000000000000001 DBC"), "{dear}");
    let poor = world.chain(Wallet::Poor);
    let poor = cli::rent(poor.as_ref(), &world.machine, 1, 300, PLENTY).await.unwrap_err();
    assert!(poor.to_string().contains("the wallet holds 1 DBC"), "{poor}");
    let rented = cli::rent(chain, &world.machine, 1, 300, PLENTY).await.unwrap();
    assert_eq!(rented.json()["order"], "1");
    let order = session::rental::RentId(1);
    cli::confirm(chain, order, PLENTY).await.unwrap();
    let more = cli::relet(chain, order, 100, PLENTY).await.unwrap();
    assert_eq!(more.json()["added"], 100);
    let twice = cli::confirm(chain, order, PLENTY).await.unwrap_err();
    assert!(twice.to_string().contains("not in the state"), "{twice}");
    let lapsing = cli::rent(chain, &world.machine, 1, 300, PLENTY).await.unwrap();
    assert_eq!(lapsing.json()["order"], "2");
    world.model.advance(150);
    let late = cli::confirm(chain, session::rental::RentId(2), PLENTY).await.unwrap_err();
    assert!(late.to_string().contains("order 2 now: it was not confirmed within"), "{late}");
    for listed in [
        cli::orders_of_machine(chain, &world.machine).await.unwrap(),
        cli::orders_of_renter(chain, &world.account).await.unwrap(),
    ] {
        assert_eq!(listed.json()["orders"][0]["state"], "renting");
    }
    let machine = cli::machine(chain, &world.machine).await.unwrap();
    assert_eq!(
        (&machine.json()["status"], &machine.json()["rented"]),
        (&json!("rented"), &json!(1))
    );

    // A ticket's link, as the page takes it apart.
    until("the order", async || world.order(order).await?["confirmed"].as_bool()?.then_some(()))
        .await;
    let mut wish = ticket_of(order);
    let foreign = cli::make(chain, &world.machine, &wish, world.other.clone()).await.unwrap_err();
    assert!(foreign.to_string().contains("another renter's"), "{foreign}");
    let made = cli::make(chain, &world.machine, &wish, world.renter.clone()).await.unwrap();
    let made = made.json();
    let link = made["link"].as_str().unwrap();
    let reply = world.follow(link).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let token = reply.json()["token"].as_str().unwrap().to_owned();
    let session = world.start(&token, &tenant::wish(None)).await;
    assert_eq!(session.status, 201, "{}", session.text());
    wish.uses = 0;
    cli::make(chain, &world.machine, &wish, world.renter.clone()).await.unwrap_err();

    // Receipts of a session that was played, as they are and as somebody would like them to be.
    let own = session.json();
    let mut client = join(
        &world.node,
        &common::Session {
            id: own["id"].as_str().unwrap().into(),
            token: own["token"].as_str().unwrap().into(),
            ticket: String::new(),
        },
    )
    .await;
    client.frame().await;
    world.model.force_machine_exit();
    let closed = until("closed receipts", async || {
        let all = ask(Method::GET, "/api/v1/lease/receipts").bearer(OPERATOR).of(&world.node).await;
        let all = all.json();
        all[0]["closed"].is_string().then_some(all)
    })
    .await;
    let file = world.export(OPERATOR, &closed[0]).await;
    let text = serde_json::to_string(&file).unwrap();
    let answer = cli::verify(&world.machine, &text).unwrap();
    assert!(!answer.is_failure(), "{}", answer.json());
    assert!(answer.json()["findings"].as_array().unwrap().iter().all(|it| it["fault"] == false));
    let mut forged = file.clone();
    forged.records.remove(1);
    let text = serde_json::to_string(&forged).unwrap();
    assert!(cli::verify(&world.machine, &text).unwrap().is_failure());
    cli::verify(&world.machine, "{}").unwrap_err();
}

/// What `nearlight ticket` is asked for.
fn ticket_of(order: session::rental::RentId) -> cli::Wish {
    cli::Wish {
        rent_id: order,
        node: "http://node.test".to_owned(),
        allow: vec!["start".to_owned(), "play".to_owned()],
        uses: 1,
        lasts: 3_600,
        card: None,
    }
}

/// Where a child of the test below has its ledger: a disk of a few megabytes.
const FOLDER: &str = "NEARLIGHT_TEST_SMALL_DISK";

#[test]
fn a_full_disk_ends_what_cannot_be_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("bwrap")
        .args(["--dev-bind", "/", "/", "--size", "4000000", "--tmpfs"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "on_a_small_disk", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("the disk was full"), "{said}");
}

/// What the test above runs as a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_small_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = std::path::Path::new(&folder);
    let world = World::below(folder).await;
    let order = world.rent(1, 300).await;
    world.confirm(order).await;
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    let mut filler = std::fs::File::create(folder.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 512]).is_ok() {}
    // Whoever comes is not let in by what cannot be written down, and nothing counts.
    let guest = Guest::of(&world, order, |_| {});
    until("a full ledger", async || {
        let reply = world.redeem(&guest).await;
        (reply.status == 507).then(|| reply.problem(507, "not-durable"))
    })
    .await;
    // Whoever plays is stopped at the end of a slice.
    let sentence = "What the session uses could not be written down.";
    assert_eq!(said(&mut client, "ended").await["reason"], sentence);
    assert_eq!(ended(&world.node, &session).await, sentence);
    drop(filler);
    std::fs::remove_file(folder.join("filler")).unwrap();
    let guest = Guest::of(&world, order, |_| {});
    assert_eq!(world.redeem(&guest).await.status, 201);
    println!("the disk was full");
}
