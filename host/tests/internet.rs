//! A game with the internet reaches that alone. Real sockets: beside the machine stands another network namespace that
//! answers for every address there is, as the internet, the machine's neighbours and its private networks.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and speak as tests do"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{Bed, LONG, bed, bed_with, ended, eventually, must_run, spec, until};
use nearlight_host::Game as _;
use nearlight_host::confine::{Bind, Exit, How, Network, Phase, Program, Refused};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::BindToDevice;

/// The machine, and the world beyond it.
const HERE: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 1);
const WORLD: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 2);
const PROBE: &str = "/probe";
/// What a game must not reach, though the machine does.
const CLOSED: [&str; 9] = [
    "10.1.2.3",
    "10.0.2.2",
    "10.0.2.99",
    "100.64.0.7",
    "169.254.169.254",
    "172.16.3.4",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.7",
];
/// Bytes that go there and back.
const MUCH: usize = 4 << 20;

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Says back what comes, on TCP and UDP.
fn echo(address: Ipv4Addr, port: u16) -> u16 {
    let listener = TcpListener::bind((address, port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    port
}

fn echo_packets(address: SocketAddr) {
    let socket = UdpSocket::bind(address).unwrap();
    thread::spawn(move || {
        let mut packet = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            // Whoever asked may be gone.
            let _ = socket.send_to(&packet[..length], from);
        }
    });
}

fn own_network() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip("link set lo up");
}

fn resolver() -> Option<IpAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let mut servers =
        text.lines().filter_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok());
    servers.find(|address: &IpAddr| address.is_ipv4() && !address.is_loopback())
}

/// Runs this where the machine has one neighbour, which answers for all addresses; with it come the neighbour's port and
/// one of the machine's own. Threads and processes that it starts are there, too.
fn in_a_world(run: impl FnOnce(u16, u16) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        println!("left out: only root makes networks");
        return;
    }
    let made = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join().unwrap();
    if let Err(error) = made {
        assert!(!must_run(), "NEARLIGHT_HOST is set, and no network can be made: {error}");
        println!("left out: no network can be made: {error}");
        return;
    }
    thread::spawn(move || {
        own_network();
        let (tell, told) = mpsc::sync_channel(2);
        let (end, ended) = mpsc::sync_channel::<()>(1);
        let world = thread::spawn(move || {
            own_network();
            tell.send((rustix::thread::gettid().as_raw_nonzero().get(), None)).unwrap();
            // Until the device is here.
            ended.recv().unwrap();
            ip("addr add 11.0.0.2/24 dev world");
            ip("link set world up");
            ip("route add local 0.0.0.0/0 dev lo");
            ip("route add 11.0.0.1 dev world scope link table local");
            let port = echo(Ipv4Addr::UNSPECIFIED, 0);
            echo_packets((WORLD, port).into());
            if let Some(resolver) = resolver() {
                echo_packets((resolver, 53).into());
            }
            tell.send((0, Some(port))).unwrap();
            // The network is there as long as this thread.
            let _ = ended.recv();
        });
        let (id, _) = told.recv().unwrap();
        ip("link add out type veth peer name world");
        ip(&format!("link set world netns {id}"));
        ip("addr add 11.0.0.1/24 dev out");
        ip("link set out up");
        ip("route add default via 11.0.0.2");
        end.send(()).unwrap();
        let (_, port) = told.recv().unwrap();
        let (port, own) = (port.unwrap(), echo(Ipv4Addr::UNSPECIFIED, 0));
        // The kernel brings devices up in its own time, and gives up on a neighbour that does not answer within seconds.
        eventually("the way to the world", || connect(&WORLD.to_string(), port).ok());
        run(port, own);
        drop(end);
        world.join().unwrap();
    })
    .join()
    .unwrap();
}

fn connect(address: &str, port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::new(address.parse().unwrap(), port), LONG)
}

/// Plays this part of the probe below in a sandbox with the internet.
fn probe(bed: &Bed, part: &str, ports: (u16, u16)) {
    let mut with = spec("probe");
    with.network = Network::Internet;
    let probe = std::env::current_exe().unwrap().canonicalize().unwrap();
    with.binds = vec![Bind { source: probe, at: PROBE.into() }];
    let program = Program {
        command: PROBE.into(),
        args: ["--exact", part, "--ignored", "--nocapture"].map(str::to_owned).into(),
        env: [
            ("PORT".to_owned(), ports.0.to_string()),
            ("OWN_PORT".to_owned(), ports.1.to_string()),
            ("RESOLVER".to_owned(), resolver().map(|_| "1".to_owned()).unwrap_or_default()),
        ]
        .into(),
        folder: None,
    };
    let sandbox = bed.play(&with, program);
    let end = ended(&sandbox);
    println!("{:#?}", sandbox.said());
    assert_eq!(end.how, How::Exited(Exit::Code(0)), "{:?}", sandbox.said_around());
}

fn number(name: &str) -> u16 {
    std::env::var(name).expect("this runs in a sandbox only").parse().unwrap()
}

fn to_and_fro(socket: &UdpSocket, to: SocketAddr, size: usize) {
    let packet: Vec<u8> = (0..size).map(|at| at as u8).collect();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut answer = [0; 2_048];
    // Packets may be lost: a minute of them.
    let arrived = (0..300).any(|_| {
        socket.send_to(&packet, to).unwrap();
        matches!(socket.recv_from(&mut answer), Ok((length, from)) if length == size && from == to)
    });
    assert!(arrived && answer[..size] == packet, "{to}");
}

