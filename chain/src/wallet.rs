//! The chain as one account sees it.

use std::sync::{Arc, Mutex as Lock, PoisonError};

use async_trait::async_trait;
use keys::{Signer, development};
use ledger::{Ledger, LedgerError};
use session::rental::{
    AccountId, At, Balance, CallError, ChainError, ChainIdentity, ChainLimits, Confirmed, Heads,
    Machine, MachineId, Order, OrderStatus, Planck, PriceInputs, Proven, Rejection, Relet, RentId,
    RentalChain, Rented, Reported, Seen, Transferred,
};
use subxt::dynamic::Value;
use subxt::ext::scale_value::Composite;
use thiserror::Error;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::call::{Account, Plan};
use crate::client::Chain;
use crate::era::LIFE;
use crate::keeper::{self, Keeper, Kept, Outcome, Resumed};
use crate::proof::Inclusion;

/// Why an account cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WalletError {
    /// Everybody can sign with its key.
    #[error(
        "the key is the well-known development key {0:?}, and this is not the chain of development that is configured"
    )]
    Development(&'static str),
    /// What it has on its way cannot be read.
    #[error(transparent)]
    Outbox(#[from] LedgerError),
}

/// The chain, and perhaps an account that calls it. Clones are one account.
#[derive(Clone)]
pub struct Wallet {
    chain: Chain,
    signing: Option<Arc<Signing>>,
}

struct Signing {
    account: Account,
    keeper: JoinHandle<()>,
    resumed: Lock<Vec<(String, oneshot::Receiver<Outcome>)>>,
}

impl Drop for Signing {
    fn drop(&mut self) {
        // What is not over is in the outbox.
        self.keeper.abort();
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wallet({:?})", self.account())
    }
}

impl Wallet {
    pub(crate) fn reader(chain: Chain) -> Self {
        Self { chain, signing: None }
    }

    pub(crate) async fn open(
        chain: Chain,
        signer: Arc<dyn Signer>,
        outbox: Ledger,
    ) -> Result<Self, WalletError> {
        let id = signer.account();
        let genesis = chain.identity().genesis;
        if let Some(name) = development::name_of(&id)
            && chain.shared().options.development != Some(genesis)
        {
            return Err(WalletError::Development(name));
        }
        let (calls, queue) = mpsc::channel(keeper::CALLS);
        let keeper = Keeper::new(Arc::clone(chain.shared()), id, outbox.clone());
        let left = outbox.outgoing().await?;
        let left = left.into_iter().filter(|call| call.account == id && !call.state.is_last());
        let keeper = tokio::spawn(keeper.run(queue));
        let mut resumed = Vec::new();
        for call in left {
            let (answer, outcome) = oneshot::channel();
            resumed.push((call.purpose.clone(), outcome));
            let from = call.born.after(1);
            // The keeper takes them as they come; it ends with this wallet alone.
            let _ = calls.send(Kept { call, from, answer }).await;
        }
        let turn = Arc::new(Mutex::new(()));
        let account = Account { id, signer, outbox, calls, turn };
        let resumed = Lock::new(resumed);
        Ok(Self { chain, signing: Some(Arc::new(Signing { account, keeper, resumed })) })
    }

    /// What became of calls that an earlier process had signed and not seen the end of; waits until all of them are
    /// over, and yields each once.
    pub async fn resumed(&self) -> Vec<Resumed> {
        let Some(signing) = &self.signing else { return Vec::new() };
        let waiting = {
            let mut resumed = signing.resumed.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *resumed)
        };
        let mut over = Vec::new();
        for (purpose, outcome) in waiting {
            let outcome = outcome.await.unwrap_or(Err(CallError::Unproven));
            over.push(Resumed { purpose, outcome: outcome.map(|done| done.block) });
        }
        over
    }

    fn signing(&self) -> Result<&Account, CallError> {
        let none = || CallError::Unsigned("there is no key".to_owned());
        self.signing.as_ref().map(|signing| &signing.account).ok_or_else(none)
    }

    async fn call(&self, plan: Plan) -> Result<Inclusion, CallError> {
        self.signing()?.carry_out(self.chain.shared(), plan).await
    }

    async fn report(
        &self,
        machine: &MachineId,
        online: bool,
        ceiling: Planck,
    ) -> Result<Proven<Reported>, CallError> {
        let (name, event, purpose) = if online {
            ("controller_report_online", "ControllerReportOnline", "online")
        } else {
            ("controller_report_offline", "ControllerReportOffline", "offline")
        };
        let arguments = Composite::named([("machine_id", text(machine))]);
        let plan = Plan {
            pallet: "OnlineProfile",
            name,
            arguments,
            purpose: purpose.to_owned(),
            cost: Planck::ZERO,
            ceiling,
            beside: Planck::ZERO,
            deadline: None,
        };
        let read = |event: &crate::proof::Happened| {
            Ok(Reported { machine: event.machine("machine_id", 0)? })
        };
        self.call(plan).await?.proven("OnlineProfile", event, read)
    }
}

