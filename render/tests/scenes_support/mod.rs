//! Makes small binary glTF files, right or wrong.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use serde_json::{Value, json};

pub const U8: u32 = 5121;
pub const U16: u32 = 5123;
pub const F32: u32 = 5126;

/// A file under construction: JSON and the binary chunk.
pub struct Glb {
    pub json: Value,
    pub binary: Vec<u8>,
}

impl Glb {
    /// One node, in one scene.
    pub fn new() -> Self {
        let json = json!({
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"name": "Root"}],
            "accessors": [],
            "bufferViews": [],
        });
        Self { json, binary: Vec::new() }
    }

    /// One node that shows one triangle: accessor 0 is its positions.
    pub fn triangle() -> Self {
        let mut glb = Self::new();
        glb.floats("VEC3", &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        glb.json["meshes"] = json!([{"primitives": [{"attributes": {"POSITION": 0}}]}]);
        glb.json["nodes"][0]["mesh"] = 0.into();
        glb
    }

    /// Adds a view of `bytes`; its index.
    pub fn view(&mut self, bytes: &[u8]) -> usize {
        self.binary.resize(self.binary.len().next_multiple_of(4), 0);
        let view = json!({"buffer": 0, "byteOffset": self.binary.len(), "byteLength": bytes.len()});
        self.binary.extend_from_slice(bytes);
        push(&mut self.json["bufferViews"], view)
    }

    /// Adds an accessor of its own view; its index.
    pub fn accessor(&mut self, component: u32, shape: &str, count: usize, bytes: &[u8]) -> usize {
        let view = self.view(bytes);
        let accessor =
            json!({"bufferView": view, "componentType": component, "type": shape, "count": count});
        push(&mut self.json["accessors"], accessor)
    }

    pub fn floats(&mut self, shape: &str, values: &[f32]) -> usize {
        let size = match shape {
            "SCALAR" => 1,
            "VEC2" => 2,
            "VEC3" => 3,
            "VEC4" => 4,
            _ => 16,
        };
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.accessor(F32, shape, values.len() / size, &bytes)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut json = self.json.clone();
        if !self.binary.is_empty() {
            json["buffers"] = json!([{"byteLength": self.binary.len()}]);
        }
        let mut text = serde_json::to_vec(&json).expect("JSON");
        text.resize(text.len().next_multiple_of(4), b' ');
        let mut binary = self.binary.clone();
        binary.resize(binary.len().next_multiple_of(4), 0);
        let mut out = b"glTF\x02\0\0\0".to_vec();
        let word = |value: usize| u32::try_from(value).expect("small").to_le_bytes();
        out.extend(word(12 + 8 + text.len() + 8 + binary.len()));
        out.extend(word(text.len()));
        out.extend(b"JSON");
        out.extend(text);
        out.extend(word(binary.len()));
        out.extend(b"BIN\0");
        out.extend(binary);
        out
    }
}

/// Appends to a JSON array; the index.
pub fn push(array: &mut Value, value: Value) -> usize {
    let array = array.as_array_mut().expect("an array");
    array.push(value);
    array.len() - 1
}
