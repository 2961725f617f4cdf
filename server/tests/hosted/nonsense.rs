//! A player's client that sends what no page does, to a hosted game: what cannot be is refused and counted, what is absurd is
//! bounded, and the game hears its keys afterwards as before.

use axum::http::Method;
use media::{DataChannel, InputEvent, InputSeq, KeyCode, SequencedInput};

use crate::bed::{Bed, bed, pictures};
use crate::common::{Session, press, until};
use crate::hostile::{ANNE, BOB, go, hostile, neighbour};
use crate::player::client::Client;
use crate::player::{join, lives, said};

/// X's numbers of the keys W and Q.
const W: u8 = 25;
const Q: u8 = 24;
/// Half of what may come at once: whoever sends more of it is cut off.
const FLOOD: u32 = 10_000;

fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0][..], payload].concat()
}

/// Input that there is not.
fn impossible_input() -> Vec<Vec<u8>> {
    let nan = |many: usize| f32::NAN.to_le_bytes().repeat(many);
    let key =
        |usage: u16, pressed: u8| message(1, &[&usage.to_le_bytes()[..], &[pressed]].concat());
    let mut all = vec![vec![1], vec![0; 5], vec![0xff; 100], vec![7; 200]];
    all.extend([0, 14, 127, 255].map(|kind| message(kind, &[0; 4])));
    // Usages that are no key's, and one of a key that is neither up nor down.
    all.extend([0, 3, KeyCode::LAST.0 + 1, 0x8000, u16::MAX].map(|usage| key(usage, 1)));
    all.push(key(KeyCode::W.0, 2));
    all.extend([5, 255].map(|button| message(2, &[button, 1])));
    // Places, ways and turns as numbers with a point that are none.
    all.extend(
        [(3, 2), (4, 4), (5, 2), (6, 3), (11, 4)].map(|(kind, many)| message(kind, &nan(many))),
    );
    all.push(message(6, &[0, 4, 0, 0, 0, 0, 0, 0]));
    all.extend([&b"\x1b[2J"[..], b"\xff", b"\0", b"", &[b'a'; 65]].map(|text| message(7, text)));
    all.push(message(8, &[0]));
    // Buttons of no gamepad, gamepads beyond the last, and a pen that leans too far.
    all.push(message(9, &[&[0_u8, 255, 255, 255, 255][..], &[0; 10]].concat()));
    all.extend([[4, 1], [255, 1], [0, 255]].map(|pad| message(10, &pad)));
    all.push(message(11, &[0, 0, 0, 0, 0, 0, 0x80, 0x80, 0, 0, 1]));
    all
}

