//! Gives the library a name for what it is built from: snapshots of graphs are only read by the build that wrote them.

use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

fn main() -> io::Result<()> {
    let mut hasher = Sha256::new();
    let mut cargo = io::stdout();
    for path in ["src", "catalogue", "Cargo.toml", "../Cargo.lock"] {
        add(&mut hasher, Path::new(path))?;
        writeln!(cargo, "cargo::rerun-if-changed={path}")?;
    }
    writeln!(cargo, "cargo::rustc-env=CLUSTERGRAPH_BUILD={}", hex::encode(hasher.finalize()))
}

/// All files at or below a path, in order.
fn add(hasher: &mut Sha256, path: &Path) -> io::Result<()> {
    if path.is_dir() {
        let mut below =
            std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
        below.sort();
        below.iter().try_for_each(|path| add(hasher, path))
    } else {
        // Packaged by itself the crate has no lock file beside it.
        let bytes = if path.exists() { std::fs::read(path)? } else { Vec::new() };
        hasher.update(path.to_string_lossy().as_bytes());
        hasher.update([0]);
        hasher.update(bytes.len().to_le_bytes());
        hasher.update(bytes);
        Ok(())
    }
}
