//! Bodies of any size, within bounds: nobody who reads or writes slowly holds up what belongs to a game for long, and
//! whoever knows no more than the secret address of what is carried is not closed for strangers meanwhile.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, BodyDataStream, Bytes};
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Problem;
use crate::tcp::{Carried, Peer};

/// A body of which nothing comes, or is taken, for so long has broken off.
const SILENT: Duration = Duration::from_secs(30);
/// How long the rest of a body that is refused may take.
const REST: Duration = Duration::from_secs(60);

/// The connection that a request came by, where it came by one.
pub(super) type Line = Option<Extension<Arc<Peer>>>;

/// Whoever asked may have what is carried: the connection carries something until what this yields is dropped.
pub(super) fn begin(line: &Line) -> Option<Carried> {
    line.as_ref().map(|Extension(peer)| peer.carries())
}

/// A body of these chunks. They come by a task of their own, which lets go of where they come from when they are not
/// taken, and when `over` says so.
pub(super) fn body(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    over: CancellationToken,
    carried: Option<Carried>,
) -> Body {
    body_within(SILENT, chunks, over, carried)
}

fn body_within(
    silent: Duration,
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    over: CancellationToken,
    carried: impl Send + 'static,
) -> Body {
    let (to, from) = mpsc::channel(1);
    tokio::spawn(async move {
        // Not with the chunks: a client that takes nothing any more still has those, and would keep its place.
        let _carried = carried;
        let send = async {
            let mut chunks = pin!(chunks);
            while let Some(chunk) = chunks.next().await {
                let last = chunk.is_err();
                let taken = tokio::time::timeout(silent, to.send(Some(chunk))).await;
                if last || !matches!(taken, Ok(Ok(()))) {
                    return;
                }
            }
            // Without this it was cut off.
            let _ = tokio::time::timeout(silent, to.send(None)).await;
            // What was sent last is on its way until that is taken, too.
            let _ = tokio::time::timeout(silent, to.closed()).await;
        };
        tokio::select! {
            () = send => {}
            () = over.cancelled() => {}
        }
    });
    let chunks = futures::stream::unfold(Some(from), async |from: Option<mpsc::Receiver<_>>| {
        let mut from = from?;
        match from.recv().await {
            Some(Some(Ok(chunk))) => Some((Ok(chunk), Some(from))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            None => Some((Err(io::Error::other("it was cut off")), None)),
        }
    });
    Body::from_stream(chunks)
}

/// The next chunk of a body; none at its end.
pub(super) async fn next(chunks: &mut BodyDataStream) -> Result<Option<Bytes>, Problem> {
    let chunk = tokio::time::timeout(SILENT, chunks.next()).await;
    let chunk =
        chunk.map_err(|_| Problem::BAD_REQUEST.because("nothing of the body came for too long"))?;
    chunk.transpose().map_err(|_| Problem::BAD_REQUEST.because("the body broke off"))
}

/// Reads what is left of a body that is refused, up to `most` bytes: a client that is cut off while it sends sees a
/// broken connection, and no answer.
pub(super) async fn discard(chunks: &mut BodyDataStream, most: u64) {
    let rest = async {
        let mut left = most;
        while let Ok(Some(chunk)) = next(chunks).await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                return;
            }
        }
    };
    // Whoever takes longer is cut off.
    let _ = tokio::time::timeout(REST, rest).await;
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    /// Chunks without end, and what shows whether somebody still has them.
    fn endless() -> (Arc<()>, impl Stream<Item = io::Result<Bytes>> + Send + 'static) {
        let held = Arc::new(());
        let chunks =
            futures::stream::repeat(held.clone()).map(|_held| Ok(Bytes::from_static(&[7; 1000])));
        (held, chunks)
    }

    #[tokio::test]
    async fn a_body_that_nobody_takes_lets_go_of_what_it_is_made_of() {
        let (held, chunks) = endless();
        let body = body_within(Duration::from_millis(20), chunks, CancellationToken::new(), ());
        while Arc::strong_count(&held) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Whoever reads on is told that it is not whole.
        to_bytes(body, 9_000).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_body_ends_with_what_it_is_made_of() {
        let (held, chunks) = endless();
        let over = CancellationToken::new();
        let reading = tokio::spawn(to_bytes(body(chunks, over.clone(), None), usize::MAX));
        over.cancel();
        reading.await.unwrap().unwrap_err();
        assert_eq!(Arc::strong_count(&held), 1);
        let whole = futures::stream::iter([Ok(Bytes::from_static(b"a")), Ok("b".into())]);
        let whole = body(whole, CancellationToken::new(), None);
        assert_eq!(to_bytes(whole, 9).await.unwrap(), "ab");
    }

    #[tokio::test]
    async fn a_body_is_carried_until_all_of_it_is_taken_or_nothing_for_too_long() {
        let carried = Arc::new(());
        let is_carried = || Arc::strong_count(&carried) > 1;
        let body = |silent| {
            let whole = futures::stream::iter([Ok(Bytes::from_static(b"a"))]);
            body_within(silent, whole, CancellationToken::new(), carried.clone())
        };
        let mut chunks = body(SILENT).into_data_stream();
        assert_eq!(chunks.next().await.unwrap().unwrap(), "a");
        // What the other task can do is done by then.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(is_carried(), "its end is not taken");
        assert!(chunks.next().await.is_none());
        while is_carried() {
            tokio::task::yield_now().await;
        }
        let stands = body(Duration::from_millis(20));
        while is_carried() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(stands);
    }

    #[tokio::test]
    async fn what_is_refused_is_read_within_bounds() {
        let (held, chunks) = endless();
        let mut chunks = Body::from_stream(chunks).into_data_stream();
        discard(&mut chunks, 10_000).await;
        drop(chunks);
        assert_eq!(Arc::strong_count(&held), 1);
        let broken = futures::stream::iter([Ok(Bytes::new()), Err(io::Error::other("broken"))]);
        discard(&mut Body::from_stream(broken).into_data_stream(), 10_000).await;
    }
}
