//! Libraries that are known by the number in their file's name, of which a system has one or another.

use std::ffi::OsStr;
use std::ops::RangeInclusive;

use crate::candidates::OpenError;
use crate::cuda::Unavailable;
use crate::cuda::loader::DriverLibrary;

/// What a system has.
pub(crate) enum Found<K> {
    /// One that is known.
    Known(DriverLibrary, K),
    /// None of those; perhaps one of another number.
    Other(Option<u32>),
}

/// Opens the first of `known` that is there, whose names `file` says. Where none is, it looks for
/// `stem.N` of the numbers in `others`, the greatest first.
///
/// # Errors
/// [`OpenError::Refused`] when one that is known is there and cannot be opened.
pub(crate) fn find<K: Copy>(
    known: &[K],
    file: impl Fn(&K) -> &'static str,
    stem: &str,
    others: RangeInclusive<u32>,
) -> Result<Found<K>, OpenError> {
    for one in known {
        match DriverLibrary::open(OsStr::new(file(one))) {
            Ok(library) => return Ok(Found::Known(library, *one)),
            Err(Unavailable::NoLibrary { .. }) => {}
            Err(other) => return Err(OpenError::Refused(other.to_string())),
        }
    }
    let is_there =
        |number: &u32| DriverLibrary::open(OsStr::new(&format!("{stem}.{number}"))).is_ok();
    Ok(Found::Other(others.rev().find(is_there)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_there_is_taken_and_others_are_named() {
        // What every program here is linked with has a number too.
        let files = ["libnonesuch.so.1", "libc.so.6"];
        let found = |known: &[usize], stem| match find(known, |&n| files[n], stem, 4..=9) {
            Ok(Found::Known(_, n)) => Ok(n),
            Ok(Found::Other(number)) => Err(number),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found(&[0, 1], "libnonesuch.so"), Ok(1));
        assert_eq!(found(&[0], "libc.so"), Err(Some(6)));
        assert_eq!(found(&[0], "libnonesuch.so"), Err(None));
    }
}
