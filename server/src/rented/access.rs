//! Who somebody is: proofs in, bearers out.

use keys::{MultisigProof, from_hex, verify_bytes};
use media::SessionId;
use session::access::{
    AccessError, Binding, Challenge, Operation, Ticket, TicketId, TicketRecord, TicketScope,
    TicketScopes, UnixSeconds,
};
use session::invitations::InvitationId;
use session::lease::{Claimant, Denied, Grant};
use session::reason::StoppedBy;
use session::rental::{AccountId, At, RentId};

use super::{Books, Rented};
use crate::http::Problem;
use crate::rented::refusal::{not_written, unfit_chain};

/// The request that a challenge is for.
pub(crate) const BEARERS: &str = "/api/v1/lease/bearers";
/// The request that a ticket is for.
pub(crate) const REDEEM: &str = "/api/v1/lease/tickets/redeem";
/// How long the chain is asked for whose order it is.
const ASK: std::time::Duration = std::time::Duration::from_secs(2);

/// Who holds a bearer, and of what order.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) rent_id: RentId,
    pub(super) holder: Holder,
}

#[derive(Clone, Debug)]
pub(super) enum Holder {
    Renter(AccountId),
    Guest { ticket: Box<Ticket>, renter: AccountId },
}

/// Somebody who watches by a ticket.
pub(super) struct Guest {
    ticket: TicketId,
    session: SessionId,
    invitation: InvitationId,
}

/// What is shown of a text that was signed.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// The text.
    pub(crate) text: String,
    /// By whom.
    pub(crate) by: Signed,
}

/// Signatures of a text.
#[derive(Clone, Debug)]
pub(crate) enum Signed {
    /// Of one wallet.
    One(Vec<u8>),
    /// Of several that rent as one.
    Several(MultisigProof),
}

impl Proof {
    fn is_of(&self, account: &AccountId, message: &[u8]) -> bool {
        match &self.by {
            Signed::One(signature) => verify_bytes(account, signature, message).is_ok(),
            Signed::Several(proof) => proof.check(account, message).is_ok(),
        }
    }
}

impl Claim {
    pub(crate) fn claimant(&self) -> Claimant {
        match &self.holder {
            Holder::Renter(account) => Claimant::Renter(*account),
            Holder::Guest { .. } => Claimant::Bearer,
        }
    }

    /// Whether it allows something.
    ///
    /// # Errors
    /// [`AccessError::OutOfScope`] and `RenterOnly`.
    pub(crate) fn allows(&self, operation: Operation) -> Result<(), AccessError> {
        match &self.holder {
            Holder::Renter(_) => Ok(()),
            Holder::Guest { ticket, .. } => ticket.allows(operation),
        }
    }

    /// What a guest may do; none of the renter, who may do everything.
    pub(crate) fn scopes(&self) -> Option<TicketScopes> {
        match &self.holder {
            Holder::Renter(_) => None,
            Holder::Guest { ticket, .. } => Some(ticket.scopes),
        }
    }

    /// What each may do, by name.
    pub(crate) fn scope_names(&self) -> Vec<&'static str> {
        let has = |scope: &TicketScope| self.allows(Operation::Scoped(*scope)).is_ok();
        TicketScope::ALL.into_iter().filter(has).map(TicketScope::name).collect()
    }

    pub(crate) fn ticket_id(&self) -> Option<TicketId> {
        match &self.holder {
            Holder::Renter(_) => None,
            Holder::Guest { ticket, .. } => Some(ticket.id),
        }
    }

    pub(super) fn slot(&self) -> Option<u32> {
        match &self.holder {
            Holder::Renter(_) => None,
            Holder::Guest { ticket, .. } => ticket.slot,
        }
    }

    pub(crate) fn renter(&self) -> &AccountId {
        match &self.holder {
            Holder::Renter(account) | Holder::Guest { renter: account, .. } => account,
        }
    }
}

/// A bearer that was just made.
pub(crate) struct Made {
    pub(crate) token: String,
    pub(crate) claim: Claim,
    pub(crate) grant: Grant,
    /// By the chain's clock.
    pub(crate) expires: UnixSeconds,
}

impl Rented {
    /// What a request must be for a proof to be good for it.
    fn request(&self, rent_id: RentId, path: &str, body: &[u8]) -> Binding {
        Binding {
            genesis: self.genesis,
            machine: self.machine,
            rent_id,
            origin: self.origin.clone(),
            method: "POST".to_owned(),
            path: path.to_owned(),
            body: Binding::body_of(body),
        }
    }

