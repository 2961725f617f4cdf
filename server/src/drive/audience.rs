//! Those who watch a session: what its driver, its encoder's thread and its viewers' tasks share.
//!
//! ```text
//!  encoder thread ── unit ──▶ Fan ──▶ the player's transport (alone decides whether a frame is coded)
//!                              ├────▶ a viewer's gate and transport
//!                              └────▶ a viewer's gate and transport …      one payload, counted references
//!  driver ◀── a keyframe is wanted (one time for all), what co-players do ── viewers' tasks
//! ```
//!
//! Units, or their parts as they are coded, go to each viewer's transport from the encoder's thread, under one
//! short lock: sinks never block. A viewer that has no room is passed over there, and nothing of it is seen by the
//! encoder or the player. What is decided with the first part of a unit holds for all of it; units are counted.
//! A player who does not see the picture is sent none: its browser may have frozen the page, and then takes nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use media::{
    AccessUnit, Bitrate, Clock, Codec, CursorUpdate, Damage, DataChannel, FrameId, MOST_PADS,
    MediaTime, Pad, PictureKind, SendRefused, SequencedInput, UnitSink,
};
use prometheus_client::metrics::counter::Counter;
use session::follow::Follow;
use session::hands::Who;
use session::invitations::Role;
use tokio::sync::{Notify, mpsc, watch};

use super::audio::{Audio, SoundPlan};
use super::cursor;
use super::source::SourceCounts;
use crate::apps::PadWish;
use crate::metrics::Metrics;
use crate::registry::Over;
use crate::wire;

/// Inputs of co-players that wait for the driver. Of what is beyond motion is dropped and counted, since totals heal;
/// whoever sent the rest waits: a driver that answers its player's page is a moment behind.
pub(super) const INPUTS: usize = 64;
/// No keyframe is wanted.
const NEVER: u64 = u64::MAX;

/// What a session's stream is, for those who watch it.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// What the encoder in use codes; none before there is one.
    pub(crate) codec: Option<Codec>,
    /// What its pictures are.
    pub(crate) kind: PictureKind,
    /// The encoder's name.
    pub(crate) encoder: &'static str,
    /// Full size of its pictures.
    pub(crate) size: media::Size,
    /// Why no better one is in use.
    pub(crate) choice: encoder::Choice,
    /// Why the session is over.
    pub(crate) ended: Option<Over>,
}

/// What a co-player did.
#[derive(Debug)]
pub(super) enum Deed {
    /// One thing.
    Does(Who, SequencedInput),
    /// It has left.
    Leaves(Who),
}

/// What became of a viewer's units and input.
#[derive(Debug, Default)]
pub(crate) struct ViewerCounts {
    /// Units given to its transport.
    pub(crate) sent: AtomicU64,
    /// Units that it was not given: it could not have decoded them, or had no room.
    pub(crate) skipped: AtomicU64,
    /// Input of a spectator, or beyond what is taken.
    pub(crate) input_refused: AtomicU64,
}

/// What a viewer's gamepad is to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shake {
    /// Whose it is, and which of theirs.
    pub(super) whose: Option<(Who, Pad)>,
    pub(super) wish: PadWish,
}

/// A viewer that is connected.
struct Seat {
    who: Who,
    sink: Box<dyn UnitSink>,
    codec: Codec,
    kind: PictureKind,
    follow: Follow,
    counts: Arc<ViewerCounts>,
    /// The same for all viewers of the node.
    all: [Counter; 2],
    /// The unit before was not given to it.
    gap: bool,
    /// It was given parts of a unit, and not the last one.
    begun: bool,
}

