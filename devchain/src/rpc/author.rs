//! Transactions.

use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::ErrorObjectOwned;
use sp_runtime::transaction_validity::TransactionValidityError;

use super::{Module, hex, method};
use crate::pool::Refusal;

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    method(module, "author_submitExtrinsic", |node, arguments| {
        let hash = node.submit(arguments.bytes()?).map_err(|refusal| refused(&refusal))?;
        Ok(hex(hash))
    })?;
    method(module, "author_pendingExtrinsics", |node, _| {
        let inner = node.lock();
        Ok(inner.pool.pending().map(hex).collect::<Vec<_>>())
    })
}

/// With Substrate's numbers and words.
pub(super) fn refused(refusal: &Refusal) -> ErrorObjectOwned {
    let (code, text) = match refusal {
        Refusal::Form(_) => (1_001, "Extrinsic has invalid format"),
        Refusal::Runtime(_) => (1_002, "Verification Error: Runtime error"),
        Refusal::Invalid(TransactionValidityError::Invalid(_)) => (1_010, "Invalid Transaction"),
        Refusal::Invalid(TransactionValidityError::Unknown(_)) => {
            (1_011, "Unknown Transaction Validity")
        }
        Refusal::Known => (1_013, "Transaction is already imported"),
        Refusal::Priority { .. } => (1_014, "Priority is too low"),
        Refusal::Full => (1_016, "Immediately Dropped"),
    };
    ErrorObjectOwned::owned(code, text, Some(refusal.to_string()))
}
