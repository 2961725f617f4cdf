//! A connection from its first packet until it is accepted: what it takes of the endpoint's limits, and how
//! it is ended before anybody has a handle of it.
//!
//! Until it is accepted it keeps its place and its turn as long as QUIC has it, not as long as somebody waits for
//! its request, so no client can hold more connections than there are turns.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use wtransport::quinn;
use wtransport::quinn::congestion::{Controller, ControllerFactory};

use super::config::EndpointConfig;
use super::keys::{Cut, CutTls};
use super::places::Place;
use super::window::Window;

/// What a connection takes of the endpoint's limits; none once it is accepted.
type Held = Mutex<Option<(Place, OwnedSemaphorePermit)>>;

/// See the module. Dropping it ends the connection.
pub(super) struct Admission {
    cut: Cut,
    window: Window,
    held: Arc<Held>,
    accepted: bool,
}

impl Admission {
    /// Lets a connection in, which is to be served by the configuration that is yielded.
    pub(super) fn new(
        place: Place,
        turn: OwnedSemaphorePermit,
        config: &EndpointConfig,
        server: &quinn::ServerConfig,
    ) -> (Self, quinn::ServerConfig) {
        let held = Arc::new(Mutex::new(Some((place, turn))));
        let (cut, window) = (Cut::default(), Window::default());
        let windows = Windows { window: window.clone(), _held: held.clone() };
        let mut server = server.clone();
        server.crypto = Arc::new(CutTls { inner: server.crypto, cut: cut.clone() });
        server.transport_config(Arc::new(config.quic(windows)));
        (Self { cut, window, held, accepted: false }, server)
    }

    /// The client has its answer, and its connection a handle, by which it is closed from now on. Yields its
    /// congestion window and the place that it takes.
    pub(super) fn accept(mut self) -> Option<(Window, Place)> {
        self.accepted = true;
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        held.map(|(place, _)| (self.window.clone(), place))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.accepted {
            self.cut.cut();
        }
    }
}

/// Gives every path of one connection the same [`Window`]. It lives as long as QUIC has the connection.
pub(super) struct Windows {
    window: Window,
    _held: Arc<Held>,
}

impl ControllerFactory for Windows {
    fn build(self: Arc<Self>, _: Instant, _: u16) -> Box<dyn Controller> {
        self.window.clone_box()
    }
}
