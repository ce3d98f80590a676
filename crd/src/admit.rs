//! Admit: resources that come one by one, and of which one that is broken is left out alone.
//!
//! Files are of one hand, and refused as a whole. What a cluster has is of many hands: whoever writes what
//! cannot be used harms nobody else, and keeps what was in force before.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::load::ConfigFile;
use crate::memo::Memo;
use crate::problem::{Problem, Problems, Severity};
use crate::report::Report;
use crate::resolve::{
    self,
    read::{self, Input},
};
use crate::{Settings, limits};

/// A resource, and older versions of it that may be used instead.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// How problems call it.
    pub path: PathBuf,
    /// What it says, as one YAML document each; the newest first.
    pub versions: Vec<Arc<str>>,
    /// The newest was in force before: where not all fit together, those that are new are to blame.
    pub is_in_force: bool,
}

/// Settings without what is broken.
#[derive(Debug)]
pub struct Admission {
    /// Of all files and of what was admitted.
    pub settings: Settings,
    /// By candidate.
    pub outcomes: Vec<Outcome>,
}

/// What became of a candidate.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Which of its versions is used; `None` if none is.
    pub version: Option<usize>,
    /// Why the newer ones are not.
    pub problems: Vec<Problem>,
}

/// Adds what can be used of `candidates` to what is in `files`. Names in the files are theirs: they stand
/// for themselves, and come first.
///
/// `misfit` says what is against settings that are good by themselves, such as that there is not so much memory.
///
/// # Errors
/// Every problem of the files, if one of them is an error; and if the files with what is admitted have one
/// that no candidate can be blamed for. That not even the files fit is none here.
pub fn admit(
    files: Vec<ConfigFile>,
    candidates: &[Candidate],
    misfit: &dyn Fn(&Settings) -> Option<Problem>,
) -> Result<Admission, Problems> {
    admit_with(&mut Memo::default(), files, candidates, misfit)
}

/// The same as [`admit`]; of LogConfigs only those are read that are not as `memo` knows them from the last time. Each
/// candidate has a path of its own.
///
/// # Errors
/// Those of [`admit`].
pub fn admit_with(
    memo: &mut Memo,
    files: Vec<ConfigFile>,
    candidates: &[Candidate],
    misfit: &dyn Fn(&Settings) -> Option<Problem>,
) -> Result<Admission, Problems> {
    let texts = texts(files)?;
    memo.keep(&candidates.iter().map(|it| &*it.path).collect::<HashSet<&Path>>());
    let mut admitting = Admitting {
        texts,
        memo,
        candidates,
        outcomes: vec![Outcome { version: Some(0), problems: Vec::new() }; candidates.len()],
    };
    admitting.leave_out_beyond_limit();
    for _ in 0..limits::CULPRITS_MAX {
        let outcome = admitting.resolve_and_learn();
        if outcome.errors.is_empty() {
            if let Some(why) = misfit(&outcome.settings)
                && let Some(number) = admitting.culprit(&|it| misfit(&it.settings).is_some())
            {
                admitting.step_back(number, vec![why]);
                continue;
            }
            let settings = Settings { warnings: outcome.warnings, ..outcome.settings };
            return Ok(Admission { settings, outcomes: admitting.outcomes });
        }
        if outcome.errors.keys().all(Option::is_none) {
            admitting.blame_for_files(outcome.errors)?;
        } else {
            let blamed = outcome.errors.into_iter().filter_map(|(it, why)| Some((it?, why)));
            blamed.for_each(|(number, why)| admitting.step_back(number, why));
        }
    }
    let all = admitting.outcomes.into_iter().flat_map(|it| it.problems);
    Err(Problems(all.take(limits::PROBLEMS_MAX).collect()))
}

/// The files' texts, all of which are good by themselves.
fn texts(files: Vec<ConfigFile>) -> Result<Vec<(PathBuf, Vec<u8>)>, Problems> {
    let mut texts = Vec::with_capacity(files.len());
    let mut alone = Vec::with_capacity(files.len());
    for ConfigFile { path, bytes } in files {
        texts.extend(bytes.as_ref().ok().map(|bytes| (path.clone(), bytes.clone())));
        alone.push(ConfigFile { path, bytes });
    }
    resolve::resolve(alone)?;
    Ok(texts)
}

