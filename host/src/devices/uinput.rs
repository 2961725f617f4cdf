//! Gamepads and pen tablets by `uinput`.

use std::io;
use std::os::fd::BorrowedFd;

use media::{PadState, Pen, PenState, Rumble};

use super::node::{Argument, Node};
use crate::gamepads::device::{
    AXES, BUTTONS, EFFECTS, EV_ABS, EV_FF, EV_KEY, EV_SYN, RECORD, record,
};
use crate::gamepads::{Interface, Stamp};

/// The gamepad that the library in games shows, too.
const NAME: &[u8] = b"Microsoft X-Box 360 pad";
const VENDOR: u16 = 0x045e;
const PRODUCT: u16 = 0x028e;
const VERSION: u16 = 0x0110;
/// Requests of `linux/uinput.h`.
const UI_DEV_CREATE: u32 = 0x5501;
const UI_DEV_SETUP: u32 = 0x405c_5503;
const UI_ABS_SETUP: u32 = 0x401c_5504;
const UI_SET_EVBIT: u32 = 0x4004_5564;
const UI_SET_KEYBIT: u32 = 0x4004_5565;
const UI_SET_ABSBIT: u32 = 0x4004_5567;
const UI_SET_FFBIT: u32 = 0x4004_556b;
const UI_SET_PROPBIT: u32 = 0x4004_556e;
const UI_BEGIN_FF_UPLOAD: u32 = 0xc068_55c8;
const UI_END_FF_UPLOAD: u32 = 0x4068_55c9;
const UI_BEGIN_FF_ERASE: u32 = 0xc00c_55ca;
const UI_END_FF_ERASE: u32 = 0x400c_55cb;
/// `UI_GET_SYSNAME` for a name of 64 bytes.
const UI_GET_SYSNAME: u32 = 0x8040_552c;
/// `EV_UINPUT`, and its codes: an effect comes, one goes.
const EV_UINPUT: u16 = 0x0101;
const FF_UPLOAD: u16 = 1;
const FF_ERASE: u16 = 2;
/// `FF_RUMBLE`.
const FF_RUMBLE: u16 = 0x50;
/// `BUS_USB`, `BUS_VIRTUAL`.
const BUS_USB: u16 = 3;
const BUS_VIRTUAL: u16 = 6;
/// `INPUT_PROP_DIRECT`: the pen points where it is.
const PROP_DIRECT: i32 = 1;
/// Bytes of a `struct uinput_ff_upload`, and where its effect is; of a `struct uinput_ff_erase`.
const UPLOAD_BYTES: usize = 104;
const EFFECT: usize = 8;
const ERASE_BYTES: usize = 12;
/// `BTN_TOOL_PEN`, `BTN_TOOL_RUBBER`, `BTN_TOUCH`, `BTN_STYLUS`.
const PEN_KEYS: [u16; 4] = [0x140, 0x141, 0x14a, 0x14b];
/// `ABS_X`, `ABS_Y`, `ABS_Z` (twist), `ABS_PRESSURE`, `ABS_TILT_X`, `ABS_TILT_Y`: code, least, greatest value, and units a
/// millimetre or a radian, without which a tablet is taken for none.
const PEN_AXES: [(u16, i32, i32, i32); 6] = [
    (0x00, 0, 65_535, 200),
    (0x01, 0, 65_535, 200),
    (0x02, 0, 359, 57),
    (0x18, 0, 65_535, 0),
    (0x1a, -90, 90, 57),
    (0x1b, -90, 90, 57),
];

/// Who a device says that it is.
struct Identity {
    bus: u16,
    vendor: u16,
    product: u16,
    version: u16,
    name: &'static [u8],
    effects: u32,
}

/// `struct uinput_setup`.
fn setup(node: &mut dyn Node, identity: &Identity) -> io::Result<()> {
    let mut bytes = [0; 92];
    let words = [identity.bus, identity.vendor, identity.product, identity.version];
    for (at, word) in words.into_iter().enumerate() {
        bytes[2 * at..2 * at + 2].copy_from_slice(&word.to_ne_bytes());
    }
    let name = &identity.name[..identity.name.len().min(79)];
    bytes[8..8 + name.len()].copy_from_slice(name);
    bytes[88..].copy_from_slice(&identity.effects.to_ne_bytes());
    node.control(UI_DEV_SETUP, Argument::Structure(&mut bytes))
}

