//! Receipts: from a node, and from files.

use anyhow::{Context as _, Result, ensure};
use ledger::Export;
use serde_json::{Value, json};
use session::receipts::{Finding, Promise};
use session::rental::MachineId;

use super::answer::Answer;
use super::node::Asked;

/// Checks a file of receipts.
///
/// # Errors
/// When the file is none or holds no receipt; an answer that [fails](Answer::is_failure) where the receipts cannot be believed.
pub fn verify(machine: &MachineId, text: &str) -> Result<Answer> {
    let file: Export = serde_json::from_str(text).context("this is no file of receipts")?;
    let records =
        file.records().context("this is no file of receipts of a version that is known")?;
    ensure!(!records.is_empty(), "this file holds no receipt: there is nothing to verify");
    let audit = ledger::verify(machine, &records);
    let mut answer = Answer::default().field("machine", "machine", machine.to_string()).field(
        "records",
        "records",
        records.len(),
    );
    if let Some(open) = &audit.open {
        answer = answer
            .field("order", "order", open.rent_id.to_string())
            .field("trial", "trial", open.tariff.trial)
            .amount("tariff", "tariff", open.tariff.fee)
            .field("tariff_ms", "for so many milliseconds", open.tariff.span_ms);
    }
    let totals = audit.totals;
    answer = answer
        .field("slices", "slices", audit.slices)
        .field("metered_ms", "metered milliseconds", totals.wall_ms)
        .field("unpaid_ms", "of them unpaid", totals.unpaid_ms)
        .field("frames", "frames", totals.frames)
        .field("bytes", "bytes", totals.bytes.to_string())
        .amount("charge", "charged", totals.charge)
        .field("closed", "closed", audit.close.map_or("not yet", |close| close.cause.name()))
        .field("sound", "sound", audit.is_sound());
    let findings = audit.findings.iter().map(|finding| {
        let words = words(finding);
        let fault = finding.is_fault();
        let line = if fault { format!("FAULT: {words}") } else { format!("note: {words}") };
        (line, json!({"fault": fault, "what": words}))
    });
    let answer = answer.list("findings", findings.collect());
    Ok(if audit.is_sound() { answer } else { answer.fails() })
}

fn words(finding: &Finding) -> String {
    match finding {
        Finding::Unreadable(error) => error.to_string(),
        Finding::BadSignature(number) => format!("record {number} is not signed by the machine"),
        Finding::OtherMachine => "the receipts are of another machine".to_owned(),
        Finding::OtherOrder(number) => format!("record {number} is of another order"),
        Finding::Gap(from, to) => format!("records {from} to {to} are missing"),
        Finding::Fork(number) => format!("there are two records {number}: a fork"),
        Finding::Broken(number) => format!("record {number} does not follow the one before"),
        Finding::MissingTail { last } => {
            format!("what comes after record {last} is missing, or the session still runs")
        }
        Finding::AfterClose(number) => format!("record {number} comes after the last one"),
        Finding::Overlap(number) => format!("slice {number} overlaps the one before"),
        Finding::WrongCharge(number) => {
            format!("slice {number} costs something else than the tariff says")
        }
        Finding::WrongTotals => "the last record's sums are wrong".to_owned(),
        Finding::Unacknowledged(number) => format!("slice {number} was not acknowledged"),
        Finding::BadAcknowledgement(number) => {
            format!("slice {number} was acknowledged by somebody else than the player")
        }
        Finding::Missed { sequence, promise: Promise::FrameRate, promised, achieved } => format!(
            "slice {sequence} had {achieved} frames in a thousand seconds, and {promised} were promised"
        ),
        Finding::Missed { sequence, promise: Promise::Latency, promised, achieved } => format!(
            "slice {sequence} had a 95th percentile of {achieved} µs, and {promised} µs were promised"
        ),
        Finding::Unpaid { sequence, ms } => {
            format!("{ms} ms of slice {sequence} were outside of the lease, and not charged")
        }
        other => format!("{other:?}"),
    }
}

