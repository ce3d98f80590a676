//! Speed and ratio of encoders and compressors on made-up access logs, for humans: nothing is
//! asserted. `cargo bench -p logferry-sink --bench encode [words that a row must contain]`.
//!
//! All rates are bytes of log bodies per second on one core, so that the rows of one hop can be
//! set against those of another. Every row is run once per round; the median over rounds is shown,
//! which spares a noisy machine's rows from being measured in different moods.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use flow::{
    Attribute, Chunk, Clock, Codec, Compress, Content, Context, ContextId, Encode, Marks, Record,
    RecordFlags, Section, Span, SystemClock, attribute,
};
use sink::compress;
use sink::json_lines::JsonLinesEncoder;
use sink::otlp::OtlpEncoder;

const ROUNDS: usize = 5;
/// How long a row is repeated per round.
const ROW_NS: u64 = 60_000_000;
/// Bytes of the log that compression rows go through, cut into blocks.
const LOG_BYTES: usize = 8 << 20;
/// Bytes of a section that stays in the second-level cache together with its encoded form.
const CACHED_BYTES: usize = 256 << 10;
/// Wall-clock time of the first line.
const BEGIN_UNIX_NS: i64 = 1_795_000_000_000_000_000;
/// Bytes of `2026-11-18T11:06:40.123456789Z stdout F `.
const CRI_PREFIX_BYTES: usize = 40;

/// xorshift64*, so that every run sees the same log.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).expect("below a length")]
    }
}

/// A line like nginx writes them, 256 bytes on average.
fn line(random: &mut Random, unix_ns: i64) -> String {
    const PATHS: [&str; 6] = [
        "/api/v1/products",
        "/api/v1/cart",
        "/static/js/app.js",
        "/checkout/confirm",
        "/search",
        "/api/v2/users/profile",
    ];
    const AGENTS: [&str; 5] = [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
        "okhttp/4.12.0 (Android 14; Pixel 8; app 7.31.2 build 88213; lang de-DE)",
        "curl/8.4.0",
    ];
    const STATUSES: [&str; 6] = ["200", "200", "200", "304", "404", "500"];
    let second = unix_ns / 1_000_000_000;
    let mut line = String::new();
    write!(
        line,
        "10.{}.{}.{} - - [18/Nov/2026:11:{:02}:{:02} +0000] \"GET {}/{}?ref=home&page={} HTTP/1.1\" \
         {} {} \"https://shop.example.com/\" \"{}\" rt=0.{:03} up=10.0.3.{}:8080 id={:013x}",
        random.below(4), random.below(256), random.below(256), second / 60 % 60, second % 60,
        random.pick(&PATHS), random.below(100_000), random.below(20), random.pick(&STATUSES),
        random.below(60_000), random.pick(&AGENTS), random.below(1000), random.below(16),
        random.below(1 << 52),
    )
    .expect("writing to a string does not fail");
    line
}

/// Sections of `section_bytes` bodies each, `LOG_BYTES` together.
fn log(section_bytes: usize, is_cri: bool) -> Vec<Section> {
    let mut random = Random(88_172_645_463_325_252);
    let mut begin = 3_123_456_789;
    let mut unix_ns = BEGIN_UNIX_NS;
    let context = Arc::new(Context {
        id: ContextId::of(&[b"bench"]),
        tenant: Arc::from("shop"),
        attributes: vec![
            Attribute::text(attribute::K8S_NAMESPACE_NAME, "shop"),
            Attribute::text(attribute::K8S_POD_NAME, "web-5d8f7c9b4-x2x7k"),
            Attribute::text(attribute::K8S_POD_UID, "0e6f6a0c-7c1b-4c7e-9c55-3a2f5f6f8f10"),
            Attribute::text(attribute::K8S_CONTAINER_NAME, "nginx"),
            Attribute::int(attribute::K8S_CONTAINER_RESTART_COUNT, 0),
            Attribute::text(attribute::K8S_NODE_NAME, "node-17"),
        ],
    });
    let make = |_| {
        let mut chunk = Chunk::new(2 * section_bytes);
        let mut at = 0;
        let mut bodies = 0;
        while bodies < section_bytes {
            unix_ns += i64::try_from(random.below(3_000_000)).expect("small");
            let body = line(&mut random, unix_ns);
            let cursor = at;
            at += if is_cri { CRI_PREFIX_BYTES } else { 0 };
            chunk.data_mut()[at..at + body.len()].copy_from_slice(body.as_bytes());
            chunk.parts_mut().2.push(Record {
                time_unix_ns: if is_cri { unix_ns } else { 0 },
                start: u32::try_from(at).expect("a chunk is small"),
                len: u32::try_from(body.len()).expect("a line is short"),
                cursor: u32::try_from(cursor).expect("a chunk is small"),
                flags: if is_cri { RecordFlags::STDOUT } else { RecordFlags::NONE },
            });
            at += body.len() + 1;
            bodies += body.len();
        }
        let span = Span::new(begin, begin + at as u64);
        begin = span.end;
        Section {
            context: Arc::clone(&context),
            epoch: 0,
            span,
            marks: Marks::NONE,
            observed_unix_ns: unix_ns,
            is_divisible: false,
            content: Content::Records { chunk, filtered: 0 },
        }
    };
    (0..LOG_BYTES / section_bytes).map(make).collect()
}

fn body_bytes(section: &Section) -> usize {
    section.records().iter().map(|record| record.len as usize).sum()
}

