//! How far sound and picture of one session are apart when they are heard and seen, over each transport: the sync
//! test, as its page has it.

use anyhow::{Result, ensure};

use super::DEMO_FPS;
use crate::Bench;
use crate::figures::Findings;
use crate::host::{SYNC_TEST, play_url};

/// Measures over each transport.
pub(super) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let (base, warm_up, window) = (bench.host.url(), bench.args.warm_up(), bench.args.window());
    for transport in ["webrtc", "webtransport"] {
        let url = play_url(&base, SYNC_TEST, DEMO_FPS, bench.args.kbps, false);
        let url = format!("{url}&transport={transport}");
        let heard = bench.browser()?.sound(&url, warm_up, window)?;
        ensure!(heard.kind == transport, "{transport} became {}", heard.kind);
        findings.spread(&format!("sound.{transport}.after picture"), "ms", heard.skew);
        findings.spread(&format!("sound.{transport}.buffer"), "ms", heard.buffer);
    }
    Ok(())
}
