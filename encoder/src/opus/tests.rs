use std::ffi::OsStr;

use super::*;

const BLOCK: usize = 480 * CHANNELS;

/// Block `n` of a tone with a chord above it, the right channel half as loud as the left.
fn music(n: usize) -> Vec<f32> {
    let sample = |at: usize| {
        let seconds = (n * 480 + at) as f32 / SAMPLE_RATE as f32;
        let tone = |hertz: f32| (seconds * hertz * std::f32::consts::TAU).sin();
        0.3 * tone(440.0) + 0.1 * tone(554.4) + 0.05 * tone(3_300.0)
    };
    (0..480).flat_map(|at| [sample(at), 0.5 * sample(at)]).collect()
}

fn encode(encoder: &mut OpusEncoder, block: &[f32]) -> Vec<u8> {
    let mut out = [0; LONGEST];
    let bytes = encoder.encode(block, &mut out).unwrap();
    out[..bytes].to_vec()
}

fn decode(decoder: &mut OpusDecoder, wanted: Wanted<'_>) -> Vec<f32> {
    let mut out = vec![0.0; BLOCK];
    assert_eq!(decoder.decode(wanted, &mut out).unwrap(), 480);
    out
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum()
}

/// How much of a channel is a tone of `hertz`, 0 to about 1 (Goertzel).
fn share_of(samples: &[f32], channel: usize, hertz: f32) -> f32 {
    let step = std::f32::consts::TAU * hertz / SAMPLE_RATE as f32;
    let own: Vec<f32> = samples.iter().skip(channel).step_by(CHANNELS).copied().collect();
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in own.iter().enumerate() {
        re += sample * (step * at as f32).cos();
        im += sample * (step * at as f32).sin();
    }
    2.0 * (re * re + im * im) / (own.len() as f32 * energy(&own))
}

fn opened() -> (OpusEncoder, OpusDecoder) {
    let encoder = OpusEncoder::open(Bitrate::from_kbps(128), Aim::Corrected).unwrap();
    (encoder, OpusDecoder::open().unwrap())
}

#[test]
fn what_is_decoded_sounds_as_what_was_coded() {
    let (mut encoder, mut decoder) = opened();
    let (mut heard, mut bytes) = (Vec::new(), 0);
    for n in 0..100 {
        let packet = encode(&mut encoder, &music(n));
        bytes += packet.len();
        heard.extend(decode(&mut decoder, Wanted::Packet(&packet)));
    }
    let heard = &heard[10 * BLOCK..];
    let meant: Vec<f32> = (10..100).flat_map(music).collect();
    let ratio = energy(heard) / energy(&meant);
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    for channel in 0..CHANNELS {
        assert!(share_of(heard, channel, 440.0) > 0.8, "channel {channel}");
        assert!(share_of(heard, channel, 700.0) < 0.01, "channel {channel}");
    }
    let left: Vec<f32> = heard.iter().step_by(2).copied().collect();
    let right: Vec<f32> = heard.iter().skip(1).step_by(2).copied().collect();
    let quieter = energy(&right) / energy(&left);
    assert!((0.2..0.3).contains(&quieter), "half as loud is a quarter of the energy: {quieter}");
    let kbps = bytes * 8 / 1_000;
    assert!((100..=150).contains(&kbps), "{kbps} kbit/s");
}

#[test]
fn a_lost_packet_is_in_the_one_after_it_where_losses_are_expected() {
    // What a packet says of a block whose like was never heard before can only be in it.
    let recovered = |expected: f64| {
        let (mut encoder, mut decoder) = opened();
        encoder.expect_loss(expected).unwrap();
        let mut packets = Vec::new();
        for n in 0..60 {
            let block = if n == 50 { music(n) } else { vec![1e-4; BLOCK] };
            packets.push(encode(&mut encoder, &block));
        }
        for packet in &packets[..50] {
            decode(&mut decoder, Wanted::Packet(packet));
        }
        energy(&decode(&mut decoder, Wanted::Before(&packets[51])))
    };
    let meant = energy(&music(50));
    assert!(recovered(0.0) < 0.01 * meant, "{} of {meant}", recovered(0.0));
    assert!(recovered(0.05) > 0.2 * meant, "{} of {meant}", recovered(0.05));
}

#[test]
fn expected_losses_are_none_or_enough_to_be_of_use() {
    let (mut encoder, _) = opened();
    let expected = [(0.0, 0), (0.004, 0), (0.01, 9), (0.12, 12), (0.9, 30), (f64::NAN, 0)];
    for (part, percent) in expected {
        assert_eq!(encoder.expect_loss(part), Ok(percent), "{part}");
    }
}

#[test]
fn after_a_packet_of_silence_nothing_is_heard() {
    let (mut encoder, mut decoder) = opened();
    let mut last = Vec::new();
    for n in 0..40 {
        let block = if n < 20 { music(n) } else { vec![0.0; BLOCK] };
        last = encode(&mut encoder, &block);
        decode(&mut decoder, Wanted::Packet(&last));
    }
    let told = [silence_after(&last).unwrap()];
    for _ in 0..5 {
        let heard = decode(&mut decoder, Wanted::Packet(&told));
        assert!(energy(&heard) < 1e-4, "{}", energy(&heard));
    }
    assert_eq!(silence_after(&[]), None);
}

