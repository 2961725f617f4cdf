//! What types cannot tell of a configuration: ranges and combinations, a function a section.

use tracing_subscriber::EnvFilter;

use super::{
    Access, Audio, Config, ConfigError, Games, Ice, Log, Render, Saves, Server, Sessions, Sharing,
    Tls, VideoConfig, WebRtc, WebTransport,
};

/// Checks every section.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    video(&config.video)?;
    encoders(&config.video)?;
    encoding(&config.video)?;
    audio(&config.audio)?;
    render(&config.render)?;
    webrtc(&config.webrtc)?;
    webtransport(&config.webtransport)?;
    ice(&config.ice)?;
    access(&config.access)?;
    server(&config.server)?;
    sessions(&config.sessions)?;
    saves(&config.saves)?;
    sharing(&config.sharing)?;
    games(&config.games)?;
    super::chain::check(config)?;
    log(&config.log)
}

pub(super) fn wrong(key: &str, why: String) -> Result<(), ConfigError> {
    Err(ConfigError::Value { key: key.into(), why })
}

fn video(video: &VideoConfig) -> Result<(), ConfigError> {
    for (key, edge) in [("video.width", video.width), ("video.height", video.height)] {
        if edge < 64 || edge > video.max_edge || !edge.is_multiple_of(2) {
            return wrong(
                key,
                format!("{edge} is not an even number from 64 to {}", video.max_edge),
            );
        }
    }
    if !(64..=8192).contains(&video.max_edge) {
        return wrong("video.max_edge", format!("{} is not from 64 to 8192", video.max_edge));
    }
    if video.fps == 0 || video.fps > video.max_fps || video.max_fps > 240 {
        return wrong(
            "video.fps",
            format!("{} is not from 1 to video.max_fps, at most 240", video.fps),
        );
    }
    if video.probe_limit.get().is_zero() {
        return wrong("video.probe_limit", "is zero: no encoder answers at once".into());
    }
    let (min, start, max) = (video.min_rate.rate(), video.start_rate.rate(), video.max_rate.rate());
    if !(min <= start && start <= max && min.bps() >= 100_000) {
        return wrong(
            "video.start_rate",
            format!("{start} is not between {min} and {max}, or the least is under 100 kbit/s"),
        );
    }
    Ok(())
}

/// Names are those of this build: an unknown forbidden one would silently allow what was forbidden.
fn encoders(video: &VideoConfig) -> Result<(), ConfigError> {
    let known: Vec<_> = encoder::candidates().iter().map(|each| each.name).collect();
    let asked = (video.encoder != "auto").then_some(("video.encoder", &video.encoder));
    let forbidden = video.forbid_encoders.iter().map(|name| ("video.forbid_encoders", name));
    for (key, name) in asked.into_iter().chain(forbidden) {
        if !known.contains(&name.as_str()) {
            return wrong(key, format!("{name:?} is none of {}", known.join(", ")));
        }
    }
    let codecs = &video.codecs;
    if codecs.is_empty() {
        return wrong("video.codecs", "is empty: no encoder could be used".into());
    }
    if let Some(twice) = codecs.iter().enumerate().find(|(n, each)| codecs[..*n].contains(each)) {
        return wrong("video.codecs", format!("{:?} is there twice", twice.1));
    }
    Ok(())
}

/// What encoders are opened with: beyond these bounds none of them takes it.
fn encoding(video: &VideoConfig) -> Result<(), ConfigError> {
    let whole = |key, value: u16, least, most| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        wrong(key, format!("{value} is not from {least} to {most}"))
    };
    whole("video.intra_refresh_frames", video.intra_refresh_frames, 2, 600)?;
    whole("video.vbv_percent", video.vbv_percent, 100, 1_000)?;
    whole("video.nvenc_slices", video.nvenc_slices.into(), 1, 4)?;
    whole("video.min_qp", video.min_qp.into(), 0, 40)
}

fn audio(audio: &Audio) -> Result<(), ConfigError> {
    let rate = audio.rate.rate();
    // What two channels need to be understood, and the most that Opus takes.
    if !(16_000..=510_000).contains(&rate.bps()) {
        return wrong("audio.rate", format!("{rate} is not from 16 to 510 kbit/s"));
    }
    if ![2, 6, 8].contains(&audio.channels) {
        return wrong("audio.channels", "it is none of 2, 6 and 8".into());
    }
    if ![5, 10, 20].contains(&audio.packet.get().as_millis()) {
        return wrong("audio.packet", "it is none of 5ms, 10ms and 20ms".into());
    }
    Ok(())
}

fn games(games: &Games) -> Result<(), ConfigError> {
    if !(0.0..=4_096.0).contains(&games.max_cpus) {
        return wrong("games.max_cpus", format!("{} is not from 0 to 4096", games.max_cpus));
    }
    Ok(())
}

fn render(render: &Render) -> Result<(), ConfigError> {
    if ![1, 2, 4].contains(&render.msaa) {
        return wrong("render.msaa", format!("{} is not 1, 2 or 4", render.msaa));
    }
    if render.shadow_size > 8192 {
        return wrong("render.shadow_size", format!("{} is more than 8192", render.shadow_size));
    }
    Ok(())
}

