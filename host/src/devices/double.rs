//! A double of `/dev/uinput` and `/dev/uhid`, for machines that have neither: writes down each call, answers as it is told.
//! [`KernelDouble`] has as many nodes as are opened, and shows what was made by them as a kernel does.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};

use super::kernel::Kernel;
use super::node::{Argument, Node};

/// An `ioctl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Plain(u32),
    Number(u32, i32),
    Structure(u32, Vec<u8>),
}

type Answer = Box<dyn Fn(&mut [u8]) + Send>;
/// What the kernel says when something is written.
type Hears = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>> + Send>;

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    answers: HashMap<u32, Answer>,
    written: Vec<Vec<u8>>,
    hears: Option<Hears>,
    said: VecDeque<Vec<u8>>,
    refuses: bool,
    fails_at: Option<usize>,
}

/// See the module. Clones are the same node.
#[derive(Clone)]
pub struct NodeDouble {
    state: Arc<Mutex<State>>,
    /// Readable while there is something to be read.
    speaks: Arc<OwnedFd>,
}

impl Default for NodeDouble {
    fn default() -> Self {
        let speaks = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
        Self { state: Arc::default(), speaks: Arc::new(speaks) }
    }
}

impl NodeDouble {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    pub fn calls(&self) -> Vec<Call> {
        self.with(|state| state.calls.clone())
    }

    pub fn written(&self) -> Vec<Vec<u8>> {
        self.with(|state| state.written.clone())
    }

    /// What the kernel writes into the structure of this request.
    pub fn answer(&self, request: u32, answer: impl Fn(&mut [u8]) + Send + 'static) {
        self.with(|state| state.answers.insert(request, Box::new(answer)));
    }

    fn hear(&self, hears: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) {
        self.with(|state| state.hears = Some(Box::new(hears)));
    }

    /// What is read next.
    pub fn say(&self, event: &[u8]) {
        self.with(|state| state.said.push_back(event.to_vec()));
        rustix::io::write(&self.speaks, &1_u64.to_ne_bytes()).unwrap();
    }

    pub fn refuse_writes(&self, refuses: bool) {
        self.with(|state| state.refuses = refuses);
    }

    /// The call of this number, and what follows, is refused.
    pub fn fail_at(&self, number: usize) {
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
        let said = self.with(|state| {
            if state.refuses {
                return Err(io::Error::from(io::ErrorKind::WouldBlock));
            }
            state.written.push(event.to_vec());
            Ok(state.hears.as_mut().map(|hears| hears(event)))
        })?;
        said.into_iter().flatten().for_each(|event| self.say(&event));
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let said = self.with(|state| {
            let said = state.said.pop_front();
            if state.said.is_empty() {
                // Whatever was counted.
                let _ = rustix::io::read(&self.speaks, &mut [0_u8; 8]);
            }
            said
        });
        Ok(said.map(|event| {
            let length = event.len().min(into.len());
            into[..length].copy_from_slice(&event[..length]);
            length
        }))
    }

    fn readable(&self) -> BorrowedFd<'_> {
        self.speaks.as_fd()
    }
}

/// A node that is open.
struct Opened(NodeDouble, Arc<AtomicUsize>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Node for Opened {
    fn control(&mut self, request: u32, argument: Argument<'_>) -> io::Result<()> {
        self.0.control(request, argument)
    }

    fn write(&mut self, event: &[u8]) -> io::Result<()> {
        self.0.write(event)
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        self.0.read(into)
    }

    fn readable(&self) -> BorrowedFd<'_> {
        self.0.readable()
    }
}

/// `UI_GET_SYSNAME` for a name of 64 bytes.
const UI_GET_SYSNAME: u32 = 0x8040_552c;
/// The device numbers that stand for event, joystick and raw nodes: `null`, `zero` and `full`, which a program can open.
pub const STAND_INS: [&str; 3] = ["1:3", "1:5", "1:7"];

/// A kernel without either node. Clones are the same one.
#[derive(Clone)]
pub struct KernelDouble(Arc<Kept>);

struct Kept {
    sys: tempfile::TempDir,
    nodes: Mutex<Vec<(&'static str, NodeDouble)>>,
    open: Arc<AtomicUsize>,
    devices: AtomicU32,
    refuses: [AtomicBool; 2],
}

impl fmt::Debug for KernelDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KernelDouble")
    }
}

