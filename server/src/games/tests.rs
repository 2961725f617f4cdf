//! Games that are stopped while they start, in real sandboxes. Left out where there are none, unless `NEARLIGHT_HOST` says
//! that there must be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, mpsc};

use media::{FrameRate, MediaTime, Size};
use tokio_util::sync::CancellationToken;

use session::admission::Refusal;

use super::source::Drawn;
use super::*;
use crate::booking::{Booking, Books};
use crate::clock::MonotonicClock;
use crate::drive::{Opening, SourceOutput, SourceReport, SourceThread};

/// Takes what a source thread says.
struct Listener(mpsc::Sender<SourceReport>);

impl SourceOutput for Listener {
    fn frame(&mut self, _: media::Frame) {}
    fn wants_refresh(&self) -> bool {
        false
    }
    fn wants_shared(&self) -> bool {
        false
    }
    fn wants_kind(&self) -> media::PictureKind {
        media::PictureKind::NV12
    }
    fn cursor(&mut self, _: media::CursorUpdate) {}
    fn report(&mut self, report: SourceReport) {
        // Whoever listens may have seen enough.
        let _ = self.0.send(report);
    }
}

const VIDEO: VideoMode =
    VideoMode { size: Size::new(640, 360), dpi: VideoMode::DPI, rate: FrameRate::fps(15) };

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A game that is never reached: its display starts and says nothing.
fn silent(run: &Path, folders: &Path) -> Option<GameApp> {
    let display = folders.join("Xsilent");
    fs::write(&display, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    open_to_all(&display);
    game(run, folders, "command = \"/bin/true\"\n", |config| config.display = Some(display))
}

/// A terminal that is started ahead.
fn terminal(run: &Path, folders: &Path, more: &str) -> Option<GameApp> {
    let arguments = "arguments = [\"-bg\", \"#ff8000\", \"-maximized\"]";
    let text =
        format!("command = \"xterm\"\n{arguments}\nwarm = 1\nwarm_settle_ms = 100\n{more}\n");
    game(run, folders, &text, |_| {})
}

fn game(
    run: &Path,
    folders: &Path,
    text: &str,
    change: impl FnOnce(&mut confine::Config),
) -> Option<GameApp> {
    let folder = folders.join("game");
    fs::create_dir(&folder).unwrap();
    let head = "title = \"A game\"\nsummary = \"-\"\ngenre = \"puzzle\"\nlicence = \"-\"\n";
    fs::write(folder.join("game.toml"), format!("{head}{text}")).unwrap();
    for path in [run, folders, &folder] {
        open_to_all(path);
    }
    let (mut entries, refused) = host::catalogue::read(&[folders.to_owned()]);
    assert_eq!(refused, []);
    // Tests lie in a folder of their own beside the programs.
    let init = std::env::current_exe().unwrap().parent().unwrap().with_file_name("nearlight-init");
    // Tests run side by side.
    static FOUND: AtomicU64 = AtomicU64::new(0);
    let number = FOUND.fetch_add(1, Ordering::Relaxed) as u32;
    let first = 1_500_000_000 + std::process::id() % 400_000 * 1_024 + number * 16;
    let mut config = confine::Config {
        run: run.to_owned(),
        bwrap: None,
        display: None,
        xorg: None,
        passt: None,
        gpu: Vec::new(),
        init: Some(init),
        users: first..first + 16,
        limits: true,
        devices: None,
        secrets: Vec::new(),
    };
    change(&mut config);
    match confine::Bubblewrap::find(&config) {
        Ok(found) => Some(GameApp {
            entry: Arc::new(entries.remove(0)),
            host: Ok(Arc::new(found)),
            saves: None,
            shares: None,
            measured: Arc::default(),
            needs_devices: false,
            convert: None,
        }),
        Err(missing) => {
            let must = std::env::var_os("NEARLIGHT_HOST").is_some_and(|value| value == "1");
            assert!(!must, "NEARLIGHT_HOST is set, and {missing}");
            println!("left out: {missing}");
            None
        }
    }
}

/// Folders of sandboxes, one below the node's own.
fn sandboxes(run: &Path) -> usize {
    let folders = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let own = folders(run).filter(|each| each.path().is_dir());
    own.map(|mark| folders(&mark.path()).filter(|each| each.path().is_dir()).count()).sum()
}

#[test]
fn what_is_played_with_several_fingers_is_refused_where_xorg_is_missing() {
    for (touch, needs) in [("single", false), ("multi", true)] {
        let (run, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text = format!("command = \"/bin/true\"\ntouch = {touch:?}\n");
        let without =
            |config: &mut confine::Config| config.xorg = Some(folders.path().join("none"));
        let Some(app) = game(run.path(), folders.path(), &text, without) else { return };
        let why = app.info().unavailable;
        let told = why.as_ref().is_some_and(|why| why.ends_with("install xserver-xorg-core"));
        assert_eq!((why.is_some(), told), (needs, needs), "{why:?}");
    }
}

#[test]
fn memory_of_graphics_devices_counts_where_games_have_any() {
    let text = "command = \"/bin/true\"\ndevices = [\"gpu\"]\n[limits]\ngpu_memory_mib = 512\n";
    for (nodes, mib) in [(Vec::new(), 0), (vec![PathBuf::from("/dev/null")], 512)] {
        let (run, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let with = |config: &mut confine::Config| config.gpu = nodes;
        let Some(app) = game(run.path(), folders.path(), text, with) else { return };
        let played = App::needs(&app, VIDEO).unwrap().graphics_memory;
        let ahead = Ahead::needs(&app).graphics_memory;
        assert_eq!([played, ahead], [ByteSize(mib << 20); 2]);
        // No driver tells of a device that is none.
        assert_eq!(App::graphics_memory(&app), None);
    }
}

#[test]
fn a_game_that_is_stopped_while_it_starts_is_gone_with_its_thread() {
    let (run, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(app) = silent(run.path(), folders.path()) else { return };
    let (reports, said) = mpsc::channel();
    let clock = Arc::new(MonotonicClock::new());
    let thread = SourceThread::start(
        "src-silent".into(),
        Opening::of(Arc::new(app)),
        VIDEO,
        clock,
        Listener(reports),
    )
    .unwrap();
    // Until its sandbox is there: it then waits for the display, which takes longer than any stop may.
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while sandboxes(run.path()) == 0 {
        assert!(said.try_recv().is_err(), "it was to start for long");
        assert!(std::time::Instant::now() < until, "no sandbox");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(thread.stop(), "it ended in time");
    assert_eq!(sandboxes(run.path()), 0, "nothing is left behind");
    let last = said.try_recv();
    assert!(matches!(last, Ok(SourceReport::OpenFailed(OpenError::Cancelled))));
}

#[test]
fn nothing_is_shown_before_a_game_has_drawn_or_took_too_long() {
    let (ms, limit) = (MediaTime::from_millis, MediaTime::from_millis(6_000));
    let mut drawn = Drawn::Not(limit);
    // The first picture is all new, and the display's own.
    assert!(!drawn.shows(ms(1), true));
    assert!(!drawn.shows(ms(2), false), "somebody wants a picture of what stands still");
    assert!(!drawn.is_overdue(ms(5_999)));
    let [mut slow, mut smaller] = [drawn; 2];
    // That of another size is new, too.
    smaller.is_shown_anew();
    assert!(!smaller.shows(ms(3), true) && smaller.shows(ms(4), true));
    assert!(drawn.shows(ms(3), true));
    drawn.is_shown_anew();
    assert!(drawn.shows(ms(4), false) && !drawn.is_overdue(ms(9_000)));
    assert!(slow.is_overdue(limit));
    assert!(slow.shows(limit, false) && !slow.is_overdue(limit));
    assert!(Drawn::Not(limit).shows(limit, true));
}

/// The first picture of what is played.
fn first_picture(running: &mut Running) -> media::Frame {
    picture(running, false)
}

/// A picture of what is played; with `refresh` also one of what stands still.
fn picture(running: &mut Running, refresh: bool) -> media::Frame {
    let until = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        assert!(std::time::Instant::now() < until, "no picture");
        let (id, at, within, views) =
            (media::FrameId(1), MediaTime::ZERO, Duration::from_millis(50), &[]);
        let (share, kind) = (false, media::PictureKind::NV12);
        let request = media::FrameRequest { id, at, within, views, refresh, share, kind };
        if let media::SourceEvent::Frame(mut frame) = running.source.next(&request).unwrap() {
            let clock = MonotonicClock::new();
            frame.image.finish(&clock, &mut frame.stages).unwrap();
            return frame;
        }
    }
}

#[test]
fn a_game_that_was_started_ahead_goes_on_for_its_player_and_leaves_nothing_behind() {
    let (run, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(app) = terminal(run.path(), folders.path(), "") else { return };
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
    let (ahead, cancel) = (app.ahead().unwrap(), CancellationToken::new());
    assert_eq!((ahead.wanted(), ahead.needs().memory > ByteSize(1 << 30)), (1, true));
    let cycles = std::env::var("NEARLIGHT_CYCLES").map_or(6, |number| number.parse().unwrap());
    for cycle in 0..cycles {
        let prepared = ahead.prepare(None, &clock, &cancel).unwrap();
        assert!(!prepared.is_over());
        assert_eq!(sandboxes(run.path()), 1);
        let larger = VideoMode { size: Size::new(1_024, 600), ..VIDEO };
        assert_eq!(prepared.fits(larger), Ok(()));
        match cycle % 3 {
            0 => {
                // It follows its player's size, and its picture is there at once.
                let start = Start::default();
                let mut running = prepared.open(larger, clock.clone(), &start).unwrap();
                let frame = first_picture(&mut running);
                let image = frame.image.map().unwrap();
                assert_eq!(image.size, larger.size);
                // Orange, and not the black of an empty display.
                let luma = &image.planes[0];
                assert!(luma.data[luma.stride * 300 + 500] > 100);
            }
            1 => {
                prepared.kill();
                let until = std::time::Instant::now() + Duration::from_secs(60);
                while !prepared.is_over() {
                    assert!(std::time::Instant::now() < until, "it is still there");
                    std::thread::sleep(Duration::from_millis(5));
                }
                let start = Start::default();
                assert!(matches!(
                    prepared.open(VIDEO, clock.clone(), &start),
                    Err(OpenError::Content(_))
                ));
            }
            _ => drop(prepared),
        }
        let until = std::time::Instant::now() + Duration::from_secs(60);
        while sandboxes(run.path()) > 0 {
            assert!(std::time::Instant::now() < until, "it stays after cycle {cycle}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    cancel.cancel();
    assert!(ahead.prepare(None, &clock, &cancel).is_err());
    assert_eq!(sandboxes(run.path()), 0);
}

/// Asks for a screen of this size, as a game could by itself; the size of the pictures that follow, once it is `most` and
/// stays so.
fn grown(running: &mut Running, size: Size, most: Size) -> Size {
    first_picture(running);
    running.source.set_screen(size, VideoMode::DPI);
    // What comes of it comes with the next request, or is held back for a quarter of a second.
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while running.source.info().size != most && std::time::Instant::now() < until {
        picture(running, true);
    }
    for _ in 0..20 {
        picture(running, true);
    }
    running.source.info().size
}

/// Books that have room for so many pixels.
struct Room(u64);

impl Books for Room {
    fn change(&self, booking: &Booking, size: Size) -> Result<(), Refusal> {
        if size.pixels() > self.0 {
            return Err(Refusal::PixelRate { asked: size.pixels(), left: self.0 });
        }
        booking.note(size);
        Ok(())
    }
}

#[test]
fn a_game_has_no_larger_screen_than_is_booked_for_it() {
    let (run, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(app) = terminal(run.path(), folders.path(), "") else { return };
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
    let larger = Size::new(1_024, 600);
    let may_grow = |room: Size| {
        let booking = Booking::new(VIDEO.size, larger, Room(room.pixels()));
        Start { booking: Some(booking), ..Start::default() }
    };
    let (open, full) = (may_grow(larger), may_grow(VIDEO.size));
    let prepare = || app.ahead().unwrap().prepare(Some(VIDEO), &clock, &CancellationToken::new());
    // One that keeps its size, whether it is started for its player or was before; one that may grow, and one for which the
    // node has no room.
    let sessions = [(Start::default(), VIDEO.size), (open, larger), (full, VIDEO.size)];
    for (start, most) in sessions {
        let mut cold = app.open(VIDEO, clock.clone(), &start).unwrap();
        assert_eq!(grown(&mut cold, larger, most), most);
        if let Some(booking) = &start.booking {
            assert_eq!(booking.booked(), most, "as much as is captured");
            // The next one begins as this one did.
            booking.note(VIDEO.size);
        }
        drop(cold);
        let mut warm = prepare().unwrap().open(VIDEO, clock.clone(), &start).unwrap();
        assert_eq!(grown(&mut warm, larger, most), most);
    }
}

#[test]
fn games_are_shown_no_larger_and_no_oftener_than_the_node_shows_anything() {
    let folders = tempfile::tempdir().unwrap();
    let folder = folders.path().join("game");
    fs::create_dir(&folder).unwrap();
    let text = "title = \"A game\"\nsummary = \"-\"\ngenre = \"puzzle\"\nlicence = \"-\"\n\
                command = \"true\"\n[display]\nmax_width = 2560\nmax_height = 720\n\
                integer_motion = true\n";
    fs::write(folder.join("game.toml"), text).unwrap();
    let mut config = Config::default();
    config.games.folders = vec![folders.path().to_owned()];
    config.games.run = folders.path().join("run");
    config.server.state_dir = folders.path().join("state");
    (config.video.max_edge, config.video.max_fps) = (1_001, 40);
    let apps = apps(&config);
    let (largest, rate) = (Size::new(1_000, 720), FrameRate::fps(40));
    assert_eq!(apps[0].info().screen.map(|screen| screen.largest), Some(largest));
    // Of 1280x720 and 60 a second.
    let usual = VideoMode { size: largest, rate, dpi: VideoMode::DPI };
    assert_eq!(apps[0].usual(), Some(usual));
    assert!(apps[0].integer_motion(), "as its entry says");
}

#[test]
fn a_game_is_played_with_the_pictures_that_it_was_started_for_where_it_cannot_follow() {
    let (run, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let more = "environment = { RATE = \"{fps}\" }\n[display]\nresize = false";
    let Some(app) = terminal(run.path(), folders.path(), more) else { return };
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
    let prepared = app.ahead().unwrap().prepare(Some(VIDEO), &clock, &CancellationToken::new());
    let prepared = prepared.unwrap();
    assert_eq!(prepared.fits(VIDEO), Ok(()));
    assert_eq!(prepared.fits(VideoMode { dpi: 120, ..VIDEO }), Ok(()));
    assert_eq!(prepared.fits(VideoMode { size: Size::new(640, 362), ..VIDEO }), Err("size"));
    assert_eq!(prepared.fits(VideoMode { rate: FrameRate::fps(30), ..VIDEO }), Err("rate"));
    // Or where it can, in the shape that it began with.
    let (run, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let more = "[display]\nresize = \"same-shape\"";
    let Some(app) = terminal(run.path(), folders.path(), more) else { return };
    let prepared = app.ahead().unwrap().prepare(Some(VIDEO), &clock, &CancellationToken::new());
    let prepared = prepared.unwrap();
    let Size { width, height } = VIDEO.size;
    let sized =
        |width, height| prepared.fits(VideoMode { size: Size::new(width, height), ..VIDEO });
    assert_eq!([sized(width, height), sized(width * 3 / 2, height * 3 / 2)], [Ok(()); 2]);
    assert_eq!(sized(width * 3 / 2, height), Err("size"));
}

#[test]
fn a_game_says_whether_its_player_points_or_looks_around() {
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
    for (more, points) in [("", true), ("[display]\npointer = \"relative\"", false)] {
        let (run, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let Some(app) = terminal(run.path(), folders.path(), more) else { return };
        let cold = app.open(VIDEO, clock.clone(), &Start::default()).unwrap();
        assert_eq!(cold.input.support().prefers_absolute, points);
    }
}
