//! Memory plan: what the whole agent may have, as the sum of named parts.
//!
//! `memory` of the Agent is the cap. What the other parts do not take is for data in flight: the reserves of
//! the tenants, and the pool that all share. Made at the start and whenever the configuration changes, before
//! anything is stopped; `logferry check` prints it. Numbers alone: nothing is allocated here.

use std::fmt::{self, Write as _};

use anyhow::bail;
use crd::{ByteSize, CompressionSettings, Settings, SinkSettings, SinkTarget, defaults};

mod cgroup;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The program itself: its pages, the heap that it starts with, metrics, and what the allocator keeps.
///
/// 16 MiB: of an idle agent 3 MiB are heap, and 8 to 15 MiB pages of the program, by how it was built.
const PROGRAM_BYTES: usize = 16 * MIB;
/// A thread: what it touches of its stack, and of an allocator's arena of its own.
const THREAD_BYTES: usize = 256 * KIB;
/// Threads beside main, readers, shippers and those of sinks: `lf-web`, `lf-end`, `lf-discover`, that of `notify`, `lf-ckpt` and
/// `lf-recall`; and in a cluster `lf-kube`, `lf-status`, `lf-cri`, and two that write the state and look up names for them.
const OTHER_THREADS: usize = 11;
/// A log file that is open: its source, its names, and its place in the watch.
const OPEN_FILE_BYTES: usize = 2 * KIB;
/// Contexts whose files are gone, at least.
///
/// 1 MiB: some 2,000. More does not fit into 64 MiB beside a client of Kafka.
const ENDED_BYTES: usize = MIB;
/// Of what a cap leaves beyond the parts and reserves, one part in so many is for them, too: files that are there take three
/// times as much each, and may all go for a while and come back.
const ENDED_PART: usize = 8;
/// For them where nothing limits the agent: some 170,000.
const ENDED_UNLIMITED_BYTES: usize = 64 * MIB;
/// Name of that part.
const ENDED: &str = "ended";
/// An embedded queue: rows of the segment that is written, and of those that are looked up.
const QUEUE_BYTES: usize = 3 * MIB;
/// What the allocator keeps once there is a client of Kafka (`allocator.rs`), however many there are.
const KAFKA_KEPT_BYTES: usize = 14 * MIB;
/// A client of Kafka beside the messages, which are data in flight: record batches while they are compressed, by
/// whatever codec up to level 4 of zstd, and metadata.
///
/// Measured: the whole agent with one, two and four clients, 160 MiB of lines each and a broker that stopped for 3 s,
/// came to 50, 70 and 105 MiB at most, of plans of 92, 103 and 126.
const KAFKA_BYTES: usize = 10 * MIB;
/// A sink's spool: its queue, the list of what is owed, and payloads on their way out of it.
const SPOOL_BYTES: usize = 8 * MIB;
/// What is read for a log disk beside a block: the index of a segment, or sections and an answer, and where the next ones are.
const RECALL_BYTES: usize = 3 * MIB;
/// Name of that part, which is left out where it does not fit.
const RECALL: &str = "recall";
/// The same of a topic: what a client has fetched, and sections.
const RECALL_TOPIC_BYTES: usize = 5 * MIB;
/// What writing a record adds to its bytes, at most: data may be so much larger than what was read.
const RECORD_BYTES: usize = 64;
/// Blocks that are kept for the next batch, in number.
const BLOCKS: usize = 4;
/// Of the control group's limit, what is taken if nobody said how much: so many quarters. The rest is for the
/// kernel, which charges the group for the pages of files and for sockets.
const GROUP_QUARTERS: u64 = 3;

/// The whole, and its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryPlan {
    cap_bytes: usize,
    /// Who says so.
    why: String,
    /// What the kernel lets this process have, in bytes.
    group_bytes: Option<u64>,
    /// What the control group leaves beyond the cap; `None` where nothing limits this process.
    spare_bytes: Option<usize>,
    parts: Vec<Part>,
    /// Reserves of the LogTenants together.
    listed_bytes: usize,
    /// Reserve of a tenant without a LogTenant.
    other_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    name: &'static str,
    bytes: usize,
    /// Its arithmetic.
    how: String,
}

