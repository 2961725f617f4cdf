//! What players keep of games in real sandboxes, by the HTTP interface. Left out where this machine gives no
//! sandboxes, unless `NEARLIGHT_HOST` says that it must.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::Method;
use common::{Ask, Bent, OPERATOR, Reply, Session, ask, config, create_with, until};
use nearlight::encoders::Probing;
use nearlight::games;
use nearlight::node::Node;
use serde_json::{Value, json};

/// Adds a line that no other start adds, in one step; then plays until it is asked to end, which it says in a file.
const DIARY: &str = "\
trap 'echo asked > ended; exit 0' TERM
touch diary
cp diary .new
head -c 8 /dev/urandom | od -An -tx1 >> .new
mv .new diary
while :; do sleep 0.1 & wait $!; done
";
/// The same until it kills itself.
const CRASHES: &str = "\
touch diary
cp diary .new
head -c 8 /dev/urandom | od -An -tx1 >> .new
mv .new diary
kill -KILL $$
";
/// Never ends by itself.
const STUBBORN: &str = "\
trap '' TERM
echo here > diary
while :; do sleep 0.1; done
";
/// Does nothing.
const IDLE: &str = "exec sleep 1000\n";
/// Writes all the time.
const RESTLESS: &str = "while :; do echo on >> diary; done\n";

/// Looks for what the node keeps to itself, and for a way out. The node's folders lie in `/tmp`.
const NOSY: &str = "ls -aR /tmp > /dev/null\nunshare -n true\nexec sleep 1000\n";

/// The game that is started ahead of its players.
const AHEAD: &str = "ahead";

/// A secret, as an open node wants it.
const ANNE: &str = "0123456789abcdef0123456789abcdef";
const BOB: &str = "fedcba9876543210fedcba9876543210";

struct Bed {
    node: Arc<Node>,
    clock: Arc<Bent>,
    state: tempfile::TempDir,
    _run: tempfile::TempDir,
    _games: tempfile::TempDir,
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A node with these games, and nothing else; none where it can have no sandboxes.
fn bed(overrides: &[&str], scripts: &[(&str, &str)]) -> Option<Bed> {
    static BEDS: AtomicU32 = AtomicU32::new(0);
    // Where `NOSY` looks.
    let folder = || tempfile::tempdir_in("/tmp").unwrap();
    let (state, run, games) = (folder(), folder(), folder());
    open_to_all(run.path());
    open_to_all(games.path());
    for (id, script) in scripts {
        let folder = games.path().join(id);
        fs::create_dir(&folder).unwrap();
        open_to_all(&folder);
        // Nothing is started ahead that draws nothing.
        let program = match *id {
            AHEAD => {
                "command = \"xterm\"\narguments = [\"-e\", \"/bin/sh\", \"{entry}/play.sh\"]\nwarm = 1\n\
                 warm_settle_ms = 100"
            }
            _ => "command = \"/bin/sh\"\narguments = [\"{entry}/play.sh\"]",
        };
        let entry = format!(
            "title = \"{id}\"\nsummary = \"-\"\ngenre = \"puzzle\"\nlicence = \"-\"\n{program}\n\
             saves = [\"diary\", \"ended\"]\nstop_grace_ms = 60000\n\
             [[files]]\nfrom = \"first\"\nto = \"ended\"\n"
        );
        fs::write(folder.join("game.toml"), entry).unwrap();
        fs::write(folder.join("play.sh"), script).unwrap();
        fs::write(folder.join("first"), "not yet\n").unwrap();
    }
    let init = Path::new(env!("CARGO_BIN_EXE_nearlight")).with_file_name("nearlight-init");
    let first = 1_200_000_000
        + std::process::id() % 400_000 * 512
        + BEDS.fetch_add(1, Ordering::Relaxed) * 16;
    let ours = [
        format!("server.state_dir={}", state.path().display()),
        // Admission is tested elsewhere.
        "games.max_cpus=64.0".into(),
        format!("games.folders=[{:?}]", games.path()),
        format!("games.run={}", run.path().display()),
        format!("games.init={}", init.display()),
        format!("games.first_user={first}"),
        "games.users=16".into(),
        "sessions.connect=5m".into(),
    ];
    let all: Vec<_> = ours.iter().map(String::as_str).chain(overrides.iter().copied()).collect();
    let config = config(&all);
    let apps = games::apps(&config);
    assert_eq!(apps.len(), scripts.len());
    if let Some(missing) = apps.iter().find_map(|app| app.info().unavailable) {
        let must = std::env::var_os("NEARLIGHT_HOST").is_some_and(|value| value == "1");
        assert!(!must, "NEARLIGHT_HOST is set, and {missing}");
        println!("left out: {missing}");
        return None;
    }
    let clock = Bent::new();
    let node = clock.lead(Node::with_apps(config, None, apps, Probing::in_process()).unwrap());
    Some(Bed { node, clock, state, _run: run, _games: games })
}

/// A session that somebody plays.
struct Play {
    session: Session,
    game: String,
    player: String,
}

impl Bed {
    async fn start(&self, game: &str, player: &str, save: Option<&str>) -> Play {
        let video = json!({"width": 320, "height": 240, "fps": 10});
        let wish = json!({"app": game, "player": player, "save": save, "video": video});
        let session = create_with(&wish).of(&self.node).await.session();
        Play { session, game: game.into(), player: player.into() }
    }