/// `struct uinput_abs_setup`.
fn axis(
    node: &mut dyn Node,
    (code, least, greatest, unit): (u16, i32, i32, i32),
) -> io::Result<()> {
    node.control(UI_SET_ABSBIT, Argument::Number(code.into()))?;
    let mut bytes = [0; 28];
    bytes[..2].copy_from_slice(&code.to_ne_bytes());
    // Value, least, greatest, fuzz, flat, resolution.
    for (at, part) in [0, least, greatest, 0, 0, unit].into_iter().enumerate() {
        bytes[4 + 4 * at..8 + 4 * at].copy_from_slice(&part.to_ne_bytes());
    }
    node.control(UI_ABS_SETUP, Argument::Structure(&mut bytes))
}

fn bits(node: &mut dyn Node, request: u32, which: impl IntoIterator<Item = u16>) -> io::Result<()> {
    which.into_iter().try_for_each(|bit| node.control(request, Argument::Number(bit.into())))
}

/// The name of the device below `/sys/devices/virtual/input`.
fn system_name(node: &mut dyn Node) -> io::Result<String> {
    let mut bytes = [0; 64];
    node.control(UI_GET_SYSNAME, Argument::Structure(&mut bytes))?;
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let name = String::from_utf8_lossy(&bytes[..length]).into_owned();
    // It becomes part of a path.
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { Ok(name) } else { Err(io::Error::other("the kernel names no device")) }
}

/// What a game wants of a gamepad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// To do this from now on.
    Rumble(Rumble),
}

/// A gamepad that rumbles.
pub struct VirtualPad {
    node: Box<dyn Node>,
    name: String,
    told: PadState,
    /// Effects that games uploaded, by their numbers.
    effects: [Option<Rumble>; EFFECTS],
    playing: Option<usize>,
    out: Vec<u8>,
}

impl VirtualPad {
    /// Makes one: the gamepad that the library for games without the node shows, too.
    ///
    /// # Errors
    /// The kernel's.
    pub fn make(mut node: Box<dyn Node>) -> io::Result<Self> {
        let it = &mut *node;
        bits(it, UI_SET_EVBIT, [EV_KEY, EV_ABS, EV_FF])?;
        bits(it, UI_SET_KEYBIT, BUTTONS)?;
        for (code, least, greatest) in AXES {
            axis(it, (code, least, greatest, 0))?;
        }
        bits(it, UI_SET_FFBIT, [FF_RUMBLE])?;
        let (vendor, product, version) = (VENDOR, PRODUCT, VERSION);
        let effects = EFFECTS as u32;
        setup(it, &Identity { bus: BUS_USB, vendor, product, version, name: NAME, effects })?;
        it.control(UI_DEV_CREATE, Argument::None)?;
        let name = system_name(it)?;
        let (told, effects) = (PadState::default(), [None; EFFECTS]);
        Ok(Self { node, name, told, effects, playing: None, out: Vec::new() })
    }

    /// Its name below `/sys/devices/virtual/input`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It is like this now.
    ///
    /// # Errors
    /// The kernel's. What it did not take is told with the next state.
    pub fn set(&mut self, state: &PadState) -> io::Result<()> {
        self.out.clear();
        // The kernel gives events their time.
        let now = Stamp { seconds: 0, nanos: 0 };
        Interface::Event.tell(&self.told, state, now, &mut self.out);
        if !self.out.is_empty() {
            self.node.write(&self.out)?;
            self.told = *state;
        }
        Ok(())
    }

