//! JUnit's XML: what runners of tests write, read without trust; and all of a run as one file.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

/// How many cases a file may have.
const MOST: usize = 200_000;
/// How deep elements may be in each other.
const DEEPEST: usize = 64;
/// How long a text is kept, in bytes: the rest of an output is in the log.
const LONGEST: usize = 64 * 1024;
/// How long a name is kept, in bytes.
const LONGEST_NAME: usize = 4096;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Outcome {
    /// It passed.
    #[default]
    Passed,
    /// It was not run, and said so.
    Skipped,
    /// What it asserts is not so.
    Failed,
    /// It could not be run to its end.
    Error,
}

impl Outcome {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Error => "error",
        }
    }

    /// Whether it is as it should be.
    pub(crate) fn is_fine(self) -> bool {
        matches!(self, Self::Passed | Self::Skipped)
    }
}

/// One case.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Case {
    /// The class, module or package that it is of.
    pub(crate) class: String,
    /// Its name there.
    pub(crate) name: String,
    /// The file that it is written in, where the runner says so.
    pub(crate) file: String,
    /// How long it took, in seconds, where the runner says so.
    pub(crate) seconds: Option<f64>,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// Why it is not fine, in a line.
    pub(crate) message: String,
    /// Why, at length.
    pub(crate) text: String,
}

