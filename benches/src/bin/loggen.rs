//! `loggen`: writes synthetic logs of which every line can be proved to have arrived.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use benches::clocks::{SECOND_NS, monotonic_ns};
use benches::layout::Layout;
use benches::load::{ContentClock, Limits, Load, LoadSpec};
use benches::rotation::Rotation;
use benches::shape::Shape;
use benches::size::Size;
use benches::truth::write_truth;
use benches::wrap::Format;
use clap::{ArgGroup, Parser, ValueEnum};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Bytes of a line of the shape `fixed` where --line-bytes says nothing.
const FIXED_BYTES: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShapeName {
    /// Access lines of nginx, 256 bytes in the mean
    Nginx,
    /// JSON objects of an application
    Json,
    /// Java stack traces, six lines each, every line a record
    Java,
    /// Exactly --line-bytes bytes a message
    Fixed,
}

/// Writes synthetic logs of which every line can be proved to have arrived.
///
/// Each message carries ` seq=<stream>:<number> crc=<sum>`: stream and number (from 0) as decimal
/// digits of fixed width, and the CRC-32 (of zlib) of all bytes of the message without these eight
/// digits. One file is one stream, or two where lines go to stderr too. The same flags and seed
/// give the same bytes, unless --clock wall. Files must not be there already. `logcheck` compares
/// what was delivered with the --truth file.
#[derive(Debug, Parser)]
#[command(name = "loggen", version, group(ArgGroup::new("limit").multiple(true).required(true)))]
struct Args {
    /// What messages look like
    #[arg(long, value_enum, default_value_t = ShapeName::Nginx)]
    shape: ShapeName,
    /// How messages stand in files
    #[arg(long, value_enum, default_value_t = Format::Plain)]
    format: Format,
    /// Bytes of a message of the shape fixed, without line feed [default: 512]
    #[arg(long, value_name = "BYTES")]
    line_bytes: Option<usize>,
    /// Stop at this many bytes in all files together, such as 2GiB or 10MB
    #[arg(long, group = "limit", value_name = "SIZE")]
    total: Option<Size>,
    /// Stop at this many lines in all files together
    #[arg(long, group = "limit", value_name = "N")]
    lines: Option<u64>,
    /// Stop after this many seconds
    #[arg(long, group = "limit", value_name = "S")]
    seconds: Option<f64>,
    /// Stop at SIGTERM or SIGINT: finish the line, reopen what is being rotated, write the truth
    #[arg(long, group = "limit")]
    control: bool,
    /// Bytes a second into all files together, in steps of 10 ms; 0 for flat out
    #[arg(long, value_name = "SIZE", default_value = "0")]
    rate: Size,
    /// Number of files
    #[arg(long, value_name = "N", default_value_t = 1)]
    files: u32,
    /// Lay files out as the kubelet does: NAMESPACE_POD_UID/CONTAINER/0.log
    #[arg(long)]
    pods: bool,
    /// Folder of the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Rotate a file when it reaches this size, the kubelet's way
    #[arg(long, value_name = "SIZE")]
    rotate: Option<Size>,
    /// Files to keep of each, with the live one
    #[arg(long, value_name = "N", default_value_t = 5, requires = "rotate")]
    keep: usize,
    /// Write on into a rotated file for this long before the new one is made
    #[arg(long, value_name = "MS", default_value_t = 0, requires = "rotate")]
    late_ms: u64,
    /// Share of lines that go to stderr, 0 to 1 (cri and docker only)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    stderr: f64,
    /// Time that lines carry: steps out of the seed, or the machine's
    #[arg(long, value_enum, default_value_t = ContentClock::Virtual)]
    clock: ContentClock,
    /// Number of the first stream, so that several loads can share a truth
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_stream: u32,
    /// Names all that is random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write what each stream wrote to this file, as JSON lines, at the end
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

impl Args {
    fn spec(&self) -> anyhow::Result<LoadSpec> {
        let shape = match (self.shape, self.line_bytes) {
            (ShapeName::Fixed, bytes) => Shape::Fixed(bytes.unwrap_or(FIXED_BYTES)),
            (_, Some(_)) => bail!("--line-bytes: only lines of --shape fixed have a set length"),
            (ShapeName::Nginx, None) => Shape::Nginx,
            (ShapeName::Json, None) => Shape::Json,
            (ShapeName::Java, None) => Shape::Java,
        };
        let time_ns = match self.seconds {
            Some(seconds) => Some(
                u64::try_from(std::time::Duration::try_from_secs_f64(seconds)?.as_nanos())
                    .context("--seconds: too long")?,
            ),
            None => None,
        };
        Ok(LoadSpec {
            shape,
            format: self.format,
            layout: if self.pods { Layout::Pods } else { Layout::Flat },
            out: self.out.clone(),
            files: self.files,
            first_stream: self.first_stream,
            stderr_share: self.stderr,
            rotation: self.rotate.map(|size| Rotation {
                bytes: size.0,
                files_max: self.keep,
                late_ns: self.late_ms.saturating_mul(1_000_000),
            }),
            clock: self.clock,
            seed: self.seed,
            limits: Limits { bytes: self.total.map(|size| size.0), lines: self.lines, time_ns },
            rate: self.rate.0,
        })
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let stop = Arc::new(AtomicBool::new(false));
    if args.control {
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
    }
    let mut load = Load::create(&args.spec()?)?;
    let start_ns = monotonic_ns();
    let written = load.run(&stop)?;
    let elapsed_ns = monotonic_ns() - start_ns;
    if let Some(path) = &args.truth {
        write_truth(path, &load.truth())?;
    }
    let seconds = elapsed_ns as f64 / SECOND_NS as f64;
    eprintln!(
        "{} lines, {} bytes in {seconds:.3} s: {:.1} MB/s",
        written.lines,
        written.bytes,
        written.bytes as f64 / 1e6 / seconds
    );
    Ok(ExitCode::SUCCESS)
}
