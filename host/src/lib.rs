//! Hosts games: each in a sandbox with a display and a sound server of its own.
//!
//! What comes out of a sandbox (files, what its X server says, sound) is the game's, and never trusted. This crate
//! must never know an encoder, a transport, HTTP or an async runtime: it makes pictures and sound and takes input by
//! the seams of `media`, on threads of its own.

mod beneath;
pub mod catalogue;
pub mod confine;
pub mod devices;
pub mod display;
pub mod exchange;
pub mod gamepads;
mod graphics;
pub mod home;
pub mod saves;
mod seam;
pub mod sound;

pub use seam::{Game, Host, Offers};

/// A text of others as it is shown in messages: quoted, and not at any length.
fn shown(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{:?}…", &text[..at]),
        None => format!("{text:?}"),
    }
}
