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
//! foreign address moves nothing.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rtc::crypto::RTCCryptoProvider;
use tokio::sync::watch;
use webrtc::runtime::RecvMeta;

use super::path::Path;
use super::sign::{self, Check};
use super::stun::{self, Request, Transaction};
use crate::webrtc::offer::IceCredentials;

/// The peer that the stack is shown, whatever the client's address is.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Datagrams that wait for the stack. It reads them as they come; when it does not, the newest are
/// dropped and counted, as a full socket buffer would.
const MAX_WAITING: usize = 256;
/// Bytes of them.
const MAX_WAITING_BYTES: usize = 256 * 1024;

/// What a port counted since it was opened.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) unroutable: AtomicU64,
    pub(super) forged: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) moved: AtomicU64,
    pub(super) tcp_refused: AtomicU64,
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
    /// A path that media may have to take, and our check of it.
    tried: Option<(Transaction, Path)>,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    reader: Option<Waker>,
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
            tried: None,
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

    /// Answers a check; whether the client sent it. What it did not send changes nothing.
    pub(super) fn checked(&self, request: &Request<'_>, datagram: &[u8], path: &Path) -> bool {
        let crypto = self.crypto.crypto();
        if request.asking != self.theirs.ufrag.as_bytes()
            || !sign::is_signed(datagram, &self.ours.password, crypto)
        {
            Counts::add(&self.counts.forged);
            return false;
        }
        let from = path.remote();
        if let Some(answer) = sign::success(&request.transaction, from, &self.ours.password, crypto)
        {
            path.send_now(&answer);
        }
        let mut state = self.state();
        match &state.path {
            None => {
                state.path = Some(path.clone());
                state.ice = Ice::Nominating;
                self.nominate(&mut state);
            }
            // Tells the stack that the client is there.
            Some(current) if current.is(path) => {
                if state.ice == Ice::Up {
                    self.nominate(&mut state);
                }
            }
            Some(_) => {
                let tried = state.tried.as_ref().is_some_and(|(_, tried)| tried.is(path));
                drop(state);
                // The client repeats its checks, and with them goes what may have been lost of ours.
                if request.nominates || tried {
                    self.try_path(path);
                }
            }
        }
        true
    }

    /// Asks whether the client really is where it wants media to go.
    fn try_path(&self, path: &Path) {
        let check = Check {
            asked: &self.theirs.ufrag,
            asking: &self.ours.ufrag,
            password: &self.theirs.password,
            controlling: false,
            nominates: false,
        };
        let Some(transaction) = transaction() else { return };
        let Some(check) = sign::request(&check, &transaction, self.crypto.crypto()) else { return };
        self.state().tried = Some((transaction, path.clone()));
        path.send_now(&check);
    }

    /// A response to a check of ours, or to one of the stack's.
    pub(super) fn answered(
        &self,
        transaction: Transaction,
        success: bool,
        datagram: &[u8],
        path: &Path,
    ) {
        let mut state = self.state();
        match &state.tried {
            Some((asked, tried)) if *asked == transaction => {
                let sound = success
                    && tried.is(path)
                    && sign::is_signed(datagram, &self.theirs.password, self.crypto.crypto());
                if sound {
                    state.tried = None;
                    state.path = Some(path.clone());
                    Counts::add(&self.counts.moved);
                } else {
                    Counts::add(&self.counts.forged);
                }
            }
            _ => self.push(&mut state, datagram.to_vec()),
        }
    }

    /// Hands a datagram of the client to the stack. What is no check comes by the path that the client
    /// has chosen, so that media follows it there though nothing was nominated: behind a NAT that gave
    /// the client another address, the client does not know.
    pub(super) fn deliver(&self, datagram: &[u8], path: &Path) {
        let mut state = self.state();
        self.push(&mut state, datagram.to_vec());
        let is = |other: &Path| other.is(path);
        let tried = state.tried.as_ref().is_some_and(|(_, tried)| is(tried));
        if !tried && !state.path.as_ref().is_some_and(is) {
            drop(state);
            self.try_path(path);
        }
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

    pub(super) fn path(&self) -> Option<Path> {
        self.state().path.clone()
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
        (state.path, state.tried) = (None, None);
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) {
        // The sender lives in `self`.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}

fn transaction() -> Option<Transaction> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).ok()?;
    Some(random)
}
