//! States.

use codec::Decode as _;
use jsonrpsee::core::RegisterMethodError;
use serde_json::{Value, json};
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Hash as _};
use sp_state_machine::{Backend as _, IterArgs};

use super::{Answer, Module, block_at, call, fail, failed, from_hex, hex, invalid, method};
use crate::node::Node;

/// Keys that are told at once at most.
const MOST_KEYS: u32 = 1_000;

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    for name in ["state_call", "state_callAt"] {
        method(module, name, |node, arguments| {
            let name: String = arguments.next()?;
            let data = arguments.bytes()?;
            let inner = node.lock();
            let block = block_at(&inner, arguments.optional()?)?;
            Ok(hex(inner.chain.executor(block).call_raw(&name, &data).map_err(fail)?))
        })?;
    }
    for name in ["state_getStorage", "state_getStorageAt"] {
        method(module, name, |node, arguments| {
            Ok(value(node, &arguments.bytes()?, arguments.optional()?)?.map(hex))
        })?;
    }
    for name in ["state_getStorageHash", "state_getStorageHashAt"] {
        method(module, name, |node, arguments| {
            let value = value(node, &arguments.bytes()?, arguments.optional()?)?;
            Ok(value.map(|value| hex(BlakeTwo256::hash(&value))))
        })?;
    }
    for name in ["state_getStorageSize", "state_getStorageSizeAt"] {
        method(module, name, |node, arguments| {
            let value = value(node, &arguments.bytes()?, arguments.optional()?)?;
            Ok(value.map(|value| value.len()))
        })?;
    }
    for name in ["state_getKeysPaged", "state_getKeysPagedAt"] {
        method(module, name, |node, arguments| {
            let prefix = arguments.optional::<String>()?;
            let prefix = prefix.map_or_else(|| Ok(Vec::new()), |prefix| from_hex(&prefix))?;
            let count: u32 = arguments.next()?;
            let start = arguments.optional::<String>()?;
            let start = start.map(|start| from_hex(&start)).transpose()?;
            keys(node, &prefix, count, start.as_deref(), arguments.optional()?)
        })?;
    }
    method(module, "state_queryStorageAt", |node, arguments| {
        let keys: Vec<String> = arguments.next()?;
        let at = arguments.optional()?;
        Ok(json!([query(node, &keys, at)?]))
    })?;
    method(module, "state_getMetadata", |node, arguments| {
        let metadata: Vec<u8> = call(node, arguments.optional()?, "Metadata_metadata", &())?;
        Ok(hex(metadata))
    })?;
    for name in ["state_getRuntimeVersion", "chain_getRuntimeVersion"] {
        method(module, name, |node, arguments| version(node, arguments.optional()?))?;
    }
    method(module, "payment_queryInfo", |node, arguments| {
        let extrinsic = arguments.bytes()?;
        let info = payment(node, "query_info", &extrinsic, arguments.optional()?)?;
        type Info = pallet_transaction_payment::RuntimeDispatchInfo<u128>;
        let info = Info::decode(&mut info.as_slice())
            .map_err(|error| failed(-32_603, error.to_string()))?;
        Ok(json!({
            "weight": { "ref_time": info.weight.ref_time(), "proof_size": info.weight.proof_size() },
            "class": info.class,
            "partialFee": info.partial_fee.to_string(),
        }))
    })
}

/// The value of a key at a block.
pub(super) fn value(node: &Node, key: &[u8], at: Option<H256>) -> Answer<Option<Vec<u8>>> {
    let inner = node.lock();
    let block = block_at(&inner, at)?;
    inner.chain.state(block).storage(key).map_err(|error| failed(-32_603, error))
}

fn keys(
    node: &Node,
    prefix: &[u8],
    count: u32,
    start: Option<&[u8]>,
    at: Option<H256>,
) -> Answer<Vec<String>> {
    if count > MOST_KEYS {
        return Err(invalid(format!("at most {MOST_KEYS} keys are told at once")));
    }
    let inner = node.lock();
    let state = inner.chain.state(block_at(&inner, at)?);
    let mut range = IterArgs::default();
    range.prefix = Some(prefix);
    range.start_at = start;
    range.start_at_exclusive = true;
    let keys = state.keys(range).map_err(|error| failed(-32_603, error))?;
    let keys = keys.take(count as usize).map(|key| key.map(hex));
    keys.collect::<Result<_, _>>().map_err(|error| failed(-32_603, error))
}

/// The values of keys, as subscriptions tell them.
pub(super) fn query(node: &Node, keys: &[String], at: Option<H256>) -> Answer<Value> {
    let block = match at {
        Some(block) => block,
        None => node.lock().chain.best().hash,
    };
    let pair = |key: &String| {
        let value = value(node, &from_hex(key)?, Some(block))?;
        Ok((key.clone(), value.map(hex)))
    };
    let changes = keys.iter().map(pair).collect::<Answer<Vec<_>>>()?;
    Ok(json!({ "block": block, "changes": changes }))
}

/// The runtime's version at a block.
pub(super) fn version(node: &Node, at: Option<H256>) -> Answer<Value> {
    let inner = node.lock();
    let block = block_at(&inner, at)?;
    Ok(json!(inner.chain.executor(block).version().map_err(fail)?))
}

fn payment(node: &Node, name: &str, extrinsic: &[u8], at: Option<H256>) -> Answer<Vec<u8>> {
    let inner = node.lock();
    let block = block_at(&inner, at)?;
    let length = (extrinsic.len() as u32).to_le_bytes();
    let data = [extrinsic, &length].concat();
    let name = format!("TransactionPaymentApi_{name}");
    inner.chain.executor(block).call_raw(&name, &data).map_err(fail)
}
