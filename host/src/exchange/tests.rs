use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// A home on the disk, and its exchange.
struct Bed {
    home: tempfile::TempDir,
    exchange: Arc<Exchange>,
}

fn bed(file: u64, total: u64, count: usize) -> Bed {
    let home = tempfile::tempdir().unwrap();
    let fd: OwnedFd = File::open(home.path()).unwrap().into();
    let folder = HomePath::parse("in/Nearlight").unwrap();
    let limits = ExchangeLimits { file, total, count };
    let exchange = Arc::new(Exchange::open(Arc::new(fd), folder, limits).unwrap());
    Bed { home, exchange }
}

impl Bed {
    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join("in/Nearlight").join(name)
    }

    fn begin(&self, text: &str, bytes: Option<u64>) -> Result<Upload, ExchangeError> {
        self.exchange.upload(name(text), bytes)
    }

    fn bring(&self, text: &str, bytes: &[u8]) -> Result<u64, ExchangeError> {
        let mut upload = self.begin(text, None)?;
        upload.write(bytes)?;
        upload.finish()
    }

    /// Everything in the folder, hidden or not.
    fn all(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at("")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn listed(&self) -> Vec<(String, u64)> {
        let (files, _) = self.exchange.list().unwrap();
        files.into_iter().map(|file| (file.name.as_str().to_owned(), file.bytes)).collect()
    }
}

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

#[test]
fn files_come_are_listed_read_and_go() {
    let bed = bed(100, 250, 10);
    assert_eq!(bed.bring("b.txt", b"second").unwrap(), 6);
    assert_eq!(bed.bring("ä 1.txt", b"").unwrap(), 0);
    assert_eq!(bed.listed(), [("b.txt".into(), 6), ("ä 1.txt".into(), 0)]);
    assert_eq!(bed.exchange.list().unwrap().1, 244);
    let (mut file, bytes) = bed.exchange.read(&name("b.txt")).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), bytes), ("second", 6));
    assert_eq!(fs::metadata(bed.at("b.txt")).unwrap().permissions().mode() & 0o777, 0o600);
    bed.exchange.remove(&name("b.txt")).unwrap();
    assert!(matches!(bed.exchange.remove(&name("b.txt")), Err(ExchangeError::Absent)));
    assert!(matches!(bed.exchange.read(&name("b.txt")), Err(ExchangeError::Absent)));
    assert_eq!(bed.all(), ["ä 1.txt"]);
}

#[test]
fn an_upload_has_no_name_before_it_is_whole_and_one_that_is_cut_off_leaves_nothing() {
    let bed = bed(100, 250, 10);
    bed.bring("a", b"old").unwrap();
    let mut upload = bed.begin("a", Some(8)).unwrap();
    upload.write(b"new").unwrap();
    assert_eq!(bed.all(), ["a"]);
    assert_eq!(fs::read(bed.at("a")).unwrap(), b"old");
    assert_eq!(bed.exchange.list().unwrap().1, 250 - 3 - 8);
    drop(upload);
    assert_eq!(bed.all(), ["a"]);
    assert_eq!(bed.exchange.list().unwrap().1, 247);
    bed.bring("a", b"newer").unwrap();
    assert_eq!((bed.all(), fs::read(bed.at("a")).unwrap()), (vec!["a".into()], b"newer".to_vec()));
}

#[test]
fn bounds_hold_while_files_come() {
    let bed = bed(100, 250, 3);
    let too_large = |result: Result<u64, _>| {
        assert!(matches!(result, Err(ExchangeError::TooLarge { most: 100 })), "{result:?}");
    };
    too_large(bed.bring("a", &[0; 101]));
    too_large(bed.begin("a", Some(101)).map(|_| 0));
    assert_eq!(bed.all(), [""; 0]);
    // Those that come at once count together, by what they say or by what came of them.
    let mut first = bed.begin("a", Some(100)).unwrap();
    let mut second = bed.begin("b", None).unwrap();
    second.write(&[0; 100]).unwrap();
    let mut third = bed.begin("c", None).unwrap();
    third.write(&[0; 50]).unwrap();
    assert!(matches!(third.write(&[0]), Err(ExchangeError::Full { most: 250 })));
    assert!(matches!(bed.begin("d", None), Err(ExchangeError::TooMany { most: 3 })));
    drop(third);
    first.write(&[0; 100]).unwrap();
    first.finish().unwrap();
    // What came whole since it began still counts.
    let mut third = bed.begin("c", None).unwrap();
    second.finish().unwrap();
    third.write(&[0; 50]).unwrap();
    assert!(matches!(third.write(&[0]), Err(ExchangeError::Full { .. })));
    drop(third);
    bed.bring("c", &[0; 50]).unwrap();
    assert!(matches!(bed.begin("d", None), Err(ExchangeError::TooMany { most: 3 })));
    // One that is there can be replaced.
    bed.exchange.remove(&name("b")).unwrap();
    bed.bring("c", &[1; 60]).unwrap();
}

