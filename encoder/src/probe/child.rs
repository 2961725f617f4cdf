//! Trying candidates in a process of its own.
//!
//! ```text
//!  this process                              child, in a process group of its own
//!  names as arguments ─────────────────────▶ answer(): for each name in turn
//!  a line within the limit? ◀─────────────── one JSON line each, written at once
//!    no: kill the group, note why, and
//!    start another child with the names left
//! ```
//!
//! Before its first element of GStreamer's a child initialises that, and says so in a line of its own: what
//! hangs there, a plugin say, hangs for all of them and is waited for once.
//!
//! One child for hardware and one for software run at once, so that a slow driver does not hold up the
//! rest. What a child leaves running (GStreamer's scanner of plugins, for one) is in its group and
//! ends with it; a child ends with the thread that waits for it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group,
    set_parent_process_death_signal, waitid,
};

use super::row::{Ready, Row};
use super::{Prober, try_each};
use crate::candidates::Candidate;
use crate::choice::{Outcome, Verdict};
use crate::gst;
use crate::settings::Speed;

/// The option by which a child is told the preset.
const PRESET: &str = "--preset";
/// Longest line that is read; a verdict has some hundred bytes.
const LINE: u64 = 64 * 1024;
/// Lines that wait to be read. More than one only of a child that says what it was not asked.
const LINES: usize = 4;
/// How much of an answer that makes no sense is shown, in characters.
const EXCERPT: usize = 60;
/// How often it is looked whether a child has ended. The system tells of its end without a signal only
/// to who waits.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long a child that was killed may take to go. One that a driver holds in the kernel stays.
const GOING: Duration = Duration::from_secs(1);

/// How long one candidate may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In software.
    pub software: Duration,
    /// On hardware: the first call into a driver may wake its device, which takes seconds. For GStreamer to
    /// be initialised, too: it may look into all of its plugins.
    pub hardware: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { software: Duration::from_secs(2), hardware: Duration::from_secs(5) }
    }
}

/// Tries candidates in children of this process.
#[derive(Clone, Debug)]
pub struct ChildProber {
    /// A program that calls [`answer`]. Never `current_exe` of a library's making: in a test that is
    /// the test.
    pub program: PathBuf,
    /// What makes it do so; the names of candidates follow.
    pub arguments: Vec<OsString>,
    /// How long a candidate may take.
    pub limits: Limits,
    /// The preset that it is tried with. The child is told by `--preset=` before the names, but of
    /// [`Speed::Auto`], which it takes by itself.
    pub speed: Speed,
}

impl Prober for ChildProber {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        let kind = |hardware: bool| {
            let limit = if hardware { self.limits.hardware } else { self.limits.software };
            let asked = candidates.iter().filter(|each| each.hardware == hardware);
            (limit, asked.collect::<Vec<_>>())
        };
        let (hardware, software) = std::thread::scope(|scope| {
            let (limit, asked) = kind(true);
            let hardware = std::thread::Builder::new()
                .name("probe-hardware".into())
                .spawn_scoped(scope, move || self.ask(&asked, limit));
            let (limit, asked) = kind(false);
            let software = self.ask(&asked, limit);
            (hardware.map(std::thread::ScopedJoinHandle::join), software)
        });
        let (mut hardware, why) = match hardware {
            Ok(Ok(outcomes)) => (outcomes.into_iter(), String::new()),
            Ok(Err(panic)) => (Vec::new().into_iter(), crate::panic_text(&*panic)),
            Err(error) => (Vec::new().into_iter(), format!("no thread to wait for it: {error}")),
        };
        let mut software = software.into_iter();
        let verdict = |candidate: &Candidate| {
            let outcomes = if candidate.hardware { &mut hardware } else { &mut software };
            let missing = || Outcome::Unanswered { reason: why.clone() };
            Verdict::of(candidate, outcomes.next().unwrap_or_else(missing))
        };
        candidates.iter().map(verdict).collect()
    }
}

