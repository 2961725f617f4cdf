//! Validates every shader of the workspace, so that a mistake in one fails the build and not the
//! first picture. Shaders are taken as they lie in `shaders/`, one complete module a file.

use std::path::Path;
use std::{env, fs, process};

use naga::valid::{Capabilities, ValidationFlags, Validator};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let folder = Path::new(&root).join("../shaders");
    println!("cargo::rerun-if-changed={}", folder.display());
    let Ok(entries) = fs::read_dir(&folder) else {
        fail(&format!("the folder {} cannot be read", folder.display()));
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "wgsl")
            && let Err(problem) = validate(&path)
        {
            fail(&problem);
        }
    }
}

fn fail(problem: &str) -> ! {
    // Every line gets the prefix, or cargo shows only the first one.
    for line in problem.lines() {
        println!("cargo::error={line}");
    }
    process::exit(1);
}

fn validate(path: &Path) -> Result<(), String> {
    let name = path.display().to_string();
    let source = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let module = naga::front::wgsl::parse_str(&source)
        .map_err(|error| error.emit_to_string_with_path(&source, &name))?;
    // What the device is opened with; see `WANTED` in src/device.
    let capabilities = Capabilities::IMMEDIATES | Capabilities::default();
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map(|_| ())
        .map_err(|error| error.emit_to_string_with_path(&source, &name))
}
