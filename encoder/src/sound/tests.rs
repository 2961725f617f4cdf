use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use media::audio::CHANNELS;
use media::{AudioError, AudioPacket, MediaTime, SendRefused, Sound};
use testkit::FakeClock;

use super::coder::Coder;
use super::*;
use crate::opus::{Aim, OpusDecoder, OpusEncoder, Wanted};

const BLOCK: Duration = Duration::from_millis(10);

fn config() -> SoundConfig {
    SoundConfig {
        name: "snd-test".into(),
        track: TrackId(0),
        block: BLOCK,
        bitrate: Bitrate::from_kbps(96),
    }
}

/// A tone up to a time, then silence, then the tone again, until it is told to end: then it fails.
struct Tone {
    quiet: std::ops::Range<u64>,
    ends: Arc<AtomicBool>,
    asked: mpsc::Sender<MediaTime>,
}

impl Tone {
    fn new(quiet: std::ops::Range<u64>) -> (Box<Self>, mpsc::Receiver<MediaTime>) {
        let (asked, times) = mpsc::channel();
        (Box::new(Self { quiet, ends: Arc::default(), asked }), times)
    }
}

impl AudioSource for Tone {
    fn fill(&mut self, at: MediaTime, block: &mut [f32]) -> Result<Sound, AudioError> {
        let _ = self.asked.send(at);
        let millis = at.as_micros() / 1_000;
        if self.ends.load(Ordering::SeqCst) {
            return Err(AudioError("the end".into()));
        }
        let loud = !self.quiet.contains(&millis);
        for (n, sample) in block.iter_mut().enumerate() {
            let turn = (n / CHANNELS) as f32 / 48.0;
            *sample = if loud { 0.3 * (turn * std::f32::consts::TAU).sin() } else { 0.0 };
        }
        Ok(Sound::of(block))
    }
}

struct Sink {
    packets: mpsc::Sender<AudioPacket>,
    refuses: bool,
    corrected: bool,
}

impl Sink {
    fn new() -> (Box<Self>, mpsc::Receiver<AudioPacket>) {
        let (packets, out) = mpsc::channel();
        (Box::new(Self { packets, refuses: false, corrected: true }), out)
    }
}

impl AudioSink for Sink {
    fn wants_fec(&self) -> bool {
        self.corrected
    }

    fn send(&mut self, packet: &AudioPacket) -> Result<(), SendRefused> {
        if self.refuses {
            return Err(SendRefused::Full);
        }
        self.packets.send(packet.clone()).map_err(|_| SendRefused::NotConnected)
    }
}

fn ms(millis: u64) -> MediaTime {
    MediaTime::from_millis(millis)
}

/// When a block was heard whose packet says this: its coder delays it by 6.5 ms, or by 2.5.
fn heard(packet: &AudioPacket, aim: Aim) -> MediaTime {
    let delay = OpusEncoder::open(config().bitrate, aim).unwrap().delay();
    packet.captured_at + delay
}

/// Steps as the thread does: all blocks that begin before a time.
fn run_to(pipeline: &mut Pipeline, end: u64) {
    while let Some(due) = pipeline.due().filter(|due| *due < ms(end)) {
        pipeline.step(due).unwrap();
    }
}

#[test]
fn packets_follow_without_a_gap_and_all_who_listen_get_the_same() {
    let (source, asked) = Tone::new(0..0);
    let mut pipeline = Pipeline::open(&config(), source).unwrap();
    assert_eq!(pipeline.due(), None);
    let (one, first) = Sink::new();
    pipeline.listen(1, Some(one), ms(1_003));
    assert_eq!(pipeline.due(), Some(ms(1_003)));
    run_to(&mut pipeline, 1_053);
    let (two, second) = Sink::new();
    pipeline.listen(2, Some(two), ms(1_055));
    run_to(&mut pipeline, 1_103);
    pipeline.listen(1, None, ms(1_104));
    run_to(&mut pipeline, 1_123);
    let of = |packets: &mpsc::Receiver<AudioPacket>| -> Vec<_> { packets.try_iter().collect() };
    let (first, second) = (of(&first), of(&second));
    let times = |packets: &[AudioPacket]| -> Vec<_> {
        packets.iter().map(|packet| heard(packet, Aim::Corrected)).collect()
    };
    let from = |from: u64, to: u64| -> Vec<_> { (from..to).step_by(10).map(ms).collect() };
    assert_eq!(times(&first), from(1_003, 1_103));
    assert_eq!(times(&second), from(1_053, 1_123));
    assert_eq!(first[5].data, second[0].data);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), from(1_003, 1_123));
    assert_eq!(pipeline.stats().stereo.packets, 12);
}

