//! Orders: the real chain's `rent-machine`, index 111, with its quirks. Checks are in its order, since the first that fails
//! names the error.

mod ending;

pub use pallet::*;

#[frame_support::pallet]
pub mod pallet {
    use frame_support::{
        pallet_prelude::*,
        traits::{Currency, ExistenceRequirement::KeepAlive, ReservableCurrency},
    };
    use frame_system::pallet_prelude::*;
    use sp_core::H160;

    use crate::pallets::{dbc_price, generic_func, online_profile};
    use crate::types::{
        add, remove, Balance, BlockNumber, EraIndex, MachineGPUOrder, MachineId, MachineInfo,
        MachineRenterRentedOrderDetail, MachineStatus, RentOrderDetail, RentOrderId, RentStatus,
        ONE_DAY,
    };

    /// Blocks in which an order can be confirmed after the one that it is in.
    pub const CONFIRM_WINDOW: BlockNumber = 150;
    /// Orders last a multiple of so many blocks.
    const HALF_HOUR: BlockNumber = 300;
    /// They are prolonged by no fewer blocks.
    const TEN_MINUTES: BlockNumber = 100;
    /// And to no more days from now.
    const LONGEST_RELET: BlockNumber = 60 * ONE_DAY;
    /// From block to block.
    const SLOT_MS: u64 = 6_000;

    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>>
        + generic_func::Config
        + dbc_price::Config
        + online_profile::Config
    {
    }

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    /// A renter's orders.
    #[pallet::storage]
    pub type UserOrder<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Vec<RentOrderId>, ValueQuery>;

    /// A machine's orders and cards.
    #[pallet::storage]
    pub type MachineRentOrder<T: Config> =
        StorageMap<_, Blake2_128Concat, MachineId, MachineGPUOrder, ValueQuery>;

    /// What a renter ever confirmed and prolonged of a machine.
    #[pallet::storage]
    pub type MachineRenterRentedOrders<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        MachineId,
        Blake2_128Concat,
        T::AccountId,
        Vec<MachineRenterRentedOrderDetail>,
        ValueQuery,
    >;

    /// The next order's number.
    #[pallet::storage]
    pub type NextRentId<T: Config> = StorageValue<_, RentOrderId, ValueQuery>;

    /// Orders.
    #[pallet::storage]
    pub type RentInfo<T: Config> =
        StorageMap<_, Blake2_128Concat, RentOrderId, RentOrderDetail<T::AccountId>>;

    /// Orders that lapse unless they are confirmed in this block at the latest.
    #[pallet::storage]
    pub type ConfirmingOrder<T: Config> =
        StorageMap<_, Blake2_128Concat, BlockNumber, Vec<RentOrderId>, ValueQuery>;

    /// Orders that end with this block.
    #[pallet::storage]
    pub type RentEnding<T: Config> =
        StorageMap<_, Blake2_128Concat, BlockNumber, Vec<RentOrderId>, ValueQuery>;

    /// What is held for a renter's orders.
    #[pallet::storage]
    pub type UserTotalStake<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Balance, ValueQuery>;

    /// Who gets what is to be burnt.
    #[pallet::storage]
    pub type RentFeePot<T: Config> = StorageValue<_, T::AccountId>;

    /// Who gets an order's rent, as it was when the order was made. Since runtime 410.
    #[pallet::storage]
    pub type RentOrderReceiver<T: Config> =
        StorageMap<_, Blake2_128Concat, RentOrderId, T::AccountId>;

    #[pallet::type_value]
    pub fn MaximumRentalDurationDefault() -> EraIndex {
        60
    }

    /// Days that an order lasts at most; what is longer is cut without a word.
    #[pallet::storage]
    pub type MaximumRentalDuration<T: Config> =
        StorageValue<_, EraIndex, ValueQuery, MaximumRentalDurationDefault>;

    /// Who has said to own an address of the other machine.
    #[pallet::storage]
    pub type EvmAddress2Account<T: Config> = StorageMap<_, Blake2_128Concat, H160, T::AccountId>;

