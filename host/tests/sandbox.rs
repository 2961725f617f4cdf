//! Sandboxes from their start to their end, with real programs in them.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and speak as tests do"
)]

mod common;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use common::{
    bed, bed_with, ended, eventually, in_home, must_run, said, shell, spec, suspend, until,
};
use media::audio::CHANNELS;
use media::input::TouchPhase;
use media::{AudioSource as _, InputEvent, InputSeq, MediaTime, SequencedInput, TakenAs};
use nearlight_host::Game as _;
use nearlight_host::confine::cgroup::{Controller, Tree};
use nearlight_host::confine::{
    Bind, End, Exit, How, Mark, Phase, Program, Refused, Sandbox, Server, Step,
};
use nearlight_host::display::{Driver as _, X11};
use nearlight_host::sound::SoundServer;
use testkit::WallClock;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{ConnectionExt as _, EventMask, XIEventMask};
use x11rb::protocol::xproto::ConnectionExt;
use x11rb::rust_connection::{DefaultStream, RustConnection};

fn connect(sandbox: &Sandbox, cookie: [u8; 16]) -> Result<RustConnection, String> {
    let display = sandbox.display().unwrap();
    let stream = UnixStream::connect(display.path()).unwrap();
    let (stream, _) = DefaultStream::from_unix_stream(stream).unwrap();
    let name = b"MIT-MAGIC-COOKIE-1".to_vec();
    RustConnection::connect_to_stream_with_auth_info(stream, 0, name, cookie.into())
        .map_err(|error| error.to_string())
}

fn windows(connection: &RustConnection) -> usize {
    let root = connection.setup().roots[0].root;
    connection.query_tree(root).unwrap().reply().unwrap().children.len()
}

#[test]
fn a_game_runs_and_its_end_is_told() {
    let Some(bed) = bed() else { return };
    let (events, phases) = sync_channel(64);
    let sandbox = bed
        .confinement
        .sandbox(&spec("runs"), Box::new(move |phase| events.send(phase.clone()).unwrap()))
        .unwrap();
    sandbox.launch(shell("echo hello; echo wrong >&2; echo saved > save; exit 3"));
    let end = ended(&sandbox);
    assert_eq!(end, End { how: How::Exited(Exit::Code(3)), gone: true });
    assert_eq!(sandbox.said(), ["hello", "wrong"]);
    // The home outlives the game, so that what it saved can be taken.
    assert_eq!(in_home(&sandbox, "save").unwrap(), b"saved\n");
    let folder = sandbox.folder().to_owned();
    assert!(!folder.exists());
    drop(sandbox);
    // The display may be there before the game is launched.
    let told: Vec<Phase> = phases.into_iter().filter(|phase| *phase != Phase::Waiting).collect();
    let expected = [
        Phase::Starting(Step::Sandbox),
        Phase::Starting(Step::Display),
        Phase::Starting(Step::Game),
        Phase::Running,
        Phase::Stopping,
        Phase::Ended(end),
    ];
    assert_eq!(told, expected);
}

#[test]
fn windows_come_up_on_a_display_that_wants_its_cookie() {
    let Some(bed) = bed() else { return };
    let games = [
        ("/usr/bin/xterm", &[][..]),
        (
            "/usr/games/crispy-doom",
            &["-iwad", "/usr/share/games/doom/freedoom1.wad", "-window", "-nosound"],
        ),
    ];
    for (command, args) in games {
        if !Path::new(command).exists() {
            assert!(!must_run(), "NEARLIGHT_HOST is set, and {command} is not installed");
            println!("left out: {command} is not installed");
            continue;
        }
        let sandbox = bed.start(&spec("windows"));
        // Warm: the display is there before it is known what is played.
        until(&sandbox, &Phase::Waiting);
        let display = sandbox.display().unwrap();
        let connection = connect(&sandbox, display.cookie).unwrap();
        let screen = &connection.setup().roots[0];
        assert_eq!((screen.width_in_pixels, screen.height_in_pixels), (640, 360));
        assert_eq!(windows(&connection), 0);
        assert!(connect(&sandbox, [0; 16]).is_err(), "another cookie is refused");
        let program = Program {
            command: command.into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ..Program::default()
        };
        sandbox.launch(program);
        eventually("a window", || (windows(&connection) > 0).then_some(()));
        let usage = sandbox.usage();
        // Machines whose control groups lack one of these do not count it.
        let tree = Tree::find(&Mark::own().unwrap()).ok();
        let counts = |of| tree.as_ref().is_none_or(|tree| tree.has(of));
        let cpu = !counts(Controller::CpuAccounting) || usage.cpu.unwrap() > Duration::ZERO;
        let memory = !counts(Controller::Memory) || usage.memory.unwrap() > 1 << 20;
        let processes = !counts(Controller::Processes) || usage.processes.unwrap() >= 3;
        assert!(cpu && memory && processes, "{usage:?}");
        sandbox.stop();
        assert_eq!(ended(&sandbox), End { how: How::Stopped, gone: true });
        assert_eq!(sandbox.usage(), nearlight_host::confine::cgroup::Usage::default());
    }
}

