//! The first process of a sandbox: starts the X server and the game, tells how they end, collects
//! orphans, and ends with the node. It is its child's parent only: what the game may do is bounded
//! outside, by the namespaces and the filters that this process runs in, of which it installs one.
//!
//! Its standard input is one end of the socket pair of `confine::protocol`. One thread; it waits in one
//! `poll` for the node, for children, and for the X server, and beside that only for what it halts.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nearlight_host::confine::attempts;
use nearlight_host::confine::command::{HOME, X_FOLDER};
use nearlight_host::confine::machine::Exit;
use nearlight_host::confine::processes;
use nearlight_host::confine::protocol::{Channel, Report, Request};
use nearlight_host::confine::spec::Program;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{DumpableBehavior, Resource, Rlimit, WaitOptions, setrlimit, wait};

/// How long it is waited for that everything stands still: half of what the node waits for that.
const HALT_PATIENCE: Duration = Duration::from_secs(1);
/// Time between two looks whether it does.
const LOOK: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let asked = std::env::args_os().nth(1);
    let done = match asked.as_deref().and_then(OsStr::to_str) {
        // The node tries a sandbox out with this before it offers games.
        Some("--check") => confined().map(drop),
        // Outside of a sandbox: what its network is made by.
        Some("--network") => nearlight_host::confine::internet::make(),
        _ => Init::new().and_then(Init::run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// What leads out is refused from here on. Where the node can be told what is, by what comes back.
fn confined() -> io::Result<Option<OwnedFd>> {
    attempts::install(true).or_else(|error| {
        say(&format!("nobody can be told what is refused: {error}"));
        attempts::install(false)
    })
}

struct Init {
    node: Channel,
    /// The signal that tells of children, which is read and not delivered.
    signals: SigSet,
    children: SignalFd,
    display: Option<Pid>,
    /// Where the X server says that it is ready, until it has.
    ready: Option<ChildStdout>,
    game: Option<Pid>,
}

impl Init {
    fn new() -> io::Result<Self> {
        // A game has the same user: without this it could write to this process's memory.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        signals.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let node = Channel::of(io::stdin().as_fd().try_clone_to_owned()?);
        let children = SignalFd::with_flags(&signals, flags)?;
        Ok(Self { node, signals, children, display: None, ready: None, game: None })
    }

    /// Until the node is gone. Whatever then still runs ends with this process.
    fn run(mut self) -> io::Result<()> {
        let folder = |path: &str| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            open(path, flags, Mode::empty())
        };
        let (home, sockets, refused) = (folder(HOME)?, folder(X_FOLDER)?, confined()?);
        let fds = [Some(&home), Some(&sockets), refused.as_ref()];
        let fds: Vec<_> = fds.into_iter().flatten().map(AsFd::as_fd).collect();
        self.node.send(&Report::Opened, &fds)?;
        drop((home, sockets, refused));
        loop {
            let (asked, ended, ready) = self.wait()?;
            if ready {
                self.display_said()?;
            }
            if ended {
                self.collect()?;
            }
            if asked && !self.obey()? {
                return Ok(());
            }
        }
    }

    /// Whether the node, a child, and the X server have something to say.
    fn wait(&self) -> io::Result<(bool, bool, bool)> {
        let mut fds = vec![
            PollFd::new(&self.node, PollFlags::IN),
            PollFd::new(&self.children, PollFlags::IN),
        ];
        if let Some(ready) = &self.ready {
            fds.push(PollFd::new(ready, PollFlags::IN));
        }
        rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
        let mut has = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || has.next().unwrap_or(false);
        Ok((next(), next(), next()))
    }

    /// Does what the node asks for. `false` when it is gone.
    fn obey(&mut self) -> io::Result<bool> {
        let Some(received) = self.node.receive::<Request>()? else { return Ok(false) };
        match received.message {
            Request::Display { program, open_files, processes } => {
                let limited = limit(Resource::Nofile, Some(open_files))
                    .and_then(|()| limit(Resource::Nproc, processes))
                    .and_then(|()| limit(Resource::Core, Some(0)));
                let out = Stdio::piped();
                match limited.and_then(|()| self.start(&program, out, Stdio::inherit())) {
                    Ok(mut child) => {
                        self.display = Some(pid(&child));
                        self.ready = child.stdout.take();
                    }
                    Err(error) => self.tell(&Report::DisplayFailed(explain(&program, &error)))?,
                }
                self.collect()?;
            }
            Request::Launch(program) => {
                // Both streams are the game's, as a terminal would show them.
                let streams = io::stdout().as_fd().try_clone_to_owned().map(Stdio::from);
                match streams.and_then(|out| self.start(&program, Stdio::inherit(), out)) {
                    Ok(child) => {
                        self.game = Some(pid(&child));
                        self.tell(&Report::GameStarted)?;
                    }
                    Err(error) => self.tell(&Report::GameFailed(explain(&program, &error)))?,
                }
                self.collect()?;
            }
            Request::Terminate => {
                if let Some(game) = self.game {
                    // It may be gone already, which is what is wanted.
                    let _ = killpg(game, Signal::SIGTERM);
                }
            }
            Request::Freeze => {
                halt();
                self.tell(&Report::Frozen)?;
            }
            Request::Thaw => {
                everything(Signal::SIGCONT);
                self.tell(&Report::Thawed)?;
            }
        }
        Ok(true)
    }

    /// The X server wrote the number of its display, or closed its end without.
    fn display_said(&mut self) -> io::Result<()> {
        let Some(ready) = &self.ready else { return Ok(()) };
        let mut said = [0; 64];
        let bytes = rustix::io::read(ready, &mut said)?;
        let told = said.get(..bytes).unwrap_or_default().contains(&b'\n');
        if told {
            self.tell(&Report::DisplayReady)?;
        }
        if told || bytes == 0 {
            self.ready = None;
        }
        Ok(())
    }

    /// Takes in what has ended. The display is told first: a game ends with it.
    fn collect(&mut self) -> io::Result<()> {
        // Signals of many children are one: which they were, `wait` says.
        while self.children.read_signal()?.is_some() {}
        let (mut display, mut game) = (None, None);
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let exit = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => continue,
            };
            let pid = Some(Pid::from_raw(pid.as_raw_nonzero().get()));
            if pid == self.display {
                display = Some(exit);
            } else if pid == self.game {
                game = Some(exit);
            }
        }
        if let Some(exit) = display {
            self.display = None;
            self.tell(&Report::DisplayEnded(exit))?;
        }
        if let Some(exit) = game {
            self.game = None;
            self.tell(&Report::GameEnded(exit))?;
        }
        Ok(())
    }

    /// Starts a program in a process group of its own, with nothing of this process but its user and
    /// limits.
    fn start(&self, program: &Program, out: Stdio, err: Stdio) -> io::Result<Child> {
        let folder = program.folder.as_deref().unwrap_or(HOME.as_ref());
        let mut command = Command::new(&program.command);
        command.args(&program.args).env_clear().envs(&program.env).current_dir(folder);
        command.process_group(0).stdin(Stdio::null()).stdout(out).stderr(err);
        // Signals that are blocked stay so in children, and shells that wait for theirs would hang. What
        // ends meanwhile is told by no signal: whoever starts something collects after it.
        self.signals.thread_unblock()?;
        let child = command.spawn();
        self.signals.thread_block()?;
        child
    }

    fn tell(&self, report: &Report) -> io::Result<()> {
        self.node.send(report, &[])
    }
}

