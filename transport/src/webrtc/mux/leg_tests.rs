//! What a leg asks, and what it lets out before it is answered. Time is given; sockets are real.

use std::net::UdpSocket;

use super::super::path::SharedSocket;
use super::super::stun::{Message, read};
use super::*;

/// A leg, and a client with an address or several.
struct Bench {
    leg: Leg,
    counts: Arc<Counts>,
    socket: Arc<SharedSocket>,
    client: Vec<UdpSocket>,
    start: Instant,
}

/// What is no check.
const LAST: &[u8] = b"the last of it";

fn bound() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

impl Bench {
    async fn new(addresses: usize) -> Self {
        let credentials = |of: &str| IceCredentials {
            ufrag: of.to_owned(),
            password: format!("the password of {of}"),
        };
        let counts = Arc::<Counts>::default();
        let crypto = rtc::crypto::default_provider().unwrap();
        let leg = Leg::new(credentials("ours"), credentials("theirs"), crypto, counts.clone());
        let socket = Arc::new(SharedSocket::new(bound(), 0).unwrap());
        // Until its readiness is known nothing is sent by it.
        socket.io.writable().await.unwrap();
        let client = (0..addresses).map(|_| bound()).collect();
        Self { leg, counts, socket, client, start: Instant::now() }
    }

