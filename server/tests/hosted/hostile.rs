//! Games that misuse what they have: their space, their display, the request to end. Whoever plays one plays on, and whoever
//! plays beside it sees nothing of it.

use std::fs;

use axum::http::Method;
use media::{DataChannel, Size};
use serde_json::json;

use crate::bed::{Bed, Game, bed, logged, open_to_all, pictures, processes, terminal};
use crate::common::{Session, create_with, until};
use crate::player::client::Client;
use crate::player::{ended, join, lives, next_size, said, state};

const ANNE: &str = "0123456789abcdef0123456789abcdef";
const BOB: &str = "fedcba9876543210fedcba9876543210";
/// What they do: see the file.
const GAME: &str = include_str!("hostile.py");
/// Each of its deeds, and how many lines say that it was held.
const DEEDS: [(&str, usize); 4] = [("fills", 4), ("windows", 2), ("modes", 3), ("deaf", 1)];
/// What a screen has after its game has done with it, or where its player's window wants it.
const LAST: Size = Size::new(320, 200);

/// Has something new in each of its folders with each of its pictures, and is over where it cannot.
const NEIGHBOUR: &str = "\
i=0
while echo $i > $HOME/now && cp $HOME/now /tmp && cp $HOME/now /dev/shm && cat /dev/shm/now; do
  i=$((i + 1))
  sleep 0.05
done
";

fn neighbour() -> Game {
    let entry = terminal("\"/bin/sh\", \"{entry}/play.sh\"");
    Game { id: "neighbour", entry, file: ("play.sh", NEIGHBOUR) }
}

/// A game that does this once it is told to. Its command has the token in it.
fn hostile(deed: &'static str, token: &str) -> Game {
    let entry = format!(
        "command = \"/usr/bin/python3\"\npackage = \"python3\"\n\
         arguments = [\"{{entry}}/hostile.py\", \"{deed}\", \"{token}\"]\n\
         saves = [\"kept\"]\nstop_grace_ms = 500\n\
         [display]\nwidth = 320\nheight = 240\nmax_width = 640\nmax_height = 480\nfps = 10\n\
         [limits]\nhome_mib = 16\n"
    );
    Game { id: deed, entry, file: ("hostile.py", GAME) }
}

/// Has the game do it; what it says of that. All the while pictures come to the one beside it.
async fn told(bed: &Bed, session: &Session, deed: &str, beside: &mut Client) -> String {
    let go = bed.games.path().join(deed).join("go");
    fs::write(&go, "").unwrap();
    open_to_all(&go);
    until(deed, async || {
        pictures(beside, 1).await;
        let state = state(bed.node(), session).await;
        assert!(!state.starts_with("ended: "), "{deed}: {state}");
        bed.kept(session, deed, BOB).await.filter(|told| told.contains(" in all."))
    })
    .await
}

/// Waits for a picture of the size that its screen has in the end.
async fn is_of_the_last_size(client: &mut Client) {
    until("pictures of the last size", async || (next_size(client).await == LAST).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_misuses_what_it_has_is_played_on_and_is_nothing_to_the_one_beside_it() {
    let token = format!("hostile-of-{}", std::process::id());
    let mut games = vec![neighbour()];
    games.extend(DEEDS.map(|(deed, _)| hostile(deed, &token)));
    let Some(bed) = bed(&[], &games, |_| {}).await else { return };
    let one = bed.start("neighbour", ANNE).await;
    let mut anne = join(bed.node(), &one).await;
    pictures(&mut anne, 3).await;
    for (deed, lines) in DEEDS {
        // Its screen is the game's to change.
        let other = create_with(&json!({"app": deed, "player": BOB}));
        let other = other.of(bed.node()).await.session();
        let mut bob = join(bed.node(), &other).await;
        pictures(&mut bob, 1).await;
        let told = told(&bed, &other, deed, &mut anne).await;
        println!("{deed}: {told}");
        assert_eq!((told.matches("held ").count(), told.contains("BROKEN")), (lines, false));

        match deed {
            "windows" => {
                // The channels are open then.
                said(&mut bob, "stats").await;
                let view = json!({"type": "view", "width": 320, "height": 200, "dpi": 96});
                bob.send(DataChannel::Control, view.to_string().as_bytes()).await;
                is_of_the_last_size(&mut bob).await;
            }
            "modes" => is_of_the_last_size(&mut bob).await,
            _ => {}
        }
        if deed != "deaf" {
            pictures(&mut bob, 3).await;
        }
        lives(bed.node(), &other).await;
        assert_eq!(processes(&token).len(), 1, "it is the same game");

        let gone = other.ask(Method::DELETE, "").bearer(&other.token).of(bed.node()).await;
        assert_eq!(gone.status, 204, "{}", gone.text());
        assert_eq!(ended(bed.node(), &other).await, "The player ended the session.");
        until("the end of its game", async || processes(&token).is_empty().then_some(())).await;
        if deed == "deaf" {
            until("word of it", async || {
                let words = ["game ended", "deaf-", "the game was killed"];
                (!logged(&words).is_empty()).then_some(())
            })
            .await;
        }
        pictures(&mut anne, 3).await;
        lives(bed.node(), &one).await;
    }
    assert!(bed.shown(&one).await.get("attempts").is_none());
    bed.server.shut_down().await;
}
