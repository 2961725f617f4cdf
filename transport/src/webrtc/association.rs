//! What of SCTP (RFC 9260) the stack is let have. Its receive window bounds what waits to be read, but not what a client
//! sends that ignores the window: whatever is older than the newest it takes however full it is, and so it does what comes next
//! while nothing can be read. A client that leaves one number out, or never ends a message, could have it hold all that it
//! sends. It takes any number of streams and associations, too, and counts to the number that a FORWARD TSN names.
//!
//! So the client's packets are looked at before the stack has them, and the stack's own, which tell what it holds: a SACK
//! has the gaps and what is left of the window. What is too much ends the connection.
//!
//! The stack begins an association with each that asks for one, and serves them all. Only the first whose handshake goes on is let
//! have more: what is counted is of one association.
//!
//! It must read packets as the stack does, or something could be hidden from it: packets that can be read in two ways are
//! refused, which to an honest client is a loss.

use thiserror::Error;

/// Bytes that wait to be read in messages that are whole, or will be: no message of a client has more than 16 KiB.
pub(crate) const WINDOW: u32 = 64 * 1024;
/// Chunks of data that wait for one before them. A client that sends a thousand events a second has as many on its way
/// in sixteen seconds; the window holds the large ones.
const MOST_BEYOND: usize = 16_384;
/// Bytes that come while the window is shut, but for one packet now and then that asks whether it still is.
const MOST_SHUT_OUT: usize = 256 * 1024;
/// Bytes that come without an answer. The stack answers every second packet, or all that it reads in one go.
const MOST_UNANSWERED: usize = 1024 * 1024;
/// Streams: ours are four; a client may announce some of its own, of which nothing is read.
const MOST_STREAMS: usize = 64;
/// Times that an association is asked for: a client asks again a few times where no answer comes.
const MOST_ASKED: u32 = 16;
/// Requests to reset streams, repeated ones included.
const MOST_RESETS: u32 = 1_024;
/// Numbers that may be given up at once.
const MOST_GIVEN_UP: u32 = 65_536;

const HEADER: usize = 12;
const DATA: u8 = 0;
const INIT: u8 = 1;
const SACK: u8 = 3;
const HEARTBEATS: std::ops::RangeInclusive<u8> = 4..=5;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const RECONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;
const OUTGOING_RESET: u16 = 13;
const RESET_ANSWER: u16 = 16;

/// What a client sent too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Excess {
    #[error("the client sent more than {MOST_BEYOND} chunks of SCTP after one that it never sent")]
    Beyond,
    #[error("the client sent more than {MOST_SHUT_OUT} bytes of SCTP into a window that was shut")]
    ShutOut,
    #[error("the client sent more than {MOST_UNANSWERED} bytes of SCTP that cannot be answered")]
    Unanswered,
    #[error("the client sent by more than {MOST_STREAMS} streams of SCTP")]
    Streams,
    #[error("the client asked for more than {MOST_ASKED} associations of SCTP")]
    Asked,
    #[error("the client asked more than {MOST_RESETS} times to reset streams of SCTP")]
    Resets,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// Of the association that goes on: what its packets are marked with.
    tag: Option<u32>,
    /// The stack has all data up to this number, as it said.
    has: Option<u32>,
    /// Nothing is left of the window.
    shut: bool,
    shut_out: usize,
    unanswered: usize,
    streams: Vec<u16>,
    asked: u32,
    resets: u32,
}

/// A chunk that something is to be known of.
enum Chunk<'a> {
    Data {
        stream: u16,
    },
    Sack {
        body: &'a [u8],
    },
    ForwardTsn {
        to: u32,
    },
    Init,
    /// The handshake goes on.
    CookieEcho,
    Reset,
    Other,
}

