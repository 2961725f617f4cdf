//! The HTTP interface: what it refuses and by what name, and what it says of itself.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use axum::http::Method;
use common::{CHROMIUM, OPERATOR, ask, config, create, create_with, node, open, until};
use encoder::{InProcess, Prober as _};
use media::input::{PointerButton, TouchPhase};
use media::{
    InputEvent, KeyCode, Pad, PadButtons, PadFinger, PadMotion, PadState, PadTouch, Pen, PenState,
    Plug, SequencedInput,
};
use nearlight::config::Config;
use nearlight::doctor;
use nearlight::encoders::Probing;
use nearlight::node::Node;
use nearlight::serve::Server;
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[tokio::test]
async fn a_wrong_wish_is_a_problem_that_says_what_is_wrong() {
    let node = node(&[]);
    let post = || ask(Method::POST, "/api/v1/sessions");
    for (text, needle) in [
        ("{", "EOF"),
        ("", "EOF"),
        ("[]", "NewSession"),
        ("{}", "app"),
        (r#"{"app": 7}"#, "string"),
        (r#"{"app": "pattern", "turbo": true}"#, "turbo"),
        (r#"{"app": "pattern", "video": {"depth": 3}}"#, "depth"),
        (r#"{"app": "pattern", "video": {"width": -2}}"#, "-2"),
        (r#"{"app": "pattern", "video": {"width": 641}}"#, "video.width"),
        (r#"{"app": "pattern", "video": {"height": 62}}"#, "video.height"),
        (r#"{"app": "pattern", "video": {"width": 4294967294}}"#, "video.width"),
        (r#"{"app": "pattern", "video": {"fps": 0}}"#, "video.fps"),
        (r#"{"app": "pattern", "video": {"fps": 100000}}"#, "video.fps"),
    ] {
        let detail = post().json(text).of(&node).await.problem(400, "bad-request");
        assert!(detail.contains(needle), "{text}: {detail}");
    }
    let detail =
        create_with(&json!({"app": "nonesuch"})).of(&node).await.problem(404, "unknown-app");
    assert!(detail.contains("nonesuch"), "{detail}");
    let detail = create_with(&json!({"app": "broken"})).of(&node).await.problem(503, "refused");
    assert_eq!(detail, "its file is truncated");
    let form = post().header("content-type", "text/plain").body(r#"{"app": "pattern"}"#);
    form.of(&node).await.problem(415, "media-type");
    let long = format!(r#"{{"app": "{}"}}"#, "x".repeat(10_000_000));
    post().json(long).of(&node).await.problem(413, "too-large");
    assert!(node.registry.live().is_empty(), "nothing was started");
}

/// A small session of `app`, in high dynamic range.
fn hdr(app: &str) -> common::Ask {
    create_with(&json!({"app": app, "video": {"width": 128, "height": 96, "hdr": true}}))
}

#[tokio::test]
async fn a_wish_for_hdr_is_refused_with_what_is_missing() {
    let node = node(&[r#"video.codecs=["h264"]"#]);
    let detail = hdr("pattern").of(&node).await.problem(503, "refused");
    assert_eq!(detail, r#"HDR10 is not drawn by "pattern""#);
    let detail = hdr("wide").of(&node).await.problem(503, "refused");
    assert!(detail.starts_with("HDR10 needs an encoder of 10 bits a sample: "), "{detail}");
    assert!(detail.contains("openh264: takes pictures as [Nv12], not as P010"), "{detail}");
    assert!(node.registry.live().is_empty(), "nothing was started");
    let plain = json!({"app": "wide", "video": {"width": 128, "height": 96}});
    let reply = create_with(&plain).of(&node).await;
    assert_eq!(reply.json()["video"]["hdr"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn hdr_goes_to_clients_that_decode_it_and_others_are_shown_standard_range() {
    let node = node(&[r#"video.codecs=["vp9", "h264"]"#]);
    let reply = hdr("wide").of(&node).await;
    assert_eq!(reply.json()["video"]["hdr"], true);
    let session = reply.session();
    // Chromium's formats, in the order in which it offers them.
    let vp9 = "a=rtpmap:102 VP9/90000\r\na=fmtp:102 profile-id=0\r\n\
        a=rtpmap:100 VP9/90000\r\na=fmtp:100 profile-id=2\r\n";
    let more = CHROMIUM
        .replace("96 97 98 99 108 109 35", "96 97 98 99 108 109 35 102 100")
        .replace("a=rtcp-rsize\r\n", &format!("a=rtcp-rsize\r\n{vp9}"));
    for (offer, wanted) in [
        (more.as_str(), "a=rtpmap:100 VP9/90000"),
        (CHROMIUM, "a=rtpmap:108 H264/90000"),
        (more.as_str(), "a=fmtp:100 profile-id=2"),
    ] {
        let offer = session.ask(Method::POST, "/whep").bearer(&session.token).sdp(offer.to_owned());
        let answer = offer.of(&node).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let text = answer.text();
        assert!(text.lines().any(|line| line == wanted), "no {wanted} in\n{text}");
        assert_eq!(text.matches("a=rtpmap:").count(), if wanted.contains("H264") { 2 } else { 1 });
    }
}

#[tokio::test]
async fn the_catalogue_is_searched_by_words() {
    let node = node(&[]);
    let found = |query: &'static str| {
        let node = node.clone();
        async move {
            let reply = ask(Method::GET, &format!("/api/v1/catalogue{query}")).of(&node).await;
            let entries = reply.json()["entries"].as_array().unwrap().clone();
            let ids = entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned());
            ids.collect::<Vec<_>>()
        }
    };
    let all = found("").await;
    assert!(all.len() > 5, "{all:?}");
    assert_eq!(found("?q=").await, all);
    assert_eq!(found("?q=PaTT").await, ["pattern"]);
    assert_eq!(found("?q=pat+ern").await, ["pattern"]);
    assert_eq!(found("?q=pattern+wide").await, Vec::<String>::new());
    let long = format!("/api/v1/catalogue?q={}", "x".repeat(201));
    let detail = ask(Method::GET, &long).of(&node).await.problem(400, "bad-request");
    assert!(detail.contains("200 bytes"), "{detail}");
}

#[tokio::test]
async fn a_session_without_a_screen_keeps_its_size_whatever_the_place_it_is_shown_in() {
    let node = node(&[]);
    let view = json!({"width": 500, "height": 300, "dpi": 96});
    let wish = json!({"app": "pattern", "view": view, "video": {"width": 128, "height": 96}});
    let video = create_with(&wish).of(&node).await.json()["video"].clone();
    assert_eq!((video["width"].as_u64(), video["height"].as_u64()), (Some(128), Some(96)));
    let wrong = json!({"app": "pattern", "view": {"width": -1, "height": 1, "dpi": 96}});
    create_with(&wrong).of(&node).await.problem(400, "bad-request");
}

#[tokio::test]
async fn wrong_addresses_and_methods_are_problems_too() {
    let node = node(&[]);
    for path in
        ["/nothing", "/api/v1/nothing", "/api/v2/sessions", "/../Cargo.toml", "/index.html/x"]
    {
        ask(Method::GET, path).of(&node).await.problem(404, "not-found");
    }
    for (method, path) in [
        (Method::PUT, "/api/v1/sessions"),
        (Method::POST, "/api/v1/catalogue"),
        (Method::DELETE, "/api/v1/node"),
        (Method::GET, "/api/v1/sessions/x/whep"),
    ] {
        ask(method, path).of(&node).await.problem(405, "method");
    }
    ask(Method::GET, "/api/v1/catalogue/nonesuch/poster")
        .of(&node)
        .await
        .problem(404, "unknown-app");
    ask(Method::GET, "/api/v1/sessions/%ff").of(&node).await.problem(400, "bad-request");
}

#[tokio::test]
async fn the_page_travels_compressed_and_secrets_do_not() {
    let node = node(&[]);
    let page = |encoding: &str| ask(Method::GET, "/").header("accept-encoding", encoding);
    let plain = page("identity").of(&node).await;
    assert_eq!((plain.status.as_u16(), plain.header("content-encoding")), (200, ""));
    for encoding in ["gzip", "br"] {
        let packed = page(encoding).of(&node).await;
        assert_eq!(packed.header("content-encoding"), encoding);
        assert_eq!(packed.header("vary"), "accept-encoding");
        assert!(packed.body.len() < plain.body.len(), "{} bytes", packed.body.len());
        let again = page(encoding).header("if-none-match", packed.header("etag")).of(&node).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    }
    // An answer with a token in it.
    let created = create().header("accept-encoding", "gzip, br").of(&node).await;
    assert_eq!((created.status.as_u16(), created.header("content-encoding")), (201, ""));
}

#[tokio::test]
async fn an_unknown_session_is_unknown_to_every_address() {
    let node = node(&[]);
    let stranger =
        common::Session { id: "0".repeat(32), token: String::new(), ticket: String::new() };
    for asked in [
        stranger.ask(Method::GET, ""),
        stranger.ask(Method::DELETE, ""),
        stranger.ask(Method::POST, "/whep").sdp(CHROMIUM),
        stranger.ask(Method::DELETE, "/whep/1"),
        stranger.ask(Method::POST, "/redeem").json(r#"{"ticket": "x"}"#),
    ] {
        asked.of(&node).await.problem(404, "unknown-session");
    }
}

#[tokio::test]
async fn an_ended_session_says_why_at_every_address() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let gone = session.ask(Method::DELETE, "").bearer(&session.token).of(&node).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    for asked in [
        session.ask(Method::GET, "").bearer(&session.token),
        session.ask(Method::DELETE, "").bearer(&session.token),
        session.ask(Method::POST, "/whep").bearer(&session.token).sdp(CHROMIUM),
        session.ask(Method::DELETE, "/whep/1").bearer(&session.token),
        session.ask(Method::POST, "/redeem").json(json!({"ticket": session.ticket}).to_string()),
        // Nobody learns more by leaving the token out.
        session.ask(Method::GET, ""),
    ] {
        let detail = asked.of(&node).await.problem(410, "ended-session");
        assert_eq!(detail, "The player ended the session.");
    }
    assert!(node.registry.live().is_empty());
}

#[tokio::test]
async fn a_session_that_nobody_joins_ends_and_says_so() {
    let node = node(&["sessions.connect=200ms"]);
    let session = create().of(&node).await.session();
    let detail = until("the end", async || {
        let reply = session.ask(Method::GET, "").of(&node).await;
        (reply.status == 410).then(|| reply.problem(410, "ended-session"))
    });
    assert_eq!(detail.await, "Nobody connected to the session.");
}

#[tokio::test]
async fn without_open_mode_every_change_of_state_needs_its_token() {
    let node = node(&["access.open=false"]);
    create().of(&node).await.problem(401, "unauthorized");
    create().bearer("wrong").of(&node).await.problem(401, "unauthorized");
    create()
        .header("authorization", "Basic b3BlcmF0b3I=")
        .of(&node)
        .await
        .problem(401, "unauthorized");
    create().header("authorization", "Bearer").of(&node).await.problem(401, "unauthorized");
    let one = create().bearer(OPERATOR).of(&node).await.session();
    let two = create().bearer(OPERATOR).of(&node).await.session();
    let reply = create().of(&node).await;
    assert_eq!(reply.header("www-authenticate"), "Bearer");

    for asked in [
        one.ask(Method::GET, ""),
        one.ask(Method::DELETE, ""),
        one.ask(Method::POST, "/whep").sdp(CHROMIUM),
        one.ask(Method::DELETE, "/whep/1"),
        one.ask(Method::GET, "").bearer(&two.token),
        one.ask(Method::DELETE, "").bearer(&two.token),
        one.ask(Method::DELETE, "").bearer(&one.ticket),
        one.ask(Method::DELETE, "").bearer(&"a".repeat(10_000)),
        one.ask(Method::POST, "/whep").bearer(&two.token).sdp(CHROMIUM),
        // A session's token makes no sessions and lists none.
        ask(Method::GET, "/api/v1/sessions").bearer(&one.token),
        ask(Method::GET, "/api/v1/sessions"),
        create().bearer(&one.token),
        // A ticket is for its session.
        one.ask(Method::POST, "/redeem").json(json!({"ticket": two.ticket}).to_string()),
        one.ask(Method::POST, "/redeem").json(json!({"ticket": one.token}).to_string()),
    ] {
        asked.of(&node).await.problem(401, "unauthorized");
    }
    let listed = ask(Method::GET, "/api/v1/sessions").bearer(OPERATOR).of(&node).await.json();
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|session| &session["id"]).collect();
    assert_eq!(ids, [&one.id, &two.id]);
    assert!(listed[0].get("token").is_none(), "a listing gives no token away: {listed}");
    assert_eq!(one.ask(Method::DELETE, "").bearer(&one.token).of(&node).await.status, 204);
    assert_eq!(two.ask(Method::DELETE, "").bearer(OPERATOR).of(&node).await.status, 204);
}

#[tokio::test]
async fn a_ticket_works_once() {
    let node = node(&["access.open=false"]);
    let session = create().bearer(OPERATOR).of(&node).await.session();
    let redeem =
        || session.ask(Method::POST, "/redeem").json(json!({"ticket": session.ticket}).to_string());
    let token = redeem().of(&node).await.json()["token"].as_str().unwrap().to_owned();
    assert_ne!(token, session.token);
    redeem().of(&node).await.problem(401, "unauthorized");
    assert_eq!(session.ask(Method::GET, "").bearer(&token).of(&node).await.status, 200);
    assert_eq!(session.ask(Method::DELETE, "").bearer(&token).of(&node).await.status, 204);
}

#[tokio::test]
async fn a_wrong_token_is_wrong_in_open_mode_too() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    session.ask(Method::DELETE, "").bearer("wrong").of(&node).await.problem(401, "unauthorized");
    ask(Method::GET, "/api/v1/sessions").of(&node).await.problem(401, "unauthorized");
    assert_eq!(session.ask(Method::DELETE, "").of(&node).await.status, 204);
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_unless_named() {
    let node = node(&["server.allowed_origins=[\"https://friend.test\"]"]);
    let from = |origin: &str| create().header("origin", origin);
    for origin in
        ["https://evil.test", "null", "http://node.test.evil.test", "", "http://node.test:81"]
    {
        from(origin).of(&node).await.problem(403, "foreign-origin");
    }
    from("https://friend.test").of(&node).await.session();
    // Whoever owns a name may let it lead here; without a token the page's own word is not enough.
    from("http://node.test").of(&node).await.problem(403, "foreign-origin");
    let closed = common::node(&["access.open=false"]);
    from("http://node.test").bearer(OPERATOR).of(&closed).await.session();
    let named = common::node(&["server.public_url=http://node.test"]);
    from("http://node.test").of(&named).await.session();
    let preflight = |origin: &str| {
        ask(Method::OPTIONS, "/api/v1/sessions")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
    };
    let friend = preflight("https://friend.test").of(&node).await;
    assert_eq!(friend.header("access-control-allow-origin"), "https://friend.test");
    // Also what a page sends that proves who rents the machine.
    let allowed = friend.header("access-control-allow-headers");
    for header in ["authorization", "nearlight-proof", "nearlight-signature", "nearlight-multisig"]
    {
        assert!(allowed.split(',').any(|each| each == header), "{allowed}");
    }
    let evil = preflight("https://evil.test").of(&node).await;
    assert_eq!(evil.header("access-control-allow-origin"), "");
}

/// HTTP/2 has no `Host`, which a browser speaks wherever there is TLS.
#[tokio::test]
async fn a_request_may_name_the_host_in_its_address() {
    let node = node(&["access.open=false"]);
    let wish = json!({"app": "pattern"}).to_string();
    let request = |origin: &str| {
        axum::http::Request::post("https://node.test:8443/api/v1/sessions")
            .header("authorization", format!("Bearer {OPERATOR}"))
            .header("content-type", "application/json")
            .header("origin", origin)
            .body(axum::body::Body::from(wish.clone()))
            .unwrap()
    };
    let send = async |origin: &str| {
        let response = nearlight::http::router(node.clone()).oneshot(request(origin)).await;
        response.expect("routers do not fail")
    };
    assert_eq!(send("https://evil.test").await.status(), 403);
    let made = send("https://node.test:8443").await;
    assert_eq!(made.status(), 201);
    let location = made.headers()["location"].to_str().unwrap();
    assert!(location.starts_with("http://node.test:8443/"), "{location}");
}

#[tokio::test]
async fn signalling_addresses_say_what_they_take() {
    let node = node(&["server.allowed_origins=[\"https://friend.test\"]"]);
    let session = create().of(&node).await.session();
    let asked = session
        .ask(Method::OPTIONS, "/whep")
        .header("origin", "https://friend.test")
        .header("access-control-request-method", "POST");
    let answer = asked.of(&node).await;
    assert_eq!((answer.status.as_u16(), answer.header("accept-post")), (200, "application/sdp"));
    assert_eq!(answer.header("access-control-allow-origin"), "https://friend.test");
    let bare = session.ask(Method::OPTIONS, "/whep").of(&node).await;
    assert_eq!(bare.header("accept-post"), "application/sdp");
    let other = ask(Method::OPTIONS, "/api/v1/sessions").of(&node).await;
    assert_eq!(other.header("accept-post"), "");
}

#[tokio::test]
async fn a_full_node_refuses_and_has_room_again() {
    let node = node(&["sessions.max=2"]);
    let one = create().of(&node).await.session();
    create().of(&node).await.session();
    let full = create().of(&node).await;
    assert!(full.problem(503, "refused").contains('2'), "{}", full.text());
    assert!(full.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    assert_eq!(one.ask(Method::DELETE, "").of(&node).await.status, 204);
    create().of(&node).await.session();
    let small = common::node(&["sessions.max_pixel_rate=400000"]);
    create().of(&small).await.session();
    create().of(&small).await.problem(503, "refused");
}

#[tokio::test]
async fn hostile_offers_are_refused_and_the_session_lives() {
    let node = node(&["sessions.connect=10m"]);
    let session = create().of(&node).await.session();
    let offer = |sdp: String| session.ask(Method::POST, "/whep").sdp(sdp);
    let whep = || session.ask(Method::POST, "/whep");
    offer(String::new()).of(&node).await.problem(400, "bad-offer");
    whep().json("{}").of(&node).await.problem(415, "media-type");
    whep().body(CHROMIUM).of(&node).await.problem(415, "media-type");
    let huge = CHROMIUM.repeat(10_000_000 / CHROMIUM.len() + 1);
    offer(huge).of(&node).await.problem(413, "too-large");
    whep().sdp(&b"v=0\r\n\xff\xfe"[..]).of(&node).await.problem(400, "bad-request");

    let media = CHROMIUM.find("m=").unwrap();
    let without = |prefix: &str| -> String {
        CHROMIUM.split_inclusive('\n').filter(|line| !line.starts_with(prefix)).collect()
    };
    let hostile = [
        (400, "\0".repeat(1000)),
        (400, "v=0".into()),
        (400, "v=0\r\n".repeat(5_000)),
        (400, "a".repeat(60_000)),
        (400, "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n".repeat(1_500)),
        // Odd, and all that is needed is there.
        (201, format!("{CHROMIUM}a={}\r\n", "x".repeat(30_000))),
        (400, CHROMIUM[media..].to_owned()),
        (406, CHROMIUM.replace("SAVPF", "AVP")),
        (406, CHROMIUM.replace("sendonly", "inactive").replace("recvonly", "inactive")),
        (406, CHROMIUM.replace("m=video", "m=audio")),
        (406, CHROMIUM.replace("H264", "H262").replace("VP8", "VP7")),
        (400, without("a=fingerprint")),
        (400, without("a=ice-ufrag")),
        (400, without("a=ice-pwd")),
        (400, without("a=mid")),
        (406, without("m=")),
    ];
    let answered = async |sdp: &str| {
        let reply = offer(sdp.to_owned()).of(&node).await;
        match reply.status.as_u16() {
            201 => assert!(reply.text().starts_with("v=0"), "{}", reply.text()),
            400 => drop(reply.problem(400, "bad-offer")),
            406 => drop(reply.problem(406, "unusable-offer")),
            _ => panic!("{} for {sdp:.200}", reply.status),
        }
        reply.status.as_u16()
    };
    for (expected, sdp) in &hostile {
        assert_eq!(answered(sdp).await, *expected, "{sdp:.200}");
    }
    for length in (0..CHROMIUM.len()).step_by(97) {
        // Cut anywhere it is refused, or what is left is enough.
        answered(&CHROMIUM[..length]).await;
    }
    let good = offer(CHROMIUM.to_owned()).of(&node).await;
    assert_eq!(good.status, 201, "{}", good.text());
    assert_eq!(good.header("content-type"), "application/sdp");
    let location = good.header("location").to_owned();
    let below = location.split_once(&session.id).expect("the session in its address").1;
    assert!(location.starts_with("http://node.test/api/v1/sessions/"), "{location}");

    let fragment = "application/trickle-ice-sdpfrag";
    let patch = |below: &str| session.ask(Method::PATCH, below).header("content-type", fragment);
    patch("/whep/999").body("").of(&node).await.problem(412, "precondition");
    patch(below)
        .header("if-match", "\"999\"")
        .body("")
        .of(&node)
        .await
        .problem(412, "precondition");
    session.ask(Method::PATCH, below).body("").of(&node).await.problem(415, "media-type");
    patch(below).body("x".repeat(100_000)).of(&node).await.problem(413, "too-large");
    let odd = patch(below).body("a=candidate:nonsense\r\n").of(&node).await;
    assert!(matches!(odd.status.as_u16(), 204 | 400), "{}", odd.text());
    session.ask(Method::DELETE, "/whep/999").of(&node).await.problem(412, "precondition");
    assert_eq!(session.ask(Method::DELETE, below).of(&node).await.status, 204);
}

#[tokio::test]
async fn an_offer_without_a_codec_of_ours_is_refused_with_the_reason() {
    let node = node(&["video.codecs=[\"h264\"]"]);
    let session = create().of(&node).await.session();
    let offer = async |sdp: String| session.ask(Method::POST, "/whep").sdp(sdp).of(&node).await;
    let strange = CHROMIUM.replace("H264", "H262").replace("VP8", "VP7");
    let detail = offer(strange).await.problem(406, "unusable-offer");
    assert!(detail.contains("offered: VP7, rtx, H262"), "{detail}");
    // A codec that we know, and none of our encoders may code.
    let vp8 = CHROMIUM.replace("H264", "H262");
    let detail = offer(vp8).await.problem(406, "unusable-offer");
    assert_eq!(detail, "this node can code H264; the client decodes VP8");
    assert_eq!(offer(CHROMIUM.to_owned()).await.status, 201);
}

#[tokio::test]
async fn addresses_in_answers_are_absolute_and_a_hostile_host_is_not_among_them() {
    let node = node(&["server.public_url=https://play.test/"]);
    let body = create().of(&node).await.json();
    for key in ["url", "whep_url", "play_url"] {
        assert!(body[key].as_str().unwrap().starts_with("https://play.test/"), "{body}");
    }
    let plain = common::node(&[]);
    let body = create().header("host", "evil.test/<script>").of(&plain).await.json();
    assert!(!body["url"].as_str().unwrap().contains('<'), "{body}");
}

#[test]
fn the_committed_openapi_document_is_that_of_the_code() {
    let committed = include_str!("../../client-web/openapi.json");
    assert!(
        committed == nearlight::http::openapi_json(),
        "client-web/openapi.json is out of date: run `make generate` and commit what it writes"
    );
}

#[tokio::test]
async fn the_node_serves_its_openapi_document() {
    let node = node(&[]);
    let served = ask(Method::GET, "/api/v1/openapi.json").of(&node).await.json();
    let generated: Value = serde_json::from_str(&nearlight::http::openapi_json()).unwrap();
    assert_eq!(served, generated);
}

#[test]
fn the_clients_input_vectors_mean_the_same_here() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../client-web/test/input-vectors.json")).unwrap();
    assert!(vectors.len() > 20);
    for vector in vectors {
        let hex = vector["hex"].as_str().unwrap();
        let wire: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let decoded = SequencedInput::decode(&wire).unwrap();
        assert_eq!(u64::from(decoded.seq.0), vector["seq"].as_u64().unwrap(), "{vector}");
        assert_eq!(decoded.event, event(&vector["event"]), "{vector}");
        let mut again = Vec::new();
        decoded.encode(&mut again);
        assert_eq!(again, wire, "{vector}");
    }
}

/// The event that the client's own notation stands for.
fn event(json: &Value) -> InputEvent {
    let number = |key: &str| json[key].as_i64().unwrap_or_else(|| panic!("{key} in {json}"));
    let pressed = || json["pressed"].as_bool().unwrap();
    match json["kind"].as_str().unwrap() {
        "key" => InputEvent::Key { code: KeyCode(number("code") as u16), pressed: pressed() },
        "button" => {
            use PointerButton::{Back, Forward, Left, Middle, Right};
            let button = [Left, Middle, Right, Back, Forward][number("button") as usize];
            InputEvent::Button { button, pressed: pressed() }
        }
        "absolute" => InputEvent::PointerAbsolute { x: number("x") as u16, y: number("y") as u16 },
        "relative" => InputEvent::PointerRelative {
            total_x: number("totalX") as i32,
            total_y: number("totalY") as i32,
        },
        "wheel" => InputEvent::Wheel { x: number("x") as i16, y: number("y") as i16 },
        "touch" => InputEvent::Touch {
            finger: number("finger") as u8,
            phase: match json["phase"].as_str().unwrap() {
                "start" => TouchPhase::Start,
                "move" => TouchPhase::Move,
                "end" => TouchPhase::End,
                "cancel" => TouchPhase::Cancel,
                other => panic!("{other}"),
            },
            x: number("x") as u16,
            y: number("y") as u16,
            pressure: number("pressure") as u16,
        },
        "text" => InputEvent::Text(json["text"].as_str().unwrap().into()),
        "release-all" => InputEvent::ReleaseAll,
        "gamepad" => {
            let each = |key: &str| -> Vec<i64> {
                json[key].as_array().unwrap().iter().map(|each| each.as_i64().unwrap()).collect()
            };
            let (axes, triggers) = (each("axes"), each("triggers"));
            InputEvent::Gamepad {
                pad: Pad::new(number("pad") as u8).unwrap(),
                state: PadState {
                    buttons: PadButtons::new(number("buttons") as u32).unwrap(),
                    axes: std::array::from_fn(|axis| axes[axis] as i16),
                    triggers: std::array::from_fn(|trigger| triggers[trigger] as u8),
                },
            }
        }
        "pen" => InputEvent::Pen(Pen {
            x: number("x") as u16,
            y: number("y") as u16,
            pressure: number("pressure") as u16,
            tilt: [number("tiltX") as i8, number("tiltY") as i8],
            twist: number("twist") as u16,
            state: PenState::new(number("state") as u8).unwrap(),
        }),
        "pad-motion" => {
            let three =
                |key: &str| std::array::from_fn(|at| json[key][at].as_i64().unwrap() as i16);
            let time_us = number("time") as u32;
            let motion = PadMotion { gyro: three("gyro"), accel: three("accel"), time_us };
            InputEvent::PadMotion { pad: Pad::new(number("pad") as u8).unwrap(), motion }
        }
        "pad-touch" => {
            let finger = |at: usize| {
                let part = |key: &str| json["fingers"][at][key].as_u64();
                let contact = part("contact")? as u8;
                Some(PadFinger { contact, x: part("x")? as u16, y: part("y")? as u16 })
            };
            let touch = PadTouch { pressed: pressed(), fingers: [finger(0), finger(1)] };
            InputEvent::PadTouch { pad: Pad::new(number("pad") as u8).unwrap(), touch }
        }
        "gamepad-plugged" => InputEvent::GamepadPlugged {
            pad: Pad::new(number("pad") as u8).unwrap(),
            plugged: match (json["plugged"].as_bool().unwrap(), json["dualSense"].as_bool()) {
                (false, _) => Plug::Out,
                (true, Some(true)) => Plug::DualSense,
                (true, _) => Plug::Standard,
            },
        },
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn metrics_are_openmetrics_and_count_sessions() {
    let node = node(&["sessions.max=1"]);
    let session = create().of(&node).await.session();
    create().of(&node).await.problem(503, "refused");
    let live = metrics(&node).await;
    assert_eq!(value(&live, "nearlight_sessions_started_total"), 1.0);
    assert_eq!(value(&live, "nearlight_sessions_refused_total"), 1.0);
    assert_eq!(value(&live, "nearlight_sessions_live"), 1.0);
    assert_eq!(session.ask(Method::DELETE, "").of(&node).await.status, 204);
    let over = metrics(&node).await;
    assert_eq!(value(&over, "nearlight_sessions_live"), 0.0);
    let ended = "nearlight_sessions_ended_total{reason=\"stopped_by_client\"}";
    assert_eq!(value(&over, ended), 1.0);
}

/// The samples of `/metrics`, checked line by line.
async fn metrics(node: &std::sync::Arc<Node>) -> Vec<(String, f64)> {
    let reply = ask(Method::GET, "/metrics").of_ops(node).await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.header("content-type").starts_with("application/openmetrics-text; version=1.0.0")
    );
    let text = reply.text();
    let samples = text.strip_suffix("# EOF\n").expect("OpenMetrics ends with # EOF");
    let mut described = Vec::new();
    let mut found = Vec::new();
    for line in samples.lines() {
        if let Some(description) = line.strip_prefix("# ") {
            let mut words = description.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE", "UNIT"].contains(&what), "{line}");
            described.push(name.to_owned());
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(described.iter().any(|family| name.starts_with(family)), "{line} is not described");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(value.is_finite(), "{line}");
        found.push((name.to_owned(), value));
    }
    found
}

fn value(samples: &[(String, f64)], name: &str) -> f64 {
    let found = samples.iter().find(|(sample, _)| sample == name);
    found.unwrap_or_else(|| panic!("no {name} in {samples:?}")).1
}

#[tokio::test]
async fn health_turns_when_no_session_can_start() {
    let node = node(&[]);
    let well = ask(Method::GET, "/healthz").of_ops(&node).await;
    assert_eq!((well.status.as_u16(), well.text()), (200, "ok\n"));
    node.shut_down(common::PATIENCE).await;
    let ill = ask(Method::GET, "/healthz").of_ops(&node).await;
    assert_eq!((ill.status.as_u16(), ill.text()), (503, "shutting down\n"));
    create().of(&node).await.problem(503, "refused");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["server.listen", "ops.listen"] {
        let config = config(&[&format!("{key}={address}")]);
        let error = Server::bind_with(config, open).await.err().expect("refused");
        let error = format!("{error:#}");
        assert!(error.contains(key) && error.contains(&address), "{error}");
    }
}

#[test]
fn no_encoder_at_all_is_an_error_with_every_reason() {
    let names: Vec<_> = encoder::candidates().iter().map(|candidate| candidate.name).collect();
    let forbid = format!("video.forbid_encoders={names:?}");
    let error = open(config(&[&forbid])).err().expect("refused");
    let error = format!("{error:#}");
    for name in names {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_missing_graphics_device_is_named() {
    let error = Node::open(config(&["render.device=nonesuch"]), Probing::in_process())
        .err()
        .expect("refused");
    let error = format!("{error:#}");
    assert!(error.starts_with("no graphics device: no Vulkan device"), "{error}");
    // Where there is any device, the one that was asked for is named and so are those that exist.
    assert!(error.contains("nonesuch") || error.contains("was found"), "{error}");
}

#[test]
fn the_doctor_lists_every_candidate() {
    let candidates = encoder::candidates();
    let probing = Probing::in_process();
    let (report, starts) = doctor::report(&Config::default(), &probing);
    assert!(starts, "{report}");
    for candidate in &candidates {
        assert!(report.contains(candidate.name), "{report}");
    }
    assert!(report.contains("graphics device") && report.contains("in use"), "{report}");
    let line = |report: &str, name: &str| {
        let mut lines = report.lines().filter(|line| line.trim_start().starts_with(name));
        lines.next().expect("a line of its own").trim_end().to_owned()
    };
    let sharing = line(&report, "shared memory");
    assert!(sharing.contains("in place") || sharing.contains("through the CPU: "), "{report}");
    if sharing.contains("in place") {
        let complete = line(&report, "picture complete");
        assert!(complete.contains("semaphore") || complete.contains("fence"), "{report}");
    }
    // With a driver or without, what NVENC says of itself.
    assert_eq!(candidates[0].name, "nvenc-h264");
    let nvenc = InProcess.probe(&candidates[..1]).remove(0);
    let row = line(&report, "nvenc-h264");
    assert!(row.contains(nvenc.reason()) && row.contains(" h264 "), "{report}");
    // The last one is compiled in, so that it works unless it is forbidden.
    let last = candidates.last().expect("some").name;
    let sound = line(&report, last);
    // How long it takes is the machine's affair, and so is whether it keeps up.
    assert!(sound.contains(" ok, ") || sound.contains(" takes "), "{report}");
    assert!(sound.contains(" ms "), "{report}");
    let forbid = format!("video.forbid_encoders=[\"{last}\"]");
    let (forbidden, _) = doctor::report(&config(&[&forbid]), &probing);
    assert!(line(&forbidden, last).ends_with("video.forbid_encoders names it"), "{forbidden}");
    // Settings that leave nothing are named, both of them.
    let settings = config(&["video.codecs=[\"av1\"]", &format!("video.encoder={last}")]);
    let (contradiction, starts) = doctor::report(&settings, &probing);
    let reason = "video.codecs has no h264, while video.encoder asks for it";
    assert!(line(&contradiction, last).ends_with(reason) && !starts, "{contradiction}");
    let (broken, starts) = doctor::report(&config(&["render.device=nonesuch"]), &probing);
    assert!(broken.contains("no Vulkan device") && !starts, "{broken}");
}
