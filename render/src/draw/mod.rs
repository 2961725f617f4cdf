//! The real-time forward renderer: (scene, pose, views, size) → display-ready image.
//!
//! It must never know a session, a clock or input: the caller evaluates the scene's pose for the time
//! that it wants to show and hands it over as [`PoseRef`]. [`Renderer`] (pipelines) and [`SceneGpu`]
//! (geometry, textures, light) are shared by all sessions; a session owns a [`SessionTargets`] and a [`DrawList`].
//!
//! Used wrongly: two draws into the same targets before the first is submitted show the second's
//! uniforms twice; nodes that no animation moves are drawn at rest in the cached shadow map whatever
//! the pose says.
//!
//! Life of a draw: [`DrawList::build`] culls and sorts on the CPU → [`Renderer::draw`] records the
//! shadow pass (moving casters over a cached layer of static ones), the HDR pass per view, the tone map.

mod cull;
mod environment;
mod geometry;
mod lights;
mod list;
mod materials;
mod pipelines;
mod renderer;
mod scene_gpu;
mod shadow;
mod split;
mod staging;
mod surroundings;
mod targets;
mod textures;
mod uniforms;
mod variant;
mod view;

pub use cull::Frustum;
pub use list::{DrawList, DrawStats, PoseRef};
pub use renderer::{DrawError, RenderSettings, Renderer, ToneMap};
pub use scene_gpu::{SceneGpu, UploadError};
pub(crate) use staging::extent;
pub use targets::SessionTargets;
pub use view::{ViewParams, camera_projection, perspective};