#[test]
fn silence_is_told_once_and_then_rarely_and_sound_comes_back_at_once() {
    let (source, _asked) = Tone::new(500..3_000);
    let mut pipeline = Pipeline::open(&config(), source).unwrap();
    let (sink, packets) = Sink::new();
    pipeline.listen(1, Some(sink), ms(0));
    run_to(&mut pipeline, 3_500);
    let times: Vec<_> =
        packets.try_iter().map(|it| heard(&it, Aim::Corrected).as_micros() / 1_000).collect();
    let within = |from: u64, to: u64| times.iter().filter(|at| (from..to).contains(*at)).count();
    assert_eq!((within(0, 500), within(500, 700)), (50, 20));
    let told: Vec<_> = times.iter().filter(|at| (700..3_000).contains(*at)).collect();
    assert_eq!(told, [&700, &1_100, &1_500, &1_900, &2_300, &2_700]);
    assert_eq!(within(3_000, 3_500), 50);
}

#[test]
fn who_comes_into_silence_hears_of_it() {
    let (source, _asked) = Tone::new(0..u64::MAX);
    let mut pipeline = Pipeline::open(&config(), source).unwrap();
    let (sink, _packets) = Sink::new();
    pipeline.listen(1, Some(sink), ms(0));
    run_to(&mut pipeline, 2_000);
    assert!(pipeline.stats().stereo.silent);
    let (late, packets) = Sink::new();
    pipeline.listen(2, Some(late), ms(2_001));
    run_to(&mut pipeline, 2_020);
    assert_eq!(packets.try_iter().count(), 1);
}

#[test]
fn a_pause_leaves_out_what_is_in_it_and_nothing_is_made_up_for() {
    let (source, asked) = Tone::new(0..0);
    let mut pipeline = Pipeline::open(&config(), source).unwrap();
    pipeline.set_paused(true, ms(0));
    let (one, first) = Sink::new();
    pipeline.listen(1, Some(one), ms(5));
    assert_eq!(pipeline.due(), None);
    pipeline.set_paused(false, ms(100));
    run_to(&mut pipeline, 120);
    pipeline.set_paused(true, ms(121));
    assert_eq!(pipeline.due(), None);
    // Somebody who comes meanwhile waits as well.
    let (two, second) = Sink::new();
    pipeline.listen(2, Some(two), ms(200));
    assert_eq!(pipeline.due(), None);
    for _ in 0..2 {
        pipeline.set_paused(false, ms(1_003));
    }
    run_to(&mut pipeline, 1_023);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [100, 110, 1_003, 1_013].map(ms));
    assert_eq!((first.try_iter().count(), second.try_iter().count()), (4, 2));
    assert_eq!(pipeline.stats().skipped, 0);
}

#[test]
fn a_block_is_made_as_it_begins_and_none_over_what_was_made_before() {
    let (source, asked) = Tone::new(0..0);
    let mut pipeline = Pipeline::open(&config(), source).unwrap();
    let (sink, packets) = Sink::new();
    pipeline.listen(1, Some(sink), ms(100));
    assert_eq!(pipeline.due(), Some(ms(100)));
    pipeline.step(ms(100)).unwrap();
    assert_eq!(packets.try_iter().count(), 1);
    pipeline.set_paused(true, ms(102));
    pipeline.set_paused(false, ms(104));
    assert_eq!(pipeline.due(), Some(ms(110)));
    pipeline.listen(1, None, ms(105));
    let (sink, _packets) = Sink::new();
    pipeline.listen(1, Some(sink), ms(107));
    run_to(&mut pipeline, 130);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [100, 110, 120].map(ms));
}

#[test]
fn a_late_thread_leaves_out_what_is_too_old() {
    let (source, asked) = Tone::new(0..0);
    let mut pipeline = Pipeline::open(&config(), source).unwrap();
    let (sink, packets) = Sink::new();
    pipeline.listen(1, Some(sink), ms(0));
    // A few blocks late: they are made up for.
    (0..5).for_each(|_| pipeline.step(ms(50)).unwrap());
    assert_eq!(pipeline.due(), Some(ms(50)));
    pipeline.step(ms(1_000)).unwrap();
    assert_eq!(asked.try_iter().last(), Some(ms(1_000)));
    assert_eq!(pipeline.due(), Some(ms(1_010)));
    assert_eq!(packets.try_iter().count(), 6);
    assert_eq!(pipeline.stats().skipped, 95);
}

