//! Header: what a message says beside its payload, so that nobody need open it.
//!
//! Names as on OTLP resources and records. Values are text, also numbers: `kcat` shows them.

use std::fmt::Write as _;
use std::sync::Arc;

use flow::{
    Attribute, AttributeValue, Codec, Context, ContextId, Encoding, GapReason, Head, Marks,
    PayloadHeader, Place, Position, Span, attribute,
};
use rdkafka::message::{Header as KafkaHeader, Headers, OwnedHeaders};

/// Version of these headers.
const SCHEMA: &str = "1";

const LOG_SCHEMA: &str = "log.schema";
const LOG_TENANT: &str = "log.tenant";
const LOG_CURSOR_BEGIN: &str = "log.cursor.begin";
const LOG_CURSOR_END: &str = "log.cursor.end";
const LOG_RECORDS: &str = "log.records";
const LOG_MARKS: &str = "log.marks";
const LOG_POSITIONS: &str = "log.positions";
const CONTENT_TYPE: &str = "content-type";
const CONTENT_ENCODING: &str = "content-encoding";

/// Attributes of the context that consumers route by.
const ROUTES: [&str; 5] = [
    attribute::K8S_NAMESPACE_NAME,
    attribute::K8S_POD_NAME,
    attribute::K8S_CONTAINER_NAME,
    attribute::HOST_NAME,
    attribute::LOG_FILE_PATH,
];

/// Bytes of an attribute's value that a header has at most; longer ones are left out.
const ROUTE_BYTES_MAX: usize = 512;

/// What a message says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose section: tenant, and those attributes that consumers route by.
    pub context: Arc<Context>,
    /// Epoch of the context.
    pub epoch: u32,
    /// Which cursors.
    pub span: Span,
    /// First or last of its context.
    pub marks: Marks,
    /// Records in the payload; 0 for a gap.
    pub records: u32,
    /// Set if it declares a gap.
    pub gap: Option<GapReason>,
    /// Where the file system's side stands after the span.
    pub positions: Vec<Position>,
    /// How the payload is encoded.
    pub encoding: Encoding,
    /// How the payload is compressed by us; Kafka's own compression is not seen here.
    pub codec: Codec,
}

/// A message that is not one of ours, or a newer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header {name}: {why}")]
pub struct HeaderError {
    name: &'static str,
    why: String,
}

/// The headers of a message with one section.
pub(super) fn encode(header: &PayloadHeader, encoding: Encoding, codec: Codec) -> OwnedHeaders {
    let context = &header.context;
    let mut headers = OwnedHeaders::new_with_capacity(16);
    let mut put = |key: &str, value: &str| {
        let before = std::mem::take(&mut headers);
        headers = before.insert(KafkaHeader { key, value: Some(value) });
    };
    put(LOG_SCHEMA, SCHEMA);
    put(LOG_TENANT, &context.tenant);
    for key in ROUTES {
        let Some(it) = context.attributes.iter().find(|it| it.key == key) else { continue };
        let value = it.value.to_string();
        if value.len() <= ROUTE_BYTES_MAX {
            put(key, &value);
        }
    }
    put(attribute::LOG_CONTEXT_ID, &context.id.to_string());
    put(attribute::LOG_EPOCH, &header.epoch.to_string());
    put(LOG_CURSOR_BEGIN, &header.span.begin.to_string());
    put(LOG_CURSOR_END, &header.span.end.to_string());
    put(LOG_RECORDS, &header.records.to_string());
    if let Some(gap) = header.gap {
        put(attribute::LOG_GAP_REASON, gap.name());
    }
    let marks = [("first", header.marks.first), ("last", header.marks.last)];
    let set: Vec<&str> = marks.into_iter().filter(|it| it.1).map(|it| it.0).collect();
    if !set.is_empty() {
        put(LOG_MARKS, &set.join(","));
    }
    put(LOG_POSITIONS, &positions_text(&header.positions));
    put(CONTENT_TYPE, content_type(encoding));
    if codec != Codec::None {
        put(CONTENT_ENCODING, codec.name());
    }
    headers
}

/// Whether a message says to be one of ours, of whatever version.
pub(super) fn is_ours(headers: &impl Headers) -> bool {
    headers.iter().any(|it| it.key == LOG_SCHEMA)
}

