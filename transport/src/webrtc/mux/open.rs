//! Opening the port's sockets, and the candidates that say where they are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rtc::crypto::default_provider;
use rtc::shared::ifaces::ifaces;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::leg::Counts;
use super::path::SharedSocket;
use super::table::Table;
use super::{Inner, MediaPort, read, tcp};

/// Attempts to find a number that is free for every address and for TCP, where none is configured.
const ATTEMPTS: u32 = 32;
/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;

/// Where the media of a node's sessions comes in.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// Addresses to bind and offer as candidates. An unspecified address (`0.0.0.0`, `::`) stands for
    /// every interface of its family; loopback and link-local ones are not offered.
    pub bind: Vec<IpAddr>,
    /// Number of the port, for UDP and TCP alike; 0 takes one that is free.
    pub port: u16,
    /// Also offer the loopback address of each family, for clients on this machine.
    pub loopback: bool,
    /// Addresses that a 1:1 NAT in front of this node maps to it: offered in place of bound
    /// addresses of their family, loopback excepted. The port must be mapped unchanged.
    pub external: Vec<IpAddr>,
    /// Also take clients over TCP (RFC 6544), for those that no UDP reaches.
    pub tcp: bool,
}

/// A port could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PortError {
    /// Nothing to bind.
    #[error("no address for media is configured")]
    NoAddress,
    /// An address is taken, or not of this machine.
    #[error("cannot take media on {address} ({protocol}): {source}")]
    Bind {
        /// What was to be bound.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Not called within a Tokio runtime, or its reactor took no socket.
    #[error("media sockets cannot be driven: {0}")]
    Runtime(String),
}

impl PortConfig {
    /// Settings for `bind`: any free port, with TCP, without loopback and external addresses.
    pub fn new(bind: Vec<IpAddr>) -> Self {
        Self { bind, port: 0, loopback: false, external: Vec::new(), tcp: true }
    }

    /// Addresses to bind: those that are configured, and loopback where none of them covers it.
    fn addresses(&self) -> Vec<IpAddr> {
        let mut ips = self.bind.clone();
        if self.loopback {
            let six = ips.iter().any(IpAddr::is_ipv6);
            let four = ips.is_empty() || ips.iter().any(IpAddr::is_ipv4);
            for loopback in loopbacks(four, six) {
                let covers = |ip: &IpAddr| {
                    ip.is_unspecified() && ip.is_ipv4() == loopback.is_ipv4() || *ip == loopback
                };
                if !ips.iter().any(covers) {
                    ips.push(loopback);
                }
            }
        }
        let mut unique = Vec::new();
        ips.into_iter().for_each(|ip| {
            if !unique.contains(&ip) {
                unique.push(ip);
            }
        });
        unique
    }

    /// Addresses to offer now: interfaces come and go.
    fn offered(&self) -> Vec<IpAddr> {
        let mut out: Vec<IpAddr> = Vec::new();
        let mut offer = |ip: IpAddr| {
            if !out.contains(&ip) {
                out.push(ip);
            }
        };
        for ip in self.addresses() {
            if ip.is_loopback() {
                offer(ip);
                continue;
            }
            let external = self.external.iter().filter(|other| other.is_ipv4() == ip.is_ipv4());
            let external: Vec<IpAddr> = external.copied().collect();
            if !external.is_empty() {
                external.into_iter().for_each(&mut offer);
            } else if ip.is_unspecified() {
                interfaces(ip.is_ipv4()).into_iter().for_each(&mut offer);
            } else {
                offer(ip);
            }
            if ip.is_unspecified() && self.loopback {
                loopbacks(ip.is_ipv4(), ip.is_ipv6()).for_each(&mut offer);
            }
        }
        out
    }

    /// Candidates (RFC 8839 §5.1) without `a=candidate:`. The earlier an address, the higher its
    /// priority; TCP stands below every UDP address, as browsers have it.
    pub(super) fn candidates(&self, port: u16) -> Vec<String> {
        let ips = self.offered();
        let udp = ips.iter().zip(0_u32..).map(|(ip, n)| {
            let priority = 126 << 24 | (0xffff - n) << 8 | 0xff;
            format!("{} 1 udp {priority} {ip} {port} typ host", n + 1)
        });
        let tcp = ips.iter().zip(0_u32..).filter(|_| self.tcp).map(|(ip, n)| {
            // RFC 6544 §4.2: direction 4 is passive.
            let priority = 90 << 24 | (4 << 13 | (0x1fff - n)) << 8 | 0xff;
            format!("{} 1 tcp {priority} {ip} {port} typ host tcptype passive", n + 101)
        });
        udp.chain(tcp).collect()
    }
}

fn loopbacks(four: bool, six: bool) -> impl Iterator<Item = IpAddr> {
    let four = four.then_some(IpAddr::from(Ipv4Addr::LOCALHOST));
    let six = six.then_some(IpAddr::from(Ipv6Addr::LOCALHOST));
    four.into_iter().chain(six)
}

/// Addresses of this machine that others may reach. Link-local ones need a scope, which a candidate
/// cannot carry.
fn interfaces(four: bool) -> Vec<IpAddr> {
    let found = ifaces().unwrap_or_else(|error| {
        tracing::warn!(%error, "the machine's addresses are not known");
        Vec::new()
    });
    let ips = found.into_iter().filter_map(|interface| interface.addr).map(|addr| addr.ip());
    ips.filter(|ip| {
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
        };
        ip.is_ipv4() == four && !ip.is_loopback() && !ip.is_unspecified() && !link_local
    })
    .collect()
}

/// Sockets with one number.
struct Bound {
    number: u16,
    udp: Vec<std::net::UdpSocket>,
    tcp: Vec<std::net::TcpListener>,
}

