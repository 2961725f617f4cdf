//! Takes a client: with what encoders, in which pictures, or why not.

use encoder::{Candidate, Choice, Demand, SelectError};
use media::{BitDepth, Codec, CodecSet, PictureKind, Transport};
use transport::{Decodes, OfferError, RemoteCandidates, WebRtc, WebRtcConfig};

use crate::apps::VideoMode;
use crate::caller::Caller;
use crate::encoders::Broken;
use crate::node::Node;
use crate::registry::ConnectError;

/// A client that is connected, or about to be.
pub(super) struct Taken {
    pub(super) transport: Box<dyn Transport>,
    /// For those that the client finds later; none where it has no more to find.
    pub(super) candidates: Option<RemoteCandidates>,
    /// A client that closes the connection has left. A page that reloads or changes to another transport
    /// closes WebTransport and WebSockets the same way: it says goodbye where it means that.
    pub(super) closing_is_leaving: bool,
    /// What metrics call the transport.
    pub(super) by: &'static str,
    /// The race that it takes part in.
    pub(super) race: Option<u32>,
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

impl ForClient {
    /// What it is coded in at first, and in how many bits.
    pub(super) fn coded(&self) -> (Option<Codec>, BitDepth) {
        (self.encoders.first().map(|best| best.codec), self.kind.format.depth())
    }
}

/// Encoders that the session had to do with.
#[derive(Clone, Copy)]
pub(super) struct Used<'a> {
    /// The one in use.
    pub(super) holds: Option<&'static str>,
    /// Those that broke.
    pub(super) broke: &'a Broken,
}

/// Chooses the best codec that a client decodes and one of our encoders codes: for `hdr` one of 10 bits a
/// sample, where there is such a one.
pub(super) fn choose(
    node: &Node,
    video: VideoMode,
    hdr: bool,
    decodes: Decodes,
    used: Used<'_>,
) -> Result<ForClient, ConnectError> {
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
    Ok(media)
}

/// Ways that sound may go.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// To the client.
    pub(super) sound: bool,
    /// From it.
    pub(super) microphone: bool,
}

/// Answers an offer with this codec, in so many bits.
pub(super) async fn answer(
    node: &Node,
    codec: Option<Codec>,
    depth: BitDepth,
    Way { sound, microphone }: Way,
    (offer, race): (&str, Option<u32>),
) -> Result<(Taken, transport::Answer), ConnectError> {
    let port = node.media_port().map_err(|error| ConnectError::Failed(error.to_string()))?;
    let config = WebRtcConfig {
        codecs: codec.into_iter().collect(),
        depth,
        sound,
        microphone,
        connect_timeout: node.config.sessions.connect.get(),
        ..WebRtcConfig::new(port, node.certificate.clone())
    };
    let answered = WebRtc::answer(offer, config, node.clock.clone()).await;
    let (transport, answer) = answered.map_err(refused)?;
    let hdr = depth == BitDepth::Ten;
    tracing::info!(codec = answer.codec.rtp_name(), hdr, "offer answered");
    let candidates = Some(transport.remote_candidates());
    let taken = Taken {
        transport: Box::new(transport),
        candidates,
        closing_is_leaving: true,
        by: "webrtc",
        race,
    };
    Ok((taken, answer))
}

/// What a client that makes this offer decodes.
pub(super) fn decodes(offer: &str) -> Result<Decodes, ConnectError> {
    transport::decodes(offer).map_err(refused)
}

/// Accepts a client that needs no offer, for this codec in so many bits.
pub(super) async fn accept(
    node: &Node,
    video: VideoMode,
    codec: Codec,
    depth: BitDepth,
    (caller, race): (Caller, Option<u32>),
) -> Result<Taken, ConnectError> {
    let by = caller.by();
    let transport = caller.accept(node, video.rate.interval(), codec, depth).await?;
    tracing::info!(by, codec = codec.rtp_name(), hdr = depth == BitDepth::Ten, "client accepted");
    Ok(Taken { transport, candidates: None, closing_is_leaving: false, by, race })
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
