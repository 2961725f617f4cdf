//! What goes between a hosted game and its player's own machine: the clipboard and files, each way by itself.
//!
//! ```text
//!  [sharing] of the node ∩ [sharing] of the entry = Rules ─▶ Share, one a session
//!  game copies ─▶ Clips ─▶ copies ─▶ driver ─▶ page: "clipboard" ─▶ GET clipboard ─▶ Clips::take
//!  page pastes ─▶ PUT clipboard ─▶ Clips::offer                  files ◀─▶ Exchange
//! ```
//! Nothing of what a game has copied is read before the player asks for it, which is how the player's own switch counts.
//! All of it goes by HTTP, so that it is the same by every transport and holds up no input. What went, and not what was
//! in it, is logged, counted and kept for the session ([`Share::transfers`]).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host::catalogue::{Sharing, Ways};
use host::display::clipboard::{ClipKind, ClipLimits};
use host::display::{Clips, Screen};
use host::exchange::{Exchange, ExchangeLimits};
use host::saves::HomePath;
use media::SessionId;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config;
use crate::games::Hosted;
use crate::metrics::Metrics;
use crate::wire;

/// How long a program may let each step wait when its clipboard is read or filled.
const PATIENCE: Duration = Duration::from_secs(2);
/// Transfers that are remembered of a session; the oldest are forgotten first.
const REMEMBERED: usize = 256;

/// What a session of an entry may share on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    clipboard: Ways,
    clips: ClipLimits,
    files: Ways,
    exchange: ExchangeLimits,
    folder: HomePath,
}

impl Rules {
    /// What both allow; none where that is nothing.
    pub fn of(node: &config::Sharing, entry: &Sharing) -> Option<Self> {
        let clipboard = entry.clipboard.and(node.clipboard.into());
        let files = entry.files.and(node.files.into());
        let bytes = |size: config::HumanSize| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
        let clips = ClipLimits {
            text: bytes(node.text_size),
            image: bytes(node.image_size),
            patience: PATIENCE,
        };
        let exchange = ExchangeLimits {
            file: node.file_size.bytes(),
            total: node.files_size.bytes(),
            count: node.files_count as usize,
        };
        let rules = Self { clipboard, clips, files, exchange, folder: entry.folder.clone() };
        (clipboard.any() || files.any()).then_some(rules)
    }
}

/// What goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A clip of this kind.
    Clip(ClipKind),
    /// A file.
    File,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Clip(kind) => kind.name(),
            Self::File => "file",
        }
    }
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Way {
    ToGame,
    FromGame,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::ToGame => "to_game",
            Self::FromGame => "from_game",
        }
    }

    const fn is_in(self, ways: Ways) -> bool {
        match self {
            Self::ToGame => ways.to_game,
            Self::FromGame => ways.from_game,
        }
    }
}

/// Why something is not shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotShared {
    /// It may not go that way.
    Forbidden,
    /// There is no game, or it has no clipboard.
    NoGame,
}

/// What one session shares: used by HTTP, by the session's driver and by its source.
pub struct Share {
    rules: Rules,
    /// Enough of the session's id to tell it from others.
    session: String,
    metrics: Metrics,
    game: Mutex<Option<Game>>,
    /// How often programs have copied something.
    copies: watch::Sender<u64>,
    transfers: Mutex<VecDeque<wire::Transfer>>,
    /// Held by whoever fills the clipboard, and by whoever reads it: what does lies in memory.
    pub(crate) filling: tokio::sync::Mutex<()>,
    pub(crate) reading: Arc<tokio::sync::Mutex<()>>,
}

