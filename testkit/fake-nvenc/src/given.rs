//! Structures of the caller's, read and written field by field.
//!
//! The caller may have written any number where the bindings have an enumeration. So no reference to a
//! structure is ever made: an enumeration is read as the 32 bits that it is, and only fields of which
//! every value is valid are read as what they are.

use crate::CONTROL;
use crate::status::{INVALID_PARAM, INVALID_PTR, INVALID_VERSION};

/// A call in progress: its name, and what the log tells beside its result.
pub(crate) struct Call<'a> {
    pub(crate) name: &'static str,
    pub(crate) detail: &'a mut String,
}

impl Call<'_> {
    /// Records a broken rule. Answers `status`, for which the SDK has to be asked.
    pub(crate) fn refuse(&self, status: u32, rule: &str) -> u32 {
        CONTROL.broke(self.name, rule);
        status
    }
}

/// A structure whose version was checked.
pub(crate) struct Given<T>(pub(crate) *mut T);

impl<T> Given<T> {
    /// # Safety
    /// `at` is null or points to the structure, which begins with its version and is as large as a `T`
    /// when that is `version`. It stays so as long as what is returned.
    pub(crate) unsafe fn new(call: &Call<'_>, at: *mut T, version: u32) -> Result<Self, u32> {
        let name = short::<T>();
        if at.is_null() || !at.is_aligned() {
            return Err(call.refuse(INVALID_PTR, &format!("no {name}")));
        }
        // SAFETY: not null, and the caller's word for the rest.
        let found = unsafe { at.cast::<u32>().read() };
        if found != version {
            let rule = format!("version {found:#x} of {name}, which is {version:#x}");
            return Err(call.refuse(INVALID_VERSION, &rule));
        }
        Ok(Self(at))
    }

    /// Whether bytes are zero; by [`zero`].
    ///
    /// # Safety
    /// `bytes` of them can be read at `at`.
    pub(crate) unsafe fn is_zero(at: *const u8, bytes: usize) -> bool {
        // SAFETY: the caller's word. Reserved fields are numbers and pointers, without padding.
        unsafe { std::slice::from_raw_parts(at, bytes) }.iter().all(|byte| *byte == 0)
    }

    pub(crate) fn not_zero(call: &Call<'_>, field: &str) -> u32 {
        call.refuse(INVALID_PARAM, &format!("{}::{field} is not zero", short::<T>()))
    }
}

/// The name of a structure, without its module and the underscore of its tag.
fn short<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name).trim_start_matches('_')
}

/// A field of 32 bits as a number, whatever its type is. To be used where a `Given`'s pointer may be read.
macro_rules! word {
    ($given:expr, $($field:tt)+) => { (&raw const (*$given.0).$($field)+).cast::<u32>().read() };
}

/// A field of a type of which every value is valid.
macro_rules! value {
    ($given:expr, $($field:tt)+) => { (&raw const (*$given.0).$($field)+).read() };
}

/// Writes a number of 32 bits into a field, whatever its type is.
macro_rules! put_word {
    ($given:expr, $field:ident = $value:expr) => {
        (&raw mut (*$given.0).$field).cast::<u32>().write($value)
    };
}

/// Writes a field.
macro_rules! put {
    ($given:expr, $field:ident = $value:expr) => {
        (&raw mut (*$given.0).$field).write($value)
    };
}

/// Checks that reserved fields are zero, as the SDK asks for all of them.
macro_rules! zero {
    ($call:expr, $given:expr, $type:ty: $($field:ident),+) => {{
        $(
            let at = &raw const (*$given.0).$field;
            if !$crate::given::Given::<$type>::is_zero(at.cast(), size_of_val(&*at)) {
                return Err($crate::given::Given::<$type>::not_zero($call, stringify!($field)));
            }
        )+
    }};
}

pub(crate) use {put, put_word, value, word, zero};

/// Hands over a result.
///
/// # Safety
/// `to` is null or can hold a `T`.
pub(crate) unsafe fn hand_over<T>(call: &Call<'_>, to: *mut T, value: T) -> Result<(), u32> {
    if to.is_null() || !to.is_aligned() {
        return Err(call.refuse(INVALID_PTR, "nowhere to write the result to"));
    }
    // SAFETY: not null, and the caller's word for the rest.
    unsafe { to.write(value) };
    Ok(())
}

/// Hands over as many of a list as there is room for, and how many those are.
///
/// # Safety
/// `to` is null or can hold `room` values, and `count` is null or can hold a number.
pub(crate) unsafe fn hand_over_list<T: Copy>(
    call: &Call<'_>,
    list: &[T],
    to: *mut T,
    room: u32,
    count: *mut u32,
) -> Result<(), u32> {
    if to.is_null() || !to.is_aligned() {
        return Err(call.refuse(INVALID_PTR, "nowhere to write the list to"));
    }
    let written = list.len().min(room as usize);
    // SAFETY: not null, and the caller's word for the room.
    unsafe { to.copy_from_nonoverlapping(list.as_ptr(), written) };
    // SAFETY: passed on.
    unsafe { hand_over(call, count, written as u32) }
}
