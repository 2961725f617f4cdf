use super::*;
use media::Exit;
use proptest::prelude::*;

/// By a client that has not said that it is hidden.
const CONNECTED: Event = Event::TransportConnected { visible: true };

fn at(seconds: u64) -> MediaTime {
    MediaTime::from_millis(seconds * 1_000)
}

fn drain(machine: &mut Machine) -> Vec<Action> {
    std::iter::from_fn(|| machine.poll_action()).collect()
}

fn entered(phase: Phase) -> Action {
    Action::Record(Record::Entered(phase))
}

/// A machine and the actions that each step caused.
struct Bench(Machine);

impl Bench {
    fn new() -> Self {
        Self(Machine::new(at(0), Limits::default()))
    }

    fn step(&mut self, seconds: u64, event: Event) -> Vec<Action> {
        self.0.handle(at(seconds), event);
        drain(&mut self.0)
    }

    fn starting() -> Self {
        let mut bench = Self::new();
        bench.step(0, Event::Admit(Decision::Granted));
        bench.step(0, Event::Start);
        bench
    }

    fn live() -> Self {
        let mut bench = Self::starting();
        bench.step(1, Event::Started);
        bench.step(1, CONNECTED);
        assert_eq!(bench.0.phase(), Phase::Live);
        bench
    }
}

fn notices(actions: &[Action]) -> Vec<&Notice> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::NotifyClient(notice) => Some(notice),
            _ => None,
        })
        .collect()
}

#[test]
fn a_session_from_the_first_to_the_last_action() {
    let mut bench = Bench::new();
    assert_eq!(bench.step(0, Event::Admit(Decision::Granted)), [entered(Phase::Admitted)]);
    assert_eq!(
        bench.step(1, Event::Start),
        [entered(Phase::Starting), Action::StartSource, Action::StartEncoder]
    );
    assert_eq!(bench.step(2, CONNECTED), []);
    assert_eq!(
        bench.step(3, Event::Started),
        [entered(Phase::Live), Action::Keyframe, Action::Resume]
    );
    let reason = EndReason::Stopped(StoppedBy::Client);
    assert_eq!(
        bench.step(60, Event::StopRequested(StoppedBy::Client)),
        [
            entered(Phase::Ending),
            Action::Suspend,
            Action::NotifyClient(Notice::Ended(reason.clone())),
            Action::CloseTransport,
            Action::StopAll
        ]
    );
    let summary = Summary {
        reason,
        requested: at(0),
        ended: at(61),
        live: Duration::from_secs(57),
        drain: Drain::Complete,
    };
    assert_eq!(
        bench.step(61, Event::Drained),
        [Action::Release, Action::Record(Record::Ended(summary))]
    );
    assert_eq!(bench.0.poll_timeout(), None);
}

#[test]
fn a_refused_session_ends_at_once_and_releases_nothing() {
    let mut bench = Bench::new();
    let actions = bench.step(0, Event::Admit(Decision::Refused(Refusal::Sessions { most: 4 })));
    assert!(matches!(actions[..], [Action::Record(Record::Ended(_))]), "{actions:?}");
    assert_eq!(bench.0.phase(), Phase::Ended);
    assert_eq!(bench.0.reason().map(EndReason::code), Some("refused_sessions"));
}

#[test]
fn a_grant_after_the_end_stays_with_the_driver() {
    let mut bench = Bench::new();
    bench.step(0, Event::StopRequested(StoppedBy::Client));
    let handled = bench.0.handle(at(1), Event::Admit(Decision::Granted));
    assert_eq!(handled, Handled::Ignored);
}

#[test]
fn a_session_that_never_began_only_gives_its_place_back() {
    let mut bench = Bench::new();
    bench.step(0, Event::Admit(Decision::Granted));
    let actions = bench.step(1, Event::StopRequested(StoppedBy::Operator));
    assert!(matches!(actions[..], [Action::Release, Action::Record(Record::Ended(_))]));
}

