//! What the doubles of NVIDIA's libraries have in common: calls that are planned to fail or to hang, a log
//! of all calls, the rules that were broken, and how tests tell and ask all this.
//!
//! Each double has one [`Control`] and exports it by [`export_control`]. It must never know what a call
//! is about. A thread that hangs holds no lock of a double: its other calls go on.
#![expect(unsafe_code, reason = "texts are exchanged with tests through a C interface")]

mod book;

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use book::{Book, Plan};

/// As an effect of `fake_plan`: the call waits for `fake_release`, then does what it was asked.
const HANG: u64 = u64::MAX;
/// As an effect of `fake_plan`: the process dies, as by a fault within the library.
const CRASH: u64 = u64::MAX - 1;

/// What happens to a call instead of what it asks for.
#[derive(Clone, Copy)]
enum Effect {
    Status(u32),
    Hang,
    Crash,
}

impl Effect {
    fn of(number: u64) -> Option<Self> {
        match number {
            HANG => Some(Self::Hang),
            CRASH => Some(Self::Crash),
            status => u32::try_from(status).ok().map(Self::Status),
        }
    }
}

/// Plans, log and broken rules of one double.
pub struct Control {
    calls: &'static [&'static str],
    book: Mutex<Book>,
    /// Hangs wait here.
    released: Condvar,
    made: AtomicU64,
    work: Mutex<Work>,
}

/// How long something was at work.
#[derive(Default)]
struct Work {
    /// What is at the moment, and since when anything is.
    now: u32,
    since: Option<Instant>,
    before: Duration,
}

/// Something of the double's that is at work, until it is dropped.
pub struct Working<'a>(&'a Control);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut work = self.0.work();
        work.now -= 1;
        if work.now == 0 {
            let since = work.since.take();
            work.before += since.map_or(Duration::ZERO, |since| since.elapsed());
        }
    }
}

