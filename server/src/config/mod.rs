//! Configuration: one typed tree, read from TOML, then the environment, then the command line.
//!
//! Unknown keys are refused. `NEARLIGHT_VIDEO__FPS=60` sets `video.fps`, and so does
//! `--set video.fps=60`; values are TOML, bare words are strings. Every key is explained in
//! `nearlight.example.toml`, which a test holds against these defaults.

mod chain;
mod check;
mod tree;
mod units;

use std::net::SocketAddr;
use std::path::PathBuf;

use encoder::{EncoderSettings, Resilience, Speed};
use host::catalogue::{ClipboardWays, FileWays};
use media::{Bitrate, FrameRate, Size};
use serde::{Deserialize, Serialize};

use crate::apps::VideoMode;

pub use chain::Chain;
pub use tree::{ConfigError, load};
pub use units::{HumanDuration, HumanRate, HumanSize, Secret};

/// What is logged by default: the WebRTC stack speaks at `info` of every packet that surprises it.
const DEFAULT_FILTER: &str = "info,rtc=error,webrtc=error,rtc_dtls=error,rtc_ice=error,rtc_sctp=error,\
     rtc_interceptor=error,rtc_srtp=error,rtc_mdns=error,wgpu_core=error,wgpu_hal=error,naga=error";

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The public listener.
    pub server: Server,
    /// The operator's listener.
    pub ops: Ops,
    /// Who may do what.
    pub access: Access,
    /// Limits on sessions.
    pub sessions: Sessions,
    /// The picture.
    pub video: VideoConfig,
    /// The sound.
    pub audio: Audio,
    /// The renderer.
    pub render: Render,
    /// WebRTC.
    pub webrtc: WebRtc,
    /// WebTransport.
    pub webtransport: WebTransport,
    /// The last resort.
    pub websocket: WebSocket,
    /// TURN servers.
    pub ice: Ice,
    /// What can be played.
    pub catalogue: CatalogueConfig,
    /// Hosted games.
    pub games: Games,
    /// What players keep of them.
    pub saves: Saves,
    /// What goes between them and their players.
    pub sharing: Sharing,
    /// Who rents the machine.
    pub chain: Chain,
    /// Logs.
    pub log: Log,
}

/// `[server]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port of HTTP(S).
    pub listen: SocketAddr,
    /// Origin that clients reach the node by; answers carry absolute addresses made from it. Empty:
    /// taken from each request's `Host`.
    pub public_url: String,
    /// `auto`: plain HTTP on loopback, self-signed HTTPS elsewhere.
    pub tls: Tls,
    /// PEM files for `tls = "files"`; reread when they change.
    pub certificate: PathBuf,
    /// Its key.
    pub private_key: PathBuf,
    /// Where the node keeps what must outlive it (its self-signed certificate).
    pub state_dir: PathBuf,
    /// Other origins whose pages may use the API.
    pub allowed_origins: Vec<String>,
    /// Time for sessions to end at shutdown.
    pub shutdown_grace: HumanDuration,
}

/// How the public listener is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Plain HTTP on loopback, self-signed HTTPS elsewhere.
    Auto,
    /// Plain HTTP, for a proxy in front.
    Off,
    /// Own certificate, made once and kept in the state folder.
    SelfSigned,
    /// Certificate and key from files.
    Files,
}

/// `[ops]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ops {
    /// Address and port of `/metrics` and `/healthz`; keep it private.
    pub listen: SocketAddr,
}

/// `[access]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Anybody who reaches the node may play. For a private machine.
    pub open: bool,
    /// SHA-256 of bearer tokens that may create, list and end sessions, in hexadecimal.
    pub token_sha256: Vec<String>,
}

/// `[sessions]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// Most sessions at once; one more is refused.
    pub max: u32,
    /// Pixels per second that the node may encode in all.
    pub max_pixel_rate: u64,
    /// Most that the node may send in all; each client counts with the most that its session may have.
    pub max_egress: HumanRate,
    /// Viewers of one session.
    pub viewers: u32,
    /// Viewers of all sessions.
    pub max_viewers: u32,
    /// A session ends after this long without input.
    pub idle: HumanDuration,
    /// A session ends after this long in any case.
    pub longest: HumanDuration,
    /// A session without a connection ends after this long.
    pub connect: HumanDuration,
    /// A session whose connection broke waits this long for the client to come back.
    pub reconnect: HumanDuration,
    /// The same for a page that went without a goodbye: it may be loading again. At most `reconnect`.
    pub away: HumanDuration,
}

