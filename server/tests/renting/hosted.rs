//! A hosted game whose lease ends, in a real sandbox. Left out where this machine gives none, unless `NEARLIGHT_HOST` says
//! that it must.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use axum::http::Method;
use keys::to_hex;
use nearlight::config::Config;
use nearlight::encoders::Probing;
use nearlight::games;
use nearlight::node::Node;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{OPERATOR, Session, ask, config, until};
use crate::player::{ended, join, said};
use crate::tenant::World;

/// Says in its diary that it began, and with its last breath that it was asked to end.
const DIARY: &str = "\
trap 'echo asked to end >> diary; exit 0' TERM
echo begun >> diary
while :; do sleep 0.1 & wait $!; done
";

/// What hosted games need of a node's settings, in folders that everybody may enter.
fn hosting(state: &Path, run: &Path, entries: &Path) -> Vec<String> {
    let open_to_all = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let game = entries.join("diary");
    fs::create_dir(&game).unwrap();
    [run, entries, &game].into_iter().for_each(open_to_all);
    let entry = "title = \"Diary\"\nsummary = \"-\"\ngenre = \"puzzle\"\nlicence = \"-\"\n\
        command = \"/bin/sh\"\narguments = [\"{entry}/play.sh\"]\n\
        saves = [\"diary\"]\nstop_grace_ms = 60000\n";
    fs::write(game.join("game.toml"), entry).unwrap();
    fs::write(game.join("play.sh"), DIARY).unwrap();
    let init = Path::new(env!("CARGO_BIN_EXE_nearlight")).with_file_name("nearlight-init");
    // Users of no other test that runs now.
    let first = 1_000_000_000 + std::process::id() % 300_000 * 512;
    vec![
        format!("server.state_dir={}", state.display()),
        "games.max_cpus=64.0".into(),
        format!("games.folders=[{entries:?}]"),
        format!("games.run={}", run.display()),
        format!("games.init={}", init.display()),
        format!("games.first_user={first}"),
        "games.users=16".into(),
    ]
}

/// A node that has games and nothing else.
fn of_games(config: Config) -> anyhow::Result<Arc<Node>> {
    let apps = games::apps(&config);
    Node::with_apps(config, None, apps, Probing::in_process())
}

/// What is kept of the game for the order's renter, the newest first.
async fn saves(world: &World) -> Vec<String> {
    let owner = to_hex(&Sha256::digest(world.account.0)[..16]);
    let owner = format!("{}.renter", owner.trim_start_matches("0x"));
    let list = ask(Method::GET, "/api/v1/catalogue/diary/saves").bearer(OPERATOR);
    let list = list.header("nearlight-player", &owner).of(&world.node).await;
    assert_eq!(list.status, 200, "{}", list.text());
    let list = list.json();
    let ids = list["saves"].as_array().unwrap().iter();
    // While it is played there may be one that is not the last.
    match list["playing"].as_bool() {
        Some(false) => ids.map(|save| save["id"].as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    }
}

async fn start(world: &World, token: &str) -> (Session, Value) {
    let video = json!({"width": 320, "height": 240, "fps": 10});
    let reply = world.start(token, &json!({"app": "diary", "video": video})).await;
    let session = reply.session();
    // It can be asked to end once it has written its line.
    until("the game", async || {
        let saved = session.ask(Method::POST, "/save").bearer(&session.token).of(&world.node).await;
        (saved.json()["made"] == true).then_some(())
    })
    .await;
    (session, reply.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_block_a_hosted_game_is_saved_and_its_stream_stops() {
    let folder = || tempfile::tempdir().unwrap();
    let (state, run, entries) = (folder(), folder(), folder());
    let settings = hosting(state.path(), run.path(), entries.path());
    let all: Vec<_> = settings.iter().map(String::as_str).collect();
    if let Some(missing) = games::apps(&config(&all)).iter().find_map(|app| app.info().unavailable)
    {
        let must = std::env::var_os("NEARLIGHT_HOST").is_some_and(|value| value == "1");
        assert!(!must, "NEARLIGHT_HOST is set, and {missing}");
        println!("left out: {missing}");
        return;
    }
    let world = World::of_node(settings, of_games).await;
    let order = world.rent(1, 300).await;
    world.confirm(order).await;
    let (session, _) = start(&world, &world.token(order).await).await;
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    let left = world.order(order).await.unwrap()["over_block"].as_u64().unwrap();
    let left = u32::try_from(left - world.block().await).unwrap();
    world.model.advance(left - 1);
    said(&mut client, "warning").await;
    client.frame().await;
    world.model.advance(1);
    let sentence = "The time that the machine was rented for is over.";
    assert_eq!(said(&mut client, "ended").await["reason"], sentence);
    assert_eq!(ended(&world.node, &session).await, sentence);
    let kept = until("the last state", async || {
        let kept = saves(&world).await;
        (!kept.is_empty()).then_some(kept)
    })
    .await;

    // The renter's next order goes on from it: the game had been asked to end, and its last words were kept.
    let next = world.rent(1, 300).await;
    world.confirm(next).await;
    let (again, _) = start(&world, &world.token(next).await).await;
    let shown = again.ask(Method::GET, "").bearer(&again.token).of(&world.node).await.json();
    assert_eq!(shown["saves"]["restored"], *kept[0]);
    let archive = state.path().join("saves");
    let mut found = vec![archive];
    let mut texts = Vec::new();
    while let Some(path) = found.pop() {
        if path.is_dir() {
            found.extend(fs::read_dir(path).unwrap().map(|each| each.unwrap().path()));
        } else if path.ends_with("files.tar") {
            texts.push(String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
        }
    }
    assert!(texts.iter().any(|text| text.contains("begun\nasked to end\n")), "{texts:?}");
    world.stop().await;
}
