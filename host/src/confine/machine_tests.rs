use super::*;
use proptest::prelude::*;

const T0: MediaTime = MediaTime::ZERO;

fn drain(machine: &mut Machine) -> Vec<Action> {
    std::iter::from_fn(|| machine.poll_action()).collect()
}

/// One that has taken these events at the origin of the clock, and the actions of the last.
fn after(events: &[Event]) -> (Machine, Vec<Action>) {
    let mut machine = Machine::new(Patience::default());
    let mut last = Vec::new();
    for event in events {
        machine.handle(T0, event.clone());
        last = drain(&mut machine);
    }
    (machine, last)
}

const TO_RUNNING: [Event; 5] =
    [Event::Start, Event::Opened, Event::DisplayReady, Event::Launch, Event::GameStarted];

fn running_then(events: &[Event]) -> (Machine, Vec<Action>) {
    after(&[TO_RUNNING.as_slice(), events].concat())
}

fn ended(machine: &Machine) -> End {
    match machine.phase() {
        Phase::Ended(end) => end,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_game_that_is_told_early_starts_with_the_display() {
    for place in 0..=2 {
        let mut events = vec![Event::Start, Event::Opened, Event::DisplayReady];
        events.insert(place, Event::Launch);
        let (machine, last) = after(&events);
        assert_eq!(last, [Action::StartGame], "{events:?}");
        assert_eq!(machine.phase(), Phase::Starting(Step::Game));
    }
}

#[test]
fn a_display_without_a_game_waits_for_ever() {
    let (machine, last) = after(&[Event::Start, Event::Opened, Event::DisplayReady]);
    assert_eq!((machine.phase(), last.len(), machine.poll_timeout()), (Phase::Waiting, 0, None));
}

#[test]
fn a_suspended_game_runs_again_before_it_is_asked_to_end() {
    let (mut machine, last) = running_then(&[Event::Suspend, Event::Stop]);
    assert_eq!(last, [Action::Thaw, Action::Terminate]);
    machine.handle(T0, Event::GameEnded(Exit::Signal(15)));
    assert_eq!(drain(&mut machine), [Action::Kill]);
    machine.handle(T0, Event::Gone);
    assert_eq!(ended(&machine), End { how: How::Stopped, gone: true });
}

#[test]
fn a_game_that_does_not_heed_is_killed_and_a_process_that_stays_is_told() {
    let patience = Patience::default();
    let (mut machine, _) = running_then(&[Event::Stop]);
    machine.handle(T0 + patience.grace - Duration::from_nanos(1), Event::Timeout);
    assert_eq!(drain(&mut machine), []);
    machine.handle(T0 + patience.grace, Event::Timeout);
    assert_eq!(drain(&mut machine), [Action::Kill]);
    machine.handle(T0 + patience.grace + patience.kill, Event::Timeout);
    assert_eq!(ended(&machine), End { how: How::Killed, gone: false });
}

#[test]
fn each_start_that_takes_too_long_is_named() {
    let patience = Patience::default();
    let steps = [
        (1, patience.open, Step::Sandbox),
        (2, patience.display, Step::Display),
        (4, patience.game, Step::Game),
    ];
    for (events, limit, step) in steps {
        let (mut machine, _) = after(&TO_RUNNING[..events]);
        assert_eq!(machine.phase(), Phase::Starting(step));
        assert_eq!(machine.poll_timeout(), Some(T0 + limit));
        machine.handle(T0 + limit, Event::Timeout);
        assert_eq!(drain(&mut machine), [Action::Kill]);
        machine.handle(T0 + limit, Event::Gone);
        assert_eq!(ended(&machine).how, How::TooLate(step));
    }
}

#[test]
fn the_first_reason_stays() {
    let (mut machine, last) =
        running_then(&[Event::DisplayEnded(Exit::Signal(9)), Event::GameEnded(Exit::Code(1))]);
    assert_eq!(last, [], "it is killed once");
    machine.handle(T0, Event::Gone);
    assert_eq!(ended(&machine).how, How::DisplayEnded(Exit::Signal(9)));
    let (mut machine, _) = running_then(&[Event::GameEnded(Exit::Code(3)), Event::Stop]);
    machine.handle(T0, Event::Gone);
    assert_eq!(ended(&machine).how, How::Exited(Exit::Code(3)));
}

#[test]
fn a_game_that_is_being_started_is_suspended_as_soon_as_it_runs() {
    for place in 0..=4 {
        let mut events = TO_RUNNING.to_vec();
        events.insert(place, Event::Suspend);
        let (machine, last) = after(&events);
        assert_eq!((machine.phase(), last), (Phase::Suspended, vec![Action::Freeze]), "{place}");
        events.insert(place + 1, Event::Resume);
        assert_eq!(after(&events).0.phase(), Phase::Running, "{place}");
    }
}

#[test]
fn a_game_that_is_being_started_is_asked_to_end() {
    let (mut machine, last) = after(&[&TO_RUNNING[..4], &[Event::Stop]].concat());
    assert_eq!(last, [Action::Terminate]);
    machine.handle(T0, Event::GameStarted);
    machine.handle(T0, Event::GameEnded(Exit::Signal(15)));
    assert_eq!(drain(&mut machine), [Action::Kill]);
    machine.handle(T0, Event::Gone);
    assert_eq!(ended(&machine).how, How::Stopped);
    let failed = Event::GameFailed("none".into());
    let (mut machine, last) = after(&[&TO_RUNNING[..4], &[Event::Stop, failed]].concat());
    assert_eq!(last, [Action::Kill]);
    machine.handle(T0, Event::Gone);
    assert_eq!(ended(&machine).how, How::Failed(Step::Game, "none".into()));
}

#[test]
fn what_cannot_be_frozen_runs_on() {
    let (machine, last) = running_then(&[Event::Suspend, Event::FreezeFailed]);
    assert_eq!((machine.phase(), last), (Phase::Running, vec![Action::Thaw]));
}

#[test]
fn nothing_is_left_of_what_never_began() {
    for event in [Event::Stop, Event::Kill] {
        let (machine, last) = after(&[event]);
        assert_eq!((ended(&machine), last.len()), (End { how: How::Killed, gone: true }, 0));
    }
    let (machine, _) = after(&[Event::Start, Event::OpenFailed("no".into())]);
    assert_eq!(ended(&machine).how, How::Failed(Step::Sandbox, "no".into()));
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Timeout),
        3 => Just(Event::Start),
        3 => Just(Event::Opened),
        1 => Just(Event::OpenFailed("x".into())),
        3 => Just(Event::DisplayReady),
        1 => Just(Event::DisplayFailed("x".into())),
        1 => Just(Event::DisplayEnded(Exit::Code(1))),
        3 => Just(Event::Launch),
        3 => Just(Event::GameStarted),
        1 => Just(Event::GameFailed("x".into())),
        1 => Just(Event::GameEnded(Exit::Code(0))),
        4 => Just(Event::Suspend),
        2 => Just(Event::Resume),
        1 => Just(Event::FreezeFailed),
        1 => Just(Event::Stop),
        1 => Just(Event::Kill),
        1 => Just(Event::Gone),
    ]
}

