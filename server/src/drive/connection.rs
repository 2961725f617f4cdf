//! The connection to one client, whatever it came by: the player's, or a viewer's.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use media::{AudioSink, Bitrate, DataChannel, TrackId, Transport, TransportEvent, UnitSink};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use transport::RemoteCandidates;

use super::answer::Taken;
use crate::metrics::Metrics;
use crate::registry::TrickleError;
use crate::wire;

/// The pacer spreads a frame over a quarter of its interval: what a link queues for so long, the
/// controller does not take for congestion.
const PACING_FACTOR: f64 = 4.0;
/// How long the client may take to have the last words before the connection closes without: SCTP repeats after a second
/// what was lost (RFC 9260 §16, RTO.Min), and is told within 200 ms what came.
const LAST_WORDS: Duration = Duration::from_millis(1_500);

/// Whether the client is heard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    NotYet,
    Now,
    NoMore,
}

/// One whose client is not reached yet, beside one that plays: it takes the other's place once it is, or is given up.
pub(super) struct Pending<T> {
    pub(super) connection: Connection,
    /// What its client was answered, and gets then.
    pub(super) media: T,
}

/// See the module.
pub(super) struct Connection {
    name: String,
    transport: Box<dyn Transport>,
    candidates: Option<RemoteCandidates>,
    closing_is_leaving: bool,
    by: &'static str,
    race: Option<u32>,
    reach: Reach,
    /// What the client said last on it of whether it shows the picture. It says so once, perhaps before the connection
    /// counts as up, and not again when a silent path comes back.
    pub(super) visible: bool,
    /// Of the node, and how much of it is this one's.
    dropped: Counter,
    counted: u64,
}

impl<T> Pending<T> {
    /// A new one, whose number follows that of the newest before it.
    pub(super) fn new(newest: &mut u32, taken: Taken, media: T, metrics: &Metrics) -> Self {
        *newest += 1;
        Self { connection: Connection::new(*newest, taken, metrics), media }
    }
}

impl Connection {
    /// Serves a client under this number.
    fn new(number: u32, taken: Taken, metrics: &Metrics) -> Self {
        let Taken { transport, candidates, closing_is_leaving, by, race } = taken;
        metrics.connected(by);
        let name = number.to_string();
        let dropped = metrics.messages_dropped.clone();
        Self {
            name,
            transport,
            candidates,
            closing_is_leaving,
            by,
            race,
            reach: Reach::NotYet,
            visible: true,
            dropped,
            counted: 0,
        }
    }

    /// Passes on to the node's metrics what was dropped since the last call.
    pub(super) fn count_dropped(&mut self) {
        let dropped = self.transport.dropped_events();
        self.dropped.inc_by(dropped.saturating_sub(self.counted));
        self.counted = dropped;
    }

    /// Whether this one has won the race that another one takes part in.
    pub(super) fn outran(&self, race: Option<u32>) -> bool {
        self.reach != Reach::NotYet && race.is_some() && self.race == race
    }

    /// Whether its client is connected and heard: another one may wait beside it.
    pub(super) fn plays(&self) -> bool {
        self.reach == Reach::Now
    }

    /// Names it in addresses and entity tags.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a client that closes it means to leave for good.
    pub(super) fn closing_is_leaving(&self) -> bool {
        self.closing_is_leaving
    }

