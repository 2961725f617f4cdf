//! What a player does, on its way to a game's display, gamepads and pen.

use std::time::Duration;

use host::Host;
use host::confine::{Input, Spec};
use host::devices::{Asked, DeviceServer, DeviceSink};
use host::gamepads::{GamepadServer, GamepadSink};
use media::{
    InputEvent, InputSink, InputSupport, MediaTime, Pad, PadState, PadsAs, Plug, SequencedInput,
    TakenAs,
};
use tokio::sync::watch;

use super::{Entry, Hosted};
use crate::apps::PadWishes;

/// Gamepads of a game, of which the first ones are there whatever the player has, and its pen.
pub(super) struct Gamepads {
    to: To,
    fixed: u8,
}

/// What they are to the game.
enum To {
    /// Sockets that a library in the game makes devices of.
    Sockets(GamepadSink),
    Devices(DeviceSink),
}

/// What makes them, for as long as there is a sandbox.
pub(super) enum PadServer {
    Sockets { _server: GamepadServer },
    Devices { _server: DeviceServer },
}

/// What there is of them, and what is to be known of it.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) gamepads: Option<Gamepads>,
    /// Motion and touchpads are taken.
    pad_extras: bool,
    /// Why the kernel makes none, where the game makes use of any.
    no_devices: Option<String>,
}

/// Where what the player does goes, and what the game makes of it.
pub(super) type Opened = (Taken, Option<watch::Receiver<PadWishes>>);

/// The gamepads and the pen of a game that makes use of them, until it is over. None where the node has nothing to make them
/// by: it can be played without.
///
/// # Errors
/// When the system has no room for them.
pub(super) fn open(
    spec: &Spec,
    entry: &Entry,
    host: &dyn Host,
    hosted: &Hosted,
) -> Result<Opened, String> {
    if !super::plays_by_devices(entry) {
        return Ok((Taken::default(), None));
    }
    let (wishes, wished) = watch::channel(PadWishes::default());
    let name: String = format!("pads-{}", spec.id).chars().take(15).collect();
    let found = &host.offers().devices;
    let mut taken = Taken { no_devices: found.as_ref().err().cloned(), ..Taken::default() };
    let (server, to) = match spec.input {
        Input::None => {
            // It wants a pen, which nothing else makes, or gamepads, and there is no library.
            let reason = host.offers().joystick.as_ref().err();
            tracing::warn!(?reason, "the game has no gamepads");
            return Ok((taken, None));
        }
        Input::Sockets => {
            let tell = move |pad: Pad, rumble| wish(&wishes, pad, Asked::Rumble(rumble));
            let folder = hosted.game().input_folder();
            let server = GamepadServer::open(&name, &folder, Box::new(tell))
                .map_err(|error| format!("no gamepads: {error}"))?;
            let to = To::Sockets(server.sink());
            (PadServer::Sockets { _server: server }, to)
        }
        Input::Devices => {
            let (kernel, folder) = (host.devices(), hosted.game().devices());
            let (kernel, folder) = kernel.zip(folder).ok_or("the sandbox has no devices")?;
            let tell = move |pad: Pad, asked| wish(&wishes, pad, asked);
            let pen = super::draws(entry);
            let server =
                DeviceServer::open(&name, kernel.clone(), folder.clone(), pen, Box::new(tell))
                    .map_err(|error| format!("no gamepads: {error}"))?;
            let to = To::Devices(server.sink());
            taken.pad_extras = found.as_ref().is_ok_and(|found| found.dualsense.is_ok());
            (PadServer::Devices { _server: server }, to)
        }
    };
    let gamepads = Gamepads { to, fixed: entry.gamepads };
    for pad in Pad::ALL.into_iter().filter(|pad| gamepads.is_fixed(*pad)) {
        gamepads.plug(pad, Plug::Standard);
    }
    hosted.keep_gamepads(server);
    taken.gamepads = Some(gamepads);
    Ok((taken, Some(wished)))
}

