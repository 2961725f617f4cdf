//! How an encoder tells that a unit is ready, and how to wait for it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use media::{EncodeError, EncodeOptions, Encoded, Encoder, FrameId, Part, Picture, Submitted};

use crate::candidates::{Candidate, EncoderSettings, OpenError};

/// Called by encoders from any thread once [`Encoder::poll`] has something. Clones call the same.
#[derive(Clone)]
pub struct Wake(Arc<dyn Fn() + Send + Sync>);

impl Wake {
    /// Calls `wake`, which must not block.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// A unit or an error is there.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wake")
    }
}

/// An encoder whose units are waited for, one picture at a time: for probing, tests and
/// measurements.
pub struct BlockingEncoder {
    encoder: Box<dyn Encoder>,
    woken: Arc<(Mutex<bool>, Condvar)>,
    patience: Duration,
}

impl BlockingEncoder {
    /// Opens the candidate. A unit that is not there within `patience` is an error.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        candidate: &Candidate,
        settings: &EncoderSettings,
        patience: Duration,
    ) -> Result<Self, OpenError> {
        let woken = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = Arc::clone(&woken);
        let wake = Wake::new(move || {
            *signal.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            signal.1.notify_one();
        });
        Ok(Self { encoder: candidate.start(settings, &wake)?, woken, patience })
    }

    /// Codes one picture.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Encoded, EncodeError> {
        match self.encoder.encode(frame, picture, options)? {
            Submitted::Now(encoded) => Ok(encoded),
            Submitted::Later => self.wait(),
        }
    }

    fn wait(&mut self) -> Result<Encoded, EncodeError> {
        let mut parts = BytesMut::new();
        loop {
            if let Some(result) = self.encoder.poll() {
                let unit = result?;
                if unit.part.is_whole() {
                    return Ok(unit);
                }
                parts.extend_from_slice(&unit.data);
                if unit.part.last {
                    return Ok(Encoded { data: parts.freeze(), part: Part::WHOLE, ..unit });
                }
                continue;
            }
            let woken = self.woken.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut woken, waited) = self
                .woken
                .1
                .wait_timeout_while(woken, self.patience, |woken| !*woken)
                .unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                let waited = self.patience.as_secs_f64();
                return Err(EncodeError::Fatal(format!("no unit came within {waited} s")));
            }
            *woken = false;
        }
    }
}

impl Deref for BlockingEncoder {
    type Target = dyn Encoder;

    fn deref(&self) -> &Self::Target {
        &*self.encoder
    }
}

impl DerefMut for BlockingEncoder {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.encoder
    }
}
