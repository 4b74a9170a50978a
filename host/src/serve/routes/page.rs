//! The page and the form that asks for the token: files of this program.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Form, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use super::super::{gate::Gate, problem::Problem};
use crate::overlay;

/// Scripts by their paths.
const SCRIPTS: [(&str, &str); 5] = [
    ("/app.js", include_str!("../page/app.js")),
    ("/api.js", include_str!("../page/api.js")),
    ("/form.js", include_str!("../page/form.js")),
    ("/figure.js", include_str!("../page/figure.js")),
    ("/reading.js", include_str!("../page/reading.js")),
];

/// What the form sends.
#[derive(Deserialize)]
struct Login {
    token: String,
}

/// The page's own routes.
pub fn router(gate: Arc<Gate>) -> Router {
    let mut router = Router::new()
        .route(
            "/",
            get(|| async { Html(include_str!("../page/index.html")) }),
        )
        .route("/style.css", get(style))
        .route("/icon.svg", get(icon))
        .route("/login", get(form).post(log_in).with_state(gate));
    for (path, script) in SCRIPTS {
        let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
        router = router.route(path, get(move || async move { (kind, script) }));
    }
    router
}

/// The looks, with the colours of the pictures' concepts.
async fn style() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    let style = include_str!("../page/style.css").to_owned() + &overlay::hues("--hue");
    (kind, style).into_response()
}

async fn icon() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "image/svg+xml")];
    (kind, include_str!("../page/icon.svg"))
}

async fn form() -> Html<&'static str> {
    Html(include_str!("../page/login.html"))
}

async fn log_in(State(gate): State<Arc<Gate>>, Form(login): Form<Login>) -> Response {
    match gate.log_in(&login.token) {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        None => {
            let sentence = "that is not this server's token; go back and try again";
            Problem::new(StatusCode::UNAUTHORIZED, sentence).into_response()
        }
    }
}
