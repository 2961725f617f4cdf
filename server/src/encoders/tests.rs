//! What a node makes of encoders that break, with candidates that are none.

use std::sync::mpsc;

use encoder::choice::{Accepts, Cost};
use encoder::{Outcome, Verdict};
use media::EncoderCapabilities;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;

/// Answers one outcome after the other for each candidate that is asked for.
struct Says(Mutex<Vec<(&'static str, Vec<Outcome>)>>);

impl Says {
    fn new<const N: usize>(said: [(&'static str, &[Outcome]); N]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(said.map(|(name, outcomes)| (name, outcomes.to_vec())).into())))
    }
}

impl Prober for Says {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        let mut said = self.0.lock().unwrap();
        let verdict = |candidate: &Candidate| {
            let (_, outcomes) = said.iter_mut().find(|(name, _)| *name == candidate.name).unwrap();
            Verdict::of(candidate, outcomes.remove(0))
        };
        candidates.iter().map(verdict).collect()
    }
}

fn works() -> Outcome {
    costs(1)
}

fn costs(micros_per_megapixel: u32) -> Outcome {
    let accepts = Accepts::of(&EncoderCapabilities::plain("", Codec::H264));
    Outcome::Works { cost: Cost { micros_per_megapixel, ten_bits: None }, accepts }
}

fn failed() -> Outcome {
    Outcome::Failed { reason: "failed: no memory".into() }
}

fn candidate(name: &'static str, codec: Codec, hardware: bool) -> Candidate {
    let open = Arc::new(|_: &_, _: &_| panic!("it is never opened here"));
    Candidate { name, codec, hardware, library: name, open }
}

fn open_as(probing: Probing, codecs: &str) -> Result<NodeEncoders, SelectError> {
    let codecs = [format!("video.codecs={codecs}")];
    NodeEncoders::open(probing, &crate::config::load(None, [], &codecs).unwrap())
}

fn open(said: Arc<Says>, cache: Option<Cache>) -> Result<NodeEncoders, SelectError> {
    let candidates = [("card", true), ("cores", false)]
        .map(|(name, hardware)| candidate(name, Codec::H264, hardware));
    let probing = Probing { candidates: candidates.into(), prober: said, cache, retry: RETRY };
    open_as(probing, "[\"h264\"]")
}

fn get(encoders: &NodeEncoders, demand: &Demand, broke: &Broken) -> Vec<&'static str> {
    let (_, usable) = encoders.choose_for_client(demand, broke).unwrap();
    usable.iter().map(|candidate| candidate.name).collect()
}

fn for_client(encoders: &NodeEncoders, broke: &Broken) -> Vec<&'static str> {
    get(encoders, &encoders.usual, broke)
}

/// Tries a candidate once.
fn works_now(encoders: &NodeEncoders, name: &str) -> bool {
    let candidate = encoders.known().candidate(name).unwrap().clone();
    encoders.try_once(&[candidate]).is_empty()
}

#[test]
fn what_broke_in_a_session_is_for_its_clients_again_once_it_worked_in_a_try() {
    let card = [works(), failed(), works(), works()];
    let said = Says::new([("card", &card), ("cores", &[works()])]);
    let encoders = open(said, None).unwrap();
    let none = Broken::default();
    assert_eq!(for_client(&encoders, &none), ["card", "cores"]);
    let mut broke = Broken::default();
    encoders.broke("card", &mut broke);
    assert_eq!(for_client(&encoders, &broke), ["cores"]);
    assert_eq!(for_client(&encoders, &none), ["card", "cores"], "for others it has not broken");
    let mut both = broke.clone();
    encoders.broke("cores", &mut both);
    assert_eq!(for_client(&encoders, &both), ["card", "cores"], "better than none");
    assert!(!works_now(&encoders, "card"));
    assert_eq!(for_client(&encoders, &broke), ["cores"]);
    assert!(works_now(&encoders, "card"));
    assert_eq!(for_client(&encoders, &broke), ["card", "cores"]);
    assert_eq!(for_client(&encoders, &both), ["card"]);
    // It breaks again, and no try makes that good.
    for broke in [&mut broke, &mut both] {
        encoders.broke("card", broke);
    }
    assert_eq!(for_client(&encoders, &broke), ["cores"]);
    assert!(works_now(&encoders, "card"));
    assert_eq!(for_client(&encoders, &broke), ["cores"]);
    assert_eq!(for_client(&encoders, &both), ["cores"], "better than none");
    encoders.broke("cores", &mut both);
    let refused = encoders.choose_for_client(&encoders.usual, &both).err().unwrap();
    let reason = "card, cores broke more than once in this session";
    assert_eq!(refused.to_string(), format!("no video encoder can be used: {reason}"));
    let told = "what this node codes for the client broke in its session";
    assert_eq!(encoders.nothing_for(&encoders.usual), told);
}

#[test]
fn what_broke_and_is_alone_in_its_codec_stands_back_for_what_did_not_break() {
    let candidates =
        vec![candidate("card", Codec::H265, true), candidate("cores", Codec::H264, false)];
    let prober = Says::new([("card", &[works(), works()]), ("cores", &[works()])]);
    let probing = Probing { candidates, prober, cache: None, retry: RETRY };
    let encoders = open_as(probing, "[\"h265\", \"h264\"]").unwrap();
    let mut broke = Broken::default();
    assert_eq!(for_client(&encoders, &broke), ["card"]);
    encoders.broke("card", &mut broke);
    assert_eq!(for_client(&encoders, &broke), ["cores"]);
    assert!(works_now(&encoders, "card"));
    assert_eq!(for_client(&encoders, &broke), ["cores"], "nothing would take its place");
    let alone = Demand { decodes: CodecSet::of(&[Codec::H265]), ..encoders.usual };
    assert_eq!(get(&encoders, &alone, &broke), ["card"], "the client decodes nothing else");
    encoders.broke("cores", &mut broke);
    assert_eq!(for_client(&encoders, &broke), ["card"], "which worked since");
}

#[test]
fn a_client_is_told_why_it_gets_nothing() {
    let encoders = open(Says::new([("card", &[works()]), ("cores", &[works()])]), None).unwrap();
    let told = |decodes: &[Codec], format| {
        encoders.nothing_for(&Demand { decodes: CodecSet::of(decodes), format, ..encoders.usual })
    };
    let (eight, ten) = (PictureKind::NV12.format, PictureKind::HDR10.format);
    assert_eq!(told(&[Codec::Vp8], eight), "this node can code H264; the client decodes VP8");
    assert_eq!(told(&[], eight), "the client decodes no video of 8 bits a sample");
    assert_eq!(told(&[], ten), "the client decodes no video of 10 bits a sample");
    let none = told(&[Codec::H264], ten);
    assert!(none.starts_with("no video encoder of 10 bits a sample can be used: card: "), "{none}");
}

/// Far longer than anything here takes; only what never comes reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says when a try begins, and ends it as it is told to.
struct Asks {
    began: UnboundedSender<&'static str>,
    outcome: Mutex<mpsc::Receiver<Outcome>>,
}

impl Prober for Asks {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        let outcome = self.outcome.lock().unwrap();
        let verdict = |candidate: &Candidate| {
            self.began.send(candidate.name).unwrap();
            Verdict::of(candidate, outcome.recv().unwrap())
        };
        candidates.iter().map(verdict).collect()
    }
}

