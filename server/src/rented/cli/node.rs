//! A node as the command line asks it: over HTTP or HTTPS, with a bearer token that others on the machine do not see.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use axum::http::Uri;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// How long a node may say nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than a session's receipts have.
const MOST: u64 = 256 << 20;

/// Which node, and who asks.
#[derive(Debug, clap::Args)]
pub struct Node {
    /// The node: `https://host:port`, or `http://host:port`.
    #[arg(long)]
    node: String,
    /// Certificates (PEM) to trust beside the system's, such as the node's own `self-signed.crt`.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file whose first line is the bearer token, an operator's or a renter's. Without it the token is in NEARLIGHT_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The bearer token itself. Whoever looks at this machine's processes sees it: better in NEARLIGHT_TOKEN or a file.
    #[arg(long, env = "NEARLIGHT_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// A node that can be asked.
pub(super) struct Asked {
    uri: Uri,
    token: String,
    tls: Option<Arc<ClientConfig>>,
}

impl Node {
    /// Reads what the command line names.
    pub(super) fn open(&self) -> Result<Asked> {
        let uri: Uri = self.node.parse().with_context(|| format!("--node: {:?}", self.node))?;
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(Arc::new(trusting(self.ca.as_deref())?)),
            _ => bail!("--node: {:?} begins with neither https:// nor http://", self.node),
        };
        ensure!(uri.path() == "/" && uri.query().is_none(), "--node: {uri} has a path");
        let token = match (&self.token_file, &self.token) {
            (Some(file), _) => {
                let text = fs::read_to_string(file);
                let text = text.with_context(|| format!("--token-file: {}", file.display()))?;
                text.lines().next().unwrap_or_default().trim().to_owned()
            }
            (None, Some(token)) => token.clone(),
            (None, None) => bail!("who asks? Set NEARLIGHT_TOKEN, or give --token-file"),
        };
        let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(plain, "the token is odd");
        Ok(Asked { uri, token, tls })
    }
}

/// Trusts the system's certificates, and those of a file.
fn trusting(file: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // A system without any is no reason: there may be a file.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = file {
        let name = || format!("--ca: {}", file.display());
        let own = CertificateDer::pem_file_iter(file).with_context(name)?;
        let own = own.collect::<Result<Vec<_>, _>>().with_context(name)?;
        ensure!(!own.is_empty(), "{} has no certificate", name());
        for certificate in own {
            roots.add(certificate).with_context(name)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl Asked {
    /// Asks in the plainest way: over a connection that ends with the answer.
    pub(super) fn get(&self, path: &str) -> Result<Vec<u8>> {
        let host = self.uri.host().context("--node names no host")?;
        let usual = if self.tls.is_some() { 443 } else { 80 };
        let port = self.uri.port_u16().unwrap_or(usual);
        let authority = self.uri.authority().map_or(host, |it| it.as_str());
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let socket = TcpStream::connect((bare, port));
        let socket = socket.with_context(|| format!("no node at {}", self.uri))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\n\r\n",
            self.token
        );
        let answer = match &self.tls {
            None => exchange(socket, &request),
            Some(config) => {
                let name = ServerName::try_from(bare.to_owned())?;
                let connection = ClientConnection::new(Arc::clone(config), name)?;
                exchange(StreamOwned::new(connection, socket), &request)
            }
        };
        body(answer.with_context(|| format!("{} does not answer", self.uri))?)
    }
}

fn exchange(mut stream: impl Read + Write, request: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    Ok(answer)
}

/// What an answer carries, if it is whole and none of a refusal.
fn body(mut answer: Vec<u8>) -> Result<Vec<u8>> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.context("the node's answer breaks off")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let body = answer.split_off(end + 4);
    let length = head.lines().filter_map(|line| line.split_once(':'));
    let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if let Some((_, length)) = length.next() {
        ensure!(length.trim() == body.len().to_string(), "the node's answer breaks off");
    }
    if status != "200" {
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        bail!(
            "the node says {status}: {}",
            problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or("")
        );
    }
    Ok(body)
}
