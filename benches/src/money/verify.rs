//! Receipts verified by one thread.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ed25519_dalek::{Signer as _, SigningKey};
use ledger::verify;
use session::receipts::{PlayerKey, Signed, acknowledgement, hash};

use super::Args;
use super::figures::Findings;
use super::receipts::{Chain, machine};

/// Receipts of the session: a little over two hours.
const RECEIPTS: u32 = 1_000;

pub(crate) fn run(args: &Args, findings: &mut Findings) -> Result<()> {
    let player = SigningKey::from_bytes(&[5; 32]);
    let mut chain = Chain::new("verified")?;
    let key = PlayerKey::Ed25519(player.verifying_key().to_bytes());
    let mut receipts = vec![chain.open(Some(key))];
    receipts.extend((1..RECEIPTS).map(|_| chain.slice().0));
    let signed = |acknowledged: bool| -> Vec<Signed> {
        let sign = |(sequence, receipt): (u32, &ledger::Receipt)| {
            let text = acknowledgement(&chain.id, sequence, &hash(&receipt.bytes));
            let acknowledged =
                (acknowledged && sequence > 0).then(|| player.sign(&text).to_bytes());
            let (bytes, signature) = (receipt.bytes.clone(), receipt.signature);
            Signed { bytes, signature, acknowledged }
        };
        (0..).zip(&receipts).map(sign).collect()
    };
    let half = Duration::from_secs(args.seconds) / 2;
    findings.put("verify.receipts", "1/s and core", rate(&signed(false), half)?);
    findings.put("verify.with_acknowledgements", "1/s and core", rate(&signed(true), half)?);
    Ok(())
}

/// Records a second.
fn rate(records: &[Signed], length: Duration) -> Result<f64> {
    let machine = machine()?.machine();
    let (began, mut verified) = (Instant::now(), 0);
    while began.elapsed() < length {
        let audit = verify(&machine, records);
        ensure!(audit.is_sound(), "the receipts of the bench are not sound: {:?}", audit.findings);
        verified += records.len();
    }
    Ok(verified as f64 / began.elapsed().as_secs_f64())
}