/// What receipts a node has.
pub(super) fn list(node: &Asked) -> Result<Answer> {
    let body = node.get("/api/v1/lease/receipts")?;
    let chains: Vec<Value> = serde_json::from_slice(&body).context("the node's answer is odd")?;
    let shown = |chain: Value| {
        let text = |key: &str| chain[key].as_str().unwrap_or("still open").to_owned();
        let charged = text("charged_planck").parse::<session::rental::Planck>();
        let line = format!(
            "{}: order {}, {} ms, {}, {}",
            text("receipts"),
            text("order"),
            chain["metered_ms"],
            charged.map_or_else(|_| text("charged_planck"), session::rental::Planck::in_dbc),
            text("closed"),
        );
        (line, chain)
    };
    Ok(Answer::default().list("receipts", chains.into_iter().map(shown).collect()))
}

/// A session's receipts as they are.
pub(super) fn export(node: &Asked, name: &str, csv: bool) -> Result<Answer> {
    ensure!(MachineId::parse(name).is_some(), "receipts are named by 64 digits");
    let format = if csv { "?format=csv" } else { "" };
    Ok(Answer::raw(node.get(&format!("/api/v1/lease/receipts/{name}{format}"))?))
}

/// What was paid for each order, used and is left, as it is.
pub(super) fn accounts(node: &Asked, csv: bool) -> Result<Answer> {
    let format = if csv { "?format=csv" } else { "" };
    Ok(Answer::raw(node.get(&format!("/api/v1/lease/accounts{format}"))?))
}

