//! `komandan rbac`

mod pool;
mod transient;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::rights::{IN_CLUSTER, IN_NAMESPACE, OF_BASE, OF_NAMESPACE, Right};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::settings::{Global, Life, of_base};
use crate::{names, render, repository};

/// Prints the rights that komandan needs for one cluster, as objects that an administrator applies
///
/// Of a permanent cluster, all of it is in the cluster's own namespace, but for the classes of volumes, which only `doctor` reads. Whoever may make
/// pods in a namespace may do there what those may: give each cluster a namespace of its own. For clusters that end by themselves
/// they are rights in one namespace, their home, and in those that are made for them; an admission policy keeps them from all others.
/// Where there is a `pool` of namespaces, these are printed with the rights in each, and nothing else is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan rbac | kubectl apply -f -                     for a ServiceAccount `komandan` of the namespace
  komandan rbac --group deployers                        for people of a group
  komandan rbac --service-account ci:runner              for a ServiceAccount of another namespace
  komandan rbac --cluster pr --service-account ci:runner  for clusters of pull requests
  komandan rbac --cluster pr --from production            and for those of them that borrow from production
  komandan rbac --cluster pr --clone production           also to begin with copies of that one's data")]
pub(crate) struct Args {
    /// For a ServiceAccount, NAMESPACE:NAME or NAME [default: komandan, which is made]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user", "group"])]
    pub(crate) service_account: Option<String>,
    /// For a user
    #[arg(long, value_name = "NAME", conflicts_with = "group")]
    pub(crate) user: Option<String>,
    /// For a group
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Also the rights to make and delete the namespace itself; else it must be there
    #[arg(long)]
    pub(crate) create_namespace: bool,
    /// Also the rights that overlays take where this cluster is: to read what it serves, and to say that they borrow it
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) from: Option<String>,
    /// Also the rights to begin with copies of this cluster's data. Whoever has them can run programs in all of its pods, and
    /// so read all of it
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) clone: Option<String>,
}

const GROUP: &str = "rbac.authorization.k8s.io";

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let settings = global.settings_without_graph()?;
    let subject = Subject::of(args, &settings.namespace);
    let namespace_of = |name: &String| {
        let base = of_base(&global.repository_file()?, name, settings.context.as_ref())?;
        Ok::<String, Error>(base.namespace)
    };
    let lender = args.from.as_ref().map(namespace_of).transpose()?;
    let objects = match settings.life {
        Life::Permanent if args.from.is_some() || args.clone.is_some() => {
            return Err(Error::Usage(format!(
                "--from and --clone are for clusters that end by themselves, and {} does not: say whose, as in `--cluster pr`",
                settings.cluster
            )));
        }
        Life::Permanent => objects(&subject, &settings.namespace, args.create_namespace),
        Life::Kind | Life::Transient { .. } if args.create_namespace => {
            return Err(Error::Usage(format!(
                "--create-namespace is for permanent clusters: make the namespace {}, and komandan makes those of its clusters",
                settings.namespace
            )));
        }
        Life::Kind | Life::Transient { .. } => {
            let mut objects = match settings.pool.is_empty() {
                true => transient::objects(&subject, &settings.namespace, lender.as_deref()),
                false if lender.is_some() => {
                    return Err(Error::Usage(format!("{}: {}", settings.cluster, crate::transient::NO_OVERLAYS)));
                }
                false => {
                    // Where the repository cannot be read, its namespaces take what most services are.
                    let graph = repository::graph(global, "HEAD").await;
                    let security = graph.map(|graph| render::security(&graph)).unwrap_or_default();
                    pool::objects(&subject, &settings, security)?
                }
            };
            if let Some(of) = &args.clone {
                objects.extend(of_lender(&subject, &settings.namespace, &namespace_of(of)?));
            }
            objects
        }
    };
    if console.is_json() {
        console.json(json!({
            "command": "rbac", "cluster": settings.cluster, "namespace": settings.namespace, "objects": objects,
        }));
        return Ok(());
    }
    let mut text = String::new();
    for object in &objects {
        let yaml = serde_yaml::to_string(object)
            .map_err(|error| Error::Usage(format!("{} cannot be written: {error}", object["kind"])))?;
        text.push_str("---\n");
        text.push_str(&yaml);
    }
    console.data(&text);
    Ok(())
}