    /// Whether somebody may use an order now.
    pub(crate) fn check(&self, rent_id: RentId, who: Claimant) -> Result<Grant, Denied> {
        self.books().lease.check(self.boot.now(), rent_id, who)
    }

    /// The same, and where the machine has no such order, whether another machine has: the chain is asked, for a moment.
    pub(crate) async fn find(&self, rent_id: RentId, who: Claimant) -> Result<Grant, Problem> {
        let denied = match self.check(rent_id, who) {
            Ok(grant) => return Ok(grant),
            Err(denied) => denied,
        };
        let chain = self.books().chain.clone();
        if let (Denied::UnknownOrder, Some(chain)) = (denied, chain) {
            let asked = tokio::time::timeout(ASK, chain.order(At::Best, rent_id)).await;
            let order = asked.ok().and_then(Result::ok).and_then(|seen| seen.value);
            if order.is_some_and(|order| order.machine != self.machine) {
                return Err(Denied::OtherMachine.into());
            }
        }
        let unfit = self.books().unfit.clone().filter(|_| denied == Denied::NoHead);
        Err(unfit.map_or_else(|| denied.into(), |why| unfit_chain(&why)))
    }

    /// A text for the renter to sign, once he may use the order. `body` is what he sends with it.
    pub(crate) async fn challenge(
        &self,
        rent_id: RentId,
        account: AccountId,
        body: &[u8],
    ) -> Result<Challenge, Problem> {
        self.find(rent_id, Claimant::Renter(account)).await?;
        let mut random = [0; 16];
        crate::node::fill_random(&mut random)?;
        let books = self.books();
        let now = self.time(&books)?;
        Ok(books.challenges.issue(now, random, self.request(rent_id, BEARERS, body))?)
    }

    /// Takes a challenge that the renter signed for a bearer.
    pub(crate) async fn renter(
        &self,
        rent_id: RentId,
        account: AccountId,
        proof: &Proof,
        body: &[u8],
    ) -> Result<Made, Problem> {
        let grant = self.find(rent_id, Claimant::Renter(account)).await?;
        let request = self.request(rent_id, BEARERS, body);
        let mut random = [0; 32];
        crate::node::fill_random(&mut random)?;
        let mut books = self.books();
        let now = self.time(&books)?;
        let signed = |account: &AccountId, message: &[u8]| proof.is_of(account, message);
        books.challenges.redeem(now, &proof.text, &request, &account, signed)?;
        let claim = Claim { rent_id, holder: Holder::Renter(account) };
        Ok(self.made(&mut books, now, random, claim, grant, None))
    }

    /// Takes a ticket, and the secret that is its request's body, for a bearer. The use is durable before.
    pub(crate) async fn guest(&self, proof: &Proof, secret: &[u8]) -> Result<Made, Problem> {
        let rent_id = Ticket::parse(&proof.text)?.binding.rent_id;
        let request = self.request(rent_id, REDEEM, secret);
        // Before the lease: whoever shows a ticket of another machine is told so, and not that its order is unknown.
        Ticket::parse(&proof.text)?.binding.check(&request)?;
        let grant = self.find(rent_id, Claimant::Bearer).await?;
        let mut random = [0; 32];
        crate::node::fill_random(&mut random)?;
        let record = {
            let mut books = self.books();
            let now = self.time(&books)?;
            let signed = |account: &AccountId, message: &[u8]| proof.is_of(account, message);
            books.tickets.present(now, &proof.text, &request, &grant.renter, signed)?
        };
        let written = self.ledger.commit(ledger::Op::Ticket(record)).await;
        let mut books = self.books();
        if let Err(error) = written {
            let why = books.tickets.failed(&record);
            tracing::error!(%error, "the use of a ticket was not written");
            return Err(why.into());
        }
        let admission = books.tickets.persisted(&record)?;
        let now = self.time(&books)?;
        let (ticket, renter) = (Box::new(admission.ticket), grant.renter);
        let until = Some(ticket.not_after);
        let claim = Claim { rent_id, holder: Holder::Guest { ticket, renter } };
        Ok(self.made(&mut books, now, random, claim, grant, until))
    }

