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
use std::time::Duration;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use media::DeviceId;

static COPIES: AtomicU32 = AtomicU32::new(0);

/// What a call does that was told to do something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It answers this, which no header need know, and does nothing.
    Status(u32),
    /// It waits until it is released, and then does what it was asked.
    Hang,
    /// The process dies in it.
    Crash,
}

impl Effect {
    fn number(self) -> u64 {
        match self {
            Self::Status(status) => status.into(),
            Self::Hang => u64::MAX,
            Self::Crash => u64::MAX - 1,
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

    /// The folder of both under their real names, for the `LD_LIBRARY_PATH` of another process. What
    /// they do there is planned by `FAKE_CUDA_PLAN` and `FAKE_NVENC_PLAN`, such as `cuInit 1 1 crash` or
    /// `nvEncLockBitstream 1 1 hang`.
    pub fn folder(&self) -> &Path {
        &self.folder.0
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

    /// The device is the one that a graphics interface names so; told before the libraries are opened by
    /// who is tested. At first it is `nearlight-fake-0`.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn cuda_device(&self, device: DeviceId) -> io::Result<()> {
        device_named(&self.cuda, "fake_cuda_uuid", device)
    }

    /// Before the device another one is listed, which gives nobody a context.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn cuda_other_device(&self, device: DeviceId) -> io::Result<()> {
        device_named(&self.cuda, "fake_cuda_other_device", device)
    }

    /// From the `nth` call of a function of CUDA on, counted from now and beginning with 1, as many as
    /// `times` calls do this instead. Of several plans for one call the oldest counts.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`], and when there is no such function, or no such call.
    pub fn plan_cuda(&self, call: &str, nth: u32, times: u32, effect: Effect) -> io::Result<()> {
        plan(&self.cuda, call, nth, times, effect)
    }

    /// Ends the hangs of CUDA that there are now.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn release_cuda(&self) -> io::Result<()> {
        release(&self.cuda)
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
        named(&self.encode, "fake_nvenc_omit", entry)
    }

    /// How many sessions of NVENC can be open at once; 8 at first.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_sessions(&self, count: u32) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_sessions", count)
    }

    /// A codec of NVENC (`h264`, `hevc`, `av1`) is not offered.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`], and when there is no such codec.
    pub fn encode_deny(&self, codec: &str) -> io::Result<()> {
        named(&self.encode, "fake_nvenc_deny", codec)
    }

    /// From now on a capability of a codec, by its number in `NV_ENC_CAPS`, is `value`.
    ///
    /// # Errors
    /// As [`FakeGpu::encode_deny`].
    pub fn encode_cap(&self, codec: &str, cap: u32, value: i32) -> io::Result<()> {
        let name = CString::new(codec)?;
        type Cap = unsafe extern "C" fn(*const c_char, u32, i32) -> u32;
        // SAFETY: `fake_nvenc_cap` is declared so, and reads a text that outlives the call.
        let found = unsafe {
            let tell = self.encode.get::<Cap>(b"fake_nvenc_cap\0").map_err(io::Error::other)?;
            tell(name.as_ptr(), cap, value)
        };
        if found == 0 { Err(io::Error::other(format!("no codec {codec}"))) } else { Ok(()) }
    }

    /// Whether pictures in device memory are overwritten with 0xA5 once they were coded; they are at
    /// first.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_poison(&self, on: bool) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_poison", on.into())
    }

    /// This number stands in fields of enumerations that NVENC fills, of which not all have such a
    /// variant: presets, results of locks, mapped formats. `None` is what belongs there.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_fill(&self, number: Option<u32>) -> io::Result<()> {
        match number {
            Some(number) => tell(&self.encode, "fake_nvenc_fill", number),
            // SAFETY: `fake_nvenc_fill_right` is declared so.
            None => unsafe { call(&self.encode, "fake_nvenc_fill_right") },
        }
    }

    /// Whether pictures become the long-term references that they are told to become; they do at first.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_marks(&self, on: bool) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_marks", on.into())
    }

    /// Whether pictures are coded from the long-term references that they are told to be; they are at first.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_goes_back(&self, on: bool) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_goes_back", on.into())
    }

    /// Whether units have parameter sets where NVENC is told to; they have at first.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_parameter_sets(&self, on: bool) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_parameter_sets", on.into())
    }

    /// Whether NVENC counts pictures of H.264 with 7 bits, as few as hardware may; 15 at first.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_few_numbers(&self, on: bool) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_few_numbers", on.into())
    }

    /// For how long each slice of the newest picture has been ready, of 32 at the most; none where they do not become
    /// so [one after another](Self::encode_delay).
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_slice_ages(&self) -> io::Result<Vec<Duration>> {
        let mut ages = [0_u64; 32];
        type Ages = unsafe extern "C" fn(*mut u64, usize) -> usize;
        // SAFETY: `fake_nvenc_slice_ages` is declared so, and there is room for as many as it is told.
        let count = unsafe {
            let ask = self.encode.get::<Ages>(b"fake_nvenc_slice_ages\0");
            ask.map_err(io::Error::other)?(ages.as_mut_ptr(), ages.len())
        };
        Ok(ages[..count].iter().map(|age| Duration::from_nanos(*age)).collect())
    }

    /// Whether sessions that run ignore a new bit rate, and requests for keyframes, without a word.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_ignores(&self, rates: bool, keyframes: bool) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_ignores", u32::from(rates) | u32::from(keyframes) << 1)
    }

    /// How long the hardware takes for a picture beside what coding it takes, in microseconds. Where slices are
    /// read one by one they are ready one after another in that time, and shown as they are; without it all are
    /// ready at once, and each look is shown one more.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_delay(&self, microseconds: u32) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_delay", microseconds)
    }

    /// How many slices of a picture NVENC seems to be done with at the most, until it is told otherwise: a lock
    /// that does not wait tells of so many, and one that waits waits. All of them at first.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_slices(&self, most: u32) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_slices", most)
    }

    /// The next lock of a picture, or one that waits for [slices](Self::encode_slices), answers this status.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_breaks(&self, status: u32) -> io::Result<()> {
        tell(&self.encode, "fake_nvenc_breaks", status)
    }

    /// As [`FakeGpu::plan_cuda`], of an entry of NVENC's table or what its library exports.
    ///
    /// # Errors
    /// As [`FakeGpu::plan_cuda`].
    pub fn plan_encode(&self, call: &str, nth: u32, times: u32, effect: Effect) -> io::Result<()> {
        plan(&self.encode, call, nth, times, effect)
    }

    /// Ends the hangs of NVENC that there are now.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn release_encode(&self) -> io::Result<()> {
        release(&self.encode)
    }

    /// Calls of NVENC in the order in which they returned, each as `name status` and what was asked or
    /// answered, as words `key=value`.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_log(&self) -> io::Result<Vec<String>> {
        lines(&self.encode, "fake_log")
    }

    /// Rules of NVENC that were broken, each as `name: rule`; empty as long as all is well.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_broken_rules(&self) -> io::Result<Vec<String>> {
        lines(&self.encode, "fake_rules")
    }

    /// What was not given back to NVENC; empty when everything is dropped.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_leftovers(&self) -> io::Result<Vec<String>> {
        lines(&self.encode, "fake_leftovers")
    }

    /// How many calls of NVENC there were.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_calls(&self) -> io::Result<u64> {
        count(&self.encode, "fake_calls")
    }

    /// For how long calls of NVENC or its hardware were at work, for measurements that subtract it. What was at
    /// the same time counts once.
    ///
    /// # Errors
    /// As [`FakeGpu::cuda_init_answers`].
    pub fn encode_time(&self) -> io::Result<Duration> {
        count(&self.encode, "fake_nanoseconds").map(Duration::from_nanos)
    }
}

