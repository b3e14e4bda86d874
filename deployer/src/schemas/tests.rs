//! Which schemas go with which code, by tables.

use clustergraph::graph::{Key, Schemas};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::store::databases::tests::{done, wanted};
use crate::store::record::tests::content;

fn key(text: &str) -> Key {
    Key::of("test", &json!(text))
}

fn level(text: Option<&str>) -> Option<Level> {
    // `5-7`: made for 7, good from 5 on; `?x`: unnumbered; both have migrations of their own.
    let text = text?;
    let schemas = text
        .split_once('-')
        .map(|(oldest, newest)| Schemas { oldest: oldest.parse().unwrap(), newest: newest.parse().unwrap() });
    Some(Level { migration: key(text), schemas })
}

fn version(text: &str) -> Content {
    let mut content = content(&[("api", "1", 1)]);
    let level = level(Some(text)).unwrap();
    content.migrations.insert("api/orders".into(), level.migration);
    content.schemas.extend(level.schemas.map(|schemas| ("api/orders".to_owned(), schemas)));
    content
}

#[test]
fn a_deploy_is_refused_where_what_serves_would_not_survive_it() {
    for (to, data, live, refused) in [
        ("7-7", None, None, None),
        ("7-7", Some("7-7"), Some("7-7"), None),
        // Additive: the new code says that it runs on the old schema.
        ("7-8", Some("7-7"), Some("7-7"), None),
        ("8-8", Some("7-7"), Some("7-7"), Some("may break version 3, which serves and was made for schema 7")),
        ("8-8", Some("7-7"), None, None),
        // Reverted to 7 while the data is at 8: the next migration must be survived by 7.
        ("8-9", Some("7-8"), Some("7-7"), Some("to schema 9 may break version 3")),
        ("7-9", Some("7-8"), Some("7-7"), None),
        // An older commit: no migration runs, its code must run on what is there.
        ("7-7", Some("7-8"), Some("7-8"), None),
        ("7-7", Some("8-8"), Some("8-8"), Some("is at schema 8, and this commit was made for schema 7")),
        ("5-6", Some("6-9"), Some("6-9"), None),
        // Without numbers nobody knows.
        ("?b", Some("?a"), Some("?a"), Some("the files of its schema have no numbers to tell")),
        ("?b", Some("?b"), Some("?a"), None),
        ("?b", Some("?a"), None, None),
        ("7-7", Some("?a"), Some("?a"), Some("made for an unnumbered schema")),
    ] {
        let wanted = wanted("15", level(Some(to)));
        let live = live.map(version);
        let found = against_deploy(&wanted, level(data), live.as_ref().map(|content| (3, content)));
        match refused {
            None => assert_eq!(found, None, "{to} over {data:?}"),
            Some(words) => {
                let found = found.unwrap_or_else(|| panic!("{to} over {data:?} was let through"));
                assert!(found.contains(words) && found.contains("--allow-downtime"), "{to} over {data:?}: {found}");
            }
        }
    }
}

#[test]
fn a_revert_is_allowed_where_the_ranges_overlap() {
    for (version_of, data, allowed) in [
        ("7-7", "7-7", true),
        ("7-7", "7-8", true),
        ("7-7", "8-8", false),
        ("5-7", "6-9", true),
        ("5-5", "6-9", false),
        ("?a", "?a", true),
        ("?a", "?b", false),
    ] {
        let databases = done(level(Some(data)).unwrap(), Timestamp::UNIX_EPOCH);
        let found = against_revert(2, &version(version_of), &databases);
        assert_eq!(found.is_empty(), allowed, "{version_of} on {data}: {found:?}");
    }
    let databases = done(level(Some("7-7")).unwrap(), Timestamp::UNIX_EPOCH);
    assert_eq!(against_revert(2, &content(&[]), &databases), Vec::<String>::new(), "it uses no database");
}

#[test]
fn both_ways_out_of_a_revert_are_named_with_the_versions_that_fit() {
    let databases = done(level(Some("8-9")).unwrap(), Timestamp::UNIX_EPOCH);
    let (one, two, three) = (version("7-7"), version("7-8"), version("8-9"));
    let ways = ways_out(4, &[(1, &one), (2, &two), (3, &three), (4, &three)].into(), &databases);
    assert!(ways.contains("(3, 2)") && ways.contains("mends") && ways.contains("--allow-downtime"), "{ways}");
    let ways = ways_out(2, &[(1, &one), (2, &three)].into(), &databases);
    assert!(ways.starts_with("Deploy a commit that mends") && ways.contains("dump"), "{ways}");
}