/// The bodies alone, with or without newlines.
fn put_bodies(section: &Section, end: &[u8], out: &mut Vec<u8>) {
    let Content::Records { chunk, .. } = &section.content else { return };
    for record in chunk.records() {
        out.extend_from_slice(chunk.body(record));
        out.extend_from_slice(end);
    }
}

/// One line of the result.
struct Row {
    name: String,
    /// Bytes of bodies that one call of `run` goes through.
    bytes: usize,
    /// Returns the bytes it made.
    run: Box<dyn FnMut() -> usize>,
    rates: Vec<f64>,
    made: usize,
}

impl Row {
    fn new(name: String, bytes: usize, run: impl FnMut() -> usize + 'static) -> Row {
        Row { name, bytes, run: Box::new(run), rates: Vec::new(), made: 0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    fn measure(&mut self) {
        let clock = SystemClock;
        let begin = clock.monotonic_ns();
        let mut bytes = 0;
        let mut spent = 0;
        while spent < ROW_NS {
            self.made = black_box((self.run)());
            bytes += self.bytes;
            spent = clock.monotonic_ns() - begin;
        }
        self.rates.push(bytes as f64 * 1e3 / spent as f64);
    }

    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    fn print(&mut self) {
        self.rates.sort_by(f64::total_cmp);
        let rate = self.rates[self.rates.len() / 2];
        let ratio = self.bytes as f64 / self.made as f64;
        println!("{:44} {rate:8.0} MB/s   bodies/made {ratio:6.3}", self.name);
    }
}

/// A section that stays in the cache, through one encoder.
fn encode_row(
    name: &str,
    is_cri: bool,
    mut encode: impl FnMut(&Section, &mut Vec<u8>) + 'static,
) -> Row {
    let section = log(CACHED_BYTES, is_cri).swap_remove(0);
    let mut out = Vec::new();
    let kind = if is_cri { "cri" } else { "plain" };
    Row::new(format!("encode {kind} {name}"), body_bytes(&section), move || {
        out.clear();
        encode(&section, &mut out);
        out.len()
    })
}

/// Blocks of a log, through one compressor.
fn compress_row(
    name: &str,
    section_bytes: usize,
    is_cri: bool,
    mut encode: impl FnMut(&Section, &mut Vec<u8>),
    mut compressor: Box<dyn Compress>,
) -> Row {
    let log = log(section_bytes, is_cri);
    let bytes = log.iter().map(body_bytes).sum();
    let encoded = |section: &Section| {
        let mut block = Vec::new();
        encode(section, &mut block);
        block
    };
    let blocks: Vec<Vec<u8>> = log.iter().map(encoded).collect();
    let mut out = Vec::new();
    let kind = if is_cri { "cri" } else { "plain" };
    let name = format!("{kind} {:4} KiB {name}", section_bytes >> 10);
    Row::new(name, bytes, move || {
        let mut made = 0;
        for block in &blocks {
            compressor.compress(block, &mut out).expect("memory suffices");
            made += out.len();
        }
        made
    })
}

/// Zstandard as the library sets it up.
struct LibraryZstd(zstd::bulk::Compressor<'static>);

impl LibraryZstd {
    fn boxed(level: i32) -> Box<dyn Compress> {
        let compressor = zstd::bulk::Compressor::new(level).expect("a level that exists");
        Box::new(LibraryZstd(compressor))
    }
}

impl std::fmt::Debug for LibraryZstd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LibraryZstd").finish_non_exhaustive()
    }
}

impl Compress for LibraryZstd {
    fn codec(&self) -> Codec {
        Codec::Zstd
    }

    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), flow::CompressError> {
        out.clear();
        out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        self.0.compress_to_buffer(raw, out).expect("memory suffices");
        Ok(())
    }
}

fn otlp() -> impl FnMut(&Section, &mut Vec<u8>) {
    let mut encoder = OtlpEncoder::new();
    move |section, out| encoder.encode(section, out)
}

fn json() -> impl FnMut(&Section, &mut Vec<u8>) {
    let mut encoder = JsonLinesEncoder::new();
    move |section, out| encoder.encode(section, out)
}

fn bare(section: &Section, out: &mut Vec<u8>) {
    put_bodies(section, b"\n", out);
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for is_cri in [false, true] {
        rows.push(encode_row("memcpy", is_cri, |section, out| put_bodies(section, b"", out)));
        rows.push(encode_row("otlp", is_cri, otlp()));
        rows.push(encode_row("json_lines", is_cri, json()));
    }
    for bytes in [256 << 10, 1 << 20] {
        let make = compress::make;
        for is_cri in [false, true] {
            let mut add = |name: &str, encode: &mut dyn FnMut(&Section, &mut Vec<u8>), with| {
                rows.push(compress_row(name, bytes, is_cri, encode, with));
            };
            let zstd = || make(Codec::Zstd, 1);
            add("bare, zstd level 1 of the library", &mut bare, LibraryZstd::boxed(1));
            add("bare, zstd 1", &mut bare, zstd());
            for level in 1..=3 {
                let name = format!("otlp, zstd level {level} of the library");
                add(&name, &mut otlp(), LibraryZstd::boxed(level));
            }
            add("otlp, zstd 1", &mut otlp(), zstd());
            add("otlp, lz4", &mut otlp(), make(Codec::Lz4, 0));
            add("json_lines, zstd 1", &mut json(), zstd());
        }
    }
    rows
}

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut rows = rows();
    rows.retain(|row| words.iter().all(|word| row.name.contains(word)));
    for _ in 0..ROUNDS {
        rows.iter_mut().for_each(Row::measure);
    }
    rows.iter_mut().for_each(Row::print);
}
