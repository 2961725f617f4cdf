//! Devices that the kernel makes for a game: gamepads with rumble and pen tablets by `uinput`, a DualSense by `uhid`.
//!
//! ```text
//!  state ──▶ VirtualPad, VirtualPen, VirtualDualSense ── events, reports ──▶ Node (/dev/uinput, /dev/uhid) ──▶ kernel
//!  what the game wants ◀── poll() ◀──────── effects, output reports ◀────── Node
//! ```
//!
//! The layouts are those of `linux/uinput.h`, `linux/input.h` and `linux/uhid.h`. A device is there for as long as its
//! value: the kernel takes it away when the node is closed. Nothing waits: nodes are opened without blocking, and whoever
//! has a device polls it. A [`DeviceServer`] has those of one session, and puts what the kernel shows of them into the
//! [`DeviceFolder`] that is the `/dev/input` of its sandbox alone, under names of its own: `event0` to `event3` and `js0` to
//! `js3` by gamepad, a DualSense's motion four and its touchpad eight further, `hidraw0` to `hidraw3`, and the pen's `event12`.
//!
//! No kernel has seen these: where they were written there was neither node. The tests use a double of the kernel, which
//! checks every call and its order.

#[cfg(test)]
#[allow(dead_code, unreachable_pub, reason = "the tests of other crates take it in, too")]
mod double;
mod dualsense;
mod folder;
mod found;
mod kernel;
mod node;
mod server;
mod uhid;
mod uinput;

pub use dualsense::{DualSenseState, Orders};
pub use folder::DeviceFolder;
pub(crate) use folder::Mounted;
pub use found::DevicesFound;
pub(crate) use found::find;
pub use kernel::{Kernel, Machine};
pub use node::{Argument, DeviceFile, Node};
pub use server::{Asked, AskedFn, DeviceServer, DeviceSink};
pub use uhid::{VirtualDualSense, Wanted};
pub use uinput::{Feedback, VirtualPad, VirtualPen};