    /// What becomes readable when there is something to [`poll`](Self::poll) for.
    pub fn readable(&self) -> BorrowedFd<'_> {
        self.node.readable()
    }

    /// What the game wants next; nothing where it wants nothing more now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn poll(&mut self) -> io::Result<Option<Feedback>> {
        let mut event = [0; RECORD];
        while self.node.read(&mut event)? == Some(RECORD) {
            let word = |at: usize| u16::from_ne_bytes([event[at], event[at + 1]]);
            let (kind, code) = (word(16), word(18));
            let value = i32::from_ne_bytes([event[20], event[21], event[22], event[23]]);
            let wanted = match (kind, code) {
                (EV_UINPUT, FF_UPLOAD) => self.upload(value)?,
                (EV_UINPUT, FF_ERASE) => self.erase(value)?,
                (EV_FF, code) => self.play(usize::from(code), value > 0),
                _ => None,
            };
            if let Some(rumble) = wanted {
                return Ok(Some(Feedback::Rumble(rumble)));
            }
        }
        Ok(None)
    }

    /// The kernel waits for an answer: whoever uploads an effect does.
    fn upload(&mut self, request: i32) -> io::Result<Option<Rumble>> {
        let mut bytes = [0; UPLOAD_BYTES];
        bytes[..4].copy_from_slice(&request.to_ne_bytes());
        self.node.control(UI_BEGIN_FF_UPLOAD, Argument::Structure(&mut bytes))?;
        let word = |at: usize| u16::from_ne_bytes([bytes[EFFECT + at], bytes[EFFECT + at + 1]]);
        let (kind, number) = (word(0), usize::from(word(2)));
        // None is as long as can be.
        let length_ms = if word(10) == 0 { u16::MAX } else { word(10) };
        let rumble = Rumble { strong: word(16), weak: word(18), length_ms };
        let place = self.effects.get_mut(number).filter(|_| kind == FF_RUMBLE);
        let refused = match place {
            Some(effect) => {
                *effect = Some(rumble);
                0
            }
            None => -libc::EINVAL,
        };
        bytes[4..8].copy_from_slice(&refused.to_ne_bytes());
        self.node.control(UI_END_FF_UPLOAD, Argument::Structure(&mut bytes))?;
        // What plays goes on as it is now.
        Ok((refused == 0 && self.playing == Some(number)).then_some(rumble))
    }

    fn erase(&mut self, request: i32) -> io::Result<Option<Rumble>> {
        let mut bytes = [0; ERASE_BYTES];
        bytes[..4].copy_from_slice(&request.to_ne_bytes());
        self.node.control(UI_BEGIN_FF_ERASE, Argument::Structure(&mut bytes))?;
        let number = u32::from_ne_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize;
        if let Some(effect) = self.effects.get_mut(number) {
            *effect = None;
        }
        bytes[4..8].copy_from_slice(&0_i32.to_ne_bytes());
        self.node.control(UI_END_FF_ERASE, Argument::Structure(&mut bytes))?;
        Ok(self.play(number, false))
    }

    fn play(&mut self, number: usize, plays: bool) -> Option<Rumble> {
        if plays {
            let rumble = (*self.effects.get(number)?)?;
            self.playing = Some(number);
            return Some(rumble);
        }
        self.playing.take_if(|playing| *playing == number).map(|_| Rumble::default())
    }
}

/// A tablet that a pen draws on, with pressure and tilt.
pub struct VirtualPen {
    node: Box<dyn Node>,
    name: String,
    told: Pen,
}

impl VirtualPen {
    /// Makes one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn make(mut node: Box<dyn Node>) -> io::Result<Self> {
        let it = &mut *node;
        bits(it, UI_SET_EVBIT, [EV_KEY, EV_ABS])?;
        bits(it, UI_SET_KEYBIT, PEN_KEYS)?;
        for each in PEN_AXES {
            axis(it, each)?;
        }
        it.control(UI_SET_PROPBIT, Argument::Number(PROP_DIRECT))?;
        let (name, bus) = (&b"Nearlight pen"[..], BUS_VIRTUAL);
        setup(it, &Identity { bus, vendor: 0, product: 1, version: 1, name, effects: 0 })?;
        it.control(UI_DEV_CREATE, Argument::None)?;
        let name = system_name(it)?;
        Ok(Self { node, name, told: Pen::default() })
    }

    /// Its name below `/sys/devices/virtual/input`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It is like this now.
    ///
    /// # Errors
    /// The kernel's. What it did not take is told with the next state.
    pub fn set(&mut self, pen: &Pen) -> io::Result<()> {
        let mut out = Vec::new();
        // A pen that goes is where it was.
        let is = if pen.state.has(PenState::NEAR) { axes(pen) } else { axes(&self.told) };
        for ((was, is), (code, ..)) in axes(&self.told).into_iter().zip(is).zip(PEN_AXES) {
            if was != is {
                out.extend(record(0, 0, EV_ABS, code, is));
            }
        }
        for ((was, is), code) in keys(&self.told).into_iter().zip(keys(pen)).zip(PEN_KEYS) {
            if was != is {
                out.extend(record(0, 0, EV_KEY, code, is.into()));
            }
        }
        if !out.is_empty() {
            out.extend(record(0, 0, EV_SYN, 0, 0));
            self.node.write(&out)?;
            let [x, y, twist, ..] = is;
            let (x, y, twist) = (x as u16, y as u16, twist as u16);
            self.told = if pen.state.has(PenState::NEAR) {
                *pen
            } else {
                Pen { x, y, twist, state: pen.state, ..self.told }
            };
        }
        Ok(())
    }
}

fn axes(pen: &Pen) -> [i32; PEN_AXES.len()] {
    let [right, down] = pen.tilt.map(i32::from);
    [pen.x.into(), pen.y.into(), pen.twist.into(), pen.pressure.into(), right, down]
}

