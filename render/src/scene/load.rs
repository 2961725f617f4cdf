//! Loads glTF 2.0 (`.gltf`, `.glb`) into a [`Scene`].
//!
//! A scene file is untrusted. It ends in a checked scene or in a [`SceneError`] that names the object
//! at fault, never in a panic, and never takes more than [`LoadLimits`] allow. What is valid but not
//! shown (morph targets, points and lines, unknown extensions) is said in
//! [`LoadedScene::warnings`]. This module knows no GPU; it opens only files in the scene's folder.
//! Called on a thread that draws, it stalls every session of that thread: load elsewhere.
//!
//! Beyond the standard, two things are read from extras, both optional:
//! `{"nearlight": {"onClick": "<animation name>"}}` of a node, which a click on it then plays once, and
//! `{"nearlight": {"environment": {"zenith": [r, g, b], "horizon": …, "ground": …}}}` of the scene,
//! linear radiance. A file `environment.hdr` or `environment.exr` beside the scene wins over the latter.

mod accessors;
mod animations;
mod container;
mod costs;
mod draco;
mod files;
mod images;
mod materials;
mod meshes;
mod nodes;
mod tangents;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use glam::{Mat4, Vec3};
use gltf::json::extras::RawValue;
use gltf::json::{Root, Value, deserialize};

use self::accessors::Accessors;
use self::container::Container;
use self::files::Files;
use super::bounds::scene_bounds;
use super::error::describe;
use super::limits::Budget;
use super::{
    Environment, LIGHTS_AT_ONCE, LightKind, LoadLimits, OnClick, Pose, Projection, Scene,
    SceneError,
};

/// A scene, and what of its file is not shown.
#[derive(Clone, Debug)]
pub struct LoadedScene {
    /// The scene.
    pub scene: Scene,
    /// One sentence each; at most 100.
    pub warnings: Vec<String>,
}

/// Loads the `.gltf` or `.glb` at `path`, or the only one in the folder `path`.
///
/// # Errors
/// See [`SceneError`].
pub fn load_scene(path: &Path, limits: &LoadLimits) -> Result<LoadedScene, SceneError> {
    let path = scene_file(path)?;
    let files = Files::beside(&path)?;
    let bytes = files::read_file(&path, limits.file_bytes)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    load(&stem, &bytes, &files, limits)
}

/// Loads a scene from the bytes of a `.gltf` or `.glb` that names no other files.
///
/// # Errors
/// See [`SceneError`].
pub fn load_scene_bytes(
    name: &str,
    bytes: &[u8],
    limits: &LoadLimits,
) -> Result<LoadedScene, SceneError> {
    load(name, bytes, &Files::default(), limits)
}

fn scene_file(path: &Path) -> Result<PathBuf, SceneError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let fail = |source| files::io_error(path, source);
    let mut scenes = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        let file = entry.map_err(fail)?.path();
        let extension = file.extension().map(std::ffi::OsStr::to_ascii_lowercase);
        if extension.is_some_and(|extension| extension == "gltf" || extension == "glb") {
            scenes.push(file);
        }
    }
    match <[PathBuf; 1]>::try_from(scenes) {
        Ok([scene]) => Ok(scene),
        Err(scenes) => Err(SceneError::Folder { path: path.to_owned(), found: scenes.len() }),
    }
}

fn load(
    name: &str,
    bytes: &[u8],
    files: &Files,
    limits: &LoadLimits,
) -> Result<LoadedScene, SceneError> {
    let warnings = Warnings::default();
    let budget = Budget::new(*limits);
    budget.memory("the file", bytes.len() as u64, 1)?;
    let container = container::split(bytes)?;
    let mut root = container::parse(container.json, &budget, |warning| warnings.add(warning))?;
    // The graph first: it is cheap, and hostile files are often cyclic.
    let nodes = nodes::load(&root, &warnings)?;
    let mut buffers = buffers(&root, &container, files, &budget)?;
    draco::unpack(&mut root, &mut buffers, &budget)?;
    let accessors = Accessors { root: &root, buffers, budget: &budget };
    let materials = materials::load(&accessors, files, &warnings)?;
    let meshes = meshes::load(&accessors, &materials.materials, &warnings)?;
    let mut scene = Scene {
        name: scene_name(&root).unwrap_or(name).to_owned(),
        nodes: nodes.nodes,
        meshes,
        materials: materials.materials,
        textures: materials.textures,
        images: materials.images,
        lights: nodes::lights(&root)?,
        cameras: nodes::cameras(&root)?,
        skins: nodes::skins(&accessors, &nodes.place)?,
        animations: animations::load(&accessors, &nodes.place, &warnings)?,
        environment: environment(&root, files, &budget, &warnings)?,
        ..Scene::default()
    };
    remark(&scene, &warnings);
    link_clicks(&mut scene, &nodes.on_click, &warnings);
    check_skins(&mut scene, &nodes.order, &warnings)?;
    costs::check_costs(&scene, limits)?;
    set_bounds(&mut scene, &nodes.order)?;
    Ok(LoadedScene { scene, warnings: warnings.0.into_inner() })
}

