//! Which channel is heard where: from any map of channels to any other.
//!
//! What has no place of its own goes to its neighbours with the coefficients of ITU-R BS.775-3, table 2:
//! 1/√2 for the centre and what lies behind, and none for the low frequencies, which are an effect beside a
//! whole mix. Where channels together would be louder than any of them alone may be, all are made quieter by the
//! same factor, so that nothing clips and the balance stays.

use std::f32::consts::FRAC_1_SQRT_2;

use pulseaudio::protocol::{ChannelMap, ChannelPosition};

use ChannelPosition as P;

/// A factor for each output channel and each input channel of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    inputs: usize,
    outputs: usize,
    factors: Vec<f32>,
}

impl Matrix {
    /// From one map to another.
    pub(super) fn new(from: &ChannelMap, to: &ChannelMap) -> Self {
        let (from, to): (Vec<P>, Vec<P>) = (from.into_iter().collect(), to.into_iter().collect());
        let mut matrix = Self {
            inputs: from.len(),
            outputs: to.len(),
            factors: vec![0.0; from.len() * to.len()],
        };
        for (input, position) in from.iter().enumerate() {
            matrix.place(input, *position, 1.0, &to);
        }
        let row = |output: &[f32]| output.iter().map(|factor| factor.abs()).sum::<f32>();
        let loudest = matrix.factors.chunks(from.len().max(1)).map(row).fold(1.0, f32::max);
        matrix.factors.iter_mut().for_each(|factor| *factor /= loudest);
        matrix
    }

    /// By their places, or by their order.
    pub(super) fn between(from: &ChannelMap, to: &ChannelMap, by_place: bool) -> Self {
        if by_place { Self::new(from, to) } else { Self::in_order(from, to) }
    }

    /// Channel for channel by their order, whatever their places are; what has no counterpart is not heard.
    pub(super) fn in_order(from: &ChannelMap, to: &ChannelMap) -> Self {
        let (inputs, outputs) = (usize::from(from.num_channels()), usize::from(to.num_channels()));
        let mut factors = vec![0.0; inputs * outputs];
        for channel in 0..inputs.min(outputs) {
            factors[channel * inputs + channel] = 1.0;
        }
        Self { inputs, outputs, factors }
    }

    fn place(&mut self, input: usize, position: P, factor: f32, to: &[P]) {
        if to == [P::Mono] {
            // Each side is half of it; the centre is in both.
            let stereo = [P::FrontLeft, P::FrontRight];
            let mut sides = Self { inputs: 1, outputs: 2, factors: vec![0.0; 2] };
            sides.place(0, position, factor, &stereo);
            self.factors[input] += (sides.factors[0] + sides.factors[1]) / 2.0;
            return;
        }
        if let Some(output) = to.iter().position(|output| *output == position) {
            self.factors[output * self.inputs + input] += factor;
            return;
        }
        for (place, part) in neighbours(position, to) {
            self.place(input, *place, factor * part, to);
        }
    }

    /// Mixes frames of the one map into frames of the other, as many as `input` has.
    pub(super) fn apply(&self, input: &[f32], output: &mut [f32]) {
        let frames = input.chunks_exact(self.inputs).zip(output.chunks_exact_mut(self.outputs));
        for (input, output) in frames {
            for (factors, output) in self.factors.chunks_exact(self.inputs).zip(output) {
                *output = factors.iter().zip(input).map(|(factor, sample)| factor * sample).sum();
            }
        }
    }
}

/// Where a channel goes that has no place of its own, nearest to the front last; empty where it is dropped.
fn neighbours(position: P, to: &[P]) -> &'static [(P, f32)] {
    const HALF: f32 = 0.5;
    const ROOT: f32 = FRAC_1_SQRT_2;
    let has = |place: P| to.contains(&place);
    match position {
        P::Mono => &[(P::FrontLeft, 1.0), (P::FrontRight, 1.0)],
        P::FrontCenter | P::TopFrontCenter | P::TopCenter => {
            &[(P::FrontLeft, ROOT), (P::FrontRight, ROOT)]
        }
        P::FrontLeftOfCenter | P::TopFrontLeft => &[(P::FrontLeft, 1.0)],
        P::FrontRightOfCenter | P::TopFrontRight => &[(P::FrontRight, 1.0)],
        P::RearLeft if has(P::SideLeft) => &[(P::SideLeft, 1.0)],
        P::RearRight if has(P::SideRight) => &[(P::SideRight, 1.0)],
        P::SideLeft if has(P::RearLeft) => &[(P::RearLeft, 1.0)],
        P::SideRight if has(P::RearRight) => &[(P::RearRight, 1.0)],
        P::RearLeft | P::SideLeft => &[(P::FrontLeft, ROOT)],
        P::RearRight | P::SideRight => &[(P::FrontRight, ROOT)],
        P::TopRearLeft => &[(P::RearLeft, 1.0)],
        P::TopRearRight => &[(P::RearRight, 1.0)],
        P::RearCenter | P::TopRearCenter if has(P::RearLeft) || has(P::SideLeft) => {
            &[(P::RearLeft, ROOT), (P::RearRight, ROOT)]
        }
        P::RearCenter | P::TopRearCenter => &[(P::FrontLeft, HALF), (P::FrontRight, HALF)],
        // A map of other places, into which nothing of the front goes, and the low frequencies.
        P::FrontLeft | P::FrontRight | P::Lfe => &[],
        // Aux channels have no place: odd ones left, even ones right, as sound cards number them.
        aux if (aux as u8).is_multiple_of(2) => &[(P::FrontLeft, 1.0)],
        _ => &[(P::FrontRight, 1.0)],
    }
}