fn wish(wishes: &watch::Sender<PadWishes>, pad: Pad, asked: Asked) {
    wishes.send_modify(|wishes| {
        let wish = &mut wishes[pad.index()];
        match asked {
            Asked::Rumble(rumble) => wish.rumble = (wish.rumble.0 + 1, rumble),
            Asked::Effects(effects) => {
                wish.effects = (wish.effects.0 + 1, wish.effects.1.with(effects));
            }
        }
    });
}

impl Gamepads {
    fn is_fixed(&self, pad: Pad) -> bool {
        pad.number() < self.fixed
    }

    fn plug(&self, pad: Pad, plug: Plug) {
        match &self.to {
            To::Sockets(sink) => sink.plug(pad, plug != Plug::Out),
            To::Devices(sink) => sink.plug(pad, plug),
        }
    }

    fn set(&self, pad: Pad, state: &PadState) {
        match &self.to {
            To::Sockets(sink) => sink.set(pad, state),
            To::Devices(sink) => sink.set(pad, state),
        }
    }

    fn release_all(&self) {
        match &self.to {
            To::Sockets(sink) => sink.release_all(),
            To::Devices(sink) => sink.release_all(),
        }
    }

    fn has_pen(&self) -> bool {
        matches!(&self.to, To::Devices(sink) if sink.has_pen())
    }

    fn take(&self, event: &InputEvent) {
        match (event, &self.to) {
            (InputEvent::Gamepad { pad, state }, _) => self.set(*pad, state),
            (InputEvent::GamepadPlugged { pad, .. }, _) if self.is_fixed(*pad) => {
                self.set(*pad, &PadState::default());
            }
            (InputEvent::GamepadPlugged { pad, plugged }, _) => self.plug(*pad, *plugged),
            (InputEvent::ReleaseAll, _) => self.release_all(),
            (InputEvent::PadMotion { pad, motion }, To::Devices(sink)) => sink.moves(*pad, motion),
            (InputEvent::PadTouch { pad, touch }, To::Devices(sink)) => sink.touches(*pad, touch),
            (InputEvent::Pen(pen), To::Devices(sink)) => sink.draw(pen),
            _ => {}
        }
    }
}

/// See the module.
pub(super) struct GameInput {
    pub(super) display: Box<dyn InputSink>,
    pub(super) taken: Taken,
    /// The entry says both.
    pub(super) prefers_text: bool,
    pub(super) prefers_absolute: bool,
}

impl InputSink for GameInput {
    fn inject(&mut self, input: &SequencedInput, at: MediaTime) {
        if let Some(gamepads) = &self.taken.gamepads {
            gamepads.take(&input.event);
        }
        self.display.inject(input, at);
    }

    fn release_all(&mut self, at: MediaTime) {
        if let Some(gamepads) = &self.taken.gamepads {
            gamepads.release_all();
        }
        self.display.release_all(at);
    }

    fn catch_up(&mut self, now: MediaTime) -> Option<MediaTime> {
        self.display.catch_up(now)
    }

    fn support(&self) -> InputSupport {
        let Taken { gamepads, pad_extras, no_devices } = &self.taken;
        let display = self.display.support();
        let has_pen = gamepads.as_ref().is_some_and(Gamepads::has_pen);
        InputSupport {
            prefers_text: self.prefers_text,
            prefers_absolute: self.prefers_absolute,
            pad_extras: *pad_extras,
            pen: if has_pen { TakenAs::Itself } else { display.pen },
            pads: match gamepads {
                None => PadsAs::Nothing,
                Some(Gamepads { to: To::Sockets(_), .. }) => PadsAs::Library,
                Some(Gamepads { to: To::Devices(_), .. }) => PadsAs::Devices,
            },
            no_devices: no_devices.clone(),
            ..display
        }
    }

    fn idle_for(&self, now: MediaTime) -> Duration {
        self.display.idle_for(now)
    }
}
