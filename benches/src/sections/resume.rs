//! How soon there is a picture again: after the network is back, after it is another one, after the machine slept, after
//! the page is loaded again. Through a relay of everything between the browser and the node, HTTP included.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{PATTERN_FPS, WEBRTC, WEBSOCKET, WEBTRANSPORT};
use crate::Bench;
use crate::figures::Findings;
use crate::host::{MOVING, play_url};

/// From when the network is back until there is a picture, at most. Milliseconds.
const GOAL: f64 = 400.0;
/// How long nothing passes: longer than either side takes for a pause, shorter than either waits.
const DOWN: Duration = Duration::from_secs(4);
const TRANSPORTS: [&str; 3] = [WEBRTC, WEBTRANSPORT, WEBSOCKET];
const HAPPENS: [&str; 4] = ["silence", "change", "sleep", "reload"];

/// Measures each of them over each transport.
pub(super) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let (base, count) = (bench.host.url(), bench.args.resumes);
    for transport in TRANSPORTS {
        let url = play_url(&base, MOVING, PATTERN_FPS, bench.args.kbps, true);
        let url = format!("{url}&transport={transport}");
        for what in HAPPENS {
            let resumed = bench.browser()?.resumes(&url, what, count, DOWN)?;
            // A page that gave up on the transport measured the other one.
            ensure!(resumed.kind == transport, "{what}: {transport} became {}", resumed.kind);
            let beyond = resumed.taken.iter().filter(|taken| **taken > GOAL).count();
            findings.put(format!("resume.{transport}.{what}.beyond"), "", beyond as f64);
            findings.spread(&format!("resume.{transport}.{what}"), "ms", resumed.taken);
        }
    }
    Ok(())
}
