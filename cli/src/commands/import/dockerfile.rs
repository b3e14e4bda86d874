//! What a Dockerfile says of its entrypoint: a command of the Compose file is its arguments.

/// The entrypoint of a stage, or of the last one; `None` where the stage says nothing of it.
pub(super) fn entrypoint(text: &str, target: Option<&str>) -> Option<Vec<String>> {
    let mut stages: Vec<(Vec<String>, Option<Vec<String>>)> = Vec::new();
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    for line in joined.lines().map(str::trim) {
        let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match instruction.to_ascii_uppercase().as_str() {
            "FROM" => {
                let words: Vec<String> =
                    rest.split_whitespace().filter(|word| !word.starts_with("--")).map(str::to_owned).collect();
                // A stage that is made from an earlier one has what that one says.
                let inherited = words.first().and_then(|base| named(&stages, base)).cloned().flatten();
                stages.push((words, inherited));
            }
            "ENTRYPOINT" => {
                if let Some((_, entrypoint)) = stages.last_mut() {
                    *entrypoint = Some(words(rest.trim()));
                }
            }
            _ => {}
        }
    }
    let stage = match target {
        Some(target) => named(&stages, target),
        None => stages.last().map(|(_, entrypoint)| entrypoint),
    };
    stage.cloned().flatten().filter(|words| !words.is_empty())
}

fn named<'s>(stages: &'s [(Vec<String>, Option<Vec<String>>)], name: &str) -> Option<&'s Option<Vec<String>>> {
    let is_it =
        |words: &[String]| matches!(words, [.., keyword, own] if keyword.eq_ignore_ascii_case("as") && own == name);
    stages.iter().rev().find(|(words, _)| is_it(words)).map(|(_, entrypoint)| entrypoint)
}

/// The JSON form; the shell form is a shell's.
fn words(rest: &str) -> Vec<String> {
    serde_json::from_str(rest).unwrap_or_else(|_| vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entrypoint_is_that_of_the_stage_that_is_built() {
        let text = "ARG X\nFROM --platform=linux/amd64 python:3 AS base\nENTRYPOINT [\"python\", \\\n \"-u\"]\nFROM base as dev\nRUN x\nFROM scratch\nCMD [\"y\"]\n";
        let shown = |target| entrypoint(text, target).map(|words| words.join(" "));
        assert_eq!(shown(Some("base")).as_deref(), Some("python -u"));
        assert_eq!(shown(Some("dev")).as_deref(), Some("python -u"));
        assert_eq!(shown(None), None);
        assert_eq!(entrypoint("FROM x\nentrypoint run me", None).unwrap(), ["/bin/sh", "-c", "run me"]);
    }
}
