//! What a client wrote and was not played yet, and how much of it there is to be.

use std::collections::VecDeque;
use std::time::Duration;

use pulseaudio::protocol::stream::BufferAttr;
use pulseaudio::protocol::{SampleFormat, SampleSpec};

use super::format::frame_bytes;
use super::frame::Seek;

/// Bytes that a stream may have queued: 1.3 s of stereo in floats.
pub(super) const MOST_QUEUED: usize = 512 * 1024;
/// What a client gets that does not say how much it wants queued.
const USUAL_TARGET: Duration = Duration::from_millis(200);
/// And what it is asked for at once, at most.
const USUAL_REQUEST: Duration = Duration::from_millis(20);
/// What the mixer takes at once. It is queued beside what a client wants queued: a client that writes as much at
/// a time as it wants queued would not write before all of it was played.
pub(super) const BLOCK: Duration = Duration::from_millis(10);

/// Bytes of whole frames that so much time has, rounded up.
pub(super) fn bytes_in(spec: &SampleSpec, time: Duration) -> usize {
    let frames = (time.as_nanos() * u128::from(spec.sample_rate)).div_ceil(1_000_000_000);
    frames as usize * frame_bytes(spec)
}

/// How long so many bytes play.
pub(super) fn time_of(spec: &SampleSpec, bytes: usize) -> Duration {
    let frames = (bytes / frame_bytes(spec).max(1)) as u64;
    Duration::from_nanos(frames * 1_000_000_000 / u64::from(spec.sample_rate.max(1)))
}

/// What server and client agreed on, in bytes of whole frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffering {
    /// What is queued at most; the oldest is dropped.
    pub(super) most: usize,
    /// What the client is asked to keep queued.
    pub(super) target: usize,
    /// What is queued before it plays, at the beginning and after an underrun; zero: it plays at once.
    pub(super) before: usize,
    /// The client is not asked for less.
    pub(super) request: usize,
}

impl Buffering {
    /// What a client gets that asked for this.
    pub(super) fn new(asked: &BufferAttr, spec: &SampleSpec) -> Self {
        let frame = frame_bytes(spec);
        let most_of_all = MOST_QUEUED - MOST_QUEUED % frame;
        let whole = |bytes: usize| (bytes - bytes % frame).max(frame);
        let said = |value: u32| (value != u32::MAX && value != 0).then_some(value as usize);
        let block = bytes_in(spec, BLOCK) + frame;
        let wanted = said(asked.target_length).unwrap_or_else(|| bytes_in(spec, USUAL_TARGET));
        let wanted = whole(wanted.min(most_of_all - block));
        let usual_request = bytes_in(spec, USUAL_REQUEST).min(wanted / 4);
        let request =
            whole(said(asked.minimum_request_length).unwrap_or(usual_request).min(wanted));
        let target = wanted + block;
        let most = said(asked.max_length).unwrap_or(most_of_all).clamp(target, most_of_all);
        let most_before = wanted + frame - request;
        let before = (asked.pre_buffering as usize).min(most_before);
        Self { most: whole(most), target, before: before - before % frame, request }
    }

    /// As it is told.
    pub(super) fn told(&self) -> BufferAttr {
        BufferAttr {
            max_length: self.most as u32,
            target_length: self.target as u32,
            pre_buffering: self.before as u32,
            minimum_request_length: self.request as u32,
            fragment_size: u32::MAX,
        }
    }
}

/// Bytes in the order in which they play. Indices count all bytes of the stream, from its beginning.
#[derive(Debug)]
pub(super) struct Queue {
    bytes: VecDeque<u8>,
    read: i64,
    write: i64,
    frame: usize,
    silence: u8,
}

impl Queue {
    pub(super) fn new(spec: &SampleSpec) -> Self {
        let silence = match spec.format {
            SampleFormat::U8 => 0x80,
            SampleFormat::Alaw => 0xd5,
            SampleFormat::Ulaw => 0xff,
            _ => 0,
        };
        Self { bytes: VecDeque::new(), read: 0, write: 0, frame: frame_bytes(spec), silence }
    }

    /// Bytes that are queued.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The byte that is read next.
    pub(super) fn read_index(&self) -> i64 {
        self.read
    }

    /// Where a block goes that says nothing else.
    pub(super) fn write_index(&self) -> i64 {
        self.write
    }

    /// Puts samples where they belong; a gap before them is silent. Answers how many bytes were dropped: those
    /// whose time has passed count as played, but those that lie absurdly far away do not, nor do the oldest of
    /// more than `most`.
    pub(super) fn put(&mut self, offset: i64, seek: Seek, data: &[u8], most: usize) -> usize {
        let data = &data[..data.len() - data.len() % self.frame];
        let end = self.read + self.bytes.len() as i64;
        let base = match seek {
            Seek::Relative => self.write,
            Seek::Absolute => 0,
            Seek::RelativeOnRead => self.read,
            Seek::RelativeEnd => end,
        };
        let at = base.saturating_add(offset);
        let at = at.saturating_sub((at.wrapping_sub(self.read)).rem_euclid(self.frame as i64));
        let reach = 2 * MOST_QUEUED as i64;
        if at < self.read.saturating_sub(reach) || at > self.read.saturating_add(reach) {
            return data.len();
        }
        self.write = at + data.len() as i64;
        if data.is_empty() {
            return 0;
        }
        let late = usize::try_from(self.read - at).unwrap_or(0).min(data.len());
        let data = &data[late..];
        let at = usize::try_from(at.max(self.read) - self.read).unwrap_or(0);
        if at > self.bytes.len() {
            self.bytes.resize(at, self.silence);
        }
        let over = data.len().min(self.bytes.len() - at);
        for (old, new) in self.bytes.range_mut(at..at + over).zip(data) {
            *old = *new;
        }
        self.bytes.extend(&data[over..]);
        let much = self.bytes.len().saturating_sub(most).next_multiple_of(self.frame);
        self.drop_first(much.min(self.bytes.len()));
        much
    }

