//! Somebody at a browser: follows addresses, fills in forms, keeps cookies.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::http::{block_on, client};

/// A visitor of one site.
pub struct Visitor {
    site: String,
    cookies: RefCell<BTreeMap<String, String>>,
}

/// What a visitor is shown.
#[derive(Debug, Clone)]
pub struct Page {
    /// The answer's status.
    pub status: u16,
    /// What it is.
    pub content_type: String,
    /// Where it sends the visitor instead.
    pub location: Option<String>,
    /// Its text.
    pub body: String,
}

impl Visitor {
    /// Somebody who has never been there.
    #[must_use]
    pub fn of(site: &str) -> Self {
        Self { site: site.trim_end_matches('/').to_owned(), cookies: RefCell::default() }
    }

    /// Opens a page.
    #[must_use]
    pub fn open(&self, path: &str) -> Page {
        self.ask(path, None)
    }

    /// Sends a form.
    #[must_use]
    pub fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.ask(path, Some(fields))
    }

    fn ask(&self, path: &str, form: Option<&[(&str, &str)]>) -> Page {
        let url = format!("{}{path}", self.site);
        block_on(async {
            let request = match form {
                Some(fields) => client().post(&url).body(encoded(fields)),
                None => client().get(&url),
            };
            let cookies: Vec<String> =
                self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .header("cookie", cookies.join("; "));
            let answer = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
            let header =
                |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            for cookie in answer.headers().get_all("set-cookie") {
                let pair = cookie.to_str().expect("a cookie is text").split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').expect("a cookie has a name");
                self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
            }
            Page {
                status: answer.status().as_u16(),
                content_type: header("content-type").unwrap_or_default(),
                location: header("location"),
                body: answer.text().await.unwrap_or_else(|error| panic!("{url}: {error:?}")),
            }
        })
    }
}

impl Page {
    /// The texts between two others, in order.
    #[must_use]
    pub fn between<'a>(&'a self, before: &str, after: &str) -> Vec<&'a str> {
        self.body.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let text = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect()
    };
    fields.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect::<Vec<_>>().join("&")
}
