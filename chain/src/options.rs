//! What a client of the chain is told.

use std::time::Duration;

use session::rental::BlockHash;

/// Where the chain is, which one it is, and how patient the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Nodes, `ws://` or `wss://`, best first.
    pub addresses: Vec<String>,
    /// The hash of block 0; none takes the first node's, and holds all others to it.
    pub genesis: Option<BlockHash>,
    /// Block 0 of a chain of development. Keys that everybody knows sign there and nowhere else.
    pub development: Option<BlockHash>,
    /// How long a node may take to answer a request. Metadata may take ten times as long.
    pub patience: Duration,
    /// How often a node that says nothing by itself is asked for its heads.
    pub probe: Duration,
    /// How long a node may show no new block before the next one is asked, where there are several: a node that is stuck
    /// answers, too.
    pub stale: Duration,
    /// How often a call that is not in a block is sent again.
    pub resend: Duration,
    /// The pause after no node answered; it doubles up to sixteen times that.
    pub pause: Duration,
}

impl Options {
    /// Of these nodes; times are those of a chain of 6 s a block.
    pub fn new(addresses: impl IntoIterator<Item = String>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            genesis: None,
            development: None,
            patience: Duration::from_secs(5),
            probe: Duration::from_secs(6),
            stale: Duration::from_secs(60),
            resend: Duration::from_secs(6),
            pause: Duration::from_secs(1),
        }
    }
}
