use media::{Codec, CodecSet, FrameRate, PixelFormat, Restarts, Size};
use proptest::prelude::*;
use smallvec::smallvec;

use super::*;

/// A candidate that takes so many microseconds for a megapixel.
fn works(name: &'static str, codec: Codec, hardware: bool, micros_per_megapixel: u32) -> Verdict {
    let accepts = Accepts {
        formats: smallvec![PixelFormat::Nv12],
        smallest: Size::new(64, 64),
        largest: Size::new(4_096, 2_304),
        waves: name.contains("card"),
        restarts: Restarts::NONE,
    };
    let outcome = Outcome::Works { cost: Cost { micros_per_megapixel, ten_bits: None }, accepts };
    Verdict { name, codec, hardware, outcome, full: None }
}

fn missing(name: &'static str, hardware: bool) -> Verdict {
    let outcome = Outcome::Declined { reason: "missing: its library".into() };
    Verdict { name, codec: Codec::H264, hardware, outcome, full: None }
}

/// A megapixel, 100 times a second: 6 ms of the 10 ms are an encoder's.
fn demand() -> Demand {
    Demand {
        size: Size::new(1_000, 1_000),
        rate: FrameRate::fps(100),
        format: PixelFormat::Nv12,
        waves: false,
        decodes: CodecSet::of(&Codec::ALL),
        holds: None,
    }
}

fn table() -> Vec<Verdict> {
    vec![
        works("vp8", Codec::Vp8, false, 1_000),
        works("av1-card", Codec::Av1, true, 1_000),
        works("first", Codec::H264, false, 2_000),
        missing("card", true),
        works("second", Codec::H264, false, 3_000),
        works("other-card", Codec::H264, true, 1_000),
    ]
}

fn with(change: impl FnOnce(&mut Demand)) -> Demand {
    let mut demand = demand();
    change(&mut demand);
    demand
}

fn declined(name: &str, demand: &Demand, preference: &Preference) -> String {
    let choice = choose(&table(), demand, preference);
    let ranked = choice.ranked().iter().find(|each| each.name == name).unwrap();
    ranked.reason().unwrap_or("used").to_owned()
}

#[test]
fn codecs_come_as_the_operator_has_them_and_hardware_first() {
    let choice = choose(&table(), &demand(), &Preference::default());
    let order: Vec<_> = choice.ranked().iter().map(|each| each.name).collect();
    assert_eq!(order, ["card", "other-card", "first", "second", "av1-card", "vp8"]);
    assert_eq!(choice.usable(), ["other-card", "first", "second", "av1-card", "vp8"]);
    assert_eq!(choice.declined("other-card"), ["card: missing: its library"]);
    assert_eq!(choice.caveat("other-card"), None);

    let codecs = vec![Codec::Vp8, Codec::H264];
    let preference = Preference { codecs, ..Preference::default() };
    let choice = choose(&table(), &demand(), &preference);
    assert_eq!(choice.usable(), ["vp8", "other-card", "first", "second"]);
    assert_eq!(choice.ranked().last().unwrap().name, "av1-card", "what is left out comes last");
    assert!(choice.declined("vp8").is_empty(), "nothing is better");
}