fn keys(pen: &Pen) -> [bool; PEN_KEYS.len()] {
    let (near, eraser) = (pen.state.has(PenState::NEAR), pen.state.has(PenState::ERASER));
    [near && !eraser, near && eraser, pen.state.has(PenState::TIP), pen.state.has(PenState::BARREL)]
}

#[cfg(test)]
mod tests {
    use media::PadButtons;

    use super::super::double::{Call, NodeDouble};
    use super::*;

    fn number(request: u32, number: i32) -> Call {
        Call::Number(request, number)
    }

    /// Kind, code and value of each event.
    fn events(bytes: &[u8]) -> Vec<(u16, u16, i32)> {
        let (records, rest) = bytes.as_chunks::<RECORD>();
        assert!(rest.is_empty());
        let read = |record: &[u8; RECORD]| {
            let word = |at: usize| u16::from_ne_bytes([record[at], record[at + 1]]);
            let value = i32::from_ne_bytes([record[20], record[21], record[22], record[23]]);
            (word(16), word(18), value)
        };
        records.iter().map(read).collect()
    }

    fn pad(double: &NodeDouble) -> VirtualPad {
        double.answer(UI_GET_SYSNAME, |name| name[..7].copy_from_slice(b"input12"));
        VirtualPad::make(Box::new(double.clone())).unwrap()
    }

    #[test]
    fn a_gamepad_is_described_before_it_is_made() {
        let double = NodeDouble::default();
        assert_eq!(pad(&double).name(), "input12");
        let calls = double.calls();
        let [ev, keys] = [[1, 3, 0x15].map(|bit| number(UI_SET_EVBIT, bit)).to_vec(), {
            BUTTONS.map(|code| number(UI_SET_KEYBIT, code.into())).to_vec()
        }];
        assert_eq!(calls[..14], [ev, keys].concat());
        for ((code, least, greatest), calls) in AXES.into_iter().zip(calls[14..30].chunks(2)) {
            let mut abs = vec![0; 28];
            abs[..2].copy_from_slice(&code.to_ne_bytes());
            abs[8..12].copy_from_slice(&least.to_ne_bytes());
            abs[12..16].copy_from_slice(&greatest.to_ne_bytes());
            let expected = [number(UI_SET_ABSBIT, code.into()), Call::Structure(UI_ABS_SETUP, abs)];
            assert_eq!(calls, expected);
        }
        assert_eq!(calls[30], number(UI_SET_FFBIT, 0x50));
        let Call::Structure(UI_DEV_SETUP, setup) = &calls[31] else { panic!("{:?}", calls[31]) };
        assert_eq!(setup[..8], [3, 0, 0x5e, 0x04, 0x8e, 0x02, 0x10, 0x01]);
        assert!(setup[8..].starts_with(NAME) && setup[8 + NAME.len()] == 0);
        assert_eq!(setup[88..], 16_u32.to_ne_bytes());
        assert_eq!(calls[32], Call::Plain(UI_DEV_CREATE));
        assert_eq!(calls.len(), 34);
        assert!(matches!(&calls[33], Call::Structure(UI_GET_SYSNAME, _)));
    }

    #[test]
    fn only_what_changed_is_written_and_what_was_refused_again() {
        let double = NodeDouble::default();
        let mut pad = pad(&double);
        let down = PadState { buttons: PadButtons::new(1).unwrap(), ..PadState::default() };
        double.refuse_writes(true);
        assert!(pad.set(&down).is_err());
        double.refuse_writes(false);
        pad.set(&down).unwrap();
        pad.set(&down).unwrap();
        pad.set(&PadState::default()).unwrap();
        let written: Vec<_> = double.written().iter().map(|bytes| events(bytes)).collect();
        assert_eq!(written, [[(1, 0x130, 1), (0, 0, 0)], [(1, 0x130, 0), (0, 0, 0)]]);
    }

    /// What the kernel says when an effect is uploaded.
    fn effect(kind: u16, number: u16, length: u16, strong: u16, weak: u16) -> impl Fn(&mut [u8]) {
        move |upload: &mut [u8]| {
            let words = [(0, kind), (2, number), (10, length), (16, strong), (18, weak)];
            for (at, word) in words {
                upload[EFFECT + at..EFFECT + at + 2].copy_from_slice(&word.to_ne_bytes());
            }
        }
    }

    fn answered(double: &NodeDouble, request: u32) -> (i32, i32) {
        let calls = double.calls();
        let Some(Call::Structure(last, bytes)) = calls.last() else { panic!("{calls:?}") };
        assert_eq!(*last, request);
        let part = |at: usize| i32::from_ne_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
        (part(0), part(4))
    }

