//! Selkies beside this node, in one run: what each process takes to capture, convert, code and send the same moving picture by
//! WebRTC, and the same level of a game, and how many players of that game the machine has for Selkies.
//!
//! Both are processes of their own, measured whole; the X server and the painter are others. Selkies has as many kilobits at the
//! most, codes with x264, too, by its quickest preset, and sends by WebRTC, to a player with Selkies' own stack
//! (`benches/selkies/player.py`). It has no sound then, no sandbox, and one process a player. `scripts/bench-selkies`
//! installs it.
//!
//! This node does as it does by itself for what is known to move by whole pixels, as both do. Beside that it is measured with
//! Selkies' preset, and with the one that it has for all else.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use media::{Bitrate, InputEvent, KeyCode};
use tempfile::TempDir;

use super::args::{Args, Child as Kind};
use super::capture::{FPS, SIZE};
use super::figures::{Findings, rank};
use super::node::{ChildNode, DOOM, LEVEL, PAINTER};
use super::peer::{Asked, Peer};
use super::threads::thread_times;
use super::{Bench, density, process, system};

/// How long Selkies may take to serve, and its first picture to come.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);
/// More players are not tried.
const MOST: usize = 8;
/// The interval that a player of `density` may have, of the nominal one.
const STEADY: f64 = 1.25;
/// X's name for the left arrow.
const LEFT: &str = "65361";
const MB: f64 = 1e6;

/// Plays the painter by both, then games by Selkies until they do not come steadily any more.
pub(crate) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let Some(installed) = Installed::find() else {
        findings.note("Selkies is not installed: run scripts/bench-selkies");
        return Ok(());
    };
    let ours = ours(bench, &ChildNode::start()?, PAINTER, None)?;
    ours.put(findings, "selkies.ours");
    let theirs = {
        let player = installed.play(&Game::painter(bench.args.kbps), &bench.args)?;
        player.measure(&bench.args)?
    };
    theirs.put(findings, "selkies");
    findings.put("selkies.cpu_of", "×", ours.cpu / theirs.cpu);
    findings.put("selkies.memory_of", "×", ours.memory / theirs.memory);
    others(bench, PAINTER, None, &theirs, "selkies", findings)?;
    level(bench, &installed, findings)?;
    players(&installed, &bench.args, findings)
}

/// What a process took while it played.
struct Cost {
    /// Milliseconds a picture.
    cpu: f64,
    /// Of these, our encoder's; none where the process has no threads of its name.
    coding: f64,
    /// Megabytes.
    memory: f64,
    frames: f64,
    rate: Bitrate,
}

impl Cost {
    fn of(pid: u32, window: Duration, came: impl Fn() -> Vec<(u64, u64)>) -> Result<Self> {
        let before = (process::cpu_time(pid)?, coding(pid)?);
        let began = Instant::now();
        drop(came());
        sleep(window);
        let (came, length) = (came(), began.elapsed());
        let spent = process::cpu_time(pid)?.saturating_sub(before.0);
        let coding = coding(pid)?.saturating_sub(before.1);
        ensure!(!came.is_empty(), "no picture came");
        let bytes = came.iter().map(|(_, bytes)| bytes).sum();
        Ok(Self {
            cpu: spent.as_secs_f64() * 1e3 / came.len() as f64,
            coding: coding.as_secs_f64() * 1e3 / came.len() as f64,
            memory: process::resident(pid)? as f64 / MB,
            frames: came.len() as f64 / length.as_secs_f64(),
            rate: Bitrate::of(bytes, length),
        })
    }

    fn put(&self, findings: &mut Findings, name: &str) {
        findings.put(format!("{name}.cpu"), "ms/frame", self.cpu);
        if self.coding > 0.0 {
            findings.put(format!("{name}.coding"), "ms/frame", self.coding);
        }
        findings.put(format!("{name}.memory"), "MB", self.memory);
        findings.put(format!("{name}.fps"), "/s", self.frames);
        findings.put(format!("{name}.bitrate"), "kbit/s", self.rate.kbps() as f64);
    }
}

/// Processor time of a process' encoders: their threads, and those of their libraries, have one name.
fn coding(pid: u32) -> Result<Duration> {
    let threads = thread_times(pid)?.into_iter();
    Ok(threads.filter(|(name, _)| name.starts_with("enc-")).map(|(_, ran)| ran).sum())
}

/// A game that turns without end, by both.
fn level(bench: &Bench, installed: &Installed, findings: &mut Findings) -> Result<()> {
    if let Err(missing) = fs::metadata(density::PROGRAM) {
        findings.note(format!("a game by Selkies: {}: {missing}", density::PROGRAM));
        return Ok(());
    }
    let turn = InputEvent::Key { code: KeyCode::LEFT, pressed: true };
    let ours = ours(bench, &ChildNode::start()?, LEVEL, Some(turn.clone()))?;
    ours.put(findings, "selkies.game.ours");
    let theirs = {
        let game = Game::doom(SIZE, FPS, bench.args.kbps)?;
        let player = installed.play(&game, &bench.args)?;
        player.measure(&bench.args)?
    };
    theirs.put(findings, "selkies.game");
    findings.put("selkies.game.cpu_of", "×", ours.cpu / theirs.cpu);
    others(bench, LEVEL, Some(&turn), &theirs, "selkies.game", findings)
}

