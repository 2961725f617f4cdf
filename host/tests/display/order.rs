//! What goes by several ways (XTEST and devices of an X server's own) comes as it went, and nothing stops it for good.

use std::sync::Arc;
use std::time::Duration;

use media::input::TouchPhase;
use media::{
    FrameRate, InputEvent, InputSink as _, KeyCode, MediaTime, Pen, PenState, Size, TakenAs,
};
use nearlight_host::display::Clips as _;
use rustix::process::Signal;
use testkit::WallClock;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{ConnectionExt as _, XIChangePropertyAux};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, PropMode};
use x11rb::wrapper::ConnectionExt as _;

use crate::capture::{check, frame, rect, settle};
use crate::client::Client;
use crate::clipboard::{LIMITS, text};
use crate::fingers::{client, hand, inject, input, next};
use crate::input::catch_up;
use crate::server::{self, Server};

/// Every device that there is.
const ALL_DEVICES: u16 = 0;

fn key(code: u16, pressed: bool) -> InputEvent {
    InputEvent::Key { code: KeyCode(code), pressed }
}

fn wheel(y: i16) -> InputEvent {
    InputEvent::Wheel { x: 0, y }
}

fn touch(phase: TouchPhase) -> InputEvent {
    InputEvent::Touch { finger: 1, phase, x: 9, y: 9, pressure: 9 }
}

fn pen(bits: u8) -> InputEvent {
    let state = PenState::new(bits).unwrap();
    InputEvent::Pen(Pen { pressure: 9, state, ..Pen::default() })
}

