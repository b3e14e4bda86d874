//! What objects are called, and the labels and annotations by which they are known again.

use std::collections::BTreeMap;

use clustergraph::graph::{Database, Key, Service};
use serde_json::json;

/// Our name in `app.kubernetes.io/managed-by`, and our field manager.
pub(crate) const MANAGER: &str = "komandan";

/// Who made an object. Copied by controllers onto what they make: never enough by itself to delete.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The cluster that an object belongs to.
pub(crate) const PART_OF: &str = "app.kubernetes.io/part-of";
/// The service that a pod is an instance of.
pub(crate) const NAME: &str = "app.kubernetes.io/name";
/// The workload that a pod is an instance of.
pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
/// The version of that service; of what is changed in place it is the same for all versions.
pub(crate) const ID: &str = "clustergraph.dev/id";
/// What an object is for; one of [`Component`].
pub(crate) const COMPONENT: &str = "clustergraph.dev/component";

/// The hash of what we rendered, without what is changed in place by its number (the size).
pub(crate) const HASH: &str = "clustergraph.dev/hash";
/// The hash of a Deployment of which not everything is there yet that stands beside it.
pub(crate) const UNFINISHED: &str = "unfinished";
/// The fence of the lock under which an object was last changed.
pub(crate) const FENCE: &str = "clustergraph.dev/fence";
/// On what the store changes: a mark of the last write, by which its writer knows it again.
pub(crate) const WRITE: &str = "clustergraph.dev/write";
/// The version that an entry leads to.
pub(crate) const VERSION: &str = "clustergraph.dev/version";
/// On a Deployment and its pods: the workloads that it calls, so that it can end before them.
pub(crate) const CALLS: &str = "clustergraph.dev/calls";
/// On a Deployment that is changed in place: the version that it is now.
pub(crate) const NOW: &str = "clustergraph.dev/now";
/// On a Deployment: the seconds that an instance may take to become ready after its start.
pub(crate) const START_TIMEOUT: &str = "clustergraph.dev/start-timeout";
/// On a Deployment that must not run beside its former version.
pub(crate) const HANDED_OVER: &str = "clustergraph.dev/handed-over";
/// On a Deployment that was ended at a switch: how many instances it had.
pub(crate) const SIZE: &str = "clustergraph.dev/size";
/// On what only a former version needs: until when it stays.
pub(crate) const WARM_UNTIL: &str = "clustergraph.dev/warm-until";
/// On a Deployment: the hash of what stands beside it and is not watched.
pub(crate) const BESIDE: &str = "clustergraph.dev/beside";
/// On a Deployment and its pods: a code of the secrets that they were started with.
pub(crate) const SECRETS: &str = "clustergraph.dev/secrets";
/// On a namespace that we made, and that therefore goes with the last of its data.
pub(crate) const CREATED: &str = "clustergraph.dev/created-by";

/// On the namespace of a cluster that ends by itself: where its end is written down.
pub(crate) const HOME: &str = "clustergraph.dev/home";
/// On the same: the uid of the Job with which it ends.
pub(crate) const END: &str = "clustergraph.dev/end";
/// On that Job: the cluster's namespace.
pub(crate) const LIVES_IN: &str = "clustergraph.dev/namespace";
/// On that Job: what clustergraph.yaml calls the cluster's settings.
pub(crate) const SETTINGS: &str = "clustergraph.dev/settings";
/// On that Job: who made the cluster.
pub(crate) const AUTHOR: &str = "clustergraph.dev/author";
/// On that Job: since when the cluster sleeps.
pub(crate) const ASLEEP: &str = "clustergraph.dev/asleep-since";
/// On that Job, where it is in a namespace of a pool: that no other namespace of the pool is the cluster's.
pub(crate) const SETTLED: &str = "clustergraph.dev/settled";

