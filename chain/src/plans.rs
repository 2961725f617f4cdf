//! What a call will be, and whether it is of use: all of it read at the best block, before anything is signed.

use std::sync::Arc;

use session::rental::{AccountId, At, CallError, Futile, MachineId, Planck, RentId, futile};
use subxt::dynamic::Value;
use subxt::ext::scale_value::Composite;

use crate::block::Block;
use crate::call::Plan;
use crate::wallet::Wallet;

impl Wallet {
    pub(crate) async fn plan_rent(
        &self,
        machine: &MachineId,
        gpus: u32,
        blocks: u32,
        ceiling: Planck,
        purpose: String,
    ) -> Result<Plan, CallError> {
        let read = |block: Arc<Block>| async move {
            let (found, price) =
                (block.machine(machine).await?, block.price_inputs(machine).await?);
            Ok((found.zip(price), block.limits().await?, block.schedule(machine).await?))
        };
        let seen = self.chain.read(At::Best, read).await?;
        let (found, limits, schedule) = seen.value;
        // What is not there has no price to hold a ceiling against.
        let (found, price) = found.ok_or(Futile::NoMachine(*machine))?;
        futile::rent(&found, &limits, gpus, blocks)?;
        let deadline = futile::hours(&schedule, &seen.head, blocks)?;
        let arguments = Composite::named([
            ("machine_id", text(machine)),
            ("rent_gpu_num", Value::u128(gpus.into())),
            ("duration", Value::u128(blocks.into())),
        ]);
        Ok(Plan {
            pallet: "RentMachine",
            name: "rent_machine",
            arguments,
            purpose,
            cost: price.quote(gpus, blocks)?.total,
            ceiling,
            beside: Planck::ZERO,
            deadline,
        })
    }

    pub(crate) async fn plan_confirm(
        &self,
        order: RentId,
        ceiling: Planck,
        purpose: String,
    ) -> Result<Plan, CallError> {
        let account = self.signing()?.account.id;
        let read = |block: Arc<Block>| async move {
            let Some(found) = block.order(order).await? else { return Ok(None) };
            let machine = block.machine(&found.machine).await?;
            Ok(Some((found, machine, block.limits().await?)))
        };
        let seen = self.chain.read(At::Best, read).await?;
        let (found, machine, limits) = seen.value.ok_or(CallError::NoOrder(order))?;
        futile::confirm(&found, machine.as_ref(), &limits, &account, seen.head.number)?;
        Ok(Plan {
            pallet: "RentMachine",
            name: "confirm_rent",
            arguments: Composite::named([order_argument(order)]),
            purpose,
            cost: Planck::ZERO,
            ceiling,
            beside: Planck::ZERO,
            deadline: Some(found.start.after(limits.confirm_window)),
        })
    }

    pub(crate) async fn plan_relet(
        &self,
        order: RentId,
        blocks: u32,
        ceiling: Planck,
        purpose: String,
    ) -> Result<Plan, CallError> {
        let account = self.signing()?.account.id;
        let read = |block: Arc<Block>| async move {
            let Some(found) = block.order(order).await? else { return Ok(None) };
            let price = block.price_inputs(&found.machine).await?;
            Ok(Some((found, price, block.limits().await?)))
        };
        let seen = self.chain.read(At::Best, read).await?;
        let (found, price, limits) = seen.value.ok_or(CallError::NoOrder(order))?;
        futile::relet(&found, &limits, &account, blocks, seen.head.number)?;
        // Without its machine there is no price to hold a ceiling against.
        let price = price.ok_or(Futile::NoMachine(found.machine))?;
        Ok(Plan {
            pallet: "RentMachine",
            name: "relet_machine",
            arguments: Composite::named([
                order_argument(order),
                ("relet_duration", Value::u128(blocks.into())),
            ]),
            purpose,
            cost: price.relet(found.slots.count() as u32, blocks)?.total,
            ceiling,
            beside: Planck::ZERO,
            // By this the keeper knows, too, what the order's end was, where it looks for what came of the call.
            deadline: Some(found.end),
        })
    }

    pub(crate) async fn plan_report(
        &self,
        machine: &MachineId,
        online: bool,
        name: &'static str,
        ceiling: Planck,
        purpose: String,
    ) -> Result<Plan, CallError> {
        let account = self.signing()?.account.id;
        let read = |block: Arc<Block>| async move { block.machine(machine).await };
        let found = self.chain.read(At::Best, read).await?.value;
        futile::report(&found.ok_or(Futile::NoMachine(*machine))?, &account, online)?;
        Ok(Plan {
            pallet: "OnlineProfile",
            name,
            arguments: Composite::named([("machine_id", text(machine))]),
            purpose,
            cost: Planck::ZERO,
            ceiling,
            beside: Planck::ZERO,
            deadline: None,
        })
    }
}

pub(crate) fn plan_transfer(
    to: &AccountId,
    amount: Planck,
    ceiling: Planck,
    purpose: String,
) -> Plan {
    let arguments = Composite::named([
        ("dest", Value::unnamed_variant("Id", [Value::from_bytes(to.0)])),
        ("value", Value::u128(amount.0)),
    ]);
    Plan {
        pallet: "Balances",
        name: "transfer_keep_alive",
        arguments,
        purpose,
        cost: Planck::ZERO,
        ceiling,
        beside: amount,
        deadline: None,
    }
}

fn text(machine: &MachineId) -> Value {
    Value::from_bytes(machine.to_string())
}

fn order_argument(order: RentId) -> (&'static str, Value) {
    ("rent_id", Value::u128(order.0.into()))
}
