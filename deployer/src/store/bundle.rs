//! Rendered objects, packed and named by their content. Images stand there by digest and secrets by
//! reference, so that a version is brought back without repository or registry, and read without a secret.

use std::collections::BTreeMap;
use std::io::Read;

use crate::error::{Error, Result};
use crate::render::{Node, Object, hash_of};

/// The most that one bundle may hold: etcd refuses objects of more than 1.5 MiB, the API server of 1 MiB.
const MOST: usize = 900 * 1024;
/// The most that a bundle may unpack to.
const MOST_UNPACKED: u64 = 64 * 1024 * 1024;
const LEVEL: i32 = 9;

/// Objects by the workload that they belong to.
pub(crate) type Content = BTreeMap<String, Vec<Object>>;

/// A packed bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The name of its ConfigMap.
    pub(crate) name: String,
    /// The workloads in it.
    pub(crate) workloads: Vec<String>,
    /// What it holds, packed.
    pub(crate) bytes: Vec<u8>,
}

impl Bundle {
    /// The key of its ConfigMap.
    pub(crate) const KEY: &'static str = "objects.json.zst";
}

/// Packs nodes into as few bundles as fit.
pub(crate) fn pack(nodes: &[&Node]) -> Result<Vec<Bundle>> {
    let mut sorted = nodes.to_vec();
    sorted.sort_by(|a, b| a.workload.cmp(&b.workload));
    let mut bundles = Vec::new();
    let mut open = vec![sorted];
    while let Some(mut nodes) = open.pop() {
        if nodes.is_empty() {
            continue;
        }
        let content: Content = nodes.iter().map(|node| (node.workload.clone(), node.objects.clone())).collect();
        let bundle = encode(&content)?;
        if bundle.bytes.len() <= MOST {
            bundles.push(bundle);
        } else if let [only] = nodes.as_slice() {
            return Err(Error::Usage(format!(
                "the objects of {} take {} KiB packed, more than Kubernetes stores: is there a file in its `env:`?",
                only.workload,
                bundle.bytes.len() / 1024
            )));
        } else {
            let rest = nodes.split_off(nodes.len() / 2);
            open.extend([rest, nodes]);
        }
    }
    Ok(bundles)
}

fn encode(content: &Content) -> Result<Bundle> {
    let failed = |why: String| Error::Store(format!("a bundle cannot be packed: {why}"));
    let text = serde_json::to_vec(content).map_err(|error| failed(error.to_string()))?;
    let bytes = zstd::encode_all(text.as_slice(), LEVEL).map_err(|error| failed(error.to_string()))?;
    // Named by what is packed, not by the packed bytes: those may differ between versions of zstd.
    let name = format!("komandan-bundle-{}", &hash_of(content)[..20]);
    Ok(Bundle { name, workloads: content.keys().cloned().collect(), bytes })
}

/// Unpacks a bundle, in bounded memory whatever the bytes.
pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Content> {
    let broken = |why: String| Error::Store(format!("the stored bundle {name} cannot be read: {why}"));
    let decoder = zstd::Decoder::new(bytes).map_err(|error| broken(error.to_string()))?;
    let mut text = Vec::new();
    decoder.take(MOST_UNPACKED + 1).read_to_end(&mut text).map_err(|error| broken(error.to_string()))?;
    if text.len() as u64 > MOST_UNPACKED {
        return Err(broken("it unpacks to more than any bundle of ours".to_owned()));
    }
    serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn node(workload: &str, filling: usize) -> Node {
        // Noise, which does not pack.
        let noise: String = (0..filling).map(|at| hash_of(&(workload, at))).collect();
        let body = json!({ "kind": "Deployment", "metadata": { "name": workload }, "spec": { "noise": noise } });
        Node { workload: workload.to_owned(), objects: vec![Object::new(body)], ..Node::default() }
    }

    #[test]
    fn nodes_are_packed_together_and_split_where_they_must_be() {
        let (small, other) = (node("a", 1), node("b", 1));
        let packed = pack(&[&other, &small]).unwrap();
        assert_eq!(packed.len(), 1);
        assert_eq!(packed[0].workloads, ["a", "b"]);
        let content = decode(&packed[0].name, &packed[0].bytes).unwrap();
        assert_eq!(content["a"], small.objects);
        assert_eq!(pack(&[&small, &other]).unwrap(), packed);

        let large: Vec<Node> = ["a", "b", "c"].iter().map(|name| node(name, 20_000)).collect();
        let packed = pack(&large.iter().collect::<Vec<_>>()).unwrap();
        assert!(packed.len() > 1);
        assert!(packed.iter().all(|bundle| bundle.bytes.len() <= MOST));
        assert!(pack(&[&node("a", 60_000)]).is_err());
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = zstd::encode_all(std::io::repeat(b' ').take(MOST_UNPACKED + 10), 1).unwrap();
        assert!(bomb.len() < 100_000);
        assert!(decode("x", &bomb).unwrap_err().to_string().contains("more than any bundle"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode("x", &bytes);
        }
    }
}
