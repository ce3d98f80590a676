//! State: what the API server said last, on disk, for a start at which it does not answer.
//!
//! One JSON file with a version, replaced as a whole. It may be behind by a second: then the agent starts
//! with what was true a second before it ended.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Kind, Namespace, Pod, Resource, ResourceKey};

/// Version of the file; one of another version is left alone and not read.
const VERSION: u32 = 1;

/// What is kept of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// As the API server has them.
    pub resources: Vec<Resource>,
    /// Older ones in force, where the API server's cannot be used.
    pub fallbacks: Vec<Resource>,
    /// The node's pods.
    pub pods: Vec<Pod>,
    /// The namespaces, if they were asked for.
    pub namespaces: Vec<Namespace>,
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no state.
    #[error("damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Another program wrote it.
    #[error("of version {0}, and this program reads {VERSION}")]
    Version(u32),
}

impl State {
    /// Reads the state at `path`; `None` if there is none.
    ///
    /// # Errors
    /// If what is there cannot be used.
    pub fn load(path: &Path) -> Result<Option<State>, StateError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Header { version } = serde_json::from_slice(&bytes)?;
        if version != VERSION {
            return Err(StateError::Version(version));
        }
        let written: Written = serde_json::from_slice(&bytes)?;
        let resources = |texts: Vec<Text>| texts.into_iter().filter_map(Text::resource).collect();
        Ok(Some(State {
            resources: resources(written.resources),
            fallbacks: resources(written.fallbacks),
            pods: written.pods,
            namespaces: written.namespaces,
        }))
    }

    /// Replaces the state at `path`, so that whoever reads it finds the old one or the new one whole.
    ///
    /// # Errors
    /// If it cannot be written; the old one is still there then.
    pub fn save(self, path: &Path) -> Result<(), StateError> {
        let texts = |resources: Vec<Resource>| resources.into_iter().map(Text::of).collect();
        let written = Written {
            version: VERSION,
            resources: texts(self.resources),
            fallbacks: texts(self.fallbacks),
            pods: self.pods,
            namespaces: self.namespaces,
        };
        let temporary = path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(&written)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    resources: Vec<Text>,
    fallbacks: Vec<Text>,
    pods: Vec<Pod>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    namespaces: Vec<Namespace>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    /// Plural of the kind.
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    text: String,
}

impl Text {
    fn of(resource: Resource) -> Text {
        let ResourceKey { kind, namespace, name } = resource.key;
        Text { kind: kind.plural().to_owned(), namespace, name, text: (*resource.text).to_owned() }
    }

    /// `None` of a kind that this program does not know.
    fn resource(self) -> Option<Resource> {
        let kind = Kind::of_plural(&self.kind)?;
        let key = ResourceKey { kind, namespace: self.namespace, name: self.name };
        Some(Resource { key, text: Arc::from(self.text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let key = ResourceKey {
            kind: Kind::LogConfigs,
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
        };
        let resource = |text| Resource { key: key.clone(), text: Arc::from(text) };
        State {
            resources: vec![resource("new")],
            fallbacks: vec![resource("old")],
            pods: vec![Pod {
                uid: "1".to_owned(),
                namespace: "shop".to_owned(),
                name: "web-0".to_owned(),
                labels: [("app".to_owned(), "web".to_owned())].into(),
                owner: None,
                containers: Vec::new(),
            }],
            namespaces: vec![Namespace {
                name: "shop".to_owned(),
                labels: [("team".to_owned(), "web".to_owned())].into(),
            }],
        }
    }

    #[test]
    fn a_state_comes_back_as_it_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.json");
        assert!(State::load(&path).unwrap().is_none());
        State::default().save(&path).unwrap();
        state().save(&path).unwrap();
        assert_eq!(State::load(&path).unwrap(), Some(state()));
    }

    #[test]
    fn what_is_damaged_or_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.json");
        state().save(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(matches!(State::load(&path), Err(StateError::Damaged(_))));
        std::fs::write(&path, text.replace("\"version\":1", "\"version\":2")).unwrap();
        assert!(matches!(State::load(&path), Err(StateError::Version(2))));
    }
}