/// On that Job: from which cluster it borrows, if it does.
pub(crate) const FROM: &str = "clustergraph.dev/from";
/// On that Job: that cluster's namespace.
pub(crate) const FROM_NAMESPACE: &str = "clustergraph.dev/from-namespace";
/// On the namespace of what borrows: the namespace of the cluster that lends, whose policy lets it in.
pub(crate) const OVERLAY_OF: &str = "clustergraph.dev/overlay-of";

/// On a pod: when its service was last restarted by hand.
pub(crate) const RESTARTED: &str = "clustergraph.dev/restarted-at";

/// The id that no version has: an entry of it leads nowhere, but keeps its address.
pub(crate) const NOWHERE: &str = "none";

/// The Job in a namespace of a pool with which the cluster there ends: of two who take one, only one makes it.
pub(crate) const END_JOB: &str = "komandan-end";
/// The lock's Lease.
pub(crate) const LOCK: &str = "komandan-lock";
/// The ConfigMap that says which version is served.
pub(crate) const HEAD: &str = "komandan-head";
/// The ConfigMap that says what was done to which database.
pub(crate) const DATABASES: &str = "komandan-databases";
/// The ConfigMap that says which tasks have run.
pub(crate) const TASKS: &str = "komandan-tasks";
/// The ConfigMap that says which versions are borrowed, by whom, and for how long.
pub(crate) const PINS: &str = "komandan-pins";
/// The Secret with the key by which secrets are compared. No database's credentials have a name of two parts.
pub(crate) const KEY_SECRET: &str = "credentials.komandan";
/// The container of a service's pod.
pub(crate) const CONTAINER: &str = "service";
/// The Ingress in front of all entries.
pub(crate) const FRONT: &str = "komandan-entries";
/// The ServiceAccount of the cluster's pods, which may do nothing.
pub(crate) const ACCOUNT: &str = "komandan-workload";

/// The volume claim of a server, as its StatefulSet calls it.
pub(crate) const VOLUME: &str = "data";
/// On the binding of the rights in the home of such clusters: the role that is granted in each of their namespaces.
pub(crate) const GRANTS: &str = "clustergraph.dev/grants";
/// What all of a cluster that ends by itself may take, and what a container asks for that does not say it.
pub(crate) const QUOTA: &str = "komandan-quota";
/// The policy of all pods.
pub(crate) const DEFAULT_POLICY: &str = "komandan-default";
/// The policy that lets in who borrows.
pub(crate) const LENDING_POLICY: &str = "komandan-lending";
/// The policy that lets out who borrows, where nobody else is.
pub(crate) const BORROWING_POLICY: &str = "komandan-borrowing";
/// The policy of what makes databases.
pub(crate) const MIGRATIONS_POLICY: &str = "komandan-migrations";

/// The longest name of a Service, and the longest value of a label.
const LONGEST: usize = 63;
/// The longest name of a StatefulSet: its revisions put a dash and ten characters behind it, in a label.
const LONGEST_SET: usize = LONGEST - 11;
/// The longest name of a CronJob: its Jobs get eleven characters more, and shards of a Job an index.
const LONGEST_OF_A_CRON_JOB: usize = 52;

/// What an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    /// One version of a service.
    Service,
    /// What runs once for a version.
    Task,
    /// What runs now and then.
    Job,
    /// A volume's claim: data, outlives everything but `down --delete-data`.
    Volume,
    /// What leads into the cluster.
    Entry,
    /// A database server and what belongs to it.
    Database,
    /// A database's credentials: data, outlives everything but `down --delete-data`.
    Credentials,
    /// What people gave for a service to keep: data, outlives everything but `down --delete-data`.
    Secrets,
    /// Something that runs once for a database.
    Migration,
    /// What ends a former version that is kept ready for a while.
    Warm,
    /// What asks a service that serves whether it does its work.
    Smoke,
    /// Tests of a service.
    Test,
    /// Who may call whom.
    Policy,
    /// The store of versions.
    Store,
    /// Shared by all pods.
    Base,
    /// What ends a cluster by itself.
    End,
    /// The namespace of such a cluster, and what bounds it.
    Transient,
}

