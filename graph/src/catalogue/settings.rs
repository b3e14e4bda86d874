//! `settings:` of a database, as the words and variables that its server understands.

use std::collections::BTreeMap;

use super::read;
use crate::diagnostic::Problems;
use crate::format::decode::Fields;
use crate::format::yaml::Yaml;

/// How one setting reaches the server. Texts hold `{name}` and `{value}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Words after the arguments of the image.
    pub image: Vec<String>,
    /// Variables of the image: names hold `{NAME}`, the name in upper case after [`Settings::replace`].
    pub env: BTreeMap<String, String>,
    /// What stands for a character of the name in `{NAME}`.
    pub replace: BTreeMap<String, String>,
    /// Words after the native command.
    pub native: Vec<String>,
}

impl Settings {
    pub(super) fn decode(yaml: &Yaml, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(yaml, "`settings`", problems)?;
        let both = read::words(&mut fields, "args", problems);
        let image = read::words(&mut fields, "image", problems);
        let env = read::map(&mut fields, "env", problems);
        let replace = read::map(&mut fields, "replace", problems);
        let native = read::words(&mut fields, "native", problems);
        fields.close("`settings`", problems);
        let or_both = |words: Vec<String>| if words.is_empty() { both.clone() } else { words };
        // Variables instead of words: an image that takes variables takes no words of ours.
        let image = if env.is_empty() { or_both(image) } else { image };
        Some(Self { image, env, replace, native: or_both(native) })
    }

    /// The words that the settings add to the image's arguments.
    #[must_use]
    pub fn image_words(&self, settings: &BTreeMap<String, String>) -> Vec<String> {
        words(&self.image, settings)
    }

    /// The words that the settings add to the native command.
    #[must_use]
    pub fn native_words(&self, settings: &BTreeMap<String, String>) -> Vec<String> {
        words(&self.native, settings)
    }

    /// The variables that the settings add to the image's.
    #[must_use]
    pub fn image_env(&self, settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let one = |(name, value): (&String, &String)| {
            let upper: String = name
                .chars()
                .map(|c| {
                    self.replace.get(&c.to_string()).cloned().unwrap_or_else(|| c.to_ascii_uppercase().to_string())
                })
                .collect();
            let values = [("NAME", upper.as_str()), ("name", name.as_str()), ("value", value.as_str())];
            self.env.iter().map(|(name, value)| (super::fill(name, &values), super::fill(value, &values))).collect()
        };
        settings.iter().flat_map(|setting| -> Vec<(String, String)> { one(setting) }).collect()
    }
}

fn words(templates: &[String], settings: &BTreeMap<String, String>) -> Vec<String> {
    let one = |(name, value): (&String, &String)| -> Vec<String> {
        let values = [("name", name.as_str()), ("value", value.as_str())];
        templates.iter().map(|word| super::fill(word, &values)).collect()
    };
    settings.iter().flat_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn settings_become_words_in_the_order_of_their_names() {
        let settings = Settings { image: vec!["-c".into(), "{name}={value}".into()], ..Settings::default() };
        let words = settings.image_words(&map(&[("wal_level", "logical"), ("max_connections", "{port}")]));
        assert_eq!(words, ["-c", "max_connections={port}", "-c", "wal_level=logical"]);
    }

    #[test]
    fn settings_become_variables_as_the_image_reads_them() {
        let settings = Settings {
            env: map(&[("KAFKA_{NAME}", "{value}")]),
            replace: map(&[(".", "_"), ("_", "__"), ("-", "___")]),
            ..Settings::default()
        };
        let env = settings.image_env(&map(&[("log.retention.ms", "5"), ("a-b_c", "6")]));
        assert_eq!(env, map(&[("KAFKA_LOG_RETENTION_MS", "5"), ("KAFKA_A___B__C", "6")]));
    }
}
