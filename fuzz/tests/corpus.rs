//! The whole corpus, through the same functions as the fuzzers: an input that once made one fail is
//! put there, and fails here if it ever does again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries =
        std::fs::read_dir(directory).unwrap_or_else(|why| panic!("{}: {why}", directory.display()));
    entries.map(|it| it.expect("an entry").file_name().into_string().expect("text")).collect()
}

#[test]
fn every_input_of_the_corpus_comes_out_as_it_must() {
    for (name, target) in fuzz::TARGETS {
        let corpus = directory("corpus").join(name);
        let inputs = names(&corpus);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            // The one that fails is the last one named.
            println!("{name}/{input}");
            target(&std::fs::read(corpus.join(input)).unwrap());
        }
    }
}

#[test]
fn every_target_has_its_fuzzer_and_every_corpus_its_target() {
    let targets: BTreeSet<String> =
        fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let fuzzers = names(&directory("fuzz_targets"));
    let fuzzers = fuzzers.iter().filter_map(|it| it.strip_suffix(".rs")).map(str::to_owned);
    assert_eq!(fuzzers.collect::<BTreeSet<String>>(), targets);
    assert_eq!(names(&directory("corpus")), targets);
}
