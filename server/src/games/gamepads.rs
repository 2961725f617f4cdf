//! What a player does, on its way to a game's display and gamepads.

use std::time::Duration;

use host::confine::{Confinement, Spec};
use host::display::XInput;
use host::gamepads::{GamepadServer, GamepadSink};
use media::{InputEvent, InputSink, InputSupport, MediaTime, Pad, PadState, SequencedInput};
use tokio::sync::watch;

use super::Hosted;
use crate::apps::Rumbles;

/// Gamepads of a game, of which the first ones are there whatever the player has.
pub(super) struct Gamepads {
    sink: GamepadSink,
    fixed: u8,
}

/// Where what the player does goes, and what the game makes of it.
pub(super) type Opened = (Gamepads, watch::Receiver<Rumbles>);

/// The gamepads of a game that makes use of them, until it is over. None where the node has nothing to make them by:
/// it can be played without.
///
/// # Errors
/// When the system has no room for them.
pub(super) fn open(
    spec: &Spec,
    fixed: u8,
    confinement: &Confinement,
    hosted: &Hosted,
) -> Result<Option<Opened>, String> {
    if !spec.gamepads {
        return Ok(None);
    }
    if let Err(reason) = &confinement.found().joystick {
        tracing::warn!(reason, "the game has no gamepads");
        return Ok(None);
    }
    let (rumbles, rumble) = watch::channel(Rumbles::default());
    let tell = move |pad: Pad, rumble| {
        rumbles.send_modify(|rumbles| {
            let (number, newest) = &mut rumbles[pad.index()];
            (*number, *newest) = (*number + 1, rumble);
        });
    };
    let name: String = format!("pads-{}", spec.id).chars().take(15).collect();
    let server = GamepadServer::open(&name, &hosted.sandbox().input_folder(), Box::new(tell))
        .map_err(|error| format!("no gamepads: {error}"))?;
    let gamepads = Gamepads { sink: server.sink(), fixed };
    for pad in Pad::ALL.into_iter().filter(|pad| gamepads.is_fixed(*pad)) {
        gamepads.sink.plug(pad, true);
    }
    hosted.keep_gamepads(server);
    Ok(Some((gamepads, rumble)))
}

impl Gamepads {
    fn is_fixed(&self, pad: Pad) -> bool {
        pad.number() < self.fixed
    }

    fn take(&self, event: &InputEvent) {
        match event {
            InputEvent::Gamepad { pad, state } => self.sink.set(*pad, state),
            InputEvent::GamepadPlugged { pad, .. } if self.is_fixed(*pad) => {
                self.sink.set(*pad, &PadState::default());
            }
            InputEvent::GamepadPlugged { pad, plugged } => self.sink.plug(*pad, *plugged),
            InputEvent::ReleaseAll => self.sink.release_all(),
            _ => {}
        }
    }
}

/// See the module.
pub(super) struct GameInput {
    pub(super) display: XInput,
    pub(super) gamepads: Option<Gamepads>,
    /// The entry says so.
    pub(super) prefers_text: bool,
}

impl InputSink for GameInput {
    fn inject(&mut self, input: &SequencedInput, at: MediaTime) {
        if let Some(gamepads) = &self.gamepads {
            gamepads.take(&input.event);
        }
        self.display.inject(input, at);
    }

    fn release_all(&mut self, at: MediaTime) {
        if let Some(gamepads) = &self.gamepads {
            gamepads.sink.release_all();
        }
        self.display.release_all(at);
    }

    fn support(&self) -> InputSupport {
        InputSupport { prefers_text: self.prefers_text, ..self.display.support() }
    }

    fn idle_for(&self, now: MediaTime) -> Duration {
        self.display.idle_for(now)
    }
}
