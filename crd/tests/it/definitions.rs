//! The custom resources are what the types say.

use std::fs;

use crd::custom_resource_definitions;

/// Where the Helm chart has them.
const FOLDER: &str = "deploy/helm/logferry/files/crds";

#[test]
fn the_definitions_in_the_chart_are_what_the_types_say() {
    let folder = crate::top().join(FOLDER);
    for (kind, definition) in custom_resource_definitions() {
        let path = folder.join(format!("{}.yaml", kind.to_lowercase()));
        if crate::is_update() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &definition).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == definition, "{}: UPDATE_GOLDEN=1 rewrites it", path.display());
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), custom_resource_definitions().count());
}
