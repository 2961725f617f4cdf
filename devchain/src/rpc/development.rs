//! What only a chain of development has.

use jsonrpsee::core::RegisterMethodError;
use runtime::pallets::online_profile::Registration;
use serde::Deserialize;
use serde_json::{Value, json};
use sp_core::H256;

use super::{Answer, Module, fail, from_hex, invalid, method, system};
use crate::node::{Action, Node};

/// Blocks that are made at once at most: sixty days.
const MOST_BLOCKS: u32 = 60 * 14_400;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Machine {
    machine: String,
    owner: String,
    controller: String,
    gpus: u32,
    calc_point: u64,
}

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    method(module, "dev_newBlocks", |node, arguments| {
        let count: u32 = arguments.next()?;
        if count > MOST_BLOCKS {
            return Err(invalid(format!("at most {MOST_BLOCKS} blocks are made at once")));
        }
        Ok(head(node.new_blocks(count).map_err(fail)?))
    })?;
    method(module, "dev_holdFinality", |node, arguments| {
        node.hold_finality(arguments.next()?).map_err(fail)?;
        Ok(Value::Null)
    })?;
    method(module, "dev_reorganise", |node, arguments| {
        Ok(head(node.reorganise(arguments.next()?).map_err(fail)?))
    })?;
    method(module, "dev_stall", |node, arguments| {
        node.stall(arguments.next()?);
        Ok(Value::Null)
    })?;
    method(module, "dev_setStorage", |node, arguments| {
        let pairs: Vec<(String, Option<String>)> = arguments.next()?;
        let pair = |(key, value): &(String, Option<String>)| {
            let value = value.as_deref().map(from_hex).transpose()?;
            Ok((from_hex(key)?, value))
        };
        let changes = pairs.iter().map(pair).collect::<Answer<_>>()?;
        act(node, Action::SetStorage(changes))
    })?;
    method(module, "dev_setDbcPrice", |node, arguments| {
        act(node, Action::SetDbcPrice(arguments.optional()?))
    })?;
    method(module, "dev_machineExit", |node, arguments| {
        act(node, Action::MachineExit(arguments.next()?))
    })?;
    method(module, "dev_registerMachine", |node, arguments| {
        let new: Machine = arguments.next()?;
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if new.machine.len() != 64 || !new.machine.bytes().all(is_digit) {
            return Err(invalid("a machine is 64 lower-case hexadecimal digits"));
        }
        act(
            node,
            Action::Register(Registration {
                id: new.machine.into_bytes(),
                owner: system::account(&new.owner)?,
                controller: system::account(&new.controller)?,
                gpus: new.gpus,
                calc_point: new.calc_point,
            }),
        )
    })
}

fn act(node: &Node, action: Action) -> Answer<Value> {
    Ok(head(node.act(action).map_err(fail)?))
}

fn head((number, hash): (u32, H256)) -> Value {
    json!({ "number": number, "hash": hash })
}
