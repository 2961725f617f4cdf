//! Who is let in: sessions are counted against what the node was measured to carry.
//!
//! Capacity is a handful of sums, each of its own unit; a session is let in when its demand fits into
//! all of them, and refused with the reason otherwise, and so is a larger screen for one that is in. Nobody is let in to a
//! worse picture: those who play already would pay for it. One owner, no locks: `server` keeps it behind its own.

mod graphics;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use graphics::Graphics;
use media::{Bitrate, ByteSize, GraphicsMemory};

/// What one session needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Time of the graphics device (or of the cores that stand in for it) per second.
    pub render: Duration,
    /// Time of the cores per second, of what the node hosts and of its pictures; none of what is drawn here.
    pub cpu: Duration,
    /// Pixels per second that are encoded.
    pub pixel_rate: u64,
    /// Memory of the machine.
    pub memory: ByteSize,
    /// Memory of a graphics device.
    pub graphics_memory: ByteSize,
    /// The most that is sent to its player.
    pub egress: Bitrate,
}

/// What the node carries in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Time of the graphics device per second; a second for one device, less what is kept back.
    pub render: Duration,
    /// Time of the cores per second: a second for each, less what is kept back.
    pub cpu: Duration,
    /// Pixels per second that are encoded at most, as the operator says.
    pub pixel_rate: u64,
    /// Memory for sessions.
    pub memory: ByteSize,
    /// Sessions, whatever they need.
    pub sessions: usize,
    /// Viewers of all sessions, players not counted.
    pub viewers: usize,
    /// What the node sends in all, as the operator says.
    pub egress: Bitrate,
}

/// A session's place. Not a number that can be copied: it is given back once, by value.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not released takes its place for ever"]
pub struct Permit {
    number: PermitNumber,
    demand: Demand,
}

/// Tells permits of one [`Admission`] apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PermitNumber(u64);

impl Permit {
    /// What it was given for.
    pub fn demand(&self) -> Demand {
        self.demand
    }

    /// Its number.
    pub fn number(&self) -> PermitNumber {
        self.number
    }
}

/// Room that is kept for what is started ahead of its player, to be given back once, too.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a reserve that is not given back takes its room for ever"]
pub struct Reserve(Permit);

impl Reserve {
    /// Its number.
    pub fn number(&self) -> PermitNumber {
        self.0.number
    }

    /// What it was given for.
    pub fn demand(&self) -> Demand {
        self.0.demand
    }
}

/// A viewer's place, to be given back once, too. All that a viewer costs is what is sent to it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not released takes its place for ever"]
pub struct ViewerPermit {
    egress: Bitrate,
}

/// Why a session or a viewer was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// As many sessions run as may.
    Sessions {
        /// How many may.
        most: usize,
    },
    /// The graphics device is busy.
    Render {
        /// Device time asked for, per second.
        asked: Duration,
        /// Device time left, per second.
        left: Duration,
    },
    /// The cores are busy.
    Cpu {
        /// Time of cores asked for, per second.
        asked: Duration,
        /// Time of cores left, per second.
        left: Duration,
    },
    /// The encoders are busy.
    PixelRate {
        /// Pixels per second asked for.
        asked: u64,
        /// Pixels per second left.
        left: u64,
    },
    /// Memory is taken.
    Memory {
        /// Bytes asked for.
        asked: ByteSize,
        /// Bytes left.
        left: ByteSize,
    },
    /// Memory of graphics devices is taken.
    GraphicsMemory {
        /// Bytes asked for.
        asked: ByteSize,
        /// Bytes left.
        left: ByteSize,
    },
    /// As many viewers are there as may be.
    Viewers {
        /// How many may.
        most: usize,
    },
    /// The node's link is taken.
    Egress {
        /// The most that would be sent.
        asked: Bitrate,
        /// What is left.
        left: Bitrate,
    },
    /// It would not fit even if nobody else were there.
    TooLarge {
        /// Which of the sums it exceeds: `render time`, `processor time`, `encoder rate`, `memory`, `graphics memory` or
        /// `bandwidth`.
        what: &'static str,
    },
}

