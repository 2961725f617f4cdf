//! What the node counts, in OpenMetrics.

use std::sync::atomic::AtomicU64;

use host::confine::{Attempt, Attempts};
use media::{CloseReason, Stage, StageTimes};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};
use session::Role;
use transport::PortCounts;
use transport::webtransport::EndpointCounts;

/// The stage of a frame's way through the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

/// Why sessions ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

/// A candidate of the table of encoders.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EncoderLabel {
    encoder: &'static str,
}

/// What became of a datagram that was not simply delivered, or of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MediaLabel {
    event: &'static str,
}

/// What became of a client at the port of WebTransport.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// How clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabel {
    transport: &'static str,
}

/// How connections end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabel {
    transport: &'static str,
    by: &'static str,
}

/// An entry of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AppLabel {
    app: String,
}

/// What viewers do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabel {
    role: &'static str,
}

/// What games try in vain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabel {
    kind: &'static str,
}

/// What went between games and players.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransferLabel {
    what: &'static str,
    way: &'static str,
}

/// Everything that the node counts. Cheap to clone: the counters are shared.
#[derive(Clone)]
pub struct Metrics {
    registry: std::sync::Arc<Registry>,
    /// Sessions started.
    pub sessions_started: Counter,
    ended: Family<ReasonLabel, Counter>,
    /// Sessions refused.
    pub sessions_refused: Counter,
    /// Larger screens of sessions that were refused, for want of room.
    pub screens_refused: Counter,
    /// Sessions now.
    pub sessions_live: Gauge,
    viewers: Family<RoleLabel, Gauge>,
    /// Viewers that joined.
    pub viewers_joined: Counter,
    /// Viewers that were not let in.
    pub viewers_refused: Counter,
    /// Units given to the transports of viewers.
    pub viewer_units_sent: Counter,
    /// Units that viewers were not given.
    pub viewer_units_skipped: Counter,
    /// Bytes of frames sent to viewers.
    pub viewer_bytes_sent: Counter,
    /// Input of spectators, and of co-players beyond what is taken.
    pub viewer_input_refused: Counter,
    /// Keyframes that were asked for on behalf of viewers.
    pub viewer_keyframes: Counter,
    /// Frames that sources made.
    pub frames_captured: Counter,
    /// Frames that were brought into the layout of an encoder.
    pub frames_converted: Counter,
    /// Frames that were coded.
    pub frames_encoded: Counter,
    /// Frames sent.
    pub frames_sent: Counter,
    /// Bytes of frames sent.
    pub bytes_sent: Counter,
    /// Frames that needed no encode because nothing had changed.
    pub frames_unchanged: Counter,
    /// Frames dropped before the encoder.
    pub frames_dropped: Counter,
    /// Keyframes.
    pub keyframes: Counter,
    /// Packets of sound made.
    pub audio_packets: Counter,
    /// Their bytes.
    pub audio_bytes: Counter,
    /// Packets of players' voices that were taken.
    pub voice_packets: Counter,
    /// Their bytes.
    pub voice_bytes: Counter,
    /// Those that did not come.
    pub voice_lost: Counter,
    /// Packets of voices that were dropped, since who sent them may not speak, or the session is not live.
    pub voice_refused: Counter,
    /// Messages from clients that were not understood.
    pub bad_messages: Counter,
    /// Messages from clients and reports of transports that were dropped: nobody had time to read them, too many came, or
    /// they say nothing.
    pub messages_dropped: Counter,
    /// Input events that were dropped, since a player sent more than is taken.
    pub input_dropped: Counter,
    /// Connections that were closed, since their clients sent far more of a kind of messages than a client has.
    pub floods: Counter,
    /// Clients of WebTransport that were refused for what they asked.
    pub webtransport_forbidden: Counter,
    /// Connections of HTTP that had shown no token and gave way to newer ones.
    pub http_gave_way: Counter,
    /// Connections of HTTP that had shown a token and gave way to newer ones.
    pub http_known_gave_way: Counter,
    /// Clients that came for a WebSocket and were refused for what they asked.
    pub websocket_forbidden: Counter,
    /// Connections of WebTransport that QUIC has.
    pub webtransport_connections: Gauge,
    quic: Family<OutcomeLabel, Counter>,
    connections: Family<TransportLabel, Counter>,
    connections_closed: Family<CloseLabel, Counter>,
    tickets_refused: Family<ReasonLabel, Counter>,
    /// Per stage a handle, so that the path of a frame takes no lock of the family.
    by_stage: [Histogram; Stage::ALL.len()],
    encoder_sessions: Family<EncoderLabel, Gauge>,
    encoder_sessions_refused: Family<EncoderLabel, Counter>,
    /// Buffers and textures on the graphics device.
    pub gpu_allocations: Gauge,
    /// Bytes that they hold.
    pub gpu_memory: Gauge,
    ahead_ready: Family<AppLabel, Gauge>,
    /// Sessions that took what was started ahead.
    pub ahead_hits: Counter,
    ahead_misses: Family<ReasonLabel, Counter>,
    ahead_ended: Family<ReasonLabel, Counter>,
    media: Family<MediaLabel, Counter>,
    attempts: Family<AttemptLabel, Counter>,
    transfers: Family<TransferLabel, Counter>,
    transferred: Family<TransferLabel, Counter>,
    /// Seconds since the node started.
    pub uptime: Gauge<f64, AtomicU64>,
}

