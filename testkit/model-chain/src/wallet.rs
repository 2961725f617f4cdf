//! The model as one wallet sees it.

use async_trait::async_trait;
use session::rental::{
    AccountId, At, Balance, BlockNumber, CallError, ChainError, ChainIdentity, ChainLimits,
    Confirmed, Futile, Heads, Machine, MachineId, Made, Order, PaymentPage, Planck, PriceInputs,
    Proven, Rejection, Relet, RentId, RentalChain, Rented, Reported, Schedule, Seen, Transferred,
    futile,
};

use crate::contract::Wallet;
use crate::model::{ModelChain, NETWORK_FEE, State};

/// Blocks that are looked at for payments for one answer.
const PAGE: usize = 16;

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

    fn signer(&self) -> Result<AccountId, CallError> {
        self.account.ok_or_else(|| CallError::Unsigned("there is no key".to_owned()))
    }

    fn reports(&self, machine: &MachineId, online: bool) -> Result<(), CallError> {
        let found = self.read(At::Best, |state| state.machine(machine).cloned()).value;
        let found = found.ok_or(Futile::NoMachine(*machine))?;
        Ok(futile::report(&found, &self.signer()?, online)?)
    }

    /// Sends a call of which `predicted` leaves the wallet or is held, the network's fee included, if that is within the
    /// ceiling and the wallet has it. The call is in the next block, and what it answers is what its event says.
    fn call<T>(
        &self,
        cost: Planck,
        ceiling: Planck,
        call: impl FnOnce(&mut State, AccountId) -> Result<Option<T>, Rejection>,
    ) -> Result<Proven<T>, CallError> {
        let account = self.signer()?;
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
                let (block, hash, network_fee) = (head.number, head.hash, NETWORK_FEE);
                Ok(Proven { block, hash, network_fee, earlier: false, event })
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
        Ok(self.read(at, |state| state.machine(id).cloned()))
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

    async fn schedule(&self, at: At, id: &MachineId) -> Result<Seen<Schedule>, ChainError> {
        let of = |state: &State| state.machine(id).map(|_| state.schedule.clone());
        Ok(self.read(at, |state| of(state).unwrap_or_default()))
    }

    async fn payments(
        &self,
        _: &MachineId,
        order: RentId,
        until: BlockNumber,
        blocks: u32,
    ) -> Result<PaymentPage, ChainError> {
        let mut inner = self.chain.lock();
        let inner = &mut *inner;
        let last = until.min(inner.finalized);
        let states = inner.states.iter().rev().skip_while(|state| state.head.number > last);
        let mut page = PaymentPage::default();
        let mut covered = 0;
        for state in states.take(PAGE) {
            inner.read += 1;
            if inner.unread.is_some_and(|first| state.head.number < first) {
                inner.failed += 1;
                return Err(ChainError::Unreachable("no earlier blocks".to_owned()));
            }
            let here = state.paid.iter().filter(|(of, _)| *of == order);
            let here: Vec<_> = here.map(|(_, payment)| *payment).collect();
            covered += here.iter().map(|payment| payment.blocks).sum::<u32>();
            page.payments.extend(here.into_iter().rev());
            let before = BlockNumber(state.head.number.0.saturating_sub(1));
            page.earlier = (before >= inner.states[0].head.number).then_some(before);
            if covered >= blocks {
                break;
            }
        }
        Ok(page)
    }

    async fn last_end(
        &self,
        _: &MachineId,
        _: &AccountId,
        order: RentId,
    ) -> Result<Seen<Option<BlockNumber>>, ChainError> {
        Ok(self.read(At::Finalized, |state| state.history.get(&order).map(|past| past.end)))
    }

    async fn confirmed_since(
        &self,
        machine: &MachineId,
        since: BlockNumber,
    ) -> Result<Seen<Vec<Made>>, ChainError> {
        {
            let mut inner = self.chain.lock();
            inner.histories += 1;
            if inner.no_histories {
                return Err(ChainError::Unreachable("no histories".to_owned()));
            }
        }
        let is_wanted = |past: &&Order| past.machine == *machine && past.start >= since;
        Ok(self.read(At::Finalized, |state| {
            state.history.values().filter(is_wanted).map(Order::made).collect()
        }))
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
        self.signer()?;
        let seen = self.read(At::Best, |state| {
            (state.price, state.limits, state.machine(machine).cloned(), state.schedule.clone())
        });
        let (price, limits, found, schedule) = seen.value;
        futile::rent(&found.ok_or(Futile::NoMachine(*machine))?, &limits, gpus, blocks)?;
        futile::hours(&schedule, &seen.head, blocks)?;
        let quote = price.quote(gpus, blocks)?;
        let proven = self.call(quote.total, ceiling, |state, renter| {
            let (fixed, rented) =
                (state.limits.fixed_fee, state.rent(renter, machine, gpus, blocks)?);
            Ok(rented.map(|(rent_id, blocks, fee)| Rented { rent_id, gpus, blocks, fee, fixed }))
        })?;
        let Rented { rent_id, fee, fixed, .. } = proven.event;
        let paid = fee.checked_add(fixed).and_then(|paid| paid.checked_add(NETWORK_FEE));
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
        let account = self.signer()?;
        let seen = self.read(At::Best, |state| {
            let found = state.orders.get(&order).map(|(order, _)| order.clone())?;
            let machine = state.machine(&found.machine).cloned();
            Some((found, machine, state.limits))
        });
        let (found, machine, limits) = seen.value.ok_or(CallError::NoOrder(order))?;
        futile::confirm(&found, machine.as_ref(), &limits, &account, seen.head.number)?;
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
        let account = self.signer()?;
        let seen = self.read(At::Best, |state| {
            let found = state.orders.get(&order).map(|(order, _)| order.clone())?;
            Some((found, state.price, state.limits))
        });
        let (found, price, limits) = seen.value.ok_or(CallError::NoOrder(order))?;
        futile::relet(&found, &limits, &account, blocks, seen.head.number)?;
        let cost = price.relet(found.slots.count() as u32, blocks)?.total;
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
        let account = self.signer()?;
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
        self.reports(machine, true)?;
        self.call(Planck::ZERO, ceiling, |state, who| {
            state.report(who, machine, true).map(|()| Some(Reported { machine: *machine }))
        })
    }

    async fn report_offline(
        &self,
        machine: &MachineId,
        ceiling: Planck,
    ) -> Result<Proven<Reported>, CallError> {
        self.reports(machine, false)?;
        self.call(Planck::ZERO, ceiling, |state, who| {
            state.report(who, machine, false).map(|()| Some(Reported { machine: *machine }))
        })
    }
}
