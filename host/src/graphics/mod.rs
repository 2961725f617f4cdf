//! Memory of the graphics devices that games may have, as their drivers tell it whenever they are asked.
//!
//! Of AMD's the kernel tells it in files (`mem_info_vram_total` and `mem_info_vram_used` of `amdgpu`; Linux,
//! `Documentation/gpu/amdgpu/driver-misc.rst`), of NVIDIA's a library of the driver ([`nvidia`]). Of others, and of those that
//! do not answer, nothing is known but why. Of a device that shares the machine's memory these are figures of the part that
//! firmware keeps for it, which is not all that programs on it get.

mod nvidia;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use media::{ByteSize, GraphicsMemory};
use nvidia::Library;

/// Where the kernel tells of devices, and what NVIDIA's driver calls its library.
const SYS: &str = "/sys";
const LIBRARY: &str = "libnvidia-ml.so.1";

/// The devices, each by its node.
#[derive(Debug)]
pub(crate) struct Graphics {
    devices: Vec<(PathBuf, Result<Source, String>)>,
    /// Opened where one of them is NVIDIA's.
    nvidia: Option<Result<Library, String>>,
}

/// Who tells of one.
#[derive(Debug)]
enum Source {
    /// The files of this folder.
    Files(PathBuf),
    /// NVIDIA's library, which has it at this place.
    Nvidia(u32),
}

impl Graphics {
    /// Those among these nodes; some only go with others. May take seconds where NVIDIA's driver must first wake a device.
    pub(crate) fn of(nodes: &[PathBuf]) -> Self {
        Self::find(nodes, Path::new(SYS), OsStr::new(LIBRARY))
    }

    fn find(nodes: &[PathBuf], sys: &Path, library: &OsStr) -> Self {
        let mut graphics = Self { devices: Vec::new(), nvidia: None };
        for node in nodes {
            let name = node.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let source = match name.strip_prefix("nvidia").map(str::parse::<u32>) {
                Some(Ok(minor)) => graphics.nvidia(library, |library| library.numbered(minor)),
                // What all of its devices share.
                Some(Err(_)) => continue,
                None => graphics.drm(&sys.join("class/drm").join(name).join("device"), library),
            };
            graphics.devices.push((node.clone(), source));
        }
        graphics
    }

    /// One that the kernel has this folder of.
    fn drm(&mut self, folder: &Path, library: &OsStr) -> Result<Source, String> {
        let shown = |error: io::Error| format!("{}: {error}", folder.display());
        let driver = fs::read_link(folder.join("driver")).map_err(shown)?;
        match driver.file_name().and_then(OsStr::to_str).unwrap_or_default() {
            "amdgpu" => Ok(Source::Files(folder.to_owned())),
            "nvidia" => {
                // Its address on the bus.
                let whole = folder.canonicalize().map_err(shown)?;
                let address = whole.file_name().and_then(OsStr::to_str).unwrap_or_default();
                self.nvidia(library, |library| library.at(address))
            }
            driver => Err(format!("the driver {driver} does not tell it")),
        }
    }

    fn nvidia(
        &mut self,
        file: &OsStr,
        find: impl FnOnce(&Library) -> Result<u32, String>,
    ) -> Result<Source, String> {
        let library = self.nvidia.get_or_insert_with(|| Library::open(file));
        find(library.as_ref().map_err(Clone::clone)?).map(Source::Nvidia)
    }

    /// What each has now, or why that is not known. Drivers may keep who asks waiting.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Path, Result<GraphicsMemory, String>)> {
        self.devices.iter().map(move |(node, source)| {
            let memory = source.as_ref().map_err(Clone::clone).and_then(|source| self.read(source));
            (node.as_path(), memory)
        })
    }

    /// What any of those that are known has at least: which of them a game draws with is its own choice.
    pub(crate) fn least(&self) -> Option<GraphicsMemory> {
        let known = self.each().filter_map(|(_, memory)| memory.ok());
        known.reduce(|one, other| GraphicsMemory {
            total: one.total.min(other.total),
            free: one.free.min(other.free),
        })
    }

    fn read(&self, source: &Source) -> Result<GraphicsMemory, String> {
        match (source, &self.nvidia) {
            (Source::Files(folder), _) => files(folder),
            (Source::Nvidia(place), Some(Ok(library))) => library.memory(*place),
            (Source::Nvidia(_), _) => Err("its library is not open".to_owned()),
        }
    }
}

/// The files are in bytes.
fn files(folder: &Path) -> Result<GraphicsMemory, String> {
    let bytes = |name: &str| {
        let path = folder.join(name);
        let told = |why: String| format!("{}: {why}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| told(error.to_string()))?;
        text.trim().parse::<u64>().map_err(|_| told("it is no number".to_owned()))
    };
    let (total, used) = (bytes("mem_info_vram_total")?, bytes("mem_info_vram_used")?);
    Ok(GraphicsMemory { total: ByteSize(total), free: ByteSize(total.saturating_sub(used)) })
}
