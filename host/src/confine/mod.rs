//! Confines and runs games.
