//! What findings mean. Pure: numbers and texts go in, a check comes out.

use std::collections::BTreeMap;

use super::Check;

/// Bytes of free space under which databases fail in ways that look like something else.
const LITTLE: u64 = 512 << 20;
/// Bytes under which an image or a build may not fit.
const SCARCE: u64 = 5 << 30;
/// What a path of a socket may be long, in bytes, on the strictest of the systems (sockaddr_un of macOS).
const SOCKET: usize = 103;

pub(super) fn git(version: Option<&str>) -> Check {
    match version {
        Some(version) => Check::fine("git", version.trim()),
        None => {
            Check::problem("git", "there is no program `git`", "install git: what differs from a commit only git knows")
        }
    }
}

pub(super) fn engine(answer: Result<&str, &str>) -> Check {
    match answer {
        Ok(version) => Check::fine("engine", version),
        Err(why) => Check::warning(
            "engine",
            why.lines().next().unwrap_or_default(),
            "services run as processes; for containers start a Docker engine, or set DOCKER_HOST",
        ),
    }
}

pub(super) fn space(name: &'static str, folder: &str, free: u64) -> Check {
    let finding = format!("{} free for {folder}", bytes(free));
    match free {
        0..LITTLE => Check::problem(name, finding, "make room: databases and logs lie there"),
        LITTLE..SCARCE => Check::warning(name, finding, "images and builds take gigabytes: make room"),
        _ => Check::fine(name, finding),
    }
}

pub(super) fn bytes(count: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // shown with one digit
    let count = count as f64;
    match count {
        count if count >= f64::from(1 << 30) => format!("{:.1} GiB", count / f64::from(1 << 30)),
        count => format!("{:.0} MiB", count / f64::from(1 << 20)),
    }
}

pub(super) fn socket(path: &str, refused: Option<&str>) -> Check {
    match refused {
        Some(why) => Check::problem("sockets", why, "set CLUSTERGRAPH_RUNTIME_DIR to a folder that is yours alone"),
        None if path.len() > SOCKET => Check::problem(
            "sockets",
            format!("{path} is longer than a socket's path may be"),
            "set CLUSTERGRAPH_RUNTIME_DIR to a shorter one, such as /tmp/ssi",
        ),
        None => Check::fine("sockets", path),
    }
}

/// Limits of inotify, by which changes of files are seen.
pub(super) fn inotify(watches: Option<u64>, instances: Option<u64>) -> Option<Check> {
    let (watches, instances) = (watches?, instances?);
    let finding = format!("{watches} watches, {instances} instances");
    Some(if watches < 65_536 || instances < 128 {
        Check::warning(
            "inotify",
            finding,
            "programs that reload themselves want more: sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512",
        )
    } else {
        Check::fine("inotify", finding)
    })
}

pub(super) fn descriptors(limit: Option<u64>) -> Option<Check> {
    let limit = limit?;
    let finding = format!("{limit} open files for each process");
    Some(match limit {
        0..1024 => Check::warning("descriptors", finding, "databases want more: ulimit -n 4096"),
        _ => Check::fine("descriptors", finding),
    })
}

/// Proxies must not stand between this machine and itself.
pub(super) fn proxies(env: &BTreeMap<String, String>) -> Check {
    let value = |name: &str| {
        [name.to_owned(), name.to_ascii_lowercase()]
            .iter()
            .find_map(|name| env.get(name))
            .filter(|value| !value.is_empty())
    };
    let Some(proxy) = value("HTTP_PROXY").or_else(|| value("ALL_PROXY")).or_else(|| value("HTTPS_PROXY")) else {
        return Check::fine("proxies", "none");
    };
    let exempt: Vec<&str> = value("NO_PROXY").map(|list| list.split(',').map(str::trim).collect()).unwrap_or_default();
    let covers = |host: &str| exempt.iter().any(|entry| *entry == "*" || *entry == host || *entry == "127.0.0.0/8");
    // Passwords of proxies are nobody's business.
    let shown = proxy.rsplit_once('@').map_or(proxy.as_str(), |(_, host)| host);
    if covers("127.0.0.1") && covers("localhost") {
        return Check::fine("proxies", format!("{shown}, but not for this machine"));
    }
    Check::warning(
        "proxies",
        format!("{shown} is asked for addresses of this machine, too"),
        "add localhost and 127.0.0.1 to NO_PROXY: services call each other there",
    )
}

/// Ports that the graph would like and others have.
pub(super) fn ports(taken: &[(String, u16)], wanted: usize) -> Check {
    if taken.is_empty() {
        return Check::fine("ports", format!("all {wanted} that services ask for are free or held by this session"));
    }
    let names: Vec<String> = taken.iter().map(|(service, port)| format!("{port} ({service})")).collect();
    Check::warning(
        "ports",
        format!("taken by others: {}", names.join(", ")),
        "these services get other ones: `ssi ps` shows them",
    )
}

pub(super) fn tools(missing: &[String], wanted: usize) -> Check {
    if wanted == 0 {
        return Check::fine("tools", "nothing runs as a process: none are needed");
    }
    if missing.is_empty() {
        return Check::fine("tools", format!("all {wanted} that the graph needs are there"));
    }
    Check::warning(
        "tools",
        format!("missing for processes: {}", missing.join(", ")),
        "`ssi setup` says what brings them",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Level::{Fine, Problem, Warning};
    use super::*;

    #[test]
    fn little_space_is_a_problem_before_it_is_gone() {
        let level = |free| space("disk", "/x", free).level;
        assert_eq!([level(100 << 20), level(2 << 30), level(50 << 30)], [Problem, Warning, Fine]);
        assert_eq!(bytes(1 << 20), "1 MiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
    }

    #[test]
    fn a_proxy_must_leave_this_machine_alone() {
        let judged = |pairs: &[(&str, &str)]| {
            proxies(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(judged(&[]).level, Fine);
        assert_eq!(judged(&[("HTTP_PROXY", "http://p:3128")]).level, Warning);
        assert_eq!(judged(&[("http_proxy", "http://p:3128"), ("no_proxy", "localhost, 127.0.0.1")]).level, Fine);
        assert_eq!(judged(&[("HTTPS_PROXY", "http://p:3128"), ("NO_PROXY", "localhost")]).level, Warning);
        let secret = judged(&[("HTTP_PROXY", "http://user:secret@p:3128")]);
        assert!(!secret.finding.contains("secret"));
    }

    #[test]
    fn a_socket_needs_a_short_path_in_a_folder_of_ones_own() {
        assert_eq!(socket("/tmp/x.sock", None).level, Fine);
        assert_eq!(socket(&"x".repeat(104), None).level, Problem);
        assert_eq!(socket("/tmp/x.sock", Some("it belongs to others")).level, Problem);
    }

    #[test]
    fn limits_are_only_judged_where_there_are_any() {
        assert!(inotify(None, Some(1)).is_none() && descriptors(None).is_none());
        assert_eq!(inotify(Some(8192), Some(128)).unwrap().level, Warning);
        assert_eq!(inotify(Some(65_536), Some(128)).unwrap().level, Fine);
        assert_eq!(descriptors(Some(256)).unwrap().level, Warning);
    }
}