impl Header {
    /// What `headers` say.
    ///
    /// # Errors
    /// If they are not ours.
    pub fn decode(headers: &impl Headers) -> Result<Header, HeaderError> {
        let mut attributes = Vec::new();
        let mut text = Texts::default();
        for header in headers.iter() {
            let Some(value) = header.value.and_then(|it| std::str::from_utf8(it).ok()) else {
                continue;
            };
            match ROUTES.into_iter().find(|key| *key == header.key) {
                Some(key) => attributes.push(Attribute {
                    key: key.into(),
                    value: AttributeValue::Text(value.to_owned()),
                }),
                None => text.0.push((header.key, value)),
            }
        }
        text.want(LOG_SCHEMA, |it| (it == SCHEMA).then_some(()))?;
        let begin = text.want(LOG_CURSOR_BEGIN, |it| it.parse().ok())?;
        let end = text.want(LOG_CURSOR_END, |it| it.parse().ok().filter(|end| *end >= begin))?;
        let marks = text.get(LOG_MARKS).unwrap_or_default();
        let encoding = text.want(CONTENT_TYPE, |it| {
            [Encoding::OtlpProto, Encoding::JsonLines].into_iter().find(|e| content_type(*e) == it)
        })?;
        let gap = match text.get(attribute::LOG_GAP_REASON) {
            None => None,
            Some(_) => Some(text.want(attribute::LOG_GAP_REASON, |it| {
                GapReason::ALL.into_iter().find(|reason| reason.name() == it)
            })?),
        };
        let codec = match text.get(CONTENT_ENCODING) {
            None => Codec::None,
            Some(_) => text.want(CONTENT_ENCODING, |it| {
                [Codec::Zstd, Codec::Lz4].into_iter().find(|codec| codec.name() == it)
            })?,
        };
        let tenant = text.want(LOG_TENANT, |it| Some(Arc::from(it)))?;
        let id: ContextId = text.want(attribute::LOG_CONTEXT_ID, |it| it.parse().ok())?;
        Ok(Header {
            context: Arc::new(Context { id, tenant, attributes }),
            epoch: text.want(attribute::LOG_EPOCH, |it| it.parse().ok())?,
            span: Span::new(begin, end),
            marks: Marks {
                first: marks.split(',').any(|it| it == "first"),
                last: marks.split(',').any(|it| it == "last"),
            },
            records: text.want(LOG_RECORDS, |it| it.parse().ok())?,
            gap,
            positions: text.want(LOG_POSITIONS, parse_positions)?,
            encoding,
            codec,
        })
    }
}

/// Headers that are texts, by name.
#[derive(Default)]
struct Texts<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Texts<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn want<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, HeaderError> {
        let value = self.get(name).ok_or_else(|| HeaderError { name, why: "missing".into() })?;
        parse(value).ok_or_else(|| HeaderError { name, why: format!("{value:?} is not known") })
    }
}

fn content_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::OtlpProto => "application/x-protobuf",
        Encoding::JsonLines => "application/x-ndjson",
    }
}

/// `generation:offset:head length:head:place length:place`, in hexadecimal, one after the other.
fn positions_text(positions: &[Position]) -> String {
    let mut text = String::with_capacity(positions.len() * 64);
    for it in positions {
        let (head, place) = (it.head, it.place);
        let separator = if text.is_empty() { "" } else { "," };
        write!(
            text,
            "{separator}{:x}:{:x}:{:x}:{:x}:{:x}:{:x}",
            it.generation, it.offset, head.len, head.hash, place.len, place.hash
        )
        .expect("memory");
    }
    text
}

fn parse_positions(text: &str) -> Option<Vec<Position>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(parse_position).collect()
}

fn parse_position(text: &str) -> Option<Position> {
    let mut numbers = text.split(':').map(|it| u64::from_str_radix(it, 16).ok());
    let mut next = || numbers.next().flatten();
    let (generation, offset) = (next()?, next()?);
    let head = Head { len: next()?.try_into().ok()?, hash: next()? };
    let place = Place { len: next()?.try_into().ok()?, hash: next()?.try_into().ok()? };
    Some(Position { generation, offset, head, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> PayloadHeader {
        let context = Context {
            id: ContextId(7),
            tenant: Arc::from("shop"),
            attributes: vec![
                Attribute::text(attribute::K8S_POD_NAME, "web-0"),
                Attribute::text(attribute::K8S_POD_UID, "not a route"),
            ],
        };
        let at = |generation| Position {
            generation,
            offset: 99,
            head: Head::of(b"head"),
            place: Place::of(b"place"),
        };
        PayloadHeader {
            context: Arc::new(context),
            epoch: 3,
            span: Span::new(10, 25),
            marks: Marks { first: true, last: false },
            records: 2,
            filtered: 0,
            gap: None,
            observed_unix_ns: 1,
            positions: vec![at(u64::MAX), at(1)],
            range: 0..9,
        }
    }

    #[test]
    fn what_a_message_says_comes_back() {
        let given = header();
        let headers = encode(&given, Encoding::OtlpProto, Codec::None);
        let got = Header::decode(&headers).unwrap();
        assert_eq!((got.epoch, got.span, got.records), (3, Span::new(10, 25), 2));
        assert_eq!((got.context.id, &*got.context.tenant), (ContextId(7), "shop"));
        assert_eq!(got.context.attributes, [Attribute::text(attribute::K8S_POD_NAME, "web-0")]);
        assert_eq!(got.positions, given.positions);
        assert_eq!((got.marks.first, got.marks.last, got.gap), (true, false, None));
        let gap = PayloadHeader { gap: Some(GapReason::Truncated), positions: vec![], ..given };
        let got = Header::decode(&encode(&gap, Encoding::JsonLines, Codec::Zstd)).unwrap();
        assert_eq!((got.gap, got.codec), (Some(GapReason::Truncated), Codec::Zstd));
        assert!(got.positions.is_empty());
    }

    #[test]
    fn what_others_wrote_is_told_apart() {
        assert!(Header::decode(&OwnedHeaders::new()).is_err());
        let newer = OwnedHeaders::new().insert(KafkaHeader { key: LOG_SCHEMA, value: Some("2") });
        assert!(Header::decode(&newer).unwrap_err().to_string().contains("log.schema"));
    }
}
