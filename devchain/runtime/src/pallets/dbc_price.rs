//! What a DBC is worth: the real chain's `dbc-price-ocw`, index 106. Its worker, which asks the web, is left out: prices
//! come by its calls, of which the unsigned one is open to anybody, as it is there.

pub use pallet::*;

#[allow(
    deprecated,
    clippy::let_unit_value,
    reason = "the real chain takes unsigned prices the old way"
)]
#[frame_support::pallet]
pub mod pallet {
    use std::collections::VecDeque;

    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    use crate::types::{Balance, DBC};

    /// So many prices make an average, and fewer none.
    pub const SAMPLES: usize = 64;

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {}

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    /// Every how many blocks the worker asks.
    #[pallet::storage]
    pub type PriceUpdateFrequency<T> = StorageValue<_, u32, ValueQuery>;

    /// The newest prices, millionths of a dollar.
    #[pallet::storage]
    pub type Prices<T> = StorageValue<_, VecDeque<u64>, ValueQuery>;

    /// Whom the worker asks.
    #[pallet::storage]
    pub type PriceURL<T> = StorageValue<_, Vec<Vec<u8>>>;

    /// Their mean.
    #[pallet::storage]
    pub type AvgPrice<T> = StorageValue<_, u64>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A price.
        AddNewPrice(u64),
        /// The mean.
        AddAvgPrice(u64),
    }

    #[pallet::error]
    pub enum Error<T> {
        /// Of the worker.
        NoLocalAcctForSigning,
        /// Of the worker.
        FetchPriceFailed,
        /// Of the worker.
        OffchainUnsignedTxSignedPayloadError,
        /// Of the worker.
        OffchainUnsignedTxError,
        /// Of the worker.
        NoneValue,
        /// There is no such address.
        IndexOutOfRange,
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Tells a price; anybody can.
        #[pallet::call_index(0)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn submit_price_unsigned(origin: OriginFor<T>, price: u64) -> DispatchResult {
            ensure_none(origin)?;
            Self::add_price(price);
            Ok(())
        }

        /// Tells a price.
        #[pallet::call_index(1)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn submit_price_by_root(origin: OriginFor<T>, price: u64) -> DispatchResult {
            ensure_root(origin)?;
            Self::add_price(price);
            Ok(())
        }

        /// Has the worker ask this address, too.
        #[pallet::call_index(2)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn add_price_url(origin: OriginFor<T>, new_url: Vec<u8>) -> DispatchResult {
            ensure_root(origin)?;
            PriceURL::<T>::mutate(|urls| urls.get_or_insert_default().push(new_url));
            Ok(())
        }

        /// Has the worker ask every so many blocks.
        #[pallet::call_index(3)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn set_price_update_frequency(origin: OriginFor<T>, frequency: u32) -> DispatchResult {
            ensure_root(origin)?;
            if frequency > 0 {
                PriceUpdateFrequency::<T>::put(frequency);
            }
            Ok(())
        }

        /// Forgets an address.
        #[pallet::call_index(4)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        pub fn rm_price_url_by_index(origin: OriginFor<T>, index: u32) -> DispatchResult {
            ensure_root(origin)?;
            let mut urls = PriceURL::<T>::get().unwrap_or_default();
            ensure!((index as usize) < urls.len(), Error::<T>::IndexOutOfRange);
            urls.remove(index as usize);
            PriceURL::<T>::set(Some(urls).filter(|urls| !urls.is_empty()));
            Ok(())
        }
    }

    #[pallet::validate_unsigned]
    impl<T: Config> ValidateUnsigned for Pallet<T> {
        type Call = Call<T>;

        fn validate_unsigned(_: TransactionSource, call: &Self::Call) -> TransactionValidity {
            let Call::submit_price_unsigned { .. } = call else {
                return InvalidTransaction::Call.into();
            };
            // One at a time.
            ValidTransaction::with_tag_prefix("dbc-price")
                .and_provides("submit_price_unsigned")
                .longevity(3)
                .propagate(true)
                .build()
        }
    }

    impl<T: Config> Pallet<T> {
        /// A price; with the 64th there is a mean, of the newest 64.
        pub fn add_price(price: u64) {
            let mut prices = Prices::<T>::get();
            prices.push_back(price);
            let old = prices.len().saturating_sub(SAMPLES);
            prices.drain(..old);
            Self::deposit_event(Event::AddNewPrice(price));
            if prices.len() == SAMPLES {
                let sum = prices.iter().fold(0_u64, |sum, price| sum.saturating_add(*price));
                let mean = sum / SAMPLES as u64;
                AvgPrice::<T>::put(mean);
                Self::deposit_event(Event::AddAvgPrice(mean));
            }
            Prices::<T>::put(prices);
        }

        /// DBC for millionths of a dollar.
        pub fn dbc_for(value: u64) -> Option<Balance> {
            let price = AvgPrice::<T>::get()?;
            Balance::from(value).checked_mul(DBC)?.checked_div(price.into())
        }

        /// What the chain is to take for the mean; nothing, to forget all prices.
        pub fn set_mean(price: Option<u64>) {
            let samples = price.map(|price| VecDeque::from(vec![price; SAMPLES]));
            Prices::<T>::set(samples.unwrap_or_default());
            AvgPrice::<T>::set(price);
        }
    }
}
