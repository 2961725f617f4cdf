//! Confines and runs games by bubblewrap: each in a sandbox of its own that also holds its X server.
//!
//! ```text
//!  node ── Sandbox ──▶ thread ── spawn ──▶ bwrap ──▶ nearlight-init (first process of the sandbox)
//!           │  ▲         │  ▲                            │        │
//!           │  └─ phase ─┘  └──── SEQPACKET: reports ◀───┤        ├──▶ X server ◀─┐
//!           └─ home, X socket (descriptors) ◀────────────┘        └──▶ game ──────┘ MIT-SHM
//! ```
//!
//! Layers, outermost first: namespaces for users, mounts, processes, IPC, names, control groups and the
//! network; no capabilities and no new privileges; a filter of system calls; limits by control group and
//! by resource limits; where the node is root, a user of the host for each game. What a game can write to
//! is memory of its own. The node takes nothing that comes out of a sandbox on trust: it opens files
//! below descriptors (`RESOLVE_BENEATH`), and bounds what it reads.
//!
//! One thread a sandbox makes, watches and removes it; bubblewrap dies with that thread, and everything in
//! the sandbox with its first process. Whatever a sandbox made on the host is gone when its end is told.
//! What a node that crashed left behind is removed when the next one starts.
//!
//! While a sandbox is suspended its X server is halted too: whoever waits for an answer of it waits.

pub mod attempts;
pub mod cgroup;
mod checks;
pub mod command;
mod devices;
pub mod filter;
mod find;
mod folder;
pub mod internet;
mod launch;
pub mod lines;
pub mod machine;
mod mark;
pub mod processes;
pub mod protocol;
mod run;
mod running;
mod sandbox;
pub mod spec;
mod stand_ins;
mod users;
pub mod xorg;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use attempts::Books;
pub use attempts::{Attempt, Attempts};
pub use checks::Check;
use find::Parts;
pub use find::{Found, Missing, Tool};
pub use folder::{Cookie, User};
pub use machine::{End, Exit, How, Patience, Phase, Step};
pub use mark::Mark;
use media::GraphicsMemory;
use run::Plan;
pub use sandbox::{Display, EventFn, Sandbox};
pub use spec::{Bind, Input, Limits, Network, Program, Refused, Server, Spec};
use users::Users;

use crate::devices::{DeviceFolder, Kernel};
use crate::graphics::Graphics;
use crate::{Game, Host, Offers};

/// Where things are.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder for the sandboxes' own files. Every user must be able to pass through it and what it lies in.
    /// Short: the paths of sockets below it may have 107 bytes.
    pub run: PathBuf,
    /// Bubblewrap; looked for in `PATH` when there is none.
    pub bwrap: Option<PathBuf>,
    /// The X server (Xvfb, or what takes its arguments); looked for in `PATH` when there is none.
    pub display: Option<PathBuf>,
    /// The folder of Xorg and its modules, the X server for every finger, in `/usr`; looked for where Debian has it when there is
    /// none.
    pub xorg: Option<PathBuf>,
    /// passt, which gives games the internet; looked for in `PATH` when there is none.
    pub passt: Option<PathBuf>,
    /// Device nodes of graphics devices that games may have which ask for one.
    pub gpu: Vec<PathBuf>,
    /// `nearlight-init`; looked for beside the running program when there is none.
    pub init: Option<PathBuf>,
    /// Users of the host that games run as where the node is root. Nothing else may use them.
    pub users: Range<u32>,
    /// Whether control groups are used.
    pub limits: bool,
    /// What makes gamepads and pens for sessions; nothing where they are to have none of the kernel's.
    pub devices: Option<Arc<dyn Kernel>>,
    /// What of the host no game has business with: where one opens it all the same, it finds nothing, and is noticed.
    pub secrets: Vec<PathBuf>,
}

/// What makes sandboxes: the driver of [`Host`] that there is.
pub struct Bubblewrap {
    parts: Parts,
    graphics: Graphics,
    devices: Option<Arc<dyn Kernel>>,
    users: Option<Users>,
    secrets: Vec<PathBuf>,
    attempts: Arc<Attempts>,
}

impl std::fmt::Debug for Bubblewrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bubblewrap").field("found", &self.parts.found).finish_non_exhaustive()
    }
}