fn webrtc(webrtc: &WebRtc) -> Result<(), ConfigError> {
    if !webrtc.public.is_empty() && webrtc.public.len() != webrtc.listen.len() {
        return wrong("webrtc.public", "needs one address for each of webrtc.listen".into());
    }
    for server in &webrtc.ice_servers {
        urls("webrtc.ice_servers", &server.urls, &["stun", "stuns", "turn", "turns"])?;
    }
    Ok(())
}

/// RFC 7064 and RFC 7065; a browser refuses the whole connection for an address that is neither.
fn urls(key: &str, urls: &[String], schemes: &[&str]) -> Result<(), ConfigError> {
    for url in urls {
        if !url.split_once(':').is_some_and(|(scheme, _)| schemes.contains(&scheme)) {
            return wrong(key, format!("{url:?} begins with none of {}:", schemes.join(": and ")));
        }
    }
    Ok(())
}

fn webtransport(webtransport: &WebTransport) -> Result<(), ConfigError> {
    if webtransport.per_address == 0 {
        return wrong("webtransport.per_address", "is zero: nobody could connect".into());
    }
    let deadline = webtransport.frame_deadline.get();
    if !(10..=5_000).contains(&deadline.as_millis()) {
        return wrong(
            "webtransport.frame_deadline",
            format!("{} ms is not from 10 ms to 5 s", deadline.as_millis()),
        );
    }
    Ok(())
}

fn ice(ice: &Ice) -> Result<(), ConfigError> {
    urls("ice.turn_urls", &ice.turn_urls, &["turn", "turns"])?;
    let text = !ice.turn_secret.reveal().is_empty();
    let file = !ice.turn_secret_file.as_os_str().is_empty();
    if text && file {
        return wrong("ice.turn_secret_file", "ice.turn_secret is set too".into());
    }
    if ice.turn_urls.is_empty() == (text || file) {
        return wrong(
            "ice.turn_urls",
            "and a secret (ice.turn_secret or ice.turn_secret_file) go together".into(),
        );
    }
    if ice.turn_lifetime.get().is_zero() {
        return wrong("ice.turn_lifetime", "is zero: no client could use it".into());
    }
    Ok(())
}

fn access(access: &Access) -> Result<(), ConfigError> {
    for digest in &access.token_sha256 {
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return wrong("access.token_sha256", "is not 64 hexadecimal digits".into());
        }
    }
    Ok(())
}

fn server(server: &Server) -> Result<(), ConfigError> {
    if server.tls == Tls::Files
        && (server.certificate.as_os_str().is_empty() || server.private_key.as_os_str().is_empty())
    {
        return wrong(
            "server.tls",
            "\"files\" needs server.certificate and server.private_key".into(),
        );
    }
    for origin in &server.allowed_origins {
        let rest = origin.split_once("://").map(|(_, rest)| rest);
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains('/')) {
            return wrong(
                "server.allowed_origins",
                format!("{origin:?} is not like https://play.example.org, without a path"),
            );
        }
    }
    let url = &server.public_url;
    if !["http://", "https://"].iter().any(|scheme| url.is_empty() || url.starts_with(scheme)) {
        return wrong("server.public_url", "does not begin with http:// or https://".into());
    }
    Ok(())
}

fn sessions(sessions: &Sessions) -> Result<(), ConfigError> {
    for (key, length) in [
        ("sessions.idle", sessions.idle),
        ("sessions.longest", sessions.longest),
        ("sessions.connect", sessions.connect),
        ("sessions.reconnect", sessions.reconnect),
    ] {
        if length.get().is_zero() {
            return wrong(key, "is zero: no session could live".into());
        }
    }
    Ok(())
}

fn saves(saves: &Saves) -> Result<(), ConfigError> {
    if saves.versions == 0 {
        return wrong("saves.versions", "is zero: nothing would be kept (saves.enabled)".into());
    }
    let (version, player, total) = (saves.version_size, saves.player_size, saves.total_size);
    if version.bytes() == 0 {
        return wrong("saves.version_size", "is zero: nothing could be saved".into());
    }
    if player < version {
        return wrong("saves.player_size", format!("is less than one version, {version}"));
    }
    if total < player {
        return wrong("saves.total_size", format!("is less than of one player and game, {player}"));
    }
    Ok(())
}

fn sharing(sharing: &Sharing) -> Result<(), ConfigError> {
    // A clip lies in memory, of the node and of the display.
    for (key, size) in
        [("sharing.text_size", sharing.text_size), ("sharing.image_size", sharing.image_size)]
    {
        if !(1..=256 << 20).contains(&size.bytes()) {
            return wrong(key, format!("{size} is not from 1 KiB to 256 MiB"));
        }
    }
    if sharing.file_size.bytes() == 0 {
        return wrong("sharing.file_size", "is zero: no file could come (sharing.files)".into());
    }
    if sharing.files_size < sharing.file_size {
        return wrong(
            "sharing.files_size",
            format!("is less than one file, {}", sharing.file_size),
        );
    }
    if !(1..=10_000).contains(&sharing.files_count) {
        return wrong(
            "sharing.files_count",
            format!("{} is not from 1 to 10000", sharing.files_count),
        );
    }
    Ok(())
}

fn log(log: &Log) -> Result<(), ConfigError> {
    if let Err(error) = EnvFilter::builder().parse(&log.filter) {
        return wrong("log.filter", format!("{:?} is not a filter: {error}", log.filter));
    }
    Ok(())
}