/// What the client is told next.
fn seen(client: &Client) -> String {
    match next(client) {
        Event::KeyPress(event) => format!("{} down", event.detail),
        Event::KeyRelease(event) => format!("{} up", event.detail),
        Event::XinputButtonPress(event) => format!("button {} down", event.detail),
        Event::XinputButtonRelease(event) => format!("button {} up", event.detail),
        Event::XinputTouchBegin(_) => "finger down".to_owned(),
        Event::XinputTouchEnd(_) => "finger up".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_goes_by_several_ways_comes_as_it_went() {
    let Some(server) = server::start_xorg(640, 360) else { return };
    let client = client(&server, 640, 360);
    let mut input = input(&server);
    let seen = || seen(&client);
    for _ in 0..3 {
        // All of it waits for the server, which then has the choice what it takes first.
        server.halt();
        for event in [
            key(0x04, true),
            wheel(120),
            key(0x04, false),
            touch(TouchPhase::Start),
            key(0x1a, true),
            touch(TouchPhase::End),
            wheel(-120),
            pen(PenState::NEAR | PenState::TIP),
            key(0x1a, false),
            pen(0),
        ] {
            hand(&mut input, event);
        }
        server.signal(Signal::CONT);
        catch_up(&mut input);
        for expected in [
            "38 down",
            "button 5 down",
            "button 5 up",
            "38 up",
            "finger down",
            "25 down",
            "finger up",
            "button 4 down",
            "button 4 up",
            "button 1 down",
            "25 up",
            "button 1 up",
        ] {
            assert_eq!(seen(), expected);
        }
    }
    // What lets go of everything waits for no answer.
    inject(&mut input, key(0x04, true));
    assert_eq!(seen(), "38 down");
    server.halt();
    hand(&mut input, wheel(120));
    assert!(input.catch_up(MediaTime::ZERO).is_some(), "the wheel overtakes the key");
    input.release_all(MediaTime::ZERO);
    assert_eq!(input.catch_up(MediaTime::ZERO), None);
    server.signal(Signal::CONT);
    assert_eq!(seen(), "38 up");
    // What it dropped does not come any more.
    inject(&mut input, key(0x1a, true));
    assert_eq!(seen(), "25 down");
    // Nor does what comes next wait for what nobody had asked about.
    inject(&mut input, wheel(120));
    assert_eq!([seen(), seen()], ["button 5 down", "button 5 up"]);
    server.halt();
    input.release_all(MediaTime::ZERO);
    hand(&mut input, touch(TouchPhase::Start));
    assert_eq!(input.catch_up(MediaTime::ZERO), None, "the finger waits");
    server.signal(Signal::CONT);
    let mut both = [seen(), seen()];
    both.sort();
    assert_eq!(both, ["25 up", "finger down"]);
}

#[test]
fn many_events_that_wait_are_asked_for_no_later_than_one() {
    let Some(server) = server::start_xorg(640, 360) else { return };
    let mut input = input(&server);
    let now = MediaTime::from_millis(5);
    let after = |now: MediaTime, millis| Some(now + Duration::from_millis(millis));
    server.halt();
    let mut due = |number: u16| {
        // By two ways, so that each waits for the one before.
        let event = match number % 2 {
            0 => key(0x04, number.is_multiple_of(4)),
            _ => wheel(30),
        };
        hand(&mut input, event);
        input.catch_up(now)
    };
    assert_eq!(due(0), None);
    for number in 1..50 {
        assert_eq!(due(number), after(now, 1), "{number}");
    }
    // Less and less often as time goes by.
    let mut now = now + Duration::from_millis(1);
    for millis in [2, 4, 8, 16, 32, 64, 128, 200, 200] {
        let due = input.catch_up(now);
        assert_eq!(due, after(now, millis));
        now = due.unwrap();
    }
    server.signal(Signal::CONT);
    catch_up(&mut input);
    assert_eq!(input.catch_up(now), None);
}

#[test]
fn a_device_that_is_turned_off_stops_nothing_and_leaves_nothing_down() {
    let Some(server) = server::start_xorg(640, 360) else { return };
    let client = client(&server, 640, 360);
    let mut input = input(&server);
    let seen = || seen(&client);
    let all = client.x.xinput_xi_query_device(ALL_DEVICES).unwrap().reply().unwrap().infos;
    let mut all = all.iter();
    let turns = all.find(|each| String::from_utf8_lossy(&each.name).contains("wheel")).unwrap();
    let enabled = client.x.intern_atom(false, b"Device Enabled").unwrap().reply().unwrap().atom;
    inject(&mut input, touch(TouchPhase::Start));
    assert_eq!(seen(), "finger down");
    inject(&mut input, wheel(120));
    assert_eq!([seen(), seen()], ["button 5 down", "button 5 up"]);
    // A key waits for what the server says of the wheel, which is off before it says anything.
    server.halt();
    hand(&mut input, wheel(-120));
    hand(&mut input, key(0x04, true));
    assert!(input.catch_up(MediaTime::ZERO).is_some(), "the key overtakes the wheel");
    let (mode, off) = (PropMode::REPLACE, XIChangePropertyAux::Data8(vec![0]));
    let number = u32::from(AtomEnum::INTEGER);
    let id = turns.deviceid;
    client.x.xinput_xi_change_property(id, mode, enabled, number, 1, &off).unwrap();
    client.x.flush().unwrap();
    server.signal(Signal::CONT);
    catch_up(&mut input);
    client.x.sync().unwrap();
    inject(&mut input, key(0x04, false));
    // It may have turned before.
    let mut due = vec!["38 down", "38 up", "finger up"];
    while !due.is_empty() {
        let event = seen();
        let rest = due.len();
        due.retain(|each| *each != event);
        assert!(due.len() < rest || event.starts_with("button 4"), "{event}, not {due:?}");
    }
    // A finger is the pointer then.
    inject(&mut input, touch(TouchPhase::Start));
    inject(&mut input, touch(TouchPhase::End));
    assert_eq!([seen(), seen()], ["button 1 down", "button 1 up"]);
    assert_eq!(input.support().touch, TakenAs::Pointer);
}

#[test]
fn a_program_that_grabs_the_server_stops_no_input() {
    let Some(server) = server::start_xorg(640, 360) else { return };
    let client = client(&server, 640, 360);
    let mut input = input(&server);
    client.x.grab_server().unwrap();
    client.x.sync().unwrap();
    for (event, expected) in [
        (key(0x04, true), &["38 down"][..]),
        (wheel(120), &["button 5 down", "button 5 up"]),
        (touch(TouchPhase::Start), &["finger down"]),
        (key(0x04, false), &["38 up"]),
        (touch(TouchPhase::End), &["finger up"]),
    ] {
        inject(&mut input, event);
        expected.iter().for_each(|each| assert_eq!(seen(&client), *each));
    }
}

#[test]
fn a_program_that_grabs_the_server_stops_no_pictures_and_no_clipboard() {
    let starts: [fn(u32, u32) -> Option<Server>; 2] = [server::start, server::start_xorg];
    for start in starts {
        let Some(server) = start(640, 360) else { continue };
        let client = Client::open(&server, 640, 360);
        let display = server.connect();
        let mut source = display.source(FrameRate::fps(1_000), WallClock::shared()).unwrap();
        let clipboard = display.clipboard(LIMITS, Arc::new(|| {})).unwrap();
        settle(&mut source);
        client.x.grab_server().unwrap();
        client.x.sync().unwrap();
        for colour in [0x20_40_80, 0x80_40_20] {
            client.fill(rect(0, 0, 640, 360), colour);
            let picture = frame(&mut source);
            check(&picture, 0, 0, colour);
            check(&picture, 639, 359, colour);
        }
        assert_eq!(display.size().unwrap(), Size::new(640, 360));
        clipboard.offer(text("pasted")).unwrap();
    }
}
