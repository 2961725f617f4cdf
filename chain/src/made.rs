//! Metadata that is made by hand, for tests of what is looked for in it. Its shapes are those of the research notes.

#![allow(
    non_camel_case_types,
    dead_code,
    reason = "the chain's names; types are described and never made"
)]

use scale_info::{MetaType, TypeDef, TypeInfo, meta_type};
use subxt::ext::frame_metadata::v14::{
    ExtrinsicMetadata, PalletCallMetadata, PalletErrorMetadata, PalletEventMetadata,
    PalletMetadata, PalletStorageMetadata, RuntimeMetadataV14, StorageEntryMetadata,
    StorageEntryModifier, StorageEntryType, StorageHasher,
};
use subxt::metadata::Metadata;

#[derive(TypeInfo)]
enum RentCall {
    rent_machine { machine_id: Vec<u8>, rent_gpu_num: u32, duration: u32 },
    confirm_rent { rent_id: u64 },
    relet_machine { rent_id: u64, relet_duration: u32 },
}

#[derive(TypeInfo)]
enum RentEvent {
    ConfirmRent(u64, [u8; 32], Vec<u8>, u32, u32, u128),
    Rent(u64, [u8; 32], Vec<u8>, u32, u32, u128),
    Relet(u64, [u8; 32], Vec<u8>, u32, u32, u128),
}

/// In the pallet's order.
#[derive(TypeInfo)]
enum RentError {
    AccountAlreadyExist,
    MachineNotRentable,
    Overflow,
    InsufficientValue,
    ExpiredConfirm,
    NoOrderExist,
    StatusNotAllowed,
    UnlockToPayFeeFailed,
    UndefinedRentPot,
    PayTxFeeFailed,
    GetMachinePriceFailed,
    OnlyHalfHourAllowed,
    GPUNotEnough,
    NotMachineRenter,
    Unknown,
    ReletTooShort,
    NotMachineOwner,
    SignVerifiedFailed,
    MachineNotRented,
    MachineNotFound,
    MoreThanOneRenter,
    OutOfRentalSchedule,
}

#[derive(TypeInfo)]
enum RentStatus {
    WaitingVerifying,
    Renting,
    RentExpired,
}

#[derive(TypeInfo)]
struct RentOrderDetail {
    machine_id: Vec<u8>,
    renter: [u8; 32],
    rent_start: u32,
    confirm_rent: u32,
    rent_end: u32,
    stake_amount: u128,
    rent_status: RentStatus,
    gpu_num: u32,
    gpu_index: Vec<u32>,
}

#[derive(TypeInfo)]
struct MachineGPUOrder {
    rent_order: Vec<u64>,
    used_gpu: Vec<u32>,
}

#[derive(TypeInfo)]
struct MachineInfo {
    controller: [u8; 32],
    machine_stash: [u8; 32],
    machine_status: RentStatus,
    machine_info_detail: Detail,
}

#[derive(TypeInfo)]
struct Detail {
    committee_upload_info: Uploaded,
}

#[derive(TypeInfo)]
struct Uploaded {
    gpu_num: u32,
    calc_point: u64,
}

#[derive(TypeInfo)]
enum ProfileCall {
    controller_report_online { machine_id: Vec<u8> },
    controller_report_offline { machine_id: Vec<u8> },
}

#[derive(TypeInfo)]
enum ProfileEvent {
    ControllerReportOffline(Vec<u8>),
    ControllerReportOnline(Vec<u8>),
}

#[derive(TypeInfo)]
enum ProfileError {
    NotMachineController,
    Unknown,
}

#[derive(TypeInfo)]
enum BalancesCall {
    transfer_keep_alive { dest: [u8; 32], value: u128 },
}

#[derive(TypeInfo)]
enum BalancesEvent {
    Transfer { from: [u8; 32], to: [u8; 32], amount: u128 },
}

#[derive(TypeInfo)]
enum SystemEvent {
    ExtrinsicSuccess,
    ExtrinsicFailed,
}

#[derive(TypeInfo)]
enum PaymentEvent {
    TransactionFeePaid { who: [u8; 32], actual_fee: u128, tip: u128 },
}

#[derive(TypeInfo)]
enum RuntimeCall {
    RentMachine(RentCall),
}

#[derive(TypeInfo)]
enum RuntimeEvent {
    RentMachine(RentEvent),
}

#[derive(TypeInfo)]
struct Extrinsic<Address, Call, Signature, Extra>(Address, Call, Signature, Extra);

fn entry(name: &'static str, value: MetaType, is_map: bool) -> StorageEntryMetadata {
    let ty = if is_map {
        let hashers = vec![StorageHasher::Blake2_128Concat];
        StorageEntryType::Map { hashers, key: meta_type::<u64>(), value }
    } else {
        StorageEntryType::Plain(value)
    };
    let modifier = StorageEntryModifier::Optional;
    StorageEntryMetadata { name, modifier, ty, default: vec![0], docs: Vec::new() }
}

