//! A healthcheck of a Compose file as a question of ours.

use serde_yaml::{Mapping, Value};

use super::compose::text;

/// What is asked, and how long.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) probe: Option<Probe>,
    /// The port that is asked, where the check names one.
    pub(super) port: Option<u16>,
    pub(super) timeout: Option<String>,
    /// Seconds that the start may take.
    pub(super) start_seconds: Option<u64>,
}

/// The question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    Http(String),
    Tcp,
    Grpc,
    Command(Vec<String>),
}

/// Reads a check; `None` where it is switched off or says nothing.
pub(super) fn health(check: &Mapping) -> Option<Health> {
    if check.get("disable").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let (probe, port) = match check.get("test") {
        Some(Value::Sequence(list)) => {
            let list: Vec<String> = list.iter().filter_map(text).collect();
            match list.split_first() {
                Some((first, _)) if first == "NONE" => return None,
                Some((first, rest)) if first == "CMD-SHELL" => of_line(&rest.join(" ")),
                Some((first, rest)) if first == "CMD" => of_words(rest, || Probe::Command(rest.to_vec())),
                _ => return None,
            }
        }
        Some(Value::String(line)) => of_line(line),
        _ => (None, None),
    };
    let seconds = |key: &str| check.get(key).and_then(text).and_then(|text| seconds(&text));
    let retries = check.get("retries").and_then(Value::as_u64).unwrap_or(3);
    let start = (check.contains_key("start_period") || check.contains_key("retries") || check.contains_key("interval"))
        .then(|| seconds("start_period").unwrap_or(0) + seconds("interval").unwrap_or(30) * retries);
    Some(Health { probe, port, timeout: check.get("timeout").and_then(text), start_seconds: start })
}

fn of_line(line: &str) -> (Option<Probe>, Option<u16>) {
    let line = line.replace("$$", "$");
    let shell = || Probe::Command(vec!["sh".to_owned(), "-c".to_owned(), line.clone()]);
    // What a shell would do beyond one program is left to it.
    let plain = line.split("||").next().unwrap_or(&line);
    let is_plain = !plain.contains(['|', '&', ';', '>', '<', '$', '`']);
    match shlex::split(plain).filter(|_| is_plain) {
        Some(words) => of_words(&words, shell),
        None => (Some(shell()), None),
    }
}

/// A program that asks what we can ask ourselves is not needed: the image may not even have it.
fn of_words(words: &[String], otherwise: impl Fn() -> Probe) -> (Option<Probe>, Option<u16>) {
    let program = words.first().map(|word| word.rsplit('/').next().unwrap_or(word)).unwrap_or_default();
    let found = match program {
        "curl" | "wget" => {
            let has_body = words.iter().any(|word| matches!(word.as_str(), "-X" | "-d" | "--data" | "-H" | "--header"));
            words.iter().skip(1).find_map(|word| local_url(word)).filter(|_| !has_body)
        }
        "nc" => words.last().and_then(|port| port.parse().ok()).map(|port| (Probe::Tcp, Some(port))),
        "grpc_health_probe" => Some((Probe::Grpc, None)),
        _ => None,
    };
    match found {
        Some((probe, port)) => (Some(probe), port),
        None => (Some(otherwise()), None),
    }
}

/// The path and port of a URL of the container itself.
fn local_url(word: &str) -> Option<(Probe, Option<u16>)> {
    let rest = word.strip_prefix("http://").or_else(|| (!word.starts_with('-')).then_some(word))?;
    let host = ["localhost", "127.0.0.1", "0.0.0.0", "[::1]"].into_iter().find(|host| rest.starts_with(host))?;
    let rest = &rest[host.len()..];
    let (port, path) = rest.split_once('/').map_or((rest, String::new()), |(port, path)| (port, path.to_owned()));
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        None => return None,
    };
    Some((Probe::Http(format!("/{path}")), port))
}

/// `1m30s`, `90s`, `500ms` as whole seconds.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                "us" | "ns" => 0.0,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    // Durations of a file are far below what a u64 holds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some(total.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(check: &str) -> String {
        let Value::Mapping(check) = serde_yaml::from_str(check).unwrap() else { panic!() };
        match health(&check) {
            None | Some(Health { probe: None, .. }) => "nothing".to_owned(),
            Some(Health { probe: Some(probe), port, .. }) => {
                format!("{probe:?} {}", port.map_or(String::new(), |port| port.to_string()))
            }
        }
    }

    #[test]
    fn what_programs_ask_of_the_container_itself_is_asked_by_us() {
        for (check, expected) in [
            ("test: [CMD, curl, -f, \"http://localhost:3000/health\"]", "Http(\"/health\") 3000"),
            ("test: curl --fail http://127.0.0.1/ready || exit 1", "Http(\"/ready\") "),
            ("test: [CMD-SHELL, \"wget -q --spider http://localhost:8080 || exit 1\"]", "Http(\"/\") 8080"),
            ("test: [CMD, nc, -z, localhost, '6000']", "Tcp 6000"),
            ("test: [CMD, grpc_health_probe, -addr=:50051]", "Grpc "),
            ("test: [CMD, ./healthy, --deep]", "Command([\"./healthy\", \"--deep\"]) "),
            (
                "test: [CMD-SHELL, 'test $$(cat /tmp/n) -gt 0']",
                "Command([\"sh\", \"-c\", \"test $(cat /tmp/n) -gt 0\"]) ",
            ),
            ("test: [CMD, curl, http://other:3000/]", "Command([\"curl\", \"http://other:3000/\"]) "),
            ("test: [NONE]", "nothing"),
            ("disable: true", "nothing"),
        ] {
            assert_eq!(asked(check), expected, "{check}");
        }
    }

    #[test]
    fn a_start_may_take_all_its_tries() {
        let Value::Mapping(check) =
            serde_yaml::from_str("{test: [CMD, x], interval: 5s, retries: 4, start_period: 1m10s}").unwrap()
        else {
            panic!()
        };
        assert_eq!(health(&check).unwrap().start_seconds, Some(90));
        assert_eq!([seconds("1h"), seconds("500ms"), seconds("x")], [Some(3600), Some(1), None]);
    }
}
