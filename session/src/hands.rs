//! Several people at one session's controls: what each does, as if one did it all. Pure.
//!
//! - A key or button that two hold is up when the second lets go.
//! - Locked pointers count their own totals; the session sees one that moves by what each adds.
//! - Fingers of different people are different fingers.
//! - Who leaves, or loses the focus, lets go of what was in its own hands only.

use std::collections::BTreeMap;

use media::input::{PointerButton, TouchPhase};
use media::{InputEvent, KeyCode};

/// Things that one person can hold at once: all keys of a keyboard that report, buttons and fingers. What is
/// beyond passes and is not let go of by itself.
const MOST_HELD: usize = 64;

/// Names somebody at the controls.
pub type Who = u64;
/// The player; viewers count from one.
pub const PLAYER: Who = 0;

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Key(KeyCode),
    Button(PointerButton),
    /// The person's number of the finger, and the session's.
    Finger(u8, u8),
}

#[derive(Debug, Default)]
struct Hand {
    held: Vec<Held>,
    /// The totals of its pointer that were counted last.
    totals: Option<(i32, i32)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Hands {
    hands: BTreeMap<Who, Hand>,
    totals: (i32, i32),
}

impl Hands {
    /// What the session is told when somebody does this.
    pub fn does(&mut self, who: Who, event: InputEvent, mut tell: impl FnMut(InputEvent)) {
        match event {
            InputEvent::Key { code, pressed } => {
                self.hold(who, Held::Key(code), pressed, event, tell);
            }
            InputEvent::Button { button, pressed } => {
                self.hold(who, Held::Button(button), pressed, event, tell);
            }
            InputEvent::PointerRelative { total_x, total_y } => {
                let hand = self.hands.entry(who).or_default();
                // The first totals are where it begins to count.
                let (x, y) = hand.totals.replace((total_x, total_y)).unwrap_or((total_x, total_y));
                let (dx, dy) = (total_x.wrapping_sub(x), total_y.wrapping_sub(y));
                self.totals = (self.totals.0.wrapping_add(dx), self.totals.1.wrapping_add(dy));
                let (total_x, total_y) = self.totals;
                tell(InputEvent::PointerRelative { total_x, total_y });
            }
            InputEvent::Touch { finger, phase, x, y, pressure } => {
                if let Some(finger) = self.finger(who, finger, phase) {
                    tell(InputEvent::Touch { finger, phase, x, y, pressure });
                }
            }
            InputEvent::ReleaseAll => self.let_go(who, tell),
            InputEvent::PointerAbsolute { .. } | InputEvent::Wheel { .. } | InputEvent::Text(_) => {
                tell(event);
            }
        }
    }

    /// Somebody lets go of everything, or has left.
    pub fn let_go(&mut self, who: Who, mut tell: impl FnMut(InputEvent)) {
        let Some(hand) = self.hands.remove(&who) else { return };
        if self.hands.values().all(|other| other.held.is_empty()) {
            // Also what was too much to be remembered.
            tell(InputEvent::ReleaseAll);
            return;
        }
        for held in hand.held {
            match held {
                Held::Finger(_, finger) => tell(InputEvent::Touch {
                    finger,
                    phase: TouchPhase::Cancel,
                    x: 0,
                    y: 0,
                    pressure: 0,
                }),
                Held::Key(code) if !self.is_held(held) => {
                    tell(InputEvent::Key { code, pressed: false });
                }
                Held::Button(button) if !self.is_held(held) => {
                    tell(InputEvent::Button { button, pressed: false });
                }
                Held::Key(_) | Held::Button(_) => {}
            }
        }
    }

    /// Everything is up, by whoever it was held.
    pub fn all_up(&mut self) {
        self.hands.clear();
    }

    fn hold(
        &mut self,
        who: Who,
        what: Held,
        pressed: bool,
        event: InputEvent,
        mut tell: impl FnMut(InputEvent),
    ) {
        let held = &mut self.hands.entry(who).or_default().held;
        let had = held.contains(&what);
        if !pressed {
            held.retain(|each| *each != what);
            if self.is_held(what) {
                return;
            }
        } else if !had && held.len() < MOST_HELD {
            held.push(what);
        }
        tell(event);
    }

    fn is_held(&self, what: Held) -> bool {
        self.hands.values().any(|hand| hand.held.contains(&what))
    }