/// Candidates whose tries are in hand.
struct Tries {
    encoders: Arc<NodeEncoders>,
    began: UnboundedReceiver<&'static str>,
    outcome: mpsc::Sender<Outcome>,
    tasks: TaskTracker,
}

impl Tries {
    fn new(names: &[&'static str], retry: Duration) -> Self {
        let (began_in, mut began) = unbounded_channel();
        let (outcome, outcomes) = mpsc::channel();
        names.iter().for_each(|_| outcome.send(works()).unwrap());
        let prober = Arc::new(Asks { began: began_in, outcome: Mutex::new(outcomes) });
        let candidates = names.iter().map(|name| candidate(name, Codec::H264, true)).collect();
        let probing = Probing { candidates, prober, cache: None, retry };
        let encoders = Arc::new(open_as(probing, "[\"h264\"]").unwrap());
        names.iter().for_each(|name| assert_eq!(began.try_recv().as_ref(), Ok(name)));
        Self { encoders, began, outcome, tasks: TaskTracker::new() }
    }

    fn try_again(&self, names: &[&str]) {
        self.encoders.try_again(names, &self.tasks, &CancellationToken::new());
    }

    async fn began(&mut self) -> &'static str {
        timeout(PATIENCE, self.began.recv()).await.expect("no try began").unwrap()
    }

