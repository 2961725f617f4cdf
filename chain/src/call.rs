//! A call from its plan to the outbox: what it will cost, whether that is allowed and there, and its signed bytes.

use std::sync::Arc;

use keys::{Signature, Signer};
use ledger::{Ledger, Outgoing, OutgoingState};
use session::rental::{AccountId, BlockNumber, CallError, Head, Planck};
use subxt::SubstrateConfig;
use subxt::config::TransactionExtensions;
use subxt::config::substrate::{H256, SubstrateExtrinsicParams, SubstrateExtrinsicParamsBuilder};
use subxt::dynamic::transaction;
use subxt::ext::scale_value::Composite;
use subxt::tx::DynamicPayload;
use subxt::utils::{AccountId32, MultiSignature};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::block::Block;
use crate::era::{Life, life};
use crate::items::{AccountInfo, malformed};
use crate::keeper::{Kept, Settled};
use crate::link::{Fail, Link, newest};
use crate::watch::Shared;

/// What the network's fee may rise by while a call lives: its multiplier moves by less than a ten-thousandth a block.
const FEE_MARGIN: u128 = 64;

type Payload = DynamicPayload<Composite<()>>;
type Params =
    <SubstrateExtrinsicParams<SubstrateConfig> as TransactionExtensions<SubstrateConfig>>::Params;

/// What is to be called.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) pallet: &'static str,
    pub(crate) name: &'static str,
    pub(crate) arguments: Composite<()>,
    /// What for, as the outbox keeps it: two calls with the same words are one, made twice.
    pub(crate) purpose: String,
    /// What it costs beside the network's fee, and the most that both may be.
    pub(crate) cost: Planck,
    pub(crate) ceiling: Planck,
    /// What leaves the wallet and is no cost.
    pub(crate) beside: Planck,
    /// The last block that it is of use in.
    pub(crate) deadline: Option<BlockNumber>,
}

impl Plan {
    fn payload(&self) -> Payload {
        transaction(self.pallet, self.name, self.arguments.clone())
    }

    fn malformed(&self) -> CallError {
        malformed(&format!("call {}.{}", self.pallet, self.name)).into()
    }
}

/// Who signs, and what is on its way.
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) outbox: Ledger,
    pub(crate) calls: mpsc::Sender<Kept>,
    /// One call is signed at a time: nonces are given out here.
    pub(crate) turn: Arc<Mutex<()>>,
}

/// What a call needs to know of the chain.
struct Facts {
    best: Arc<Block>,
    finalized: Head,
    info: AccountInfo,
    /// The network's fee, with what it may rise by.
    network: Planck,
    /// What must stay on the account.
    rest: Planck,
    life: Life,
    birth: H256,
}

