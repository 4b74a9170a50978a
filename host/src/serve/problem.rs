//! What goes wrong, as an answer: a status and one sentence.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use medfocus_plugin_api::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

/// Why there is no answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    sentence: String,
}

/// What is wrong, in one sentence.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sentence {
    /// The sentence, and after a semicolon what to do.
    error: String,
}

/// Whoever finds the queue full asks again after so many seconds.
const AGAIN: HeaderValue = HeaderValue::from_static("5");

impl Problem {
    /// A status and its sentence.
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
        }
    }

    /// There is no such image, job, sample or file, or none any more.
    pub fn gone(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no such {what} here, or no longer; begin again"),
        )
    }

    /// The queue has no place.
    pub fn busy() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many questions are waiting; ask again in a moment",
        )
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error.kind {
            ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Missing => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error = self.sentence;
        let mut response = (self.status, Json(Sentence { error })).into_response();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, AGAIN);
        }
        if matches!(
            self.status,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
        ) {
            // The rest of the body is not read.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
