//! What a flag is, and who gets it: decided by a hash, so that it needs no memory and everybody who asks gets the same answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The steps in which shares are dealt out: hundredths of a percent.
const STEPS: u64 = 10_000;

/// All flags, by name.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Rules(BTreeMap<String, Flag>);

/// Who gets a feature, or which variant of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flag {
    /// What it is for, for people.
    #[serde(rename = "about")]
    _about: String,
    /// Percent of the visitors that get it.
    #[serde(default)]
    share: f64,
    /// Whether the shop's own people get it in any case.
    #[serde(default)]
    employees: bool,
    /// Instead of on and off: variants with their shares in percent.
    #[serde(default)]
    variants: BTreeMap<String, f64>,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// Any name that stays the same from visit to visit.
    pub id: &'a str,
    /// Whether it is one of the shop's own people.
    pub employee: bool,
}

impl Rules {
    /// Reads the rules and refuses what would deal out more or less than everybody.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rules: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (name, flag) in &rules.0 {
            let sum: f64 = flag.variants.values().sum();
            if !flag.variants.is_empty() && (sum - 100.0).abs() > 1e-9 {
                return Err(format!("{name}: the variants have {sum} % together, not 100 %"));
            }
            if flag.variants.values().chain([&flag.share]).any(|share| !(0.0..=100.0).contains(share)) {
                return Err(format!("{name}: a share is 0 to 100 %"));
            }
        }
        Ok(rules)
    }

    /// Every flag as it is for a visitor: on or off, or the name of a variant.
    pub fn of(&self, visitor: Visitor) -> BTreeMap<&str, Value> {
        self.0.iter().map(|(name, flag)| (name.as_str(), flag.of(name, visitor))).collect()
    }
}

impl Flag {
    fn of(&self, name: &str, visitor: Visitor) -> Value {
        let step = step(name, visitor.id);
        if self.variants.is_empty() {
            return Value::Bool((self.employees && visitor.employee) || step < steps(self.share));
        }
        let mut below = 0.0;
        for (variant, share) in &self.variants {
            below += share;
            if step < steps(below) {
                return Value::String(variant.clone());
            }
        }
        Value::Null
    }
}

/// Where a visitor stands in the row of all, for one flag. Another flag shuffles the row anew, so that features do not
/// always meet the same people; a larger share only adds people.
fn step(flag: &str, visitor: &str) -> u64 {
    let hash = Sha256::digest(format!("{flag}:{visitor}"));
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first) % STEPS
}

fn steps(percent: f64) -> u64 {
    // Between 0 and STEPS: shares are checked when they are read.
    (percent * STEPS as f64 / 100.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(share: f64) -> Rules {
        let text = format!(
            r#"{{ "a": {{ "about": "", "share": {share} }}, "b": {{ "about": "", "share": {share} }},
                  "staff": {{ "about": "", "employees": true }},
                  "mix": {{ "about": "", "variants": {{ "x": 25, "y": 75 }} }} }}"#
        );
        Rules::parse(&text).expect("good rules")
    }

    fn ids() -> impl Iterator<Item = String> {
        (0..4000).map(|n| format!("visitor-{n}"))
    }

    fn with(rules: &Rules, flag: &str, value: &Value) -> Vec<String> {
        ids().filter(|id| &rules.of(Visitor { id, employee: false })[flag] == value).collect()
    }

    #[test]
    fn a_share_is_about_that_share() {
        let on = with(&rules(30.0), "a", &Value::Bool(true)).len();
        assert!((1080..1320).contains(&on), "{on} of 4000");
        assert_eq!(with(&rules(0.0), "a", &Value::Bool(true)).len(), 0);
        assert_eq!(with(&rules(100.0), "a", &Value::Bool(true)).len(), 4000);
    }

    #[test]
    fn a_larger_share_takes_the_feature_from_nobody() {
        let (few, many) = (with(&rules(10.0), "a", &true.into()), with(&rules(40.0), "a", &true.into()));
        assert!(few.iter().all(|id| many.contains(id)));
    }

    #[test]
    fn flags_are_independent_of_each_other() {
        let rules = rules(50.0);
        let (a, b) = (with(&rules, "a", &true.into()), with(&rules, "b", &true.into()));
        let both = a.iter().filter(|id| b.contains(id)).count();
        assert!((850..1150).contains(&both), "{both} of 4000 have both");
    }

    #[test]
    fn every_visitor_has_one_variant_and_keeps_it() {
        let rules = rules(0.0);
        let (x, y) = (with(&rules, "mix", &"x".into()), with(&rules, "mix", &"y".into()));
        assert_eq!(x.len() + y.len(), 4000);
        assert!((880..1120).contains(&x.len()), "{} of 4000", x.len());
        assert_eq!(x, with(&rules, "mix", &"x".into()));
    }

    #[test]
    fn some_things_are_for_employees_only() {
        let rules = rules(0.0);
        for employee in [true, false] {
            assert_eq!(rules.of(Visitor { id: "v", employee })["staff"], Value::Bool(employee));
        }
    }

    #[test]
    fn rules_that_deal_out_too_much_are_refused() {
        for wrong in [
            r#"{ "a": { "about": "", "variants": { "x": 50, "y": 60 } } }"#,
            r#"{ "a": { "about": "", "share": 101 } }"#,
            r#"{ "a": { "about": "", "share": -1 } }"#,
            r#"{ "a": { "about": "", "shar": 1 } }"#,
            r#"{ "a": { "share": 1 } }"#,
        ] {
            assert!(Rules::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn our_own_rules_are_good() {
        let rules = Rules::parse(include_str!("../flags.json")).expect("they are");
        let flags = rules.of(Visitor { id: "v", employee: true });
        assert_eq!(flags.keys().copied().collect::<Vec<_>>(), ["gift-note", "preview", "recommendations"]);
        assert_eq!(flags["preview"], Value::Bool(true));
    }
}