struct Admitting<'a> {
    texts: Vec<(PathBuf, Vec<u8>)>,
    memo: &'a mut Memo,
    candidates: &'a [Candidate],
    outcomes: Vec<Outcome>,
}

/// What comes of files and some candidates.
struct Resolved {
    settings: Settings,
    warnings: Problems,
    /// By candidate; `None` for the files. As long as some are broken by themselves, those alone: what
    /// others have against them is not to be held against the others.
    errors: BTreeMap<Option<usize>, Vec<Problem>>,
}

impl Admitting<'_> {
    /// What comes of the files and these candidates, in the versions that are left.
    fn resolve(&self, is_taken: &dyn Fn(usize) -> bool) -> Resolved {
        self.resolved(self.inputs(is_taken), None)
    }

    /// What comes of the files and all candidates, in the versions that are left; what is good is remembered.
    fn resolve_and_learn(&mut self) -> Resolved {
        let inputs = self.inputs(&|_| true);
        let mut memo = std::mem::take(self.memo);
        let resolved = self.resolved(inputs, Some(&mut memo));
        *self.memo = memo;
        resolved
    }

    /// The files and these candidates, with the numbers of the candidates.
    fn inputs(&self, is_taken: &dyn Fn(usize) -> bool) -> (Vec<Input>, Vec<usize>) {
        let file = |(path, bytes): &(PathBuf, Vec<u8>)| {
            Input::File(ConfigFile { path: path.clone(), bytes: Ok(bytes.clone()) })
        };
        let mut inputs: Vec<Input> = self.texts.iter().map(file).collect();
        let mut numbers = Vec::new();
        for (number, candidate) in self.candidates.iter().enumerate().filter(|it| is_taken(it.0)) {
            let Some(version) = self.outcomes[number].version else { continue };
            let (path, text) = (candidate.path.clone(), Arc::clone(&candidate.versions[version]));
            let known = self.memo.get(&path, &text).map(Box::new);
            inputs.push(Input::Resource { path, text, known });
            numbers.push(number);
        }
        (inputs, numbers)
    }

    fn resolved(
        &self,
        (inputs, numbers): (Vec<Input>, Vec<usize>),
        memo: Option<&mut Memo>,
    ) -> Resolved {
        let mut report = Report::default();
        let resources = read::read_all(inputs.into_iter(), &mut report);
        let settings = resolve::settings(resources, &mut report, memo);
        let mut errors: BTreeMap<Option<usize>, Vec<Problem>> = BTreeMap::new();
        for (index, problem) in report.first_errors() {
            let number =
                index.checked_sub(self.texts.len()).and_then(|it| numbers.get(it).copied());
            errors.entry(number).or_default().push(problem.clone());
        }
        let mut warnings = report.finish();
        warnings.0.retain(|it| it.severity == Severity::Warning);
        Resolved { settings, warnings, errors }
    }

    /// The version in use is not good: an older one may be.
    fn step_back(&mut self, number: usize, why: Vec<Problem>) {
        let outcome = &mut self.outcomes[number];
        let room = limits::DOCUMENT_PROBLEMS_MAX.saturating_sub(outcome.problems.len());
        outcome.problems.extend(why.into_iter().take(room));
        let older = outcome.version.map(|it| it + 1);
        outcome.version = older.filter(|it| *it < self.candidates[number].versions.len());
    }

    /// All together is bad: the candidate with which it comes to be so, where those come first whose newest version
    /// was in force before. `None` if the files are bad alone.
    fn culprit(&self, is_bad: &dyn Fn(&Resolved) -> bool) -> Option<usize> {
        let is_new = |number: usize| {
            !self.candidates[number].is_in_force && self.outcomes[number].version == Some(0)
        };
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        order.sort_by_key(|number| is_new(*number));
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, number)| places[*number] = place);
        let with_first = |count: usize| is_bad(&self.resolve(&|number| places[number] < count));
        if with_first(0) {
            return None;
        }
        let (mut good, mut bad) = (0, order.len());
        while bad > good + 1 {
            let middle = usize::midpoint(good, bad);
            if with_first(middle) { bad = middle } else { good = middle }
        }
        let number = *order.get(bad.checked_sub(1)?)?;
        self.outcomes[number].version.map(|_| number)
    }

    /// The files are good alone and not with all candidates: one of these is to blame.
    fn blame_for_files(
        &mut self,
        mut errors: BTreeMap<Option<usize>, Vec<Problem>>,
    ) -> Result<(), Problems> {
        let why = errors.remove(&None).unwrap_or_default();
        match self.culprit(&|it| it.errors.contains_key(&None)) {
            Some(number) => {
                self.step_back(number, why);
                Ok(())
            }
            None => Err(Problems(why)),
        }
    }

    /// More than there may be are not even looked at.
    fn leave_out_beyond_limit(&mut self) {
        for (candidate, outcome) in
            self.candidates.iter().zip(&mut self.outcomes).skip(limits::CANDIDATES_MAX)
        {
            let why = format!("more than {} resources for one node", limits::CANDIDATES_MAX);
            outcome.version = None;
            outcome.problems.push(Problem {
                severity: Severity::Error,
                place: None,
                resource: candidate.path.display().to_string(),
                path: String::new(),
                what: String::new(),
                why,
                cure: "use wider globs and fewer resources".to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINK: &str = r#"{"apiVersion": "logferry.dev/v1alpha1", "kind": "LogSink", "metadata": {"name": "default"}, "spec": {"stdout": {}}}"#;

    fn agent(spec: &str) -> Vec<ConfigFile> {
        let text = format!(
            "apiVersion: logferry.dev/v1alpha1\nkind: Agent\nmetadata: {{name: agent}}\nspec: {{{spec}}}\n"
        );
        vec![ConfigFile { path: "agent.yaml".into(), bytes: Ok(text.into_bytes()) }]
    }

    fn config(name: &str, spec: &str) -> String {
        format!(
            r#"{{"apiVersion": "logferry.dev/v1alpha1", "kind": "LogConfig", "metadata": {{"name": "{name}", "namespace": "shop"}}, "spec": {{"source": {{"containers": {{}}}}{spec}}}}}"#
        )
    }

    fn tenant(name: &str, reserved: &str) -> String {
        format!(
            r#"{{"apiVersion": "logferry.dev/v1alpha1", "kind": "LogTenant", "metadata": {{"name": "{name}"}}, "spec": {{"namespaces": ["{name}-*"], "memory": {{"reserved": "{reserved}", "max": "{reserved}"}}}}}}"#
        )
    }

    fn candidate(name: &str, versions: &[&str]) -> Candidate {
        let versions = versions.iter().map(|it| Arc::from(*it)).collect();
        Candidate { path: name.into(), versions, is_in_force: false }
    }

    fn names(admission: &Admission) -> Vec<String> {
        admission.settings.log_configs.iter().map(|it| it.name.to_string()).collect()
    }

    #[test]
    fn one_that_is_broken_is_left_out_alone() {
        let good = config("good", "");
        let all = [
            candidate("sink", &[SINK]),
            candidate("typo", &[&config("typo", r#", "sinc": "x""#)]),
            candidate("lost", &[&config("lost", r#", "sink": "nowhere""#)]),
            candidate("words", &["no resource at all"]),
            candidate("yaml", &["{"]),
            candidate("good", &[&good]),
            candidate("second", &[&good]),
        ];
        let admission = admit(agent(""), &all, &|_| None).unwrap();
        assert_eq!(names(&admission), ["shop/good"]);
        for (number, outcome) in admission.outcomes.iter().enumerate() {
            let is_good = [0, 5].contains(&number);
            assert_eq!(outcome.version, is_good.then_some(0), "{outcome:?}");
            assert_eq!(outcome.problems.is_empty(), is_good, "{outcome:?}");
        }
        assert!(
            admission.outcomes[6].problems[0].why.contains("taken"),
            "{:?}",
            admission.outcomes
        );
    }

    #[test]
    fn what_depends_on_a_broken_one_is_left_out_with_it() {
        let broken = SINK.replace("stdout", "stdouts");
        let all = [candidate("sink", &[&broken]), candidate("web", &[&config("web", "")])];
        let admission = admit(agent(""), &all, &|_| None).unwrap();
        assert_eq!((names(&admission).len(), admission.settings.sinks.len()), (0, 0));
        assert_eq!(admission.outcomes[1].problems[0].path, "spec.sink");
    }

    #[test]
    fn the_last_good_version_is_used_while_the_newest_is_broken() {
        let (bad, good) = (config("web", r#", "startAt": "nowhere""#), config("web", ""));
        let all = [candidate("sink", &[SINK]), candidate("web", &[&bad, &good])];
        let admission = admit(agent(""), &all, &|_| None).unwrap();
        assert_eq!(names(&admission), ["shop/web"]);
        assert_eq!(admission.outcomes[1].version, Some(1));
        assert_eq!(admission.outcomes[1].problems[0].path, "spec.startAt");
    }

    #[test]
    fn broken_files_are_refused_as_a_whole() {
        let all = [candidate("sink", &[SINK])];
        let problems = admit(agent("memori: 1"), &all, &|_| None).unwrap_err();
        assert!(problems.to_string().contains("memori"), "{problems}");
    }

    #[test]
    fn a_tenant_that_breaks_the_files_is_found_and_left_out() {
        let tenants = [tenant("a", "16MiB"), tenant("b", "10GiB"), tenant("c", "16MiB")];
        let all: Vec<Candidate> = [SINK]
            .into_iter()
            .chain(tenants.iter().map(String::as_str))
            .map(|it| candidate("any", &[it]))
            .collect();
        let admission = admit(agent("memory: 256MiB"), &all, &|_| None).unwrap();
        let names: Vec<&str> =
            admission.settings.tenants.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(admission.outcomes[2].problems[0].path, "spec.memory");
    }

    #[test]
    fn more_than_there_may_be_are_left_out_and_said() {
        let all: Vec<Candidate> = (0..limits::CANDIDATES_MAX + 2)
            .map(|number| match number {
                0 => candidate("sink", &[SINK]),
                _ => {
                    let pod = format!("web-{number}");
                    let spec = format!(r#"{{"pods": {{"include": ["{pod}"]}}}}"#);
                    candidate("web", &[&config(&pod, "").replace("{}", &spec)])
                }
            })
            .collect();
        let admission = admit(agent(""), &all, &|_| None).unwrap();
        assert_eq!(admission.settings.log_configs.len(), limits::CANDIDATES_MAX - 1);
        assert!(admission.outcomes.last().unwrap().problems[0].why.contains("more than"));
    }

    #[test]
    fn what_does_not_fit_is_held_against_what_is_new() {
        let (small, large) = (tenant("a", "16MiB"), tenant("a", "64MiB"));
        let (b, c) = (tenant("b", "16MiB"), tenant("c", "16MiB"));
        let mut all = [
            candidate("sink", &[SINK]),
            candidate("a", &[&large, &small]),
            candidate("b", &[&b]),
            candidate("c", &[&c]),
        ];
        let sum =
            |it: &Settings| it.tenants.iter().map(|it| it.memory.reserved_bytes).sum::<usize>();
        let misfit = |it: &Settings| {
            (sum(it) > 50 << 20).then(|| Problem {
                severity: Severity::Error,
                place: None,
                resource: String::new(),
                path: "memory".to_owned(),
                what: String::new(),
                why: "too little".to_owned(),
                cure: String::new(),
            })
        };
        // The first was changed: it stays as it was, and the others, later by name, suffer nothing.
        [0, 2, 3].into_iter().for_each(|number| all[number].is_in_force = true);
        let admission = admit(agent(""), &all, &misfit).unwrap();
        let versions: Vec<_> = admission.outcomes.iter().map(|it| it.version).collect();
        assert_eq!(versions, [Some(0), Some(1), Some(0), Some(0)]);
        assert_eq!(admission.outcomes[1].problems[0].why, "too little");
        // One that is new is left out.
        all[1] = candidate("a", &[&large]);
        let admission = admit(agent(""), &all, &misfit).unwrap();
        assert_eq!(admission.outcomes[1].version, None);
        assert_eq!(admission.settings.tenants.len(), 2);
    }
}
