use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::disk::Step;
use super::*;

struct Bed {
    root: TempDir,
    home: TempDir,
    game: GameId,
    paths: Vec<HomePath>,
    limits: SaveLimits,
}

impl Bed {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a home");
        let paths =
            ["saves", "a/config"].map(|text| HomePath::parse(text).expect("a path")).to_vec();
        let limits = SaveLimits {
            bytes: 10_000,
            files: 20,
            depth: 6,
            keep: 3,
            pinned: 2,
            ..SaveLimits::default()
        };
        let game = GameId::parse("game").expect("an id");
        let bed = Self { root: tempfile::tempdir().expect("a root"), home, game, paths, limits };
        bed.put("saves/one", "1");
        bed.put("a/config", "config");
        bed.put("other", "not kept");
        bed
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.home.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn store(&self) -> Store {
        Store::open(self.root.path(), self.limits).expect("a store")
    }

    fn owner(&self) -> Owner<'_> {
        Owner { player: "../some body", game: &self.game }
    }

    fn save_in(&self, store: &Store) -> Result<Saved, SaveError> {
        let home = fs::File::open(self.home.path()).expect("the home");
        let (now, game_version) = (Duration::from_secs(7), "1.2");
        let snapshot =
            Snapshot { home: home.as_fd(), paths: &self.paths, now, game_version, base: None };
        store.save(self.owner(), &snapshot)
    }

    fn save(&self) -> Result<Saved, SaveError> {
        self.save_in(&self.store())
    }

    fn made(&self) -> Version {
        match self.save().expect("saved") {
            Saved::Made { version, .. } => version,
            other => panic!("{other:?}"),
        }
    }

    fn restore_in(&self, store: &Store, version: Version) -> Result<Manifest, RestoreError> {
        let home = fs::File::open(self.home.path()).expect("the home");
        store.restore(self.owner(), version, home)
    }

    fn restore(&self, version: Version) -> Result<Manifest, RestoreError> {
        self.restore_in(&self.store(), version)
    }

    fn numbers(&self) -> Vec<u64> {
        let listed = self.store().list(self.owner()).expect("a list");
        listed.iter().map(|each| each.version.0).collect()
    }

    /// Everything in the home.
    fn state(&self) -> BTreeMap<String, String> {
        tree(self.home.path())
    }

    /// The folder of a version.
    fn folder(&self, version: Version) -> std::path::PathBuf {
        let player = fs::read_dir(self.root.path()).expect("the root").next().expect("a player");
        player.expect("a player").path().join("game").join(format!("{:012}", version.0))
    }
}

fn tree(at: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![at.to_owned()];
    while let Some(folder) = folders.pop() {
        for each in fs::read_dir(folder).expect("a folder") {
            let path = each.expect("an entry").path();
            let name = path.strip_prefix(at).expect("within").to_string_lossy().into_owned();
            if path.is_symlink() {
                found.insert(name, "link".into());
            } else if path.is_dir() {
                found.insert(name, "folder".into());
                folders.push(path);
            } else {
                found.insert(name, fs::read_to_string(path).unwrap_or_default());
            }
        }
    }
    found
}

#[test]
fn a_version_brings_the_state_back() {
    let bed = Bed::new();
    bed.put("saves/deep/er/two", "2");
    let long = format!("saves/{}/{}", "l".repeat(120), "n".repeat(200));
    bed.put(&long, "long");
    fs::set_permissions(bed.home.path().join("saves/one"), fs::Permissions::from_mode(0o755))
        .expect("permissions");
    fs::create_dir(bed.home.path().join("saves/empty")).expect("a folder");
    let before = bed.state();
    let version = bed.made();
    bed.put("saves/one", "changed");
    bed.put("saves/later", "x");
    fs::remove_file(bed.home.path().join("a/config")).expect("removed");
    fs::remove_dir_all(bed.home.path().join("saves/deep")).expect("removed");
    let manifest = bed.restore(version).expect("restored");
    assert_eq!(bed.state(), before);
    assert_eq!(
        (manifest.game_version.as_str(), manifest.saved_at),
        ("1.2", Duration::from_secs(7))
    );
    let mode =
        |path: &str| fs::metadata(bed.home.path().join(path)).expect("a file").mode() & 0o777;
    assert_eq!((mode("saves/one"), mode("a/config")), (0o700, 0o600));
    // Into a home that has nothing yet, and of which the version lacks a path.
    fs::remove_dir_all(bed.home.path().join("a")).expect("removed");
    let version = bed.made();
    bed.put("a/config", "new");
    bed.restore(version).expect("restored");
    assert!(!bed.home.path().join("a/config").exists());
}

