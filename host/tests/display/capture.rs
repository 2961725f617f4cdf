//! What is drawn is what is captured, and nothing more is.

use std::sync::Arc;
use std::time::Duration;

use media::{
    Clock as _, CursorUpdate, Damage, Frame, FrameId, FrameRate, FrameRequest, FrameSource, Mark,
    MediaTime, PictureKind, Rect, Size, SourceError, SourceEvent,
};
use nearlight_host::display::XSource;
use rustix::process::Signal;
use testkit::{FakeClock, SourceSubject, WallClock, source_contract};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    ChangeGCAux, ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, CreateWindowAux,
    ImageFormat, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::client::Client;
use crate::server::{self, Server};

/// Far longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// Fast enough that no test waits for the rate.
const RATE: FrameRate = FrameRate::fps(1_000);

pub(crate) fn open(server: &Server) -> XSource {
    server.connect().source(RATE, WallClock::shared()).unwrap()
}

pub(crate) fn ask(
    source: &mut XSource,
    within: Duration,
    refresh: bool,
) -> Result<SourceEvent, SourceError> {
    let (id, at, views) = (FrameId(1), MediaTime::ZERO, &[]);
    let (share, kind) = (false, PictureKind::NV12);
    source.next(&FrameRequest { id, at, within, views, refresh, share, kind })
}

/// The next picture.
pub(crate) fn frame(source: &mut XSource) -> Frame {
    loop {
        match ask(source, LONG, false).unwrap() {
            SourceEvent::Frame(mut frame) => {
                frame.image.finish(&FakeClock::default(), &mut frame.stages).unwrap();
                return frame;
            }
            SourceEvent::Cursor(_) => {}
            other => panic!("a picture was due, not {other:?}"),
        }
    }
}

/// Takes pictures until the display stands still.
pub(crate) fn settle(source: &mut XSource) {
    while !matches!(ask(source, Duration::from_millis(1), false).unwrap(), SourceEvent::Unchanged) {
    }
}

/// The next news of the pointer.
#[track_caller]
pub(crate) fn cursor(source: &mut XSource) -> CursorUpdate {
    // While nothing is drawn, the pointer is looked for whenever the time is over.
    for _ in 0..6_000 {
        match ask(source, Duration::from_millis(10), false).unwrap() {
            SourceEvent::Cursor(update) => return update,
            SourceEvent::Frame(_) | SourceEvent::Unchanged => {}
            other => panic!("the pointer was due, not {other:?}"),
        }
    }
    panic!("there is no news of the pointer")
}

/// Y, Cb and Cr at a pixel.
pub(crate) fn sample(frame: &Frame, x: usize, y: usize) -> [u8; 3] {
    let image = frame.image.map().unwrap();
    let [luma, chroma] = &image.planes[..] else { panic!("NV12 has two planes") };
    let pair = y / 2 * chroma.stride + x / 2 * 2;
    [luma.data[y * luma.stride + x], chroma.data[pair], chroma.data[pair + 1]]
}

/// Whether a pixel has the colour 0xRRGGBB, by BT.709 in limited range, within rounding.
#[track_caller]
pub(crate) fn check(frame: &Frame, x: usize, y: usize, rgb: u32) {
    let [b, g, r, _] = rgb.to_le_bytes().map(|part| f64::from(part) / 255.0);
    let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let (cb, cr) = ((b - luma) / 1.8556, (r - luma) / 1.5748);
    let expected = [16.0 + 219.0 * luma, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr];
    let found = sample(frame, x, y).map(f64::from);
    let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() <= 1.5);
    assert!(near, "{rgb:06x} at {x},{y} is {found:?} and not {expected:?}");
}

pub(crate) fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
    Rect { x, y, width, height }
}

/// Holds a source against the contract; the client draws on its display.
pub(crate) fn keep_contract(source: XSource, client: Client) {
    struct Subject(XSource, Client, u32);
    impl SourceSubject for Subject {
        fn source(&mut self) -> &mut dyn FrameSource {
            &mut self.0
        }
        fn change(&mut self) {
            self.2 += 0x1f;
            self.1.fill(rect(9, 11, 30, 20), self.2);
        }
    }
    source_contract(&mut Subject(source, client, 0));
}

