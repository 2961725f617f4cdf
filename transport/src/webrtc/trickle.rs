//! Reads the trickle fragments that WHEP clients PATCH (RFC 8840, `application/trickle-ice-sdpfrag`).
//!
//! Pure text; it must never touch a connection.

use thiserror::Error;

use super::candidate;
use super::offer::{IceCredentials, MAX_CANDIDATES, MAX_SDP};

/// Why a fragment was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrickleError {
    /// Not a fragment.
    #[error("the fragment is not valid: {0}")]
    Malformed(&'static str),
    /// The credentials are not those of the offer: an ICE restart, which needs a new session here.
    #[error("ICE restarts are not supported; open a new session")]
    Restart,
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
}

/// A fragment's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Candidates that could be used.
    pub(super) candidates: usize,
    /// Whether the client has no more.
    pub(super) end: bool,
}

/// Reads a fragment; `offered` are the credentials of the offer.
pub(super) fn read(fragment: &str, offered: &IceCredentials) -> Result<Fragment, TrickleError> {
    if fragment.len() > MAX_SDP {
        return Err(TrickleError::Malformed("it is too long"));
    }
    let mut out = Fragment::default();
    let mut named = false;
    for line in fragment.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some(attribute) = line.strip_prefix("a=") else {
            // Pseudo media lines (RFC 8840 §9) only say which section follows; all are bundled.
            if line.as_bytes().get(1) == Some(&b'=') {
                continue;
            }
            return Err(TrickleError::Malformed("a line has no type"));
        };
        if let Some(ufrag) = attribute.strip_prefix("ice-ufrag:") {
            if ufrag != offered.ufrag {
                return Err(TrickleError::Restart);
            }
            named = true;
        } else if let Some(password) = attribute.strip_prefix("ice-pwd:") {
            if password != offered.password {
                return Err(TrickleError::Restart);
            }
        } else if let Some(candidate) = attribute.strip_prefix("candidate:") {
            if out.candidates < MAX_CANDIDATES && candidate::is_usable(candidate) {
                out.candidates += 1;
            }
        } else if attribute == "end-of-candidates" {
            out.end = true;
        }
    }
    // RFC 8840 §4.4 asks for the user name in each fragment, so that a late one of an older
    // generation is not taken for the present one.
    if !named {
        return Err(TrickleError::Malformed("it names no ice-ufrag"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> IceCredentials {
        IceCredentials { ufrag: "EsAw".into(), password: "P2uYro0UCOQ4zxjKXaWCBui1".into() }
    }

    const FRAGMENT: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2130706431 192.0.2.1 61764 typ host\r\n\
        a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active\r\n\
        a=candidate:nonsense\r\na=end-of-candidates\r\n";

    #[test]
    fn takes_udp_candidates_and_the_end() {
        let fragment = read(FRAGMENT, &offered()).unwrap();
        assert_eq!(fragment.candidates, 1);
        assert!(fragment.end);
    }

    #[test]
    fn other_credentials_are_a_restart() {
        let other = IceCredentials { ufrag: "zzzz".into(), ..offered() };
        assert_eq!(read(FRAGMENT, &other), Err(TrickleError::Restart));
        let other = IceCredentials { password: "zzzz".into(), ..offered() };
        assert_eq!(read(FRAGMENT, &other), Err(TrickleError::Restart));
    }

    #[test]
    fn refuses_what_is_no_fragment() {
        assert!(matches!(read("", &offered()), Err(TrickleError::Malformed(_))));
        assert!(matches!(read("{\"a\":1}", &offered()), Err(TrickleError::Malformed(_))));
        let long = "a=x\r\n".repeat(MAX_SDP);
        assert!(matches!(read(&long, &offered()), Err(TrickleError::Malformed(_))));
    }
}