/// The cases of a file, in its order.
///
/// # Errors
/// In words what is wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Case>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut cases = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut case: Option<Case> = None;
    let mut is_junit = false;
    // Whether what stands in the element that is open tells why its case is not fine.
    let mut tells = false;
    loop {
        let event = reader.read_event().map_err(|error| format!("at byte {}: {error}", reader.error_position()))?;
        match event {
            Event::Start(start) => {
                let name = start.local_name().into_inner().to_owned();
                if open.is_empty() {
                    is_junit |= matches!(name.as_str(), "testsuites" | "testsuite");
                }
                match (name.as_str(), &mut case) {
                    ("testcase", None) => case = Some(begun(&start)?),
                    ("failure", Some(case)) => tells = worse(case, Outcome::Failed, &start)?,
                    ("error", Some(case)) => tells = worse(case, Outcome::Error, &start)?,
                    ("skipped", Some(case)) => tells = worse(case, Outcome::Skipped, &start)?,
                    _ => {}
                }
                open.push(name);
                if open.len() > DEEPEST {
                    return Err(format!("its elements are more than {DEEPEST} deep"));
                }
            }
            Event::End(_) => {
                tells = false;
                if open.pop().as_deref() == Some("testcase")
                    && let Some(case) = case.take()
                {
                    cases.push(case);
                    if cases.len() > MOST {
                        return Err(format!("it has more than {MOST} cases"));
                    }
                }
            }
            Event::Text(words) => add(&mut case, tells, &words.xml10_content()),
            Event::CData(words) => add(&mut case, tells, &words.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                match (character, resolve_predefined_entity(&reference)) {
                    (Some(character), _) => add(&mut case, tells, character.encode_utf8(&mut [0; 4])),
                    (None, Some(text)) => add(&mut case, tells, text),
                    (None, None) => return Err(format!("it names the entity `{}`", reference.escape_debug())),
                }
            }
            // What a document declares of itself is not believed.
            Event::DocType(_) => return Err("it has a document type of its own".to_owned()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if !open.is_empty() {
        return Err("it ends in the middle".to_owned());
    }
    if is_junit { Ok(cases) } else { Err("it holds no test suites".to_owned()) }
}

fn begun(start: &BytesStart<'_>) -> Result<Case, String> {
    let mut case = Case::default();
    for (name, value) in attributes(start)? {
        match name.as_str() {
            "classname" => case.class = cut(value, LONGEST_NAME),
            "name" => case.name = cut(value, LONGEST_NAME),
            "file" => case.file = cut(value, LONGEST_NAME),
            // Some write thousands with a comma.
            "time" => {
                let seconds: Option<f64> = value.replace(',', "").trim().parse().ok();
                case.seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            }
            _ => {}
        }
    }
    Ok(case)
}

/// The worst that is said of a case counts; of the same, what is said first. Whether this does.
fn worse(case: &mut Case, outcome: Outcome, start: &BytesStart<'_>) -> Result<bool, String> {
    if outcome <= case.outcome {
        return Ok(false);
    }
    case.outcome = outcome;
    let message = attributes(start)?.into_iter().find(|(name, _)| name == "message");
    case.message = cut(message.map(|(_, value)| value).unwrap_or_default(), LONGEST_NAME);
    case.text.clear();
    Ok(true)
}

fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>, String> {
    start
        .attributes()
        .map(|attribute| {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
            Ok((attribute.key.local_name().into_inner().to_owned(), value.into_owned()))
        })
        .collect()
}

/// What tells why a case is not fine is kept; what the case printed is in the log.
fn add(case: &mut Option<Case>, tells: bool, text: &str) {
    if let Some(case) = case.as_mut().filter(|case| tells && case.text.len() < LONGEST) {
        case.text.push_str(text);
        case.text = cut(std::mem::take(&mut case.text), LONGEST);
    }
}

/// A text up to so many bytes, between two characters.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// All cases of a run as one file: a suite for each service and shard.
pub(crate) fn write(suites: &[(String, Vec<Case>)]) -> std::io::Result<Vec<u8>> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all = suites.iter().flat_map(|(_, cases)| cases);
    let mut root = BytesStart::new("testsuites");
    counts(&mut root, all);
    writer.write_event(Event::Start(root))?;
    for (name, cases) in suites {
        let mut suite = BytesStart::new("testsuite");
        suite.push_attribute(("name", lawful(name).as_str()));
        counts(&mut suite, cases.iter());
        writer.write_event(Event::Start(suite))?;
        for case in cases {
            one(&mut writer, case)?;
        }
        writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn counts<'c>(element: &mut BytesStart<'_>, cases: impl Iterator<Item = &'c Case> + Clone) {
    let count = |outcome| cases.clone().filter(|case| case.outcome == outcome).count().to_string();
    element.push_attribute(("tests", cases.clone().count().to_string().as_str()));
    element.push_attribute(("failures", count(Outcome::Failed).as_str()));
    element.push_attribute(("errors", count(Outcome::Error).as_str()));
    element.push_attribute(("skipped", count(Outcome::Skipped).as_str()));
    let seconds = cases.filter_map(|case| case.seconds).fold(0.0, |sum, seconds| sum + seconds);
    element.push_attribute(("time", format!("{seconds:.3}").as_str()));
}

fn one(writer: &mut Writer<Vec<u8>>, case: &Case) -> std::io::Result<()> {
    let mut element = BytesStart::new("testcase");
    for (name, value) in [("classname", &case.class), ("name", &case.name), ("file", &case.file)] {
        if !value.is_empty() || name == "name" {
            element.push_attribute((name, lawful(value).as_str()));
        }
    }
    if let Some(seconds) = case.seconds {
        element.push_attribute(("time", format!("{seconds:.3}").as_str()));
    }
    let inner = match case.outcome {
        Outcome::Passed => return writer.write_event(Event::Empty(element)),
        Outcome::Skipped => "skipped",
        Outcome::Failed => "failure",
        Outcome::Error => "error",
    };
    writer.write_event(Event::Start(element))?;
    let mut why = BytesStart::new(inner);
    if !case.message.is_empty() {
        why.push_attribute(("message", lawful(&case.message).as_str()));
    }
    if case.text.is_empty() {
        writer.write_event(Event::Empty(why))?;
    } else {
        writer.write_event(Event::Start(why))?;
        writer.write_event(Event::Text(BytesText::new(&lawful(&case.text))))?;
        writer.write_event(Event::End(BytesEnd::new(inner)))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testcase")))
}

/// A text without the characters that XML 1.0 cannot hold, however they are written.
fn lawful(text: &str) -> String {
    let is = |c: &char| !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    text.chars().filter(is).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As pytest, gotestsum, node and Surefire write it.
    const WRITTEN: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<!-- a comment -->
<testsuites><testsuite name="pytest" tests="4" time="1.2">
  <properties><property name="a" value="b"/></properties>
  <testcase classname="tests.test_cart" name="test_empty[a &lt; b]" time="0.25"/>
  <testcase classname="tests.test_cart" name="test_total" time="1,000.5">
    <failure message="assert 3 == 4&#10;more">E  assert <![CDATA[3 == 4]]> &amp; so on&#33;</failure>
    <failure message="a second one">not kept</failure>
    <system-out>printed</system-out>
  </testcase>
  <testcase classname="tests.test_cart" name="test_later"><skipped message="not here"/></testcase>
  <testsuite name="inner"><testcase name="TestNoTime" file="a_test.go" time="never"><error>gone</error></testcase></testsuite>
</testsuite></testsuites>"#;

    #[test]
    fn cases_are_read_as_runners_write_them() {
        let cases = read(WRITTEN.as_bytes()).unwrap();
        insta::assert_debug_snapshot!("junit", cases);
        assert_eq!(read(b"\xef\xbb\xbf<testsuite/>").unwrap(), []);
    }

    #[test]
    fn what_is_no_junit_is_told_in_words() {
        let deep = "<testsuite>".repeat(DEEPEST + 1);
        for (text, words) in [
            ("", "no test suites"),
            ("<html/>", "no test suites"),
            ("<testsuite>", "in the middle"),
            ("<testsuite><testcase></testsuite>", "testcase"),
            ("<testsuite><testcase name=\"a\" name=\"b\"/></testsuite>", "duplicate"),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><testsuite/>", "document type"),
            ("<testsuite><testcase><failure>&b;</failure></testcase></testsuite>", "entity `b`"),
            ("<testsuite><testcase name=\"&b;\"/></testsuite>", "`b`"),
            (deep.as_str(), "64 deep"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(read(b"<testsuite name=\"\xff\"/>").is_err());
    }

    #[test]
    fn a_text_is_kept_up_to_a_bound() {
        let long = "ä".repeat(LONGEST);
        let text = format!("<testsuite><testcase name=\"a\"><failure>x{long}</failure></testcase></testsuite>");
        let cases = read(text.as_bytes()).unwrap();
        assert!(cases[0].text.len() <= LONGEST && cases[0].text.len() > LONGEST - 4);
    }

    fn any_case() -> impl Strategy<Value = Case> {
        let outcome =
            prop_oneof![Just(Outcome::Passed), Just(Outcome::Skipped), Just(Outcome::Failed), Just(Outcome::Error)];
        // What an attribute holds is told without line ends and blanks of other kinds: XML makes them blanks.
        let word = "[ -~äß€]{0,12}";
        let text = "[ -~\näß\u{0}\u{7}]{0,12}";
        (word, word, word, proptest::option::of(0_u32..100_000), outcome, word, text).prop_map(
            |(class, name, file, millis, outcome, message, text)| {
                let is_told = outcome != Outcome::Passed;
                let told = |text: String| if is_told { lawful(&text) } else { String::new() };
                let seconds = millis.map(|millis| f64::from(millis) / 1000.0);
                Case { class, name, file, seconds, outcome, message: told(message), text: told(text) }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(cases in proptest::collection::vec(any_case(), 0..6)) {
            let written = write(&[("a \"suite\" <1>".to_owned(), cases.clone()), ("empty".to_owned(), vec![])]).unwrap();
            let read = read(&written).map_err(|error| TestCaseError::fail(format!("{error}: {}", String::from_utf8_lossy(&written))))?;
            prop_assert_eq!(read, cases);
        }

        #[test]
        fn whatever_a_program_writes_is_read_without_panic(bytes in any::<Vec<u8>>(), text in "[<>/&;a-z\"= !\\[\\]-]{0,80}") {
            let _ = read(&bytes);
            let _ = read(text.as_bytes());
            let _ = read(format!("<testsuite>{text}</testsuite>").as_bytes());
        }
    }
}
