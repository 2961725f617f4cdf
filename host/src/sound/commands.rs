//! What commands do. Each is answered, by an error where it cannot be done.

use std::time::Duration;

use media::MediaTime;
use pulseaudio::protocol::props::PropsUpdateMode;
use pulseaudio::protocol::{
    AuthReply, Command, LookupReply, MAX_VERSION, MIN_VERSION, PlaybackLatency, Props, PulseError,
    RecordLatency, SetClientNameReply, SetPlaybackStreamBufferAttrReply,
    SetRecordStreamBufferAttrReply, StatInfo, SubscriptionEventFacility as Facility,
    SubscriptionEventType as Change,
};

use super::format::RATES;
use super::gain::Gain;
use super::hub::Hub;
use super::info;
use super::playback::Playback;
use super::queue::BLOCK;
use super::record::{Record, Source};

/// Bytes of the properties of one client or stream.
const MOST_PROPERTIES: usize = 64 * 1024;

/// Whether something was done; how it is answered otherwise.
pub(super) type Done = Result<(), PulseError>;

impl Hub {
    /// Does what a client wants, and answers if it could be done.
    pub(super) fn command(
        &mut self,
        client: u32,
        number: u32,
        command: Command,
        now: MediaTime,
    ) -> Done {
        use Command as C;
        let version = self.client(client).and_then(|client| client.version);
        let version = match command {
            C::Auth(auth) => {
                if auth.version < MIN_VERSION {
                    return Err(PulseError::Version);
                }
                if let Some(client) = self.client(client) {
                    client.version = Some(auth.version.min(MAX_VERSION));
                }
                // Without shared memory: samples come over the socket.
                let reply = AuthReply { version: MAX_VERSION, use_memfd: false, use_shm: false };
                self.reply(client, number, &reply);
                return Ok(());
            }
            _ => version.ok_or(PulseError::AccessDenied)?,
        };
        match command {
            C::SetClientName(props) => {
                self.update_client(client, PropsUpdateMode::Replace, &props)?;
                self.reply(client, number, &SetClientNameReply { client_id: client });
            }
            C::UpdateClientProplist(update) => {
                self.update_client(client, update.mode, &update.props)?;
                self.ack(client, number);
            }
            C::CreatePlaybackStream(asked) => self.create_playback(client, number, asked, now)?,
            C::CreateRecordStream(asked) => self.create_record(client, number, asked, now)?,
            C::DeletePlaybackStream(channel) => {
                self.playback(client, channel)?;
                self.delete(channel);
                self.ack(client, number);
            }
            C::DeleteRecordStream(channel) => {
                self.record(client, channel)?;
                self.delete(channel);
                self.ack(client, number);
            }
            C::DrainPlaybackStream(channel) => {
                if !self.playback(client, channel)?.drain(number) {
                    return Err(PulseError::TooLarge);
                }
            }
            C::CorkPlaybackStream(cork) => {
                self.playback(client, cork.channel)?.corked = cork.cork;
                self.changed(client, number, Facility::SinkInput, cork.channel);
            }
            C::CorkRecordStream(cork) => {
                self.record(client, cork.channel)?.corked = cork.cork;
                self.changed(client, number, Facility::SourceOutput, cork.channel);
            }
            C::FlushPlaybackStream(channel) => {
                self.playback(client, channel)?.flush();
                self.ack(client, number);
            }
            C::FlushRecordStream(channel) => {
                self.record(client, channel)?.flush();
                self.ack(client, number);
            }
            C::TriggerPlaybackStream(channel) => {
                self.playback(client, channel)?.trigger();
                self.ack(client, number);
            }
            C::PrebufPlaybackStream(channel) => {
                self.playback(client, channel)?.prebuf();
                self.ack(client, number);
            }
            C::GetPlaybackLatency(asked) => {
                let ahead = self.ahead(now);
                let stream = self.playback(client, asked.channel)?;
                let (read_offset, write_offset) = stream.indices();
                let reply = PlaybackLatency {
                    sink_usec: micros(ahead + stream.delay()),
                    source_usec: 0,
                    playing: stream.is_playing(),
                    // Both clocks are the client's: the way to it takes no time that counts.
                    local_time: asked.now,
                    remote_time: asked.now,
                    write_offset,
                    read_offset,
                    underrun_for: stream.missed,
                    playing_for: stream.played,
                };
                self.reply(client, number, &reply);
            }
            C::GetRecordLatency(asked) => {
                let since = BLOCK.saturating_sub(self.ahead(now));
                let stream = self.record(client, asked.channel)?;
                let reply = RecordLatency {
                    sink_usec: 0,
                    source_usec: micros(since + stream.buffered()),
                    playing: !stream.corked,
                    local_time: asked.now,
                    remote_time: asked.now,
                    write_offset: stream.sent,
                    read_offset: stream.sent,
                };
                self.reply(client, number, &reply);
            }
            C::SetPlaybackStreamBufferAttr(asked) => {
                let stream = self.playback(client, asked.index)?;
                stream.set_buffering(&asked.buffer_attr);
                let buffer_attr = stream.buffering.told();
                let configured_sink_latency = micros(BLOCK);
                let reply =
                    SetPlaybackStreamBufferAttrReply { buffer_attr, configured_sink_latency };
                self.reply(client, number, &reply);
            }
            C::SetRecordStreamBufferAttr(asked) => {
                let stream = self.record(client, asked.index)?;
                stream.set_fragment(&asked.buffer_attr);
                let reply = SetRecordStreamBufferAttrReply {
                    buffer_attr: info::record_buffer(stream),
                    configured_source_latency: micros(BLOCK),
                };
                self.reply(client, number, &reply);
            }
            C::UpdatePlaybackStreamSampleRate(asked) => {
                if !RATES.contains(&asked.sample_rate) {
                    return Err(PulseError::Invalid);
                }
                self.playback(client, asked.index)?.set_rate(asked.sample_rate);
                self.ack(client, number);
            }
            C::SetPlaybackStreamName(asked) => {
                let props = &mut self.playback(client, asked.index)?.props;
                update(props, PropsUpdateMode::Replace, &info::named(&asked.name))?;
                self.changed(client, number, Facility::SinkInput, asked.index);
            }
            C::SetRecordStreamName(asked) => {
                let props = &mut self.record(client, asked.index)?.props;
                update(props, PropsUpdateMode::Replace, &info::named(&asked.name))?;
                self.changed(client, number, Facility::SourceOutput, asked.index);
            }
            C::UpdatePlaybackStreamProplist(asked) => {
                update(&mut self.playback(client, asked.index)?.props, asked.mode, &asked.props)?;
                self.changed(client, number, Facility::SinkInput, asked.index);
            }
            C::UpdateRecordStreamProplist(asked) => {
                update(&mut self.record(client, asked.index)?.props, asked.mode, &asked.props)?;
                self.changed(client, number, Facility::SourceOutput, asked.index);
            }
            C::SetSinkInputVolume(asked) => {
                let gain = self.gain(Facility::SinkInput, asked.index)?;
                gain.set_volume(&asked.volume).then_some(()).ok_or(PulseError::Invalid)?;
                self.changed(client, number, Facility::SinkInput, asked.index);
            }
            C::SetSinkInputMute(asked) => {
                self.gain(Facility::SinkInput, asked.index)?.set_muted(asked.mute);
                self.changed(client, number, Facility::SinkInput, asked.index);
            }
            C::SetSourceOutputVolume(asked) => {
                let gain = self.gain(Facility::SourceOutput, asked.index)?;
                gain.set_volume(&asked.volume).then_some(()).ok_or(PulseError::Invalid)?;
                self.changed(client, number, Facility::SourceOutput, asked.index);
            }
            C::SetSourceOutputMute(asked) => {
                self.gain(Facility::SourceOutput, asked.index)?.set_muted(asked.mute);
                self.changed(client, number, Facility::SourceOutput, asked.index);
            }
            C::SetSinkVolume(asked) => {
                info::find_sink(asked.device_index, asked.device_name.as_deref())?;
                self.sink.set_volume(&asked.volume).then_some(()).ok_or(PulseError::Invalid)?;
                self.changed(client, number, Facility::Sink, info::SINK);
            }
            C::SetSinkMute(asked) => {
                info::find_sink(asked.device_index, asked.device_name.as_deref())?;
                self.sink.set_muted(asked.mute);
                self.changed(client, number, Facility::Sink, info::SINK);
            }
            C::Subscribe(mask) => {
                if let Some(client) = self.client(client) {
                    client.mask = mask;
                }
                self.ack(client, number);
            }
            other => self.look_up(client, number, version, &other, now)?,
        }
        Ok(())
    }

