//! Who signs for an account: a pair in this process, or a command outside that keeps the key to itself (a hardware
//! wallet, an agent).
//!
//! The command gets what is to be signed as hexadecimal digits and a line end on its standard input, and answers with
//! the signature in the same way. It is given nothing else, and is ended when it takes too long. What it answers is checked before
//! it is used.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use session::rental::AccountId;
use thiserror::Error;

use crate::hex::{from_hex, to_hex};
use crate::pair::{KeyError, Pair};
use crate::signature::{Signature, SignatureError, verify_bytes};

/// More than any signature's digits.
const MOST_ANSWER: u64 = 1_024;

/// Why nothing was signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The pair could not.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The command could not be run.
    #[error("the signer's command could not be run: {0}")]
    NotRun(#[source] std::io::Error),
    /// It failed; what it said is its own to log.
    #[error("the signer's command refused ({0})")]
    Refused(std::process::ExitStatus),
    /// It took too long and was ended.
    #[error("the signer's command took longer than {0:?}")]
    Late(Duration),
    /// It answered with something else than a signature.
    #[error("the signer's command did not answer with a signature")]
    Malformed,
    /// It signed for another account, or another message.
    #[error("the signer's command answered wrongly: {0}")]
    Wrong(#[source] SignatureError),
}

/// Signs for one account. May take as long as a person does: not for a thread that others wait for.
pub trait Signer: Send + Sync {
    /// Whose signatures it makes.
    fn account(&self) -> AccountId;

    /// Signs exactly these bytes.
    ///
    /// # Errors
    /// See [`SignerError`].
    fn sign(&self, message: &[u8]) -> Result<Signature, SignerError>;
}

impl Signer for Pair {
    fn account(&self) -> AccountId {
        Self::account(self)
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        Ok(Self::sign(self, message)?)
    }
}

/// A command that holds the key.
#[derive(Clone, Debug)]
pub struct CommandSigner {
    account: AccountId,
    program: String,
    arguments: Vec<String>,
    patience: Duration,
}

impl CommandSigner {
    /// Runs `program` for each signature, without a shell.
    pub fn new(
        account: AccountId,
        program: String,
        arguments: Vec<String>,
        patience: Duration,
    ) -> Self {
        Self { account, program, arguments, patience }
    }
}

impl Signer for CommandSigner {
    fn account(&self) -> AccountId {
        self.account
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(SignerError::NotRun)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read says by its answer what came of it.
            let _ = writeln!(stdin, "{}", to_hex(message));
        }
        let stdout = child.stdout.take();
        let (told, answer) = mpsc::sync_channel(1);
        let reader = thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.map(|stdout| stdout.take(MOST_ANSWER).read_to_string(&mut text));
            let _ = told.send(read.is_some_and(|read| read.is_ok()).then_some(text));
        });
        let answer = answer.recv_timeout(self.patience);
        if answer.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(SignerError::NotRun)?;
        let Ok(answer) = answer else { return Err(SignerError::Late(self.patience)) };
        let _ = reader.join();
        if !status.success() {
            return Err(SignerError::Refused(status));
        }
        let bytes = answer.and_then(|text| from_hex(text.trim())).ok_or(SignerError::Malformed)?;
        let signature = verify_bytes(&self.account, &bytes, message);
        signature.map_err(SignerError::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(script: String, patience: Duration) -> (Pair, CommandSigner) {
        let pair = Pair::ed25519(&[4; 32]).unwrap();
        let arguments = vec!["-c".to_owned(), script];
        let signer = CommandSigner::new(pair.account(), "sh".to_owned(), arguments, patience);
        (pair, signer)
    }

    #[test]
    fn a_command_signs_and_is_checked() {
        let pair = Pair::ed25519(&[4; 32]).unwrap();
        let signature = pair.sign(b"text").unwrap();
        let script = format!("read x; [ $x = 74657874 ] && echo 0x{}", to_hex(&signature.tagged()));
        let (_, signer) = command(script, Duration::from_secs(60));
        assert_eq!(signer.sign(b"text").unwrap(), signature);
        assert!(matches!(signer.sign(b"else"), Err(SignerError::Refused(_))));
        let wrong = to_hex(&pair.sign(b"another").unwrap().tagged());
        let (_, signer) = command(format!("echo {wrong}"), Duration::from_secs(60));
        assert!(matches!(signer.sign(b"text"), Err(SignerError::Wrong(SignatureError::Wrong))));
    }

    #[test]
    fn a_command_that_fails_rambles_or_hangs_says_so() {
        let (_, signer) = command("exit 3".to_owned(), Duration::from_secs(60));
        assert!(matches!(signer.sign(b"x"), Err(SignerError::Refused(_))));
        let (_, signer) = command("echo no; exit 0".to_owned(), Duration::from_secs(60));
        assert!(matches!(signer.sign(b"x"), Err(SignerError::Malformed)));
        let (_, signer) = command("exec sleep 600".to_owned(), Duration::from_millis(20));
        assert!(matches!(signer.sign(b"x"), Err(SignerError::Late(_))));
        let mut missing = signer;
        missing.program = "/nonexistent/signer".to_owned();
        assert!(matches!(missing.sign(b"x"), Err(SignerError::NotRun(_))));
    }
}
