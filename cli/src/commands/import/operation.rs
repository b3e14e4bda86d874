//! How a service is kept running, and how much of it there is.

use serde_yaml::{Mapping, Value};

use super::Findings;
use super::compose::{Service, text};
use super::nodes::label;
use super::yaml::map;

/// Writes what the Compose file says of it.
pub(super) fn operation(service: &Service, is_task: bool, yaml: &mut Mapping, findings: &mut Findings) {
    if !service.profiles.is_empty() {
        yaml.insert("start".into(), "manual".into());
        let why = format!("there are no profiles: it starts when it is named (`ssi up {}`)", label(&service.name));
        findings.add(Some(&service.name), &format!("profiles {}", service.profiles.join(", ")), &why);
    }
    let restart = match service.restart.as_deref().map(|word| word.split(':').next().unwrap_or(word)) {
        Some("always" | "unless-stopped") if !is_task => Some("always"),
        Some("on-failure") => Some("on-failure"),
        _ => None,
    };
    if let Some(restart) = restart {
        yaml.insert("restart".into(), restart.into());
    }
    let mut stop = Mapping::new();
    if let Some(signal) = &service.stop_signal {
        stop.insert("signal".into(), signal.trim_start_matches("SIG").into());
    }
    if let Some(grace) = &service.stop_grace_period {
        stop.insert("grace".into(), grace.as_str().into());
    }
    map(yaml, "stop", stop);
    let replicas = service.deploy.get("replicas").and_then(Value::as_u64).filter(|count| *count > 1 && !is_task);
    if let Some(replicas) = replicas {
        yaml.insert("scale".into(), Mapping::from_iter([("replicas".into(), replicas.into())]).into());
        findings.add(
            Some(&service.name),
            &format!("deploy.replicas {replicas}"),
            "a laptop runs one of each; a cluster runs as many",
        );
    }
    let limits = service.deploy.get("resources").and_then(|resources| resources.get("limits"));
    let mut resources = Mapping::new();
    if let Some(cpu) =
        limits.and_then(|limits| limits.get("cpus")).and_then(text).and_then(|text| text.parse::<f64>().ok())
    {
        resources.insert("cpu".into(), format!("{:.0}m", cpu * 1000.0).into());
    }
    if let Some(memory) = limits.and_then(|limits| limits.get("memory")).and_then(text).and_then(|text| memory(&text)) {
        resources.insert("memory".into(), memory.into());
    }
    map(yaml, "resources", resources);
    for key in service.deploy.keys().filter_map(Value::as_str) {
        if !matches!(key, "replicas" | "resources" | "restart_policy" | "mode") {
            findings.add(Some(&service.name), &format!("deploy.{key}"), "how a cluster is deployed, komandan decides");
        }
    }
    if service.labels.iter().any(|(name, _)| name.starts_with("traefik.")) {
        let why = "they configure a proxy: write `public: { path: / }` for an entry into the cluster";
        findings.add(Some(&service.name), "labels traefik.*", why);
    }
}

/// `512m` of Compose, in powers of 1024, as a quantity.
fn memory(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let unit = match lower[digits..].trim_end_matches('b') {
        "" => "",
        "k" => "Ki",
        "m" => "Mi",
        "g" => "Gi",
        _ => return None,
    };
    Some(format!("{}{unit}", &lower[..digits]))
}
