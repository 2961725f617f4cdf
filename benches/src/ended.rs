//! How a bench ends: what it missed, and what it exits with. The same for all benches.
//!
//! | status | |
//! |---|---|
//! | 0 | it ran to its end; what was missed is printed |
//! | 1 | something did not run to its end, or could not be measured |
//! | 2 | the arguments are none that it takes |
//! | 3 | it ran to its end with `--strict`, and targets were missed |

use std::io::{Result, Write as _, stdout};
use std::process::ExitCode;

const FAILED: u8 = 1;
const MISSED: u8 = 3;

/// How a bench went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// All of it ran to its end.
    pub(crate) is_whole: bool,
    /// Targets were missed.
    pub(crate) is_missed: bool,
    /// These fail it.
    pub(crate) strict: bool,
}

impl Ended {
    /// What is no bench, such as a child of one, went well.
    #[allow(dead_code, reason = "not every bench has children")]
    pub(crate) const FINE: Self = Self { is_whole: true, is_missed: false, strict: false };

    const fn status(self) -> u8 {
        match self {
            Self { is_whole: false, .. } => FAILED,
            Self { is_missed: true, strict: true, .. } => MISSED,
            _ => 0,
        }
    }
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        Self::from(ended.status())
    }
}

/// Prints those targets that were missed, of so many that were judged.
pub(crate) fn missed(lines: &[String], judged: usize) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "\nmissed: {} of {judged}", lines.len())?;
    for line in lines {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_fails_a_bench_that_is_to_be_strict() {
        let status = |is_whole, is_missed, strict| Ended { is_whole, is_missed, strict }.status();
        assert_eq!([false, true].map(|strict| status(true, true, strict)), [0, MISSED]);
        assert_eq!([false, true].map(|strict| status(true, false, strict)), [0, 0]);
        // What was not measured may have been missed as well.
        assert_eq!([false, true].map(|strict| status(false, true, strict)), [FAILED; 2]);
        assert_eq!(status(false, false, true), FAILED);
    }
}
