//! logdisk: mounts a log disk, and keeps it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use globset::{Glob, GlobSetBuilder};
use logdisk::acks::CheckpointAcks;
use logdisk::context;
use logdisk::csi;
use logdisk::daemon;
use logdisk::front::Mode;
use logdisk::holder;
use logdisk::lock;
use logdisk::mounting;
use logdisk::options::{FullOption, ModeOption, SyncOption, bytes, permissions};
use logdisk::parked::WhenFull;
use logdisk::store::{self, Retention, Selection};
use logdisk::supervisor::{self, Drained};
use rustix::process::Signal;
use tracing_subscriber::EnvFilter;

/// How long who had a volume may take to end.
const LOCK_LONGEST: Duration = Duration::from_secs(1);

/// A volume that applications write logs to, and that no disk stores.
#[derive(Debug, Parser)]
#[command(name = "logdisk", version, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mount a log disk, and keep it until told to stop (SIGTERM or SIGINT)
    Mount(MountOptions),
    /// Be the CSI driver of this node: log disks as volumes of pods
    Csi(csi::Options),
    /// Hold the connections of mounts while their supervisors are replaced, and do nothing else
    Hold {
        /// Where supervisors find it (--holder)
        #[arg(long, value_name = "PATH")]
        socket: PathBuf,
        /// How long one is held without a supervisor; then writes fail
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        seconds: u64,
    },
    /// Answer for a log disk; started by `mount`
    #[command(hide = true)]
    Serve(VolumeOptions),
    /// Ask the page cache for what applications write; started by `mount`
    #[command(hide = true)]
    Flush {
        /// Where the log disk is mounted
        target: PathBuf,
        /// How often
        #[arg(long, value_name = "MILLISECONDS")]
        period_ms: u64,
    },
}

/// What supervisor and daemon both are given.
#[derive(Debug, Args)]
struct VolumeOptions {
    /// The volume's folder; a tmpfs is mounted there, and the agent collects what is below DIR/logs
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// State directory of the agent that collects the volume (state.path of its Agent); without it nothing is given back
    #[arg(long, value_name = "DIR")]
    agent_state: Option<PathBuf>,
    /// How writes come from applications
    #[arg(long, value_enum, default_value_t = ModeOption::Writeback)]
    mode: ModeOption,
    /// What is kept for readers at the end of each file once it is acknowledged
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1M")]
    keep: u64,
    /// Names of the live files that are logs; others stay as they are. May be given more than once [default: all]
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// What becomes of writes when there is no room
    #[arg(long, value_enum, default_value_t = FullOption::Block)]
    full: FullOption,
    /// How long writes wait for room before they fail
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    full_seconds: u64,
    /// When fsync returns
    #[arg(long, value_enum, default_value_t = SyncOption::Accept)]
    fsync: SyncOption,
    /// How long fsync waits for the queue until it fails (ack)
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    fsync_seconds: u64,
    /// How long reads wait for what comes back from the queue; 0: what was given back reads as NUL
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=3600))]
    recall_seconds: u64,
    /// How many threads answer
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    threads: u8,
}

#[derive(Debug, Args)]
struct MountOptions {
    /// Where applications write: an empty folder
    target: PathBuf,
    #[command(flatten)]
    volume: VolumeOptions,
    /// Budget: most memory that the volume takes
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "256M")]
    size: u64,
    /// What all records of the volume bear, such as team=shop. May be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = context::parse)]
    context: Vec<(String, String)>,
    /// How often what applications wrote is asked of the page cache (writeback)
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    flush_ms: u64,
    /// How long requests may go unanswered until the daemon is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    hang_seconds: u64,
    /// How long the end of the mount is followed by waiting for the agent's acknowledgements
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_seconds: u64,
    /// Permissions of the folder at first
    #[arg(long, value_name = "OCTAL", value_parser = permissions, default_value = "755")]
    top_mode: u32,
    /// Socket of a `logdisk hold`: the mount outlives this process if it is killed, for the next one to go on with
    #[arg(long, value_name = "PATH")]
    holder: Option<PathBuf>,
    /// End with the process that started this one, which has this number
    #[arg(long, hide = true)]
    with_parent: Option<i32>,
}