#[test]
fn a_full_queue_is_counted_and_takes_nothing_from_others() {
    let (source, _asked) = Tone::new(0..0);
    let mut pipeline = Pipeline::open(&config(), source).unwrap();
    let (mut full, _out) = Sink::new();
    full.refuses = true;
    let (sink, packets) = Sink::new();
    pipeline.listen(1, Some(full), ms(0));
    pipeline.listen(2, Some(sink), ms(0));
    run_to(&mut pipeline, 100);
    assert_eq!((pipeline.stats().refused, packets.try_iter().count()), (10, 10));
}

#[test]
fn blocks_are_short_but_for_those_who_correct_by_opus_and_narrow_paths() {
    let (source, asked) = Tone::new(0..0);
    let short = SoundConfig { block: Duration::from_millis(5), ..config() };
    let mut pipeline = Pipeline::open(&short, source).unwrap();
    let (mut prompt, packets) = Sink::new();
    prompt.corrected = false;
    pipeline.listen(1, Some(prompt), ms(0));
    run_to(&mut pipeline, 20);
    let (corrected, _out) = Sink::new();
    pipeline.listen(2, Some(corrected), ms(20));
    pipeline.expect_loss(0.1).unwrap();
    run_to(&mut pipeline, 40);
    assert_eq!(pipeline.stats().expected_loss, 10);
    pipeline.listen(2, None, ms(40));
    pipeline.set_sparing(true);
    run_to(&mut pipeline, 60);
    pipeline.set_sparing(false);
    run_to(&mut pipeline, 70);
    let times = [0, 5, 10, 15, 20, 30, 40, 50, 60, 65].map(ms);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), times);
    let packets: Vec<_> = packets.try_iter().collect();
    let lengths = packets.iter().map(|packet| packet.duration.as_millis());
    assert!(lengths.eq([5, 5, 5, 5, 10, 10, 10, 10, 5, 5]));
    let aims = [Aim::Prompt, Aim::Corrected, Aim::Prompt].into_iter().zip([4, 2, 4]);
    let aims = aims.flat_map(|(aim, count)| std::iter::repeat_n(aim, count));
    let heard: Vec<_> = packets.iter().zip(aims).map(|(packet, aim)| heard(packet, aim)).collect();
    // The first began before this clock did.
    assert_eq!(heard[1..], times[1..]);
}

/// 5.1 of which each channel has a level of its own, and a mix of it; or two channels, where it may have no more.
#[derive(Default)]
struct Wide {
    may: Layout,
    block: Vec<f32>,
}

impl AudioSource for Wide {
    fn fill(&mut self, at: MediaTime, block: &mut [f32]) -> Result<Sound, AudioError> {
        let turn = |n: usize| ((at.as_micros() * 48 / 1_000) as usize + n) as f32 / 48.0;
        let tone = |n: usize| (turn(n) * std::f32::consts::TAU).sin();
        block.iter_mut().enumerate().for_each(|(n, sample)| *sample = 0.3 * tone(n / CHANNELS));
        let frames = block.len() / CHANNELS;
        let channels = self.may.channels();
        self.block.resize(frames * channels, 0.0);
        for (n, sample) in self.block.iter_mut().enumerate() {
            *sample = 0.1 * (n % channels) as f32 * tone(n / channels);
        }
        Ok(Sound::Heard)
    }

    fn set_layout(&mut self, layout: Layout) {
        self.may = layout.min(Layout::Surround51);
    }

    fn surround(&self) -> Option<(Layout, &[f32])> {
        (self.may != Layout::Stereo).then_some((self.may, &self.block[..]))
    }
}

#[test]
fn each_layout_is_coded_once_for_those_who_hear_it_and_none_other() {
    let mut pipeline = Pipeline::open(&config(), Box::new(Wide::default())).unwrap();
    let (mut sinks, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (mut sink, packets) = Sink::new();
        sink.corrected = false;
        sinks.push(sink);
        heard.push(packets);
    }
    // The last one decodes by what Opus says of lost packets: two channels, however many it says that it plays.
    sinks[3].corrected = true;
    let layouts = |pipeline: &mut Pipeline, end: u64| -> Vec<Vec<usize>> {
        run_to(pipeline, end);
        let of = |packets: &mpsc::Receiver<AudioPacket>| {
            let mut layouts: Vec<_> =
                packets.try_iter().map(|packet| packet.layout.channels()).collect();
            layouts.dedup();
            layouts
        };
        heard.iter().map(of).collect()
    };
    let mut sinks = sinks.into_iter();
    for who in 0..2 {
        pipeline.listen(who, sinks.next().map(|sink| sink as Box<dyn AudioSink>), ms(0));
    }
    assert_eq!(layouts(&mut pipeline, 100), [vec![2], vec![2], vec![], vec![]]);
    pipeline.set_surround(Layout::Surround51, vec![0, 1, 3]);
    assert_eq!(layouts(&mut pipeline, 200), [vec![6], vec![6], vec![], vec![]]);
    let before = pipeline.stats().clone();
    assert_eq!((before.layout, before.stereo.packets), (Layout::Surround51, 10));
    assert_eq!(before.surround.packets, 10, "once for both");
    for who in 2..4 {
        pipeline.listen(who, sinks.next().map(|sink| sink as Box<dyn AudioSink>), ms(200));
    }
    assert_eq!(layouts(&mut pipeline, 300), [vec![6], vec![6], vec![2], vec![2]]);
    // Nobody hears two channels any more.
    pipeline.listen(2, None, ms(300));
    pipeline.listen(3, None, ms(300));
    let before = pipeline.stats().stereo.packets;
    assert_eq!(layouts(&mut pipeline, 400), [vec![6], vec![6], vec![], vec![]]);
    assert_eq!(pipeline.stats().stereo.packets, before);
    // A path with little room has two channels.
    pipeline.set_sparing(true);
    assert_eq!(layouts(&mut pipeline, 500), [vec![2], vec![2], vec![], vec![]]);
    pipeline.set_sparing(false);
    pipeline.set_surround(Layout::Stereo, vec![0, 1]);
    assert_eq!(layouts(&mut pipeline, 600), [vec![2], vec![2], vec![], vec![]]);
}

