//! A node whose chain is away or another one.

use std::time::Duration;

use serde_json::json;

use crate::common::until;
use crate::player::{ended, join, lives};
use crate::tenant::{GENESIS_OF_OTHERS, World, wish};

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
    lives(&world.node, &session).await;
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