/// The places that channels have when a client names none (`PA_CHANNEL_MAP_DEFAULT`, as in WAVE files).
pub(super) fn default_map(channels: u8) -> ChannelMap {
    let places: &[P] = match channels {
        1 => &[P::Mono],
        2 => &[P::FrontLeft, P::FrontRight],
        3 => &[P::FrontLeft, P::FrontRight, P::FrontCenter],
        4 => &[P::FrontLeft, P::FrontRight, P::RearLeft, P::RearRight],
        5 => &[P::FrontLeft, P::FrontRight, P::FrontCenter, P::RearLeft, P::RearRight],
        6 => &[P::FrontLeft, P::FrontRight, P::FrontCenter, P::Lfe, P::RearLeft, P::RearRight],
        7 => &[
            P::FrontLeft,
            P::FrontRight,
            P::FrontCenter,
            P::Lfe,
            P::RearCenter,
            P::SideLeft,
            P::SideRight,
        ],
        _ => &[
            P::FrontLeft,
            P::FrontRight,
            P::FrontCenter,
            P::Lfe,
            P::RearLeft,
            P::RearRight,
            P::SideLeft,
            P::SideRight,
        ],
    };
    ChannelMap::new(places.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(from: &ChannelMap, to: &ChannelMap, input: &[f32]) -> Vec<f32> {
        let mut output = vec![9.0; usize::from(to.num_channels())];
        Matrix::new(from, to).apply(input, &mut output);
        output
    }

    fn close(left: &[f32], right: &[f32]) {
        let near = left.iter().zip(right).all(|(left, right)| (left - right).abs() < 1e-6);
        assert!(near && left.len() == right.len(), "{left:?} {right:?}");
    }

    #[test]
    fn stereo_and_mono_keep_their_level() {
        let (mono, stereo) = (default_map(1), default_map(2));
        close(&heard(&stereo, &stereo, &[0.25, -0.5]), &[0.25, -0.5]);
        close(&heard(&mono, &stereo, &[0.5]), &[0.5, 0.5]);
        close(&heard(&stereo, &mono, &[0.5, 0.5]), &[0.5]);
        close(&heard(&mono, &mono, &[0.5]), &[0.5]);
    }

    #[test]
    fn surround_is_mixed_down_as_the_itu_says_and_never_clips() {
        let (surround, stereo) = (default_map(6), default_map(2));
        let all = 1.0 + 2.0 * FRAC_1_SQRT_2;
        close(&heard(&surround, &stereo, &[1.0; 6]), &[1.0, 1.0]);
        close(&heard(&surround, &stereo, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), &[1.0 / all, 0.0]);
        let centre = FRAC_1_SQRT_2 / all;
        close(&heard(&surround, &stereo, &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]), &[centre, centre]);
        close(&heard(&surround, &stereo, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]), &[0.0, 0.0]);
        close(&heard(&surround, &stereo, &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), &[0.0, centre]);
    }

    #[test]
    fn more_channels_out_take_what_is_theirs() {
        let (stereo, surround) = (default_map(2), default_map(6));
        close(&heard(&stereo, &surround, &[0.5, 0.25]), &[0.5, 0.25, 0.0, 0.0, 0.0, 0.0]);
        // 7.1 in 5.1: the sides join what is behind.
        let out = heard(&default_map(8), &surround, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        close(&out, &[0.0, 0.0, 0.0, 0.0, 0.5, 0.0]);
    }

    #[test]
    fn every_place_is_heard_somewhere_but_the_low_frequencies() {
        for place in 0..=50_u8 {
            let map: ChannelMap = {
                use pulseaudio::protocol::{MAX_VERSION, TagStructReader};
                let bytes = [b'm', 1, place];
                TagStructReader::new(&mut bytes.as_slice(), MAX_VERSION).read().unwrap()
            };
            let loud = heard(&map, &default_map(2), &[1.0]).iter().any(|sample| *sample != 0.0);
            assert_eq!(loud, place != P::Lfe as u8, "{place}");
        }
    }

    #[test]
    fn by_order_places_do_not_matter() {
        let from = ChannelMap::new([P::RearLeft, P::Lfe, P::FrontLeft]);
        let mut out = [9.0; 2];
        Matrix::in_order(&from, &default_map(2)).apply(&[0.1, 0.2, 0.3], &mut out);
        assert_eq!(out, [0.1, 0.2]);
    }
}
