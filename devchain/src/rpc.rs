//! JSON-RPC as Substrate's nodes speak it, as far as subxt (legacy backend) and `@polkadot/api` need it, and `dev_` methods.

mod author;
mod chain;
mod development;
mod state;
mod subscriptions;
mod system;

use std::net::SocketAddr;
use std::sync::Arc;

use codec::Decode;
use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::server::{Server, ServerConfig, ServerHandle};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde::de::DeserializeOwned;
use sp_core::H256;

use crate::chain::{Block, ChainError};
use crate::executor::CallError;
use crate::node::{Inner, Node};
use crate::store::StoreError;

/// What is answered to a request or told of a subscription at most: metadata is the largest.
const LARGEST: u32 = 16 * 1024 * 1024;

type Module = RpcModule<Node>;
type Answer<T> = Result<T, ErrorObjectOwned>;

/// Serves a node over WebSocket and HTTP on one port.
///
/// # Errors
/// Where the address cannot be bound.
pub async fn serve(
    node: Arc<Node>,
    address: SocketAddr,
) -> Result<(SocketAddr, ServerHandle), std::io::Error> {
    let config = ServerConfig::builder()
        .max_connections(1_024)
        .max_request_body_size(LARGEST)
        .max_response_body_size(LARGEST)
        .build();
    let server = Server::builder().set_config(config).build(address).await?;
    let module = methods(node).map_err(std::io::Error::other)?;
    Ok((server.local_addr()?, server.start(module)))
}

fn methods(node: Arc<Node>) -> Result<Module, RegisterMethodError> {
    let mut module = RpcModule::from_arc(node);
    system::register(&mut module)?;
    chain::register(&mut module)?;
    state::register(&mut module)?;
    author::register(&mut module)?;
    subscriptions::register(&mut module)?;
    development::register(&mut module)?;
    let mut names: Vec<&str> = module.method_names().collect();
    names.push("rpc_methods");
    names.sort_unstable();
    let list = serde_json::json!({ "methods": names });
    module.register_method("rpc_methods", move |_, _, _| list.clone())?;
    Ok(module)
}

/// A method that may wait for the node: it runs on a thread that may.
fn method<R, F>(
    module: &mut Module,
    name: &'static str,
    function: F,
) -> Result<(), RegisterMethodError>
where
    R: jsonrpsee::IntoResponse + 'static,
    Answer<R>: jsonrpsee::IntoResponse,
    F: Fn(&Node, &mut Arguments<'_>) -> Answer<R> + Clone + Send + Sync + 'static,
{
    module.register_blocking_method(name, move |params, node, _| {
        let params: Params<'_> = params;
        function(&node, &mut Arguments(params.sequence()))
    })?;
    Ok(())
}

/// A request's arguments, by position.
struct Arguments<'a>(jsonrpsee::types::ParamsSequence<'a>);

impl Arguments<'_> {
    fn next<T: DeserializeOwned>(&mut self) -> Answer<T> {
        self.0.next::<T>()
    }

    /// One that may be missing or null.
    fn optional<T: DeserializeOwned>(&mut self) -> Answer<Option<T>> {
        self.0.optional_next::<T>()
    }

    fn bytes(&mut self) -> Answer<Vec<u8>> {
        from_hex(&self.next::<String>()?)
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn from_hex(text: &str) -> Answer<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(digits).map_err(|error| invalid(format!("{text} is not hexadecimal: {error}")))
}

fn invalid(text: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(-32_602, text, None::<()>)
}

fn failed(code: i32, text: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, text, None::<()>)
}

/// Substrate's number for what its state cannot answer.
const STATE: i32 = 4_003;

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(failed(-32_603, error.to_string()))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self(failed(STATE, format!("Client error: Execution failed: {error}")))
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Runtime(error) => error.into(),
            ChainError::Final(_) | ChainError::Refused(_) => Self(invalid(error.to_string())),
            other => Self(failed(-32_603, other.to_string())),
        }
    }
}

/// Errors of the node on their way into an answer.
struct Failure(ErrorObjectOwned);

impl From<Failure> for ErrorObjectOwned {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

fn fail(error: impl Into<Failure>) -> ErrorObjectOwned {
    error.into().0
}

/// The block whose state is asked for, or the best one.
fn block_at(inner: &Inner, hash: Option<H256>) -> Answer<&Block> {
    let Some(hash) = hash else { return Ok(inner.chain.best()) };
    if let Some(block) = inner.chain.kept(hash) {
        return Ok(block);
    }
    let known = inner.chain.block(hash).map_err(fail)?.is_some();
    let why = if known { "State already discarded for" } else { "Unknown block" };
    Err(failed(STATE, format!("Client error: UnknownBlock: {why} {hash:?}")))
}

/// Calls the runtime at a block.
fn call<R: Decode>(
    node: &Node,
    at: Option<H256>,
    name: &str,
    arguments: &impl codec::Encode,
) -> Answer<R> {
    let inner = node.lock();
    let block = block_at(&inner, at)?;
    inner.chain.executor(block).call(name, arguments).map_err(fail)
}
