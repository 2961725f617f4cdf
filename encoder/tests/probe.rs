//! Probing in a child against children with one thing wrong at a time: shell scripts that hang, crash,
//! chatter or lie in place of a program with a broken driver in it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use media::{
    Bitrate, Codec, CodecSet, EncodeError, Encoded, Encoder, EncoderCapabilities, FrameRate,
    PixelFormat, RateChange, Restarts, Size, UnitKind,
};
use nearlight_encoder::choice::{Accepts, Cost};
use nearlight_encoder::probe::{Limits, Places};
use nearlight_encoder::{
    Cache, Candidate, ChildProber, Demand, EncoderSettings, Encoders, InProcess, OpenError,
    Outcome, Preference, Prober, SelectError, Speed, Verdict, Wake,
};
use testkit::Inert;
use testkit::inert::Asked;

/// Far more than a shell needs, on any machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Less than a hang, which never ends.
const SHORT: Duration = Duration::from_millis(50);

/// A candidate that must not be opened in this process.
fn candidate(name: &'static str, hardware: bool) -> Candidate {
    let open = Arc::new(|_: &_, _: &_| panic!("opened in the process that asks"));
    Candidate { name, codec: Codec::H264, hardware, library: name, open }
}

fn candidates() -> Vec<Candidate> {
    vec![candidate("card", true), candidate("one", false), candidate("two", false)]
}

/// A child that is this script; it is given the names as `$@`.
fn child(script: &str, hardware: Duration, software: Duration) -> ChildProber {
    ChildProber {
        program: "/bin/sh".into(),
        arguments: ["-c", script, "sh"].map(Into::into).into(),
        limits: Limits { software, hardware },
        speed: Speed::Auto,
    }
}

fn patient(script: &str) -> ChildProber {
    child(script, PATIENCE, PATIENCE)
}

/// What came of each, in words.
fn reasons(prober: &dyn Prober) -> Vec<(&'static str, String)> {
    let verdicts = prober.probe(&candidates());
    verdicts.iter().map(|verdict| (verdict.name, verdict.reason().to_owned())).collect()
}

fn all(card: &str, one: &str, two: &str) -> Vec<(&'static str, String)> {
    vec![("card", card.into()), ("one", one.into()), ("two", two.into())]
}

/// Shell that answers for each name; `$name` and `$verdict` are set before.
const ANSWER: &str = r#"answer() {
    echo "{\"name\":\"$1\",\"outcome\":{\"declined\":{\"reason\":\"$2\"}}}"
}
"#;

fn with_answer(script: &str) -> String {
    format!("{ANSWER}{script}")
}

#[test]
fn every_candidate_gets_the_answer_of_its_own() {
    let works = r#"for name in "$@"; do
        echo "{\"name\":\"$name\",\"outcome\":{\"works\":{\"cost\":{\"micros_per_megapixel\":7},\"accepts\":{\"formats\":[\"nv12\"],\"smallest\":{\"width\":2,\"height\":2},\"largest\":{\"width\":64,\"height\":64},\"waves\":false,\"restarts\":{\"rate\":false,\"keyframe\":false}}}}}"
    done"#;
    let verdicts = patient(works).probe(&candidates());
    assert_eq!(verdicts.len(), 3);
    for (verdict, candidate) in verdicts.iter().zip(candidates()) {
        assert_eq!((verdict.name, verdict.hardware), (candidate.name, candidate.hardware));
        assert_eq!(verdict.cost().unwrap().micros_per_megapixel, 7);
    }
    // Hardware and software are asked apart: neither is held up by the other.
    let asked = with_answer(r#"for name in "$@"; do answer "$name" "asked with $*"; done"#);
    let expected = all("asked with card", "asked with one two", "asked with one two");
    assert_eq!(reasons(&patient(&asked)), expected);
    let told = with_answer(
        r#"preset=$1; shift; for name in "$@"; do answer "$name" "asked with $preset"; done"#,
    );
    let slower = ChildProber { speed: Speed::P3, ..patient(&told) };
    let preset = "asked with --preset=p3";
    assert_eq!(reasons(&slower), all(preset, preset, preset));
    assert!(patient("exit 1").probe(&[]).is_empty());
}

#[test]
fn a_candidate_that_crashes_is_noted_and_the_next_one_tried() {
    let script = with_answer(
        r#"for name in "$@"; do
            case $name in card) kill -SEGV $$;; one) kill -ABRT $$;; esac
            answer "$name" fine
        done"#,
    );
    let expected = all("crashed (signal 11)", "crashed (signal 6)", "fine");
    assert_eq!(reasons(&patient(&script)), expected);
}

