//! Machines: the real chain's `online-profile`, index 107. Left out is what brings a machine through its audit, the
//! rewards, and the review of slashes: here machines are there from the beginning or registered by the development RPC.

mod renting;
mod schedule;
mod slash;

pub use pallet::*;
pub use renting::Registration;

#[frame_support::pallet]
pub mod pallet {
    use frame_support::{pallet_prelude::*, traits::ReservableCurrency};
    use frame_system::pallet_prelude::*;
    use sp_runtime::{Perbill, SaturatedConversion};

    use crate::pallets::{dbc_price, generic_func};
    use crate::types::{
        add, remove, Balance, BlockNumber, LiveMachine, MachineId, MachineInfo, MachineRentalMode,
        MachineStatus, OPPendingSlashInfo, OnlineStakeParamsInfo, SlashId, StandardGpuPointPrice,
        StashMachine, SysInfoDetail, TimeRange,
    };

    /// Millionths of a dollar a day and card.
    const DEAREST_EXTRA: u64 = 10_000_000_000;

    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>>
        + pallet_timestamp::Config<Moment = u64>
        + generic_func::Config
        + dbc_price::Config
    {
    }

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    /// What owners put up.
    #[pallet::storage]
    pub type OnlineStakeParams<T> = StorageValue<_, OnlineStakeParamsInfo>;

    /// What points cost.
    #[pallet::storage]
    pub type StandardGPUPointPrice<T> = StorageValue<_, StandardGpuPointPrice>;

    #[pallet::type_value]
    pub fn RentFeeDestroyPercentDefault() -> Perbill {
        Perbill::from_percent(5)
    }

    /// What of the rent is burnt.
    #[pallet::storage]
    pub type RentFeeDestroyPercent<T> =
        StorageValue<_, Perbill, ValueQuery, RentFeeDestroyPercentDefault>;

    /// What a machine's owner asks for beside the chain's price, millionths of a dollar a day and card. Since runtime 411.
    #[pallet::storage]
    pub type MachineExtraPrice<T> = StorageMap<_, Blake2_128Concat, MachineId, u64, ValueQuery>;

    /// Whether a machine keeps hours. Since runtime 411.
    #[pallet::storage]
    pub type MachineRentalModeStorage<T> =
        StorageMap<_, Blake2_128Concat, MachineId, MachineRentalMode, ValueQuery>;

    /// Its hours by day of the week, Sunday first. Since runtime 411.
    #[pallet::storage]
    pub type WeeklySchedule<T> =
        StorageMap<_, Blake2_128Concat, MachineId, [Vec<TimeRange>; 7], ValueQuery>;

    /// Its hours on a day since 1970, instead of the week's. Since runtime 411.
    #[pallet::storage]
    pub type SpecificDateSchedule<T> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        MachineId,
        Blake2_128Concat,
        u32,
        Vec<TimeRange>,
        ValueQuery,
    >;

    /// Sums over all machines.
    #[pallet::storage]
    pub type SysInfo<T> = StorageValue<_, SysInfoDetail, ValueQuery>;

    /// Who acts for an owner.
    #[pallet::storage]
    pub type StashController<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId>;

    /// For whom somebody acts.
    #[pallet::storage]
    pub type ControllerStash<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId>;

    /// Machines.
    #[pallet::storage]
    pub type MachinesInfo<T: Config> =
        StorageMap<_, Blake2_128Concat, MachineId, MachineInfo<T::AccountId>>;

    /// How many cards of a machine orders have.
    #[pallet::storage]
    pub type MachineRentedGPU<T> = StorageMap<_, Blake2_128Concat, MachineId, u32, ValueQuery>;

    /// What an owner has.
    #[pallet::storage]
    pub type StashMachines<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, StashMachine, ValueQuery>;

    /// For which machines somebody acts.
    #[pallet::storage]
    pub type ControllerMachines<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Vec<MachineId>, ValueQuery>;

    /// Machines by how they are.
    #[pallet::storage]
    pub type LiveMachines<T> = StorageValue<_, LiveMachine, ValueQuery>;

    /// What is held of an owner.
    #[pallet::storage]
    pub type StashStake<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Balance, ValueQuery>;

    /// The next slash's number.
    #[pallet::storage]
    pub type NextSlashId<T> = StorageValue<_, SlashId, ValueQuery>;

    /// Slashes that wait.
    #[pallet::storage]
    pub type PendingSlash<T: Config> =
        StorageMap<_, Blake2_128Concat, SlashId, OPPendingSlashInfo<T::AccountId>>;

    /// Machines whose order ended while they were away, and the last renter.
    #[pallet::storage]
    pub type RentedFinished<T: Config> = StorageMap<_, Blake2_128Concat, MachineId, T::AccountId>;

