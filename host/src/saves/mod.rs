//! What players keep of games.

mod path;

pub use path::HomePath;
pub(crate) use path::overlap;
