use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"
title = "A game"
summary = "A game to test with."
genre = "puzzle"
licence = "Free."
command = "sh"
"#;

/// A folder of entries: `(path below it, contents)`.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, contents) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, contents).expect("a file");
    }
    folder
}

fn read_one(text: &str) -> Result<Entry, Refused> {
    let folder = folder(&[("game/game.toml", text)]);
    let (mut entries, mut refused) = read(&[folder.path()]);
    assert_eq!(entries.len() + refused.len(), 1);
    entries.pop().ok_or_else(|| refused.pop().expect("one of both"))
}

/// The keys of what is wrong with `text`.
fn wrong_keys(text: &str) -> Vec<String> {
    let refused = read_one(text).expect_err(text);
    refused.problems.into_iter().map(|problem| problem.key).collect()
}

#[test]
fn shipped_entries_are_good() {
    let games = Path::new(env!("CARGO_MANIFEST_DIR")).join("../games");
    let (entries, refused) = read(&[games]);
    assert_eq!(refused, []);
    let ids: Vec<_> = entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["freedoom", "neverball", "terminal"]);
    for entry in entries {
        assert!(!entry.internet, "{}", entry.id);
        assert!(!entry.saves.is_empty(), "{}", entry.id);
        assert!(entry.requires.iter().all(|each| !each.package.is_empty()), "{}", entry.id);
    }
}

#[test]
fn the_document_has_every_key_and_no_other() {
    let document = include_str!("../../../docs/games.md");
    let (_, rest) = document.split_once("```toml\n").expect("an entry");
    let (entry, _) = rest.split_once("```").expect("its end");
    let folder = folder(&[("game/game.toml", entry), ("game/game.cfg", "")]);
    let (entries, refused) = read(&[folder.path()]);
    assert_eq!(refused, []);
    let (told, least) = (&entries[0], read_one(GOOD).expect("a good entry"));
    // It says what each key is without it, but for the pointer.
    assert_eq!(DisplayMode { pointer: least.display.pointer, ..told.display }, least.display);
    assert_eq!((told.limits, &told.sharing), (least.limits, &least.sharing));
    let of = |entry: &Entry| {
        let Entry { internet, channels, keyboard, touch, gamepads, .. } = *entry;
        (internet, channels, keyboard, touch, gamepads)
    };
    assert_eq!(of(told), of(&least));
    let ends = |entry: &Entry| (entry.stop_grace, entry.warm, entry.warm_settle);
    assert_eq!(ends(told), ends(&least));
    assert!(matches!(told.files[0].contents, Contents::Plain(_)));
    // Fields as they are written: of one a line.
    let fields = include_str!("file.rs").lines().filter_map(|line| {
        let (name, _) = line.trim().strip_prefix("pub(super) ")?.split_once(": ")?;
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_').then_some(name)
    });
    let is_told = |name: &str| {
        let starts = [format!("{name} = "), format!("[{name}]"), format!("[[{name}]]")];
        entry.lines().any(|line| starts.iter().any(|start| line.starts_with(start.as_str())))
    };
    let untold: Vec<_> = fields.filter(|name| !is_told(name)).collect();
    assert_eq!(untold, [""; 0]);
}

#[test]
fn the_least_entry_has_defaults() {
    let entry = read_one(GOOD).expect("a good entry");
    assert_eq!(entry.id.as_str(), "game");
    assert_eq!(entry.display.size, Size::new(1280, 720));
    assert_eq!(entry.limits.cpu_millis, 2000);
    assert_eq!(entry.limits.home, ByteSize(64 << 20));
    assert_eq!(entry.limits.gpu_memory, ByteSize(0));
    let draws =
        |device: &str| format!("{GOOD}devices = [{device:?}]\n[limits]\ngpu_memory_mib = 512");
    let drawn = read_one(&draws("gpu")).expect("a good entry");
    assert_eq!(drawn.limits.gpu_memory, ByteSize(512 << 20));
    assert_eq!(wrong_keys(&draws("pen")), ["limits.gpu_memory_mib"]);
    assert_eq!((entry.internet, entry.warm, entry.warm_settle.as_millis()), (false, 0, 3_000));
    assert_eq!(entry.channels, media::Layout::Surround71);
    let two = read_one(&format!("{GOOD}channels = 2")).expect("a good entry");
    assert_eq!(two.channels, media::Layout::Stereo);
    assert_eq!(entry.touch, TouchMode::Single);
    let several = read_one(&format!("{GOOD}touch = \"multi\"")).expect("a good entry");
    assert_eq!(several.touch, TouchMode::Multi);
    assert_eq!(wrong_keys(&format!("{GOOD}touch = true")), ["touch"]);
    assert_eq!(entry.missing(), None);
    let program = entry.program.find().expect("a shell");
    assert!(program.is_absolute());
}