impl MemoryPlan {
    /// The plan of this process, which may have a limit of its control group.
    ///
    /// # Errors
    /// If the parts do not fit; with the parts, and what to do.
    pub(crate) fn of(settings: &Settings) -> anyhow::Result<MemoryPlan> {
        MemoryPlan::within(settings, cgroup::limit_bytes())
    }

    fn within(settings: &Settings, group_bytes: Option<u64>) -> anyhow::Result<MemoryPlan> {
        let mut parts = parts(settings);
        let others: usize = parts.iter().map(|it| it.bytes).sum();
        let recall = recall(settings);
        let recall_bytes = recall.as_ref().map_or(0, |it| it.bytes);
        let other_bytes = settings.other_tenants_memory.reserved_bytes;
        let tenants = settings.tenants.iter().map(|it| it.memory.reserved_bytes);
        let listed_bytes: usize = tenants.fold(0, usize::saturating_add);
        let reserves = listed_bytes.saturating_add(other_bytes);
        let data = reserves.max(defaults::DATA_BYTES.as_usize());
        let usual = others.saturating_add(recall_bytes).saturating_add(data);
        let share = group_bytes.map(|it| it / 4 * GROUP_QUARTERS);
        let share = share.map(|it| usize::try_from(it).unwrap_or(usize::MAX));
        let (cap_bytes, why) = match (settings.agent.memory_bytes, share) {
            (Some(written), _) => (written, "spec.memory of the Agent".to_owned()),
            (None, Some(share)) if share < usual => {
                let limit = size(usize::try_from(group_bytes.unwrap_or(0)).unwrap_or(usize::MAX));
                (
                    share,
                    format!("{GROUP_QUARTERS} quarters of the control group's limit of {limit}"),
                )
            }
            (None, _) => {
                (usual, format!("its parts with {} of data, as nothing limits it", size(data)))
            }
        };
        let spare_bytes = match (settings.agent.memory_bytes, share) {
            (Some(_), _) => Some(0),
            (None, share) => share.map(|it| it - cap_bytes),
        };
        let least = others.saturating_add(reserves);
        // Collecting comes first.
        parts.extend(recall.filter(|it| cap_bytes >= least.saturating_add(it.bytes)));
        if spare_bytes == Some(0) {
            let taken: usize = parts.iter().map(|it| it.bytes).sum();
            remember_more(&mut parts, cap_bytes.saturating_sub(taken.saturating_add(reserves)));
        }
        let plan = MemoryPlan {
            cap_bytes,
            why,
            group_bytes,
            spare_bytes,
            parts,
            listed_bytes,
            other_bytes,
        };
        if cap_bytes < least {
            let count = settings.tenants.len();
            bail!(
                "Agent: spec.memory: {} ({}) are less than the {} of its parts: {}, and reserves of {} for \
                 {count} LogTenants and those without one; write at least {} where the node has them, or \
                 fewer readers, sinks and open files, or smaller batches and reserves",
                size(cap_bytes),
                plan.why,
                size(least),
                plan.sum(),
                size(reserves),
                size(least.next_multiple_of(MIB)),
            );
        }
        Ok(plan)
    }

    /// What is wrong with it although it adds up: more than the kernel lets this process have.
    pub(crate) fn warning(&self) -> Option<String> {
        let bytes = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
        let limit = self.group_bytes?;
        (self.cap_bytes > bytes(limit)).then(|| {
            format!(
                "Agent: spec.memory: {} are more than the control group's limit of {}: under load the kernel kills \
                 the agent before it comes to its cap; write at most {}, or raise the limit",
                size(self.cap_bytes),
                size(bytes(limit)),
                size(bytes(limit / 4 * GROUP_QUARTERS) / MIB * MIB),
            )
        })
    }

    /// Whether there is room for what log disks read back.
    pub(crate) fn has_recall(&self) -> bool {
        self.parts.iter().any(|it| it.name == RECALL)
    }

    /// Where there is a cap, what known files may have beside the part of open ones and what tenants share, in bytes.
    pub(crate) fn known_beside_bytes(&self) -> Option<usize> {
        self.spare_bytes.map(|it| it - it / ENDED_PART)
    }

    /// What contexts whose files are gone may have, in bytes.
    pub(crate) fn ended_bytes(&self) -> usize {
        let part = self.parts.iter().find(|it| it.name == ENDED).map_or(0, |it| it.bytes);
        self.spare_bytes.map_or(ENDED_UNLIMITED_BYTES, |it| part + it / ENDED_PART)
    }

