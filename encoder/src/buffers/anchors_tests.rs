//! The buffers alone; what libraries make of them is judged by `tests/recovery/`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const WHOLE: fn(Option<Slot>) -> Plan =
    |keep| Plan::Delta { last: true, golden: true, altref: false, keep };

fn lost(first: u64, last: u64) -> RangeInclusive<FrameId> {
    FrameId(first)..=FrameId(last)
}

/// A keyframe 0 and pictures up to `last`, coded as planned.
fn coded(last: u64) -> Anchors {
    let mut anchors = Anchors::new();
    code(&mut anchors, 0..=last);
    anchors
}

fn code(anchors: &mut Anchors, frames: RangeInclusive<u64>) {
    for frame in frames {
        let plan = anchors.plan(false);
        anchors.coded(FrameId(frame), plan == Plan::Key, plan);
    }
}

#[test]
fn golden_and_altref_take_turns() {
    let mut anchors = Anchors::new();
    assert_eq!(anchors.plan(false), Plan::Key, "the first picture");
    code(&mut anchors, 0..=0);
    assert_eq!(anchors.plan(false), WHOLE(None));
    code(&mut anchors, 1..=7);
    assert_eq!(anchors.plan(false), WHOLE(Some(Slot::AltRef)));
    code(&mut anchors, 8..=30);
    let waits = Plan::Delta { last: true, golden: true, altref: true, keep: None };
    assert_eq!(anchors.plan(false), waits, "nothing else is kept until it is answered");
    anchors.acknowledge(FrameId(7));
    assert_eq!(anchors.plan(false), waits);
    anchors.acknowledge(FrameId(12));
    let turned = Plan::Delta { last: true, golden: false, altref: true, keep: Some(Slot::Golden) };
    assert_eq!(anchors.plan(false), turned);
    assert_eq!(anchors.plan(true), Plan::Key);
}

fn back_to(base: u64) -> Recovery {
    Recovery::Invalidated { base: FrameId(base) }
}

#[test]
fn a_loss_is_made_good_from_what_was_acknowledged() {
    let mut anchors = coded(20);
    anchors.acknowledge(FrameId(10));
    code(&mut anchors, 21..=21);
    // 8 is confirmed in alt-ref, 21 waits in golden.
    assert_eq!(anchors.forget(&lost(19, 21)), back_to(8));
    let back = Plan::Delta { last: false, golden: false, altref: true, keep: Some(Slot::Golden) };
    assert_eq!(anchors.plan(false), back);
    assert_eq!(anchors.coded(FrameId(22), false, back), UnitKind::Recovery);
    let whole = Plan::Delta { last: true, golden: true, altref: true, keep: None };
    assert_eq!(anchors.plan(false), whole);
    assert_eq!(anchors.coded(FrameId(23), false, whole), UnitKind::Delta);
    assert_eq!(anchors.forget(&lost(19, 21)), Recovery::Nothing);
    // The recovery itself is lost as well.
    assert_eq!(anchors.forget(&lost(22, 22)), back_to(8));
    assert_eq!(anchors.plan(false), back);
}

#[test]
fn what_waits_from_before_a_loss_may_still_be_answered() {
    let mut anchors = coded(20);
    assert_eq!(anchors.forget(&lost(15, 15)), back_to(0));
    let back = Plan::Delta { last: false, golden: true, altref: false, keep: None };
    assert_eq!(anchors.plan(false), back, "8 waits in alt-ref");
    code(&mut anchors, 21..=21);
    assert_eq!(anchors.plan(false), WHOLE(None), "nothing comes from it any more");
    anchors.acknowledge(FrameId(14));
    let turned = Plan::Delta { last: true, golden: false, altref: true, keep: Some(Slot::Golden) };
    assert_eq!(anchors.plan(false), turned);
}

