//! What the real chain does not have: which runtime this one shows itself as, and a way to make it panic.

pub use pallet::*;

#[frame_support::pallet]
pub mod pallet {
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    #[pallet::config]
    pub trait Config: frame_system::Config {}

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    #[pallet::type_value]
    pub fn NewestSpec() -> u32 {
        crate::NEWEST_SPEC
    }

    /// The version of the real chain's runtime whose items are there. In storage, so that an upgrade is a change of it.
    #[pallet::storage]
    pub type SpecVersion<T> = StorageValue<_, u32, ValueQuery, NewestSpec>;

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Panics, as a runtime with a mistake does: the transaction is in no block.
        #[pallet::call_index(0)]
        #[pallet::weight(Weight::from_parts(10_000, 0))]
        #[allow(clippy::panic, reason = "it is what the call is for")]
        pub fn panic(origin: OriginFor<T>) -> DispatchResult {
            ensure_signed(origin)?;
            panic!("a transaction asked for it")
        }
    }
}
