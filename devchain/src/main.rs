//! `nearlight-devchain`: see `--help`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use nearlight_devchain::{Node, Seal, rpc};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

type Error = Box<dyn std::error::Error>;

/// A chain to rent machines on for development: real FRAME pallets, run natively, served to subxt and @polkadot/api.
///
/// Accounts of Substrate's development phrase have money: //Alice to //Ferdie 1,000,000 DBC each. The machine is owned by
/// //Alice//stash and controlled by //Charlie. The first line on stdout is JSON: url, genesis, specVersion, machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to serve JSON-RPC, over WebSocket and HTTP. Whoever reaches it can do anything to this chain.
    #[arg(long, default_value = "127.0.0.1:9944")]
    listen: SocketAddr,
    /// The real chain's runtime that this one shows itself as: 400 lacks what came with 410 and 411.
    #[arg(long, default_value = "411", value_parser = shape)]
    shape: u32,
    /// When blocks are made: `instant` (with each transaction), `manual` (by dev_newBlocks) or every so often, such as 6s.
    #[arg(long, default_value = "instant", value_parser = seal)]
    seal: Seal,
    /// The folder that the chain is kept in; without it, it is forgotten.
    #[arg(long)]
    data: Option<PathBuf>,
}

fn shape(text: &str) -> Result<u32, String> {
    match text {
        "400" => Ok(400),
        "411" => Ok(runtime::NEWEST_SPEC),
        _ => Err("it is 400 or 411".to_owned()),
    }
}

fn seal(text: &str) -> Result<Seal, String> {
    let wrong = "it is instant, manual, or a time such as 6s or 500ms";
    match text {
        "instant" => return Ok(Seal::Instant),
        "manual" => return Ok(Seal::Manual),
        _ => {}
    }
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').ok_or(wrong)?, 1_000),
    };
    let count: u64 = digits.parse().map_err(|_| wrong)?;
    let period = count.checked_mul(unit).filter(|period| (1..=60_000).contains(period));
    period.map(Seal::Every).ok_or_else(|| wrong.to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "nearlight-devchain: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<(), Error> {
    let (mut term, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let Arguments { data, shape, seal, listen } = arguments;
    let node = Arc::new(Node::open(data.as_deref(), *shape, *seal, Arc::new(now))?);
    let (address, server) = rpc::serve(Arc::clone(&node), *listen).await?;
    let first = serde_json::json!({
        "url": format!("ws://{address}"),
        "genesis": node.genesis(),
        "specVersion": node.spec_version()?,
        "machine": runtime::genesis::machine(),
    });
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{first}")?;
    stdout.flush()?;
    if let Seal::Every(period) = seal {
        tokio::spawn(tick(node, Duration::from_millis(*period)));
    }
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.stop()?;
    server.stopped().await;
    Ok(())
}

async fn tick(node: Arc<Node>, period: Duration) {
    let mut timer = tokio::time::interval(period);
    timer.tick().await;
    loop {
        timer.tick().await;
        let node = Arc::clone(&node);
        let _ = tokio::task::spawn_blocking(move || node.tick()).await;
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
