//! Ledgers, keystores and keys that do not serve, and disks that are full.

use keys::Pair;

use crate::common::until;
use crate::player::{ended, join, said};
use crate::tenant::{Guest, World, wish};

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_is_said_and_left_as_it_is() {
    let world = World::new(&[]).await;
    let order = world.rent(1, 300).await;
    world.confirm(order).await;
    let used = Guest::of(&world, order, |_| {});
    assert_eq!(world.redeem(&used).await.status, 201);
    let folder = world.stop().await;
    let path = folder.path().join("ledger.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    // Every page but that of the file's head.
    bytes[4_096..].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let refused = World::refusal(folder.path(), &[]);
    assert!(refused.contains("the ledger is damaged"), "{refused}");
    assert!(refused.contains(&path.display().to_string()), "{refused}");
    assert!(std::fs::read(&path).unwrap() == bytes, "it may yet be looked at");
}

#[test]
fn a_truncated_keystore_is_said_and_makes_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("machine.json");
    let pair = Pair::sr25519(&[7; 32]).unwrap();
    let whole = serde_json::to_string(&keys::Keystore::seal(&pair, "pw", "machine").unwrap());
    let whole = whole.unwrap();
    let settings = [
        "chain.machine_key=\"\"".to_owned(),
        "chain.machine_key_password=\"pw\"".to_owned(),
        format!("chain.machine_key_file={path:?}"),
    ];
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let ledger = folder.path().join("ledger");
    let refused = World::refusal(&ledger, &settings);
    assert!(refused.contains("chain.machine_key_file"), "{refused}");
    assert!(refused.contains("the keystore is truncated"), "{refused}");
    assert!(!ledger.exists());
}

#[test]
fn a_machines_key_that_everybody_knows_is_refused_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    // The development chain's `//Machine`.
    let seed = "dbd09ff39ede06a413c76a3c55eb445e352bfee6739ace67403a2951a476e6e4";
    let settings = [format!("chain.machine_key=\"{seed}\"")];
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let refused = World::refusal(folder.path(), &settings);
    assert!(refused.contains("//Machine"), "{refused}");
    assert!(!refused.contains(seed), "{refused}");
}

/// Where a child of the test below has its ledger: a disk of a few megabytes.
const FOLDER: &str = "NEARLIGHT_TEST_SMALL_DISK";

#[test]
fn a_full_disk_ends_what_cannot_be_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("bwrap")
        .args(["--dev-bind", "/", "/", "--size", "4000000", "--tmpfs"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "renting::disk::on_a_small_disk", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("the disk was full"), "{said}");
}

/// What the test above runs as a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_small_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = std::path::Path::new(&folder);
    let world = World::below(folder).await;
    let order = world.rent(1, 300).await;
    world.confirm(order).await;
    let token = world.token(order).await;
    let session = world.start(&token, &wish(None)).await.session();
    let mut client = join(&world.node, &session).await;
    client.frame().await;
    let mut filler = std::fs::File::create(folder.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 512]).is_ok() {}
    // Whoever comes is not let in by what cannot be written down, and nothing counts.
    let guest = Guest::of(&world, order, |_| {});
    until("a full ledger", async || {
        let reply = world.redeem(&guest).await;
        (reply.status == 507).then(|| reply.problem(507, "not-durable"))
    })
    .await;
    // Whoever plays is stopped at the end of a slice.
    let sentence = "What the session uses could not be written down.";
    assert_eq!(said(&mut client, "ended").await["reason"], sentence);
    assert_eq!(ended(&world.node, &session).await, sentence);
    drop(filler);
    std::fs::remove_file(folder.join("filler")).unwrap();
    let guest = Guest::of(&world, order, |_| {});
    assert_eq!(world.redeem(&guest).await.status, 201);
    println!("the disk was full");
}