/// Inside: what is open.
#[test]
#[ignore = "run by the other tests, in a sandbox"]
fn open() {
    let began = std::time::Instant::now();
    let port = number("PORT");
    let mut stream = connect(&WORLD.to_string(), port).unwrap();
    let sent: Vec<u8> = (0..MUCH).map(|at| (at * 7 / 5) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = thread::spawn(move || writer.write_all(&copy).unwrap());
    let mut came = vec![0; MUCH];
    stream.read_exact(&mut came).unwrap();
    writing.join().unwrap();
    assert!(came == sent, "it came otherwise than it went");
    println!("{MUCH} bytes to and fro in {:?}", began.elapsed());
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    to_and_fro(&socket, (WORLD, port).into(), 1_200);
    let conf = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    assert_eq!(conf, "nameserver 10.0.2.3\n");
    if std::env::var("RESOLVER").is_ok_and(|value| !value.is_empty()) {
        to_and_fro(&socket, (Ipv4Addr::new(10, 0, 2, 3), 53).into(), 40);
    }
}

/// Inside: what is not.
#[test]
#[ignore = "run by the other tests, in a sandbox"]
fn closed() {
    let (port, own) = (number("PORT"), number("OWN_PORT"));
    let mut broken = Vec::new();
    let mut held = |what: String, result: Result<(), std::io::Error>| match result {
        Ok(()) => broken.push(what),
        Err(error) => println!("held {what}: {error}"),
    };
    for address in CLOSED {
        held(address.to_owned(), connect(address, port).map(drop));
    }
    for address in ["10.1.2.3", "169.254.169.254", "192.168.1.1"] {
        held(format!("{address} by the device"), by_device(address, port));
    }
    // The machine itself, by each of its names, and by way of the resolver.
    let here = HERE.to_string();
    for address in [&here, "127.0.0.1", "10.0.2.2", "10.0.2.3", "::1"] {
        held(format!("{address} (the node)"), connect(address, own).map(drop));
    }
    // Nobody is on the way there, so these come back or are lost; none is answered.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let port_of = |address: &str| SocketAddr::new(address.parse().unwrap(), port);
    for address in ["192.168.1.1", "169.254.169.254", "224.0.0.251", &here] {
        let mut answer = [0; 16];
        let sent = socket.send_to(b"x", port_of(address));
        held(
            format!("a packet to {address}"),
            sent.and_then(|_| socket.recv_from(&mut answer)).map(drop),
        );
    }
    assert!(broken.is_empty(), "{broken:?}");
    // And all the while the way out was there.
    connect(&WORLD.to_string(), port).unwrap();
}

/// A connection that no route has a say in: bound to the device, a host takes everybody for a neighbour.
fn by_device(address: &str, port: u16) -> std::io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    setsockopt(&socket, BindToDevice, &"game0".into())?;
    let address: SocketAddr = SocketAddr::new(address.parse().unwrap(), port);
    match connect(&socket, &address) {
        Err(rustix::io::Errno::INPROGRESS) => {}
        other => return Ok(other?),
    }
    let mut fds = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::OUT)];
    let limit = rustix::event::Timespec::try_from(Duration::from_secs(5)).unwrap();
    if rustix::event::poll(&mut fds, Some(&limit))? == 0 {
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    sockopt::socket_error(&socket)??;
    Ok(())
}

#[test]
fn a_game_with_the_internet_reaches_the_world() {
    in_a_world(|port, own| {
        let Some(bed) = with_internet() else { return };
        probe(&bed, "open", (port, own));
    });
}

#[test]
fn a_game_with_the_internet_reaches_nothing_else() {
    in_a_world(|port, own| {
        let Some(bed) = with_internet() else { return };
        // From here all of it can be reached, so that what holds is the gate.
        for address in CLOSED {
            connect(address, port).unwrap();
        }
        for address in [&*HERE.to_string(), "127.0.0.1"] {
            connect(address, own).unwrap();
        }
        probe(&bed, "closed", (port, own));
    });
}

/// A bed whose games can have the internet.
fn with_internet() -> Option<Bed> {
    let bed = bed()?;
    match &bed.confinement.found().offers.internet {
        Ok(_) => Some(bed),
        Err(reason) => {
            assert!(
                !must_run(),
                "NEARLIGHT_HOST is set, and there is no internet for games: {reason}"
            );
            println!("left out: {reason}");
            None
        }
    }
}

#[test]
fn without_passt_a_game_that_wants_the_internet_is_refused_with_the_reason() {
    let Some(bed) = bed_with(|config| config.passt = Some("/nonexistent/passt".into())) else {
        return;
    };
    let mut with = spec("refused");
    with.network = Network::Internet;
    let refused = bed.confinement.sandbox(&with, Box::new(|_| {})).unwrap_err();
    assert!(
        matches!(&refused, Refused::Network(why) if why.contains("install passt")),
        "{refused}"
    );
    until(&bed.start(&spec("others")), &Phase::Waiting);
}

#[test]
fn a_way_out_that_cannot_be_made_is_the_reason_why_a_game_does_not_start() {
    // Found, and then it is another one.
    let folder = tempfile::tempdir().unwrap();
    common::open_to_all(folder.path());
    let passt = folder.path().join("passt");
    std::fs::copy("/usr/bin/passt", &passt).unwrap_or_default();
    let Some(bed) = bed_with(|config| config.passt = Some(passt.clone())) else { return };
    if let Err(reason) = &bed.confinement.found().offers.internet {
        println!("left out: {reason}");
        return;
    }
    common::script(&passt, "echo no way >&2; exit 1");
    let mut with = spec("dark");
    with.network = Network::Internet;
    let end = ended(&bed.start(&with));
    assert!(matches!(&end.how, How::Failed(_, why) if why.contains("no way")), "{end:?}");
}
