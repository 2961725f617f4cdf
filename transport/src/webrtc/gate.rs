//! The cryptography that the stack is given, through which its data channels pass in clear: what it opens and seals of DTLS
//! is shown to [`Bounds`] first. The stack has no other place between DTLS and SCTP.
//!
//! It must change nothing. Ciphers whose records it could not see are not offered: of DTLS those with CBC.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rtc::crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CryptoAlgorithm,
    CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey, RTCCrypto,
    RTCCryptoProvider, RTCRandom, SignatureScheme, SigningKey, StreamCipher, StreamCipherAlgorithm,
};
use tokio::sync::Notify;

use super::association::{Bounds, Excess};

/// Content type of a record of DTLS that carries SCTP (RFC 6347 §4.3.1).
const APPLICATION_DATA: u8 = 23;

/// What passes through one connection's data channels.
#[derive(Default)]
pub(super) struct Passage {
    bounds: Mutex<Bounds>,
    excess: OnceLock<Excess>,
    /// There was too much.
    ended: Notify,
}

impl Passage {
    /// Waits until the client has sent too much, and says of what.
    pub(super) async fn exceeded(&self) -> Excess {
        loop {
            if let Some(excess) = self.excess.get() {
                return *excess;
            }
            self.ended.notified().await;
        }
    }

    /// Whether what the client sent may go on.
    fn came(&self, packet: &[u8]) -> bool {
        // Nothing does once there was too much: the stack would go on to hold it until it is closed.
        self.excess.get().is_none() && self.look(|bounds| bounds.came(packet)).unwrap_or(false)
    }

    fn sent(&self, packet: &[u8]) {
        self.look(|bounds| bounds.sent(packet));
    }

    fn look<T>(&self, at: impl FnOnce(&mut Bounds) -> Result<T, Excess>) -> Option<T> {
        // Counters, each changed in one step.
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        at(&mut bounds)
            .inspect_err(|excess| {
                let _ = self.excess.set(*excess);
                self.ended.notify_one();
            })
            .ok()
    }
}

/// See the module.
pub(super) struct Gate {
    inner: Arc<dyn RTCCryptoProvider>,
    crypto: Ciphers,
}

impl Gate {
    /// The stack's own cryptography, with this connection's passage.
    ///
    /// # Errors
    /// Where the stack has none.
    pub(super) fn open(passage: &Arc<Passage>) -> Result<Arc<Self>, CryptoError> {
        let inner = rtc::crypto::default_provider()?;
        let crypto = Ciphers { inner: inner.clone(), passage: passage.clone() };
        Ok(Arc::new(Self { inner, crypto }))
    }
}

impl RTCCryptoProvider for Gate {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        &self.crypto
    }

    fn random(&self) -> &dyn RTCRandom {
        self.inner.random()
    }
}

struct Ciphers {
    inner: Arc<dyn RTCCryptoProvider>,
    passage: Arc<Passage>,
}

impl RTCCrypto for Ciphers {
    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        !matches!(algorithm, CryptoAlgorithm::Cbc(_)) && self.inner.crypto().supports(algorithm)
    }

    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.crypto().hash(algorithm, data)
    }

    fn block_encrypt(
        &self,
        algorithm: BlockCipherAlgorithm,
        key: &[u8],
        block: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().block_encrypt(algorithm, key, block)
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.inner.crypto().new_hmac(algorithm, key)
    }

    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        self.inner.crypto().new_stream_cipher(algorithm, key)
    }

    fn new_aead(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn AeadCipher>, CryptoError> {
        let inner = self.inner.crypto().new_aead(algorithm, key)?;
        Ok(Box::new(Watched { inner, passage: self.passage.clone() }))
    }

    fn start_key_exchange(
        &self,
        algorithm: KeyExchangeAlgorithm,
    ) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.inner.crypto().start_key_exchange(algorithm)
    }

    fn generate_signing_key(
        &self,
        scheme: SignatureScheme,
    ) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().generate_signing_key(scheme)
    }

    fn import_signing_key(
        &self,
        scheme: SignatureScheme,
        pkcs8_der: &[u8],
    ) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().import_signing_key(scheme, pkcs8_der)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        public_key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().verify_signature(scheme, public_key, message, signature)
    }
}

struct Watched {
    inner: Box<dyn AeadCipher>,
    passage: Arc<Passage>,
}

/// Whether what is authenticated along with it says that a record of DTLS carries SCTP (RFC 5246 §6.2.3.3: number, type,
/// version, length). With SRTP go whole words, never 13 bytes.
fn is_data(aad: &[u8]) -> bool {
    matches!(aad, [.., APPLICATION_DATA, 0xfe, _, _, _] if aad.len() == 13)
}

impl AeadCipher for Watched {
    fn tag_len(&self) -> usize {
        self.inner.tag_len()
    }

    fn seal_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        data: &mut [u8],
        tag_out: &mut [u8],
    ) -> Result<(), CryptoError> {
        if is_data(aad) {
            self.passage.sent(data);
        }
        self.inner.seal_in_place(nonce, aad, data, tag_out)
    }

    fn open_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.open_in_place(nonce, aad, data, tag)?;
        // A record that fails is passed over (RFC 6347 §4.1.2.7).
        if is_data(aad) && !self.passage.came(data) {
            return Err(CryptoError::AuthenticationFailed);
        }
        Ok(())
    }
}
