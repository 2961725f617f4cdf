//! One session's share of the port: where its client is, and what the stack below is told of it.
//!
//! The port is the ICE agent (lite, RFC 8445 §2.7): it answers checks itself and decides which path
//! media takes. The stack keeps an agent of its own, which is shown one peer that never moves and
//! that nominates it once:
//!
//! ```text
//! Waiting ──first check that the client signed──► Nominating ──the stack checks back──► Up
//! ```
//!
//! Media follows the client to a path that it nominates, or that what it sends comes by, once it has
//! answered a check of ours there (consent, RFC 7675): a recorded check that is sent again from a
//! foreign address moves nothing. The first path is used before that, but gets no more than [`UNPROVEN`]
//! times what came by it: a check says nothing of who is at the address that it seems to come from.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rtc::crypto::RTCCryptoProvider;
use tokio::sync::watch;
use webrtc::runtime::RecvMeta;

use super::path::Path;
use super::sign::{self, Check};
use super::stun::{self, Request, Transaction};
use super::wanted::Wanted;
use crate::webrtc::offer::IceCredentials;

/// The peer that the stack is shown, whatever the client's address is.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Datagrams that wait for the stack. It reads them as they come; when it does not, the newest are
/// dropped and counted, as a full socket buffer would.
const MAX_WAITING: usize = 256;
/// Bytes of them.
const MAX_WAITING_BYTES: usize = 256 * 1024;
/// How many times the bytes that came by it a path may get before the client has shown that it is there, as
/// in QUIC (RFC 9000 §8).
const UNPROVEN: usize = 3;
/// Checks of ours without an answer: a client has a few paths at once, and round trips of up to a second.
const MAX_ASKED: usize = 8;
/// After so long without an answer there will be none, and another check may leave: at most [`MAX_ASKED`] in
/// that time, whatever comes in.
const ANSWER: Duration = Duration::from_secs(1);
/// A path that does not answer is asked again after so long.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What a port counted since it was opened.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) unroutable: AtomicU64,
    pub(super) forged: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) unwanted: AtomicU64,
    pub(super) moved: AtomicU64,
    pub(super) tcp_refused: AtomicU64,
    pub(super) tcp_silent: AtomicU64,
    pub(super) tcp_stuck: AtomicU64,
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// See the module.
pub(super) struct Leg {
    pub(super) ours: IceCredentials,
    theirs: IceCredentials,
    crypto: Arc<dyn RTCCryptoProvider>,
    counts: Arc<Counts>,
    state: Mutex<State>,
    /// Connections over TCP that belong to it.
    pub(super) links: AtomicUsize,
    /// Turns to `true` when the session gave its share back.
    over: watch::Sender<bool>,
}

struct State {
    ice: Ice,
    /// Where media goes.
    path: Option<Path>,
    /// The client answered a check of ours there.
    proven: bool,
    /// Bytes that may leave by a path that is not proven.
    credit: usize,
    /// Checks of ours without an answer, the oldest first.
    asked: VecDeque<Asked>,
    wanted: Wanted,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    reader: Option<Waker>,
}

