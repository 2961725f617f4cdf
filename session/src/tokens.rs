//! Bearer tokens: what is kept of them, and what each allows.
//!
//! A token is 256 random bits that the caller draws from the system; only the SHA-256 of its text is
//! kept, so that neither memory nor configuration can give one away. What is presented is hashed and
//! compared with every entry in constant time. Secrets never reach a log from here: nothing that holds
//! one implements `Debug` with its content.

use std::fmt;

use media::{MediaTime, SessionId, ViewerId};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;

use crate::access::{TicketId, TicketScope, TicketScopes};

/// Longer texts are not tokens and are not hashed.
pub(crate) const MAX_TEXT: usize = 512;

/// SHA-256 of a token's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Of a token's text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// From 64 hexadecimal digits, as `sha256sum` prints them; none if it is anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to tell two apart in a test, too little to search for the token.
        write!(f, "TokenDigest({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything: creating, listing, ending, and every session's own addresses.
    Operator,
    /// One session's own addresses.
    Session(SessionId),
    /// To be redeemed for a token of one session, and nothing else: what a link carries.
    Ticket(SessionId),
    /// To connect to one session, and nothing else: what the address of a transport carries.
    Connect(SessionId),
    /// One viewer's own addresses, and nothing of the session that it watches.
    Viewer(ViewerId),
    /// To connect as one viewer, and nothing else.
    ConnectViewer(ViewerId),
    /// To be redeemed for a token of one session in place of that which it came with: what a page that loads again
    /// has left.
    Resume(SessionId),
    /// Some of one session's own addresses: what somebody has whom the renter of the machine gave this ticket.
    Guest(SessionId, TicketScopes, TicketId),
    /// To be needed, never given: one sort of one session's own addresses.
    Part(SessionId, TicketScope),
}

impl Scope {
    /// Whether a holder of this scope may do what needs `needed`.
    fn allows(&self, needed: &Self) -> bool {
        // Not even an operator's token is a ticket: redeeming one would use up nothing.
        match (self, needed) {
            (Self::Session(of), Self::Part(id, _)) => return of == id,
            (Self::Guest(of, scopes, _), Self::Part(id, scope)) => {
                return of == id && scopes.has(*scope);
            }
            _ => {}
        }
        let is_ticket = matches!(
            needed,
            Self::Ticket(_) | Self::Connect(_) | Self::ConnectViewer(_) | Self::Resume(_)
        );
        self == needed || *self == Self::Operator && !is_ticket
    }

    /// The one session that it is for.
    fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Operator | Self::Viewer(_) | Self::ConnectViewer(_) => None,
            Self::Session(id)
            | Self::Ticket(id)
            | Self::Connect(id)
            | Self::Resume(id)
            | Self::Guest(id, ..)
            | Self::Part(id, _) => Some(id),
        }
    }

    /// Whether both are for the same sort of thing with the same session or viewer.
    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.is_of_same(other)
    }

    /// Whether both are for the same session or viewer.
    fn is_of_same(&self, other: &Self) -> bool {
        self.session() == other.session() && self.viewer() == other.viewer()
    }

    /// The one viewer that it is for.
    fn viewer(&self) -> Option<&ViewerId> {
        match self {
            Self::Viewer(id) | Self::ConnectViewer(id) => Some(id),
            _ => None,
        }
    }

    /// The ticket that it came of.
    fn ticket(&self) -> Option<TicketId> {
        match self {
            Self::Guest(_, _, ticket) => Some(*ticket),
            _ => None,
        }
    }
}

/// How often a token works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Until it expires.
    Many,
    /// Once: for an exchange, such as a link that opens a session.
    Once,
}

