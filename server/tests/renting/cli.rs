//! The command line of renters and owners.

use axum::http::Method;
use model_chain::Wallet;
use nearlight::rented::cli;
use serde_json::json;
use session::rental::schedule::{Hours, Table};
use session::rental::{At, Planck, Schedule};

use crate::PLENTY;
use crate::common::{self, OPERATOR, ask, until};
use crate::player::join;
use crate::tenant::{self, World};

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
    assert!(odd.to_string().contains("299 blocks are asked for"), "{odd}");
    let before = chain.balance(At::Best, &world.account).await.unwrap();
    for (refused, why) in [
        (
            cli::rent(chain, &world.machine, 0, 300, PLENTY).await,
            "grants nothing, and costs 10 DBC",
        ),
        (cli::quote(chain, &world.machine, 0, 300).await, "grants nothing, and costs 10 DBC"),
        (
            cli::rent(chain, &world.machine, 5, 300, PLENTY).await,
            "5 graphics cards are asked for, and 4 of the machine's 4 are free",
        ),
        (
            cli::rent(chain, &world.machine, 1, 301, PLENTY).await,
            "301 blocks are asked for, and an order lasts 300 blocks or a multiple of that",
        ),
        (
            cli::rent(chain, &world.machine, 1, 864_300, PLENTY).await,
            "864300 blocks are asked for, and an order lasts 864000 blocks at the most",
        ),
        (cli::confirm(chain, session::rental::RentId(7), PLENTY).await, "the chain has no order 7"),
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let after = chain.balance(At::Best, &world.account).await.unwrap();
    assert_eq!(after, before, "no block, and nothing paid");
    let quoted = cli::quote(chain, &world.machine, 5, 300).await.unwrap();
    assert!(quoted.json()["refused"].as_str().unwrap().starts_with("5 graphics cards"));
    // Hours that the owner keeps: the model's day is the first of 1970, a Thursday.
    let mut table = Table::default();
    table.week[4].push(Hours { from: 20, to: 24 });
    world.model.keep_hours(&Schedule::Hours(table));
    let before = chain.balance(At::Best, &world.account).await.unwrap();
    let closed = cli::rent(chain, &world.machine, 1, 1_200, PLENTY).await.unwrap_err().to_string();
    assert!(closed.contains("on 1970-01-01 within 20 to 24 o'clock"), "{closed}");
    let after = chain.balance(At::Best, &world.account).await.unwrap();
    assert_eq!(after, before, "no block, and nothing paid");
    let quoted = cli::quote(chain, &world.machine, 1, 1_200).await.unwrap();
    assert_eq!(quoted.json()["refused"], closed);
    let told = json!([
        {"day": "1970-01-01", "ranges": [{"from": 20, "to": 24}]},
        {"day": "1970-01-08", "ranges": [{"from": 20, "to": 24}]},
    ]);
    let machine = cli::machine(chain, &world.machine).await.unwrap();
    for answer in [&quoted, &machine] {
        assert_eq!((&answer.json()["keeps_hours"], &answer.json()["hours"]), (&json!(true), &told));
        let words = String::from_utf8(answer.written(false)).unwrap();
        assert!(words.contains("Thursday, 1970-01-01: 20 to 24 o'clock"), "{words}");
    }
    world.model.keep_hours(&Schedule::Always);
    let quoted = cli::quote(chain, &world.machine, 1, 1_200).await.unwrap();
    assert_eq!(quoted.json()["keeps_hours"], json!(false));
    assert!(quoted.json().get("refused").is_none(), "{}", quoted.json());
    let dear = cli::rent(chain, &world.machine, 1, 300, Planck(1)).await.unwrap_err();
    assert!(dear.to_string().contains("the ceiling is 0.000000000000001 DBC"), "{dear}");
    let poor = world.chain(Wallet::Poor);
    let poor = cli::rent(poor.as_ref(), &world.machine, 1, 300, PLENTY).await.unwrap_err();
    assert!(poor.to_string().contains("the wallet holds 1 DBC"), "{poor}");
    let rented = cli::rent(chain, &world.machine, 1, 300, PLENTY).await.unwrap();
    assert_eq!((&rented.json()["order"], &rented.json()["earlier"]), (&json!("1"), &json!(false)));
    // What was paid, and not what has come since.
    assert_eq!(rented.json()["fixed_planck"], Planck::dbc(10).to_string());
    let order = session::rental::RentId(1);
    cli::confirm(chain, order, PLENTY).await.unwrap();
    let more = cli::relet(chain, order, 100, PLENTY).await.unwrap();
    assert_eq!(more.json()["added"], 100);
    let twice = cli::confirm(chain, order, PLENTY).await.unwrap_err();
    assert!(twice.to_string().contains("order 1 is confirmed already, since block"), "{twice}");
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
    let of_card = cli::Wish { card: Some(7), ..ticket_of(order) };
    let odd = cli::make(chain, &world.machine, &of_card, world.renter.clone()).await.unwrap_err();
    assert!(odd.to_string().contains("has not rented the card 7"), "{odd}");
    let later = cli::Wish { starts_in: 600, ..ticket_of(order) };
    let later = cli::make(chain, &world.machine, &later, world.renter.clone()).await.unwrap();
    let (from, to) = (later.json()["not_before"].as_u64(), later.json()["not_after"].as_u64());
    assert_eq!(to, from.map(|from| from + 3_600));
    world.follow(later.json()["link"].as_str().unwrap()).await.problem(403, "not-yet");
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
    // A tenth of a second, so that there is a slice.
    let (_, from, _) = client.frame().await;
    while client.frame().await.1.wrapping_sub(from) <= 9_000 {}
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
    forged.records.remove(0);
    let text = serde_json::to_string(&forged).unwrap();
    assert!(cli::verify(&world.machine, &text).unwrap().is_failure());
    cli::verify(&world.machine, "{}").unwrap_err();
}

/// What `nearlight ticket` is asked for.
pub(super) fn ticket_of(order: session::rental::RentId) -> cli::Wish {
    cli::Wish {
        rent_id: order,
        node: "http://node.test".to_owned(),
        allow: vec!["start".to_owned(), "play".to_owned()],
        uses: 1,
        starts_in: 0,
        lasts: 3_600,
        card: None,
    }
}
