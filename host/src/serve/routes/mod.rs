//! The ways in. The OpenAPI document is made of the same routes, so that it cannot lie.

mod images;
mod jobs;
mod offers;
mod page;
mod results;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state, map_response},
    routing::get,
};
use medfocus_plugin_api::{Error, Result};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    desk::Desk,
    gate,
    listen::hurry,
    problem::{Problem, Sentence},
};

/// What the document says besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "MedFocus",
        description = "Why did the model say so? Research only, not for diagnosis. Any answer may also be 401, 403, 408 or 421; every error is one sentence."
    ),
    components(schemas(Sentence))
)]
struct Document;

/// All of them.
pub fn router(desk: Arc<Desk>) -> Router {
    let (api, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(offers::offers))
        .routes(routes!(offers::samples))
        .routes(routes!(offers::sample_picture))
        .routes(routes!(images::upload))
        .routes(routes!(images::take_sample))
        .routes(routes!(images::describe, images::forget))
        .routes(routes!(images::picture))
        .routes(routes!(jobs::ask))
        .routes(routes!(jobs::state, jobs::cancel))
        .routes(routes!(jobs::events))
        .routes(routes!(results::answer))
        .routes(routes!(results::layer))
        .routes(routes!(results::file))
        .routes(routes!(results::all))
        .split_for_parts();
    let gate = desk.gate.clone();
    Router::new()
        .merge(page::router(gate.clone()))
        .merge(api.with_state(desk))
        .route("/openapi.json", get(|| async { Json(document) }))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing here") })
        .layer(from_fn(hurry))
        .layer(from_fn_with_state(gate, gate::guard))
        .layer(map_response(gate::tell))
}

/// Does what takes a processor's time beside the connections.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    let broken = |_| Err(Error::internal("the server has a defect: see its log"));
    Ok(done.unwrap_or_else(broken)?)
}
