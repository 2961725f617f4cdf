//! What the chain stores, as its metadata names it. Fields that are not named here are passed over, wherever they stand.

use session::rental::schedule::Hours;
use session::rental::{
    AccountId, BlockNumber, ChainError, GpuSlots, Machine, MachineId, MachineStatus, Order,
    OrderStatus, RentId,
};
use subxt::dynamic::{At as _, Value};
use subxt::ext::scale_decode::DecodeAsType;
use subxt::ext::scale_value::ValueDef;
use subxt::utils::AccountId32;

/// `RentMachine.MachineRentOrder`.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(crate) struct MachineGpuOrder {
    pub(crate) rent_order: Vec<u64>,
}

/// `RentMachine.RentInfo`.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(crate) struct RentOrderDetail {
    machine_id: Vec<u8>,
    renter: AccountId32,
    rent_start: u32,
    confirm_rent: u32,
    rent_end: u32,
    rent_status: Value,
    gpu_index: Vec<u32>,
}

/// `OnlineProfile.MachinesInfo`.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(crate) struct MachineInfo {
    controller: AccountId32,
    machine_stash: AccountId32,
    machine_status: Value,
    machine_info_detail: MachineInfoDetail,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct MachineInfoDetail {
    committee_upload_info: CommitteeUploadInfo,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct CommitteeUploadInfo {
    gpu_num: u32,
    calc_point: u64,
}

/// `OnlineProfile.StandardGPUPointPrice`.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(crate) struct StandardPrice {
    pub(crate) gpu_point: u64,
    pub(crate) gpu_price: u64,
}

/// `RentMachine.MachineRenterRentedOrders`: written when an order is confirmed, and when it is prolonged.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(crate) struct RentedOrder {
    pub(crate) rent_id: u64,
    pub(crate) rent_start: u32,
    pub(crate) rent_end: u32,
}

/// `TimeRange`, of which `OnlineProfile.WeeklySchedule` and `SpecificDateSchedule` are lists.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(crate) struct TimeRange {
    start_hour: u8,
    end_hour: u8,
}

impl TimeRange {
    /// The ranges of a day.
    pub(crate) fn all(ranges: Vec<Self>) -> Vec<Hours> {
        let hours = |range: Self| Hours { from: range.start_hour, to: range.end_hour };
        ranges.into_iter().map(hours).collect()
    }
}

/// The name of a value that is one of several.
pub(crate) fn variant(value: &Value) -> Option<&str> {
    match &value.value {
        ValueDef::Variant(variant) => Some(&variant.name),
        _ => None,
    }
}

pub(crate) fn malformed(what: &str) -> ChainError {
    ChainError::Malformed(what.to_owned())
}

impl RentOrderDetail {
    /// The order; none if it says of itself that it has expired, as old runtimes did.
    pub(crate) fn order(
        self,
        rent_id: RentId,
        receiver: Option<AccountId>,
    ) -> Result<Option<Order>, ChainError> {
        let status = match variant(&self.rent_status) {
            Some("WaitingVerifying") => OrderStatus::Waiting,
            Some("Renting") => OrderStatus::Renting,
            Some("RentExpired") => return Ok(None),
            _ => return Err(malformed("RentMachine.RentInfo.rent_status")),
        };
        Ok(Some(Order {
            rent_id,
            machine: machine_id(&self.machine_id)?,
            renter: AccountId(self.renter.0),
            start: BlockNumber(self.rent_start),
            confirmed: BlockNumber(self.confirm_rent),
            end: BlockNumber(self.rent_end),
            status,
            slots: GpuSlots::new(self.gpu_index),
            receiver,
        }))
    }
}

impl MachineInfo {
    pub(crate) fn calc_point(&self) -> u64 {
        self.machine_info_detail.committee_upload_info.calc_point
    }

    pub(crate) fn gpus(&self) -> u32 {
        self.machine_info_detail.committee_upload_info.gpu_num
    }

    pub(crate) fn machine(&self, id: MachineId, rented_gpus: u32) -> Result<Machine, ChainError> {
        let status = match variant(&self.machine_status) {
            Some("Online") => MachineStatus::Online,
            Some("Rented") => MachineStatus::Rented,
            Some("StakerReportOffline" | "ReporterReportOffline") => MachineStatus::Offline,
            Some("Exit") => MachineStatus::Exit,
            // Those before it is online; a status of a later runtime is none to rent in.
            Some(_) => MachineStatus::Preparing,
            None => return Err(malformed("OnlineProfile.MachinesInfo.machine_status")),
        };
        Ok(Machine {
            id,
            owner: AccountId(self.machine_stash.0),
            controller: AccountId(self.controller.0),
            status,
            gpus: self.gpus(),
            rented_gpus,
            calc_point: self.calc_point(),
        })
    }
}

/// 64 digits in ASCII.
pub(crate) fn machine_id(bytes: &[u8]) -> Result<MachineId, ChainError> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(MachineId::parse).ok_or_else(|| malformed("MachineId"))
}

/// `System.Account`: how many calls the account has made, and its money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountInfo {
    pub(crate) nonce: u32,
    pub(crate) balance: session::rental::Balance,
}

impl AccountInfo {
    /// Older runtimes freeze for fees and for the rest apart; the more of the two counts.
    pub(crate) fn of(value: &Value) -> Result<Self, ChainError> {
        let number = |value: Option<&Value>| value.and_then(Value::as_u128);
        let data = value.at("data");
        let planck = |name: &str| number(data.at(name)).map(session::rental::Planck);
        let frozen =
            planck("frozen").or_else(|| Some(planck("misc_frozen")?.max(planck("fee_frozen")?)));
        let read = || {
            Some(Self {
                nonce: u32::try_from(number(value.at("nonce"))?).ok()?,
                balance: session::rental::Balance {
                    free: planck("free")?,
                    reserved: planck("reserved")?,
                    frozen: frozen?,
                },
            })
        };
        read().ok_or_else(|| malformed("System.Account"))
    }
}

#[cfg(test)]
mod tests {
    use session::rental::{Balance, Planck};

    use super::*;

    fn account(data: &[(&'static str, u128)]) -> Value {
        let number = |(name, value): &(&'static str, u128)| (*name, Value::u128(*value));
        let data = Value::named_composite(data.iter().map(number));
        Value::named_composite([("nonce", Value::u128(7)), ("data", data)])
    }

    #[test]
    fn money_is_read_from_new_and_old_runtimes() {
        let expected = AccountInfo {
            nonce: 7,
            balance: Balance { free: Planck(5), reserved: Planck(3), frozen: Planck(2) },
        };
        let new = account(&[("free", 5), ("reserved", 3), ("frozen", 2), ("flags", 1 << 127)]);
        assert_eq!(AccountInfo::of(&new), Ok(expected));
        let old = account(&[("free", 5), ("reserved", 3), ("misc_frozen", 1), ("fee_frozen", 2)]);
        assert_eq!(AccountInfo::of(&old), Ok(expected));
        let odd = account(&[("free", 5), ("reserved", 3)]);
        assert_eq!(AccountInfo::of(&odd), Err(malformed("System.Account")));
    }

    #[test]
    fn machines_are_digits() {
        let digits = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
        assert_eq!(machine_id(digits.as_bytes()).unwrap().to_string(), digits);
        assert!(machine_id(&[0xff; 64]).is_err() && machine_id(b"").is_err());
    }
}
