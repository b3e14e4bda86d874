//! The schema of `service.yaml`.

use serde_json::{Value, json};

use super::types::{
    LABEL, Object, VARIABLE, any_of, boolean, bytes, command, commands, described, duration, integer, label, list,
    named, named_by, needing, path, pattern, processors, scalar, text, texts, variable, words,
};

/// What `clusters:` is.
pub(super) const CLUSTERS: &str = "What is different on one cluster: maps merge, lists replace, null removes.";

pub(super) fn service() -> Value {
    let behaviour = behaviour(Object::new("a service").must("name", "DNS label, unique in the repository.", label()));
    operation(behaviour).build()
}

/// What a running instance can observe.
fn behaviour(object: Object) -> Object {
    object
        .may("stack", "How it is set up, run and built; detected from its files otherwise.", text())
        .may("dependencies", "Services that it calls.", list(dependency()))
        .may("databases", "Databases that it uses.", list(any_of(vec![kind(), database(), shared()])))
        .may("ports", "Ports that it listens on, by name.", named_by(LABEL, port()))
        .may("env", "Variables; `${...}` is filled in, `$${` is a literal.", env())
        .may("passthrough", "Variables that a host process takes from the developer's shell.", list(variable()))
        .may("secrets", "Variables whose values are in no file: from .env, or the cluster's Secret.", list(secret()))
        .may("run", "The program and its arguments; the stack's otherwise. No shell splits it.", command())
        .may("setup", "How its dependencies are installed; the stack's otherwise.", commands())
        .may("build", "A Dockerfile of its own.", build())
        .may("image", "A ready image instead of a build.", text())
        .may("include", "Sources outside its folder, from the repository's root.", list(path()))
        .may("ignore", "Files that are no sources, as in .gitignore.", list(text()))
        .may(
            "files",
            "Files put into the container: its path there, and the file in the folder.",
            named(path(), "A file below the service's folder."),
        )
        .may("volumes", "Folders that outlive it: a name, and the path in the container.", named_by(LABEL, text()))
        .may("task", "Whether it runs once and must end with 0.", boolean())
        .may("processes", "Further processes of the same sources.", named_by(LABEL, process()))
        .may("jobs", "What runs by a schedule from the same sources.", list(job()))
}

/// What a running instance cannot observe.
fn operation(object: Object) -> Object {
    object
        .may("health", "How its health is asked; its primary port is probed otherwise.", health())
        .may("watch", "What a change of its sources means.", watch())
        .may("start", "Whether it is started with all others.", words(&["automatic", "manual"]))
        .may("singleton", "Whether there must never be two at once.", boolean())
        .may("borrow", "Whether an overlay may use the base's instances.", words(&["always", "never"]))
        .may("egress", "What it calls outside the cluster.", list(pattern("^[^:]+:[0-9]+$")))
        .may("security", "What it may do on a cluster.", words(&["restricted", "baseline"]))
        .may("restart", "What happens when it ends by itself.", restart())
        .may("stop", "How it is stopped.", stop())
        .may(
            "public",
            "An entry into the cluster.",
            Object::new("`public`")
                .may("path", "The path below which requests come here; `/` otherwise.", pattern("^/"))
                .build(),
        )
        .may("scale", "Instances on a cluster.", scale())
        .may("resources", "What an instance asks for and may take.", resources())
        .may("test", "Its tests.", test())
        .may("smoke", "A question that a running cluster is asked.", smoke())
        .may("labels", "For people, filters and Kubernetes.", texts())
}

fn dependency() -> Value {
    let object = Object::new("a dependency")
        .must("service", "The service's name.", text())
        .may("as", "The name it is known by here; `pay` gives PAY_URL.", label())
        .may(
            "wait",
            "What the start waits for; `completed` of a task, `none` may close a cycle.",
            words(&["ready", "started", "completed", "none"]),
        )
        .may("optional", "Wired when it runs, never started for this service's sake.", boolean());
    any_of(vec![described(text(), "The service's name."), object.build()])
}

fn kind() -> Value {
    described(text(), "The kind: postgres, mysql, mariadb, redis, kafka, ... or one of clustergraph.yaml.")
}

/// What any store says of itself.
pub(super) fn declared(object: Object) -> Object {
    object
        .must("kind", "The kind: postgres, mysql, mariadb, redis, kafka, ... or one of clustergraph.yaml.", text())
        .may("version", "The server's version.", json!({ "type": ["string", "integer"] }))
        .may("settings", "What its server is set to; databases share a server only where this agrees.", texts())
        .may("extensions", "Extensions that are put into it.", list(text()))
        .may("topics", "Topics that are made in it.", list(text()))
        .may("image", "An image for its server instead of the catalogue's.", text())
        .may("isolation", "`dedicated` for a server of its own.", words(&["shared", "dedicated"]))
}

fn database() -> Value {
    let migrate = Object::new("`migrate`")
        .must("run", "The command, run in the service's environment.", command())
        .may("schema", "The migrations' folder, below the service's: it runs again when this changes.", path())
        .may("compatible", "The oldest schema that this code still runs on; only its newest otherwise.", text());
    let seed = Object::new("`seed`").must("run", "The command, run once in the life of the data.", command());
    let mask = Object::new("`mask`").must("run", "The command, run in the copy by this service's program.", command());
    declared(Object::new("a database"))
        .may("as", "The name it is known by here; `orders` gives ORDERS_URL.", label())
        .may("primary", "Whether of several this one has the family's name, such as DATABASE_URL.", boolean())
        .may("params", "The query part of its URL.", texts())
        .may("migrate", "How its schema is brought up to date.", migrate.build())
        .may("seed", "How first data is put in.", seed.build())
        .may(
            "mask",
            "What is done to a copy before anybody sees it; `none` where everybody may.",
            any_of(vec![words(&["none"]), mask.build()]),
        )
        .build()
}

