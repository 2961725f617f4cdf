//! Memory that the driver writes.
//!
//! The bindings make C's enumerations Rust's, and some have no variant of value zero; the driver may
//! leave such a field as it was, or write a value that is newer than the headers. A Rust value with
//! such a field must then not exist, not even by reference. So what the driver writes stays behind a
//! pointer, and fields are read one by one with a type that holds whatever lies there.
#![expect(unsafe_code, reason = "memory that a C library writes; confined to this module")]

use std::mem::MaybeUninit;

/// A structure of the driver's interface, on the heap since some are many kilobytes.
pub(crate) struct Driver<T>(Box<MaybeUninit<T>>);

// SAFETY: only bytes: pointers among them are followed by the driver, on whichever thread calls it.
unsafe impl<T> Send for Driver<T> {}

impl<T> Driver<T> {
    /// All bytes zero, as the SDK asks of reserved fields.
    pub(crate) fn zeroed() -> Self {
        let mut memory = Box::<T>::new_uninit();
        // SAFETY: the box is as large as one `T`.
        unsafe { memory.as_mut_ptr().write_bytes(0, 1) };
        Self(memory)
    }

    /// All bytes zero again.
    pub(crate) fn clear(&mut self) -> *mut T {
        // SAFETY: the box is as large as one `T`.
        unsafe { self.0.as_mut_ptr().write_bytes(0, 1) };
        self.0.as_mut_ptr()
    }

    /// For calls, and for fields by `&raw mut (*pointer).field`; making a reference is what must not be
    /// done with it.
    pub(crate) fn pointer(&mut self) -> *mut T {
        self.0.as_mut_ptr()
    }
}