#[test]
fn fingers_reach_a_program_beside_xorg() {
    let Some(bed) = bed() else { return };
    let mut spec = spec("fingers");
    spec.server = Server::Xorg;
    if let Err(missing) = &bed.confinement.found().offers.xorg {
        assert!(!must_run(), "NEARLIGHT_HOST is set, and {missing}");
        println!("left out: {missing}");
        return;
    }
    let sandbox = bed.start(&spec);
    until(&sandbox, &Phase::Waiting);
    let screen = X11.open(&sandbox).unwrap();
    let mut input = screen.input(MediaTime::ZERO).unwrap();
    assert_eq!(input.support().touch, TakenAs::Itself);
    let connection = connect(&sandbox, sandbox.display().unwrap().cookie).unwrap();
    let root = connection.setup().roots[0].root;
    connection.xinput_xi_query_version(2, 2).unwrap().reply().unwrap();
    let mask = XIEventMask::TOUCH_BEGIN | XIEventMask::TOUCH_UPDATE | XIEventMask::TOUCH_END;
    // Of all pointers as one.
    let mask = EventMask { deviceid: 1, mask: vec![mask] };
    connection.xinput_xi_select_events(root, &[mask]).unwrap().check().unwrap();
    let mut touch = |finger, phase| {
        let event = InputEvent::Touch { finger, phase, x: 9, y: 9, pressure: 0 };
        input.inject(&SequencedInput { seq: InputSeq(1), event }, MediaTime::ZERO);
    };
    for phase in [TouchPhase::Start, TouchPhase::End] {
        (0..2).for_each(|finger| touch(finger, phase));
        for _ in 0..2 {
            let begins = phase == TouchPhase::Start;
            match connection.wait_for_event().unwrap() {
                Event::XinputTouchBegin(_) => assert!(begins),
                Event::XinputTouchEnd(_) => assert!(!begins),
                other => panic!("{other:?}"),
            }
        }
    }
    sandbox.launch(shell("echo ready; exec sleep 100000"));
    said(&sandbox, "ready");
    assert_eq!(sandbox.attempts().made().count(), 0, "the server tries nothing");
    sandbox.stop();
    assert_eq!(ended(&sandbox), End { how: How::Stopped, gone: true });
}

#[test]
fn a_game_that_is_asked_to_end_can_put_things_in_order() {
    let Some(bed) = bed() else { return };
    let script = "trap 'echo bye; echo done > save; exit 0' TERM; echo ready; \
                  while :; do sleep 0.01; done";
    for suspended in [false, true] {
        let sandbox = bed.play(&spec("asked"), shell(script));
        said(&sandbox, "ready");
        if suspended {
            suspend(&sandbox);
        }
        sandbox.stop();
        assert_eq!(ended(&sandbox), End { how: How::Stopped, gone: true });
        assert_eq!(sandbox.said().last().unwrap(), "bye");
        assert_eq!(in_home(&sandbox, "save").unwrap(), b"done\n");
    }
}