#[test]
fn versions_are_kept_pinned_and_deleted() {
    let bed = Bed::new();
    let store = bed.store();
    for n in 1..=2 {
        bed.put("saves/one", &n.to_string());
        bed.made();
    }
    assert_eq!(bed.save().expect("saved"), Saved::Unchanged(Version(2)));
    store.pin(bed.owner(), Version(1), true).expect("pinned");
    for n in 3..=6 {
        bed.put("saves/one", &n.to_string());
        bed.made();
    }
    assert_eq!(bed.numbers(), [6, 5, 4, 1]);
    store.pin(bed.owner(), Version(5), true).expect("pinned");
    let refused = store.pin(bed.owner(), Version(6), true).expect_err("two are pinned");
    assert!(matches!(refused, StoreError::Pinned { most: 2 }));
    store.pin(bed.owner(), Version(1), false).expect("unpinned");
    store.delete(bed.owner(), Version(5)).expect("deleted");
    assert!(matches!(store.delete(bed.owner(), Version(5)), Err(StoreError::Absent)));
    assert!(matches!(bed.restore(Version(5)), Err(RestoreError::Absent)));
    assert_eq!(bed.numbers(), [6, 4, 1]);
    let other = Owner { player: "another", game: &bed.game };
    assert_eq!(store.list(other).expect("a list"), []);
    fs::remove_dir_all(bed.home.path().join("saves")).expect("removed");
    fs::remove_dir_all(bed.home.path().join("a")).expect("removed");
    assert_eq!(bed.save().expect("nothing"), Saved::Nothing);
    assert_eq!(bed.numbers(), [6, 4, 1]);
}

#[test]
fn a_player_is_told_of_all_games_that_it_has_versions_of() {
    let bed = Bed::new();
    let store = bed.store();
    let games = || store.games(bed.owner().player).expect("a list");
    assert_eq!(games(), []);
    bed.made();
    bed.put("saves/one", "2");
    bed.made();
    let of = |id: &str| GameId::parse(id).expect("an id");
    assert_eq!(games(), [(of("game"), 2)]);
    assert_eq!(store.games("somebody else").expect("a list"), []);
    let another = Bed { game: of("another"), ..Bed::new() };
    another.save_in(&store).expect("saved");
    assert_eq!(games(), [(of("another"), 1), (of("game"), 2)]);
    for version in bed.numbers() {
        store.delete(bed.owner(), Version(version)).expect("deleted");
    }
    assert_eq!(games(), [(of("another"), 1)]);
}

#[test]
fn nothing_outside_is_read_and_what_is_left_out_is_counted() {
    let bed = Bed::new();
    let secret = tempfile::tempdir().expect("a folder");
    fs::write(secret.path().join("key"), "secret").expect("a file");
    let at = |path: &str| bed.home.path().join(path);
    symlink(secret.path().join("key"), at("saves/key")).expect("a link");
    symlink(secret.path(), at("saves/folder")).expect("a link");
    fs::hard_link(at("other"), at("saves/second")).expect("a link");
    rustix::fs::mkfifoat(rustix::fs::CWD, at("saves/pipe"), Mode::RUSR).expect("a pipe");
    let socket = std::os::unix::net::UnixListener::bind(at("saves/socket")).expect("a socket");
    fs::write(at("saves/line\nbreak"), "x").expect("a file");
    fs::remove_dir_all(at("a")).expect("removed");
    symlink(secret.path(), at("a")).expect("a link");
    fs::write(secret.path().join("config"), "secret").expect("a file");
    let Saved::Made { version, skipped } = bed.save().expect("saved") else { panic!("not made") };
    drop(socket);
    let expected = Skipped { links: 3, linked_files: 1, special: 2, names: 1 };
    assert_eq!((skipped, skipped.total()), (expected, 7));
    let archive = fs::read(bed.folder(version).join("files.tar")).expect("the archive");
    assert!(!archive.windows(6).any(|bytes| bytes == b"secret"));
    // A link in the way of a restored path is not followed: nothing is written behind it.
    fs::remove_file(at("a")).expect("removed");
    bed.put("a/config", "own");
    let version = bed.made();
    fs::remove_dir_all(at("a")).expect("removed");
    symlink(secret.path(), at("a")).expect("a link");
    fs::remove_dir_all(at("saves")).expect("removed");
    symlink(secret.path(), at("saves")).expect("a link");
    let before = bed.state();
    assert!(matches!(bed.restore(version), Err(RestoreError::Home(_))));
    assert_eq!(bed.state(), before);
    assert_eq!(fs::read_to_string(secret.path().join("config")).expect("a file"), "secret");
}

