//! A verdict as text: a line of the process that probes, and a line of the cache.

use serde::{Deserialize, Serialize};

use crate::choice::Outcome;

/// What came of one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// A line of the process that probes before the first verdict on an element of GStreamer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ready {
    /// GStreamer is initialised, or cannot be, which each of its elements then says.
    #[serde(rename = "gstreamer")]
    GStreamer,
}

/// Layouts by their names.
pub(crate) mod formats {
    use media::PixelFormat;
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;
    use smallvec::SmallVec;

    const ALL: [PixelFormat; 6] = [
        PixelFormat::Nv12,
        PixelFormat::P010,
        PixelFormat::Yuv444,
        PixelFormat::Yuv444P16,
        PixelFormat::Bgrx8,
        PixelFormat::Rgba8,
    ];

    const fn name(format: PixelFormat) -> &'static str {
        match format {
            PixelFormat::Nv12 => "nv12",
            PixelFormat::P010 => "p010",
            PixelFormat::Yuv444 => "yuv444",
            PixelFormat::Yuv444P16 => "yuv444p16",
            PixelFormat::Bgrx8 => "bgrx8",
            PixelFormat::Rgba8 => "rgba8",
        }
    }

    /// Writes them.
    pub(crate) fn serialize<S: Serializer>(
        formats: &SmallVec<[PixelFormat; 4]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(formats.iter().map(|format| name(*format)))
    }

    /// Reads them.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SmallVec<[PixelFormat; 4]>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let format = |text: &String| {
            let known = ALL.into_iter().find(|format| name(*format) == text);
            known.ok_or_else(|| D::Error::custom("an unknown layout"))
        };
        names.iter().map(format).collect()
    }
}

#[cfg(test)]
mod tests {
    use media::{PixelFormat, Restarts, Size};
    use smallvec::smallvec;

    use super::*;
    use crate::choice::{Accepts, Cost};

    fn row(outcome: Outcome) -> Row {
        Row { name: "gst-x264enc".into(), outcome }
    }

    #[test]
    fn every_outcome_survives_the_way_through_text() {
        let accepts = Accepts {
            formats: smallvec![
                PixelFormat::Nv12,
                PixelFormat::P010,
                PixelFormat::Yuv444,
                PixelFormat::Yuv444P16,
                PixelFormat::Bgrx8,
                PixelFormat::Rgba8
            ],
            smallest: Size::new(2, 2),
            largest: Size::new(u32::MAX, 4_096),
            waves: true,
            restarts: Restarts { rate: true, keyframe: false },
        };
        let cost = Cost { micros_per_megapixel: 4_321, ten_bits: None };
        let wide = Cost { ten_bits: Some(8_765), ..cost };
        for outcome in [
            Outcome::Works { cost: wide, accepts: accepts.clone() },
            Outcome::Works { cost, accepts },
            Outcome::Declined { reason: "missing: \"x\"\n\u{1b}[31m".into() },
            Outcome::Unanswered { reason: "crashed (signal 11)".into() },
            Outcome::Busy { reason: "busy: all are taken".into() },
            Outcome::Failed { reason: "failed: no memory".into() },
        ] {
            let text = serde_json::to_string(&row(outcome.clone())).unwrap();
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row(outcome));
        }
    }

    #[test]
    fn what_is_no_verdict_is_refused() {
        for text in [
            "",
            "{}",
            "null",
            r#"{"name":"x"}"#,
            r#"{"name":"x","outcome":"untried"}"#,
            r#"{"name":"x","outcome":{"works":{}}}"#,
            r#"{"name":"x","outcome":{"declined":{"reason":"y"}},"more":1}"#,
            r#"{"name":"x","outcome":{"declined":{"reason":"y","more":1}}}"#,
            r#"{"name":"x","outcome":{"works":{"cost":{"micros_per_megapixel":-1},"accepts":{"formats":["nv12"],"smallest":{"width":2,"height":2},"largest":{"width":2,"height":2},"waves":false,"restarts":{"rate":false,"keyframe":false}}}}}"#,
            r#"{"name":"x","outcome":{"works":{"cost":{"micros_per_megapixel":1},"accepts":{"formats":["nv12"],"smallest":{"width":2,"height":2},"largest":{"width":2,"height":2},"waves":false}}}}"#,
            r#"{"name":"x","outcome":{"works":{"cost":{"micros_per_megapixel":1},"accepts":{"formats":["nv13"],"smallest":{"width":2,"height":2},"largest":{"width":2,"height":2},"waves":false,"restarts":{"rate":false,"keyframe":false}}}}}"#,
        ] {
            assert!(serde_json::from_str::<Row>(text).is_err(), "{text}");
        }
    }
}
