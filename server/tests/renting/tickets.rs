//! What tickets allow, how often, and until when.

use axum::http::Method;
use serde_json::json;
use session::access::{TicketScope, UnixSeconds};
use session::rental::MachineId;

use crate::common::{self, OPERATOR, ask, until};
use crate::player::ended;
use crate::tenant::{Guest, World, wish};

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
    // His own token is forgotten: an operator looks.
    let session = common::Session { id: id.into(), token: OPERATOR.into(), ticket: String::new() };
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
async fn however_often_a_guest_enters_there_are_keys_for_others() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 600).await;
    world.confirm(order).await;
    let renter = world.token(order).await;
    let guest = world.redeem(&Guest::of(&world, order, |_| {})).await.json();
    let guest = guest["token"].as_str().unwrap();
    let made = world.start(guest, &wish(None)).await.json();
    let id = made["id"].as_str().unwrap();
    let enter = async |token: &str| {
        let enter = ask(Method::POST, &format!("/api/v1/lease/sessions/{id}/enter"));
        let reply = enter.bearer(token).of(&world.node).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["token"].as_str().unwrap().to_owned()
    };
    let own = enter(&renter).await;
    let other = world.redeem(&Guest::of(&world, order, |_| {})).await.json();
    let others = enter(other["token"].as_str().unwrap()).await;
    let mut keys = vec![made["token"].as_str().unwrap().to_owned()];
    for _ in 0..500 {
        keys.push(enter(guest).await);
    }
    enter(&renter).await;
    let opens = async |token: &str| {
        let at = format!("/api/v1/sessions/{id}");
        ask(Method::GET, &at).bearer(token).of(&world.node).await.status.as_u16()
    };
    // The newest of his own, and what the renter and another guest have: eight of guests.
    assert_eq!((opens(&own).await, opens(&others).await), (200, 200));
    let (old, new) = keys.split_at(keys.len() - 7);
    assert_eq!((opens(&old[old.len() - 1]).await, opens(&old[0]).await), (401, 401));
    assert_eq!((opens(&new[0]).await, opens(&new[6]).await), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_back_by_a_revoked_ticket_though_the_renter_entered_meanwhile() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 600).await;
    world.confirm(order).await;
    let renter = world.token(order).await;
    let made = world.start(&renter, &wish(None)).await.json();
    let id = made["id"].as_str().unwrap();
    let at = |below: &str| format!("/api/v1/sessions/{id}{below}");
    let enter = async |token: &str| {
        let enter = ask(Method::POST, &format!("/api/v1/lease/sessions/{id}/enter"));
        let reply = enter.bearer(token).of(&world.node).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    };
    let show = async |token: &str| ask(Method::GET, &at("")).bearer(token).of(&world.node).await;
    let resume = async |keys: &serde_json::Value| {
        let ticket = json!({"ticket": keys["resume_ticket"]}).to_string();
        ask(Method::POST, &at("/redeem")).json(ticket).of(&world.node).await
    };
    let ticket = Guest::of(&world, order, |_| {});
    let bearer = world.redeem(&ticket).await.json();
    let guests = enter(bearer["token"].as_str().unwrap()).await;
    let renters = enter(&renter).await;
    let guest = guests["token"].as_str().unwrap();
    assert_eq!(show(guest).await.status, 200);

    let revoke = format!("/api/v1/lease/tickets/{}", ticket.ticket.id);
    let revoked = ask(Method::DELETE, &revoke).bearer(&renter).of(&world.node).await;
    assert_eq!(revoked.status, 204);
    show(guest).await.problem(401, "unauthorized");
    let offer = ask(Method::POST, &at("/whep")).bearer(guest).sdp(common::CHROMIUM);
    offer.of(&world.node).await.problem(401, "unauthorized");
    let address = ask(Method::POST, &at("/webtransport")).bearer(guest);
    address.of(&world.node).await.problem(401, "unauthorized");
    resume(&guests).await.problem(401, "unauthorized");

    assert_eq!(show(renters["token"].as_str().unwrap()).await.status, 200);
    let again = resume(&renters).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(show(again.json()["token"].as_str().unwrap()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_watch_by_a_ticket_they_all_leave_with_it() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 600).await;
    world.confirm(order).await;
    let renter = world.token(order).await;
    let made = world.start(&renter, &wish(None)).await.json();
    let watcher = Guest::of(&world, order, |it| {
        it.scopes = session::access::TicketScopes::new([TicketScope::View]).unwrap();
    });
    let watching = world.redeem(&watcher).await.json();
    let watching = watching["token"].as_str().unwrap();
    let enter = format!("/api/v1/lease/sessions/{}/enter", made["id"].as_str().unwrap());
    let mut viewers = Vec::new();
    for _ in 0..20 {
        let reply = ask(Method::POST, &enter).bearer(watching).of(&world.node).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        viewers.push(reply.json());
    }
    let shown = async |viewer: &serde_json::Value| {
        let at = format!("/api/v1/viewers/{}", viewer["id"].as_str().unwrap());
        let token = viewer["token"].as_str().unwrap();
        ask(Method::GET, &at).bearer(token).of(&world.node).await
    };
    assert_eq!(shown(&viewers[0]).await.status, 200);
    let revoke = format!("/api/v1/lease/tickets/{}", watcher.ticket.id);
    let revoked = ask(Method::DELETE, &revoke).bearer(&renter).of(&world.node).await;
    assert_eq!(revoked.status, 204);
    for viewer in &viewers {
        shown(viewer).await.problem(410, "ended-session");
    }
}
