//! Who is let in, and what who is refused is told.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Result;
use media::{Codec, CodecSet, PictureKind};
use session::admission::{self, Demand, Permit, PermitNumber, Refusal, Reserve};

use crate::ahead::Taken;
use crate::apps::{App, Needs, Prepared, VideoMode};
use crate::http::Problem;
use crate::registry::Entry;
use crate::wire;

use super::Node;

/// Seconds until a client that is refused may ask again: where nothing better is known, and at the most.
pub(super) const RETRY: u32 = 10;
const LATEST_RETRY: u32 = 3_600;
/// Time of a core for a picture of a game beside capture and coding: packets, their seals, and the calls that send them.
/// Measured with 720p60 at 6 Mbit/s (`bench-games --only capture`).
const SENDING: Duration = Duration::from_micros(500);

impl Node {
    /// Lets a session in, which takes the room of the one that it takes; what else was started ahead gives way.
    pub(super) fn let_in(
        &self,
        demand: &Demand,
        taken: Option<Taken>,
    ) -> Result<(Permit, Option<Box<dyn Prepared>>), Refusal> {
        let measured = self.measured();
        let mut books = self.admission();
        measured.into_iter().for_each(|(place, cpu)| books.revise(place, cpu));
        self.ahead.loose(self.clock.now()).into_iter().for_each(|room| books.give_back(room));
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
    pub(crate) fn reserve(&self, needs: Needs) -> Option<Reserve> {
        let mut books = self.admission();
        let most = books.capacity().cpu;
        let cpu = if needs.measured { needs.cpu } else { needs.cpu.min(most) };
        books.reserve(&Demand { cpu, memory: needs.memory, ..Demand::default() }).ok()
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

    /// What each session of a game is taken to need of the cores by now.
    pub(super) fn measured(&self) -> Vec<(PermitNumber, Duration)> {
        let live = self.registry.live();
        let of = |entry: &Arc<Entry>| {
            let app = entry.playing.upgrade()?;
            let coded =
                self.encoders.demand(entry.mode, PictureKind::NV12, CodecSet::of(&Codec::ALL));
            let (_, encoders) = self.encoders.choose(&coded).ok()?;
            Some((
                entry.place,
                self.cores(app.as_ref(), (entry.mode, entry.booked), encoders[0].name, &coded)?,
            ))
        };
        live.iter().filter_map(of).collect()
    }

    /// Time of cores per second of a game with its coding, with pictures as large as those that are `booked`; none where that
    /// is not what bounds it. One of which nothing but its limit is known gets a node that has less for itself, and so does
    /// one that fits as it begins.
    pub(super) fn cores(
        &self,
        app: &dyn App,
        (begins, booked): (VideoMode, VideoMode),
        encoder: &str,
        coded: &encoder::Demand,
    ) -> Option<Duration> {
        let all = self.admission().capacity().cpu;
        let cores = |video: VideoMode| {
            let needs = app.needs(video)?;
            let coded = encoder::Demand { size: video.size, ..*coded };
            let sending = SENDING.mul_f64(video.rate.as_f64());
            let cpu = needs.cpu + self.encoders.coding(encoder, &coded) + sending;
            Some(if needs.measured { cpu } else { cpu.min(all) })
        };
        let most = cores(booked)?;
        Some(if booked == begins { most } else { most.min(cores(begins)?.max(all)) })
    }

    /// Says that there is no room, in which sum, and when there may be some.
    pub(super) fn refuse_for_room(&self, app: &str, refusal: &Refusal) -> Problem {
        let wait = refusal.may_pass().then(|| self.expected_wait()).flatten();
        let mut why = refusal.to_string();
        if let Some(wait) = wait {
            why += &format!(" Somebody is expected to leave within {wait} s.");
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

pub(super) fn room(refusal: &Refusal, expected_wait: Option<u32>) -> Option<wire::Room> {
    let admission::Room { sum, unit, asked, left } = refusal.room()?;
    Some(wire::Room { sum: sum.into(), unit: unit.into(), asked, left, expected_wait })
}
