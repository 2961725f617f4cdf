//! What is measured, one module a section. A section adds to its findings as it goes, so that what was
//! measured before a failure counts.

mod encoder_alone;
pub(crate) mod encoders;
mod input;
pub(crate) mod memory;
mod page;
mod resume;
mod sound;
mod stages;
mod still;
mod stream;

use anyhow::Result;

use crate::Bench;
use crate::args::Section;
use crate::figures::Findings;
use crate::host::{DEMO, MOVING};

/// Frame rates of the two sources.
const DEMO_FPS: u32 = 30;
const PATTERN_FPS: u32 = 60;

/// Transports, as the page names them.
const WEBRTC: &str = "webrtc";
const WEBTRANSPORT: &str = "webtransport";
const WEBSOCKET: &str = "websocket";

/// Runs a section once.
pub(crate) fn run(section: Section, bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    match section {
        Section::Demo => {
            bench.host.demo()?;
            stream::run(bench, findings, "demo", DEMO, (DEMO_FPS, WEBRTC))
        }
        Section::Synthetic => {
            stream::run(bench, findings, "synthetic", MOVING, (PATTERN_FPS, WEBRTC))
        }
        Section::Webtransport => {
            stream::run(bench, findings, "webtransport", MOVING, (PATTERN_FPS, WEBTRANSPORT))
        }
        Section::Encoder => encoder_alone::run(bench, findings),
        Section::Encoders => encoders::run(bench, findings),
        Section::Input => {
            let pattern = input::run(bench, findings, "input.synthetic", MOVING, PATTERN_FPS);
            bench.host.demo()?;
            input::run(bench, findings, "input.demo", DEMO, DEMO_FPS).and(pattern)
        }
        Section::Memory => memory::run(bench, findings),
        Section::Resume => resume::run(bench, findings),
        Section::Sound => sound::run(bench, findings),
        Section::Start => page::starts(bench, findings),
        Section::Weight => page::weight(bench, findings),
        Section::Still => still::run(bench, findings),
    }
}