    /// Waits until nothing is tried any more; says how many tries `card` passed.
    async fn passed_in_all(mut self) -> u64 {
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.expect("it is tried on and on");
        assert!(self.began.try_recv().is_err() && self.encoders.trying().is_empty());
        self.encoders.passed("card")
    }
}

#[tokio::test]
async fn what_breaks_while_it_is_tried_is_tried_once_more() {
    let mut tries = Tries::new(&["card"], Duration::from_millis(1));
    tries.try_again(&["card"]);
    tries.began().await;
    // It breaks in two sessions, of which the try knows nothing.
    tries.try_again(&["card"]);
    tries.try_again(&["card"]);
    tries.outcome.send(works()).unwrap();
    tries.began().await;
    tries.outcome.send(works()).unwrap();
    assert_eq!(tries.passed_in_all().await, 2);
}

#[tokio::test]
async fn hardware_that_refuses_a_session_after_a_try_is_tried_until_it_has_one() {
    let mut tries = Tries::new(&["card"], Duration::from_millis(50));
    tries.try_again(&["card"]);
    tries.began().await;
    tries.outcome.send(works()).unwrap();
    while tries.encoders.passed("card") == 0 {
        tokio::task::yield_now().await;
    }
    // In the pause after the try, or after it.
    tries.encoders.session_refused("card", 0);
    tries.try_again(&["card"]);
    tries.began().await;
    assert!(tries.encoders.is_full());
    tries.outcome.send(Outcome::Busy { reason: "busy: others hold them".into() }).unwrap();
    tries.began().await;
    assert!(tries.encoders.is_full());
    tries.outcome.send(works()).unwrap();
    let encoders = tries.encoders.clone();
    assert_eq!(tries.passed_in_all().await, 2);
    assert!(!encoders.is_full());
}

#[tokio::test]
async fn hardware_that_was_given_a_session_back_and_broke_since_is_tried() {
    let mut tries = Tries::new(&["card"], Duration::from_millis(50));
    tries.encoders.session_refused("card", 1);
    tries.try_again(&["card"]);
    tokio::task::yield_now().await;
    // It is left alone for now: a session of the node may end, and does.
    tries.encoders.change(Encoders::session_ended);
    tries.try_again(&["card"]);
    tries.began().await;
    tries.outcome.send(works()).unwrap();
    assert_eq!(tries.passed_in_all().await, 1);
}

#[tokio::test]
async fn what_works_does_not_wait_for_what_fails_beside_it() {
    let names = ["card", "other"];
    let mut tries = Tries::new(&names, Duration::from_millis(1));
    tries.try_again(&names);
    for name in names {
        assert_eq!(tries.began().await, name);
        tries.outcome.send(failed()).unwrap();
    }
    assert_eq!(tries.began().await, "card");
    // It breaks once more, and the pause of the other is twice the least one by now.
    tries.try_again(&["card"]);
    tries.outcome.send(works()).unwrap();
    assert_eq!(tries.began().await, "other");
    tries.outcome.send(failed()).unwrap();
    assert_eq!(tries.began().await, "card");
    tries.outcome.send(works()).unwrap();
    assert_eq!(tries.began().await, "other");
    assert_eq!(tries.encoders.passed("card"), 2, "they are not tried together any more");
    tries.outcome.send(works()).unwrap();
    assert_eq!(tries.passed_in_all().await, 2);
}

/// Notes what it is asked for at once, and finds that these fail as often as it says.
struct Asked {
    asked: Mutex<Vec<Vec<&'static str>>>,
    fail: Mutex<BTreeMap<&'static str, usize>>,
}

impl Prober for Asked {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        self.asked.lock().unwrap().push(candidates.iter().map(|each| each.name).collect());
        let mut fail = self.fail.lock().unwrap();
        let verdict = |candidate: &Candidate| {
            let left = fail.entry(candidate.name).or_default();
            let outcome = if *left == 0 { works() } else { failed() };
            *left = left.saturating_sub(1);
            Verdict::of(candidate, outcome)
        };
        candidates.iter().map(verdict).collect()
    }
}