struct Game {
    clipboard: Option<Arc<dyn Clips>>,
    exchange: Option<Arc<Exchange>>,
    over: CancellationToken,
    _guard: DropGuard,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Share {
    /// Of a session that is about to start.
    pub(crate) fn new(rules: Rules, id: &SessionId, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            rules,
            session: id.as_str().chars().take(8).collect(),
            metrics,
            game: Mutex::default(),
            copies: watch::channel(0).0,
            transfers: Mutex::default(),
            filling: tokio::sync::Mutex::default(),
            reading: Arc::default(),
        })
    }

    /// The game is about to be launched. What of it cannot be had is logged, and left out.
    pub(crate) fn begin(self: &Arc<Self>, hosted: &Hosted, display: &dyn Screen) {
        let clipboard = self.rules.clipboard.any().then(|| {
            let (copies, told) = (self.copies.clone(), self.rules.clipboard.from_game);
            let tell = Arc::new(move || {
                if told {
                    copies.send_modify(|number| *number += 1);
                }
            });
            display.clipboard(self.rules.clips, tell)
        });
        let exchange = hosted
            .home()
            .filter(|_| self.rules.files.any())
            .map(|home| Exchange::open(home, self.rules.folder.clone(), self.rules.exchange));
        let clipboard = clipboard.and_then(|opened| {
            opened.inspect_err(|error| tracing::warn!(%error, "the game has no clipboard")).ok()
        });
        let exchange = exchange.and_then(|opened| {
            opened.inspect_err(|error| tracing::warn!(%error, "no files for the game")).ok()
        });
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        *self.game() = Some(Game {
            clipboard: clipboard.map(Arc::from),
            exchange: exchange.map(Arc::new),
            over,
            _guard: guard,
        });
    }

    /// The game is over: nothing goes any more, and whatever is on its way is cut off.
    pub(crate) fn end(&self) {
        self.game().take();
    }

    /// What clients are told of it.
    pub(crate) fn told(&self) -> wire::SessionSharing {
        let Rules { clipboard, clips, files, exchange, folder } = &self.rules;
        wire::SessionSharing {
            clipboard: clipboard.any().then_some(wire::ClipboardRules {
                to_game: clipboard.to_game,
                from_game: clipboard.from_game,
                text_bytes: clips.text as u64,
                image_bytes: clips.image as u64,
            }),
            files: files.any().then(|| wire::FileRules {
                upload: files.to_game,
                download: files.from_game,
                file_bytes: exchange.file,
                folder: folder.to_string(),
            }),
        }
    }

    /// Says how often programs have copied something.
    pub(crate) fn copies(&self) -> watch::Receiver<u64> {
        self.copies.subscribe()
    }

    /// Most bytes of what may be put into the clipboard.
    pub(crate) fn most_of_clip(&self, kind: ClipKind) -> usize {
        self.rules.clips.of(kind)
    }

    /// The game's clipboard, to be used this way, and what says that the game is over.
    pub(crate) fn clipboard(
        &self,
        way: Way,
    ) -> Result<(Arc<dyn Clips>, CancellationToken), NotShared> {
        if !way.is_in(self.rules.clipboard) {
            return Err(NotShared::Forbidden);
        }
        let game = self.game();
        let with = |game: &Game| Some((game.clipboard.clone()?, game.over.clone()));
        game.as_ref().and_then(with).ok_or(NotShared::NoGame)
    }

    /// The game's files, to be used this way or whichever is allowed, and what says that the game is over.
    pub(crate) fn files(
        &self,
        way: Option<Way>,
    ) -> Result<(Arc<Exchange>, CancellationToken), NotShared> {
        if !way.map_or(self.rules.files.any(), |way| way.is_in(self.rules.files)) {
            return Err(NotShared::Forbidden);
        }
        let game = self.game();
        let with = |game: &Game| Some((game.exchange.clone()?, game.over.clone()));
        game.as_ref().and_then(with).ok_or(NotShared::NoGame)
    }

    /// Notes that something went. `whole` says whether all of it did.
    pub(crate) fn went(&self, what: What, way: Way, bytes: u64, whole: bool) {
        let (what, way) = (what.name(), way.name());
        tracing::info!(session = self.session, what, way, bytes, whole, "transfer");
        self.metrics.transferred(what, way, bytes);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let mut transfers = self.transfers.lock().unwrap_or_else(PoisonError::into_inner);
        if transfers.len() == REMEMBERED {
            transfers.pop_front();
        }
        transfers.push_back(wire::Transfer {
            at,
            what: what.into(),
            way: way.into(),
            bytes,
            whole,
        });
    }

    /// What went, the oldest first.
    pub fn transfers(&self) -> Vec<wire::Transfer> {
        let transfers = self.transfers.lock().unwrap_or_else(PoisonError::into_inner);
        transfers.iter().cloned().collect()
    }

    fn game(&self) -> MutexGuard<'_, Option<Game>> {
        // Every change is one assignment.
        self.game.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use host::catalogue::{ClipboardWays, FileWays};

    use super::*;

    fn entry(clipboard: ClipboardWays, files: FileWays) -> Sharing {
        let folder = HomePath::parse("Nearlight").unwrap();
        Sharing { clipboard: clipboard.into(), files: files.into(), folder }
    }

    #[test]
    fn a_session_shares_what_node_and_entry_allow() {
        let node = config::Sharing {
            clipboard: ClipboardWays::ToGame,
            files: FileWays::Download,
            ..config::Sharing::default()
        };
        let rules = |entry| Rules::of(&node, &entry);
        assert_eq!(rules(entry(ClipboardWays::None, FileWays::None)), None);
        assert_eq!(rules(entry(ClipboardWays::FromGame, FileWays::Upload)), None);
        let both = rules(entry(ClipboardWays::Both, FileWays::Both)).unwrap();
        assert_eq!(both.clipboard, Ways { to_game: true, from_game: false });
        assert_eq!(both.files, Ways { to_game: false, from_game: true });
    }

    #[test]
    fn what_may_not_go_is_refused_before_there_is_a_game_and_after() {
        let all = config::Sharing::default();
        let rules = Rules::of(&all, &entry(ClipboardWays::ToGame, FileWays::Download)).unwrap();
        let share = Share::new(rules, &SessionId::new("0123456789"), Metrics::new());
        let clipboard = |way| share.clipboard(way).err();
        assert_eq!(clipboard(Way::FromGame), Some(NotShared::Forbidden));
        assert_eq!(clipboard(Way::ToGame), Some(NotShared::NoGame));
        let files = |way| share.files(way).err();
        assert_eq!(files(Some(Way::ToGame)), Some(NotShared::Forbidden));
        assert_eq!(files(None), Some(NotShared::NoGame));
        let told = share.told();
        let (clipboard, files) = (told.clipboard.unwrap(), told.files.unwrap());
        assert!(clipboard.to_game && !clipboard.from_game && !files.upload && files.download);
    }

    #[test]
    fn what_went_is_counted_and_the_oldest_is_forgotten() {
        let metrics = Metrics::new();
        let rules =
            Rules::of(&config::Sharing::default(), &entry(ClipboardWays::Both, FileWays::Both));
        let share = Share::new(rules.unwrap(), &SessionId::new("0123456789"), metrics.clone());
        share.went(What::Clip(ClipKind::Image), Way::FromGame, 7, true);
        for bytes in 0..REMEMBERED as u64 {
            share.went(What::File, Way::ToGame, bytes, bytes > 0);
        }
        let transfers = share.transfers();
        assert_eq!(transfers.len(), REMEMBERED);
        assert_eq!((transfers[0].what.as_str(), transfers[0].whole), ("file", false));
        let text = metrics.encode().unwrap();
        for line in [
            "nearlight_transfers_total{what=\"image\",way=\"from_game\"} 1",
            "nearlight_transfers_total{what=\"file\",way=\"to_game\"} 256",
            "nearlight_transferred_bytes_total{what=\"image\",way=\"from_game\"} 7",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
