//! What can be asked about what.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use medfocus_plugin_api::GrayImage;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{
        catalogue::Offers,
        desk::{Desk, SAMPLES},
        problem::{Problem, Sentence},
    },
    beside,
};
use crate::{encode, files};

/// A sample of the server's dataset.
#[derive(Debug, Serialize, ToSchema)]
pub struct Offered {
    /// Its number.
    index: u64,
    /// The question that it comes with.
    question: String,
    /// The finding that this is about.
    finding: String,
}

/// Models, methods, what can be set, questions to begin with.
#[utoipa::path(get, path = "/api/offers", responses((status = 200, body = Offers)))]
pub async fn offers(State(desk): State<Arc<Desk>>) -> Json<Offers> {
    Json(desk.catalogue.offers.clone())
}

/// The first samples of the server's dataset; none if it cannot be opened.
#[utoipa::path(get, path = "/api/samples", responses((status = 200, body = Vec<Offered>)))]
pub async fn samples(State(desk): State<Arc<Desk>>) -> Result<Json<Vec<Offered>>, Problem> {
    let offered = beside(move || {
        let mut offered = Vec::new();
        for index in 0..SAMPLES {
            match desk.sample(index) {
                Ok(Some(sample)) => offered.push(Offered {
                    index,
                    question: sample.question,
                    finding: sample.finding,
                }),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!("sample {index} cannot be offered: {error}");
                    break;
                }
            }
        }
        Ok(offered)
    });
    offered.await.map(Json)
}

/// A sample's image as PNG.
#[utoipa::path(
    get, path = "/api/samples/{index}/picture.png",
    params(("index" = u64, Path, description = "Its number")),
    responses((status = 200, content_type = "image/png", body = String), (status = 404, body = Sentence))
)]
pub async fn sample_picture(
    State(desk): State<Arc<Desk>>,
    Path(index): Path<String>,
) -> Result<Response, Problem> {
    let index = index.parse().map_err(|_| Problem::gone("sample"))?;
    let sample = beside(move || desk.sample(index)).await?;
    picture(sample.ok_or(Problem::gone("sample"))?.image).await
}

/// An image as a PNG file.
pub async fn picture(image: GrayImage) -> Result<Response, Problem> {
    let file = beside(move || files::file("picture.png", |out| encode::png_grey(out, &image)));
    let bytes = file.await?.bytes;
    Ok(([(header::CONTENT_TYPE, "image/png")], bytes).into_response())
}
