//! Problem: what is wrong with the configuration, where, why, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration does not run.
    Error,
    /// It runs, but perhaps not as meant.
    Warning,
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, as named by whoever asked for it.
    pub file: PathBuf,
    /// Line, from 1; 0 if the whole file is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 if the whole file is meant.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where; `None` if it is about all files together.
    pub place: Option<Place>,
    /// Kind and name, such as `LogSink queue`; empty if not known.
    pub resource: String,
    /// The field, such as `spec.batch.bytes`; empty if the whole resource is meant.
    pub path: String,
    /// The value as written, quoted; empty if it is about something that is absent.
    pub what: String,
    /// Why it is wrong.
    pub why: String,
    /// What to do.
    pub cure: String,
}

impl Problem {
    /// The field, what is wrong with it, and the cure; for a resource of a cluster, whose lines nobody knows.
    #[must_use]
    pub fn of_field(&self) -> String {
        let parts = [&self.path, &self.what, &self.why].into_iter().filter(|it| !it.is_empty());
        let text = parts.map(String::as_str).collect::<Vec<_>>().join(": ");
        if self.cure.is_empty() { text } else { format!("{text} ({})", self.cure) }
    }

    /// Whether the configuration does not run with it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A line feed in a file name must not fake a second problem.
        let file = self.file.to_string_lossy().replace(char::is_control, "?");
        match self.line {
            0 => f.write_str(&file),
            line => write!(f, "{file}:{line}:{}", self.column),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: ")?,
            None => f.write_str("configuration: ")?,
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        for part in [&self.resource, &self.path, &self.what] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.why)?;
        if !self.cure.is_empty() {
            write!(f, "; {}", self.cure)?;
        }
        Ok(())
    }
}

/// Problems in the order of their files and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(
    /// Errors and warnings.
    pub Vec<Problem>,
);

impl Problems {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them keeps the configuration from running.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// As a JSON array of objects.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Paths that are not UTF-8 cannot be JSON; they are shown with replacement characters.
        let mut lossy = self.clone();
        for place in lossy.0.iter_mut().filter_map(|problem| problem.place.as_mut()) {
            place.file = place.file.to_string_lossy().into_owned().into();
        }
        serde_json::to_string_pretty(&lossy).expect("strings and numbers are always JSON")
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
