//! Wanted: how a filter of Alibaba's agent says which values it wants.

/// Which values a filter wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Any, if there is one.
    Any,
    /// One of these.
    OneOf(Vec<String>),
    /// What matches a regular expression.
    Like(String),
}

impl Wanted {
    /// The value of a label or variable: empty for any, `^…$` for a regular expression, else just that.
    pub(crate) fn value(text: &str) -> Wanted {
        match text {
            "" => Wanted::Any,
            _ if text.starts_with('^') && text.ends_with('$') => Wanted::pattern(text),
            _ => Wanted::OneOf(vec![text.to_owned()]),
        }
    }

    /// A regular expression that is searched in a name; one that only lists words is those words.
    pub(crate) fn pattern(text: &str) -> Wanted {
        words(text).map_or_else(|| Wanted::Like(text.to_owned()), Wanted::OneOf)
    }
}

/// The words of `^(a|b)$`, `^a$` and the like.
fn words(pattern: &str) -> Option<Vec<String>> {
    let inner = pattern.strip_prefix('^')?.strip_suffix('$')?;
    let group = inner.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    let inner = match group {
        Some(inner) => inner,
        // Without a group, ^ and $ are of the first and last word alone.
        None if inner.contains('|') => return None,
        None => inner,
    };
    let inner = inner.strip_prefix("?:").unwrap_or(inner);
    let words: Vec<String> = inner.split('|').map(str::to_owned).collect();
    let is_word = |word: &String| {
        !word.is_empty() && word.chars().all(|it| it.is_ascii_alphanumeric() || "_-/".contains(it))
    };
    words.iter().all(is_word).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_expressions_that_list_words_are_these_words() {
        let one_of =
            |words: &[&str]| Wanted::OneOf(words.iter().map(|&it| it.to_owned()).collect());
        for (text, wanted) in [
            ("", Wanted::Any),
            ("a.b", one_of(&["a.b"])),
            ("^a$", one_of(&["a"])),
            ("^(a|b-1)$", one_of(&["a", "b-1"])),
            ("^(?:a|b)$", one_of(&["a", "b"])),
            ("^a|b$", Wanted::Like("^a|b$".to_owned())),
            ("^a.$", Wanted::Like("^a.$".to_owned())),
            ("^(a|(b|c))$", Wanted::Like("^(a|(b|c))$".to_owned())),
            ("^$", Wanted::Like("^$".to_owned())),
        ] {
            assert_eq!(Wanted::value(text), wanted, "{text}");
        }
        assert_eq!(Wanted::pattern("web"), Wanted::Like("web".to_owned()));
    }
}