/// `[video]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VideoConfig {
    /// Pixels across of what has no size of its own, unless the client asks for something else.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames per second of what has no rate of its own.
    pub fps: u32,
    /// Most frames per second that a client may ask for.
    pub max_fps: u32,
    /// Most pixels across or down.
    pub max_edge: u32,
    /// Rate at the start.
    pub start_rate: HumanRate,
    /// Least rate.
    pub min_rate: HumanRate,
    /// Most rate.
    pub max_rate: HumanRate,
    /// `auto`, or the name of one candidate.
    pub encoder: String,
    /// Candidates that must not be used.
    pub forbid_encoders: Vec<String>,
    /// Codecs, best first; one that is not among them is never used.
    pub codecs: Vec<CodecName>,
    /// What lost frames are answered with.
    pub resilience: ResilienceName,
    /// Most frames that a wave takes to cross the picture, with `resilience = "intra-refresh"`.
    pub intra_refresh_frames: u16,
    /// Size of the rate control's buffer in hundredths of one frame's budget.
    pub vbv_percent: u16,
    /// Slices of a picture for NVENC.
    pub nvenc_slices: u8,
    /// Preset of NVENC and libx264.
    pub preset: PresetName,
    /// The finest quantiser (QP) of libx264.
    pub min_qp: u8,
    /// How long an encoder may take to show that it works; one on hardware gets five seconds at the least.
    pub probe_limit: HumanDuration,
}

impl VideoConfig {
    /// The pictures of what has none of its own, where nobody asks for others.
    pub(crate) fn usual(&self) -> VideoMode {
        let (size, rate) = (Size::new(self.width, self.height), FrameRate::fps(self.fps));
        VideoMode { size, rate, dpi: VideoMode::DPI }
    }

    /// The largest pictures, with even edges.
    pub(crate) fn most(&self) -> Size {
        let edge = self.max_edge & !1;
        Size::new(edge, edge)
    }

    /// What every session's encoder is opened with beyond the size, the rate and the device.
    pub(crate) fn encoder_settings(&self, video: VideoMode, bitrate: Bitrate) -> EncoderSettings {
        let VideoMode { size, rate, .. } = video;
        let resilience = match self.resilience {
            ResilienceName::References => Resilience::References,
            ResilienceName::IntraRefresh => {
                Resilience::IntraRefresh { units: self.intra_refresh_frames }
            }
        };
        EncoderSettings {
            resilience,
            slices: self.nvenc_slices,
            speed: self.preset.speed(),
            min_qp: self.min_qp,
            vbv_percent: self.vbv_percent,
            ..EncoderSettings::new(size, rate, bitrate)
        }
    }
}

/// What lost frames are answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResilienceName {
    /// References to frames before them where the encoder has that, else a keyframe.
    References,
    /// A wave of intra blocks that crosses the picture.
    IntraRefresh,
}

/// A preset of encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum PresetName {
    Auto,
    P1,
    P2,
    P3,
    P4,
}

impl PresetName {
    /// As encoders take it.
    pub(crate) const fn speed(self) -> Speed {
        match self {
            Self::Auto => Speed::Auto,
            Self::P1 => Speed::P1,
            Self::P2 => Speed::P2,
            Self::P3 => Speed::P3,
            Self::P4 => Speed::P4,
        }
    }
}

/// A codec as the configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum CodecName {
    H264,
    H265,
    Av1,
    Vp9,
    Vp8,
}

impl CodecName {
    /// The codec that is meant.
    pub const fn codec(self) -> media::Codec {
        match self {
            Self::H264 => media::Codec::H264,
            Self::H265 => media::Codec::H265,
            Self::Av1 => media::Codec::Av1,
            Self::Vp9 => media::Codec::Vp9,
            Self::Vp8 => media::Codec::Vp8,
        }
    }
}

/// `[render]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Render {
    /// Part of the name of the Vulkan device to use; empty for the best one.
    pub device: String,
    /// Samples per pixel: 1, 2 or 4.
    pub msaa: u32,
    /// Edge of the shadow map in texels; 0 for none.
    pub shadow_size: u32,
    /// Draw at a lower size when the device cannot hold the frame rate.
    pub dynamic_resolution: bool,
}

/// `[audio]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Sessions of apps that make sound have it.
    pub enabled: bool,
    /// Of the sound alone, in stereo. 5.1 takes 2.5 times as much, and 7.1 3.5 times.
    pub rate: HumanRate,
    /// The most channels that games are offered, and players sent: 2, 6 or 8.
    pub channels: u8,
    /// Length of a packet at the least: 5, 10 or 20 ms.
    pub packet: HumanDuration,
    /// Games whose entries ask for it may be given their player's microphone.
    pub microphone: bool,
}

