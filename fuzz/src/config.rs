//! Config: any text as configuration. It is refused with problems that have a place, or read; and what
//! was read, written out as YAML, reads the same.

use std::path::PathBuf;

use crd::{ByteSize, ConfigFile, Period, Problems, Settings};

/// What files are separated by: YAML has no use for it.
const FILE_SEPARATOR: u8 = 0x0c;

/// One input: the text of one file or more. A single short word is a size and a length of time, too.
///
/// # Panics
/// If it is neither read nor refused as it should be.
pub fn run(data: &[u8]) {
    if let Ok(word) = std::str::from_utf8(data)
        && word.len() <= 24
    {
        assert_units(word);
    }
    let texts: Vec<&[u8]> = data.split(|byte| *byte == FILE_SEPARATOR).take(4).collect();
    match resolve(&texts) {
        Ok(settings) => assert_reads_the_same(&settings),
        Err(problems) => {
            assert!(problems.has_errors(), "refused without an error");
            assert_places(&problems, &texts);
        }
    }
}

fn resolve(texts: &[&[u8]]) -> Result<Settings, Problems> {
    let file = |(number, text): (usize, &&[u8])| ConfigFile {
        path: PathBuf::from(format!("{number}.yaml")),
        bytes: Ok(text.to_vec()),
    };
    crd::resolve(texts.iter().enumerate().map(file).collect())
}

fn assert_reads_the_same(settings: &Settings) {
    let described = settings.describe();
    let again = resolve(&[described.as_bytes()]);
    let again = again.unwrap_or_else(|problems| panic!("{problems}\nof\n{described}"));
    assert_eq!(again, *settings);
    assert_eq!(again.describe(), described);
    assert_eq!(again.describe_json(), settings.describe_json());
}

/// Each problem is one line, and is where there is text.
fn assert_places(problems: &Problems, texts: &[&[u8]]) {
    assert_eq!(problems.to_string().lines().count(), problems.0.len(), "{problems}");
    for place in problems.iter().filter_map(|it| it.place.as_ref()) {
        let number = place.file.file_stem().and_then(|it| it.to_str()?.parse::<usize>().ok());
        let text = texts[number.expect("a file that was given")];
        // YAML knows more line ends than one.
        let lines = String::from_utf8_lossy(text)
            .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
            .count();
        assert!(place.line <= lines + 1, "{place} of {lines} lines");
    }
}

/// There and back; and one way to write each value.
fn assert_units(word: &str) {
    if let Ok(size) = word.parse::<ByteSize>() {
        assert_eq!(size.to_string().parse(), Ok(size), "{word:?}");
    }
    if let Ok(period) = word.parse::<Period>() {
        assert_eq!(period.to_string().parse(), Ok(period), "{word:?}");
    }
    let why = [word.parse::<ByteSize>().err(), word.parse::<Period>().err()];
    for why in why.into_iter().flatten() {
        assert!(why.to_string().lines().count() == 1, "{why}");
    }
}
