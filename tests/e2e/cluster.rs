//! `komandan` on a real Kubernetes.
