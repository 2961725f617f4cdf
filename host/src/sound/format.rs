//! Formats of samples, from and to `f32` between -1 and 1.

use pulseaudio::protocol::{SampleFormat, SampleSpec};

/// Samples a second that are taken.
pub(super) const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;
/// Channels that a stream may have.
pub(super) const MOST_CHANNELS: u8 = 8;
/// Floats beyond this are garbage; sums of them are to stay finite.
const LOUDEST: f32 = 16.0;

/// Whether streams of this kind are taken.
pub(super) fn is_supported(spec: &SampleSpec) -> bool {
    spec.format != SampleFormat::Invalid
        && (1..=MOST_CHANNELS).contains(&spec.channels)
        && RATES.contains(&spec.sample_rate)
}

/// Bytes of one sample of each channel.
pub(super) fn frame_bytes(spec: &SampleSpec) -> usize {
    spec.format.bytes_per_sample() * usize::from(spec.channels)
}

/// Reads samples, as many as `out` has or `bytes` holds.
pub(super) fn decode(format: SampleFormat, bytes: &[u8], out: &mut [f32]) {
    use SampleFormat as F;
    match format {
        F::U8 => each(bytes, out, |[byte]| (f32::from(byte) - 128.0) / 128.0),
        F::Alaw => each(bytes, out, |[byte]| f32::from(from_alaw(byte)) / 32_768.0),
        F::Ulaw => each(bytes, out, |[byte]| f32::from(from_ulaw(byte)) / 32_768.0),
        F::S16Le => each(bytes, out, |bytes| f32::from(i16::from_le_bytes(bytes)) / 32_768.0),
        F::S16Be => each(bytes, out, |bytes| f32::from(i16::from_be_bytes(bytes)) / 32_768.0),
        F::Float32Le => each(bytes, out, |bytes| bounded(f32::from_le_bytes(bytes))),
        F::Float32Be => each(bytes, out, |bytes| bounded(f32::from_be_bytes(bytes))),
        F::S32Le => each(bytes, out, |bytes| from_i32(i32::from_le_bytes(bytes))),
        F::S32Be => each(bytes, out, |bytes| from_i32(i32::from_be_bytes(bytes))),
        F::S24Le => each(bytes, out, |[a, b, c]| from_i32(i32::from_le_bytes([0, a, b, c]))),
        F::S24Be => each(bytes, out, |[a, b, c]| from_i32(i32::from_be_bytes([a, b, c, 0]))),
        // The top byte is not used.
        F::S24In32Le => each(bytes, out, |[a, b, c, _]| from_i32(i32::from_le_bytes([0, a, b, c]))),
        F::S24In32Be => each(bytes, out, |[_, a, b, c]| from_i32(i32::from_be_bytes([a, b, c, 0]))),
        F::Invalid => out.fill(0.0),
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], read: impl Fn([u8; N]) -> f32) {
    for (bytes, out) in bytes.as_chunks().0.iter().zip(out) {
        *out = read(*bytes);
    }
}

fn bounded(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-LOUDEST, LOUDEST) } else { 0.0 }
}

fn from_i32(sample: i32) -> f32 {
    sample as f32 / 2_147_483_648.0
}

/// Appends samples; what is beyond the range is clipped.
pub(super) fn encode(format: SampleFormat, samples: &[f32], out: &mut Vec<u8>) {
    use SampleFormat as F;
    // The conversion of `as` saturates.
    let int = |sample: &f32, bits: u32| (f64::from(*sample) * 2_f64.powi(bits as i32 - 1)).round();
    let i16 = |sample: &f32| int(sample, 16) as i16;
    let i32 = |sample: &f32| int(sample, 32) as i32;
    let i24 = |sample: &f32| (int(sample, 24) as i32).clamp(-0x80_0000, 0x7f_ffff);
    for sample in samples {
        match format {
            F::U8 => out.push((int(sample, 8) + 128.0) as u8),
            F::Alaw => out.push(to_alaw(i16(sample))),
            F::Ulaw => out.push(to_ulaw(i16(sample))),
            F::S16Le => out.extend(i16(sample).to_le_bytes()),
            F::S16Be => out.extend(i16(sample).to_be_bytes()),
            F::Float32Le => out.extend(sample.to_le_bytes()),
            F::Float32Be => out.extend(sample.to_be_bytes()),
            F::S32Le => out.extend(i32(sample).to_le_bytes()),
            F::S32Be => out.extend(i32(sample).to_be_bytes()),
            F::S24Le => out.extend(&i24(sample).to_le_bytes()[..3]),
            F::S24Be => out.extend(&i24(sample).to_be_bytes()[1..]),
            F::S24In32Le => out.extend((i24(sample) & 0xff_ffff).to_le_bytes()),
            F::S24In32Be => out.extend((i24(sample) & 0xff_ffff).to_be_bytes()),
            F::Invalid => {}
        }
    }
}

