//! What came of a question.

use std::{io::Cursor, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use medfocus_plugin_api::{Error, Result};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{
    super::{
        answer::Answer,
        desk::Desk,
        job::{Done, Job},
        problem::{Problem, Sentence},
    },
    beside,
    jobs::find,
};
use crate::files::File;

/// The answer as the page shows it.
#[utoipa::path(
    get, path = "/api/jobs/{id}/answer",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, body = Answer), (status = 404, body = Sentence), (status = 409, body = Sentence))
)]
pub async fn answer(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = find(&desk, &id)?;
    Ok(Json(&done(&job)?.answer).into_response())
}

/// What lies over the image, transparent elsewhere: `heat.png` or `region.png`.
#[utoipa::path(
    get, path = "/api/jobs/{id}/layers/{name}",
    params(("id" = String, Path, description = "Its name"), ("name" = String, Path, description = "Of the layer")),
    responses((status = 200, content_type = "image/png", body = String), (status = 404, body = Sentence), (status = 409, body = Sentence))
)]
pub async fn layer(
    State(desk): State<Arc<Desk>>,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let job = find(&desk, &id)?;
    named(&done(&job)?.layers, &name)
}

/// A file, as `medfocus attribute` writes it: `attribution.json`, `overlay.png`, `heatmap.npy`, `token_heatmaps.npy`, and
/// of a DICOM image `explanation.sc.dcm`, `explanation.sr.dcm`, `explanation.gsps.dcm`.
#[utoipa::path(
    get, path = "/api/jobs/{id}/files/{name}",
    params(("id" = String, Path, description = "Its name"), ("name" = String, Path, description = "Of the file")),
    responses((status = 200, content_type = "application/octet-stream", body = String), (status = 404, body = Sentence), (status = 409, body = Sentence))
)]
pub async fn file(
    State(desk): State<Arc<Desk>>,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let job = find(&desk, &id)?;
    named(&done(&job)?.files, &name)
}

/// All files in one archive.
#[utoipa::path(
    get, path = "/api/jobs/{id}/medfocus.zip",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, content_type = "application/zip", body = String), (status = 404, body = Sentence), (status = 409, body = Sentence))
)]
pub async fn all(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = find(&desk, &id)?;
    done(&job)?;
    let zip = beside(move || match job.done() {
        Some(done) => archive(&done.files),
        None => Err(Error::internal("the answer went away")),
    });
    Ok(download("medfocus.zip", zip.await?))
}

/// What came of a job.
fn done(job: &Job) -> Result<&Done, Problem> {
    job.done().ok_or_else(|| {
        let error = job.state().error;
        let sentence = error.unwrap_or_else(|| "the answer is not there yet".to_owned());
        Problem::new(StatusCode::CONFLICT, sentence)
    })
}

fn named(files: &[File], name: &str) -> Result<Response, Problem> {
    let file = files.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| Problem::gone("file"))?;
    Ok(download(file.name, file.bytes.clone()))
}

fn download(name: &'static str, bytes: Vec<u8>) -> Response {
    let kind = match name.rsplit_once('.') {
        Some((_, "png")) => "image/png",
        Some((_, "json")) => "application/json",
        Some((_, "zip")) => "application/zip",
        Some((_, "dcm")) => "application/dicom",
        _ => "application/octet-stream",
    };
    let as_file = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, as_file),
    ];
    (headers, bytes).into_response()
}

fn archive(files: &[File]) -> Result<Vec<u8>> {
    use std::io::Write;

    let failed = |error: &dyn std::fmt::Display| {
        Error::internal(format!("the archive cannot be made: {error}"))
    };
    // Pictures do not get smaller, and maps hardly.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        zip.start_file(file.name, options)
            .map_err(|error| failed(&error))?;
        zip.write_all(&file.bytes).map_err(|error| failed(&error))?;
    }
    let zip = zip.finish().map_err(|error| failed(&error))?;
    Ok(zip.into_inner())
}