fn text(machine: &MachineId) -> Value {
    Value::from_bytes(machine.to_string())
}

fn order_argument(order: RentId) -> (&'static str, Value) {
    ("rent_id", Value::u128(order.0.into()))
}

#[async_trait]
impl RentalChain for Wallet {
    fn identity(&self) -> ChainIdentity {
        self.chain.identity()
    }

    fn account(&self) -> Option<AccountId> {
        self.signing.as_ref().map(|signing| signing.account.id)
    }

    async fn limits(&self, at: At) -> Result<Seen<ChainLimits>, ChainError> {
        self.chain.read(at, |block| async move { block.limits().await }).await
    }

    async fn machine(&self, at: At, id: &MachineId) -> Result<Seen<Option<Machine>>, ChainError> {
        self.chain.read(at, |block| async move { block.machine(id).await }).await
    }

    async fn orders_of_machine(
        &self,
        at: At,
        id: &MachineId,
    ) -> Result<Seen<Vec<Order>>, ChainError> {
        self.chain.read(at, |block| async move { block.orders_of_machine(id).await }).await
    }

    async fn orders_of_renter(
        &self,
        at: At,
        renter: &AccountId,
    ) -> Result<Seen<Vec<Order>>, ChainError> {
        self.chain.read(at, |block| async move { block.orders_of_renter(renter).await }).await
    }

    async fn order(&self, at: At, id: RentId) -> Result<Seen<Option<Order>>, ChainError> {
        self.chain.read(at, |block| async move { block.order(id).await }).await
    }

    async fn price_inputs(
        &self,
        at: At,
        id: &MachineId,
    ) -> Result<Seen<Option<PriceInputs>>, ChainError> {
        self.chain.read(at, |block| async move { block.price_inputs(id).await }).await
    }

    async fn balance(&self, at: At, account: &AccountId) -> Result<Seen<Balance>, ChainError> {
        let read = |block: Arc<crate::block::Block>| async move {
            Ok(block.account(account).await?.balance)
        };
        self.chain.read(at, read).await
    }

    fn heads(&self) -> Heads {
        self.chain.shared().heads()
    }

    async fn rent(
        &self,
        machine: &MachineId,
        gpus: u32,
        blocks: u32,
        ceiling: Planck,
    ) -> Result<Proven<Rented>, CallError> {
        self.signing()?;
        let read = |block: Arc<crate::block::Block>| async move {
            Ok((block.price_inputs(machine).await?, block.limits().await?))
        };
        let (price, limits) = self.chain.read(At::Best, read).await?.value;
        // What is not there has no price to hold a ceiling against.
        let price = price.ok_or(Rejection::Unknown)?;
        let quote = price.quote(gpus, blocks.min(limits.longest))?;
        let arguments = Composite::named([
            ("machine_id", text(machine)),
            ("rent_gpu_num", Value::u128(gpus.into())),
            ("duration", Value::u128(blocks.into())),
        ]);
        let plan = Plan {
            pallet: "RentMachine",
            name: "rent_machine",
            arguments,
            purpose: "rent".to_owned(),
            cost: quote.total,
            ceiling,
            beside: Planck::ZERO,
            deadline: None,
        };
        let proven = self.call(plan).await?.proven("RentMachine", "Rent", |event| {
            Ok(Rented {
                rent_id: RentId(event.whole("rent_id", 0)?),
                gpus: event.whole("gpu_num", 3)?,
                blocks: event.whole("duration", 4)?,
                fee: Planck(event.number("fee", 5)?),
            })
        })?;
        let Rented { rent_id, fee, .. } = proven.event;
        let all = fee.checked_add(quote.fixed).and_then(|all| all.checked_add(proven.network_fee));
        if all.is_none_or(|all| all > ceiling) {
            return Err(CallError::CameAboveCeiling { rent_id, fee, ceiling });
        }
        Ok(proven)
    }

