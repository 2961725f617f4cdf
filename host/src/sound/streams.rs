//! Streams as clients create them.

use std::ffi::CStr;

use media::MediaTime;
use media::audio::CHANNELS;
use pulseaudio::protocol::{
    ChannelMap, ChannelVolume, Command, CreatePlaybackStreamReply, CreateRecordStreamReply,
    FormatEncoding, FormatInfo, MoveStreamParams, PlaybackStreamParams, Prop, PulseError,
    RecordStreamMovedParams, RecordStreamParams, SampleFormat, SampleSpec,
    SubscriptionEventFacility as Facility, SubscriptionEventType as Change, stream::StreamFlags,
};

use super::channels::default_map;
use super::commands::{Done, micros};
use super::format::is_supported;
use super::gain::Gain;
use super::hub::{Hub, MOST_STREAMS};
use super::info;
use super::playback::{Made, Playback};
use super::queue::BLOCK;
use super::record::Record;

impl Hub {
    /// A stream that is played.
    pub(super) fn create_playback(
        &mut self,
        client: u32,
        number: u32,
        asked: PlaybackStreamParams,
        now: MediaTime,
    ) -> Done {
        info::find_sink(asked.sink_index, asked.sink_name.as_deref())?;
        let wanted = Wanted {
            spec: asked.sample_spec,
            map: asked.channel_map,
            formats: &asked.formats,
            flags: &asked.flags,
            volume: asked.cvolume,
        };
        let layout = self.sink.layout();
        let (spec, map, gain) = wanted.resolve(&info::spec(layout.channels() as u8))?;
        let index = self.new_stream()?;
        let remaps = !asked.flags.no_remap_channels;
        let corked = asked.flags.start_corked;
        let made = Made { index, client, spec, map, props: asked.props, gain, corked };
        let stream = Playback::new(made, &asked.buffer_attr, remaps, layout);
        let reply = CreatePlaybackStreamReply {
            channel: index,
            stream_index: index,
            requested_bytes: stream.buffering.target as u32,
            buffer_attr: stream.buffering.told(),
            sample_spec: spec,
            channel_map: map,
            stream_latency: micros(BLOCK + self.ahead(now)),
            sink_index: info::SINK,
            sink_name: Some(info::SINK_NAME.into()),
            suspended: false,
            format: info::format(&spec, &map),
        };
        self.playbacks.push(stream);
        self.reply(client, number, &reply);
        self.notify(Facility::SinkInput, Change::New, index);
        Ok(())
    }

    /// A stream that is recorded.
    pub(super) fn create_record(
        &mut self,
        client: u32,
        number: u32,
        asked: RecordStreamParams,
        now: MediaTime,
    ) -> Done {
        let source = info::find_source(asked.source_index, asked.source_name.as_deref())?;
        let wanted = Wanted {
            spec: asked.sample_spec,
            map: asked.channel_map,
            formats: &asked.formats,
            flags: &asked.flags,
            volume: asked.cvolume,
        };
        let layout = self.sink.layout();
        let (spec, map, gain) = wanted.resolve(&info::spec(source.channels(layout)))?;
        let index = self.new_stream()?;
        let remaps = !asked.flags.no_remap_channels;
        let corked = asked.flags.start_corked;
        let made = Made { index, client, spec, map, props: asked.props, gain, corked };
        let stream = Record::new(made, (source, layout), &asked.buffer_attr, remaps);
        let reply = CreateRecordStreamReply {
            channel: index,
            stream_index: index,
            buffer_attr: info::record_buffer(&stream),
            sample_spec: spec,
            channel_map: map,
            stream_latency: micros(BLOCK + self.ahead(now)),
            sink_index: source.index(),
            sink_name: Some(info::source_name(source).into()),
            suspended: false,
            format: info::format(&spec, &map),
        };
        self.records.push(stream);
        self.reply(client, number, &reply);
        self.notify(Facility::SourceOutput, Change::New, index);
        Ok(())
    }

