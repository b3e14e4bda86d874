//! The catalogue's texts as Kubernetes takes them: filled in, without a password in any of them.

use std::collections::BTreeMap;

use clustergraph::catalogue::{DatabaseKind, Input, fill_database};
use clustergraph::graph::{Database, Graph};
use serde_json::{Value, json};

use super::env::{PASSWORD, from_secret, literal};
use crate::error::{Error, Result};
use crate::names;

/// The variable that holds the administrator's password, for what is composed of it.
const ADMIN_PASSWORD: &str = "CLUSTERGRAPH_ADMIN_PASSWORD";
/// The variable that holds the database's own password while it is made.
pub(super) const NEW_PASSWORD: &str = "CLUSTERGRAPH_PASSWORD";

/// Passwords are not known here. While a text is filled, a mark that no program's text can hold stands for each; then a
/// reference to the variable takes its place. The same goes for all of a database that somebody else runs.
const MARKS: [(&str, &str, &str); 6] = [
    ("admin_password", "\0admin\0", ADMIN_PASSWORD),
    ("password", "\0own\0", NEW_PASSWORD),
    ("host", "\0host\0", "CLUSTERGRAPH_HOST"),
    ("port", "\0port\0", "CLUSTERGRAPH_PORT"),
    ("admin", "\0user\0", "CLUSTERGRAPH_USERNAME"),
    ("database", "\0database\0", "CLUSTERGRAPH_DATABASE"),
];

/// The catalogue's entry for a database.
pub(crate) fn kind<'g>(graph: &'g Graph, database: &Database) -> Result<&'g DatabaseKind> {
    graph
        .catalogue
        .databases
        .get(&database.kind)
        .ok_or_else(|| Error::Usage(format!("{} is no kind of database that this version knows", database.kind)))
}

/// Whether a server of this kind has an administrator with a password.
pub(super) fn has_administrator(kind: &DatabaseKind) -> bool {
    let inputs = [&kind.create, &kind.extension, &kind.topic, &kind.drop];
    let inputs = inputs.into_iter().flatten().flat_map(|input| input.run.iter().chain([&input.input]));
    let texts = kind.image.env.values().chain(&kind.image.args).chain(kind.client_env.values()).chain(&kind.ready);
    texts.chain(inputs).any(|text| text.contains("{admin_password}"))
}

/// What the texts of one kind mean somewhere.
pub(super) struct Texts<'k> {
    kind: &'k DatabaseKind,
    values: BTreeMap<&'static str, String>,
}

impl<'k> Texts<'k> {
    /// Where the server itself runs. One that tells clients where to go has a listener of its own for that.
    pub(super) fn beside(kind: &'k DatabaseKind, database: &Database) -> Self {
        Self::new(kind, database, "127.0.0.1", kind.image.loopback.unwrap_or(kind.port))
    }

    /// Where the server is reached through its Service.
    pub(super) fn elsewhere(kind: &'k DatabaseKind, database: &Database) -> Self {
        Self::new(kind, database, &names::server(database), kind.port)
    }

    fn new(kind: &'k DatabaseKind, database: &Database, host: &str, port: u16) -> Self {
        let mut values = BTreeMap::from([
            ("host", host.to_owned()),
            ("port", port.to_string()),
            ("name", names::server(database)),
            ("admin", kind.admin.clone()),
            ("version", database.version.clone()),
            ("data", kind.image.data.clone().unwrap_or_default()),
        ]);
        values.extend(kind.image.loopback.map(|port| ("loopback", port.to_string())));
        values.extend(kind.image.home.clone().map(|home| ("home", home)));
        let [admin, own, ..] = MARKS;
        values.extend([admin, own].map(|(name, mark, _)| (name, mark.to_owned())));
        Self { kind, values }
    }

    /// Where somebody else runs the server, as the user that a Secret names; with the variables that are read from it.
    pub(super) fn outside(kind: &'k DatabaseKind, database: &Database, secret: &str) -> (Self, Vec<Value>) {
        let mut texts = Self::new(kind, database, "", 0);
        texts.values.extend(MARKS.map(|(name, mark, _)| (name, mark.to_owned())));
        let keys = [PASSWORD, PASSWORD, "host", "port", "username", "database"];
        let env = MARKS.iter().zip(keys).map(|((_, _, variable), key)| from_secret(variable, secret, key));
        (texts, env.collect())
    }

    /// The same with one meaning more.
    pub(super) fn with(&self, name: &'static str, value: &str) -> Self {
        let mut values = self.values.clone();
        values.insert(name, value.to_owned());
        Self { kind: self.kind, values }
    }

    /// The arguments of the server's image; none leaves the image's own.
    pub(super) fn image_args(&self, settings: &BTreeMap<String, String>) -> Vec<String> {
        self.kind.image_args(settings, &self.pairs()).iter().map(|word| referring(word)).collect()
    }

    /// The environment of the server's container, in which its clients run, too: as probes.
    pub(super) fn server_env(&self, settings: &BTreeMap<String, String>, secret: Option<&str>) -> Vec<Value> {
        let mut texts = self.kind.image_env(settings, &self.pairs());
        texts.extend(self.client_texts());
        env(&texts, secret)
    }

