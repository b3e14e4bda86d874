//! Tables that fit the terminal.

use unicode_width::UnicodeWidthStr;

/// Columns that the last one should have before others are left out for it.
const ENOUGH: usize = 24;

/// A table with a header. Where the terminal is too narrow, the columns of `less` are left out, the first of
/// them first, and then the last column is cut. `width` is in columns.
pub(crate) fn table(header: &[&str], less: &[&str], rows: Vec<Vec<String>>, width: usize) -> String {
    let mut all = vec![header.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    all.extend(rows);
    let widths: Vec<usize> = (0..header.len())
        .map(|at| all.iter().map(|row| row.get(at).map_or(0, |cell| shown(cell))).max().unwrap_or(0))
        .collect();
    let mut columns: Vec<usize> = (0..header.len()).collect();
    for name in less {
        let (last, before) = columns.split_last().map_or((0, &[][..]), |(last, before)| (widths[*last], before));
        let taken: usize = before.iter().map(|at| widths[*at] + 2).sum();
        if taken + last.min(ENOUGH) <= width {
            break;
        }
        columns.retain(|at| header[*at] != *name);
    }
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (at, column) in columns.iter().enumerate() {
            let cell = row.get(*column).map(String::as_str).unwrap_or_default();
            if at + 1 == columns.len() {
                line.push_str(&cut(cell, width.saturating_sub(shown(&line))));
            } else {
                line.push_str(cell);
                line.push_str(&" ".repeat(widths[*column] - shown(cell) + 2));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// Columns that a text takes, styles not counted.
fn shown(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

fn cut(text: &str, width: usize) -> String {
    if shown(text) <= width || width < 8 {
        return text.to_owned();
    }
    let plain = anstream::adapter::strip_str(text).to_string();
    let kept: String = plain.chars().take(width - 1).collect();
    format!("{kept}…")
}

/// An age in words of one unit: `5s`, `3m`, `2h`, `4d`.
pub(crate) fn ago(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_is_cut() {
        let rows = vec![vec!["api".into(), "http://127.0.0.1:8000".into()], vec!["postgres-15".into(), "x".into()]];
        assert_eq!(
            table(&["NAME", "ADDRESS"], &[], rows.clone(), 80),
            "NAME         ADDRESS\napi          http://127.0.0.1:8000\npostgres-15  x"
        );
        assert_eq!(table(&["NAME", "ADDRESS"], &[], rows, 24).lines().nth(1), Some("api          http://127…"));
    }

    #[test]
    fn a_narrow_terminal_gets_what_matters() {
        let header = ["NAME", "KIND", "STATE", "RUNTIME", "AGE", "ADDRESS"];
        let row = ["postgres-15", "server", "ready", "process", "12m", "127.0.0.1:5432"].map(str::to_owned).to_vec();
        let at = |width| table(&header, &["KIND", "RUNTIME", "AGE"], vec![row.clone()], width);
        assert_eq!(at(40), "NAME         STATE  AGE  ADDRESS\npostgres-15  ready  12m  127.0.0.1:5432");
        assert!(at(50).lines().all(|line| line.len() <= 50) && at(50).contains("RUNTIME") && !at(50).contains("KIND"));
        assert!(at(100).contains("KIND"));
    }

    #[test]
    fn ages() {
        assert_eq!([ago(0), ago(119), ago(120), ago(7200), ago(200_000)], ["0s", "119s", "2m", "2h", "2d"]);
    }
}
