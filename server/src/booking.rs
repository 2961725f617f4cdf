//! What a session's screen is booked for: the size that it has now, up to the largest that it may have.
//!
//! ```text
//!  the window grows ──────▶ ask ──▶ the books ──┬── room ──▶ booked, and the screen grows
//!  a game's own mode ─▶ screen ─▶                └── none ──▶ refused with the reason: the picture stays as large as it was
//!  pictures are smaller ─▶ shows ─▶ the rest is given back
//! ```
//!
//! What is refused stays wanted: the window's until it wants another, the game's until it has another, and both are asked for again.
//! All of them are called by the session's source thread alone, so that what is booked is what it captures. A window that becomes
//! smaller gives nothing back before its pictures are.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::catalogue::Resize;
use media::Size;
use session::admission::Refusal;
use tokio::sync::watch;

use crate::apps::ScreenInfo;

/// What bounds the sizes that a screen may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The largest.
    pub largest: Size,
    /// What the window asks for has the shape of this one, as nearly as even edges can.
    pub shape: Option<Size>,
}

impl From<Size> for Bounds {
    fn from(largest: Size) -> Self {
        Self { largest, shape: None }
    }
}

impl Bounds {
    /// Those of an app that began with this size; none where it keeps that.
    pub(crate) fn of(ScreenInfo { largest, resize }: ScreenInfo, began: Size) -> Option<Self> {
        match resize {
            Resize::Never => None,
            Resize::Any => Some(Self { largest, shape: None }),
            Resize::SameShape => Some(Self { largest, shape: Some(began) }),
        }
    }
}

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
    bounds: Bounds,
    books: Box<dyn Books>,
    booked: Mutex<Size>,
    refused: watch::Sender<Refusals>,
}

/// What is wanted and not carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// The screen that the player's window is to have.
    pub window: Option<Refused>,
    /// The one that the game has made by itself, of which a part is shown.
    pub game: Option<Refused>,
}

impl Refusals {
    /// The one to tell of.
    pub fn told(&self) -> Option<&Refused> {
        self.window.as_ref().or(self.game.as_ref())
    }
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
        let Self { bounds, .. } = self;
        let booked = self.booked();
        f.debug_struct("Booking").field("booked", &booked).field("bounds", bounds).finish()
    }
}

impl Booking {
    /// Of a session that was let in with pictures of this size, and may have others within these bounds.
    pub fn new(booked: Size, bounds: impl Into<Bounds>, books: impl Books + 'static) -> Arc<Self> {
        let (books, refused) = (Box::new(books), watch::Sender::default());
        let bounds = bounds.into();
        Arc::new(Self { bounds, books, booked: Mutex::new(booked), refused })
    }

    /// What bounds the sizes that it may have.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// What is booked now.
    pub fn booked(&self) -> Size {
        *self.lock()
    }

    /// So large is booked from now on. For [`Books`].
    pub fn note(&self, size: Size) {
        *self.lock() = size;
    }

    /// The screens that are not carried, until the session has the one that is wanted.
    pub fn refused(&self) -> watch::Receiver<Refusals> {
        self.refused.subscribe()
    }

    /// The window is to have a screen of this size: whether it may. What a larger one needs is booked then.
    pub fn ask(&self, size: Size) -> bool {
        let size = within(size, self.bounds.largest);
        // What is captured until it is smaller is still booked.
        let answer = if size.pixels() > self.booked().pixels() {
            self.books.change(self, size)
        } else {
            Ok(())
        };
        self.tell(size, answer, |refusals| &mut refusals.window)
    }

    /// The game's screen has this size: how much of it is shown. That is booked.
    pub fn screen(&self, size: Size) -> Size {
        let (size, booked) = (within(size, self.bounds.largest), self.booked());
        let answer = if size == booked { Ok(()) } else { self.books.change(self, size) };
        let is_carried = self.tell(size, answer, |refusals| &mut refusals.game);
        if is_carried { size } else { within(size, booked) }
    }

    /// Pictures have this size now, which is booked.
    pub fn shows(&self, size: Size) {
        let (size, booked) = (within(size, self.bounds.largest), self.booked());
        if size != booked
            && let Err(why) = self.books.change(self, size)
        {
            tracing::warn!(%size, %booked, %why, "pictures are larger than what is booked");
        }
    }

