//! A source that takes a size which the session's encoder does not code: another one does, or its pictures
//! are left out, and the client is told. The hardware is a double of NVIDIA's driver.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate encoder as nearlight_encoder;
extern crate transport as nearlight_transport;

#[path = "../../encoder/tests/common/mod.rs"]
mod coding;
mod common;
mod player;

use std::sync::Arc;
use std::time::Duration;

use coding::gpu::{Rig, SIZE};
use common::{SHRUNK, Session, config, create_with, until, with_probing};
use encoder::InProcess;
use nearlight::encoders::Probing;
use nearlight::node::Node;
use player::client::Client;
use player::{ended, first_size, join, lives, next_size, said, touch};
use serde_json::{Value, json};

const HARDWARE: &str = "nvenc-h264";
const TOO_SMALL: &str = "nvenc-h264: 64x48 is too small, it takes 145x49 at least";

/// A session of a display that becomes too small for the hardware, which codes it so far.
async fn play(rig: &Rig, overrides: &[&str]) -> (Arc<Node>, Session, Client) {
    let name = encoder::openh264::NAME;
    let software = encoder::candidates().into_iter().filter(|candidate| candidate.name == name);
    let candidates = [rig.candidate(HARDWARE).clone()].into_iter().chain(software).collect();
    // It would be tried again at once if it counted as broken.
    let retry = Duration::from_millis(1);
    let probing = Probing { candidates, prober: Arc::new(InProcess), cache: None, retry };
    let node = with_probing(config(overrides), probing).unwrap();
    let video = json!({"width": SIZE.width, "height": SIZE.height, "fps": 30});
    let wish = json!({"app": "shrinking", "video": video});
    let session = create_with(&wish).of(&node).await.session();
    let mut client = join(&node, &session).await;
    assert_eq!(first_size(&mut client).await, SIZE);
    until("its encoder", async || has(&node, HARDWARE, 1).then_some(())).await;
    touch(&mut client).await;
    (node, session, client)
}

/// Whether so many sessions have this encoder.
fn has(node: &Node, encoder: &str, sessions: u32) -> bool {
    let line = format!("nearlight_encoder_sessions{{encoder=\"{encoder}\"}} {sessions}");
    node.metrics.encode().unwrap().lines().any(|each| each == line)
}

/// The greeting in which this is so.
async fn greeting(client: &mut Client, so: impl Fn(&Value) -> bool) -> Value {
    until("the greeting", async || Some(said(client, "hello").await).filter(&so)).await
}

async fn end(node: &Arc<Node>, session: &Session, client: &mut Client) {
    lives(node, session).await;
    touch(client).await;
    assert_eq!(ended(node, session).await, "The programme came to its end.");
    node.shut_down(common::PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_small_for_the_hardware_is_coded_in_software() {
    let rig = Rig::new();
    let (node, session, mut client) = play(&rig, &[]).await;
    let probed = rig.calls("nvEncOpenEncodeSessionEx").len();
    let hello = greeting(&mut client, |hello| hello["encoder"] == encoder::openh264::NAME).await;
    let declined = hello["declined"].as_array().unwrap();
    assert!(declined.contains(&json!(TOO_SMALL)), "{hello}");
    assert!(hello.get("encoder_caveat").is_none(), "{hello}");
    // A picture of before may still be on its way.
    until("a picture of the new size", async || {
        (next_size(&mut client).await == SHRUNK).then_some(())
    })
    .await;
    assert!(has(&node, HARDWARE, 0) && has(&node, encoder::openh264::NAME, 1));
    end(&node, &session, &mut client).await;
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), probed, "it did not break");
    rig.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_takes_the_size_the_client_is_told_and_the_session_stays() {
    let rig = Rig::new();
    let (node, session, mut client) = play(&rig, &["video.encoder=nvenc-h264"]).await;
    let hello = greeting(&mut client, |hello| hello.get("encoder_caveat").is_some()).await;
    assert_eq!(hello["encoder"], HARDWARE);
    let told = format!("pictures of 64x48 are left out ({TOO_SMALL})");
    assert_eq!(hello["encoder_caveat"], told);
    assert!(has(&node, HARDWARE, 1));
    end(&node, &session, &mut client).await;
    rig.assert_clean();
}
