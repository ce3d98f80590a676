//! Report: gathers problems while the configuration is read and resolved.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::document::Document;
use crate::globs::{Against, Globs};
use crate::limits::{self, Range};
use crate::problem::{Place, Problem, Problems, Severity};

/// All problems so far, each with the index of its file for the order.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<(usize, Problem)>,
    /// How many of them each document has by itself; those that follow are between documents.
    own: Option<usize>,
    /// Whether a document could not be read at all, so that what others name may be in it.
    pub(crate) has_unread: bool,
}

impl Report {
    pub(crate) fn add(&mut self, file_index: usize, problem: Problem) {
        self.problems.push((file_index, problem));
    }

    /// Whether there is an error so far.
    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(|(_, problem)| problem.severity == Severity::Error)
    }

    /// Indices of the files with problems so far.
    pub(crate) fn files(&self) -> HashSet<usize> {
        self.problems.iter().map(|(file_index, _)| *file_index).collect()
    }

    /// What each document has against it by itself has been said; what follows is between them.
    pub(crate) fn begin_relations(&mut self) {
        self.own = Some(self.problems.len());
    }

    /// The errors that documents have by themselves, or else those between them; each with the index of its
    /// file.
    pub(crate) fn first_errors(&self) -> Vec<&(usize, Problem)> {
        let (own, between) = self.problems.split_at(self.own.unwrap_or(self.problems.len()));
        let is_error = |it: &&(usize, Problem)| it.1.severity == Severity::Error;
        let first = if own.iter().any(|it| is_error(&it)) { own } else { between };
        first.iter().filter(is_error).collect()
    }

    /// What documents have against them by themselves, in the order of lines.
    pub(crate) fn finish_own(mut self) -> Problems {
        self.problems.truncate(self.own.unwrap_or(self.problems.len()));
        self.finish()
    }

    /// The problems, in the order of files and lines.
    pub(crate) fn finish(mut self) -> Problems {
        self.problems.sort_by_key(|(file_index, problem)| {
            let place = problem.place.as_ref();
            (*file_index, place.map_or((0, 0), |place| (place.line, place.column)))
        });
        let more = self.problems.len().saturating_sub(limits::PROBLEMS_MAX);
        self.problems.truncate(limits::PROBLEMS_MAX);
        let mut problems: Vec<Problem> = self.problems.into_iter().map(|(_, it)| it).collect();
        if more > 0 {
            problems.push(Problem {
                severity: Severity::Error,
                place: None,
                resource: String::new(),
                path: String::new(),
                what: String::new(),
                why: format!("{more} more problems are not shown"),
                cure: "mend these first".to_owned(),
            });
        }
        Problems(problems)
    }
}

/// Checks the fields of one document, and says what is wrong with them.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    pub(crate) document: &'a Document,
    pub(crate) report: &'a mut Report,
}

