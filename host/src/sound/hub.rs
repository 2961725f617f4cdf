//! The server without its sockets: told bytes and the time, it answers with bytes and samples.
//!
//! ```text
//!  client ─▶ Frames ─▶ commands ─▶ Playback ─┐
//!  client ─▶ Frames ─▶ commands ─▶ Playback ─┴▶ sum, volume, clip ─▶ block ─▶ who asked
//!                                                     └▶ monitor ─┐
//!                                  microphone ───────────────────┴▶ Record ─▶ client
//! ```
//! Time passes as blocks are asked for. Where nobody asks, [`Hub::tick`] lets it pass: what is played is lost, and
//! no game waits for a sound that nobody hears.

use std::time::Duration;

use media::audio::{CHANNELS, samples_in};
use media::{Layout, MediaTime};
use pulseaudio::protocol::{
    self, Command, CommandReply, Props, PulseError, SubscriptionEvent,
    SubscriptionEventFacility as Facility, SubscriptionEventType as Change, SubscriptionMask,
};

use super::SoundStats;
use super::frame::{Frame, Frames, Malformed, Seek, check_tags, command_header};
use super::info;
use super::microphone::MicrophoneQueue;
use super::playback::{Event, Playback};
use super::queue::BLOCK;
use super::record::{Record, Source};
use super::resample::STEP;
use super::sink::Sink;

/// Connections of a session.
pub(super) const MOST_CLIENTS: usize = 32;
/// Streams of a session: all that they may have queued is 16 MiB.
pub(super) const MOST_STREAMS: usize = 32;
/// Nothing more is read of a client that has left so many bytes unread, ...
const UNREAD_PAUSE: usize = 64 * 1024;
/// ... samples that it records are dropped, and beyond this it is disconnected.
const UNREAD_MOST: usize = 256 * 1024;
/// The highest number of a command that the crate `pulseaudio` knows: `SendObjectMessage`.
const LAST_COMMAND: u32 = 104;
/// Time passes by itself when nobody asked for this long.
const UNASKED: Duration = Duration::from_millis(50);
/// Of a longer gap nothing is made up for: a session was suspended, or the machine stood still.
const LONGEST_GAP: Duration = Duration::from_millis(200);

/// What was played in more than two channels is heard in as many for so long after: games make streams as they need them.
const STAYS_WIDE: Duration = Duration::from_secs(5);

/// One connection.
pub(super) struct Client {
    pub(super) index: u32,
    /// None until it said who it is.
    pub(super) version: Option<u16>,
    pub(super) props: Props,
    pub(super) mask: SubscriptionMask,
    frames: Frames,
    out: Vec<u8>,
    gone: bool,
}

/// See the module.
pub(super) struct Hub {
    pub(super) clients: Vec<Client>,
    pub(super) playbacks: Vec<Playback>,
    pub(super) records: Vec<Record>,
    pub(super) sink: Sink,
    /// For so long more than two channels will be heard.
    wide_for: Duration,
    pub(super) microphone: MicrophoneQueue,
    /// Up to where samples were taken, when they were, and for how long.
    until: MediaTime,
    taken_at: MediaTime,
    taken: Duration,
    asked_at: MediaTime,
    next_index: u32,
    events: Vec<Event>,
    fragment: Vec<u8>,
    stats: SoundStats,
}

impl Hub {
    /// Without clients.
    pub(super) fn new() -> Self {
        Self {
            clients: Vec::new(),
            playbacks: Vec::new(),
            records: Vec::new(),
            sink: Sink::new(),
            wide_for: Duration::ZERO,
            microphone: MicrophoneQueue::default(),
            until: MediaTime::ZERO,
            taken_at: MediaTime::ZERO,
            taken: Duration::ZERO,
            asked_at: MediaTime::ZERO,
            next_index: 0,
            events: Vec::new(),
            fragment: Vec::new(),
            stats: SoundStats::default(),
        }
    }

    // Clients.

    /// A connection; none where there are too many.
    pub(super) fn connect(&mut self) -> Option<u32> {
        if self.clients.len() >= MOST_CLIENTS {
            self.stats.refused += 1;
            return None;
        }
        let index = self.new_index();
        self.clients.push(Client {
            index,
            version: None,
            props: Props::new(),
            mask: SubscriptionMask::empty(),
            frames: Frames::default(),
            out: Vec::new(),
            gone: false,
        });
        self.notify(Facility::Client, Change::New, index);
        Some(index)
    }

