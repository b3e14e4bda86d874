//! Where the engine is: found as docker's own client does, so that both always mean the same one.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::super::Cause;

const DEFAULT: &str = "unix:///var/run/docker.sock";

/// What is read of the client's configuration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    current_context: Option<String>,
}

/// What is read of a context.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: Option<String>,
}

/// The address of the engine: `DOCKER_HOST`, else that of the context that `DOCKER_CONTEXT` or the client's
/// configuration names, else the usual socket.
pub(super) fn find(variable: impl Fn(&str) -> Option<String>) -> Result<String, Cause> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        return usable(host, "DOCKER_HOST");
    }
    let home = || Some(PathBuf::from(set("HOME")?).join(".docker"));
    let Some(folder) = set("DOCKER_CONFIG").map(PathBuf::from).or_else(home) else { return Ok(DEFAULT.to_owned()) };
    let name = match set("DOCKER_CONTEXT") {
        Some(name) => Some(name),
        // Nobody need have configured anything; what is broken there, docker itself tells.
        None => read::<Config>(&folder.join("config.json")).and_then(|config| config.current_context),
    };
    let Some(name) = name.filter(|name| !name.is_empty() && name != "default") else { return Ok(DEFAULT.to_owned()) };
    let id = hex::encode(Sha256::digest(name.as_bytes()));
    let context = read::<Context>(&folder.join("contexts/meta").join(id).join("meta.json"));
    let host = context.and_then(|context| context.endpoints.docker?.host);
    let host = host.ok_or_else(|| {
        Cause::new(format!("the docker context `{name}` names no engine: see `docker context ls`, or set DOCKER_HOST"))
    })?;
    usable(host, &format!("the docker context `{name}`"))
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn usable(host: String, by: &str) -> Result<String, Cause> {
    if ["unix://", "tcp://", "http://"].iter().any(|scheme| host.starts_with(scheme)) {
        return Ok(host);
    }
    Err(Cause::new(format!(
        "{by} names the engine {host}, which ssi cannot reach: sources are mounted, so the engine must run here or in a \
         virtual machine of this machine, at unix:// or tcp://"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &Path, variables: &[(&str, &str)]) -> Result<String, String> {
        let home = folder.to_string_lossy().into_owned();
        let variables: Vec<(&str, &str)> = variables.iter().copied().chain([("HOME", home.as_str())]).collect();
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        find(variable).map_err(|cause| cause.message)
    }

    #[test]
    fn the_engine_is_the_one_that_docker_itself_would_mean() {
        let folder = tempfile::tempdir().unwrap();
        let at = |variables: &[(&str, &str)]| found(folder.path(), variables);
        assert_eq!(at(&[]), Ok(DEFAULT.to_owned()));
        let context = |name: &str, host: &str| {
            let id = hex::encode(Sha256::digest(name.as_bytes()));
            let meta = folder.path().join(".docker/contexts/meta").join(id);
            std::fs::create_dir_all(&meta).unwrap();
            let text = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
            std::fs::write(meta.join("meta.json"), text).unwrap();
        };
        context("colima", "unix:///home/x/.colima/docker.sock");
        context("far", "ssh://far");
        std::fs::write(folder.path().join(".docker/config.json"), r#"{"auths":{},"currentContext":"colima"}"#).unwrap();
        assert_eq!(at(&[]), Ok("unix:///home/x/.colima/docker.sock".to_owned()));
        assert_eq!(at(&[("DOCKER_CONTEXT", "default")]), Ok(DEFAULT.to_owned()));
        let both = [("DOCKER_HOST", "tcp://127.0.0.1:2375"), ("DOCKER_CONTEXT", "colima")];
        assert_eq!(at(&both), Ok("tcp://127.0.0.1:2375".to_owned()));
        assert!(at(&[("DOCKER_CONTEXT", "gone")]).unwrap_err().contains("docker context ls"));
        let far = at(&[("DOCKER_CONTEXT", "far")]).unwrap_err();
        assert!(far.contains("the docker context `far` names the engine ssh://far, which ssi cannot reach"), "{far}");
        std::fs::write(folder.path().join(".docker/config.json"), "{").unwrap();
        assert_eq!(at(&[]), Ok(DEFAULT.to_owned()));
    }
}
