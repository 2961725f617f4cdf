//! Writes the scene as a binary glTF 2.0 file: JSON, then one buffer, both aligned to four bytes.

use super::graph::{Graph, Keys, Node};
use super::materials::{self, Mat};
use super::mesh::{Mesh, Vertex};
use super::palette;
use super::textures::{self, Tex};
use glam::{Quat, Vec3};
use serde_json::{Map, Value, json};

// glTF 2.0 §3.6.2.2 and §3.7.2.1.
const UNSIGNED_BYTE: u32 = 5121;
const UNSIGNED_SHORT: u32 = 5123;
const UNSIGNED_INT: u32 = 5125;
const FLOAT: u32 = 5126;
const VERTICES: u32 = 34962;
const INDICES: u32 = 34963;

/// The buffer and what lies in it.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    views: Vec<Value>,
    accessors: Vec<Value>,
}

impl Buffer {
    fn view(&mut self, bytes: &[u8], target: Option<u32>) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let mut view =
            json!({"buffer": 0, "byteOffset": self.bytes.len(), "byteLength": bytes.len()});
        if let Some(target) = target {
            view["target"] = json!(target);
        }
        self.bytes.extend_from_slice(bytes);
        self.views.push(view);
        self.views.len() - 1
    }

    fn accessor(&mut self, view: usize, kind: &str, component: u32, count: usize) -> &mut Value {
        self.accessors.push(
            json!({"bufferView": view, "type": kind, "componentType": component, "count": count}),
        );
        let last = self.accessors.len() - 1;
        &mut self.accessors[last]
    }

    /// Floats, `N` to an element; with bounds where glTF asks for them.
    fn floats<const N: usize>(
        &mut self,
        values: &[[f32; N]],
        target: Option<u32>,
        bounds: bool,
    ) -> usize {
        let view = self.view(bytemuck::cast_slice(values.as_flattened()), target);
        let kind = ["SCALAR", "VEC2", "VEC3", "VEC4"].get(N - 1).copied().unwrap_or("MAT4");
        let accessor = self.accessor(view, kind, FLOAT, values.len());
        if bounds {
            let fold = |pick: fn(f32, f32) -> f32| -> Vec<f32> {
                (0..N)
                    .map(|k| values.iter().map(|v| v[k]).reduce(pick).unwrap_or_default())
                    .collect()
            };
            accessor["min"] = json!(fold(f32::min));
            accessor["max"] = json!(fold(f32::max));
        }
        self.accessors.len() - 1
    }

    fn primitive(&mut self, material: Mat, mesh: &Mesh, skinned: bool) -> Value {
        let v = &mesh.vertices;
        let list = |of: fn(&Vertex) -> Vec3| -> Vec<[f32; 3]> {
            v.iter().map(|v| of(v).to_array()).collect()
        };
        let mut attributes = Map::new();
        attributes.insert(
            "POSITION".into(),
            self.floats(&list(|v| v.position), Some(VERTICES), true).into(),
        );
        if !material.look().unlit {
            attributes.insert(
                "NORMAL".into(),
                self.floats(&list(|v| v.normal), Some(VERTICES), false).into(),
            );
        }
        let colors: Vec<[u8; 4]> = v
            .iter()
            .map(|v| v.color.to_array().map(|c| (c.clamp(0.0, 1.0) * 255.0).round() as u8))
            .collect();
        let view = self.view(colors.as_flattened(), Some(VERTICES));
        self.accessor(view, "VEC4", UNSIGNED_BYTE, v.len())["normalized"] = json!(true);
        attributes.insert("COLOR_0".into(), (self.accessors.len() - 1).into());
        if material.textured() {
            let uvs: Vec<[f32; 2]> = v.iter().map(|v| v.uv.to_array()).collect();
            attributes.insert("TEXCOORD_0".into(), self.floats(&uvs, Some(VERTICES), false).into());
        }
        if skinned {
            let joints: Vec<[u8; 4]> = v.iter().map(joints_of).collect();
            let view = self.view(joints.as_flattened(), Some(VERTICES));
            self.accessor(view, "VEC4", UNSIGNED_BYTE, v.len());
            attributes.insert("JOINTS_0".into(), (self.accessors.len() - 1).into());
            let weights: Vec<[f32; 4]> =
                v.iter().map(|v| [1.0 - v.blend, v.blend, 0.0, 0.0]).collect();
            attributes
                .insert("WEIGHTS_0".into(), self.floats(&weights, Some(VERTICES), false).into());
        }
        let indices = self.indices(&mesh.indices, v.len());
        json!({"attributes": attributes, "indices": indices, "material": material as usize})
    }

    /// Indices of 16 bit where the vertices allow; 65535 itself is not an index (§3.7.2.1).
    fn indices(&mut self, indices: &[u32], vertices: usize) -> usize {
        let (view, component) = if vertices <= usize::from(u16::MAX) {
            let short: Vec<u16> = indices.iter().map(|&i| i as u16).collect();
            (self.view(bytemuck::cast_slice(&short), Some(INDICES)), UNSIGNED_SHORT)
        } else {
            (self.view(bytemuck::cast_slice(indices), Some(INDICES)), UNSIGNED_INT)
        };
        self.accessor(view, "SCALAR", component, indices.len());
        self.accessors.len() - 1
    }
}