/// Why a token does not open the door. None of them says anything about other tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is no token at all.
    #[error("the token is malformed")]
    Malformed,
    /// Nobody issued it, or it was revoked.
    #[error("the token is not known")]
    Unknown,
    /// It was good until a moment ago.
    #[error("the token has expired")]
    Expired,
    /// It works once and was used before.
    #[error("the token was used before and works only once")]
    Replayed,
    /// It is good, but for something else.
    #[error("the token does not allow this")]
    WrongScope,
    /// No more tokens can be issued until some expire.
    #[error("too many tokens are in use")]
    Full,
}

impl TokenError {
    /// The name used in metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
            Self::WrongScope => "wrong_scope",
            Self::Full => "full",
        }
    }
}

#[derive(Debug)]
struct Entry {
    digest: TokenDigest,
    scope: Scope,
    expires: Option<MediaTime>,
    state: EntryState,
    /// The token whose place is taken when this one is redeemed.
    replaces: Option<(TokenDigest, Scope)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryState {
    Many,
    Once,
    Used,
}

/// The tokens of a node, at most as many as it was made for: expired ones make room, and with none
/// expired a new one is refused. One owner, no locks.
#[derive(Debug)]
pub struct Tokens {
    entries: Vec<Entry>,
    most: usize,
}

impl Tokens {
    /// A book with room for `most` tokens.
    pub fn new(most: usize) -> Self {
        Self { entries: Vec::new(), most }
    }

    /// Makes the token of 256 random bits and returns its text (64 hexadecimal digits), which is kept
    /// nowhere else. `random` must come from the system's generator.
    ///
    /// # Errors
    /// [`TokenError::Full`].
    pub fn issue(
        &mut self,
        now: MediaTime,
        random: [u8; 32],
        scope: Scope,
        expires: Option<MediaTime>,
        uses: Use,
    ) -> Result<String, TokenError> {
        let text = text_of(&random);
        self.add(now, TokenDigest::of(&text), scope, expires, uses)?;
        Ok(text)
    }

    /// Like [`issue`](Self::issue) for a session or viewer that has a bearer token, and `most` tokens like this one at most: the
    /// oldest makes room, of a guest's the oldest that came of the same ticket, and what it would have been resumed by goes
    /// with it.
    ///
    /// # Errors
    /// [`TokenError::Full`], and `Unknown` where the session or viewer has none: all of its tokens were revoked.
    pub fn issue_among(
        &mut self,
        now: MediaTime,
        random: [u8; 32],
        scope: Scope,
        expires: Option<MediaTime>,
        (uses, most): (Use, usize),
    ) -> Result<String, TokenError> {
        let is_bearer =
            |entry: &Entry| entry.state == EntryState::Many && entry.scope.is_of_same(&scope);
        if !self.entries.iter().any(is_bearer) {
            return Err(TokenError::Unknown);
        }
        let alike = self.entries.iter().filter(|entry| entry.scope.is_like(&scope));
        let (own, others) =
            alike.partition::<Vec<_>, _>(|entry| entry.scope.ticket() == scope.ticket());
        let alike: Vec<_> = own.into_iter().chain(others).map(|entry| entry.digest).collect();
        let surplus = &alike[..(alike.len() + 1).saturating_sub(most)];
        self.entries.retain(|entry| {
            let resumes = entry.replaces.as_ref().is_some_and(|(of, _)| surplus.contains(of));
            !resumes && !surplus.contains(&entry.digest)
        });
        self.issue(now, random, scope, expires, uses)
    }

    /// Accepts a token that was made elsewhere, by its digest.
    ///
    /// # Errors
    /// [`TokenError::Full`].
    pub fn add(
        &mut self,
        now: MediaTime,
        digest: TokenDigest,
        scope: Scope,
        expires: Option<MediaTime>,
        uses: Use,
    ) -> Result<(), TokenError> {
        if self.entries.len() >= self.most {
            self.entries.retain(|entry| entry.expires.is_none_or(|at| now < at));
        }
        if self.entries.len() >= self.most {
            return Err(TokenError::Full);
        }
        let state = match uses {
            Use::Many => EntryState::Many,
            Use::Once => EntryState::Once,
        };
        self.entries.push(Entry { digest, scope, expires, state, replaces: None });
        Ok(())
    }

