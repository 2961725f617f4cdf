//! What became of a call: the events of its place in a block, by the names of pallets, events and errors.

use session::rental::{
    BlockHash, BlockNumber, CallError, ChainError, MachineId, Planck, Proven, Rejection, RentId,
};
use subxt::SubstrateConfig;
use subxt::config::substrate::H256;
use subxt::dynamic::{At as _, Value};
use subxt::events::{Events, Phase};
use subxt::ext::frame_decode::storage::encode_storage_key_prefix;
use subxt::ext::scale_value::{Composite, ValueDef};
use subxt::metadata::Metadata;

use crate::items::{machine_id, malformed, variant};
use crate::link::{Fail, Link};

/// An event of one extrinsic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Happened {
    pallet: String,
    name: String,
    fields: Composite<()>,
}

impl Happened {
    /// A field by its name, or where the event has none, by its place.
    fn field(&self, name: &str, place: usize) -> Option<&Value> {
        match &self.fields {
            Composite::Named(_) => self.fields.at(name),
            Composite::Unnamed(_) => self.fields.at(place),
        }
    }

    pub(crate) fn number(&self, name: &str, place: usize) -> Result<u128, CallError> {
        let number = self.field(name, place).and_then(integer);
        number.ok_or_else(|| self.malformed(name))
    }

    /// An integer that fits where it is used.
    pub(crate) fn whole<T: TryFrom<u128>>(&self, name: &str, place: usize) -> Result<T, CallError> {
        T::try_from(self.number(name, place)?).map_err(|_| self.malformed(name))
    }

    pub(crate) fn machine(&self, name: &str, place: usize) -> Result<MachineId, CallError> {
        let bytes = self.field(name, place).and_then(bytes);
        let id = bytes.and_then(|bytes| machine_id(&bytes).ok());
        id.ok_or_else(|| self.malformed(name))
    }

    pub(crate) fn account(&self, name: &str, place: usize) -> Result<[u8; 32], CallError> {
        let bytes = self.field(name, place).and_then(bytes);
        let account = bytes.and_then(|bytes| bytes.try_into().ok());
        account.ok_or_else(|| self.malformed(name))
    }

    fn malformed(&self, field: &str) -> CallError {
        malformed(&format!("event {}.{}.{field}", self.pallet, self.name)).into()
    }
}

/// An integer, also one in a wrapper of one field.
fn integer(value: &Value) -> Option<u128> {
    match &value.value {
        ValueDef::Composite(inner) if inner.len() == 1 => integer(inner.values().next()?),
        _ => value.as_u128(),
    }
}

/// Bytes, also those in wrappers of one field. One byte alone is not told from a wrapper, and no field of ours is one.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    let ValueDef::Composite(inner) = &value.value else { return None };
    if inner.len() == 1 {
        return bytes(inner.values().next()?);
    }
    inner.values().map(|byte| u8::try_from(byte.as_u128()?).ok()).collect()
}

/// A call that is in a finalized block and did not fail.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Inclusion {
    pub(crate) block: BlockNumber,
    pub(crate) hash: BlockHash,
    pub(crate) network_fee: Planck,
    /// What an order costs beside its rent, by the block before; the event of the call itself says what was paid.
    fixed_fee: Planck,
    shown: Shown,
    /// An earlier process had made the call.
    earlier: bool,
}

/// What shows that a call did its work.
#[derive(Clone, Debug, PartialEq)]
enum Shown {
    /// Its events.
    Events(Vec<Happened>),
    /// Later state: that which held the events is gone. The order that it made, confirmed or prolonged.
    Order(RentId),
}

impl Inclusion {
    /// Of a call of whose block the events are gone, and whose order is there.
    pub(crate) fn without_events(block: BlockNumber, hash: BlockHash, order: RentId) -> Self {
        let (none, shown) = (Planck::ZERO, Shown::Order(order));
        Self { block, hash, network_fee: none, fixed_fee: none, shown, earlier: false }
    }

