//! Properties of elements, set without a panic: GStreamer's own setters panic on a name, a type or a
//! number that the installed version does not know.

use std::ops::RangeInclusive;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

/// The property `name`, where it can be set after the element was made.
fn find(element: &gst::Element, name: &str) -> Result<glib::ParamSpec, String> {
    element
        .find_property(name)
        .filter(|spec| {
            let flags = spec.flags();
            flags.contains(glib::ParamFlags::WRITABLE)
                && !flags.contains(glib::ParamFlags::CONSTRUCT_ONLY)
        })
        .ok_or_else(|| format!("it has no property {name}"))
}

/// Sets a property from the text that `gst-launch-1.0` takes for it.
pub(super) fn set(element: &gst::Element, name: &str, text: &str) -> Result<(), String> {
    let spec = find(element, name)?;
    let value = glib::Value::deserialize_with_pspec(text, &spec)
        .ok()
        .filter(|value| in_range(&spec, value))
        .ok_or_else(|| format!("its property {name} does not take {text}"))?;
    element.set_property_from_value(name, &value);
    Ok(())
}

/// Whether a number lies within what its property takes; anything else has no range.
fn in_range(spec: &glib::ParamSpec, value: &glib::Value) -> bool {
    macro_rules! within {
        ($($spec:ty, $number:ty);*) => {
            $(if let Some(spec) = spec.downcast_ref::<$spec>() {
                let range = spec.minimum()..=spec.maximum();
                return value.get::<$number>().is_ok_and(|number| range.contains(&number));
            })*
        };
    }
    within!(glib::ParamSpecInt, i32; glib::ParamSpecUInt, u32; glib::ParamSpecInt64, i64;
        glib::ParamSpecUInt64, u64; glib::ParamSpecDouble, f64; glib::ParamSpecFloat, f32);
    true
}

/// A property that takes a number, looked up once, so that setting it allocates nothing.
#[derive(Debug)]
pub(super) struct Number {
    name: &'static str,
    range: RangeInclusive<u64>,
    signed: bool,
}

impl Number {
    /// Looks it up.
    pub(super) fn find(element: &gst::Element, name: &'static str) -> Result<Self, String> {
        let spec = find(element, name)?;
        if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
            let range = u64::from(spec.minimum())..=u64::from(spec.maximum());
            return Ok(Self { name, range, signed: false });
        }
        if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
            // No number here is negative.
            let positive = |number: i32| u64::from(number.unsigned_abs()) * u64::from(number > 0);
            let range = positive(spec.minimum())..=positive(spec.maximum());
            return Ok(Self { name, range, signed: true });
        }
        Err(format!("its property {name} is no 32 bit number"))
    }

    /// What is nearest to `value` and not zero, which stands for automatic wherever it is taken.
    pub(super) fn clamp(&self, value: u64) -> u64 {
        value.clamp((*self.range.start()).max(1), *self.range.end())
    }

    /// Sets it to a value that [`clamp`](Self::clamp) yielded.
    pub(super) fn set(&self, element: &gst::Element, value: u64) {
        // The bounds are those of a 32 bit number of this kind.
        if self.signed {
            element.set_property(self.name, value as i32);
        } else {
            element.set_property(self.name, value as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element that every GStreamer has, with properties of every kind.
    fn source() -> gst::Element {
        gst::init().unwrap();
        gst::ElementFactory::make("fakesrc").build().unwrap()
    }

    #[test]
    fn what_is_not_taken_is_named_and_changes_nothing() {
        let source = source();
        assert_eq!(set(&source, "sizemax", "100"), Ok(()));
        for (name, text, reason) in [
            ("no-such", "1", "it has no property no-such"),
            ("sizemax", "-1", "its property sizemax does not take -1"),
            ("sizemax", "many", "its property sizemax does not take many"),
            ("num-buffers", "-2", "its property num-buffers does not take -2"),
            ("sizetype", "none", "its property sizetype does not take none"),
            ("last-message", "a", "it has no property last-message"),
        ] {
            assert_eq!(set(&source, name, text), Err(reason.into()));
        }
        assert_eq!(source.property::<i32>("sizemax"), 100);
    }

    #[test]
    fn numbers_are_held_to_what_the_property_takes() {
        let source = source();
        let number = Number::find(&source, "sizemin").unwrap();
        assert_eq!(number.clamp(u64::MAX), i32::MAX as u64);
        assert_eq!(number.clamp(0), 1);
        number.set(&source, number.clamp(77));
        assert_eq!(source.property::<i32>("sizemin"), 77);
        let unsigned = Number::find(&source, "blocksize").unwrap();
        unsigned.set(&source, unsigned.clamp(u64::MAX));
        assert_eq!(source.property::<u32>("blocksize"), u32::MAX);
        assert!(Number::find(&source, "silent").is_err() && Number::find(&source, "no").is_err());
    }
}
