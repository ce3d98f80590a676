//! Seeds: inputs to begin with, made of what runtimes, rotators, stores and encoders really write.
//!
//! usage: `cargo run -p logferry-fuzz --example seeds`
//!
//! Writes them into the corpus, beside what is there. Needed when a target reads its input in another
//! way, or a format on disk has another version; `cargo fuzz cmin` then drops what is of no use.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::{Compression, GzBuilder, write::GzEncoder};
use flow::{
    Attribute, Chunk, Content, Context, ContextId, Encode, Head, Marks, Place, Position, Record,
    RecordFlags, Section, Span,
};
use pipeline::checkpoint::{CheckpointStore, Entry, StateDisk};
use pipeline::source::Known;
use sim::SimDisk;
use sink::json_lines::JsonLinesEncoder;
use sink::otlp::OtlpEncoder;

const CRI: &str = "\
2026-01-02T03:04:05.123456789Z stdout F started
2026-01-02T03:04:05.2Z stdout P a line in\x20
2026-01-02T03:04:05.3Z stderr P another one in\x20
2026-01-02T03:04:05.4+01:00 stdout P three
2026-01-02T03:04:05.5Z stderr F two parts\r
2026-01-02T03:04:05Z stdout F  parts
2026-01-02T03:04:06Z stdout F:tag:other with tags
no line of a runtime
2026-01-02T03:04:07Z stdout F
2026-01-02T03:04:08Z stderr F torn he";

const DOCKER: &str = r#"{"log":"started\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"}
{"log":"a part, ","stream":"stdout","time":"2026-01-02T03:04:05.2Z"}
{"log":"q\"\\\t\u00e9\ud83d\ude00\r\n","stream":"stderr","time":"2026-01-02T03:04:05Z"}
{"log":"and its end\n","stream":"stdout","time":"2026-01-02T03:04:06+02:00"}
{"stream":"stdout","attrs":{"a":"b"},"time":"2026-01-02T03:04:07Z","log":"any order\n"}
{"log":"\ud800","stream":"stdout","time":"2026-01-02T03:04:08Z"}
{"log":"torn"#;

const TEXT: &str = "\u{feff}one\r\ntwo\n\nZürich 🦀, a line that is longer than a record may be here\r\n\
                    10%\r50%\r100%\n\u{a0d}\u{10a}\nno end";

const JAVA: &str = "#INFO ready\nException in thread \"main\" java.lang.IllegalStateException: no\n\
                    \tat com.example.Web.serve(Web.java:7)\n\t... 3 more\nCaused by: java.io.IOException\n\
                    \tat com.example.Disk.read(Disk.java:1)\nINFO on;\n";
const PYTHON: &str = "ready\nTraceback (most recent call last):\n  File \"web.py\", line 7, in <module>\n    serve()\n\
                      ValueError: no\n\nDuring handling of the above exception, another exception occurred:\n\n\
                      Traceback (most recent call last):\n  File \"web.py\", line 9, in serve\nKeyError: 'a'\non\n";
const GO: &str = "ready\npanic: no [recovered]\n\tpanic: again\n\ngoroutine 1 [running]:\nmain.serve(0x1)\n\
                  \t/src/web.go:7 +0x1d\nexit status 2\non\n";

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut seeds = Seeds { corpus, written: 0 };
    framing(&mut seeds);
    multiline(&mut seeds);
    gzip(&mut seeds);
    checkpoints(&mut seeds);
    config(&mut seeds);
    grammars(&mut seeds);
    payloads(&mut seeds);
    steps(&mut seeds);
    println!("{} seeds", seeds.written);
}

struct Seeds {
    corpus: PathBuf,
    written: usize,
}

impl Seeds {
    /// One input: the numbers that it begins with, and what they are about.
    fn write(&mut self, target: &str, numbers: &[u8], content: &[u8]) {
        self.written += 1;
        let folder = self.corpus.join(target);
        std::fs::create_dir_all(&folder).expect("the corpus");
        let path = folder.join(format!("seed-{:03}", self.written));
        std::fs::write(path, [numbers, content].concat()).expect("a seed");
    }
}

/// Longest record, number of reads, and of each what it does and how many bytes it brings.
const READS: [&[u8]; 4] =
    [&[200, 0, 0, 255], &[250, 1, 0, 30, 0, 90], &[20, 0, 0, 7], &[60, 2, 2, 40, 3, 70, 0, 100]];

fn framing(seeds: &mut Seeds) {
    for reads in READS {
        for (kind, lines) in [(0, CRI), (1, DOCKER), (2, CRI), (5, DOCKER)] {
            seeds.write("container_lines", &[&[kind], reads].concat(), lines.as_bytes());
        }
        let little = TEXT.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let big =
            TEXT.encode_utf16().chain([0xd800]).flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        for (format, bytes) in [(0, TEXT.as_bytes()), (1, &little), (2, &big)] {
            seeds.write("text_lines", &[&[format], reads].concat(), bytes);
        }
    }
    for line in DOCKER.lines() {
        seeds.write("docker_json", &[], line.as_bytes());
    }
    for line in CRI.lines().filter(|it| it.starts_with('2')) {
        let time = line.split(' ').next().unwrap_or_default();
        seeds.write("docker_json", &[], time.as_bytes());
    }
}

