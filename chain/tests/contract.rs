//! The contract of `RentalChain` on the development chain over its socket, with the runtime of today and with one that lacks
//! what runtimes 408 to 411 brought.

mod common;

use common::Subject;
use model_chain::{RentalSubject as _, Wallet, rental_contract};

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_of_runtime_411_keeps_the_contract() {
    let subject = Subject::start(&["--shape", "411"]).await;
    let identity = subject.of(Wallet::Nobody).identity();
    assert_eq!((identity.spec_version, identity.defaults), (411, vec![]));
    rental_contract(&subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_of_runtime_400_keeps_the_contract_and_its_defaults_are_listed() {
    let subject = Subject::start(&["--shape", "400"]).await;
    let identity = subject.of(Wallet::Nobody).identity();
    assert_eq!(identity.spec_version, 400);
    for item in ["MachineExtraPrice", "WeeklySchedule", "RentOrderReceiver"] {
        assert!(identity.defaults.iter().any(|default| default.contains(item)), "{item}");
    }
    rental_contract(&subject).await;
}