#[test]
fn blocks_of_every_length_that_opus_has_are_coded_and_no_others() {
    let (mut encoder, _) = opened();
    let mut out = [0; LONGEST];
    for samples in [120, 240, 480, 960] {
        assert!(encoder.encode(&vec![0.1; samples * CHANNELS], &mut out).is_ok(), "{samples}");
    }
    let refused = encoder.encode(&[0.1; 100 * CHANNELS], &mut out).unwrap_err();
    assert!(refused.to_string().starts_with("Opus: opus_encode_float failed: "), "{refused}");
}

/// Where what is decoded is most like what was coded, in samples after it.
fn shift(aim: Aim, block: usize) -> usize {
    let mut encoder = OpusEncoder::open(Bitrate::from_kbps(128), aim).unwrap();
    let mut decoder = OpusDecoder::open().unwrap();
    // A sound that is like itself at no other place.
    let mut state = 1_u32;
    let mut low = 0.0_f32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        low += 0.3 * ((state >> 8) as f32 / (1 << 24) as f32 - 0.5 - low);
        low
    };
    let coded: Vec<f32> = (0..48_000).map(|_| noise()).collect();
    let mut heard = Vec::new();
    for samples in coded.chunks_exact(block) {
        let both: Vec<f32> = samples.iter().flat_map(|sample| [*sample; 2]).collect();
        let packet = encode(&mut encoder, &both);
        let mut out = vec![0.0; block * CHANNELS];
        decoder.decode(Wanted::Packet(&packet), &mut out).unwrap();
        heard.extend(out.into_iter().step_by(CHANNELS));
    }
    let like = |shift: usize| -> f32 {
        let pairs = coded[10_000..30_000].iter().zip(&heard[10_000 + shift..]);
        pairs.map(|(coded, heard)| coded * heard).sum()
    };
    let best = (0..600).max_by(|a, b| like(*a).total_cmp(&like(*b))).unwrap();
    assert_eq!(encoder.delay(), time_of(best as u64), "{aim:?}");
    best
}

#[test]
fn what_is_decoded_is_late_by_what_the_encoder_says() {
    assert_eq!(shift(Aim::Corrected, 480), 312);
    assert_eq!(shift(Aim::Prompt, 240), 120);
}

#[test]
fn each_of_six_or_eight_channels_is_heard_where_it_was_played_and_nowhere_else() {
    for layout in [Layout::Surround51, Layout::Surround71] {
        let channels = layout.channels();
        // Low frequencies are coded as such: nothing above some 120 Hz is theirs.
        let hertz = |channel: usize| match channel {
            3 => 50.0,
            other => 300.0 * (other + 1) as f32,
        };
        let bitrate = Bitrate::from_kbps(64 * (channels as u64 - 1));
        let mut encoder = OpusEncoder::of(layout, bitrate, Aim::Prompt).unwrap();
        let mut decoder = OpusDecoder::of(layout).unwrap();
        let (mut heard, mut bytes) = (Vec::new(), 0);
        for n in 0..200 {
            let sample = |at: usize| {
                let seconds = (n * 240 + at / channels) as f32 / SAMPLE_RATE as f32;
                0.2 * (seconds * hertz(at % channels) * std::f32::consts::TAU).sin()
            };
            let block: Vec<f32> = (0..240 * channels).map(sample).collect();
            let packet = encode(&mut encoder, &block);
            bytes += packet.len();
            let mut out = vec![9.0; 240 * channels];
            assert_eq!(decoder.decode(Wanted::Packet(&packet), &mut out), Ok(240));
            heard.extend(out);
        }
        assert_eq!(encoder.delay(), time_of(120), "as for two channels");
        let kbps = (bytes * 8 / 1_000) as u64;
        let aimed = bitrate.kbps();
        assert!((aimed / 2..aimed * 5 / 4).contains(&kbps), "{kbps} kbit/s of {aimed}");
        for channel in 0..channels {
            let own: Vec<f32> = heard.iter().skip(channel).step_by(channels).copied().collect();
            let both: Vec<f32> = own[9_600..].iter().flat_map(|sample| [*sample; 2]).collect();
            for other in 0..channels {
                let share = share_of(&both, 0, hertz(other));
                let wanted = if other == channel { 0.9..1.1 } else { 0.0..0.01 };
                assert!(wanted.contains(&share), "{layout:?}: {other} in {channel}: {share}");
            }
        }
    }
}

#[test]
fn what_is_no_packet_is_refused() {
    let (_, mut decoder) = opened();
    let mut out = vec![0.0; BLOCK];
    // Two frames of different lengths, of which the first has no length.
    assert!(decoder.decode(Wanted::Packet(&[0x02]), &mut out).is_err());
}

#[test]
fn a_library_that_is_not_there_is_named_with_its_package() {
    let error = sys::Library::open(OsStr::new("libnonesuch.so.0")).err().unwrap();
    assert!(error.contains("libnonesuch.so.0") && error.contains("libopus0"), "{error}");
    assert!(version().unwrap().starts_with("libopus "));
}
