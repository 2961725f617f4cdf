//! A driver of NVIDIA's that is none: copies of `fake-cuda` and `fake-nvenc`, each with a state of its own.
//!
//! A test crate that uses it names both fakes as dev-dependencies, so that cargo builds them beside its
//! tests. They must not be linked: they define the driver's own names.
#![expect(unsafe_code, reason = "C libraries are opened and told what to do")]

use std::ffi::{CString, c_char};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

static COPIES: AtomicU32 = AtomicU32::new(0);

/// What a call does that was told to do something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It answers this, which no header need know, and does nothing.
    Status(u32),
    /// It waits until it is released, and then does what it was asked.
    Hang,
}

impl Effect {
    fn number(self) -> u64 {
        match self {
            Self::Status(status) => status.into(),
            Self::Hang => u64::MAX,
        }
    }
}

/// Both libraries in a folder that goes with it. What is open then stays usable.
#[derive(Debug)]
pub struct FakeGpu {
    folder: Folder,
    // Held open: a library that is closed and opened again has forgotten what it was told.
    cuda: Library,
    encode: Library,
}

impl FakeGpu {
    /// A driver in which all is well.
    ///
    /// # Errors
    /// When a library was not built beside the running test, or cannot be copied and opened.
    pub fn fresh() -> io::Result<Self> {
        Self::without(&[])
    }

    /// One whose libraries do not export these functions.
    ///
    /// # Errors
    /// As [`FakeGpu::fresh`], and when neither library has a function of that name.
    pub fn without(symbols: &[&str]) -> io::Result<Self> {
        let mut cuda = built("libnearlight_fake_cuda.so")?;
        let mut encode = built("libnearlight_fake_nvenc.so")?;
        for symbol in symbols {
            // Both, always: `||` would leave the second as it is.
            if !(hide(&mut cuda, symbol) | hide(&mut encode, symbol)) {
                return Err(io::Error::other(format!("no fake has a function {symbol}")));
            }
        }
        let folder = Folder::create()?;
        fs::write(folder.cuda(), cuda)?;
        fs::write(folder.encode(), encode)?;
        let (cuda, encode) = (open(&folder.cuda())?, open(&folder.encode())?);
        Ok(Self { folder, cuda, encode })
    }

    /// Path of the copy that stands for `libcuda.so.1`.
    pub fn cuda(&self) -> PathBuf {
        self.folder.cuda()
    }

    /// Path of the copy that stands for `libnvidia-encode.so.1`.
    pub fn encode(&self) -> PathBuf {
        self.folder.encode()
    }

    /// From now on `cuInit` answers this.
    ///
    /// # Errors
    /// When the library lacks the function that is told; so for all below.
    pub fn cuda_init_answers(&self, result: u32) -> io::Result<()> {
        tell(&self.cuda, "fake_cuda_init_answers", result)
    }

    /// Version of CUDA: 1000 a major one and 10 a minor one.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn cuda_version(&self, version: u32) -> io::Result<()> {
        tell(&self.cuda, "fake_cuda_version", version)
    }

    /// How many devices there are said to be, as the bits of an `int`; the first alone is one.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn cuda_devices(&self, count: u32) -> io::Result<()> {
        tell(&self.cuda, "fake_cuda_devices", count)
    }

    /// From the `nth` call of a function of CUDA on, counted from now and beginning with 1, as many as
    /// `times` calls do this instead. Of several plans for one call the oldest counts.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`], and when there is no such function, or no such call.
    pub fn plan_cuda(&self, call: &str, nth: u32, times: u32, effect: Effect) -> io::Result<()> {
        let name = CString::new(call)?;
        type Plan = unsafe extern "C" fn(*const c_char, u32, u32, u64) -> u32;
        // SAFETY: `fake_plan` is declared so, and reads a text that outlives the call.
        let found = unsafe {
            let plan = self.cuda.get::<Plan>(b"fake_plan\0").map_err(io::Error::other)?;
            plan(name.as_ptr(), nth, times, effect.number())
        };
        if found == 0 { Err(io::Error::other(format!("no call {nth} of {call}"))) } else { Ok(()) }
    }

    /// Ends the hangs of CUDA that there are now.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn release_cuda(&self) -> io::Result<()> {
        // SAFETY: `fake_release` is declared so.
        unsafe {
            let release = self
                .cuda
                .get::<unsafe extern "C" fn()>(b"fake_release\0")
                .map_err(io::Error::other)?;
            release();
        }
        Ok(())
    }

    /// Calls of CUDA in order, each as `name result`.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn cuda_log(&self) -> io::Result<Vec<String>> {
        lines(&self.cuda, "fake_log")
    }

    /// Rules of CUDA that were broken, each as `name: rule`; empty as long as all is well.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn cuda_broken_rules(&self) -> io::Result<Vec<String>> {
        lines(&self.cuda, "fake_rules")
    }

    /// What was not given back to CUDA; empty when everything is dropped. A descriptor counts that a
    /// failed import left to its caller, for as long as its number has the same file.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn cuda_leftovers(&self) -> io::Result<Vec<String>> {
        lines(&self.cuda, "fake_leftovers")
    }

    /// Version of NVENC.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_version(&self, major: u32, minor: u32) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_version", major << 4 | minor)
    }

    /// From now on `NvEncodeAPICreateInstance` answers this, which no header need know.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_create_answers(&self, status: u32) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_create_answers", status)
    }

    /// Leaves an entry out of NVENC's table of functions.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`], and when the table has no such entry.
    pub fn omit(&self, entry: &str) -> io::Result<()> {
        let name = CString::new(entry)?;
        type Omit = unsafe extern "C" fn(*const c_char) -> u32;
        // SAFETY: `fake_nvenc_omit` is declared so, and reads a text that outlives the call.
        let found = unsafe {
            let omit = self.encode.get::<Omit>(b"fake_nvenc_omit\0").map_err(io::Error::other)?;
            omit(name.as_ptr())
        };
        if found == 0 { Err(io::Error::other(format!("no entry {entry}"))) } else { Ok(()) }
    }
}