impl ChildProber {
    /// An outcome for each candidate. Where one of hardware hangs, the others that go through its library are
    /// not tried: each would be waited for as long. They are no worse off for that than one that hung: each is
    /// tried again by itself, beside the sessions. In software one that does not answer in time
    /// may be slow, which says nothing of another codec. Where GStreamer cannot be initialised, none of its
    /// elements is tried.
    fn ask(&self, candidates: &[&Candidate], limit: Duration) -> Vec<Outcome> {
        let mut outcomes = vec![None; candidates.len()];
        while outcomes.contains(&None) {
            let unasked = |at: &usize| outcomes[*at].is_none();
            let left: Vec<_> = (0..candidates.len()).filter(unasked).collect();
            let names: Vec<_> = left.iter().map(|at| candidates[*at].name).collect();
            let mut asked = match Asked::start(self, &names) {
                Ok(asked) => asked,
                Err(error) => {
                    let reason = format!("cannot be tried: {}: {error}", self.program.display());
                    let failed = Outcome::Unanswered { reason };
                    return outcomes.into_iter().map(|at| at.unwrap_or(failed.clone())).collect();
                }
            };
            let mut initialised = false;
            for at in left {
                if gst::is_element(candidates[at].name) && !initialised {
                    if let Err(Cut { reason, .. }) = asked.initialised(self.limits.hardware) {
                        let reason = format!("GStreamer cannot be initialised: it {reason}");
                        tracing::debug!(reason, "probing was cut short");
                        for (candidate, outcome) in candidates.iter().zip(&mut outcomes) {
                            if gst::is_element(candidate.name) && outcome.is_none() {
                                *outcome = Some(Outcome::Unanswered { reason: reason.clone() });
                            }
                        }
                        break;
                    }
                    initialised = true;
                }
                let Candidate { name, library, hardware, .. } = *candidates[at];
                let Cut { reason, hung } = match asked.outcome_of(name, limit) {
                    Ok(outcome) => {
                        outcomes[at] = Some(outcome);
                        continue;
                    }
                    Err(cut) => cut,
                };
                tracing::debug!(encoder = name, reason, "probing was cut short");
                if hung && hardware {
                    let others = candidates.iter().zip(&mut outcomes);
                    let same =
                        others.filter(|(other, known)| other.library == library && known.is_none());
                    for (_, outcome) in same {
                        let reason = format!("not tried: {name}, by the same {library}, {reason}");
                        *outcome = Some(Outcome::Unanswered { reason });
                    }
                }
                outcomes[at] = Some(Outcome::Unanswered { reason });
                break;
            }
        }
        outcomes.into_iter().flatten().collect()
    }
}

/// Why a child is asked no more.
struct Cut {
    reason: String,
    /// It did not answer in time, and lived.
    hung: bool,
}

/// A child at work. Dropping it ends it.
struct Asked {
    child: Child,
    lines: Receiver<Vec<u8>>,
}

impl Asked {
    fn start(prober: &ChildProber, names: &[&str]) -> io::Result<Self> {
        let preset = Some(prober.speed).filter(|speed| *speed != Speed::Auto);
        let preset = preset.map(|speed| format!("{PRESET}={speed}"));
        let mut child = Command::new(&prober.program)
            .args(&prober.arguments)
            .args(preset)
            .args(names)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (tell, lines) = sync_channel(LINES);
        // Made first: from here on the child is ended whatever goes wrong.
        let asked = Self { child, lines };
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        if let Some(out) = out {
            thread("probe-out").spawn(move || pass_lines(out, &tell))?;
        }
        if let Some(err) = err {
            thread("probe-err").spawn(move || log_lines(err))?;
        }
        Ok(asked)
    }

    /// What the child says next, which must be of this candidate.
    fn outcome_of(&mut self, name: &str, limit: Duration) -> Result<Outcome, Cut> {
        let line = self.line(limit)?;
        match serde_json::from_slice::<Row>(&line) {
            Ok(row) if row.name == name => Ok(row.outcome),
            _ => Err(nonsense("its answer makes no sense", &line)),
        }
    }

    /// The child must say next that it initialised GStreamer.
    fn initialised(&mut self, limit: Duration) -> Result<(), Cut> {
        let line = self.line(limit)?;
        let said = serde_json::from_slice::<Ready>(&line);
        said.map(|Ready::GStreamer| ()).map_err(|_| nonsense("makes no sense", &line))
    }