    async fn show(&self, play: &Play) -> Reply {
        play.session.ask(Method::GET, "").bearer(&play.session.token).of(&self.node).await
    }

    /// Waits until the game runs, and yields what it began with.
    async fn begun(&self, play: &Play) -> Value {
        until("the game", async || {
            // Until then there is none to save.
            self.save(play).await.json().get("made").map(|_| ())
        })
        .await;
        self.show(play).await.json()["saves"].clone()
    }

    async fn save(&self, play: &Play) -> Reply {
        play.session.ask(Method::POST, "/save").bearer(&play.session.token).of(&self.node).await
    }

    /// Ends a session; its last state is saved when this is over.
    async fn end(&self, play: &Play) {
        let delete = play.session.ask(Method::DELETE, "").bearer(&play.session.token);
        let reply = delete.of(&self.node).await;
        assert_eq!(reply.status, 204, "{}", reply.text());
        self.over(play).await;
    }

    async fn over(&self, play: &Play) {
        until("the last state", async || {
            (self.list(&play.game, &play.player).await["playing"] == false).then_some(())
        })
        .await;
    }

    fn ask(&self, method: Method, game: &str, player: &str, below: &str) -> Ask {
        ask(method, &format!("/api/v1/catalogue/{game}/saves{below}"))
            .header("nearlight-player", player)
    }

