//! Images that are built here: from a service's sources in repository layout, by the user's own `docker build`, once
//! for each content of the sources.

use std::collections::HashMap;
use std::io::{Seek, SeekFrom};
use std::process::Stdio;
use std::time::Duration;

use bollard::query_parameters::{ListImagesOptions, RemoveImageOptions};
use clustergraph::graph::{Image, Service};
use clustergraph::tree::Dockerfile;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::super::process::{Waited, ended, open_log};
use super::super::{Building, Cause, LAST_LINES, tail};
use super::{Docker, SESSION_LABEL, engine_said, fine_when_gone};
use crate::session::Session;

/// How long a build may take.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// What the image of a service is called that is built here.
pub(crate) fn built_image(service: &Service) -> String {
    format!("ssi-build/{}:{}", service.owner, service.source.short())
}

impl Docker {
    /// Builds an image that the engine lacks.
    pub(super) async fn build(&self, building: &Building, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
        if self.engine().await?.inspect_image(&building.image).await.is_ok() {
            return Ok(());
        }
        let _turn = self.builds.acquire().await.map_err(|_| Cause::new("interrupted"))?;
        tell("reading its sources".to_owned());
        let (session, wanted) = (self.session.clone(), building.clone());
        let context = tokio::task::spawn_blocking(move || context(&session, &wanted));
        let (mut context, dockerfile) = context.await.map_err(|_| Cause::new("interrupted"))??;
        let arguments = self.arguments(building, &dockerfile);
        let first = run(building, &arguments, context.try_clone()?, &[], tell).await;
        let result = match first {
            // A client that was told to use BuildKit, which is no part of it.
            Err(cause) if cause.lines.iter().any(|line| line.contains("buildx component is missing")) => {
                if !building.secrets.is_empty() {
                    return Err(Cause::new(format!(
                        "the image of {} needs `build.secrets`, which only BuildKit keeps out of images: install docker's buildx",
                        building.service.name
                    )));
                }
                context.seek(SeekFrom::Start(0))?;
                run(building, &arguments, context, &[("DOCKER_BUILDKIT", "0")], tell).await
            }
            other => other,
        };
        self.images.forget(&building.image);
        result
    }

    fn arguments(&self, building: &Building, dockerfile: &str) -> Vec<String> {
        let label = format!("{SESSION_LABEL}={}", self.session.id);
        let mut arguments: Vec<String> =
            ["build", "--tag", &building.image, "--file", dockerfile, "--label", &label].map(str::to_owned).into();
        if let Image::Dockerfile(build) = &building.service.image {
            if let Some(target) = &build.target {
                arguments.extend(["--target".to_owned(), target.clone()]);
            }
            for (name, value) in &build.args {
                arguments.extend(["--build-arg".to_owned(), format!("{name}={value}")]);
            }
        }
        for name in building.secrets.keys() {
            arguments.extend(["--secret".to_owned(), format!("id={name},env={name}")]);
        }
        arguments.push("-".to_owned());
        arguments
    }

    /// The names of all images that the engine has of those that are built on laptops.
    pub(crate) async fn built(&self) -> Result<Vec<String>, Cause> {
        let filters = HashMap::from([("reference".to_owned(), vec!["ssi-build/*".to_owned()])]);
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let images = self.engine().await?.list_images(Some(options)).await.map_err(engine_said)?;
        Ok(images.into_iter().flat_map(|image| image.repo_tags).collect())
    }

    /// Removes the images that this session built, but for those that another one runs.
    pub(super) async fn remove_built(&self) -> Result<(), Cause> {
        let engine = self.engine().await?;
        let options = ListImagesOptions { filters: Some(self.filter()), ..Default::default() };
        for image in engine.list_images(Some(options)).await.map_err(engine_said)? {
            let options = RemoveImageOptions { force: image.repo_tags.len() > 1, ..Default::default() };
            let removed = engine.remove_image(&image.id, Some(options), None).await;
            fine_when_gone(removed.map(drop)).map_err(engine_said)?;
        }
        Ok(())
    }
}

/// The tar of what the build reads, in a file without a name, and the Dockerfile's path in it.
fn context(session: &Session, building: &Building) -> Result<(std::fs::File, String), Cause> {
    let service = &building.service;
    let path = service.dockerfile();
    let path = path.ok_or_else(|| Cause::new(format!("nothing says how the image of {} is built", service.name)))?;
    let said = |error: clustergraph::tree::TreeError| Cause::new(error.to_string());
    let tree = session.tree().map_err(said)?;
    let mut file = tempfile::tempfile()?;
    let path = tree.archive(&service.build_root(), &Dockerfile::Path(path), &mut file).map_err(said)?;
    file.seek(SeekFrom::Start(0))?;
    Ok((file, path))
}

/// Runs the user's `docker`, or what `SSI_DOCKER` names, such as `podman`; its steps are told as they come.
async fn run(
    building: &Building,
    arguments: &[String],
    context: std::fs::File,
    env: &[(&str, &str)],
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<(), Cause> {
    let program = std::env::var_os("SSI_DOCKER").filter(|program| !program.is_empty());
    let program = program.unwrap_or_else(|| "docker".into());
    let words = format!("{} build", program.to_string_lossy());
    let mut log = tokio::fs::File::from_std(open_log(&building.log)?);
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .envs(env.iter().copied())
        .envs(&building.secrets)
        .stdin(Stdio::from(context))
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let running = Waited::spawn(command, &words)?;
    let mut lines = BufReader::new(tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?).lines();
    let building_it = async {
        while let Some(line) = lines.next_line().await? {
            log.write_all(format!("{line}\n").as_bytes()).await?;
            if let Some(step) = step(&line) {
                tell(step.to_owned());
            }
        }
        log.flush().await?;
        running.status().await
    };
    let status = tokio::time::timeout(LIMIT, building_it)
        .await
        .map_err(|_| Cause::new(format!("`{words}` took longer than {} minutes", LIMIT.as_secs() / 60)))??;
    if status.success() {
        return Ok(());
    }
    let message = format!("the image of {} does not build: `{words}` {}", building.service.name, ended(status));
    Err(Cause { message, lines: tail(&building.log, LAST_LINES) })
}

/// The step that a line of a build begins: `Step 2/4 : RUN x` of the classic builder, `#7 [2/4] RUN x` of BuildKit.
fn step(line: &str) -> Option<&str> {
    if line.starts_with("Step ") {
        return Some(line);
    }
    let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
    (number.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with('[') && !rest.contains("[internal]"))
        .then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn steps_of_both_builders_are_known() {
        assert_eq!(step("Step 2/4 : RUN pip install"), Some("Step 2/4 : RUN pip install"));
        assert_eq!(step("#7 [2/4] RUN pip install"), Some("[2/4] RUN pip install"));
        for noise in ["#1 [internal] load build definition", "#7 0.312 Collecting flask", " ---> 3a850ca5adb8", "# a"] {
            assert_eq!(step(noise), None, "{noise}");
        }
    }
}
