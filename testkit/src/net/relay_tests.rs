use super::*;
use crate::WallClock;
use crate::net::{LinkConfig, Script};
use media::Bitrate;

fn scenario(change: impl FnOnce(&mut LinkConfig)) -> Scenario {
    let fast =
        LinkConfig { delay: Duration::from_millis(1), ..LinkConfig::of(Bitrate::from_mbps(1_000)) };
    let mut down = fast;
    change(&mut down);
    Scenario {
        name: "test",
        about: "",
        length: Duration::from_secs(1),
        down: Script::steady(down),
        up: Script::steady(fast),
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // How long real sockets may take before a test fails.
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_000];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

#[test]
fn clients_of_a_route_stay_apart_and_get_their_answers() {
    let server = socket();
    let mut relay = Relay::start(&scenario(|_| {}), WallClock::shared()).unwrap();
    let front = relay.route(server.local_addr().unwrap()).unwrap();
    let clients = [socket(), socket()];
    let mut seen = Vec::new();
    for (n, client) in (0..).zip(&clients) {
        client.send_to(&[n; 100], front).unwrap();
        let (message, from) = receive(&server);
        assert_eq!(message, [n; 100]);
        seen.push(from);
    }
    assert_ne!(seen[0], seen[1]);
    for (n, (client, from)) in (10..).zip(clients.iter().zip(&seen)) {
        server.send_to(&[n; 1_000], from).unwrap();
        assert_eq!(receive(client), (vec![n; 1_000], front));
    }
    let passages = relay.take_passages();
    assert_eq!(passages.iter().map(|p| (p.route, p.bytes)).collect::<Vec<_>>(), [(0, 1_028); 2]);
    assert!(passages.iter().all(|p| p.at.since(p.sent) >= Duration::from_millis(1)));
    assert!(relay.take_passages().is_empty());
}

#[test]
fn a_script_that_begins_takes_hold() {
    let server = socket();
    let mut relay = Relay::start(&scenario(|_| {}), WallClock::shared()).unwrap();
    let front = relay.route(server.local_addr().unwrap()).unwrap();
    let client = socket();
    client.send_to(b"hello", front).unwrap();
    let (_, from) = receive(&server);
    relay.begin(&scenario(|down| down.mtu = 500));
    // Commands are obeyed before the next datagram is read, but this one may come before both.
    while relay.counts().down.lost == 0 {
        server.send_to(&[1; 1_000], from).unwrap();
    }
    // Of what was sent meanwhile its socket may be full: then this one is lost before it.
    client.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let (mut buffer, mut came) = ([0; 2_000], None);
    for _ in 0..6_000 {
        server.send_to(b"small", from).unwrap();
        let next = client.recv_from(&mut buffer).ok();
        came = next.filter(|(length, _)| buffer[..*length] == *b"small");
        if came.is_some() {
            break;
        }
    }
    assert!(came.is_some(), "nothing passes any more");
}

#[test]
fn a_connection_arrives_whole_at_the_links_pace_and_waits_in_its_sender() {
    use std::io::{Read as _, Write as _};
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let queue = Duration::from_millis(100);
    let slow = scenario(|down| {
        down.rate = Bitrate::from_mbps(8);
        down.queue = crate::net::Queue::Time(queue);
    });
    let mut relay = Relay::start(&slow, WallClock::shared()).unwrap();
    let front = relay.stream(server.local_addr().unwrap()).unwrap();
    let mut client = std::net::TcpStream::connect(front).unwrap();
    let (mut served, _) = server.accept().unwrap();
    client.write_all(b"hello").unwrap();
    let mut hello = [0; 5];
    served.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    let sent: Vec<u8> = (0..500_000_u32).map(|n| (n % 251) as u8).collect();
    let all = sent.clone();
    let writes = std::thread::spawn(move || served.write_all(&all));
    let mut came = vec![0; sent.len()];
    client.read_exact(&mut came).unwrap();
    writes.join().unwrap().unwrap();
    assert!(came == sent);
    let passages = relay.take_passages();
    assert!(passages.iter().all(|passage| passage.waited <= queue));
    let [first, .., last] = &passages[..] else { panic!("two pieces at least") };
    assert!(last.at.since(first.sent) >= Duration::from_millis(450), "half a second at 8 Mbit/s");
    assert_eq!(relay.counts().down.overflowed, 0);
}

#[test]
fn a_connection_of_which_something_is_lost_ends() {
    use std::io::{Read as _, Write as _};
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let lossy = scenario(|down| down.loss = crate::net::Loss::Random(0.5));
    let mut relay = Relay::start(&lossy, WallClock::shared()).unwrap();
    let front = relay.stream(server.local_addr().unwrap()).unwrap();
    let mut client = std::net::TcpStream::connect(front).unwrap();
    let (mut served, _) = server.accept().unwrap();
    let writes = std::thread::spawn(move || while served.write_all(&[7; 1_000]).is_ok() {});
    let mut came = Vec::new();
    // Reset or closed, whichever the kernel makes of it.
    let _ = client.read_to_end(&mut came);
    writes.join().unwrap();
    assert!(came.iter().all(|byte| *byte == 7));
}

#[test]
fn a_transfer_competes_for_the_link() {
    let slow = scenario(|down| down.rate = Bitrate::from_mbps(50));
    let relay = Relay::start(&slow, WallClock::shared()).unwrap();
    relay.compete(TcpKind::Cubic);
    let delivered = || relay.counts().tcp_delivered.first().copied().unwrap_or(0);
    while delivered() < 100 * TcpFlow::PACKET {
        std::thread::yield_now();
    }
}
