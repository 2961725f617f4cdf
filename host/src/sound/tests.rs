//! The server without sockets: told the bytes of a client and the time.

use std::time::Duration;

use media::audio::CHANNELS;
use media::{Layout, MediaTime};
use proptest::prelude::*;
use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{
    self, AuthParams, AuthReply, ChannelVolume, Command, CommandReply, CorkStreamParams,
    CreatePlaybackStreamReply, CreateRecordStreamReply, LatencyParams, MAX_VERSION,
    PlaybackLatency, PlaybackStreamParams, ProtocolError, PulseError, RecordStreamParams,
    SampleFormat, SampleSpec, ServerInfo, SinkInfoList, SourceInfoList, StatInfo, Volume,
};

use super::channels::default_map;
use super::hub::{Hub, MOST_CLIENTS, MOST_STREAMS};

const BLOCK: usize = 480 * CHANNELS;

/// A server, one client of it and the time.
struct Session {
    hub: Hub,
    client: u32,
    now: MediaTime,
    number: u32,
    /// What came beside an answer.
    beside: Vec<Vec<u8>>,
}

impl Session {
    fn new() -> Self {
        let mut hub = Hub::new();
        let client = hub.connect().unwrap();
        let mut session =
            Self { hub, client, now: MediaTime::from_millis(1_000), number: 0, beside: Vec::new() };
        let auth = AuthParams {
            version: MAX_VERSION,
            supports_shm: true,
            supports_memfd: true,
            cookie: vec![0; 256],
        };
        let reply: AuthReply = session.ask(&Command::Auth(auth)).unwrap();
        assert_eq!((reply.version, reply.use_shm, reply.use_memfd), (MAX_VERSION, false, false));
        session
    }

    fn say(&mut self, command: &Command) {
        let mut bytes = Vec::new();
        self.number += 1;
        protocol::write_command_message(&mut bytes, self.number, command, MAX_VERSION).unwrap();
        self.hub.received(self.client, &bytes, self.now);
    }

    /// The frames that the client was sent.
    fn heard(&mut self) -> Vec<Vec<u8>> {
        let mut out = std::mem::take(self.hub.output(self.client).0.unwrap());
        let mut frames = std::mem::take(&mut self.beside);
        while !out.is_empty() {
            let length = u32::from_be_bytes([out[0], out[1], out[2], out[3]]) as usize + 20;
            frames.push(out.drain(..length).collect());
        }
        frames
    }

    /// What it was told, but for samples.
    fn told(&mut self) -> Vec<Command> {
        let commands = self.heard().into_iter().filter(|frame| frame[4..8] == [0xff; 4]);
        let read = |frame: Vec<u8>| {
            protocol::read_command_message(&mut frame.as_slice(), MAX_VERSION).unwrap().1
        };
        commands.map(read).collect()
    }