/// Bounds of the stage histograms in seconds: 50 µs to half a second.
fn buckets() -> Histogram {
    Histogram::new([
        0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.012, 0.017, 0.025,
        0.035, 0.05, 0.1, 0.25, 0.5,
    ])
}

/// Makes metrics and registers them.
struct Adding<'a>(&'a mut Registry);

impl Adding<'_> {
    fn one<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    fn in_unit<M: Metric + Clone + Default>(&mut self, name: &str, help: &str, unit: Unit) -> M {
        let metric = M::default();
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("nearlight");
        let stages: Family<StageLabel, Histogram> =
            Family::new_with_constructor(buckets as fn() -> Histogram);
        let by_stage = Stage::ALL
            .map(|stage| stages.get_or_create(&StageLabel { stage: stage.name() }).clone());
        registry.register_with_unit(
            "frame_stage",
            "Time of a frame in one stage of the server",
            Unit::Seconds,
            stages,
        );
        let mut add = Adding(&mut registry);
        let metrics = Self {
            registry: std::sync::Arc::default(),
            sessions_started: add.one("sessions_started", "Sessions started"),
            ended: add.one("sessions_ended", "Sessions ended, by reason"),
            sessions_refused: add.one("sessions_refused", "Sessions refused"),
            screens_refused: add.one("screens_refused", "Larger screens refused for want of room"),
            sessions_live: add.one("sessions_live", "Sessions that have not ended"),
            viewers: add.one("viewers", "Viewers that are connected, by role"),
            viewers_joined: add.one("viewers_joined", "Viewers that joined a session"),
            viewers_refused: add.one("viewers_refused", "Viewers that were not let in"),
            viewer_units_sent: add.one("viewer_units_sent", "Units given to viewers"),
            viewer_units_skipped: add.one(
                "viewer_units_skipped",
                "Units that viewers could not decode or had no room for",
            ),
            viewer_bytes_sent: add.in_unit(
                "viewer_frames",
                "Bytes of frames sent to viewers",
                Unit::Bytes,
            ),
            viewer_input_refused: add.one(
                "viewer_input_refused",
                "Input of spectators, and of co-players beyond what is taken",
            ),
            viewer_keyframes: add.one(
                "viewer_keyframes",
                "Keyframes that were asked for on behalf of viewers",
            ),
            frames_captured: add.one("frames_captured", "Frames that sources made"),
            frames_converted: add.one(
                "frames_converted",
                "Frames that were brought into the layout of an encoder",
            ),
            frames_encoded: add.one("frames_encoded", "Frames that were coded"),
            frames_sent: add.one("frames_sent", "Frames of which the last packet left"),
            bytes_sent: add.in_unit("frames", "Bytes of frames sent", Unit::Bytes),
            frames_unchanged: add
                .one("frames_unchanged", "Frames not encoded: nothing had changed"),
            frames_dropped: add.one("frames_dropped", "Frames dropped before the encoder"),
            keyframes: add.one("keyframes", "Keyframes encoded"),
            audio_packets: add.one("audio_packets", "Packets of sound made"),
            audio_bytes: add.in_unit("audio", "Bytes of packets of sound", Unit::Bytes),
            voice_packets: add.one("voice_packets", "Packets of players' voices taken"),
            voice_bytes: add.in_unit("voice", "Bytes of packets of players' voices", Unit::Bytes),
            voice_lost: add.one("voice_lost", "Packets of players' voices that did not come"),
            voice_refused: add
                .one("voice_refused", "Packets of voices dropped: not allowed, or not live"),
            bad_messages: add.one("bad_messages", "Client messages that were refused"),
            messages_dropped: add.one(
                "messages_dropped",
                "Client messages and reports of paths dropped: not read in time, too many, or of no known kind",
            ),
            input_dropped: add
                .one("input_dropped", "Input of players dropped: more than is taken of a client"),
            floods: add
                .one("floods", "Connections closed: far more of a kind of messages than a client has"),
            webtransport_forbidden: add.one(
                "webtransport_forbidden",
                "Clients of WebTransport refused: foreign origin, wrong ticket, no such session",
            ),
            http_gave_way: add.one(
                "http_gave_way",
                "Connections of HTTP closed for newer ones of their kind, having shown no token",
            ),
            http_known_gave_way: add.one(
                "http_known_gave_way",
                "Connections of HTTP closed for newer ones of their kind, having shown a token",
            ),
            websocket_forbidden: add.one(
                "websocket_forbidden",
                "WebSockets refused: foreign origin, wrong ticket, no such session, no handshake, too many of one session",
            ),
            webtransport_connections: add.one(
                "webtransport_connections",
                "Connections of WebTransport: those that play, that are not accepted yet, and that end",
            ),
            quic: add.one(
                "webtransport_handshakes",
                "Clients of WebTransport that came no further, or were made to prove their address",
            ),
            connections: add.one("connections", "Connections of clients to sessions, by transport"),
            connections_closed: add.one(
                "connections_closed",
                "Connections of clients that are over, by transport and by who ended them",
            ),
            tickets_refused: add
                .one("tickets_refused", "Tickets of sessions that were not redeemed, by reason"),
            by_stage,
            encoder_sessions: add.one("encoder_sessions", "Sessions that have this encoder"),
            encoder_sessions_refused: add
                .one("encoder_sessions_refused", "Sessions that this encoder had none to give for"),
            gpu_allocations: add
                .one("gpu_allocations", "Buffers and textures on the graphics device"),
            gpu_memory: add.in_unit("gpu_memory", "Memory that they hold", Unit::Bytes),
            ahead_ready: add.one("ahead_ready", "Games that were started ahead and are ready, by entry"),
            ahead_hits: add.one("ahead_hits", "Sessions that took a game that was started ahead"),
            ahead_misses: add.one(
                "ahead_misses",
                "Sessions of entries that are started ahead which had to start anew, by reason",
            ),
            ahead_ended: add.one(
                "ahead_ended",
                "Games that were started ahead and that nobody played, by reason",
            ),
            media: add.one(
                "media_port_events",
                "What the port of all WebRTC sessions did not simply deliver, by kind",
            ),
            attempts: add
                .one("game_attempts", "What games tried that their sandboxes refuse, by kind"),
            transfers: add
                .one("transfers", "What went between games and players by clipboard and files"),
            transferred: add.in_unit("transferred", "Bytes of it", Unit::Bytes),
            uptime: add.in_unit("uptime", "Since the node started", Unit::Seconds),
        };
        Self { registry: std::sync::Arc::new(registry), ..metrics }
    }

    /// Sets how many viewers of each role are connected.
    pub fn viewers(&self, viewers: crate::wire::Viewers) {
        for (role, count) in
            [(Role::CoPlayer, viewers.co_players), (Role::Spectator, viewers.spectators)]
        {
            self.viewers.get_or_create(&RoleLabel { role: role.name() }).set(count.into());
        }
    }

    /// Counts a frame that left.
    pub fn frame_sent(&self, bytes: u64, stages: &StageTimes) {
        self.frames_sent.inc();
        self.bytes_sent.inc_by(bytes);
        for (stage, length) in stages.spans() {
            self.by_stage[stage as usize].observe(length.as_secs_f64());
        }
    }

    /// Sets how many of an entry were started ahead and are ready.
    pub fn ahead_ready(&self, app: &str, ready: usize) {
        let ready = i64::try_from(ready).unwrap_or(i64::MAX);
        self.ahead_ready.get_or_create(&AppLabel { app: app.into() }).set(ready);
    }

    /// Counts a session that could have taken what was started ahead, but for this.
    pub fn ahead_missed(&self, reason: &'static str) {
        self.ahead_misses.get_or_create(&ReasonLabel { reason: reason.into() }).inc();
    }

    /// Counts one that was started ahead and that nobody played.
    pub fn ahead_ended(&self, reason: &'static str) {
        self.ahead_ended.get_or_create(&ReasonLabel { reason: reason.into() }).inc();
    }

    /// Counts a ticket that is no good.
    pub fn ticket_refused(&self, reason: &'static str) {
        self.tickets_refused.get_or_create(&ReasonLabel { reason: reason.into() }).inc();
    }

    /// Counts a connection.
    pub fn connected(&self, transport: &'static str) {
        self.connections.get_or_create(&TransportLabel { transport }).inc();
    }

    /// Counts the end of a connection.
    pub fn connection_closed(&self, transport: &'static str, why: &CloseReason) {
        let by = match why {
            CloseReason::Local => "node",
            CloseReason::Remote => "client",
            CloseReason::Unreachable => "silence",
            _ => "failure",
        };
        self.connections_closed.get_or_create(&CloseLabel { transport, by }).inc();
    }

    /// Adds what the port of WebTransport counted since the last call.
    pub fn webtransport(&self, news: EndpointCounts) {
        for (outcome, count) in
            [("refused", news.refused), ("validated", news.validated), ("failed", news.failed)]
        {
            self.quic.get_or_create(&OutcomeLabel { outcome }).inc_by(count);
        }
    }

    /// Sessions that have this encoder.
    pub fn encoder_sessions(&self, encoder: &'static str) -> Gauge {
        self.encoder_sessions.get_or_create(&EncoderLabel { encoder }).clone()
    }

    /// Counts that an encoder had no session to give.
    pub fn encoder_session_refused(&self, encoder: &'static str) {
        self.encoder_sessions_refused.get_or_create(&EncoderLabel { encoder }).inc();
    }

    /// Takes over what the media port has counted.
    pub fn observe_port(&self, counts: &PortCounts) {
        for (event, count) in [
            ("unroutable", counts.unroutable),
            ("forged", counts.forged),
            ("dropped", counts.dropped),
            ("unwanted", counts.unwanted),
            ("moved", counts.moved),
            ("tcp_refused", counts.tcp_refused),
            ("tcp_silent", counts.tcp_silent),
            ("tcp_stuck", counts.tcp_stuck),
        ] {
            let counter = self.media.get_or_create(&MediaLabel { event }).clone();
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }

    /// Takes over what games were seen to try.
    pub fn observe_attempts(&self, attempts: &Attempts) {
        for attempt in Attempt::ALL {
            let counter = self.attempts.get_or_create(&AttemptLabel { kind: attempt.name() });
            counter.inc_by(attempts.count(attempt).saturating_sub(counter.get()));
        }
    }

    /// Counts what went between a game and its player.
    pub fn transferred(&self, what: &'static str, way: &'static str, bytes: u64) {
        let label = TransferLabel { what, way };
        self.transfers.get_or_create(&label).inc();
        self.transferred.get_or_create(&label).inc_by(bytes);
    }

    /// Counts an ended session.
    pub fn session_ended(&self, reason: &str) {
        self.ended.get_or_create(&ReasonLabel { reason: reason.into() }).inc();
    }

    /// All as OpenMetrics text.
    ///
    /// # Errors
    /// When formatting fails, which is our bug.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{Mark, MediaTime};

    #[test]
    fn a_frame_shows_in_its_stages() {
        let metrics = Metrics::new();
        let mut stages = StageTimes::captured(MediaTime::from_millis(1));
        stages.mark(Mark::DrawStarted, MediaTime::from_millis(2));
        stages.mark(Mark::Drawn, MediaTime::from_millis(9));
        metrics.frame_sent(1200, &stages);
        metrics.session_ended("idle");
        let text = metrics.encode().unwrap();
        assert!(text.contains("nearlight_frames_bytes_total 1200"), "{text}");
        assert!(text.contains("nearlight_frame_stage_seconds_sum{stage=\"draw\"} 0.007"), "{text}");
        assert!(text.contains("nearlight_sessions_ended_total{reason=\"idle\"} 1"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