/// See the module.
pub(crate) struct Audience {
    clock: Arc<dyn Clock>,
    seats: Mutex<Vec<Seat>>,
    /// From when on a viewer wants a keyframe, in nanoseconds.
    wish: AtomicU64,
    /// Somebody sits.
    watched: AtomicBool,
    /// The driver is to look at these two.
    news: Notify,
    stream: watch::Sender<Stream>,
    /// The pointer; none before the source has told of one.
    cursor: watch::Sender<Option<wire::Cursor>>,
    /// Where it is, while it shows.
    pointer: watch::Sender<Option<wire::Pointer>>,
    /// What is made of input, once that is known.
    takes: OnceLock<wire::InputTaken>,
    /// By the session's numbers of gamepads.
    shakes: watch::Sender<[Shake; MOST_PADS]>,
    /// Kilobits per second of the encoder.
    rate: AtomicU64,
    counts: Mutex<(SourceCounts, encoder::WorkerStats)>,
    deeds: mpsc::Sender<Deed>,
    present: Mutex<Vec<(Who, Role)>>,
    /// Units sent and skipped, of all viewers of the node.
    all: [Counter; 2],
    sound: Mutex<Audio>,
}

impl std::fmt::Debug for Audience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audience").finish_non_exhaustive()
    }
}

