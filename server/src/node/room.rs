//! Who is let in, and what who is refused is told.

use std::sync::{PoisonError, Weak};
use std::time::Duration;

use anyhow::Result;
use media::{ByteSize, Codec, CodecSet, GraphicsMemory, PictureKind, Size};
use session::admission::{self, Admission, Demand, Permit, PermitNumber, Refusal, Reserve};

use crate::ahead::Taken;
use crate::apps::{App, Needs, Prepared, VideoMode};
use crate::booking::{Booking, Books};
use crate::drive::Stream;
use crate::http::Problem;
use crate::wire;

use super::Node;

/// Whose screen is booked.
pub(super) struct Place {
    pub(super) node: Weak<Node>,
    pub(super) place: PermitNumber,
    pub(super) app: Weak<dyn App>,
    /// Its pictures, but for their size.
    pub(super) video: VideoMode,
}

impl Books for Place {
    fn change(&self, booking: &Booking, size: Size) -> Result<(), Refusal> {
        match self.node.upgrade() {
            Some(node) => node.rebook(self, booking, size),
            // It is shut down.
            None => Ok(()),
        }
    }
}

/// The same with what such pictures of the app need, but for the cores.
pub(super) fn pictures(demand: &Demand, app: &dyn App, video: VideoMode) -> Demand {
    let needs = app.needs(video);
    let (memory, graphics_memory) =
        needs.map_or_else(Default::default, |needs| (needs.memory, needs.graphics_memory));
    Demand {
        pixel_rate: (video.size.pixels() as f64 * video.rate.as_f64()) as u64,
        memory,
        graphics_memory,
        ..*demand
    }
}

/// Seconds until a client that is refused may ask again: where nothing better is known, and at the most.
pub(super) const RETRY: u32 = 10;
const LATEST_RETRY: u32 = 3_600;
/// Time of a core for a picture of a game beside capture and coding: packets, their seals, and the calls that send them.
/// Measured with 720p60 at 6 Mbit/s (`bench-games --only capture`).
const SENDING: Duration = Duration::from_micros(500);

impl Node {
    /// Lets a session in, which takes the room of the one that it takes; what else was started ahead gives way. Graphics devices
    /// have so much memory now.
    pub(super) fn let_in(
        &self,
        demand: &Demand,
        graphics: Option<GraphicsMemory>,
        taken: Option<Taken>,
    ) -> Result<(Permit, Option<Box<dyn Prepared>>), Refusal> {
        let mut books = self.admission();
        self.revise(&mut books);
        note_graphics(&mut books, demand.graphics_memory, graphics);
        let taken = taken.map(|taken| {
            let (held, untold) = taken.split();
            let demand = held.demand();
            books.give_back(held);
            (demand, untold)
        });
        let way = self.ahead.give_way(self.clock.now(), |reserves| {
            books.gives_way(demand, reserves.iter().copied())
        });
        let admitted = way.and_then(|rooms| {
            rooms.into_iter().for_each(|room| books.give_back(room));
            books.admit(demand)
        });
        match (admitted, taken) {
            (Ok(permit), taken) => Ok((permit, taken.map(|(_, taken)| taken.prepared()))),
            (Err(refusal), None) => Err(refusal),
            (Err(refusal), Some((held, taken))) => {
                // It held as much a moment ago; but for the cores, since it stands still.
                match books.reserve(&Demand { cpu: Duration::ZERO, ..held }) {
                    Ok(room) => self.ahead.put_back(taken, room),
                    Err(why) => tracing::error!(%why, "what was started ahead has lost its room"),
                }
                Err(refusal)
            }
        }
    }

    /// Room for one that is about to be started ahead; none where there is no more.
    pub(crate) fn reserve(
        &self,
        needs: Needs,
        graphics: Option<GraphicsMemory>,
    ) -> Option<Reserve> {
        let Needs { memory, graphics_memory, .. } = needs;
        let mut books = self.admission();
        note_graphics(&mut books, graphics_memory, graphics);
        let most = books.capacity().cpu;
        let cpu = if needs.measured { needs.cpu } else { needs.cpu.min(most) };
        books.reserve(&Demand { cpu, memory, graphics_memory, ..Demand::default() }).ok()
    }

    /// One that was started ahead takes nothing of the cores any more.
    pub(crate) fn stands_still(&self, place: PermitNumber) {
        self.admission().revise(place, Duration::ZERO);
    }

    /// Takes such room back.
    pub(crate) fn give_back(&self, rooms: Vec<Reserve>) {
        let mut books = self.admission();
        rooms.into_iter().for_each(|room| books.give_back(room));
    }

    /// Brings the books up to date: what each session of a game is taken to need of the cores by now, and what of those that
    /// were started ahead has ended. Under their lock, so that nothing is booked meanwhile.
    fn revise(&self, books: &mut Admission) {
        for entry in self.registry.live() {
            let all = books.capacity().cpu;
            let app = entry.playing.upgrade();
            let stream = entry.audience.stream().borrow().clone();
            let cpu =
                app.and_then(|app| self.cores_of(app.as_ref(), entry.booked(), Some(&stream), all));
            cpu.into_iter().for_each(|cpu| books.revise(entry.place, cpu));
        }
        self.ahead.loose(self.clock.now()).into_iter().for_each(|room| books.give_back(room));
    }