fn multiline(seeds: &mut Seeds) {
    for (rule, text) in [(0, JAVA), (1, JAVA), (2, JAVA), (3, JAVA), (4, PYTHON), (5, GO)] {
        for limits in [[6, 250, 0], [1, 60, 1]] {
            let head = |is_cri: u8| {
                [&[rule << 1 | is_cri], &limits[..], &[2, 40, 0, 90, 3, 10, 2]].concat()
            };
            seeds.write("multiline", &head(0), text.as_bytes());
            // Every third line goes to stderr, and some are split.
            let how = |number: usize| if number.is_multiple_of(3) { '1' } else { '0' };
            let lines = text.lines().enumerate();
            let lines: String =
                lines.map(|(number, it)| format!("{}{it}\n", how(number))).collect();
            seeds.write("multiline", &head(1), lines.as_bytes());
        }
    }
}

fn gzip(seeds: &mut Seeds) {
    let member = |content: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content.as_bytes()).expect("in memory");
        encoder.finish().expect("in memory")
    };
    let mut named =
        GzBuilder::new().filename("app.log").mtime(7).write(Vec::new(), Compression::best());
    named.write_all(CRI.as_bytes()).expect("in memory");
    let named = named.finish().expect("in memory");
    let two = [member(DOCKER), member(""), member(&CRI.repeat(50))].concat();
    let mut damaged = two.clone();
    damaged[40] ^= 4;
    let garbage = [&two[..], b"garbage"].concat();
    for bytes in [&named, &two, &damaged, &two[..two.len() / 2].to_vec(), &garbage] {
        seeds.write("gzip", &[1, 100, 0, 9, 1], bytes);
    }
    // Two reads of [more, offset, length], then two members.
    let reads = [0, 1, 60, 0, 0, 0, 200, 1, 255, 255, 0, 128, 0, 1];
    let members = [&[1, 1, 12][..], b"first member", &[9, 4], b"more"].concat();
    for rest in [&b""[..], b"garbage"] {
        seeds.write("gzip", &reads, &[&members, rest].concat());
    }
}

fn entry(number: u64) -> Entry {
    let place = Place::of(b"last line");
    let head = Head::of(b"first line");
    let position = Position { generation: number, offset: 10, head, place, ..Position::default() };
    let generations = vec![position; usize::try_from(number % 3).unwrap_or(0)];
    let known = Known { cursor: number, is_new: false, generations, ..Known::new(1) };
    let context = ContextId(u128::from(number));
    Entry { context, known, updated_unix_seconds: 1_800_000_000, end: None }
}

fn checkpoints(seeds: &mut Seeds) {
    let disk = SimDisk::default();
    let mut files = Vec::new();
    for round in 0..3 {
        let opened = CheckpointStore::open_on(Box::new(disk.clone()), 1_800_000_000);
        let (mut store, _) = opened.expect("in memory");
        for number in 0..round + 1 {
            let changed = vec![entry(number), entry(number + 1)];
            store.store(changed, 1_800_000_000, false, Default::default).expect("in memory");
        }
        let name = format!("checkpoint.{:016x}", round + 1);
        files.push(disk.read(&name).expect("it was written"));
    }
    let length = |it: &[u8]| u16::try_from(it.len()).expect("small").to_le_bytes();
    for how in [0, 3, 7] {
        let [low, high] = length(&files[1]);
        seeds.write("checkpoint_load", &[how, low, high], &[&files[1][..], &files[2]].concat());
        seeds.write("checkpoint_load", &[how, 0, 0], &files[2]);
        seeds.write("checkpoint_load", &[how, 0, 0], &files[2][..files[2].len() - 9]);
    }
}

fn config(seeds: &mut Seeds) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    for folder in ["deploy/examples", "crd/tests/golden"] {
        let entries = std::fs::read_dir(top.join(folder)).expect("a folder");
        let mut paths: Vec<PathBuf> = entries.map(|it| it.expect("an entry").path()).collect();
        paths.retain(|it| it.extension().is_some_and(|it| it == "yaml"));
        paths.sort();
        for path in paths {
            let bytes = std::fs::read(&path).expect("a file");
            // Short ones are changed faster, and full.yaml has the same fields as the others.
            seeds.write("config", &[], &bytes[..bytes.len().min(3000)]);
        }
    }
    for word in ["256KiB", "0", "1.5GiB", "500ms", "7d", "18446744073709551615B"] {
        seeds.write("config", &[], word.as_bytes());
    }
}

