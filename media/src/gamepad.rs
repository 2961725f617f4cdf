//! Gamepads by the standard mapping (W3C Gamepad §"Remapping").

/// Gamepads that a session has room for.
pub const MOST_PADS: usize = 4;

/// Which gamepad: 0 to 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pad(u8);

impl Pad {
    /// All that there can be.
    pub const ALL: [Self; MOST_PADS] = [Self(0), Self(1), Self(2), Self(3)];

    /// The one of this number.
    pub fn new(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its place in a list of [`MOST_PADS`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Buttons that are down, a bit each, numbered as in the standard mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PadButtons(u32);

impl PadButtons {
    /// The lower one of the right cluster (A, cross).
    pub const SOUTH: u32 = 1;
    /// The right one (B, circle).
    pub const EAST: u32 = 1 << 1;
    /// The left one (X, square).
    pub const WEST: u32 = 1 << 2;
    /// The upper one (Y, triangle).
    pub const NORTH: u32 = 1 << 3;
    /// The left shoulder.
    pub const LEFT_SHOULDER: u32 = 1 << 4;
    /// The right shoulder.
    pub const RIGHT_SHOULDER: u32 = 1 << 5;
    /// Left of the middle (back, select, share).
    pub const SELECT: u32 = 1 << 8;
    /// Right of the middle (start, options).
    pub const START: u32 = 1 << 9;
    /// The left stick, pressed.
    pub const LEFT_STICK: u32 = 1 << 10;
    /// The right stick, pressed.
    pub const RIGHT_STICK: u32 = 1 << 11;
    /// Up of the directional pad.
    pub const UP: u32 = 1 << 12;
    /// Down.
    pub const DOWN: u32 = 1 << 13;
    /// Left.
    pub const LEFT: u32 = 1 << 14;
    /// Right.
    pub const RIGHT: u32 = 1 << 15;
    /// The middle one (guide, home).
    pub const GUIDE: u32 = 1 << 16;
    /// All that the mapping has. Bits 6 and 7 are the triggers, where they count as pressed.
    pub const EVERY: u32 = (1 << 17) - 1;

    /// These; none where a bit stands for no button.
    pub const fn new(bits: u32) -> Option<Self> {
        if bits & !Self::EVERY == 0 { Some(Self(bits)) } else { None }
    }

    /// A bit each.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether this one is down.
    pub const fn is_down(self, button: u32) -> bool {
        self.0 & button != 0
    }
}

/// Everything that a gamepad says. The default is a pad that nobody touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PadState {
    /// Buttons that are down.
    pub buttons: PadButtons,
    /// Left stick across and down, right stick across and down; negative is left and up.
    pub axes: [i16; 4],
    /// Left and right trigger, 0 to 255.
    pub triggers: [u8; 2],
}

/// Whether a gamepad is there, and what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Plug {
    /// It is not there.
    #[default]
    Out,
    /// It says what the standard mapping has.
    Standard,
    /// A DualSense, which says how it moves and what lies on its touchpad, too.
    DualSense,
}

impl Plug {
    /// The one of this number.
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Out),
            1 => Some(Self::Standard),
            2 => Some(Self::DualSense),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// How a DualSense is to look and feel. What is absent is as its maker left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PadEffects {
    /// Red, green, blue.
    pub light: Option<[u8; 3]>,
    /// A bit for each light below the touchpad.
    pub players: Option<u8>,
    /// The left trigger: a mode, and what it is given.
    pub left: Option<[u8; 11]>,
    /// The same of the right one.
    pub right: Option<[u8; 11]>,
}

impl PadEffects {
    /// The same with what `newer` has.
    #[must_use]
    pub fn with(self, newer: Self) -> Self {
        Self {
            light: newer.light.or(self.light),
            players: newer.players.or(self.players),
            left: newer.left.or(self.left),
            right: newer.right.or(self.right),
        }
    }
}

/// What a game wants a gamepad to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rumble {
    /// Of the heavy, slow motor, 0 to 65535.
    pub strong: u16,
    /// Of the light, fast one.
    pub weak: u16,
    /// Milliseconds from now on; it ends by itself then.
    pub length_ms: u16,
}
