//! One block of the chain: what its state says, by names.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use session::rental::{AccountId, BlockNumber, ChainError, Head};
use subxt::config::substrate::H256;
use subxt::dynamic::Value;
use subxt::ext::scale_decode::DecodeAsType;
use subxt::storage::StorageEntry;
use subxt::{OnlineClientAtBlock, SubstrateConfig};

use crate::items::{AccountInfo, malformed};
use crate::link::{Fail, Rpc, within};
use crate::shape::{Shape, has_storage};

/// Keys that are asked for at a time, and values.
const KEYS: u32 = 64;
/// Keys that begin alike of which values are read at the most: for years of renters of one machine, and not for ever.
const MOST: usize = 16_384;

/// A block, and the metadata of its runtime.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) head: Head,
    pub(crate) at: OnlineClientAtBlock<SubstrateConfig>,
    pub(crate) shape: Arc<Shape>,
    pub(crate) rpc: Rpc,
    pub(crate) patience: Duration,
}

impl Block {
    pub(crate) fn hash(&self) -> H256 {
        H256(self.head.hash.0)
    }

    pub(crate) fn number(&self) -> BlockNumber {
        self.head.number
    }

    /// Bytes under a key of this block's state.
    pub(crate) async fn raw(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fail> {
        let answer = self.rpc.state_get_storage(key, Some(self.hash()));
        let answer = within(self.patience, answer).await?;
        answer.map_err(|error| Fail::of(self.number(), &error))
    }

    /// What is stored under keys, if it is there: the default of the metadata is not used.
    pub(crate) async fn stored<T: DecodeAsType>(
        &self,
        pallet: &str,
        entry: &str,
        keys: Vec<Value>,
    ) -> Result<Option<T>, Fail> {
        let name = || format!("{pallet}.{entry}");
        let found = self.at.storage();
        let found = found.entry((pallet, entry)).map_err(|_| ChainError::Missing(name()))?;
        let key = found.fetch_key(keys).map_err(|_| malformed(&name()))?;
        let Some(bytes) = self.raw(&key).await? else { return Ok(None) };
        self.decoded(pallet, entry, &bytes).map(Some)
    }

    /// What is stored under keys, or the default that the metadata gives.
    pub(crate) async fn value<T: DecodeAsType>(
        &self,
        pallet: &str,
        entry: &str,
        keys: Vec<Value>,
    ) -> Result<Option<T>, Fail> {
        if let Some(there) = self.stored(pallet, entry, keys).await? {
            return Ok(Some(there));
        }
        let storage = self.at.metadata_ref().pallet_by_name(pallet).and_then(|it| it.storage());
        let found = storage.and_then(|storage| storage.entry_by_name(entry));
        let default = found.and_then(|found| found.default_value());
        default.map(|bytes| self.decoded(pallet, entry, bytes)).transpose()
    }

    /// A value without keys, or its default.
    pub(crate) async fn plain<T: DecodeAsType>(
        &self,
        pallet: &str,
        entry: &str,
    ) -> Result<Option<T>, Fail> {
        self.value(pallet, entry, Vec::new()).await
    }

    /// What is stored under keys on later runtimes, if it is there; none on those that do not have it.
    pub(crate) async fn stored_addition<T: DecodeAsType>(
        &self,
        pallet: &str,
        entry: &str,
        keys: Vec<Value>,
    ) -> Result<Option<T>, Fail> {
        if !has_storage(self.at.metadata_ref(), pallet, entry) {
            return Ok(None);
        }
        self.stored(pallet, entry, keys).await
    }

    /// A value that later runtimes have; none on those that do not.
    pub(crate) async fn addition<T: DecodeAsType>(
        &self,
        pallet: &str,
        entry: &str,
        keys: Vec<Value>,
    ) -> Result<Option<T>, Fail> {
        if !has_storage(self.at.metadata_ref(), pallet, entry) {
            return Ok(None);
        }
        self.value(pallet, entry, keys).await
    }

    /// Hands over what later runtimes have under each key that begins so, with what comes behind that in the key; nothing on
    /// those that do not have it. What has a form that is not known is passed over.
    pub(crate) async fn each_addition<T: DecodeAsType>(
        &self,
        pallet: &str,
        entry: &str,
        first: Vec<Value>,
        mut each: impl FnMut(&[u8], T) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        if !has_storage(self.at.metadata_ref(), pallet, entry) {
            return Ok(());
        }
        let name = || format!("{pallet}.{entry}");
        let prefix = {
            let found = self.at.storage().entry((pallet, entry)).ok();
            let prefix = found.filter(StorageEntry::is_map).map(|found| found.iter_key(first));
            prefix.and_then(Result::ok).ok_or_else(|| malformed(&name()))?
        };
        let at = Some(self.hash());
        let (mut read, mut unknown) = (0, 0);
        let mut last: Option<Vec<u8>> = None;
        loop {
            let keys = self.rpc.state_get_keys_paged(&prefix, KEYS, last.as_deref(), at);
            let keys = within(self.patience, keys).await?;
            let mut keys = keys.map_err(|error| Fail::of(self.number(), &error))?;
            // A node that does not go on has told all that it will.
            keys.retain(|key| key.starts_with(&prefix) && Some(key) > last.as_ref());
            read += keys.len();
            if read > MOST {
                return Err(ChainError::TooMany { item: name(), most: MOST }.into());
            }
            let values = try_join_all(keys.iter().map(|key| self.raw(key))).await?;
            for (key, bytes) in keys.iter().zip(values) {
                let Some(bytes) = bytes else { continue };
                let value = self.decoded(pallet, entry, &bytes);
                let taken = value.and_then(|value| each(&key[prefix.len()..], value));
                unknown += usize::from(taken.is_err());
            }
            last = keys.pop();
            if last.is_none() {
                break;
            }
        }
        if unknown > 0 {
            tracing::warn!(pallet, entry, unknown, "values have a form that is not known");
        }
        Ok(())
    }

    fn decoded<T: DecodeAsType>(&self, pallet: &str, entry: &str, bytes: &[u8]) -> Result<T, Fail> {
        let name = || format!("{pallet}.{entry}");
        let metadata = self.at.metadata_ref();
        let storage = metadata.pallet_by_name(pallet).and_then(|it| it.storage());
        let found = storage.and_then(|storage| storage.entry_by_name(entry));
        let kind = found.ok_or_else(|| ChainError::Missing(name()))?.value_ty();
        let bytes = &mut &*bytes;
        let value = T::decode_as_type(bytes, kind, metadata.types());
        let value = value.map_err(|_| malformed(&name()))?;
        if bytes.is_empty() { Ok(value) } else { Err(malformed(&name()).into()) }
    }

    /// A constant of a pallet, if it has it.
    pub(crate) fn constant<T: DecodeAsType>(&self, pallet: &str, name: &str) -> Option<T> {
        let metadata = self.at.metadata_ref();
        let constant = metadata.pallet_by_name(pallet)?.constant_by_name(name)?;
        T::decode_as_type(&mut constant.value(), constant.ty(), metadata.types()).ok()
    }

    /// An account, also one that was never used.
    pub(crate) async fn account(&self, account: &AccountId) -> Result<AccountInfo, Fail> {
        let keys = vec![Value::from_bytes(account.0)];
        let value = self.value::<Value>("System", "Account", keys).await?;
        let info = value.map(|value| AccountInfo::of(&value)).transpose()?;
        Ok(info.unwrap_or_default())
    }
}
