//! What the start of a game waits for is told as it goes.

use crate::bed::{Game, bed, terminal};
use crate::common::until;
use crate::player::join;

const ANNE: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_told_step_by_step_until_there_is_a_picture() {
    let entry = terminal("\"/bin/sh\", \"{entry}/play.sh\"");
    let file = ("play.sh", "while :; do date; sleep 0.1; done\n");
    let Some(bed) = bed(&[], &[Game { id: "draws", entry, file }], |_| {}).await else { return };
    let session = bed.start("draws", ANNE).await;
    let starting = async || {
        let shown = bed.shown(&session).await;
        shown.get("starting").map(|step| step.as_str().unwrap().to_owned())
    };
    let mut told: Vec<String> = Vec::new();
    // Nobody has joined it, so that it is not asked for the picture that its start waits for.
    until("the last step", async || {
        told.extend(starting().await);
        (told.last()? == "picture").then_some(())
    })
    .await;
    told.dedup();
    // What was over between two looks is not among them.
    let mut all = ["sandbox", "display", "game", "picture"].into_iter();
    assert!(told.iter().all(|step| all.any(|each| each == step)), "{told:?}");
    let mut client = join(bed.node(), &session).await;
    client.frame().await;
    until("the end of the start", async || starting().await.is_none().then_some(())).await;
    bed.server.shut_down().await;
}