#[test]
fn a_suspended_game_stands_still_and_goes_on() {
    for limits in [true, false] {
        let Some(bed) = bed_with(|config| config.limits = limits) else { return };
        // Several, of which one begins others all the time.
        let script = "for n in 1 2 3; do while :; do echo x >> log; done & done; \
                      while :; do (echo x >> log); done";
        let sandbox = bed.play(&spec("still"), shell(script));
        let length = || in_home(&sandbox, "log").map_or(0, |log| log.len());
        let grows = |from: usize| eventually("growth", || (length() > from).then_some(()));
        let told = || {
            let said = sandbox.said_around();
            said.iter().filter(|line| line.contains("not everything that was halted")).count()
        };
        for _ in 0..3 {
            grows(length());
            let told_before = told();
            suspend(&sandbox);
            let before = length();
            // However long this is, nothing may be written in it.
            std::thread::sleep(std::time::Duration::from_millis(100));
            if length() != before {
                // One had no processor in the middle of a call, for longer than that is waited for: it is told.
                let more = || (told() > told_before).then_some(());
                eventually("a standstill, or word that there is none", more);
            }
            sandbox.resume();
            until(&sandbox, &Phase::Running);
            grows(before);
        }
        suspend(&sandbox);
        sandbox.kill();
        assert_eq!(ended(&sandbox), End { how: How::Killed, gone: true });
    }
}

#[test]
fn programs_that_cannot_be_run_are_named() {
    let Some(bed) = bed() else { return };
    let program = |command: &str| Program { command: command.into(), ..Program::default() };
    let mut far = program("/bin/true");
    far.folder = Some("/nonexistent".into());
    for program in [program("no-such-game"), program("/etc/passwd"), program(""), far] {
        let command = program.command.clone();
        let sandbox = bed.play(&spec("missing"), program);
        let end = ended(&sandbox);
        assert!(
            matches!(&end.how, How::Failed(Step::Game, reason) if reason.contains(&command)),
            "{end:?}"
        );
    }
    let mut long = program("/bin/true");
    long.args = vec!["x".repeat(100_000)];
    let end = ended(&bed.play(&spec("long"), long));
    assert!(matches!(&end.how, How::Failed(Step::Game, reason) if reason.contains("bytes")));
}

#[test]
fn nothing_of_a_command_reaches_a_shell() {
    let Some(bed) = bed() else { return };
    let program = Program {
        command: "/usr/bin/printf".into(),
        args: vec!["%s\n".into(), "$(id); `id` > x | y".into()],
        ..Program::default()
    };
    let sandbox = bed.play(&spec("plain"), program);
    assert_eq!(ended(&sandbox).how, How::Exited(Exit::Code(0)));
    assert_eq!(sandbox.said(), ["$(id); `id` > x | y"]);
}

#[test]
fn a_program_has_its_variables_and_none_of_the_node() {
    let Some(bed) = bed() else { return };
    let mut program =
        shell("env | sort; grep -E 'Sig(Blk|Ign)' /proc/self/status; ls -l /proc/self/fd | wc -l");
    program.env.insert("GAME_VOLUME".into(), "7".into());
    program.env.insert("LANG".into(), "de_DE.UTF-8".into());
    let sandbox = bed.play(&spec("env"), program);
    ended(&sandbox);
    let said = sandbox.said();
    let names: Vec<_> = said.iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let expected = [
        "DISPLAY",
        "GAME_VOLUME",
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "PULSE_SERVER",
        "PWD",
        "SHELL",
        "USER",
        "XAUTHORITY",
        "XDG_RUNTIME_DIR",
    ];
    assert_eq!(names, expected, "{said:?}");
    assert!(said.iter().any(|line| line == "LANG=de_DE.UTF-8"));
    // No signal is blocked or ignored: shells that wait for their children would hang. Above 31 are those
    // that C libraries keep for themselves.
    let signals = said.iter().filter_map(|line| line.strip_prefix("Sig")?.split_once(":\t"));
    let signals: Vec<_> = signals
        .map(|(name, mask)| (name, u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff))
        .collect();
    assert_eq!(signals, [("Blk", 0), ("Ign", 0)]);
    // Its three streams, what lists them, and the heading.
    assert_eq!(said.last().unwrap().trim(), "5");
}

#[test]
fn what_lies_in_a_folder_that_is_closed_to_others_is_shown() {
    let Some(bed) = bed() else { return };
    let folder = tempfile::tempdir().unwrap();
    common::close(folder.path());
    let game = folder.path().join("game");
    std::fs::create_dir(&game).unwrap();
    common::open_to_all(&game);
    std::fs::write(game.join("level"), "one").unwrap();
    let mut spec = spec("closed");
    spec.binds = vec![Bind { source: game.clone(), at: "/game".into() }];
    let sandbox =
        bed.play(&spec, shell("cat /game/level; echo; echo x > /game/level || echo kept"));
    assert_eq!(ended(&sandbox).how, How::Exited(Exit::Code(0)), "{:?}", sandbox.said_around());
    assert_eq!(sandbox.said().first().map(String::as_str), Some("one"));
    assert_eq!(sandbox.said().last().map(String::as_str), Some("kept"));
    assert_eq!(std::fs::read_to_string(game.join("level")).unwrap(), "one");
}

