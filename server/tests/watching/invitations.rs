//! Invitations that are taken back, are no good, or whose session has ended.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_invitation_sends_away_those_who_came_by_it() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let mut player = play(&node, &session).await;
    player.frame().await;
    let (first, text) = invite(&node, &session, json!({"role": "spectator"})).await;
    let (second, other) = invite(&node, &session, json!({"role": "co_player", "uses": 3})).await;
    let gone = join(&node, &text).await;
    let mut going = gone.watch(&node).await;
    going.frame().await;
    let stays = join(&node, &other).await;
    let mut staying = stays.watch(&node).await;
    staying.frame().await;
    let list = async || {
        let to = session.ask(Method::GET, "/invitations").bearer(&session.token);
        to.of(&node).await.json()
    };
    let listed = list().await;
    assert_eq!((&listed[0]["id"], &listed[0]["viewers"]), (&json!(first), &json!(1)));
    assert_eq!((&listed[1]["uses_left"], &listed[1]["role"]), (&json!(2), &json!("co_player")));
    assert!(listed[0].get("url").is_none() && !listed.to_string().contains(&text));
    let revoke = async |id: u64| {
        let path = format!("/invitations/{id}");
        session.ask(Method::DELETE, &path).bearer(&session.token).of(&node).await
    };
    assert_eq!(revoke(first).await.status, 204);
    assert_eq!(said(&mut going, "ended").await["reason"], "The player took the invitation back.");
    let late = gone.ask(Method::POST, "/whep").sdp(common::CHROMIUM).of(&node).await;
    assert_eq!(late.problem(410, "ended-session"), "The player took the invitation back.");
    let again = try_to_join(&node, &text).await;
    assert_eq!(again.problem(403, "invitation"), "the invitation was revoked");
    revoke(first).await.problem(404, "not-found");
    revoke(99).await.problem(404, "not-found");
    player.frame().await;
    staying.frame().await;
    let left = list().await;
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &json!(second)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_by_an_invitation_is_sent_away_even_if_it_was_used_up_long_ago() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let mut came = Vec::new();
    // More than are remembered once they are used up.
    for _ in 0..18 {
        let (id, text) = invite(&node, &session, json!({"role": "spectator", "uses": 1})).await;
        came.push((id, join(&node, &text).await));
    }
    for (id, viewer) in &came[..2] {
        let shown = async || viewer.ask(Method::GET, "").of(&node).await;
        assert_eq!(shown().await.status, 200);
        let path = format!("/invitations/{id}");
        let revoke =
            async || session.ask(Method::DELETE, &path).bearer(&session.token).of(&node).await;
        assert_eq!(revoke().await.status, 204);
        shown().await.problem(410, "ended-session");
        revoke().await.problem(404, "not-found");
    }
    assert_eq!(viewers(&node, &session).await.len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_invited_to_a_session_that_has_ended_meanwhile() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let entry = node.registry.find(&session.id).unwrap();
    let wish = serde_json::from_value(json!({"role": "spectator"})).unwrap();
    node.invite(&entry.id, &wish).unwrap();
    let end = session.ask(Method::DELETE, "").bearer(&session.token).of(&node).await;
    assert_eq!(end.status, 204);
    // As a request does that was let in a moment before.
    node.invite(&entry.id, &wish).unwrap_err();
    assert!(node.invitations_of(&entry.id).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_is_no_good_says_why() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let why = async |text: &str| try_to_join(&node, text).await.problem(403, "invitation");
    let (_, once) = invite(&node, &session, json!({"role": "spectator", "uses": 1})).await;
    let forged = "0".repeat(64);
    for wrong in [&forged, "", &once[1..], &session.token, &session.ticket] {
        assert!(why(wrong).await.contains("not known"), "{wrong}");
    }
    join(&node, &once).await;
    assert_eq!(why(&once).await, "the invitation was used as often as it may be");
    let (_, short) = invite(&node, &session, json!({"role": "spectator", "expires_in": 1})).await;
    until("its end", async || {
        let reply = try_to_join(&node, &short).await;
        (reply.status == 403).then(|| assert!(reply.text().contains("has expired")))
    })
    .await;
    let bad = [
        json!({}),
        json!({"role": "player"}),
        json!({"role": "spectator", "uses": 0}),
        json!({"role": "spectator", "expires_in": 0}),
        json!({"role": "spectator", "expires_in": -1}),
        json!({"role": "spectator", "more": 1}),
    ];
    for wish in bad {
        let to = session.ask(Method::POST, "/invitations").bearer(&session.token);
        to.json(wish.to_string()).of(&node).await.problem(400, "bad-request");
    }
    for _ in 0..14 {
        invite(&node, &session, json!({"role": "spectator"})).await;
    }
    let to = || session.ask(Method::POST, "/invitations").bearer(&session.token);
    // The one that was used up and the one that expired do not count.
    for _ in 0..2 {
        assert_eq!(to().json(r#"{"role":"spectator"}"#).of(&node).await.status, 201);
    }
    let full = to().json(r#"{"role":"spectator"}"#).of(&node).await;
    assert!(full.problem(409, "conflict").contains("as many invitations"));
    let (_, last) = {
        let other = create().of(&node).await.session();
        let made = invite(&node, &other, json!({"role": "spectator"})).await;
        other.ask(Method::DELETE, "").bearer(&other.token).of(&node).await;
        made
    };
    assert!(why(&last).await.contains("its session is over"));
}
