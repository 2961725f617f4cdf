//! A double of `/dev/uinput` and `/dev/uhid`, for machines that have neither: writes down each call, answers as it is told.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

use super::node::{Argument, Node};

/// An `ioctl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Plain(u32),
    Number(u32, i32),
    Structure(u32, Vec<u8>),
}

type Answer = Box<dyn Fn(&mut [u8]) + Send>;

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    answers: HashMap<u32, Answer>,
    written: Vec<Vec<u8>>,
    said: VecDeque<Vec<u8>>,
    refuses: bool,
    fails_at: Option<usize>,
}

/// See the module. Clones are the same node.
#[derive(Clone, Default)]
pub(super) struct NodeDouble(Arc<Mutex<State>>);

impl NodeDouble {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.with(|state| state.calls.clone())
    }

    pub(super) fn written(&self) -> Vec<Vec<u8>> {
        self.with(|state| state.written.clone())
    }

    /// What the kernel writes into the structure of this request.
    pub(super) fn answer(&self, request: u32, answer: impl Fn(&mut [u8]) + Send + 'static) {
        self.with(|state| state.answers.insert(request, Box::new(answer)));
    }

    /// What is read next.
    pub(super) fn say(&self, event: &[u8]) {
        self.with(|state| state.said.push_back(event.to_vec()));
    }

    pub(super) fn refuse_writes(&self, refuses: bool) {
        self.with(|state| state.refuses = refuses);
    }

    /// The call of this number, and what follows, is refused.
    pub(super) fn fail_at(&self, number: usize) {
        self.with(|state| state.fails_at = Some(number));
    }
}

impl Node for NodeDouble {
    fn control(&mut self, request: u32, argument: Argument<'_>) -> io::Result<()> {
        self.with(|state| {
            let fails = state.fails_at.is_some_and(|at| state.calls.len() >= at);
            state.calls.push(match &argument {
                Argument::None => Call::Plain(request),
                Argument::Number(number) => Call::Number(request, *number),
                Argument::Structure(bytes) => {
                    assert_eq!(bytes.len(), (request >> 16 & 0x3fff) as usize, "{request:#x}");
                    Call::Structure(request, bytes.to_vec())
                }
            });
            if fails {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            if let (Argument::Structure(bytes), Some(answer)) =
                (argument, state.answers.get(&request))
            {
                answer(bytes);
            }
            Ok(())
        })
    }

    fn write(&mut self, event: &[u8]) -> io::Result<()> {
        self.with(|state| {
            if state.refuses {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.written.push(event.to_vec());
            Ok(())
        })
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(self.with(|state| state.said.pop_front()).map(|event| {
            let length = event.len().min(into.len());
            into[..length].copy_from_slice(&event[..length]);
            length
        }))
    }
}
