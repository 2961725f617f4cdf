//! The games of a node as its folders have them now. They can be looked at again while it runs: what has not changed stays
//! the same app, with what is known and started of it; what cannot be used is listed with the reason.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use host::Host;
use host::catalogue::{Entry, GameId, Refused};
use host::confine::{self, Bubblewrap, Check};
use host::devices::{Kernel, Machine};
use media::{Clock, DeviceId};
use render::captured::CaptureStage;
use render::device::GpuPool;

use super::{GameApp, convert};
use crate::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use crate::config::{self, Config, GameDevices};
use crate::meter::Measured;
use crate::remembered::Remembered;
use crate::saves::{GameSaves, Saves};
use crate::sharing::Rules;
use crate::wire::{EntryKind, KeyboardMode};

/// See the module.
pub struct Library {
    config: Config,
    kernel: Arc<dyn Kernel>,
    /// What converts their pictures, where the processor does not.
    convert: Option<Arc<CaptureStage>>,
    /// What all games share is found with the first of them.
    common: OnceLock<Common>,
    saves: OnceLock<Option<Arc<Saves>>>,
    /// What was found last.
    listed: Mutex<Vec<Listed>>,
}

struct Common {
    host: Result<Arc<dyn Host>, String>,
    remembered: Arc<Remembered>,
}

/// An entry and what was made of it.
#[derive(Clone)]
enum Listed {
    Playable(Box<Entry>, Arc<GameApp>),
    Broken(Arc<Broken>),
}

impl Listed {
    fn id(&self) -> &GameId {
        match self {
            Self::Playable(entry, _) => &entry.id,
            Self::Broken(broken) => &broken.id,
        }
    }

    fn app(&self) -> Arc<dyn App> {
        match self {
            Self::Playable(_, app) => app.clone(),
            Self::Broken(broken) => broken.clone(),
        }
    }
}

/// What came of looking at the folders again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Looked {
    /// Entries that are listed now.
    pub listed: usize,
    /// Those of them that were not there before.
    pub added: usize,
    /// Those of them that are others than before.
    pub changed: usize,
    /// Those that were there before, and are not any more.
    pub removed: usize,
    /// Those of all that are listed which cannot be used as they are; the log says why.
    pub broken: usize,
}

impl Library {
    /// The folders that the configuration names.
    pub fn new(config: &Config) -> Self {
        Self::on(config, Arc::new(Machine))
    }

    /// The same where devices are made by another kernel than this machine's.
    pub fn on(config: &Config, kernel: Arc<dyn Kernel>) -> Self {
        let (common, saves, listed) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        Self { config: config.clone(), kernel, convert: None, common, saves, listed }
    }

    /// Their pictures may be converted on the devices of `pool`, as the configuration says. Nothing was looked at yet.
    #[must_use]
    pub fn with_gpu(self, pool: Arc<GpuPool>) -> Self {
        let convert = convert::open(self.config.games.convert, pool);
        Self { convert, ..self }
    }

    /// Looks at the folders; what there is now, in order, and what of it is new. Reads files, and the first time may look
    /// for what sandboxes need.
    pub fn look(&self) -> (Vec<Arc<dyn App>>, Looked) {
        // Sandboxes show them by whole paths. What cannot be found is refused below, by the name that it was given.
        let whole = |folder: &PathBuf| folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let folders: Vec<_> = self.config.games.folders.iter().map(whole).collect();
        // Whoever looks meanwhile sees what this one found.
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let (entries, refused) = host::catalogue::read(&folders);
        let mut now = Vec::new();
        for entry in entries {
            now.push(self.playable(entry, &listed));
        }
        for refused in refused {
            match &refused.id {
                Some(id) => {
                    tracing::warn!(%refused, "game cannot be played");
                    now.push(broken(id, &refused, &listed));
                }
                None => tracing::warn!(%refused, "game not listed"),
            }
        }
        let looked = compare(&listed, &now);
        *listed = now;
        (listed.iter().map(Listed::app).collect(), looked)
    }

    /// What players keep, also where none of the games keeps anything any more; none where nobody ever has.
    pub(crate) fn kept(&self) -> Option<Arc<Saves>> {
        if Saves::is_there(&self.config) { self.saves().cloned() } else { None }
    }

    /// The app of this entry: the one that there was, if nothing has changed.
    fn playable(&self, entry: Entry, before: &[Listed]) -> Listed {
        let same = before
            .iter()
            .find(|listed| matches!(listed, Listed::Playable(known, _) if **known == entry));
        match same {
            Some(same) => same.clone(),
            None => {
                let app = Arc::new(self.app(entry.clone()));
                Listed::Playable(Box::new(entry), app)
            }
        }
    }

    fn app(&self, mut entry: Entry) -> GameApp {
        let config = &self.config;
        let Common { host, remembered } = self.common();
        let saves = if entry.saves.is_empty() { None } else { self.saves() };
        let saves = saves.and_then(|saves| GameSaves::of(saves, &entry));
        let shares = Rules::of(&config.sharing, &entry.sharing);
        // All but its picture, which costs nothing.
        let whole = format!("{:?}", Entry { poster: None, ..entry.clone() });
        let kept = remembered.of(entry.id.as_str(), &whole);
        let (host, measured) = (host.clone(), Arc::new(Measured::kept(kept)));
        let needs_devices = config.games.devices == GameDevices::Uinput;
        // It is shown no larger and no oftener than anything else on this node.
        let (display, most) = (&mut entry.display, config.video.most());
        display.size = display.size.within(most);
        display.max_size = display.max_size.within(most);
        display.rate = display.rate.at_most(config.video.max_fps);
        let entry = Arc::new(entry);
        let convert = self.convert.clone();
        GameApp { entry, host, saves, shares, measured, needs_devices, convert }
    }

