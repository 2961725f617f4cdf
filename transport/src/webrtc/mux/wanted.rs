//! Which of a client's datagrams the stack is shown.
//!
//! The stack remembers every SSRC that it ever saw, before it knows whether the packet is the client's, and for as long as
//! the connection lasts. This side takes no media but a voice, where one may come; feedback comes from few senders.

/// Senders of feedback of one client: browsers have one or two, others one for each stream.
const MOST: usize = 64;

/// Streams of voice of one client: one, and others where it begins anew.
const MOST_VOICES: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    senders: Vec<u32>,
    /// Payload type of a voice, where the client may speak.
    voice: Option<u8>,
    voices: Vec<u32>,
}

impl Wanted {
    /// The client may speak by this payload type.
    pub(super) fn take_voice(&mut self, payload_type: u8) {
        self.voice = Some(payload_type);
    }

    /// Whether the stack has a use for it: all but RTP that is no voice, and packets of more senders than there are (RFC 7983,
    /// RFC 5761 §4, RFC 3550 §5.1 and §6.1).
    pub(super) fn takes(&mut self, datagram: &[u8]) -> bool {
        if !datagram.first().is_some_and(|first| (128..192).contains(first)) {
            return true;
        }
        let Some(&[_, kind, _, _, a, b, c, d]) = datagram.first_chunk() else { return false };
        if !(192..=223).contains(&kind) {
            let Some(&[_, _, _, _, _, _, _, _, a, b, c, d]) = datagram.first_chunk() else {
                return false;
            };
            let is_voice = self.voice == Some(kind & 0x7f);
            return is_voice
                && knows(&mut self.voices, u32::from_be_bytes([a, b, c, d]), MOST_VOICES);
        }
        knows(&mut self.senders, u32::from_be_bytes([a, b, c, d]), MOST)
    }
}

/// Whether this is one of them, or becomes one.
fn knows(senders: &mut Vec<u32>, sender: u32, most: usize) -> bool {
    let known = senders.contains(&sender);
    if !known && senders.len() < most {
        senders.push(sender);
        return true;
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8, kind: u8, sender: u32) -> Vec<u8> {
        [&[first, kind, 0, 1][..], &sender.to_be_bytes()].concat()
    }

    #[test]
    fn a_voice_of_few_streams_is_taken_where_one_may_come() {
        let rtp =
            |kind: u8, ssrc: u32| [packet(0x80, kind, 9), ssrc.to_be_bytes().to_vec()].concat();
        let mut wanted = Wanted::default();
        assert!(!wanted.takes(&rtp(111, 1)));
        wanted.take_voice(111);
        assert!(wanted.takes(&rtp(111, 1)) && wanted.takes(&rtp(111 | 0x80, 1)), "with its marker");
        assert!(!wanted.takes(&rtp(96, 1)) && !wanted.takes(&rtp(111, 1)[..11]));
        let taken = (0..1_000).filter(|ssrc| wanted.takes(&rtp(111, *ssrc)));
        assert_eq!(taken.count(), MOST_VOICES);
        assert!(wanted.takes(&rtp(111, 1)));
    }

    #[test]
    fn media_is_left_out_and_feedback_of_more_senders_than_there_are() {
        let mut wanted = Wanted::default();
        assert!(wanted.takes(&[]) && wanted.takes(&packet(22, 254, 7)), "DTLS");
        assert!(!wanted.takes(&packet(0x80, 96, 7)) && !wanted.takes(&packet(0xbf, 224, 7)));
        assert!(!wanted.takes(&packet(0x80, 200, 7)[..7]), "no whole header");
        let taken = (0..100_000).filter(|sender| wanted.takes(&packet(0x81, 205, *sender)));
        assert_eq!(taken.count(), MOST);
        assert!(wanted.takes(&packet(0x80, 201, 0)) && !wanted.takes(&packet(0x80, 201, 1_000)));
        assert_eq!(wanted.senders.len(), MOST);
    }
}
