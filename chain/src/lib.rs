//! DeepBrain Chain as [`session::rental::RentalChain`], by `subxt`: the only crate that sees SCALE.
