//! An account's calls: those of this process, and those that an earlier one had signed. A call in the same words as an earlier one
//! is that one, made twice: it is answered, and not made anew.

use std::sync::{Mutex as Lock, PoisonError};

use ledger::{LedgerError, Op, OutgoingState};
use session::rental::CallError;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use crate::call::Account;
use crate::keeper::{Outcome, Resumed, Settled, did_nothing};
use crate::proof::Inclusion;

/// An account that calls, and what it knows of its calls.
pub(crate) struct Signing {
    pub(crate) account: Account,
    keeper: JoinHandle<()>,
    /// What an earlier process had signed and not told the end of.
    earlier: Mutex<Vec<Earlier>>,
    /// Calls whose end this process knows and has not marked yet, and how far they are.
    known: Lock<Vec<([u8; 32], OutgoingState)>>,
}

/// A call that an earlier process had signed and not told the end of.
pub(crate) struct Earlier {
    purpose: String,
    end: End,
}

enum End {
    Waiting(oneshot::Receiver<Settled>),
    Known(Outcome),
}

impl Drop for Signing {
    fn drop(&mut self) {
        // What is not over is in the outbox.
        self.keeper.abort();
    }
}

impl Earlier {
    pub(crate) fn new(purpose: String, settled: oneshot::Receiver<Settled>) -> Self {
        Self { purpose, end: End::Waiting(settled) }
    }
}

impl Signing {
    pub(crate) fn new(account: Account, keeper: JoinHandle<()>, earlier: Vec<Earlier>) -> Self {
        Self { account, keeper, earlier: Mutex::new(earlier), known: Lock::default() }
    }

    /// Notes how a call ended that is not marked so yet.
    pub(crate) fn know(&self, settled: Settled) -> Outcome {
        if !did_nothing(&settled.outcome) {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.push((settled.id, settled.state));
        }
        settled.outcome
    }

    /// Waits for the end of an earlier call.
    async fn end(&self, earlier: &mut Earlier) -> Outcome {
        if let End::Waiting(settled) = &mut earlier.end {
            let settled = settled.await;
            let outcome = settled.map_or(Err(CallError::Unproven), |it| self.know(it));
            earlier.end = End::Known(outcome);
        }
        match &earlier.end {
            End::Known(outcome) => outcome.clone(),
            End::Waiting(_) => Err(CallError::Unproven),
        }
    }

    /// What an earlier process had called in these words, if it did its work; waits until that is known. Once: whoever calls again
    /// means it.
    pub(crate) async fn done_before(&self, purpose: &str) -> Result<Option<Inclusion>, CallError> {
        let mut all = self.earlier.lock().await;
        while let Some(place) = all.iter().position(|earlier| earlier.purpose == purpose) {
            let outcome = self.end(&mut all[place]).await;
            all.remove(place);
            match outcome {
                Ok(done) => return Ok(Some(done.by_an_earlier())),
                Err(CallError::Unproven) => return Err(CallError::PerhapsDone),
                outcome if did_nothing(&outcome) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(crate) async fn resumed(&self) -> Vec<Resumed> {
        let mut all = self.earlier.lock().await;
        let mut over = Vec::new();
        for earlier in all.iter_mut().filter(|it| matches!(it.end, End::Waiting(_))) {
            let outcome = self.end(earlier).await;
            let purpose = earlier.purpose.clone();
            over.push(Resumed { purpose, outcome: outcome.map(|done| done.block) });
        }
        over
    }

    pub(crate) async fn told(&self) -> Result<(), LedgerError> {
        let known = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *known)
        };
        for (id, state) in known {
            self.account.outbox.commit(Op::Advance(id, state)).await?;
        }
        Ok(())
    }
}
