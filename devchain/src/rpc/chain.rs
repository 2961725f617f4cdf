//! Blocks.

use jsonrpsee::core::RegisterMethodError;
use runtime::Header;
use serde::Deserialize;
use serde_json::{Value, json};
use sp_core::H256;

use super::{Answer, Module, fail, hex, invalid, method};
use crate::chain::Body;
use crate::node::Node;

/// A block's number, or hexadecimal digits of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u32),
    Hex(String),
}

impl Number {
    fn value(&self) -> Answer<u32> {
        match self {
            Self::Plain(number) => Ok(*number),
            Self::Hex(text) => {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                u32::from_str_radix(digits, 16)
                    .map_err(|error| invalid(format!("{text} is no block: {error}")))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(Number),
    Many(Vec<Number>),
}

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    for name in ["chain_getBlockHash", "chain_getHead"] {
        method(module, name, |node, arguments| match arguments.optional::<Numbers>()? {
            None => Ok(json!(node.lock().chain.best().hash)),
            Some(Numbers::One(number)) => Ok(json!(hash_of(node, &number)?)),
            Some(Numbers::Many(numbers)) => {
                let hashes = numbers.iter().map(|number| hash_of(node, number));
                Ok(json!(hashes.collect::<Answer<Vec<_>>>()?))
            }
        })?;
    }
    for name in ["chain_getFinalizedHead", "chain_getFinalisedHead"] {
        method(module, name, |node, _| Ok(json!(node.lock().chain.finalized().hash)))?;
    }
    method(module, "chain_getHeader", |node, arguments| {
        let block = block(node, arguments.optional()?)?;
        Ok(block.map_or(Value::Null, |(header, _)| json!(header)))
    })?;
    method(module, "chain_getBlock", |node, arguments| {
        let block = block(node, arguments.optional()?)?;
        Ok(block.map_or(Value::Null, |(header, body)| {
            let extrinsics: Vec<String> = body.iter().map(hex).collect();
            json!({
                "block": { "header": header, "extrinsics": extrinsics },
                "justifications": null,
            })
        }))
    })
}

fn hash_of(node: &Node, number: &Number) -> Answer<Option<H256>> {
    node.lock().chain.hash_of(number.value()?).map_err(fail)
}

fn block(node: &Node, hash: Option<H256>) -> Answer<Option<(Header, Body)>> {
    let inner = node.lock();
    let hash = hash.unwrap_or_else(|| inner.chain.best().hash);
    inner.chain.block(hash).map_err(fail)
}
