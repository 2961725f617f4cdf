//! What of a runtime is used, and whether it is there.

use scale_info::{Field, TypeDef};
use session::rental::ChainError;
use subxt::metadata::Metadata;

/// Storage without which nothing can be rented: pallet and entry.
const STORAGE: [(&str, &str); 13] = [
    ("System", "Account"),
    ("System", "Events"),
    ("Timestamp", "Now"),
    ("RentMachine", "UserOrder"),
    ("RentMachine", "MachineRentOrder"),
    ("RentMachine", "RentInfo"),
    ("RentMachine", "MaximumRentalDuration"),
    ("OnlineProfile", "MachinesInfo"),
    ("OnlineProfile", "MachineRentedGPU"),
    ("OnlineProfile", "RentFeeDestroyPercent"),
    ("OnlineProfile", "StandardGPUPointPrice"),
    ("DBCPriceOCW", "AvgPrice"),
    ("GenericFunc", "FixedTxFee"),
];

/// Calls and the names of their arguments.
const CALLS: [(&str, &str, &[&str]); 6] = [
    ("RentMachine", "rent_machine", &["machine_id", "rent_gpu_num", "duration"]),
    ("RentMachine", "confirm_rent", &["rent_id"]),
    ("RentMachine", "relet_machine", &["rent_id", "relet_duration"]),
    ("Balances", "transfer_keep_alive", &["dest", "value"]),
    ("OnlineProfile", "controller_report_online", &["machine_id"]),
    ("OnlineProfile", "controller_report_offline", &["machine_id"]),
];

/// Events that prove calls.
const EVENTS: [(&str, &str); 9] = [
    ("System", "ExtrinsicSuccess"),
    ("System", "ExtrinsicFailed"),
    ("TransactionPayment", "TransactionFeePaid"),
    ("RentMachine", "Rent"),
    ("RentMachine", "ConfirmRent"),
    ("RentMachine", "Relet"),
    ("Balances", "Transfer"),
    ("OnlineProfile", "ControllerReportOnline"),
    ("OnlineProfile", "ControllerReportOffline"),
];

/// Fields of what is stored: pallet, entry, path from there to the field.
const FIELDS: [(&str, &str, &[&str]); 12] = [
    ("RentMachine", "MachineRentOrder", &["rent_order"]),
    ("RentMachine", "RentInfo", &["machine_id"]),
    ("RentMachine", "RentInfo", &["renter"]),
    ("RentMachine", "RentInfo", &["rent_start"]),
    ("RentMachine", "RentInfo", &["confirm_rent"]),
    ("RentMachine", "RentInfo", &["rent_end"]),
    ("RentMachine", "RentInfo", &["rent_status"]),
    ("RentMachine", "RentInfo", &["gpu_index"]),
    ("OnlineProfile", "MachinesInfo", &["machine_status"]),
    ("OnlineProfile", "MachinesInfo", &["machine_stash"]),
    ("OnlineProfile", "MachinesInfo", &["machine_info_detail", "committee_upload_info", "gpu_num"]),
    (
        "OnlineProfile",
        "MachinesInfo",
        &["machine_info_detail", "committee_upload_info", "calc_point"],
    ),
];

/// Additions of later runtimes: pallet, entry, and what is assumed without it. (Runtime 408 brought the extra price, 409
/// time slots, 410 receivers of rent.)
const ADDITIONS: [(&str, &str, &str); 6] = [
    ("OnlineProfile", "MachineExtraPrice", "OnlineProfile.MachineExtraPrice: no extra price"),
    (
        "OnlineProfile",
        "MachineRentalModeStorage",
        "OnlineProfile.MachineRentalModeStorage: rented at all times of day",
    ),
    ("OnlineProfile", "WeeklySchedule", "OnlineProfile.WeeklySchedule: no schedule of the week"),
    (
        "OnlineProfile",
        "SpecificDateSchedule",
        "OnlineProfile.SpecificDateSchedule: no schedule of single days",
    ),
    (
        "RentMachine",
        "RentOrderReceiver",
        "RentMachine.RentOrderReceiver: the owner receives the rent",
    ),
    // It is as old as all that is needed; without it no more is lost than that.
    (
        "RentMachine",
        "MachineRenterRentedOrders",
        "RentMachine.MachineRenterRentedOrders: an order that nobody saw is not known, and nothing was paid for one after it was last seen",
    ),
];

/// A runtime that has what is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// What it lacks of what came later.
    pub(crate) defaults: Vec<&'static str>,
}