#[test]
fn start_and_connect_have_limits_of_their_own() {
    let mut bench = Bench::starting();
    assert_eq!(bench.0.poll_timeout(), Some(at(15)));
    bench.step(14, Event::Started);
    assert_eq!(bench.0.poll_timeout(), Some(at(20)));
    bench.step(20, Event::Timeout);
    assert_eq!(bench.0.reason(), Some(&EndReason::NeverConnected));

    let mut bench = Bench::starting();
    bench.step(1, CONNECTED);
    bench.step(15, Event::Timeout);
    assert_eq!(bench.0.reason(), Some(&EndReason::StartTimeout));
}

#[test]
fn a_limit_that_ran_out_comes_before_the_event_that_is_late() {
    let mut bench = Bench::starting();
    bench.step(1, Event::Started);
    bench.step(25, CONNECTED);
    assert_eq!(bench.0.reason(), Some(&EndReason::NeverConnected));
}

#[test]
fn what_goes_away_while_starting_may_come_back() {
    let mut bench = Bench::starting();
    bench.step(14, Event::Started);
    bench.step(16, Event::DeviceLost);
    bench.step(17, CONNECTED);
    bench.step(22, Event::TransportClosed(CloseReason::Unreachable));
    assert_eq!(bench.0.poll_timeout(), Some(at(46)));
    bench.step(30, Event::DeviceBack);
    assert_eq!(bench.0.phase(), Phase::Starting);
    bench.step(31, CONNECTED);
    assert_eq!(bench.0.phase(), Phase::Live);
}

#[test]
fn a_broken_connection_is_waited_for_and_then_given_up() {
    let mut bench = Bench::live();
    assert_eq!(
        bench.step(10, Event::TransportInterrupted),
        [entered(Phase::Suspended), Action::Suspend]
    );
    assert_eq!(
        bench.0.handle(at(11), Event::TransportClosed(CloseReason::Unreachable)),
        Handled::Ignored
    );
    assert_eq!(bench.step(20, CONNECTED), [entered(Phase::Live), Action::Keyframe, Action::Resume]);
    bench.step(30, Event::TransportClosed(CloseReason::Failed("dtls".into())));
    assert_eq!(bench.0.poll_timeout(), Some(at(60)));
    let actions = bench.step(60, Event::Timeout);
    assert_eq!(bench.0.reason(), Some(&EndReason::ConnectionLost));
    assert_eq!(notices(&actions), Vec::<&Notice>::new());
}

#[test]
fn a_lost_device_suspends_until_it_is_back() {
    let mut bench = Bench::live();
    bench.step(10, Event::DeviceLost);
    assert_eq!(bench.0.phase(), Phase::Suspended);
    // The client goes too: both must be back.
    bench.step(11, Event::TransportInterrupted);
    bench.step(12, Event::DeviceBack);
    assert_eq!(bench.0.phase(), Phase::Suspended);
    bench.step(13, CONNECTED);
    assert_eq!(bench.0.phase(), Phase::Live);
    bench.step(20, Event::DeviceLost);
    let actions = bench.step(50, Event::Timeout);
    assert_eq!(notices(&actions), [&Notice::Ended(EndReason::DeviceLost)]);
}

#[test]
fn a_client_that_closes_ends_the_session_and_is_told_nothing() {
    let mut bench = Bench::live();
    let actions = bench.step(5, Event::TransportClosed(CloseReason::Remote));
    assert_eq!(bench.0.reason(), Some(&EndReason::ClientLeft));
    assert!(notices(&actions).is_empty());
}

