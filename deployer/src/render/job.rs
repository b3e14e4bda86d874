//! What runs once for a logical database: it is made, then its schema is brought up to date.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::catalogue::NEW_PASSWORD;

/// The container that makes the database and its user; again is fine.
pub(crate) const CREATE: &str = "create";
/// The container that changes the schema, or gives the database its first data: once it has started, nothing is known without its
/// end.
pub(crate) const MIGRATE: &str = "migrate";
/// The container that holds a lock while the migration runs.
pub(crate) const LOCK: &str = "lock";
/// The file that is there while it does.
pub(super) const LOCKED: &str = "/tmp/locked";
/// The label by which a database's Job and credentials are found.
pub(crate) const DATABASE: &str = "clustergraph.dev/database";

/// How often, five times a second, the server is asked before the database is made.
const QUESTIONS: u32 = 150;

/// Commands one after the other, each with the variable that holds what it reads. The server is asked through its Service
/// first: it may be ready for longer than every node knows the way to it. The input reaches a program by its standard input
/// and is never part of a command line.
pub(super) fn script(question: &str, commands: &[(String, String)]) -> String {
    let mut script =
        format!("i=0; until {question} >/dev/null 2>&1 || [ $i -ge {QUESTIONS} ]; do i=$((i+1)); sleep 0.2; done\n");
    for (variable, command) in commands {
        script.push_str(&format!("printf '%s\\n' \"${variable}\" | {command} || exit\n"));
    }
    script
}

/// A command where its server runs: of its input the first line is a password, and the rest, of so many bytes, is what it reads.
pub(crate) fn beside(command: &str, bytes: usize) -> String {
    format!("read -r {NEW_PASSWORD} && export {NEW_PASSWORD} && head -c {bytes} | {command}")
}

/// A command that takes a lock, prints a line, and holds it while its input is open: until it is told to end.
pub(super) fn holding(variable: &str, command: &str) -> String {
    format!(
        "trap 'exit 0' TERM\n\
         {{ printf '%s\\n' \"${variable}\"; exec sleep 31536000; }} | {command} | {{ read -r _ && : >{LOCKED}; cat >/dev/null; }} &\n\
         wait $!\n"
    )
}

pub(super) fn run_as(container: &mut Value, user: Option<u32>) {
    let security = container.get_mut("securityContext").and_then(Value::as_object_mut);
    if let (Some(security), Some(user)) = (security, user) {
        let ids: BTreeMap<&str, u32> = [("runAsUser", user), ("runAsGroup", user)].into();
        security.extend(ids.into_iter().map(|(name, id)| (name.to_owned(), json!(id))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Runs the script as the container would, with programs that a shell always has.
    fn run(question: &str, commands: &[(&str, &str)]) -> (Option<i32>, String) {
        let named: Vec<(String, String)> =
            (1..).zip(commands).map(|(at, (_, command))| (format!("INPUT_{at}"), (*command).to_owned())).collect();
        let inputs = (1..).zip(commands).map(|(at, (input, _))| (format!("INPUT_{at}"), *input));
        let output = Command::new("sh").args(["-c", &script(question, &named)]).envs(inputs).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn each_input_arrives_as_it_is_whatever_the_words() {
        let input = "SELECT '$HOME' \\gexec -- `id` \"x\"\n%s";
        assert_eq!(run("true", &[(input, "cat")]), (Some(0), format!("{input}\n")));
        assert_eq!(run("test 'a b' = 'a b'", &[("1", "cat"), ("2", "cat")]), (Some(0), "1\n2\n".to_owned()));
    }

    #[test]
    fn beside_its_server_a_command_reads_its_input_and_finds_the_password() {
        let mut child = Command::new("sh")
            .args(["-c", &beside("sh -c 'echo \"$CLUSTERGRAPH_PASSWORD\"; cat'", 3)])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Its input stays open: how much there is to read, it was told.
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, b"secret\na\nb").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "secret\na\nb");
    }

    #[test]
    fn a_lock_is_held_until_its_holder_is_told_to_end() {
        use std::io::Read;
        use std::os::unix::process::CommandExt;
        let text =
            holding("INPUT", "sh -c 'read asked; echo \"got $asked\"; cat >/dev/null'").replace(LOCKED, "/dev/stdout");
        let text = text.replace(": >/dev/stdout", "echo locked");
        let mut child = Command::new("sh")
            .args(["-c", &text])
            .env("INPUT", "the lock")
            .stdout(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut said = [0; 7];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"locked\n");
        assert!(child.try_wait().unwrap().is_none(), "it is held");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        // In a container the rest ends with it.
        rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn the_first_command_that_fails_ends_it_with_its_code() {
        assert_eq!(run("true", &[("1", "sh -c 'exit 7'"), ("2", "cat")]), (Some(7), String::new()));
    }
}