    /// The same, of a call that an earlier process had made.
    pub(crate) fn by_an_earlier(self) -> Self {
        Self { earlier: true, ..self }
    }

    /// What the call paid beside the rent.
    pub(crate) fn fixed_fee(&self) -> Planck {
        let Shown::Events(events) = &self.shown else { return Planck::ZERO };
        let is_it = |it: &&Happened| it.pallet == "GenericFunc" && it.name == "TxFeeToTreasury";
        let paid = events.iter().find(is_it).and_then(|event| event.number("amount", 1).ok());
        paid.map_or(self.fixed_fee, Planck)
    }

    /// The event that proves the call, as whoever knows it reads it.
    ///
    /// # Errors
    /// [`CallError::NoEvent`] where it is not there, [`CallError::DoneBefore`] where none can be read any more.
    pub(crate) fn proven<T>(
        &self,
        pallet: &str,
        name: &str,
        read: impl FnOnce(&Happened) -> Result<T, CallError>,
    ) -> Result<Proven<T>, CallError> {
        let is_it = |event: &&Happened| event.pallet == pallet && event.name == name;
        let (block, hash, network_fee) = (self.block, self.hash, self.network_fee);
        let events = match &self.shown {
            Shown::Events(events) => events,
            Shown::Order(order) => {
                return Err(CallError::DoneBefore { block, order: Some(*order) });
            }
        };
        let event = events.iter().find(is_it).ok_or(CallError::NoEvent)?;
        let event = read(event)?;
        Ok(Proven { block, hash, network_fee, earlier: self.earlier, event })
    }
}

/// What happened to the extrinsic at a place of a block. The events are read by the metadata of the block before, whose
/// runtime made them.
pub(crate) async fn inclusion(
    link: &Link,
    hash: H256,
    place: u32,
) -> Result<Result<Inclusion, Rejection>, Fail> {
    let block = link.by_hash(hash).await?;
    let before = link.by_hash(H256(block.head.parent.0)).await?;
    let bytes =
        block.raw(&encode_storage_key_prefix("System", "Events")).await?.unwrap_or_default();
    let metadata = before.at.metadata();
    let of_it = |phase, _: &str, _: &str| phase == Phase::ApplyExtrinsic(place);
    let events = happened(&before.at.events().from_bytes(bytes), of_it)?;
    let fixed_fee = before.fixed_fee().await?;
    let judged = judged(&metadata, block.head.number, block.head.hash, events)?;
    Ok(judged.map(|done| Inclusion { fixed_fee, ..done }))
}

/// Those events of a block that are wanted, by phase, pallet and name.
pub(crate) fn happened(
    events: &Events<SubstrateConfig>,
    is_wanted: impl Fn(Phase, &str, &str) -> bool,
) -> Result<Vec<Happened>, ChainError> {
    let mut found = Vec::new();
    for event in events.iter() {
        let event = event.map_err(|_| malformed("System.Events"))?;
        if !is_wanted(event.phase(), event.pallet_name(), event.event_name()) {
            continue;
        }
        let (pallet, name) = (event.pallet_name().to_owned(), event.event_name().to_owned());
        let fields = event.decode_fields_unchecked_as::<Composite<()>>();
        let fields = fields.map_err(|_| malformed(&format!("event {pallet}.{name}")))?;
        found.push(Happened { pallet, name, fields });
    }
    Ok(found)
}

fn judged(
    metadata: &Metadata,
    block: BlockNumber,
    hash: BlockHash,
    events: Vec<Happened>,
) -> Result<Result<Inclusion, Rejection>, ChainError> {
    let find = |pallet: &str, name: &str| {
        events.iter().find(|event| event.pallet == pallet && event.name == name)
    };
    if let Some(failed) = find("System", "ExtrinsicFailed") {
        let error = failed.field("dispatch_error", 0);
        let error = error.ok_or_else(|| malformed("event System.ExtrinsicFailed"))?;
        return Ok(Err(rejection(metadata, error)));
    }
    if find("System", "ExtrinsicSuccess").is_none() {
        return Err(malformed("System.Events: neither success nor failure"));
    }
    let paid = find("TransactionPayment", "TransactionFeePaid");
    let fee = paid.and_then(|paid| paid.field("actual_fee", 1)).and_then(integer);
    Ok(Ok(Inclusion {
        block,
        hash,
        network_fee: Planck(fee.unwrap_or_default()),
        fixed_fee: Planck::ZERO,
        shown: Shown::Events(events),
        earlier: false,
    }))
}

