//! Home: where Apache Kafka's jars lie, and how a program of theirs is run.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Names the version, for `scripts/kafka.sh` and for us.
const POM: &str = include_str!("../../../scripts/kafka/pom.xml");
/// Most memory for a broker's objects. 256 MiB is what a combined broker and controller needs to be at ease with
/// a few hundred partitions; the process has about 300 MiB then.
const BROKER_HEAP: &str = "-Xmx256m";
/// Most memory for a tool's objects.
const TOOL_HEAP: &str = "-Xmx128m";

/// The jars, and the archive of their classes.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    classpath: OsString,
    archive: PathBuf,
}

impl Home {
    /// Finds what `scripts/kafka.sh` has fetched.
    ///
    /// # Errors
    ///
    /// If it was not run yet.
    pub(crate) fn find() -> Result<Home> {
        let version = POM
            .split_once("<kafka.version>")
            .and_then(|(_, rest)| rest.split_once("</kafka.version>"))
            .map(|(version, _)| version)
            .context("scripts/kafka/pom.xml: no <kafka.version>")?;
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let home = top.join(".cache/kafka").join(version);
        let archive = home.join("classes.jsa");
        if !fs::exists(&archive)? {
            bail!(
                "{}: not there; run scripts/kafka.sh, which fetches Apache Kafka",
                archive.display()
            );
        }
        let mut jars = Vec::new();
        for entry in fs::read_dir(home.join("lib"))? {
            jars.push(entry?.path());
        }
        // The order in which the archive was made; in another one Java would not take it.
        jars.sort();
        Ok(Home { classpath: std::env::join_paths(jars)?, archive })
    }

    /// The command of a broker with these properties.
    pub(crate) fn broker(&self, properties: &Path) -> Command {
        let mut command = self.java(BROKER_HEAP);
        command.arg("kafka.Kafka").arg(properties);
        command
    }

    /// Runs the tool of this class, and returns what it printed.
    ///
    /// # Errors
    ///
    /// With all that it said, if it ends otherwise than well, or not within `wait`.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str], wait: Duration) -> Result<Vec<u8>> {
        self.tool_with_input(class, arguments, Stdio::null(), wait)
    }

    /// The same for a tool that reads its standard input.
    ///
    /// # Errors
    ///
    /// As [`Home::tool`].
    pub(crate) fn tool_with_input(
        &self,
        class: &str,
        arguments: &[&str],
        input: Stdio,
        wait: Duration,
    ) -> Result<Vec<u8>> {
        let mut limited = Command::new("timeout");
        limited.args(["--kill-after=5", &wait.as_secs().max(1).to_string()]);
        let java = self.java(TOOL_HEAP);
        limited.arg(java.get_program()).args(java.get_args());
        // What a tool logs says nothing that it does not print.
        limited.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error").arg(class).args(arguments);
        let output = limited.stdin(input).output().context("timeout java")?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("{class} {arguments:?}: {}: {}", output.status, String::from_utf8_lossy(&said));
        }
        Ok(output.stdout)
    }

    fn java(&self, heap: &str) -> Command {
        let mut command = Command::new("java");
        let mut archive = OsString::from("-XX:SharedArchiveFile=");
        archive.push(&self.archive);
        // Short lives: compile quickly rather than well, and collect without threads of its own.
        command.args([heap, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]).arg(archive);
        command.args(["-Dorg.slf4j.simpleLogger.showDateTime=true", "-XX:-UsePerfData"]);
        // An archive that Java does not take costs time only; a word of it would stand among what a tool prints.
        command.args(["-Xlog:disable", "-Xlog:all=error:stderr"]);
        command.arg("-cp").arg(&self.classpath);
        command
    }
}
