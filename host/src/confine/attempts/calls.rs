//! System calls that the kernel asks about before it refuses them (`seccomp_unotify(2)`).
//!
//! The first process of a sandbox installs the filter and hands the listener out. Whoever has it answers every question with
//! `EPERM`, whatever the call's arguments, so nothing that a game changes meanwhile matters. When the listener is gone,
//! the kernel refuses by itself, with `ENOSYS`.
#![expect(unsafe_code, reason = "no safe interface offers these calls")]

use std::io::{self, ErrorKind};
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::Duration;

use media::MediaTime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Attempt;
use crate::confine::filter;

/// Questions that are answered in a second; each takes a core 5 to 20 µs.
pub(super) const A_SECOND: u32 = 200;

/// Refuses this process and all that it will start what leads out of a sandbox. Where somebody can listen to what is
/// refused, the descriptor for that comes back.
///
/// # Errors
/// When the kernel does not take it: where somebody is to `listen`, it may take it without.
pub fn install(listen: bool) -> io::Result<Option<OwnedFd>> {
    let mut program = filter::leading_out(listen).map_err(io::Error::other)?;
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    let flags = if listen { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    let mode = libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER);
    // SAFETY: the program outlives the call, and has as many instructions as is said.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if !listen {
        return Ok(None);
    }
    let number = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it for this process, and nobody else knows it.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(number) }))
}

/// Answers what is asked. See the module.
#[derive(Debug)]
pub(super) struct Calls {
    listener: OwnedFd,
    second: MediaTime,
    answered: u32,
}

impl Calls {
    pub(super) fn new(listener: OwnedFd) -> Self {
        Self { listener, second: MediaTime::ZERO, answered: 0 }
    }

    /// How many may be answered now; when none, how long until some may.
    pub(super) fn allowance(&mut self, now: MediaTime) -> Result<u32, Duration> {
        let second = Duration::from_secs(1);
        if now.since(self.second) >= second {
            (self.second, self.answered) = (now, 0);
        }
        match A_SECOND.saturating_sub(self.answered) {
            0 => Err(second.saturating_sub(now.since(self.second))),
            left => Ok(left),
        }
    }

    /// Refuses what is asked for, and tells each. `false` when nobody can ask any more.
    pub(super) fn answer(&mut self, now: MediaTime, mut tell: impl FnMut(Attempt)) -> bool {
        while self.allowance(now).is_ok() {
            match self.next() {
                Ok(Some(attempt)) => {
                    self.answered += 1;
                    tell(attempt);
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// The next question, answered; none where there is none.
    fn next(&self) -> io::Result<Option<Attempt>> {
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::io::retry_on_intr(|| poll(&mut fds, Some(&at_once)))?;
        let events = fds.first().map_or(PollFlags::empty(), PollFd::revents);
        if !events.contains(PollFlags::IN) {
            return match events.is_empty() {
                true => Ok(None),
                // All who had the filter are gone.
                false => Err(ErrorKind::BrokenPipe.into()),
            };
        }
        // SAFETY: it is numbers alone, and the kernel wants it zeroed.
        let mut asked: libc::seccomp_notif = unsafe { zeroed() };
        // SAFETY: the kernel fills in what outlives the call. It does not wait: nobody else takes questions.
        let taken = unsafe {
            libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked)
        };
        if taken < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                // Who asked was killed, or interrupted by a signal and will ask again.
                Some(libc::ENOENT | libc::EINTR) => Ok(None),
                _ => Err(error),
            };
        }
        // SAFETY: as above.
        let mut refusal: libc::seccomp_notif_resp = unsafe { zeroed() };
        (refusal.id, refusal.error) = (asked.id, -libc::EPERM);
        // SAFETY: the kernel reads what outlives the call. Where it fails, who asked is gone.
        unsafe {
            libc::ioctl(
                self.listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw mut refusal,
            );
        }
        Ok(Some(filter::meant_by(asked.data.nr.into())))
    }
}

impl AsFd for Calls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_answers() {
        let mut calls = Calls::new(std::fs::File::open("/dev/null").unwrap().into());
        assert_eq!(calls.allowance(MediaTime::ZERO), Ok(A_SECOND));
        calls.answered = A_SECOND;
        let later = MediaTime::from_millis(400);
        assert_eq!(calls.allowance(later), Err(Duration::from_millis(600)));
        assert_eq!(calls.allowance(MediaTime::from_millis(1_000)), Ok(A_SECOND));
    }
}
