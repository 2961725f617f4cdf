//! The model as one wallet sees it.

use async_trait::async_trait;
use session::rental::{
    AccountId, At, Balance, CallError, ChainError, ChainIdentity, ChainLimits, Confirmed, Heads,
    Machine, MachineId, Order, OrderStatus, Planck, PriceInputs, Proven, Rejection, Relet, RentId,
    RentalChain, Rented, Reported, Seen, Transferred,
};

use crate::contract::Wallet;
use crate::model::{CONFIRM_WINDOW, ModelChain, NETWORK_FEE, State};

/// The model, and who signs.
pub(crate) struct ModelWallet {
    chain: ModelChain,
    account: Option<AccountId>,
}

impl ModelWallet {
    pub(crate) fn new(chain: ModelChain, wallet: Wallet) -> Self {
        let account = (wallet != Wallet::Nobody).then(|| chain.wallet(wallet));
        Self { chain, account }
    }

    fn read<T>(&self, at: At, read: impl FnOnce(&State) -> T) -> Seen<T> {
        let inner = self.chain.lock();
        let state = match at {
            At::Best => inner.best(),
            At::Finalized => inner.finalized(),
        };
        Seen { head: state.head, value: read(state) }
    }

    /// Sends a call of which `predicted` leaves the wallet or is held, the network's fee included, if that is within the
    /// ceiling and the wallet has it. The call is in the next block, and what it answers is what its event says.
    fn call<T>(
        &self,
        cost: Planck,
        ceiling: Planck,
        call: impl FnOnce(&mut State, AccountId) -> Result<Option<T>, Rejection>,
    ) -> Result<Proven<T>, CallError> {
        let account =
            self.account.ok_or_else(|| CallError::Unsigned("there is no key".to_owned()))?;
        let predicted = cost.checked_add(NETWORK_FEE).unwrap_or(Planck(u128::MAX));
        self.affordable(account, predicted, ceiling)?;
        let mut inner = self.chain.lock();
        let (head, event) = inner.block(|state| {
            state.pay(account, None, NETWORK_FEE);
            let mut after = state.clone();
            let event = call(&mut after, account);
            if event.is_ok() {
                *state = after;
            }
            (state.head, event)
        });
        match event? {
            Some(event) => {
                Ok(Proven { block: head.number, hash: head.hash, network_fee: NETWORK_FEE, event })
            }
            None => Err(CallError::NoEvent),
        }
    }

    fn affordable(
        &self,
        account: AccountId,
        predicted: Planck,
        ceiling: Planck,
    ) -> Result<(), CallError> {
        if predicted > ceiling {
            return Err(CallError::AboveCeiling { predicted, ceiling });
        }
        let has = self.read(At::Best, |state| state.balances.get(&account).copied());
        let has = has.value.unwrap_or_default().free;
        if has < predicted {
            return Err(CallError::EmptyWallet { has, needs: predicted });
        }
        Ok(())
    }
}

#[async_trait]
impl RentalChain for ModelWallet {
    fn identity(&self) -> ChainIdentity {
        let genesis = self.chain.lock().genesis;
        ChainIdentity { genesis, spec_version: 411, defaults: Vec::new() }
    }

    fn account(&self) -> Option<AccountId> {
        self.account
    }

    async fn limits(&self, at: At) -> Result<Seen<ChainLimits>, ChainError> {
        Ok(self.read(at, |state| state.limits))
    }

    async fn machine(&self, at: At, id: &MachineId) -> Result<Seen<Option<Machine>>, ChainError> {
        Ok(self.read(at, |state| state.machine.clone().filter(|machine| machine.id == *id)))
    }

    async fn orders_of_machine(
        &self,
        at: At,
        id: &MachineId,
    ) -> Result<Seen<Vec<Order>>, ChainError> {
        let of_it = |(order, _): &&(Order, Planck)| order.machine == *id;
        Ok(self.read(at, |state| {
            state.orders.values().filter(of_it).map(|(order, _)| order.clone()).collect()
        }))
    }

    async fn orders_of_renter(
        &self,
        at: At,
        renter: &AccountId,
    ) -> Result<Seen<Vec<Order>>, ChainError> {
        let of_him = |(order, _): &&(Order, Planck)| order.renter == *renter;
        Ok(self.read(at, |state| {
            state.orders.values().filter(of_him).map(|(order, _)| order.clone()).collect()
        }))
    }