fn main() -> ExitCode {
    // fuser warns of each call that is not served here, which the applications are told as well.
    let filter = EnvFilter::new("info,fuser=error");
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    log.with_writer(std::io::stderr).init();
    let outcome = match Cli::parse().command {
        Command::Mount(options) => mount(&options),
        Command::Csi(options) => csi::run(options),
        Command::Hold { socket, seconds } => holder::run(&socket, Duration::from_secs(seconds)),
        Command::Serve(options) => serve(options),
        Command::Flush { target, period_ms } => {
            supervisor::flush(&target, Duration::from_millis(period_ms)).map_err(Into::into)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("logdisk: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: VolumeOptions) -> Result<()> {
    let selection = selection(&options.only)?;
    daemon::run(daemon::Options {
        folder: options.store,
        agent_state: options.agent_state,
        mode: match options.mode {
            ModeOption::Writeback => Mode::Writeback,
            ModeOption::Strict => Mode::Strict,
            ModeOption::Fast => Mode::Fast,
        },
        retention: Retention { keep_bytes: options.keep, ..Retention::default() },
        selection,
        when_full: match options.full {
            FullOption::Block => WhenFull::Block(Duration::from_secs(options.full_seconds)),
            FullOption::Enospc => WhenFull::Fail,
            FullOption::DropOldest => WhenFull::DropOldest,
        },
        sync: (options.fsync == SyncOption::Ack)
            .then_some(Duration::from_secs(options.fsync_seconds)),
        recall: (options.recall_seconds > 0).then_some(Duration::from_secs(options.recall_seconds)),
        threads: usize::from(options.threads),
    })
}

fn selection(only: &[String]) -> Result<Selection> {
    if only.is_empty() {
        return Ok(Selection::default());
    }
    let mut set = GlobSetBuilder::new();
    for glob in only {
        set.add(Glob::new(glob).with_context(|| format!("--only {glob}"))?);
    }
    Ok(Selection { only: Some(set.build()?) })
}

fn mount(options: &MountOptions) -> Result<()> {
    if let Some(parent) = options.with_parent {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended before that was said.
        let now = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
        if now != Some(parent) {
            bail!("--with-parent {parent}: it has ended");
        }
    }
    let volume = &options.volume;
    selection(&volume.only)?;
    if volume.fsync == SyncOption::Ack && volume.agent_state.is_none() {
        bail!(
            "--fsync ack: nobody would acknowledge anything; --agent-state says whose checkpoint tells"
        );
    }
    let target = mounting::resolve(&options.target)
        .with_context(|| format!("{}", options.target.display()))?;
    std::fs::create_dir_all(&volume.store)
        .with_context(|| format!("{}", volume.store.display()))?;
    let folder = volume.store.canonicalize()?;
    if folder.starts_with(&target) || target.starts_with(&folder) {
        bail!("{}: the mount and the volume's folder must not lie in each other", target.display());
    }
    make_tmpfs(&folder, options.size)?;
    let lock = lock::take(&folder, lock::SUPERVISOR, LOCK_LONGEST).with_context(|| {
        format!("{}: another logdisk has this volume; each needs its own", folder.display())
    })?;
    context::set(&folder, &options.context)?;
    store::make_top(&folder, options.top_mode)?;
    let flusher = flusher_command(&target, options.flush_ms)?;
    let outcome = supervisor::run(&supervisor::Options {
        target,
        folder: folder.clone(),
        daemon: daemon_command(volume, &folder)?,
        flusher: (volume.mode != ModeOption::Strict).then_some(flusher),
        may_pass: volume.mode == ModeOption::Fast,
        hang: Duration::from_secs(options.hang_seconds),
        holder: options.holder.clone(),
        says_when: options.with_parent.is_some(),
    });
    // What is left is looked after by who started us, or by nobody.
    let agent_state = volume.agent_state.as_deref().filter(|_| options.with_parent.is_none());
    let Some(agent_state) = agent_state else { return outcome };
    let longest = Duration::from_secs(options.drain_seconds);
    match supervisor::drain(&folder, Box::new(CheckpointAcks::new(agent_state)), longest)? {
        Drained::All => {
            drop(lock);
            mounting::detach(&folder)?;
        }
        Drained::Left(bytes) => tracing::warn!(
            bytes, folder = %folder.display(),
            "not acknowledged: the folder stays, and what is in it is collected on; mount it again, \
             or unmount it to give it up"
        ),
    }
    outcome
}

/// Makes sure that a tmpfs is mounted at `folder`: that of a start before, with all that is in it, or a new one.
fn make_tmpfs(folder: &Path, size_bytes: u64) -> Result<()> {
    let mounts = mounting::mounted_at(folder)?;
    match mounts.last() {
        Some(mounted) if mounted.kind == "tmpfs" => Ok(()),
        Some(mounted) => {
            bail!("{}: a {} is mounted there, and no tmpfs", folder.display(), mounted.kind)
        }
        None => {
            let memory_bytes = mounting::machine_bytes();
            if size_bytes > memory_bytes {
                bail!("--size {size_bytes}: more than this machine's memory, {memory_bytes} bytes");
            }
            mounting::mount_tmpfs(folder, size_bytes).with_context(|| {
                format!("{}: cannot mount a tmpfs; are you root?", folder.display())
            })
        }
    }
}

/// How who asks the page cache is called.
fn flusher_command(target: &Path, period_ms: u64) -> Result<Vec<OsString>> {
    let period = period_ms.to_string().into();
    let program = std::env::current_exe()?.into();
    Ok(vec![program, "flush".into(), target.into(), "--period-ms".into(), period])
}

/// How the daemon is called: as we were, but for what concerns us alone.
fn daemon_command(volume: &VolumeOptions, folder: &Path) -> Result<Vec<OsString>> {
    let mut command: Vec<OsString> =
        vec![std::env::current_exe()?.into(), "serve".into(), "--store".into(), folder.into()];
    let mut add = |name: &str, value: OsString| {
        command.push(name.into());
        command.push(value);
    };
    if let Some(state) = &volume.agent_state {
        add("--agent-state", std::path::absolute(state)?.into());
    }
    for glob in &volume.only {
        add("--only", glob.into());
    }
    let mode = volume.mode.to_possible_value().context("every mode has a name")?;
    add("--mode", mode.get_name().into());
    let full = volume.full.to_possible_value().context("every policy has a name")?;
    add("--full", full.get_name().into());
    add("--full-seconds", volume.full_seconds.to_string().into());
    let fsync = volume.fsync.to_possible_value().context("every policy has a name")?;
    add("--fsync", fsync.get_name().into());
    add("--fsync-seconds", volume.fsync_seconds.to_string().into());
    add("--keep", volume.keep.to_string().into());
    add("--recall-seconds", volume.recall_seconds.to_string().into());
    add("--threads", volume.threads.to_string().into());
    Ok(command)
}