#[test]
fn displays_that_do_not_come_up_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    common::open_to_all(folder.path());
    let server = |script: &str| {
        let path = folder.path().join("server");
        common::script(&path, script);
        path
    };
    type Judge = fn(&How) -> bool;
    let cases: [(&str, Judge); 4] = [
        ("exec sleep 100000", |how| *how == How::TooLate(Step::Display)),
        ("exit 7", |how| *how == How::DisplayEnded(Exit::Code(7))),
        (
            "echo 0; exec sleep 100000",
            |how| matches!(how, How::Failed(Step::Display, reason) if reason.contains("socket")),
        ),
        // Another file in place of the socket leads nowhere.
        (
            "ln -s /run/nearlight/xauth /tmp/.X11-unix/X0; echo 0; exec sleep 100000",
            |how| matches!(how, How::Failed(Step::Display, reason) if reason.contains("socket")),
        ),
    ];
    for (script, is_right) in cases {
        let Some(bed) = bed_with(|config| config.display = Some(server(script))) else { return };
        let mut spec = spec("dark");
        if script.starts_with("exec") {
            spec.patience.display = std::time::Duration::from_millis(200);
        }
        let end = ended(&bed.play(&spec, shell("echo never")));
        assert!(is_right(&end.how) && end.gone, "{script}: {end:?}");
    }
}

#[test]
fn what_cannot_be_shown_or_given_is_refused_with_its_reason() {
    let Some(bed) = bed() else { return };
    let refused = |spec| bed.confinement.sandbox(&spec, Box::new(|_| {})).unwrap_err();
    let mut with = spec("refused");
    with.binds.push(Bind { source: bed.run.path().into(), at: "/game".into() });
    assert!(matches!(refused(with), Refused::Bind { .. }));
    for device in ["/dev/null/x", "/dev/shm"] {
        let mut with = spec("refused");
        with.devices.push(device.into());
        assert!(matches!(refused(with), Refused::Device { .. }), "{device}");
    }
    let mut with = spec("refused");
    with.id = "../x".into();
    assert!(matches!(refused(with), Refused::Name(_)));
    let twice = spec("twice");
    let _first = bed.start(&twice);
    assert!(matches!(refused(twice), Refused::Exists(_)));
    // What only bubblewrap finds out is told as the end.
    let mut with = spec("gone");
    with.binds.push(Bind { source: "/nonexistent".into(), at: "/game".into() });
    let end = ended(&bed.start(&with));
    assert!(
        matches!(&end.how, How::Failed(Step::Sandbox, reason) if reason.contains("/nonexistent")),
        "{end:?}"
    );
}

