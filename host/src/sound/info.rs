//! What the server says of itself, its devices and its streams.

use std::ffi::{CStr, CString};

use media::audio::SAMPLE_RATE;
use media::{Layout, MediaTime};
use pulseaudio::protocol::stream::BufferAttr;
use pulseaudio::protocol::{
    ChannelMap, ChannelPosition, ChannelVolume, ClientInfo, DEFAULT_SINK, DEFAULT_SOURCE,
    FormatEncoding, FormatInfo, Prop, Props, PulseError, SampleFormat, SampleSpec, ServerInfo,
    SinkFlags, SinkInfo, SinkInputInfo, SinkState, SourceFlags, SourceInfo, SourceOutputInfo,
    SourceState, Volume,
};

use super::channels::default_map;
use super::commands::micros;
use super::hub::{Client, Hub};
use super::playback::Playback;
use super::queue::BLOCK;
use super::record::{Record, Source};

/// The only sink.
pub(super) const SINK: u32 = 0;
/// Its name.
pub(super) const SINK_NAME: &CStr = c"nearlight";
const DRIVER: &CStr = c"nearlight";
const MONITOR: &CStr = c"@DEFAULT_MONITOR@";

/// Names of formats as `pa_sample_format_to_string` gives them.
pub(super) const FORMATS: [(&str, SampleFormat); 13] = [
    ("u8", SampleFormat::U8),
    ("aLaw", SampleFormat::Alaw),
    ("uLaw", SampleFormat::Ulaw),
    ("s16le", SampleFormat::S16Le),
    ("s16be", SampleFormat::S16Be),
    ("float32le", SampleFormat::Float32Le),
    ("float32be", SampleFormat::Float32Be),
    ("s32le", SampleFormat::S32Le),
    ("s32be", SampleFormat::S32Be),
    ("s24le", SampleFormat::S24Le),
    ("s24be", SampleFormat::S24Be),
    ("s24-32le", SampleFormat::S24In32Le),
    ("s24-32be", SampleFormat::S24In32Be),
];

/// Names of places as `pa_channel_position_to_string` gives them.
const PLACES: [(&str, ChannelPosition); 12] = [
    ("mono", ChannelPosition::Mono),
    ("front-left", ChannelPosition::FrontLeft),
    ("front-right", ChannelPosition::FrontRight),
    ("front-center", ChannelPosition::FrontCenter),
    ("rear-center", ChannelPosition::RearCenter),
    ("rear-left", ChannelPosition::RearLeft),
    ("rear-right", ChannelPosition::RearRight),
    ("lfe", ChannelPosition::Lfe),
    ("front-left-of-center", ChannelPosition::FrontLeftOfCenter),
    ("front-right-of-center", ChannelPosition::FrontRightOfCenter),
    ("side-left", ChannelPosition::SideLeft),
    ("side-right", ChannelPosition::SideRight),
];

/// A map by the names of its places; none where one is not known.
pub(super) fn map_of(names: &str) -> Option<ChannelMap> {
    let place =
        |name: &str| PLACES.iter().find(|(known, _)| *known == name).map(|(_, place)| *place);
    let places = names.split(',').map(place).collect::<Option<Vec<_>>>()?;
    (places.len() <= usize::from(super::format::MOST_CHANNELS)).then(|| ChannelMap::new(places))
}

/// Of a device.
pub(super) fn spec(channels: u8) -> SampleSpec {
    SampleSpec { format: SampleFormat::Float32Le, channels, sample_rate: SAMPLE_RATE }
}

/// The sink of this index or name; without either, the default.
pub(super) fn find_sink(index: Option<u32>, name: Option<&CStr>) -> Result<(), PulseError> {
    let found = match (index, name) {
        (Some(index), _) => index == SINK,
        (None, Some(name)) => name == SINK_NAME || name == DEFAULT_SINK || name.is_empty(),
        (None, None) => true,
    };
    found.then_some(()).ok_or(PulseError::NoEntity)
}

/// The source of this index or name; without either, the default.
pub(super) fn find_source(index: Option<u32>, name: Option<&CStr>) -> Result<Source, PulseError> {
    let of = |source: &Source| match (index, name) {
        (Some(index), _) => source.index() == index,
        (None, Some(name)) if name == MONITOR => *source == Source::Monitor,
        (None, Some(name)) if name == DEFAULT_SOURCE || name.is_empty() => true,
        (None, Some(name)) => source_name(*source) == name,
        (None, None) => true,
    };
    // The microphone is the first.
    Source::ALL.into_iter().find(of).ok_or(PulseError::NoEntity)
}

pub(super) fn source_name(source: Source) -> &'static CStr {
    match source {
        Source::Microphone => c"nearlight.microphone",
        Source::Monitor => c"nearlight.monitor",
    }
}

/// A format as clients of version 21 and later are told.
pub(super) fn format(spec: &SampleSpec, map: &ChannelMap) -> FormatInfo {
    let mut format = FormatInfo::new(FormatEncoding::Pcm);
    let mut set = |prop, value: String| {
        // None of them holds a zero byte.
        format.props.set(prop, CString::new(value).unwrap_or_default());
    };
    if let Some((name, _)) = FORMATS.iter().find(|(_, format)| *format == spec.format) {
        set(Prop::FormatSampleFormat, format!("\"{name}\""));
    }
    set(Prop::FormatRate, spec.sample_rate.to_string());
    set(Prop::FormatChannels, spec.channels.to_string());
    let name = |place: ChannelPosition| PLACES.iter().find(|(_, known)| *known == place);
    let names: Option<Vec<_>> =
        map.into_iter().map(|place| name(place).map(|(name, _)| *name)).collect();
    if let Some(names) = names {
        set(Prop::FormatChannelMap, format!("\"{}\"", names.join(",")));
    }
    format
}