#[test]
fn without_acknowledgements_the_keyframe_helps_until_it_is_lost() {
    let mut anchors = coded(300);
    assert_eq!(anchors.forget(&lost(100, 300)), back_to(0));
    code(&mut anchors, 301..=301);
    assert_eq!(anchors.forget(&lost(0, 0)), Recovery::KeyframeNeeded);
    assert_eq!(anchors.forget(&lost(301, 301)), Recovery::KeyframeNeeded, "until one comes");
    assert_eq!(anchors.coded(FrameId(302), true, anchors.plan(true)), UnitKind::Key);
    assert_eq!(anchors.forget(&lost(0, 301)), Recovery::Nothing);
    assert_eq!(Anchors::new().forget(&lost(0, 9)), Recovery::Nothing);
}

/// Whether each buffer of the client's holds what the encoder's does.
#[derive(Clone, Copy, Debug, Default)]
struct Buffers {
    last: bool,
    golden: bool,
    altref: bool,
}

#[derive(Clone, Debug)]
enum Event {
    Code {
        arrives: bool,
    },
    Key {
        arrives: bool,
    },
    /// The client's newest good picture is acknowledged.
    Acknowledge,
    /// The encoder is told of every loss since it was last told.
    Tell,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => any::<bool>().prop_map(|arrives| Event::Code { arrives }),
        8 => Just(Event::Code { arrives: true }),
        1 => any::<bool>().prop_map(|arrives| Event::Key { arrives }),
        4 => Just(Event::Acknowledge),
        4 => Just(Event::Tell),
    ]
}

proptest! {
    /// Whatever is lost, and whenever it is told and acknowledged: a picture that arrives when every
    /// loss is told can be decoded, and a keyframe that arrived is the last one that is needed.
    #[test]
    fn what_arrives_after_a_loss_was_told_is_clean(
        events in proptest::collection::vec(event(), 1..400),
    ) {
        let mut anchors = Anchors::new();
        let mut buffers = Buffers::default();
        let (mut next, mut decoded) = (0, BTreeSet::new());
        let (mut untold, mut needs_key, mut key_arrived) = (BTreeSet::new(), false, false);
        for event in events {
            match event {
                Event::Acknowledge => {
                    if let Some(frame) = decoded.last() {
                        anchors.acknowledge(FrameId(*frame));
                    }
                }
                Event::Tell => {
                    let (Some(first), Some(last)) = (untold.first(), untold.last()) else {
                        continue;
                    };
                    let answer = anchors.forget(&lost(*first, *last));
                    untold.clear();
                    match answer {
                        Recovery::KeyframeNeeded => {
                            prop_assert!(!key_arrived, "a keyframe arrived, and is there still");
                            needs_key = true;
                        }
                        Recovery::Invalidated { base } => {
                            prop_assert!(decoded.contains(&base.0), "{:?} is no base", base);
                        }
                        other => prop_assert!(false, "{:?}, but the picture is broken", other),
                    }
                }
                Event::Code { arrives } | Event::Key { arrives } => {
                    let plan = anchors.plan(needs_key || matches!(event, Event::Key { .. }));
                    let kind = anchors.coded(FrameId(next), plan == Plan::Key, plan);
                    prop_assert_eq!(kind == UnitKind::Key, plan == Plan::Key);
                    let decodes = match plan {
                        Plan::Key => true,
                        Plan::Delta { last, golden, altref, .. } => {
                            (buffers.last || !last)
                                && (buffers.golden || !golden)
                                && (buffers.altref || !altref)
                        }
                    };
                    let good = arrives && decodes;
                    buffers.last = good;
                    match plan {
                        Plan::Key => {
                            buffers = Buffers { last: good, golden: good, altref: good };
                            (needs_key, key_arrived) = (false, arrives);
                            // Earlier losses concern nothing any more.
                            untold.clear();
                        }
                        Plan::Delta { keep: Some(Slot::Golden), .. } => buffers.golden = good,
                        Plan::Delta { keep: Some(Slot::AltRef), .. } => buffers.altref = good,
                        Plan::Delta { keep: None, .. } => {}
                    }
                    if arrives && untold.is_empty() {
                        prop_assert!(decodes, "picture {} as {:?}", next, plan);
                    }
                    if good {
                        decoded.insert(next);
                    }
                    if !arrives {
                        untold.insert(next);
                    }
                    next += 1;
                }
            }
        }
    }
}
