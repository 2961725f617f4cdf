//! A line of TCP to a server that can be cut, mended and muted: what a client of a remote node lives with.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Bytes that are carried at a time.
const PIECE: usize = 16 * 1024;

#[derive(Debug, Default)]
struct State {
    cut: bool,
    muted: bool,
    over: bool,
    /// Both ends of every connection that was ever made.
    ends: Vec<TcpStream>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line. Dropped, it is cut for good.
#[derive(Debug)]
pub struct Line {
    front: SocketAddr,
    shared: Arc<Shared>,
}

impl Line {
    /// A line to a server.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn to(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let front = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("line".to_owned())
            .spawn(move || accept(&listener, server, &of_thread))?;
        Ok(Self { front, shared })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.front
    }

    /// Ends all connections and takes no more.
    pub fn cut(&self) {
        let mut state = self.shared.lock();
        state.cut = true;
        state.ends.drain(..).for_each(|end| {
            let _ = end.shutdown(Shutdown::Both);
        });
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.shared.lock().cut = false;
    }

    /// Whether connections stay and nothing is carried over them.
    pub fn mute(&self, muted: bool) {
        self.shared.lock().muted = muted;
        self.shared.changed.notify_all();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.front);
    }
}

fn accept(listener: &TcpListener, server: SocketAddr, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let mut state = shared.lock();
        if state.over {
            return;
        }
        let Ok(client) = client else { continue };
        if state.cut {
            continue;
        }
        let Ok(rear) = TcpStream::connect(server) else { continue };
        let ends = [client.try_clone(), rear.try_clone(), client.try_clone(), rear.try_clone()];
        let [Ok(kept), Ok(kept_rear), Ok(to_client), Ok(to_rear)] = ends else { continue };
        state.ends.extend([kept, kept_rear]);
        drop(state);
        for (from, to) in [(client, to_rear), (rear, to_client)] {
            let shared = Arc::clone(shared);
            thread::spawn(move || carry(from, to, &shared));
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut piece = [0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let state = shared.lock();
        let is_held = |state: &mut State| state.muted && !state.cut && !state.over;
        drop(shared.changed.wait_while(state, is_held).unwrap_or_else(PoisonError::into_inner));
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use super::*;

    /// Connects, writes a byte and reads it back.
    fn echo(line: &Line) -> std::io::Result<(TcpStream, u8)> {
        let mut socket = TcpStream::connect(line.address())?;
        socket.write_all(b"x")?;
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        Ok((socket, byte[0]))
    }

    #[test]
    fn a_line_carries_is_cut_is_mended_and_is_muted() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let line = Line::to(server.local_addr().unwrap()).unwrap();
        thread::spawn(move || {
            for client in server.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let (mut from, mut to) = (client.try_clone().unwrap(), client);
                    let _ = std::io::copy(&mut from, &mut to);
                });
            }
        });
        let (mut socket, byte) = echo(&line).unwrap();
        assert_eq!(byte, b'x');
        line.cut();
        assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)), "it has ended");
        assert!(echo(&line).is_err(), "and no other is made");
        line.mend();
        let (mut socket, _) = echo(&line).unwrap();
        line.mute(true);
        socket.write_all(b"y").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let nothing = socket.read(&mut [0]).unwrap_err();
        assert!(matches!(nothing.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        line.mute(false);
        socket.set_read_timeout(None).unwrap();
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [b'y']);
    }
}
