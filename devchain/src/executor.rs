//! The runtime's functions, run on a state. A panic in them is an error here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use codec::{Decode, Encode};
use runtime::Header;
use sp_runtime::traits::BlakeTwo256;
use sp_runtime::{ApplyExtrinsicResult, ExtrinsicInclusionMode, StateVersion};
use sp_state_machine::{BackendTransaction, Ext, OverlayedChanges};
use sp_version::RuntimeVersion;
use thiserror::Error;

use crate::state::Backend;

/// A key and its value, or that it has none any more.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// Why the runtime has not answered.
#[derive(Debug, Error)]
pub enum CallError {
    /// It panicked; its own words.
    #[error("the runtime panicked: {0}")]
    Panicked(String),
    /// There is no such function.
    #[error("the runtime has no function {0}")]
    NoFunction(String),
    /// Its answer is not what was expected.
    #[error("the runtime's answer has another form: {0}")]
    Form(#[from] codec::Error),
}

/// A state with what was changed on it.
pub(crate) struct Executor<'a> {
    backend: Backend<'a>,
    overlay: OverlayedChanges<BlakeTwo256>,
}

/// What was changed.
pub(crate) struct Changes {
    pub(crate) storage: Vec<Change>,
    pub(crate) nodes: BackendTransaction<BlakeTwo256>,
}

impl<'a> Executor<'a> {
    pub(crate) fn new(backend: Backend<'a>) -> Self {
        Self { backend, overlay: OverlayedChanges::default() }
    }

    /// Runs something on the state. What a panic has changed is undone.
    pub(crate) fn run<R>(&mut self, function: impl FnOnce() -> R) -> Result<R, CallError> {
        let before = self.overlay.clone();
        let mut extensions = sp_externalities::Extensions::default();
        let mut state = Ext::new(&mut self.overlay, &self.backend, Some(&mut extensions));
        let result = catch_unwind(AssertUnwindSafe(|| {
            sp_externalities::set_and_run_with_externalities(&mut state, function)
        }));
        drop(state);
        result.map_err(|panic| {
            self.overlay = before;
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            CallError::Panicked(text.unwrap_or_default())
        })
    }

    /// Calls a function of the runtime's interface with encoded arguments.
    pub(crate) fn call_raw(&mut self, name: &str, data: &[u8]) -> Result<Vec<u8>, CallError> {
        let answer = self.run(|| runtime::api::dispatch(name, data))?;
        answer.ok_or_else(|| CallError::NoFunction(name.to_owned()))
    }

    pub(crate) fn call<R: Decode>(
        &mut self,
        name: &str,
        arguments: &impl Encode,
    ) -> Result<R, CallError> {
        let answer = self.call_raw(name, &arguments.encode())?;
        Ok(R::decode(&mut answer.as_slice())?)
    }

    pub(crate) fn version(&mut self) -> Result<RuntimeVersion, CallError> {
        self.call("Core_version", &())
    }

    /// Begins a block.
    pub(crate) fn begin(&mut self, header: &Header) -> Result<(), CallError> {
        let _: ExtrinsicInclusionMode = self.call("Core_initialize_block", header)?;
        Ok(())
    }

    /// Takes an extrinsic, encoded as in a block's body, into the block.
    pub(crate) fn apply(&mut self, extrinsic: &[u8]) -> Result<ApplyExtrinsicResult, CallError> {
        let answer = self.call_raw("BlockBuilder_apply_extrinsic", extrinsic)?;
        Ok(ApplyExtrinsicResult::decode(&mut answer.as_slice())?)
    }

    /// Ends the block.
    pub(crate) fn finish(mut self) -> Result<(Header, Changes), CallError> {
        let header: Header = self.call("BlockBuilder_finalize_block", &())?;
        Ok((header, self.changes()))
    }

    /// What was changed so far.
    pub(crate) fn changes(mut self) -> Changes {
        let drained = self.overlay.drain_storage_changes(&self.backend, StateVersion::V1);
        let drained = drained.unwrap_or_default();
        Changes { storage: drained.main_storage_changes, nodes: drained.transaction }
    }

    /// Writes a value.
    pub(crate) fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.overlay.set_storage(key, value);
    }
}