    /// What tenants share beside their reserves, in bytes.
    pub(crate) fn pool_bytes(&self) -> usize {
        self.data_bytes() - self.listed_bytes - self.other_reserves() * self.other_bytes
    }

    /// How many tenants without a LogTenant have a reserve: one, and as many as half of the rest holds.
    pub(crate) fn other_reserves(&self) -> usize {
        let rest = self.data_bytes() - self.listed_bytes - self.other_bytes;
        1 + rest / 2 / self.other_bytes
    }

    /// All data in flight, in bytes.
    fn data_bytes(&self) -> usize {
        self.cap_bytes - self.parts.iter().map(|it| it.bytes).sum::<usize>()
    }

    /// The parts beside data, in a row.
    fn sum(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            let plus = if text.is_empty() { "" } else { " + " };
            write!(text, "{plus}{} {}", part.name, size(part.bytes)).expect("memory");
        }
        text
    }
}

impl fmt::Display for MemoryPlan {
    /// A table, each line with its arithmetic.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "memory: {} at most: {}", size(self.cap_bytes), self.why)?;
        for Part { name, bytes, how } in &self.parts {
            writeln!(f, "  {:>12}  {name}: {how}", size(*bytes))?;
        }
        let (data, listed) = (size(self.data_bytes()), size(self.listed_bytes));
        let (others, each) = (self.other_reserves(), size(self.other_bytes));
        let pool = size(self.pool_bytes());
        write!(
            f,
            "  {data:>12}  data in flight: {listed} reserved for LogTenants + {others} tenants without one x \
             {each} + {pool} that all share"
        )?;
        if let Some(spare) = self.spare_bytes.filter(|it| *it > 0) {
            write!(
                f,
                "\n  {:>12}  beyond it for files that are known, and an eighth for those that are gone: the rest of {GROUP_QUARTERS} \
                 quarters of the control group's limit",
                size(spare)
            )?;
        }
        Ok(())
    }
}

/// All but data in flight.
fn parts(settings: &Settings) -> Vec<Part> {
    let (agent, sinks) = (&settings.agent, &settings.sinks);
    let batch = sinks.iter().map(|it| it.batch.bytes_max).max().unwrap_or(0);
    let records = sinks.iter().map(|it| it.batch.records_max).max().unwrap_or(0);
    let (readers, chunk) = (agent.readers, agent.chunk_bytes);
    let shippers = agent.shippers * sinks.len();
    let threads = readers + shippers + sinks.len() + OTHER_THREADS;
    let codecs: usize = sinks.iter().map(codec_bytes).sum();
    let is = |target: fn(&SinkTarget) -> bool| sinks.iter().filter(|it| target(&it.target)).count();
    let queues = is(|it| matches!(it, SinkTarget::Queue(_)));
    let kafkas = is(|it| matches!(it, SinkTarget::Kafka(_)));
    let part = |name, bytes, how| Part { name, bytes, how };
    let mut parts = vec![
        part("program", PROGRAM_BYTES, "its pages, and what the allocator keeps".to_owned()),
        part(
            "threads",
            threads * THREAD_BYTES,
            format!("{threads} threads x {}", size(THREAD_BYTES)),
        ),
        part(
            "readers",
            readers * (2 * chunk + 2 * batch * sinks.len() + codecs),
            format!(
                "{readers} readers x (2 chunks x {} + {} sinks x 2 batches x {} + compressors of {})",
                size(chunk),
                sinks.len(),
                size(batch),
                size(codecs)
            ),
        ),
        part(
            "encoding",
            readers * records * RECORD_BYTES,
            format!(
                "{readers} readers x {records} records of a batch x {RECORD_BYTES}B beside their bytes"
            ),
        ),
        part(
            "blocks",
            BLOCKS * 2 * batch,
            format!("{BLOCKS} blocks on their way back x 2 batches x {}", size(batch)),
        ),
        part(
            "files",
            agent.open_files_max * OPEN_FILE_BYTES,
            format!("{} open files x {}", agent.open_files_max, size(OPEN_FILE_BYTES)),
        ),
        part(ENDED, ENDED_BYTES, "contexts whose files are gone, 384B and more each".to_owned()),
    ];
    if queues > 0 {
        let how = format!("{queues} embedded queues x {}", size(QUEUE_BYTES));
        parts.push(part("queues", queues * QUEUE_BYTES, how));
    }
    if kafkas > 0 {
        let codecs: usize = sinks.iter().map(batch_codec_bytes).sum();
        let how = format!(
            "{} that the allocator keeps + {kafkas} clients of Kafka x {} + their compressors of {}",
            size(KAFKA_KEPT_BYTES),
            size(KAFKA_BYTES),
            size(codecs)
        );
        parts.push(part("kafka", KAFKA_KEPT_BYTES + kafkas * KAFKA_BYTES + codecs, how));
    }
    if agent.spool.is_some() {
        let how = format!("{} sinks x {}", sinks.len(), size(SPOOL_BYTES));
        parts.push(part("spools", sinks.len() * SPOOL_BYTES, how));
    }
    parts
}

