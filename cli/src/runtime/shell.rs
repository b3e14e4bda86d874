//! What programs get of the developer's shell: a few variables for all of them, and those that a service names.

use std::collections::BTreeMap;

/// Variables that every program gets, and nothing else of the shell.
const BASE: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
];

/// The variables of this very process. What is no text no program is given by us.
pub(crate) fn shell() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Those of a shell that every program gets.
pub(crate) fn base(shell: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_base = |name: &str| BASE.contains(&name) || name.starts_with("LC_");
    shell.iter().filter(|(name, _)| is_base(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}
