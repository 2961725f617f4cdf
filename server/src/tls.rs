//! The certificate of the public listener: from files that are reread when they change, or one of our
//! own that is made once and kept, so that a browser needs to be told only once.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use axum_server::tls_rustls::RustlsConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::config::{Server, Tls};

/// How often certificate files are looked at.
pub const RELOAD_EVERY: Duration = Duration::from_secs(10);

/// Where certificate and key lie; makes them first when they are to be our own.
///
/// # Errors
/// When the state folder cannot be written.
pub fn files(server: &Server) -> Result<(PathBuf, PathBuf)> {
    if server.tls == Tls::Files {
        return Ok((server.certificate.clone(), server.private_key.clone()));
    }
    let certificate = server.state_dir.join("self-signed.crt");
    let key = server.state_dir.join("self-signed.key");
    let names = names(server);
    let told = server.state_dir.join("self-signed.names");
    // One that lacks an address of now would be refused by browsers whatever they were told before.
    let fits = fs::read_to_string(&told).is_ok_and(|kept| kept == names.join("\n"));
    if !(fits && certificate.exists() && key.exists()) {
        make_self_signed(&server.state_dir, names.clone(), &certificate, &key)?;
        fs::write(&told, names.join("\n"))
            .with_context(|| format!("cannot write {}", told.display()))?;
    }
    Ok((certificate, key))
}

/// What clients may call this machine by.
fn names(server: &Server) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), IpAddr::from([127, 0, 0, 1]).to_string()];
    if server.listen.ip().is_unspecified() {
        names.extend(local_addresses().iter().map(IpAddr::to_string));
    } else {
        names.push(server.listen.ip().to_string());
    }
    if let Some(host) = host_of(&server.public_url) {
        names.push(host.to_owned());
    }
    names.extend(hostname());
    names.sort();
    names.dedup();
    names
}

/// Addresses of this machine that others may reach it by.
pub fn local_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let ips = interfaces
        .iter()
        .filter(|i| !i.is_loopback() && !i.is_link_local())
        .map(if_addrs::Interface::ip);
    ips.collect()
}

