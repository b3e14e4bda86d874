//! A cluster of very many services with large environments: more than one object of the API server can hold. Pods only say
//! that they run.

use std::fmt::Write as _;

use clustergraph_tests::{Deployed, EveryImage, Namespace, Repository};
use serde_json::Value;

/// What one object of the store may hold, packed.
const MOST: usize = 900 * 1024;

/// How many; `CLUSTERGRAPH_TEST_SERVICES` says another number.
fn count() -> usize {
    std::env::var("CLUSTERGRAPH_TEST_SERVICES").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

/// Text that does not pack, always the same.
fn noise(seed: usize, length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed as u64 + 1);
    let mut text = String::new();
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let _ = write!(text, "{state:016x}");
    }
    text
}

fn services(count: usize) -> Repository {
    // Half of what hexadecimal digits take is left when they are packed: three objects' worth in all.
    let each = 2 * 3 * MOST / count;
    let mut files = vec![("clustergraph.yaml".to_owned(), "services: [\"services/*\"]\n".to_owned())];
    for number in 0..count {
        let mut text = format!(
            "name: s{number}\nimage: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\nsecurity: baseline\nports: {{ http: 8000 }}\n"
        );
        if number == 0 {
            text.push_str("public: {}\ndependencies: [s1]\n");
        }
        text.push_str("env:\n");
        for part in 0..4 {
            let _ = writeln!(text, "  PART_{part}: \"{}\"", noise(number * 4 + part, each / 4));
        }
        files.push((format!("services/s{number}/service.yaml"), text));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Repository::with(&files)
}

#[test]
fn very_many_services_with_large_environments_are_deployed_and_brought_back_in_pieces() {
    let (images, count) = (EveryImage::new(), count());
    let deployed = Deployed::new(services(count), Namespace::without_processes("large")).with_images(&images);
    let _ = deployed.komandan("deploy").run().succeeds();
    assert_eq!(deployed.status()["nodes"].as_object().expect("nodes").len(), count);
    let maps = deployed.namespace.kubectl("get configmaps");
    let packed: Vec<usize> = maps["items"].as_array().expect("ConfigMaps").iter().filter_map(size).collect();
    assert!(packed.len() >= 3 && packed.iter().all(|size| *size <= MOST), "{packed:?}");

    deployed.repository.append("services/s1/service.yaml", "  MORE: more");
    deployed.repository.commit("one of them changes, and who calls it");
    let _ = deployed.komandan("deploy").run().succeeds();
    assert_eq!(deployed.namespace.names("deployments").len(), count + 2);
    let reverted = deployed.result("revert");
    assert_eq!((&reverted["warm"], &reverted["version"]), (&true.into(), &1.into()));

    // All of it is lost, and comes back from the store.
    let before = deployed.kept();
    deployed.namespace.kubectl_does("delete deployments --all --wait=false");
    clustergraph_tests::local::wait_until("they are gone", || deployed.namespace.names("deployments").is_empty());
    let reverted = deployed.result("revert 1");
    assert_eq!((&reverted["warm"], &reverted["version"]), (&false.into(), &1.into()));
    let nodes = deployed.status()["nodes"].as_object().expect("nodes").clone();
    assert!(nodes.values().all(|node| node["ready"] == 1), "{nodes:?}");
    assert!(nodes.values().all(|node| before.contains(node["workload"].as_str().unwrap_or_default())));
}

/// How much a bundle holds, packed.
fn size(map: &Value) -> Option<usize> {
    use base64::Engine;
    let data = map["binaryData"].as_object()?.values().next()?.as_str()?;
    Some(base64::engine::general_purpose::STANDARD.decode(data).expect("base64").len())
}