/// Properties that hold a name.
pub(super) fn named(name: &CStr) -> Props {
    let mut props = Props::new();
    props.set(Prop::MediaName, name);
    props
}

fn text(props: &Props, prop: Prop) -> CString {
    let value = props.get(prop).and_then(|value| CStr::from_bytes_with_nul(value).ok());
    value.unwrap_or_default().into()
}

pub(super) fn server(layout: Layout) -> ServerInfo {
    let channels = layout.channels() as u8;
    ServerInfo {
        server_name: Some(c"nearlight".into()),
        // Clients that read it look for PulseAudio's, whose protocol this is.
        server_version: Some(c"16.1".into()),
        user_name: Some(c"player".into()),
        host_name: Some(c"nearlight".into()),
        sample_spec: spec(channels),
        cookie: 0,
        default_sink_name: Some(SINK_NAME.into()),
        default_source_name: Some(source_name(Source::Microphone).into()),
        channel_map: default_map(channels),
    }
}

pub(super) fn sink(hub: &Hub, now: MediaTime) -> SinkInfo {
    let plays = hub.playbacks.iter().any(|stream| !stream.corked);
    let channels = hub.sink.layout().channels() as u8;
    let (spec, map) = (spec(channels), default_map(channels));
    SinkInfo {
        index: SINK,
        name: SINK_NAME.into(),
        description: Some(c"Nearlight".into()),
        state: if plays { SinkState::Running } else { SinkState::Idle },
        sample_spec: spec,
        channel_map: map,
        cvolume: hub.sink.volume(),
        muted: hub.sink.is_muted(),
        monitor_source_index: Some(Source::Monitor.index()),
        monitor_source_name: Some(source_name(Source::Monitor).into()),
        flags: SinkFlags::LATENCY | SinkFlags::DECIBEL_VOLUME,
        actual_latency: micros(hub.ahead(now)),
        configured_latency: micros(BLOCK),
        driver: Some(DRIVER.into()),
        base_volume: Volume::NORM,
        volume_steps: Some(Volume::NORM.as_u32() + 1),
        formats: vec![format(&spec, &map)],
        ..SinkInfo::default()
    }
}

pub(super) fn source(hub: &Hub, source: Source) -> SourceInfo {
    let mut recorded = hub.records.iter().filter(|stream| stream.source == source);
    let is_monitor = source == Source::Monitor;
    let channels = source.channels(hub.sink.layout());
    let (spec, map) = (spec(channels), default_map(channels));
    SourceInfo {
        index: source.index(),
        name: source_name(source).into(),
        description: Some(match source {
            Source::Microphone => c"Microphone of the player".into(),
            Source::Monitor => c"Monitor of Nearlight".into(),
        }),
        state: match recorded.any(|stream| !stream.corked) {
            true => SourceState::Running,
            false => SourceState::Idle,
        },
        sample_spec: spec,
        channel_map: map,
        cvolume: ChannelVolume::norm(channels),
        base_volume: Volume::NORM,
        volume_steps: Some(Volume::NORM.as_u32() + 1),
        monitor_of_sink_index: is_monitor.then_some(SINK),
        monitor_of_sink_name: is_monitor.then(|| SINK_NAME.into()),
        flags: SourceFlags::LATENCY | SourceFlags::DECIBEL_VOLUME,
        configured_latency: micros(BLOCK),
        driver: Some(DRIVER.into()),
        formats: vec![format(&spec, &map)],
        ..SourceInfo::default()
    }
}

pub(super) fn client(client: &Client) -> ClientInfo {
    ClientInfo {
        index: client.index,
        name: text(&client.props, Prop::ApplicationName),
        driver: Some(DRIVER.into()),
        props: client.props.clone(),
        ..ClientInfo::default()
    }
}

pub(super) fn sink_input(stream: &Playback) -> SinkInputInfo {
    SinkInputInfo {
        index: stream.index,
        name: text(&stream.props, Prop::MediaName),
        client_index: Some(stream.client),
        sink_index: SINK,
        sample_spec: stream.spec,
        channel_map: stream.map,
        cvolume: stream.gain.volume(),
        buffer_latency: micros(stream.buffered()),
        sink_latency: micros(BLOCK),
        driver: Some(DRIVER.into()),
        props: stream.props.clone(),
        muted: stream.gain.is_muted(),
        corked: stream.corked,
        has_volume: true,
        volume_writable: true,
        format: format(&stream.spec, &stream.map),
        ..SinkInputInfo::default()
    }
}

pub(super) fn source_output(stream: &Record) -> SourceOutputInfo {
    SourceOutputInfo {
        index: stream.index,
        name: text(&stream.props, Prop::MediaName),
        client_index: Some(stream.client),
        source_index: stream.source.index(),
        sample_spec: stream.spec,
        channel_map: stream.map,
        cvolume: stream.gain.volume(),
        buffer_latency: micros(stream.buffered()),
        source_latency: micros(BLOCK),
        driver: Some(DRIVER.into()),
        props: stream.props.clone(),
        muted: stream.gain.is_muted(),
        corked: stream.corked,
        has_volume: true,
        volume_writable: true,
        format: format(&stream.spec, &stream.map),
        ..SourceOutputInfo::default()
    }
}

/// What a client was promised of a recording.
pub(super) fn record_buffer(stream: &Record) -> BufferAttr {
    let fragment_size = stream.fragment as u32;
    BufferAttr {
        max_length: super::queue::MOST_QUEUED as u32,
        fragment_size,
        ..BufferAttr::default()
    }
}
