//! Tickets: texts of a renter's making that let somebody else in.
//!
//! A ticket is exchanged by one request, which it names: the request's body is a secret that travels with the
//! ticket in a link's fragment, and of which the ticket holds the SHA-256. So whoever reads a ticket's text in a log or a
//! database cannot use it.

use std::fmt;

use super::text::{Reader, Writer, hex, unhex};
use super::{AccessError, Binding, UnixSeconds};

const DOMAIN: &str = "nearlight-ticket/1";
const SENTENCE: &str = "Whoever holds this ticket may use the machine named here as far as is said here. This moves no money.";
const WHAT: &str = "ticket";

/// The longest that a ticket may be good for: 60 days, as long as an order can be.
pub const MAX_TICKET_LIFE: u64 = 60 * 86_400;

/// Names a ticket: random, chosen by whoever makes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(pub [u8; 16]);

impl TicketId {
    /// From 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ticket {self}")
    }
}

/// What a ticket can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TicketScope {
    /// See and hear.
    View,
    /// And play.
    Play,
    /// Start a session.
    Start,
    /// End it.
    Stop,
    /// Read and write its files.
    Files,
}

impl TicketScope {
    /// All of them, in the order in which tickets list them.
    pub const ALL: [Self; 5] = [Self::View, Self::Play, Self::Start, Self::Stop, Self::Files];

    /// A name that never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Play => "play",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Files => "files",
        }
    }
}

/// A set of scopes that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketScopes(u8);

impl TicketScopes {
    /// Of scopes in any order; none if there are none.
    pub fn new(scopes: impl IntoIterator<Item = TicketScope>) -> Option<Self> {
        let bits = scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8);
        (bits != 0).then_some(Self(bits))
    }

    /// Whether the set has this one.
    pub fn has(self, scope: TicketScope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    fn parse(text: &str) -> Option<Self> {
        let find = |name: &str| TicketScope::ALL.into_iter().find(|scope| scope.name() == name);
        let scopes: Option<Vec<_>> = text.split(' ').map(find).collect();
        // One text for one set: in order, each once.
        Self::new(scopes?).filter(|set| set.to_string() == text)
    }
}

impl fmt::Display for TicketScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = TicketScope::ALL.into_iter().filter(|scope| self.has(*scope));
        f.write_str(&names.map(TicketScope::name).collect::<Vec<_>>().join(" "))
    }
}

/// What somebody wants to do with a ticket's bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// What a ticket may be for.
    Scoped(TicketScope),
    /// Rent, confirm, prolong, pay: the renter's alone.
    Spend,
    /// Make or revoke tickets: the renter's alone.
    Delegate,
}

/// What a renter signs for somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The exchange that it is good for; the body is the secret's digest.
    pub binding: Binding,
    /// Its name.
    pub id: TicketId,
    /// What it is for.
    pub scopes: TicketScopes,
    /// It is good from then on.
    pub not_before: UnixSeconds,
    /// It is not good from then on.
    pub not_after: UnixSeconds,
    /// How often it may be exchanged, at least once.
    pub uses: u32,
    /// The card that it is for; any of the order's where there is none.
    pub slot: Option<u32>,
}

impl Ticket {
    /// The text that a wallet shows and signs.
    pub fn text(&self) -> String {
        let mut writer = Writer::new(DOMAIN, SENTENCE);
        writer.binding(&self.binding);
        writer.field("ticket", self.id);
        writer.field("allows", self.scopes);
        writer.field("not before", self.not_before.0);
        writer.field("not after", self.not_after.0);
        writer.field("uses", self.uses);
        match self.slot {
            Some(slot) => writer.field("card", slot),
            None => writer.field("card", "any"),
        }
        writer.done()
    }

    /// Of exactly such a text.
    ///
    /// # Errors
    /// [`AccessError::Malformed`] and `Version`.
    pub fn parse(text: &str) -> Result<Self, AccessError> {
        let mut reader = Reader::new(text, DOMAIN, SENTENCE, WHAT)?;
        let malformed = reader.malformed();
        let narrow = |number: u64| u32::try_from(number).map_err(|_| malformed);
        let binding = reader.binding()?;
        let id = TicketId(reader.bytes("ticket")?);
        let scopes = TicketScopes::parse(reader.field("allows")?).ok_or(malformed)?;
        let not_before = reader.seconds("not before")?;
        let not_after = reader.seconds("not after")?;
        let uses = narrow(reader.number("uses")?)?;
        let slot = match reader.field("card")? {
            "any" => None,
            card => {
                let slot: u32 = card.parse().map_err(|_| malformed)?;
                Some(slot).filter(|slot| slot.to_string() == card).ok_or(malformed)?.into()
            }
        };
        reader.done()?;
        let life = not_after.0.checked_sub(not_before.0).ok_or(malformed)?;
        if uses == 0 || life == 0 || life > MAX_TICKET_LIFE {
            return Err(malformed);
        }
        Ok(Self { binding, id, scopes, not_before, not_after, uses, slot })
    }

    /// Whether the ticket allows something. Spending and delegating none does.
    ///
    /// # Errors
    /// [`AccessError::OutOfScope`] and `RenterOnly`.
    pub fn allows(&self, operation: Operation) -> Result<(), AccessError> {
        match operation {
            Operation::Scoped(scope) if self.scopes.has(scope) => Ok(()),
            Operation::Scoped(_) => Err(AccessError::OutOfScope),
            Operation::Spend | Operation::Delegate => Err(AccessError::RenterOnly),
        }
    }
}