    /// The session's number of somebody's finger; none for one that is not down, and where 256 are.
    fn finger(&mut self, who: Who, theirs: u8, phase: TouchPhase) -> Option<u8> {
        let known = self.hands.get(&who).and_then(|hand| {
            hand.held.iter().find_map(|held| match held {
                Held::Finger(finger, ours) if *finger == theirs => Some(*ours),
                _ => None,
            })
        });
        if phase == TouchPhase::Start && known.is_none() {
            let taken = |ours: u8| {
                let mut all = self.hands.values().flat_map(|hand| &hand.held);
                all.any(|held| matches!(held, Held::Finger(_, each) if *each == ours))
            };
            let ours = std::iter::once(theirs).chain(0..=u8::MAX).find(|ours| !taken(*ours))?;
            let held = &mut self.hands.entry(who).or_default().held;
            if held.len() < MOST_HELD {
                held.push(Held::Finger(theirs, ours));
            }
            return Some(ours);
        }
        if let (TouchPhase::End | TouchPhase::Cancel, Some(hand)) =
            (phase, self.hands.get_mut(&who))
        {
            hand.held.retain(|held| !matches!(held, Held::Finger(finger, _) if *finger == theirs));
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Who = 0;
    const B: Who = 7;

    fn key(pressed: bool) -> InputEvent {
        InputEvent::Key { code: KeyCode::W, pressed }
    }

    fn does(hands: &mut Hands, who: Who, event: InputEvent) -> Vec<InputEvent> {
        let mut told = Vec::new();
        hands.does(who, event, |event| told.push(event));
        told
    }

    fn leaves(hands: &mut Hands, who: Who) -> Vec<InputEvent> {
        let mut told = Vec::new();
        hands.let_go(who, |event| told.push(event));
        told
    }

    #[test]
    fn one_player_alone_does_what_it_does() {
        let mut hands = Hands::default();
        for event in [
            key(true),
            key(true),
            key(false),
            InputEvent::Button { button: PointerButton::Left, pressed: true },
            InputEvent::Wheel { x: 0, y: 120 },
            InputEvent::Text("ä".into()),
            InputEvent::PointerAbsolute { x: 1, y: 2 },
            InputEvent::ReleaseAll,
        ] {
            assert_eq!(does(&mut hands, A, event.clone()), [event]);
        }
    }

    #[test]
    fn a_key_that_two_hold_is_up_when_the_second_lets_go() {
        let mut hands = Hands::default();
        assert_eq!(does(&mut hands, A, key(true)), [key(true)]);
        assert_eq!(does(&mut hands, B, key(true)), [key(true)]);
        assert!(does(&mut hands, A, key(false)).is_empty());
        assert_eq!(does(&mut hands, B, key(false)), [key(false)]);
    }

    #[test]
    fn who_leaves_lets_go_of_its_own() {
        let mut hands = Hands::default();
        let button = |pressed| InputEvent::Button { button: PointerButton::Left, pressed };
        does(&mut hands, A, key(true));
        does(&mut hands, B, key(true));
        does(&mut hands, B, button(true));
        assert_eq!(leaves(&mut hands, B), [button(false)], "A still holds the key");
        assert!(leaves(&mut hands, B).is_empty());
        assert_eq!(does(&mut hands, A, InputEvent::ReleaseAll), [InputEvent::ReleaseAll]);
    }

    #[test]
    fn locked_pointers_add_up() {
        let mut hands = Hands::default();
        let to = |x, y| InputEvent::PointerRelative { total_x: x, total_y: y };
        // Where each begins to count is nothing that moved.
        assert_eq!(does(&mut hands, A, to(100, 100)), [to(0, 0)]);
        assert_eq!(does(&mut hands, A, to(116, 90)), [to(16, -10)]);
        assert_eq!(does(&mut hands, B, to(-5, i32::MAX)), [to(16, -10)]);
        assert_eq!(does(&mut hands, B, to(-4, i32::MIN)), [to(17, -9)], "totals wrap");
        // One that came late is made up for by the next.
        assert_eq!(does(&mut hands, A, to(110, 90)), [to(11, -9)]);
        assert_eq!(does(&mut hands, A, to(120, 90)), [to(21, -9)]);
        leaves(&mut hands, A);
        assert_eq!(does(&mut hands, A, to(0, 0)), [to(21, -9)], "a page that starts over");
    }

    #[test]
    fn fingers_of_two_people_are_two() {
        let mut hands = Hands::default();
        let touch = |finger, phase| InputEvent::Touch { finger, phase, x: 3, y: 4, pressure: 5 };
        let number = |told: Vec<InputEvent>| match told[..] {
            [InputEvent::Touch { finger, .. }] => finger,
            _ => panic!("{told:?}"),
        };
        let a = number(does(&mut hands, A, touch(0, TouchPhase::Start)));
        let b = number(does(&mut hands, B, touch(0, TouchPhase::Start)));
        assert_ne!(a, b);
        assert_eq!(number(does(&mut hands, B, touch(0, TouchPhase::Move))), b);
        assert_eq!(number(does(&mut hands, A, touch(0, TouchPhase::End))), a);
        assert_eq!(leaves(&mut hands, B), [InputEvent::ReleaseAll], "nobody else holds anything");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut hands = Hands::default();
        for code in KeyCode::A.0..=KeyCode::LAST.0 {
            does(&mut hands, A, InputEvent::Key { code: KeyCode(code), pressed: true });
        }
        assert_eq!(hands.hands[&A].held.len(), MOST_HELD);
    }
}