/// Contexts whose files are gone have their part of the `rest` that a cap leaves beyond parts and reserves.
fn remember_more(parts: &mut [Part], rest: usize) {
    for part in parts.iter_mut().filter(|it| it.name == ENDED) {
        part.bytes += rest / ENDED_PART;
    }
}

/// What log disks read back, if there is anything to read it from.
fn recall(settings: &Settings) -> Option<Part> {
    let sinks = &settings.sinks;
    let has_topics = sinks.iter().any(|it| matches!(it.target, SinkTarget::Kafka(_)));
    let has_queues = sinks.iter().any(|it| matches!(it.target, SinkTarget::Queue(_)))
        || settings.agent.spool.is_some();
    let own = RECALL_BYTES + if has_topics { RECALL_TOPIC_BYTES } else { 0 };
    let batch = sinks.iter().map(|it| it.batch.bytes_max).max().unwrap_or(0);
    let how = format!("{} + 2 batches x {}, for log disks", size(own), size(batch));
    let part = Part { name: RECALL, bytes: own + 2 * batch, how };
    (has_topics || has_queues).then_some(part)
}

/// A reader's compressor for a sink, with its table of the last blocks, in bytes.
fn codec_bytes(sink: &SinkSettings) -> usize {
    let codec = match &sink.target {
        SinkTarget::Kafka(kafka) => kafka.payload_compression,
        _ => sink.compression,
    };
    match codec {
        CompressionSettings::Zstd { level } => zstd_bytes(level),
        CompressionSettings::Lz4 { .. } => 64 * KIB,
        CompressionSettings::Gzip { .. }
        | CompressionSettings::Snappy
        | CompressionSettings::None => 0,
    }
}

/// What the compressors of a client of Kafka take beyond [`KAFKA_BYTES`]: it makes one for each broker that it sends to, of which
/// those that are named are counted.
fn batch_codec_bytes(sink: &SinkSettings) -> usize {
    let (SinkTarget::Kafka(kafka), CompressionSettings::Zstd { level }) =
        (&sink.target, sink.compression)
    else {
        return 0;
    };
    // Measured for record batches of 1 MB: 4 MiB with level 9, 34 with level 12.
    let each = match level {
        ..=4 => 0,
        5..=9 => 6 * MIB,
        _ => 40 * MIB,
    };
    each * kafka.brokers.len()
}

/// A context of zstd for blocks of up to 16 MiB, in bytes; a test measures them.
fn zstd_bytes(level: i32) -> usize {
    match level {
        ..=1 => MIB,
        2..=4 => 6 * MIB,
        5..=12 => 40 * MIB,
        _ => 128 * MIB,
    }
}

