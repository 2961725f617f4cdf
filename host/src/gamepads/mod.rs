//! Gamepads of a hosted game, without privileges: sockets in a folder that the game sees as `/dev/input`.
//!
//! ```text
//!  network task ── state ──▶ GamepadSink ── struct input_event ──▶ socket ──▶ library in the game: a device
//!  driver ◀── rumble ── thread ◀── effects, plays ─────────────── socket ◀── ioctl, write
//! ```
//!
//! A gamepad that is plugged in is two sockets, `event0` and `js0` (for programs of before `evdev`); plugged out, they
//! are gone, which programs are told by `inotify`. The library `nearlight-joystick`, which the game is started with,
//! makes devices of them. Where the kernel can make them ([`devices`](crate::devices)), these are not used.
//!
//! Nothing waits for a game: where it does not read, what it misses is left out, and it is told how the gamepad is
//! when it reads again. What comes from it is bounded and never trusted.

#[path = "../../shim/src/device.rs"]
pub(crate) mod device;
mod events;
mod force;
mod server;

pub(crate) use events::{Interface, Stamp};
pub use server::{GamepadServer, GamepadSink, RumbleFn};
