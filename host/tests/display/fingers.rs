//! Fingers, a fine wheel and a pen, as a program sees them by `XInput` 2.2 (Xorg with devices of its own).

use media::input::TouchPhase;
use media::{
    FrameRate, FrameSource as _, InputEvent, InputSeq, InputSink as _, InputSupport, MediaTime,
    Pen, PenState, SequencedInput, Size, SourceEvent, TakenAs,
};
use nearlight_host::display::{DisplayError, XInput};
use testkit::WallClock;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{
    ConnectionExt as _, DeviceClass, DeviceClassData, EventMask, Fp3232, ScrollType,
    TouchBeginEvent, XIDeviceInfo, XIEventMask,
};
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use crate::capture::{LONG, ask, check, frame, rect, settle};
use crate::client::Client;
use crate::input::catch_up;
use crate::server::{self, Server};

/// All pointers that programs see as one.
const POINTERS: u16 = 1;

pub(crate) fn client(server: &Server, width: u16, height: u16) -> Client {
    let client = Client::open(server, width, height);
    let version = client.x.xinput_xi_query_version(2, 2).unwrap().reply().unwrap();
    assert!((version.major_version, version.minor_version) >= (2, 2));
    let mask = XIEventMask::TOUCH_BEGIN
        | XIEventMask::TOUCH_UPDATE
        | XIEventMask::TOUCH_END
        | XIEventMask::MOTION
        | XIEventMask::BUTTON_PRESS
        | XIEventMask::BUTTON_RELEASE;
    let mask = EventMask { deviceid: POINTERS, mask: vec![mask] };
    client.x.xinput_xi_select_events(client.window, &[mask]).unwrap();
    client.x.sync().unwrap();
    client
}

pub(crate) fn input(server: &Server) -> XInput {
    server.connect().input(MediaTime::ZERO).unwrap()
}

/// Hands it over, whether or not the server takes it now.
pub(crate) fn hand(input: &mut XInput, event: InputEvent) {
    input.inject(&SequencedInput { seq: InputSeq(1), event }, MediaTime::from_millis(5));
}

/// Until the server was given it.
pub(crate) fn inject(input: &mut XInput, event: InputEvent) {
    hand(input, event);
    catch_up(input);
}

pub(crate) fn touch(input: &mut XInput, finger: u8, phase: TouchPhase, x: u16, y: u16) {
    inject(input, InputEvent::Touch { finger, phase, x, y, pressure: 32_768 });
}

/// What a finger did: its number, and where it is in pixels.
fn at(event: &TouchBeginEvent) -> (u32, (i32, i32)) {
    (event.detail, (event.root_x >> 16, event.root_y >> 16))
}

/// The next event that is none of the pointer's motion, which comes with fingers, too.
pub(crate) fn next(client: &Client) -> Event {
    loop {
        match client.event() {
            Event::XinputMotion(_) => {}
            other => return other,
        }
    }
}

fn begun(client: &Client) -> (u32, (i32, i32)) {
    match next(client) {
        Event::XinputTouchBegin(event) => at(&event),
        other => panic!("a finger was to come down, not {other:?}"),
    }
}

fn moved(client: &Client) -> (u32, (i32, i32)) {
    match next(client) {
        Event::XinputTouchUpdate(event) => at(&event),
        other => panic!("a finger was to move, not {other:?}"),
    }
}

fn ended(client: &Client) -> u32 {
    match next(client) {
        Event::XinputTouchEnd(event) => event.detail,
        other => panic!("a finger was to be lifted, not {other:?}"),
    }
}

/// The value of an axis in an event that has one.
fn axis(mask: &[u32], values: &[Fp3232], number: u32) -> Option<f64> {
    let has =
        |number: u32| mask.get(number as usize / 32).is_some_and(|m| m >> (number % 32) & 1 == 1);
    let before = (0..number).filter(|&each| has(each)).count();
    let value = values.get(before).filter(|_| has(number))?;
    Some(f64::from(value.integral) + f64::from(value.frac) / f64::from(u32::MAX))
}

fn device(client: &Client, id: u16) -> XIDeviceInfo {
    client.x.xinput_xi_query_device(id).unwrap().reply().unwrap().infos.remove(0)
}

