//! The node graph: checked to be a forest, ordered so that parents come first.

use glam::{Mat4, Quat, Vec3};
use gltf::json::camera::Type as CameraType;
use gltf::json::extensions::scene::khr_lights_punctual::{Light as JsonLight, Type as LightType};
use gltf::json::validation::Checked;
use gltf::json::{Index, Node as JsonNode, Root, Value};

use super::super::error::describe;
use super::super::{Camera, Light, LightKind, Node, Projection, SceneError, Skin, Transform};
use super::accessors::{Accessors, Integers};
use super::{Warnings, node_name};

/// The nodes of a file in drawing order.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) nodes: Vec<Node>,
    /// Place of each node of the file.
    pub(super) place: Vec<usize>,
    /// Which node of the file stands at each place.
    pub(super) order: Vec<usize>,
    /// Names of the animations that clicks play, by place.
    pub(super) on_click: Vec<(usize, String)>,
}

/// Loads the nodes. Those outside the default scene stay, for skins may use them, but show nothing.
pub(super) fn load(root: &Root, warnings: &Warnings) -> Result<Nodes, SceneError> {
    let parents = parents(root)?;
    let order = order(root, &parents)?;
    let mut place = vec![0; order.len()];
    for (at, &index) in order.iter().enumerate() {
        place[index] = at;
    }
    let shown = shown(root, &parents, &order, warnings);
    let mut nodes = Vec::with_capacity(order.len());
    let mut on_click = Vec::new();
    for &index in &order {
        let source = &root.nodes[index];
        if let Some(name) = click_animation(root, index, warnings) {
            on_click.push((nodes.len(), name));
        }
        let mut node = Node {
            name: source.name.clone().unwrap_or_default(),
            parent: parents[index].map(|parent| place[parent]),
            rest: transform(root, index, warnings)?,
            ..Node::default()
        };
        if shown[index] {
            node.mesh = source.mesh.map(|mesh| mesh.value());
            node.skin = source.skin.filter(|_| source.mesh.is_some()).map(|skin| skin.value());
            node.camera = source.camera.map(|camera| camera.value());
            node.light = source
                .extensions
                .as_ref()
                .and_then(|extensions| extensions.khr_lights_punctual.as_ref())
                .map(|light| light.light.value());
        }
        nodes.push(node);
    }
    Ok(Nodes { nodes, place, order, on_click })
}

fn parents(root: &Root) -> Result<Vec<Option<usize>>, SceneError> {
    let mut parents = vec![None; root.nodes.len()];
    for (index, node) in root.nodes.iter().enumerate() {
        for child in node.children.iter().flatten().map(Index::value) {
            let parent: &mut Option<usize> = parents.get_mut(child).ok_or_else(|| {
                let why = format!("has node {child} as a child, which does not exist");
                SceneError::invalid(node_name(root, index), why)
            })?;
            if let Some(other) = parent {
                let why = format!("has two parents, nodes {other} and {index}");
                return Err(SceneError::invalid(node_name(root, child), why));
            }
            *parent = Some(index);
        }
    }
    Ok(parents)
}