    /// Somebody's recording is to be of another source; its client is told.
    pub(super) fn move_record(
        &mut self,
        client: u32,
        number: u32,
        asked: &MoveStreamParams,
    ) -> Done {
        let source = info::find_source(asked.device_index, asked.device_name.as_deref())?;
        let index = asked.index.ok_or(PulseError::NoEntity)?;
        let stream = self.records.iter_mut().find(|stream| stream.index == index);
        let stream = stream.ok_or(PulseError::NoEntity)?;
        stream.move_to(source);
        let owner = stream.client;
        let moved = RecordStreamMovedParams {
            stream_index: index,
            device_index: source.index(),
            device_name: info::source_name(source).into(),
            device_suspended: false,
            buffer_attr: info::record_buffer(stream),
            configured_source_latency: micros(BLOCK),
        };
        self.changed(client, number, Facility::SourceOutput, index);
        self.send(owner, u32::MAX, &Command::RecordStreamMoved(moved));
        Ok(())
    }

    fn new_stream(&mut self) -> Result<u32, PulseError> {
        if self.playbacks.len() + self.records.len() >= MOST_STREAMS {
            return Err(self.refuse());
        }
        Ok(self.new_index())
    }
}

/// What a client says of its samples.
struct Wanted<'a> {
    spec: SampleSpec,
    map: ChannelMap,
    /// It offers these, in its order, where it leaves `spec` invalid.
    formats: &'a [FormatInfo],
    flags: &'a StreamFlags,
    volume: Option<ChannelVolume>,
}

impl Wanted<'_> {
    /// What it gets from a device of this kind.
    fn resolve(self, device: &SampleSpec) -> Result<(SampleSpec, ChannelMap, Gain), PulseError> {
        if self.flags.passthrough {
            return Err(PulseError::NotSupported);
        }
        let (mut spec, mut map) = match self.formats {
            [] => (self.spec, self.map),
            formats => formats.iter().find_map(of_format).ok_or(PulseError::NotSupported)?,
        };
        if self.flags.fix_format {
            spec.format = device.format;
        }
        if self.flags.fix_rate {
            spec.sample_rate = device.sample_rate;
        }
        if self.flags.fix_channels {
            spec.channels = device.channels;
            map = default_map(device.channels);
        }
        if !is_supported(&spec) {
            return Err(PulseError::Invalid);
        }
        if map.num_channels() == 0 {
            map = default_map(spec.channels);
        }
        if map.num_channels() != spec.channels {
            return Err(PulseError::Invalid);
        }
        let muted = self.flags.start_muted.unwrap_or(false);
        let mut gain = Gain::new(ChannelVolume::norm(spec.channels), muted);
        if let Some(volume) = self.volume {
            gain.set_volume(&volume).then_some(()).ok_or(PulseError::Invalid)?;
            gain = Gain::new(gain.volume(), muted);
        }
        Ok((spec, map, gain))
    }
}

/// What a format says by its properties, which are JSON values (pulse/format.h); none where it is no PCM that is
/// known.
fn of_format(format: &FormatInfo) -> Option<(SampleSpec, ChannelMap)> {
    if format.encoding != FormatEncoding::Pcm {
        return None;
    }
    let value = |prop: Prop| {
        let value = CStr::from_bytes_with_nul(format.props.get(prop)?).ok()?.to_str().ok()?;
        Some(value.trim_matches('"'))
    };
    let number = |prop: Prop| value(prop).and_then(|value| value.parse::<u32>().ok());
    let wanted = value(Prop::FormatSampleFormat)?;
    let (_, known) = info::FORMATS.iter().find(|(name, _)| *name == wanted)?;
    let channels = u8::try_from(number(Prop::FormatChannels).unwrap_or(CHANNELS as u32)).ok()?;
    let sample_rate = number(Prop::FormatRate).unwrap_or(media::audio::SAMPLE_RATE);
    let spec = SampleSpec { format: *known, channels, sample_rate };
    let map = value(Prop::FormatChannelMap).and_then(info::map_of);
    Some((spec, map.unwrap_or_else(ChannelMap::empty))).filter(|_| *known != SampleFormat::Invalid)
}