    async fn list(&self, game: &str, player: &str) -> Value {
        let reply = self.ask(Method::GET, game, player, "").of(&self.node).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    async fn ids(&self, game: &str, player: &str) -> Vec<String> {
        let listed = self.list(game, player).await;
        let ids = listed["saves"].as_array().unwrap().iter();
        ids.map(|save| save["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The files of a version.
    async fn files(&self, game: &str, player: &str, id: &str) -> BTreeMap<String, String> {
        let reply = self.ask(Method::GET, game, player, &format!("/{id}")).of(&self.node).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type"), "application/x-tar");
        untar(&reply.body)
    }

    /// The archives on the disk, the oldest first.
    fn archives(&self) -> Vec<PathBuf> {
        let mut found = vec![self.state.path().join("saves")];
        for _ in 0..3 {
            let below = |folder: &PathBuf| {
                fs::read_dir(folder).into_iter().flatten().map(|each| each.unwrap().path())
            };
            found = found.iter().flat_map(below).filter(|path| path.is_dir()).collect();
        }
        found.sort();
        found.into_iter().map(|version| version.join("files.tar")).collect()
    }

    /// Waits until the game has added its line to `before`, saves it, and yields the diary.
    async fn written(&self, play: &Play, before: &str) -> String {
        until("a line in the diary", async || {
            let saved = self.save(play).await.json();
            let id = saved["save"].as_str()?;
            let files = self.files(&play.game, &play.player, id).await;
            let diary = files.get("diary")?.clone();
            (diary.len() > before.len() && diary.starts_with(before)).then_some(diary)
        })
        .await
    }
}

#[tokio::test]
async fn what_a_game_tries_in_vain_is_told_by_its_session_and_in_metrics() {
    let Some(bed) = bed(&[], &[("nosy", NOSY), ("idle", IDLE)]) else { return };
    let (nosy, idle) = (bed.start("nosy", ANNE, None).await, bed.start("idle", BOB, None).await);
    let counts = async || {
        let session = bed.show(&nosy).await.json();
        let of = |what: &str| {
            let attempts = session["attempts"].as_array()?;
            attempts.iter().find(|each| each["what"] == what)?["count"].as_u64()
        };
        of("files").zip(of("namespaces"))
    };
    // The folders of its state, of what is saved in it, and of sandboxes.
    let all = async || counts().await.filter(|&(files, namespaces)| files >= 3 && namespaces >= 1);
    assert_eq!(until("attempts", all).await, (3, 1));
    bed.begun(&idle).await;
    assert!(bed.show(&idle).await.json().get("attempts").is_none(), "the other tries nothing");
    bed.end(&nosy).await;
    bed.node.observe();
    let metrics = bed.node.metrics.encode().unwrap();
    for line in [
        "nearlight_game_attempts_total{kind=\"files\"} 3",
        "nearlight_game_attempts_total{kind=\"namespaces\"} 1",
        "nearlight_game_attempts_total{kind=\"mounts\"} 0",
    ] {
        assert!(metrics.lines().any(|each| each == line), "{metrics}");
    }
    assert_eq!(bed.show(&idle).await.json()["state"], "starting", "nobody else is harmed");
}

/// Files of an archive (POSIX.1-2001 ustar): its names here are short.
fn untar(mut archive: &[u8]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    while archive.first().is_some_and(|&byte| byte != 0) {
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            String::from_utf8(bytes[..end].to_vec()).unwrap()
        };
        let size = usize::from_str_radix(text(&archive[124..136]).trim(), 8).unwrap();
        files.insert(text(&archive[..100]), text(&archive[512..512 + size]));
        archive = &archive[512 + size.next_multiple_of(512)..];
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_goes_on_from_what_its_player_saved() {
    // A slow game may be saved often before it has written its line, and nothing is to be forgotten here.
    let Some(bed) = bed(&["saves.versions=1000"], &[("diary", DIARY)]) else { return };
    let first = bed.start("diary", ANNE, None).await;
    assert!(bed.begun(&first).await["restored"].is_null());
    let one = bed.written(&first, "").await;
    bed.end(&first).await;
    let ids = bed.ids("diary", ANNE).await;
    // Its last words after SIGTERM are in it.
    let last = bed.files("diary", ANNE, &ids[0]).await;
    assert_eq!((last["diary"].as_str(), last["ended"].as_str()), (one.as_str(), "asked\n"));
    let second = bed.start("diary", ANNE, None).await;
    assert_eq!(bed.begun(&second).await["restored"], ids[0].as_str());
    let two = bed.written(&second, &one).await;
    assert_eq!(two.lines().count(), 2);
    bed.end(&second).await;
    // From an older one.
    let third = bed.start("diary", ANNE, Some(&ids[0])).await;
    assert_eq!(bed.begun(&third).await["restored"], ids[0].as_str());
    let other = bed.written(&third, &one).await;
    assert!(other != two && other.lines().count() == 2);
    bed.end(&third).await;
    // From nothing; what was there stays.
    let before = bed.ids("diary", ANNE).await;
    let fourth = bed.start("diary", ANNE, Some("none")).await;
    assert!(bed.begun(&fourth).await["restored"].is_null());
    assert_eq!(bed.written(&fourth, "").await.lines().count(), 1);
    bed.end(&fourth).await;
    assert!(bed.ids("diary", ANNE).await.ends_with(&before));
    // Nobody else has any of it.
    assert_eq!(bed.ids("diary", BOB).await, [""; 0]);
    let absent = bed.ask(Method::GET, "diary", BOB, "/1").of(&bed.node).await;
    absent.problem(404, "unknown-save");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_saved_something_starts_anew_and_others_take_what_was_started_ahead() {
    let Some(bed) = bed(&[], &[(AHEAD, DIARY)]) else { return };
    bed.node.start_ahead().unwrap();
    let ready = async || {
        let text = bed.node.metrics.encode().unwrap();
        text.contains("nearlight_ahead_ready{app=\"ahead\"} 1").then_some(())
    };
    until("one is ready", ready).await;
    let anne = bed.start(AHEAD, ANNE, None).await;
    assert_eq!(bed.begun(&anne).await.get("restored"), None);
    assert_eq!(bed.show(&anne).await.json()["start"], "warm");
    bed.written(&anne, "").await;
    bed.end(&anne).await;
    // What was written before she came is hers, too.
    let newest = bed.ids(AHEAD, ANNE).await[0].clone();
    until("another is ready", ready).await;
    let anne = bed.start(AHEAD, ANNE, None).await;
    assert_eq!(bed.begun(&anne).await["restored"], newest);
    assert_eq!(bed.show(&anne).await.json()["start"], "cold");
    bed.end(&anne).await;
    // It is still there, for whoever has nothing or wants nothing of what there is.
    for (player, save) in [(BOB, None), (ANNE, Some("none"))] {
        until("one is ready", ready).await;
        let play = bed.start(AHEAD, player, save).await;
        assert_eq!(bed.begun(&play).await.get("restored"), None);
        assert_eq!(bed.show(&play).await.json()["start"], "warm", "{player}");
        bed.end(&play).await;
    }
    bed.node.shut_down(Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_save_is_refused_and_the_one_before_it_played() {
    let Some(bed) = bed(&[], &[("diary", DIARY)]) else { return };
    let mut before = String::new();
    for _ in 0..2 {
        let play = bed.start("diary", ANNE, None).await;
        before = bed.written(&play, &before).await;
        bed.end(&play).await;
    }
    let ids = bed.ids("diary", ANNE).await;
    let newest = bed.archives().pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    bytes[600] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    let play = bed.start("diary", ANNE, None).await;
    let told = bed.begun(&play).await;
    assert_eq!(told["restored"], ids[1].as_str());
    assert_eq!(told["refused"][0]["id"], ids[0].as_str());
    let reason = told["refused"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("damaged"), "{reason}");
    // Nobody else is told.
    bed.end(&play).await;
    let wrong = bed.ask(Method::GET, "diary", ANNE, &format!("/{}", ids[0])).of(&bed.node).await;
    assert!(wrong.problem(422, "damaged-save").contains("hash"), "{}", wrong.text());
    let restore = bed.ask(Method::POST, "diary", ANNE, &format!("/{}/restore", ids[0]));
    restore.of(&bed.node).await.problem(422, "damaged-save");
    assert_eq!(fs::read(&newest).unwrap(), bytes, "it is kept as it is");
    // All of them damaged: it begins afresh, and says so.
    for archive in bed.archives() {
        fs::write(archive, "").unwrap();
    }
    let count = bed.ids("diary", ANNE).await.len();
    let play = bed.start("diary", ANNE, None).await;
    let told = bed.begun(&play).await;
    assert!(told["restored"].is_null());
    assert_eq!(told["refused"].as_array().unwrap().len(), count);
    bed.end(&play).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_save_that_was_chosen_is_refused_and_the_newest_played() {
    let Some(bed) = bed(&["saves.versions=1000"], &[("diary", DIARY)]) else { return };
    let mut diary = String::new();
    for _ in 0..2 {
        let play = bed.start("diary", ANNE, None).await;
        diary = bed.written(&play, &diary).await;
        bed.end(&play).await;
    }
    let ids = bed.ids("diary", ANNE).await;
    // With others before it, and with none.
    for chosen in [&ids[1], &ids[ids.len() - 1]] {
        let all = bed.ids("diary", ANNE).await;
        let at = all.iter().rev().position(|id| id == chosen).unwrap();
        fs::write(&bed.archives()[at], "").unwrap();
        let play = bed.start("diary", ANNE, Some(chosen)).await;
        let told = bed.begun(&play).await;
        assert_eq!(told["restored"], all[0].as_str());
        let refused = told["refused"].as_array().unwrap();
        assert_eq!((refused.len(), &refused[0]["id"]), (1, &json!(chosen)));
        diary = bed.written(&play, &diary).await;
        bed.end(&play).await;
    }
    assert_eq!(diary.lines().count(), 4, "nothing of what was played is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_keeps_the_last_state_and_what_was_there() {
    let Some(bed) = bed(&[], &[("crashes", CRASHES)]) else { return };
    // It crashes at once, however long that takes here.
    bed.clock.crawl();
    let mut lines = Vec::new();
    for starts in 1..=2 {
        let play = bed.start("crashes", ANNE, None).await;
        // Nobody looks: the thread that waits for the end saves, and the session ends by itself.
        let ids = until("the last state", async || {
            Some(bed.ids("crashes", ANNE).await).filter(|ids| ids.len() == starts)
        })
        .await;
        bed.over(&play).await;
        let ended = async || Some(bed.save(&play).await).filter(|reply| reply.status == 410);
        let why = until("the end of the session", ended).await.problem(410, "ended-session");
        assert_eq!(why, "The game crashed at once (signal 9: it was killed).");
        let diary = bed.files("crashes", ANNE, &ids[0]).await["diary"].clone();
        assert_eq!(diary.lines().count(), starts);
        lines.push(diary);
    }
    assert!(lines[1].starts_with(&lines[0]));
    let ids = bed.ids("crashes", ANNE).await;
    assert_eq!(bed.files("crashes", ANNE, &ids[1]).await["diary"], lines[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_game_does_not_touch_is_not_saved() {
    let Some(bed) = bed(&[], &[("idle", IDLE), ("diary", DIARY)]) else { return };
    let play = bed.start("idle", ANNE, None).await;
    bed.begun(&play).await;
    let saved = bed.save(&play).await.json();
    assert_eq!(saved, json!({"made": false}));
    bed.end(&play).await;
    assert_eq!(bed.ids("idle", ANNE).await, [""; 0]);
    assert_eq!(fs::read_dir(bed.state.path().join("saves")).unwrap().count(), 0);
    // Nor is a session that nobody is named for.
    let video = json!({"width": 320, "height": 240, "fps": 10});
    let nobody =
        create_with(&json!({"app": "diary", "video": video})).of(&bed.node).await.session();
    assert!(
        bed.show(&Play { session: nobody.clone(), game: String::new(), player: String::new() })
            .await
            .json()["saves"]
            .is_null()
    );
    let save = nobody.ask(Method::POST, "/save").bearer(&nobody.token).of(&bed.node).await;
    assert!(save.problem(409, "conflict").contains("nothing is kept"));
    nobody.ask(Method::DELETE, "").bearer(&nobody.token).of(&bed.node).await;
    assert_eq!(fs::read_dir(bed.state.path().join("saves")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_writes_all_the_time_is_saved_whole_and_goes_on() {
    let Some(bed) = bed(&[], &[("restless", RESTLESS)]) else { return };
    let play = bed.start("restless", ANNE, None).await;
    bed.begun(&play).await;
    let mut last = 0;
    for _ in 0..5 {
        let diary = until("more in the diary", async || {
            // Without being halted it would change each time that it is read.
            let saved = bed.save(&play).await;
            assert_eq!(saved.status, 200, "{}", saved.text());
            let id = saved.json()["save"].as_str()?.to_owned();
            let diary = bed.files("restless", ANNE, &id).await.get("diary")?.len();
            (diary > last).then_some(diary)
        })
        .await;
        last = diary;
    }
    bed.end(&play).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_shuts_down_saves_games_that_do_not_end() {
    let Some(bed) = bed(&[], &[("stubborn", STUBBORN)]) else { return };
    let play = bed.start("stubborn", ANNE, None).await;
    bed.written(&play, "").await;
    let first = bed.ids("stubborn", ANNE).await;
    let delete = bed.ask(Method::DELETE, "stubborn", ANNE, &format!("/{}", first[0]));
    assert_eq!(delete.of(&bed.node).await.status, 204);
    bed.node.shut_down(Duration::from_millis(100)).await;
    // It had a minute by its entry.
    let listed = bed.list("stubborn", ANNE).await;
    assert_eq!(listed["playing"], false);
    let id = listed["saves"][0]["id"].as_str().unwrap();
    assert_eq!(bed.files("stubborn", ANNE, id).await["diary"], "here\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_save_is_made_the_newest_and_saves_are_deleted() {
    let Some(bed) = bed(&["saves.versions=3"], &[("diary", DIARY)]) else { return };
    let mut diaries = vec![String::new()];
    for _ in 0..2 {
        let play = bed.start("diary", ANNE, None).await;
        diaries.push(bed.written(&play, diaries.last().unwrap()).await);
        let ids = bed.ids("diary", ANNE).await;
        let restore = bed.ask(Method::POST, "diary", ANNE, &format!("/{}/restore", ids[0]));
        restore.of(&bed.node).await.problem(409, "conflict");
        bed.end(&play).await;
    }
    let ids = bed.ids("diary", ANNE).await;
    assert_eq!(ids.len(), 3, "no more are kept");
    let mut older = None;
    for id in &ids {
        let files = bed.files("diary", ANNE, id).await;
        if files["diary"] == diaries[1] {
            older.get_or_insert(id.clone());
        }
    }
    let older = older.unwrap();
    let restored = bed.ask(Method::POST, "diary", ANNE, &format!("/{older}/restore"));
    let restored = restored.of(&bed.node).await.json();
    assert_eq!(restored["made"], true);
    let newest = bed.ids("diary", ANNE).await[0].clone();
    assert_eq!(restored["save"], newest.as_str());
    assert_eq!(bed.files("diary", ANNE, &newest).await["diary"], diaries[1]);
    let listed = bed.list("diary", ANNE).await;
    let save = &listed["saves"][0];
    assert!(save["saved_at"].as_u64().unwrap() > 1_700_000_000_000, "{save}");
    assert!(save["bytes"].as_u64().unwrap() > 0 && save["files"].as_u64() == Some(2), "{save}");
    for id in bed.ids("diary", ANNE).await {
        let gone = bed.ask(Method::DELETE, "diary", ANNE, &format!("/{id}"));
        assert_eq!(gone.of(&bed.node).await.status, 204);
        let gone = bed.ask(Method::DELETE, "diary", ANNE, &format!("/{id}"));
        gone.of(&bed.node).await.problem(404, "unknown-save");
    }
    assert!(bed.archives().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_have_which_saves() {
    let Some(open) = bed(&[], &[("diary", DIARY)]) else { return };
    let list = |player: &str| open.ask(Method::GET, "diary", player, "");
    // On an open node the name is the secret.
    for short in ["anne", "anne@example.org"] {
        let detail = list(short).of(&open.node).await.problem(400, "bad-request");
        assert!(detail.contains("secret"), "{detail}");
        let detail = list(short).bearer(OPERATOR).of(&open.node).await.problem(400, "bad-request");
        assert!(detail.contains("secret"), "{detail}");
    }
    for bad in ["", "anne bob", "../../../../../../etc/passwd", &"x".repeat(129)] {
        list(bad).of(&open.node).await.problem(400, "bad-request");
    }
    let nobody = ask(Method::GET, "/api/v1/catalogue/diary/saves").of(&open.node).await;
    assert!(nobody.problem(400, "bad-request").contains("Nearlight-Player"));
    open.ask(Method::GET, "nonesuch", ANNE, "").of(&open.node).await.problem(404, "unknown-app");
    for id in ["0", "7", "01", "..", "x", "18446744073709551616"] {
        let one = |method, below: &str| open.ask(method, "diary", ANNE, &format!("/{id}{below}"));
        for asked in [one(Method::GET, ""), one(Method::DELETE, ""), one(Method::POST, "/restore")]
        {
            asked.of(&open.node).await.problem(404, "unknown-save");
        }
    }
    let wish = |key: &str, value: &str| create_with(&json!({"app": "diary", key: value}));
    for (asked, needle) in [
        (wish("player", "anne"), "player: on an open node"),
        (wish("save", "newest"), "save: \"newest\""),
        (wish("save", "1"), "nobody says who plays"),
    ] {
        let detail = asked.of(&open.node).await.problem(400, "bad-request");
        assert!(detail.contains(needle), "{detail}");
    }
    let absent = create_with(&json!({"app": "diary", "player": ANNE, "save": "1"}));
    absent.of(&open.node).await.problem(404, "unknown-save");
    assert!(open.node.registry.live().is_empty(), "nothing was started");
    // With tokens whoever has one names whom it likes, and nobody else does.
    let closed = bed(&["access.open=false"], &[("diary", DIARY)]).unwrap();
    let list = |player: &str| closed.ask(Method::GET, "diary", player, "");
    list(ANNE).of(&closed.node).await.problem(401, "unauthorized");
    list(ANNE).bearer("another").of(&closed.node).await.problem(401, "unauthorized");
    let reply = list("anne").bearer(OPERATOR).of(&closed.node).await;
    assert_eq!(reply.json(), json!({"saves": [], "playing": false}));
    // The session's own token saves it, and opens no list.
    let wish = json!({"app": "diary", "player": "anne", "video": {"width": 320, "height": 240}});
    let session = create_with(&wish).bearer(OPERATOR).of(&closed.node).await.session();
    list("anne").bearer(&session.token).of(&closed.node).await.problem(401, "unauthorized");
    session.ask(Method::POST, "/save").of(&closed.node).await.problem(401, "unauthorized");
    let save = || session.ask(Method::POST, "/save").bearer(&session.token);
    until("a save", async || {
        save().of(&closed.node).await.json()["save"].as_str().map(ToOwned::to_owned)
    })
    .await;
    session.ask(Method::DELETE, "").bearer(&session.token).of(&closed.node).await;
    save().of(&closed.node).await.problem(410, "ended-session");
    let reply = list("anne").bearer(OPERATOR).of(&closed.node).await;
    assert!(!reply.json()["saves"].as_array().unwrap().is_empty());
}
