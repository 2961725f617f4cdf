//! A session is made: from the wish to its place, its keys and its task.

use std::sync::{Arc, PoisonError};

use anyhow::Result;
use encoder::SoundConfig;
use media::audio::CHANNELS;
use media::{
    Bitrate, Codec, CodecSet, FrameRate, GraphicsMemory, Layout, PictureKind, SessionId, Size,
    TrackId,
};
use session::admission::{Demand, Permit};

use crate::ahead::Taken;
use crate::apps::{self, App, ScreenInfo, VideoMode};
use crate::booking::{Booking, Bounds};
use crate::drive::SoundPlan;
use crate::http::Problem;
use crate::registry::Entry;
use crate::rented::{Claim, Tenancy};
use crate::saves::{Begins, Keep, Player, Wish};
use crate::sharing::Share;
use crate::{drive, wire};

use super::keys::random_text;
use super::room::{self, Place};
use super::{Keys, Node};

/// A session that somebody wishes for, with what it is of: the catalogue's entry is looked up once, whatever becomes of the
/// catalogue before the session is made.
pub struct Wished {
    wish: wire::NewSession,
    app: Arc<dyn App>,
    /// What it keeps.
    keep: Option<Arc<Keep>>,
    /// What graphics devices have of memory, once they were asked.
    graphics: Option<GraphicsMemory>,
}

impl Wished {
    /// What it keeps; nothing where nobody says who plays, or the app has nothing to keep.
    pub(crate) fn keep(&self) -> Option<&Arc<Keep>> {
        self.keep.as_ref()
    }

    /// Asks graphics devices what they have of memory, where it needs any. Beside the tasks of the runtime: their drivers may keep
    /// it waiting.
    pub(crate) async fn ask_devices(&mut self) {
        let app = self.app.clone();
        let asked = tokio::task::spawn_blocking(move || app.graphics_memory()).await;
        self.graphics = asked.unwrap_or_else(|error| {
            tracing::error!(%error, "graphics devices were not asked");
            None
        });
    }
}

impl Node {
    /// Looks up what a session is wished of.
    ///
    /// # Errors
    /// A problem for the client: unknown app, a player or a save that cannot be.
    pub fn wished(&self, wish: wire::NewSession) -> Result<Wished, Problem> {
        let app = self.find_app(&wish.app)?.app.clone();
        let keep = self.keep(&wish, app.as_ref())?;
        Ok(Wished { wish, app, keep, graphics: None })
    }

    /// Admits and starts a session; yields its handle and its keys. Whether it begins with something that its player
    /// saved is not looked for here, where nothing waits for disks.
    ///
    /// # Errors
    /// A problem for the client: impossible picture, no capacity.
    pub fn create_session(
        self: &Arc<Self>,
        wished: Wished,
        begins: Begins,
    ) -> Result<(Arc<Entry>, Keys), Problem> {
        if self.config.chain.enabled {
            return Err(Problem::RENTED);
        }
        self.create(wished, begins, None)
    }

    /// The same for whoever rents the machine, or has a ticket.
    pub(crate) fn create_rented(
        self: &Arc<Self>,
        wished: Wished,
        begins: Begins,
        claim: &Claim,
        tenancy: Tenancy,
    ) -> Result<(Arc<Entry>, Keys), Problem> {
        self.create(wished, begins, Some((claim, tenancy)))
    }