#[test]
fn only_so_many_come_at_once() {
    let bed = bed(100, 1000, 100);
    let uploads: Vec<_> =
        (0..MOST_UPLOADS).map(|n| bed.begin(&format!("f{n}"), None).unwrap()).collect();
    assert!(matches!(bed.begin("more", None), Err(ExchangeError::Busy)));
    drop(uploads);
    bed.bring("more", b"x").unwrap();
    std::thread::scope(|scope| {
        for n in 0..MOST_UPLOADS {
            let bed = &bed;
            scope.spawn(move || {
                for round in 0..20 {
                    bed.bring(&format!("f{}", n % 2), format!("{n} {round}").as_bytes()).unwrap();
                }
            });
        }
    });
    assert_eq!(bed.all(), ["f0", "f1", "more"]);
}

#[test]
fn nothing_that_a_game_plants_leads_out() {
    let bed = bed(100, 1000, 100);
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("key"), "secret").unwrap();
    symlink(secret.path().join("key"), bed.at("link")).unwrap();
    symlink(secret.path(), bed.at("folder-link")).unwrap();
    symlink("/proc/self/environ", bed.at("magic")).unwrap();
    fs::create_dir(bed.at("folder")).unwrap();
    rustix::fs::mknodat(CWD, bed.at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bed.at("socket")).unwrap();
    fs::write(bed.at("in\nvoice"), "x").unwrap();
    fs::write(bed.at(".hidden"), "x").unwrap();
    assert_eq!(bed.listed(), []);
    for text in ["link", "folder-link", "magic", "folder", "pipe", "socket"] {
        let read = bed.exchange.read(&name(text));
        assert!(matches!(read, Err(ExchangeError::Absent)), "{text}: {:?}", read.err());
    }
    // What is brought takes the place of a link, and leaves alone what it led to.
    bed.bring("link", b"mine").unwrap();
    assert_eq!(fs::read(bed.at("link")).unwrap(), b"mine");
    assert_eq!(fs::read(secret.path().join("key")).unwrap(), b"secret");
    let replaced = bed.bring("folder", b"mine");
    assert!(matches!(replaced, Err(ExchangeError::Replaced(_))), "{replaced:?}");
    assert!(!bed.all().iter().any(|name| name.starts_with(TAKING_PLACE)), "{:?}", bed.all());
    // A link in place of the folder leads nowhere either.
    fs::rename(bed.at(""), bed.home.path().join("in/away")).unwrap();
    symlink(secret.path(), bed.home.path().join("in/Nearlight")).unwrap();
    for result in [bed.bring("new", b"x").map(drop), bed.exchange.list().map(drop)] {
        assert!(matches!(result, Err(ExchangeError::Replaced(_))), "{result:?}");
    }
    assert_eq!(fs::read_dir(secret.path()).unwrap().count(), 1);
    // One that the game takes away comes back.
    fs::remove_file(bed.home.path().join("in/Nearlight")).unwrap();
    assert_eq!(bed.listed(), []);
    bed.bring("new", b"x").unwrap();
}

#[test]
fn a_game_that_fills_the_folder_costs_nobody_else_anything() {
    let bed = bed(100, 1000, 10);
    for n in 0..20 {
        fs::write(bed.at(&format!("spam{n}")), "").unwrap();
    }
    assert!(matches!(bed.begin("mine", None), Err(ExchangeError::TooMany { most: 10 })));
    for n in 0..20 {
        fs::remove_file(bed.at(&format!("spam{n}"))).unwrap();
    }
    // Larger than any disk, and not there.
    File::create(bed.at("hole")).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(bed.bring("mine", b"x"), Err(ExchangeError::Full { most: 1000 })));
    let read = bed.exchange.read(&name("hole"));
    assert!(matches!(read, Err(ExchangeError::TooLarge { most: 100 })), "{:?}", read.err());
    assert_eq!(bed.exchange.list().unwrap().1, 0);
    bed.exchange.remove(&name("hole")).unwrap();
    bed.bring("mine", b"x").unwrap();
}

#[test]
fn names_that_are_no_names_are_refused() {
    let long = "n".repeat(201);
    for text in [
        "",
        ".",
        "..",
        ".bashrc",
        "a/b",
        "../a",
        "/etc/passwd",
        "a\\b",
        "a\0",
        "a\nb",
        "a\u{202e}gpj.exe",
        "\u{85}",
        &long,
    ] {
        FileName::parse(text).expect_err(text);
    }
    for text in ["a", "-rf", "ü 😀.png", "$(id)", "a..b", "CON", &long[1..]] {
        assert_eq!(name(text).as_str(), text);
    }
}

proptest! {
    #[test]
    fn what_is_taken_as_a_name_is_one_step(text in "\\PC{0,12}|[./\\\\ \\x00-\\x20a\u{202e}-]{0,8}") {
        if let Ok(name) = FileName::parse(&text) {
            let path = HomePath::parse(name.as_str());
            prop_assert_eq!(path.map(|path| path.names().count()), Ok(1));
        }
    }
}
