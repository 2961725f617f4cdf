//! A connection to one node: what is asked, within a bound of time, and what went wrong.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use session::rental::{BlockHash, BlockNumber, ChainError, Head, UnixMillis};
use subxt::backend::LegacyBackend;
use subxt::config::substrate::{BlakeTwo256, H256, SubstrateHeader};
use subxt::config::{Hasher as _, RpcConfigFor};
use subxt::ext::codec::{Decode as _, Encode as _};
use subxt::ext::jsonrpsee::ws_client::WsClientBuilder;
use subxt::rpcs::{self, LegacyRpcMethods, RpcClient};
use subxt::{OnlineClient, SubstrateConfig};

use crate::block::Block;
use crate::shape::Shape;
use crate::watch::HEADS;

pub(crate) type Rpc = LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>;
type Header = SubstrateHeader<H256>;

/// Metadata is some hundred kilobytes.
const FOR_METADATA: u32 = 10;
/// How often a newest block is asked for whose state is gone at once.
const NEWEST: u32 = 64;
/// Blocks that are kept, so that several reads of one block ask once what it is.
const BLOCKS: usize = 8;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fail {
    /// The node: another one may answer.
    Link(String),
    /// The chain, or what it says.
    Chain(ChainError),
}

impl From<ChainError> for Fail {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

impl Fail {
    /// Of an answer to a question about a block; nodes say in words alone that its state is gone.
    pub(crate) fn of(number: BlockNumber, error: &impl std::fmt::Display) -> Self {
        let text = error.to_string();
        if text.contains("State already discarded") || text.contains("state already discarded") {
            Self::Chain(ChainError::Pruned(number))
        } else {
            Self::Link(text)
        }
    }
}

pub(crate) fn hash_of(hash: H256) -> BlockHash {
    BlockHash(hash.0)
}

/// What of runtimes was met, by version; one chain has one.
pub(crate) type Shapes = Mutex<HashMap<u32, Arc<Shape>>>;

/// What all links of a client share.
#[derive(Debug)]
pub(crate) struct Common {
    /// Holds metadata by version.
    pub(crate) config: SubstrateConfig,
    pub(crate) shapes: Shapes,
    pub(crate) patience: Duration,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Counts connections.
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) rpc: Rpc,
    pub(crate) client: OnlineClient<SubstrateConfig>,
    common: Arc<Common>,
    blocks: Mutex<Vec<Arc<Block>>>,
}

impl Link {
    /// Connects, and asks which chain it is.
    pub(crate) async fn open(id: u64, address: String, common: Arc<Common>) -> Result<Self, Fail> {
        let patience = common.patience;
        let builder = WsClientBuilder::default()
            .connection_timeout(patience)
            .max_buffer_capacity_per_subscription(HEADS)
            .request_timeout(patience.saturating_mul(FOR_METADATA));
        let socket = within(patience, builder.build(&address)).await?;
        let socket = RpcClient::new(socket.map_err(|error| Fail::Link(error.to_string()))?);
        let backend = LegacyBackend::builder().build(socket.clone());
        let client =
            OnlineClient::from_backend_with_config(common.config.clone(), Arc::new(backend));
        let client = within(patience, client).await?;
        let client = client.map_err(|error| Fail::Link(error.to_string()))?;
        let rpc = Rpc::new(socket);
        Ok(Self { id, address, rpc, client, common, blocks: Mutex::default() })
    }

    pub(crate) fn genesis(&self) -> BlockHash {
        hash_of(self.client.genesis_hash())
    }

    /// Asks something, and takes no answer within the bound for a dead link.
    pub(crate) async fn ask<T>(
        &self,
        number: BlockNumber,
        question: impl Future<Output = Result<T, rpcs::Error>>,
    ) -> Result<T, Fail> {
        let answer = within(self.common.patience, question).await?;
        answer.map_err(|error| Fail::of(number, &error))
    }

    /// The newest block; its hash is computed of its header.
    pub(crate) async fn best(&self) -> Result<Arc<Block>, Fail> {
        let header = self.ask(BlockNumber(0), self.rpc.chain_get_header(None)).await?;
        let header = header.ok_or_else(|| Fail::Link("the node has no best block".to_owned()))?;
        let hash = BlakeTwo256.hash(&header.encode());
        self.with_header(hash, &header).await
    }

    /// The newest final block.
    pub(crate) async fn finalized(&self) -> Result<Arc<Block>, Fail> {
        let hash = self.ask(BlockNumber(0), self.rpc.chain_get_finalized_head()).await?;
        self.by_hash(hash).await
    }

