//! What a link is like over time.

use std::time::Duration;

use media::Bitrate;

use super::LinkConfig;

/// A link at the start, and what it becomes.
#[derive(Clone, Debug)]
pub struct Script {
    /// How it starts.
    pub start: LinkConfig,
    /// From when on it is otherwise, counted from the start, in order of time.
    pub steps: Vec<(Duration, LinkConfig)>,
}

impl Script {
    /// A link that stays as it is.
    pub fn steady(start: LinkConfig) -> Self {
        Self { start, steps: Vec::new() }
    }

    /// Adds a step: from `at` on the link is as it was before it, but for what `change` does.
    #[must_use]
    pub fn then(mut self, at: Duration, change: impl FnOnce(&mut LinkConfig)) -> Self {
        let mut config = self.steps.last().map_or(self.start, |(_, last)| *last);
        change(&mut config);
        self.steps.push((at, config));
        self
    }

    /// Adds a time in which the link is otherwise, after which it is as before.
    #[must_use]
    pub fn during(
        self,
        from: Duration,
        length: Duration,
        change: impl FnOnce(&mut LinkConfig),
    ) -> Self {
        let before = self.steps.last().map_or(self.start, |(_, last)| *last);
        self.then(from, change).then(from + length, |config| *config = before)
    }

    /// The link as it is `at` that time.
    pub fn at(&self, at: Duration) -> &LinkConfig {
        let after = self.steps.partition_point(|(from, _)| *from <= at);
        after.checked_sub(1).map_or(&self.start, |last| &self.steps[last].1)
    }

    /// Bytes that the link carries between two times for a sender that never sends faster than `most`.
    pub fn carries(&self, from: Duration, to: Duration, most: Bitrate) -> u64 {
        let mut bytes = 0;
        let mut at = from;
        while at < to {
            let config = self.at(at);
            let next = self.steps.iter().map(|(step, _)| *step).find(|step| *step > at);
            let until = next.unwrap_or(to).min(to);
            if !config.down {
                bytes += config.rate.min(most).bytes_in(until - at);
            }
            at = until;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_what_holds_when_and_what_passes() {
        let secs = Duration::from_secs;
        let script = Script::steady(LinkConfig::of(Bitrate::from_mbps(8)))
            .then(secs(2), |config| config.rate = Bitrate::from_mbps(4))
            .during(secs(4), secs(1), |config| config.down = true);
        assert_eq!(script.at(secs(1)).rate, Bitrate::from_mbps(8));
        assert_eq!(script.at(secs(2)).rate, Bitrate::from_mbps(4));
        assert!(script.at(secs(4)).down && !script.at(secs(5)).down);
        assert_eq!(script.at(secs(9)).rate, Bitrate::from_mbps(4));
        let most = Bitrate::from_mbps(6);
        assert_eq!(script.carries(secs(1), secs(6), most), 750_000 + 1_000_000 + 500_000);
        assert_eq!(script.carries(secs(4), secs(5), most), 0);
    }
}