#[test]
fn a_candidate_that_hangs_is_cut_short_and_the_next_one_tried() {
    // What it started hangs too, and holds its output: a scanner of plugins, say.
    let script = with_answer(
        r#"case $1 in card) sleep 1000000 & sleep 1000000;; esac
        for name in "$@"; do answer "$name" fine; done"#,
    );
    let prober = child(&script, SHORT, PATIENCE);
    let expected = all("did not answer within 0.05 s", "fine", "fine");
    assert_eq!(reasons(&prober), expected);
    // One that closes its output and stays.
    let script = with_answer(
        r#"case $1 in card) exec >&-; sleep 1000000;; esac
        for name in "$@"; do answer "$name" fine; done"#,
    );
    assert_eq!(reasons(&child(&script, SHORT, PATIENCE)), expected);
}

#[test]
fn what_goes_through_a_library_that_hung_is_not_waited_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = with_answer(&format!(
        r#"echo "$@" >> {}; case $1 in hangs) sleep 1000000;; esac
        for name in "$@"; do answer "$name" fine; done"#,
        log.display()
    ));
    let of = |name, library, hardware| Candidate { library, ..candidate(name, hardware) };
    let candidates = [
        of("hangs", "driver", true),
        of("plugin", "plugin", true),
        of("same", "driver", true),
        of("software", "driver", false),
    ];
    let mut limit = SHORT;
    // However long a shell takes to answer for what goes another way.
    let verdicts = loop {
        std::fs::write(&log, "").unwrap();
        let verdicts = child(&script, limit, PATIENCE).probe(&candidates);
        if verdicts[1].reason() == "fine" {
            break verdicts;
        }
        limit *= 2;
    };
    let hung = format!("did not answer within {} s", limit.as_secs_f64());
    let not_tried = format!("not tried: hangs, by the same driver, {hung}");
    let said: Vec<_> = verdicts.iter().map(Verdict::reason).collect();
    assert_eq!(said, [hung.as_str(), "fine", not_tried.as_str(), "fine"]);
    let unanswered = |verdict: &Verdict| matches!(verdict.outcome, Outcome::Unanswered { .. });
    assert!(unanswered(&verdicts[2]), "it is tried again as what hung is");
    // No process but the one that hung was asked for it.
    let asked = std::fs::read_to_string(&log).unwrap();
    let mut asked: Vec<_> = asked.lines().filter(|names| !names.starts_with("hangs")).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["plugin", "software"]);
    // By itself it is tried.
    assert_eq!(patient(&script).probe(&candidates[2..3])[0].reason(), "fine");
    // What crashes says nothing of others.
    let script = with_answer(
        r#"case $1 in a) kill -SEGV $$;; esac; for name in "$@"; do answer "$name" fine; done"#,
    );
    let both = [of("a", "driver", true), of("b", "driver", true)];
    let verdicts = patient(&script).probe(&both);
    let said: Vec<_> = verdicts.iter().map(Verdict::reason).collect();
    assert_eq!(said, ["crashed (signal 11)", "fine"]);
}

