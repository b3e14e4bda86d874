//! How a file leaves a pod: a second container prints it to its own log, compressed where the image can, when the first is
//! over. Both are of the same image, which must have a shell. What is read of a log is hostile until it is parsed.

use std::io::Read;

use base64::Engine;

/// The folder that both containers have.
pub(crate) const FOLDER: &str = "/clustergraph/out";
/// The file of results, where `$JUNIT_FILE` says.
pub(crate) const JUNIT: &str = "/clustergraph/out/junit.xml";
/// The file of names, as printed.
pub(crate) const LIST: &str = "/clustergraph/out/list";

/// Runs its arguments, and notes how that ended: the code of a container that failed would end its pod, and with it the file.
pub(crate) const RUN: &str = "\"$@\"; echo $? >/clustergraph/out/exit";
/// The same for what prints the file.
pub(crate) const RUN_LIST: &str = "\"$@\" >/clustergraph/out/list; echo $? >/clustergraph/out/exit";

/// What begins each line of ours.
const MARK: &str = "clustergraph";
/// How large a file may be that is printed compressed, in bytes. It is a bound on what we take, too.
const LARGEST: u64 = 64 << 20;
/// How large one may be where the image cannot compress it.
const LARGEST_PLAIN: u64 = 6 << 20;
/// How much of a log is read: kubelets keep 10 MiB of it.
pub(crate) const LONGEST_LOG: i64 = 12 << 20;

/// Prints the file that is its first argument, and ends as the other container did.
pub(crate) fn printing() -> String {
    format!(
        r#"f=$1 d=/clustergraph/out
if [ ! -f "$f" ]; then echo "{MARK} none"
else
  n=$(($(wc -c <"$f")))
  if command -v gzip >/dev/null && command -v base64 >/dev/null; then
    if [ $n -gt {LARGEST} ]; then echo "{MARK} large $n"
    else echo "{MARK} gzip $n"; gzip -c "$f" | base64
    fi
  elif [ $n -gt {LARGEST_PLAIN} ]; then echo "{MARK} large $n"
  else echo "{MARK} plain $n"; cat "$f"; echo
  fi
fi
c=$(cat "$d/exit" 2>/dev/null) || c=125
echo "{MARK} exit $c"
exit "$c"
"#
    )
}

/// What a pod has printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Printed {
    /// The file; nothing where the program made none.
    pub(crate) file: Option<Vec<u8>>,
    /// The program's exit code.
    pub(crate) exit: u8,
}

/// Reads what was printed.
///
/// # Errors
/// In words what is wrong with it.
pub(crate) fn read(log: &[u8]) -> Result<Printed, String> {
    let (first, rest) = line(log).ok_or_else(cut)?;
    let (file, rest) = match first.as_slice() {
        ["none"] => (None, rest),
        ["large", size] => return Err(format!("it is too large to be taken out of its pod ({size} bytes)")),
        ["plain", size] => {
            let size: u64 = size.parse().map_err(|_| strange())?;
            let size = usize::try_from(size.min(LARGEST_PLAIN + 1)).map_err(|_| strange())?;
            let (file, rest) = rest.split_at_checked(size).ok_or_else(cut)?;
            (Some(file.to_vec()), rest.strip_prefix(b"\n").ok_or_else(cut)?)
        }
        ["gzip", size] => {
            let size: u64 = size.parse().map_err(|_| strange())?;
            // The blank is in no base64.
            let next = format!("{MARK} ");
            let end = rest.windows(next.len()).position(|at| at == next.as_bytes()).ok_or_else(cut)?;
            let (packed, rest) = rest.split_at(end);
            (Some(unpacked(packed, size)?), rest)
        }
        _ => return Err(strange()),
    };
    match line(rest) {
        Some((words, [])) => match words.as_slice() {
            ["exit", code] => Ok(Printed { file, exit: code.parse().map_err(|_| strange())? }),
            _ => Err(strange()),
        },
        _ => Err(cut()),
    }
}

/// The words of a line of ours after its mark, and what follows it.
fn line(log: &[u8]) -> Option<(Vec<&str>, &[u8])> {
    let end = log.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = log.split_at(end);
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    (words.next()? == MARK).then(|| (words.collect(), rest.get(1..).unwrap_or_default()))
}

