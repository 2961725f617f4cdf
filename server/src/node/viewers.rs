//! Invitations and who comes by them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use media::{Bitrate, SessionId, ViewerId};
use session::admission::ViewerPermit;
use session::invitations::{Invitation, InvitationError, InvitationId, Invitations};
use session::reason::StoppedBy;
use session::tokens::{Scope, Use};

use crate::http::Problem;
use crate::registry::ViewerEntry;
use crate::{drive, wire};

use super::Node;
use super::keys::{fill_random, random_text};
use super::room::{RETRY, room};

/// Invitations of a session that are good at once.
pub(super) const INVITATIONS: usize = 16;

impl Node {
    /// Invites others to a session; yields the invitation and the text that its link carries.
    ///
    /// # Errors
    /// A problem for the client: values out of range, too many invitations, or a session that is over.
    pub fn invite(
        &self,
        session: &SessionId,
        wish: &wire::NewInvitation,
    ) -> Result<(Invitation, String), Problem> {
        let longest = self.config.sessions.longest.get();
        let lasts = match wish.expires_in {
            None => longest,
            Some(0) => return Err(Problem::BAD_REQUEST.because("expires_in is 0")),
            Some(seconds) => Duration::from_secs(seconds.into()).min(longest),
        };
        if wish.uses == Some(0) {
            return Err(Problem::BAD_REQUEST.because("uses is 0"));
        }
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        let mut book = self.invitations();
        // A session gives its place back before its invitations are forgotten: none comes after that.
        let entry = self.registry.find(session.as_str()).ok_or(Problem::UNKNOWN_SESSION)?;
        self.admission().held(entry.place).ok_or(Problem::ENDED_SESSION)?;
        book.issue(now, random, session, wish.role.into(), now + lasts, wish.uses)
            .map_err(|error| Problem::CONFLICT.because(error.to_string()))
    }

    /// The invitations of a session that let somebody in.
    pub fn invitations_of(&self, session: &SessionId) -> Vec<Invitation> {
        self.invitations().of(self.clock.now(), session)
    }

    /// Takes an invitation back: nobody comes in by it any more, and those who did are sent away.
    ///
    /// # Errors
    /// A problem for the client when the session has no such one.
    pub async fn revoke_invitation(
        &self,
        session: &SessionId,
        id: InvitationId,
    ) -> Result<(), Problem> {
        let was_good = self.invitations().revoke(session, id);
        // Whoever came in before is in the registry: both is done under the lock of the book.
        let guests = self.registry.viewers_of(session).into_iter();
        let guests: Vec<_> = guests.filter(|viewer| viewer.invitation == id).collect();
        // One that was used up long ago is forgotten, and who came by it may still be there.
        if !was_good && guests.is_empty() {
            return Err(Problem::NOT_FOUND.because("the session has no such invitation"));
        }
        futures::future::join_all(guests.iter().map(async |viewer| {
            // One that has just left needs not be told.
            let _ = viewer.handle.stop(StoppedBy::Owner).await;
        }))
        .await;
        Ok(())
    }

    /// Lets somebody join a session by an invitation; yields its handle and its bearer token.
    ///
    /// # Errors
    /// A problem for the client: a bad invitation, or no room.
    pub fn join(self: &Arc<Self>, invitation: &str) -> Result<(Arc<ViewerEntry>, String), Problem> {
        let refused = |problem: Problem| {
            self.metrics.viewers_refused.inc();
            tracing::info!(reason = problem.reason(), "viewer refused");
            problem
        };
        let now = self.clock.now();
        // Until the viewer is in the registry nobody revokes what it comes by.
        let mut book = self.invitations();
        let known = book.look_up(now, invitation);
        let invited =
            known.map_err(|why| refused(Problem::INVITATION.because(why.to_string())))?.clone();
        let gone = || Problem::INVITATION.because(InvitationError::Unknown.to_string());
        let session = self.registry.find(invited.session.as_str()).ok_or_else(gone)?;
        if session.handle.is_over() {
            return Err(refused(gone()));
        }
        let most = self.config.sessions.viewers as usize;
        if self.registry.viewers_of(&session.id).len() >= most {
            let why = format!("The session has as many viewers as it takes: {most}.");
            return Err(refused(Problem::NO_PLACE.because(why).retry_after(10)));
        }
        let egress = Bitrate::from_kbps(session.video.max_kbps.into());
        let admitted = self.admission().admit_viewer(egress);
        let permit = admitted.map_err(|refusal| {
            let problem = Problem::NO_PLACE.because(refusal.to_string()).retry_after(RETRY);
            refused(problem.room(room(&refusal, None)))
        })?;
        let token = random_text(16).map(ViewerId::new).and_then(|id| {
            let scope = Scope::Viewer(id.clone());
            Ok((id, self.issue(scope, self.config.sessions.longest.get(), Use::Many)?))
        });
        let (id, token) = match token {
            Ok(made) => made,
            Err(problem) => {
                self.admission().release_viewer(permit);
                return Err(problem);
            }
        };
        let plan = drive::ViewerPlan {
            id,
            who: self.viewers.fetch_add(1, Ordering::Relaxed) + 1,
            role: invited.role,
            video: session.mode,
            granted: session.video.clone(),
            permit,
        };
        let viewer = drive::join(self, &session, invited.id, plan);
        self.registry.insert_viewer(viewer.clone());
        book.used(invited.id);
        drop(book);
        self.metrics.viewers_joined.inc();
        Ok((viewer, token))
    }

    /// Gives a viewer's place back and forgets its tokens. Its task calls this once.
    pub(crate) fn release_viewer(&self, id: &ViewerId, permit: ViewerPermit) {
        self.admission().release_viewer(permit);
        self.tokens().revoke_viewer(id);
    }

    pub(super) fn invitations(&self) -> MutexGuard<'_, Invitations> {
        self.invitations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
