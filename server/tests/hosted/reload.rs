//! The folders of games are looked at again while games are played.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use host::devices::{Kernel, Node as DeviceNode};
use nearlight::encoders::Probing;
use nearlight::games::Library;
use nearlight::node::{Keys, Node};
use nearlight::registry::Entry;
use nearlight::saves::Begins;
use serde_json::{Value, json};

use crate::bed::{Bed, Game, bed, logged, open_to_all, terminal, write};
use crate::common::{PATIENCE, Session, ask, create_with, until};
use crate::player::{join, lives, state};

const ANNE: &str = "0123456789abcdef0123456789abcdef";
const BOB: &str = "fedcba9876543210fedcba9876543210";

/// What runs in their terminals.
const RUN: &str = "\"/bin/sh\", \"{entry}/play.sh\"";

/// A game that keeps which one it is, and draws.
fn game(id: &'static str, script: &'static str, more: &str) -> Game {
    let entry = terminal(RUN) + "saves = [\"which\"]\n" + more;
    Game { id, entry, file: ("play.sh", script) }
}

// In one step, so that there is one thing to save.
const OLD: &str = "echo the old one > .new; mv .new which; while :; do date; sleep 0.1; done\n";
const NEW: &str = "echo the new one > .new; mv .new which; while :; do date; sleep 0.1; done\n";
const WARM: &str = "warm = 1\nwarm_settle_ms = 100\n";

