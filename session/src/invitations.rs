//! Who may join a session that somebody else plays: roles, and the invitations that give them.
//!
//! An invitation is 256 random bits in a link, of which only the SHA-256 is kept ([`TokenDigest`]). It gives
//! one role in one session, until it expires, is revoked, or was used as often as it may. What is over stays
//! in the book until others need its place, so that who comes late learns why the link does not work.

use media::{MediaTime, SessionId};
use thiserror::Error;

use crate::tokens::{MAX_TEXT, TokenDigest, find, text_of};

/// What somebody does in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Plays, and decides size, rate, references and range of the stream. One a session.
    Player,
    /// Sees and hears what the player does, and plays too.
    CoPlayer,
    /// Sees and hears.
    Spectator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Player, Self::CoPlayer, Self::Spectator];

    /// Whether what it does reaches the session.
    pub fn plays(self) -> bool {
        self != Self::Spectator
    }

    /// A name that never changes, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::CoPlayer => "co_player",
            Self::Spectator => "spectator",
        }
    }
}

/// Names an invitation within the node.
pub type InvitationId = u64;

/// An invitation as its session's owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its name.
    pub id: InvitationId,
    /// The session that it leads to.
    pub session: SessionId,
    /// The role that it gives.
    pub role: Role,
    /// It lets nobody in from then on.
    pub expires: MediaTime,
    /// How often it may still be used; without limit where there is none.
    pub uses_left: Option<u32>,
}

/// Why an invitation does not let anybody in, or is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvitationError {
    /// Nobody gave it out, or its session is over.
    #[error("the invitation is not known: it is wrong, or its session is over")]
    Unknown,
    /// It was good until a moment ago.
    #[error("the invitation has expired")]
    Expired,
    /// The session's owner took it back.
    #[error("the invitation was revoked")]
    Revoked,
    /// Others used it.
    #[error("the invitation was used as often as it may be")]
    UsedUp,
    /// The session has as many as it may.
    #[error("the session has as many invitations as it may have: revoke one first")]
    Full,
}

#[derive(Debug)]
struct Entry {
    invitation: Invitation,
    digest: TokenDigest,
    revoked: bool,
}

impl Entry {
    /// Why it lets nobody in.
    fn refuses(&self, now: MediaTime) -> Option<InvitationError> {
        if self.revoked {
            Some(InvitationError::Revoked)
        } else if now >= self.invitation.expires {
            Some(InvitationError::Expired)
        } else if self.invitation.uses_left == Some(0) {
            Some(InvitationError::UsedUp)
        } else {
            None
        }
    }
}

/// The invitations of a node. A session has at most as many that are good as the book was made for, and as
/// many that are over.
#[derive(Debug)]
pub struct Invitations {
    entries: Vec<Entry>,
    next: InvitationId,
    most: usize,
}

impl Invitations {
    /// A book with room for `most` good ones of each session.
    pub fn new(most: usize) -> Self {
        Self { entries: Vec::new(), next: 1, most }
    }

    /// Makes an invitation of 256 random bits, which must come from the system's generator; yields it and
    /// the text that goes into its link, which is kept nowhere.
    ///
    /// # Errors
    /// [`InvitationError::Full`].
    pub fn issue(
        &mut self,
        now: MediaTime,
        random: [u8; 32],
        session: &SessionId,
        role: Role,
        expires: MediaTime,
        uses: Option<u32>,
    ) -> Result<(Invitation, String), InvitationError> {
        let is_of = |entry: &&Entry| entry.invitation.session == *session;
        let (good, over): (Vec<_>, Vec<_>) =
            self.entries.iter().filter(is_of).partition(|entry| entry.refuses(now).is_none());
        if good.len() >= self.most {
            return Err(InvitationError::Full);
        }
        // The oldest of those that are over makes room.
        let oldest = over.first().map(|entry| entry.invitation.id);
        if over.len() >= self.most {
            self.entries.retain(|entry| Some(entry.invitation.id) != oldest);
        }
        let text = text_of(&random);
        let invitation =
            Invitation { id: self.next, session: session.clone(), role, expires, uses_left: uses };
        self.next += 1;
        let digest = TokenDigest::of(&text);
        self.entries.push(Entry { invitation: invitation.clone(), digest, revoked: false });
        Ok((invitation, text))
    }

    /// What an invitation gives; nothing is used up.
    ///
    /// # Errors
    /// Every [`InvitationError`] but `Full`.
    pub fn look_up(&self, now: MediaTime, text: &str) -> Result<&Invitation, InvitationError> {
        let entry = &self.entries[self.index(text)?];
        match entry.refuses(now) {
            Some(why) => Err(why),
            None => Ok(&entry.invitation),
        }
    }

    /// Somebody came in by it.
    pub fn used(&mut self, id: InvitationId) {
        let found = self.entries.iter_mut().find(|entry| entry.invitation.id == id);
        if let Some(uses) = found.and_then(|entry| entry.invitation.uses_left.as_mut()) {
            *uses = uses.saturating_sub(1);
        }
    }