    /// Commands that ask only, and those that are never done.
    fn look_up(
        &mut self,
        client: u32,
        number: u32,
        version: u16,
        command: &Command,
        now: MediaTime,
    ) -> Done {
        use Command as C;
        match command {
            C::GetServerInfo if version < 15 => {
                // The crate writes the map of channels, which these versions do not read.
                return Err(PulseError::NotSupported);
            }
            C::GetServerInfo => self.reply(client, number, &info::server(self.sink.layout())),
            C::Stat => {
                let queued = self.playbacks.iter().map(Playback::queued).sum::<usize>() as u32;
                let streams = self.playbacks.len() as u32;
                let reply = StatInfo {
                    memblock_total: streams,
                    memblock_total_size: queued,
                    memblock_allocated: streams,
                    memblock_allocated_size: queued,
                    sample_cache_size: 0,
                };
                self.reply(client, number, &reply);
            }
            C::GetSinkInfo(of) => {
                info::find_sink(of.index, of.name.as_deref())?;
                let reply = info::sink(self, now);
                self.reply(client, number, &reply);
            }
            C::GetSinkInfoList => {
                let reply = vec![info::sink(self, now)];
                self.reply(client, number, &reply);
            }
            C::GetSourceInfo(of) => {
                let source = info::find_source(of.index, of.name.as_deref())?;
                let reply = info::source(self, source);
                self.reply(client, number, &reply);
            }
            C::GetSourceInfoList => {
                let reply = Source::ALL.map(|source| info::source(self, source)).to_vec();
                self.reply(client, number, &reply);
            }
            C::GetClientInfo(index) => {
                let reply = info::client(self.client(*index).ok_or(PulseError::NoEntity)?);
                self.reply(client, number, &reply);
            }
            C::GetClientInfoList => {
                let reply = self.clients.iter().map(info::client).collect::<Vec<_>>();
                self.reply(client, number, &reply);
            }
            C::GetSinkInputInfo(index) => {
                let stream = self.playbacks.iter().find(|stream| stream.index == *index);
                let reply = info::sink_input(stream.ok_or(PulseError::NoEntity)?);
                self.reply(client, number, &reply);
            }
            C::GetSinkInputInfoList => {
                let reply = self.playbacks.iter().map(info::sink_input).collect::<Vec<_>>();
                self.reply(client, number, &reply);
            }
            C::GetSourceOutputInfo(index) => {
                let stream = self.records.iter().find(|stream| stream.index == *index);
                let reply = info::source_output(stream.ok_or(PulseError::NoEntity)?);
                self.reply(client, number, &reply);
            }
            C::GetSourceOutputInfoList => {
                let reply = self.records.iter().map(info::source_output).collect::<Vec<_>>();
                self.reply(client, number, &reply);
            }
            C::LookupSink(name) => {
                info::find_sink(None, Some(name))?;
                self.reply(client, number, &LookupReply(info::SINK));
            }
            C::LookupSource(name) => {
                let source = info::find_source(None, Some(name))?;
                self.reply(client, number, &LookupReply(source.index()));
            }
            // There is none of any of these.
            C::GetModuleInfoList | C::GetCardInfoList | C::GetSampleInfoList => {
                self.ack(client, number);
            }
            // It is that one already.
            C::SetDefaultSink(name) => {
                info::find_sink(None, Some(name))?;
                self.ack(client, number);
            }
            C::SetDefaultSource(name) => match info::find_source(None, Some(name))? {
                Source::Microphone => self.ack(client, number),
                Source::Monitor => return Err(PulseError::NotSupported),
            },
            C::MoveSourceOutput(asked) => self.move_record(client, number, asked)?,
            C::MoveSinkInput(asked) => {
                info::find_sink(asked.device_index, asked.device_name.as_deref())?;
                self.gain(Facility::SinkInput, asked.index.ok_or(PulseError::NoEntity)?)?;
                self.ack(client, number);
            }
            C::GetModuleInfo(_)
            | C::GetCardInfo(_)
            | C::GetSampleInfo(_)
            | C::SetCardProfile(_)
            | C::SetSinkPort(_)
            | C::SetSourcePort(_)
            | C::SetPortLatencyOffset(_)
            | C::PlaySample(_)
            | C::RemoveSample(_)
            | C::UnloadModule(_) => return Err(PulseError::NoEntity),
            C::Extension(_) => return Err(PulseError::NoExtension),
            C::Exit
            | C::KillClient(_)
            | C::KillSinkInput(_)
            | C::KillSourceOutput(_)
            | C::LoadModule(_)
            | C::SuspendSink(_)
            | C::SuspendSource(_) => return Err(PulseError::AccessDenied),
            C::CreateUploadStream(_)
            | C::DeleteUploadStream(_)
            | C::FinishUploadStream(_)
            | C::SetSourceVolume(_)
            | C::SetSourceMute(_)
            | C::UpdateRecordStreamSampleRate(_)
            | C::RemoveClientProplist
            | C::RemovePlaybackStreamProplist(_)
            | C::RemoveRecordStreamProplist(_) => return Err(PulseError::NotSupported),
            // These go from the server to clients.
            _ => return Err(PulseError::Command),
        }
        Ok(())
    }

