//! The ways in which sessions go and end.

use std::collections::BTreeSet;
use std::fs;

use axum::http::Method;
use host::confine::processes;
use media::{Codec, DataChannel, InputEvent, InputSeq, Pad, Plug, SequencedInput};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bed::{Game, open_to_all, terminal, write};
use crate::common::{PATIENCE, Session, ask, until};
use crate::player::client::{Client, Wish};
use crate::player::{ended, join, join_with, said, state};
use crate::{Cycles, STILL, VERSIONS, footprint};

const ANNE: &str = "0123456789abcdef0123456789abcdef";
/// What sound is sent as.
const OPUS: u8 = 111;

/// Draws, by programs that come and go.
const DRAWS: &str = "while :; do date; sleep 0.05; done\n";
/// Draws until there is a file.
const ENDS: &str = "xterm -e /bin/sh -c 'until [ -e /game/over ]; do sleep 0.05; done'\nexit 4\n";
/// Adds a page each time that it is played, and a last line when it is asked to end.
const DIARY: &str = "\
trap 'echo the end >> diary; exit 0' TERM
touch diary
cp diary .new
echo another page >> .new
mv .new diary
xterm -e /bin/sh -c 'while :; do date; sleep 0.05; done' &
wait
";
const SHARES: &str = "devices = [\"gamepad\"]\n[sharing]\nclipboard = \"both\"\nfiles = \"both\"\n";
const WARM: &str = "warm = 1\nwarm_settle_ms = 100\n";

/// A terminal that draws, with this in its entry.
fn draws(id: &'static str, more: &str) -> Game {
    let entry = terminal("\"/bin/sh\", \"{entry}/play.sh\"") + more;
    Game { id, entry, file: ("play.sh", DRAWS) }
}

/// A script that opens a terminal, with this in its entry.
fn script(id: &'static str, script: &'static str, more: &str) -> Game {
    let entry = format!(
        "command = \"/bin/sh\"\narguments = [\"{{entry}}/play.sh\"]\n{more}\
         [[requires]]\ncommand = \"xterm\"\npackage = \"xterm\"\n"
    );
    Game { id, entry, file: ("play.sh", script) }
}

/// All that every machine with sandboxes can play.
pub fn games() -> [Game; 4] {
    [
        draws("draws", SHARES),
        script("ends", ENDS, ""),
        script("diary", DIARY, "saves = [\"diary\"]\nstop_grace_ms = 60000\n"),
        draws("ahead", ""),
    ]
}

/// How a session goes, and how it comes to its end.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// Its player hears it, has a gamepad, shares a clip and a file, and leaves.
    Left,
    /// Its game ends by itself.
    Over,
    /// Its game is killed.
    Killed,
    /// It is deleted while it starts.
    Early,
    /// It is deleted while its player is away and the game stands still.
    Away,
    /// It is deleted, and its game is saved before that and after it.
    Kept,
    /// It is deleted, and was started ahead, as another one is that nobody plays.
    Ahead,
    /// It is deleted while this game is played.
    Deleted(&'static str),
}

/// The first process below this one that runs such a program.
fn running(program: &str) -> Option<Pid> {
    let comm = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let all = processes::below(std::process::id());
    let found = all.iter().find(|of| comm(of.pid).trim_end() == program)?;
    Pid::from_raw(found.pid.cast_signed())
}