#[test]
fn a_display_keeps_the_contract_of_sources() {
    let Some(server) = server::start(128, 96) else { return };
    let client = Client::open(&server, 128, 96);
    keep_contract(open(&server), client);
}

#[test]
fn pictures_show_what_was_drawn_and_say_where() {
    let Some(server) = server::start(320, 240) else { return };
    let client = Client::open(&server, 320, 240);
    client.fill(rect(0, 0, 320, 240), 0x20_40_80);
    let mut source = open(&server);
    let first = frame(&mut source);
    assert_eq!(first.damage, Damage::Rects(std::iter::once(rect(0, 0, 320, 240)).collect()));
    check(&first, 0, 0, 0x20_40_80);
    check(&first, 319, 239, 0x20_40_80);
    drop(first);
    settle(&mut source);

    // Odd edges widen to whole pairs of chroma.
    let colours = [0xff_00_00, 0x00_ff_00, 0x00_00_ff, 0xff_ff_ff, 0x00_00_00, 0xff_ff_00];
    for (number, colour) in (0..).zip(colours) {
        let (x, y) = (31 + 20 * number, 17 + 30 * number);
        client.fill(rect(x, y, 14, 12), colour);
        let frame = frame(&mut source);
        let expected = rect(x - 1, y - 1, 16, 14);
        assert_eq!(frame.damage, Damage::Rects(std::iter::once(expected).collect()));
        let (x, y) = (x as usize, y as usize);
        check(&frame, x + 1, y + 1, colour);
        check(&frame, x + 12, y + 10, colour);
        check(&frame, x - 3, y - 3, 0x20_40_80);
        check(&frame, x + 16, y + 14, 0x20_40_80);
        // Each slot of the ring catches up on what it missed.
        (0..number as usize).for_each(|before| {
            check(&frame, 32 + 20 * before, 18 + 30 * before, colours[before]);
        });
        let marks = [Mark::Captured, Mark::DrawStarted, Mark::Drawn, Mark::Converted];
        let marks = marks.map(|mark| frame.stages.get(mark).unwrap());
        assert!(marks.is_sorted(), "{marks:?}");
        assert_eq!(frame.captured_at, marks[1]);
    }
}

#[test]
fn a_game_that_draws_the_same_again_has_drawn_nothing() {
    let Some(server) = server::start(320, 240) else { return };
    let client = Client::open(&server, 320, 240);
    client.fill(rect(0, 0, 320, 240), 0x20_40_80);
    let mut source = open(&server);
    settle(&mut source);
    // All of it, parts of it, and all of it by parts.
    for area in
        [rect(0, 0, 320, 240), rect(7, 9, 50, 60), rect(0, 0, 320, 120), rect(0, 120, 320, 120)]
    {
        client.fill(area, 0x20_40_80);
        let event = ask(&mut source, Duration::from_millis(50), false).unwrap();
        assert!(matches!(event, SourceEvent::Unchanged), "{area:?}: {event:?}");
    }
    // Whoever needs a picture gets it all the same.
    client.fill(rect(0, 0, 320, 240), 0x20_40_80);
    let SourceEvent::Frame(mut still) = ask(&mut source, LONG, true).unwrap() else { panic!() };
    still.image.finish(&FakeClock::default(), &mut still.stages).unwrap();
    assert_eq!(still.damage, Damage::none());
    check(&still, 9, 9, 0x20_40_80);
    drop(still);
    // Of what is drawn anew only what is not above the first difference counts.
    client.fill(rect(0, 0, 320, 240), 0x20_40_80);
    client.fill(rect(100, 161, 10, 10), 0xff_ff_ff);
    let frame = frame(&mut source);
    let changed = Damage::Rects(std::iter::once(rect(0, 160, 320, 80)).collect());
    assert_eq!(frame.damage, changed);
    check(&frame, 105, 165, 0xff_ff_ff);
    check(&frame, 50, 50, 0x20_40_80);
}

/// Numbers that look like chance and are the same every time (xorshift).
pub(crate) struct Chance(pub(crate) u32);

impl Chance {
    pub(crate) fn below(&mut self, most: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % most
    }
}

