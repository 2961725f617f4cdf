//! What a game tries that should not be in a sandbox. Each attempt is made by this very program, run
//! inside, which says of each how it went.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and speak as tests do"
)]
#![expect(unsafe_code, reason = "the attempts are system calls that no safe interface offers")]

mod common;

use std::fs::{self, File, OpenOptions};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use common::{
    Bed, bed, bed_with, ended, eventually, in_home, must_run, said, shell, spec, suspend, until,
};
use nearlight_host::confine::{Attempt, Bind, Exit, How, Phase, Program, Sandbox, Server, Spec};
use nearlight_host::{Game as _, Host as _};

/// Set where this program runs inside: what it is to try.
const ATTEMPT: &str = "NEARLIGHT_ATTEMPT";
/// Where this program lies inside.
const PROBE: &str = "/probe";
/// What the attempts are told of the host, in files of a folder that is shown.
const FACTS: &str = "/facts";

/// How an attempt went: `Err` is what it should be, with what the kernel said.
type Outcome = Result<String, String>;

fn fact(name: &str) -> String {
    fs::read_to_string(Path::new(FACTS).join(name)).unwrap_or_default()
}

fn tried<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Outcome {
    result.map(|_| what.to_owned()).map_err(|error| format!("{what}: {error}"))
}

