//! What databases need, by tables.

use clustergraph::tree::Tree;
use serde_json::json;

use super::*;

fn key(text: &str) -> Key {
    Key::of("test", &json!(text))
}

/// A database of PostgreSQL in this version, migrated so far.
pub(crate) fn wanted(version: &str, level: Option<Level>) -> Wanted {
    Wanted {
        address: "api/orders".into(),
        kind: "postgres".into(),
        version: version.into(),
        server: format!("postgres-{version}"),
        place: "api/service.yaml:3:5".into(),
        number: None,
        made: key("made"),
        migration: level.map(|level| level.migration),
        schemas: level.and_then(|level| level.schemas),
        seeds: false,
        copy: None,
    }
}

fn at(migration: &str) -> Option<Level> {
    Some(Level { migration: key(migration), schemas: None })
}

fn numbered(oldest: u64, newest: u64) -> Option<Level> {
    Some(Level { migration: key(&newest.to_string()), schemas: Some(Schemas { oldest, newest }) })
}

fn known(state: State, level: Option<Level>) -> Databases {
    let wanted = wanted("15", level);
    let work = Work {
        state,
        job: "migrate-1".into(),
        uid: "u".into(),
        made: Some(wanted.made),
        migration: wanted.migration,
        schemas: wanted.schemas,
        seeds: false,
        time: Timestamp::UNIX_EPOCH,
    };
    let known = Known::doing(&wanted, Some("v".into()), work, None);
    Databases([("api/orders".to_owned(), known)].into())
}

/// A database that was brought to this schema.
pub(crate) fn done(level: Level, _: Timestamp) -> Databases {
    known(State::Done, Some(level))
}

#[test]
fn what_a_database_needs() {
    let wanted = wanted("15", at("1"));
    let need = |known: &Databases, volume, job: bool, retry| {
        known.need(&wanted, volume, |_| job, retry).map_err(|error| error.to_string())
    };
    let run = |why: &str| Ok(Need::Run(why.to_owned()));
    assert_eq!(need(&Databases::default(), None, false, false), run("new"));
    let done = known(State::Done, at("1"));
    assert_eq!(need(&done, Some("v"), false, false), Ok(Need::Nothing));
    assert_eq!(need(&done, None, false, false), Ok(Need::Nothing), "a server that is yet to come");
    assert_eq!(need(&done, Some("other"), false, false), run("its volume is new"));
    assert_eq!(need(&known(State::Done, at("0")), Some("v"), false, false), run("its migration changed"));
    assert_eq!(need(&known(State::Done, None), Some("v"), false, false), run("its migration changed"));
    let running = known(State::Running, at("1"));
    assert_eq!(need(&running, Some("v"), true, false), Ok(Need::Await));
    assert!(need(&running, Some("v"), false, false).unwrap_err().contains("--retry-migration"));
    assert_eq!(need(&running, Some("v"), false, true), run("asked for again"));
    let failed = known(State::Failed, at("1"));
    assert!(need(&failed, Some("v"), true, false).unwrap_err().contains("--retry-migration"));
    assert_eq!(need(&failed, Some("v"), true, true), run("asked for again"));
}

#[test]
fn what_is_made_in_it_is_made_again_without_its_migration() {
    let mut more = wanted("15", at("1"));
    more.made = key("two topics");
    let done = known(State::Done, at("1"));
    assert_eq!(done.lack(&more, Some("v")), Lack::Contents("what is made in it changed"));
    more.migration = Some(key("2"));
    assert_eq!(done.lack(&more, Some("v")), Lack::All("its migration changed"));
}

#[test]
fn a_schema_that_is_newer_than_the_code_stays() {
    let done = known(State::Done, numbered(7, 9));
    assert_eq!(done.lack(&wanted("15", numbered(7, 8)), Some("v")), Lack::Nothing);
    assert_eq!(done.lack(&wanted("15", numbered(7, 10)), Some("v")), Lack::All("its migration changed"));
    assert_eq!(done.level("api/orders", Some("v")), numbered(7, 9));
    assert_eq!(done.level("api/orders", Some("other")), None, "data that is gone has no schema");
}

#[test]
fn what_is_done_is_known_only_when_it_ended_well() {
    let before = known(State::Done, numbered(1, 1)).0.remove("api/orders").unwrap();
    let next = wanted("15", numbered(1, 2));
    let work = |state| Work {
        state,
        job: "migrate-2".into(),
        uid: "u".into(),
        made: Some(key("more")),
        migration: next.migration,
        schemas: next.schemas,
        seeds: false,
        time: Timestamp::UNIX_EPOCH,
    };
    let running = Known::doing(&next, Some("v".into()), work(State::Running), Some(&before));
    assert_eq!((running.level(), running.made), (numbered(1, 1), Some(key("made"))));
    let done = Known::doing(&next, Some("v".into()), work(State::Done), Some(&running));
    assert_eq!((done.level(), done.made), (numbered(1, 2), Some(key("more"))));
    let anew = Known::doing(&next, Some("other".into()), work(State::Running), Some(&done));
    assert_eq!((anew.level(), anew.made), (None, None), "another volume is empty");
}