/// All entries of the node's accounts, which tells so many at a time.
pub(super) fn entries(node: &Asked, csv: bool) -> Result<Answer> {
    let page = |after: u64, format: &str| {
        node.get(&format!("/api/v1/lease/entries?after={after}&format={format}"))
    };
    let odd = "the node's answer is odd";
    let mut after = 0;
    let mut next = |number: Option<u64>| {
        after = number.filter(|number| *number > after).context(odd)?;
        anyhow::Ok(after)
    };
    if csv {
        let mut table = String::from_utf8(page(0, "csv")?).context(odd)?;
        loop {
            let number = |line: &str| line.split(',').next()?.parse().ok();
            let Some(last) = table.lines().skip(1).last() else { break };
            let text = String::from_utf8(page(next(number(last))?, "csv")?).context(odd)?;
            let (_, more) = text.split_once('\n').context(odd)?;
            if more.is_empty() {
                break;
            }
            table.push_str(more);
        }
        return Ok(Answer::raw(table.into_bytes()));
    }
    let read = |bytes: Vec<u8>| serde_json::from_slice::<Vec<Value>>(&bytes).context(odd);
    let mut all = read(page(0, "json")?)?;
    while let Some(last) = all.last() {
        let more = read(page(next(last["number"].as_u64())?, "json")?)?;
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    Ok(Answer::raw(format!("{}\n", Value::Array(all)).into_bytes()))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use keys::{MachineKey, Pair};
    use session::receipts::{
        Body, ChainId, Close, CloseCause, Open, PlayerKey, Record, Signed, Slice, Tariff, Totals,
        acknowledgement, hash,
    };
    use session::rental::{BlockHash, Planck, RentId, UnixMillis};

    use super::*;

    const RENT: RentId = RentId(77);

    fn machine() -> MachineKey {
        MachineKey::new(Pair::sr25519(&[3; 32]).expect("any seed is one")).expect("sr25519")
    }

    fn player() -> SigningKey {
        SigningKey::from_bytes(&[9; 32])
    }

    /// An open record, two slices and a close, as `change` makes the slices; all signed and acknowledged.
    fn chain(change: impl Fn(u32, &mut Slice)) -> Vec<Signed> {
        let tariff = Tariff { fee: Planck(1), span_ms: 1, trial: false };
        let mut bodies = vec![Body::Open(Open {
            genesis: BlockHash([2; 32]),
            machine: machine().machine(),
            rent_id: RENT,
            tariff,
            player: Some(PlayerKey::Ed25519(player().verifying_key().to_bytes())),
            opened: UnixMillis(1_790_000_000_000),
            promised_fps_milli: 60_000,
            promised_latency_us: 50_000,
        })];
        let mut totals = Totals::default();
        for number in 1..=2 {
            let mut slice = Slice {
                start_ms: u64::from(number - 1) * 8_000,
                wall_ms: 8_000,
                gpu_ms: 100,
                frames: 480,
                pixels: 480 * 640 * 360,
                bytes: 1_000_000,
                fps_milli: 60_000,
                latency_us: [10_000, 20_000, 30_000],
                unpaid_ms: 0,
                charge: Planck(8_000),
            };
            change(number, &mut slice);
            totals = totals.with(&slice).expect("small");
            bodies.push(Body::Slice(RENT, slice));
        }
        bodies.push(Body::Close(RENT, Close { cause: CloseCause::Ended, slices: 2, totals }));
        let (id, mut previous) = (ChainId::of_session("s"), [0; 32]);
        let signed = |(sequence, body): (u32, Body)| {
            let is_slice = matches!(body, Body::Slice(..));
            let bytes = Record { chain: id, sequence, previous, body }.encode();
            previous = hash(&bytes);
            let text = acknowledgement(&id, sequence, &previous);
            let acknowledged = is_slice.then(|| player().sign(&text).to_bytes());
            Signed { signature: machine().sign(&bytes), bytes, acknowledged }
        };
        (0..).zip(bodies).map(signed).collect()
    }

    /// Whether the command fails, and what it says was found.
    fn said(records: &[Signed]) -> (bool, String) {
        let file = serde_json::to_string(&Export::of(records)).expect("plain data");
        let answer = verify(&machine().machine(), &file).expect("a file of receipts");
        let text = String::from_utf8(answer.written(false)).expect("text");
        let found =
            text.lines().filter(|line| line.starts_with("FAULT") || line.starts_with("note"));
        (answer.is_failure(), found.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_whole_chain_has_nothing_to_say_of() {
        assert_eq!(said(&chain(|_, _| ())), (false, String::new()));
    }

    #[test]
    fn what_is_missing_told_twice_or_not_agreed_to_is_said() {
        let whole = chain(|_, _| ());
        let tail = "note: what comes after record 2 is missing, or the session still runs";
        assert_eq!(said(&whole[..3]), (false, tail.to_owned()));
        let gap = [&whole[..1], &whole[2..]].concat();
        assert_eq!(said(&gap), (true, "FAULT: records 1 to 1 are missing".to_owned()));
        let other = chain(|number, slice| slice.bytes += u64::from(number == 2));
        let fork = [whole.clone(), vec![other[2].clone()]].concat();
        assert_eq!(said(&fork), (true, "FAULT: there are two records 2: a fork".to_owned()));
        let mut silent = whole.clone();
        silent[1].acknowledged = None;
        assert_eq!(said(&silent), (false, "note: slice 1 was not acknowledged".to_owned()));
        let mut foreign = whole;
        foreign[1].acknowledged = Some([1; 64]);
        let words = "FAULT: slice 1 was acknowledged by somebody else than the player";
        assert_eq!(said(&foreign), (true, words.to_owned()));
    }

    #[test]
    fn promises_that_were_not_kept_are_said_and_are_no_lies() {
        let slow = chain(|number, slice| slice.fps_milli -= 4_000 * (number - 1));
        let words = "note: slice 2 had 56000 frames in a thousand seconds, and 60000 were promised";
        assert_eq!(said(&slow), (false, words.to_owned()));
        let late = chain(|number, slice| slice.latency_us[1] += 31_000 * (number - 1));
        let words = "note: slice 2 had a 95th percentile of 51000 µs, and 50000 µs were promised";
        assert_eq!(said(&late), (false, words.to_owned()));
        let unpaid = chain(|number, slice| {
            slice.unpaid_ms = 3_000 * (number - 1);
            slice.charge = Planck(8_000 - 3_000 * u128::from(number - 1));
        });
        let words = "note: 3000 ms of slice 2 were outside of the lease, and not charged";
        assert_eq!(said(&unpaid), (false, words.to_owned()));
    }

    #[test]
    fn another_machines_key_believes_nothing() {
        let file = serde_json::to_string(&Export::of(&chain(|_, _| ()))).expect("plain data");
        let other = MachineId::of_public_key(&[1; 32]);
        let answer = verify(&other, &file).expect("a file of receipts");
        assert!(answer.is_failure());
        for bad in ["", "{}", r#"{"format":"nearlight-receipts/2","records":[]}"#] {
            let refused = verify(&machine().machine(), bad).err().map(|why| why.to_string());
            assert!(refused.is_some_and(|why| why.contains("no file of receipts")), "{bad}");
        }
        let empty = serde_json::to_string(&Export::of(&[])).expect("plain data");
        let refused = verify(&machine().machine(), &empty).err().map(|why| why.to_string());
        assert!(refused.is_some_and(|why| why.contains("holds no receipt")), "nothing is sound");
    }
}
