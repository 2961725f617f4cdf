//! A development chain on which machines are rented: real FRAME, run natively, with a node of its own around it.
//!
//! Nothing else in Nearlight sees FRAME; whoever needs the chain speaks JSON-RPC with the program `nearlight-devchain`.

mod chain;
mod executor;
mod node;
mod pool;
pub mod rpc;
mod state;
mod store;

pub use chain::{Block, ChainError};
pub use executor::CallError;
pub use node::{Action, ChainEvent, Clock, Node, SLOT_MS, Seal};
pub use pool::{Refusal, Status};
pub use store::StoreError;
