//! What orders do to machines, the price of a machine, and how one comes to be.

use sp_core::H256;
use sp_runtime::Perbill;

use super::pallet::{
    Config, ControllerMachines, ControllerStash, Event, LiveMachines, MachineRentedGPU,
    MachinesInfo, OnlineStakeParams, Pallet, RentedFinished, StandardGPUPointPrice,
    StashController, StashMachines, SysInfo,
};
use crate::pallets::dbc_price;
use crate::types::{
    add, remove, Balance, BlockNumber, CommitteeUploadInfo, Latitude, Longitude, MachineId,
    MachineInfo, MachineInfoDetail, MachineStatus, RentOrderDetail, StakerCustomizeInfo,
};

/// A machine as the development RPC registers it: audited, staked and online.
#[derive(Clone, Debug)]
pub struct Registration<AccountId> {
    /// 64 hexadecimal digits.
    pub id: MachineId,
    /// Whose it is.
    pub owner: AccountId,
    /// Who acts for it.
    pub controller: AccountId,
    /// Its cards.
    pub gpus: u32,
    /// Its points.
    pub calc_point: u64,
}

impl<T: Config> Pallet<T> {
    /// What cards of a machine cost a day, millionths of a dollar. The factor keeps digits through the divisions.
    pub fn daily_price(calc_point: u64, cards: u32, of: u32) -> Option<u64> {
        let standard = StandardGPUPointPrice::<T>::get()?;
        let machine = standard.gpu_price.checked_mul(calc_point)?.checked_mul(10_000)?;
        let machine = machine.checked_div(standard.gpu_point)?;
        Some(machine.checked_mul(cards.into())?.checked_div(of.into())? / 10_000)
    }

    /// An order was made: the machine counts as rented although nobody has confirmed.
    pub fn on_rent(id: &MachineId, cards: u32) {
        MachinesInfo::<T>::mutate_extant(id, |machine| {
            machine.machine_status = MachineStatus::Rented;
        });
        MachineRentedGPU::<T>::mutate(id, |rented| *rented = rented.saturating_add(cards));
    }

    /// An order was confirmed.
    pub(crate) fn on_confirmed(id: &MachineId, renter: &T::AccountId) -> Result<(), ()> {
        MachinesInfo::<T>::try_mutate(id, |machine| {
            let machine = machine.as_mut().ok_or(())?;
            add(&mut machine.renters, renter.clone());
            machine.total_rented_times = machine.total_rented_times.saturating_add(1);
            Self::set_live(id, true);
            Ok(())
        })
    }

    /// An order lapsed. Where no card has an order, the machine is online, whatever it was.
    pub(crate) fn on_lapsed(id: &MachineId, cards: u32) -> Result<(), ()> {
        let rented = MachineRentedGPU::<T>::get(id).saturating_sub(cards);
        if rented == 0 {
            MachinesInfo::<T>::try_mutate(id, |machine| {
                machine.as_mut().ok_or(())?.machine_status = MachineStatus::Online;
                Ok::<_, ()>(())
            })?;
        }
        MachineRentedGPU::<T>::insert(id, rented);
        Ok(())
    }

    /// An order ended; whether it was the machine's last confirmed one, and its renter's last.
    pub(crate) fn on_ended(
        order: &RentOrderDetail<T::AccountId>,
        blocks: BlockNumber,
        (last_of_machine, last_of_renter): (bool, bool),
    ) -> Result<(), ()> {
        let id = &order.machine_id;
        let mut machine = MachinesInfo::<T>::get(id).ok_or(())?;
        let cards = machine.gpus();
        if cards == 0 {
            return Ok(());
        }
        let whole = Perbill::from_rational(order.gpu_num, cards) * blocks;
        machine.total_rented_duration = machine.total_rented_duration.saturating_add(whole);
        if last_of_renter {
            remove(&mut machine.renters, &order.renter);
        }
        match machine.machine_status {
            MachineStatus::StakerReportOffline(..) | MachineStatus::ReporterReportOffline(..) => {
                RentedFinished::<T>::insert(id, &order.renter);
            }
            MachineStatus::Rented if last_of_machine => {
                machine.last_online_height = Self::block();
                machine.machine_status = MachineStatus::Online;
                Self::set_live(id, false);
            }
            _ => {}
        }
        MachineRentedGPU::<T>::mutate(id, |rented| *rented = rented.saturating_sub(order.gpu_num));
        MachinesInfo::<T>::insert(id, machine);
        Ok(())
    }

    /// Rent was paid: what stakes lack is held of it, and sums are kept. That the stake cannot be held stops nothing
    /// but the sums.
    pub fn on_rent_paid(stash: &T::AccountId, id: &MachineId, burnt: Balance, earned: Balance) {
        if Self::fulfil(stash, earned).is_err() {
            return;
        }
        let sum = |fee: &mut Balance, burn: &mut Balance| {
            *fee = fee.saturating_add(earned);
            *burn = burn.saturating_add(burnt);
        };
        MachinesInfo::<T>::mutate_extant(id, |machine| {
            sum(&mut machine.total_rent_fee, &mut machine.total_burn_fee);
        });
        StashMachines::<T>::mutate(stash, |all| {
            sum(&mut all.total_rent_fee, &mut all.total_burn_fee);
        });
        SysInfo::<T>::mutate(|all| sum(&mut all.total_rent_fee, &mut all.total_burn_fee));
    }