fn buffers<'a>(
    root: &Root,
    container: &Container<'a>,
    files: &Files,
    budget: &Budget,
) -> Result<Vec<Cow<'a, [u8]>>, SceneError> {
    let mut buffers = Vec::with_capacity(root.buffers.len());
    for (index, buffer) in root.buffers.iter().enumerate() {
        let what = describe("buffer", index, buffer.name.as_deref());
        let bytes = match (&buffer.uri, container.binary) {
            (Some(uri), _) => {
                let bytes = files.read_uri(&what, uri, budget.limits())?;
                budget.memory(&what, bytes.len() as u64, 1)?;
                Cow::Owned(bytes)
            }
            (None, Some(binary)) if index == 0 => Cow::Borrowed(binary),
            (None, _) => {
                return Err(SceneError::invalid(what, "has neither a URI nor a binary chunk"));
            }
        };
        let declared = buffer.byte_length.0;
        if (bytes.len() as u64) < declared {
            let why = format!("has {} bytes where {declared} are declared", bytes.len());
            return Err(SceneError::invalid(what, why));
        }
        buffers.push(bytes);
    }
    Ok(buffers)
}

fn scene_name(root: &Root) -> Option<&str> {
    let scene = root.scene.and_then(|scene| root.get(scene)).or(root.scenes.first())?;
    // What exporters write where nobody chose a name.
    scene.name.as_deref().filter(|name| !matches!(*name, "" | "Scene" | "scene" | "AuxScene"))
}

/// What a file says to us in extras.
fn our_extras(extras: &RawValue) -> Option<Value> {
    let extras: Value = deserialize::from_str(extras.get()).ok()?;
    extras.get("nearlight").cloned()
}

fn environment(
    root: &Root,
    files: &Files,
    budget: &Budget,
    warnings: &Warnings,
) -> Result<Environment, SceneError> {
    if let Some(picture) = images::environment(files, budget)? {
        return Ok(picture);
    }
    let sky = root
        .scene
        .and_then(|scene| root.get(scene))
        .or(root.scenes.first())
        .and_then(|scene| our_extras(scene.extras.as_deref()?)?.get("environment").cloned());
    let Some(sky) = sky else { return Ok(Environment::default()) };
    let color = |key: &str| -> Option<Vec3> {
        let color: [f32; 3] = deserialize::from_value(sky.get(key)?.clone()).ok()?;
        let color = Vec3::from_array(color);
        (color.is_finite() && color.min_element() >= 0.0).then_some(color)
    };
    match (color("zenith"), color("horizon"), color("ground")) {
        (Some(zenith), Some(horizon), Some(ground)) => {
            Ok(Environment::Sky { zenith, horizon, ground })
        }
        _ => {
            warnings.add("nearlight.environment needs zenith, horizon and ground colours".into());
            Ok(Environment::default())
        }
    }
}