/// Who gets rights.
struct Subject {
    /// As a binding names it.
    named: Value,
    /// The ServiceAccount that is made for it.
    account: Option<Value>,
}

impl Subject {
    fn of(args: &Args, namespace: &str) -> Self {
        let named = |kind: &str, name: &str| json!({ "kind": kind, "name": name, "apiGroup": GROUP });
        let mut account = None;
        let named = match (&args.service_account, &args.user, &args.group) {
            (_, Some(user), _) => named("User", user),
            (_, _, Some(group)) => named("Group", group),
            (Some(account), ..) => {
                let (home, name) = account.split_once(':').unwrap_or((namespace, account));
                json!({ "kind": "ServiceAccount", "name": name, "namespace": home })
            }
            (None, None, None) => {
                account = Some(json!({
                    "apiVersion": "v1",
                    "kind": "ServiceAccount",
                    "metadata": { "name": names::MANAGER, "namespace": namespace },
                }));
                json!({ "kind": "ServiceAccount", "name": names::MANAGER, "namespace": namespace })
            }
        };
        Self { named, account }
    }

    /// A binding of a role to it.
    fn bound(&self, kind: &str, role: &str, metadata: Value) -> Value {
        json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": { "kind": kind, "name": role, "apiGroup": GROUP },
            "subjects": [self.named],
        })
    }

    /// Whether a request is its, in the words of an admission policy.
    fn expression(&self) -> String {
        let text =
            |field: &str| self.named[field].as_str().unwrap_or_default().replace('\\', "\\\\").replace('\'', "\\'");
        match self.named["kind"].as_str() {
            Some("Group") => format!("'{}' in request.userInfo.groups", text("name")),
            Some("User") => format!("request.userInfo.username == '{}'", text("name")),
            _ => {
                let (namespace, name) = (text("namespace"), text("name"));
                format!("request.userInfo.username == 'system:serviceaccount:{namespace}:{name}'")
            }
        }
    }
}

fn objects(subject: &Subject, namespace: &str, create_namespace: bool) -> Vec<Value> {
    let api = format!("{GROUP}/v1");
    let mut objects: Vec<Value> = subject.account.iter().cloned().collect();
    objects.extend(granted(subject, names::MANAGER, namespace, rules(IN_NAMESPACE)));
    let mut wide = rules(IN_CLUSTER);
    if create_namespace {
        wide.extend(rules(OF_NAMESPACE));
    }
    // Names of the whole cluster: each namespace has its own.
    let name = format!("{}-{namespace}", names::MANAGER);
    objects.push(json!({ "apiVersion": api, "kind": "ClusterRole", "metadata": { "name": name }, "rules": wide }));
    objects.push(subject.bound("ClusterRole", &name, json!({ "name": name })));
    objects
}

/// The rights in the namespace of a cluster whose data those of a home begin with.
fn of_lender(subject: &Subject, home: &str, lender: &str) -> [Value; 2] {
    let name = format!("{}-{home}-lends", names::MANAGER);
    granted(subject, &name, lender, rules(OF_BASE))
}

/// A role in a namespace, and who has it.
fn granted(subject: &Subject, name: &str, namespace: &str, rules: Vec<Value>) -> [Value; 2] {
    let there = json!({ "name": name, "namespace": namespace });
    let role = json!({ "apiVersion": format!("{GROUP}/v1"), "kind": "Role", "metadata": there, "rules": rules });
    [role, subject.bound("Role", name, there)]
}

