//! A game stands still while its player is away, and goes on from there.

use std::time::Duration;

use axum::http::Method;
use media::DataChannel;

use crate::bed::{Bed, Game, bed, terminal};
use crate::common::{Session, until};
use crate::player::client::Client;
use crate::player::{join, lives, said, state};

const ANNE: &str = "0123456789abcdef0123456789abcdef";

/// Counts as long as it runs, and says how often it was started.
const COUNTS: &str = "\
echo started >> starts
i=0
while :; do
  i=$((i + 1))
  echo \"count $i.\" > .new
  mv .new count
  sleep 0.01
done
";
/// More than it counts between two looks that follow each other closely.
const STEPS: u64 = 20;

/// So often it is looked at whether it stands still.
const MOST_LOOKS: u32 = 200;

/// How far it has counted, and how often it was started.
async fn count(bed: &Bed, session: &Session) -> Option<(u64, usize)> {
    let kept = bed.kept(session, "counts", ANNE).await?;
    let (_, rest) = kept.split_once("count ")?;
    let number = rest.split_once('.')?.0.parse().ok()?;
    Some((number, kept.matches("started\n").count()))
}

/// Waits until it has counted so many steps more than `from`; how far it has come then.
async fn goes_on(bed: &Bed, session: &Session, from: u64) -> u64 {
    let more = async || count(bed, session).await.filter(|(now, _)| *now >= from + STEPS);
    let (now, starts) = until("a game that goes on", more).await;
    assert_eq!(starts, 1, "it is the same one");
    now
}

/// Sees that it stands still for as long as it took for many steps before, four times in a row; where it stands.
async fn stands_still(bed: &Bed, session: &Session, takes: Duration) -> u64 {
    // It is told a moment after the session is, and a busy machine may have it stand still by itself until then.
    let (mut stood, mut same) = (count(bed, session).await, 0);
    for _ in 0..MOST_LOOKS {
        tokio::time::sleep(takes).await;
        let now = count(bed, session).await;
        same = if now.is_some() && now == stood { same + 1 } else { 0 };
        stood = now;
        if same == 4 {
            return stood.unwrap().0;
        }
    }
    panic!("it goes on while nobody is there");
}

async fn show(client: &Client, visible: bool) {
    let text = format!("{{\"type\":\"visibility\",\"visible\":{visible}}}");
    client.send(DataChannel::Control, text.as_bytes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_stands_still_while_its_player_is_away_and_goes_on_when_he_is_back() {
    let entry = terminal("\"/bin/sh\", \"{entry}/play.sh\"") + "saves = [\"count\", \"starts\"]\n";
    let game = Game { id: "counts", entry, file: ("play.sh", COUNTS) };
    let settings = ["sessions.away=5m", "sessions.reconnect=5m"];
    let Some(bed) = bed(&settings, &[game], |_| {}).await else { return };
    let session = bed.start("counts", ANNE).await;
    let mut client = join(bed.node(), &session).await;
    client.frame().await;
    let (first, _) = until("a count", async || count(&bed, &session).await).await;
    let began = tokio::time::Instant::now();
    let mut stood = goes_on(&bed, &session, first).await;
    let takes = began.elapsed().max(Duration::from_millis(300));

    // His page is gone without a goodbye: it is loaded again, or its network broke. Twice.
    for _ in 0..2 {
        // By now the channels are open, and the node knows that he talks.
        said(&mut client, "stats").await;
        client.peer.close().await.unwrap();
        until("the suspension", async || {
            (state(bed.node(), &session).await == "suspended").then_some(())
        })
        .await;
        let before = stood;
        stood = stands_still(&bed, &session, takes).await;
        assert!(stood >= before);
        client = join(bed.node(), &session).await;
        client.frame().await;
        stood = goes_on(&bed, &session, stood).await;
    }

    // His page is there and nobody sees it.
    said(&mut client, "stats").await;
    show(&client, false).await;
    stood = stands_still(&bed, &session, takes).await;
    lives(bed.node(), &session).await;
    show(&client, true).await;
    goes_on(&bed, &session, stood).await;
    let gone = session.ask(Method::DELETE, "").bearer(&session.token).of(bed.node()).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    bed.server.shut_down().await;
}