#[test]
fn each_reason_has_a_sentence_of_its_own() {
    let any = Preference::default();
    let h264 = with(|demand| demand.decodes = CodecSet::of(&[Codec::H264]));
    assert_eq!(declined("vp8", &h264, &any), "the client does not decode VP8");
    assert_eq!(declined("first", &h264, &any), "used");
    let wide = Demand { format: PixelFormat::P010, ..h264 };
    assert_eq!(declined("vp8", &wide, &any), "the client does not decode VP8 in 10 bits a sample");
    let ten_bit = with(|demand| demand.format = PixelFormat::P010);
    assert_eq!(declined("first", &ten_bit, &any), "takes pictures as [Nv12], not as P010");
    let huge = with(|demand| demand.size = Size::new(8_192, 4_320));
    let reason = "takes pictures of 64x64 to 4096x2304, not of 8192x4320";
    assert_eq!(declined("other-card", &huge, &any), reason);
    let waves = with(|demand| demand.waves = true);
    assert_eq!(declined("first", &waves, &any), "has no intra refresh");
    assert_eq!(declined("other-card", &waves, &any), "used");
    let tiny = with(|demand| demand.size = Size::new(32, 64));
    assert!(declined("first", &tiny, &any).ends_with("not of 32x64"));
    assert_eq!(declined("card", &demand(), &any), "missing: its library");
    let forbidden = Preference { forbidden: vec!["first".into()], ..Preference::default() };
    let reason = "forbidden by configuration: video.forbid_encoders names it";
    assert_eq!(declined("first", &demand(), &forbidden), reason);
    let left_out = Preference { codecs: vec![Codec::H264], ..Preference::default() };
    let reason = "forbidden by configuration: video.codecs has no vp8";
    assert_eq!(declined("vp8", &demand(), &left_out), reason);
    let both = Preference { pinned: Some("vp8".into()), ..left_out };
    let asked = format!("{reason}, while video.encoder asks for it");
    assert_eq!(declined("vp8", &demand(), &both), asked);
    let pinned = Preference { pinned: Some("second".into()), ..Preference::default() };
    assert_eq!(declined("second", &demand(), &pinned), "used");
    assert_eq!(declined("first", &demand(), &pinned), "works, but is not the one asked for");
    assert_eq!(declined("card", &demand(), &pinned), "missing: its library");
}

#[test]
fn software_that_does_not_keep_up_is_declined_with_both_numbers() {
    let table = [
        works("slow", Codec::H264, false, 6_001),
        works("just", Codec::H264, false, 6_000),
        works("card", Codec::Av1, true, 900_000),
    ];
    let choice = choose(&table, &demand(), &Preference::default());
    // A card takes no time of the processor: how long a picture is in it is its own affair.
    assert_eq!(choice.usable(), ["just", "card", "slow"], "the slow one stays as the last resort");
    assert_eq!(choice.too_slow(), ["slow"]);
    let [line] = &choice.declined("just")[..] else { panic!("{choice:?}") };
    assert_eq!(
        line,
        "slow: takes 6.0 ms for a picture of 1000x1000, more than 60% of the 10.0 ms between two"
    );
    // The same picture half as often is no trouble.
    let calm = with(|demand| demand.rate = FrameRate::fps(50));
    assert_eq!(choose(&table, &calm, &Preference::default()).chosen(), Some("slow"));
}

#[test]
fn pictures_of_ten_bits_have_a_cost_of_their_own() {
    let wide = |ten_bits| {
        let mut verdict = works("wide", Codec::Vp9, false, 2_000);
        let Outcome::Works { cost, accepts } = &mut verdict.outcome else { unreachable!() };
        cost.ten_bits = ten_bits;
        accepts.formats.push(PixelFormat::P010);
        [verdict]
    };
    let standing = |ten_bits, demand: &Demand| {
        let choice = choose(&wide(ten_bits), demand, &Preference::default());
        choice.ranked()[0].reason().unwrap_or("used").to_owned()
    };
    let hdr = with(|demand| demand.format = PixelFormat::P010);
    let reason =
        "takes 9.0 ms for a picture of 1000x1000, more than 60% of the 10.0 ms between two";
    assert_eq!(standing(Some(9_000), &hdr), reason);
    assert_eq!(standing(Some(9_000), &demand()), "used", "that is not the cost of eight");
    assert_eq!(standing(Some(6_000), &hdr), "used");
    assert_eq!(standing(None, &hdr), "used", "taken to be as quick as in eight bits");
}

#[test]
fn what_is_too_slow_is_used_where_nothing_else_is_left_and_that_is_said() {
    let table = [
        works("slower", Codec::H264, false, 40_000),
        works("slow", Codec::H264, false, 30_000),
        missing("card", true),
    ];
    let choice = choose(&table, &demand(), &Preference::default());
    assert_eq!(choice.usable(), ["slow", "slower"], "the quickest first");
    assert_eq!(choice.too_slow(), ["slower", "slow"]);
    let caveat = choice.caveat("slow").unwrap();
    assert!(caveat.starts_with("used although it takes 30.0 ms for a picture of"), "{caveat}");
    assert!(caveat.ends_with("more than 60% of the 10.0 ms between two: nothing better is left"));
    let declined = choice.declined("slow");
    assert_eq!(declined.len(), 2, "{declined:?}");
    assert!(declined[0].starts_with("card: missing") && declined[1].starts_with("slower: takes"));
}

