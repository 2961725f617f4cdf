//! What is in the encoder, and which pictures it knows. Pure.
//!
//! A picture: [`submit`](Pictures::submit) → waits → [`next`](Pictures::next) → is read →
//! [`finish`](Pictures::finish) → its unit waits → [`poll`](Pictures::poll). While it is read,
//! [parts](Pictures::part) of its unit may come before. Bound: [`PICTURES`] over all of these, and what comes
//! beyond is for the caller to skip. So the output buffer of a picture, which is its number modulo the bound, is
//! free once the picture may be submitted.

use std::collections::VecDeque;

use media::MemoryId;

/// Pictures that are in the encoder at most, and output buffers.
pub(crate) const PICTURES: usize = 4;
/// Parts of each unit that there is room for from the beginning: as many as slices are asked for at most.
const PARTS: usize = 4;

/// Memory that is known to the encoder at most. Sources have rings of three or four slots, and a new
/// ring when their size changes.
pub(crate) const REGISTERED: usize = 8;

/// Pictures on their way, and units that nobody fetched yet.
#[derive(Debug)]
pub(crate) struct Pictures<P, U> {
    waiting: VecDeque<P>,
    reading: bool,
    /// Units and parts of them, with whether more of the same picture comes.
    done: VecDeque<(U, bool)>,
    submitted: usize,
}

impl<P, U> Pictures<P, U> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: VecDeque::with_capacity(PICTURES),
            reading: false,
            done: VecDeque::with_capacity(PICTURES * PARTS),
            submitted: 0,
        }
    }

    /// The output buffer for one more picture; none where there is no room for it.
    pub(crate) fn room(&self) -> Option<usize> {
        let whole = self.done.iter().filter(|(_, more)| !more).count();
        let all = self.unread() + whole;
        (all < PICTURES).then_some(self.submitted % PICTURES)
    }

    /// Pictures whose units are still to come.
    pub(crate) fn unread(&self) -> usize {
        self.waiting.len() + usize::from(self.reading)
    }

    /// A picture is in the encoder, for which there was [`room`](Self::room).
    pub(crate) fn submit(&mut self, picture: P) {
        self.waiting.push_back(picture);
        self.submitted = self.submitted.wrapping_add(1);
    }

    /// The oldest picture, to be read and [finished](Self::finish).
    pub(crate) fn next(&mut self) -> Option<P> {
        let next = self.waiting.pop_front();
        self.reading = next.is_some();
        next
    }

    /// A part of the picture that is being read.
    pub(crate) fn part(&mut self, part: U) {
        self.done.push_back((part, true));
    }

    /// What came of the picture that was read.
    pub(crate) fn finish(&mut self, unit: U) {
        self.reading = false;
        self.done.push_back((unit, false));
    }

    /// The oldest unit or part.
    pub(crate) fn poll(&mut self) -> Option<U> {
        self.done.pop_front().map(|(unit, _)| unit)
    }
}

/// Memory that was registered once and is used again and again.
#[derive(Debug)]
pub(crate) struct Registry<T> {
    entries: Vec<Entry<T>>,
    uses: u64,
}

#[derive(Debug)]
struct Entry<T> {
    id: MemoryId,
    value: T,
    /// Pictures in the encoder that lie in it.
    users: u32,
    /// Grows from use to use.
    used: u64,
}

