//! The long-term references of OpenH264, by which it does what hardware does with its whole buffer. Pure.
//!
//! OpenH264 codes a picture from the one before it, or from the one long-term reference that was confirmed.
//! It marks one now and then by itself. The double confirms it once it is older than every picture that
//! hardware could still be told to go back to: whoever has one of those has this one too. So where
//! hardware codes from an older picture, OpenH264 codes from a still older one.

use crate::slice::SliceHeader;

/// A reference that is not confirmed.
struct Pending {
    /// `frame_num`, by which OpenH264 knows it.
    number: u32,
    /// The picture whose header marks it.
    by: u64,
}

/// What is known of OpenH264's long-term references.
#[derive(Default)]
pub(crate) struct LongTerm {
    /// The picture whose header marks the confirmed one.
    confirmed: Option<u64>,
    pending: Option<Pending>,
    /// `idr_pic_id` of the newest keyframe, without which OpenH264 takes no feedback.
    pub(crate) idr: u32,
}

impl LongTerm {
    /// A picture was coded.
    pub(crate) fn coded(&mut self, timestamp: u64, header: &SliceHeader) {
        if let Some(idr) = header.idr {
            *self = Self { confirmed: Some(timestamp), pending: None, idr };
        } else if let Some(number) = header.marked {
            self.pending = Some(Pending { number, by: timestamp });
        }
    }

    /// The `frame_num` of the reference that can be confirmed where nothing older than `oldest` will be gone
    /// back to.
    pub(crate) fn confirm(&mut self, oldest: u64) -> Option<u32> {
        let pending = self.pending.take_if(|pending| pending.by <= oldest)?;
        self.confirmed = Some(pending.by);
        Some(pending.number)
    }

    /// Whether who has the picture of this timestamp has the confirmed reference.
    pub(crate) fn is_held_with(&self, timestamp: u64) -> bool {
        self.confirmed.is_some_and(|confirmed| confirmed <= timestamp)
    }

    /// A picture goes back to the confirmed reference. The `frame_num` of the one that is to be given up,
    /// which may be lost.
    pub(crate) fn recover(&mut self) -> Option<u32> {
        self.pending.take().map(|pending| pending.number)
    }
}
