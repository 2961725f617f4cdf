//! The scene as it is being put together, before it becomes a file: nodes, meshes by material,
//! lights, cameras, skins and animations, all by index.

use super::materials::Mat;
use super::mesh::Mesh;
use glam::{Mat4, Quat, Vec3};
use std::collections::BTreeMap;
use std::f32::consts::TAU;

/// A node; the default stands at its parent's origin.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub name: String,
    pub parent: Option<usize>,
    pub translation: Vec3,
    pub rotation: Quat,
    pub mesh: Option<usize>,
    pub skin: Option<usize>,
    pub light: Option<usize>,
    pub camera: Option<usize>,
    /// Name of the animation that a click plays.
    pub on_click: Option<String>,
}

/// A light; a sun when it has no range.
#[derive(Clone, Debug)]
pub(super) struct Light {
    pub name: &'static str,
    pub color: Vec3,
    pub intensity: f32,
    pub range: Option<f32>,
}

/// A perspective camera.
#[derive(Clone, Debug)]
pub(super) struct Camera {
    pub name: &'static str,
    /// Vertical, in degrees.
    pub field_of_view: f32,
}

/// A skin whose joints rest where the mesh was modelled.
#[derive(Clone, Debug)]
pub(super) struct Skin {
    pub name: &'static str,
    pub joints: Vec<usize>,
}

/// Key values of a channel.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Translation(Vec<Vec3>),
    Rotation(Vec<Quat>),
    Scale(Vec<Vec3>),
}

/// What an animation does to a node, linear between keys.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub node: usize,
    pub times: Vec<f32>,
    pub keys: Keys,
}

/// The scene.
#[derive(Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    /// Parts of each mesh.
    pub meshes: Vec<Vec<(Mat, Mesh)>>,
    pub lights: Vec<Light>,
    pub cameras: Vec<Camera>,
    pub skins: Vec<Skin>,
    /// By name, in order of the names.
    pub animations: BTreeMap<String, Vec<Channel>>,
    /// What never moves, one mesh a material.
    pub still: BTreeMap<Mat, Mesh>,
    /// Still things that hide no sky from others: far away, or see-through.
    pub open: BTreeMap<Mat, Mesh>,
}

impl Graph {
    /// Adds a mesh that never moves and shares in baked light.
    pub(super) fn still(&mut self, material: Mat, mesh: &Mesh) {
        self.still.entry(material).or_default().add(mesh);
    }

    /// Adds a mesh that never moves and is outside of baked light.
    pub(super) fn open(&mut self, material: Mat, mesh: &Mesh) {
        self.open.entry(material).or_default().add(mesh);
    }

    /// Adds a node.
    pub(super) fn node(
        &mut self,
        name: impl Into<String>,
        parent: Option<usize>,
        at: Vec3,
    ) -> usize {
        self.nodes.push(Node {
            name: name.into(),
            parent,
            translation: at,
            rotation: Quat::IDENTITY,
            mesh: None,
            skin: None,
            light: None,
            camera: None,
            on_click: None,
        });
        self.nodes.len() - 1
    }

    /// Gives a node a mesh.
    pub(super) fn dress(&mut self, node: usize, parts: Vec<(Mat, Mesh)>) {
        self.meshes.push(parts);
        self.nodes[node].mesh = Some(self.meshes.len() - 1);
    }

    /// A click on this node plays that animation once.
    pub(super) fn clickable(&mut self, node: usize, animation: impl Into<String>) {
        self.nodes[node].on_click = Some(animation.into());
    }

    /// Where a node rests in the world.
    pub(super) fn world(&self, node: usize) -> Mat4 {
        let own = &self.nodes[node];
        let local = Mat4::from_rotation_translation(own.rotation, own.translation);
        own.parent.map_or(local, |parent| self.world(parent) * local)
    }

    fn channel(&mut self, animation: &str, node: usize, times: Vec<f32>, keys: Keys) {
        self.animations.entry(animation.to_owned()).or_default().push(Channel {
            node,
            times,
            keys,
        });
    }

    /// Moves a node's rest place by `offset(t)`, t from 0 to 1 over `seconds`.
    pub(super) fn animate_place(
        &mut self,
        animation: &str,
        node: usize,
        seconds: f32,
        steps: u32,
        offset: impl Fn(f32) -> Vec3,
    ) {
        let rest = self.nodes[node].translation;
        let keys = unit_steps(steps).map(|t| rest + offset(t)).collect();
        self.channel(
            animation,
            node,
            unit_steps(steps).map(|t| t * seconds).collect(),
            Keys::Translation(keys),
        );
    }

    /// Turns a node from its rest by `turn(t)`.
    pub(super) fn animate_turn(
        &mut self,
        animation: &str,
        node: usize,
        seconds: f32,
        steps: u32,
        turn: impl Fn(f32) -> Quat,
    ) {
        let rest = self.nodes[node].rotation;
        let mut keys: Vec<Quat> = unit_steps(steps).map(|t| (rest * turn(t)).normalize()).collect();
        // Keys that lie more than half a turn apart would be joined the wrong way around.
        for k in 1..keys.len() {
            if keys[k].dot(keys[k - 1]) < 0.0 {
                keys[k] = -keys[k];
            }
        }
        self.channel(
            animation,
            node,
            unit_steps(steps).map(|t| t * seconds).collect(),
            Keys::Rotation(keys),
        );
    }

    /// Scales a node by `factor(t)`.
    pub(super) fn animate_scale(
        &mut self,
        animation: &str,
        node: usize,
        seconds: f32,
        steps: u32,
        factor: impl Fn(f32) -> Vec3,
    ) {
        let keys = unit_steps(steps).map(factor).collect();
        self.channel(
            animation,
            node,
            unit_steps(steps).map(|t| t * seconds).collect(),
            Keys::Scale(keys),
        );
    }

    /// Turns a node for ever about an axis, once in `seconds`; the other way when negative.
    pub(super) fn spin(&mut self, animation: &str, node: usize, axis: Vec3, seconds: f32) {
        let angle = TAU * seconds.signum();
        self.animate_turn(animation, node, seconds.abs(), 6, |t| {
            Quat::from_axis_angle(axis, t * angle)
        });
    }
}

fn unit_steps(steps: u32) -> impl Iterator<Item = f32> {
    (0..=steps).map(move |k| k as f32 / steps as f32)
}
