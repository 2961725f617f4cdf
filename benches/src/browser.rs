//! Chromium, driven by a Node script over JSON lines (`client-web/bench/drive.mjs`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock::PageClock;

/// Longest time for one command beyond what it was told to take: the script's own deadlines are shorter.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long the browser has to close.
const CLOSING: Duration = Duration::from_secs(10);

/// A running Chromium. Dropping it closes it.
pub(crate) struct Browser {
    node: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    /// Chromium's version.
    pub(crate) version: String,
}

/// A page that plays.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    #[serde(rename = "page")]
    pub(crate) id: u32,
    /// `track-processor` or `video-element`.
    pub(crate) presenter: Option<String>,
}

/// Moments of a start, in microseconds of the page's clock.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartTimes {
    pub(crate) asked_us: f64,
    pub(crate) session_us: f64,
    pub(crate) answered_us: f64,
    pub(crate) track_us: f64,
    pub(crate) first_decoded_us: f64,
    pub(crate) first_presented_us: f64,
}

/// What a page knows of its session.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageStats {
    /// The newest from the server.
    pub(crate) stats: Option<ServerStats>,
    /// The transport that it has.
    pub(crate) kind: String,
    /// The browser's receiver, where WebRTC has one.
    pub(crate) inbound: Inbound,
}

/// The part of `wire::Stats` that is used here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ServerStats {
    pub(crate) target_kbps: f64,
    pub(crate) internal: [u32; 2],
    pub(crate) clock_error_ms: Option<f64>,
    pub(crate) unchanged: f64,
    pub(crate) dropped: f64,
    pub(crate) keyframes: f64,
    pub(crate) stages: Vec<StageStat>,
}

/// A stage as the session's own ledger has it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StageStat {
    pub(crate) stage: String,
    pub(crate) ms: Value,
}

/// Sums of `RTCInboundRtpStreamStats`; times in seconds. None where the browser has no such figure.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inbound {
    pub(crate) frames_decoded: Option<f64>,
    pub(crate) frames_dropped: Option<f64>,
    pub(crate) total_decode_time: Option<f64>,
    pub(crate) jitter_buffer_delay: Option<f64>,
    pub(crate) jitter_buffer_emitted_count: Option<f64>,
    pub(crate) packets_lost: Option<f64>,
    pub(crate) freeze_count: Option<f64>,
    pub(crate) pli_count: Option<f64>,
    pub(crate) decoder_implementation: Option<String>,
}

/// An input event that the page sent.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SentInput {
    pub(crate) seq: u32,
    pub(crate) at_us: u64,
}

/// The strip of a decoded picture; numbers modulo 2^16.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StripSample {
    pub(crate) input: u16,
    pub(crate) decoded_at_us: u64,
}

/// How long a page was without a picture after its network was back, or it began to load, in milliseconds; and the
/// transport that it had at last.
#[derive(Debug, Deserialize)]
pub(crate) struct Resumed {
    pub(crate) taken: Vec<f64>,
    pub(crate) kind: String,
}

/// By how many milliseconds the sound was later than the picture, and how long it waited; and the transport.
#[derive(Debug, Deserialize)]
pub(crate) struct Heard {
    pub(crate) skew: Vec<f64>,
    pub(crate) buffer: Vec<f64>,
    pub(crate) kind: String,
}

/// What was pressed and what came of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Pressed {
    pub(crate) inputs: Vec<SentInput>,
    pub(crate) strips: Vec<StripSample>,
}

