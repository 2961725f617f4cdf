//! What a player does is what the game is told.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use media::input::{PointerButton, TouchPhase};
use media::{
    InputEvent, InputSeq, InputSink, InputSupport, KeyCode, MediaTime, Pen, PenState,
    SequencedInput, TakenAs,
};
use nearlight_host::display::XInput;
use rustix::process::Signal;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::ConnectionExt as _;

use crate::client::Client;
use crate::server::{self, Server};

/// How long a server may take to hear the last of an input.
const FAREWELL: Duration = Duration::from_millis(250);

fn open(server: &Server) -> XInput {
    server.connect().input(MediaTime::ZERO).unwrap()
}

pub(crate) fn inject(input: &mut XInput, event: InputEvent) {
    input.inject(&SequencedInput { seq: InputSeq(1), event }, MediaTime::from_millis(5));
}

fn key(code: u16, pressed: bool) -> InputEvent {
    InputEvent::Key { code: KeyCode(code), pressed }
}

/// Key or button number, and whether it went down.
fn next(client: &Client) -> (u8, bool) {
    match client.event() {
        Event::KeyPress(event) => (event.detail, true),
        Event::KeyRelease(event) => (event.detail, false),
        Event::ButtonPress(event) => (event.detail, true),
        Event::ButtonRelease(event) => (event.detail, false),
        other => panic!("{other:?}"),
    }
}

/// Where the pointer went.
pub(crate) fn moved(client: &Client) -> (i16, i16) {
    match client.event() {
        Event::MotionNotify(event) => (event.root_x, event.root_y),
        other => panic!("{other:?}"),
    }
}

fn symbol(client: &Client, key: u8) -> u32 {
    client.x.get_keyboard_mapping(key, 1).unwrap().reply().unwrap().keysyms[0]
}

#[test]
fn keys_are_those_of_the_keyboard_by_their_place() {
    let Some(server) = server::start(320, 240) else { return };
    let client = Client::open(&server, 320, 240);
    let mut input = open(&server);
    let symbols = [
        (0x04, 0x61),   // a
        (0x1e, 0x31),   // 1
        (0x28, 0xff0d), // Return
        (0x29, 0xff1b), // Escape
        (0x3a, 0xffbe), // F1
        (0x45, 0xffc9), // F12
        (0x4f, 0xff53), // Right
        (0x52, 0xff52), // Up
        (0x4b, 0xff55), // Prior
        (0x62, 0xff9e), // KP_Insert
        (0xe0, 0xffe3), // Control_L
        (0xe5, 0xffe2), // Shift_R
        (0xe3, 0xffeb), // Super_L
    ];
    for (usage, expected) in symbols {
        inject(&mut input, key(usage, true));
        // Again: the keyboard of the browser repeats, and so does the server.
        inject(&mut input, key(usage, true));
        inject(&mut input, key(usage, false));
        inject(&mut input, key(usage, false));
        let (down, up) = (next(&client), next(&client));
        assert_eq!((down.1, up), (true, (down.0, false)), "usage {usage:#x}");
        assert_eq!(symbol(&client, down.0), expected, "usage {usage:#x}");
    }
    inject(&mut input, key(0xdf, true));
    assert_eq!(input.dropped().load(Ordering::Relaxed), 0);
    assert_eq!(input.idle_for(MediaTime::from_millis(9)), Duration::from_millis(4));
}

