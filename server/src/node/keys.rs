//! Tokens, tickets and addresses: what opens a session, and for how long.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use media::{SessionId, ViewerId};
use session::access::TicketId;
use session::tokens::{Scope, TokenError, Use};

use crate::http::Problem;
use crate::rented::{Claim, Rented};
use crate::wire;

use super::Node;

/// Addresses of a session for WebTransport that work at once: several tabs or tries of one client.
pub(super) const ADDRESSES: usize = 4;
/// The same of a viewer.
pub(super) const VIEWER_ADDRESSES: usize = 2;
/// Bearers that the renter of a session has by entering it, and as many that guests have.
pub(super) const ENTERED: usize = 8;

impl Node {
    /// Keys of a session that is about to start: all of it, or what a guest of a rented node may do.
    pub(crate) fn issue_keys(
        &self,
        session: &SessionId,
        claim: Option<&Claim>,
    ) -> Result<Keys, Problem> {
        let sessions = &self.config.sessions;
        let token = self.issue(scope_of(session, claim), sessions.longest.get(), Use::Many)?;
        let ticket =
            self.issue(Scope::Ticket(session.clone()), sessions.connect.get(), Use::Once)?;
        let resume = self.issue_resume(session, &token)?;
        Ok(Keys { token, ticket, resume })
    }

    /// A bearer of a session that runs, and what resumes it, for somebody who enters it; of renter and guests eight work. A guest's
    /// takes the place of the oldest of his own ticket first.
    pub(crate) fn issue_entered(
        &self,
        session: &SessionId,
        claim: &Claim,
    ) -> Result<(String, String), Problem> {
        let lasts = self.config.sessions.longest.get();
        let token =
            self.issue_among(scope_of(session, Some(claim)), lasts, (Use::Many, ENTERED))?;
        let resume = self.issue_resume(session, &token)?;
        Ok((token, resume))
    }

    /// A ticket by which a page that loads again takes its session up, in place of this token.
    pub(super) fn issue_resume(&self, session: &SessionId, token: &str) -> Result<String, Problem> {
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        let expires = now + self.config.sessions.longest.get();
        self.tokens().issue_resume(now, random, session, token, Some(expires)).map_err(not_issued)
    }

    /// A ticket for the address of a session on the port of WebTransport; the newest few work.
    pub(crate) fn issue_address(&self, session: &SessionId) -> Result<String, Problem> {
        let lasts = self.config.sessions.connect.get();
        self.issue_among(Scope::Connect(session.clone()), lasts, (Use::Once, ADDRESSES))
    }

    /// A ticket for the address of a viewer on the port of WebTransport.
    pub(crate) fn issue_viewer_address(&self, viewer: &ViewerId) -> Result<String, Problem> {
        let lasts = self.config.sessions.connect.get();
        let scope = Scope::ConnectViewer(viewer.clone());
        self.issue_among(scope, lasts, (Use::Once, VIEWER_ADDRESSES))
    }

    /// For a session or viewer that is not over.
    fn issue_among(
        &self,
        scope: Scope,
        lasts: Duration,
        among: (Use, usize),
    ) -> Result<String, Problem> {
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        let issued = self.tokens().issue_among(now, random, scope, Some(now + lasts), among);
        issued.map_err(not_issued)
    }

    pub(super) fn issue(
        &self,
        scope: Scope,
        lasts: Duration,
        uses: Use,
    ) -> Result<String, Problem> {
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        self.tokens().issue(now, random, scope, Some(now + lasts), uses).map_err(not_issued)
    }

    /// Takes a ticket of a session, from a link or to resume it, for a bearer token of it and the ticket to resume
    /// that.
    ///
    /// # Errors
    /// A problem for the client: wrong, expired, or used before.
    pub fn redeem(&self, session: &SessionId, ticket: &str) -> Result<(String, String), Problem> {
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        let expires = now + self.config.sessions.longest.get();
        let (ticket_of, token_of) =
            (Scope::Ticket(session.clone()), Scope::Session(session.clone()));
        let token = {
            let mut tokens = self.tokens();
            match tokens.exchange(now, ticket, &ticket_of, random, token_of, Some(expires)) {
                Err(TokenError::WrongScope) => {
                    tokens.resume(now, ticket, session, random, Some(expires))
                }
                exchanged => exchanged,
            }
        };
        let token = token.map_err(|why| {
            self.metrics.ticket_refused(why.code());
            match why {
                TokenError::Full => Problem::REFUSED.because(why.to_string()).retry_after(10),
                _ => Problem::UNAUTHORIZED.because(why.to_string()),
            }
        })?;
        let resume = self.issue_resume(session, &token)?;
        Ok((token, resume))
    }

    /// Forgets the keys of sessions that came of a ticket.
    pub(crate) fn forget_ticket(&self, ticket: TicketId) {
        self.tokens().revoke_ticket(ticket);
    }

    /// Checks a bearer token.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn check_token(&self, token: &str, needed: &Scope) -> Result<(), TokenError> {
        self.tokens().check(self.clock.now(), token, needed)
    }

    /// Whether a text is a token that opens something here.
    pub(crate) fn knows(&self, token: &str) -> bool {
        let is_tenants = |rented: &Arc<Rented>| {
            rented.claim_even_ended(token).is_ok() || rented.reader(token).is_some()
        };
        let is_ours = self.tokens().knows(self.clock.now(), token);
        is_ours || self.rented().ok().flatten().is_some_and(is_tenants)
    }

    /// STUN and TURN servers for a client, named by the id of its session or its own, with credentials that
    /// begin to expire now.
    pub(crate) fn ice_servers(&self, client: &str) -> Vec<wire::IceServer> {
        let mut servers = self.config.webrtc.ice_servers.clone();
        match self.turn.as_ref().map(|turn| turn.server(client, SystemTime::now())) {
            Some(Ok(server)) => servers.push(server),
            Some(Err(error)) => tracing::error!("a client goes without TURN: {error:#}"),
            None => {}
        }
        servers
    }
}

/// What somebody may do with a session who makes or enters it.
fn scope_of(session: &SessionId, claim: Option<&Claim>) -> Scope {
    match claim.and_then(|claim| claim.scopes().zip(claim.ticket_id())) {
        Some((scopes, ticket)) => Scope::Guest(session.clone(), scopes, ticket),
        None => Scope::Session(session.clone()),
    }
}

fn not_issued(why: TokenError) -> Problem {
    match why {
        TokenError::Full => Problem::REFUSED.because(why.to_string()).retry_after(10),
        // It ended a moment ago, and its tokens with it.
        _ => Problem::ENDED_SESSION,
    }
}

/// What opens a session.
pub struct Keys {
    /// Bearer token of the session's addresses.
    pub token: String,
    /// Works once, to be redeemed for a token.
    pub ticket: String,
    /// Works once, to be redeemed for another token in place of this one.
    pub resume: String,
}

/// Unguessable text of `bytes` random bytes, in hexadecimal.
pub(super) fn random_text(bytes: usize) -> Result<String, Problem> {
    let mut random = vec![0; bytes];
    fill_random(&mut random)?;
    Ok(crate::http::hex(&random))
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Problem> {
    getrandom::fill(bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        Problem::INTERNAL
    })
}
