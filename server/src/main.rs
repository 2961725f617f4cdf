//! The `nearlight` binary. Everything is in the library, so that tests can call it.

use std::process::ExitCode;

fn main() -> ExitCode {
    nearlight::cli::run(std::env::args_os())
}
