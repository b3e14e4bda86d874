//! The one place that prints: data to standard output, everything else to standard error.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};

/// Prints a command's data. A closed pipe ends the output quietly, as for any filter.
pub(crate) fn data(text: &str) {
    use std::io::Write;
    let mut out = anstream::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Tells a person something that is no data.
pub(crate) fn note(text: &str) {
    use std::io::Write;
    // Nobody listens any more: that ends no command.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Tells why a command ended.
pub(crate) fn error(text: &str) {
    note(&format!("{}: {text}", paint("error", RED.bold())));
}

/// Whether standard error is a terminal that a live view may draw on.
pub(crate) fn is_live() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Whether colours are wanted on standard error (NO_COLOR, CLICOLOR_FORCE and pipes are respected).
pub(crate) fn has_colour() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// The terminal's width in columns; 100 where there is none.
pub(crate) fn width() -> usize {
    size().map_or(100, |(columns, _)| columns)
}

/// The width that a table on standard output may have: what reads a pipe wants every word.
pub(crate) fn table_width() -> usize {
    if std::io::stdout().is_terminal() { width() } else { usize::MAX }
}

/// The terminal's height in lines; 40 where there is none.
pub(crate) fn height() -> usize {
    size().map_or(40, |(_, lines)| lines)
}

fn size() -> Option<(usize, usize)> {
    let size = |stream: std::os::fd::BorrowedFd<'_>| rustix::termios::tcgetwinsize(stream).ok();
    let found = size(std::io::stdout().as_fd()).or_else(|| size(std::io::stderr().as_fd()))?;
    (found.ws_col > 0 && found.ws_row > 0).then(|| (found.ws_col.into(), found.ws_row.into()))
}

pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();

/// A text in a style; the streams above take styles out where they do not belong.
pub(crate) fn paint(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}
