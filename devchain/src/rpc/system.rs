//! What the node is.

use jsonrpsee::core::RegisterMethodError;
use serde_json::json;
use sp_core::crypto::Ss58Codec as _;
use sp_runtime::AccountId32;

use super::{Module, call, from_hex, hex, invalid, method};

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    let fixed = [
        ("system_name", json!("Nearlight development chain")),
        ("system_version", json!(env!("CARGO_PKG_VERSION"))),
        ("system_chain", json!("DBC Development")),
        ("system_chainType", json!("Development")),
        (
            "system_properties",
            json!({ "ss58Format": 42, "tokenDecimals": 15, "tokenSymbol": "DBC" }),
        ),
        ("system_health", json!({ "peers": 0, "isSyncing": false, "shouldHavePeers": false })),
        ("system_nodeRoles", json!(["Authority"])),
        ("system_peers", json!([])),
        ("system_localListenAddresses", json!([])),
    ];
    for (name, value) in fixed {
        module.register_method(name, move |_, _, _| value.clone())?;
    }
    method(module, "system_syncState", |node, _| {
        let number = node.lock().chain.best().header.number;
        Ok(json!({ "startingBlock": 0, "currentBlock": number, "highestBlock": number }))
    })?;
    for name in ["system_accountNextIndex", "account_nextIndex"] {
        method(module, name, |node, arguments| {
            let account = account(&arguments.next::<String>()?)?;
            let nonce: u32 = call(node, None, "AccountNonceApi_account_nonce", &account)?;
            // With those that wait.
            let inner = node.lock();
            Ok(inner.pool.next_nonce(&account, nonce))
        })?;
    }
    method(module, "system_dryRun", |node, arguments| {
        let bytes = arguments.bytes()?;
        let inner = node.lock();
        let block = super::block_at(&inner, arguments.optional()?)?;
        let mut runtime = inner.chain.executor(block);
        let result = node.dry_run(&mut runtime, block, &bytes).map_err(super::fail)?;
        Ok(hex(codec::Encode::encode(&result)))
    })
}

/// An account by its address, of any network, or by its 32 bytes.
pub(super) fn account(text: &str) -> super::Answer<AccountId32> {
    if text.starts_with("0x") {
        let bytes: [u8; 32] =
            from_hex(text)?.try_into().map_err(|_| invalid("an account is 32 bytes"))?;
        return Ok(bytes.into());
    }
    let read = AccountId32::from_ss58check_with_version(text);
    Ok(read.map_err(|error| invalid(format!("{text} is no address: {error}")))?.0)
}