    pub(super) fn create(
        self: &Arc<Self>,
        Wished { wish, app, keep, graphics }: Wished,
        begins: Begins,
        rented: Option<(&Claim, Tenancy)>,
    ) -> Result<(Arc<Entry>, Keys), Problem> {
        let info = app.info();
        if let Some(reason) = info.unavailable {
            return Err(self.refuse(&wish.app, reason));
        }
        if self.stopping.is_cancelled() {
            return Err(self.refuse(&wish.app, "the node is shutting down".into()));
        }
        let (mut video, mut mode) =
            self.grant(&wish.video, self.usual(app.as_ref(), info.screen))?;
        let fixed = wish.video.width.or(wish.video.height).is_some();
        if let Some(ScreenInfo { largest, .. }) = info.screen
            && mode.size.within(largest) != mode.size
        {
            let reason = format!("{:?} is shown at {largest} at most", wish.app);
            return Err(Problem::BAD_REQUEST.because(reason));
        }
        let screen = info.screen.filter(|_| !fixed);
        if let (Some(view), Some(screen)) = (&wish.view, screen) {
            mode = drive::screen::for_view(view, screen.largest.into(), mode);
            (video.width, video.height) = (mode.size.width, mode.size.height);
        }
        let kind = if video.hdr { PictureKind::HDR10 } else { PictureKind::NV12 };
        if video.hdr && !app.draws_hdr() {
            let reason = format!("HDR10 is not drawn by {:?}", wish.app);
            return Err(self.refuse(&wish.app, reason));
        }
        // What the client decodes is known with its offer.
        let coded = self.encoders.demand(mode, kind, CodecSet::of(&Codec::ALL));
        let (choice, encoders) = self.encoders.choose(&coded).map_err(|error| {
            let reason = match video.hdr {
                true => format!("HDR10 needs an encoder of 10 bits a sample: {error}"),
                false => error.to_string(),
            };
            let problem = self.refuse(&wish.app, reason);
            if self.encoders.is_full() { problem.retry_after(10) } else { problem }
        })?;
        let id = SessionId::new(random_text(16)?);
        let all = self.admission().capacity().cpu;
        let cpu = self.cores_to_begin(app.as_ref(), mode, (encoders[0].name, &coded), all);
        let demand = Demand {
            egress: Bitrate::from_kbps(video.max_kbps.into()),
            cpu: cpu.unwrap_or_default(),
            ..Demand::default()
        };
        let demand = room::pictures(&demand, app.as_ref(), mode);
        let taken = self.take_ahead(&app, mode, begins);
        let (permit, prepared) = self
            .let_in(&demand, graphics, taken)
            .map_err(|refusal| self.refuse_for_room(&wish.app, &refusal))?;
        let began = prepared.as_ref().map_or(mode.size, |prepared| prepared.began());
        let bounds = screen.and_then(|screen| Bounds::of(screen, began));
        let (claim, tenancy) = rented.unzip();
        let keys = match self.issue_keys(&id, claim) {
            Ok(keys) => keys,
            Err(problem) => {
                self.release(&id, permit);
                // Its end is waited for.
                tokio::task::spawn_blocking(move || drop(prepared));
                return Err(problem);
            }
        };
        // What it becomes larger is booked then.
        let booking = bounds.map(|bounds| {
            let (node, app) = (Arc::downgrade(self), Arc::downgrade(&app));
            let of = Place { node, app, place: permit.number(), video: mode };
            Booking::new(mode.size, bounds, of)
        });
        let shares = app.shares();
        let share = shares.map(|rules| Share::new(rules, &id, self.metrics.clone()));
        if let Some(tenancy) = &tenancy {
            tenancy.is_of(&id);
        }
        let plan = drive::Plan {
            id,
            app,
            app_id: wish.app,
            video: mode,
            granted: video,
            booking,
            channels: wish.channels.unwrap_or(CHANNELS as u8),
            barcode: wish.barcode,
            choice,
            encoders,
            keep,
            prepared,
            share,
            permit,
            tenancy,
        };
        let entry = drive::start(self, plan);
        self.registry.insert(entry.clone());
        self.metrics.sessions_started.inc();
        Ok((entry, keys))
    }

    fn find_app(&self, id: &str) -> Result<Arc<apps::Entry>, Problem> {
        self.catalogue
            .find(id)
            .ok_or_else(|| Problem::UNKNOWN_APP.because(format!("no entry has the id {id:?}")))
    }

    /// What a session of this wish keeps.
    fn keep(&self, wish: &wire::NewSession, app: &dyn App) -> Result<Option<Arc<Keep>>, Problem> {
        let wrong = |why: String| Problem::BAD_REQUEST.because(why);
        let player = wish.player.as_deref().map(|player| {
            Player::parse(player, self.config.access.open)
                .map_err(|why| wrong(format!("player: {why}")))
        });
        let player = player.transpose()?;
        let from = wish.save.as_deref().map_or(Ok(Wish::Newest), Wish::parse).map_err(wrong)?;
        match (app.saves(), player) {
            (Some(saves), Some(player)) => Ok(Some(Keep::new(saves, player, from))),
            (None, _) if matches!(from, Wish::Version(_)) => {
                Err(wrong(format!("save: nothing is kept of {:?}", wish.app)))
            }
            (_, None) if matches!(from, Wish::Version(_)) => {
                Err(wrong("save: nobody says who plays (player)".into()))
            }
            _ => Ok(None),
        }
    }

