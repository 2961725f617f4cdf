//! What a player holds is let go of whenever nobody can hold it any more, whatever the page had time to say.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate transport as nearlight_transport;

mod common;
mod player;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{create_with, until};
use media::input::{PointerButton, TouchPhase};
use media::{
    Clock, DataChannel, DeviceId, InputEvent, InputSeq, InputSink, InputSupport, KeyCode,
    MediaTime, Pad, PadButtons, PadState, Pen, PenState, Plug, SequencedInput,
};
use nearlight::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use nearlight::encoders::Probing;
use nearlight::node::Node;
use nearlight::saves::GameSaves;
use nearlight::wire::{EntryKind, KeyboardMode};
use player::client::Client;
use player::{join, said};
use serde_json::{Value, json};
use testkit::PulledPattern;

/// What came to the game, in order; nothing where all was let go of.
type Heard = Arc<Mutex<Vec<Option<InputEvent>>>>;

struct Game(Heard);

impl App for Game {
    fn info(&self) -> AppInfo {
        AppInfo {
            id: "game".into(),
            title: "Game".into(),
            summary: String::new(),
            kind: EntryKind::Game,
            genre: None,
            licence: None,
            keyboard: KeyboardMode::Places,
            has_poster: false,
            controls: Vec::new(),
            screen: None,
            unavailable: None,
        }
    }
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let source = Box::new(PulledPattern::new(video.size, 3, clock));
        let input = Box::new(Hears(self.0.clone()));
        Ok(Running { source, input, sound: None, rumble: None, voice: None })
    }
    fn device(&self) -> Option<DeviceId> {
        None
    }
    fn has_sound(&self) -> bool {
        false
    }
    fn draws_hdr(&self) -> bool {
        false
    }
    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }
    fn draw_poster(&self) -> Option<Vec<u8>> {
        None
    }
}

struct Hears(Heard);

impl InputSink for Hears {
    fn inject(&mut self, input: &SequencedInput, _: MediaTime) {
        let event = Some(&input.event).filter(|event| **event != InputEvent::ReleaseAll);
        self.0.lock().unwrap().push(event.cloned());
    }
    fn release_all(&mut self, _: MediaTime) {
        self.0.lock().unwrap().push(None);
    }
    fn support(&self) -> InputSupport {
        InputSupport::default()
    }
    fn idle_for(&self, _: MediaTime) -> Duration {
        Duration::ZERO
    }
}

/// Something of every kind that can be held.
fn everything() -> [InputEvent; 6] {
    let [pad, ..] = Pad::ALL;
    let buttons = PadButtons::new(PadButtons::SOUTH).unwrap();
    let state = PenState::new(PenState::NEAR | PenState::TIP).unwrap();
    [
        InputEvent::Key { code: KeyCode::W, pressed: true },
        InputEvent::Button { button: PointerButton::Left, pressed: true },
        InputEvent::Touch { finger: 0, phase: TouchPhase::Start, x: 1, y: 2, pressure: 3 },
        InputEvent::Pen(Pen { state, ..Pen::default() }),
        InputEvent::GamepadPlugged { pad, plugged: Plug::Standard },
        InputEvent::Gamepad { pad, state: PadState { buttons, ..PadState::default() } },
    ]
}

/// Holds it all, numbered after `seq`, and waits until the game has it.
async fn holds(client: &mut Client, heard: &Heard, seq: &mut u32) {
    // Then the channels are open.
    said(client, "stats").await;
    heard.lock().unwrap().clear();
    for event in everything() {
        *seq += 1;
        let mut message = Vec::new();
        SequencedInput { seq: InputSeq(*seq), event }.encode(&mut message);
        client.send(DataChannel::Input, &message).await;
    }
    let [.., last] = everything();
    // A session that is suspended for a moment lets go of it again.
    let has = || heard.lock().unwrap().contains(&Some(last.clone()));
    until("what is held", async || has().then_some(())).await;
}

fn wish() -> Value {
    json!({"app": "game", "video": {"width": 64, "height": 64, "fps": 10}})
}

/// Whether the last that the game heard is that nothing is held.
fn rests(heard: &Heard) -> bool {
    heard.lock().unwrap().last() == Some(&None)
}

async fn shows(client: &Client, visible: bool) {
    let text = json!({"type": "visibility", "visible": visible}).to_string();
    client.send(DataChannel::Control, text.as_bytes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_let_go_of_when_its_player_is_gone_away_or_another() {
    let heard = Heard::default();
    let apps = [Arc::new(Game(heard.clone())) as Arc<dyn App>];
    let node = Node::with_apps(common::config(&[]), None, apps, Probing::in_process()).unwrap();
    let session = create_with(&wish()).of(&node).await.session();
    let mut seq = 0;

    let mut gone = join(&node, &session).await;
    holds(&mut gone, &heard, &mut seq).await;
    gone.peer.close().await.unwrap();
    until("a page that is gone", async || rests(&heard).then_some(())).await;

    let mut hidden = join(&node, &session).await;
    holds(&mut hidden, &heard, &mut seq).await;
    shows(&hidden, false).await;
    until("a page that nobody sees", async || rests(&heard).then_some(())).await;
    shows(&hidden, true).await;
    holds(&mut hidden, &heard, &mut seq).await;

    let _other = join(&node, &session).await;
    until("a page whose place another took", async || rests(&heard).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_let_go_of_when_more_comes_than_is_taken() {
    let heard = Heard::default();
    let clock = common::Bent::new();
    let apps = [Arc::new(Game(heard.clone())) as Arc<dyn App>];
    let node = Node::with_apps(common::config(&[]), None, apps, Probing::in_process()).unwrap();
    let node = clock.lead(node);
    let session = create_with(&wish()).of(&node).await.session();
    let mut client = join(&node, &session).await;
    let mut seq = 0;
    holds(&mut client, &heard, &mut seq).await;
    // By the node's clock all that follows comes within a moment.
    clock.crawl();
    for at in 0..4_000_u16 {
        seq += 1;
        let mut message = Vec::new();
        let event = InputEvent::PointerAbsolute { x: at, y: 0 };
        SequencedInput { seq: InputSeq(seq), event }.encode(&mut message);
        client.send(DataChannel::Input, &message).await;
    }
    until("what was held", async || rests(&heard).then_some(())).await;
}
