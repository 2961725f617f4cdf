//! Padding fills up what is sent to the rate that is asked for and no further, so that frames lose no room to
//! it. Datagrams carry it: what is lost of them is not sent again.

use std::time::Duration;

use media::Bitrate;
use media::webtransport::PADDING;
use tokio::time::{Instant, MissedTickBehavior};
use wtransport::Connection;

use crate::probe::Probe;

/// How often it is looked at what is missing; less than timers tell apart would be of no use.
const EVERY: Duration = Duration::from_millis(2);
/// Least datagram that every path takes whole (RFC 9000 §14): 1,200 bytes less what QUIC and HTTP/3 put
/// around.
const PIECE: usize = 1_100;

/// Fills up whatever is asked, for ever.
pub(super) async fn run(probe: &Probe, connection: &Connection) {
    let mut wanted = None;
    loop {
        let filled = async {
            match wanted {
                Some((rate, length)) => fill(connection, rate, length).await,
                None => std::future::pending().await,
            }
        };
        wanted = tokio::select! {
            () = filled => None,
            asked = probe.asked() => Some(asked),
        };
    }
}

async fn fill(connection: &Connection, rate: Bitrate, length: Duration) {
    let quic = connection.quic_connection();
    let sent = || quic.stats().udp_tx.bytes;
    let (began, before) = (Instant::now(), sent());
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut padding = [0; PIECE];
    padding[0] = PADDING;
    while began.elapsed() < length {
        every.tick().await;
        let wanted = rate.bytes_in(began.elapsed());
        let mut missing = wanted.saturating_sub(sent() - before);
        // Beyond this the oldest ones would be thrown away unsent.
        let mut room = quic.datagram_send_buffer_space();
        while missing > 0 && room > 2 * PIECE {
            if connection.send_datagram(padding).is_err() {
                // A client that takes no datagrams, or a connection that is over.
                return;
            }
            missing = missing.saturating_sub(PIECE as u64);
            room -= PIECE;
        }
    }
}
