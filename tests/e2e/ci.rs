//! The workflows of docs/ci.md: each is the YAML that its service reads, runs commands that there are, and builds nothing of a fork
//! by itself.

use clustergraph_tests::{Program, workspace};
use serde_json::Value;

/// The workflows, by their paths.
fn workflows() -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(workspace().join("docs/ci.md")).expect("the document");
    let blocks = text.split("```yml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default());
    let read = |block: &str| {
        let path = block.lines().next().and_then(|line| line.strip_prefix("# ")).expect("its path").to_owned();
        let value = serde_yaml::from_str(block).unwrap_or_else(|error| panic!("{path}: {error}"));
        (path, value)
    };
    blocks.map(read).collect()
}

fn workflow(path: &str) -> Value {
    workflows().into_iter().find(|(name, _)| name == path).expect("the workflow").1
}

/// All texts that a shell runs.
fn commands(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("run", Value::String(text)) => found.extend(text.lines().map(str::to_owned)),
                    ("script" | "after_script", Value::Array(lines)) => {
                        found.extend(lines.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    _ => commands(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| commands(value, found)),
        _ => {}
    }
}

#[test]
fn every_command_of_ours_in_them_is_one_that_there_is() {
    let mut found = Vec::new();
    for (_, workflow) in workflows() {
        commands(&workflow, &mut found);
    }
    let ours: Vec<&String> = found.iter().filter(|line| line.starts_with("komandan ")).collect();
    assert!(ours.len() >= 6, "{found:?}");
    for line in ours {
        let words = line.strip_prefix("komandan ").expect("ours").replace('"', "");
        let words = words.replace("$NUMBER", "7").replace("$CI_MERGE_REQUEST_IID", "7");
        // What is unknown is told before help is given.
        let help = Program::new("komandan", &workspace()).args(&format!("{words} --help")).run();
        assert_eq!(help.code(), Some(0), "{line}: {}", help.stderr());
    }
    let unknown = Program::new("komandan", &workspace()).args("test --sharks 4 --help").run();
    assert_eq!(unknown.code(), Some(2), "the check above finds what is wrong");
}

#[test]
fn on_github_nothing_of_a_fork_is_built_that_nobody_has_read() {
    for (path, workflow) in workflows().into_iter().filter(|(path, _)| path.starts_with(".github/")) {
        // YAML 1.1 reads `on` as true; GitHub and YAML 1.2 do not.
        let on = workflow["on"].as_object().unwrap_or_else(|| panic!("{path} says when it runs"));
        assert!(!on.contains_key("pull_request_target"), "{path}");
        assert_eq!(workflow["permissions"]["contents"], "read", "{path}");
        for (name, job) in workflow["jobs"].as_object().expect("jobs") {
            assert!(job["timeout-minutes"].is_u64() && job["runs-on"].is_string(), "{path} {name}");
            for step in job["steps"].as_array().expect("steps") {
                assert!(step["run"].is_string() != step["uses"].is_string(), "{path} {name}: {step}");
                // What somebody else wrote reaches a shell by the environment only.
                assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{path} {name}: {step}");
            }
            if on.contains_key("pull_request") {
                let condition = job["if"].as_str().unwrap_or_default();
                let own = "github.event.pull_request.head.repo.full_name == github.repository";
                assert_eq!(condition, format!("github.event_name == 'workflow_dispatch' || {own}"), "{path} {name}");
            }
        }
    }
}

#[test]
fn on_gitlab_nothing_of_a_fork_is_built_that_nobody_has_read() {
    let workflow = workflow(".gitlab-ci.yml");
    let stages = workflow["stages"].as_array().expect("stages").clone();
    let jobs = workflow.as_object().expect("fields").iter().filter(|(_, job)| job["script"].is_array());
    let mut seen = 0;
    for (name, job) in jobs {
        assert!(stages.contains(&job["stage"]), "{name}");
        let rules = job["rules"].as_array().expect("rules");
        let of_requests = |rule: &&Value| rule["if"].as_str().is_some_and(|it| it.contains("merge_request_event"));
        if let Some(first) = rules.iter().find(of_requests) {
            let condition = first["if"].as_str().unwrap_or_default();
            assert!(condition.contains("SOURCE_PROJECT_ID != $CI_MERGE_REQUEST_PROJECT_ID"), "{name}: {condition}");
            assert_eq!(first["when"], "manual", "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 2);
}