#[test]
fn what_is_started_anew_comes_after_the_others_of_its_codec_and_that_is_said() {
    let restarting = |name, codec, hardware, restarts| {
        let mut verdict = works(name, codec, hardware, 1_000);
        let Outcome::Works { accepts, .. } = &mut verdict.outcome else { unreachable!() };
        accepts.restarts = restarts;
        verdict
    };
    let rate = Restarts { rate: true, keyframe: false };
    let table = [
        restarting("card", Codec::H264, true, rate),
        works("first", Codec::H264, false, 2_000),
        works("slow", Codec::H264, false, 60_000),
        restarting("other", Codec::Av1, false, Restarts { rate: false, keyframe: true }),
        works("vp8", Codec::Vp8, false, 1_000),
    ];
    let choice = choose(&table, &demand(), &Preference::default());
    // The codec that the operator likes best is still the first.
    assert_eq!(choice.usable(), ["first", "card", "other", "vp8", "slow"]);
    let reason = "is started anew for each new bit rate, which it does not take while it runs";
    assert_eq!(choice.declined("first"), [format!("card: {reason}")]);
    assert_eq!(choice.caveat("card"), Some(format!("used although it {reason}")));
    let reason = choice.ranked()[3].reason().unwrap();
    assert_eq!(reason, "is started anew for each keyframe, which it does not make on request");
    // It is better than none, and than one that does not keep up.
    let choice = choose(&[table[0].clone(), table[2].clone()], &demand(), &Preference::default());
    assert_eq!(choice.usable(), ["card", "slow"]);
    // Both can be said of one.
    let mut both = restarting("both", Codec::H264, false, Restarts { rate: true, keyframe: true });
    let Outcome::Works { cost, .. } = &mut both.outcome else { unreachable!() };
    cost.micros_per_megapixel = 60_000;
    let choice = choose(&[both], &demand(), &Preference::default());
    let reason = choice.ranked()[0].reason().unwrap();
    assert!(reason.starts_with("takes 60.0 ms") && reason.ends_with(
        "of the 10.0 ms between two, and is started anew for each new bit rate and each keyframe"
    ), "{reason}");
}

#[test]
fn with_no_candidate_left_there_is_a_reason_for_each() {
    let choice = choose(&[missing("card", true)], &demand(), &Preference::default());
    assert_eq!((choice.chosen(), choice.usable().len()), (None, 0));
    assert_eq!(choice.reasons(), "card: missing: its library");
    assert_eq!(choose(&[], &demand(), &Preference::default()).reasons(), "this build has none");
}

proptest! {
    #[test]
    fn every_candidate_is_used_or_has_a_reason(
        costs in proptest::collection::vec(any::<u32>(), 4),
        (width, height) in (2_u32..=u32::MAX, 2_u32..=u32::MAX),
        fps in 1_u32..=1_000,
        decodes in proptest::collection::vec(0_usize..5, 0..4),
        pinned in proptest::option::of(0_usize..4),
    ) {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let codecs = [Codec::H264, Codec::Vp8, Codec::H264, Codec::Av1];
        let table: Vec<_> = (0..4).map(|n| works(NAMES[n], codecs[n], n == 2, costs[n])).collect();
        let decodes: Vec<_> = decodes.into_iter().map(|n| Codec::ALL[n]).collect();
        let demand = Demand {
            size: Size::new(width, height),
            rate: FrameRate::fps(fps),
            format: PixelFormat::Nv12,
            waves: false,
            decodes: CodecSet::of(&decodes),
            holds: None,
        };
        let pinned = pinned.map(|n| NAMES[n].to_owned());
        let preference = Preference { pinned: pinned.clone(), ..Preference::default() };
        let choice = choose(&table, &demand, &preference);
        let usable = choice.usable();
        for ranked in choice.ranked() {
            let used = usable.contains(&ranked.name);
            prop_assert_eq!(used, !matches!(ranked.standing, Standing::Declined(_)));
            prop_assert!(used || ranked.reason().is_some_and(|reason| !reason.is_empty()));
        }
        for name in usable {
            let verdict = table.iter().find(|verdict| verdict.name == name).unwrap();
            prop_assert!(demand.decodes.contains(verdict.codec));
            prop_assert!(pinned.as_deref().is_none_or(|pinned| pinned == name));
        }
    }
}
