//! The thread of a sandbox: carries out what the machine says, and tells it what happens.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{ByteSize, MediaTime};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_process, pidfd_send_signal};

use super::attempts::{Books, Lures, Watch};
use super::cgroup::Group;
use super::command::{self, Host};
use super::folder::{Folder, User};
use super::internet::Tools;
use super::lines::Lines;
use super::machine::{Action, End, Event, Exit, How, Machine, Phase, Step};
use super::processes;
use super::protocol::{Received, Report, Request};
use super::running::{Running, inside, pid_of};
use super::sandbox::{EventFn, Shared, Wants};
use super::spec::{Network, Program, Server, Spec};
use super::users::Lease;
use super::xorg;
use crate::devices::DeviceFolder;
use crate::display::XDevices;

/// How long halting by signals may take.
const FREEZE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a sandbox that is to be killed may take to be made, so that it can be killed whole.
const SETUP_PATIENCE: Duration = Duration::from_secs(2);
/// How long a group may take to be empty after its last process is known to be gone.
const REMOVE_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes read of a stream at a time.
const CHUNK: usize = 16 * 1024;
/// Messages that are taken at a time, and chunks of what was written when all is over.
const BURST: usize = 64;
/// What a shell ends with whose program was killed.
const OF_KILLED: i32 = 128 + libc::SIGKILL;

/// What a sandbox is made of and with.
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) bwrap: PathBuf,
    pub(super) host: Host,
    /// What makes its way to the internet, if it has one.
    pub(super) internet: Option<Tools>,
    pub(super) filter: Vec<u8>,
    pub(super) spec: Spec,
    pub(super) folder: Folder,
    /// What is its `/dev/input`, where that has devices of the kernel.
    pub(super) input: Option<Arc<DeviceFolder>>,
    pub(super) group: Option<Group>,
    pub(super) user: Option<User>,
    /// Groups of the host that the user has beside its own: those of its devices.
    pub(super) groups: Vec<u32>,
    pub(super) lease: Option<Lease>,
    /// Where something lies in place of what is no game's business.
    pub(super) lures: Vec<PathBuf>,
    /// Where what it tries is counted.
    pub(super) books: Books,
}

/// What `poll` found.
#[derive(Default)]
struct Ready {
    asked: bool,
    child: bool,
    init: bool,
    control: bool,
    calls: bool,
    streams: [bool; 2],
}

pub(super) struct Runner {
    plan: Option<Plan>,
    id: String,
    machine: Machine,
    shared: Arc<Shared>,
    events: EventFn,
    origin: Instant,
    running: Option<Running>,
    program: Option<Program>,
    /// Reports that came while an answer was awaited.
    backlog: VecDeque<Report>,
    lines: [Lines; 2],
    watch: Watch,
    told: Phase,
}

impl Runner {
    pub(super) fn new(plan: Plan, shared: Arc<Shared>, events: EventFn) -> Self {
        Self {
            id: plan.id.clone(),
            machine: Machine::new(plan.spec.patience.clone()),
            watch: Watch::new(plan.books.clone()),
            plan: Some(plan),
            shared,
            events,
            origin: Instant::now(),
            running: None,
            program: None,
            backlog: VecDeque::new(),
            lines: [Lines::default(), Lines::default()],
            told: Phase::Created,
        }
    }

    /// Until the end.
    pub(super) fn run(mut self) {
        let span = tracing::info_span!("game", session = self.id);
        let _entered = span.enter();
        self.handle(Event::Start);
        while !matches!(self.machine.phase(), Phase::Ended(_)) {
            if let Err(error) = self.turn() {
                tracing::error!(%error, "a game cannot be watched any more");
                self.handle(Event::Kill);
            }
        }
        self.finish();
    }

    fn now(&self) -> MediaTime {
        MediaTime::ZERO + self.origin.elapsed()
    }

    /// Tells the machine, and does what it says.
    fn handle(&mut self, event: Event) {
        self.machine.handle(self.now(), event);
        while let Some(action) = self.machine.poll_action() {
            if let Some(event) = self.act(action) {
                self.machine.handle(self.now(), event);
            }
        }
        let phase = self.machine.phase();
        // The end is told when everything is put away.
        if !matches!(phase, Phase::Ended(_)) {
            self.tell(phase);
        }
    }

    fn tell(&mut self, phase: Phase) {
        if phase == self.told {
            return;
        }
        self.shared.status().phase = phase.clone();
        self.shared.changed.notify_all();
        tracing::debug!(?phase, "phase of a game");
        (self.events)(&phase);
        self.told = phase;
    }

