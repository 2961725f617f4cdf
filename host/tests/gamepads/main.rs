//! Gamepads of a sandbox, as real programs in it see them.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and speak as tests do"
)]

#[path = "../common/mod.rs"]
mod common;

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use common::{Bed, LONG, bed, ended, eventually, must_run, open_to_all, said, spec};
use media::{Pad, PadButtons as B, PadState, Rumble};
use nearlight_host::Game as _;
use nearlight_host::confine::{Bind, Input, Program, Sandbox};
use nearlight_host::gamepads::{GamepadServer, GamepadSink};

const PYTHON: &str = "/usr/bin/python3";

struct Play {
    sandbox: Sandbox,
    server: GamepadServer,
    pads: GamepadSink,
    rumbles: Receiver<(Pad, Rumble)>,
    _scripts: tempfile::TempDir,
}

impl Play {
    /// A sandbox with this program in it; the gamepads in it are plugged in before it starts.
    fn start(bed: &Bed, script: &str, pads: &[Pad]) -> Option<Self> {
        let sdl = std::fs::exists("/usr/lib/x86_64-linux-gnu/libSDL2-2.0.so.0").unwrap()
            || std::fs::exists("/usr/lib/aarch64-linux-gnu/libSDL2-2.0.so.0").unwrap();
        if !Path::new(PYTHON).exists() || !sdl {
            assert!(!must_run(), "NEARLIGHT_HOST is set, and there is no python3 or libSDL2");
            println!("left out: there is no python3 or libSDL2");
            return None;
        }
        assert!(bed.confinement.found().offers.joystick.is_ok(), "{:?}", bed.confinement.found());
        // Those who play read them, wherever the tests' own files lie.
        let scripts = tempfile::tempdir().unwrap();
        open_to_all(scripts.path());
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gamepads").join(script);
        std::fs::copy(from, scripts.path().join(script)).unwrap();
        let mut spec = spec("pads");
        spec.input = Input::Sockets;
        spec.binds.push(Bind { source: scripts.path().to_owned(), at: "/game".into() });
        let sandbox = bed.start(&spec);
        let (tell, rumbles) = channel();
        let rumble = Box::new(move |pad, rumble| tell.send((pad, rumble)).unwrap());
        let server = GamepadServer::open("pads", &sandbox.input_folder(), rumble).unwrap();
        let sink = server.sink();
        pads.iter().for_each(|pad| sink.plug(*pad, true));
        sandbox.launch(Program {
            command: PYTHON.into(),
            args: vec![format!("/game/{script}")],
            ..Program::default()
        });
        said(&sandbox, "ready");
        Some(Self { sandbox, server, pads: sink, rumbles, _scripts: scripts })
    }

    fn says(&self, line: &str) {
        said(&self.sandbox, line);
    }
}

fn state(buttons: u32, axes: [i16; 4], triggers: [u8; 2]) -> PadState {
    PadState { buttons: B::new(buttons).unwrap(), axes, triggers }
}

#[test]
fn four_gamepads_come_play_rumble_and_go() {
    let Some(bed) = bed() else { return };
    let [first, second, third, fourth] = Pad::ALL;
    let Some(play) = Play::start(&bed, "sdl.py", &[first, second]) else { return };
    play.says("came /dev/input/event0");
    play.says("came /dev/input/event1");
    // While it runs.
    for pad in [third, fourth] {
        play.pads.plug(pad, true);
        play.says(&format!("came /dev/input/event{}", pad.number()));
    }
    // SDL's order: A B X Y, back guide start, both sticks, both shoulders, up down left right.
    for (order, button) in [
        B::SOUTH,
        B::EAST,
        B::WEST,
        B::NORTH,
        B::SELECT,
        B::GUIDE,
        B::START,
        B::LEFT_STICK,
        B::RIGHT_STICK,
        B::LEFT_SHOULDER,
        B::RIGHT_SHOULDER,
        B::UP,
        B::DOWN,
        B::LEFT,
        B::RIGHT,
    ]
    .into_iter()
    .enumerate()
    {
        let pad = Pad::ALL[order % 4];
        play.pads.set(pad, &state(button, [0; 4], [0; 2]));
        let bits: String = (0..15).map(|place| if place == order { '1' } else { '0' }).collect();
        play.says(&format!("event{} {bits} 0 0 0 0 0 0", pad.number()));
    }
    // Start is what it rumbles on; SDL ends it by itself.
    play.says("rumbles 0");
    let told = |rumble: &Rumble| (rumble.strong, rumble.weak);
    let (pad, rumble) = play.rumbles.recv_timeout(LONG).unwrap();
    assert_eq!((pad, told(&rumble)), (third, (0x1234, 0x5678)));
    let (pad, rumble) = play.rumbles.recv_timeout(LONG).unwrap();
    assert_eq!((pad, told(&rumble)), (third, (0, 0)));
    // Every value is the one that was sent. SDL takes an axis that hardly moves for noise until it moved once.
    play.pads.set(second, &state(0, [-32_768, 32_767, 2_000, -2_000], [255, 0]));
    play.says("event1 000000000000000 -32768 32767 2000 -2000 32767 0");
    play.pads.set(second, &state(0, [-32_768, 32_767, 1, -1], [255, 0]));
    play.says("event1 000000000000000 -32768 32767 1 -1 32767 0");
    play.pads.set(second, &state(0, [1_000, 0, -20_000, 3], [0, 255]));
    play.says("event1 000000000000000 1000 0 -20000 3 0 32767");
    play.pads.release_all();
    for number in 0..4 {
        play.says(&format!("event{number} 000000000000000 0 0 0 0 0 0"));
    }
    // Gone, and back again.
    play.pads.plug(first, false);
    play.says("gone event0");
    play.pads.plug(first, true);
    eventually("it is back", || {
        let came = |line: &&String| *line == "came /dev/input/event0";
        (play.sandbox.said().iter().filter(came).count() == 2).then_some(())
    });
    play.pads.set(first, &state(B::EAST, [0; 4], [0; 2]));
    play.says("event0 010000000000000 0 0 0 0 0 0");
    play.sandbox.kill();
    ended(&play.sandbox);
    drop(play.server);
}