impl Bounds {
    /// Whether the stack may have a packet of the client.
    ///
    /// # Errors
    /// When the connection is to end.
    pub(crate) fn came(&mut self, packet: &[u8]) -> Result<bool, Excess> {
        let tag = word(packet, 4);
        if self.tag.is_some() && self.tag != tag {
            return Ok(false);
        }
        let mut only_sacks = true;
        for chunk in Chunks::of(packet) {
            let Some(chunk) = chunk else { return Ok(false) };
            only_sacks &= matches!(chunk, Chunk::Sack { .. });
            match (&chunk, self.tag) {
                (Chunk::Init, None) | (_, Some(_)) => {}
                (Chunk::CookieEcho, None) => self.tag = tag,
                (_, None) => return Ok(false),
            }
            match chunk {
                Chunk::Data { stream } => self.sends_by(stream)?,
                Chunk::ForwardTsn { to } => {
                    let ahead = self.has.map(|has| to.wrapping_sub(has));
                    // What lies behind is half of all numbers.
                    if !ahead.is_some_and(|ahead| ahead <= MOST_GIVEN_UP || ahead > u32::MAX / 2) {
                        return Ok(false);
                    }
                }
                Chunk::Init if self.tag.is_some() => return Ok(false),
                Chunk::Init => {
                    self.asked += 1;
                    if self.asked > MOST_ASKED {
                        return Err(Excess::Asked);
                    }
                }
                Chunk::Reset => {
                    self.resets += 1;
                    if self.resets > MOST_RESETS {
                        return Err(Excess::Resets);
                    }
                }
                Chunk::Sack { .. } | Chunk::CookieEcho | Chunk::Other => {}
            }
        }
        // What the client says of our own data is not answered.
        if only_sacks {
            return Ok(true);
        }
        self.unanswered += packet.len();
        self.shut_out += if self.shut { packet.len() } else { 0 };
        if self.shut_out > MOST_SHUT_OUT {
            return Err(Excess::ShutOut);
        }
        if self.unanswered > MOST_UNANSWERED {
            return Err(Excess::Unanswered);
        }
        Ok(true)
    }

    fn sends_by(&mut self, stream: u16) -> Result<(), Excess> {
        if !self.streams.contains(&stream) {
            if self.streams.len() == MOST_STREAMS {
                return Err(Excess::Streams);
            }
            self.streams.push(stream);
        }
        Ok(())
    }

    /// The stack sends a packet.
    ///
    /// # Errors
    /// When the connection is to end.
    pub(crate) fn sent(&mut self, packet: &[u8]) -> Result<(), Excess> {
        for chunk in Chunks::of(packet).flatten() {
            let Chunk::Sack { body } = chunk else { continue };
            let (Some(has), Some(window)) = (word(body, 0), word(body, 4)) else { continue };
            self.has = Some(has);
            self.unanswered = 0;
            self.shut = window == 0;
            if !self.shut {
                self.shut_out = 0;
            }
            let gaps = short(body, 8).unwrap_or_default();
            let blocks = body.get(12..).unwrap_or_default().as_chunks::<4>().0.iter();
            let beyond: usize = blocks.take(gaps.into()).map(|block| length_of(*block)).sum();
            if beyond > MOST_BEYOND {
                return Err(Excess::Beyond);
            }
        }
        Ok(())
    }
}

/// Chunks in a block of a SACK that came. Its ends lie behind the last number before it, by 16 bits.
fn length_of([s0, s1, e0, e1]: [u8; 4]) -> usize {
    let (start, end) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([e0, e1]));
    usize::from(end.wrapping_sub(start)) + 1
}

/// Whether the stack takes as much for a chunk that resets streams as it says that it has: it sums up its one or two parameters.
fn is_plain_reset(body: &[u8]) -> bool {
    let Some(first) = parameter(body) else { return false };
    let rest = body.get(first..).filter(|rest| !rest.is_empty());
    let second = rest.map_or(Some(0), parameter);
    second.is_some_and(|second| first + second == body.len().next_multiple_of(4))
}

