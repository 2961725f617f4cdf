//! Games whose pictures a graphics device converts.

use crate::bed::{Game, bed, logged, terminal};
use crate::common::until;
use crate::player::{join, lives};

const ANNE: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn a_game_is_played_on_when_the_device_that_converts_its_pictures_is_lost() {
    let entry = terminal("\"/bin/sh\", \"{entry}/play.sh\"");
    let file = ("play.sh", "while :; do date; sleep 0.05; done\n");
    let games = [Game { id: "draws", entry, file }];
    let Some(bed) = bed(&["games.convert=gpu"], &games, |_| {}).await else { return };
    let gpu = bed.gpu.clone().expect("it was asked for");
    let chosen = logged(&["pictures of games are converted on", gpu.current().name()]);
    assert_eq!(chosen.len(), 1, "{chosen:?}");
    let session = bed.start("draws", ANNE).await;
    let mut client = join(bed.node(), &session).await;
    for _ in 0..3 {
        client.frame().await;
    }
    assert!(!logged(&["captured pictures are converted on the device"]).is_empty());
    gpu.current().lose("the test says so");
    until("the processor takes over", async || {
        let told = ["no more captured pictures are converted on the device", "the test says so"];
        (!logged(&told).is_empty()).then_some(())
    })
    .await;
    // What was on its way came from the device.
    while client.arrived.try_recv().is_ok() {}
    for _ in 0..5 {
        client.frame().await;
    }
    lives(bed.node(), &session).await;
    bed.server.shut_down().await;
}