/// A system call with small arguments.
fn call(number: i64, args: [i64; 5]) -> std::io::Result<i64> {
    let [a, b, c, d, e] = args;
    // SAFETY: pointers among the arguments are null or of static strings; calls that would succeed change
    // this process alone, which ends then.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}

fn address(text: &'static std::ffi::CStr) -> i64 {
    text.as_ptr() as i64
}

fn has_something(entry: &std::io::Result<fs::DirEntry>) -> bool {
    let data = entry.as_ref().ok().and_then(|entry| entry.metadata().ok());
    data.is_none_or(|data| data.is_dir() || data.len() > 0)
}

fn files() -> Vec<Outcome> {
    let mut out = Vec::new();
    for path in [
        "/etc/ssl/private",
        "/etc/ssh",
        "/root",
        // Of one that is opened twice in a row the kernel may tell once.
        "/etc/shadow",
        "/home/player/../../root",
        "/boot",
        "/var/lib",
        "/sys/kernel",
        "/proc/kcore",
        "/proc/1/mem",
        "/proc/1/environ",
        "/proc/1/fd",
        "/proc/1/root/etc",
        "/proc/sysrq-trigger",
        &fact("run"),
        &fact("secret"),
    ] {
        let is_folder = fs::metadata(path).is_ok_and(|data| data.is_dir());
        out.push(match is_folder {
            // What is empty tells nothing.
            true => match fs::read_dir(path).map(|entries| entries.filter(has_something).count()) {
                Ok(0) => Err(format!("{path} is empty")),
                other => tried(path, other),
            },
            false => match fs::read(path) {
                Ok(bytes) if bytes.is_empty() => Err(format!("{path} is empty")),
                other => tried(path, other),
            },
        });
    }
    out
}

fn writes() -> Vec<Outcome> {
    let folders =
        ["/", "/usr", "/usr/bin", "/etc", "/dev", "/var", "/run/nearlight/pulse", "/facts"];
    let mut out: Vec<_> =
        folders.map(|folder| tried(folder, File::create(Path::new(folder).join("written")))).into();
    let files = [
        "/usr/bin/env",
        "/etc/passwd",
        "/run/nearlight/init",
        "/run/nearlight/xauth",
        PROBE,
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/core_pattern",
    ];
    out.extend(files.map(|file| tried(file, OpenOptions::new().write(true).open(file))));
    out.push(tried("move /run/nearlight", fs::rename("/run/nearlight/init", "/run/nearlight/x")));
    out
}

fn kernel() -> Vec<Outcome> {
    let user = i64::from(libc::CLONE_NEWUSER);
    let nothing = address(c"none");
    let calls: &[(&str, i64, [i64; 5])] = &[
        ("mount", libc::SYS_mount, [nothing, address(c"/tmp"), address(c"tmpfs"), 0, 0]),
        ("umount", libc::SYS_umount2, [address(c"/tmp"), 2, 0, 0, 0]),
        ("chroot", libc::SYS_chroot, [address(c"/tmp"), 0, 0, 0, 0]),
        ("open_tree", libc::SYS_open_tree, [-100, address(c"/"), 1, 0, 0]),
        ("fsopen", libc::SYS_fsopen, [address(c"tmpfs"), 0, 0, 0, 0]),
        ("unshare user", libc::SYS_unshare, [user, 0, 0, 0, 0]),
        ("unshare net", libc::SYS_unshare, [i64::from(libc::CLONE_NEWNET), 0, 0, 0, 0]),
        ("clone user", libc::SYS_clone, [user | i64::from(libc::SIGCHLD), 0, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [0, 0, 0, 0, 0]),
        ("setns", libc::SYS_setns, [0, 0, 0, 0, 0]),
        ("ptrace me", libc::SYS_ptrace, [0, 0, 0, 0, 0]),
        ("ptrace init", libc::SYS_ptrace, [16, 1, 0, 0, 0]),
        ("read memory", libc::SYS_process_vm_readv, [1, 0, 0, 0, 0]),
        ("keyctl", libc::SYS_keyctl, [0, -3, 1, 0, 0]),
        ("add_key", libc::SYS_add_key, [address(c"user"), nothing, 0, 0, -3]),
        ("bpf", libc::SYS_bpf, [0, 0, 0, 0, 0]),
        ("perf", libc::SYS_perf_event_open, [0, 0, -1, -1, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [1, 0, 0, 0, 0]),
        ("io_uring", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
        ("kexec", libc::SYS_kexec_load, [0, 0, 0, 0, 0]),
        ("module", libc::SYS_finit_module, [0, nothing, 0, 0, 0]),
        ("hostname", libc::SYS_sethostname, [nothing, 4, 0, 0, 0]),
        ("by handle", libc::SYS_open_by_handle_at, [-100, 0, 0, 0, 0]),
        ("root", libc::SYS_setuid, [0, 0, 0, 0, 0]),
        ("groups", libc::SYS_setgroups, [0, 0, 0, 0, 0]),
        ("kill init", libc::SYS_tgkill, [1, 2, 9, 0, 0]),
        ("hypervisor socket", libc::SYS_socket, [40, 1, 0, 0, 0]),
        ("packets", libc::SYS_socket, [17, 3, 0, 0, 0]),
        ("raw", libc::SYS_socket, [2, 3, 1, 0, 0]),
        ("personality", libc::SYS_personality, [0x004_0000, 0, 0, 0, 0]),
        ("device", libc::SYS_mknodat, [-100, address(c"/tmp/m"), 0o020_600, 0x0101, 0]),
        ("priority", libc::SYS_setpriority, [0, 0, -10, 0, 0]),
    ];
    calls.iter().map(|(what, number, args)| tried(what, call(*number, *args))).collect()
}

fn privileges() -> Vec<Outcome> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let mut out = vec![match line("NoNewPrivs:").as_str() {
        "1" => Err("no new privileges".to_owned()),
        other => Ok(format!("new privileges: {other}")),
    }];
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        out.push(match u64::from_str_radix(&line(set), 16) {
            Ok(0) => Err(format!("{set} none")),
            _ => Ok(format!("{set} {}", line(set))),
        });
    }
    // A program of root's with the mark that would make whoever runs it root.
    let said = Command::new("/facts/setuid-id").arg("-u").output();
    out.push(match said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()) {
        Ok(uid) if uid == "0" => Ok("became root".to_owned()),
        Ok(uid) => Err(format!("still {uid}")),
        Err(error) => Err(error.to_string()),
    });
    out
}

fn network() -> Vec<Outcome> {
    let port: u16 = fact("port").trim().parse().unwrap();
    let mut out = Vec::new();
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}"), "1.1.1.1:53".to_owned()] {
        let address: SocketAddr = address.parse().unwrap();
        out.push(tried(&address.to_string(), TcpStream::connect(address)));
    }
    let packet = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", "1.1.1.1:53"));
    out.push(tried("a packet", packet));
    let abstract_name = UnixAddress::from_abstract_name(fact("abstract").trim()).unwrap();
    out.push(tried("abstract socket of the host", UnixStream::connect_addr(&abstract_name)));
    let display = UnixAddress::from_abstract_name("/tmp/.X11-unix/X0").unwrap();
    out.push(tried("abstract socket of a display", UnixStream::connect_addr(&display)));
    // Only what this sandbox has may be listed.
    let devices = fs::read_to_string("/proc/net/dev").unwrap();
    for name in devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())) {
        out.push(if name == "lo" { Err("lo alone".to_owned()) } else { Ok(name.to_owned()) });
    }
    out
}

