//! The container of a service's program.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use clustergraph::catalogue::{CONTAINER_CACHE, CONTAINER_DEPS, CONTAINER_ROOT, fill};
use clustergraph::graph::{Image, Service};

use super::super::{Cause, Program};
use super::Docker;
use super::container::{Container, Mounted};
use crate::protocol::RuntimeName;

/// Where tools in containers keep what all services and sessions may share (downloads, what Go compiled): the variable that
/// they look at is of the XDG Base Directory Specification.
const TOOLS_CACHE: (&str, &str) = ("XDG_CACHE_HOME", "/var/cache/tools");

/// What a stack's texts call the folders of a container.
pub(super) const FOLDERS: &[(&str, &str)] = &[("deps", CONTAINER_DEPS), ("cache", CONTAINER_CACHE)];

impl Docker {
    /// The volume of what is installed for a service, its jobs and its further processes; a new one for each content of
    /// the lock files.
    pub(super) fn deps_volume(&self, service: &Service) -> String {
        format!("ssi-{}-deps-{}-{}", self.session.id, service.owner, service.setup_key.short())
    }

    fn deps_path(service: &Service) -> String {
        match service.stack.setup.as_ref().and_then(|setup| setup.into.as_ref()) {
            Some(into) if service.folder.is_empty() => format!("{CONTAINER_ROOT}/{into}"),
            Some(into) => format!("{CONTAINER_ROOT}/{}/{into}", service.folder),
            None => CONTAINER_DEPS.to_owned(),
        }
    }

    /// The sources, and nothing else of the repository, where they lie in it. What a mount leaves out at
    /// the top of the folder (service.yaml, ignored files) the container does not see.
    fn sources(program: &Program) -> Vec<Mounted> {
        let (service, root) = (&program.service, program.sources.root());
        let mut paths = Vec::new();
        if service.folder.is_empty() {
            paths.extend(service.sources.entries().map(|(name, _)| name.to_owned()));
        } else {
            let own = service.sources.folder(&service.folder).unwrap_or_default();
            paths.extend(own.entries().map(|(name, _)| format!("{}/{name}", service.folder)));
            let included = service.sources.files().into_iter().map(|(path, _)| path);
            let prefix = format!("{}/", service.folder);
            paths.extend(included.filter(|path| !path.starts_with(&prefix)));
        }
        let mounted = |path: String| Mounted::folder(root.join(&path), format!("{CONTAINER_ROOT}/{path}"), true);
        paths.into_iter().map(mounted).collect()
    }

    /// The container that runs a program. One of a stack's image finds the sources, and runs as the caller; one
    /// of an image of its own finds everything in it, as on a cluster.
    pub(super) async fn container(
        &self,
        program: &Program,
        fills_deps: bool,
        tell: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Container, Cause> {
        let service = &program.service;
        let unit = program.unit.to_string();
        let fill = |text: &String| fill(text, FOLDERS);
        let command = program.command.as_ref().map(|words| match program.is_of_stack() {
            true => words.iter().map(fill).collect(),
            false => words.clone(),
        });
        let mut container = Container {
            name: self.name(&unit),
            image: program.image.clone(),
            // As Kubernetes does it: what is said to run runs instead of the image's entrypoint.
            entrypoint: command,
            command: None,
            env: BTreeMap::new(),
            user: None,
            folder: None,
            mounts: Vec::new(),
            ports: program.ports.clone(),
            network: self.network(),
            aliases: vec![unit.clone()],
            hosts: program.hosts.clone(),
            labels: self.labels(&unit),
            terminal: None,
        };
        if matches!(service.image, Image::Recipe(_)) {
            let facts = self.images.ensure(self.engine().await?, &program.image, tell).await?;
            for (name, value) in &service.stack.env {
                let value = fill(value);
                let value = if name == "PATH" { format!("{value}:{}", facts.path) } else { value };
                container.env.insert(name.clone(), value);
            }
            // The caller has no account inside the image, so no home.
            container.env.insert("HOME".to_owned(), "/tmp".to_owned());
            let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            container.user = Some(format!("{user}:{group}"));
            let folder = if service.folder.is_empty() { String::new() } else { format!("/{}", service.folder) };
            container.folder = Some(format!("{CONTAINER_ROOT}{folder}"));
            container.mounts = Self::sources(program);
            if !service.setup.is_empty() {
                let deps = Mounted::volume(self.deps_volume(service), Self::deps_path(service), !fills_deps);
                container.mounts.push(deps);
            }
            if fills_deps || service.stack.has_cache() {
                // Tools of a process find the user's own caches by its home; a container has none.
                let shared = self.session.cache_dir.join("containers");
                std::fs::create_dir_all(&shared)?;
                let (variable, path) = TOOLS_CACHE;
                container.mounts.push(Mounted::folder(shared, path.to_owned(), false));
                container.env.insert(variable.to_owned(), path.to_owned());
            }
            if service.stack.has_cache() {
                let kept = self.session.kept(&service.owner, RuntimeName::Docker);
                std::fs::create_dir_all(&kept)?;
                container.mounts.push(Mounted::folder(kept, CONTAINER_CACHE.to_owned(), false));
            }
        }
        if !fills_deps {
            for (name, volume) in &service.volumes {
                let source = self.service_volume(service, name, &container).await?;
                container.mounts.push(Mounted::volume(source, volume.path.clone(), false));
            }
        }
        container.mounts.extend(self.files(&unit, &program.files)?);
        container.env.extend(program.env.clone());
        Ok(container)
    }

    /// Files at absolute paths. They may hold secrets: nobody else passes through the folder they lie in, and
    /// inside the container whoever the image runs as must read them.
    fn files(&self, unit: &str, files: &BTreeMap<String, String>) -> Result<Vec<Mounted>, Cause> {
        let folder = self.session.state_dir.join("files").join(unit.replace(['/', ':'], "."));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let mut mounts = Vec::new();
        for (at, (path, text)) in files.iter().enumerate() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let file = folder.join(at.to_string());
            std::fs::write(&file, text)?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
            mounts.push(Mounted::folder(file, path.clone(), true));
        }
        Ok(mounts)
    }
}
