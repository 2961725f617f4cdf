//! What a session's screen is booked for: the size that it has now, up to the largest that it may have.
//!
//! ```text
//!  the window grows ──▶ ask ──▶ the books ──┬── room ──▶ booked, and the screen grows
//!  a game's own mode ─▶ shows ─▶            └── none ──▶ refused with the reason: the picture stays as large as it was
//!  pictures are smaller ─▶ shows ─▶ the rest is given back
//! ```
//!
//! Both are called by the session's source thread alone, so that what is booked is what it captures. A window that becomes
//! smaller gives nothing back before its pictures are.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::Size;
use session::admission::Refusal;
use tokio::sync::watch;

/// Who keeps the books.
pub trait Books: Send + Sync {
    /// Books pictures of this size in place of those that are booked, and [notes](Booking::note) it before anybody else can
    /// book anything. Does not block for long.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing has changed then. Never for a size of no more pixels than are booked.
    fn change(&self, booking: &Booking, size: Size) -> Result<(), Refusal>;
}

/// See the module.
pub struct Booking {
    largest: Size,
    books: Box<dyn Books>,
    booked: Mutex<Size>,
    refused: watch::Sender<Option<Refused>>,
}

/// A screen that is not carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How large it was to be.
    pub size: Size,
    /// Why it is not.
    pub why: Refusal,
}

/// The sentence for people.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "There is no room for a screen of {}. {}", self.size, self.why)
    }
}

impl fmt::Debug for Booking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { largest, .. } = self;
        let booked = self.booked();
        f.debug_struct("Booking").field("booked", &booked).field("largest", largest).finish()
    }
}

impl Booking {
    /// Of a session that was let in with pictures of this size, and may have them as large as `largest`.
    pub fn new(booked: Size, largest: Size, books: impl Books + 'static) -> Arc<Self> {
        let (books, refused) = (Box::new(books), watch::Sender::new(None));
        Arc::new(Self { largest, books, booked: Mutex::new(booked), refused })
    }

    /// The largest that it may have.
    pub fn largest(&self) -> Size {
        self.largest
    }

    /// What is booked now.
    pub fn booked(&self) -> Size {
        *self.lock()
    }

    /// So large is booked from now on. For [`Books`].
    pub fn note(&self, size: Size) {
        *self.lock() = size;
    }

    /// The last screen that is not carried, until the session has the one that it wants.
    pub fn refused(&self) -> watch::Receiver<Option<Refused>> {
        self.refused.subscribe()
    }

    /// The screen is to become so large: whether it may. What a larger one needs is booked then.
    pub fn ask(&self, size: Size) -> bool {
        let size = within(size, self.largest);
        // What is captured until it is smaller is still booked.
        let answer = if size.pixels() > self.booked().pixels() {
            self.books.change(self, size)
        } else {
            Ok(())
        };
        self.tell(size, answer)
    }

    /// The screen has this size now: how much of it is shown. That is booked.
    pub fn shows(&self, size: Size) -> Size {
        let (size, booked) = (within(size, self.largest), self.booked());
        if size == booked {
            return size;
        }
        let answer = self.books.change(self, size);
        let is_carried = answer.is_ok();
        // One that was refused stays wanted while the pictures become smaller.
        if size.pixels() > booked.pixels() {
            self.tell(size, answer);
        }
        if is_carried { size } else { within(size, booked) }
    }

    fn tell(&self, size: Size, answer: Result<(), Refusal>) -> bool {
        let (carried, refused) = match answer {
            Ok(()) => (true, None),
            Err(why) => (false, Some(Refused { size, why })),
        };
        self.refused.send_if_modified(|told| {
            // Figures of the same refusal change all the time.
            let key = |refused: &Option<Refused>| {
                refused.as_ref().map(|refused| (refused.size, refused.why.code()))
            };
            let is_news = key(told) != key(&refused);
            if is_news {
                *told = refused;
            }
            is_news
        });
        carried
    }

    fn lock(&self) -> MutexGuard<'_, Size> {
        // Every change is one assignment.
        self.booked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn within(size: Size, most: Size) -> Size {
    Size::new(size.width.min(most.width), size.height.min(most.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node with room for so many pixels.
    struct Pixels(u64);

    impl Books for Pixels {
        fn change(&self, booking: &Booking, size: Size) -> Result<(), Refusal> {
            if size.pixels() > self.0 {
                return Err(Refusal::PixelRate { asked: size.pixels(), left: self.0 });
            }
            booking.note(size);
            Ok(())
        }
    }

    const SMALL: Size = Size::new(640, 360);
    const LARGE: Size = Size::new(1_280, 720);
    const HUGE: Size = Size::new(2_560, 1_440);

    #[test]
    fn a_screen_is_booked_before_it_grows_and_given_back_once_it_is_smaller() {
        let booking = Booking::new(SMALL, HUGE, Pixels(LARGE.pixels()));
        assert!(booking.ask(LARGE));
        assert_eq!(booking.booked(), LARGE);
        assert_eq!(booking.shows(LARGE), LARGE);
        assert!(booking.ask(SMALL));
        assert_eq!(booking.booked(), LARGE, "it is still captured");
        assert_eq!(booking.shows(SMALL), SMALL);
        assert_eq!(booking.booked(), SMALL);
    }

    #[test]
    fn what_is_not_carried_is_told_once_and_the_picture_stays() {
        let booking = Booking::new(SMALL, HUGE, Pixels(LARGE.pixels()));
        let mut refused = booking.refused();
        assert!(!booking.ask(HUGE) && refused.has_changed().unwrap());
        let told = refused.borrow_and_update().clone().unwrap();
        assert_eq!((told.size, told.why.code()), (HUGE, "refused_encoder"));
        let sentence = told.to_string();
        assert!(sentence.starts_with("There is no room for a screen of 2560x1440. The encoder"));
        assert!(!booking.ask(HUGE) && !refused.has_changed().unwrap(), "it is known");
        // A mode that a game has set by itself: the corner that there is room for.
        assert_eq!(booking.shows(Size::new(2_560, 200)), Size::new(2_560, 200));
        assert_eq!(booking.shows(HUGE), Size::new(2_560, 200));
        assert!(booking.ask(SMALL) && refused.borrow_and_update().is_none());
    }

    #[test]
    fn nothing_is_larger_than_the_largest() {
        let booking = Booking::new(SMALL, LARGE, Pixels(u64::MAX));
        assert!(booking.ask(HUGE));
        assert_eq!((booking.booked(), booking.shows(HUGE)), (LARGE, LARGE));
    }
}
