//! Who reads and acknowledges receipts.

use axum::http::Method;
use media::DataChannel;
use serde_json::{Value, json};
use session::rental::Planck;

use crate::common::{self, OPERATOR, ask, until};
use crate::player::{ended, join, said};
use crate::tenant::{self, Guest, World, wish};

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
    // A node that is started anew reads the ends of what is closed, and lists the same.
    let all = world.receipts(OPERATOR).await;
    let world = world.again().await;
    assert_eq!(world.receipts(OPERATOR).await, all);
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
