//! Checking receipts with the keys that they name.

use keys::pair::MachineVerifier;
use keys::verify_player;
use session::receipts::{Audit, PlayerKey, Signed, Verdicts};
use session::rental::MachineId;

use crate::receipts::acknowledged_text;

/// Verifies with the machine's key, decompressed once.
#[derive(Clone)]
pub struct Keys {
    machine: MachineId,
    verifier: Option<MachineVerifier>,
}

impl Keys {
    /// For a machine's receipts.
    pub fn new(machine: &MachineId) -> Self {
        Self { machine: *machine, verifier: MachineVerifier::new(machine) }
    }

    /// Whether a player acknowledged a record; to be asked before it is written.
    pub fn acknowledges(
        key: &PlayerKey,
        chain: &session::receipts::ChainId,
        sequence: u32,
        record: &Signed,
        signature: &[u8; 64],
    ) -> bool {
        verify_player(key, signature, &acknowledged_text(chain, sequence, record))
    }
}

impl Verdicts for Keys {
    fn machine(&self, machine: &MachineId, signature: &[u8; 64], bytes: &[u8]) -> bool {
        let verifier = self.verifier.as_ref().filter(|_| *machine == self.machine);
        verifier.is_some_and(|verifier| verifier.verify(signature, bytes))
    }

    fn player(&self, key: &PlayerKey, signature: &[u8; 64], bytes: &[u8]) -> bool {
        verify_player(key, signature, bytes)
    }
}

/// Checks the receipts of one session: nothing is needed but the machine's public key, which is its id.
pub fn verify(machine: &MachineId, records: &[Signed]) -> Audit {
    Audit::of(machine, records, &Keys::new(machine))
}