/// `bytes` for people: whole KiB, or MiB and a tenth.
fn size(bytes: usize) -> String {
    let is_exact = bytes.is_multiple_of(KIB) && (bytes < MIB || bytes.is_multiple_of(MIB));
    if is_exact {
        return ByteSize(bytes as u64).to_string();
    }
    let tenths = (bytes as u64 * 10).div_ceil(MIB as u64);
    format!("{}.{}MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use flow::Compress as _;

    use super::*;

    fn settings(agent: &str, more: &str) -> Settings {
        let head = "apiVersion: logferry.dev/v1alpha1";
        let text = format!(
            "{head}\nkind: Agent\nmetadata: {{name: a}}\nspec: {{{agent}}}\n---\n\
             {head}\nkind: LogSink\nmetadata: {{name: default}}\nspec: {{queue: {{path: /q}}}}\n---\n\
             {head}\nkind: LogConfig\nmetadata: {{name: c}}\nspec: {{source: {{containers: {{}}}}}}\n{more}"
        );
        let file = crd::ConfigFile { path: "m.yaml".into(), bytes: Ok(text.into_bytes()) };
        crd::resolve(vec![file]).unwrap_or_else(|it| panic!("{it}"))
    }

    #[test]
    fn the_parts_are_the_whole() {
        let cases = [
            ("memory: 64MiB", None, 64 * MIB),
            ("memory: 64MiB", Some(1 << 40), 64 * MIB),
            ("", Some(64 << 20), 48 * MIB),
        ];
        for (agent, group, cap) in cases {
            let plan = MemoryPlan::within(&settings(agent, ""), group).unwrap();
            let others: usize = plan.parts.iter().map(|it| it.bytes).sum();
            let reserves = plan.listed_bytes + plan.other_reserves() * plan.other_bytes;
            assert_eq!(others + reserves + plan.pool_bytes(), cap, "{plan}");
        }
        // Where nothing limits it, and where there is plenty, data gets its usual share.
        for group in [None, Some(1 << 40)] {
            let plan = MemoryPlan::within(&settings("", ""), group).unwrap();
            assert_eq!(plan.data_bytes(), defaults::DATA_BYTES.as_usize(), "{plan}");
        }
    }

    #[test]
    fn sixty_four_mib_are_enough_for_kafka_and_two_tenants() {
        let head = "---\napiVersion: logferry.dev/v1alpha1";
        let sink = format!("{head}\nkind: LogSink\nmetadata: {{name: default}}\nspec:");
        let tenants: String = ["a", "b"]
            .map(|it| format!("{head}\nkind: LogTenant\nmetadata: {{name: {it}}}\nspec: {{}}\n"))
            .concat();
        let text = format!(
            "apiVersion: logferry.dev/v1alpha1\nkind: Agent\nmetadata: {{name: a}}\nspec: {{memory: 64MiB}}\n\
             {sink} {{kafka: {{brokers: ['a:1', 'b:1', 'c:1'], topic: t}}}}\n{head}\n\
             kind: LogConfig\nmetadata: {{name: c}}\nspec: {{source: {{containers: {{}}}}}}\n{tenants}"
        );
        let file = crd::ConfigFile { path: "m.yaml".into(), bytes: Ok(text.into_bytes()) };
        let settings = crd::resolve(vec![file]).unwrap_or_else(|it| panic!("{it}"));
        MemoryPlan::within(&settings, None).unwrap_or_else(|it| panic!("{it}"));
    }

    #[test]
    fn parts_that_do_not_fit_are_refused_with_their_sum() {
        let error = MemoryPlan::within(&settings("memory: 24MiB", ""), None).unwrap_err();
        let text = error.to_string();
        for said in ["spec.memory: 24MiB", "program 16MiB + threads", "write at least "] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let least = text.split("write at least ").nth(1).unwrap().split(' ').next().unwrap();
        let enough = settings(&format!("memory: {least}"), "");
        MemoryPlan::within(&enough, None).expect("as it was told");
        // The same of a group that is too small.
        assert!(MemoryPlan::within(&settings("", ""), Some(24 << 20)).is_err());
    }

    #[test]
    fn what_log_disks_read_back_has_room_only_where_there_is_some() {
        let plan = |agent: &str| MemoryPlan::within(&settings(agent, ""), None).unwrap();
        assert!(plan("").has_recall() && plan("memory: 64MiB").has_recall());
        let small = plan("memory: 38MiB, openFilesMax: 100");
        assert!(!small.has_recall(), "{small}");
    }

    #[test]
    fn a_context_of_zstd_is_no_larger_than_planned() {
        let mut state = 1_u64;
        let mut word = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33).to_string()
        };
        let text: String = (0..200_000).map(|_| word()).collect();
        for level in [1, 2, 4, 5, 9, 12, 13, 16, 19] {
            let mut zstd = sink::compress::Zstd::new(level);
            zstd.compress(text.as_bytes(), &mut Vec::new()).unwrap();
            let bytes = zstd.context_bytes();
            assert!(bytes <= zstd_bytes(level), "level {level}: {bytes} bytes");
        }
    }

    #[test]
    fn what_a_client_of_kafka_compresses_with_is_in_the_plan() {
        let head =
            "---\napiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata: {name: k}\nspec:";
        let of = |fields: &str, codec: &str| {
            let kafka = format!("{{brokers: ['a:1', 'b:1'], topic: t{fields}}}");
            let more = format!("{head} {{kafka: {kafka}, compression: {codec}}}\n");
            let parts = parts(&settings("", &more));
            let bytes = |name| parts.iter().find(|it| it.name == name).unwrap().bytes;
            (bytes("readers"), bytes("kafka"))
        };
        let (readers, usual) = of("", "{codec: zstd, level: 1}");
        assert_eq!(usual, 24 * MIB);
        assert_eq!(of("", "{codec: zstd, level: 12}"), (readers, usual + 80 * MIB));
        let packed = of(", payloadCompression: {codec: zstd, level: 19}", "{codec: none}");
        assert_eq!(packed, (readers + 128 * MIB, usual));
    }

    #[test]
    fn files_are_known_beyond_the_parts_as_far_as_the_group_goes_and_no_memory_is_written() {
        let plan = |memory: &str, group| MemoryPlan::within(&settings(memory, ""), group).unwrap();
        assert_eq!(plan("", None).known_beside_bytes(), None, "nothing limits it");
        assert_eq!(plan("memory: 128MiB", None).known_beside_bytes(), Some(0));
        assert_eq!(plan("memory: 128MiB", Some(1 << 30)).known_beside_bytes(), Some(0));
        let wide = plan("", Some(1 << 30));
        let spare = (1 << 30) / 4 * 3 - plan("", None).cap_bytes;
        assert_eq!(wide.known_beside_bytes(), Some(spare - spare / 8));
        assert!(wide.to_string().contains("beyond it for files that are known"), "{wide}");
        assert_eq!(plan("", Some(80 << 20)).known_beside_bytes(), Some(0));
    }

    #[test]
    fn contexts_whose_files_are_gone_have_their_part_of_what_a_cap_leaves() {
        let plan = |memory: &str, group| MemoryPlan::within(&settings(memory, ""), group).unwrap();
        let (small, large) = (plan("memory: 64MiB", None), plan("memory: 1GiB", None));
        let parts = |it: &MemoryPlan| it.parts.iter().map(|it| it.bytes).sum::<usize>();
        let rest = 960 * MIB - (parts(&large) - parts(&small));
        assert_eq!(large.data_bytes() - small.data_bytes(), rest);
        assert_eq!(large.ended_bytes() - small.ended_bytes(), 120 * MIB);
        assert!((2 * MIB..4 * MIB).contains(&small.ended_bytes()), "{small}");
        let wide = plan("", Some(1 << 30));
        let beside = wide.known_beside_bytes().unwrap();
        assert_eq!(beside + wide.ended_bytes() - ENDED_BYTES, wide.spare_bytes.unwrap());
        assert_eq!(plan("", None).ended_bytes(), ENDED_UNLIMITED_BYTES);
    }

    #[test]
    fn a_cap_above_the_limit_of_the_group_is_warned_of() {
        let plan = |memory: &str, group| {
            MemoryPlan::within(&settings(&format!("memory: {memory}"), ""), group).unwrap()
        };
        let warning = plan("128MiB", Some(100 << 20)).warning().unwrap_or_default();
        for said in ["spec.memory: 128MiB", "limit of 100MiB", "write at most 75MiB"] {
            assert!(warning.contains(said), "{said}: {warning}");
        }
        assert_eq!(plan("128MiB", Some(128 << 20)).warning(), None);
        assert_eq!(plan("128MiB", None).warning(), None);
    }

    #[test]
    fn what_is_told_is_the_arithmetic() {
        let more = "---\napiVersion: logferry.dev/v1alpha1\nkind: LogTenant\nmetadata: {name: shop}\n\
                    spec: {memory: {reserved: 4MiB}}\n";
        let plan = MemoryPlan::within(&settings("memory: 64MiB, openFilesMax: 100", more), None);
        let text = plan.unwrap().to_string();
        let lines = [
            "memory: 64MiB at most: spec.memory of the Agent",
            "       16MiB  program: its pages, and what the allocator keeps",
            "      3.5MiB  threads: 14 threads x 256KiB",
            "       200KiB  files: 100 open files x 2KiB",
            "data in flight: 4MiB reserved for LogTenants + ",
        ];
        for line in lines {
            assert!(text.contains(line.trim_start()), "{line}\n{text}");
        }
    }
}