    /// Time of cores per second of a game with such pictures: by the encoder of its stream where that takes them, else by the one
    /// that a client of its codec would get.
    fn cores_of(
        &self,
        app: &dyn App,
        video: VideoMode,
        stream: Option<&Stream>,
        all: Duration,
    ) -> Option<Duration> {
        let kind = stream.map_or(PictureKind::NV12, |stream| stream.kind);
        // Of which codec it is to be is not known before there is a client.
        let codec = stream.and_then(|stream| stream.codec.as_ref());
        let codecs = codec.map_or(&Codec::ALL[..], std::slice::from_ref);
        let holds = codec.and(stream).map(|stream| stream.encoder);
        let decodes = CodecSet::of(codecs);
        let coded = encoder::Demand { holds, ..self.encoders.demand(video, kind, decodes) };
        let (_, encoders) = self.encoders.choose(&coded).ok()?;
        let used = encoders.iter().find(|encoder| Some(encoder.name) == holds);
        self.cores(app, video, (used.unwrap_or(&encoders[0]).name, &coded), all)
    }

    /// Time of cores per second of a game with its coding, with such pictures; none where that is not what bounds it. One of
    /// which nothing but its limit is known gets a node that has less for itself.
    pub(super) fn cores(
        &self,
        app: &dyn App,
        video: VideoMode,
        (encoder, coded): (&str, &encoder::Demand),
        all: Duration,
    ) -> Option<Duration> {
        let needs = app.needs(video)?;
        let sending = SENDING.mul_f64(video.rate.as_f64());
        let cpu = needs.cpu + self.encoders.coding(encoder, coded) + sending;
        Some(if needs.measured { cpu } else { cpu.min(all) })
    }

    /// The same of a game that comes: where what was measured of it fits, it gets a node that has less for coding to itself. How
    /// long that takes is known of other pictures, and of all cores at once.
    pub(super) fn cores_to_begin(
        &self,
        app: &dyn App,
        video: VideoMode,
        by: (&str, &encoder::Demand),
        all: Duration,
    ) -> Option<Duration> {
        let of_game = app.needs(video)?.cpu;
        self.cores(app, video, by, all).map(|cpu| cpu.min(all.max(of_game)))
    }

    /// Books pictures of this size for a session in place of those that are booked; what was started ahead gives way.
    fn rebook(&self, of: &Place, booking: &Booking, size: Size) -> Result<(), Refusal> {
        let mut books = self.admission();
        self.revise(&mut books);
        // Over, or about to be: whatever it still shows, nobody pays for it.
        let (Some(app), Some(held)) = (of.app.upgrade(), books.held(of.place)) else {
            return Ok(());
        };
        let entry = self.registry.live().into_iter().find(|entry| entry.place == of.place);
        let stream = entry.map(|entry| entry.audience.stream().borrow().clone());
        let (video, all) = (VideoMode { size, ..of.video }, books.capacity().cpu);
        let cpu = self.cores_of(app.as_ref(), video, stream.as_ref(), all).unwrap_or(held.cpu);
        // Fewer pixels never take more, whatever was measured of either.
        let is_larger = size.pixels() > booking.booked().pixels();
        let cpu = if is_larger { cpu } else { cpu.min(held.cpu) };
        let demand = Demand { cpu, ..held };
        let demand = pictures(&demand, app.as_ref(), video);
        let way = self.ahead.give_way(self.clock.now(), |reserves| {
            books.gives_way_to_change(of.place, &demand, reserves.iter().copied())
        });
        let changed = way.and_then(|rooms| {
            rooms.into_iter().for_each(|room| books.give_back(room));
            books.change(of.place, &demand)
        });
        changed.inspect_err(|_| _ = self.metrics.screens_refused.inc())?;
        booking.note(size);
        drop(books);
        if !is_larger {
            self.ahead.room();
        }
        Ok(())
    }

    /// Says that there is no room, in which sum, and when there may be some.
    pub(super) fn refuse_for_room(&self, app: &str, refusal: &Refusal) -> Problem {
        let wait = refusal.may_pass().then(|| self.expected_wait()).flatten();
        let mut why = refusal.to_string();
        if let Some(wait) = wait {
            why += &format!(" Somebody is expected to leave within {}.", in_words(wait));
        }
        let problem = self.refuse(app, why).room(room(refusal, wait));
        match refusal.may_pass() {
            true => problem.retry_after(wait.unwrap_or(RETRY).clamp(1, LATEST_RETRY)),
            false => problem,
        }
    }

    /// Seconds until the next session is expected to end.
    pub(super) fn expected_wait(&self) -> Option<u32> {
        let now = self.clock.now();
        let live = self.registry.live();
        let ages = live.iter().map(|entry| now.since(entry.since));
        let usual = self.lengths.lock().unwrap_or_else(PoisonError::into_inner).usual();
        let wait = admission::expected_wait(ages, usual, self.config.sessions.longest.get())?;
        Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1))
    }

    /// Counts and logs a refusal, and makes the problem that tells the client.
    pub(super) fn refuse(&self, app: &str, reason: String) -> Problem {
        self.metrics.sessions_refused.inc();
        tracing::info!(app, reason, "session refused");
        Problem::REFUSED.because(reason)
    }
}

/// Brings the books up to date for who needs memory of a graphics device; nobody else has it looked at.
fn note_graphics(books: &mut Admission, needed: ByteSize, now: Option<GraphicsMemory>) {
    if needed > ByteSize::default() {
        books.remeasure_graphics(now);
    }
}

pub(super) fn room(refusal: &Refusal, expected_wait: Option<u32>) -> Option<wire::Room> {
    let admission::Room { sum, unit, asked, left } = refusal.room()?;
    Some(wire::Room { sum: sum.into(), unit: unit.into(), asked, left, expected_wait })
}

/// Seconds for people: never less than they are.
fn in_words(seconds: u32) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn waits_are_told_in_words() {
        let told = [1, 119, 120, 121, 7_199, 7_200, 7_201].map(in_words);
        assert_eq!(told, ["1 s", "119 s", "2 min", "3 min", "120 min", "2 h", "3 h"]);
    }
}
