//! Questions: asked, watched, stopped.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{
        ask::Ask,
        desk::Desk,
        id::Id,
        job::{self, Job},
        problem::{Problem, Sentence},
    },
    beside, images,
};

/// A question that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct Taken {
    /// Its name: whoever knows it may see its answer.
    #[schema(value_type = String)]
    id: Id,
}

/// Asks a question.
#[utoipa::path(
    post, path = "/api/jobs",
    request_body = Ask,
    responses(
        (status = 202, body = Taken),
        (status = 404, description = "There is no such image", body = Sentence),
        (status = 422, description = "It cannot be asked like this", body = Sentence),
        (status = 429, description = "Too many are waiting: ask again after Retry-After seconds", body = Sentence),
    )
)]
pub async fn ask(
    State(desk): State<Arc<Desk>>,
    ask: Result<Json<Ask>, JsonRejection>,
) -> Result<(StatusCode, Json<Taken>), Problem> {
    let Json(ask) = ask.map_err(|wrong| {
        // Its words, not those of the question.
        Problem::new(
            wrong.status(),
            format!(
                "the question is not the JSON that is expected: {}",
                first_line(&wrong)
            ),
        )
    })?;
    let source = images::find(&desk, &ask.image)?;
    let taken = beside(move || {
        let asked = ask.check(&desk.bench, &desk.catalogue, source)?;
        desk.ask(asked)
    });
    let job = taken.await?.ok_or_else(Problem::busy)?;
    Ok((StatusCode::ACCEPTED, Json(Taken { id: job.id })))
}

/// Says how far a job is.
#[utoipa::path(
    get, path = "/api/jobs/{id}",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, body = job::State), (status = 404, body = Sentence))
)]
pub async fn state(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Json<job::State>, Problem> {
    Ok(Json(find(&desk, &id)?.state()))
}

/// Stops a job that waits or runs; one that has ended stays as it is.
#[utoipa::path(
    delete, path = "/api/jobs/{id}",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 202, body = job::State), (status = 404, body = Sentence))
)]
pub async fn cancel(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<job::State>), Problem> {
    let job = find(&desk, &id)?;
    desk.cancel(&job);
    Ok((StatusCode::ACCEPTED, Json(job.state())))
}

/// Says how far a job is whenever that changes, as server-sent events whose data are the state; the last is its end.
#[utoipa::path(
    get, path = "/api/jobs/{id}/events",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, content_type = "text/event-stream", body = job::State), (status = 404, body = Sentence))
)]
pub async fn events(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let watched = find(&desk, &id)?.watch();
    let states = stream::unfold(Some((watched, true)), |watched| async {
        let (mut watched, first) = watched?;
        if !first && watched.changed().await.is_err() {
            return None;
        }
        let state = watched.borrow_and_update().clone();
        let event = Event::default().json_data(&state).unwrap_or_default();
        let more = (!state.phase.is_end()).then_some((watched, false));
        Some((Ok(event), more))
    });
    Ok(Sse::new(states).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// The job of this name.
pub fn find(desk: &Desk, id: &str) -> Result<Arc<Job>, Problem> {
    desk.jobs.get(id).ok_or_else(|| Problem::gone("job"))
}

fn first_line(wrong: &JsonRejection) -> String {
    let text = wrong.body_text();
    text.lines().next().unwrap_or_default().to_owned()
}
