//! Volumes: data of servers, folders of services, installed dependencies.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use clustergraph::graph::{Service, Unit};

use super::super::Cause;
use super::container::Container;
use super::{Docker, Mounted, SESSION_LABEL, UNIT_LABEL, engine_said, fine_when_gone};

/// Which data lies in a volume.
const INCARNATION_LABEL: &str = "dev.clustergraph.incarnation";

impl Docker {
    /// Makes a volume, unless it is there.
    pub(super) async fn ensure_volume(&self, name: &str, unit: &Unit, incarnation: Option<&str>) -> Result<(), Cause> {
        let mut labels: HashMap<String, String> = self.labels(&unit.to_string());
        labels.extend(incarnation.map(|name| (INCARNATION_LABEL.to_owned(), name.to_owned())));
        let request = VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..Default::default() };
        self.engine().await?.create_volume(request).await.map_err(engine_said)?;
        Ok(())
    }

    /// Makes a volume with nothing in it.
    pub(super) async fn empty_volume(&self, name: &str, unit: &Unit) -> Result<(), Cause> {
        let removed = self.engine().await?.remove_volume(name, None::<RemoveVolumeOptions>).await;
        fine_when_gone(removed).map_err(engine_said)?;
        self.ensure_volume(name, unit, None).await
    }

    /// A service's own volume. A new one belongs to root, and a container that runs as the caller could not write
    /// there: it is handed over first, by a container of the same image.
    pub(super) async fn service_volume(
        &self,
        service: &Service,
        name: &str,
        container: &Container,
    ) -> Result<String, Cause> {
        let engine = self.engine().await?;
        let volume = format!("ssi-{}-volume-{}.{name}", self.session.id, service.owner);
        if engine.inspect_volume(&volume).await.is_ok() {
            return Ok(volume);
        }
        let unit = Unit::new(clustergraph::graph::UnitKind::Service, &service.owner);
        let Some(user) = container.user.clone().filter(|user| user != "0:0") else {
            self.ensure_volume(&volume, &unit, None).await?;
            return Ok(volume);
        };
        // Half of this must not look like the whole of it.
        let handing = || async {
            self.ensure_volume(&volume, &unit, None).await?;
            let mut giver = container.clone();
            giver.name = format!("{}.{name}", giver.name);
            giver.entrypoint = Some(["chown", &user, "/volume"].map(str::to_owned).into());
            giver.user = Some("0:0".to_owned());
            giver.folder = None;
            giver.ports.clear();
            giver.mounts = vec![Mounted::volume(volume.clone(), "/volume".to_owned(), false)];
            giver.run_to_end(engine, "chown").await
        };
        if let Err(cause) = handing().await {
            let _ = engine.remove_volume(&volume, None::<RemoveVolumeOptions>).await; // the cause counts
            return Err(cause);
        }
        Ok(volume)
    }

    /// The incarnations of the data of servers.
    pub(super) async fn incarnations(&self, servers: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Cause> {
        let volumes = self.volumes().await?;
        let of = |labels: HashMap<String, String>| {
            Some((labels.get(UNIT_LABEL)?.clone(), labels.get(INCARNATION_LABEL)?.clone()))
        };
        Ok(volumes.into_values().filter_map(of).filter(|(server, _)| servers.contains(server)).collect())
    }

    pub(super) async fn remove_volumes(&self) -> Result<(), Cause> {
        for name in self.volumes().await?.into_keys() {
            let removed = self.engine().await?.remove_volume(&name, None::<RemoveVolumeOptions>).await;
            fine_when_gone(removed).map_err(engine_said)?;
        }
        Ok(())
    }

    /// The session's volumes with their labels.
    async fn volumes(&self) -> Result<BTreeMap<String, HashMap<String, String>>, Cause> {
        let options = ListVolumesOptions { filters: Some(self.filter()) };
        let volumes = self.engine().await?.list_volumes(Some(options)).await.map_err(engine_said)?;
        let ours = |labels: &HashMap<String, String>| labels.get(SESSION_LABEL) == Some(&self.session.id);
        let volumes = volumes.volumes.unwrap_or_default().into_iter().map(|volume| (volume.name, volume.labels));
        Ok(volumes.filter(|(_, labels)| ours(labels)).collect())
    }
}