#[test]
fn a_page_that_goes_without_a_goodbye_may_be_loading_again() {
    let mut bench = Bench::live();
    let actions = bench.step(5, Event::ClientAway);
    assert_eq!(actions, [entered(Phase::Suspended), Action::Suspend]);
    assert_eq!(bench.0.poll_timeout(), Some(at(15)), "not as long as for a lost connection");
    assert_eq!(bench.step(6, CONNECTED), [entered(Phase::Live), Action::Keyframe, Action::Resume]);
    bench.step(20, Event::TransportInterrupted);
    assert_eq!(bench.0.poll_timeout(), Some(at(50)));
    // The page of a client whose network is down is closed.
    bench.step(21, Event::ClientAway);
    assert_eq!(bench.step(22, Event::ClientAway), [], "told twice");
    assert_eq!(bench.0.poll_timeout(), Some(at(31)));
    bench.step(31, Event::Timeout);
    assert_eq!(bench.0.reason(), Some(&EndReason::ClientLeft));
    // While it starts, too.
    let mut bench = Bench::starting();
    bench.step(1, CONNECTED);
    bench.step(2, Event::ClientAway);
    bench.step(3, Event::Started);
    bench.step(12, Event::Timeout);
    assert_eq!(bench.0.reason(), Some(&EndReason::ClientLeft));
}

#[test]
fn a_hidden_page_is_not_drawn_for() {
    let mut bench = Bench::live();
    assert_eq!(bench.step(5, Event::Visibility(false)), [Action::Suspend]);
    assert_eq!((bench.0.phase(), bench.0.is_drawing()), (Phase::Live, false));
    assert_eq!(bench.step(6, Event::Visibility(false)), []);
    assert_eq!(bench.step(7, Event::Visibility(true)), [Action::Keyframe, Action::Resume]);
    // Hidden while starting counts as well.
    let mut bench = Bench::starting();
    bench.step(1, CONNECTED);
    bench.step(1, Event::Visibility(false));
    assert_eq!(bench.step(2, Event::Started), [entered(Phase::Live)]);
    assert_eq!(bench.step(3, Event::Visibility(true)), [Action::Keyframe, Action::Resume]);
}

#[test]
fn others_are_drawn_for_while_the_players_page_is_hidden() {
    let mut bench = Bench::live();
    bench.step(5, Event::Visibility(false));
    assert_eq!(bench.step(6, Event::Watched(true)), [Action::Keyframe, Action::Resume]);
    assert_eq!(bench.step(7, Event::Visibility(true)), []);
    assert_eq!(bench.step(8, Event::Visibility(false)), []);
    // Another page of the player's, which nothing was sent to.
    let hidden = Event::TransportConnected { visible: false };
    assert_eq!(bench.step(9, hidden), [Action::Keyframe]);
    assert_eq!(bench.step(10, Event::Watched(false)), [Action::Suspend]);
    // Without the player nothing is drawn, whoever watches.
    bench.step(11, Event::Watched(true));
    let gone = bench.step(12, Event::TransportInterrupted);
    assert_eq!(gone, [entered(Phase::Suspended), Action::Suspend]);
    assert_eq!(bench.step(13, Event::Watched(true)), []);
}

#[test]
fn a_hidden_page_is_not_drawn_for_once_its_path_is_back() {
    let hidden = Event::TransportConnected { visible: false };
    let mut bench = Bench::live();
    bench.step(5, Event::Visibility(false));
    assert_eq!(bench.step(6, Event::TransportInterrupted), [entered(Phase::Suspended)]);
    assert_eq!(bench.step(7, hidden.clone()), [entered(Phase::Live)]);
    // So short that nobody was told.
    assert_eq!(bench.step(8, hidden.clone()), []);
    assert_eq!(bench.step(9, Event::Visibility(true)), [Action::Keyframe, Action::Resume]);
    // One that is hidden took over from one that was not.
    assert_eq!(bench.step(10, hidden), [Action::Suspend]);
    assert_eq!(bench.step(11, Event::Visibility(true)), [Action::Keyframe, Action::Resume]);
}

#[test]
fn another_client_that_takes_over_gets_a_keyframe() {
    let mut bench = Bench::live();
    assert_eq!(bench.step(5, CONNECTED), [Action::Keyframe]);
    bench.step(6, Event::Visibility(false));
    assert_eq!(bench.step(7, CONNECTED), [Action::Keyframe, Action::Resume]);
}

