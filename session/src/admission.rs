//! Who is let in: sessions are counted against what the node was measured to carry.
//!
//! Capacity is a handful of sums, each of its own unit; a session is let in when its demand fits into
//! all of them, and refused with the reason otherwise. Nobody is let in to a worse picture: those who
//! play already would pay for it. One owner, no locks: `server` keeps it behind its own.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use media::{Bitrate, ByteSize};

/// What one session needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Time of the graphics device (or of the cores that stand in for it) per second.
    pub render: Duration,
    /// Time of the cores per second, of what the node hosts and of its pictures; none of what is drawn here.
    pub cpu: Duration,
    /// Pixels per second that are encoded.
    pub pixel_rate: u64,
    /// Memory, of the device or of the machine, whichever was measured as scarce.
    pub memory: ByteSize,
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
        /// Which of the sums it exceeds: `render time`, `processor time`, `encoder rate`, `memory` or `bandwidth`.
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
        let (used, held) = (Demand::default(), BTreeMap::new());
        Self { capacity, used, held, reserves: 0, next: PermitNumber::default(), viewers: 0 }
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
        let Err(refusal) = self.fits(demand, &self.used) else { return Ok(0) };
        let mut used = self.used;
        for (number, reserve) in reserves.into_iter().enumerate() {
            used = without(&used, self.held.get(&reserve.0.number).unwrap_or(&Demand::default()));
            if self.fits(demand, &used).is_ok() {
                return Ok(number + 1);
            }
        }
        Err(refusal)
    }

    fn book(&mut self, demand: &Demand) -> Permit {
        self.used.render += demand.render;
        self.used.cpu += demand.cpu;
        self.used.pixel_rate += demand.pixel_rate;
        self.used.memory.0 += demand.memory.0;
        self.used.egress = plus(self.used.egress, demand.egress);
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
        egress: less(used.egress, demand.egress),
    }
}

fn plus(a: Bitrate, b: Bitrate) -> Bitrate {
    Bitrate::from_bps(a.bps().saturating_add(b.bps()))
}