    /// One that was started ahead, if there is one for this session; what is in the way else is counted.
    fn take_ahead(&self, app: &Arc<dyn App>, mode: VideoMode, begins: Begins) -> Option<Taken> {
        let taken = match begins {
            Begins::Afresh => self.ahead.take(self.clock.now(), app, mode)?,
            Begins::WithSaves if self.ahead.knows(app) => Err("saves"),
            Begins::WithSaves => return None,
        };
        taken.map_err(|why| self.metrics.ahead_missed(why)).ok()
    }

    /// How a session of this app sounds to a player who has so many channels; none where it does not.
    pub(crate) fn sound(&self, app: &dyn App, session: &str, channels: u8) -> Option<SoundPlan> {
        let audio = &self.config.audio;
        if !(audio.enabled && app.has_sound()) {
            return None;
        }
        if let Err(error) = encoder::opus::version() {
            tracing::warn!(%error, "a session has no sound");
            return None;
        }
        let config = SoundConfig {
            name: format!("snd-{}", session.chars().take(8).collect::<String>()),
            track: TrackId(0),
            block: audio.packet.get(),
            bitrate: audio.rate.rate(),
        };
        let most = app.most_channels().min(Layout::within(audio.channels));
        Some(SoundPlan { config, most, layout: Layout::within(channels).min(most) })
    }

    /// Whether the player of this app may use a microphone.
    pub(crate) fn microphone(&self, app: &dyn App) -> wire::MicrophoneAccess {
        if !app.takes_voice() {
            return wire::MicrophoneAccess::NotByGame;
        }
        let is_there = encoder::opus::version().inspect_err(|error| {
            tracing::warn!(%error, "a session has no microphone");
        });
        if self.config.audio.microphone && is_there.is_ok() {
            wire::MicrophoneAccess::Allowed
        } else {
            wire::MicrophoneAccess::NotByNode
        }
    }

    /// The pictures that an app has where nobody asks for others: what it says itself, else what the node does, no larger
    /// and no more a second than they can be here.
    fn usual(&self, app: &dyn App, screen: Option<ScreenInfo>) -> VideoMode {
        let limits = &self.config.video;
        let usual = app.usual().unwrap_or_else(|| limits.usual());
        let most = limits.most();
        let most = screen.map_or(most, |screen| screen.largest.within(most));
        let (size, rate) = (usual.size.within(most), usual.rate.at_most(limits.max_fps));
        VideoMode { size, rate, ..usual }
    }

    /// The pictures that are wished for, and `usual` ones where nothing is said.
    fn grant(
        &self,
        wish: &wire::VideoWish,
        usual: VideoMode,
    ) -> Result<(wire::Video, VideoMode), Problem> {
        let limits = &self.config.video;
        let edge = |name: &str, wish: Option<u32>, usual: u32| {
            let edge = wish.unwrap_or(usual);
            if !(64..=limits.max_edge).contains(&edge) || !edge.is_multiple_of(2) {
                return Err(Problem::BAD_REQUEST.because(format!(
                    "video.{name} must be an even number from 64 to {}",
                    limits.max_edge
                )));
            }
            Ok(edge)
        };
        let width = edge("width", wish.width, usual.size.width)?;
        let height = edge("height", wish.height, usual.size.height)?;
        // Whole and positive.
        let fps = wish.fps.unwrap_or(usual.rate.as_f64().round() as u32);
        if !(1..=limits.max_fps).contains(&fps) {
            return Err(Problem::BAD_REQUEST
                .because(format!("video.fps must be from 1 to {}", limits.max_fps)));
        }
        let (least, most) = (limits.min_rate.rate().kbps(), limits.max_rate.rate().kbps());
        let max_kbps = u64::from(wish.max_kbps.unwrap_or(u32::MAX)).clamp(least, most);
        let video = wire::Video { width, height, fps, max_kbps: max_kbps as u32, hdr: wish.hdr };
        Ok((
            video,
            VideoMode { size: Size::new(width, height), rate: FrameRate::fps(fps), ..usual },
        ))
    }

    /// Gives a session's place back and forgets its tokens. Its driver calls this once, after all else
    /// is freed.
    pub(crate) fn release(&self, id: &SessionId, permit: Permit) {
        self.admission().release(permit);
        self.ahead.room();
        if let Some(entry) = self.registry.find(id.as_str()) {
            let length = self.clock.now().since(entry.since);
            self.lengths.lock().unwrap_or_else(PoisonError::into_inner).add(length);
        }
        self.tokens().revoke_session(id);
        self.invitations().forget_session(id);
    }
}
