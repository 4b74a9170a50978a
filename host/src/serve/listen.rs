//! Connections: a bounded number of them, none of which may dawdle.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::future::{Either, select};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tower_service::Service;

use super::problem::Problem;

/// So many at once; others wait.
const CONNECTIONS: usize = 256;
/// So long may the head of a request take.
const HEAD: Duration = Duration::from_secs(10);
/// So many bytes and lines may it have.
const HEAD_BYTES: usize = 32 << 10;
const HEAD_LINES: usize = 64;
/// So long may a request take until its answer begins, its body included.
const REQUEST: Duration = Duration::from_secs(60);

/// Answers connections until `stop`.
pub async fn listen(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = pin!(stop);
    loop {
        let next = pin!(async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        });
        let (place, accepted) = match select(next, &mut stop).await {
            Either::Left((next, _)) => next,
            Either::Right(_) => return,
        };
        let Ok((stream, _)) = accepted else {
            // As when there are too many open files: others end meanwhile.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request: hyper::Request<Incoming>| {
                router.clone().call(request.map(Body::new))
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(HEAD_BYTES)
                .max_headers(HEAD_LINES)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                tracing::debug!("a connection ended: {error}");
            }
            drop(place);
        });
    }
}

/// Ends a request whose body does not come.
pub async fn hurry(request: Request, next: Next) -> Response {
    let slow = || {
        let sentence = "the request took too long; send it again";
        Problem::new(StatusCode::REQUEST_TIMEOUT, sentence).into_response()
    };
    let answer = timeout(REQUEST, next.run(request)).await;
    answer.unwrap_or_else(|_| slow())
}