impl Default for KernelDouble {
    fn default() -> Self {
        Self(Arc::new(Kept {
            sys: tempfile::tempdir().unwrap(),
            nodes: Mutex::default(),
            open: Arc::default(),
            devices: AtomicU32::new(1),
            refuses: Default::default(),
        }))
    }
}

fn show(sys: &Path, path: &str, text: &str) {
    let path = sys.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

impl KernelDouble {
    pub fn refuse_uinput(&self, refuses: bool) {
        self.0.refuses[0].store(refuses, Ordering::Release);
    }

    pub fn refuse_uhid(&self, refuses: bool) {
        self.0.refuses[1].store(refuses, Ordering::Release);
    }

    /// How many nodes are open: as many as there are devices.
    pub fn there(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Those that were opened of `/dev/uinput` or `/dev/uhid` and made a device, in order.
    pub fn made_by(&self, name: &str) -> Vec<NodeDouble> {
        let nodes = self.0.nodes.lock().unwrap();
        let made = nodes.iter().filter(|(of, node)| {
            *of == name && !(node.calls().is_empty() && node.written().is_empty())
        });
        made.map(|(_, node)| node.clone()).collect()
    }

    fn opens(&self, name: &'static str, node: NodeDouble) -> Box<dyn Node> {
        self.0.nodes.lock().unwrap().push((name, node.clone()));
        self.0.open.fetch_add(1, Ordering::AcqRel);
        Box::new(Opened(node, self.0.open.clone()))
    }
}

impl Kernel for KernelDouble {
    fn uinput(&self) -> Result<Box<dyn Node>, String> {
        if self.0.refuses[0].load(Ordering::Acquire) {
            return Err("/dev/uinput: the double refuses it".into());
        }
        let node = NodeDouble::default();
        let number = self.0.devices.fetch_add(1, Ordering::Relaxed);
        let sys = self.0.sys.path().to_owned();
        node.answer(UI_GET_SYSNAME, move |into| {
            let name = format!("input{number}");
            show(&sys, &format!("input/{name}/name"), "made by uinput\n");
            show(&sys, &format!("input/{name}/event{number}/dev"), STAND_INS[0]);
            show(&sys, &format!("input/{name}/js{number}/dev"), STAND_INS[1]);
            into[..name.len()].copy_from_slice(name.as_bytes());
        });
        Ok(self.opens("/dev/uinput", node))
    }

    fn uhid(&self) -> Result<Box<dyn Node>, String> {
        if self.0.refuses[1].load(Ordering::Acquire) {
            return Err("/dev/uhid: the double refuses it".into());
        }
        let node = NodeDouble::default();
        let number = self.0.devices.fetch_add(1, Ordering::Relaxed);
        let sys = self.0.sys.path().to_owned();
        let mut unique = String::new();
        let mut asked = [0x09, 0x20, 0x05].into_iter().collect::<VecDeque<u8>>();
        // As `hid-playstation` does: it asks for address, firmware and calibration one after the other, and then shows
        // its devices.
        node.hear(move |event| {
            match event[0] {
                11 => {
                    let text = event[196..260].split(|byte| *byte == 0).next().unwrap();
                    unique = String::from_utf8(text.to_vec()).unwrap();
                }
                10 => assert_eq!(event[8..10], [0, 0], "a question was refused"),
                _ => return Vec::new(),
            }
            if let Some(report) = asked.pop_front() {
                return vec![[9, 0, 0, 0, 1, 0, 0, 0, report, 0].to_vec()];
            }
            let device = format!("misc/uhid/0003:054C:0CE6.{number:04X}");
            show(&sys, &format!("{device}/uevent"), &format!("HID_UNIQ={unique}\n"));
            for (part, name) in ["", " Motion Sensors", " Touchpad"].iter().enumerate() {
                let input = format!("{device}/input/input{number}{part}");
                show(&sys, &format!("{input}/name"), &format!("DualSense{name}\n"));
                show(&sys, &format!("{input}/event{number}{part}/dev"), STAND_INS[0]);
                if part == 0 {
                    show(&sys, &format!("{input}/js{number}/dev"), STAND_INS[1]);
                }
            }
            show(&sys, &format!("{device}/hidraw/hidraw{number}/dev"), STAND_INS[2]);
            Vec::new()
        });
        Ok(self.opens("/dev/uhid", node))
    }

    fn shown(&self) -> &Path {
        self.0.sys.path()
    }
}
