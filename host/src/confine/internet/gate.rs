//! Which frames of a game may leave its network. Pure.
//!
//! Only IPv4 leaves: TCP, UDP and echo requests, whole, without options, from the game's own address, to addresses of
//! the internet that are none of this machine's. Everything special (RFC 6890 and the registry that it began) is closed:
//! private and link-local networks, loopback, multicast and broadcast. Of the virtual network around the game only ARP
//! and the resolver's port are open.

use std::net::Ipv4Addr;

/// The game's address in its network.
pub(super) const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// Where it sends what goes elsewhere. Nothing answers there.
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Where it asks for names: the machine's own resolver, by way of passt.
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// Bits of the network's addresses that are the same.
pub(super) const PREFIX: u8 = 24;

/// Of Ethernet (IEEE 802.3): two addresses and the type.
pub(super) const ETHERNET: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
/// Bytes of an IPv4 header without options (RFC 791 §3.1).
const IPV4_HEADER: usize = 20;
/// Of a request for an Ethernet address of an IPv4 one: types, lengths, operation (RFC 826).
const ARP_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// "Echo" (RFC 792).
const ECHO_REQUEST: u8 = 8;
const DNS: u16 = 53;

/// Addresses that no host of the internet has, and the bits of them that count (IANA's registry of special-purpose
/// addresses, and class D).
const SPECIAL: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Why a frame does not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is neither IPv4 nor a question for an address that is there, or nothing that a whole packet looks like.
    Frame,
    /// It goes to what is closed to games.
    Closed(Ipv4Addr),
}

/// Judges a frame; `own` are this machine's addresses.
pub(super) fn judge(frame: &[u8], own: &[Ipv4Addr]) -> Result<(), Refusal> {
    let (Some(kind), Some(body)) = (frame.get(12..ETHERNET), frame.get(ETHERNET..)) else {
        return Err(Refusal::Frame);
    };
    if kind == ARP {
        return asks_for_neighbour(body).then_some(()).ok_or(Refusal::Frame);
    }
    if kind != IPV4 {
        return Err(Refusal::Frame);
    }
    let packet = Packet::read(body).ok_or(Refusal::Frame)?;
    if packet.to == RESOLVER {
        let asks = packet.protocol == UDP && packet.port() == Some(DNS);
        return asks.then_some(()).ok_or(Refusal::Closed(packet.to));
    }
    if is_special(packet.to) || own.contains(&packet.to) {
        return Err(Refusal::Closed(packet.to));
    }
    match packet.protocol {
        TCP | UDP => Ok(()),
        ICMP if packet.payload.first() == Some(&ECHO_REQUEST) => Ok(()),
        _ => Err(Refusal::Frame),
    }
}

/// What the sender of a frame that went to a closed address is told: that it is forbidden (RFC 1812 §5.2.7.1), as by the
/// gateway. A program that connects there fails at once and does not wait.
pub(super) fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let packet = Packet::read(frame.get(ETHERNET..)?)?;
    if !matches!(packet.protocol, TCP | UDP) {
        return None;
    }
    const UNREACHABLE: u8 = 3;
    const PROHIBITED: u8 = 13;
    let quoted = frame.get(ETHERNET..ETHERNET + IPV4_HEADER + 8)?;
    let mut message = vec![UNREACHABLE, PROHIBITED, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(quoted);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let length = (IPV4_HEADER + message.len()) as u16;
    let mut header = [0; IPV4_HEADER];
    (header[0], header[8], header[9]) = (0x45, 64, ICMP);
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[12..16].copy_from_slice(&GATEWAY.octets());
    header[16..20].copy_from_slice(&GUEST.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    // Back to where it came from.
    let parts = [frame.get(6..12)?, frame.get(0..6)?, &IPV4, &header, &message];
    Some(parts.concat())
}

/// The game's question for the gateway's Ethernet address (RFC 826).
pub(super) fn question() -> Vec<u8> {
    const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];
    let (from, to) = (GUEST.octets(), GATEWAY.octets());
    let parts: [&[u8]; 8] = [&[0xff; 6], &SENDER, &ARP, &ARP_REQUEST, &SENDER, &from, &[0; 6], &to];
    parts.concat()
}

