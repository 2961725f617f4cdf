use proptest::prelude::*;

use super::*;
use crate::rental::Planck;

const MACHINE: [u8; 32] = [1; 32];

/// A signature is the hash of a name and the bytes: anybody could make one, which is all that these tests need.
struct Seals;

fn seal(name: &[u8], bytes: &[u8]) -> [u8; 64] {
    let half = hash(&[name, bytes].concat());
    [half, half].concat().try_into().unwrap()
}

impl Verdicts for Seals {
    fn machine(&self, machine: &MachineId, signature: &[u8; 64], bytes: &[u8]) -> bool {
        *signature == seal(&machine.public_key(), bytes)
    }
    fn player(&self, key: &PlayerKey, signature: &[u8; 64], bytes: &[u8]) -> bool {
        matches!(key, PlayerKey::Ed25519(key) if *signature == seal(key, bytes))
    }
}

fn machine() -> MachineId {
    MachineId::of_public_key(&MACHINE)
}

fn open() -> Open {
    Open {
        genesis: BlockHash([2; 32]),
        machine: machine(),
        rent_id: RentId(77),
        tariff: Tariff { fee: Planck(1_000), span_ms: 30_000, trial: false },
        player: Some(PlayerKey::Ed25519([3; 32])),
        opened: UnixMillis(1_790_000_000_000),
        promised_fps_milli: 60_000,
        promised_latency_us: 50_000,
    }
}

fn slice(number: u32) -> Slice {
    let tariff = open().tariff;
    let paid = u64::from(number - 1) * 8_000;
    Slice {
        start_ms: paid,
        wall_ms: 8_000,
        gpu_ms: 100,
        frames: 480,
        pixels: 480 * 1_280 * 720,
        bytes: 1_000_000,
        fps_milli: 60_000,
        latency_us: [10_000, 20_000, 30_000],
        unpaid_ms: 0,
        charge: tariff.charge(paid + 8_000).checked_sub(tariff.charge(paid)).unwrap(),
    }
}

/// Signs bodies in a chain; every slice is acknowledged.
fn chain(bodies: Vec<Body>) -> Vec<Signed> {
    let (id, mut previous) = (ChainId::of_session("s"), [0; 32]);
    let mut out = Vec::new();
    for (sequence, body) in (0..).zip(bodies) {
        let is_slice = matches!(body, Body::Slice(..));
        let bytes = Record { chain: id, sequence, previous, body }.encode();
        previous = hash(&bytes);
        let text = acknowledgement(&id, sequence, &previous);
        out.push(Signed {
            signature: seal(&MACHINE, &bytes),
            acknowledged: is_slice.then(|| seal(&[3; 32], &text)),
            bytes,
        });
    }
    out
}

fn bodies(slices: u32) -> Vec<Body> {
    let mut bodies = vec![Body::Open(open())];
    let mut totals = Totals::default();
    for number in 1..=slices {
        totals = totals.with(&slice(number)).unwrap();
        bodies.push(Body::Slice(RentId(77), slice(number)));
    }
    bodies.push(Body::Close(RentId(77), Close { cause: CloseCause::Ended, slices, totals }));
    bodies
}

fn audit(records: &[Signed]) -> Audit {
    Audit::of(&machine(), records, &Seals)
}

/// The chain with one body changed and all signed anew.
fn with(change: impl Fn(&mut Vec<Body>)) -> Vec<Finding> {
    let mut bodies = bodies(3);
    change(&mut bodies);
    audit(&chain(bodies)).findings
}

fn edit(number: usize, change: impl Fn(&mut Slice)) -> Vec<Finding> {
    with(|bodies| {
        let Body::Slice(_, slice) = &mut bodies[number] else { unreachable!() };
        change(slice);
    })
}

#[test]
fn the_bytes_of_each_kind_are_those_that_the_document_lists() {
    let lengths: Vec<_> = chain(bodies(1)).iter().map(|each| each.bytes.len()).collect();
    assert_eq!(lengths, [236, 174, 166], "docs/receipts.md gives these");
    let record = &chain(bodies(1))[1].bytes;
    assert_eq!(&record[..21], b"nearlight-receipt/1\n\x02");
    assert_eq!(record[53..57], [0, 0, 0, 1], "sequence");
    assert_eq!(record[89..97], 77_u64.to_be_bytes(), "order");
    assert_eq!(record[105..109], 8_000_u32.to_be_bytes(), "milliseconds");
    assert_eq!(record[137..141], 60_000_u32.to_be_bytes(), "frame rate");
}

