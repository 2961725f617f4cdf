//! What a node makes of encoders that break, with candidates that are none.

use encoder::choice::{Accepts, Cost};
use encoder::{Outcome, Verdict};
use media::EncoderCapabilities;

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
    let accepts = Accepts::of(&EncoderCapabilities::plain("", Codec::H264));
    Outcome::Works { cost: Cost { micros_per_megapixel: 1 }, accepts }
}

fn failed() -> Outcome {
    Outcome::Failed { reason: "failed: no memory".into() }
}

fn candidate(name: &'static str, hardware: bool) -> Candidate {
    let open = Arc::new(|_: &_, _: &_| panic!("it is never opened here"));
    Candidate { name, codec: Codec::H264, hardware, open }
}

fn open(said: Arc<Says>, cache: Option<Cache>) -> Result<NodeEncoders, SelectError> {
    let candidates = vec![candidate("card", true), candidate("cores", false)];
    let probing = Probing { candidates, prober: said, cache, retry: RETRY };
    NodeEncoders::open(probing, &crate::config::load(None, [], &[]).unwrap())
}

fn for_client(encoders: &NodeEncoders, broke: &[Broke]) -> Vec<&'static str> {
    let (_, usable) = encoders.choose_for_client(&encoders.usual, broke).unwrap();
    usable.iter().map(|candidate| candidate.name).collect()
}

#[test]
fn what_broke_in_a_session_is_for_its_clients_again_once_it_worked_in_a_try() {
    let said = Says::new([("card", &[works(), failed(), works()]), ("cores", &[works(), works()])]);
    let encoders = open(said, None).unwrap();
    assert_eq!(for_client(&encoders, &[]), ["card", "cores"]);
    let card = encoders.broke("card");
    assert_eq!(for_client(&encoders, &[card]), ["cores"]);
    assert_eq!(for_client(&encoders, &[]), ["card", "cores"], "for others it has not broken");
    let both = [card, encoders.broke("cores")];
    assert_eq!(for_client(&encoders, &both), ["card", "cores"], "better than none");
    let known = encoders.known().candidate("card").unwrap().clone();
    assert!(!encoders.try_once(&known));
    assert_eq!(for_client(&encoders, &[card]), ["cores"]);
    assert!(encoders.try_once(&known));
    assert_eq!(for_client(&encoders, &[card]), ["card", "cores"]);
    assert_eq!(for_client(&encoders, &both), ["card"]);
    // It breaks again.
    assert_eq!(for_client(&encoders, &[encoders.broke("card")]), ["cores"]);
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
    assert_eq!(for_client(&encoders, &[]), ["card"]);
    // And that is what is remembered.
    let warm = open(Says::new([("card", &[]), ("cores", &[])]), cache()).unwrap();
    assert_eq!(warm.doubtful(), [""; 0]);
    assert_eq!(for_client(&warm, &[]), ["card"]);
}
