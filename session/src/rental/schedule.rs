//! The hours that a machine's owner lets it in (runtime 409 and later): the rule of the pallet `online-profile`, check by check.
//!
//! An order of a machine that keeps hours lasts two hours at least, and from its block to its end within one UTC day and one
//! range of that day's. A day of its own goes before the week. Both ends of an order are compared by the hour that each is in, so that
//! one which ends at 14:59 ends at 14; one that ends at midnight, to the second, ends at 24. Prolonging asks nobody.

use std::collections::BTreeMap;
use std::fmt;

use super::UnixMillis;

/// Milliseconds that the chain counts a block for.
pub const BLOCK_MS: u64 = 6_000;
/// Days of which hours are read: that of the block, and the week after.
pub const DAYS: u32 = 8;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const SHORTEST_MS: u64 = 2 * HOUR_MS;
/// Of a second that is midnight's.
const MIDNIGHT_MS: u64 = 1_000;
/// From Sunday on. The first of January 1970 was a Thursday.
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const FIRST_WEEKDAY: u32 = 4;

/// A range of hours of a UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// From when this hour begins.
    pub from: u8,
    /// Until this one begins, at most 24.
    pub to: u8,
}

/// A day, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

/// What hours a machine's owner keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// By day of the week, Sunday first.
    pub week: [Vec<Hours>; 7],
    /// Of single days, instead of the week's.
    pub days: BTreeMap<Day, Vec<Hours>>,
}

/// When a machine can be rented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// At all times; also on chains that know of no hours.
    #[default]
    Always,
    /// In these hours alone.
    Hours(Table),
}

/// Why an order is out of a machine's hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When it would begin.
    pub from: UnixMillis,
    /// When it would end.
    pub until: UnixMillis,
    /// The hours of the day that it would begin on.
    pub hours: Vec<Hours>,
    /// The next day that has any, if one within a week has, and its hours.
    pub next: Option<(Day, Vec<Hours>)>,
}

impl Hours {
    fn cover(self, from: u8, to: u8) -> bool {
        self.from <= from && to <= self.to
    }

    /// The last moment of a day that an order in it may end at.
    fn last(self, day: u64) -> u64 {
        let (hours, more) =
            if self.to >= 24 { (24, MIDNIGHT_MS) } else { (u64::from(self.to), HOUR_MS) };
        (day * DAY_MS).saturating_add(hours * HOUR_MS + more - 1)
    }
}

impl Day {
    /// The day of a moment.
    pub fn of(time: UnixMillis) -> Self {
        Self(u32::try_from(time.0 / DAY_MS).unwrap_or(u32::MAX))
    }

    /// The days from this one on of which hours are read.
    pub fn and_after(self) -> impl Iterator<Item = Self> {
        (0..DAYS).map(move |days| Self(self.0.saturating_add(days)))
    }

    fn weekday(self) -> usize {
        (u64::from(self.0) + u64::from(FIRST_WEEKDAY)) as usize % 7
    }

    /// Its name in English.
    pub fn name(self) -> &'static str {
        WEEKDAYS[self.weekday()]
    }
}

impl Table {
    /// The hours of a day.
    pub fn on(&self, day: Day) -> &[Hours] {
        self.days.get(&day).unwrap_or(&self.week[day.weekday()])
    }

    fn open(&self, from: u64, until: u64) -> Option<UnixMillis> {
        if until < from.saturating_add(SHORTEST_MS) {
            return None;
        }
        let (first, last) = (from / DAY_MS, until / DAY_MS);
        let hour = |time: u64| (time % DAY_MS / HOUR_MS) as u8;
        let at_midnight = last == first + 1 && until % DAY_MS < MIDNIGHT_MS;
        let end = match (first == last, at_midnight) {
            (true, _) => hour(until),
            (_, true) => 24,
            _ => return None,
        };
        let ranges = self.on(Day::of(UnixMillis(from))).iter();
        let ranges = ranges.filter(|range| range.cover(hour(from), end));
        // As much later as the range has room for the end.
        ranges.map(|range| UnixMillis(range.last(first) - (until - from))).max()
    }
}

impl Schedule {
    /// Until when an order of so many blocks can be made that can be made at a moment; none where that is always.
    ///
    /// # Errors
    /// Where it cannot be made then.
    pub fn open(&self, from: UnixMillis, blocks: u32) -> Result<Option<UnixMillis>, Closed> {
        let Self::Hours(table) = self else { return Ok(None) };
        let until = from.0.saturating_add(u64::from(blocks) * BLOCK_MS);
        if let Some(latest) = table.open(from.0, until) {
            return Ok(Some(latest));
        }
        let mut days = Day::of(from).and_after().map(|day| (day, table.on(day).to_vec()));
        let hours = days.next().map(|(_, hours)| hours).unwrap_or_default();
        let next = days.find(|(_, hours)| !hours.is_empty());
        Err(Closed { from, until: UnixMillis(until), hours, next })
    }
}

/// Such as `2026-11-28`; the calendar is Gregorian (by Howard Hinnant's `civil_from_days`).
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Days from the first of March of the year 0; eras of 400 years.
        let days = u64::from(self.0) + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + u64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Such as `10 to 14`.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// Of a day, for people: `10 to 14, 20 to 24 o'clock`.
pub fn words(hours: &[Hours]) -> String {
    let ranges: Vec<_> = hours.iter().map(ToString::to_string).collect();
    format!("{} o'clock", ranges.join(", "))
}

