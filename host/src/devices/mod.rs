//! Devices that the kernel makes for a game: gamepads with rumble and pen tablets by `uinput`, a DualSense by `uhid`.
//!
//! ```text
//!  state ──▶ VirtualPad, VirtualPen, VirtualDualSense ── events, reports ──▶ Node (/dev/uinput, /dev/uhid) ──▶ kernel
//!  what the game wants ◀── poll() ◀──────── effects, output reports ◀────── Node
//! ```
//!
//! The layouts are those of `linux/uinput.h`, `linux/input.h` and `linux/uhid.h`. A device is there for as long as its
//! value: the kernel takes it away when the node is closed. Nothing waits: nodes are opened without blocking, and whoever
//! has a device polls it. Its file in `/dev/input` is handed to one sandbox only (`confine::Spec::devices`).
//!
//! No kernel has seen these: where they were written there was neither node. The tests use a double of the node, which
//! checks every call and its order.

#[cfg(test)]
mod double;
mod dualsense;
mod node;
mod uhid;
mod uinput;

pub use dualsense::{DualSenseState, Orders};
pub use node::{Argument, DeviceFile, Node};
pub use uhid::{VirtualDualSense, Wanted};
pub use uinput::{Feedback, VirtualPad, VirtualPen};