/// All that is registered is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<T> Registry<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::with_capacity(REGISTERED), uses: 0 }
    }

    /// What is registered of this memory.
    pub(crate) fn get(&self, id: MemoryId) -> Option<&T> {
        self.entries.iter().find(|entry| entry.id == id).map(|entry| &entry.value)
    }

    /// Whether a picture in this memory is in the encoder.
    pub(crate) fn is_used(&self, id: MemoryId) -> bool {
        self.entries.iter().any(|entry| entry.id == id && entry.users > 0)
    }

    /// A picture in this memory goes into the encoder.
    pub(crate) fn begin(&mut self, id: MemoryId) {
        self.uses += 1;
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.users += 1;
            entry.used = self.uses;
        }
    }

    /// It is out of it.
    pub(crate) fn end(&mut self, id: MemoryId) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.users = entry.users.saturating_sub(1);
        }
    }

    /// Makes room for one more by giving up the one that was used longest ago, where need be.
    ///
    /// # Errors
    /// [`Full`] where none may be given up.
    pub(crate) fn make_room(&mut self) -> Result<Option<T>, Full> {
        if self.entries.len() < REGISTERED {
            return Ok(None);
        }
        let idle = self.entries.iter().filter(|entry| entry.users == 0);
        let id = idle.min_by_key(|entry| entry.used).map(|entry| entry.id).ok_or(Full)?;
        Ok(self.remove(id))
    }

    /// Keeps what was registered, for which there was room.
    pub(crate) fn insert(&mut self, id: MemoryId, value: T) {
        self.uses += 1;
        self.entries.push(Entry { id, value, users: 0, used: self.uses });
    }

    /// Gives one up, unless it is in use.
    pub(crate) fn remove(&mut self, id: MemoryId) -> Option<T> {
        let at = self.entries.iter().position(|entry| entry.id == id && entry.users == 0)?;
        Some(self.entries.swap_remove(at).value)
    }

    /// Gives all of it up, when nothing is in use any more.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.entries.drain(..).map(|entry| entry.value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Two pictures in the encoder never share an output, units come in order, and the bound holds.
        #[test]
        fn an_output_is_used_by_one_picture_at_a_time(
            steps in prop::collection::vec(0_u8..4, 1..200),
        ) {
            let mut pictures = Pictures::new();
            let (mut number, mut polled, mut reading) = (0_u32, 0_u32, None);
            let mut outputs = VecDeque::new();
            for step in steps {
                match step {
                    0 | 1 => match pictures.room() {
                        Some(output) => {
                            prop_assert!(!outputs.contains(&output));
                            outputs.push_back(output);
                            pictures.submit(number);
                            number += 1;
                        }
                        None => prop_assert_eq!(outputs.len(), PICTURES),
                    },
                    2 => match reading.take() {
                        Some(picture) => pictures.finish(picture),
                        None => reading = pictures.next(),
                    },
                    _ => {
                        if let Some(unit) = pictures.poll() {
                            prop_assert_eq!(unit, polled);
                            polled += 1;
                            outputs.pop_front();
                        }
                    }
                }
                prop_assert!((number - polled) as usize <= PICTURES);
            }
        }

        /// However many parts of a picture wait, it takes one place, until the last of it is fetched.
        #[test]
        fn parts_take_no_places(parts in prop::collection::vec(0_usize..6, PICTURES)) {
            let mut pictures = Pictures::new();
            for &parts in &parts {
                prop_assert!(pictures.room().is_some());
                pictures.submit(parts);
                prop_assert_eq!(pictures.next(), Some(parts));
                (0..parts).for_each(|part| pictures.part(part));
                prop_assert_eq!(pictures.unread(), 1);
                pictures.finish(parts);
            }
            for &parts in &parts {
                for part in 0..parts {
                    prop_assert_eq!(pictures.poll(), Some(part));
                    prop_assert_eq!(pictures.room(), None);
                }
                prop_assert_eq!(pictures.poll(), Some(parts));
                prop_assert!(pictures.room().is_some());
                pictures.submit(0);
                prop_assert_eq!(pictures.next(), Some(0));
                pictures.finish(0);
                prop_assert_eq!(pictures.room(), None);
            }
        }

        /// No memory goes that a picture lies in, and the one used longest ago goes first.
        #[test]
        fn memory_in_use_stays(steps in prop::collection::vec((any::<bool>(), 0_u64..12), 1..300)) {
            let mut registry = Registry::new();
            let mut users = [0_u32; 12];
            let mut last: Vec<u64> = Vec::new();
            for (begin, number) in steps {
                let id = MemoryId(number);
                if !begin {
                    if users[number as usize] > 0 {
                        users[number as usize] -= 1;
                        registry.end(id);
                    }
                    continue;
                }
                if registry.get(id).is_none() {
                    match registry.make_room() {
                        Ok(Some(gone)) => {
                            prop_assert_eq!(users[gone as usize], 0);
                            let oldest = last.iter().find(|number| users[**number as usize] == 0);
                            prop_assert_eq!(oldest, Some(&gone));
                            last.retain(|number| *number != gone);
                        }
                        Ok(None) => {}
                        Err(Full) => {
                            prop_assert!(last.iter().all(|number| users[*number as usize] > 0));
                            continue;
                        }
                    }
                    registry.insert(id, number);
                }
                registry.begin(id);
                users[number as usize] += 1;
                last.retain(|known| *known != number);
                last.push(number);
                prop_assert!(last.len() <= REGISTERED);
                prop_assert_eq!(registry.get(id), Some(&number));
            }
        }
    }

    #[test]
    fn what_is_in_use_is_not_removed() {
        let (mut registry, id) = (Registry::new(), MemoryId(7));
        registry.insert(id, 'a');
        assert!(!registry.is_used(id));
        registry.begin(id);
        registry.begin(id);
        assert!(registry.is_used(id));
        assert_eq!(registry.remove(id), None);
        registry.end(id);
        assert_eq!(registry.remove(id), None);
        registry.end(id);
        assert_eq!(registry.remove(id), Some('a'));
        assert!(registry.get(id).is_none() && registry.drain().next().is_none());
    }
}
