//! A chain that is kept: killed at any moment, it has whatever it announced; damaged, it says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use runtime::genesis;
use runtime::types::DBC;
use rusqlite::Connection;
use serde_json::{Value, json};
use sp_runtime::MultiAddress;
use support::Chain;

struct Running {
    process: Child,
    address: String,
}

impl Running {
    fn start(folder: &Path, more: &[&str]) -> Result<Self, String> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_nearlight-devchain"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(folder)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut error = String::new();
            process.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            assert!(!process.wait().unwrap().success());
            return Err(error);
        }
        let first: Value = serde_json::from_str(&line).unwrap();
        let address = first["url"].as_str().unwrap().trim_start_matches("ws://").to_owned();
        Ok(Self { process, address })
    }

    fn ask(&self, method: &str, params: &Value) -> Option<Value> {
        ask(&self.address, method, params)
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A request by HTTP; no answer where the program is gone.
fn ask(address: &str, method: &str, params: &Value) -> Option<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut socket = TcpStream::connect(address).ok()?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let value: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    assert!(value.get("error").is_none(), "{method}: {value}");
    value.get("result").cloned()
}

/// How often the chain is killed.
fn kills() -> u64 {
    std::env::var("NEARLIGHT_CHAIN_KILLS").map_or(8, |count| count.parse().unwrap())
}

#[test]
fn a_chain_that_is_killed_has_what_it_announced() {
    let folder = tempfile::tempdir().unwrap();
    // Of the same genesis, to sign with.
    let signer = Chain::new();
    let ferdie = MultiAddress::Id(genesis::account("//Ferdie"));
    let mut nonce = 0;
    let mut announced: Vec<(u64, String)> = Vec::new();
    for round in 0..kills() {
        let chain = Running::start(folder.path(), &[]).unwrap();
        for (number, hash) in &announced {
            let found = chain.ask("chain_getBlockHash", &json!([number])).unwrap();
            assert_eq!(found, json!(hash), "block {number} in round {round}");
        }
        let alice = json!([signer.read(|| format!("{}", genesis::account("//Alice")))]);
        let known = chain.ask("system_accountNextIndex", &alice).unwrap().as_u64().unwrap();
        assert!(known >= nonce, "{known} transactions are there of {nonce} that were announced");
        nonce = known;
        let address = chain.address.clone();
        let transfers: Vec<String> = (nonce..nonce + 200)
            .map(|nonce| {
                let call = pallet_balances::Call::transfer_keep_alive {
                    dest: ferdie.clone(),
                    value: DBC / 1_000,
                };
                let signed =
                    signer.sign("//Alice", runtime::RuntimeCall::from(call), Some(nonce as u32));
                format!("0x{}", hex::encode(signed))
            })
            .collect();
        let (announce, announcements) = mpsc::sync_channel(1);
        let work = thread::spawn(move || {
            let (mut heads, mut taken) = (Vec::new(), 0);
            for transfer in transfers {
                let Some(_) = ask(&address, "author_submitExtrinsic", &json!([transfer])) else {
                    break;
                };
                taken += 1;
                let Some(head) = ask(&address, "dev_newBlocks", &json!([2])) else { break };
                heads.push((
                    head["number"].as_u64().unwrap(),
                    head["hash"].as_str().unwrap().to_owned(),
                ));
                let _ = announce.try_send(());
            }
            (heads, taken)
        });
        // Any moment after the first announcement: they are spread over what a few blocks take.
        announcements.recv().unwrap();
        thread::sleep(Duration::from_millis(20 + round * 37 % 200));
        chain.kill();
        let (heads, taken) = work.join().unwrap();
        announced.extend(heads);
        nonce += taken;
    }
}

#[test]
fn a_chain_goes_on_where_it_was_and_starts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Running::start(folder.path(), &["--seal", "manual"]).unwrap();
    let head = chain.ask("dev_newBlocks", &json!([1_000])).unwrap();
    chain.ask("dev_holdFinality", &json!([true])).unwrap();
    let ahead = chain.ask("dev_newBlocks", &json!([10])).unwrap();
    chain.ask("dev_reorganise", &json!([5])).unwrap();
    let best = chain.ask("chain_getHeader", &json!([])).unwrap();
    assert_ne!(best["number"], ahead["number"]);
    chain.kill();
    let began = Instant::now();
    let chain = Running::start(folder.path(), &["--seal", "manual"]).unwrap();
    eprintln!("reopened in {:?}", began.elapsed());
    assert_eq!(chain.ask("chain_getHeader", &json!([])).unwrap(), best);
    let finalized = chain.ask("chain_getFinalizedHead", &json!([])).unwrap();
    assert_eq!(finalized, head["hash"]);
    let refused = Running::start(folder.path(), &[]).err().expect("one process at a time");
    assert!(refused.contains("locked"), "{refused}");
    chain.kill();
    let refused = Running::start(folder.path(), &["--shape", "400"]).err().unwrap();
    assert!(refused.contains("begun as runtime 411, not 400"), "{refused}");
}

#[test]
fn a_chain_that_was_damaged_says_so() {
    for (change, expected) in [
        (
            "UPDATE state SET value = x'00' WHERE key = (SELECT max(key) FROM state)",
            "state is another",
        ),
        (
            "UPDATE block SET body = x'00' WHERE hash = (SELECT hash FROM line WHERE number = 300)",
            "another one",
        ),
        ("UPDATE line SET changes = x'00' WHERE number = 300", "state is another"),
        ("DELETE FROM block WHERE hash = (SELECT hash FROM line WHERE number = 300)", "missing"),
        ("DELETE FROM line WHERE number = 300", "not on the one before"),
        ("DELETE FROM line WHERE number >= 300", "final block is missing"),
        ("DELETE FROM meta WHERE key = 'base'", "does not say its base"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let chain = Chain::open(Some(folder.path()), 411, nearlight_devchain::Seal::Manual);
        chain.node.new_blocks(310).unwrap();
        drop(chain);
        let file = Connection::open(folder.path().join("chain.sqlite")).unwrap();
        assert_eq!(file.execute(change, []).unwrap().min(1), 1, "{change}");
        drop(file);
        let error = Running::start(folder.path(), &[]).err().expect(change);
        assert!(error.contains("damaged") && error.contains(expected), "{change}: {error}");
    }
}