#[test]
fn a_whole_chain_is_sound_in_any_order_and_twice() {
    let mut records = chain(bodies(3));
    let found = audit(&records);
    assert_eq!(found.findings, []);
    assert_eq!((found.slices, found.totals.wall_ms), (3, 24_000));
    assert_eq!(found.totals.charge, Planck(800), "1,000 for 30 s");
    records.reverse();
    records.extend(records.clone());
    assert_eq!(audit(&records), found);
}

#[test]
fn what_is_missing_is_told() {
    let all = chain(bodies(3));
    assert_eq!(audit(&all[..4]).findings, [Finding::MissingTail { last: 3 }]);
    let without_one = [&all[..2], &all[3..]].concat();
    assert_eq!(audit(&without_one).findings, [Finding::Gap(2, 2)]);
    assert_eq!(audit(&all[1..]).findings[0], Finding::Gap(0, 0));
    assert_eq!(audit(&[]).findings, [Finding::MissingTail { last: 0 }]);
}

#[test]
fn two_stories_are_a_fork() {
    let told = chain(bodies(3));
    let mut other = bodies(3);
    let Body::Slice(_, slice) = &mut other[2] else { unreachable!() };
    slice.bytes += 1;
    let other = chain(other);
    let both = [told, vec![other[2].clone()]].concat();
    assert_eq!(audit(&both).findings, [Finding::Fork(2)]);
    assert!(!audit(&both).is_sound());
}

#[test]
fn every_changed_byte_is_noticed() {
    let all = chain(bodies(2));
    for (number, record) in all.iter().enumerate() {
        for at in 0..record.bytes.len() {
            let mut changed = all.clone();
            changed[number].bytes[at] ^= 1;
            assert!(!audit(&changed).is_sound(), "record {number}, byte {at}");
        }
    }
    for at in [0, 63] {
        let mut changed = all.clone();
        changed[1].signature[at] ^= 1;
        assert_eq!(audit(&changed).findings[0], Finding::BadSignature(1));
        let mut changed = all.clone();
        changed[1].acknowledged.as_mut().unwrap()[at] ^= 1;
        assert_eq!(audit(&changed).findings, [Finding::BadAcknowledgement(1)]);
    }
}

#[test]
fn a_machine_that_signs_nonsense_is_found_out() {
    assert_eq!(edit(2, |slice| slice.start_ms -= 1), [Finding::Overlap(2)]);
    let dearer = edit(2, |slice| slice.charge.0 += 1);
    assert_eq!(dearer, [Finding::WrongCharge(2), Finding::WrongTotals]);
    assert_eq!(edit(2, |slice| slice.frames += 1), [Finding::WrongTotals]);
    let other = with(|bodies| {
        let Body::Slice(rent, _) = &mut bodies[2] else { unreachable!() };
        *rent = RentId(78);
    });
    assert_eq!(other, [Finding::OtherOrder(2)]);
    let after = with(|bodies| bodies.push(Body::Slice(RentId(77), slice(4))));
    assert!(after.contains(&Finding::AfterClose(5)), "{after:?}");
    let key = MachineId::of_public_key(&[9; 32]);
    let found = Audit::of(&key, &chain(bodies(1)), &Seals).findings;
    assert_eq!(found[..3], [0, 1, 2].map(Finding::BadSignature));
}

#[test]
fn broken_promises_and_missing_acknowledgements_are_no_faults() {
    let slow = edit(2, |slice| slice.fps_milli = 56_999);
    let promise = Promise::FrameRate;
    assert_eq!(
        slow,
        [Finding::Missed { sequence: 2, promise, promised: 60_000, achieved: 56_999 }]
    );
    assert_eq!(edit(2, |slice| slice.fps_milli = 57_000), []);
    let late = edit(1, |slice| slice.latency_us[1] = 50_001);
    let promise = Promise::Latency;
    assert_eq!(
        late,
        [Finding::Missed { sequence: 1, promise, promised: 50_000, achieved: 50_001 }]
    );
    assert_eq!(edit(1, |slice| slice.latency_us = [UNKNOWN; 3]), []);
    let mut records = chain(bodies(2));
    records[2].acknowledged = None;
    let found = audit(&records);
    assert_eq!(found.findings, [Finding::Unacknowledged(2)]);
    assert!(found.is_sound());
}

#[test]
fn a_chain_that_a_crash_cut_off_is_closed_when_the_node_comes_back() {
    let decode = |signed: &Signed| Record::decode(&signed.bytes).unwrap();
    let mut all = bodies(3);
    all.pop();
    for kept in 1..=4 {
        let mut signed = chain(all[..kept].to_vec());
        let records: Vec<_> = signed.iter().map(decode).collect();
        let close = close_interrupted(&records).unwrap();
        let bytes = close.encode();
        signed.push(Signed { signature: seal(&MACHINE, &bytes), bytes, acknowledged: None });
        let found = audit(&signed);
        assert_eq!(found.findings, []);
        assert_eq!(found.close.unwrap().cause, CloseCause::Interrupted);
        let records: Vec<_> = signed.iter().map(decode).collect();
        assert_eq!(close_interrupted(&records), None, "once");
    }
    assert_eq!(close_interrupted(&[]), None);
}

