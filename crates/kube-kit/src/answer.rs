//! Answers: lists and watches, from the store.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Request;
use crate::http;
use crate::server::Shared;

/// How often a watch looks whether it is to end, and sends bookmarks.
const BOOKMARK_INTERVAL: Duration = Duration::from_millis(200);

/// Answers a list.
pub(crate) fn list(to: &mut TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    let slow = shared.control().slow_lists;
    std::thread::sleep(slow);
    if shared.control().unknown.contains(&request.plural) {
        return http::answer(to, 404, &status(404, "NotFound"));
    }
    let page = shared.store().list(&request.plural, request.node(), request.begin, request.limit);
    let mut metadata = json!({"resourceVersion": page.version.to_string()});
    if let Some(next) = page.next {
        metadata["continue"] = json!(next.to_string());
    }
    let body =
        json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": page.items});
    http::answer(to, 200, &body)
}

/// Answers a watch, until the server has enough of it.
pub(crate) fn watch(to: &mut TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    let mut version: u64 = request.version.as_deref().and_then(|it| it.parse().ok()).unwrap_or(0);
    if shared.store().events_after(version, &request.plural, request.node()).is_none() {
        return http::answer(to, 410, &status(410, "Expired"));
    }
    let began = shared.control().generation;
    http::begin_chunks(to)?;
    loop {
        let control = shared.control().clone();
        if control.is_down || control.generation != began {
            // Without an end: the connection just breaks.
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if control.is_silent {
            shared.wait(BOOKMARK_INTERVAL);
            continue;
        }
        let news = shared.store().events_after(version, &request.plural, request.node());
        let Some((news, now)) = news else {
            http::chunk(to, &json!({"type": "ERROR", "object": status(410, "Expired")}))?;
            return http::end_chunks(to);
        };
        for event in &news {
            http::chunk(to, event)?;
        }
        if news.is_empty() {
            let metadata = json!({"resourceVersion": now.to_string()});
            let object = json!({"kind": "x", "apiVersion": "v1", "metadata": metadata});
            http::chunk(to, &json!({"type": "BOOKMARK", "object": object}))?;
        }
        version = now;
        shared.wait(BOOKMARK_INTERVAL);
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "as the test wants it", "reason": reason, "code": code,
    })
}
