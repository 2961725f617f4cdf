//! What is measured.

use serde::Serialize;
use utoipa::ToSchema;

use super::Viewers;

/// How a session goes, over the last second.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Stats {
    /// Frames encoded a second.
    pub fps: f64,
    /// Kilobits a second sent.
    pub kbps: u32,
    /// Kilobits a second that the encoder aims at.
    pub target_kbps: u32,
    /// Size of the coded picture.
    pub coded: [u32; 2],
    /// Size that is drawn before scaling to the coded size.
    pub internal: [u32; 2],
    /// Round trip of the control channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Half width of the interval that the clock offset lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_error_ms: Option<f64>,
    /// Frames that were not encoded because nothing changed, in all.
    pub unchanged: u64,
    /// Frames dropped before the encoder, in all.
    pub dropped: u64,
    /// Keyframes, in all.
    pub keyframes: u64,
    /// Input events of this client that were dropped, since it sent more than is taken, in all.
    pub input_dropped: u64,
    /// Those who watch and play along.
    pub viewers: Viewers,
    /// What the rate follows.
    pub rate: RateStats,
    /// The sound; absent where the session has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioStats>,
    /// The player's microphone; absent where the client may have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub microphone: Option<MicrophoneStats>,
    /// Stages in order; they sum to the whole.
    pub stages: Vec<StageStat>,
    /// Mean from capture to presentation, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_total: Option<f64>,
    /// From capture to presentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Percentiles>,
}

/// A session's sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AudioStats {
    /// What codes it.
    pub codec: String,
    /// Channels that this client is sent now: 2, 6 (5.1) or 8 (7.1).
    pub channels: u8,
    /// Kilobits a second, over the last second.
    pub kbps: u32,
    /// Kilobits a second that the encoder aims at.
    pub target_kbps: u32,
    /// There is nothing to hear, and next to nothing is sent.
    pub silent: bool,
    /// Percentage of loss that packets make up for by what they say of those before them.
    pub expected_loss: u32,
    /// Packets that found the queue of somebody who listens full, in all.
    pub refused: u64,
    /// Why there is no sound any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What came of a player's microphone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MicrophoneStats {
    /// Something came lately.
    pub on: bool,
    /// What is played records it, be it on or not.
    pub recorded: bool,
    /// Kilobits a second, over the last second.
    pub kbps: u32,
    /// Packets that came, in all.
    pub packets: u64,
    /// Packets that did not come, in all.
    pub lost: u64,
    /// Of them, those right before a packet that came, which says something of them where the browser expects losses.
    pub recovered: u64,
    /// Packets that came too late, were none, or found the decoder's queue full, in all.
    pub refused: u64,
    /// Milliseconds of it that wait to be recorded.
    pub buffer_ms: u32,
    /// Milliseconds of it that were left out, since they were too much or too late, in all.
    pub dropped_ms: u32,
    /// Why nothing is heard any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What a session's rate follows.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct RateStats {
    /// What the path is like.
    pub path: PathCondition,
    /// What keeps the session from more.
    pub limited_by: RateLimit,
    /// How long the newest packet that is known of waited on its way, in milliseconds.
    pub queue_ms: f64,
    /// Kilobits a second that arrive.
    pub arrives_kbps: u32,
    /// Part of the frame rate that pictures are made at, at most 1.
    pub frame_rate: f64,
    /// Part of both edges of the size that they are coded at, at most 1.
    pub size: f64,
    /// How often that changed in this session. Each change is a keyframe; two are at least 5 s apart.
    pub size_changes: u32,
}

/// What a path is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PathCondition {
    /// There is room.
    Clear,
    /// A queue has begun to stand.
    Filling,
    /// More is sent than passes.
    Overused,
    /// Others fill the queue.
    Contended,
}

/// What keeps a session from more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateLimit {
    /// What the path takes.
    Link,
    /// The client does not keep up.
    Client,
    /// The most that the session may have.
    Ceiling,
    /// The source has no more to show.
    Source,
}

/// One stage of the latency ledger.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StageStat {
    /// Its name; `network` stands for network, jitter buffer and decoder together where there is no `decode`.
    pub stage: String,
    /// Its length.
    pub ms: Percentiles,
    /// Its mean length in milliseconds over the frames whose whole way is known; of all stages they add up to
    /// [`Stats::mean_total`], which percentiles do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}
