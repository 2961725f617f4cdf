//! Session descriptions of two peers that shall meet through a relay and nowhere else.

use std::net::SocketAddr;

/// `sdp` with the address of each UDP candidate (RFC 8839 §5.1) put through `map`. Others are left out, so
/// that none leads past the relay.
///
/// # Errors
/// Whatever `map` fails with.
pub fn through<E>(
    sdp: &str,
    mut map: impl FnMut(SocketAddr) -> Result<SocketAddr, E>,
) -> Result<String, E> {
    let mut out = String::new();
    for line in sdp.lines() {
        if !line.starts_with("a=candidate:") {
            out.push_str(line);
        } else if let Some((mut fields, address)) = candidate(line) {
            let address = map(address)?;
            let (host, port) = (address.ip().to_string(), address.port().to_string());
            (fields[4], fields[5]) = (&host, &port);
            out.push_str(&fields.join(" "));
        } else {
            continue;
        }
        out.push_str("\r\n");
    }
    Ok(out)
}

/// `sdp` without candidates: its peer can only be met at the address that it writes from.
pub fn without_candidates(sdp: &str) -> String {
    let kept = sdp.lines().filter(|line| !line.starts_with("a=candidate:"));
    kept.flat_map(|line| [line, "\r\n"]).collect()
}

fn candidate(line: &str) -> Option<(Vec<&str>, SocketAddr)> {
    let fields: Vec<_> = line.split(' ').collect();
    let &[_, _, protocol, _, host, port, ..] = &fields[..] else { return None };
    let address = SocketAddr::new(host.parse().ok()?, port.parse().ok()?);
    protocol.eq_ignore_ascii_case("udp").then_some((fields, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n\
        a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host\r\n\
        a=candidate:2 1 tcp 1671430143 127.0.0.1 9 typ host tcptype active\r\n\
        a=candidate:3 1 udp 2130706431 name.local 40000 typ host\r\n\
        a=end-of-candidates\r\n";

    #[test]
    fn candidates_lead_to_the_relay_or_nowhere() {
        let relay: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let mut asked = Vec::new();
        let mapped = through::<()>(SDP, |address| {
            asked.push(address.to_string());
            Ok(relay)
        });
        assert_eq!(asked, ["127.0.0.1:40000"]);
        let mapped = mapped.unwrap();
        assert!(mapped.contains("a=candidate:1 1 udp 2130706431 127.0.0.1 5 typ host\r\n"));
        assert_eq!(mapped.matches("a=candidate").count(), 1);
        assert!(through(SDP, |_| Err("no socket")).is_err());
        let without = without_candidates(SDP);
        assert!(!without.contains("a=candidate") && without.contains("a=end-of-candidates\r\n"));
    }
}
