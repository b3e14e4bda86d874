//! The rights for clusters that end by themselves, each in a namespace of its own.
//!
//! Nobody can be given rights in namespaces that are not there yet, but for rights in all of them. So komandan may make
//! namespaces, and give those who have rights in the home the same in each that it made. An admission policy keeps it from every
//! other namespace: neither its writes nor its reads reach there.

use serde_json::{Value, json};

use super::{GROUP, Subject, granted, rules};
use crate::cluster::rights::{AT_HOME, GRANTS, IN_CLUSTER, IN_NAMESPACE, IN_TRANSIENT, OF_LENDER, OF_TRANSIENT};
use crate::names;

/// The objects for clusters that are at home in this namespace, and may borrow from what is in that one.
pub(super) fn objects(subject: &Subject, home: &str, lender: Option<&str>) -> Vec<Value> {
    let api = format!("{GROUP}/v1");
    let whole = format!("{}-{home}", names::MANAGER);
    let inside = names::granted_role(home);
    let here = json!({ "name": names::MANAGER, "namespace": home });
    let mut bound = here.clone();
    bound["labels"] = json!({ (names::GRANTS): inside });
    let mut wide = rules(&[IN_CLUSTER, OF_TRANSIENT, GRANTS].concat());
    let bind = json!({
        "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": [inside], "verbs": ["bind"],
    });
    wide.push(bind);
    let within = rules(&[IN_NAMESPACE, IN_TRANSIENT].concat());
    let role = |kind: &str, metadata: Value, rules: Vec<Value>| json!({ "apiVersion": api, "kind": kind, "metadata": metadata, "rules": rules });
    let mut objects: Vec<Value> = subject.account.iter().cloned().collect();
    objects.extend([
        role("Role", here, rules(AT_HOME)),
        subject.bound("Role", names::MANAGER, bound),
        role("ClusterRole", json!({ "name": whole }), wide),
        subject.bound("ClusterRole", &whole, json!({ "name": whole })),
        role("ClusterRole", json!({ "name": inside }), within),
    ]);
    if let Some(lender) = lender {
        // In a namespace that is not its own, and where there may be others of this kind.
        let mut read = rules(OF_LENDER);
        read.push(json!({
            "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [names::PINS], "verbs": ["update"],
        }));
        objects.extend(granted(subject, &format!("{whole}-overlays"), lender, read));
    }
    objects.extend(policy(subject, home, &whole, &inside, lender));
    objects
}

/// What keeps it to the namespaces of its own.
fn policy(subject: &Subject, home: &str, name: &str, inside: &str, lender: Option<&str>) -> [Value; 2] {
    let rule = |group: &str, resource: &str| {
        json!({
            "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource],
            "operations": ["CREATE", "UPDATE", "DELETE"],
        })
    };
    let label = names::HOME;
    let is_own = |object: &str| {
        format!(
            "(has({object}.metadata.labels) && '{label}' in {object}.metadata.labels && {object}.metadata.labels['{label}'] == '{home}')"
        )
    };
    let is_other = |resource: &str| format!("request.resource.resource != '{resource}'");
    let (no_namespace, no_binding) = (is_other("namespaces"), is_other("rolebindings"));
    let before = format!("{no_namespace} || request.operation == 'CREATE' || {}", is_own("oldObject"));
    let after = format!("{no_namespace} || request.operation == 'DELETE' || {}", is_own("object"));
    let granted = format!("{no_binding} || {}", is_own("namespaceObject"));
    let role = format!("{no_binding} || request.operation == 'DELETE' || object.roleRef.name == '{inside}'");
    // Who is labelled so is let in by the cluster that lends.
    let overlay = names::OVERLAY_OF;
    let no_overlay = format!("!has(object.metadata.labels) || !('{overlay}' in object.metadata.labels)");
    let lent =
        lender.map(|lender| format!(" || object.metadata.labels['{overlay}'] == '{lender}'")).unwrap_or_default();
    let borrows = format!("{no_namespace} || request.operation == 'DELETE' || {no_overlay}{lent}");
    let only = format!("only namespaces of clusters that are at home in {home}, and only the role {inside} in them");
    let validation = |(expression, message): (String, &str)| json!({ "expression": expression, "message": message });
    let mut validations: Vec<Value> = [before, after, granted, role].map(|it| validation((it, &only))).into();
    let others = lender.map_or_else(|| "nobody".to_owned(), |lender| format!("{lender} alone"));
    validations.push(validation((borrows, &format!("its clusters borrow from {others}"))));
    let api = "admissionregistration.k8s.io/v1";
    [
        json!({
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [rule("", "namespaces"), rule(GROUP, "rolebindings")] },
                "matchConditions": [{ "name": "who", "expression": subject.expression() }],
                "validations": validations,
            },
        }),
        json!({
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        }),
    ]
}
