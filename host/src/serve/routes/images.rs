//! Images: handed in, or taken from the samples.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{
        desk::Desk,
        id::Id,
        problem::{Problem, Sentence},
    },
    beside,
    offers::picture as as_png,
};
use crate::{dicom::source::Source, study::Study};

/// An image that the server holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct Held {
    /// Its name: whoever knows it may see it.
    #[schema(value_type = String)]
    id: Id,
    /// Columns.
    width: u32,
    /// Rows.
    height: u32,
    /// What the file held, as `PNG, 16-bit grey`.
    format: String,
    /// `blake3:` and the hex digest of the file.
    digest: String,
    /// What to know about how it was read.
    warnings: Vec<String>,
}

impl Held {
    fn of(id: Id, study: &Study) -> Self {
        let source = &study.source;
        Self {
            id,
            width: source.width,
            height: source.height,
            format: source.format.clone(),
            digest: source.digest.clone(),
            warnings: study.warnings.clone(),
        }
    }
}

/// Hands in an image: the bytes of a PNG, JPEG, TIFF or DICOM file.
#[utoipa::path(
    post, path = "/api/images",
    request_body(content = String, content_type = "application/octet-stream"),
    responses(
        (status = 201, body = Held),
        (status = 413, description = "It is too large", body = Sentence),
        (status = 422, description = "It is no image that can be read", body = Sentence),
    )
)]
pub async fn upload(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Held>), Problem> {
    let most = desk.catalogue.offers.upload_bytes;
    let too_large = || {
        let sentence = format!("the image has more than {} MiB", most >> 20);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
    };
    let said = headers.get(header::CONTENT_LENGTH);
    let said = said.and_then(|length| length.to_str().ok()?.parse().ok());
    if said.is_some_and(|length: usize| length > most) {
        return Err(too_large());
    }
    let _place = desk.uploads.acquire().await;
    let bytes = to_bytes(body, most).await.map_err(|_| too_large())?;
    let reader = desk.clone();
    let decoded = move || {
        let bench = &reader.bench;
        let study = bench
            .decode(&bytes)
            .map_err(|error| error.context("the image"))?;
        let identity = || bench.layers.config.dicom.identity();
        Ok(Source::offered(study, &bytes, identity))
    };
    let source = beside(decoded);
    let (id, source) = desk.keep(source.await?)?;
    Ok((StatusCode::CREATED, Json(Held::of(id, &source.study))))
}

/// Takes a sample of the server's dataset as an image.
#[utoipa::path(
    post, path = "/api/samples/{index}/image",
    params(("index" = u64, Path, description = "Its number")),
    responses((status = 201, body = Held), (status = 404, body = Sentence))
)]
pub async fn take_sample(
    State(desk): State<Arc<Desk>>,
    Path(index): Path<String>,
) -> Result<(StatusCode, Json<Held>), Problem> {
    let index = index.parse().map_err(|_| Problem::gone("sample"))?;
    let reader = desk.clone();
    let source = beside(move || {
        let sample = reader.sample(index)?;
        let study = sample.map(|sample| Study::of(sample.image)).transpose()?;
        Ok(study.map(Source::plain))
    });
    let source = source.await?.ok_or(Problem::gone("sample"))?;
    let (id, source) = desk.keep(source)?;
    Ok((StatusCode::CREATED, Json(Held::of(id, &source.study))))
}

/// Says what an image is.
#[utoipa::path(
    get, path = "/api/images/{id}",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, body = Held), (status = 404, body = Sentence))
)]
pub async fn describe(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Json<Held>, Problem> {
    let source = find(&desk, &id)?;
    let id = id.parse().map_err(|()| Problem::gone("image"))?;
    Ok(Json(Held::of(id, &source.study)))
}

/// Forgets an image at once; jobs that ask about it keep it until they are forgotten.
#[utoipa::path(
    delete, path = "/api/images/{id}",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 204), (status = 404, body = Sentence))
)]
pub async fn forget(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    match desk.images.forget(&id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::gone("image")),
    }
}

/// The image as PNG, windowed to 8 bits as the models' input is.
#[utoipa::path(
    get, path = "/api/images/{id}/picture.png",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, content_type = "image/png", body = String), (status = 404, body = Sentence))
)]
pub async fn picture(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    as_png(find(&desk, &id)?.study.native.clone()).await
}

/// The image of this name.
pub fn find(desk: &Desk, id: &str) -> Result<Arc<Source>, Problem> {
    desk.images.get(id).ok_or_else(|| Problem::gone("image"))
}