    /// Checks the text of a token against what is needed. A token that works once is used up by the
    /// first check that succeeds; a check that fails uses nothing up.
    ///
    /// # Errors
    /// Every [`TokenError`] but `Full`.
    pub fn check(&mut self, now: MediaTime, text: &str, needed: &Scope) -> Result<(), TokenError> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(TokenError::Malformed);
        }
        let index = self.find(&TokenDigest::of(text)).ok_or(TokenError::Unknown)?;
        let entry = &mut self.entries[index];
        if entry.expires.is_some_and(|at| now >= at) {
            return Err(TokenError::Expired);
        }
        if entry.state == EntryState::Used {
            return Err(TokenError::Replayed);
        }
        if !entry.scope.allows(needed) {
            return Err(TokenError::WrongScope);
        }
        if entry.state == EntryState::Once {
            entry.state = EntryState::Used;
        }
        Ok(())
    }

    /// Whether a text is that of a token that opens something now. Uses nothing up.
    pub fn knows(&self, now: MediaTime, text: &str) -> bool {
        let is_good = |entry: &Entry| {
            entry.state != EntryState::Used && entry.expires.is_none_or(|at| now < at)
        };
        text.len() <= MAX_TEXT
            && self.find(&TokenDigest::of(text)).is_some_and(|at| is_good(&self.entries[at]))
    }

    /// Takes a token that works once for one of another scope. With no room for the new one the old one is not used up.
    ///
    /// # Errors
    /// Every [`TokenError`].
    pub fn exchange(
        &mut self,
        now: MediaTime,
        text: &str,
        needed: &Scope,
        random: [u8; 32],
        scope: Scope,
        expires: Option<MediaTime>,
    ) -> Result<String, TokenError> {
        let issued = self.issue(now, random, scope, expires, Use::Many)?;
        match self.check(now, text, needed) {
            Ok(()) => Ok(issued),
            Err(error) => {
                self.entries.pop();
                Err(error)
            }
        }
    }

    /// Makes a ticket that is redeemed for a token in place of `bearer`, which is one of the session.
    ///
    /// # Errors
    /// [`TokenError::Full`], and `Unknown` where `bearer` is: it was revoked.
    pub fn issue_resume(
        &mut self,
        now: MediaTime,
        random: [u8; 32],
        session: &SessionId,
        bearer: &str,
        expires: Option<MediaTime>,
    ) -> Result<String, TokenError> {
        let scope = Scope::Resume(session.clone());
        let digest = TokenDigest::of(bearer);
        let bearer = self.find(&digest).ok_or(TokenError::Unknown)?;
        let allowed = self.entries[bearer].scope.clone();
        let text = self.issue(now, random, scope, expires, Use::Once)?;
        if let Some(entry) = self.entries.last_mut() {
            entry.replaces = Some((digest, allowed));
        }
        Ok(text)
    }

    /// Takes a ticket of [`issue_resume`](Self::issue_resume) for a new token. The token before it, and tickets that
    /// were used before this one, are forgotten: however often a page is loaded, its session has as many tokens.
    ///
    /// # Errors
    /// Every [`TokenError`].
    pub fn resume(
        &mut self,
        now: MediaTime,
        ticket: &str,
        session: &SessionId,
        random: [u8; 32],
        expires: Option<MediaTime>,
    ) -> Result<String, TokenError> {
        let scope = Scope::Resume(session.clone());
        self.check(now, ticket, &scope)?;
        let used = TokenDigest::of(ticket);
        let before = self.find(&used).and_then(|index| self.entries[index].replaces.clone());
        // What was known of no token then is worth nothing now.
        let (before, allows) = before.ok_or(TokenError::Unknown)?;
        self.entries.retain(|entry| {
            let is_older = entry.scope == scope && entry.state == EntryState::Used;
            before != entry.digest && (entry.digest == used || !is_older)
        });
        self.issue(now, random, allows, expires, Use::Many)
    }

    /// Forgets every token of a session; to be called when it has ended.
    pub fn revoke_session(&mut self, session: &SessionId) {
        self.entries.retain(|entry| entry.scope.session() != Some(session));
    }

    /// Forgets every token of a viewer; to be called when it is gone.
    pub fn revoke_viewer(&mut self, viewer: &ViewerId) {
        self.entries.retain(|entry| entry.scope.viewer() != Some(viewer));
    }

    /// Forgets every token that came of a ticket, and what resumes one. Addresses of their sessions that wait to be used go with
    /// them, since they do not say who asked for them.
    pub fn revoke_ticket(&mut self, ticket: TicketId) {
        let came = |scope: &Scope| scope.ticket() == Some(ticket);
        let theirs = self.entries.iter().filter(|entry| came(&entry.scope));
        let sessions: Vec<_> = theirs.filter_map(|entry| entry.scope.session().cloned()).collect();
        self.entries.retain(|entry| {
            let resumes = entry.replaces.as_ref().is_some_and(|(_, scope)| came(scope));
            let connects = matches!(&entry.scope, Scope::Connect(of) if sessions.contains(of));
            !came(&entry.scope) && !resumes && !connects
        });
    }

    /// Tokens that are kept, used and expired ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no token is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, digest: &TokenDigest) -> Option<usize> {
        find(self.entries.iter().map(|entry| &entry.digest), digest)
    }
}