#[test]
fn idleness_is_warned_of_once_and_forgotten_with_input() {
    let mut bench = Bench::live();
    assert_eq!(bench.0.poll_timeout(), Some(at(1 + 14 * 60)));
    let warning =
        |left| Notice::Warning { reason: EndReason::Idle, left: Duration::from_secs(left) };
    assert_eq!(notices(&bench.step(841, Event::Timeout)), [&warning(60)]);
    assert!(bench.step(850, Event::Timeout).is_empty());
    bench.step(860, Event::InputActivity);
    assert_eq!(bench.0.poll_timeout(), Some(at(860 + 14 * 60)));
    assert_eq!(notices(&bench.step(1_705, Event::Timeout)), [&warning(55)]);
    let actions = bench.step(1_760, Event::Timeout);
    assert_eq!(notices(&actions), [&Notice::Ended(EndReason::Idle)]);
}

#[test]
fn no_input_moves_the_longest_time() {
    let mut bench = Bench::live();
    let mut warnings = 0;
    for minute in 1..(12 * 60) {
        let actions = bench.step(minute * 60, Event::InputActivity);
        warnings += notices(&actions).len();
    }
    assert_eq!((warnings, bench.0.phase()), (1, Phase::Live));
    bench.step(12 * 3_600, Event::InputActivity);
    assert_eq!(bench.0.reason(), Some(&EndReason::TimeLimit));
}

#[test]
fn a_client_that_floods_ends_its_session() {
    let mut bench = Bench::live();
    bench.step(5, Event::TransportClosed(CloseReason::Flood("input".into())));
    assert_eq!(bench.0.phase(), Phase::Ending);
    assert_eq!(bench.0.reason(), Some(&EndReason::Flood));
}