impl Refusal {
    /// A code that never changes, in snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Sessions { .. } => "refused_sessions",
            Self::Render { .. } => "refused_render",
            Self::Cpu { .. } => "refused_cpu",
            Self::PixelRate { .. } => "refused_encoder",
            Self::Memory { .. } => "refused_memory",
            Self::GraphicsMemory { .. } => "refused_graphics_memory",
            Self::Viewers { .. } => "refused_viewers",
            Self::Egress { .. } => "refused_egress",
            Self::TooLarge { .. } => "refused_too_large",
        }
    }

    /// Which sum is taken, in figures; `None` where no other figure than the node's own is to be told.
    pub fn room(&self) -> Option<Room> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let room = |sum, unit, asked, left| Some(Room { sum, unit, asked, left });
        match *self {
            Self::Sessions { .. } => room("sessions", "sessions", 1, 0),
            Self::Viewers { .. } => room("viewers", "viewers", 1, 0),
            Self::Render { asked, left } => {
                room("render", "milliseconds a second", millis(asked), millis(left))
            }
            Self::Cpu { asked, left } => {
                room("cpu", "thousandths of a core", millis(asked), millis(left))
            }
            Self::PixelRate { asked, left } => room("encoder", "pixels a second", asked, left),
            Self::Memory { asked, left } => room("memory", "bytes", asked.0, left.0),
            Self::GraphicsMemory { asked, left } => {
                room("graphics_memory", "bytes", asked.0, left.0)
            }
            Self::Egress { asked, left } => {
                room("egress", "bits a second", asked.bps(), left.bps())
            }
            Self::TooLarge { .. } => None,
        }
    }

    /// Whether there may be room later.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::TooLarge { .. })
    }
}

/// A sum in which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// A name that never changes.
    pub sum: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// What was asked for.
    pub asked: u64,
    /// What is left.
    pub left: u64,
}

/// The sentence for people.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sessions { most: 1 } => {
                f.write_str("This node is taken: it carries one session at a time.")
            }
            Self::Sessions { most } => {
                write!(f, "This node is full: all of its {most} places are taken.")
            }
            Self::Render { asked, left } => write!(
                f,
                "The graphics device is busy: this needs {} ms of it per second, and {} are free.",
                asked.as_millis(),
                left.as_millis()
            ),
            Self::Cpu { asked, left } => write!(
                f,
                "The processor is busy: this needs {:.2} cores, and {:.2} are free.",
                asked.as_secs_f64(),
                left.as_secs_f64()
            ),
            Self::PixelRate { asked, left } => write!(
                f,
                "The encoder is busy: this needs {} megapixels per second, and {} are free. \
                 A smaller picture or fewer frames may fit.",
                asked.div_ceil(1_000_000),
                left / 1_000_000
            ),
            Self::Memory { asked, left } => write!(
                f,
                "Memory is short: this needs {} MB, and {} are free.",
                asked.0.div_ceil(1_000_000),
                left.0 / 1_000_000
            ),
            Self::GraphicsMemory { asked, left } => write!(
                f,
                "Memory of the graphics device is short: this needs {} MB, and {} are free.",
                asked.0.div_ceil(1_000_000),
                left.0 / 1_000_000
            ),
            Self::Viewers { most } => {
                write!(f, "This node has as many viewers as it takes: {most}.")
            }
            Self::Egress { asked, left } => {
                write!(f, "The node's link is busy: this needs up to {asked}, and {left} are free.")
            }
            Self::TooLarge { what } => {
                write!(f, "This needs more {what} than the whole node has.")
            }
        }
    }
}

/// The books.
#[derive(Debug)]
pub struct Admission {
    capacity: Capacity,
    graphics: Graphics,
    used: Demand,
    /// What each permit stands for in the books now.
    held: BTreeMap<PermitNumber, Demand>,
    /// How many of them are reserves.
    reserves: usize,
    next: PermitNumber,
    viewers: usize,
}

