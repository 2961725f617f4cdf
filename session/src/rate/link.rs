//! What is remembered of the link: what it carried when it was full.

use std::time::Duration;

use media::{Bitrate, MediaTime};

/// More than this times the memory arrives: the link has become faster.
const REFUTED: f64 = 1.06;
/// A link that was not full for so long is not what it was.
const REMEMBERED: Duration = Duration::from_secs(4);
/// Above this part of the memory the rate is near it.
const NEAR_FROM: f64 = 0.85;
/// Growth a second far from what is remembered, as a factor: 5 % in 100 ms.
const FAR: f64 = 2.2;
/// Near it the rate grows by this times its square root in bits a second each second: 0.8 Mbit/s at 20. Less than
/// in proportion, so that of two sessions that share a link the smaller one gains.
const NEAR: f64 = 400.0;
/// Beside a TCP flow it grows by this part of it.
const BESIDE: f64 = 0.5;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link(Option<(Bitrate, MediaTime)>);

impl Link {
    /// The link was full, and this arrived.
    pub(super) fn filled(&mut self, now: MediaTime, arrived: Bitrate) {
        self.0 = Some((arrived, now));
    }

    /// No queue stands, and this arrives.
    pub(super) fn carries(&mut self, now: MediaTime, arrived: Bitrate) {
        let is_past = |(link, at): (Bitrate, MediaTime)| {
            arrived > link.scaled(REFUTED) || now.since(at) > REMEMBERED
        };
        self.0.take_if(|link| is_past(*link));
    }

    /// What it carried when it was full last.
    pub(super) fn carried(self) -> Option<Bitrate> {
        self.0.map(|(link, _)| link)
    }

    /// `rate`, grown for the time of `passed`.
    pub(super) fn grown(self, rate: Bitrate, passed: Duration) -> Bitrate {
        let seconds = passed.as_secs_f64();
        let grown = match self.carried() {
            Some(link) if rate > link.scaled(NEAR_FROM) => near(rate, seconds),
            _ => rate.scaled(FAR.powf(seconds)),
        };
        // Bits lost to rounding would stop a very small rate for ever.
        grown.max(Bitrate::from_bps(rate.bps().saturating_add(1)))
    }

    /// `rate`, grown as beside a TCP flow.
    pub(super) fn grown_beside(rate: Bitrate, passed: Duration) -> Bitrate {
        near(rate, passed.as_secs_f64() * BESIDE)
    }
}

fn near(rate: Bitrate, seconds: f64) -> Bitrate {
    let by = NEAR * (rate.bps() as f64).sqrt() * seconds;
    Bitrate::from_bps(rate.bps().saturating_add(by as u64))
}
