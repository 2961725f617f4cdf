//! The clipboard between a real X server's programs and us: a double of what copies and pastes, written against the
//! server itself, that does what real programs do and what hostile ones would.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nearlight_host::display::clipboard::{Clip, ClipError, ClipKind, ClipLimits, Clipboard};
use nearlight_host::display::{Clips as _, Display};
use rustix::process::Signal;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask,
    PropMode, Property, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent,
    Window, WindowClass,
};
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT, CURRENT_TIME, NONE};

use crate::server::{self, COOKIE_BYTES, Server};

/// Of all tests but those whose programs do not answer.
const PATIENT: Duration = Duration::from_secs(60);
pub(crate) const LIMITS: ClipLimits =
    ClipLimits { text: 1 << 20, image: 4 << 20, patience: PATIENT };
const UTF8: &str = "UTF8_STRING";
const PNG: &str = "image/png";

/// A clipboard, and what it tells.
fn open(display: &Display, limits: ClipLimits) -> (Clipboard, Receiver<()>) {
    let (tell, told) = channel();
    let clipboard = display.clipboard(limits, Arc::new(move || _ = tell.send(()))).unwrap();
    (clipboard, told)
}

pub(crate) fn text(text: &str) -> Clip {
    Clip::new(ClipKind::Text, Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// What begins as a PNG and goes on to so many bytes.
fn image(length: usize) -> Clip {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\0\0\0\x02\0".to_vec();
    bytes.extend((bytes.len()..length).map(|at| (at * 7 % 251) as u8));
    Clip::new(ClipKind::Image, bytes.into()).unwrap()
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn says(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap()).contains(words)
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A program with a window.
struct Program {
    x: RustConnection,
    window: Window,
}

/// How a program hands over what it has copied.
#[derive(Clone, Copy)]
enum Hands {
    /// In one property.
    Whole,
    /// By INCR, in pieces of so many bytes.
    Pieces(usize),
    /// By INCR without end.
    Endless,
    /// It says how large it is, and nothing after that.
    Announces(u32),
    /// Not at all: it does not answer.
    Silent,
    /// It says no.
    Refuses,
}

impl Program {
    fn start(server: &Server) -> Self {
        let socket = std::os::unix::net::UnixStream::connect(server.socket()).unwrap();
        let (stream, _) = DefaultStream::from_unix_stream(socket).unwrap();
        let (name, cookie) = (b"MIT-MAGIC-COOKIE-1".to_vec(), COOKIE_BYTES.to_vec());
        let x = RustConnection::connect_to_stream_with_auth_info(stream, 0, name, cookie).unwrap();
        let (window, root) = (x.generate_id().unwrap(), x.setup().roots[0].root);
        let watched = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let (class, depth) = (WindowClass::INPUT_ONLY, COPY_DEPTH_FROM_PARENT);
        x.create_window(depth, window, root, 0, 0, 1, 1, 0, class, COPY_FROM_PARENT, &watched)
            .unwrap();
        x.sync().unwrap();
        Self { x, window }
    }

    fn atom(&self, name: &str) -> Atom {
        self.x.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom
    }

    fn copy(&self) {
        self.x.set_selection_owner(self.window, self.atom("CLIPBOARD"), CURRENT_TIME).unwrap();
        self.x.sync().unwrap();
    }

    /// Hands `bytes` over as `target` to whoever asks, until nobody can ask any more; tells when somebody does.
    fn serve(self, target: &'static str, bytes: Vec<u8>, hands: Hands) -> Receiver<()> {
        let (tell, asked) = channel();
        self.copy();
        let [target, incr, targets] = [target, "INCR", "TARGETS"].map(|name| self.atom(name));
        std::thread::spawn(move || {
            let mut rest: Option<(SelectionRequestEvent, Vec<u8>)> = None;
            while let Ok(event) = self.x.wait_for_event() {
                match event {
                    Event::SelectionRequest(ask) if ask.target == targets => {
                        let list = [targets, target];
                        self.put32(&ask, AtomEnum::ATOM.into(), &list);
                        self.answer(&ask, true);
                    }
                    Event::SelectionRequest(ask) => match hands {
                        Hands::Silent => _ = tell.send(()),
                        _ if ask.target != target => self.answer(&ask, false),
                        Hands::Refuses => self.answer(&ask, false),
                        Hands::Whole => {
                            self.put8(&ask, &bytes);
                            self.answer(&ask, true);
                        }
                        Hands::Pieces(_) | Hands::Endless | Hands::Announces(_) => {
                            let mask = EventMask::PROPERTY_CHANGE;
                            let watch = ChangeWindowAttributesAux::new().event_mask(mask);
                            self.x.change_window_attributes(ask.requestor, &watch).unwrap();
                            let least = match hands {
                                Hands::Announces(least) => least,
                                _ => 1,
                            };
                            self.put32(&ask, incr, &[least]);
                            self.answer(&ask, true);
                            rest = Some((ask, bytes.clone()));
                        }
                    },
                    Event::PropertyNotify(gone) if gone.state == Property::DELETE => {
                        let Some((ask, left)) = &mut rest else { continue };
                        if gone.window != ask.requestor || gone.atom != ask.property {
                            continue;
                        }
                        match hands {
                            Hands::Pieces(most) => {
                                let piece: Vec<u8> = left.drain(..most.min(left.len())).collect();
                                let last = piece.is_empty();
                                self.put8(ask, &piece);
                                if last {
                                    rest = None;
                                }
                            }
                            Hands::Endless => self.put8(ask, &bytes),
                            _ => {}
                        }
                    }
                    _ => {}
                }
                self.x.flush().unwrap();
            }
        });
        asked
    }

    fn put8(&self, ask: &SelectionRequestEvent, bytes: &[u8]) {
        self.x
            .change_property8(PropMode::REPLACE, ask.requestor, ask.property, ask.target, bytes)
            .unwrap();
    }

    fn put32(&self, ask: &SelectionRequestEvent, of: Atom, values: &[u32]) {
        self.x
            .change_property32(PropMode::REPLACE, ask.requestor, ask.property, of, values)
            .unwrap();
    }

    fn answer(&self, ask: &SelectionRequestEvent, given: bool) {
        let answer = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: ask.time,
            requestor: ask.requestor,
            selection: ask.selection,
            target: ask.target,
            property: if given { ask.property } else { NONE },
        };
        self.x.send_event(false, ask.requestor, EventMask::NO_EVENT, answer).unwrap();
    }

    /// Asks for the clipboard as `target`; what comes in the property, with its type.
    fn ask(&self, target: &str) -> Option<(Atom, Vec<u8>)> {
        let [clipboard, target, property] =
            ["CLIPBOARD", target, "PASTED"].map(|name| self.atom(name));
        self.x.convert_selection(self.window, clipboard, target, property, CURRENT_TIME).unwrap();
        self.x.flush().unwrap();
        loop {
            if let Event::SelectionNotify(answer) = self.x.wait_for_event().unwrap() {
                return (answer.property == property).then(|| self.take(property));
            }
        }
    }

    fn take(&self, property: Atom) -> (Atom, Vec<u8>) {
        let any = AtomEnum::ANY;
        let value = self.x.get_property(true, self.window, property, any, 0, u32::MAX / 4).unwrap();
        let value = value.reply().unwrap();
        self.x.flush().unwrap();
        (value.type_, value.value)
    }

    /// Pastes the clipboard as `target`, whole or in pieces; and how many pieces it came in.
    fn paste(&self, target: &str) -> Option<(Vec<u8>, usize)> {
        let (of, bytes) = self.ask(target)?;
        if of != self.atom("INCR") {
            return Some((bytes, 0));
        }
        let (property, mut all, mut pieces) = (self.atom("PASTED"), Vec::new(), 0);
        loop {
            match self.x.wait_for_event().unwrap() {
                Event::PropertyNotify(new)
                    if new.state == Property::NEW_VALUE && new.atom == property =>
                {
                    let (of, piece) = self.take(property);
                    // What was announced is told of, too.
                    if of == NONE {
                        continue;
                    }
                    if piece.is_empty() {
                        return Some((all, pieces));
                    }
                    all.extend(piece);
                    pieces += 1;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn what_is_copied_is_told_of_and_had_when_it_is_asked_for() {
    let Some(server) = server::start(64, 48) else { return };
    let display = server.connect();
    let (clipboard, told) = open(&display, LIMITS);
    assert_eq!(clipboard.take(), Err(ClipError::Nothing));
    let words = "Grüße 😀\nzwei";
    for (target, bytes, hands, wanted) in [
        (UTF8, words.as_bytes().to_vec(), Hands::Whole, text(words)),
        ("text/plain;charset=utf-8", words.as_bytes().to_vec(), Hands::Pieces(3), text(words)),
        // Latin-1.
        ("STRING", b"Gr\xfc\xdfe".to_vec(), Hands::Whole, text("Grüße")),
        (UTF8, Vec::new(), Hands::Pieces(1), text("")),
        (PNG, image(2000).bytes().to_vec(), Hands::Whole, image(2000)),
        // Beyond one request, and beyond one answer of ours.
        (PNG, image(3 << 20).bytes().to_vec(), Hands::Pieces(200_000), image(3 << 20)),
        (PNG, image(700_000).bytes().to_vec(), Hands::Whole, image(700_000)),
    ] {
        let _asked = Program::start(&server).serve(target, bytes, hands);
        told.recv_timeout(PATIENT).unwrap();
        // Any number of times.
        for _ in 0..2 {
            assert!(clipboard.take() == Ok(wanted.clone()), "{target}");
        }
    }
}

#[test]
fn what_the_player_brings_is_pasted_whole_and_in_pieces() {
    let Some(server) = server::start(64, 48) else { return };
    let display = server.connect();
    let (clipboard, told) = open(&display, LIMITS);
    let program = Program::start(&server);
    assert_eq!(program.paste(UTF8), None);
    clipboard.offer(text("Grüße")).unwrap();
    // Nothing that a program copied.
    assert_eq!(clipboard.take(), Err(ClipError::Nothing));
    let whole = |bytes: &[u8]| Some((bytes.to_vec(), 0));
    for target in [UTF8, "TEXT", "text/plain", "text/plain;charset=utf-8"] {
        assert_eq!(program.paste(target), whole("Grüße".as_bytes()), "{target}");
    }
    assert_eq!(program.paste("STRING"), whole(b"Gr\xfc\xdfe"));
    assert_eq!(program.paste(PNG), None);
    assert_eq!(program.paste("MULTIPLE"), None);
    let targets = |program: &Program| {
        let (of, list) = program.ask("TARGETS").unwrap();
        assert_eq!(of, u32::from(AtomEnum::ATOM));
        let (atoms, _) = list.as_chunks::<4>();
        atoms.iter().map(|atom| Atom::from_ne_bytes(*atom)).collect::<Vec<_>>()
    };
    assert!(targets(&program).contains(&program.atom(UTF8)));
    let (of, since) = program.ask("TIMESTAMP").unwrap();
    assert_eq!((of, since.len()), (u32::from(AtomEnum::INTEGER), 4));
    assert_ne!(since, [0; 4]);
    // What Latin-1 has not is not had in it.
    clipboard.offer(text("😀")).unwrap();
    assert_eq!(program.paste("STRING"), None);
    assert_eq!(program.paste(UTF8), whole("😀".as_bytes()));

    let large = image(3 << 20);
    clipboard.offer(large.clone()).unwrap();
    assert_eq!(program.paste(UTF8), None);
    assert_eq!(targets(&program), ["TARGETS", "TIMESTAMP", PNG].map(|name| program.atom(name)));
    let (bytes, pieces) = program.paste(PNG).unwrap();
    assert!(bytes == large.bytes()[..] && pieces > 1, "{} bytes in {pieces}", bytes.len());
    // Another copies: ours is gone.
    Program::start(&server).serve(UTF8, b"theirs".to_vec(), Hands::Whole);
    told.recv_timeout(PATIENT).unwrap();
    assert_eq!(program.paste(UTF8), whole(b"theirs"));
    assert_eq!(clipboard.take(), Ok(text("theirs")));
}

#[test]
fn programs_that_do_not_hand_over_are_given_up() {
    let Some(server) = server::start(64, 48) else { return };
    let display = server.connect();
    let (clipboard, told) = open(&display, LIMITS);
    let _asked = Program::start(&server).serve(UTF8, b"mine".to_vec(), Hands::Refuses);
    told.recv_timeout(PATIENT).unwrap();
    assert_eq!(clipboard.take(), Err(ClipError::Unknown));
    drop(clipboard);
    let limits = ClipLimits { patience: Duration::from_millis(200), ..LIMITS };
    let (clipboard, told) = open(&display, limits);
    // Of the one that is there.
    told.recv_timeout(PATIENT).unwrap();
    // Where the clipboard was late, what was given up before may still be asked for.
    let taken = || {
        let began = Instant::now();
        loop {
            match clipboard.take() {
                Err(ClipError::Busy) if began.elapsed() < PATIENT => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                taken => return taken,
            }
        }
    };
    for hands in [Hands::Silent, Hands::Announces(10)] {
        let _asked = Program::start(&server).serve(UTF8, b"mine".to_vec(), hands);
        told.recv_timeout(PATIENT).unwrap();
        let began = Instant::now();
        assert_eq!(taken(), Err(ClipError::Silent));
        assert!(began.elapsed() < PATIENT);
    }
    // One that never ends is cut off where it is too much.
    Program::start(&server).serve(UTF8, vec![b'a'; 100_000], Hands::Endless);
    told.recv_timeout(PATIENT).unwrap();
    let error = taken().unwrap_err();
    assert!(matches!(error, ClipError::TooLarge { .. } | ClipError::Silent), "{error}");
    // And the next one is served.
    let (patient, _) = open(&display, LIMITS);
    Program::start(&server).serve(UTF8, b"well".to_vec(), Hands::Whole);
    let words = (0..).find_map(|_| patient.take().ok()).unwrap();
    assert_eq!(words, text("well"));
}

#[test]
fn what_is_too_large_or_not_what_it_says_is_refused() {
    let Some(server) = server::start(64, 48) else { return };
    let display = server.connect();
    let limits = ClipLimits { text: 1000, image: 2000, patience: PATIENT };
    let (clipboard, told) = open(&display, limits);
    let too_large = |most| ClipError::TooLarge { most };
    for (target, bytes, hands, wanted) in [
        (UTF8, vec![b'a'; 1001], Hands::Whole, too_large(1000)),
        (UTF8, vec![b'a'; 1001], Hands::Pieces(500), too_large(1000)),
        (PNG, image(2001).bytes().to_vec(), Hands::Pieces(1999), too_large(2000)),
        (PNG, Vec::new(), Hands::Announces(u32::MAX), too_large(2000)),
        (UTF8, vec![b'a'; 10], Hands::Endless, too_large(1000)),
        ("text/html", b"<b>".to_vec(), Hands::Whole, ClipError::Unknown),
    ] {
        let _asked = Program::start(&server).serve(target, bytes, hands);
        told.recv_timeout(PATIENT).unwrap();
        assert_eq!(clipboard.take(), Err(wanted), "{target}");
    }
    for (target, bytes) in [(UTF8, b"a\xff".to_vec()), (PNG, b"GIF89a".to_vec())] {
        let _asked = Program::start(&server).serve(target, bytes, Hands::Whole);
        told.recv_timeout(PATIENT).unwrap();
        assert!(matches!(clipboard.take(), Err(ClipError::Bad(_))), "{target}");
    }
    assert_eq!(clipboard.offer(text(&"a".repeat(1001))), Err(too_large(1000)));
    assert_eq!(clipboard.offer(image(2001)), Err(too_large(2000)));
    clipboard.offer(image(2000)).unwrap();
}

#[test]
fn owners_that_change_meanwhile_end_what_is_being_read() {
    let Some(server) = server::start(64, 48) else { return };
    let display = server.connect();
    let (clipboard, told) = open(&display, LIMITS);
    let asked = Program::start(&server).serve(UTF8, Vec::new(), Hands::Silent);
    told.recv_timeout(PATIENT).unwrap();
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| clipboard.take());
        asked.recv_timeout(PATIENT).unwrap();
        assert_eq!(clipboard.take(), Err(ClipError::Busy));
        let other = Program::start(&server);
        other.copy();
        assert_eq!(taking.join().unwrap(), Err(ClipError::Changed));
    });
    // It is gone, and nobody has anything.
    let empty = (0..).find_map(|_| (clipboard.take() == Err(ClipError::Nothing)).then_some(()));
    assert!(empty.is_some());
    // Many that copy in turn are told of, though not each, and nothing is left of those before.
    let programs: Vec<_> = (0..50).map(|_| Program::start(&server)).collect();
    while told.try_recv().is_ok() {}
    let began = Instant::now();
    programs.iter().for_each(Program::copy);
    Program::start(&server).serve(UTF8, b"last".to_vec(), Hands::Whole);
    told.recv_timeout(PATIENT).unwrap();
    let last = (0..).find_map(|_| clipboard.take().ok()).unwrap();
    assert_eq!(last, text("last"));
    let most = began.elapsed().as_millis() / 250 + 2;
    assert!(told.try_iter().count() as u128 <= most, "some times a second at most");
}

#[test]
fn programs_that_take_no_piece_hold_up_nobody() {
    let Some(server) = server::start(64, 48) else { return };
    let display = server.connect();
    let (clipboard, _) = open(&display, LIMITS);
    let large = image(1 << 20);
    clipboard.offer(large.clone()).unwrap();
    // Each asks, and never takes anything.
    let idle: Vec<_> = (0..7).map(|_| Program::start(&server)).collect();
    for program in &idle {
        let property = program.atom("NEVER");
        let [selection, target] = ["CLIPBOARD", PNG].map(|name| program.atom(name));
        program
            .x
            .convert_selection(program.window, selection, target, property, CURRENT_TIME)
            .unwrap();
        program.x.flush().unwrap();
        while !matches!(program.x.wait_for_event().unwrap(), Event::SelectionNotify(_)) {}
    }
    let program = Program::start(&server);
    let (bytes, _) = program.paste(PNG).unwrap();
    assert!(bytes == large.bytes()[..]);
    // One more than are served at once is told so.
    let ninth = [Program::start(&server), Program::start(&server)];
    let [selection, target] = ["CLIPBOARD", PNG].map(|name| ninth[0].atom(name));
    let property = ninth[0].atom("NEVER");
    ninth[0]
        .x
        .convert_selection(ninth[0].window, selection, target, property, CURRENT_TIME)
        .unwrap();
    ninth[0].x.flush().unwrap();
    while !matches!(ninth[0].x.wait_for_event().unwrap(), Event::SelectionNotify(_)) {}
    assert_eq!(ninth[1].paste(PNG), None);
    // Those that go make room, as soon as they are given up; what is small is had all the while.
    clipboard.offer(text("small")).unwrap();
    assert_eq!(ninth[1].paste(UTF8), Some((b"small".to_vec(), 0)));
}

#[test]
fn a_display_that_stands_still_or_ends_keeps_nobody_waiting() {
    let Some(mut server) = server::start(64, 48) else { return };
    let display = server.connect();
    let limits = ClipLimits { patience: Duration::from_millis(100), ..LIMITS };
    let (clipboard, _) = open(&display, limits);
    // A busy machine may not have it there in time.
    while clipboard.offer(text("kept")).is_err() {}
    server.signal(Signal::STOP);
    assert_eq!(clipboard.offer(text("lost")), Err(ClipError::Silent));
    server.signal(Signal::CONT);
    let program = Program::start(&server);
    // The newest that was brought, whether it was said to be there in time or not.
    assert!(program.paste(UTF8).is_some());
    server.kill();
    let over = (0..).find_map(|_| match clipboard.take() {
        Err(ClipError::Over) => Some(()),
        _ => None,
    });
    assert!(over.is_some());
}

#[test]
fn a_display_that_stands_still_in_the_middle_is_connected_anew() {
    let Some(server) = server::start(64, 48) else { return };
    let display = server.connect();
    let limits = ClipLimits { text: usize::MAX, patience: Duration::from_millis(100), ..LIMITS };
    let (clipboard, told) = open(&display, limits);
    Program::start(&server).serve(UTF8, vec![b'a'; 1000], Hands::Endless);
    told.recv_timeout(PATIENT).unwrap();
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
    // No other test of this program listens to what is logged.
    subscriber.with_writer(move || written.clone()).try_init().unwrap();
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| clipboard.take());
        server.signal(Signal::STOP);
        assert!(matches!(taking.join().unwrap(), Err(ClipError::Silent)));
        // It is asked until it has given up on the connection, however long that waits for an answer.
        while !log.says("the clipboard is connected anew") {
            assert!(clipboard.take().is_err());
        }
        server.signal(Signal::CONT);
    });
    Program::start(&server).serve(UTF8, b"after".to_vec(), Hands::Whole);
    let after = (0..).find_map(|_| clipboard.take().ok()).unwrap();
    assert_eq!(after, text("after"));
}