/// What another sandbox or the host has, and what of it can be seen.
fn others() -> Vec<Outcome> {
    let mut out = Vec::new();
    let expected = ["nearlight-init", "init", "Xvfb", "Xorg", "sh", "probe", "attempt", "xkbcomp"];
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(name) = fs::read_to_string(entry.path().join("comm")) else { continue };
        let name = name.trim().to_owned();
        let known = expected.iter().any(|known| name.starts_with(known));
        out.push(if known { Err(name) } else { Ok(format!("process {name}")) });
    }
    for folder in ["/tmp", "/dev/shm", "/var/tmp", "/run/user/1000", "/home/player"] {
        let path = Path::new(folder).join("of-the-other");
        out.push(tried(folder, fs::metadata(path)));
    }
    let shared = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    // The other made a segment of just this size.
    let seen = shared.lines().any(|line| line.split_whitespace().nth(3) == Some("54321"));
    out.push(if seen { Ok("a segment".to_owned()) } else { Err("no segment".to_owned()) });
    let sockets = fs::read_dir("/tmp/.X11-unix").unwrap().count();
    out.push(if sockets == 1 { Err("one display".to_owned()) } else { Ok(format!("{sockets}")) });
    let listed = fs::read_to_string("/proc/net/unix").unwrap();
    let named = listed.lines().any(|line| line.contains(" @"));
    out.push(if named { Ok(listed) } else { Err("no abstract socket".to_owned()) });
    out
}

/// Calls that lead out, one after the other, until it is killed.
fn flood() -> ! {
    println!("flooding");
    loop {
        let outcome = call(libc::SYS_ptrace, [16, 1, 0, 0, 0]);
        assert_eq!(outcome.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}

/// Inside: makes the attempts and says how they went.
#[test]
#[ignore = "run by the other tests, in a sandbox"]
fn attempt() {
    let what = std::env::var(ATTEMPT).expect("this runs in a sandbox only");
    let outcomes = match what.as_str() {
        "files" => files(),
        "writes" => writes(),
        "kernel" => kernel(),
        "privileges" => privileges(),
        "network" => network(),
        "others" => others(),
        "flood" => flood(),
        other => panic!("{other}"),
    };
    let text: String = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(what) => format!("BROKEN {what}\n"),
            Err(why) => format!("held {why}\n"),
        })
        .collect();
    fs::write("/home/player/outcomes", text).unwrap();
}

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

/// Keeps what is logged from here on.
fn log() {
    // The first of the tests does it for all.
    let _ = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).try_init();
}

/// What the log says of such attempts of a session.
fn logged(session: &str, attempt: Attempt) -> Vec<String> {
    let text = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    let (session, kind) = (format!("{session:?}"), format!("kind={:?}", attempt.name()));
    let lines = text.lines().filter(|line| line.contains(&session) && line.contains(&kind));
    lines.map(str::to_owned).collect()
}

struct Host {
    bed: Bed,
    facts: tempfile::TempDir,
    /// The X server of its sandboxes.
    server: Server,
    _listeners: (TcpListener, Option<TcpListener>, UnixListener),
}