fn unpacked(packed: &[u8], size: u64) -> Result<Vec<u8>, String> {
    if size > LARGEST {
        return Err(strange());
    }
    let packed: Vec<u8> = packed.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let packed = base64::engine::general_purpose::STANDARD.decode(packed).map_err(|_| cut())?;
    let mut file = Vec::new();
    // One more than it says: what is larger than that is not read.
    let read = flate2::read::GzDecoder::new(packed.as_slice()).take(size + 1).read_to_end(&mut file);
    if read.is_err() || u64::try_from(file.len()).ok() != Some(size) {
        return Err(cut());
    }
    Ok(file)
}

fn cut() -> String {
    "it was cut off on its way out of the pod: kubelets keep only so much of a log".to_owned()
}

fn strange() -> String {
    "what its pod printed is not what it was told to print".to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// Runs both scripts as two containers would, with these programs.
    fn printed(file: Option<&[u8]>, exit: &str, has_gzip: bool) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let at = |script: &str| script.replace(FOLDER, folder.path().to_str().unwrap());
        let path = at(JUNIT);
        if let Some(file) = file {
            std::fs::write(&path, file).unwrap();
        }
        let run = Command::new("sh").args(["-c", &at(RUN), "sh", "sh", "-c", exit]).status().unwrap();
        assert!(run.success(), "the first container ends well whatever it ran");
        let mut script = at(&printing());
        if !has_gzip {
            script = script.replace("command -v gzip", "false");
        }
        Command::new("sh").args(["-c", &script, "sh", &path]).output().unwrap().stdout
    }

    #[test]
    fn a_file_and_a_code_leave_a_pod_as_they_are() {
        let text = b"<a>\nclustergraph exit 0\n\xff</a>".as_slice();
        for has_gzip in [true, false] {
            for (file, exit, code) in [
                (Some(text), "exit 3", 3),
                (Some(b"".as_slice()), "exit 0", 0),
                (None, "kill -9 $$", 137),
                (None, "no-such-program", 127),
            ] {
                let log = printed(file, exit, has_gzip);
                let expected = Printed { file: file.map(<[u8]>::to_vec), exit: code };
                assert_eq!(read(&log), Ok(expected), "{}", String::from_utf8_lossy(&log));
            }
        }
    }

    #[test]
    fn what_a_list_prints_is_the_file_and_what_it_complains_of_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |script: &str| script.replace(FOLDER, folder.path().to_str().unwrap());
        let status =
            Command::new("sh").args(["-c", &at(RUN_LIST), "sh", "sh", "-c", "echo a b; echo oh >&2; exit 4"]).status();
        assert!(status.unwrap().success());
        let log = Command::new("sh").args(["-c", &at(&printing()), "sh", &at(LIST)]).output().unwrap();
        assert_eq!(log.status.code(), Some(4), "the pod ends as its program did");
        assert_eq!(read(&log.stdout), Ok(Printed { file: Some(b"a b\n".to_vec()), exit: 4 }));
    }

    #[test]
    fn a_log_that_lacks_something_is_told_apart_from_a_file_that_does() {
        let whole = printed(Some(&b"x".repeat(4000)), "exit 0", true);
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        for (log, words) in [
            ("clustergraph large 99999999999\nclustergraph exit 0\n", "too large"),
            ("clustergraph gzip 3\nH4sIAAA=\nclustergraph exit 0\n", "cut off"),
            ("clustergraph gzip 99999999999\nclustergraph exit 0\n", "not what it was told"),
            ("clustergraph plain 99\nabc\nclustergraph exit 0\n", "cut off"),
            ("clustergraph none\nclustergraph exit 256\n", "not what it was told"),
            ("clustergraph none\nclustergraph exit 0\nmore\n", "cut off"),
            ("sh: not found\n", "cut off"),
            ("", "cut off"),
        ] {
            let error = read(log.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{log}: {error}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        use std::io::Write;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![0; 8 << 20]).unwrap();
        let packed = base64::engine::general_purpose::STANDARD.encode(packer.finish().unwrap());
        let log = format!("clustergraph gzip 10\n{packed}\nclustergraph exit 0\n");
        assert!(read(log.as_bytes()).is_err(), "it is larger than it says");
    }

    proptest! {
        #[test]
        fn whatever_a_pod_prints_is_read_without_panic(log in any::<Vec<u8>>(), size in any::<u64>()) {
            let _ = read(&log);
            let mut ours = format!("clustergraph plain {size}\n").into_bytes();
            ours.extend(&log);
            let _ = read(&ours);
            let mut ours = format!("clustergraph gzip {size}\n").into_bytes();
            ours.extend(log);
            let _ = read(&ours);
        }
    }
}