#[test]
fn limits_refuse_and_keep_what_is_there() {
    let bed = Bed::new();
    bed.made();
    let refused = |bed: &Bed, path: &str, text: &str| {
        bed.put(path, text);
        let error = bed.save().expect_err(path);
        let top = path.split('/').take(2).collect::<Vec<_>>().join("/");
        let top = bed.home.path().join(top);
        fs::remove_dir_all(&top).or_else(|_| fs::remove_file(&top)).expect("removed");
        error
    };
    let large = "x".repeat(10_001);
    assert!(matches!(refused(&bed, "saves/large", &large), SaveError::TooLarge { most: 10_000 }));
    assert!(matches!(refused(&bed, "saves/1/2/3/4/5/6", ""), SaveError::TooDeep { .. }));
    let long = format!("saves/{0}/{0}/{0}", "n".repeat(200));
    assert!(matches!(refused(&bed, &long, ""), SaveError::TooLong { .. }));
    for n in 0..20 {
        bed.put(&format!("saves/many/{n}"), "");
    }
    assert!(matches!(bed.save(), Err(SaveError::TooMany { most: 20 })));
    assert_eq!(bed.numbers(), [1]);
    let folder = bed.folder(Version(1));
    assert!(!folder.parent().expect("a parent").join("new").exists());
}

#[test]
fn what_is_as_it_was_when_the_game_began_is_not_saved() {
    let bed = Bed::new();
    let store = bed.store();
    let home = fs::File::open(bed.home.path()).expect("the home");
    let save = |base: &State| {
        let (now, game_version) = (Duration::ZERO, "");
        let (home, base) = (home.as_fd(), Some(base));
        let snapshot = Snapshot { home, paths: &bed.paths, now, game_version, base };
        store.save(bed.owner(), &snapshot).expect("saved")
    };
    let fresh = store.state(home.as_fd(), &bed.paths).expect("the state");
    assert_eq!(save(&fresh), Saved::Untouched);
    assert_eq!(fs::read_dir(bed.root.path()).expect("the root").count(), 0, "nothing is left");
    assert!(matches!(store.delete(bed.owner(), Version(1)), Err(StoreError::Absent)));
    assert!(matches!(bed.restore(Version(1)), Err(RestoreError::Absent)));
    bed.put("saves/one", "changed");
    assert!(matches!(save(&fresh), Saved::Made { version: Version(1), .. }));
    bed.put("saves/one", "again");
    assert!(matches!(save(&fresh), Saved::Made { version: Version(2), .. }));
    // An older version that is played from and left as it is makes none, though it is not the newest.
    let base = bed.restore(Version(1)).expect("restored").state();
    assert_eq!(save(&base), Saved::Untouched);
    assert_eq!(bed.numbers(), [2, 1]);
}

