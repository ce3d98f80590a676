//! Expected: where each file of a world has to go, told from the world itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::labels::{Labels, Selector};
use super::written::folder_of;
use super::{
    CONTAINERS, FOLDERS, GLOBS, LogConfig, NAMESPACES, OWN_TOPICS, PODS, TENANTS, TOPIC_GLOBS,
    TOPICS, Tenant, Told, Way, World,
};

/// Whose a namespace is.
enum Owner<'a> {
    Of(&'a str),
    /// Nobody may have it.
    None,
    /// That is not known.
    Unknown,
}

/// What a LogConfig does with a container.
enum Claim<'a> {
    Takes(&'a str),
    Leaves,
    /// It may take it, and nobody knows.
    Waits,
}

impl World {
    /// Where each file that is to be read goes, by its path.
    pub(super) fn expected(&self) -> BTreeMap<PathBuf, Way> {
        let mut ways = BTreeMap::new();
        // The first by namespace and name has it; those without a namespace come first.
        let mut order: Vec<usize> = (0..self.configs.len()).collect();
        order.sort_by_key(|&it| (self.configs[it].namespace.map(|it| NAMESPACES[it]), it));
        for &(namespace, pod, container) in &self.pods {
            let (path, space) = (folder_of(namespace, pod), NAMESPACES[namespace]);
            let path = path.join(CONTAINERS[container]).join("0.log");
            for &number in &order {
                match self.claim(&self.configs[number], namespace, pod) {
                    Claim::Takes(tenant) => {
                        drop(ways.insert(path, self.way(number, tenant, Some(space))));
                        break;
                    }
                    Claim::Waits => break,
                    Claim::Leaves => {}
                }
            }
        }
        for (number, config) in self.configs.iter().enumerate() {
            let tenant = config.tenant.map_or("default", |it| TENANTS[it]);
            if config.globs.is_some() {
                continue;
            }
            for &folder in &self.folders {
                let path = Path::new("/srv").join(FOLDERS[folder]).join(format!("c{number}.log"));
                ways.insert(path, self.way(number, tenant, None));
            }
        }
        ways
    }

    fn way(&self, number: usize, tenant: &str, namespace: Option<&str>) -> Way {
        let config = &self.configs[number];
        let name = match config.namespace {
            Some(it) => format!("{}/c{number}", NAMESPACES[it]),
            None => format!("c{number}"),
        };
        (name, tenant.to_owned(), config.sink, self.topic(config, tenant, namespace))
    }

    fn claim(&self, config: &LogConfig, namespace: usize, pod: usize) -> Claim<'_> {
        let Some(globs) = &config.globs else { return Claim::Leaves };
        // What the first two underscores separate; a namespace has none, and no capital.
        let space = NAMESPACES[namespace];
        let is_name = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        let is_included = match config.namespace {
            Some(it) => it == namespace,
            None => globs.iter().any(|&it| GLOBS.get(it).is_none_or(|it| matches(it, space))),
        };
        let asked = [
            self.is_so(config.pods.as_ref(), self.labels_of_pod(pod)),
            self.is_so(config.namespaces.as_ref(), self.labels_of_namespace(namespace)),
        ];
        if !space.chars().all(is_name) || !is_included || asked.contains(&Some(false)) {
            return Claim::Leaves;
        }
        let owner = match config.tenant {
            Some(it) => Owner::Of(TENANTS[it]),
            None => self.owner(namespace),
        };
        match owner {
            Owner::None => Claim::Leaves,
            Owner::Of(tenant) if !self.may_go(tenant, config) => Claim::Leaves,
            Owner::Of(tenant) if !asked.contains(&None) => Claim::Takes(tenant),
            Owner::Of(_) | Owner::Unknown => Claim::Waits,
        }
    }

    /// Whether labels are as they should be; `None` if they may be told later.
    fn is_so(&self, selector: Option<&Selector>, labels: Option<&Labels>) -> Option<bool> {
        match selector.filter(|it| !it.is_empty()) {
            None => Some(true),
            Some(_) if self.api.is_none() => Some(false),
            Some(selector) => labels.map(|it| selector.selects(it)),
        }
    }

    fn labels_of_pod(&self, pod: usize) -> Option<&Labels> {
        match &self.api.as_ref()?.pods[pod] {
            // A folder of such a name is read as that of a pod with another uid.
            Told::Labels(labels) if !PODS[pod].contains('_') => Some(labels),
            Told::Labels(_) | Told::Nothing | Told::OfAnother(_) => None,
        }
    }

    fn labels_of_namespace(&self, namespace: usize) -> Option<&Labels> {
        self.api.as_ref()?.namespaces[namespace].as_ref()
    }

    fn owner(&self, namespace: usize) -> Owner<'_> {
        let space = NAMESPACES[namespace];
        let lists = |tenant: &&Tenant| {
            let mut globs = tenant.globs.iter().flatten();
            globs.any(|&it| matches(GLOBS[it], space))
        };
        if let Some(tenant) = self.tenants.iter().find(lists) {
            return Owner::Of(TENANTS[tenant.name]);
        }
        let asking = self.tenants.iter().filter_map(|it| Some((it.name, it.labels.as_ref()?)));
        let asking: Vec<(usize, &Selector)> = asking.collect();
        if !asking.is_empty() {
            let Some(labels) = self.labels_of_namespace(namespace) else { return Owner::Unknown };
            let mut owners = asking.iter().filter(|(_, it)| it.selects(labels));
            match (owners.next(), owners.next()) {
                (Some((tenant, _)), None) => return Owner::Of(TENANTS[*tenant]),
                (Some(_), Some(_)) => return Owner::None,
                (None, _) => {}
            }
        }
        let is_others =
            |it: &Tenant| TENANTS[it.name] == space && (it.globs.is_some() || it.labels.is_some());
        if self.tenants.iter().any(is_others) { Owner::None } else { Owner::Of(space) }
    }

    fn may_go(&self, tenant: &str, config: &LogConfig) -> bool {
        let tenant = self.tenants.iter().find(|it| TENANTS[it.name] == tenant);
        let sinks = tenant.and_then(|it| it.sinks.as_ref());
        let globs = config.topic.and_then(|_| tenant?.topics.as_ref());
        let is_named =
            |it: &usize| matches(TOPIC_GLOBS[*it], OWN_TOPICS[config.topic.unwrap_or_default()]);
        sinks.is_none_or(|it| it.contains(&config.sink))
            && globs.is_none_or(|it| it.iter().any(is_named))
    }

    fn topic(&self, config: &LogConfig, tenant: &str, namespace: Option<&str>) -> Option<String> {
        let own = config.topic.map_or_else(String::new, |it| format!("_{}", OWN_TOPICS[it]));
        let topic = TOPICS[self.topics[config.sink]].replace("${tenant}", tenant) + &own;
        match namespace {
            Some(namespace) => Some(topic.replace("${namespace}", namespace)),
            None => (!topic.contains('$')).then_some(topic),
        }
    }
}

/// Whether a glob of `*` and `?` matches.
fn matches(glob: &str, name: &str) -> bool {
    let mut chars = name.chars();
    match glob.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            matches(&glob[1..], name) || chars.next().is_some() && matches(glob, chars.as_str())
        }
        Some(one) => {
            chars.next().is_some_and(|it| one == '?' || one == it)
                && matches(&glob[one.len_utf8()..], chars.as_str())
        }
    }
}
