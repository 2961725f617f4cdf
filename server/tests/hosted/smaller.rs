//! A game whose player has too few bits for its pictures: they become smaller, its screen does not, and they grow again.

use encoder::h264::{NalKind, Sps, nals};
use media::{DataChannel, Size};
use serde_json::{Value, json};

use crate::bed::{Game, bed, terminal};
use crate::common::{PATIENCE, create_with};
use crate::player::client::Client;
use crate::player::frames::next_unit;
use crate::player::{join, said};

const WHOLE: Size = Size::new(640, 416);
const SMALLER: Size = Size::new(480, 312);

/// The sizes of pictures, each told by a keyframe, up to this one.
async fn sizes_up_to(client: &mut Client, last: Size) -> Vec<Size> {
    let seen = async {
        let mut sizes = Vec::new();
        while sizes.last() != Some(&last) {
            let (unit, _) = next_unit(client).await;
            let sps = nals(&unit).find(|nal| nal.kind() == NalKind::Sps);
            sizes.extend(sps.map(|nal| Sps::parse(nal.bytes()).unwrap().size()));
            sizes.dedup();
        }
        sizes
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("pictures of that size")
}

/// What is said of pictures once they have this size.
async fn stats_at(client: &mut Client, size: Size) -> Value {
    let told = async {
        loop {
            let stats = said(client, "stats").await;
            if stats["coded"] == json!([size.width, size.height]) {
                return stats;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("statistics of that size")
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_a_game_have_the_size_that_its_player_has_bits_for() {
    let game = Game {
        id: "draws",
        entry: terminal("\"/bin/sh\", \"{entry}/play.sh\""),
        file: ("play.sh", "while :; do date; sleep 0.05; done\n"),
    };
    // A quarter of that is kept for sound. The rest makes 0.022 bits a pixel at the whole size, 0.040 at three quarters of its
    // edges.
    let few = ["video.min_rate=250 kbit/s", "video.start_rate=250 kbit/s"];
    let Some(bed) = bed(&few, &[game], |_| {}).await else { return };
    let video = json!({"width": WHOLE.width, "height": WHOLE.height, "fps": 30, "max_kbps": 4000});
    let wish = json!({"app": "draws", "video": video});
    let session = create_with(&wish).of(bed.node()).await.session();
    let mut client = join(bed.node(), &session).await;
    assert_eq!(sizes_up_to(&mut client, WHOLE).await, [WHOLE]);
    // The channels are open then.
    said(&mut client, "stats").await;
    let limit = async |client: &Client, most: Value| {
        let limit = json!({"type": "quality", "max_kbps": most}).to_string();
        client.send(DataChannel::Control, limit.as_bytes()).await;
    };
    limit(&client, json!(250)).await;
    let mut sizes = sizes_up_to(&mut client, SMALLER).await;
    let stats = stats_at(&mut client, SMALLER).await;
    assert_eq!(stats["internal"], json!([WHOLE.width, WHOLE.height]), "its screen stays as it is");
    assert_eq!((&stats["rate"]["size"], &stats["rate"]["size_changes"]), (&json!(0.75), &json!(1)));
    limit(&client, Value::Null).await;
    sizes.extend(sizes_up_to(&mut client, WHOLE).await);
    sizes.dedup();
    // Keyframes of the first size may come before the step down.
    let steps: Vec<_> = sizes.into_iter().skip_while(|size| *size == WHOLE).collect();
    assert_eq!(steps, [SMALLER, WHOLE], "one step either way");
    let stats = stats_at(&mut client, WHOLE).await;
    assert_eq!(stats["rate"]["size_changes"], 2, "each costs a keyframe");
    bed.server.shut_down().await;
}
