//! The event queue of one connection: many producers (driver, interceptors, socket), one reader.
//!
//! | event | bound | when full |
//! |---|---|---|
//! | connection state, keyframe wishes, open channels | flags | collapse; never lost |
//! | lost frames | one range a track | ranges merge; never lost |
//! | messages of reliable channels | [`MESSAGES`] | the producer waits, the transport's window closes |
//! | messages of the motion channel | the same queue | dropped and counted: the next carries totals |
//! | packets of the client's voice | [`VOICE`] | the oldest is dropped: late it is worth nothing; the gap is concealed |
//! | acknowledgements, input | the same queue, and [`flood`](crate::flood) | dropped and counted; a flood ends it |
//! | frame-sent and path reports | [`REPORTS`] | oldest dropped and counted |
//!
//! It must never block a producer other than the reliable channels' task, nor call out with its
//! lock held except to wake the reader.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use media::{CloseReason, Codec, DataChannel, FrameId, TrackId, TransportEvent, VoicePacket};
use tokio::sync::Notify;

/// Messages that wait for the reader. Input comes at up to 1,000 a second and the reader is woken
/// at once, so this is about a quarter of a second of a stalled reader.
const MESSAGES: usize = 256;
/// Reports that wait for the reader: two seconds of 60 fps and of feedback.
const REPORTS: usize = 256;

/// Packets of voice that wait for the reader: a third of a second of those of 20 ms.
const VOICE: usize = 16;

/// Where the connection stands, as the reader should hear of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Connected(Codec),
    Interrupted,
}

#[derive(Default)]
struct State {
    /// Not told yet.
    link: Option<Link>,
    open: [bool; DataChannel::ALL.len()],
    keyframes: Vec<bool>,
    lost: Vec<Option<(FrameId, FrameId)>>,
    messages: VecDeque<(DataChannel, Bytes)>,
    voice: VecDeque<VoicePacket>,
    reports: VecDeque<TransportEvent>,
    closed: Option<CloseReason>,
    finished: bool,
    dropped: u64,
    waker: Option<Waker>,
}

/// See the module.
pub(crate) struct Events {
    state: Mutex<State>,
    room: Notify,
}

impl Events {
    pub(crate) fn new(tracks: usize) -> Self {
        let state = State {
            keyframes: vec![false; tracks],
            lost: vec![None; tracks],
            messages: VecDeque::with_capacity(MESSAGES),
            reports: VecDeque::with_capacity(REPORTS),
            ..State::default()
        };
        Self { state: Mutex::new(state), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not hide the connection's end from its reader.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.lock();
            change(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn connected(&self, codec: Codec) {
        self.change(|state| state.link = Some(Link::Connected(codec)));
    }

    pub(crate) fn interrupted(&self) {
        self.change(|state| state.link = Some(Link::Interrupted));
    }

    pub(crate) fn channel_open(&self, channel: DataChannel) {
        self.change(|state| state.open[channel as usize] = true);
    }

    pub(crate) fn keyframe_needed(&self, track: TrackId) {
        self.change(|state| {
            if let Some(flag) = state.keyframes.get_mut(usize::from(track.0)) {
                *flag = true;
            }
        });
    }

    pub(crate) fn frame_lost(&self, track: TrackId, frame: FrameId) {
        self.change(|state| {
            if let Some(range) = state.lost.get_mut(usize::from(track.0)) {
                let (first, last) = range.unwrap_or((frame, frame));
                *range = Some((first.min(frame), last.max(frame)));
            }
        });
    }

    /// A frame-sent or path report.
    pub(crate) fn report(&self, event: TransportEvent) {
        self.change(|state| {
            if state.reports.len() == REPORTS {
                state.reports.pop_front();
                state.dropped += 1;
            }
            state.reports.push_back(event);
        });
    }

    /// A message of a reliable channel; waits for room.
    pub(crate) async fn message(&self, channel: DataChannel, message: Bytes) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let full = {
                    let state = self.lock();
                    if state.finished || state.closed.is_some() {
                        return;
                    }
                    state.messages.len() >= MESSAGES
                };
                if !full {
                    self.change(|state| state.messages.push_back((channel, message)));
                    return;
                }
            }
            room.await;
        }
    }

    /// A message of a channel that heals itself.
    pub(crate) fn lossy_message(&self, channel: DataChannel, message: Bytes) {
        self.change(|state| {
            if state.messages.len() >= MESSAGES {
                state.dropped += 1;
            } else {
                state.messages.push_back((channel, message));
            }
        });
    }

    /// A packet of the client's voice.
    pub(crate) fn voice(&self, packet: VoicePacket) {
        self.change(|state| {
            if state.voice.len() >= VOICE {
                state.voice.pop_front();
                state.dropped += 1;
            }
            state.voice.push_back(packet);
        });
    }

    /// A message that is not even put in the queue: the client sends too many of its kind.
    pub(crate) fn refused_message(&self) {
        self.lock().dropped += 1;
    }

    /// The end; the first reason counts.
    pub(crate) fn closed(&self, reason: CloseReason) {
        self.change(|state| {
            state.closed.get_or_insert(reason);
        });
        self.room.notify_waiters();
    }

