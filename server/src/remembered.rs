//! What was measured of games on this machine, for the next start of the node: a file in its state folder.
//!
//! Nothing depends on it but the first guesses: a file that is gone, damaged, or of another machine is as good as none.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use media::{FrameRate, Size};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::http::hex;

/// The file.
const FILE: &str = "games.json";
/// Bytes that are read of it.
const LONGEST: u64 = 1 << 20;

/// What is remembered of all games.
#[derive(Debug)]
pub(crate) struct Remembered {
    file: PathBuf,
    content: Mutex<Content>,
    /// The entry that each game has by now: sessions may still be of the one before.
    entries: Mutex<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Processor and number of cores.
    machine: String,
    games: BTreeMap<String, Game>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Game {
    /// Digest of its entry: another one may take something else.
    entry: String,
    modes: Vec<Known>,
}

/// What sessions with such pictures took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    pub(crate) size: Size,
    pub(crate) rate: FrameRate,
    /// Time of cores per second that was enough for each of the last ones.
    pub(crate) ended: Vec<Duration>,
}

/// The place of one game in it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    all: Arc<Remembered>,
    game: String,
    entry: String,
}

impl Remembered {
    /// Reads what is remembered in this folder; nothing of another machine.
    pub(crate) fn open(folder: &std::path::Path) -> Arc<Self> {
        let file = folder.join(FILE);
        let machine = machine();
        let content = match read(&file) {
            Ok(content) if content.machine == machine => content,
            Ok(_) => Content::default(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::info!(file = %file.display(), %error, "what games took is not believed");
                }
                Content::default()
            }
        };
        let content = Mutex::new(Content { machine, ..content });
        Arc::new(Self { file, content, entries: Mutex::default() })
    }

    /// The place of a game; `entry` is all that it is started with. What was handed out for another entry of the game stores
    /// nothing any more.
    pub(crate) fn of(self: &Arc<Self>, game: &str, entry: &str) -> Kept {
        let entry = hex(&Sha256::digest(entry)[..16]);
        self.entries().insert(game.into(), entry.clone());
        Kept { all: self.clone(), game: game.into(), entry }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // Every change is one insertion.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, content: &Content) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        // Who reads meanwhile sees the old file or the new one.
        let new = self.file.with_extension(format!("{}.new", std::process::id()));
        let written = fs::write(&new, serde_json::to_vec_pretty(content)?);
        written.and_then(|()| fs::rename(&new, &self.file)).inspect_err(|_| {
            // It may not have come to be; the error that is told is the first one.
            let _ = fs::remove_file(&new);
        })
    }
}

impl Kept {
    /// What is remembered of this game; nothing where its entry was another one.
    pub(crate) fn load(&self) -> Vec<Known> {
        let content = self.all.content.lock().unwrap_or_else(PoisonError::into_inner);
        let game = content.games.get(&self.game).filter(|game| game.entry == self.entry);
        let known = game.map_or(&[][..], |game| &game.modes).iter();
        let is_rate = |rate: FrameRate| rate.fraction().0 > 0 && rate.fraction().1 > 0;
        known.filter(|known| is_rate(known.rate)).cloned().collect()
    }

    /// Remembers this instead, unless the game has another entry by now. What cannot be written is measured anew by the next
    /// node.
    pub(crate) fn store(&self, modes: Vec<Known>) {
        // Held while it is written: two that write do not mix, and what is newer is written last.
        let mut content = self.all.content.lock().unwrap_or_else(PoisonError::into_inner);
        if self.all.entries().get(&self.game) != Some(&self.entry) {
            return;
        }
        content.games.insert(self.game.clone(), Game { entry: self.entry.clone(), modes });
        if let Err(error) = self.all.write(&content) {
            let file = self.all.file.display();
            tracing::warn!(%file, %error, "what games took is not remembered");
        }
    }
}

fn read(file: &std::path::Path) -> io::Result<Content> {
    let mut text = Vec::new();
    fs::File::open(file)?.take(LONGEST).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// What the processor calls itself, and how many cores there are.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", model.map_or("unknown", |(_, name)| name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(millis: u64) -> Vec<Known> {
        let (size, rate) = (Size::new(640, 360), FrameRate::fps(30));
        vec![Known { size, rate, ended: vec![Duration::from_millis(millis)] }]
    }

    #[test]
    fn the_next_node_knows_what_was_measured_of_the_same_entry() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let all = Remembered::open(&state);
        assert_eq!(all.of("doom", "a").load(), []);
        all.of("doom", "a").store(known(300));
        all.of("ball", "b").store(known(900));
        let next = Remembered::open(&state);
        assert_eq!(next.of("doom", "a").load(), known(300));
        assert_eq!(next.of("ball", "b").load(), known(900));
        assert_eq!(next.of("doom", "another").load(), []);
        let names: Vec<_> =
            fs::read_dir(&state).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, [FILE]);
    }

    #[test]
    fn a_session_of_the_entry_before_forgets_nothing_of_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let all = Remembered::open(folder.path());
        let old = all.of("doom", "a");
        let new = all.of("doom", "b");
        old.store(known(100));
        assert_eq!(new.load(), []);
        new.store(known(900));
        old.store(known(100));
        assert_eq!(Remembered::open(folder.path()).of("doom", "b").load(), known(900));
        // The entry is as it was: what it takes is kept again.
        all.of("doom", "a").store(known(200));
        assert_eq!(Remembered::open(folder.path()).of("doom", "a").load(), known(200));
    }

    #[test]
    fn what_makes_no_sense_is_as_good_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let all = Remembered::open(folder.path());
        all.of("doom", "a").store(known(300));
        let file = folder.path().join(FILE);
        let text = fs::read_to_string(&file).unwrap();
        let rate = text.replace("\"denominator\": 1", "\"denominator\": 0");
        assert_ne!(rate, text);
        for text in ["", "{", "[]", &text.replace("cores", "cores of another"), &rate, &text[..99]]
        {
            fs::write(&file, text).unwrap();
            assert_eq!(Remembered::open(folder.path()).of("doom", "a").load(), [], "{text}");
        }
        // Nor does it keep anybody from remembering.
        Remembered::open(folder.path()).of("doom", "a").store(known(400));
        assert_eq!(Remembered::open(folder.path()).of("doom", "a").load(), known(400));
    }
}
