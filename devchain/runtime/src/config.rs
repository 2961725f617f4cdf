//! What the pallets are set to: the real chain's constants.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::traits::{
    AsEnsureOriginWithArg, ConstU128, ConstU32, ConstU64, ConstU8, Contains, InstanceFilter,
};
use frame_support::{derive_impl, weights};
use frame_system::{EnsureRoot, EnsureSigned};
use pallet_transaction_payment::FungibleAdapter;
use scale_info::TypeInfo;
use sp_runtime::traits::{AccountIdLookup, BlakeTwo256, ConvertInto};
use sp_runtime::AccountId32;

use crate::pallets::{dbc_price, development, generic_func, online_profile, rent_machine};
use crate::types::{Balance, DBC};
use crate::{
    Balances, Block, PalletInfo, Runtime, RuntimeCall, RuntimeEvent, RuntimeFreezeReason,
    RuntimeHoldReason, RuntimeOrigin, RuntimeTask, System, Version,
};

const DOLLARS: Balance = DBC / 100;
const MILLICENTS: Balance = DOLLARS / 100_000;

/// What is held for so many items and bytes of storage.
const fn deposit(items: Balance, bytes: Balance) -> Balance {
    items * 20 * DOLLARS + bytes * 100 * MILLICENTS
}

/// Calls that the runtime has which it shows itself as.
pub struct Shown;

impl Contains<RuntimeCall> for Shown {
    fn contains(call: &RuntimeCall) -> bool {
        use online_profile::Call;
        let since = match call {
            RuntimeCall::OnlineProfile(
                Call::set_machine_extra_price { .. }
                | Call::set_machine_rental_mode { .. }
                | Call::set_weekly_schedule { .. }
                | Call::set_specific_date_schedule { .. }
                | Call::clear_specific_date { .. },
            ) => 411,
            RuntimeCall::OnlineProfile(Call::set_rent_receiver { .. }) => 410,
            _ => 0,
        };
        development::SpecVersion::<Runtime>::get() >= since
    }
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type Block = Block;
    type BaseCallFilter = Shown;
    type Lookup = AccountIdLookup<AccountId32, u32>;
    type AccountData = pallet_balances::AccountData<Balance>;
    type BlockHashCount = ConstU32<2_400>;
    type SS58Prefix = frame_support::traits::ConstU16<42>;
    type Version = Version;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = ();
    // Half a slot; blocks of development may come faster, but their timestamps do not.
    type MinimumPeriod = ConstU64<1>;
    type WeightInfo = ();
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Runtime {
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<0>;
    type AccountStore = System;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type ReserveIdentifier = [u8; 8];
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type OnChargeTransaction = FungibleAdapter<Balances, ()>;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightToFee = weights::IdentityFee<Balance>;
    type LengthToFee = weights::ConstantMultiplier<Balance, ConstU128<{ 10 * MILLICENTS }>>;
    type FeeMultiplierUpdate = ();
    type WeightInfo = ();
}

impl pallet_asset_tx_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type Fungibles = crate::Assets;
    type OnChargeAssetTransaction = pallet_asset_tx_payment::FungiblesAdapter<
        pallet_assets::BalanceToAssetBalance<Balances, Runtime, ConvertInto>,
        (),
    >;
    type WeightInfo = ();
}

#[derive_impl(pallet_assets::config_preludes::TestDefaultConfig)]
impl pallet_assets::Config for Runtime {
    type Balance = Balance;
    type Currency = Balances;
    type CreateOrigin = AsEnsureOriginWithArg<EnsureSigned<AccountId32>>;
    type ForceOrigin = EnsureRoot<AccountId32>;
}

impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = ();
}

impl pallet_multisig::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type DepositBase = ConstU128<{ deposit(1, 88) }>;
    type DepositFactor = ConstU128<{ deposit(0, 32) }>;
    type MaxSignatories = ConstU32<100>;
    type WeightInfo = ();
    type BlockNumberProvider = System;
}

/// What somebody else may do for an account.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum ProxyType {
    /// Everything.
    #[default]
    Any,
    /// All but sending money.
    NonTransfer,
    /// Nothing that is here.
    Governance,
    /// Nothing that is here.
    Staking,
}

impl InstanceFilter<RuntimeCall> for ProxyType {
    fn filter(&self, call: &RuntimeCall) -> bool {
        match self {
            Self::Any => true,
            Self::NonTransfer => {
                !matches!(call, RuntimeCall::Balances(..) | RuntimeCall::Assets(..))
            }
            Self::Governance | Self::Staking => false,
        }
    }

    fn is_superset(&self, other: &Self) -> bool {
        match (self, other) {
            (this, other) if this == other => true,
            (Self::Any, _) => true,
            (Self::NonTransfer, other) => *other != Self::Any,
            _ => false,
        }
    }
}

impl pallet_proxy::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type ProxyType = ProxyType;
    type ProxyDepositBase = ConstU128<{ deposit(1, 8) }>;
    type ProxyDepositFactor = ConstU128<{ deposit(0, 33) }>;
    type MaxProxies = ConstU32<32>;
    type WeightInfo = ();
    type MaxPending = ConstU32<32>;
    type CallHasher = BlakeTwo256;
    type AnnouncementDepositBase = ConstU128<{ deposit(1, 8) }>;
    type AnnouncementDepositFactor = ConstU128<{ deposit(0, 66) }>;
    type BlockNumberProvider = System;
}

impl generic_func::Config for Runtime {
    type Currency = Balances;
}
impl dbc_price::Config for Runtime {}
impl online_profile::Config for Runtime {}
impl rent_machine::Config for Runtime {}
impl development::Config for Runtime {}
