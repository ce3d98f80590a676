//! Header: what a message says beside its payload, so that nobody need open it.
//!
//! Names as on OTLP resources and records. Values are text, also numbers: `kcat` shows them.

use std::fmt::Write as _;
use std::sync::Arc;

use flow::{
    Attribute, AttributeValue, Codec, Context, ContextId, Encoding, GapReason, Head, Marks,
    PayloadHeader, Place, Position, RecordFlags, Span, Streams, attribute,
};
use rdkafka::message::{Header as KafkaHeader, Headers, OwnedHeaders};

use super::message::Message;

/// Version of these headers.
const SCHEMA: &str = "1";

const LOG_SCHEMA: &str = "log.schema";
const LOG_AGENT: &str = "log.agent.id";
const LOG_TENANT: &str = "log.tenant";
const LOG_CURSOR_BEGIN: &str = "log.cursor.begin";
const LOG_CURSOR_END: &str = "log.cursor.end";
const LOG_SECTION: &str = "log.section";
const LOG_RECORDS: &str = "log.records";
const LOG_MARKS: &str = "log.marks";
const LOG_TIME: &str = "log.time";
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
    /// A section that cannot be divided, of which this is a part.
    pub part_of: Option<Span>,
    /// First or last of its context.
    pub marks: Marks,
    /// Records in the payload; 0 for a gap.
    pub records: u32,
    /// Set if it declares a gap.
    pub gap: Option<GapReason>,
    /// Where the file system's side stands after the span; `None` inside of what was read at once, where no
    /// restart can go on.
    pub positions: Option<Vec<Position>>,
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

/// Whether the agent of that name wrote the message.
pub(super) fn is_of(headers: &impl Headers, agent: &str) -> bool {
    headers.iter().any(|it| it.key == LOG_AGENT && it.value == Some(agent.as_bytes()))
}

/// The headers of a message of the section, by the agent of that name.
pub(super) fn encode(
    agent: &str,
    header: &PayloadHeader,
    message: &Message,
    encoding: Encoding,
    codec: Codec,
) -> OwnedHeaders {
    let context = &header.context;
    let mut headers = OwnedHeaders::new_with_capacity(16);
    let mut put = |key: &str, value: &str| {
        let before = std::mem::take(&mut headers);
        headers = before.insert(KafkaHeader { key, value: Some(value) });
    };
    put(LOG_SCHEMA, SCHEMA);
    put(LOG_AGENT, agent);
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
    put(LOG_CURSOR_BEGIN, &message.span.begin.to_string());
    put(LOG_CURSOR_END, &message.span.end.to_string());
    if let Some(section) = header.section_of(message.span) {
        put(LOG_SECTION, &format!("{}-{}", section.begin, section.end));
    }
    put(LOG_RECORDS, &message.records.to_string());
    if let Some(gap) = header.gap {
        put(attribute::LOG_GAP_REASON, gap.name());
    }
    let marks = [("first", message.marks.first), ("last", message.marks.last)];
    let set: Vec<&str> = marks.into_iter().filter(|it| it.1).map(|it| it.0).collect();
    if !set.is_empty() {
        put(LOG_MARKS, &set.join(","));
    }
    let positions = header.positions_at(message.span.end).filter(|_| !message.is_followed);
    if let Some(positions) = positions {
        put(LOG_POSITIONS, &positions_text(&positions));
    }
    // In all other encodings the value tells.
    if encoding == Encoding::Raw {
        if message.time_unix_ns != 0 {
            put(LOG_TIME, &message.time_unix_ns.to_string());
        }
        if let Some(stream) = message.flags.stream() {
            put(attribute::LOG_IOSTREAM, stream.name());
        }
        let named = RecordFlags::NAMED.into_iter().filter(|(flag, _)| message.flags.has(*flag));
        let names: Vec<&str> = named.map(|(_, name)| name).collect();
        if !names.is_empty() {
            put(attribute::LOG_FLAGS, &names.join(","));
        }
    }
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
        let encoding = text
            .want(CONTENT_TYPE, |it| Encoding::ALL.into_iter().find(|e| content_type(*e) == it))?;
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
            part_of: match text.get(LOG_SECTION) {
                None => None,
                Some(_) => Some(text.want(LOG_SECTION, parse_span)?),
            },
            marks: Marks {
                first: marks.split(',').any(|it| it == "first"),
                last: marks.split(',').any(|it| it == "last"),
            },
            records: text.want(LOG_RECORDS, |it| it.parse().ok())?,
            gap,
            positions: match text.get(LOG_POSITIONS) {
                None => None,
                Some(_) => Some(text.want(LOG_POSITIONS, parse_positions)?),
            },
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
        Encoding::Json => "application/json",
        Encoding::Raw => "application/octet-stream",
    }
}

/// `generation:offset:head length:head:place length:place`, in hexadecimal, one after the other; behind a hole, or where a
/// line goes on, with `:hole`, and there with `:streams` at the end.
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
        let continued = it.continued.bits();
        if place.hole > 0 || continued > 0 {
            write!(text, ":{:x}", place.hole).expect("memory");
        }
        if continued > 0 {
            write!(text, ":{continued:x}").expect("memory");
        }
    }
    text
}

