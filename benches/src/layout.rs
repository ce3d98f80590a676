//! Layout: where the files of a load lie, and which pods they claim to be of.

use std::path::{Path, PathBuf};

use crate::random::Random;

/// How files lie in their folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `app-000000.log`, `app-000001.log` and so on.
    Flat,
    /// `NAMESPACE_POD_UID/CONTAINER/0.log`, as the kubelet lays out `/var/log/pods`.
    Pods,
    /// The same, all in this namespace.
    Namespace(&'static str),
    /// The same, each file in a namespace of its own: this name, a dash and a number from 0.
    Namespaces(&'static str),
}

/// The container that a file is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodPlace {
    /// Namespace.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod.
    pub pod_uid: String,
    /// Name of the container.
    pub container: String,
}

/// Where one file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path of the live file.
    pub path: PathBuf,
    /// Its container, in the layout of pods.
    pub pod: Option<PodPlace>,
}

const NAMESPACES: [&str; 6] =
    ["shop", "payments", "search", "platform", "batch-jobs", "kube-system"];
const WORKLOADS: [&str; 8] =
    ["web", "cart", "checkout", "index-writer", "gateway", "mailer", "report-cron", "dns"];
const CONTAINERS: [&str; 3] = ["app", "istio-proxy", "log-shipper"];

/// Letters in names that Kubernetes makes: no vowels and no look-alikes.
const NAME_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Places of `files` files below `root`, the same for the same `random`; pods have one to three
/// containers each.
#[must_use]
pub fn places(layout: Layout, root: &Path, files: u32, mut random: Random) -> Vec<Place> {
    match layout {
        Layout::Flat => (0..files)
            .map(|file| Place { path: root.join(format!("app-{file:06}.log")), pod: None })
            .collect(),
        _ => pod_places(layout, root, files, &mut random),
    }
}

fn pod_places(layout: Layout, root: &Path, files: u32, random: &mut Random) -> Vec<Place> {
    let mut places = Vec::new();
    let files = files as usize;
    for pod_number in 0.. {
        let namespace = match layout {
            Layout::Namespace(name) => name.to_owned(),
            Layout::Namespaces(name) => format!("{name}-{pod_number}"),
            _ => random.pick(&NAMESPACES).to_owned(),
        };
        let workload = random.pick(&WORKLOADS);
        let replica_set = letters(u64::from(random.below(u32::MAX)), 9);
        let pod = format!("{workload}-{replica_set}-{}", letters(pod_number, 5));
        let pod_uid = uid(random);
        let folder = root.join(format!("{namespace}_{pod}_{pod_uid}"));
        let containers = match layout {
            Layout::Namespaces(_) => 1,
            _ => 1 + random.skewed_below(3) as usize,
        };
        for container in &CONTAINERS[..containers] {
            if places.len() == files {
                return places;
            }
            places.push(Place {
                path: folder.join(container).join("0.log"),
                pod: Some(PodPlace {
                    namespace: namespace.clone(),
                    pod: pod.clone(),
                    pod_uid: pod_uid.clone(),
                    container: (*container).to_owned(),
                }),
            });
        }
    }
    places
}

/// `number` in `count` letters; different numbers differ while they fit.
fn letters(mut number: u64, count: usize) -> String {
    let mut name = String::with_capacity(count);
    for _ in 0..count {
        name.push(char::from(NAME_LETTERS[(number % 27) as usize]));
        number /= 27;
    }
    name
}

/// A UUID of version 4.
fn uid(random: &mut Random) -> String {
    let (high, low) = (random.next_u64(), random.next_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn places_differ_and_are_the_same_for_the_same_seed() {
        for layout in [Layout::Flat, Layout::Pods] {
            let places_of = |seed| places(layout, Path::new("/r"), 500, Random::new(seed));
            let first = places_of(1);
            let paths: HashSet<_> = first.iter().map(|place| &place.path).collect();
            assert_eq!(paths.len(), 500);
            assert_eq!(first, places_of(1));
        }
    }

    #[test]
    fn pods_lie_as_the_kubelet_has_them() {
        let places = places(Layout::Pods, Path::new("/r"), 50, Random::new(1));
        let namespaces: HashSet<_> =
            places.iter().map(|place| &place.pod.as_ref().unwrap().namespace).collect();
        assert!(namespaces.len() > 2);
        for place in &places {
            let pod = place.pod.as_ref().unwrap();
            let want =
                format!("/r/{}_{}_{}/{}/0.log", pod.namespace, pod.pod, pod.pod_uid, pod.container);
            assert_eq!(place.path, Path::new(&want));
            assert_eq!(pod.pod_uid.len(), 36);
            assert!(!pod.pod.contains('_'));
        }
    }

    #[test]
    fn files_are_of_one_namespace_or_each_of_its_own() {
        let namespaces = |layout| -> Vec<String> {
            let places = places(layout, Path::new("/r"), 4, Random::new(1));
            places.into_iter().map(|place| place.pod.unwrap().namespace).collect()
        };
        assert_eq!(namespaces(Layout::Namespace("a")), ["a"; 4]);
        assert_eq!(namespaces(Layout::Namespaces("b")), ["b-0", "b-1", "b-2", "b-3"]);
    }
}