    async fn order(&self, at: At, id: RentId) -> Result<Seen<Option<Order>>, ChainError> {
        Ok(self.read(at, |state| state.orders.get(&id).map(|(order, _)| order.clone())))
    }

    async fn price_inputs(
        &self,
        at: At,
        id: &MachineId,
    ) -> Result<Seen<Option<PriceInputs>>, ChainError> {
        let is_it = |state: &State| state.machine.as_ref().is_some_and(|machine| machine.id == *id);
        Ok(self.read(at, |state| is_it(state).then_some(state.price)))
    }

    async fn balance(&self, at: At, account: &AccountId) -> Result<Seen<Balance>, ChainError> {
        Ok(self.read(at, |state| state.balances.get(account).copied().unwrap_or_default()))
    }

    fn heads(&self) -> Heads {
        self.chain.listen()
    }

    async fn rent(
        &self,
        machine: &MachineId,
        gpus: u32,
        blocks: u32,
        ceiling: Planck,
    ) -> Result<Proven<Rented>, CallError> {
        let (price, limits) = self.read(At::Best, |state| (state.price, state.limits)).value;
        let quote = price.quote(gpus, blocks.min(limits.longest))?;
        let proven = self.call(quote.total, ceiling, |state, renter| {
            let rented = state.rent(renter, machine, gpus, blocks)?;
            Ok(rented.map(|(rent_id, blocks, fee)| Rented { rent_id, gpus, blocks, fee }))
        })?;
        let Rented { rent_id, fee, .. } = proven.event;
        let paid = fee.checked_add(limits.fixed_fee).and_then(|paid| paid.checked_add(NETWORK_FEE));
        if paid.is_none_or(|paid| paid > ceiling) {
            return Err(CallError::CameAboveCeiling { rent_id, fee, ceiling });
        }
        Ok(proven)
    }

    async fn confirm(
        &self,
        order: RentId,
        ceiling: Planck,
    ) -> Result<Proven<Confirmed>, CallError> {
        let seen = self.read(At::Best, |state| state.orders.get(&order).map(|it| it.0.clone()));
        let found = seen.value.ok_or(CallError::NoOrder(order))?;
        let late = seen.head.number >= found.start.after(CONFIRM_WINDOW);
        if found.status == OrderStatus::Waiting && late {
            return Err(Rejection::ExpiredConfirm.into());
        }
        self.call(Planck::ZERO, ceiling, |state, renter| {
            state.confirm(renter, order).map(|fee| Some(Confirmed { rent_id: order, fee }))
        })
    }

    async fn relet(
        &self,
        order: RentId,
        blocks: u32,
        ceiling: Planck,
    ) -> Result<Proven<Relet>, CallError> {
        let (price, gpus) = self
            .read(At::Best, |state| {
                let gpus = state.orders.get(&order).map(|(order, _)| order.slots.count() as u32);
                (state.price, gpus)
            })
            .value;
        let cost = price.relet(gpus.ok_or(CallError::NoOrder(order))?, blocks)?.total;
        self.call(cost, ceiling, |state, renter| {
            let relet = state.relet(renter, order, blocks)?;
            Ok(relet.map(|(added, fee)| Relet { rent_id: order, added, fee }))
        })
    }

    async fn transfer_keep_alive(
        &self,
        to: &AccountId,
        amount: Planck,
        ceiling: Planck,
    ) -> Result<Proven<Transferred>, CallError> {
        let account =
            self.account.ok_or_else(|| CallError::Unsigned("there is no key".to_owned()))?;
        // The ceiling is for the network's fee; the amount is what was asked for.
        self.affordable(account, NETWORK_FEE, ceiling)?;
        let all = amount.checked_add(NETWORK_FEE).unwrap_or(Planck(u128::MAX));
        self.affordable(account, all, all)?;
        self.call(amount, all, |state, from| {
            state.pay(from, Some(*to), amount);
            Ok(Some(Transferred { to: *to, amount }))
        })
    }

    async fn report_online(
        &self,
        machine: &MachineId,
        ceiling: Planck,
    ) -> Result<Proven<Reported>, CallError> {
        self.call(Planck::ZERO, ceiling, |state, who| {
            state.report(who, machine, true).map(|()| Some(Reported { machine: *machine }))
        })
    }

    async fn report_offline(
        &self,
        machine: &MachineId,
        ceiling: Planck,
    ) -> Result<Proven<Reported>, CallError> {
        self.call(Planck::ZERO, ceiling, |state, who| {
            state.report(who, machine, false).map(|()| Some(Reported { machine: *machine }))
        })
    }
}
