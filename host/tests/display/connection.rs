//! What connects, what does not, and that no wait is without end.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use nearlight_host::display::{Cookie, Display, DisplayError};
use rustix::process::Signal;

use crate::server::{self, COOKIE};

fn refusal(socket: &std::path::Path, cookie: &Cookie) -> DisplayError {
    match Display::connect(socket, cookie) {
        Ok(_) => panic!("it must not connect"),
        Err(error) => error,
    }
}

#[test]
fn only_who_has_the_cookie_comes_in() {
    let Some(server) = server::start(64, 48) else { return };
    server.connect();
    let error = refusal(&server.socket(), &Cookie::new([1; 16]));
    assert!(matches!(error, DisplayError::Denied(_)), "{error}");
    assert_eq!(format!("{COOKIE:?}"), "Cookie(..)");
}

#[test]
fn what_a_server_lacks_is_named() {
    let size = ["-screen", "0", "64x48x24"];
    for (extension, version) in [("DAMAGE", "1.1"), ("MIT-SHM", "1.2"), ("XTEST", "2.2")] {
        let Some(server) = server::start_with(&[&size[..], &["-extension", extension]].concat())
        else {
            return;
        };
        let error = refusal(&server.socket(), &COOKIE).to_string();
        assert_eq!(error, format!("the display has no {extension} {version}"));
    }
    let Some(server) = server::start_with(&["-screen", "0", "64x48x16"]) else { return };
    let error = refusal(&server.socket(), &COOKIE);
    assert!(matches!(error, DisplayError::Layout(_)), "{error}");
}

#[test]
fn a_server_that_hangs_is_given_up() {
    let Some(server) = server::start(64, 48) else { return };
    server.signal(Signal::STOP);
    let error = refusal(&server.socket(), &COOKIE);
    assert!(matches!(error, DisplayError::Silent), "{error}");
}

#[test]
fn what_is_no_server_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("X0");
    let error = refusal(&socket, &COOKIE);
    assert!(matches!(error, DisplayError::Unreachable(_)), "{error}");

    let listener = UnixListener::bind(&socket).unwrap();
    let mut answers = vec![Vec::new(), b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()];
    // A set-up of no length.
    answers.push(vec![1, 0, 11, 0, 0, 0, 0, 0]);
    let number = answers.len();
    let server = std::thread::spawn(move || {
        for answer in answers {
            let (mut client, _) = listener.accept().unwrap();
            let mut asked = [0; 12];
            client.read_exact(&mut asked).unwrap();
            client.write_all(&answer).unwrap();
        }
    });
    for _ in 0..number {
        let error = refusal(&socket, &COOKIE);
        assert!(matches!(error, DisplayError::Ended | DisplayError::Protocol(_)), "{error}");
    }
    server.join().unwrap();
}