    fn common(&self) -> &Common {
        self.common.get_or_init(|| {
            let host = find(&self.config, self.kernel.clone()).inspect_err(|reason| {
                tracing::warn!(reason, "no games can be played");
            });
            let remembered = Remembered::open(&self.config.server.state_dir);
            Common { host, remembered }
        })
    }

    fn saves(&self) -> Option<&Arc<Saves>> {
        self.saves.get_or_init(|| Saves::open(&self.config)).as_ref()
    }
}

fn broken(id: &GameId, refused: &Refused, before: &[Listed]) -> Listed {
    let problems: Vec<_> = refused.problems.iter().map(ToString::to_string).collect();
    let why = format!("its entry cannot be used: {}", problems.join("; "));
    let known = before.iter().find(|listed| listed.id() == id);
    let last = match known {
        Some(Listed::Broken(broken)) if broken.why == why => return Listed::Broken(broken.clone()),
        Some(Listed::Broken(broken)) => broken.last.clone(),
        Some(Listed::Playable(_, app)) => Some(app.clone()),
        None => None,
    };
    Listed::Broken(Arc::new(Broken { id: id.clone(), why, last }))
}

fn compare(before: &[Listed], now: &[Listed]) -> Looked {
    let known = |listed: &Listed| before.iter().find(|known| known.id() == listed.id());
    let is_same = |one: &Listed, other: &Listed| crate::apps::is_same(&one.app(), &other.app());
    let count = |is_so: &dyn Fn(&&Listed) -> bool| now.iter().filter(is_so).count();
    let gone = before.iter().filter(|known| now.iter().all(|listed| listed.id() != known.id()));
    Looked {
        listed: now.len(),
        added: count(&|listed| known(listed).is_none()),
        changed: count(&|listed| known(listed).is_some_and(|known| !is_same(known, listed))),
        removed: gone.count(),
        broken: count(&|listed| matches!(listed, Listed::Broken(_))),
    }
}

/// An entry that cannot be used as it is. Of one that could be, once, this is what is known of it.
struct Broken {
    id: GameId,
    why: String,
    last: Option<Arc<GameApp>>,
}

impl App for Broken {
    fn info(&self) -> AppInfo {
        let unavailable = Some(self.why.clone());
        if let Some(last) = &self.last {
            return AppInfo { unavailable, ..last.info() };
        }
        AppInfo {
            id: self.id.as_str().to_owned(),
            title: self.id.as_str().to_owned(),
            summary: String::new(),
            kind: EntryKind::Game,
            genre: None,
            licence: None,
            keyboard: KeyboardMode::Places,
            has_poster: false,
            controls: Vec::new(),
            screen: None,
            unavailable,
        }
    }

    fn open(&self, _: VideoMode, _: Arc<dyn Clock>, _: &Start) -> Result<Running, OpenError> {
        Err(OpenError::Content(self.why.clone()))
    }

    fn device(&self) -> Option<DeviceId> {
        None
    }

    fn draws_hdr(&self) -> bool {
        false
    }

    fn has_sound(&self) -> bool {
        false
    }

    fn saves(&self) -> Option<Arc<GameSaves>> {
        self.last.as_ref().and_then(|last| last.saves())
    }

    fn draw_poster(&self) -> Option<Vec<u8>> {
        self.last.as_ref().and_then(|last| last.draw_poster())
    }
}

/// What games are confined by on this node, or why they are not played. This and the checks name its driver, and nothing
/// else does.
fn find(config: &Config, kernel: Arc<dyn Kernel>) -> Result<Arc<dyn Host>, String> {
    let mut confinement = confinement(&config.games, kernel)?;
    confinement.secrets = secrets(config);
    confinement.secrets.push(confinement.run.clone());
    let found = Bubblewrap::find(&confinement);
    let found = found.map_err(|missing| missing.to_string())?;
    tracing::info!(found = ?found.found(), "games are confined");
    if let Err(unavailable) = &found.found().limits {
        tracing::warn!("{unavailable}");
    }
    Ok(Arc::new(found))
}

/// What of it there is on this machine, one thing after the other.
pub(super) fn checks(config: &config::Games) -> Result<Vec<Check>, String> {
    confinement(config, Arc::new(Machine)).map(|config| Bubblewrap::checks(&config))
}

/// What of the node's own no game has business with.
fn secrets(config: &Config) -> Vec<PathBuf> {
    let state = &config.server.state_dir;
    let ours = ["self-signed.key", "ledger", "saves"].map(|name| state.join(name));
    let named = [&config.server.private_key, &config.chain.machine_key_file];
    let named = named.into_iter().filter(|path| !path.as_os_str().is_empty());
    named.chain([state]).chain(&ours).cloned().collect()
}

fn confinement(config: &config::Games, kernel: Arc<dyn Kernel>) -> Result<confine::Config, String> {
    let run = match (config.run.as_os_str().is_empty(), rustix::process::geteuid().is_root()) {
        (false, _) => config.run.clone(),
        (true, true) => PathBuf::from("/run/nearlight"),
        (true, false) => std::env::var_os("XDG_RUNTIME_DIR")
            .map(|folder| PathBuf::from(folder).join("nearlight"))
            .ok_or("games.run names no folder, and there is no $XDG_RUNTIME_DIR")?,
    };
    Ok(confine::Config {
        run,
        bwrap: None,
        display: None,
        xorg: None,
        passt: None,
        gpu: config.gpu.clone(),
        init: (!config.init.as_os_str().is_empty()).then(|| config.init.clone()),
        users: config.first_user..config.first_user.saturating_add(config.users),
        limits: true,
        devices: (config.devices != GameDevices::Off).then_some(kernel),
        secrets: Vec::new(),
    })
}
