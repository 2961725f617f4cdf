//! Makes a stock link know the retransmissions of a stream as it knows the stream itself.
//!
//! The stack binds media streams alone, so that it neither numbers retransmissions transport-wide nor
//! remembers them: an estimate of the path would lack them when the path loses most.

use std::time::Instant;

use rtc::interceptor::{Interceptor, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// See the module.
pub(in crate::webrtc) struct WithResends<L>(pub(super) L);

/// The stream of the retransmissions, where there is one.
fn resends(info: &StreamInfo) -> Option<StreamInfo> {
    let (ssrc, payload_type) = info.ssrc_rtx.zip(info.payload_type_rtx)?;
    Some(StreamInfo { ssrc, payload_type, ssrc_rtx: None, payload_type_rtx: None, ..info.clone() })
}

impl<L: Interceptor> Protocol<TaggedPacket, TaggedPacket, ()> for WithResends<L> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.0.handle_read(message)
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.0.poll_read()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.0.handle_write(message)
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.0.poll_write()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.0.handle_timeout(now)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.0.poll_timeout()
    }
}

impl<L: Interceptor> Interceptor for WithResends<L> {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.0.bind_local_stream(info);
        if let Some(resends) = resends(info) {
            self.0.bind_local_stream(&resends);
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.0.unbind_local_stream(info);
        if let Some(resends) = resends(info) {
            self.0.unbind_local_stream(&resends);
        }
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.0.bind_remote_stream(info);
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.0.unbind_remote_stream(info);
    }
}
