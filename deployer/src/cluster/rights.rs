//! The rights that komandan needs, request by request: `rbac` prints them and `doctor` looks whether they are there.
//!
//! The list cannot lag behind the code: a build with debug assertions sends no request that is not in it.

use std::io::Write;

use http::Method;
use serde::Serialize;

/// What may be asked of one kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Right {
    /// The API's group; empty for the core's.
    pub(crate) group: &'static str,
    /// The kind in the plural, with its subresource after a slash.
    pub(crate) resource: &'static str,
    /// What is done with it.
    pub(crate) verbs: &'static [&'static str],
}

const fn right(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Right {
    Right { group, resource, verbs }
}

/// What is needed in a cluster's own namespace.
///
/// An apply that makes an object is a `patch` and a `create`; what is deleted is read again (`get`) when it changed
/// meanwhile. A command in a pod and a forwarded port are read by older API servers as `get`, by newer as `create`.
pub(crate) const IN_NAMESPACE: &[Right] = &[
    right("", "configmaps", &["create", "delete", "get", "list", "patch", "update"]),
    right("", "events", &["list", "watch"]),
    right("", "limitranges", &["list"]),
    right("", "namespaces", &["get"]),
    right("", "persistentvolumeclaims", &["create", "delete", "get", "list", "patch", "watch"]),
    right("", "pods", &["list", "watch"]),
    right("", "pods/exec", &["create", "get"]),
    right("", "pods/log", &["get"]),
    right("", "pods/portforward", &["create", "get"]),
    right("", "resourcequotas", &["list"]),
    right("", "secrets", &["create", "delete", "get", "list", "patch"]),
    right("", "serviceaccounts", &["create", "delete", "get", "list", "patch"]),
    right("", "services", &["create", "delete", "get", "list", "patch", "watch"]),
    right("apps", "deployments", &["create", "delete", "get", "list", "patch", "watch"]),
    right("apps", "statefulsets", &["create", "delete", "get", "list", "patch", "watch"]),
    right("autoscaling", "horizontalpodautoscalers", &["create", "delete", "get", "patch"]),
    right("batch", "cronjobs", &["create", "delete", "get", "list", "patch", "watch"]),
    right("batch", "jobs", &["create", "delete", "get", "list", "patch", "watch"]),
    right("coordination.k8s.io", "leases", &["create", "delete", "get", "update"]),
    right("discovery.k8s.io", "endpointslices", &["list", "watch"]),
    right("gateway.networking.k8s.io", "httproutes", &["create", "delete", "get", "patch"]),
    right("networking.k8s.io", "ingresses", &["create", "delete", "get", "patch"]),
    right("networking.k8s.io", "networkpolicies", &["create", "delete", "get", "list", "patch", "watch"]),
    right("policy", "poddisruptionbudgets", &["create", "delete", "get", "patch"]),
];

/// What is read of the whole cluster: `doctor` looks for the class of volumes that databases get.
pub(crate) const IN_CLUSTER: &[Right] = &[right("storage.k8s.io", "storageclasses", &["list"])];

/// What making and deleting the namespace itself takes; one that is there already needs none of it.
pub(crate) const OF_NAMESPACE: &[Right] = &[right("", "namespaces", &["create", "delete", "patch"])];

/// What everybody who is known to the API may ask: its version, and about the own rights.
const EVERYBODYS_GROUP: &str = "authorization.k8s.io";

/// What clusters that end by themselves take where they are at home: their ends, and the values of their secrets.
pub(crate) const AT_HOME: &[Right] = &[
    right("", "secrets", &["get"]),
    right("", "services", &["create", "get"]),
    right("batch", "jobs", &["create", "delete", "get", "list", "patch"]),
    right("rbac.authorization.k8s.io", "rolebindings", &["get"]),
];

/// What giving the same rights in a namespace takes that was made.
pub(crate) const GRANTS: &[Right] = &[right("rbac.authorization.k8s.io", "rolebindings", &["create"])];

/// What they take in their own namespaces beside what every cluster does.
pub(crate) const IN_TRANSIENT: &[Right] = &[
    right("", "limitranges", &["create", "delete", "get", "list", "patch"]),
    right("", "resourcequotas", &["create", "delete", "get", "list", "patch"]),
    right("rbac.authorization.k8s.io", "rolebindings", &["get"]),
];

/// What they take of the whole API: their namespaces, and the addresses that own these.
pub(crate) const OF_TRANSIENT: &[Right] = &[
    right("", "namespaces", &["create", "delete", "get", "list", "patch"]),
    right("networking.k8s.io", "ipaddresses", &["get"]),
];

/// What overlays take in the namespace of the cluster that lends: its versions, none of which holds a secret. They may also
/// `update` the one object that says what is borrowed.
pub(crate) const OF_LENDER: &[Right] = &[right("", "configmaps", &["get"])];
/// What is read of a cluster whose data others begin with: its versions, and its databases by their own programs.
pub(crate) const OF_BASE: &[Right] = &[right("", "configmaps", &["get"]), right("", "pods/exec", &["create", "get"])];
/// What they take where they are at home when their namespaces are there already: the values of their secrets.
pub(crate) const OF_POOL: &[Right] = &[right("", "secrets", &["get"])];

/// What they take in these namespaces beside what every cluster does: it is looked whether anything is left of the one before.
pub(crate) const IN_POOL: &[Right] = &[
    right("autoscaling", "horizontalpodautoscalers", &["list"]),
    right("coordination.k8s.io", "leases", &["list"]),
    right("gateway.networking.k8s.io", "httproutes", &["list"]),
    right("networking.k8s.io", "ingresses", &["list"]),
    right("policy", "poddisruptionbudgets", &["list"]),
];

/// All that is ever asked for.
const ALL: &[&[Right]] = &[
    IN_NAMESPACE,
    IN_CLUSTER,
    OF_NAMESPACE,
    AT_HOME,
    GRANTS,
    IN_TRANSIENT,
    OF_TRANSIENT,
    OF_LENDER,
    OF_BASE,
    OF_POOL,
    IN_POOL,
];

/// A request as the API server judges it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) verb: &'static str,
}

