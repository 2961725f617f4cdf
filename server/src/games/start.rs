//! How a game starts: for its player, or ahead of one.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use host::catalogue::{Entry, KeyboardMode, PointerMode, Values};
use host::confine::{Phase, Program, command};
use host::display::{Driver as _, Most, Screen, X11};
use host::saves::State;
use host::sound::SoundServer;
use host::{Game, Host};
use media::{Clock, Convert, Layout, Size, VoiceSink};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::gamepads::{self, GameInput, Taken};
use super::source::{Drawn, GameSource, UNDRAWN};
use super::{ENTRY, Hosted, listens, program, spec};
use crate::apps::{PadWishes, Running, Start, Told, VideoMode};
use crate::booking::Booking;
use crate::meter::Meter;
use crate::saves::Keep;
use crate::sharing::Share;
use crate::wire::StartStep;

/// A start that waits looks so often whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// What a game is started with beside its entry, and who wants it.
pub(super) struct Wanted<'a> {
    pub(super) entry: &'a Entry,
    pub(super) host: &'a dyn Host,
    pub(super) video: VideoMode,
    /// The largest that its screen can become.
    pub(super) largest: Size,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) cancel: &'a CancellationToken,
}

/// A sandbox with a display, in which all is ready for the game's program.
pub(super) struct Begun {
    pub(super) hosted: Arc<Hosted>,
    pub(super) display: Box<dyn Screen>,
    pub(super) written: Written,
    sound: SoundServer,
    taken: Taken,
    rumble: Option<watch::Receiver<PadWishes>>,
    /// What the entry says of its input and its microphone.
    prefers_text: bool,
    prefers_absolute: bool,
    listens: bool,
}

/// What an entry becomes for pictures of one size and rate.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    pub(super) program: Program,
    /// In the order of the entry.
    files: Vec<Vec<u8>>,
}

impl Written {
    /// # Errors
    /// When its program is gone.
    pub(super) fn new(entry: &Entry, video: VideoMode) -> Result<Self, String> {
        let (size, rate) = (video.size, video.rate);
        let values = Values { size, rate, home: command::HOME, entry: ENTRY };
        let files = entry.files.iter().map(|file| file.contents.bytes(&values)).collect();
        Ok(Self { program: program(entry, &values)?, files })
    }
}

/// Makes the sandbox with its display and what is around it, and fills the home: with the entry's files, and then by
/// `restore`. What came of that comes, too.
///
/// # Errors
/// What is missing or fails, for people.
pub(super) fn begin<T>(
    wanted: &Wanted<'_>,
    step: impl Fn(StartStep),
    restore: impl FnOnce(BorrowedFd<'_>) -> Result<T, String>,
) -> Result<(Begun, T), String> {
    let Wanted { entry, host, video, largest, clock, cancel } = *wanted;
    if let Some(missing) = entry.missing() {
        return Err(missing.to_string());
    }
    if let Some(why) = entry.unfit() {
        return Err(why);
    }
    let most = entry.display.max_size;
    if video.size.width > most.width || video.size.height > most.height {
        let (width, height) = (most.width, most.height);
        return Err(format!("{} is shown at {width}x{height} at most", entry.title));
    }
    let spec = spec(entry, host, largest);
    step(StartStep::Sandbox);
    let game = host.start(&spec, Box::new(|_| {})).map_err(|refused| refused.to_string())?;
    let hosted = Hosted::new(game);
    let game = hosted.game();
    let name: String = format!("pulse-{}", spec.id).chars().take(15).collect();
    let sound = SoundServer::listen(&name, &game.sound_folder().join("native"), clock.clone())
        .map_err(|error| format!("no sound: {error}"))?;
    let (taken, rumble) = gamepads::open(&spec, entry, host, &hosted)?;
    let limit = spec.patience.open + spec.patience.display;
    step(StartStep::Display);
    match wait(game, limit, cancel, |phase| matches!(phase, Phase::Waiting | Phase::Ended(_))) {
        Phase::Waiting => {}
        Phase::Ended(end) => return Err(end.how.to_string()),
        phase => return Err(format!("the display did not start in time: {phase:?}")),
    }
    step(StartStep::Game);
    let home = game.home().ok_or("the sandbox has no home")?;
    let written = Written::new(entry, video)?;
    let files = entry.files.iter().zip(&written.files);
    let files: Vec<_> = files.map(|(file, bytes)| (&file.path, bytes.clone())).collect();
    host::home::put(home.as_fd(), &files).map_err(|error| error.to_string())?;
    // What the player saved wins over what the entry brings.
    let restored = restore(home.as_fd())?;
    let mut display = X11.open(game).map_err(|error| error.to_string())?;
    display.set_rate(video.rate);
    display.set_size(video.size, video.dpi).map_err(|error| error.to_string())?;
    let begun = Begun {
        hosted,
        display,
        written,
        sound,
        taken,
        rumble,
        prefers_text: entry.keyboard == KeyboardMode::Text,
        prefers_absolute: entry.display.pointer == PointerMode::Absolute,
        listens: listens(entry),
    };
    Ok((begun, restored))
}

/// How a game comes to its player.
pub(super) struct Played<'a> {
    pub(super) video: VideoMode,
    /// What its screen is booked for; none where it keeps the size of its pictures.
    pub(super) booking: Option<Arc<Booking>>,
    /// How many channels its sound may have.
    pub(super) layout: Layout,
    pub(super) clock: &'a Arc<dyn Clock>,
    /// What is kept of it, with what lay at its paths when it began.
    pub(super) keep: Option<(Arc<Keep>, State)>,
    /// What is shared of it.
    pub(super) share: Option<Arc<Share>>,
    /// Who is told that it is over.
    pub(super) told: Arc<Told>,
    pub(super) drawn: Drawn,
    pub(super) meter: Meter,
    /// What converts its pictures, where the processor does not.
    pub(super) convert: Option<Box<dyn Convert>>,
}

