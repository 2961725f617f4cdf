//! Our links in the stack's interceptor chain, which runs inside the driver's task.
//!
//! Outbound order, application to wire, with the slot that each link sits in:
//!
//! | slot | link | why there |
//! |---|---|---|
//! | 15,000 | [`packetise`] | one hand-over a frame becomes its packets; nothing above sees packets |
//! | 11,000 | sender reports (stock) | |
//! | 10,600 | [`voice`] | takes what the client says; its reports need nothing of the links below |
//! | 10,500 | [`feedback`] | sees sender reports leave and all feedback come in |
//! | 10,000 | receiver reports (stock) | |
//! | 4,000 | [`resend`] | keeps packets as they were cut, before they are numbered |
//! | 3,500 | [`padding`] | sees what else is about to leave |
//! | 3,000 | [`pacer`] | media and retransmissions leave through one gate |
//! | 2,500 | [`number`] | retransmissions and padding, once nothing drops them any more |
//! | 2,000 | TWCC numbering (stock, in [`with_resends`]) | after the pacer: numbers are in wire order |
//! | 1,500 | [`protect`] | repairs packets with their transport-wide number, as they leave; built by [`flexfec`] |
//! | 1,000 | [`history`], which feeds [`estimator`] | counts what left |
//!
//! The stock slot for forward error correction is 5,000: computed there it protects packets without their
//! transport-wide number, and what the client recovers differs from what was sent.
//!
//! A link must never block, and touches shared state only under its short locks.

pub(super) mod descriptor;
pub(super) mod estimator;
pub(super) mod feedback;
mod flexfec;
mod history;
mod number;
pub(super) mod pacer;
pub(super) mod packetise;
mod padding;
mod payload;
mod protect;
mod resend;
mod voice;
mod with_resends;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rtc::interceptor::{Interceptor, Registry, Slot, StreamInfo, TaggedPacket, TwccSenderBuilder};
use rtc::peer_connection::configuration::interceptor_registry::configure_rtcp_reports;
use rtc::sansio::Protocol;

use self::with_resends::WithResends;
use super::shared::Shared;

/// The chain of one connection.
pub(super) fn registry(shared: &Arc<Shared>) -> Registry {
    configure_rtcp_reports(Registry::new())
        .with(Slot::CongestionControl, Chained::new(history::History::new(shared.clone())))
        .with(Slot::TwccSender, WithResends(TwccSenderBuilder::new().build()))
        .with(Slot::from(1_500), Chained::new(protect::Protect::new(shared.clone())))
        .with(Slot::from(2_500), Chained::new(number::Number::default()))
        .with(Slot::Pacer, Chained::new(pacer::Pacer::new(shared.clone())))
        .with(Slot::from(3_500), Chained::new(padding::Padding::new(shared.clone())))
        .with(Slot::NackResponder, Chained::new(resend::Resend::new(shared.clone())))
        .with(Slot::from(10_500), Chained::new(feedback::Feedback::new(shared.clone())))
        .with(Slot::from(10_600), Chained::new(voice::Voice::new(shared.clone())))
        .with(Slot::from(15_000), Chained::new(packetise::Packetise::new(shared.clone())))
}

/// What one of our links does with what passes.
pub(super) trait Link: Send + Sync {
    /// A local stream is about to send, with what was negotiated for it.
    fn bind(&mut self, _info: &StreamInfo) {}
    /// Looks at a packet on its way in; it passes on regardless, and what is put on `out` goes the other
    /// way.
    fn inbound(&mut self, _message: &TaggedPacket, _out: &mut Belt) {}
    /// Takes a packet on its way out; what is put on `out`, now or later, goes on.
    fn outbound(&mut self, message: TaggedPacket, out: &mut Belt) {
        out.push_back(message);
    }
    /// A deadline passed.
    fn tick(&mut self, _now: Instant, _out: &mut Belt) {}
    /// The next deadline; it must lie after the `now` of the call before.
    fn next_tick(&self) -> Option<Instant> {
        None
    }
}

/// Packets between two links.
pub(super) type Belt = VecDeque<TaggedPacket>;

/// Fits a [`Link`] into the stack's chain.
pub(super) struct Chained<L> {
    link: L,
    read: Belt,
    write: Belt,
}

impl<L: Link> Chained<L> {
    pub(super) fn new(link: L) -> Self {
        Self { link, read: Belt::new(), write: Belt::new() }
    }
}

impl<L: Link> Protocol<TaggedPacket, TaggedPacket, ()> for Chained<L> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Self::Error> {
        self.link.inbound(&message, &mut self.write);
        self.read.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Self::Error> {
        self.link.outbound(message, &mut self.write);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Self::Error> {
        self.link.tick(now, &mut self.write);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.link.next_tick()
    }
}

impl<L: Link> Interceptor for Chained<L> {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.link.bind(info);
    }
    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}
