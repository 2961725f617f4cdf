//! How an element is told of bit rates.

use gstreamer as gst;
use media::{Bitrate, FrameRate};

use super::properties::{self, Number};
use super::table::Knob;

/// The knob of an element that is running.
///
/// A new frame rate in the caps would start most elements anew and cost a keyframe. Rate control
/// budgets bits for a frame (bit rate / declared frame rate), so the same budget is set through the bit
/// rate, and a VBV that is given as time stays at one frame by that.
#[derive(Debug)]
pub(super) struct RateControl {
    knob: &'static Knob,
    number: Option<Number>,
    /// What is set to the same number.
    most: Option<Number>,
    /// The frame rate that the element was told.
    declared: FrameRate,
    /// What it was set to, in the knob's unit.
    set: Option<u64>,
}

impl RateControl {
    /// Looks up the properties of an element whose input is declared at this frame rate.
    pub(super) fn find(
        knob: &'static Knob,
        element: &gst::Element,
        declared: FrameRate,
    ) -> Result<Self, String> {
        let number = match knob {
            Knob::Kilobits(name)
            | Knob::Bits(name)
            | Knob::AtMost { bitrate: name, .. }
            | Knob::WithVbvOptions { bitrate: name, .. } => Some(Number::find(element, name)?),
            Knob::Control { .. } => None,
        };
        let most = match knob {
            Knob::AtMost { most, .. } => Some(Number::find(element, most)?),
            _ => None,
        };
        Ok(Self { knob, number, most, declared, set: None })
    }

    pub(super) fn declared(&self) -> FrameRate {
        self.declared
    }

    /// The value, in the knob's unit, that gives frames of the declared rate the budget that they have
    /// at `bitrate` and `rate`.
    fn value(&self, bitrate: Bitrate, rate: FrameRate) -> u64 {
        let budget = bitrate.scaled(self.declared.as_f64() / rate.as_f64());
        let value = match self.knob {
            Knob::Kilobits(_) | Knob::AtMost { .. } | Knob::WithVbvOptions { .. } => budget.kbps(),
            Knob::Bits(_) | Knob::Control { .. } => budget.bps(),
        };
        // V4L2's controls are signed and of 32 bits.
        let [number, most] = [&self.number, &self.most].map(Option::as_ref);
        let value = number.map_or(value.clamp(1, i32::MAX as u64), |number| number.clamp(value));
        // Clamped by both, so that they stay the same.
        most.map_or(value, |most| most.clamp(value))
    }

    /// Whether the element has to be told.
    pub(super) fn differs(&self, bitrate: Bitrate, rate: FrameRate) -> bool {
        self.set != Some(self.value(bitrate, rate))
    }

    /// Tells it, from the next picture on.
    pub(super) fn set(
        &mut self,
        element: &gst::Element,
        bitrate: Bitrate,
        rate: FrameRate,
    ) -> Result<(), String> {
        let value = self.value(bitrate, rate);
        match self.knob {
            Knob::Kilobits(_) | Knob::AtMost { .. } | Knob::Bits(_) => {}
            Knob::WithVbvOptions { options, fixed, .. } => {
                let buffer = (2.0 * value as f64 / self.declared.as_f64()).ceil();
                let text = format!("{fixed}:vbv-maxrate={value}:vbv-bufsize={buffer}");
                properties::set(element, options, &text)?;
            }
            Knob::Control { field, fixed } => {
                let text = format!("controls,{fixed},{field}={value}");
                properties::set(element, "extra-controls", &text)?;
            }
        }
        for number in self.number.iter().chain(&self.most) {
            number.set(element, value);
        }
        self.set = Some(value);
        Ok(())
    }
}

/// The time of one frame in milliseconds, rounded up: less than a frame a VBV must not hold.
pub(super) fn one_frame_in_millis(rate: FrameRate) -> u32 {
    let (numerator, denominator) = rate.fraction();
    let millis = (u64::from(denominator) * 1_000).div_ceil(u64::from(numerator));
    millis.clamp(1, 10_000) as u32
}

