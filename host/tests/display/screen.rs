//! The size of a display, changed by us and by the game.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use media::{FrameRate, FrameSource as _, Size, SourceEvent};
use nearlight_host::display::{Display, DisplayError, XSource};
use testkit::{FakeClock, WallClock};
use x11rb::connection::Connection as _;
use x11rb::protocol::randr::{
    ConnectionExt as _, GetScreenResourcesCurrentReply, Mode, ModeInfo, Rotation, SetConfig,
};
use x11rb::protocol::xproto::{
    AtomEnum, ConfigureWindowAux, ConnectionExt as _, CreateWindowAux, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::capture::{LONG, ask, check, frame, open, rect, settle};
use crate::client::{Client, told};
use crate::server;

fn resized(source: &mut XSource) -> Size {
    loop {
        match ask(source, LONG, false).unwrap() {
            SourceEvent::Resized(size) => return size,
            SourceEvent::Frame(_) | SourceEvent::Cursor(_) => {}
            other => panic!("another size was due, not {other:?}"),
        }
    }
}

#[test]
fn the_pointer_is_put_where_it_chooses_nothing() {
    let Some(server) = server::start(640, 360) else { return };
    server.connect().put_pointer_aside().unwrap();
    let client = Client::open(&server, 640, 360);
    let at = client.x.query_pointer(client.root).unwrap().reply().unwrap();
    assert_eq!((at.root_x, at.root_y), (639, 359));
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

/// Two modes of a screen, of which a game sets the one and the other, each with a screen of that size.
struct Modes {
    client: Client,
    screen: GetScreenResourcesCurrentReply,
    modes: [(Mode, Size); 2],
}

impl Modes {
    /// The screen's own and one of another size, which it has now.
    fn make(server: &server::Server, display: &mut Display, sizes: [Size; 2]) -> Self {
        let client = Client::open(server, sizes[0].width as u16, sizes[0].height as u16);
        display.set_size(sizes[1], 96).unwrap();
        // It became smaller with the screen, which it had filled.
        let whole = ConfigureWindowAux::new().width(sizes[0].width).height(sizes[0].height);
        client.x.configure_window(client.window, &whole).unwrap();
        client.x.randr_query_version(1, 3).unwrap().reply().unwrap();
        let screen = client.x.randr_get_screen_resources_current(client.root).unwrap();
        let screen = screen.reply().unwrap();
        let modes = sizes.map(|size| {
            let is_it = |mode: &&ModeInfo| {
                (u32::from(mode.width), u32::from(mode.height)) == (size.width, size.height)
            };
            (screen.modes.iter().find(is_it).unwrap().id, size)
        });
        Self { client, screen, modes }
    }

    fn set(&self, which: usize) {
        let Self { client, screen, modes } = self;
        let (x, (mode, size)) = (&client.x, modes[which]);
        let (crtc, stamp) = (screen.crtcs[0], screen.config_timestamp);
        let configure = |mode, outputs: &[u32]| {
            let set =
                x.randr_set_crtc_config(crtc, 0, stamp, 0, 0, mode, Rotation::ROTATE0, outputs);
            assert_eq!(set.unwrap().reply().unwrap().status, SetConfig::SUCCESS);
        };
        configure(x11rb::NONE, &[]);
        let (width, height) = (size.width as u16, size.height as u16);
        x.randr_set_screen_size(client.root, width, height, 200, 150).unwrap().check().unwrap();
        configure(mode, &screen.outputs);
        told(x);
    }

    /// Leaves a screen of one pixel, which no controller shows.
    fn shrink(&self) {
        let Self { client, screen, .. } = self;
        let (x, crtc, stamp) = (&client.x, screen.crtcs[0], screen.config_timestamp);
        let off =
            x.randr_set_crtc_config(crtc, 0, stamp, 0, 0, x11rb::NONE, Rotation::ROTATE0, &[]);
        assert_eq!(off.unwrap().reply().unwrap().status, SetConfig::SUCCESS);
        x.randr_set_screen_size(client.root, 1, 1, 1, 1).unwrap().check().unwrap();
        told(x);
    }
}

#[test]
fn a_game_that_changes_its_mode_on_and_on_costs_four_sizes_a_second() {
    let Some(server) = server::start(640, 480) else { return };
    let mut display = server.connect();
    let sizes = [Size::new(640, 480), Size::new(320, 240)];
    let modes = Modes::make(&server, &mut display, sizes);
    let clock = FakeClock::default();
    let mut source = display.source(FrameRate::fps(1_000), Arc::new(clock.clone())).unwrap();
    let (changes, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let game = std::thread::spawn({
        let (changes, stop) = (changes.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                modes.set((changes.fetch_add(1, Ordering::Relaxed) % 2) as usize);
            }
            modes.set(0);
            modes
        }
    });
    let (mut size, mut resized, mut pictures) = (source.info().size, 0, 0);
    let mut look = |source: &mut XSource| match ask(source, Duration::from_millis(1), true).unwrap()
    {
        SourceEvent::Resized(now) => {
            (size, resized) = (now, resized + 1);
            resized
        }
        SourceEvent::Frame(frame) => {
            assert_eq!(frame.image.size(), size);
            pictures += 1;
            resized
        }
        SourceEvent::Cursor(_) | SourceEvent::Unchanged => resized,
        other => panic!("{other:?}"),
    };
    // Eight quarters of a second by the clock, in each of which the game changes it twenty times.
    for quarter in 1..=8 {
        let enough = changes.load(Ordering::Relaxed) + 20;
        while changes.load(Ordering::Relaxed) < enough {
            let resized = look(&mut source);
            assert!(resized <= quarter, "{resized} sizes in {quarter} quarters of a second");
        }
        clock.advance(Duration::from_millis(250));
    }
    assert!(pictures > 0);
    stop.store(true, Ordering::Relaxed);
    let modes = game.join().unwrap();
    // The last one wins, and its picture is sound.
    for _ in 0..2 {
        settle(&mut source);
        clock.advance(Duration::from_millis(250));
    }
    modes.client.fill(rect(0, 0, 640, 480), 0x44_88_cc);
    settle(&mut source);
    let SourceEvent::Frame(mut last) = ask(&mut source, Duration::ZERO, true).unwrap() else {
        panic!("a picture was due")
    };
    last.image.finish(&clock, &mut last.stages).unwrap();
    assert_eq!(last.image.size(), sizes[0]);
    check(&last, 639, 479, 0x44_88_cc);
}

#[test]
fn a_screen_that_a_game_makes_too_small_for_any_picture_is_waited_for() {
    let Some(server) = server::start(640, 480) else { return };
    let mut display = server.connect();
    let sizes = [Size::new(640, 480), Size::new(320, 240)];
    let modes = Modes::make(&server, &mut display, sizes);
    let clock = FakeClock::default();
    let mut source = display.source(FrameRate::fps(1_000), Arc::new(clock.clone())).unwrap();
    settle(&mut source);
    let nothing_comes = |source: &mut XSource| {
        // It may have another size again.
        clock.advance(Duration::from_secs(1));
        modes.shrink();
        settle(source);
        for refresh in [false, true] {
            let event = ask(source, Duration::from_millis(20), refresh).unwrap();
            assert!(matches!(event, SourceEvent::Unchanged | SourceEvent::Cursor(_)), "{event:?}");
        }
    };
    let is_shown = |source: &mut XSource, size: Size, colour: u32| {
        assert_eq!(resized(source), size);
        modes.client.fill(rect(0, 0, 640, 480), colour);
        settle(source);
        let SourceEvent::Frame(mut last) = ask(source, Duration::ZERO, true).unwrap() else {
            panic!("a picture was due")
        };
        last.image.finish(&clock, &mut last.stages).unwrap();
        assert_eq!(last.image.size(), size);
        check(&last, size.width as usize - 1, size.height as usize - 1, colour);
    };
    // It makes it larger again by itself.
    nothing_comes(&mut source);
    modes.set(0);
    is_shown(&mut source, sizes[0], 0x44_88_cc);
    // Or its player's window wants another.
    nothing_comes(&mut source);
    display.set_size(sizes[1], 96).unwrap();
    is_shown(&mut source, sizes[1], 0xcc_88_44);
}

#[test]
fn no_more_is_shown_than_may_be_whatever_mode_a_game_sets() {
    let Some(server) = server::start(640, 480) else { return };
    let mut display = server.connect();
    let sizes = [Size::new(640, 480), Size::new(320, 240)];
    let modes = Modes::make(&server, &mut display, sizes);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (told, most) = (asked.clone(), sizes[1]);
    display.set_most(Arc::new(move |size: Size| {
        told.lock().unwrap().push(size);
        most
    }));
    let mut source = display.source(FrameRate::fps(1_000), WallClock::shared()).unwrap();
    settle(&mut source);
    modes.set(0);
    modes.client.fill(rect(0, 0, 640, 480), 0x80_00_00);
    modes.client.fill(rect(0, 0, 320, 240), 0x00_80_00);
    // None of what comes has another size.
    settle(&mut source);
    let SourceEvent::Frame(mut last) = ask(&mut source, Duration::ZERO, true).unwrap() else {
        panic!("a picture was due")
    };
    last.image.finish(&FakeClock::default(), &mut last.stages).unwrap();
    assert_eq!((last.image.size(), source.info().size), (sizes[1], sizes[1]));
    check(&last, 319, 239, 0x00_80_00);
    assert_eq!(display.size().unwrap(), sizes[1]);
    // Whoever says how much is told how large it is.
    assert_eq!(asked.lock().unwrap().last(), Some(&sizes[0]));
}

#[test]
fn what_may_be_shown_later_of_a_mode_that_a_game_sets_is_shown_then() {
    let Some(server) = server::start(640, 480) else { return };
    let mut display = server.connect();
    let sizes = [Size::new(640, 480), Size::new(320, 240)];
    let modes = Modes::make(&server, &mut display, sizes);
    let most = Arc::new(Mutex::new(sizes[1]));
    let of = most.clone();
    display.set_most(Arc::new(move |_| *of.lock().unwrap()));
    let clock = Arc::new(FakeClock::default());
    let mut source = display.source(FrameRate::fps(1_000), clock.clone()).unwrap();
    settle(&mut source);
    modes.set(0);
    clock.advance(Duration::from_secs(1));
    settle(&mut source);
    assert_eq!(source.info().size, sizes[1]);
    *most.lock().unwrap() = sizes[0];
    clock.advance(Duration::from_secs(3));
    settle(&mut source);
    assert_eq!(source.info().size, sizes[1], "it is not asked on and on");
    // The game says nothing more.
    clock.advance(Duration::from_secs(2));
    let SourceEvent::Resized(size) = ask(&mut source, Duration::ZERO, false).unwrap() else {
        panic!("there is room now")
    };
    assert_eq!((size, source.info().size), (sizes[0], sizes[0]));
}