impl Bubblewrap {
    /// Looks for what is needed and tries it out: makes a sandbox and ends it. Removes what nodes that
    /// crashed left behind. Takes up to a minute where programs hang, and some ten milliseconds else.
    ///
    /// # Errors
    /// What is missing.
    pub fn find(config: &Config) -> Result<Self, Missing> {
        let parts = find::parts(config)?;
        let users = parts.found.own_users.then(|| Users::new(config.users.clone()));
        let (devices, secrets) = (config.devices.clone(), config.secrets.clone());
        let graphics = Graphics::of(&config.gpu);
        Ok(Self { parts, graphics, devices, users, secrets, attempts: Arc::default() })
    }

    /// Looks for each thing that is needed or made use of, also where another is missing: for people who ask why. Takes
    /// as long as [`find`](Self::find), and leaves nothing behind.
    pub fn checks(config: &Config) -> Vec<Check> {
        checks::checks(config)
    }

    /// What was found.
    pub fn found(&self) -> &Found {
        &self.parts.found
    }

    /// What [`Host::start`] makes. Returns as soon as its folder and its control group are there.
    ///
    /// # Errors
    /// [`Refused`]; nothing is left of the attempt.
    pub fn sandbox(&self, spec: &Spec, events: EventFn) -> Result<Sandbox, Refused> {
        spec.check(self.parts.run.path())?;
        let internet = match (spec.network, &self.parts.internet) {
            (Network::None, _) => None,
            (Network::Internet, Ok(tools)) => Some(tools.clone()),
            (Network::Internet, Err(reason)) => return Err(Refused::Network(reason.clone())),
        };
        if let (Server::Xorg, Err(reason)) = (spec.server, &self.parts.host.xorg) {
            return Err(Refused::Server(reason.clone()));
        }
        let lease = match &self.users {
            Some(users) => Some(users.take().ok_or(Refused::Users(users.count()))?),
            None => None,
        };
        let own_users = lease.is_some();
        let groups = devices::groups(&spec.devices, own_users)?;
        let user = lease.as_ref().map(|lease| User { uid: lease.uid, gid: lease.uid });
        let input = match (spec.input, user, &self.parts.found.offers.devices) {
            (Input::Devices, _, Err(reason)) => return Err(Refused::Devices(reason.clone())),
            (Input::Devices, Some(user), Ok(_)) => Some(Arc::new(
                DeviceFolder::make(user.gid).map_err(Refused::system("a folder of devices"))?,
            )),
            _ => None,
        };
        let mut cookie = Cookie::default();
        getrandom::fill(&mut cookie).map_err(|e| Refused::system("a cookie")(e.into()))?;
        let folder = self.parts.run.make(&spec.id, user, &cookie).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                return Refused::Exists(spec.id.clone());
            }
            Refused::system("the folder of the sandbox")(error)
        })?;
        if spec.server == Server::Xorg {
            let text = xorg::config(spec.largest, command::X_FOLDER.as_ref());
            folder.configure(&text).map_err(Refused::system("the display's configuration"))?;
        }
        let group = match &self.parts.limits {
            Ok(tree) => Some(
                tree.make(&spec.id, &spec.limits).map_err(Refused::system("the control group"))?,
            ),
            Err(_) => None,
        };
        let secrets = self.secrets.iter().filter_map(|path| path.canonicalize().ok());
        let secrets: Vec<_> = secrets.collect();
        let plan = Plan {
            id: spec.id.clone(),
            bwrap: self.parts.found.bwrap.path.clone(),
            host: self.parts.host.clone(),
            internet,
            filter: self.parts.filter.clone(),
            spec: spec.clone(),
            folder,
            input,
            group,
            user,
            groups,
            lease,
            lures: spec.hidden(&secrets),
            books: Books { session: Arc::default(), node: self.attempts.clone() },
        };
        Sandbox::spawn(plan, cookie, events)
    }
}

impl Host for Bubblewrap {
    fn offers(&self) -> &Offers {
        &self.parts.found.offers
    }

    fn devices(&self) -> Option<&Arc<dyn Kernel>> {
        self.devices.as_ref().filter(|_| self.offers().devices.is_ok())
    }

    fn graphics_memory(&self) -> Option<GraphicsMemory> {
        self.graphics.least()
    }

    fn attempts(&self) -> &Arc<Attempts> {
        &self.attempts
    }

    fn start(&self, spec: &Spec, events: EventFn) -> Result<Box<dyn Game>, Refused> {
        Ok(Box::new(self.sandbox(spec, events)?))
    }
}