#[test]
fn nothing_is_shared_that_an_entry_does_not_ask_for() {
    let none = Ways::default();
    let sharing = |text: &str| read_one(&format!("{GOOD}{text}")).expect(text).sharing;
    let least = sharing("");
    assert_eq!((least.clipboard, least.files, least.folder.as_str()), (none, none, "Nearlight"));
    let some =
        sharing("[sharing]\nclipboard = \"from_game\"\nfiles = \"upload\"\nfolder = \"a/b\"");
    assert_eq!(some.clipboard, Ways { from_game: true, to_game: false });
    assert_eq!(some.files, Ways { from_game: false, to_game: true });
    assert_eq!(some.folder.as_str(), "a/b");
    for (text, key) in [
        ("clipboard = \"in\"", "clipboard"),
        ("files = true", "files"),
        ("paste = \"both\"", "paste"),
        ("folder = \"../x\"", "sharing.folder"),
        ("folder = \"\"", "sharing.folder"),
    ] {
        assert_eq!(wrong_keys(&format!("{GOOD}[sharing]\n{text}")), [key], "{text}");
    }
}

#[test]
fn arguments_are_taken_literally() {
    let values = Values {
        size: Size::new(640, 360),
        rate: FrameRate::fps(30),
        home: "/home/player",
        entry: "/e",
    };
    let texts =
        ["$(id)", "`id`", "; rm -rf /", "a b", "\"", "'", "*", "~", "> x", "\\", "&&", "{width}"];
    let quoted: Vec<_> = texts.iter().map(|text| toml::Value::from(*text).to_string()).collect();
    let entry = read_one(&format!("{GOOD}arguments = [{}]", quoted.join(", "))).expect("an entry");
    let filled: Vec<_> = entry.arguments.iter().map(|each| each.fill(&values)).collect();
    assert_eq!(filled[..11], texts[..11]);
    assert_eq!(filled[11], "640");
}

#[test]
fn a_command_is_a_name_or_a_path_and_nothing_else() {
    let with = |command: &str| {
        let quoted = toml::Value::from(command).to_string();
        read_one(&GOOD.replace("\"sh\"", &quoted))
    };
    for command in [
        "",
        ".",
        "..",
        "./sh",
        "../sh",
        "bin/sh",
        "/usr/../bin/sh",
        "/",
        "//bin/sh",
        "/bin/sh/",
        "a\nb",
        "\u{0}",
    ] {
        let refused = with(command).expect_err(command);
        assert_eq!(refused.problems[0].key, "command", "{command:?}");
    }
    // No shell takes it apart: there is no program of that name.
    let entry = with("sh -c id").expect("a name");
    assert_eq!(entry.program.find(), None);
    assert_eq!(entry.missing().expect("it is missing").to_string(), "not installed: sh -c id");
}

