mod edges;
mod figures;
mod limits;
mod shares;
mod world;

use std::time::Duration;

use media::Bitrate;

use super::RateConfig;

/// Feedback of WebRTC (transport-wide, as Chromium sends it) and of WebTransport (each frame).
const FEEDBACK: [Duration; 2] = [Duration::from_millis(62), Duration::from_millis(16)];

fn mbps(rate: u64) -> Bitrate {
    Bitrate::from_mbps(rate)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A session that may have more than the links here carry.
fn wide() -> RateConfig {
    RateConfig { ceiling: mbps(30), ..RateConfig::default() }
}