    #[test]
    fn effects_are_uploaded_played_changed_and_erased() {
        let double = NodeDouble::default();
        let mut pad = pad(&double);
        let rumble =
            |strong, weak, length_ms| Some(Feedback::Rumble(Rumble { strong, weak, length_ms }));
        let say = |kind, code, value| double.say(&record(0, 0, kind, code, value));
        say(EV_FF, 3, 1);
        assert_eq!(pad.poll().unwrap(), None, "nothing was uploaded");
        double.answer(UI_BEGIN_FF_UPLOAD, effect(0x50, 3, 500, 7, 8));
        say(EV_UINPUT, FF_UPLOAD, 41);
        assert_eq!(pad.poll().unwrap(), None);
        assert_eq!(answered(&double, UI_END_FF_UPLOAD), (41, 0));
        say(EV_FF, 3, 1);
        assert_eq!(pad.poll().unwrap(), rumble(7, 8, 500));
        // One that plays is changed; it has no end.
        double.answer(UI_BEGIN_FF_UPLOAD, effect(0x50, 3, 0, 9, 8));
        say(EV_UINPUT, FF_UPLOAD, 42);
        assert_eq!(pad.poll().unwrap(), rumble(9, 8, u16::MAX));
        // Others are refused, and change nothing.
        for bad in [effect(0x51, 3, 1, 1, 1), effect(0x50, 16, 1, 1, 1)] {
            double.answer(UI_BEGIN_FF_UPLOAD, bad);
            say(EV_UINPUT, FF_UPLOAD, 43);
            assert_eq!(pad.poll().unwrap(), None);
            assert_eq!(answered(&double, UI_END_FF_UPLOAD), (43, -libc::EINVAL));
        }
        say(EV_FF, 4, 0);
        assert_eq!(pad.poll().unwrap(), None, "another one stops");
        double.answer(UI_BEGIN_FF_ERASE, |erase| erase[8] = 3);
        say(EV_UINPUT, FF_ERASE, 44);
        assert_eq!(pad.poll().unwrap(), rumble(0, 0, 0));
        assert_eq!(answered(&double, UI_END_FF_ERASE), (44, 0));
        say(EV_FF, 3, 1);
        say(7, 7, 7);
        assert_eq!(pad.poll().unwrap(), None);
    }

    #[test]
    fn a_pen_is_a_tablet_with_pressure_and_tilt() {
        let double = NodeDouble::default();
        double.answer(UI_GET_SYSNAME, |name| name[..6].copy_from_slice(b"input3"));
        let mut tablet = VirtualPen::make(Box::new(double.clone())).unwrap();
        let calls = double.calls();
        assert_eq!(calls[..2], [1, 3].map(|bit| number(UI_SET_EVBIT, bit)));
        assert_eq!(calls[18], number(UI_SET_PROPBIT, 1));
        assert_eq!(calls[20], Call::Plain(UI_DEV_CREATE));
        let state = |bits| PenState::new(bits).unwrap();
        let near = Pen { x: 5, y: 6, tilt: [-30, 40], state: state(1), ..Pen::default() };
        let drawn = Pen { pressure: 777, twist: 90, state: state(7), ..near };
        for pen in
            [near, near, drawn, Pen { state: state(9), pressure: 0, ..drawn }, Pen::default()]
        {
            tablet.set(&pen).unwrap();
        }
        let written: Vec<_> = double.written().iter().map(|bytes| events(bytes)).collect();
        let end = (0, 0, 0);
        assert_eq!(
            written,
            [
                vec![(3, 0, 5), (3, 1, 6), (3, 0x1a, -30), (3, 0x1b, 40), (1, 0x140, 1), end],
                vec![(3, 2, 90), (3, 0x18, 777), (1, 0x14a, 1), (1, 0x14b, 1), end],
                vec![(3, 0x18, 0), (1, 0x140, 0), (1, 0x141, 1), (1, 0x14a, 0), (1, 0x14b, 0), end],
                vec![(1, 0x141, 0), end],
            ]
        );
    }

    #[test]
    fn what_the_kernel_refuses_makes_no_device() {
        for at in 0..33 {
            let double = NodeDouble::default();
            double.answer(UI_GET_SYSNAME, |name| name[..6].copy_from_slice(b"input1"));
            double.fail_at(at);
            assert!(VirtualPad::make(Box::new(double.clone())).is_err(), "call {at}");
            assert_eq!(double.calls().len(), at + 1, "nothing follows call {at}");
        }
        let double = NodeDouble::default();
        double.answer(UI_GET_SYSNAME, |name| name[..5].copy_from_slice(b"../.."));
        assert!(VirtualPad::make(Box::new(double)).is_err(), "a name that is a path");
    }
}
