//! The chain as one account sees it.

use std::sync::Arc;

use async_trait::async_trait;
use keys::{Signer, development};
use ledger::{Ledger, LedgerError};
use session::rental::{
    AccountId, At, Balance, BlockNumber, CallError, ChainError, ChainIdentity, ChainLimits,
    Confirmed, Heads, Machine, MachineId, Made, Order, PaymentPage, Planck, PriceInputs, Proven,
    Relet, RentId, RentalChain, Rented, Reported, Schedule, Seen, Transferred,
};
use thiserror::Error;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::block::Block;
use crate::call::{Account, Plan};
use crate::client::Chain;
use crate::keeper::{self, Keeper, Kept, Resumed};
use crate::link::Link;
use crate::paid;
use crate::plans::plan_transfer;
use crate::proof::{Happened, Inclusion};
use crate::signing::{Earlier, Signing};

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
    pub(crate) chain: Chain,
    signing: Option<Arc<Signing>>,
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
        let left = outbox.outgoing().await?;
        let left = left.into_iter().filter(|call| call.account == id && !call.state.is_last());
        let (mut earlier, mut all) = (Vec::new(), Vec::new());
        for call in left {
            let (answer, settled) = oneshot::channel();
            earlier.push(Earlier::new(call.purpose.clone(), settled));
            all.push(Kept::restore(&outbox, call, answer).await?);
        }
        // Only now: none is sent where one cannot be read.
        let (calls, queue) = mpsc::channel(keeper::CALLS);
        let keeper = Keeper::new(Arc::clone(chain.shared()), id, outbox.clone());
        let keeper = tokio::spawn(keeper.run(queue));
        for kept in all {
            // The keeper takes them as they come; it ends with this wallet alone.
            let _ = calls.send(kept).await;
        }
        let turn = Arc::new(Mutex::new(()));
        let account = Account { id, signer, outbox, calls, turn };
        let signing = Signing::new(account, keeper, earlier);
        Ok(Self { chain, signing: Some(Arc::new(signing)) })
    }

    /// What became of calls that an earlier process had signed and not told the end of; waits until all of them are over, and
    /// yields each once. Those that did their work are yet the answer to the next call in the same words.
    pub async fn resumed(&self) -> Vec<Resumed> {
        match &self.signing {
            Some(signing) => signing.resumed().await,
            None => Vec::new(),
        }
    }

    /// To be called when whoever asked knows what came of all calls so far: processes that come after this one take them for
    /// told, and make them anew when asked to.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub async fn told(&self) -> Result<(), LedgerError> {
        match &self.signing {
            Some(signing) => signing.told().await,
            None => Ok(()),
        }
    }

    pub(crate) fn signing(&self) -> Result<&Signing, CallError> {
        let none = || CallError::Unsigned("there is no key".to_owned());
        self.signing.as_deref().ok_or_else(none)
    }

    async fn call(&self, plan: Plan) -> Result<Inclusion, CallError> {
        let signing = self.signing()?;
        signing.know(signing.account.carry_out(self.chain.shared(), plan).await?)
    }

    async fn report(
        &self,
        machine: &MachineId,
        online: bool,
        ceiling: Planck,
    ) -> Result<Proven<Reported>, CallError> {
        let (name, event, purpose) = if online {
            ("controller_report_online", "ControllerReportOnline", format!("online/{machine}"))
        } else {
            ("controller_report_offline", "ControllerReportOffline", format!("offline/{machine}"))
        };
        let done = match self.signing()?.done_before(&purpose).await? {
            Some(done) => done,
            None => {
                let plan = self.plan_report(machine, online, name, ceiling, purpose).await?;
                self.call(plan).await?
            }
        };
        let read = |event: &Happened| Ok(Reported { machine: event.machine("machine_id", 0)? });
        done.proven("OnlineProfile", event, read)
    }
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

    async fn schedule(&self, at: At, id: &MachineId) -> Result<Seen<Schedule>, ChainError> {
        self.chain.read(at, |block| async move { block.schedule(id).await }).await
    }

    async fn payments(
        &self,
        machine: &MachineId,
        order: RentId,
        until: BlockNumber,
        blocks: u32,
    ) -> Result<PaymentPage, ChainError> {
        let work = |link: Arc<Link>| async move {
            paid::payments(&link, machine, order, until, blocks).await
        };
        self.chain.shared().on_link(work).await
    }

    async fn last_end(
        &self,
        machine: &MachineId,
        renter: &AccountId,
        order: RentId,
    ) -> Result<Seen<Option<BlockNumber>>, ChainError> {
        let read = |block: Arc<Block>| async move {
            let ends = block.ends(machine, renter, order).await?;
            Ok(ends.into_iter().max())
        };
        self.chain.read(At::Finalized, read).await
    }

    async fn confirmed_since(
        &self,
        machine: &MachineId,
        since: BlockNumber,
    ) -> Result<Seen<Vec<Made>>, ChainError> {
        let read = |block: Arc<Block>| async move { block.confirmed_since(machine, since).await };
        self.chain.read(At::Finalized, read).await
    }

    async fn balance(&self, at: At, account: &AccountId) -> Result<Seen<Balance>, ChainError> {
        let read = |block: Arc<Block>| async move { Ok(block.account(account).await?.balance) };
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
        let purpose = format!("rent/{machine}/{gpus}/{blocks}");
        let done = match self.signing()?.done_before(&purpose).await? {
            Some(done) => done,
            None => {
                let plan = self.plan_rent(machine, gpus, blocks, ceiling, purpose).await?;
                self.call(plan).await?
            }
        };
        let proven = done.proven("RentMachine", "Rent", |event| {
            Ok(Rented {
                rent_id: RentId(event.whole("rent_id", 0)?),
                gpus: event.whole("gpu_num", 3)?,
                blocks: event.whole("duration", 4)?,
                fee: Planck(event.number("fee", 5)?),
                fixed: done.fixed_fee(),
            })
        })?;
        let Rented { rent_id, fee, fixed, .. } = proven.event;
        let all = fee.checked_add(fixed).and_then(|all| all.checked_add(proven.network_fee));
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
        let purpose = format!("confirm/{order}");
        let done = match self.signing()?.done_before(&purpose).await? {
            Some(done) => done,
            None => self.call(self.plan_confirm(order, ceiling, purpose).await?).await?,
        };
        done.proven("RentMachine", "ConfirmRent", |event| {
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
        let purpose = format!("relet/{order}/{blocks}");
        let done = match self.signing()?.done_before(&purpose).await? {
            Some(done) => done,
            None => self.call(self.plan_relet(order, blocks, ceiling, purpose).await?).await?,
        };
        let proven = done.proven("RentMachine", "Relet", |event| {
            Ok(Relet {
                rent_id: RentId(event.whole("rent_id", 0)?),
                added: event.whole("duration", 4)?,
                fee: Planck(event.number("fee", 5)?),
            })
        });
        let proven = proven.map_err(|error| match error {
            CallError::DoneBefore { block, .. } => CallError::ProlongedSince { block, order },
            error => error,
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
        let purpose = format!("transfer/{}/{amount}", keys::to_hex(&to.0));
        let done = match self.signing()?.done_before(&purpose).await? {
            Some(done) => done,
            None => self.call(plan_transfer(to, amount, ceiling, purpose)).await?,
        };
        done.proven("Balances", "Transfer", |event| {
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