#[test]
fn fingers_are_several_at_once_where_they_are() {
    let Some(server) = server::start_xorg(640, 360) else { return };
    let client = client(&server, 640, 360);
    let mut input = input(&server);
    touch(&mut input, 7, TouchPhase::Start, 0, 0);
    touch(&mut input, 2, TouchPhase::Start, 65_535, 65_535);
    let ((one, first), (two, second)) = (begun(&client), begun(&client));
    assert_eq!((first, second), ((0, 0), (639, 359)));
    assert_ne!(one, two);
    touch(&mut input, 7, TouchPhase::Move, 32_768, 16_384);
    assert_eq!(moved(&client), (one, (320, 90)));
    // One that is not down, or comes down again, is no other finger.
    touch(&mut input, 3, TouchPhase::Move, 0, 0);
    touch(&mut input, 3, TouchPhase::End, 0, 0);
    touch(&mut input, 2, TouchPhase::Start, 0, 65_535);
    assert_eq!(moved(&client), (two, (0, 359)));
    touch(&mut input, 7, TouchPhase::End, 0, 0);
    assert_eq!(ended(&client), one);
    touch(&mut input, 2, TouchPhase::Cancel, 0, 0);
    assert_eq!(ended(&client), two);
    // As many as two hands have; the next one does nothing, and its end, too.
    (0..11).for_each(|finger| touch(&mut input, finger, TouchPhase::Start, 9, 9));
    let mut down: Vec<_> = (0..10).map(|_| begun(&client).0).collect();
    touch(&mut input, 10, TouchPhase::End, 9, 9);
    touch(&mut input, 0, TouchPhase::End, 9, 9);
    assert_eq!(ended(&client), down.remove(0));
    let support = InputSupport {
        touch: TakenAs::Itself,
        pen: TakenAs::WithPressure,
        text: true,
        ..InputSupport::default()
    };
    assert_eq!(input.support(), support);
}

#[test]
fn no_finger_and_no_pen_stays_down() {
    let Some(server) = server::start_xorg(640, 360) else { return };
    let client = client(&server, 640, 360);
    let mut hands = input(&server);
    let down = |input: &mut XInput| {
        touch(input, 0, TouchPhase::Start, 9, 9);
        touch(input, 1, TouchPhase::Start, 9_999, 9);
        [begun(&client).0, begun(&client).0]
    };
    let both = down(&mut hands);
    inject(&mut hands, InputEvent::ReleaseAll);
    assert_eq!([ended(&client), ended(&client)], both);
    let both = down(&mut hands);
    hands.release_all(MediaTime::ZERO);
    assert_eq!([ended(&client), ended(&client)], both);
    let both = down(&mut hands);
    drop(hands);
    assert_eq!([ended(&client), ended(&client)], both);
    // Also where that was not heard: whoever comes next lets go.
    let mut lost = input(&server);
    let both = down(&mut lost);
    std::mem::forget(lost);
    let mut next_hands = input(&server);
    assert_eq!([ended(&client), ended(&client)], both);
    let state = PenState::new(PenState::NEAR | PenState::TIP).unwrap();
    inject(&mut next_hands, InputEvent::Pen(Pen { pressure: 9, state, ..Pen::default() }));
    let tip = |down: bool| match next(&client) {
        Event::XinputButtonPress(event) => assert_eq!((event.detail, true), (1, down)),
        Event::XinputButtonRelease(event) => assert_eq!((event.detail, false), (1, down)),
        other => panic!("the pen's tip was due, not {other:?}"),
    };
    tip(true);
    inject(&mut next_hands, InputEvent::ReleaseAll);
    tip(false);
}

#[test]
fn a_wheel_turns_between_its_notches() {
    let Some(server) = server::start_xorg(640, 360) else { return };
    let fine = client(&server, 640, 360);
    let mut input = input(&server);
    inject(&mut input, InputEvent::PointerAbsolute { x: 32_768, y: 32_768 });
    assert!(matches!(fine.event(), Event::XinputMotion(_)));
    let mut turns = Vec::new();
    for y in [30, 30, 30, 30] {
        inject(&mut input, InputEvent::Wheel { x: 0, y });
        let Event::XinputMotion(event) = fine.event() else { panic!("it was to turn") };
        let wheel = device(&fine, event.sourceid);
        let name = String::from_utf8_lossy(&wheel.name).into_owned();
        assert!(name.contains("wheel"), "{name}");
        let axes = wheel.classes.iter().filter_map(|DeviceClass { data, .. }| match data {
            DeviceClassData::Scroll(scroll) if scroll.scroll_type == ScrollType::VERTICAL => {
                Some((scroll.number, scroll.increment.integral))
            }
            _ => None,
        });
        let axes: Vec<_> = axes.collect();
        let [(number, notch)] = axes[..] else { panic!("{axes:?}") };
        let value = axis(&event.valuator_mask, &event.axisvalues, number.into()).unwrap();
        turns.push(value / f64::from(notch));
    }
    let steps: Vec<_> = turns.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, [0.25; 3], "{turns:?}");
    // A whole one is a button, too, for programs that know no others.
    let Event::XinputButtonPress(event) = fine.event() else { panic!("a notch was due") };
    assert_eq!(event.detail, 5);
    assert!(matches!(fine.event(), Event::XinputButtonRelease(event) if event.detail == 5));
    drop(input);
    drop(fine);
    let plain = Client::open(&server, 640, 360);
    let mut input = self::input(&server);
    for (x, y) in [(0, -60), (0, -60), (50, 0), (70, 0)] {
        inject(&mut input, InputEvent::Wheel { x, y });
    }
    let next = || match plain.event() {
        Event::ButtonPress(event) => (event.detail, true),
        Event::ButtonRelease(event) => (event.detail, false),
        other => panic!("{other:?}"),
    };
    assert_eq!([next(), next(), next(), next()], [(4, true), (4, false), (7, true), (7, false)]);
}