#[expect(clippy::print_stderr, reason = "the node reads and logs it")]
fn say(text: &str) {
    eprintln!("nearlight-init: {text}");
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn explain(program: &Program, error: &io::Error) -> String {
    format!("{}: {error}", program.command)
}

/// Where the node allows less than wanted, less it is.
fn limit(resource: Resource, wanted: Option<u32>) -> io::Result<()> {
    let Some(wanted) = wanted.map(u64::from) else { return Ok(()) };
    let most = rustix::process::getrlimit(resource).maximum;
    let value = Some(most.map_or(wanted, |most| wanted.min(most)));
    setrlimit(resource, Rlimit { current: value, maximum: value })?;
    Ok(())
}

/// Sends a signal to every process but this one, at once: none is forked in between.
fn everything(signal: Signal) {
    // There may be none.
    let _ = kill(Pid::from_raw(-1), signal);
}

/// Halts every process but this one, and waits until none of them does anything any more. What is in a call that
/// nothing interrupts is waited for within a bound alone: that of `vfork(2)` lasts until the new child, which is
/// halted, goes on.
fn halt() {
    let until = Instant::now() + HALT_PATIENCE;
    loop {
        // Asked before the look: others had no time either while this process stood still.
        let is_last = Instant::now() >= until;
        // Again each time: what was not halted yet may have let others run again.
        everything(Signal::SIGSTOP);
        if processes::others_stand_still() {
            return;
        }
        if is_last {
            say("not everything that was halted stands still yet");
            return;
        }
        std::thread::sleep(LOOK);
    }
}
