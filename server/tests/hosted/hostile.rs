//! Games that misuse what they have: their space, their display, their processes and memory, the request to end. Whoever plays
//! one plays on, or is told why not, and whoever plays beside it sees nothing of it.

use std::fs;

use axum::http::Method;
use host::confine::cgroup::Controller;
use media::{DataChannel, Size};
use serde_json::json;

use crate::bed::{
    Bed, Game, bed, is_bounded, logged, open_to_all, pictures, processes, sandboxes, terminal,
};
use crate::common::{Session, create_with, until};
use crate::player::client::Client;
use crate::player::{ended, join, lives, next_size, said, state};

pub const ANNE: &str = "0123456789abcdef0123456789abcdef";
pub const BOB: &str = "fedcba9876543210fedcba9876543210";
/// What they do: see the file.
const GAME: &str = include_str!("hostile.py");
/// Each of its deeds, and how many lines say that it was held.
const DEEDS: [(&str, usize); 6] =
    [("fills", 4), ("windows", 2), ("modes", 3), ("deaf", 1), ("stops", 1), ("bomb", 1)];
/// Those that draw no more, and have to be killed.
const STILL: [&str; 2] = ["deaf", "stops"];
/// Processes that one of them may have.
const MOST_PROCESSES: usize = 32;
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

pub fn neighbour() -> Game {
    let entry = terminal("\"/bin/sh\", \"{entry}/play.sh\"");
    Game { id: "neighbour", entry, file: ("play.sh", NEIGHBOUR) }
}

/// A game that does this once it is told to. Its command has the token in it.
pub fn hostile(deed: &'static str, token: &str) -> Game {
    let more = match deed {
        "bomb" => format!("processes = {MOST_PROCESSES}\n"),
        // Its home counts, too.
        "eats" => "memory_mib = 96\n".into(),
        _ => String::new(),
    };
    let entry = format!(
        "command = \"/usr/bin/python3\"\npackage = \"python3\"\n\
         arguments = [\"{{entry}}/hostile.py\", \"{deed}\", \"{token}\"]\n\
         saves = [\"kept\"]\nstop_grace_ms = 500\n\
         [display]\nwidth = 320\nheight = 240\nmax_width = 640\nmax_height = 480\nfps = 10\n\
         [limits]\nhome_mib = 16\n{more}"
    );
    Game { id: deed, entry, file: ("hostile.py", GAME) }
}

/// Has the game do it.
pub fn go(bed: &Bed, deed: &str) {
    let go = bed.games.path().join(deed).join("go");
    fs::write(&go, "").unwrap();
    open_to_all(&go);
}

/// Has the game do it; what it says of that. All the while pictures come to the one beside it.
async fn told(bed: &Bed, session: &Session, deed: &str, beside: &mut Client) -> String {
    go(bed, deed);
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

/// Sees what its player has of a game after its deed.
async fn shows(client: &mut Client, deed: &str) {
    match deed {
        "windows" => {
            // The channels are open then.
            said(client, "stats").await;
            let view = json!({"type": "view", "width": 320, "height": 200, "dpi": 96});
            client.send(DataChannel::Control, view.to_string().as_bytes()).await;
            is_of_the_last_size(client).await;
        }
        "modes" => is_of_the_last_size(client).await,
        _ => {}
    }
    if !STILL.contains(&deed) {
        pictures(client, 3).await;
    }
}

/// Waits until there are so many processes with this word, and a signal has halted each.
async fn are_halted(word: &str, many: usize) {
    let is_halted = |number: &u32| {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    };
    until("processes that are halted", async || {
        let all = processes(word);
        (all.len() == many && all.iter().all(is_halted)).then_some(())
    })
    .await;
}

/// Waits until nothing is there of a game: no process and no folder.
async fn is_gone(bed: &Bed, deed: &str, token: &str) {
    until("the end of its game", async || processes(token).is_empty().then_some(())).await;
    until("the end of its sandbox", async || {
        sandboxes(bed.run.path(), deed).is_empty().then_some(())
    })
    .await;
}

/// Waits until all of this stands in a line of the log.
async fn is_logged(words: &[&str]) {
    until("word of it", async || (!logged(words).is_empty()).then_some(())).await;
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

        shows(&mut bob, deed).await;
        lives(bed.node(), &other).await;
        let has = processes(&token);
        match deed {
            "stops" => are_halted(&token, 3).await,
            // Beside them are those that every sandbox has.
            "bomb" => assert!((2..MOST_PROCESSES).contains(&has.len()), "{has:?}"),
            _ => assert_eq!(has.len(), 1, "it is the same game"),
        }

        let gone = other.ask(Method::DELETE, "").bearer(&other.token).of(bed.node()).await;
        assert_eq!(gone.status, 204, "{}", gone.text());
        assert_eq!(ended(bed.node(), &other).await, "The player ended the session.");
        is_gone(&bed, deed, &token).await;
        if STILL.contains(&deed) {
            let id = format!("{deed}-");
            is_logged(&["game ended", &id, "the game was killed"]).await;
        }
        if deed == "bomb" && is_bounded(Controller::Processes) {
            is_logged(&["WARN", "bomb-", "a game wanted more processes than it may have"]).await;
        }
        pictures(&mut anne, 3).await;
        lives(bed.node(), &one).await;
    }
    assert!(bed.shown(&one).await.get("attempts").is_none());
    bed.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_eats_memory_is_ended_for_it_and_the_one_beside_it_is_played_on() {
    if !is_bounded(Controller::Memory) {
        return;
    }
    let token = format!("eater-of-{}", std::process::id());
    let Some(bed) = bed(&[], &[neighbour(), hostile("eats", &token)], |_| {}).await else { return };
    let one = bed.start("neighbour", ANNE).await;
    let mut anne = join(bed.node(), &one).await;
    pictures(&mut anne, 3).await;
    let other = bed.start("eats", BOB).await;
    let mut bob = join(bed.node(), &other).await;
    pictures(&mut bob, 1).await;
    go(&bed, "eats");
    let why = until("the end of the session", async || {
        pictures(&mut anne, 1).await;
        state(bed.node(), &other).await.strip_prefix("ended: ").map(ToOwned::to_owned)
    })
    .await;
    assert_eq!(why, "The game crashed: it took more memory than its limit of 112 MiB.");
    is_gone(&bed, "eats", &token).await;
    is_logged(&["WARN", "eats-", "more memory than its limit of 112 MiB"]).await;
    pictures(&mut anne, 3).await;
    lives(bed.node(), &one).await;
    bed.server.shut_down().await;
}
