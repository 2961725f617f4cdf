//! A served node with games that are made for a test, and what players have of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use host::confine::Mark;
use host::confine::cgroup::{Controller, Tree};
use nearlight::config::{Config, GameConvert};
use nearlight::encoders::Probing;
use nearlight::games::{self, Library};
use nearlight::node::Node;
use nearlight::serve::Server;
use render::device::{GpuOptions, GpuPool};
use serde_json::{Value, json};

use crate::common::{Bent, Session, ask, config, create_with};
use crate::player::client::Client;

/// What this process has logged, as text.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines of the log in which all of this stands.
pub fn logged(words: &[&str]) -> Vec<String> {
    let text = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    let is_meant = |line: &&str| words.iter().all(|word| line.contains(word));
    text.lines().filter(is_meant).map(ToOwned::to_owned).collect()
}

/// Processes of this machine whose command has this word.
pub fn processes(word: &str) -> BTreeSet<u32> {
    let number = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&command).contains(word).then_some(number)
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(number).collect()
}

/// Folders of sandboxes of this game.
pub fn sandboxes(run: &Path, game: &str) -> Vec<PathBuf> {
    let below = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let all = below(run).flat_map(|mark| below(&mark.path())).map(|each| each.path());
    all.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(game)).collect()
}

/// Whether a control group bounds this here; a machine that must run everything must have it.
pub fn is_bounded(controller: Controller) -> bool {
    let tree = Tree::find(&Mark::own().unwrap());
    let has = tree.as_ref().is_ok_and(|tree| tree.has(controller));
    let must = std::env::var_os("NEARLIGHT_HOST").is_some_and(|value| value == "1");
    assert!(has || !must, "NEARLIGHT_HOST is set, and {tree:?}");
    if !has {
        println!("left out: {controller:?} is not bounded here: {tree:?}");
    }
    has
}

/// So many pictures that were made from now on: what came before is dropped.
pub async fn pictures(client: &mut Client, many: usize) {
    while client.arrived.try_recv().is_ok() {}
    for _ in 0..many {
        client.frame().await;
    }
}

/// A game: its id, what its entry says beside its head, and a file of its folder.
pub struct Game {
    pub id: &'static str,
    pub entry: String,
    pub file: (&'static str, &'static str),
}

/// A terminal in which this command runs, given as elements of a list: what the command writes is drawn.
pub fn terminal(command: &str) -> String {
    format!(
        "command = \"xterm\"\npackage = \"xterm\"\narguments = [\"-maximized\", \"-e\", {command}]\n"
    )
}

/// A node that serves these games and nothing else.
pub struct Bed {
    pub server: Server,
    pub clock: Arc<Bent>,
    pub state: tempfile::TempDir,
    pub run: tempfile::TempDir,
    pub games: tempfile::TempDir,
    /// What converts pictures, where `games.convert` is `gpu`.
    pub gpu: Option<Arc<GpuPool>>,
}

/// Users that games run as pass through it.
pub fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Writes a game into a folder of games.
pub fn write(games: &Path, game: &Game) {
    let folder = games.join(game.id);
    fs::create_dir_all(&folder).unwrap();
    open_to_all(&folder);
    let head =
        format!("title = \"{}\"\nsummary = \"-\"\ngenre = \"puzzle\"\nlicence = \"-\"\n", game.id);
    fs::write(folder.join("game.toml"), head + &game.entry).unwrap();
    fs::write(folder.join(game.file.0), game.file.1).unwrap();
}

/// A node with these games; none where it can have no sandboxes. `prepare` is given its state folder before it starts.
pub async fn bed(overrides: &[&str], games: &[Game], prepare: impl FnOnce(&Path)) -> Option<Bed> {
    static BEDS: AtomicU32 = AtomicU32::new(0);
    // The first of the tests does it for all.
    let _ = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).try_init();
    let [state, run, folder] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    open_to_all(run.path());
    open_to_all(folder.path());
    games.iter().for_each(|game| write(folder.path(), game));
    prepare(state.path());
    let init = Path::new(env!("CARGO_BIN_EXE_nearlight")).with_file_name("nearlight-init");
    // Users of no other test that runs now.
    let first = 1_900_000_000
        + std::process::id() % 400_000 * 512
        + BEDS.fetch_add(1, Ordering::Relaxed) * 16;
    let ours = [
        format!("server.state_dir={}", state.path().display()),
        // Admission is tested elsewhere.
        "games.max_cpus=64.0".into(),
        format!("games.folders=[{:?}]", folder.path()),
        format!("games.run={}", run.path().display()),
        format!("games.init={}", init.display()),
        format!("games.first_user={first}"),
        "games.users=16".into(),
        "sessions.connect=5m".into(),
    ];
    let all: Vec<_> = ours.iter().map(String::as_str).chain(overrides.iter().copied()).collect();
    let config = config(&all);
    if let Some(missing) = games::apps(&config).iter().find_map(|app| app.info().unavailable) {
        let must = std::env::var_os("NEARLIGHT_HOST").is_some_and(|value| value == "1");
        assert!(!must, "NEARLIGHT_HOST is set, and {missing}");
        println!("left out: {missing}");
        return None;
    }
    let clock = Bent::new();
    let of_node = clock.clone();
    let open_gpu = || GpuPool::open(GpuOptions::default()).expect("tests need a Vulkan device");
    let gpu = (config.games.convert == GameConvert::Gpu).then(|| Arc::new(open_gpu()));
    let of_games = gpu.clone();
    let open = move |config: Config| {
        let library = Library::new(&config);
        let library = match of_games {
            Some(gpu) => library.with_gpu(gpu),
            None => library,
        };
        let node = Node::with_games(config, library, Probing::in_process());
        node.map(|node| of_node.lead(node))
    };
    let server = Server::bind_with(config, open).await.unwrap();
    Some(Bed { server, clock, state, run, games: folder, gpu })
}

impl Bed {
    pub fn node(&self) -> &Arc<Node> {
        self.server.node()
    }

    /// A session of this player, small.
    pub async fn start(&self, game: &str, player: &str) -> Session {
        let video = json!({"width": 320, "height": 240, "fps": 10});
        let wish = json!({"app": game, "player": player, "video": video});
        create_with(&wish).of(self.node()).await.session()
    }

    /// What the API says of a session.
    pub async fn shown(&self, session: &Session) -> Value {
        let reply = session.ask(Method::GET, "").bearer(&session.token).of(self.node()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Saves what the game has kept by now; what came of it.
    pub async fn save(&self, session: &Session) -> Value {
        let save = session.ask(Method::POST, "/save").bearer(&session.token);
        save.of(self.node()).await.json()
    }

    /// What the game has kept by now, all files after each other; nothing before there is something.
    pub async fn kept(&self, session: &Session, game: &str, player: &str) -> Option<String> {
        let saved = self.save(session).await;
        let id = saved["save"].as_str()?;
        let path = format!("/api/v1/catalogue/{game}/saves/{id}");
        let reply = ask(Method::GET, &path).header("nearlight-player", player);
        let reply = reply.of(self.node()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        Some(String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// Every file below the node's saves.
    pub fn saved_files(&self) -> Vec<PathBuf> {
        let mut found = vec![self.state.path().join("saves")];
        let mut files = Vec::new();
        while let Some(path) = found.pop() {
            if path.is_dir() {
                found.extend(fs::read_dir(path).unwrap().map(|each| each.unwrap().path()));
            } else {
                files.push(path);
            }
        }
        files
    }
}