/// What a dispatch error (`sp_runtime::DispatchError`) says, by the names of its pallet and error.
fn rejection(metadata: &Metadata, error: &Value) -> Rejection {
    let kind = variant(error).unwrap_or("Unknown");
    if kind != "Module" {
        // Token, Arithmetic and the like have a kind of their own within.
        let inner = error.at(0).and_then(variant).map(|inner| format!(".{inner}"));
        return Rejection::Other(format!("{kind}{}", inner.unwrap_or_default()));
    }
    // `ModuleError { index, error }`, also where the variant itself has its fields.
    let module = error.at(0).filter(|inner| inner.at("index").is_some()).unwrap_or(error);
    let index = module.at("index").and_then(integer).and_then(|index| u8::try_from(index).ok());
    let within = module.at("error").and_then(|error| match &error.value {
        // The first of four bytes; one byte in old runtimes.
        ValueDef::Composite(bytes) => bytes.values().next().and_then(integer),
        _ => integer(error),
    });
    let within = within.and_then(|within| u8::try_from(within).ok());
    let (Some(index), Some(within)) = (index, within) else {
        return Rejection::Other("Module".to_owned());
    };
    let pallet = metadata.pallet_by_error_index(index);
    let name = pallet.as_ref().and_then(|pallet| pallet.error_variant_by_index(within));
    match (pallet, name) {
        (Some(pallet), Some(name)) => named(pallet.name(), &name.name),
        _ => Rejection::Other(format!("Module {index}.{within}")),
    }
}

