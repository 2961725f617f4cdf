//! How a game starts: what that waits for is told as it goes, and it has the pictures that its entry says.

use media::Size;
use serde_json::json;

use crate::bed::{Game, bed, terminal};
use crate::common::{create_with, until};
use crate::player::{first_size, join};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_is_asked_for_by_its_name_alone_begins_as_its_entry_says() {
    let draws = |id, display: &str| {
        let entry = terminal("\"/bin/sh\", \"{entry}/play.sh\"");
        let file = ("play.sh", "while :; do date; sleep 0.1; done\n");
        Game { id, entry: format!("{entry}[display]\n{display}\n"), file }
    };
    // As large as it can be, which is smaller than what the node shows by itself; and larger than the node shows anything.
    let small = "width = 480\nheight = 300\nmax_width = 480\nmax_height = 300\nfps = 20";
    let large = "width = 640\nheight = 480\nfps = 60";
    let limits = ["video.width=600", "video.height=400", "video.max_edge=600", "video.max_fps=40"];
    let games = [draws("small", small), draws("large", large)];
    let Some(bed) = bed(&limits, &games, |_| {}).await else { return };
    for (app, width, height, fps) in [("small", 480, 300, 20), ("large", 600, 480, 40)] {
        let session = create_with(&json!({"app": app})).of(bed.node()).await.session();
        let video = bed.shown(&session).await["video"].take();
        let told = json!([video["width"], video["height"], video["fps"]]);
        assert_eq!(told, json!([width, height, fps]), "{app}");
        let mut client = join(bed.node(), &session).await;
        assert_eq!(first_size(&mut client).await, Size::new(width, height), "{app}");
    }
    bed.server.shut_down().await;
}
