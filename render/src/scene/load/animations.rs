//! Animations of translation, rotation and scale; weights of morph targets are ignored.

use glam::{Quat, Vec3};
use gltf::json::animation::{Interpolation as JsonInterpolation, Property, Sampler};
use gltf::json::validation::Checked;
use gltf::json::{Animation as JsonAnimation, accessor};

use super::super::error::describe;
use super::super::{Animation, Channel, Interpolation, SceneError, Values};
use super::Warnings;
use super::accessors::{Accessors, Integers};
use super::nodes::unit;

/// Loads every animation as a looped one; `place` is that of [`super::nodes::Nodes`].
pub(super) fn load(
    accessors: &Accessors<'_>,
    place: &[usize],
    warnings: &Warnings,
) -> Result<Vec<Animation>, SceneError> {
    let animations = accessors.root.animations.iter().enumerate();
    animations
        .map(|(index, source)| {
            let what = describe("animation", index, source.name.as_deref());
            animation(accessors, place, warnings, source, &what)
        })
        .collect()
}

fn animation(
    accessors: &Accessors<'_>,
    place: &[usize],
    warnings: &Warnings,
    source: &JsonAnimation,
    what: &str,
) -> Result<Animation, SceneError> {
    let mut channels = Vec::with_capacity(source.channels.len());
    for (index, channel) in source.channels.iter().enumerate() {
        let what = format!("channel {index} of {what}");
        let missing = |which: &str| SceneError::invalid(&what, format!("has no such {which}"));
        let sampler =
            source.samplers.get(channel.sampler.value()).ok_or_else(|| missing("sampler"))?;
        let &node = place.get(channel.target.node.value()).ok_or_else(|| missing("node"))?;
        match channel.target.path {
            Checked::Valid(Property::MorphTargetWeights) => {
                warnings.add(format!("{what} moves morph targets, which are ignored"));
            }
            Checked::Valid(property) => {
                channels.push(read(accessors, sampler, property, node, &what)?);
            }
            Checked::Invalid => return Err(SceneError::invalid(what, "has an unknown path")),
        }
    }
    let duration =
        channels.iter().filter_map(|channel| channel.times.last().copied()).fold(0.0_f32, f32::max);
    let name = source.name.clone().unwrap_or_default();
    Ok(Animation { name, channels, duration, looped: true })
}

fn read(
    accessors: &Accessors<'_>,
    sampler: &Sampler,
    property: Property,
    node: usize,
    what: &str,
) -> Result<Channel, SceneError> {
    let interpolation = match sampler.interpolation {
        Checked::Valid(JsonInterpolation::Step) => Interpolation::Step,
        Checked::Valid(JsonInterpolation::Linear) => Interpolation::Linear,
        Checked::Valid(JsonInterpolation::CubicSpline) => Interpolation::CubicSpline,
        Checked::Invalid => return Err(SceneError::invalid(what, "has an unknown interpolation")),
    };
    let keys = accessors.count(sampler.input);
    accessors.budget.keys(what, keys)?;
    let per_key = if interpolation == Interpolation::CubicSpline { 3 } else { 1 };
    let values = accessors.count(sampler.output);
    if keys.checked_mul(per_key) != Some(values) {
        let why = format!("has {keys} times and {values} values, {per_key} of them a key");
        return Err(SceneError::invalid(what, why));
    }
    let times = accessors.floats::<1>(sampler.input, what, Integers::Refused)?;
    let times: Vec<f32> = times.into_iter().map(|[time]| time).collect();
    if times.first().is_some_and(|&first| first < 0.0) {
        return Err(SceneError::invalid(what, "begins before time 0"));
    }
    if let Some(at) = times.windows(2).position(|pair| pair[1] < pair[0]) {
        let why = format!("has times that do not ascend at key {}", at + 1);
        return Err(SceneError::invalid(what, why));
    }
    let vectors = || -> Result<Vec<Vec3>, SceneError> {
        let read = accessors.floats::<3>(sampler.output, what, Integers::AsDeclared)?;
        Ok(read.into_iter().map(Vec3::from_array).collect())
    };
    let values = match property {
        Property::Translation => Values::Translation(vectors()?),
        Property::Scale => Values::Scale(vectors()?),
        _ => Values::Rotation(rotations(accessors, sampler.output, interpolation, what)?),
    };
    Ok(Channel { node, interpolation, times, values })
}

fn rotations(
    accessors: &Accessors<'_>,
    output: gltf::json::Index<accessor::Accessor>,
    interpolation: Interpolation,
    what: &str,
) -> Result<Vec<Quat>, SceneError> {
    let read = accessors.floats::<4>(output, what, Integers::Normalized)?;
    let mut values: Vec<_> = read.into_iter().map(Quat::from_array).collect();
    // Tangents of a spline have any length; its values do not.
    let (skip, step) = if interpolation == Interpolation::CubicSpline { (1, 3) } else { (0, 1) };
    for (key, value) in values.iter_mut().skip(skip).step_by(step).enumerate() {
        *value = unit(*value).ok_or_else(|| {
            SceneError::invalid(what, format!("has a rotation without direction at key {key}"))
        })?;
    }
    Ok(values)
}