    fn ask<R: CommandReply>(&mut self, command: &Command) -> Result<R, PulseError> {
        self.say(command);
        let mut frames = self.heard();
        let number = self.number.to_be_bytes();
        let at = frames.iter().position(|frame| frame[26..30] == number).unwrap();
        let frame = frames.remove(at);
        self.beside = frames;
        match protocol::read_reply_message(&mut frame.as_slice(), MAX_VERSION) {
            Ok((number, reply)) => {
                assert_eq!(number, self.number);
                Ok(reply)
            }
            Err(ProtocolError::ServerError(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    }

    fn play(&mut self, params: PlaybackStreamParams) -> CreatePlaybackStreamReply {
        self.ask(&Command::CreatePlaybackStream(params)).unwrap()
    }

    fn write(&mut self, channel: u32, samples: &[f32]) {
        let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut bytes = Vec::new();
        protocol::write_memblock(&mut bytes, channel, &data, 0).unwrap();
        self.hub.received(self.client, &bytes, self.now);
    }

    /// The next 10 ms, when they have passed.
    fn block(&mut self) -> Vec<f32> {
        let (at, mut block) = (self.now, vec![9.0; BLOCK]);
        self.now = self.now + Duration::from_millis(10);
        self.hub.fill(at, &mut block, &mut Vec::new(), self.now);
        block
    }

    fn timing(&mut self, channel: u32) -> PlaybackLatency {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(7);
        let timing: PlaybackLatency =
            self.ask(&Command::GetPlaybackLatency(LatencyParams { channel, now })).unwrap();
        assert_eq!((timing.local_time, timing.remote_time), (now, now));
        timing
    }
}

fn floats(target: u32, before: u32) -> PlaybackStreamParams {
    PlaybackStreamParams {
        sample_spec: SampleSpec {
            format: SampleFormat::Float32Le,
            channels: 2,
            sample_rate: 48_000,
        },
        channel_map: default_map(2),
        buffer_attr: BufferAttr {
            target_length: target,
            pre_buffering: before,
            ..BufferAttr::default()
        },
        flags: StreamFlags { adjust_latency: true, ..StreamFlags::default() },
        ..PlaybackStreamParams::default()
    }
}

#[test]
fn a_game_that_writes_as_it_is_asked_is_heard_without_a_gap() {
    // As SDL does: it writes 512 samples whenever so many were asked for.
    let mut session = Session::new();
    let reply = session.play(floats(512 * 8, u32::MAX));
    let (mut room, mut at, mut heard) = (reply.requested_bytes, 0_u32, Vec::new());
    for _ in 0..100 {
        while room >= 512 * 8 {
            room -= 512 * 8;
            let samples: Vec<f32> = (at..at + 512).flat_map(|at| [at as f32 / 1e6, 0.25]).collect();
            at += 512;
            session.write(reply.channel, &samples);
        }
        heard.extend(session.block());
        for told in session.told() {
            match told {
                Command::Request(request) => room += request.length,
                Command::Started(channel) => assert_eq!(channel, reply.channel),
                other => panic!("{other:?}"),
            }
        }
        assert!(session.hub.playbacks[0].queued() <= reply.buffer_attr.target_length as usize);
    }
    for (at, sample) in heard.chunks(2).enumerate() {
        assert_eq!(sample, [at as f32 / 1e6, 0.25]);
    }
    assert_eq!(session.hub.stats().underruns, 0);
}

#[test]
fn a_stream_waits_until_enough_is_there_and_tells_when_it_has_played_all() {
    let mut session = Session::new();
    let reply = session.play(floats(960 * 8, 480 * 8));
    session.write(reply.channel, &[0.5; 479 * 2]);
    assert_eq!(session.block(), [0.0; BLOCK]);
    assert!(!session.told().contains(&Command::Started(reply.channel)));
    session.write(reply.channel, &[0.5; 2]);
    assert_eq!(session.told(), [Command::Started(reply.channel)]);
    assert_eq!(session.block(), [0.5; BLOCK]);
    let timing = session.timing(reply.channel);
    assert_eq!((timing.write_offset, timing.read_offset), (480 * 8, 480 * 8));
    assert!(timing.playing);
    // A block plays from when it is taken on.
    assert_eq!(timing.sink_usec, 10_000);
    session.now = session.now + Duration::from_millis(4);
    assert_eq!(session.timing(reply.channel).sink_usec, 6_000);
    session.block();
    let underflow = protocol::Underflow { channel: reply.channel, offset: 480 * 8 };
    assert!(session.told().contains(&Command::Underflow(underflow)));
    assert!(!session.timing(reply.channel).playing);
    assert_eq!(session.hub.stats().underruns, 1);
}

#[test]
fn cork_flush_trigger_and_drain_end_as_they_should() {
    let mut session = Session::new();
    let reply = session.play(floats(960 * 8, 960 * 8));
    let channel = reply.channel;
    session.write(channel, &[0.5; 240 * 2]);
    session.say(&Command::TriggerPlaybackStream(channel));
    session.say(&Command::CorkPlaybackStream(CorkStreamParams { channel, cork: true }));
    assert_eq!(session.block(), [0.0; BLOCK]);
    session.say(&Command::CorkPlaybackStream(CorkStreamParams { channel, cork: false }));
    session.told();
    session.say(&Command::DrainPlaybackStream(channel));
    assert!(!session.told().contains(&Command::Reply));
    let block = session.block();
    assert_eq!((block[0], block[479], block[480]), (0.5, 0.5, 0.0));
    assert_eq!(session.told().iter().filter(|told| **told == Command::Reply).count(), 1);
    assert_eq!(session.hub.stats().underruns, 0);
    // What is flushed is not heard, and a drain of nothing is answered at once.
    session.write(channel, &[0.5; 960 * 2]);
    session.say(&Command::FlushPlaybackStream(channel));
    session.told();
    session.say(&Command::DrainPlaybackStream(channel));
    assert_eq!(session.told().first(), Some(&Command::Reply));
    assert_eq!(session.block(), [0.0; BLOCK]);
    session.say(&Command::DeletePlaybackStream(channel));
    assert_eq!(session.told(), [Command::Reply]);
    session.say(&Command::DeletePlaybackStream(channel));
    assert_eq!(session.told(), [Command::Error(PulseError::NoEntity)]);
}

#[test]
fn streams_are_added_and_what_is_too_loud_is_clipped() {
    let mut session = Session::new();
    let channels = [0.25, 0.5, 0.75].map(|level| {
        let channel = session.play(floats(960 * 8, 0)).channel;
        session.write(channel, &vec![level; BLOCK]);
        channel
    });
    assert_eq!(session.block(), [1.0; BLOCK]);
    session.write(channels[0], &vec![0.25; BLOCK]);
    session.write(channels[1], &vec![0.5; BLOCK]);
    assert_eq!(session.block(), [0.75; BLOCK]);
}

#[test]
fn volumes_of_streams_and_of_the_sink_are_heard() {
    let mut session = Session::new();
    let channel = session.play(floats(48_000 * 8, 0)).channel;
    session.write(channel, &vec![0.5; BLOCK * 4]);
    let mut half = ChannelVolume::empty();
    half.push(Volume::from_linear(0.5));
    session.say(&Command::SetSinkInputVolume(protocol::SetStreamVolumeParams {
        index: channel,
        volume: half,
    }));
    session.block();
    let near = |sample: f32, wanted: f32| assert!((sample - wanted).abs() < 1e-4, "{sample}");
    near(session.block()[0], 0.25);
    session.say(&Command::SetSinkMute(protocol::SetDeviceMuteParams {
        device_index: None,
        device_name: Some(c"@DEFAULT_SINK@".into()),
        mute: true,
    }));
    session.block();
    assert_eq!(session.block(), [0.0; BLOCK]);
}

#[test]
fn time_passes_when_nobody_listens() {
    let mut session = Session::new();
    let channel = session.play(floats(480 * 8, 0)).channel;
    assert_eq!(session.hub.due(), None);
    session.write(channel, &vec![0.5; BLOCK]);
    session.say(&Command::DrainPlaybackStream(channel));
    session.told();
    let mut ticks = 0;
    while let Some(due) = session.hub.due() {
        session.now = session.now.max(due);
        session.hub.tick(session.now);
        ticks += 1;
    }
    assert!(session.told().contains(&Command::Reply));
    assert!(ticks <= 3, "{ticks}");
    // Who listens again hears what comes from now on.
    session.now = session.now + Duration::from_secs(3_600);
    session.write(channel, &vec![0.25; BLOCK]);
    assert_eq!(session.block(), [0.25; BLOCK]);
}

#[test]
fn blocks_of_any_length_join() {
    let mut session = Session::new();
    let channel = session.play(floats(48_000 * 8, 0)).channel;
    let samples: Vec<f32> = (0..4_800).flat_map(|at| [at as f32 / 1e4; 2]).collect();
    session.write(channel, &samples);
    let (mut heard, mut at) = (Vec::new(), session.now);
    for frames in [1, 479, 7, 241, 480, 1_000, 120] {
        let mut block = vec![9.0; frames * CHANNELS];
        session.hub.fill(at, &mut block, &mut Vec::new(), at);
        at = at + Duration::from_nanos(frames as u64 * 1_000_000_000 / 48_000);
        heard.extend(block);
    }
    assert_eq!(heard, samples[..heard.len()]);
}

/// A stream of six channels of 48 kHz, each as loud as its number.
fn six(session: &mut Session) -> u32 {
    let sample_spec =
        SampleSpec { format: SampleFormat::Float32Le, channels: 6, sample_rate: 48_000 };
    let params =
        PlaybackStreamParams { sample_spec, channel_map: default_map(6), ..floats(48_000 * 24, 0) };
    let channel = session.play(params).channel;
    let frame: Vec<f32> = (1..=6).map(|n| n as f32 / 16.0).collect();
    session.write(channel, &frame.repeat(4_800));
    channel
}

#[test]
fn a_stream_goes_on_in_more_and_in_fewer_channels_and_two_have_the_mix_they_always_had() {
    let mut session = Session::new();
    session.say(&Command::Subscribe(protocol::SubscriptionMask::SINK));
    session.told();
    let channel = six(&mut session);
    let (mut all, mut front) = (Vec::new(), vec![0.0; BLOCK]);
    let mut block = |session: &mut Session, all: &mut Vec<f32>| {
        let at = session.now;
        session.now = at + Duration::from_millis(10);
        let (layout, _) = session.hub.fill(at, &mut front, all, session.now);
        (layout, front.clone())
    };
    let (layout, mixed) = block(&mut session, &mut all);
    assert_eq!((layout, all.len()), (Layout::Stereo, 0));
    session.hub.set_layout(Layout::Surround71);
    assert!(session.told().iter().any(|told| matches!(told, Command::SubscribeEvent(_))));
    session.hub.set_layout(Layout::Surround71);
    assert_eq!(session.told(), [], "it is told once");
    let (layout, same) = block(&mut session, &mut all);
    assert_eq!((layout, all.len()), (Layout::Surround71, 480 * 8));
    assert_eq!(same, mixed);
    let frame = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0].map(|n| n / 16.0);
    assert!(all.chunks(8).all(|heard| heard == frame), "{:?}", &all[..8]);
    // Beside it something of two channels, which are no quieter for that.
    let stereo = session.play(floats(48_000 * 8, 0)).channel;
    session.write(stereo, &[0.25; BLOCK]);
    let (_, more) = block(&mut session, &mut all);
    assert_eq!(more[0], mixed[0] + 0.25);
    assert_eq!(all[..3], [frame[0] + 0.25, frame[1] + 0.25, frame[2]]);
    // Volumes of the sink are of all channels, and of the mix.
    let mut volume = ChannelVolume::empty();
    (0..8).for_each(|at| volume.push(Volume::from_linear(if at == 2 { 0.0 } else { 0.5 })));
    session.say(&Command::SetSinkVolume(protocol::SetDeviceVolumeParams {
        device_index: None,
        device_name: None,
        volume,
    }));
    session.told();
    block(&mut session, &mut all);
    let (_, half) = block(&mut session, &mut all);
    assert!((half[0] - mixed[0] / 2.0).abs() < 1e-4 && (all[0] - frame[0] / 2.0).abs() < 1e-4);
    assert_eq!(all[2], 0.0);
    // What plays in more than two channels may be gone for a moment.
    session.say(&Command::DeletePlaybackStream(channel));
    let mut blocks = 0;
    while block(&mut session, &mut all).0 != Layout::Stereo {
        blocks += 1;
    }
    assert_eq!(blocks, 499);
    six(&mut session);
    assert_eq!(block(&mut session, &mut all).0, Layout::Surround71);
    session.hub.set_layout(Layout::Stereo);
    let (layout, again) = block(&mut session, &mut all);
    assert_eq!((layout, all.len()), (Layout::Stereo, 0));
    assert!(again[0] > 0.0);
}

#[test]
fn the_microphone_and_the_monitor_are_recorded() {
    let mut session = Session::new();
    let mut record = |name: &std::ffi::CStr, channels| {
        let params = RecordStreamParams {
            sample_spec: SampleSpec {
                format: SampleFormat::Float32Le,
                channels,
                sample_rate: 48_000,
            },
            channel_map: default_map(channels),
            source_name: Some(name.into()),
            buffer_attr: BufferAttr { fragment_size: 960, ..BufferAttr::default() },
            ..RecordStreamParams::default()
        };
        let reply: CreateRecordStreamReply =
            session.ask(&Command::CreateRecordStream(params)).unwrap();
        assert_eq!(reply.buffer_attr.fragment_size, 960);
        reply.channel
    };
    let monitor = record(c"nearlight.monitor", 1);
    let microphone = record(c"@DEFAULT_SOURCE@", 2);
    assert!(session.hub.is_recording());
    session.hub.microphone.set_enabled(true);
    session.hub.microphone.put(&[0.125; 1_440]);
    let channel = session.play(floats(960 * 8, 0)).channel;
    session.write(channel, &[0.5; BLOCK]);
    session.block();
    let frames = session.heard();
    for (channel, level, bytes) in [(monitor, 0.5_f32, 480 * 4), (microphone, 0.125, 480 * 8)] {
        let of = |frame: &&Vec<u8>| frame[4..8] == channel.to_be_bytes();
        let samples: Vec<_> =
            frames.iter().filter(of).flat_map(|frame| &frame[20..]).copied().collect();
        assert_eq!(samples.len(), bytes);
        assert!(samples.chunks(4).all(|sample| sample == level.to_le_bytes()));
    }
    session.say(&Command::CorkRecordStream(CorkStreamParams { channel: microphone, cork: true }));
    assert!(!session.hub.is_recording());
}

#[test]
fn a_recording_that_is_moved_goes_on_with_the_other_source_and_its_client_is_told() {
    let mut session = Session::new();
    let params = RecordStreamParams {
        sample_spec: floats(0, 0).sample_spec,
        channel_map: default_map(2),
        buffer_attr: BufferAttr { fragment_size: BLOCK as u32 * 4, ..BufferAttr::default() },
        ..RecordStreamParams::default()
    };
    let reply: CreateRecordStreamReply = session.ask(&Command::CreateRecordStream(params)).unwrap();
    let played = session.play(floats(960 * 8, 0)).channel;
    let recorded = |session: &mut Session| {
        session.write(played, &[0.5; BLOCK]);
        session.block();
        let of = |frame: &Vec<u8>| frame[4..8] == reply.channel.to_be_bytes();
        let frame = session.heard().into_iter().find(of).unwrap();
        f32::from_le_bytes([frame[20], frame[21], frame[22], frame[23]])
    };
    assert_eq!(recorded(&mut session), 0.0, "the microphone is off");
    let to = |name: &std::ffi::CStr, index| {
        Command::MoveSourceOutput(protocol::MoveStreamParams {
            index: Some(index),
            device_index: None,
            device_name: Some(name.into()),
        })
    };
    session.say(&to(c"nearlight.monitor", reply.stream_index));
    let told = session.told();
    assert_eq!(told[0], Command::Reply);
    let Command::RecordStreamMoved(moved) = &told[1] else { panic!("{told:?}") };
    assert_eq!(
        (moved.stream_index, moved.device_name.as_c_str()),
        (reply.stream_index, c"nearlight.monitor")
    );
    assert_eq!(recorded(&mut session), 0.5);
    for wrong in [to(c"elsewhere", reply.stream_index), to(c"nearlight.monitor", 77)] {
        session.say(&wrong);
        assert_eq!(session.told(), [Command::Error(PulseError::NoEntity)]);
    }
}

#[test]
fn what_a_session_may_have_is_bounded_and_refused_by_the_protocols_error() {
    let mut session = Session::new();
    for _ in 0..MOST_STREAMS {
        session.play(floats(4_800, 0));
    }
    let more = Command::CreatePlaybackStream(floats(4_800, 0));
    assert_eq!(session.ask::<CreatePlaybackStreamReply>(&more), Err(PulseError::TooLarge));
    let connected: Vec<_> = (1..MOST_CLIENTS).map(|_| session.hub.connect().unwrap()).collect();
    assert_eq!(session.hub.connect(), None);
    assert_eq!(session.hub.stats().refused, 2);
    session.hub.disconnect(connected[0]);
    assert!(session.hub.connect().is_some());
    session.hub.disconnect(session.client);
    assert_eq!(session.hub.stats().streams, 0);
}

#[test]
fn who_writes_without_being_asked_or_does_not_read_harms_only_itself() {
    let mut session = Session::new();
    let channel = session.play(floats(4_800, 0)).channel;
    for _ in 0..200 {
        session.write(channel, &vec![0.5; 8_192]);
    }
    assert!(session.hub.playbacks[0].queued() <= super::queue::MOST_QUEUED);
    assert!(session.hub.stats().dropped > 4_000_000);
    // Answers that are not read stop what is read of it.
    session.heard();
    for _ in 0..10_000 {
        session.say(&Command::GetSinkInfoList);
    }
    let unread = session.hub.output(session.client).0.unwrap().len();
    assert!(unread < 128 * 1024, "{unread}");
    let answered = session.heard().len();
    session.hub.received(session.client, &[], session.now);
    assert!(session.heard().len() >= answered);
}

#[test]
fn who_sends_garbage_or_lets_news_pile_up_is_disconnected_alone() {
    let mut session = Session::new();
    let (garbage, deaf) = (session.hub.connect().unwrap(), session.hub.connect().unwrap());
    session.hub.received(garbage, &[0xff; 64], session.now);
    assert!(session.hub.output(garbage).1);
    let mine = std::mem::replace(&mut session.client, deaf);
    let auth = AuthParams { version: MAX_VERSION, ..AuthParams::default() };
    session.say(&Command::Auth(auth));
    session.say(&Command::Subscribe(protocol::SubscriptionMask::ALL));
    session.client = mine;
    let mute = Command::SetSinkMute(protocol::SetDeviceMuteParams {
        device_index: Some(0),
        device_name: None,
        mute: true,
    });
    while !session.hub.output(deaf).1 {
        session.say(&mute);
        assert_eq!(session.told(), [Command::Reply]);
    }
    assert!(session.hub.output(deaf).0.unwrap().len() < 300 * 1024);
    assert!(!session.hub.output(session.client).1);
    let stats = session.hub.stats();
    assert_eq!((stats.malformed, stats.unread), (1, 1));
}

#[test]
fn what_a_client_records_and_does_not_read_is_dropped_and_counted() {
    let mut session = Session::new();
    let params = RecordStreamParams {
        sample_spec: SampleSpec { format: SampleFormat::S32Le, channels: 8, sample_rate: 192_000 },
        channel_map: default_map(8),
        ..RecordStreamParams::default()
    };
    let made: CreateRecordStreamReply = session.ask(&Command::CreateRecordStream(params)).unwrap();
    for _ in 0..100 {
        session.block();
    }
    let (out, is_over) = session.hub.output(session.client);
    let bytes = out.unwrap().len();
    assert!(!is_over && bytes < 300 * 1024, "{bytes}");
    assert!(session.hub.stats().dropped > 5_000_000);
    session.heard();
    session.say(&Command::DeleteRecordStream(made.channel));
    assert_eq!(session.told(), [Command::Reply]);
}

#[test]
fn nothing_is_done_for_a_stranger_and_unknown_commands_end_nobody() {
    let mut session = Session::new();
    let stranger = session.hub.connect().unwrap();
    let mine = std::mem::replace(&mut session.client, stranger);
    assert_eq!(session.ask::<ServerInfo>(&Command::GetServerInfo), Err(PulseError::AccessDenied));
    let old = AuthParams { version: 8, ..AuthParams::default() };
    assert_eq!(session.ask::<AuthReply>(&Command::Auth(old)), Err(PulseError::Version));
    session.client = mine;
    let mut raw = |command: u32, rest: &[u8]| {
        let mut bytes = ((10 + rest.len()) as u32).to_be_bytes().to_vec();
        bytes.extend([0xff; 4]);
        bytes.extend([0; 12]);
        bytes.push(b'L');
        bytes.extend(command.to_be_bytes());
        bytes.extend(b"L\0\0\0\x09");
        bytes.extend(rest);
        session.hub.received(session.client, &bytes, session.now);
        session.told()
    };
    assert_eq!(raw(4_000, &[]), [Command::Error(PulseError::Command)]);
    assert_eq!(raw(104, b"t/core\0"), [Command::Error(PulseError::NotImplemented)]);
    assert_eq!(raw(87, b"L\0\0\0\0tx\0"), [Command::Error(PulseError::NoExtension)]);
    assert_eq!(raw(3, b"x\xff\xff\xff\xff"), [Command::Error(PulseError::Protocol)]);
    assert_eq!(raw(61, b"L\0\0\0\0L\0\0\0\0"), [Command::Error(PulseError::Command)]);
    assert_eq!(raw(48, b"L\0\0\0\0"), [Command::Error(PulseError::AccessDenied)]);
    let sinks: SinkInfoList = session.ask(&Command::GetSinkInfoList).unwrap();
    let sources: SourceInfoList = session.ask(&Command::GetSourceInfoList).unwrap();
    assert_eq!((sinks.len(), sources.len()), (1, 2));
    assert!(session.ask::<StatInfo>(&Command::Stat).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_of_a_client_make_it_panic(
        frames in proptest::collection::vec(
            (0_u32..106, proptest::collection::vec(any::<u8>(), 0..64), any::<bool>(), any::<i64>(), 0_u32..4),
            1..30,
        ),
    ) {
        let mut session = Session::new();
        let channel = session.play(floats(4_800, 0)).channel;
        for (kind, bytes, is_command, offset, seek) in frames {
            let mut payload = Vec::new();
            if is_command {
                payload.push(b'L');
                payload.extend(kind.to_be_bytes());
                payload.extend(b"L\0\0\0\x01L");
                payload.extend(channel.to_be_bytes());
            }
            payload.extend(&bytes);
            let mut frame = (payload.len() as u32).to_be_bytes().to_vec();
            frame.extend(if is_command { u32::MAX } else { channel }.to_be_bytes());
            frame.extend(offset.to_be_bytes());
            frame.extend(seek.to_be_bytes());
            frame.extend(payload);
            session.hub.received(session.client, &frame, session.now);
            session.block();
        }
    }
}
