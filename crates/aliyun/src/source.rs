//! Source: where the logs are, as a LogConfig says it.

use crd::spec::{ContainerFilesSpec, ContainersSpec, FilesSpec, SourceSpec, StreamName};

use crate::object::Object;

/// Which files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Option<Vec<String>>,
}

impl Files {
    /// Those of the host.
    pub(crate) fn of_host(self) -> Vec<SourceSpec> {
        let Files { include, exclude } = self;
        let files = FilesSpec { include: Some(include), exclude, follow_links_into: None };
        vec![SourceSpec { containers: None, files: Some(files) }]
    }

    /// Those inside of containers.
    pub(crate) fn inside(self, containers: Vec<ContainersSpec>) -> Vec<SourceSpec> {
        let Files { include, exclude } = self;
        let files = Some(ContainerFilesSpec { include: Some(include), exclude });
        of_containers(containers, |it| ContainersSpec { files: files.clone(), ..it })
    }
}

/// What containers print. `path` is the field by which neither stream is collected, if so it is.
pub(crate) fn streams(
    object: &mut Object<'_>,
    path: &str,
    (stdout, stderr): (bool, bool),
    containers: Vec<ContainersSpec>,
) -> Vec<SourceSpec> {
    if !stdout && !stderr {
        object.refuse(path, "neither stdout nor stderr is collected");
    }
    let streams = match (stdout, stderr) {
        (true, false) => Some(vec![StreamName::Stdout]),
        (false, true) => Some(vec![StreamName::Stderr]),
        // Both are what is collected if nothing is said.
        _ => None,
    };
    of_containers(containers, |it| ContainersSpec { streams: streams.clone(), ..it })
}

fn of_containers(
    containers: Vec<ContainersSpec>,
    with: impl Fn(ContainersSpec) -> ContainersSpec,
) -> Vec<SourceSpec> {
    let source = |it| SourceSpec { containers: Some(with(it)), files: None };
    containers.into_iter().map(source).collect()
}
