//! Memory of coded units, used again.
//!
//! A unit is handed on as [`Bytes`] and may be held on any thread. Once the last handle on a buffer's
//! units is gone its memory takes new ones, so in steady state a unit costs one copy and no
//! allocation. It never waits: where units are held longer than the pool has memory for, or are
//! larger than ever before, a buffer is allocated anew and the old one goes with its last unit.

use bytes::{Bytes, BytesMut};
use media::{Bitrate, FrameRate};

/// Buffers in a pool. A sink holds two units and the network may hold some more; a buffer is only
/// free again when all that lie in it are gone.
const BUFFERS: usize = 4;
/// Frames of the budget that a buffer holds, so that a keyframe of several times the budget fits.
const FRAMES_IN_BUFFER: usize = 4;
/// Bytes of a buffer at the least and at the most to begin with; what does not fit makes it grow.
const LEAST: usize = 16 * 1024;
const MOST: usize = 1024 * 1024;

/// The buffers of one encoder.
#[derive(Debug)]
pub(crate) struct UnitPool {
    buffers: [BytesMut; BUFFERS],
    /// What a new buffer holds.
    capacity: usize,
    /// The buffer that is replaced when none has room: the one that was made first.
    oldest: usize,
}

impl UnitPool {
    /// For an encoder of this budget. It stays right when the budget changes.
    pub(crate) fn new(bitrate: Bitrate, rate: FrameRate) -> Self {
        let frame = bitrate.scaled(1.0 / rate.as_f64()).bps() / 8;
        let frame = usize::try_from(frame).unwrap_or(MOST);
        let capacity = frame.saturating_mul(FRAMES_IN_BUFFER).clamp(LEAST, MOST);
        Self { buffers: std::array::from_fn(|_| buffer(capacity)), capacity, oldest: 0 }
    }

    /// Copies a unit into a buffer of the pool.
    pub(crate) fn unit(&mut self, bytes: &[u8]) -> Bytes {
        let index = self.room(bytes.len());
        let buffer = &mut self.buffers[index];
        buffer.extend_from_slice(bytes);
        buffer.split().freeze()
    }

    /// A buffer with room for `length` bytes.
    fn room(&mut self, length: usize) -> usize {
        let room = self.buffers.iter_mut().position(|buffer| buffer.try_reclaim(length));
        room.unwrap_or_else(|| self.replace_oldest(length))
    }

    fn replace_oldest(&mut self, needed: usize) -> usize {
        if needed > self.capacity {
            // Twice, so that units that grow slowly do not each bring a new buffer.
            self.capacity = needed.saturating_mul(2);
        }
        let index = self.oldest;
        self.buffers[index] = buffer(self.capacity);
        self.oldest = (index + 1) % BUFFERS;
        index
    }
}

/// A buffer whose count of handles is there already: the first split allocates it.
fn buffer(capacity: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(capacity);
    drop(buffer.split());
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> UnitPool {
        // 25,000 bytes a frame, so 100,000 a buffer.
        UnitPool::new(Bitrate::from_mbps(12), FrameRate::fps(60))
    }

    /// Where the memory of the buffers lies and what each holds.
    fn places(pool: &UnitPool) -> Vec<usize> {
        pool.buffers.iter().map(|buffer| buffer.as_ptr() as usize).collect()
    }

    #[test]
    fn a_unit_is_what_was_given() {
        let mut pool = pool();
        let units: Vec<_> = (0..40_u8).map(|n| pool.unit(&vec![n; 20_000])).collect();
        for (n, unit) in units.iter().enumerate() {
            assert_eq!(unit[..], vec![n as u8; 20_000], "unit {n}");
        }
        assert!(pool.unit(&[]).is_empty());
    }

    #[test]
    fn memory_is_used_again_while_few_units_are_held() {
        let mut pool = pool();
        let bases = places(&pool);
        let mut held = std::collections::VecDeque::new();
        for n in 0..1_000_usize {
            let unit = pool.unit(&vec![n as u8; 10_000 + n * 37 % 30_000]);
            let at = unit.as_ptr() as usize;
            assert!(bases.iter().any(|base| (*base..base + 100_000).contains(&at)), "unit {n}");
            held.push_back(unit);
            if held.len() > 3 {
                held.pop_front();
            }
        }
    }

    #[test]
    fn larger_units_get_larger_buffers_and_then_no_more() {
        let mut pool = pool();
        for _ in 0..3 {
            drop(pool.unit(&vec![7; 150_000]));
        }
        assert_eq!(pool.capacity, 300_000);
        let before = places(&pool);
        for _ in 0..50 {
            assert_eq!(pool.unit(&vec![9; 290_000]).len(), 290_000);
        }
        let used = |places: &[usize]| places[1..].to_vec();
        assert_eq!(used(&places(&pool)), used(&before), "one large buffer is enough");
    }

    #[test]
    fn units_that_are_held_stay_whole_when_the_pool_is_gone() {
        let mut pool = pool();
        let units: Vec<_> = (0..10_u8).map(|n| pool.unit(&vec![n; 90_000])).collect();
        drop(pool);
        for (n, unit) in units.iter().enumerate() {
            assert!(unit.iter().all(|&byte| usize::from(byte) == n), "unit {n}");
        }
    }

    #[test]
    fn budgets_out_of_all_bounds_make_no_huge_buffers() {
        let huge = UnitPool::new(Bitrate::from_bps(u64::MAX), FrameRate::fps(1));
        let tiny = UnitPool::new(Bitrate::from_bps(0), FrameRate::fps(240));
        assert_eq!((huge.capacity, tiny.capacity), (MOST, LEAST));
    }
}
