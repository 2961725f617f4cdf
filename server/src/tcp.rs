//! What the kernel is told of each connection of HTTP: a session may play over it.

use axum_server::accept::Accept;
use socket2::SockRef;
use tokio::net::TcpStream;

/// Bytes that the kernel takes beyond what it sends: they can be neither overtaken nor left out any more. It is read in
/// about 30 ms at 4 Mbit/s; much less would let a fast link run dry between two turns of a writer.
const UNSENT: u32 = 16 * 1024;

/// Accepts as `A` does, connections that send at once and hold little back.
#[derive(Clone, Debug)]
pub(crate) struct Prompt<A>(pub(crate) A);

impl<A: Accept<TcpStream, S>, S> Accept<TcpStream, S> for Prompt<A> {
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = A::Future;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let socket = SockRef::from(&stream);
        let told = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_notsent_lowat(UNSENT));
        if let Err(error) = told {
            tracing::debug!(%error, "a connection keeps the system's own buffers");
        }
        self.0.accept(stream, service)
    }
}