    /// The environment of clients.
    pub(super) fn client_env(&self, secret: Option<&str>) -> Vec<Value> {
        env(&self.client_texts(), secret)
    }

    fn client_texts(&self) -> BTreeMap<String, String> {
        self.kind.client_env.iter().map(|(name, text)| (name.clone(), self.filled(text))).collect()
    }

    /// The question whether the server is ready, for a probe: its words are taken as they stand, but for passwords.
    pub(super) fn probe(&self) -> Vec<String> {
        let words: Vec<String> = self.kind.ready.iter().map(|word| self.filled(word)).collect();
        match words.iter().any(|word| is_marked(word)) {
            true => vec!["sh".to_owned(), "-c".to_owned(), format!("exec {}", shell(&words))],
            false => words,
        }
    }

    /// The same question as a shell reads it.
    pub(super) fn question(&self) -> String {
        shell(&self.kind.ready.iter().map(|word| self.filled(word)).collect::<Vec<_>>())
    }

    /// A command as a shell reads it.
    pub(super) fn command(&self, input: &Input) -> String {
        shell(&input.run.iter().map(|word| self.filled(word)).collect::<Vec<_>>())
    }

    /// What a command reads, as the value of a variable.
    pub(super) fn input(&self, input: &Input) -> String {
        referring(&self.filled(&input.input))
    }

    /// What a command reads, but for passwords.
    pub(super) fn raw_input(&self, input: &Input) -> String {
        self.filled(&input.input)
    }

    fn filled(&self, text: &str) -> String {
        fill_database(text, &self.values)
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

/// A filled text with the administrator's and the database's own password in it.
pub(super) fn with_passwords(text: &str, admin: &str, own: &str) -> String {
    let [(_, of_admin, _), (_, of_own, _), ..] = MARKS;
    text.replace(of_admin, admin).replace(of_own, own)
}

/// Whether a filled text holds the administrator's password.
pub(super) fn holds_admin_password(text: &str) -> bool {
    let [(_, mark, _), ..] = MARKS;
    text.contains(mark)
}

/// Whether a kind's programs only work in the very container of its server: they name no host.
pub(crate) fn works_beside_only(kind: &DatabaseKind) -> bool {
    let inputs = [&kind.create, &kind.extension, &kind.topic];
    let reaches = |text: &String| text.contains("{host}") || text.contains("{name}");
    let env = kind.client_env.values().any(reaches);
    inputs.into_iter().flatten().any(|input| !env && !input.run.iter().chain([&input.input]).any(reaches))
}

/// The variable of the database's own password, for inputs that hold it.
pub(super) fn new_password(secret: &str) -> Value {
    from_secret(NEW_PASSWORD, secret, PASSWORD)
}

fn env(texts: &BTreeMap<String, String>, secret: Option<&str>) -> Vec<Value> {
    let mut env: Vec<Value> = secret.map(|secret| from_secret(ADMIN_PASSWORD, secret, PASSWORD)).into_iter().collect();
    let [(_, admin, _), ..] = MARKS;
    env.extend(texts.iter().map(|(name, text)| match secret.filter(|_| text == admin) {
        Some(secret) => from_secret(name, secret, PASSWORD),
        None => json!({ "name": name, "value": referring(text) }),
    }));
    env
}

fn is_marked(text: &str) -> bool {
    MARKS.iter().any(|(_, mark, _)| text.contains(mark))
}

/// A filled text in which Kubernetes replaces nothing but passwords.
fn referring(text: &str) -> String {
    MARKS.iter().fold(literal(text), |text, (_, mark, variable)| text.replace(mark, &format!("$({variable})")))
}

/// Words as a shell takes them, whatever is in them; passwords are variables to it.
fn shell(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let word = format!("'{}'", word.replace('\'', r"'\''"));
    MARKS.iter().fold(word, |word, (_, mark, variable)| word.replace(mark, &format!("'\"${variable}\"'")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_takes_the_words_as_they_are_and_passwords_from_variables() {
        let words = ["printf", "%s|", "it's $HOME `id`", "p=\0admin\0;", "a\nb"].map(str::to_owned);
        let output = Command::new("sh").args(["-c", &shell(&words)]).env(ADMIN_PASSWORD, "s3 'cret").output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's $HOME `id`|p=s3 'cret;|a\nb|");
    }

    #[test]
    fn passwords_come_into_a_text_that_is_sent_and_into_no_other() {
        assert_eq!(with_passwords("a \0admin\0 b \0own\0", "one", "two"), "a one b two");
        assert!(holds_admin_password("\0admin\0") && !holds_admin_password("\0own\0 admin"));
    }

    #[test]
    fn kubernetes_finds_passwords_and_nothing_else_to_replace() {
        assert_eq!(
            referring("$HOME $(ID) \0own\0 \0admin\0"),
            "$$HOME $$(ID) $(CLUSTERGRAPH_PASSWORD) $(CLUSTERGRAPH_ADMIN_PASSWORD)"
        );
    }
}
