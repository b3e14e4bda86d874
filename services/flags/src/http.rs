//! What is asked and what is answered: `GET /flags?visitor=...&employee=true` and `GET /healthz`. Pure.

use serde_json::{Value, json};

use crate::rules::{Rules, Visitor};

/// The status and JSON for a request.
pub fn answer(rules: &Rules, method: &str, url: &str) -> (u16, Value) {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    match (method, path) {
        ("GET" | "HEAD", "/healthz") => (200, json!({ "status": "ok" })),
        ("GET" | "HEAD", "/flags") => {
            let id = parameter(query, "visitor").unwrap_or_default();
            let employee = parameter(query, "employee").as_deref() == Some("true");
            (200, json!({ "flags": rules.of(Visitor { id: &id, employee }) }))
        }
        (_, "/healthz" | "/flags") => (405, json!({ "error": "Only GET here." })),
        _ => (404, json!({ "error": "There is nothing here." })),
    }
}

/// A parameter of a query, decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(url: &str) -> (u16, Value) {
        let rules = Rules::parse(r#"{ "staff": { "about": "", "employees": true } }"#).expect("good rules");
        answer(&rules, "GET", url)
    }

    #[test]
    fn answers_what_it_knows() {
        assert_eq!(get("/healthz").0, 200);
        assert_eq!(get("/flags?visitor=v1&employee=true"), (200, json!({ "flags": { "staff": true } })));
        assert_eq!(get("/flags?visitor=v1"), (200, json!({ "flags": { "staff": false } })));
        assert_eq!(get("/flags").0, 200, "nobody in particular");
        assert_eq!(get("/other").0, 404);
        let rules = Rules::parse("{}").expect("no rules");
        assert_eq!(answer(&rules, "POST", "/flags").0, 405);
    }

    #[test]
    fn decodes_parameters() {
        assert_eq!(parameter("a=1&visitor=%C3%A4+b", "visitor").as_deref(), Some("ä b"));
        assert_eq!(parameter("visitor=%", "visitor"), None);
        assert_eq!(parameter("visitor=%ff", "visitor"), None);
        assert_eq!(parameter("", "visitor"), None);
    }
}