#[test]
fn elements_are_not_tried_where_gstreamer_cannot_be_initialised() {
    let candidates = [
        candidate("card", true),
        candidate("gst-x264enc", true),
        candidate("gst-x265enc", true),
        candidate("one", false),
        candidate("gst-vp8enc", false),
        candidate("gst-vp9enc", false),
        candidate("two", false),
    ];
    let said = |initialise: &str, limit| {
        let script = with_answer(&format!(
            r#"for name in "$@"; do
                case $name$said in gst-*said) ;; gst-*) {initialise}; said=said;; esac
                answer "$name" fine
            done"#
        ));
        // The time of what is in software is not what GStreamer has.
        let verdicts = child(&script, limit, PATIENCE).probe(&candidates);
        verdicts.iter().map(|verdict| verdict.reason().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(said(r#"echo '"gstreamer"'"#, PATIENCE), ["fine"; 7]);
    for (initialise, why) in [
        ("kill -SEGV $$", "crashed (signal 11)"),
        ("exit 3", "ended without an answer (exit status 3)"),
        ("echo hello", "makes no sense: \"hello\""),
        (":", "makes no sense: \"{\\\"name\\\":\\\"gst-"),
    ] {
        let said = said(initialise, PATIENCE);
        for (at, reason) in said.iter().enumerate() {
            if [1, 2, 4, 5].contains(&at) {
                let expected = format!("GStreamer cannot be initialised: it {why}");
                assert!(reason.starts_with(&expected), "{reason} is not {expected}");
            } else {
                assert_eq!(reason, "fine", "{initialise}");
            }
        }
    }
    let mut limit = SHORT;
    // However long a shell takes to answer for what comes before.
    let hung = loop {
        let said = said("sleep 1000000", limit);
        if said[0] == "fine" {
            break said;
        }
        limit *= 2;
    };
    let why = format!("did not answer within {} s", limit.as_secs_f64());
    let reason = format!("GStreamer cannot be initialised: it {why}");
    let expected = ["fine", &reason, &reason, "fine", &reason, &reason, "fine"];
    assert_eq!(hung, expected);
}

#[test]
fn a_hang_takes_what_it_started_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script =
        format!("sleep 1000000 & echo $! $$ > {0}.new; mv {0}.new {0}; wait", pids.display());
    // The limit is met while it hangs, be it before or after it noted what it started.
    let mut limit = SHORT;
    while !pids.exists() {
        child(&script, limit, limit).probe(&[candidate("card", true)]);
        limit *= 2;
    }
    let noted = std::fs::read_to_string(&pids).unwrap();
    for pid in noted.split_whitespace() {
        let gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            // An orphan that was killed is a zombie until the system's first process takes it.
            Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z')),
            Err(_) => true,
        };
        // The signal is under way when the prober returns.
        while !gone() {
            std::thread::yield_now();
        }
    }
}

