//! The pictures of a captured display: converted on the processor, or on a graphics device where their encoder reads them
//! there.
//!
//! ```text
//!            ┌─ Elsewhere, scaled, or no device ─▶ Ring: rows as they come ──────────┐
//!  begin ────┤                                                                       ├─▶ complete
//!            └─ Free ─▶ Convert: all at once; what fails is done by the ring ────────┘
//! ```
//! Each of both knows what changed since it was used last. They round otherwise, and site chroma otherwise: where a picture
//! comes from the other one than the picture before it, it is not known what changed.

use media::{Clock, Convert, Damage, FrameImage, Rect, Room, Size};

use super::ring::{Captured, Ring};

/// Pixels to the right of a change whose chroma on the device has it in.
const REACH: u32 = 2;

/// See the module.
pub(super) struct Pictures {
    ring: Ring,
    device: Option<Device>,
    /// Whether the newest was made on the device; none before the first.
    newest: Option<bool>,
}

struct Device {
    convert: Box<dyn Convert>,
    /// What changed since the last picture that it was given.
    lacks: Damage,
}

/// A picture that is being made.
pub(super) enum Making {
    /// On the processor.
    Here(Captured),
    /// On the device, which has room for it.
    There,
}

/// A picture, and what is different in it.
pub(super) type Made = (Box<dyn FrameImage>, Damage);

impl Pictures {
    /// Of pictures as large as what they are filled from, which has this size.
    pub(super) fn new(whole: Size) -> Self {
        Self { ring: Ring::new(whole), device: None, newest: None }
    }

    /// They are converted by this from now on, where it has any use.
    pub(super) fn convert_by(&mut self, convert: Box<dyn Convert>) {
        self.device = Some(Device { convert, lacks: Damage::Unknown });
    }

    /// Their size.
    pub(super) fn size(&self) -> Size {
        self.ring.size()
    }

    /// Says that this changed in what they are filled from.
    pub(super) fn changed(&mut self, damage: &Damage) {
        self.ring.changed(damage);
        if let Some(device) = &mut self.device {
            device.lacks.merge(damage);
        }
    }

    /// As [`Ring::resized`].
    pub(super) fn resized(&mut self, whole: Size) {
        self.ring.resized(whole);
        if let Some(device) = &mut self.device {
            device.lacks = Damage::Unknown;
        }
    }

    /// As [`Ring::scale_to`].
    pub(super) fn scale_to(&mut self, size: Size) -> bool {
        self.ring.scale_to(size)
    }

    /// Begins a picture, for an encoder that reads it in shared memory or not; `None` when all are out.
    pub(super) fn begin(&mut self, share: bool) -> Option<Making> {
        // What is scaled is scaled on its way, row by row, with a better filter than the device's.
        if let (Some(device), Some(size)) = (&mut self.device, self.ring.unscaled()) {
            match device.convert.begin(size, share) {
                Ok(Room::Free) => return Some(Making::There),
                Ok(Room::Full) => return None,
                Ok(Room::Elsewhere) => {}
                Err(reason) => self.give_up(&reason),
            }
        }
        self.ring.take().map(Making::Here)
    }

    /// As [`Ring::fill`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn fill(&mut self, picture: &mut Making, bgrx: &[u8]) -> Result<(), String> {
        match picture {
            Making::Here(picture) => self.ring.fill(picture, bgrx),
            Making::There => Ok(()),
        }
    }

    /// Ends a picture with all of what it is filled from, in which this is different from the picture before. `None` where
    /// the device failed, and all others are out: what was different is not told then.
    ///
    /// # Errors
    /// As [`Ring::fill`].
    pub(super) fn complete(
        &mut self,
        picture: Making,
        bgrx: &[u8],
        damage: &Damage,
        clock: &dyn Clock,
    ) -> Result<Option<Made>, String> {
        let picture = match picture {
            Making::Here(picture) => Some(picture),
            Making::There => match self.convert(bgrx) {
                Some(image) => {
                    let damage = reaching(damage, self.size());
                    return Ok(Some((image, self.since_newest(true, damage))));
                }
                None => self.ring.take(),
            },
        };
        let Some(mut picture) = picture else { return Ok(None) };
        self.ring.fill(&mut picture, bgrx)?;
        picture.completed(clock.now());
        let damage = self.ring.damage(damage);
        Ok(Some((Box::new(picture), self.since_newest(false, damage))))
    }

    /// Converts all of it on the device; `None` where that fails.
    fn convert(&mut self, bgrx: &[u8]) -> Option<Box<dyn FrameImage>> {
        let device = self.device.as_mut()?;
        match device.convert.convert(bgrx, &device.lacks) {
            Ok(image) => {
                device.lacks = Damage::none();
                Some(image)
            }
            Err(reason) => {
                self.give_up(&reason);
                None
            }
        }
    }

    fn give_up(&mut self, reason: &str) {
        self.device = None;
        tracing::warn!(reason, "no more captured pictures are converted on the device");
    }

    /// What is different where this is the newest picture from now on.
    fn since_newest(&mut self, on_device: bool, damage: Damage) -> Damage {
        let before = self.newest.replace(on_device);
        if before == Some(on_device) {
            return damage;
        }
        if on_device {
            tracing::info!("captured pictures are converted on the device");
        } else if before.is_some() {
            tracing::info!("captured pictures are converted on the processor");
        }
        if before.is_none() { damage } else { Damage::Unknown }
    }
}

