//! The thread that has the database, and the handle to it.
//!
//! | queue | bound | when it is full | counted | recovery |
//! |---|---|---|---|---|
//! | batches and questions | [`Options::queue`] | `commit` waits; `try_commit` is refused with [`LedgerError::Busy`] | `Ledger::waiting` | the thread takes all that wait into one transaction |

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use rusqlite::Connection;
use session::access::TicketRecord;
use session::lease::TrialUse;
use session::receipts::{ChainId, Signed};
use tokio::sync::{mpsc, oneshot};

use crate::accounts::{self, AccountBalance, Entry, StoredEntry};
use crate::error::LedgerError;
use crate::outbox::{self, Outgoing, OutgoingState};
use crate::receipts::{self, ChainSummary, Receipt};
use crate::{schema, store, uses};

/// Something that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// A receipt behind the last one of its chain.
    Receipt(Receipt),
    /// A player's acknowledgement of a receipt, which was checked.
    Acknowledge(ChainId, u32, [u8; 64]),
    /// How often a ticket was used, and whether it is revoked.
    Ticket(TicketRecord),
    /// How long an order was tried.
    Trial(TrialUse),
    /// A call to the chain that was signed.
    Sign(Outgoing),
    /// How far such a call is.
    Advance([u8; 32], OutgoingState),
    /// An entry of the accounts.
    Post(Entry),
    /// Bytes under a name, a mebibyte at most.
    State(String, Vec<u8>),
}

/// Operations that are written together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(Vec<Op>);

impl Batch {
    /// Of operations in order.
    pub fn new(ops: impl IntoIterator<Item = Op>) -> Self {
        Self(ops.into_iter().collect())
    }
}

impl From<Op> for Batch {
    fn from(op: Op) -> Self {
        Self(vec![op])
    }
}

/// How a ledger runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many batches and questions may wait.
    pub queue: usize,
    /// How many batches go into one transaction at most.
    pub group: usize,
    /// Up to how many receipts opening looks at each. Above, it looks at those of chains that are open and at the ends of the others;
    /// what lies between is looked at when it is read.
    pub whole: u64,
}

impl Default for Options {
    fn default() -> Self {
        // Half a second: 368,000 receipts and entries a second by `bench-money --only ledger`, beside builds.
        Self { queue: 1_024, group: 512, whole: 200_000 }
    }
}

type Question = Box<dyn FnOnce(&Connection) + Send>;

enum Job {
    Write(Batch, oneshot::Sender<Result<(), LedgerError>>),
    Read(Question),
}

/// A ledger. Clones are of one file; when the last is dropped, what waits is written and the file closed, which is waited for.
#[derive(Clone, Debug)]
pub struct Ledger {
    jobs: mpsc::Sender<Job>,
    // Behind the queue: dropped after it.
    _thread: Arc<Thread>,
}

/// Waits for the thread when the last handle goes.
#[derive(Debug)]
struct Thread(Mutex<Option<thread::JoinHandle<()>>>);

