//! Packet protection that can be cut: QUIC's own keys, with a switch.
//!
//! A connection of QUIC ends when somebody with a handle of it says so, and until a client has made its
//! request nobody has one: wtransport's tasks hold the connection as long as any stream of the client is
//! open. Its keys are the one part that is given to it from outside. Once they are cut no packet of the
//! client can be opened any more, and not one may fail (RFC 9001 §6.6): with the next that comes, be it the
//! acknowledgement of a keep-alive, or for its silence QUIC forgets the connection. The client is not told; if
//! it goes on it gets a stateless reset.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use quinn_proto::TransportError;
use quinn_proto::transport_parameters::TransportParameters;
use wtransport::quinn::crypto::{
    CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig,
    Session, UnsupportedVersion,
};
use wtransport::quinn::{ConnectionId, Side};

/// The switch of one connection. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Ends the connection with the next packet of the client.
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn keys(&self, keys: Keys) -> Keys {
        Keys { packet: self.pair(keys.packet), ..keys }
    }

    fn pair(&self, pair: KeyPair<Box<dyn PacketKey>>) -> KeyPair<Box<dyn PacketKey>> {
        let key = |inner| -> Box<dyn PacketKey> { Box::new(CutKey { inner, cut: self.clone() }) };
        KeyPair { local: key(pair.local), remote: key(pair.remote) }
    }
}

/// TLS of one connection whose keys can be cut.
pub(super) struct CutTls {
    pub(super) inner: Arc<dyn ServerConfig>,
    pub(super) cut: Cut,
}

impl ServerConfig for CutTls {
    fn initial_keys(
        &self,
        version: u32,
        dst_cid: &ConnectionId,
    ) -> Result<Keys, UnsupportedVersion> {
        self.inner.initial_keys(version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.inner.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(
        self: Arc<Self>,
        version: u32,
        params: &TransportParameters,
    ) -> Box<dyn Session> {
        let inner = self.inner.clone().start_session(version, params);
        Box::new(CutSession { inner, cut: self.cut.clone() })
    }
}

struct CutSession {
    inner: Box<dyn Session>,
    cut: Cut,
}

impl Session for CutSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        self.inner.initial_keys(dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.inner.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.inner.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.inner.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.inner.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        self.inner.read_handshake(buf)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.inner.transport_parameters()
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        self.inner.write_handshake(buf).map(|keys| self.cut.keys(keys))
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.inner.next_1rtt_keys().map(|pair| self.cut.pair(pair))
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.inner.is_valid_retry(orig_dst_cid, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.inner.export_keying_material(output, label, context)
    }
}

struct CutKey {
    inner: Box<dyn PacketKey>,
    cut: Cut,
}

impl PacketKey for CutKey {
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        self.inner.encrypt(packet, buf, header_len);
    }

    fn decrypt(
        &self,
        packet: u64,
        header: &[u8],
        payload: &mut BytesMut,
    ) -> Result<(), CryptoError> {
        if self.cut.is_cut() {
            return Err(CryptoError);
        }
        self.inner.decrypt(packet, header, payload)
    }

    fn tag_len(&self) -> usize {
        self.inner.tag_len()
    }

    fn confidentiality_limit(&self) -> u64 {
        self.inner.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        if self.cut.is_cut() { 0 } else { self.inner.integrity_limit() }
    }
}
