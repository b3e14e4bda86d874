//! An overlay for people and for programs: what is own, and why; what is borrowed, and what it may write.

use serde_json::{Value, json};

use super::Overlay;
use crate::console::Console;

impl Overlay {
    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let own: serde_json::Map<String, Value> =
            self.own.iter().map(|(name, reason)| (name.clone(), json!(reason.to_string()))).collect();
        let host = |name: &String| self.borrowed.host(name).unwrap_or_default();
        let borrowed: serde_json::Map<String, Value> = self
            .borrowed
            .nodes
            .iter()
            .map(|(name, lent)| (name.clone(), json!({ "host": host(name), "writes": lent.writes })))
            .collect();
        json!({
            "from": self.borrowed.from, "namespace": self.borrowed.namespace, "version": self.borrowed.version, "own": own,
            "borrowed": borrowed,
        })
    }

    /// How much of it is what, in a sentence.
    pub(crate) fn sentence(&self) -> String {
        format!(
            "an overlay: {} own, {} borrowed from {}",
            self.own.len(),
            self.borrowed.nodes.len(),
            self.borrowed.label()
        )
    }

    /// For people.
    pub(crate) fn show(&self, console: &Console) {
        let mut rows: Vec<Vec<String>> =
            self.own.iter().map(|(name, reason)| vec!["own".to_owned(), name.clone(), reason.to_string()]).collect();
        rows.extend(self.borrowed.nodes.iter().map(|(name, lent)| {
            let writes = if lent.writes.is_empty() {
                String::new()
            } else {
                format!("; may write {} there", lent.writes.join(", "))
            };
            vec!["borrowed".to_owned(), name.clone(), format!("from {}{writes}", self.borrowed.label())]
        }));
        console.table(&["", "SERVICE", "WHY"], &rows);
    }
}
