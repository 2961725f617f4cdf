//! Certificates of our own that browsers take by their hash: ECDSA P-256, valid for less than two weeks
//! (W3C WebTransport, "custom certificate requirements").
//!
//! One is in use and the next one is made a day before it takes its place, with both hashes told from
//! then on: who asked for the hashes before the change gets in after it. Time is given, so that weeks can
//! be tested.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use wtransport::proto::WEBTRANSPORT_ALPN;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How long a certificate is valid. With [`SKEW`] it stays under the 14 days that browsers allow.
const VALID: Duration = DAY.saturating_mul(13);
/// Clients whose clock is behind by so much take it too.
const SKEW: Duration = Duration::from_secs(3_600);
/// How long a certificate is in use; the clocks of clients may be ahead by days.
const USED: Duration = DAY.saturating_mul(7);
/// How long before its use a certificate is made.
const AHEAD: Duration = DAY;
/// How often [`Certificates::renew`] is to be called.
pub const RENEW_EVERY: Duration = Duration::from_secs(3_600);

/// A certificate could not be made, or does not fit its key.
#[derive(Debug, Error)]
#[error("no certificate for WebTransport: {0}")]
pub struct CertificateFailed(String);

impl CertificateFailed {
    pub(super) fn of(error: &dyn std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// What an endpoint shows to clients. Clones are cheap.
#[derive(Clone)]
pub struct Certificates(Kind);

#[derive(Clone)]
enum Kind {
    /// Of a public authority: browsers need no hashes.
    Given(Arc<Pair>),
    Own {
        current: Own,
        next: Option<Own>,
    },
}

#[derive(Clone)]
struct Own {
    pair: Arc<Pair>,
    /// When it came into use, or will.
    from: SystemTime,
}

/// A certificate with those that vouch for it, and its key.
struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificates {
    /// Makes one of our own.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn own(now: SystemTime) -> Result<Self, CertificateFailed> {
        Ok(Self(Kind::Own { current: Own::make(now, now)?, next: None }))
    }

    /// Takes a certificate that browsers trust anyway, as DER: the chain, the node's own first, and the
    /// key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    /// When a part cannot be read, or the key is another's.
    pub fn given(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self, CertificateFailed> {
        let key = PrivateKeyDer::try_from(key).map_err(|why| CertificateFailed(why.to_owned()))?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let pair = Pair { chain, key };
        pair.tls()?;
        Ok(Self(Kind::Given(Arc::new(pair))))
    }

    /// SHA-256 of the certificates that clients may meet, the one in use first; empty where they need no
    /// hash.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        let Kind::Own { current, next } = &self.0 else { return Vec::new() };
        std::iter::once(current).chain(next).filter_map(|own| own.pair.hash()).collect()
    }

    /// Makes the next certificate, or takes it into use, when that is due; whether the one in use
    /// changed. When the clock jumped beyond the life of both, a fresh one takes their place.
    ///
    /// # Errors
    /// When none can be made; those there are stay.
    pub fn renew(&mut self, now: SystemTime) -> Result<bool, CertificateFailed> {
        let Kind::Own { current, next } = &mut self.0 else { return Ok(false) };
        let age = |from: SystemTime| now.duration_since(from).ok();
        // A clock that was set back makes certificates that are not valid yet.
        let Some(used) = age(current.from) else {
            (*current, *next) = (Own::make(now, now)?, None);
            return Ok(true);
        };
        if used >= USED + USED {
            (*current, *next) = (Own::make(now, now)?, None);
            return Ok(true);
        }
        if used >= USED {
            *current = match next.take() {
                Some(made) => made,
                None => Own::make(now, now)?,
            };
            return Ok(true);
        }
        if used >= USED - AHEAD && next.is_none() {
            *next = Some(Own::make(now, current.from + USED)?);
        }
        Ok(false)
    }

    /// How the one in use is shown.
    pub(super) fn tls(&self) -> Result<rustls::ServerConfig, CertificateFailed> {
        match &self.0 {
            Kind::Given(pair) => pair.tls(),
            Kind::Own { current, .. } => current.pair.tls(),
        }
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never a key.
        f.write_str("Certificates")
    }
}

impl Own {
    /// Valid from `now` on, to be used from `from` on.
    fn make(now: SystemTime, from: SystemTime) -> Result<Self, CertificateFailed> {
        let failed = |error: rcgen::Error| CertificateFailed::of(&error);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::new(vec!["nearlight".to_owned()]).map_err(failed)?;
        params.not_before = (now - SKEW).into();
        params.not_after = (now + VALID).into();
        let certificate = params.self_signed(&key).map_err(failed)?;
        let pair = Pair { chain: vec![certificate.into()], key: key.into() };
        Ok(Self { pair: Arc::new(pair), from })
    }
}

impl Pair {
    fn tls(&self) -> Result<rustls::ServerConfig, CertificateFailed> {
        let failed = |error: rustls::Error| CertificateFailed::of(&error);
        let mut tls =
            rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                // QUIC knows no older one (RFC 9001 §4.2).
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(failed)?
                .with_no_client_auth()
                .with_single_cert(self.chain.clone(), self.key.clone_key())
                .map_err(failed)?;
        tls.alpn_protocols = vec![WEBTRANSPORT_ALPN.to_vec()];
        Ok(tls)
    }

    fn hash(&self) -> Option<[u8; 32]> {
        self.chain.first().map(|certificate| Sha256::digest(certificate).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Whether the certificate in use is valid at `now`, and for how long from then.
    fn valid(certificates: &Certificates, now: SystemTime) -> bool {
        let Kind::Own { current, .. } = &certificates.0 else { panic!("our own") };
        // It was made at its use or up to a day before.
        now >= current.from - SKEW && now < current.from - AHEAD + VALID
    }

    #[test]
    fn hashes_are_told_a_day_before_they_are_met_and_no_certificate_outlives_its_validity() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut certificates = Certificates::own(start).unwrap();
        let mut told: Vec<(SystemTime, [u8; 32])> = vec![(start, certificates.hashes()[0])];
        let mut changes = 0;
        for hour in 0..24 * 60 {
            let now = start + HOUR * hour;
            let changed = certificates.renew(now).unwrap();
            changes += u32::from(changed);
            for hash in certificates.hashes() {
                if told.iter().all(|(_, known)| *known != hash) {
                    told.push((now, hash));
                }
            }
            let met = certificates.hashes()[0];
            let (since, _) = told.iter().find(|(_, known)| *known == met).unwrap();
            assert!(!changed || now.duration_since(*since).unwrap() >= AHEAD, "hour {hour}");
            assert!(valid(&certificates, now), "hour {hour}");
        }
        assert_eq!(changes, 60 / 7);
    }

    #[test]
    fn a_clock_that_jumps_costs_a_fresh_certificate_at_once() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for jump in [start + DAY * 30, start + DAY * 10, start - DAY] {
            let mut certificates = Certificates::own(start).unwrap();
            let before = certificates.hashes();
            assert!(certificates.renew(jump).unwrap());
            assert_ne!(certificates.hashes(), before);
            assert!(valid(&certificates, jump));
            assert!(!certificates.renew(jump).unwrap());
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let error = Certificates::given(vec![vec![1, 2, 3]], vec![4]).unwrap_err();
        assert!(error.to_string().starts_with("no certificate for WebTransport"), "{error}");
        let error = Certificates::given(Vec::new(), Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("no certificate for WebTransport"), "{error}");
    }
}
