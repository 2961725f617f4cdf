use std::path::Path;

use session::lease::{BootTime, LeaseEvent, MachineView};
use session::rental::{
    AccountId, BLOCKS_PER_DAY, BlockHash, BlockNumber, ChainLimits, GpuSlots, Head, Machine,
    MachineStatus, Order, OrderStatus, Perbill, Planck, RentId,
};
use testkit::FakeClock;

use super::*;
use crate::config;
use crate::rented::access::{Claim, Holder};
use crate::rented::{BootClock, Durable};

const GENESIS: BlockHash = BlockHash([1; 32]);
const RENTER: AccountId = AccountId([5; 32]);
const ORDER: RentId = RentId(1);
/// The block in which the order is made, the one that confirms it, and the one that ends it, a day later.
const START: u32 = 10;
const CONFIRMED: u32 = 20;
const END: u32 = START + BLOCKS_PER_DAY;
/// From a block until it is final.
const FINALITY: u32 = 3;
const BLOCK_MS: u64 = 6_000;
/// Planck for an hour: ten a millisecond.
const TARIFF: u128 = 36_000_000;

/// CLOCK_BOOTTIME that goes with the media clock.
struct Boot(FakeClock);

impl BootClock for Boot {
    fn now(&self) -> BootTime {
        BootTime(self.0.now().as_nanos())
    }
    fn wall(&self) -> UnixMillis {
        UnixMillis(0)
    }
}

/// What a day of the chain says, block by block: of the model a renter's, a machine's and a meter's time.
struct Day {
    rented: Arc<Rented>,
    clock: FakeClock,
    next: u32,
    /// What the test counts by itself: live time in all, and that before the confirmation was final.
    live: Duration,
    free: Duration,
}

impl Day {
    async fn new(folder: &Path) -> Self {
        let clock = FakeClock::at(MediaTime::from_millis(u64::from(START) * BLOCK_MS));
        let settings = [
            "server.listen=127.0.0.1:0".to_owned(),
            "chain.enabled=true".to_owned(),
            "chain.rpc=[\"ws://127.0.0.1:1\"]".to_owned(),
            format!("chain.genesis=\"{GENESIS}\""),
            format!("chain.machine_key=\"{}\"", "07".repeat(32)),
            format!("chain.ledger={folder:?}"),
            format!("chain.tariff=\"{TARIFF}\""),
            "sessions.longest=48h".to_owned(),
        ];
        let config = config::load(None, [], &settings).unwrap();
        let boot = Arc::new(Boot(clock.clone()));
        let durable = Durable::open(&config).unwrap().unwrap();
        let clock_of_node = Arc::new(clock.clone());
        let rented = Rented::open(&config, durable, clock_of_node, boot).await.unwrap();
        let limits = ChainLimits {
            confirm_window: 150,
            rent_step: 300,
            shortest_relet: 100,
            longest: 60 * BLOCKS_PER_DAY,
            fixed_fee: Planck::dbc(10),
            burn: Perbill(50_000_000),
            slot: Some(Duration::from_millis(BLOCK_MS)),
        };
        rented.tell(LeaseEvent::Connected(GENESIS, limits));
        let mut day =
            Self { rented, clock, next: START, live: Duration::ZERO, free: Duration::ZERO };
        day.block();
        day
    }

    /// What block `number` says of the machine.
    fn seen(&self, number: u32) -> (Head, MachineView) {
        let hash = |number: u32| {
            let mut hash = [7; 32];
            hash[..4].copy_from_slice(&number.to_be_bytes());
            BlockHash(hash)
        };
        let time = UnixMillis(u64::from(number) * BLOCK_MS);
        let (parent, hash) = (hash(number - 1), hash(number));
        let head = Head { number: BlockNumber(number), hash, parent, time };
        let is_confirmed = number >= CONFIRMED;
        let order = Order {
            rent_id: ORDER,
            machine: self.rented.machine,
            renter: RENTER,
            start: BlockNumber(START),
            confirmed: BlockNumber(if is_confirmed { CONFIRMED } else { 0 }),
            end: BlockNumber(END),
            status: if is_confirmed { OrderStatus::Renting } else { OrderStatus::Waiting },
            slots: GpuSlots::new(vec![0]),
            receiver: None,
        };
        let machine = Machine {
            id: self.rented.machine,
            owner: AccountId([8; 32]),
            controller: AccountId([9; 32]),
            status: MachineStatus::Rented,
            gpus: 1,
            rented_gpus: 1,
            calc_point: 1,
        };
        let orders = (START..END).contains(&number).then_some(order).into_iter().collect();
        (head, MachineView { machine: Some(machine), orders })
    }

