//! Keeps calls that were signed until finalized blocks show what became of each: sends them, and sends the same bytes again
//! when a node or a branch has lost them.
//!
//! ```text
//!  Signed ──sent──▶ Sent ──found in a final block──▶ Included: its events are the answer
//!                    │ final: the nonce is another call's ─▶ Dropped
//!                    │ final: the era is over, and it is in none of its blocks ─▶ Dropped
//!                    └ those blocks, or their state, are gone ─▶ Unproven
//! ```
//!
//! What did nothing is marked so at once. What did something, or may have, is marked only when whoever asked for it has told of it
//! ([`Wallet::told`](crate::Wallet::told)): until then a process that comes after this one finds it again, and does not call anew.
//!
//! | queue | bound | when it is full | recovery |
//! |---|---|---|---|
//! | calls to keep | [`CALLS`] | the call waits, signed and durable | the keeper takes all that wait |

use std::sync::Arc;

use keys::to_hex;
use ledger::{Batch, Ledger, LedgerError, Op, Outgoing, OutgoingState};
use session::rental::futile::RELET_HORIZON;
use session::rental::{
    AccountId, BlockHash, BlockNumber, CallError, ChainError, Head, Order, RentId,
};
use subxt::config::substrate::H256;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::block::Block;
use crate::link::{Fail, Link};
use crate::proof::{Inclusion, inclusion};
use crate::watch::Shared;

/// Calls that may wait to be kept.
pub(crate) const CALLS: usize = 16;

/// The words of a prolonging begin so.
const RELET: &str = "relet/";

/// What finalized blocks show of a call.
pub(crate) type Outcome = Result<Inclusion, CallError>;

/// A call that is over.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: [u8; 32],
    pub(crate) state: OutgoingState,
    pub(crate) outcome: Outcome,
}

/// Whether finalized blocks show that a call did nothing but cost the network's fee.
pub(crate) fn did_nothing(outcome: &Outcome) -> bool {
    matches!(outcome, Err(CallError::Rejected(_) | CallError::NotIncluded(_)))
}

/// A call that an earlier process had signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Resumed {
    /// What it was for, whole: `rent/<machine>/<cards>/<blocks>`, `confirm/<order>`, `relet/<order>/<blocks>`,
    /// `transfer/<account>/<planck>`, `online/<machine>`, `offline/<machine>`.
    pub purpose: String,
    /// The block that it did its work in, or why it did not.
    pub outcome: Result<BlockNumber, CallError>,
}

/// A call to keep.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) call: Outgoing,
    /// The first block that it may be in.
    pub(crate) from: BlockNumber,
    /// The last block that it was of use in when it was signed; after a restart, of a prolonging alone.
    pub(crate) deadline: Option<BlockNumber>,
    pub(crate) answer: oneshot::Sender<Settled>,
}

impl Kept {
    /// What is written down of a call before it is sent.
    pub(crate) fn batch(&self) -> Batch {
        let state = |last: BlockNumber| {
            Op::State(deadline_of(&self.call.id), last.0.to_string().into_bytes())
        };
        // Only of a prolonging it is asked for again.
        let deadline = self.deadline.filter(|_| self.call.purpose.starts_with(RELET)).map(state);
        Batch::new([Op::Sign(self.call.clone())].into_iter().chain(deadline))
    }

    /// One that an earlier process had written down.
    pub(crate) async fn restore(
        outbox: &Ledger,
        call: Outgoing,
        answer: oneshot::Sender<Settled>,
    ) -> Result<Self, LedgerError> {
        let name = deadline_of(&call.id);
        let deadline = match outbox.state(name.clone()).await? {
            None => None,
            Some(last) => {
                let last = String::from_utf8(last).ok().and_then(|last| last.parse::<u32>().ok());
                let unknown = || LedgerError::Damaged(format!("{name:?} is of no known form"));
                Some(BlockNumber(last.ok_or_else(unknown)?))
            }
        };
        Ok(Self { from: call.born.after(1), deadline, call, answer })
    }
}

