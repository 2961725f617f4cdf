//! What a program draws by memory that it shares with its X server by a number of System V (MIT-SHM), as most games do, is
//! what is captured. The program is this very one, run in a sandbox: it and the server are in one IPC namespace, in which
//! nobody else is.
#![expect(unsafe_code, reason = "memory of System V has no safe interface")]

use std::io;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::time::Duration;

use media::{FrameRate, Size, SourceEvent};
use nearlight_host::Game as _;
use nearlight_host::confine::{Bind, Phase, Program, Sandbox, Server};
use nearlight_host::display::{Cookie, Display};
use testkit::{FakeClock, WallClock};
use x11rb::connection::Connection as _;
use x11rb::errors::ReplyError;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{
    ConnectionExt as _, CreateGCAux, CreateWindowAux, ImageFormat, WindowClass,
};
use x11rb::protocol::{ErrorKind, Event};
use x11rb::rust_connection::{DefaultStream, RustConnection};

use crate::capture::{ask, check, sample, settle};
use crate::common::{bed, eventually, must_run, spec, until};

/// Set where this program runs inside.
const INSIDE: &str = "NEARLIGHT_PAINTS";
/// Where this program lies inside.
const PROBE: &str = "/probe";
/// Its screen. Xorg has no smaller one.
const SIZE: Size = Size::new(320, 240);
/// What it paints: four quarters, from left to right and from top to bottom.
const QUARTERS: [u32; 4] = [0xff_80_20, 0x20_a0_ff, 0x60_ff_60, 0xc0_40_c0];
/// No brightness of those is as low.
const DARK: u8 = 60;

/// Memory of System V that has room for the picture. Its number is good in one IPC namespace.
struct Segment {
    number: i32,
    bytes: *mut u8,
}

impl Segment {
    const LENGTH: usize = (SIZE.width * SIZE.height * 4) as usize;

    fn make() -> Self {
        let mode = libc::IPC_CREAT | 0o666;
        // SAFETY: it makes new memory, and touches none.
        let number = unsafe { libc::shmget(libc::IPC_PRIVATE, Self::LENGTH, mode) };
        assert!(number >= 0, "{}", io::Error::last_os_error());
        // SAFETY: the kernel looks for a place where nothing is.
        let bytes = unsafe { libc::shmat(number, ptr::null(), 0) };
        assert_ne!(bytes as isize, -1, "{}", io::Error::last_os_error());
        Self { number, bytes: bytes.cast() }
    }

    fn write(&self, picture: &[u8]) {
        assert_eq!(picture.len(), Self::LENGTH);
        // SAFETY: it is attached until the drop and as long as that, and nobody writes to it but this.
        unsafe { ptr::copy_nonoverlapping(picture.as_ptr(), self.bytes, Self::LENGTH) };
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: both are of what was made and attached above. It is gone once the last has let go of it.
        unsafe {
            libc::shmctl(self.number, libc::IPC_RMID, ptr::null_mut());
            libc::shmdt(self.bytes.cast_const().cast());
        }
    }
}

/// The quarters as a server has pixels: blue first.
fn picture() -> Vec<u8> {
    let at = |x: u32, y: u32| (y * 2 / SIZE.height * 2 + x * 2 / SIZE.width) as usize;
    let pixels = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)));
    pixels.flat_map(|(x, y)| QUARTERS[at(x, y)].to_le_bytes()).collect()
}

/// Inside: paints as games do that share memory with their server, and by nothing else.
#[test]
#[ignore = "run by the other tests, in a sandbox"]
fn paints() {
    assert!(std::env::var_os(INSIDE).is_some(), "this runs in a sandbox only");
    let (x, screen) = RustConnection::connect(None).unwrap();
    let (root, depth) = (x.setup().roots[screen].root, x.setup().roots[screen].root_depth);
    let [window, pen, shared] = [(); 3].map(|()| x.generate_id().unwrap());
    let (width, height) = (SIZE.width as u16, SIZE.height as u16);
    let look = CreateWindowAux::new().background_pixel(0).override_redirect(1);
    let class = WindowClass::INPUT_OUTPUT;
    x.create_window(depth, window, root, 0, 0, width, height, 0, class, 0, &look).unwrap();
    x.create_gc(pen, window, &CreateGCAux::new()).unwrap();
    x.map_window(window).unwrap();
    let segment = Segment::make();
    segment.write(&picture());
    x.shm_attach(shared, segment.number.cast_unsigned(), true).unwrap().check().unwrap();
    let format = ImageFormat::Z_PIXMAP.into();
    let put = x.shm_put_image(
        window, pen, width, height, 0, 0, width, height, 0, 0, depth, format, true, shared, 0,
    );
    put.unwrap().check().unwrap();
    // They wait for that before they paint into it anew.
    while !matches!(x.wait_for_event().unwrap(), Event::ShmCompletion(_)) {}
    println!("painted");
    loop {
        std::thread::park();
    }
}