/// A check of ours.
struct Asked {
    transaction: Transaction,
    path: Path,
    at: Instant,
    /// Media moves there with the answer.
    moves: bool,
}

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The client did not send it.
    Forged,
    /// It did, and where that raises the question whether it really is there, it was asked.
    Signed(Option<Transaction>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ice {
    Waiting,
    Nominating,
    Up,
}

impl Leg {
    pub(super) fn new(
        ours: IceCredentials,
        theirs: IceCredentials,
        crypto: Arc<dyn RTCCryptoProvider>,
        counts: Arc<Counts>,
    ) -> Self {
        let state = State {
            ice: Ice::Waiting,
            path: None,
            proven: false,
            credit: 0,
            asked: VecDeque::new(),
            wanted: Wanted::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            reader: None,
        };
        Self {
            ours,
            theirs,
            crypto,
            counts,
            state: Mutex::new(state),
            links: AtomicUsize::new(0),
            over: watch::Sender::new(false),
        }
    }

    // Every change of the state is one step, so a panic elsewhere leaves it whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a check. What the client did not send changes nothing.
    pub(super) fn checked(
        &self,
        request: &Request<'_>,
        datagram: &[u8],
        path: &Path,
        now: Instant,
    ) -> Heard {
        let crypto = self.crypto.crypto();
        if request.asking != self.theirs.ufrag.as_bytes()
            || !sign::is_signed(datagram, &self.ours.password, crypto)
        {
            Counts::add(&self.counts.forged);
            return Heard::Forged;
        }
        let from = path.remote();
        if let Some(answer) = sign::success(&request.transaction, from, &self.ours.password, crypto)
        {
            path.send_now(&answer);
        }
        let mut state = self.state();
        if state.path.is_none() {
            state.path = Some(path.clone());
            state.proven = path.is_proven();
            state.ice = Ice::Nominating;
            self.nominate(&mut state);
        } else if state.is_current(path) && state.ice == Ice::Up {
            // Tells the stack that the client is there.
            self.nominate(&mut state);
        }
        state.earn(path, datagram);
        let asks = if state.is_current(path) {
            !state.proven
        } else {
            // The client repeats its checks, and with them goes what may have been lost of ours.
            request.nominates || state.asked.iter().any(|asked| asked.moves && asked.path.is(path))
        };
        Heard::Signed(asks.then(|| self.ask(&mut state, path, true, now)).flatten())
    }

    /// Asks whether the client really is at the other end of a path, though media stays where it is.
    pub(super) fn prove(&self, path: &Path, now: Instant) -> Option<Transaction> {
        self.ask(&mut self.state(), path, false, now)
    }

    /// Asks whether the client really is where it wants media to go, unless it was asked a moment ago, or too
    /// much else was.
    fn ask(
        &self,
        state: &mut State,
        path: &Path,
        moves: bool,
        now: Instant,
    ) -> Option<Transaction> {
        let lately = |asked: &&mut Asked| {
            asked.path.is(path) && now.saturating_duration_since(asked.at) < ASK_AGAIN
        };
        if let Some(asked) = state.asked.iter_mut().find(lately) {
            asked.moves |= moves;
            return None;
        }
        if state.asked.len() == MAX_ASKED {
            state.asked.pop_front_if(|it| now.saturating_duration_since(it.at) >= ANSWER)?;
        }
        let check = Check {
            asked: &self.theirs.ufrag,
            asking: &self.ours.ufrag,
            password: &self.theirs.password,
            controlling: false,
            nominates: false,
        };
        let transaction = transaction()?;
        let check = sign::request(&check, &transaction, self.crypto.crypto())?;
        state.asked.push_back(Asked { transaction, path: path.clone(), at: now, moves });
        path.send_now(&check);
        Some(transaction)
    }

    /// A response to a check of ours, or to one of the stack's; whether it shows that the client is at the other
    /// end of the path.
    pub(super) fn answered(
        &self,
        transaction: Transaction,
        success: bool,
        datagram: &[u8],
        path: &Path,
    ) -> bool {
        let mut state = self.state();
        let Some(asked) = state.asked.iter().find(|asked| asked.transaction == transaction) else {
            self.push(&mut state, datagram.to_vec());
            return false;
        };
        let sound = success
            && asked.path.is(path)
            && sign::is_signed(datagram, &self.theirs.password, self.crypto.crypto());
        if !sound {
            Counts::add(&self.counts.forged);
            return false;
        }
        let moves = asked.moves;
        state.asked.retain(|asked| !asked.path.is(path));
        if state.is_current(path) {
            state.proven = true;
        } else if moves {
            state.path = Some(path.clone());
            state.proven = true;
            Counts::add(&self.counts.moved);
        }
        true
    }

    /// The client may speak, by this payload type.
    pub(super) fn take_voice(&self, payload_type: u8) {
        self.state().wanted.take_voice(payload_type);
    }

    /// Hands a datagram of the client to the stack. What is no check comes by the path that the client
    /// has chosen, so that media follows it there though nothing was nominated: behind a NAT that gave
    /// the client another address, the client does not know. Yields the check that asks for it.
    pub(super) fn deliver(
        &self,
        datagram: &[u8],
        path: &Path,
        now: Instant,
    ) -> Option<Transaction> {
        let mut state = self.state();
        if state.wanted.takes(datagram) {
            self.push(&mut state, datagram.to_vec());
        } else {
            Counts::add(&self.counts.unwanted);
        }
        state.earn(path, datagram);
        if state.is_current(path) { None } else { self.ask(&mut state, path, true, now) }
    }

    /// Shows the stack a check of its peer that nominates.
    fn nominate(&self, state: &mut State) {
        let check = Check {
            asked: &self.ours.ufrag,
            asking: &self.theirs.ufrag,
            password: &self.ours.password,
            controlling: true,
            nominates: true,
        };
        let Some(transaction) = transaction() else { return };
        if let Some(check) = sign::request(&check, &transaction, self.crypto.crypto()) {
            self.push(state, check);
        }
    }

    fn push(&self, state: &mut State, datagram: Vec<u8>) {
        let bytes = state.waiting_bytes + datagram.len();
        if state.waiting.len() >= MAX_WAITING || bytes > MAX_WAITING_BYTES {
            Counts::add(&self.counts.dropped);
            return;
        }
        state.waiting_bytes = bytes;
        state.waiting.push_back(datagram);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// What the stack's agent sends. Its answers are swallowed, since the port has answered; its first
    /// check is answered here, and those after it ask the client for its consent.
    pub(super) fn stun_of_stack(&self, datagram: &[u8]) {
        let Some(stun::Message::Request(request)) = stun::read(datagram) else { return };
        let mut state = self.state();
        match state.ice {
            Ice::Waiting => {}
            Ice::Nominating => {
                let (transaction, password) = (&request.transaction, &self.theirs.password);
                let answer = sign::success(transaction, PEER, password, self.crypto.crypto());
                let Some(answer) = answer else { return };
                self.push(&mut state, answer);
                // The stack takes a nomination only on a pair that it has checked.
                self.nominate(&mut state);
                state.ice = Ice::Up;
            }
            Ice::Up => {
                let path = state.path.clone();
                drop(state);
                if let Some(path) = path {
                    path.send_now(datagram);
                }
            }
        }
    }

    /// Where so many bytes of media may go now.
    pub(super) fn way(&self, bytes: usize) -> Option<Path> {
        let mut state = self.state();
        if !state.proven {
            let left = state.credit.checked_sub(bytes);
            let Some(left) = left else {
                Counts::add(&self.counts.dropped);
                return None;
            };
            state.credit = left;
        }
        state.path.clone()
    }

    /// Moves datagrams that wait into the stack's buffers.
    pub(super) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<usize> {
        let mut state = self.state();
        let mut count = 0;
        for (buf, meta) in bufs.iter_mut().zip(meta) {
            let Some(datagram) = state.waiting.pop_front() else { break };
            state.waiting_bytes -= datagram.len();
            // Longer ones were left out when they came in.
            let length = datagram.len().min(buf.len());
            buf[..length].copy_from_slice(&datagram[..length]);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (PEER, length, length);
            count += 1;
        }
        if count == 0 {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(count)
    }

    /// The session gave its share back.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
        let mut state = self.state();
        state.path = None;
        state.asked.clear();
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) {
        // The sender lives in `self`.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}

impl State {
    fn is_current(&self, path: &Path) -> bool {
        self.path.as_ref().is_some_and(|current| current.is(path))
    }

    /// Something came by a path.
    fn earn(&mut self, path: &Path, datagram: &[u8]) {
        if !self.proven && self.is_current(path) {
            self.credit = self.credit.saturating_add(UNPROVEN * datagram.len());
        }
    }
}

fn transaction() -> Option<Transaction> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).ok()?;
    Some(random)
}

#[cfg(test)]
#[path = "leg_tests.rs"]
mod tests;
