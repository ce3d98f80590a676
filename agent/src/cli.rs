//! Command line: exactly what was typed.

use std::ffi::OsString;
use std::path::PathBuf;

use aliyun::Reach;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use flow::{Clock, ContextId, SystemClock};

/// Collects logs of containers and files, and delivers each byte exactly once into a queue.
#[derive(Debug, Parser)]
#[command(name = "logferry", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 done, and the answer is bad; 2 wrong configuration or usage; \
3 state, queue or address cannot be used; 4 stopped before everything read was delivered."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Collect and ship until told to stop (SIGTERM or SIGINT)
    Run(RunOptions),
    /// Say everything that is wrong with a configuration, and what it comes to
    Check(CheckOptions),
    /// Print records of an embedded queue or a topic
    Tail(TailOptions),
    /// Print the records around one record
    Context(ContextOptions),
    /// Prove from a queue or a topic alone that nothing was lost or doubled
    Audit(AuditOptions),
    /// Say why a file or a pod is collected or not, and how far behind it is
    Explain(ExplainOptions),
    /// Say what the spools hold, of which tenant, and since when
    Spool(SpoolOptions),
    /// Print the CustomResourceDefinitions, for kubectl apply -f -
    Crds,
    /// Print AliyunLogConfig and ClusterAliyunPipelineConfig objects as LogConfigs, and what of them is not done
    Convert(ConvertOptions),
    /// Print the version
    Version(VersionOptions),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigPaths {
    /// Configuration: a YAML file, or a directory of them; may be given more than once
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR", required = true)]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) config: ConfigPaths,
    /// Also take resources from the cluster that this runs in, as the pod's service account
    #[arg(long)]
    pub(crate) kubernetes: bool,
    /// Also take resources from the cluster of a kubeconfig's current context
    #[arg(long, value_name = "FILE", conflicts_with = "kubernetes")]
    pub(crate) kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) aliyun: AliyunOptions,
    /// Tell the cluster what becomes of its LogConfigs here, in the LogNode called as the node
    #[arg(long)]
    pub(crate) node_status: bool,
    /// At the end read what there is to its end, within shutdownGrace: for files that go with who wrote them
    #[arg(long)]
    pub(crate) drain: bool,
    /// Print a line of progress to standard error every second
    #[arg(long)]
    pub(crate) progress: bool,
}

/// Objects of Alibaba's agent in the cluster.
#[derive(Debug, Args)]
pub(crate) struct AliyunOptions {
    /// Also take AliyunLogConfigs and ClusterAliyunPipelineConfigs of the cluster, and let an AliyunLogConfig collect of
    /// its own namespace alone, or of the whole cluster as with Alibaba's agent
    #[arg(long = "aliyun", value_name = "REACH", value_parser = reach())]
    pub(crate) reach: Option<Reach>,
}

fn reach() -> impl TypedValueParser<Value = Reach> {
    PossibleValuesParser::new(Reach::NAMES).try_map(|it| it.parse::<Reach>())
}

