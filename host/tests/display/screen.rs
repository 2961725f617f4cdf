//! The size of a display, changed by us and by the game.

use std::time::Duration;

use media::{FrameSource as _, Size, SourceEvent};
use nearlight_host::display::{DisplayError, XSource};
use x11rb::connection::Connection as _;
use x11rb::protocol::randr::{ConnectionExt as _, Rotation};
use x11rb::protocol::xproto::{
    AtomEnum, ConfigureWindowAux, ConnectionExt as _, CreateWindowAux, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::capture::{ask, check, frame, open, rect, settle};
use crate::client::Client;
use crate::server;

fn resized(source: &mut XSource) -> Size {
    loop {
        match ask(source, Duration::from_secs(20), false).unwrap() {
            SourceEvent::Resized(size) => return size,
            SourceEvent::Frame(_) | SourceEvent::Cursor(_) => {}
            other => panic!("another size was due, not {other:?}"),
        }
    }
}

#[test]
fn the_size_and_the_dots_an_inch_change_live() {
    let Some(server) = server::start(1280, 720) else { return };
    let mut display = server.connect();
    let client = Client::open(&server, 1280, 720);
    let mut source = open(&server);
    settle(&mut source);
    for (width, height, dpi) in [(640, 360, 96), (854, 480, 192), (1280, 720, 96), (64, 64, 96)] {
        let size = Size::new(width, height);
        display.set_size(size, dpi).unwrap();
        assert_eq!(display.size().unwrap(), size);
        assert_eq!(resized(&mut source), size);
        assert_eq!(source.info().size, size);
        // A server forgets what it showed, and has it drawn again.
        client.fill(rect(0, 0, 1280, 720), 0x11_22_33);
        let picture = frame(&mut source);
        assert_eq!(picture.image.size(), size);
        check(&picture, width as usize - 1, height as usize - 1, 0x11_22_33);
        drop(picture);
        let geometry = client.x.get_geometry(client.root).unwrap().reply().unwrap();
        assert_eq!((u32::from(geometry.width), u32::from(geometry.height)), (width, height));
        let property = (AtomEnum::RESOURCE_MANAGER, AtomEnum::STRING);
        let resources = client.x.get_property(false, client.root, property.0, property.1, 0, 99);
        let resources = resources.unwrap().reply().unwrap().value;
        assert_eq!(String::from_utf8(resources).unwrap(), format!("Xft.dpi:\t{dpi}\n"));
    }
    // Of the modes that were made, the present one is left.
    let modes = client.x.randr_get_screen_resources_current(client.root).unwrap().reply().unwrap();
    assert_eq!(modes.modes.len(), 2, "{:?}", modes.modes);
    for (width, height) in [(1282, 720), (1280, 722), (62, 480), (641, 480), (0, 0), (u32::MAX, 2)]
    {
        let error = display.set_size(Size::new(width, height), 96).unwrap_err();
        assert!(matches!(error, DisplayError::Size { .. }), "{error}");
    }
    assert_eq!(display.size().unwrap(), Size::new(64, 64));
}

#[test]
fn windows_that_filled_the_screen_fill_it_again() {
    let Some(server) = server::start(1280, 720) else { return };
    let mut display = server.connect();
    let client = Client::open(&server, 1280, 720);
    let place = |window| {
        let geometry = client.x.get_geometry(window).unwrap().reply().unwrap();
        (geometry.x, geometry.y, geometry.width, geometry.height)
    };
    let open = |width, height, border, managed: bool| {
        let window = client.x.generate_id().unwrap();
        let look = CreateWindowAux::new().override_redirect(u32::from(!managed));
        let class = WindowClass::INPUT_OUTPUT;
        let (depth, root) = (24, client.root);
        client
            .x
            .create_window(depth, window, root, 20, 30, width, height, border, class, 0, &look)
            .unwrap();
        client.x.map_window(window).unwrap();
        client.x.sync().unwrap();
        window
    };
    // A menu over the game, which is a window that no manager would touch.
    let menu = open(100, 50, 0, false);
    display.set_size(Size::new(640, 360), 96).unwrap();
    assert_eq!(place(client.window), (0, 0, 640, 360));
    assert_eq!(place(menu), (20, 30, 100, 50));
    // A program's only window, which is smaller than the screen and has a border.
    client.x.destroy_window(client.window).unwrap();
    let only = open(200, 100, 3, true);
    display.set_size(Size::new(1280, 720), 96).unwrap();
    assert_eq!(place(only), (-3, -3, 1280, 720));
    // Of two, none is known to be the one.
    let other = open(200, 100, 0, true);
    client.x.configure_window(only, &ConfigureWindowAux::new().width(300)).unwrap();
    client.x.sync().unwrap();
    display.set_size(Size::new(800, 600), 96).unwrap();
    assert_eq!(place(only), (-3, -3, 300, 720));
    assert_eq!(place(other), (20, 30, 200, 100));
}

#[test]
fn a_game_that_changes_its_mode_is_followed() {
    let Some(server) = server::start(800, 600) else { return };
    let mut display = server.connect();
    let client = Client::open(&server, 800, 600);
    // Two modes, as a game finds them.
    display.set_size(Size::new(400, 300), 96).unwrap();
    let mut source = open(&server);
    settle(&mut source);
    let x = &client.x;
    x.randr_query_version(1, 3).unwrap().reply().unwrap();
    let screen = x.randr_get_screen_resources_current(client.root).unwrap().reply().unwrap();
    let large = screen.modes.iter().find(|mode| mode.width == 800).unwrap().id;
    let small = screen.modes.iter().find(|mode| mode.width == 400).unwrap().id;
    let set = |mode, at: i16| {
        let (crtc, outputs, stamp) = (screen.crtcs[0], &screen.outputs, screen.config_timestamp);
        x.randr_set_crtc_config(crtc, 0, stamp, at, at, mode, Rotation::ROTATE0, outputs)
            .unwrap()
            .reply()
            .unwrap();
    };
    x.randr_set_screen_size(client.root, 800, 600, 200, 150).unwrap();
    set(large, 0);
    assert_eq!(resized(&mut source), Size::new(800, 600));
    // It became smaller with the screen, which it had filled.
    let whole = ConfigureWindowAux::new().width(800).height(600);
    x.configure_window(client.window, &whole).unwrap();
    client.fill(rect(0, 0, 800, 600), 0x80_00_00);
    client.fill(rect(100, 100, 400, 300), 0x00_80_00);
    settle(&mut source);
    // The screen stays as large as it is, and the controller shows a part of it.
    set(small, 100);
    assert_eq!(resized(&mut source), Size::new(400, 300));
    let picture = frame(&mut source);
    check(&picture, 0, 0, 0x00_80_00);
    check(&picture, 399, 299, 0x00_80_00);
    drop(picture);
    client.fill(rect(0, 0, 110, 110), 0xff);
    let picture = frame(&mut source);
    check(&picture, 9, 9, 0xff);
    check(&picture, 10, 10, 0x00_80_00);
}

#[test]
fn wild_changes_of_size_leave_a_sound_picture() {
    let Some(server) = server::start(640, 480) else { return };
    let mut display = server.connect();
    let client = Client::open(&server, 640, 480);
    let mut source = open(&server);
    let changes = std::thread::spawn(move || {
        (0..60_u32).for_each(|step| {
            let size = Size::new(64 + step * 58 % 576 / 2 * 2, 64 + step * 94 % 416 / 2 * 2);
            display.set_size(size, 96).unwrap();
        });
        display.set_size(Size::new(640, 480), 96).unwrap();
    });
    let mut size = source.info().size;
    while !changes.is_finished() {
        match ask(&mut source, Duration::from_millis(1), true).unwrap() {
            SourceEvent::Resized(now) => size = now,
            SourceEvent::Frame(frame) => assert_eq!(frame.image.size(), size),
            SourceEvent::Cursor(_) | SourceEvent::Unchanged => {}
            other => panic!("{other:?}"),
        }
    }
    changes.join().unwrap();
    client.fill(rect(0, 0, 640, 480), 0x44_88_cc);
    settle(&mut source);
    let SourceEvent::Frame(mut last) = ask(&mut source, Duration::ZERO, true).unwrap() else {
        panic!("a picture was due")
    };
    last.image.finish(&testkit::FakeClock::default(), &mut last.stages).unwrap();
    assert_eq!(last.image.size(), Size::new(640, 480));
    check(&last, 639, 479, 0x44_88_cc);
}
