//! What renters are told of a machine's hours before they sign is what the pallet would say.

mod support;

use runtime::Runtime;
use runtime::pallets::online_profile::{
    MachineRentalModeStorage, Pallet, SpecificDateSchedule, WeeklySchedule,
};
use runtime::types::{MachineRentalMode, TimeRange};
use schedule::{Day, Hours, Schedule, Table};
use support::{Chain, MONDAY, id};

/// The server's rule by its source: a dependency on its crate would select other features of FRAME's, and compile all of them anew.
#[path = "../../session/src/rental/schedule.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a module of another crate")]
mod schedule;

/// What it has of the module above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnixMillis(u64);

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Numbers that look random (xorshift), the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Ranges that owners can set: none has an hour of another's. Some are next to each other.
    fn day(&mut self) -> Vec<Hours> {
        let mut ends: Vec<_> = (0..self.below(7)).map(|_| self.below(25) as u8).collect();
        ends.sort_unstable();
        ends.dedup();
        let range = |ends: &[u8]| Hours { from: ends[0], to: ends[1] };
        match self.below(2) {
            0 => ends.chunks_exact(2).map(range).collect(),
            _ => ends.windows(2).map(range).collect(),
        }
    }

    fn schedule(&mut self) -> Schedule {
        if self.below(16) == 0 {
            return Schedule::Always;
        }
        let week = std::array::from_fn(|_| self.day());
        let monday = Day::of(UnixMillis(MONDAY)).0;
        let own = |random: &mut Self| (Day(monday + random.below(4) as u32), random.day());
        let days = (0..self.below(3)).map(|_| own(self)).collect();
        Schedule::Hours(Table { week, days })
    }

    /// Within three days, often at the edge of an hour.
    fn moment(&mut self) -> u64 {
        let hour = MONDAY + self.below(72) * HOUR;
        match self.below(4) {
            0 => MONDAY + self.below(3 * DAY),
            1 => hour - [1, 999, 1_000][self.below(3) as usize],
            _ => hour + [0, 1, 999, 1_000, 1_001][self.below(5) as usize],
        }
    }
}

fn ranges(hours: &[Hours]) -> Vec<TimeRange> {
    let range = |hours: &Hours| TimeRange { start_hour: hours.from, end_hour: hours.to };
    hours.iter().map(range).collect()
}

/// What the pallet says of orders from these moments on.
fn pallets(chain: &Chain, schedule: &Schedule, from: [u64; 3], blocks: u32) -> [bool; 3] {
    chain.read(|| {
        if let Schedule::Hours(table) = schedule {
            MachineRentalModeStorage::<Runtime>::insert(id(), MachineRentalMode::TimeSlot);
            let week = std::array::from_fn(|weekday| ranges(&table.week[weekday]));
            WeeklySchedule::<Runtime>::insert(id(), week);
            for (Day(day), hours) in &table.days {
                SpecificDateSchedule::<Runtime>::insert(id(), day, ranges(hours));
            }
        }
        let until = |from: u64| from + u64::from(blocks) * nearlight_devchain::SLOT_MS;
        from.map(|from| Pallet::<Runtime>::is_open(&id(), from, until(from)))
    })
}

#[test]
fn renters_are_told_what_the_pallet_says() {
    let (chain, mut random) = (Chain::new(), Random(0x9e37_79b9_7f4a_7c15));
    let (mut open, mut closed) = (0, 0);
    for _ in 0..400 {
        let schedule = random.schedule();
        let (from, blocks) = (random.moment(), 300 + 150 * random.below(40) as u32);
        let told = schedule.open(UnixMillis(from), blocks);
        let until = told.as_ref().ok().copied().flatten();
        let latest = until.map_or(from, |until| until.0);
        let [now, last, later] = pallets(&chain, &schedule, [from, latest, latest + 1], blocks);
        assert_eq!(told.is_ok(), now, "{schedule:?} {from} {blocks}");
        if until.is_some() {
            assert!(last && !later, "it is the last moment: {schedule:?} {from} {blocks}");
        }
        open += u32::from(until.is_some());
        closed += u32::from(!now);
    }
    assert!(open > 0 && closed > 0, "{open} {closed}");
}