#[tokio::test]
async fn those_that_failed_at_the_start_are_tried_again_together() {
    let of = |name, library| Candidate { library, ..candidate(name, Codec::H264, true) };
    let candidates = vec![of("a", "one"), of("b", "one"), of("c", "other"), of("d", "one")];
    let fail = [("a", 3), ("b", 1), ("c", 2)].into();
    let prober = Arc::new(Asked { asked: Mutex::default(), fail: Mutex::new(fail) });
    let retry = Duration::from_millis(1);
    let probing = Probing { candidates, prober: prober.clone(), cache: None, retry };
    let encoders = Arc::new(open_as(probing, "[\"h264\"]").unwrap());
    assert_eq!(encoders.doubtful(), ["a", "b", "c"]);
    let tasks = TaskTracker::new();
    encoders.try_again(&encoders.doubtful(), &tasks, &CancellationToken::new());
    tasks.close();
    timeout(PATIENCE, tasks.wait()).await.expect("they are tried on and on");
    let asked = prober.asked.lock().unwrap();
    // What was not tried because another one hung comes before that one.
    assert_eq!(asked[1..], [vec!["b", "a", "c"], vec!["a", "c"], vec!["a"]]);
    assert_eq!(["a", "b", "c"].map(|name| encoders.passed(name)), [1; 3]);
    assert_eq!(encoders.doubtful(), [""; 0]);
}

#[tokio::test]
async fn what_was_too_slow_is_measured_again_and_the_least_cost_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("encoders.json");
    let cache = || Some(Cache::new(file.clone(), &Places::default()));
    let start = async |good: &[Outcome], plain: &[Outcome]| {
        let prober = Says::new([("good", good), ("plain", plain)]);
        let candidates = ["good", "plain"].map(|name| candidate(name, Codec::H264, false));
        let retry = Duration::from_millis(1);
        let probing = Probing { candidates: candidates.into(), prober, cache: cache(), retry };
        let encoders = Arc::new(open_as(probing, "[\"h264\"]").unwrap());
        let before = (for_client(&encoders, &Broken::default()), encoders.doubtful());
        let tasks = TaskTracker::new();
        encoders.try_again(&before.1, &tasks, &CancellationToken::new());
        tasks.close();
        timeout(PATIENCE, tasks.wait()).await.expect("it is tried on and on");
        (before, for_client(&encoders, &Broken::default()))
    };
    // A picture of 1280x720 takes 37 ms of the 16 between two, and 9 of them once nothing else runs.
    let busy = start(&[costs(40_000), costs(50_000)], &[costs(2_000)]).await;
    assert_eq!(busy, ((vec!["plain", "good"], vec!["good"]), vec!["plain", "good"]));
    let calm = start(&[costs(5_000)], &[]).await;
    assert_eq!(calm, ((vec!["plain", "good"], vec!["good"]), vec!["good", "plain"]));
    let remembered = start(&[], &[]).await;
    assert_eq!(remembered, ((vec!["good", "plain"], vec![]), vec!["good", "plain"]));
}

#[test]
fn a_start_that_would_find_nothing_tries_again_what_may_have_passed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("encoders.json");
    let cache = || Some(Cache::new(file.clone(), &Places::default()));
    let missing = Outcome::Declined { reason: "missing: its library".into() };
    let nothing = Says::new([("card", &[failed()]), ("cores", &[missing])]);
    assert!(open(nothing, cache()).is_err());
    // What is missing is believed to be so; it would not be found in the list either.
    let still = Says::new([("card", &[failed()]), ("cores", &[])]);
    assert!(open(still, cache()).is_err());
    let passed = Says::new([("card", &[works()]), ("cores", &[])]);
    let encoders = open(passed, cache()).unwrap();
    assert_eq!(for_client(&encoders, &Broken::default()), ["card"]);
    // And that is what is remembered.
    let warm = open(Says::new([("card", &[]), ("cores", &[])]), cache()).unwrap();
    assert_eq!(warm.doubtful(), [""; 0]);
    assert_eq!(for_client(&warm, &Broken::default()), ["card"]);
}
