//! Answers a client that repeats what it said in the DTLS handshake, with what it was answered before.
//!
//! That is what RFC 6347 §4.2.4 asks for. The stack does so for the first answer and the last: any record of a handshake stops its timer, and
//! where what it sent from `ServerHello` to `ServerHelloDone` is lost, it takes the client's repeated `ClientHello` for
//! nothing, and never answers (seen with Chromium: no connection, however long it tries). So the datagrams of the newest flight are
//! kept, and sent as they were when a message comes again that was there before they left. Those that came already
//! are dropped by the client as replays (§4.1.2.6).
//!
//! A stranger who is let through by ICE could ask for that by one datagram: a flight is repeated [`REPEATS`] times at
//! the most, and not within [`PAUSE`].

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Datagrams of a flight: of the server's largest, with its certificate, one.
const DATAGRAMS: usize = 8;
/// Bytes of a flight.
const BYTES: usize = 8 * 1_500;
/// More often than any client repeats what it sends: BoringSSL waits from 50 ms to a minute, each time twice as long.
const REPEATS: u32 = 32;
/// Not again for each datagram of what the client repeats.
const PAUSE: Duration = Duration::from_millis(10);
/// From then on the stack repeats by itself what it sent.
const BY_ITSELF: Duration = Duration::from_millis(500);

/// Content types of records (RFC 6347 §4.1, RFC 5246 §6.2.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flight {
    datagrams: Vec<(Vec<u8>, SocketAddr)>,
    /// The highest number of a message that came (RFC 6347 §4.2.2).
    heard: Option<u16>,
    /// The same when the flight began: what has one up to this comes again.
    answers: Option<u16>,
    /// Something came since the last datagram left.
    is_over: bool,
    /// When a datagram of it left last.
    sent: Option<Instant>,
    repeats: u32,
}

/// Whether a datagram may be part of a handshake.
pub(super) fn is_handshake(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(&(CHANGE_CIPHER_SPEC | HANDSHAKE)))
}

/// The number of the first message of a datagram that is in clear, as all are but the last of each side.
fn message(datagram: &[u8]) -> Option<u16> {
    // Type, version, epoch, number and length of the record; type and length of the message, and its number.
    let header = datagram.first_chunk::<19>()?;
    let [kind, _, _, 0, 0, .., high, low] = *header else { return None };
    (kind == HANDSHAKE).then_some(u16::from_be_bytes([high, low]))
}

impl Flight {
    /// A datagram for which [`is_handshake`] holds leaves.
    pub(super) fn sent(&mut self, datagram: &[u8], to: SocketAddr, now: Instant) {
        let by_itself = |at: Instant| now.saturating_duration_since(at) >= BY_ITSELF;
        if self.is_over || self.sent.is_none_or(by_itself) {
            let (heard, repeats) = (self.heard, self.repeats);
            let repeats = if heard == self.answers { repeats } else { 0 };
            *self = Self { heard, answers: heard, repeats, ..Self::default() };
        }
        let bytes: usize = self.datagrams.iter().map(|(datagram, _)| datagram.len()).sum();
        if self.datagrams.len() < DATAGRAMS && bytes + datagram.len() <= BYTES {
            self.datagrams.push((datagram.to_vec(), to));
        }
        self.sent = Some(now);
    }

