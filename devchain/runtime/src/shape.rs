//! The runtime's metadata as the runtime has it which this one shows itself as.

use codec::{Decode, Encode};
use frame_metadata::v14::{RuntimeMetadataV14, StorageEntryMetadata};
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed};
use scale_info::form::PortableForm;
use scale_info::TypeDef;
use sp_core::OpaqueMetadata;

use crate::pallets::development::SpecVersion;
use crate::Runtime;

/// Since which runtime an item is there.
struct Since {
    spec: u32,
    pallet: &'static str,
    storage: &'static [&'static str],
    calls: &'static [&'static str],
    events: &'static [&'static str],
    errors: &'static [&'static str],
}

const ADDITIONS: [Since; 4] = [
    Since {
        spec: 410,
        pallet: "RentMachine",
        storage: &["RentOrderReceiver"],
        calls: &[],
        events: &[],
        errors: &[],
    },
    Since {
        spec: 411,
        pallet: "RentMachine",
        storage: &[],
        calls: &[],
        events: &[],
        errors: &["OutOfRentalSchedule"],
    },
    Since {
        spec: 410,
        pallet: "OnlineProfile",
        storage: &["StashRentReceiver"],
        calls: &["set_rent_receiver"],
        events: &["RentReceiverChanged"],
        errors: &["InvalidRentReceiver"],
    },
    Since {
        spec: 411,
        pallet: "OnlineProfile",
        storage: &[
            "MachineExtraPrice",
            "MachineRentalModeStorage",
            "WeeklySchedule",
            "SpecificDateSchedule",
        ],
        calls: &[
            "set_machine_extra_price",
            "set_machine_rental_mode",
            "set_weekly_schedule",
            "set_specific_date_schedule",
            "clear_specific_date",
        ],
        events: &[
            "MachineExtraPriceSet",
            "MachineRentalModeSet",
            "WeeklyScheduleSet",
            "SpecificDateScheduleSet",
            "SpecificDateCleared",
        ],
        errors: &[
            "ExtraPriceTooHigh",
            "InvalidScheduleArgs",
            "RentalTooShort",
            "OutOfRentalSchedule",
        ],
    },
];

/// Version 14, without what came after the runtime that storage names.
pub fn metadata() -> OpaqueMetadata {
    let whole = Runtime::metadata_at_version(14).expect("FRAME writes metadata 14");
    let spec = SpecVersion::<Runtime>::get();
    if ADDITIONS.iter().all(|since| since.spec <= spec) {
        return whole;
    }
    let bytes: &[u8] = &whole;
    let mut prefixed =
        RuntimeMetadataPrefixed::decode(&mut &*bytes).expect("FRAME's metadata is well-formed");
    if let RuntimeMetadata::V14(metadata) = &mut prefixed.1 {
        let newer = ADDITIONS.iter().filter(|since| since.spec > spec);
        newer.for_each(|since| hide(metadata, since));
    }
    OpaqueMetadata::new(prefixed.encode())
}

fn hide(metadata: &mut RuntimeMetadataV14, since: &Since) {
    let RuntimeMetadataV14 { pallets, types, .. } = metadata;
    let Some(pallet) = pallets.iter_mut().find(|pallet| pallet.name == since.pallet) else {
        return;
    };
    if let Some(storage) = &mut pallet.storage {
        let stays = |entry: &StorageEntryMetadata<PortableForm>| {
            !since.storage.contains(&entry.name.as_str())
        };
        storage.entries.retain(stays);
    }
    let enums = [
        (pallet.calls.as_ref().map(|calls| calls.ty), since.calls),
        (pallet.event.as_ref().map(|event| event.ty), since.events),
        (pallet.error.as_ref().map(|error| error.ty), since.errors),
    ];
    for (id, names) in enums {
        let Some(id) = id else { continue };
        let found = types.types.iter_mut().find(|found| found.id == id.id);
        if let Some(TypeDef::Variant(variants)) = found.map(|found| &mut found.ty.type_def) {
            variants.variants.retain(|variant| !names.contains(&variant.name.as_str()));
        }
    }
}