/// ITU-T G.711 §3, table 1: even bits are inverted.
fn from_alaw(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = ((byte >> 4) & 7, i16::from(byte & 15));
    let level = match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    if byte & 0x80 != 0 { level } else { -level }
}

/// The code in whose step the level lies.
fn to_alaw(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let level = sample.unsigned_abs().min(0x7fff);
    let exponent = match level {
        0..0x100 => 0,
        _ => 8 - (level.leading_zeros() as u16),
    };
    let mantissa = match exponent {
        0 => level >> 4,
        _ => (level >> (exponent + 3)) & 15,
    };
    (sign | (exponent << 4) as u8 | mantissa as u8) ^ 0x55
}

/// ITU-T G.711 §3, table 2: all bits are inverted, levels are biased by 33 steps of 4.
fn from_ulaw(byte: u8) -> i16 {
    let byte = !byte;
    let (exponent, mantissa) = ((byte >> 4) & 7, i16::from(byte & 15));
    let level = (((mantissa << 3) + 0x84) << exponent) - 0x84;
    if byte & 0x80 == 0 { level } else { -level }
}

fn to_ulaw(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0 } else { 0x80 };
    let level = sample.unsigned_abs().min(0x7fff - 0x84) + 0x84;
    let exponent = 8 - level.leading_zeros() as u16;
    let mantissa = (level >> (exponent + 3)) & 15;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: [SampleFormat; 11] = [
        SampleFormat::U8,
        SampleFormat::S16Le,
        SampleFormat::S16Be,
        SampleFormat::Float32Le,
        SampleFormat::Float32Be,
        SampleFormat::S32Le,
        SampleFormat::S32Be,
        SampleFormat::S24Le,
        SampleFormat::S24Be,
        SampleFormat::S24In32Le,
        SampleFormat::S24In32Be,
    ];

    fn there_and_back(format: SampleFormat, samples: &[f32]) -> Vec<f32> {
        let (mut bytes, mut out) = (Vec::new(), vec![9.0; samples.len()]);
        encode(format, samples, &mut bytes);
        assert_eq!(bytes.len(), samples.len() * format.bytes_per_sample());
        decode(format, &bytes, &mut out);
        out
    }

    #[test]
    fn samples_come_back_as_they_went() {
        let samples = [-1.0, -0.5, -0.125, 0.0, 0.125, 0.5, 0.75];
        for format in LINEAR {
            assert_eq!(there_and_back(format, &samples), samples, "{format:?}");
        }
    }

    #[test]
    fn what_is_too_loud_is_clipped() {
        for format in LINEAR {
            let back = there_and_back(format, &[2.0, -2.0]);
            let float = matches!(format, SampleFormat::Float32Le | SampleFormat::Float32Be);
            let (most, least) = if float { (2.0, -2.0) } else { (1.0, -1.0) };
            assert!((back[0] - most).abs() < 0.01 && back[1] == least, "{format:?}: {back:?}");
        }
    }

    #[test]
    fn bytes_mean_what_the_standards_say() {
        let read = |format, bytes: &[u8]| {
            let mut out = [0.0];
            decode(format, bytes, &mut out);
            out[0]
        };
        assert_eq!(read(SampleFormat::S16Le, &[0x00, 0x40]), 0.5);
        assert_eq!(read(SampleFormat::S24In32Be, &[0xee, 0xc0, 0, 0]), -0.5);
        assert_eq!(read(SampleFormat::U8, &[0]), -1.0);
        // G.711: the codes of the loudest level and of the quietest.
        assert_eq!(read(SampleFormat::Ulaw, &[0x80]), 32_124.0 / 32_768.0);
        assert_eq!(read(SampleFormat::Ulaw, &[0xff]), 0.0);
        assert_eq!(read(SampleFormat::Alaw, &[0xaa]), 32_256.0 / 32_768.0);
        assert_eq!(read(SampleFormat::Alaw, &[0xd5]), 8.0 / 32_768.0);
    }

    #[test]
    fn every_code_of_the_laws_comes_back() {
        for code in 0..=u8::MAX {
            assert_eq!(from_alaw(to_alaw(from_alaw(code))), from_alaw(code), "A {code:#x}");
            assert_eq!(from_ulaw(to_ulaw(from_ulaw(code))), from_ulaw(code), "µ {code:#x}");
        }
        // Steps grow with the level: an error is at most half of the step, and that a 32nd of the level.
        for sample in i16::MIN..=i16::MAX {
            let bound = (i32::from(sample).abs() / 31).max(16) + 4;
            for back in [from_alaw(to_alaw(sample)), from_ulaw(to_ulaw(sample))] {
                let clipped = i32::from(sample).clamp(-32_256, 32_256);
                let error = (i32::from(back) - clipped).abs();
                assert!(error <= bound, "{sample} came back as {back}");
            }
        }
    }

    #[test]
    fn garbage_floats_stay_finite() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            let back = there_and_back(SampleFormat::Float32Le, &[bad]);
            assert!(back[0].is_finite() && back[0].abs() <= LOUDEST);
        }
    }
}