impl Asked {
    /// Reads a request; `None` for one that is about no object.
    pub(crate) fn of(method: &Method, path: &str, query: &str) -> Option<Self> {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let group = match parts.first() {
            Some(&"api") if parts.len() > 2 => {
                parts.drain(..2);
                ""
            }
            Some(&"apis") if parts.len() > 3 => {
                let group = parts[1];
                parts.drain(..3);
                group
            }
            _ => return None,
        };
        if parts.first() == Some(&"namespaces") && parts.len() > 2 {
            parts.drain(..2);
        }
        let has_name = parts.len() > 1;
        let resource = match parts.as_slice() {
            [resource] | [resource, _] => (*resource).to_owned(),
            [resource, _, sub, ..] => format!("{resource}/{sub}"),
            [] => return None,
        };
        let is_watch = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
        let verb = match (method, has_name) {
            (&Method::GET, true) => "get",
            (&Method::GET, false) if is_watch => "watch",
            (&Method::GET, false) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, true) => "delete",
            (&Method::DELETE, false) => "deletecollection",
            _ => return None,
        };
        Some(Self { group: group.to_owned(), resource, verb })
    }

    /// Whether it is among the rights that are listed here, or is everybody's.
    fn is_listed(&self) -> bool {
        let all = ALL.iter().copied().flatten();
        self.group == EVERYBODYS_GROUP
            || all.into_iter().any(|right: &Right| {
                right.group == self.group && right.resource == self.resource && right.verbs.contains(&self.verb)
            })
    }
}

/// Refuses to send what is not listed, in builds with debug assertions; there `KOMANDAN_REQUESTS` names a file to which
/// every right that is used is written, one a line.
pub(crate) fn check(method: &Method, uri: &http::Uri) -> Result<(), String> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let Some(asked) = Asked::of(method, uri.path(), uri.query().unwrap_or_default()) else { return Ok(()) };
    if let Some(file) = std::env::var_os("KOMANDAN_REQUESTS") {
        let line = format!("{} {} {}\n", asked.verb, asked.resource, asked.group);
        let file = std::fs::File::options().create(true).append(true).open(file);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(|error| format!("KOMANDAN_REQUESTS: {error}"))?;
    }
    if asked.is_listed() {
        return Ok(());
    }
    Err(format!(
        "{} {} ({}) is not among the rights that `komandan rbac` prints: add it to cluster/rights.rs",
        asked.verb, asked.resource, asked.group
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_the_api_server_reads_it() {
        let asked = |method: &Method, path: &str, query: &str| {
            Asked::of(method, path, query).map(|asked| format!("{} {} {}", asked.verb, asked.resource, asked.group))
        };
        let (get, post) = (Method::GET, Method::POST);
        for (method, path, query, expected) in [
            (&get, "/api/v1/namespaces/shop/pods", "", "list pods "),
            (&get, "/api/v1/namespaces/shop/pods", "limit=5&watch=true", "watch pods "),
            (&get, "/api/v1/namespaces/shop/pods/a/log", "follow=true", "get pods/log "),
            (&post, "/api/v1/namespaces/shop/pods/a/exec", "", "create pods/exec "),
            (&get, "/api/v1/namespaces/shop", "", "get namespaces "),
            (&post, "/api/v1/namespaces", "", "create namespaces "),
            (&Method::PATCH, "/apis/apps/v1/namespaces/shop/deployments/a", "force=true", "patch deployments apps"),
            (&Method::DELETE, "/apis/batch/v1/namespaces/shop/jobs", "", "deletecollection jobs batch"),
            (&get, "/apis/storage.k8s.io/v1/storageclasses", "", "list storageclasses storage.k8s.io"),
        ] {
            assert_eq!(asked(method, path, query).as_deref(), Some(expected));
        }
        for path in ["/version", "/api", "/apis/apps/v1", "/healthz", "/"] {
            assert_eq!(asked(&get, path, ""), None, "{path}");
        }
    }

    #[test]
    fn what_is_not_listed_is_not_sent() {
        let uri = |path: &'static str| http::Uri::from_static(path);
        assert_eq!(check(&Method::GET, &uri("/api/v1/namespaces/shop/pods?watch=true")), Ok(()));
        assert_eq!(check(&Method::POST, &uri("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews")), Ok(()));
        let error = check(&Method::GET, &uri("/api/v1/nodes")).unwrap_err();
        assert!(error.contains("list nodes"), "{error}");
    }

    #[test]
    fn rights_are_sorted_and_each_kind_is_named_once() {
        for rights in ALL {
            assert!(rights.is_sorted_by_key(|right| (right.group, right.resource)));
            assert!(rights.iter().all(|right| right.verbs.is_sorted()));
        }
    }
}