/// Depth first, so that what belongs together lies together. A node that no root leads to is on a
/// cycle, since it has one parent.
fn order(root: &Root, parents: &[Option<usize>]) -> Result<Vec<usize>, SceneError> {
    let mut order = Vec::with_capacity(parents.len());
    let mut seen = vec![false; parents.len()];
    let mut stack = Vec::new();
    for first in (0..parents.len()).filter(|&index| parents[index].is_none()) {
        stack.push(first);
        while let Some(index) = stack.pop() {
            seen[index] = true;
            order.push(index);
            let children = root.nodes[index].children.iter().flatten().rev();
            stack.extend(children.map(Index::value));
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(index) => Err(SceneError::invalid(
            node_name(root, index),
            "is its own ancestor: the node graph has a cycle",
        )),
        None => Ok(order),
    }
}

/// Which nodes the default scene shows.
fn shown(
    root: &Root,
    parents: &[Option<usize>],
    order: &[usize],
    warnings: &Warnings,
) -> Vec<bool> {
    let mut shown = vec![false; parents.len()];
    match root.scene.and_then(|scene| root.get(scene)).or(root.scenes.first()) {
        Some(scene) => {
            for node in &scene.nodes {
                if let Some(slot) = shown.get_mut(node.value()) {
                    *slot = true;
                }
            }
        }
        None => {
            warnings.add("the file has no scene; all its nodes are shown".into());
            shown.fill(true);
        }
    }
    for &index in order {
        shown[index] |= parents[index].is_some_and(|parent| shown[parent]);
    }
    shown
}

fn transform(root: &Root, index: usize, warnings: &Warnings) -> Result<Transform, SceneError> {
    let node: &JsonNode = &root.nodes[index];
    let not_finite = |part: &str| SceneError::NotFinite {
        what: format!("the {part} of {}", node_name(root, index)),
    };
    if let Some(columns) = &node.matrix {
        let matrix = Mat4::from_cols_array(columns);
        if !matrix.is_finite() {
            return Err(not_finite("matrix"));
        }
        let (scale, rotation, translation) = matrix.to_scale_rotation_translation();
        let rotation = if rotation.is_finite() { rotation.normalize() } else { Quat::IDENTITY };
        if !scale.is_finite() {
            return Err(not_finite("matrix"));
        }
        let transform = Transform { translation, rotation, scale };
        if !transform.matrix().abs_diff_eq(matrix, 1e-3 * scale.abs().max_element().max(1.0)) {
            warnings.add(format!(
                "the matrix of {} is more than translation, rotation and scale; the rest is lost",
                node_name(root, index)
            ));
        }
        return Ok(transform);
    }
    let mut transform = Transform::default();
    if let Some(translation) = node.translation {
        transform.translation = Vec3::from_array(translation);
    }
    if let Some(scale) = node.scale {
        transform.scale = Vec3::from_array(scale);
    }
    if let Some(rotation) = node.rotation {
        transform.rotation = Quat::from_array(rotation.0);
    }
    if !transform.translation.is_finite() {
        return Err(not_finite("translation"));
    }
    if !transform.scale.is_finite() {
        return Err(not_finite("scale"));
    }
    transform.rotation = unit(transform.rotation).ok_or_else(|| not_finite("unit rotation"))?;
    Ok(transform)
}

/// A quaternion of length one; none when it has no direction.
pub(super) fn unit(quaternion: Quat) -> Option<Quat> {
    let length = quaternion.length();
    (length.is_finite() && length > 1e-12).then(|| quaternion * length.recip())
}

/// `{"nearlight": {"onClick": "<animation>"}}` in the node's extras.
fn click_animation(root: &Root, index: usize, warnings: &Warnings) -> Option<String> {
    let ours = super::our_extras(root.nodes[index].extras.as_deref()?)?;
    match ours.get("onClick")? {
        Value::String(name) => Some(name.clone()),
        _ => {
            let node = node_name(root, index);
            warnings.add(format!("nearlight.onClick of {node} is not the name of an animation"));
            None
        }
    }
}

/// `KHR_lights_punctual`.
pub(super) fn lights(root: &Root) -> Result<Vec<Light>, SceneError> {
    let sources: &[JsonLight] = root.as_ref();
    sources
        .iter()
        .enumerate()
        .map(|(index, source)| {
            let what = describe("light", index, source.name.as_deref());
            light(source, &what)
        })
        .collect()
}

fn light(source: &JsonLight, what: &str) -> Result<Light, SceneError> {
    let spot = source.spot.clone().unwrap_or_default();
    let (inner, outer) = (spot.inner_cone_angle, spot.outer_cone_angle);
    let color = Vec3::from_array(source.color);
    let range = source.range.unwrap_or(f32::MAX);
    let numbers = [source.intensity, range, inner, outer];
    if !(color.is_finite() && numbers.iter().all(|number| number.is_finite())) {
        return Err(SceneError::NotFinite { what: format!("a property of {what}") });
    }
    let kind = match source.type_ {
        Checked::Valid(LightType::Directional) => LightKind::Directional,
        Checked::Valid(LightType::Point) => LightKind::Point,
        Checked::Valid(LightType::Spot) => {
            if !(0.0 <= inner && inner < outer && outer <= std::f32::consts::FRAC_PI_2 + 1e-5) {
                let why = format!("has cone angles {inner} and {outer}");
                return Err(SceneError::invalid(what, why));
            }
            LightKind::Spot { inner, outer }
        }
        Checked::Invalid => return Err(SceneError::invalid(what, "has an unknown type")),
    };
    if source.intensity < 0.0 || color.min_element() < 0.0 || range <= 0.0 {
        return Err(SceneError::invalid(what, "has a negative intensity, colour or range"));
    }
    let range = source.range.unwrap_or(f32::INFINITY);
    Ok(Light { kind, color, intensity: source.intensity, range })
}

/// Cameras.
pub(super) fn cameras(root: &Root) -> Result<Vec<Camera>, SceneError> {
    let mut cameras = Vec::with_capacity(root.cameras.len());
    for (index, source) in root.cameras.iter().enumerate() {
        let what = describe("camera", index, source.name.as_deref());
        let (projection, size, near, far) =
            match (&source.type_, &source.perspective, &source.orthographic) {
                (Checked::Valid(CameraType::Perspective), Some(lens), _) => {
                    let fov_y = lens.yfov;
                    (Projection::Perspective { fov_y }, fov_y, lens.znear, lens.zfar)
                }
                (Checked::Valid(CameraType::Orthographic), _, Some(lens)) => {
                    let half_height = lens.ymag.abs();
                    let projection = Projection::Orthographic { half_height };
                    (projection, half_height, lens.znear, Some(lens.zfar))
                }
                _ => return Err(SceneError::invalid(what, "has no projection of its type")),
            };
        if ![size, near, far.unwrap_or(1.0)].iter().all(|number| number.is_finite()) {
            return Err(SceneError::NotFinite { what: format!("a property of {what}") });
        }
        let perspective = matches!(projection, Projection::Perspective { .. });
        let far = far.unwrap_or(f32::INFINITY);
        let sound = size > 0.0
            && (!perspective || (size < std::f32::consts::PI && near > 0.0))
            && near >= 0.0
            && far > near;
        if !sound {
            let why = format!("has an impossible view: {size}, from {near} to {far}");
            return Err(SceneError::invalid(what, why));
        }
        cameras.push(Camera { projection, near, far });
    }
    Ok(cameras)
}

/// Skins; `place` is that of [`Nodes`].
pub(super) fn skins(accessors: &Accessors<'_>, place: &[usize]) -> Result<Vec<Skin>, SceneError> {
    let mut skins = Vec::with_capacity(accessors.root.skins.len());
    for (index, source) in accessors.root.skins.iter().enumerate() {
        let what = describe("skin", index, source.name.as_deref());
        accessors.budget.joints(&what, source.joints.len() as u64)?;
        if source.joints.is_empty() {
            return Err(SceneError::invalid(what, "has no joints"));
        }
        let joints: Option<Vec<_>> =
            source.joints.iter().map(|joint| place.get(joint.value()).copied()).collect();
        let joints =
            joints.ok_or_else(|| SceneError::invalid(&what, "has a joint that does not exist"))?;
        let inverse_bind = match source.inverse_bind_matrices {
            None => vec![Mat4::IDENTITY; joints.len()],
            Some(matrices) => {
                let what = format!("inverse bind matrices of {what}");
                let matrices = accessors.floats::<16>(matrices, &what, Integers::Refused)?;
                matrices.iter().map(Mat4::from_cols_array).collect()
            }
        };
        if inverse_bind.len() < joints.len() {
            let why = format!("has {} joints and {} matrices", joints.len(), inverse_bind.len());
            return Err(SceneError::invalid(what, why));
        }
        let mut skin = Skin { joints, inverse_bind };
        skin.inverse_bind.truncate(skin.joints.len());
        skins.push(skin);
    }
    Ok(skins)
}
