//! The X display of a session: capture, pointer, input.
