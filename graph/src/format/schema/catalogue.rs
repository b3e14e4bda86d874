//! The schema of what a repository adds to the catalogue: stacks and kinds of databases.

use serde_json::{Value, json};

use super::types::{
    Object, any_of, boolean, command, commands, integer, list, named, needing_one, or_null, pattern, scalar, text,
    texts,
};

/// Arguments, which may be none.
fn arguments() -> Value {
    list(scalar())
}

pub(super) fn stack() -> Value {
    let setup = Object::new("`setup`")
        .must("run", "The commands, run in the service's folder.", commands())
        .may("lockfiles", "Files that decide what is installed.", list(text()))
        .may("into", "A folder among the sources that the tools insist on.", text());
    let stack = Object::new("the stack")
        .may("detect", "A service with one of these files has this stack.", any_of(vec![text(), list(text())]))
        .may("rank", "Of several that are detected, the lowest counts.", integer(0, 100))
        .may("tools", "Programs that must be there, each with its least version.", texts())
        .may("image", "The image that its services run in, and that recipes start from.", pattern("."))
        .may("base", "The image that recipes end on.", text())
        .may("workspace", "Files in the folders above a service that are its sources, too.", list(text()))
        .may("setup", "How dependencies are installed.", any_of(vec![command(), list(command()), setup.build()]))
        .may("lockfiles", "Files that decide what is installed.", list(text()))
        .may("env", "Environment; may hold {deps} and {cache}.", texts())
        .may("run", "What a service without `run` runs while it is developed.", command())
        .may("recipe", "A Dockerfile with {image}, {base}, {root} and {folder}.", text())
        .may("dockerfile", "The Dockerfile of the service's own, instead of a recipe.", text())
        .build();
    needing_one(stack, &["image", "dockerfile"])
}

pub(super) fn kind() -> Value {
    let port = || integer(1, 65_535);
    let address = || pattern(r"^([^{]|\{(host|port|username|password|database)\})*$");
    let image = Object::new("`image`")
        .must("name", "The image, with {version}.", text())
        .may("tags", "What stands for a version in the image's name.", texts())
        .may("home", "What {home} means inside.", text())
        .may("env", "The environment that its entrypoint reads.", texts())
        .may("args", "Arguments.", arguments())
        .may("user", "The user and group that the server runs as.", integer(1, 2_147_483_647))
        .may("data", "The folder that must outlive the container.", text())
        .may("loopback", "The port of the listener for this machine.", port());
    let settings = Object::new("`settings`")
        .may("args", "Words for one setting; {name} and {value}.", arguments())
        .may("image", "Words for the image, where they differ.", arguments())
        .may("env", "Variables of the image; {NAME} and {value}.", texts())
        .may("replace", "What stands for a character in {NAME}.", texts())
        .may("native", "Words for the native command, where they differ.", arguments());
    let handshake = Object::new("`handshake`")
        .must("expect", "How the answer of a ready server goes on.", text())
        .may("send", "What is sent.", text())
        .may("skip", "How many bytes of the answer say nothing.", integer(0, 4096));
    let family = ["url", "brokers", "host", "port", "addr", "username", "password", "database"];
    Object::new("the kind")
        .must("image", "The image of its server, or its whole contract.", any_of(vec![text(), image.build()]))
        .must("port", "The port that its server listens on.", port())
        .must("url", "The URL that services get.", address())
        .must("ready", "Ends with 0 once the server answers.", command())
        .may("brokers", "The list of brokers that services get, too.", address())
        .may("shared", "Whether all owners share what is in it.", boolean())
        .may("numbered", "Databases have a number below this instead of a name.", integer(1, 65_536))
        .may("versions", "The versions that the entry is written for.", list(text()))
        .may("default", "The version when none is asked for.", text())
        .may(
            "family",
            "The 12-factor names, by what they hold: `url: DATABASE_URL`.",
            json!({ "type": "object", "propertyNames": { "enum": family }, "additionalProperties": text() }),
        )
        .may("admin", "The name of the server's administrator.", text())
        .may("max_name", "The longest name of a user or database.", integer(16, 255))
        .may("separator", "What joins owner and alias to a name.", text())
        .may("native", "How the server runs without a container.", native())
        .may("stop", "The signal that stops it in good order.", text())
        .may("settings", "How a setting reaches the server.", settings.build())
        .may("client_env", "Environment of the programs below.", texts())
        .may("handshake", "The question of `ready` without a program.", handshake.build())
        .may("create", "Makes a logical database and its user.", input("`create`"))
        .may("extension", "Adds {extension}.", input("`extension`"))
        .may("topic", "Makes {topic}.", input("`topic`"))
        .may("lock", "Holds the lock of a logical database while its input is open.", input("`lock`"))
        .may("drop", "Removes a logical database and its user.", input("`drop`"))
        .may("dump", "Writes all of a logical database to its output.", command())
        .may("restore", "Reads what `dump` wrote.", command())
        .may("forget", "Lets the server forget what is not in a logical database any more.", input("`forget`"))
        .may("snapshot", "Whether `dump` is of one moment, whatever is written meanwhile.", boolean())
        .may(
            "tested",
            "What the entry was tested on, each with the versions.",
            json!({ "type": "object", "propertyNames": { "enum": ["native", "stand-in", "official"] }, "additionalProperties": list(text()) }),
        )
        .build()
}

/// A command, or one with its input.
fn input(what: &'static str) -> Value {
    let object = Object::new(what).must("run", "The program.", command()).may(
        "input",
        "What it reads from its standard input.",
        text(),
    );
    any_of(vec![command(), object.build()])
}

fn native() -> Value {
    let artifacts = named(pattern("^[0-9a-fA-F]{64}$"), "The SHA-256 of its file.");
    let home = Object::new("`home`")
        .must("variable", "The variable that holds it.", text())
        .may("into", "Where fetched files lie in it.", text())
        .may("maven", "Artifacts by version.", named(or_null(artifacts), "Artifacts, group:artifact:version."));
    Object::new("`native`")
        .must("version", "Prints the version.", command())
        .must("marker", "A file of a data folder that was made.", pattern("."))
        .must("init", "Makes a data folder.", command())
        .must("run", "Runs the server.", command())
        .may("folders", "Folders that programs are looked for in.", list(text()))
        .may("home", "Servers that are a folder.", home.build())
        .may("package", "The packages that hold it, by package manager.", texts())
        .may("account", "The account that it runs as.", text())
        .may("env", "Environment of the server.", texts())
        .build()
}