/// A joint without weight must be 0 (§3.7.3.3).
fn joints_of(v: &Vertex) -> [u8; 4] {
    [v.joints[0], if v.blend > 0.0 { v.joints[1] } else { 0 }, 0, 0]
}

/// The whole file.
pub(super) fn write(graph: &Graph) -> Vec<u8> {
    let mut buffer = Buffer::default();
    let skinned: Vec<usize> =
        graph.nodes.iter().filter(|n| n.skin.is_some()).filter_map(|n| n.mesh).collect();
    let meshes: Vec<Value> = graph
        .meshes
        .iter()
        .enumerate()
        .map(|(k, parts)| {
            let skinned = skinned.contains(&k);
            let parts: Vec<Value> =
                parts.iter().map(|(mat, mesh)| buffer.primitive(*mat, mesh, skinned)).collect();
            json!({"primitives": parts})
        })
        .collect();
    let skins = skins(graph, &mut buffer);
    let animations = animations(graph, &mut buffer);
    let images: Vec<Value> = textures::ALL
        .iter()
        .filter_map(|tex| Some((tex, tex.png().ok()?)))
        .map(|(tex, png)| json!({"name": tex.label().0, "mimeType": "image/png", "bufferView": buffer.view(&png, None)}))
        .collect();
    let roots: Vec<usize> =
        (0..graph.nodes.len()).filter(|&k| graph.nodes[k].parent.is_none()).collect();
    let sky = [palette::ZENITH, palette::HORIZON, palette::GROUND].map(|c| c.to_array());
    let environment = json!({"zenith": sky[0], "horizon": sky[1], "ground": sky[2]});
    buffer.bytes.resize(buffer.bytes.len().next_multiple_of(4), 0);
    let document = json!({
        "asset": {"version": "2.0", "generator": "nearlight demo"},
        "extensionsUsed":
            ["KHR_lights_punctual", "KHR_materials_emissive_strength", "KHR_materials_unlit"],
        "extensions": {"KHR_lights_punctual": {"lights": lights(graph)}},
        "scene": 0,
        "scenes": [{"name": "Observatory", "nodes": roots, "extras": {"nearlight": {"environment": environment}}}],
        "nodes": (0..graph.nodes.len()).map(|k| node(graph, k)).collect::<Vec<_>>(),
        "meshes": meshes,
        "materials": materials::ALL.iter().map(|&mat| material(mat)).collect::<Vec<_>>(),
        "images": images,
        "samplers": [sampler(true), sampler(false)],
        "textures": textures::ALL.iter().enumerate().map(|(k, t)| texture(k, *t)).collect::<Vec<_>>(),
        "cameras": cameras(graph),
        "skins": skins,
        "animations": animations,
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": buffer.bytes.len()}],
    });
    pack(&document, &buffer.bytes)
}

/// Header and two chunks (§4.4).
fn pack(document: &Value, binary: &[u8]) -> Vec<u8> {
    let mut text = document.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let mut file = Vec::with_capacity(text.len() + binary.len() + 28);
    file.extend_from_slice(b"glTF");
    let word = |file: &mut Vec<u8>, n: usize| file.extend((n as u32).to_le_bytes());
    word(&mut file, 2);
    word(&mut file, 12 + 8 + text.len() + 8 + binary.len());
    word(&mut file, text.len());
    file.extend_from_slice(b"JSON");
    file.extend_from_slice(&text);
    word(&mut file, binary.len());
    file.extend_from_slice(b"BIN\0");
    file.extend_from_slice(binary);
    file
}

fn node(graph: &Graph, index: usize) -> Value {
    let node: &Node = &graph.nodes[index];
    let mut out = Map::new();
    out.insert("name".into(), json!(node.name));
    let children: Vec<usize> =
        (0..graph.nodes.len()).filter(|&k| graph.nodes[k].parent == Some(index)).collect();
    if !children.is_empty() {
        out.insert("children".into(), json!(children));
    }
    if node.translation != Vec3::ZERO {
        out.insert("translation".into(), json!(node.translation.to_array()));
    }
    if node.rotation != Quat::IDENTITY {
        out.insert("rotation".into(), json!(node.rotation.to_array()));
    }
    for (key, value) in [("mesh", node.mesh), ("skin", node.skin), ("camera", node.camera)] {
        if let Some(value) = value {
            out.insert(key.into(), json!(value));
        }
    }
    if let Some(light) = node.light {
        out.insert("extensions".into(), json!({"KHR_lights_punctual": {"light": light}}));
    }
    if let Some(animation) = &node.on_click {
        out.insert("extras".into(), json!({"nearlight": {"onClick": animation}}));
    }
    Value::Object(out)
}

