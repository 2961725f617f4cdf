//! Pictures that are smaller than the display, for a link that carries too few bits: all but their size is as before.

use std::time::Duration;

use media::{
    CursorUpdate, Damage, Frame, FrameSource as _, InputEvent, MediaTime, Size, SourceEvent,
};
use testkit::FakeClock;
use x11rb::protocol::xproto::ConnectionExt as _;

use crate::capture::{Chance, LONG, ask, check, cursor, frame, open, rect, settle};
use crate::client::Client;
use crate::input::{inject, moved};
use crate::server;

const WHOLE: Size = Size::new(320, 240);
const HALF: Size = Size::new(160, 120);

#[test]
fn smaller_pictures_show_all_of_the_display_and_say_where_it_changed() {
    let Some(server) = server::start(320, 240) else { return };
    let client = Client::open(&server, 320, 240);
    let mut source = open(&server);
    let quarters = [(0, 0, 0xff_00_00), (160, 0, 0x00_ff_00), (0, 120, 0xff), (160, 120, 0x80)];
    quarters.iter().for_each(|&(x, y, colour)| client.fill(rect(x, y, 160, 120), colour));
    settle(&mut source);
    assert_eq!((source.resize(HALF), source.info().size), (HALF, HALF));
    assert_eq!(source.info().drawn, WHOLE);
    let first = frame(&mut source);
    assert_eq!((first.image.size(), first.views[0].region), (HALF, rect(0, 0, 160, 120)));
    assert!(first.scaled);
    assert_eq!(first.damage, Damage::Rects(std::iter::once(rect(0, 0, 160, 120)).collect()));
    let corners = |frame: &Frame, size: Size| {
        for (x, y, colour) in quarters {
            let at = |place: u32, edge: u32, whole: u32| (place * edge / whole) as usize;
            let (x, y) = (at(x, size.width, 320), at(y, size.height, 240));
            // Up to the last pixel that has nothing of another colour, nor of its chroma.
            let (inner, outer) = (4, (size.width as usize / 2 - 5, size.height as usize / 2 - 5));
            for (across, down) in [(inner, inner), outer, (inner, outer.1), (outer.0, inner)] {
                check(frame, x + across, y + down, colour);
            }
        }
    };
    corners(&first, HALF);
    check(&first, 0, 0, 0xff_00_00);
    check(&first, 159, 119, 0x80);
    drop(first);

    // What is drawn reaches as far as the weights of pixels do, in each slot of the ring.
    for (number, colour) in (0..).zip([0xff_ff_ff, 0x00_ff_ff, 0xff_ff_00, 0x11_22_33, 0x88_88_88])
    {
        let (x, y) = (20 + 40 * number, 24 + 32 * number);
        client.fill(rect(x, y, 24, 20), colour);
        let frame = frame(&mut source);
        let expected = rect(x / 2 - 2, y / 2 - 2, 16, 14);
        assert_eq!(frame.damage, Damage::Rects(std::iter::once(expected).collect()));
        check(&frame, x as usize / 2 + 3, y as usize / 2 + 3, colour);
        check(&frame, x as usize / 2 + 8, y as usize / 2 + 6, colour);
    }

    // The display was left as it was, and all of it comes back.
    let geometry = client.x.get_geometry(client.root).unwrap().reply().unwrap();
    assert_eq!((u32::from(geometry.width), u32::from(geometry.height)), (320, 240));
    quarters.iter().for_each(|&(x, y, colour)| client.fill(rect(x, y, 160, 120), colour));
    settle(&mut source);
    for size in [Size::new(240, 180), WHOLE] {
        assert_eq!(source.resize(size), size);
        let picture = frame(&mut source);
        assert_eq!((picture.image.size(), picture.scaled), (size, size != WHOLE));
        corners(&picture, size);
    }
    // The same again is no change.
    assert_eq!(source.resize(WHOLE), WHOLE);
    let still = ask(&mut source, Duration::from_millis(1), false).unwrap();
    assert!(matches!(still, SourceEvent::Unchanged), "{still:?}");
    assert_eq!(source.resize(Size::new(9_999, 101)), Size::new(320, 100));
}

#[test]
fn smaller_pictures_are_right_however_much_of_them_is_drawn_again() {
    // Several bands, of which the last is shorter.
    let (whole, smaller) = (Size::new(96, 300), Size::new(72, 224));
    let Some(server) = server::start(96, 300) else { return };
    let client = Client::open(&server, 96, 300);
    let mut source = open(&server);
    source.resize(smaller);
    settle(&mut source);
    let mut chance = Chance(7);
    for step in 0..60 {
        for _ in 0..=chance.below(3) {
            let (x, y) = (chance.below(whole.width), chance.below(whole.height));
            let width = 1 + chance.below(whole.width - x);
            let area = match chance.below(4) {
                0 => rect(0, 0, whole.width, whole.height),
                _ => rect(x, y, width, 1 + chance.below(whole.height - y)),
            };
            client.fill(area, chance.below(0x100_0000));
        }
        let mut newest = None;
        loop {
            match ask(&mut source, Duration::from_millis(4), false).unwrap() {
                SourceEvent::Frame(frame) => newest = Some(frame),
                SourceEvent::Unchanged => break,
                _ => {}
            }
        }
        let Some(mut followed) = newest else { continue };
        followed.image.finish(&FakeClock::default(), &mut followed.stages).unwrap();
        let mut anew = open(&server);
        anew.resize(smaller);
        let anew = frame(&mut anew);
        let pixels = [&followed, &anew].map(|frame| {
            let image = frame.image.map().unwrap();
            assert_eq!(image.size, smaller);
            image.planes.iter().map(|plane| plane.data.to_vec()).collect::<Vec<_>>()
        });
        assert!(pixels[0] == pixels[1], "step {step}");
    }
}

#[test]
fn the_pointer_is_where_it_is_on_the_display() {
    let Some(server) = server::start(320, 240) else { return };
    let client = Client::open(&server, 320, 240);
    let mut source = open(&server);
    let mut input = server.connect().input(MediaTime::ZERO).unwrap();
    settle(&mut source);
    source.resize(HALF);
    frame(&mut source);
    // A place of the picture in shares of it, which its size is nothing to.
    inject(&mut input, InputEvent::PointerAbsolute { x: 26_214, y: 30_000 });
    assert_eq!(moved(&client), (128, 109));
    assert_eq!(cursor(&mut source), CursorUpdate::Moved { x: 128, y: 109 });
}

#[test]
fn a_display_of_another_size_is_shown_whole_until_smaller_pictures_are_asked_for_again() {
    let Some(server) = server::start(640, 480) else { return };
    let mut display = server.connect();
    let client = Client::open(&server, 640, 480);
    let mut source = open(&server);
    settle(&mut source);
    source.resize(WHOLE);
    frame(&mut source);
    display.set_size(WHOLE, 96).unwrap();
    let resized = loop {
        match ask(&mut source, LONG, false).unwrap() {
            SourceEvent::Resized(size) => break size,
            SourceEvent::Frame(_) | SourceEvent::Cursor(_) => {}
            other => panic!("another size was due, not {other:?}"),
        }
    };
    let info = source.info();
    assert_eq!((resized, info.size, info.drawn), (WHOLE, WHOLE, WHOLE));
    source.resize(HALF);
    client.fill(rect(0, 0, 640, 480), 0x30_60_90);
    settle(&mut source);
    client.fill(rect(0, 0, 640, 480), 0x90_60_30);
    let picture = frame(&mut source);
    assert_eq!(picture.image.size(), HALF);
    check(&picture, 159, 119, 0x90_60_30);
}
