//! What `test.list` prints: a name a line. Pure.

use std::collections::BTreeSet;

/// How many tests a service may have.
const MOST: usize = 100_000;
/// How long a name may be, in bytes.
const LONGEST: usize = 2048;

/// The names, in the order in which they are printed, up to the first empty line: what a runner says of them stands below it
/// (`pytest --collect-only -q`, `cargo test -- --list`).
///
/// # Errors
/// In words what is wrong with them.
pub(crate) fn names(printed: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(printed).map_err(|_| "it prints what is not UTF-8".to_owned())?;
    let lines = text.lines().map(str::trim).skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    let mut names = Vec::new();
    let mut seen = BTreeSet::new();
    for line in lines {
        if line.len() > LONGEST {
            return Err(format!("it prints a name of {} bytes; at most {LONGEST}", line.len()));
        }
        if line.chars().any(char::is_control) {
            return Err(format!("it prints `{}`, which no file of names can hold", line.escape_debug()));
        }
        if !seen.insert(line) {
            return Err(format!("it prints `{line}` twice: which of both ran, nobody could tell"));
        }
        names.push(line.to_owned());
        if names.len() > MOST {
            return Err(format!("it prints more than {MOST} names"));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_stand_a_line_each_up_to_an_empty_one() {
        for (printed, expected) in [
            ("", Ok(vec![])),
            ("a\nb", Ok(vec!["a", "b"])),
            ("\n\na\r\n  b c \n\n2 tests collected in 0.01s\n", Ok(vec!["a", "b c"])),
            ("a\na\n", Err("it prints `a` twice: which of both ran, nobody could tell")),
            ("a\u{1b}[31m\n", Err("it prints `a\\u{1b}[31m`, which no file of names can hold")),
        ] {
            let expected =
                expected.map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>()).map_err(str::to_owned);
            assert_eq!(names(printed.as_bytes()), expected, "{printed:?}");
        }
        assert!(names(b"\xff").is_err());
        assert!(names("x".repeat(LONGEST + 1).as_bytes()).is_err());
        let many: String = (0..=MOST).map(|at| format!("{at}\n")).collect();
        assert!(names(many.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_printed_no_name_is_empty_or_there_twice(printed in any::<Vec<u8>>()) {
            if let Ok(names) = names(&printed) {
                let set: BTreeSet<&String> = names.iter().collect();
                prop_assert!(set.len() == names.len() && names.iter().all(|name| !name.trim().is_empty()));
            }
        }
    }
}
