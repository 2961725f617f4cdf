//! What a closed terminal and SIGHUP do to a node: it ends with the terminal that it runs in, and looks at its games again
//! where it has none. The terminal is a real one, which `script` (util-linux) opens and keeps.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a node may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node's command line, with its folders of state and of games in `folder`.
fn serve(folder: &Path) -> Vec<String> {
    let games = folder.join("games");
    fs::create_dir(&games).unwrap();
    let settings = [
        "server.listen=127.0.0.1:0".to_owned(),
        "ops.listen=127.0.0.1:0".into(),
        "webrtc.udp_port=0".into(),
        "webtransport.enabled=false".into(),
        "access.open=true".into(),
        "catalogue.demo=false".into(),
        "log.format=json".into(),
        // Far more than a sound encoder needs, on any machine.
        "video.probe_limit=60s".into(),
        format!("server.state_dir={}", folder.join("state").display()),
        format!("games.run={}", folder.join("run").display()),
        format!("games.folders=[{games:?}]"),
    ];
    let set = settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]);
    [env!("CARGO_BIN_EXE_nearlight").to_owned(), "serve".into()].into_iter().chain(set).collect()
}

/// The lines that come from there, until its end.
fn lines(of: impl Read + Send + 'static) -> Receiver<String> {
    let (told, lines) = channel();
    std::thread::spawn(move || {
        // Whoever listens may have heard enough.
        BufReader::new(of).lines().map_while(Result::ok).all(|line| told.send(line).is_ok())
    });
    lines
}

/// Waits for a line in which this stands.
fn says(lines: &Receiver<String>, what: &str) {
    let (until, mut said) = (Instant::now() + PATIENCE, Vec::new());
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(what) => return,
            Ok(line) => said.push(line),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                panic!("{what:?} is not said:\n{}", said.join("\n"))
            }
        }
    }
}

/// Ends with the test.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // It may be over.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_node_in_a_terminal_ends_in_order_when_the_terminal_is_closed() {
    let folder = TempDir::new().unwrap();
    let node: Vec<_> = serve(folder.path()).iter().map(|word| format!("'{word}'")).collect();
    let [run, status] = ["node.sh", "status"].map(|name| folder.path().join(name));
    // It outlives the terminal, to say how the node ended. The terminal's own shell ends with it, and so does what runs in
    // its foreground.
    let told = status.display();
    let text = format!(
        "trap : HUP\n{}\necho $? > '{told}.new'\nmv '{told}.new' '{told}'\n",
        node.join(" ")
    );
    fs::write(&run, text).unwrap();
    let command = format!("/bin/sh '{}'; true", run.display());
    // Whoever runs the tests may ignore the signal (`nohup`), and then the terminal's shell would, too.
    let terminal = Command::new("env")
        .args(["--default-signal=HUP", "script"])
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut terminal = Kept(terminal);
    says(&lines(terminal.0.stdout.take().unwrap()), "serving");
    // Nobody has the terminal any more, whose kernel then says so to all that run in it.
    terminal.0.kill().unwrap();
    let until = Instant::now() + PATIENCE;
    while !status.exists() {
        assert!(Instant::now() < until, "it goes on without its terminal");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        fs::read_to_string(status).unwrap().trim(),
        "0",
        "it ended as it does when it is told to"
    );
}

#[test]
fn a_node_without_a_terminal_looks_at_its_games_again_and_goes_on() {
    let folder = TempDir::new().unwrap();
    let words = serve(folder.path());
    let node = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut node = Kept(node);
    let said = lines(node.0.stderr.take().unwrap());
    says(&said, "serving");
    let pid = Pid::from_child(&node.0);
    let game = folder.path().join("games/new");
    for listed in ["\"listed\":0", "\"listed\":1"] {
        kill_process(pid, Signal::HUP).unwrap();
        says(&said, listed);
        fs::create_dir_all(&game).unwrap();
        fs::write(game.join("game.toml"), "title = \"New\"\n").unwrap();
    }
    assert_eq!(node.0.try_wait().unwrap(), None, "it goes on");
    kill_process(pid, Signal::TERM).unwrap();
    says(&said, "stopped");
    assert!(node.0.wait().unwrap().success());
}
