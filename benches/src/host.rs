//! The server under test, in this process or in a child of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use render::device::{GpuOptions, GpuPool};
use server::apps::App;
use server::config::Config;
use server::encoders::Probing;
use server::node::Node;
use server::scenes::SceneLibrary;
use server::serve::Server;
use server::sync_test::SyncTest;

use crate::apps::Pattern;
use crate::coded::Coded;

/// Catalogue ids.
pub(crate) const DEMO: &str = "demo";
pub(crate) const MOVING: &str = "pattern";
pub(crate) const STILL: &str = "still";
pub(crate) const SYNC_TEST: &str = "sync-test";

/// Coded size of everything that is measured.
pub(crate) const WIDTH: u32 = 1280;
pub(crate) const HEIGHT: u32 = 720;

/// A server on loopback with the demo and the synthetic sources.
pub(crate) struct Host {
    runtime: tokio::runtime::Runtime,
    server: Server,
    /// Pictures that sessions had coded.
    pub(crate) coded: Coded,
    /// Name and driver of the graphics device, or why there is none.
    pub(crate) gpu: Result<(String, String), String>,
}

impl Host {
    /// Starts serving. Without `demo` no graphics device is opened; where there is none, everything
    /// but the demo is served.
    pub(crate) fn start(demo: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("net")
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let pool = if demo {
            GpuPool::open(GpuOptions::default()).map(Arc::new).map_err(|error| error.to_string())
        } else {
            Err("not opened: no section that was asked for needs one".into())
        };
        let gpu = pool.as_ref().map_err(Clone::clone).map(|pool| {
            let gpu = pool.current();
            (gpu.name().to_owned(), gpu.driver())
        });
        let coded = Coded::default();
        let watching = coded.clone();
        let open = move |config: Config| {
            let pool = pool.ok();
            let mut apps = match &pool {
                Some(pool) => SceneLibrary::new(pool.clone(), &config).apps(),
                None => Vec::new(),
            };
            apps.push(
                Arc::new(Pattern { id: MOVING, title: "Pattern", moves: true }) as Arc<dyn App>
            );
            // The scenes bring it where there is a graphics device.
            if apps.iter().all(|app| app.info().id != SYNC_TEST) {
                apps.push(Arc::new(SyncTest));
            }
            apps.push(Arc::new(Pattern { id: STILL, title: "Still", moves: false }));
            let probing = Probing::in_process();
            let candidates = watching.watch(&probing.candidates);
            Node::with_apps(config, pool, apps, Probing { candidates, ..probing })
        };
        let server = runtime.block_on(Server::bind_with(config(), open))?;
        Ok(Self { runtime, server, coded, gpu })
    }

    /// The node.
    pub(crate) fn node(&self) -> &Arc<Node> {
        self.server.node()
    }

    /// Whether the demo can be played, else the reason.
    pub(crate) fn demo(&self) -> Result<String> {
        if let Err(reason) = &self.gpu {
            bail!("no graphics device: {reason}");
        }
        let entry = self.node().catalogue.find(DEMO).context("the catalogue has no demo")?;
        let info = entry.app.info();
        match info.unavailable {
            Some(reason) => bail!("the demo cannot be played: {reason}"),
            None => Ok(info.title),
        }
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Ends all sessions and stops.
    pub(crate) fn stop(self) {
        self.runtime.block_on(self.server.shut_down());
    }
}

/// The page that plays `app` on a server at `base`.
pub(crate) fn play_url(base: &str, app: &str, fps: u32, kbps: u32, barcode: bool) -> String {
    let strip = if barcode { "&barcode=1" } else { "" };
    format!("{base}?play={app}&width={WIDTH}&height={HEIGHT}&fps={fps}&kbps={kbps}{strip}")
}

fn config() -> Config {
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.ops.listen = ([127, 0, 0, 1], 0).into();
    config.webrtc.udp_port = 0;
    config.access.open = true;
    // Admission is not what is measured.
    config.sessions.max_pixel_rate = u64::MAX;
    config.sessions.max = 64;
    config
}

/// What a child does: serves, says where, and stops when its input ends.
pub(crate) fn serve_until_stdin_ends() -> Result<()> {
    let host = Host::start(true)?;
    host.demo()?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", host.url())?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    host.stop();
    Ok(())
}

/// A server in a process of its own. Dropping it stops it.
pub(crate) struct ChildHost {
    child: Child,
    input: Option<ChildStdin>,
    /// Where the page is.
    pub(crate) url: String,
}

impl ChildHost {
    /// Starts it and waits until it serves.
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--child", "host"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the server's process does not start")?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("the server's process has no output")?;
        let mut host = Self { child, input, url: String::new() };
        BufReader::new(output).read_line(&mut host.url)?;
        host.url.truncate(host.url.trim_end().len());
        if host.url.is_empty() {
            bail!("the server's process does not serve; what it says is above");
        }
        Ok(host)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ChildHost {
    fn drop(&mut self) {
        // It has a grace of its own for its sessions, and then ends.
        self.input = None;
        let _ = self.child.wait();
    }
}