impl Drop for FakeGpu {
    fn drop(&mut self) {
        // A test that failed must not wait for threads that hang. Without the function nothing does.
        let _ = self.release_cuda();
        let _ = self.release_encode();
        let _ = self.encode_slices(u32::MAX);
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

/// Reads the library that cargo built beside the running test, or in `deps` beside the running program.
fn built(name: &str) -> io::Result<Vec<u8>> {
    let exe = std::env::current_exe()?;
    let folder = exe.parent().unwrap_or(Path::new("."));
    let deps = folder.join("deps").join(name);
    let path = if deps.exists() { deps } else { folder.join(name) };
    fs::read(&path).map_err(|error| {
        let hint = "is the fake a dependency of this crate?";
        io::Error::new(error.kind(), format!("{}: {error}; {hint}", path.display()))
    })
}

/// Renames a function in a library's table of names. The dynamic linker finds names by their hash and
/// then compares them, so it does not find it under either name. Says whether there was one.
pub fn hide(library: &mut [u8], symbol: &str) -> bool {
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

/// Calls a function of a fake that takes and answers nothing.
///
/// # Safety
/// It is declared so.
unsafe fn call(library: &Library, function: &str) -> io::Result<()> {
    // SAFETY: the caller's word.
    unsafe {
        let function =
            library.get::<unsafe extern "C" fn()>(function.as_bytes()).map_err(io::Error::other)?;
        function();
    }
    Ok(())
}

fn release(library: &Library) -> io::Result<()> {
    // SAFETY: `fake_release` is declared so.
    unsafe { call(library, "fake_release") }
}

fn plan(library: &Library, call: &str, nth: u32, times: u32, effect: Effect) -> io::Result<()> {
    let name = CString::new(call)?;
    type Plan = unsafe extern "C" fn(*const c_char, u32, u32, u64) -> u32;
    // SAFETY: `fake_plan` is declared so, and reads a text that outlives the call.
    let found = unsafe {
        let plan = library.get::<Plan>(b"fake_plan\0").map_err(io::Error::other)?;
        plan(name.as_ptr(), nth, times, effect.number())
    };
    if found == 0 { Err(io::Error::other(format!("no call {nth} of {call}"))) } else { Ok(()) }
}

/// Tells a fake the name of something that it has.
fn named(library: &Library, function: &str, name: &str) -> io::Result<()> {
    let text = CString::new(name)?;
    type Named = unsafe extern "C" fn(*const c_char) -> u32;
    // SAFETY: all functions of the fakes that take a name are declared so, and read a text that outlives
    // the call.
    let found = unsafe {
        let tell = library.get::<Named>(function.as_bytes()).map_err(io::Error::other)?;
        tell(text.as_ptr())
    };
    if found == 0 { Err(io::Error::other(format!("the fake has no {name}"))) } else { Ok(()) }
}

/// Tells a fake of a device.
fn device_named(library: &Library, function: &str, device: DeviceId) -> io::Result<()> {
    type Named = unsafe extern "C" fn(*const [u8; 16]);
    // SAFETY: all functions of the fakes that take a UUID are declared so, and read bytes that outlive
    // the call.
    unsafe {
        let tell = library.get::<Named>(function.as_bytes()).map_err(io::Error::other)?;
        tell(&raw const device.0);
    }
    Ok(())
}

fn count(library: &Library, function: &str) -> io::Result<u64> {
    // SAFETY: all functions of the fakes that count are declared so.
    unsafe {
        let count = library
            .get::<unsafe extern "C" fn() -> u64>(function.as_bytes())
            .map_err(io::Error::other)?;
        Ok(count())
    }
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