/// A token's text: 64 hexadecimal digits.
pub(crate) fn text_of(random: &[u8; 32]) -> String {
    let nibbles = random.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
}

/// Looks at every digest, wherever the match is.
pub(crate) fn find<'a>(
    digests: impl Iterator<Item = &'a TokenDigest>,
    wanted: &TokenDigest,
) -> Option<usize> {
    let (mut found, mut any) = (0_u32, Choice::from(0));
    for (index, digest) in (0_u32..).zip(digests) {
        let same = digest.0.ct_eq(&wanted.0);
        found.conditional_assign(&index, same);
        any |= same;
    }
    bool::from(any).then_some(found as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MediaTime {
        MediaTime::from_millis(seconds * 1_000)
    }

    fn session(id: &str) -> Scope {
        Scope::Session(SessionId::new(id))
    }

    fn guest(id: &str, ticket: u8) -> Scope {
        let scopes = TicketScopes::new([TicketScope::Play]).unwrap();
        Scope::Guest(SessionId::new(id), scopes, TicketId([ticket; 16]))
    }

    #[test]
    fn a_session_token_opens_its_own_session_until_it_expires() {
        let mut tokens = Tokens::new(8);
        let text = tokens.issue(at(0), [7; 32], session("a"), Some(at(60)), Use::Many).unwrap();
        assert_eq!(text, "07".repeat(32));
        assert_eq!(tokens.check(at(1), &text, &session("a")), Ok(()));
        assert_eq!(tokens.check(at(2), &text, &session("a")), Ok(()));
        assert_eq!(tokens.check(at(2), &text, &session("b")), Err(TokenError::WrongScope));
        assert_eq!(tokens.check(at(2), &text, &Scope::Operator), Err(TokenError::WrongScope));
        assert_eq!(tokens.check(at(60), &text, &session("a")), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_for_one_use_names_its_replay_and_survives_a_failed_check() {
        let mut tokens = Tokens::new(8);
        let text = tokens.issue(at(0), [1; 32], session("a"), None, Use::Once).unwrap();
        assert_eq!(tokens.check(at(1), &text, &session("b")), Err(TokenError::WrongScope));
        assert_eq!(tokens.check(at(1), &text, &session("a")), Ok(()));
        assert_eq!(tokens.check(at(1), &text, &session("a")), Err(TokenError::Replayed));
    }

    #[test]
    fn what_opens_something_is_known_and_not_used_up() {
        let mut tokens = Tokens::new(8);
        let once = tokens.issue(at(0), [1; 32], session("a"), Some(at(9)), Use::Once).unwrap();
        let many = tokens.issue(at(0), [2; 32], session("a"), Some(at(9)), Use::Many).unwrap();
        assert!(tokens.knows(at(8), &once) && tokens.knows(at(8), &many));
        assert_eq!(tokens.check(at(8), &once, &session("a")), Ok(()));
        assert!(!tokens.knows(at(8), &once) && tokens.knows(at(8), &many));
        assert!(
            !tokens.knows(at(9), &many) && !tokens.knows(at(8), "") && !tokens.knows(at(8), "x")
        );
    }

    #[test]
    fn a_ticket_is_good_for_redeeming_only() {
        let mut tokens = Tokens::new(8);
        let ticket = Scope::Ticket(SessionId::new("a"));
        let text = tokens.issue(at(0), [1; 32], ticket.clone(), Some(at(20)), Use::Once).unwrap();
        assert_eq!(tokens.check(at(1), &text, &session("a")), Err(TokenError::WrongScope));
        let operator = tokens.issue(at(0), [2; 32], Scope::Operator, None, Use::Many).unwrap();
        assert_eq!(tokens.check(at(1), &operator, &ticket), Err(TokenError::WrongScope));
        assert_eq!(tokens.check(at(1), &text, &ticket), Ok(()));
        assert_eq!(tokens.check(at(1), &text, &ticket), Err(TokenError::Replayed));
        tokens.revoke_session(&SessionId::new("a"));
        assert_eq!(tokens.check(at(1), &text, &ticket), Err(TokenError::Unknown));
    }

    #[test]
    fn a_session_has_so_many_addresses_and_the_oldest_makes_room() {
        let mut tokens = Tokens::new(8);
        for (n, id) in [(7, "a"), (8, "b")] {
            tokens.issue(at(0), [n; 32], session(id), None, Use::Many).unwrap();
        }
        let connect = |id: &str| Scope::Connect(SessionId::new(id));
        let mut issue = |n: u8, id: &str| {
            let among = (Use::Once, 2);
            tokens.issue_among(at(0), [n; 32], connect(id), Some(at(20)), among).unwrap()
        };
        let other = issue(9, "b");
        let texts = [1, 2, 3].map(|n| issue(n, "a"));
        let mut check = |text: &str, scope: &Scope| tokens.check(at(1), text, scope);
        assert_eq!(check(&texts[0], &connect("a")), Err(TokenError::Unknown));
        assert_eq!(check(&texts[1], &session("a")), Err(TokenError::WrongScope));
        for (text, id) in [(&texts[1], "a"), (&texts[2], "a"), (&other, "b")] {
            assert_eq!(check(text, &connect(id)), Ok(()));
            assert_eq!(check(text, &connect(id)), Err(TokenError::Replayed));
        }
        tokens.revoke_session(&SessionId::new("a"));
        assert_eq!(tokens.len(), 2);
    }

    #[test]
    fn of_tokens_that_are_alike_the_oldest_makes_room_with_what_resumes_it() {
        let mut tokens = Tokens::new(20);
        let (id, among) = (SessionId::new("a"), (Use::Many, 3));
        let guest = guest("a", 1);
        let owner = tokens.issue(at(0), [255; 32], session("a"), None, Use::Many).unwrap();
        let keys: Vec<_> = (0..5_u8)
            .map(|n| {
                let token = tokens.issue_among(at(1), [n; 32], guest.clone(), None, among).unwrap();
                let resume = tokens.issue_resume(at(1), [100 + n; 32], &id, &token, None).unwrap();
                (token, resume)
            })
            .collect();
        assert_eq!(tokens.len(), 1 + 2 * 3);
        assert!(!tokens.knows(at(2), &keys[1].0) && tokens.knows(at(2), &keys[2].0));
        let gone = tokens.resume(at(2), &keys[1].1, &id, [50; 32], None);
        assert_eq!(gone, Err(TokenError::Unknown));
        let again = tokens.resume(at(2), &keys[2].1, &id, [51; 32], None).unwrap();
        assert!(tokens.knows(at(2), &again) && tokens.knows(at(2), &owner));
    }

    #[test]
    fn whoever_enters_again_and_again_by_a_ticket_takes_nothing_of_others() {
        let mut tokens = Tokens::new(20);
        tokens.issue(at(0), [255; 32], session("a"), None, Use::Many).unwrap();
        let among = (Use::Many, 3);
        let mut issue = |n: u8, ticket: u8| {
            tokens.issue_among(at(1), [n; 32], guest("a", ticket), None, among).unwrap()
        };
        let others = issue(1, 1);
        let own = [2, 3, 4, 5].map(|n| issue(n, 2));
        assert!(tokens.knows(at(2), &others));
        assert_eq!(own.each_ref().map(|it| tokens.knows(at(2), it)), [false, false, true, true]);
        // Who comes anew gets the place of the oldest.
        let third = tokens.issue_among(at(2), [6; 32], guest("a", 3), None, among).unwrap();
        assert!(tokens.knows(at(2), &third) && !tokens.knows(at(2), &others));
    }

    #[test]
    fn a_ticket_that_is_revoked_takes_along_what_came_of_it() {
        let mut tokens = Tokens::new(20);
        let (a, among) = (SessionId::new("a"), (Use::Once, 4));
        let renter = tokens.issue(at(0), [1; 32], session("a"), None, Use::Many).unwrap();
        let renters = tokens.issue_resume(at(0), [2; 32], &a, &renter, None).unwrap();
        let elsewhere = tokens.issue(at(0), [3; 32], session("b"), None, Use::Many).unwrap();
        let other = tokens.issue(at(0), [4; 32], guest("a", 2), None, Use::Many).unwrap();
        let first = tokens.issue(at(0), [5; 32], guest("a", 1), None, Use::Many).unwrap();
        let again = tokens.issue_resume(at(0), [6; 32], &a, &first, None).unwrap();
        let second = tokens.resume(at(0), &again, &a, [7; 32], None).unwrap();
        let resume = tokens.issue_resume(at(0), [8; 32], &a, &second, None).unwrap();
        let mut connect = |n: u8, id: &str| {
            let scope = Scope::Connect(SessionId::new(id));
            tokens.issue_among(at(0), [n; 32], scope, None, among).unwrap()
        };
        let (address, others) = (connect(9, "a"), connect(10, "b"));
        tokens.revoke_ticket(TicketId([1; 16]));
        for gone in [&second, &resume, &address] {
            assert!(!tokens.knows(at(1), gone));
        }
        assert_eq!(tokens.resume(at(1), &resume, &a, [11; 32], None), Err(TokenError::Unknown));
        for kept in [&renter, &renters, &elsewhere, &other, &others] {
            assert!(tokens.knows(at(1), kept));
        }
        assert_eq!(tokens.len(), 5);
    }

    #[test]
    fn nothing_is_issued_for_a_session_that_has_just_ended() {
        let mut tokens = Tokens::new(8);
        let id = SessionId::new("a");
        let text = tokens.issue(at(0), [1; 32], session("a"), None, Use::Many).unwrap();
        tokens.issue_resume(at(0), [2; 32], &id, &text, None).unwrap();
        tokens.revoke_session(&id);
        let connect = Scope::Connect(id.clone());
        let late = tokens.issue_among(at(1), [3; 32], connect, None, (Use::Once, 2));
        assert_eq!(late, Err(TokenError::Unknown));
        let late = tokens.issue_resume(at(1), [4; 32], &id, &text, None);
        assert_eq!(late, Err(TokenError::Unknown));
        assert!(tokens.is_empty());
    }

    #[test]
    fn an_exchange_uses_the_ticket_up_only_when_it_yields_a_token() {
        let mut tokens = Tokens::new(2);
        let ticket = Scope::Ticket(SessionId::new("a"));
        let text = tokens.issue(at(0), [1; 32], ticket.clone(), Some(at(20)), Use::Once).unwrap();
        let other = tokens.issue(at(0), [2; 32], session("b"), Some(at(5)), Use::Many).unwrap();
        let mut exchange = |now: u64, text: &str| {
            tokens.exchange(at(now), text, &ticket, [3; 32], session("a"), Some(at(60)))
        };
        assert_eq!(exchange(1, &text), Err(TokenError::Full));
        // The other one has expired and makes room, which a wrong ticket leaves as it was.
        assert_eq!(exchange(6, &other), Err(TokenError::Unknown));
        let token = exchange(7, &text).unwrap();
        assert_eq!(tokens.check(at(8), &token, &session("a")), Ok(()));
        assert_eq!(tokens.len(), 2);
        tokens.revoke_session(&SessionId::new("b"));
        let again = tokens.exchange(at(9), &text, &ticket, [4; 32], session("a"), None);
        assert!(matches!(again, Err(TokenError::Full | TokenError::Replayed)), "{again:?}");
    }

    #[test]
    fn a_resume_ticket_takes_the_place_of_the_token_that_it_came_with() {
        let mut tokens = Tokens::new(5);
        let (id, resume) = (SessionId::new("a"), Scope::Resume(SessionId::new("a")));
        let others = tokens.issue(at(0), [255; 32], session("a"), None, Use::Many).unwrap();
        let mut bearer = tokens.issue(at(0), [1; 32], session("a"), None, Use::Many).unwrap();
        let first = tokens.issue_resume(at(0), [100; 32], &id, &bearer, Some(at(60))).unwrap();
        assert_eq!(tokens.check(at(1), &first, &session("a")), Err(TokenError::WrongScope));
        let elsewhere = tokens.resume(at(1), &first, &SessionId::new("b"), [3; 32], None);
        assert_eq!(elsewhere, Err(TokenError::WrongScope));
        let forged = "00".repeat(32);
        assert_eq!(tokens.resume(at(1), &forged, &id, [3; 32], None), Err(TokenError::Unknown));
        // However often: the book stays as long.
        let mut ticket = first.clone();
        for n in 2..90 {
            let next = tokens.resume(at(2), &ticket, &id, [n; 32], None).unwrap();
            assert_eq!(tokens.check(at(2), &bearer, &session("a")), Err(TokenError::Unknown));
            assert_eq!(tokens.check(at(2), &next, &session("a")), Ok(()));
            let again = tokens.resume(at(2), &ticket, &id, [n; 32], None);
            assert_eq!(again, Err(TokenError::Replayed));
            ticket = tokens.issue_resume(at(2), [100 + n; 32], &id, &next, Some(at(60))).unwrap();
            bearer = next;
        }
        assert_eq!(tokens.len(), 4);
        assert_eq!(tokens.resume(at(3), &first, &id, [1; 32], None), Err(TokenError::Unknown));
        assert_eq!(tokens.resume(at(60), &ticket, &id, [1; 32], None), Err(TokenError::Expired));
        assert_eq!(tokens.check(at(61), &bearer, &session("a")), Ok(()));
        assert_eq!(tokens.check(at(61), &others, &session("a")), Ok(()), "nobody else's");
        let operator = tokens.issue(at(61), [254; 32], Scope::Operator, None, Use::Many).unwrap();
        assert_eq!(tokens.check(at(61), &operator, &resume), Err(TokenError::WrongScope));
    }

    #[test]
    fn the_operators_token_comes_as_a_digest_and_opens_everything() {
        let mut tokens = Tokens::new(8);
        // printf %s secret | sha256sum
        let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        let digest = TokenDigest::from_hex(digest).unwrap();
        tokens.add(at(0), digest, Scope::Operator, None, Use::Many).unwrap();
        for needed in [Scope::Operator, session("a")] {
            assert_eq!(tokens.check(at(9), "secret", &needed), Ok(()));
        }
        assert_eq!(tokens.check(at(9), "Secret", &Scope::Operator), Err(TokenError::Unknown));
    }

    #[test]
    fn malformed_texts_and_digests_are_refused() {
        let mut tokens = Tokens::new(1);
        assert_eq!(tokens.check(at(0), "", &Scope::Operator), Err(TokenError::Malformed));
        let long = "a".repeat(MAX_TEXT + 1);
        assert_eq!(tokens.check(at(0), &long, &Scope::Operator), Err(TokenError::Malformed));
        for bad in ["", "ab", &"g".repeat(64), &"a".repeat(65), &"ä".repeat(32)] {
            assert_eq!(TokenDigest::from_hex(bad), None);
        }
    }

    #[test]
    fn the_book_is_bounded_and_expired_tokens_make_room() {
        let mut tokens = Tokens::new(2);
        tokens.issue(at(0), [1; 32], session("a"), Some(at(10)), Use::Many).unwrap();
        let kept = tokens.issue(at(0), [2; 32], session("b"), None, Use::Many).unwrap();
        let full = tokens.issue(at(5), [3; 32], session("c"), None, Use::Many);
        assert_eq!(full, Err(TokenError::Full));
        assert!(tokens.issue(at(10), [3; 32], session("c"), None, Use::Many).is_ok());
        assert_eq!(tokens.check(at(11), &kept, &session("b")), Ok(()));
    }

    #[test]
    fn a_viewers_token_opens_nothing_of_the_session_and_goes_with_it() {
        let mut tokens = Tokens::new(8);
        let viewer = |id: &str| ViewerId::new(id);
        let scope = Scope::Viewer(viewer("v"));
        let text = tokens.issue(at(0), [1; 32], scope.clone(), None, Use::Many).unwrap();
        let connect = Scope::ConnectViewer(viewer("v"));
        let among = (Use::Once, 2);
        let address = tokens.issue_among(at(0), [2; 32], connect.clone(), None, among).unwrap();
        assert_eq!(tokens.check(at(1), &text, &scope), Ok(()));
        for other in [Scope::Operator, session("v"), Scope::Viewer(viewer("w")), connect.clone()] {
            assert_eq!(tokens.check(at(1), &text, &other), Err(TokenError::WrongScope));
        }
        assert_eq!(tokens.check(at(1), &address, &scope), Err(TokenError::WrongScope));
        assert_eq!(tokens.check(at(1), &address, &connect), Ok(()));
        let operator = tokens.issue(at(0), [3; 32], Scope::Operator, None, Use::Many).unwrap();
        assert_eq!(tokens.check(at(1), &operator, &connect), Err(TokenError::WrongScope));
        tokens.revoke_viewer(&viewer("w"));
        assert_eq!(tokens.len(), 3);
        tokens.revoke_viewer(&viewer("v"));
        assert_eq!(tokens.check(at(1), &text, &scope), Err(TokenError::Unknown));
        assert_eq!(tokens.len(), 1);
    }

    #[test]
    fn the_tokens_of_an_ended_session_are_forgotten() {
        let mut tokens = Tokens::new(4);
        let text = tokens.issue(at(0), [1; 32], session("a"), None, Use::Many).unwrap();
        let other = tokens.issue(at(0), [2; 32], session("b"), None, Use::Many).unwrap();
        tokens.revoke_session(&SessionId::new("a"));
        assert_eq!(tokens.check(at(1), &text, &session("a")), Err(TokenError::Unknown));
        assert_eq!(tokens.check(at(1), &other, &session("b")), Ok(()));
        assert_eq!(tokens.len(), 1);
    }
}
