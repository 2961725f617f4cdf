//! Text in a real terminal: characters of any script arrive as they were typed, whatever else is held.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use media::{InputEvent, InputSeq, InputSink, KeyCode, MediaTime, SequencedInput};
use nearlight_host::display::XInput;

use crate::server::{self, Server};

/// Only a hang is that slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// What people type on keyboards of these layouts, by input methods, and beyond.
const TEXTS: [(&str, &str); 16] = [
    ("us", "The quick brown fox; 0123456789 ~!@#$%^&*()_+{}|:\"<>? `-=[]\\',./"),
    ("gb", "Sphinx of black quartz: £3 ¬ ¦ € # ~ @ '"),
    ("de", "Zwölf Boxkämpfer jagen Viktor quer über den Deich: ß ẞ €µ²³{[]}\\~|@"),
    ("fr", "Voix ambiguë d'un cœur qui préfère les jattes de kiwis: «ÇÀÉ» § ¤ €"),
    ("es", "El pingüino Wenceslao hizo kilómetros: ñÑ ¿¡ ªº · €"),
    ("it", "Quel vituperabile xenofobo però: àèéìòù ç § ° €"),
    ("ru", "Съешь же ещё этих мягких французских булок № ₽"),
    ("jp", "いろはにほへと カタカナ 日本語 ¥ ー 「」"),
    ("pl", "Zażółć gęślą jaźń ŹĆ €"),
    ("el", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία"),
    ("he", "עטלף אבק נס דרך"),
    ("ar", "صِف خَلقَ خَودٍ"),
    ("ko", "다람쥐 헌 쳇바퀴"),
    ("hi", "ऋषियों को सताने वाले"),
    ("dead keys", "áàâäãå ÉÈÊË ñ õ ű ő ů č ŝ ḱ"),
    ("emoji", "🙂 👍🏽 👩‍🚀 🏳️‍🌈"),
];

/// A terminal that writes down what it is sent, byte by byte.
struct Terminal {
    child: Child,
    folder: tempfile::TempDir,
}

impl Terminal {
    /// One over the whole of the screen; none where xterm is not installed and not asked for.
    fn open(server: &Server) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("xterm")
            .args(["-geometry", "100x40+0+0", "-e", "/bin/sh", "-c"])
            .arg("stty raw -echo; exec cat > \"$TYPED\"")
            .envs(server.environment())
            .env("LANG", "C.UTF-8")
            .env("TYPED", folder.path().join("typed"))
            .env_remove("LC_ALL")
            .stdin(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self { child, folder }),
            Err(error) if std::env::var_os("NEARLIGHT_HOST").is_none_or(|asked| asked != "1") => {
                #[expect(
                    clippy::print_stderr,
                    reason = "the reason of a skip is for who runs the test"
                )]
                {
                    eprintln!("skipped: xterm cannot be started: {error}");
                }
                None
            }
            Err(error) => panic!("xterm cannot be started: {error}"),
        }
    }

    fn typed(&self) -> String {
        let path: &Path = &self.folder.path().join("typed");
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// Waits until what was typed is as it should be.
    fn wait(&self, is_all: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let typed = self.typed();
            if is_all(&typed) || begun.elapsed() > DEADLINE {
                return typed;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn inject(input: &mut XInput, event: InputEvent) {
    input.inject(&SequencedInput { seq: InputSeq(1), event }, MediaTime::ZERO);
}

fn key(input: &mut XInput, usage: u16, pressed: bool) {
    inject(input, InputEvent::Key { code: KeyCode(usage), pressed });
}

/// Types as a page does, in messages of at most 64 bytes.
fn type_text(input: &mut XInput, text: &str) {
    let mut piece = String::new();
    for character in text.chars() {
        if piece.len() + character.len_utf8() > 64 {
            inject(input, InputEvent::Text(std::mem::take(&mut piece)));
        }
        piece.push(character);
    }
    inject(input, InputEvent::Text(piece));
}

/// A terminal that takes what is typed, and what it was typed to find that out.
fn ready(server: &Server, input: &mut XInput) -> Option<(Terminal, String)> {
    let terminal = Terminal::open(server)?;
    let begun = Instant::now();
    let mut sent = 0;
    // What comes before it has its window is nobody's.
    while terminal.typed().is_empty() {
        assert!(begun.elapsed() < DEADLINE, "the terminal takes nothing");
        type_text(input, ".");
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(sent > 0);
    type_text(input, "!");
    let begin = terminal.wait(|typed| typed.ends_with('!'));
    assert!(begin.trim_start_matches('.') == "!", "{begin:?}");
    Some((terminal, begin))
}

#[test]
fn text_of_any_layout_and_script_arrives_in_a_terminal() {
    let Some(server) = server::start(800, 600) else { return };
    let mut input = server.connect().input(MediaTime::ZERO).unwrap();
    let Some((terminal, mut expected)) = ready(&server, &mut input) else { return };
    for (name, text) in TEXTS {
        type_text(&mut input, text);
        key(&mut input, 0x28, true);
        key(&mut input, 0x28, false);
        expected.push_str(text);
        expected.push('\r');
        let typed = terminal.wait(|typed| typed.len() >= expected.len());
        assert_eq!(typed, expected, "{name}");
    }
}

#[test]
fn what_is_held_or_locked_changes_no_text() {
    let Some(server) = server::start(800, 600) else { return };
    let mut input = server.connect().input(MediaTime::ZERO).unwrap();
    let Some((terminal, mut expected)) = ready(&server, &mut input) else { return };
    // Shift, Control, Alt, GUI, and all at once.
    for held in [&[0xe1][..], &[0xe0], &[0xe2], &[0xe6], &[0xe3], &[0xe0, 0xe1, 0xe2, 0xe6]] {
        held.iter().for_each(|&usage| key(&mut input, usage, true));
        type_text(&mut input, "aß日B");
        held.iter().for_each(|&usage| key(&mut input, usage, false));
        expected.push_str("aß日B");
        let typed = terminal.wait(|typed| typed.len() >= expected.len());
        assert_eq!(typed, expected, "{held:x?}");
    }
    // Caps Lock stays on for keys, and says nothing to text.
    let strike = |input: &mut XInput, usage| [true, false].map(|down| key(input, usage, down));
    strike(&mut input, 0x39);
    strike(&mut input, 0x04);
    type_text(&mut input, "aéя");
    strike(&mut input, 0x04);
    strike(&mut input, 0x39);
    strike(&mut input, 0x04);
    expected.push_str("AaéяAa");
    let typed = terminal.wait(|typed| typed.len() >= expected.len());
    assert_eq!(typed, expected);
    // What was held before a text is held after it.
    key(&mut input, 0xe1, true);
    type_text(&mut input, "x");
    strike(&mut input, 0x04);
    key(&mut input, 0xe1, false);
    expected.push_str("xA");
    // Its keys have their symbols back when the connection goes.
    let typed = terminal.wait(|typed| typed.len() >= expected.len());
    assert_eq!(typed, expected);
    // Another connection finds out by itself what is locked.
    strike(&mut input, 0x39);
    drop(input);
    let mut input = server.connect().input(MediaTime::ZERO).unwrap();
    type_text(&mut input, "y");
    expected.push('y');
    let typed = terminal.wait(|typed| typed.len() >= expected.len());
    assert_eq!(typed, expected);
}
