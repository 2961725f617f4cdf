//! A session's sound server against the clients that Debian's `pulseaudio-utils` brings.
//!
//! The test is who listens, and time is what it says: it asks for a block when what plays has one. Without those
//! programs each test says so and ends; with `NEARLIGHT_HOST=1` that is a failure.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was skipped is worth reading"
)]

use std::f64::consts::TAU;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use encoder::opus::{Aim, LONGEST, OpusDecoder, OpusEncoder, Wanted};
use media::audio::{CHANNELS, SAMPLE_RATE};
use media::{AudioSource as _, Bitrate, Layout, MediaTime, VoiceSink as _};
use nearlight_host::sound::{PulseSource, SoundServer};
use testkit::FakeClock;

const BLOCK: Duration = Duration::from_millis(10);
/// Between two looks at what a client has done.
const LOOK: Duration = Duration::from_millis(1);

struct Session {
    server: SoundServer,
    source: PulseSource,
    clock: FakeClock,
    folder: tempfile::TempDir,
}

/// A server in a folder of its own; none where there are no clients.
fn session() -> Option<Session> {
    if let Err(error) = Command::new("pactl").arg("--version").output() {
        assert!(std::env::var_os("NEARLIGHT_HOST").is_none(), "pulseaudio-utils: {error}");
        println!("skipped: no pactl (Debian: pulseaudio-utils): {error}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::at(MediaTime::from_millis(1_000));
    let path = folder.path().join("native");
    let server = SoundServer::listen("pulse-test", &path, Arc::new(clock.clone())).unwrap();
    let source = server.source();
    let mut session = Session { server, source, clock, folder };
    // From now on somebody listens: time does not pass by itself.
    session.block().unwrap();
    Some(session)
}

impl Session {
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        let socket = self.folder.path().join("native");
        command.args(args).env("PULSE_SERVER", format!("unix:{}", socket.display()));
        command.env("PULSE_RUNTIME_PATH", self.folder.path()).env("HOME", self.folder.path());
        // What it says is compared, in no other language.
        command.env("LC_ALL", "C");
        command.stdin(Stdio::null());
        command
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn play(&self, file: &Path, args: &[&str]) -> Client {
        let file = file.display().to_string();
        let args = [args, &["--raw", &file]].concat();
        Client(self.command("paplay", &args).spawn().unwrap())
    }

    fn text(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program, args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The next block, if all that plays has one.
    fn block(&mut self) -> Option<Vec<f32>> {
        // At another rate than 48 kHz a block takes a sample more or less of it.
        let enough = BLOCK + LOOK;
        if self.server.stats().buffered.is_some_and(|buffered| buffered < enough) {
            std::thread::sleep(LOOK);
            return None;
        }
        let at = media::Clock::now(&self.clock);
        self.clock.advance(BLOCK);
        let mut block = vec![0.0; media::audio::samples_in(BLOCK) * CHANNELS];
        self.source.fill(at, &mut block).unwrap();
        Some(block)
    }

    /// What is heard until all of these have ended, from the first sample that is not silent.
    fn listen(&mut self, mut clients: Vec<Client>) -> Vec<f32> {
        let mut heard = Vec::new();
        while clients.iter_mut().any(Client::runs) {
            if self.server.stats().playing == 0 {
                std::thread::sleep(LOOK);
            }
            let Some(block) = self.block() else { continue };
            if !heard.is_empty() || block.iter().any(|sample| *sample != 0.0) {
                heard.extend(block);
            }
        }
        for client in &mut clients {
            assert!(client.0.wait().unwrap().success());
        }
        heard
    }
}

/// A client's process. It ends with the test.
struct Client(Child);

impl Client {
    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended already, or the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tone(rate: u32, hertz: f64, level: f64, seconds: f64) -> Vec<f64> {
    let samples = (f64::from(rate) * seconds) as usize;
    (0..samples).map(|at| level * (TAU * hertz * at as f64 / f64::from(rate)).sin()).collect()
}

fn s16(samples: &[f64]) -> Vec<u8> {
    samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()).collect()
}

fn channel(interleaved: &[f32], channel: usize) -> Vec<f64> {
    channel_of(Layout::Stereo, interleaved, channel)
}

fn channel_of(layout: Layout, interleaved: &[f32], channel: usize) -> Vec<f64> {
    let own = interleaved.iter().skip(channel).step_by(layout.channels());
    own.map(|sample| f64::from(*sample)).collect()
}

/// How loud a tone of this frequency is in samples of 48 kHz.
fn level(samples: &[f64], hertz: f64) -> f64 {
    let (mut cos, mut sin) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let angle = TAU * hertz * at as f64 / f64::from(SAMPLE_RATE);
        cos += sample * angle.cos();
        sin += sample * angle.sin();
    }
    2.0 * f64::hypot(cos, sin) / samples.len() as f64
}

/// How much of the samples' energy is not that of these tones, in relation to it.
fn rest(samples: &[f64], tones: &[f64]) -> f64 {
    let energy = samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64;
    let told: f64 = tones.iter().map(|hertz| level(samples, *hertz).powi(2) / 2.0).sum();
    (energy - told).abs() / energy
}

#[test]
fn a_tone_of_another_rate_is_heard_as_it_was_played() {
    let Some(mut session) = session() else { return };
    let file = session.file("tone", &s16(&tone(44_100, 1_000.0, 0.5, 1.5)));
    let player = session.play(&file, &["--format=s16le", "--rate=44100", "--channels=1"]);
    let heard = session.listen(vec![player]);
    let left = channel(&heard, 0);
    assert_eq!(left, channel(&heard, 1), "it is heard on both sides alike");
    let end = left.iter().rposition(|sample| sample.abs() > 0.01).unwrap();
    assert!(end.abs_diff(72_000) < 200, "all of it is heard: {end} samples");
    let middle = &left[4_800..4_800 + 48_000];
    assert!((level(middle, 1_000.0) - 0.5).abs() < 0.005, "{}", level(middle, 1_000.0));
    assert!(rest(middle, &[1_000.0]) < 1e-4, "{}", rest(middle, &[1_000.0]));
    assert_eq!(session.server.stats().underruns, 0);
    assert_eq!(session.server.stats().dropped, 0);
}

#[test]
fn two_at_once_are_mixed() {
    let Some(mut session) = session() else { return };
    let low = session.file("low", &s16(&tone(48_000, 500.0, 0.25, 3.0)));
    let high: Vec<u8> = tone(22_050, 2_000.0, 0.5, 3.0)
        .iter()
        .flat_map(|sample| [*sample as f32, 0.0])
        .flat_map(f32::to_be_bytes)
        .collect();
    let high = session.file("high", &high);
    let mut players = vec![session.play(&low, &["--format=s16le", "--rate=48000", "--channels=1"])];
    players.push(session.play(&high, &["--format=float32be", "--rate=22050", "--channels=2"]));
    while session.server.stats().playing < 2 {
        std::thread::sleep(LOOK);
    }
    let heard = session.listen(players);
    let (left, right) = (channel(&heard, 0), channel(&heard, 1));
    let (left, right) = (&left[9_600..57_600], &right[9_600..57_600]);
    for (samples, hertz, wanted) in
        [(left, 500.0, 0.25), (left, 2_000.0, 0.5), (right, 500.0, 0.25), (right, 2_000.0, 0.0)]
    {
        let level = level(samples, hertz);
        assert!((level - wanted).abs() < 0.005, "{hertz} Hz at {level}, not {wanted}");
    }
    assert!(rest(left, &[500.0, 2_000.0]) < 1e-4);
}

#[test]
fn surround_and_a_small_buffer_are_played() {
    let Some(mut session) = session() else { return };
    // Of 5.1, the centre alone: it is heard on both sides.
    let samples: Vec<f64> = tone(48_000, 750.0, 0.9, 1.5)
        .iter()
        .flat_map(|sample| [0.0, 0.0, *sample, 0.0, 0.0, 0.0])
        .collect();
    let file = session.file("centre", &s16(&samples));
    let map = "--channel-map=front-left,front-right,front-center,lfe,rear-left,rear-right";
    let args = [
        "--format=s16le",
        "--rate=48000",
        "--channels=6",
        map,
        "--latency-msec=20",
        "--process-time-msec=5",
    ];
    let player = session.play(&file, &args);
    let heard = session.listen(vec![player]);
    let wanted = 0.9 * std::f64::consts::FRAC_1_SQRT_2 / (1.0 + std::f64::consts::SQRT_2);
    for side in 0..CHANNELS {
        let samples = channel(&heard, side);
        let level = level(&samples[4_800..52_800], 750.0);
        assert!((level - wanted).abs() < 0.005, "{level}, not {wanted}");
    }
    assert_eq!(session.server.stats().underruns, 0);
}

/// What comes of blocks by Opus.
struct Coded {
    layout: Layout,
    encoder: OpusEncoder,
    decoder: OpusDecoder,
    heard: Vec<f32>,
}

impl Coded {
    fn new(layout: Layout) -> Self {
        let bitrate = Bitrate::from_kbps(64 * (layout.channels() as u64 - 1).max(2));
        let encoder = OpusEncoder::of(layout, bitrate, Aim::Prompt).unwrap();
        let decoder = OpusDecoder::of(layout).unwrap();
        Self { layout, encoder, decoder, heard: Vec::new() }
    }

    fn take(&mut self, block: &[f32]) {
        let mut packet = [0; LONGEST];
        let bytes = self.encoder.encode(block, &mut packet).unwrap();
        let mut out = vec![0.0; block.len()];
        self.decoder.decode(Wanted::Packet(&packet[..bytes]), &mut out).unwrap();
        self.heard.extend(out);
    }

    /// How loud each of the tones is in each channel, in the second in the middle of so many that were played.
    fn levels(&self, tones: &[f64], seconds: f64) -> Vec<Vec<f64>> {
        let middle = (f64::from(SAMPLE_RATE) * seconds / 2.0) as usize;
        let of = |at| {
            let samples = channel_of(self.layout, &self.heard, at);
            let second = &samples[middle - 24_000..middle + 24_000];
            tones.iter().map(|hertz| level(second, *hertz)).collect()
        };
        (0..self.layout.channels()).map(of).collect()
    }
}

/// A player of more than two channels is heard channel for channel by whoever has as many, and mixed down at the same time for
/// whoever has two; both by Opus and back.
fn plays_a_tone_in_each_channel(layout: Layout, map: &str, rate: u32) {
    let Some(mut session) = session() else { return };
    session.source.set_layout(layout);
    let channels = layout.channels();
    // Low frequencies are coded as such. The others have a whole number of periods in what is looked at.
    let tones: Vec<f64> =
        (0..channels).map(|at| if at == 3 { 60.0 } else { 400.0 + 300.0 * at as f64 }).collect();
    let seconds = 2.5;
    let each: Vec<_> = tones.iter().map(|hertz| tone(rate, *hertz, 0.4, seconds)).collect();
    let samples: Vec<f64> =
        (0..each[0].len()).flat_map(|at| each.iter().map(move |tone| tone[at])).collect();
    let file = session.file("tones", &s16(&samples));
    let args = [
        "--format=s16le",
        &format!("--rate={rate}"),
        &format!("--channels={channels}"),
        &format!("--channel-map={map}"),
    ];
    let mut player = session.play(&file, &args);
    let (mut all, mut two) = (Coded::new(layout), Coded::new(Layout::Stereo));
    while player.runs() {
        if session.server.stats().playing == 0 {
            std::thread::sleep(LOOK);
        }
        let Some(mixed) = session.block() else { continue };
        let Some((heard, block)) = session.source.surround() else { continue };
        assert_eq!(heard, layout);
        // How long its player takes to begin, and to end, is nothing to what is heard.
        if all.heard.is_empty() && block.iter().all(|sample| *sample == 0.0) {
            continue;
        }
        all.take(block);
        two.take(&mixed);
    }
    assert!(player.0.wait().unwrap().success());
    for (channel, levels) in all.levels(&tones, seconds).iter().enumerate() {
        for (tone, level) in levels.iter().enumerate() {
            let wanted = if tone == channel { 0.36..0.44 } else { 0.0..0.01 };
            assert!(wanted.contains(level), "tone {tone} in channel {channel}: {level}");
        }
    }
    // Left, centre, rear and side of the left are on the left, and the low frequencies are nowhere.
    let two = two.levels(&tones, seconds);
    let (left, right) = (&two[0], &two[1]);
    for (tone, (left, right)) in left.iter().zip(right).enumerate() {
        let (on_left, on_right) = match tone {
            2 => (true, true),
            3 => (false, false),
            other => (other % 2 == 0, other % 2 == 1),
        };
        for (level, wanted) in [(left, on_left), (right, on_right)] {
            assert_eq!(*level > 0.05, wanted, "tone {tone}: {left} and {right}");
            assert!(wanted || *level < 0.01, "tone {tone}: {left} and {right}");
        }
    }
    assert_eq!(session.server.stats().underruns, 0);
}

#[test]
fn each_channel_of_5_1_is_heard_in_its_place_and_in_two_at_the_same_time() {
    let map = "front-left,front-right,front-center,lfe,rear-left,rear-right";
    plays_a_tone_in_each_channel(Layout::Surround51, map, 48_000);
}

#[test]
fn each_channel_of_7_1_at_another_rate_is_heard_in_its_place_and_in_two_at_the_same_time() {
    let map = "front-left,front-right,front-center,lfe,rear-left,rear-right,side-left,side-right";
    plays_a_tone_in_each_channel(Layout::Surround71, map, 44_100);
}

#[test]
fn games_are_offered_as_many_channels_as_whoever_listens_has() {
    let Some(mut session) = session() else { return };
    let sink = |session: &Session| session.text("pactl", &["list", "sinks"]);
    assert!(sink(&session).contains("float32le 2ch 48000Hz"));
    session.text("pactl", &["set-sink-volume", "@DEFAULT_SINK@", "50%"]);
    session.server.set_layout(Layout::Surround51);
    let six = sink(&session);
    assert!(six.contains("float32le 6ch 48000Hz"), "{six}");
    let map = "front-left,front-right,front-center,lfe,rear-left,rear-right";
    assert!(six.contains(map), "{six}");
    assert_eq!(six.matches("50%").count(), 6, "as loud as it was: {six}");
    assert!(session.text("pactl", &["info"]).contains("float32le 6ch 48000Hz"));
    // Of two channels nothing is made of six.
    let file = session.file("tone", &s16(&tone(48_000, 1_000.0, 0.5, 1.0)));
    let mut player = session.play(&file, &["--format=s16le", "--rate=48000", "--channels=1"]);
    while player.runs() {
        session.block();
        assert_eq!(session.source.surround(), None);
    }
    session.server.set_layout(Layout::Stereo);
    assert!(sink(&session).contains("float32le 2ch 48000Hz"));
}

#[test]
fn who_asks_is_told_what_there_is() {
    let Some(session) = session() else { return };
    let info = session.text("pactl", &["info"]);
    for line in ["Default Sink: nearlight", "Default Source: nearlight.microphone"] {
        assert!(info.contains(line), "{info}");
    }
    assert!(info.contains("float32le 2ch 48000Hz"), "{info}");
    let all = session.text("pactl", &["list"]);
    for part in
        ["Sink #0", "Source #0", "Source #1", "nearlight.monitor", "Monitor of Sink: nearlight"]
    {
        assert!(all.contains(part), "{part}: {all}");
    }
    session.text("pactl", &["set-sink-volume", "@DEFAULT_SINK@", "50%"]);
    assert!(session.text("pactl", &["get-sink-volume", "nearlight"]).contains("50%"));
    session.text("pactl", &["set-default-sink", "nearlight"]);
    session.text("pactl", &["stat"]);
    let refused = session.command("pactl", &["load-module", "module-null-sink"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Access denied"), "{refused:?}");
    assert_eq!(session.server.stats().malformed, 0);
}

/// Bytes of a tenth of a second, as it is recorded below.
const TENTH: usize = 4_410 * 2;

#[test]
fn the_microphone_is_recorded_once_it_is_on() {
    let Some(mut session) = session() else { return };
    let args = [
        "--device=nearlight.microphone",
        "--format=s16le",
        "--rate=44100",
        "--channels=1",
        "--raw",
        "--latency-msec=10",
    ];
    let mut recorder =
        Client(session.command("parec", &args).stdout(Stdio::piped()).spawn().unwrap());
    while !session.server.microphone().state().recorded {
        std::thread::sleep(LOOK);
    }
    let microphone = session.server.microphone();
    let spoken: Vec<f32> =
        tone(SAMPLE_RATE, 600.0, 0.5, 2.0).iter().map(|sample| *sample as f32).collect();
    // While it is off nothing is heard of this.
    microphone.put(&spoken[..4_800]);
    microphone.set_enabled(true);
    let mut recorded = recorder.0.stdout.take().unwrap();
    let (tell, mut came) = (Arc::new(AtomicUsize::new(0)), 0);
    let told = tell.clone();
    let reader = std::thread::spawn(move || {
        // One second.
        let mut bytes = vec![0; 44_100 * 2];
        for piece in bytes.chunks_mut(TENTH / 10) {
            recorded.read_exact(piece)?;
            tell.fetch_add(piece.len(), Ordering::Release);
        }
        std::io::Result::Ok(bytes)
    });
    for said in spoken.chunks(480) {
        microphone.put(said);
        while session.block().is_none() {}
        came += TENTH / 10;
        // What is not read is dropped, and this is to be read.
        while told.load(Ordering::Acquire) + 3 * TENTH < came && !reader.is_finished() {
            std::thread::sleep(LOOK);
        }
    }
    while !reader.is_finished() {
        session.block();
        std::thread::sleep(LOOK);
    }
    let bytes = reader.join().unwrap().unwrap();
    let samples: Vec<f64> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f64::from(i16::from_le_bytes(*bytes)) / 32_768.0)
        .collect();
    // The frequency is told in samples of 48 kHz.
    let hertz = 600.0 * 48_000.0 / 44_100.0;
    let middle = &samples[4_410..4_410 + 22_050];
    assert!((level(middle, hertz) - 0.5).abs() < 0.01, "{}", level(middle, hertz));
    drop(recorder);
    while session.server.microphone().state().recorded {
        std::thread::sleep(LOOK);
    }
}

#[test]
fn a_game_goes_on_when_nobody_listens() {
    let Some(session) = session() else { return };
    let file = session.file("tone", &s16(&tone(44_100, 1_000.0, 0.5, 1.0)));
    let mut player = session.play(&file, &["--format=s16le", "--rate=44100", "--channels=1"]);
    while player.runs() {
        session.clock.advance(BLOCK);
        std::thread::sleep(LOOK);
    }
    assert!(player.0.wait().unwrap().success());
}

#[test]
fn who_is_killed_while_it_plays_leaves_nothing_behind() {
    let Some(mut session) = session() else { return };
    let args = ["--playback", "--format=s16le", "--rate=48000", "--channels=2", "--raw"];
    let mut player = session.command("pacat", &args);
    let mut player = Client(player.stdin(Stdio::piped()).spawn().unwrap());
    let mut input = player.0.stdin.take().unwrap();
    let writer = std::thread::spawn(move || while input.write_all(&[1; 4_096]).is_ok() {});
    while session.server.stats().playing == 0 {
        std::thread::sleep(LOOK);
    }
    while session.block().is_none() {}
    drop(player);
    writer.join().unwrap();
    while session.server.stats().clients > 0 {
        std::thread::sleep(LOOK);
    }
    assert_eq!(session.server.stats().streams, 0);
    let block = session.block().unwrap();
    assert!(block.iter().all(|sample| *sample == 0.0));
    // The next one is served.
    assert!(session.text("pactl", &["info"]).contains("nearlight"));
    let socket = session.folder.path().join("native");
    assert!(socket.exists());
    drop(session.server);
    assert!(!socket.exists());
    assert!(session.source.fill(MediaTime::ZERO, &mut [0.0; 2]).is_err());
}