    /// The next block comes, and an earlier one is final.
    fn block(&mut self) {
        let (head, view) = self.seen(self.next);
        if self.next >= START + FINALITY {
            let (head, view) = self.seen(self.next - FINALITY);
            self.rented.tell(LeaseEvent::Finalized(head, Some(view)));
        }
        self.rented.tell(LeaseEvent::Best(head, Some(view)));
        self.next += 1;
    }

    fn next_block(&self) -> MediaTime {
        MediaTime::from_millis(u64::from(self.next) * BLOCK_MS)
    }
}

/// Takes what comes of the ledger and the lease, and what is then to be done; whether that is to stop.
async fn settle(metered: &mut Option<Metered>, day: &Day) -> bool {
    let mut stops = false;
    loop {
        let it = metered.as_mut().unwrap();
        let waits = it.chain.writing.is_some() || it.tenancy.lease.has_changed().unwrap();
        while let Some(deed) = it.poll() {
            stops |= matches!(deed, Deed::Stop(StoppedBy::Lease(_)));
            assert!(matches!(deed, Deed::Say(_)) || stops, "{deed:?}");
        }
        if !waits {
            return stops;
        }
        let news = Metered::news(metered).await;
        metered.as_mut().unwrap().heard(day.clock.now(), news);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_day_is_billed_by_the_wall() {
    // In memory, where there is such a folder: ten thousand slices are made durable.
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let folder = folder.unwrap();
    let mut day = Day::new(folder.path()).await;
    let claim = Claim { rent_id: ORDER, holder: Holder::Renter(RENTER) };
    let tenancy = day.rented.admit(&claim).await.unwrap();
    let session = SessionId::new("0a1b");
    let tasks = TaskTracker::new();
    let (size, begin) = (Size::new(64, 64), day.clock.now());
    let mut metered =
        Some(Metered::new(tenancy, session.clone(), (60, size, true), tasks.clone(), begin));
    let mut phase = Phase::Live;
    metered.as_mut().unwrap().follow(begin, phase);
    let mut step = 0_u64;
    let stopped = loop {
        if settle(&mut metered, &day).await {
            break day.clock.now();
        }
        let it = metered.as_mut().unwrap();
        let due = it.poll_timeout().map(|due| due.min(day.next_block()));
        // The driver is called late by up to 0.4 s, and blocks come when they come.
        step += 1;
        let late = Duration::from_millis(step * 37 % 400);
        let (before, now) = (day.clock.now(), due.unwrap_or(day.next_block()) + late);
        day.clock.advance_to(now);
        if phase == Phase::Live {
            day.live += now.since(before);
        }
        if now >= day.next_block() {
            day.block();
            // Two hours of the night nobody is there.
            let away = (6_000..7_200).contains(&day.next);
            let next = if away { Phase::Suspended } else { Phase::Live };
            if next != phase {
                phase = next;
                it.follow(now, phase);
            }
        }
        if phase == Phase::Live {
            it.frame(now, 1_000, &StageTimes::captured(now));
        }
        it.timeout(now);
        if it.chain.trial {
            day.free = day.live;
        }
        assert!(day.next <= END + 1, "the lease ends by its block");
    };
    assert!(day.next == END + 1 && stopped.since(begin) >= Duration::from_secs(86_400));
    metered.take().unwrap().end(&day.clock);
    tasks.close();
    tasks.wait().await;

    let records = async |id: ChainId| day.rented.records(id).await.unwrap();
    let [trial, lease] = chains_of(session.as_str());
    let machine = day.rented.machine;
    let audits =
        [records(trial).await, records(lease).await].map(|it| ledger::verify(&machine, &it));
    for audit in &audits {
        assert!(audit.is_sound() && audit.close.is_some(), "{:?}", audit.findings);
        assert_eq!(audit.totals.unpaid_ms, 0);
    }
    let [free, paid] = audits.map(|audit| audit.totals);
    let is_exact = |metered_ms: u64, wall: Duration| {
        let apart = (metered_ms as f64 / wall.as_millis() as f64 - 1.0).abs();
        assert!(apart < 0.001, "{metered_ms} ms of {wall:?}");
    };
    assert!(day.live > Duration::from_secs(22 * 3_600 - 60), "{:?}", day.live);
    is_exact(free.wall_ms + paid.wall_ms, day.live);
    is_exact(paid.wall_ms, day.live - day.free);
    // Ten planck for each millisecond of it, in receipts and accounts, and nothing before it was final.
    let charge = Planck(u128::from(paid.wall_ms) * 10);
    assert_eq!((free.charge, paid.charge), (Planck::ZERO, charge));
    let finally = u64::from(CONFIRMED + FINALITY - START) * BLOCK_MS;
    assert!(day.free.abs_diff(Duration::from_millis(finally)) < Duration::from_secs(1));
    let used = day.rented.ledger.balance("used/1".to_owned()).await.unwrap().unwrap();
    assert_eq!((used.debits, used.credits), (charge, Planck::ZERO));
}
