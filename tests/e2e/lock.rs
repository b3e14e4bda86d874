//! `ssi lock`, against a registry that wants a token from everybody.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use clustergraph_tests::{Program, Repository, Session};

/// A registry of this machine; all its images have one digest, which can be moved.
struct Registry {
    host: String,
    digit: Arc<AtomicU8>,
    /// How many manifests it told of.
    told: Arc<AtomicUsize>,
}

impl Registry {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let (digit, told) = (Arc::new(AtomicU8::new(b'a')), Arc::new(AtomicUsize::new(0)));
        let registry = Self { host: host.clone(), digit: Arc::clone(&digit), told: Arc::clone(&told) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(&stream, &host, &digit, &told);
            }
        });
        registry
    }

    fn digest(&self) -> String {
        digest(&self.digit)
    }
}

fn digest(digit: &AtomicU8) -> String {
    format!("sha256:{}", char::from(digit.load(Ordering::SeqCst)).to_string().repeat(64))
}

/// Answers one request; the connection is closed then.
fn answer(mut stream: &TcpStream, host: &str, digit: &AtomicU8, told: &AtomicUsize) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut may_enter = false;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        may_enter |= line.eq_ignore_ascii_case("authorization: Bearer a-token");
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let close = "Connection: close\r\n";
    let text = if path.starts_with("/token?service=here&scope=repository%3Alibrary%2F") {
        let body = "{\"token\": \"a-token\"}";
        format!("HTTP/1.1 200 OK\r\n{close}Content-Length: {}\r\n\r\n{body}", body.len())
    } else if path.contains("/gone/") {
        format!("HTTP/1.1 404 Not Found\r\n{close}Content-Length: 0\r\n\r\n")
    } else if first.starts_with("HEAD /v2/library/") && may_enter {
        told.fetch_add(1, Ordering::SeqCst);
        format!("HTTP/1.1 200 OK\r\n{close}Docker-Content-Digest: {}\r\nContent-Length: 9\r\n\r\n", digest(digit))
    } else {
        let wants = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"here\"\r\n");
        format!("HTTP/1.1 401 Unauthorized\r\n{close}{wants}Content-Length: 0\r\n\r\n")
    };
    stream.write_all(text.as_bytes())
}

fn repository() -> Repository {
    Repository::with(&[
        ("proxy/service.yaml", "name: proxy\nimage: nginx:1.27\nports: { http: 80 }\n"),
        ("api/service.yaml", "name: api\nstack: python\nrun: [python3, app.py]\ndatabases: [redis]\n"),
    ])
}

fn ssi(session: &Session, registry: &Registry, line: &str) -> Program {
    // The way to the registry itself: an engine would have its own.
    session.ssi(line).env("DOCKER_HOST", "unix:///nonexistent").env("CLUSTERGRAPH_MIRROR", &registry.host)
}

#[test]
fn images_are_pinned_once_moved_when_asked_and_checked_without_a_registry() {
    let (repository, registry) = (repository(), Registry::new());
    let session = Session::of(repository.path());
    let check = || ssi(&session, &registry, "lock --check").run();
    assert!(check().ends_with(1).stderr().contains("there is no clustergraph.lock"));

    let wrote = ssi(&session, &registry, "lock").run().succeeds();
    assert!(wrote.stderr().contains("wrote clustergraph.lock: commit it"), "{}", wrote.stderr());
    let text = std::fs::read_to_string(repository.path().join("clustergraph.lock")).expect("the lock");
    assert!(text.contains(&format!("\"nginx:1.27\": \"{}\"", registry.digest())), "{text}");
    assert!(text.contains("\"redis:") && text.contains("  \"python\": \""), "{text}");
    let _ = check().succeeds();
    let asked = registry.told.load(Ordering::SeqCst);

    let first = registry.digest();
    registry.digit.store(b'b', Ordering::SeqCst);
    let again = ssi(&session, &registry, "lock").run().succeeds().stderr();
    assert!(again.contains("clustergraph.lock is as it should be"), "{again}");
    assert_eq!(registry.told.load(Ordering::SeqCst), asked, "nobody was asked");
    let moved = ssi(&session, &registry, "lock --update --output json").run().succeeds().json();
    assert_eq!((&moved["schema"], &moved["written"]), (&"ssi.lock/1".into(), &true.into()));
    let pins = moved["pins"].as_array().expect("pins");
    let nginx = pins.iter().find(|pin| pin["name"] == "nginx:1.27").expect("nginx");
    assert_eq!((&nginx["change"], &nginx["value"]), (&"moved".into(), &registry.digest().into()));
    assert_ne!(registry.digest(), first);

    repository.replace("proxy/service.yaml", "nginx:1.27", "nginx:1.28");
    let said = check().ends_with(1).stderr();
    for words in [
        "error[lock-missing]: the image nginx:1.28 is not pinned",
        "proxy/service.yaml:1:7",
        "error[lock-unknown]: no service has the image `nginx:1.27` that is pinned here",
        "clustergraph.lock:4:3",
        "2 entries are not as `ssi lock` would write it",
    ] {
        assert!(said.contains(words), "{words} is not in:\n{said}");
    }
    let _ = session.ssi("check").run().succeeds();
    let _ = ssi(&session, &registry, "lock").run().succeeds();
    let _ = check().succeeds();
}

#[test]
fn an_image_that_nobody_has_is_told_and_nothing_is_written() {
    let (repository, registry) = (repository(), Registry::new());
    let session = Session::of(repository.path());
    let gone = format!("{}/gone/image:1", registry.host);
    repository.replace("proxy/service.yaml", "nginx:1.27", &gone);
    let said = ssi(&session, &registry, "lock").run().ends_with(1).stderr();
    assert!(said.contains(&format!("does not say what {gone} is: it has no such image")), "{said}");
    assert!(!repository.path().join("clustergraph.lock").exists());
}

#[test]
fn a_lock_of_a_newer_program_is_refused_by_name() {
    let repository = repository();
    repository.write("clustergraph.lock", "scheme: 99\nnobody: knows\n");
    let session = Session::of(repository.path());
    for command in ["check", "up --dry-run --runtime process", "lock --check"] {
        let said = session.ssi(command).run().ends_with(3).stderr();
        assert!(said.contains("clustergraph.lock is of identity scheme 99"), "{command}: {said}");
        assert!(!said.contains("nobody"), "what a newer file says more is not judged: {said}");
    }
    let schema = session.ssi("schema lock").run().succeeds().json();
    assert!(schema["properties"]["images"].is_object());
}

#[test]
fn what_only_a_cluster_runs_is_pinned_as_well() {
    let (repository, registry) = (repository(), Registry::new());
    let session = Session::of(repository.path());
    repository.append("proxy/service.yaml", "clusters: { production: { image: 'nginx:1.28' } }");
    let _ = ssi(&session, &registry, "lock").run().succeeds();
    let text = std::fs::read_to_string(repository.path().join("clustergraph.lock")).expect("the lock");
    assert!(text.contains("\"nginx:1.27\": ") && text.contains("\"nginx:1.28\": "), "{text}");
    let _ = ssi(&session, &registry, "lock --check").run().succeeds();
}