fn shared() -> Value {
    Object::new("a database")
        .must("from", "Another service's database (SERVICE/ALIAS), or a store of clustergraph.yaml.", text())
        .may("as", "The name it is known by here.", label())
        .may("params", "The query part of its URL.", texts())
        .build()
}

fn port() -> Value {
    let number = || integer(1, 65_535);
    let object = Object::new("the port")
        .must("port", "The number it prefers.", number())
        .may("protocol", "The scheme of its URLs; http otherwise.", pattern("^[a-z][a-z0-9+.-]*$"))
        .may("primary", "Whether it is meant when none is named.", boolean());
    any_of(vec![number(), object.build()])
}

fn env() -> Value {
    named_by(VARIABLE, scalar())
}

fn secret() -> Value {
    let object = Object::new("a secret")
        .must("name", "The variable's name.", variable())
        .may("dev", "What a laptop takes when nothing else is said: it opens nothing.", scalar())
        .may("optional", "Whether the service also runs without it.", boolean());
    any_of(vec![variable(), object.build()])
}

fn build() -> Value {
    Object::new("`build`")
        .may(
            "context",
            "The folder of the repository that the build sees as its root; the repository's layout otherwise.",
            path(),
        )
        .may("dockerfile", "The Dockerfile, below the context, or the service's folder where there is none.", path())
        .may("target", "The stage to build; the last otherwise.", text())
        .may("args", "Build arguments.", texts())
        .may("secrets", "Secrets that the build may read.", list(variable()))
        .build()
}

/// The questions that health may ask.
fn questions(object: Object) -> Object {
    object
        .may("http", "The path of a GET that is answered with 200 to 399.", pattern(r"^/[^\s]*$"))
        .may("tcp", "A connection is accepted and stays open.", boolean())
        .may(
            "grpc",
            "The gRPC health protocol; a service's name, or true for the whole server.",
            json!({ "type": ["string", "boolean"] }),
        )
        .may("command", "A command that ends with 0.", command())
}

fn health() -> Value {
    let log = || json!({ "type": "string", "minLength": 1 });
    let liveness = questions(Object::new("`health.liveness`")).may(
        "log",
        "Says nothing of being alive now.",
        json!({ "type": "null" }),
    );
    questions(Object::new("`health`"))
        .may("log", "A text that a line of its output holds.", log())
        .may("port", "The port that is asked; the primary one otherwise.", text())
        .may("headers", "Headers of an HTTP question.", texts())
        .may("timeout", "How long one answer may take.", duration())
        .may("start_timeout", "How long it may take to become ready.", duration())
        .may(
            "liveness",
            "What it must go on answering; true asks the same question.",
            any_of(vec![boolean(), liveness.build()]),
        )
        .build()
}

fn watch() -> Value {
    Object::new("`watch`").may("mode", "`self`: the program reloads itself.", words(&["restart", "self"])).build()
}

fn restart() -> Value {
    words(&["never", "on-failure", "always"])
}

fn stop() -> Value {
    Object::new("`stop`")
        .may(
            "signal",
            "The signal that asks it to end.",
            words(&["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"]),
        )
        .may("grace", "How long it may take before it is killed.", duration())
        .build()
}

fn scale() -> Value {
    let scale = Object::new("`scale`")
        .may("replicas", "Instances, where nothing scales them.", integer(0, 10_000))
        .may("min", "The fewest.", integer(0, 10_000))
        .may("max", "The most: scaled by load where this is said.", integer(1, 10_000))
        .may("cpu", "The load that is aimed at, in percent.", integer(1, 100))
        .build();
    needing(scale, &[("min", "max"), ("cpu", "max")])
}

fn resources() -> Value {
    Object::new("`resources`")
        .may("cpu", "Processors: 250m, 2.", processors())
        .may("memory", "Bytes: 256Mi.", bytes())
        .build()
}

fn process() -> Value {
    Object::new("a process")
        .must("run", "The program and its arguments.", command())
        .may("env", "Variables laid over the service's.", env())
        .may("health", "How its health is asked; alive is healthy otherwise.", health())
        .may("scale", "Instances on a cluster.", scale())
        .may("resources", "What one may take; as much as the service otherwise.", resources())
        .may("restart", "What happens when it ends by itself.", restart())
        .may("stop", "How it is stopped; as the service otherwise.", stop())
        .build()
}

fn job() -> Value {
    Object::new("a job")
        .must("name", "DNS label, unique in the service.", label())
        .must("schedule", "When it runs, as cron writes it.", pattern(r"^(@[a-z]+|\s*\S+(\s+\S+){4}\s*)$"))
        .must("run", "The program and its arguments.", command())
        .may("env", "Variables laid over the service's.", env())
        .may("resources", "What it may take; as much as the service otherwise.", resources())
        .may("restart", "Whether it is tried again when it fails.", words(&["never", "on-failure"]))
        .build()
}

fn test() -> Value {
    Object::new("`test`")
        .must("run", "Runs the tests.", command())
        .may("list", "Prints a test's name on each line, so that they can be divided.", command())
        .may("target", "The stage of the Dockerfile that holds them.", text())
        .build()
}

fn smoke() -> Value {
    Object::new("`smoke`")
        .must("run", "Ends with 0 when all is well.", command())
        .may("every", "How often; each minute otherwise.", duration())
        .build()
}