    /// Whether the end was reported or is about to be.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Reports and messages that were dropped since the connection began.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        let mut state = self.lock();
        let (event, freed) = state.next();
        match event {
            Some(event) => {
                drop(state);
                if freed {
                    self.room.notify_waiters();
                }
                Poll::Ready(event)
            }
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl State {
    /// The next event and whether a message slot came free.
    fn next(&mut self) -> (Option<TransportEvent>, bool) {
        if self.finished {
            return (None, false);
        }
        if let Some(event) = self.next_flag() {
            return (Some(event), false);
        }
        if let Some((channel, message)) = self.messages.pop_front() {
            return (Some(TransportEvent::Data(channel, message)), true);
        }
        if let Some(packet) = self.voice.pop_front() {
            return (Some(TransportEvent::Voice(packet)), false);
        }
        if let Some(event) = self.reports.pop_front() {
            return (Some(event), false);
        }
        let closed = self.closed.clone();
        self.finished = closed.is_some();
        (closed.map(TransportEvent::Closed), false)
    }

    fn next_flag(&mut self) -> Option<TransportEvent> {
        match self.link.take() {
            Some(Link::Connected(codec)) => return Some(TransportEvent::Connected { codec }),
            Some(Link::Interrupted) => return Some(TransportEvent::Interrupted),
            None => {}
        }
        for channel in DataChannel::ALL {
            if std::mem::take(&mut self.open[channel as usize]) {
                return Some(TransportEvent::ChannelOpen(channel));
            }
        }
        for (index, flag) in self.keyframes.iter_mut().enumerate() {
            if std::mem::take(flag) {
                return Some(TransportEvent::KeyframeNeeded(track_id(index)));
            }
        }
        for (index, range) in self.lost.iter_mut().enumerate() {
            if let Some((first, last)) = range.take() {
                let frames = RangeInclusive::new(first, last);
                return Some(TransportEvent::FramesLost(track_id(index), frames));
            }
        }
        None
    }
}

/// Tracks are numbered by `u8`, and an offer holds 16 sections at most.
fn track_id(index: usize) -> TrackId {
    TrackId(u8::try_from(index).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{MediaTime, PathReport};
    use std::time::Duration;

    fn drain(events: &Events) -> Vec<TransportEvent> {
        let mut cx = Context::from_waker(Waker::noop());
        std::iter::from_fn(|| match events.poll(&mut cx) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        })
        .collect()
    }

    fn path(bytes: u64) -> TransportEvent {
        TransportEvent::Path(PathReport {
            at: MediaTime::ZERO,
            span: Duration::ZERO,
            acked_bytes: bytes,
            acked_packets: 0,
            lost_packets: 0,
            sent_bytes: 0,
            one_way_delay_micros: 0,
            newest_sent: MediaTime::ZERO,
            newest_delay_micros: 0,
            round_trip: None,
            ecn_ce: 0,
            unread_frames: None,
        })
    }

    #[test]
    fn flags_survive_a_flood_of_reports_and_closed_comes_last() {
        let events = Events::new(1);
        events.connected(Codec::H264);
        for _ in 0..3 {
            events.keyframe_needed(TrackId(0));
        }
        events.frame_lost(TrackId(0), FrameId(4));
        events.frame_lost(TrackId(0), FrameId(7));
        for n in 0..1_000 {
            events.report(path(n));
        }
        events.closed(CloseReason::Remote);
        events.closed(CloseReason::Local);
        let seen = drain(&events);
        assert!(matches!(seen[0], TransportEvent::Connected { codec: Codec::H264 }));
        assert!(matches!(seen[1], TransportEvent::KeyframeNeeded(TrackId(0))));
        assert!(matches!(
            &seen[2],
            TransportEvent::FramesLost(TrackId(0), range) if *range == (FrameId(4)..=FrameId(7))
        ));
        assert!(matches!(&seen[3], TransportEvent::Path(first) if first.acked_bytes == 744));
        assert_eq!(seen.len(), 3 + REPORTS + 1);
        assert!(matches!(seen.last(), Some(TransportEvent::Closed(CloseReason::Remote))));
        assert_eq!(events.dropped(), 744);
        events.connected(Codec::H264);
        assert!(drain(&events).is_empty(), "nothing follows the end");
    }

    #[tokio::test]
    async fn a_reliable_message_waits_for_room_and_none_is_lost() {
        let events = std::sync::Arc::new(Events::new(1));
        let producer = {
            let events = events.clone();
            tokio::spawn(async move {
                for n in 0..2 * MESSAGES {
                    let body = Bytes::from(n.to_be_bytes().to_vec());
                    events.message(DataChannel::Input, body).await;
                }
            })
        };
        let mut next = 0_usize;
        while next < 2 * MESSAGES {
            let event = std::future::poll_fn(|cx| events.poll(cx)).await;
            let TransportEvent::Data(DataChannel::Input, body) = event else { panic!("{event:?}") };
            assert_eq!(body[..], next.to_be_bytes());
            next += 1;
        }
        producer.await.unwrap();
        assert_eq!(events.dropped(), 0);
    }

    #[test]
    fn of_a_voice_that_nobody_takes_the_newest_packets_are_kept() {
        let events = Events::new(1);
        let packet = |sequence| VoicePacket { sequence, data: Bytes::new() };
        (0..VOICE as u16 + 3).for_each(|sequence| events.voice(packet(sequence)));
        let taken = drain(&events).into_iter().map(|event| match event {
            TransportEvent::Voice(packet) => packet.sequence,
            other => panic!("{other:?}"),
        });
        assert!(taken.eq(3..VOICE as u16 + 3));
        assert_eq!(events.dropped(), 3);
    }

    #[test]
    fn motion_is_dropped_and_counted() {
        let events = Events::new(1);
        for _ in 0..MESSAGES + 5 {
            events.lossy_message(DataChannel::Motion, Bytes::new());
        }
        assert_eq!(drain(&events).len(), MESSAGES);
        assert_eq!(events.dropped(), 5);
    }
}
