use super::*;
use proptest::prelude::*;

const NODE: Capacity = Capacity {
    render: Duration::from_millis(1_000),
    cpu: Duration::from_millis(2_000),
    pixel_rate: 250_000_000,
    memory: ByteSize(1_000_000_000),
    sessions: 4,
    viewers: 3,
    egress: Bitrate::from_mbps(100),
};

fn demand(render_ms: u64, megapixels: u64, megabytes: u64) -> Demand {
    Demand {
        render: Duration::from_millis(render_ms),
        pixel_rate: megapixels * 1_000_000,
        memory: ByteSize(megabytes * 1_000_000),
        ..Demand::default()
    }
}

fn cores(millis: u64) -> Demand {
    Demand { cpu: Duration::from_millis(millis), ..Demand::default() }
}

#[test]
fn a_game_that_was_measured_to_take_less_makes_room_and_more_takes_it() {
    let mut node = Admission::new(NODE);
    let ms = Duration::from_millis;
    let first = node.admit(&cores(1_500)).unwrap();
    let refused = node.admit(&cores(600)).unwrap_err();
    assert_eq!(refused, Refusal::Cpu { asked: ms(600), left: ms(500) });
    assert!(refused.to_string().contains("0.60 cores, and 0.50 are free"));
    assert_eq!((refused.code(), refused.may_pass()), ("refused_cpu", true));
    let unit = "thousandths of a core";
    assert_eq!(refused.room(), Some(Room { sum: "cpu", unit, asked: 600, left: 500 }));
    node.revise(first.number(), ms(700));
    let second = node.admit(&cores(600)).unwrap();
    // It grew: who is in stays, and nobody comes.
    node.revise(first.number(), ms(3_000));
    assert_eq!(node.left().cpu, Duration::ZERO);
    node.release(second);
    let number = first.number();
    node.release(first);
    node.revise(number, ms(900));
    assert_eq!((node.used(), node.sessions()), (Demand::default(), 0));
    let large = node.admit(&cores(2_001)).unwrap_err();
    assert_eq!((large.may_pass(), large), (false, Refusal::TooLarge { what: "processor time" }));
}

#[test]
fn one_that_is_in_gets_more_where_there_is_room_and_gives_back_what_it_needs_less() {
    let mut node = Admission::new(NODE);
    let ms = Duration::from_millis;
    let of = |cpu: u64, megapixels: u64| Demand { cpu: ms(cpu), ..demand(0, megapixels, 100) };
    let first = node.admit(&of(500, 60)).unwrap();
    let second = node.admit(&of(500, 60)).unwrap();
    // What it holds itself is free for it.
    assert_eq!(node.change(first.number(), &of(1_500, 180)), Ok(()));
    assert_eq!((node.left().cpu, node.left().pixel_rate), (ms(0), 10_000_000));
    let refused = node.change(second.number(), &of(501, 60)).unwrap_err();
    assert_eq!(refused, Refusal::Cpu { asked: ms(501), left: ms(500) });
    assert_eq!(node.held(second.number()), Some(of(500, 60)), "a refusal changes nothing");
    // Measured to take more than there is: who asks for none of that is not refused for it.
    node.revise(first.number(), ms(1_900));
    assert_eq!(node.change(second.number(), &of(500, 70)), Ok(()));
    assert_eq!(node.change(second.number(), &of(100, 60)), Ok(()));
    assert_eq!(node.change(first.number(), &of(1_800, 60)), Ok(()));
    assert_eq!((node.used().cpu, node.used().pixel_rate), (ms(1_900), 120_000_000));
    let large = node.change(second.number(), &of(100, 251)).unwrap_err();
    assert_eq!(large, Refusal::TooLarge { what: "encoder rate" });
    let number = second.number();
    node.release(second);
    assert_eq!((node.change(number, &of(2_000, 250)), node.held(number)), (Ok(()), None));
    node.release(first);
    assert_eq!(node.used(), Demand::default());
}

#[test]
fn what_was_started_ahead_gives_way_to_who_needs_more() {
    let mut node = Admission::new(NODE);
    let ahead = [300, 300].map(|megabytes| node.reserve(&demand(0, 0, megabytes)).unwrap());
    let player = node.admit(&demand(0, 0, 300)).unwrap();
    let way = |node: &Admission, megabytes| {
        node.gives_way_to_change(player.number(), &demand(0, 0, megabytes), &ahead)
    };
    let [few, one, both] = [400, 401, 1_000].map(|megabytes| way(&node, megabytes));
    assert_eq!([few, one, both], [Ok(0), Ok(1), Ok(2)]);
    let most = Refusal::TooLarge { what: "memory" };
    assert_eq!(way(&node, 1_001), Err(most));
    let [first, second] = ahead;
    node.give_back(first);
    assert_eq!(node.change(player.number(), &demand(0, 0, 700)), Ok(()));
    node.give_back(second);
    node.release(player);
    assert_eq!(node.used(), Demand::default());
}