#[test]
fn a_game_is_held_while_its_home_is_read_and_no_longer() {
    let bed = Bed::new();
    let (reads, written) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (held, steps) = (Arc::clone(&reads), Arc::clone(&written));
    // The disk is waited for when all is read.
    let disk = Disk::failing(Box::new(move |step| {
        let ends = u32::from(step == Step::Sync && held.load(Ordering::Relaxed) > 0);
        steps.fetch_add(ends, Ordering::Relaxed);
        Ok(())
    }));
    let store = Store::on(bed.root.path(), bed.limits, disk).expect("a store");
    struct Hold(Arc<AtomicU32>);
    impl Drop for Hold {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let home = fs::File::open(bed.home.path()).expect("the home");
    let (home, paths) = (home.as_fd(), &bed.paths);
    let snapshot = Snapshot { home, paths, now: Duration::ZERO, game_version: "", base: None };
    let saved = store.save_while(bed.owner(), &snapshot, || {
        // Changed at the last moment, which is when it is read.
        bed.put("saves/one", "at the last moment");
        reads.fetch_add(1, Ordering::Relaxed);
        Ok(Hold(Arc::clone(&reads)))
    });
    assert!(matches!(saved, Ok(Saved::Made { .. })));
    assert_eq!(reads.load(Ordering::Relaxed), 0);
    assert_eq!(written.load(Ordering::Relaxed), 0, "nothing waits for the disk meanwhile");
    bed.put("saves/one", "later");
    bed.restore(Version(1)).expect("restored");
    assert_eq!(bed.state()["saves/one"], "at the last moment");
    let refuse = || io::Result::<()>::Err(io::Error::other("it runs on"));
    let refused = store.save_while(bed.owner(), &snapshot, refuse).expect_err("not held");
    assert_eq!(refused.to_string(), "the game cannot be halted: it runs on");
    assert_eq!(bed.numbers(), [1]);
}

#[test]
fn old_versions_give_way_to_what_all_may_have() {
    let mut bed = Bed::new();
    let large = |n: u32| format!("{n}").repeat(4_000);
    bed.put("saves/one", &large(1));
    bed.made();
    let one = bed.store().used();
    // Two of them fit, three do not.
    bed.limits.together = 2 * one + one / 2;
    for n in 2..=4 {
        bed.put("saves/one", &large(n));
        bed.made();
    }
    assert_eq!(bed.numbers(), [4, 3]);
    bed.limits.together = 1;
    bed.put("saves/one", &large(5));
    bed.made();
    assert_eq!(bed.numbers(), [5], "the newest stays");
}

#[test]
fn a_full_store_refuses_and_keeps_what_is_there() {
    let mut bed = Bed::new();
    let large = |n: u32| format!("{n}").repeat(4_000);
    bed.put("saves/one", &large(1));
    bed.made();
    let one = bed.store().used();
    bed.limits.total = 2 * one + one / 2;
    let store = bed.store();
    assert_eq!(store.used(), one);
    for n in 2..=5 {
        bed.put("saves/one", &large(n));
        assert!(matches!(bed.save_in(&store), Ok(Saved::Made { .. })), "an older one gave way");
    }
    assert_eq!((bed.numbers(), store.used()), (vec![5, 4], 2 * one));
    let other = Owner { player: "another", game: &bed.game };
    let home = fs::File::open(bed.home.path()).expect("the home");
    let (home, paths) = (home.as_fd(), &bed.paths);
    let snapshot = Snapshot { home, paths, now: Duration::ZERO, game_version: "", base: None };
    let refused = store.save(other, &snapshot).expect_err("no room");
    assert_eq!(
        refused.to_string(),
        format!("the node keeps as many bytes of saves as it may: {}", bed.limits.total)
    );
    assert_eq!((bed.numbers(), store.used()), (vec![5, 4], 2 * one));
    store.delete(bed.owner(), Version(4)).expect("deleted");
    assert!(matches!(store.save(other, &snapshot), Ok(Saved::Made { .. })));
    assert_eq!(store.used(), bed.store().used(), "as if it was measured anew");
}

#[test]
fn an_older_version_is_made_the_newest_again() {
    let bed = Bed::new();
    let store = bed.store();
    bed.made();
    bed.put("saves/one", "later");
    bed.made();
    let now = Duration::from_secs(9);
    let renewed = store.renew(bed.owner(), Version(1), now).expect("renewed");
    assert!(matches!(renewed, Saved::Made { version: Version(3), .. }));
    let again = store.renew(bed.owner(), Version(1), now).expect("it is");
    assert_eq!(again, Saved::Unchanged(Version(3)));
    assert!(matches!(store.renew(bed.owner(), Version(7), now), Err(RestoreError::Absent)));
    assert_eq!(bed.numbers(), [3, 2, 1]);
    let manifest = bed.restore(Version(3)).expect("restored");
    assert_eq!((manifest.saved_at, bed.state()["saves/one"].as_str()), (now, "1"));
    let (manifest, mut archive) = store.read(bed.owner(), Version(3)).expect("read");
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut archive, &mut bytes).expect("the archive");
    assert_eq!(bytes.len() as u64, manifest.archive_bytes);
    fs::write(bed.folder(Version(1)).join("files.tar"), "damaged").expect("the archive");
    assert!(matches!(store.renew(bed.owner(), Version(1), now), Err(RestoreError::Damaged(_))));
    assert!(matches!(store.read(bed.owner(), Version(1)), Err(RestoreError::Damaged(_))));
    assert_eq!(bed.numbers(), [3, 2, 1]);
}

