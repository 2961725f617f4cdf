//! Memory for a C library to fill that shows where it wrote.

/// Bytes after a structure that the library must leave alone.
const GUARD: usize = 256;

/// What memory holds that nothing was written to.
pub(crate) const UNTOUCHED: u8 = 0xa5;

/// A structure that the library fills, and more, should it be larger there.
#[repr(C, align(16))]
pub(crate) struct Guarded<T> {
    pub(crate) value: T,
    guard: [u8; GUARD],
}

impl<T> Guarded<T> {
    pub(crate) const fn around(value: T) -> Self {
        Self { value, guard: [UNTOUCHED; GUARD] }
    }

    /// Whether nothing was written behind the structure.
    pub(crate) fn is_intact(&self) -> bool {
        self.guard == [UNTOUCHED; GUARD]
    }
}
