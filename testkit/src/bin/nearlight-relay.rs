//! A relay for tests of other languages, commanded line by line.
//!
//! ```text
//! nearlight-relay SCENARIO [SECONDS]     names: fibre, cable, wifi, … (testkit::net::scenarios)
//!   route 127.0.0.1:40000    prints the address that leads there
//!   begin                    lets the scenario's script begin; before, its links are as it starts
//!   counts                   prints datagrams down: sent, dropped at the queue, lost
//! ```
//! It ends with its input.

use std::io::{BufRead as _, Error, Result, Write as _, stderr, stdin, stdout};
use std::process::ExitCode;
use std::time::Duration;

use nearlight_testkit::WallClock;
use nearlight_testkit::net::{Relay, Scenario};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let seconds = args.next().map(|seconds| seconds.parse().map_err(Error::other)).transpose()?;
    let length = seconds.map_or(Scenario::LENGTH, Duration::from_secs);
    let scenario = Scenario::named(&name, length).ok_or_else(|| {
        let names: Vec<_> = Scenario::all(length).map(|scenario| scenario.name).collect();
        Error::other(format!("no scenario {name:?}; there are {}", names.join(", ")))
    })?;
    let mut relay = Relay::start(&scenario, WallClock::shared())?;
    for line in stdin().lock().lines() {
        let line = line?;
        let answer = match line.split_once(' ').unwrap_or((&line, "")) {
            ("route", server) => relay.route(server.parse().map_err(Error::other)?)?.to_string(),
            ("begin", _) => {
                relay.begin(&scenario);
                "begun".to_owned()
            }
            ("counts", _) => {
                let down = relay.counts().down;
                format!("{} {} {}", down.sent, down.overflowed, down.lost)
            }
            (other, _) => format!("no command {other:?}"),
        };
        writeln!(stdout(), "{answer}")?;
    }
    Ok(())
}