/// Joins a game to its session. `launch` is called when everything is there that a game needs.
///
/// # Errors
/// What fails, for people.
pub(super) fn play(
    begun: Begun,
    played: Played<'_>,
    launch: impl FnOnce(&dyn Game, Program),
) -> Result<Running, String> {
    let Begun {
        hosted,
        mut display,
        written,
        sound,
        taken,
        rumble,
        prefers_text,
        prefers_absolute,
        listens,
    } = begun;
    let Played { video, booking, layout, clock, keep, share, told, drawn, meter, convert } = played;
    // Many games look only once.
    sound.set_layout(layout);
    // What was started ahead may have room for more.
    display.set_most(most(booking.clone(), video.size));
    let inner = display.source(video.rate, clock.clone(), convert);
    let inner = inner.map_err(|error| error.to_string())?;
    let input = display.input(clock.now()).map_err(|error| error.to_string())?;
    let input = GameInput { display: input, taken, prefers_text, prefers_absolute };
    let keep = keep.map(|(keep, state)| {
        keep.begin(&hosted, state);
        keep
    });
    hosted.watch(keep.clone(), told).map_err(|error| {
        if let Some(keep) = &keep {
            keep.over();
        }
        format!("no thread for the end of the game: {error}")
    })?;
    if let Some(share) = &share {
        share.begin(&hosted, &*display);
    }
    launch(hosted.game(), written.program);
    let sounds = sound.source();
    let voice = listens.then(|| Arc::new(sound.microphone()) as Arc<dyn VoiceSink>);
    Ok(Running {
        source: Box::new(GameSource {
            inner,
            drawn,
            screen: None,
            hosted,
            keep,
            share,
            display,
            booking,
            sound: Some(sound),
            meter,
        }),
        input: Box::new(input),
        sound: Some(Box::new(sounds)),
        rumble,
        voice,
    })
}

/// Starts a game for its player.
///
/// # Errors
/// What is missing or fails, for people.
pub(super) fn start(
    entry: &Entry,
    host: &dyn Host,
    video: VideoMode,
    clock: &Arc<dyn Clock>,
    start: &Start,
    meter: Meter,
    convert: Option<Box<dyn Convert>>,
) -> Result<Running, String> {
    let step = |step| {
        start.step.send_replace(Some(step));
    };
    let largest = start.booking.as_ref().map_or(video.size, |booking| booking.bounds().largest);
    let wanted = Wanted { entry, host, video, largest, clock, cancel: &start.cancel };
    let restore = |home: BorrowedFd<'_>| {
        let restored = |keep: &Arc<Keep>| Ok((keep.clone(), keep.restore(home, &start.cancel)?));
        start.keep.as_ref().map(restored).transpose()
    };
    let (begun, keep) = begin(&wanted, step, restore)?;
    let drawn = Drawn::Not(clock.now() + UNDRAWN);
    _ = start.told.attempts.set(begun.hosted.game().attempts().clone());
    let (share, told) = (start.share.clone(), start.told.clone());
    let (layout, booking) = (start.layout, start.booking.clone());
    let played = Played { video, booking, layout, clock, keep, share, told, drawn, meter, convert };
    play(begun, played, |game, program| {
        game.launch(program);
        step(StartStep::Picture);
    })
}

/// What is shown of the screen of a game whose pictures began with this size.
fn most(booking: Option<Arc<Booking>>, begins: Size) -> Most {
    Arc::new(move |size: Size| match &booking {
        Some(booking) => booking.screen(size),
        None => begins,
    })
}

/// Waits until the phase is one that `is_wanted`, until the time is over, or until nobody wants it any more;
/// the phase then.
pub(super) fn wait(
    game: &dyn Game,
    limit: Duration,
    cancel: &CancellationToken,
    is_wanted: impl Fn(&Phase) -> bool,
) -> Phase {
    let mut left = limit;
    loop {
        let phase = game.wait_until(left.min(LOOK), &is_wanted);
        left = left.saturating_sub(LOOK);
        if is_wanted(&phase) || left.is_zero() || cancel.is_cancelled() {
            return phase;
        }
    }
}