    /// The block with this hash.
    pub(crate) async fn by_hash(&self, hash: H256) -> Result<Arc<Block>, Fail> {
        if let Some(block) = self.kept(hash) {
            return Ok(block);
        }
        let header = self.ask(BlockNumber(0), self.rpc.chain_get_header(Some(hash))).await?;
        let header = header.ok_or_else(|| Fail::Link(format!("the node has no block {hash:?}")))?;
        self.with_header(hash, &header).await
    }

    fn kept(&self, hash: H256) -> Option<Arc<Block>> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.iter().find(|block| block.head.hash.0 == hash.0).cloned()
    }

    async fn with_header(&self, hash: H256, header: &Header) -> Result<Arc<Block>, Fail> {
        if let Some(block) = self.kept(hash) {
            return Ok(block);
        }
        let number = u32::try_from(header.number);
        let number = BlockNumber(number.map_err(|_| ChainError::Malformed("header".to_owned()))?);
        let at = self.client.at_block_hash_and_number(hash, header.number);
        let at = within(self.common.patience.saturating_mul(FOR_METADATA), at).await?;
        let at = at.map_err(|error| Fail::of(number, &error))?;
        let shape = self.shape(&at)?;
        let parent = hash_of(header.parent_hash);
        let head = Head { number, hash: hash_of(hash), parent, time: UnixMillis(0) };
        let mut block =
            Block { head, at, shape, rpc: self.rpc.clone(), patience: self.common.patience };
        block.head.time = UnixMillis(block.plain("Timestamp", "Now").await?.unwrap_or_default());
        let block = Arc::new(block);
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.len() == BLOCKS {
            blocks.remove(0);
        }
        blocks.push(Arc::clone(&block));
        Ok(block)
    }

    /// What the runtime of a block has; looked at once for each version.
    fn shape(&self, at: &subxt::OnlineClientAtBlock<SubstrateConfig>) -> Result<Arc<Shape>, Fail> {
        let lock = || self.common.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = lock().get(&at.spec_version()) {
            return Ok(Arc::clone(shape));
        }
        let shape = Arc::new(Shape::of(at.metadata_ref())?);
        lock().insert(at.spec_version(), Arc::clone(&shape));
        Ok(shape)
    }

    /// The hash of a block of the best branch.
    pub(crate) async fn hash_at(&self, number: BlockNumber) -> Result<Option<H256>, Fail> {
        let at = rpcs::methods::legacy::NumberOrHex::Number(number.0.into());
        self.ask(number, self.rpc.chain_get_block_hash(Some(at))).await
    }

    /// The extrinsics of a block as they stand in it; none where the node has forgotten them.
    pub(crate) async fn body(&self, hash: H256) -> Result<Option<Vec<Vec<u8>>>, Fail> {
        let found = self.ask(BlockNumber(0), self.rpc.chain_get_block(Some(hash))).await?;
        Ok(found.map(|found| found.block.extrinsics.into_iter().map(|bytes| bytes.0).collect()))
    }

    /// What the network takes for a transaction of these bytes at a block: the chain's own formula, with its
    /// parameters of that block (`TransactionPaymentApi.query_info`).
    pub(crate) async fn fee(&self, block: &Block, bytes: &[u8]) -> Result<u128, Fail> {
        let mut question = bytes.to_vec();
        (bytes.len() as u32).encode_to(&mut question);
        let at = Some(H256(block.head.hash.0));
        let method = "TransactionPaymentApi_query_info";
        let answer = self.rpc.state_call(method, Some(&question), at);
        let answer = self.ask(block.head.number, answer).await?;
        // RuntimeDispatchInfo: two parts of the weight, the class, the fee.
        type Info = (subxt::ext::codec::Compact<u64>, subxt::ext::codec::Compact<u64>, u8, u128);
        let info = Info::decode(&mut &*answer);
        Ok(info.map_err(|_| ChainError::Malformed(method.to_owned()))?.3)
    }
}

pub(crate) async fn within<T>(bound: Duration, work: impl Future<Output = T>) -> Result<T, Fail> {
    let late = |_| Fail::Link(format!("the node did not answer within {bound:?}"));
    tokio::time::timeout(bound, work).await.map_err(late)
}

/// Asks about a newest block, and again about the next one where so many came meanwhile that its state is gone, as when a
/// chain of development is wound forward.
pub(crate) async fn newest<T, W>(ask: impl Fn() -> W) -> Result<T, Fail>
where
    W: Future<Output = Result<T, Fail>>,
{
    for _ in 1..NEWEST {
        match ask().await {
            Err(Fail::Chain(ChainError::Pruned(_))) => {}
            answer => return answer,
        }
    }
    ask().await
}