fn host() -> Option<Host> {
    log();
    let bed = bed_with(|config| {
        config.secrets = vec![config.run.clone(), config.run.join("secret")];
    })?;
    let facts = tempfile::tempdir().unwrap();
    common::open_to_all(facts.path());
    let tell = |name: &str, text: &str| fs::write(facts.path().join(name), text).unwrap();
    let four = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = four.local_addr().unwrap().port();
    // Machines without IPv6 are none the worse for it.
    let six = TcpListener::bind(("::1", port)).ok();
    let name = format!("nearlight-escape-{}-{port}", std::process::id());
    let unix = UnixListener::bind_addr(&UnixAddress::from_abstract_name(&name).unwrap()).unwrap();
    tell("port", &port.to_string());
    tell("abstract", &name);
    tell("run", bed.run.path().to_str().unwrap());
    let secret = bed.run.path().join("secret");
    fs::write(&secret, "the node's key").unwrap();
    tell("secret", secret.to_str().unwrap());
    let id = facts.path().join("setuid-id");
    fs::copy("/usr/bin/id", &id).unwrap();
    fs::set_permissions(&id, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    Some(Host { bed, facts, server: Server::Xvfb, _listeners: (four, six, unix) })
}

impl Host {
    fn spec(&self, id: &str) -> Spec {
        let bind = |source: &Path, at: &str| Bind { source: source.into(), at: at.into() };
        let mut spec = spec(id);
        let probe = std::env::current_exe().unwrap().canonicalize().unwrap();
        spec.binds = vec![bind(&probe, PROBE), bind(self.facts.path(), FACTS)];
        spec.server = self.server;
        spec
    }

    /// A sandbox in which the attempts are made.
    fn attempts(&self, what: &str) -> Sandbox {
        let mut program = Program {
            command: PROBE.into(),
            args: ["--exact", "attempt", "--ignored", "--nocapture"].map(str::to_owned).into(),
            ..Program::default()
        };
        program.env.insert(ATTEMPT.into(), what.into());
        self.bed.play(&self.spec(what), program)
    }

    /// Makes the attempts in a sandbox, in which these are noticed and no others; what was tried.
    fn attempt(&self, what: &str, noticed: &[(Attempt, u64)]) -> Vec<String> {
        let sandbox = self.attempts(what);
        let end = ended(&sandbox);
        assert_eq!(end.how, How::Exited(Exit::Code(0)), "{:?}", sandbox.said());
        let outcomes = String::from_utf8(in_home(&sandbox, "outcomes").unwrap()).unwrap();
        println!("{outcomes}");
        let outcomes: Vec<String> = outcomes.lines().map(str::to_owned).collect();
        let broken: Vec<_> = outcomes.iter().filter(|line| !line.starts_with("held ")).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        assert_eq!(sandbox.attempts().made().collect::<Vec<_>>(), noticed);
        for (attempt, count) in noticed {
            let told = logged(sandbox.id(), *attempt);
            assert!(!told.is_empty() && told.len() <= 1 + count.ilog10() as usize, "{told:#?}");
            assert!(self.bed.confinement.attempts().count(*attempt) >= *count);
        }
        outcomes
    }
}

#[test]
fn files_of_the_host_cannot_be_read() {
    let Some(host) = host() else { return };
    // `/etc/shadow`, `/root` twice, and the node's own two.
    assert_eq!(host.attempt("files", &[(Attempt::Files, 5)]).len(), 16);
}

#[test]
fn nothing_but_what_is_its_own_can_be_written() {
    let Some(host) = host() else { return };
    assert_eq!(host.attempt("writes", &[]).len(), 16);
}

#[test]
fn calls_that_lead_out_are_refused() {
    let Some(host) = host() else { return };
    let noticed = [
        (Attempt::Mounts, 5),
        (Attempt::Namespaces, 4),
        (Attempt::Processes, 3),
        (Attempt::Keys, 2),
        (Attempt::Sockets, 2),
        (Attempt::Machine, 6),
    ];
    assert_eq!(host.attempt("kernel", &noticed).len(), 32);
}

#[test]
fn no_privilege_can_be_had() {
    let Some(host) = host() else { return };
    assert_eq!(host.attempt("privileges", &[]).len(), 7);
}

/// What is noticed of those that are tried: by TCP to this machine and outwards, in both kinds of addresses, and a packet.
fn connections() -> u64 {
    match TcpListener::bind("[::1]:0") {
        Ok(_) => 4,
        Err(error) => {
            println!("IPv6 is left out: {error}");
            3
        }
    }
}

#[test]
fn no_network_can_be_reached() {
    let Some(host) = host() else { return };
    // What is tried can be reached from here.
    let port = fs::read_to_string(host.facts.path().join("port")).unwrap();
    TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    assert!(host.attempt("network", &[(Attempt::Network, connections())]).len() >= 7);
}

/// One that has something of everything, and runs.
fn neighbour(host: &Host) -> Sandbox {
    let script = "for folder in /tmp /dev/shm /run/user/1000 $HOME; do \
                  touch $folder/of-the-other || echo failed; done; \
                  ipcmk -M 54321 >&2 && echo ready; exec sleep 100000";
    let sandbox = host.bed.play(&host.spec("neighbour"), shell(script));
    said(&sandbox, "ready");
    // What it says may be heard before it is heard that it runs.
    until(&sandbox, &Phase::Running);
    sandbox
}

#[test]
fn another_sandbox_cannot_be_seen() {
    let Some(host) = host() else { return };
    let neighbour = neighbour(&host);
    assert!(host.attempt("others", &[]).len() >= 10);
    assert_eq!(neighbour.phase(), Phase::Running, "and is not harmed");
    assert!(in_home(&neighbour, "of-the-other").is_some());
}

#[test]
fn the_same_is_held_beside_xorg() {
    let Some(mut host) = host() else { return };
    if let Err(missing) = &host.bed.confinement.found().offers.xorg {
        assert!(!must_run(), "NEARLIGHT_HOST is set, and {missing}");
        println!("left out: {missing}");
        return;
    }
    host.server = Server::Xorg;
    let neighbour = neighbour(&host);
    assert_eq!(host.attempt("files", &[(Attempt::Files, 5)]).len(), 16);
    assert_eq!(host.attempt("writes", &[]).len(), 16);
    assert!(host.attempt("network", &[(Attempt::Network, connections())]).len() >= 7);
    assert!(host.attempt("others", &[]).len() >= 10);
    assert_eq!((neighbour.phase(), neighbour.attempts().made().count()), (Phase::Running, 0));
}

#[test]
fn a_game_that_kills_all_that_it_can_harms_itself_alone() {
    let Some(host) = host() else { return };
    let neighbour = neighbour(&host);
    let sandbox = host.bed.play(&spec("killer"), shell("kill -9 -1; exec sleep 100000"));
    let end = ended(&sandbox);
    assert!(end.gone && end.how == How::DisplayEnded(Exit::Signal(9)), "{end:?}");
    assert_eq!(neighbour.phase(), Phase::Running);
}

#[test]
fn a_game_that_tries_without_end_can_be_halted_and_ended() {
    let Some(host) = host() else { return };
    let neighbour = neighbour(&host);
    let sandbox = host.attempts("flood");
    let tried = || sandbox.attempts().count(Attempt::Processes);
    // More than are answered in a second, so that some wait.
    let many = eventually("attempts", || (tried() > 250).then(tried));
    suspend(&sandbox);
    sandbox.resume();
    eventually("more attempts", || (tried() > many + 250).then_some(()));
    sandbox.stop();
    let end = ended(&sandbox);
    assert!(end.gone && end.how == How::Stopped, "{end:?}");
    // They are told of before they are counted.
    let lines = logged(sandbox.id(), Attempt::Processes).len();
    assert!(lines <= 1 + tried().ilog10() as usize, "{lines}");
    assert_eq!(neighbour.phase(), Phase::Running);
    assert_eq!(neighbour.attempts().made().count(), 0);
}

#[test]
fn games_run_under_users_of_their_own() {
    // Whichever of the tests is the first.
    log();
    let Some(bed) = bed() else { return };
    if !bed.confinement.found().own_users {
        println!("left out: the node is not root");
        return;
    }
    use std::os::unix::fs::MetadataExt;
    let sandboxes = ["one", "two"].map(|id| bed.start(&spec(id)));
    let users = sandboxes.each_ref().map(|sandbox| {
        until(sandbox, &Phase::Waiting);
        let folder = fs::metadata(sandbox.folder()).unwrap();
        let process = fs::metadata(format!("/proc/{}", sandbox.pid().unwrap())).unwrap();
        assert_eq!(folder.mode() & 0o777, 0o700);
        assert_eq!(folder.uid(), process.uid());
        folder.uid()
    });
    assert!(users[0] != users[1] && !users.contains(&0), "{users:?}");
}