proptest! {
    #[test]
    fn every_sequence_keeps_the_promises(
        begun in 0..=TO_RUNNING.len(),
        steps in proptest::collection::vec((events(), 0_u64..4_000), 1..40),
    ) {
        let begun = TO_RUNNING.iter().take(begun).map(|event| (event.clone(), 0));
        let mut machine = Machine::new(Patience::default());
        let (mut now, mut seen) = (T0, Vec::new());
        let mut frozen = false;
        for (event, millis) in begun.chain(steps) {
            now = now + Duration::from_millis(millis);
            let before = machine.phase();
            machine.handle(now, event.clone());
            let actions = drain(&mut machine);
            if let Phase::Ended(_) = before {
                prop_assert_eq!((&machine.phase(), actions.len()), (&before, 0), "{:?}", event);
                prop_assert_eq!(machine.poll_timeout(), None);
            }
            for action in actions {
                match action {
                    Action::Freeze => {
                        prop_assert!(!frozen);
                        frozen = true;
                    }
                    Action::Thaw => {
                        prop_assert!(frozen);
                        frozen = false;
                    }
                    Action::Terminate => prop_assert!(!frozen),
                    Action::Kill => frozen = false,
                    Action::Open | Action::StartDisplay | Action::StartGame => {}
                }
                prop_assert!(
                    !seen.contains(&Action::Kill),
                    "{:?} after the kill", action
                );
                if !matches!(action, Action::Freeze | Action::Thaw) {
                    prop_assert!(!seen.contains(&action), "{:?} twice", action);
                }
                seen.push(action);
            }
            let ended = matches!(machine.phase(), Phase::Ended(_));
            prop_assert_eq!(frozen && !ended, machine.phase() == Phase::Suspended);
        }
        // Whatever state that was, a stop ends it though nothing answers.
        machine.handle(now, Event::Stop);
        for _ in 0..2 {
            if let Some(until) = machine.poll_timeout() {
                machine.handle(until, Event::Timeout);
            }
        }
        prop_assert!(matches!(machine.phase(), Phase::Ended(_)), "{:?}", machine);
    }

    #[test]
    fn no_timeout_comes_early(steps in proptest::collection::vec(events(), 1..40)) {
        let mut machine = Machine::new(Patience::default());
        for event in steps {
            machine.handle(T0, event);
            let before = machine.phase();
            if machine.poll_timeout().is_some() {
                machine.handle(T0, Event::Timeout);
                prop_assert_eq!(machine.phase(), before);
            }
        }
    }
}
