//! A chain in this process, its clock in the test's hands, and calls as transactions.

#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use codec::Encode as _;
use nearlight_devchain::{Node, Refusal, Seal};
use runtime::pallets::{online_profile, rent_machine};
use runtime::types::{Balance, MachineInfo, RentOrderDetail, RentOrderId};
use runtime::{
    Runtime, RuntimeCall, RuntimeEvent, System, TxExtension, UncheckedExtrinsic, genesis,
};
use sp_core::Pair as _;
use sp_runtime::generic::Era;
use sp_runtime::traits::{BlakeTwo256, Hash as _};
use sp_runtime::{AccountId32, DispatchError, MultiAddress, MultiSignature};

/// Monday, the first of January 2024, midnight.
pub(crate) const MONDAY: u64 = 1_704_067_200_000;

pub(crate) type RentCall = rent_machine::Call<Runtime>;
pub(crate) type RentError = rent_machine::Error<Runtime>;
pub(crate) type RentEvent = rent_machine::Event<Runtime>;
pub(crate) type MachineCall = online_profile::Call<Runtime>;
pub(crate) type MachineError = online_profile::Error<Runtime>;

pub(crate) struct Chain {
    pub(crate) node: Arc<Node>,
    pub(crate) clock: Arc<AtomicU64>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self::open(None, 411, Seal::Instant)
    }

    pub(crate) fn open(folder: Option<&Path>, spec: u32, seal: Seal) -> Self {
        let clock = Arc::new(AtomicU64::new(MONDAY));
        let now = Arc::clone(&clock);
        let now = Arc::new(move || now.load(Ordering::Relaxed));
        let node = Arc::new(Node::open(folder, spec, seal, now).unwrap());
        Self { node, clock }
    }

    /// Reads by the runtime's own code.
    pub(crate) fn read<R>(&self, function: impl FnOnce() -> R) -> R {
        self.node.read(function).unwrap()
    }

    /// A call as a transaction of a development key.
    pub(crate) fn sign(
        &self,
        who: &str,
        call: impl Into<RuntimeCall>,
        nonce: Option<u32>,
    ) -> Vec<u8> {
        let (key, call) = (genesis::key(who), call.into());
        let account = genesis::account(who);
        let nonce = nonce.unwrap_or_else(|| self.read(|| System::account_nonce(&account)));
        let genesis = self.node.genesis();
        self.read(|| {
            let extension: TxExtension = (
                frame_system::CheckNonZeroSender::new(),
                frame_system::CheckSpecVersion::new(),
                frame_system::CheckTxVersion::new(),
                frame_system::CheckGenesis::new(),
                frame_system::CheckMortality::from(Era::Immortal),
                frame_system::CheckNonce::from(nonce),
                frame_system::CheckWeight::new(),
                pallet_asset_tx_payment::ChargeAssetTxPayment::from(0, None),
            );
            let version = System::runtime_version();
            let (spec, transaction) = (version.spec_version, version.transaction_version);
            let signed = (&call, &extension, spec, transaction, genesis, genesis);
            let signature = MultiSignature::Sr25519(signed.using_encoded(|bytes| {
                if bytes.len() > 256 {
                    key.sign(BlakeTwo256::hash(bytes).as_bytes())
                } else {
                    key.sign(bytes)
                }
            }));
            let account = MultiAddress::Id(account.clone());
            UncheckedExtrinsic::new_signed(call.clone(), account, signature, extension).encode()
        })
    }

    /// Sends a call and makes its block; its events, or why it failed.
    pub(crate) fn send(
        &self,
        who: &str,
        call: impl Into<RuntimeCall>,
    ) -> Result<Vec<RuntimeEvent>, DispatchError> {
        self.try_send(who, call).expect("the pool takes it")
    }

    /// The same where the pool may refuse it.
    pub(crate) fn try_send(
        &self,
        who: &str,
        call: impl Into<RuntimeCall>,
    ) -> Result<Result<Vec<RuntimeEvent>, DispatchError>, Refusal> {
        let bytes = self.sign(who, call, None);
        self.node.submit(bytes.clone())?;
        if self.node.seal() != Seal::Instant {
            self.node.new_blocks(1).unwrap();
        }
        assert!(self.node.body().contains(&bytes), "it is in the best block");
        let events = self.events();
        let failed = events.iter().find_map(|event| match event {
            RuntimeEvent::System(frame_system::Event::ExtrinsicFailed {
                dispatch_error, ..
            }) => Some(*dispatch_error),
            _ => None,
        });
        Ok(match failed {
            Some(error) => Err(error.stripped()),
            None => Ok(events),
        })
    }

    /// The best block's events.
    pub(crate) fn events(&self) -> Vec<RuntimeEvent> {
        self.read(|| {
            System::read_events_no_consensus().map(|record| record.event.clone()).collect()
        })
    }

    pub(crate) fn number(&self) -> u32 {
        self.node.heads()[0].0
    }

    /// Executes blocks until this one is the best.
    pub(crate) fn advance_to(&self, number: u32) {
        self.node.new_blocks(number - self.number()).unwrap();
        assert_eq!(self.number(), number);
    }

    pub(crate) fn order(&self, id: RentOrderId) -> Option<RentOrderDetail<AccountId32>> {
        self.read(|| rent_machine::RentInfo::<Runtime>::get(id))
    }

    pub(crate) fn machine(&self) -> MachineInfo<AccountId32> {
        self.read(|| online_profile::MachinesInfo::<Runtime>::get(id())).unwrap()
    }

    /// What of the machine's cards orders have.
    pub(crate) fn rented(&self) -> u32 {
        self.read(|| online_profile::MachineRentedGPU::<Runtime>::get(id()))
    }

    /// Free and held.
    pub(crate) fn money(&self, who: &str) -> (Balance, Balance) {
        let data = self.read(|| System::account(genesis::account(who))).data;
        (data.free, data.reserved)
    }

    /// Rents cards for blocks.
    pub(crate) fn rent(
        &self,
        who: &str,
        cards: u32,
        blocks: u32,
    ) -> Result<RentOrderId, DispatchError> {
        let events = self.send(who, rent(cards, blocks))?;
        let id = events.iter().find_map(|event| match event {
            RuntimeEvent::RentMachine(RentEvent::Rent(id, ..)) => Some(*id),
            _ => None,
        });
        Ok(id.expect("an order was made"))
    }

    /// Rents and confirms.
    pub(crate) fn confirmed(&self, who: &str, cards: u32, blocks: u32) -> RentOrderId {
        let id = self.rent(who, cards, blocks).unwrap();
        self.send(who, confirm(id)).unwrap();
        id
    }

    /// What governance does.
    pub(crate) fn sudo(&self, call: impl Into<RuntimeCall>) {
        let call = Box::new(call.into());
        let events = self.send("//Alice", pallet_sudo::Call::sudo { call }).unwrap();
        let done = events.iter().any(|event| {
            matches!(event, RuntimeEvent::Sudo(pallet_sudo::Event::Sudid { sudo_result: Ok(()) }))
        });
        assert!(done, "{events:?}");
    }
}

/// The machine that is there from the beginning.
pub(crate) fn id() -> Vec<u8> {
    genesis::machine().into_bytes()
}

pub(crate) fn rent(cards: u32, blocks: u32) -> RentCall {
    RentCall::rent_machine { machine_id: id(), rent_gpu_num: cards, duration: blocks }
}

pub(crate) fn confirm(rent_id: RentOrderId) -> RentCall {
    RentCall::confirm_rent { rent_id }
}

pub(crate) fn relet(rent_id: RentOrderId, relet_duration: u32) -> RentCall {
    RentCall::relet_machine { rent_id, relet_duration }
}

pub(crate) fn offline() -> MachineCall {
    MachineCall::controller_report_offline { machine_id: id() }
}

pub(crate) fn online() -> MachineCall {
    MachineCall::controller_report_online { machine_id: id() }
}

/// An error as storage has it.
pub(crate) fn named<T>(error: impl Into<DispatchError>) -> Result<T, DispatchError> {
    Err(error.into().stripped())
}