/// Sees that the server knows nothing of this process's memory, which has its number in another IPC namespace: who is not in
/// the server's shares nothing with it.
fn knows_no_memory_from_outside(sandbox: &Sandbox) {
    let display = sandbox.display().unwrap();
    let stream = UnixStream::connect(display.path()).unwrap();
    let (stream, _) = DefaultStream::from_unix_stream(stream).unwrap();
    let (name, cookie) = (b"MIT-MAGIC-COOKIE-1".to_vec(), display.cookie.to_vec());
    let x = RustConnection::connect_to_stream_with_auth_info(stream, 0, name, cookie).unwrap();
    let (shared, segment) = (x.generate_id().unwrap(), Segment::make());
    let answer = x.shm_attach(shared, segment.number.cast_unsigned(), true).unwrap().check();
    let Err(ReplyError::X11Error(error)) = answer else { panic!("it has it: {answer:?}") };
    assert_eq!(error.error_kind, ErrorKind::Access);
}

fn is_captured(server: Server) {
    let Some(bed) = bed() else { return };
    if let (Server::Xorg, Err(missing)) = (server, &bed.confinement.found().offers.xorg) {
        assert!(!must_run(), "NEARLIGHT_HOST is set, and {missing}");
        println!("left out: {missing}");
        return;
    }
    let mut spec = spec("shared");
    let source = std::env::current_exe().unwrap().canonicalize().unwrap();
    (spec.server, spec.largest) = (server, SIZE);
    spec.binds = vec![Bind { source, at: PROBE.into() }];
    let sandbox = bed.start(&spec);
    until(&sandbox, &Phase::Waiting);
    knows_no_memory_from_outside(&sandbox);
    let there = sandbox.display().unwrap();
    let display = Display::connect(&there.path(), &Cookie::new(there.cookie)).unwrap();
    let mut source = display.source(FrameRate::fps(1_000), WallClock::shared()).unwrap();
    settle(&mut source);
    let mut program = Program {
        command: PROBE.into(),
        args: ["--exact", "shared::paints", "--ignored", "--nocapture"].map(str::to_owned).into(),
        ..Program::default()
    };
    program.env.insert(INSIDE.into(), "1".into());
    sandbox.launch(program);
    let painted = eventually("what it paints", || {
        let phase = sandbox.phase();
        assert!(!matches!(phase, Phase::Ended(_)), "{phase:?}: {:?}", sandbox.said());
        let event = ask(&mut source, Duration::from_millis(50), false);
        let Ok(SourceEvent::Frame(mut frame)) = event else { return None };
        frame.image.finish(&FakeClock::default(), &mut frame.stages).unwrap();
        // Its window is black before.
        (sample(&frame, 8, 8)[0] > DARK).then_some(frame)
    });
    for (number, colour) in QUARTERS.into_iter().enumerate() {
        let (left, top) = (number % 2 * 160, number / 2 * 120);
        for (x, y) in [(2, 2), (157, 2), (2, 117), (157, 117)] {
            check(&painted, left + x, top + y, colour);
        }
    }
    eventually("word that it painted", || {
        sandbox.said().iter().any(|line| line.ends_with("painted")).then_some(())
    });
}

#[test]
fn what_is_painted_by_memory_that_is_shared_with_xvfb_is_captured() {
    is_captured(Server::Xvfb);
}

#[test]
fn what_is_painted_by_memory_that_is_shared_with_xorg_is_captured() {
    is_captured(Server::Xorg);
}