    /// Does it; what comes of it at once.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Open => self.open().err().map(|error| Event::OpenFailed(error.to_string())),
            Action::StartDisplay => {
                let plan = self.plan.as_ref()?;
                let limits = &plan.spec.limits;
                let request = Request::Display {
                    program: command::display(&plan.host, &plan.spec),
                    open_files: limits.open_files,
                    processes: limits.processes,
                };
                self.ask(&request).err().map(|error| Event::DisplayFailed(error.to_string()))
            }
            Action::StartGame => {
                let mut program = self.program.take()?;
                let plan = self.plan.as_ref()?;
                for (name, value) in command::game_environment(&plan.host, &plan.spec) {
                    program.env.entry(name).or_insert(value);
                }
                let request = Request::Launch(program);
                self.ask(&request).err().map(|error| Event::GameFailed(error.to_string()))
            }
            Action::Freeze => self.freeze().err().map(|error| {
                tracing::warn!(%error, "a game cannot be suspended");
                Event::FreezeFailed
            }),
            Action::Thaw => {
                if let Err(error) = self.thaw() {
                    tracing::warn!(%error, "a game cannot be resumed");
                }
                None
            }
            Action::Terminate => {
                if let Err(error) = self.ask(&Request::Terminate) {
                    tracing::warn!(%error, "a game cannot be asked to end");
                }
                None
            }
            Action::Kill => {
                self.kill();
                None
            }
        }
    }

    fn open(&mut self) -> io::Result<()> {
        let plan = self.plan.as_ref().ok_or(ErrorKind::NotFound)?;
        let mut shown = Vec::new();
        match Lures::make(plan.folder.path(), &plan.lures) {
            Ok((lures, places)) => {
                self.watch.lay(lures);
                shown = places;
            }
            Err(error) => tracing::warn!(%error, "what a game opens is not watched"),
        }
        let running = Running::open(plan, &shown)?;
        self.shared.status().pid = Some(running.child.id());
        self.running = Some(running);
        Ok(())
    }

    fn ask(&self, request: &Request) -> io::Result<()> {
        let control = self.running.as_ref().and_then(|running| running.control.as_ref());
        control.ok_or(ErrorKind::BrokenPipe)?.send(request, &[])
    }

    /// The group's freezer, where there is one.
    fn freezer(&self) -> Option<&Group> {
        self.plan.as_ref()?.group.as_ref().filter(|group| group.can_freeze())
    }

    fn freeze(&mut self) -> io::Result<()> {
        match self.freezer() {
            Some(group) => group.freeze(),
            None => self.ask_and_wait(&Request::Freeze, &Report::Frozen),
        }
    }

    fn thaw(&mut self) -> io::Result<()> {
        match self.freezer() {
            Some(group) => group.thaw(),
            None => self.ask_and_wait(&Request::Thaw, &Report::Thawed),
        }
    }

    /// Asks, and waits for the answer; what else is reported meanwhile is kept.
    fn ask_and_wait(&mut self, request: &Request, answer: &Report) -> io::Result<()> {
        self.ask(request)?;
        let until = Instant::now() + FREEZE_PATIENCE;
        let running = self.running.as_ref().ok_or(ErrorKind::BrokenPipe)?;
        let control = running.control.as_ref().ok_or(ErrorKind::BrokenPipe)?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut fds = [PollFd::new(control, PollFlags::IN)];
            if rustix::io::retry_on_intr(|| poll(&mut fds, Some(&left)))? == 0 {
                return Err(ErrorKind::TimedOut.into());
            }
            let received = control.receive::<Report>()?.ok_or(ErrorKind::BrokenPipe)?;
            if received.message == *answer {
                return Ok(());
            }
            self.backlog.push_back(received.message);
        }
    }

    /// Kills everything by its first process. One that is still being made gets a moment to have one:
    /// bubblewrap that is killed halfway could leave its child behind.
    fn kill(&mut self) {
        let Some(running) = &mut self.running else { return };
        match &running.init {
            Some(init) => {
                // It is an error only when it has ended.
                let _ = pidfd_send_signal(init, Signal::KILL);
                self.kill_group();
            }
            None => running.force_at = Some(Instant::now() + SETUP_PATIENCE),
        }
    }

    /// Kills what is there, the inner processes first.
    fn force(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.force_at = None;
        // A first process that nobody watches ends when nobody is there to talk to.
        running.control = None;
        if running.status.is_none() {
            for stat in processes::below(running.child.id()).iter().rev() {
                if let Ok(pid) = pid_of(stat.pid) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
        self.kill_group();
    }

    fn kill_group(&self) {
        if let Some(group) = self.plan.as_ref().and_then(|plan| plan.group.as_ref())
            && let Err(error) = group.kill()
        {
            tracing::warn!(%error, "a control group cannot be killed");
        }
    }

    /// Waits for something to happen and takes it.
    fn turn(&mut self) -> io::Result<()> {
        let ready = self.wait()?;
        let force_at = self.running.as_ref().and_then(|running| running.force_at);
        if force_at.is_some_and(|at| at <= Instant::now()) {
            self.force();
        }
        if ready.asked {
            self.obey()?;
        }
        for number in 0..ready.streams.len() {
            if ready.streams.get(number).is_some_and(|ready| *ready) {
                self.read(number);
            }
        }
        while let Some(report) = self.backlog.pop_front() {
            self.reported(report);
        }
        if ready.control {
            self.receive();
        }
        let now = self.now();
        if ready.calls {
            self.watch.answer(now);
        }
        if self.is_watched() {
            self.watch.look(now);
        }
        if let Some(running) = &mut self.running {
            running.init_ended |= ready.init;
            if ready.child && running.status.is_none() {
                running.status = running.child.try_wait()?;
                self.shared.status().pid = None;
            }
            if running.is_gone() {
                self.read_rest();
                let event = match self.machine.phase() {
                    Phase::Starting(Step::Sandbox) => Event::OpenFailed(self.why_it_ended()),
                    _ => Event::Gone,
                };
                self.handle(event);
            }
        }
        self.handle(Event::Timeout);
        Ok(())
    }

    /// Whether the game can try anything.
    fn is_watched(&self) -> bool {
        matches!(self.machine.phase(), Phase::Running | Phase::Stopping)
    }

    fn wait(&mut self) -> io::Result<Ready> {
        let (now, is_watched) = (self.now(), self.is_watched());
        let mut limit = self.machine.poll_timeout().map(|until| until.since(now));
        let mut ready = Ready::default();
        let Some(running) = &self.running else { return Ok(ready) };
        if let Some(at) = running.force_at {
            let left = at.saturating_duration_since(Instant::now());
            limit = Some(limit.map_or(left, |limit| limit.min(left)));
        }
        let mut fds = vec![PollFd::new(&self.shared.wake, PollFlags::IN)];
        let mut places: Vec<fn(&mut Ready)> = vec![|ready| ready.asked = true];
        if running.status.is_none() {
            fds.push(PollFd::new(&running.child_ended, PollFlags::IN));
            places.push(|ready| ready.child = true);
        }
        if let Some(init) = running.init.as_ref().filter(|_| !running.init_ended) {
            fds.push(PollFd::new(init, PollFlags::IN));
            places.push(|ready| ready.init = true);
        }
        if let Some(control) = &running.control {
            fds.push(PollFd::new(control, PollFlags::IN));
            places.push(|ready| ready.control = true);
        }
        let marks: [fn(&mut Ready); 2] =
            [|ready| ready.streams[0] = true, |ready| ready.streams[1] = true];
        for ((stream, lines), mark) in running.streams.iter().zip(&mut self.lines).zip(marks) {
            let Some(stream) = stream else { continue };
            match lines.allowance(now) {
                Ok(_) => {
                    fds.push(PollFd::new(stream, PollFlags::IN));
                    places.push(mark);
                }
                Err(later) => limit = Some(limit.map_or(later, |limit| limit.min(later))),
            }
        }
        let (calls, look) = self.watch.wait(now);
        if let Some(calls) = &calls {
            fds.push(PollFd::new(calls, PollFlags::IN));
            places.push(|ready| ready.calls = true);
        }
        if is_watched {
            limit = Some(limit.map_or(look, |limit| limit.min(look)));
        }
        let limit = limit.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        match poll(&mut fds, limit.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(ready),
            other => other?,
        };
        for (fd, mark) in fds.iter().zip(places) {
            if !fd.revents().is_empty() {
                mark(&mut ready);
            }
        }
        Ok(ready)
    }

    /// Takes what the handle's owner asks for.
    fn obey(&mut self) -> io::Result<()> {
        let mut count = [0; 8];
        match rustix::io::read(&self.shared.wake, &mut count) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        let wants = {
            let mut wants = self.shared.wants();
            let asked = wants.asked;
            std::mem::replace(&mut *wants, Wants { asked, ..Wants::default() })
        };
        if let Some(program) = wants.launch
            && self.program.is_none()
        {
            self.program = Some(program);
            self.handle(Event::Launch);
        }
        if let Some(suspended) = wants.suspended {
            self.handle(if suspended { Event::Suspend } else { Event::Resume });
        }
        if wants.stop {
            self.handle(Event::Stop);
        }
        if wants.kill {
            self.handle(Event::Kill);
        }
        self.shared.status().obeyed = wants.asked;
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Takes what the first process inside says.
    fn receive(&mut self) {
        for _ in 0..BURST {
            let Some(running) = &mut self.running else { return };
            let Some(control) = &running.control else { return };
            match control.receive::<Report>() {
                Ok(Some(received)) if received.message == Report::Opened => self.opened(received),
                Ok(Some(received)) => self.reported(received.message),
                Ok(None) => {
                    running.control = None;
                    return;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    running.control = None;
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "a sandbox says what is not understood");
                    self.handle(Event::Kill);
                    return;
                }
            }
        }
    }

    fn opened(&mut self, received: Received<Report>) {
        let Some(running) = &mut self.running else { return };
        if running.init.is_some() {
            return;
        }
        let mut fds = received.fds.into_iter();
        let (Some(home), Some(sockets)) = (fds.next(), fds.next()) else {
            self.handle(Event::Kill);
            return;
        };
        let sender = received.sender.ok_or_else(|| io::Error::from(ErrorKind::InvalidData));
        match sender.and_then(|pid| inside(pid, running.child.id())) {
            Ok(init) => running.init = Some(init),
            Err(error) => {
                tracing::warn!(%error, "the first process of a sandbox cannot be watched");
                self.handle(Event::Kill);
                self.force();
                return;
            }
        }
        if running.force_at.take().is_some() {
            // It was to be killed while it was being made.
            self.kill();
            return;
        }
        running.sockets = Some(sockets);
        let plan = self.plan.as_ref();
        let is_alone = plan.is_some_and(|plan| plan.spec.network == Network::None);
        self.watch.begin(fds.next(), received.sender.filter(|_| is_alone));
        self.shared.status().home = Some(Arc::new(home));
        self.handle(Event::Opened);
    }

    fn reported(&mut self, report: Report) {
        let event = match report {
            // These are answers to nothing that is still awaited.
            Report::Opened | Report::Frozen | Report::Thawed => return,
            Report::DisplayReady => match self.reach_display() {
                Ok(()) => Event::DisplayReady,
                // That it is to end is what comes next.
                Err(_) if self.is_to_end() => return,
                Err(error) => Event::DisplayFailed(format!("its socket: {error}")),
            },
            Report::DisplayFailed(reason) => Event::DisplayFailed(reason),
            Report::DisplayEnded(exit) => Event::DisplayEnded(exit),
            Report::GameStarted => Event::GameStarted,
            Report::GameFailed(reason) => Event::GameFailed(reason),
            Report::GameEnded(exit) => Event::GameEnded(exit),
        };
        self.handle(event);
    }

    /// Whether somebody asks for its end, and has not been obeyed yet.
    fn is_to_end(&self) -> bool {
        let wants = self.shared.wants();
        wants.stop || wants.kill
    }

    /// Finds the sockets of the display, and connects to its devices before the game can.
    fn reach_display(&self) -> io::Result<()> {
        let running = self.running.as_ref().ok_or(ErrorKind::NotFound)?;
        let plan = self.plan.as_ref().ok_or(ErrorKind::NotFound)?;
        let devices = match plan.spec.server {
            Server::Xvfb => None,
            Server::Xorg => {
                let [touch, wheel, pen] = xorg::SOCKETS.map(|name| running.socket(name));
                let sockets = [touch?, wheel?, pen?];
                let path = |socket: &OwnedFd| format!("/proc/self/fd/{}", socket.as_raw_fd());
                let paths = sockets.each_ref().map(|socket| PathBuf::from(path(socket)));
                let devices = XDevices::connect(&paths, &|| self.is_to_end());
                let devices = devices.map_err(io::Error::other)?;
                // The game has nothing to say to them.
                xorg::SOCKETS.into_iter().try_for_each(|name| running.forget(name))?;
                Some((Arc::new(devices), plan.spec.largest))
            }
        };
        let socket = running.x_socket()?;
        let mut status = self.shared.status();
        (status.socket, status.devices) = (Some(Arc::new(socket)), devices);
        Ok(())
    }

    /// Reads a stream once. Where it has ended, it is closed.
    fn read(&mut self, number: usize) -> bool {
        let now = self.now();
        let Some(running) = &mut self.running else { return false };
        let (Some(place), Some(lines)) =
            (running.streams.get_mut(number), self.lines.get_mut(number))
        else {
            return false;
        };
        let Some(stream) = place else { return false };
        let mut chunk = [0; CHUNK];
        let allowed = lines.allowance(now).unwrap_or(0).min(CHUNK);
        let read = match rustix::io::read(stream.as_fd(), &mut chunk[..allowed]) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return false,
            Err(_) | Ok(0) if allowed > 0 => {
                *place = None;
                return false;
            }
            Err(_) => return false,
            Ok(read) => read,
        };
        let source = if number == 0 { "game" } else { "around" };
        lines.take(now, chunk.get(..read).unwrap_or_default(), |line| {
            tracing::debug!(source, line);
        });
        let kept: Vec<String> = lines.kept().map(str::to_owned).collect();
        if let Some(said) = self.shared.status().said.get_mut(number) {
            *said = kept;
        }
        read > 0
    }

    /// What was written before the end, within the bounds that hold at any time.
    fn read_rest(&mut self) {
        for number in 0..self.lines.len() {
            for _ in 0..BURST {
                if !self.read(number) {
                    break;
                }
            }
        }
        for (lines, source) in self.lines.iter_mut().zip(["game", "around"]) {
            lines.end(|line| tracing::debug!(source, line));
        }
        let kept = self.lines.each_ref().map(|of| of.kept().map(str::to_owned).collect());
        self.shared.status().said = kept;
    }

    /// Why there is no sandbox: what bubblewrap said last, or how it ended.
    fn why_it_ended(&self) -> String {
        if let Some(line) = self.shared.status().said[1].last() {
            return line.clone();
        }
        let status = self.running.as_ref().and_then(|running| running.status);
        match status.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => format!("bubblewrap ended with status {code}"),
            Some((_, Some(signal))) => format!("bubblewrap was ended by signal {signal}"),
            _ => "bubblewrap ended".to_owned(),
        }
    }

    /// Puts away what was made, and tells the end.
    fn finish(&mut self) {
        let mut end = match self.machine.phase() {
            Phase::Ended(end) => end,
            // Only a panic leads here.
            _ => End { how: How::Failed(Step::Sandbox, "a bug".to_owned()), gone: false },
        };
        end.how = self.by_limits(end.how);
        self.put_away();
        match &end.how {
            How::Stopped | How::Exited(_) | How::Killed => {
                tracing::info!(how = %end.how, "game ended");
            }
            how => tracing::warn!(%how, "game ended"),
        }
        if !end.gone {
            tracing::error!("a process of a game cannot be killed");
        }
        self.tell(Phase::Ended(end));
    }

    /// How it ended, where it met its limits; that it did is told in any case.
    fn by_limits(&self, how: How) -> How {
        let Some(Plan { group: Some(group), spec, .. }) = &self.plan else { return how };
        let (overruns, limits) = (group.overruns(), &spec.limits);
        if let Some(limit) = limits.processes.filter(|_| overruns.refused > 0) {
            let refused = overruns.refused;
            tracing::warn!(refused, limit, "a game wanted more processes than it may have");
        }
        let Some(limit) = limits.memory.filter(|_| overruns.killed > 0) else { return how };
        let killed = overruns.killed;
        tracing::warn!(killed, limit, "processes of a game were killed: its memory was used up");
        match how {
            How::Exited(Exit::Signal(libc::SIGKILL) | Exit::Code(OF_KILLED))
            | How::DisplayEnded(Exit::Signal(libc::SIGKILL))
            | How::SandboxLost => How::OutOfMemory(ByteSize(limit)),
            how => how,
        }
    }

    fn put_away(&mut self) {
        if self.running.as_ref().is_some_and(|running| !running.is_gone()) {
            self.force();
        }
        self.running = None;
        self.watch.look_now();
        self.watch = Watch::default();
        let Some(Plan { folder, group, lease, .. }) = self.plan.take() else { return };
        if let Some(group) = group
            && let Err(error) = group.remove(Instant::now() + REMOVE_PATIENCE)
        {
            tracing::warn!(%error, "a control group stays");
        }
        drop(folder);
        // Last: what another game could find of this one is gone.
        drop(lease);
        let mut status = self.shared.status();
        (status.pid, status.socket, status.devices) = (None, None, None);
    }
}

impl Drop for Runner {
    /// Does nothing unless the thread panics.
    fn drop(&mut self) {
        if matches!(self.told, Phase::Ended(_)) {
            return;
        }
        self.kill();
        self.force();
        if let Some(running) = &mut self.running {
            // It was killed just now.
            let _ = running.child.wait();
        }
        self.finish();
    }
}