impl Shape {
    /// Looks for everything that is used.
    ///
    /// # Errors
    /// [`ChainError::Missing`] names the first item that is not there.
    pub(crate) fn of(metadata: &Metadata) -> Result<Self, ChainError> {
        let missing = |name: String| ChainError::Missing(name);
        for (pallet, entry) in STORAGE {
            if !has_storage(metadata, pallet, entry) {
                return Err(missing(format!("{pallet}.{entry}")));
            }
        }
        for (pallet, entry, path) in FIELDS {
            if !has_field(metadata, pallet, entry, path) {
                return Err(missing(format!("{pallet}.{entry}.{}", path.join("."))));
            }
        }
        for (pallet, call, arguments) in CALLS {
            let found = metadata.pallet_by_name(pallet);
            let found = found.and_then(|pallet| pallet.call_variant_by_name(call));
            let found = found.ok_or_else(|| missing(format!("call {pallet}.{call}")))?;
            let names: Vec<_> =
                found.fields.iter().filter_map(|field| field.name.as_deref()).collect();
            if names != arguments {
                let arguments = arguments.join(", ");
                return Err(missing(format!("call {pallet}.{call}({arguments})")));
            }
        }
        for (pallet, event) in EVENTS {
            let found = metadata.pallet_by_name(pallet).and_then(|pallet| pallet.event_variants());
            if !found.is_some_and(|variants| variants.iter().any(|variant| variant.name == event)) {
                return Err(missing(format!("event {pallet}.{event}")));
            }
        }
        let lacks = |(pallet, entry, _): &(&str, &str, &str)| !has_storage(metadata, pallet, entry);
        let defaults = ADDITIONS.into_iter().filter(lacks).map(|(.., default)| default);
        Ok(Self { defaults: defaults.collect() })
    }
}

/// Whether the runtime stores such a thing.
pub(crate) fn has_storage(metadata: &Metadata, pallet: &str, entry: &str) -> bool {
    let storage = metadata.pallet_by_name(pallet).and_then(|pallet| pallet.storage());
    storage.is_some_and(|storage| storage.entry_by_name(entry).is_some())
}

fn has_field(metadata: &Metadata, pallet: &str, entry: &str, path: &[&str]) -> bool {
    let storage = metadata.pallet_by_name(pallet).and_then(|pallet| pallet.storage());
    let Some(entry) = storage.and_then(|storage| storage.entry_by_name(entry)) else {
        return false;
    };
    let within = |id: u32, name: &&str| match &metadata.types().resolve(id)?.type_def {
        TypeDef::Composite(whole) => {
            let named = |field: &&Field<_>| field.name.as_deref() == Some(*name);
            whole.fields.iter().find(named).map(|field| field.ty.id)
        }
        _ => None,
    };
    path.iter().try_fold(entry.value_ty(), within).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{forget, metadata, rename};

    fn missing(
        change: impl FnOnce(&mut subxt::ext::frame_metadata::v14::RuntimeMetadataV14),
    ) -> String {
        match Shape::of(&metadata(change)) {
            Err(ChainError::Missing(item)) => item,
            other => panic!("{other:?} lacks something"),
        }
    }

    #[test]
    fn a_runtime_of_today_lacks_nothing() {
        assert_eq!(Shape::of(&metadata(|_| ())), Ok(Shape { defaults: Vec::new() }));
    }

    #[test]
    fn what_later_runtimes_brought_has_defaults() {
        let old = metadata(|metadata| {
            ADDITIONS.iter().for_each(|(pallet, entry, _)| forget(metadata, pallet, entry));
        });
        let defaults: Vec<_> = ADDITIONS.iter().map(|(.., default)| *default).collect();
        assert_eq!(Shape::of(&old), Ok(Shape { defaults }));
    }

    #[test]
    fn each_entry_that_is_needed_is_missed_by_name() {
        for (pallet, entry) in STORAGE {
            let item = missing(|metadata| forget(metadata, pallet, entry));
            assert_eq!(item, format!("{pallet}.{entry}"));
        }
    }

    #[test]
    fn fields_calls_events_and_pallets_are_missed_by_name() {
        let field = missing(|metadata| rename(metadata, "RentOrderDetail", "rent_end"));
        assert_eq!(field, "RentMachine.RentInfo.rent_end");
        let inner = missing(|metadata| rename(metadata, "Uploaded", "calc_point"));
        let expected =
            "OnlineProfile.MachinesInfo.machine_info_detail.committee_upload_info.calc_point";
        assert_eq!(inner, expected);
        for (pallet, call, event) in [
            ("RentMachine", "rent_machine", "Rent"),
            ("Balances", "transfer_keep_alive", "Transfer"),
            ("OnlineProfile", "controller_report_online", "ControllerReportOnline"),
        ] {
            let found = missing(|metadata| {
                let mut pallets = metadata.pallets.iter_mut();
                pallets.find(|it| it.name == pallet).expect("it").calls = None;
            });
            assert_eq!(found, format!("call {pallet}.{call}"));
            let found = missing(|metadata| {
                let mut pallets = metadata.pallets.iter_mut();
                pallets.find(|it| it.name == pallet).expect("it").event = None;
            });
            assert_eq!(found, format!("event {pallet}.{event}"));
        }
        let gone = missing(|metadata| metadata.pallets.retain(|it| it.name != "RentMachine"));
        assert_eq!(gone, "RentMachine.UserOrder");
    }
}
