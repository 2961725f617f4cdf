//! A development chain (`nearlight-devchain`) as a child process, for tests that rent machines on it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use schnorrkel::derive::ChainCode;
use schnorrkel::{ExpansionMode, MiniSecretKey};
use serde_json::{Value, json};

/// The program.
const NAME: &str = "nearlight-devchain";
/// The secret of Substrate's well-known phrase, which no chain of value accepts.
const PHRASE: [u8; 32] = [
    0xfa, 0xc7, 0x95, 0x9d, 0xbf, 0xe7, 0x2f, 0x05, 0x2e, 0x5a, 0x0c, 0x3c, 0x8d, 0x65, 0x30, 0xf2,
    0x02, 0xb0, 0x2f, 0xd8, 0xf9, 0xf5, 0xca, 0x35, 0x80, 0xec, 0x8d, 0xeb, 0x77, 0x97, 0x47, 0x9e,
];

/// A chain that seals a block for each transaction, with funded accounts and one machine. Ended when dropped.
#[derive(Debug)]
pub struct Devchain {
    child: Child,
    arguments: Vec<String>,
    address: SocketAddr,
    /// Its WebSocket.
    pub url: String,
    /// The hash of its block 0.
    pub genesis: [u8; 32],
    /// The machine's public key.
    pub machine: [u8; 32],
}

impl Devchain {
    /// Starts one on a free port, in memory unless the arguments name a folder.
    ///
    /// # Panics
    /// When it is not built, does not start, or says something else than it should.
    #[allow(clippy::panic, reason = "a chain that does not start fails the test")]
    pub fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|&it| it.to_owned()).collect();
        let (child, told) = spawn("127.0.0.1:0", &arguments).unwrap_or_else(|why| panic!("{why}"));
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let url = text("url");
        let address = url.trim_start_matches("ws://").parse().expect("the address of its socket");
        let bytes = |name: &str| digits(text(name).trim_start_matches("0x"));
        let (genesis, machine) = (bytes("genesis"), bytes("machine"));
        Self { child, arguments, address, url, genesis, machine }
    }

    /// Ends its process as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it anew on the same address, after [`Self::kill`]; it goes on from what its folder has.
    ///
    /// # Panics
    /// When it does not start, or is another chain.
    #[allow(clippy::panic, reason = "a chain that does not start fails the test")]
    pub fn again(&mut self) {
        let (child, told) =
            spawn(&self.address.to_string(), &self.arguments).unwrap_or_else(|why| panic!("{why}"));
        self.child = child;
        let genesis = told["genesis"].as_str().unwrap_or_default().trim_start_matches("0x");
        assert_eq!(digits(genesis), self.genesis, "another chain");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it something over HTTP, and waits for as long as that takes.
    ///
    /// # Panics
    /// When it does not answer, or with an error.
    pub fn ask(&self, method: &str, params: &Value) -> Value {
        Self::ask_at(self.address, method, params).expect("the chain answers")
    }

    /// The same of a chain that may end meanwhile; none where it does.
    ///
    /// # Panics
    /// When it answers with an error.
    pub fn ask_at(address: SocketAddr, method: &str, params: &Value) -> Option<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let body = body.to_string();
        let mut socket = TcpStream::connect(address).ok()?;
        write!(
            socket,
            "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len(),
        )
        .ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let (_, answer) = answer.split_once("\r\n\r\n")?;
        let answer: Value = serde_json::from_str(answer).ok()?;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        Some(answer["result"].clone())
    }

    /// Executes so many blocks, one by one, transactions that wait in the first.
    pub fn blocks(&self, count: u32) {
        self.ask("dev_newBlocks", &json!([count]));
    }

    /// Whether blocks are not final from now on; when they are again, all are.
    pub fn hold_finality(&self, hold: bool) {
        self.ask("dev_holdFinality", &json!([hold]));
    }

    /// Replaces the newest blocks, none of them final, by as many empty ones and one more.
    pub fn reorganise(&self, depth: u32) {
        self.ask("dev_reorganise", &json!([depth]));
    }

    /// Whether no blocks come and transactions wait.
    pub fn stall(&self, stalled: bool) {
        self.ask("dev_stall", &json!([stalled]));
    }

    /// Sets what a DBC is worth, in millionths of a dollar; none is what a chain has whose oracle is young.
    pub fn dbc_price(&self, price: Option<u64>) {
        self.ask("dev_setDbcPrice", &json!([price]));
    }
}

impl Drop for Devchain {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts one and waits for what it says first.
fn spawn(listen: &str, arguments: &[String]) -> Result<(Child, Value), String> {
    let program = program();
    let started = Command::new(&program)
        .args(["--listen", listen])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|error| {
        format!("{} does not run ({error}); `make devchain` builds it", program.display())
    })?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("it is piped")?;
    let read = BufReader::new(stdout).read_line(&mut line);
    read.map_err(|error| format!("{NAME} says nothing: {error}"))?;
    let told = serde_json::from_str(&line);
    Ok((child, told.map_err(|error| format!("{NAME} says {line:?}: {error}"))?))
}

/// `NEARLIGHT_DEVCHAIN`, else beside the program that asks or above the folder of a test's, else in cargo's folder.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("NEARLIGHT_DEVCHAIN") {
        return named.into();
    }
    let own = std::env::current_exe().unwrap_or_default();
    let above = own.parent().and_then(|deps| deps.parent()).map(|folder| folder.join(NAME));
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let built = target.map(|target| target.join("debug").join(NAME));
    [Some(own.with_file_name(NAME)), above, built]
        .into_iter()
        .flatten()
        .find(|path| path.exists())
        .unwrap_or_else(|| NAME.into())
}

fn digits<const N: usize>(text: &str) -> [u8; N] {
    let byte = |at: usize| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
    std::array::from_fn(|at| byte(at).expect("hexadecimal digits"))
}

/// The seed (sr25519) of a development account: the well-known phrase and a path of hard junctions, `//Alice`,
/// `//Alice//stash`, as Substrate's `subkey` derives them.
pub fn development_seed(path: &str) -> [u8; 32] {
    path.split("//").filter(|junction| !junction.is_empty()).fold(PHRASE, |seed, junction| {
        let parent = MiniSecretKey::from_bytes(&seed).expect("any 32 bytes are one");
        let secret = parent.expand(ExpansionMode::Ed25519);
        // The junction as SCALE has it, one byte of length for short ones, filled up with zeros.
        let mut code = [0; 32];
        code[0] = (junction.len() as u8) << 2;
        code[1..=junction.len()].copy_from_slice(junction.as_bytes());
        let (child, _) = secret.hard_derive_mini_secret_key(Some(ChainCode(code)), b"");
        child.to_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_those_that_everybody_knows() {
        let account = |path| {
            let seed = MiniSecretKey::from_bytes(&development_seed(path)).unwrap();
            seed.expand_to_public(ExpansionMode::Ed25519).to_bytes()
        };
        let alice = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
        assert_eq!(account("//Alice"), digits(alice));
        let stash = "be5ddb1579b72e84524fc29e78609e3caf42e85aa118ebfe0b0ad404b5bdd25f";
        assert_eq!(account("//Alice//stash"), digits(stash));
    }
}
