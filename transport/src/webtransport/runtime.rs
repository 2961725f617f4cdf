//! What QUIC's tasks run on: tokio, except that a task which wakes itself goes on at once.
//!
//! They wake themselves where they leave something for another turn. The one that reads the socket allows itself 50 µs a
//! turn, so on a busy machine it does that after every datagram. tokio puts a task that was woken while it ran behind all
//! others and wakes another thread to look for it: that was two of three wakes of threads.

use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use futures::task::AtomicWaker;
use wtransport::quinn::{self, AsyncTimer, AsyncUdpSocket, TokioRuntime};

/// Turns that a task has one after another; then others have theirs.
const TURNS: usize = 4;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Runtime;

impl quinn::Runtime for Runtime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, task: Task) {
        tokio::spawn(GoesOn::new(task));
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// A task that goes on at once where it was woken while it ran.
struct GoesOn {
    task: Task,
    own: Arc<Own>,
    waker: Waker,
}

impl GoesOn {
    fn new(task: Task) -> Self {
        let own = Arc::new(Own { state: AtomicU8::new(RESTS), outer: AtomicWaker::new() });
        Self { task, waker: own.clone().into(), own }
    }
}

impl Future for GoesOn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { task, own, waker } = &mut *self;
        own.outer.register(cx.waker());
        for _ in 0..TURNS {
            own.state.store(RUNS, Ordering::Release);
            if task.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
                return Poll::Ready(());
            }
            if own.state.swap(RESTS, Ordering::AcqRel) == RUNS {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

const RESTS: u8 = 0;
const RUNS: u8 = 1;
const WOKEN: u8 = 2;

/// The waker that the task is shown.
struct Own {
    state: AtomicU8,
    outer: AtomicWaker,
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let runs = |state: u8| (state != RESTS).then_some(WOKEN);
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, runs).is_err() {
            self.outer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// How often the runtime was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes itself so many times, and is done with the turn after. Turns so far, whether it is done, and how often the
    /// runtime was woken after one poll.
    fn poll_one_that_wakes_itself(times: usize) -> (usize, bool, usize) {
        let turns = Arc::<AtomicUsize>::default();
        let counted = turns.clone();
        let task = std::future::poll_fn(move |cx| {
            if counted.fetch_add(1, Ordering::Relaxed) == times {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let woken = Arc::<Woken>::default();
        let waker = woken.clone().into();
        let mut task = GoesOn::new(Box::pin(task));
        let done = Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_ready();
        (turns.load(Ordering::Relaxed), done, woken.0.load(Ordering::Relaxed))
    }

    #[test]
    fn a_task_that_wakes_itself_goes_on_at_once_but_not_for_long() {
        assert_eq!(poll_one_that_wakes_itself(TURNS - 1), (TURNS, true, 0));
        assert_eq!(poll_one_that_wakes_itself(TURNS), (TURNS, false, 1));
    }

    #[test]
    fn one_that_rests_is_woken_through_the_runtime() {
        let its = Arc::<Mutex<Option<Waker>>>::default();
        let kept = its.clone();
        let task = std::future::poll_fn(move |cx| {
            *kept.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        });
        let woken = Arc::<Woken>::default();
        let waker = woken.clone().into();
        let mut task = GoesOn::new(Box::pin(task));
        for times in 1..=2 {
            let cx = &mut Context::from_waker(&waker);
            assert!(Pin::new(&mut task).poll(cx).is_pending());
            its.lock().unwrap().take().unwrap().wake();
            assert_eq!(woken.0.load(Ordering::Relaxed), times);
        }
    }
}
