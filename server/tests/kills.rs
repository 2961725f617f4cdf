//! Node, chain and the renter's commands as real processes that are ended by SIGKILL at random points, again and again, while an
//! order is rented, tried, confirmed, played, prolonged and runs out. Then what they left behind is reconciled: what was
//! durable is there and proves itself, nothing was charged twice, and at most one slice of a session is unpaid or lost. Whose
//! command was ended repeats it, and then there is one order and one payment, whenever it was ended.
//!
//! `NEARLIGHT_NODE_KILLS` says how often (50), `NEARLIGHT_SEED` where the random points begin.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod mortal;

use std::process::{Child, Output};
use std::time::{Duration, Instant};

use media::FrameId;
use model_chain::{Came, Devchain, RenterError};
use mortal::{Account, CARDS, FPS, Playing, SLICE, World, finish, until};
use serde_json::{Value, json};
use session::rental::{OrderStatus, Planck, RentId};
use testkit::Rng;

/// Blocks that are rented at first.
const BLOCKS: u32 = 300;
/// An order that is longer than this runs out.
const LONG: u32 = 700;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |it| it.parse().unwrap())
}

/// What the renter does in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Rent,
    Confirm(RentId),
    Relet(RentId, u32),
    /// Nothing: blocks come until the order's last one.
    RunOut(RentId, u32),
}

impl Intent {
    fn next(account: &Account, rng: &mut Rng) -> Self {
        match &account.order {
            None => Self::Rent,
            Some(order) if order.status == OrderStatus::Waiting => Self::Confirm(order.rent_id),
            Some(order) if order.end.since(order.start) > LONG => {
                Self::RunOut(order.rent_id, order.end.0)
            }
            // Lengths differ, so that one tells what was done.
            Some(order) => Self::Relet(order.rent_id, 100 + rng.below(40) as u32),
        }
    }

    fn words(self) -> Option<Vec<String>> {
        let (ceiling, blocks) = ("500000 DBC".to_owned(), "--blocks".to_owned());
        let rest = match self {
            Self::Rent => {
                vec!["rent".into(), "--cards".into(), CARDS.to_string(), blocks, BLOCKS.to_string()]
            }
            Self::Confirm(order) => vec!["confirm".into(), order.to_string()],
            Self::Relet(order, by) => {
                vec!["relet".into(), order.to_string(), blocks, by.to_string()]
            }
            Self::RunOut(..) => return None,
        };
        Some(rest.into_iter().chain(["--ceiling".into(), ceiling]).collect())
    }
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Node,
    Chain,
    Both,
    Command,
}

/// What the renter does, while it is done.
enum Doing {
    Command(Child),
    Blocks(tokio::task::JoinHandle<()>),
}

impl Doing {
    fn begin(world: &World, intent: Intent) -> Self {
        match intent.words() {
            Some(words) => Self::Command(world.command(&words)),
            None => Self::Blocks(run_out(world, intent)),
        }
    }

    async fn end(self) -> Option<Output> {
        match self {
            Self::Command(child) => Some(finish(child).await),
            Self::Blocks(made) => {
                made.await.unwrap();
                None
            }
        }
    }
}

/// What is known of the renter's commands.
struct Told {
    /// About how long one takes that is not killed: less where one had ended before it was, more where none had.
    takes: Duration,
    /// Those that were repeated, and those of them that had done their work before.
    repeated: u32,
    done: u32,
}

impl Told {
    /// Repeats a command that was not heard of, perhaps killed again, until it answers.
    async fn repeat(&mut self, world: &World, intent: Intent, kills: u64, rng: &mut Rng) -> Value {
        let words = intent.words().unwrap();
        for _ in 0..kills {
            let mut child = world.command(&words);
            self.sleep(rng).await;
            child.kill().unwrap();
            let output = finish(child).await;
            self.learn(&output);
            if let Some(answer) = answer(&output) {
                return self.answered(answer);
            }
        }
        let output = finish(world.command(&words)).await;
        assert!(output.status.success(), "{intent:?}: {}", String::from_utf8_lossy(&output.stderr));
        self.answered(answer(&output).unwrap())
    }

    fn answered(&mut self, answer: Value) -> Value {
        self.repeated += 1;
        self.done += u32::from(answer["earlier"].as_bool().unwrap());
        answer
    }

    /// Until anywhere within a command, and a little beyond its end; more often in its second half, in which it signs.
    async fn sleep(&self, rng: &mut Rng) {
        let most = self.takes.as_micros() as u64 * 5 / 4;
        let least = rng.below(2) * most / 2;
        tokio::time::sleep(Duration::from_micros(least + rng.below(most - least))).await;
    }

    /// Kills come too late every third time, whatever this machine's speed.
    fn learn(&mut self, killed: &Output) {
        let change = if answer(killed).is_some() { 0.9 } else { 1.05 };
        self.takes = self.takes.mul_f64(change).max(Duration::from_millis(5));
    }
}