/// Counts steps, and fails each from the `fatal`th on, as if the machine were gone.
fn crashing(fatal: u32) -> (Disk, Arc<Mutex<Vec<Step>>>) {
    let (count, steps) = (AtomicU32::new(0), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&steps);
    let disk = Disk::failing(Box::new(move |step| {
        if count.fetch_add(1, Ordering::Relaxed) >= fatal {
            return Err(io::Error::other("injected"));
        }
        seen.lock().expect("no panic").push(step);
        Ok(())
    }));
    (disk, steps)
}

#[test]
fn a_save_is_whole_or_not_there_wherever_it_is_cut_off() {
    for fatal in 0.. {
        let bed = Bed::new();
        let first = bed.made();
        bed.put("saves/one", "later");
        let (disk, steps) = crashing(fatal);
        let result = Store::on(bed.root.path(), bed.limits, disk).map(|store| bed.save_in(&store));
        let done = matches!(result, Ok(Ok(Saved::Made { .. })));
        let steps = steps.lock().expect("no panic").clone();
        let numbers = bed.numbers();
        assert!(numbers == [1] || numbers == [2, 1], "{fatal}: {numbers:?}");
        assert!(!done || numbers == [2, 1], "{fatal}");
        if numbers == [2, 1] {
            // On the disk before it has its name.
            let named = steps.iter().rposition(|&step| step == Step::Rename).expect("a rename");
            let syncs = steps[..named].iter().filter(|&&step| step == Step::Sync).count();
            assert_eq!((syncs, steps[named - 1]), (3, Step::Sync));
            bed.put("saves/one", "even later");
            bed.restore(Version(2)).expect("whole");
            assert_eq!(bed.state()["saves/one"], "later");
        }
        bed.restore(first).expect("the first is as it was");
        assert_eq!(bed.state()["saves/one"], "1");
        // And the next save goes on from there.
        bed.put("saves/one", "after");
        assert_eq!(bed.made().0, numbers[0] + 1);
        if done {
            assert!(fatal > 8, "{fatal}");
            return;
        }
    }
}

#[test]
fn a_restore_is_whole_or_nothing_wherever_it_fails() {
    for fatal in 0.. {
        let bed = Bed::new();
        let version = bed.made();
        let old = bed.state();
        bed.put("saves/one", "now");
        bed.put("a/config", "now");
        let new = bed.state();
        // One step fails and those after it do not: what was exchanged is exchanged back.
        let count = AtomicU32::new(0);
        let disk = Disk::failing(Box::new(move |_| {
            let hit = count.fetch_add(1, Ordering::Relaxed) == fatal;
            if hit { Err(io::Error::other("injected")) } else { Ok(()) }
        }));
        let store = Store::on(bed.root.path(), bed.limits, disk).expect("a store");
        let result = bed.restore_in(&store, version);
        let mut state = bed.state();
        state.retain(|path, _| !path.starts_with(".nearlight-restore"));
        assert_eq!(state, if result.is_ok() { old.clone() } else { new }, "{fatal}");
        bed.restore(version).expect("a second try");
        assert_eq!(bed.state(), old);
        if result.is_ok() {
            assert!(fatal > 8, "{fatal}");
            return;
        }
    }
}

/// Writes an archive and a manifest that fits it in every hash into a version's place.
fn forge(bed: &Bed, version: Version, archive: &[u8], change: impl FnOnce(&mut Manifest)) {
    let folder = bed.folder(version);
    let (path, kept) = (folder.join("manifest"), folder.join("kept"));
    if !kept.exists() {
        fs::copy(&path, &kept).expect("a copy");
    }
    let bytes = fs::read(kept).expect("the manifest");
    let mut manifest = Manifest::read(&bytes, &bed.limits).expect("a manifest");
    manifest.archive_bytes = archive.len() as u64;
    manifest.archive_sha256 = Hash::of(archive);
    change(&mut manifest);
    fs::write(folder.join("files.tar"), archive).expect("the archive");
    fs::write(path, manifest.write().expect("json")).expect("the manifest");
}

