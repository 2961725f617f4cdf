//! The pallets of the real chain that are not in Substrate, written from what is known of their rules.

pub mod dbc_price;
pub mod development;
pub mod generic_func;
pub mod online_profile;
pub mod rent_machine;