    /// What metrics call its transport.
    pub(super) fn by(&self) -> &'static str {
        self.by
    }

    /// Where the units of its picture go.
    pub(super) fn video_sink(&mut self) -> Box<dyn UnitSink> {
        self.transport.video_sink(TrackId(0))
    }

    /// Where its sound goes; none where the client takes none.
    pub(super) fn audio_sink(&mut self) -> Option<Box<dyn AudioSink>> {
        self.transport.audio_sink()
    }

    /// Paces packets for a stream of this rate.
    pub(super) fn set_pacing(&mut self, rate: Bitrate) {
        self.transport.set_pacing(rate.scaled(PACING_FACTOR));
    }

    /// Fills up with padding to this rate for so long.
    pub(super) fn probe(&mut self, rate: Bitrate, length: Duration) {
        self.transport.probe(rate, length);
    }

    /// Says something on the control channel.
    pub(super) fn say(&mut self, message: &wire::ServerMessage) {
        match serde_json::to_vec(message) {
            Ok(json) => {
                // A full queue means a client that does not read; statistics are worth nothing late.
                if let Err(refused) = self.transport.send_data(DataChannel::Control, json.into()) {
                    tracing::debug!(%refused, "control message not sent");
                }
            }
            Err(error) => tracing::error!(%error, "control message cannot be written"),
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        let event = self.transport.poll_event(cx);
        match &event {
            Poll::Ready(TransportEvent::Connected { .. }) => self.reach = Reach::Now,
            Poll::Ready(TransportEvent::Interrupted) if self.plays() => self.reach = Reach::NoMore,
            _ => {}
        }
        event
    }

    /// Adds candidates to the connection of this name, if it is one of those that are `known`.
    ///
    /// # Errors
    /// See [`TrickleError`].
    pub(super) fn trickle<'a>(
        known: impl IntoIterator<Item = &'a Self>,
        name: &str,
        fragment: &str,
    ) -> Result<(), TrickleError> {
        let named = known.into_iter().find(|it| it.name == name);
        let candidates = named.and_then(|it| it.candidates.as_ref());
        let candidates = candidates.ok_or(TrickleError::OtherConnection)?;
        let added = candidates.add(fragment);
        added.map(drop).map_err(|error| TrickleError::Malformed(error.to_string()))
    }

    /// Closes it once the client has taken the last words; one that does not must not hold the session.
    pub(super) async fn close(mut self) {
        self.transport.close();
        let closed = async {
            while !matches!(next_event(Some(&mut self)).await, TransportEvent::Closed(_)) {}
        };
        if tokio::time::timeout(LAST_WORDS, closed).await.is_err() {
            tracing::debug!("a client did not take the last words in time");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.count_dropped();
    }
}

/// What happens next on a connection; waits for ever where there is none.
pub(super) async fn next_event(connection: Option<&mut Connection>) -> TransportEvent {
    match connection {
        Some(connection) => poll_fn(|cx| connection.poll_event(cx)).await,
        None => std::future::pending().await,
    }
}

/// Waits until then, or for ever.
pub(super) async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use media::SendRefused;

    use super::*;

    /// Its client takes nothing and is not found gone: what it closes in order never comes to an end.
    struct Deaf {
        _open: Arc<()>,
    }

    impl Transport for Deaf {
        fn video_sink(&mut self, _: TrackId) -> Box<dyn UnitSink> {
            unreachable!("no picture is sent")
        }
        fn audio_sink(&mut self) -> Option<Box<dyn AudioSink>> {
            None
        }
        fn send_data(&mut self, _: DataChannel, _: Bytes) -> Result<(), SendRefused> {
            Ok(())
        }
        fn set_pacing(&mut self, _: Bitrate) {}
        fn probe(&mut self, _: Bitrate, _: Duration) {}
        fn poll_event(&mut self, _: &mut Context<'_>) -> Poll<TransportEvent> {
            Poll::Pending
        }
        fn dropped_events(&self) -> u64 {
            0
        }
        fn close(&mut self) {}
    }

    #[tokio::test]
    async fn a_client_that_does_not_take_the_last_words_does_not_hold_the_session() {
        let open = Arc::new(());
        let taken = Taken {
            transport: Box::new(Deaf { _open: open.clone() }),
            candidates: None,
            closing_is_leaving: false,
            by: "websocket",
            race: None,
        };
        let mut connection = Connection::new(1, taken, &Metrics::new());
        connection.say(&wire::ServerMessage::Ended { reason: "over".into(), code: None });
        connection.close().await;
        assert_eq!(Arc::strong_count(&open), 1, "what it came by is dropped");
    }
}
