//! Where real scenes are on this machine.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};

use base64::Engine;

pub fn package(name: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/assets/node_modules").join(name);
    assert!(folder.is_dir(), "{} is missing: run `make setup`", folder.display());
    folder
}

pub fn assimp() -> &'static Path {
    let folder = Path::new("/usr/share/assimp/models");
    assert!(folder.is_dir(), "Debian's assimp-testmodels is missing: run `make setup`");
    folder
}

/// What a module of `@pmndrs/assets` holds: `export default 'data:…;base64,…'`.
pub fn pmndrs(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).expect("a module");
    let data = text.split_once(";base64,").expect("base64").1;
    let data = data.split(['\'', '"', '`']).next().expect("an end");
    base64::engine::general_purpose::STANDARD.decode(data).expect("base64")
}
