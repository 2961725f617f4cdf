//! The sound server of a session.
