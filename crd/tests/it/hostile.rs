//! No bytes make the configuration panic, hang or grow: they are read or refused.

use proptest::prelude::*;

/// Pieces that YAML and our resources are made of, so that what is put together gets far.
const PIECES: &[&str] = &[
    "apiVersion: logferry.dev/v1alpha1\n",
    "kind: LogSink\n",
    "kind: LogConfig\n",
    "kind: Agent\n",
    "metadata: {name: a}\n",
    "metadata:\n  name: b\n",
    "spec:\n",
    "  queue: {path: /q}\n",
    "  source:\n    containers: {}\n",
    "  memory: 1MiB\n",
    "---\n",
    "...\n",
    "- ",
    "? ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\n",
    " ",
    "\t",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "#",
    "&a ",
    "*a ",
    "!!str ",
    "%YAML 1.2\n",
    "<<: ",
    "@",
    "`",
    "\u{feff}",
    "\u{85}",
    "é",
    "0x1f",
    ".inf",
    "-1",
    "1e99",
    "null",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(crate::resolve_bytes(&bytes));
    }

    #[test]
    fn any_pieces_are_read_or_refused(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60),
    ) {
        let text: String = pieces.concat();
        match crate::resolve_text(&text) {
            Ok(settings) => {
                let again = crate::resolve_text(&settings.describe()).expect("described settings");
                prop_assert_eq!(again, settings);
            }
            Err(problems) => {
                prop_assert!(problems.has_errors());
                // One line each, whatever was written.
                prop_assert_eq!(problems.to_string().lines().count(), problems.0.len());
                let lines = text.lines().count() + 1;
                let mut places = problems.iter().filter_map(|it| it.place.as_ref());
                prop_assert!(places.all(|it| it.line <= lines), "{}", problems);
            }
        }
    }
}

/// Text of about the largest size that a file may have.
fn many(unit: &str) -> String {
    let file_bytes_max = usize::try_from(crd::limits::FILE_BYTES_MAX).expect("a small number");
    unit.repeat((file_bytes_max - 200) / unit.len())
}

/// Each ends within seconds even without optimisation, or else the test run itself hangs.
#[test]
fn large_and_nasty_files_are_refused_or_read() {
    let texts = [
        many("["),
        many("{"),
        many("- "),
        many("? "),
        many("a: "),
        many("a: {"),
        many("{a: "),
        many("["),
        many("[a, "),
        many("a: b\n"),
        many("---\n"),
        many("--- a\n"),
        many("- a\n"),
        many("\""),
        many("'"),
        many("a"),
        many("a "),
        many("\n"),
        many("#"),
        many("\t"),
        many("- |\n"),
        many("!a "),
        many("&a "),
        many("%a\n"),
        format!("[{}", many("a, ")),
        format!("\"{}", many("\\u0041")),
        format!("{{{}", many("\"a\": b, ")),
        format!("a: |\n{}", many(" \n")),
    ];
    for text in &texts {
        let refused = crate::resolve_text(text).is_err();
        let is_blank = text.trim_start_matches(['\n', '\t', '#', '-']).is_empty();
        assert!(refused || is_blank, "{:?}", &text[..20]);
    }
}

/// Many faults in one document, and many documents with one, are told within bounds.
#[test]
fn the_number_of_problems_is_bounded() {
    let header = "apiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata: {name: a}\nspec:\n";
    let mut fields = header.to_owned();
    for index in 0..20_000 {
        fields.push_str(&format!("  field{index}: 1\n"));
    }
    let problems = crate::resolve_text(&fields).unwrap_err();
    assert!(problems.0.len() <= crd::limits::DOCUMENT_PROBLEMS_MAX + 10);
    let problems = crate::resolve_text(&many("--- a\n")).unwrap_err();
    assert!(problems.0.len() <= crd::limits::PROBLEMS_MAX + 1);
    assert!(problems.to_string().ends_with("mend these first"));
}

#[test]
fn aliases_cannot_multiply() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{}, ", level - 1).repeat(9);
        text.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
    }
    let problems = crate::resolve_text(&text).unwrap_err();
    assert!(problems.to_string().contains("aliases are not read"));
}
