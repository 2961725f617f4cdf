//! Connections of HTTP that are more than there may be: which of them give way.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::Path;

use host::catalogue::GameId;
use host::saves::{HomePath, Owner, SaveLimits, Snapshot, Store};
use nearlight::config::Config;
use nearlight::encoders::Probing;
use nearlight::games::Library;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::common::OPERATOR;
use super::*;

/// Connects, or goes on, and asks for what has a short answer with nothing behind its head.
async fn asked(stream: &mut TcpStream, token: Option<&str>) -> String {
    let token = token.map_or_else(String::new, |it| format!("authorization: Bearer {it}\r\n"));
    let request = format!("HEAD /api/v1/sessions HTTP/1.1\r\nhost: x\r\n{token}\r\n");
    answered(stream, &request).await
}

/// Sends a request; yields the head of its answer.
async fn answered(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("no answer");
        answer.push(byte.expect("it is closed"));
    }
    String::from_utf8(answer).unwrap()
}

async fn closes(stream: &mut TcpStream) {
    let mut bytes = [0; 4_096];
    let end = async { while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(PATIENCE, end).await.expect("it is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_show_nothing_give_way_to_newer_ones_and_others_do_not() {
    let server = serve(&["access.open=false"]).await;
    let node = server.node();
    let (_, path) = session(node, create().bearer(OPERATOR)).await;
    let mut player = Client::connect(&server, &path, None).await.unwrap();
    player.begins().await;
    let connect = async || TcpStream::connect(server.address).await.unwrap();
    let mut known = connect().await;
    let answer = asked(&mut known, Some(OPERATOR)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Of one network 64 may show nothing; these ask with a wrong token.
    let stranger = async || {
        let mut stream = connect().await;
        let answer = asked(&mut stream, Some("wrong")).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        stream
    };
    let mut strangers = std::collections::VecDeque::new();
    for _ in 0..64 {
        strangers.push_back(stranger().await);
    }
    assert!(metric(node, "nearlight_http_gave_way_total 0"));
    // One that sends half a head, and never the rest.
    let mut slow = connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    closes(&mut strangers.pop_front().unwrap()).await;
    for _ in 0..63 {
        strangers.push_back(stranger().await);
        closes(&mut strangers.pop_front().unwrap()).await;
        // One that is silent for long is closed, too.
        asked(&mut known, None).await;
    }
    strangers.push_back(stranger().await);
    closes(&mut slow).await;
    // One that wants to play without a ticket.
    let refused = Client::connect(&server, "/api/v1/sessions/x/socket", None).await.err();
    assert_eq!(refused, Some(StatusCode::NOT_FOUND));
    closes(&mut strangers.pop_front().unwrap()).await;
    assert!(metric(node, "nearlight_http_gave_way_total 66"));
    asked(&mut known, None).await;
    player.frame().await;
    asked(strangers.back_mut().unwrap(), None).await;
    server.shut_down().await;
}

/// Whoever has a token, which on an open node is whoever makes a session.
#[tokio::test(flavor = "multi_thread")]
async fn connections_of_one_token_give_way_to_newer_ones_of_it_and_whoever_plays_does_not() {
    let server = serve(&[]).await;
    let node = server.node();
    let (crowded, path) = session(node, create()).await;
    let mut player = Client::connect(&server, &path, None).await.unwrap();
    player.begins().await;
    let (others, _) = session(node, create()).await;
    let connect = async || TcpStream::connect(server.address).await.unwrap();
    let (mut other, mut operator) = (connect().await, connect().await);
    let mut known = std::collections::VecDeque::new();
    for n in 0..40_u64 {
        let mut stream = connect().await;
        asked(&mut stream, Some(&crowded.token)).await;
        known.push_back(stream);
        // Of one token 32 may wait.
        let gone = (n + 1).saturating_sub(32);
        assert_eq!(count(node, "nearlight_http_known_gave_way_total"), gone);
        if gone > 0 {
            closes(&mut known.pop_front().unwrap()).await;
        }
        // One that is silent for long is closed, too. They are as old as before to one another.
        for stream in &mut known {
            asked(stream, Some(&crowded.token)).await;
        }
        asked(&mut other, Some(&others.token)).await;
        asked(&mut operator, Some(OPERATOR)).await;
        player.frame().await;
    }
    assert!(metric(node, "nearlight_http_gave_way_total 0"));
    asked(known.back_mut().unwrap(), None).await;
    server.shut_down().await;
}

/// Whose save the node has.
const ANNE: &str = "0123456789abcdef0123456789abcdef";

/// A server that has kept something of a game: more than kernel and node take while nobody reads.
async fn keeping(state: &Path) -> Server {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("long"), vec![7_u8; 12 << 20]).unwrap();
    let (from, paths) = (File::open(home.path()).unwrap(), [HomePath::parse("long").unwrap()]);
    let (now, game_version) = (Duration::from_secs(1), "1");
    let snapshot = Snapshot { home: from.as_fd(), paths: &paths, now, game_version, base: None };
    let store = Store::open(&state.join("saves"), SaveLimits::default()).unwrap();
    let game = GameId::parse("gone").unwrap();
    store.save(Owner { player: ANNE, game: &game }, &snapshot).unwrap();
    let config = common::config(&[&format!("server.state_dir={}", state.display())]);
    let open = |config: Config| {
        let library = Library::new(&config);
        Node::with_games(config, library, Probing::in_process())
    };
    Server::bind_with(config, open).await.unwrap()
}

/// Begins to download it without a token; yields how many bytes are to come.
async fn downloads(server: &Server) -> (TcpStream, usize) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let path = "/api/v1/catalogue/gone/saves/1";
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nnearlight-player: {ANNE}\r\n\r\n");
    let answer = answered(&mut stream, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let length = answer.lines().find_map(|line| line.strip_prefix("content-length: "));
    (stream, length.expect("a length").parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_without_a_token_gives_way_to_downloads_alone() {
    let state = tempfile::tempdir().unwrap();
    let server = keeping(state.path()).await;
    let node = server.node();
    let (mut oldest, _) = downloads(&server).await;
    let mut others = Vec::new();
    for _ in 1..32 {
        others.push(downloads(&server).await);
    }
    // As many as there may be that show nothing, beside them, but for the one that comes next.
    let mut strangers = Vec::new();
    for _ in 0..63 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        asked(&mut stream, None).await;
        strangers.push(stream);
    }
    assert!(metric(node, "nearlight_http_gave_way_total 0"));
    // Of one network 32 may carry something.
    others.push(downloads(&server).await);
    closes(&mut oldest).await;
    assert!(metric(node, "nearlight_http_gave_way_total 1"), "the oldest download alone");
    let (mut next, length) = others.swap_remove(0);
    let mut whole = vec![0_u8; length];
    let read = tokio::time::timeout(PATIENCE, next.read_exact(&mut whole)).await;
    read.expect("it stands still").expect("it is cut off");
    drop((others, strangers));
    server.shut_down().await;
}
