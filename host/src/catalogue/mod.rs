//! Entries of the catalogue, one TOML folder a game.