impl Drop for FakeGpu {
    fn drop(&mut self) {
        // A test that failed must not wait for threads that hang. Without the function nothing does.
        let _ = self.release_cuda();
    }
}

/// A folder that is deleted with it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn create() -> io::Result<Self> {
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let name = format!("nearlight-fake-gpu-{}-{number}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0)?;
        Ok(folder)
    }

    fn cuda(&self) -> PathBuf {
        self.0.join("libcuda.so.1")
    }

    fn encode(&self) -> PathBuf {
        self.0.join("libnvidia-encode.so.1")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // At worst a folder stays among the temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads the library that cargo built beside the running test.
fn built(name: &str) -> io::Result<Vec<u8>> {
    let exe = std::env::current_exe()?;
    let path = exe.parent().unwrap_or(Path::new(".")).join(name);
    fs::read(&path).map_err(|error| {
        let hint = "is the fake a dev-dependency of this crate?";
        io::Error::new(error.kind(), format!("{}: {error}; {hint}", path.display()))
    })
}

/// Renames a function in a library's table of names. The dynamic linker finds names by their hash and
/// then compares them, so it does not find it under either name.
fn hide(library: &mut [u8], symbol: &str) -> bool {
    let name = [b"\0", symbol.as_bytes(), b"\0"].concat();
    let mut found = false;
    let mut from = 0;
    while let Some(at) = library[from..].windows(name.len()).position(|bytes| bytes == name) {
        library[from + at + 1] = b'_';
        found = true;
        from += at + name.len() - 1;
    }
    found
}

fn open(path: &Path) -> io::Result<Library> {
    // SAFETY: a fake of this workspace, which does nothing on being opened.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(io::Error::other)
}

fn tell(library: &Library, function: &str, value: u32) -> io::Result<()> {
    // SAFETY: all functions of the fakes that take a number are declared so.
    unsafe {
        let tell = library
            .get::<unsafe extern "C" fn(u32)>(function.as_bytes())
            .map_err(io::Error::other)?;
        tell(value);
    }
    Ok(())
}

/// Asks for a text, which may grow meanwhile.
fn lines(library: &Library, function: &str) -> io::Result<Vec<String>> {
    type Text = unsafe extern "C" fn(*mut u8, usize) -> usize;
    let mut bytes = Vec::new();
    loop {
        // SAFETY: all functions of the fakes that tell a text are declared so; they write at most as
        // many bytes as there are.
        let length = unsafe {
            let text = library.get::<Text>(function.as_bytes()).map_err(io::Error::other)?;
            text(bytes.as_mut_ptr(), bytes.len())
        };
        if length <= bytes.len() {
            bytes.truncate(length);
            let text = String::from_utf8(bytes).map_err(io::Error::other)?;
            return Ok(text.lines().map(str::to_owned).collect());
        }
        bytes.resize(length, 0);
    }
}
