//! The chain's first state: development's accounts with money, and a machine to rent.

use sp_core::storage::Storage;
use sp_core::{sr25519, Pair};
use sp_runtime::{AccountId32, BuildStorage, Perbill};
use sp_state_machine::BasicExternalities;

use crate::pallets::online_profile::{self, Registration};
use crate::pallets::{dbc_price, development, generic_func, rent_machine};
use crate::types::{Balance, OnlineStakeParamsInfo, StandardGpuPointPrice, DBC};
use crate::{BalancesConfig, Runtime, RuntimeGenesisConfig, SudoConfig, SystemConfig, NEWEST_SPEC};

/// Who has money from the beginning, and how much.
const ACCOUNTS: [(&str, Balance); 9] = [
    ("//Alice", 1_000_000),
    ("//Bob", 1_000_000),
    ("//Charlie", 1_000_000),
    ("//Dave", 1_000_000),
    ("//Eve", 1_000_000),
    ("//Ferdie", 1_000_000),
    ("//Poor", 1),
    ("//Alice//stash", 1_000_000),
    ("//Burn", 0),
];

/// The owner of the machine, who acts for it, and who gets what is to be burnt.
const OWNER: &str = "//Alice//stash";
const CONTROLLER: &str = "//Charlie";
const POT: &str = "//Burn";
const MACHINE: &str = "//Machine";

/// A key of Substrate's well-known phrase.
///
/// # Panics
/// Where the path is none.
pub fn key(path: &str) -> sr25519::Pair {
    sr25519::Pair::from_string(path, None).expect("a path of derivation")
}

/// Its account.
pub fn account(path: &str) -> AccountId32 {
    AccountId32::new(key(path).public().0)
}

/// The machine that is there from the beginning: the hexadecimal digits of its key.
pub fn machine() -> String {
    let key = key(MACHINE).public();
    key.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The state of block 0.
///
/// # Errors
/// Where the pallets refuse it.
pub fn state(spec_version: u32) -> Result<Storage, String> {
    let balances = ACCOUNTS.iter().map(|(path, dbc)| (account(path), dbc * DBC)).collect();
    let config = RuntimeGenesisConfig {
        system: SystemConfig::default(),
        balances: BalancesConfig { balances, ..BalancesConfig::default() },
        sudo: SudoConfig { key: Some(account("//Alice")) },
        ..RuntimeGenesisConfig::default()
    };
    let mut storage = config.build_storage()?;
    BasicExternalities::execute_with_storage(&mut storage, || rules(spec_version))?;
    Ok(storage)
}

/// What governance has set on the real chain, and the machine.
fn rules(spec_version: u32) -> Result<(), &'static str> {
    if spec_version != NEWEST_SPEC {
        development::SpecVersion::<Runtime>::put(spec_version);
    }
    if spec_version < 410 {
        // The default of that runtime.
        online_profile::RentFeeDestroyPercent::<Runtime>::put(Perbill::from_percent(30));
    }
    generic_func::FixedTxFee::<Runtime>::put(10 * DBC);
    dbc_price::Pallet::<Runtime>::set_mean(Some(2_000));
    rent_machine::RentFeePot::<Runtime>::put(account(POT));
    online_profile::StandardGPUPointPrice::<Runtime>::put(StandardGpuPointPrice {
        gpu_point: 100_000,
        gpu_price: 28_229_999,
    });
    online_profile::OnlineStakeParams::<Runtime>::put(OnlineStakeParamsInfo {
        online_stake_per_gpu: 100_000 * DBC,
        online_stake_usd_limit: 300_000_000,
        reonline_stake: 46_000_000,
        slash_review_stake: 10_000 * DBC,
    });
    // Block 0 has no events.
    online_profile::Pallet::<Runtime>::register(Registration {
        id: machine().into_bytes(),
        owner: account(OWNER),
        controller: account(CONTROLLER),
        gpus: 4,
        calc_point: 6_825,
    })
}