fn material(mat: Mat) -> Value {
    let look = mat.look();
    let mut surface = json!({
        "baseColorFactor": look.base.extend(1.0).to_array(),
        "metallicFactor": look.metallic,
        "roughnessFactor": look.roughness,
    });
    if let Some(tex) = look.base_texture {
        surface["baseColorTexture"] = json!({"index": tex as usize});
    }
    let mut out = json!({"name": look.name, "pbrMetallicRoughness": surface});
    if look.emissive != Vec3::ZERO {
        out["emissiveFactor"] = json!(look.emissive.to_array());
        out["extensions"] =
            json!({"KHR_materials_emissive_strength": {"emissiveStrength": look.strength}});
    }
    if let Some(tex) = look.emissive_texture {
        out["emissiveTexture"] = json!({"index": tex as usize});
    }
    if let Some((tex, scale)) = look.normal_texture {
        out["normalTexture"] = json!({"index": tex as usize, "scale": scale});
    }
    if look.unlit {
        out["extensions"] = json!({"KHR_materials_unlit": {}});
    }
    if look.blend {
        out["alphaMode"] = json!("BLEND");
    }
    if look.double_sided {
        out["doubleSided"] = json!(true);
    }
    out
}

fn sampler(repeats: bool) -> Value {
    // Linear, and linear between mipmaps; repeat or clamp to the edge (§5.26).
    let wrap = if repeats { 10497 } else { 33071 };
    json!({"magFilter": 9729, "minFilter": 9987, "wrapS": wrap, "wrapT": wrap})
}

fn texture(image: usize, tex: Tex) -> Value {
    json!({"source": image, "sampler": usize::from(!tex.label().1)})
}

fn lights(graph: &Graph) -> Vec<Value> {
    graph
        .lights
        .iter()
        .map(|l| {
            let kind = if l.range.is_some() { "point" } else { "directional" };
            let mut out =
                json!({"name": l.name, "type": kind, "color": l.color.to_array(), "intensity": l.intensity});
            if let Some(range) = l.range {
                out["range"] = json!(range);
            }
            out
        })
        .collect()
}

fn cameras(graph: &Graph) -> Vec<Value> {
    graph
        .cameras
        .iter()
        .map(|c| {
            let perspective =
                json!({"yfov": c.field_of_view.to_radians(), "znear": 0.1, "zfar": 1500.0});
            json!({"name": c.name, "type": "perspective", "perspective": perspective})
        })
        .collect()
}

fn skins(graph: &Graph, buffer: &mut Buffer) -> Vec<Value> {
    graph
        .skins
        .iter()
        .map(|skin| {
            let inverse: Vec<[f32; 16]> =
                skin.joints.iter().map(|&j| graph.world(j).inverse().to_cols_array()).collect();
            let accessor = buffer.floats(&inverse, None, false);
            json!({"name": skin.name, "joints": skin.joints, "inverseBindMatrices": accessor})
        })
        .collect()
}

fn animations(graph: &Graph, buffer: &mut Buffer) -> Vec<Value> {
    let animation = |(name, channels): (&String, &Vec<super::graph::Channel>)| {
        let (mut samplers, mut targets) = (Vec::new(), Vec::new());
        for channel in channels {
            let times: Vec<[f32; 1]> = channel.times.iter().map(|&t| [t]).collect();
            let input = buffer.floats(&times, None, true);
            let vectors = |v: &[Vec3]| -> Vec<[f32; 3]> { v.iter().map(Vec3::to_array).collect() };
            let (path, output) = match &channel.keys {
                Keys::Translation(v) => ("translation", buffer.floats(&vectors(v), None, false)),
                Keys::Scale(v) => ("scale", buffer.floats(&vectors(v), None, false)),
                Keys::Rotation(q) => {
                    let q: Vec<[f32; 4]> = q.iter().map(Quat::to_array).collect();
                    ("rotation", buffer.floats(&q, None, false))
                }
            };
            targets.push(
                json!({"sampler": samplers.len(), "target": {"node": channel.node, "path": path}}),
            );
            samplers.push(json!({"input": input, "output": output, "interpolation": "LINEAR"}));
        }
        json!({"name": name, "samplers": samplers, "channels": targets})
    };
    graph.animations.iter().map(animation).collect()
}
