//! The node and what it refuses.

use serde::Serialize;
use utoipa::ToSchema;

/// What the node is and can do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Node {
    /// Version of the server.
    pub version: String,
    /// Whether sessions can be had without a token.
    pub open: bool,
    /// Whether sessions are for whoever rents the machine (`/api/v1/lease`).
    pub rented: bool,
    /// The graphics device.
    pub device: String,
    /// Encoders in order of preference, with the reason why one is not used.
    pub encoders: Vec<EncoderReport>,
}

/// One row of the encoder table.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EncoderReport {
    /// Candidate.
    pub name: String,
    /// Codec.
    pub codec: String,
    /// Whether it runs on dedicated hardware.
    pub hardware: bool,
    /// `ok`, or why it is not used, or is used although it does not keep up; for a session of the configured size and
    /// frame rate.
    pub verdict: String,
    /// Whether such a session uses it.
    pub chosen: bool,
    /// Microseconds that it takes for a million pixels of eight bits with the configured preset, measured on this
    /// machine; only where it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub us_per_megapixel: Option<u32>,
    /// The same for HDR10; only where it codes that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub us_per_megapixel_hdr: Option<u32>,
}

/// An error (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A URI reference that names the kind of problem, such as `/problems/unknown-session`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// This occurrence in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When to try again, in seconds, as in `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// What there is no room in: present where a session or a viewer was refused for the want of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<Room>,
    /// Why a session is over, a code that never changes, such as `game_exited` and `game_crashed`: present where it is, and
    /// that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A sum of the node in which there is no room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Room {
    /// `sessions`, `viewers`, `render`, `cpu`, `encoder`, `memory`, `graphics_memory` or `egress`.
    pub sum: String,
    /// What it is counted in.
    pub unit: String,
    /// What was asked for.
    pub asked: u64,
    /// What is left.
    pub left: u64,
    /// When somebody is expected to leave, in seconds, by how long sessions usually last here; null where that is
    /// unknown.
    pub expected_wait: Option<u32>,
}
