//! Which of a client's datagrams the stack is shown.
//!
//! The stack remembers every SSRC that it ever saw, before it knows whether the packet is the client's, and for as long as
//! the connection lasts. This side only sends media, so that no RTP has to come in; feedback comes from few senders.

/// Senders of feedback of one client: browsers have one or two, others one for each stream.
const MOST: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    senders: Vec<u32>,
}

impl Wanted {
    /// Whether the stack has a use for it: all but RTP, and feedback of more senders than there are (RFC 7983,
    /// RFC 5761 §4, RFC 3550 §6.1).
    pub(super) fn takes(&mut self, datagram: &[u8]) -> bool {
        if !datagram.first().is_some_and(|first| (128..192).contains(first)) {
            return true;
        }
        let Some(&[_, kind, _, _, a, b, c, d]) = datagram.first_chunk() else { return false };
        if !(192..=223).contains(&kind) {
            return false;
        }
        let sender = u32::from_be_bytes([a, b, c, d]);
        let known = self.senders.contains(&sender);
        if !known && self.senders.len() < MOST {
            self.senders.push(sender);
            return true;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8, kind: u8, sender: u32) -> Vec<u8> {
        [&[first, kind, 0, 1][..], &sender.to_be_bytes()].concat()
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