    fn made(
        &self,
        books: &mut Books,
        now: UnixSeconds,
        random: [u8; 32],
        claim: Claim,
        grant: Grant,
        until: Option<UnixSeconds>,
    ) -> Made {
        let longest = UnixSeconds(now.0.saturating_add(self.longest.as_secs()));
        let expires = until.map_or(longest, |until| until.min(longest));
        let token = books.bearers.issue(now, &random, claim.clone(), expires);
        Made { token, claim, grant, expires }
    }

    /// Who shows a bearer of an order that is not over.
    ///
    /// # Errors
    /// A problem that says what is wrong with it.
    pub(crate) fn claim(&self, token: &str) -> Result<Claim, Problem> {
        let (claim, ended) = self.claim_even_ended(token)?;
        if ended {
            let who = claim.claimant();
            return Err(self.check(claim.rent_id, who).err().unwrap_or(Denied::Over).into());
        }
        Ok(claim)
    }

    /// The same of an order that may be over.
    pub(crate) fn claim_even_ended(&self, token: &str) -> Result<(Claim, bool), Problem> {
        let books = self.books();
        let now = self.time(&books)?;
        let checked = books.bearers.check(now, token);
        let checked = checked.map(|(claim, ended)| (claim.clone(), ended));
        checked.map_err(|why| Problem::RENTED.because(why.to_string()))
    }

    /// The tickets of an order that were shown or revoked.
    pub(crate) fn tickets(&self, rent_id: RentId) -> Vec<TicketRecord> {
        self.books().tickets.of(rent_id).copied().collect()
    }

    /// Takes a ticket back: durable, and whoever came by it is out. `forget` takes the keys of sessions that came of it. Yields the
    /// invitations that did.
    pub(crate) async fn revoke(
        &self,
        rent_id: RentId,
        id: TicketId,
        forget: impl FnOnce(),
    ) -> Result<Vec<(SessionId, InvitationId)>, Problem> {
        let record = {
            let mut books = self.books();
            let record = books.tickets.revoke(id, rent_id)?;
            books.bearers.revoke(id);
            // With the books locked: keys are made before somebody is let in by the books.
            forget();
            let came = books.seats.values().filter(|seat| seat.came_by == Some(id));
            came.for_each(|seat| seat.end(StoppedBy::Owner));
            record
        };
        let written = self.ledger.commit(ledger::Op::Ticket(record)).await;
        written.map_err(|error| not_written("the ticket's revocation", &error))?;
        // Not before: where it could not be written they are sent away when it is tried again.
        let mut books = self.books();
        let (gone, stay) = std::mem::take(&mut books.guests)
            .into_iter()
            .partition::<Vec<_>, _>(|guest| guest.ticket == id);
        books.guests = stay;
        Ok(gone.into_iter().map(|guest| (guest.session, guest.invitation)).collect())
    }

    /// Somebody watches. Who does by a ticket is remembered, and of the same session only those who are `there` still.
    ///
    /// # Errors
    /// [`AccessError::Revoked`] where his ticket was taken back meanwhile.
    pub(crate) fn watches(
        &self,
        claim: &Claim,
        session: SessionId,
        invitation: InvitationId,
        there: impl FnOnce() -> Vec<InvitationId>,
    ) -> Result<(), AccessError> {
        let Some(ticket) = claim.ticket_id() else { return Ok(()) };
        let mut books = self.books();
        books.let_in(claim)?;
        // Asked with the books locked: whoever is in them came in before.
        let there = there();
        books.guests.retain(|guest| guest.session != session || there.contains(&guest.invitation));
        // One that is over has no seat, and its guests were forgotten.
        if books.seats.values().any(|seat| seat.session.as_ref() == Some(&session)) {
            books.guests.push(Guest { ticket, session, invitation });
        }
        Ok(())
    }

    /// A session is over: nobody watches it.
    pub(super) fn forget_guests(books: &mut Books, session: &SessionId) {
        books.guests.retain(|guest| guest.session != *session);
    }
}

/// An account as people write it: ss58 of any network, or 64 hexadecimal digits.
pub(crate) fn account(text: &str) -> Result<AccountId, Problem> {
    if let Ok((account, _)) = keys::ss58::decode(text) {
        return Ok(account);
    }
    let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok()).map(AccountId);
    bytes.ok_or_else(|| {
        Problem::BAD_REQUEST.because("account: it is neither an address nor 64 digits")
    })
}
