//! The certificate of the public listener: from files that are reread when they change, or one of our
//! own that is made once and kept, so that a browser needs to be told only once.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use axum_server::tls_rustls::RustlsConfig;
use tokio_util::sync::CancellationToken;

use crate::config::{Server, Tls};

/// How often certificate files are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(10);

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
    if !(certificate.exists() && key.exists()) {
        make_self_signed(server, &certificate, &key)?;
    }
    Ok((certificate, key))
}

fn make_self_signed(server: &Server, certificate: &Path, key: &Path) -> Result<()> {
    fs::create_dir_all(&server.state_dir)
        .with_context(|| format!("cannot make {}", server.state_dir.display()))?;
    let mut names = vec!["localhost".to_owned(), IpAddr::from([127, 0, 0, 1]).to_string()];
    if !server.listen.ip().is_unspecified() {
        names.push(server.listen.ip().to_string());
    }
    if let Some(host) = host_of(&server.public_url) {
        names.push(host.to_owned());
    }
    names.extend(hostname());
    names.sort();
    names.dedup();
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

fn hostname() -> Option<String> {
    let name = fs::read_to_string("/etc/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn host_of(url: &str) -> Option<&str> {
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

/// Rereads the files when they change. A broken new pair is logged and the old one stays.
pub async fn reload_on_change(
    config: RustlsConfig,
    certificate: PathBuf,
    key: PathBuf,
    stop: CancellationToken,
) {
    let stamp = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let stamps =
        || -> (Option<SystemTime>, Option<SystemTime>) { (stamp(&certificate), stamp(&key)) };
    let mut seen = stamps();
    while stop.run_until_cancelled(tokio::time::sleep(RELOAD_EVERY)).await.is_some() {
        let now = stamps();
        if now == seen {
            continue;
        }
        seen = now;
        match config.reload_from_pem_file(&certificate, &key).await {
            Ok(()) => tracing::info!(certificate = %certificate.display(), "certificate reread"),
            Err(error) => tracing::warn!(%error, "new certificate refused, the old one stays"),
        }
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
}