fn less(a: Bitrate, b: Bitrate) -> Bitrate {
    Bitrate::from_bps(a.bps().saturating_sub(b.bps()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NODE: Capacity = Capacity {
        render: Duration::from_millis(1_000),
        cpu: Duration::from_millis(2_000),
        pixel_rate: 250_000_000,
        memory: ByteSize(1_000_000_000),
        sessions: 4,
        viewers: 3,
        egress: Bitrate::from_mbps(100),
    };

    fn demand(render_ms: u64, megapixels: u64, megabytes: u64) -> Demand {
        Demand {
            render: Duration::from_millis(render_ms),
            pixel_rate: megapixels * 1_000_000,
            memory: ByteSize(megabytes * 1_000_000),
            ..Demand::default()
        }
    }

    fn cores(millis: u64) -> Demand {
        Demand { cpu: Duration::from_millis(millis), ..Demand::default() }
    }

    #[test]
    fn a_game_that_was_measured_to_take_less_makes_room_and_more_takes_it() {
        let mut node = Admission::new(NODE);
        let ms = Duration::from_millis;
        let first = node.admit(&cores(1_500)).unwrap();
        let refused = node.admit(&cores(600)).unwrap_err();
        assert_eq!(refused, Refusal::Cpu { asked: ms(600), left: ms(500) });
        assert!(refused.to_string().contains("0.60 cores, and 0.50 are free"));
        assert_eq!((refused.code(), refused.may_pass()), ("refused_cpu", true));
        let unit = "thousandths of a core";
        assert_eq!(refused.room(), Some(Room { sum: "cpu", unit, asked: 600, left: 500 }));
        node.revise(first.number(), ms(700));
        let second = node.admit(&cores(600)).unwrap();
        // It grew: who is in stays, and nobody comes.
        node.revise(first.number(), ms(3_000));
        assert_eq!(node.left().cpu, Duration::ZERO);
        node.release(second);
        let number = first.number();
        node.release(first);
        node.revise(number, ms(900));
        assert_eq!((node.used(), node.sessions()), (Demand::default(), 0));
        let large = node.admit(&cores(2_001)).unwrap_err();
        assert_eq!(
            (large.may_pass(), large),
            (false, Refusal::TooLarge { what: "processor time" })
        );
    }

    #[test]
    fn what_was_started_ahead_gives_way_to_who_plays_and_is_no_session() {
        let mut node = Admission::new(Capacity { sessions: 1, ..NODE });
        let holds = |cpu: u64, megabytes: u64| Demand {
            cpu: Duration::from_millis(cpu),
            memory: ByteSize(megabytes * 1_000_000),
            ..Demand::default()
        };
        let first = node.reserve(&holds(500, 300)).unwrap();
        let second = node.reserve(&holds(1_000, 300)).unwrap();
        // They stand still by now.
        node.revise(first.number(), Duration::ZERO);
        node.revise(second.number(), Duration::ZERO);
        assert_eq!((node.sessions(), node.used().memory), (0, ByteSize(600_000_000)));
        assert!(matches!(node.reserve(&holds(0, 401)), Err(Refusal::Memory { .. })));
        assert_eq!(node.gives_way(&holds(2_000, 400), [&first, &second]), Ok(0));
        assert_eq!(node.gives_way(&holds(2_000, 500), [&first, &second]), Ok(1));
        assert_eq!(node.gives_way(&holds(2_000, 900), [&first, &second]), Ok(2));
        let refused = node.gives_way(&holds(2_001, 900), [&first, &second]);
        assert_eq!(refused, Err(Refusal::TooLarge { what: "processor time" }));
        let refused = node.gives_way(&holds(0, 800), [&first]).unwrap_err();
        let mb = |many: u64| ByteSize(many * 1_000_000);
        assert_eq!(refused, Refusal::Memory { asked: mb(800), left: mb(400) }, "of what there is");
        node.give_back(first);
        let player = node.admit(&holds(2_000, 700)).unwrap();
        assert_eq!(node.sessions(), 1);
        // No reserve makes a place.
        let refused = node.gives_way(&holds(0, 0), [&second]);
        assert_eq!(refused, Err(Refusal::Sessions { most: 1 }));
        node.release(player);
        node.give_back(second);
        assert_eq!((node.used(), node.sessions()), (Demand::default(), 0));
    }

    #[test]
    fn the_wait_is_what_the_next_to_end_usually_has_left() {
        let s = Duration::from_secs;
        let hour = s(3_600);
        assert_eq!(expected_wait([s(10), s(250)], Some(s(300)), hour), Some(s(50)));
        assert_eq!(expected_wait([s(400)], Some(s(300)), hour), Some(s(300)), "beyond the usual");
        assert_eq!(expected_wait([s(3_590)], Some(s(300)), hour), Some(s(10)), "its limit");
        assert_eq!(expected_wait([s(3_700)], Some(s(300)), hour), Some(s(0)));
        assert_eq!(expected_wait([s(1)], None, hour), None);
        assert_eq!(expected_wait([], Some(s(300)), hour), None);
        let mut lengths = Lengths::default();
        assert_eq!(lengths.usual(), None);
        [5, 900, 30].into_iter().for_each(|length| lengths.add(s(length)));
        assert_eq!(lengths.usual(), Some(s(30)));
        (0..Lengths::MOST).for_each(|_| lengths.add(s(7)));
        assert_eq!(lengths.usual(), Some(s(7)));
    }

    #[test]
    fn viewers_are_counted_by_what_is_sent_to_them_beside_the_players() {
        let mut node = Admission::new(NODE);
        let mbps = Bitrate::from_mbps;
        let player = node.admit(&Demand { egress: mbps(40), ..Demand::default() }).unwrap();
        let viewer = node.admit_viewer(mbps(40)).unwrap();
        assert_eq!(
            node.admit_viewer(mbps(40)),
            Err(Refusal::Egress { asked: mbps(40), left: mbps(20) })
        );
        let late = node.admit(&Demand { egress: mbps(21), ..Demand::default() });
        assert_eq!(late.unwrap_err().code(), "refused_egress");
        node.release_viewer(viewer);
        let three = [20, 20, 20].map(|rate| node.admit_viewer(mbps(rate)).unwrap());
        assert_eq!(node.admit_viewer(mbps(0)).unwrap_err(), Refusal::Viewers { most: 3 });
        assert_eq!((node.viewers(), node.left().egress), (3, mbps(0)));
        three.into_iter().for_each(|permit| node.release_viewer(permit));
        node.release(player);
        assert_eq!((node.viewers(), node.used()), (0, Demand::default()));
        let large = node.admit(&Demand { egress: mbps(101), ..Demand::default() });
        assert_eq!(large.unwrap_err(), Refusal::TooLarge { what: "bandwidth" });
    }

    #[test]
    fn each_sum_refuses_by_itself() {
        let mut node = Admission::new(NODE);
        let _in = node.admit(&demand(600, 100, 500)).unwrap();
        let code = |node: &mut Admission, d| node.admit(&d).map_err(|r| r.code()).unwrap_err();
        assert_eq!(code(&mut node, demand(401, 0, 0)), "refused_render");
        assert_eq!(code(&mut node, demand(0, 151, 0)), "refused_encoder");
        assert_eq!(code(&mut node, demand(0, 0, 501)), "refused_memory");
        assert_eq!(code(&mut node, demand(1_001, 0, 0)), "refused_too_large");
        let _rest = [0; 3].map(|_| node.admit(&demand(0, 0, 0)).unwrap());
        assert_eq!(code(&mut node, demand(0, 0, 0)), "refused_sessions");
    }

    #[test]
    fn a_smaller_measurement_keeps_those_who_are_in() {
        let mut node = Admission::new(NODE);
        let permit = node.admit(&demand(600, 0, 0)).unwrap();
        node.remeasure(Capacity { render: Duration::from_millis(500), ..NODE });
        assert_eq!(node.left().render, Duration::ZERO);
        assert!(matches!(node.admit(&demand(1, 0, 0)), Err(Refusal::Render { .. })));
        node.release(permit);
        assert_eq!(node.left().render, Duration::from_millis(500));
    }

    #[test]
    fn refusals_tell_people_what_is_missing() {
        let refusal = Refusal::PixelRate { asked: 55_296_000, left: 12_900_000 };
        let sentence = refusal.to_string();
        assert!(sentence.contains("56 megapixels") && sentence.contains("12 are free"));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Admit(Demand),
        Release(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let admit = (0_u64..1_200, 0_u64..2_400, 0_u64..300, 0_u64..1_200).prop_map(
            |(render, cpu, pixels, memory)| {
                let cpu = Duration::from_millis(cpu);
                Step::Admit(Demand { cpu, ..demand(render, pixels, memory) })
            },
        );
        // Hostile figures must not overflow a sum either.
        let huge = Just(Step::Admit(Demand {
            render: Duration::MAX,
            cpu: Duration::MAX,
            pixel_rate: u64::MAX,
            memory: ByteSize(u64::MAX),
            egress: Bitrate::from_bps(u64::MAX),
        }));
        let release = (0_usize..8).prop_map(Step::Release);
        proptest::collection::vec(prop_oneof![6 => admit, 1 => huge, 4 => release], 0..200)
    }

    proptest! {
        #[test]
        fn the_node_is_never_over_capacity_and_release_restores_exactly(steps in steps()) {
            let mut node = Admission::new(NODE);
            let mut held: Vec<Permit> = Vec::new();
            for step in steps {
                let before = (node.used(), node.sessions());
                match step {
                    Step::Admit(demand) => match node.admit(&demand) {
                        Ok(permit) => held.push(permit),
                        Err(_) => prop_assert_eq!((node.used(), node.sessions()), before),
                    },
                    Step::Release(index) if index < held.len() => {
                        node.release(held.swap_remove(index));
                    }
                    Step::Release(_) => {}
                }
                let used = node.used();
                prop_assert!(used.render <= NODE.render && used.pixel_rate <= NODE.pixel_rate);
                prop_assert!(used.cpu <= NODE.cpu);
                prop_assert!(used.memory <= NODE.memory && node.sessions() <= NODE.sessions);
                let sum = held.iter().map(|p| p.demand().pixel_rate).sum::<u64>();
                prop_assert_eq!((used.pixel_rate, node.sessions()), (sum, held.len()));
            }
            held.into_iter().for_each(|permit| node.release(permit));
            prop_assert_eq!((node.used(), node.sessions()), (Demand::default(), 0));
        }
    }
}