/// `[webrtc]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebRtc {
    /// Local addresses that media is sent from; empty: the address of `server.listen`, or every
    /// address of the machine where that is unspecified.
    pub listen: Vec<std::net::IpAddr>,
    /// UDP port for the media of all sessions; 0: one that is free.
    pub udp_port: u16,
    /// Whether clients that no UDP reaches may come by TCP, to the same number.
    pub tcp: bool,
    /// Public addresses to announce instead, one-to-one with `listen` (static NAT).
    pub public: Vec<std::net::IpAddr>,
    /// STUN and TURN servers for clients.
    pub ice_servers: Vec<crate::wire::IceServer>,
}

/// `[webtransport]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebTransport {
    /// Whether clients are offered it beside WebRTC.
    pub enabled: bool,
    /// UDP port of all sessions, at the address of `server.listen`; 0: that of HTTP, or another where it is
    /// taken.
    pub port: u16,
    /// Port that clients come to where it is mapped to `port`; 0: the same.
    pub public_port: u16,
    /// Connections of one address at once.
    pub per_address: u32,
    /// Least time that a frame has to arrive before it is given up.
    pub frame_deadline: HumanDuration,
}

/// `[websocket]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocket {
    /// Whether clients that nothing else reaches may play over the connection that pages come by.
    pub enabled: bool,
}

/// `[ice]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ice {
    /// TURN servers that clients get credentials for, each with a session of its own.
    pub turn_urls: Vec<String>,
    /// What the TURN servers call their shared or static authentication secret.
    pub turn_secret: Secret,
    /// A file that holds it instead.
    pub turn_secret_file: PathBuf,
    /// How long credentials can be used to reach a TURN server; a page that reconnects uses those that it was given.
    pub turn_lifetime: HumanDuration,
}

/// `[catalogue]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueConfig {
    /// Show the project's own demo scene.
    pub demo: bool,
    /// Show the sync test: a flash and a beep at each second.
    pub sync_test: bool,
    /// Folders, each with a `.gltf` or `.glb` and, where wanted, an `environment.hdr` or `.exr`.
    pub scenes: Vec<PathBuf>,
}

/// `[games]`: programs that the node hosts, each in a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Games {
    /// Folders of games: in each, one folder a game with its `game.toml`.
    pub folders: Vec<PathBuf>,
    /// Where sandboxes keep their files while they run. Empty: `/run/nearlight` for root, else
    /// `$XDG_RUNTIME_DIR/nearlight`.
    pub run: PathBuf,
    /// The first program of each sandbox. Empty: `nearlight-init` beside this program.
    pub init: PathBuf,
    /// The first of the users that games run as where the node is root; nothing else may use them.
    pub first_user: u32,
    /// How many of them there are.
    pub users: u32,
    /// Cores that games may take in all, their capture and coding included; 0: nine tenths of those that the node may
    /// use.
    pub max_cpus: f64,
    /// Memory that games may take in all, in MiB; 0: nine tenths of what is available when the node starts.
    pub max_memory_mib: u64,
    /// Device nodes of graphics devices for games that make use of one (`devices = ["gpu"]`); none: they draw in software.
    pub gpu: Vec<PathBuf>,
    /// Games that are started ahead of their players and kept halted, of all entries that ask for it (`warm`); 0: none.
    pub max_warm: u32,
    /// Whether gamepads and pens are devices of the kernel to games.
    pub devices: GameDevices,
    /// What converts their pictures for the encoder.
    pub convert: GameConvert,
}

/// `games.devices`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GameDevices {
    /// Where they can be; elsewhere gamepads are a library's.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Games that make use of them are not played where they cannot be.
    Uinput,
}

/// `games.convert`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GameConvert {
    /// The graphics device, for encoders that read pictures in its memory; else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The graphics device, also where it is one in software, and where its pictures are read back.
    Gpu,
}

/// `[saves]`: what players keep of hosted games, in `saves` below `server.state_dir`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Saves {
    /// Whether anything is kept.
    pub enabled: bool,
    /// Versions of a player and game that are kept; the oldest are removed.
    pub versions: u32,
    /// Most of one version; a larger one is not saved.
    pub version_size: HumanSize,
    /// Most of all versions of a player and game; the oldest are removed, the newest stays.
    pub player_size: HumanSize,
    /// Most of all players and games; where nothing older of the same player and game can give way, nothing more is
    /// saved.
    pub total_size: HumanSize,
}

/// `[sharing]`: what may go between hosted games and their players' own machines, at most: each game's entry says how much of
/// it there is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sharing {
    /// Which ways the clipboard goes.
    pub clipboard: ClipboardWays,
    /// Most of a text.
    pub text_size: HumanSize,
    /// Most of an image.
    pub image_size: HumanSize,
    /// Which ways files go.
    pub files: FileWays,
    /// Most of a file.
    pub file_size: HumanSize,
    /// Most of all files of a session.
    pub files_size: HumanSize,
    /// Files of a session.
    pub files_count: u32,
}