impl Component {
    /// The label's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Task => "task",
            Self::Job => "job",
            Self::Volume => "volume",
            Self::Entry => "entry",
            Self::Database => "database",
            Self::Credentials => "credentials",
            Self::Secrets => "secrets",
            Self::Migration => "migration",
            Self::Warm => "warm",
            Self::Smoke => "smoke",
            Self::Test => "test",
            Self::Policy => "policy",
            Self::Store => "store",
            Self::Base => "base",
            Self::End => "end",
            Self::Transient => "transient",
        }
    }
}

/// The labels of an object.
pub(crate) fn labels(cluster: &str, component: Component) -> BTreeMap<String, String> {
    [(MANAGED_BY, MANAGER), (PART_OF, cluster), (COMPONENT, component.as_str())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Selects everything of a cluster that we made.
pub(crate) fn selector(cluster: &str) -> String {
    format!("{MANAGED_BY}={MANAGER},{PART_OF}={cluster}")
}

/// A service's workload and Service of the version of this id: `order-3f9c2a81d0`.
pub(crate) fn workload(service: &Service, id: &str) -> String {
    // A process's name has a dot, which no name of a Service has. The id tells `a.b` from `a-b`.
    versioned(&service.name.replace('.', "-"), id)
}

/// A job's CronJob: it keeps its name, so that there is never a second one.
pub(crate) fn cron_job(service: &Service) -> String {
    fit_in(LONGEST_OF_A_CRON_JOB, &service.name.replace('.', "-"), "")
}

/// What people gave for a service, by the names of its `secrets:`. A name of Secrets may be longer than a Service's.
pub(crate) fn service_secret(owner: &str) -> String {
    format!("{owner}-secrets")
}

/// The policy that says who may call a service. No service's name has a dot before a process's.
pub(crate) fn policy_to_service(service: &str) -> String {
    format!("to.{service}")
}

/// The policy that says who may call a database server.
pub(crate) fn policy_to_server(server: &str) -> String {
    format!("to-server.{server}")
}

/// The policy that says what a service may reach.
pub(crate) fn policy_from_service(service: &str) -> String {
    format!("from.{service}")
}

/// A volume's claim, by address. Labels hold no dots, so two addresses never meet.
pub(crate) fn claim(owner: &str, volume: &str) -> String {
    format!("volume.{owner}.{volume}")
}

/// The ConfigMap of a workload's files, by what they say.
pub(crate) fn files(workload: &str, hash: &str) -> String {
    format!("{workload}.files-{}", hash.get(..10).unwrap_or(hash))
}

/// The role that those who have rights in the home of clusters are granted in each of their namespaces.
pub(crate) fn granted_role(home: &str) -> String {
    format!("{MANAGER}-{home}-clusters")
}

fn versioned(name: &str, id: &str) -> String {
    fit(name, &format!("-{id}"))
}

/// A database server's StatefulSet and Service.
pub(crate) fn server(database: &Database) -> String {
    server_of(&database.server)
}

/// The claim of a server's volume, as the StatefulSet of this name makes it.
pub(crate) fn server_claim(server: &str) -> String {
    format!("{VOLUME}-{server}-0")
}

/// The administrator's password of a server. No database's credentials have a name of two parts that begins so.
pub(crate) fn admin_secret(server: &str) -> String {
    format!("credentials.{server}")
}

/// A logical database's user and password. Labels hold no dots, so two addresses never meet.
pub(crate) fn credentials_secret(database: &Database) -> String {
    credentials(&database.address)
}

/// The credentials of a logical database by its address, whatever its kind.
pub(crate) fn credentials(address: &str) -> String {
    let first = if address.contains('/') { "credentials" } else { "credentials-of-all" };
    format!("{first}.{}", address.replace('/', "."))
}

/// A database server's StatefulSet and Service, by what the graph calls the server.
pub(crate) fn server_of(server: &str) -> String {
    fit_in(LONGEST_SET, &format!("db-{}", server.replace(['.', '_'], "-").to_ascii_lowercase()), "")
}

/// A database's address with something else between owner and alias.
fn of_address(database: &Database, between: char) -> String {
    database.address.replace('/', &between.to_string())
}

/// A database's address as the value of a label.
pub(crate) fn database_label(database: &Database) -> String {
    fit(&of_address(database, '.'), "")
}

/// A Job that makes a database or brings its schema up to date, by all that decides what it does.
pub(crate) fn database_job(verb: &str, database: &Database, image: &str) -> String {
    let does =
        json!([database.address, database.server, database.migration, database.topics, database.extensions, image]);
    let key = Key::of("database-job", &does).short();
    fit(&format!("{verb}-{}", of_address(database, '-')), &format!("-{key}"))
}

/// The Job of a check: what it is, of which service, and a mark that no other Job has. Shards have their index behind it in the
/// names of their hosts.
pub(crate) fn check_job(verb: &str, service: &str, mark: &str) -> String {
    fit_in(LONGEST_OF_A_CRON_JOB, &format!("{verb}-{}", service.replace('.', "-")), &format!("-{mark}"))
}

/// The CronJob of a service's smoke check. No job's has a dot in its name.
pub(crate) fn smoke_cron_job(service: &str) -> String {
    fit_in(LONGEST_OF_A_CRON_JOB, &format!("smoke.{}", service.replace('.', "-")), "")
}

/// A version's record. Padded, so that names sort as numbers do.
pub(crate) fn version_record(number: u64) -> String {
    format!("komandan-version-{number:06}")
}

/// The Job that ends a former version. Of the same version there may be another one later, by another holder of the lock.
pub(crate) fn warm_job(number: u64, fence: u64) -> String {
    format!("komandan-warm-{number}-{fence}")
}

/// A name that a Service may have: cut in its first part when it is too long, and then told apart by a hash.
fn fit(name: &str, suffix: &str) -> String {
    fit_in(LONGEST, name, suffix)
}

fn fit_in(longest: usize, name: &str, suffix: &str) -> String {
    if name.len() + suffix.len() <= longest {
        return format!("{name}{suffix}");
    }
    let hash = &Key::of("name", &json!(name)).short()[..6];
    // One character for the dash before the hash. Names are ASCII, so any cut is between characters.
    let kept = name.get(..longest - suffix.len() - hash.len() - 1).unwrap_or_default();
    format!("{}-{hash}{suffix}", kept.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clustergraph::format::is_dns_label;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_name_is_one_that_kubernetes_takes(name in "[a-z]([a-z0-9-]{0,61}[a-z0-9])?") {
            let versioned = versioned(&name, "3f9c2a81d0");
            prop_assert!(is_dns_label(&versioned), "{}", versioned);
            prop_assert!(versioned.ends_with("-3f9c2a81d0"));
        }

        #[test]
        fn a_cron_jobs_name_leaves_room_for_those_of_its_jobs(owner in "[a-z]([a-z0-9-]{0,61}[a-z0-9])?", job in "[a-z]{1,63}") {
            let name = fit_in(LONGEST_OF_A_CRON_JOB, &format!("{owner}-{job}"), "");
            prop_assert!(is_dns_label(&name) && name.len() <= 52, "{}", name);
        }
    }

    #[test]
    fn short_names_stay_and_long_ones_stay_apart() {
        assert_eq!(versioned("order", "3f9c2a81d0"), "order-3f9c2a81d0");
        let (one, other) = ("a".repeat(62) + "b", "a".repeat(62) + "c");
        assert_ne!(versioned(&one, "3f9c2a81d0"), versioned(&other, "3f9c2a81d0"));
    }

    #[test]
    fn the_name_of_a_server_leaves_room_for_its_revisions() {
        let name = fit_in(LONGEST_SET, &format!("db-{}", "a".repeat(60)), "");
        assert_eq!(name.len(), LONGEST_SET);
        assert!(is_dns_label(&format!("{name}-0123456789")));
        assert_eq!(server_claim("db-postgres-15"), "data-db-postgres-15-0");
    }
}