/// Says what of the scene's lights and cameras a player does not get.
fn remark(scene: &Scene, warnings: &Warnings) {
    let mut shown: Vec<LightKind> =
        scene.nodes.iter().filter_map(|node| Some(scene.lights.get(node.light?)?.kind)).collect();
    if let Some(sun) = shown.iter().position(|kind| *kind == LightKind::Directional) {
        shown.remove(sun);
    }
    if shown.len() > LIGHTS_AT_ONCE {
        warnings.add(format!(
            "beside the sun there are {} lights, of which a picture has the {LIGHTS_AT_ONCE} that matter most",
            shown.len()
        ));
    }
    // The player starts at the first one and walks on from there.
    let Some((node, camera)) =
        scene.nodes.iter().enumerate().find_map(|(i, n)| Some((i, n.camera?)))
    else {
        return;
    };
    if matches!(scene.cameras[camera].projection, Projection::Orthographic { .. }) {
        warnings.add("the first camera is orthographic; the view is in perspective".into());
    }
    let up = |node: &usize| scene.nodes[*node].parent;
    let line: HashSet<usize> = std::iter::successors(Some(node), up).collect();
    let mut channels = scene.animations.iter().flat_map(|animation| &animation.channels);
    if channels.any(|channel| line.contains(&channel.node)) {
        warnings.add("an animation moves the first camera; the view only starts there".into());
    }
}

/// An animation that a click plays waits for that click; all others loop.
fn link_clicks(scene: &mut Scene, on_click: &[(usize, String)], warnings: &Warnings) {
    for (node, name) in on_click {
        match scene.animations.iter().position(|animation| animation.name == *name) {
            Some(index) => {
                scene.animations[index].looped = false;
                scene.nodes[*node].on_click = Some(OnClick::Play(index));
            }
            None => warnings.add(format!(
                "a click on node {:?} would play {:?}, which does not exist",
                super::error::shorten(&scene.nodes[*node].name),
                super::error::shorten(name)
            )),
        }
    }
}

/// Every joint that a vertex names exists in the skin of every node that shows the mesh.
fn check_skins(scene: &mut Scene, order: &[usize], warnings: &Warnings) -> Result<(), SceneError> {
    let greatest: Vec<Option<u16>> = scene
        .meshes
        .iter()
        .map(|mesh| {
            let influences = mesh.primitives.iter().filter_map(|part| part.influences.as_ref());
            influences.flatten().flat_map(|influence| influence.joints).max()
        })
        .collect();
    for (node, &index) in scene.nodes.iter_mut().zip(order) {
        let (Some(mesh), Some(skin)) = (node.mesh, node.skin) else { continue };
        let what = || describe("node", index, Some(&node.name));
        let joints = scene.skins[skin].joints.len();
        match greatest[mesh] {
            None => {
                warnings.add(format!("{} has a skin but its mesh has no joints", what()));
                node.skin = None;
            }
            Some(joint) if usize::from(joint) >= joints => {
                let why = format!("uses joint {joint} of skin {skin}, which has {joints}");
                return Err(SceneError::invalid(what(), why));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Finite inputs may still overflow when they are multiplied.
fn set_bounds(scene: &mut Scene, order: &[usize]) -> Result<(), SceneError> {
    let pose = Pose::new(scene);
    if let Some(place) = pose.world.iter().position(|matrix| !matrix.is_finite()) {
        let what = describe("node", order[place], Some(&scene.nodes[place].name));
        return Err(SceneError::NotFinite { what: format!("the world matrix of {what}") });
    }
    let bounds = scene_bounds(scene, &pose);
    let finite = bounds.min.is_finite() && bounds.max.is_finite();
    if !(finite || bounds.is_empty()) || !pose.joint_matrices.iter().all(Mat4::is_finite) {
        return Err(SceneError::NotFinite { what: "the size of the scene".into() });
    }
    scene.bounds = bounds;
    Ok(())
}

fn mesh_name(root: &Root, index: usize) -> String {
    describe("mesh", index, root.meshes.get(index).and_then(|mesh| mesh.name.as_deref()))
}

fn node_name(root: &Root, index: usize) -> String {
    describe("node", index, root.nodes.get(index).and_then(|node| node.name.as_deref()))
}

/// Collects warnings, each once.
#[derive(Debug, Default)]
struct Warnings(RefCell<Vec<String>>);

impl Warnings {
    /// Drops what comes after the hundredth, and says so.
    fn add(&self, warning: String) {
        const MOST: usize = 100;
        let mut warnings = self.0.borrow_mut();
        if warnings.len() + 1 == MOST {
            warnings.push("there are more warnings than are shown".to_owned());
        }
        if warnings.len() < MOST && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}
