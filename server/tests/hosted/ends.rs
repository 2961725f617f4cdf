//! Games that end by themselves: whoever played is told how, in plain words.

use std::fs;

use host::confine::cgroup::Controller;
use serde_json::json;

use crate::bed::{Bed, Game, bed, is_bounded, logged, open_to_all};
use crate::common::create_with;
use crate::player::{ended, join, said};

/// A program of a shell's that may wait for a file of its entry.
fn script(id: &'static str, script: &'static str) -> Game {
    let entry = "command = \"/bin/sh\"\narguments = [\"{entry}/play.sh\"]\n\
                 [[requires]]\ncommand = \"xterm\"\npackage = \"xterm\"\n"
        .into();
    Game { id, entry, file: ("play.sh", script) }
}

/// Draws until there is a file, and then ends like this.
const DRAWS: &str = "xterm -e /bin/sh -c 'until [ -e /game/over ]; do sleep 0.05; done'\n";

/// How a session of this game ended; `drawn` waits for its pictures before it lets the game end.
async fn end(bed: &Bed, game: &str, drawn: bool) -> String {
    let video = json!({"width": 320, "height": 240, "fps": 10});
    let wish = json!({"app": game, "video": video});
    let session = create_with(&wish).of(bed.node()).await.session();
    if drawn {
        let mut client = join(bed.node(), &session).await;
        client.frame().await;
        said(&mut client, "stats").await;
        let over = bed.games.path().join(game).join("over");
        fs::write(&over, "").unwrap();
        open_to_all(&over);
        let told = said(&mut client, "ended").await["reason"].as_str().unwrap().to_owned();
        assert_eq!(ended(bed.node(), &session).await, told);
    }
    ended(bed.node(), &session).await
}

/// Checks that so many sessions ended for these reasons.
fn assert_counted(bed: &Bed, reasons: &[(&str, u32)]) {
    let metrics = bed.node().metrics.encode().unwrap();
    for (reason, count) in reasons {
        let line = format!("nearlight_sessions_ended_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.lines().any(|each| each == line), "{line} of {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_game_ended_that_has_drawn_nothing_is_told_in_plain_words() {
    let games = [
        script("at-once", "exit 3"),
        script("nothing", "exit 0"),
        script("crash-at-once", "kill -ABRT $$"),
    ];
    let Some(bed) = bed(&[], &games, |_| {}).await else { return };
    // They end at once, however long that takes here.
    bed.clock.crawl();
    for (game, told) in [
        ("at-once", "The game ended at once (exit status 3)."),
        ("nothing", "The game ended at once (exit status 0)."),
        ("crash-at-once", "The game crashed at once (signal 6: it gave up by itself)."),
    ] {
        assert_eq!(end(&bed, game, false).await, told, "{game}");
    }
    assert_counted(&bed, &[("game_exited", 2), ("game_crashed", 1)]);
    bed.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_plays_a_game_that_takes_too_much_memory_is_told_so() {
    // Unbounded, it would take the machine's.
    if !is_bounded(Controller::Memory) {
        return;
    }
    // Looks for the end of a line that has none.
    let mut eater = script("eater", "exec tail /dev/zero");
    eater.entry += "[limits]\nmemory_mib = 176\nhome_mib = 16\n";
    let Some(bed) = bed(&[], &[eater], |_| {}).await else { return };
    bed.clock.crawl();
    let told = "The game crashed at once: it took more memory than its limit of 192 MiB.";
    assert_eq!(end(&bed, "eater", false).await, told);
    assert_counted(&bed, &[("game_crashed", 1)]);
    let warned = logged(&["WARN", "eater-", "more memory than its limit of 192 MiB"]);
    assert_eq!(warned.len(), 1, "{warned:?}");
    bed.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_game_ended_that_was_played_is_told_in_plain_words() {
    let status = format!("{DRAWS}exit 4\n").leak();
    let crash = format!("{DRAWS}kill -SEGV $$\n").leak();
    let games = [script("status", status), script("crash", crash), script("left", DRAWS)];
    let Some(bed) = bed(&[], &games, |_| {}).await else { return };
    for (game, told) in [
        ("status", "The game ended by itself (exit status 4)."),
        ("crash", "The game crashed (signal 11: memory that is not its own)."),
        ("left", "The programme came to its end."),
    ] {
        assert_eq!(end(&bed, game, true).await, told, "{game}");
    }
    assert_counted(&bed, &[("game_exited", 1), ("game_crashed", 1), ("source_ended", 1)]);
    bed.server.shut_down().await;
}