/// An address that a browser on this machine reaches a listener by.
pub fn reachable(listener: IpAddr) -> IpAddr {
    match listener {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// SHA-256 of the first certificate of a PEM file, as browsers show it.
///
/// # Errors
/// When there is none.
pub fn fingerprint(certificate: &Path) -> Result<String> {
    let der = CertificateDer::from_pem_file(certificate)
        .with_context(|| format!("{} holds no certificate", certificate.display()))?;
    Ok(shown(&der))
}

/// SHA-256 of a certificate in pairs of digits with colons between.
fn shown(certificate: &[u8]) -> String {
    let digest = Sha256::digest(certificate);
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn make_self_signed(
    folder: &Path,
    names: Vec<String>,
    certificate: &Path,
    key: &Path,
) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(key)
        .with_context(|| format!("cannot write {}", key.display()))?;
    file.write_all(made.signing_key.serialize_pem().as_bytes())?;
    fs::write(certificate, made.cert.pem())
        .with_context(|| format!("cannot write {}", certificate.display()))?;
    Ok(())
}

/// The machine's name, as the system knows it.
pub fn hostname() -> Option<String> {
    let name = fs::read_to_string("/etc/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The host of an origin or address.
pub fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split('/').next()?;
    if let Some(v6) = authority.strip_prefix('[') {
        return v6.split(']').next();
    }
    authority.split(':').next().filter(|host| !host.is_empty())
}

/// Reads certificate and key.
///
/// # Errors
/// Names the files when they do not hold a certificate and its key.
pub async fn config(certificate: &Path, key: &Path) -> Result<RustlsConfig> {
    RustlsConfig::from_pem_file(certificate, key).await.with_context(|| {
        format!("{} and {} are not a certificate and its key", certificate.display(), key.display())
    })
}

/// Rereads the files when they change, looking `every` so often. A broken new pair is logged and the old one stays.
pub async fn reload_on_change(
    config: RustlsConfig,
    certificate: PathBuf,
    key: PathBuf,
    every: Duration,
    stop: CancellationToken,
) {
    let mut files = WatchedFiles::new([certificate, key], every);
    while files.changed(&stop).await {
        let [certificate, key] = &files.paths;
        match config.reload_from_pem_file(certificate, key).await {
            Ok(()) => tracing::info!(certificate = %certificate.display(), "certificate reread"),
            Err(error) => tracing::warn!(%error, "new certificate refused, the old one stays"),
        }
    }
}

/// A certificate and its key, looked at for changes.
pub(crate) struct WatchedFiles {
    pub(crate) paths: [PathBuf; 2],
    every: Duration,
    seen: [Option<SystemTime>; 2],
}

impl WatchedFiles {
    /// Looks `every` so often.
    pub(crate) fn new(paths: [PathBuf; 2], every: Duration) -> Self {
        let seen = Self::stamps(&paths);
        Self { paths, every, seen }
    }

    /// Waits for a change; `false` once there is nothing more to wait for.
    pub(crate) async fn changed(&mut self, stop: &CancellationToken) -> bool {
        while stop.run_until_cancelled(tokio::time::sleep(self.every)).await.is_some() {
            let now = Self::stamps(&self.paths);
            if std::mem::replace(&mut self.seen, now) != now {
                return true;
            }
        }
        false
    }

    fn stamps(paths: &[PathBuf; 2]) -> [Option<SystemTime>; 2] {
        paths.each_ref().map(|path| fs::metadata(path).and_then(|data| data.modified()).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_origin() {
        assert_eq!(host_of("https://play.example.org:8443/x"), Some("play.example.org"));
        assert_eq!(host_of("https://[::1]:8443"), Some("::1"));
        assert_eq!(host_of(""), None);
    }

    #[tokio::test]
    async fn an_own_certificate_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let server = Server {
            state_dir: dir.path().join("state"),
            tls: Tls::SelfSigned,
            ..Server::default()
        };
        let (certificate, key) = files(&server).unwrap();
        let first = fs::read(&certificate).unwrap();
        files(&server).unwrap();
        assert_eq!(fs::read(&certificate).unwrap(), first);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        config(&certificate, &key).await.unwrap();
        fs::write(&key, "nonsense").unwrap();
        let error = config(&certificate, &key).await.expect_err("refused").to_string();
        assert!(error.contains("self-signed.key"), "{error}");
    }

    #[test]
    fn an_own_certificate_is_made_anew_when_the_machine_gets_another_address() {
        let dir = tempfile::tempdir().unwrap();
        let mut server =
            Server { state_dir: dir.path().to_owned(), tls: Tls::SelfSigned, ..Server::default() };
        let (certificate, _) = files(&server).unwrap();
        let first = fingerprint(&certificate).unwrap();
        assert_eq!(first.len(), 32 * 3 - 1);
        server.public_url = "https://play.example.org:8443".into();
        files(&server).unwrap();
        let second = fingerprint(&certificate).unwrap();
        assert_ne!(second, first);
        files(&server).unwrap();
        assert_eq!(fingerprint(&certificate).unwrap(), second);
    }

    /// Takes any certificate, as a person does who compares fingerprints.
    #[derive(Debug)]
    struct AnyCertificate;

    impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &rustls::pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Err(rustls::Error::General("not under test".into()))
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms =
                rustls::crypto::ring::default_provider().signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            rustls::crypto::ring::default_provider()
                .signature_verification_algorithms
                .supported_schemes()
        }
    }

    /// Fingerprint of what a listener presents, and the first line that it answers.
    async fn visit(address: std::net::SocketAddr) -> (String, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let config = rustls::ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(std::sync::Arc::new(AnyCertificate))
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::from(address.ip());
        let mut stream = connector.connect(name, tcp).await.unwrap();
        let certificate = shown(&stream.get_ref().1.peer_certificates().unwrap()[0]);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        // A peer that ends without close_notify has still answered.
        let _ = stream.read_to_string(&mut answer).await;
        (certificate, answer.lines().next().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn a_changed_certificate_is_served_and_a_broken_one_is_not() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        let make = || make_self_signed(dir.path(), vec!["localhost".into()], &certificate, &key);
        make().unwrap();
        let first = fingerprint(&certificate).unwrap();
        let secured = config(&certificate, &key).await.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().route("/", axum::routing::get(async || "here"));
        let server = axum_server::from_tcp_rustls(listener, secured.clone()).unwrap();
        let serving = tokio::spawn(server.serve(router.into_make_service()));
        let stop = CancellationToken::new();
        let every = Duration::from_millis(20);
        let reload =
            reload_on_change(secured, certificate.clone(), key.clone(), every, stop.clone());
        let reloading = tokio::spawn(reload);

        assert_eq!(visit(address).await, (first.clone(), "HTTP/1.1 200 OK".into()));
        make().unwrap();
        let second = fingerprint(&certificate).unwrap();
        assert_ne!(second, first);
        // The pair may be read while only half of it is new; the next look finds it whole.
        while visit(address).await.0 != second {
            tokio::time::sleep(every).await;
        }
        fs::write(&certificate, "nonsense").unwrap();
        tokio::time::sleep(every * 10).await;
        assert_eq!(visit(address).await, (second, "HTTP/1.1 200 OK".into()));
        stop.cancel();
        reloading.await.unwrap();
        serving.abort();
    }
}
