//! Versions as programs print them.

/// Whether a program that says `postgres (PostgreSQL) 15.18` or `Redis server v=7.0.15` is of version `15` or `7.0`.
#[must_use]
pub fn says_version(said: &str, wanted: &str) -> bool {
    let words = said.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    words.filter_map(|word| word.strip_prefix('v').or(Some(word))).any(|word| {
        word.strip_prefix(wanted).is_some_and(|rest| !wanted.is_empty() && (rest.is_empty() || rest.starts_with('.')))
    })
}

#[cfg(test)]
mod tests {
    use super::says_version;

    #[test]
    fn versions_are_compared_as_versions() {
        assert!(says_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15"));
        assert!(says_version("postgres (PostgreSQL) 17beta1 17", "17"));
        assert!(says_version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64", "7.0"));
        assert!(says_version("mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64", "10.11"));
        assert!(says_version("nats-server: v2.9.10", "2.9"));
        assert!(!says_version("postgres (PostgreSQL) 15.18", "1"));
        assert!(!says_version("postgres (PostgreSQL) 15.18", "16"));
        assert!(!says_version("Redis server v=7.0.15", "7.1"));
        assert!(!says_version("", "15"));
        assert!(!says_version("15", ""));
    }
}
