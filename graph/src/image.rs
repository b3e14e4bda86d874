//! Names of container images.

/// The name under which a mirror holds an image of Docker Hub; others are as they are.
///
/// Docker Hub's short names (`postgres:16`, `bitnami/kafka:3`) have no host: the first part is a host when it
/// holds a dot or a colon or is `localhost` (the reference grammar of the distribution project).
#[must_use]
pub fn mirrored(image: &str, mirror: Option<&str>) -> String {
    let Some(mirror) = mirror.map(|mirror| mirror.trim_end_matches('/')).filter(|mirror| !mirror.is_empty()) else {
        return image.to_owned();
    };
    match image.split_once('/') {
        None => format!("{mirror}/library/{image}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => {
            match image.strip_prefix("docker.io/") {
                Some(rest) => mirrored(rest, Some(mirror)),
                None => image.to_owned(),
            }
        }
        Some(_) => format!("{mirror}/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use super::mirrored;

    #[test]
    fn only_images_of_docker_hub_are_mirrored() {
        for (image, want) in [
            ("postgres:16", "127.0.0.1:5000/library/postgres:16"),
            ("docker.io/postgres:16", "127.0.0.1:5000/library/postgres:16"),
            ("docker.io/library/postgres:16", "127.0.0.1:5000/library/postgres:16"),
            ("bitnami/kafka:3", "127.0.0.1:5000/bitnami/kafka:3"),
            ("ghcr.io/acme/order:1", "ghcr.io/acme/order:1"),
            ("localhost/order:1", "localhost/order:1"),
            ("127.0.0.1:5000/order:1", "127.0.0.1:5000/order:1"),
        ] {
            assert_eq!(mirrored(image, Some("127.0.0.1:5000/")), want);
            assert_eq!(mirrored(image, None), image);
        }
    }
}