#[test]
fn the_pointer_its_buttons_and_the_wheel_arrive() {
    let Some(server) = server::start(321, 240) else { return };
    let client = Client::open(&server, 321, 240);
    let mut input = open(&server);
    for ((x, y), expected) in [
        ((0, 0), (0, 0)),
        ((65_535, 65_535), (319, 239)),
        ((32_768, 0), (160, 0)),
        ((26_214, 30_000), (128, 109)),
    ] {
        inject(&mut input, InputEvent::PointerAbsolute { x, y });
        assert_eq!(moved(&client), expected);
    }
    // The first total is where counting begins; sixteenths gather, and totals wrap.
    let totals = [
        (i32::MAX - 8, 0),
        (i32::MAX, 8),
        (i32::MIN + 7, 15),
        (i32::MIN + 40, 16),
        (i32::MIN, -32),
    ];
    for (total_x, total_y) in totals {
        inject(&mut input, InputEvent::PointerRelative { total_x, total_y });
    }
    // One pixel after 16 of 33 + 16 sixteenths; then two more and one down; then back.
    assert_eq!(moved(&client), (129, 109));
    assert_eq!(moved(&client), (131, 110));
    assert_eq!(moved(&client), (129, 107));

    let buttons = [
        (PointerButton::Left, 1),
        (PointerButton::Middle, 2),
        (PointerButton::Right, 3),
        (PointerButton::Back, 8),
        (PointerButton::Forward, 9),
    ];
    for (button, expected) in buttons {
        inject(&mut input, InputEvent::Button { button, pressed: true });
        inject(&mut input, InputEvent::Button { button, pressed: false });
        assert_eq!((next(&client), next(&client)), ((expected, true), (expected, false)));
    }
    for (x, y, expected) in [
        (0, 120, &[5][..]),
        (0, -240, &[4, 4]),
        (120, 0, &[7]),
        (-120, 0, &[6]),
        (0, 50, &[]),
        (0, 50, &[]),
        (0, 50, &[5]),
    ] {
        inject(&mut input, InputEvent::Wheel { x, y });
        for &button in expected {
            assert_eq!((next(&client), next(&client)), ((button, true), (button, false)));
        }
    }
    // A finger is the pointer, another is nothing.
    let mut touch = |finger, phase, x| {
        inject(&mut input, InputEvent::Touch { finger, phase, x, y: 0, pressure: 1 });
    };
    touch(3, TouchPhase::Start, 0);
    touch(4, TouchPhase::Start, 900);
    touch(4, TouchPhase::End, 900);
    touch(3, TouchPhase::Move, 65_535);
    touch(3, TouchPhase::Cancel, 0);
    assert_eq!((moved(&client), next(&client)), ((0, 0), (1, true)));
    assert_eq!((moved(&client), next(&client)), ((319, 0), (1, false)));
}

#[test]
fn a_pen_is_the_pointer_with_two_buttons_and_it_is_said_what_is_lost() {
    let Some(server) = server::start(321, 240) else { return };
    let client = Client::open(&server, 321, 240);
    let mut input = open(&server);
    let pen = |x, bits| {
        let state = PenState::new(bits).unwrap();
        InputEvent::Pen(Pen { x, pressure: 9, tilt: [3, -3], state, ..Pen::default() })
    };
    inject(&mut input, pen(65_535, PenState::NEAR));
    assert_eq!(moved(&client), (319, 0));
    inject(&mut input, pen(0, PenState::NEAR | PenState::TIP));
    assert_eq!((moved(&client), next(&client)), ((0, 0), (1, true)));
    inject(&mut input, pen(32_768, PenState::NEAR | PenState::TIP | PenState::BARREL));
    assert_eq!((moved(&client), next(&client)), ((160, 0), (3, true)));
    // It goes while it presses, and what is let go of is so once.
    inject(&mut input, InputEvent::Pen(Pen::default()));
    assert_eq!((next(&client), next(&client)), ((1, false), (3, false)));
    inject(&mut input, pen(0, PenState::NEAR | PenState::TIP));
    inject(&mut input, InputEvent::ReleaseAll);
    inject(&mut input, InputEvent::Pen(Pen::default()));
    assert_eq!((moved(&client), next(&client), next(&client)), ((0, 0), (1, true), (1, false)));
    let (touch, pen) = (TakenAs::Pointer, TakenAs::Pointer);
    let support = InputSupport { touch, pen, text: true, ..InputSupport::default() };
    assert_eq!(input.support(), support);
}

#[test]
fn any_text_arrives_and_keys_have_their_symbols_back() {
    for _ in 0..20 {
        let Some(server) = server::start(64, 48) else { return };
        if text_arrives(&server) {
            return;
        }
    }
    panic!("no server heard in time that it is over");
}

/// Types. Yields whether the server heard in time that this is over: one that did not has dropped what gives keys their
/// symbols back.
fn text_arrives(server: &Server) -> bool {
    let client = Client::open(server, 64, 48);
    let mapping = || client.x.get_keyboard_mapping(8, 248).unwrap().reply().unwrap().keysyms;
    let symbols = |key: u8| client.x.get_keyboard_mapping(key, 1).unwrap().reply().unwrap().keysyms;
    let before = mapping();
    let mut input = open(server);
    // All of it is sent before the game looks at any: no two characters share a key.
    let long = "The quick brown fox jumps over 漢字かなäß";
    for text in ["äß漢", long, "zz"] {
        inject(&mut input, InputEvent::Text(text.into()));
    }
    for character in ["äß漢", long, "zz"].iter().flat_map(|text| text.chars()) {
        let (down, up) = (next(&client), next(&client));
        assert_eq!((down.1, up), (true, (down.0, false)));
        let expected = match u32::from(character) {
            latin @ ..=0xff => latin,
            other => 0x0100_0000 + other,
        };
        assert_eq!(symbols(down.0)[..2], [expected; 2], "{character}");
    }
    let began = Instant::now();
    drop(input);
    let is_heard = began.elapsed() < FAREWELL;
    // The connection is closed once the server has done everything that came before.
    open(server);
    let keys = before.len() / 248;
    let first = |mapping: Vec<u32>| {
        mapping.chunks(mapping.len() / 248).map(|key| key[0]).collect::<Vec<_>>()
    };
    assert!(keys > 0);
    let (now, before) = (first(mapping()), first(before));
    assert!(now == before || !is_heard, "{now:x?} and not {before:x?}");
    is_heard
}