fn entry(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, bytes: &[u8], size: u64) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o777);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("/etc/passwd").expect("a link");
    }
    header.set_cksum();
    builder.append(&header, bytes).expect("an entry");
}

#[test]
fn hostile_archives_change_nothing() {
    let bed = Bed::new();
    let version = bed.made();
    bed.put("saves/one", "now");
    let before = bed.state();
    let good = |builder: &mut Builder<Vec<u8>>| {
        entry(builder, EntryType::Directory, "saves/", b"", 0);
        entry(builder, EntryType::Regular, "saves/one", b"1", 1);
        entry(builder, EntryType::Regular, "a/config", b"config", 6);
    };
    let refuse = |what: &str, archive: &[u8]| {
        forge(&bed, version, archive, |_| {});
        let refused = bed.restore(version).expect_err(what);
        assert!(matches!(refused, RestoreError::Damaged(_)), "{what}: {refused}");
        assert_eq!(bed.state(), before, "{what}");
    };
    let mut whole = Builder::new(Vec::new());
    good(&mut whole);
    let whole = whole.into_inner().expect("an archive");
    forge(&bed, version, &whole, |_| {});
    bed.store()
        .find(bed.owner(), FlockOperation::LockShared)
        .expect("opened")
        .expect("versions")
        .read(version)
        .expect("what is forged well is taken");
    for (kind, name) in [
        (EntryType::Regular, "/etc/x"),
        (EntryType::Regular, "../x"),
        (EntryType::Regular, "saves/one"),
        (EntryType::Regular, "saves/extra"),
        (EntryType::Directory, "saves/"),
        (EntryType::Symlink, "saves/l"),
        (EntryType::Link, "saves/l"),
        (EntryType::Char, "saves/d"),
        (EntryType::Block, "saves/d"),
        (EntryType::Fifo, "saves/p"),
        (EntryType::Continuous, "saves/c"),
        (EntryType::GNUSparse, "saves/s"),
        (EntryType::XGlobalHeader, "x"),
    ] {
        let mut builder = Builder::new(Vec::new());
        good(&mut builder);
        entry(&mut builder, kind, name, b"", 0);
        if kind == EntryType::XGlobalHeader {
            entry(&mut builder, EntryType::Regular, "saves/two", b"", 0);
        }
        refuse(&format!("{kind:?} {name}"), &builder.into_inner().expect("an archive"));
    }
    let mut huge = Builder::new(Vec::new());
    entry(&mut huge, EntryType::Directory, "saves/", b"", 0);
    entry(&mut huge, EntryType::Regular, "saves/one", b"1", 1 << 60);
    refuse("a huge size", &huge.into_inner().expect("an archive"));
    let mut long = Builder::new(Vec::new());
    entry(&mut long, EntryType::GNULongName, "x", b"", 1 << 40);
    refuse("a long name without an end", &long.into_inner().expect("an archive"));
    refuse("nothing", b"");
    for cut in [1, 511, 512, 700, 1024, 1537, 2048] {
        refuse("cut short", &whole[..cut]);
    }
    // The wrong hashes, told truly and not.
    fs::write(bed.folder(version).join("files.tar"), &whole).expect("the archive");
    forge(&bed, version, &whole, |manifest| manifest.files[0].sha256 = Hash::of(b"2"));
    assert!(matches!(bed.restore(version), Err(RestoreError::Damaged(_))));
    forge(&bed, version, &whole, |manifest| manifest.archive_sha256 = Hash::of(b"2"));
    assert!(matches!(bed.restore(version), Err(RestoreError::Damaged(_))));
    let path = |text| HomePath::parse(text).expect("a path");
    forge(&bed, version, &whole, |manifest| manifest.files[0].path = path("other"));
    assert!(matches!(bed.restore(version), Err(RestoreError::Damaged(_))));
    forge(&bed, version, &whole, |manifest| manifest.files[0].bytes = u64::MAX);
    assert!(matches!(bed.restore(version), Err(RestoreError::Damaged(_))));
    let manifest = bed.folder(version).join("manifest");
    for bytes in [&b""[..], b"\n", b"{}", &[0xff; 100]] {
        fs::write(&manifest, bytes).expect("the manifest");
        assert!(matches!(bed.restore(version), Err(RestoreError::Damaged(_))));
        assert!(bed.store().list(bed.owner()).expect("a list")[0].manifest.is_err());
    }
    fs::remove_file(&manifest).expect("removed");
    symlink("/etc/passwd", &manifest).expect("a link");
    assert!(matches!(bed.restore(version), Err(RestoreError::Damaged(_))));
    assert_eq!(bed.state(), before);
    // A damaged version is no reason not to save.
    assert_eq!(bed.made(), Version(2));
}