    /// Registers a machine; its owner's free money is held for it as far as it goes.
    ///
    /// # Errors
    /// Where there is such a machine, or somebody acts for another owner.
    pub fn register(new: Registration<T::AccountId>) -> Result<(), &'static str> {
        let Registration { id, owner, controller, gpus, calc_point } = new;
        if MachinesInfo::<T>::contains_key(&id) {
            return Err("the machine is registered already");
        }
        let acts_for = ControllerStash::<T>::get(&controller);
        if acts_for.is_some_and(|other| other != owner) {
            return Err("the controller acts for another owner");
        }
        StashController::<T>::insert(&owner, &controller);
        ControllerStash::<T>::insert(&controller, &owner);
        ControllerMachines::<T>::mutate(&controller, |machines| add(machines, id.clone()));
        LiveMachines::<T>::mutate(|live| add(&mut live.online_machine, id.clone()));
        StashMachines::<T>::mutate(&owner, |all| {
            add(&mut all.total_machine, id.clone());
            add(&mut all.online_machine, id.clone());
            all.total_gpu_num = all.total_gpu_num.saturating_add(gpus.into());
            all.total_calc_points = all.total_calc_points.saturating_add(calc_point);
        });
        SysInfo::<T>::mutate(|all| {
            all.total_gpu_num = all.total_gpu_num.saturating_add(gpus.into());
            all.total_calc_points = all.total_calc_points.saturating_add(calc_point);
        });
        let machine = Self::audited(&id, &owner, &controller, gpus, calc_point);
        MachinesInfo::<T>::insert(&id, machine);
        let free = <T::Currency as frame_support::traits::Currency<_>>::free_balance(&owner);
        let _ = Self::fulfil(&owner, free);
        Ok(())
    }

    fn audited(
        id: &MachineId,
        owner: &T::AccountId,
        controller: &T::AccountId,
        gpus: u32,
        calc_point: u64,
    ) -> MachineInfo<T::AccountId> {
        let now = Self::block();
        MachineInfo {
            controller: controller.clone(),
            machine_stash: owner.clone(),
            renters: Vec::new(),
            last_machine_restake: now,
            bonding_height: now,
            online_height: now,
            last_online_height: now,
            init_stake_per_gpu: Self::stake_per_gpu().unwrap_or_default() / 10,
            stake_amount: 0,
            machine_status: MachineStatus::Online,
            total_rented_duration: 0,
            total_rented_times: 0,
            total_rent_fee: 0,
            total_burn_fee: 0,
            machine_info_detail: MachineInfoDetail {
                committee_upload_info: hardware(id, gpus, calc_point),
                staker_customize_info: StakerCustomizeInfo {
                    server_room: H256::zero(),
                    upload_net: 10_000,
                    download_net: 10_000,
                    longitude: Longitude::East(134_050),
                    latitude: Latitude::North(525_200),
                    telecom_operators: vec![b"development".to_vec()],
                    is_bare_machine: false,
                },
            },
            reward_committee: Vec::new(),
            reward_deadline: 0,
        }
    }

    /// What is to be held for each card.
    fn stake_per_gpu() -> Option<Balance> {
        let params = OnlineStakeParams::<T>::get()?;
        let by_value = dbc_price::Pallet::<T>::dbc_for(params.online_stake_usd_limit)?;
        Some(params.online_stake_per_gpu.min(by_value))
    }

    /// Holds of an owner's money what its machines lack, at most this much.
    fn fulfil(stash: &T::AccountId, mut left: Balance) -> Result<(), ()> {
        for id in StashMachines::<T>::get(stash).online_machine {
            let Some(mut machine) = MachinesInfo::<T>::get(&id) else { continue };
            let per_card = Self::stake_per_gpu().ok_or(())?;
            let needed = per_card.checked_mul(machine.gpus().into()).ok_or(())?;
            let before = machine.stake_amount;
            let more = needed.saturating_sub(before).min(left);
            if needed <= before {
                continue;
            }
            Self::change_stake(stash, more, true)?;
            machine.stake_amount = before.saturating_add(more);
            MachinesInfo::<T>::insert(&id, machine);
            Self::deposit_event(Event::MachineAddStake(id, before, more));
            left -= more;
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Moves a machine between the lists of those that are idle and those that are rented.
    fn set_live(id: &MachineId, rented: bool) {
        LiveMachines::<T>::mutate(|live| {
            let (idle, busy) = (&mut live.online_machine, &mut live.rented_machine);
            let (from, to) = if rented { (idle, busy) } else { (busy, idle) };
            remove(from, id);
            add(to, id.clone());
        });
    }
}

fn hardware(id: &MachineId, gpus: u32, calc_point: u64) -> CommitteeUploadInfo {
    CommitteeUploadInfo {
        machine_id: id.clone(),
        gpu_type: b"Development GPU".to_vec(),
        gpu_num: gpus,
        cuda_core: 10_240,
        gpu_mem: 24,
        calc_point,
        sys_disk: 500,
        data_disk: 2_000,
        cpu_type: b"Development CPU".to_vec(),
        cpu_core_num: 32,
        cpu_rate: 3_000,
        mem_num: 128,
        rand_str: b"development".to_vec(),
        is_support: true,
    }
}
