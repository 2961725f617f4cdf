//! Session drivers: one task a session, which feeds the pure state machine with what happens and carries
//! out what it decides. Nothing else touches the session's source, encoder and transport.

mod answer;
mod audience;
mod audio;
mod client;
mod connection;
mod cursor;
mod driver;
mod log_limit;
mod media_side;
mod rates;
pub(crate) mod screen;
mod source;
mod trace;
mod viewer;
mod voice;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use media::{PictureKind, SessionId};
use session::admission::Permit;
use session::invitations::InvitationId;
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

#[cfg(test)]
pub(crate) use audience::tests::nobody as audience_of_nobody;
pub(crate) use audience::{Audience, Stream, ViewerCounts};
pub(crate) use audio::SoundPlan;
pub(crate) use source::panic_message;
pub use source::{Opening, SourceCounts, SourceOutput, SourceReport, SourceThread};
pub use viewer::ViewerPlan;

use crate::apps::{App, Prepared, Told, VideoMode};
use crate::booking::Booking;
use crate::node::Node;
use crate::registry::{Entry, Handle, Status, ViewerEntry};
use crate::rented::Tenancy;
use crate::saves::Keep;
use crate::sharing::Share;
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
    /// What its screen is booked for as the client's view changes; none where its size is fixed.
    pub booking: Option<Arc<Booking>>,
    /// How many channels the player's client plays sound in, as far as it said so.
    pub channels: u8,
    /// Draw the machine-readable strip.
    pub barcode: bool,
    /// The encoders that it begins with, and why no better ones: those of the most usual client. Each client's
    /// offer then says what it decodes.
    pub choice: encoder::Choice,
    /// The same encoders, in order of use.
    pub encoders: Vec<encoder::Candidate>,
    /// What is kept of it.
    pub keep: Option<Arc<Keep>>,
    /// What was started ahead for it, or for anybody.
    pub prepared: Option<Box<dyn Prepared>>,
    /// What it shares.
    pub share: Option<Arc<Share>>,
    /// Its place, to be given back at the end.
    pub permit: Permit,
    /// What it is rented by, on a rented node.
    pub(crate) tenancy: Option<Tenancy>,
}

/// Starts the driver of a session and yields its handle.
pub fn start(node: &Arc<Node>, plan: Plan) -> Arc<Entry> {
    // Four waiting requests: a client has one offer and one fragment under way. See `Command`.
    let (commands, mailbox) = mpsc::channel(4);
    let (show, status) = watch::channel(Status {
        state: wire::SessionState::Requested,
        starting: None,
        over: None,
        connection: None,
        transport: None,
    });
    let told = Arc::new(Told::default());
    let stream = audience::Stream {
        codec: None,
        kind: if plan.granted.hdr { PictureKind::HDR10 } else { PictureKind::NV12 },
        encoder: "",
        size: plan.video.size,
        choice: plan.choice.clone(),
        ended: None,
    };
    let sound = node.sound(plan.app.as_ref(), plan.id.as_str(), plan.channels);
    let (audience, deeds) =
        Audience::new(node.clock.clone(), stream, plan.video.size, sound, &node.metrics);
    let entry = Arc::new(Entry {
        id: plan.id.clone(),
        app: plan.app_id.clone(),
        playing: Arc::downgrade(&plan.app),
        video: plan.granted.clone(),
        mode: plan.video,
        booking: plan.booking.clone(),
        keep: plan.keep.clone(),
        share: plan.share.clone(),
        place: plan.permit.number(),
        since: node.clock.now(),
        told: told.clone(),
        audience: audience.clone(),
        handle: Handle::new(commands, status),
    });
    // The whole id opens the session in open mode: logs carry enough of it to tell sessions apart.
    let short = &plan.id.as_str()[..8.min(plan.id.as_str().len())];
    let span = tracing::info_span!("session", id = short, app = plan.app_id);
    let node = node.clone();
    let tracker = node.lifecycle().0.clone();
    tracker.spawn(
        async move {
            let shown = driver::Shown { status: show, told };
            let driver = driver::Driver::new(node.clone(), plan, mailbox, shown, (audience, deeds));
            if let Err(panic) = AssertUnwindSafe(driver.run()).catch_unwind().await {
                // The permit went with the driver; everything else is freed by its drops.
                tracing::error!(panic = panic_message(panic.as_ref()), "session driver panicked");
                node.metrics.session_ended("internal_fault");
            }
        }
        .instrument(span),
    );
    entry
}

/// Starts the task of somebody who joins a session, and yields its handle.
pub(crate) fn join(
    node: &Arc<Node>,
    session: &Entry,
    invitation: InvitationId,
    plan: ViewerPlan,
) -> Arc<ViewerEntry> {
    let (commands, mailbox) = mpsc::channel(4);
    let (show, status) = watch::channel(Status {
        state: wire::SessionState::Starting,
        starting: None,
        over: None,
        connection: None,
        transport: None,
    });
    let counts = Arc::default();
    let entry = Arc::new(ViewerEntry {
        id: plan.id.clone(),
        who: plan.who,
        role: plan.role,
        invitation,
        session: session.id.clone(),
        counts: Arc::clone(&counts),
        handle: Handle::new(commands, status),
    });
    let short = &session.id.as_str()[..8.min(session.id.as_str().len())];
    let span =
        tracing::info_span!("viewer", session = short, viewer = plan.who, role = plan.role.name());
    let (node, audience) = (node.clone(), session.audience.clone());
    let tracker = node.lifecycle().0.clone();
    tracker.spawn(
        async move {
            let viewer = viewer::Viewer::new(node, plan, audience, counts, mailbox, show);
            if let Err(panic) = AssertUnwindSafe(viewer.run()).catch_unwind().await {
                // Its place went with its drop; session and player go on.
                tracing::error!(panic = panic_message(panic.as_ref()), "viewer panicked");
            }
        }
        .instrument(span),
    );
    entry
}