fn grammars(seeds: &mut Seeds) {
    let texts: [(u8, &[u8]); 9] = [
        (0, b"/var/log/a\\b/\xff\n\x1b.log"),
        (1, b"0.log.20260102-150405.gz\napp.log.12\napp.log-20260102"),
        (1, b"app.log.2026-01-02T15\napp.log\napp.log.1.tmp"),
        (2, b"kube-system_coredns-7db6d8ff4d-abcde_0f8d5a3e-1111"),
        (3, b"/var/log/**/[a-c]*.log\n/var/log/b.log\n/var/log/x/c1.log"),
        (3, b"/srv/{a,b}/out?.txt\n/srv/a/out1.txt\n/srv/c/out1.txt"),
        (3, b"/srv/*/x/**\n/srv/a/x/y/z\n/srv/a/y"),
        (4, b"team-1.eu"),
        (5, b"54d3c3565599644455b076d6ad3c59c4"),
    ];
    for (grammar, text) in texts {
        seeds.write("grammars", &[grammar], text);
    }
}

/// A section of CRI lines.
fn section() -> Section {
    let mut chunk = Chunk::new(4096);
    let text = b"one\ntwo \xff\nthree \"quoted\"\n";
    chunk.data_mut()[..text.len()].copy_from_slice(text);
    let (_, _, records) = chunk.parts_mut();
    for (start, len, flags) in [
        (0, 3, RecordFlags::STDOUT),
        (4, 5, RecordFlags::STDERR.with(RecordFlags::PART)),
        (10, 14, RecordFlags::STDERR.with(RecordFlags::CONTINUED)),
    ] {
        records.push(Record { time_unix_ns: 1_800_000_000, start, len, cursor: start, flags });
    }
    let attributes = vec![Attribute::text("k8s.pod.name", "web-0"), Attribute::int("count", -3)];
    Section {
        context: Arc::new(Context { id: ContextId(7), tenant: Arc::from("shop"), attributes }),
        epoch: 3,
        span: Span::new(1 << 33, (1 << 33) + 25),
        marks: Marks::NONE,
        observed_unix_ns: 1_800_000_000,
        is_divisible: false,
        content: Content::Records { chunk, filtered: 0 },
    }
}

fn payloads(seeds: &mut Seeds) {
    let (mut otlp, mut json) = (Vec::new(), Vec::new());
    OtlpEncoder::new().encode(&section(), &mut otlp);
    JsonLinesEncoder::new().encode(&section(), &mut json);
    seeds.write("decoder", &[0], &otlp);
    seeds.write("decoder", &[1], &json);
    seeds.write(
        "decoder",
        &[1],
        b"{\"body\":\"a\",\"log.cursor\":7}\n{\"log.cursor\":8,\"body\":\"\"}",
    );
    let begin = [7, 1, 2, 3, 4, 5, 6, 7, 8];
    let records = [
        &[4][..],
        b"web0",
        &[0, 0, 5],
        b"plain",
        &[0x4d, 9, 6],
        b"part \xf0",
        &[0x4e, 2, 4],
        b"\x9f\xa6\x80!",
        &[0x1a, 0, 3],
        b"\"\\\n",
    ];
    seeds.write("encoders", &begin, &records.concat());
    seeds.write("encoders", &[0xc7, 1, 2, 3, 4, 5, 6, 7, 8], &[0, 2]);
}

/// Steps, as the targets take them apart: each is a number and its arguments.
fn steps(seeds: &mut Seeds) {
    let (append, rotate, reopen) = ([0, 1, 20, 60, 0], [5], [6]);
    let (scan, work, wait, store, kill) = ([12], [14, 7], [18, 1], [16], [17, 1]);
    let parts = [0, 26, 13, 5, 9, 0];
    let rotation: &[&[u8]] = &[
        &append, &scan, &work, &rotate, &reopen, &append, &scan, &work, &wait, &store, &parts,
        &kill, &scan, &work,
    ];
    let truncation: &[&[u8]] = &[
        &append,
        &scan,
        &work,
        &[11],
        &append,
        &scan,
        &work,
        &[19, 1],
        &scan,
        &[19, 0],
        &[10],
        &append,
        &scan,
        &work,
        &[9],
        &parts,
        &scan,
        &[13],
        &[19, 5, 9],
        &work,
        &[7],
        &[8],
        &[15],
    ];
    for schedule in [rotation, truncation] {
        for format in 0..2 {
            seeds.write("tailer", &[format], &schedule.concat());
        }
    }
    // Stores of one and two entries, a short write, a restart, a power cut.
    seeds.write(
        "checkpoint_store",
        &[],
        &[0, 1, 1, 7, 0, 1, 2, 9, 20, 4, 0, 30, 2, 0, 1, 1, 8, 5, 0, 1, 1, 30],
    );
    seeds.write(
        "checkpoint_store",
        &[],
        &[0, 1, 2, 7, 3, 4, 1, 9, 3, 0, 0, 1, 5, 5, 0, 1, 1, 9, 6, 40, 1],
    );
    // Appends with each codec, a restart, a torn end, a flipped bit.
    let append = |codec: u8| [0, codec, 1, 0, 50, 1, 20];
    let queue = [&append(0)[..], &append(1), &[4], &append(2), &[5, 30, 0], &append(0)].concat();
    seeds.write("queue", &[100, 0], &queue);
    for how in 0..5 {
        seeds.write("queue", &[0, 3], &[&queue[..], &[7, 0, 0, how | 32, 160, 0, 20]].concat());
    }
}