#[test]
fn the_first_data_comes_once_after_everything_else_and_stays_with_its_volume() {
    let wanted = Wanted { seeds: true, ..wanted("15", at("1")) };
    let made = known(State::Done, at("1"));
    assert_eq!(Databases::default().lack(&wanted, Some("v")), Lack::All("new"), "it is made first");
    assert_eq!(made.lack(&wanted, Some("v")), Lack::Data("its first data"));
    assert_eq!(made.lack(&Wanted { seeds: false, ..wanted.clone() }, Some("v")), Lack::Nothing);
    let seed = |state, before: &Databases| {
        let work = Work {
            state,
            job: "seed-1".into(),
            uid: "s".into(),
            made: None,
            migration: None,
            schemas: None,
            seeds: true,
            time: Timestamp::UNIX_EPOCH,
        };
        let before = before.0.get("api/orders");
        Databases([("api/orders".to_owned(), Known::doing(&wanted, Some("v".into()), work, before))].into())
    };
    let need = |known: &Databases, wanted: &Wanted, job: bool, retry| {
        known.need(wanted, Some("v"), |_| job, retry).map_err(|error| error.to_string())
    };
    let running = seed(State::Running, &made);
    assert_eq!(need(&running, &wanted, true, false), Ok(Need::Await));
    let lost = need(&running, &wanted, false, false).unwrap_err();
    assert!(lost.contains("the seed of api/orders") && lost.contains("komandan up --retry-migration"), "{lost}");
    assert_eq!(need(&running, &wanted, false, true), Ok(Need::Run("asked for again".to_owned())), "and no migration");
    assert_eq!(need(&running, &Wanted { seeds: false, ..wanted.clone() }, false, false), Ok(Need::Nothing));
    let done = seed(State::Done, &running);
    assert_eq!(done.lack(&wanted, Some("v")), Lack::Nothing);
    assert_eq!(done.level("api/orders", Some("v")), at("1"), "what was there before stays");
    assert_eq!(done.lack(&wanted, Some("other")), Lack::All("its volume is new"));
    let newer = Wanted { migration: Some(key("2")), ..wanted.clone() };
    assert_eq!(done.lack(&newer, Some("v")), Lack::All("its migration changed"));
    assert_eq!(
        seed(State::Failed, &made).lack(&newer, Some("v")),
        Lack::All("its migration changed"),
        "before its data"
    );
    assert_eq!(Databases::decode(&done.encode().unwrap()).unwrap(), done);
    assert!(!format!("{:?}", made.encode().unwrap()).contains("seed"), "where there is none, nothing is said");
}

#[test]
fn another_kind_version_or_place_is_refused_before_anything_is_done_with_the_way() {
    let done = known(State::Done, at("1"));
    let external = |kind: &str, version: &str| {
        let mut wanted = wanted(version, at("1"));
        wanted.kind = kind.into();
        wanted.server = EXTERNAL.into();
        wanted
    };
    let mut mariadb = wanted("10.11", at("1"));
    (mariadb.kind, mariadb.server) = ("mariadb".into(), "mariadb-10.11".into());
    for (asked, words) in [
        (wanted("16", at("1")), "postgres 15 (the server postgres-15), and api/service.yaml:3:5 asks for postgres 16"),
        (mariadb, "asks for mariadb 10.11"),
        (external("postgres", "15"), "asks for postgres that somebody else runs"),
    ] {
        let error = done.need(&asked, Some("v"), |_| true, true).unwrap_err();
        assert!(matches!(error, Error::Refused(_)));
        let error = error.to_string();
        assert!(error.contains(words) && error.contains("`as: orders-2`") && error.contains("dump"), "{error}");
    }
    // Of what somebody else runs, the version is that one's affair.
    let mut elsewhere = Databases::default();
    let asked = external("postgres", "15");
    let work = known(State::Done, at("1")).0["api/orders"].work.clone();
    elsewhere.0.insert(asked.address.clone(), Known::doing(&asked, None, work, None));
    assert_eq!(elsewhere.need(&external("postgres", "16"), None, |_| false, false).unwrap(), Need::Nothing);
    assert!(elsewhere.need(&external("mysql", "9.7"), None, |_| false, false).is_err());
}

fn graph(services: &[(&str, &str)], repository: &str) -> Graph {
    let folder = tempfile::tempdir().unwrap();
    for (name, databases) in services {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let text = format!("name: {name}\nrun: [x]\ndatabases: {databases}\n");
        std::fs::write(folder.path().join(name).join("service.yaml"), text).unwrap();
    }
    std::fs::write(folder.path().join("clustergraph.yaml"), repository).unwrap();
    std::process::Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status().unwrap();
    Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "production").unwrap()
}