fn pallet(
    name: &'static str,
    index: u8,
    entries: Vec<StorageEntryMetadata>,
    calls: Option<MetaType>,
    event: Option<MetaType>,
    error: Option<MetaType>,
) -> PalletMetadata {
    PalletMetadata {
        name,
        storage: Some(PalletStorageMetadata { prefix: name, entries }),
        calls: calls.map(|ty| PalletCallMetadata { ty }),
        event: event.map(|ty| PalletEventMetadata { ty }),
        constants: Vec::new(),
        error: error.map(|ty| PalletErrorMetadata { ty }),
        index,
    }
}

fn pallets() -> Vec<PalletMetadata> {
    let number = meta_type::<u64>;
    let rent = vec![
        entry("UserOrder", meta_type::<Vec<u64>>(), true),
        entry("MachineRentOrder", meta_type::<MachineGPUOrder>(), true),
        entry("RentInfo", meta_type::<RentOrderDetail>(), true),
        entry("MaximumRentalDuration", number(), false),
        entry("RentOrderReceiver", meta_type::<[u8; 32]>(), true),
        entry("MachineRenterRentedOrders", number(), true),
    ];
    let profile = vec![
        entry("MachinesInfo", meta_type::<MachineInfo>(), true),
        entry("MachineRentedGPU", number(), true),
        entry("RentFeeDestroyPercent", number(), false),
        entry("StandardGPUPointPrice", number(), false),
        entry("MachineExtraPrice", number(), true),
        entry("MachineRentalModeStorage", number(), true),
        entry("WeeklySchedule", number(), true),
        entry("SpecificDateSchedule", number(), true),
    ];
    let system = vec![entry("Account", number(), true), entry("Events", number(), false)];
    let (profile_call, profile_event) = (meta_type::<ProfileCall>(), meta_type::<ProfileEvent>());
    let price = vec![entry("AvgPrice", number(), false)];
    let fee = vec![entry("FixedTxFee", number(), false)];
    let now = vec![entry("Now", number(), false)];
    vec![
        pallet("System", 0, system, None, Some(meta_type::<SystemEvent>()), None),
        pallet("Timestamp", 2, now, None, None, None),
        pallet(
            "Balances",
            7,
            Vec::new(),
            Some(meta_type::<BalancesCall>()),
            Some(meta_type::<BalancesEvent>()),
            None,
        ),
        pallet("TransactionPayment", 8, Vec::new(), None, Some(meta_type::<PaymentEvent>()), None),
        pallet("GenericFunc", 104, fee, None, None, None),
        pallet("DBCPriceOCW", 106, price, None, None, None),
        pallet(
            "OnlineProfile",
            107,
            profile,
            Some(profile_call),
            Some(profile_event),
            Some(meta_type::<ProfileError>()),
        ),
        pallet(
            "RentMachine",
            111,
            rent,
            Some(meta_type::<RentCall>()),
            Some(meta_type::<RentEvent>()),
            Some(meta_type::<RentError>()),
        ),
    ]
}

/// A runtime with everything that is used, then changed.
pub(crate) fn metadata(change: impl FnOnce(&mut RuntimeMetadataV14)) -> Metadata {
    let extrinsic = ExtrinsicMetadata {
        ty: meta_type::<Extrinsic<[u8; 32], RuntimeCall, [u8; 64], ()>>(),
        version: 4,
        signed_extensions: Vec::new(),
    };
    // Its two enums of the whole runtime are known by their names.
    let runtime = meta_type::<(RuntimeCall, RuntimeEvent)>();
    let mut metadata = RuntimeMetadataV14::new(pallets(), extrinsic, runtime);
    change(&mut metadata);
    Metadata::from_v14(metadata).expect("metadata")
}

/// Takes an entry out of the storage of a pallet.
pub(crate) fn forget(metadata: &mut RuntimeMetadataV14, pallet: &str, entry: &str) {
    let pallet = metadata.pallets.iter_mut().find(|it| it.name == pallet).expect("the pallet");
    let storage = pallet.storage.as_mut().expect("its storage");
    storage.entries.retain(|it| it.name != entry);
}

/// Calls a field of a struct something else.
pub(crate) fn rename(metadata: &mut RuntimeMetadataV14, of: &str, field: &str) {
    for kind in &mut metadata.types.types {
        let is_it = kind.ty.path.ident().as_deref() == Some(of);
        if let TypeDef::Composite(whole) = &mut kind.ty.type_def
            && is_it
        {
            let named = whole.fields.iter_mut().filter(|it| it.name.as_deref() == Some(field));
            named.for_each(|it| it.name = Some("renamed".to_owned()));
        }
    }
}
