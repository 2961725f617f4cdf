//! What a player holds is let go of whenever nobody can hold it any more, whatever the page had time to say.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate transport as nearlight_transport;

mod common;
#[path = "common/noting.rs"]
mod noting;
mod player;

use std::sync::Arc;

use common::{create_with, until};
use media::input::{PointerButton, TouchPhase};
use media::{
    DataChannel, InputEvent, InputSeq, KeyCode, Pad, PadButtons, PadState, Pen, PenState, Plug,
    SequencedInput,
};
use nearlight::apps::App;
use nearlight::encoders::Probing;
use nearlight::node::Node;
use noting::{Noting, Told};
use player::client::Client;
use player::{join, said};
use serde_json::{Value, json};

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
async fn holds(client: &mut Client, told: &Told, seq: &mut u32) {
    // Then the channels are open.
    said(client, "stats").await;
    told.lock().unwrap().clear();
    for event in everything() {
        *seq += 1;
        let mut message = Vec::new();
        SequencedInput { seq: InputSeq(*seq), event }.encode(&mut message);
        client.send(DataChannel::Input, &message).await;
    }
    let [.., last] = everything();
    // A session that is suspended for a moment lets go of it again.
    let has = || told.lock().unwrap().contains(&last);
    until("what is held", async || has().then_some(())).await;
}

fn wish() -> Value {
    json!({"app": "noting", "video": {"width": 64, "height": 64, "fps": 10}})
}

/// Whether the last that the game was told is to let go of everything.
fn rests(told: &Told) -> bool {
    told.lock().unwrap().last() == Some(&InputEvent::ReleaseAll)
}

async fn shows(client: &Client, visible: bool) {
    let text = json!({"type": "visibility", "visible": visible}).to_string();
    client.send(DataChannel::Control, text.as_bytes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_let_go_of_when_its_player_is_gone_away_or_another() {
    let app = Noting::default();
    let told = app.told.clone();
    let apps = [Arc::new(app) as Arc<dyn App>];
    let node = Node::with_apps(common::config(&[]), None, apps, Probing::in_process()).unwrap();
    let session = create_with(&wish()).of(&node).await.session();
    let mut seq = 0;

    let mut gone = join(&node, &session).await;
    holds(&mut gone, &told, &mut seq).await;
    gone.peer.close().await.unwrap();
    until("a page that is gone", async || rests(&told).then_some(())).await;

    let mut hidden = join(&node, &session).await;
    holds(&mut hidden, &told, &mut seq).await;
    shows(&hidden, false).await;
    until("a page that nobody sees", async || rests(&told).then_some(())).await;
    shows(&hidden, true).await;
    holds(&mut hidden, &told, &mut seq).await;

    let _other = join(&node, &session).await;
    until("a page whose place another took", async || rests(&told).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_let_go_of_when_more_comes_than_is_taken() {
    let app = Noting::default();
    let told = app.told.clone();
    let clock = common::Bent::new();
    let apps = [Arc::new(app) as Arc<dyn App>];
    let node = Node::with_apps(common::config(&[]), None, apps, Probing::in_process()).unwrap();
    let node = clock.lead(node);
    let session = create_with(&wish()).of(&node).await.session();
    let mut client = join(&node, &session).await;
    let mut seq = 0;
    holds(&mut client, &told, &mut seq).await;
    // By the node's clock all that follows comes within a moment.
    clock.crawl();
    for at in 0..4_000_u16 {
        seq += 1;
        let mut message = Vec::new();
        let event = InputEvent::PointerAbsolute { x: at, y: 0 };
        SequencedInput { seq: InputSeq(seq), event }.encode(&mut message);
        client.send(DataChannel::Input, &message).await;
    }
    until("what was held", async || rests(&told).then_some(())).await;
}