#[test]
fn pictures_are_right_however_much_of_them_is_drawn_again() {
    // Several bands, of which the last is shorter.
    const SIZE: (u32, u32) = (48, 300);
    let Some(server) = server::start(48, 300) else { return };
    let client = Client::open(&server, 48, 300);
    client.fill(rect(0, 0, SIZE.0, SIZE.1), 0);
    let mut source = open(&server);
    settle(&mut source);
    let mut model = vec![0_u32; (SIZE.0 * SIZE.1) as usize];
    let mut chance = Chance(7);
    let mut unchanged = 0;
    for step in 0..300 {
        let before = model.clone();
        for _ in 0..=chance.below(3) {
            // All of it now and then, and else a part; even, so that no colours mix.
            let area = match chance.below(4) {
                0 => rect(0, 0, SIZE.0, SIZE.1),
                _ => {
                    let (x, y) = (2 * chance.below(SIZE.0 / 2), 2 * chance.below(SIZE.1 / 2));
                    let width = 2 + 2 * chance.below((SIZE.0 - x) / 2);
                    rect(x, y, width, 2 + 2 * chance.below((SIZE.1 - y) / 2))
                }
            };
            let colour = [0, 0xff_ff_ff, 0x30_60_90][chance.below(3) as usize];
            client.fill(area, colour);
            for y in area.y..area.y + area.height {
                let row = (y * SIZE.0 + area.x) as usize;
                model[row..row + area.width as usize].fill(colour);
            }
        }
        let mut newest = None;
        loop {
            match ask(&mut source, Duration::from_millis(4), false).unwrap() {
                SourceEvent::Frame(frame) => newest = Some(frame),
                SourceEvent::Unchanged => break,
                _ => {}
            }
        }
        unchanged += u32::from(newest.is_none());
        assert_eq!(newest.is_none(), model == before, "step {step}");
        let Some(mut frame) = newest else { continue };
        frame.image.finish(&FakeClock::default(), &mut frame.stages).unwrap();
        for y in (0..SIZE.1 as usize).step_by(2) {
            for x in (0..SIZE.0 as usize).step_by(4) {
                check(&frame, x, y, model[y * SIZE.0 as usize + x]);
            }
        }
    }
    assert!(unchanged > 10, "{unchanged} of them drew the same");
}

#[test]
fn every_edge_is_converted() {
    let Some(server) = server::start(100, 60) else { return };
    let client = Client::open(&server, 100, 60);
    let mut source = open(&server);
    settle(&mut source);
    let places = [(0, 0), (98, 0), (0, 58), (98, 58), (50, 58), (98, 30), (98, 58), (50, 58)];
    for (step, (x, y)) in (0..).zip(places) {
        // Another one each time: what is drawn again is no picture.
        let colour = 0x10_10_10 + x * 0x01_00_01 + y * 0x01_01 + step * 0x01_00;
        client.fill(rect(x, y, 2, 2), colour);
        check(&frame(&mut source), x as usize + 1, y as usize + 1, colour);
    }
}

#[test]
fn what_an_overlay_drew_into_a_picture_is_gone_in_the_next() {
    let Some(server) = server::start(64, 48) else { return };
    let client = Client::open(&server, 64, 48);
    let mut source = open(&server);
    for step in 1..8 {
        client.fill(rect(0, 0, 2, 2), step);
        let mut frame = frame(&mut source);
        check(&frame, 40, 40, 0);
        frame.image.map_mut().unwrap()[0].data.fill(0xee);
    }
}

#[test]
fn many_windows_and_rectangles_are_one_picture() {
    let Some(server) = server::start(640, 480) else { return };
    let client = Client::open(&server, 640, 480);
    let mut source = open(&server);
    settle(&mut source);
    for number in 0..1_000_u32 {
        let window = client.x.generate_id().unwrap();
        let look = CreateWindowAux::new().background_pixel(0xff_80_00).override_redirect(1);
        let (x, y) = ((number % 40 * 16) as i16, (number / 40 * 19) as i16);
        let (class, root) = (WindowClass::INPUT_OUTPUT, client.root);
        client.x.create_window(24, window, root, x, y, 8, 8, 0, class, 0, &look).unwrap();
        client.x.map_window(window).unwrap();
    }
    client.x.sync().unwrap();
    let frame = frame(&mut source);
    let Damage::Rects(rects) = &frame.damage else { panic!("it is known what changed") };
    assert!(rects.len() <= Damage::MAX_RECTS);
    check(&frame, 2, 2, 0xff_80_00);
    check(&frame, 39 * 16 + 4, 24 * 19 + 4, 0xff_80_00);
}