/// The same app with other presets, beside what Selkies took.
fn others(
    bench: &Bench,
    app: &str,
    act: Option<&InputEvent>,
    theirs: &Cost,
    name: &str,
    findings: &mut Findings,
) -> Result<()> {
    for (kind, preset) in [(Kind::QuickNode, "quick"), (Kind::SearchingNode, "searching")] {
        let name = format!("{name}.{preset}");
        let cost = ours(bench, &ChildNode::start_as(kind)?, app, act.cloned())?;
        cost.put(findings, &name);
        findings.put(format!("{name}.cpu_of"), "×", cost.cpu / theirs.cpu);
    }
    Ok(())
}

/// An app of a node of its own, in which this is done before it is measured.
fn ours(bench: &Bench, node: &ChildNode, app: &str, act: Option<InputEvent>) -> Result<Cost> {
    let asked = Asked { app, size: SIZE, fps: FPS, kbps: bench.args.kbps };
    let peer = Peer::play(&bench.players, &node.url, &asked)?;
    sleep(bench.args.warm_up());
    if let Some(act) = act {
        bench.players.block_on(peer.send(1, act))?;
        sleep(bench.args.warm_up());
    }
    let came = || peer.frames().iter().map(|whole| (whole.at, whole.bytes)).collect();
    let cost = Cost::of(node.pid(), bench.args.window(), came)?;
    peer.leave(&bench.players)?;
    Ok(cost)
}

/// As many players as come steadily.
fn players(installed: &Installed, args: &Args, findings: &mut Findings) -> Result<()> {
    if let Err(missing) = fs::metadata(density::PROGRAM) {
        findings.note(format!("players by Selkies: {}: {missing}", density::PROGRAM));
        return Ok(());
    }
    let mut players = Vec::new();
    let game = Game::doom(density::SIZE, density::FPS, density::KBPS)?;
    let (mut steady, mut worst) = (0, 0.0);
    while players.len() < MOST {
        players.push(installed.play(&game, args)?);
        sleep(args.warm_up());
        players.iter().for_each(|player: &Player| drop(player.came()));
        sleep(args.window());
        let worst_now = players.iter().map(Player::interval).fold(0.0, f64::max);
        let of_nominal = worst_now * f64::from(density::FPS) / 1e3;
        worst = of_nominal;
        if of_nominal > STEADY {
            break;
        }
        steady = players.len();
    }
    findings.put("selkies.density.sessions", "sessions", steady as f64);
    findings.put("selkies.density.next_p95_of_nominal", "×", worst);
    findings.note(format!(
        "Selkies refuses nobody: with {} players the worst p95 is {worst:.2} intervals",
        players.len()
    ));
    Ok(())
}

/// What is played, and how large.
struct Game {
    command: PathBuf,
    arguments: Vec<String>,
    size: (u32, u32),
    fps: u32,
    kbps: u32,
    key: Option<&'static str>,
    files: Vec<(PathBuf, &'static str)>,
}

impl Game {
    fn painter(kbps: u32) -> Self {
        let own = std::env::current_exe().unwrap_or_default();
        Self {
            command: own.with_file_name("bench-painter"),
            arguments: Vec::new(),
            size: SIZE,
            fps: FPS,
            kbps,
            key: None,
            files: Vec::new(),
        }
    }

    /// As `density` has it, as near as can be: configured by the same files, on the same level, turning without end.
    fn doom(size: (u32, u32), fps: u32, kbps: u32) -> Result<Self> {
        let (width, height) = size;
        let arguments = "-iwad /usr/share/games/doom/freedoom1.wad -window -nogui -nosound -warp 1 1 \
                         -nomonsters -geometry";
        let mut arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
        arguments.push(format!("{width}x{height}"));
        let shipped = system::repository().join("games").join(DOOM);
        let files = ["crispy-doom.cfg", "default.cfg"].map(|name| (shipped.join(name), name));
        Ok(Self {
            command: density::PROGRAM.into(),
            arguments,
            size,
            fps,
            kbps,
            key: Some(LEFT),
            files: files.to_vec(),
        })
    }
}

/// Where Selkies is.
struct Installed(PathBuf);

impl Installed {
    fn find() -> Option<Self> {
        let folder = system::repository().join(".tools/selkies");
        folder.join("bin/selkies").is_file().then_some(Self(folder))
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.0.join("bin").join(name))
    }

