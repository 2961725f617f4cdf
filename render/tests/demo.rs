//! The demo scene: the same on every run, valid glTF, and within what a machine without a GPU can draw.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use gltf::Semantic;
use gltf::accessor::{DataType, Dimensions};
use gltf::khr_lights_punctual::Kind;
use nearlight_render::scene::{LightKind, LoadLimits};

fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(nearlight_render::demo::glb)
}

fn parsed() -> gltf::Gltf {
    gltf::Gltf::from_slice(file()).expect("valid glTF")
}

/// The extras of this project, or null.
fn extras(of: &gltf::json::Extras) -> serde_json::Value {
    of.as_ref().map_or(serde_json::Value::Null, |raw| {
        serde_json::from_str::<serde_json::Value>(raw.get()).expect("extras are JSON")["nearlight"].clone()
    })
}

fn primitives(scene: &gltf::Gltf) -> Vec<gltf::Primitive<'_>> {
    scene.nodes().filter_map(|node| node.mesh()).flat_map(|mesh| mesh.primitives()).collect()
}

#[test]
fn two_runs_make_the_same_file() {
    assert!(file() == nearlight_render::demo::glb());
}

#[test]
fn it_stays_within_the_budgets_of_software_drawing() {
    let scene = parsed();
    let parts = primitives(&scene);
    let triangles: usize =
        parts.iter().map(|part| part.indices().expect("indexed").count() / 3).sum();
    assert!((25_000..=50_000).contains(&triangles), "{triangles} triangles");
    assert!(parts.len() <= 60, "{} draw calls", parts.len());
    assert!(scene.materials().len() <= 14, "{} materials", scene.materials().len());
    assert!(scene.textures().len() <= 6, "{} textures", scene.textures().len());
    let points =
        scene.nodes().filter_map(|n| n.light()).filter(|l| matches!(l.kind(), Kind::Point));
    assert!(points.count() <= 4);
    assert!(file().len() <= 4 << 20, "{} bytes", file().len());
}

#[test]
fn textures_are_small_pictures_of_png() {
    let scene = parsed();
    let blob = scene.blob.as_deref().expect("binary chunk");
    for image in scene.images() {
        let gltf::image::Source::View { view, mime_type } = image.source() else {
            panic!("{:?} lies outside of the file", image.name());
        };
        assert_eq!(mime_type, "image/png");
        let bytes = &blob[view.offset()..view.offset() + view.length()];
        let picture = image::load_from_memory(bytes).expect("decodes");
        assert!(picture.width() <= 256 && picture.height() <= 256, "{:?}", image.name());
    }
}

#[test]
fn only_the_agreed_extensions_are_used() {
    let agreed = [
        "KHR_lights_punctual",
        "KHR_materials_emissive_strength",
        "KHR_materials_unlit",
        "KHR_texture_transform",
    ];
    let scene = parsed();
    assert!(scene.extensions_used().all(|name| agreed.contains(&name)));
    assert_eq!(scene.extensions_required().count(), 0);
}

#[test]
fn every_click_plays_an_animation_that_exists() {
    let scene = parsed();
    let animations: BTreeSet<&str> = scene.animations().filter_map(|a| a.name()).collect();
    assert_eq!(animations.len(), scene.animations().len(), "names are unique");
    let clicks: Vec<String> = scene
        .nodes()
        .filter_map(|node| extras(node.extras())["onClick"].as_str().map(str::to_owned))
        .collect();
    for click in &clicks {
        assert!(animations.contains(click.as_str()), "{click}");
    }
    for thing in ["orrery", "lantern", "rock", "bell"] {
        assert!(clicks.iter().any(|click| click.starts_with(thing)), "nothing to click: {thing}");
    }
}

