//! Carries frames between the game's device and passt, which speaks by a stream: four bytes of length, most significant
//! first, then the frame.
//!
//! What passt does not take yet waits here, up to [`WAITING`]; while it does, nothing is read from the device, whose queue
//! drops what it has no room for, as any network's does.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::super::attempts::{Attempt, Books};
use super::gate::{ETHERNET, Refusal, answer, judge};

/// Longest frame: what a device with the largest MTU sends, and a tag of VLANs.
const FRAME: usize = 65_536 + ETHERNET + 4;
const LENGTH: usize = 4;
/// Bytes that wait for passt, above which no frame is read.
const WAITING: usize = 256 * 1024;
/// Frames that are read before the other way has its turn.
const BURST: usize = 64;
/// Age of what is known of this machine's addresses, above which they are read again.
const ADDRESSES: Duration = Duration::from_secs(2);
/// Closed addresses that are named in the log; others are counted.
const NAMED: usize = 8;

pub(super) struct Relay {
    tap: OwnedFd,
    passt: OwnedFd,
    /// What waits for passt, from `sent` on.
    waiting: Vec<u8>,
    sent: usize,
    /// What came of passt and is no whole frame yet.
    came: Vec<u8>,
    own: Own,
    refused: Refused,
    books: Books,
}

impl Relay {
    /// Counts what is refused in these books, too.
    pub(super) fn new(tap: OwnedFd, passt: OwnedFd, books: Books) -> Self {
        Self {
            tap,
            passt,
            waiting: Vec::new(),
            sent: 0,
            came: Vec::new(),
            own: Own { addresses: Vec::new(), read: None },
            refused: Refused::default(),
            books,
        }
    }