    fn path(&self, address: usize) -> Path {
        let remote = self.client[address].local_addr().unwrap();
        Path::Udp { socket: self.socket.clone(), source: None, remote }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// A check of the client's comes in.
    fn check(&self, address: usize, nominates: bool, millis: u64) -> Heard {
        let check = Check {
            asked: &self.leg.ours.ufrag,
            asking: &self.leg.theirs.ufrag,
            password: &self.leg.ours.password,
            controlling: true,
            nominates,
        };
        let check = sign::request(&check, &[9; 12], self.leg.crypto.crypto()).unwrap();
        let Some(Message::Request(request)) = read(&check) else { panic!("{check:?}") };
        self.leg.checked(&request, &check, &self.path(address), self.at(millis))
    }

    /// The client answers a check of ours, from an address.
    fn answer(&self, asked: Transaction, address: usize) -> bool {
        let path = self.path(address);
        let password = &self.leg.theirs.password;
        let crypto = self.leg.crypto.crypto();
        let answer = sign::success(&asked, path.remote(), password, crypto).unwrap();
        self.leg.answered(asked, true, &answer, &path)
    }

    /// Checks of ours that reached an address.
    fn reached(&self, address: usize) -> usize {
        let client = &self.client[address];
        client.set_nonblocking(false).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // Behind all of them: a busy kernel hands over later what was sent on loopback.
        self.path(address).send_now(LAST);
        let (mut buffer, mut checks) = ([0; 2_000], 0);
        loop {
            let length = client.recv(&mut buffer).expect("the last of it");
            if buffer[..length] == *LAST {
                return checks;
            }
            checks += usize::from(matches!(read(&buffer[..length]), Some(Message::Request(_))));
        }
    }
}

fn transaction_of(heard: Heard) -> Transaction {
    let Heard::Signed(Some(asked)) = heard else { panic!("{heard:?}") };
    asked
}

#[tokio::test]
async fn the_first_path_gets_three_times_what_came_by_it_until_the_client_answers_there() {
    let bench = Bench::new(2).await;
    assert!(bench.leg.way(0).is_none(), "there is none");
    let asked = transaction_of(bench.check(0, true, 0));
    assert!(bench.leg.way(1_200).is_none(), "a check has some 100 bytes");
    bench.leg.deliver(&[22; 500], &bench.path(0), bench.at(1));
    bench.leg.deliver(&[22; 5_000], &bench.path(1), bench.at(1));
    assert!(bench.leg.way(1_200).is_some());
    assert!(bench.leg.way(1_200).is_none(), "what came elsewhere does not count");
    assert!(!bench.answer([1; 12], 0), "nobody asked that");
    assert!(!bench.answer(asked, 1), "it was asked elsewhere");
    assert!(bench.leg.way(1_200).is_none());
    assert!(bench.answer(asked, 0));
    for _ in 0..100 {
        assert!(bench.leg.way(1_200).is_some_and(|path| path.is(&bench.path(0))));
    }
    assert_eq!(bench.counts.moved.load(Ordering::Relaxed), 0);
    assert_eq!(bench.check(0, true, 500), Heard::Signed(None), "it is proven");
}

#[tokio::test]
async fn a_path_whose_round_trip_is_longer_than_the_time_between_checks_is_proven() {
    let bench = Bench::new(2).await;
    let first = transaction_of(bench.check(0, true, 0));
    // Both of the client's networks check every 50 ms; answers take 400.
    for millis in (50..400).step_by(50) {
        bench.check(0, true, millis);
        bench.check(1, false, millis + 1);
    }
    assert!(bench.answer(first, 0));
    let moved = transaction_of(bench.check(1, true, 410));
    for millis in (450..800).step_by(50) {
        bench.check(1, true, millis);
        bench.check(0, false, millis + 1);
    }
    assert!(bench.answer(moved, 1));
    assert!(bench.leg.way(1).is_some_and(|path| path.is(&bench.path(1))));
}

#[tokio::test]
async fn datagrams_from_many_addresses_make_no_more_checks_than_are_bounded() {
    let bench = Bench::new(20).await;
    let asked = transaction_of(bench.check(0, true, 0));
    assert!(bench.answer(asked, 0));
    for round in 0..100 {
        for address in 1..20 {
            bench.leg.deliver(&[0x80], &bench.path(address), bench.at(round));
        }
    }
    let mut checks = 0;
    for address in 1..20 {
        checks += bench.reached(address);
    }
    assert_eq!(checks, MAX_ASKED, "in a tenth of a second");
    assert!(bench.leg.deliver(&[0x80], &bench.path(1), bench.at(1_100)).is_some());
    assert!(bench.leg.way(1).is_some_and(|path| path.is(&bench.path(0))), "none has answered");
}

#[tokio::test]
async fn proof_of_a_path_moves_media_only_where_the_client_wants_it() {
    let bench = Bench::new(2).await;
    let first = transaction_of(bench.check(0, true, 0));
    assert!(bench.answer(first, 0));
    assert_eq!(bench.check(1, false, 1), Heard::Signed(None));
    let asked = bench.leg.prove(&bench.path(1), bench.at(2)).unwrap();
    assert!(bench.answer(asked, 1));
    assert!(bench.leg.way(1).is_some_and(|path| path.is(&bench.path(0))));
    // Asked for one reason, it is wanted for another before the answer comes.
    let asked = bench.leg.prove(&bench.path(1), bench.at(200)).unwrap();
    assert_eq!(bench.check(1, true, 201), Heard::Signed(None));
    assert!(bench.answer(asked, 1));
    assert!(bench.leg.way(1).is_some_and(|path| path.is(&bench.path(1))));
    assert_eq!(bench.counts.moved.load(Ordering::Relaxed), 1);
}

/// Takes so many datagrams for the stack.
fn taken(leg: &Leg, most: usize) -> usize {
    let (mut buffers, mut meta) = (vec![[0; 2_048]; most], vec![RecvMeta::default(); most]);
    let mut slices: Vec<_> = buffers.iter_mut().map(|it| IoSliceMut::new(it)).collect();
    let mut cx = Context::from_waker(Waker::noop());
    match leg.poll_recv(&mut cx, &mut slices, &mut meta) {
        Poll::Ready(count) => count,
        Poll::Pending => 0,
    }
}

#[tokio::test]
async fn datagrams_that_the_stack_does_not_read_are_dropped_beyond_their_bounds_and_counted() {
    // So many that are short, then so many bytes.
    for (length, fit) in [(60, MAX_WAITING), (1_200, MAX_WAITING_BYTES / 1_200)] {
        let bench = Bench::new(1).await;
        let asked = transaction_of(bench.check(0, true, 0));
        assert!(bench.answer(asked, 0));
        // What the leg itself had to say.
        while taken(&bench.leg, 16) > 0 {}
        let fill = |count: usize| {
            for _ in 0..count {
                bench.leg.deliver(&vec![22; length], &bench.path(0), bench.at(1));
            }
            bench.counts.dropped.load(Ordering::Relaxed)
        };
        assert_eq!(fill(fit), 0, "{length}");
        assert_eq!(fill(1_000), 1_000, "{length}");
        let state = |leg: &Leg| {
            let state = leg.state();
            (state.waiting.len(), state.waiting_bytes)
        };
        assert_eq!(state(&bench.leg), (fit, fit * length));
        // It reads again.
        assert_eq!(taken(&bench.leg, 10), 10);
        assert_eq!(fill(11), 1_001, "{length}");
        while taken(&bench.leg, 16) > 0 {}
        assert_eq!(state(&bench.leg), (0, 0));
    }
}