#[test]
fn an_old_program_sees_a_joystick() {
    let Some(bed) = bed() else { return };
    let pad = Pad::ALL[1];
    let Some(play) = Play::start(&bed, "joystick.py", &[pad]) else { return };
    let expected = [
        "device True 13 1",
        "open True",
        "axes 8 buttons 11 Microsoft X-Box 360 pad",
        "maps [0, 1, 2, 3, 4, 5, 16, 17] [304, 305, 307, 308, 310, 311, 314, 315, 316, 317, 318]",
        "refused 22",
        "no gamepad 25",
        "ready",
    ];
    assert_eq!(play.sandbox.said()[..expected.len()], expected);
    play.says("event 130 7 0");
    play.pads.set(pad, &state(B::EAST | B::UP, [0, 0, 0, -7], [128, 0]));
    for line in ["event 1 1 1", "event 2 2 128", "event 2 4 -7", "event 2 7 -32767"] {
        play.says(line);
    }
    play.pads.plug(pad, false);
    play.says("over");
    ended(&play.sandbox);
}

#[test]
fn a_game_that_does_not_read_is_told_the_last_when_it_does() {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;
    let folder = tempfile::tempdir().unwrap();
    let server = GamepadServer::open("pads", folder.path(), Box::new(|_, _| {})).unwrap();
    let (pads, pad) = (server.sink(), Pad::ALL[0]);
    pads.plug(pad, true);
    let mut game = UnixStream::connect(folder.path().join("event0")).unwrap();
    // It has been accepted when it is told something.
    let mut first = [0; 2 * 24];
    pads.set(pad, &state(B::SOUTH, [0; 4], [0; 2]));
    game.read_exact(&mut first).unwrap();
    // Far more than any socket holds.
    for turn in 0..100_000_u32 {
        pads.set(pad, &state(0, [(turn % 30_000) as i16, 0, 0, 0], [0; 2]));
    }
    pads.set(pad, &state(B::NORTH, [7, 8, 9, 10], [1, 2]));
    let mut axes = std::collections::BTreeMap::<(u16, u16), i32>::new();
    let mut record = [0; 24];
    let wanted: [(u16, u16, i32); 8] = [
        (3, 0, 7),
        (3, 1, 8),
        (3, 3, 9),
        (3, 4, 10),
        (3, 2, 1),
        (3, 5, 2),
        (1, 0x134, 1),
        (1, 0x130, 0),
    ];
    // It comes after all that the socket holds, however much that is.
    game.set_read_timeout(Some(LONG)).unwrap();
    while wanted.iter().any(|(kind, code, is)| axes.get(&(*kind, *code)) != Some(is)) {
        game.read_exact(&mut record).unwrap();
        let code = u16::from_ne_bytes([record[18], record[19]]);
        let kind = u16::from_ne_bytes([record[16], record[17]]);
        axes.insert((kind, code), i32::from_ne_bytes(record[20..].try_into().unwrap()));
    }
}

#[test]
fn what_is_no_request_harms_nobody() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    let folder = tempfile::tempdir().unwrap();
    let server = GamepadServer::open("pads", folder.path(), Box::new(|_, _| {})).unwrap();
    let (pads, pad) = (server.sink(), Pad::ALL[2]);
    pads.plug(pad, true);
    let connect = || UnixStream::connect(folder.path().join("event2"));
    let mut good = connect().unwrap();
    let mut bad = connect().unwrap();
    for seed in 0..2_000_u32 {
        let noise: Vec<u8> =
            (0..97).map(|at| (seed.wrapping_mul(2_654_435_761) >> (at % 24)) as u8).collect();
        bad.write_all(&noise).unwrap();
    }
    // One that opens it again and again is refused at some time, by its closing, and the others play on.
    let mut many: Vec<_> = (0..64).map(|_| connect().unwrap()).collect();
    let last = many.last_mut().unwrap();
    assert_eq!(last.read(&mut [0; 24]).unwrap(), 0);
    pads.set(pad, &state(B::SOUTH, [0; 4], [0; 2]));
    good.read_exact(&mut [0; 48]).unwrap();
    drop(server);
    assert!(connect().is_err(), "nothing is left of it");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}
