//! The development chain's runtime: Substrate's own pallets and the real chain's, run natively.
//!
//! Names, indices, storage, calls, events and errors are the real chain's (runtime 411, and 400 by its metadata), as far
//! as whoever rents a machine meets them; each pallet says what is left out.

#![allow(missing_docs, reason = "FRAME's macros generate items without a word")]

mod apis;
mod config;
pub mod genesis;
pub mod pallets;
pub mod shape;
pub mod types;

use frame_support::traits::Get;
use sp_runtime::{generic, traits::BlakeTwo256, AccountId32, MultiAddress, MultiSignature};
use sp_version::RuntimeVersion;

pub use apis::{api, RUNTIME_API_VERSIONS};
pub use config::ProxyType;

/// The runtime that this one is, unless it shows itself as an older one.
pub const NEWEST_SPEC: u32 = 411;

pub type Address = MultiAddress<AccountId32, u32>;
pub type Header = generic::Header<u32, BlakeTwo256>;
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, MultiSignature, TxExtension>;
/// What every transaction carries, in the real chain's order.
pub type TxExtension = (
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckMortality<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_asset_tx_payment::ChargeAssetTxPayment<Runtime>,
);
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

frame_support::construct_runtime!(
    pub enum Runtime {
        System: frame_system = 0,
        Timestamp: pallet_timestamp = 2,
        Balances: pallet_balances = 7,
        TransactionPayment: pallet_transaction_payment = 8,
        AssetTxPayment: pallet_asset_tx_payment = 9,
        Proxy: pallet_proxy = 26,
        Multisig: pallet_multisig = 27,
        Sudo: pallet_sudo = 33,
        Assets: pallet_assets = 101,
        GenericFunc: pallets::generic_func = 104,
        DBCPriceOCW: pallets::dbc_price = 106,
        OnlineProfile: pallets::online_profile = 107,
        RentMachine: pallets::rent_machine = 111,
        Development: pallets::development = 250,
    }
);

/// The version that storage says.
pub struct Version;

impl Get<RuntimeVersion> for Version {
    fn get() -> RuntimeVersion {
        let spec_version = pallets::development::SpecVersion::<Runtime>::get();
        RuntimeVersion {
            spec_name: "DeepBrainChain".into(),
            impl_name: "nearlight-devchain".into(),
            authoring_version: 1,
            spec_version,
            impl_version: 0,
            apis: RUNTIME_API_VERSIONS,
            transaction_version: if spec_version < 410 { 1 } else { 2 },
            system_version: 1,
        }
    }
}