impl Account {
    /// Does what is planned, and yields its place in a finalized block.
    pub(crate) async fn carry_out(
        &self,
        shared: &Shared,
        plan: Plan,
    ) -> Result<Settled, CallError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // Before the chain is read: what becomes final meanwhile is then counted by one of the two.
        let taken = self.taken().await?;
        let plan = &plan;
        let facts =
            |link: Arc<Link>| async move { newest(|| self.facts(Arc::clone(&link), plan)).await };
        let facts = shared.on_link(facts).await?;
        affordable(plan, &facts)?;
        let nonce = free(facts.info.nonce, &taken)?;
        let call = self.sign(plan, &facts, nonce).await?;
        // A person may have taken long; the chain may be away meanwhile, which is no reason not to try.
        let best = shared.view.borrow().best.map_or(facts.best.number(), |best| best.number);
        if best.after(1) >= call.dies {
            let late = format!(
                "it took until block {best}, and it was good for blocks before {}",
                call.dies
            );
            return Err(CallError::Unsigned(late));
        }
        let (answer, outcome) = oneshot::channel();
        let from = facts.finalized.number.after(1);
        let kept = Kept { call, from, deadline: plan.deadline, answer };
        let (outbox, calls) = (self.outbox.clone(), self.calls.clone());
        // Whoever asked may stop waiting; what is written down is kept all the same.
        let put = tokio::spawn(async move {
            let put = outbox.commit(kept.batch()).await;
            if put.is_ok() {
                let _ = calls.send(kept).await;
            }
            drop(turn);
            put
        });
        let put = put.await.map_err(|error| CallError::Unkept(error.to_string()))?;
        put.map_err(|error| CallError::Unkept(error.to_string()))?;
        // The keeper ends with its runtime alone; then the outbox has it.
        outcome.await.map_err(|_| CallError::Unproven)
    }

    async fn facts(&self, link: Arc<Link>, plan: &Plan) -> Result<Facts, Fail> {
        let finalized = link.finalized().await?.head;
        let best = link.best().await?;
        let info = best.account(&self.id).await?;
        let kept = best.constant::<u32>("System", "BlockHashCount").unwrap_or(u32::MAX);
        let life = life(best.number(), finalized.number, plan.deadline, kept);
        // Too late for any era: one without the deadline, which the chain will refuse by name.
        let life = life.or_else(|| crate::era::life(best.number(), finalized.number, None, kept));
        let life = life.ok_or_else(|| malformed("header"))?;
        let birth = link.hash_at(life.birth).await?;
        let birth = birth.ok_or_else(|| Fail::Link("the node lacks a recent block".to_owned()))?;
        // As long as the longest signature makes it; what is asked for does not look at it.
        let blank = MultiSignature::Ecdsa([0; 65]);
        let bytes = signed(&best, plan, params(info.nonce, life, birth), self.id, &blank);
        let (bytes, _) =
            bytes.map_err(|_| malformed(&format!("call {}.{}", plan.pallet, plan.name)))?;
        let fee = link.fee(&best, &bytes).await?;
        let network = Planck(fee.saturating_add(fee.div_ceil(FEE_MARGIN)));
        let rest = Planck(best.constant("Balances", "ExistentialDeposit").unwrap_or_default());
        Ok(Facts { best, finalized, info, network, rest, life, birth })
    }

    /// Nonces of calls on their way.
    async fn taken(&self) -> Result<Vec<u32>, CallError> {
        let outgoing = self.outbox.outgoing().await;
        let outgoing = outgoing.map_err(|error| CallError::Unkept(error.to_string()))?;
        let on_its_way = |call: &&Outgoing| call.account == self.id && !call.state.is_last();
        Ok(outgoing.iter().filter(on_its_way).map(|call| call.nonce).collect())
    }

    async fn sign(&self, plan: &Plan, facts: &Facts, nonce: u32) -> Result<Outgoing, CallError> {
        let params = || params(nonce, facts.life, facts.birth);
        let message = {
            let payload = plan.payload();
            let call = facts.best.at.tx();
            let call = call.create_v4_signable_offline(&payload, params());
            let message = call.and_then(|call| call.signer_payload());
            message.map_err(|_| plan.malformed())?
        };
        let signer = Arc::clone(&self.signer);
        // A person may be asked.
        let signature = tokio::task::spawn_blocking(move || signer.sign(&message)).await;
        let signature = signature.map_err(|error| CallError::Unsigned(error.to_string()))?;
        let signature = signature.map_err(|error| CallError::Unsigned(error.to_string()))?;
        let signature = match signature {
            Signature::Sr25519(bytes) => MultiSignature::Sr25519(bytes),
            Signature::Ed25519(bytes) => MultiSignature::Ed25519(bytes),
            Signature::Ecdsa(bytes) => MultiSignature::Ecdsa(bytes),
        };
        let (bytes, id) = signed(&facts.best, plan, params(), self.id, &signature)?;
        Ok(Outgoing {
            id,
            account: self.id,
            nonce,
            born: facts.life.birth,
            dies: facts.life.dies(),
            purpose: plan.purpose.clone(),
            bytes,
            state: OutgoingState::Signed,
        })
    }
}

/// The first nonce that neither the chain has seen nor a call on its way has.
fn free(next: u32, taken: &[u32]) -> Result<u32, CallError> {
    let free = (next..=u32::MAX).find(|nonce| !taken.contains(nonce));
    free.ok_or_else(|| CallError::Unsigned("the account has no nonce left".to_owned()))
}

fn params(nonce: u32, life: Life, birth: H256) -> Params {
    SubstrateExtrinsicParamsBuilder::new()
        .nonce(nonce.into())
        .mortal_from_unchecked(life.period.into(), life.birth.0.into(), birth)
        .build()
}

/// The bytes of a transaction and their hash.
fn signed(
    block: &Block,
    plan: &Plan,
    params: Params,
    account: AccountId,
    signature: &MultiSignature,
) -> Result<(Vec<u8>, [u8; 32]), CallError> {
    let payload = plan.payload();
    let call = block.at.tx().create_v4_signable_offline(&payload, params);
    let account = AccountId32(account.0);
    let signed =
        call.and_then(|mut call| call.sign_with_account_and_signature(&account, signature));
    let signed = signed.map_err(|_| plan.malformed())?;
    let id = signed.hash().0;
    Ok((signed.into_encoded(), id))
}

/// Whether it stays under the ceiling and the wallet has it.
fn affordable(plan: &Plan, facts: &Facts) -> Result<(), CallError> {
    let most = Planck(u128::MAX);
    let sum = |parts: &[Planck]| {
        let sum = parts.iter().try_fold(Planck::ZERO, |sum, part| sum.checked_add(*part));
        sum.unwrap_or(most)
    };
    let (predicted, ceiling) = (sum(&[plan.cost, facts.network]), plan.ceiling);
    if predicted > ceiling {
        return Err(CallError::AboveCeiling { predicted, ceiling });
    }
    let balance = facts.info.balance;
    let has = balance.free.checked_sub(balance.frozen).unwrap_or_default();
    let needs = sum(&[predicted, plan.beside, facts.rest]);
    if has < needs {
        return Err(CallError::EmptyWallet { has, needs });
    }
    Ok(())
}
