//! What many operations have in common in the OpenAPI document: the statuses that they refuse with, and headers.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    Content, Ref, RefOr, Required, Response, ResponseBuilder, schema::ObjectBuilder, schema::Type,
};
use utoipa::{IntoParams, IntoResponses};

use super::{lease, saves};

/// A refusal of each of these statuses.
fn refusals(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let problem = || Content::new(Some(Ref::from_schema_name("Problem")));
    let refusal = || ResponseBuilder::new().content("application/json", problem()).build();
    statuses.iter().map(|status| (status.to_string(), refusal().into())).collect()
}

/// Names statuses that go together.
macro_rules! refuses {
    ($($(#[$doc:meta])* $name:ident: $($status:literal)+;)+) => {$(
        $(#[$doc])*
        pub(super) enum $name {}

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                refusals(&[$($status),+])
            }
        }
    )+};
}

refuses! {
    /// Of everything that a rented node alone has.
    OnRented: 404 503;
    /// Of what a bearer of an order asks for.
    OfOrder: 401 404 410 503;
    /// Of what shows how an order stands to whoever proves something of it.
    OfProof: 400 403 404 410 413 429 503;
    /// Of what is read of receipts.
    OfReceipts: 401 403 404 503;
    /// Of what a player keeps.
    OfSaves: 400 401 404;
}

fn header(name: &str, required: bool, description: &str) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(if required { Required::True } else { Required::False })
        .description(Some(description))
        .schema(Some(text))
        .build()
}

/// A text that somebody signed.
pub(super) enum SignedText {}

impl IntoParams for SignedText {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            header(lease::PROOF, true, "The text that was signed, in base64."),
            header(lease::SIGNATURE, false, "Its signature in hexadecimal digits."),
            header(lease::MULTISIG, false, "Instead of it, `Multisig` as JSON in base64."),
        ]
    }
}

/// Whose saves.
pub(super) enum Player {}

impl IntoParams for Player {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header(saves::PLAYER, true, "The player, as in `NewSession`.")]
    }
}
