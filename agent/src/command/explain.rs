//! `logferry explain`: why a file or a pod is collected or not, and how far behind it is.
//!
//! The configuration says what should be; the running agent, asked over its web port, says what is.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crd::{LogConfigSettings, Problems, Settings, SourceSettings};
use kube_watch::{Namespaces, Pod, State};
use pipeline::discovery::{Denial, PodPath};
use pipeline::fs::{FileKind, Fs, HostFs, Printable, Refusal};
use serde_json::Value;

mod running;

use super::load;
use crate::cli::{AliyunOptions, ExplainOptions, Output};
use crate::exit::{Exit, Failure, Outcome};
use crate::plan::{self, Awaited, ByLabels};
use crate::{cluster, configuration};

/// What a LogConfig says to the question.
struct Verdict {
    config: String,
    is_selected: bool,
    /// It is not known yet whether it is selected.
    is_waiting: bool,
    why: String,
}

/// What the API server said last.
#[derive(Default)]
struct Known {
    pods: Vec<Pod>,
    namespaces: Arc<Namespaces>,
    by_labels: Option<Arc<ByLabels>>,
}

/// What is asked about.
enum Subject<'a> {
    Path(PathBuf),
    Pod { namespace: Option<&'a str>, pod: &'a str },
}

pub(crate) fn run(options: &ExplainOptions) -> Outcome {
    let (settings, mut known) = load_with_cluster(&options.config.paths, &options.aliyun)?;
    known.by_labels = ByLabels::of(&settings, &known.namespaces);
    let subject = subject(&options.what);
    let mut verdicts: Vec<Verdict> =
        settings.log_configs.iter().map(|it| verdict(it, &settings, &known, &subject)).collect();
    say_who_is_first(&mut verdicts);
    let running = running::ask(&settings);
    let sources: Vec<Value> = match &running {
        Ok(running) => {
            running.sources.iter().filter(|it| concerns(it, &subject)).cloned().collect()
        }
        Err(_) => Vec::new(),
    };
    let short: Vec<Value> = match &running {
        Ok(running) if sources.is_empty() && verdicts.iter().any(|it| it.is_selected) => {
            running.short.iter().filter(|it| may_have(it, &subject)).cloned().collect()
        }
        _ => Vec::new(),
    };
    let mut out = std::io::stdout();
    match options.output {
        Output::Json => {
            let verdicts: Vec<Value> = verdicts.iter().map(Verdict::to_json).collect();
            let agent = running.as_ref().err();
            let answer = serde_json::json!({
                "asked": Printable(Path::new(&options.what)).to_string(), "log_configs": verdicts, "sources": sources, "agent": agent,
                "short_of_memory": short,
            });
            writeln!(out, "{answer}")?;
        }
        Output::Text => {
            for verdict in &verdicts {
                let selected =
                    if verdict.is_selected { "selects it" } else { "does not select it" };
                writeln!(out, "LogConfig {}: {selected}: {}", verdict.config, verdict.why)?;
            }
            if let Err(why) = &running {
                writeln!(out, "agent: {why}")?;
            }
            sources.iter().try_for_each(|source| running::print(&mut out, source))?;
            if !short.is_empty() {
                running::print_short(&mut out, &short)?;
            } else if running.is_ok() && sources.is_empty() {
                writeln!(out, "agent: reads nothing of it now")?;
            }
        }
    }
    let is_collected = !sources.is_empty() || verdicts.iter().any(|it| it.is_selected);
    Ok(if is_collected { Exit::Done } else { Exit::Bad })
}

fn subject(what: &OsStr) -> Subject<'_> {
    let Some(what) = what.to_str().filter(|it| !it.starts_with('/')) else {
        return Subject::Path(unescaped(what.as_bytes()));
    };
    match what.split_once('/') {
        Some((namespace, pod)) => Subject::Pod { namespace: Some(namespace), pod },
        None => Subject::Pod { namespace: None, pod: what },
    }
}

