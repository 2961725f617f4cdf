//! A whole session whose gamepads and pen are devices of the kernel, in a real sandbox, by a real connection. The kernel is a
//! double of `/dev/uinput` and `/dev/uhid`: what is proven is every byte that goes there and comes from there, not that a
//! kernel makes a device of it. Left out where this machine gives no sandboxes or the tests are not root, unless
//! `NEARLIGHT_HOST` says that it must.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "helpers of tests fail as tests do; each test file uses its part"
)]

extern crate transport as nearlight_transport;

mod common;
#[path = "../../host/src/devices/double.rs"]
mod double;
mod player;
mod kernel {
    pub use host::devices::Kernel;
}
mod node {
    pub use host::devices::{Argument, Node};
}

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{config, create_with, until};
use double::{Call, KernelDouble, NodeDouble};
use media::{
    DataChannel, InputEvent, InputSeq, Pad, PadButtons, PadFinger, PadMotion, PadState, PadTouch,
    Pen, PenState, Plug, SequencedInput,
};
use nearlight::encoders::Probing;
use nearlight::games;
use nearlight::node::Node;
use player::client::Client;
use player::{join, said};
use serde_json::{Value, json};

/// Bytes of a `struct input_event`.
const RECORD: usize = 24;

struct Bed {
    node: Arc<Node>,
    _folders: [tempfile::TempDir; 3],
}

/// A node with one game that makes use of gamepads and pens; none where it can have no sandboxes.
fn bed(kernel: &KernelDouble, overrides: &[&str]) -> Option<Bed> {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [state, run, games] = &folders;
    let game = games.path().join("draws");
    fs::create_dir(&game).unwrap();
    let entry = "title = \"draws\"\nsummary = \"-\"\ngenre = \"puzzle\"\nlicence = \"-\"\n\
                 command = \"/bin/sleep\"\narguments = [\"1000\"]\ndevices = [\"gamepad\", \"pen\"]\n";
    fs::write(game.join("game.toml"), entry).unwrap();
    for path in [run.path(), games.path(), &game] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let init = Path::new(env!("CARGO_BIN_EXE_nearlight")).with_file_name("nearlight-init");
    // Users of no other test that runs now.
    static BEDS: AtomicU32 = AtomicU32::new(0);
    let first = 1_700_000_000
        + std::process::id() % 400_000 * 512
        + BEDS.fetch_add(1, Ordering::Relaxed) * 16;
    let ours = [
        format!("server.state_dir={}", state.path().display()),
        "games.max_cpus=64.0".into(),
        format!("games.folders=[{:?}]", games.path()),
        format!("games.run={}", run.path().display()),
        format!("games.init={}", init.display()),
        format!("games.first_user={first}"),
        "games.users=16".into(),
    ];
    let all: Vec<_> = ours.iter().map(String::as_str).chain(overrides.iter().copied()).collect();
    let config = config(&all);
    let apps = games::apps_on(&config, Arc::new(kernel.clone()));
    let missing = apps[0].info().unavailable;
    let root = rustix::process::geteuid().is_root();
    if missing.is_some() || !root {
        let must = std::env::var_os("NEARLIGHT_HOST").is_some_and(|value| value == "1");
        assert!(!must || !root, "NEARLIGHT_HOST is set, and {missing:?}");
        println!("left out: {missing:?}");
        return None;
    }
    let node = Node::with_apps(config, None, apps, Probing::in_process()).unwrap();
    Some(Bed { node, _folders: folders })
}

/// What the session says that it makes of input. The first greeting may have been lost; one of another size follows.
async fn taken(client: &mut Client) -> Value {
    said(client, "stats").await;
    let view = json!({"type": "view", "width": 640, "height": 360, "dpi": 96});
    client.send(DataChannel::Control, view.to_string().as_bytes()).await;
    let is_known = |hello: &Value| !hello["input"].is_null();
    let hello =
        until("the greeting", async || Some(said(client, "hello").await).filter(is_known)).await;
    hello["input"].clone()
}

/// A player's hands: numbers what it does.
struct Hands<'a>(&'a Client, u32);

impl Hands<'_> {
    async fn do_this(&mut self, event: InputEvent) {
        self.1 += 1;
        let mut message = Vec::new();
        SequencedInput { seq: InputSeq(self.1), event }.encode(&mut message);
        self.0.send(DataChannel::Input, &message).await;
    }
}

/// Kind, code and value of each event that was written to a node, in order.
fn events(node: &NodeDouble) -> Vec<(u16, u16, i32)> {
    let written = node.written().concat();
    let (records, rest) = written.as_chunks::<RECORD>();
    assert!(rest.is_empty());
    let read = |record: &[u8; RECORD]| {
        let word = |at: usize| u16::from_ne_bytes([record[at], record[at + 1]]);
        (word(16), word(18), i32::from_ne_bytes(record[20..].try_into().unwrap()))
    };
    records.iter().map(read).collect()
}

fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
    let mut record = vec![0; RECORD];
    record[16..18].copy_from_slice(&kind.to_ne_bytes());
    record[18..20].copy_from_slice(&code.to_ne_bytes());
    record[20..].copy_from_slice(&value.to_ne_bytes());
    record
}

/// The last report that a DualSense said.
fn report(node: &NodeDouble) -> Option<Vec<u8>> {
    let written = node.written();
    let said = written.iter().rev().find(|event| event[0] == 12)?;
    Some(said[6..].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn gamepads_a_dualsense_and_a_pen_are_the_kernels() {
    let kernel = KernelDouble::default();
    let Some(bed) = bed(&kernel, &[]) else { return };
    let session = create_with(&json!({"app": "draws"})).of(&bed.node).await.session();
    let mut client = join(&bed.node, &session).await;
    // What was taken is told: the pen is one, gamepads are devices, and no reason says why not.
    let input = taken(&mut client).await;
    assert_eq!((&input["pen"], &input["pads"]), (&json!("itself"), &json!("devices")), "{input}");
    assert_eq!((&input["pad_extras"], &input["no_devices"]), (&json!(true), &json!(null)));
    assert_eq!(input["prefers_absolute"], true, "as entries are that do not say otherwise");

    let [first, second, ..] = Pad::ALL;
    let mut hands = Hands(&client, 0);
    hands.do_this(InputEvent::GamepadPlugged { pad: first, plugged: Plug::Standard }).await;
    hands.do_this(InputEvent::GamepadPlugged { pad: second, plugged: Plug::DualSense }).await;
    let made = async |name, count| {
        until(name, async || {
            let nodes = kernel.made_by(name);
            (nodes.len() == count).then_some(nodes)
        })
        .await
    };
    // The pen was there from the start.
    let tablet = made("/dev/uinput", 2).await[0].clone();
    let pad = made("/dev/uinput", 2).await[1].clone();
    let sense = made("/dev/uhid", 1).await[0].clone();

    // Buttons and axes.
    let buttons = PadButtons::new(PadButtons::SOUTH | PadButtons::LEFT).unwrap();
    let state = PadState { buttons, axes: [-32_768, 7, 0, 32_767], triggers: [200, 0] };
    hands.do_this(InputEvent::Gamepad { pad: first, state }).await;
    let told = until("the gamepad's state", async || {
        Some(events(&pad)).filter(|events| events.last() == Some(&(0, 0, 0)))
    })
    .await;
    for is in
        [(1, 0x130, 1), (3, 0, -32_768), (3, 1, 7), (3, 4, 32_767), (3, 2, 200), (3, 0x10, -1)]
    {
        assert!(told.contains(&is), "{is:?} of {told:?}");
    }

    // Pressure and tilt.
    let pen = Pen {
        x: 1_000,
        y: 2_000,
        pressure: 40_000,
        tilt: [-30, 45],
        twist: 90,
        state: PenState::new(PenState::NEAR | PenState::TIP).unwrap(),
    };
    hands.do_this(InputEvent::Pen(pen)).await;
    let drawn = until("the pen", async || Some(events(&tablet)).filter(|it| !it.is_empty())).await;
    for is in [(3, 0, 1_000), (3, 1, 2_000), (3, 0x18, 40_000), (3, 0x1a, -30), (3, 0x1b, 45)] {
        assert!(drawn.contains(&is), "{is:?} of {drawn:?}");
    }
    assert!(drawn.contains(&(1, 0x140, 1)) && drawn.contains(&(1, 0x14a, 1)), "{drawn:?}");

    // Motion and touchpad.
    let motion = PadMotion { gyro: [1, -2, 3], accel: [-4, 5, -6], time_us: 1_000 };
    hands.do_this(InputEvent::PadMotion { pad: second, motion }).await;
    let finger = Some(PadFinger { contact: 5, x: 65_535, y: 32_768 });
    let touch = PadTouch { pressed: true, fingers: [finger, None] };
    hands.do_this(InputEvent::PadTouch { pad: second, touch }).await;
    hands.do_this(InputEvent::Gamepad { pad: second, state }).await;
    let said_last = until("all of the DualSense", async || {
        report(&sense).filter(|report| report[1] == 0 && report[10] & 2 != 0)
    })
    .await;
    assert_eq!(said_last[1..7], [0, 128, 128, 255, 200, 0]);
    assert_eq!(said_last[8], 0x20 | 6, "cross and left");
    assert_eq!(said_last[16..28], [1, 0, 0xfe, 0xff, 3, 0, 0xfc, 0xff, 5, 0, 0xfa, 0xff]);
    assert_eq!(said_last[28..32], 3_000_u32.to_le_bytes());
    assert_eq!(said_last[33..37], [5, 0x7f, 0xc7, 0x21]);

    // Rumble by uinput: the game uploads an effect, and plays it.
    pad.answer(0xc068_55c8, |upload| {
        for (at, word) in [(8, 0x50_u16), (10, 3), (18, 500), (24, 0x1234), (26, 0x5678)] {
            upload[at..at + 2].copy_from_slice(&word.to_ne_bytes());
        }
    });
    pad.say(&event(0x0101, 1, 41));
    pad.say(&event(0x15, 3, 1));
    let rumble = said(&mut client, "rumble").await;
    let expected = json!({"type": "rumble", "pad": 0, "strong": 0x1234, "weak": 0x5678, "ms": 500});
    assert_eq!(rumble, expected);
    assert!(
        pad.calls().iter().any(|call| matches!(call, Call::Structure(0x4068_55c9, _))),
        "whoever uploads an effect waits for the answer"
    );

    // Light, triggers and motors by uhid: an output report, as the driver and games write it.
    let mut output = vec![0; 4 + 4096 + 3];
    output[0] = 6;
    let told = &mut output[4..4 + 48];
    told[..3].copy_from_slice(&[2, 1 | 2 | 4 | 8, 4 | 16]);
    told[3..5].copy_from_slice(&[1, 255]);
    told[11..22].copy_from_slice(&[0x21, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    told[22] = 5;
    told[44..48].copy_from_slice(&[0x0a, 7, 8, 9]);
    output[4 + 4096] = 48;
    sense.say(&output);
    let rumble = said(&mut client, "rumble").await;
    assert_eq!(
        (&rumble["pad"], &rumble["strong"], &rumble["weak"]),
        (&json!(1), &json!(65_535), &json!(257))
    );
    let effects = said(&mut client, "pad_effects").await;
    let right = [0x21, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    let left = [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let expected = json!({
        "type": "pad_effects", "pad": 1, "light": [7, 8, 9], "players": 10, "left": left, "right": right
    });
    assert_eq!(effects, expected);

    // All is let go of, and goes with the session.
    let mut hands = Hands(&client, 100);
    hands.do_this(InputEvent::ReleaseAll).await;
    until("the release", async || {
        let up = [(1, 0x130, 0), (3, 0, 0)].iter().all(|is| events(&pad).contains(is));
        let away = events(&tablet).contains(&(1, 0x140, 0));
        let rests = report(&sense).is_some_and(|is| is[1..5] == [128; 4] && is[33] == 0x80);
        (up && away && rests).then_some(())
    })
    .await;
    hands.do_this(InputEvent::GamepadPlugged { pad: first, plugged: Plug::Out }).await;
    until("the gamepad to be gone", async || (kernel.there() == 2).then_some(())).await;
    session.ask(axum::http::Method::DELETE, "").bearer(&session.token).of(&bed.node).await;
    until("the devices to be gone", async || (kernel.there() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_says_why_the_kernel_makes_no_devices() {
    let kernel = KernelDouble::default();
    kernel.refuse_uinput(true);
    let Some(bed) = bed(&kernel, &[]) else { return };
    let session = create_with(&json!({"app": "draws"})).of(&bed.node).await.session();
    let mut client = join(&bed.node, &session).await;
    let input = taken(&mut client).await;
    assert_eq!((&input["pen"], &input["pads"]), (&json!("pointer"), &json!("library")), "{input}");
    assert_eq!(input["no_devices"], "/dev/uinput: the double refuses it");
    assert_eq!(input["pad_extras"], false);
}

#[tokio::test]
async fn a_game_is_not_played_without_the_devices_that_the_operator_wants() {
    let kernel = KernelDouble::default();
    kernel.refuse_uinput(true);
    let Some(_) = bed(&kernel, &[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let game = folder.path().join("draws");
    fs::create_dir(&game).unwrap();
    let entry = "title = \"draws\"\nsummary = \"-\"\ngenre = \"puzzle\"\nlicence = \"-\"\n\
                 command = \"/bin/sleep\"\ndevices = [\"pen\"]\n";
    fs::write(game.join("game.toml"), entry).unwrap();
    let init = Path::new(env!("CARGO_BIN_EXE_nearlight")).with_file_name("nearlight-init");
    let run = tempfile::tempdir().unwrap();
    fs::set_permissions(run.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (wants, reason) in [
        ("uinput", Some("games.devices wants uinput: /dev/uinput: the double refuses it")),
        ("auto", None),
        ("off", None),
    ] {
        let config = config(&[
            &format!("games.devices={wants}"),
            &format!("games.folders=[{:?}]", folder.path()),
            &format!("games.run={}", run.path().display()),
            &format!("games.init={}", init.display()),
        ]);
        let apps = games::apps_on(&config, Arc::new(kernel.clone()));
        assert_eq!(apps[0].info().unavailable.as_deref(), reason, "{wants}");
    }
}
