//! Session drivers: one task a session, which feeds the pure state machine with what happens and carries
//! out what it decides. Nothing else touches the session's source, encoder and transport.

mod answer;
mod client;
mod connection;
mod driver;
mod media_side;
mod rates;
mod source;
mod trace;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use media::SessionId;
use session::admission::Permit;
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

pub use source::{SourceCounts, SourceOutput, SourceReport, SourceThread};

use crate::apps::{App, VideoMode};
use crate::node::Node;
use crate::registry::{Entry, Handle, Status};
use crate::wire;

/// What a session is to be.
pub struct Plan {
    /// Its id.
    pub id: SessionId,
    /// What is played.
    pub app: Arc<dyn App>,
    /// Its id in the catalogue.
    pub app_id: String,
    /// The picture.
    pub video: VideoMode,
    /// The same as the client sees it.
    pub granted: wire::Video,
    /// Draw the machine-readable strip.
    pub barcode: bool,
    /// The encoders that it begins with, and why no better ones: those of the most usual client. Each client's
    /// offer then says what it decodes.
    pub choice: encoder::Choice,
    /// The same encoders, in order of use.
    pub encoders: Vec<encoder::Candidate>,
    /// Its place, to be given back at the end.
    pub permit: Permit,
}

/// Starts the driver of a session and yields its handle.
pub fn start(node: &Arc<Node>, plan: Plan) -> Arc<Entry> {
    // Four waiting requests: a client has one offer and one fragment under way. See `Command`.
    let (commands, mailbox) = mpsc::channel(4);
    let (show, status) = watch::channel(Status {
        state: wire::SessionState::Requested,
        reason: None,
        connection: None,
        transport: None,
    });
    let entry = Arc::new(Entry {
        id: plan.id.clone(),
        app: plan.app_id.clone(),
        video: plan.granted.clone(),
        handle: Handle::new(commands, status),
    });
    // The whole id opens the session in open mode: logs carry enough of it to tell sessions apart.
    let short = &plan.id.as_str()[..8.min(plan.id.as_str().len())];
    let span = tracing::info_span!("session", id = short, app = plan.app_id);
    let node = node.clone();
    let tracker = node.lifecycle().0.clone();
    tracker.spawn(
        async move {
            let driver = driver::Driver::new(node.clone(), plan, mailbox, show);
            if let Err(panic) = AssertUnwindSafe(driver.run()).catch_unwind().await {
                // The permit went with the driver; everything else is freed by its drops.
                tracing::error!(
                    panic = source::panic_message(panic.as_ref()),
                    "session driver panicked"
                );
                node.metrics.session_ended("internal_fault");
            }
        }
        .instrument(span),
    );
    entry
}
