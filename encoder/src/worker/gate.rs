//! When a keyframe is due. Pure: it is told the time.
//!
//! ```text
//!            request                    loss
//!  Intact ───────────▶ Requested ───────────────▶ Broken
//!    ▲                     │ interval over: key      │ interval over: key
//!    └─────────────────────┴─────────────────────────┘
//!  Until then: Requested codes on, Broken codes nothing, since nothing could be decoded.
//!  Intact ──wave──▶ Healing ──its units──▶ Intact: it codes on, the picture is not clean yet.
//! ```

use std::time::Duration;

use media::MediaTime;

/// What the viewer can decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Chain {
    /// Every unit.
    Intact,
    /// Every unit, and the picture is clean after this many.
    Healing(u16),
    /// The viewer asked for a keyframe; the request may have crossed with one.
    Requested,
    /// Nothing but a keyframe.
    Broken,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Delta,
    Key,
    /// Drop it: a delta would not be decoded, and a keyframe is not due yet.
    Skip,
}

pub(super) struct KeyframeGate {
    chain: Chain,
    last: Option<MediaTime>,
    interval: Duration,
}

impl KeyframeGate {
    /// For a viewer who has nothing yet.
    pub(super) fn new(interval: Duration) -> Self {
        Self { chain: Chain::Broken, last: None, interval }
    }

    /// The viewer asked for a keyframe.
    pub(super) fn request(&mut self) {
        self.chain = self.chain.max(Chain::Requested);
    }

    /// A wave of this many units makes good what was lost.
    pub(super) fn heal(&mut self, units: u16) {
        if self.chain < Chain::Requested {
            self.chain = if units == 0 { Chain::Intact } else { Chain::Healing(units) };
        }
    }

    /// A unit was coded that is no keyframe.
    pub(super) fn coded_delta(&mut self) {
        if let Chain::Healing(left) = self.chain {
            self.chain = Chain::Intact;
            self.heal(left.saturating_sub(1));
        }
    }

    /// A unit that others refer to was lost.
    pub(super) fn break_chain(&mut self) {
        self.chain = Chain::Broken;
    }

    /// A new viewer or a new encoder: what was coded before counts for nothing.
    pub(super) fn restart(&mut self) {
        (self.chain, self.last) = (Chain::Broken, None);
    }

    pub(super) fn decide(&self, now: MediaTime) -> Decision {
        let due = self.last.is_none_or(|last| now.since(last) >= self.interval);
        match (self.chain, due) {
            (Chain::Intact | Chain::Healing(_), _) | (Chain::Requested, false) => Decision::Delta,
            (Chain::Requested | Chain::Broken, true) => Decision::Key,
            (Chain::Broken, false) => Decision::Skip,
        }
    }

    /// A keyframe was coded, or an encoder took the picture that it was told to make one of.
    pub(super) fn coded_key(&mut self, now: MediaTime) {
        (self.chain, self.last) = (Chain::Intact, Some(now));
    }

    pub(super) fn is_intact(&self) -> bool {
        self.chain == Chain::Intact
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_millis(250);

    #[test]
    fn the_first_frame_is_a_keyframe_and_the_second_is_not() {
        let mut gate = KeyframeGate::new(INTERVAL);
        assert_eq!(gate.decide(MediaTime::ZERO), Decision::Key);
        gate.coded_key(MediaTime::ZERO);
        assert_eq!(gate.decide(MediaTime::ZERO), Decision::Delta);
        assert!(gate.is_intact());
    }

    #[test]
    fn a_request_waits_and_deltas_go_on() {
        let mut gate = KeyframeGate::new(INTERVAL);
        gate.coded_key(MediaTime::ZERO);
        gate.request();
        gate.request();
        assert_eq!(gate.decide(MediaTime::from_millis(249)), Decision::Delta);
        assert_eq!(gate.decide(MediaTime::from_millis(250)), Decision::Key);
        gate.coded_key(MediaTime::from_millis(250));
        assert_eq!(gate.decide(MediaTime::from_millis(900)), Decision::Delta);
    }

    #[test]
    fn nothing_undecodable_is_coded() {
        let mut gate = KeyframeGate::new(INTERVAL);
        gate.coded_key(MediaTime::ZERO);
        gate.break_chain();
        gate.request();
        assert_eq!(gate.decide(MediaTime::from_millis(249)), Decision::Skip);
        assert_eq!(gate.decide(MediaTime::from_millis(250)), Decision::Key);
        gate.restart();
        assert_eq!(gate.decide(MediaTime::ZERO), Decision::Key);
    }

    #[test]
    fn a_wave_heals_with_its_last_unit() {
        let mut gate = KeyframeGate::new(INTERVAL);
        gate.coded_key(MediaTime::ZERO);
        gate.heal(3);
        for left in (0..3).rev() {
            assert_eq!(gate.decide(MediaTime::from_millis(900)), Decision::Delta);
            assert!(!gate.is_intact());
            gate.coded_delta();
            assert_eq!(gate.is_intact(), left == 0);
        }
        gate.break_chain();
        gate.heal(3);
        gate.coded_delta();
        assert_eq!(
            gate.decide(MediaTime::ZERO),
            Decision::Skip,
            "a keyframe is due, whatever heals"
        );
    }

    proptest! {
        #[test]
        fn keyframes_are_never_closer_than_the_interval(
            steps in proptest::collection::vec((0_u64..200, 0_u8..3), 1..200),
        ) {
            let mut gate = KeyframeGate::new(INTERVAL);
            let (mut now, mut last) = (MediaTime::ZERO, None);
            for (millis, event) in steps {
                now = now + Duration::from_millis(millis);
                match event {
                    1 => gate.request(),
                    2 => gate.break_chain(),
                    _ => {}
                }
                if gate.decide(now) == Decision::Key {
                    prop_assert!(last.is_none_or(|last| now.since(last) >= INTERVAL));
                    last = Some(now);
                    gate.coded_key(now);
                }
            }
        }
    }
}
