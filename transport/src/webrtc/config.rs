//! How connections are opened.

use std::sync::Arc;
use std::time::Duration;

use media::{BitDepth, Bitrate, Codec};
use rtc::crypto::{SignatureScheme, default_provider};
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use thiserror::Error;

use super::MediaPort;

/// Settings of the connections of one node.
#[derive(Clone)]
pub struct WebRtcConfig {
    /// What video may be sent as, best first: the first that an offer has is taken.
    pub codecs: Vec<Codec>,
    /// Bits of a sample of the pictures that are sent.
    pub depth: BitDepth,
    /// The session has sound, for clients that ask for it.
    pub sound: bool,
    /// The client may speak, if it offers to.
    pub microphone: bool,
    /// Where media comes in, for all connections of the node.
    pub port: Arc<MediaPort>,
    /// The certificate whose fingerprint goes into answers.
    pub certificate: Certificate,
    /// Time for a client to connect after its answer was made.
    pub connect_timeout: Duration,
    /// Silence after which the path counts as interrupted.
    pub interrupted_after: Duration,
    /// Silence after which the client counts as gone (consent, RFC 7675).
    pub unreachable_after: Duration,
    /// The pacer's rate at the start; `None` holds nothing back until
    /// [`set_pacing`](media::Transport::set_pacing) is called.
    pub pacing: Option<Bitrate>,
    /// How long after it was sent a packet is sent again at the least; up to twice as long where three
    /// round trips take that. What comes later is told as lost, so that the encoder does without it.
    pub resend_within: Duration,
}

impl WebRtcConfig {
    /// Settings for connections by `port` with this node's `certificate`: H.264 of 8 bits alone, no sound in either direction, 15 s to connect,
    /// interrupted after 2 s and gone after 10 s of silence, unpaced, packets sent again for 150 ms.
    pub fn new(port: Arc<MediaPort>, certificate: Certificate) -> Self {
        Self {
            codecs: vec![Codec::H264],
            depth: BitDepth::Eight,
            sound: false,
            microphone: false,
            port,
            certificate,
            connect_timeout: Duration::from_secs(15),
            interrupted_after: Duration::from_secs(2),
            unreachable_after: Duration::from_secs(10),
            pacing: None,
            resend_within: Duration::from_millis(150),
        }
    }
}

/// A DTLS certificate with its key. One is made per process and shared by its connections: making
/// one per session would add its cost to every connect, and trust comes from the signalling anyway.
#[derive(Clone)]
pub struct Certificate(pub(super) RTCCertificate);

/// A certificate could not be made.
#[derive(Debug, Error)]
#[error("no DTLS certificate could be made: {0}")]
pub struct CertificateError(String);

impl Certificate {
    /// Makes a self-signed ECDSA P-256 certificate.
    ///
    /// # Errors
    /// When the cryptographic provider fails.
    pub fn generate() -> Result<Self, CertificateError> {
        let error = |error: &dyn std::fmt::Display| CertificateError(error.to_string());
        let provider = default_provider().map_err(|e| error(&e))?;
        let params = CertificateParams::new(vec!["nearlight".to_owned()]).map_err(|e| error(&e))?;
        let scheme = SignatureScheme::EcdsaP256Sha256;
        let made = RTCCertificate::generate(provider.crypto(), scheme, params);
        made.map(Self).map_err(|e| error(&e))
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the key.
        f.write_str("Certificate")
    }
}
