//! Pens, and what gamepads say beyond the standard mapping.

/// A pen, all of it (W3C Pointer Events §"PointerEvent"). The default is one that is nowhere near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pen {
    /// Across, as in [`InputEvent::PointerAbsolute`](crate::InputEvent::PointerAbsolute).
    pub x: u16,
    /// Down.
    pub y: u16,
    /// 0 to 65535; 0 while it does not touch.
    pub pressure: u16,
    /// Degrees from upright to the right and to the user, -90 to 90.
    pub tilt: [i8; 2],
    /// Degrees that it is turned clockwise around itself, 0 to 359.
    pub twist: u16,
    /// What it does.
    pub state: PenState,
}

/// What a pen does, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PenState(u8);

impl PenState {
    /// It is near enough to point.
    pub const NEAR: u8 = 1;
    /// It touches.
    pub const TIP: u8 = 1 << 1;
    /// Its button is pressed.
    pub const BARREL: u8 = 1 << 2;
    /// Its other end points.
    pub const ERASER: u8 = 1 << 3;

    /// These; none where a bit stands for nothing, and of a pen that is not near.
    pub const fn new(bits: u8) -> Option<Self> {
        if bits & !0xf == 0 && (bits == 0 || bits & Self::NEAR != 0) {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// A bit each.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether it does this.
    pub const fn has(self, what: u8) -> bool {
        self.0 & what != 0
    }
}

/// How a gamepad moves. A newer one replaces it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PadMotion {
    /// Around the axes to the right, up and to the player, in 1/16 degree a second.
    pub gyro: [i16; 3],
    /// Along them, in 1/8192 of what makes things fall.
    pub accel: [i16; 3],
    /// The gamepad's own clock in microseconds, which wraps.
    pub time_us: u32,
}

/// What lies on a gamepad's touchpad, all of it. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PadTouch {
    /// The touchpad is pressed down.
    pub pressed: bool,
    /// Its two fingers.
    pub fingers: [Option<PadFinger>; 2],
}

/// A finger on a touchpad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PadFinger {
    /// Counts contacts, 0 to 127.
    pub contact: u8,
    /// 0 is the left edge, 65535 the other.
    pub x: u16,
    /// And the upper one.
    pub y: u16,
}

impl Pen {
    /// Bytes on the wire.
    pub(crate) const BYTES: usize = 11;

    pub(crate) fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, (&'static str, u32)> {
        let &[a, b, c, d, e, f, right, down, g, h, state] = bytes;
        let (tilt, twist) = ([right, down].map(u8::cast_signed), u16::from_le_bytes([g, h]));
        if let Some(bad) = tilt.into_iter().find(|degrees| !(-90..=90).contains(degrees)) {
            return Err(("tilt", bad.unsigned_abs().into()));
        }
        if twist >= 360 {
            return Err(("twist", twist.into()));
        }
        Ok(Self {
            x: u16::from_le_bytes([a, b]),
            y: u16::from_le_bytes([c, d]),
            pressure: u16::from_le_bytes([e, f]),
            tilt,
            twist,
            state: PenState::new(state).ok_or(("pen's state", state.into()))?,
        })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for part in [self.x, self.y, self.pressure] {
            out.extend_from_slice(&part.to_le_bytes());
        }
        out.extend(self.tilt.map(i8::cast_unsigned));
        out.extend_from_slice(&self.twist.to_le_bytes());
        out.push(self.state.bits());
    }
}

impl PadMotion {
    /// Bytes on the wire.
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<2>();
        let word = |at: usize| i16::from_le_bytes(words[at]);
        Self {
            gyro: std::array::from_fn(word),
            accel: std::array::from_fn(|at| word(3 + at)),
            time_us: u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for part in self.gyro.into_iter().chain(self.accel) {
            out.extend_from_slice(&part.to_le_bytes());
        }
        out.extend_from_slice(&self.time_us.to_le_bytes());
    }
}

impl PadTouch {
    /// Bytes on the wire.
    pub(crate) const BYTES: usize = 11;
    /// In place of a contact: there is no finger, and its place is zero.
    const NONE: [u8; 5] = [0xff, 0, 0, 0, 0];

    pub(crate) fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, (&'static str, u32)> {
        let [pressed, ref fingers @ ..] = *bytes;
        if pressed > 1 {
            return Err(("pressed", pressed.into()));
        }
        let mut touch = Self { pressed: pressed == 1, ..Self::default() };
        for (finger, &bytes) in touch.fingers.iter_mut().zip(fingers.as_chunks::<5>().0) {
            if bytes == Self::NONE {
                continue;
            }
            let [contact, a, b, c, d] = bytes;
            if contact > 0x7f {
                return Err(("contact", contact.into()));
            }
            let (x, y) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
            *finger = Some(PadFinger { contact, x, y });
        }
        Ok(touch)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.pressed.into());
        for finger in self.fingers {
            let Some(PadFinger { contact, x, y }) = finger else {
                out.extend(Self::NONE);
                continue;
            };
            out.push(contact);
            out.extend_from_slice(&x.to_le_bytes());
            out.extend_from_slice(&y.to_le_bytes());
        }
    }
}
