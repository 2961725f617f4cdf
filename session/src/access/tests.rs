use proptest::prelude::*;

use super::*;
use crate::rental::AccountId;

const RENTER: AccountId = AccountId([7; 32]);
const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

fn later(seconds: u64) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

fn binding() -> Binding {
    Binding {
        genesis: BlockHash([1; 32]),
        machine: MachineId::of_public_key(&[2; 32]),
        rent_id: RentId(12),
        origin: "https://node.example:8443".to_owned(),
        method: "POST".to_owned(),
        path: "/api/v1/sessions?x=1".to_owned(),
        body: Binding::body_of(b"{}"),
    }
}

fn ticket() -> Ticket {
    Ticket {
        binding: binding(),
        id: TicketId([4; 16]),
        scopes: TicketScopes::new([TicketScope::Play, TicketScope::View]).unwrap(),
        not_before: NOW,
        not_after: later(100),
        uses: 2,
        slot: Some(3),
    }
}

fn yes(account: &AccountId, _: &[u8]) -> bool {
    *account == RENTER
}

fn no(_: &AccountId, _: &[u8]) -> bool {
    false
}

fn challenges() -> Challenges {
    Challenges::new(&[1; 32], 4, 60)
}

/// Each way in which a request can be another one, and how that is called.
fn others() -> Vec<(Binding, AccessError)> {
    let it = binding();
    vec![
        (Binding { genesis: BlockHash([9; 32]), ..it.clone() }, AccessError::OtherChain),
        (
            Binding { machine: MachineId::of_public_key(&[9; 32]), ..it.clone() },
            AccessError::OtherMachine,
        ),
        (Binding { rent_id: RentId(13), ..it.clone() }, AccessError::OtherOrder),
        (
            Binding { origin: "https://node.example".to_owned(), ..it.clone() },
            AccessError::OtherNode,
        ),
        (Binding { method: "PUT".to_owned(), ..it.clone() }, AccessError::OtherRequest),
        (
            Binding { path: "/api/v1/sessions?x=2".to_owned(), ..it.clone() },
            AccessError::OtherRequest,
        ),
        (Binding { body: Binding::body_of(b"{ }"), ..it }, AccessError::OtherBody),
    ]
}

#[test]
fn a_wallet_shows_these_lines() {
    let challenge = Challenge { binding: binding(), expires: later(60), nonce: [5; 32] };
    let machine = "02".repeat(32);
    let expected = format!(
        "nearlight-challenge/1\n\
         I ask the machine named here to do what is named here, once. This moves no money.\n\
         chain: 0x{}\nmachine: {machine}\norder: 12\nnode: https://node.example:8443\n\
         request: POST /api/v1/sessions?x=1\n\
         body: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n\
         expires: 1790000060\nnonce: {}\n",
        "01".repeat(32),
        "05".repeat(32),
    );
    assert_eq!(challenge.text(), expected);
    let text = ticket().text();
    assert!(text.starts_with("nearlight-ticket/1\nWhoever holds this ticket"), "{text}");
    let end = "ticket: 04040404040404040404040404040404\nallows: view play\nnot before: 1790000000\nnot after: 1790000100\nuses: 2\ncard: 3\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_challenge_is_good_once_for_its_request_and_time() {
    let mut book = challenges();
    let text = book.issue(NOW, [5; 16], binding()).unwrap().text();
    for (other, error) in others() {
        assert_eq!(book.redeem(NOW, &text, &other, &RENTER, yes), Err(error));
    }
    let mut redeem = |seconds, signed: fn(&AccountId, &[u8]) -> bool| {
        book.redeem(later(seconds), &text, &binding(), &RENTER, signed)
    };
    assert_eq!(redeem(0, no), Err(AccessError::BadSignature));
    assert_eq!(redeem(59, yes), Ok(()), "nothing that was refused used it up");
    assert_eq!(redeem(59, yes), Err(AccessError::Replayed));
    assert_eq!(redeem(60, yes), Err(AccessError::Expired));
}

#[test]
fn a_challenge_that_was_not_given_out_is_unknown() {
    let mut book = challenges();
    let given = book.issue(NOW, [5; 16], binding()).unwrap();
    let mut redeem =
        |challenge: Challenge| book.redeem(NOW, &challenge.text(), &binding(), &RENTER, yes);
    // Of another nonce or seal, with its end put off, or of the form and without a seal.
    let unknown = Err(AccessError::UnknownChallenge);
    for place in 0..32 {
        let mut nonce = given.nonce;
        nonce[place] ^= 1;
        assert_eq!(redeem(Challenge { nonce, ..given.clone() }), unknown, "{place}");
    }
    assert_eq!(redeem(Challenge { expires: later(61), ..given.clone() }), unknown);
    assert_eq!(redeem(Challenge { nonce: [0; 32], ..given.clone() }), unknown);
    // After a restart.
    let mut book = Challenges::new(&[2; 32], 4, 60);
    assert_eq!(book.redeem(NOW, &given.text(), &binding(), &RENTER, yes), unknown);
}

