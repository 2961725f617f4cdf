//! Who is not let in, and why; and who is, by his signature.

use axum::http::Method;
use keys::{Pair, multisig_account, to_hex};
use model_chain::Wallet;
use serde_json::json;
use session::rental::ChainError;

use super::cli::ticket_of;
use crate::common::{OPERATOR, ask, until};
use crate::tenant::{GENESIS_OF_OTHERS, Guest, World, proof, wish};
use nearlight::rented::cli;

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
async fn strangers_who_ask_for_challenges_keep_nobody_out() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 300).await;
    let before = world.challenge(order, &world.renter).await.json();
    // Order and renter are everybody's to know, and to ask takes no token.
    for _ in 0..600 {
        let given = world.challenge(order, &world.renter).await;
        assert_eq!(given.status, 200, "{}", given.text());
    }
    world.bearer(order, &world.renter).await;
    let (text, body) = (before["text"].as_str().unwrap(), before["body"].as_str().unwrap());
    let good = proof(text, &world.renter);
    assert_eq!(world.prove(&good, body).await.status, 201);
    world.prove(&good, body).await.problem(403, "proof-replayed");
}
