//! How more than two channels lie in the streams of a packet: mapping family 1 (RFC 7845 §5.1.1.2).
//!
//! That family has the order of Vorbis, and ours is another one ([`Layout`]). Pages describe the same to their decoder
//! (client-web/src/audio/layout.ts).

use media::Layout;

/// See the module.
pub(super) struct Streams {
    /// Streams, of which the first ones have two channels each.
    pub(super) count: u8,
    /// So many have two.
    pub(super) coupled: u8,
    /// For each channel, the place among those that are decoded.
    pub(super) mapping: &'static [u8],
    /// For each channel, which one of ours it is.
    ours: &'static [usize],
}

/// Left, centre, right, rear left, rear right, low frequencies.
static SURROUND51: Streams =
    Streams { count: 4, coupled: 2, mapping: &[0, 4, 1, 2, 3, 5], ours: &[0, 2, 1, 4, 5, 3] };
/// Left, centre, right, side left, side right, rear left, rear right, low frequencies.
static SURROUND71: Streams = Streams {
    count: 5,
    coupled: 3,
    mapping: &[0, 6, 1, 2, 3, 4, 5, 7],
    ours: &[0, 2, 1, 6, 7, 4, 5, 3],
};

impl Streams {
    /// The number of the mapping family.
    pub(super) const FAMILY: u8 = 1;

    /// Those of a layout; none where one stream holds it.
    pub(super) fn of(layout: Layout) -> Option<&'static Self> {
        match layout {
            Layout::Stereo => None,
            Layout::Surround51 => Some(&SURROUND51),
            Layout::Surround71 => Some(&SURROUND71),
        }
    }

    /// From our order to the family's.
    pub(super) fn order(&self, ours: &[f32], theirs: &mut [f32]) {
        let channels = self.ours.len();
        let frames = ours.chunks_exact(channels).zip(theirs.chunks_exact_mut(channels));
        for (ours, theirs) in frames {
            for (sample, place) in theirs.iter_mut().zip(self.ours) {
                *sample = ours[*place];
            }
        }
    }

    /// And back.
    pub(super) fn disorder(&self, theirs: &[f32], ours: &mut [f32]) {
        let channels = self.ours.len();
        let frames = theirs.chunks_exact(channels).zip(ours.chunks_exact_mut(channels));
        for (theirs, ours) in frames {
            for (sample, place) in theirs.iter().zip(self.ours) {
                ours[*place] = *sample;
            }
        }
    }
}
