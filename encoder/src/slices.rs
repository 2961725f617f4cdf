//! How many slices a picture is cut into, each coded by a core of its own.

/// More than four slices make some Chromium builds glitch, and cost bits for little time.
const MOST: usize = 4;

/// As many as there are cores, up to four.
pub(crate) fn count() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    cores.min(MOST) as u16
}