/// `[log]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Filter as of `tracing`, such as `info,nearlight=debug`.
    pub filter: String,
    /// For people or for machines.
    pub format: LogFormat,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: String::new(),
            tls: Tls::Auto,
            certificate: PathBuf::new(),
            private_key: PathBuf::new(),
            state_dir: PathBuf::from("state"),
            allowed_origins: Vec::new(),
            shutdown_grace: HumanDuration::from_secs(5),
        }
    }
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9100)) }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            max: 16,
            max_pixel_rate: 250_000_000,
            max_egress: HumanRate::from_kbps(10_000_000),
            viewers: 50,
            max_viewers: 200,
            idle: HumanDuration::from_secs(15 * 60),
            longest: HumanDuration::from_secs(12 * 3600),
            connect: HumanDuration::from_secs(20),
            reconnect: HumanDuration::from_secs(30),
            away: HumanDuration::from_secs(10),
        }
    }
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            fps: 30,
            max_fps: 120,
            max_edge: 4096,
            start_rate: HumanRate::from_kbps(5_000),
            min_rate: HumanRate::from_kbps(500),
            max_rate: HumanRate::from_kbps(20_000),
            encoder: "auto".into(),
            forbid_encoders: Vec::new(),
            codecs: vec![
                CodecName::H264,
                CodecName::H265,
                CodecName::Av1,
                CodecName::Vp9,
                CodecName::Vp8,
            ],
            resilience: ResilienceName::References,
            intra_refresh_frames: 30,
            vbv_percent: 100,
            nvenc_slices: 1,
            preset: PresetName::Auto,
            min_qp: EncoderSettings::MIN_QP,
            probe_limit: HumanDuration::from_secs(2),
        }
    }
}

impl Default for Render {
    fn default() -> Self {
        Self { device: String::new(), msaa: 1, shadow_size: 1024, dynamic_resolution: true }
    }
}

impl Default for Audio {
    fn default() -> Self {
        Self {
            enabled: true,
            rate: HumanRate::from_kbps(128),
            channels: 8,
            packet: HumanDuration::from_millis(5),
            microphone: true,
        }
    }
}

impl Default for WebRtc {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            udp_port: 8100,
            tcp: true,
            public: Vec::new(),
            ice_servers: Vec::new(),
        }
    }
}

impl Default for WebTransport {
    fn default() -> Self {
        Self {
            enabled: true,
            port: 0,
            public_port: 0,
            per_address: 32,
            frame_deadline: HumanDuration::from_millis(100),
        }
    }
}

impl Default for WebSocket {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for Ice {
    fn default() -> Self {
        Self {
            turn_urls: Vec::new(),
            turn_secret: Secret::default(),
            turn_secret_file: PathBuf::new(),
            turn_lifetime: HumanDuration::from_secs(12 * 3600),
        }
    }
}

impl Default for CatalogueConfig {
    fn default() -> Self {
        Self { demo: true, sync_test: true, scenes: Vec::new() }
    }
}

impl Default for Games {
    fn default() -> Self {
        // Far from what distributions give to people and to containers.
        Self {
            folders: Vec::new(),
            run: PathBuf::new(),
            init: PathBuf::new(),
            first_user: 1_879_048_192,
            users: 1_000,
            max_cpus: 0.0,
            max_memory_mib: 0,
            gpu: Vec::new(),
            max_warm: 4,
            devices: GameDevices::Auto,
            convert: GameConvert::Auto,
        }
    }
}

impl Default for Saves {
    fn default() -> Self {
        Self {
            enabled: true,
            versions: 10,
            version_size: HumanSize::from_mib(256),
            player_size: HumanSize::from_mib(1024),
            total_size: HumanSize::from_mib(20 * 1024),
        }
    }
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            clipboard: ClipboardWays::Both,
            text_size: HumanSize::from_mib(1),
            image_size: HumanSize::from_mib(16),
            files: FileWays::Both,
            file_size: HumanSize::from_mib(64),
            files_size: HumanSize::from_mib(256),
            files_count: 200,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: DEFAULT_FILTER.into(), format: LogFormat::Text }
    }
}

impl Config {
    /// What cannot be told by types: ranges and combinations.
    ///
    /// # Errors
    /// Names the first key that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::check(self)
    }

    /// Whether the public listener speaks TLS.
    pub fn secure(&self) -> bool {
        match self.server.tls {
            Tls::Auto => !self.server.listen.ip().is_loopback(),
            Tls::Off => false,
            Tls::SelfSigned | Tls::Files => true,
        }
    }
}

#[cfg(test)]
mod tests;
