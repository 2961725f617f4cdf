//! Games that are stopped while they start, in real sandboxes. Left out where there are none, unless `NEARLIGHT_HOST` says
//! that there must be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, mpsc};

use media::FrameRate;

use super::*;
use crate::clock::MonotonicClock;
use crate::drive::{SourceOutput, SourceReport, SourceThread};

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
    let folder = folders.join("silent");
    fs::create_dir(&folder).unwrap();
    let text = "title = \"Silent\"\nsummary = \"-\"\ngenre = \"puzzle\"\nlicence = \"-\"\ncommand = \"/bin/true\"\n";
    fs::write(folder.join("game.toml"), text).unwrap();
    for path in [run, folders, &display, &folder] {
        open_to_all(path);
    }
    let (mut entries, refused) = host::catalogue::read(&[folders.to_owned()]);
    assert_eq!(refused, []);
    // Tests lie in a folder of their own beside the programs.
    let init = std::env::current_exe().unwrap().parent().unwrap().with_file_name("nearlight-init");
    let first = 1_500_000_000 + std::process::id() % 400_000 * 16;
    let found = Confinement::find(&confine::Config {
        run: run.to_owned(),
        bwrap: None,
        display: Some(display),
        init: Some(init),
        users: first..first + 16,
        limits: true,
    });
    match found {
        Ok(found) => {
            let (entry, confinement) = (entries.remove(0), Ok(Arc::new(found)));
            Some(GameApp { entry, confinement, saves: None, measured: Arc::default() })
        }
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
fn a_game_that_is_stopped_while_it_starts_is_gone_with_its_thread() {
    let (run, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(app) = silent(run.path(), folders.path()) else { return };
    let (reports, said) = mpsc::channel();
    let clock = Arc::new(MonotonicClock::new());
    let thread = SourceThread::start(
        "src-silent".into(),
        Arc::new(app),
        VIDEO,
        clock,
        None,
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
    let mut slow = drawn;
    assert!(drawn.shows(ms(3), true));
    assert!(drawn.shows(ms(4), false) && !drawn.is_overdue(ms(9_000)));
    assert!(slow.is_overdue(limit));
    assert!(slow.shows(limit, false) && !slow.is_overdue(limit));
    assert!(Drawn::Not(limit).shows(limit, true));
}
