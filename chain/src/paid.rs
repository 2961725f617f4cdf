//! What was paid for orders, out of the events of blocks: no storage has it.

use session::rental::{
    BlockNumber, CallError, ChainError, MachineId, Payment, PaymentPage, Planck, RentId,
};
use subxt::config::substrate::H256;
use subxt::ext::frame_decode::storage::encode_storage_key_prefix;

use crate::items::malformed;
use crate::link::{Fail, Link};
use crate::proof::{Happened, happened};

/// Blocks that are looked at for one answer: so many are read again where a node fails.
const PAGE: u32 = 64;

/// The payments for an order in a page of blocks up to one, the newest first, until they are for so many blocks of it, or the
/// state of a block is gone.
pub(crate) async fn payments(
    link: &Link,
    machine: &MachineId,
    order: RentId,
    until: BlockNumber,
    blocks: u32,
) -> Result<PaymentPage, Fail> {
    let text = machine.to_string();
    let mut page = PaymentPage { payments: Vec::new(), earlier: Some(until) };
    let (mut covered, oldest) = (0_u32, until.0.saturating_sub(PAGE - 1));
    while let Some(number) = page.earlier.filter(|number| number.0 >= oldest && covered < blocks) {
        page.earlier = None;
        let Some(hash) = link.hash_at(number).await? else { break };
        let here = match of_block(link, (hash, number), &text, order).await {
            // So are those before it.
            Err(Fail::Chain(ChainError::Pruned(_))) => break,
            here => here?,
        };
        covered = here.iter().map(|payment| payment.blocks).fold(covered, u32::saturating_add);
        page.payments.extend(here.into_iter().rev());
        page.earlier = number.0.checked_sub(1).map(BlockNumber);
    }
    Ok(page)
}

async fn of_block(
    link: &Link,
    (hash, number): (H256, BlockNumber),
    machine: &str,
    order: RentId,
) -> Result<Vec<Payment>, Fail> {
    let key = encode_storage_key_prefix("System", "Events");
    let bytes = link.ask(number, link.rpc.state_get_storage(&key, Some(hash))).await?;
    let bytes = bytes.unwrap_or_default();
    // An event of an order has its machine's digits; of few blocks the metadata is needed, too.
    if !bytes.windows(machine.len()).any(|window| window == machine.as_bytes()) {
        return Ok(Vec::new());
    }
    let block = link.by_hash(hash).await?;
    // The runtime of the block before made them.
    let before = link.by_hash(H256(block.head.parent.0)).await?;
    let wanted = |pallet: &str, name: &str| {
        pallet == "RentMachine" && matches!(name, "ConfirmRent" | "Relet")
    };
    let events = before.at.events().from_bytes(bytes);
    let events = happened(&events, |_, pallet, name| wanted(pallet, name))?;
    let mut paid = Vec::new();
    for event in &events {
        let payment = payment(event, order).map_err(|_| malformed("System.Events"))?;
        if let Some((blocks, fee)) = payment {
            let (number, time) = (paid.len() as u32, block.head.time);
            paid.push(Payment { block: block.head.number, number, time, blocks, fee });
        }
    }
    Ok(paid)
}

/// For how many blocks of this order an event says that something was paid, and how much.
fn payment(event: &Happened, order: RentId) -> Result<Option<(u32, Planck)>, CallError> {
    if event.whole::<u64>("rent_id", 0)? != order.0 {
        return Ok(None);
    }
    Ok(Some((event.whole("duration", 4)?, Planck(event.number("fee", 5)?))))
}