impl Check<'_> {
    fn add(&mut self, severity: Severity, path: &str, what: String, why: &str, cure: &str) {
        let mark = self.document.root().locate(path);
        let file = self.document.file.to_path_buf();
        let problem = Problem {
            severity,
            place: Some(Place { file, line: mark.line, column: mark.column }),
            resource: self.document.title(),
            path: path.to_owned(),
            what,
            why: why.to_owned(),
            cure: cure.to_owned(),
        };
        self.report.add(self.document.file_index, problem);
    }

    /// The value written at `path` is wrong.
    pub(crate) fn error(&mut self, path: &str, why: &str, cure: &str) {
        let what = self.document.quote(path);
        self.add(Severity::Error, path, what, why, cure);
        self.document.mark_broken(path);
    }

    /// Nothing is written at `path`, but must be. Silent if something was and could not be read.
    pub(crate) fn missing(&mut self, path: &str, cure: &str) {
        if !self.document.is_broken(path) {
            self.add(Severity::Error, path, String::new(), "missing", cure);
            self.document.mark_broken(path);
        }
    }

    /// The value written at `path` is allowed but perhaps not meant.
    pub(crate) fn warning(&mut self, path: &str, why: &str, cure: &str) {
        let what = self.document.quote(path);
        self.add(Severity::Warning, path, what, why, cure);
    }

    /// The value at `path`, or its default if there is none or it is out of its range.
    pub(crate) fn ranged<T: PartialOrd + Display>(
        &mut self,
        path: &str,
        value: Option<T>,
        default: T,
        range: &Range<T>,
    ) -> T {
        match value {
            None => default,
            Some(value) if range.contains(&value) => value,
            Some(_) => {
                self.error(path, "out of range", &format!("write {range}"));
                default
            }
        }
    }

    /// The absolute path written at `path`.
    pub(crate) fn absolute(&mut self, path: &str, value: Option<String>) -> Option<PathBuf> {
        let value = value?;
        let is_plain = !value.contains('\0') && !value.split('/').any(|part| part == "..");
        if !value.starts_with('/') || !is_plain {
            let cure = "write a path that begins with / and has no `..`";
            self.error(path, "not an absolute path", cure);
            return None;
        }
        // Components drop doubled and trailing slashes, so that equal paths are equal.
        Some(Path::new(&value).components().collect())
    }

    /// The globs written at `path`, or `default` if there are none.
    pub(crate) fn globs(
        &mut self,
        path: &str,
        value: Option<Vec<String>>,
        default: &[&str],
        against: Against,
    ) -> Globs {
        let Some(patterns) = value else {
            let patterns = default.iter().map(|&it| it.to_owned()).collect();
            return Globs::new(patterns, against).unwrap_or_else(|_| Globs::none());
        };
        if patterns.len() > limits::GLOBS_MAX {
            let cure = format!("write at most {}, or wider ones", limits::GLOBS_MAX);
            self.error(path, &format!("{} globs", patterns.len()), &cure);
            return Globs::none();
        }
        let mut is_good = true;
        for (index, pattern) in patterns.iter().enumerate() {
            let is_path = against == Against::Paths;
            if pattern.is_empty() || pattern.len() > limits::GLOB_BYTES_MAX {
                let cure = format!("write 1 to {} bytes", limits::GLOB_BYTES_MAX);
                self.error(&format!("{path}[{index}]"), "empty or too long", &cure);
                is_good = false;
            } else if is_path && pattern.split('/').any(|part| part == "..") {
                let cure = "write the path that it leads to";
                self.error(&format!("{path}[{index}]"), "`..` matches nothing", cure);
                is_good = false;
            } else if is_path && !pattern.starts_with('/') {
                let cure = "begin it with /, such as /var/log/*.log";
                self.error(&format!("{path}[{index}]"), "not an absolute glob", cure);
                is_good = false;
            } else if is_path && pattern.split('/').skip(1).any(|part| matches!(part, "" | ".")) {
                let cure = "write each folder, and the file, once";
                self.error(
                    &format!("{path}[{index}]"),
                    "an empty part or `.` matches nothing",
                    cure,
                );
                is_good = false;
            }
        }
        match Globs::new(patterns, against) {
            Ok(globs) if is_good => globs,
            Ok(_) => Globs::none(),
            Err(bad) => {
                for (index, why) in bad {
                    let cure = "escape a literal * ? [ ] { } with a backslash";
                    self.error(&format!("{path}[{index}]"), &format!("bad glob: {why}"), cure);
                }
                Globs::none()
            }
        }
    }

    /// The text at `path`, unless it is empty or too long for a name.
    pub(crate) fn label(&mut self, path: &str, value: Option<String>) -> Option<String> {
        let value = value?;
        let is_good = !value.is_empty()
            && value.len() <= limits::NAME_CHARS_MAX
            && !value.contains(char::is_control);
        if !is_good {
            let cure = format!("write 1 to {} bytes, or leave it out", limits::NAME_CHARS_MAX);
            self.error(path, "empty, too long or not printable", &cure);
            return None;
        }
        Some(value)
    }
}
