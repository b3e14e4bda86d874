//! Problems in what people wrote: where, what, why and how to mend it.
//!
//! Nothing here stops at the first problem. Whoever finds one adds it to [`Problems`] and goes on;
//! the caller shows all of them at once.

mod serial;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

pub(crate) use serial::afresh;

/// A stretch of one file. Lines and columns count from 1, bytes from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Path of the file, relative to the repository's root, `/` between its parts.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The bytes of the file that are meant.
    pub bytes: Range<usize>,
}

/// Where things of one file were written, by their names.
pub type Places = BTreeMap<Cow<'static, str>, Place>;

impl Place {
    /// The start of a file, for problems that concern all of it.
    #[must_use]
    pub fn start_of(file: &str) -> Self {
        Self { file: file.into(), line: 1, column: 1, bytes: 0..0 }
    }

    /// A stretch of a file's text; line and column are counted from its bytes.
    #[must_use]
    pub fn at(file: &str, text: &str, bytes: Range<usize>) -> Self {
        let bytes = within(text, &bytes);
        let before = &text[..bytes.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
        Self {
            file: file.into(),
            line: count(before.matches('\n').count()),
            column: count(before[line_start..].chars().count()),
            bytes,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A stable name such as `unknown-field`, for tools and for searching the documentation.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Where it is wrong.
    pub place: Place,
    /// A few words under the excerpt; may be empty.
    pub label: String,
    /// Other places that belong to the problem, each with its few words.
    pub related: Vec<(Place, String)>,
    /// What to do next.
    pub mend: Option<String>,
}

impl Problem {
    /// A problem with its place and message; the rest is added by the builder methods.
    pub fn new(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place, label: String::new(), related: Vec::new(), mend: None }
    }

    /// Puts a few words under the excerpt.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place that belongs to the problem.
    #[must_use]
    pub fn related(mut self, place: Place, words: impl Into<String>) -> Self {
        self.related.push((place, words.into()));
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}

/// More than these nobody reads at once; a file of nothing but problems must not take minutes to show.
const SHOWN: usize = 200;

/// All problems found so far, with the texts they point into.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    found: Vec<Problem>,
    texts: BTreeMap<Arc<str>, Arc<str>>,
}

impl Problems {
    /// Notes one more problem.
    pub fn add(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// Notes all that was found elsewhere.
    pub(crate) fn append(&mut self, mut others: Self) {
        self.found.append(&mut others.found);
        // One by one: `append` of a map goes through all that is there already.
        self.texts.extend(others.texts);
    }

    /// Keeps a file's text, so that excerpts can be shown from it.
    pub fn keep_text(&mut self, file: &str, text: Arc<str>) {
        self.texts.insert(file.into(), text);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many things are wrong.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted().len()
    }

    /// How often something was noted, the same thing again included: whether this grew is quick to ask.
    pub(crate) fn noted(&self) -> usize {
        self.found.len()
    }

    /// The text of a file, if it was kept.
    pub(crate) fn text(&self, file: &str) -> Option<&str> {
        self.texts.get(file).map(|text| &**text)
    }

    /// All problems, ordered by file, line and column.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut all: Vec<_> = self.found.iter().collect();
        all.sort_by_key(|problem| {
            let place = &problem.place;
            (Arc::clone(&place.file), place.line, place.column, problem.code, problem.message.clone())
        });
        all.dedup();
        all
    }

    /// The report for a person: every problem with its excerpt and mend; of very many, the first.
    ///
    /// `width` is the terminal's width in columns.
    #[must_use]
    pub fn render(&self, colour: bool, width: usize) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() }
            .decor_style(DecorStyle::Ascii)
            .term_width(width.max(40));
        let mut report = String::new();
        let problems = self.sorted();
        for problem in problems.iter().take(SHOWN) {
            report.push_str(&renderer.render(&self.groups(problem)));
            report.push_str("\n\n");
        }
        if let Some(more) = problems.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            report.push_str(&format!("and {more} more\n\n"));
        }
        report
    }

    fn groups<'a>(&'a self, problem: &'a Problem) -> Vec<Group<'a>> {
        let mut group = Level::ERROR
            .primary_title(problem.message.as_str())
            .id(problem.code)
            .elements(None::<Snippet<'_, Annotation<'_>>>);
        let mut files: Vec<&Arc<str>> = vec![&problem.place.file];
        for (place, _) in &problem.related {
            if !files.contains(&&place.file) {
                files.push(&place.file);
            }
        }
        for file in files {
            let Some(text) = self.text(file) else {
                group = group.element(Origin::path(file.as_ref()));
                continue;
            };
            let mut snippet = Snippet::source(text).path(file.as_ref());
            if problem.place.file == *file {
                snippet = snippet.annotation(
                    AnnotationKind::Primary.span(within(text, &problem.place.bytes)).label(problem.label.as_str()),
                );
            }
            for (place, words) in problem.related.iter().filter(|(place, _)| place.file == *file) {
                snippet =
                    snippet.annotation(AnnotationKind::Context.span(within(text, &place.bytes)).label(words.as_str()));
            }
            group = group.element(snippet);
        }
        if let Some(mend) = &problem.mend {
            group = group.element(Level::HELP.message(mend.as_str()));
        }
        vec![group]
    }
}

/// The span cut to the text and to character boundaries: excerpts must never panic, whatever the input.
fn within(text: &str, bytes: &Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(bytes.start);
    start..floor(bytes.end).max(start)
}

/// The closest of `candidates` to `word`, if any is close enough to be a slip of the fingers.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        // A word of which nothing is left is no slip: `d` is not `a`.
        .filter(|(distance, candidate)| {
            *distance <= limit && *distance < word.chars().count().max(candidate.chars().count())
        })
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_is_close_or_absent() {
        assert_eq!(suggestion("dependancies", ["dependencies", "databases"]), Some("dependencies"));
        assert_eq!(suggestion("prots", ["ports", "public"]), Some("ports"));
        assert_eq!(suggestion("zebra", ["ports", "public"]), None);
        assert_eq!(suggestion("d", ["a"]), None);
        assert_eq!(suggestion("bb", ["b"]), Some("b"));
    }

    #[test]
    fn a_span_outside_the_text_is_cut() {
        assert_eq!(within("aé", &(2..99)), 1..3);
        assert_eq!(within("", &(5..9)), 0..0);
    }
}