#[test]
fn what_was_started_ahead_gives_way_to_who_plays_and_is_no_session() {
    let mut node = Admission::new(Capacity { sessions: 1, ..NODE });
    let holds = |cpu: u64, megabytes: u64| Demand {
        cpu: Duration::from_millis(cpu),
        memory: ByteSize(megabytes * 1_000_000),
        ..Demand::default()
    };
    let first = node.reserve(&holds(500, 300)).unwrap();
    let second = node.reserve(&holds(1_000, 300)).unwrap();
    // They stand still by now.
    node.revise(first.number(), Duration::ZERO);
    node.revise(second.number(), Duration::ZERO);
    assert_eq!((node.sessions(), node.used().memory), (0, ByteSize(600_000_000)));
    assert!(matches!(node.reserve(&holds(0, 401)), Err(Refusal::Memory { .. })));
    assert_eq!(node.gives_way(&holds(2_000, 400), [&first, &second]), Ok(0));
    assert_eq!(node.gives_way(&holds(2_000, 500), [&first, &second]), Ok(1));
    assert_eq!(node.gives_way(&holds(2_000, 900), [&first, &second]), Ok(2));
    let refused = node.gives_way(&holds(2_001, 900), [&first, &second]);
    assert_eq!(refused, Err(Refusal::TooLarge { what: "processor time" }));
    let refused = node.gives_way(&holds(0, 800), [&first]).unwrap_err();
    let mb = |many: u64| ByteSize(many * 1_000_000);
    assert_eq!(refused, Refusal::Memory { asked: mb(800), left: mb(400) }, "of what there is");
    node.give_back(first);
    let player = node.admit(&holds(2_000, 700)).unwrap();
    assert_eq!(node.sessions(), 1);
    // No reserve makes a place.
    let refused = node.gives_way(&holds(0, 0), [&second]);
    assert_eq!(refused, Err(Refusal::Sessions { most: 1 }));
    node.release(player);
    node.give_back(second);
    assert_eq!((node.used(), node.sessions()), (Demand::default(), 0));
}

#[test]
fn the_wait_is_what_the_next_to_end_usually_has_left() {
    let s = Duration::from_secs;
    let hour = s(3_600);
    assert_eq!(expected_wait([s(10), s(250)], Some(s(300)), hour), Some(s(50)));
    assert_eq!(expected_wait([s(400)], Some(s(300)), hour), Some(s(300)), "beyond the usual");
    assert_eq!(expected_wait([s(3_590)], Some(s(300)), hour), Some(s(10)), "its limit");
    assert_eq!(expected_wait([s(3_700)], Some(s(300)), hour), Some(s(0)));
    assert_eq!(expected_wait([s(1)], None, hour), None);
    assert_eq!(expected_wait([], Some(s(300)), hour), None);
    let mut lengths = Lengths::default();
    assert_eq!(lengths.usual(), None);
    [5, 900, 30].into_iter().for_each(|length| lengths.add(s(length)));
    assert_eq!(lengths.usual(), Some(s(30)));
    (0..Lengths::MOST).for_each(|_| lengths.add(s(7)));
    assert_eq!(lengths.usual(), Some(s(7)));
}

#[test]
fn viewers_are_counted_by_what_is_sent_to_them_beside_the_players() {
    let mut node = Admission::new(NODE);
    let mbps = Bitrate::from_mbps;
    let player = node.admit(&Demand { egress: mbps(40), ..Demand::default() }).unwrap();
    let viewer = node.admit_viewer(mbps(40)).unwrap();
    assert_eq!(
        node.admit_viewer(mbps(40)),
        Err(Refusal::Egress { asked: mbps(40), left: mbps(20) })
    );
    let late = node.admit(&Demand { egress: mbps(21), ..Demand::default() });
    assert_eq!(late.unwrap_err().code(), "refused_egress");
    node.release_viewer(viewer);
    let three = [20, 20, 20].map(|rate| node.admit_viewer(mbps(rate)).unwrap());
    assert_eq!(node.admit_viewer(mbps(0)).unwrap_err(), Refusal::Viewers { most: 3 });
    assert_eq!((node.viewers(), node.left().egress), (3, mbps(0)));
    three.into_iter().for_each(|permit| node.release_viewer(permit));
    node.release(player);
    assert_eq!((node.viewers(), node.used()), (0, Demand::default()));
    let large = node.admit(&Demand { egress: mbps(101), ..Demand::default() });
    assert_eq!(large.unwrap_err(), Refusal::TooLarge { what: "bandwidth" });
}