impl Control {
    /// One for a double whose functions are `calls`.
    ///
    /// The variable `environment` may hold plans, for tests of processes that they do not share a memory
    /// with: parts that `;` divides, each `call nth times effect` as in [`Control::plan`] with `hang` and
    /// `crash` as words, or what `tell` knows. A part that nobody knows is a broken rule.
    pub fn new(
        environment: &str,
        calls: &'static [&'static str],
        tell: impl Fn(&[&str]) -> bool,
    ) -> Self {
        let control = Self {
            calls,
            book: Mutex::new(Book::default()),
            released: Condvar::new(),
            made: AtomicU64::new(0),
            work: Mutex::default(),
        };
        let told = std::env::var(environment).unwrap_or_default();
        for part in told.split(';').filter(|part| !part.trim().is_empty()) {
            let words: Vec<_> = part.split_whitespace().collect();
            if !control.plan_words(&words) && !tell(&words) {
                control.broke("environment", &format!("{environment} says {part:?}"));
            }
        }
        control
    }

    fn plan_words(&self, words: &[&str]) -> bool {
        let [call, nth, times, effect] = words else { return false };
        let (Ok(nth), Ok(times)) = (nth.parse(), times.parse()) else { return false };
        let effect = match *effect {
            "hang" => HANG,
            "crash" => CRASH,
            status => match status.parse::<u32>() {
                Ok(status) => status.into(),
                Err(_) => return false,
            },
        };
        self.plan(call.as_bytes(), nth, times, effect)
    }

    /// From the `nth` call of a function on, counted from now and beginning with 1, as many as `times`
    /// calls answer `effect` and do nothing; the two greatest numbers make them hang (which is done
    /// afterwards what was asked) and end the process. Whether there is such a function and effect.
    pub fn plan(&self, call: &[u8], nth: u32, times: u32, effect: u64) -> bool {
        let known = self.calls.iter().find(|known| known.as_bytes() == call);
        let (Some(&call), Some(skip), Some(effect)) =
            (known, nth.checked_sub(1), Effect::of(effect))
        else {
            return false;
        };
        self.book().plan(Plan { call, skip, times, effect });
        true
    }

    /// Whether calls of this function were ever planned to be something else.
    pub fn was_planned(&self, call: &str) -> bool {
        self.book().was_planned(call)
    }

    /// Ends all hangs of this moment.
    pub fn release(&self) {
        self.book().releases += 1;
        self.released.notify_all();
    }

    /// What all calls have in common: plans, the log and the clock. `work` answers the call's result and
    /// may write what the log tells beside it. `failed` is the result of a call that panicked.
    pub fn entry(
        &self,
        call: &'static str,
        failed: u32,
        work: impl FnOnce(&mut String) -> u32,
    ) -> u32 {
        let working = self.working();
        let result = self.guarded(failed, || {
            let mut detail = String::new();
            let result = self.planned(call).unwrap_or_else(|| work(&mut detail));
            self.book().log(call, result, detail);
            result
        });
        drop(working);
        self.made.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// From here on the double is at work, beside its calls: what stands for hardware.
    pub fn working(&self) -> Working<'_> {
        let mut work = self.work();
        if work.now == 0 {
            work.since = Some(Instant::now());
        }
        work.now += 1;
        Working(self)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        // Three numbers, which no panic leaves half changed.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No panic leaves the library, where there may be no Rust to unwind.
    pub fn guarded<T>(&self, failed: T, work: impl FnOnce() -> T) -> T {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            self.broke("fake", "the fake panicked");
            failed
        })
    }

    /// Records a broken rule.
    pub fn broke(&self, call: &str, rule: &str) {
        self.book().broke(call, rule);
    }

    /// The result that is planned for this call; returns after a hang.
    fn planned(&self, call: &str) -> Option<u32> {
        let mut book = self.book();
        match book.planned(call)? {
            Effect::Status(status) => Some(status),
            Effect::Hang => {
                let releases = book.releases;
                // The guard goes at once: what was asked is done without it.
                drop(
                    self.released
                        .wait_while(book, |book| book.releases == releases)
                        .unwrap_or_else(PoisonError::into_inner),
                );
                None
            }
            Effect::Crash => std::process::abort(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // What a panic left behind is still a state to report from.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls with their results and what else is told of them, in the order in which they returned.
    pub fn log_text(&self) -> String {
        self.book().log_text()
    }

    /// Rules that were broken, a line each with the call that broke it.
    pub fn broken_text(&self) -> String {
        self.book().broken_text()
    }

    /// How many calls were made, planned ones and such that failed too.
    pub fn calls_made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// How long calls or hardware were at work. What they do at the same time counts once.
    pub fn nanoseconds(&self) -> u64 {
        let work = self.work();
        let now = work.since.map_or(Duration::ZERO, |since| since.elapsed());
        u64::try_from((work.before + now).as_nanos()).unwrap_or(u64::MAX)
    }

    /// `fake_plan`, for [`export_control`].
    ///
    /// # Safety
    /// `call` is a text that ends with a zero byte.
    pub unsafe fn plan_c(&self, call: *const c_char, nth: u32, times: u32, effect: u64) -> u32 {
        self.guarded(0, || {
            // SAFETY: the caller's word.
            let name = unsafe { CStr::from_ptr(call) };
            self.plan(name.to_bytes(), nth, times, effect).into()
        })
    }

    /// Writes the text that `text` makes to a caller of C. Answers the bytes that it has, and writes as
    /// many as there is room for.
    ///
    /// # Safety
    /// `to` is null, or `room` bytes can be written there.
    pub unsafe fn put_text(
        &self,
        text: impl FnOnce() -> String,
        to: *mut u8,
        room: usize,
    ) -> usize {
        self.guarded(0, || {
            let text = text();
            if !to.is_null() {
                // SAFETY: the caller's word; a text of ours does not overlap memory of theirs.
                unsafe { to.copy_from_nonoverlapping(text.as_ptr(), text.len().min(room)) };
            }
            text.len()
        })
    }
}

/// Exports what tests tell every double and ask of it. `testkit::FakeGpu` wraps all of it. The crate needs
/// no more than a `static` that is, or derefs to, a [`Control`].
#[macro_export]
macro_rules! export_control {
    ($control:path) => {
        /// From the `nth` call of a function on, counted from now and beginning with 1, as many as
        /// `times` calls answer `effect` and do nothing, or hang. Answers 0 where there is no such function.
        ///
        /// # Safety
        /// `call` is a text that ends with a zero byte.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn fake_plan(
            call: *const ::std::ffi::c_char,
            nth: u32,
            times: u32,
            effect: u64,
        ) -> u32 {
            // SAFETY: passed on.
            unsafe { $control.plan_c(call, nth, times, effect) }
        }

        /// Ends all hangs of this moment.
        #[unsafe(no_mangle)]
        pub extern "C" fn fake_release() {
            $control.guarded((), || $control.release());
        }

        /// All calls with their results, a line each. Answers the bytes that the text has, and writes as
        /// many as there is room for.
        ///
        /// # Safety
        /// `room` bytes can be written at `to`.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn fake_log(to: *mut u8, room: usize) -> usize {
            // SAFETY: passed on.
            unsafe { $control.put_text(|| $control.log_text(), to, room) }
        }

        /// Rules that were broken, a line each with the call that broke it; as `fake_log`.
        ///
        /// # Safety
        /// As `fake_log`.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn fake_rules(to: *mut u8, room: usize) -> usize {
            // SAFETY: passed on.
            unsafe { $control.put_text(|| $control.broken_text(), to, room) }
        }

        /// How many calls there were.
        #[unsafe(no_mangle)]
        pub extern "C" fn fake_calls() -> u64 {
            $control.guarded(0, || $control.calls_made())
        }

        /// Nanoseconds for which calls or hardware were at work, for measurements that subtract them.
        #[unsafe(no_mangle)]
        pub extern "C" fn fake_nanoseconds() -> u64 {
            $control.guarded(0, || $control.nanoseconds())
        }
    };
}