    /// Until passt, or the other end's owner, has closed the stream.
    ///
    /// # Errors
    /// When the device goes away, or passt speaks nonsense.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let (mut frame, mut chunk) = (vec![0; FRAME], vec![0; FRAME + LENGTH]);
        loop {
            let (from_passt, to_passt, from_tap) = self.wait()?;
            if from_passt && !self.receive(&mut chunk)? {
                return Ok(());
            }
            if from_tap {
                self.read(&mut frame)?;
            }
            if (from_tap || to_passt) && !self.send()? {
                return Ok(());
            }
        }
    }

    /// How often something was refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.count
    }

    fn wait(&self) -> io::Result<(bool, bool, bool)> {
        let is_waiting = self.sent < self.waiting.len();
        let of_passt = if is_waiting { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let of_tap = if is_waiting { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = [PollFd::new(&self.passt, of_passt), PollFd::new(&self.tap, of_tap)];
        rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
        let (passt, tap) = (fds[0].revents(), fds[1].revents());
        let ended = PollFlags::HUP | PollFlags::ERR;
        Ok((
            passt.intersects(PollFlags::IN | ended),
            passt.contains(PollFlags::OUT),
            tap.intersects(PollFlags::IN | ended),
        ))
    }

    /// Reads what the game sends, and has what may leave wait.
    fn read(&mut self, frame: &mut [u8]) -> io::Result<()> {
        for _ in 0..BURST {
            let length = match rustix::io::read(&self.tap, &mut *frame) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let frame = frame.get(..length).unwrap_or_default();
            match judge(frame, self.own.addresses()) {
                Ok(()) => {
                    self.waiting.extend_from_slice(&(length as u32).to_be_bytes());
                    self.waiting.extend_from_slice(frame);
                }
                Err(refusal) => {
                    if self.refused.note(refusal) {
                        self.books.count(Attempt::Network, 1);
                    }
                    if let (Refusal::Closed(_), Some(answer)) = (refusal, answer(frame)) {
                        self.give(&answer);
                    }
                }
            }
            if self.waiting.len() >= WAITING {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends what waits, as far as passt takes it. `false` when it is gone.
    fn send(&mut self) -> io::Result<bool> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        while let Some(rest) = self.waiting.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match rustix::net::send(&self.passt, rest, flags) {
                Ok(sent) => self.sent += sent,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
                Err(Errno::PIPE | Errno::CONNRESET) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.waiting.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Takes what passt has sent, and gives the game what is whole. `false` when passt is gone.
    fn receive(&mut self, chunk: &mut [u8]) -> io::Result<bool> {
        let (received, _) = match rustix::net::recv(&self.passt, &mut *chunk, RecvFlags::DONTWAIT) {
            Ok(received) => received,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
            Err(Errno::CONNRESET) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if received == 0 {
            return Ok(false);
        }
        self.came.extend_from_slice(chunk.get(..received).unwrap_or_default());
        let mut at = 0;
        while let Some((frame, next)) = whole(&self.came, at)? {
            self.give(frame);
            at = next;
        }
        self.came.drain(..at);
        Ok(true)
    }

    /// A device that takes none drops it.
    fn give(&self, frame: &[u8]) {
        let _ = rustix::io::write(&self.tap, frame);
    }
}

/// The frame that begins there, and where the next one does; `None` while it is not whole.
fn whole(came: &[u8], at: usize) -> io::Result<Option<(&[u8], usize)>> {
    let Some(Ok(length)) = came.get(at..at + LENGTH).map(<[u8; LENGTH]>::try_from) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME {
        return Err(io::Error::other(format!("a frame of {length} bytes")));
    }
    let start = at + LENGTH;
    Ok(came.get(start..start + length).map(|frame| (frame, start + length)))
}

/// This machine's addresses.
struct Own {
    addresses: Vec<Ipv4Addr>,
    read: Option<Instant>,
}

impl Own {
    fn addresses(&mut self) -> &[Ipv4Addr] {
        if self.read.is_none_or(|read| read.elapsed() > ADDRESSES) {
            match own_addresses() {
                Ok(addresses) => self.addresses = addresses,
                Err(error) => tracing::warn!(%error, "the machine's addresses cannot be read"),
            }
            self.read = Some(Instant::now());
        }
        &self.addresses
    }
}

fn own_addresses() -> io::Result<Vec<Ipv4Addr>> {
    let all = nix::ifaddrs::getifaddrs()?;
    Ok(all.filter_map(|of| Some(of.address?.as_sockaddr_in()?.ip())).collect())
}

/// What was refused.
#[derive(Default)]
struct Refused {
    count: u64,
    named: BTreeSet<Ipv4Addr>,
}

impl Refused {
    /// Whether that was an attempt to reach somebody.
    fn note(&mut self, refusal: Refusal) -> bool {
        self.count += 1;
        let Refusal::Closed(address) = refusal else { return false };
        // Systems of today ask about who is in their network by themselves.
        if address.is_multicast() {
            return false;
        }
        if self.named.len() < NAMED && self.named.insert(address) {
            tracing::info!(%address, "a game wanted to reach an address that is closed to it");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, kind, SocketFlags::NONBLOCK, None).unwrap()
    }

    /// A relay between sockets that stand for the device (packets) and passt (a stream), on a thread; the other ends.
    fn relay() -> (OwnedFd, OwnedFd, std::thread::JoinHandle<io::Result<()>>) {
        let ((tap, game), (passt, net)) = (pair(SocketType::SEQPACKET), pair(SocketType::STREAM));
        (game, net, std::thread::spawn(move || Relay::new(tap, passt, Books::default()).run()))
    }

    fn read(fd: &OwnedFd, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        let mut at = 0;
        while at < bytes {
            poll(&mut [PollFd::new(fd, PollFlags::IN)], None).unwrap();
            at += rustix::io::read(fd, &mut read[at..]).unwrap();
        }
        read
    }

    /// Writes it once there is room for it.
    fn write(fd: &OwnedFd, bytes: &[u8]) {
        poll(&mut [PollFd::new(fd, PollFlags::OUT)], None).unwrap();
        assert_eq!(rustix::io::write(fd, bytes).unwrap(), bytes.len());
    }

    #[test]
    fn frames_arrive_whole_however_the_stream_is_cut() {
        let (game, net, thread) = relay();
        let (one, two) = (vec![1_u8; 60], vec![2_u8; 1_500]);
        let stream: Vec<u8> = [&one, &two]
            .into_iter()
            .flat_map(|frame| [(frame.len() as u32).to_be_bytes().to_vec(), frame.clone()].concat())
            .collect();
        for piece in stream.chunks(7) {
            write(&net, piece);
        }
        assert_eq!((read(&game, 60), read(&game, 1_500)), (one, two));
        drop(net);
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn what_may_not_leave_does_not_and_what_follows_does() {
        let (game, net, thread) = relay();
        let ask = |last: u8| {
            let mut frame = vec![0xff; 12];
            frame.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
            frame.extend_from_slice(&[0; 16]);
            frame.extend_from_slice(&[10, 0, 2, last]);
            frame
        };
        for last in [77, 2] {
            rustix::io::write(&game, &ask(last)).unwrap();
        }
        assert_eq!(read(&net, LENGTH + 42)[LENGTH..], ask(2));
        drop(net);
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn nonsense_of_passt_ends_it() {
        let (_game, net, thread) = relay();
        rustix::io::write(&net, &[0xff; 8]).unwrap();
        assert!(thread.join().unwrap().unwrap_err().to_string().contains("4294967295"));
    }
}
