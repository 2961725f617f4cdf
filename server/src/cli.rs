//! The command line: `serve`, `doctor`, `check-config`, `openapi`, `version`; `devchain`, which is another program; and
//! `probe-encoders`, by which a node runs itself to try encoders in a process apart.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{self, Config, Log, LogFormat};
use crate::encoders::{PROBE_COMMAND, Probing};
use crate::rented::cli as rented;

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
#[expect(clippy::large_enum_variant, reason = "there is one, for as long as the program runs")]
enum Command {
    /// Run the server until SIGINT or SIGTERM.
    Serve(Source),
    /// Say what this machine can do: every device and encoder candidate, with "ok" or the reason.
    Doctor(Source),
    /// Check the configuration and print it with every default filled in.
    CheckConfig(Source),
    /// A renter's or an owner's.
    #[command(flatten)]
    Rented(rented::Command),
    /// Print the OpenAPI document of the HTTP interface.
    Openapi,
    /// Run a chain of development to rent machines on: the program `nearlight-devchain`, which lies beside this one.
    #[command(disable_help_flag = true)]
    Devchain {
        /// What that program takes, such as `--help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
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
pub(crate) struct Source {
    /// TOML file; see `nearlight.example.toml` for every key.
    #[arg(long, short, env = "NEARLIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// Overrides one key, such as `video.fps=60`. Can be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl Source {
    pub(crate) fn load(&self) -> Result<Config> {
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
        Err(error) if error.is::<rented::Said>() => ExitCode::FAILURE,
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
        Command::Rented(command) => {
            drop(out);
            return rented::run(command);
        }
        Command::Openapi => write!(out, "{}", crate::http::openapi_json())?,
        Command::Devchain { arguments } => return devchain(arguments),
        Command::Version => writeln!(out, "nearlight {}", env!("CARGO_PKG_VERSION"))?,
        Command::ProbeEncoders { preset, names } => {
            // The answers take the standard output for themselves.
            drop(out);
            encoder::probe::answer(&encoder::candidates(), names, *preset)?;
        }
    }
    Ok(())
}

/// Becomes the other program; comes back with an error only.
fn devchain(arguments: &[OsString]) -> Result<()> {
    let ours = std::env::current_exe().context("this program's own file is not known")?;
    let program = ours.with_file_name("nearlight-devchain");
    let error = std::process::Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| format!("{}, which `make devchain` builds", program.display()))
}

fn start_logging(config: &Config) -> Result<()> {
    // Colours are for people: a log file or a journal gets none.
    let ansi = std::io::stderr().is_terminal();
    subscriber(&config.log, std::io::stderr, ansi)?.init();
    Ok(())
}

/// What takes log events and writes those that the configuration asks for.
fn subscriber<W>(log: &Log, writer: W, ansi: bool) -> Result<Box<dyn Subscriber + Send + Sync>>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(&log.filter)
        .with_context(|| format!("log.filter: {:?} is not a filter", log.filter))?
        .and(filter_fn(holds_no_secret));
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    let registry = tracing_subscriber::registry();
    Ok(match log.format {
        LogFormat::Text => Box::new(registry.with(layer.with_filter(filter))),
        LogFormat::Json => Box::new(registry.with(layer.json().with_filter(filter))),
    })
}

/// Whatever the configuration asks for: wtransport writes the headers of requests into its debug events,
/// and a path with its ticket is one of them.
fn holds_no_secret(event: &Metadata<'_>) -> bool {
    !event.target().starts_with("wtransport") || *event.level() <= Level::INFO
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is written for some events.
    fn written(log: &Log, events: impl FnOnce()) -> String {
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = Memory(text.clone());
        tracing::subscriber::with_default(
            subscriber(log, move || writer.clone(), false).unwrap(),
            events,
        );
        let text = text.lock().unwrap();
        String::from_utf8(text.clone()).unwrap()
    }

    #[derive(Clone)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_filter_brings_tickets_into_the_log() {
        for format in [LogFormat::Text, LogFormat::Json] {
            for filter in ["trace", "wtransport=trace", "info,wtransport::driver=debug"] {
                let log = Log { filter: filter.into(), format };
                let text = written(&log, || {
                    tracing::debug!(target: "wtransport::driver", "Headers: a ticket");
                    tracing::trace!(target: "wtransport::driver::worker", "First frame: a ticket");
                    tracing::info!(target: "wtransport::driver", "no secret");
                    tracing::info!("of the node");
                });
                assert!(!text.contains("ticket"), "{filter}: {text}");
                let node = filter != "wtransport=trace";
                assert_eq!(
                    (text.contains("no secret"), text.contains("of the node")),
                    (true, node)
                );
            }
        }
        let log = Log { filter: "=,=".into(), format: LogFormat::Text };
        assert!(subscriber(&log, std::io::sink, false).is_err());
    }
}
