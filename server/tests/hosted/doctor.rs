//! What `nearlight doctor` says of hosting: each thing by itself, found or with the reason why not. Needs no sandboxes.

use std::fs;
use std::path::Path;

use nearlight::config::Config;
use nearlight::doctor;
use nearlight::encoders::Probing;

use crate::bed::{Game, write};
use crate::common::config;

/// Verdicts of the part on hosting, by the names of their rows.
fn hosting(config: &Config) -> impl Fn(&str) -> String + use<> {
    let (report, _) = doctor::report(config, &Probing::in_process());
    let (_, part) = report.split_once("\nhosted games").expect("a part on hosting");
    let part = part.to_owned();
    move |name| {
        let row = part.lines().find_map(|line| line.trim_start().strip_prefix(name));
        row.unwrap_or_else(|| panic!("no {name} in {part}")).trim().to_owned()
    }
}

fn game(id: &'static str, entry: &str) -> Game {
    Game { id, entry: entry.into(), file: ("nothing", "") }
}

#[test]
fn the_doctor_says_of_hosting_what_is_there_and_why_not() {
    let [games, run] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let entries = [
        game("plays", "command = \"/bin/true\"\nwarm = 2\n"),
        game("absent", "command = \"nonesuch-game\"\npackage = \"nonesuch\"\n"),
        game("broken", "command = \"/bin/true\"\ncolour = \"red\"\n"),
    ];
    entries.iter().for_each(|entry| write(games.path(), entry));
    let with = |more: &[&str]| {
        let ours = [
            format!("games.folders=[{:?}]", games.path()),
            format!("games.run={}", run.path().display()),
        ];
        let all: Vec<_> = ours.iter().map(String::as_str).chain(more.iter().copied()).collect();
        hosting(&config(&all))
    };
    let root = rustix::process::geteuid().is_root();

    let row = with(&[
        "games.init=/nonesuch/nearlight-init",
        "games.gpu=[\"/dev/nonesuch\"]",
        "games.devices=off",
        "games.first_user=1",
        "games.users=16",
    ]);
    assert!(
        row("nearlight-init").contains("/nonesuch/nearlight-init"),
        "{}",
        row("nearlight-init")
    );
    assert_eq!(row("user namespaces"), "not tried: something above is missing");
    assert_eq!(row("internet (passt)"), "not tried: nearlight-init is missing");
    let users = row("users");
    assert!(!root || users.starts_with("1 to 16 is used by the user "), "{users}");
    let graphics = row("graphics for games");
    assert!(graphics.contains("/dev/nonesuch") && !graphics.starts_with("ok"), "{graphics}");
    let memory = row("graphics memory");
    assert!(memory.starts_with("of /dev/nonesuch is not known: "), "{memory}");
    let xorg = row("Xorg (fingers)");
    assert!(xorg.starts_with("ok, /usr/lib/xorg") || xorg.contains("; install xserver-"), "{xorg}");
    let pads = row("gamepads, pens (uinput)");
    assert!(pads.contains("games.devices") && !pads.starts_with("ok"), "{pads}");
    assert!(row("DualSense (uhid)").starts_with("only beside gamepads"), "{pads}");
    assert!(row("pictures converted").starts_with("on "), "{}", row("pictures converted"));
    // Entries, each by its id.
    assert_eq!(row("plays"), "ok");
    let absent = row("absent");
    assert!(absent.contains("nonesuch-game") && absent.contains("nonesuch"), "{absent}");
    let broken = row("not listed");
    assert!(broken.contains("broken/game.toml: ") && broken.contains("colour"), "{broken}");
    assert_eq!(row("started ahead"), "ok, 2 plays, 4 in all at most");

    let row = with(&["games.max_warm=0", "games.convert=cpu"]);
    assert_eq!(row("pictures converted"), "on the processor: games.convert is cpu");
    assert_eq!(row("graphics for games"), "none: games.gpu names no device nodes");
    assert_eq!(row("graphics memory"), "none");
    assert_eq!(row("started ahead"), "none of 2 plays: games.max_warm is 0");
    fs::remove_dir_all(games.path().join("plays")).unwrap();
    assert_eq!(with(&[])("started ahead"), "none: no entry asks for it (warm)");
    // Where it says that sandboxes can be had, all that they need is there.
    let init = Path::new(env!("CARGO_BIN_EXE_nearlight")).with_file_name("nearlight-init");
    let row = with(&[&format!("games.init={}", init.display())]);
    if row("user namespaces").starts_with("ok") {
        for name in ["bubblewrap", "Xvfb", "nearlight-init", "users"] {
            assert!(row(name).starts_with("ok, "), "{name}: {}", row(name));
        }
    }
}
