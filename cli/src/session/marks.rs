//! When what was written: processes write their logs themselves, without times, so the supervisor notes now and then how
//! long each log is. `api.log` has its marks in `api.log.marks`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the lengths are noted.
const NOTE: Duration = Duration::from_secs(1);
/// Bytes of marks that are kept of one log, about.
const KEPT: u64 = 256 * 1024;

/// Notes the lengths of the logs of a folder for as long as somebody polls this.
pub(crate) async fn keep(folder: PathBuf) {
    let mut known = BTreeMap::new();
    let mut tick = tokio::time::interval(NOTE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        note(&folder, jiff::Timestamp::now().as_second(), &mut known);
    }
}

/// Notes the lengths that changed. What cannot be noted is no harm: `--since` shows more then.
fn note(folder: &Path, now: i64, known: &mut BTreeMap<PathBuf, u64>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(length) = entry.metadata().map(|found| found.len()) else { continue };
        if path.extension().is_none_or(|extension| extension != "log") || known.get(&path) == Some(&length) {
            continue;
        }
        let before = known.insert(path.clone(), length).or_else(|| last(&path).map(|(_, size)| size));
        let marks = marks_of(&path);
        if before.is_some_and(|before| before > length) {
            let _ = std::fs::remove_file(&marks); // the log was begun anew
        }
        if std::fs::metadata(&marks).is_ok_and(|found| found.len() > KEPT) {
            let text = std::fs::read_to_string(&marks).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let _ = std::fs::write(&marks, lines[lines.len() / 2..].join("\n") + "\n");
        }
        if let Ok(mut file) = std::fs::File::options().create(true).append(true).open(&marks) {
            let _ = writeln!(file, "{now} {length}");
        }
    }
}

/// How long a log was at a moment; 0 where nobody noted it.
pub(crate) fn size_at(log: &Path, second: i64) -> u64 {
    let length = std::fs::metadata(log).map_or(0, |found| found.len());
    let before = read(log).into_iter().take_while(|(at, _)| *at <= second).last();
    before.map(|(_, size)| size).filter(|size| *size <= length).unwrap_or(0)
}

fn marks_of(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".marks");
    PathBuf::from(name)
}

fn read(log: &Path) -> Vec<(i64, u64)> {
    let text = std::fs::read_to_string(marks_of(log)).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(at, size)| Some((at.parse().ok()?, size.parse().ok()?)))
        .collect()
}

fn last(log: &Path) -> Option<(i64, u64)> {
    read(log).pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_as_long_as_the_last_mark_before_says() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("service.api.log");
        let mut known = BTreeMap::new();
        let mut write = |text: &str, now: i64| {
            std::fs::write(&log, text).unwrap();
            note(folder.path(), now, &mut known);
        };
        write("one\n", 100);
        write("one\ntwo\n", 160);
        write("one\ntwo\n", 170);
        write("one\ntwo\nthree\n", 200);
        assert_eq!([99, 100, 159, 160, 199, 200, 900].map(|second| size_at(&log, second)), [0, 4, 4, 8, 8, 14, 14]);
        write("new\n", 300);
        assert_eq!([200, 300].map(|second| size_at(&log, second)), [0, 4]);
    }

    #[test]
    fn marks_of_another_supervisor_are_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        std::fs::write(&log, "one\n").unwrap();
        note(folder.path(), 1, &mut BTreeMap::new());
        std::fs::write(&log, "one\ntwo\n").unwrap();
        note(folder.path(), 2, &mut BTreeMap::new());
        assert_eq!([1, 2].map(|second| size_at(&log, second)), [4, 8]);
    }
}
