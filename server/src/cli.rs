//! The command line: `serve`, `doctor`, `check-config`, `openapi`, `version`; and `probe-encoders`, by which a node
//! runs itself to try encoders in a process apart.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::config::{self, Config, LogFormat};
use crate::encoders::{PROBE_COMMAND, Probing};

/// The program that runs, also when its file has been replaced meanwhile.
const OURSELVES: &str = "/proc/self/exe";

/// Renders scenes and streams them to browsers.
#[derive(Debug, Parser)]
#[command(name = "nearlight", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGINT or SIGTERM.
    Serve(Source),
    /// Say what this machine can do: every device and encoder candidate, with "ok" or the reason.
    Doctor(Source),
    /// Check the configuration and print it with every default filled in.
    CheckConfig(Source),
    /// Print the OpenAPI document of the HTTP interface.
    Openapi,
    /// Print the version.
    Version,
    /// Try these encoders and print what came of each, a line of JSON each. Of the same build only.
    #[command(name = PROBE_COMMAND, hide = true)]
    ProbeEncoders {
        /// The preset to try them with.
        #[arg(long, default_value_t = encoder::Speed::Auto)]
        preset: encoder::Speed,
        /// Their names.
        names: Vec<String>,
    },
}

/// Where the configuration comes from.
#[derive(Debug, clap::Args)]
struct Source {
    /// TOML file; see `nearlight.example.toml` for every key.
    #[arg(long, short, env = "NEARLIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// Overrides one key, such as `video.fps=60`. Can be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl Source {
    fn load(&self) -> Result<Config> {
        config::load(self.config.as_deref(), std::env::vars(), &self.overrides)
            .context("the configuration is not valid")
    }
}

/// Runs the command line and says how it went.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are not failures; clap knows which stream each belongs on.
            let failed = error.use_stderr();
            let _ = error.print();
            return if failed { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match execute(&arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "nearlight: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: &Command) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match command {
        Command::Serve(source) => {
            let config = source.load()?;
            start_logging(&config)?;
            drop(out);
            let probing = Probing::in_children(PathBuf::from(OURSELVES), &config);
            crate::serve::run(config, probing)?;
        }
        Command::Doctor(source) => {
            let config = source.load()?;
            let probing = Probing::in_children(PathBuf::from(OURSELVES), &config);
            let (report, starts) = crate::doctor::report(&config, &probing);
            write!(out, "{report}")?;
            anyhow::ensure!(starts, "this machine cannot run a node, see above");
        }
        Command::CheckConfig(source) => write!(out, "{}", toml::to_string(&source.load()?)?)?,
        Command::Openapi => write!(out, "{}", crate::http::openapi_json())?,
        Command::Version => writeln!(out, "nearlight {}", env!("CARGO_PKG_VERSION"))?,
        Command::ProbeEncoders { preset, names } => {
            // The answers take the standard output for themselves.
            drop(out);
            encoder::probe::answer(&encoder::candidates(), names, *preset)?;
        }
    }
    Ok(())
}

fn start_logging(config: &Config) -> Result<()> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::builder()
        .parse(&config.log.filter)
        .with_context(|| format!("log.filter: {:?} is not a filter", config.log.filter))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are for people: a log file or a journal gets none.
        .with_ansi(std::io::stderr().is_terminal());
    match config.log.format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}