    /// It is gone, and its streams with it.
    pub(super) fn disconnect(&mut self, client: u32) {
        self.clients.retain(|other| other.index != client);
        self.delete_streams(|_, of| of == client);
        self.notify(Facility::Client, Change::Removed, client);
    }

    /// Deletes streams by their index.
    pub(super) fn delete(&mut self, index: u32) {
        self.delete_streams(|stream, _| stream == index);
    }

    fn delete_streams(&mut self, which: impl Fn(u32, u32) -> bool) {
        let mut gone = Vec::new();
        for stream in self.playbacks.extract_if(.., |stream| which(stream.index, stream.client)) {
            self.stats.underruns += stream.underruns;
            self.stats.dropped += stream.dropped;
            gone.push((Facility::SinkInput, stream.index));
        }
        for stream in self.records.extract_if(.., |stream| which(stream.index, stream.client)) {
            gone.push((Facility::SourceOutput, stream.index));
        }
        for (facility, index) in gone {
            self.notify(facility, Change::Removed, index);
        }
    }

    /// A number for a client or a stream.
    pub(super) fn new_index(&mut self) -> u32 {
        let index = self.next_index;
        // Its highest value stands for none.
        self.next_index = (index + 1) % u32::MAX;
        index
    }

    pub(super) fn client(&mut self, index: u32) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.index == index)
    }

    /// What it has not read yet, and whether the connection is to end.
    pub(super) fn output(&mut self, client: u32) -> (Option<&mut Vec<u8>>, bool) {
        match self.client(client) {
            Some(client) => (Some(&mut client.out), client.gone),
            None => (None, true),
        }
    }

    /// Whether more may be read from it, and whether there is something to be written.
    pub(super) fn wants(&mut self, client: u32) -> (bool, bool) {
        let client = self.client(client);
        client.map_or((false, false), |client| {
            (client.out.len() < UNREAD_PAUSE && !client.gone, !client.out.is_empty())
        })
    }

    /// Bytes came, or some were written, so that more can be answered.
    pub(super) fn received(&mut self, client: u32, bytes: &[u8], now: MediaTime) {
        let Some(from) = self.client(client) else { return };
        let mut frames = std::mem::take(&mut from.frames);
        if !bytes.is_empty() {
            frames.push(bytes);
        }
        while self.wants(client).0 {
            match frames.next() {
                Ok(Some(Frame::Samples { channel, offset, seek, data })) => {
                    self.on_samples(client, channel, offset, seek, data);
                }
                Ok(Some(Frame::Command(command))) => {
                    if let Err(malformed) = self.on_command(client, command, now) {
                        self.give_up(client, malformed);
                    }
                }
                Ok(None) => break,
                Err(malformed) => self.give_up(client, malformed),
            }
        }
        if let Some(from) = self.client(client) {
            from.frames = frames;
        }
        self.tell_events();
    }

    fn give_up(&mut self, client: u32, why: Malformed) {
        tracing::debug!(client, %why, "a client of the session's sound is cut off");
        self.stats.malformed += 1;
        if let Some(client) = self.client(client) {
            client.gone = true;
        }
    }

    fn on_samples(&mut self, client: u32, channel: u32, offset: i64, seek: Seek, data: &[u8]) {
        // Blocks that were under way when their stream was deleted belong to none.
        let of = |stream: &&mut Playback| stream.client == client && stream.index == channel;
        if let Some(stream) = self.playbacks.iter_mut().find(of) {
            stream.write(offset, seek, data);
        }
    }

    fn on_command(&mut self, client: u32, bytes: &[u8], now: MediaTime) -> Result<(), Malformed> {
        let (kind, number) = command_header(bytes)?;
        let version = self.client(client).and_then(|client| client.version);
        let version = version.unwrap_or(protocol::MAX_VERSION);
        let read = check_tags(bytes)
            .then(|| Command::read_tag_prefixed(&mut &*bytes, version))
            .ok_or(PulseError::Protocol);
        let done = match read {
            Ok(Ok((number, command))) => self.command(client, number, command, now),
            Ok(Err(protocol::ProtocolError::Unimplemented(..))) => Err(PulseError::NotImplemented),
            // Commands of a later protocol have numbers that are not known.
            Ok(Err(_)) if kind > LAST_COMMAND => Err(PulseError::Command),
            Ok(Err(_)) | Err(_) => Err(PulseError::Protocol),
        };
        if let Err(error) = done {
            self.send(client, number, &Command::Error(error));
        }
        Ok(())
    }

    // Answers.

    /// Answers a command.
    pub(super) fn reply<R: CommandReply>(&mut self, client: u32, number: u32, reply: &R) {
        self.write(client, |out, version| {
            protocol::write_reply_message(out, number, reply, version)
        });
    }

    /// Answers a command that asks for nothing.
    pub(super) fn ack(&mut self, client: u32, number: u32) {
        self.write(client, |out, _| protocol::write_ack_message(out, number));
    }

    /// Tells a client something.
    pub(super) fn send(&mut self, client: u32, number: u32, command: &Command) {
        self.write(client, |out, version| {
            protocol::write_command_message(out, number, command, version)
        });
    }

    fn write(
        &mut self,
        client: u32,
        write: impl FnOnce(&mut Vec<u8>, u16) -> Result<(), protocol::ProtocolError>,
    ) {
        let Some(client) = self.client(client).filter(|client| !client.gone) else { return };
        let version = client.version.unwrap_or(protocol::MAX_VERSION);
        let written = write(&mut client.out, version);
        if written.is_err() || client.out.len() > UNREAD_MOST {
            tracing::debug!(client = client.index, "a client of the session's sound does not read");
            client.gone = true;
            self.stats.unread += 1;
        }
    }

    /// Tells those who subscribed.
    pub(super) fn notify(&mut self, event_facility: Facility, event_type: Change, index: u32) {
        let mask = SubscriptionMask::from_bits_truncate(1 << event_facility as u32);
        let event = SubscriptionEvent { event_facility, event_type, index: Some(index) };
        for at in 0..self.clients.len() {
            if self.clients[at].mask.intersects(mask) {
                self.send(self.clients[at].index, u32::MAX, &Command::SubscribeEvent(event));
            }
        }
    }

    /// Passes on what streams have to tell.
    fn tell_events(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        for at in 0..self.playbacks.len() {
            let stream = &mut self.playbacks[at];
            let (client, channel) = (stream.client, stream.index);
            events.extend(stream.events());
            for event in events.drain(..) {
                let command = match event {
                    Event::Started => Command::Started(channel),
                    Event::Overflow => Command::Overflow(channel),
                    Event::Underflow(offset) => {
                        Command::Underflow(protocol::Underflow { channel, offset })
                    }
                    Event::Request(length) => {
                        Command::Request(protocol::Request { channel, length })
                    }
                    Event::Drained(number) => {
                        self.ack(client, number);
                        continue;
                    }
                };
                self.send(client, u32::MAX, &command);
            }
        }
        self.events = events;
        self.send_fragments();
    }

    fn send_fragments(&mut self) {
        let mut fragment = std::mem::take(&mut self.fragment);
        for at in 0..self.records.len() {
            while self.records[at].take(&mut fragment) {
                let (client, channel) = (self.records[at].client, self.records[at].index);
                if self.wants(client).0 {
                    self.write(client, |out, _| {
                        protocol::write_memblock(out, channel, &fragment, 0)
                    });
                } else {
                    self.stats.dropped += fragment.len() as u64;
                }
            }
        }
        self.fragment = fragment;
    }

    // Time.

    /// Whoever listens has these channels from now on. Streams go on; who asks for the sink's is told.
    pub(super) fn set_layout(&mut self, layout: Layout) {
        if layout == self.sink.layout() {
            return;
        }
        self.sink.set_layout(layout);
        self.playbacks.iter_mut().for_each(|stream| stream.set_layout(layout));
        self.records.iter_mut().for_each(|stream| stream.set_layout(layout));
        self.notify(Facility::Sink, Change::Changed, info::SINK);
        self.notify(Facility::Source, Change::Changed, Source::Monitor.index());
        // Its usual format is the sink's.
        self.notify(Facility::Server, Change::Changed, u32::MAX);
    }

    /// The channels in which something is played, or was just now.
    fn heard(&mut self, length: Duration) -> Layout {
        let is_wide = self.playbacks.iter().any(Playback::is_wide);
        self.wide_for = if is_wide { STAYS_WIDE } else { self.wide_for.saturating_sub(length) };
        if self.wide_for.is_zero() { Layout::Stereo } else { self.sink.layout() }
    }

    /// Fills a block that begins at `at`, and `all` with the same in all channels that it is heard in, where those are more.
    /// Answers these, and whether clients are to be told something.
    pub(super) fn fill(
        &mut self,
        at: MediaTime,
        block: &mut [f32],
        all: &mut Vec<f32>,
        now: MediaTime,
    ) -> (Layout, bool) {
        let frames = block.len() / CHANNELS;
        let length = Duration::from_nanos(frames as u64 * 1_000_000_000 / 48_000);
        let gap = at.since(self.until);
        if self.until != MediaTime::ZERO && gap <= LONGEST_GAP {
            self.pass(gap);
        }
        let mut rest = &mut *block;
        all.clear();
        while rest.len() >= CHANNELS {
            if self.sink.is_over() {
                self.make_step();
            }
            let filled = self.sink.take(rest, all);
            rest = &mut rest[filled..];
        }
        let heard = self.heard(length);
        if heard == Layout::Stereo {
            all.clear();
        }
        (self.until, self.asked_at) = (at + length, now);
        (self.taken_at, self.taken) = (now, length);
        self.tell_events();
        (heard, self.has_output())
    }

    /// When time is to pass by itself; none while nothing depends on it.
    pub(super) fn due(&self) -> Option<MediaTime> {
        let depends = self.playbacks.iter().any(Playback::is_playing)
            || self.records.iter().any(|stream| !stream.corked);
        depends.then(|| (self.asked_at + UNASKED).max(self.until + BLOCK))
    }

    /// Lets the time pass that nobody asked for.
    pub(super) fn tick(&mut self, now: MediaTime) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        if now.since(self.until) > LONGEST_GAP {
            self.until = now - BLOCK;
        }
        while now.since(self.until) >= BLOCK {
            self.pass(BLOCK);
            self.until = self.until + BLOCK;
            (self.taken_at, self.taken) = (now, BLOCK);
        }
        self.tell_events();
    }

    fn pass(&mut self, time: Duration) {
        for _ in 0..samples_in(time) / STEP {
            self.make_step();
            self.sink.skip();
        }
    }

    fn has_output(&self) -> bool {
        self.clients.iter().any(|client| !client.out.is_empty())
    }

    fn make_step(&mut self) {
        let channels = self.sink.layout().channels();
        let (front, all) = self.sink.begin();
        for stream in &mut self.playbacks {
            stream.render(front, (&mut *all, channels));
        }
        let heard = self.sink.finish();
        let mut spoken = [0.0; STEP];
        self.microphone.take(&mut spoken);
        for stream in &mut self.records {
            match stream.source {
                Source::Microphone => stream.feed(&spoken),
                Source::Monitor => stream.feed(heard),
            }
        }
    }

    /// How long ago in sound what was taken last is heard: it was taken at once, and plays one after the other.
    pub(super) fn ahead(&self, now: MediaTime) -> Duration {
        self.taken.saturating_sub(now.since(self.taken_at))
    }

    /// Whether some client records the microphone.
    pub(super) fn is_recording(&self) -> bool {
        self.records.iter().any(|stream| stream.source == Source::Microphone && !stream.corked)
    }

    /// What was counted, and how it is now.
    pub(super) fn stats(&self) -> SoundStats {
        let playing = || self.playbacks.iter().filter(|stream| stream.is_playing());
        let sum = |of: fn(&Playback) -> u64| self.playbacks.iter().map(of).sum::<u64>();
        SoundStats {
            clients: self.clients.len(),
            streams: self.playbacks.len() + self.records.len(),
            playing: playing().count(),
            buffered: playing()
                .filter(|stream| !stream.is_draining())
                .map(Playback::buffered)
                .min(),
            underruns: self.stats.underruns + sum(|stream| stream.underruns),
            dropped: self.stats.dropped + sum(|stream| stream.dropped) + self.microphone.dropped(),
            ..self.stats
        }
    }

    /// One more stream was refused.
    pub(super) fn refuse(&mut self) -> PulseError {
        self.stats.refused += 1;
        PulseError::TooLarge
    }
}