#[test]
fn the_rate_is_the_sources_and_pictures_show_the_newest() {
    let Some(server) = server::start(64, 48) else { return };
    let client = Client::open(&server, 64, 48);
    // One in ten minutes: the second is not due while this test runs.
    let slow = FrameRate::new(1, 600).unwrap();
    let mut source = server.connect().source(slow, WallClock::shared()).unwrap();
    settle(&mut source);
    client.fill(rect(0, 0, 64, 48), 0xff_ff_ff);
    let early = ask(&mut source, Duration::from_millis(1), false).unwrap();
    assert!(matches!(early, SourceEvent::Unchanged), "{early:?}");
    client.fill(rect(0, 0, 64, 48), 0x00_ff_00);
    // Whoever needs a picture at once gets it.
    let SourceEvent::Frame(mut now) = ask(&mut source, LONG, true).unwrap() else { panic!() };
    now.image.finish(&FakeClock::default(), &mut now.stages).unwrap();
    check(&now, 9, 9, 0x00_ff_00);
}

#[test]
fn marks_are_of_the_clock_that_was_given() {
    let Some(server) = server::start(64, 48) else { return };
    let client = Client::open(&server, 64, 48);
    let clock = FakeClock::at(MediaTime::from_millis(7));
    let mut source = server.connect().source(RATE, Arc::new(clock.clone())).unwrap();
    settle(&mut source);
    let held: Vec<_> = (0..3).map(|_| ask(&mut source, LONG, true).unwrap()).collect();
    client.fill(rect(0, 0, 8, 8), 0xff);
    clock.advance(Duration::from_millis(10));
    // Seen now; it waits for a slot.
    assert!(matches!(ask(&mut source, LONG, false), Err(SourceError::NoFreeSlot)));
    let seen = clock.now();
    let captured = clock.advance(Duration::from_millis(5));
    drop(held);
    let frame = frame(&mut source);
    assert_eq!(frame.stages.get(Mark::Captured), Some(seen));
    assert_eq!(
        (frame.stages.get(Mark::DrawStarted), frame.captured_at),
        (Some(captured), captured)
    );
    check(&frame, 1, 1, 0xff);
}

#[test]
fn the_pointer_is_told_beside_the_picture() {
    let Some(server) = server::start(320, 240) else { return };
    let client = Client::open(&server, 320, 240);
    client.fill(rect(0, 0, 320, 240), 0x30_30_30);
    let mut source = open(&server);
    settle(&mut source);
    let x = &client.x;

    // A square of 16 pixels, red on a white mask.
    let [bits, pen, look] = [(); 3].map(|()| x.generate_id().unwrap());
    x.create_pixmap(1, bits, client.window, 16, 16).unwrap();
    x.create_gc(pen, bits, &CreateGCAux::new()).unwrap();
    let all = [0xff; 16 * 4];
    x.put_image(ImageFormat::XY_BITMAP, bits, pen, 16, 16, 0, 0, 0, 1, &all).unwrap();
    x.change_gc(pen, &ChangeGCAux::new().foreground(1)).unwrap();
    let square = x11rb::protocol::xproto::Rectangle { x: 0, y: 0, width: 16, height: 16 };
    x.poly_fill_rectangle(bits, pen, &[square]).unwrap();
    x.create_cursor(look, bits, bits, 0xffff, 0, 0, 0, 0, 0, 3, 5).unwrap();
    x.change_window_attributes(client.window, &ChangeWindowAttributesAux::new().cursor(look))
        .unwrap();
    x.sync().unwrap();
    let size = Size::new(16, 16);
    let rgba = [255, 0, 0, 255].repeat(256);
    assert_eq!(cursor(&mut source), CursorUpdate::Shape { size, hotspot: (3, 5), rgba });

    // The game puts it elsewhere, and the picture has nothing of it.
    x.warp_pointer(x11rb::NONE, client.root, 0, 0, 0, 0, 100, 60).unwrap();
    x.sync().unwrap();
    assert_eq!(cursor(&mut source), CursorUpdate::Moved { x: 100, y: 60 });
    client.fill(rect(0, 0, 2, 2), 0);
    let picture = frame(&mut source);
    assert_eq!(picture.damage, Damage::Rects(std::iter::once(rect(0, 0, 2, 2)).collect()));
    for (x, y) in [(98, 56), (101, 61), (110, 66)] {
        check(&picture, x, y, 0x30_30_30);
    }

    // A look without a pixel hides it.
    let wear = |look| {
        let look = ChangeWindowAttributesAux::new().cursor(look);
        x.change_window_attributes(client.window, &look).unwrap();
        x.sync().unwrap();
    };
    let [none, blank] = [(); 2].map(|()| x.generate_id().unwrap());
    x.create_pixmap(1, none, client.window, 16, 16).unwrap();
    x.change_gc(pen, &ChangeGCAux::new().foreground(0)).unwrap();
    x.poly_fill_rectangle(none, pen, &[square]).unwrap();
    x.create_cursor(blank, bits, none, 0, 0, 0, 0, 0, 0, 0, 0).unwrap();
    wear(blank);
    assert_eq!(cursor(&mut source), CursorUpdate::Hidden);
    wear(look);
    assert!(matches!(cursor(&mut source), CursorUpdate::Shape { .. }));
}