#[test]
fn fields_that_cannot_be_are_refused() {
    let bytes = chain(bodies(1))[1].bytes.clone();
    let refuse = |at: std::ops::Range<usize>, with: &[u8]| {
        let mut changed = bytes.clone();
        changed[at].copy_from_slice(with);
        Record::decode(&changed).unwrap_err()
    };
    let too_long = refuse(105..109, &10_001_u32.to_be_bytes());
    assert_eq!(too_long, RecordError::Field("length in time"));
    assert_eq!(refuse(105..109, &[0; 4]), RecordError::Field("length in time"));
    assert_eq!(refuse(53..57, &[0; 4]), RecordError::Field("sequence"));
    assert_eq!(refuse(20..21, &[9]), RecordError::Kind(9));
    assert_eq!(refuse(18..19, b"2"), RecordError::Domain, "another version");
    let short = Record::decode(&bytes[..bytes.len() - 1]);
    assert_eq!(short, Err(RecordError::Length { expected: 174, found: 173 }));
}

fn numbers() -> impl Strategy<Value = [u64; 8]> {
    any::<[u64; 8]>()
}

proptest! {
    #[test]
    fn every_record_comes_back(
        n in numbers(), wall in 1..=MAX_SLICE_MS, charge: u128, sequence in 1..=u32::MAX, previous: [u8; 32],
        player in proptest::option::of(prop_oneof![
            any::<[u8; 32]>().prop_map(PlayerKey::Ed25519),
            any::<[u8; 32]>().prop_map(|x| PlayerKey::P256([&[2][..], &x].concat().try_into().unwrap())),
        ]),
        cause in 0..CloseCause::ALL.len(), trial: bool,
    ) {
        let low = n.map(|number| number as u32);
        let chain = ChainId(previous);
        let open = Open {
            tariff: Tariff { fee: Planck(charge), span_ms: n[0], trial },
            player, rent_id: RentId(n[1]), opened: UnixMillis(n[2]), promised_fps_milli: low[3],
            promised_latency_us: low[4], ..open()
        };
        let slice = Slice {
            start_ms: n[0], wall_ms: wall, gpu_ms: low[1], frames: n[2], pixels: n[3], bytes: n[4],
            fps_milli: low[5], latency_us: [low[6], low[7], low[0]], unpaid_ms: low[1] % (wall + 1),
            charge: Planck(charge),
        };
        let totals = Totals {
            wall_ms: n[0], unpaid_ms: n[1], gpu_ms: n[2], frames: n[3], pixels: n[4], bytes: n[5],
            charge: Planck(charge),
        };
        let close = Close { cause: CloseCause::ALL[cause], slices: low[6], totals };
        let records = [
            Record { chain, sequence: 0, previous: [0; 32], body: Body::Open(open) },
            Record { chain, sequence, previous, body: Body::Slice(RentId(n[7]), slice) },
            Record { chain, sequence, previous, body: Body::Close(RentId(n[7]), close) },
        ];
        for record in records {
            let decoded = Record::decode(&record.encode());
            prop_assert_eq!(decoded.as_ref(), Ok(&record));
        }
    }

    #[test]
    fn any_bytes_are_answered_and_what_is_taken_is_canonical(mut bytes: Vec<u8>, kind in 1_u8..4, length in 0..240_usize) {
        let head = [&DOMAIN[..], &[kind]].concat();
        bytes.resize(length, 7);
        for candidate in [bytes.clone(), [head, bytes].concat()] {
            if let Ok(record) = Record::decode(&candidate) {
                prop_assert_eq!(record.encode(), candidate);
            }
        }
    }

    #[test]
    fn a_tariff_sums_exactly_however_time_is_cut(fee: u128, span: u64, cuts in proptest::collection::vec(0..=MAX_SLICE_MS, 0..50)) {
        let tariff = Tariff { fee: Planck(fee), span_ms: span, trial: false };
        let (mut paid, mut sum) = (0, Planck::ZERO);
        for cut in cuts {
            let before = tariff.charge(paid);
            paid += u64::from(cut);
            let charge = tariff.charge(paid).checked_sub(before).expect("never falls");
            sum = sum.checked_add(charge).expect("never above the whole");
        }
        prop_assert_eq!(sum, tariff.charge(paid));
    }
}