/// The least program of 32 bits for x86: it ends with status 0.
#[cfg(target_arch = "x86_64")]
fn program_of_32_bits() -> Vec<u8> {
    const CODE: [u8; 9] = [0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80];
    const BASE: u32 = 0x0804_8000;
    let half = |values: &[u16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let word = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let head: u32 = 52 + 32;
    let whole = head + CODE.len() as u32;
    [
        b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        half(&[2, 3]),
        word(&[1, BASE + head, 52, 0, 0]),
        half(&[52, 32, 1, 40, 0, 0]),
        word(&[1, 0, BASE, BASE, whole, whole, 5, 0x1000]),
        CODE.to_vec(),
    ]
    .concat()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_program_of_32_bits_ends_with_its_reason() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(bed) = bed() else { return };
    let folder = tempfile::tempdir().unwrap();
    common::open_to_all(folder.path());
    let path = folder.path().join("small");
    std::fs::write(&path, program_of_32_bits()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    match std::process::Command::new(&path).status() {
        Ok(status) => assert!(status.success(), "{status}"),
        Err(error) => {
            println!("left out: this kernel runs none: {error}");
            return;
        }
    }
    let mut with = spec("small");
    with.binds.push(Bind { source: path, at: "/small".into() });
    // By way of a program of 64 bits, as wrappers do.
    let end = ended(&bed.play(&with, shell("exec /small")));
    assert!(end.how.to_string().contains("32-bit program"), "{end:?}");
}

/// A device node of this group, which is no graphics device: the kernel's `/dev/null` by another name.
struct FakeDevice(std::path::PathBuf);

impl FakeDevice {
    fn make(name: &str, mode: u32, group: u32) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = format!("/dev/nearlight-test-{}-{name}", std::process::id());
        let made = Self(path.into());
        let (kind, null) = (rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        rustix::fs::mknodat(rustix::fs::CWD, &made.0, kind, mode.into(), null).unwrap();
        std::os::unix::fs::chown(&made.0, None, Some(group)).unwrap();
        std::fs::set_permissions(&made.0, std::fs::Permissions::from_mode(mode)).unwrap();
        made
    }
}

impl Drop for FakeDevice {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn a_game_opens_the_devices_that_it_was_given_and_no_others() {
    let Some(bed) = bed() else { return };
    if !bed.confinement.found().own_users {
        println!("left out: only root makes device nodes");
        return;
    }
    let of = |number: u32| 1_600_000_000 + number;
    let one = FakeDevice::make("render", 0o660, of(1));
    let two = FakeDevice::make("control", 0o660, of(2));
    let other = FakeDevice::make("other", 0o666, of(3));
    let closed = FakeDevice::make("closed", 0o600, of(4));
    let mut with = spec("drawn");
    with.devices = vec![one.0.clone(), two.0.clone()];
    let (one, two, other) = (one.0.display(), two.0.display(), other.0.display());
    let script = format!(
        "echo x > {one} && echo y >> {two} && head -c1 {one} && echo opened; \
         test -e {other} || echo none other; ls /sys/class >/dev/null && echo sys"
    );
    let sandbox = bed.play(&with, shell(&script));
    assert_eq!(ended(&sandbox).how, How::Exited(Exit::Code(0)), "{:?}", sandbox.said());
    assert_eq!(sandbox.said(), ["opened", "none other", "sys"]);
    // Another one has none of them.
    let script = format!("test -e {one} || echo none; ls /sys 2>/dev/null || echo no sys");
    let sandbox = bed.play(&spec("plain"), shell(&script));
    ended(&sandbox);
    assert_eq!(sandbox.said(), ["none", "no sys"]);
    with.devices.push(closed.0.clone());
    let refused = bed.confinement.sandbox(&with, Box::new(|_| {})).unwrap_err().to_string();
    assert!(refused.contains("closed") && refused.contains("0600"), "{refused}");
}

#[test]
fn users_for_games_are_given_back() {
    let Some(bed) = bed_with(|config| config.users.end = config.users.start + 1) else { return };
    if !bed.confinement.found().own_users {
        println!("left out: the node is not root");
        return;
    }
    let first = bed.start(&spec("first"));
    let refused = bed.confinement.sandbox(&spec("second"), Box::new(|_| {})).unwrap_err();
    assert!(matches!(refused, Refused::Users(1)));
    drop(first);
    until(&bed.start(&spec("second")), &Phase::Waiting);
}

#[test]
fn a_game_that_knows_alsa_alone_is_heard() {
    let Some(bed) = bed() else { return };
    // ALSA's own player, with its plugin.
    if !Path::new("/usr/bin/aplay").exists() {
        assert!(!must_run(), "NEARLIGHT_HOST is set, and there is no aplay (Debian: alsa-utils)");
        println!("left out: no aplay");
        return;
    }
    let sandbox = bed.start(&spec("alsa"));
    until(&sandbox, &Phase::Waiting);
    let (clock, path) = (WallClock::shared(), sandbox.sound_folder().join("native"));
    let server = SoundServer::listen("pulse-alsa", &path, clock.clone()).unwrap();
    let mut source = server.source();
    // A minute that is not silent: while nobody asks for it, it passes all the same.
    let play =
        "head -c 11520000 /dev/zero | tr '\\0' '@' | aplay -q -t raw -f S16_LE -r 48000 -c 2";
    sandbox.launch(shell(play));
    let tick = Duration::from_millis(10);
    let mut block = vec![0.0; media::audio::samples_in(tick) * CHANNELS];
    eventually("its sound", || {
        source.fill(clock.now(), &mut block).unwrap();
        let end = match sandbox.phase() {
            Phase::Ended(end) => Some(end),
            _ => None,
        };
        assert!(end.is_none(), "{end:?}: {:?}", sandbox.said());
        std::thread::sleep(tick);
        block.iter().any(|sample| *sample != 0.0).then_some(())
    });
}