    /// Notes what became of what is wanted; whether it is carried.
    fn tell(
        &self,
        size: Size,
        answer: Result<(), Refusal>,
        of: fn(&mut Refusals) -> &mut Option<Refused>,
    ) -> bool {
        let (carried, refused) = match answer {
            Ok(()) => (true, None),
            Err(why) => (false, Some(Refused { size, why })),
        };
        self.refused.send_if_modified(|refusals| {
            let told = of(refusals);
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
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A node with room for so many pixels.
    struct Pixels(Arc<AtomicU64>);

    impl Pixels {
        fn of(pixels: u64) -> Self {
            Self(Arc::new(pixels.into()))
        }
    }

    impl Books for Pixels {
        fn change(&self, booking: &Booking, size: Size) -> Result<(), Refusal> {
            let left = self.0.load(Ordering::Relaxed);
            if size.pixels() > left {
                return Err(Refusal::PixelRate { asked: size.pixels(), left });
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
        let booking = Booking::new(SMALL, HUGE, Pixels::of(LARGE.pixels()));
        assert!(booking.ask(LARGE));
        assert_eq!(booking.booked(), LARGE);
        assert_eq!(booking.screen(LARGE), LARGE);
        assert!(booking.ask(SMALL));
        assert_eq!(booking.booked(), LARGE, "it is still captured");
        assert_eq!(booking.screen(SMALL), SMALL);
        assert_eq!(booking.booked(), SMALL);
        assert!(booking.ask(LARGE));
        booking.shows(SMALL);
        assert_eq!(booking.booked(), SMALL, "it did not become so large");
    }

    #[test]
    fn what_is_not_carried_is_told_once_and_the_picture_stays() {
        let booking = Booking::new(SMALL, HUGE, Pixels::of(LARGE.pixels()));
        let mut refused = booking.refused();
        assert!(!booking.ask(HUGE) && refused.has_changed().unwrap());
        let told = refused.borrow_and_update().told().cloned().unwrap();
        assert_eq!((told.size, told.why.code()), (HUGE, "refused_encoder"));
        let sentence = told.to_string();
        assert!(sentence.starts_with("There is no room for a screen of 2560x1440. The encoder"));
        assert!(!booking.ask(HUGE) && !refused.has_changed().unwrap(), "it is known");
        assert_eq!(booking.screen(SMALL), SMALL);
        assert!(refused.borrow_and_update().told().is_some(), "it stays wanted");
        assert!(booking.ask(SMALL) && refused.borrow_and_update().told().is_none());
    }

    #[test]
    fn of_a_mode_that_a_game_sets_there_is_shown_what_there_is_room_for_until_it_goes_back() {
        let (room, wide) = (Arc::new(AtomicU64::new(LARGE.pixels())), Size::new(2_560, 200));
        let booking = Booking::new(SMALL, HUGE, Pixels(room.clone()));
        let refused = booking.refused();
        let told = || refused.borrow().told().map(|refused| refused.size);
        assert_eq!((booking.screen(wide), told()), (wide, None));
        assert_eq!((booking.screen(HUGE), told()), (wide, Some(HUGE)));
        booking.shows(wide);
        assert_eq!((told(), refused.borrow().window.is_some()), (Some(HUGE), false));
        assert_eq!((booking.screen(wide), told()), (wide, None), "it has gone back");
        assert_eq!((booking.screen(HUGE), told()), (wide, Some(HUGE)));
        // The window wants no more than there is.
        assert!(booking.ask(SMALL) && told() == Some(HUGE));
        room.store(HUGE.pixels(), Ordering::Relaxed);
        assert_eq!((booking.screen(HUGE), told()), (HUGE, None));
    }

    #[test]
    fn nothing_is_larger_than_the_largest() {
        let booking = Booking::new(SMALL, LARGE, Pixels::of(u64::MAX));
        assert!(booking.ask(HUGE));
        assert_eq!((booking.booked(), booking.screen(HUGE)), (LARGE, LARGE));
    }
}
