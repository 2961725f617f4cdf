//! The wish for padding, to learn whether a path takes more than the session has to send.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use media::Bitrate;
use tokio::sync::Notify;

/// The probe of now.
#[derive(Default)]
pub(crate) struct Probe {
    wanted: Mutex<Option<(Bitrate, Duration)>>,
    changed: Notify,
}

impl Probe {
    /// Fills up to `rate` for `length` from now on, in place of what was asked before.
    pub(crate) fn ask(&self, rate: Bitrate, length: Duration) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some((rate, length));
        self.changed.notify_one();
    }

    /// Waits until something is asked.
    pub(crate) async fn asked(&self) -> (Bitrate, Duration) {
        loop {
            if let Some(wanted) = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
            {
                return wanted;
            }
            self.changed.notified().await;
        }
    }
}