#[test]
fn however_many_ask_the_renter_is_let_in() {
    let mut book = challenges();
    let mine = book.issue(NOW, [5; 16], binding()).unwrap();
    for number in 0..10_000_u128 {
        let foreign = book.issue(NOW, number.to_be_bytes(), binding()).unwrap();
        let shown = book.redeem(NOW, &foreign.text(), &binding(), &RENTER, no);
        assert_eq!(shown, Err(AccessError::BadSignature));
    }
    assert_eq!(book.redeem(NOW, &mine.text(), &binding(), &RENTER, yes), Ok(()));
    let injected = Binding { path: "/x\nbody: 0".to_owned(), ..binding() };
    assert_eq!(book.issue(NOW, [2; 16], injected), Err(AccessError::Malformed("challenge")));
}

#[test]
fn what_a_renter_used_is_bounded_by_order_and_forgotten_when_it_expires() {
    let mut book = challenges();
    let mut redeem = |seconds, random: u8, order| {
        let binding = Binding { rent_id: RentId(order), ..binding() };
        let text = book.issue(later(seconds), [random; 16], binding.clone()).unwrap().text();
        book.redeem(later(seconds), &text, &binding, &RENTER, yes)
    };
    for random in 0..4 {
        assert_eq!(redeem(0, random, 12), Ok(()));
    }
    assert_eq!(redeem(59, 4, 12), Err(AccessError::TooMany));
    assert_eq!(redeem(59, 5, 13), Ok(()), "of another order");
    assert_eq!(redeem(60, 6, 12), Ok(()));
    // A clock that goes back brings nothing back.
    let again = book.issue(NOW, [0; 16], binding()).unwrap();
    assert_eq!(again.expires, later(120));
}

/// Shows a ticket and says that its use is durable.
fn exchange(book: &mut Tickets, now: UnixSeconds, ticket: &Ticket) -> Result<u32, AccessError> {
    let record = book.present(now, &ticket.text(), &binding(), &RENTER, yes)?;
    book.persisted(&record).map(|admission| admission.uses)
}

#[test]
fn a_ticket_is_good_as_often_as_it_says_within_its_time() {
    let mut book = Tickets::default();
    let it = ticket();
    for (other, error) in others() {
        let shown = book.present(NOW, &it.text(), &other, &RENTER, yes);
        assert_eq!(shown, Err(error));
    }
    let unsigned = book.present(NOW, &it.text(), &binding(), &RENTER, no);
    assert_eq!(unsigned, Err(AccessError::BadSignature));
    assert_eq!(exchange(&mut book, UnixSeconds(NOW.0 - 1), &it), Err(AccessError::NotYet));
    assert_eq!(exchange(&mut book, later(100), &it), Err(AccessError::Expired));
    assert_eq!(exchange(&mut book, NOW, &it), Ok(1));
    assert_eq!(exchange(&mut book, later(99), &it), Ok(2));
    assert_eq!(exchange(&mut book, later(99), &it), Err(AccessError::UsedUp));
}

#[test]
fn nobody_is_let_in_before_the_use_is_durable() {
    let mut book = Tickets::default();
    let it = ticket();
    let show = |book: &mut Tickets| book.present(NOW, &it.text(), &binding(), &RENTER, yes);
    let record = show(&mut book).unwrap();
    assert_eq!(record.uses, 1);
    assert_eq!(show(&mut book), Err(AccessError::TooMany), "while the first is written");
    // The disk is full: the use does not count.
    assert_eq!(book.failed(&record), AccessError::NotDurable);
    assert_eq!(book.of(RentId(12)).count(), 0);
    let again = show(&mut book).unwrap();
    assert_eq!(again.uses, 1);
    assert!(book.persisted(&again).is_ok());
    assert_eq!(book.persisted(&again), Err(AccessError::OrderEnded), "once");
    // A restart between the write and the answer: the use counts.
    let record = show(&mut book).unwrap();
    let mut book = Tickets::restore([record]);
    assert_eq!(show(&mut book), Err(AccessError::UsedUp));
}

#[test]
fn a_revoked_ticket_lets_nobody_in_whenever_it_was_revoked() {
    let it = ticket();
    // Before it was ever shown.
    let mut book = Tickets::default();
    let record = book.revoke(it.id, RentId(12)).unwrap();
    assert_eq!((record.uses, record.revoked), (0, true));
    assert_eq!(exchange(&mut book, NOW, &it), Err(AccessError::Revoked));
    // While its use is written.
    let mut book = Tickets::default();
    let shown = book.present(NOW, &it.text(), &binding(), &RENTER, yes).unwrap();
    let record = book.revoke(it.id, RentId(12)).unwrap();
    assert_eq!((record.uses, record.revoked), (1, true));
    assert_eq!(book.persisted(&shown), Err(AccessError::Revoked));
    // And after a restart. Another order's renter cannot.
    let mut book = Tickets::restore([record]);
    assert!(book.is_revoked(it.id) && !book.is_revoked(TicketId([0xee; 16])));
    assert_eq!(exchange(&mut book, NOW, &it), Err(AccessError::Revoked));
    assert_eq!(book.revoke(it.id, RentId(13)), Err(AccessError::OtherOrder));
}

