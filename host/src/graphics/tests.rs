use std::os::unix::fs::symlink;

use super::*;

/// A machine whose kernel tells of devices in a folder.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One more device, by its name, its address and its driver; its folder.
    fn with(&self, name: &str, address: &str, driver: &str) -> PathBuf {
        let folder = self.0.path().join("devices").join(address);
        let class = self.0.path().join("class/drm").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(&class).unwrap();
        symlink(Path::new("../../bus/pci/drivers").join(driver), folder.join("driver")).unwrap();
        symlink(Path::new("../../../devices").join(address), class.join("device")).unwrap();
        folder
    }

    /// What is found of these nodes, with this file as NVIDIA's library.
    fn find(&self, nodes: &[&str], library: &Path) -> Graphics {
        let nodes: Vec<_> = nodes.iter().map(PathBuf::from).collect();
        Graphics::find(&nodes, self.0.path(), library.as_os_str())
    }
}

const NONE: &str = "libnearlight-none.so";

fn memory(total: u64, free: u64) -> GraphicsMemory {
    GraphicsMemory { total: ByteSize(total), free: ByteSize(free) }
}

/// Why of the only device nothing is known.
fn why(graphics: &Graphics) -> String {
    let mut told: Vec<_> = graphics.each().collect();
    let (_, memory) = told.pop().unwrap();
    assert!(told.is_empty(), "{graphics:?}");
    memory.unwrap_err()
}

#[test]
fn what_amds_driver_tells_is_read_whenever_it_is_asked() {
    let machine = Machine::new();
    let folder = machine.with("renderD128", "0000:03:00.0", "amdgpu");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let graphics = machine.find(&["/dev/dri/renderD128"], Path::new(NONE));
    assert!(why(&graphics).contains("mem_info_vram_total: No such file"), "{}", why(&graphics));
    write("mem_info_vram_total", "8573157376\n");
    write("mem_info_vram_used", "1073741824\n");
    assert_eq!(graphics.least(), Some(memory(8_573_157_376, 7_499_415_552)));
    write("mem_info_vram_used", "8573157377\n");
    assert_eq!(graphics.least(), Some(memory(8_573_157_376, 0)));
    write("mem_info_vram_used", "-1\n");
    assert!(why(&graphics).ends_with("mem_info_vram_used: it is no number"));
    assert_eq!(graphics.least(), None);
}

#[test]
fn of_several_the_least_counts_and_those_that_do_not_tell_do_not() {
    let machine = Machine::new();
    for (name, address, total, used) in [
        ("renderD128", "0000:03:00.0", "8000\n", "1000\n"),
        ("renderD129", "0000:04:00.0", "4000\n", "0\n"),
        ("renderD130", "0000:05:00.0", "16000\n", "13000\n"),
    ] {
        let folder = machine.with(name, address, "amdgpu");
        fs::write(folder.join("mem_info_vram_total"), total).unwrap();
        fs::write(folder.join("mem_info_vram_used"), used).unwrap();
    }
    machine.with("renderD131", "0000:00:02.0", "i915");
    let nodes = [128, 129, 130, 131].map(|number| format!("/dev/dri/renderD{number}"));
    let graphics = machine.find(&nodes.each_ref().map(String::as_str), Path::new(NONE));
    assert_eq!(graphics.least(), Some(memory(4_000, 3_000)));
    let told: Vec<_> = graphics.each().map(|(node, memory)| (node.to_owned(), memory)).collect();
    assert_eq!(told[0], ("/dev/dri/renderD128".into(), Ok(memory(8_000, 7_000))));
    let silent = Err("the driver i915 does not tell it".to_owned());
    assert_eq!(told[3], ("/dev/dri/renderD131".into(), silent));
}

#[test]
fn what_is_not_there_is_told_by_its_name() {
    let machine = Machine::new();
    let none = machine.find(&["/dev/dri/renderD128"], Path::new(NONE));
    assert!(why(&none).contains("class/drm/renderD128/device: No such file"), "{}", why(&none));
    machine.with("renderD129", "0000:65:00.0", "nvidia");
    // What NVIDIA's devices share is none.
    for node in ["/dev/nvidia0", "/dev/dri/renderD129"] {
        let shared = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-modeset", node];
        let graphics = machine.find(&shared, Path::new(NONE));
        assert!(why(&graphics).contains(NONE), "{}", why(&graphics));
        assert_eq!(graphics.least(), None);
    }
}

#[test]
fn nvidias_devices_are_found_by_number_and_by_address() {
    let machine = Machine::new();
    machine.with("renderD128", "0000:b3:00.0", "nvidia");
    machine.with("renderD129", "0000:17:00.0", "nvidia");
    let programs = std::env::current_exe().unwrap();
    let double = programs.with_file_name("libnearlight_fake_nvml.so");
    let of = |node: &str| {
        let graphics = machine.find(&[node], &double);
        let mut told: Vec<_> = graphics.each().map(|(_, memory)| memory).collect();
        (told.pop().unwrap(), told.len())
    };
    let [large, small] = [memory(16 << 30, 3 << 30), memory(8 << 30, 7 << 30)];
    assert_eq!(of("/dev/nvidia1"), (Ok(large), 0));
    assert_eq!(of("/dev/nvidia0"), (Ok(small), 0));
    assert_eq!(of("/dev/dri/renderD128"), (Ok(small), 0));
    let (unknown, _) = of("/dev/nvidia2");
    assert_eq!(unknown, Err("NVML has no device of this number".to_owned()));
    let (unknown, _) = of("/dev/dri/renderD129");
    assert!(unknown.as_ref().is_err_and(|why| why.starts_with("NVML: ")), "{unknown:?}");
    let both = machine.find(&["/dev/nvidia1", "/dev/nvidiactl", "/dev/dri/renderD128"], &double);
    assert_eq!(both.least(), Some(memory(8 << 30, 3 << 30)));
}