#[test]
fn numbers_are_given_out_once_and_stay() {
    let redis = "[{ kind: redis, as: carts }]";
    let graph_of = |names: &[&str]| graph(&names.iter().map(|name| (*name, redis)).collect::<Vec<_>>(), "");
    let mut databases = Databases::default();
    let remember = |databases: &mut Databases, graph: &Graph, numbers: &BTreeMap<String, u32>| {
        for (address, number) in numbers {
            let mut wanted = wanted("7.0", None);
            wanted.address.clone_from(address);
            wanted.server.clone_from(&graph.databases[address].server);
            wanted.number = Some(*number);
            let work = known(State::Done, None).0["api/orders"].work.clone();
            databases.0.insert(address.clone(), Known::doing(&wanted, None, work, None));
        }
    };
    let first = graph_of(&["b", "c"]);
    let numbers = databases.numbers(&first, "production").unwrap();
    assert_eq!(numbers, [("b/carts".to_owned(), 0), ("c/carts".to_owned(), 1)].into());
    remember(&mut databases, &first, &numbers);
    // One that comes before in the alphabet takes nobody's number, nor does one take that of a database that went.
    let numbers = databases.numbers(&graph_of(&["a", "c"]), "production").unwrap();
    assert_eq!(numbers, [("a/carts".to_owned(), 2), ("c/carts".to_owned(), 1)].into());
    let outside = graph(&[("a", redis)], "clusters: { production: { databases: { a/carts: { secret: s } } } }");
    assert_eq!(databases.numbers(&outside, "production").unwrap(), BTreeMap::new());
}

#[test]
fn it_reads_what_it_wrote_and_the_keys_are_ones_that_kubernetes_takes() {
    let databases = known(State::Running, numbered(1, 2));
    let data = databases.encode().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["api.orders"]);
    assert_eq!(Databases::decode(&data).unwrap(), databases);
}

#[test]
fn a_database_begins_as_a_copy_once() {
    use crate::store::lent::tests::{masked, offer};
    let offered = offer(masked(), numbered(7, 8));
    let asked = |level| Wanted { copy: Some(offered.clone()), seeds: true, ..wanted("15", level) };
    let need = |known: &Databases, wanted: &Wanted, volume| {
        known.need(wanted, Some(volume), |_| false, false).map_err(|error| error.to_string())
    };
    let clone = || Ok(Need::Clone("of production, masked by order".to_owned()));
    let all = |known: Known| Databases([("api/orders".to_owned(), known)].into());
    let newest = asked(numbered(7, 9));
    assert_eq!(need(&Databases::default(), &newest, "v"), clone());

    // While it is made nobody uses it, whatever its Jobs did; it is made anew.
    let half = Known::copying(&newest, Some("v".into()), &offered, Timestamp::UNIX_EPOCH);
    assert_eq!((half.level(), half.made, half.seeded), (None, None, false));
    assert_eq!(need(&all(half.clone()), &newest, "v"), clone());
    for state in [State::Running, State::Failed, State::Done] {
        let work = Work { state, job: "mask-1".into(), uid: "u".into(), ..half.work.clone() };
        let masking = Known::doing(&newest, Some("v".into()), work, Some(&half));
        assert_eq!(need(&all(masking), &newest, "v"), clone(), "{state:?}");
    }
    assert!(Databases::default().is_to_begin("api/orders") && all(half.clone()).is_to_begin("api/orders"));

    // Then it has the schema of where it comes from, is never seeded, and only newer migrations run.
    let made = Known { made: Some(newest.made), ..half.clone() };
    let whole = all(made.copied(&offered, Timestamp::UNIX_EPOCH));
    assert_eq!(whole.level("api/orders", Some("v")), numbered(7, 8));
    assert_eq!(need(&whole, &newest, "v"), Ok(Need::Run("its migration changed".to_owned())));
    assert_eq!(need(&whole, &asked(numbered(7, 8)), "v"), Ok(Need::Nothing));
    let not_asked = Wanted { copy: None, ..asked(numbered(7, 8)) };
    assert_eq!(need(&whole, &not_asked, "v"), Ok(Need::Nothing), "its data stays");
    assert!(!whole.is_to_begin("api/orders"));
    assert_eq!(Databases::decode(&whole.encode().unwrap()).unwrap(), whole);

    // What would show it unmasked, or be taken for it, is refused.
    let gone = need(&whole, &newest, "other").unwrap_err();
    assert!(gone.contains("before it is masked") && gone.contains("komandan down"), "{gone}");
    let given_up = need(&all(half), &not_asked, "v").unwrap_err();
    assert!(given_up.contains("is not all there") && given_up.contains("komandan down"), "{given_up}");
}