#[test]
fn a_clicked_animation_ends_where_the_scene_rests() {
    let scene = parsed();
    let blob = scene.blob.as_deref();
    let clicks: BTreeSet<String> = scene
        .nodes()
        .filter_map(|node| extras(node.extras())["onClick"].as_str().map(str::to_owned))
        .collect();
    for animation in scene.animations().filter(|a| a.name().is_some_and(|n| clicks.contains(n))) {
        for channel in animation.channels() {
            let (place, turn, size) = channel.target().node().transform().decomposed();
            let end = channel.reader(|_| blob).read_outputs().expect("outputs");
            use gltf::animation::util::ReadOutputs;
            let (end, rest): (Vec<f32>, Vec<f32>) = match end {
                ReadOutputs::Translations(v) => (v.last().expect("keys").to_vec(), place.to_vec()),
                ReadOutputs::Scales(v) => (v.last().expect("keys").to_vec(), size.to_vec()),
                ReadOutputs::Rotations(v) => {
                    let last = v.into_f32().last().expect("keys");
                    // Both signs of a quaternion are the same turn.
                    let same = last.iter().zip(turn).map(|(a, b)| a * b).sum::<f32>().signum();
                    (last.iter().map(|c| c * same).collect(), turn.to_vec())
                }
                ReadOutputs::MorphTargetWeights(_) => panic!("no morph targets here"),
            };
            let apart = end.iter().zip(&rest).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-3, "{:?} jumps by {apart}", animation.name());
        }
    }
}

#[test]
fn it_has_a_sky_a_sun_cameras_and_skins() {
    let scene = parsed();
    let root = scene.default_scene().expect("a default scene");
    for part in ["zenith", "horizon", "ground"] {
        let color = extras(root.extras())["environment"][part].clone();
        assert_eq!(color.as_array().map(Vec::len), Some(3), "{part}");
    }
    let suns = scene.nodes().filter_map(|n| n.light()).map(|l| l.kind());
    assert_eq!(suns.filter(|kind| matches!(kind, Kind::Directional)).count(), 1);
    for name in ["walk", "orbit"] {
        assert!(scene.nodes().any(|n| n.name() == Some(name) && n.camera().is_some()), "{name}");
    }
    assert!(scene.skins().len() >= 1);
}

#[test]
fn every_number_is_finite_and_every_index_in_range() {
    let scene = parsed();
    let blob = scene.blob.as_deref().expect("binary chunk");
    for accessor in scene.accessors().filter(|a| a.data_type() == DataType::F32) {
        let view = accessor.view().expect("no sparse accessors");
        let numbers = accessor.count() * accessor.dimensions().multiplicity();
        let start = view.offset() + accessor.offset();
        assert_eq!(start % 4, 0, "accessor {} is not aligned", accessor.index());
        for number in blob[start..start + numbers * 4].chunks_exact(4) {
            let number = f32::from_le_bytes([number[0], number[1], number[2], number[3]]);
            assert!(number.is_finite(), "accessor {}", accessor.index());
        }
    }
    for part in primitives(&scene) {
        let positions = part.get(&Semantic::Positions).expect("positions");
        assert_eq!(positions.dimensions(), Dimensions::Vec3);
        let reader = part.reader(|_| Some(blob));
        let indices = reader.read_indices().expect("indices").into_u32();
        assert!(indices.max() < u32::try_from(positions.count()).ok());
        for normal in reader.read_normals().into_iter().flatten() {
            let length = normal.iter().map(|c| c * c).sum::<f32>().sqrt();
            assert!((length - 1.0).abs() < 1e-3, "a normal of length {length}");
        }
    }
}

#[test]
fn the_loader_takes_it_without_a_warning() {
    let loaded = nearlight_render::scene::load_scene_bytes("demo", file(), &LoadLimits::default())
        .expect("loads");
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert!(loaded.scene.lights.iter().any(|l| l.kind == LightKind::Directional));
    assert!(loaded.scene.nodes.iter().any(|n| n.on_click.is_some()));
    assert!(!loaded.scene.skins.is_empty());
}
