//! The user's own `docker`, or a program that takes the same arguments.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use clustergraph::graph::{Image, Service};
use tokio::process::Command;

use super::Wanted;
use super::context::Context;
use crate::error::{Error, Result};

/// How much of a log is shown when a build fails.
const SHOWN: usize = 20;

/// Builds and pushes.
pub(super) struct Docker {
    program: OsString,
}

impl Docker {
    /// `docker`, or what `KOMANDAN_DOCKER` names, such as `podman`.
    pub(super) fn new() -> Self {
        let program = std::env::var_os("KOMANDAN_DOCKER").filter(|program| !program.is_empty());
        Self { program: program.unwrap_or_else(|| "docker".into()) }
    }

    /// Builds a service's image under the name that is wanted.
    pub(super) async fn build(&self, service: &Service, wanted: &Wanted, context: Context) -> Result<()> {
        let arguments = arguments(service, &wanted.name, &context.dockerfile);
        let what = format!("the image of {}", service.name);
        let again = context.tar.try_clone().ok();
        let log = match self.run(&arguments, Some(context.tar), &[]).await? {
            Ended::Well => return Ok(()),
            // The client was told to use BuildKit, which is no part of it here.
            Ended::Badly(log) if log.text.contains("buildx component is missing") => match again {
                _ if has_secrets(service) => {
                    return Err(log.error(&format!(
                        "{what} needs `build.secrets` ({}), which only BuildKit keeps out of images: install docker's buildx",
                        service.place
                    )));
                }
                Some(mut tar) => {
                    std::io::Seek::rewind(&mut tar)
                        .map_err(|error| Error::Io { what: "reading the build context again".to_owned(), error })?;
                    match self.run(&arguments, Some(tar), &[("DOCKER_BUILDKIT", "0")]).await? {
                        Ended::Well => return Ok(()),
                        Ended::Badly(second) => second,
                    }
                }
                None => log,
            },
            Ended::Badly(log) => log,
        };
        Err(log.error(&format!("{what} does not build")))
    }

    /// Pushes an image.
    pub(super) async fn push(&self, image: &str) -> Result<()> {
        match self.run(&["push".to_owned(), image.to_owned()], None, &[]).await? {
            Ended::Well => Ok(()),
            Ended::Badly(log) => Err(log.error(&format!("{image} cannot be pushed"))),
        }
    }

    async fn run(&self, arguments: &[String], stdin: Option<File>, env: &[(&str, &str)]) -> Result<Ended> {
        let program = self.program.to_string_lossy().into_owned();
        let failed = |error| Error::Io {
            what: format!("running {program} (KOMANDAN_DOCKER names another program that builds images)"),
            error,
        };
        // One file for both streams, in the order in which things were said.
        let (log, path) = tempfile::Builder::new()
            .prefix("komandan-build-")
            .suffix(".log")
            .tempfile()
            .and_then(|file| file.keep().map_err(|error| error.error))
            .map_err(failed)?;
        let both = log.try_clone().map_err(failed)?;
        let status = Command::new(&self.program)
            .args(arguments)
            .envs(env.iter().copied())
            .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(both))
            .kill_on_drop(true)
            .status()
            .await
            .map_err(failed)?;
        if status.success() {
            let _ = std::fs::remove_file(&path);
            return Ok(Ended::Well);
        }
        let text = std::fs::read(&path).map_err(failed)?;
        Ok(Ended::Badly(Log { path, text: String::from_utf8_lossy(&text).into_owned() }))
    }
}

/// The command line that builds a service's image, of a context on its standard input.
fn arguments(service: &Service, name: &str, dockerfile: &str) -> Vec<String> {
    let mut arguments: Vec<String> = ["build", "--tag", name, "--file", dockerfile].map(str::to_owned).into();
    if let Image::Dockerfile(build) = &service.image {
        if let Some(target) = &build.target {
            arguments.extend(["--target".to_owned(), target.clone()]);
        }
        for (name, value) in &build.args {
            arguments.extend(["--build-arg".to_owned(), format!("{name}={value}")]);
        }
        // The value goes by the environment that the builder has from us: it is on no command line.
        for name in &build.secrets {
            arguments.extend(["--secret".to_owned(), format!("id={name},env={name}")]);
        }
    }
    arguments.push("-".to_owned());
    arguments
}

/// Whether a build needs values that must not be in its image.
fn has_secrets(service: &Service) -> bool {
    matches!(&service.image, Image::Dockerfile(build) if !build.secrets.is_empty())
}

enum Ended {
    Well,
    Badly(Log),
}

struct Log {
    path: PathBuf,
    text: String,
}

impl Log {
    fn error(&self, what: &str) -> Error {
        let lines: Vec<&str> = self.text.lines().filter(|line| !line.trim().is_empty()).collect();
        let shown = lines[lines.len().saturating_sub(SHOWN)..].join("\n  ");
        Error::Image(format!("{what}. Its last words:\n  {shown}\nall of them: {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clustergraph::graph::Graph;
    use clustergraph::tree::Tree;

    #[test]
    fn a_build_gets_its_arguments_and_the_names_of_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pay")).unwrap();
        let text = "name: pay\nbuild: { dockerfile: Dockerfile, target: prod, args: { A: b }, secrets: [NPM_TOKEN] }\n";
        for (file, text) in [("service.yaml", text), ("Dockerfile", "FROM scratch\n")] {
            std::fs::write(folder.path().join("pay").join(file), text).unwrap();
        }
        let git = std::process::Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status();
        assert!(git.unwrap().success());
        let graph = Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "production").unwrap();
        let line = arguments(&graph.services["pay"], "registry/pay:1", "pay/Dockerfile").join(" ");
        let secret = "--secret id=NPM_TOKEN,env=NPM_TOKEN";
        let rest = "build --tag registry/pay:1 --file pay/Dockerfile --target prod --build-arg A=b";
        assert_eq!(line, format!("{rest} {secret} -"));
        assert!(has_secrets(&graph.services["pay"]));
        let lacks = |given: bool| super::super::lacks(&graph.services["pay"], |_| given);
        assert_eq!(lacks(true), Vec::<String>::new());
        assert_eq!(lacks(false), ["the build of pay needs the secret NPM_TOKEN (pay/service.yaml:2:22)"]);
    }
}