/// Has the node look again, as its operator does; what came of it.
async fn look(bed: &Bed) -> Value {
    let reply = ask(Method::POST, "/games").of_ops(bed.node()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn looked(listed: u32, added: u32, changed: u32, removed: u32, broken: u32) -> Value {
    json!({
        "listed": listed, "added": added, "changed": changed, "removed": removed, "broken": broken
    })
}

/// The entry of this id, if it is listed.
async fn listed(bed: &Bed, id: &str) -> Option<Value> {
    let catalogue = ask(Method::GET, "/api/v1/catalogue").of(bed.node()).await.json();
    let entries = catalogue["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["id"] == id).cloned()
}

/// Which one it is that is played.
async fn which(bed: &Bed, session: &Session, id: &str, player: &str) -> String {
    until("a game that has begun", async || {
        let kept = bed.kept(session, id, player).await?;
        let at = kept.find("the ")?;
        kept.get(at..at + 11).map(ToOwned::to_owned)
    })
    .await
}

fn metric(bed: &Bed, line: &str) -> bool {
    bed.node().metrics.encode().unwrap().lines().any(|each| each == line)
}

async fn ready(bed: &Bed) {
    until("one that is started ahead", async || {
        metric(bed, "nearlight_ahead_ready{app=\"ahead\"} 1").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn games_are_looked_at_again_and_sessions_keep_theirs() {
    let games = [game("played", OLD, ""), game("other", OLD, ""), game("ahead", OLD, WARM)];
    let Some(bed) = bed(&[], &games, |_| {}).await else { return };
    let session = bed.start("played", ANNE).await;
    let mut client = join(bed.node(), &session).await;
    client.frame().await;
    assert_eq!(which(&bed, &session, "played", ANNE).await, "the old one");
    ready(&bed).await;
    assert_eq!(look(&bed).await, looked(3, 0, 0, 0, 0), "nothing is new");

    // One is another now, one is broken, one is new; what stands ready of the fourth stays.
    let folder = bed.games.path();
    write(folder, &game("played", NEW, "stop_grace_ms = 2000\n"));
    fs::write(folder.join("other/game.toml"), "title = \"Other\"\ncolour = \"red\"\n").unwrap();
    write(folder, &game("third", NEW, ""));
    assert_eq!(look(&bed).await, looked(4, 1, 2, 0, 1));
    assert!(metric(&bed, "nearlight_ahead_ready{app=\"ahead\"} 1"));
    let told = logged(&["game cannot be played", "other/game.toml", "colour"]);
    assert_eq!(told.len(), 1, "{told:#?}");
    let other = listed(&bed, "other").await.unwrap();
    let why = other["unavailable"].as_str().unwrap();
    assert!(why.starts_with("its entry cannot be used: ") && why.contains("colour"), "{why}");
    assert_eq!((&other["title"], &other["saves"]), (&json!("other"), &json!(true)), "as it was");
    assert!(!why.contains(folder.to_str().unwrap()), "where it lies is the node's");
    let refused = create_with(&json!({"app": "other"})).of(bed.node()).await;
    assert_eq!(refused.problem(503, "refused"), why);
    let third = bed.start("third", BOB).await;
    assert_eq!(which(&bed, &third, "third", BOB).await, "the new one");

    // Who plays plays on, what was; who comes after has what is.
    client.frame().await;
    lives(bed.node(), &session).await;
    assert_eq!(which(&bed, &session, "played", ANNE).await, "the old one");
    let after = bed.start("played", BOB).await;
    assert_eq!(which(&bed, &after, "played", BOB).await, "the new one");
    client.frame().await;

    // One is gone though it is played, one is mended, and of one another stands ready then.
    fs::remove_dir_all(folder.join("third")).unwrap();
    write(folder, &game("other", NEW, ""));
    write(folder, &game("ahead", NEW, WARM));
    let entry = fs::read_to_string(folder.join("ahead/game.toml")).unwrap();
    fs::write(folder.join("ahead/game.toml"), entry.replace("\"-\"", "\"another\"")).unwrap();
    assert_eq!(look(&bed).await, looked(3, 0, 2, 1, 0));
    assert!(listed(&bed, "third").await.is_none());
    create_with(&json!({"app": "third"})).of(bed.node()).await.problem(404, "unknown-app");
    assert_eq!(state(bed.node(), &third).await, "starting", "nobody has joined it yet");
    let mut late = join(bed.node(), &third).await;
    late.frame().await;
    assert!(listed(&bed, "other").await.unwrap().get("unavailable").is_none());
    assert!(metric(&bed, "nearlight_ahead_ended_total{reason=\"replaced\"} 1"));
    ready(&bed).await;
    let warm = bed.start("ahead", ANNE).await;
    assert_eq!(which(&bed, &warm, "ahead", ANNE).await, "the new one");
    assert_eq!(bed.shown(&warm).await["start"], "warm");
    bed.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_wished_for_before_a_reload_is_of_one_entry_alone() {
    let old = "saves = [\"which\"]\n";
    let games = [Game { entry: terminal(RUN) + WARM + old, ..game("ahead", OLD, "") }];
    let Some(bed) = bed(&[], &games, |_| {}).await else { return };
    ready(&bed).await;
    let wish = || {
        let video = json!({"width": 320, "height": 240, "fps": 10});
        let wish = json!({"app": "ahead", "player": ANNE, "video": video, "save": "none"});
        serde_json::from_value(wish).unwrap()
    };
    let wished = bed.node().wished(wish()).unwrap();
    // The new one is another program with other saves, and one of it stands ready.
    let new = terminal("\"/bin/sh\", \"{entry}/new.sh\"") + WARM + "saves = [\"other\"]\n";
    let file = ("new.sh", "echo the new one > other; while :; do date; sleep 0.1; done\n");
    write(bed.games.path(), &Game { id: "ahead", entry: new, file });
    assert_eq!(look(&bed).await, looked(1, 0, 1, 0, 0));
    until("the old one to be put away", async || {
        metric(&bed, "nearlight_ahead_ended_total{reason=\"replaced\"} 1").then_some(())
    })
    .await;
    ready(&bed).await;
    let session = |(entry, keys): (Arc<Entry>, Keys)| Session {
        id: entry.id.as_str().to_owned(),
        token: keys.token,
        ticket: keys.ticket,
    };
    let first = bed.node().create_session(wished, Begins::Afresh).map(session).unwrap();
    assert_eq!(which(&bed, &first, "ahead", ANNE).await, "the old one");
    assert_eq!(bed.shown(&first).await["start"], "cold");
    assert_eq!(first.ask(Method::DELETE, "").of(bed.node()).await.status, 204);
    let wished = bed.node().wished(wish()).unwrap();
    let second = bed.node().create_session(wished, Begins::Afresh).map(session).unwrap();
    assert_eq!(which(&bed, &second, "ahead", ANNE).await, "the new one");
    assert_eq!(bed.shown(&second).await["start"], "warm");
    bed.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_of_a_game_that_is_gone_is_its_players_still() {
    let Some(bed) = bed(&[], &[game("gone", OLD, ""), game("stays", OLD, "")], |_| {}).await else {
        return;
    };
    let ours = |method, path: &str| {
        ask(method, &format!("/api/v1/{path}")).header("nearlight-player", ANNE)
    };
    let games = async |node: &Arc<Node>| ours(Method::GET, "saves").of(node).await.json();
    assert_eq!(games(bed.node()).await, json!({"games": []}));
    let session = bed.start("gone", ANNE).await;
    assert_eq!(which(&bed, &session, "gone", ANNE).await, "the old one");
    assert_eq!(session.ask(Method::DELETE, "").of(bed.node()).await.status, 204);
    let list = async || ours(Method::GET, "catalogue/gone/saves").of(bed.node()).await.json();
    until("its last state", async || (list().await["playing"] == false).then_some(())).await;
    let one = json!({"games": [{"app": "gone", "title": "gone", "saves": 1}]});
    assert_eq!(games(bed.node()).await, one);

    fs::remove_dir_all(bed.games.path().join("gone")).unwrap();
    assert_eq!(look(&bed).await, looked(1, 0, 0, 1, 0));
    let why = "It is not on offer here any more. What was saved of it is kept.";
    let mut left = one;
    left["games"][0]["unavailable"] = why.into();
    assert_eq!(games(bed.node()).await, left);
    let list = list().await;
    assert_eq!((&list["unavailable"], &list["playing"]), (&json!(why), &json!(false)));
    let id = list["saves"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("catalogue/gone/saves/{id}");
    let archive = ours(Method::GET, &path).of(bed.node()).await;
    assert_eq!(archive.status, 200);
    assert!(String::from_utf8_lossy(&archive.body).contains("the old one"));
    create_with(&json!({"app": "gone", "player": ANNE}))
        .of(bed.node())
        .await
        .problem(404, "unknown-app");
    // Nobody else is told that there is anything.
    let theirs = ask(Method::GET, "/api/v1/catalogue/gone/saves").header("nearlight-player", BOB);
    theirs.of(bed.node()).await.problem(404, "unknown-app");
    let unnamed = ask(Method::GET, "/api/v1/catalogue/gone/saves");
    unnamed.of(bed.node()).await.problem(404, "unknown-app");
    ask(Method::GET, "/api/v1/saves").of(bed.node()).await.problem(400, "bad-request");

    // A node that starts without any game that keeps something knows of them, too.
    let mut config = bed.node().config.clone();
    bed.server.shut_down().await;
    config.games.folders.clear();
    let node = Node::with_games(config.clone(), Library::new(&config), Probing::in_process());
    let node = node.unwrap();
    assert_eq!(games(&node).await, left);
    assert_eq!(ours(Method::DELETE, &path).of(&node).await.status, 204);
    assert_eq!(games(&node).await, json!({"games": []}));
    ours(Method::GET, "catalogue/gone/saves").of(&node).await.problem(404, "unknown-app");
}

/// A kernel that answers nothing before it may, as a disk that hangs does.
#[derive(Debug)]
struct Hangs {
    asked: Mutex<Sender<()>>,
    goes_on: Mutex<Receiver<()>>,
}

impl Kernel for Hangs {
    fn uinput(&self) -> Result<Box<dyn DeviceNode>, String> {
        // Whoever waited for it may have given up.
        let _ = self.asked.lock().unwrap().send(());
        let _ = self.goes_on.lock().unwrap().recv();
        Err("there is none".into())
    }
    fn uhid(&self) -> Result<Box<dyn DeviceNode>, String> {
        Err("there is none".into())
    }
    fn shown(&self) -> &Path {
        Path::new("/nowhere")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_is_refused_while_the_first_goes_on() {
    let Some(bed) = bed(&[], &[game("here", OLD, "")], |_| {}).await else { return };
    let mut config = bed.node().config.clone();
    bed.server.shut_down().await;
    let [folder, run] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    config.games.folders = vec![folder.path().to_owned()];
    config.games.run = run.path().to_owned();
    let ((asked, is_asked), (go_on, goes_on)) = (channel(), channel());
    let kernel = Hangs { asked: Mutex::new(asked), goes_on: Mutex::new(goes_on) };
    let library = Library::on(&config, Arc::new(kernel));
    // Without any games nothing is asked of the kernel.
    let node = Node::with_games(config, library, Probing::in_process()).unwrap();
    open_to_all(run.path());
    open_to_all(folder.path());
    write(folder.path(), &game("new", OLD, ""));
    let post = || ask(Method::POST, "/games");
    let ours = node.clone();
    let first = tokio::spawn(async move { post().of_ops(&ours).await });
    let hangs = tokio::task::spawn_blocking(move || is_asked.recv_timeout(PATIENCE).is_ok());
    if !rustix::process::geteuid().is_root() {
        println!("left out: only a node that is root makes devices");
        return;
    }
    assert!(hangs.await.unwrap(), "it looks");
    assert_eq!(post().of_ops(&node).await.status, 409);
    drop(go_on);
    let first = first.await.unwrap();
    assert_eq!((first.status.as_u16(), first.json()), (200, looked(1, 1, 0, 0, 0)));
    // Whoever comes after it is served again.
    let again = post().of_ops(&node).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, looked(1, 0, 0, 0, 0)));
}

#[tokio::test]
async fn pages_of_browsers_do_not_make_the_node_look() {
    let node = crate::common::node(&[]);
    let posted = || ask(Method::POST, "/games");
    let page = posted().header("origin", "http://elsewhere.test").of_ops(&node).await;
    assert_eq!(page.status, 403);
    // This one has no folders of games.
    assert_eq!(posted().of_ops(&node).await.status, 404);
}