/// The path whose text this is, if it is what a log or a record says; else as it is.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits =
            rest.strip_prefix(b"\\x").and_then(|it| std::str::from_utf8(it.get(..2)?).ok());
        match digits.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => {
                path.push(byte);
                rest = &rest[4..];
            }
            None => {
                path.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

impl Verdict {
    fn to_json(&self) -> Value {
        serde_json::json!({"name": self.config, "selected": self.is_selected, "why": self.why})
    }
}

fn verdict(
    config: &LogConfigSettings,
    settings: &Settings,
    known: &Known,
    subject: &Subject<'_>,
) -> Verdict {
    let mut is_waiting = false;
    let tenants = plan::tenants(config, settings, known.by_labels.as_ref());
    let denial = |namespace: &str| tenants.of_namespace(namespace).err();
    let (is_selected, why) = match (&config.source, subject) {
        (SourceSettings::Files(files), Subject::Path(path)) => {
            if files.exclude.matches(path) {
                (false, "files.exclude matches".to_owned())
            } else if !files.include.matches(path) {
                (
                    false,
                    format!(
                        "none of files.include matches: {}",
                        files.include.patterns().join(", ")
                    ),
                )
            } else {
                file_state(config, path)
            }
        }
        (SourceSettings::Files(_), Subject::Pod { .. }) => {
            (false, "it selects files of the host, not pods".to_owned())
        }
        (SourceSettings::Containers(it), _) if !it.stdout && !it.stderr => {
            let files = it.files.as_ref().map(|it| it.include.patterns().join(", "));
            let files = files.unwrap_or_default();
            (false, format!("it selects files inside of containers, {files}, not what they print"))
        }
        (SourceSettings::Containers(it), Subject::Path(path)) => match container_of(&it.root, path)
        {
            None => (
                false,
                format!("not NAMESPACE_POD_UID/CONTAINER/N.log below {}", it.root.display()),
            ),
            Some((pod, container)) => {
                let mut why = names(it, &pod.namespace, &pod.pod, Some(&container));
                if why.0 {
                    let awaited =
                        plan::awaits(it, &known.pods, &known.namespaces, &pod, Some(&container));
                    is_waiting = awaited == Awaited::Unknown;
                    why = facts(awaited).map_or(why, |why| (false, why.to_owned()));
                }
                match denial(&pod.namespace) {
                    _ if !why.0 => why,
                    Some(denial) => {
                        is_waiting = denial == Denial::Unknown;
                        (false, denial.to_string())
                    }
                    None => file_state(config, path),
                }
            }
        },
        (SourceSettings::Containers(it), Subject::Pod { namespace, pod }) => {
            let why = names(it, namespace.unwrap_or("*"), pod, None);
            match namespace.and_then(denial) {
                Some(denial) if why.0 => (false, denial.to_string()),
                _ => why,
            }
        }
    };
    Verdict { config: config.name.to_string(), is_selected, is_waiting, why }
}

/// Of several that select it, the first has it, also if it is told later that it does.
fn say_who_is_first(verdicts: &mut [Verdict]) {
    let mut first: Option<(String, bool)> = None;
    for verdict in verdicts.iter_mut().filter(|it| it.is_selected || it.is_waiting) {
        match &first {
            None => first = Some((verdict.config.clone(), verdict.is_waiting)),
            Some((name, false)) => {
                verdict
                    .why
                    .push_str(&format!("; but LogConfig {name} comes before by name, and has it"));
            }
            Some((name, true)) => verdict
                .why
                .push_str(&format!("; but LogConfig {name} comes before by name, and may have it")),
        }
    }
}

/// Why a container is not selected, or not yet, by what the API server says of it.
fn facts(awaited: Awaited) -> Option<&'static str> {
    match awaited {
        Awaited::Selected => None,
        Awaited::NotSelected => {
            Some("the pod has other labels, owner or variables, or its namespace other labels")
        }
        Awaited::Unknown => {
            Some("waits for what the API server says of the pod: see logferry_kube_failing_seconds")
        }
    }
}