    fn drop_first(&mut self, bytes: usize) {
        self.bytes.drain(..bytes);
        self.read += bytes as i64;
    }

    /// Takes the next bytes, as many as there are of so many frames.
    pub(super) fn take(&mut self, frames: usize, into: &mut Vec<u8>) {
        let bytes = (frames * self.frame).min(self.bytes.len());
        let bytes = bytes - bytes % self.frame;
        into.clear();
        into.extend(self.bytes.range(..bytes));
        self.drop_first(bytes);
    }

    /// Forgets all that is not played yet.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.write = self.read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stereo() -> SampleSpec {
        SampleSpec { format: SampleFormat::S16Le, channels: 2, sample_rate: 48_000 }
    }

    fn asked(target: u32, before: u32, request: u32) -> Buffering {
        let asked = BufferAttr {
            target_length: target,
            pre_buffering: before,
            minimum_request_length: request,
            ..BufferAttr::default()
        };
        Buffering::new(&asked, &stereo())
    }

    #[test]
    fn a_client_gets_what_it_asks_for_and_a_block() {
        // 512 samples, as SDL asks for.
        let got = asked(512 * 4, u32::MAX, u32::MAX);
        assert_eq!(got.target, (512 + 481) * 4);
        assert_eq!((got.request, got.before), (128 * 4, (512 + 1 - 128) * 4));
        assert_eq!(got.most, MOST_QUEUED);
        assert_eq!(asked(512 * 4, 0, 512 * 4).before, 0);
        assert_eq!(asked(512 * 4, 0, 512 * 4).request, 512 * 4);
    }

    #[test]
    fn absurd_wishes_are_bounded() {
        for wish in [0, 1, 3, 4_096, i32::MAX as u32, u32::MAX - 1, u32::MAX] {
            for other in [0, 1, 5, u32::MAX - 1, u32::MAX] {
                let got = asked(wish, other, other);
                assert!(
                    got.most <= MOST_QUEUED && got.target <= got.most,
                    "{wish} {other}: {got:?}"
                );
                assert!(got.request >= 4 && got.request <= got.target);
                assert!(got.before <= got.target);
                for value in [got.most, got.target, got.before, got.request] {
                    assert_eq!(value % 4, 0);
                }
            }
        }
    }

    fn queue(bytes: &[u8]) -> Queue {
        let mut queue = Queue::new(&stereo());
        assert_eq!(queue.put(0, Seek::Relative, bytes, MOST_QUEUED), 0);
        queue
    }

    fn all(queue: &mut Queue) -> Vec<u8> {
        let mut out = Vec::new();
        queue.take(usize::MAX / 8, &mut out);
        out
    }

    #[test]
    fn blocks_go_where_they_are_sought() {
        let mut queue = queue(&[1, 1, 1, 1, 2, 2, 2, 2]);
        queue.put(-4, Seek::Relative, &[3, 3, 3, 3], MOST_QUEUED);
        queue.put(4, Seek::RelativeEnd, &[4, 4, 4, 4], MOST_QUEUED);
        queue.put(0, Seek::Absolute, &[5, 5, 5, 5], MOST_QUEUED);
        assert_eq!(all(&mut queue), [5, 5, 5, 5, 3, 3, 3, 3, 0, 0, 0, 0, 4, 4, 4, 4]);
        assert_eq!(queue.read_index(), 16);
        // What has passed is not heard.
        queue.put(12, Seek::Absolute, &[6, 6, 6, 6, 7, 7, 7, 7], MOST_QUEUED);
        assert_eq!((queue.read_index(), queue.write_index()), (16, 20));
        assert_eq!(all(&mut queue), [7, 7, 7, 7]);
    }

    #[test]
    fn the_oldest_of_too_much_and_what_is_far_away_are_dropped() {
        let mut queue = queue(&[1, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(queue.put(0, Seek::Relative, &[3; 6], 8), 4);
        for far in [i64::MIN, i64::MAX, 1 << 40] {
            for seek in [Seek::Relative, Seek::Absolute, Seek::RelativeOnRead, Seek::RelativeEnd] {
                assert_eq!(queue.put(far, seek, &[9; 4], 8), 4);
            }
        }
        assert_eq!(queue.put(8, Seek::RelativeEnd, &[], 8), 0);
        assert_eq!(all(&mut queue), [2, 2, 2, 2, 3, 3, 3, 3]);
        queue.clear();
        assert_eq!(queue.read_index(), queue.write_index());
    }

    #[test]
    fn time_and_bytes_agree() {
        assert_eq!(bytes_in(&stereo(), BLOCK), 1_920);
        assert_eq!(time_of(&stereo(), 1_920), BLOCK);
    }
}