fn moment(time: UnixMillis) -> String {
    let (hour, minute) = (time.0 % DAY_MS / HOUR_MS, time.0 % HOUR_MS / 60_000);
    format!("{} {hour:02}:{minute:02}", Day::of(time))
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the order would last from {} to {} (UTC, by the chain's clock), and the machine is let in hours that its owner keeps, \
             for two hours at least: ",
            moment(self.from),
            moment(self.until)
        )?;
        let day = Day::of(self.from);
        match self.hours.as_slice() {
            [] => write!(f, "not at all on {day}")?,
            hours => write!(f, "on {day} within {}", words(hours))?,
        }
        match &self.next {
            Some((next, hours)) => {
                write!(f, ", then on {}, {next}, within {}", next.name(), words(hours))
            }
            None => f.write_str(", and on no day of the week after"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, the first of January 2024, midnight.
    const MONDAY: u64 = 1_704_067_200_000;
    const TWO_HOURS: u32 = 1_200;

    fn hours(ranges: &[(u8, u8)]) -> Vec<Hours> {
        ranges.iter().map(|&(from, to)| Hours { from, to }).collect()
    }

    /// From 10 to 14 o'clock on Mondays, and from 20 o'clock until midnight.
    fn mondays() -> Table {
        let mut table = Table::default();
        table.week[1] = hours(&[(10, 14), (20, 24)]);
        table
    }

    fn open(table: &Table, from: u64, blocks: u32) -> Result<Option<UnixMillis>, Closed> {
        Schedule::Hours(table.clone()).open(UnixMillis(MONDAY + from), blocks)
    }

    #[test]
    fn hours_are_the_pallets() {
        let table = mondays();
        let (hour, day) = (HOUR_MS, DAY_MS);
        // When, blocks, and until when it can begin.
        for (from, blocks, latest) in [
            (10 * hour, TWO_HOURS, Some(13 * hour - 1)),
            (10 * hour - 1, TWO_HOURS, None),
            (10 * hour, 900, None),
            (12 * hour, TWO_HOURS, Some(13 * hour - 1)),
            (13 * hour - 1, TWO_HOURS, Some(13 * hour - 1)),
            (13 * hour, TWO_HOURS, None),
            (11 * hour, 3_000, None),
            (22 * hour, TWO_HOURS, Some(22 * hour + 999)),
            (22 * hour + 999, TWO_HOURS, Some(22 * hour + 999)),
            (22 * hour + 1_000, TWO_HOURS, None),
            (day + 10 * hour, TWO_HOURS, None),
            (7 * day + 10 * hour, TWO_HOURS, Some(7 * day + 13 * hour - 1)),
        ] {
            let found = open(&table, from, blocks).ok().flatten();
            assert_eq!(found.map(|at| at.0 - MONDAY), latest, "{from} {blocks}");
        }
    }

    #[test]
    fn a_day_of_its_own_goes_before_the_week() {
        let mut table = mondays();
        table.days.insert(Day::of(UnixMillis(MONDAY)), hours(&[(3, 6)]));
        open(&table, 10 * HOUR_MS, TWO_HOURS).unwrap_err();
        assert!(open(&table, 3 * HOUR_MS, TWO_HOURS).is_ok());
        assert!(open(&table, 7 * DAY_MS + 10 * HOUR_MS, TWO_HOURS).is_ok(), "the next one");
        table.days.insert(Day::of(UnixMillis(MONDAY)), Vec::new());
        assert!(open(&table, 3 * HOUR_MS, TWO_HOURS).is_err(), "not at all");
    }

    #[test]
    fn who_is_refused_is_told_when_the_machine_is_let() {
        let mut table = mondays();
        let told = |table: &Table, from| open(table, from, 300).unwrap_err().to_string();
        let said = told(&table, 10 * HOUR_MS);
        let expected = "from 2024-01-01 10:00 to 2024-01-01 10:30 (UTC, by the chain's clock)";
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("on 2024-01-01 within 10 to 14, 20 to 24 o'clock, then on Monday, 2024-01-08, within 10"), "{said}");
        table.days.insert(Day(19_725), hours(&[(1, 5)]));
        let said = told(&table, DAY_MS);
        assert!(
            said.ends_with(
                "not at all on 2024-01-02, then on Wednesday, 2024-01-03, within 1 to 5 o'clock"
            ),
            "{said}"
        );
        let said = told(&Table::default(), 0);
        assert!(said.ends_with("and on no day of the week after"), "{said}");
    }

    #[test]
    fn always_is_always() {
        assert_eq!(Schedule::Always.open(UnixMillis(0), 300), Ok(None));
    }

    #[test]
    fn days_are_of_the_calendar() {
        for (day, text, name) in [
            (0, "1970-01-01", "Thursday"),
            (59, "1970-03-01", "Sunday"),
            (11_016, "2000-02-29", "Tuesday"),
            (20_785, "2026-11-28", "Saturday"),
        ] {
            assert_eq!((Day(day).to_string().as_str(), Day(day).name()), (text, name));
        }
    }

    #[test]
    fn nothing_overflows() {
        let mut table = Table::default();
        table.week.iter_mut().for_each(|day| *day = hours(&[(0, 24), (0, 255)]));
        for from in [0, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            let _ = Schedule::Hours(table.clone()).open(UnixMillis(from), u32::MAX);
            let _ = Schedule::Hours(table.clone()).open(UnixMillis(from), TWO_HOURS);
        }
        assert!(!Day(u32::MAX).to_string().is_empty());
    }
}
