//! What being away costs a machine's owner.

use frame_support::traits::{Currency, ExistenceRequirement::AllowDeath, ReservableCurrency};
use sp_runtime::{DispatchResult, Perbill};

use super::pallet::{
    Config, Error, Event, LiveMachines, Machine2PendingSlashIds, MachinesInfo, NextSlashId, Pallet,
    PendingExecSlash, PendingSlash, RentedFinished, StashStake, SysInfo,
};
use crate::pallets::generic_func;
use crate::types::{
    add, remove, Balance, BlockNumber, MachineId, MachineInfo, MachineStatus, OPPendingSlashInfo,
    OPSlashReason, ONE_DAY,
};

const SEVEN_MINUTES: BlockNumber = 70;
const TWO_DAYS: BlockNumber = 2 * ONE_DAY;
/// A machine that is so old, and was idle for so long, is not slashed for going away.
const OLD: BlockNumber = 365 * ONE_DAY;
const IDLE: BlockNumber = 10 * ONE_DAY;

impl<T: Config> Pallet<T> {
    /// A machine is there again, as it was before: its owner's slash is held, and taken two days later.
    pub(super) fn bring_back(
        id: &MachineId,
        mut machine: MachineInfo<T::AccountId>,
    ) -> DispatchResult {
        let now = Self::block();
        let away = machine.machine_status.clone();
        let MachineStatus::StakerReportOffline(since, before) = away else {
            // Nobody else's reports are here.
            return Err(Error::<T>::MachineStatusNotAllowed.into());
        };
        let slash = Self::slash_of(id, &machine, since, &before);
        machine.last_online_height = now;
        let ended = RentedFinished::<T>::take(id).is_some();
        machine.machine_status = if ended { MachineStatus::Online } else { *before };
        if slash.slash_amount > 0 {
            Self::change_stake(&machine.machine_stash, slash.slash_amount, true)
                .map_err(|()| Error::<T>::BalanceNotEnough)?;
            let slash_id = NextSlashId::<T>::mutate(|next| {
                let id = *next;
                *next = next.wrapping_add(1);
                id
            });
            PendingExecSlash::<T>::mutate(slash.slash_exec_time, |ids| add(ids, slash_id));
            PendingSlash::<T>::insert(slash_id, slash);
            Machine2PendingSlashIds::<T>::mutate(id, |ids| add(ids, slash_id));
            Self::deposit_event(Event::AddSlash(id.clone(), slash_id));
        }
        LiveMachines::<T>::mutate(|live| {
            remove(&mut live.offline_machine, id);
            let list = match machine.machine_status {
                MachineStatus::Rented => &mut live.rented_machine,
                _ => &mut live.online_machine,
            };
            add(list, id.clone());
        });
        MachinesInfo::<T>::insert(id, machine);
        Ok(())
    }

    fn slash_of(
        id: &MachineId,
        machine: &MachineInfo<T::AccountId>,
        since: BlockNumber,
        before: &MachineStatus<T::AccountId>,
    ) -> OPPendingSlashInfo<T::AccountId> {
        let now = Self::block();
        let rented = *before == MachineStatus::Rented;
        let percent = percent(now.saturating_sub(since), rented);
        let idle = since.saturating_sub(machine.last_online_height);
        let excused = now.saturating_sub(machine.online_height) > OLD && idle >= IDLE;
        let amount = Perbill::from_percent(percent) * machine.stake_amount;
        OPPendingSlashInfo {
            slash_who: machine.machine_stash.clone(),
            machine_id: id.clone(),
            slash_time: now,
            slash_amount: if excused { 0 } else { amount },
            slash_exec_time: now.saturating_add(TWO_DAYS),
            reporter: None,
            renters: if rented { machine.renters.clone() } else { Vec::new() },
            reward_to_committee: None,
            slash_reason: match rented {
                true => OPSlashReason::RentedReportOffline(since),
                false => OPSlashReason::OnlineReportOffline(since),
            },
        }
    }

    /// Takes the slashes of this block: a tenth for renters, where there were any, and the rest for the treasury.
    pub(super) fn exec_slashes() {
        for slash_id in PendingExecSlash::<T>::take(Self::block()) {
            let Some(slash) = PendingSlash::<T>::take(slash_id) else { continue };
            let OPPendingSlashInfo { slash_who, machine_id, slash_amount, renters, .. } = slash;
            Machine2PendingSlashIds::<T>::mutate(&machine_id, |ids| remove(ids, &slash_id));
            let share = match renters.len() {
                0 => 0,
                count => Perbill::from_percent(10) * slash_amount / count as Balance,
            };
            for renter in &renters {
                Self::take(&slash_who, share, Some(renter));
            }
            let rest = slash_amount.saturating_sub(share * renters.len() as Balance);
            Self::take(&slash_who, rest, None);
            Self::deposit_event(Event::SlashExecuted(slash_who, machine_id, slash_amount));
        }
    }

    /// Takes what is held of somebody for somebody else, or for the treasury.
    fn take(who: &T::AccountId, amount: Balance, to: Option<&T::AccountId>) {
        match to {
            Some(to) => {
                T::Currency::unreserve(who, amount);
                let _ = T::Currency::transfer(who, to, amount, AllowDeath);
            }
            None => {
                let taken = T::Currency::slash_reserved(who, amount).0;
                generic_func::Pallet::<T>::to_treasury(taken);
            }
        }
        StashStake::<T>::mutate(who, |held| *held = held.saturating_sub(amount));
        SysInfo::<T>::mutate(|all| all.total_stake = all.total_stake.saturating_sub(amount));
    }
}

/// Hundredths of the stake for being away so many blocks.
fn percent(away: BlockNumber, rented: bool) -> u32 {
    let (longer, most) = if rented { (5 * ONE_DAY, 50) } else { (10 * ONE_DAY, 80) };
    match away {
        0..SEVEN_MINUTES => 2,
        SEVEN_MINUTES..TWO_DAYS => 4,
        away if away < longer => 30,
        _ => most,
    }
}

#[cfg(test)]
mod tests {
    use super::{percent, ONE_DAY};

    #[test]
    fn the_longer_away_the_more() {
        let days = |days| days * ONE_DAY;
        for (away, idle, rented) in [
            (0, 2, 2),
            (69, 2, 2),
            (70, 4, 4),
            (days(2) - 1, 4, 4),
            (days(2), 30, 30),
            (days(5) - 1, 30, 30),
            (days(5), 30, 50),
            (days(10) - 1, 30, 50),
            (days(10), 80, 50),
        ] {
            assert_eq!((percent(away, false), percent(away, true)), (idle, rented), "{away}");
        }
    }
}