#[test]
fn every_problem_is_named() {
    let text = r##"
title = ""
summary = "x"
genre = "puzzle"
licence = "x"
command = "../sh"
package = "-x"
arguments = ["{depth}"]
environment = { LD_PRELOAD = "x.so", PATH = "/", "A B" = "x", GOOD = "x" }
saves = ["/etc", "../x", "a/../../b", "ok", "ok/inner"]
stop_grace_ms = 60001
warm = 9
channels = 7
warm_settle_ms = 60001
[[requires]]
file = "relative"
[[requires]]
file = "/a"
command = "a"
[display]
width = 641
height = 63
max_width = 640
fps = 0
[limits]
cpus = nan
memory_mib = 1
gpu_memory_mib = 1
processes = 0
home_mib = 18446744073709551
[[files]]
from = "../../etc/passwd"
to = "x"
[[files]]
from = "absent"
to = "/x"
[[controls]]
input = ""
action = "\u0007"
"##;
    let mut keys = wrong_keys(text);
    keys.sort();
    keys.dedup();
    let expected = [
        "arguments.0",
        "channels",
        "command",
        "controls.0.action",
        "controls.0.input",
        "display",
        "display.fps",
        "display.height",
        "display.width",
        "environment.A B",
        "environment.LD_PRELOAD",
        "environment.PATH",
        "files.0.from",
        "files.1.from",
        "files.1.to",
        "limits.cpus",
        "limits.gpu_memory_mib",
        "limits.home_mib",
        "limits.memory_mib",
        "limits.processes",
        "package",
        "requires.0",
        "requires.1",
        "saves",
        "saves.0",
        "saves.1",
        "saves.2",
        "stop_grace_ms",
        "title",
        "warm",
        "warm_settle_ms",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn gamepads_of_the_start_are_gamepads() {
    assert_eq!(read_one(&format!("{GOOD}gamepads = 0")).expect("none").gamepads, 0);
    let with = |count: u8| format!("{GOOD}devices = [\"gamepad\"]\ngamepads = {count}");
    assert_eq!(read_one(&with(4)).expect("four").gamepads, 4);
    assert_eq!(wrong_keys(&with(5)), ["gamepads"]);
    assert_eq!(wrong_keys(&format!("{GOOD}gamepads = 1")), ["gamepads"]);
}

#[test]
fn a_display_that_is_resized_has_any_size_or_one_of_its_shape() {
    let with = |how: &str| read_one(&format!("{GOOD}[display]\n{how}")).expect(how).display.resize;
    assert_eq!(with(""), Resize::Any);
    assert_eq!(with("resize = true"), Resize::Any);
    assert_eq!(with("resize = false"), Resize::Never);
    assert_eq!(with("resize = \"same-shape\""), Resize::SameShape);
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_their_line() {
    for (more, key) in [
        ("comand = \"x\"", "comand"),
        ("warm = true", "warm"),
        ("genre = \"x\"", "genre"),
        ("[display]\ndepth = 24", "depth"),
        ("[display]\nresize = 1", "resize"),
        ("[display]\nresize = \"shape\"", "resize"),
        ("[limits]\nmemory_mib = -1", "memory_mib"),
        ("devices = [\"disk\"]", "devices"),
        ("gamepads = -1", "gamepads"),
        ("[[controls]]\ninput = \"a\"\naction = \"b\"\nx = 1", "x"),
        ("arguments = \"-x\"", "arguments"),
    ] {
        let text = match key {
            "genre" => GOOD.replace("genre = \"puzzle\"", more),
            _ => format!("{GOOD}{more}"),
        };
        let refused = read_one(&text).expect_err(more);
        assert_eq!(refused.problems[0].key, key, "{refused}");
        assert!(refused.to_string().contains("game.toml: "), "{refused}");
        assert!(refused.to_string().contains("(line "), "{refused}");
    }
    let refused = read_one(&GOOD.replace("command = \"sh\"", "")).expect_err("no command");
    assert!(refused.to_string().contains("command"), "{refused}");
    let refused = read_one("title = ").expect_err("no TOML");
    assert!(refused.to_string().contains("(line 1)"), "{refused}");
}

#[test]
fn one_bad_entry_harms_no_other() {
    let huge = format!("{GOOD}# {}", "x".repeat(70_000));
    let folder = folder(&[
        ("good/game.toml", GOOD),
        ("bad/game.toml", "nonsense"),
        ("huge/game.toml", &huge),
        ("empty/other.txt", ""),
        ("No Id/game.toml", GOOD),
        ("zz-good/game.toml", GOOD),
        (".hidden/game.toml", GOOD),
        ("README.md", "not an entry"),
    ]);
    fs::create_dir_all(folder.path().join("folder/game.toml")).expect("a folder");
    symlink(folder.path().join("good"), folder.path().join("link")).expect("a link");
    fs::create_dir(folder.path().join("linked")).expect("a folder");
    symlink("../good/game.toml", folder.path().join("linked/game.toml")).expect("a link");
    fs::create_dir(folder.path().join("pipe")).expect("a folder");
    let pipe = folder.path().join("pipe/game.toml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
    fs::create_dir(folder.path().join("latin")).expect("a folder");
    fs::write(folder.path().join("latin/game.toml"), b"title = \"\xe4\"").expect("a file");

    let (entries, refused) = read(&[folder.path()]);
    let ids: Vec<_> = entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["good", "zz-good"]);
    let name = |refused: &Refused| {
        let path = refused.path.strip_prefix(folder.path()).expect("within");
        path.components().next().expect("a name").as_os_str().to_string_lossy().into_owned()
    };
    let names: Vec<_> = refused.iter().map(name).collect();
    assert_eq!(
        names,
        ["No Id", "bad", "empty", "folder", "huge", "latin", "link", "linked", "pipe"]
    );
    // Those that have a file of their own keep their place.
    let ids: Vec<_> = refused.iter().filter_map(|each| Some(each.id.as_ref()?.as_str())).collect();
    assert_eq!(ids, ["bad", "folder", "huge", "latin", "linked", "pipe"]);
    assert!(refused[6].to_string().contains("symbolic link"), "{}", refused[6]);
    assert!(refused[7].to_string().contains("symbolic link"), "{}", refused[7]);
}

#[test]
fn a_folder_that_is_not_there_is_named_and_the_first_of_an_id_is_used() {
    let first = folder(&[("game/game.toml", GOOD)]);
    let second =
        folder(&[("game/game.toml", &GOOD.replace("A game", "B game")), ("b/game.toml", GOOD)]);
    let absent = first.path().join("absent");
    let (entries, refused) = read(&[first.path(), &absent, second.path()]);
    let titles: Vec<_> =
        entries.iter().map(|entry| (entry.id.as_str(), entry.title.as_str())).collect();
    assert_eq!(titles, [("game", "A game"), ("b", "A game")]);
    let paths: Vec<_> = refused.iter().map(|each| each.path.clone()).collect();
    assert_eq!(paths, [absent, second.path().join("game")]);
}

#[test]
fn files_come_from_the_folder_alone() {
    let outside = folder(&[("secret", "secret")]);
    let text = format!(
        "{GOOD}[[files]]\nfrom = \"link\"\nto = \"a\"\n[[files]]\nfrom = \"sub/x\"\nto = \"b\"\n\
         [[files]]\nfrom = \"good\"\nto = \"c\"\nfill = true\n[[files]]\nfrom = \"bytes\"\nto = \"d\"\n"
    );
    let folder =
        folder(&[("game/game.toml", &text), ("game/good", "{width}"), ("game/bytes", "{x}")]);
    let game = folder.path().join("game");
    symlink(outside.path().join("secret"), game.join("link")).expect("a link");
    symlink(outside.path(), game.join("sub")).expect("a link");
    let (_, refused) = read(&[folder.path()]);
    let keys: Vec<_> = refused[0].problems.iter().map(|each| each.key.as_str()).collect();
    assert_eq!(keys, ["files.0.from", "files.1.from"]);

    fs::remove_file(game.join("link")).expect("removed");
    fs::write(game.join("link"), "plain").expect("a file");
    fs::remove_file(game.join("sub")).expect("removed");
    fs::create_dir(game.join("sub")).expect("a folder");
    fs::write(game.join("sub/x"), [0, 255]).expect("a file");
    let (entries, refused) = read(&[folder.path()]);
    assert_eq!(refused, []);
    let values = Values { size: Size::new(64, 64), rate: FrameRate::fps(1), home: "", entry: "" };
    let bytes: Vec<_> = entries[0].files.iter().map(|file| file.contents.bytes(&values)).collect();
    assert_eq!(bytes, [b"plain".to_vec(), vec![0, 255], b"64".to_vec(), b"{x}".to_vec()]);
}

#[test]
fn posters_are_pictures_of_their_type() {
    let with = |name: &str, bytes: &[u8]| {
        let folder = folder(&[("game/game.toml", GOOD)]);
        fs::write(folder.path().join("game").join(name), bytes).expect("a file");
        read(&[folder.path()])
    };
    let (entries, _) = with("poster.png", b"\x89PNG\r\n\x1a\nrest");
    assert_eq!(entries[0].poster.as_ref().expect("a poster").media_type, "image/png");
    let (entries, _) = with("poster.webp", b"RIFF\0\0\0\0WEBPVP8 ");
    assert_eq!(entries[0].poster.as_ref().expect("a poster").media_type, "image/webp");
    for (name, bytes) in [
        ("poster.png", &b"<script>"[..]),
        ("poster.jpg", b"\x89PNG\r\n\x1a\nrest"),
        ("poster.webp", b"RIFF"),
        ("poster.jpg", &[0xff; (1 << 20) + 1]),
    ] {
        let (entries, refused) = with(name, bytes);
        assert!(entries.is_empty());
        assert_eq!(refused[0].problems[0].key, name);
    }
}

#[test]
fn what_is_missing_is_told_with_its_packages() {
    let folder = folder(&[("there", ""), ("program", "")]);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let text = format!(
        "{}package = \"game\"\n[[requires]]\nfile = {:?}\npackage = \"here\"\n\
         [[requires]]\nfile = {:?}\npackage = \"data\"\n[[requires]]\ncommand = {:?}\npackage = \"data\"\n",
        GOOD.replace("\"sh\"", "\"nearlight-no-such-game\""),
        at("there"),
        at("absent"),
        at("program"),
    );
    let entry = read_one(&text).expect("an entry");
    let missing = entry.missing().expect("not all is there");
    assert_eq!(missing.packages, ["data", "game"]);
    assert_eq!(
        missing.to_string(),
        format!(
            "not installed: nearlight-no-such-game, {}, {} (apt install data game)",
            at("absent"),
            at("program")
        )
    );
    // A file that cannot be run is no program, until it can.
    let runs = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path().join("program"), runs).expect("permissions");
    assert_eq!(entry.missing().expect("not all is there").what.len(), 2);
}

#[test]
fn a_program_of_32_bits_is_refused_by_name() {
    let folder =
        folder(&[("small", "\x7fELF\x01\x01"), ("large", "\x7fELF\x02\x01"), ("short", "\x7fE")]);
    let unfit = |name: &str| {
        let path = folder.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
        let entry = read_one(&GOOD.replace("\"sh\"", &format!("{path:?}"))).expect("an entry");
        entry.unfit()
    };
    assert!(unfit("small").is_some_and(|why| why.contains("small is a 32-bit program")));
    assert_eq!([unfit("large"), unfit("short")], [None, None]);
    assert_eq!(read_one(GOOD).expect("an entry").unfit(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics(text in "[\\[\\]a-z=\"{}.0-9\n -]{0,200}") {
        let _ = file::parse(&text);
        let _ = read_one(&format!("{GOOD}{text}"));
    }

    #[test]
    fn any_unknown_key_refuses(key in "[a-z_]{1,12}") {
        prop_assume!(![
            "title", "summary", "genre", "licence", "command", "package", "arguments", "environment",
            "internet", "devices", "channels", "gamepads", "saves", "stop_grace_ms", "warm", "warm_settle_ms", "requires", "display", "limits",
            "files", "controls",
        ].contains(&key.as_str()));
        prop_assert_eq!(wrong_keys(&format!("{GOOD}{key} = 1")), [key]);
    }

    #[test]
    fn ids_are_plain(text in "\\PC{0,50}") {
        if let Some(id) = GameId::parse(&text) {
            prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!((1..=40).contains(&id.as_str().len()));
        }
    }
}