/// Waits for a picture, whatever is heard meanwhile.
async fn picture(client: &mut Client) {
    let seen = async {
        loop {
            let header = client.packet().await.header;
            if header.payload_type != OPUS && header.marker {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("a picture");
}

impl Cycles {
    /// Has the node look at this game anew.
    async fn list(&self, game: &Game) {
        write(self.bed.games.path(), game);
        let looked = ask(Method::POST, "/games").of_ops(self.bed.node()).await;
        assert_eq!(looked.status, 200, "{}", looked.text());
    }

    /// All of them, but for games that want something which this machine has not.
    pub async fn ways(&self) -> Vec<Way> {
        let mut ways =
            vec![Way::Left, Way::Over, Way::Killed, Way::Early, Way::Away, Way::Kept, Way::Ahead];
        for (id, needs) in [("fingers", "touch = \"multi\"\n"), ("online", "internet = true\n")] {
            self.list(&draws(id, needs)).await;
            let catalogue = ask(Method::GET, "/api/v1/catalogue").of(self.bed.node()).await.json();
            let entries = catalogue["entries"].as_array().unwrap();
            let entry = entries.iter().find(|entry| entry["id"] == id).expect("it is listed");
            if let Some(missing) = entry["unavailable"].as_str() {
                let must = std::env::var_os("NEARLIGHT_HOST").is_some_and(|value| value == "1");
                assert!(!must, "NEARLIGHT_HOST is set, and {id}: {missing}");
                println!("left out: {id}: {missing}");
            } else {
                ways.push(Way::Deleted(id));
            }
        }
        ways
    }

    /// One session from its start to its end.
    pub async fn one(&mut self, way: Way, round: usize) {
        match way {
            Way::Left => self.left().await,
            Way::Over => self.over().await,
            Way::Killed => self.killed().await,
            Way::Early => self.early(round).await,
            Way::Away => self.away().await,
            Way::Kept => self.kept().await,
            Way::Ahead => self.ahead(round).await,
            Way::Deleted(game) => self.deleted(game).await,
        }
        self.sessions += 1;
        let over = footprint::now();
        let seen = std::mem::take(&mut self.seen);
        self.inside.extend(seen.into_iter().map(|name| (name, over)));
    }

    /// Notes the namespaces of what runs.
    fn see(&mut self) {
        let inside = footprint::inside(&processes::below(std::process::id()));
        assert!(inside.len() >= 5, "{inside:?}");
        self.seen.extend(inside);
    }

    /// A session of this game whose player sees it.
    async fn begin(&mut self, game: &str) -> (Session, Client) {
        let session = self.bed.start(game, ANNE).await;
        let mut client = join(self.bed.node(), &session).await;
        client.frame().await;
        self.see();
        (session, client)
    }

    async fn delete(&self, session: &Session) {
        let gone = session.ask(Method::DELETE, "").bearer(&session.token);
        let gone = gone.of(self.bed.node()).await;
        assert_eq!(gone.status, 204, "{}", gone.text());
        ended(self.bed.node(), session).await;
    }

    async fn left(&mut self) {
        let session = self.bed.start("draws", ANNE).await;
        let listener = Wish { audio: true, ..Wish::PAGE };
        let node = self.bed.node().clone();
        let mut client = join_with(listener, &node, &session, Codec::H264, |offer| offer).await;
        picture(&mut client).await;
        self.see();
        // The channels are open then.
        said(&mut client, "stats").await;
        self.plug_in(&client).await;
        self.share(&session).await;
        client.send(DataChannel::Control, br#"{"type":"bye"}"#).await;
        assert_eq!(ended(&node, &session).await, "The player ended the session.");
        client.peer.close().await.unwrap();
    }

    /// Plugs a gamepad in, which adds two sockets to the sound's.
    async fn plug_in(&self, client: &Client) {
        let [pad, ..] = Pad::ALL;
        let mut seq = 0;
        until("a gamepad", async || {
            seq += 1;
            let event = InputEvent::GamepadPlugged { pad, plugged: Plug::Standard };
            let mut message = Vec::new();
            SequencedInput { seq: InputSeq(seq), event }.encode(&mut message);
            client.send(DataChannel::Input, &message).await;
            (self.there().process.sockets >= 3).then_some(())
        })
        .await;
    }

    /// Pastes something, and brings and fetches a file.
    async fn share(&self, session: &Session) {
        let node = self.bed.node();
        let begin = |method, below| session.ask(method, below).bearer(&session.token);
        let put = |below, kind: &str| {
            begin(Method::PUT, below).header("content-type", kind).body("something")
        };
        until("a clipboard that takes it", async || {
            let pasted = put("/clipboard", "text/plain").of(node).await;
            (pasted.status == 204).then_some(())
        })
        .await;
        let file = "/files/some.txt";
        let brought = put(file, "application/octet-stream").of(node).await;
        assert_eq!(brought.status, 204, "{}", brought.text());
        assert_eq!(begin(Method::GET, file).of(node).await.text(), "something");
    }

    async fn over(&mut self) {
        let (session, client) = self.begin("ends").await;
        let over = self.bed.games.path().join("ends/over");
        fs::write(&over, "").unwrap();
        open_to_all(&over);
        let told = ended(self.bed.node(), &session).await;
        assert_eq!(told, "The game ended by itself (exit status 4).");
        fs::remove_file(over).unwrap();
        client.peer.close().await.unwrap();
    }

    async fn killed(&mut self) {
        let (session, client) = self.begin("draws").await;
        kill_process(running("xterm").expect("it runs"), Signal::KILL).unwrap();
        let told = ended(self.bed.node(), &session).await;
        assert_eq!(told, "The game crashed (signal 9: it was killed).");
        client.peer.close().await.unwrap();
    }

    /// In each round a step later; at once in the first.
    async fn early(&mut self, round: usize) {
        let steps = ["sandbox", "display", "game", "picture"];
        let session = self.bed.start("draws", ANNE).await;
        if let Some(wanted) = (round % (steps.len() + 1)).checked_sub(1) {
            // Nobody has joined it, so that it is not asked for the picture that the last one waits for.
            until(steps[wanted], async || {
                let shown = self.bed.shown(&session).await;
                let step = shown["starting"].as_str()?;
                (steps.iter().position(|each| *each == step)? >= wanted).then_some(())
            })
            .await;
            self.seen.extend(footprint::inside(&processes::below(std::process::id())));
        }
        self.delete(&session).await;
    }

    async fn away(&mut self) {
        let (session, mut client) = self.begin("draws").await;
        said(&mut client, "stats").await;
        client.peer.close().await.unwrap();
        until("the suspension", async || {
            (state(self.bed.node(), &session).await == "suspended").then_some(())
        })
        .await;
        // As long as it goes on, programs come and go in it.
        let (mut last, mut looks) = (BTreeSet::new(), 0);
        until("it stands still", async || {
            let all = processes::below(std::process::id());
            let now: BTreeSet<_> = all.iter().map(|of| of.pid).collect();
            looks = if now == last { looks + 1 } else { 0 };
            last = now;
            (looks == STILL).then_some(())
        })
        .await;
        self.delete(&session).await;
    }

    async fn kept(&mut self) {
        let (session, client) = self.begin("diary").await;
        let pages = self.pages + 1;
        until("another page", async || {
            let kept = self.bed.kept(&session, "diary", ANNE).await?;
            (kept.matches("another page\n").count() == pages).then_some(())
        })
        .await;
        self.pages = pages;
        self.delete(&session).await;
        client.peer.close().await.unwrap();
        let saves = |below: &str| {
            let path = format!("/api/v1/catalogue/diary/saves{below}");
            ask(Method::GET, &path).header("nearlight-player", ANNE)
        };
        // It may take longer to end than its session.
        let list = until("the last state", async || {
            let list: Value = saves("").of(self.bed.node()).await.json();
            (list["playing"] == false).then_some(list)
        })
        .await;
        let versions = list["saves"].as_array().unwrap();
        // What was saved while it was played, and what it added at its end.
        let least = VERSIONS.min(2 * pages);
        assert!((least..=VERSIONS).contains(&versions.len()), "{list}");
        let newest = format!("/{}", versions[0]["id"].as_str().unwrap());
        let newest = saves(&newest).of(self.bed.node()).await;
        let newest = String::from_utf8_lossy(&newest.body);
        assert_eq!(newest.matches("the end\n").count(), pages, "{newest}");
    }

    async fn ahead(&mut self, round: usize) {
        self.list(&draws("ahead", WARM)).await;
        self.one_ahead().await;
        let (session, client) = self.begin("ahead").await;
        assert_eq!(self.bed.shown(&session).await["start"], "warm");
        self.delete(&session).await;
        client.peer.close().await.unwrap();
        // The next one is put away: in every other round once it is ready, else maybe while it starts.
        if round.is_multiple_of(2) {
            self.one_ahead().await;
            self.see();
        }
        self.list(&draws("ahead", "")).await;
    }

    /// Waits until there is one that was started ahead.
    async fn one_ahead(&self) {
        until("one that is started ahead", async || {
            let metrics = self.bed.node().metrics.encode().unwrap();
            let line = "nearlight_ahead_ready{app=\"ahead\"} 1";
            metrics.lines().any(|each| each == line).then_some(())
        })
        .await;
    }

    async fn deleted(&mut self, game: &str) {
        let (session, client) = self.begin(game).await;
        self.delete(&session).await;
        client.peer.close().await.unwrap();
    }
}
