//! Decoder: payloads of any bytes, which queues that rot and others' programs may hold.
//!
//! They are read or refused. Where another library or parser reads records of ours in them, ours reads
//! the same; what it refuses it refuses without showing what it read.

use flow::Encoding;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use sink::decode::{DecodeError, cursors, decode};

use crate::input::Input;

/// One input: the encoding, and the payload.
///
/// # Panics
/// If it is neither read nor refused as it should be.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let is_otlp = input.below(2) == 0;
    let payload = input.rest();
    let encoding = if is_otlp { Encoding::OtlpProto } else { Encoding::JsonLines };
    let decoded = decode(encoding, payload);
    let only_cursors = cursors(encoding, payload);
    match &decoded {
        Ok(records) => {
            assert_eq!(only_cursors, Ok(records.iter().map(|it| it.cursor).collect()));
            let bytes: usize = records.iter().map(|it| it.body.len()).sum();
            assert!(bytes <= payload.len(), "{bytes} bytes of {}", payload.len());
        }
        Err(why) => {
            let why = why.to_string();
            assert!(why.len() < 200 && why.is_ascii(), "{why:?}");
            // Of a JSON line an audit reads no more than the cursor.
            assert!(!is_otlp || only_cursors.is_err(), "only the cursors are read");
        }
    }
    // Groups, which the protocol does not have, are not skipped.
    let is_group =
        matches!(&decoded, Err(DecodeError::Wire { why, .. }) if why.contains("wire type"));
    let got = decoded
        .ok()
        .map(|records| records.iter().map(|it| (it.cursor, it.body.to_vec())).collect());
    let other = if is_otlp { by_prost(payload) } else { by_serde(payload) };
    if let Some(other) = other.filter(|_| !is_group) {
        assert_eq!(got, Some(other));
    }
}

type Records = Vec<(u64, Vec<u8>)>;

/// Cursor and body of each record, if all of it is as ours are.
fn by_prost(payload: &[u8]) -> Option<Records> {
    let request = ExportLogsServiceRequest::decode(payload).ok()?;
    let scopes = request.resource_logs.iter().flat_map(|it| &it.scope_logs);
    scopes.flat_map(|it| &it.log_records).map(record_of).collect()
}

fn record_of(record: &LogRecord) -> Option<(u64, Vec<u8>)> {
    let value =
        |it: &Option<opentelemetry_proto::tonic::common::v1::AnyValue>| it.as_ref()?.value.clone();
    let mut ours = record.attributes.iter().filter(|it| it.key == "log.cursor");
    let Some(Value::IntValue(cursor)) = ours.next_back().and_then(|it| value(&it.value)) else {
        return None;
    };
    let body = match value(&record.body) {
        Some(Value::StringValue(text)) => text.into_bytes(),
        Some(Value::BytesValue(bytes)) => bytes,
        // Nothing that ours write.
        _ => return None,
    };
    Some((cursor.cast_unsigned(), body))
}

/// Cursor and body of each line, if each is an object of ours with text alone.
fn by_serde(payload: &[u8]) -> Option<Records> {
    let lines = payload.split(|byte| *byte == b'\n').filter(|it| !it.is_empty());
    let record = |line: &[u8]| {
        let value: serde_json::Value = serde_json::from_slice(line).ok()?;
        let fields = value.as_object()?;
        let keys = fields.keys().all(|it| matches!(&it[..], "log.cursor" | "body"));
        // A key may be there twice, which only one of the two minds.
        let is_once = line.windows(2).filter(|it| it == b"\":").count() == fields.len();
        let body = fields.get("body").map_or(Some(""), serde_json::Value::as_str)?;
        let cursor = fields.get("log.cursor")?.as_u64()?;
        (keys && is_once).then(|| (cursor, body.as_bytes().to_vec()))
    };
    lines.map(record).collect()
}
