//! Two players' games beside each other: what one tries from inside to reach of the other, of the node and of the world
//! comes to nothing, is counted, and is nothing to the other.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::path::Path;

use axum::http::Method;
use serde_json::json;

use crate::bed::{Bed, Game, bed, logged, pictures, processes, sandboxes, terminal};
use crate::common::{Session, until};
use crate::player::{join, lives};

const ANNE: &str = "0123456789abcdef0123456789abcdef";
const BOB: &str = "fedcba9876543210fedcba9876543210";
/// Both games: see the file.
const PROBE: &str = include_str!("probe.py");

fn probe(id: &'static str, token: &str) -> Game {
    let command = format!("\"/usr/bin/python3\", \"{{entry}}/probe.py\", \"{id}\", \"{token}\"");
    let python = "[[requires]]\nfile = \"/usr/bin/python3\"\npackage = \"python3\"\n";
    let entry = terminal(&command) + "saves = [\"kept\"]\n" + python;
    Game { id, entry, file: ("probe.py", PROBE) }
}

/// What the prober is told of all that it is to reach, in a file of its entry.
fn tell(bed: &Bed, token: &str, more: &[String]) {
    let state = bed.state.path();
    let mut node: Vec<_> = ["", "self-signed.key", "ledger", "ledger/ledger.sqlite", "saves"]
        .map(|name| state.join(name))
        .into();
    assert!(node.iter().all(|path| path.exists()), "what is looked for is there");
    node.extend(bed.saved_files());
    node.push(bed.run.path().to_owned());
    let (pids, sandboxes) = (processes(token), sandboxes(bed.run.path(), "neighbour"));
    // A terminal, and what runs in it.
    assert!(pids.len() == 2 && sandboxes.len() == 1, "{pids:?} {sandboxes:?}");
    let addresses = if_addrs::get_if_addrs().unwrap();
    let hosts = addresses.iter().filter(|each| !each.is_loopback() && each.ip().is_ipv4());
    let hosts: Vec<_> = hosts.map(|each| each.ip().to_string()).collect();
    let facts = json!({
        "token": token,
        "node": node,
        "neighbour": sandboxes,
        "sandboxes": sandboxes,
        "pids": pids,
        "ports": [bed.server.address.port(), bed.server.ops_address.port()],
        "hosts": hosts,
        "abstract": more,
    });
    fs::write(bed.games.path().join("prober/facts.json"), facts.to_string()).unwrap();
}

/// How often such attempts of a session were noticed.
async fn noticed(bed: &Bed, session: &Session, what: &str) -> u64 {
    let shown = bed.shown(session).await;
    let attempts = shown["attempts"].as_array().cloned().unwrap_or_default();
    let of = attempts.iter().find(|each| each["what"] == what);
    of.map_or(0, |each| each["count"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_reaches_nothing_of_the_one_beside_it_of_the_node_and_of_the_world() {
    let token = format!("neighbour-of-{}", std::process::id());
    let games = [probe("neighbour", &token), probe("prober", "-")];
    let ledger = |state: &Path| {
        fs::create_dir(state.join("ledger")).unwrap();
        let path = state.join("ledger/ledger.sqlite");
        drop(ledger::Ledger::open(&path, ledger::Options::default()).unwrap());
        assert!(fs::metadata(path).unwrap().len() > 0);
    };
    let Some(bed) = bed(&["server.tls=self-signed"], &games, ledger).await else { return };

    let one = bed.start("neighbour", ANNE).await;
    let mut anne = join(bed.node(), &one).await;
    pictures(&mut anne, 3).await;
    let kept = until("a save of the neighbour's", async || {
        bed.kept(&one, "neighbour", ANNE).await.filter(|kept| kept.contains("ready"))
    })
    .await;
    assert!(kept.contains("the neighbour's secret"), "{kept}");
    // What is tried can be reached from here.
    let name = format!("nearlight-host-{}", std::process::id());
    let listener = UnixListener::bind_addr(&UnixAddress::from_abstract_name(&name).unwrap());
    let _listening = (listener.unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    for address in [bed.server.address, bed.server.ops_address] {
        TcpStream::connect(address).unwrap();
    }
    tell(&bed, &token, &[name, token.clone()]);

    let other = bed.start("prober", BOB).await;
    let mut bob = join(bed.node(), &other).await;
    pictures(&mut bob, 3).await;
    let outcomes = until("what came of the attempts", async || {
        bed.kept(&other, "prober", BOB).await.filter(|kept| kept.contains(" in all."))
    })
    .await;
    let lines: Vec<_> = outcomes.lines().collect();
    let of = |verdict: &str| {
        let is_so = |line: &&&str| line.starts_with(&format!("{verdict} "));
        lines.iter().filter(is_so).copied().collect::<Vec<_>>()
    };
    println!("{outcomes}");
    assert_eq!(of("BROKEN"), [""; 0]);
    assert_eq!(of("own").len(), 8, "it has what is its own");
    assert!(of("held").len() > 300, "{}", of("held").len());

    // What can be noticed was, and for nobody else.
    for (what, least) in [("files", 2), ("processes", 4), ("sockets", 1), ("network", 5)] {
        let seen = until(what, async || {
            Some(noticed(&bed, &other, what).await).filter(|seen| *seen >= least)
        });
        seen.await;
        bed.node().observe();
        let metrics = bed.node().metrics.encode().unwrap();
        let line = format!("nearlight_game_attempts_total{{kind=\"{what}\"}} ");
        let counted = metrics.lines().find_map(|each| each.strip_prefix(&line)).unwrap();
        assert!(counted.parse::<u64>().unwrap() >= least, "{what}: {counted}");
        let kind = format!("kind=\"{what}\"");
        let told = logged(&["a game tried what its sandbox refuses", &kind, "prober-"]);
        assert!(!told.is_empty(), "{what}");
    }
    assert!(bed.shown(&one).await.get("attempts").is_none(), "the neighbour tries nothing");
    assert_eq!(logged(&["a game tried what its sandbox refuses", "neighbour-"]), [""; 0]);

    // The neighbour goes on with its pictures, also once the other one is gone.
    pictures(&mut anne, 5).await;
    let gone = other.ask(Method::DELETE, "").bearer(&other.token).of(bed.node()).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    pictures(&mut anne, 5).await;
    lives(bed.node(), &one).await;
    assert_eq!(processes(&token).len(), 2);
    bed.server.shut_down().await;
    assert_eq!(processes(&token).len(), 0);
}