    /// A datagram came; yields those to be sent because of it, with where they go.
    pub(super) fn came(
        &mut self,
        datagram: &[u8],
        now: Instant,
    ) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let message = message(datagram);
        let is_again = message.is_some_and(|number| Some(number) <= self.answers);
        let rests = self.sent.is_some_and(|at| now.saturating_duration_since(at) >= PAUSE);
        let repeats = is_again && rests && self.repeats < REPEATS;
        if repeats {
            self.repeats += 1;
            self.sent = Some(now);
        }
        self.is_over |= message.is_some();
        self.heard = self.heard.max(message);
        let all = if repeats { &self.datagrams[..] } else { &[] };
        all.iter().map(|(datagram, to)| (&datagram[..], *to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    /// A record of a handshake in clear, with so many bytes behind its number.
    fn record(kind: u8, number: u16, rest: usize) -> Vec<u8> {
        let mut record = vec![HANDSHAKE, 254, 253, 0, 0, 0, 0, 0, 0, 0, 7, 0, 99, kind, 0, 0, 80];
        record.extend(number.to_be_bytes());
        record.extend(vec![0; rest]);
        record
    }

    struct Server(Flight, Instant);

    impl Server {
        fn sends(&mut self, datagram: &[u8], at_ms: u64) {
            assert!(is_handshake(datagram));
            self.0.sent(datagram, CLIENT, self.1 + Duration::from_millis(at_ms));
        }

        fn takes(&mut self, datagram: &[u8], at_ms: u64) -> Vec<Vec<u8>> {
            let out = self.0.came(datagram, self.1 + Duration::from_millis(at_ms));
            out.inspect(|(_, to)| assert_eq!(*to, CLIENT)).map(|(it, _)| it.to_vec()).collect()
        }
    }

    const NOTHING: [Vec<u8>; 0] = [];

    /// One to which `ClientHello` came twice, and which answered it with two datagrams at 100 ms.
    fn answered() -> Server {
        let mut server = Server(Flight::default(), Instant::now());
        assert_eq!(server.takes(&record(1, 0, 9), 0), NOTHING);
        server.sends(&record(3, 0, 20), 1);
        assert_eq!(server.takes(&record(1, 1, 9), 90), NOTHING, "an answer to it");
        server.sends(&record(2, 1, 700), 100);
        server.sends(&record(11, 2, 700), 100);
        server
    }

    #[test]
    fn what_comes_again_gets_the_same_answer_again() {
        let mut server = answered();
        let flight = [record(2, 1, 700), record(11, 2, 700)];
        assert_eq!(server.takes(&record(1, 1, 9), 150), flight);
        assert_eq!(server.takes(&record(1, 1, 9), 151), NOTHING, "the rest of it");
        assert_eq!(server.takes(&record(1, 1, 9), 250), flight);
        // The next one is of a flight that is answered by another.
        assert_eq!(server.takes(&record(11, 2, 500), 300), NOTHING);
        assert_eq!(server.takes(&record(11, 2, 500), 350), NOTHING, "not answered yet");
        let last = vec![CHANGE_CIPHER_SPEC; 75];
        server.sends(&last, 360);
        assert_eq!(server.takes(&record(11, 2, 500), 410), [last]);
    }

    #[test]
    fn what_the_stack_repeats_by_itself_takes_the_place_of_what_it_repeats() {
        let mut server = answered();
        let anew = record(2, 1, 701);
        server.sends(&anew, 1_100);
        assert_eq!(server.takes(&record(1, 1, 9), 1_200), [anew]);
    }

    #[test]
    fn a_flood_of_repetitions_is_answered_so_often_and_no_more() {
        let mut server = answered();
        let mut answers = 0;
        for at in 0..10_000 {
            answers += server.takes(&record(1, 1, 9), 200 + at).len();
            // What the stack says meanwhile to the same is no new flight.
            if at % 100 == 0 {
                server.sends(&record(2, 1, 700), 200 + at);
            }
        }
        assert!((20..=2 * REPEATS as usize).contains(&answers), "{answers}");
        for _ in 0..100 {
            server.sends(&[HANDSHAKE; 1_400], 20_000);
        }
        assert!(server.0.datagrams.len() <= DATAGRAMS);
    }

    #[test]
    fn what_is_no_message_in_clear_is_answered_by_nothing() {
        let mut server = answered();
        let mut sealed = record(20, 0, 9);
        sealed[4] = 1;
        for other in
            [&sealed[..], &record(1, 0, 9)[..18], &[], &[0x80; 40], &[CHANGE_CIPHER_SPEC; 40]]
        {
            assert_eq!(server.takes(other, 500), NOTHING, "{other:?}");
        }
        assert_eq!(server.takes(&record(1, 0, 9), 500).len(), 2, "the oldest message comes again");
    }
}
