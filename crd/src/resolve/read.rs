//! Reads every document of every file into its kind, and sees that no name is taken twice.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::str;
use std::sync::Arc;

use crate::ConfigFile;
use crate::document::{self, Document, Written};
use crate::memo::Known;
use crate::problem::{Place, Problem, Severity};
use crate::report::{Check, Report};
use crate::spec::{AgentSpec, Kind, LogConfigSpec, LogSinkSpec, LogTenantSpec};
use crate::yaml::{self, Mark, Node};
use crate::{defaults, limits};

/// All resources, by kind.
#[derive(Default)]
pub(crate) struct Resources {
    pub(super) agents: Vec<Written<AgentSpec>>,
    pub(super) log_configs: Vec<Written<LogConfigWords>>,
    pub(super) sinks: Vec<Written<LogSinkSpec>>,
    pub(super) tenants: Vec<Written<LogTenantSpec>>,
    /// Names of documents whose kind is not known: what others name may be one of them.
    pub(super) stray_names: BTreeSet<String>,
}

/// What a LogConfig says.
#[derive(Debug)]
pub(super) enum LogConfigWords {
    New(Box<LogConfigSpec>),
    /// It said the same before.
    Known(Box<Known>),
}

/// Something to read.
#[derive(Debug)]
pub(crate) enum Input {
    File(ConfigFile),
    /// A resource, and what is known of it from before.
    Resource {
        path: PathBuf,
        text: Arc<str>,
        known: Option<Box<Known>>,
    },
}

pub(crate) fn read(files: Vec<ConfigFile>, report: &mut Report) -> Resources {
    read_all(files.into_iter().map(Input::File), report)
}

pub(crate) fn read_all(inputs: impl Iterator<Item = Input>, report: &mut Report) -> Resources {
    let mut resources = Resources::default();
    let mut count = 0;
    for (index, input) in inputs.enumerate() {
        let (path, text, kept): (Arc<Path>, _, _) = match input {
            Input::File(file) => {
                let path: Arc<Path> = file.path.into();
                let text = text(&path, file.bytes);
                (path, text.map(Arc::<str>::from), false)
            }
            Input::Resource { path, known: Some(known), .. } if count < limits::RESOURCES_MAX => {
                count += 1;
                resources.add_known(&path.into(), index, known);
                continue;
            }
            Input::Resource { path, text, .. } => {
                let small = check_size(&path, text.len());
                (path.into(), small.map(|()| text), true)
            }
        };
        let text = match text {
            Ok(text) => text,
            Err(problem) => {
                report.has_unread = true;
                report.add(index, *problem);
                continue;
            }
        };
        let kept = kept.then_some(&text);
        for parsed in yaml::documents(&text) {
            report.has_unread |= parsed.root.is_none();
            for fault in parsed.faults.into_iter().take(limits::DOCUMENT_PROBLEMS_MAX) {
                let mut problem = problem(&path, fault.mark, &fault.why, &fault.cure);
                problem.what = fault.what;
                report.add(index, problem);
            }
            count += 1;
            if count > limits::RESOURCES_MAX {
                let why = format!("more than {} resources", limits::RESOURCES_MAX);
                let mark = parsed.root.map_or(Mark { line: 0, column: 0 }, |root| root.mark);
                report
                    .add(index, problem(&path, mark, &why, "use wider globs and fewer resources"));
                return resources;
            }
            if let Some(root) = parsed.root {
                resources.add(&path, index, (root, kept), report);
            }
        }
    }
    resources.check_unique(report);
    resources
}

pub(crate) fn problem(path: &Path, mark: Mark, why: &str, cure: &str) -> Problem {
    let file = PathBuf::from(path);
    Problem {
        severity: Severity::Error,
        place: Some(Place { file, line: mark.line, column: mark.column }),
        resource: String::new(),
        path: String::new(),
        what: String::new(),
        why: why.to_owned(),
        cure: cure.to_owned(),
    }
}

/// A file's text, if it was read, is small enough and is UTF-8.
pub(crate) fn text(path: &Path, bytes: std::io::Result<Vec<u8>>) -> Result<String, Box<Problem>> {
    let whole = Mark { line: 0, column: 0 };
    let bytes = bytes.map_err(|error| {
        problem(
            path,
            whole,
            &format!("not readable: {error}"),
            "check the path and its permissions",
        )
    })?;
    check_size(path, bytes.len())?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let good = str::from_utf8(&error.as_bytes()[..good]).unwrap_or_default();
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Box::new(problem(path, Mark { line, column }, "not UTF-8", "save the file as UTF-8"))
    })
}

