//! What tests with real sandboxes share.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nearlight_host::Game as _;
use nearlight_host::confine::{
    Bubblewrap, Config, End, Input, Limits, Network, Patience, Phase, Program, Sandbox, Server,
    Spec,
};

/// Longer than anything takes on a machine that can run the tests at all.
pub const LONG: Duration = Duration::from_secs(60);

/// A confinement and its folder.
pub struct Bed {
    pub confinement: Bubblewrap,
    pub run: tempfile::TempDir,
}

/// What everything real is there for is said by `NEARLIGHT_HOST`: with it, what is missing fails.
pub fn bed() -> Option<Bed> {
    bed_with(|_| {})
}

pub fn bed_with(change: impl FnOnce(&mut Config)) -> Option<Bed> {
    // What a test that fails was told is shown with it.
    let _ = tracing_subscriber::fmt()
        .with_test_writer()
        .with_max_level(tracing::Level::DEBUG)
        .try_init();
    let run = tempfile::tempdir().unwrap();
    open_to_all(run.path());
    // No other test has these users, so what they own is ours.
    static BEDS: AtomicU32 = AtomicU32::new(0);
    let bed = BEDS.fetch_add(1, Ordering::Relaxed);
    let first = 1_000_000_000 + std::process::id() % 400_000 * 1024 + bed * 16;
    let mut config = Config {
        run: run.path().to_owned(),
        bwrap: None,
        display: None,
        xorg: None,
        passt: None,
        gpu: Vec::new(),
        init: Some(env!("CARGO_BIN_EXE_nearlight-init").into()),
        users: first..first + 16,
        limits: true,
        devices: None,
        secrets: Vec::new(),
    };
    change(&mut config);
    match Bubblewrap::find(&config) {
        Ok(confinement) => {
            println!("{:?}", confinement.found());
            Some(Bed { confinement, run })
        }
        Err(missing) => {
            assert!(!must_run(), "NEARLIGHT_HOST is set, and {missing}");
            println!("left out: {missing}");
            None
        }
    }
}

pub fn must_run() -> bool {
    std::env::var_os("NEARLIGHT_HOST").is_some_and(|value| value == "1")
}

/// Users of games pass through it.
pub fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Nobody but its owner passes through it.
pub fn close(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// Of a sandbox that nothing else in this process has the name of: control groups are the process's.
pub fn spec(name: &str) -> Spec {
    static SPECS: AtomicU32 = AtomicU32::new(0);
    Spec {
        id: format!("{name}-{}", SPECS.fetch_add(1, Ordering::Relaxed)),
        binds: Vec::new(),
        home: 32 << 20,
        network: Network::None,
        devices: Vec::new(),
        input: Input::None,
        server: Server::default(),
        largest: media::Size::new(640, 360),
        limits: Limits { memory: Some(512 << 20), ..Limits::default() },
        patience: Patience { open: LONG, display: LONG, game: LONG, grace: LONG, kill: LONG },
    }
}

pub fn shell(script: &str) -> Program {
    Program {
        command: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        ..Program::default()
    }
}

impl Bed {
    pub fn start(&self, spec: &Spec) -> Sandbox {
        self.confinement.sandbox(spec, Box::new(|_| {})).unwrap()
    }

    /// A sandbox with this game in it.
    pub fn play(&self, spec: &Spec, program: Program) -> Sandbox {
        let sandbox = self.start(spec);
        sandbox.launch(program);
        sandbox
    }
}

pub fn until(sandbox: &Sandbox, wanted: &Phase) {
    let phase =
        sandbox.wait_until(LONG, &|phase| phase == wanted || matches!(phase, Phase::Ended(_)));
    assert_eq!(&phase, wanted, "{:?} {:?}", sandbox.said(), sandbox.said_around());
}

pub fn ended(sandbox: &Sandbox) -> End {
    match sandbox.wait_until(3 * LONG, &|phase| matches!(phase, Phase::Ended(_))) {
        Phase::Ended(end) => end,
        other => panic!("{other:?} {:?} {:?}", sandbox.said(), sandbox.said_around()),
    }
}

/// Looks until there is something, for a time that no machine needs.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = std::time::Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the game has written this line.
pub fn said(sandbox: &Sandbox, line: &str) {
    eventually(line, || sandbox.said().iter().any(|said| said == line).then_some(()));
}

/// Halts the game. Where the machine is too busy to halt all of it in time, it is let go whole, and is to be halted again.
pub fn suspend(sandbox: &Sandbox) {
    eventually("it stands still", || {
        sandbox.suspend();
        let is_either = |phase: &Phase| matches!(phase, Phase::Suspended | Phase::Running);
        match sandbox.wait_obeyed(LONG, &is_either) {
            Phase::Suspended => Some(()),
            Phase::Running => None,
            other => panic!("{other:?} {:?} {:?}", sandbox.said(), sandbox.said_around()),
        }
    });
}

/// Writes a script that can be run at once. Another process writes it: what this one has open to be written, a process that
/// another test is just starting has open, too, and nobody can run it meanwhile.
pub fn script(path: &Path, lines: &str) {
    let write = "rm -f \"$0\" && printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
    let mut shell = std::process::Command::new("/bin/sh");
    let written = shell.args(["-c", write]).arg(path).arg(lines).status().unwrap();
    assert!(written.success(), "{written}");
}

/// A file of the player's home.
pub fn in_home(sandbox: &Sandbox, name: &str) -> Option<Vec<u8>> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    let home = sandbox.home()?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file =
        openat2(&*home, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), resolve).ok()?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(file), &mut bytes).unwrap();
    Some(bytes)
}