#[test]
fn a_laggard_does_not_keep_the_place() {
    let mut bench = Bench::live();
    bench.step(5, Event::Panicked("index out of bounds".into()));
    assert_eq!(bench.0.poll_timeout(), Some(at(10)));
    let actions = bench.step(10, Event::Timeout);
    let [Action::Release, Action::Record(Record::Ended(summary))] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(summary.drain, Drain::TimedOut);
    assert_eq!(bench.step(11, Event::Drained), []);
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || "fault".to_owned();
    prop_oneof![
        4 => Just(Event::Timeout),
        3 => Just(Event::Admit(Decision::Granted)),
        1 => Just(Event::Admit(Decision::Refused(Refusal::Sessions { most: 4 }))),
        4 => Just(Event::Start),
        4 => Just(Event::Started),
        1 => Just(Event::StartFailed(text())),
        6 => any::<bool>().prop_map(|visible| Event::TransportConnected { visible }),
        3 => Just(Event::TransportInterrupted),
        1 => Just(Event::TransportClosed(CloseReason::Remote)),
        2 => Just(Event::TransportClosed(CloseReason::Unreachable)),
        1 => Just(Event::TransportClosed(CloseReason::Flood(text()))),
        2 => Just(Event::ClientAway),
        4 => Just(Event::InputActivity),
        3 => any::<bool>().prop_map(Event::Visibility),
        3 => any::<bool>().prop_map(Event::Watched),
        2 => Just(Event::DeviceLost),
        3 => Just(Event::DeviceBack),
        1 => Just(Event::StopRequested(StoppedBy::Operator)),
        1 => Just(Event::Panicked(text())),
        1 => Just(Event::EncoderFailed(text())),
        1 => Just(Event::SourceEnded),
        1 => Just(Event::SourceFailed("it broke".into())),
        1 => Just(Event::SourceExited(Exited { exit: Exit::Status(3), drew: true, said: text() })),
        1 => Just(Event::Drained),
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    proptest::array::uniform9(0_u64..60).prop_map(|seconds| {
        let [start, connect, reconnect, away, idle, idle_warning, longest, longest_warning, drain] =
            seconds.map(Duration::from_secs);
        Limits {
            start,
            connect,
            reconnect,
            away,
            idle,
            idle_warning,
            longest: longest * 4,
            longest_warning,
            drain,
        }
    })
}

/// What was observed of a machine over its life.
#[derive(Default)]
struct Ledger {
    granted: usize,
    released: usize,
    ended: usize,
    drawing: bool,
}

impl Ledger {
    fn follow(&mut self, machine: &mut Machine, now: MediaTime, event: Event) {
        let granted = event == Event::Admit(Decision::Granted);
        let was_over = machine.phase() == Phase::Ended;
        let handled = machine.handle(now, event);
        self.granted += usize::from(granted && handled == Handled::Taken);
        let actions = drain(machine);
        assert!(actions.len() <= MAX_ACTIONS);
        assert!(!was_over || (actions.is_empty() && handled == Handled::Ignored));
        let mut wished = false;
        for action in actions {
            assert_eq!(self.ended, 0, "{action:?} after the end");
            match action {
                Action::Resume => {
                    assert!(wished, "the first picture shows whatever came before");
                    assert!(!std::mem::replace(&mut self.drawing, true));
                }
                Action::Suspend => assert!(std::mem::replace(&mut self.drawing, false)),
                Action::Keyframe => wished = true,
                Action::Release => self.released += 1,
                Action::Record(Record::Ended(_)) => self.ended += 1,
                _ => {}
            }
        }
        assert_eq!(self.drawing, machine.is_drawing());
        assert!(self.released <= self.granted);
        match machine.poll_timeout() {
            Some(timeout) => assert!(timeout > now, "{timeout:?} at {now:?}"),
            None => assert_eq!(machine.phase(), Phase::Ended),
        }
    }

    fn check_over(&self, machine: &Machine) {
        assert_eq!(machine.phase(), Phase::Ended);
        assert_eq!((self.ended, self.released), (1, self.granted));
        assert!(!self.drawing);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_happens_a_stopped_session_ends_in_order(
        limits in any_limits(),
        events in proptest::collection::vec((0_u64..8_000, any_event()), 0..60),
        drains: bool,
    ) {
        let mut machine = Machine::new(at(1), limits.clone());
        let (mut ledger, mut now) = (Ledger::default(), at(1));
        for (gap, event) in events {
            now = now + Duration::from_millis(gap);
            ledger.follow(&mut machine, now, event);
        }
        ledger.follow(&mut machine, now, Event::StopRequested(StoppedBy::Shutdown));
        if drains {
            ledger.follow(&mut machine, now, Event::Drained);
        } else {
            ledger.follow(&mut machine, now + limits.drain, Event::Timeout);
        }
        ledger.check_over(&machine);
    }

    #[test]
    fn timeouts_alone_bring_every_session_to_its_end(
        limits in any_limits(),
        events in proptest::collection::vec((0_u64..8_000, any_event()), 0..40),
    ) {
        let mut machine = Machine::new(at(1), limits);
        let (mut ledger, mut now) = (Ledger::default(), at(1));
        for (gap, event) in events {
            now = now + Duration::from_millis(gap);
            ledger.follow(&mut machine, now, event);
        }
        // Each timeout lies after the one before, so few of them are enough.
        for _ in 0..16 {
            let Some(timeout) = machine.poll_timeout() else { break };
            now = now.max(timeout);
            ledger.follow(&mut machine, now, Event::Timeout);
        }
        ledger.check_over(&machine);
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing(
        events in proptest::collection::vec((0_u64..30_000, any_event()), 0..40),
    ) {
        let run = |times: &dyn Fn(u64, u64) -> u64| {
            let mut machine = Machine::new(at(1), Limits::default());
            let (mut latest, mut actions) = (0, Vec::new());
            for (time, event) in &events {
                latest = latest.max(*time);
                machine.handle(MediaTime::from_millis(times(*time, latest)), event.clone());
                actions.extend(drain(&mut machine));
            }
            actions
        };
        prop_assert_eq!(run(&|time, _| time), run(&|_, latest| latest));
    }
}