fn check_size(path: &Path, bytes: usize) -> Result<(), Box<Problem>> {
    if bytes as u64 <= limits::FILE_BYTES_MAX {
        return Ok(());
    }
    let why = format!("larger than {} bytes", limits::FILE_BYTES_MAX);
    let whole = Mark { line: 0, column: 0 };
    Err(Box::new(problem(path, whole, &why, "split it into several files")))
}

impl Resources {
    /// Takes for granted that each LogSink is there that another resource names.
    pub(crate) fn assume_sinks(&mut self) {
        let sink = |it: &Written<LogConfigWords>| match &it.spec {
            LogConfigWords::New(spec) => {
                spec.sink.clone().unwrap_or_else(|| defaults::SINK.to_owned())
            }
            LogConfigWords::Known(known) => known.settings.sink.clone(),
        };
        let of_configs = self.log_configs.iter().map(sink);
        let of_tenants = self.tenants.iter().filter_map(|it| it.spec.sinks.clone()).flatten();
        self.stray_names.extend(of_configs.chain(of_tenants));
    }

    fn add_known(&mut self, file: &Arc<Path>, index: usize, known: Box<Known>) {
        let document = Document::known(file, index, &known);
        self.log_configs.push(Written { document, spec: LogConfigWords::Known(known) });
    }

    fn add(
        &mut self,
        file: &Arc<Path>,
        index: usize,
        (root, text): (Node, Option<&Arc<str>>),
        report: &mut Report,
    ) {
        match document::kind(file, index, &root, report) {
            Some(kind @ Kind::Agent) => {
                self.agents.push(document::read(file, index, (root, text), kind, report));
            }
            Some(kind @ (Kind::ClusterLogConfig | Kind::LogConfig)) => {
                let written = document::read(file, index, (root, text), kind, report);
                self.log_configs.push(words_of(written));
            }
            Some(kind @ Kind::LogSink) => {
                self.sinks.push(document::read(file, index, (root, text), kind, report));
            }
            Some(kind @ Kind::LogTenant) => {
                self.tenants.push(document::read(file, index, (root, text), kind, report));
            }
            None => {
                let name = root.get("metadata").and_then(|entry| entry.node.get("name"));
                let name = name.and_then(|entry| entry.node.text());
                self.stray_names.extend(name.map(str::to_owned));
            }
        }
    }

    fn check_unique(&self, report: &mut Report) {
        check_unique(&self.log_configs, report);
        check_unique(&self.sinks, report);
        check_unique(&self.tenants, report);
    }
}

fn words_of(written: Written<LogConfigSpec>) -> Written<LogConfigWords> {
    let Written { document, spec } = written;
    Written { document, spec: LogConfigWords::New(Box::new(spec)) }
}

/// The LogConfig as it is to be resolved anew, if what is known of it does not hold any more.
pub(super) fn unless_known(
    written: Written<LogConfigWords>,
    holds: impl FnOnce(&Known) -> bool,
    report: &mut Report,
) -> Written<LogConfigWords> {
    let Written { document, spec: LogConfigWords::Known(known) } = &written else { return written };
    if holds(known) {
        return written;
    }
    let (file, index) = (&document.file, document.file_index);
    let whole = (document.root().clone(), document.text());
    words_of(document::read(file, index, whole, document.kind, report))
}

/// Complains about each name that an earlier resource of the kind has.
fn check_unique<S>(all: &[Written<S>], report: &mut Report) {
    let mut places: HashMap<(Option<&str>, &str), String> = HashMap::new();
    for Written { document, .. } in all {
        if document.name.is_empty() {
            continue;
        }
        let key = (document.namespace.as_deref(), document.name.as_str());
        match places.get(&key) {
            None => {
                places.insert(key, document.place_text());
            }
            Some(first) => {
                let why = format!("the name is taken at {first}");
                let check = &mut Check { document, report };
                check.error("metadata.name", &why, "choose another, or remove one of them");
            }
        }
    }
}