    /// Slashes that are taken in a block.
    #[pallet::storage]
    pub type PendingExecSlash<T> =
        StorageMap<_, Blake2_128Concat, BlockNumber, Vec<SlashId>, ValueQuery>;

    /// The storage's version.
    #[pallet::storage]
    pub type StorageVersion<T> = StorageValue<_, u16, ValueQuery>;

    /// A machine's slashes that wait.
    #[pallet::storage]
    pub type Machine2PendingSlashIds<T> =
        StorageMap<_, Blake2_128Concat, MachineId, Vec<SlashId>, ValueQuery>;

    /// Who can force machines out.
    #[pallet::storage]
    pub type AuthorizedForceExitAccounts<T: Config> =
        StorageValue<_, Vec<T::AccountId>, ValueQuery>;

    /// Who gets an owner's rent instead. Since runtime 410.
    #[pallet::storage]
    pub type StashRentReceiver<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// More is held of an owner.
        #[codec(index = 5)]
        StakeAdded(T::AccountId, Balance),
        /// Less is held of an owner.
        #[codec(index = 6)]
        StakeReduced(T::AccountId, Balance),
        /// A machine is away.
        #[codec(index = 11)]
        ControllerReportOffline(MachineId),
        /// A machine is there again.
        #[codec(index = 12)]
        ControllerReportOnline(MachineId),
        /// A machine has left.
        #[codec(index = 15)]
        MachineExit(MachineId),
        /// A slash was taken.
        #[codec(index = 18)]
        SlashExecuted(T::AccountId, MachineId, Balance),
        /// More is held for a machine: what was, and what came.
        #[codec(index = 22)]
        MachineAddStake(MachineId, Balance, Balance),
        /// A slash waits.
        #[codec(index = 23)]
        AddSlash(MachineId, SlashId),
        /// Since runtime 411.
        #[codec(index = 24)]
        MachineExtraPriceSet(MachineId, u64),
        /// Since runtime 411.
        #[codec(index = 25)]
        MachineRentalModeSet(MachineId, MachineRentalMode),
        /// Since runtime 411.
        #[codec(index = 26)]
        WeeklyScheduleSet(MachineId, u8),
        /// Since runtime 411.
        #[codec(index = 27)]
        SpecificDateScheduleSet(MachineId, u32),
        /// Since runtime 411.
        #[codec(index = 28)]
        SpecificDateCleared(MachineId, u32),
        /// Since runtime 410.
        #[codec(index = 29)]
        RentReceiverChanged(T::AccountId, Option<T::AccountId>),
    }

    /// All of the real chain's errors, so that their numbers are right; those without a word are not used here.
    #[pallet::error]
    pub enum Error<T> {
        BadSignature,
        MachineIdExist,
        /// The owner does not have what a slash takes.
        BalanceNotEnough,
        /// Of another controller.
        NotMachineController,
        PayTxFeeFailed,
        ClaimRewardFailed,
        ConvertMachineIdToWalletFailed,
        NoStashBond,
        AlreadyController,
        NoStashAccount,
        BadMsgLen,
        NotAllowedChangeMachineInfo,
        MachineStashNotEqualControllerStash,
        CalcStakeAmountFailed,
        SigMachineIdNotEqualBondedMachineId,
        TelecomIsNull,
        /// Not as the machine is now.
        MachineStatusNotAllowed,
        ServerRoomNotFound,
        NotMachineStash,
        TooFastToReStake,
        NoStakeToReduce,
        /// Less is held than should be.
        ReduceStakeFailed,
        GetReonlineStakeFailed,
        SlashIdNotExist,
        TimeNotAllowed,
        ExpiredSlash,
        /// There is no such machine.
        Unknown,
        ClaimThenFulfillFailed,
        /// Not one of those who can.
        NotAuthorized,
        /// Above 10,000 dollars.
        ExtraPriceTooHigh,
        /// No such hours or day.
        InvalidScheduleArgs,
        RentalTooShort,
        OutOfRentalSchedule,
        /// Nobody's account.
        InvalidRentReceiver,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::exec_slashes();
            Weight::zero()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets what owners put up.
        #[pallet::call_index(1)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn set_online_stake_params(
            origin: OriginFor<T>,
            online_stake_params_info: OnlineStakeParamsInfo,
        ) -> DispatchResult {
            ensure_root(origin)?;
            OnlineStakeParams::<T>::put(online_stake_params_info);
            Ok(())
        }

        /// Sets what points cost.
        #[pallet::call_index(2)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn set_standard_gpu_point_price(
            origin: OriginFor<T>,
            point_price: StandardGpuPointPrice,
        ) -> DispatchResult {
            ensure_root(origin)?;
            StandardGPUPointPrice::<T>::put(point_price);
            Ok(())
        }

        /// Sets what of the rent is burnt.
        #[pallet::call_index(3)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn set_rentfee_destroy_percent(
            origin: OriginFor<T>,
            percent: Perbill,
        ) -> DispatchResult {
            ensure_root(origin)?;
            RentFeeDestroyPercent::<T>::put(percent);
            Ok(())
        }

        /// The controller takes a machine away.
        #[pallet::call_index(12)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn controller_report_offline(
            origin: OriginFor<T>,
            machine_id: MachineId,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let mut machine = MachinesInfo::<T>::get(&machine_id).ok_or(Error::<T>::Unknown)?;
            ensure!(machine.controller == who, Error::<T>::NotMachineController);
            let before = machine.machine_status;
            let there = matches!(before, MachineStatus::Online | MachineStatus::Rented);
            ensure!(there, Error::<T>::MachineStatusNotAllowed);
            machine.machine_status =
                MachineStatus::StakerReportOffline(Self::block(), Box::new(before));
            LiveMachines::<T>::mutate(|live| {
                remove(&mut live.online_machine, &machine_id);
                remove(&mut live.rented_machine, &machine_id);
                add(&mut live.offline_machine, machine_id.clone());
            });
            MachinesInfo::<T>::insert(&machine_id, machine);
            Self::deposit_event(Event::ControllerReportOffline(machine_id));
            Ok(())
        }

        /// The controller brings it back, and the owner is slashed for the time.
        #[pallet::call_index(13)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn controller_report_online(
            origin: OriginFor<T>,
            machine_id: MachineId,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let machine = MachinesInfo::<T>::get(&machine_id).ok_or(Error::<T>::Unknown)?;
            ensure!(machine.controller == who, Error::<T>::NotMachineController);
            Self::bring_back(&machine_id, machine)?;
            Self::deposit_event(Event::ControllerReportOnline(machine_id));
            Ok(())
        }

        /// Somebody who is allowed to forces machines out. Their orders stay as they are.
        #[pallet::call_index(20)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn force_machine_exit(
            origin: OriginFor<T>,
            machine_ids: Vec<MachineId>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let allowed = AuthorizedForceExitAccounts::<T>::get().contains(&who);
            ensure!(allowed, Error::<T>::NotAuthorized);
            machine_ids.iter().try_for_each(Self::exit)
        }

        /// Says who can.
        #[pallet::call_index(21)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn update_authorized_force_exit_accounts(
            origin: OriginFor<T>,
            accounts: Vec<T::AccountId>,
        ) -> DispatchResult {
            ensure_root(origin)?;
            AuthorizedForceExitAccounts::<T>::put(accounts);
            Ok(())
        }

        /// The owner asks for more than the chain's price.
        #[pallet::call_index(22)]
        #[pallet::weight(Weight::from_parts(150_000, 0))]
        pub fn set_machine_extra_price(
            origin: OriginFor<T>,
            machine_id: MachineId,
            extra_price: u64,
        ) -> DispatchResult {
            Self::of_owner(origin, &machine_id)?;
            ensure!(extra_price <= DEAREST_EXTRA, Error::<T>::ExtraPriceTooHigh);
            MachineExtraPrice::<T>::insert(&machine_id, extra_price);
            Self::deposit_event(Event::MachineExtraPriceSet(machine_id, extra_price));
            Ok(())
        }

        /// Whether the machine keeps hours.
        #[pallet::call_index(23)]
        #[pallet::weight(Weight::from_parts(140_000, 0))]
        pub fn set_machine_rental_mode(
            origin: OriginFor<T>,
            machine_id: MachineId,
            mode: MachineRentalMode,
        ) -> DispatchResult {
            let machine = Self::of_owner(origin, &machine_id)?;
            let rented = machine.machine_status == MachineStatus::Rented;
            ensure!(!rented, Error::<T>::MachineStatusNotAllowed);
            MachineRentalModeStorage::<T>::insert(&machine_id, mode);
            Self::deposit_event(Event::MachineRentalModeSet(machine_id, mode));
            Ok(())
        }

        /// Its hours on a day of the week, Sunday being zero.
        #[pallet::call_index(24)]
        #[pallet::weight(Weight::from_parts(200_000, 0))]
        pub fn set_weekly_schedule(
            origin: OriginFor<T>,
            machine_id: MachineId,
            weekday: u8,
            ranges: Vec<TimeRange>,
        ) -> DispatchResult {
            Self::of_owner(origin, &machine_id)?;
            ensure!(weekday < 7, Error::<T>::InvalidScheduleArgs);
            Self::check_ranges(&ranges)?;
            WeeklySchedule::<T>::mutate(&machine_id, |week| week[usize::from(weekday)] = ranges);
            Self::deposit_event(Event::WeeklyScheduleSet(machine_id, weekday));
            Ok(())
        }

        /// Its hours on one day, counted from 1970; none: as on any such day of the week.
        #[pallet::call_index(25)]
        #[pallet::weight(Weight::from_parts(180_000, 0))]
        pub fn set_specific_date_schedule(
            origin: OriginFor<T>,
            machine_id: MachineId,
            date_days: u32,
            ranges: Vec<TimeRange>,
        ) -> DispatchResult {
            Self::of_owner(origin, &machine_id)?;
            if ranges.is_empty() {
                return Self::clear_date(machine_id, date_days);
            }
            Self::check_ranges(&ranges)?;
            Self::check_date(date_days)?;
            SpecificDateSchedule::<T>::insert(&machine_id, date_days, ranges);
            Self::deposit_event(Event::SpecificDateScheduleSet(machine_id, date_days));
            Ok(())
        }

        /// The same hours as on any such day of the week again.
        #[pallet::call_index(26)]
        #[pallet::weight(Weight::from_parts(140_000, 0))]
        pub fn clear_specific_date(
            origin: OriginFor<T>,
            machine_id: MachineId,
            date_days: u32,
        ) -> DispatchResult {
            Self::of_owner(origin, &machine_id)?;
            Self::clear_date(machine_id, date_days)
        }

        /// Who gets the owner's rent instead.
        #[pallet::call_index(27)]
        #[pallet::weight(Weight::from_parts(140_000, 0))]
        pub fn set_rent_receiver(
            origin: OriginFor<T>,
            receiver: Option<T::AccountId>,
        ) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            let is_nobody = |who: &T::AccountId| who.encode().iter().all(|byte| *byte == 0);
            let valid = !receiver.as_ref().is_some_and(is_nobody);
            ensure!(valid, Error::<T>::InvalidRentReceiver);
            StashRentReceiver::<T>::set(&stash, receiver.clone());
            Self::deposit_event(Event::RentReceiverChanged(stash, receiver));
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The block that is executed.
        pub fn block() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        /// The machine, if the caller is its owner or acts for it.
        fn of_owner(
            origin: OriginFor<T>,
            id: &MachineId,
        ) -> Result<MachineInfo<T::AccountId>, DispatchError> {
            let who = ensure_signed(origin)?;
            let machine = MachinesInfo::<T>::get(id).ok_or(Error::<T>::Unknown)?;
            let owns = machine.machine_stash == who || machine.controller == who;
            ensure!(owns, Error::<T>::NotMachineController);
            Ok(machine)
        }

        fn clear_date(id: MachineId, date_days: u32) -> DispatchResult {
            SpecificDateSchedule::<T>::remove(&id, date_days);
            Self::deposit_event(Event::SpecificDateCleared(id, date_days));
            Ok(())
        }

        /// A machine leaves at once, and its stake is free.
        ///
        /// # Errors
        /// Where there is no such machine, or less is held than should be.
        pub fn exit(id: &MachineId) -> DispatchResult {
            let machine = MachinesInfo::<T>::get(id).ok_or(Error::<T>::Unknown)?;
            Self::change_stake(&machine.machine_stash, machine.stake_amount, false)
                .map_err(|()| Error::<T>::ReduceStakeFailed)?;
            LiveMachines::<T>::mutate(|live| {
                remove(&mut live.online_machine, id);
                remove(&mut live.rented_machine, id);
                remove(&mut live.offline_machine, id);
            });
            ControllerMachines::<T>::mutate_exists(&machine.controller, |machines| {
                machines.iter_mut().for_each(|machines| remove(machines, id));
                *machines = machines.take().filter(|machines| !machines.is_empty());
            });
            MachinesInfo::<T>::remove(id);
            Self::deposit_event(Event::MachineExit(id.clone()));
            Ok(())
        }

        /// Holds more of an owner's money, or less.
        pub(super) fn change_stake(
            who: &T::AccountId,
            amount: Balance,
            more: bool,
        ) -> Result<(), ()> {
            let held = StashStake::<T>::get(who);
            let held = if more {
                T::Currency::reserve(who, amount).map_err(|_| ())?;
                held.checked_add(amount).ok_or(())?
            } else {
                let left = held.checked_sub(amount).ok_or(())?;
                T::Currency::unreserve(who, amount);
                left
            };
            StashStake::<T>::insert(who, held);
            SysInfo::<T>::mutate(|sum| {
                let total = sum.total_stake;
                let (up, down) = (total.saturating_add(amount), total.saturating_sub(amount));
                sum.total_stake = if more { up } else { down };
            });
            let who = who.clone();
            Self::deposit_event(match more {
                true => Event::StakeAdded(who, amount),
                false => Event::StakeReduced(who, amount),
            });
            Ok(())
        }
    }
}
