//! A game that plays no sound, and has nothing to do with the session's sound server.

use media::Codec;
use serde_json::Value;

use crate::bed::{Game, bed, terminal};
use crate::common::PATIENCE;
use crate::player::client::{Client, Wish};
use crate::player::{join_with, lives, said};

const ANNE: &str = "0123456789abcdef0123456789abcdef";
/// What sound is sent as.
const OPUS: u8 = 111;
const LISTENER: Wish = Wish { audio: true, ..Wish::PAGE };

/// Waits for so many pictures, whatever is heard meanwhile.
async fn pictures(client: &mut Client, count: usize) {
    let seen = async {
        let mut seen = 0;
        while seen < count {
            let packet = client.packet().await;
            seen += usize::from(packet.header.payload_type != OPUS && packet.header.marker);
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("pictures");
}

/// What is said of its sound once there is nothing to hear.
async fn silence(client: &mut Client) -> Value {
    let told = async {
        loop {
            let stats = said(client, "stats").await;
            if stats["audio"]["silent"] == true {
                return stats["audio"].clone();
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("silence")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_plays_no_sound_plays_on_in_silence() {
    let game = Game {
        id: "mute",
        entry: terminal("\"/bin/sh\", \"{entry}/play.sh\""),
        file: ("play.sh", "while :; do date; sleep 0.05; done\n"),
    };
    let Some(bed) = bed(&[], &[game], |_| {}).await else { return };
    let session = bed.start("mute", ANNE).await;
    let mut client = join_with(LISTENER, bed.node(), &session, Codec::H264, |offer| offer).await;
    pictures(&mut client, 1).await;
    // It stays so, and what is drawn goes on coming.
    for _ in 0..3 {
        let audio = silence(&mut client).await;
        assert!(audio["failed"].is_null(), "{audio}");
        pictures(&mut client, 5).await;
    }
    lives(bed.node(), &session).await;
    bed.server.shut_down().await;
}
