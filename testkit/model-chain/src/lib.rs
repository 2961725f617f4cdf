//! A model of the chain that machines are rented on, in memory, and the contract that every `RentalChain` keeps.
//!
//! The model is a test double: it has the rules of the pallets that a renter meets, as the research notes give them, and neither
//! encoding, signatures, nodes nor consensus. Blocks come when a call needs one or [`ModelChain::advance`] asks for them;
//! every block is executed, since its hooks are keyed by exact number. What real parts do is shown by running
//! [`rental_contract`] on them; [`Devchain`] starts the development chain for that, and a [`Line`] to it can be cut. A
//! [`Renter`] rents and plays a node over its sockets, wherever that node runs.

mod contract;
mod devchain;
mod line;
mod model;
mod renter;
mod wallet;

pub use contract::{RentalSubject, Wallet, rental_contract};
pub use devchain::{Devchain, development_seed};
pub use line::Line;
pub use model::{ModelChain, account_of};
pub use renter::{Came, Joined, Player, Renter, RenterError};