#[test]
fn a_pen_presses() {
    let Some(server) = server::start_xorg(640, 360) else { return };
    let client = client(&server, 640, 360);
    let mut input = input(&server);
    let mut pen = |x, pressure, bits| {
        let state = PenState::new(bits).unwrap();
        inject(&mut input, InputEvent::Pen(Pen { x, pressure, state, ..Pen::default() }));
    };
    // Where it is, how hard it presses, and which button went down, until that happens.
    let until = |button: Option<(u32, bool)>| {
        let mut last = None;
        loop {
            let (event, done) = match client.event() {
                Event::XinputMotion(event) => (event, None),
                Event::XinputButtonPress(event) => (event, Some(true)),
                Event::XinputButtonRelease(event) => (event, Some(false)),
                other => panic!("{other:?}"),
            };
            let name = String::from_utf8_lossy(&device(&client, event.sourceid).name).into_owned();
            assert!(name.contains("pen"), "{name}");
            let pressure = axis(&event.valuator_mask, &event.axisvalues, 4);
            last = pressure.map(|pressure| (event.root_x >> 16, pressure)).or(last);
            if done.map(|pressed| (event.detail, pressed)) == button {
                return last;
            }
        }
    };
    pen(16_384, 0, PenState::NEAR);
    assert_eq!(until(None), Some((160, 0.0)));
    pen(32_768, 32_768, PenState::NEAR | PenState::TIP);
    let (x, pressure) = until(Some((1, true))).unwrap();
    assert_eq!((x, pressure.round() as i32), (320, 500));
    pen(32_768, 65_535, PenState::NEAR | PenState::TIP | PenState::BARREL);
    let (x, pressure) = until(Some((3, true))).unwrap();
    assert_eq!((x, pressure.round() as i32), (320, 1_000));
    pen(0, 0, 0);
    until(Some((1, false)));
    until(Some((3, false)));
}

#[test]
fn its_screen_changes_and_fingers_with_it() {
    let Some(server) = server::start_xorg(1280, 720) else { return };
    let mut display = server.connect();
    let client = client(&server, 1280, 720);
    let mut source = display.source(FrameRate::fps(1_000), WallClock::shared()).unwrap();
    settle(&mut source);
    let mut input = display.input(MediaTime::ZERO).unwrap();
    for (width, height) in [(640, 360), (854, 480), (1280, 720), (64, 64)] {
        let size = Size::new(width, height);
        display.set_size(size, 96).unwrap();
        loop {
            match ask(&mut source, LONG, false).unwrap() {
                SourceEvent::Resized(now) => break assert_eq!(now, size),
                SourceEvent::Frame(_) | SourceEvent::Cursor(_) => {}
                other => panic!("another size was due, not {other:?}"),
            }
        }
        client.fill(rect(0, 0, 1280, 720), 0x11_22_33);
        let picture = frame(&mut source);
        assert_eq!((picture.image.size(), source.info().size), (size, size));
        check(&picture, width as usize - 1, height as usize - 1, 0x11_22_33);
        drop(picture);
        let geometry = client.x.get_geometry(client.root).unwrap().reply().unwrap();
        assert_eq!((u32::from(geometry.width), u32::from(geometry.height)), (width, height));
        touch(&mut input, 0, TouchPhase::Start, 65_535, 32_768);
        let (finger, place) = begun(&client);
        assert_eq!(place, (width as i32 - 1, height as i32 / 2));
        touch(&mut input, 0, TouchPhase::End, 0, 0);
        assert_eq!(ended(&client), finger);
    }
    // The server would take more than it has memory for.
    for (width, height) in [(1282, 720), (1280, 722), (62, 480), (641, 480)] {
        let error = display.set_size(Size::new(width, height), 96).unwrap_err();
        assert!(matches!(error, DisplayError::Size { .. }), "{error}");
    }
    assert_eq!(display.size().unwrap(), Size::new(64, 64));
}
