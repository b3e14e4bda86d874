//! Which services' tests are meant: a suite's, one service's, or all.

use globset::Glob;

use super::{Graph, Service};

impl Graph {
    /// The services whose tests a name means, by their names: of a suite those that it names, with tests or without, and those
    /// with tests that its patterns match; of a service itself; of nothing all that have tests. `None` where the name is
    /// neither a suite's nor a service's.
    #[must_use]
    pub fn suite(&self, name: Option<&str>) -> Option<Vec<&Service>> {
        let owners = || self.services.values().filter(|service| !service.is_part());
        let Some(name) = name else {
            return Some(owners().filter(|service| service.test.is_some()).collect());
        };
        let Some(suite) = self.repository.suites.get(name) else {
            return self.services.get(name).filter(|service| !service.is_part()).map(|service| vec![service]);
        };
        let named = |service: &&Service| suite.services.iter().any(|(word, _)| *word == service.name);
        // What is no pattern was a problem when the graph was built.
        let patterns: Vec<_> =
            suite.services.iter().filter_map(|(word, _)| Some(Glob::new(word).ok()?.compile_matcher())).collect();
        let matched = |service: &&Service| {
            service.test.is_some() && patterns.iter().any(|pattern| pattern.is_match(&service.name))
        };
        Some(owners().filter(|service| named(service) || matched(service)).collect())
    }
}
