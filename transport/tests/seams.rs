//! A pushed display that is resized, through a real encoder and a real connection to a client: the
//! seams that a session wires, without the session.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;

use std::time::Duration;

use client::{MonotonicClock, Wish, config, connect, until};
use encoder::h264::{NalKind, Sps, nals};
use encoder::{EncoderSettings, EncoderWorker, Preference, WorkerConfig, candidates, select};
use media::{
    Bitrate, Codec, FrameId, FrameRate, FrameRequest, FrameSource, Rect, Size, SourceEvent,
    TrackId, Transport, TransportEvent,
};
use testkit::{PushedShared, SharedSurface};

const SIZE: Size = Size::new(256, 144);
const GROWN: Size = Size::new(320, 240);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_display_that_is_resized_reaches_the_client() {
    let (mut client, mut transport, _) = connect(Wish::PLAYER, config()).await;
    let clock = MonotonicClock::shared();
    let surface = SharedSurface::new(SIZE).unwrap();
    let mut source = PushedShared::new(surface.clone(), 3, clock.clone()).unwrap();
    let mut encoders = select(candidates(), &Preference::default()).unwrap().usable;
    encoders.retain(|candidate| candidate.codec == Codec::H264);
    let plan = WorkerConfig {
        label: "seam".into(),
        track: TrackId(0),
        settings: EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(4)),
        encoders,
        keyframe_interval: Duration::from_millis(250),
        barcode: false,
        patience: encoder::ENCODE_PATIENCE,
    };
    let sink = transport.video_sink(TrackId(0));
    let worker = EncoderWorker::spawn(plan, sink, clock.clone(), Box::new(|_| {})).unwrap();
    let mut sizes = Vec::new();
    let mut first = None;
    for number in 0..6 {
        if number == 3 {
            surface.resize(GROWN).unwrap();
        }
        let rect = Rect { x: 8 * number as u32, y: 16, width: 64, height: 64 };
        surface.fill(rect, [200, 40 * number as u8, 10]);
        let frame = loop {
            let request = FrameRequest {
                id: FrameId(number),
                at: clock.now(),
                within: client::PATIENCE,
                views: &[],
                refresh: false,
                share: false,
                kind: media::PictureKind::NV12,
            };
            match source.next(&request).unwrap() {
                SourceEvent::Frame(frame) => break frame,
                SourceEvent::Resized(size) => assert_eq!((number, size), (3, GROWN)),
                other => panic!("{other:?}"),
            }
        };
        let captured = frame.captured_at.rtp_ticks(90_000);
        worker.submit(frame);
        // One at a time, so that the sink is ready for each and none is dropped.
        let sent =
            until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. })).await;
        let TransportEvent::FrameSent { frame, .. } = sent else { unreachable!() };
        assert_eq!(frame, FrameId(number));
        let (_, timestamp, unit) = client.frame().await;
        let offset = *first.get_or_insert(timestamp.wrapping_sub(captured));
        assert_eq!(timestamp, captured.wrapping_add(offset), "the time of capture travels");
        let sps = nals(&unit).find(|nal| nal.kind() == NalKind::Sps);
        sizes.push(sps.map(|nal| Sps::parse(nal.bytes()).unwrap().size()));
    }
    assert_eq!(sizes, [Some(SIZE), None, None, Some(GROWN), None, None]);
    drop(worker);
}