#[test]
fn each_sum_refuses_by_itself() {
    let mut node = Admission::new(NODE);
    let _in = node.admit(&demand(600, 100, 500)).unwrap();
    let code = |node: &mut Admission, d| node.admit(&d).map_err(|r| r.code()).unwrap_err();
    assert_eq!(code(&mut node, demand(401, 0, 0)), "refused_render");
    assert_eq!(code(&mut node, demand(0, 151, 0)), "refused_encoder");
    assert_eq!(code(&mut node, demand(0, 0, 501)), "refused_memory");
    assert_eq!(code(&mut node, demand(1_001, 0, 0)), "refused_too_large");
    let _rest = [0; 3].map(|_| node.admit(&demand(0, 0, 0)).unwrap());
    assert_eq!(code(&mut node, demand(0, 0, 0)), "refused_sessions");
}

#[test]
fn a_smaller_measurement_keeps_those_who_are_in() {
    let mut node = Admission::new(NODE);
    let permit = node.admit(&demand(600, 0, 0)).unwrap();
    node.remeasure(Capacity { render: Duration::from_millis(500), ..NODE });
    assert_eq!(node.left().render, Duration::ZERO);
    assert!(matches!(node.admit(&demand(1, 0, 0)), Err(Refusal::Render { .. })));
    node.release(permit);
    assert_eq!(node.left().render, Duration::from_millis(500));
}

#[test]
fn refusals_tell_people_what_is_missing() {
    let refusal = Refusal::PixelRate { asked: 55_296_000, left: 12_900_000 };
    let sentence = refusal.to_string();
    assert!(sentence.contains("56 megapixels") && sentence.contains("12 are free"));
}

#[derive(Clone, Debug)]
enum Step {
    Admit(Demand),
    Change(usize, Demand),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = || {
        (0_u64..1_200, 0_u64..2_400, 0_u64..300, 0_u64..1_200).prop_map(
            |(render, cpu, pixels, memory)| {
                let cpu = Duration::from_millis(cpu);
                Demand { cpu, ..demand(render, pixels, memory) }
            },
        )
    };
    // Hostile figures must not overflow a sum either.
    let huge = || {
        Just(Demand {
            render: Duration::MAX,
            cpu: Duration::MAX,
            pixel_rate: u64::MAX,
            memory: ByteSize(u64::MAX),
            graphics_memory: ByteSize(u64::MAX),
            egress: Bitrate::from_bps(u64::MAX),
        })
    };
    let any = || prop_oneof![6 => some(), 1 => huge()];
    let change = (0_usize..8, any()).prop_map(|(index, demand)| Step::Change(index, demand));
    let release = (0_usize..8).prop_map(Step::Release);
    let step = prop_oneof![7 => any().prop_map(Step::Admit), 4 => change, 4 => release];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn the_node_is_never_over_capacity_and_release_restores_exactly(steps in steps()) {
        let mut node = Admission::new(NODE);
        let mut held: Vec<(Permit, Demand)> = Vec::new();
        for step in steps {
            let before = (node.used(), node.sessions());
            match step {
                Step::Admit(demand) => match node.admit(&demand) {
                    Ok(permit) => held.push((permit, demand)),
                    Err(_) => prop_assert_eq!((node.used(), node.sessions()), before),
                },
                Step::Change(index, demand) if index < held.len() => {
                    match node.change(held[index].0.number(), &demand) {
                        Ok(()) => held[index].1 = demand,
                        Err(_) => prop_assert_eq!((node.used(), node.sessions()), before),
                    }
                }
                Step::Release(index) if index < held.len() => {
                    node.release(held.swap_remove(index).0);
                }
                Step::Change(..) | Step::Release(_) => {}
            }
            let used = node.used();
            prop_assert!(used.render <= NODE.render && used.pixel_rate <= NODE.pixel_rate);
            prop_assert!(used.cpu <= NODE.cpu);
            prop_assert!(used.memory <= NODE.memory && node.sessions() <= NODE.sessions);
            let sum = held.iter().map(|(_, demand)| demand.pixel_rate).sum::<u64>();
            prop_assert_eq!((used.pixel_rate, node.sessions()), (sum, held.len()));
        }
        held.into_iter().for_each(|(permit, _)| node.release(permit));
        prop_assert_eq!((node.used(), node.sessions()), (Demand::default(), 0));
    }
}
