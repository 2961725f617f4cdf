//! The fixed fee, and money that is destroyed: the real chain's `generic-func`, index 104. Its source of randomness,
//! which only audits use, is left out.

pub use pallet::*;

#[frame_support::pallet]
pub mod pallet {
    use frame_support::{
        pallet_prelude::*,
        traits::{Currency, ReservableCurrency},
        PalletId,
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::{traits::AccountIdConversion, SaturatedConversion};

    use crate::types::{Balance, BlockNumber};

    /// Whose account keeps fees and slashes.
    const TREASURY: PalletId = PalletId(*b"py/trsry");

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The chain's money.
        type Currency: ReservableCurrency<Self::AccountId, Balance = Balance>;
    }

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    /// What every order costs beside its rent.
    #[pallet::storage]
    pub type FixedTxFee<T> = StorageValue<_, Balance>;

    /// Whose free money is destroyed, and every how many blocks.
    #[pallet::storage]
    pub type DestroyHook<T: Config> = StorageValue<_, (T::AccountId, BlockNumber)>;

    /// What of an account's money was destroyed.
    #[pallet::storage]
    pub type TotalDestroy<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Balance, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Given.
        DonateToTreasury(T::AccountId, Balance),
        /// Taken as the fixed fee.
        TxFeeToTreasury(T::AccountId, Balance),
        /// Destroyed.
        DestroyDBC(T::AccountId, Balance),
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is less than is to be given.
        FreeBalanceNotEnough,
        /// Nobody has set the fixed fee.
        UnknownFixedTxFee,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let now: BlockNumber = now.saturated_into();
            match DestroyHook::<T>::get() {
                Some((who, every)) if now.is_multiple_of(every) => {
                    let _ = Self::destroy(&who, T::Currency::free_balance(&who));
                }
                _ => {}
            }
            Weight::zero()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets the fixed fee.
        #[pallet::call_index(0)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn set_fixed_tx_fee(origin: OriginFor<T>, tx_fee: Balance) -> DispatchResult {
            ensure_root(origin)?;
            FixedTxFee::<T>::put(tx_fee);
            Ok(())
        }

        /// Gives to the treasury.
        #[pallet::call_index(1)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn deposit_into_treasury(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            ensure!(T::Currency::can_slash(&who, amount), Error::<T>::FreeBalanceNotEnough);
            Self::to_treasury(T::Currency::slash(&who, amount).0);
            Self::deposit_event(Event::DonateToTreasury(who, amount));
            Ok(())
        }

        /// Has an account's money destroyed every so many blocks; never again where that is zero.
        #[pallet::call_index(2)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn set_auto_destroy(
            origin: OriginFor<T>,
            who: T::AccountId,
            frequency: BlockNumber,
        ) -> DispatchResult {
            ensure_root(origin)?;
            DestroyHook::<T>::set((frequency > 0).then_some((who, frequency)));
            Ok(())
        }

        /// Destroys one's own money.
        #[pallet::call_index(3)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn destroy_free_dbc(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::destroy(&who, amount)
        }

        /// Destroys another's money.
        #[pallet::call_index(4)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn force_destroy_free_dbc(
            origin: OriginFor<T>,
            who: T::AccountId,
            amount: Balance,
        ) -> DispatchResult {
            ensure_root(origin)?;
            Self::destroy(&who, amount)
        }
    }

    impl<T: Config> Pallet<T> {
        /// Takes the fixed fee, if it is known and there is enough.
        pub(crate) fn pay_fixed_tx_fee(who: &T::AccountId) -> Result<(), ()> {
            let fee = FixedTxFee::<T>::get().ok_or(())?;
            ensure!(T::Currency::can_slash(who, fee), ());
            Self::to_treasury(T::Currency::slash(who, fee).0);
            Self::deposit_event(Event::TxFeeToTreasury(who.clone(), fee));
            Ok(())
        }

        /// Gives what was taken to the treasury.
        pub fn to_treasury(taken: <T::Currency as Currency<T::AccountId>>::NegativeImbalance) {
            T::Currency::resolve_creating(&Self::treasury(), taken);
        }

        /// The treasury's account.
        pub fn treasury() -> T::AccountId {
            TREASURY.into_account_truncating()
        }

        /// Destroys free money, but leaves the fixed fee.
        fn destroy(who: &T::AccountId, amount: Balance) -> DispatchResult {
            let keep = FixedTxFee::<T>::get().ok_or(Error::<T>::UnknownFixedTxFee)?;
            let free = T::Currency::free_balance(who);
            let amount = amount.min(free.saturating_sub(keep));
            if amount == 0 {
                return Ok(());
            }
            drop(T::Currency::slash(who, amount));
            TotalDestroy::<T>::mutate(who, |total| *total = total.saturating_add(amount));
            Self::deposit_event(Event::DestroyDBC(who.clone(), amount));
            Ok(())
        }
    }
}
