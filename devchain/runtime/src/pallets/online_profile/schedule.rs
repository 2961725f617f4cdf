//! The hours that machines keep. Since runtime 411.

use frame_support::ensure;
use sp_runtime::DispatchResult;

use super::pallet::{
    Config, Error, MachineRentalModeStorage, Pallet, SpecificDateSchedule, WeeklySchedule,
};
use crate::types::{MachineId, MachineRentalMode, TimeRange};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const SHORTEST_MS: u64 = 2 * HOUR_MS;
const MOST_RANGES: usize = 10;
/// The first of January 1970 was a Thursday.
const FIRST_WEEKDAY: u32 = 4;

impl<T: Config> Pallet<T> {
    /// The chain's clock, milliseconds since 1970.
    pub fn time_ms() -> u64 {
        pallet_timestamp::Pallet::<T>::get()
    }

    /// Whether a machine can be rented from one time to another: where it keeps hours, two at least, on one UTC day and
    /// within one range. Ranges are compared by the hour that each end is in, so 12:59 counts as 12.
    pub fn is_open(id: &MachineId, from: u64, until: u64) -> bool {
        if MachineRentalModeStorage::<T>::get(id) == MachineRentalMode::FullTime {
            return true;
        }
        if until < from.saturating_add(SHORTEST_MS) {
            return false;
        }
        let (first, last) = (from / DAY_MS, until / DAY_MS);
        let hour = |time: u64| (time % DAY_MS / HOUR_MS) as u8;
        // What ends at midnight, to the second, ends at 24 o'clock.
        let at_midnight = last == first + 1 && until % DAY_MS < 1_000;
        let end = match (first == last, at_midnight) {
            (true, _) => hour(until),
            (_, true) => 24,
            _ => return false,
        };
        Self::ranges_of(id, first as u32).iter().any(|range| range.covers(hour(from), end))
    }

    fn ranges_of(id: &MachineId, day: u32) -> Vec<TimeRange> {
        if SpecificDateSchedule::<T>::contains_key(id, day) {
            return SpecificDateSchedule::<T>::get(id, day);
        }
        let weekday = (day + FIRST_WEEKDAY) % 7;
        let [sunday, monday, tuesday, wednesday, thursday, friday, saturday] =
            WeeklySchedule::<T>::get(id);
        match weekday {
            0 => sunday,
            1 => monday,
            2 => tuesday,
            3 => wednesday,
            4 => thursday,
            5 => friday,
            _ => saturday,
        }
    }

    /// Whether these can be the hours of a day: few, and none twice.
    pub(super) fn check_ranges(ranges: &[TimeRange]) -> DispatchResult {
        let valid = ranges.iter().all(|range| range.is_valid()) && ranges.len() <= MOST_RANGES;
        let apart = |(index, range): (usize, &TimeRange)| {
            ranges[..index].iter().all(|other| !range.overlaps(*other))
        };
        ensure!(valid && ranges.iter().enumerate().all(apart), Error::<T>::InvalidScheduleArgs);
        Ok(())
    }

    /// Whether a day can have hours of its own: thirty days back to a year ahead.
    pub(super) fn check_date(day: u32) -> DispatchResult {
        let today = (Self::time_ms() / DAY_MS) as u32;
        let near = day.saturating_add(30) >= today && day <= today.saturating_add(365);
        ensure!(near, Error::<T>::InvalidScheduleArgs);
        Ok(())
    }
}