    /// The next line.
    fn line(&mut self, limit: Duration) -> Result<Vec<u8>, Cut> {
        self.lines.recv_timeout(limit).map_err(|error| match error {
            // It may be gone while something that it left running holds its output open.
            RecvTimeoutError::Timeout => self.end(Duration::ZERO, limit),
            RecvTimeoutError::Disconnected => self.end(limit, limit),
        })
    }

    /// How a child ended that will say no more, if it does within `patience`.
    fn end(&self, patience: Duration, limit: Duration) -> Cut {
        let Some(status) = self.status_within(patience) else {
            return Cut { reason: silence(limit), hung: true };
        };
        let reason = match (status.terminating_signal(), status.exit_status()) {
            (Some(signal), _) => format!("crashed (signal {signal})"),
            (None, Some(code)) => format!("ended without an answer (exit status {code})"),
            (None, None) => "ended without an answer".into(),
        };
        Cut { reason, hung: false }
    }

    /// How it ended; leaves it to be reaped, so that its number stays its own. None while it lives.
    fn status_within(&self, limit: Duration) -> Option<WaitIdStatus> {
        let started = Instant::now();
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        loop {
            match waitid(WaitId::Pid(Pid::from_child(&self.child)), ended) {
                Ok(Some(status)) => return Some(status),
                Ok(None) if started.elapsed() < limit => std::thread::sleep(LOOK_EVERY),
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // Fails only when the whole group is gone, which is what is wanted.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        if self.status_within(GOING).is_some() {
            // Has ended, so this does not block.
            let _ = self.child.wait();
        } else {
            // Not reaped, so a dead process stays in the table until this one ends.
            tracing::error!(pid = self.child.id(), "a process that probes cannot be killed");
        }
    }
}

fn nonsense(what: &str, line: &[u8]) -> Cut {
    let text = String::from_utf8_lossy(line);
    let excerpt: String = text.trim_end().chars().take(EXCERPT).collect();
    Cut { reason: format!("{what}: {excerpt:?}"), hung: false }
}

fn silence(limit: Duration) -> String {
    format!("did not answer within {} s", limit.as_secs_f64())
}

/// Hands on what a child writes, line by line. Ends with the child, or when nobody listens any more.
fn pass_lines(out: impl Read, tell: &SyncSender<Vec<u8>>) {
    let mut out = BufReader::new(out);
    loop {
        let mut line = Vec::new();
        match out.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if tell.send(line).is_err() => return,
            Ok(_) => {}
        }
    }
}

/// Drivers and plugins have much to say.
fn log_lines(err: impl Read) {
    let mut err = BufReader::new(err);
    let mut line = Vec::new();
    while matches!(err.by_ref().take(LINE).read_until(b'\n', &mut line), Ok(read) if read > 0) {
        tracing::debug!(line = %String::from_utf8_lossy(&line).trim_end(), "while probing");
        line.clear();
    }
}

/// What the child does: tries the named candidates in turn, with this preset, and writes what came of each to the
/// standard output at once. What drivers write there goes to the standard error instead.
///
/// # Errors
/// When the output is closed or cannot be moved.
pub fn answer(candidates: &[Candidate], names: &[String], speed: Speed) -> io::Result<()> {
    // Whoever asked and is gone waits for no answer, and a driver that hangs would stay for ever.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut out = File::from(rustix::io::dup(io::stdout())?);
    rustix::stdio::dup2_stdout(io::stderr())?;
    let mut say = |mut line: Vec<u8>| {
        line.push(b'\n');
        out.write_all(&line)
    };
    let mut initialised = false;
    for name in names {
        if gst::is_element(name) && !std::mem::replace(&mut initialised, true) {
            // Where that fails, each element says why.
            _ = gst::initialise();
            say(serde_json::to_vec(&Ready::GStreamer)?)?;
        }
        let candidate = candidates.iter().filter(|candidate| candidate.name == name);
        let candidate: Vec<_> = candidate.take(1).cloned().collect();
        let verdicts = try_each(&candidate, speed);
        let outcome = verdicts.into_iter().next().map_or_else(
            || Outcome::Declined { reason: "this program has no such encoder".into() },
            |verdict| verdict.outcome,
        );
        say(serde_json::to_vec(&Row { name: name.clone(), outcome })?)?;
    }
    Ok(())
}