/// The configuration; and where the agent runs in a cluster, what of it counts there, and what is known there.
fn load_with_cluster(
    paths: &[PathBuf],
    aliyun: &AliyunOptions,
) -> Result<(Settings, Known), Failure> {
    let settings = load(paths)?;
    let path = configuration::state_path(&settings.agent.state_directory);
    let state = State::load(&path)
        .map_err(|error| Failure::unusable(anyhow::anyhow!("{}: {error}", path.display())))?;
    let Some(state) = state else { return Ok((settings, Known::default())) };
    let namespaces = Arc::new(Namespaces::restored(state.namespaces.clone()));
    let known = Known { pods: state.pods.clone(), namespaces, by_labels: None };
    let wrong = |problems: Problems| Failure::usage(anyhow::anyhow!("{problems}"));
    let files = crd::read(paths).map_err(wrong)?;
    Ok((cluster::resolve_state(files, state, aliyun.reach).map_err(wrong)?, known))
}

/// What becomes of a file that is selected: looked at and opened as the agent does.
fn file_state(config: &LogConfigSettings, path: &Path) -> (bool, String) {
    let reach = match plan::reach(config) {
        Ok(reach) => reach,
        Err(error) => return (false, format!("{error:#}")),
    };
    let fs = HostFs::new(reach);
    let opened = fs.stat(path).and_then(|stat| match stat.kind {
        FileKind::Regular => fs.open(path)?.stat(),
        kind => Err(Refusal::Kind(kind).into()),
    });
    match opened {
        Ok(stat) => (true, format!("{} bytes, readable", stat.size)),
        Err(error) => match Refusal::of(&error) {
            Some(refusal) => (false, refusal.to_string()),
            None => (true, format!("but it cannot be read now: {error}")),
        },
    }
}

/// Pod and container of a path below the root of container logs.
fn container_of(root: &Path, path: &Path) -> Option<(PodPath, String)> {
    let mut parts = path.strip_prefix(root).ok()?.iter();
    let pod = PodPath::parse(parts.next()?)?;
    let container = parts.next()?.to_str()?.to_owned();
    Some((pod, container))
}

fn names(
    containers: &crd::ContainersSettings,
    namespace: &str,
    pod: &str,
    container: Option<&str>,
) -> (bool, String) {
    if namespace != "*" && !containers.namespaces.selects(namespace) {
        return (false, format!("namespace {namespace} is not selected"));
    }
    if !containers.pods.selects(pod) {
        return (false, format!("pod {pod} is not selected"));
    }
    if let Some(container) = container.filter(|it| !containers.containers.selects(it)) {
        return (false, format!("container {container} is not selected"));
    }
    (true, format!("below {}", containers.root.display()))
}

/// Whether what is asked about may be among what waits for memory in this folder.
fn may_have(folder: &Value, subject: &Subject<'_>) -> bool {
    let folder = unescaped(folder["path"].as_str().unwrap_or_default().as_bytes());
    match subject {
        Subject::Path(path) => path.starts_with(&folder),
        Subject::Pod { namespace, pod } => {
            // Above all pods, or of this one.
            folder.iter().find_map(PodPath::parse).is_none_or(|it| {
                it.pod == *pod && namespace.is_none_or(|namespace| it.namespace == namespace)
            })
        }
    }
}

fn concerns(source: &Value, subject: &Subject<'_>) -> bool {
    match subject {
        Subject::Path(path) => {
            let path = Printable(path).to_string();
            let generations = source["generations"].as_array();
            generations.into_iter().flatten().any(|it| it["path"] == path)
        }
        Subject::Pod { namespace, pod } => {
            let context = source["context"].as_str().unwrap_or_default();
            let mut parts = context.split('/');
            let (its_namespace, its_pod) = (parts.next(), parts.next());
            its_pod == Some(pod) && namespace.is_none_or(|it| its_namespace == Some(it))
        }
    }
}