impl MediaPort {
    /// Opens the sockets. Within a Tokio runtime, which then reads them until the port is dropped.
    ///
    /// # Errors
    /// See [`PortError`]; nothing stays open.
    pub fn open(config: PortConfig) -> Result<Arc<Self>, PortError> {
        let runtime = |error: &dyn std::fmt::Display| PortError::Runtime(error.to_string());
        tokio::runtime::Handle::try_current().map_err(|error| runtime(&error))?;
        let bound = bind_all(&config)?;
        let sockets = bound.udp.into_iter().enumerate().map(|(index, socket)| {
            SharedSocket::new(socket, index).map(Arc::new).map_err(|error| runtime(&error))
        });
        let listeners = bound
            .tcp
            .into_iter()
            .map(|listener| TcpListener::from_std(listener).map_err(|error| runtime(&error)));
        let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        let inner = Arc::new(Inner {
            sockets: sockets.collect::<Result<_, _>>()?,
            table: Mutex::new(Table::default()),
            crypto: default_provider().map_err(|error| runtime(&error))?,
            counts: Arc::new(Counts::default()),
        });
        let mut tasks = JoinSet::new();
        for socket in &inner.sockets {
            tasks.spawn(read(inner.clone(), socket.clone()));
        }
        for listener in listeners {
            tasks.spawn(tcp::listen(inner.clone(), listener, tcp::Patience::USUAL));
        }
        Ok(Arc::new(Self { config, number: bound.number, inner, _tasks: tasks }))
    }
}

fn bind_all(config: &PortConfig) -> Result<Bound, PortError> {
    let ips = config.addresses();
    let mut attempt = 0;
    loop {
        attempt += 1;
        match bind_each(&ips, config.port, config.tcp) {
            Err(PortError::Bind { source, .. })
                if config.port == 0
                    && attempt < ATTEMPTS
                    && source.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
}

fn bind_each(ips: &[IpAddr], mut number: u16, tcp: bool) -> Result<Bound, PortError> {
    let mut bound = Bound { number, udp: Vec::new(), tcp: Vec::new() };
    for ip in ips {
        let address = SocketAddr::new(*ip, number);
        let fail = |source| PortError::Bind { address, protocol: "UDP", source };
        let udp: std::net::UdpSocket =
            socket(address, Type::DGRAM, Protocol::UDP).map_err(fail)?.into();
        number = udp.local_addr().map_err(fail)?.port();
        bound.udp.push(udp);
        if tcp {
            let address = SocketAddr::new(*ip, number);
            let fail = |source| PortError::Bind { address, protocol: "TCP", source };
            let listener = socket(address, Type::STREAM, Protocol::TCP).map_err(fail)?;
            listener.listen(BACKLOG).map_err(fail)?;
            bound.tcp.push(listener.into());
        }
    }
    bound.number = number;
    if bound.udp.is_empty() { Err(PortError::NoAddress) } else { Ok(bound) }
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // Beside `0.0.0.0` on the same number, and so that no address is an IPv4 one in disguise.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // A restarted node finds its number free although old connections linger.
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(bind: &[&str]) -> PortConfig {
        PortConfig::new(bind.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    #[test]
    fn every_address_is_offered_by_udp_and_tcp() {
        let with_loopback = PortConfig { loopback: true, ..config(&["192.0.2.1"]) };
        assert_eq!(
            with_loopback.candidates(8100),
            [
                "1 1 udp 2130706431 192.0.2.1 8100 typ host",
                "2 1 udp 2130706175 127.0.0.1 8100 typ host",
                "101 1 tcp 1520435199 192.0.2.1 8100 typ host tcptype passive",
                "102 1 tcp 1520434943 127.0.0.1 8100 typ host tcptype passive",
            ]
        );
        let without_tcp = PortConfig { tcp: false, ..with_loopback };
        assert_eq!(without_tcp.candidates(8100).len(), 2);
    }

    #[test]
    fn external_addresses_stand_for_those_of_their_family_but_not_for_loopback() {
        let external = vec!["198.51.100.7".parse().unwrap()];
        let config =
            PortConfig { loopback: true, external, tcp: false, ..config(&["192.0.2.1", "::1"]) };
        let offered: Vec<String> = config.offered().iter().map(ToString::to_string).collect();
        assert_eq!(offered, ["198.51.100.7", "::1", "127.0.0.1"]);
    }

    #[test]
    fn loopback_is_bound_once_and_by_family() {
        let bound = |bind: &[&str]| PortConfig { loopback: true, ..config(bind) }.addresses();
        let ips =
            |ips: &[&str]| -> Vec<IpAddr> { ips.iter().map(|ip| ip.parse().unwrap()).collect() };
        assert_eq!(bound(&[]), ips(&["127.0.0.1"]));
        assert_eq!(bound(&["0.0.0.0"]), ips(&["0.0.0.0"]), "the wildcard receives it");
        assert_eq!(bound(&["::"]), ips(&["::"]));
        assert_eq!(bound(&["2001:db8::1"]), ips(&["2001:db8::1", "::1"]));
        assert_eq!(bound(&["127.0.0.1", "127.0.0.1"]), ips(&["127.0.0.1"]));
    }

    #[tokio::test]
    async fn a_taken_number_is_named() {
        let port = MediaPort::open(config(&["127.0.0.1"])).unwrap();
        let number = port.number();
        let again = PortConfig { port: number, ..config(&["127.0.0.1"]) };
        let error = MediaPort::open(again).unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{number} (UDP)")), "{error}");
        assert!(matches!(MediaPort::open(config(&[])), Err(PortError::NoAddress)));
    }

    #[test]
    fn it_takes_a_runtime() {
        assert!(matches!(MediaPort::open(config(&["127.0.0.1"])), Err(PortError::Runtime(_))));
    }
}
