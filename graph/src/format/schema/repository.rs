//! The schema of `clustergraph.yaml`.

use serde_json::{Value, json};

use super::catalogue::{kind, stack};
use super::service::declared;
use super::types::{
    LABEL, Object, boolean, bytes, duration, integer, label, list, named, named_by, needing_one, or_null, pattern,
    processors, text, words,
};

pub(super) fn repository() -> Value {
    let images = Object::new("`images`")
        .may("registry", "Where komandan pushes what it builds: registry.example/shop.", text())
        .may("mirror", "A registry that has Docker Hub's images under their names.", text());
    Object::new("clustergraph.yaml")
        .may(
            "services",
            "Patterns of the folders that hold a service.yaml; every top-level one otherwise.",
            list(pattern("^[^/]")),
        )
        .may("stacks", "Stacks of this repository, by name; they win over the built-in ones.", named_by(LABEL, stack()))
        .may("kinds", "Kinds of databases of this repository, by name.", named_by(LABEL, kind()))
        .may(
            "databases",
            "Databases that no one service owns, by name.",
            named_by(LABEL, declared(Object::new("a store")).build()),
        )
        .may("images", "Registries.", images.build())
        .may("suites", "Services whose tests belong together: names or patterns.", named_by(LABEL, list(text())))
        .may("clusters", "Clusters that are known by name.", named_by(LABEL, or_null(cluster())))
        .build()
}

fn cluster() -> Value {
    let ingress = Object::new("`ingress`")
        .may("class", "The class of Ingress objects.", text())
        .may("namespace", "The namespace of the controller's pods.", label())
        .may(
            "gateway",
            "The Gateway, as NAME or NAMESPACE/NAME, where requests come by one instead of an Ingress.",
            text(),
        )
        .may("tls", "The Secret with the certificate of the cluster's host.", label());
    let database = Object::new("a database of a cluster")
        .may("secret", "The Secret that says where it is and who may enter, where somebody else runs it.", label())
        .may("clone", "The cluster whose data it begins with; `none` for nobody's.", label());
    let database = needing_one(database.build(), &["secret", "clone"]);
    let quota = Object::new("`quota`")
        .may("cpu", "Processors.", processors())
        .may("memory", "Bytes of memory.", bytes())
        .may("storage", "Bytes on disks.", bytes())
        .may("pods", "Pods.", integer(1, 1_000_000));
    Object::new("a cluster")
        .may("context", "The kubeconfig's context; the current one otherwise.", text())
        .may("namespace", "The namespace; the cluster's name otherwise.", label())
        .may("strategy", "How a new version takes the place of the old one.", words(&["atomic", "rolling"]))
        .may("domain", "The host of its entries; `{n}` is a pull request's number.", text())
        .may("keep", "How many versions are kept.", integer(1, 1_000))
        .may("warm", "How long the version before stays ready.", duration())
        .may("lends", "Whether overlays may use its instances.", boolean())
        .may("ingress", "The controller that leads requests into it.", ingress.build())
        .may("egress", "What pods may reach outside where they declare nothing.", words(&["allow", "deny"]))
        .may("pull_grace", "How long pulling an image may fail before the deploy does.", duration())
        .may(
            "databases",
            "Databases that somebody else runs, or that begin with another cluster's data, by address.",
            named(database, "A database's address."),
        )
        .may(
            "size",
            "Sizes on disks, by a database's or a volume's address, or by kind.",
            named(bytes(), "An amount of bytes."),
        )
        .may("ttl", "After which time it ends by itself.", duration())
        .may("seed", "Whether its databases get their seeds.", boolean())
        .may("clone", "The cluster whose data its databases begin with.", label())
        .may("secrets_from", "Where its secrets are taken from.", label())
        .may("quota", "What all of it together may take.", quota.build())
        .may("pool", "The namespaces that are there for clusters that end by themselves.", namespaces())
        .build()
}

fn namespaces() -> Value {
    json!({ "type": "array", "items": label(), "minItems": 1, "uniqueItems": true })
}
