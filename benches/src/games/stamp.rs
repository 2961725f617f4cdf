//! What the painter tells with its picture: numbers as blocks of black and white in its upper left corner, so that
//! whoever looks at a picture, wherever on its way, knows when it was painted and which key it shows.

/// Edge of a block in pixels: larger than what a conversion to half the colours blurs.
const BLOCK: usize = 8;
const BITS: usize = 64;
/// Pixels of the strip from left to right.
pub(crate) const WIDTH: usize = BITS * BLOCK;
/// Pixels from top to bottom: a row of blocks for each number.
#[allow(dead_code, reason = "the painter's side")]
pub(crate) const HEIGHT: usize = 4 * BLOCK;
/// Upper half of the third number, by which a picture without a strip is told.
const MAGIC: u64 = 0x6e6c_7374;

/// Nanoseconds of the system's monotonic clock.
pub(crate) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // It counts from the start of the machine.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What a strip says. Times are of the system's monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When painting of this picture began.
    pub(crate) painted: u64,
    /// When the last key came.
    pub(crate) pressed: u64,
    /// Keys that came so far.
    pub(crate) presses: u32,
    /// When the X server was known to have drawn the picture before this one.
    pub(crate) drawn_before: u64,
}

impl Stamp {
    /// The strip as pixels of an X server, BGRX.
    #[allow(dead_code, reason = "the painter's side")]
    pub(crate) fn draw(&self, pixels: &mut [u8]) {
        let keys = MAGIC << 32 | u64::from(self.presses);
        let words = [self.painted, self.pressed, keys, self.drawn_before];
        for (index, pixel) in pixels.chunks_exact_mut(4).enumerate() {
            let (row, bit) = (index / WIDTH / BLOCK, index % WIDTH / BLOCK);
            let white = words.get(row).is_some_and(|word| word >> bit & 1 == 1);
            pixel.fill(if white { 255 } else { 0 });
        }
    }

    /// Reads the strip of a picture by its luma; `None` where there is none.
    #[allow(dead_code, reason = "the node's side")]
    pub(crate) fn read(luma: &[u8], stride: usize) -> Option<Self> {
        let word = |row: usize| {
            let line = luma.get((row * BLOCK + BLOCK / 2) * stride..)?.get(..WIDTH)?;
            let bits = line.iter().skip(BLOCK / 2).step_by(BLOCK).enumerate();
            Some(bits.fold(0_u64, |word, (bit, luma)| word | u64::from(*luma > 127) << bit))
        };
        let (painted, pressed, keys, drawn_before) = (word(0)?, word(1)?, word(2)?, word(3)?);
        let presses = keys as u32;
        (keys >> 32 == MAGIC).then_some(Self { painted, pressed, presses, drawn_before })
    }
}