/// What of a picture with sited chroma changes with that.
fn reaching(damage: &Damage, size: Size) -> Damage {
    let Damage::Rects(rects) = damage else { return Damage::Unknown };
    let widen = |rect: &Rect| {
        let width = (rect.width + REACH).min(size.width.saturating_sub(rect.x));
        Rect { width, ..*rect }
    };
    Damage::Rects(rects.iter().map(widen).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use testkit::FakeClock;

    use super::*;

    const SIZE: Size = Size::new(32, 16);

    /// What a device is to do, and what it was told.
    #[derive(Default)]
    struct Script {
        is_full: bool,
        fails: bool,
        asked: usize,
        changes: Vec<Damage>,
    }

    /// A device that converts for encoders which read its memory.
    struct Double {
        ring: Ring,
        script: Arc<Mutex<Script>>,
    }

    impl Convert for Double {
        fn begin(&mut self, size: Size, share: bool) -> Result<Room, String> {
            assert_eq!(size, SIZE);
            let mut script = self.script.lock().unwrap();
            script.asked += 1;
            Ok(match (share, script.is_full) {
                (false, _) => Room::Elsewhere,
                (true, false) => Room::Free,
                (true, true) => Room::Full,
            })
        }

        fn convert(&mut self, _: &[u8], changed: &Damage) -> Result<Box<dyn FrameImage>, String> {
            let mut script = self.script.lock().unwrap();
            if script.fails {
                return Err("the test says so".into());
            }
            script.changes.push(changed.clone());
            Ok(Box::new(self.ring.take().ok_or("no slot")?))
        }
    }

    fn pictures() -> (Pictures, Arc<Mutex<Script>>) {
        let (mut pictures, script) = (Pictures::new(SIZE), Arc::<Mutex<Script>>::default());
        pictures.convert_by(Box::new(Double { ring: Ring::new(SIZE), script: script.clone() }));
        (pictures, script)
    }

    fn of(rects: &[(u32, u32, u32, u32)]) -> Damage {
        let rect = |&(x, y, width, height)| Rect { x, y, width, height };
        Damage::Rects(rects.iter().map(rect).collect())
    }

    fn complete(pictures: &mut Pictures, picture: Making, damage: &Damage) -> Option<Made> {
        pictures.changed(damage);
        let bgrx = vec![0; SIZE.pixels() as usize * 4];
        pictures.complete(picture, &bgrx, damage, &FakeClock::default()).unwrap()
    }

    /// What is said to be different in a picture in which this is.
    fn told(pictures: &mut Pictures, share: bool, damage: &Damage) -> Damage {
        let picture = pictures.begin(share).unwrap();
        complete(pictures, picture, damage).unwrap().1
    }

    #[test]
    fn each_side_is_told_what_it_missed_and_what_comes_of_a_change_of_sides() {
        let (mut pictures, script) = pictures();
        let all = of(&[(0, 0, 32, 16)]);
        assert_eq!(told(&mut pictures, true, &all), all);
        // Chroma to the right of it has it in, unless that is the edge.
        let (near, edge) = ((2, 2, 4, 4), (28, 0, 4, 2));
        assert_eq!(told(&mut pictures, true, &of(&[near, edge])), of(&[(2, 2, 6, 4), edge]));
        let [first, second, third] = [(4, 4, 2, 2), (8, 8, 2, 2), (12, 12, 2, 2)];
        assert_eq!(told(&mut pictures, false, &of(&[first])), Damage::Unknown);
        assert_eq!(told(&mut pictures, false, &of(&[second])), of(&[second]));
        assert_eq!(told(&mut pictures, true, &of(&[third])), Damage::Unknown);
        assert_eq!(told(&mut pictures, true, &Damage::none()), Damage::none());
        let changes = std::mem::take(&mut script.lock().unwrap().changes);
        let missed = of(&[first, second, third]);
        assert_eq!(changes, [Damage::Unknown, of(&[near, edge]), missed, Damage::none()]);
        // Of another size nothing is known.
        pictures.resized(SIZE);
        told(&mut pictures, true, &of(&[first]));
        assert_eq!(script.lock().unwrap().changes, [Damage::Unknown]);
    }

    #[test]
    fn what_fails_on_the_device_is_done_on_the_processor_from_then_on() {
        let (mut pictures, script) = pictures();
        let some = of(&[(4, 4, 2, 2)]);
        told(&mut pictures, true, &some);
        let asked = {
            let mut script = script.lock().unwrap();
            script.fails = true;
            script.asked
        };
        assert_eq!(told(&mut pictures, true, &some), Damage::Unknown);
        assert_eq!(told(&mut pictures, true, &some), some);
        let script = script.lock().unwrap();
        assert_eq!((script.asked - asked, script.changes.len()), (1, 1));
    }

    #[test]
    fn a_picture_without_a_slot_is_none_on_either_side() {
        let (mut pictures, script) = pictures();
        script.lock().unwrap().is_full = true;
        assert!(pictures.begin(true).is_none());
        script.lock().unwrap().is_full = false;
        let out: Vec<_> = std::iter::from_fn(|| pictures.begin(false)).collect();
        assert!(pictures.begin(false).is_none() && out.len() == 3);
        let picture = pictures.begin(true).unwrap();
        script.lock().unwrap().fails = true;
        assert!(complete(&mut pictures, picture, &Damage::none()).is_none());
        drop(out);
        assert!(pictures.begin(true).is_some());
    }

    #[test]
    fn what_is_scaled_is_made_on_the_processor() {
        let (mut pictures, script) = pictures();
        assert!(pictures.scale_to(Size::new(16, 8)));
        assert!(matches!(pictures.begin(true), Some(Making::Here(_))));
        assert!(pictures.scale_to(SIZE));
        assert_eq!(script.lock().unwrap().asked, 0);
        assert!(matches!(pictures.begin(true), Some(Making::There)));
    }
}
