//! What the game makes gamepads do, on its way to whose they are.

use media::{Pad, PadEffects, Rumble};
use session::hands::PLAYER;
use tokio::sync::watch;

use super::Driver;
use crate::apps::{PadWish, PadWishes};
use crate::wire;

/// What was told of it.
pub(super) struct Wishes {
    wanted: watch::Receiver<PadWishes>,
    told: PadWishes,
}

impl Wishes {
    pub(super) fn new(wanted: watch::Receiver<PadWishes>) -> Self {
        Self { wanted, told: PadWishes::default() }
    }

    /// Waits until something is to be told; without end where nothing ever is.
    pub(super) async fn news(wishes: &mut Option<Self>) {
        if let Some(it) = wishes
            && it.wanted.changed().await.is_ok()
        {
            return;
        }
        // The game is gone, or has no gamepads.
        std::future::pending::<()>().await;
    }
}

/// What a gamepad of a client, `pad` by its own number, is to be told that it was not told yet.
pub(in crate::drive) fn messages(
    pad: Pad,
    wish: &PadWish,
    told: &PadWish,
) -> impl Iterator<Item = wire::ServerMessage> {
    let (number, Rumble { strong, weak, length_ms }) = wish.rumble;
    let pad = pad.number();
    let rumble = wire::ServerMessage::Rumble { pad, strong, weak, ms: length_ms };
    let rumble = (number != told.rumble.0).then_some(rumble);
    let (number, PadEffects { light, players, left, right }) = wish.effects;
    let effects =
        wire::ServerMessage::PadEffects(wire::PadEffects { pad, light, players, left, right });
    rumble.into_iter().chain((number != told.effects.0).then_some(effects))
}

impl Driver {
    /// Tells everybody what their gamepads are to do.
    pub(super) fn rumble(&mut self) {
        let Some(Wishes { wanted, told }) = &mut self.rumble else { return };
        let wanted = *wanted.borrow_and_update();
        let told = std::mem::replace(told, wanted);
        let mut news = Vec::new();
        for (pad, (wish, told)) in Pad::ALL.into_iter().zip(wanted.iter().zip(&told)) {
            match self.hands.holder(pad) {
                Some((PLAYER, theirs)) => news.extend(messages(theirs, wish, told)),
                Some((who, theirs)) => self.audience.shake(pad, who, theirs, *wish),
                None => {}
            }
        }
        for message in &news {
            self.say(message);
        }
    }
}