fn parse_span(text: &str) -> Option<Span> {
    let (begin, end) = text.split_once('-')?;
    let (begin, end) = (begin.parse().ok()?, end.parse().ok()?);
    (begin <= end).then(|| Span::new(begin, end))
}

fn parse_positions(text: &str) -> Option<Vec<Position>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(parse_position).collect()
}

fn parse_position(text: &str) -> Option<Position> {
    let numbers = text.split(':').map(|it| u64::from_str_radix(it, 16).ok());
    let numbers = numbers.collect::<Option<Vec<u64>>>()?;
    let (&[generation, offset, head_len, head_hash, len, hash], rest) =
        numbers.split_first_chunk()?;
    let (hole, continued) = match *rest {
        [] => (0, 0),
        [hole] => (hole, 0),
        [hole, continued] => (hole, continued.try_into().ok()?),
        _ => return None,
    };
    let continued = Streams::from_bits(continued)?;
    let head = Head { len: head_len.try_into().ok()?, hash: head_hash };
    let place = Place { len: len.try_into().ok()?, hash: hash.try_into().ok()?, hole };
    Some(Position { generation, offset, head, place, continued })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::message::whole;

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
            place: if generation == 1 { Place::behind(9, b"hole") } else { Place::of(b"place") },
            continued: Streams::from_bits(u8::from(generation != 1) << 1).expect("a stream"),
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
            is_divisible: false,
            part_of: None,
            is_inner: false,
            range: 0..9,
        }
    }

    #[test]
    fn what_a_message_says_comes_back() {
        let given = header();
        let headers =
            encode("me", &given, &whole(0, &given, false), Encoding::OtlpProto, Codec::None);
        assert!(is_of(&headers, "me") && !is_of(&headers, "another"));
        let got = Header::decode(&headers).unwrap();
        assert_eq!((got.epoch, got.span, got.records), (3, Span::new(10, 25), 2));
        assert_eq!((got.context.id, &*got.context.tenant), (ContextId(7), "shop"));
        assert_eq!(got.context.attributes, [Attribute::text(attribute::K8S_POD_NAME, "web-0")]);
        assert_eq!(got.positions.as_ref(), Some(&given.positions));
        assert_eq!((got.marks.first, got.marks.last, got.gap), (true, false, None));
        assert_eq!(got.part_of, None);
        let gap = PayloadHeader { gap: Some(GapReason::Truncated), positions: vec![], ..given };
        let message = whole(0, &gap, false);
        let headers = encode("me", &gap, &message, Encoding::JsonLines, Codec::Zstd);
        let got = Header::decode(&headers).unwrap();
        assert_eq!((got.gap, got.codec), (Some(GapReason::Truncated), Codec::Zstd));
        assert_eq!(got.positions, Some(vec![]));
    }

    #[test]
    fn a_record_alone_says_where_a_restart_can_go_on() {
        let section = PayloadHeader { is_divisible: true, ..header() };
        let position = Position { offset: 99, ..section.positions[0] };
        let section = PayloadHeader { positions: vec![position], ..section };
        let span = Span::new(10, 20);
        let flags = RecordFlags::STDERR.with(RecordFlags::PART);
        let message = Message { span, flags, ..whole(0, &section, true) };
        let decoded = |message: &Message| {
            let headers = encode("me", &section, message, Encoding::Raw, Codec::None);
            let text = |key| headers.iter().find(|it| it.key == key).and_then(|it| it.value);
            assert_eq!(text(attribute::LOG_IOSTREAM), Some(&b"stderr"[..]));
            assert_eq!(text(attribute::LOG_FLAGS), Some(&b"part"[..]));
            Header::decode(&headers).unwrap()
        };
        let got = decoded(&message);
        assert_eq!((got.span, got.encoding), (span, Encoding::Raw));
        assert_eq!(got.positions.unwrap()[0].offset, 94);
        let followed = Message { is_followed: true, ..message };
        assert_eq!(decoded(&followed).positions, None);
    }

    #[test]
    fn a_part_of_a_section_that_cannot_be_divided_says_of_which() {
        let section = header();
        let part = Message { span: Span::new(10, 20), ..whole(0, &section, true) };
        let said = |section: &PayloadHeader| {
            let headers = encode("me", section, &part, Encoding::Raw, Codec::None);
            Header::decode(&headers).unwrap().part_of
        };
        assert_eq!(said(&section), Some(Span::new(10, 25)));
        let divided = PayloadHeader { span: part.span, part_of: said(&section), ..header() };
        assert_eq!(said(&divided), Some(Span::new(10, 25)), "when it is sent alone");
        assert_eq!(said(&PayloadHeader { is_divisible: true, ..section }), None);
        assert_eq!(parse_span("9-8"), None);
    }

    #[test]
    fn what_others_wrote_is_told_apart() {
        assert!(Header::decode(&OwnedHeaders::new()).is_err());
        let newer = OwnedHeaders::new().insert(KafkaHeader { key: LOG_SCHEMA, value: Some("2") });
        assert!(Header::decode(&newer).unwrap_err().to_string().contains("log.schema"));
    }
}