    fn playback(&mut self, client: u32, channel: u32) -> Result<&mut Playback, PulseError> {
        let of = |stream: &&mut Playback| stream.client == client && stream.index == channel;
        self.playbacks.iter_mut().find(of).ok_or(PulseError::NoEntity)
    }

    fn record(&mut self, client: u32, channel: u32) -> Result<&mut Record, PulseError> {
        let of = |stream: &&mut Record| stream.client == client && stream.index == channel;
        self.records.iter_mut().find(of).ok_or(PulseError::NoEntity)
    }

    /// The volume of anybody's stream: mixers of the session set them.
    fn gain(&mut self, of: Facility, index: u32) -> Result<&mut Gain, PulseError> {
        let gain = match of {
            Facility::SinkInput => {
                let mut streams = self.playbacks.iter_mut();
                streams.find(|stream| stream.index == index).map(|stream| &mut stream.gain)
            }
            _ => {
                let mut streams = self.records.iter_mut();
                streams.find(|stream| stream.index == index).map(|stream| &mut stream.gain)
            }
        };
        gain.ok_or(PulseError::NoEntity)
    }

    pub(super) fn changed(&mut self, client: u32, number: u32, facility: Facility, index: u32) {
        self.ack(client, number);
        self.notify(facility, Change::Changed, index);
    }

    fn update_client(&mut self, client: u32, mode: PropsUpdateMode, props: &Props) -> Done {
        let of = self.client(client).ok_or(PulseError::NoEntity)?;
        update(&mut of.props, mode, props)?;
        self.notify(Facility::Client, Change::Changed, client);
        Ok(())
    }
}

fn update(old: &mut Props, mode: PropsUpdateMode, new: &Props) -> Done {
    let mut updated = if mode == PropsUpdateMode::Set { Props::new() } else { old.clone() };
    for (key, value) in new.iter() {
        if mode != PropsUpdateMode::Merge || updated.get_bytes(key).is_none() {
            updated.set_bytes(key, value);
        }
    }
    let bytes: usize = updated.iter().map(|(key, value)| key.count_bytes() + value.len()).sum();
    if bytes > MOST_PROPERTIES {
        return Err(PulseError::TooLarge);
    }
    *old = updated;
    Ok(())
}

/// As the protocol has times.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