/// The length, with what fills it up, of a parameter that the stack has no other length for (RFC 6525 §4.1 and §4.4).
fn parameter(bytes: &[u8]) -> Option<usize> {
    let (kind, length) = (short(bytes, 0)?, short(bytes, 2)?);
    let is_known = match kind {
        OUTGOING_RESET => length >= 16 && length.is_multiple_of(2),
        // With the two numbers that may follow the stack takes it for shorter.
        RESET_ANSWER => length == 12,
        _ => false,
    };
    let length = usize::from(length);
    (is_known && length <= bytes.len()).then(|| length.next_multiple_of(4))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|short| u16::from_be_bytes(*short))
}

/// The chunks of a packet; `None` for one that cannot be read, or could be read in more ways than one.
struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    fn of(packet: &'a [u8]) -> Self {
        Self(packet.get(HEADER..).unwrap_or_default())
    }

    fn read(&mut self) -> Option<Chunk<'a>> {
        let bytes = self.0;
        let (kind, length) = (*bytes.first()?, usize::from(short(bytes, 2)?));
        let body = bytes.get(4..length)?;
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        // Of others the stack takes the length from what it finds in them.
        let (is_plain, chunk) = match kind {
            DATA => (true, Chunk::Data { stream: short(body, 4)? }),
            SACK => {
                let (gaps, doubles) = (short(body, 8)?, short(body, 10)?);
                let whole = 12 + 4 * (usize::from(gaps) + usize::from(doubles));
                (body.len() == whole, Chunk::Sack { body })
            }
            FORWARD_TSN => (body.len().is_multiple_of(4), Chunk::ForwardTsn { to: word(body, 0)? }),
            // Data may go along with it.
            _ if HEARTBEATS.contains(&kind) => {
                (short(body, 2).map(usize::from) == Some(body.len()), Chunk::Other)
            }
            COOKIE_ECHO => (true, Chunk::CookieEcho),
            COOKIE_ACK => (body.is_empty(), Chunk::Other),
            INIT => (false, Chunk::Init),
            // Browsers reset a stream and send by the others in one packet.
            RECONFIG => (is_plain_reset(body), Chunk::Reset),
            _ => (false, Chunk::Other),
        };
        (is_plain || self.0.is_empty()).then_some(chunk)
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Option<Chunk<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.0 = &[];
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 3];
        out.extend((body.len() as u16 + 4).to_be_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn packet(chunks: &[Vec<u8>]) -> Vec<u8> {
        [vec![0; HEADER], chunks.concat()].concat()
    }

    fn data(number: u32, stream: u16, bytes: usize) -> Vec<u8> {
        let head = [&number.to_be_bytes()[..], &stream.to_be_bytes(), &[0; 6]].concat();
        chunk(DATA, &[head, vec![7; bytes]].concat())
    }

    fn sack(has: u32, window: u32, blocks: &[(u16, u16)]) -> Vec<u8> {
        let mut body = [has.to_be_bytes(), window.to_be_bytes()].concat();
        body.extend((blocks.len() as u16).to_be_bytes());
        body.extend([0; 2]);
        for (start, end) in blocks {
            body.extend([start.to_be_bytes(), end.to_be_bytes()].concat());
        }
        chunk(SACK, &body)
    }

    fn init(first: u32) -> Vec<u8> {
        chunk(INIT, &[&[1; 12][..], &first.to_be_bytes()].concat())
    }

    /// Whose handshake is over.
    fn begun() -> Bounds {
        let mut bounds = Bounds::default();
        assert_eq!(bounds.came(&packet(&[chunk(COOKIE_ECHO, &[5; 40])])), Ok(true));
        bounds
    }

    #[test]
    fn one_association_goes_on() {
        let mut bounds = Bounds::default();
        let of = |tag: u32, chunks: &[Vec<u8>]| {
            let mut packet = packet(chunks);
            packet[4..8].copy_from_slice(&tag.to_be_bytes());
            packet
        };
        let echo = || chunk(COOKIE_ECHO, &[5; 40]);
        assert_eq!(bounds.came(&of(7, &[data(1, 0, 5)])), Ok(false), "none was begun");
        assert_eq!(bounds.came(&of(7, &[data(1, 0, 5), echo()])), Ok(false));
        for _ in 0..2 {
            assert_eq!(bounds.came(&of(0, &[init(1)])), Ok(true));
        }
        assert_eq!(bounds.came(&of(7, &[echo(), data(1, 0, 5)])), Ok(true));
        for (tag, chunks, passes) in [
            (7, vec![data(2, 0, 5)], true),
            (7, vec![echo()], true),
            (8, vec![echo()], false),
            (8, vec![data(2, 0, 5)], false),
            (0, vec![init(1)], false),
            (7, vec![init(1)], false),
            (7, vec![data(2, 0, 5), init(1)], false),
        ] {
            assert_eq!(bounds.came(&of(tag, &chunks)), Ok(passes), "{tag} {chunks:?}");
        }
    }

    #[test]
    fn a_client_that_keeps_to_it_is_let_in_for_ever() {
        let mut bounds = Bounds::default();
        assert_eq!(bounds.came(&packet(&[init(10)])), Ok(true));
        assert_eq!(bounds.came(&packet(&[chunk(COOKIE_ECHO, &[5; 40]), data(10, 0, 5)])), Ok(true));
        for number in 11..100_000 {
            let both = packet(&[sack(3, 9, &[(2, 3)]), data(number, (number % 4) as u16, 1_100)]);
            assert_eq!(bounds.came(&both), Ok(true));
            // One of five is missing for a while, and the window is shut now and then.
            let window = if number % 40 < 20 { 0 } else { WINDOW };
            let answer = sack(number - number % 5, window, &[(2, (number % 5) as u16 + 2)]);
            assert_eq!(bounds.sent(&packet(&[answer])), Ok(()));
        }
        // Whoever only listens sends nothing else for hours.
        for _ in 0..100_000 {
            assert_eq!(bounds.came(&packet(&[sack(3, 9, &[])])), Ok(true));
        }
    }

    #[test]
    fn what_waits_for_one_before_it_is_bounded() {
        let mut bounds = Bounds::default();
        let told = |bounds: &mut Bounds, blocks: &[(u16, u16)]| {
            bounds.sent(&packet(&[sack(1, 9, blocks)]))
        };
        assert_eq!(told(&mut bounds, &[(2, 16_385)]), Ok(()));
        assert_eq!(told(&mut bounds, &[(2, 16_386)]), Err(Excess::Beyond));
        let apart: Vec<_> = (0..8_193).map(|n| (4 * n + 2, 4 * n + 3)).collect();
        assert_eq!(told(&mut bounds, &apart[1..]), Ok(()));
        assert_eq!(told(&mut bounds, &apart), Err(Excess::Beyond));
    }

    /// Sends until it is cut off; how many bytes that took.
    fn sends(bounds: &mut Bounds, one: &[u8]) -> Option<(usize, Excess)> {
        (1..10_000).find_map(|n| bounds.came(one).err().map(|why| (n * one.len(), why)))
    }

    #[test]
    fn what_comes_into_a_shut_window_or_is_never_answered_is_bounded() {
        let one = packet(&[data(9, 1, 1_000)]);
        let mut bounds = begun();
        bounds.sent(&packet(&[sack(1, 0, &[])])).unwrap();
        let (bytes, why) = sends(&mut bounds, &one).unwrap();
        assert!(why == Excess::ShutOut && bytes < MOST_SHUT_OUT + 2_000, "{bytes}: {why}");
        let (bytes, why) = sends(&mut begun(), &one).unwrap();
        assert!(why == Excess::Unanswered && bytes < MOST_UNANSWERED + 2_000, "{bytes}: {why}");
    }

    #[test]
    fn streams_associations_and_resets_are_few() {
        let mut bounds = begun();
        let by = |stream| packet(&[data(9, stream, 1)]);
        assert!((0..64).all(|n| bounds.came(&by(n * 1_000)) == Ok(true)));
        assert_eq!(bounds.came(&by(63_000)), Ok(true), "it is known");
        assert_eq!(bounds.came(&by(1)), Err(Excess::Streams));
        let one = packet(&[init(1)]);
        assert_eq!(sends(&mut Bounds::default(), &one), Some((17 * one.len(), Excess::Asked)));
        let one = packet(&[chunk(RECONFIG, &[0; 16])]);
        assert_eq!(sends(&mut begun(), &one), Some((1_025 * one.len(), Excess::Resets)));
    }

    #[test]
    fn nobody_counts_to_a_number_that_is_far_away() {
        let mut bounds = begun();
        let to = |number: u32| packet(&[chunk(FORWARD_TSN, &number.to_be_bytes())]);
        assert_eq!(bounds.came(&to(5)), Ok(false), "it is not known what there is");
        bounds.sent(&packet(&[sack(u32::MAX, 9, &[])])).unwrap();
        for (number, passes) in [
            (0, true),
            (65_535, true),
            (65_536, false),
            (u32::MAX / 2 - 1, false),
            (u32::MAX - 9, true),
        ] {
            assert_eq!(bounds.came(&to(number)), Ok(passes), "{number}");
        }
        bounds.sent(&packet(&[sack(65_535, 9, &[])])).unwrap();
        assert_eq!(bounds.came(&to(65_536)), Ok(true));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let mut bounds = begun();
        let mut long = sack(1, 9, &[]);
        long.extend(data(1, 1, 4));
        long[3] = long.len() as u8;
        let odd = data(1, 1, 4);
        for chunks in [
            &[long, odd.clone()][..],
            &[chunk(4, &[0; 8]), odd.clone()],
            &[chunk(COOKIE_ACK, &[0; 20]), odd.clone()],
            &[chunk(RECONFIG, &[0; 16]), odd.clone()],
            &[chunk(FORWARD_TSN, &[0; 5]), odd.clone()],
            &[chunk(DATA, &[0; 5])],
            &[vec![0, 0, 0, 3]],
            &[vec![0, 0, 0, 200, 1]],
            &[odd, vec![0]],
        ] {
            assert_eq!(bounds.came(&packet(chunks)), Ok(false), "{chunks:?}");
        }
        assert_eq!(bounds.came(&packet(&[data(1, 1, 3), chunk(4, &[0; 8])])), Ok(true));
        let heartbeat = chunk(4, &[0, 1, 0, 8, 1, 2, 3, 4]);
        assert_eq!(bounds.came(&packet(&[heartbeat, data(1, 1, 3)])), Ok(true));
    }

    #[test]
    fn streams_are_reset_along_with_data_where_that_is_read_in_one_way() {
        let parameter = |kind: u16, bytes: usize| {
            let head = [kind.to_be_bytes(), (bytes as u16).to_be_bytes()].concat();
            [head, vec![9; bytes - 4]].concat()
        };
        let filled = |mut bytes: Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let (reset, odd) = (parameter(OUTGOING_RESET, 20), parameter(OUTGOING_RESET, 18));
        let answer = parameter(RESET_ANSWER, 12);
        for (body, passes) in [
            (reset.clone(), true),
            (odd.clone(), true),
            (filled(odd.clone()), true),
            (answer.clone(), true),
            ([answer.clone(), reset.clone()].concat(), true),
            ([filled(odd.clone()), answer.clone()].concat(), true),
            ([answer.clone(), odd.clone()].concat(), true),
            (parameter(OUTGOING_RESET, 17), false),
            (parameter(OUTGOING_RESET, 12), false),
            (parameter(RESET_ANSWER, 20), false),
            (parameter(14, 16), false),
            (reset[..18].to_vec(), false),
            ([reset.clone(), vec![0; 4]].concat(), false),
            ([odd, answer.clone()].concat(), false),
            ([answer.clone(), answer, reset].concat(), false),
        ] {
            let all = packet(&[chunk(RECONFIG, &body), data(1, 1, 3)]);
            assert_eq!(begun().came(&all), Ok(passes), "{body:?}");
            assert_eq!(begun().came(&packet(&[chunk(RECONFIG, &body)])), Ok(true), "{body:?}");
        }
    }
}
