//! Input pulls the next picture forward, however slow the rate is.

use std::time::Duration;

use media::{FrameRate, InputEvent, KeyCode, MediaTime, Pad, PadState, SourceEvent};
use nearlight_host::display::{XInput, XSource};
use testkit::WallClock;

use crate::capture::{ask, check, frame, rect, settle};
use crate::client::Client;
use crate::input::inject;
use crate::server::{self, Server};

/// One in ten minutes: but for input the second is not due while a test runs.
const SLOW: Option<FrameRate> = FrameRate::new(1, 600);

/// A source that has shown what there is, and input, of one display.
fn open(server: &Server) -> (XSource, XInput) {
    let display = server.connect();
    let input = display.input(MediaTime::ZERO).unwrap();
    let mut source = display.source(SLOW.unwrap(), WallClock::shared()).unwrap();
    settle(&mut source);
    (source, input)
}

fn key(pressed: bool) -> InputEvent {
    InputEvent::Key { code: KeyCode(0x04), pressed }
}

#[track_caller]
fn is_held_back(source: &mut XSource) {
    let event = ask(source, Duration::from_millis(1), false).unwrap();
    assert!(matches!(event, SourceEvent::Unchanged), "{event:?}");
}

#[test]
fn what_is_drawn_after_input_does_not_wait_for_the_rate() {
    let Some(server) = server::start(64, 48) else { return };
    let client = Client::open(&server, 64, 48);
    // What a gamepad does shows, too, though it goes another way.
    let gamepad = InputEvent::Gamepad { pad: Pad::ALL[0], state: PadState::default() };
    for event in [key(true), gamepad] {
        client.fill(rect(0, 0, 64, 48), 0);
        let (mut source, mut input) = open(&server);
        client.fill(rect(0, 0, 20, 20), 0xff_00_00);
        // What the server told meanwhile is read by the next one.
        is_held_back(&mut source);
        is_held_back(&mut source);
        // What was drawn before the input is nothing that it changed.
        inject(&mut input, event);
        is_held_back(&mut source);
        client.fill(rect(40, 24, 20, 20), 0x00_ff_00);
        let picture = frame(&mut source);
        check(&picture, 9, 9, 0xff_00_00);
        check(&picture, 50, 34, 0x00_ff_00);
        check(&picture, 30, 22, 0);
        drop(picture);
        // It is one picture, and none is left to be borrowed.
        for step in 0..20 {
            client.fill(rect(0, 0, 64, 48), 0x40_40_40 + step);
            is_held_back(&mut source);
            inject(&mut input, key(step % 2 == 0));
        }
    }
}

#[test]
fn input_that_comes_before_anything_is_drawn_counts() {
    let Some(server) = server::start(64, 48) else { return };
    let client = Client::open(&server, 64, 48);
    let (mut source, mut input) = open(&server);
    inject(&mut input, key(true));
    is_held_back(&mut source);
    client.fill(rect(0, 0, 64, 48), 0x00_ff_00);
    check(&frame(&mut source), 9, 9, 0x00_ff_00);
}

#[test]
fn a_wait_for_the_rate_notices_input() {
    let Some(server) = server::start(64, 48) else { return };
    let client = Client::open(&server, 64, 48);
    let (mut source, mut input) = open(&server);
    client.fill(rect(0, 0, 64, 48), 0xff_00_00);
    is_held_back(&mut source);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| drop(frame(&mut source)));
        // So that it is asleep. Where that takes longer it has less to notice, and must come all the same.
        std::thread::sleep(Duration::from_millis(20));
        inject(&mut input, key(true));
        // What is drawn before it has noticed counts as drawn before.
        let mut colour = 0;
        while !waits.is_finished() {
            colour += 1;
            client.fill(rect(0, 0, 64, 48), colour);
            std::thread::sleep(Duration::from_millis(1));
        }
        waits.join().unwrap();
    });
}