/// Rights as rules: kinds of one group with the same verbs in one rule.
pub(super) fn rules(rights: &[Right]) -> Vec<Value> {
    let mut rules: BTreeMap<(&str, &[&str]), Vec<&str>> = BTreeMap::new();
    for right in rights {
        rules.entry((right.group, right.verbs)).or_default().push(right.resource);
    }
    let rule = |((group, verbs), resources): ((&str, &[&str]), Vec<&str>)| json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
    rules.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use clustergraph::format::repository::Quota;
    use clustergraph::format::service::Security;

    fn args() -> Args {
        Args { service_account: None, user: None, group: None, create_namespace: false, from: None, clone: None }
    }

    fn made(args: &Args, namespace: &str) -> Vec<Value> {
        objects(&Subject::of(args, namespace), namespace, args.create_namespace)
    }

    fn yaml(args: &Args) -> String {
        let objects = made(args, "shop");
        objects.iter().map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect()
    }

    #[test]
    fn the_rights_of_a_permanent_cluster() {
        insta::assert_snapshot!(yaml(&args()));
    }

    #[test]
    fn they_can_be_somebody_elses_and_include_the_namespace_itself() {
        let subject = |args: &Args| made(args, "shop").last().unwrap()["subjects"][0].clone();
        let of = |account: &str| Args { service_account: Some(account.to_owned()), ..args() };
        assert_eq!(subject(&of("ci:runner")), json!({ "kind": "ServiceAccount", "name": "runner", "namespace": "ci" }));
        assert_eq!(subject(&of("runner"))["namespace"], "shop");
        assert_eq!(subject(&Args { group: Some("deployers".to_owned()), ..args() })["kind"], "Group");
        assert_eq!(subject(&Args { user: Some("ada".to_owned()), ..args() })["name"], "ada");
        assert!(!yaml(&of("runner")).contains("kind: ServiceAccount\nmetadata"), "one that is named is not made");
        let wide = made(&Args { create_namespace: true, ..args() }, "shop");
        let role = wide.iter().find(|object| object["kind"] == "ClusterRole").unwrap();
        let rules = role["rules"].as_array().unwrap();
        assert!(rules.contains(
            &json!({ "apiGroups": [""], "resources": ["namespaces"], "verbs": ["create", "delete", "patch"] })
        ));
    }

    #[test]
    fn what_is_taken_of_a_cluster_that_lends_is_its_versions_and_its_databases_programs() {
        let objects = of_lender(&Subject::of(&args(), "pr"), "pr", "shop");
        let text: String =
            objects.iter().map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_rights_of_clusters_that_live_in_a_pool_are_in_its_namespaces_and_the_home_alone() {
        let quota = Quota { memory_bytes: Some(8 << 30), pods: Some(40), ..Quota::default() };
        let settings = Settings {
            cluster: "pr".to_owned(),
            life: Life::Kind,
            context: None,
            namespace: "shop-pr".to_owned(),
            registry: None,
            mirror: None,
            keep: None,
            pull_grace: None,
            pool: ["pr-a", "pr-b"].map(str::to_owned).into(),
            quota: Some(quota),
        };
        let objects = pool::objects(&Subject::of(&args(), "shop-pr"), &settings, Security::Restricted).unwrap();
        for object in objects.iter().filter(|object| object["kind"] != "Namespace") {
            assert!(object["metadata"]["namespace"].is_string(), "{object}");
        }
        let namespaces = ["shop-pr", "pr-a"].map(Value::from);
        let some = objects.iter().filter(|object| {
            namespaces.contains(&object["metadata"]["namespace"]) || namespaces.contains(&object["metadata"]["name"])
        });
        let text: String = some.map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_rights_of_clusters_that_end_by_themselves() {
        let objects = transient::objects(&Subject::of(&args(), "pr"), "pr", None);
        let text = |objects: &[Value]| -> String {
            objects.iter().map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect()
        };
        insta::assert_snapshot!(text(&objects));
        let borrowing = transient::objects(&Subject::of(&args(), "pr"), "pr", Some("shop"));
        let more: Vec<Value> = borrowing.into_iter().filter(|object| !objects.contains(object)).collect();
        insta::assert_snapshot!("the_rights_of_those_that_borrow", text(&more));
        let who = |args: &Args| Subject::of(args, "pr").expression();
        assert_eq!(who(&Args { group: Some("dev's".to_owned()), ..args() }), "'dev\\'s' in request.userInfo.groups");
        assert_eq!(who(&Args { user: Some("ada".to_owned()), ..args() }), "request.userInfo.username == 'ada'");
    }
}
