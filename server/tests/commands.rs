//! The commands of renters and owners as the program itself, over a chain of development.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod mortal;

use std::path::PathBuf;
use std::process::{Command, Output};

use keys::{Kind, Pair, ss58, to_hex};
use ledger::Ledger;
use model_chain::development_seed;
use mortal::{World, finish};
use serde_json::{Value, json};
use session::rental::{At, Balance, BlockNumber};
use sha2::{Digest as _, Sha256};

const NEARLIGHT: &str = env!("CARGO_BIN_EXE_nearlight");
const PLENTY: [&str; 2] = ["--ceiling", "900000 DBC"];

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().chain(PLENTY).map(str::to_owned).collect()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn account(path: &str) -> session::rental::AccountId {
    Pair::of_seed(Kind::Sr25519, &development_seed(path)).unwrap().account()
}

/// What is on the chain and in the outbox of an account.
async fn all_of(world: &World, path: &str) -> (Balance, BlockNumber, Value, usize) {
    let account = account(path);
    let seen = world.reader().balance(At::Best, &account).await.unwrap();
    let address = ss58::encode(&account, ss58::PREFIX);
    let nonce =
        tokio::task::block_in_place(|| world.dev.ask("system_accountNextIndex", &json!([address])));
    let genesis = &to_hex(&world.dev.genesis)[..16];
    let folder = world.path("wallets").join("nearlight/wallets").join(address).join(genesis);
    let file = folder.join("outbox.sqlite");
    let signed = match file.exists() {
        true => Ledger::open(&file, ledger::Options::default()).unwrap().outgoing().await.unwrap(),
        false => Vec::new(),
    };
    (seen.value, seen.head.number, nonce, signed.len())
}

/// A command that is refused with these words, signs nothing and costs nothing.
async fn refused(world: &World, path: &str, command: &str, why: &str) {
    let before = all_of(world, path).await;
    let output = finish(world.command_of(path, &words(command))).await;
    let said = error(&output);
    assert!(!output.status.success() && output.stdout.is_empty(), "{command}");
    assert_eq!(said.trim_end(), format!("nearlight: {why}"), "{command}");
    assert_eq!(all_of(world, path).await, before, "{command}: nothing signed, nothing paid");
}

async fn done(world: &World, path: &str, command: &str) -> Value {
    let output = finish(world.command_of(path, &words(command))).await;
    assert!(output.status.success(), "{command}: {}", error(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_would_refuse_is_not_signed() {
    let world = World::start().await;
    let (alice, bob, owner) = ("//Alice", "//Bob", "//Charlie");
    let step = "blocks are asked for, and an order lasts 300 blocks or a multiple of that";
    for (command, why) in [
        ("rent --blocks 301", format!("301 {step}")),
        ("rent --blocks 0", format!("0 {step}")),
        (
            "rent --blocks 864300",
            "864300 blocks are asked for, and an order lasts 864000 blocks at the most".into(),
        ),
        (
            "rent --cards 5 --blocks 300",
            "5 graphics cards are asked for, and 4 of the machine's 4 are free".into(),
        ),
        (
            "rent --cards 0 --blocks 300",
            "an order of no graphics cards grants nothing, and costs 10 DBC".into(),
        ),
        (
            "confirm 77",
            "the chain has no order 77 now: it was not confirmed within its window, has ended, or never was".into(),
        ),
    ] {
        refused(&world, alice, command, &why).await;
    }
    let rented = done(&world, alice, "rent --cards 2 --blocks 300").await;
    assert_eq!((&rented["order"], &rented["earlier"]), (&json!("0"), &json!(false)));
    let foreign = "order 0 is another account's, and not this wallet's";
    refused(&world, bob, "confirm 0", foreign).await;
    let why = "order 0 waits to be confirmed, and can be prolonged only then";
    refused(&world, alice, "relet 0 --blocks 100", why).await;
    let why = "3 graphics cards are asked for, and 2 of the machine's 4 are free";
    refused(&world, bob, "rent --cards 3 --blocks 300", why).await;
    let why = "the machine's controller is another account, and not this wallet's";
    refused(&world, bob, "machine --report offline", why).await;
    let why = "the machine is rented, and cannot be reported online";
    refused(&world, owner, "machine --report online", why).await;
    done(&world, owner, "machine --report offline").await;
    let why = "order 0 cannot be confirmed while its machine is offline";
    refused(&world, alice, "confirm 0", why).await;
    let why = "the machine is offline, and only one that is online can be rented";
    refused(&world, bob, "rent --blocks 300", why).await;
    done(&world, owner, "machine --report online").await;
    let confirmed = done(&world, alice, "confirm 0").await;
    let why = format!("order 0 is confirmed already, since block {}", confirmed["block"]);
    refused(&world, alice, "confirm 0", &why).await;
    for asked in [0, 99] {
        let why =
            format!("{asked} blocks are asked for, and an order is prolonged by 100 at the least");
        refused(&world, alice, &format!("relet 0 --blocks {asked}"), &why).await;
    }
    refused(&world, bob, "relet 0 --blocks 100", foreign).await;
    // Half an hour from the block that made it, at most sixty days from the next.
    let (_, best, _, _) = all_of(&world, alice).await;
    let most =
        best.after(1 + 864_000).since(BlockNumber(rented["block"].as_u64().unwrap() as u32 + 300));
    let why =
        format!("{} blocks are asked for, and order 0 can be prolonged by {most} now", most + 1);
    refused(&world, alice, &format!("relet 0 --blocks {}", most + 1), &why).await;
    done(&world, alice, "relet 0 --blocks 100").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_read_over_https_by_a_token_that_no_process_list_shows() {
    let digest = to_hex(&Sha256::digest("open-sesame"));
    let tls =
        ["server.tls=\"self-signed\"".to_owned(), format!("access.token_sha256=[{digest:?}]")];
    let world = World::with(&tls).await;
    let node = format!("https://{}", world.renter.node);
    let file = |name: &str, text: &str| -> PathBuf {
        let path = world.path(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (good, bad) = (file("token", "open-sesame\n"), file("other", "open-barley\n"));
    let certificate = world.path("state/self-signed.crt");
    let ask = async |words: &[&str], token: Option<&str>| {
        let mut command = Command::new(NEARLIGHT);
        command.arg("receipts").args(words).args(["--node", &node]).env_remove("NEARLIGHT_TOKEN");
        if let Some(token) = token {
            command.env("NEARLIGHT_TOKEN", token);
        }
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let (ca, good, bad) =
        (certificate.to_str().unwrap(), good.to_str().unwrap(), bad.to_str().unwrap());
    let listed = ask(&["list", "--ca", ca, "--token-file", good], None).await;
    assert!(listed.status.success(), "{}", error(&listed));
    let by_name = ask(&["entries", "--ca", ca, "--csv"], Some("open-sesame")).await;
    assert!(by_name.status.success(), "{}", error(&by_name));
    assert!(by_name.stdout.starts_with(b"number,"), "{by_name:?}");
    // The file says more exactly who asks than what the shell has.
    let wrong = ask(&["list", "--ca", ca, "--token-file", bad], Some("open-sesame")).await;
    assert!(error(&wrong).contains("the node says 401"), "{}", error(&wrong));
    let nobody = ask(&["list", "--ca", ca], None).await;
    assert!(
        error(&nobody).contains("Set NEARLIGHT_TOKEN, or give --token-file"),
        "{}",
        error(&nobody)
    );
    // Its own certificate is nobody's but for those who say so.
    let stranger = ask(&["list", "--token-file", good], None).await;
    assert!(error(&stranger).contains("invalid peer certificate"), "{}", error(&stranger));
}