    /// Takes an invitation of a session back; whether there was such a one.
    pub fn revoke(&mut self, session: &SessionId, id: InvitationId) -> bool {
        let found = self.entries.iter_mut().find(|entry| {
            entry.invitation.id == id && entry.invitation.session == *session && !entry.revoked
        });
        found.map(|entry| entry.revoked = true).is_some()
    }

    /// Those of a session that let somebody in, oldest first.
    pub fn of(&self, now: MediaTime, session: &SessionId) -> Vec<Invitation> {
        let good = self
            .entries
            .iter()
            .filter(|entry| entry.invitation.session == *session && entry.refuses(now).is_none());
        good.map(|entry| entry.invitation.clone()).collect()
    }

    /// Forgets those of a session; to be called when it has ended.
    pub fn forget_session(&mut self, session: &SessionId) {
        self.entries.retain(|entry| entry.invitation.session != *session);
    }

    fn index(&self, text: &str) -> Result<usize, InvitationError> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(InvitationError::Unknown);
        }
        let digests = self.entries.iter().map(|entry| &entry.digest);
        find(digests, &TokenDigest::of(text)).ok_or(InvitationError::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MediaTime {
        MediaTime::from_millis(seconds * 1_000)
    }

    fn id(text: &str) -> SessionId {
        SessionId::new(text)
    }

    /// An invitation of the session `a` that lasts a minute.
    fn issue(book: &mut Invitations, seed: u8, uses: Option<u32>) -> (Invitation, String) {
        book.issue(at(0), [seed; 32], &id("a"), Role::Spectator, at(60), uses).unwrap()
    }

    #[test]
    fn an_invitation_gives_its_role_until_it_expires() {
        let mut book = Invitations::new(4);
        let (made, text) = issue(&mut book, 7, None);
        assert_eq!(text, "07".repeat(32));
        let (_, other) =
            book.issue(at(0), [8; 32], &id("b"), Role::CoPlayer, at(60), None).unwrap();
        for now in [0, 59] {
            assert_eq!(book.look_up(at(now), &text), Ok(&made));
            assert_eq!(book.look_up(at(now), &other).unwrap().role, Role::CoPlayer);
        }
        assert_eq!(book.look_up(at(60), &text), Err(InvitationError::Expired));
        assert!(book.of(at(60), &id("a")).is_empty());
    }

    #[test]
    fn a_forged_one_lets_nobody_in() {
        let mut book = Invitations::new(4);
        let (_, text) = issue(&mut book, 7, None);
        let long = "0".repeat(MAX_TEXT + 1);
        for forged in ["", "07", &text[1..], &text.to_uppercase().replace('0', "1"), &long] {
            assert_eq!(book.look_up(at(1), forged), Err(InvitationError::Unknown), "{forged:.70}");
        }
    }

    #[test]
    fn one_that_was_revoked_says_so_and_the_others_go_on() {
        let mut book = Invitations::new(4);
        let (made, text) = issue(&mut book, 1, None);
        let (_, other) = issue(&mut book, 2, None);
        assert!(!book.revoke(&id("b"), made.id), "of another session");
        assert!(book.revoke(&id("a"), made.id));
        assert!(!book.revoke(&id("a"), made.id), "twice");
        assert_eq!(book.look_up(at(1), &text), Err(InvitationError::Revoked));
        assert!(book.look_up(at(1), &other).is_ok());
        assert_eq!(book.of(at(1), &id("a")).len(), 1);
    }

    #[test]
    fn uses_are_counted_where_there_is_a_limit() {
        let mut book = Invitations::new(4);
        let (made, text) = issue(&mut book, 1, Some(2));
        for left in [2, 1] {
            assert_eq!(book.look_up(at(1), &text).unwrap().uses_left, Some(left));
            book.used(made.id);
        }
        assert_eq!(book.look_up(at(1), &text), Err(InvitationError::UsedUp));
        let (endless, text) = issue(&mut book, 2, None);
        (0..100).for_each(|_| book.used(endless.id));
        assert!(book.look_up(at(1), &text).is_ok());
    }

    #[test]
    fn the_book_is_bounded_and_what_is_over_makes_room() {
        let mut book = Invitations::new(2);
        let issue = |book: &mut Invitations, seed, now| {
            book.issue(at(now), [seed; 32], &id("a"), Role::CoPlayer, at(now + 10), None)
        };
        let (first, text) = issue(&mut book, 1, 0).unwrap();
        issue(&mut book, 2, 0).unwrap();
        assert_eq!(issue(&mut book, 3, 5), Err(InvitationError::Full));
        book.revoke(&id("a"), first.id);
        issue(&mut book, 4, 5).unwrap();
        assert_eq!(book.look_up(at(5), &text), Err(InvitationError::Revoked), "still remembered");
        for round in 2..20 {
            issue(&mut book, round as u8 + 10, round * 20).unwrap();
        }
        assert!(book.entries.len() <= 4, "{}", book.entries.len());
        assert_eq!(book.look_up(at(5), &text), Err(InvitationError::Unknown));
        book.forget_session(&id("a"));
        assert!(book.entries.is_empty());
    }
}
