//! `ssi env`: what a service finds in its environment.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use super::{Global, Printed, Revision, known_service, up};
use crate::console;
use crate::exit::{Exit, Failure};
use crate::protocol::{Purpose, RuntimeName};
use crate::report::Output;
use crate::supervisor;

/// Arguments of `ssi env`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi env api\n  ssi env api --for host --reveal > .env.local\n  ssi env api --reveal --output json"
)]
pub(crate) struct EnvArgs {
    /// The service
    service: String,
    /// From where its addresses are seen; from where it runs otherwise
    #[arg(long = "for", value_name = "SIDE")]
    side: Option<Side>,
    /// Show secret values
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    printed: Printed,
}

/// Where a program runs that gets the environment.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// On this machine
    Host,
    /// In a container of the session
    Container,
}

/// One variable.
struct Variable {
    value: String,
    is_secret: bool,
}

pub(super) async fn run(global: &Global, args: EnvArgs) -> Result<Exit, Failure> {
    let session = args.revision.session(global)?;
    let graph = global.graph_of(&session, args.printed.output)?;
    known_service(&graph, &args.service)?;
    let side = args.side.map(|side| match side {
        Side::Host => RuntimeName::Process,
        Side::Container => RuntimeName::Docker,
    });
    let wish = up::wish(std::slice::from_ref(&args.service), Purpose::Start);
    let inspected = supervisor::inspect(&session, &graph, &wish, &args.service, side).await.map_err(|failure| {
        let other = if side == Some(RuntimeName::Docker) { "container" } else { "program of this machine" };
        match side {
            // What runs on one side only has a way from the other where somebody there needs it.
            Some(_) => {
                Failure::unusable(format!("no {other} finds all that {} needs: {}", args.service, failure.message))
            }
            None => failure,
        }
    })?;
    let service = graph.services.get(&args.service);
    let is_secret = |name: &str| {
        let own = service.is_some_and(|service| service.secrets.iter().any(|secret| secret.name == name));
        own || service.and_then(|service| service.env.get(name)).is_some_and(clustergraph::wiring::Value::is_secret)
    };
    let variables: BTreeMap<&String, Variable> = inspected
        .program
        .env
        .iter()
        .map(|(name, value)| (name, Variable { value: value.clone(), is_secret: is_secret(name) }))
        .collect();
    if inspected.is_guess {
        console::note("not all of it has run yet: ports and passwords are given at its first start");
    }
    match args.printed.output {
        Output::Json => {
            let shown = |variable: &Variable| (args.reveal || !variable.is_secret).then(|| variable.value.clone());
            let variables: BTreeMap<_, _> = variables
                .iter()
                .map(|(name, variable)| {
                    (name, serde_json::json!({ "value": shown(variable), "secret": variable.is_secret }))
                })
                .collect();
            let side = if side.unwrap_or(inspected.runtime) == RuntimeName::Docker { "container" } else { "host" };
            console::data(
                &serde_json::json!({
                    "schema": "ssi.env/1", "service": args.service, "for": side, "variables": variables,
                })
                .to_string(),
            );
        }
        Output::Text => {
            let lines = variables.iter().map(|(name, variable)| match variable.is_secret && !args.reveal {
                true => format!("{name}='********'"),
                false => format!("{name}={}", quoted(&variable.value)),
            });
            console::data(&lines.collect::<Vec<_>>().join("\n"));
            let masked = variables.values().filter(|variable| variable.is_secret && !args.reveal).count();
            if masked > 0 {
                console::note(&format!(
                    "{masked} secret {} masked: `--reveal` shows them",
                    if masked == 1 { "value is" } else { "values are" }
                ));
            }
        }
    }
    Ok(Exit::Success)
}

/// A value as shells and readers of `.env` files understand it alike.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_every_value_as_it_is() {
        for value in [
            "",
            "plain",
            "http://127.0.0.1:8000/x?y=1",
            "two words",
            "it's",
            "a \"b\" $HOME `id` \\ 'c'",
            "line\nline",
            "#x",
            "~",
            "é",
        ] {
            let script = format!("A={}\nprintf %s \"$A\"", quoted(value));
            let output = std::process::Command::new("sh").args(["-euc", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), value, "{script}");
        }
    }
}
