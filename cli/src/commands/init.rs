//! `ssi init`: a service.yaml for each folder that looks like a service.

mod propose;

use std::collections::BTreeMap;

use clap::Args;
use clustergraph::catalogue::Catalogue;
use clustergraph::tree::{Tree, locate};

use super::{Global, Printed};
use crate::console::{self, BOLD, DIM, GREEN, paint};
use crate::exit::{Exit, Failure};
use crate::report::Output;
use propose::Proposal;

/// Arguments of `ssi init`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi init --dry-run     what would be written\n  ssi init\n  ssi init --output json"
)]
pub(crate) struct InitArgs {
    /// Print what would be written and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    printed: Printed,
}

pub(super) fn run(global: &Global, args: &InitArgs) -> Result<Exit, Failure> {
    let root = locate(&global.directory)?.root();
    let tree = Tree::of_worktree(&global.directory)?;
    let text_of = |path: &str| {
        let file = tree.root().file(path)?;
        String::from_utf8(tree.read(file).ok()?).ok()
    };
    let proposal = Proposal::of(tree.root(), Catalogue::built_in(), &text_of);
    if !args.dry_run {
        for (path, text) in &proposal.files {
            let path = root.join(path);
            let write = || {
                use std::io::Write;
                // What is there stays, whoever wrote it meanwhile.
                std::fs::File::options().write(true).create_new(true).open(&path)?.write_all(text.as_bytes())
            };
            write().map_err(|error| Failure::unusable(format!("{}: {error}", path.display())))?;
        }
    }
    print(args, &proposal);
    Ok(Exit::Success)
}

fn print(args: &InitArgs, proposal: &Proposal) {
    if args.printed.output == Output::Json {
        let files: BTreeMap<&String, Option<&String>> =
            proposal.files.iter().map(|(path, text)| (path, args.dry_run.then_some(text))).collect();
        let value = serde_json::json!({
            "schema": "ssi.init/1", "dry_run": args.dry_run, "files": files, "skipped": proposal.skipped,
        });
        return console::data(&value.to_string());
    }
    for (path, text) in &proposal.files {
        console::data(&match args.dry_run {
            true => format!("{}\n{text}", paint(&format!("# {path}"), BOLD)),
            false => format!("{} {path}", paint("wrote", GREEN)),
        });
    }
    for (path, why) in &proposal.skipped {
        console::note(&format!("{path}: {}", paint(why, DIM)));
    }
    if proposal.files.is_empty() {
        console::note(
            "nothing new here looks like a service: write a service.yaml in a folder of its own, `name: web` and `run: [./server]` are enough",
        );
    } else if !args.dry_run {
        console::note(&format!("next: complete them, then {} and {}", paint("ssi check", BOLD), paint("ssi up", BOLD)));
    }
}
