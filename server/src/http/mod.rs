//! The public HTTP interface: page, API, signalling. Handlers translate; decisions are the node's.

mod answers;
mod assets;
mod auth;
mod carry;
mod catalogue;
mod clipboard;
mod files;
mod invitations;
mod lease;
mod path;
mod problem;
mod receipts;
mod saves;
mod sessions;
mod socket;
mod viewers;
mod whep;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use assets::hex;
pub(crate) use auth::is_allowed_origin;
pub use problem::Problem;

use crate::node::Node;
use crate::wire;

/// Largest body of any request, in bytes. An SDP offer of a browser has about 6 kB.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Longest that a request may take in all, its body and our answer: ending a session waits for its threads.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// What every handler gets.
pub type Shared = axum::extract::State<Arc<Node>>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Nearlight",
        description = "Sessions of rendered scenes and games, streamed over WebRTC (WHEP), WebTransport or WebSocket."
    ),
    components(schemas(wire::ServerMessage, wire::ClientMessage, wire::Problem))
)]
struct Document;

fn api() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(catalogue::catalogue))
        .routes(routes!(catalogue::poster))
        .routes(routes!(catalogue::node))
        .routes(routes!(saves::list))
        .routes(routes!(saves::games))
        .routes(routes!(saves::download, saves::delete))
        .routes(routes!(saves::restore))
        .routes(routes!(saves::pin, saves::unpin))
        .routes(routes!(saves::save))
        .routes(routes!(clipboard::transfers))
        .routes(routes!(files::list))
        .routes(routes!(lease::show))
        .routes(routes!(lease::challenge))
        .routes(routes!(lease::bearer))
        .routes(routes!(lease::redeem))
        .routes(routes!(lease::tickets))
        .routes(routes!(lease::revoke))
        .routes(routes!(lease::sessions))
        .routes(routes!(lease::enter))
        .routes(routes!(receipts::list))
        .routes(routes!(receipts::export))
        .routes(routes!(receipts::acknowledge))
        .routes(routes!(receipts::accounts))
        .routes(routes!(receipts::entries))
        .routes(routes!(sessions::create, sessions::list))
        .routes(routes!(sessions::show, sessions::end))
        .routes(routes!(sessions::redeem))
        .routes(routes!(sessions::webtransport))
        .routes(routes!(socket::address, socket::connect))
        .routes(routes!(invitations::invite, invitations::list))
        .routes(routes!(invitations::revoke))
        .routes(routes!(invitations::viewers))
        .routes(routes!(viewers::join))
        .routes(routes!(viewers::show, viewers::leave))
        .routes(routes!(viewers::webtransport))
        .routes(routes!(socket::viewer_address, socket::connect_viewer))
        .routes(routes!(viewers::offer))
        .routes(routes!(viewers::trickle, viewers::close))
        .routes(routes!(whep::offer))
        .routes(routes!(whep::trickle, whep::close))
}

/// What carries contents of any size: each has bounds of its own for what comes and how long it takes.
fn carrying() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(clipboard::read, clipboard::write)).routes(routes!(
        files::upload,
        files::download,
        files::delete
    ))
}

/// The OpenAPI document of this build, as JSON with a final line break.
///
/// # Panics
/// Never: the document is made of plain data.
pub fn openapi_json() -> String {
    #[expect(clippy::expect_used, reason = "plain data always serializes")]
    let mut text =
        api().merge(carrying()).into_openapi().to_pretty_json().expect("plain data serializes");
    text.push('\n');
    text
}

/// The whole public router.
pub fn router(node: Arc<Node>) -> Router {
    let brief = api()
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LONGEST_REQUEST));
    let (api, document) = brief.merge(carrying()).split_for_parts();
    let origins = node.config.server.allowed_origins.clone();
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
        }))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            header::IF_MATCH,
            HeaderName::from_static(saves::PLAYER),
            HeaderName::from_static(whep::RACE),
            HeaderName::from_static(lease::PROOF),
            HeaderName::from_static(lease::SIGNATURE),
            HeaderName::from_static(lease::MULTISIG),
        ])
        .expose_headers([
            header::LOCATION,
            header::ETAG,
            header::LINK,
            header::RETRY_AFTER,
            HeaderName::from_static("accept-patch"),
        ]);
    let fixed = |name: &'static str, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    api.route(
        "/api/v1/openapi.json",
        axum::routing::get(move || async move { axum::Json(document) }),
    )
    // Only the page: an answer that holds a secret is never compressed beside what somebody else chose.
    .fallback(assets::serve.layer(CompressionLayer::new()))
    .method_not_allowed_fallback(async || Problem::METHOD.into_response())
    .layer(middleware::from_fn_with_state(node.clone(), auth::refuse_foreign_origins))
    .layer(cors)
    .layer(middleware::from_fn(whep::say_what_is_taken))
    .layer(middleware::from_fn(name_the_host))
    .layer(middleware::from_fn_with_state(node.clone(), auth::tell_known_ones))
    .layer(fixed("x-content-type-options", "nosniff"))
    .layer(fixed("referrer-policy", "no-referrer"))
    .layer(fixed("cross-origin-opener-policy", "same-origin"))
    .with_state(node)
}

/// Does what reads and writes beside the tasks of the runtime.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(act).await.map_err(|_| Problem::INTERNAL)?
}

/// HTTP/2 names the host in `:authority` and needs no `Host` (RFC 9113 §8.3.1); everything below reads `Host`.
async fn name_the_host(mut request: Request, next: Next) -> Response {
    if !request.headers().contains_key(header::HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    next.run(request).await
}
