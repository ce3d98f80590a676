//! `logferry convert`: objects of Alibaba's agent as LogConfigs.

use std::collections::HashMap;
use std::io::Write;

use aliyun::{Conversion, Reach};
use anyhow::anyhow;
use crd::spec::{LogConfigSpec, Resource};
use serde_json::Value;

use crate::cli::ConvertOptions;
use crate::exit::{Exit, Failure, Outcome};

pub(crate) fn run(options: &ConvertOptions) -> Outcome {
    let reach = if options.cluster { Reach::Cluster } else { Reach::Namespace };
    let mut out = std::io::stdout();
    let mut taken = HashMap::new();
    let mut exit = Exit::Done;
    for (title, object) in objects(options)? {
        let mut conversion = aliyun::convert(&object, reach)
            .map_err(|error| Failure::usage(anyhow!("{title}: {error}")))?;
        refuse_taken(&title, &mut conversion, &mut taken);
        writeln!(out, "---\n# {title}")?;
        for note in &conversion.notes {
            writeln!(out, "# {note}")?;
        }
        for (index, config) in conversion.configs.iter().enumerate() {
            let separator = if index > 0 { "---\n" } else { "" };
            write!(out, "{separator}{}", crd::write_value(config))?;
        }
        if conversion.is_refused() {
            eprintln!(
                "{title}: refused: what it asks for cannot be done as it is meant; see its notes"
            );
            exit = Exit::Bad;
        }
    }
    Ok(exit)
}

/// All objects with what to call them; of a list, as `kubectl get -o yaml` prints it, its items.
fn objects(options: &ConvertOptions) -> Result<Vec<(String, Value)>, Failure> {
    let failure = |problems: crd::Problems| Failure::usage(anyhow!("{problems}"));
    let mut objects = Vec::new();
    for file in crd::read(&options.paths).map_err(failure)? {
        let path = file.path.display().to_string().replace(char::is_control, "?");
        for mut value in crd::read_values(file).map_err(failure)? {
            let items = value.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
            for object in items.unwrap_or_else(|| vec![value]) {
                let text = |pointer: &str| {
                    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
                let slash = if namespace.is_empty() { "" } else { "/" };
                let title = format!("{path}: {} {namespace}{slash}{name}", text("/kind"));
                objects.push((title.replace(char::is_control, "?"), object));
            }
        }
    }
    Ok(objects)
}

/// Two objects may come to LogConfigs of one name: of two namespaces with `--cluster`, or of both kinds.
fn refuse_taken(
    title: &str,
    conversion: &mut Conversion,
    taken: &mut HashMap<(Option<String>, String), String>,
) {
    let names = conversion.configs.iter().filter_map(name_of);
    let twin = names.clone().find_map(|it| taken.get(&it).cloned().map(|first| (it.1, first)));
    match twin {
        Some((name, first)) => {
            conversion.configs.clear();
            conversion.notes.push(aliyun::Note {
                path: "metadata.name".to_owned(),
                fate: aliyun::fields::Fate::Refused,
                text: format!("{name} is what {first} comes to already; rename one"),
            });
        }
        None => taken.extend(names.map(|it| (it, title.to_owned())).collect::<Vec<_>>()),
    }
}

fn name_of(config: &Resource<LogConfigSpec>) -> Option<(Option<String>, String)> {
    let metadata = config.metadata.as_ref()?;
    Some((metadata.namespace.clone(), metadata.name.clone()?))
}
