//! Answers a client's offer: with what encoders, in which pictures, or why not.

use encoder::{Candidate, Choice, Demand, SelectError};
use media::{BitDepth, CodecSet, PictureKind};
use transport::{OfferError, WebRtc, WebRtcConfig, WebRtcTransport};

use crate::apps::VideoMode;
use crate::encoders::Broken;
use crate::node::Node;
use crate::registry::ConnectError;

/// An offer that was answered.
pub(super) struct Answered {
    pub(super) transport: WebRtcTransport,
    pub(super) answer: transport::Answer,
    pub(super) media: ForClient,
}

/// What a client gets.
pub(super) struct ForClient {
    /// What its pictures are.
    pub(super) kind: PictureKind,
    /// Why these encoders.
    pub(super) choice: Choice,
    /// In the order of use.
    pub(super) encoders: Vec<Candidate>,
    /// Why it has no HDR, where that was asked for.
    pub(super) hdr_declined: Option<String>,
}

/// Encoders that the session had to do with.
#[derive(Clone, Copy)]
pub(super) struct Used<'a> {
    /// The one in use.
    pub(super) holds: Option<&'static str>,
    /// Those that broke.
    pub(super) broke: &'a Broken,
}

/// Answers an offer with the best codec that the client decodes and one of our encoders codes: for `hdr`
/// one of 10 bits a sample, where there is such a one.
pub(super) async fn answer(
    node: &Node,
    video: VideoMode,
    hdr: bool,
    offer: &str,
    used: Used<'_>,
) -> Result<Answered, ConnectError> {
    let decodes = transport::decodes(offer).map_err(refused)?;
    let demand = |kind: PictureKind, decodes: CodecSet| Demand {
        holds: used.holds,
        ..node.encoders.demand(video, kind, decodes)
    };
    let choose = |kind: PictureKind, demand: &Demand| -> Result<ForClient, SelectError> {
        let (choice, encoders) = node.encoders.choose_for_client(demand, used.broke)?;
        Ok(ForClient { kind, choice, encoders, hdr_declined: None })
    };
    let ten = hdr.then(|| demand(PictureKind::HDR10, decodes.ten));
    let wide = ten.as_ref().and_then(|ten| choose(PictureKind::HDR10, ten).ok());
    // One more break of the only one there is would end the session, which standard range keeps.
    let is_sound = |encoder: &Candidate| !used.broke.contains(encoder.name);
    let media = match wide.filter(|wide| wide.encoders.iter().any(is_sound)) {
        Some(wide) => wide,
        None => {
            let eight = demand(PictureKind::NV12, decodes.eight);
            let chosen = choose(PictureKind::NV12, &eight).map_err(|error| {
                // Every candidate with its reason, which is too much for a player.
                tracing::info!(%error, "no encoder for a client");
                ConnectError::Unusable(node.encoders.nothing_for(&eight))
            })?;
            let hdr_declined = ten.map(|ten| node.encoders.nothing_for(&ten));
            ForClient { hdr_declined, ..chosen }
        }
    };
    if let Some(reason) = &media.hdr_declined {
        tracing::info!(reason, "shown in standard range");
    }
    let codecs = media.encoders.first().map(|best| best.codec).into_iter().collect();
    let depth = media.kind.format.depth();
    let port = node.media_port().map_err(|error| ConnectError::Failed(error.to_string()))?;
    let config = WebRtcConfig {
        codecs,
        depth,
        connect_timeout: node.config.sessions.connect.get(),
        ..WebRtcConfig::new(port, node.certificate.clone())
    };
    let answered = WebRtc::answer(offer, config, node.clock.clone()).await;
    let (transport, answer) = answered.map_err(refused)?;
    let hdr = depth == BitDepth::Ten;
    tracing::info!(codec = answer.codec.rtp_name(), hdr, "offer answered");
    Ok(Answered { transport, answer, media })
}

/// Whose fault it is that an offer is not answered.
fn refused(error: OfferError) -> ConnectError {
    match error {
        OfferError::NoVideo | OfferError::NoUsableCodec(_) | OfferError::Unsupported(_) => {
            ConnectError::Unusable(error.to_string())
        }
        OfferError::Transport(_) => ConnectError::Failed(error.to_string()),
        error => ConnectError::Malformed(error.to_string()),
    }
}