impl Browser {
    /// Starts Chromium.
    pub(crate) fn launch() -> Result<Self> {
        let mut node = Command::new("node")
            .arg("bench/drive.mjs")
            .current_dir(crate::system::repository().join("client-web"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("node does not start")?;
        let output = node.stdout.take().context("node has no output")?;
        let commands = node.stdin.take();
        // One command is under way at a time, so one answer waits at most.
        let (tell, answers) = sync_channel(1);
        std::thread::Builder::new().name("browser".into()).spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                if tell.send(line).is_err() {
                    return;
                }
            }
        })?;
        let mut browser = Self { node, commands, answers, version: String::new() };
        let launched: Value = browser.call(&json!({ "op": "launch" }), Duration::ZERO)?;
        browser.version = launched["version"].as_str().unwrap_or("unknown").to_owned();
        Ok(browser)
    }

    /// The process below which Chromium's processes are.
    pub(crate) fn pid(&self) -> u32 {
        self.node.id()
    }

    /// Opens a session's page and waits until it shows pictures.
    pub(crate) fn open(&mut self, url: &str) -> Result<Page> {
        self.call(&json!({ "op": "open", "url": url }), Duration::ZERO)
            .with_context(|| format!("{url} does not play"))
    }

    /// Compares the page's clock with the system's.
    pub(crate) fn clock(&mut self, page: &Page) -> Result<PageClock> {
        self.call(&json!({ "op": "clock", "page": page.id }), Duration::ZERO)
    }

    /// What the page knows of its session.
    pub(crate) fn stats(&mut self, page: &Page) -> Result<PageStats> {
        self.call(&json!({ "op": "stats", "page": page.id }), Duration::ZERO)
    }

    /// Presses keys, each `least` to `most` after the one before.
    pub(crate) fn press(
        &mut self,
        page: &Page,
        events: u32,
        least: Duration,
        most: Duration,
    ) -> Result<Pressed> {
        let (least_ms, most_ms) = (least.as_secs_f64() * 1e3, most.as_secs_f64() * 1e3);
        let command = json!({
            "op": "press", "page": page.id, "events": events, "least": least_ms, "most": most_ms,
        });
        self.call(&command, most * events)
    }

    /// Leaves the session and closes the page.
    pub(crate) fn close(&mut self, page: &Page) -> Result<()> {
        self.call::<Value>(&json!({ "op": "close", "page": page.id }), Duration::ZERO).map(drop)
    }

    /// Closes every page that was left open.
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.call::<Value>(&json!({ "op": "reset" }), Duration::ZERO).map(drop)
    }

    /// Opens the first page.
    pub(crate) fn visit(&mut self, url: &str) -> Result<Page> {
        self.call(&json!({ "op": "visit", "url": url }), Duration::ZERO)
            .with_context(|| format!("{url} does not load"))
    }

    /// Starts the entry of this title `count` times by a click, after one start to warm up.
    pub(crate) fn starts(
        &mut self,
        page: &Page,
        title: &str,
        count: u32,
    ) -> Result<Vec<StartTimes>> {
        #[derive(Deserialize)]
        struct Starts {
            starts: Vec<StartTimes>,
        }
        let command = json!({ "op": "starts", "page": page.id, "title": title, "count": count });
        self.call::<Starts>(&command, Duration::from_secs(10) * count).map(|all| all.starts)
    }

    /// Lets `what` happen to a page `count` times, for `down` where it takes time.
    pub(crate) fn resumes(
        &mut self,
        url: &str,
        what: &str,
        count: u32,
        down: Duration,
    ) -> Result<Resumed> {
        let down_ms = down.as_secs_f64() * 1e3;
        let command =
            json!({ "op": "resumes", "url": url, "what": what, "count": count, "down": down_ms });
        self.call(&command, (down + Duration::from_secs(10)) * count)
            .with_context(|| format!("{what} at {url}"))
    }

    /// Listens to a session for some time, after its warm-up.
    pub(crate) fn sound(&mut self, url: &str, after: Duration, window: Duration) -> Result<Heard> {
        let (after_ms, window_ms) = (after.as_secs_f64() * 1e3, window.as_secs_f64() * 1e3);
        let command = json!({ "op": "sound", "url": url, "after": after_ms, "window": window_ms });
        self.call(&command, after + window).with_context(|| format!("sound of {url}"))
    }

    /// Packed bytes of each file of the page.
    pub(crate) fn weigh(&mut self) -> Result<Vec<(String, u64)>> {
        let weighed: Value = self.call(&json!({ "op": "weigh" }), Duration::ZERO)?;
        let files = weighed["files"].as_object().context("no files")?;
        let size = |(name, size): (&String, &Value)| Some((name.clone(), size.as_u64()?));
        files.iter().map(size).collect::<Option<_>>().context("a file has no size")
    }

    /// Has the driver do this, which it is told to take so long for, and yields its answer.
    pub(crate) fn call<T: DeserializeOwned>(
        &mut self,
        command: &Value,
        takes: Duration,
    ) -> Result<T> {
        let commands = self.commands.as_mut().context("the browser is closed")?;
        writeln!(commands, "{command}").context("the browser's driver has ended")?;
        let line = match self.answers.recv_timeout(PATIENCE + takes) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => bail!("the browser's driver has ended"),
            Err(RecvTimeoutError::Timeout) => {
                // A late answer would be taken for that of the next command.
                self.commands = None;
                bail!("the browser's driver hangs at {command}")
            }
        };
        let mut answer: Value = serde_json::from_str(&line).context("the driver's answer")?;
        if let Some(error) = answer["error"].as_str() {
            bail!("{error}");
        }
        serde_json::from_value(answer["ok"].take()).context("the driver's answer")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its input is what ends it.
        self.commands = None;
        let deadline = Instant::now() + CLOSING;
        while Instant::now() < deadline {
            if !matches!(self.node.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}