/// The refusal of a pallet by the name of its error.
fn named(pallet: &str, error: &str) -> Rejection {
    let known = match error {
        "Unknown" => Rejection::Unknown,
        "GPUNotEnough" => Rejection::GpuNotEnough,
        "OnlyHalfHourAllowed" => Rejection::OnlyHalfHourAllowed,
        "MachineNotRentable" => Rejection::MachineNotRentable,
        "OutOfRentalSchedule" => Rejection::OutOfRentalSchedule,
        "PayTxFeeFailed" => Rejection::PayTxFeeFailed,
        "InsufficientValue" => Rejection::InsufficientValue,
        "ExpiredConfirm" => Rejection::ExpiredConfirm,
        "NoOrderExist" => Rejection::NoOrderExist,
        "NotMachineRenter" => Rejection::NotMachineRenter,
        "StatusNotAllowed" => Rejection::StatusNotAllowed,
        "ReletTooShort" => Rejection::ReletTooShort,
        "GetMachinePriceFailed" => Rejection::GetMachinePriceFailed,
        _ => return Rejection::Other(format!("{pallet}.{error}")),
    };
    // Other pallets have errors of the same names that mean something else.
    if pallet == "RentMachine" { known } else { Rejection::Other(format!("{pallet}.{error}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::metadata;

    fn module(index: u8, error: Value) -> Value {
        let inner =
            Value::named_composite([("index", Value::u128(index.into())), ("error", error)]);
        Value::unnamed_variant("Module", [inner])
    }

    fn number(value: u128) -> Value {
        Value::u128(value)
    }

    #[test]
    fn errors_of_the_pallet_are_known_by_their_names() {
        let metadata = metadata(|_| ());
        let pallet = metadata.pallet_by_name("RentMachine").unwrap();
        let mut known = 0;
        for error in pallet.error_variants().unwrap() {
            let bytes = Value::from_bytes([error.index, 0, 0, 0]);
            let found = rejection(&metadata, &module(111, bytes));
            // Old runtimes have one byte.
            assert_eq!(rejection(&metadata, &module(111, number(error.index.into()))), found);
            match found {
                Rejection::Other(name) => assert_eq!(name, format!("RentMachine.{}", error.name)),
                named => {
                    known += 1;
                    let name = format!("{named:?}").to_lowercase();
                    assert_eq!(name, error.name.to_lowercase());
                }
            }
        }
        assert_eq!(known, 13);
    }

    #[test]
    fn errors_of_others_are_told_apart_even_by_the_same_name() {
        let metadata = metadata(|_| ());
        let of = |index, error: u8| {
            rejection(&metadata, &module(index, Value::from_bytes([error, 0, 0, 0])))
        };
        assert_eq!(of(107, 0), Rejection::Other("OnlineProfile.NotMachineController".to_owned()));
        assert_eq!(of(107, 1), Rejection::Other("OnlineProfile.Unknown".to_owned()));
        assert_eq!(of(107, 9), Rejection::Other("Module 107.9".to_owned()));
        assert_eq!(of(42, 0), Rejection::Other("Module 42.0".to_owned()));
        let token = Value::unnamed_variant("Token", [Value::unnamed_variant("Frozen", [])]);
        assert_eq!(rejection(&metadata, &token), Rejection::Other("Token.Frozen".to_owned()));
        let origin = Value::unnamed_variant("BadOrigin", []);
        assert_eq!(rejection(&metadata, &origin), Rejection::Other("BadOrigin".to_owned()));
        assert_eq!(rejection(&metadata, &number(1)), Rejection::Other("Unknown".to_owned()));
    }

    fn event_of(pallet: &str, name: &str, fields: Composite<()>) -> Happened {
        Happened { pallet: pallet.to_owned(), name: name.to_owned(), fields }
    }

    #[test]
    fn a_call_that_reports_success_is_proven_by_its_event_alone() {
        let metadata = metadata(|_| ());
        let (block, hash) = (BlockNumber(5), BlockHash([5; 32]));
        let fee = Composite::named([("who", number(0)), ("actual_fee", number(7))]);
        let fee = event_of("TransactionPayment", "TransactionFeePaid", fee);
        let success = event_of("System", "ExtrinsicSuccess", Composite::Unnamed(Vec::new()));
        let rent = event_of("RentMachine", "Rent", Composite::unnamed([number(77)]));
        let judge = |events: &[&Happened]| {
            judged(&metadata, block, hash, events.iter().map(|event| (*event).clone()).collect())
        };
        let order = |event: &Happened| event.whole::<u64>("rent_id", 0);
        let done = judge(&[&rent, &fee, &success]).unwrap().unwrap();
        let proven = done.proven("RentMachine", "Rent", order).unwrap();
        assert_eq!((proven.event, proven.network_fee, proven.block), (77, Planck(7), block));
        let nothing = judge(&[&fee, &success]).unwrap().unwrap();
        assert_eq!(nothing.proven("RentMachine", "Rent", order), Err(CallError::NoEvent));
        assert!(judge(&[&rent]).is_err(), "neither success nor failure");
        let error =
            Composite::named([("dispatch_error", module(111, Value::from_bytes([14, 0, 0, 0])))]);
        let failed = event_of("System", "ExtrinsicFailed", error);
        assert_eq!(judge(&[&fee, &failed]), Ok(Err(Rejection::Unknown)));
    }

    #[test]
    fn fields_are_read_by_name_or_place_and_never_cut() {
        let wrapped = Value::unnamed_composite([Value::from_bytes([9; 32])]);
        let event =
            event_of("P", "E", Composite::named([("who", wrapped), ("n", number(1 << 40))]));
        assert_eq!(event.account("who", 5), Ok([9; 32]));
        assert_eq!(event.whole::<u64>("n", 5), Ok(1 << 40));
        assert!(event.whole::<u32>("n", 5).is_err(), "it does not fit");
        assert!(event.number("other", 1).is_err(), "named fields have no places");
    }
}
