//! Any bytes as a file: no panic, no hang, little memory. The fuzz targets of `fuzz/` without their compiler: seeds and
//! every file of this repository, changed at random but always in the same ways.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use clustergraph::format::alone::Format;

/// What is tried of each format.
const CHANGES: usize = 4000;
/// No file that is made here is longer, in bytes.
const LONGEST: usize = 6_000;

/// The format of which the process below tries all; it has little memory and time.
const TRIED: &str = "CLUSTERGRAPH_HOSTILE_FORMAT";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The seeds of a format, and the files of this repository that are of it.
fn seeds(folder: &str, end: &str) -> Vec<Vec<u8>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let of_repository = listed.split('\0').filter(|path| path.ends_with(end)).map(|path| root().join(path));
    let own = std::fs::read_dir(root().join("fuzz/seeds").join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = own.chain(of_repository.filter(|path| path.is_file())).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Numbers that are the same at every run (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }

    /// Two places in a text, in order.
    fn span(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let (one, other) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
        one.min(other)..one.max(other)
    }
}

/// What means something to one of the parsers, or is easily forgotten.
const TOKENS: &[&str] = &[
    "${",
    "}",
    "$${",
    "${services.",
    "${databases.a.url}",
    ".",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "\r\n",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "\\u0000",
    "\u{feff}",
    "\u{2028}",
    "é",
    "#",
    "---\n",
    "...\n",
    "null",
    "~",
    "true",
    "0x7f",
    "1e400",
    "-9223372036854775809",
    ".nan",
    "2026-01-01",
    "? ",
    "%YAML 1.2\n",
    "sha256:",
    "\0",
];

/// A text with a few changes, some of them with parts of another one.
fn changed(text: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=random.below(4) {
        let span = random.span(&text);
        match random.below(7) {
            0 => drop(text.drain(span)),
            1 => text.truncate(span.start),
            2 => drop(text.splice(span.start..span.start, other[random.span(other)].iter().copied())),
            3 => {
                let twice = text[span.clone()].to_vec();
                drop(text.splice(span.start..span.start, twice));
            }
            4 if !text.is_empty() => {
                let at = span.start.min(text.len() - 1);
                text[at] = u8::try_from(random.below(256)).unwrap();
            }
            5 => {
                let token = TOKENS[random.below(TOKENS.len())].repeat(1 + random.below(3) * random.below(40));
                drop(text.splice(span.start..span.start, token.into_bytes()));
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())];
                drop(text.splice(span, token.bytes()));
            }
        }
    }
    text.truncate(LONGEST);
    text
}

fn try_all(format: Format, folder: &str, end: &str) {
    let seeds = seeds(folder, end);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut right, mut wrong) = (0, 0);
    let mut tell = |bytes: &[u8]| {
        let problems = format.problems(bytes);
        let report = problems.render(in_colour(bytes), 100);
        assert_eq!(problems.is_empty(), report.is_empty());
        *(if problems.is_empty() { &mut right } else { &mut wrong }) += 1;
    };
    seeds.iter().for_each(|seed| tell(seed));
    for _ in 0..CHANGES {
        let (one, other) = (random.below(seeds.len()), random.below(seeds.len()));
        tell(&changed(&seeds[one], &seeds[other], &mut random));
    }
    assert!(right > 0 && wrong > CHANGES / 20, "{right} right and {wrong} wrong: the changes try nothing");
}

/// Reports in colours take other ways.
fn in_colour(bytes: &[u8]) -> bool {
    bytes.len().is_multiple_of(2)
}

/// Tries a format in a process of its own: one that hangs or wants much memory is ended.
fn tried(format: &str) {
    // Kilobytes of addresses: the test's own libraries and threads take most of them.
    let script = "ulimit -v 1000000; exec timeout 300 \"$0\" --exact the_format";
    let program = std::env::current_exe().unwrap();
    let output = Command::new("sh").args(["-c", script]).arg(program).env(TRIED, format).output().unwrap();
    assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_format() {
    match std::env::var(TRIED).as_deref() {
        Ok("service") => try_all(Format::Service, "service", "/service.yaml"),
        Ok("repository") => try_all(Format::Repository, "repository", "clustergraph.yaml"),
        Ok("lock") => try_all(Format::Lock, "lock", "clustergraph.lock"),
        Ok("expression") => try_all(Format::Expression, "expression", "/service.yaml"),
        _ => {}
    }
}

#[test]
fn any_bytes_as_a_service_are_answered() {
    tried("service");
}

#[test]
fn any_bytes_as_a_repositorys_settings_are_answered() {
    tried("repository");
}

#[test]
fn any_bytes_as_a_lock_are_answered() {
    tried("lock");
}

#[test]
fn any_text_with_expressions_is_answered() {
    tried("expression");
}