/// Where the outbox has the last block that a call is of use in.
fn deadline_of(id: &[u8; 32]) -> String {
    format!("deadline/{}", to_hex(id))
}

#[derive(Debug)]
struct Waiting {
    kept: Kept,
    /// The link that it was sent on last, and when.
    sent: Option<(u64, Instant)>,
}

/// Of one account.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) account: AccountId,
    pub(crate) outbox: Ledger,
    waiting: Vec<Waiting>,
    /// The best head when calls were last sent: another branch loses them.
    best: Option<Head>,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, account: AccountId, outbox: Ledger) -> Self {
        Self { shared, account, outbox, waiting: Vec::new(), best: None }
    }

    /// Runs until the account's wallet is dropped; what is not over then is in the outbox.
    pub(crate) async fn run(mut self, mut calls: mpsc::Receiver<Kept>) {
        let mut view = self.shared.view.subscribe();
        loop {
            tokio::select! {
                call = calls.recv() => match call {
                    Some(kept) => self.waiting.push(Waiting { kept, sent: None }),
                    None => return,
                },
                changed = view.changed() => if changed.is_err() { return },
                () = sleep(self.shared.options.resend), if !self.waiting.is_empty() => {}
            }
            if self.waiting.is_empty() {
                continue;
            }
            // Marked as seen before it is looked at, so that what comes meanwhile is looked at again.
            let link = view.borrow_and_update().link.clone();
            let Some(link) = link else { continue };
            if let Err(Fail::Link(why)) = self.look(&link).await {
                self.shared.broken(&link, why);
            }
        }
    }

    async fn look(&mut self, link: &Arc<Link>) -> Result<(), Fail> {
        self.send(link).await?;
        self.settle(link).await
    }

    /// Sends what was not sent on this link, or not lately, or before another branch became the best.
    async fn send(&mut self, link: &Link) -> Result<(), Fail> {
        let best = link.best().await?.head;
        let follows = |last: Head| best.hash == last.hash || best.parent == last.hash;
        let grew = self.best.is_none_or(|last| follows(last) || best.number > last.number.after(1));
        self.best = Some(best);
        let again = self.shared.options.resend;
        for waiting in &mut self.waiting {
            let lately = |(id, at): (u64, Instant)| id == link.id && at.elapsed() < again && grew;
            if waiting.sent.is_some_and(lately) || best.number.after(1) >= waiting.kept.call.dies {
                continue;
            }
            let call = &waiting.kept.call;
            let sent = link.ask(best.number, link.rpc.author_submit_extrinsic(&call.bytes)).await;
            let first = waiting.sent.is_none();
            waiting.sent = Some((link.id, Instant::now()));
            match sent {
                Ok(_) if call.state == OutgoingState::Signed => {
                    let sent = Op::Advance(call.id, OutgoingState::Sent);
                    match self.outbox.commit(sent).await {
                        Ok(()) => waiting.kept.call.state = OutgoingState::Sent,
                        // It is on its way all the same.
                        Err(error) => tracing::error!(%error, "a call could not be noted as sent"),
                    }
                }
                Ok(_) => {}
                // It may be in a block already, or in the pool; blocks decide.
                Err(Fail::Link(why)) if first => {
                    tracing::debug!(
                        purpose = call.purpose,
                        why,
                        "a call was not taken by the node"
                    );
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Looks for what became of each.
    async fn settle(&mut self, link: &Link) -> Result<(), Fail> {
        let newest = link.finalized().await?;
        let nonce = newest.account(&self.account).await?.nonce;
        let mut place = 0;
        while let Some(waiting) = self.waiting.get_mut(place) {
            match found(link, &newest, nonce, &mut waiting.kept).await? {
                None => place += 1,
                Some((state, outcome)) => {
                    let waiting = self.waiting.remove(place);
                    self.over(waiting, state, outcome).await;
                }
            }
        }
        Ok(())
    }

    async fn over(&self, waiting: Waiting, state: OutgoingState, outcome: Outcome) {
        let Kept { call, answer, .. } = waiting.kept;
        if did_nothing(&outcome)
            && let Err(error) = self.outbox.commit(Op::Advance(call.id, state)).await
        {
            // It is found again after a restart.
            tracing::error!(%error, purpose = call.purpose, "an outcome could not be written down");
        }
        match &outcome {
            Ok(done) => {
                tracing::info!(purpose = call.purpose, block = %done.block, "a call is final");
            }
            Err(error) => tracing::warn!(purpose = call.purpose, %error, "a call did nothing"),
        }
        let _ = answer.send(Settled { id: call.id, state, outcome });
    }
}

/// What finalized blocks show of a call; none while they show nothing.
async fn found(
    link: &Link,
    newest: &Block,
    nonce: u32,
    kept: &mut Kept,
) -> Result<Option<(OutgoingState, Outcome)>, Fail> {
    let call = &kept.call;
    let is_used = nonce > call.nonce;
    let last = BlockNumber(call.dies.0.saturating_sub(1)).min(newest.number());
    let is_past = newest.number().after(1) >= call.dies;
    if !is_used && !is_past {
        return Ok(None);
    }
    let mut is_gap = false;
    for number in kept.from.0..=last.0 {
        let Some(hash) = link.hash_at(BlockNumber(number)).await? else {
            is_gap = true;
            continue;
        };
        match link.body(hash).await? {
            Some(body) => {
                if let Some(place) = body.iter().position(|bytes| *bytes == call.bytes) {
                    let place = (hash, BlockNumber(number), place as u32);
                    let outcome = shown(link, newest, kept, place).await?;
                    return Ok(Some((OutgoingState::Included, outcome)));
                }
                if !is_gap {
                    kept.from = BlockNumber(number).after(1);
                }
            }
            None => is_gap = true,
        }
    }
    Ok(Some(if is_gap {
        (OutgoingState::Unproven, Err(CallError::Unproven))
    } else if is_used {
        (OutgoingState::Dropped, Err(CallError::NotIncluded("another call took its nonce")))
    } else {
        (OutgoingState::Dropped, Err(CallError::NotIncluded("its era passed")))
    }))
}

/// What its events show, or where the node has forgotten that state, what has come of it since.
async fn shown(
    link: &Link,
    newest: &Block,
    kept: &Kept,
    (hash, number, place): (H256, BlockNumber, u32),
) -> Result<Outcome, Fail> {
    match inclusion(link, hash, place).await {
        Ok(done) => Ok(done.map_err(CallError::Rejected)),
        Err(Fail::Chain(ChainError::Pruned(_))) => {
            let hash = BlockHash(hash.0);
            let order = order_of(newest, kept, number).await?;
            let shown = order.map(|order| Inclusion::without_events(number, hash, order));
            Ok(shown.ok_or(CallError::Unproven))
        }
        Err(Fail::Chain(error)) => Ok(Err(CallError::Chain(error))),
        Err(fail) => Err(fail),
    }
}

/// The order by which the newest final state shows that a call which is in a block did what it was for. An order says in
/// which block it was made and confirmed, and its renter's history by how much it was prolonged, if not when; nothing says
/// when money was sent.
async fn order_of(
    newest: &Block,
    kept: &Kept,
    number: BlockNumber,
) -> Result<Option<RentId>, Fail> {
    let call = &kept.call;
    // On another branch than the call was signed on, its order's number may be another renter's.
    let is_own = |order: &Order| order.renter == call.account;
    if let Some(asked) = call.purpose.strip_prefix(RELET) {
        let asked = asked
            .split_once('/')
            .and_then(|(order, blocks)| order.parse::<u64>().ok().zip(blocks.parse::<u32>().ok()));
        // A prolonging is of use up to the order's end, as that was when it was signed.
        let (Some((order, blocks)), Some(end)) = (asked, kept.deadline) else { return Ok(None) };
        let order = RentId(order);
        let Some(found) = newest.order(order).await?.filter(is_own) else { return Ok(None) };
        let ends = newest.ends(&found.machine, &found.renter, order).await?;
        return Ok(is_prolonged(&ends, end, blocks, number).then_some(order));
    }
    if let Some(order) = call.purpose.strip_prefix("confirm/") {
        let Ok(order) = order.parse() else { return Ok(None) };
        let order = newest.order(RentId(order)).await?.filter(is_own);
        let order = order.filter(|order| order.confirmed == number);
        return Ok(order.map(|order| order.rent_id));
    }
    if call.purpose.starts_with("rent/") {
        let orders = newest.orders_of_renter(&call.account).await?;
        let mut made = orders.iter().filter(|order| order.start == number);
        let (first, second) = (made.next(), made.next());
        return Ok(first.filter(|_| second.is_none()).map(|order| order.rent_id));
    }
    Ok(None)
}

/// Whether an order that was given these ends was prolonged by so many blocks after it had this one; in this block, where
/// the chain cut what was asked for.
fn is_prolonged(ends: &[BlockNumber], end: BlockNumber, blocks: u32, block: BlockNumber) -> bool {
    ends.windows(2).any(|pair| {
        let (from, to) = (pair[0], pair[1]);
        let is_cut = to == block.after(RELET_HORIZON) && to.since(from) < blocks;
        from >= end && (to.since(from) == blocks || is_cut)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_prolonging_has_its_deadline_again_and_one_that_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let options = ledger::Options::default();
        let outbox = Ledger::open(&folder.path().join("outbox"), options).unwrap();
        for (nonce, purpose, expected) in [(0_u8, "relet/7/100", Some(310)), (1, "confirm/7", None)]
        {
            let call = Outgoing {
                id: [nonce; 32],
                account: AccountId([5; 32]),
                nonce: nonce.into(),
                born: BlockNumber(10),
                dies: BlockNumber(74),
                purpose: purpose.to_owned(),
                bytes: vec![nonce],
                state: OutgoingState::Signed,
            };
            let (from, deadline) = (BlockNumber(11), Some(BlockNumber(310)));
            let kept = Kept { call: call.clone(), from, deadline, answer: oneshot::channel().0 };
            outbox.commit(kept.batch()).await.unwrap();
            let restore = || Kept::restore(&outbox, call.clone(), oneshot::channel().0);
            assert_eq!(restore().await.unwrap().deadline, expected.map(BlockNumber), "{purpose}");
            let nonsense = Op::State(deadline_of(&call.id), b"soon".to_vec());
            outbox.commit(nonsense).await.unwrap();
            assert!(matches!(restore().await, Err(LedgerError::Damaged(_))), "{purpose}");
        }
    }

    #[test]
    fn an_order_that_had_its_end_and_got_a_later_one_was_prolonged() {
        let block = BlockNumber(1_000);
        let is = |ends: &[u32], end, blocks| {
            let ends: Vec<_> = ends.iter().copied().map(BlockNumber).collect();
            is_prolonged(&ends, BlockNumber(end), blocks, block)
        };
        assert!(is(&[310, 410], 310, 100));
        assert!(is(&[310, 510, 610], 310, 100), "another one was before it");
        assert!(!is(&[310, 410], 410, 100), "that was before it was signed");
        assert!(!is(&[310], 310, 100) && !is(&[], 310, 100));
        assert!(!is(&[310, 510], 310, 100), "that is another one's length");
        let most = 1_000 + RELET_HORIZON;
        assert!(is(&[310, most], 310, u32::MAX), "the chain cut it");
        assert!(!is(&[310, most - 1], 310, u32::MAX));
    }
}