#[cfg(test)]
mod tests {
    use gstreamer::prelude::*;

    use super::*;

    /// `blocksize` takes 32 bits without sign: as good as any other number.
    fn control(knob: &'static Knob) -> (gst::Element, RateControl) {
        gst::init().unwrap();
        let element = gst::ElementFactory::make("fakesrc").build().unwrap();
        let control = RateControl::find(knob, &element, FrameRate::fps(60)).unwrap();
        (element, control)
    }

    #[test]
    fn a_frame_keeps_its_budget_at_another_frame_rate() {
        let (element, mut kilobits) = control(&Knob::Kilobits("blocksize"));
        let (_, bits) = control(&Knob::Bits("blocksize"));
        let six = Bitrate::from_mbps(6);
        assert_eq!(kilobits.value(six, FrameRate::fps(60)), 6_000);
        assert_eq!(kilobits.value(six, FrameRate::fps(30)), 12_000);
        assert_eq!(bits.value(six, FrameRate::fps(120)), 3_000_000);
        assert_eq!(kilobits.value(Bitrate::from_bps(0), FrameRate::fps(60)), 1);
        let huge = Bitrate::from_mbps(u64::MAX / 1_000_000);
        assert_eq!(bits.value(huge, FrameRate::fps(60)), u64::from(u32::MAX));
        kilobits.set(&element, six, FrameRate::fps(30)).unwrap();
        assert_eq!(element.property::<u32>("blocksize"), 12_000);
        assert!(!kilobits.differs(Bitrate::from_mbps(12), FrameRate::fps(60)));
        assert!(kilobits.differs(six, FrameRate::fps(60)));
    }

    /// As `svtav1enc` has them: a most that differs makes it refuse to start.
    #[test]
    fn the_most_is_the_bit_rate_itself() {
        let (element, mut control) =
            control(&Knob::AtMost { bitrate: "blocksize", most: "sizemax" });
        for mbps in [6, 3, u64::MAX / 1_000_000] {
            control.set(&element, Bitrate::from_mbps(mbps), FrameRate::fps(60)).unwrap();
            let most = element.property::<i32>("sizemax");
            assert_eq!(i64::from(most), i64::from(element.property::<u32>("blocksize")));
            assert_eq!(most, (mbps * 1_000).min(i32::MAX as u64) as i32);
        }
        let row = super::super::table::ROWS.iter().find(|row| row.element == "svtav1enc").unwrap();
        assert!(matches!(row.rate.knob, Knob::AtMost { most: "max-bitrate", .. }));
    }

    /// `v4l2src` has the property of V4L2's encoders, and is there without a device.
    #[test]
    fn a_new_bit_rate_leaves_the_other_controls_as_they_are() {
        gst::init().unwrap();
        let element = gst::ElementFactory::make("v4l2src").build().unwrap();
        let row = super::super::table::ROWS.iter().find(|row| row.element == "v4l2h264enc");
        let knob = &row.unwrap().rate.knob;
        let mut control = RateControl::find(knob, &element, FrameRate::fps(60)).unwrap();
        for mbps in [6, 3] {
            control.set(&element, Bitrate::from_mbps(mbps), FrameRate::fps(60)).unwrap();
            let controls = element.property::<gst::Structure>("extra-controls");
            let number = |name: &str| controls.get::<i32>(name).unwrap();
            assert_eq!(number("video_bitrate"), mbps as i32 * 1_000_000);
            assert_eq!(number("repeat_sequence_header"), 1);
            assert_eq!(number("video_gop_size"), i32::MAX);
            assert_eq!(number("video_b_frames"), 0);
        }
    }

    #[test]
    fn the_vbv_is_never_below_one_frame() {
        assert_eq!(one_frame_in_millis(FrameRate::fps(60)), 17);
        assert_eq!(one_frame_in_millis(FrameRate::fps(30)), 34);
        assert_eq!(one_frame_in_millis(FrameRate::fps(1_000_000)), 1);
        assert_eq!(FrameRate::new(60_000, 1_001).map(one_frame_in_millis), Some(17));
    }
}