    async fn confirm(
        &self,
        order: RentId,
        ceiling: Planck,
    ) -> Result<Proven<Confirmed>, CallError> {
        self.signing()?;
        let read = |block: Arc<crate::block::Block>| async move {
            Ok((block.order(order).await?, block.limits().await?))
        };
        let seen = self.chain.read(At::Best, read).await?;
        let (found, limits) = seen.value;
        let found = found.ok_or(CallError::NoOrder(order))?;
        let deadline = found.start.after(limits.confirm_window);
        // It is of no use in any block to come, and would cost the network's fee.
        if found.status == OrderStatus::Waiting && seen.head.number >= deadline {
            return Err(Rejection::ExpiredConfirm.into());
        }
        let plan = Plan {
            pallet: "RentMachine",
            name: "confirm_rent",
            arguments: Composite::named([order_argument(order)]),
            purpose: format!("confirm/{order}"),
            cost: Planck::ZERO,
            ceiling,
            beside: Planck::ZERO,
            deadline: Some(deadline),
        };
        self.call(plan).await?.proven("RentMachine", "ConfirmRent", |event| {
            let rent_id = RentId(event.whole("rent_id", 0)?);
            Ok(Confirmed { rent_id, fee: Planck(event.number("fee", 5)?) })
        })
    }

    async fn relet(
        &self,
        order: RentId,
        blocks: u32,
        ceiling: Planck,
    ) -> Result<Proven<Relet>, CallError> {
        self.signing()?;
        let read = |block: Arc<crate::block::Block>| async move {
            let Some(found) = block.order(order).await? else { return Ok(None) };
            let price = block.price_inputs(&found.machine).await?;
            Ok(Some((found, price)))
        };
        let seen = self.chain.read(At::Best, read).await?;
        let (found, price) = seen.value.ok_or(CallError::NoOrder(order))?;
        // Without its machine there is no price to hold a ceiling against.
        let price = price.ok_or(Rejection::Unknown)?;
        let limits = self.chain.read(At::Best, |block| async move { block.limits().await }).await?;
        // As far as the chain may cut it, whenever in its life the call is included.
        let end = seen.head.number.after(LIFE).after(limits.value.longest);
        let added = blocks.min(end.since(found.end));
        let plan = Plan {
            pallet: "RentMachine",
            name: "relet_machine",
            arguments: Composite::named([
                order_argument(order),
                ("relet_duration", Value::u128(blocks.into())),
            ]),
            purpose: format!("relet/{order}"),
            cost: price.relet(found.slots.count() as u32, added)?.total,
            ceiling,
            beside: Planck::ZERO,
            deadline: Some(found.end),
        };
        let proven = self.call(plan).await?.proven("RentMachine", "Relet", |event| {
            Ok(Relet {
                rent_id: RentId(event.whole("rent_id", 0)?),
                added: event.whole("duration", 4)?,
                fee: Planck(event.number("fee", 5)?),
            })
        })?;
        let paid = proven.event.fee.checked_add(proven.network_fee);
        if paid.is_none_or(|paid| paid > ceiling) {
            // It is paid at once, and the chain's call has no most: nothing can be taken back.
            tracing::warn!(%order, fee = %proven.event.fee, %ceiling, "an order was prolonged above its ceiling");
        }
        Ok(proven)
    }

    async fn transfer_keep_alive(
        &self,
        to: &AccountId,
        amount: Planck,
        ceiling: Planck,
    ) -> Result<Proven<Transferred>, CallError> {
        let arguments = Composite::named([
            ("dest", Value::unnamed_variant("Id", [Value::from_bytes(to.0)])),
            ("value", Value::u128(amount.0)),
        ]);
        let plan = Plan {
            pallet: "Balances",
            name: "transfer_keep_alive",
            arguments,
            purpose: "transfer".to_owned(),
            cost: Planck::ZERO,
            ceiling,
            beside: amount,
            deadline: None,
        };
        self.call(plan).await?.proven("Balances", "Transfer", |event| {
            let to = AccountId(event.account("to", 1)?);
            Ok(Transferred { to, amount: Planck(event.number("amount", 2)?) })
        })
    }

    async fn report_online(
        &self,
        machine: &MachineId,
        ceiling: Planck,
    ) -> Result<Proven<Reported>, CallError> {
        self.report(machine, true, ceiling).await
    }

    async fn report_offline(
        &self,
        machine: &MachineId,
        ceiling: Planck,
    ) -> Result<Proven<Reported>, CallError> {
        self.report(machine, false, ceiling).await
    }
}