#[test]
fn a_ticket_dies_with_its_order() {
    let mut book = Tickets::default();
    let it = ticket();
    let record = book.present(NOW, &it.text(), &binding(), &RENTER, yes).unwrap();
    book.order_ended(RentId(12));
    assert_eq!(book.persisted(&record), Err(AccessError::OrderEnded));
    // If the order comes back, what was used and taken back is still that.
    assert_eq!(book.of(RentId(12)).map(|record| record.uses).collect::<Vec<_>>(), [1]);
    let other = Ticket { id: TicketId([8; 16]), ..ticket() };
    book.revoke(other.id, RentId(12)).unwrap();
    book.order_ended(RentId(12));
    assert_eq!(exchange(&mut book, NOW, &other), Err(AccessError::Revoked));
}

#[test]
fn a_ticket_allows_its_scopes_and_never_money_or_tickets() {
    let all = Ticket { scopes: TicketScopes::new(TicketScope::ALL).unwrap(), ..ticket() };
    for scope in TicketScope::ALL {
        assert_eq!(all.allows(Operation::Scoped(scope)), Ok(()));
        let one = Ticket { scopes: TicketScopes::new([scope]).unwrap(), ..ticket() };
        for other in TicketScope::ALL {
            assert_eq!(one.allows(Operation::Scoped(other)).is_ok(), scope == other);
        }
    }
    for operation in [Operation::Spend, Operation::Delegate] {
        assert_eq!(all.allows(operation), Err(AccessError::RenterOnly));
    }
    assert_eq!(TicketScopes::new([]), None);
}

#[test]
fn texts_that_are_almost_right_are_refused() {
    let good = ticket().text();
    let malformed = Err(AccessError::Malformed("ticket"));
    for (from, to) in [
        ("uses: 2", "uses: 02"),
        ("uses: 2", "uses: 0"),
        ("uses: 2", "uses: 4294967296"),
        ("uses: 2", "uses: +2"),
        ("allows: view play", "allows: play view"),
        ("allows: view play", "allows: view view"),
        ("allows: view play", "allows: view spend"),
        ("allows: view play", "allows: "),
        ("card: 3", "card: 3\nallows: files"),
        ("card: 3", "card: all"),
        ("0404", "0A04"),
        ("not after: 1790000100", "not after: 1790000000"),
        ("not after: 1790000100", "not after: 1799999999"),
        ("moves no money", "moves money"),
        ("order: 12", "order:12"),
        ("order: 12", "order: 12 "),
        ("order: 12", "order: 12\r"),
        ("node.example", "nod\u{e9}.example"),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(Ticket::parse(&good.replacen(from, to, 1)), malformed, "{to}");
    }
    for text in ["", "\n", good.trim_end(), &format!("{good}\n"), &format!("<Bytes>{good}</Bytes>")]
    {
        assert_eq!(Ticket::parse(text), malformed, "{text}");
    }
    let version = good.replacen("ticket/1", "ticket/2", 1);
    assert_eq!(Ticket::parse(&version), Err(AccessError::Version("ticket")));
    // A signature over one kind of text is none over the other.
    assert_eq!(Challenge::parse(&good), Err(AccessError::Malformed("challenge")));
}

proptest! {
    #[test]
    fn every_ticket_comes_back(
        order: u64, id: [u8; 16], bits in 1_u8..32, from in 0..u64::MAX - MAX_TICKET_LIFE, life in 1..=MAX_TICKET_LIFE,
        uses in 1..=u32::MAX, slot: Option<u32>, path in "/[!-~]{0,80}",
    ) {
        let scopes = TicketScope::ALL.into_iter().filter(|scope| bits & (1 << *scope as u8) != 0);
        let ticket = Ticket {
            binding: Binding { rent_id: RentId(order), path, ..binding() },
            id: TicketId(id), scopes: TicketScopes::new(scopes).unwrap(), not_before: UnixSeconds(from),
            not_after: UnixSeconds(from + life), uses, slot,
        };
        prop_assert_eq!(Ticket::parse(&ticket.text()), Ok(ticket));
    }

    #[test]
    fn any_text_is_answered_and_what_is_taken_has_one_form(at in 0..600_usize, byte in 0..128_u8) {
        let mut text = ticket().text().into_bytes();
        if at < text.len() {
            text[at] = byte;
        }
        let text = String::from_utf8(text).unwrap();
        if let Ok(ticket) = Ticket::parse(&text) {
            prop_assert_eq!(ticket.text(), text);
        }
    }
}
