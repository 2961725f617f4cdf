//! The lease book of `session` on what the model's chain says: from renting to the end, block by block.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use nearlight_model_chain::{ModelChain, RentalSubject as _, Wallet};
use session::lease::{
    BootTime, Claimant, Denied, LeaseAction, LeaseBook, LeaseConfig, LeaseEnd, LeaseEvent,
    MachineView,
};
use session::rental::{At, HeadEvent, Heads, Planck, RentId, RentalChain};

const PLENTY: Planck = Planck::dbc(1_000);

/// What a node does: takes heads as they come, reads what they say, and tells the book.
struct Watcher {
    model: ModelChain,
    chain: Arc<dyn RentalChain>,
    heads: Heads,
    book: LeaseBook,
    now: BootTime,
}

impl Watcher {
    async fn new() -> Self {
        let model = ModelChain::new();
        let chain = model.of(Wallet::Nobody);
        let config = LeaseConfig {
            genesis: chain.identity().genesis,
            machine: model.machine(),
            trial: Duration::from_secs(120),
            trials_a_day: 3,
        };
        let mut book = LeaseBook::new(config, BootTime(0));
        let limits = chain.limits(At::Finalized).await.unwrap().value;
        book.handle(BootTime(0), LeaseEvent::Connected(chain.identity().genesis, limits));
        let heads = chain.heads();
        let mut watcher = Self { model, chain, heads, book, now: BootTime(0) };
        watcher.catch_up().await;
        watcher
    }

    async fn view(&self, at: At) -> MachineView {
        let machine = self.chain.machine(at, &self.model.machine()).await.unwrap().value;
        let orders = self.chain.orders_of_machine(at, &self.model.machine()).await.unwrap().value;
        MachineView { machine, orders }
    }

    /// Takes all heads that have come; yields what is to be done.
    async fn catch_up(&mut self) -> Vec<LeaseAction> {
        while let Some(event) = self.heads.next().now_or_never().flatten() {
            self.now = self.now + Duration::from_secs(6);
            let event = match event {
                // What is read is of the newest head, which may be later than this one: so its own head is told.
                HeadEvent::Best(_) => {
                    let head = self.chain.limits(At::Best).await.unwrap().head;
                    LeaseEvent::Best(head, Some(self.view(At::Best).await))
                }
                HeadEvent::Finalized(_) => {
                    let head = self.chain.limits(At::Finalized).await.unwrap().head;
                    LeaseEvent::Finalized(head, Some(self.view(At::Finalized).await))
                }
                HeadEvent::Lost(_) => LeaseEvent::Lost,
            };
            self.book.handle(self.now, event);
        }
        std::iter::from_fn(|| self.book.poll_action()).collect()
    }

    fn check(&self, id: RentId, wallet: Wallet) -> Result<Option<Duration>, Denied> {
        let account = self.model.account(wallet);
        self.book.check(self.now, id, Claimant::Renter(account)).map(|grant| grant.trial)
    }
}

#[tokio::test]
async fn an_order_is_tried_confirmed_prolonged_and_ends() {
    let mut watcher = Watcher::new().await;
    let renter = watcher.model.of(Wallet::Renter);
    let machine = watcher.model.machine();
    let id = renter.rent(&machine, 1, 300, PLENTY).await.unwrap().event.rent_id;
    assert_eq!(watcher.catch_up().await, [LeaseAction::Changed(id)]);
    assert_eq!(watcher.check(id, Wallet::Renter), Ok(Some(Duration::from_secs(120))));
    assert_eq!(watcher.check(id, Wallet::Other), Err(Denied::ForeignRenter));
    renter.confirm(id, PLENTY).await.unwrap();
    assert_eq!(watcher.catch_up().await, [LeaseAction::Changed(id)]);
    assert_eq!(watcher.check(id, Wallet::Renter), Ok(None));
    watcher.model.advance(200);
    watcher.catch_up().await;
    renter.relet(id, 100, PLENTY).await.unwrap();
    let order = renter.order(At::Best, id).await.unwrap().value.unwrap();
    let mut ended = Vec::new();
    while ended.is_empty() {
        assert_eq!(watcher.check(id, Wallet::Renter), Ok(None));
        watcher.model.advance(1);
        let actions = watcher.catch_up().await;
        ended.extend(actions.into_iter().filter(|action| matches!(action, LeaseAction::End(..))));
    }
    assert_eq!(ended, [LeaseAction::End(id, LeaseEnd::Over)]);
    assert_eq!(watcher.book.block(), order.end);
    assert_eq!(watcher.check(id, Wallet::Renter), Err(Denied::Over));
}

#[tokio::test]
async fn an_order_that_nobody_confirms_lapses_and_one_whose_machine_is_forced_out_ends() {
    let mut watcher = Watcher::new().await;
    let renter = watcher.model.of(Wallet::Renter);
    let machine = watcher.model.machine();
    let lapsing = renter.rent(&machine, 1, 300, PLENTY).await.unwrap().event.rent_id;
    let other = watcher.model.of(Wallet::Other);
    let kept = other.rent(&machine, 1, 300, PLENTY).await.unwrap().event.rent_id;
    other.confirm(kept, PLENTY).await.unwrap();
    watcher.catch_up().await;
    watcher.model.advance(150);
    let actions = watcher.catch_up().await;
    assert!(actions.contains(&LeaseAction::End(lapsing, LeaseEnd::Lapsed)), "{actions:?}");
    assert_eq!(watcher.check(kept, Wallet::Other), Ok(None));
    watcher.model.force_machine_exit();
    let actions = watcher.catch_up().await;
    assert_eq!(actions, [LeaseAction::End(kept, LeaseEnd::MachineGone)]);
    assert_eq!(watcher.check(kept, Wallet::Other), Err(Denied::MachineGone));
}

#[tokio::test]
async fn a_reorganisation_that_takes_an_order_away_ends_it() {
    let mut watcher = Watcher::new().await;
    watcher.model.hold_finality(true);
    let renter = watcher.model.of(Wallet::Renter);
    let machine = watcher.model.machine();
    let id = renter.rent(&machine, 1, 300, PLENTY).await.unwrap().event.rent_id;
    watcher.catch_up().await;
    watcher.model.reorganise(1);
    let actions = watcher.catch_up().await;
    assert!(actions.contains(&LeaseAction::End(id, LeaseEnd::Vanished)), "{actions:?}");
}
