//! Several people at one session's controls: what each does, as if one did it all. Pure.
//!
//! - A key or button that two hold is up when the second lets go.
//! - Locked pointers count their own totals; the session sees one that moves by what each adds.
//! - Fingers of different people are different fingers.
//! - Gamepads of different people are different gamepads: each has its person's number where that is free, or the
//!   next one. Those that the session has no room for do nothing.
//! - What a gamepad said before something newer that is known of it, or before all was let go of, counts for nothing.
//! - A pen, a gamepad's motion and its touchpad are let go of as gamepads are.
//! - Who leaves, or loses the focus, lets go of what was in its own hands only. A gamepad stays plugged in while its
//!   person is there.

use std::collections::BTreeMap;

use media::input::{PointerButton, TouchPhase};
use media::{
    InputEvent, InputSeq, KeyCode, MOST_PADS, Pad, PadMotion, PadState, PadTouch, Pen, Plug,
    SequencedInput,
};

/// Things that one person can hold at once: all keys of a keyboard that report, buttons and fingers. What is
/// beyond does nothing: nobody would remember to let go of it.
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

/// A gamepad that is plugged in.
#[derive(Clone, Copy, Debug)]
struct HeldPad {
    /// The session's number of it.
    ours: Pad,
    plug: Plug,
    state: PadState,
    touch: PadTouch,
    /// The input that its motion is of.
    moved: Option<InputSeq>,
    /// The input that its state is of, or that it was plugged in or let go of by.
    newest: InputSeq,
}

#[derive(Debug, Default)]
struct Hand {
    held: Vec<Held>,
    /// The totals of its pointer that were counted last.
    totals: Option<(i32, i32)>,
    /// By the person's numbers.
    pads: [Option<HeldPad>; MOST_PADS],
    pen: Pen,
    /// The input that the pen is of.
    drawn: Option<InputSeq>,
}

impl HeldPad {
    fn new(ours: Pad, plug: Plug, newest: InputSeq) -> Self {
        let (state, touch) = (PadState::default(), PadTouch::default());
        Self { ours, plug, state, touch, moved: None, newest }
    }

    /// The same that nobody touches.
    fn at_rest(self) -> Self {
        Self { moved: self.moved, ..Self::new(self.ours, self.plug, self.newest) }
    }

    fn is_at_rest(&self) -> bool {
        self.state == PadState::default() && self.touch == PadTouch::default()
    }
}