#[test]
fn all_channels_are_told_of_silence_and_decoded_after_it() {
    let mut coder = Coder::open(Layout::Surround51, config().bitrate, Aim::Prompt).unwrap();
    let mut decoder = OpusDecoder::of(Layout::Surround51).unwrap();
    // 500 Hz in each channel, which leave nothing behind as a constant would in the coder's high-pass filter.
    let loud: Vec<f32> =
        (0..480 * 6).map(|at| if at / 6 / 48 % 2 == 0 { 0.1 } else { -0.1 }).collect();
    let quiet = vec![0.0; 480 * 6];
    let mut packets = Vec::new();
    for n in 0..100_u64 {
        let block = if (20..90).contains(&n) { &quiet } else { &loud };
        let coded = coder.code(block, Sound::of(block), ms(n * 10), BLOCK).unwrap();
        packets.extend(coded.map(|packet| (n, packet)));
    }
    let told: Vec<_> = packets.iter().map(|(n, _)| *n).filter(|n| (40..90).contains(n)).collect();
    assert_eq!(told, [40, 80]);
    for (n, packet) in packets {
        let mut out = vec![9.0; 480 * 6];
        assert_eq!(decoder.decode(Wanted::Packet(&packet), &mut out), Ok(480), "{n}");
        if told.contains(&n) {
            assert!(packet.len() < 200, "{} bytes", packet.len());
            let most = out.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
            assert!(most < 1e-3, "{n}: {most}");
        }
    }
}

/// Moves the clock on until something comes.
fn next<T>(clock: &FakeClock, worker: &SoundWorker, from: &mpsc::Receiver<T>) -> T {
    loop {
        clock.advance(BLOCK);
        // The thread waits by the real clock.
        worker.shared.wake.notify_all();
        if let Ok(item) = from.recv_timeout(Duration::from_millis(1)) {
            return item;
        }
    }
}

#[test]
fn the_thread_sleeps_until_somebody_listens_and_ends_with_its_source() {
    let clock = Arc::new(FakeClock::default());
    let (source, asked) = Tone::new(0..0);
    let ends = Arc::clone(&source.ends);
    let worker = SoundWorker::spawn(config(), source, clock.clone()).unwrap();
    clock.advance(Duration::from_millis(500));
    let (sink, packets) = Sink::new();
    worker.attach(1, sink);
    let first = next(&clock, &worker, &packets);
    assert!(heard(&first, Aim::Corrected) >= ms(500), "nothing was made before: {first:?}");
    worker.expect_loss(0.1);
    while worker.stats().expected_loss != 10 {
        next(&clock, &worker, &packets);
    }
    ends.store(true, Ordering::SeqCst);
    // Its sink is dropped with the thread.
    while !matches!(
        packets.recv_timeout(Duration::from_millis(1)),
        Err(mpsc::RecvTimeoutError::Disconnected)
    ) {
        clock.advance(BLOCK);
        worker.shared.wake.notify_all();
    }
    while worker.stats().failed.is_none() {
        std::thread::yield_now();
    }
    assert_eq!(worker.stats().failed.as_deref(), Some("the sound failed: the end"));
    assert!(asked.try_iter().all(|at| at >= ms(500)));
    // A thread that is over takes no sinks.
    let (sink, packets) = Sink::new();
    worker.attach(2, sink);
    assert_eq!(packets.recv().ok().map(drop), None);
}
