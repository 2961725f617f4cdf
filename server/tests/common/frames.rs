//! Frames as decoders can take them: from one that begins, and in an order in which each has what it refers to.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use encoder::h264::{NalKind, nals};
use media::FrameId;
use media::webtransport::FrameHeader;

use super::client::Client;

/// Frames that nothing can be made of, after which a client asks again.
const PATIENCE: usize = 30;

/// Whether a client can decode this unit without others. It is whole then: what came before a gap is dropped.
fn begins(unit: &[u8]) -> bool {
    nals(unit).any(|nal| nal.kind() == NalKind::Sps)
}

/// The first unit that a client can decode, and how often it had to ask for one: what was sent before this end was ready
/// is lost, and asked for as players do. They ask again: a node that takes what it sent to be on its way does not answer.
pub async fn first_unit(client: &mut Client) -> (Bytes, u64) {
    let (mut passed, mut asked) = (0_usize, 0);
    loop {
        let (ssrc, _, unit) = client.frame().await;
        if begins(&unit) {
            return (unit, asked);
        }
        if passed.is_multiple_of(PATIENCE) {
            client.picture_loss(ssrc).await;
            asked += 1;
        }
        passed += 1;
    }
}

/// The next unit, and how often this client had to ask for one that begins anew: where it stood still, its socket was
/// full and lost packets, and others are dropped while it waits for something else.
pub async fn next_unit(client: &mut Client) -> (Bytes, u64) {
    let gaps = client.gaps;
    let (_, _, unit) = client.frame().await;
    if client.gaps == gaps || begins(&unit) { (unit, 0) } else { first_unit(client).await }
}

/// Frames whose streams are handed out in any order, and of which the node may give some up: then it codes on from one
/// before them, or anew.
#[derive(Default)]
pub struct Ordered {
    waiting: BTreeMap<FrameId, (FrameHeader, Bytes)>,
    shown: BTreeSet<FrameId>,
}

impl Ordered {
    /// Takes one that came, and yields those that can be decoded now, in their order.
    pub fn take(&mut self, header: FrameHeader, unit: Bytes) -> Vec<Bytes> {
        self.waiting.insert(header.frame, (header, unit));
        let mut out = Vec::new();
        while let Some(frame) = self.fitting() {
            out.extend(self.waiting.remove(&frame).map(|(_, unit)| unit));
            // What comes late is of no use any more.
            self.waiting.retain(|&waiting, _| waiting > frame);
            self.shown.insert(frame);
        }
        out
    }

    /// The first that can be decoded after what was shown.
    fn fitting(&self) -> Option<FrameId> {
        let newest = self.shown.last().copied();
        let mut later = self.waiting.iter().filter(|&(&frame, _)| Some(frame) > newest);
        let fits =
            |header: &FrameHeader| header.refers_to.is_none_or(|it| self.shown.contains(&it));
        later.find(|(_, (header, _))| fits(header)).map(|(&frame, _)| frame)
    }
}