#[derive(Debug, Args)]
pub(crate) struct ConvertOptions {
    /// Objects as Kubernetes has them: a YAML file, or a directory of them; may be given more than once
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Let an AliyunLogConfig collect from all namespaces, as Alibaba's agent does: as a ClusterLogConfig
    #[arg(long)]
    pub(crate) cluster: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    pub(crate) config: ConfigPaths,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Where records are: in an embedded queue, or in a topic.
#[derive(Debug, Args)]
#[group(id = "where", required = true, multiple = true)]
pub(crate) struct Place {
    /// Directory of an embedded queue
    #[arg(long, value_name = "DIR")]
    pub(crate) queue: Option<PathBuf>,
    /// Configuration whose queue is meant
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR", conflicts_with = "queue")]
    pub(crate) paths: Vec<PathBuf>,
    /// Which LogSink, if the configuration has more than one with a queue
    #[arg(long, value_name = "NAME", requires = "paths")]
    pub(crate) sink: Option<String>,
    /// Brokers of Apache Kafka, as HOST:PORT,…: a topic in place of a queue
    #[arg(long, value_name = "BROKERS", requires = "topic", conflicts_with_all = ["queue", "paths"])]
    pub(crate) kafka: Option<String>,
    /// The topic
    #[arg(long, value_name = "NAME", requires = "kafka")]
    pub(crate) topic: Option<String>,
    /// A property of librdkafka, such as security.protocol=ssl; may be given more than once
    #[arg(short = 'X', value_name = "KEY=VALUE", requires = "kafka", value_parser = property)]
    pub(crate) properties: Vec<(String, String)>,
}

/// Which records.
#[derive(Debug, Args)]
pub(crate) struct RecordFilter {
    /// Only this tenant's
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// Only of this namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Only of this pod
    #[arg(long, value_name = "NAME")]
    pub(crate) pod: Option<String>,
    /// Only of this container
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Option<String>,
    /// Only of the file with this path
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Only of the context with this id
    #[arg(long, value_name = "ID")]
    pub(crate) context: Option<ContextId>,
    /// Only what was read at this time or later: 2026-01-02T03:04:05Z, or 15m for so long ago
    #[arg(long, value_name = "TIME", value_parser = unix_ns)]
    pub(crate) since: Option<i64>,
    /// Only records that contain this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) grep: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TailOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) filter: RecordFilter,
    /// Print the last N records
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, conflicts_with = "all")]
    pub(crate) lines: usize,
    /// Print everything there is
    #[arg(long)]
    pub(crate) all: bool,
    /// Go on with what arrives, until interrupted
    #[arg(short = 'F', long)]
    pub(crate) follow: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct ContextOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Context of the record, as `tail --output json` and `audit` print it
    #[arg(long, value_name = "ID")]
    pub(crate) context: ContextId,
    /// Cursor of the record
    #[arg(long, value_name = "N")]
    pub(crate) cursor: u64,
    /// Epoch of the record; the last one if not given
    #[arg(long, value_name = "N")]
    pub(crate) epoch: Option<u32>,
    /// It was read at this time or later: 2026-01-02T03:04:05Z, or 15m for so long ago. In a topic, this
    /// is where to begin
    #[arg(long, value_name = "TIME", requires = "kafka", value_parser = unix_ns)]
    pub(crate) time: Option<i64>,
    /// Most messages of a topic to read
    #[arg(long, value_name = "N", requires = "kafka", default_value_t = 100_000)]
    pub(crate) messages_max: u64,
    /// How many records before and after
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) lines: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct AuditOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only this tenant
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// Trust the headers: do not open the blocks to count their records
    #[arg(long)]
    pub(crate) headers_only: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    #[command(flatten)]
    pub(crate) config: ConfigPaths,
    /// A path, with odd bytes as they are or as `\xNN`; or a pod as NAME or NAMESPACE/NAME
    #[arg(value_name = "PATH|POD")]
    pub(crate) what: OsString,
    #[command(flatten)]
    pub(crate) aliyun: AliyunOptions,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct SpoolOptions {
    #[command(flatten)]
    pub(crate) config: ConfigPaths,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct VersionOptions {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// For scripts
    Json,
}

/// Takes `KEY=VALUE` apart.
fn property(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("want KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Takes a time, or how long ago it was, for nanoseconds since 1970.
fn unix_ns(text: &str) -> Result<i64, String> {
    let time = match text.parse::<jiff::SignedDuration>() {
        Ok(ago) => jiff::Timestamp::from_nanosecond(i128::from(SystemClock.unix_ns()))
            .and_then(|now| now.checked_sub(ago.abs())),
        Err(_) => text.parse(),
    };
    let time: jiff::Timestamp =
        time.map_err(|_| "want a time such as 2026-01-02T03:04:05Z, or 15m for so long ago")?;
    i64::try_from(time.as_nanosecond()).map_err(|_| "a time beyond 1677 to 2262".to_owned())
}