impl Ledger {
    /// Opens a file, makes it if it is not there, and looks at all of it, or at most as much as [`Options::whole`] says. Blocks for
    /// as long as that takes. The file is its owner's alone (0600); one that others may read is tightened.
    ///
    /// # Errors
    /// [`LedgerError::Unopened`], `Locked`, `Damaged`, `Foreign`, `TooNew`, `DiskFull` and `Disk`.
    pub fn open(path: &Path, options: Options) -> Result<Self, LedgerError> {
        let connection = schema::open(path)?;
        store::check(&connection, options.whole)?;
        let (jobs, queue) = mpsc::channel(options.queue.max(1));
        let group = options.group.max(1);
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || run(connection, queue, group))
            .map_err(|error| LedgerError::Disk(error.to_string()))?;
        Ok(Self { jobs, _thread: Arc::new(Thread(Mutex::new(Some(thread)))) })
    }

    /// Writes a batch; answers when it is on the disk, or will never be.
    ///
    /// # Errors
    /// The refusal of an operation, after which nothing of the batch is written; otherwise what the disk said.
    pub async fn commit(&self, batch: impl Into<Batch> + Send) -> Result<(), LedgerError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Write(batch.into(), answer);
        self.jobs.send(job).await.map_err(|_| LedgerError::Closed)?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }

    /// The same, but refused where the queue is full; the answer comes by the receiver.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] and `Closed`.
    pub fn try_commit(
        &self,
        batch: impl Into<Batch>,
    ) -> Result<oneshot::Receiver<Result<(), LedgerError>>, LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send(Job::Write(batch.into(), answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LedgerError::Busy,
            mpsc::error::TrySendError::Closed(_) => LedgerError::Closed,
        })?;
        Ok(answered)
    }

    /// The same, for a thread that may block, and never for one of an async runtime.
    ///
    /// # Errors
    /// Those of [`Self::commit`].
    pub fn commit_blocking(&self, batch: impl Into<Batch>) -> Result<(), LedgerError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Write(batch.into(), answer);
        self.jobs.blocking_send(job).map_err(|_| LedgerError::Closed)?;
        answered.blocking_recv().map_err(|_| LedgerError::Closed)?
    }

    /// Places of the queue that are taken.
    pub fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Asks the thread something; it is answered from what is durable.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Read(Box::new(move |connection| {
            let _ = answer.send(question(connection));
        }));
        self.jobs.send(job).await.map_err(|_| LedgerError::Closed)?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }

    /// Records of a chain from a number on, at most `most`.
    ///
    /// # Errors
    /// What the disk said; so of every question.
    pub async fn receipts(
        &self,
        chain: ChainId,
        from: u32,
        most: u32,
    ) -> Result<Vec<Signed>, LedgerError> {
        self.ask(move |connection| receipts::of_chain(connection, &chain, from, most)).await
    }

    /// Chains of receipts by name, after one.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn chains(
        &self,
        after: Option<ChainId>,
        most: u32,
    ) -> Result<Vec<ChainSummary>, LedgerError> {
        self.ask(move |connection| receipts::chains(connection, after.as_ref(), most)).await
    }

    /// All tickets that were ever shown or revoked.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn tickets(&self) -> Result<Vec<TicketRecord>, LedgerError> {
        self.ask(uses::tickets).await
    }

    /// All trials.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn trials(&self) -> Result<Vec<TrialUse>, LedgerError> {
        self.ask(uses::trials).await
    }

    /// All calls to the chain, by account and nonce.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn outgoing(&self) -> Result<Vec<Outgoing>, LedgerError> {
        self.ask(outbox::all).await
    }

    /// What is kept under a name.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn state(&self, key: String) -> Result<Option<Vec<u8>>, LedgerError> {
        self.ask(move |connection| uses::state(connection, &key)).await
    }

    /// What is kept under names that begin so, by name.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn states(&self, prefix: String) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
        self.ask(move |connection| uses::states(connection, &prefix)).await
    }

    /// Entries after a number, oldest first.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn entries(&self, after: u64, most: u32) -> Result<Vec<StoredEntry>, LedgerError> {
        self.ask(move |connection| accounts::entries(connection, after, most)).await
    }

    /// What is on an account; none if no entry ever named it.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn balance(&self, account: String) -> Result<Option<AccountBalance>, LedgerError> {
        self.ask(move |connection| accounts::balance(connection, &account)).await
    }

    /// All accounts by name.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn balances(&self) -> Result<Vec<AccountBalance>, LedgerError> {
        self.ask(accounts::balances).await
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Every handle drops its end of the queue before its share of this, so the thread has come to its end or will.
        let handle = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            let _ = handle.join();
        }
    }
}

fn run(connection: Connection, mut queue: mpsc::Receiver<Job>, group: usize) {
    let mut held = VecDeque::new();
    while let Some(job) = held.pop_front().or_else(|| queue.blocking_recv()) {
        match job {
            Job::Read(question) => question(&connection),
            Job::Write(batch, answer) => {
                let mut writes = vec![(batch, answer)];
                while writes.len() < group {
                    match queue.try_recv() {
                        Ok(Job::Write(batch, answer)) => writes.push((batch, answer)),
                        // A question sees what was asked to be written before it.
                        Ok(read) => {
                            held.push_back(read);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                write(&connection, writes);
            }
        }
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "the ledger was not closed well; nothing is lost");
    }
}

type Writes = Vec<(Batch, oneshot::Sender<Result<(), LedgerError>>)>;

/// Writes all of them in one transaction; a batch that is refused takes nothing of the others with it.
fn write(connection: &Connection, writes: Writes) {
    let results = transaction(connection, &writes);
    let results = results.unwrap_or_else(|error| vec![Err(error); writes.len()]);
    for ((_, answer), result) in writes.into_iter().zip(results) {
        let _ = answer.send(result);
    }
}

fn transaction(
    connection: &Connection,
    writes: &Writes,
) -> Result<Vec<Result<(), LedgerError>>, LedgerError> {
    let transaction = Guard::begin(connection)?;
    let mut results = Vec::with_capacity(writes.len());
    for (batch, _) in writes {
        connection.prepare_cached("SAVEPOINT batch")?.execute([])?;
        let applied = batch.0.iter().try_for_each(|op| store::apply(connection, op));
        match applied {
            Ok(()) => {}
            Err(refusal) if refusal.is_refusal() => {
                connection.prepare_cached("ROLLBACK TO batch")?.execute([])?;
                results.push(Err(refusal));
                connection.prepare_cached("RELEASE batch")?.execute([])?;
                continue;
            }
            Err(failure) => return Err(failure),
        }
        connection.prepare_cached("RELEASE batch")?.execute([])?;
        results.push(Ok(()));
    }
    transaction.commit()?;
    Ok(results)
}

/// A transaction that is rolled back unless it was committed.
struct Guard<'a>(Option<&'a Connection>);

impl<'a> Guard<'a> {
    fn begin(connection: &'a Connection) -> Result<Self, LedgerError> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self(Some(connection)))
    }

    fn commit(mut self) -> Result<(), LedgerError> {
        if let Some(connection) = self.0 {
            connection.prepare_cached("COMMIT")?.execute([])?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.filter(|connection| !connection.is_autocommit()) {
            // SQLite may have rolled back by itself.
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
}