#[test]
fn nonsense_is_an_answer_of_no_candidate() {
    for (nonsense, excerpt) in [
        ("echo hello", "\"hello\""),
        ("echo", "\"\""),
        (r#"printf '\033[31m\377'"#, "\"\\u{1b}[31m\u{fffd}\""),
        ("answer other fine", "\"{\\\"name\\\":\\\"other\\\""),
        ("printf '{\"name\":\"one\"'", "\"{\\\"name\\\":\\\"one\\\"\""),
        ("head -c 1000000 /dev/zero", "\"\\0\\0"),
    ] {
        let script = with_answer(&format!(
            r#"case $1 in one) {nonsense}; exit;; esac
            for name in "$@"; do answer "$name" fine; done"#
        ));
        let [card, one, two] = &reasons(&patient(&script))[..] else { panic!("three") };
        assert_eq!((card.1.as_str(), two.1.as_str()), ("fine", "fine"), "{nonsense}");
        assert!(one.1.starts_with("its answer makes no sense: "), "{one:?}");
        assert!(one.1.contains(excerpt) && one.1.len() < 300, "{one:?} has not {excerpt}");
    }
}

#[test]
fn a_child_that_says_too_little_or_too_much_ends_no_better() {
    let expected = "ended without an answer (exit status 3)";
    assert_eq!(reasons(&patient("exit 3")), all(expected, expected, expected));
    let expected = "ended without an answer (exit status 0)";
    assert_eq!(reasons(&patient("echo oops >&2")), all(expected, expected, expected));
    let chatter = with_answer(
        r#"for name in "$@"; do answer "$name" fine; done; while :; do answer one more; done"#,
    );
    assert_eq!(reasons(&patient(&chatter)), all("fine", "fine", "fine"));
    let loud = with_answer(
        r#"head -c 10000000 /dev/zero >&2; for name in "$@"; do answer "$name" fine; done"#,
    );
    assert_eq!(reasons(&patient(&loud)), all("fine", "fine", "fine"));
    let nothing = ChildProber { program: "/nonexistent/nearlight".into(), ..patient("") };
    for (_, reason) in reasons(&nothing) {
        assert!(reason.starts_with("cannot be tried: /nonexistent/nearlight: "), "{reason}");
    }
}

/// Answers with what it was given, and counts how often it was asked.
struct Counting {
    outcome: Outcome,
    asked: AtomicUsize,
}

impl Counting {
    fn new(outcome: Outcome) -> Self {
        Self { outcome, asked: AtomicUsize::new(0) }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Prober for Counting {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        self.asked.fetch_add(candidates.len(), Ordering::Relaxed);
        candidates.iter().map(|each| Verdict::of(each, self.outcome.clone())).collect()
    }
}

struct Machine {
    folder: tempfile::TempDir,
    places: Places,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nvidia_version = folder.path().join("version");
        std::fs::write(&nvidia_version, "550.54").unwrap();
        let places = Places { nvidia_version, ..Places::default() };
        Self { folder, places }
    }

    fn start(&self, prober: &Counting, forbidden: &[&str]) -> Encoders {
        let cache = Cache::new(self.folder.path().join("encoders.json"), &self.places);
        let forbidden = forbidden.iter().map(|&name| name.to_owned()).collect();
        let preference = Preference { forbidden, ..Preference::default() };
        Encoders::probe(candidates(), preference, prober, Some(&cache)).unwrap()
    }
}

fn declined() -> Outcome {
    Outcome::Declined { reason: OpenError::Missing("its library".into()).to_string() }
}

#[test]
fn a_second_start_tries_nothing_until_the_driver_is_another() {
    let machine = Machine::new();
    let prober = Counting::new(declined());
    let cold = machine.start(&prober, &[]);
    assert_eq!((prober.asked(), cold.nothing_was_tried()), (3, false));
    let warm = machine.start(&prober, &[]);
    assert_eq!((prober.asked(), warm.nothing_was_tried()), (3, true));
    assert_eq!(warm.table(), cold.table());
    assert_eq!(warm.doubtful(), [""; 0]);
    std::fs::write(&machine.places.nvidia_version, "570.86").unwrap();
    machine.start(&prober, &[]);
    assert_eq!(prober.asked(), 6);
}

#[test]
fn what_is_forbidden_is_not_tried_and_is_when_it_is_allowed_again() {
    let machine = Machine::new();
    let prober = Counting::new(declined());
    let without = machine.start(&prober, &["one"]);
    assert_eq!(prober.asked(), 2);
    let reasons: Vec<_> = without.table().iter().map(Verdict::reason).collect();
    assert_eq!(reasons, ["missing: its library", "not tried", "missing: its library"]);
    assert!(without.candidate("one").is_none() && without.candidate("two").is_some());
    let with = machine.start(&prober, &[]);
    assert_eq!((prober.asked(), with.nothing_was_tried()), (3, false), "only that one");
    machine.start(&prober, &["one"]);
    machine.start(&prober, &[]);
    assert_eq!(prober.asked(), 3, "and is remembered while it is forbidden");
    let unknown = Preference { forbidden: vec!["onne".into()], ..Preference::default() };
    let error = Encoders::probe(candidates(), unknown, &prober, None).unwrap_err();
    assert!(matches!(error, SelectError::Unknown { .. }), "{error}");
}

#[test]
fn what_did_not_answer_is_remembered_and_doubted() {
    let machine = Machine::new();
    let prober = Counting::new(Outcome::Unanswered { reason: "crashed (signal 11)".into() });
    let cold = machine.start(&prober, &[]);
    assert_eq!(cold.doubtful(), ["card"], "its device may have had to wake");
    let mut warm = machine.start(&prober, &["two"]);
    assert_eq!(warm.doubtful(), ["card", "one"]);
    let again = Verdict::of(warm.candidate("card").unwrap(), declined());
    warm.replace(again);
    assert_eq!(warm.doubtful(), ["one"]);
    assert_eq!(warm.table()[0].reason(), "missing: its library");
    assert_eq!(warm.known().len(), 2);
}

#[test]
fn what_failed_in_a_way_that_may_pass_is_tried_again_from_the_first_start_on() {
    let machine = Machine::new();
    let failed = Outcome::Failed { reason: "failed: no memory".into() };
    let prober = Counting::new(failed.clone());
    let cold = machine.start(&prober, &[]);
    assert_eq!(cold.doubtful(), ["card", "one", "two"]);
    let mut warm = machine.start(&prober, &["two"]);
    assert_eq!((prober.asked(), warm.doubtful()), (3, vec!["card", "one"]));
    assert_eq!(warm.table()[0].reason(), "failed: no memory");
    // Those of an earlier start are tried at once where nothing else is left.
    warm.try_remembered(&Counting::new(declined()));
    assert_eq!(warm.doubtful(), [""; 0]);
    warm.try_remembered(&Counting::new(failed));
    assert_eq!(warm.table()[0].reason(), "missing: its library", "that was of this start");
}

#[test]
fn what_an_encoder_says_decides_whether_it_is_asked_again() {
    let tried = |candidate: Candidate| {
        let verdict = InProcess.probe(&[candidate]).pop().unwrap();
        (matches!(verdict.outcome, Outcome::Failed { .. }), verdict.reason().to_owned())
    };
    let opens = |error: fn() -> OpenError| {
        let open = Arc::new(move |_: &_, _: &_| Err(error()));
        tried(Candidate { open, ..candidate("card", true) })
    };
    assert_eq!(opens(|| OpenError::Missing("it".into())), (false, "missing: it".into()));
    assert_eq!(opens(|| OpenError::Refused("it".into())), (false, "refused: it".into()));
    assert_eq!(opens(|| OpenError::Failed("it".into())), (true, "failed: it".into()));
    let codes = |error: fn() -> EncodeError| {
        let open = Arc::new(move |_: &_, _: &_| {
            let capabilities = EncoderCapabilities::plain("card", Codec::H264);
            Ok(Box::new(Inert::new(capabilities, move |_| Err(error()))) as Box<dyn Encoder>)
        });
        tried(Candidate { open, ..candidate("card", true) })
    };
    let refused = "the encoder refused the picture: it";
    assert_eq!(codes(|| EncodeError::Refused("it".into())), (false, refused.into()));
    assert_eq!(codes(|| EncodeError::Busy("it".into())), (true, "the encoder is busy: it".into()));
    assert_eq!(codes(|| EncodeError::Fatal("it".into())), (true, "the encoder failed: it".into()));
    let broken = Arc::new(|_: &_, _: &_| {
        let capabilities = EncoderCapabilities::plain("one", Codec::H264);
        let fails = |_: &Asked| Err(EncodeError::Fatal("it".into()));
        Ok(Box::new(Inert::new(capabilities, fails)) as Box<dyn Encoder>)
    });
    let software = Candidate { open: broken, ..candidate("one", false) };
    assert_eq!(tried(software), (false, "the encoder failed: it".into()));
    // A bug of ours, which is there as long as the program is the same.
    let (again, reason) = tried(candidate("card", true));
    assert!(!again && reason.contains("opened in the process that asks"), "{reason}");
}

/// What a driver heeds of what it is told while it runs, and how.
#[derive(Clone, Copy)]
struct Driver {
    rates: bool,
    keyframes: bool,
    /// What it makes of a bit rate that it is opened with.
    opens_at: fn(Bitrate) -> Bitrate,
    /// What a request that it ignores ends it with, where the adapter looks.
    breaks: Option<fn() -> EncodeError>,
}

const OBEYS: Driver = Driver { rates: true, keyframes: true, opens_at: |rate| rate, breaks: None };
const LOOKED: Option<fn() -> EncodeError> = Some(|| EncodeError::NoKeyframe("it made none".into()));

impl Driver {
    /// Its candidate. Units are as long as the bit rate says, but keyframes, which are longer.
    fn candidate(self, hardware: bool) -> Candidate {
        let open = Arc::new(move |settings: &EncoderSettings, _: &Wake| {
            let opened = ((self.opens_at)(settings.bitrate), settings.rate);
            let capabilities = EncoderCapabilities {
                rate_change: RateChange::Seamless,
                ..EncoderCapabilities::plain("card", Codec::H264)
            };
            let mut fresh = true;
            Ok(Box::new(Inert::new(capabilities, move |asked| {
                let fresh = std::mem::take(&mut fresh);
                let ignored = asked.keyframe && !self.keyframes && !fresh;
                if let Some(error) = self.breaks.filter(|_| ignored) {
                    return Err(error());
                }
                let key = fresh || asked.keyframe && self.keyframes;
                let (bitrate, rate) = asked.rates.filter(|_| self.rates).unwrap_or(opened);
                let bytes = bitrate.bytes_in(rate.interval()) as usize * if key { 9 } else { 1 };
                let kind = if key { UnitKind::Key } else { UnitKind::Delta };
                Ok(Encoded::new(vec![1; bytes].into(), kind))
            })) as Box<dyn Encoder>)
        });
        Candidate { open, ..candidate("card", hardware) }
    }
}

#[test]
fn what_hardware_ignores_while_it_runs_it_is_started_anew_for() {
    let tried = |driver: Driver, hardware| {
        let verdict = InProcess.probe(&[driver.candidate(hardware)]).remove(0);
        (verdict.reason().to_owned(), verdict.restarts())
    };
    let ok = |rate, keyframe| ("ok".to_owned(), Restarts { rate, keyframe });
    assert_eq!(tried(OBEYS, true), ok(false, false));
    let rates = Driver { rates: false, ..OBEYS };
    assert_eq!(tried(rates, true), ok(true, false));
    let keyframes = Driver { keyframes: false, ..OBEYS };
    assert_eq!(tried(keyframes, true), ok(false, true));
    assert_eq!(tried(Driver { breaks: LOOKED, ..keyframes }, true), ok(false, true));
    let neither = Driver { rates: false, breaks: LOOKED, ..keyframes };
    assert_eq!(tried(neither, true), ok(true, true));
    // Software is proven elsewhere.
    assert_eq!(tried(neither, false), ok(false, false));
}

#[test]
fn hardware_that_fails_where_a_keyframe_is_asked_for_is_tried_again() {
    let fails: fn() -> EncodeError = || EncodeError::Fatal("its device is lost".into());
    let driver = Driver { keyframes: false, breaks: Some(fails), ..OBEYS };
    let verdict = InProcess.probe(&[driver.candidate(true)]).remove(0);
    let reason = "the encoder failed: its device is lost".to_owned();
    assert_eq!(verdict.outcome, Outcome::Failed { reason });
}

#[test]
fn hardware_that_makes_a_bit_rate_of_its_own_is_declined() {
    let reason = |opens_at: fn(Bitrate) -> Bitrate, rates: bool| {
        let driver = Driver { opens_at, rates, ..OBEYS };
        let verdict = InProcess.probe(&[driver.candidate(true)]).remove(0);
        assert!(matches!(verdict.outcome, Outcome::Declined { .. }));
        verdict.reason().to_owned()
    };
    // 2 Mbit/s for six pictures.
    let said = |side: &str, bitrate: &str| {
        format!(
            "it does not follow its bit rate: within 30 pictures no 6 in a row took {side} than 49998 \
             bytes at {bitrate} Mbit/s, though started anew"
        )
    };
    assert_eq!(reason(|_| Bitrate::from_mbps(8), false), said("less", "1.00"));
    assert_eq!(reason(|_| Bitrate::from_kbps(800), false), said("more", "4.00"));
    // It follows what it is told, and cannot be relied on to begin with.
    assert_eq!(reason(|_| Bitrate::from_mbps(8), true), said("less", "1.00"));
}

#[test]
fn sessions_get_what_was_tried() {
    let deaf = Driver { rates: false, ..OBEYS };
    let candidates = vec![deaf.candidate(true)];
    let known = Encoders::probe(candidates, Preference::default(), &InProcess, None).unwrap();
    let demand = Demand {
        size: Size::new(640, 384),
        rate: FrameRate::fps(60),
        format: PixelFormat::Nv12,
        waves: false,
        decodes: CodecSet::of(&[Codec::H264]),
        holds: None,
    };
    let choice = known.choose(&demand);
    let [card] = &known.usable(&choice).unwrap()[..] else { panic!("{choice:?}") };
    let settings = EncoderSettings::new(demand.size, demand.rate, Bitrate::from_mbps(5));
    let encoder = card.start(&settings, &Wake::new(|| {})).unwrap();
    let capabilities = encoder.capabilities();
    assert_eq!(capabilities.restarts, Restarts { rate: true, keyframe: false });
    assert_eq!(capabilities.rate_change, RateChange::Keyframe);
    // A trial is of the driver, and not of what makes up for it.
    let tried = known.candidate("card").unwrap().start(&settings, &Wake::new(|| {})).unwrap();
    assert_eq!(tried.capabilities().restarts, Restarts::NONE);
}

#[test]
fn a_session_that_was_not_to_be_had_is_no_verdict_on_the_encoder() {
    let machine = Machine::new();
    let busy = Outcome::Busy { reason: "busy: all are taken".into() };
    let prober = Counting::new(busy.clone());
    let mut known = machine.start(&prober, &[]);
    assert_eq!(known.doubtful(), ["card", "one", "two"], "it may have one a moment later");
    assert_eq!(known.table()[0].reason(), "busy: all are taken");
    let cost = Cost { micros_per_megapixel: 1_000, ten_bits: None };
    let accepts = Accepts::of(&EncoderCapabilities::plain("card", Codec::H264));
    let works = |known: &Encoders, outcome| Verdict::of(known.candidate("card").unwrap(), outcome);
    known.replace(works(&known, Outcome::Works { cost, accepts }));
    let remembered = known.known();
    // A trial that gets none, and a session that gets none.
    known.replace(works(&known, busy));
    assert!(known.table()[0].works() && !known.is_full());
    known.session_refused("card", 3);
    let demand = Demand {
        size: Size::new(640, 384),
        rate: FrameRate::fps(60),
        format: PixelFormat::Nv12,
        waves: false,
        decodes: CodecSet::of(&[Codec::H264]),
        holds: None,
    };
    let choice = known.choose(&demand);
    let full = "card: has no session to give while 3 of this node's are open";
    assert_eq!((choice.chosen(), choice.declined("one")), (None, vec![full.to_owned()]));
    let holder = Demand { holds: Some("card"), ..demand };
    assert_eq!(known.choose(&holder).chosen(), Some("card"), "it has one of them");
    assert!(known.is_full());
    assert_eq!(known.known(), remembered, "that is not remembered");
    known.session_ended();
    assert_eq!(known.choose(&demand).chosen(), Some("card"));
}
