//! The development chain's branches, over its socket, as a node and a renter's wallet see them.

use std::sync::Arc;
use std::time::Duration;

use chain::{Chain, Options};
use ledger::Ledger;
use model_chain::Devchain;
use serde_json::json;
use session::rental::{BlockHash, Planck, RentId, RentalChain};

use super::accounts;
use super::branches::{CHARGED, guest, guests, receipts};
use crate::common::until;
use crate::player::{ended, join};
use crate::tenant::{Guest, World, wish};

/// What the machine costs for half an hour, and more.
const CEILING: Planck = Planck::dbc(900_000);

/// The renter's wallet. What a branch drops it sends again, the same bytes.
async fn wallet(dev: &Devchain, world: &World, outbox: &std::path::Path) -> Arc<dyn RentalChain> {
    let genesis = Some(BlockHash(dev.genesis));
    let options = Options {
        genesis,
        development: genesis,
        probe: Duration::from_millis(100),
        resend: Duration::from_millis(200),
        pause: Duration::from_millis(50),
        ..Options::new([dev.url.clone()])
    };
    let chain = Chain::connect(options).await.unwrap();
    let outbox = Ledger::open(outbox, ledger::Options::default()).unwrap();
    Arc::new(chain.wallet(world.renter.clone(), outbox).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_takes_an_order_away_and_the_other_branch_brings_it_back() {
    let dev = tokio::task::block_in_place(|| Devchain::start(&[]));
    let world = World::on_devchain(&dev, &CHARGED).await;
    let folder = tempfile::tempdir().unwrap();
    let wallet = wallet(&dev, &world, &folder.path().join("outbox")).await;
    tokio::task::block_in_place(|| dev.hold_finality(true));
    let (renter, machine) = (wallet.clone(), world.machine);
    let rented = tokio::spawn(async move { renter.rent(&machine, 2, 300, CEILING).await });
    let order = until("the order", async || {
        let orders = world.lease().await["orders"].clone();
        orders[0]["order"].as_str().map(|number| RentId(number.parse().unwrap()))
    })
    .await;
    let renter = wallet.clone();
    let confirmed = tokio::spawn(async move { renter.confirm(order, CEILING).await });
    let is_confirmed = async || world.order(order).await?["confirmed"].as_bool()?.then_some(());
    until("the confirmation", is_confirmed).await;
    let token = world.token(order).await;
    let used = Guest::of(&world, order, |_| {});
    let bearer = world.redeem(&used).await;
    assert_eq!(bearer.status, 201, "{}", bearer.text());
    let bearer = bearer.json();
    let played = guests(&world, bearer["token"].as_str().unwrap()).await;
    let mut client = join(&world.node, &played).await;
    client.frame().await;

    // Both calls are in no block of the other branch, and wait.
    tokio::task::block_in_place(|| {
        dev.stall(true);
        dev.reorganise(2);
    });
    assert_eq!(ended(&world.node, &played).await, "The order is gone from the chain.");
    world.start(&token, &wish(None)).await.problem(410, "order-vanished");
    world.redeem(&used).await.problem(410, "order-vanished");
    assert!(!rented.is_finished() && !confirmed.is_finished(), "nothing is final");
    tokio::task::block_in_place(|| dev.stall(false));
    // What waits comes with blocks, one after the other.
    until("the order again", async || {
        tokio::task::block_in_place(|| dev.blocks(1));
        is_confirmed().await
    })
    .await;
    world.redeem(&used).await.problem(403, "ticket-used-up");
    let session = world.start(&token, &wish(None)).await.session();
    guest(&world, order).await;
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    for free in receipts(&world, true, 2).await {
        assert_eq!(free["charged_planck"], "0");
    }
    assert_eq!(receipts(&world, false, 0).await.len(), 0);

    tokio::task::block_in_place(|| dev.hold_finality(false));
    assert_eq!(rented.await.unwrap().unwrap().event.rent_id, order);
    let confirmed = confirmed.await.unwrap().unwrap();
    // By the events of the branch that is final.
    accounts::paid(&world, order, confirmed.event.fee.0, 0).await;
    let relet = wallet.relet(order, 100, CEILING).await.unwrap();
    let both = confirmed.event.fee.0 + relet.event.fee.0;
    accounts::paid(&world, order, both, 0).await;
    let paid = receipts(&world, false, 1).await;
    assert_eq!(paid[0]["charged_planck"], paid[0]["metered_ms"].to_string());
    assert_eq!(paid[0]["order"], json!(order.to_string()));
    world.stop().await;
}
