//! Connections of HTTP/2 (RFC 9113), by hand: clients of it keep to what a server tells them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Kinds of frames (§6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
/// Flags of frames.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `SETTINGS_MAX_CONCURRENT_STREAMS` (§6.5.2), and eight of them.
const EIGHT: [u8; 6] = [0, 3, 0, 0, 0, 8];
/// `REFUSED_STREAM` (§7).
const REFUSED: [u8; 4] = [0, 0, 0, 7];

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    body: Vec<u8>,
}

struct Http2(TcpStream);

impl Http2 {
    async fn connect(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut client = Self(stream);
        client.send(SETTINGS, 0, 0, &[]).await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head[..], body].concat()).await.unwrap();
    }

    /// Begins a request whose body is yet to come.
    async fn asks(&mut self, stream: u32) {
        // Numbers of the static table of RFC 7541, appendix A: POST, http, then names whose values follow.
        let mut block = vec![0x83, 0x86];
        let fields: [(&[u8], &str); 3] =
            [(&[4], "/api/v1/join"), (&[1], "node.test"), (&[0x0f, 0x10], "application/json")];
        for (name, value) in fields {
            block.extend_from_slice(name);
            block.push(u8::try_from(value.len()).unwrap());
            block.extend_from_slice(value.as_bytes());
        }
        self.send(HEADERS, END_HEADERS, stream, &block).await;
    }

    async fn next(&mut self) -> Frame {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.unwrap();
            let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
            let mut body = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
            self.0.read_exact(&mut body).await.unwrap();
            Frame { kind, flags, stream: u32::from_be_bytes([s0, s1, s2, s3]), body }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("nothing came")
    }

    /// The next frame that ends a stream in one way or the other.
    async fn end(&mut self) -> Frame {
        loop {
            let frame = self.next().await;
            match frame.kind {
                RESET => return frame,
                DATA | HEADERS if frame.flags & END_STREAM != 0 => return frame,
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_connection_of_http2_eight_requests_are_open_at_once() {
    let server = serve(&[]).await;
    let mut client = Http2::connect(&server).await;
    let told = client.next().await;
    assert_eq!((told.kind, told.flags), (SETTINGS, 0), "{told:?}");
    assert!(told.body.chunks_exact(6).any(|setting| setting == EIGHT), "{told:?}");
    client.send(SETTINGS, ACK, 0, &[]).await;
    // Clients open streams of odd numbers.
    for stream in (1..=15).step_by(2) {
        client.asks(stream).await;
    }
    // This one does not keep to what it was told.
    client.asks(17).await;
    let end = client.end().await;
    assert_eq!((end.kind, end.stream, &end.body[..]), (RESET, 17, &REFUSED[..]), "{end:?}");
    // Those that were there go on, and one that is over makes room.
    for stream in [1, 19] {
        if stream == 19 {
            client.asks(stream).await;
        }
        client.send(DATA, END_STREAM, stream, b"{}").await;
        let end = client.end().await;
        assert!(end.kind != RESET && end.stream == stream, "{end:?}");
    }
    // What it has not asked to its end would be waited for.
    drop(client);
    server.shut_down().await;
}