impl Audience {
    /// Nobody yet. What co-players do comes out of the receiver.
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        stream: Stream,
        size: media::Size,
        sound: Option<SoundPlan>,
        metrics: &Metrics,
    ) -> (Arc<Self>, mpsc::Receiver<Deed>) {
        let (deeds, done) = mpsc::channel(INPUTS);
        let none = SourceCounts { frames: 0, unchanged: 0, starved: 0, drawn: size, coded: size };
        let audience = Self {
            clock,
            seats: Mutex::default(),
            wish: AtomicU64::new(NEVER),
            watched: AtomicBool::new(false),
            news: Notify::new(),
            stream: watch::Sender::new(stream),
            cursor: watch::Sender::new(None),
            pointer: watch::Sender::new(None),
            takes: OnceLock::new(),
            shakes: watch::Sender::default(),
            rate: AtomicU64::new(0),
            counts: Mutex::new((none, encoder::WorkerStats::default())),
            deeds,
            present: Mutex::default(),
            all: [metrics.viewer_units_sent.clone(), metrics.viewer_units_skipped.clone()],
            sound: Mutex::new(Audio::new(sound)),
        };
        (Arc::new(audience), done)
    }

    /// What is to be heard. Nothing blocks while it is held.
    pub(super) fn sound(&self) -> MutexGuard<'_, Audio> {
        // Every change is whole, whatever panicked after it.
        self.sound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be seen.
    pub(crate) fn stream(&self) -> watch::Receiver<Stream> {
        self.stream.subscribe()
    }

    /// The stream is another one.
    pub(super) fn change_stream(&self, change: impl FnOnce(&mut Stream)) {
        self.stream.send_modify(change);
    }

    /// The pointer, which the pictures do not show.
    pub(super) fn cursor(&self) -> watch::Receiver<Option<wire::Cursor>> {
        self.cursor.subscribe()
    }

    /// What is made of input, once that is known.
    pub(super) fn takes(&self) -> Option<wire::InputTaken> {
        self.takes.get().cloned()
    }

    /// What is played takes input like this.
    pub(super) fn set_takes(&self, takes: wire::InputTaken) {
        // A session has one sink.
        let _ = self.takes.set(takes);
    }

    /// What viewers' gamepads are to do.
    pub(super) fn shakes(&self) -> watch::Receiver<[Shake; MOST_PADS]> {
        self.shakes.subscribe()
    }

    /// A gamepad of a viewer, `theirs` by its own number, is to do this.
    pub(super) fn shake(&self, ours: Pad, who: Who, theirs: Pad, wish: PadWish) {
        self.shakes.send_modify(|shakes| {
            shakes[ours.index()] = Shake { whose: Some((who, theirs)), wish };
        });
    }

    /// Where the pointer is.
    pub(super) fn pointer(&self) -> watch::Receiver<Option<wire::Pointer>> {
        self.pointer.subscribe()
    }

    /// The source says that the pointer changed. Called on its thread.
    pub(super) fn pointed(&self, update: CursorUpdate) {
        if let CursorUpdate::Moved { x, y } = update {
            self.pointer.send_replace(Some(wire::Pointer { x, y }));
            return;
        }
        if let Some(told) = cursor::told(update) {
            self.cursor.send_if_modified(|cursor| cursor.replace(told) != *cursor);
        }
    }

    /// The session is over. The first reason counts.
    pub(super) fn end(&self, why: impl Into<Over>) {
        self.stream.send_if_modified(|stream| {
            let first = stream.ended.is_none();
            stream.ended.get_or_insert_with(|| why.into());
            first
        });
    }

    /// The encoder's rate of now.
    pub(super) fn rate(&self) -> Bitrate {
        Bitrate::from_kbps(self.rate.load(Ordering::Relaxed))
    }

    /// The encoder is told this rate.
    pub(super) fn set_rate(&self, rate: Bitrate) {
        self.rate.store(rate.kbps(), Ordering::Relaxed);
    }

    /// Counters of the session's threads, as of the last look.
    pub(crate) fn counts(&self) -> (SourceCounts, encoder::WorkerStats) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The driver has looked at its threads' counters.
    pub(super) fn counted(&self, source: SourceCounts, encoder: encoder::WorkerStats) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = (source, encoder);
    }

    /// Viewers that are connected, by role.
    pub(crate) fn present(&self) -> wire::Viewers {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |role| present.iter().filter(|(_, each)| *each == role).count() as u32;
        wire::Viewers { co_players: of(Role::CoPlayer), spectators: of(Role::Spectator) }
    }

    /// A viewer is connected, or is so no more.
    pub(super) fn set_present(&self, who: Who, role: Option<Role>) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.retain(|(each, _)| *each != who);
        present.extend(role.map(|role| (who, role)));
    }

    /// Units go to this viewer from now on, from a keyframe on; `codec` and `kind` are what it was told.
    pub(super) fn seat(
        &self,
        who: Who,
        sink: Box<dyn UnitSink>,
        (codec, kind): (Codec, PictureKind),
        counts: Arc<ViewerCounts>,
    ) {
        let follow = Follow::new(self.clock.now());
        let mut seats = self.lock();
        let old = take(&mut seats, who);
        seats.push(Seat {
            who,
            sink,
            codec,
            kind,
            follow,
            counts,
            all: self.all.clone(),
            gap: true,
            begun: false,
        });
        self.look_again(seats);
        // A sink may take locks of its own when it goes.
        drop(old);
    }

    /// No more units go to it.
    pub(super) fn unseat(&self, who: Who) {
        let mut seats = self.lock();
        let old = take(&mut seats, who);
        self.look_again(seats);
        drop(old);
    }

    /// These frames did not reach a viewer.
    pub(super) fn lost(&self, who: Who, lost: &std::ops::RangeInclusive<FrameId>) {
        let now = self.clock.now();
        self.with(who, |follow| follow.lost(now, lost));
    }

    /// A viewer can decode nothing but a keyframe.
    pub(super) fn starts_over(&self, who: Who) {
        let now = self.clock.now();
        self.with(who, |follow| follow.starts_over(now));
    }

    fn with(&self, who: Who, change: impl FnOnce(&mut Follow)) {
        let mut seats = self.lock();
        if let Some(seat) = seats.iter_mut().find(|seat| seat.who == who) {
            change(&mut seat.follow);
        }
        self.look_again(seats);
    }

    /// From when on somebody wants a keyframe.
    pub(super) fn wish(&self) -> Option<MediaTime> {
        match self.wish.load(Ordering::Acquire) {
            NEVER => None,
            nanos => Some(MediaTime::from_nanos(nanos)),
        }
    }

    /// Whether units go to any viewer, who is connected and shows them then.
    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    /// Waits until the wish changes, or whether anybody watches.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// A co-player did something and told it by this channel; whether there was room for it. What came by a reliable one
    /// waits for room: nothing later makes up for a key that went up.
    pub(super) async fn does(&self, who: Who, input: SequencedInput, channel: DataChannel) -> bool {
        let deed = Deed::Does(who, input);
        if channel == DataChannel::Motion {
            return self.deeds.try_send(deed).is_ok();
        }
        // A driver that is gone holds nothing.
        let _ = self.deeds.send(deed).await;
        true
    }

    /// A co-player has left.
    pub(super) async fn leaves(&self, who: Who) {
        // As above.
        let _ = self.deeds.send(Deed::Leaves(who)).await;
    }

    /// The sink of the encoder's thread: the player's, and all viewers' beside it. Without a player, who shows nothing,
    /// it is always ready: viewers that have no room are passed over.
    pub(super) fn fan(self: &Arc<Self>, player: Option<Box<dyn UnitSink>>) -> Box<dyn UnitSink> {
        Box::new(Fan { player, audience: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seat>> {
        // A seat is whole between two calls, whatever panicked.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out anew whether anybody watches, and wants a keyframe.
    fn look_again(&self, seats: MutexGuard<'_, Vec<Seat>>) {
        let wish = seats.iter().filter_map(|seat| seat.follow.wish()).min();
        let wish = wish.map_or(NEVER, MediaTime::as_nanos);
        let watched = !seats.is_empty();
        // Under the lock: of two that look at once the later one is right.
        let other_wish = self.wish.swap(wish, Ordering::AcqRel) != wish;
        let other_watched = self.watched.swap(watched, Ordering::AcqRel) != watched;
        drop(seats);
        if other_wish || other_watched {
            self.news.notify_one();
        }
    }

    fn spread(&self, unit: &AccessUnit) {
        let mut seats = self.lock();
        if seats.is_empty() {
            return;
        }
        let now = self.clock.now();
        seats.iter_mut().for_each(|seat| seat.offer(now, unit));
        self.look_again(seats);
    }
}

fn take(seats: &mut Vec<Seat>, who: Who) -> Option<Seat> {
    let at = seats.iter().position(|seat| seat.who == who)?;
    Some(seats.swap_remove(at))
}

impl Seat {
    fn offer(&mut self, now: MediaTime, unit: &AccessUnit) {
        let AccessUnit { frame, kind, refers_to, part, .. } = *unit;
        if part.first && std::mem::take(&mut self.begun) {
            // No more of that comes.
            self.skip();
        }
        // Another client of the player's is coded for otherwise; this one is about to be told.
        let same = unit.codec == self.codec && unit.color == self.kind.color;
        let room = same && part.first && self.sink.is_ready();
        if !same || !self.follow.offer(now, (frame, part), kind, refers_to, room) {
            if part.first {
                self.skip();
            }
            return;
        }
        // The payload is shared; the rest is a few words.
        let mut own = unit.clone();
        if self.gap {
            own.damage = Damage::Unknown;
        }
        if self.sink.send(own).is_err() {
            self.follow.lost(now, &(frame..=frame));
            self.begun = false;
            self.skip();
        } else if part.last {
            (self.gap, self.begun) = (false, false);
            self.counts.sent.fetch_add(1, Ordering::Relaxed);
            self.all[0].inc();
        } else {
            self.begun = true;
        }
    }

    fn skip(&mut self) {
        self.gap = true;
        self.counts.skipped.fetch_add(1, Ordering::Relaxed);
        self.all[1].inc();
    }
}

/// See [`Audience::fan`].
struct Fan {
    player: Option<Box<dyn UnitSink>>,
    audience: Arc<Audience>,
}

impl UnitSink for Fan {
    fn is_ready(&self) -> bool {
        self.player.as_ref().is_none_or(|player| player.is_ready())
    }

    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        let copy = unit.clone();
        // What the player does not get nothing to come refers to.
        if let Some(player) = &mut self.player {
            player.send(unit)?;
        }
        self.audience.spread(&copy);
        Ok(())
    }
}

#[cfg(test)]
#[path = "audience_tests.rs"]
pub(crate) mod tests;