#[test]
fn nothing_stays_pressed() {
    let Some(server) = server::start(64, 48) else { return };
    let client = Client::open(&server, 64, 48);
    let mut input = open(&server);
    let press = |input: &mut XInput| {
        inject(input, key(0x1a, true));
        inject(input, InputEvent::Button { button: PointerButton::Right, pressed: true });
        assert_eq!((next(&client), next(&client)), ((25, true), (3, true)));
    };
    let released = || {
        let both = [next(&client), next(&client)];
        assert!(both.contains(&(25, false)) && both.contains(&(3, false)), "{both:?}");
    };
    press(&mut input);
    input.release_all(MediaTime::ZERO);
    released();
    press(&mut input);
    inject(&mut input, InputEvent::ReleaseAll);
    released();
    press(&mut input);
    drop(input);
    // Also where that was not heard in time: whoever comes next lets go.
    let mut lost = open(&server);
    released();
    press(&mut lost);
    std::mem::forget(lost);
    let _next = open(&server);
    released();
}

#[test]
fn what_a_busy_server_does_not_take_at_once_it_is_told_later() {
    let Some(server) = server::start(64, 48) else { return };
    let client = Client::open(&server, 64, 48);
    let mut input = open(&server);
    server.signal(Signal::STOP);
    let pressed = |at: u32| key((0x04 + at / 2 % 26) as u16, at.is_multiple_of(2));
    // As much as its socket holds, and then half of what is kept.
    let mut held = 0;
    while input.catch_up(MediaTime::ZERO).is_none() {
        assert!(held < 1_000_000, "all of it fits into a socket");
        inject(&mut input, pressed(held));
        held += 1;
    }
    let all = held.next_multiple_of(2) + 500;
    (held..all).for_each(|at| inject(&mut input, pressed(at)));
    // Where the pointer goes on moving, it is where it went last.
    (0..5_000).for_each(|x| inject(&mut input, InputEvent::PointerAbsolute { x, y: 0 }));
    (0..5_000).for_each(|x| {
        inject(&mut input, InputEvent::PointerRelative { total_x: x, total_y: 0 });
    });
    server.signal(Signal::CONT);
    catch_up(&mut input);
    for at in 0..all {
        let (number, is_down) = next(&client);
        let code = symbol(&client, number);
        assert_eq!((code, is_down), (0x61 + at / 2 % 26, at.is_multiple_of(2)), "{at}");
    }
    assert_eq!(input.dropped().load(Ordering::Relaxed), 0);
    // Nobody is asked to go on with anything then.
    assert_eq!(input.catch_up(MediaTime::ZERO), None);
}

#[test]
fn a_server_that_takes_nothing_is_not_waited_for() {
    let Some(mut server) = server::start(64, 48) else { return };
    let client = Client::open(&server, 64, 48);
    let mut input = open(&server);
    inject(&mut input, key(0x04, true));
    assert_eq!(next(&client), (38, true));
    server.signal(Signal::STOP);
    let dropped = input.dropped();
    let mut sent = 0_u32;
    while dropped.load(Ordering::Relaxed) == 0 {
        sent += 1;
        assert!(sent < 1_000_000, "what is kept has no end");
        inject(&mut input, key(0x05, !sent.is_multiple_of(2)));
    }
    assert!(dropped.load(Ordering::Relaxed) > 1_000, "none is kept alone");
    // This release is kept, and comes after all is let go of.
    inject(&mut input, key(0x04, false));
    server.signal(Signal::CONT);
    catch_up(&mut input);
    // In the end nothing is held: the server hears it when it reads it.
    while client.x.query_keymap().unwrap().reply().unwrap().keys != [0; 32] {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.kill();
    let before = dropped.load(Ordering::Relaxed);
    (0..100).for_each(|_| inject(&mut input, key(0x05, true)));
    assert!(dropped.load(Ordering::Relaxed) > before);
    assert_eq!(input.catch_up(MediaTime::ZERO), None, "it is gone");
}

/// Until the server was told everything.
pub(crate) fn catch_up(input: &mut XInput) {
    while input.catch_up(MediaTime::ZERO).is_some() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
