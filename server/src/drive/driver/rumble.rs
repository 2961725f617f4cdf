//! What the game makes gamepads do, on its way to whose they are.

use media::{MOST_PADS, Pad};
use session::hands::PLAYER;
use tokio::sync::watch;

use super::Driver;
use crate::apps::Rumbles;
use crate::wire;

/// What was told of it.
pub(super) struct Rumble {
    wanted: watch::Receiver<Rumbles>,
    told: [u64; MOST_PADS],
}

impl Rumble {
    pub(super) fn new(wanted: watch::Receiver<Rumbles>) -> Self {
        Self { wanted, told: [0; MOST_PADS] }
    }

    /// Waits until something is to be told; without end where nothing ever is.
    pub(super) async fn news(rumble: &mut Option<Self>) {
        if let Some(it) = rumble
            && it.wanted.changed().await.is_ok()
        {
            return;
        }
        // The game is gone, or has no gamepads.
        std::future::pending::<()>().await;
    }
}

/// A gamepad of a client, by its own number, is to do this.
pub(in crate::drive) fn message(pad: Pad, rumble: media::Rumble) -> wire::ServerMessage {
    wire::ServerMessage::Rumble {
        pad: pad.number(),
        strong: rumble.strong,
        weak: rumble.weak,
        ms: rumble.length_ms,
    }
}

impl Driver {
    /// Tells everybody what their gamepads are to do.
    pub(super) fn rumble(&mut self) {
        let Some(Rumble { wanted, told }) = &mut self.rumble else { return };
        let wanted = *wanted.borrow_and_update();
        let mut messages = Vec::new();
        for ((pad, (number, rumble)), told) in Pad::ALL.into_iter().zip(wanted).zip(told) {
            if std::mem::replace(told, number) == number {
                continue;
            }
            match self.hands.holder(pad) {
                Some((PLAYER, theirs)) => messages.push(message(theirs, rumble)),
                Some((who, theirs)) => self.audience.shake(pad, who, theirs, rumble),
                None => {}
            }
        }
        for message in &messages {
            self.say(message);
        }
    }
}
