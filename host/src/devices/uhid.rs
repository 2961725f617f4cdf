//! A DualSense by `uhid`: the kernel's own driver takes it for a real one.

use std::io;
use std::os::fd::BorrowedFd;

use super::dualsense::{DESCRIPTOR, DualSenseState, Orders, feature, orders, report};
use super::node::Node;

/// Types of events (`linux/uhid.h`).
const DESTROY: u32 = 1;
const OUTPUT: u32 = 6;
const GET_REPORT: u32 = 9;
const GET_REPORT_REPLY: u32 = 10;
const CREATE2: u32 = 11;
const INPUT2: u32 = 12;
const SET_REPORT: u32 = 13;
const SET_REPORT_REPLY: u32 = 14;
/// `UHID_DATA_MAX`, `HID_MAX_DESCRIPTOR_SIZE`.
const DATA: usize = 4096;
/// Bytes of a `struct uhid_event`: the type, and `struct uhid_create2_req` as the largest of its union, which is filled up
/// to a multiple of eight.
const EVENT: usize = 4 + (128 + 64 + 64 + 2 + 2 + 4 * 4 + DATA).next_multiple_of(8);
/// `BUS_USB`, and who it is.
const BUS_USB: u16 = 3;
const SONY: u32 = 0x054c;
const DUALSENSE: u32 = 0x0ce6;
const VERSION: u32 = 0x0100;
/// `UHID_FEATURE_REPORT`.
const FEATURE: u8 = 0;

/// What a game wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To be like this from now on.
    Orders(Orders),
}

/// See the module.
pub struct VirtualDualSense {
    node: Box<dyn Node>,
    address: [u8; 6],
    count: u8,
}

impl VirtualDualSense {
    /// Makes one. Its address tells it from others of the machine.
    ///
    /// # Errors
    /// The kernel's.
    pub fn make(mut node: Box<dyn Node>, address: [u8; 6]) -> io::Result<Self> {
        let mut event = vec![0; EVENT];
        event[..4].copy_from_slice(&CREATE2.to_ne_bytes());
        let name = b"Sony Interactive Entertainment DualSense Wireless Controller";
        event[4..4 + name.len()].copy_from_slice(name);
        // Its physical place stays empty; what follows is what tells it from others.
        let unique = unique(address);
        event[196..196 + unique.len()].copy_from_slice(unique.as_bytes());
        event[260..262].copy_from_slice(&(DESCRIPTOR.len() as u16).to_ne_bytes());
        event[262..264].copy_from_slice(&BUS_USB.to_ne_bytes());
        for (at, word) in [SONY, DUALSENSE, VERSION, 0].into_iter().enumerate() {
            event[264 + 4 * at..268 + 4 * at].copy_from_slice(&word.to_ne_bytes());
        }
        event[280..280 + DESCRIPTOR.len()].copy_from_slice(&DESCRIPTOR);
        node.write(&event)?;
        Ok(Self { node, address, count: 0 })
    }