#[test]
fn saves_and_restores_at_once_take_turns() {
    let bed = Bed::new();
    bed.made();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let bed = &bed;
            scope.spawn(move || {
                let own = tempfile::tempdir().expect("a home");
                fs::create_dir(own.path().join("saves")).expect("a folder");
                fs::write(own.path().join("saves/one"), format!("{n}")).expect("a file");
                let store = bed.store();
                let home = fs::File::open(own.path()).expect("the home");
                for _ in 0..5 {
                    let (now, game_version) = (Duration::ZERO, "");
                    let paths = &bed.paths;
                    let snapshot =
                        Snapshot { home: home.as_fd(), paths, now, game_version, base: None };
                    store.save(bed.owner(), &snapshot).expect("saved");
                    let newest = store.list(bed.owner()).expect("a list")[0].version;
                    match store.restore(bed.owner(), newest, &home) {
                        Ok(_) | Err(RestoreError::Absent) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let listed = bed.store().list(bed.owner()).expect("a list");
    assert!(listed.iter().all(|each| each.manifest.is_ok()));
    assert_eq!(listed.len(), 3);
}

#[test]
fn what_is_restored_belongs_to_the_owner_of_the_home() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give a home to another user");
        return;
    }
    let bed = Bed::new();
    let version = bed.made();
    for path in ["", "saves", "saves/one", "a", "a/config"] {
        std::os::unix::fs::chown(bed.home.path().join(path), Some(4242), Some(4343))
            .expect("given");
    }
    bed.put("saves/one", "now");
    bed.restore(version).expect("restored");
    assert_eq!(bed.state()["saves/one"], "1");
    for path in ["saves", "saves/one", "a/config"] {
        let about = fs::metadata(bed.home.path().join(path)).expect("a file");
        assert_eq!((about.uid(), about.gid()), (4242, 4343), "{path}");
    }
    // The thread that became that user is over: this one is still root.
    assert!(rustix::process::geteuid().is_root());
}

#[test]
fn what_is_replaced_is_removed_however_deep_it_is() {
    let bed = Bed::new();
    let version = bed.made();
    let before = bed.state();
    let mut folder: OwnedFd =
        fs::File::open(bed.home.path().join("saves")).expect("a folder").into();
    for _ in 0..2000 {
        rustix::fs::mkdirat(&folder, "deep", Mode::RWXU).expect("a folder");
        folder = crate::beneath::open_folder(&folder, "deep").expect("a folder");
    }
    bed.restore(version).expect("restored");
    assert_eq!(bed.state(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_damage_is_found(archive in any::<bool>(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let bed = Bed::new();
        let version = bed.made();
        bed.put("saves/one", "now");
        let before = bed.state();
        let file = bed.folder(version).join(if archive { "files.tar" } else { "manifest" });
        let mut bytes = fs::read(&file).expect("a file");
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&file, bytes).expect("a file");
        prop_assert!(matches!(bed.restore(version), Err(RestoreError::Damaged(_))));
        prop_assert_eq!(bed.state(), before);
    }

    #[test]
    fn no_archive_panics(noise in prop::collection::vec(any::<u8>(), 0..2048)) {
        let bed = Bed::new();
        let version = bed.made();
        let before = bed.state();
        forge(&bed, version, &noise, |_| {});
        prop_assert!(bed.restore(version).is_err());
        prop_assert_eq!(bed.state(), before);
    }
}
