//! A real X server of a test's own.

use std::io::Read;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use media::Size;
use nearlight_host::confine::xorg;
use nearlight_host::display::{Cookie, Display, XDevices};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// The cookie of every test's server.
pub(crate) const COOKIE: Cookie = Cookie::new(COOKIE_BYTES);
pub(crate) const COOKIE_BYTES: [u8; 16] = [0x5a; 16];

/// A running server. Dropping it kills it and takes away what it leaves.
pub(crate) struct Server {
    child: Child,
    number: u32,
    folder: tempfile::TempDir,
    /// Xorg's own, and how large it can be.
    devices: Option<(Arc<XDevices>, Size)>,
}

/// A server of this size at most, or none where Xvfb is not installed and not asked for.
pub(crate) fn start(width: u32, height: u32) -> Option<Server> {
    start_with(&["-screen", "0", &format!("{width}x{height}x24")])
}

/// As [`start`], with these arguments.
pub(crate) fn start_with(arguments: &[&str]) -> Option<Server> {
    let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let folder = tempfile::tempdir().unwrap();
    start_program("Xvfb".as_ref(), &arguments, folder)
}

/// Xorg of this size at most, with fingers, a wheel and a pen.
pub(crate) fn start_xorg(width: u32, height: u32) -> Option<Server> {
    let program = match xorg::find(None) {
        Ok(program) => program,
        Err(missing) => return skip(&missing),
    };
    let (folder, largest) = (tempfile::tempdir().unwrap(), Size::new(width, height));
    let config = folder.path().join("xorg.conf");
    std::fs::write(&config, xorg::config(largest, folder.path())).unwrap();
    let arguments = xorg::arguments(config.to_str().unwrap());
    let mut server = start_program(&program, &arguments, folder)?;
    let sockets = xorg::SOCKETS.map(|name| server.folder.path().join(name));
    server.devices = Some((Arc::new(XDevices::connect(&sockets, &|| false).unwrap()), largest));
    Some(server)
}

fn skip(why: &str) -> Option<Server> {
    assert!(std::env::var_os("NEARLIGHT_HOST").is_none_or(|asked| asked != "1"), "{why}");
    #[expect(clippy::print_stderr, reason = "the reason of a skip is for who runs the test")]
    {
        eprintln!("skipped: {why}");
    }
    None
}

/// Which hundred of numbers this process has, and what keeps it from others: a name that one alone can have.
static HUNDRED: LazyLock<(u32, UnixListener)> = LazyLock::new(|| {
    let own = |hundred: u32| {
        let name = format!("nearlight-test-displays-{hundred}");
        let name = SocketAddr::from_abstract_name(name).unwrap();
        Some((hundred, UnixListener::bind_addr(&name).ok()?))
    };
    let first = std::process::id();
    (0..500).map(|next| (first + next) % 500).find_map(own).unwrap()
});

fn start_program(
    program: &Path,
    arguments: &[String],
    folder: tempfile::TempDir,
) -> Option<Server> {
    let authority = folder.path().join("authority");
    std::fs::write(&authority, COOKIE.authority(0)).unwrap();
    // A number that no test beside this one has, so that what a killed server leaves can be taken away.
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let number = 1_000 + HUNDRED.0 * 100 + STARTED.fetch_add(1, Ordering::Relaxed);
    // It writes the number to its standard output once it takes connections.
    let child = Command::new(program)
        .arg(format!(":{number}"))
        .args(["-displayfd", "1", "-nolisten", "tcp", "-nolisten", "local", "-noreset", "-auth"])
        .arg(&authority)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return skip(&format!("{} cannot be started: {error}", program.display())),
    };
    let mut said = String::new();
    let mut byte = [0];
    let mut stdout = child.stdout.take().unwrap();
    while stdout.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        said.push(char::from(byte[0]));
    }
    assert_eq!(said, number.to_string(), "{} ended", program.display());
    Some(Server { child, number, folder, devices: None })
}

impl Server {
    pub(crate) fn socket(&self) -> PathBuf {
        format!("/tmp/.X11-unix/X{}", self.number).into()
    }

    pub(crate) fn connect(&self) -> Display {
        let display = Display::connect(&self.socket(), &COOKIE).unwrap();
        match &self.devices {
            Some((devices, largest)) => display.with_devices(devices.clone(), *largest),
            None => display,
        }
    }

    /// What programs are to have in their environment that use this server.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        let authority = self.folder.path().join("clients");
        std::fs::write(&authority, COOKIE.authority(self.number)).unwrap();
        [
            ("DISPLAY", format!(":{}", self.number)),
            ("XAUTHORITY", authority.to_str().unwrap().to_owned()),
        ]
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Halts it; when this returns, it does nothing any more.
    pub(crate) fn halt(&self) {
        self.signal(Signal::STOP);
        waitpid(Some(Pid::from_child(&self.child)), WaitOptions::UNTRACED).unwrap();
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_file(format!("/tmp/.X{}-lock", self.number));
    }
}
