//! Topic: where a section goes, from what an administrator wrote.
//!
//! `logs-${tenant}` is one topic per tenant. What is filled in is checked against Kafka's grammar when it
//! is filled in, and never changed to fit: two tenants must not meet in one topic by their names.
//!
//! A topic that a LogConfig names stands behind, after a `_`. Neither tenants nor namespaces have one, so that it is
//! the first that is not the administrator's: whatever a LogConfig names, it stays behind the name of its own tenant.

use std::fmt;
use std::str::FromStr;

use flow::{AttributeValue, Context, attribute};

/// Longest name of a topic, in bytes (Kafka's own limit).
const TOPIC_BYTES_MAX: usize = 249;

/// A text that is no topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no topic: {why}")]
pub struct TopicError {
    name: String,
    why: String,
}

/// A topic, or a way to make one of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Tenant,
    Namespace,
}

impl TopicTemplate {
    /// The topic of a context.
    ///
    /// # Errors
    /// If the context has no such attribute, or what it has is no part of a topic.
    pub fn render(&self, context: &Context) -> Result<String, TopicError> {
        let mut name = String::with_capacity(self.text.len());
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => text,
                Part::Tenant => &*context.tenant,
                Part::Namespace => namespace(context).ok_or_else(|| TopicError {
                    name: self.text.clone(),
                    why: "the context has no namespace, as files outside of pods have none".into(),
                })?,
            };
            name.push_str(text);
        }
        if let Some(AttributeValue::Text(topic)) = context.get(attribute::LOG_TOPIC) {
            name.push('_');
            name.push_str(topic);
        }
        check(&name)?;
        Ok(name)
    }
}

impl FromStr for TopicTemplate {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<TopicTemplate, TopicError> {
        let error = |why: &str| TopicError { name: text.to_owned(), why: why.to_owned() };
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            let (name, after) = from[2..]
                .split_once('}')
                .ok_or_else(|| error("`${` without `}`; write ${tenant} or ${namespace}"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name {
                "tenant" => Part::Tenant,
                "namespace" => Part::Namespace,
                _ => return Err(error("only ${tenant} and ${namespace} can be filled in")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        // As short as it can become: what is filled in has one byte at least.
        let shortest: String = parts
            .iter()
            .map(|part| if let Part::Text(text) = part { text.as_str() } else { "x" })
            .collect();
        check(&shortest).map_err(|it| TopicError { name: text.to_owned(), why: it.why })?;
        Ok(TopicTemplate { text: text.to_owned(), parts })
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn namespace(context: &Context) -> Option<&str> {
    let is_it = |it: &&flow::Attribute| it.key == attribute::K8S_NAMESPACE_NAME;
    match &context.attributes.iter().find(is_it)?.value {
        AttributeValue::Text(text) => Some(text),
        AttributeValue::Int(_) => None,
    }
}

/// Kafka's grammar: `[a-zA-Z0-9._-]`, 1 to 249 bytes, neither `.` nor `..`.
fn check(name: &str) -> Result<(), TopicError> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let why = if name.is_empty() || name.len() > TOPIC_BYTES_MAX {
        format!("want 1 to {TOPIC_BYTES_MAX} characters")
    } else if name == "." || name == ".." {
        "Kafka refuses these two".to_owned()
    } else if let Some(bad) = name.chars().find(|it| !it.is_ascii() || !is_legal(*it as u8)) {
        format!("{bad:?} is neither letter, digit, `.`, `_` nor `-`")
    } else {
        return Ok(());
    };
    Err(TopicError { name: name.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow::{Attribute, ContextId};

    use super::*;

    fn context(tenant: &str, namespace: Option<&str>) -> Context {
        let attribute = |it: &str| Attribute::text(attribute::K8S_NAMESPACE_NAME, it);
        Context {
            id: ContextId(1),
            tenant: Arc::from(tenant),
            attributes: namespace.map(attribute).into_iter().collect(),
        }
    }

    #[test]
    fn what_is_filled_in_comes_from_the_context() {
        let template: TopicTemplate = "logs-${tenant}.${namespace}_x".parse().unwrap();
        assert_eq!(template.render(&context("shop", Some("web"))).unwrap(), "logs-shop.web_x");
        assert!(template.render(&context("shop", None)).is_err());
        assert_eq!(template.to_string(), "logs-${tenant}.${namespace}_x");
        let fixed: TopicTemplate = "logs".parse().unwrap();
        assert_eq!(fixed.render(&context("a b", None)).unwrap(), "logs");
    }

    #[test]
    fn a_topic_of_a_log_config_stands_behind_that_of_the_sink() {
        let template: TopicTemplate = "logs-${tenant}".parse().unwrap();
        let mut shop = context("shop", None);
        shop.attributes.push(Attribute::text(attribute::LOG_TOPIC, "access_2.log"));
        assert_eq!(template.render(&shop).unwrap(), "logs-shop_access_2.log");
        shop.attributes = vec![Attribute::text(attribute::LOG_TOPIC, "a/b")];
        assert!(template.render(&shop).is_err());
    }

    #[test]
    fn what_kafka_would_refuse_is_refused_and_never_made_to_fit() {
        for bad in ["", ".", "..", "a b", "ü", "a/b", "${tenant", "${pod}", &"x".repeat(250)] {
            assert!(bad.parse::<TopicTemplate>().is_err(), "{bad}");
        }
        let template: TopicTemplate = "${tenant}".parse().unwrap();
        for bad in ["", ".", "a b", &"x".repeat(250)] {
            assert!(template.render(&context(bad, None)).is_err(), "{bad}");
        }
    }
}