    /// A player of this game, whose first picture has come.
    fn play(&self, game: &Game, args: &Args) -> Result<Player> {
        let home = TempDir::with_prefix("nearlight-selkies-")?;
        let mut children = Children::default();
        let (width, height) = game.size;
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0"]);
        server.arg(format!("{width}x{height}x24")).stdout(Stdio::piped());
        let output = children.start(server, home.path(), "Xvfb")?;
        let mut display = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut display)?;
        let display = format!(":{}", display.trim());
        ensure!(display.len() > 1, "Xvfb does not start");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut selkies = self.program("selkies");
        selkies.args(["--mode", "webrtc", "--addr", "127.0.0.1", "--port", &port.to_string()]);
        selkies.args(["--enable-basic-auth", "false", "--audio-enabled", "false"]);
        selkies.args(["--microphone-enabled", "false", "--enable-resize", "false"]);
        selkies.args(["--use-cpu", "true", "--encoder", "h264enc", "--rate-control-mode", "cbr"]);
        // It would ask servers of others.
        selkies.args(["--stun-host", "127.0.0.1", "--turn-host", ""]);
        selkies.args([
            "--framerate",
            &game.fps.to_string(),
            "--video-bitrate",
            &game.kbps.to_string(),
        ]);
        selkies.env("DISPLAY", &display).stdout(Stdio::null());
        children.start(selkies, home.path(), "selkies")?;
        let pid = children.newest()?;
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            ensure!(Instant::now() < until, "Selkies does not serve: {}", said(home.path()));
            sleep(LOOK);
        }
        for (from, name) in &game.files {
            let folder = home.path().join(".local/share/crispy-doom");
            fs::create_dir_all(&folder)?;
            fs::copy(from, folder.join(name))?;
        }
        let mut program = Command::new(&game.command);
        program.args(&game.arguments).env("DISPLAY", &display);
        program.env("SDL_RENDER_DRIVER", "software").env("SDL_AUDIODRIVER", "dummy");
        program.stdout(Stdio::null());
        children.start(program, home.path(), "game")?;
        let mut player = self.program("python");
        player.arg(system::repository().join("benches/selkies/player.py")).arg(port.to_string());
        player.args([width.to_string(), height.to_string()]).args(game.key).stdout(Stdio::piped());
        let output = children.start(player, home.path(), "player")?.context("no output")?;
        let came = Came::default();
        let theirs = came.clone();
        std::thread::Builder::new().name("selkies".into()).spawn(move || {
            // Until the player ends.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut words = line.split(' ').map_while(|word| word.parse().ok());
                if let (Some(at), Some(bytes)) = (words.next(), words.next()) {
                    theirs.0.lock().unwrap_or_else(PoisonError::into_inner).push((at, bytes));
                }
            }
        })?;
        let player = Player { pid, came, _children: children, home };
        while player.came().is_empty() {
            if Instant::now() > until {
                bail!("no picture comes by Selkies: {}", said(player.home.path()));
            }
            sleep(LOOK);
        }
        sleep(args.warm_up());
        Ok(player)
    }
}

/// What the processes said last.
fn said(home: &Path) -> String {
    let mut text = String::new();
    for name in ["selkies", "player"] {
        let read = File::open(home.join(name)).and_then(|mut file| file.read_to_string(&mut text));
        // There is nothing to be told of one that did not begin.
        drop(read);
    }
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

#[derive(Clone, Default)]
struct Came(Arc<Mutex<Vec<(u64, u64)>>>);

/// A player, and the server that plays with it alone.
struct Player {
    pid: u32,
    came: Came,
    _children: Children,
    home: TempDir,
}

impl Player {
    /// When pictures came since this was asked last, and their bytes.
    fn came(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.came.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn measure(&self, args: &Args) -> Result<Cost> {
        Cost::of(self.pid, args.window(), || self.came())
    }

    /// 95 % of the intervals between pictures are no longer, in milliseconds.
    fn interval(&self) -> f64 {
        let came = self.came();
        let pairs = came.windows(2);
        let mut all: Vec<_> = pairs.map(|pair| (pair[1].0 - pair[0].0) as f64 / 1e6).collect();
        all.sort_unstable_by(f64::total_cmp);
        rank(&all, 95).unwrap_or(f64::INFINITY)
    }
}

/// Processes that end with this, the last one first.
#[derive(Default)]
struct Children(Vec<Child>);

impl Children {
    /// Starts one; what it complains of goes into a file of this name in its home.
    fn start(
        &mut self,
        mut command: Command,
        home: &Path,
        name: &str,
    ) -> Result<Option<std::process::ChildStdout>> {
        let said = File::create(home.join(name))?;
        command.env("HOME", home).env("XDG_RUNTIME_DIR", home).stdin(Stdio::null()).stderr(said);
        let mut child = command.spawn().with_context(|| format!("{name} does not start"))?;
        let output = child.stdout.take();
        self.0.push(child);
        Ok(output)
    }

    fn newest(&self) -> Result<u32> {
        Ok(self.0.last().context("nothing was started")?.id())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