impl Admission {
    /// An empty node.
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            graphics: Graphics::default(),
            used: Demand::default(),
            held: BTreeMap::new(),
            reserves: 0,
            next: PermitNumber::default(),
            viewers: 0,
        }
    }

    /// Lets a session in, or says why not; a refusal changes nothing.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn admit(&mut self, demand: &Demand) -> Result<Permit, Refusal> {
        self.fits(demand, &self.used)?;
        Ok(self.book(demand))
    }

    /// Keeps room for what is started ahead of its player, or says why there is none; it is no session, and gives way to
    /// those ([`gives_way`](Self::gives_way)).
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn reserve(&mut self, demand: &Demand) -> Result<Reserve, Refusal> {
        self.fits_an_empty_node(demand)?;
        self.fits_the_sums(demand, &self.used)?;
        self.reserves += 1;
        Ok(Reserve(self.book(demand)))
    }

    /// Gives such room back.
    pub fn give_back(&mut self, reserve: Reserve) {
        self.reserves = self.reserves.saturating_sub(1);
        self.release(reserve.0);
    }

    /// How many of these reserves, beginning with the first, would have to be given back for this to be let in. Changes
    /// nothing.
    ///
    /// # Errors
    /// Why it would not be let in with what there is now, where all of them would not help.
    pub fn gives_way<'a>(
        &self,
        demand: &Demand,
        reserves: impl IntoIterator<Item = &'a Reserve>,
    ) -> Result<usize, Refusal> {
        self.way(reserves, |used| self.fits(demand, used))
    }

    /// The same for a session that is in and needs this in place of what it holds.
    ///
    /// # Errors
    /// As [`change`](Self::change), with what there is now.
    pub fn gives_way_to_change<'a>(
        &self,
        number: PermitNumber,
        demand: &Demand,
        reserves: impl IntoIterator<Item = &'a Reserve>,
    ) -> Result<usize, Refusal> {
        let Some(held) = self.held.get(&number) else { return Ok(0) };
        self.way(reserves, |used| self.has_more(held, demand, used))
    }

    fn way<'a>(
        &self,
        reserves: impl IntoIterator<Item = &'a Reserve>,
        fits: impl Fn(&Demand) -> Result<(), Refusal>,
    ) -> Result<usize, Refusal> {
        let Err(refusal) = fits(&self.used) else { return Ok(0) };
        let mut used = self.used;
        for (number, reserve) in reserves.into_iter().enumerate() {
            used = without(&used, self.held.get(&reserve.0.number).unwrap_or(&Demand::default()));
            if fits(&used).is_ok() {
                return Ok(number + 1);
            }
        }
        Err(refusal)
    }

    fn book(&mut self, demand: &Demand) -> Permit {
        self.used = with(&self.used, demand);
        let number = self.next;
        self.next.0 += 1;
        self.held.insert(number, *demand);
        Permit { number, demand: *demand }
    }

    /// Says what a session that is in was since measured to take of the cores, or is now taken to. Nobody leaves
    /// for it. A number of a permit that was given back says nothing.
    pub fn revise(&mut self, number: PermitNumber, cpu: Duration) {
        if let Some(demand) = self.held.get_mut(&number) {
            let before = std::mem::replace(&mut demand.cpu, cpu);
            self.used.cpu = self.used.cpu.saturating_sub(before).saturating_add(cpu);
        }
    }

    /// What a session that is in, or what was started ahead, is booked for now; none of a permit that was given back.
    pub fn held(&self, number: PermitNumber) -> Option<Demand> {
        self.held.get(&number).copied()
    }

    /// Books for a session that is in what it needs from now on in place of what it holds, or says why it cannot have it; a
    /// refusal changes nothing. What it gives back is always taken, and of a sum of which it needs no more than before
    /// nobody asks whether there is room. A number of a permit that was given back says nothing.
    ///
    /// # Errors
    /// See [`Refusal`], whose figures are of all that it needs, and of what there is with what it holds.
    pub fn change(&mut self, number: PermitNumber, demand: &Demand) -> Result<(), Refusal> {
        let Some(held) = self.held(number) else { return Ok(()) };
        self.has_more(&held, demand, &self.used)?;
        self.used = with(&without(&self.used, &held), demand);
        self.held.insert(number, *demand);
        Ok(())
    }

    /// Lets a viewer in that is sent at most so much, or says why not; a refusal changes nothing.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn admit_viewer(&mut self, egress: Bitrate) -> Result<ViewerPermit, Refusal> {
        if self.viewers >= self.capacity.viewers {
            return Err(Refusal::Viewers { most: self.capacity.viewers });
        }
        fits_the_link(egress, self.left().egress)?;
        self.viewers += 1;
        self.used.egress = plus(self.used.egress, egress);
        Ok(ViewerPermit { egress })
    }

    /// Gives a viewer's place back.
    #[expect(clippy::needless_pass_by_value, reason = "taking it is what releases it once")]
    pub fn release_viewer(&mut self, permit: ViewerPermit) {
        debug_assert!(self.viewers > 0, "a permit of another node was released here");
        self.viewers = self.viewers.saturating_sub(1);
        self.used.egress = less(self.used.egress, permit.egress);
    }

    /// Gives a place back. The permit must come from this `Admission`.
    #[expect(clippy::needless_pass_by_value, reason = "taking it is what releases it once")]
    pub fn release(&mut self, permit: Permit) {
        let demand = self.held.remove(&permit.number);
        debug_assert!(demand.is_some(), "a permit of another node was released here");
        let demand = demand.unwrap_or_default();
        self.used = without(&self.used, &demand);
    }

    /// Replaces the capacity by a newer measurement. Those who are in stay, even when it shrank below
    /// them; nobody is let in until there is room again.
    pub fn remeasure(&mut self, capacity: Capacity) {
        self.capacity = capacity;
    }

    /// Says what graphics devices have of memory now, before anybody is let in who needs any; of several, what the one with
    /// the least has. `None` where they do not tell: then there is no bound.
    pub fn remeasure_graphics(&mut self, now: Option<GraphicsMemory>) {
        self.graphics.remeasure(now, self.used.graphics_memory);
    }

    /// What the sessions that are in need together.
    pub fn used(&self) -> Demand {
        self.used
    }

    /// Viewers that are in.
    pub fn viewers(&self) -> usize {
        self.viewers
    }

    /// Sessions that are in.
    pub fn sessions(&self) -> usize {
        self.held.len() - self.reserves
    }

    /// The capacity as last measured.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// What is free; zero where a newer measurement fell below what is in use.
    pub fn left(&self) -> Demand {
        self.left_beside(&self.used)
    }

    fn left_beside(&self, used: &Demand) -> Demand {
        Demand {
            render: self.capacity.render.saturating_sub(used.render),
            cpu: self.capacity.cpu.saturating_sub(used.cpu),
            pixel_rate: self.capacity.pixel_rate.saturating_sub(used.pixel_rate),
            memory: ByteSize(self.capacity.memory.0.saturating_sub(used.memory.0)),
            graphics_memory: self.graphics.left(used.graphics_memory),
            egress: less(self.capacity.egress, used.egress),
        }
    }

    /// Whether a session fits beside what is used.
    fn fits(&self, demand: &Demand, used: &Demand) -> Result<(), Refusal> {
        self.fits_an_empty_node(demand)?;
        if self.sessions() >= self.capacity.sessions {
            return Err(Refusal::Sessions { most: self.capacity.sessions });
        }
        self.fits_the_sums(demand, used)
    }

    /// Whether a session that holds so much, which is in what is used, can have this in its place.
    fn has_more(&self, held: &Demand, demand: &Demand, used: &Demand) -> Result<(), Refusal> {
        let grown =
            |asked: Duration, held: Duration| if asked > held { asked } else { Duration::ZERO };
        let more = |asked: u64, held: u64| if asked > held { asked } else { 0 };
        let demand = Demand {
            render: grown(demand.render, held.render),
            cpu: grown(demand.cpu, held.cpu),
            pixel_rate: more(demand.pixel_rate, held.pixel_rate),
            memory: ByteSize(more(demand.memory.0, held.memory.0)),
            graphics_memory: ByteSize(more(demand.graphics_memory.0, held.graphics_memory.0)),
            egress: Bitrate::from_bps(more(demand.egress.bps(), held.egress.bps())),
        };
        self.fits_an_empty_node(&demand)?;
        self.fits_the_sums(&demand, &without(used, held))
    }

    fn fits_the_sums(&self, demand: &Demand, used: &Demand) -> Result<(), Refusal> {
        let left = self.left_beside(used);
        if demand.render > left.render {
            return Err(Refusal::Render { asked: demand.render, left: left.render });
        }
        if demand.cpu > left.cpu {
            return Err(Refusal::Cpu { asked: demand.cpu, left: left.cpu });
        }
        if demand.pixel_rate > left.pixel_rate {
            return Err(Refusal::PixelRate { asked: demand.pixel_rate, left: left.pixel_rate });
        }
        if demand.memory > left.memory {
            return Err(Refusal::Memory { asked: demand.memory, left: left.memory });
        }
        if demand.graphics_memory > left.graphics_memory {
            let (asked, left) = (demand.graphics_memory, left.graphics_memory);
            return Err(Refusal::GraphicsMemory { asked, left });
        }
        fits_the_link(demand.egress, left.egress)
    }

    fn fits_an_empty_node(&self, demand: &Demand) -> Result<(), Refusal> {
        let what = if demand.render > self.capacity.render {
            "render time"
        } else if demand.cpu > self.capacity.cpu {
            "processor time"
        } else if demand.pixel_rate > self.capacity.pixel_rate {
            "encoder rate"
        } else if demand.memory > self.capacity.memory {
            "memory"
        } else if demand.graphics_memory > self.graphics.total() {
            "graphics memory"
        } else if demand.egress > self.capacity.egress {
            "bandwidth"
        } else {
            return Ok(());
        };
        Err(Refusal::TooLarge { what })
    }
}