    /// It is like this now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set(&mut self, state: &DualSenseState) -> io::Result<()> {
        let report = report(state, self.count);
        self.count = self.count.wrapping_add(1);
        let mut event = vec![0; 6];
        event[..4].copy_from_slice(&INPUT2.to_ne_bytes());
        event[4..].copy_from_slice(&(report.len() as u16).to_ne_bytes());
        event.extend_from_slice(&report);
        self.node.write(&event)
    }

    /// What tells it from others, as the kernel shows it.
    pub fn unique(&self) -> String {
        unique(self.address)
    }

    /// What becomes readable when there is something to [`poll`](Self::poll) for.
    pub fn readable(&self) -> BorrowedFd<'_> {
        self.node.readable()
    }

    /// What the game wants next; nothing where it wants nothing more now. The driver's own questions are answered.
    ///
    /// # Errors
    /// The kernel's.
    pub fn poll(&mut self) -> io::Result<Option<Wanted>> {
        let mut event = vec![0; EVENT];
        while let Some(read) = self.node.read(&mut event)? {
            let Some((kind, body)) = event[..read].split_first_chunk() else { continue };
            match u32::from_ne_bytes(*kind) {
                // Data of 4096 bytes, their number, and what kind of report it is.
                OUTPUT if body.len() > DATA + 2 => {
                    let length = u16::from_ne_bytes([body[DATA], body[DATA + 1]]);
                    let told = body.get(..usize::from(length)).and_then(orders);
                    if let Some(told) = told {
                        return Ok(Some(Wanted::Orders(told)));
                    }
                }
                GET_REPORT if body.len() >= 6 => self.answer(
                    GET_REPORT_REPLY,
                    [body[0], body[1], body[2], body[3]],
                    (body[5] == FEATURE).then(|| feature(body[4], self.address)).flatten(),
                )?,
                // Nothing can be set.
                SET_REPORT if body.len() >= 4 => {
                    self.answer(SET_REPORT_REPLY, [body[0], body[1], body[2], body[3]], None)?;
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whoever asked waits for it; without data it is refused.
    fn answer(&mut self, kind: u32, id: [u8; 4], data: Option<Vec<u8>>) -> io::Result<()> {
        let mut event = kind.to_ne_bytes().to_vec();
        event.extend_from_slice(&id);
        let refused = if data.is_some() { 0 } else { libc::EIO as u16 };
        event.extend_from_slice(&refused.to_ne_bytes());
        if kind == GET_REPORT_REPLY {
            let data = data.unwrap_or_default();
            event.extend_from_slice(&(data.len() as u16).to_ne_bytes());
            event.extend_from_slice(&data);
        }
        self.node.write(&event)
    }
}

/// An address as the driver writes it, from its last byte on.
fn unique(address: [u8; 6]) -> String {
    let bytes: Vec<_> = address.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

impl Drop for VirtualDualSense {
    fn drop(&mut self) {
        // The kernel takes it away with the node, too.
        let _ = self.node.write(&DESTROY.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use media::PadEffects;

    use super::super::double::NodeDouble;
    use super::*;

    const ADDRESS: [u8; 6] = [1, 2, 3, 4, 5, 0x66];

    fn made() -> (NodeDouble, VirtualDualSense) {
        let double = NodeDouble::default();
        let pad = VirtualDualSense::make(Box::new(double.clone()), ADDRESS).unwrap();
        (double, pad)
    }

    fn newest(double: &NodeDouble) -> Vec<u8> {
        double.written().pop().unwrap()
    }

    #[test]
    fn it_is_made_as_a_real_one_by_usb() {
        let (double, pad) = made();
        let event = newest(&double);
        // `sizeof(struct uhid_event)` by gcc.
        assert_eq!((event.len(), &event[..4]), (4380, &11_u32.to_ne_bytes()[..]));
        assert!(
            event[4..]
                .starts_with(b"Sony Interactive Entertainment DualSense Wireless Controller\0")
        );
        assert!(event[196..].starts_with(b"66:05:04:03:02:01\0"));
        assert_eq!(event[260..264], [0x11, 1, 3, 0]);
        assert_eq!(event[264..280], [0x4c, 5, 0, 0, 0xe6, 0x0c, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(event[280..280 + 273], DESCRIPTOR);
        assert!(event[280 + 273..].iter().all(|&byte| byte == 0));
        drop(pad);
        assert_eq!(newest(&double), 1_u32.to_ne_bytes());
    }

    #[test]
    fn reports_are_counted_and_whole() {
        let (double, mut pad) = made();
        for count in [0, 1] {
            pad.set(&DualSenseState::default()).unwrap();
            let event = newest(&double);
            assert_eq!(event[..8], [12, 0, 0, 0, 64, 0, 1, 128]);
            assert_eq!((event.len(), event[13]), (6 + 64, count));
        }
    }

    #[test]
    fn the_drivers_questions_are_answered() {
        let (double, mut pad) = made();
        let ask = |kind: u32, number: u8, of: u8| {
            double.say(&[&kind.to_ne_bytes()[..], &[9, 8, 7, 6, number, of]].concat());
        };
        for (number, length) in [(5, 41), (9, 20), (0x20, 64)] {
            ask(9, number, 0);
            assert_eq!(pad.poll().unwrap(), None);
            let answer = newest(&double);
            assert_eq!(answer[..13], [10, 0, 0, 0, 9, 8, 7, 6, 0, 0, length, 0, number]);
            assert_eq!(answer.len(), 12 + usize::from(length));
        }
        // Another one, another kind, and what would set something.
        for (kind, number, of, reply) in [(9, 0x80, 0, 10), (9, 5, 1, 10), (13, 5, 0, 14)] {
            ask(kind, number, of);
            assert_eq!(pad.poll().unwrap(), None);
            assert_eq!(newest(&double)[..10], [reply, 0, 0, 0, 9, 8, 7, 6, 5, 0]);
        }
    }

    #[test]
    fn what_it_is_told_comes_out() {
        let (double, mut pad) = made();
        let mut event = vec![0; 4 + DATA + 3];
        event[0] = 6;
        event[4..8].copy_from_slice(&[2, 0, 4, 0]);
        event[4 + 45..4 + 48].copy_from_slice(&[7, 8, 9]);
        event[4 + DATA] = 63;
        double.say(&event);
        // Opened, too short, of no known type, longer than it can be: nothing of theirs.
        for other in [&[4, 0, 0, 0][..], &[6, 0, 0, 0, 2], &[99, 0, 0, 0], &[6, 0]] {
            double.say(other);
        }
        event[4 + DATA..4 + DATA + 2].copy_from_slice(&[0xff, 0xff]);
        double.say(&event);
        let effects = PadEffects { light: Some([7, 8, 9]), ..PadEffects::default() };
        let orders = Orders { effects, ..Orders::default() };
        assert_eq!(pad.poll().unwrap(), Some(Wanted::Orders(orders)));
        assert_eq!(pad.poll().unwrap(), None);
    }
}