impl Hand {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.pen == Pen::default() && self.pads().all(HeldPad::is_at_rest)
    }

    fn pads(&self) -> impl Iterator<Item = &HeldPad> {
        self.pads.iter().flatten()
    }

    /// Nothing is held; gamepads are still there.
    fn rest(&mut self) {
        self.held.clear();
        self.totals = None;
        self.pen = Pen::default();
        for pad in self.pads.iter_mut().flatten() {
            *pad = pad.at_rest();
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Hands {
    hands: BTreeMap<Who, Hand>,
    totals: (i32, i32),
}

impl Hands {
    /// What the session is told when somebody does this.
    pub fn does(&mut self, who: Who, input: SequencedInput, mut tell: impl FnMut(InputEvent)) {
        let SequencedInput { seq, event } = input;
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
            InputEvent::ReleaseAll => self.release(who, seq, tell),
            InputEvent::GamepadPlugged { pad, plugged: Plug::Out } => {
                let hand = self.hands.entry(who).or_default();
                if let Some(HeldPad { ours, .. }) = hand.pads[pad.index()].take() {
                    tell(InputEvent::GamepadPlugged { pad: ours, plugged: Plug::Out });
                }
            }
            InputEvent::GamepadPlugged { pad, plugged } => self.plug(who, pad, plugged, seq, tell),
            InputEvent::Gamepad { pad, state } => {
                let hand = self.hands.entry(who).or_default();
                let Some(held) = &mut hand.pads[pad.index()] else { return };
                if seq.is_after(held.newest) {
                    (held.state, held.newest) = (state, seq);
                    tell(InputEvent::Gamepad { pad: held.ours, state });
                }
            }
            InputEvent::Pen(pen) => {
                let hand = self.hands.entry(who).or_default();
                if hand.drawn.is_none_or(|drawn| seq.is_after(drawn)) {
                    (hand.pen, hand.drawn) = (pen, Some(seq));
                    tell(event);
                }
            }
            InputEvent::PadMotion { pad, motion } => {
                let hand = self.hands.entry(who).or_default();
                let Some(held) = &mut hand.pads[pad.index()] else { return };
                if held.moved.is_none_or(|moved| seq.is_after(moved)) {
                    held.moved = Some(seq);
                    tell(InputEvent::PadMotion { pad: held.ours, motion });
                }
            }
            InputEvent::PadTouch { pad, touch } => {
                let hand = self.hands.entry(who).or_default();
                let Some(held) = &mut hand.pads[pad.index()] else { return };
                // It comes on the reliable channel alone, in order.
                held.touch = touch;
                tell(InputEvent::PadTouch { pad: held.ours, touch });
            }
            InputEvent::PointerAbsolute { .. } | InputEvent::Wheel { .. } | InputEvent::Text(_) => {
                tell(event);
            }
        }
    }

    /// Somebody has left: lets go of everything, and takes its gamepads along.
    pub fn leave(&mut self, who: Who, mut tell: impl FnMut(InputEvent)) {
        let Some(hand) = self.hands.remove(&who) else { return };
        let pads = hand.pads;
        self.drop_all(hand, &mut tell);
        for pad in pads.iter().flatten() {
            tell(InputEvent::GamepadPlugged { pad: pad.ours, plugged: Plug::Out });
        }
    }

    /// Everything is up, by whoever it was held.
    pub fn all_up(&mut self) {
        self.hands.values_mut().for_each(Hand::rest);
    }

    /// Somebody lets go of everything.
    fn release(&mut self, who: Who, seq: InputSeq, mut tell: impl FnMut(InputEvent)) {
        let hand = self.hands.remove(&who).unwrap_or_default();
        // Numbered by this, also where it is a smaller number: a page starts over with its counting.
        let kept =
            hand.pads.map(|pad| Some(HeldPad { newest: seq, moved: None, ..pad?.at_rest() }));
        self.drop_all(hand, &mut tell);
        self.hands.insert(who, Hand { pads: kept, drawn: Some(seq), ..Hand::default() });
    }

    /// What was in a hand is in no hand any more.
    fn drop_all(&self, hand: Hand, tell: &mut impl FnMut(InputEvent)) {
        if self.hands.values().all(Hand::is_empty) {
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
        if hand.pen != Pen::default() {
            tell(InputEvent::Pen(Pen::default()));
        }
        for pad in hand.pads.iter().flatten() {
            if pad.state != PadState::default() {
                tell(InputEvent::Gamepad { pad: pad.ours, state: PadState::default() });
            }
            if pad.touch != PadTouch::default() {
                tell(InputEvent::PadTouch { pad: pad.ours, touch: PadTouch::default() });
            }
            if pad.moved.is_some() {
                tell(InputEvent::PadMotion { pad: pad.ours, motion: PadMotion::default() });
            }
        }
    }

    /// The session's gamepads that are there, and what each is.
    pub fn plugged(&self) -> impl Iterator<Item = (Pad, Plug)> {
        self.hands.values().flat_map(Hand::pads).map(|pad| (pad.ours, pad.plug))
    }

    /// Whose gamepad the session's is, and which of its own.
    pub fn holder(&self, ours: Pad) -> Option<(Who, Pad)> {
        self.hands.iter().find_map(|(who, hand)| {
            let is_it = |pad: &Option<HeldPad>| pad.is_some_and(|pad| pad.ours == ours);
            let theirs = hand.pads.iter().position(is_it)?;
            Some((*who, Pad::ALL[theirs]))
        })
    }

    fn plug(
        &mut self,
        who: Who,
        theirs: Pad,
        plugged: Plug,
        seq: InputSeq,
        mut tell: impl FnMut(InputEvent),
    ) {
        let free = |ours: &Pad| self.holder(*ours).is_none();
        let Some(ours) = std::iter::once(theirs).chain(Pad::ALL).find(free) else { return };
        let pad = &mut self.hands.entry(who).or_default().pads[theirs.index()];
        // One that is there already is not plugged in twice.
        if pad.is_none() {
            *pad = Some(HeldPad::new(ours, plugged, seq));
            tell(InputEvent::GamepadPlugged { pad: ours, plugged });
        }
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
        } else if !had {
            if held.len() >= MOST_HELD {
                return;
            }
            held.push(what);
        }
        tell(event);
    }

    fn is_held(&self, what: Held) -> bool {
        self.hands.values().any(|hand| hand.held.contains(&what))
    }

    /// The session's number of somebody's finger; none for one that is not down, and where there are too many.
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
            if held.len() >= MOST_HELD {
                return None;
            }
            held.push(Held::Finger(theirs, ours));
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
    use media::PenState;

    use super::*;

    const A: Who = 0;
    const B: Who = 7;

    fn key(pressed: bool) -> InputEvent {
        InputEvent::Key { code: KeyCode::W, pressed }
    }

    fn does(hands: &mut Hands, who: Who, event: InputEvent) -> Vec<InputEvent> {
        does_as(hands, who, 1, event)
    }

    fn does_as(hands: &mut Hands, who: Who, seq: u32, event: InputEvent) -> Vec<InputEvent> {
        let mut told = Vec::new();
        hands.does(who, SequencedInput { seq: InputSeq(seq), event }, |event| told.push(event));
        told
    }

    fn leaves(hands: &mut Hands, who: Who) -> Vec<InputEvent> {
        let mut told = Vec::new();
        hands.leave(who, |event| told.push(event));
        told
    }

    fn plugged(pad: usize, plugged: bool) -> InputEvent {
        let plugged = if plugged { Plug::Standard } else { Plug::Out };
        InputEvent::GamepadPlugged { pad: Pad::ALL[pad], plugged }
    }

    fn pushed(pad: usize, to: i16) -> InputEvent {
        let state = PadState { axes: [to, 0, 0, 0], ..PadState::default() };
        InputEvent::Gamepad { pad: Pad::ALL[pad], state }
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
    fn nothing_is_held_that_is_not_let_go_of_however_much_somebody_presses() {
        let mut hands = Hands::default();
        let codes = KeyCode::A.0..=KeyCode::LAST.0;
        let press = |code| InputEvent::Key { code: KeyCode(code), pressed: true };
        let down: Vec<_> = codes.flat_map(|code| does(&mut hands, B, press(code))).collect();
        assert_eq!(down.len(), MOST_HELD);
        let finger =
            InputEvent::Touch { finger: 0, phase: TouchPhase::Start, x: 0, y: 0, pressure: 0 };
        assert!(does(&mut hands, B, finger.clone()).is_empty(), "its end would be nobody's");
        // While somebody else holds something, each is let go of by itself.
        assert_eq!(does(&mut hands, A, finger.clone()), [finger]);
        let up = |event: &InputEvent| match *event {
            InputEvent::Key { code, .. } => InputEvent::Key { code, pressed: false },
            _ => panic!("{event:?}"),
        };
        assert_eq!(leaves(&mut hands, B), down.iter().map(up).collect::<Vec<_>>());
    }

    #[test]
    fn gamepads_of_two_people_are_two() {
        let mut hands = Hands::default();
        assert!(does_as(&mut hands, A, 5, pushed(0, 7)).is_empty(), "none is plugged in");
        assert_eq!(does(&mut hands, A, plugged(0, true)), [plugged(0, true)]);
        assert!(does(&mut hands, A, plugged(0, true)).is_empty(), "it is there already");
        assert_eq!(does(&mut hands, B, plugged(0, true)), [plugged(1, true)]);
        assert_eq!(does(&mut hands, B, plugged(3, true)), [plugged(3, true)]);
        assert_eq!(does_as(&mut hands, B, 2, pushed(0, 9)), [pushed(1, 9)]);
        assert_eq!(does_as(&mut hands, B, 2, pushed(3, 9)), [pushed(3, 9)]);
        assert_eq!(hands.holder(Pad::ALL[1]), Some((B, Pad::ALL[0])));
        assert_eq!(does(&mut hands, A, plugged(2, true)), [plugged(2, true)]);
        assert!(does(&mut hands, A, plugged(1, true)).is_empty(), "all four are taken");
        assert!(does_as(&mut hands, A, 9, pushed(1, 1)).is_empty());
        let gone = [InputEvent::ReleaseAll, plugged(1, false), plugged(3, false)];
        assert_eq!(leaves(&mut hands, B), gone);
        assert_eq!(does(&mut hands, A, plugged(1, true)), [plugged(1, true)]);
        assert_eq!(does(&mut hands, A, plugged(1, false)), [plugged(1, false)]);
        assert!(does(&mut hands, A, plugged(1, false)).is_empty());
    }

    #[test]
    fn an_older_state_of_a_gamepad_counts_for_nothing() {
        let mut hands = Hands::default();
        does_as(&mut hands, A, 3, plugged(0, true));
        assert!(does_as(&mut hands, A, 2, pushed(0, 1)).is_empty());
        assert_eq!(does_as(&mut hands, A, 5, pushed(0, 2)), [pushed(0, 2)]);
        assert!(does_as(&mut hands, A, 4, pushed(0, 3)).is_empty());
        // What was sent before a release and comes after it holds nothing down.
        does_as(&mut hands, A, 7, InputEvent::ReleaseAll);
        assert!(does_as(&mut hands, A, 6, pushed(0, 4)).is_empty());
        assert_eq!(does_as(&mut hands, A, 8, pushed(0, 5)), [pushed(0, 5)]);
        // A page that was loaded again counts from one.
        does_as(&mut hands, A, 1, InputEvent::ReleaseAll);
        assert_eq!(does_as(&mut hands, A, 2, pushed(0, 6)), [pushed(0, 6)]);
    }

    #[test]
    fn pens_and_what_gamepads_say_besides_are_let_go_of() {
        let mut hands = Hands::default();
        let pen = Pen { pressure: 9, state: PenState::new(3).unwrap(), ..Pen::default() };
        assert_eq!(does_as(&mut hands, A, 2, InputEvent::Pen(pen)), [InputEvent::Pen(pen)]);
        assert!(does_as(&mut hands, A, 1, InputEvent::Pen(Pen::default())).is_empty(), "older");
        does(&mut hands, B, plugged(0, true));
        let touch = PadTouch { pressed: true, ..PadTouch::default() };
        let touched = |pad: usize, touch| InputEvent::PadTouch { pad: Pad::ALL[pad], touch };
        let moves = |pad: usize, x| {
            let motion = PadMotion { gyro: [x, 0, 0], ..PadMotion::default() };
            InputEvent::PadMotion { pad: Pad::ALL[pad], motion }
        };
        // A pad that is not there says nothing.
        assert!(does(&mut hands, A, touched(0, touch)).is_empty());
        assert!(does(&mut hands, A, moves(0, 1)).is_empty());
        assert_eq!(does_as(&mut hands, B, 2, touched(0, touch)), [touched(0, touch)]);
        assert_eq!(does_as(&mut hands, B, 4, moves(0, 1)), [moves(0, 1)]);
        assert!(does_as(&mut hands, B, 3, moves(0, 2)).is_empty(), "older");
        // Each lets go of its own.
        let rest = [touched(0, PadTouch::default()), moves(0, 0)];
        assert_eq!(does_as(&mut hands, B, 5, InputEvent::ReleaseAll), rest);
        assert_eq!(does_as(&mut hands, B, 6, moves(0, 3)), [moves(0, 3)]);
        does_as(&mut hands, B, 7, touched(0, touch));
        let up = [InputEvent::Pen(Pen::default())];
        assert_eq!(leaves(&mut hands, A), up);
        assert_eq!(does_as(&mut hands, B, 8, InputEvent::ReleaseAll), [InputEvent::ReleaseAll]);
    }

    #[test]
    fn gamepads_come_to_rest_and_stay() {
        let mut hands = Hands::default();
        does(&mut hands, A, plugged(0, true));
        does(&mut hands, B, plugged(1, true));
        does_as(&mut hands, A, 2, pushed(0, 1));
        does_as(&mut hands, B, 2, pushed(1, 1));
        // What B holds is not let go of by A.
        assert_eq!(does_as(&mut hands, A, 3, InputEvent::ReleaseAll), [pushed(0, 0)]);
        assert_eq!(does_as(&mut hands, B, 3, InputEvent::ReleaseAll), [InputEvent::ReleaseAll]);
        assert_eq!(does_as(&mut hands, A, 4, pushed(0, 1)), [pushed(0, 1)]);
        hands.all_up();
        assert!(hands.hands.values().all(Hand::is_empty));
        assert_eq!(does_as(&mut hands, A, 5, pushed(0, 1)), [pushed(0, 1)]);
    }
}