/// What a command answered, whether or not it was killed after that: then the renter knows.
fn answer(output: &Output) -> Option<Value> {
    serde_json::from_slice(&output.stdout).ok()
}

/// Makes blocks up to the order's last one, or until the chain is gone.
fn run_out(world: &World, intent: Intent) -> tokio::task::JoinHandle<()> {
    let (address, end) = (
        world.dev.address(),
        match intent {
            Intent::RunOut(_, end) => end,
            _ => 0,
        },
    );
    tokio::task::spawn_blocking(move || {
        let ask = |method: &str, params: Value| Devchain::ask_at(address, method, &params);
        while let Some(head) = ask("chain_getHeader", json!([])) {
            let number = head["number"].as_str().unwrap().trim_start_matches("0x").to_owned();
            let left = end.saturating_sub(u32::from_str_radix(&number, 16).unwrap());
            if left == 0 || ask("dev_newBlocks", json!([left.min(50)])).is_none() {
                return;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_points_lose_no_receipt_and_charge_nothing_twice() {
    let mut world = World::start().await;
    let seed = number("NEARLIGHT_SEED", 6);
    let (mut rng, mut account) = (Rng::new(seed), world.account().await);
    let mut told = Told { takes: Duration::from_millis(120), repeated: 0, done: 0 };
    let began = Instant::now();
    for kill in 0..number("NEARLIGHT_NODE_KILLS", 50) {
        let intent = Intent::next(&account, &mut rng);
        let victim = match (rng.below(20), intent) {
            (0..6, Intent::Rent | Intent::Confirm(_) | Intent::Relet(..)) => Victim::Command,
            (6..9, _) => Victim::Chain,
            (9..11, _) => Victim::Both,
            _ => Victim::Node,
        };
        eprintln!(
            "{:>6.1} s, kill {kill}: {victim:?} within {intent:?}",
            began.elapsed().as_secs_f64()
        );
        account = round(&mut world, &account, intent, victim, &mut rng, &mut told).await;
    }
    eprintln!(
        "{} commands were repeated, of which {} had done their work",
        told.repeated, told.done
    );
    world.stop_node();
    let chains = world.settle().await;
    eprintln!("{chains} chains of receipts are whole");
}

/// Plays, does what is intended, kills, starts again what was killed and checks what came of it.
async fn round(
    world: &mut World,
    before: &Account,
    intent: Intent,
    victim: Victim,
    rng: &mut Rng,
    told: &mut Told,
) -> Account {
    world.known(before.order.as_ref()).await;
    let mut playing = match &before.order {
        Some(order) => world.play(order).await,
        None => Vec::new(),
    };
    // Some are killed before the first slice.
    let slices = rng.below(4);
    for player in &mut playing {
        player.seen.wait_for(|seen| seen.slices >= slices || seen.over).await.unwrap();
    }
    let mut doing = Doing::begin(world, intent);
    if victim == Victim::Command {
        told.sleep(rng).await;
    } else {
        tokio::time::sleep(Duration::from_micros(rng.below(SLICE.as_micros() as u64))).await;
    }
    match (victim, &mut doing) {
        (Victim::Command, Doing::Command(child)) => child.kill().unwrap(),
        (Victim::Node, _) => world.kill_node(),
        (Victim::Both, _) => {
            world.kill_node();
            world.dev.kill();
        }
        _ => {
            world.dev.kill();
            goes_on(&mut playing).await;
        }
    }
    if matches!(victim, Victim::Chain | Victim::Both) {
        tokio::task::block_in_place(|| world.dev.again());
    }
    let came = doing.end().await;
    if let (Victim::Command, Some(output)) = (victim, &came) {
        told.learn(output);
    }
    let node_died = matches!(victim, Victim::Node | Victim::Both);
    if !node_died {
        for player in &playing {
            // Whose order has run out has ended by itself.
            let _ = world.renter.end(&player.session).await;
        }
    }
    let mut played = Vec::new();
    for player in playing {
        played.push(player.played.await.unwrap());
    }
    if node_died {
        world.reconcile(&played).await;
        world.start_node().await;
    }
    let mut acknowledged = None;
    match came {
        Some(output) if answer(&output).is_some() => acknowledged = answer(&output),
        // He asks for something else, which tells him of it, or the same again.
        Some(_) if rng.below(4) == 0 => world.resume().await,
        Some(_) => {
            let kills = if victim == Victim::Command { rng.below(3) } else { 0 };
            acknowledged = Some(told.repeat(world, intent, kills, rng).await);
        }
        None => run_out(world, intent).await.unwrap(),
    }
    let after = world.account().await;
    charged_once(world, before, &after, intent, acknowledged.as_ref());
    if let Intent::RunOut(order, _) = intent {
        world.known(None).await;
        match world.renter.bearer(order).await {
            Err(RenterError::Refused(410, _)) => {}
            other => panic!("order {order} is over: {other:?}"),
        }
    }
    after
}

/// Those who play get pictures and slices without the chain.
async fn goes_on(playing: &mut [Playing]) {
    for player in playing {
        let now = *player.seen.borrow();
        let seen = player.seen.wait_for(|seen| {
            seen.over || seen.frames >= now.frames + 3 && seen.slices >= now.slices + 2
        });
        seen.await.unwrap();
    }
}

/// What was acknowledged is done, what was not is done once or not at all, and either has its price.
fn charged_once(
    world: &World,
    before: &Account,
    after: &Account,
    intent: Intent,
    acknowledged: Option<&Value>,
) {
    let (was, is) = (before.order.as_ref(), after.order.as_ref());
    let rent = |quote: session::rental::Quote| quote.rent;
    let first = world.price.quote(CARDS, BLOCKS).unwrap();
    let (done, price) = match intent {
        Intent::Rent => (is.is_some(), first.fixed),
        Intent::Confirm(_) => (is.unwrap().status == OrderStatus::Renting, first.rent),
        Intent::Relet(_, by) => {
            let longer = is.unwrap().end.since(was.unwrap().end);
            assert!([0, by].contains(&longer), "prolonged by {longer} instead of {by}");
            (longer == by, world.price.relet(CARDS, by).map(rent).unwrap())
        }
        Intent::RunOut(..) => {
            assert_eq!(is, None, "the order has not run out");
            (false, Planck::ZERO)
        }
    };
    let spent = before.money.checked_sub(after.money).unwrap();
    assert_eq!(after.nonce - before.nonce, u64::from(done), "{intent:?}: {before:?} {after:?}");
    match acknowledged {
        Some(answer) => {
            let amount =
                |name: &str| answer[name].as_str().map_or(0, |it| it.parse::<u128>().unwrap());
            let told =
                amount("fixed_planck") + amount("paid_planck") + amount("network_fee_planck");
            assert!(done, "{intent:?} was acknowledged and is not done");
            assert_eq!(spent, Planck(told), "{intent:?}");
        }
        // And the network's fee, which is far below a DBC.
        None if done => {
            let most = price.checked_add(Planck::dbc(1)).unwrap();
            assert!(price < spent && spent < most, "{intent:?} costs {price}, {spent} is spent");
        }
        None => assert_eq!(spent, Planck::ZERO, "{intent:?} is not done"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_while_the_chain_is_gone() {
    let mut world = World::start().await;
    for intent in [Intent::Rent, Intent::Confirm(RentId(0))] {
        let output = finish(world.command(&intent.words().unwrap())).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let account = world.account().await;
    world.known(account.order.as_ref()).await;
    let bearer = world.renter.bearer(RentId(0)).await.unwrap();
    let wish = json!({"app": "sync-test", "video": {"width": 128, "height": 96, "fps": FPS}});
    let session = world.renter.start(&bearer, &wish).await.unwrap();
    let mut player = world.renter.play(&session).await.unwrap();
    // He reads whatever else is waited for: who is silent for three seconds counts as away.
    let (came, mut comes) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(next) = player.next().await {
            if came.send(next).is_err() {
                return;
            }
        }
    });
    let (mut last, mut slices) = (None, 0);
    // Each can be decoded by what came before: none was lost after it was coded, however slow this machine is.
    let mut frames = async |count: u32| {
        // Those that came before are none of them.
        let (mut before, mut came) = (comes.len(), 0);
        while came < count {
            let next = comes.recv().await.expect("it goes on");
            let is_new = before == 0;
            before = before.saturating_sub(1);
            match next {
                Came::Frame(header) => {
                    let follows = |last: FrameId| header.refers_to.is_some_and(|it| it <= last);
                    assert!(last.is_none_or(follows), "{header:?} after {last:?}");
                    last = Some(header.frame);
                    came += u32::from(is_new);
                }
                Came::Said(said) => {
                    slices += u32::from(said["type"] == "receipt");
                    assert_ne!(said["type"], "ended", "{said}");
                }
            }
        }
        slices
    };
    frames(10).await;
    world.dev.kill();
    until("the loss", async || (world.lease().await?["connected"] == false).then_some(())).await;
    let before = frames(1).await;
    let slices = frames(3 * FPS).await;
    assert!(slices > before, "slices are durable without the chain");
    assert_eq!(world.lease().await.unwrap()["connected"], false);
    // Nobody who comes waits for it either.
    let other = world.renter.start(&bearer, &wish).await.unwrap();
    world.renter.end(&other).await.unwrap();
    tokio::task::block_in_place(|| world.dev.again());
    until("the chain", async || (world.lease().await?["connected"] == true).then_some(())).await;
    frames(10).await;
    world.renter.end(&session).await.unwrap();
    world.stop_node();
    assert_eq!(world.settle().await, 1);
}