#[test]
fn a_server_that_is_killed_ends_the_source() {
    let Some(mut server) = server::start(64, 48) else { return };
    let mut source = open(&server);
    settle(&mut source);
    server.kill();
    let event = ask(&mut source, LONG, false);
    assert!(matches!(event, Ok(SourceEvent::Ended)), "{event:?}");
    let event = ask(&mut source, LONG, true);
    assert!(!matches!(event, Ok(SourceEvent::Unchanged)), "{event:?}");
}

#[test]
fn a_server_that_hangs_fails_the_source() {
    let Some(server) = server::start(64, 48) else { return };
    let mut source = open(&server);
    settle(&mut source);
    server.signal(Signal::STOP);
    let event = ask(&mut source, Duration::from_millis(1), false);
    let Err(SourceError::Failed(why)) = event else { panic!("it must fail, not {event:?}") };
    assert_eq!(why, "the display did not answer within 4 s");
}

/// `cargo test --workspace --test display -- --ignored --nocapture what_a_picture_takes`
#[test]
#[ignore = "a measurement: it prints what a picture takes on this machine"]
fn what_a_picture_takes() {
    let Some(server) = server::start(1280, 720) else { return };
    let client = Client::open(&server, 1280, 720);
    let mut source = open(&server);
    settle(&mut source);
    let (whole, part) = (rect(0, 0, 1280, 720), rect(400, 200, 200, 100));
    for (what, area, size) in [
        ("whole", whole, Size::new(1280, 720)),
        ("a part", part, Size::new(1280, 720)),
        ("whole, three quarters of its size", whole, Size::new(960, 540)),
        ("a part, three quarters of its size", part, Size::new(960, 540)),
        ("whole, half its size", whole, Size::new(640, 360)),
        ("a part, half its size", part, Size::new(640, 360)),
    ] {
        source.resize(size);
        settle(&mut source);
        let mut spans = [const { Vec::new() }; 3];
        for step in 0..600 {
            client.fill(area, step * 0x01_03_05);
            let stages = frame(&mut source).stages;
            let marks = [Mark::Captured, Mark::DrawStarted, Mark::Drawn, Mark::Converted];
            let marks = marks.map(|mark| stages.get(mark).unwrap());
            for (span, pair) in spans.iter_mut().zip(marks.windows(2)) {
                span.push(pair[1].since(pair[0]));
            }
        }
        for (name, span) in ["until it is asked for", "copy", "conversion"].iter().zip(&mut spans) {
            span.sort_unstable();
            println!("{what}, {name}: p50 {:?}, p95 {:?}", span[300], span[570]);
        }
    }
}