/// Control messages that there are not.
fn impossible_words() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = vec![b"{".into(), b"null".into(), vec![0xff; 100]];
    all.push(br#"{"type":"launch"}"#.into());
    let view = |width: &str| format!(r#"{{"type":"view","width":{width},"height":240,"dpi":96}}"#);
    all.extend(["NaN", "-1", "1e999", "1.5", "4294967296"].map(|width| view(width).into_bytes()));
    all
}

/// Input that there is, as far out as it goes.
fn absurd() -> Vec<InputEvent> {
    let pointer = |total_x, total_y| InputEvent::PointerRelative { total_x, total_y };
    let place = |x, y| InputEvent::PointerAbsolute { x, y };
    // On the keyboard page, and no key of any keyboard here.
    let key = |usage| InputEvent::Key { code: KeyCode(usage), pressed: true };
    vec![
        pointer(0, 0),
        pointer(i32::MIN, i32::MIN),
        pointer(i32::MAX, i32::MIN),
        pointer(-1, i32::MAX),
        place(u16::MAX, u16::MAX),
        place(0, u16::MAX),
        InputEvent::Wheel { x: i16::MIN, y: i16::MAX },
        InputEvent::Wheel { x: i16::MAX, y: i16::MIN },
        key(0xb0),
        key(0xdf),
        InputEvent::ReleaseAll,
    ]
}

/// One of a flood: the pointer in a corner, far moves, and a key.
fn of_flood(n: u32) -> Vec<u8> {
    let far = if n % 8 < 4 { i32::MIN } else { i32::MAX };
    let edge = if n % 8 < 4 { 0 } else { u16::MAX };
    match n % 4 {
        0 => encoded(n, InputEvent::PointerAbsolute { x: edge, y: edge }),
        1 => encoded(n, InputEvent::PointerRelative { total_x: far, total_y: !far }),
        _ => press(n),
    }
}

fn encoded(n: u32, event: InputEvent) -> Vec<u8> {
    let mut out = Vec::new();
    SequencedInput { seq: InputSeq(n), event }.encode(&mut out);
    out
}

/// Presses a key until the game has heard it; what it has heard by then. While too much input came, none is taken.
async fn heard(bed: &Bed, session: &Session, client: &Client, code: KeyCode, key: u8) -> String {
    let key = key.to_string();
    until("a key", async || {
        for pressed in [true, false] {
            let event = InputEvent::Key { code, pressed };
            client.send(DataChannel::Input, &encoded(FLOOD, event)).await;
        }
        let kept = bed.kept(session, "hears", BOB).await?;
        let (_, rest) = kept.split_once("hears [")?;
        let keys = rest.split_once("] in all.")?.0;
        keys.split(", ").any(|each| each == key).then(|| keys.to_owned())
    })
    .await
}

/// Sends what is refused, one after the other, and sees that each is counted.
async fn is_refused(
    bed: &Bed,
    client: &Client,
    channel: DataChannel,
    all: &[Vec<u8>],
    from: usize,
) {
    for (number, each) in (from + 1..).zip(all) {
        client.send(channel, each).await;
        let line = format!("nearlight_bad_messages_total {number}");
        until(&format!("a refusal of {each:?}"), async || {
            let metrics = bed.node().metrics.encode().unwrap();
            metrics.lines().any(|each| each == line).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_hears_its_keys_after_all_that_no_player_can_do() {
    let token = format!("hears-of-{}", std::process::id());
    let Some(bed) = bed(&[], &[neighbour(), hostile("hears", &token)], |_| {}).await else {
        return;
    };
    let one = bed.start("neighbour", ANNE).await;
    let mut anne = join(bed.node(), &one).await;
    pictures(&mut anne, 3).await;
    let other = bed.start("hears", BOB).await;
    let mut bob = join(bed.node(), &other).await;
    pictures(&mut bob, 1).await;
    // The channels are open then.
    said(&mut bob, "stats").await;
    go(&bed, "hears");
    assert_eq!(heard(&bed, &other, &bob, KeyCode::W, W).await, "25");

    let input = impossible_input();
    is_refused(&bed, &bob, DataChannel::Input, &input, 0).await;
    is_refused(&bed, &bob, DataChannel::Control, &impossible_words(), input.len()).await;
    for (n, event) in (0..).zip(absurd()) {
        bob.send(DataChannel::Input, &encoded(n, event)).await;
    }
    for size in [0, 1, u32::MAX] {
        let view = format!(r#"{{"type":"view","width":{size},"height":{size},"dpi":{size}}}"#);
        bob.send(DataChannel::Control, view.as_bytes()).await;
    }
    pictures(&mut bob, 3).await;
    let flood = async {
        for n in 0..FLOOD {
            bob.send(DataChannel::Input, &of_flood(n)).await;
        }
    };
    tokio::join!(flood, pictures(&mut anne, 5));
    pictures(&mut bob, 3).await;

    // No key but these two was ever pressed.
    assert_eq!(heard(&bed, &other, &bob, KeyCode::Q, Q).await, "24, 25");
    for session in [&one, &other] {
        lives(bed.node(), session).await;
    }
    pictures(&mut anne, 3).await;
    let gone = other.ask(Method::DELETE, "").bearer(&other.token).of(bed.node()).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    pictures(&mut anne, 3).await;
    bed.server.shut_down().await;
}
