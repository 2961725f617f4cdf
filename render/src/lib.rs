//! Draws scenes with wgpu on Vulkan, headless, and yields frames in the encoder's pixel format; captured pictures, too.
//!
//! A renderer is a function (scene, views, time, size, region) → image: it knows no session, no clock
//! and no network. Only [`source`](crate::scene) adapters know input. Used wrongly (a frame kept
//! for ever) the ring of read-back slots runs dry and the source reports that no slot is free.

pub mod camera;
pub mod captured;
pub mod demo;
pub mod device;
pub mod draw;
pub mod export;
pub mod picture;
pub mod readback;
pub mod resolution;
pub mod scene;
pub mod source;
