//! The node under test, in this process or in a child of its own, and the games that it hosts.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;
use media::Clock;
use server::apps::App;
use server::config::{Config, PresetName};
use server::encoders::Probing;
use server::games;
use server::node::Node;
use server::serve::Server;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::watch::{Log, Watched};
use super::{args, system};

/// Catalogue ids: our own painter, the game as it is shipped, the same started ahead, the same on a level without monsters,
/// a terminal.
pub(crate) const PAINTER: &str = "painter";
pub(crate) const DOOM: &str = "freedoom";
pub(crate) const WARM: &str = "freedoom-warm";
pub(crate) const LEVEL: &str = "freedoom-level";
pub(crate) const TERMINAL: &str = "terminal";
/// Name of the node's network threads.
pub(crate) const SERVER: &str = "net";

const PAINTER_TOML: &str = r#"
title = "Painter"
summary = "A landscape that moves 60 times a second."
genre = "simulation"
licence = "The project's own."
command = "env"
arguments = ["{entry}/painter"]
stop_grace_ms = 100
[display]
integer_motion = true
[limits]
cpus = 1.0
memory_mib = 128
processes = 16
home_mib = 1
"#;

/// What a node is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its pictures are looked at, which costs a little.
    Watched,
    /// The same, and one game is started ahead of its players.
    Ahead,
    /// Nothing but what it takes, with this preset; everybody is let in.
    Alone(PresetName),
}

/// A node on loopback. Dropping it ends what it hosts.
pub(crate) struct Hosting {
    runtime: Option<Runtime>,
    server: Option<Server>,
    /// What its games were seen to show.
    pub(crate) log: Log,
    _folders: [TempDir; 2],
}

/// A runtime whose threads have this name.
pub(crate) fn runtime(name: &str) -> Result<Runtime> {
    let built = Builder::new_multi_thread().thread_name(name).enable_all().build();
    built.context("cannot start a runtime")
}

impl Hosting {
    /// Starts serving; every game has Xorg where that is asked for.
    pub(crate) fn start(purpose: Purpose, xorg: bool) -> Result<Self> {
        let watched = matches!(purpose, Purpose::Watched | Purpose::Ahead);
        let runtime = runtime(SERVER)?;
        let games = folder(xorg).context("no folder of games")?;
        let mut config = Config::default();
        config.server.listen = ([127, 0, 0, 1], 0).into();
        config.ops.listen = ([127, 0, 0, 1], 0).into();
        config.webrtc.udp_port = 0;
        config.access.open = true;
        config.games.folders = vec![games.path().into()];
        if !xorg {
            config.games.folders.push(system::repository().join("games"));
        }
        config.games.max_warm = u32::from(purpose == Purpose::Ahead);
        // What it measured before is no part of what is measured now.
        let state = TempDir::with_prefix("nearlight-state-")?;
        config.server.state_dir = state.path().into();
        if let Purpose::Alone(preset) = purpose {
            config.video.preset = preset;
            // Admission is not what is measured there.
            config.games.max_cpus = 64.0;
        }
        let log = Log::default();
        let watching = log.clone();
        let open = move |config: Config| {
            let mut apps = games::apps(&config);
            if watched {
                let watch = |game| Arc::new(Watched::new(game, watching.clone())) as Arc<dyn App>;
                apps = apps.into_iter().map(watch).collect();
            }
            let mut probing = Probing::in_process();
            // What the figures are about.
            probing.candidates.retain(|candidate| candidate.name == "x264");
            Node::with_apps(config, None, apps, probing)
        };
        let server = runtime.block_on(Server::bind_with(config, open))?;
        Ok(Self { runtime: Some(runtime), server: Some(server), log, _folders: [games, state] })
    }

    fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("the node was stopped")
    }

    /// Where its interface is.
    pub(crate) fn url(&self) -> Result<String> {
        Ok(self.server()?.url())
    }

    /// Its media clock.
    pub(crate) fn clock(&self) -> Result<Arc<dyn Clock>> {
        Ok(self.server()?.node().clock.clone())
    }

    /// Whether one of this entry is ready that was started ahead.
    pub(crate) fn ready(&self, id: &str) -> Result<bool> {
        let text = self.server()?.node().metrics.encode()?;
        Ok(text.contains(&format!("nearlight_ahead_ready{{app=\"{id}\"}} 1")))
    }

    /// Whether this can be played, else the reason.
    pub(crate) fn plays(&self, id: &str) -> Result<()> {
        let entry = self.server()?.node().catalogue.find(id).context("the game is not listed")?;
        match entry.app.info().unavailable {
            Some(reason) => bail!("{reason}"),
            None => Ok(()),
        }
    }
}

impl Drop for Hosting {
    fn drop(&mut self) {
        if let (Some(runtime), Some(server)) = (self.runtime.take(), self.server.take()) {
            runtime.block_on(server.shut_down());
        }
    }
}

/// The games that are made here: readable by the users that games run as.
fn folder(xorg: bool) -> Result<TempDir> {
    let shown = if xorg { "touch = \"multi\"\n" } else { "" };
    let folder = TempDir::with_prefix("nearlight-games-")?;
    open_to_all(folder.path())?;
    let painter = folder.path().join(PAINTER);
    fs::create_dir(&painter)?;
    fs::write(painter.join("game.toml"), format!("{shown}{PAINTER_TOML}"))?;
    let built = std::env::current_exe()?.with_file_name("bench-painter");
    fs::copy(&built, painter.join("painter"))
        .with_context(|| format!("{} was not built", built.display()))?;
    open_to_all(&painter)?;
    // Straight to where something moves, and where nobody ends the game.
    let into_the_level = ["\"-nogui\"", "\"-nogui\", \"-warp\", \"1\", \"1\", \"-nomonsters\""];
    let same = ["title"; 2];
    let mut copies = vec![(LEVEL, DOOM, into_the_level), (WARM, DOOM, ["warm = 0", "warm = 1"])];
    if xorg {
        copies.extend([DOOM, TERMINAL].map(|id| (id, id, same)));
    }
    for (id, of, [shipped, changed]) in copies {
        let to = folder.path().join(id);
        fs::create_dir(&to)?;
        for file in fs::read_dir(system::repository().join("games").join(of))? {
            let file = file?;
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
        let toml = fs::read_to_string(to.join("game.toml"))?;
        anyhow::ensure!(toml.contains(shipped), "{of}/game.toml has no {shipped}");
        let toml = format!("{shown}{}", toml.replacen(shipped, changed, 1));
        fs::write(to.join("game.toml"), toml)?;
        open_to_all(&to)?;
    }
    Ok(folder)
}

fn open_to_all(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// What the child does: serves, says where, and stops when its input ends.
pub(crate) fn serve_until_stdin_ends(preset: PresetName) -> Result<()> {
    let hosting = Hosting::start(Purpose::Alone(preset), false)?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", hosting.url()?)?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A node in a process of its own, with nothing of the bench in it. Dropping it stops it.
pub(crate) struct ChildNode {
    child: Child,
    input: Option<ChildStdin>,
    pub(crate) url: String,
}

impl ChildNode {
    /// Starts it, with the preset that sessions have, and waits until it serves.
    pub(crate) fn start() -> Result<Self> {
        Self::start_as(args::Child::Node)
    }

    /// The same with the preset that `kind` says.
    pub(crate) fn start_as(kind: args::Child) -> Result<Self> {
        let kind = kind.to_possible_value().context("it is no node")?;
        let program: PathBuf = std::env::current_exe()?;
        let mut child = Command::new(program)
            .args(["--child", kind.get_name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the node's process does not start")?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("the node's process has no output")?;
        let mut node = Self { child, input, url: String::new() };
        BufReader::new(output).read_line(&mut node.url)?;
        node.url.truncate(node.url.trim_end().len());
        if node.url.is_empty() {
            bail!("the node's process does not serve; what it says is above");
        }
        Ok(node)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ChildNode {
    fn drop(&mut self) {
        // It has a grace of its own for its sessions, and then ends.
        self.input = None;
        let _ = self.child.wait();
    }
}