    /// The storage's version.
    #[pallet::storage]
    pub type StorageVersion<T: Config> = StorageValue<_, u16, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Not used.
        PayTxFee(T::AccountId, Balance),
        /// Order, renter, machine, cards, blocks, rent.
        ConfirmRent(RentOrderId, T::AccountId, MachineId, u32, BlockNumber, Balance),
        /// Order, renter, machine, cards, blocks, rent.
        Rent(RentOrderId, T::AccountId, MachineId, u32, BlockNumber, Balance),
        /// Order, renter, machine, cards, blocks more, rent for them.
        Relet(RentOrderId, T::AccountId, MachineId, u32, BlockNumber, Balance),
        /// An address and whose it is.
        SetEvmAddress(H160, T::AccountId),
    }

    #[pallet::error]
    pub enum Error<T> {
        /// Not used.
        AccountAlreadyExist,
        /// The machine is neither online nor rented.
        MachineNotRentable,
        /// A number does not fit, or nobody has said what a DBC is worth.
        Overflow,
        /// The renter does not have the rent.
        InsufficientValue,
        /// The window is over.
        ExpiredConfirm,
        /// The order is another's, or not in the state for this.
        NoOrderExist,
        /// The machine is not there.
        StatusNotAllowed,
        /// Less is held than should be.
        UnlockToPayFeeFailed,
        /// There is nobody to get what is to be burnt.
        UndefinedRentPot,
        /// The fixed fee cannot be paid.
        PayTxFeeFailed,
        /// The machine cannot be priced.
        GetMachinePriceFailed,
        /// Not a multiple of 300 blocks.
        OnlyHalfHourAllowed,
        /// Too few cards are free.
        GPUNotEnough,
        /// The order is another's.
        NotMachineRenter,
        /// There is no such machine or order.
        Unknown,
        /// By fewer than 100 blocks.
        ReletTooShort,
        /// Of another owner.
        NotMachineOwner,
        /// Not used.
        SignVerifiedFailed,
        /// Not used.
        MachineNotRented,
        /// There is no such machine.
        MachineNotFound,
        /// Not used.
        MoreThanOneRenter,
        /// Not at that time of day. Since runtime 411.
        OutOfRentalSchedule,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_finalize(_: BlockNumberFor<T>) {
            let now = Self::now();
            // What goes wrong with one order leaves the rest of its block's as they are, for ever.
            let _ = Self::lapse(now);
            let _ = Self::end(now);
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Says who gets what is to be burnt.
        #[pallet::call_index(0)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn set_rent_fee_pot(origin: OriginFor<T>, pot_addr: T::AccountId) -> DispatchResult {
            ensure_root(origin)?;
            RentFeePot::<T>::put(pot_addr);
            Ok(())
        }

        /// Makes an order. One of no cards is an order, too; one of no blocks is none, and no error.
        #[pallet::call_index(1)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn rent_machine(
            origin: OriginFor<T>,
            machine_id: MachineId,
            rent_gpu_num: u32,
            duration: BlockNumber,
        ) -> DispatchResult {
            let renter = ensure_signed(origin)?;
            let machine =
                online_profile::MachinesInfo::<T>::get(&machine_id).ok_or(Error::<T>::Unknown)?;
            if machine.gpus() == 0 || duration == 0 {
                return Ok(());
            }
            let duration = Self::check_order(&machine_id, &machine, rent_gpu_num, duration)?;
            generic_func::Pallet::<T>::pay_fixed_tx_fee(&renter)
                .map_err(|()| Error::<T>::PayTxFeeFailed)?;
            let fee = Self::price(&machine_id, &machine, rent_gpu_num, duration)?;
            let rent_end = Self::now().checked_add(duration).ok_or(Error::<T>::Overflow)?;
            Self::hold(&renter, fee).map_err(|()| Error::<T>::InsufficientValue)?;
            let (start, cards) = (Self::now(), rent_gpu_num);
            let rent_id = Self::new_order(&machine_id, &machine, cards, |rent_id, gpu_index| {
                let order = RentOrderDetail {
                    machine_id: machine_id.clone(),
                    renter: renter.clone(),
                    rent_start: start,
                    confirm_rent: 0,
                    rent_end,
                    stake_amount: fee,
                    rent_status: RentStatus::WaitingVerifying,
                    gpu_num: cards,
                    gpu_index,
                };
                RentInfo::<T>::insert(rent_id, order);
            });
            UserOrder::<T>::mutate(&renter, |orders| add(orders, rent_id));
            RentEnding::<T>::mutate(rent_end, |orders| add(orders, rent_id));
            let window = start.saturating_add(CONFIRM_WINDOW);
            ConfirmingOrder::<T>::mutate(window, |orders| add(orders, rent_id));
            Self::deposit_event(Event::Rent(rent_id, renter, machine_id, cards, duration, fee));
            Ok(())
        }

        /// Confirms an order: its rent is paid.
        #[pallet::call_index(2)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn confirm_rent(origin: OriginFor<T>, rent_id: RentOrderId) -> DispatchResult {
            let renter = ensure_signed(origin)?;
            let now = Self::now();
            let mut order = RentInfo::<T>::get(rent_id).ok_or(Error::<T>::Unknown)?;
            ensure!(order.renter == renter, Error::<T>::NoOrderExist);
            let waits = order.rent_status == RentStatus::WaitingVerifying;
            ensure!(waits, Error::<T>::NoOrderExist);
            let since = now.checked_sub(order.rent_start).ok_or(Error::<T>::Overflow)?;
            ensure!(since <= CONFIRM_WINDOW, Error::<T>::ExpiredConfirm);
            let machine_id = order.machine_id.clone();
            let machine =
                online_profile::MachinesInfo::<T>::get(&machine_id).ok_or(Error::<T>::Unknown)?;
            let rented = machine.machine_status == MachineStatus::Rented;
            ensure!(rented, Error::<T>::StatusNotAllowed);
            let fee = order.stake_amount;
            Self::release(&renter, fee).map_err(|()| Error::<T>::UnlockToPayFeeFailed)?;
            Self::pay(&renter, &machine_id, &machine.machine_stash, rent_id, fee)?;
            online_profile::Pallet::<T>::on_confirmed(&machine_id, &renter)
                .map_err(|()| Error::<T>::Unknown)?;
            order.rent_status = RentStatus::Renting;
            order.confirm_rent = now;
            order.stake_amount = 0;
            let window = order.rent_start.saturating_add(CONFIRM_WINDOW);
            Self::forget::<ConfirmingOrder<T>>(window, rent_id);
            Self::remember(&order, rent_id);
            let blocks = order.rent_end.saturating_sub(order.rent_start);
            let cards = order.gpu_num;
            RentInfo::<T>::insert(rent_id, order);
            Self::deposit_event(Event::ConfirmRent(
                rent_id, renter, machine_id, cards, blocks, fee,
            ));
            Ok(())
        }

        /// Prolongs an order: rent for it is paid at once.
        #[pallet::call_index(3)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn relet_machine(
            origin: OriginFor<T>,
            rent_id: RentOrderId,
            relet_duration: BlockNumber,
        ) -> DispatchResult {
            let renter = ensure_signed(origin)?;
            let mut order = RentInfo::<T>::get(rent_id).ok_or(Error::<T>::Unknown)?;
            ensure!(relet_duration >= TEN_MINUTES, Error::<T>::ReletTooShort);
            ensure!(order.renter == renter, Error::<T>::NotMachineRenter);
            ensure!(order.rent_status == RentStatus::Renting, Error::<T>::NoOrderExist);
            let machine_id = order.machine_id.clone();
            let machine =
                online_profile::MachinesInfo::<T>::get(&machine_id).ok_or(Error::<T>::Unknown)?;
            let latest = Self::now().checked_add(LONGEST_RELET).ok_or(Error::<T>::Overflow)?;
            let old_end = order.rent_end;
            let blocks = relet_duration.min(latest.saturating_sub(old_end));
            if blocks == 0 {
                return Ok(());
            }
            let cards = order.gpu_num;
            let fee = Self::price(&machine_id, &machine, cards, blocks)?;
            // What is frozen counts, so paying may yet fail.
            let free = T::Currency::free_balance(&renter);
            ensure!(fee < free, Error::<T>::InsufficientValue);
            Self::pay(&renter, &machine_id, &machine.machine_stash, rent_id, fee)?;
            order.rent_end = old_end.checked_add(blocks).ok_or(Error::<T>::Overflow)?;
            Self::forget::<RentEnding<T>>(old_end, rent_id);
            RentEnding::<T>::mutate(order.rent_end, |orders| add(orders, rent_id));
            Self::remember(&order, rent_id);
            RentInfo::<T>::insert(rent_id, order);
            Self::deposit_event(Event::Relet(rent_id, renter, machine_id, cards, blocks, fee));
            Ok(())
        }

        /// The machine's owner says which address of the other machine is theirs.
        #[pallet::call_index(4)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn bond_evm_address(
            origin: OriginFor<T>,
            machine_id: MachineId,
            evm_address: H160,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let machine = online_profile::MachinesInfo::<T>::get(machine_id)
                .ok_or(Error::<T>::MachineNotFound)?;
            let owns = machine.controller == who || machine.machine_stash == who;
            ensure!(owns, Error::<T>::NotMachineOwner);
            EvmAddress2Account::<T>::insert(evm_address, &who);
            Self::deposit_event(Event::SetEvmAddress(evm_address, who));
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        pub(super) fn now() -> BlockNumber {
            online_profile::Pallet::<T>::block()
        }

        /// Whether such an order can be made now; for how many blocks.
        fn check_order(
            id: &MachineId,
            machine: &MachineInfo<T::AccountId>,
            cards: u32,
            duration: BlockNumber,
        ) -> Result<BlockNumber, Error<T>> {
            let rented = online_profile::MachineRentedGPU::<T>::get(id);
            let wanted = cards.checked_add(rented);
            ensure!(wanted.is_some_and(|all| all <= machine.gpus()), Error::<T>::GPUNotEnough);
            ensure!(duration.is_multiple_of(HALF_HOUR), Error::<T>::OnlyHalfHourAllowed);
            let status = &machine.machine_status;
            let there = matches!(status, MachineStatus::Online | MachineStatus::Rented);
            ensure!(there, Error::<T>::MachineNotRentable);
            let longest = MaximumRentalDuration::<T>::get().saturating_mul(ONE_DAY);
            let duration = duration.min(longest);
            let from = online_profile::Pallet::<T>::time_ms();
            let until = u64::from(duration).saturating_mul(SLOT_MS).checked_add(from);
            let until = until.ok_or(Error::<T>::Overflow)?;
            let open = online_profile::Pallet::<T>::is_open(id, from, until);
            ensure!(open, Error::<T>::OutOfRentalSchedule);
            Ok(duration)
        }

        /// What cards cost for some blocks, in the chain's order of divisions.
        fn price(
            id: &MachineId,
            machine: &MachineInfo<T::AccountId>,
            cards: u32,
            blocks: BlockNumber,
        ) -> Result<Balance, Error<T>> {
            let point = machine.calc_point();
            let daily = online_profile::Pallet::<T>::daily_price(point, cards, machine.gpus())
                .ok_or(Error::<T>::GetMachinePriceFailed)?;
            let extra = online_profile::MachineExtraPrice::<T>::get(id);
            extra
                .checked_mul(cards.into())
                .and_then(|extra| daily.checked_add(extra))
                .and_then(|daily| daily.checked_mul(blocks.into()))
                .and_then(|value| dbc_price::Pallet::<T>::dbc_for(value / u64::from(ONE_DAY)))
                .ok_or(Error::<T>::Overflow)
        }

        /// Numbers an order, has it stored and marks its cards.
        fn new_order(
            id: &MachineId,
            machine: &MachineInfo<T::AccountId>,
            cards: u32,
            store: impl FnOnce(RentOrderId, Vec<u32>),
        ) -> RentOrderId {
            let rent_id = NextRentId::<T>::get();
            NextRentId::<T>::put(rent_id.wrapping_add(1));
            if let Some(to) = online_profile::StashRentReceiver::<T>::get(&machine.machine_stash) {
                RentOrderReceiver::<T>::insert(rent_id, to);
            }
            let taken = MachineRentOrder::<T>::mutate(id, |orders| {
                orders.take(rent_id, cards, machine.gpus())
            });
            online_profile::Pallet::<T>::on_rent(id, cards);
            store(rent_id, taken);
            rent_id
        }

        fn hold(who: &T::AccountId, amount: Balance) -> Result<(), ()> {
            T::Currency::reserve(who, amount).map_err(|_| ())?;
            UserTotalStake::<T>::mutate(who, |all| *all = all.saturating_add(amount));
            Ok(())
        }

        pub(super) fn release(who: &T::AccountId, amount: Balance) -> Result<(), ()> {
            let left = UserTotalStake::<T>::get(who).checked_sub(amount).ok_or(())?;
            T::Currency::unreserve(who, amount);
            UserTotalStake::<T>::insert(who, left);
            Ok(())
        }

        /// Pays rent to whoever gets it, less what is burnt.
        fn pay(
            renter: &T::AccountId,
            id: &MachineId,
            stash: &T::AccountId,
            rent_id: RentOrderId,
            fee: Balance,
        ) -> DispatchResult {
            let pot = RentFeePot::<T>::get().ok_or(Error::<T>::UndefinedRentPot)?;
            let burnt = online_profile::RentFeeDestroyPercent::<T>::get() * fee;
            let earned = fee.checked_sub(burnt).ok_or(Error::<T>::Overflow)?;
            let receiver = RentOrderReceiver::<T>::get(rent_id)
                .or_else(|| online_profile::StashRentReceiver::<T>::get(stash));
            let receiver = receiver.unwrap_or_else(|| stash.clone());
            T::Currency::transfer(renter, &receiver, earned, KeepAlive)?;
            T::Currency::transfer(renter, &pot, burnt, KeepAlive)?;
            online_profile::Pallet::<T>::on_rent_paid(stash, id, burnt, earned);
            Ok(())
        }

        /// Writes an order into its renter's history.
        fn remember(order: &RentOrderDetail<T::AccountId>, rent_id: RentOrderId) {
            let (rent_start, rent_end) = (order.rent_start, order.rent_end);
            let entry = MachineRenterRentedOrderDetail { rent_id, rent_start, rent_end };
            MachineRenterRentedOrders::<T>::append(&order.machine_id, &order.renter, entry);
        }

        /// Takes an order off a block's list; an empty list goes.
        pub(super) fn forget<List>(block: BlockNumber, rent_id: RentOrderId)
        where
            List:
                frame_support::StorageMap<BlockNumber, Vec<RentOrderId>, Query = Vec<RentOrderId>>,
        {
            let mut orders = List::get(block);
            remove(&mut orders, &rent_id);
            if orders.is_empty() {
                List::remove(block);
            } else {
                List::insert(block, orders);
            }
        }
    }
}