/// What is looked at of an IPv4 packet.
struct Packet<'a> {
    protocol: u8,
    to: Ipv4Addr,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None` of what is no whole packet of the game's: another version, options (which may lead elsewhere by RFC 791's
    /// source route), fragments, another sender.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..IPV4_HEADER)?;
        let number = |at: usize| Some(u16::from_be_bytes([*header.get(at)?, *header.get(at + 1)?]));
        let address = |at: usize| {
            let octets: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets))
        };
        let length = usize::from(number(2)?);
        // More fragments, and the place of this one.
        let is_whole = number(6)? & 0x3fff == 0;
        if *header.first()? != 0x45 || !is_whole || address(12)? != GUEST {
            return None;
        }
        let payload = bytes.get(IPV4_HEADER..length)?;
        Some(Self { protocol: *header.get(9)?, to: address(16)?, payload })
    }

    /// The port that TCP and UDP send it to.
    fn port(&self) -> Option<u16> {
        Some(u16::from_be_bytes([*self.payload.get(2)?, *self.payload.get(3)?]))
    }
}

fn asks_for_neighbour(body: &[u8]) -> bool {
    let asked = body.get(24..28);
    body.get(..8) == Some(&ARP_REQUEST)
        && [GATEWAY, RESOLVER].iter().any(|address| asked == Some(&address.octets()))
}

fn is_special(address: Ipv4Addr) -> bool {
    let number = u32::from(address);
    SPECIAL.iter().any(|&(network, bits)| {
        let mask = u32::MAX << (32 - u32::from(bits));
        number & mask == u32::from(network)
    })
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]))
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame of the game's with this payload.
    fn frame(to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend_from_slice(&IPV4);
        let length = (IPV4_HEADER + payload.len()) as u16;
        frame.extend_from_slice(&[0x45, 0]);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
        frame.extend_from_slice(&GUEST.octets());
        frame.extend_from_slice(&to.octets());
        frame.extend_from_slice(payload);
        frame
    }

    fn to_port(port: u16) -> [u8; 8] {
        let [high, low] = port.to_be_bytes();
        [0xc0, 0, high, low, 0, 0, 0, 0]
    }

    const PUBLIC: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 2);

    #[test]
    fn the_internet_is_open() {
        for protocol in [TCP, UDP] {
            assert_eq!(judge(&frame(PUBLIC, protocol, &to_port(80)), &[]), Ok(()));
        }
        assert_eq!(judge(&frame(PUBLIC, ICMP, &[ECHO_REQUEST, 0, 0, 0]), &[]), Ok(()));
        assert_eq!(judge(&frame(RESOLVER, UDP, &to_port(53)), &[]), Ok(()));
    }

    #[test]
    fn what_is_no_part_of_the_internet_is_closed() {
        let closed = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.0.2.2",
            "10.255.255.53",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.2",
            "192.168.1.1",
            "198.19.0.1",
            "203.0.113.9",
            "224.0.0.251",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
        ];
        for address in closed {
            let to = address.parse().unwrap();
            for protocol in [TCP, UDP] {
                let judged = judge(&frame(to, protocol, &to_port(80)), &[]);
                assert_eq!(judged, Err(Refusal::Closed(to)), "{address}");
            }
        }
        for open in
            ["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.128.0.1", "172.32.0.1", "223.9.9.9"]
        {
            assert_eq!(
                judge(&frame(open.parse().unwrap(), TCP, &to_port(80)), &[]),
                Ok(()),
                "{open}"
            );
        }
    }

    #[test]
    fn the_machines_own_addresses_and_all_of_the_resolver_but_names_are_closed() {
        let web = |to| frame(to, TCP, &to_port(80));
        assert_eq!(judge(&web(PUBLIC), &[PUBLIC]), Err(Refusal::Closed(PUBLIC)));
        assert_eq!(judge(&web(RESOLVER), &[]), Err(Refusal::Closed(RESOLVER)));
        let other = frame(RESOLVER, UDP, &to_port(123));
        assert_eq!(judge(&other, &[]), Err(Refusal::Closed(RESOLVER)));
        assert_eq!(judge(&frame(RESOLVER, UDP, &[]), &[]), Err(Refusal::Closed(RESOLVER)));
    }

    #[test]
    fn packets_that_hide_where_they_go_are_no_packets() {
        let good = frame(PUBLIC, TCP, &to_port(80));
        let with = |at: usize, byte: u8| {
            let mut frame = good.clone();
            frame[at] = byte;
            judge(&frame, &[])
        };
        let ip = ETHERNET;
        // Options, another version, more fragments, a place in a packet, another sender, longer than it is, IPv6 and
        // VLANs, other protocols.
        for (at, byte) in [
            (ip, 0x46),
            (ip, 0x65),
            (ip + 6, 0x20),
            (ip + 7, 1),
            (ip + 15, 16),
            (ip + 2, 1),
            (ip + 3, 19),
            (12, 0x86),
            (12, 0x81),
            (ip + 9, 47),
            (ip + 9, 41),
            (ip + 9, ICMP),
        ] {
            assert_eq!(with(at, byte), Err(Refusal::Frame), "{at} {byte}");
        }
        assert_eq!(judge(&good[..ip + 10], &[]), Err(Refusal::Frame));
        assert_eq!(judge(&[], &[]), Err(Refusal::Frame));
    }

    #[test]
    fn only_neighbours_that_are_there_are_asked_for() {
        let ask = |address: Ipv4Addr, operation: u8| {
            let mut frame = vec![0xff; 12];
            frame.extend_from_slice(&ARP);
            frame.extend_from_slice(&ARP_REQUEST[..7]);
            frame.push(operation);
            frame.extend_from_slice(&[2; 16]);
            frame.extend_from_slice(&address.octets());
            judge(&frame, &[]).is_ok()
        };
        assert!(ask(GATEWAY, 1) && ask(RESOLVER, 1));
        assert!(!ask(PUBLIC, 1) && !ask(Ipv4Addr::new(192, 168, 1, 1), 1));
        assert!(!ask(GATEWAY, 2), "and nobody is told anything");
        assert_eq!(judge(&question(), &[]), Ok(()));
    }

    #[test]
    fn who_is_refused_is_told_by_a_packet_that_adds_up() {
        let to = Ipv4Addr::new(192, 168, 1, 1);
        let refused = frame(to, TCP, &to_port(80));
        let answer = answer(&refused).unwrap();
        let (header, message) = answer[ETHERNET..].split_at(IPV4_HEADER);
        assert_eq!((checksum(header), checksum(message)), (0, 0));
        assert_eq!(
            usize::from(u16::from_be_bytes([header[2], header[3]])),
            answer.len() - ETHERNET
        );
        assert_eq!(message[8..], refused[ETHERNET..]);
        assert_eq!(super::answer(&frame(to, ICMP, &to_port(80))), None, "no answer to an answer");
    }

    proptest! {
        #[test]
        fn whatever_leaves_goes_to_an_open_address(bytes: Vec<u8>, head: [u8; 34], own: [u8; 4]) {
            let mut frame = head.to_vec();
            frame.extend_from_slice(&bytes);
            // Half of them are nearly right.
            if head[0] & 1 == 0 {
                frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
                let length = (frame.len() - ETHERNET) as u16;
                frame[16..18].copy_from_slice(&length.to_be_bytes());
                frame[20..22].fill(0);
                frame[26..30].copy_from_slice(&GUEST.octets());
            }
            let own = Ipv4Addr::from(own);
            if judge(&frame, &[own]).is_ok() && frame[12..14] == IPV4 {
                let to = Ipv4Addr::new(frame[30], frame[31], frame[32], frame[33]);
                prop_assert!(to == RESOLVER || !(to.is_private() || to.is_loopback() || to.is_link_local()));
                prop_assert!(to == RESOLVER || !(to.is_multicast() || to.is_broadcast() || to == own));
            }
            let _ = answer(&frame);
        }
    }
}