fn fits_the_link(asked: Bitrate, left: Bitrate) -> Result<(), Refusal> {
    if asked > left { Err(Refusal::Egress { asked, left }) } else { Ok(()) }
}

/// How long sessions lasted that have ended, the newest of them.
#[derive(Clone, Debug, Default)]
pub struct Lengths(VecDeque<Duration>);

impl Lengths {
    /// Lengths that are remembered.
    const MOST: usize = 32;

    /// One has ended.
    pub fn add(&mut self, length: Duration) {
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(length);
    }

    /// The median; `None` before the first.
    pub fn usual(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// When a place may be free again, by how long sessions of this node usually last: at the earliest, and at the latest at
/// the limit of the one that ends first. `ages` are those of the sessions that are in. `None` where nobody is, or where
/// none has ended yet, so that nothing is known but the limit.
pub fn expected_wait(
    ages: impl IntoIterator<Item = Duration>,
    usual: Option<Duration>,
    longest: Duration,
) -> Option<Duration> {
    let usual = usual?;
    let left = |age: Duration| {
        // One that has outlasted the usual is taken to last as long again: that it went on says nothing else.
        let left = usual.checked_sub(age).unwrap_or(usual);
        left.min(longest.saturating_sub(age))
    };
    ages.into_iter().map(left).min()
}

fn without(used: &Demand, demand: &Demand) -> Demand {
    Demand {
        render: used.render.saturating_sub(demand.render),
        cpu: used.cpu.saturating_sub(demand.cpu),
        pixel_rate: used.pixel_rate.saturating_sub(demand.pixel_rate),
        memory: ByteSize(used.memory.0.saturating_sub(demand.memory.0)),
        graphics_memory: ByteSize(used.graphics_memory.0.saturating_sub(demand.graphics_memory.0)),
        egress: less(used.egress, demand.egress),
    }
}

fn with(used: &Demand, demand: &Demand) -> Demand {
    Demand {
        render: used.render.saturating_add(demand.render),
        cpu: used.cpu.saturating_add(demand.cpu),
        pixel_rate: used.pixel_rate.saturating_add(demand.pixel_rate),
        memory: ByteSize(used.memory.0.saturating_add(demand.memory.0)),
        graphics_memory: ByteSize(used.graphics_memory.0.saturating_add(demand.graphics_memory.0)),
        egress: plus(used.egress, demand.egress),
    }
}

fn plus(a: Bitrate, b: Bitrate) -> Bitrate {
    Bitrate::from_bps(a.bps().saturating_add(b.bps()))
}

fn less(a: Bitrate, b: Bitrate) -> Bitrate {
    Bitrate::from_bps(a.bps().saturating_sub(b.bps()))
}

#[cfg(test)]
mod tests;
