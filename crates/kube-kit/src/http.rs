//! HTTP: as much of it as a client of an API server needs.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `list` or `watch`, as rights call it.
    pub verb: String,
    /// Which kind, as in the URL.
    pub plural: String,
    /// The field selector, if one was given.
    pub fields: Option<String>,
    /// `resourceVersion`, if one was given.
    pub version: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) begin: usize,
}

/// Reads the next request of a connection; `None` when there is none any more.
pub(crate) fn read(from: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if from.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    loop {
        let mut header = String::new();
        if from.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|it| it.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
    };
    let is_watch = parameter("watch").is_some_and(|it| it == "true" || it == "1");
    Ok(Some(Request {
        verb: if is_watch { "watch" } else { "list" }.to_owned(),
        plural: path.rsplit('/').next().unwrap_or_default().to_owned(),
        fields: parameter("fieldSelector"),
        version: parameter("resourceVersion"),
        limit: parameter("limit").and_then(|it| it.parse().ok()),
        begin: parameter("continue").and_then(|it| it.parse().ok()).unwrap_or(0),
    }))
}

/// Text of a query parameter, as far as clients escape it.
fn decoded(value: &str) -> String {
    value.replace("%3D", "=").replace("%2F", "/").replace("%2C", ",").replace('+', " ")
}

impl Request {
    /// The node whose objects are meant, if not all are.
    pub(crate) fn node(&self) -> Option<&str> {
        self.fields.as_deref()?.strip_prefix("spec.nodeName=")
    }
}

/// Answers with JSON, and leaves the connection open.
pub(crate) fn answer(to: &mut TcpStream, status: u16, body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    to.write_all(head.as_bytes())?;
    to.write_all(body.as_bytes())
}

/// Begins an answer of chunks.
pub(crate) fn begin_chunks(to: &mut TcpStream) -> io::Result<()> {
    to.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    )
}

/// One line of JSON.
pub(crate) fn chunk(to: &mut TcpStream, line: &Value) -> io::Result<()> {
    let line = format!("{line}\n");
    to.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())
}

/// Ends an answer of chunks.
pub(crate) fn end_chunks(to: &mut TcpStream) -> io::Result<()> {
    to.write_all(b"0\r\n\r\n")
}
